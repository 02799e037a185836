//! Steps that a person does and steps that wait, for real: an engine that is killed and taken up again, answers from the command line, plans that are
//! wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdpoint::engine::{self, EngineConfig, EngineHandle, NewRun};
use holdpoint::journal::disk::RealDisk;
use holdpoint::journal::{Entry, Group, Recorder, RecorderConfig, Report};
use holdpoint::plan::{FailurePolicy, Plan, check};
use holdpoint::run::{Answer, Command, Durability, RunOptions, RunState, RunStatus, StepStatus};
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli_support::{Sandbox, wait_until};
use crate::pty::Session;
use crate::pty_edit::{fill, until as press_until};

/// Nothing here takes long; whoever waits this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(30);

fn plan() -> Arc<Plan> {
    let plan = json!({
        "plan_id": "change",
        "agents": {"person": {"kind": "manual", "instructions": "# Look\nat **it**",
            "fields": {"ticket": {"required": true}, "rows": {"type": "integer"}}}},
        "steps": [
            {"step_id": "look", "agent_type": "person", "action": "look", "parallel_group": "g"},
            {"step_id": "rest", "agent_type": "wait", "parameters": {"seconds": 3000}, "parallel_group": "g"},
            {"step_id": "after", "run": "true"}
        ]
    });
    Arc::new(serde_json::from_value(plan).unwrap())
}

fn options() -> RunOptions {
    RunOptions {
        on_failure: FailurePolicy::Pause,
        max_parallel: 1,
        simulate: false,
        durability: Durability::Full,
        grace_seconds: 5.0,
        working_dir: "/".into(),
        output_limit: None,
        plan_path: None,
        variables: Default::default(),
        environment: Default::default(),
    }
}

fn engine_in(dir: &Path) -> EngineHandle {
    let mut config = EngineConfig::new(dir);
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    engine::start(config).unwrap()
}

async fn until(handle: &EngineHandle, run: Uuid, what: &str, so: impl Fn(&RunState) -> bool) -> Arc<RunState> {
    let waiting = async {
        loop {
            let state = handle.state(run).await.unwrap();
            if so(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn accepted(step: &str, values: Value) -> Command {
    let answer = Answer::Accepted(values.as_object().unwrap().clone());
    Command::Answer { step: step.into(), question: None, answer }
}

fn status_of(state: &RunState, step: &str) -> StepStatus {
    state.step(step).unwrap().1.status
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_its_engine_and_an_answer_reaches_the_attempt_that_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let new = NewRun { plan: plan(), options: options(), user: "ann".into(), fork: None, secrets: Default::default() };
    let run = handle.register(new).await.unwrap();
    handle.send(run, engine::request(Command::Start, "ann")).await.unwrap();
    let asked = |state: &RunState| state.asking().next().is_some();
    let before = until(&handle, run, "it asks", asked).await;
    assert_eq!(status_of(&before, "rest"), StepStatus::Running, "both, though one slot is all there is");
    let (_, question) = before.steps[0].question().unwrap();
    assert_eq!(question.question.message.as_deref(), Some("# Look\nat **it**"));
    // The engine ends: nothing of this is in its way, and nothing is interrupted.
    tokio::time::timeout(PATIENCE, handle.shutdown()).await.expect("it waits for nobody");

    let handle = engine_in(dir.path());
    handle.open(run, true).await.unwrap();
    let state = handle.state(run).await.unwrap();
    assert_eq!((status_of(&state, "look"), status_of(&state, "rest")), (StepStatus::Running, StepStatus::Running));
    assert_eq!(state.steps[1].attempt().unwrap().due, before.steps[1].attempt().unwrap().due);
    handle.send(run, engine::request(Command::Resume, "ann")).await.unwrap();
    let refused = handle.send(run, engine::request(accepted("look", json!({})), "bob")).await.unwrap_err();
    assert_eq!(refused.message, "the field `ticket` is missing: it must be a text");
    let request = engine::request(accepted("look", json!({"ticket": "OPS-1", "rows": 3})), "bob").because("all quiet");
    handle.send(run, request).await.unwrap();
    let done = until(&handle, run, "look is done", |state| status_of(state, "look") == StepStatus::Completed).await;
    let look = &done.steps[0];
    assert_eq!((look.attempts.len(), look.result_data()), (1, Some(json!({"ticket": "OPS-1", "rows": 3}))));
    let metadata = look.attempt().unwrap().outcome.as_ref().unwrap().result.as_ref().unwrap().metadata.clone().unwrap();
    assert_eq!((&metadata["answered_by"], &metadata["notes"]), (&json!("bob"), &json!("all quiet")));
    // The wait is ended by hand.
    handle.send(run, engine::request(Command::Complete { step: "rest".into(), result: None }, "bob")).await.unwrap();
    until(&handle, run, "completed", |state| state.status == RunStatus::Completed).await;
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_durable_before_the_engine_ended_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let handle = engine_in(dir.path());
    let new = NewRun { plan: plan(), options: options(), user: "ann".into(), fork: None, secrets: Default::default() };
    let run = handle.register(new).await.unwrap();
    handle.send(run, engine::request(Command::Start, "ann")).await.unwrap();
    until(&handle, run, "it asks", |state| state.asking().next().is_some()).await;
    handle.shutdown().await;
    // An engine that has the answer and dies before it has given it to the attempt.
    let store = holdpoint::journal::Store::at(dir.path());
    let (ledger, _) = store.open(&store.dir(run)).unwrap();
    let mut state = RunState::clone(ledger.state());
    let request = engine::request(accepted("look", json!({"ticket": "OPS-2"})), "cid");
    let moment = holdpoint::run::Moment { now: chrono::Utc::now(), entropy: 0 };
    let batch = holdpoint::run::advance(&mut state, &holdpoint::run::Input::Request(request), &moment).unwrap();
    let (recorder, mut reports) = Recorder::start(RecorderConfig::new(Arc::new(RealDisk), store.root())).unwrap();
    let append = Entry::Append { run_id: run, events: batch, state: Arc::new(state) };
    let entries = vec![Entry::Adopt(Box::new(ledger)), append];
    recorder.submit(Group { entries }).unwrap();
    let durable = reports.recv().await;
    assert!(matches!(&durable, Some(Report::Committed(committed)) if committed.failed.is_empty()), "{durable:?}");
    recorder.close_all().await;

    let handle = engine_in(dir.path());
    handle.open(run, true).await.unwrap();
    let done = until(&handle, run, "look is done", |state| status_of(state, "look") == StepStatus::Completed).await;
    assert_eq!(done.steps[0].result_data(), Some(json!({"ticket": "OPS-2"})));
    assert_eq!(done.steps[0].attempt().unwrap().questions.len(), 1, "asked once");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_passes_without_an_engine_counts() {
    let dir = tempfile::tempdir().unwrap();
    let steps = json!({"plan_id": "rest", "steps": [
        {"step_id": "rest", "agent_type": "wait", "parameters": {"seconds": 600}, "parallel_group": "g"},
        {"step_id": "desk", "agent_type": "manual", "action": "look", "timeout_seconds": 300, "parallel_group": "g"}
    ]});
    let plan = Arc::new(serde_json::from_value(steps).unwrap());
    let handle = engine_in(dir.path());
    let new = NewRun { plan, options: options(), user: "ann".into(), fork: None, secrets: Default::default() };
    let run = handle.register(new).await.unwrap();
    handle.send(run, engine::request(Command::Start, "ann")).await.unwrap();
    until(&handle, run, "it asks", |state| state.asking().next().is_some()).await;
    handle.shutdown().await;
    let mut config = EngineConfig::new(dir.path());
    config.warden = env!("CARGO_BIN_EXE_holdpoint").into();
    config.now = Arc::new(|| chrono::Utc::now() + chrono::TimeDelta::seconds(900));
    let handle = engine::start(config).unwrap();
    handle.open(run, true).await.unwrap();
    let rested = |state: &RunState| {
        status_of(state, "rest") == StepStatus::Completed && status_of(state, "desk") == StepStatus::Failed
    };
    let state = until(&handle, run, "both are over", rested).await;
    assert!(state.steps[1].attempt().unwrap().timed_out, "its time limit counts from its start as well");
    handle.shutdown().await;
}

fn change() -> Value {
    json!([
        {"step_id": "look", "agent_type": "manual", "action": "Look at the report",
            "parameters": {"fields": {"ticket": {"required": true}, "rows": {"type": "integer"}}}},
        {"step_id": "ship", "run": "echo $T >> shipped", "env": {"T": "{{ steps.look.result.ticket }}"}}
    ])
}

#[test]
fn a_headless_run_that_waits_for_a_person_ends_with_four_and_says_how_to_answer() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("change", change());
    let told = sandbox.ok(4, &["run", &plan, "--headless"]);
    assert!(
        told.contains("look asks a person") && told.contains("PAUSED") && told.contains("`look` asks a person"),
        "{told}"
    );
    let hint = told.lines().find(|line| line.contains("--answer")).unwrap_or_else(|| panic!("{told}"));
    assert!(hint.contains("--answer look --field ticket=…"), "{hint}");
    let shown = sandbox.snapshot();
    assert_eq!((&shown["orchestration_state"], &shown["paused"]), (&json!("paused"), &json!(["question"])));
    assert_eq!(shown["steps"][0]["attempts"][0]["questions"][0]["question"]["fields"]["ticket"]["required"], true);
    assert!(
        sandbox.ok(0, &["show", "change"]).contains("asks: Look at the report")
            || sandbox.ok(0, &["show", "change"]).contains("asks: look")
    );
    assert!(sandbox.ok(0, &["why", "change", "look"]).contains("--answer look --field ticket=…"));
    // Nothing said, nothing answered: it still waits.
    assert_eq!(sandbox.run(&["resume", "change"]).code, Some(4));
    let wrong =
        sandbox.run(&["resume", "change", "--answer", "look", "--field", "ticket=OPS-7", "--field", "rows=many"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("the field `rows` must be a whole number, not \"many\""), "{}", wrong.stderr);
    let told = sandbox.ok(0, &["resume", "change", "--answer", "look", "--field", "ticket=OPS-7", "--reason", "fine"]);
    assert!(told.contains("ann answered what look asked") && told.contains("COMPLETED"), "{told}");
    assert_eq!(sandbox.read("shipped"), "OPS-7\n");
    assert!(sandbox.ok(0, &["verify", "change"]).contains("whole"));
}

#[test]
fn ctl_answers_a_live_run_and_one_that_nobody_has_open() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("change", change());
    sandbox.ok(0, &["run", &plan, "--detach"]);
    wait_until("it asks", || sandbox.snapshot()["paused"] == json!(["question"]));
    let refused = sandbox.run(&["ctl", "change", "answer", "look"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the field `ticket` is missing: it must be a text"), "{}", refused.stderr);
    let refused = sandbox.run(&["ctl", "change", "answer", "look", "--field", "ticket=x", "--field", "rows=1.5"]);
    assert!(refused.stderr.contains("`rows` must be a whole number"), "{}", refused.stderr);
    let refused = sandbox.run(&["ctl", "change", "answer", "ship"]);
    assert!(refused.stderr.contains("`ship` is pending and asks nothing"), "{}", refused.stderr);
    let preview = sandbox.ok(0, &["ctl", "change", "answer", "look", "--field", "ticket=OPS-8", "--preview"]);
    assert!(preview.contains("look goes on with the answer"), "{preview}");
    let told = sandbox.ok(0, &["ctl", "change", "answer", "look", "--field", "ticket=OPS-8", "--notes", "looks right"]);
    assert!(told.contains("applied: look has its answer"), "{told}");
    wait_until("completed", || sandbox.snapshot()["orchestration_state"] == "completed");
    assert_eq!(sandbox.read("shipped"), "OPS-8\n");
    let record = sandbox.snapshot()["interventions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&record["intervention_type"], &record["reason"]), (&json!("answer"), &json!("looks right")));
    assert_eq!(record["parameters"], json!({"values": {"ticket": "OPS-8"}}));

    let plan = sandbox.plan("other", change());
    sandbox.ok(4, &["run", &plan, "--headless"]);
    let told = sandbox.ok(0, &["ctl", "other", "answer", "look", "--decline", "--notes", "not today", "--open"]);
    assert!(told.contains("look has its answer"), "{told}");
    // The attempt has ended with its answer in the process that was given it, or does so in the next one.
    let ended = sandbox.run(&["resume", "other"]);
    let events = || sandbox.ok(0, &["events", "other"]);
    assert_eq!(ended.code, Some(1), "{}\n{}\n{}", ended.text(), ended.stderr, events());
    let failed = sandbox.snapshot()["steps"][0]["attempts"][0]["outcome"].clone();
    assert_eq!(failed["error"], "ann says that it failed: not today");
}

#[test]
fn a_wait_survives_a_kill_and_a_signal_leaves_it_waiting() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "rest",
        json!([{"step_id": "rest", "agent_type": "wait", "parameters": {"seconds": 3000}}, {"step_id": "end", "run": "true"}]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("rest started");
    running.signal(Signal::KILL);
    running.wait();
    let due = |sandbox: &Sandbox| sandbox.snapshot()["steps"][0]["attempts"][0]["due"].clone();
    let before = due(&sandbox);
    assert!(before.is_string());
    let mut running = sandbox.start(&["resume", "rest"]);
    running.wait_for("taken over");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(4), "paused, and in nobody's way");
    let shown = sandbox.snapshot();
    assert_eq!((&shown["steps"][0]["status"], &shown["orchestration_state"]), (&json!("running"), &json!("paused")));
    assert_eq!((shown["steps"][0]["attempts"].as_array().unwrap().len(), due(&sandbox)), (1, before));
    sandbox.ok(0, &["resume", "rest", "--complete", "rest"]);
    assert_eq!(sandbox.snapshot()["orchestration_state"], "completed");
}

#[test]
fn what_is_wrong_with_a_wait_or_a_manual_step_is_said_at_its_place() {
    let said = |agents: Value, steps: Value| -> Vec<String> {
        let text = json!({"plan_id": "p", "agents": agents, "steps": steps}).to_string();
        check("p", &text, false).diagnostics.iter().map(|one| one.message.clone()).collect()
    };
    let wait = |parameters: Value| json!([{"step_id": "a", "agent_type": "wait", "parameters": parameters}]);
    let none: Vec<String> = Vec::new();
    assert_eq!(said(json!({}), wait(json!({"seconds": 5}))), none);
    assert_eq!(said(json!({}), wait(json!({"until": "{{ run.started_at }}"}))), none);
    assert_eq!(
        said(
            json!({"w": {"kind": "wait", "until": "{{ run.started_at }}"}}),
            json!([{"step_id": "a", "agent_type": "w"}])
        ),
        none
    );
    for (parameters, expected) in [
        (json!({}), "the wait does not say how long: it needs `seconds` or `until`"),
        (json!({"seconds": 1, "until": "2031-05-04T22:30:00Z"}), "a wait has `seconds` or `until`, not both"),
        (json!({"seconds": "soon"}), "`seconds` of a wait must be a number from 0 to 31536000, not \"soon\""),
        (
            json!({"until": "tomorrow"}),
            "`until` of a wait must be a time like 2031-05-04T22:30:00Z (RFC 3339), not \"tomorrow\"",
        ),
    ] {
        assert_eq!(said(json!({}), wait(parameters)), [expected]);
    }
    let empty = json!({"w": {"kind": "wait"}});
    assert_eq!(said(empty.clone(), json!([{"step_id": "a", "run": "x"}])).len(), 1, "an entry that nobody makes whole");
    assert_eq!(said(empty, json!([{"step_id": "a", "agent_type": "w", "parameters": {"seconds": 1}}])), none);
    let manual = |fields: Value| {
        said(
            json!({}),
            json!([{"step_id": "a", "agent_type": "manual", "action": "look", "parameters": {"fields": fields}}]),
        )
    };
    assert_eq!(manual(json!({"n": {"type": "integer", "default": 3}})), none);
    let wrong = manual(json!({"n": {"type": "integer", "default": "three"}}));
    assert_eq!(
        wrong,
        ["the field `n` cannot be asked for: `default` is \"three\", and the field must be a whole number"]
    );
    assert!(manual(json!({"n": {"typ": "integer"}}))[0].contains("unknown field `typ`"));
    let entry = said(
        json!({"p": {"kind": "manual", "fields": {"n": {"minimum": 3, "maximum": 1}}}}),
        json!([{"step_id": "a", "agent_type": "p", "action": "x"}]),
    );
    assert_eq!(entry, ["the field `n` cannot be asked for: `minimum` is 3, above `maximum`, which is 1"]);
    let silent = said(json!({}), json!([{"step_id": "a", "agent_type": "manual"}]));
    assert!(silent.iter().any(|one| one.contains("nobody is told what to do")), "{silent:?}");
}

#[test]
fn a_person_answers_in_the_console_after_the_engine_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.plan("change", change());
    let home = sandbox.path().to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
    let console = |arguments: &[&str]| {
        Session::start_in(sandbox.path(), env!("CARGO_BIN_EXE_holdpoint"), arguments, 100, 30, &environment)
    };
    let mut first = console(&["plans/change.json"]);
    first.wait_for_text("look asks you");
    first.signal(Signal::KILL);
    first.wait_exit();
    let mut second = console(&["resume", "change"]);
    second.wait_for_text("look asks you");
    press_until(&mut second, "o", "Notes", true);
    fill(&mut second, "ticket", "OPS-9");
    press_until(&mut second, "<Enter>", "Notes", false);
    second.wait_for_text("COMPLETED");
    assert_eq!(sandbox.read("shipped"), "OPS-9\n");
    second.keys("q");
    second.wait_exit();
    second.assert_given_back();
    let look = sandbox.snapshot()["steps"][0].clone();
    assert_eq!(look["attempts"].as_array().unwrap().len(), 1, "the same attempt, in two engines");
    assert_eq!(look["result"]["metadata"]["answered_by"], "ann");
}
