//! Traps that others fell into, and those that this core fell into itself: each by name.

use holdpoint::plan::{FailurePolicy, RetryPolicy};
use holdpoint::run::{self, Command, Input, Outcome, OutcomeStatus, StepStatus};
use serde_json::json;

use crate::run_support::*;

/// prefect#10749: a step was fixed by hand and marked done; a retry of another step must not run it again.
#[test]
fn prefect_10749_a_step_completed_by_hand_is_not_run_again_by_a_retry_of_others() {
    let mut driver = Driver::started(json!(["a", "b", "c", "d"]));
    driver.succeeds("a");
    driver.fails("b");
    driver.ask(Command::Complete { step: "b".into(), result: Some(json!({"rows": 3})) });
    driver.fails("c");
    driver.ask(retry_downstream("c"));
    driver.succeeds("c");
    driver.succeeds("d");
    assert_eq!(driver.run(), "completed");
    driver.ask(retry_downstream("a"));
    assert_eq!(driver.words(), "pending completed pending pending");
    driver.ask(Command::Resume);
    driver.succeeds("a");
    assert_eq!(driver.starts("b"), 1, "once: the attempt that failed");
    assert_eq!(driver.state.step("b").and_then(|(_, step)| step.result()), Some(json!({"rows": 3})));
    assert_eq!(driver.status("c"), StepStatus::Running, "what waits for it goes on");
}

/// flyte#3578: what was skipped in an earlier recovery stays skipped though its cause is gone, and the run ends green.
#[test]
fn flyte_3578_a_retry_with_downstream_takes_up_what_was_skipped() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.fails("a");
    driver.ask(skip("b"));
    driver.ask(skip("c"));
    assert_eq!(driver.words(), "failed skipped skipped");
    driver.ask(retry_downstream("a"));
    driver.succeeds("a");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "completed running pending"));
    driver.succeeds("b");
    driver.succeeds("c");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("completed", "completed completed completed"));
}

/// airflow#12485: marking a failed step done, or skipping it, lets go what waits for it.
#[test]
fn airflow_12485_a_failed_step_marked_done_unblocks_what_waits_for_it() {
    for answer in [complete("a"), skip("a")] {
        let mut driver = Driver::started(json!(["a", "b"]));
        driver.fails("a");
        assert_eq!(driver.run(), "paused(step_failed)");
        driver.ask(answer);
        assert_eq!((driver.run().as_str(), driver.status("b")), ("running", StepStatus::Running));
    }
}

/// argo#13749: one failed step can be retried while its siblings run, and nothing happens to the siblings.
#[test]
fn argo_13749_a_failed_step_is_retried_while_its_siblings_run() {
    let group = |id: &str| json!({"step_id": id, "parallel_group": "g"});
    let mut driver = Driver::started(json!([group("a"), group("b"), group("c"), "d"]));
    driver.fails("a");
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("paused(step_failed)", "failed running running pending")
    );
    driver.ask(retry("a"));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "running running running pending"));
    for step in ["a", "b", "c", "d"] {
        driver.succeeds(step);
    }
    assert_eq!(driver.run(), "completed");
    assert_eq!((driver.starts("a"), driver.starts("b"), driver.starts("c")), (2, 1, 1));
}

/// dagu#2298: after a crash a retry runs; it does not report that nothing can run.
#[test]
fn dagu_2298_a_retry_after_a_crash_runs() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.succeeds("a");
    driver.crash(0, true);
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("paused(recovered)", "completed interrupted pending")
    );
    let refusal = driver.refused(Command::Resume);
    assert_eq!(
        refusal.to_string(),
        "nothing could run; `b` was interrupted: retry it, skip it, or complete it by hand"
    );
    driver.ask(retry("b"));
    driver.ask(Command::Resume);
    driver.succeeds("b");
    driver.succeeds("c");
    assert_eq!(driver.run(), "completed");
    assert_eq!(driver.starts("a"), 1, "what was completed before the crash does not run again");
}

/// The older system recorded a cancelled run as completed; also when its last step succeeds while it is being stopped.
#[test]
fn cancelling_is_never_recorded_as_completing() {
    for outcome in [Outcome::succeeded(), Outcome::stopped(), Outcome::failed("broken"), Outcome::lost()] {
        for paused in [false, true] {
            let mut driver = Driver::started(json!(["a"]));
            if paused {
                driver.ask(Command::Pause);
            }
            driver.ask(Command::Cancel);
            assert_eq!(driver.status("a"), StepStatus::Stopping);
            driver.ends("a", outcome.clone());
            assert_eq!(driver.run(), "cancelled", "after {outcome:?}");
        }
    }
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.ask(Command::Cancel);
    driver.crash(0, true);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("cancelled", "cancelled pending"));
}

/// The older system went on past a failed step and called the run completed.
#[test]
fn a_run_with_a_failed_step_never_ends_as_completed() {
    for (policy, end) in [
        (FailurePolicy::Pause, "paused(step_failed)"),
        (FailurePolicy::Fail, "failed"),
        (FailurePolicy::Continue, "failed"),
    ] {
        for order in [json!({}), json!({"depends_on": []})] {
            let step = |id: &str| {
                let mut step = order.clone();
                step["step_id"] = json!(id);
                step
            };
            let mut driver = Driver::new(plan(json!([step("a"), step("b"), step("c")])), options(policy, 1));
            driver.ask(Command::Start);
            driver.succeeds("a");
            driver.fails("b");
            if driver.status("c").is_live() {
                driver.succeeds("c");
            }
            assert_eq!(driver.run(), end, "policy {policy:?}");
        }
    }
}

/// The older system's retry wrote a line into its log and ran nothing.
#[test]
fn a_retry_runs_the_step_again_and_keeps_both_attempts() {
    for policy in [FailurePolicy::Pause, FailurePolicy::Fail, FailurePolicy::Continue] {
        let mut driver = Driver::new(plan(json!(["a"])), options(policy, 4));
        driver.ask(Command::Start);
        driver.fails("a");
        driver.ask(retry("a"));
        if driver.run() == "paused(operator)" {
            driver.ask(Command::Resume);
        }
        driver.succeeds("a");
        assert_eq!(driver.run(), "completed");
        let attempts = &driver.state.steps[0].attempts;
        let verdicts: Vec<_> = attempts.iter().filter_map(|one| one.outcome.as_ref()).map(|one| one.status).collect();
        assert_eq!(verdicts, [OutcomeStatus::Failed, OutcomeStatus::Succeeded]);
        assert_eq!(attempts.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    }
}

/// The older system began at step 1 after a restore.
#[test]
fn a_restore_goes_on_where_the_checkpoint_was() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    for step in ["a", "b", "c"] {
        driver.succeeds(step);
    }
    assert_eq!(driver.run(), "completed");
    driver.ask(restore(driver.checkpoint_after("b")));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(operator)", "completed completed pending"));
    driver.ask(Command::Resume);
    driver.succeeds("c");
    assert_eq!(driver.run(), "completed");
    assert_eq!((driver.starts("a"), driver.starts("b"), driver.starts("c")), (1, 1, 2));
    assert_eq!(driver.state.step("c").map(|(_, step)| step.last_attempt), Some(2));
}

/// What is kept in a file is what was in memory, to the last digit of its times.
#[test]
fn a_loaded_state_has_the_same_times() {
    let driver = Driver::started(json!(["a"]));
    assert_ne!(driver.now.timestamp_subsec_nanos() % 1000, 0, "a time finer than microseconds");
    assert_eq!(driver.state, reloaded(&driver.state));
}

/// The same id twice applies once; but a refusal applied nothing, so the same command may come again when its time has come.
#[test]
fn a_refused_command_does_not_spend_its_id() {
    let mut driver = Driver::started(json!(["a", "b"]));
    let mut request = driver.request(retry("a"), "ann");
    request.command_id = Some("retry-a".into());
    let input = Input::Request(request.clone());
    driver.succeeds("a");
    let refusal = driver.feed(&input).expect_err("a completed step");
    let moment = driver.moment();
    run::log_refusal(&mut driver.state, &request, &refusal, &moment);
    assert!(!driver.state.has_command("retry-a"));
    assert_eq!(driver.feed(&input), Err(refusal), "the same answer, not a silent yes");

    request.command = skip("b");
    let input = Input::Request(request);
    driver.feed(&input).expect("a running step can be skipped");
    assert!(driver.state.has_command("retry-a"), "it waits for its attempt to stop");
    assert_eq!(driver.feed(&input), Ok(vec![]), "twice applies once");
}

/// A skip that waited for its attempt, and was overtaken, had no effect: it may be asked for again.
#[test]
fn an_overtaken_command_does_not_spend_its_id() {
    let mut driver = Driver::started(json!(["a", "b"]));
    let mut request = driver.request(skip("a"), "ann");
    request.command_id = Some("skip-a".into());
    driver.feed(&Input::Request(request)).expect("a running step can be skipped");
    driver.succeeds("a");
    assert!(!driver.state.has_command("skip-a"));
    assert_eq!(driver.state, reloaded(&driver.state));
}

/// A run that failed is reopened and goes on elsewhere: when nothing more can run it has failed again, whether or not the engine was restarted
/// in between.
#[test]
fn a_failure_that_ends_the_run_still_does_after_it_was_let_past() {
    let steps = json!([{"step_id": "a", "depends_on": [], "on_failure": "fail"}, {"step_id": "b", "depends_on": []},
        {"step_id": "c", "depends_on": []}]);
    let mut driver = Driver::new(plan(steps), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    driver.fails("a");
    assert_eq!(driver.run(), "failed");
    driver.ask(skip("b"));
    driver.ask(Command::Resume);
    assert_eq!(driver.words(), "failed skipped running");
    driver.succeeds("c");
    assert_eq!(driver.run(), "failed");
    assert_eq!(driver.state, reloaded(&driver.state));
}

/// An operator resumed past one failure. A second one pauses the run; when that one alone is answered, the run goes on.
#[test]
fn a_failure_that_was_let_past_does_not_ask_again_with_the_next() {
    let step = |id: &str| json!({"step_id": id, "depends_on": []});
    let mut driver = Driver::new(plan(json!([step("a"), step("b"), step("c")])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    driver.fails("a");
    driver.ask(Command::Resume);
    driver.fails("b");
    assert_eq!(driver.run(), "paused(step_failed)");
    driver.ask(skip("b"));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "failed skipped running"));
    driver.succeeds("c");
    assert_eq!(driver.run(), "paused(step_failed)", "nothing else can run: now it asks again");
    driver.ask(retry("a"));
    driver.succeeds("a");
    assert_eq!(driver.run(), "completed");
}

/// Back to the start, then forward again to a checkpoint at which a step was running: its attempt ended on a branch that has been left, and is
/// not shown as if it still ran.
#[test]
fn no_attempt_seems_to_run_for_ever_after_two_restores() {
    let group = |id: &str| json!({"step_id": id, "parallel_group": "g"});
    let mut driver = Driver::started(json!(["first", group("a"), group("b"), "last"]));
    driver.succeeds("first");
    driver.succeeds("a");
    driver.ask(Command::Pause);
    driver.succeeds("b");
    let (start, while_b_ran) = (driver.state.checkpoints[0].seq, driver.checkpoint_after("a"));
    driver.ask(restore(start));
    assert_eq!(driver.words(), "pending pending pending pending");
    driver.ask(restore(while_b_ran));
    assert_eq!(driver.words(), "completed completed pending pending");
    let attempts = driver.state.steps.iter().flat_map(|step| &step.attempts);
    assert!(attempts.into_iter().all(|attempt| attempt.ended_at.is_some()));
    driver.ask(Command::Resume);
    assert_eq!(driver.state.step("b").map(|(_, step)| step.last_attempt), Some(2), "numbers are never used again");
}

/// A step waits for its next attempt. What it needs is taken up again meanwhile: it waits for that too, and does not run beside it.
#[test]
fn a_step_in_back_off_waits_for_a_dependency_that_runs_again() {
    let steps = json!(["a", {"step_id": "b", "max_retries": 1}, "c"]);
    let mut driver = Driver::started(steps);
    driver.ask(skip("a"));
    driver.ends("a", Outcome::stopped());
    driver.fails("b");
    assert_eq!(driver.words(), "skipped waiting pending");
    driver.ask(retry("a"));
    driver.wait(60);
    assert_eq!(driver.words(), "running waiting pending");
    assert_eq!(driver.state.wake_at(), None, "time alone does not start it");
    assert_eq!(driver.state, reloaded(&driver.state));
    driver.fails("a");
    assert_eq!(driver.run(), "paused(step_failed)");
    driver.ask(retry("a"));
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed running pending", "long due: it starts at once");
}

/// The same where nobody is asked: the run does not stay running with nothing left that could happen.
#[test]
fn a_step_in_back_off_behind_a_failure_does_not_keep_the_run_running() {
    let steps = json!([{"step_id": "a", "depends_on": [], "on_failure": "continue"},
        {"step_id": "b", "depends_on": ["a"], "max_retries": 1}]);
    let mut driver = Driver::started(steps);
    driver.ask(skip("a"));
    driver.ends("a", Outcome::stopped());
    driver.fails("b");
    driver.ask(retry("a"));
    driver.fails("a");
    driver.wait(60);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("failed", "failed cancelled"));
}

/// A sign-off in a run that has ended would change a step nobody will look at again; the run is reopened first.
#[test]
fn a_hold_in_an_ended_run_cannot_be_released() {
    let group = |id: &str| json!({"step_id": id, "parallel_group": "g"});
    let mut driver = Driver::new(
        plan(json!([group("a"), {"step_id": "b", "parallel_group": "g", "hold": true}])),
        options(FailurePolicy::Fail, 4),
    );
    driver.ask(Command::Start);
    driver.fails("a");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("failed", "failed pending"));
    driver.refused(release("b"));
    driver.ask(retry("a"));
    assert_eq!(driver.words(), "pending pending");
    driver.ask(Command::Resume);
    assert_eq!(driver.words(), "running held");
    driver.ask(release("b"));
}

/// A skip before the start, pressed by mistake, can be taken back before the start.
#[test]
fn a_step_skipped_before_the_start_can_be_taken_back() {
    let mut driver = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Pause, 4));
    driver.ask(skip("a"));
    let refusal = driver.refused(retry("b"));
    assert_eq!(refusal.to_string(), "`b` has not run yet; start the run");
    driver.ask(retry("a"));
    driver.ask(Command::Start);
    assert_eq!(driver.words(), "running pending");
}

/// A hold point signed off for the old results is not signed off for the new ones, also where the step had not started yet.
#[test]
fn a_reset_asks_for_a_new_sign_off() {
    let mut driver = Driver::started(json!([{"step_id": "a", "depends_on": []},
        {"step_id": "b", "depends_on": ["a"], "hold": true}, {"step_id": "c", "depends_on": []}]));
    driver.succeeds("a");
    driver.ask(Command::Pause);
    driver.ask(release("b"));
    driver.ask(retry_downstream("a"));
    driver.ask(Command::Resume);
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed held running");
}

/// The engine ends (a second Ctrl-C as well): attempts that are being stopped already keep what was decided for them.
#[test]
fn an_interrupt_leaves_alone_what_is_being_stopped_already() {
    let group = |id: &str| json!({"step_id": id, "parallel_group": "g"});
    let mut driver = Driver::started(json!([group("a"), group("b"), group("c"), "d"]));
    driver.ask(skip("a"));
    driver.times_out("b");
    driver.ask(Command::Interrupt);
    let since = driver.state.step("c").and_then(|(_, step)| step.stop.clone()).map(|stop| stop.since);
    driver.wait(5);
    driver.ask(Command::Interrupt);
    let now = driver.state.step("c").and_then(|(_, step)| step.stop.clone()).map(|stop| stop.since);
    assert_eq!(since, now, "the grace period does not begin again");
    for step in ["a", "b", "c"] {
        driver.ends(step, Outcome::stopped());
    }
    assert_eq!(driver.words(), "skipped failed interrupted pending");
    assert_eq!(driver.run(), "paused(operator,step_failed)");
}

/// No delay stays no delay, however often a step was tried.
#[test]
fn retries_without_delay_never_wait() {
    let policy = |delay: f64| RetryPolicy { delay_seconds: Some(delay), ..RetryPolicy::default() };
    assert_eq!(run::backoff(Some(&policy(0.0)), 5000, 1), 0.0);
    assert_eq!(run::backoff(Some(&policy(0.1)), 5000, 1), run::DEFAULT_MAX_DELAY);
}

/// The longest delay a plan can ask for is a time that can be written and read.
#[test]
fn a_delay_without_end_can_be_written_down() {
    let retry = json!({"delay_seconds": 1e300, "max_delay_seconds": 1e300});
    let mut driver = Driver::started(json!([{"step_id": "a", "max_retries": 1, "retry": retry}]));
    driver.fails("a");
    assert_eq!(driver.words(), "waiting");
    assert_eq!(driver.state, reloaded(&driver.state));
}

/// A step that was skipped or done by hand ahead of its turn does not let what follows it overtake what it would have waited for itself.
#[test]
fn a_step_skipped_ahead_of_its_turn_lets_nothing_overtake() {
    for ahead in [skip("c"), complete("c")] {
        let mut driver = Driver::started(json!(["a", "b", "c", "d"]));
        driver.ask(ahead);
        let words = driver.words();
        assert!(words.starts_with("running pending") && words.ends_with("pending"), "{words}");
        driver.succeeds("a");
        assert_eq!((driver.status("b"), driver.status("d")), (StepStatus::Running, StepStatus::Pending));
        driver.succeeds("b");
        assert_eq!(driver.status("d"), StepStatus::Running);
    }
}
