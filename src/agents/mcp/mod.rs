//! The `mcp` agent: a call of a tool on a Model Context Protocol server.
//!
//! A server is a session that the steps of a run share: made for the first call, made anew when it has died, closed when the run ends. What a
//! server says beside its answers (logs, progress, questions, stderr) comes to the calls that are running.
//!
//! A call is sent once. Whether it was acted on is not known when the server dies or the attempt is stopped in the middle of it, and the
//! outcome says so.

mod answer;
mod arguments;
mod call;
mod elicitation;
mod router;
mod server;
mod session;
mod sessions;
mod tap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::plan::{AgentSpec, McpSpec};
use crate::run::{AgentResult, Outcome, OutcomeStatus, ResultStatus};

use super::sink::OutputReport;
use super::{Agent, AttemptContext};

use call::{Call, End};

pub(super) use sessions::probe;
pub use sessions::{Sessions, Tools};

struct Mcp(Box<McpSpec>);

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    match spec {
        AgentSpec::Mcp(spec) => Some(Box::new(Mcp(spec.clone()))),
        _ => None,
    }
}

impl Agent for Mcp {
    fn attempt(&self, context: AttemptContext) -> BoxFuture<'_, Outcome> {
        make(&self.0, context).boxed()
    }
}

async fn make(spec: &McpSpec, context: AttemptContext) -> Outcome {
    let mut call = match Call::new(spec, context) {
        Ok(call) => call,
        Err(error) => return Outcome::failed(error),
    };
    let end = call.perform().await;
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
    };
    let errors: Vec<String> = error.into_iter().chain(output.trouble).collect();
    outcome.error = (!errors.is_empty()).then(|| errors.join("; "));
    outcome
}
