//! What may be asked of a run: operators' commands, and what the engine's shell reports.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Outcome, Question, RunState, StepStatus};

/// What an operator asks, about one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Id of the intervention record; chosen by the caller's side of the engine (UUIDv7).
    pub id: Uuid,
    /// What is asked.
    pub command: Command,
    /// Who asks.
    pub user: String,
    /// The system's user id of the process that asks. The engine puts in what the system says; what a caller writes here does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The caller's own id: the same id twice applies once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Refused when the plan has another version by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan_version: Option<u64>,
    /// The target step's status the caller acted on; refused when it has changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<StepStatus>,
    /// A run that this would let go on stays paused instead, until somebody resumes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stay_paused: bool,
    /// A cancel that knows of none before it: refused where the run is being cancelled already, since a second one kills.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_kill: bool,
}

impl Request {
    /// A request with nothing optional. The id is the caller's: fresh for a command that is sent, nil for one that is only tried.
    pub fn new(id: Uuid, command: Command, user: impl Into<String>) -> Self {
        Self {
            id,
            command,
            user: user.into(),
            uid: None,
            reason: None,
            command_id: None,
            expected_plan_version: None,
            seen: None,
            stay_paused: false,
            no_kill: false,
        }
    }

    /// The same, with a reason (an empty one is none).
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.reason = (!reason.trim().is_empty()).then_some(reason);
        self
    }
}

/// An operator's command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Command {
    /// idle → running.
    Start,
    /// No new attempt starts; what runs may finish.
    Pause,
    /// Go on.
    Resume,
    /// Stop every attempt and end as cancelled; a second time: KILL now.
    Cancel,
    /// Undo what is completed: the steps' rollback actions run in reverse order of completion, then the run ends.
    Rollback,
    /// Pause, and stop every attempt: they become interrupted. For an engine that has to end.
    Interrupt,
    /// A new attempt of a step; with `downstream`, of everything that depends on it as well.
    Retry {
        /// Which step.
        step: String,
        /// With every transitive dependent.
        #[serde(default)]
        downstream: bool,
    },
    /// Do not run a step; what depends on it goes on.
    Skip {
        /// Which step.
        step: String,
    },
    /// A person has done the step's work.
    Complete {
        /// Which step.
        step: String,
        /// The result they give it.
        #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
    },
    /// Set a hold point on a step that has not started.
    Hold {
        /// Which step.
        step: String,
    },
    /// Take the hold point off a step that has not reached it.
    Unhold {
        /// Which step.
        step: String,
    },
    /// Sign off a step that is held.
    Release {
        /// Which step.
        step: String,
    },
    /// The result in review is good enough: the step is completed.
    Approve {
        /// Which step.
        step: String,
    },
    /// The result in review is not good enough: the step fails.
    Reject {
        /// Which step.
        step: String,
    },
    /// Somebody else is to decide about the result in review.
    Escalate {
        /// Which step.
        step: String,
    },
    /// Answer what a step's attempt asks; the reason goes with it, as the answerer's words.
    Answer {
        /// Which step.
        step: String,
        /// The question that was seen, by its number within the attempt, from 1: refused when the attempt asks another one by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<u32>,
        /// The answer.
        answer: Answer,
    },
    /// How many attempts may run at the same time.
    SetParallel {
        /// The new limit, 1 to 4096.
        value: u32,
    },
    /// Change a step's definition.
    Modify {
        /// Which step.
        step: String,
        /// A JSON merge patch (RFC 7396): a field is removed by null.
        patch: Value,
    },
    /// Put a step in.
    Add {
        /// The step, as a plan would say it; the plan's defaults apply.
        step: Value,
        /// Where.
        place: Place,
        /// In a graph: what depends on the step it is put after then depends on the new one instead.
        #[serde(default)]
        rewire: bool,
    },
    /// Take a step out; what depends on it inherits what it depends on.
    Remove {
        /// Which step.
        step: String,
    },
    /// Change the order of steps that have not started: those named take, in this order, the places they have among themselves.
    Reorder {
        /// All of the steps, or some of them.
        steps: Vec<String>,
    },
    /// Undo a change of the plan, or, without a version, the newest intervention that is not undone.
    Undo {
        /// The version that the change made.
        version: Option<u64>,
    },
    /// Undo an intervention.
    UndoIntervention {
        /// Its id.
        intervention: Uuid,
    },
    /// Bring an older version of the plan back, as a new one.
    UseVersion {
        /// Its number.
        version: u64,
    },
    /// Go back to a checkpoint.
    Restore {
        /// Its sequence number.
        checkpoint: u64,
    },
}

/// Where a new step is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// After this step.
    After(String),
    /// Before this step.
    Before(String),
    /// After all others.
    End,
}

impl Command {
    /// The name in the intervention log (the older system's names where it had one).
    pub fn intervention_type(&self) -> &'static str {
        match self {
            Command::Start => "start",
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Cancel => "cancel",
            Command::Rollback => "rollback",
            Command::Interrupt => "interrupt",
            Command::Retry { .. } => "retry_step",
            Command::Skip { .. } | Command::Complete { .. } => "skip_step",
            Command::Hold { .. } => "hold",
            Command::Unhold { .. } => "unhold",
            Command::Release { .. } => "release",
            Command::Approve { .. } => "approve",
            Command::Reject { .. } => "reject",
            Command::Escalate { .. } => "escalate",
            Command::Answer { .. } => "answer",
            Command::SetParallel { .. } => "set_parallel",
            Command::Modify { .. } => "modify_step",
            Command::Add { .. } => "add_step",
            Command::Remove { .. } => "remove_step",
            Command::Reorder { .. } => "reorder_steps",
            Command::Undo { .. } | Command::UndoIntervention { .. } => "undo",
            Command::UseVersion { .. } => "use_version",
            Command::Restore { .. } => "restore",
        }
    }

    /// Whether somebody puts their name to what others rely on: a hold point's release, the answer to a review.
    pub fn is_sign_off(&self) -> bool {
        matches!(
            self,
            Command::Release { .. } | Command::Approve { .. } | Command::Reject { .. } | Command::Escalate { .. }
        )
    }

    /// Whether it changes the plan.
    pub(super) fn changes_plan(&self) -> bool {
        matches!(
            self,
            Command::Modify { .. }
                | Command::Add { .. }
                | Command::Remove { .. }
                | Command::Reorder { .. }
                | Command::Undo { version: Some(_) }
                | Command::UseVersion { .. }
        )
    }

    /// The step it is about.
    pub fn target(&self) -> Option<&str> {
        match self {
            Command::Retry { step, .. }
            | Command::Skip { step }
            | Command::Complete { step, .. }
            | Command::Hold { step }
            | Command::Unhold { step }
            | Command::Release { step }
            | Command::Approve { step }
            | Command::Reject { step }
            | Command::Escalate { step }
            | Command::Answer { step, .. }
            | Command::Modify { step, .. }
            | Command::Remove { step } => Some(step),
            Command::Add { step, .. } => step["step_id"].as_str(),
            _ => None,
        }
    }

    /// The parameters for the intervention log; null when there are none.
    pub fn parameters(&self) -> Value {
        match self {
            Command::Retry { downstream: true, .. } => json!({"downstream": true}),
            // Without a result it has none, which is not the same as null.
            Command::Complete { result: None, .. } => json!({"completed_by_hand": true}),
            Command::Complete { result, .. } => json!({"completed_by_hand": true, "result": result}),
            Command::Answer { answer: Answer::Accepted(values), .. } => json!({"values": values}),
            Command::Answer { answer: Answer::Declined, .. } => json!({"declined": true}),
            Command::SetParallel { value } => json!({"value": value}),
            Command::Modify { patch, .. } => json!({"patch": patch}),
            Command::Add { step, place, rewire } => json!({"step": step, "place": place, "rewire": rewire}),
            Command::Reorder { steps } => json!({"steps": steps}),
            Command::Undo { version: Some(version) } | Command::UseVersion { version } => json!({"version": version}),
            Command::UndoIntervention { intervention } => json!({"intervention_id": intervention}),
            Command::Restore { checkpoint } => json!({"checkpoint": super::checkpoint_id(*checkpoint)}),
            _ => Value::Null,
        }
    }
}

/// Everything `decide` can be asked: an operator's request, or a report of the shell.
#[derive(Debug, Clone)]
pub enum Input {
    /// An operator's request.
    Request(Request),
    /// An operator's request to go back to a checkpoint, with the state found there.
    Restore {
        /// The request, whose command is [`Command::Restore`].
        request: Request,
        /// The state at the checkpoint.
        target: Arc<RunState>,
    },
    /// An engine has taken ownership (after registering, or after a crash).
    Opened {
        /// Version of the program.
        version: String,
        /// Its process id.
        pid: u32,
        /// Whether a run that was running may go on by itself.
        go_on: bool,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which step.
        step: String,
        /// Which attempt; an older one is ignored.
        attempt: u32,
        /// How.
        outcome: Arc<Outcome>,
    },
    /// An attempt's time limit is over.
    TimedOut {
        /// Which step.
        step: String,
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt asks people something.
    Asked {
        /// Which step.
        step: String,
        /// Which attempt; an older one is ignored.
        attempt: u32,
        /// Number of the question within the attempt, from 1.
        number: u32,
        /// What.
        question: Arc<Question>,
    },
    /// Time has passed: something may be due.
    Wake,
}

/// What comes from outside at the moment of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: DateTime<Utc>,
    /// Randomness, for jitter.
    pub entropy: u64,
}

/// A command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", .possible.as_ref().map(|text| format!("; {text}")).unwrap_or_default())]
pub struct Rejection {
    /// What kind of refusal.
    pub code: RejectionCode,
    /// Which rule refused it, in words.
    pub message: String,
    /// What would have been possible.
    pub possible: Option<String>,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// The run or step is in a state in which this cannot be done.
    NotNow,
    /// There is no such step, run or checkpoint.
    NotFound,
    /// What the caller acted on has changed meanwhile.
    Stale,
    /// A value is out of range or does not fit.
    Invalid,
    /// The disk does not take it: nothing was applied.
    Storage,
    /// The engine is gone or the run is not open in it.
    Gone,
}

impl Rejection {
    /// A refusal with its rule.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), possible: None }
    }

    /// The same, with what would have been possible.
    #[must_use]
    pub fn possible(mut self, text: impl Into<String>) -> Self {
        self.possible = Some(text.into());
        self
    }
}
