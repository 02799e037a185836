//! Looking back: what a restore leaves behind, how long the plan was, what a fork would be.

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{Branches, Command, Fork, PlanSizes, Registration, RunState, fork_at, fork_preview};
use serde_json::json;

use crate::run_support::{Driver, options, plan, restore};

/// A run of the steps `a` to `f`, one after the other, with a second between what happens.
fn run() -> Driver {
    let mut driver = Driver::new(plan(json!(["a", "b", "c", "d", "e", "f"])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    driver
}

/// Steps complete, a second after each other; gives the checkpoint after the last.
fn complete(driver: &mut Driver, steps: &[&str]) -> u64 {
    for step in steps {
        driver.wait(1);
        driver.succeeds(step);
    }
    driver.checkpoint_after(steps[steps.len() - 1])
}

/// Pauses, lets what runs end, and goes back.
fn go_back(driver: &mut Driver, to: u64, running: &str) {
    driver.wait(1);
    driver.ask(Command::Pause);
    driver.succeeds(running);
    driver.wait(1);
    driver.ask(restore(to));
}

/// The checkpoints that are left behind: since how many seconds of the run's first.
fn left(driver: &Driver) -> Vec<(u64, i64)> {
    let branches = Branches::of(&driver.state);
    let first = driver.state.created_at;
    let found = driver.state.checkpoints.iter().filter_map(|mark| Some((mark.seq, branches.left_at(mark.seq)?)));
    found.map(|(seq, time)| (seq, (time - first).as_seconds_f64().round() as i64)).collect()
}

#[test]
fn a_restore_leaves_behind_what_came_after_and_a_second_one_within_it_what_came_since() {
    let mut driver = run();
    let after_b = complete(&mut driver, &["a", "b"]);
    let after_c = complete(&mut driver, &["c"]);
    assert_eq!(left(&driver), [], "nothing was left");
    go_back(&mut driver, after_b, "d");
    let first = left(&driver);
    let seconds = |left: &[(u64, i64)]| left.iter().map(|(_, second)| *second).collect::<Vec<_>>();
    assert_eq!(first[0].0, after_c);
    assert_eq!(seconds(&first), [5, 5, 5], "c, the pause, d: all of them by the restore");

    // On from there, and back to a place of the new branch.
    driver.ask(Command::Resume);
    let again_c = complete(&mut driver, &["c"]);
    let again_d = complete(&mut driver, &["d"]);
    go_back(&mut driver, again_c, "e");
    let second = left(&driver);
    assert_eq!(second[..3], first, "what was left before is left since then");
    assert_eq!(second[3].0, again_d);
    assert_eq!(seconds(&second[3..]), [9, 9, 9]);

    // Back into the branch that was left first: it leads to now again, and what led to now is left.
    driver.wait(1);
    driver.ask(restore(after_c));
    let third = left(&driver);
    assert!(!third.iter().any(|(seq, _)| *seq == after_c), "{third:?}");
    let again = third.iter().find(|(seq, _)| *seq == again_c).expect("the other branch is left");
    assert_eq!(again.1, 10);
    assert_eq!(third.iter().filter(|(_, second)| *second == 5).count(), 2, "the rest of the first branch stays left");

    // And left again: the newest time counts.
    driver.wait(1);
    driver.ask(restore(after_b));
    assert_eq!(left(&driver).iter().find(|(seq, _)| *seq == after_c).expect("left again").1, 11);
}

#[test]
fn the_steps_of_an_older_checkpoint_are_counted_as_they_were() {
    let mut driver = run();
    let after_a = complete(&mut driver, &["a"]);
    driver.wait(1);
    driver.ask(Command::Remove { step: "f".into() });
    driver.ask(Command::Remove { step: "e".into() });
    let after_b = complete(&mut driver, &["b"]);
    driver.wait(1);
    driver.ask(Command::Add {
        step: json!({"step_id": "g", "run": "true"}),
        place: holdpoint::run::Place::End,
        rewire: false,
    });
    let after_c = complete(&mut driver, &["c"]);
    go_back(&mut driver, after_a, "d");
    let sizes = PlanSizes::of(&driver.state);
    let at = |seq: u64| sizes.at(driver.state.checkpoints.iter().find(|mark| mark.seq == seq).expect("a checkpoint"));
    assert_eq!((at(after_a), at(after_b), at(after_c)), (6, 4, 5));
    assert_eq!(at(driver.state.checkpoints.last().expect("the restore's").seq), 6);
}

#[test]
fn a_fork_is_told_before_it_is_made_and_is_what_was_told() {
    let mut driver = run();
    let after_b = complete(&mut driver, &["a", "b"]);
    driver.wait(1);
    driver.fails("c");
    let then = driver.at(after_b);
    let told = fork_preview(&then, &driver.state);
    assert_eq!((told.done, told.steps), (2, 6));
    assert_eq!((told.to_run.join(" "), told.runs_again.join(" ")), ("c d e f".into(), "c".into()));
    assert_eq!(
        told.in_words(),
        [
            "would run again: c (what they did outside is not undone)",
            "begins idle, with 2 of 6 steps done",
            "still to run: d, e, f"
        ]
    );
    // At a place where it had failed, it waits to be retried there as well.
    let told = fork_preview(&driver.state, &driver.state);
    assert!(told.runs_again.is_empty() && !told.to_run.contains(&"c".to_owned()), "{told:?}");
    assert!(told.in_words().contains(&"waits for a person: c (failed)".to_owned()), "{:?}", told.in_words());
    let fork = Fork { reason: Some("try c elsewhere".into()), ..fork_at(&then, &driver.state) };
    let registration = Registration {
        run_id: uuid::Uuid::from_u128(8),
        plan: then.plan.clone(),
        options: then.options.as_ref().clone(),
        user: "bob".into(),
        fork: Some(Box::new(fork)),
        durations: None,
    };
    let first = holdpoint::run::register(registration, &driver.moment());
    let child = RunState::from_registration(&first[0]).expect("a registration");
    assert_eq!(child.counts().done(), told.done);
    assert_eq!(child.fork_reason.as_deref(), Some("try c elsewhere"));
}

#[test]
fn a_mark_of_an_older_version_is_read_and_one_of_today_says_how_it_ended() {
    use holdpoint::run::{CheckpointMark, Ending};
    let old: CheckpointMark = serde_json::from_str(r#"[16, 1773496800000000, 3, "step", 2]"#).unwrap();
    assert_eq!((old.seq, old.step, old.ending), (16, Some(2), None));
    for ending in [Ending::Completed, Ending::Failed, Ending::Skipped, Ending::Cancelled] {
        let mark = CheckpointMark { ending: Some(ending), ..old.clone() };
        let written = serde_json::to_string(&mark).unwrap();
        assert_eq!(serde_json::from_str::<CheckpointMark>(&written).unwrap(), mark, "{written}");
    }
    assert_eq!(serde_json::to_string(&old).unwrap(), r#"[16,1773496800000000,3,"step",2]"#);
}
