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
use crate::run::Outcome;

use super::ending::outcome;
use super::{Agent, AttemptContext};

use call::Call;

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
    outcome(end, &secrets, call.finish().await)
}
