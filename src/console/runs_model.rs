//! The list of runs and plans as the console knows it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::engine::{ListedRun, Owner, RunUpdate};
use crate::plan::Plan;
use crate::run::{RunStatus, RunSummary, StepStatus};

use super::attaching::process;
use super::marks::Marks;
use super::run_model::contains;
use super::strip::calls;
use super::words;

/// A plan file as it was found.
#[derive(Debug, Clone)]
pub struct PlanEntry {
    /// The file.
    pub path: PathBuf,
    /// What the list shows of the plan, if it may be run. Not the plan itself: it is read again when it is opened.
    pub plan: Option<PlanFacts>,
    /// The id to show: the plan's, else the file's name.
    pub plan_id: String,
    /// How many problems it has.
    pub problems: usize,
    /// The problems as text, and warnings.
    pub report: String,
}

/// What the list shows of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFacts {
    /// Its id.
    pub plan_id: String,
    /// Its headline.
    pub headline: String,
    /// How many steps it has.
    pub steps: usize,
}

impl From<&Plan> for PlanFacts {
    fn from(plan: &Plan) -> Self {
        Self { plan_id: plan.plan_id.clone(), headline: plan.headline().to_owned(), steps: plan.steps.len() }
    }
}

/// What a row is, whatever its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowId {
    /// A run.
    Run(Uuid),
    /// A plan's file.
    Plan(PathBuf),
}

/// The groups of the list, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Paused: a person must do something.
    Waiting,
    /// Running, or being cancelled.
    Active,
    /// Opened, not started.
    Idle,
    /// Plans to open.
    Plans,
    /// Over.
    Ended,
}

impl Section {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Waiting => "Waiting for you",
            Section::Active => "Active",
            Section::Idle => "Opened, not started",
            Section::Plans => "Plans",
            Section::Ended => "Ended",
        }
    }
}

/// A line of the list as it is drawn: a heading, or a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An empty line before a heading.
    Gap,
    /// A heading.
    Heading(Section, usize),
    /// A row.
    Row(RowId),
}

/// Runs and plans, and what the operator looks at.
#[derive(Debug, Default)]
pub struct RunsList {
    runs: HashMap<Uuid, ListedRun>,
    plans: Vec<PlanEntry>,
    /// The lines, in order.
    lines: Vec<Line>,
    waiting: usize,
    active: usize,
    /// The runs that are active or wait for a person, as the strip shows them.
    pub strip: Vec<Uuid>,
    /// Those of them that have another one of the same plan beside them.
    pub namesakes: HashSet<Uuid>,
    /// The runs that ask a person for something now, and those that have failed unseen, the newest first.
    pub calling: Vec<Uuid>,
    /// Runs that have failed while this console was there, and were not looked at since.
    unseen: HashSet<Uuid>,
    /// Runs that are being removed, or have been: what is still heard of them is not shown.
    hidden: HashSet<Uuid>,
    stale: bool,
    /// What is selected.
    pub selected: Option<RowId>,
    /// It is to be chosen again what is selected because nothing else was.
    chooses: bool,
    /// What was selected because nothing else was.
    by_itself: Option<RowId>,
    /// The marked runs.
    pub marked: Marks<Uuid>,
    /// First line that is seen.
    pub offset: usize,
    /// The filter, lower case; empty: none.
    pub filter: String,
    /// Whether both lists have been read once.
    pub loaded: (bool, bool),
    /// Why the runs could not be read.
    pub error: Option<String>,
}

impl RunsList {
    /// The runs were read.
    pub fn set_runs(&mut self, listed: Vec<ListedRun>) {
        let known = std::mem::take(&mut self.runs);
        for mut run in listed.into_iter().filter(|run| !self.hidden.contains(&run.summary.run_id)) {
            // A summary that came while the list was being read is newer than what was read.
            if let Some(newer) = known.get(&run.summary.run_id).filter(|one| one.summary.seq > run.summary.seq) {
                run.summary = newer.summary.clone();
            }
            self.runs.insert(run.summary.run_id, run);
        }
        for (id, run) in known {
            if run.ours {
                self.runs.entry(id).or_insert(run);
            }
        }
        self.choose_again(self.loaded.0);
        self.loaded.0 = true;
        self.stale = true;
    }

    /// The list is not whole before both parts of it have been read once: what nobody has selected is no reason to stay there, in the next frame. Until
    /// that is drawn, keys are about what is marked on the screen.
    fn choose_again(&mut self, was_read: bool) {
        self.chooses |= !was_read;
    }

    /// A key was pressed: what is selected is meant.
    pub fn stay(&mut self) {
        (self.chooses, self.by_itself) = (false, None);
    }

    /// The plans were read.
    pub fn set_plans(&mut self, plans: Vec<PlanEntry>) {
        self.plans = plans;
        self.choose_again(self.loaded.1);
        self.loaded.1 = true;
        self.stale = true;
    }

    /// Something of a run of this engine is durable.
    pub fn summary(&mut self, update: &RunUpdate) {
        let (summary, open) = (update.summary.clone(), update.open);
        if self.hidden.contains(&summary.run_id) {
            return;
        }
        let before = self.runs.get(&summary.run_id).map(|run| run.summary.status);
        if summary.status != RunStatus::Failed {
            self.unseen.remove(&summary.run_id);
        } else if before.is_some_and(|before| !before.is_ended()) {
            self.unseen.insert(summary.run_id);
        }
        let run = ListedRun { summary, owned: open, ours: open, owner: Owner::default() };
        let before = self.runs.get(&run.summary.run_id);
        // A filter looks at what the row says as well.
        self.stale |= !self.filter.is_empty() || before.is_none_or(|before| placement(before) != placement(&run));
        self.runs.insert(run.summary.run_id, run);
    }

    /// A run is being removed.
    pub(super) fn hide(&mut self, id: Uuid) {
        self.hidden.insert(id);
        self.stale |= self.runs.remove(&id).is_some();
    }

    /// A run was not removed: it is shown again as soon as something is heard of it.
    pub(super) fn unhide(&mut self, id: Uuid) {
        self.hidden.remove(&id);
    }

    /// A run is on the screen: how it stands is known.
    pub(super) fn seen(&mut self, id: Uuid) {
        self.stale |= self.unseen.remove(&id);
    }

    /// Whether a run has failed and nobody has looked.
    pub fn has_failed_unseen(&self, id: Uuid) -> bool {
        self.unseen.contains(&id)
    }

    /// A run.
    pub fn run(&self, id: Uuid) -> Option<&ListedRun> {
        self.runs.get(&id)
    }

    /// Every run.
    pub fn runs(&self) -> impl Iterator<Item = &ListedRun> {
        self.runs.values()
    }

    /// The plans.
    pub fn plans(&self) -> &[PlanEntry] {
        &self.plans
    }

    /// A plan.
    pub fn plan(&self, path: &Path) -> Option<&PlanEntry> {
        self.plans.iter().find(|plan| plan.path == path)
    }

    /// The plan of a row.
    pub fn plan_of(&self, row: &RowId) -> Option<&PlanEntry> {
        if let RowId::Plan(path) = row { self.plan(path) } else { None }
    }

    /// Runs of this engine in which something runs or may start.
    pub fn active(&self) -> impl Iterator<Item = &RunSummary> {
        self.runs.values().filter(|run| run.ours && is_active(&run.summary)).map(|run| &run.summary)
    }

    /// An idle run of this engine of exactly this plan: opening the plan again opens it, instead of making one more.
    pub fn idle_run_of(&self, plan_id: &str) -> Option<Uuid> {
        let idle = |run: &&ListedRun| {
            run.ours
                && run.summary.status == RunStatus::Idle
                && !run.summary.cancelling
                && run.summary.plan_id == plan_id
        };
        self.runs.values().filter(idle).max_by_key(|run| run.summary.created_at).map(|run| run.summary.run_id)
    }

    /// Other runs of a run's plan that are under way, here or in another process, the newest first: they run, or are paused and can go on at any time.
    /// Whoever has forked a paused run knows of it.
    pub fn under_way(&self, plan_id: &str, besides: Uuid, parent: Option<Uuid>) -> Vec<&ListedRun> {
        let under_way = |run: &&ListedRun| {
            let summary = &run.summary;
            let active = match summary.status {
                RunStatus::Running => true,
                RunStatus::Paused => parent != Some(summary.run_id),
                _ => summary.cancelling,
            };
            run.owned && active && summary.plan_id == plan_id && summary.run_id != besides
        };
        let mut found: Vec<&ListedRun> = self.runs.values().filter(under_way).collect();
        found.sort_by_key(|run| std::cmp::Reverse((run.summary.started_at, run.summary.run_id)));
        found
    }

    /// The lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether a run is owned by this engine.
    pub fn is_ours(&self, id: Uuid) -> bool {
        self.runs.get(&id).is_some_and(|run| run.ours)
    }

    /// Whether people are to be reminded of what some run asks.
    pub fn remind(&self) -> bool {
        self.runs.values().any(|run| run.owned && run.summary.reminds.is_some())
    }

    /// Whether any run waits for a person.
    pub fn waits(&self) -> bool {
        self.waiting + self.unseen.len() > 0
    }

    /// How many runs wait for a person.
    pub fn waiting_count(&self) -> usize {
        self.waiting
    }

    /// How many runs go on by themselves, here or in another process; one that waits for a person is none of them, whatever still runs in it.
    pub fn active_count(&self) -> usize {
        self.active
    }

    /// Runs that wait for a person, the newest first.
    pub fn waiting(&self) -> Vec<Uuid> {
        let mut found: Vec<&RunSummary> =
            self.runs.values().filter(|run| section(run) == Section::Waiting).map(|run| &run.summary).collect();
        found.sort_by_key(|run| std::cmp::Reverse((run.updated_at, run.run_id)));
        found.into_iter().map(|run| run.run_id).collect()
    }

    /// Sorts anew what has changed. Done once before a frame.
    pub fn prepare(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let of = |wanted: Section| self.runs.values().filter(|run| section(run) == wanted).count();
        (self.waiting, self.active) = (of(Section::Waiting), of(Section::Active));
        self.line_up();
        let wanted: Vec<&str> = self.filter.split_whitespace().collect();
        let mut rows: Vec<(Section, std::cmp::Reverse<i64>, String, RowId)> = Vec::new();
        for run in self.runs.values() {
            let summary = &run.summary;
            if wanted.is_empty() || says(run, &wanted) {
                let newest = summary.started_at.unwrap_or(summary.created_at).timestamp_micros();
                let id = summary.run_id;
                rows.push((section(run), std::cmp::Reverse(newest), String::new(), RowId::Run(id)));
            }
        }
        for plan in &self.plans {
            let headline = plan.plan.as_ref().map_or("", |plan| plan.headline.as_str());
            if wanted.iter().all(|word| contains(&plan.plan_id, word) || contains(headline, word)) {
                let key = plan.plan_id.to_lowercase();
                rows.push((Section::Plans, std::cmp::Reverse(0), key, RowId::Plan(plan.path.clone())));
            }
        }
        rows.sort();
        let mut sizes: HashMap<Section, usize> = HashMap::new();
        for (section, ..) in &rows {
            *sizes.entry(section.to_owned()).or_insert(0) += 1;
        }
        self.lines.clear();
        let mut current = None;
        for (section, _, _, id) in rows {
            if current != Some(section) {
                if current.is_some() {
                    self.lines.push(Line::Gap);
                }
                current = Some(section);
                self.lines.push(Line::Heading(section, sizes.get(&section).copied().unwrap_or(0)));
            }
            self.lines.push(Line::Row(id));
        }
        if std::mem::take(&mut self.chooses) && self.selected == self.by_itself {
            self.selected = None;
        }
        if self.selected_line().is_none() {
            self.selected = self.lines.iter().find_map(row_id);
            self.by_itself.clone_from(&self.selected);
        }
    }

    /// Has the list made anew before the next frame.
    pub fn touch(&mut self) {
        self.stale = true;
    }

    /// The line of the selected row.
    pub fn selected_line(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.lines.iter().position(|line| matches!(line, Line::Row(id) if id == selected))
    }

    /// Whether the line above is a heading.
    pub fn is_first_of_group(&self, line: usize) -> bool {
        line.checked_sub(1).is_some_and(|above| matches!(self.lines.get(above), Some(Line::Heading(..))))
    }

    /// Moves the selection by a number of rows; headings are passed over.
    pub fn step(&mut self, by: isize) {
        let rows: Vec<&RowId> =
            self.lines.iter().filter_map(|line| if let Line::Row(id) = line { Some(id) } else { None }).collect();
        if rows.is_empty() {
            return;
        }
        let current =
            self.selected.as_ref().and_then(|selected| rows.iter().position(|id| *id == selected)).unwrap_or(0);
        let next = current.saturating_add_signed(by).min(rows.len() - 1);
        self.selected = Some(rows[next].clone());
    }
}

/// Whether each of these words stands in a run's row, or would if there were room.
fn says(run: &ListedRun, wanted: &[&str]) -> bool {
    let summary = &run.summary;
    let (id, standing, fork) = (summary.short_id(), words::standing(run), words::fork_of(summary));
    let place = run.elsewhere().map(|owner| process(owner.pid));
    let mut said =
        vec![&summary.plan_id, &summary.headline, &summary.user, summary.status.word(), state_word(run), &id];
    let finishing = words::finishing(run);
    said.extend([&standing, &fork, &place, &finishing].into_iter().filter_map(|one| one.as_deref()));
    wanted.iter().all(|word| said.iter().any(|said| contains(said, word)))
}

/// A run's state in a word, as its row says it.
pub fn state_word(listed: &ListedRun) -> &'static str {
    let summary = &listed.summary;
    match summary.status {
        _ if summary.cancelling && listed.owned => "cancelling",
        _ if listed.summary.is_halted(listed.owned) => "halted",
        RunStatus::Running if summary.rolling_back => "undoing",
        status => status.word(),
    }
}

fn row_id(line: &Line) -> Option<RowId> {
    if let Line::Row(id) = line { Some(id.clone()) } else { None }
}

pub(super) fn is_active(run: &RunSummary) -> bool {
    run.status == RunStatus::Running || run.cancelling || run.bound_to_engine() > 0
}

/// What decides whether and where a run stands in the list and in the strip. As long as that stays, just its row is drawn anew: of a thousand runs
/// that go on, each says so again and again.
fn placement(run: &ListedRun) -> impl PartialEq + use<> {
    let summary = &run.summary;
    let calls = calls(run);
    // Those that call stand in the order in which they were heard of last.
    let times = (summary.started_at, summary.created_at, calls.then_some(summary.updated_at));
    (section(run), is_active(summary), calls, run.owned, run.ours, times, summary.status)
}

/// In which group a run stands.
pub fn section(listed: &ListedRun) -> Section {
    let run = &listed.summary;
    match run.status {
        // On disk it says it runs, and no engine runs it: somebody must take it over.
        _ if run.is_halted(listed.owned) => Section::Waiting,
        _ if run.cancelling => Section::Active,
        RunStatus::Paused => Section::Waiting,
        RunStatus::Running
            if run.asking + run.counts.of(StepStatus::Held) + run.counts.of(StepStatus::InReview) > 0 =>
        {
            Section::Waiting
        }
        RunStatus::Running => Section::Active,
        RunStatus::Idle => Section::Idle,
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => Section::Ended,
    }
}
