//! Runs that were made only to look at a plan: whoever leaves one in which nothing was done leaves nothing behind. One that was started or changed,
//! for which something was typed, or that was made on purpose, stays.

use uuid::Uuid;

use crate::run::Rejection;

use super::app::{App, Effect};
use super::run_model::OpenRun;
use super::runs_model::RowId;

impl App {
    /// The run is left: what removes it, if it was only looked at.
    pub(super) fn pass_by(&mut self, run: &OpenRun) -> Option<Effect> {
        let id = run.id();
        let plan = self.passing.remove(&id)?;
        if !run.state.is_untouched() || self.is_written_for(id) {
            return None;
        }
        self.runs.hide(id);
        self.visited.retain(|visited| *visited != id);
        if self.runs.selected == Some(RowId::Run(id)) {
            self.runs.selected = Some(RowId::Plan(plan));
        }
        Some(Effect::Discard(id))
    }

    /// The run was removed, or something was done in it meanwhile.
    pub(super) fn discarded(&mut self, run: Uuid, result: Result<(), Rejection>) -> Vec<Effect> {
        match result {
            Ok(()) => Vec::new(),
            Err(_) => {
                self.runs.unhide(run);
                vec![Effect::ListRuns]
            }
        }
    }

    /// The runs to remove when the console ends, unless something was done in them.
    pub(super) fn looked_at_only(&self) -> Vec<Uuid> {
        self.passing.keys().copied().filter(|run| !self.is_written_for(*run)).collect()
    }

    /// A run that something is asked of, or made from, is not there only to be looked at.
    pub(super) fn keep_what_is_acted_on(&mut self, effects: &[Effect]) {
        if self.passing.is_empty() {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Send { run, .. } | Effect::TakeOver { run, .. } | Effect::Fork { run, .. } => {
                    self.passing.remove(run);
                }
                Effect::SendAll(sent) => {
                    for one in sent {
                        self.passing.remove(&one.order.run);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a form was filled in for the run and closed without being sent.
    fn is_written_for(&self, run: Uuid) -> bool {
        self.drafts.iter().any(|form| form.run == run)
    }
}
