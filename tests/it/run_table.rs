//! The contract's tables, row by row, and every command on every state of run and step: applied with this effect or refused with this reason.

use std::fmt::Write as _;

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{Answer, Command, Input, Outcome, Place, Rejection, RejectionCode, RunStatus, StepStatus};
use serde_json::json;

use crate::run_rules::{UNREACHABLE, unreachable};
use crate::run_support::*;

/// Runs `driver` through what brings it to a row's `from`, does the row's `cause`, and expects its `to`.
fn row(from: &str, driver: &mut Driver, cause: impl FnOnce(&mut Driver), to: &str) {
    assert_eq!(driver.run(), from, "before");
    cause(driver);
    assert_eq!(driver.run(), to, "from {from}");
}

fn ran(steps: serde_json::Value, policy: FailurePolicy) -> Driver {
    let mut driver = Driver::new(plan(steps), options(policy, 16));
    driver.ask(Command::Start);
    driver
}

fn group(id: &str) -> serde_json::Value {
    json!({"step_id": id, "parallel_group": "g"})
}

#[test]
fn a_plan_is_opened_and_started() {
    let mut driver = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Pause, 4));
    row("idle", &mut driver, |d| drop(d.ask(Command::Start)), "running");
    assert_eq!(driver.words(), "running pending");
}

#[test]
fn pause_starts_nothing_more_and_lets_finish_what_runs() {
    let mut driver =
        ran(json!([group("a"), {"step_id": "b", "parallel_group": "g", "max_retries": 1}, "c"]), FailurePolicy::Pause);
    row("running", &mut driver, |d| drop(d.ask(Command::Pause)), "paused(operator)");
    assert_eq!(driver.words(), "running running pending");
    driver.succeeds("a");
    driver.fails("b");
    driver.wait(3600);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(operator)", "completed waiting pending"));
    row("paused(operator)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");
    assert_eq!(driver.words(), "completed running pending", "the due timer had waited for resume");
}

#[test]
fn a_failure_for_good_pauses_and_running_siblings_finish() {
    let mut driver =
        ran(json!([{"step_id": "a", "parallel_group": "g", "max_retries": 1}, group("b"), "c"]), FailurePolicy::Pause);
    row("running", &mut driver, |d| d.fails("a"), "running");
    driver.wait(60);
    row("running", &mut driver, |d| d.fails("a"), "paused(step_failed)");
    assert_eq!(driver.words(), "failed running pending");
    row("paused(step_failed)", &mut driver, |d| d.succeeds("b"), "paused(step_failed)");
}

#[test]
fn when_only_people_can_unblock_what_is_left_the_run_pauses() {
    let mut driver = ran(
        json!([group("a"), {"step_id": "b", "parallel_group": "g", "hold": {"approvals": 2}}, "c"]),
        FailurePolicy::Pause,
    );
    assert_eq!(driver.words(), "running held pending", "a hold by itself blocks only its step");
    row("running", &mut driver, |d| d.succeeds("a"), "paused(hold)");
    row("paused(hold)", &mut driver, |d| drop(d.ask_as("ann", release("b"))), "paused(hold)");
    assert_eq!(driver.refused(release("b")).message, "ann has signed `b` off already");
    row("paused(hold)", &mut driver, |d| drop(d.ask_as("bob", release("b"))), "running");
    assert_eq!(driver.words(), "completed running pending");
}

#[test]
fn after_a_crash_a_run_goes_on_only_when_it_may() {
    let step = |id: &str, idempotent: bool| json!({"step_id": id, "parallel_group": "g", "idempotent": idempotent});
    let mut driver = ran(json!([step("a", true)]), FailurePolicy::Pause);
    row("running", &mut driver, |d| d.crash(0, true), "running");
    assert_eq!((driver.words().as_str(), driver.starts("a")), ("running", 2));
    row("running", &mut driver, |d| d.crash(0, false), "paused(recovered)");
    assert_eq!(driver.words(), "pending");

    let mut driver = ran(json!([step("a", true), step("b", false)]), FailurePolicy::Pause);
    row("running", &mut driver, |d| d.crash(0, true), "paused(recovered)");
    assert_eq!(driver.words(), "pending interrupted");
    row("paused(recovered)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");

    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Pause);
    driver.ask(Command::Pause);
    driver.succeeds("a");
    row("paused(operator)", &mut driver, |d| d.crash(0, true), "paused(operator)");

    let mut driver = Driver::new(plan(json!(["a"])), options(FailurePolicy::Pause, 4));
    row("idle", &mut driver, |d| d.crash(0, true), "idle");
}

#[test]
fn resume_clears_the_reasons_or_names_the_answers_it_needs() {
    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Pause);
    driver.fails("a");
    let refusal = driver.refused(Command::Resume);
    assert_eq!(refusal.to_string(), "nothing could run; `a` failed: retry it, skip it, or complete it by hand");

    let free = |id: &str| json!({"step_id": id, "depends_on": []});
    let mut driver = Driver::new(plan(json!([free("a"), free("b")])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    driver.fails("a");
    row("paused(step_failed)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");
    assert_eq!(driver.words(), "failed running");
}

#[test]
fn a_run_completes_when_every_step_is_completed_or_skipped() {
    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Pause);
    driver.ask(skip("b"));
    row("running", &mut driver, |d| d.succeeds("a"), "completed");

    let mut driver = ran(json!(["a"]), FailurePolicy::Pause);
    driver.ask(Command::Pause);
    row("paused(operator)", &mut driver, |d| d.succeeds("a"), "completed");
}

#[test]
fn policy_fail_ends_the_run_when_running_siblings_have_ended() {
    let mut driver = ran(json!([group("a"), group("b"), "c"]), FailurePolicy::Fail);
    row("running", &mut driver, |d| d.fails("a"), "running");
    assert!(driver.refused(Command::Start).possible.is_some());
    row("running", &mut driver, |d| d.succeeds("b"), "failed");
    assert_eq!(driver.words(), "failed completed pending");
    assert_eq!(driver.state.error.as_deref(), Some("a failed: broken"));

    let mut driver = ran(json!([group("a"), group("b"), "c"]), FailurePolicy::Fail);
    driver.ask(Command::Pause);
    driver.fails("a");
    row("paused(operator)", &mut driver, |d| d.succeeds("b"), "failed");
}

#[test]
fn policy_continue_ends_the_run_when_nothing_more_can_run() {
    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Continue);
    row("running", &mut driver, |d| d.fails("a"), "running");
    assert_eq!(driver.words(), "failed running", "a list goes on past the failure");
    row("running", &mut driver, |d| d.succeeds("b"), "failed");

    let steps = json!([{"step_id": "a", "depends_on": []}, {"step_id": "b", "depends_on": ["a"]}, {"step_id": "c", "depends_on": []}]);
    let mut driver = ran(steps, FailurePolicy::Continue);
    driver.fails("a");
    assert_eq!(driver.words(), "failed pending running", "in a graph what depends on it does not");
    row("running", &mut driver, |d| d.succeeds("c"), "failed");
}

#[test]
fn cancel_stops_what_runs_and_ends_as_cancelled() {
    let mut driver = Driver::new(plan(json!(["a"])), options(FailurePolicy::Pause, 4));
    row("idle", &mut driver, |d| drop(d.ask(Command::Cancel)), "cancelled");

    let steps = json!([group("a"), {"step_id": "b", "parallel_group": "g", "max_retries": 1}, "c"]);
    for paused in [false, true] {
        let mut driver = ran(steps.clone(), FailurePolicy::Pause);
        driver.fails("b");
        if paused {
            driver.ask(Command::Pause);
        }
        driver.ask(Command::Cancel);
        assert!(driver.run().ends_with("+cancelling"));
        assert_eq!(driver.words(), "stopping waiting pending");
        for command in [
            Command::Start,
            Command::Pause,
            Command::Resume,
            retry("a"),
            skip("c"),
            complete("c"),
            hold("c"),
            Command::SetParallel { value: 2 },
            restore(3),
        ] {
            driver.refused(command);
        }
        let mut knew_of_none = driver.request(Command::Cancel, "bob");
        knew_of_none.no_kill = true;
        let refusal = driver.feed(&Input::Request(knew_of_none)).expect_err("bob meant the first cancel");
        assert_eq!(refusal.code, RejectionCode::Stale);
        assert_eq!(driver.words(), "stopping waiting pending");
        let killed = driver.ask(Command::Cancel);
        assert!(format!("{killed:?}").contains("kill: true"), "the second cancel kills");
        let refusal = driver.refused(Command::Cancel);
        assert_eq!(refusal.message, "the run is being cancelled and its attempts are being killed already");
        driver.ends("a", Outcome::stopped());
        assert_eq!((driver.run().as_str(), driver.words().as_str()), ("cancelled", "cancelled cancelled pending"));
    }
}

#[test]
fn an_ended_run_is_reopened_paused_and_resume_goes_on() {
    let reopening: [(&str, Command); 4] =
        [("retry", retry("a")), ("skip", skip("a")), ("complete", complete("a")), ("restore", restore(4))];
    for (name, command) in reopening {
        for end in ["failed", "cancelled"] {
            let mut driver = ran(json!(["a", "b"]), FailurePolicy::Fail);
            if end == "failed" {
                driver.fails("a");
            } else {
                driver.ask(Command::Cancel);
                driver.ends("a", Outcome::stopped());
            }
            assert_eq!(driver.state.checkpoints[0].seq, 4, "the checkpoint at the start");
            row(end, &mut driver, |d| drop(d.ask(command.clone())), "paused(operator)");
            assert_eq!(driver.state.error, None);
            row("paused(operator)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");
            let next = if matches!(name, "retry" | "restore") { "a" } else { "b" };
            assert!(driver.status(next).is_live(), "{name} after {end}");
        }
    }
    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Pause);
    driver.succeeds("a");
    driver.succeeds("b");
    row("completed", &mut driver, |d| drop(d.ask(retry_downstream("a"))), "paused(operator)");
    assert_eq!(driver.words(), "pending pending");
    row("paused(operator)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");
}

/// Every situation in which a command may meet a step `t`: a name and how to get there.
fn situations() -> Vec<(&'static str, Driver)> {
    let list = || Driver::new(plan(json!(["t", "z"])), options(FailurePolicy::Pause, 4));
    let started = |steps| ran(steps, FailurePolicy::Pause);
    // Beside `t` runs `s`, so that the run goes on; `z` comes after both.
    let beside_under = |policy, t: serde_json::Value| {
        let mut step = json!({"step_id": "t", "parallel_group": "g"});
        step.as_object_mut().expect("an object").extend(t.as_object().expect("an object").clone());
        ran(json!([group("s"), step, "z"]), policy)
    };
    let beside = |t| beside_under(FailurePolicy::Pause, t);
    let mut all: Vec<(&'static str, Driver)> = Vec::new();
    let mut add = |name, mut driver: Driver, more: &dyn Fn(&mut Driver)| {
        more(&mut driver);
        all.push((name, driver));
    };
    add("idle", list(), &|_| {});
    add("idle, skipped", list(), &|d| drop(d.ask(skip("t"))));
    add("idle, done by hand", list(), &|d| drop(d.ask(complete("t"))));
    add("its turn has not come", started(json!(["a", "t", "z"])), &|_| {});
    add("a hold point ahead", started(json!(["a", {"step_id": "t", "hold": true}, "z"])), &|_| {});
    add("an attempt runs", beside(json!({})), &|_| {});
    add("being stopped for a skip", beside(json!({})), &|d| drop(d.ask(skip("t"))));
    add("being stopped by its time limit", beside(json!({})), &|d| d.times_out("t"));
    add("in back-off", beside(json!({"max_retries": 1})), &|d| d.fails("t"));
    add("held", beside(json!({"hold": true})), &|_| {});
    add("completed", beside(json!({})), &|d| d.succeeds("t"));
    add("skipped", beside(json!({})), &|d| {
        d.ask(skip("t"));
        d.ends("t", Outcome::stopped());
    });
    add("failed, a sibling runs", beside(json!({})), &|d| d.fails("t"));
    add("failed and let past", beside(json!({})), &|d| {
        d.fails("t");
        d.ask(Command::Resume);
    });
    add("queued while paused", beside(json!({})), &|d| {
        d.fails("t");
        d.ask(Command::Interrupt);
        d.ask(retry("t"));
    });
    add("failed, nothing else can run", list(), &|d| {
        d.ask(Command::Start);
        d.fails("t");
    });
    add("held, nothing else can run", started(json!([{"step_id": "t", "hold": true}, "z"])), &|_| {});
    add("interrupted by a crash", started(json!(["t", "z"])), &|d| d.crash(0, true));
    add("running while paused", started(json!(["t", "z"])), &|d| drop(d.ask(Command::Pause)));
    add("being cancelled", started(json!(["t", "z"])), &|d| drop(d.ask(Command::Cancel)));
    add("run completed", started(json!(["t", "z"])), &|d| {
        d.succeeds("t");
        d.succeeds("z");
    });
    add("run completed, skipped", started(json!(["t", "z"])), &|d| {
        d.ask(skip("t"));
        d.ends("t", Outcome::stopped());
        d.succeeds("z");
    });
    add("run failed", ran(json!(["t", "z"]), FailurePolicy::Fail), &|d| d.fails("t"));
    add("run failed elsewhere", ran(json!(["a", "t", "z"]), FailurePolicy::Fail), &|d| d.fails("a"));
    add(
        "run failed, held",
        ran(json!([group("s"), {"step_id": "t", "parallel_group": "g", "hold": true}, "z"]), FailurePolicy::Fail),
        &|d| d.fails("s"),
    );
    add("run cancelled", started(json!(["t", "z"])), &|d| {
        d.ask(Command::Cancel);
        d.ends("t", Outcome::stopped());
    });
    let both_stopped = |d: &mut Driver| {
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
        d.ends("t", Outcome::stopped());
    };
    let skipped = |d: &mut Driver| {
        d.ask(skip("t"));
        d.ends("t", Outcome::stopped());
    };
    let with_policy_fail = |t| beside_under(FailurePolicy::Fail, t);
    add("interrupted and let past", beside(json!({})), &|d| {
        d.crash(0, true);
        d.ask(retry("s"));
        d.ask(Command::Resume);
    });
    add("stopped and let past", beside(json!({})), &|d| {
        both_stopped(d);
        d.ask(retry("s"));
        d.ask(Command::Resume);
    });
    add("paused, completed", beside(json!({})), &|d| {
        d.ask(Command::Pause);
        d.succeeds("t");
    });
    add("paused, skipped", beside(json!({})), &|d| {
        d.ask(Command::Pause);
        skipped(d);
    });
    add("paused, being stopped for a skip", beside(json!({})), &|d| {
        d.ask(Command::Pause);
        d.ask(skip("t"));
    });
    add("paused, in back-off", beside(json!({"max_retries": 1})), &|d| {
        d.ask(Command::Pause);
        d.fails("t");
    });
    add("paused, stopped", beside(json!({})), &|d| {
        both_stopped(d);
        d.ask(retry("s"));
    });
    add("run failed, completed", with_policy_fail(json!({})), &|d| {
        d.succeeds("t");
        d.fails("s");
    });
    add("run failed, skipped", with_policy_fail(json!({})), &|d| {
        skipped(d);
        d.fails("s");
    });
    add("run failed, interrupted", with_policy_fail(json!({})), &|d| {
        d.crash(0, true);
        d.ask(retry("s"));
        d.ask(Command::Resume);
        d.fails("s");
    });
    add("run failed, was in back-off", with_policy_fail(json!({"max_retries": 1})), &|d| {
        d.fails("t");
        d.fails("s");
    });
    add("run cancelled, completed", beside(json!({})), &|d| {
        d.succeeds("t");
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
    });
    add("run cancelled, failed", beside(json!({})), &|d| {
        d.fails("t");
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
    });
    add("run cancelled, skipped", beside(json!({})), &|d| {
        skipped(d);
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
    });
    add("run cancelled, was held", beside(json!({"hold": true})), &|d| {
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
    });
    add("run cancelled, interrupted", beside(json!({})), &|d| {
        d.crash(0, true);
        d.ask(Command::Cancel);
    });
    let gate = || json!({"quality_gate": {}});
    add("in review", beside(gate()), &|d| d.succeeds("t"));
    add("in review, paused", beside(gate()), &|d| {
        d.succeeds("t");
        d.succeeds("s");
    });
    add("run failed, in review", with_policy_fail(gate()), &|d| {
        d.succeeds("t");
        d.fails("s");
    });
    add("run cancelled, in review", beside(gate()), &|d| {
        d.succeeds("t");
        d.ask(Command::Cancel);
        d.ends("s", Outcome::stopped());
    });
    add("rejected", beside(gate()), &|d| {
        d.succeeds("t");
        d.ask(Command::Reject { step: "t".into() });
    });
    for (name, t, status) in [
        ("forked in review", json!({"quality_gate": {}}), StepStatus::InReview),
        ("forked where it had failed", json!({}), StepStatus::Failed),
        ("forked at its hold point", json!({"hold": true}), StepStatus::Held),
        ("forked in back-off", json!({"max_retries": 1}), StepStatus::Waiting),
        ("forked where it was interrupted", json!({}), StepStatus::Interrupted),
        ("forked where it was stopped", json!({}), StepStatus::Cancelled),
    ] {
        let mut driver = beside(t);
        match status {
            StepStatus::Failed | StepStatus::Waiting => driver.fails("t"),
            StepStatus::InReview => driver.succeeds("t"),
            StepStatus::Interrupted => driver.crash(0, true),
            StepStatus::Cancelled => both_stopped(&mut driver),
            _ => {}
        }
        add(name, driver.forked(), &|d| assert_eq!(d.status("t"), status));
    }
    let person = || json!({"run": null, "agent_type": "manual", "action": "look"});
    let asks = |d: &mut Driver| {
        let (attempt, question) = (d.state.step("t").expect("t").1.last_attempt, std::sync::Arc::default());
        let input = holdpoint::run::Input::Asked { step: "t".into(), attempt, number: 1, question };
        d.feed(&input).expect("a report is never refused");
    };
    add("asks, a sibling runs", beside(person()), &asks);
    add("asks, nothing else can run", beside(person()), &|d| {
        asks(d);
        d.succeeds("s");
    });
    add("asks, its engine has ended", beside(person()), &|d| {
        asks(d);
        d.succeeds("s");
        d.crash(0, true);
    });
    add("waits for a time", beside(json!({"run": null, "agent_type": "wait", "parameters": {"seconds": 60}})), &|_| {});
    add(
        "waits for a time, its engine has ended",
        beside(json!({"run": null, "agent_type": "wait", "parameters": {"seconds": 60}})),
        &|d| {
            d.succeeds("s");
            d.crash(0, false);
        },
    );
    // `t` was completed before `u` failed: what `t` did is being undone, or has been.
    let undoable = |id: &str| json!({"step_id": id, "rollback": {"run": "true"}});
    let undone = |policy, more: &dyn Fn(&mut Driver)| {
        let steps = json!([undoable("t"), {"step_id": "u", "on_failure": "rollback"}, "z"]);
        let mut driver = ran(steps, policy);
        driver.succeeds("t");
        driver.fails("u");
        more(&mut driver);
        driver
    };
    add("being rolled back", undone(FailurePolicy::Pause, &|_| {}), &|_| {});
    add("being rolled back, paused", undone(FailurePolicy::Pause, &|d| drop(d.ask(Command::Pause))), &|_| {});
    add("rollback failed, paused", undone(FailurePolicy::Pause, &|d| d.fails("rollback.t")), &|_| {});
    add("rollback failed, run failed", undone(FailurePolicy::Fail, &|d| d.fails("rollback.t")), &|_| {});
    add("rolled back", undone(FailurePolicy::Pause, &|d| d.succeeds("rollback.t")), &|_| {});
    add("rolled back and reopened", undone(FailurePolicy::Pause, &|d| d.succeeds("rollback.t")), &|d| {
        d.ask(retry("u"));
    });
    add("rolled back, though it had completed", started(json!([undoable("t"), undoable("z")])), &|d| {
        d.succeeds("t");
        d.succeeds("z");
        d.ask(Command::Rollback);
        d.succeeds("rollback.z");
        d.succeeds("rollback.t");
    });
    add("run cancelled before its turn", started(json!(["a", "t", "z"])), &|d| {
        d.ask(Command::Cancel);
        d.ends("a", Outcome::stopped());
    });
    let each = |more: serde_json::Value| {
        let mut step = json!({"foreach": ["x", "y"]});
        step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        beside(step)
    };
    add("foreach, its turn has not come", started(json!(["a", {"step_id": "t", "foreach": [1, 2]}, "z"])), &|_| {});
    add("foreach, instances run", each(json!({})), &|_| {});
    add("foreach, an instance failed", each(json!({})), &|d| {
        d.fails("t.0");
        d.succeeds("t.1");
    });
    add("foreach, an instance failed, with continue", each(json!({"on_failure": "continue"})), &|d| {
        d.fails("t.0");
        d.succeeds("t.1");
    });
    add("foreach, completed", each(json!({})), &|d| {
        d.succeeds("t.0");
        d.succeeds("t.1");
    });
    add("foreach, skipped under way", each(json!({})), &|d| {
        d.succeeds("t.0");
        d.ask(skip("t"));
        d.ends("t.1", Outcome::stopped());
    });
    add("foreach, no list", each(json!({"foreach": "1 + 1"})), &|_| {});
    all
}

/// The same commands meet an instance of a `foreach` step `t`.
fn instance_situations() -> Vec<(&'static str, Driver)> {
    let each = |more: serde_json::Value| {
        let mut step = json!({"step_id": "t", "foreach": ["x", "y"], "parallel_group": "g"});
        step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ran(json!([group("s"), step, "z"]), FailurePolicy::Pause)
    };
    let made = |name, mut driver: Driver, more: &dyn Fn(&mut Driver)| {
        more(&mut driver);
        (name, driver)
    };
    vec![
        made("an instance waits", each(json!({})), &|d| {
            d.ask(Command::Pause);
            d.ask(Command::SetParallel { value: 1 });
            d.ask(retry("t.0"));
            d.ends("t.0", Outcome::stopped());
        }),
        made("an instance runs", each(json!({})), &|_| {}),
        made("an instance failed", each(json!({})), &|d| d.fails("t.0")),
        made("an instance completed", each(json!({})), &|d| d.succeeds("t.0")),
        made("an instance skipped, all done", each(json!({})), &|d| {
            d.ask(skip("t.0"));
            d.ends("t.0", Outcome::stopped());
            d.succeeds("t.1");
        }),
        made("an instance failed, all ended, with continue", each(json!({"on_failure": "continue"})), &|d| {
            d.fails("t.0");
            d.succeeds("t.1");
        }),
    ]
}

fn step_commands() -> [(&'static str, Command); 16] {
    commands_about("t")
}

fn commands_about(t: &str) -> [(&'static str, Command); 16] {
    let new = json!({"step_id": "n", "run": "true"});
    let add = |place| Command::Add { step: new.clone(), place, rewire: false };
    [
        ("modify", Command::Modify { step: t.into(), patch: json!({"name": "changed"}) }),
        ("add before", add(Place::Before(t.into()))),
        ("add after", add(Place::After(t.into()))),
        ("remove", Command::Remove { step: t.into() }),
        ("reorder", Command::Reorder { steps: vec!["z".into(), t.into()] }),
        ("retry", retry(t)),
        ("retry all after", retry_downstream(t)),
        ("skip", skip(t)),
        ("complete", complete(t)),
        ("hold", hold(t)),
        ("unhold", unhold(t)),
        ("release", release(t)),
        ("approve", Command::Approve { step: t.into() }),
        ("reject", Command::Reject { step: t.into() }),
        ("escalate", Command::Escalate { step: t.into() }),
        ("answer", Command::Answer { step: t.into(), question: None, answer: Answer::Declined }),
    ]
}

/// What the contract's table of interventions says of a command on a step in a run.
fn allowed(name: &str, driver: &Driver) -> bool {
    use StepStatus::*;
    let position = driver.state.position("t").expect("a step t");
    let step = &driver.state.steps[position];
    let run = driver.state.status;
    // While the run is rolled back its steps are those of the rollback.
    if driver.state.cancelling || driver.state.rolling_back {
        return false;
    }
    // A stop for its time limit is nobody's decision: an operator's goes before it.
    let stopping = step.status == Stopping && step.stop.as_ref().is_none_or(|stop| stop.intervention.is_some());
    let retried =
        matches!(step.status, Failed | Interrupted | Cancelled | Skipped | Waiting | InReview | Running | Stopping)
            && !stopping
            || step.rolled_back && run.is_ended();
    let live = matches!(step.status, Running | Stopping);
    let changeable = !live && step.status != Completed && run != RunStatus::Completed;
    // What is put before a step is put before all that run beside it.
    let stage = driver.state.plan.steps.iter().zip(&driver.state.steps).filter(|(definition, _)| {
        definition.step_id == "t" || definition.parallel_group.as_deref() == Some("g") && step_in_group(driver)
    });
    let mut stage = stage.map(|(_, step)| step);
    let ran = stage
        .any(|step| matches!(step.status, Running | Stopping) || step.status == Completed && step.by_hand.is_none());
    let hold_ahead = driver.state.is_hold_point(driver.state.position("t").expect("a step t"));
    if step.expansion.is_some() && step.status != Completed {
        // It has begun, though nothing of it is an attempt of its own.
        let found = driver.state.instances(position).expect("instances").map(|one| driver.state.steps[one].status);
        let found: Vec<StepStatus> = found.collect();
        let runs = found.iter().any(|status| status.is_live());
        let broken = found.iter().any(|status| matches!(status, Failed | Interrupted | Cancelled));
        return match name {
            "modify" | "remove" | "reorder" | "hold" | "unhold" | "release" | "approve" | "reject" | "escalate"
            | "answer" => false,
            "retry" => broken || step.status == Skipped,
            "retry all after" => !runs,
            "skip" | "complete" => step.status != Skipped,
            "add before" => found.iter().all(|status| !status.is_live() && *status != Completed) && !ran,
            "add after" => true,
            other => panic!("no rule for {other}"),
        };
    }
    match name {
        "retry" => retried && run != RunStatus::Completed,
        "retry all after" => retried || step.status == Completed,
        "modify" | "remove" => changeable,
        "add after" => run != RunStatus::Completed,
        "add before" => !ran && run != RunStatus::Completed,
        "reorder" => {
            let moved =
                step.status == Pending || step.status == Held || step.status == Skipped && step.attempts.is_empty();
            moved && run != RunStatus::Completed
        }
        "skip" | "complete" => !matches!(step.status, Completed | Skipped) && !stopping,
        "hold" => step.status == Pending && step.attempts.is_empty() && !run.is_ended() && !hold_ahead,
        "unhold" => step.status == Pending && !run.is_ended() && hold_ahead,
        "release" => step.status == Held && !run.is_ended(),
        "approve" | "reject" | "escalate" => step.status == InReview,
        "answer" => step.question().is_some(),
        other => panic!("no rule for {other}"),
    }
}

fn step_in_group(driver: &Driver) -> bool {
    driver.state.step("t").is_some_and(|(definition, _)| definition.parallel_group.is_some())
}

/// What a command did to a situation, or what refused it.
fn outcome(driver: &Driver, command: &Command) -> Result<String, Rejection> {
    outcome_of(driver, command, "t")
}

fn outcome_of(driver: &Driver, command: &Command, about: &str) -> Result<String, Rejection> {
    let mut after = driver.clone();
    let answer = after.try_as("ann", command.clone());
    match answer {
        Ok(_) => {
            let step = after.state.step(about).map_or("gone", |(_, step)| step.status.word());
            Ok(format!("run {}, step {step}", after.run()))
        }
        Err(refusal) => {
            assert_eq!(driver.state, after.state, "a refusal changes nothing");
            Err(refusal)
        }
    }
}

#[test]
fn every_command_on_every_state_of_a_step() {
    for (name, driver) in situations() {
        for (command_name, command) in step_commands() {
            let may = allowed(command_name, &driver);
            match outcome(&driver, &command) {
                Ok(_) => assert!(may, "{command_name} on {name} was accepted"),
                Err(refusal) => {
                    assert!(!may, "{command_name} on {name} was refused: {refusal}");
                    assert_eq!(refusal.code, RejectionCode::NotNow);
                    let possible = refusal.possible.is_some();
                    assert!(possible, "{command_name} on {name}: {refusal}: and what would be possible?");
                }
            }
        }
    }
}

/// An instance takes the commands of a step, but for those about its place.
#[test]
fn every_command_on_an_instance() {
    for (name, driver) in instance_situations() {
        let status = driver.status("t.0");
        for (command_name, command) in commands_about("t.0") {
            use StepStatus::*;
            let may = match command_name {
                "remove" | "reorder" | "add before" | "add after" => false,
                "retry" => matches!(status, Failed | Skipped | Running),
                "retry all after" => matches!(status, Failed | Skipped | Running | Completed),
                "skip" | "complete" => !status.is_satisfied(),
                "modify" => !status.is_live() && status != Completed,
                _ => false,
            };
            let mut after = driver.clone();
            match after.try_as("ann", command) {
                Ok(_) => assert!(may, "{command_name} on {name} was accepted"),
                Err(refusal) => {
                    assert!(!may, "{command_name} on {name} was refused: {refusal}");
                    assert!(
                        refusal.possible.is_some(),
                        "{command_name} on {name}: {refusal}: and what would be possible?"
                    );
                    assert_eq!(driver.state, after.state);
                }
            }
        }
    }
}

fn run_commands() -> Vec<(&'static str, Command)> {
    vec![
        ("start", Command::Start),
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("cancel", Command::Cancel),
        ("rollback", Command::Rollback),
        ("interrupt", Command::Interrupt),
        ("set parallel 2", Command::SetParallel { value: 2 }),
        ("set parallel 0", Command::SetParallel { value: 0 }),
        ("restore", restore(4)),
        ("undo", Command::Undo { version: None }),
        ("use version 1", Command::UseVersion { version: 1 }),
    ]
}

/// The situation as a command finds it: where there is something to undo, if the plan could be changed there.
fn prepared(driver: &Driver, name: &str) -> Driver {
    let mut driver = driver.clone();
    if matches!(name, "undo" | "use version 1") {
        let change = Command::Modify { step: "z".into(), patch: json!({"name": "changed"}) };
        let status = driver.state.status;
        if driver.try_as("ann", change).is_ok() {
            // An ended run is taken up again by a change of its plan: that is another situation.
            assert!(driver.state.status == status || status.is_ended(), "{:?} → {:?}", status, driver.state.status);
        }
    }
    driver
}

#[test]
fn every_command_on_every_state_of_a_run() {
    for (name, driver) in situations() {
        for (word, command) in run_commands() {
            if let Err(refusal) = outcome(&prepared(&driver, word), &command) {
                let said = refusal.possible.is_some() || refusal.code != RejectionCode::NotNow;
                assert!(said, "{word} on {name}: {refusal}: and what would be possible?");
            }
        }
    }
}

/// A run and a step of it are in one of the situations, or in none that can be reached.
#[test]
fn every_state_of_a_run_and_a_step_is_played_or_out_of_reach() {
    let met: Vec<_> = situations().iter().map(|(_, driver)| (driver.state.status, driver.status("t"))).collect();
    for run in [
        RunStatus::Idle,
        RunStatus::Running,
        RunStatus::Paused,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
    ] {
        for step in holdpoint::run::STEP_STATUSES {
            let why = unreachable(run, step);
            assert_eq!(met.contains(&(run, step)), why.is_none(), "run {}, step {}", run.word(), step.word());
        }
    }
}

/// The table in the docs is the table of these tests: `HOLDPOINT_WRITE_DOCS=1` writes it anew.
#[test]
fn the_docs_have_the_whole_table() {
    let mut page = String::from(INTERVENTIONS);
    let situations = situations();
    let mut table =
        |title: &str, commands: &[(&'static str, Command)], situations: &[(&'static str, Driver)], about: &str| {
            let names: Vec<&str> = commands.iter().map(|(name, _)| *name).collect();
            let _ = writeln!(page, "\n## {title}\n\n| situation | {} |", names.join(" | "));
            let _ = writeln!(page, "|---|{}", "---|".repeat(names.len()));
            let mut details = String::new();
            for (name, driver) in situations {
                let _ = writeln!(details, "\n**{name}**: run {}, step {}\n", driver.run(), driver.status(about).word());
                let _ = writeln!(details, "| command | becomes, or is refused because |\n|---|---|");
                let _ = write!(page, "| {name} |");
                for (word, command) in commands {
                    let (mark, told) = match outcome_of(&prepared(driver, word), command, about) {
                        Ok(effect) => ("yes", effect),
                        Err(refusal) => ("–", format!("– {refusal}")),
                    };
                    let _ = write!(page, " {mark} |");
                    let _ = writeln!(details, "| {word} | {told} |");
                }
                page.push('\n');
            }
            page.push_str(&details);
        };
    table("Commands about a step", &step_commands(), &situations, "t");
    table("Commands about an instance", &commands_about("t.0"), &instance_situations(), "t.0");
    table("Commands about the run", &run_commands(), &situations, "t");
    page.push_str(UNDO);
    for (name, driver) in crate::run_undo::situations() {
        let told = outcome(&driver, &Command::Undo { version: None }).unwrap_or_else(|refusal| format!("– {refusal}"));
        let _ = writeln!(page, "| {name} | run {}, step {} | {told} |", driver.run(), driver.status("t").word());
    }
    page.push_str("\n## Out of reach\n\nWhat no run comes to has no row:\n\n| run | step | because |\n|---|---|---|\n");
    for (runs, steps, why) in UNREACHABLE {
        let runs: Vec<&str> = runs.iter().map(|run| run.word()).collect();
        let steps: Vec<&str> = steps.iter().map(|step| step.word()).collect();
        let _ = writeln!(page, "| {} | {} | {why} |", runs.join(", "), steps.join(", "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/interventions.md");
    if std::env::var_os("HOLDPOINT_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).expect("docs/ can be written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let first = there.lines().zip(page.lines()).find(|(there, here)| there != here);
    assert!(
        there == page,
        "docs/interventions.md is not what the engine does: {first:?}; write it with HOLDPOINT_WRITE_DOCS=1"
    );
}

const INTERVENTIONS: &str = "\
# What may be done when

Every command on every state of a run and of a step: what it makes of them, or the rule that refuses it and what would be possible instead. A
refusal changes nothing; it stands in the log of interventions like any other. Where an attempt has to stop first, the step is `stopping` and the
intervention pending until it has.

This page is made by a test that plays each situation through the engine's pure core (`tests/it/run_table.rs`) and fails when the two differ.

In each situation `t` is the step that the command is about. `z` comes after it, `a` comes before it or `s` runs beside it where the
situation needs one, and `add` puts in a step `n`. `t.0` is the first instance of a `foreach` step `t`. `reorder` asks for `z` before `t`. `undo` and `use version 1` find a change of `z` to take
back wherever the plan could be changed; on a run that had failed or was cancelled that change has taken the run up again.

- Changes of the plan (`modify`, `add`, `remove`, `reorder`) are for what has not started: a step that runs or is completed keeps its
  definition and its place. A failed, interrupted or cancelled step can be modified and retried, or removed.
- A change of the plan on a failed or cancelled run reopens it, paused; a completed run takes `restore`, `retry all after`, and taking back a
  change.
- A `foreach` step has begun when it has its instances, though it is `pending` until they have ended: `retry` takes up those that have failed,
  `retry all after` expands it anew, `skip` and `complete` skip what is not done of it. An instance takes the commands of a step but for those
  about its place, which it has from its step.
- In a plan with `depends_on`, what depends on a removed step inherits its dependencies; an order that contradicts a dependency is refused.
- `undo` takes back the newest intervention that is not undone yet, or the one that is named: a change of the plan by the version that it made, any
  other by its id. It is itself an intervention, and can be undone by its id. Start, pause, resume and interrupt decide nothing about a step or
  the plan: without a name, `undo` passes over them.
- `answer` goes to the attempt that asks, and is not taken back: retrying the step asks again. What only waits, for a person or for a time, takes
  no slot of `max_parallel`, is not interrupted when its engine ends, and is taken up again by the next one as the same attempt.
- `rollback` undoes what is completed and has a `rollback` action. Until it is over the run's steps are those of the rollback: `rollback.t`, which
  undoes `t`, is retried, skipped and completed by hand like any step, and the plan and its own steps are left alone. `pause` and `resume` work as
  ever; `cancel` ends the rollback where it is. It cannot be undone. Afterwards what was undone is pending, and a retry, a skip or a restore takes
  the run up again.
";

const UNDO: &str = "
## Undo of the newest intervention

What was decided about a step or the plan is taken back as long as nothing has built on it; attempts are never undone. What cannot be undone says
what takes it back instead.

| the newest intervention | it has led to | undo makes of it, or is refused because |
|---|---|---|
";

#[test]
fn what_is_not_there_is_not_found_and_what_has_changed_is_stale() {
    let mut driver = ran(json!(["a", "b"]), FailurePolicy::Pause);
    for command in [retry("x"), skip("x"), complete("x"), hold("x"), unhold("x"), release("x")] {
        let refusal = driver.refused(command);
        assert_eq!((refusal.code, refusal.message.as_str()), (RejectionCode::NotFound, "the plan has no step `x`"));
    }
    driver.ask(Command::Pause);
    driver.succeeds("a");
    let refusal = driver.refused(restore(99_999));
    assert_eq!(refusal.to_string(), "there is no checkpoint cp-99999; the list of checkpoints has their ids");

    let mut request = driver.request(skip("b"), "ann");
    request.seen = Some(StepStatus::Running);
    let refusal = driver.feed(&holdpoint::run::Input::Request(request.clone())).expect_err("stale");
    assert_eq!(refusal.code, RejectionCode::Stale);
    request.seen = None;
    request.expected_plan_version = Some(2);
    let refusal = driver.feed(&holdpoint::run::Input::Request(request)).expect_err("stale");
    assert_eq!(refusal.to_string(), "the plan is at version 1, not 2; look at what changed and send it again");
}

#[test]
fn an_interrupt_stops_what_runs_and_pauses() {
    let step = |id: &str, idempotent: bool| json!({"step_id": id, "parallel_group": "g", "idempotent": idempotent});
    let mut driver = ran(json!([step("a", false), step("b", true), group("c"), "d"]), FailurePolicy::Pause);
    row("running", &mut driver, |d| drop(d.ask(Command::Interrupt)), "paused(operator)");
    assert_eq!(driver.words(), "stopping stopping stopping pending");
    driver.ends("a", Outcome::stopped());
    driver.ends("b", Outcome::stopped());
    driver.ends("c", Outcome::succeeded());
    assert_eq!(driver.words(), "interrupted pending completed pending", "an idempotent one simply runs again");
    row("paused(operator)", &mut driver, |d| drop(d.ask(Command::Resume)), "running");
    assert_eq!(driver.words(), "interrupted running completed pending");
    row("running", &mut driver, |d| d.succeeds("b"), "paused(recovered)");
}
