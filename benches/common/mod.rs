//! What the benchmarks share: folders, plans, an engine of their own, and how figures are summed up.

use std::path::Path;
use std::sync::Arc;

use holdpoint::engine::{self, EngineConfig, EngineHandle, NewRun};
use holdpoint::plan::{AgentSpec, FailurePolicy, Plan, SimulatedSpec, Step};
use holdpoint::run::{Durability, RunOptions};
use uuid::Uuid;

/// Whether a row is to be measured: no name was given, or a part of this one was.
pub fn picked(name: &str) -> bool {
    let mut pick = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    pick.peek().is_none() || pick.any(|part| name.contains(part.as_str()))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// How busy the machine is, for the head of a table: a figure means little without it.
pub fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").map(|line| line.trim().to_owned()).unwrap_or_default()
}

/// On the same file system as the project's `checkpoints/`, not on a memory disk that `/tmp` may be.
pub fn folder() -> tempfile::TempDir {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&base).and_then(|()| tempfile::tempdir_in(base)).expect("a folder to work in")
}

/// A list of steps that do nothing.
pub fn empty(steps: usize) -> Plan {
    plan("empty", steps, simulated(0.0))
}

/// The simulated agent, for so many seconds.
pub fn simulated(seconds: f64) -> AgentSpec {
    AgentSpec::Simulated(SimulatedSpec { duration_seconds: Some(seconds), ..Default::default() })
}

/// A list of steps done by one agent.
pub fn plan(plan_id: &str, steps: usize, agent: AgentSpec) -> Plan {
    let step = |n: usize| Arc::new(Step { step_id: id(n), agent_type: Some("worker".into()), ..Step::default() });
    let json = serde_json::json!({"plan_id": plan_id, "steps": []});
    let mut plan: Plan = serde_json::from_value(json).expect("a plan");
    plan.agents.insert("worker".into(), agent);
    plan.steps = (0..steps).map(step).collect();
    plan
}

/// The id of a step of [`plan`], by its place.
pub fn id(place: usize) -> String {
    format!("s{place:05}")
}

pub fn options(durability: Durability) -> RunOptions {
    RunOptions {
        on_failure: FailurePolicy::Fail,
        max_parallel: 16,
        simulate: false,
        durability,
        grace_seconds: 10.0,
        working_dir: "/".into(),
        output_limit: None,
        plan_path: None,
        variables: Default::default(),
        environment: Default::default(),
    }
}

/// The one that the program uses.
pub fn runtime() -> tokio::runtime::Runtime {
    engine::runtime().expect("a runtime")
}

pub fn engine_in(dir: &Path) -> EngineHandle {
    let mut config = EngineConfig::new(dir);
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    engine::start(config).expect("the engine starts")
}

pub async fn registered(handle: &EngineHandle, plan: &Arc<Plan>, durability: Durability) -> Uuid {
    let new = NewRun {
        plan: Arc::clone(plan),
        options: options(durability),
        user: "bench".into(),
        fork: None,
        secrets: Default::default(),
    };
    handle.register(new).await.expect("the run is registered")
}
