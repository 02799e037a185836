//! The real program in a pseudo-terminal: how long a key takes to be seen, what memory the program takes, what it writes, and what it does while
//! nothing happens.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use holdpoint::engine::{self, EngineHandle};
use holdpoint::plan::{Plan, Step};
use holdpoint::run::{Command, Durability};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::common::{empty, engine_in, folder, picked, plan, registered, runtime, simulated};
use crate::percentile;

const STEPS: usize = 100_000;
const RUNS: usize = 1_000;
/// Runs of these that have not ended: another process may go on with them, so they are looked at.
const OPEN_RUNS: usize = 100;
/// Lines a second, of two steps together.
const LINES: u64 = 10_000;
/// Keys of each row.
const KEYS: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(120);
/// Tells this program to be the command of a step that prints.
const PRINTER: &str = "CONSOLE_BENCH_PRINTER";
/// What every frame begins with.
const FRAME: &[u8] = b"\x1b[?2026h";

pub fn is_printer() -> bool {
    std::env::var_os(PRINTER).is_some()
}

/// Prints lines until nobody reads them any more.
pub fn print() {
    let started = Instant::now();
    let mut out = std::io::stdout().lock();
    for batch in 1.. {
        for line in 0..LINES / 2 / 100 {
            if writeln!(out, "batch {batch}, line {line}: \x1b[32mok\x1b[0m, and what it was about").is_err() {
                return;
            }
        }
        if out.flush().is_err() {
            return;
        }
        thread::sleep((started + Duration::from_millis(10) * batch).saturating_duration_since(Instant::now()));
    }
}

pub fn measure() {
    let rows = ["keys", "memory", "idle", "ticks"];
    if !rows.iter().any(|row| picked(row)) {
        return;
    }
    if picked("ticks") {
        let field = folder();
        std::fs::create_dir(field.path().join("plans")).expect("a folder");
        ticks(field.path());
    }
    let field = folder();
    std::fs::create_dir(field.path().join("plans")).expect("a folder");
    if picked("keys") || picked("memory") || picked("idle") {
        fill(field.path());
    }
    if picked("keys") {
        for size in [(80, 24), (160, 45), (300, 90)] {
            keys(field.path(), size);
        }
    }
    // The first row says it as well, after its keys.
    if picked("memory") && !picked("keys") {
        memory(field.path());
    }
    if picked("idle") {
        idle(field.path());
    }
}

/// A thousand runs on disk, and one of a hundred thousand steps.
fn fill(root: &Path) {
    let checkpoints = root.join("checkpoints");
    std::fs::create_dir(&checkpoints).expect("a folder");
    runtime().block_on(async {
        let handle = engine_in(&checkpoints);
        let (small, chains) = (Arc::new(empty(20)), Arc::new(Plan { plan_id: "chains".into(), ..chains(STEPS, 0.0) }));
        ended(&handle, &chains).await;
        for _ in 0..RUNS - OPEN_RUNS {
            ended(&handle, &small).await;
        }
        for _ in 0..OPEN_RUNS {
            registered(&handle, &small, Durability::Relaxed).await;
        }
        handle.shutdown().await;
    });
}

async fn ended(handle: &EngineHandle, plan: &Arc<Plan>) {
    let run_id = registered(handle, plan, Durability::Relaxed).await;
    handle.send(run_id, engine::request(Command::Start, "bench")).await.expect("the run starts");
    loop {
        let state = handle.subscribe(run_id).await.expect("the run is open").state;
        if state.status.is_ended() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(if plan.steps.len() > 1000 { 200 } else { 2 })).await;
    }
}

/// Sixteen chains of steps side by side.
fn chains(steps: usize, seconds: f64) -> Plan {
    let mut plan = plan("load", steps, simulated(seconds));
    for place in 0..steps {
        let before = place.checked_sub(16).map(|before| plan.steps[before].step_id.clone());
        Arc::make_mut(&mut plan.steps[place]).depends_on = Some(before.into_iter().collect());
    }
    plan
}

/// The program with all of it at work: two steps print, others end, the list knows a thousand runs.
fn under_load(root: &Path, size: (u16, u16)) -> Console {
    let mut plan = chains(STEPS, 0.015);
    plan.max_parallel = Some(16);
    let me = std::env::current_exe().expect("a program knows where it lies");
    for place in 0..2 {
        let run = Some(format!("{PRINTER}=1 '{}'", me.display()).into());
        // Before the chains, whose turn it otherwise is for as long as they last.
        let priority = Some(1);
        let step =
            Step { step_id: format!("print-{place}"), run, depends_on: Some(Vec::new()), priority, ..Step::default() };
        plan.steps.insert(place, Arc::new(step));
    }
    std::fs::write(root.join("plans/load.json"), serde_json::to_vec(&plan).expect("a plan is JSON")).expect("a file");
    let mut console = Console::open(root, &["plans/load.json"], size);
    console.until("the steps run", |screen| screen.contains("batch ") && screen.contains("running"));
    console
}

/// The most memory under load, for so long as the rows of the keys take.
fn memory(root: &Path) {
    let mut console = under_load(root, (80, 24));
    let mut said = Vec::new();
    for seconds in [0, 10, 20, 30] {
        console.rest(Duration::from_secs(if seconds == 0 { 1 } else { 10 }));
        let now = console.state();
        said.push(format!("after {seconds} s {} MiB, most {} MiB", now.memory >> 20, now.most_memory >> 20));
    }
    println!("memory 80x24: {} (aim ≤ 150)", said.join("; "));
}

/// From a key to what it does on the screen, under load; and the most memory meanwhile.
fn keys(root: &Path, size: (u16, u16)) {
    let mut console = under_load(root, size);
    console.press("g");
    console.until("the first step is selected", |screen| selects(screen, "print-0"));
    console.until("it prints", |screen| screen.contains("batch "));
    // Past the start, and the first estimate.
    console.rest(Duration::from_secs(10));
    let mut found = Vec::new();
    let before = console.state();
    let started = Instant::now();
    for key in 0..KEYS {
        let (name, step) = if key.is_multiple_of(2) { ("j", "print-1") } else { ("k", "print-0") };
        let pressed = Instant::now();
        console.press(name);
        let seen = console.until("the key is on the screen", |screen| selects(screen, step));
        found.push((seen - pressed).as_secs_f64() * 1e3);
        console.rest(Duration::from_millis(15 + key * 37 % 50));
    }
    let after = console.state();
    let share = 100.0 * (after.processor - before.processor) / started.elapsed().as_secs_f64();
    println!(
        "keys {}x{}: {KEYS} keys: median {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, worst {:.1} ms (aim: p95 ≤ 16 ms); \
         {:.0} frames a second of {:.0} bytes; most memory {} MiB, now {} MiB (aim ≤ 150); {share:.0} % of a processor",
        size.0,
        size.1,
        percentile(&found, 50.0),
        percentile(&found, 95.0),
        percentile(&found, 99.0),
        percentile(&found, 100.0),
        (after.frames - before.frames) as f64 / started.elapsed().as_secs_f64(),
        (after.bytes - before.bytes) as f64 / (after.frames - before.frames).max(1) as f64,
        after.most_memory >> 20,
        after.memory >> 20,
    );
}

fn selects(screen: &str, step: &str) -> bool {
    screen.lines().any(|line| line.starts_with('▌') && line.contains(step))
}

/// A minute with no run active, in the list of runs and in a run that has ended.
fn idle(root: &Path) {
    // The plan of another row would be in the list, and costs nothing there.
    let mut consoles = Vec::new();
    for place in ["the list of runs", "a run that has ended"] {
        let mut console = Console::open(root, &[], (160, 45));
        console.until("the runs are listed", |screen| screen.contains("empty") || screen.contains("chains"));
        if place != "the list of runs" {
            console.press("/chains\r");
            console.until("the run is found", |screen| selects(screen, "chains"));
            console.press("\r");
            console.until("the run is open", |screen| screen.contains("Definition"));
        }
        consoles.push((place, console));
    }
    // Outputs are looked for, estimates are made; and whoever opens a console wakes those that watch the folders it reads.
    for (_, console) in &mut consoles {
        console.rest(Duration::from_secs(20));
    }
    let before: Vec<State> = consoles.iter_mut().map(|(_, console)| console.state()).collect();
    thread::sleep(Duration::from_secs(60));
    for ((place, console), before) in consoles.iter_mut().zip(before) {
        let after = console.state();
        println!(
            "idle for a minute, {place}: {} frames, {} bytes, {:.1} ms of processor time ({} ticks of 10 ms), woken {} times (aim: 0 frames, no measurable time); {} MiB",
            after.frames - before.frames,
            after.bytes - before.bytes,
            (after.processor - before.processor) * 1e3,
            after.ticks - before.ticks,
            after.woken - before.woken,
            after.memory >> 20,
        );
    }
}

/// The bytes of the frames in which only clocks move on.
fn ticks(root: &Path) {
    let sleeps = |step_id: &str| Step { step_id: step_id.into(), run: Some("sleep 600".into()), ..Step::default() };
    let mut quiet = plan("quiet", 12, simulated(0.0));
    for place in 5..8 {
        let group = Some("together".into());
        quiet.steps[place] = Arc::new(Step { parallel_group: group, ..sleeps(&format!("sleeps-{place}")) });
    }
    std::fs::write(root.join("plans/quiet.json"), serde_json::to_vec(&quiet).expect("a plan is JSON")).expect("a file");
    for size in [(80, 24), (160, 45), (300, 90)] {
        let mut console = Console::open(root, &["plans/quiet.json"], size);
        console.until("it runs", |screen| screen.contains("running"));
        let mut said = Vec::new();
        for (place, key) in
            [("run", ""), ("timeline", "T"), ("graph", "\x1bD"), ("metrics", "\x1bM"), ("runs", "\x1b\x1b")]
        {
            for key in key.chars() {
                // Apart, so that an Escape is not taken for the beginning of a sequence.
                console.rest(Duration::from_millis(300));
                console.press(&key.to_string());
            }
            console.rest(Duration::from_secs(2));
            console.frames.clear();
            console.rest(Duration::from_secs(8));
            let bytes: Vec<f64> = console.frames.iter().map(|bytes| *bytes as f64).collect();
            said.push(format!("{place} {:.0} ({:.0})", percentile(&bytes, 50.0), percentile(&bytes, 100.0)));
        }
        println!("ticks {}x{}: bytes of a frame, median (most): {} (aim ≤ 2048)", size.0, size.1, said.join(", "));
    }
}

/// The program in a terminal. Ended when dropped.
struct Console {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    bytes: u64,
    /// The bytes of each frame that has begun.
    frames: Vec<u64>,
    drawn: u64,
    /// The end of what was read, in which a frame's beginning may have begun.
    tail: Vec<u8>,
}

/// What the program has done and taken so far.
struct State {
    frames: u64,
    bytes: u64,
    /// Seconds on a processor.
    processor: f64,
    /// The same as the system counts it, in hundredths: also of threads that have ended.
    ticks: u64,
    woken: u64,
    memory: u64,
    most_memory: u64,
}

impl Console {
    fn open(root: &Path, arguments: &[&str], (cols, rows): (u16, u16)) -> Self {
        let pair =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.args(arguments);
        command.env_clear();
        command.cwd(root);
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("HOLDPOINT_TOUR", "off")] {
            command.env(name, value);
        }
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", root);
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("the terminal is read");
        let writer = pair.master.take_writer().expect("the terminal is written to");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(rows.try_into().expect("a size"), cols.try_into().expect("a size"), 0);
        Self {
            child,
            writer,
            _master: pair.master,
            output,
            parser,
            bytes: 0,
            frames: Vec::new(),
            drawn: 0,
            tail: Vec::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).and_then(|()| self.writer.flush()).expect("a key is pressed");
    }

    /// Takes in what the program writes for so long at the most; when the last of it came.
    fn take(&mut self, patience: Duration) -> Option<Instant> {
        match self.output.recv_timeout(patience) {
            Ok((at, bytes)) => {
                self.parser.process(&bytes);
                self.bytes += bytes.len() as u64;
                self.count(&bytes);
                Some(at)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the program has ended:\n{}", self.parser.screen().contents())
            }
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tail.push(*byte);
            if let Some(frame) = self.frames.last_mut() {
                *frame += 1;
            }
            if self.tail.ends_with(FRAME) {
                self.tail.clear();
                self.drawn += 1;
                self.frames.push(FRAME.len() as u64);
            }
        }
        let kept = self.tail.len().saturating_sub(FRAME.len());
        self.tail.drain(..kept);
    }

    /// Waits for what is on the screen; when it came.
    fn until(&mut self, what: &str, condition: impl Fn(&str) -> bool) -> Instant {
        let until = Instant::now() + PATIENCE;
        let mut at = Instant::now();
        while !condition(&self.parser.screen().contents()) {
            let left = until.saturating_duration_since(Instant::now());
            let taken = self.take(left);
            at = taken.unwrap_or_else(|| panic!("waited in vain: {what}:\n{}", self.parser.screen().contents()));
        }
        at
    }

    fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.take(left);
        }
    }

    fn state(&mut self) -> State {
        while self.take(Duration::ZERO).is_some() {}
        let pid = self.child.process_id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let memory = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
        };
        let (mut processor, mut woken) = (0, 0);
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            // Finer than the ticks of `stat`: nanoseconds on a processor, waiting for one, and how often it got one.
            let figures = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let mut figures = figures.split_whitespace().map(|figure| figure.parse::<u64>().unwrap_or(0));
            processor += figures.next().unwrap_or(0);
            woken += figures.nth(1).unwrap_or(0);
        }
        // Fields 14 and 15, counted from behind the name, which may hold anything.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = stat.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        State {
            ticks,
            frames: self.drawn,
            bytes: self.bytes,
            processor: processor as f64 / 1e9,
            woken,
            memory: memory("VmRSS:"),
            most_memory: memory("VmHWM:"),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // What its steps have started goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
