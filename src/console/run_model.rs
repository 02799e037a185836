//! The open run as the console knows it: its state, which is the published one, and what the operator looks at.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::engine::{Batch, Owner};
use crate::plan::order::Order;
use crate::run::{Alert, AlertRules, Event, Recorded, RunState, RunStatus, StepState, Times, leave_alone};

use super::document::Document;
use super::estimate::Estimate;
use super::graph::Graph;
use super::left_behind::LeftBehind;
use super::listing::{Listing, Matching, Widths};
use super::log::Log;
use super::marks::Marks;
use super::metrics::Numbers;
use super::rows::{Row, Rows, View};
use super::statuses::Statuses;
use super::text;

/// Who owns the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// This engine: what is shown is live.
    Ours,
    /// Another process, this one, in whose engine this console acts: what is shown is live.
    Attached(u32),
    /// Another process: shown as it was when it was read, at most a second ago.
    Elsewhere(Owner),
    /// Nobody: shown as it lies on disk.
    Nobody,
    /// Nobody, and its journal is damaged: it can be read up to the damage and not be opened.
    Damaged(String),
}

impl Ownership {
    /// Whether some engine has the run, so that time passes for it.
    pub fn is_live(&self) -> bool {
        matches!(self, Ownership::Ours | Ownership::Attached(_) | Ownership::Elsewhere(_))
    }

    /// Whether this console speaks to the engine that has it.
    pub fn is_reached(&self) -> bool {
        matches!(self, Ownership::Ours | Ownership::Attached(_))
    }
}

/// The panes of an open run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The list of steps.
    Steps,
    /// The selected step.
    Detail,
    /// The log.
    Log,
}

/// The tabs of the detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// What the attempt printed.
    Output,
    /// What it gave back.
    Result,
    /// What the plan says.
    Definition,
    /// Every attempt.
    Attempts,
}

/// The tabs in their order, with their titles.
pub const TABS: [(Tab, &str); 4] =
    [(Tab::Output, "Output"), (Tab::Result, "Result"), (Tab::Definition, "Definition"), (Tab::Attempts, "Attempts")];

/// How far an attempt says it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Which attempt.
    pub attempt: u32,
    /// 0..1, if it says.
    pub value: Option<f64>,
    /// What it is doing, neutralised.
    pub message: Option<String>,
}

/// The list of steps: what is selected, what is seen of it.
#[derive(Debug, Clone, Default)]
pub struct StepList {
    /// Id of the selected step: a place would mean another step when the list changes.
    pub selected: Option<String>,
    /// Whether the operator chose it; until then the selection goes along with what happens.
    pub chosen: bool,
    /// First row that is seen.
    pub offset: usize,
    /// The filter, lower case; empty: none.
    pub filter: String,
    /// Which steps the list shows; `None`: every step in the plan's order.
    pub listing: Option<Listing>,
    /// Of which steps it was made without a filter, and how many of them were opened: one is opened or closed at a time.
    listed: Option<(Arc<Order>, usize)>,
    /// What of the filter's words stands in which step.
    matching: Option<Matching>,
    /// The `foreach` steps, by id, of which the instances are seen.
    pub opened: HashSet<String>,
    /// Ids of the marked steps.
    pub marked: Marks<String>,
    /// The selected heading; no step is selected then.
    pub heading: Option<String>,
    /// How the steps are shown, and the rows of that.
    pub rows: Rows,
    /// How much room they want.
    pub widths: Widths,
}

impl StepList {
    /// Whether only what passes a filter is seen.
    pub fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }
}

/// An open run.
#[derive(Debug)]
pub struct OpenRun {
    /// The durable state.
    pub state: RunState,
    /// The status of each step of it.
    pub statuses: Statuses,
    /// Who owns it.
    pub ownership: Ownership,
    /// Its engine ended before it was through: what is shown is what taking it over finds.
    pub halted: bool,
    /// Its events as sentences.
    pub log: Log,
    rules: AlertRules,
    /// What is to be told, and was not yet.
    alerts: Vec<Alert>,
    /// The list of steps.
    pub list: StepList,
    /// Which pane has the keys.
    pub focus: Pane,
    /// Whether it has the whole screen.
    pub zoom: bool,
    /// Which tab of the detail is seen.
    pub tab: Tab,
    /// The chosen attempt; `None`: the newest.
    pub attempt: Option<u32>,
    /// The attempts of the selected step that going back has left behind.
    pub left: LeftBehind,
    /// The step and the attempt that were opened from the list of attempts.
    pub(super) from_attempts: Option<(String, u32)>,
    /// What attempts say of their progress, by step.
    pub progress: HashMap<String, Progress>,
    /// What the system said when the disk did not take the journal.
    pub storage: Option<String>,
    /// The text of the result or the definition.
    pub document: Document,
    /// Lines scrolled back in the log.
    pub log_back: usize,
    /// The plan as a drawn graph.
    pub graph: Graph,
    /// A step that is selected as soon as it is there.
    awaited: Option<String>,
    /// What is to come of it.
    pub estimate: Estimate,
    /// What has become of it, in numbers.
    pub numbers: Numbers,
}

impl OpenRun {
    /// A run that was just opened or read.
    pub fn new(state: RunState, recent: &[std::sync::Arc<Recorded>], ownership: Ownership, rules: AlertRules) -> Self {
        let mut run = Self {
            halted: false,
            log: Log::default(),
            rules,
            alerts: Vec::new(),
            list: StepList::default(),
            focus: Pane::Steps,
            zoom: false,
            tab: Tab::Output,
            attempt: None,
            left: LeftBehind::default(),
            from_attempts: None,
            progress: HashMap::new(),
            storage: None,
            document: Document::default(),
            log_back: 0,
            graph: Graph::default(),
            awaited: None,
            estimate: Estimate::default(),
            numbers: Numbers::default(),
            statuses: Statuses::default(),
            ownership,
            state,
        };
        run.adopt(recent);
        run.refresh_rows();
        run.list.selected = run.watched().or_else(|| run.state.plan.steps.first().map(|step| step.step_id.clone()));
        run
    }

    /// Takes over a state that was read anew (after falling behind, after taking the run over); what the operator looks at stays.
    pub fn replace(&mut self, state: RunState, recent: &[std::sync::Arc<Recorded>], ownership: Ownership) {
        self.state = state;
        self.ownership = ownership;
        self.adopt(recent);
        self.keep_selection();
        self.arrange();
    }

    fn adopt(&mut self, recent: &[std::sync::Arc<Recorded>]) {
        self.numbers = Numbers::default();
        self.statuses.forget();
        self.log = Log::of(self.rules, recent, &self.state);
        self.halted = self.ownership == Ownership::Nobody && leave_alone(&mut self.state);
    }

    /// Takes a batch in: event by event, since its followers see the state after each; from then on the state is the published one.
    pub fn apply(&mut self, batch: &Batch) {
        let (place, plan) = (self.position(), self.state.plan_version);
        let Self { state, numbers, estimate, statuses, log, alerts, progress, .. } = self;
        batch.follow(state, |recorded, state| {
            numbers.take(recorded, state);
            estimate.follow(recorded, state);
            statuses.follow(recorded, state);
            alerts.extend(log.push(recorded, state));
            match &recorded.event {
                Event::AttemptEnded { step, .. } | Event::AttemptStarted { step, .. } => {
                    progress.remove(step);
                }
                _ => {}
            }
        });
        if self.state.plan_version != plan {
            self.arrange();
        }
        let awaited = self.awaited.as_ref().and_then(|id| self.state.position(id));
        if let Some(position) = awaited {
            self.awaited = None;
            self.select(position);
        }
        self.keep_place(place);
        if self.log_back > 0 {
            self.log_back += batch.events.len().min(self.log.lines().len());
        }
    }

    /// The alerts that nobody was told yet.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// What to look at while the operator has not chosen: what waits for a person, then the newest that runs, then what is next.
    fn watched(&self) -> Option<String> {
        let state = &self.state;
        let current = self.list.selected.as_deref().and_then(|id| state.position(id));
        let place = state.needs_person().first().copied().or_else(|| {
            let runs = |place: &usize| {
                let own = state.steps[*place].status.is_live();
                own || state.instance_counts(*place).is_some_and(|counts| counts.live() > 0)
            };
            let next =
                || state.live().next().map(|live| state.parent(live).filter(|_| !self.sees(live)).unwrap_or(live));
            current.filter(runs).or_else(next)
        });
        place.map(|place| state.plan.steps[place].step_id.clone())
    }

    /// The selected step is the operator's choice from here on.
    pub fn stay(&mut self) {
        self.list.chosen = true;
    }

    /// The selection goes along with what happens again.
    pub fn follow(&mut self) {
        (self.list.chosen, self.list.heading) = (false, None);
        self.keep_selection();
    }

    /// Lets the selection go along with what happens, until the operator chooses. Done once before a frame.
    pub fn follow_selection(&mut self) {
        if !self.list.chosen
            && let Some(watched) = self.watched()
            && self.list.selected.as_ref() != Some(&watched)
        {
            self.list.selected = Some(watched);
            self.attempt = None;
        }
        if let Some(position) = self.position() {
            self.open_above(position);
        }
    }

    /// Whether an instance has a row of its own.
    fn sees(&self, position: usize) -> bool {
        let parent = self.state.parent(position).map(|parent| &self.state.plan.steps[parent].step_id);
        parent.is_none_or(|parent| self.list.opened.contains(parent))
    }

    /// A selected step that was removed leaves the selection to the one that stands there now.
    fn keep_place(&mut self, place: Option<usize>) {
        if let Some(place) = place.filter(|_| self.position().is_none()) {
            // Of an instance that is gone, the step is there.
            let parent = self.list.selected.as_deref().and_then(|id| self.state.position(id.split_once('.')?.0));
            let place = parent.unwrap_or(place).min(self.state.plan.steps.len().saturating_sub(1));
            self.list.selected = self.state.plan.steps.get(place).map(|step| step.step_id.clone());
            self.attempt = None;
        }
    }

    fn keep_selection(&mut self) {
        if self.list.heading.is_some() {
            return;
        }
        let known = self.list.selected.as_deref().is_some_and(|id| self.state.position(id).is_some());
        if !known {
            self.list.selected = self.state.plan.steps.first().map(|step| step.step_id.clone());
        }
    }

    /// The run's id.
    pub fn id(&self) -> Uuid {
        self.state.run_id
    }

    /// Position of the selected step.
    pub fn position(&self) -> Option<usize> {
        self.state.position(self.list.selected.as_deref()?)
    }

    /// State of the selected step.
    pub fn step(&self) -> Option<&StepState> {
        self.state.steps.get(self.position()?)
    }

    /// The attempt that is looked at: the chosen one, else the newest.
    pub fn shown_attempt(&self) -> Option<&crate::run::Attempt> {
        let step = self.step()?;
        let left = || self.left.attempts(self.list.selected.as_deref().unwrap_or_default());
        let chosen = self.attempt.and_then(|number| {
            let here = step.attempts.iter().find(|one| one.number == number);
            here.or_else(|| Some(&left().iter().find(|one| one.attempt.number == number)?.attempt))
        });
        chosen.or_else(|| step.attempts.last()).map(|attempt| attempt.as_ref())
    }

    /// How many rows the steps have.
    pub fn row_count(&self) -> usize {
        match (self.list.rows.view, &self.list.listing) {
            (View::List, Some(listing)) => listing.len(),
            (View::List, None) => self.state.steps.len(),
            _ => self.list.rows.len(),
        }
    }

    /// Position of the step in a row; `None` for a heading.
    pub fn row(&self, row: usize) -> Option<usize> {
        match (self.list.rows.view, &self.list.listing) {
            (View::List, Some(listing)) => listing.position(row),
            (View::List, None) => (row < self.state.steps.len()).then_some(row),
            _ => match self.list.rows.get(row)? {
                Row::Step(step) => Some(step.position),
                Row::Heading(_) => None,
            },
        }
    }

    /// The row of the selected step, or of the selected heading; `None` when the filter hides it.
    pub fn selected_row(&self) -> Option<usize> {
        match &self.list.heading {
            Some(heading) => self.list.rows.heading_row(heading),
            None => self.row_of(self.position()?),
        }
    }

    /// The row of a step, or the one it is folded into, of an instance that is not seen that of its step; `None` when the filter hides it.
    pub fn row_of(&self, position: usize) -> Option<usize> {
        let own = match (self.list.rows.view, &self.list.listing) {
            (View::List, Some(listing)) => listing.row(position),
            (View::List, None) => Some(position),
            _ => self.list.rows.row_of(position),
        };
        own.or_else(|| self.row_of(self.state.parent(position)?))
    }

    /// Positions of the steps in rows.
    pub fn rows(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, usize)> + '_ {
        rows.filter_map(|row| Some((row, self.row(row)?)))
    }

    /// Selects the step in a row, as the operator's choice.
    pub fn select_row(&mut self, row: usize) {
        let row = row.min(self.row_count().saturating_sub(1));
        if let Some(position) = self.row(row) {
            self.select(position);
        } else if let Some(Row::Heading(section)) = self.list.rows.get(row) {
            self.list.heading = self.list.rows.key(section).map(str::to_owned);
            self.list.selected = None;
            self.list.chosen = true;
            self.attempt = None;
        }
    }

    /// Selects a step, as the operator's choice.
    pub fn select(&mut self, position: usize) {
        self.reveal(position);
        let Some(step) = self.state.plan.steps.get(position) else { return };
        self.list.chosen = true;
        self.list.heading = None;
        if self.list.selected.as_deref() != Some(&step.step_id) {
            self.list.selected = Some(step.step_id.clone());
            self.attempt = None;
        }
        self.open_above(position);
    }

    /// Selects a step that something else than the list has led to: no filter hides it.
    pub fn show_step(&mut self, position: usize) {
        self.graph.group = None;
        if !self.list.filter.is_empty() {
            self.list.filter.clear();
            self.refresh_rows();
        }
        self.select(position);
    }

    /// Lets an instance be seen.
    fn open_above(&mut self, position: usize) {
        if let Some(parent) = self.state.parent(position)
            && self.list.opened.insert(self.state.plan.steps[parent].step_id.clone())
        {
            self.refresh_rows();
        }
    }

    /// Opens the selected `foreach` step, or closes it, from one of its instances as well; whether there was anything to open or close.
    pub fn toggle(&mut self) -> bool {
        let Some(position) = self.position() else { return false };
        if self.list.is_filtered() || self.state.instances(position).is_none() {
            return false;
        }
        let id = &self.state.plan.steps[position].step_id;
        if !self.list.opened.remove(id) {
            self.list.opened.insert(id.clone());
        }
        self.list.chosen = true;
        self.refresh_rows();
        true
    }

    /// Finds anew which rows there are, where they may be others. Cost: while there is a filter and the run goes on, a few bytes a step, so it is done
    /// once before a frame.
    pub fn refresh_rows(&mut self) {
        self.statuses.refresh(&self.state);
        if self.list.filter.is_empty() {
            self.list.matching = None;
            let is_of = |(order, opened): &(Arc<Order>, usize)| {
                Arc::ptr_eq(order, self.state.structure()) && *opened == self.list.opened.len()
            };
            if !self.list.listed.as_ref().is_some_and(is_of) {
                self.list.listing = Listing::of(&self.state, &self.list.opened);
                self.list.listed = Some((Arc::clone(self.state.structure()), self.list.opened.len()));
                self.list.widths = Widths::of(&self.state.plan);
                self.arrange();
            }
            return;
        }
        let (filter, state) = (&self.list.filter, &self.state);
        let known = self.list.matching.take().filter(|matching| matching.is_of(state, filter));
        let (is_new, mut matching) = (known.is_none(), known.unwrap_or_else(|| Matching::new(state, filter)));
        let same = |positions: &Vec<usize>| {
            !is_new && self.list.listing.as_ref().is_some_and(|listing| listing.positions() == positions)
        };
        let other = matching.passing(state.seq, self.statuses.all()).filter(|positions| !same(positions));
        self.list.matching = Some(matching);
        if let Some(positions) = other {
            self.list.listing = Some(Listing::from(&self.state, positions));
            self.list.listed = None;
            self.arrange();
        }
        if self.selected_row().is_none()
            && let Some(first) = self.first_step()
        {
            self.list.selected = Some(first);
            self.attempt = None;
        }
    }

    /// Selects a step that may not be there yet.
    pub fn select_when_there(&mut self, id: &str) {
        match self.state.position(id) {
            Some(position) => self.select(position),
            None => self.awaited = Some(id.to_owned()),
        }
    }

    /// Whether some engine has it open.
    pub fn is_live(&self) -> bool {
        self.ownership.is_live()
    }

    /// How long it has worked, and in a pause how long that lasts.
    pub fn times(&self, now: DateTime<Utc>) -> Option<Times> {
        self.state.times(now, self.is_live())
    }

    /// Whether it goes on, now or when it is resumed: then there is something that the selection may follow.
    pub fn moves_on(&self) -> bool {
        self.is_live() && matches!(self.state.status, RunStatus::Running | RunStatus::Paused)
    }

    /// Whether the selection goes along with the run.
    pub fn follows(&self) -> bool {
        !self.list.chosen && self.moves_on()
    }

    /// Whether something of it goes on.
    pub fn ticks(&self) -> bool {
        self.is_live()
            && (self.state.status == RunStatus::Running || self.state.cancelling || self.state.counts().live() > 0)
    }
}

/// Whether a text contains a lower-case word, whatever its case.
pub fn contains(text: &str, word: &str) -> bool {
    if text.is_ascii() && word.is_ascii() {
        return word.is_empty()
            || text.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
    }
    text.to_lowercase().contains(word)
}

/// The name of a step on the screen: its id, and its name where that says more.
pub fn step_title(step: &crate::plan::Step) -> String {
    match step.name.as_deref() {
        Some(name) if name != step.step_id => text::clean(&format!("{}  {name}", step.step_id)).into_owned(),
        _ => text::clean(&step.step_id).into_owned(),
    }
}
