//! Which steps the list of steps shows: every step that was written, and the instances of a `foreach` step when it is opened, or when a filter
//! looks for them.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::plan::Plan;
use crate::plan::order::Order;
use crate::run::{Counts, RunState, STEP_STATUSES, StepStatus};

use super::run_model::contains;
use super::{text, words};

/// No row.
const NONE: u32 = u32::MAX;

/// What a list shows that is not simply every step in the plan's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By row: the position of the step.
    positions: Vec<usize>,
    /// By position.
    rows: Vec<u32>,
}

impl Listing {
    /// The rows with these steps; of closed `foreach` steps without the instances. `None` when that is every step in the plan's order.
    pub fn of(state: &RunState, opened: &HashSet<String>) -> Option<Self> {
        if state.plan.written() == state.steps.len() {
            return None;
        }
        let seen = |position: &usize| {
            let parent = state.parent(*position).and_then(|parent| state.plan.steps.get(parent));
            parent.is_none_or(|parent| opened.contains(&parent.step_id))
        };
        Some(Self::from(state, state.reading_order().into_iter().filter(seen).collect()))
    }

    /// The rows with these steps.
    pub fn from(state: &RunState, positions: Vec<usize>) -> Self {
        let mut rows = vec![NONE; state.steps.len()];
        for (row, position) in positions.iter().enumerate() {
            rows[*position] = row as u32;
        }
        Self { positions, rows }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The positions of the steps, by row.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The position of the step in a row.
    pub fn position(&self, row: usize) -> Option<usize> {
        self.positions.get(row).copied()
    }

    /// The row of a step, if it has one.
    pub fn row(&self, position: usize) -> Option<usize> {
        self.rows.get(position).filter(|row| **row != NONE).map(|row| *row as usize)
    }
}

/// Which of a filter's words stand in which step. What a step is called does not change while the run goes on, so it is looked at once.
#[derive(Debug, Clone)]
pub struct Matching {
    filter: String,
    /// Of which steps.
    of: Arc<Order>,
    /// As people read the steps: position, and a bit for each word.
    found: Vec<(u32, u32)>,
    /// The same for each status.
    of_status: [u32; STEP_STATUSES.len()],
    all: u32,
    /// The state that was looked at last.
    seq: Option<u64>,
}

impl Matching {
    /// Cost: the steps and what they are called.
    pub fn new(state: &RunState, filter: &str) -> Self {
        // A bit each; nobody types more.
        let words: Vec<&str> = filter.split_whitespace().take(u32::BITS as usize).collect();
        let bits = |has: &dyn Fn(&str) -> bool| {
            words.iter().enumerate().filter(|(_, word)| has(word)).fold(0, |bits, (place, _)| bits | 1 << place)
        };
        let all = bits(&|_| true);
        let of_status = STEP_STATUSES.map(|status| {
            bits(&|word| contains(status.word(), word) || contains(super::theme::step_word(status), word))
        });
        let found = state.reading_order().into_iter().map(|position| {
            let step = &state.plan.steps[position];
            let item = state.item(position).map(|(_, item)| item_in_words(item));
            let has = |word: &str| {
                contains(&step.step_id, word)
                    || item.as_ref().is_some_and(|item| contains(item, word))
                    || step.name.as_deref().is_some_and(|name| contains(name, word))
                    || contains(step.agent_label(), word)
            };
            (position as u32, bits(&has))
        });
        Self {
            filter: filter.to_owned(),
            of: Arc::clone(state.structure()),
            found: found.collect(),
            of_status,
            all,
            seq: None,
        }
    }

    /// Whether it is of these steps and this filter.
    pub fn is_of(&self, state: &RunState, filter: &str) -> bool {
        self.filter == filter && Arc::ptr_eq(&self.of, state.structure())
    }

    /// The positions of the steps in which every word stands, as people read them; nothing when the run has not gone on since they were asked for last.
    pub fn passing(&mut self, seq: u64, statuses: &[StepStatus]) -> Option<Vec<usize>> {
        if self.seq.replace(seq) == Some(seq) {
            return None;
        }
        let passes = |(position, bits): &(u32, u32)| {
            let of_status = statuses.get(*position as usize).map_or(0, |status| self.of_status[*status as usize]);
            (bits | of_status == self.all).then_some(*position as usize)
        };
        Some(self.found.iter().filter_map(passes).collect())
    }
}

/// How much room the names and agents of a plan's steps want, in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Widths {
    /// The longest id with its name behind it, and the mark of a hold point before it: any step can get one at any time.
    pub name: u16,
    /// The longest agent.
    pub agent: u16,
    /// All steps have the same agent.
    pub same_agent: bool,
}

/// Columns of the mark before a step that has a hold point.
const HOLD_MARK: usize = 2;
/// Columns of what an instance's id has more than its step's: it stands further to the right, and has a number behind a dot.
const INSTANCE: usize = 2 + 4;

impl Widths {
    /// So many steps are looked at: a plan may have a hundred thousand.
    const LOOKED_AT: usize = 1000;

    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let own = plan.steps.iter().take(Self::LOOKED_AT).filter(|step| step.generated.is_none());
        let mut widths = Self { same_agent: true, ..Self::default() };
        let first = plan.steps.first().map_or("", |step| step.agent_label());
        for step in own {
            let title =
                step.name.as_deref().filter(|name| *name != step.step_id).map_or(0, |name| text::width(name) + 2);
            let instances = if step.foreach.is_some() { INSTANCE } else { 0 };
            widths.name = widths.name.max((text::width(&step.step_id) + (title + HOLD_MARK).max(instances)) as u16);
            widths.agent = widths.agent.max(text::width(step.agent_label()) as u16);
            widths.same_agent &= step.agent_label() == first;
        }
        widths
    }
}

/// How a step stands in one word: a `foreach` step that has its instances and no end yet as those do that matter most.
pub fn shown_status(state: &RunState, position: usize) -> StepStatus {
    let own = state.steps[position].status;
    let counts = match state.instance_counts(position) {
        Some(counts) if own == StepStatus::Pending => counts,
        _ => return own,
    };
    let by_weight = [
        StepStatus::Running,
        StepStatus::Stopping,
        StepStatus::Failed,
        StepStatus::Interrupted,
        StepStatus::InReview,
        StepStatus::Held,
        StepStatus::Waiting,
        StepStatus::Cancelled,
    ];
    by_weight.into_iter().find(|status| counts.of(*status) > 0).unwrap_or(own)
}

/// How a step is shown: the state whose glyph and colour it gets, and the word.
pub fn shown(state: &RunState, position: usize) -> (StepStatus, &'static str) {
    if state.steps[position].question().is_some() {
        return (StepStatus::Held, "asks you");
    }
    let status = shown_status(state, position);
    (status, super::theme::step_word(status))
}

/// An item, on one line: a text as it is, anything else as JSON. No longer than a row could show.
pub fn item_in_words(item: &Value) -> String {
    const LONGEST: usize = 200;
    match item {
        Value::String(text) => text.chars().take(LONGEST).collect(),
        Value::Array(_) | Value::Object(_) => item.to_string().chars().take(LONGEST).collect(),
        other => other.to_string(),
    }
}

/// How the instances of a step stand, on one line: `12 of 40 · 3 running · 1 failed`.
pub fn instances_in_words(counts: &Counts) -> String {
    let statuses = [
        StepStatus::Running,
        StepStatus::Failed,
        StepStatus::Stopping,
        StepStatus::Waiting,
        StepStatus::Held,
        StepStatus::InReview,
        StepStatus::Interrupted,
        StepStatus::Cancelled,
        StepStatus::Skipped,
    ];
    let done = format!("{} of {}", words::thousands(counts.done() as usize), words::thousands(counts.total() as usize));
    let said = words::counted(counts, &statuses, super::theme::step_word);
    std::iter::once(done).chain(said).collect::<Vec<_>>().join(" · ")
}
