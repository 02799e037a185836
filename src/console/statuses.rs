//! The status of every step of an open run, side by side. What has to look at all steps of a run that goes on looks here: at a byte a step, and not at
//! the states themselves, which lie all over the memory.

use std::sync::Arc;

use crate::plan::order::Order;
use crate::run::{Recorded, RunState, StepStatus, Touched};

/// The statuses, as they are followed event by event.
#[derive(Debug, Default)]
pub struct Statuses {
    /// By position.
    all: Vec<StepStatus>,
    /// Of which steps; nothing when they are to be looked at anew.
    of: Option<Arc<Order>>,
}

impl Statuses {
    /// An event was folded into the state.
    pub fn follow(&mut self, recorded: &Recorded, state: &RunState) {
        match recorded.event.touches() {
            Touched::Nothing => {}
            Touched::Any => self.forget(),
            Touched::Steps(steps) => {
                for position in steps.iter().filter_map(|step| state.position(step)) {
                    match self.all.get_mut(position) {
                        Some(status) => *status = state.steps[position].status,
                        None => self.of = None,
                    }
                }
            }
        }
    }

    /// The state is another one.
    pub fn forget(&mut self) {
        self.of = None;
    }

    /// Looks at all steps anew, where it has to.
    pub fn refresh(&mut self, state: &RunState) {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, state.structure())) {
            self.all.clear();
            self.all.extend(state.steps.iter().map(|step| step.status));
            self.of = Some(Arc::clone(state.structure()));
        }
    }

    /// By position, as they were at the last [`Statuses::refresh`] and have been told since.
    pub fn all(&self) -> &[StepStatus] {
        &self.all
    }
}
