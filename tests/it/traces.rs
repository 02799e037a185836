//! Real workflow graphs with measured durations, 16 side by side: how near a run comes to the shortest time there could be.
//!
//! The core runs them with a clock of its own, so every end is exact, and nothing here depends on how fast the machine is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use holdpoint::plan::FailurePolicy;
use holdpoint::run::{Command, Durations, Event, Outcome, Past, Recorded, RunState};
use serde_json::{Value, json};

use crate::run_support::{Driver, options, plan};

const WORKERS: usize = 16;
/// How much longer than the bound a run may take.
const SLACK: f64 = 1.05;

/// What is known beforehand of how long the steps take.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ground {
    Nothing,
    /// The plan's author says as `priority` how much work follows each step, as one who knows the durations can.
    Priorities,
    /// What a first run has told.
    EarlierRun,
}

/// One task a place: how long it took, in milliseconds, and which come before it.
struct Trace {
    millis: Vec<u64>,
    parents: Vec<Vec<usize>>,
}

impl Trace {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/traces/{name}.json"));
        let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let tasks: Vec<(u64, Vec<usize>)> = serde_json::from_value(whole["tasks"].clone()).unwrap();
        let (millis, parents) = tasks.into_iter().unzip();
        Self { millis, parents }
    }

    fn len(&self) -> usize {
        self.millis.len()
    }

    /// Places so that each comes after its parents.
    fn sorted(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        let mut placed = vec![false; self.len()];
        while order.len() < self.len() {
            let before = order.len();
            for task in 0..self.len() {
                if !placed[task] && self.parents[task].iter().all(|parent| placed[*parent]) {
                    placed[task] = true;
                    order.push(task);
                }
            }
            assert!(order.len() > before, "the trace has a circle");
        }
        order
    }

    /// Of each task: the longest chain of work before it, and the longest after it.
    fn before_and_after(&self) -> (Vec<u64>, Vec<u64>) {
        let (mut before, mut after) = (vec![0; self.len()], vec![0; self.len()]);
        let order = self.sorted();
        for &task in &order {
            let ends = self.parents[task].iter().map(|parent| before[*parent] + self.millis[*parent]);
            before[task] = ends.max().unwrap_or(0);
        }
        for &task in order.iter().rev() {
            for &parent in &self.parents[task] {
                after[parent] = after[parent].max(after[task] + self.millis[task]);
            }
        }
        (before, after)
    }

    /// The longer of the critical path and the work shared out evenly: no run is shorter, but some graphs let none come near it.
    fn plain_bound(&self) -> f64 {
        let (before, after) = self.before_and_after();
        let path = (0..self.len()).map(|task| before[task] + self.millis[task] + after[task]).max().unwrap_or(0);
        (path as f64).max(self.millis.iter().sum::<u64>() as f64 / WORKERS as f64)
    }

    /// A bound that sees narrow places as well: what can only begin after `a` and leaves at least `b` behind it takes its work shared out evenly
    /// between those two, and, where there are more tasks than workers, two of the longest after each other (three of the next, and so on).
    fn closer_bound(&self) -> f64 {
        let (before, after) = self.before_and_after();
        let steps = |times: &[u64]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times.dedup();
            // Any pair gives a bound; so many are enough to find a good one.
            let every = times.len().div_ceil(60);
            times.into_iter().step_by(every).collect::<Vec<_>>()
        };
        let mut bound = self.plain_bound();
        for a in steps(&before) {
            for b in steps(&after) {
                let between = (0..self.len()).filter(|task| before[*task] >= a && after[*task] >= b);
                let mut millis: Vec<u64> = between.map(|task| self.millis[task]).collect();
                if millis.is_empty() {
                    continue;
                }
                millis.sort_unstable_by_key(|millis| Reverse(*millis));
                let ends = (a + b) as f64;
                bound = bound.max(ends + millis.iter().sum::<u64>() as f64 / WORKERS as f64);
                for rounds in 1..=3 {
                    if millis.len() > rounds * WORKERS {
                        let shortest = (0..=rounds).map(|back| millis[rounds * WORKERS - back]).sum::<u64>();
                        bound = bound.max(ends + shortest as f64);
                    }
                }
            }
        }
        bound.max(self.bound_with_idle_ends())
    }

    /// The work shared out, and what workers cannot do of it while there is not enough to do: whatever is tried, in the first `a` no more is done than
    /// when every task begins as soon as those before it could have ended, and in the last `b` no more than the same from behind.
    fn bound_with_idle_ends(&self) -> f64 {
        let (before, after) = self.before_and_after();
        // No run is shorter than the plain bound, so its first and its last half have no moment in common.
        let half = (self.plain_bound() / 2.0) as u64;
        let shared = self.millis.iter().sum::<u64>() as f64 / WORKERS as f64;
        shared + self.idle_within(&before, half) + self.idle_within(&after, half)
    }

    /// How much of the time at one end, up to `most`, the workers stand idle at least, all taken together, when a task is that far from it.
    fn idle_within(&self, distances: &[u64], most: u64) -> f64 {
        let spans = distances.iter().zip(&self.millis);
        let mut changes: Vec<(u64, i64)> = spans.flat_map(|(from, millis)| [(*from, 1), (from + millis, -1)]).collect();
        changes.sort_unstable();
        let (mut idle, mut work, mut at, mut side_by_side) = (0f64, 0u64, 0u64, 0i64);
        for (time, change) in changes {
            let time = time.min(most);
            work += side_by_side as u64 * (time - at);
            at = time;
            idle = idle.max(at as f64 - work as f64 / WORKERS as f64);
            side_by_side += change;
        }
        idle
    }

    /// Runs it to its end and says how long that took, in milliseconds.
    fn run(&self, ground: Ground) -> f64 {
        self.through(ground).0
    }

    fn through(&self, ground: Ground) -> (f64, RunState) {
        let (_, after) = self.before_and_after();
        let steps = (0..self.len()).map(|task| {
            let before: Vec<String> = self.parents[task].iter().map(|parent| id(*parent)).collect();
            let priority = if ground == Ground::Priorities { self.millis[task] + after[task] } else { 0 };
            json!({"step_id": id(task), "depends_on": before, "priority": priority})
        });
        let plan = plan(Value::Array(steps.collect()));
        let durations = (ground == Ground::EarlierRun).then(|| {
            let mut past = Past::default();
            assert!(past.add(&self.through(Ground::Nothing).1));
            Durations::of(&plan, &past).unwrap()
        });
        let mut driver = Driver::knowing(plan, options(FailurePolicy::Fail, WORKERS as u32), durations);
        let start = driver.now;
        let mut running = BinaryHeap::new();
        let begin = |driver: &Driver, batch: Vec<Arc<Recorded>>, running: &mut BinaryHeap<_>| {
            for recorded in batch {
                if let Event::AttemptStarted { step, .. } = &recorded.event {
                    let task: usize = step[1..].parse().unwrap();
                    running.push(Reverse((driver.now + TimeDelta::milliseconds(self.millis[task] as i64), task)));
                }
            }
            assert!(running.len() <= WORKERS);
        };
        let batch = driver.ask(Command::Start);
        begin(&driver, batch, &mut running);
        while let Some(Reverse((end, task))) = running.pop() {
            driver.now = end;
            let batch = driver.ends(&id(task), Outcome::succeeded());
            begin(&driver, batch, &mut running);
        }
        assert_eq!(driver.run(), "completed");
        ((driver.now - start).num_milliseconds() as f64, driver.state)
    }
}

fn id(task: usize) -> String {
    format!("t{task}")
}

/// Graphs on which the longest chain of steps alone comes as near as it has to.
#[test]
fn real_workflows_end_near_the_longer_of_critical_path_and_work_shared_out() {
    for name in [
        "1000genome-chameleon-10ch-250k-001",
        "atacseq-dirt02-001",
        "blast-chameleon-medium-001",
        "chipseq-dirt02-001",
        "montage-chameleon-dss-10d-001",
    ] {
        let trace = Trace::read(name);
        let ratio = trace.run(Ground::Nothing) / trace.plain_bound();
        println!("{name}: {} tasks, {ratio:.3}", trace.len());
        assert!((1.0..=SLACK).contains(&ratio), "{name}: {ratio:.3} times the bound");
    }
}

/// Where durations differ by orders of magnitude, the number of steps in a chain says little of its length. A second run knows them from the
/// first; whoever knows them before that says so with priorities.
#[test]
fn a_second_run_comes_near_the_bound_where_counting_steps_does_not() {
    for name in ["cycles-chameleon-2l-2c-9p-001", "seismology-chameleon-200p-001"] {
        let trace = Trace::read(name);
        let ratio = |ground| trace.run(ground) / trace.plain_bound();
        let [first, told, second] = [Ground::Nothing, Ground::Priorities, Ground::EarlierRun].map(ratio);
        println!("{name}: {} tasks, {first:.3}, then {second:.3}; with priorities {told:.3}", trace.len());
        assert!(first > SLACK, "{name}: {first:.3} times the bound, and nothing needs to be known");
        assert!((1.0..=SLACK).contains(&told), "{name}: {told:.3} times the bound");
        assert!((1.0..=SLACK).contains(&second), "{name}: {second:.3} times the bound");
    }
}

/// Narrow places (a few long tasks between two wide stages), or ends at which there is little to do, keep every schedule away from the plain bound;
/// these come near the closer one.
#[test]
fn where_no_schedule_can_reach_the_plain_bound_a_run_comes_near_a_closer_one() {
    for (name, ground) in [
        ("bwa-chameleon-small-001", Ground::Nothing),
        ("montage-chameleon-2mass-015d-001", Ground::Nothing),
        ("soykb-chameleon-10fastq-10ch-001", Ground::Nothing),
        ("bwa-chameleon-small-001", Ground::EarlierRun),
        ("epigenomics-chameleon-ilmn-1seq-50k-001", Ground::EarlierRun),
    ] {
        let trace = Trace::read(name);
        let (plain, closer) = (trace.plain_bound(), trace.closer_bound());
        let end = trace.run(ground);
        println!(
            "{name}: {} tasks, closer bound {:.3} times the plain one, {:.3} times it",
            trace.len(),
            closer / plain,
            end / closer
        );
        assert!(closer > plain * SLACK, "{name}: only {:.3}", closer / plain);
        assert!((1.0..=SLACK).contains(&(end / closer)), "{name}: {:.3} times the closer bound", end / closer);
    }
}
