//! Looking back at an open run: its checkpoints, the versions of its plan, its interventions. One list with a text beside it, for all three.
//!
//! The rows are made from the run's state when they are drawn, and only those that are seen. What a row says in full is made once, when another
//! one is selected: at once where the state has it, by a task where files have to be read.

use uuid::Uuid;

use crate::run::{
    Branches, CheckpointCause, CheckpointMark, Intervention, InterventionStatus, RunState, checkpoint_id, short_id,
};

use super::theme::Role;
use super::words::Zone;
use super::{text, words};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Places to go back to.
    Checkpoints,
    /// Versions of the plan.
    Versions,
    /// What operators did.
    Interventions,
}

/// What the text beside the list is about; asked for when it needs files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A checkpoint, and the one before it.
    Checkpoint {
        /// Its place.
        seq: u64,
        /// The place before it.
        before: Option<u64>,
    },
    /// One version of the plan against another.
    Versions {
        /// From which.
        from: u64,
        /// To which.
        to: u64,
    },
    /// An intervention, by its place in the log.
    Intervention(usize),
}

/// A line of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says, neutralised.
    pub text: String,
    /// How loud.
    pub role: Role,
}

impl Line {
    /// A line, neutralised.
    pub fn new(line: impl AsRef<str>, role: Role) -> Self {
        Self { text: text::clean(line.as_ref()).into_owned(), role }
    }
}

/// A list and where the operator is in it.
#[derive(Debug, Clone)]
pub struct History {
    /// Which list.
    pub kind: Kind,
    /// The selected entry: a checkpoint's place, a version's number, an intervention's place in the log. `None`: the newest.
    pub selected: Option<u64>,
    /// First row that is seen.
    pub offset: usize,
    /// What is filtered for, in lower case; empty for everything.
    pub filter: String,
    /// The version that others are compared with.
    pub marked: Option<u64>,
    /// First line of the text that is seen.
    pub scroll: usize,
    /// Entries that match the filter, newest first, and of how many they were chosen.
    matching: Option<(usize, Vec<usize>)>,
    /// What the text is about, and the text; `None` while it is being made.
    told: Option<(Subject, Option<Vec<Line>>)>,
    /// What was asked for and has not come yet.
    asked: Option<Subject>,
    branches: (usize, Branches),
}

impl History {
    /// A list, at its newest entry.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            selected: None,
            offset: 0,
            filter: String::new(),
            marked: None,
            scroll: 0,
            matching: None,
            told: None,
            asked: None,
            branches: (usize::MAX, Branches::default()),
        }
    }

    /// How many entries there are.
    pub fn len(&self, state: &RunState) -> usize {
        match self.kind {
            Kind::Checkpoints => state.checkpoints.len(),
            Kind::Versions => state.versions.len() + 1,
            Kind::Interventions => state.interventions.len(),
        }
    }

    /// How many rows there are: the entries that match.
    pub fn rows(&self, state: &RunState) -> usize {
        self.matching.as_ref().map_or_else(|| self.len(state), |(_, found)| found.len())
    }

    /// The entry of a row, newest first.
    pub fn entry(&self, state: &RunState, row: usize) -> Option<usize> {
        match &self.matching {
            Some((_, found)) => found.get(row).copied(),
            None => self.len(state).checked_sub(row + 1),
        }
    }

    /// What names an entry, whatever comes after it.
    fn key(&self, state: &RunState, entry: usize) -> u64 {
        match self.kind {
            Kind::Checkpoints => state.checkpoints.get(entry).map_or(0, |mark| mark.seq),
            Kind::Versions => {
                entry.checked_sub(1).and_then(|at| state.versions.get(at)).map_or(1, |one| one.change.version)
            }
            Kind::Interventions => entry as u64,
        }
    }

    fn entry_of(&self, state: &RunState, key: u64) -> Option<usize> {
        let (len, mut below) = (self.len(state), 0);
        let mut above = len;
        while below < above {
            let middle = below.midpoint(above);
            if self.key(state, middle) < key { below = middle + 1 } else { above = middle }
        }
        (below < len && self.key(state, below) == key).then_some(below)
    }

    /// The selected entry; the newest when none was chosen or the chosen one does not match.
    pub fn selected_entry(&self, state: &RunState) -> Option<usize> {
        self.entry(state, self.selected_row(state))
    }

    /// The row of the selected entry.
    pub fn selected_row(&self, state: &RunState) -> usize {
        let Some(entry) = self.selected.and_then(|key| self.entry_of(state, key)) else { return 0 };
        match &self.matching {
            Some((_, found)) => found.iter().position(|one| *one == entry).unwrap_or(0),
            None => self.len(state) - 1 - entry,
        }
    }

    /// The selected checkpoint's place, in the list of checkpoints.
    pub fn checkpoint(&self, state: &RunState) -> Option<u64> {
        let entry = self.selected_entry(state).filter(|_| self.kind == Kind::Checkpoints)?;
        Some(self.key(state, entry))
    }

    /// The selected version's number, in the list of versions.
    pub fn version(&self, state: &RunState) -> Option<u64> {
        let entry = self.selected_entry(state).filter(|_| self.kind == Kind::Versions)?;
        Some(self.key(state, entry))
    }

    /// Goes to a row.
    pub fn select_row(&mut self, state: &RunState, row: usize) {
        let row = row.min(self.rows(state).saturating_sub(1));
        if let Some(entry) = self.entry(state, row) {
            let key = Some(self.key(state, entry));
            if key != self.selected {
                self.scroll = 0;
            }
            self.selected = key;
        }
    }

    /// Marks the selected version to be compared with others, or takes the mark off it.
    pub fn mark(&mut self, state: &RunState) {
        let version = self.version(state);
        self.marked = if self.marked == version { None } else { version };
    }

    /// Brings what is derived from the state up to date; says what has to be asked for.
    pub fn refresh(&mut self, state: &RunState, zone: Zone) -> Option<Subject> {
        let len = self.len(state);
        if self.filter.is_empty() {
            self.matching = None;
        } else if self.matching.as_ref().is_none_or(|(of, _)| *of != len) {
            let matches = |entry: &usize| self.words(state, *entry, zone).to_lowercase().contains(&self.filter);
            self.matching = Some((len, (0..len).rev().filter(matches).collect()));
        }
        if self.kind == Kind::Checkpoints && self.branches.0 != len {
            self.branches = (len, Branches::of(state));
        }
        let subject = self.subject(state);
        match (&self.told, subject) {
            (_, None) => {
                self.told = None;
                return None;
            }
            (Some((told, _)), Some(subject)) if *told == subject => {}
            (_, Some(subject)) => {
                let lines = match subject {
                    Subject::Intervention(place) => {
                        state.interventions.get(place).map(|record| told_in_full(record, zone))
                    }
                    _ => None,
                };
                self.told = Some((subject, lines));
            }
        }
        let (subject, lines) = self.told.as_ref()?;
        // One at a time: whoever runs through the list asks for what they stop at.
        let ask = lines.is_none() && self.asked.is_none();
        ask.then(|| *self.asked.insert(*subject))
    }

    /// Filters anew.
    pub fn set_filter(&mut self, filter: &str) {
        self.filter = filter.to_lowercase();
        self.matching = None;
    }

    fn subject(&self, state: &RunState) -> Option<Subject> {
        let entry = self.selected_entry(state)?;
        let key = self.key(state, entry);
        Some(match self.kind {
            Kind::Checkpoints => Subject::Checkpoint {
                seq: key,
                before: entry.checked_sub(1).and_then(|before| state.checkpoints.get(before)).map(|mark| mark.seq),
            },
            Kind::Versions => match self.marked {
                Some(marked) if marked != key => Subject::Versions { from: marked, to: key },
                _ => Subject::Versions { from: key - u64::from(key > 1), to: key },
            },
            Kind::Interventions => Subject::Intervention(entry),
        })
    }

    /// The text that was asked for has come.
    pub fn answer(&mut self, subject: Subject, lines: Vec<Line>) {
        self.asked = None;
        if let Some((about, told)) = &mut self.told
            && *about == subject
        {
            *told = Some(lines);
        }
    }

    /// The text beside the list; `None` while it is being made.
    pub fn text(&self) -> Option<&[Line]> {
        self.told.as_ref()?.1.as_deref()
    }

    /// When a checkpoint was left behind by going back.
    pub fn left_at(&self, mark: &CheckpointMark) -> Option<chrono::DateTime<chrono::Utc>> {
        self.branches.1.left_at(mark.seq)
    }

    /// All that an entry says, for the filter.
    fn words(&self, state: &RunState, entry: usize, zone: Zone) -> String {
        match self.kind {
            Kind::Checkpoints => state.checkpoints.get(entry).map_or_else(String::new, |mark| {
                format!("{} {} {}", checkpoint_id(mark.seq), zone.clock(mark.time), what_made(state, mark))
            }),
            Kind::Versions => {
                let (user, what, reason) = version(state, entry);
                format!("v{} {user} {what} {reason}", self.key(state, entry))
            }
            Kind::Interventions => state.interventions.get(entry).map_or_else(String::new, |record| {
                let target = record.target_step_id.as_deref().unwrap_or_default();
                let said = [record.reason.as_deref(), record.error.as_deref()].map(Option::unwrap_or_default).join(" ");
                let (kind, status) = (&record.intervention_type, status_word(record));
                format!("{} {} {kind} {target} {status} {said}", zone.clock(record.timestamp), record.user)
            }),
        }
    }
}

/// What made a checkpoint, in words.
pub fn what_made(state: &RunState, mark: &CheckpointMark) -> String {
    let step = mark.step.and_then(|number| state.step_name(number)).unwrap_or("a step");
    match mark.cause {
        CheckpointCause::Started => "the run started".into(),
        CheckpointCause::Step => format!("after {step}"),
        CheckpointCause::Paused => "paused".into(),
        CheckpointCause::Ended => "the run ended".into(),
        CheckpointCause::Restored => "went back".into(),
    }
}

/// A version of the plan: who made it, how, and why.
pub fn version(state: &RunState, entry: usize) -> (&str, String, &str) {
    let Some(made) = entry.checked_sub(1).and_then(|at| state.versions.get(at)) else {
        let from = state.parent.map(|(run, seq)| format!("forked from {} at {}", short_id(run), checkpoint_id(seq)));
        return (&state.user, from.unwrap_or_else(|| "opened".into()), "");
    };
    let change = &made.change;
    let what = change.headline();
    (&change.user, what, change.reason.as_deref().unwrap_or_default())
}

/// What became of an intervention.
pub fn status_word(record: &Intervention) -> &'static str {
    match record.status {
        InterventionStatus::Applied => "applied",
        InterventionStatus::Pending => "pending",
        InterventionStatus::Failed => "refused",
    }
}

/// An intervention with everything that is known of it.
fn told_in_full(record: &Intervention, zone: Zone) -> Vec<Line> {
    let status = match record.status {
        InterventionStatus::Applied => ("applied", Role::Done),
        InterventionStatus::Pending => ("accepted; it waits for an attempt to stop", Role::Waiting),
        InterventionStatus::Failed => ("refused, or overtaken; it had no effect", Role::Failed),
    };
    let mut lines = vec![
        Line::new(format!("{} by {}", record.intervention_type, record.user), Role::Strong),
        Line::new(zone.show(record.timestamp, "%Y-%m-%d %H:%M:%S"), Role::Muted),
        Line::new(status.0, status.1),
    ];
    if let Some(step) = &record.target_step_id {
        lines.push(Line::new(format!("step     {step}"), Role::Text));
    }
    lines.push(match &record.reason {
        Some(reason) => Line::new(format!("reason   {reason}"), Role::Text),
        None => Line::new("no reason was given", Role::Faint),
    });
    if let Some(error) = &record.error {
        lines.push(Line::new("", Role::Text));
        lines.push(Line::new(error, Role::Warning));
    }
    let parameters = serde_json::to_string_pretty(&record.parameters).unwrap_or_default();
    if parameters != "{}" && parameters != "null" {
        lines.push(Line::new("", Role::Text));
        lines.extend(parameters.lines().take(LONGEST).map(|line| Line::new(line, Role::Muted)));
    }
    lines.push(Line::new("", Role::Text));
    lines.push(Line::new(format!("id {}", record.intervention_id), Role::Faint));
    if let Some(id) = &record.command_id {
        lines.push(Line::new(format!("command id {id}"), Role::Faint));
    }
    lines
}

/// A text is cut here; the command line has the whole of it.
const LONGEST: usize = 2000;
/// So many changes against now are told by name.
const NOW_SHOWN: usize = 12;

/// The text of a checkpoint or of a version; reads files where it has to.
///
/// # Errors
/// What could not be read, in words.
pub async fn tell(handle: &crate::engine::EngineHandle, run: Uuid, subject: Subject) -> Result<Vec<Line>, String> {
    let said = |rejection: crate::run::Rejection| rejection.to_string();
    let now = handle.state(run).await.map_err(said)?;
    match subject {
        Subject::Checkpoint { seq, before } => {
            let at = handle.state_at(run, seq).await.map_err(said)?;
            let before = match before {
                Some(before) => Some((before, handle.state_at(run, before).await.map_err(said)?)),
                None => None,
            };
            // Comparing costs as much as the plans are long: not on a thread that others wait for.
            let made = tokio::task::spawn_blocking(move || checkpoint(&now, &at, before.as_ref()));
            made.await.map_err(|error| error.to_string())
        }
        Subject::Versions { from, to } => {
            let made = tokio::task::spawn_blocking(move || versions(&now, from, to));
            made.await.map_err(|error| error.to_string())
        }
        Subject::Intervention(_) => Ok(Vec::new()),
    }
}

fn checkpoint(now: &RunState, at: &RunState, before: Option<&(u64, RunState)>) -> Vec<Line> {
    let mut lines = vec![Line::new(
        format!(
            "{} · {} of {} · {} · plan v{}",
            checkpoint_id(at.seq),
            at.step_index(),
            words::count(at.steps.len(), "step"),
            at.status.word(),
            at.plan_version
        ),
        Role::Strong,
    )];
    let mut section = |title: String, changes: Vec<String>, most: usize| {
        lines.push(Line::new("", Role::Text));
        lines.push(Line::new(title, Role::Accent));
        if changes.is_empty() {
            lines.push(Line::new("nothing of the plan and its steps", Role::Muted));
        }
        let more = changes.len().saturating_sub(most);
        lines.extend(changes.iter().take(most).map(|change| Line::new(change, role_of(change))));
        if more > 0 {
            lines.push(Line::new(format!("and {} more", words::thousands(more)), Role::Muted));
        }
    };
    if let Some((seq, before)) = before {
        let title = format!("Changed since {}", checkpoint_id(*seq));
        section(title, crate::run::changes_between(before, at), LONGEST);
    }
    if at.seq != now.seq {
        section("From here to now".into(), crate::run::changes_between(at, now), NOW_SHOWN);
    }
    lines
}

fn versions(now: &RunState, from: u64, to: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(made) = now.versions.iter().find(|one| one.change.version == to) {
        let change = &made.change;
        lines.push(Line::new(format!("Version {to} by {}", change.user), Role::Strong));
        let reason = change.reason.as_ref().map(|reason| Line::new(format!("“{reason}”"), Role::Text));
        lines.extend(reason);
    } else {
        lines.push(Line::new(format!("Version {to}, as the plan was opened by {}", now.user), Role::Strong));
    }
    let (Some(one), Some(other)) = (now.plan_at(from), now.plan_at(to)) else {
        lines.push(Line::new("this version cannot be made out again", Role::Warning));
        return lines;
    };
    lines.push(Line::new("", Role::Text));
    if from == to {
        lines.push(Line::new(words::count(one.steps.len(), "step"), Role::Text));
        let steps = one.steps.iter().take(LONGEST);
        lines.extend(steps.map(|step| Line::new(format!("  {}", step.step_id), Role::Muted)));
        return lines;
    }
    lines.push(Line::new(format!("From version {from} to version {to}"), Role::Accent));
    let changes = crate::run::plan_changes(&one, &other);
    if changes.is_empty() {
        lines.push(Line::new("the same plan", Role::Muted));
    }
    let more = changes.len().saturating_sub(LONGEST);
    lines.extend(changes.iter().take(LONGEST).map(|change| Line::new(change, role_of(change))));
    if more > 0 {
        lines.push(Line::new(format!("and {} more", words::thousands(more)), Role::Muted));
    }
    lines
}

fn role_of(change: &str) -> Role {
    match change.split(' ').next() {
        Some("+") => Role::Done,
        Some("-") => Role::Failed,
        Some("~") => Role::Waiting,
        _ if change.contains("→ failed") => Role::Failed,
        _ => Role::Text,
    }
}
