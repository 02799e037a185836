//! What the tests of a run's pure core share: plans in short, and a driver that plays the engine's part with a clock of its own.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use holdpoint::plan::{FailurePolicy, Plan};
use holdpoint::run::{
    self, Command, Durations, Event, Input, Moment, Outcome, Preview, Recorded, Registration, Rejection, Request,
    RunOptions, RunState, RunStatus, StepStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A plan of these steps; a bare string is a step that has nothing but its id.
pub fn plan(steps: Value) -> Arc<Plan> {
    let steps: Vec<Value> = steps
        .as_array()
        .expect("a list of steps")
        .iter()
        .map(|step| {
            let mut whole = json!({"step_id": step, "run": "true"});
            if let Some(fields) = step.as_object() {
                whole.as_object_mut().expect("an object").extend(fields.clone());
            }
            whole
        })
        .collect();
    Arc::new(serde_json::from_value(json!({"plan_id": "test", "steps": steps})).expect("a plan"))
}

/// Options with a failure policy and a limit.
pub fn options(on_failure: FailurePolicy, max_parallel: u32) -> RunOptions {
    RunOptions {
        on_failure,
        max_parallel,
        // The plans of these tests name no agents.
        simulate: true,
        durability: run::Durability::Full,
        grace_seconds: run::DEFAULT_GRACE_SECONDS,
        working_dir: "/".into(),
        output_limit: None,
        plan_path: None,
        variables: Default::default(),
        environment: Default::default(),
    }
}

/// The engine's part: keeps a run's state, its journal and where its batches end.
#[derive(Debug, Clone)]
pub struct Driver {
    pub state: RunState,
    pub journal: Vec<Arc<Recorded>>,
    /// Length of the journal after each batch.
    pub batches: Vec<usize>,
    pub now: DateTime<Utc>,
    asked: u128,
}

impl Driver {
    /// A run of a plan, opened and idle.
    pub fn new(plan: Arc<Plan>, options: RunOptions) -> Self {
        Self::knowing(plan, options, None)
    }

    /// The same, where earlier runs have told how long the steps take.
    pub fn knowing(plan: Arc<Plan>, options: RunOptions, durations: Option<Durations>) -> Self {
        let now = DateTime::from_timestamp(1_800_000_000, 123_456_789).expect("a time");
        let registration = Registration {
            run_id: Uuid::from_u128(7),
            plan,
            options,
            user: "ann".into(),
            fork: None,
            durations: durations.map(Arc::new),
        };
        let batch = run::register(registration, &Moment { now, entropy: 0 });
        let state = RunState::from_registration(&batch[0]).expect("a registration");
        let mut driver = Self { state, journal: batch, batches: vec![1], now, asked: 0 };
        driver.feed(&Input::Opened { version: "test".into(), pid: 1, go_on: true }).expect("opening is never refused");
        driver
    }

    /// A new run, idle, that begins where this one is.
    pub fn forked(&self) -> Self {
        let state = &self.state;
        let registration = Registration {
            run_id: Uuid::from_u128(8),
            plan: state.own_plan(),
            options: state.options.as_ref().clone(),
            user: "ann".into(),
            fork: Some(Box::new(run::fork_at(state, state))),
            durations: None,
        };
        let batch = run::register(registration, &self.moment());
        let state = RunState::from_registration(&batch[0]).expect("a registration");
        let mut driver = Self { state, journal: batch, batches: vec![1], now: self.now, asked: 0 };
        driver.feed(&Input::Opened { version: "test".into(), pid: 1, go_on: true }).expect("opening is never refused");
        driver
    }

    /// A run of these steps with policy `pause` and room for all, started.
    pub fn started(steps: Value) -> Self {
        let mut driver = Self::new(plan(steps), options(FailurePolicy::Pause, 16));
        driver.ask(Command::Start);
        driver
    }

    pub fn moment(&self) -> Moment {
        Moment { now: self.now, entropy: self.state.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// One input and what follows from it.
    pub fn feed(&mut self, input: &Input) -> Result<Vec<Arc<Recorded>>, Rejection> {
        let moment = self.moment();
        let batch = run::advance(&mut self.state, input, &moment)?;
        if !batch.is_empty() {
            self.journal.extend(batch.iter().cloned());
            self.batches.push(self.journal.len());
        }
        Ok(batch)
    }

    pub fn request(&mut self, command: Command, user: &str) -> Request {
        self.asked += 1;
        Request {
            id: Uuid::from_u128(1000 + self.asked),
            command,
            user: user.into(),
            uid: None,
            reason: None,
            command_id: None,
            expected_plan_version: None,
            seen: None,
            stay_paused: false,
            no_kill: false,
        }
    }

    /// A command that must be accepted.
    pub fn ask(&mut self, command: Command) -> Vec<Arc<Recorded>> {
        self.ask_as("ann", command)
    }

    pub fn ask_as(&mut self, user: &str, command: Command) -> Vec<Arc<Recorded>> {
        let said = format!("{command:?}");
        self.try_as(user, command).unwrap_or_else(|refused| panic!("{said} was refused: {refused}"))
    }

    pub fn try_as(&mut self, user: &str, command: Command) -> Result<Vec<Arc<Recorded>>, Rejection> {
        let request = self.request(command, user);
        let input = match request.command {
            Command::Restore { checkpoint } => {
                Input::Restore { target: Arc::new(self.at(checkpoint)), request: request.clone() }
            }
            _ => Input::Request(request),
        };
        self.feed(&input)
    }

    /// A command that must be refused, and changes nothing.
    pub fn refused(&mut self, command: Command) -> Rejection {
        let before = self.state.clone();
        let said = format!("{command:?}");
        let refusal = self.try_as("ann", command).expect_err(&said);
        assert_eq!(before, self.state, "{said} was refused and still changed the state");
        refusal
    }

    /// The newest attempt of a step ends.
    pub fn ends(&mut self, step: &str, outcome: Outcome) -> Vec<Arc<Recorded>> {
        let attempt = self.state.step(step).expect(step).1.last_attempt;
        let outcome = Arc::new(outcome);
        self.feed(&Input::AttemptEnded { step: step.into(), attempt, outcome }).expect("an outcome is never refused")
    }

    pub fn succeeds(&mut self, step: &str) {
        assert!(self.status(step).is_live(), "`{step}` does not run: it is {}", self.status(step).word());
        self.ends(step, Outcome::succeeded());
    }

    pub fn fails(&mut self, step: &str) {
        assert!(self.status(step).is_live(), "`{step}` does not run: it is {}", self.status(step).word());
        self.ends(step, Outcome::failed("broken"));
    }

    /// Its time limit is over.
    pub fn times_out(&mut self, step: &str) {
        let attempt = self.state.step(step).expect(step).1.last_attempt;
        self.feed(&Input::TimedOut { step: step.into(), attempt }).expect("a time-out is never refused");
    }

    /// Time passes.
    pub fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        self.feed(&Input::Wake).expect("a wake is never refused");
    }

    /// The engine dies after so many batches were lost, and another one opens what is on disk.
    pub fn crash(&mut self, lost_batches: usize, go_on: bool) {
        let keep = self.batches.len().saturating_sub(lost_batches).max(1);
        self.batches.truncate(keep);
        self.journal.truncate(self.batches[keep - 1]);
        self.state = fold(&self.journal);
        self.feed(&Input::Opened { version: "test".into(), pid: 2, go_on }).expect("opening is never refused");
    }

    /// The state at a place in the journal.
    pub fn at(&self, seq: u64) -> RunState {
        let end = self.journal.partition_point(|recorded| recorded.seq <= seq);
        fold(&self.journal[..end.max(1)])
    }

    pub fn status(&self, step: &str) -> StepStatus {
        self.state.step(step).unwrap_or_else(|| panic!("no step {step}")).1.status
    }

    /// Every step's status in words, in plan order.
    pub fn words(&self) -> String {
        self.state.steps.iter().map(|step| step.status.word()).collect::<Vec<_>>().join(" ")
    }

    /// The run's status with its reasons, as in `paused(hold,operator)`.
    pub fn run(&self) -> String {
        let mut said = self.state.status.word().to_owned();
        if self.state.status == RunStatus::Paused {
            let reasons: Vec<&str> = self.state.paused.iter().map(|reason| reason.word()).collect();
            said.push_str(&format!("({})", reasons.join(",")));
        }
        if self.state.cancelling {
            said.push_str("+cancelling");
        }
        said
    }

    /// How often attempts of a step have started, by the journal.
    pub fn starts(&self, id: &str) -> usize {
        let started =
            |recorded: &&Arc<Recorded>| matches!(&recorded.event, Event::AttemptStarted { step, .. } if step == id);
        self.journal.iter().filter(started).count()
    }

    /// The newest checkpoint made when a step of this name came to an end, whatever the plan is now.
    pub fn checkpoint_of(&self, step: &str) -> u64 {
        let named =
            |mark: &&run::CheckpointMark| mark.step.and_then(|number| self.state.step_name(number)) == Some(step);
        let made = self.state.checkpoints.iter().rev().find(named);
        made.unwrap_or_else(|| panic!("no checkpoint after {step}")).seq
    }

    /// The newest checkpoint made when this step came to an end.
    pub fn checkpoint_after(&self, step: &str) -> u64 {
        let position = self.state.position(step).expect(step) as u32;
        let made = self.state.checkpoints.iter().rev().find(|mark| mark.step == Some(position));
        made.unwrap_or_else(|| panic!("no checkpoint after {step}")).seq
    }
}

/// The fold of a journal.
pub fn fold(journal: &[Arc<Recorded>]) -> RunState {
    let mut state = RunState::from_registration(&journal[0]).expect("a journal begins with its registration");
    for recorded in &journal[1..] {
        state.apply(recorded);
    }
    state
}

/// What a state is after it was written to a file and loaded again.
pub fn reloaded(state: &RunState) -> RunState {
    let text = serde_json::to_vec(state).expect("a state can be written");
    let mut state: RunState = serde_json::from_slice(&text).expect("a state can be read again");
    state.reindex();
    state
}

pub fn retry(step: &str) -> Command {
    Command::Retry { step: step.into(), downstream: false }
}

pub fn retry_downstream(step: &str) -> Command {
    Command::Retry { step: step.into(), downstream: true }
}

pub fn skip(step: &str) -> Command {
    Command::Skip { step: step.into() }
}

pub fn complete(step: &str) -> Command {
    Command::Complete { step: step.into(), result: None }
}

pub fn hold(step: &str) -> Command {
    Command::Hold { step: step.into() }
}

pub fn unhold(step: &str) -> Command {
    Command::Unhold { step: step.into() }
}

pub fn release(step: &str) -> Command {
    Command::Release { step: step.into() }
}

pub fn restore(checkpoint: u64) -> Command {
    Command::Restore { checkpoint }
}

/// What a command would do, which is not done.
pub fn preview_of(driver: &Driver, command: Command) -> Result<Preview, Rejection> {
    let mut driver = driver.clone();
    let target = match command {
        Command::Restore { checkpoint } => Some(Arc::new(driver.at(checkpoint))),
        _ => None,
    };
    let request = driver.request(command, "ann");
    let input = match target {
        Some(target) => Input::Restore { request, target },
        None => Input::Request(request),
    };
    let before = driver.state.clone();
    let preview = run::preview(&driver.state, &input, &driver.moment());
    assert_eq!(before, driver.state, "a preview changes nothing");
    preview
}
