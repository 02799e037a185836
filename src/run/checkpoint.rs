//! The marks of checkpoints: places in the journal to which a run can go back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RunStatus, StepStatus};

/// What made a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointCause {
    /// The run started.
    Started,
    /// A step came to an end.
    Step,
    /// The run paused.
    Paused,
    /// The run ended.
    Ended,
    /// The run went back to an older checkpoint.
    Restored,
}

/// What became of a step, or of the run, at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was completed.
    Completed,
    /// It failed.
    Failed,
    /// The step was skipped.
    Skipped,
    /// The run was cancelled.
    Cancelled,
}

impl Ending {
    /// In the order of their numbers in a file.
    const ALL: [Ending; 4] = [Ending::Completed, Ending::Failed, Ending::Skipped, Ending::Cancelled];

    pub(super) fn of_step(status: StepStatus) -> Option<Self> {
        match status {
            StepStatus::Completed => Some(Ending::Completed),
            StepStatus::Failed => Some(Ending::Failed),
            StepStatus::Skipped => Some(Ending::Skipped),
            _ => None,
        }
    }

    pub(super) fn of_run(status: RunStatus) -> Option<Self> {
        match status {
            RunStatus::Completed => Some(Ending::Completed),
            RunStatus::Failed => Some(Ending::Failed),
            RunStatus::Cancelled => Some(Ending::Cancelled),
            RunStatus::Idle | RunStatus::Running | RunStatus::Paused => None,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        self.as_step().word()
    }

    /// What is said of a run that ended so.
    pub(super) fn as_run_ended(self) -> &'static str {
        match self {
            Ending::Completed => "was completed",
            Ending::Cancelled => "was cancelled",
            Ending::Failed | Ending::Skipped => "failed",
        }
    }

    /// The status of a step that ended so.
    pub fn as_step(self) -> StepStatus {
        match self {
            Ending::Completed => StepStatus::Completed,
            Ending::Failed => StepStatus::Failed,
            Ending::Skipped => StepStatus::Skipped,
            Ending::Cancelled => StepStatus::Cancelled,
        }
    }
}

/// A checkpoint: a place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "CheckpointTuple", into = "CheckpointTuple")]
pub struct CheckpointMark {
    /// Its place; the id is made from it.
    pub seq: u64,
    /// When.
    pub time: DateTime<Utc>,
    /// How many steps were completed or skipped.
    pub step_index: u32,
    /// What made it.
    pub cause: CheckpointCause,
    /// Which step came to an end (cause `step`): its number in the run, see [`RunState::step_name`](super::RunState::step_name).
    pub step: Option<u32>,
    /// How the step (cause `step`) or the run (cause `ended`) ended; not known of a mark that an older version has written.
    pub ending: Option<Ending>,
}

/// There is one mark a step, so they are written without field names, and the ending as its number among [`Ending::ALL`].
#[derive(Serialize, Deserialize)]
struct CheckpointTuple(
    u64,
    i64,
    u32,
    CheckpointCause,
    Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>,
);

impl From<CheckpointTuple> for CheckpointMark {
    fn from(CheckpointTuple(seq, micros, step_index, cause, step, ending): CheckpointTuple) -> Self {
        let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        let ending = ending.and_then(|number| Ending::ALL.get(usize::from(number)).copied());
        Self { seq, time, step_index, cause, step, ending }
    }
}

impl From<CheckpointMark> for CheckpointTuple {
    fn from(mark: CheckpointMark) -> Self {
        let ending = mark.ending.map(|ending| ending as u8);
        Self(mark.seq, mark.time.timestamp_micros(), mark.step_index, mark.cause, mark.step, ending)
    }
}

/// The id of the checkpoint at a place in the journal, for example `cp-42`.
pub fn checkpoint_id(seq: u64) -> String {
    format!("cp-{seq}")
}

/// The place a checkpoint id names: `cp-42` or `42`.
pub fn parse_checkpoint_id(id: &str) -> Option<u64> {
    id.strip_prefix("cp-").unwrap_or(id).parse().ok()
}
