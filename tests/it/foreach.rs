//! `foreach`: one definition, an instance for each item, each with a state of its own.

use std::sync::Arc;

use holdpoint::plan::{FailurePolicy, MAX_INSTANCES};
use holdpoint::run::{
    self, AgentResult, Command, Event, Input, InterventionStatus, Outcome, OutcomeStatus, Secrets, StepStatus,
};
use serde_json::{Value, json};

use crate::run_support::{
    Driver, complete, fold, hold, options, plan, preview_of, release, reloaded, restore, retry, retry_downstream, skip,
    unhold,
};

/// `t` for each of three items, between `a` and `z`.
fn three() -> Driver {
    Driver::started(json!(["a", {"step_id": "t", "foreach": ["x", "y", "z"]}, "z"]))
}

/// The same, with the instances running.
fn under_way() -> Driver {
    let mut driver = three();
    driver.succeeds("a");
    driver
}

fn gives(driver: &mut Driver, step: &str, data: Value) {
    let result = Some(AgentResult { data: Some(data), ..AgentResult::default() });
    driver.ends(step, Outcome { status: OutcomeStatus::Succeeded, result: result.map(Box::new), ..Outcome::default() });
}

fn result(driver: &Driver, step: &str) -> Option<Value> {
    driver.state.result_data(driver.state.position(step).expect(step))
}

#[test]
fn each_item_is_a_step_of_its_own_and_the_results_are_a_list() {
    let mut driver = three();
    assert_eq!(driver.words(), "running pending pending", "nothing is looked at before its turn");
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed pending pending running running running");
    assert_eq!(driver.state.plan_version, 1, "no version of the plan: nobody has changed it");
    gives(&mut driver, "t.2", json!(3));
    driver.succeeds("t.0");
    assert_eq!(driver.status("t"), StepStatus::Pending);
    assert_eq!(result(&driver, "t"), None, "half a list is none");
    driver.ask(skip("t.1"));
    driver.ends("t.1", Outcome::stopped());
    assert_eq!(driver.words(), "completed completed running completed skipped completed");
    assert_eq!(result(&driver, "t"), Some(json!([null, null, 3])));
    driver.succeeds("z");
    assert_eq!(driver.run(), "completed");
    assert_eq!(driver.starts("t"), 0, "the step itself takes no attempt");
    assert_eq!(fold(&driver.journal), driver.state);
    assert_eq!(reloaded(&driver.state), driver.state);
}

#[test]
fn expressions_of_an_instance_see_its_item_and_its_number() {
    let step = json!({"step_id": "t", "foreach": [{"host": "db1"}, {"host": "db2"}], "when": "index > 0",
        "run": "ping {{ item.host }}", "env": {"N": "{{ index }}"}});
    let driver = Driver::started(json!([step]));
    assert_eq!(driver.words(), "pending skipped running", "the condition is asked of each item");
    let rendered = run::rendered_step(&driver.state, 2, &Secrets::default()).unwrap().unwrap();
    assert_eq!((rendered.run.as_deref(), rendered.env["N"].as_str()), (Some("ping db2"), "1"));
    let input = driver.state.steps[2].attempts[0].input.as_ref().expect("it is journaled");
    assert_eq!(input["run"], "ping db2");
}

#[test]
fn the_list_may_be_the_result_of_an_earlier_step_also_of_another_foreach() {
    let mut driver = Driver::started(json!([
        "list",
        {"step_id": "t", "foreach": "steps.list.result.files", "env": {"F": "{{ item }}"}},
        {"step_id": "u", "foreach": "{{ steps.t.result }}", "env": {"F": "{{ item }}"}},
        {"step_id": "sum", "env": {"ALL": "{{ steps.u.result | join(',') }}"}}
    ]));
    gives(&mut driver, "list", json!({"files": ["f", "g"]}));
    gives(&mut driver, "t.0", json!("F"));
    gives(&mut driver, "t.1", json!("G"));
    assert_eq!(driver.words(), "completed completed pending pending completed completed running running");
    gives(&mut driver, "u.1", json!(2));
    gives(&mut driver, "u.0", json!(1));
    let sum = driver.state.step("sum").unwrap().1;
    assert_eq!(sum.attempts[0].input.as_ref().unwrap()["env"]["ALL"], "1,2");
}

#[test]
fn no_items_complete_the_step_with_an_empty_list() {
    let mut driver = Driver::started(json!([{"step_id": "t", "foreach": []}, "z"]));
    assert_eq!(driver.words(), "completed running");
    assert_eq!(result(&driver, "t"), Some(json!([])));
    driver.succeeds("z");
    assert_eq!(driver.run(), "completed");
}

#[test]
fn what_is_no_list_or_too_long_fails_the_step_and_says_so() {
    for (foreach, says) in [
        (json!("3 + 4"), "foreach: it gives a number, and a list is needed"),
        (json!("files: {{ run.id }}"), "foreach: it gives a text, and a list is needed"),
        (json!("steps.gone.result"), "foreach: `steps.gone.result` is not there"),
        (json!("range(20000) | list"), "foreach: 20000 items, and a step has at most 10000 instances"),
    ] {
        let mut driver = Driver::started(json!([{"step_id": "t", "foreach": foreach, "max_retries": 3}, "z"]));
        assert_eq!((driver.words().as_str(), driver.run().as_str()), ("failed pending", "paused(step_failed)"));
        let said = driver.state.steps[0].why_failed().expect("a reason");
        assert!(said.starts_with(says), "{said}");
        driver.ask(Command::Modify { step: "t".into(), patch: json!({"foreach": [1]}) });
        driver.ask(retry("t"));
        assert_eq!(driver.words(), "pending pending running", "what the list is can be mended");
    }
    assert_eq!(MAX_INSTANCES, 10_000);
}

#[test]
fn what_needs_a_result_that_was_left_out_is_left_out_as_well() {
    let driver = Driver::started(json!([
        {"step_id": "a", "when": "1 > 2"},
        {"step_id": "t", "foreach": "steps.a.result"},
        {"step_id": "z"}
    ]));
    assert_eq!(driver.words(), "skipped skipped running");
}

#[test]
fn condition_and_hold_of_the_step_come_before_its_items() {
    let step = json!({"step_id": "t", "foreach": [1, 2], "when": "run.user == 'ann'", "hold": "look first"});
    let mut driver = Driver::started(json!([step, "z"]));
    assert_eq!(driver.words(), "held pending");
    driver.ask(release("t"));
    assert_eq!(driver.words(), "pending pending running running");
    for command in [hold("t"), unhold("t"), release("t")] {
        driver.refused(command);
    }
    let driver = Driver::started(json!([{"step_id": "t", "foreach": [1, 2], "when": "1 > 2", "hold": true}, "z"]));
    assert_eq!(driver.words(), "skipped running", "nobody is asked about what does not run");
}

#[test]
fn limits_and_priorities_count_instances() {
    let steps = json!([
        {"step_id": "t", "parallel_group": "g", "foreach": [1, 2, 3, 4], "pool": "two"},
        {"step_id": "s", "parallel_group": "g", "priority": 1}
    ]);
    let mut made = holdpoint::plan::Plan::clone(&plan(steps));
    made.pools.insert("two".into(), 2);
    let mut driver = Driver::new(Arc::new(made), options(FailurePolicy::Pause, 8));
    driver.ask(Command::Start);
    assert_eq!(driver.words(), "pending running running running pending pending");
    driver.succeeds("t.1");
    assert_eq!(driver.words(), "pending running running completed running pending", "in the order of the items");
    driver.ask(Command::SetParallel { value: 1 });
    driver.succeeds("t.0");
    driver.succeeds("t.2");
    assert_eq!(driver.words(), "pending running completed completed completed pending");
}

#[test]
fn instances_start_where_their_step_stands() {
    let free = |id: &str| json!({"step_id": id, "depends_on": []});
    let each = json!({"step_id": "t", "depends_on": [], "foreach": [1, 2]});
    let after = json!({"step_id": "z", "depends_on": ["s"]});
    let mut driver = Driver::new(plan(json!([each, free("s"), after])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    let order: Vec<String> = std::iter::from_fn(|| {
        let live = driver.state.live().next()?;
        let id = driver.state.plan.steps[live].step_id.clone();
        driver.succeeds(&id);
        Some(id)
    })
    .collect();
    assert_eq!(order, ["t.0", "t.1", "s", "z"], "not behind everything because they came later");
}

#[test]
fn a_thousand_after_a_thousand_is_no_million_of_edges() {
    let wide = (0..1000).map(|place| json!({"step_id": format!("s{place}"), "parallel_group": "g"}));
    let steps: Vec<Value> = wide.chain([json!({"step_id": "t", "foreach": "range(1000) | list"})]).collect();
    let mut driver = Driver::new(plan(json!(steps)), options(FailurePolicy::Pause, 4096));
    driver.ask(Command::Start);
    for place in 0..1000 {
        driver.succeeds(&format!("s{place}"));
    }
    assert_eq!(driver.state.instances(1000), Some(1001..2001));
    let order = driver.state.order();
    let edges: usize = (0..order.node_count()).map(|node| order.successors(node).count()).sum();
    assert_eq!(edges, 3000);
    assert_eq!(order.waits_for(1500).len(), 1000);
}

#[test]
fn an_instance_is_retried_skipped_held_changed_and_done_by_hand_like_any_step() {
    let mut driver = Driver::new(
        plan(json!([{"step_id": "t", "foreach": [1, 2, 3, 4], "max_retries": 1, "run": "do {{ item }}"}, "z"])),
        options(FailurePolicy::Pause, 2),
    );
    driver.ask(Command::Start);
    driver.ask(hold("t.3"));
    driver.ask(Command::Modify { step: "t.3".into(), patch: json!({"run": "other {{ item }} {{ index }}"}) });
    assert_eq!(driver.state.plan_version, 2);
    driver.ask(Command::Complete { step: "t.2".into(), result: Some(json!("by hand")) });
    driver.fails("t.0");
    assert_eq!(driver.status("t.0"), StepStatus::Waiting, "its own retries");
    driver.wait(60);
    driver.fails("t.0");
    assert_eq!(driver.run(), "paused(step_failed)");
    driver.succeeds("t.1");
    assert_eq!(driver.words(), "pending pending failed completed completed held");
    driver.ask(retry("t.0"));
    driver.ask(release("t.3"));
    driver.succeeds("t.0");
    let input = driver.state.step("t.3").unwrap().1.attempts[0].input.clone().unwrap();
    assert_eq!(input["run"], "other 4 3");
    driver.succeeds("t.3");
    assert_eq!(result(&driver, "t"), Some(json!([null, null, "by hand", null])));

    let refusal = driver.refused(Command::Modify { step: "t.3".into(), patch: json!({"run": "x"}) });
    assert!(refusal.to_string().contains("completed"), "{refusal}");
}

#[test]
fn an_instance_has_no_place_of_its_own() {
    let mut driver = under_way();
    let new = json!({"step_id": "n", "run": "true"});
    for command in [
        Command::Remove { step: "t.1".into() },
        Command::Reorder { steps: vec!["t.1".into(), "t.0".into()] },
        Command::Add { step: new.clone(), place: run::Place::After("t.1".into()), rewire: false },
    ] {
        let refusal = driver.refused(command);
        assert!(refusal.message.starts_with("`t.1` is an instance of `t`"), "{refusal}");
        assert!(refusal.possible.is_some());
    }
    driver.fails("t.1");
    for patch in [json!({"depends_on": ["a"]}), json!({"foreach": [1]}), json!({"parallel_group": "g"})] {
        let refusal = driver.refused(Command::Modify { step: "t.1".into(), patch });
        assert!(refusal.message.contains("it belongs to the step as a whole"), "{refusal}");
    }
    for patch in [json!({"generated": null, "name": "x"}), json!({"step_id": "t_1"}), json!({"run": "{{ nothing }}"})] {
        if patch.get("generated").is_some() {
            driver.ask(Command::Modify { step: "t.1".into(), patch });
            assert!(driver.state.step("t.1").unwrap().0.generated.is_some(), "it stays an instance");
        } else {
            driver.refused(Command::Modify { step: "t.1".into(), patch });
        }
    }
    let dependent = json!({"step_id": "n", "run": "true", "depends_on": ["t.1"]});
    driver.refused(Command::Add { step: dependent, place: run::Place::End, rewire: false });
}

#[test]
fn once_it_has_its_instances_the_step_has_begun() {
    let mut driver = under_way();
    for command in [
        Command::Modify { step: "t".into(), patch: json!({"foreach": [1]}) },
        Command::Remove { step: "t".into() },
        Command::Reorder { steps: vec!["z".into(), "t".into()] },
    ] {
        let refusal = driver.refused(command);
        assert!(refusal.message.starts_with("`t` has its instances already"), "{refusal}");
    }
    let refusal = driver.refused(retry("t"));
    assert_eq!(
        refusal.to_string(),
        "no instance of `t` has failed; retry it with everything after it, which expands it anew"
    );
    let new = json!({"step_id": "n", "run": "true"});
    let before = Command::Add { step: new, place: run::Place::Before("t".into()), rewire: false };
    assert!(driver.refused(before).message.contains("would lie before `t.0`"));
}

#[test]
fn retrying_the_step_takes_up_what_has_failed_of_it() {
    let mut driver = under_way();
    driver.fails("t.0");
    driver.succeeds("t.1");
    driver.fails("t.2");
    driver.ask(retry("t"));
    assert_eq!(driver.words(), "completed pending pending running completed running");
    assert_eq!(driver.starts("t.0"), 2);
}

#[test]
fn retrying_it_with_everything_after_it_expands_it_anew() {
    let mut driver = Driver::started(json!([
        "list",
        {"step_id": "t", "foreach": "steps.list.result", "run": "do {{ item }}"},
        "z"
    ]));
    gives(&mut driver, "list", json!(["x", "y", "z"]));
    for instance in ["t.0", "t.1", "t.2", "z"] {
        driver.succeeds(instance);
    }
    assert_eq!(driver.run(), "completed");
    let done = driver.state.clone();
    let preview = preview_of(&driver, retry_downstream("list")).expect("it is possible");
    assert!(preview.runs_again.contains(&"list".to_owned()), "{preview:?}");
    driver.ask(retry_downstream("list"));
    assert_eq!(driver.words(), "pending pending pending");
    assert_eq!(driver.state.removed.len(), 3, "what the instances did stays readable");
    assert_eq!(driver.state.removed["t.1"].state.attempts.len(), 1);
    let refusal = driver.refused(retry("t.1"));
    assert!(refusal.to_string().contains("was an instance of `t`, which has been expanded anew"), "{refusal}");

    // As it was, as long as nothing of it has run.
    let mut undone = driver.clone();
    undone.wait(1);
    undone.ask(Command::Undo { version: None });
    assert_eq!(undone.state.plan, done.plan);
    assert_eq!(undone.words(), "completed completed completed completed completed completed");
    let undo = undone.state.interventions.last().unwrap().intervention_id;
    undone.ask(Command::UndoIntervention { intervention: undo });
    assert_eq!(undone.words(), "pending pending pending", "and the undo undone");

    driver.ask(Command::Resume);
    gives(&mut driver, "list", json!(["only", "two"]));
    assert_eq!(driver.words(), "completed pending pending running running");
    let again = driver.state.step("t.0").unwrap().1;
    assert_eq!((again.last_attempt, again.attempts.len()), (2, 2), "attempt numbers are never used again");
    assert_eq!(again.attempts[1].input.as_ref().unwrap()["run"], "do only");
    assert_eq!(driver.state.removed.keys().collect::<Vec<_>>(), ["t.2"]);
    assert_eq!(fold(&driver.journal), driver.state);
}

#[test]
fn an_instance_retried_with_everything_after_it_leaves_its_siblings_alone() {
    let mut driver = under_way();
    for instance in ["t.0", "t.1", "t.2", "z"] {
        driver.succeeds(instance);
    }
    driver.ask(retry_downstream("t.1"));
    assert_eq!(driver.words(), "completed pending pending completed pending completed");
    driver.ask(Command::Resume);
    driver.succeeds("t.1");
    assert_eq!(driver.words(), "completed completed running completed completed completed");
}

#[test]
fn skipping_the_step_skips_what_is_not_done_of_it() {
    let mut driver = under_way();
    driver.succeeds("t.0");
    driver.fails("t.1");
    let batch = driver.ask(skip("t"));
    assert!(batch.iter().any(|one| matches!(one.event, Event::StopRequested { .. })), "what runs is stopped");
    assert_eq!(driver.words(), "completed skipped pending completed skipped stopping");
    assert!(driver.refused(Command::Undo { version: None }).message.contains("still waits for an attempt to stop"));
    driver.ends("t.2", Outcome::stopped());
    assert_eq!(driver.words(), "completed skipped running completed skipped skipped");
    let skipped = driver.state.step("t.2").unwrap().1.skip.clone().unwrap();
    assert_eq!(skipped.user.as_deref(), Some("ann"));
    driver.ask(Command::Pause);
    let refusal = driver.refused(Command::Undo { version: None });
    assert!(refusal.message.contains("`z`, which comes after"), "{refusal}");

    let mut driver = under_way();
    driver.ask(Command::Pause);
    driver.ask(complete("t"));
    for instance in ["t.0", "t.1", "t.2"] {
        driver.ends(instance, Outcome::stopped());
    }
    assert_eq!(driver.words(), "completed completed pending skipped skipped skipped");
    assert_eq!(result(&driver, "t"), None, "the person gave no result");
    driver.ask(Command::Undo { version: None });
    assert_eq!(driver.words(), "completed pending pending cancelled cancelled cancelled");
    driver.ask(retry("t"));
    driver.ask(Command::Resume);
    assert_eq!(driver.words(), "completed pending pending running running running");
}

#[test]
fn a_skip_that_waits_for_several_instances_has_its_effect_when_the_engine_dies_with_them() {
    let mut driver = under_way();
    driver.ask(skip("t"));
    assert_eq!(driver.words(), "completed skipped pending stopping stopping stopping");
    driver.crash(0, true);
    assert_eq!(driver.words(), "completed skipped running skipped skipped skipped");
    let record = driver.state.interventions.last().unwrap();
    assert_eq!((record.intervention_type.as_str(), record.status), ("skip_step", InterventionStatus::Applied));
}

#[test]
fn an_undo_on_the_last_instance_opens_the_step_again() {
    let mut driver = Driver::started(json!([{"step_id": "t", "foreach": [1, 2]}, "z"]));
    driver.ask(Command::Pause);
    driver.succeeds("t.0");
    driver.fails("t.1");
    driver.ask(complete("t.1"));
    assert_eq!(driver.words(), "completed pending completed completed");
    driver.ask(Command::Undo { version: None });
    assert_eq!(driver.words(), "pending pending completed failed", "the step is not done without its instance");
    driver.ask(skip("t.1"));
    assert_eq!(driver.words(), "completed pending completed skipped");
}

#[test]
fn with_policy_continue_the_step_fails_when_all_have_ended_and_some_have_failed() {
    let each = |more: Value| {
        let mut step = json!({"step_id": "t", "foreach": [1, 2], "on_failure": "continue"});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    };
    let mut list = Driver::started(json!([each(json!({})), "z"]));
    list.fails("t.0");
    assert_eq!(list.words(), "pending pending failed running");
    list.succeeds("t.1");
    assert_eq!(list.words(), "failed running failed completed", "a list goes on past the failure");
    assert_eq!(list.state.steps[0].why_failed().as_deref(), Some("1 of its 2 instances failed: t.0"));
    // Mended, the step comes to its end once more.
    list.ask(retry("t"));
    assert_eq!(list.words(), "pending running running completed");
    list.succeeds("t.0");
    assert_eq!(list.words(), "completed running completed completed");

    let z = json!({"step_id": "z", "depends_on": ["t"]});
    let mut graph = Driver::started(json!([each(json!({"depends_on": []})), z]));
    graph.fails("t.0");
    graph.succeeds("t.1");
    assert_eq!((graph.words().as_str(), graph.run().as_str()), ("failed pending failed completed", "failed"));
    graph.ask(skip("t.0"));
    graph.ask(Command::Resume);
    assert_eq!(graph.words(), "completed running skipped completed");
}

#[test]
fn going_back_over_an_expansion_takes_it_back_and_another_one_follows() {
    let mut driver = Driver::started(json!(["a", {"step_id": "t", "foreach": ["x", "y"]}, "z"]));
    let start = driver.state.checkpoints[0].seq;
    driver.succeeds("a");
    driver.succeeds("t.0");
    let within = driver.checkpoint_of("t.0");
    driver.fails("t.1");
    driver.ask(Command::Modify { step: "t.1".into(), patch: json!({"name": "changed"}) });
    let preview = preview_of(&driver, restore(start)).expect("it is possible");
    assert!(preview.steps.iter().any(|change| change.step_id == "t.0" && change.after.is_none()), "{preview:?}");
    driver.ask(restore(start));
    assert_eq!(driver.words(), "pending pending pending");
    assert_eq!(driver.state.removed.len(), 2);
    driver.ask(Command::Resume);
    driver.succeeds("a");
    assert_eq!(driver.state.step("t.0").unwrap().1.last_attempt, 2);
    driver.succeeds("t.0");
    driver.fails("t.1");

    // And back to the middle of the first expansion, from the second.
    driver.ask(restore(within));
    assert_eq!(driver.state.plan, driver.at(within).plan);
    assert_eq!(driver.words(), "completed pending pending completed pending");
    assert_eq!(driver.state.step("t.1").unwrap().1.last_attempt, 2, "counters are not undone");
    driver.ask(Command::Resume);
    driver.succeeds("t.1");
    assert_eq!(driver.words(), "completed completed running completed completed");
    assert_eq!(fold(&driver.journal), driver.state);

    let mut fork = driver.forked();
    assert_eq!(fork.words(), "completed completed pending completed completed");
    fork.ask(retry_downstream("t"));
    fork.ask(Command::Start);
    assert_eq!(fork.words(), "completed pending pending running running");
    assert_eq!(fork.state.step("t.0").unwrap().1.last_attempt, 3);
}

#[test]
fn after_a_crash_nothing_is_lost_and_nothing_done_runs_again() {
    let mut driver = Driver::started(json!([{"step_id": "t", "foreach": [1, 2, 3], "idempotent": true}]));
    driver.succeeds("t.1");
    driver.crash(0, true);
    assert_eq!(driver.words(), "pending running completed running");
    assert_eq!((driver.starts("t.0"), driver.starts("t.1")), (2, 1));
    driver.succeeds("t.0");
    driver.succeeds("t.2");
    assert_eq!(driver.run(), "completed");
}

#[test]
fn versions_of_the_plan_do_not_know_of_instances() {
    let mut driver = under_way();
    driver.ask(Command::Add {
        step: json!({"step_id": "n", "run": "true"}),
        place: run::Place::Before("z".into()),
        rewire: false,
    });
    driver.ask(Command::Add { step: json!({"step_id": "m", "run": "true"}), place: run::Place::End, rewire: false });
    let ids =
        |driver: &Driver| driver.state.plan.steps.iter().map(|step| step.step_id.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(&driver), "a t n z m t.0 t.1 t.2");
    driver.ask(Command::Reorder { steps: vec!["z".into(), "n".into()] });
    assert_eq!(ids(&driver), "a t z n m t.0 t.1 t.2");
    let first = driver.state.plan_at(1).expect("version 1");
    assert_eq!(first.steps.len(), 3);
    driver.ask(Command::UseVersion { version: 1 });
    assert_eq!(ids(&driver), "a t z t.0 t.1 t.2");
    for instance in ["t.0", "t.1", "t.2", "z"] {
        driver.succeeds(instance);
    }
    assert_eq!(driver.run(), "completed");
}

#[test]
fn a_pause_is_no_hindrance_to_the_end_but_to_the_beginning() {
    let mut driver = three();
    driver.ask(Command::Pause);
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed pending pending", "what it would find now may be another list later");
    driver.ask(Command::Resume);
    driver.ask(Command::Pause);
    for instance in ["t.0", "t.1", "t.2"] {
        driver.succeeds(instance);
    }
    assert_eq!(driver.words(), "completed completed pending completed completed completed");
    let wake = driver.feed(&Input::Wake).expect("never refused");
    assert!(wake.is_empty());
}
