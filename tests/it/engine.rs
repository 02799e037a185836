//! The engine through its handle: real journal, real processes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdpoint::engine::{self, Batch, EngineConfig, EngineHandle, NewRun, Published, Subscription};
use holdpoint::journal::Store;
use holdpoint::journal::sim::{EIO, ENOSPC, Fault, Operation, SimDisk};
use holdpoint::plan::{FailurePolicy, Plan};
use holdpoint::run::{
    Command, Durability, Event, InterventionStatus, PauseReason, Place, RejectionCode, RunOptions, RunState, RunStatus,
    StepStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Nothing here takes long; whoever waits this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(30);

fn engine_in(dir: &Path) -> EngineHandle {
    let mut config = EngineConfig::new(dir);
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    engine::start(config).unwrap()
}

/// An engine whose journals are on a disk that can be told to fail; what attempts leave behind is not.
fn engine_on_sim(dir: &Path) -> (SimDisk, EngineHandle) {
    let disk = SimDisk::new();
    let mut config = EngineConfig::new(dir);
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    config.disk = Arc::new(disk.clone());
    (disk, engine::start(config).unwrap())
}

fn plan(steps: Value) -> Arc<Plan> {
    Arc::new(serde_json::from_value(json!({"plan_id": "test", "steps": steps})).unwrap())
}

fn options(on_failure: FailurePolicy) -> RunOptions {
    RunOptions {
        on_failure,
        max_parallel: 8,
        simulate: true,
        durability: Durability::Full,
        grace_seconds: 5.0,
        working_dir: "/".into(),
        output_limit: None,
        plan_path: None,
        variables: Default::default(),
        environment: Default::default(),
    }
}

/// A run as a console sees it: the same fold over what is published.
struct Watched {
    handle: EngineHandle,
    run_id: Uuid,
    state: RunState,
    subscription: Subscription,
}

impl Watched {
    async fn new(handle: &EngineHandle, plan: Arc<Plan>, on_failure: FailurePolicy) -> Self {
        let new =
            NewRun { plan, options: options(on_failure), user: "ann".into(), fork: None, secrets: Default::default() };
        let run_id = handle.register(new).await.unwrap();
        Self::attach(handle, run_id).await
    }

    async fn attach(handle: &EngineHandle, run_id: Uuid) -> Self {
        let subscription = handle.subscribe(run_id).await.unwrap();
        Self { handle: handle.clone(), run_id, state: RunState::clone(&subscription.state), subscription }
    }

    async fn send(&self, command: Command) -> Result<engine::Ack, holdpoint::run::Rejection> {
        self.handle.send(self.run_id, holdpoint::engine::request(command, "ann")).await
    }

    async fn next_batch(&mut self) -> Batch {
        loop {
            if let Published::Batch(batch) = self.subscription.events.recv().await.unwrap() {
                return batch;
            }
        }
    }

    async fn until(&mut self, what: &str, reached: impl Fn(&RunState) -> bool) {
        let waiting = async {
            while !reached(&self.state) {
                let batch = self.next_batch().await;
                for recorded in batch.events.iter() {
                    self.state.apply(recorded);
                }
                assert_eq!(
                    batch.state.as_deref(),
                    Some(&self.state),
                    "the state that is told is the fold of what is told"
                );
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(arrived, "never reached: {what}; the run is {:?} {:?}", self.state.status, self.state.counts());
    }

    fn status_of(&self, step: &str) -> StepStatus {
        self.state.step(step).unwrap().1.status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_knows_a_run_shares_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = (0..100).map(|n| json!({"step_id": format!("s{n}"), "agent_type": "x"})).collect();
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Skip { step: "s7".into() }).await.unwrap();
    let mut told = run.subscription.state.clone();
    while told.steps[7].status != StepStatus::Skipped {
        told = run.next_batch().await.state.unwrap();
    }
    let later = handle.subscribe(run.run_id).await.unwrap().state;
    for place in 0..100 {
        let (one, other) = (told.steps.shared(place).unwrap(), later.steps.shared(place).unwrap());
        assert!(Arc::ptr_eq(one, other), "step {place} is in memory twice");
    }
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_real_commands_runs_to_its_end_and_is_all_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "one", "run": "echo hello"}, {"step_id": "two", "run": "echo world >&2"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    let output = std::fs::read_to_string(handle.output_path(run.run_id, "one", 1)).unwrap();
    assert_eq!(output, "hello\n");
    handle.shutdown().await;
    let stored = Store::at(dir.path()).load(&dir.path().join(run.run_id.to_string())).unwrap();
    assert_eq!(stored.state.status, RunStatus::Completed);
    assert_eq!(stored.state.steps, run.state.steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_lets_the_running_step_end_and_starts_nothing_until_resume() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let gate = dir.path().join("gate");
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let steps = json!([{"step_id": "one", "run": wait}, {"step_id": "two", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("one runs", |state| state.steps[0].status == StepStatus::Running).await;
    run.send(Command::Pause).await.unwrap();
    run.until("paused", |state| state.status == RunStatus::Paused).await;
    assert_eq!(run.state.paused, [PauseReason::Operator].into());
    assert_eq!(run.status_of("one"), StepStatus::Running);
    std::fs::write(&gate, "").unwrap();
    run.until("one has ended", |state| state.steps[0].status == StepStatus::Completed).await;
    let again = run.send(Command::Pause).await.unwrap_err();
    assert_eq!(again.code, RejectionCode::NotNow);
    run.until("the refusal is logged", |state| {
        state.interventions.last().is_some_and(|record| record.status == InterventionStatus::Failed)
    })
    .await;
    assert_eq!(run.status_of("two"), StepStatus::Pending);
    run.send(Command::Resume).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_as_cancelled_and_nothing_of_the_group_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let mark = format!("holdpoint-cancel-{}", Uuid::now_v7());
    let line = format!("sh -c 'exec sleep 600 # {mark}' & echo $! > {}; wait", dir.path().join("child").display());
    let steps = json!([{"step_id": "one", "run": line}, {"step_id": "two", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    let child = wait_for_file(&dir.path().join("child")).await;
    run.send(Command::Cancel).await.unwrap();
    run.until("cancelled", |state| state.status.is_ended()).await;
    assert_eq!(run.state.status, RunStatus::Cancelled);
    assert_eq!(run.status_of("one"), StepStatus::Cancelled);
    assert_eq!(run.status_of("two"), StepStatus::Pending);
    assert!(!is_alive(child.trim()), "a process of the group is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_pauses_and_a_retry_completes_with_both_attempts_kept() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let mended = dir.path().join("mended");
    let steps = json!([
        {"step_id": "one", "run": format!("echo trying; test -e {}", mended.display())},
        {"step_id": "two", "run": "true"}
    ]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Pause).await;
    run.send(Command::Start).await.unwrap();
    run.until("paused by the failure", |state| state.status == RunStatus::Paused).await;
    assert_eq!(run.state.paused, [PauseReason::StepFailed].into());
    assert_eq!(run.state.steps[0].attempt().unwrap().outcome.as_ref().unwrap().exit_code, Some(1));
    std::fs::write(&mended, "").unwrap();
    run.send(Command::Retry { step: "one".into(), downstream: false }).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    assert_eq!(run.state.steps[0].attempts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_time_is_over_fails_by_its_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "slow", "run": "sleep 600", "timeout_seconds": 0.2}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("failed", |state| state.status == RunStatus::Failed).await;
    assert!(run.state.steps[0].attempt().unwrap().timed_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_wait_for_their_back_off_and_then_go_on_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "flaky", "agent_type": "x", "action": "y", "max_retries": 2,
        "retry": {"delay_seconds": 0.05}, "parameters": {"duration_seconds": 0, "fail_attempts": 2}}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    assert_eq!(run.state.steps[0].attempts.len(), 3);
}

/// An engine whose clock can be set: by so many seconds from the real time.
fn engine_with_clock(dir: &Path) -> (EngineHandle, Arc<AtomicI64>) {
    let set = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&set);
    let mut config = EngineConfig::new(dir);
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    config.now = Arc::new(move || chrono::Utc::now() + chrono::TimeDelta::seconds(clock.load(Ordering::SeqCst)));
    (engine::start(config).unwrap(), set)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_makes_no_back_off_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, clock) = engine_with_clock(dir.path());
    let flaky = |id: &str, delay: f64| {
        json!({"step_id": id, "agent_type": "x", "action": "y", "max_retries": 2, "parallel_group": "g",
            "retry": {"delay_seconds": delay}, "parameters": {"duration_seconds": 0, "fail_attempts": 2}})
    };
    let steps = json!([flaky("one", 0.3), flaky("two", 0.6)]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    let waits = |state: &RunState| state.steps.iter().all(|step| step.status == StepStatus::Waiting);
    run.until("both wait", waits).await;
    clock.store(-3600, Ordering::SeqCst);
    run.until("completed", |state| state.status == RunStatus::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_ends_a_back_off() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, clock) = engine_with_clock(dir.path());
    let steps = json!([{"step_id": "flaky", "agent_type": "x", "action": "y", "max_retries": 1,
        "retry": {"delay_seconds": 3000, "max_delay_seconds": 3000}, "parameters": {"duration_seconds": 0, "fail_attempts": 1}}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("it waits", |state| state.steps[0].status == StepStatus::Waiting).await;
    // As after a machine has slept: the time that was shown is over.
    clock.store(3600, Ordering::SeqCst);
    run.until("completed", |state| state.status == RunStatus::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_leaves_its_steps_interrupted_and_another_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let mended = dir.path().join("mended");
    let line = format!("test -e {} || sleep 600", mended.display());
    let steps = json!([{"step_id": "one", "run": "true"}, {"step_id": "two", "run": line}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("two runs", |state| state.steps[1].status == StepStatus::Running).await;
    handle.shutdown().await;

    std::fs::write(&mended, "").unwrap();
    let handle = engine_in(dir.path());
    handle.open(run.run_id, true).await.unwrap();
    let mut run = Watched::attach(&handle, run.run_id).await;
    assert_eq!(run.state.status, RunStatus::Paused);
    assert_eq!(run.status_of("one"), StepStatus::Completed);
    assert_eq!(run.status_of("two"), StepStatus::Interrupted);
    let refused = run.send(Command::Resume).await.unwrap_err();
    assert!(refused.to_string().contains("`two` was interrupted"), "{refused}");
    run.send(Command::Retry { step: "two".into(), downstream: false }).await.unwrap();
    run.send(Command::Resume).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    assert_eq!(run.state.steps[0].attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_goes_back_and_what_runs_next_is_what_ran_then() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps =
        json!([{"step_id": "a", "run": "true"}, {"step_id": "b", "run": "true"}, {"step_id": "c", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    let after_a = run.state.checkpoints.iter().find(|mark| mark.step == Some(0)).unwrap().seq;
    run.send(Command::Restore { checkpoint: after_a }).await.unwrap();
    run.until("restored", |state| state.status == RunStatus::Paused).await;
    assert_eq!(run.status_of("a"), StepStatus::Completed);
    assert_eq!(run.status_of("b"), StepStatus::Pending);
    run.send(Command::Resume).await.unwrap();
    run.until("completed again", |state| state.status == RunStatus::Completed).await;
    let numbers =
        |position: usize| run.state.steps[position].attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>();
    assert_eq!(numbers(0), [1]);
    assert_eq!(numbers(1), [2], "the second run of b is its second attempt, not its first again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_changes_while_a_step_runs_is_what_runs_next() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let gate = dir.path().join("gate");
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let steps = json!([{"step_id": "one", "run": wait}, {"step_id": "two", "run": "echo as opened"},
        {"step_id": "three", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("one runs", |state| state.steps[0].status == StepStatus::Running).await;

    let modify = Command::Modify { step: "two".into(), patch: json!({"run": "echo as changed"}) };
    let preview = handle.preview(run.run_id, holdpoint::engine::request(modify.clone(), "ann")).await.unwrap();
    assert_eq!(preview.plan_version, (1, 2));
    run.send(modify).await.unwrap();
    run.send(Command::Remove { step: "three".into() }).await.unwrap();
    let four = json!({"step_id": "four", "run": "echo four"});
    run.send(Command::Add { step: four, place: Place::After("one".into()), rewire: false }).await.unwrap();
    std::fs::write(&gate, "").unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;

    let ids: Vec<&str> = run.state.plan.steps.iter().map(|step| step.step_id.as_str()).collect();
    assert_eq!((ids, run.state.plan_version), (vec!["one", "four", "two"], 4));
    let output = |step: &str| std::fs::read_to_string(handle.output_path(run.run_id, step, 1)).unwrap_or_default();
    assert_eq!([output("two"), output("four"), output("three")], ["as changed\n", "four\n", ""]);
    handle.shutdown().await;
    let stored = Store::at(dir.path()).load(&dir.path().join(run.run_id.to_string())).unwrap();
    let shown = (&run.state.plan, &run.state.steps, &run.state.versions, &run.state.interventions);
    let stored = (&stored.state.plan, &stored.state.steps, &stored.state.versions, &stored.state.interventions);
    assert_eq!(stored, shown, "what is on disk folds to what was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_run_whose_engine_died_stops_nothing_that_no_longer_runs() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "one", "run": "sleep 600"}, {"step_id": "two", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    run.until("one runs", |state| state.steps[0].status == StepStatus::Running).await;
    let skip = || holdpoint::engine::request(Command::Skip { step: "one".into() }, "ann");
    let live = handle.preview(run.run_id, skip()).await.unwrap();
    assert_eq!(live.stops, ["one"]);

    // What is on the disk when the machine dies now.
    let (folder, copy) = (dir.path().join(run.run_id.to_string()), tempfile::tempdir().unwrap());
    let there = copy.path().join(run.run_id.to_string());
    std::fs::create_dir(&there).unwrap();
    std::fs::copy(folder.join("journal.jsonl"), there.join("journal.jsonl")).unwrap();
    let other = engine_in(copy.path());
    let dead = other.preview(run.run_id, skip()).await.unwrap();
    assert_eq!((dead.stops.len(), dead.run.0), (0, RunStatus::Paused), "{dead:?}");
    assert_eq!(dead.steps[0].before, Some(StepStatus::Interrupted));
    assert!(other.subscribe(run.run_id).await.is_err(), "nothing was taken over for it");
    other.shutdown().await;
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_runs_on_by_itself_and_leaves_its_parent_alone() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "a", "run": "echo a"}, {"step_id": "b", "run": "exit 3"}]);
    let mut parent = Watched::new(&handle, plan(steps), FailurePolicy::Pause).await;
    parent.send(Command::Start).await.unwrap();
    parent.until("b failed", |state| state.status == RunStatus::Paused).await;
    let after_a = parent.state.checkpoints.iter().find(|mark| mark.step == Some(0)).unwrap().seq;

    let missing = handle.fork(parent.run_id, 9999, "bob", None).await.unwrap_err();
    assert_eq!(missing.code, RejectionCode::NotFound);
    let child = handle.fork(parent.run_id, after_a, "bob", None).await.unwrap();
    let mut child = Watched::attach(&handle, child).await;
    assert_eq!((child.state.status, &*child.state.user), (RunStatus::Idle, "bob"));
    assert_eq!(child.state.parent, Some((parent.run_id, after_a)));
    child.send(Command::Modify { step: "b".into(), patch: json!({"run": "true"}) }).await.unwrap();
    child.send(Command::Start).await.unwrap();
    child.until("completed", |state| state.status == RunStatus::Completed).await;
    assert_eq!(child.state.steps[0].attempts.len(), 1, "a did not run again");
    let before = parent.state.clone();
    handle.shutdown().await;
    let stored = Store::at(dir.path()).load(&dir.path().join(parent.run_id.to_string())).unwrap();
    assert_eq!((stored.state.status, &stored.state.steps), (RunStatus::Paused, &before.steps));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_id_applies_once() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let run =
        Watched::new(&handle, plan(json!([{"step_id": "a", "run": "true", "hold": true}])), FailurePolicy::Fail).await;
    let mut request = holdpoint::engine::request(Command::Start, "ann");
    request.command_id = Some("start-1".into());
    assert!(!handle.send(run.run_id, request.clone()).await.unwrap().duplicate);
    assert!(handle.send(run.run_id, request).await.unwrap().duplicate);
}

/// The disk refuses a command and the repairs after it, while an attempt ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_voids_the_command_and_keeps_the_outcome_for_later() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, handle) = engine_on_sim(dir.path());
    let gate = dir.path().join("gate");
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let steps = json!([{"step_id": "one", "run": wait}, {"step_id": "two", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    // The journal is in memory, what attempts leave behind is not.
    std::fs::create_dir(dir.path().join(run.run_id.to_string())).unwrap();
    run.send(Command::Start).await.unwrap();
    run.until("one runs", |state| state.steps[0].status == StepStatus::Running).await;

    let path_contains = "journal.jsonl".into();
    disk.fail(Fault { operation: Operation::Sync, path_contains, after: 0, times: 3, code: EIO });
    let refused = run.send(Command::Pause).await.unwrap_err();
    assert_eq!(refused.code, RejectionCode::Storage, "{refused}");
    assert!(refused.to_string().contains("Input/output error"), "{refused}");
    std::fs::write(&gate, "").unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    let asked: Vec<&str> = run.state.interventions.iter().map(|record| record.intervention_type.as_str()).collect();
    assert_eq!(asked, ["start"], "the pause is void");
    assert_eq!(run.state.steps[0].attempts.len(), 1, "what ended while the disk failed has ended once");
}

/// The write that fails is the one with the outcome: the attempt has ended all the same, and the run does not wait for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_the_disk_did_not_take_is_decided_again() {
    for operation in [Operation::Append, Operation::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let (disk, handle) = engine_on_sim(dir.path());
        let steps =
            json!([{"step_id": "one", "agent_type": "simulated"}, {"step_id": "two", "agent_type": "simulated"}]);
        let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
        // Registered; the start goes well, and what fails is the end of the first step.
        let path_contains = "journal.jsonl".into();
        disk.fail(Fault { operation, path_contains, after: 1, times: 1, code: ENOSPC });
        run.send(Command::Start).await.unwrap();
        run.until("completed", |state| state.status == RunStatus::Completed).await;
        assert_eq!(run.state.steps[0].attempts.len(), 1, "{operation:?}: it has ended once");
    }
}

/// While its start is made durable an attempt gets ready; when the disk does not take the start, nothing of it has run.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_start_the_disk_did_not_take_has_run_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, handle) = engine_on_sim(dir.path());
    let marks = dir.path().join("marks");
    let steps = json!([{"step_id": "one", "run": format!("echo ran >> {}", marks.display())}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    std::fs::create_dir(dir.path().join(run.run_id.to_string())).unwrap();
    // Often, because what should not start might be stopped just in time.
    for round in 0..10 {
        let path_contains = "journal.jsonl".into();
        disk.fail(Fault { operation: Operation::Sync, path_contains, after: 0, times: 1, code: EIO });
        let refused = run.send(Command::Start).await.unwrap_err();
        assert_eq!(refused.code, RejectionCode::Storage, "{refused}");
        // Until the disk takes something again.
        let mended = async {
            while run.send(Command::SetParallel { value: 2 + round }).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, mended).await.expect("the journal is mended");
    }
    assert!(!marks.exists(), "its start is void");
    run.send(Command::Start).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
    assert_eq!(std::fs::read_to_string(&marks).unwrap(), "ran\n");
}

/// What no journal line can hold is refused or fails its step; it is no trouble of the disk's, and the run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_refused_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = json!([{"step_id": "one", "run": "true", "hold": "wait"}, {"step_id": "two", "run": "true"}]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    let deep = (0..150).fold(Value::Null, |value, _| json!([value]));
    let refused = run.send(Command::Complete { step: "one".into(), result: Some(deep) }).await.unwrap_err();
    assert_eq!(refused.code, RejectionCode::Invalid, "{refused}");
    assert!(refused.to_string().contains("levels deep") && !refused.to_string().contains("disk"), "{refused}");
    run.send(Command::Release { step: "one".into() }).await.unwrap();
    run.until("completed", |state| state.status == RunStatus::Completed).await;
}

/// The outcome of an attempt cannot be refused: the step fails, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_recorded_fails_its_step_and_not_the_run_s_journal() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    // As deep as a parser takes, and too deep for a line of the journal.
    let deep = format!("{}{}", "[".repeat(124), "]".repeat(124));
    let steps = json!([
        {"step_id": "deep", "run": format!("echo '{deep}' > \"$HOLDPOINT_RESULT\""), "on_failure": "continue"},
        {"step_id": "next", "run": "true"},
    ]);
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Continue).await;
    run.send(Command::Start).await.unwrap();
    run.until("failed", |state| state.status == RunStatus::Failed).await;
    assert_eq!((run.status_of("deep"), run.status_of("next")), (StepStatus::Failed, StepStatus::Completed));
    let attempt = &run.state.step("deep").unwrap().1.attempts[0];
    let said = attempt.outcome.as_ref().unwrap().in_words();
    assert!(said.contains("its result cannot be"), "{said}");
}

#[test]
fn an_agent_called_simulated_needs_no_entry_and_any_other_does() {
    let plan = plan(json!([{"step_id": "a", "agent_type": "simulated"}, {"step_id": "b", "agent_type": "nobody"}]));
    assert!(holdpoint::agents::resolve(&plan, &plan.steps[0], false).is_ok());
    let refused = holdpoint::agents::resolve(&plan, &plan.steps[1], false).unwrap_err();
    assert!(refused.contains("`nobody` is not bound"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_all_complete() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps: Value = (0..20)
        .map(|n| json!({"step_id": format!("s{n}"), "agent_type": "x", "parameters": {"duration_seconds": 0}}))
        .collect();
    let plan = plan(steps);
    let mut runs = Vec::new();
    for _ in 0..50 {
        let run = Watched::new(&handle, Arc::clone(&plan), FailurePolicy::Fail).await;
        run.send(Command::Start).await.unwrap();
        runs.push(run);
    }
    for run in &mut runs {
        run.until("completed", |state| state.status == RunStatus::Completed).await;
    }
}

/// Whether a process is there and has not ended; one that has and is about to be reaped is no process that is left.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X') | None))
}

async fn wait_for_file(path: &Path) -> String {
    let waiting = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(path)
                && text.ends_with('\n')
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the file appears")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_event_was_on_disk_first() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps: Value = (0..30)
        .map(|n| json!({"step_id": format!("s{n}"), "agent_type": "x", "parameters": {"duration_seconds": 0}}))
        .collect();
    let mut run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
    run.send(Command::Start).await.unwrap();
    let journal = dir.path().join(run.run_id.to_string()).join("journal.jsonl");
    while run.state.status != RunStatus::Completed {
        let batch = run.next_batch().await;
        let lines = std::fs::read_to_string(&journal).unwrap().lines().count() as u64;
        for recorded in batch.events.iter() {
            assert!(recorded.seq < lines, "event {} was published with {lines} lines on disk", recorded.seq);
            run.state.apply(recorded);
            let ended = matches!(recorded.event, Event::RunCompleted);
            assert_eq!(ended, run.state.status == RunStatus::Completed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_refused_does_not_see_the_state_before_that() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    for _ in 0..50 {
        let steps = json!([{"step_id": "rest", "agent_type": "wait", "parameters": {"seconds": 3000}}]);
        let run = Watched::new(&handle, plan(steps), FailurePolicy::Fail).await;
        let first = run.send(Command::Start);
        let second = async {
            let refused = run.send(Command::Start).await.unwrap_err();
            (refused, handle.subscribe(run.run_id).await.unwrap().state.status)
        };
        let (started, (refused, seen)) = tokio::join!(first, second);
        started.unwrap();
        assert_eq!((refused.code, seen), (RejectionCode::NotNow, RunStatus::Running), "{refused}");
    }
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_nothing_was_done_can_be_removed_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let steps = || plan(json!([{"step_id": "one", "run": "true"}]));
    let looked_at = Watched::new(&handle, steps(), FailurePolicy::Pause).await;
    handle.discard(looked_at.run_id).await.unwrap();
    assert!(!dir.path().join(looked_at.run_id.to_string()).exists());
    assert!(handle.subscribe(looked_at.run_id).await.is_err());
    // What somebody did is on record, also where it was taken back.
    let mut changed = Watched::new(&handle, steps(), FailurePolicy::Pause).await;
    changed.send(Command::Hold { step: "one".into() }).await.unwrap();
    changed.send(Command::Unhold { step: "one".into() }).await.unwrap();
    let refused = handle.discard(changed.run_id).await.unwrap_err();
    assert_eq!(refused.code, RejectionCode::NotNow);
    changed.send(Command::Start).await.unwrap();
    changed.until("it is still open, and goes on", |state| state.status == RunStatus::Completed).await;
    assert!(handle.discard(changed.run_id).await.is_err());
    // Who removes it from the disk alone is held to the same.
    handle.close(changed.run_id).await.unwrap();
    assert!(Store::at(dir.path()).remove_untouched(changed.run_id).is_err());
    assert!(dir.path().join(changed.run_id.to_string()).exists());
    handle.shutdown().await;
}
