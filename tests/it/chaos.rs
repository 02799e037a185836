//! The real binary with real processes, killed with SIGKILL at random moments, again and again.
//!
//! `HOLDPOINT_CHAOS_KILLS` sets how many kills there are (some dozens unless it says otherwise), `HOLDPOINT_CHAOS_SEED` repeats a sequence of moments;
//! the seed is printed, and what was counted at the end. `just chaos` is the long mode.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pty::Session;

/// Steps of the plan; every third is idempotent.
const STEPS: usize = 8;
/// An engine that has been killed takes its processes along within this time.
const GONE_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn killed_at_any_moment_nothing_reported_is_lost_and_nothing_completed_runs_again() {
    rounds(Shape::Headless, 36);
}

#[test]
fn a_console_killed_at_any_moment_leaves_a_run_that_goes_on() {
    rounds(Shape::Console, 12);
}

/// How the engine is started.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Headless,
    /// In a pseudo-terminal. What it reports is a screen, so nothing is compared with the journal line by line.
    Console,
}

fn rounds(shape: Shape, usual: u32) {
    let kills: u32 = from_env("HOLDPOINT_CHAOS_KILLS").map_or(usual, |kills: u32| match shape {
        Shape::Headless => kills,
        // Starting a terminal takes its time.
        Shape::Console => kills / 10,
    });
    let seed: u64 = from_env("HOLDPOINT_CHAOS_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    println!("HOLDPOINT_CHAOS_SEED={seed}");
    let longest = if shape == Shape::Headless { 260_000 } else { 500_000 };
    let mut random = Random(seed);
    let mut counted = Counted::default();
    while counted.kills < kills {
        let mut field = Field::new(shape);
        while let Ended::Killed = field.go_on(Duration::from_micros(random.below(longest))) {
            counted.kills += 1;
            field.check(&mut counted);
        }
        field.check(&mut counted);
        counted.completed += 1;
    }
    println!("{shape:?}: {counted:#?}");
    assert!(counted.is_clean(), "HOLDPOINT_CHAOS_SEED={seed}: {counted:#?}");
}

/// What was done, and what went wrong.
#[derive(Debug, Default)]
struct Counted {
    kills: u32,
    completed: u32,
    /// Looks at a run after a kill or an end.
    checks: u32,
    /// Events that were reported and are not in the journal.
    lost: u32,
    /// Steps that were started after they were completed, or that ran without a start in the journal.
    run_again: u32,
    /// Processes that outlived their engine.
    orphans: usize,
    /// Journals that do not verify.
    unverified: u32,
}

impl Counted {
    fn is_clean(&self) -> bool {
        self.lost == 0 && self.run_again == 0 && self.orphans == 0 && self.unverified == 0
    }
}

enum Ended {
    Killed,
    Completed,
}

/// A folder in which one run is driven to its end over many kills.
struct Field {
    dir: tempfile::TempDir,
    /// Every line that an engine has reported on its stdout, by sequence number.
    reported: BTreeMap<u64, String>,
    shape: Shape,
}

impl Field {
    fn new(shape: Shape) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let steps: Vec<Value> = (0..STEPS)
            .map(|n| {
                let effect = format!("echo s{n} $HOLDPOINT_ATTEMPT >> effects; sleep 0.02; sleep 0.01");
                let mut step = json!({"step_id": format!("s{n}"), "run": effect, "idempotent": n % 3 == 0});
                if (2..5).contains(&n) {
                    step["parallel_group"] = "middle".into();
                }
                step
            })
            .collect();
        let plan = json!({"plan_id": "chaos", "steps": steps});
        std::fs::write(dir.path().join("chaos.json"), plan.to_string()).unwrap();
        Self { dir, reported: BTreeMap::new(), shape }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null()).env("HOLDPOINT_USER", "chaos");
        command
    }

    fn run_dir(&self) -> Option<PathBuf> {
        let runs = std::fs::read_dir(self.dir.path().join("checkpoints")).ok()?;
        let mut found: Vec<PathBuf> = runs.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        found.sort();
        // A folder whose making was interrupted is no run.
        found.into_iter().rev().find(|path| self.show(path).is_some())
    }

    fn show(&self, run: &Path) -> Option<Value> {
        let name = run.file_name()?.to_str()?;
        let shown = self.command(&["show", name, "--format", "json"]).output().unwrap();
        serde_json::from_slice(&shown.stdout).ok()
    }

    /// Starts or resumes the run, answering what waits for a person, and kills the engine after a while.
    fn go_on(&mut self, moment: Duration) -> Ended {
        let mut arguments: Vec<String> = Vec::new();
        let run = self.run_dir();
        match &run {
            None => arguments.extend(["run".into(), "chaos.json".into()]),
            Some(run) => {
                arguments.extend(["resume".into(), run.file_name().unwrap().to_str().unwrap().into()]);
                let shown = self.show(run).expect("a run that was there can be shown");
                for step in shown["steps"].as_array().unwrap() {
                    // What was running when the engine was killed is interrupted when the run is opened again.
                    let waits = matches!(step["status"].as_str(), Some("interrupted" | "running"));
                    let idempotent = self.is_idempotent(step["step_id"].as_str().unwrap());
                    if waits && !(idempotent && step["status"] == "running") {
                        arguments.extend(["--retry".into(), step["step_id"].as_str().unwrap().into()]);
                    }
                }
            }
        }
        if self.shape == Shape::Console {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            return self.on_a_terminal(&arguments, moment);
        }
        arguments.extend(["--headless".into(), "--format".into(), "jsonl".into()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (out, err) = (self.dir.path().join("stdout"), self.dir.path().join("stderr"));
        let mut engine = self
            .command(&arguments)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + moment;
        let ended = loop {
            if let Some(status) = engine.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= deadline {
                engine.kill().unwrap();
                engine.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        self.take_reports(&out);
        match ended {
            None => Ended::Killed,
            Some(status) => {
                let said = std::fs::read_to_string(&err).unwrap();
                assert_eq!(status.code(), Some(0), "{arguments:?} ended with {status}: {said}");
                Ended::Completed
            }
        }
    }

    fn on_a_terminal(&self, arguments: &[&str], moment: Duration) -> Ended {
        let program = env!("CARGO_BIN_EXE_holdpoint");
        let environment = [("HOLDPOINT_USER", "chaos")];
        let console = Session::start_in(self.dir.path(), program, arguments, 100, 30, &environment);
        let until = Instant::now() + moment;
        let completed = loop {
            if console.screen_text().contains("COMPLETED") {
                break true;
            }
            if Instant::now() >= until {
                break false;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // Dropped, it is killed.
        drop(console);
        if completed { Ended::Completed } else { Ended::Killed }
    }

    fn is_idempotent(&self, step: &str) -> bool {
        step[1..].parse::<usize>().unwrap() % 3 == 0
    }

    fn take_reports(&mut self, out: &Path) {
        let text = std::fs::read_to_string(out).unwrap();
        // The last line may be cut by the kill.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let body: Value = serde_json::from_str(line).expect("stdout holds the journal's lines and nothing else");
            if let Some(seq) = body["seq"].as_u64() {
                let line = line.trim_end().to_owned();
                let before = self.reported.insert(seq, line.clone());
                assert!(before.is_none_or(|before| before == line), "event {seq} was reported twice, differently");
            }
        }
    }

    /// Everything that is promised about a run that was killed.
    fn check(&self, counted: &mut Counted) {
        counted.checks += 1;
        let Some(run) = self.run_dir() else {
            counted.lost += u32::try_from(self.reported.len()).unwrap();
            return;
        };
        counted.orphans += self.left_running(run.file_name().unwrap().to_str().unwrap());
        let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
        let lines: BTreeSet<&str> = journal.lines().collect();
        for (seq, line) in &self.reported {
            if !lines.contains(line.as_str()) {
                println!("event {seq} was reported and is not in the journal: {line}");
                counted.lost += 1;
            }
        }
        let mut completed = BTreeSet::new();
        let mut started: BTreeMap<String, u64> = BTreeMap::new();
        for line in journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let event = &line["event"];
            let step = event["step"].as_str().unwrap_or_default().to_owned();
            match event["type"].as_str() {
                Some("attempt_started") => {
                    if completed.contains(&step) {
                        println!("{step} was completed and started again");
                        counted.run_again += 1;
                    }
                    *started.entry(step).or_default() += 1;
                }
                Some("attempt_ended") if event["then"]["do"] == "complete" => {
                    completed.insert(step);
                }
                _ => {}
            }
        }
        // No effect without a durable start: an attempt that nobody wrote down has not run.
        let effects = std::fs::read_to_string(self.dir.path().join("effects")).unwrap_or_default();
        let mut ran: BTreeMap<String, u64> = BTreeMap::new();
        for line in effects.lines() {
            *ran.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        for (step, times) in &ran {
            let starts = started.get(step).copied().unwrap_or(0);
            if *times > starts {
                println!("{step} ran {times} times with {starts} starts in the journal");
                counted.run_again += 1;
            }
        }
        let verified = self.command(&["verify", run.file_name().unwrap().to_str().unwrap()]).output().unwrap();
        // A torn last batch is cut off when the run is opened; until then it is reported, not hidden.
        if verified.status.code() != Some(0) {
            println!("{}{}", String::from_utf8_lossy(&verified.stdout), String::from_utf8_lossy(&verified.stderr));
            counted.unverified += 1;
        }
    }

    /// Processes of the run that are still there when they should be long gone.
    fn left_running(&self, run_id: &str) -> usize {
        let mark = format!("HOLDPOINT_RUN_ID={run_id}");
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let left = processes_with(&mark);
            if left.is_empty() || Instant::now() >= deadline {
                if !left.is_empty() {
                    println!("processes are left of an engine that was killed: {left:?}");
                }
                return left.len();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn processes_with(mark: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
}

fn from_env<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// splitmix64: repeatable moments.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
