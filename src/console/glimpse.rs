//! What is seen of the selected run or plan below the list, where the list leaves room: its steps, those first that matter now. It is read in a task of
//! its own, for the selected row alone, and not again before the run has gone on and some time has passed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::EngineHandle;
use crate::plan::{Plan, Terms};
use crate::run::{RunState, StepStatus};

use super::app::{App, Place};
use super::listing;
use super::plans::{self, Shelf};
use super::runs_model::RowId;
use super::{text, views};

/// No more steps than this are kept in sight: no screen has room for more.
const KEPT: usize = 100;
/// Whoever goes on to another row sooner has nothing read for this one.
const SETTLED: Duration = Duration::from_millis(80);
/// A run with so many steps is read again a second later than a small one.
const STEPS_A_SECOND: i64 = 1000;

/// What is seen of a row.
#[derive(Debug, Clone)]
pub enum Glimpse {
    /// Of a run.
    Run {
        /// As it was when it was read.
        state: Arc<RunState>,
        /// The positions of its steps, those that matter most first.
        steps: Vec<usize>,
    },
    /// Of a plan that may be run.
    Plan(Arc<Plan>),
    /// Of a plan with problems: what they are.
    Problems(Vec<String>),
}

/// A row of which something is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub row: RowId,
    /// Something of it is seen already: it is not waited whether the operator goes on.
    pub again: bool,
}

/// What is seen, and what was asked for.
#[derive(Debug, Default)]
pub struct Glimpses {
    /// Of which row, how far that was then, and when it was asked for.
    asked: Option<(RowId, u64, DateTime<Utc>)>,
    seen: Option<(RowId, Glimpse)>,
    /// What is to be read.
    pub wanted: Option<Wanted>,
}

impl Glimpses {
    /// What is seen of a row.
    pub fn of(&self, row: &RowId) -> Option<&Glimpse> {
        self.seen.as_ref().filter(|(seen, _)| seen == row).map(|(_, glimpse)| glimpse)
    }

    /// The plans' files may hold something else now.
    pub(super) fn forget_plan(&mut self) {
        self.asked.take_if(|(row, ..)| matches!(row, RowId::Plan(_)));
    }
}

/// Which steps matter most to whoever looks for a moment: what waits for a person or has failed, then what is under way, then what comes next.
fn weight(state: &RunState, position: usize) -> u8 {
    match listing::shown(state, position).0 {
        StepStatus::Failed | StepStatus::Interrupted => 0,
        StepStatus::Held | StepStatus::InReview => 1,
        StepStatus::Running | StepStatus::Stopping | StepStatus::Waiting => 2,
        StepStatus::Pending => 3,
        StepStatus::Completed | StepStatus::Skipped | StepStatus::Cancelled => 4,
    }
}

impl Glimpse {
    /// Of a run. Cost: its steps.
    pub fn of_run(state: Arc<RunState>) -> Self {
        let mut steps = state.reading_order();
        steps.retain(|position| state.parent(*position).is_none());
        steps.sort_by_key(|position| weight(&state, *position));
        steps.truncate(KEPT);
        Self::Run { state, steps }
    }
}

/// Reads what is seen of a row; nothing where it cannot be read.
pub async fn read(handle: &EngineHandle, wanted: &Wanted, (terms, shelf): (Terms, Shelf)) -> Option<Glimpse> {
    if !wanted.again {
        tokio::time::sleep(SETTLED).await;
    }
    match &wanted.row {
        RowId::Run(run) => {
            let state = handle.state_once_open(*run).await.ok()?;
            tokio::task::spawn_blocking(move || Glimpse::of_run(state)).await.ok()
        }
        RowId::Plan(path) => Some(plan(path.clone(), terms, shelf).await),
    }
}

async fn plan(path: PathBuf, terms: Terms, shelf: Shelf) -> Glimpse {
    match plans::read(path, terms, shelf).await {
        (_, Some(plan)) => Glimpse::Plan(plan),
        (entry, None) => Glimpse::Problems(text::clean_lines(&entry.report).map(|line| line.into_owned()).collect()),
    }
}

impl App {
    /// Asks for what is seen of the selected row, if there is room for it and it is not known yet. Done once before a frame.
    pub(super) fn refresh_glimpse(&mut self) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let room = views::runs::glimpse_area(area, self.tour, self.runs.lines().len());
        let row = self.runs.selected.clone().filter(|_| self.place == Place::Runs && room.is_some());
        let Some(row) = row else {
            self.glimpses = Glimpses::default();
            return;
        };
        // What is looked at in a moment is another thing, and both may be large.
        if self.making || self.opening.is_some() {
            return;
        }
        let run = match &row {
            RowId::Run(run) => self.runs.run(*run),
            RowId::Plan(_) => None,
        };
        let (seq, steps) = run.map_or((0, 0), |run| (run.summary.seq, i64::from(run.summary.counts.total())));
        let again = match &self.glimpses.asked {
            Some((asked, ..)) if *asked != row => false,
            Some((_, seen, _)) if *seen == seq => return,
            Some((.., at)) if self.now - *at < TimeDelta::seconds(1 + steps / STEPS_A_SECOND) => return,
            Some(_) => true,
            None => false,
        };
        self.glimpses.asked = Some((row.clone(), seq, self.now));
        self.glimpses.wanted = Some(Wanted { row, again });
    }

    /// Something of a row has been read.
    pub(super) fn glimpsed(&mut self, row: RowId, glimpse: Option<Glimpse>) {
        if self.glimpses.asked.as_ref().is_some_and(|(asked, ..)| *asked == row) {
            self.glimpses.seen = glimpse.map(|glimpse| (row, glimpse));
        }
    }
}
