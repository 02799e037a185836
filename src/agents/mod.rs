//! Things that do work: one trait, one file a kind.
//!
//! An agent gets an [`AttemptContext`] and gives back a [`crate::run::Outcome`]; it knows nothing of journals, engines or terminals.
//! A new kind is a file with a type that implements [`Agent`], and a line in `KINDS`. What can be done with its attempts, which the core has to
//! know when it decides, is said by [`crate::plan::Ability`].

mod command;
mod desk;
mod ending;
mod env;
mod group;
mod http;
mod jsonl;
mod live;
mod manual;
mod masking;
mod mcp;
mod moments;
mod notes;
pub mod output;
mod pipes;
mod probe;
mod procfs;
mod pty;
mod result;
mod rewrites;
mod simulated;
mod sink;
mod spawn;
mod start;
mod stop;
mod survivors;
mod wait;
pub mod warden;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use crate::plan::{AgentSpec, CommandLine, ManualSpec, Plan, SimulatedSpec, Step, WaitSpec};
use crate::run::Outcome;

pub use desk::{AnswerSender, Desk, DeskClerk, desk};
pub use http::{deepest_cause, http_client};
pub use live::{LiveBoard, LiveSink, LiveUpdate};
pub use masking::{MASK, Masker};
pub use mcp::{Sessions, Tools};
pub use probe::{Ground, Probe, probe};
pub use result::MAX_RESULT_BYTES;
pub use start::{StartHandle, StartSignal, start_channel};
pub use stop::{Stop, StopHandle, StopSignal, stop_channel};
pub use survivors::{Survivor, stop_survivors, survivors};
pub use warden::Warden;

/// Gives the results of earlier steps as one JSON object; called only by agents that hand them on.
pub type Results = Arc<dyn Fn() -> Value + Send + Sync>;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Everything an agent may know of the attempt it makes.
#[derive(Clone)]
pub struct AttemptContext {
    /// The run.
    pub run_id: Uuid,
    /// The step, rendered.
    pub step: Arc<Step>,
    /// What does the work, as [`resolve`] gave it.
    pub agent: AgentSpec,
    /// Number of the attempt within the step, from 1.
    pub attempt: u32,
    /// When it started, by the journal: an attempt that outlives its engine (see [`crate::plan::Ability`]) may have begun long ago, in another
    /// one.
    pub started_at: DateTime<Utc>,
    /// Another engine has started it, and has lost sight of it.
    pub taken_up: bool,
    /// When it is over by itself, where that was decided when it started.
    pub due: Option<DateTime<Utc>>,
    /// The time.
    pub clock: Clock,
    /// Where it asks people.
    pub desk: Desk,
    /// The attempt key, by which an agent can remember what it has done.
    pub key: String,
    /// The attempt's input as it is journaled.
    pub input: Value,
    /// The plan's folder.
    pub plan_dir: PathBuf,
    /// Where commands run unless step or agent say otherwise.
    pub working_dir: PathBuf,
    /// The output file; made with the first output, so that an attempt without output leaves no file.
    pub output_path: PathBuf,
    /// How much of the output is kept, in bytes.
    pub output_limit: u64,
    /// Results of earlier steps.
    pub results: Results,
    /// Time between TERM and KILL.
    pub grace: Duration,
    /// Says that it may start; before that, an attempt that [gets ready](crate::plan::Ability::gets_ready) does so.
    pub start: StartSignal,
    /// Asks the attempt to stop.
    pub stop: StopSignal,
    /// Takes progress and the growth of the output.
    pub live: LiveSink,
    /// Sees to it that no process survives the engine.
    pub warden: Arc<Warden>,
    /// The sessions with servers that the run's attempts share.
    pub sessions: Sessions,
    /// What must not appear in output, messages and results.
    pub secrets: Masker,
}

/// A kind of agent, bound to what the plan says of it.
pub trait Agent: Send + Sync {
    /// Makes one attempt. Trouble of any kind is an outcome, not an error. An attempt that outlives its engine is made again by the next one, with
    /// the same key, start and due time, and asks at its desk what it asked before; it must do nothing then that the first may have done. Where
    /// nobody knows what became of it the outcome is [`crate::run::OutcomeStatus::Lost`].
    fn attempt(&self, context: AttemptContext) -> BoxFuture<'_, Outcome>;
}

/// Makes an agent of a specification, if it is of the kind.
type Bind = fn(&AgentSpec) -> Option<Box<dyn Agent>>;

/// The kinds that this version can run.
const KINDS: &[Bind] = &[command::bind, http::bind, manual::bind, mcp::bind, simulated::bind, wait::bind];

fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    KINDS.iter().find_map(|bind| bind(spec))
}

/// Whether this version has the kind of agent.
pub fn is_available(spec: &AgentSpec) -> bool {
    bind(spec).is_some()
}

/// What does a step's work: `run` is a shell line, else the plan's `agents` are asked, else, with `simulate`, the simulated agent.
///
/// # Errors
/// The step's agent is not bound, or is of a kind that this version cannot run; in words for the operator.
pub fn resolve(plan: &Plan, step: &Step, simulate: bool) -> Result<AgentSpec, String> {
    let id = &step.step_id;
    if let Some(line) = &step.run {
        return Ok(AgentSpec::Command {
            command: CommandLine::Shell(line.to_string()),
            protocol: None,
            tty: false,
            env: Default::default(),
            working_dir: None,
        });
    }
    match step.agent().map(|name| (name, plan.agents.get(name))) {
        Some((_, Some(spec))) if is_available(spec) => Ok(spec.clone()),
        Some((name, Some(spec))) => Err(format!(
            "step `{id}`: its agent `{name}` is of kind `{}`, which this version of holdpoint cannot run yet",
            spec.kind()
        )),
        // The kind itself, named without an entry (see `plan::KINDS_WITHOUT_ENTRY`).
        Some(("simulated", None)) => Ok(AgentSpec::Simulated(SimulatedSpec::default())),
        Some(("manual", None)) => Ok(AgentSpec::Manual(ManualSpec::default())),
        Some(("wait", None)) => Ok(AgentSpec::Wait(WaitSpec::default())),
        _ if simulate => Ok(AgentSpec::Simulated(SimulatedSpec::default())),
        Some((name, None)) => Err(format!(
            "step `{id}`: the agent `{name}` is not bound; bind it in the plan's `agents` or in a file of agents (--agents FILE), or simulate unbound agents with --simulate"
        )),
        None => Err(format!("step `{id}` says neither `run` nor `agent_type`, so there is nothing to do")),
    }
}

/// Makes one attempt. Whatever goes wrong, a panic of the agent included, is an outcome.
///
/// Dropping the future stops the attempt at once: its processes are killed.
pub async fn run_attempt(mut context: AttemptContext) -> Outcome {
    if !context.agent.ability().gets_ready {
        context.start.given().await;
    }
    let Some(agent) = bind(&context.agent) else {
        let kind = context.agent.kind();
        return Outcome::failed(format!("agents of kind `{kind}` cannot be run by this version of holdpoint yet"));
    };
    let attempt = AssertUnwindSafe(agent.attempt(context)).catch_unwind();
    attempt.await.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Outcome::failed(format!("the agent panicked: {}", words.unwrap_or("no message")))
    })
}
