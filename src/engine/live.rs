//! One run that is open in the engine: its state, which runs ahead of the disk, and what waits for the disk.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::agents::{Masker, Sessions, Stop};
use crate::plan;
use crate::run::{
    Answered, Asked, Command, Event, Input, InterventionStatus, Moment, Outcome, OutcomeStatus, Recorded, Rejection,
    RejectionCode, Request, RunState, Secrets, advance, log_refusal,
};

use super::Ack;
use super::attempts::{Launcher, Running};

/// Something to do outside, once the event that says so is durable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// Start an attempt; or take one up again that an earlier engine started, with what it has asked.
    Start { step: String, attempt: u32, taken_up: Option<Vec<Asked>> },
    /// Give an attempt the answer to what it asks.
    Answer { step: String, attempt: u32, number: u32, answered: Arc<Answered> },
    /// Ask an attempt to stop.
    Stop { step: String, attempt: u32, kill: bool },
}

/// Tells somebody that what they wait for is durable, or void.
type Tell = Box<dyn FnOnce(Result<(), Rejection>) + Send>;

/// A report of the shell and what was decided on it.
struct Reported {
    /// Numbers of its first and its newest event.
    first: u64,
    last: u64,
    input: Input,
}

/// A run that is open in the engine.
pub(super) struct LiveRun {
    pub state: RunState,
    /// Folder of the plan's file, for attempts.
    pub plan_dir: PathBuf,
    /// The values of secret variables.
    pub secrets: Secrets,
    /// What is wrong with those that are not there.
    pub missing_secrets: Vec<String>,
    /// What masks them.
    pub masker: Masker,
    /// The sessions with servers that its attempts share.
    pub sessions: Sessions,
    /// The attempts that are alive, by step.
    pub attempts: HashMap<String, Running>,
    /// Attempts that get ready for a start that is not durable yet, by step.
    ready: HashMap<String, Running>,
    /// Effects of events that are not durable yet.
    effects: VecDeque<(u64, Effect)>,
    /// Acknowledgements of events that are not durable yet.
    waiters: VecDeque<(u64, Tell)>,
    /// The disk does not take this run's journal: nothing is decided but what arrives is kept.
    pub storage: Option<String>,
    /// Reports whose events are not durable yet: should those turn out void, the reports still count.
    undurable: VecDeque<Reported>,
    /// What arrived meanwhile: decided first once writing works.
    deferred: Vec<Input>,
    /// The time this run is to be woken at, as entered in the engine's list.
    pub wake: Option<Wake>,
}

/// When a run is to be woken.
///
/// The time is kept twice, because a clock can be set: a wait is over when the clock says so or when it has lasted as long as it was to last,
/// whichever comes first. Ordered by the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wake {
    pub at: Instant,
    pub due: DateTime<Utc>,
}

impl Wake {
    pub fn new(due: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        // So far away that it does not matter when.
        const AGES: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        Self { at: Instant::now() + (due - now).to_std().unwrap_or_default().min(AGES), due }
    }

    pub fn is_due(&self, now: DateTime<Utc>, instant: Instant) -> bool {
        self.due <= now || self.at <= instant
    }
}

impl LiveRun {
    pub fn new(state: RunState) -> Self {
        let plan_path = state.options.plan_path.as_deref().map(PathBuf::from);
        let plan_dir = plan_path.and_then(|path| path.parent().map(PathBuf::from));
        let plan_dir = plan_dir.unwrap_or_else(|| PathBuf::from(&state.options.working_dir));
        Self {
            state,
            plan_dir,
            secrets: Secrets::default(),
            missing_secrets: Vec::new(),
            masker: Masker::default(),
            sessions: Sessions::default(),
            attempts: HashMap::new(),
            ready: HashMap::new(),
            effects: VecDeque::new(),
            waiters: VecDeque::new(),
            storage: None,
            undurable: VecDeque::new(),
            deferred: Vec::new(),
            wake: None,
        }
    }

    /// Finds the run's secrets: what is given, what was given before, what the environment has.
    ///
    /// # Errors
    /// They cannot be searched for in output, so they could not be masked.
    pub fn find_secrets(
        &mut self,
        given: &Secrets,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let mut known = self.secrets.0.clone();
        known.extend(given.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        let (found, missing) = plan::secrets(&self.state.plan, &known, environment);
        self.masker = Masker::new(found.values())?;
        (self.secrets, self.missing_secrets) = (Secrets(found), missing);
        Ok(())
    }

    /// Refuses what would start attempts that cannot have their input.
    fn refuse_without_secrets(&self, request: &Request) -> Result<(), Rejection> {
        let starts = matches!(
            request.command,
            Command::Start | Command::Resume | Command::Rollback | Command::Retry { .. } | Command::Release { .. }
        );
        if !starts || self.missing_secrets.is_empty() {
            return Ok(());
        }
        let possible = "or, for a run that was stopped: holdpoint resume RUN --set NAME=VALUE";
        Err(Rejection::new(RejectionCode::NotNow, self.missing_secrets.join("; ")).possible(possible))
    }

    /// Decides a report of the shell. Reports are never refused; while the disk does not take the journal they are kept.
    pub fn report(&mut self, input: Input, moment: &Moment) -> Vec<Arc<Recorded>> {
        if self.storage.is_some() {
            if !matches!(input, Input::Wake) {
                self.deferred.push(input);
            }
            return Vec::new();
        }
        let live: Vec<usize> = match input {
            Input::Opened { .. } => self.state.live().collect(),
            _ => Vec::new(),
        };
        let batch = advance(&mut self.state, &input, moment).unwrap_or_default();
        self.take_up(&live, &batch);
        self.note_effects(&batch);
        if let Some(first) = batch.first()
            && !matches!(input, Input::Wake)
        {
            self.undurable.push_back(Reported { first: first.seq, last: self.state.seq, input });
        }
        batch
    }

    /// Decides an operator's request. The answer is sent when the events returned are durable; a refusal is logged and answered at once.
    pub fn request(
        &mut self,
        input: &Input,
        request: &Request,
        moment: &Moment,
        reply: oneshot::Sender<Result<Ack, Rejection>>,
    ) -> Vec<Arc<Recorded>> {
        if let Some(error) = &self.storage {
            // An answer that nobody waits for any more is no trouble of the run's; so below.
            let _ = reply.send(Err(storage_rejection(error)));
            return Vec::new();
        }
        if let Some(id) = request.command_id.as_deref()
            && self.state.has_command(id)
        {
            self.repeat_answer(id, reply);
            return Vec::new();
        }
        let decided = self.refuse_without_secrets(request).and_then(|()| advance(&mut self.state, input, moment));
        let batch = match decided {
            Ok(batch) => batch,
            Err(rejection) => {
                let batch = log_refusal(&mut self.state, request, &rejection, moment);
                // It speaks of a state that is not on disk yet: whoever then asks how the run stands must not see an older one.
                self.answer_when_durable(reply, Err(rejection));
                return batch;
            }
        };
        let status = batch
            .iter()
            .find_map(|recorded| match &recorded.event {
                Event::Intervention(record) => Some(record.status),
                _ => None,
            })
            .unwrap_or(InterventionStatus::Applied);
        let ack = Ack { run_id: self.state.run_id, seq: self.state.seq, status, duplicate: false };
        self.when_durable(reply, ack);
        self.note_effects(&batch);
        batch
    }

    /// The same command id again: the first answer again.
    fn repeat_answer(&mut self, command_id: &str, reply: oneshot::Sender<Result<Ack, Rejection>>) {
        let known = self.state.interventions.iter().rev();
        let known = known.clone().find(|record| record.command_id.as_deref() == Some(command_id));
        let status = known.map_or(InterventionStatus::Applied, |record| record.status);
        if let Some(record) = known
            && status == InterventionStatus::Failed
        {
            let error = record.error.clone().unwrap_or_else(|| "the command was refused".into());
            let _ = reply.send(Err(Rejection::new(RejectionCode::NotNow, error)));
            return;
        }
        let ack = Ack { run_id: self.state.run_id, seq: self.state.seq, status, duplicate: true };
        self.when_durable(reply, ack);
    }

    /// Sends an answer when everything decided so far is durable, or the refusal when it turns out void.
    pub fn when_durable<T: Send + 'static>(&mut self, reply: oneshot::Sender<Result<T, Rejection>>, answer: T) {
        self.answer_when_durable(reply, Ok(answer));
    }

    fn answer_when_durable<T: Send + 'static>(
        &mut self,
        reply: oneshot::Sender<Result<T, Rejection>>,
        answer: Result<T, Rejection>,
    ) {
        let tell = move |result: Result<(), Rejection>| {
            let _ = reply.send(result.and(answer));
        };
        self.waiters.push_back((self.state.seq, Box::new(tell)));
    }

    /// The run was opened: what had been alive and still is outlives its engines, and is taken up again.
    fn take_up(&mut self, live: &[usize], opened: &[Arc<Recorded>]) {
        let Some(first) = opened.first().map(|first| first.seq) else { return };
        let started = |step: &str| {
            opened.iter().any(|one| matches!(&one.event, Event::AttemptStarted { step: other, .. } if other == step))
        };
        for position in live.iter().filter(|position| self.state.steps[**position].status.is_live()) {
            let step = &self.state.plan.steps[*position].step_id;
            if let Some(attempt) = self.state.steps[*position].attempt().filter(|_| !started(step)) {
                let (step, asked) = (step.clone(), attempt.questions.to_vec());
                self.effects.push_back((first, Effect::Start { step, attempt: attempt.number, taken_up: Some(asked) }));
            }
        }
    }

    fn note_effects(&mut self, batch: &[Arc<Recorded>]) {
        for recorded in batch {
            let effect = match &recorded.event {
                Event::AttemptStarted { step, attempt, .. } => {
                    Effect::Start { step: step.clone(), attempt: *attempt, taken_up: None }
                }
                Event::QuestionAnswered { step, attempt, .. } => {
                    let found = self.state.step(step).and_then(|(_, found)| found.numbered(*attempt));
                    let asked = found.map(|attempt| attempt.questions.as_slice()).unwrap_or_default();
                    // One question is open at a time, and the next one comes after this answer.
                    let Some(answered) = asked.last().and_then(|asked| asked.answered.clone()) else { continue };
                    Effect::Answer { step: step.clone(), attempt: *attempt, number: asked.len() as u32, answered }
                }
                Event::StopRequested { step, attempt, kill, .. } => {
                    Effect::Stop { step: step.clone(), attempt: *attempt, kill: *kill }
                }
                _ => continue,
            };
            self.effects.push_back((recorded.seq, effect));
        }
    }

    /// The journal is durable up to a place: the commands up to there are acknowledged, their effects returned.
    pub fn durable(&mut self, seq: u64) -> Vec<Effect> {
        while self.waiters.front().is_some_and(|(place, _)| *place <= seq) {
            if let Some((_, tell)) = self.waiters.pop_front() {
                tell(Ok(()));
            }
        }
        while self.undurable.pop_front_if(|reported| reported.last <= seq).is_some() {}
        let due = self.effects.iter().take_while(|(place, _)| *place <= seq).count();
        self.effects.drain(..due).map(|(_, effect)| effect).collect()
    }

    /// The disk did not take what was decided last: it is void, and the state is the durable one again. What had been reported by attempts
    /// did happen all the same, and is decided again.
    pub fn roll_back(&mut self, durable: RunState, error: &str) {
        self.state = durable;
        self.void(error);
        let reported = self.undurable.drain(..).map(|reported| reported.input);
        self.deferred.splice(..0, reported);
        self.storage = Some(error.to_owned());
    }

    /// An event that was decided cannot be written, whatever the disk. All that is not durable is void; what is to be decided instead is
    /// returned: the same reports, but for the one that led to the event. It comes back as a failure that says so.
    pub fn retract(&mut self, durable: RunState, seq: u64, error: &str) -> Vec<Input> {
        let guilty = self.undurable.iter_mut().find(|reported| (reported.first..=reported.last).contains(&seq));
        let by_report = guilty.is_some();
        if let Some(Reported { input, .. }) = guilty {
            match input {
                Input::AttemptEnded { outcome, .. } if outcome.result.is_some() => {
                    let error = Some(format!("its result cannot be recorded: {error}"));
                    let status = OutcomeStatus::Failed;
                    *outcome = Arc::new(Outcome { status, error, result: None, ..Outcome::clone(outcome) });
                }
                // Nothing can be left out: the run rests until it is opened anew.
                _ => {
                    self.roll_back(durable, error);
                    return Vec::new();
                }
            }
        }
        self.state = durable;
        self.effects.clear();
        self.ready.clear();
        let mut asked_for_it = !by_report;
        for (place, tell) in self.waiters.drain(..) {
            let guilty = place >= seq && std::mem::take(&mut asked_for_it);
            tell(Err(if guilty { unwritable(error) } else { beside_unwritable() }));
        }
        let mut inputs: Vec<Input> = self.undurable.drain(..).map(|reported| reported.input).collect();
        inputs.push(Input::Wake);
        inputs
    }

    /// What was decided and is not durable will never be.
    pub fn void(&mut self, error: &str) {
        self.effects.clear();
        self.ready.clear();
        for (_, tell) in self.waiters.drain(..) {
            tell(Err(storage_rejection(error)));
        }
    }

    /// The disk takes the journal again: what arrived meanwhile is to be decided now, first of all.
    pub fn writable(&mut self) -> Vec<Input> {
        self.storage = None;
        let mut inputs = std::mem::take(&mut self.deferred);
        inputs.push(Input::Wake);
        inputs
    }

    /// Has attempts get ready whose start is decided and not durable yet.
    pub fn get_ready(&mut self, launcher: &Launcher) {
        for (_, effect) in &self.effects {
            if let Effect::Start { step, attempt, taken_up: None } = effect
                && !self.ready.contains_key(step)
                && let Some(running) = launcher.prepare(self, step, *attempt)
            {
                self.ready.insert(step.clone(), running);
            }
        }
    }

    /// An attempt's start is durable: it starts.
    pub fn start(&mut self, launcher: &Launcher, step: String, attempt: u32, taken_up: Option<Vec<Asked>>) {
        let ready = self.ready.remove(&step).filter(|running| running.number == attempt);
        let running = ready.inspect(Running::go).or_else(|| launcher.start(self, &step, attempt, taken_up));
        if let Some(running) = running {
            self.attempts.insert(step, running);
        }
    }

    /// Asks every attempt to stop, without a word in the journal.
    pub fn stop_attempts(&self) {
        for attempt in self.attempts.values().filter(|attempt| !attempt.outlives_engine()) {
            attempt.stop.stop(Stop::Term);
        }
    }

    /// Whether an attempt is alive that has to end first, as far as the engine has started it.
    pub fn is_busy(&self) -> bool {
        self.has_bound_attempts() || self.state.bound_to_engine().next().is_some()
    }

    /// Whether an attempt is alive that has to end first, whatever the state says.
    pub fn has_bound_attempts(&self) -> bool {
        self.attempts.values().any(|attempt| !attempt.outlives_engine())
    }
}

fn unwritable(error: &str) -> Rejection {
    Rejection::new(RejectionCode::Invalid, format!("it cannot be recorded: {error}")).possible("nothing was applied")
}

fn beside_unwritable() -> Rejection {
    Rejection::new(RejectionCode::NotNow, "it was decided together with something that cannot be recorded")
        .possible("nothing was applied; it can be repeated at once")
}

fn storage_rejection(error: &str) -> Rejection {
    Rejection::new(RejectionCode::Storage, format!("the disk does not take the run's journal: {error}"))
        .possible("nothing was applied; it can be repeated when that is mended")
}
