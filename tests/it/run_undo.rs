//! Undo of what is no change of the plan: what it gives back, and what it is overtaken by.

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{Command, Event, InterventionStatus, Inverse, Outcome, RejectionCode, RunState, StepStatus};
use serde_json::json;
use uuid::Uuid;

use crate::run_support::*;

const UNDO: Command = Command::Undo { version: None };

/// `t` and what runs beside it, with `z` after both; started.
fn beside(t: serde_json::Value) -> Driver {
    let mut step = json!({"step_id": "t", "parallel_group": "g"});
    step.as_object_mut().expect("an object").extend(t.as_object().expect("an object").clone());
    Driver::started(json!([{"step_id": "s", "parallel_group": "g"}, step, "z"]))
}

/// A run that is paused with `t` failed, and nothing running.
fn failed() -> Driver {
    let mut driver = Driver::started(json!(["t", "z"]));
    driver.ask(Command::Pause);
    driver.fails("t");
    driver
}

/// Situations in which the newest intervention is to be undone: what it was and what came after, and how to get there.
pub fn situations() -> Vec<(&'static str, Driver)> {
    let mut all = Vec::new();
    let mut add = |name, mut driver: Driver, more: &dyn Fn(&mut Driver)| {
        more(&mut driver);
        // Whatever happens next happens later.
        driver.now += chrono::TimeDelta::milliseconds(1);
        all.push((name, driver));
    };
    let idle = || Driver::new(plan(json!(["t", "z"])), options(FailurePolicy::Pause, 4));
    let ahead = || Driver::started(json!(["a", "t", "z"]));
    add("skip, before the start", idle(), &|d| drop(d.ask(skip("t"))));
    add("skip of a failed step", failed(), &|d| drop(d.ask(skip("t"))));
    add("skip, and what comes after has started", Driver::started(json!(["t", "z"])), &|d| {
        d.fails("t");
        d.ask(skip("t"));
    });
    add("skip of a running step", beside(json!({})), &|d| {
        d.ask(skip("t"));
        d.ends("t", Outcome::stopped());
    });
    add("skip that still stops the attempt", beside(json!({})), &|d| drop(d.ask(skip("t"))));
    add("skip in back-off", beside(json!({"max_retries": 1})), &|d| {
        d.fails("t");
        d.ask(skip("t"));
    });
    add("skip at a hold point", beside(json!({"hold": true})), &|d| drop(d.ask(skip("t"))));
    add("skip that has completed the run", Driver::started(json!(["a", "t"])), &|d| {
        d.succeeds("a");
        d.fails("t");
        d.ask(skip("t"));
    });
    add("complete by hand", failed(), &|d| drop(d.ask(complete("t"))));
    add("retry while the run is paused", failed(), &|d| drop(d.ask(retry("t"))));
    add("retry that has started", beside(json!({})), &|d| {
        d.fails("t");
        d.ask(retry("t"));
    });
    add("retry with everything after it", Driver::started(json!(["t", "z"])), &|d| {
        d.succeeds("t");
        d.succeeds("z");
        d.ask(retry_downstream("t"));
    });
    add("hold", ahead(), &|d| drop(d.ask(hold("t"))));
    add("hold, and the step has come there", ahead(), &|d| {
        d.ask(hold("t"));
        d.succeeds("a");
    });
    add("unhold", Driver::started(json!(["a", {"step_id": "t", "hold": true}, "z"])), &|d| drop(d.ask(unhold("t"))));
    add("release, the first of two", beside(json!({"hold": {"approvals": 2}})), &|d| drop(d.ask(release("t"))));
    add("release, and the step has started", beside(json!({"hold": true})), &|d| drop(d.ask(release("t"))));
    add("set parallel", ahead(), &|d| drop(d.ask(Command::SetParallel { value: 2 })));
    add("modify", ahead(), &|d| {
        d.ask(Command::Modify { step: "t".into(), patch: json!({"name": "changed"}) });
    });
    add("start", ahead(), &|_| {});
    add("pause", ahead(), &|d| drop(d.ask(Command::Pause)));
    add("resume, after a change of the plan", ahead(), &|d| {
        d.ask(Command::Pause);
        d.ask(Command::Modify { step: "t".into(), patch: json!({"name": "changed"}) });
        d.ask(Command::Resume);
    });
    add("pause, after a skip", ahead(), &|d| {
        d.ask(skip("t"));
        d.ask(Command::Pause);
    });
    add("pause, after a release and the start of the step", beside(json!({"hold": true})), &|d| {
        d.ask(release("t"));
        d.ask(Command::Pause);
    });
    add("pause, after a skip that still stops the attempt", beside(json!({})), &|d| {
        d.ask(skip("t"));
        d.ask(Command::Pause);
    });
    add("cancel, after a skip", ahead(), &|d| {
        d.ask(skip("t"));
        d.ask(Command::Cancel);
        d.ends("a", Outcome::stopped());
    });
    add("cancel, after a retry that has started", beside(json!({})), &|d| {
        d.fails("t");
        d.ask(retry("t"));
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
        d.ends("t", Outcome::stopped());
    });
    add("cancel", ahead(), &|d| {
        d.ask(Command::Cancel);
        d.ends("a", Outcome::stopped());
    });
    add("restore that has changed the plan", ahead(), &|d| {
        d.succeeds("a");
        let checkpoint = d.checkpoint_after("a");
        d.ask(Command::Pause);
        d.succeeds("t");
        d.ask(Command::Remove { step: "z".into() });
        d.ask(restore(checkpoint));
    });
    add("pause, after a restore", ahead(), &|d| {
        d.ask(skip("t"));
        d.ask(Command::Pause);
        d.succeeds("a");
        d.ask(restore(d.checkpoint_after("a")));
        d.ask(Command::Resume);
        d.ask(Command::Pause);
    });
    all
}

fn undone(name: &str) -> Driver {
    let (_, mut driver) = situations().into_iter().find(|(known, _)| *known == name).expect(name);
    driver.ask(UNDO);
    driver
}

fn newest(state: &RunState) -> Uuid {
    state.interventions.last().expect("an intervention").intervention_id
}

#[test]
fn undo_takes_back_what_was_decided_about_a_step() {
    for (name, run, steps) in [
        ("skip, before the start", "idle", "pending pending"),
        ("skip of a failed step", "paused(operator,step_failed)", "failed pending"),
        ("skip of a running step", "running", "running cancelled pending"),
        ("skip in back-off", "running", "running waiting pending"),
        ("skip at a hold point", "running", "running held pending"),
        ("skip that has completed the run", "paused(operator,step_failed)", "completed failed"),
        ("complete by hand", "paused(operator,step_failed)", "failed pending"),
        ("retry while the run is paused", "paused(operator,step_failed)", "failed pending"),
        ("retry with everything after it", "completed", "completed completed"),
        ("hold, and the step has come there", "running", "completed running pending"),
        ("release, the first of two", "running", "running held pending"),
        ("pause, after a skip", "paused(operator)", "running pending pending"),
        ("resume, after a change of the plan", "running", "running pending pending"),
    ] {
        let driver = undone(name);
        assert_eq!((driver.run().as_str(), driver.words().as_str()), (run, steps), "{name}");
        let state = &driver.state;
        let undo = state.interventions.last().expect("the undo");
        assert_eq!((undo.intervention_type.as_str(), undo.status), ("undo", InterventionStatus::Applied), "{name}");
        let named = ["intervention_id", "version"].iter().any(|what| !undo.parameters[*what].is_null());
        assert!(named, "the record names what it has undone: {undo:?}");
    }
    let driver = undone("release, the first of two");
    let hold = driver.state.step("t").expect("t").1.hold.as_ref();
    assert!(hold.is_none_or(|hold| hold.signed.is_empty()), "the signature is taken back: {hold:?}");
    let driver = undone("unhold");
    assert!(driver.state.is_hold_point(1), "the hold point stands again");
    assert_eq!(undone("set parallel").state.options.max_parallel, 16);
}

#[test]
fn undo_is_refused_where_something_has_built_on_it_and_says_what() {
    for (name, said) in [
        (
            "skip, and what comes after has started",
            "skip of `t` by ann was overtaken: `z`, which comes after `t`, has started; retry `t`, with everything after it if that is to run again",
        ),
        (
            "skip that still stops the attempt",
            "the newest intervention, skip of `t` by ann, still waits for an attempt to stop; wait until it has stopped",
        ),
        (
            "retry that has started",
            "retry of `t` by ann was overtaken: attempt 2 of `t` has started; retrying it, skipping it or completing it by hand stops its attempt first",
        ),
        (
            "release, and the step has started",
            "release of `t` by ann was overtaken: attempt 1 of `t` has started; restore a checkpoint from before it started",
        ),
        (
            "pause, after a release and the start of the step",
            "release of `t` by ann was overtaken: attempt 1 of `t` has started; restore a checkpoint from before it started",
        ),
        (
            "pause, after a skip that still stops the attempt",
            "the newest before pause by ann, skip of `t` by ann, still waits for an attempt to stop; wait until it has stopped",
        ),
        (
            "cancel, after a skip",
            "the newest intervention, cancel by ann, cannot be undone; retrying or skipping a step, or restoring a checkpoint, reopens the run; skip of `t` by ann can be undone by its id",
        ),
        (
            "cancel, after a retry that has started",
            "the newest intervention, cancel by ann, cannot be undone; retrying or skipping a step, or restoring a checkpoint, reopens the run",
        ),
        ("start", "the newest intervention, start by ann, cannot be undone; pause takes it back"),
    ] {
        let (_, mut driver) = situations().into_iter().find(|(known, _)| *known == name).expect(name);
        let refusal = driver.refused(UNDO);
        assert_eq!(refusal.code, RejectionCode::NotNow);
        assert_eq!(refusal.to_string(), said, "{name}");
    }
}

#[test]
fn after_a_restore_undo_names_the_checkpoint_that_leads_back_before_it() {
    let (_, mut driver) =
        situations().into_iter().find(|(name, _)| *name == "restore that has changed the plan").expect("it");
    let ids = |driver: &Driver| driver.state.plan.steps.iter().map(|step| step.step_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&driver), ["a", "t", "z"]);
    let possible = driver.refused(UNDO).possible.expect("what takes it back");
    let checkpoint = possible.strip_prefix("restore cp-").and_then(|text| text.split(',').next()?.parse().ok());
    driver.ask(restore(checkpoint.unwrap_or_else(|| panic!("{possible}"))));
    assert_eq!((ids(&driver).len(), driver.words().as_str()), (2, "completed completed"));
}

/// Pausing and going on afterwards hides nothing of what lies before a restore: that is another branch.
#[test]
fn a_restore_is_not_reached_past() {
    let (_, mut driver) = situations().into_iter().find(|(name, _)| *name == "pause, after a restore").expect("it");
    let refusal = driver.refused(UNDO);
    assert_eq!(refusal.message, "the newest before pause by ann, restore by ann, cannot be undone");
}

#[test]
fn the_preview_of_an_undo_without_a_name_says_what_it_takes_back() {
    let told = |name: &str| {
        let (_, driver) = situations().into_iter().find(|(known, _)| *known == name).expect(name);
        preview_of(&driver, UNDO).expect("a preview").in_words()
    };
    assert_eq!(told("pause, after a skip")[0], "undoes skip of `t` by ann");
    assert_eq!(told("complete by hand")[0], "undoes completion by hand of `t` by ann");
    assert_eq!(told("resume, after a change of the plan")[0], "undoes version 2 of the plan by ann");
    assert_eq!(told("hold"), ["undoes hold of `t` by ann", "t will not be held"]);
    assert_eq!(
        told("unhold"),
        ["undoes unhold of `t` by ann", "the run will stop before t until somebody releases it"]
    );
}

#[test]
fn undo_goes_back_one_by_one_and_a_named_one_alone() {
    let mut driver = failed();
    driver.ask(skip("z"));
    let first = newest(&driver.state);
    driver.ask(skip("t"));
    assert_eq!(driver.run(), "completed");
    driver.ask(UNDO);
    assert_eq!(driver.words(), "failed skipped");
    let undo = newest(&driver.state);
    // Naming the undo brings it again.
    driver.ask(Command::UndoIntervention { intervention: undo });
    assert_eq!(driver.words(), "skipped skipped");
    driver.ask(Command::UndoIntervention { intervention: first });
    assert_eq!(driver.words(), "skipped pending", "the named one alone");
    assert_eq!(
        driver.refused(Command::UndoIntervention { intervention: first }).message,
        "skip of `z` by ann is undone already"
    );
    driver.ask(UNDO);
    assert_eq!(driver.words(), "failed pending");
    assert_eq!(driver.state, fold(&driver.journal), "the journal says the same");
    let unknown = driver.refused(Command::UndoIntervention { intervention: Uuid::from_u128(1) });
    assert_eq!(unknown.code, RejectionCode::NotFound);
}

#[test]
fn a_later_word_about_the_same_step_overtakes_an_earlier_one() {
    let mut driver = failed();
    driver.ask(Command::SetParallel { value: 2 });
    let limit = newest(&driver.state);
    driver.ask_as("bob", Command::SetParallel { value: 3 });
    let refusal = driver.refused(Command::UndoIntervention { intervention: limit });
    assert_eq!(
        refusal.to_string(),
        "change of the limit by ann was overtaken: by change of the limit by bob; undo that first"
    );

    driver.ask(hold("z"));
    let hold = newest(&driver.state);
    driver.ask_as("bob", Command::Modify { step: "z".into(), patch: json!({"hold": "look twice"}) });
    let refusal = driver.refused(Command::UndoIntervention { intervention: hold });
    assert_eq!(refusal.to_string(), "hold of `z` by ann was overtaken: by change of `z` by bob; undo that first");
    driver.ask(UNDO);
    driver.ask(Command::UndoIntervention { intervention: hold });
    assert!(!driver.state.is_hold_point(1));
}

/// What comes to its hold point because a step was skipped has not come there when the skip is undone; and who signed it off has built on the skip.
#[test]
fn what_a_skip_let_come_to_its_hold_point_goes_back() {
    let mut driver = Driver::started(json!(["t", {"step_id": "z", "hold": {"approvals": 2}}]));
    driver.fails("t");
    driver.now += chrono::TimeDelta::milliseconds(1);
    driver.ask(skip("t"));
    assert_eq!(driver.words(), "skipped held");
    let mut signed = driver.clone();
    driver.ask(UNDO);
    assert_eq!((driver.words().as_str(), driver.run().as_str()), ("failed pending", "paused(step_failed)"));
    let skipped = newest(&signed.state);
    signed.ask_as("bob", release("z"));
    let refusal = signed.refused(Command::UndoIntervention { intervention: skipped });
    assert_eq!(refusal.to_string(), "skip of `t` by ann was overtaken: by release of `z` by bob; undo that first");
    assert_eq!(signed.refused(Command::Release { step: "t".into() }).code, RejectionCode::NotNow);
}

/// What an older version has noted names no inverse: it still opens, and the version of a plan is undone all the same.
#[test]
fn what_an_older_version_has_noted_says_so() {
    let mut driver = failed();
    driver.ask(Command::Modify { step: "z".into(), patch: json!({"name": "changed"}) });
    driver.ask(skip("z"));
    let forget = |driver: &mut Driver, count: usize| {
        for one in driver.state.interventions.iter_mut().rev().take(count) {
            std::sync::Arc::make_mut(one).inverse = None;
        }
    };
    forget(&mut driver, 2);
    let refusal = driver.refused(UNDO);
    assert!(refusal.to_string().contains("an older version has noted it"), "{refusal}");
    driver.state.interventions.pop_back();
    let undone = driver.ask(UNDO);
    assert!(undone.iter().any(|one| matches!(&one.event, Event::PlanChanged(change) if change.version == 3)));
    assert!(matches!(
        driver.state.interventions.last().expect("the undo").inverse.as_deref(),
        Some(Inverse::Plan { version: 3 })
    ));
    assert_eq!(driver.status("t"), StepStatus::Failed);
}
