//! What a command costs beside its limit: from received to durably acknowledged, above what one fsync takes at that moment.
//!
//! Before every command a line of the same kind is appended to a file beside the runs and fsynced: that is the fsync which is taken off.
//! `cargo bench --bench limits` prints the tables that the docs quote; an argument picks tables by name.

// Each benchmark uses its part.
#[allow(dead_code)]
mod common;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use holdpoint::engine::{EngineHandle, Published};
use holdpoint::journal::disk::RealDisk;
use holdpoint::journal::{Committer, Entry, Group, RecorderConfig, Store};
use holdpoint::plan::Plan;
use holdpoint::run::{
    Command, Durability, Event, Input, Moment, Outcome, Place, Registration, RunState, RunStatus, StepStatus, advance,
    register,
};
use serde_json::json;
use uuid::Uuid;

use common::{
    empty, engine_in, folder, id, load_average, median, options, picked, plan, registered, runtime, simulated,
};

/// How often each command is measured.
const TIMES: usize = 20;
/// Steps of the long plan.
const STEPS: usize = 10_000;

fn main() {
    println!("load average {}", load_average());
    if picked("interventions") {
        interventions(1_000, false);
        interventions(9_000, false);
        interventions(9_000, true);
    }
    if picked("restore") {
        restores(1_000);
        restores(STEPS);
    }
    if picked("commands") {
        commands(1_000);
        commands(STEPS);
    }
    if picked("full-checkpoint") {
        full_checkpoint(1_000);
        full_checkpoint(STEPS);
    }
}

/// Times of one kind, in milliseconds.
#[derive(Default)]
struct Times {
    all: Vec<f64>,
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.all.push(time.as_secs_f64() * 1e3);
    }

    fn summary(&self) -> String {
        let worst = self.all.iter().copied().fold(0.0, f64::max);
        format!("{:>8.2} ms (worst {worst:.2})", median(self.all.clone()))
    }
}

/// A file beside the runs: what an append with its fsync costs now.
struct Probe {
    file: File,
    times: Times,
}

impl Probe {
    fn in_folder(dir: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("probe")).expect("a file");
        Self { file, times: Times::default() }
    }

    fn measure(&mut self) -> Duration {
        let started = Instant::now();
        self.file.write_all(&[b'x'; 512]).and_then(|()| self.file.sync_data()).expect("the probe writes");
        let time = started.elapsed();
        self.times.add(time);
        time
    }

    /// How long a command took until it was acknowledged, above the fsync measured just before it.
    async fn above(&mut self, handle: &EngineHandle, run_id: Uuid, command: Command) -> Duration {
        let fsync = self.measure();
        let request = holdpoint::engine::request(command, "bench");
        let started = Instant::now();
        handle.send(run_id, request).await.expect("the command is accepted");
        started.elapsed().saturating_sub(fsync)
    }
}

fn row(limit: &str, name: &str, times: &Times) {
    println!("  {name:<44} {}   limit {limit}", times.summary());
}

/// A list whose first steps take no time and whose others take for ever.
fn half_done(steps: usize, done: usize) -> Arc<Plan> {
    let mut plan = plan("steer", steps, simulated(0.0));
    for step in &mut plan.steps[done..] {
        Arc::make_mut(step).parameters.insert("duration_seconds".into(), json!(3600));
    }
    Arc::new(plan)
}

async fn until(handle: &EngineHandle, run_id: Uuid, wanted: impl Fn(&RunState) -> bool) -> Arc<RunState> {
    let mut subscription = handle.subscribe(run_id).await.expect("the run is open");
    let mut state = RunState::clone(&subscription.state);
    while !wanted(&state) {
        match subscription.events.recv().await {
            Ok(Published::Batch(batch)) => batch.follow(&mut state, |_, _| {}),
            Ok(_) => panic!("the disk fails"),
            // Fell behind: from here on anew.
            Err(_) => {
                subscription = handle.subscribe(run_id).await.expect("the run is open");
                state = RunState::clone(&subscription.state);
            }
        }
    }
    Arc::new(state)
}

/// All six interventions and undo on the long plan while it runs, behind so many checkpoints. As a graph, each step depends on the one before.
fn interventions(done: usize, graph: bool) {
    let shape = if graph { "graph" } else { "list" };
    println!("interventions: a running {shape} of {STEPS} steps, behind {done} checkpoints");
    let dir = folder();
    runtime().block_on(async {
        let handle = engine_in(dir.path());
        let mut plan = half_done(STEPS, done);
        if graph {
            for (place, step) in Arc::make_mut(&mut plan).steps.iter_mut().enumerate().skip(1) {
                Arc::make_mut(step).depends_on = Some(vec![id(place - 1)]);
            }
        }
        let run_id = registered(&handle, &plan, Durability::Full).await;
        drop(plan);
        handle.send(run_id, holdpoint::engine::request(Command::Start, "bench")).await.expect("the run starts");
        let state = until(&handle, run_id, |state| state.step_index() as usize == done).await;
        assert_eq!(state.checkpoints.len(), done + 1);
        let mut probe = Probe::in_folder(dir.path());
        let place = move |n: usize| done + (STEPS - done) / 2 + 3 * n;
        let new_id = |n: usize| format!("new{n:05}");
        let new = move |n: usize| json!({"step_id": new_id(n), "agent_type": "worker"});
        type Make = Box<dyn Fn(usize) -> Command>;
        let kinds: Vec<(&str, Make)> = vec![
            (
                "modify a step",
                Box::new(move |n| Command::Modify { step: id(place(n)), patch: json!({"timeout_seconds": 60 + n}) }),
            ),
            (
                "add a step in the middle",
                Box::new(move |n| Command::Add { step: new(n), place: Place::After(id(place(n))), rewire: false }),
            ),
            (
                "reorder two neighbours",
                Box::new(move |n| Command::Reorder { steps: vec![id(place(n) + 1), new_id(n)] }),
            ),
            ("undo that", Box::new(|_| Command::Undo { version: None })),
            ("remove a step", Box::new(move |n| Command::Remove { step: id(place(n)) })),
            ("skip a step", Box::new(move |n| Command::Skip { step: id(place(n) + 1) })),
            ("retry a skipped step", Box::new(move |n| Command::Retry { step: id(place(n) + 1), downstream: false })),
        ];
        for (name, command) in kinds {
            let (mut core, mut whole) = (Times::default(), Times::default());
            for n in 0..TIMES {
                let mut state = RunState::clone(&handle.subscribe(run_id).await.expect("the run is open").state);
                let input = Input::Request(holdpoint::engine::request(command(n), "bench"));
                let moment = Moment { now: Utc::now(), entropy: 1 };
                let started = Instant::now();
                let batch = advance(&mut state, &input, &moment);
                core.add(started.elapsed());
                assert!(batch.is_ok_and(|batch| !batch.is_empty()));
                drop(state);
                whole.add(probe.above(&handle, run_id, command(n)).await);
            }
            row("5 ms", &format!("{name}: decide and apply"), &core);
            row("5 ms", &format!("{name}: to the acknowledgement"), &whole);
        }
        println!("  one append and fsync {}", probe.times.summary());
        handle.send(run_id, holdpoint::engine::request(Command::Cancel, "bench")).await.expect("it is cancelled");
        handle.shutdown().await;
    });
}

/// Going back to the first, a middle and the last checkpoint of the long plan after so many of its steps.
fn restores(done: usize) {
    println!("restore: a plan of {STEPS} steps, {done} checkpoints");
    let dir = folder();
    let (run_id, marks) = runtime().block_on(async {
        let handle = engine_in(dir.path());
        let plan = half_done(STEPS, done);
        let run_id = registered(&handle, &plan, Durability::Relaxed).await;
        handle.send(run_id, holdpoint::engine::request(Command::Start, "bench")).await.expect("the run starts");
        let state = until(&handle, run_id, |state| state.step_index() as usize == done).await;
        if state.status == RunStatus::Running {
            handle
                .send(run_id, holdpoint::engine::request(Command::Interrupt, "bench"))
                .await
                .expect("it is interrupted");
            until(&handle, run_id, |state| state.live().next().is_none()).await;
        }
        handle.shutdown().await;
        (run_id, state.checkpoints.iter().map(|mark| mark.seq).collect::<Vec<_>>())
    });
    let store = Store::at(dir.path());
    let full = store.full_checkpoints(&dir.path().join(run_id.to_string())).expect("the run's folder");
    println!("  full files at {full:?}, the newest checkpoint at {}", marks[marks.len() - 1]);
    // The farthest from a full file: what is replayed is longest there.
    let replayed = |seq: u64| seq - full.iter().copied().filter(|at| *at <= seq).max().unwrap_or(0);
    let farthest = marks.iter().copied().max_by_key(|seq| replayed(*seq)).expect("there are checkpoints");
    let places =
        [("first", marks[0]), ("middle", marks[marks.len() / 2]), ("farthest", farthest), ("last", marks[done])];
    for (name, seq) in places {
        let (mut read, mut whole) = (Times::default(), Times::default());
        let mut probe = Probe::in_folder(dir.path());
        for _ in 0..TIMES / 2 {
            let copy = copied(&dir.path().join(run_id.to_string()));
            let started = Instant::now();
            store.state_at(&dir.path().join(run_id.to_string()), seq).expect("the checkpoint is read");
            read.add(started.elapsed());
            runtime().block_on(async {
                let handle = engine_in(copy.path());
                // Twice: the first time leaves a full checkpoint file to write, which is no part of the restore.
                for _ in 0..2 {
                    handle.close(run_id).await.ok();
                    handle.open(run_id, false).await.expect("the copy is opened");
                }
                whole.add(probe.above(&handle, run_id, Command::Restore { checkpoint: seq }).await);
                handle.shutdown().await;
            });
        }
        row("50 ms", &format!("{name} ({} events replayed): reading", replayed(seq)), &read);
        row("50 ms", &format!("{name}: to the acknowledgement"), &whole);
    }
}

/// A copy of a run's folder, in a folder of all runs of its own.
fn copied(run: &Path) -> tempfile::TempDir {
    let copy = folder();
    let to: PathBuf = copy.path().join(run.file_name().expect("a run id"));
    std::fs::create_dir(&to).expect("a folder");
    for entry in std::fs::read_dir(run).expect("the run's folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let file = File::create(to.join(entry.file_name())).expect("a file");
            std::io::copy(&mut File::open(entry.path()).expect("a file"), &mut &file).expect("it is copied");
            // It is not the restore that is to wait for that.
            file.sync_all().expect("it is synced");
        }
    }
    copy
}

/// Pause, resume and cancel of a run with 16 attempts side by side.
fn commands(steps: usize) {
    println!("commands: a plan of {steps} steps, 16 at a time");
    let dir = folder();
    runtime().block_on(async {
        let handle = engine_in(dir.path());
        let mut wide = plan("commands", steps, simulated(3600.0));
        for step in &mut wide.steps {
            Arc::make_mut(step).parallel_group = Some("all".into());
        }
        let wide = Arc::new(wide);
        let mut probe = Probe::in_folder(dir.path());
        let (mut pause, mut resume, mut cancel) = (Times::default(), Times::default(), Times::default());
        for _ in 0..TIMES {
            let run_id = registered(&handle, &wide, Durability::Full).await;
            handle.send(run_id, holdpoint::engine::request(Command::Start, "bench")).await.expect("the run starts");
            until(&handle, run_id, |state| state.counts().of(StepStatus::Running) == 16).await;
            pause.add(probe.above(&handle, run_id, Command::Pause).await);
            resume.add(probe.above(&handle, run_id, Command::Resume).await);
            cancel.add(probe.above(&handle, run_id, Command::Cancel).await);
            until(&handle, run_id, |state| state.status == RunStatus::Cancelled).await;
            handle.close(run_id).await.expect("the run is closed");
        }
        row("10 ms", "pause: to the acknowledgement", &pause);
        row("5 ms", "resume (at once after it)", &resume);
        row("10 ms", "cancel, 16 attempts alive", &cancel);
        println!("  one append and fsync {}", probe.times.summary());
        handle.shutdown().await;
    });
}

/// A full checkpoint file of a plan that is half done: what a pause costs more than a resume when the file is written on the way.
fn full_checkpoint(steps: usize) {
    println!("full checkpoint file: a plan of {steps} steps, half of them done");
    let dir = folder();
    let config =
        RecorderConfig { background_checkpoints: false, ..RecorderConfig::new(Arc::new(RealDisk), dir.path()) };
    let mut committer = Committer::new(config, Box::new(|_, what| panic!("{what}"))).expect("the recorder");
    let moment = || Moment { now: Utc::now(), entropy: 1 };
    let run_id = Uuid::now_v7();
    let registration = Registration {
        run_id,
        plan: Arc::new(empty(steps)),
        options: options(Durability::Full),
        user: "bench".into(),
        fork: None,
        durations: None,
    };
    let events = register(registration, &moment());
    let mut state = RunState::from_registration(&events[0]).expect("a state");
    let after = |state: &RunState| Arc::new(state.clone());
    committer.commit(Group { entries: vec![Entry::Create { run_id, events, state: after(&state) }] });
    let mut batches = Vec::new();
    let ask = |command| Input::Request(holdpoint::engine::request(command, "bench"));
    batches.push(advance(&mut state, &ask(Command::Start), &moment()).expect("it starts"));
    for place in 0..steps / 2 {
        let ended = Input::AttemptEnded {
            step: id(place),
            attempt: 1,
            outcome: Arc::new(Outcome { exit_code: Some(0), ..Outcome::default() }),
        };
        batches.push(advance(&mut state, &ended, &moment()).expect("it goes on"));
    }
    // Together, so that the last state is the one after all of them.
    let events = batches.into_iter().flatten().collect();
    committer.commit(Group { entries: vec![Entry::Append { run_id, events, state: after(&state) }] });
    let (mut with, mut without) = (Times::default(), Times::default());
    for _ in 0..TIMES {
        for (command, times) in [(Command::Pause, &mut with), (Command::Resume, &mut without)] {
            let events = advance(&mut state, &ask(command), &moment()).expect("it is accepted");
            let paused = events.iter().any(|recorded| matches!(recorded.event, Event::RunPaused { .. }));
            let started = Instant::now();
            let committed =
                committer.commit(Group { entries: vec![Entry::Append { run_id, events, state: after(&state) }] });
            times.add(started.elapsed());
            assert!(committed.failed.is_empty() && paused == matches!(state.status, RunStatus::Paused));
        }
    }
    row(if steps == 1_000 { "20 ms" } else { "none for so many" }, "a commit with it", &with);
    println!("  {:<44} {}", "a commit without it", without.summary());
}
