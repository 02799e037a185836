//! The state of a step, and its attempts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::plan::{FailurePolicy, Rare};

use super::{
    Asked, Expansion, InputDigest, Outcome, OutcomeStatus, Review, Signature, SkipReason, StepStatus, StopReason,
};

/// One attempt of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1; never used again in the run.
    pub number: u32,
    /// Digest of the masked input.
    pub digest: InputDigest,
    /// The rendered input, where it differs from the plan's.
    #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Arc<Value>>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it is over by itself, where that was known when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// What it has asked people, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Rare<Vec<Asked>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Arc<Outcome>>,
    /// Whether its time limit ended it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
}

/// A stop that was asked for and what follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingStop {
    /// What follows.
    pub why: StopReason,
    /// Whether KILL was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kill: bool,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The intervention that asked, where one waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervention: Option<Uuid>,
}

/// How a step came to be skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// Why.
    pub why: SkipReason,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Their reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A step completed by a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByHand {
    /// Who.
    pub user: String,
    /// The result they gave.
    #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<Value>>,
}

/// A hold point as it stands in the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HoldState {
    /// Set or cleared live; `None`: as the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
    /// The reason given when it was set live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who has signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<Signature>,
    /// Whether it was released.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

/// The state of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Its status.
    #[serde(default)]
    pub status: StepStatus,
    /// Since when it has this status; `None` while it has never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Its attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Arc<Attempt>>,
    /// Number of the newest attempt ever; grows only, also over a restore.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_attempt: u32,
    /// Retries used by themselves since the step was last queued by an operator.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// When its next attempt is due (status `waiting`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// A stop that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Box<PendingStop>>,
    /// How it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Box<Skip>>,
    /// Completed by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<Box<ByHand>>,
    /// Its hold point, where it differs from the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<HoldState>>,
    /// Retries for its quality since the step was last queued by an operator.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gate_retries: u32,
    /// What its quality gate said of its results, and what people made of that; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Rare<Vec<Review>>,
    /// Its condition was found true, or an operator wants it run whatever the condition says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub condition_met: bool,
    /// The policy with which it failed (status `failed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_with: Option<FailurePolicy>,
    /// Whether nobody has answered its failure yet: with policy `pause` it keeps the run paused, with `fail` it ends the run, with `rollback` it
    /// has the run rolled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// What it had done was undone by its rollback action, and it has neither run nor been answered for since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
    /// The items of a `foreach` step, once it has been expanded: its instances are steps of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expansion: Option<Arc<Expansion>>,
    /// Why it failed without an attempt: a `foreach` step makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

pub(super) fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl StepState {
    /// Whether it failed with a policy that leaves the answer to an operator; the others have their answer in the plan.
    pub(super) fn asks_when_failed(&self) -> bool {
        self.failed_with == Some(FailurePolicy::Pause)
    }

    /// The newest attempt.
    pub fn attempt(&self) -> Option<&Arc<Attempt>> {
        self.attempts.last()
    }

    /// The attempt of this number, if the state has it: what a restore left behind is not in it.
    pub fn numbered(&self, number: u32) -> Option<&Arc<Attempt>> {
        self.attempts.iter().rev().find(|attempt| attempt.number == number)
    }

    /// The question that its running attempt waits to have answered, and its number within the attempt, from 1.
    pub fn question(&self) -> Option<(u32, &Asked)> {
        let attempt = self.attempt().filter(|_| self.status == StepStatus::Running)?;
        let asked = attempt.questions.last().filter(|asked| asked.answered.is_none())?;
        Some((attempt.questions.len() as u32, asked))
    }

    /// The number of the newest attempt, where it is not the first one.
    pub fn tried_again(&self) -> Option<u32> {
        self.attempt().map(|attempt| attempt.number).filter(|number| *number > 1)
    }

    /// How long the newest attempt has run or ran, in seconds.
    pub fn seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        self.attempt().map(|attempt| attempt.seconds(now))
    }

    /// Whether the attempt that was interrupted was stopped by this program, as it is when it ends; otherwise the program was gone before it.
    pub fn was_stopped(&self) -> bool {
        let outcome = self.attempt().and_then(|attempt| attempt.outcome.as_ref());
        outcome.is_some_and(|outcome| outcome.status == OutcomeStatus::Stopped)
    }

    /// Why its newest attempt did not do: what the attempt says, else what the quality gate or a reviewer said of its result.
    pub fn why_failed(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(error.to_string());
        }
        let attempt = self.attempt()?;
        let own = Some(attempt.in_words()).filter(|why| !why.is_empty());
        own.or_else(|| {
            let review = self.reviews.last().filter(|review| review.attempt == attempt.number)?;
            Some(match review.answers.last() {
                Some(answer) => match &answer.notes {
                    Some(notes) => format!("rejected by {}: {notes}", answer.user),
                    None => format!("rejected by {}", answer.user),
                },
                None => review.judgement.reason.clone(),
            })
        })
    }

    /// Whether its newest attempt's result is the step's: what a step gave that runs again, or was taken back to before it had run, is its own
    /// history and nothing that others may build on.
    fn has_result(&self) -> bool {
        matches!(self.status, StepStatus::Completed | StepStatus::Failed | StepStatus::InReview)
    }

    /// What expressions see as the result of a step that is no `foreach` (see [`RunState::result_data`](super::RunState::result_data)): what a person gave, else the `data` of
    /// the newest attempt's result, else that result.
    pub fn result_data(&self) -> Option<Value> {
        if let Some(by_hand) = &self.by_hand {
            return by_hand.result.as_deref().cloned();
        }
        let result = self.attempt().filter(|_| self.has_result())?.outcome.as_ref()?.result.as_ref()?;
        result.data.clone().or_else(|| serde_json::to_value(result).ok())
    }

    /// The quality that the newest attempt's result claims.
    pub fn quality_score(&self) -> Option<f64> {
        self.attempt().filter(|_| self.has_result())?.outcome.as_ref()?.result.as_ref()?.quality_score
    }

    /// The result that dependents of a step that is no `foreach` see (see [`RunState::result`](super::RunState::result)): the one given by hand, else the newest successful attempt's.
    pub fn result(&self) -> Option<Value> {
        if let Some(by_hand) = &self.by_hand {
            return by_hand.result.as_deref().cloned();
        }
        let outcome = self.attempt().filter(|_| self.has_result())?.outcome.as_ref()?;
        serde_json::to_value(outcome.result.as_ref()?).ok()
    }
}

impl Attempt {
    /// How long it has run or ran, in seconds; never negative.
    pub fn seconds(&self, now: DateTime<Utc>) -> f64 {
        let span = self.ended_at.unwrap_or(now) - self.started_at;
        span.as_seconds_f64().max(0.0)
    }

    /// How it ended, if it has: one that its time limit ended has failed, and was stopped by nobody.
    pub fn ending(&self) -> Option<OutcomeStatus> {
        let status = self.outcome.as_ref()?.status;
        Some(if self.timed_out && status == OutcomeStatus::Stopped { OutcomeStatus::Failed } else { status })
    }

    /// The same on one line: that its time was over, and what the outcome says; empty while it runs, and for a plain success.
    pub fn in_words(&self) -> String {
        let Some(outcome) = &self.outcome else { return String::new() };
        if !self.timed_out || outcome.status == OutcomeStatus::Succeeded {
            return outcome.in_words();
        }
        // How long it ran, and not the limit: that may be another one by now.
        let said = format!("timed out after {}", span(self.seconds(self.started_at)));
        // That it was stopped is what a time limit does.
        if outcome.status == OutcomeStatus::Stopped && outcome.error.is_none() {
            return said;
        }
        format!("{said}: {}", outcome.in_words())
    }
}

/// `0.5 s`, `8 s`, `90 s`, `10 min`
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{} s", (s * 10.0).round() / 10.0),
        s if s < 600.0 => format!("{} s", s.round()),
        s => format!("{} min", (s / 60.0).round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_its_time_limit_ended_says_so_and_was_stopped_by_nobody() {
        let attempt = |timed_out, ms, outcome: Outcome| Attempt {
            number: 1,
            digest: InputDigest::default(),
            input: None,
            started_at: DateTime::default(),
            due: None,
            questions: Rare::default(),
            ended_at: Some(DateTime::default() + chrono::TimeDelta::milliseconds(ms)),
            outcome: Some(Arc::new(outcome)),
            timed_out,
        };
        let stopped_in = |error: &str| Outcome { error: Some(error.into()), ..Outcome::stopped() };
        let exited = Outcome { error: None, exit_code: Some(3), ..Outcome::failed("") };
        for (timed_out, ms, outcome, said, ending) in [
            (false, 3000, Outcome::stopped(), "stopped", OutcomeStatus::Stopped),
            (true, 3020, Outcome::stopped(), "timed out after 3 s", OutcomeStatus::Failed),
            (true, 520, Outcome::stopped(), "timed out after 0.5 s", OutcomeStatus::Failed),
            (true, 90_400, exited, "timed out after 90 s: exit status 3", OutcomeStatus::Failed),
            (true, 602_000, stopped_in("it may go on"), "timed out after 10 min: it may go on", OutcomeStatus::Failed),
            (true, 3000, Outcome::succeeded(), "", OutcomeStatus::Succeeded),
        ] {
            let attempt = attempt(timed_out, ms, outcome);
            assert_eq!((attempt.in_words().as_str(), attempt.ending()), (said, Some(ending)));
        }
    }
}
