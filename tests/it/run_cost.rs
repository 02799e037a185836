//! What a step costs does not grow with the plan: held by counting; the time is printed for whoever wants to look.

use std::time::{Duration, Instant};

use holdpoint::plan::{FailurePolicy, Step};
use holdpoint::run::{Attempt, Outcome, StepState};
use serde_json::{Value, json};

use crate::run_support::*;

/// Runs a plan of one step after the other to its end: for each thousand, the events, their bytes in a journal and the time.
fn by_thousands(count: usize) -> Vec<(usize, usize, Duration)> {
    let steps: Vec<Value> = (0..count).map(|place| json!(format!("s{place:06}"))).collect();
    let mut driver = Driver::new(plan(Value::Array(steps)), options(FailurePolicy::Pause, 4));
    driver.ask(holdpoint::run::Command::Start);
    let mut thousands = Vec::new();
    for thousand in 0..count / 1000 {
        let ids: Vec<String> = (0..1000).map(|place| format!("s{:06}", thousand * 1000 + place)).collect();
        let before = driver.journal.len();
        let start = Instant::now();
        for id in &ids {
            driver.ends(id, Outcome::succeeded());
        }
        let time = start.elapsed();
        let new = &driver.journal[before..];
        let bytes = new.iter().map(|one| serde_json::to_vec(&one.event).expect("an event").len()).sum();
        thousands.push((new.len(), bytes, time));
    }
    assert_eq!(driver.run(), "completed");
    assert_eq!(driver.state.checkpoints.len(), count + 2, "one at the start, one a step, one at the end");
    thousands
}

/// `cargo test --release run_cost -- --nocapture` with `HOLDPOINT_COST_STEPS=100000` prints what it costs.
#[test]
fn the_last_thousand_steps_cost_what_the_first_did() {
    let count = std::env::var("HOLDPOINT_COST_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    let thousands = by_thousands(count);
    let (first, middle, last) = (thousands[0], thousands[thousands.len() / 2], thousands[thousands.len() - 1]);
    println!("{count} steps; first thousand {:?}, last thousand {:?}", first.2, last.2);
    // The last one starts no further step.
    assert_eq!((first.0, last.0), (2000, 2000));
    assert_eq!(first.0, middle.0);
    assert_eq!(first.1, middle.1, "as many bytes");
}

/// A wide stage after a wide stage: letting the next one go costs its steps, not their product, and nothing happens before.
#[test]
fn a_wide_stage_after_a_wide_stage_costs_its_steps() {
    const WIDE: usize = 1000;
    let stage =
        |name: &'static str| (0..WIDE).map(move |n| json!({"step_id": format!("{name}{n}"), "parallel_group": name}));
    let steps: Vec<Value> = stage("a").chain(stage("b")).collect();
    let mut driver = Driver::new(plan(Value::Array(steps)), options(FailurePolicy::Pause, 4096));
    driver.ask(holdpoint::run::Command::Start);
    let order = driver.state.order();
    let edges: usize = (0..order.node_count()).map(|node| order.successors(node).count()).sum();
    assert_eq!(edges, 2 * WIDE);
    for n in 0..WIDE - 1 {
        let batch = driver.ends(&format!("a{n}"), Outcome::succeeded());
        assert_eq!(batch.len(), 1, "one step ended and nothing follows");
    }
    let batch = driver.ends(&format!("a{}", WIDE - 1), Outcome::succeeded());
    assert_eq!(batch.len(), 1 + WIDE, "the next stage starts at once");
}

/// Ten thousand instances come once; then each costs what any step does.
#[test]
fn the_last_thousand_instances_cost_what_the_first_did() {
    let steps = json!([{"step_id": "t", "foreach": "range(10000) | list"}, "z"]);
    let mut driver = Driver::new(plan(steps), options(FailurePolicy::Pause, 4));
    let start = Instant::now();
    driver.ask(holdpoint::run::Command::Start);
    println!("10,000 instances came in {:?}", start.elapsed());
    let mut thousands = Vec::new();
    for thousand in 0..10 {
        let before = driver.journal.len();
        let start = Instant::now();
        for index in thousand * 1000..(thousand + 1) * 1000 {
            driver.ends(&format!("t.{index}"), Outcome::succeeded());
        }
        println!("thousand {thousand}: {:?}", start.elapsed());
        thousands.push(driver.journal.len() - before);
    }
    assert!(thousands[..9].iter().all(|events| *events == 2000), "one ends, one starts: {thousands:?}");
    assert_eq!(driver.words().matches("completed").count(), 10_001);
    driver.succeeds("z");
    assert_eq!(driver.run(), "completed");
}

/// Plans have a hundred thousand steps: what one takes is measured in `benches/graphs.rs`, and most of it is this.
#[test]
fn a_step_and_what_is_known_of_it_take_little_room() {
    assert!(size_of::<Step>() <= 240, "{}", size_of::<Step>());
    assert!(size_of::<StepState>() <= 136, "{}", size_of::<StepState>());
    assert!(size_of::<Attempt>() <= 80, "{}", size_of::<Attempt>());
}
