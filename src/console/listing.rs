//! Which steps the list of steps shows: every step that was written, and the instances of a `foreach` step when it is opened, or when a filter
//! looks for them.

use std::collections::HashSet;

use serde_json::Value;

use crate::run::{Counts, RunState, StepStatus};

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

    /// The rows with the steps that pass a filter, instances as well, whether or not they are seen without it.
    pub fn passing(state: &RunState, passes: impl Fn(usize) -> bool) -> Self {
        Self::from(state, state.reading_order().into_iter().filter(|position| passes(*position)).collect())
    }

    fn from(state: &RunState, positions: Vec<usize>) -> Self {
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
    let mut said = format!("{} of {}", counts.done(), counts.total());
    for status in [
        StepStatus::Running,
        StepStatus::Failed,
        StepStatus::Stopping,
        StepStatus::Waiting,
        StepStatus::Held,
        StepStatus::InReview,
        StepStatus::Interrupted,
        StepStatus::Cancelled,
        StepStatus::Skipped,
    ] {
        let number = counts.of(status);
        if number > 0 {
            said.push_str(&format!(" · {number} {}", super::theme::step_word(status)));
        }
    }
    said
}
