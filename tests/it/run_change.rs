//! Changes of the plan of a live run, case by case: what each does to the order of work, and what refuses it.

use std::sync::Arc;

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{
    self, Command, Input, Outcome, Place, Registration, RejectionCode, RunState, RunStatus, StepStatus, fork_at,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::run_support::*;

fn add(step: Value, place: Place) -> Command {
    Command::Add { step, place, rewire: false }
}

fn new(id: &str) -> Value {
    json!({"step_id": id, "run": "true"})
}

fn after(id: &str) -> Place {
    Place::After(id.into())
}

fn before(id: &str) -> Place {
    Place::Before(id.into())
}

fn remove(id: &str) -> Command {
    Command::Remove { step: id.into() }
}

fn modify(id: &str, patch: Value) -> Command {
    Command::Modify { step: id.into(), patch }
}

fn reorder(ids: &[&str]) -> Command {
    Command::Reorder { steps: ids.iter().map(|id| (*id).to_owned()).collect() }
}

const UNDO: Command = Command::Undo { version: None };

/// A plan with `depends_on`: each step with what it depends on.
fn graph(steps: &[(&str, &[&str])]) -> Driver {
    let steps: Vec<Value> = steps.iter().map(|(id, on)| json!({"step_id": id, "depends_on": on})).collect();
    Driver::started(json!(steps))
}

fn ids(driver: &Driver) -> String {
    driver.state.plan.steps.iter().map(|step| step.step_id.as_str()).collect::<Vec<_>>().join(" ")
}

fn depends_on(driver: &Driver, id: &str) -> Vec<String> {
    driver.state.step(id).unwrap_or_else(|| panic!("no step {id}")).0.depends_on.clone().unwrap_or_default()
}

/// Lets every attempt succeed until nothing runs; the order in which the steps started.
fn runs_on(driver: &mut Driver) -> String {
    let mut started = Vec::new();
    let live = |driver: &Driver| driver.state.live().next().map(|at| driver.state.plan.steps[at].step_id.clone());
    while let Some(id) = live(driver) {
        driver.succeeds(&id);
        started.push(id);
    }
    started.join(" ")
}

#[test]
fn a_modified_step_runs_as_it_was_modified() {
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "timeout_seconds": 60}]));
    driver.ask(modify("b", json!({"run": "echo changed", "timeout_seconds": null, "max_retries": 2})));
    let (definition, _) = driver.state.step("b").expect("b");
    assert_eq!((definition.timeout_seconds, definition.max_retries), (None, Some(2)), "null removes a field");
    driver.succeeds("a");
    assert_eq!(driver.status("b"), StepStatus::Running);
    assert_eq!(run::input_of(&driver.state.step("b").expect("b").0.clone())["run"], json!("echo changed"));
    let refusal = driver.refused(modify("b", json!({"run": "echo late"})));
    assert_eq!(refusal.to_string(), "`b` is running; it can no longer be changed; wait until it has ended, or skip it");
}

#[test]
fn a_change_that_is_not_right_is_refused_with_its_place_and_what_would_be() {
    let mut driver = Driver::started(json!(["a", "b"]));
    for (command, said) in [
        (
            modify("b", json!(["x"])),
            "a merge patch is a JSON object; for example {\"timeout_seconds\": 60}; a field is removed by null",
        ),
        (
            modify("b", json!({"step_id": "c"})),
            "the `step_id` of a step cannot change; add a step, and remove this one",
        ),
        (modify("b", json!({"run": "true"})), "that changes nothing about `b`; give a field another value"),
        (modify("x", json!({})), "the plan has no step `x`"),
        (add(new("a"), Place::End), "the plan has a step `a` already; choose another `step_id`"),
        (add(new("n"), after("x")), "the plan has no step `x`"),
        (reorder(&["b"]), "an order needs at least two steps; name the steps in the order they are to have"),
        (reorder(&["b", "b"]), "`b` is named twice; name each step once"),
        (reorder(&["a", "b"]), "the steps are in this order already; name them in another order"),
        (UNDO, "the newest intervention, start by ann, cannot be undone; pause takes it back"),
        (
            Command::Undo { version: Some(1) },
            "version 1 is the plan as it was opened; nothing made it; name the version that a change has made",
        ),
        (Command::Undo { version: Some(9) }, "the plan has no version 9; it is at version 1"),
        (Command::UseVersion { version: 9 }, "the plan has no version 9; it has the versions 1 to 1"),
    ] {
        assert_eq!(driver.refused(command).to_string(), said);
    }
    let refusal = driver.refused(modify("b", json!({"timeout_seconds": "soon", "colour": "red"})));
    assert_eq!(refusal.code, RejectionCode::Invalid);
    assert!(refusal.message.contains("timeout_seconds") && refusal.message.contains("colour"), "both: {refusal}");
    assert_eq!(driver.state.plan_version, 1);
}

#[test]
fn a_step_added_to_a_list_runs_in_its_place() {
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.ask(add(new("n"), before("b")));
    driver.ask(add(new("m"), Place::End));
    driver.ask(add(new("o"), after("b")));
    assert_eq!(ids(&driver), "a n b o m");
    assert_eq!(runs_on(&mut driver), "a n b o m");
    assert_eq!((driver.state.status, driver.state.plan_version), (RunStatus::Completed, 4));
}

/// A step put after one of several that run side by side is after all of them; one of their group joins them.
#[test]
fn a_step_added_beside_a_stage_does_not_tear_it_apart() {
    let side = |id: &str| json!({"step_id": id, "run": "true", "parallel_group": "g"});
    let mut driver = Driver::started(json!(["a", side("b"), side("c"), "d"]));
    driver.ask(add(new("n"), after("b")));
    driver.ask(add(new("m"), before("c")));
    driver.ask(add(side("e"), after("b")));
    assert_eq!(ids(&driver), "a m b e c n d");
    driver.succeeds("a");
    driver.succeeds("m");
    assert_eq!(driver.words(), "completed completed running running running pending pending");
}

#[test]
fn a_step_added_to_a_graph_waits_for_what_it_is_put_after_and_takes_over_only_when_asked() {
    let mut driver = graph(&[("a", &[]), ("b", &["a"]), ("c", &["a"])]);
    driver.ask(add(new("n"), after("a")));
    assert_eq!((depends_on(&driver, "n"), depends_on(&driver, "b")), (vec!["a".into()], vec!["a".to_owned()]));
    driver.ask(Command::Add { step: new("m"), place: after("a"), rewire: true });
    assert_eq!(depends_on(&driver, "m"), ["a"]);
    assert_eq!([depends_on(&driver, "b"), depends_on(&driver, "c"), depends_on(&driver, "n")], [["m"], ["m"], ["m"]]);
    driver.ask(add(new("before_c"), before("c")));
    assert_eq!(
        (depends_on(&driver, "before_c"), depends_on(&driver, "c")),
        (vec!["m".into()], vec!["before_c".to_owned()])
    );
    driver.ask(UNDO);
    assert_eq!(depends_on(&driver, "c"), ["m"]);
}

#[test]
fn a_graph_stays_a_graph_and_a_list_a_list() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    let refusal = driver.refused(modify("c", json!({"depends_on": ["a"]})));
    assert!(refusal.message.starts_with("that would make a graph of the plan, which is a list"), "{refusal}");
    let mut step = new("n");
    step["depends_on"] = json!(["a"]);
    assert_eq!(driver.refused(add(step, Place::End)).code, RejectionCode::Invalid);

    // `b` alone says `depends_on`: without it the rest would become a list in which `d` waits for `c`.
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "depends_on": ["a"]}, "c", "d"]));
    assert_eq!(driver.words(), "running pending running running");
    driver.ask(remove("b"));
    assert!(driver.state.order().is_graph());
    assert_eq!(driver.words(), "running running running");
}

#[test]
fn a_cycle_and_an_unknown_dependency_are_refused() {
    let mut driver = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
    let refusal = driver.refused(modify("b", json!({"depends_on": ["c"]})));
    assert_eq!(refusal.code, RejectionCode::Invalid);
    assert!(refusal.message.contains('b') && refusal.message.contains('c'), "{refusal}");
    let refusal = driver.refused(modify("b", json!({"depends_on": ["x"]})));
    assert!(refusal.message.contains("`x`"), "{refusal}");
}

#[test]
fn what_depends_on_a_removed_step_inherits_its_dependencies() {
    let mut driver = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "b"])]);
    let preview = preview_of(&driver, remove("b")).expect("a preview");
    assert_eq!(
        preview.plan_changes,
        ["~ c: depends_on [\"b\"] → [\"a\"]", "~ d: depends_on [\"a\",\"b\"] → [\"a\"]", "- b"]
    );
    driver.ask(remove("b"));
    assert_eq!([depends_on(&driver, "c"), depends_on(&driver, "d")], [["a"], ["a"]]);
    assert_eq!(runs_on(&mut driver), "a c d");
    assert_eq!((driver.state.status, driver.starts("b")), (RunStatus::Completed, 0));
}

/// The older controller ran a step that had been removed.
#[test]
fn a_removed_step_never_starts_and_its_attempts_stay_readable() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.fails("a");
    driver.ask(remove("b"));
    driver.ask(remove("a"));
    assert_eq!(driver.status("c"), StepStatus::Running, "nothing is left to wait for");
    let removed = &driver.state.removed["a"];
    assert_eq!((removed.state.attempts.len(), removed.version), (1, 3));
    let refusal = driver.refused(retry("a"));
    assert_eq!(refusal.to_string(), "the plan has no step `a`; it was removed in version 3");
    driver.succeeds("c");
    assert_eq!((driver.run().as_str(), driver.starts("b")), ("completed", 0));
    let refusal = driver.refused(remove("c"));
    assert!(refusal.message.contains("only step"), "{refusal}");
}

/// Counters only grow: an attempt of a step that comes again under an old name is not taken for the old one's.
#[test]
fn a_step_added_under_a_removed_ones_name_goes_on_counting_its_attempts() {
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.fails("a");
    driver.ask(remove("a"));
    driver.ask(add(new("a"), after("b")));
    assert!(driver.state.step("a").expect("a").1.attempts.is_empty(), "it has not run");
    driver.succeeds("b");
    assert_eq!(driver.state.step("a").expect("a").1.last_attempt, 2);
}

#[test]
fn a_new_order_is_the_order_in_which_the_steps_run() {
    let mut driver = Driver::started(json!(["a", "b", "c", "d"]));
    driver.ask(reorder(&["d", "b"]));
    assert_eq!(ids(&driver), "a d c b", "the steps named change places among themselves");
    let refusal = driver.refused(reorder(&["c", "a"]));
    assert_eq!(
        refusal.to_string(),
        "`a` is running; it can no longer be moved; only steps that have not started are moved"
    );
    assert_eq!(runs_on(&mut driver), "a d c b");
}

#[test]
fn an_order_that_breaks_a_dependency_names_the_pair() {
    let mut driver = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
    let refusal = driver.refused(reorder(&["c", "b"]));
    assert_eq!(
        refusal.to_string(),
        "`c` depends on `b` and cannot stand before it; move both, or change `depends_on` of `c`"
    );
}

#[test]
fn undo_goes_back_change_by_change_and_a_named_one_alone() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.ask(modify("b", json!({"name": "second"})));
    driver.ask(remove("c"));
    driver.ask(add(new("n"), Place::End));
    driver.ask(Command::Undo { version: Some(3) });
    assert_eq!(ids(&driver), "a b c n", "the removal alone is taken back");
    driver.ask(UNDO);
    assert_eq!(ids(&driver), "a b c");
    driver.ask(UNDO);
    assert_eq!(*driver.state.plan, driver.state.plan_at(1).expect("version 1"), "and now as it was opened");
    assert_eq!(driver.state.plan_version, 7, "versions only grow");
    assert_eq!(driver.refused(UNDO).message, "the newest intervention, start by ann, cannot be undone");
    assert_eq!(driver.refused(Command::Undo { version: Some(2) }).message, "version 2 is undone already");
    // Undoing an undo does the change again.
    driver.ask(Command::Undo { version: Some(7) });
    assert_eq!(driver.state.step("b").expect("b").0.name.as_deref(), Some("second"));
}

#[test]
fn undo_says_what_overtook_it() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.ask(modify("b", json!({"name": "one"})));
    driver.ask(modify("b", json!({"name": "two"})));
    assert_eq!(
        driver.refused(Command::Undo { version: Some(2) }).to_string(),
        "version 2 was overtaken by version 3, which changed `b` again; undo version 3 first"
    );
    driver.ask(add(new("n"), before("b")));
    driver.succeeds("a");
    assert_eq!(
        driver.refused(UNDO).to_string(),
        "`n` is running; it can no longer be removed; wait until it has ended, or skip it"
    );
    driver.succeeds("n");
    assert_eq!(driver.refused(UNDO).message, "`n` is completed; it can no longer be removed");
}

#[test]
fn an_older_version_comes_back_as_far_as_nothing_of_it_has_run() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.ask(modify("c", json!({"name": "third"})));
    driver.ask(remove("b"));
    driver.ask(add(new("n"), Place::End));
    driver.ask(Command::UseVersion { version: 2 });
    assert_eq!((ids(&driver).as_str(), driver.state.plan_version), ("a b c", 5));
    assert_eq!(*driver.state.plan, driver.state.plan_at(2).expect("version 2"));
    driver.ask(Command::UseVersion { version: 4 });
    driver.ask(hold("n"));
    driver.succeeds("a");
    driver.succeeds("c");
    let refusal = driver.refused(Command::UseVersion { version: 2 });
    assert_eq!(refusal.code, RejectionCode::NotNow);
    assert!(refusal.message.contains("`b` would lie before `c`, which is completed"), "{refusal}");
}

#[test]
fn a_stale_edit_is_refused_and_not_merged() {
    let mut driver = Driver::started(json!(["a", "b"]));
    let mut stale = driver.request(modify("b", json!({"name": "mine"})), "bob");
    stale.expected_plan_version = Some(1);
    driver.ask(modify("b", json!({"name": "theirs"})));
    let refusal = driver.feed(&Input::Request(stale)).expect_err("stale");
    assert_eq!(refusal.code, RejectionCode::Stale);
    assert_eq!(driver.state.step("b").expect("b").0.name.as_deref(), Some("theirs"));
}

#[test]
fn a_changed_plan_takes_an_ended_run_up_again() {
    let mut driver = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Fail, 4));
    driver.ask(Command::Start);
    driver.fails("a");
    assert_eq!(driver.run(), "failed");
    driver.ask(modify("a", json!({"run": "echo better"})));
    assert_eq!(driver.run(), "paused(operator)");
    driver.ask(retry("a"));
    driver.ask(Command::Resume);
    assert_eq!(runs_on(&mut driver), "a b");
    assert_eq!(driver.run(), "completed");
    assert_eq!(
        driver.refused(add(new("n"), Place::End)).message,
        "the plan of a completed run is not changed; this one is completed"
    );
}

#[test]
fn what_signed_the_old_hold_point_has_not_signed_the_new_one() {
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "hold": {"approvals": 2}}]));
    driver.succeeds("a");
    driver.ask_as("ann", release("b"));
    driver.ask(modify("b", json!({"hold": {"approvals": 1, "reason": "look at the disk"}})));
    assert_eq!(driver.status("b"), StepStatus::Held);
    driver.ask_as("ann", release("b"));
    assert_eq!(driver.status("b"), StepStatus::Running);

    let mut driver = Driver::started(json!(["a", {"step_id": "b", "hold": true}]));
    driver.succeeds("a");
    assert_eq!(driver.run(), "paused(hold)");
    driver.ask(modify("b", json!({"hold": null})));
    assert_eq!((driver.run().as_str(), driver.status("b")), ("running", StepStatus::Running));
}

/// Whoever signed off what follows a skipped step had not seen what it does when it runs after all.
#[test]
fn a_skipped_step_that_runs_after_all_takes_the_sign_offs_after_it_back() {
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "hold": {"approvals": 2}}]));
    driver.ask(skip("a"));
    driver.ends("a", Outcome::stopped());
    driver.ask_as("ann", release("b"));
    driver.ask(retry("a"));
    assert_eq!(driver.words(), "running pending");
    driver.succeeds("a");
    driver.ask_as("bob", release("b"));
    assert_eq!(driver.status("b"), StepStatus::Held, "ann has to look again");
    driver.ask_as("ann", release("b"));
    assert_eq!(driver.status("b"), StepStatus::Running);
}

/// The retry waits until the attempt has stopped; what an operator decides meanwhile about what follows stands.
#[test]
fn a_skip_after_a_retry_of_everything_stands() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.ask(skip("c"));
    driver.now += chrono::TimeDelta::seconds(1);
    driver.ask(retry_downstream("a"));
    driver.now += chrono::TimeDelta::seconds(1);
    driver.ask(skip("b"));
    driver.ends("a", Outcome::stopped());
    assert_eq!(driver.words(), "running skipped pending", "`c` was skipped before, `b` after");
}

#[test]
fn a_preview_tells_of_hold_points_that_come_and_go() {
    let mut driver = Driver::started(json!(["a", "b", {"step_id": "c", "hold": true}]));
    let told = |driver: &Driver, command| preview_of(driver, command).expect("a preview");
    let stops = "the run will stop before b until somebody releases it";
    assert_eq!(told(&driver, hold("b")).in_words(), [stops]);
    assert!(!told(&driver, hold("b")).is_empty());
    assert_eq!(told(&driver, unhold("c")).in_words(), ["c will not be held"]);
    assert!(told(&driver, modify("b", json!({"hold": true}))).in_words().contains(&stops.to_owned()));
    assert_eq!(told(&driver, skip("c")).holds, [], "a step that does not run is not said to be held or not");
    driver.succeeds("a");
    driver.succeeds("b");
    assert_eq!(told(&driver, release("c")).holds, [], "it is there");
}

#[test]
fn going_back_to_where_nothing_is_left_to_run_says_that_the_run_ends_again() {
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.succeeds("a");
    driver.succeeds("b");
    let back = |driver: &Driver, step: &str| {
        preview_of(driver, restore(driver.checkpoint_after(step))).expect("a preview").in_words()
    };
    assert_eq!(back(&driver, "b"), ["the run is completed again at once: nothing of it is left to run"]);
    let told = back(&driver, "a");
    assert!(told.contains(&"the run: completed → paused".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("again at once")), "{told:?}");
}

#[test]
fn a_preview_says_what_would_happen_and_does_nothing() {
    let mut driver = Driver::started(json!(["a", "b", {"step_id": "c", "run": "echo ${{ steps.b.result }}"}]));
    driver.succeeds("a");
    let preview = preview_of(&driver, skip("b")).expect("a preview");
    assert_eq!((preview.stops.as_slice(), preview.starts.len()), (&["b".to_owned()][..], 0));
    let lost = [("c".to_owned(), "steps.b".to_owned())];
    assert_eq!(preview.lost_inputs, lost, "also while its attempt has yet to stop");
    assert_eq!(preview_of(&driver, complete("b")).expect("a preview").lost_inputs, lost, "nobody gives a result");
    let with_result = || Command::Complete { step: "b".into(), result: Some(json!({"rows": 3})) };
    assert!(preview_of(&driver, with_result()).expect("a preview").lost_inputs.is_empty());
    assert!(preview_of(&driver, retry("b")).expect("a preview").lost_inputs.is_empty(), "it runs again");

    driver.fails("b");
    let preview = preview_of(&driver, skip("b")).expect("a preview");
    assert_eq!(preview.starts, ["c"]);
    assert_eq!(preview.lost_inputs, lost);
    assert_eq!(preview.run, (RunStatus::Paused, RunStatus::Running));
    assert_eq!(preview_of(&driver, complete("b")).expect("a preview").lost_inputs, lost, "nobody gives a result");
    let preview = preview_of(&driver, with_result()).expect("a preview");
    assert!(preview.lost_inputs.is_empty(), "a person's result is a result");

    let preview = preview_of(&driver, retry_downstream("a")).expect("a preview");
    assert_eq!(preview.runs_again, ["a", "b"], "what they did outside is not undone");
    let preview = preview_of(&driver, restore(driver.checkpoint_after("a"))).expect("a preview");
    assert_eq!(preview.runs_again, ["b"]);
    let preview = preview_of(&driver, modify("b", json!({"timeout_seconds": 5}))).expect("a preview");
    assert_eq!(preview.plan_changes, ["~ b: timeout_seconds none → 5"]);
    assert_eq!(preview.plan_version, (1, 2));

    let refused = preview_of(&driver, retry("a")).expect_err("the same refusal");
    assert_eq!(refused, driver.refused(retry("a")));
}

/// After a restore the plan, too, is that of the checkpoint, and what was added since is a step of a branch that was left.
#[test]
fn a_restore_brings_the_plan_of_the_checkpoint_back() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.succeeds("a");
    let checkpoint = driver.checkpoint_after("a");
    driver.ask(add(new("n"), after("b")));
    driver.ask(modify("c", json!({"name": "third"})));
    driver.succeeds("b");
    driver.succeeds("n");
    driver.ask(Command::Pause);
    driver.succeeds("c");
    assert_eq!(driver.run(), "completed");
    driver.ask(restore(checkpoint));
    assert_eq!((ids(&driver).as_str(), driver.words().as_str()), ("a b c", "completed pending pending"));
    assert_eq!((driver.run().as_str(), driver.state.plan_version), ("paused(operator)", 4));
    assert_eq!(driver.state.removed["n"].state.attempts.len(), 1, "what it did stays readable");
    let mark = driver
        .state
        .checkpoints
        .iter()
        .find(|mark| mark.step.is_some_and(|number| driver.state.step_name(number) == Some("n")));
    assert!(mark.is_some(), "and its checkpoint keeps its name");
    let left = driver.state.checkpoints.iter().rev().nth(1).expect("where the run had ended").seq;
    let refusal = driver.refused(UNDO);
    assert_eq!(refusal.message, "the newest intervention, restore by ann, cannot be undone");
    let possible = refusal.possible.expect("what takes it back");
    assert!(possible.starts_with(&format!("restore cp-{left}, the newest checkpoint before it")), "{possible}");
    driver.ask(Command::Resume);
    assert_eq!(runs_on(&mut driver), "b c");
    assert_eq!((driver.starts("b"), driver.starts("n")), (2, 1));
}

/// A fork is a new run that begins where another was at a checkpoint; the other one is as it was.
#[test]
fn a_fork_goes_on_from_the_checkpoint_and_names_its_parent() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.succeeds("a");
    let checkpoint = driver.checkpoint_after("a");
    driver.fails("b");
    let then = driver.at(checkpoint);
    let fork = fork_at(&then, &driver.state);
    assert_eq!((fork.parent, fork.checkpoint), (driver.state.run_id, checkpoint));
    let registration = Registration {
        run_id: Uuid::from_u128(8),
        plan: Arc::clone(&then.plan),
        options: then.options.as_ref().clone(),
        user: "bob".into(),
        fork: Some(Box::new(fork)),
        durations: None,
    };
    let first = run::register(registration, &driver.moment());
    let mut child = driver.clone();
    child.state = RunState::from_registration(&first[0]).expect("a registration");
    child.journal = first;
    child.batches = vec![1];
    child.feed(&Input::Opened { version: "test".into(), pid: 1, go_on: true }).expect("opened");
    assert_eq!((child.run().as_str(), child.words().as_str()), ("idle", "completed pending pending"));
    assert_eq!(child.state.parent, Some((driver.state.run_id, checkpoint)));
    child.ask(Command::Start);
    assert_eq!(runs_on(&mut child), "b c");
    assert_eq!(child.state.step("b").expect("b").1.last_attempt, 2, "its parent's attempt has the number 1");
    assert_eq!(driver.run(), "paused(step_failed)", "the parent is as it was");
    assert_eq!(child.state, fold(&child.journal));
}

/// A result that is `null` is a result, before and after it was on disk.
#[test]
fn a_null_result_is_kept_over_a_crash() {
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.ask(skip("b"));
    driver.fails("a");
    driver.ask(Command::Complete { step: "a".into(), result: Some(Value::Null) });
    let lines: Vec<String> =
        driver.journal.iter().map(|recorded| serde_json::to_string(recorded.as_ref()).expect("a line")).collect();
    let read: Vec<Arc<run::Recorded>> =
        lines.iter().map(|line| Arc::new(serde_json::from_str(line).expect("an event"))).collect();
    assert_eq!(fold(&read), driver.state);
    assert_eq!(reloaded(&driver.state), driver.state);
}
