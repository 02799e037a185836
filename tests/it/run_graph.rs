//! Which of the ready steps starts: priorities, the longest chain of work, pools, the limit of the run.

use std::sync::Arc;

use holdpoint::plan::{FailurePolicy, Plan};
use holdpoint::run::{Command, Outcome, StepStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::run_support::*;

fn with_pools(steps: Value, pools: Value) -> Arc<Plan> {
    let mut whole = serde_json::to_value(&*plan(steps)).unwrap();
    whole["pools"] = pools;
    Arc::new(serde_json::from_value(whole).unwrap())
}

fn live(driver: &Driver) -> Vec<&str> {
    driver.state.live().map(|position| driver.state.plan.steps[position].step_id.as_str()).collect()
}

#[test]
fn the_longest_chain_starts_first_and_a_priority_goes_before_it() {
    let after = |id: &str, before: &str| json!({"step_id": id, "depends_on": [before]});
    let steps = |priority: i32| json!([{"step_id": "short"}, {"step_id": "urgent", "priority": priority}, {"step_id": "long"}, after("l2", "long"), after("l3", "l2"), {"step_id": "middle"}, after("m2", "middle")]);
    let order = |priority| {
        let mut driver = Driver::new(plan(steps(priority)), options(FailurePolicy::Pause, 1));
        driver.ask(Command::Start);
        let mut started = Vec::new();
        while let Some(step) = live(&driver).first().map(|id| (*id).to_owned()) {
            driver.succeeds(&step);
            started.push(step);
        }
        assert_eq!(driver.run(), "completed");
        started.join(" ")
    };
    assert!(order(0).starts_with("long "), "{}", order(0));
    assert!(order(0).find("middle") < order(0).find("short"), "{}", order(0));
    assert!(order(1).starts_with("urgent long "), "{}", order(1));
}

#[test]
fn a_pool_is_never_exceeded_and_holds_up_nobody_else() {
    let in_pool = |id: &str, pool: &str| json!({"step_id": id, "pool": pool, "parallel_group": "g"});
    let steps = json!([
        in_pool("d1", "db"), in_pool("d2", "db"), in_pool("d3", "db"),
        {"step_id": "free", "parallel_group": "g"}, in_pool("n1", "net"), in_pool("n2", "net"), in_pool("n3", "net"),
    ]);
    let mut driver = Driver::new(with_pools(steps, json!({"db": 1, "net": 2})), options(FailurePolicy::Pause, 16));
    driver.ask(Command::Start);
    assert_eq!(live(&driver), ["d1", "free", "n1", "n2"]);
    let position = driver.state.position("d2").unwrap();
    assert_eq!(driver.state.full_pool(position), Some(("db", 1)));
    driver.succeeds("d1");
    driver.succeeds("n2");
    assert_eq!(live(&driver), ["d2", "free", "n1", "n3"]);
    // A step that is being stopped still has its place.
    driver.ask(retry("d2"));
    assert_eq!(driver.status("d3"), StepStatus::Pending);
    driver.ends("d2", Outcome::stopped());
    assert_eq!(live(&driver).iter().filter(|id| id.starts_with('d')).count(), 1);
}

#[test]
fn a_back_off_that_is_over_waits_for_its_pool_without_waking_anybody() {
    let retried = |id: &str| json!({"step_id": id, "pool": "db", "parallel_group": "g", "max_retries": 3});
    let steps = json!([retried("a"), retried("b")]);
    let mut driver = Driver::new(with_pools(steps, json!({"db": 1})), options(FailurePolicy::Pause, 16));
    driver.ask(Command::Start);
    driver.fails("a");
    assert_eq!(driver.words(), "waiting running");
    driver.wait(60);
    assert_eq!(driver.words(), "waiting running", "the pool is full");
    assert_eq!(driver.state.wake_at(), None, "nothing can start before b has ended");
    driver.succeeds("b");
    assert_eq!(driver.words(), "running completed");
}

#[test]
fn a_step_moved_to_another_pool_counts_there() {
    let steps = json!([{"step_id": "a", "pool": "x", "parallel_group": "g"}, {"step_id": "b", "pool": "x", "parallel_group": "g"}]);
    let mut driver = Driver::new(with_pools(steps, json!({"x": 1, "y": 1})), options(FailurePolicy::Pause, 16));
    driver.ask(Command::Start);
    assert_eq!(driver.words(), "running pending");
    driver.ask(Command::Modify { step: "b".into(), patch: json!({"pool": "y"}) });
    assert_eq!(driver.words(), "running running");
}

/// The time in which a run is paused does not count, its attempts are stopped, and it fails. Who opens it again gives it its time again.
#[test]
fn the_time_limit_of_the_whole_run() {
    let mut whole = serde_json::to_value(&*plan(json!(["a", "b"]))).unwrap();
    whole["max_execution_time_seconds"] = 100.into();
    let limited: Arc<Plan> = Arc::new(serde_json::from_value(whole).unwrap());
    let mut driver = Driver::new(limited, options(FailurePolicy::Pause, 16));
    driver.ask(Command::Start);
    driver.wait(60);
    driver.ask(Command::Pause);
    driver.wait(1000);
    driver.ask(Command::Resume);
    assert_eq!(driver.state.wake_at(), Some(driver.now + chrono::TimeDelta::seconds(40)));
    driver.wait(39);
    assert_eq!(driver.words(), "running pending");
    driver.crash(0, true);
    driver.ask(retry("a"));
    driver.ask(Command::Resume);
    // When the engine died is not known: what has passed since the last event does not count.
    driver.wait(39);
    assert_eq!(driver.words(), "running pending");
    driver.wait(1);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "stopping pending"));
    driver.ends("a", Outcome::stopped());
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("failed", "cancelled pending"));
    assert_eq!(driver.state.error.as_deref(), Some("the time limit of the whole run (100 s) is over"));
    driver.ask(retry("a"));
    driver.ask(Command::Resume);
    driver.wait(50);
    driver.succeeds("a");
    driver.succeeds("b");
    assert_eq!(driver.run(), "completed");
}

proptest! {
    /// On any graph, whatever ends in whatever order: nothing starts before what it depends on, no limit is ever exceeded, and the run ends.
    #[test]
    fn on_any_graph_order_and_limits_hold_and_the_run_ends(
        edges in prop::collection::vec((0usize..20, 0usize..20), 0..60),
        pools in prop::collection::vec(0usize..4, 20),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 20),
        limit in 1u32..6,
    ) {
        let steps: Vec<Value> = (0..20).map(|n| {
            let before: Vec<String> = edges.iter().filter(|(from, to)| *to == n && from < to).map(|(from, _)| format!("s{from}")).collect();
            let mut step = json!({"step_id": format!("s{n}"), "depends_on": before, "priority": n as i32 % 3});
            if pools[n] < 2 {
                step["pool"] = format!("p{}", pools[n]).into();
            }
            step
        }).collect();
        let limits = [1usize, 2];
        let mut driver = Driver::new(with_pools(json!(steps), json!({"p0": limits[0], "p1": limits[1]})), options(FailurePolicy::Pause, limit));
        driver.ask(Command::Start);
        for pick in picks {
            let running: Vec<String> = live(&driver).into_iter().map(str::to_owned).collect();
            prop_assert!(running.len() <= limit as usize);
            for (pool, most) in limits.iter().enumerate() {
                let in_pool = running.iter().filter(|id| pools[id[1..].parse::<usize>().unwrap()] == pool).count();
                prop_assert!(in_pool <= *most, "{running:?}");
            }
            prop_assert!(!running.is_empty(), "nothing runs and the run has not ended: {}", driver.words());
            for id in &running {
                let to: usize = id[1..].parse().unwrap();
                for (from, _) in edges.iter().filter(|(from, end)| *end == to && from < end) {
                    prop_assert_eq!(driver.status(&format!("s{from}")), StepStatus::Completed);
                }
            }
            driver.succeeds(&running[pick.index(running.len())]);
        }
        prop_assert_eq!(driver.run(), "completed");
    }
}
