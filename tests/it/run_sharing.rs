//! Copies of a run's state: values like any other, though they share what neither has changed.

use std::sync::Arc;

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{Command, Input, Outcome, RunState};
use serde_json::json;

use crate::run_rules::same;
use crate::run_support::{Driver, hold, options, plan, reloaded, retry, retry_downstream, skip};

/// More than the few that a list of steps keeps without a tree.
const STEPS: usize = 5_000;

/// Chains of steps side by side, and instances of a step at the end.
fn large() -> Driver {
    let steps: Vec<_> = (0..STEPS)
        .map(|place| {
            let before: Vec<String> = place.checked_sub(16).map(|before| format!("s{before}")).into_iter().collect();
            json!({"step_id": format!("s{place}"), "depends_on": before, "on_failure": "continue"})
        })
        .chain([json!({"step_id": "each", "foreach": (0..300).collect::<Vec<_>>(), "depends_on": []})])
        .collect();
    let mut driver = Driver::new(plan(steps.into()), options(FailurePolicy::Continue, 40));
    driver.ask(Command::Start);
    driver
}

/// How many steps have a state of their own in each of two copies.
fn apart(one: &RunState, other: &RunState) -> usize {
    let shared = |place: &usize| match (one.steps.shared(*place), other.steps.shared(*place)) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    one.steps.len().max(other.steps.len()) - (0..one.steps.len()).filter(shared).count()
}

#[test]
fn a_copy_of_a_large_run_stays_what_it_was_while_the_run_goes_on() {
    let mut driver = large();
    let mut random = 0x9e37_79b9_u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let mut kept = Vec::new();
    for round in 0..600 {
        if round % 60 == 0 {
            let written = reloaded(&driver.state);
            kept.push((driver.state.clone(), written));
        }
        let live: Vec<usize> = driver.state.live().collect();
        let any = format!("s{}", below(STEPS));
        // What does not fit is refused, which is no trouble here.
        let _ = match below(12) {
            0 => driver.try_as("ann", skip(&any)),
            1 => driver.try_as("ann", retry(&any)),
            2 if round % 5 == 0 => driver.try_as("ann", retry_downstream(&format!("s{}", below(64)))),
            3 => driver.try_as("ann", hold(&any)),
            4 if round % 20 == 0 => driver.try_as("ann", Command::Remove { step: any }),
            5 => driver.try_as("ann", Command::SetParallel { value: 20 + below(40) as u32 }),
            6 => driver.feed(&Input::Wake),
            _ => {
                let place = live[below(live.len())];
                let step = driver.state.plan.steps[place].step_id.clone();
                let outcome = if below(5) == 0 { Outcome::failed("broken") } else { Outcome::succeeded() };
                Ok(driver.ends(&step, outcome))
            }
        };
    }
    let (done, version) = (driver.state.counts().done(), driver.state.plan_version);
    assert!(done > 200 && version > 1, "too little has happened: {done} steps done, version {version} of the plan");
    for (copy, then) in &kept {
        same(copy, then, "a copy has changed with the state that it was made of");
    }
    same(&driver.state, &reloaded(&driver.state), "loaded from a file it is another one");
}

#[test]
fn copies_share_all_steps_but_those_that_one_of_them_has_changed() {
    let mut driver = large();
    let before = driver.state.clone();
    assert_eq!(apart(&before, &driver.state), 0);
    driver.succeeds("s3");
    // That one, and the one whose turn has come.
    assert!((1..=2).contains(&apart(&before, &driver.state)), "{}", apart(&before, &driver.state));
    let untouched = driver.state.steps.shared(STEPS - 1).expect("it is there");
    let same = (0..driver.state.steps.len())
        .filter(|place| driver.state.steps.shared(*place).is_some_and(|state| Arc::ptr_eq(state, untouched)));
    assert!(same.count() > STEPS - 100, "a step that nothing has happened to has a state of its own");
    let loaded = reloaded(&driver.state);
    let untouched = loaded.steps.shared(STEPS - 1).expect("it is there");
    assert!(Arc::ptr_eq(untouched, loaded.steps.shared(STEPS - 2).expect("it is there")), "loaded, it has one");
}
