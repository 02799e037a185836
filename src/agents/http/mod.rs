//! The `http` agent: a request, and where the answer is that a job has begun, the questions how it stands.
//!
//! A request that may have been acted on is not sent again within the attempt unless that is harmless: its method is idempotent, or the step is.
//! One that reached nobody, or was turned away with 429 or 503, is. Every try carries the attempt's key as `Idempotency-Key`.

mod answer;
mod call;
pub(super) mod client;
mod poll;
pub(super) mod request;
mod retry;
pub(super) mod words;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::plan::{AgentSpec, HttpSpec, MAX_HTTP_BODY};
use crate::run::{AgentResult, Outcome, OutcomeStatus, ResultStatus};

use super::result::MAX_RESULT_BYTES;
use super::sink::OutputReport;
use super::{Agent, AttemptContext};

use call::{Call, End};

const _: () = assert!(MAX_HTTP_BODY == MAX_RESULT_BYTES, "what is taken of an answer can be kept as a result");

/// The client for requests to a URL, for others of this process that make some; connections are kept for all together.
///
/// # Errors
/// There is no such client, in words.
pub async fn http_client(url: &reqwest::Url, connect_timeout: Duration) -> Result<reqwest::Client, String> {
    let connector = client::connector(url, connect_timeout).await?;
    if connector.no_roots && url.scheme() == "https" {
        return Err("the system has no root certificates, so no server can be trusted".into());
    }
    Ok(connector.client)
}

/// What was wrong at the bottom of an error: what lies above says only where.
pub fn deepest_cause(error: &(dyn std::error::Error + 'static)) -> String {
    words::deepest(error)
}

struct Http(Box<HttpSpec>);

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    match spec {
        AgentSpec::Http(spec) => Some(Box::new(Http(spec.clone()))),
        _ => None,
    }
}

impl Agent for Http {
    fn attempt(&self, context: AttemptContext) -> BoxFuture<'_, Outcome> {
        make(&self.0, context).boxed()
    }
}

/// An attempt that an engine has lost sight of sends nothing but the question, by its key, how its job stands; then the job is waited for as in
/// any other.
async fn make(spec: &HttpSpec, context: AttemptContext) -> Outcome {
    let taken_up = context.taken_up;
    let mut call = match Call::new(spec, context) {
        Ok(call) => call,
        // How the job of an earlier engine's request stands, nobody has been asked.
        Err(error) if taken_up => return Outcome { error: Some(error), ..Outcome::lost() },
        Err(error) => return Outcome::failed(error),
    };
    let end = if taken_up { call.ask_by_key().await } else { call.perform().await };
    let secrets = call.secrets.clone();
    let end = end.map(|result| result.map(|result| secrets.result(result)));
    let end = end.map_err(|end| end.map(|words| secrets.text(&words).into_owned()));
    judge(end, call.finish().await)
}

/// What follows from how the call ended and what it gave.
fn judge(end: Result<Option<AgentResult>, End>, output: OutputReport) -> Outcome {
    let mut outcome = Outcome { output_bytes: output.bytes, ..Outcome::default() };
    let error = match end {
        Ok(result) => {
            let failed = result.as_ref().is_some_and(|result| result.status == Some(ResultStatus::Failed));
            if failed {
                outcome.status = OutcomeStatus::Failed;
            }
            let said = result.as_ref().and_then(|result| result.error.clone());
            outcome.result = result.map(Box::new);
            failed.then(|| said.unwrap_or_else(|| "its result says `failed`".into()))
        }
        Err(End::Failed(words)) => {
            outcome.status = OutcomeStatus::Failed;
            Some(words)
        }
        Err(End::Stopped(words)) => {
            outcome.status = OutcomeStatus::Stopped;
            Some(words)
        }
        Err(End::Lost(words)) => {
            outcome.status = OutcomeStatus::Lost;
            Some(words)
        }
    };
    let errors: Vec<String> = error.into_iter().chain(output.trouble).collect();
    outcome.error = (!errors.is_empty()).then(|| errors.join("; "));
    outcome
}
