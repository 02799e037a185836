//! The states of runs and steps, and how many steps are in each.

use serde::{Deserialize, Serialize};

/// The six states of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Opened, not started.
    Idle,
    /// Attempts may start.
    Running,
    /// No attempt starts; the reasons say why.
    Paused,
    /// Every step is completed or skipped.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended by an operator.
    Cancelled,
}

impl RunStatus {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            RunStatus::Idle => "idle",
            RunStatus::Running => "running",
            RunStatus::Paused => "paused",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
        }
    }

    /// Whether the run has ended (it may still be reopened).
    pub fn is_ended(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
    }
}

/// Why a run is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// An operator asked for it.
    Operator,
    /// A step failed.
    StepFailed,
    /// A step is held.
    Hold,
    /// A result waits for a review.
    Review,
    /// An attempt asks, and waits for a person's answer.
    Question,
    /// The engine was gone; somebody should look first.
    Recovered,
}

impl PauseReason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            PauseReason::Operator => "operator",
            PauseReason::StepFailed => "step_failed",
            PauseReason::Hold => "hold",
            PauseReason::Review => "review",
            PauseReason::Question => "question",
            PauseReason::Recovered => "recovered",
        }
    }
}

/// The states of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not started.
    #[default]
    Pending,
    /// Ready, at a hold point.
    Held,
    /// An attempt runs.
    Running,
    /// An attempt was asked to stop.
    Stopping,
    /// Waits for its next attempt (back-off).
    Waiting,
    /// The result waits for a person's verdict.
    InReview,
    /// Was running when the engine ended; waits for the operator.
    Interrupted,
    /// Done.
    Completed,
    /// Failed for good.
    Failed,
    /// Not to be run; counts as satisfied.
    Skipped,
    /// Stopped by an operator.
    Cancelled,
}

/// Every step status, in the order of [`StepStatus`].
pub const STEP_STATUSES: [StepStatus; 11] = [
    StepStatus::Pending,
    StepStatus::Held,
    StepStatus::Running,
    StepStatus::Stopping,
    StepStatus::Waiting,
    StepStatus::InReview,
    StepStatus::Interrupted,
    StepStatus::Completed,
    StepStatus::Failed,
    StepStatus::Skipped,
    StepStatus::Cancelled,
];

impl StepStatus {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            StepStatus::Pending => "pending",
            StepStatus::Held => "held",
            StepStatus::Running => "running",
            StepStatus::Stopping => "stopping",
            StepStatus::Waiting => "waiting",
            StepStatus::InReview => "in_review",
            StepStatus::Interrupted => "interrupted",
            StepStatus::Completed => "completed",
            StepStatus::Failed => "failed",
            StepStatus::Skipped => "skipped",
            StepStatus::Cancelled => "cancelled",
        }
    }

    /// Whether an attempt is alive.
    pub fn is_live(self) -> bool {
        matches!(self, StepStatus::Running | StepStatus::Stopping)
    }

    /// Whether what depends on the step may go on.
    pub fn is_satisfied(self) -> bool {
        matches!(self, StepStatus::Completed | StepStatus::Skipped)
    }
}

/// How many steps are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts([u32; STEP_STATUSES.len()]);

impl Counts {
    /// How many are in this state.
    pub fn of(&self, status: StepStatus) -> u32 {
        self.0[status as usize]
    }

    /// How many are completed or skipped.
    pub fn done(&self) -> u32 {
        self.of(StepStatus::Completed) + self.of(StepStatus::Skipped)
    }

    /// How many have an attempt that is alive.
    pub fn live(&self) -> u32 {
        self.of(StepStatus::Running) + self.of(StepStatus::Stopping)
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    pub(super) fn moved(&mut self, from: StepStatus, to: StepStatus) {
        self.0[from as usize] = self.0[from as usize].saturating_sub(1);
        self.0[to as usize] += 1;
    }

    /// Those that are not among some of them.
    pub(super) fn without(mut self, some: &Counts) -> Counts {
        for (all, some) in self.0.iter_mut().zip(some.0) {
            *all = all.saturating_sub(some);
        }
        self
    }

    pub(super) fn is_none(&self) -> bool {
        self.total() == 0
    }

    /// Counts one more.
    pub fn add(&mut self, status: StepStatus) {
        self.0[status as usize] += 1;
    }
}
