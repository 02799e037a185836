//! What graphs of 100,000 steps cost: reading and checking them, taking a step's turn at the beginning and at the end of a run, and memory.
//!
//! Each shape is measured in a process of its own, and its memory in another, so that what one leaves behind is not counted for the next.
//! What one thread does alone is counted in the processor time it takes, as on a core that nobody else uses; the engine's parts in time that
//! passes.
//! `cargo bench --bench graphs` prints the tables that the docs quote; an argument picks shapes by name.

// Each benchmark uses its part.
#[allow(dead_code)]
mod common;

use std::collections::VecDeque;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use holdpoint::engine::{self, Published};
use holdpoint::plan::{self, Plan};
use holdpoint::run::{self, Durability, Event, Input, Moment, Outcome, Recorded, Registration, RunState, RunStatus};
use uuid::Uuid;

use common::{engine_in, folder, load_average, options, picked, registered, runtime};

const STEPS: usize = 100_000;
/// A part of a run, for comparing its end with its beginning.
const PART: usize = 10_000;
/// So many runs of the core are measured.
const CORE_RUNS: u32 = 16;
const SHAPES: [&str; 4] = ["chain", "fan", "layers", "random"];
/// Tells a process which shape it is to measure.
const ONE: &str = "GRAPHS_SHAPE";
/// And that it is to measure memory.
const MEMORY: &str = "GRAPHS_MEMORY";

fn main() {
    if let Ok(shape) = std::env::var(ONE) {
        return if std::env::var_os(MEMORY).is_some() { memory(&shape) } else { times(&shape) };
    }
    println!("load average {}", load_average());
    println!(
        "{STEPS} steps; aims: load and check < 1 s each, last part ≤ 1.2 of the first, memory ≤ 1024 bytes a step beyond the JSON"
    );
    let this = std::env::current_exe().expect("a program knows where it lies");
    for shape in SHAPES.into_iter().filter(|shape| picked(shape)) {
        for memory in [false, true] {
            let mut part = Command::new(&this);
            if memory {
                part.env(MEMORY, "1");
            }
            let status = part.env(ONE, shape).status().expect("the bench starts itself");
            assert!(status.success(), "{shape} was not measured");
        }
    }
}

fn times(shape: &str) {
    let text = text(shape);
    println!("{shape}: {} bytes of JSON a step", text.len() / STEPS);
    let (load, loaded) = fastest(|| plan::load(shape, &text));
    let (check, checked) = fastest(|| plan::check(shape, &text, false));
    assert!(checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    let plan = Arc::new(loaded.plan.expect("the plan is right"));
    let (open, core) = fastest(|| Core::registered(&plan));
    println!("  load {load:.2} s, check {check:.2} s; a new run's state {open:.2} s");
    drop((text, checked, core));
    flatness("core", &core_parts(&plan));
    flatness("engine, relaxed", &engine_parts(&plan));
    println!("  most memory of the whole process: {} MiB", memory_in("VmHWM:") / 1024 / 1024);
}

/// The plan and a run of it, as they are kept in memory, beyond the plan's own JSON.
fn memory(shape: &str) {
    let text = text(shape);
    let before = memory_in("VmRSS:");
    // Without the checks, which leave holes behind.
    let plan: Plan = serde_json::from_str(&text).expect("the plan is right");
    let mut core = Core::registered(&Arc::new(plan));
    let beyond = || (memory_in("VmRSS:") as f64 - before as f64 - text.len() as f64) / STEPS as f64;
    let at_start = beyond();
    core.run();
    println!("  memory beyond the JSON: {at_start:.0} bytes a step before the start, {:.0} at the end", beyond());
}

/// The shortest of some tries, in seconds, and what the last one gave.
fn fastest<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut shortest = f64::MAX;
    let mut tries = 0;
    loop {
        let started = processor_seconds();
        let result = work();
        shortest = shortest.min(processor_seconds() - started);
        tries += 1;
        if tries == 3 {
            return (shortest, result);
        }
    }
}

fn flatness(what: &str, parts: &[f64]) {
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let all: Vec<String> = parts.iter().map(|part| format!("{part:.2}")).collect();
    println!(
        "  {what}: {:.2} µs a step, last {PART} {:.2} of the first ({})",
        parts.iter().sum::<f64>() / parts.len() as f64,
        last / first,
        all.join(" ")
    );
}

/// The plan as text: agents that take no time, and the shape's dependencies.
fn text(shape: &str) -> String {
    let mut random = 0x9e37_79b9_u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let steps: Vec<String> = (0..STEPS)
        .map(|place| {
            let mut before: Vec<usize> = match shape {
                "chain" => place.checked_sub(1).into_iter().collect(),
                "fan" => (place > 0).then_some(0).into_iter().collect(),
                "layers" => {
                    let layer = place / 300 * 300;
                    let of = |n: usize| layer.checked_sub(300).map(|start| start + (place - layer + n) % 300);
                    [0, 7, 100].into_iter().filter_map(of).collect()
                }
                _ => (0..below(4).min(place)).map(|_| below(place)).collect(),
            };
            before.sort_unstable();
            before.dedup();
            let before: Vec<String> = before.into_iter().map(|place| format!("\"s{place:05}\"")).collect();
            format!(
                "{{\"step_id\": \"s{place:05}\", \"agent_type\": \"worker\", \"depends_on\": [{}]}}",
                before.join(", ")
            )
        })
        .collect();
    format!(
        "{{\"plan_id\": \"{shape}\", \"agents\": {{\"worker\": {{\"kind\": \"simulated\", \"duration_seconds\": 0}}}}, \"steps\": [\n{}\n]}}\n",
        steps.join(",\n")
    )
}

/// A run without disk and engine: `decide` and `apply` alone.
struct Core {
    state: RunState,
    moment: Moment,
}

impl Core {
    fn registered(plan: &Arc<Plan>) -> Self {
        let moment = Moment { now: chrono::Utc::now(), entropy: 0 };
        let registration = Registration {
            run_id: Uuid::nil(),
            plan: Arc::clone(plan),
            options: options(Durability::Relaxed),
            user: "bench".into(),
            fork: None,
            durations: None,
        };
        let first = run::register(registration, &moment);
        let state = RunState::from_registration(&first[0]).expect("a run begins with its registration");
        Self { state, moment }
    }

    fn advance(&mut self, input: &Input, live: &mut VecDeque<(String, u32)>) {
        let batch: Vec<Arc<Recorded>> = run::advance(&mut self.state, input, &self.moment).expect("nothing is refused");
        for recorded in batch {
            if let Event::AttemptStarted { step, attempt, .. } = &recorded.event {
                live.push_back((step.clone(), *attempt));
            }
        }
    }

    /// To the end; the microseconds a step took, part by part.
    fn run(&mut self) -> Vec<f64> {
        let mut live = VecDeque::new();
        self.advance(&Input::Request(engine::request(run::Command::Start, "bench")), &mut live);
        let mut parts = Vec::new();
        let mut started = processor_seconds();
        let mut done = 0;
        while let Some((step, attempt)) = live.pop_front() {
            let outcome = Arc::new(Outcome::succeeded());
            self.advance(&Input::AttemptEnded { step, attempt, outcome }, &mut live);
            done += 1;
            if done % PART == 0 {
                let now = processor_seconds();
                parts.push((now - started) * 1e6 / PART as f64);
                started = now;
            }
        }
        assert_eq!(self.state.status, RunStatus::Completed);
        parts
    }
}

/// What a step took, part by part: the mean of so many runs that the 4 ms in which the system counts a thread's time no longer matter.
fn core_parts(plan: &Arc<Plan>) -> Vec<f64> {
    let mut parts = vec![0.0; STEPS / PART];
    // Kept, so that none of them finds memory that another one has left to it in some order.
    let mut cores = Vec::new();
    for _ in 0..CORE_RUNS {
        let mut core = Core::registered(plan);
        for (sum, part) in parts.iter_mut().zip(core.run()) {
            *sum += part / f64::from(CORE_RUNS);
        }
        cores.push(core);
    }
    parts
}

/// The same through the engine, with a journal that is written and not waited for.
fn engine_parts(plan: &Arc<Plan>) -> Vec<f64> {
    let dir = folder();
    runtime().block_on(async {
        let handle = engine_in(dir.path());
        let run_id = registered(&handle, plan, Durability::Relaxed).await;
        let mut subscription = handle.subscribe(run_id).await.expect("the run is open");
        handle.send(run_id, engine::request(run::Command::Start, "bench")).await.expect("the run starts");
        let mut times = vec![Instant::now()];
        let mut done = 0;
        while done < STEPS {
            match subscription.events.recv().await {
                Ok(Published::Batch(batch)) => {
                    done += batch.events.iter().filter(|one| matches!(one.event, Event::AttemptEnded { .. })).count();
                }
                Ok(_) => panic!("the disk fails"),
                Err(_) => {
                    // Fell behind on a busy machine: from here on anew.
                    subscription = handle.subscribe(run_id).await.expect("the run is open");
                    done = subscription.state.step_index() as usize;
                }
            }
            while times.len() <= done / PART {
                times.push(Instant::now());
            }
        }
        handle.shutdown().await;
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e6 / PART as f64).collect()
    })
}

/// How long this thread has been on a processor.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the system says how long a thread ran");
    let nanos: u64 = stat.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    nanos as f64 / 1e9
}

/// A figure of this process's memory, in bytes.
fn memory_in(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
