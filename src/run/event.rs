//! What can happen to a run. The journal is a list of these, and a run's state is their fold.
//!
//! An event carries what was *decided* (for example that a failed attempt is followed by a retry at a certain time), so that a later
//! version of the program that would decide otherwise still folds an old journal to the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::plan::{Edit, FailurePolicy, Plan, Step};

use super::{
    Answer, Durations, InputDigest, Judgement, Outcome, PauseReason, Question, ReviewStatus, Rollback, RollbackEnd,
    StepState,
};

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Place in the journal; the first event is 1. Grows by one and is never used again.
    pub seq: u64,
    /// When it was decided.
    pub time: DateTime<Utc>,
    /// What happened.
    pub event: Event,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A plan was opened: validated, variables bound, run folder made. Always the first event.
    RunRegistered(Box<Registration>),
    /// An engine took ownership of the run.
    EngineOpened {
        /// Grows by one with each owner.
        epoch: u64,
        /// Version of the program.
        version: String,
        /// Process id of the owner.
        pid: u32,
    },
    /// idle → running.
    RunStarted,
    /// Reasons to be paused were added; the run is paused.
    RunPaused {
        /// Why.
        reasons: BTreeSet<PauseReason>,
    },
    /// Every reason to be paused is gone; the run goes on.
    RunResumed,
    /// failed, cancelled or completed → paused (reason `operator`). The steps of a rollback that is over are taken out of the plan.
    RunReopened,
    /// The run is being cancelled; with `kill`, without waiting for the grace period.
    CancelRequested {
        /// KILL now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kill: bool,
    },
    /// The time limit of the whole run is over: its attempts are stopped, and it fails.
    RunTimedOut,
    /// Every step is completed or skipped.
    RunCompleted,
    /// The run ended with a failure.
    RunFailed {
        /// Which steps failed, in words.
        error: String,
    },
    /// The run was cancelled and the last attempt has ended.
    RunCancelled,
    /// The run is rolled back: steps that undo what was completed stand behind the plan's own from now on, and only they have their turn. That
    /// makes a version of the plan. They are taken out again when the run is reopened.
    RollbackStarted {
        /// The steps, in the order in which they run.
        steps: Vec<Arc<Step>>,
        /// What it is, and how the run ends by it.
        rollback: Rollback,
    },
    /// The rollback is over: what was undone is pending again, and the run ends.
    RollbackEnded {
        /// The steps that were undone, in that order.
        undone: Vec<String>,
        /// How the run ends.
        ends: RollbackEnd,
        /// Why, and what was undone and what was not, in words.
        error: String,
    },
    /// A step with a hold point is ready and waits to be released.
    StepHeld {
        /// Which step.
        step: String,
        /// The hold's reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody signed a hold off.
    HoldReleased {
        /// Which step.
        step: String,
        /// Who signed.
        user: String,
        /// The system's user id beside the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// Whether that was the last signature needed.
        released: bool,
    },
    /// A hold point was set on a step that has not started.
    HoldSet {
        /// Which step.
        step: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A hold point was taken off a step.
    HoldCleared {
        /// Which step.
        step: String,
    },
    /// A step's condition was evaluated and is true: the step may start, or be held. What is false makes a [`Event::StepSkipped`].
    ConditionMet {
        /// Which step.
        step: String,
    },
    /// A `foreach` step has its items: there is an instance of it for each from now on, which wait for what it waits for, and it waits for them.
    StepExpanded {
        /// Which step.
        step: String,
        /// The items, in the order of the instances.
        items: Arc<Vec<Value>>,
    },
    /// A `foreach` step has come to its end, which takes no attempt: every instance has, or it has no list of items.
    StepConcluded {
        /// Which step.
        step: String,
        /// What was decided: it is completed, or has failed.
        then: Then,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The instances of `foreach` steps are taken out of the plan: the steps are to be expanded anew.
    InstancesRemoved {
        /// Which steps.
        steps: Vec<String>,
    },
    /// An attempt starts: durable before the process or call begins.
    AttemptStarted {
        /// Which step.
        step: String,
        /// Number of the attempt within the step, from 1; never used again.
        attempt: u32,
        /// Digest of the masked input; part of the attempt key.
        digest: InputDigest,
        /// The rendered input, where it differs from what the plan says.
        #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
        input: Option<Arc<Value>>,
        /// When it is over by itself, where that is known beforehand: the end of a wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<DateTime<Utc>>,
    },
    /// A running attempt asks people something, and waits for the answer.
    QuestionAsked {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
        /// What.
        question: Arc<Question>,
    },
    /// Somebody answered what a running attempt asks.
    QuestionAnswered {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
        /// Who.
        user: String,
        /// Their answer; the values of the fields are complete.
        answer: Answer,
        /// Their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notes: Option<String>,
    },
    /// A running attempt is asked to stop.
    StopRequested {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
        /// What follows when it has stopped.
        why: StopReason,
        /// KILL at once instead of TERM and a grace period.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kill: bool,
        /// The intervention that waits for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intervention: Option<Uuid>,
    },
    /// An attempt ended.
    AttemptEnded {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        outcome: Arc<Outcome>,
        /// What was decided to follow.
        then: Then,
    },
    /// A quality gate judged an attempt's result.
    ResultJudged {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
        /// What it said.
        judgement: Judgement,
    },
    /// Somebody answered a review, or passed it on.
    ReviewAnswered {
        /// Which step.
        step: String,
        /// Who.
        user: String,
        /// The system's user id beside the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// Their answer.
        status: ReviewStatus,
        /// Their notes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notes: Option<String>,
        /// The policy with which the step fails, when it is rejected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<FailurePolicy>,
    },
    /// A step is to run again (operator's retry): it is pending, its own retries start from zero.
    StepQueued {
        /// Which step.
        step: String,
    },
    /// Steps that depend on a retried one are pending again.
    StepsReset {
        /// Which steps.
        steps: Vec<String>,
    },
    /// A step is not to run; what depends on it may go on.
    StepSkipped {
        /// Which step.
        step: String,
        /// Why.
        why: SkipReason,
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Their reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A step was completed by a person, who may have given its result.
    StepCompletedByHand {
        /// Which step.
        step: String,
        /// Who.
        user: String,
        /// Their result.
        #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
        result: Option<Arc<Value>>,
    },
    /// The limit of attempts at the same time was changed.
    MaxParallelSet {
        /// The new limit.
        value: u32,
    },
    /// The plan was changed: it has a new version.
    PlanChanged(Box<PlanChange>),
    /// The run went back to a checkpoint. Nothing is rewritten: what came after stays in the journal as a branch.
    Restored {
        /// The place it went back to.
        to: u64,
        /// The steps whose state differs, as they are now.
        steps: Vec<(String, StepState)>,
        /// The rollback that was under way there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback: Option<Rollback>,
        /// The instances that come back and are not defined as the step is that they are instances of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instances: Vec<Arc<Step>>,
    },
    /// An operator's command, applied or refused.
    Intervention(Box<Intervention>),
    /// An intervention was undone: what it touched is as it was before it, but for the attempts, which are not undone.
    InterventionUndone {
        /// Which one.
        intervention_id: Uuid,
        /// The intervention that undid it.
        by: Uuid,
        /// When an undo is undone: what that one had undone, and what is in force again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Uuid>,
        /// The steps it had touched, and how they stand now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<(String, StepState)>,
        /// The limit of attempts at the same time, when it had changed that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_parallel: Option<u32>,
    },
    /// What became of an intervention that had to wait for an attempt to stop.
    InterventionSettled {
        /// Which one.
        intervention_id: Uuid,
        /// `applied` or `failed`.
        status: InterventionStatus,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What undoes it, when it was applied and can be undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inverse: Option<Box<Inverse>>,
    },
}

/// The steps whose states an event may change: status, attempts, what they wait for, and who decided about them. Whether a failure has been answered
/// is not among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched<'a> {
    /// None.
    Nothing,
    /// These, by id.
    Steps(&'a [String]),
    /// Any of them; and steps may have come or gone.
    Any,
}

impl Event {
    /// Which steps it changes: for whoever follows a run at the cost of its events, not of its steps.
    pub fn touches(&self) -> Touched<'_> {
        match self {
            Event::StepHeld { step, .. }
            | Event::HoldReleased { step, .. }
            | Event::HoldSet { step, .. }
            | Event::HoldCleared { step }
            | Event::ConditionMet { step }
            | Event::StepConcluded { step, .. }
            | Event::AttemptStarted { step, .. }
            | Event::QuestionAsked { step, .. }
            | Event::QuestionAnswered { step, .. }
            | Event::StopRequested { step, .. }
            | Event::AttemptEnded { step, .. }
            | Event::ResultJudged { step, .. }
            | Event::ReviewAnswered { step, .. }
            | Event::StepQueued { step }
            | Event::StepSkipped { step, .. }
            | Event::StepCompletedByHand { step, .. } => Touched::Steps(std::slice::from_ref(step)),
            Event::StepsReset { steps } => Touched::Steps(steps),
            Event::RunRegistered(_)
            | Event::RunReopened
            | Event::RunFailed { .. }
            | Event::RunCancelled
            | Event::RollbackStarted { .. }
            | Event::RollbackEnded { .. }
            | Event::StepExpanded { .. }
            | Event::InstancesRemoved { .. }
            | Event::PlanChanged(_)
            | Event::Restored { .. }
            | Event::InterventionUndone { .. } => Touched::Any,
            Event::EngineOpened { .. }
            | Event::RunStarted
            | Event::RunPaused { .. }
            | Event::RunResumed
            | Event::CancelRequested { .. }
            | Event::RunTimedOut
            | Event::RunCompleted
            | Event::MaxParallelSet { .. }
            | Event::Intervention(_)
            | Event::InterventionSettled { .. } => Touched::Nothing,
        }
    }
}

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The run's id (UUIDv7).
    pub run_id: Uuid,
    /// The plan, defaults applied.
    pub plan: Arc<Plan>,
    /// How it is run.
    pub options: RunOptions,
    /// Who opened it.
    pub user: String,
    /// The run it was forked from, and how far that had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Box<Fork>>,
    /// What earlier runs of the plan tell of how long its steps take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Arc<Durations>>,
}

/// Where a forked run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fork {
    /// The run it comes from.
    pub parent: Uuid,
    /// The checkpoint of that run: its sequence number.
    pub checkpoint: u64,
    /// The steps that had a state other than the first, and that state.
    pub steps: Vec<(String, StepState)>,
    /// That run, and those it was forked from in turn, nearest first, with when each was made: where the output of inherited attempts lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<(Uuid, DateTime<Utc>)>,
    /// Why it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A change of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanChange {
    /// The version it makes; only grows, and is never used again.
    pub version: u64,
    /// What made it.
    pub cause: ChangeCause,
    /// Who made it.
    pub user: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is changed.
    pub edits: Vec<Edit>,
    /// What undoes it.
    pub inverse: Vec<Edit>,
    /// The states of steps that are put in and do not begin anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<(String, StepState)>,
}

/// What made a version of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum ChangeCause {
    /// A step was modified.
    Modify,
    /// A step was added.
    Add,
    /// A step was removed.
    Remove,
    /// Steps were reordered.
    Reorder,
    /// The change that made an older version was undone.
    Undo {
        /// Which version.
        version: u64,
    },
    /// An older version was brought back.
    UseVersion {
        /// Which version.
        version: u64,
    },
    /// The run went back to a checkpoint at which the plan was another one.
    Restore {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// The steps of a rollback came into the plan, or went out of it when that was over and the run was reopened.
    Rollback,
}

/// How a run is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// What happens when a step fails for good and does not say itself.
    pub on_failure: FailurePolicy,
    /// How many attempts may run at the same time.
    pub max_parallel: u32,
    /// Unbound agents are simulated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulate: bool,
    /// Whether every batch is fsynced.
    #[serde(default)]
    pub durability: Durability,
    /// Seconds between TERM and KILL.
    pub grace_seconds: f64,
    /// Folder in which commands run unless they say otherwise (absolute).
    pub working_dir: String,
    /// How much of an attempt's output is kept, in bytes, where it is not [`DEFAULT_OUTPUT_LIMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<u64>,
    /// The plan's file (absolute), if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_path: Option<String>,
    /// The values of the plan's variables. Secret ones stand here masked.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
    /// The environment variables that the plan lists, as they were when it was opened. Secret ones are masked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl RunOptions {
    /// The time between TERM and KILL.
    pub fn grace(&self) -> Duration {
        Duration::try_from_secs_f64(self.grace_seconds).unwrap_or(Duration::from_secs(10))
    }
}

/// So much of an attempt's output is kept unless it is said otherwise, in bytes: a step that floods its output must not fill the disk.
pub const DEFAULT_OUTPUT_LIMIT: u64 = 256 << 20;

/// Seconds between TERM and KILL unless configured otherwise.
pub const DEFAULT_GRACE_SECONDS: f64 = 10.0;

/// How durable the journal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nobody sees an event before it is fsynced.
    #[default]
    Full,
    /// Events are written but not fsynced: a power cut may lose the newest ones.
    Relaxed,
}

/// What follows when a stopped attempt has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The run is cancelled.
    Cancel,
    /// The step is skipped.
    Skip,
    /// The step is completed by hand.
    Complete,
    /// The step runs again.
    Retry,
    /// Its time limit is over: it has failed.
    Timeout,
    /// The time limit of the whole run is over.
    RunTimeout,
    /// The run fails: what only waits, for people or for a time, does not hold that up.
    RunFails,
    /// The engine ends: the step is interrupted.
    Interrupt,
}

/// What was decided to follow an attempt's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Then {
    /// The step is completed.
    Complete,
    /// The step has failed for good, with this policy.
    Fail {
        /// Which policy applies.
        policy: FailurePolicy,
    },
    /// The result waits for a person's verdict.
    Review,
    /// The result is not good enough: another attempt starts by itself, not before `due`.
    Improve {
        /// When the next attempt is due.
        due: DateTime<Utc>,
    },
    /// Another attempt starts by itself, not before `due`.
    Retry {
        /// When.
        due: DateTime<Utc>,
    },
    /// The attempt was stopped and the step with it; a further event of the same batch may say more.
    Stop,
    /// The attempt was lost or stopped with the engine; the step waits for the operator.
    Interrupt,
    /// The attempt was lost with the engine and the step is idempotent, or it only waited when the run failed: it runs again.
    Requeue,
}

/// Why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// An operator skipped it.
    Operator,
    /// Its `when` was false.
    Condition,
    /// What it needs was skipped.
    Upstream,
}

/// A record of the intervention log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// Identifies the record.
    pub intervention_id: Uuid,
    /// What was asked: the command's name, for example `skip_step` or `pause`.
    pub intervention_type: String,
    /// On which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_step_id: Option<String>,
    /// The command's parameters.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
    /// Who asked.
    pub user: String,
    /// The system's user id beside the name, where it is a sign-off or the answer to a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// When.
    pub timestamp: DateTime<Utc>,
    /// What became of it.
    pub status: InterventionStatus,
    /// Why they asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The caller's own id for the command: the same id twice applies once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// What undoes it, noted when it was decided; `None` when it cannot be undone, or was noted by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Box<Inverse>>,
    /// The intervention that undid it. A change of the plan is undone by its version instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<Uuid>,
}

/// What undoes an intervention: how that stood which it touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inverse {
    /// It changed the plan: its change is undone.
    Plan {
        /// The version that it made.
        version: u64,
    },
    /// It touched these steps, which stood so. Their attempts are left out; only the number of the newest one is kept.
    Steps(Vec<(String, StepState)>),
    /// It changed the limit of attempts at the same time, which was this.
    MaxParallel(u32),
}

/// What became of an intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterventionStatus {
    /// Accepted; waits for an attempt to stop.
    Pending,
    /// Done.
    Applied,
    /// Refused, or overtaken by what happened meanwhile.
    Failed,
}
