//! Starting and stopping attempts: tasks beside the engine that report back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::agents::{self, AnswerSender, AttemptContext, Clock, LiveBoard, Masker, StartHandle, StopHandle, Warden};
use crate::plan::{self, AgentSpec, Plan, Step};
use crate::run::{
    Asked, DEFAULT_OUTPUT_LIMIT, InputError, Outcome, Question, RunState, Secrets, condition, input_of, rendered_step,
    rendered_value,
};

use super::live::LiveRun;

/// What an attempt's task reports.
#[derive(Debug)]
pub(super) enum AttemptReport {
    Ended { run_id: Uuid, step: String, attempt: u32, outcome: Arc<Outcome> },
    TimedOut { run_id: Uuid, step: String, attempt: u32 },
    Asked { run_id: Uuid, step: String, attempt: u32, number: u32, question: Arc<Question> },
}

/// The engine's hold on an attempt that is alive.
#[derive(Debug)]
pub(super) struct Running {
    /// Its number.
    pub number: u32,
    /// Lets it start.
    start: StartHandle,
    /// Asks it to stop.
    pub stop: StopHandle,
    /// Gives it answers to what it asks.
    pub answers: AnswerSender,
    task: AbortHandle,
    outlives_engine: bool,
}

impl Running {
    /// Whether nobody has to wait for its end.
    pub fn outlives_engine(&self) -> bool {
        self.outlives_engine
    }

    /// Its start is durable.
    pub fn go(&self) {
        self.start.give();
    }
}

impl Drop for Running {
    /// One that has not started is let go with its hold, and so is one that outlives the engine: with its run.
    fn drop(&mut self) {
        if self.outlives_engine || !self.start.is_given() {
            self.task.abort();
        }
    }
}

/// What every attempt needs of the engine.
pub(super) struct Launcher {
    pub root: PathBuf,
    pub warden: Arc<Warden>,
    pub reports: mpsc::Sender<AttemptReport>,
    pub live: LiveBoard,
    pub clock: Clock,
}

impl Launcher {
    /// The run is let go: none of its attempts is alive, and none will follow.
    pub fn run_closed(&self, run_id: Uuid) {
        self.warden.clear_notes(&super::output_dir(&self.root, run_id));
    }

    /// Attempts of this plan may follow soon: what takes a while to start is started.
    pub fn expect(&self, plan: &Plan) {
        let processes = |spec: &AgentSpec| match spec {
            AgentSpec::Command { .. } => true,
            AgentSpec::Mcp(spec) => spec.command.is_some(),
            _ => false,
        };
        if plan.agents.values().any(processes) || plan.steps.iter().any(|step| step.run.is_some()) {
            self.warden.call();
        }
    }

    /// Gets an attempt ready whose start is decided, if its agent does that; it starts when it is told to [go](Running::go).
    pub fn prepare(&self, run: &LiveRun, step_id: &str, number: u32) -> Option<Running> {
        let (planned, _) = run.state.step(step_id)?;
        if !run.state.plan.ability(planned).gets_ready {
            return None;
        }
        self.begin(run, step_id, number, None)
    }

    /// Starts an attempt whose start is durable, or takes one up again that another engine has started and that has asked something by then.
    pub fn start(&self, run: &LiveRun, step_id: &str, number: u32, taken_up: Option<Vec<Asked>>) -> Option<Running> {
        let running = self.begin(run, step_id, number, taken_up)?;
        running.go();
        Some(running)
    }

    fn begin(&self, run: &LiveRun, step_id: &str, number: u32, taken_up: Option<Vec<Asked>>) -> Option<Running> {
        let state = &run.state;
        let (planned, step_state) = state.step(step_id)?;
        let attempt = step_state.numbered(number)?;
        let run_id = state.run_id;
        let (start_handle, start) = agents::start_channel();
        let (stop_handle, stop) = agents::stop_channel();
        let (desk, mut clerk, answers) = agents::desk(taken_up.clone().unwrap_or_default());
        let reports = self.reports.clone();
        let ended = {
            let step = step_id.to_owned();
            move |outcome| AttemptReport::Ended { run_id, step, attempt: number, outcome: Arc::new(outcome) }
        };
        let (step, agent) = match work_of(state, planned, &run.secrets) {
            Ok(found) => found,
            Err(error) => {
                let error = run.masker.text(&error);
                let report = ended(match taken_up {
                    // What another engine has begun is not over because this one cannot ask for it.
                    Some(_) => Outcome { error: Some(error.into_owned()), ..Outcome::lost() },
                    None => Outcome::failed(error),
                });
                let mut start = start;
                let task = tokio::spawn(async move {
                    start.given().await;
                    // The engine has ended: there is nobody left to tell; so below.
                    let _ = reports.send(report).await;
                });
                let (task, outlives_engine) = (task.abort_handle(), false);
                return Some(Running {
                    number,
                    start: start_handle,
                    stop: stop_handle,
                    answers,
                    task,
                    outlives_engine,
                });
            }
        };
        let context = AttemptContext {
            run_id,
            input: input_of(&step),
            started_at: attempt.started_at,
            taken_up: taken_up.is_some(),
            due: attempt.due,
            clock: Arc::clone(&self.clock),
            desk,
            agent,
            attempt: number,
            key: state.attempt_key(step_id, attempt),
            plan_dir: run.plan_dir.clone(),
            working_dir: PathBuf::from(&state.options.working_dir),
            output_path: super::output_path(&self.root, run_id, step_id, number),
            output_limit: state.options.output_limit.unwrap_or(DEFAULT_OUTPUT_LIMIT),
            results: results_of(state),
            grace: state.options.grace(),
            start: start.clone(),
            stop,
            live: self.live.sink(run_id, step_id, number),
            warden: Arc::clone(&self.warden),
            sessions: run.sessions.clone(),
            secrets: run.masker.clone(),
            step,
        };
        // By the plan's own entry: what is filled in by now does not tell any more.
        let outlives_engine = state.plan.ability(planned).outlives_engine;
        let limit = planned.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let ran = ((self.clock)() - attempt.started_at).to_std().unwrap_or_default();
        let limit = limit.map(|limit| if outlives_engine { limit.saturating_sub(ran) } else { limit });
        let step = step_id.to_owned();
        let masker = run.masker.clone();
        let task = tokio::spawn(async move {
            let work = agents::run_attempt(context);
            tokio::pin!(work);
            let (mut start, mut started) = (start.clone(), start);
            let over = async {
                match limit {
                    Some(limit) => {
                        start.given().await;
                        tokio::time::sleep(limit).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(over);
            let mut timed_out = false;
            let outcome = loop {
                let report = tokio::select! {
                    outcome = &mut work => break outcome,
                    () = &mut over, if !timed_out => {
                        timed_out = true;
                        AttemptReport::TimedOut { run_id, step: step.clone(), attempt: number }
                    }
                    (which, question) = clerk.next() => {
                        let question = Arc::new(masked(question.bounded(), &masker));
                        AttemptReport::Asked { run_id, step: step.clone(), attempt: number, number: which, question }
                    }
                };
                let _ = reports.send(report).await;
            };
            // What went wrong while it got ready is told when it would have started.
            started.given().await;
            let _ = reports.send(ended(outcome)).await;
        });
        let task = task.abort_handle();
        Some(Running { number, start: start_handle, stop: stop_handle, answers, task, outlives_engine })
    }
}

/// A question without secrets: it is journaled and shown.
fn masked(question: Question, masker: &Masker) -> Question {
    if masker.is_empty() {
        return question;
    }
    let value = serde_json::to_value(&question).map(|value| masker.value(value));
    let masked = value.and_then(serde_json::from_value);
    masked.unwrap_or_else(|_| Question { title: masker.text(&question.title).into_owned(), ..Question::default() })
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
