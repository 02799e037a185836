//! How an attempt ended, and what an agent's result looks like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How an attempt ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub status: OutcomeStatus,
    /// Exit code of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The agent's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<AgentResult>>,
    /// Processes that were left of the attempt's group when its leader had exited, and were stopped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strays: u32,
    /// Bytes of output kept.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub output_bytes: u64,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

/// The verdict on an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// It did what it was to do.
    #[default]
    Succeeded,
    /// It did not.
    Failed,
    /// It was stopped on request before it had ended by itself.
    Stopped,
    /// The engine died while it ran: how it ended is not known.
    Lost,
}

/// What an agent says of its work. What it leaves out is absent, not invented.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentResult {
    /// `success`, `failed` or `partial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    /// The work's product.
    #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
    /// 0..1 by dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_details: Option<BTreeMap<String, f64>>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<Value>>,
    /// Free for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An agent's own verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// Done.
    Success,
    /// Not done.
    Failed,
    /// Done in part; counts as done.
    Partial,
}

impl Outcome {
    /// A failure with its reason.
    pub fn failed(error: impl Into<String>) -> Self {
        Self { status: OutcomeStatus::Failed, error: Some(error.into()), ..Self::default() }
    }

    /// A success without a result.
    pub fn succeeded() -> Self {
        Self::default()
    }

    /// Stopped on request.
    pub fn stopped() -> Self {
        Self { status: OutcomeStatus::Stopped, ..Self::default() }
    }

    /// Lost with the engine.
    pub fn lost() -> Self {
        Self { status: OutcomeStatus::Lost, ..Self::default() }
    }

    /// The outcome on one line: the error, the exit code or the signal; empty for a plain success.
    pub fn in_words(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        match (self.status, self.exit_code, self.signal) {
            (OutcomeStatus::Succeeded, ..) => String::new(),
            (OutcomeStatus::Lost, ..) => "the engine died while it ran".into(),
            (OutcomeStatus::Stopped, ..) => "stopped".into(),
            (_, Some(code), _) => format!("exit status {code}"),
            (_, _, Some(signal)) => format!("killed by signal {signal}"),
            _ => "failed".into(),
        }
    }
}
