//! What has happened, and what may happen next: a run's events, its state, and the pure core that changes it.
//!
//! - [`decide`] turns a request or a report into events, or refuses it. Pure: no I/O, no clock, no randomness.
//! - [`RunState::apply`] folds one event into the state. Total; its cost follows what the event touches.
//! - [`settle`] says what follows by itself: attempts that may start, a pause, an end.
//! - [`advance`] is the loop over the three that the live engine and the property tests share.

mod alert;
mod apply;
mod change;
mod checkpoint;
mod clock;
mod command;
mod decide;
mod digest;
mod durations;
mod event;
mod forecast;
mod gate;
mod health;
mod history;
mod inputs;
mod instances;
mod intervene;
mod lines;
mod outcome;
mod places;
mod preview;
mod question;
mod queue;
mod rollback;
mod signature;
mod snapshot;
mod state;
mod status;
mod step_state;
mod steps;
mod summary;
mod table;
mod undo;
mod why;

pub use alert::{Alert, AlertKind, AlertRules, Watch};
pub use change::{fork_at, still_open};
pub use checkpoint::*;
pub use clock::{Clock, Times};
pub use command::*;
pub use decide::*;
pub use digest::{InputDigest, input_of};
pub use durations::Durations;
pub use event::*;
pub use forecast::*;
pub use gate::*;
pub use health::{
    AgentHealth, DEGRADED_AFTER, Execution, Health, Metrics, QUALITY_NEEDED, Series, Standstill, UNHEALTHY_AFTER,
};
pub use history::*;
pub use inputs::{InputError, Secrets, condition, items, rendered_step, rendered_value};
pub use instances::{Along, Expansion};
pub use intervene::{MAX_PARALLEL_LIMIT, can_resume, no_checkpoint, open_questions, permits, restorable};
pub use outcome::*;
pub use preview::*;
pub use question::*;
pub use signature::{Signature, signed_by};
pub use snapshot::{checkpoints as checkpoint_list, snapshot, versions as version_list};
pub use state::*;
pub use status::*;
pub use step_state::*;
pub use steps::Steps;
pub use summary::*;
pub use undo::{Undoable, newest_undoable};
pub use why::{Outside, Reason, Who, why};

/// Reads a value that is there, `null` as well: what an agent or an operator gave as `null` is not the same as nothing given, and what is
/// folded from the disk must be what was decided.
fn present<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}
