//! How a call of something outside ends, and what follows from that for its attempt.

use crate::run::{AgentResult, Outcome, OutcomeStatus, ResultStatus};

use super::Masker;
use super::sink::OutputReport;

/// How an attempt ends without a result, in words.
#[derive(Debug)]
pub(super) enum End {
    /// It was asked to stop.
    Stopped(String),
    /// It failed.
    Failed(String),
    /// Whether the work was done is not known.
    Lost(String),
}

/// What follows from how a call ended and what it gave. What must not be seen is masked.
pub(super) fn outcome(end: Result<Option<AgentResult>, End>, secrets: &Masker, output: OutputReport) -> Outcome {
    let (status, words, result) = match end {
        Ok(result) => {
            let result = result.map(|result| secrets.result(result));
            let failed = result.as_ref().filter(|result| result.status == Some(ResultStatus::Failed));
            let words = failed.map(|failed| failed.error.clone().unwrap_or_else(|| "its result says `failed`".into()));
            let status = if failed.is_some() { OutcomeStatus::Failed } else { OutcomeStatus::Succeeded };
            (status, words, result)
        }
        Err(end) => {
            let (status, words) = match end {
                End::Failed(words) => (OutcomeStatus::Failed, words),
                End::Stopped(words) => (OutcomeStatus::Stopped, words),
                End::Lost(words) => (OutcomeStatus::Lost, words),
            };
            (status, Some(secrets.text(&words).into_owned()), None)
        }
    };
    let errors: Vec<String> = words.into_iter().chain(output.trouble).collect();
    Outcome {
        status,
        error: (!errors.is_empty()).then(|| errors.join("; ")),
        result: result.map(Box::new),
        output_bytes: output.bytes,
        ..Outcome::default()
    }
}
