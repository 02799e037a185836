//! Starting and stopping attempts: tasks beside the engine that report back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::agents::{self, AttemptContext, LiveBoard, StopHandle, Warden};
use crate::run::{DEFAULT_OUTPUT_LIMIT, Outcome, RunState, input_of};

/// What an attempt's task reports.
#[derive(Debug)]
pub(super) enum AttemptReport {
    Ended { run_id: Uuid, step: String, attempt: u32, outcome: Arc<Outcome> },
    TimedOut { run_id: Uuid, step: String, attempt: u32 },
}

/// What every attempt needs of the engine.
pub(super) struct Launcher {
    pub root: PathBuf,
    pub warden: Arc<Warden>,
    pub reports: mpsc::Sender<AttemptReport>,
    pub live: LiveBoard,
}

impl Launcher {
    /// Starts an attempt whose start is durable.
    pub fn start(&self, state: &RunState, plan_dir: &Path, step_id: &str, number: u32) -> Option<StopHandle> {
        let (step, step_state) = state.step(step_id)?;
        let attempt = step_state.attempts.iter().find(|attempt| attempt.number == number)?;
        let run_id = state.run_id;
        let (stop_handle, stop) = agents::stop_channel();
        let reports = self.reports.clone();
        let ended = {
            let step = step_id.to_owned();
            move |outcome| AttemptReport::Ended { run_id, step, attempt: number, outcome: Arc::new(outcome) }
        };
        let agent = match agents::resolve(&state.plan, step, state.options.simulate) {
            Ok(agent) => agent,
            Err(error) => {
                let report = ended(Outcome::failed(error));
                tokio::spawn(async move {
                    // The engine has ended: there is nobody left to tell; so below.
                    let _ = reports.send(report).await;
                });
                return Some(stop_handle);
            }
        };
        let context = AttemptContext {
            run_id,
            step: Arc::clone(step),
            agent,
            attempt: number,
            key: state.attempt_key(step_id, attempt),
            input: attempt.input.as_deref().cloned().unwrap_or_else(|| input_of(step)),
            plan_dir: plan_dir.to_path_buf(),
            working_dir: PathBuf::from(&state.options.working_dir),
            output_path: super::output_path(&self.root, run_id, step_id, number),
            output_limit: state.options.output_limit.unwrap_or(DEFAULT_OUTPUT_LIMIT),
            results: results_of(state),
            grace: state.options.grace(),
            stop,
            live: self.live.sink(run_id, step_id, number),
            warden: Arc::clone(&self.warden),
            secrets: agents::Masker::default(),
        };
        let limit = step.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let timed_out = AttemptReport::TimedOut { run_id, step: step_id.to_owned(), attempt: number };
        tokio::spawn(async move {
            let work = agents::run_attempt(context);
            tokio::pin!(work);
            let outcome = match limit {
                None => work.await,
                Some(limit) => match tokio::time::timeout(limit, &mut work).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        let _ = reports.send(timed_out).await;
                        work.await
                    }
                },
            };
            let _ = reports.send(ended(outcome)).await;
        });
        Some(stop_handle)
    }
}

/// The results of earlier steps, for agents that ask for them.
fn results_of(state: &RunState) -> agents::Results {
    let jsonl = state.plan.agents.values().any(|agent| {
        matches!(agent, crate::plan::AgentSpec::Command { protocol: Some(crate::plan::CommandProtocol::Jsonl), .. })
    });
    if !jsonl {
        return Arc::new(|| Value::Object(serde_json::Map::new()));
    }
    let steps = state.plan.steps.iter().zip(&state.steps);
    let results: Value = steps.filter_map(|(step, found)| Some((step.step_id.clone(), found.result()?))).collect();
    Arc::new(move || results.clone())
}
