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
use crate::run::Outcome;

use super::ending::outcome;
use super::result::MAX_RESULT_BYTES;
use super::{Agent, AttemptContext};

use call::Call;

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
    outcome(end, &secrets, call.finish().await)
}
