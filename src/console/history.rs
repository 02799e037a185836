//! Looking back at an open run: its checkpoints, the versions of its plan, its interventions. One list with a text beside it, for all three.
//!
//! The rows are made from the run's state when they are drawn, and only those that are seen. What a row says in full is made when another
//! one is selected, and again when the run goes on: at once where the state has it, by a task where files have to be read.

mod told;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::run::{Branches, CheckpointMark, Intervention, InterventionStatus, PlanSizes, RunState, checkpoint_id};

use super::theme::Role;
use super::words::Zone;
use super::{text, words};

pub use told::*;

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
    /// The selected entry: a checkpoint's place, a version's number, an intervention's place in the log. It stays selected whatever comes after
    /// it; `None` until the list is drawn first.
    pub selected: Option<u64>,
    /// First row that is seen.
    pub offset: usize,
    /// What is filtered for, in lower case; empty for everything.
    pub filter: String,
    /// The version that others are compared with.
    pub marked: Option<u64>,
    /// First line of the text that is seen.
    pub scroll: usize,
    matching: Option<Matching>,
    told: Option<Told>,
    asked: Option<Asked>,
    /// No question before this: an answer costs as much as the plan is long.
    not_before: DateTime<Utc>,
    /// How many rows there were when they were drawn last.
    rows: usize,
    /// How many entries there were when the newest was selected last.
    seen: Option<usize>,
    branches: (usize, Branches),
    sizes: ((usize, usize), PlanSizes),
}

/// Entries that match the filter.
#[derive(Debug, Clone)]
struct Matching {
    /// Newest first.
    found: Vec<usize>,
    /// Of how many entries they were chosen.
    of: usize,
    /// In which state.
    seq: u64,
}

/// The text beside the list.
#[derive(Debug, Clone)]
struct Told {
    about: Subject,
    /// In which state it was so; `None`: it has not come yet.
    seq: Option<u64>,
    lines: Vec<Line>,
}

/// What was asked for and has not come yet.
#[derive(Debug, Clone, Copy)]
struct Asked {
    about: Subject,
    /// In which state.
    seq: u64,
    at: DateTime<Utc>,
}

/// A text that has become old is not asked for again more often than this.
const PAUSE: TimeDelta = TimeDelta::milliseconds(500);

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
            not_before: DateTime::<Utc>::MIN_UTC,
            rows: 0,
            seen: None,
            branches: (usize::MAX, Branches::default()),
            sizes: ((usize::MAX, 0), PlanSizes::default()),
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
        self.matching.as_ref().map_or_else(|| self.len(state), |matching| matching.found.len())
    }

    /// The entry of a row, newest first.
    pub fn entry(&self, state: &RunState, row: usize) -> Option<usize> {
        match &self.matching {
            Some(matching) => matching.found.get(row).copied(),
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

    /// The selected entry; the newest when there was none yet or it does not match.
    pub fn selected_entry(&self, state: &RunState) -> Option<usize> {
        self.entry(state, self.selected_row(state))
    }

    /// The row of the selected entry.
    pub fn selected_row(&self, state: &RunState) -> usize {
        let Some(entry) = self.selected.and_then(|key| self.entry_of(state, key)) else { return 0 };
        match &self.matching {
            Some(matching) => matching.found.iter().position(|one| *one == entry).unwrap_or(0),
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

    /// The selected intervention's id, in the list of interventions.
    pub fn intervention(&self, state: &RunState) -> Option<Uuid> {
        let entry = self.selected_entry(state).filter(|_| self.kind == Kind::Interventions)?;
        state.interventions.get(entry).map(|record| record.intervention_id)
    }

    /// Goes to a row.
    pub fn select_row(&mut self, state: &RunState, row: usize) {
        let row = row.min(self.rows(state).saturating_sub(1));
        if let Some(entry) = self.entry(state, row) {
            self.select(self.key(state, entry));
        }
    }

    /// Goes to an entry.
    pub fn select(&mut self, key: u64) {
        if self.selected != Some(key) {
            self.scroll = 0;
        }
        self.selected = Some(key);
    }

    /// Marks the selected version to be compared with others, or takes the mark off it.
    pub fn mark(&mut self, state: &RunState) {
        let version = self.version(state);
        self.marked = if self.marked == version { None } else { version };
    }

    /// Brings what is derived from the state up to date, before a frame; says what has to be asked for.
    pub fn refresh(&mut self, state: &RunState, zone: Zone, now: DateTime<Utc>) -> Option<Subject> {
        self.find_matching(state, zone);
        // What is seen stays under the eyes when newer entries come above it.
        let rows = self.rows(state);
        if self.offset > 0 {
            self.offset += rows.saturating_sub(self.rows);
        }
        self.rows = rows;
        if let Some(entry) = self.selected_entry(state) {
            self.select(self.key(state, entry));
        }
        let len = self.len(state);
        if self.selected_row(state) == 0 || self.seen.is_none_or(|seen| seen > len) {
            self.seen = Some(len);
        }
        if self.kind == Kind::Checkpoints && self.branches.0 != len {
            self.branches = (len, Branches::of(state));
        }
        let shape = (state.versions.len(), state.steps.len());
        if self.kind == Kind::Checkpoints && self.sizes.0 != shape {
            self.sizes = (shape, PlanSizes::of(state));
        }
        let Some(about) = self.subject(state) else {
            self.told = None;
            return None;
        };
        if self.told.as_ref().is_none_or(|told| told.about != about) {
            self.told = Some(Told { about, seq: None, lines: Vec::new() });
        }
        let told = self.told.as_mut()?;
        if let Subject::Intervention(place) = about {
            if told.seq != Some(state.seq) {
                told.lines =
                    state.interventions.get(place).map_or_else(Vec::new, |record| told_in_full(record, state, zone));
                told.seq = Some(state.seq);
            }
            return None;
        }
        // One at a time: whoever runs through the list asks for what they stop at.
        let due = told.seq.is_none() || (told.is_old(state) && now >= self.not_before);
        if !due || self.asked.is_some() {
            return None;
        }
        self.asked = Some(Asked { about, seq: state.seq, at: now });
        Some(about)
    }

    /// Whether the text tells of a state that is no longer the run's, and is to be asked for again.
    pub fn is_old(&self, state: &RunState) -> bool {
        self.asked.is_none() && self.told.as_ref().is_some_and(|told| told.is_old(state))
    }

    fn find_matching(&mut self, state: &RunState, zone: Zone) {
        if self.filter.is_empty() {
            self.matching = None;
            return;
        }
        let (of, seq) = (self.len(state), state.seq);
        let known = self.matching.take().filter(|known| match self.kind {
            // What became of an intervention may be decided later; what others say stays.
            Kind::Interventions => known.seq == seq,
            Kind::Checkpoints | Kind::Versions => known.of <= of,
        });
        let (before, found) = known.map_or((0, Vec::new()), |known| (known.of, known.found));
        let matches = |entry: &usize| self.words(state, *entry, zone).to_lowercase().contains(&self.filter);
        let mut newer: Vec<usize> = (before..of).rev().filter(matches).collect();
        newer.extend(found);
        self.matching = Some(Matching { found: newer, of, seq });
    }

    /// Filters anew.
    pub fn set_filter(&mut self, filter: &str) {
        self.filter = filter.to_lowercase();
        self.matching = None;
        self.offset = 0;
    }

    /// How many entries have come since the newest was selected.
    pub fn newer(&self, state: &RunState) -> usize {
        self.seen.map_or(0, |seen| self.len(state).saturating_sub(seen))
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
    pub fn answer(&mut self, about: Subject, lines: Vec<Line>, now: DateTime<Utc>) {
        let Some(asked) = self.asked.take_if(|asked| asked.about == about) else { return };
        // A slow answer is asked for less often, so that it never takes more than a part of a processor.
        self.not_before = asked.at + PAUSE.max((now - asked.at) * 4);
        if let Some(told) = self.told.as_mut().filter(|told| told.about == about) {
            told.seq = Some(asked.seq);
            told.lines = lines;
        }
    }

    /// The text beside the list; `None` while it is being made.
    pub fn text(&self) -> Option<&[Line]> {
        self.told.as_ref().filter(|told| told.seq.is_some()).map(|told| told.lines.as_slice())
    }

    /// How many steps the plan had at a checkpoint.
    pub fn steps_at(&self, mark: &CheckpointMark) -> usize {
        self.sizes.1.at(mark)
    }

    /// When a checkpoint was left behind by going back.
    pub fn left_at(&self, mark: &CheckpointMark) -> Option<DateTime<Utc>> {
        self.branches.1.left_at(mark.seq)
    }

    /// All that an entry says, for the filter.
    fn words(&self, state: &RunState, entry: usize, zone: Zone) -> String {
        match self.kind {
            Kind::Checkpoints => state.checkpoints.get(entry).map_or_else(String::new, |mark| {
                format!("{} {} {}", checkpoint_id(mark.seq), zone.clock(mark.time), state.what_made(entry))
            }),
            Kind::Versions => {
                let (user, what, reason) = version(state, entry);
                format!("v{} {user} {what} {reason}", self.key(state, entry))
            }
            Kind::Interventions => state.interventions.get(entry).map_or_else(String::new, |record| {
                let target = record.target_step_id.as_deref().unwrap_or_default();
                let said = [record.reason.as_deref(), record.error.as_deref()].map(Option::unwrap_or_default).join(" ");
                let (kind, status) = (&record.intervention_type, status_word(record));
                let (time, asked) = (zone.clock(record.timestamp), super::log::asked(record, state));
                format!("{time} {} {asked} {kind} {target} {status} {said}", record.user)
            }),
        }
    }
}

impl Told {
    /// Whether the run has gone on since, and that can change what is told: versions stay as they were made.
    fn is_old(&self, state: &RunState) -> bool {
        matches!(self.about, Subject::Checkpoint { .. }) && self.seq.is_some_and(|seq| seq != state.seq)
    }
}

/// A version of the plan: who made it, how, and why.
pub fn version(state: &RunState, entry: usize) -> (&str, String, &str) {
    let Some(made) = entry.checked_sub(1).and_then(|at| state.versions.get(at)) else {
        return (&state.user, words::forked_from(state).unwrap_or_else(|| "opened".into()), "");
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
