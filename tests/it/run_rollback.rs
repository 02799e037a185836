//! Rolling back: what was completed is undone, newest first, by steps of their own, and the run ends by it.

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{self, Command, Event, Outcome, PauseReason, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::run_support::*;

fn undoable(id: &str) -> Value {
    json!({"step_id": id, "rollback": {"run": format!("undo {id}")}})
}

/// `a`, `b` and `c` one after the other; `c` has failed.
fn failed(policy: FailurePolicy) -> Driver {
    let mut driver = Driver::new(plan(json!([undoable("a"), undoable("b"), "c", "d"])), options(policy, 16));
    driver.ask(Command::Start);
    driver.succeeds("a");
    driver.succeeds("b");
    driver.fails("c");
    driver
}

fn running(driver: &Driver) -> Vec<&str> {
    driver.state.live().map(|place| driver.state.plan.steps[place].step_id.as_str()).collect()
}

fn refusal(driver: &mut Driver, command: Command) -> String {
    driver.refused(command).to_string()
}

#[test]
fn a_failure_undoes_what_was_completed_newest_first() {
    let mut driver = failed(FailurePolicy::Rollback);
    assert_eq!((driver.run().as_str(), running(&driver)), ("running", vec!["rollback.b"]));
    assert!(driver.state.rolling_back);
    assert_eq!(driver.words(), "completed completed failed pending running pending");
    driver.succeeds("rollback.b");
    assert_eq!(running(&driver), ["rollback.a"]);
    driver.succeeds("rollback.a");
    assert_eq!(driver.run(), "failed");
    assert_eq!(driver.words(), "pending pending failed pending completed completed");
    assert_eq!(driver.state.error.as_deref(), Some("c failed: broken; rolled back: b, a"));
    let (_, a) = driver.state.step("a").unwrap();
    assert!(a.rolled_back && a.attempts.len() == 1, "what it did stays readable");
    assert!(!driver.state.rolling_back);
}

/// The order is that in which the steps ended, not that of the list.
#[test]
fn what_ended_last_is_undone_first() {
    let beside = |id: &str| json!({"step_id": id, "depends_on": [], "rollback": {"run": "undo"}});
    let steps = json!([beside("a"), beside("b"), {"step_id": "c", "depends_on": [], "on_failure": "rollback"}]);
    let mut driver = Driver::started(steps);
    driver.succeeds("b");
    driver.succeeds("a");
    driver.fails("c");
    assert_eq!(running(&driver), ["rollback.a"], "one after the other, also in a graph");
    driver.succeeds("rollback.a");
    assert_eq!(running(&driver), ["rollback.b"]);
}

#[test]
fn what_runs_beside_the_failure_ends_first_and_is_undone_too() {
    let group = |id: &str| json!({"step_id": id, "parallel_group": "g", "rollback": {"run": "undo"}});
    let mut driver = Driver::new(plan(json!([group("a"), group("b"), "c"])), options(FailurePolicy::Rollback, 4));
    driver.ask(Command::Start);
    driver.fails("a");
    assert_eq!((driver.run().as_str(), running(&driver)), ("running", vec!["b"]), "nothing new starts");
    let said = driver.refused(Command::Rollback).to_string();
    assert_eq!(said, "the run is running; pause it first");
    driver.ask(Command::Pause);
    let said = refusal(&mut driver, Command::Resume);
    assert!(said.starts_with("the run is rolled back because of a when what still runs has ended"), "{said}");
    driver.succeeds("b");
    assert_eq!(driver.run(), "paused(operator)", "paused is paused");
    assert!(driver.state.rolling_back && running(&driver).is_empty());
    driver.ask(Command::Resume);
    assert_eq!(running(&driver), ["rollback.b"]);
}

#[test]
fn with_nothing_to_undo_the_run_fails_and_says_so() {
    let mut driver = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Rollback, 4));
    driver.ask(Command::Start);
    driver.succeeds("a");
    driver.fails("b");
    assert_eq!(driver.run(), "failed");
    let error = driver.state.error.as_deref();
    assert_eq!(error, Some("b failed: broken; nothing to roll back: no completed step has a rollback action"));
    let said = refusal(&mut driver, Command::Rollback);
    assert!(said.starts_with("nothing to roll back: no completed step has a rollback action; "), "{said}");
}

#[test]
fn on_demand_a_paused_failed_or_completed_run_is_rolled_back() {
    let mut driver = Driver::started(json!([undoable("a"), undoable("b")]));
    driver.ask(Command::Pause);
    let said = refusal(&mut driver, Command::Rollback);
    assert_eq!(said, "attempts are still running (a); wait until they have ended");
    driver.succeeds("a");
    driver.ask(Command::Rollback);
    assert_eq!((driver.run().as_str(), running(&driver)), ("running", vec!["rollback.a"]));
    driver.succeeds("rollback.a");
    assert_eq!(driver.run(), "cancelled");
    assert_eq!(driver.state.error.as_deref(), Some("ann asked for a rollback; rolled back: a"));
    assert_eq!(
        refusal(&mut driver, Command::Rollback),
        "nothing to roll back: what could be was rolled back already; a step's `rollback` says what undoes it"
    );

    let mut driver = failed(FailurePolicy::Fail);
    assert_eq!(driver.run(), "failed");
    driver.ask(Command::Rollback);
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    assert_eq!(driver.run(), "failed");
    assert_eq!(driver.state.error.as_deref(), Some("c failed: broken; ann asked for a rollback; rolled back: b, a"));

    let mut driver = Driver::started(json!([undoable("a")]));
    driver.succeeds("a");
    assert_eq!(driver.run(), "completed");
    driver.ask(Command::Rollback);
    driver.succeeds("rollback.a");
    assert_eq!(driver.run(), "cancelled");

    let mut driver = Driver::new(plan(json!([undoable("a")])), options(FailurePolicy::Pause, 1));
    assert_eq!(refusal(&mut driver, Command::Rollback), "nothing has run yet; start the run");
}

/// Its preview names the actions in their order, and what becomes of the run.
#[test]
fn the_preview_names_the_actions_in_order() {
    let driver = failed(FailurePolicy::Pause);
    let lines = preview_of(&driver, Command::Rollback).unwrap().in_words();
    assert_eq!(
        lines,
        [
            "rolls back, one after the other:",
            "1. b: undo b",
            "2. a: undo a",
            "after that the run is failed",
            "starts at once: rollback.b",
            "the run: paused → running",
        ]
    );
}

#[test]
fn a_rollback_step_that_fails_asks_where_an_operator_answers() {
    let mut driver = failed(FailurePolicy::Pause);
    driver.ask(Command::Rollback);
    driver.fails("rollback.b");
    assert_eq!(driver.run(), "paused(step_failed)");
    let questions = run::open_questions(&driver.state);
    assert_eq!(questions, ["`rollback.b` failed: retry it, skip it, or complete it by hand"]);
    driver.ask(retry("rollback.b"));
    assert_eq!(running(&driver), ["rollback.b"]);
    driver.fails("rollback.b");
    driver.ask(complete("rollback.b"));
    assert_eq!(running(&driver), ["rollback.a"]);
    driver.fails("rollback.a");
    driver.ask(skip("rollback.a"));
    assert_eq!(driver.run(), "failed");
    assert_eq!(
        driver.state.error.as_deref(),
        Some("c failed: broken; ann asked for a rollback; rolled back: b; not rolled back: a")
    );
    assert_eq!(driver.words(), "completed pending failed pending completed skipped", "what was not undone stays done");
}

#[test]
fn a_rollback_step_that_fails_ends_the_run_where_nobody_answers() {
    let mut driver = failed(FailurePolicy::Rollback);
    driver.succeeds("rollback.b");
    driver.fails("rollback.a");
    assert_eq!(driver.run(), "failed");
    assert_eq!(
        driver.state.error.as_deref(),
        Some("c failed: broken; rollback failed at a: broken; rolled back: b; not rolled back: a")
    );
    // Asked for again, it undoes what is left.
    driver.ask(Command::Rollback);
    assert_eq!(running(&driver), ["rollback.a"]);
    assert_eq!(driver.state.step("rollback.a").unwrap().1.last_attempt, 2, "attempt numbers are never used again");
    assert!(driver.state.position("rollback.b").is_none());
    assert_eq!(driver.state.removed["rollback.b"].state.status, StepStatus::Completed, "it stays readable");
}

#[test]
fn cancelling_ends_the_rollback_and_says_what_was_left() {
    let mut driver = failed(FailurePolicy::Rollback);
    driver.succeeds("rollback.b");
    driver.ask(Command::Cancel);
    assert_eq!(driver.run(), "running+cancelling");
    driver.ends("rollback.a", Outcome::stopped());
    assert_eq!(driver.run(), "cancelled");
    assert_eq!(
        driver.state.error.as_deref(),
        Some("c failed: broken; the rollback was cancelled; rolled back: b; not rolled back: a")
    );
    assert_eq!(driver.words(), "completed pending failed pending completed cancelled");
}

#[test]
fn meanwhile_other_steps_and_the_plan_are_left_alone() {
    let mut driver = failed(FailurePolicy::Rollback);
    let end = "let it end, or cancel it, which ends the rollback where it is";
    for command in [retry("c"), skip("d"), complete("a"), hold("d"), retry_downstream("a")] {
        let said = refusal(&mut driver, command);
        assert!(said.contains("is no step of the rollback") && said.ends_with(end), "{said}");
    }
    let modify = |step: &str| Command::Modify { step: step.into(), patch: json!({"run": "false"}) };
    let add = Command::Add { step: json!({"step_id": "n", "run": "x"}), place: run::Place::End, rewire: false };
    for command in [modify("d"), modify("rollback.a"), add, Command::Remove { step: "rollback.a".into() }] {
        assert_eq!(
            refusal(&mut driver, command),
            format!("the run is being rolled back: its plan is not changed now; {end}")
        );
    }
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    let said = refusal(&mut driver, retry("rollback.a"));
    assert!(said.starts_with("`rollback.a` is a step of a rollback that is over; "), "{said}");
}

#[test]
fn afterwards_the_run_does_again_what_was_undone() {
    let mut driver = failed(FailurePolicy::Rollback);
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    driver.ask(retry("c"));
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("paused(operator)", "pending pending pending pending")
    );
    assert!(driver.state.removed.contains_key("rollback.a"));
    driver.ask(Command::Resume);
    for step in ["a", "b", "c", "d"] {
        driver.succeeds(step);
    }
    assert_eq!(driver.run(), "completed");
    assert_eq!(driver.state.step("a").unwrap().1.last_attempt, 2);
    assert!(!driver.state.steps.iter().any(|step| step.rolled_back));
    let versions: Vec<u64> = driver.state.versions.iter().map(|one| one.change.version).collect();
    assert_eq!(versions, [2, 3], "its steps came in, and went out");
}

#[test]
fn a_change_of_the_plan_takes_a_rolled_back_run_up_again() {
    let mut driver = failed(FailurePolicy::Rollback);
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    let step = json!({"step_id": "n", "run": "true"});
    driver.ask(Command::Add { step, place: run::Place::End, rewire: false });
    let ids: Vec<&str> = driver.state.plan.steps.iter().map(|step| step.step_id.as_str()).collect();
    assert_eq!((ids, driver.state.plan_version), (vec!["a", "b", "c", "d", "n"], 4));
    driver.ask(Command::Undo { version: Some(4) });
    assert_eq!(driver.state.plan.steps.len(), 4);
    let said = refusal(&mut driver, Command::Undo { version: Some(2) });
    assert!(said.starts_with("version 2 came with a rollback, which is not undone; "), "{said}");
    let said = refusal(&mut driver, Command::UseVersion { version: 2 });
    assert!(said.starts_with("the plan is as it was in version 2"), "without the steps of the rollback: {said}");
}

#[test]
fn a_rollback_is_not_undone() {
    let mut driver = failed(FailurePolicy::Pause);
    driver.ask(Command::Rollback);
    assert_eq!(
        refusal(&mut driver, Command::Undo { version: None }),
        "the newest intervention, rollback by ann, cannot be undone; cancel ends it where it is"
    );
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    let said = refusal(&mut driver, Command::Undo { version: None });
    assert!(said.ends_with("resumed after a retry or a restore, the run does again what was rolled back"), "{said}");
}

/// Also where nothing has failed and nothing was left out, so that nothing else would take it up again.
#[test]
fn a_retry_of_what_was_undone_takes_the_run_up_again() {
    let mut driver = Driver::started(json!([undoable("a"), undoable("b")]));
    driver.succeeds("a");
    driver.succeeds("b");
    driver.ask(Command::Rollback);
    driver.succeeds("rollback.b");
    driver.succeeds("rollback.a");
    driver.ask(retry("a"));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(operator)", "pending pending"));
    driver.ask(Command::Resume);
    assert_eq!(running(&driver), ["a"]);
}

/// What an intervention before it has made of a step does not come back: it was undone since.
#[test]
fn what_was_undone_since_is_not_brought_back_by_an_undo() {
    let mut driver = Driver::started(json!([undoable("a"), "b"]));
    driver.succeeds("a");
    driver.fails("b");
    driver.ask(retry_downstream("a"));
    let log = |driver: &Driver| driver.state.interventions.last().unwrap().intervention_id;
    assert_eq!(driver.words(), "running pending");
    driver.ask(Command::Pause);
    driver.succeeds("a");
    driver.ask(retry_downstream("a"));
    let retried = log(&driver);
    driver.ask(Command::UndoIntervention { intervention: retried });
    let undone = log(&driver);
    assert_eq!(driver.words(), "completed pending");
    driver.ask(Command::Rollback);
    driver.succeeds("rollback.a");
    let said = refusal(&mut driver, Command::UndoIntervention { intervention: undone });
    assert!(said.contains("was overtaken: `a` was rolled back since"), "{said}");
}

#[test]
fn a_crash_in_the_middle_goes_on_or_asks_as_for_any_step() {
    for idempotent in [true, false] {
        let undo = json!({"run": "undo", "idempotent": idempotent});
        let steps = json!([{"step_id": "a", "rollback": undo}, "b"]);
        let mut driver = Driver::new(plan(steps), options(FailurePolicy::Rollback, 1));
        driver.ask(Command::Start);
        driver.succeeds("a");
        driver.fails("b");
        driver.crash(0, true);
        if !idempotent {
            assert_eq!(driver.run(), "paused(recovered)");
            assert_eq!(driver.status("rollback.a"), StepStatus::Interrupted);
            driver.ask(retry("rollback.a"));
            driver.ask(Command::Resume);
        }
        assert_eq!((driver.run().as_str(), driver.starts("rollback.a")), ("running", 2));
        driver.succeeds("rollback.a");
        assert_eq!(driver.run(), "failed");
    }
}

#[test]
fn a_checkpoint_within_a_rollback_or_before_it_is_gone_back_to() {
    let mut driver = failed(FailurePolicy::Rollback);
    let before = driver.checkpoint_after("b");
    driver.succeeds("rollback.b");
    let within = driver.state.checkpoints.last().unwrap().seq;
    driver.succeeds("rollback.a");
    let after = driver.state.checkpoints.last().unwrap().seq;

    driver.ask(restore(within));
    assert!(driver.state.rolling_back);
    assert_eq!(driver.words(), "completed completed failed pending completed pending");
    driver.ask(Command::Resume);
    assert_eq!(running(&driver), ["rollback.a"]);
    assert_eq!(driver.state.step("rollback.a").unwrap().1.last_attempt, 2);
    driver.ask(Command::Pause);
    driver.succeeds("rollback.a");
    assert_eq!(driver.run(), "failed");

    let lines = preview_of(&driver, restore(before)).unwrap().in_words();
    assert!(lines.contains(&"would count as completed, but was rolled back: a, b".to_owned()), "{lines:?}");
    driver.ask(restore(before));
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("paused(operator)", "completed completed pending pending")
    );
    assert!(!driver.state.rolling_back && driver.state.rollback.is_none());
    driver.ask(Command::Resume);
    assert_eq!(running(&driver), ["c"]);
    driver.ask(Command::Pause);
    driver.succeeds("c");

    driver.ask(restore(after));
    assert_eq!(
        driver.words(),
        "pending pending failed pending",
        "the steps of a rollback that is over do not come back"
    );
}

/// A fork begins idle, with nothing of a rollback but what it has undone.
#[test]
fn a_fork_in_the_middle_runs_again_what_is_undone() {
    let mut driver = failed(FailurePolicy::Rollback);
    driver.succeeds("rollback.b");
    let fork = driver.forked();
    assert_eq!(fork.words(), "completed pending failed pending");
}

#[test]
fn its_steps_see_the_results_of_what_they_undo() {
    let undo = json!({"run": "drop {{ steps.a.result.id }}", "env": {"OWN": "1"}, "timeout_seconds": 3});
    let step = json!({"step_id": "a", "env": {"DB": "orders"}, "working_dir": "/tmp", "rollback": undo});
    let mut driver = Driver::started(json!([step, {"step_id": "b", "on_failure": "rollback"}]));
    let result = run::AgentResult { data: Some(json!({"id": 7})), ..Default::default() };
    driver.ends("a", Outcome { result: Some(Box::new(result)), ..Outcome::succeeded() });
    driver.fails("b");
    let (definition, step) = driver.state.step("rollback.a").unwrap();
    assert_eq!(definition.timeout_seconds, Some(3.0));
    let input = step.attempt().unwrap().input.as_deref().unwrap();
    assert_eq!(
        *input,
        json!({"run": "drop 7", "working_dir": "/tmp", "env": {"DB": "orders", "OWN": "1"}}),
        "where the step ran, with its environment"
    );
}

/// What was begun to be undone is undone to the end: the run's time limit is for its work.
#[test]
fn the_time_limit_of_the_run_does_not_stop_a_rollback() {
    let mut with_limit = holdpoint::plan::Plan::clone(&plan(json!([undoable("a"), "b"])));
    with_limit.max_execution_time_seconds = Some(60.0);
    let mut driver = Driver::new(with_limit.into(), options(FailurePolicy::Rollback, 1));
    driver.ask(Command::Start);
    driver.succeeds("a");
    driver.fails("b");
    driver.wait(3600);
    assert_eq!((driver.run().as_str(), running(&driver)), ("running", vec!["rollback.a"]));
}

/// A sibling that has failed and waits for an answer does not keep the rollback waiting.
#[test]
fn other_failures_do_not_hold_it_up() {
    let steps = json!([
        {"step_id": "a", "depends_on": [], "rollback": {"run": "undo"}},
        {"step_id": "b", "depends_on": []},
        {"step_id": "c", "depends_on": [], "on_failure": "rollback"}
    ]);
    let mut driver = Driver::started(steps);
    driver.succeeds("a");
    driver.fails("b");
    assert_eq!(driver.state.paused, [PauseReason::StepFailed].into());
    driver.fails("c");
    assert_eq!((driver.run().as_str(), running(&driver)), ("running", vec!["rollback.a"]));
    driver.succeeds("rollback.a");
    assert_eq!(driver.state.status, RunStatus::Failed);
    let last: Vec<&Event> = driver.journal.iter().rev().take(2).map(|one| &one.event).collect();
    assert!(matches!(last[..], [Event::RunFailed { .. }, Event::RollbackEnded { .. }]), "{last:?}");
}
