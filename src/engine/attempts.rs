//! Starting and stopping attempts: tasks beside the engine that report back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::agents::{self, AttemptContext, LiveBoard, StopHandle, Warden};
use crate::plan::{self, AgentSpec, Step};
use crate::run::{
    DEFAULT_OUTPUT_LIMIT, InputError, Outcome, RunState, Secrets, condition, input_of, rendered_step, rendered_value,
};

use super::live::LiveRun;

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
    pub fn start(&self, run: &LiveRun, step_id: &str, number: u32) -> Option<StopHandle> {
        let state = &run.state;
        let (planned, step_state) = state.step(step_id)?;
        let attempt = step_state.attempts.iter().find(|attempt| attempt.number == number)?;
        let run_id = state.run_id;
        let (stop_handle, stop) = agents::stop_channel();
        let reports = self.reports.clone();
        let ended = {
            let step = step_id.to_owned();
            move |outcome| AttemptReport::Ended { run_id, step, attempt: number, outcome: Arc::new(outcome) }
        };
        let (step, agent) = match work_of(state, planned, &run.secrets) {
            Ok(found) => found,
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
            input: input_of(&step),
            agent,
            attempt: number,
            key: state.attempt_key(step_id, attempt),
            plan_dir: run.plan_dir.clone(),
            working_dir: PathBuf::from(&state.options.working_dir),
            output_path: super::output_path(&self.root, run_id, step_id, number),
            output_limit: state.options.output_limit.unwrap_or(DEFAULT_OUTPUT_LIMIT),
            results: results_of(state),
            grace: state.options.grace(),
            stop,
            live: self.live.sink(run_id, step_id, number),
            warden: Arc::clone(&self.warden),
            secrets: run.masker.clone(),
            step,
        };
        let limit = planned.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
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

/// The step and its agent with everything rendered, secrets in place. What the journal has of it is masked.
fn work_of(state: &RunState, planned: &Arc<Step>, secrets: &Secrets) -> Result<(Arc<Step>, AgentSpec), String> {
    let in_words = |error: InputError| error.message;
    let position = state.position(&planned.step_id).unwrap_or_default();
    condition(state, position).map_err(in_words)?;
    let rendered = rendered_step(state, position, secrets).map_err(in_words)?;
    let step = rendered.map_or_else(|| Arc::clone(planned), Arc::new);
    let agent = agents::resolve(&state.plan, &step, state.options.simulate)?;
    if step.run.is_some() || !plan::has_expression(&agent) {
        return Ok((step, agent));
    }
    let value = serde_json::to_value(&agent).map_err(|error| error.to_string())?;
    let value = rendered_value(state, &step, &value, secrets).map_err(in_words)?;
    let agent = serde_json::from_value(value)
        .map_err(|error| format!("the agent's entry with its expressions filled in is no entry any more: {error}"))?;
    Ok((step, agent))
}

/// The results of earlier steps, for agents that ask for them.
fn results_of(state: &RunState) -> agents::Results {
    let jsonl = state.plan.agents.values().any(|agent| {
        matches!(agent, crate::plan::AgentSpec::Command { protocol: Some(crate::plan::CommandProtocol::Jsonl), .. })
    });
    if !jsonl {
        return Arc::new(|| Value::Object(serde_json::Map::new()));
    }
    // Those of instances are in the list of their step.
    let steps = state.plan.steps[..state.plan.written()].iter().enumerate();
    let results: Value = steps.filter_map(|(place, step)| Some((step.step_id.clone(), state.result(place)?))).collect();
    Arc::new(move || results.clone())
}
