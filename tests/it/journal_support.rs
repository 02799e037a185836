//! Runs to record: small plans driven through the pure core.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use holdpoint::journal::sim::SimDisk;
use holdpoint::journal::{Committed, Committer, Entry, Group, RecorderConfig, Store};
use holdpoint::plan::{FailurePolicy, Plan, Step};
use holdpoint::run::{
    self, Command, Durability, Input, Moment, Outcome, Recorded, Registration, Request, RunOptions, RunState,
    StepStatus,
};
use uuid::Uuid;

/// What was decided at once, with the state after it.
#[derive(Debug, Clone)]
pub struct Batch {
    pub events: Vec<Arc<Recorded>>,
    pub state: Arc<RunState>,
}

impl Deref for Batch {
    type Target = Vec<Arc<Recorded>>;

    fn deref(&self) -> &Self::Target {
        &self.events
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Arc<Recorded>;
    type IntoIter = std::slice::Iter<'a, Arc<Recorded>>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// Makes a new run.
pub fn create(batch: Batch) -> Entry {
    Entry::Create { run_id: batch.state.run_id, events: batch.events, state: batch.state }
}

/// Goes on with a run.
pub fn append(batch: Batch) -> Entry {
    Entry::Append { run_id: batch.state.run_id, events: batch.events, state: batch.state }
}

/// A run that is driven by hand, with its own clock and ids, so that two of the same size are the same to the byte.
pub struct Driver {
    pub state: RunState,
    pub now: DateTime<Utc>,
    requests: u128,
}

pub fn plan(steps: usize) -> Plan {
    let steps: Vec<Step> = (1..=steps)
        .map(|number| Step {
            step_id: format!("step_{number}"),
            action: Some("work".into()),
            agent_type: Some("worker".into()),
            ..Step::default()
        })
        .collect();
    let mut plan: Plan = serde_json::from_value(serde_json::json!({"plan_id": "chain", "steps": []})).unwrap();
    plan.steps = steps.into_iter().map(Arc::new).collect();
    plan
}

impl Driver {
    /// A registered run and its first batch.
    pub fn new(number: u128, steps: usize, durability: Durability) -> (Self, Batch) {
        Self::with_plan(number, plan(steps), durability)
    }

    pub fn with_plan(number: u128, plan: Plan, durability: Durability) -> (Self, Batch) {
        let now = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
        let options = RunOptions {
            on_failure: FailurePolicy::Pause,
            max_parallel: 4,
            simulate: true,
            durability,
            grace_seconds: 10.0,
            working_dir: "/work".into(),
            output_limit: None,
            plan_path: None,
            variables: Default::default(),
            environment: Default::default(),
        };
        let run_id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number);
        let registration =
            Registration { run_id, plan: Arc::new(plan), options, user: "ada".into(), fork: None, durations: None };
        let events = run::register(registration, &Moment { now, entropy: 0 });
        let state = RunState::from_registration(&events[0]).unwrap();
        let batch = Batch { events, state: Arc::new(state.clone()) };
        (Self { state, now, requests: 0 }, batch)
    }

    pub fn id(&self) -> Uuid {
        self.state.run_id
    }

    pub fn advance(&mut self, input: Input) -> Batch {
        self.now += TimeDelta::microseconds(1_234_567);
        let events = run::advance(&mut self.state, &input, &Moment { now: self.now, entropy: 7 }).unwrap();
        Batch { events, state: Arc::new(self.state.clone()) }
    }

    pub fn ask(&mut self, command: Command) -> Batch {
        self.requests += 1;
        let request = Request::new(Uuid::from_u128(self.requests), command, "ada");
        self.advance(Input::Request(request))
    }

    pub fn open(&mut self) -> Batch {
        self.advance(Input::Opened { version: "0.1.0".into(), pid: 42, go_on: true })
    }

    /// The first running step ends.
    pub fn end(&mut self, outcome: Outcome) -> Batch {
        let position = self.state.live().next().unwrap();
        let step = self.state.plan.steps[position].step_id.clone();
        let attempt = self.state.steps[position].last_attempt;
        self.advance(Input::AttemptEnded { step, attempt, outcome: Arc::new(outcome) })
    }

    /// Every batch of a run that starts, works through its steps and completes; with a failure and a retry, and a pause.
    pub fn whole_run(&mut self) -> Vec<Batch> {
        let mut batches = vec![self.open(), self.ask(Command::Start)];
        batches.push(self.end(Outcome { exit_code: Some(1), ..Outcome::failed("no luck") }));
        let failed = self.state.steps.iter().position(|step| step.status == StepStatus::Failed).unwrap();
        let step = self.state.plan.steps[failed].step_id.clone();
        batches.push(self.ask(Command::Retry { step, downstream: false }));
        batches.push(self.end(Outcome::succeeded()));
        if self.state.live().next().is_some() {
            batches.push(self.ask(Command::Pause));
            batches.push(self.ask(Command::Resume));
        }
        while self.state.live().next().is_some() {
            batches.push(self.end(Outcome::succeeded()));
        }
        assert!(self.state.status.is_ended(), "{:?} {:?}", self.state.status, self.state.paused);
        batches
    }
}

/// The states of a run as JSON: what was read back must be the same to the byte.
pub fn text(state: &RunState) -> String {
    serde_json::to_string(state).unwrap()
}

/// The state after folding batches.
pub fn fold<'a, T>(batches: &'a [T]) -> RunState
where
    &'a T: IntoIterator<Item = &'a Arc<Recorded>>,
{
    let mut events = batches.iter().flatten();
    let mut state = RunState::from_registration(events.next().unwrap()).unwrap();
    for event in events {
        state.apply(event);
    }
    state
}

/// A recorder without a thread on a disk in memory.
pub struct Bench {
    pub disk: SimDisk,
    pub committer: Committer,
    pub store: Store,
    pub troubles: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub fn new() -> Self {
        Self::on(SimDisk::new())
    }

    pub fn on(disk: SimDisk) -> Self {
        let config = RecorderConfig {
            retry_first: Duration::ZERO,
            retry_at_most: Duration::ZERO,
            background_checkpoints: false,
            ..RecorderConfig::new(Arc::new(disk.clone()), "/checkpoints")
        };
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let committer = Committer::new(config, Box::new(move |_, what| told.lock().unwrap().push(what))).unwrap();
        let store = Store::on(Arc::new(disk.clone()), "/checkpoints");
        Self { disk, committer, store, troubles }
    }

    /// The next process on the same disk.
    pub fn restart(&mut self) {
        *self = Self::on(self.disk.restarted());
    }

    pub fn commit(&mut self, entries: Vec<Entry>) -> Committed {
        self.committer.commit(Group { entries })
    }

    /// Commits batches one by one; nothing may fail.
    pub fn record(&mut self, run_id: Uuid, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            assert_eq!(batch.state.run_id, run_id);
            let entry = if batch[0].seq == 1 { create(batch) } else { append(batch) };
            let committed = self.commit(vec![entry]);
            assert!(committed.failed.is_empty(), "{:?}", committed.failed);
        }
    }

    /// Commits batches of a run as one group; nothing may fail.
    pub fn record_together(&mut self, batches: impl IntoIterator<Item = Batch>) {
        let entries = batches.into_iter().map(append).collect();
        assert!(self.commit(entries).failed.is_empty());
    }

    /// A whole run of so many steps, on disk and closed; its batches.
    pub fn recorded(&mut self, number: u128, steps: usize) -> (Driver, Vec<Batch>) {
        let (mut driver, first) = Driver::new(number, steps, Durability::Full);
        let mut batches = vec![first];
        batches.extend(driver.whole_run());
        self.record(driver.id(), batches.clone());
        self.close(driver.id());
        (driver, batches)
    }

    pub fn close(&mut self, run_id: Uuid) {
        let (reply, mut done) = tokio::sync::oneshot::channel();
        self.committer.close(run_id, reply);
        done.try_recv().unwrap();
    }

    pub fn journal(&self, run_id: Uuid) -> PathBuf {
        self.store.dir(run_id).join("journal.jsonl")
    }

    pub fn repair(&mut self) -> Vec<Uuid> {
        self.committer.repair(Instant::now())
    }
}
