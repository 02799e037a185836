//! How much the engine costs above the floor: what a bare loop that does the same work takes on the same machine at the same time.
//!
//! Each pair runs floor and engine in turn, again and again; the ratio is taken pair by pair, so that a machine that is busy for a while does not
//! count for one side only. `cargo bench --bench floors` prints the table that the docs quote; an argument picks rows by name.

// Each benchmark uses its part.
#[allow(dead_code)]
mod common;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdpoint::engine::{self, EngineHandle};
use holdpoint::journal::disk::{Disk, RealDisk};
use holdpoint::plan::{AgentSpec, CommandLine, Plan};
use holdpoint::run::{self, Durability};

use tempfile::TempDir;

use common::{empty, engine_in, folder, load_average, median, picked, plan, registered, runtime};

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pairs of each row; the first one warms up and is not counted.
const PAIRS: usize = 11;

fn main() {
    println!("load average {}", load_average());
    println!("{:<44} {:>12} {:>12}   ratio: median (min to max)", "row", "floor", "holdpoint");
    if picked("durable-chain") {
        let steps = 200;
        row(
            "durable-chain: 200 × true",
            steps,
            |dir| spawn_and_sync(dir, steps),
            |dir| run_plan(dir, chain(steps), Durability::Full),
        );
    }
    if picked("relaxed-chain") {
        let steps = 500;
        row(
            "relaxed-chain: 500 × true beside make",
            steps,
            |dir| make_chain(dir, steps),
            |dir| headless(dir, &chain(steps)),
        );
    }
    if picked("durable-fan") {
        let steps = 400;
        row(
            "durable-fan: 400 × true, 4 at once",
            steps,
            |dir| in_workers(dir, steps),
            |dir| run_plan(dir, fan(steps), Durability::Full),
        );
    }
    if picked("relaxed-fan") {
        let steps = 1000;
        row(
            "relaxed-fan: 1,000 × true beside make -j4",
            steps,
            |dir| make(dir, &["-j4"], &fan_makefile(steps)),
            |dir| headless(dir, &fan(steps)),
        );
    }
    for runs in [100, 1000] {
        if picked(&format!("many-runs-{runs}")) {
            many_runs(runs);
        }
    }
    if picked("flat") {
        flat();
    }
}

/// One row: `PAIRS` pairs, in turn, each side in a fresh folder.
fn row(name: &str, steps: usize, mut floor: impl FnMut(&Path) -> Duration, mut ours: impl FnMut(&Path) -> Duration) {
    let mut pairs = Vec::new();
    // Removed at the end of the row: ext4 looks for a long time for the place of a new file where many were removed a moment ago.
    let mut folders = Vec::new();
    for pair in 0..PAIRS {
        let (a, b) = (folder(), folder());
        let measured = (floor(a.path()), ours(b.path()));
        folders.extend([a, b]);
        if pair > 0 {
            pairs.push(measured);
        }
    }
    report(name, steps, &pairs);
}

fn report(name: &str, steps: usize, pairs: &[(Duration, Duration)]) {
    let each = |time: &Duration| time.as_secs_f64() * 1e6 / steps as f64;
    let floor = median(pairs.iter().map(|(floor, _)| each(floor)).collect());
    let ours = median(pairs.iter().map(|(_, ours)| each(ours)).collect());
    let mut ratios: Vec<f64> = pairs.iter().map(|(floor, ours)| ours.as_secs_f64() / floor.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    println!("{name:<44} {floor:>9.0} µs {ours:>9.0} µs   {:.2} ({least:.2} to {most:.2})", median(ratios));
    // What a busy machine adds, it adds to each side by chance; the least of each is nearest to what the work takes.
    let fastest = |side: fn(&(Duration, Duration)) -> Duration| {
        pairs.iter().map(side).map(|time| each(&time)).fold(f64::MAX, f64::min)
    };
    let (floor, ours) = (fastest(|pair| pair.0), fastest(|pair| pair.1));
    println!("{:<44} {floor:>9.0} µs {ours:>9.0} µs   {:.2}", "  the fastest of each", ours / floor);
}

/// The floor of a durable chain: spawn `true`, wait for it, one append and one fdatasync, again and again.
fn spawn_and_sync(dir: &Path, steps: usize) -> Duration {
    let line = [b'x'; 480];
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("floor.log")).expect("the floor's file");
    let started = Instant::now();
    for _ in 0..steps {
        let status = Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("true runs").success());
        file.write_all(&line).and_then(|()| file.sync_data()).expect("the floor writes");
    }
    started.elapsed()
}

/// The floor of a durable fan: four workers, each with a file of its own, that do the same.
fn in_workers(dir: &Path, steps: usize) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let own = dir.join(worker.to_string());
            scope.spawn(move || {
                std::fs::create_dir(&own).expect("a folder");
                spawn_and_sync(&own, steps / 4)
            });
        }
    });
    started.elapsed()
}

fn make_chain(dir: &Path, steps: usize) -> Duration {
    make(dir, &[], &chain_makefile(steps))
}

fn chain_makefile(steps: usize) -> String {
    let mut text =
        format!(".PHONY: all {}\nall: t{}\n", (1..=steps).map(|n| format!("t{n} ")).collect::<String>(), steps);
    for n in 1..=steps {
        let before = if n > 1 { format!("t{}", n - 1) } else { String::new() };
        text.push_str(&format!("t{n}: {before}\n\t@true\n"));
    }
    text
}

fn fan_makefile(steps: usize) -> String {
    let names = (1..=steps).map(|n| format!(" t{n}")).collect::<String>();
    let rules = (1..=steps).map(|n| format!("t{n}:\n\t@true\n")).collect::<String>();
    format!(".PHONY: all{names}\nall:{names}\n{rules}")
}

fn make(dir: &Path, how: &[&str], makefile: &str) -> Duration {
    std::fs::write(dir.join("Makefile"), makefile).expect("the Makefile");
    let started = Instant::now();
    let status = Command::new("make").arg("-s").args(how).current_dir(dir).status();
    assert!(status.expect("make runs").success());
    started.elapsed()
}

fn headless(dir: &Path, plan: &Plan) -> Duration {
    let path = dir.join("plan.json");
    std::fs::write(&path, serde_json::to_vec(plan).expect("a plan is JSON")).expect("the plan");
    let started = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_holdpoint"))
        .args(["run", "--headless", "--durability", "relaxed"])
        .arg(&path)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("holdpoint runs").success());
    started.elapsed()
}

/// A chain of `true` in argv form.
fn chain(steps: usize) -> Plan {
    let agent = AgentSpec::Command {
        command: CommandLine::Argv(vec!["true".into()]),
        protocol: None,
        tty: false,
        env: Default::default(),
        working_dir: None,
    };
    plan("chain", steps, agent)
}

/// As many `true` in argv form, none of which waits for another, four at a time.
fn fan(steps: usize) -> Plan {
    let mut plan = chain(steps);
    plan.max_parallel = Some(4);
    for step in &mut plan.steps {
        Arc::make_mut(step).depends_on = Some(Vec::new());
    }
    plan
}

async fn started_to_end(handle: &EngineHandle, run_id: uuid::Uuid) {
    let mut subscription = handle.subscribe(run_id).await.expect("the run is open");
    handle.send(run_id, holdpoint::engine::request(run::Command::Start, "bench")).await.expect("the run starts");
    loop {
        let engine::Published::Batch(batch) = subscription.events.recv().await.expect("no batch is missed") else {
            panic!("the disk fails");
        };
        if batch.events.iter().any(|recorded| matches!(recorded.event, run::Event::RunCompleted)) {
            return;
        }
    }
}

fn run_plan(dir: &Path, plan: Plan, durability: Durability) -> Duration {
    let plan = Arc::new(plan);
    let runtime = runtime();
    let elapsed = runtime.block_on(async {
        let handle = engine_in(dir);
        let run_id = registered(&handle, &plan, durability).await;
        let started = Instant::now();
        started_to_end(&handle, run_id).await;
        let elapsed = started.elapsed();
        handle.shutdown().await;
        elapsed
    });
    drop(runtime);
    elapsed
}

/// `runs` runs of 20 empty steps at once, durable, beside a raw loop that writes the same bytes to as many files in as many rounds and syncs
/// them the same way: the journals, and the full checkpoint that each run leaves at its end.
fn many_runs(runs: usize) {
    let steps = 20;
    let plan = Arc::new(empty(steps));
    let mut pairs = Vec::new();
    let mut folders = Vec::new();
    for pair in 0..PAIRS.min(7) {
        let dir = folder();
        let runtime = runtime();
        let (ours, bytes) = runtime.block_on(async {
            let handle = engine_in(dir.path());
            let mut ids = Vec::new();
            let registering = (0..runs).map(|_| registered(&handle, &plan, Durability::Full));
            ids.extend(futures_util::future::join_all(registering).await);
            // The first full checkpoint file of each belongs to its registration.
            while !ids.iter().all(|id| has_full(&handle, *id)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let journal = dir.path().join(ids[0].to_string()).join("journal.jsonl");
            let before = std::fs::metadata(&journal).map(|found| found.len()).unwrap_or(0);
            let started = Instant::now();
            let runs = ids.iter().map(|id| {
                let (handle, id) = (handle.clone(), *id);
                tokio::spawn(async move { started_to_end(&handle, id).await })
            });
            futures_util::future::try_join_all(runs).await.expect("every run ends");
            // Until the full checkpoint files of their ends are written as well.
            handle.shutdown().await;
            let ours = started.elapsed();
            let after = std::fs::metadata(&journal).map(|found| found.len()).unwrap_or(0);
            let full = dir.path().join(ids[0].to_string());
            let full = std::fs::read_dir(full).expect("the run's folder").flatten();
            let full = full.filter(|entry| entry.file_name().to_string_lossy().starts_with("checkpoint-"));
            let full = full.filter_map(|entry| Some(entry.metadata().ok()?.len())).max().unwrap_or(0);
            (ours, (after - before, full as usize))
        });
        drop(runtime);
        let (bytes, full) = bytes;
        let (floor, beside) = raw_rounds(runs, steps + 1, bytes as usize / (steps + 1), full);
        // Removed at the end, as in every row.
        folders.extend([dir, beside]);
        if pair > 0 {
            pairs.push((floor, ours));
        }
    }
    report(&format!("many-runs-{runs}: {runs} runs × 20 empty steps"), runs * steps, &pairs);
    let shares: Vec<f64> = pairs.iter().map(|(floor, ours)| floor.as_secs_f64() / ours.as_secs_f64()).collect();
    let speed: Vec<f64> = pairs.iter().map(|(_, ours)| (runs * steps) as f64 / ours.as_secs_f64()).collect();
    println!("  {:.2} of the raw loop's speed, {:.0} durable steps a second", median(shares), median(speed));
}

fn has_full(handle: &EngineHandle, run_id: uuid::Uuid) -> bool {
    let store = handle.store();
    store.full_checkpoints(&store.dir(run_id)).is_ok_and(|found| !found.is_empty())
}

fn raw_rounds(files: usize, rounds: usize, bytes: usize, full: usize) -> (Duration, TempDir) {
    let dir = folder();
    let chunk = vec![b'x'; bytes];
    let mut open: Vec<File> = (0..files)
        .map(|n| {
            let folder = dir.path().join(n.to_string());
            std::fs::create_dir(&folder).expect("a folder");
            OpenOptions::new().create(true).append(true).open(folder.join("journal.jsonl")).expect("a file")
        })
        .collect();
    let file_system = RealDisk.file_system(dir.path()).expect("the file system");
    let started = Instant::now();
    for _ in 0..rounds {
        for file in &mut open {
            file.write_all(&chunk).expect("the raw loop writes");
        }
        // As the recorder syncs so many files: with one syncfs.
        file_system.sync().expect("the raw loop syncs");
    }
    let full = vec![b'x'; full];
    let beside = |n: usize| dir.path().join(n.to_string()).join("checkpoint.tmp");
    for n in 0..files {
        std::fs::write(beside(n), &full).expect("the raw loop writes");
    }
    file_system.sync().expect("the raw loop syncs");
    for n in 0..files {
        std::fs::rename(beside(n), beside(n).with_file_name("checkpoint-1.json")).expect("the raw loop renames");
    }
    file_system.sync().expect("the raw loop syncs");
    (started.elapsed(), dir)
}

/// 10,000 steps of zero duration: what a step costs at the end beside the beginning, and what stands on disk.
fn flat() {
    const STEPS: usize = 10_000;
    let dir = folder();
    let plan = Arc::new(empty(STEPS));
    let plan_bytes = serde_json::to_vec(&*plan).expect("a plan is JSON").len();
    let runtime = runtime();
    let times = runtime.block_on(async {
        let handle = engine_in(dir.path());
        let run_id = registered(&handle, &plan, Durability::Relaxed).await;
        let mut subscription = handle.subscribe(run_id).await.expect("the run is open");
        handle.send(run_id, holdpoint::engine::request(run::Command::Start, "bench")).await.expect("the run starts");
        let mut times = vec![Instant::now()];
        let mut done = 0;
        while done < STEPS {
            let batch = match subscription.events.recv().await {
                Ok(engine::Published::Batch(batch)) => batch,
                Ok(_) => panic!("the disk fails"),
                Err(_) => {
                    // Fell behind on a busy machine: from here on anew.
                    subscription = handle.subscribe(run_id).await.expect("the run is open");
                    done = subscription.state.step_index() as usize;
                    continue;
                }
            };
            done += batch.events.iter().filter(|one| matches!(one.event, run::Event::AttemptEnded { .. })).count();
            while times.len() <= done / 1000 {
                times.push(Instant::now());
            }
        }
        handle.shutdown().await;
        times
    });
    drop(runtime);
    let span = |n: usize| (times[n + 1] - times[n]).as_secs_f64() * 1e6 / 1000.0;
    let size = bytes_below(dir.path());
    println!(
        "flat: 10,000 steps: first thousand {:.1} µs a step, last {:.1} µs ({:.2}); on disk {:.0} bytes a step beyond twice the plan ({} KB)",
        span(0),
        span(9),
        span(9) / span(0),
        (size as f64 - 2.0 * plan_bytes as f64) / STEPS as f64,
        plan_bytes / 1024,
    );
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the folder is there").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
