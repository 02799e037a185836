//! Agents with real processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdpoint::agents::output::{OutputIndex, Stream};
use holdpoint::agents::{
    AttemptContext, Desk, LiveBoard, Masker, Sessions, StartSignal, Stop, StopHandle, Warden, run_attempt, stop_channel,
};
use holdpoint::plan::{AgentSpec, CommandLine, CommandProtocol, SimulatedSpec, Step};
use holdpoint::run::{Outcome, OutcomeStatus, ResultStatus};
use serde_json::{Value, json};
use uuid::Uuid;

/// A folder, a warden, and attempts of one step `s` in it.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) warden: Arc<Warden>,
    pub(crate) live: LiveBoard,
    pub(crate) sessions: Sessions,
    pub(crate) run_id: Uuid,
    grace: Duration,
    pub(crate) output_limit: u64,
    pub(crate) secrets: Masker,
    pub(crate) step: Step,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            warden: Arc::new(Warden::new(env!("CARGO_BIN_EXE_holdpoint").into())),
            live: LiveBoard::default(),
            sessions: Sessions::default(),
            run_id: Uuid::now_v7(),
            grace: Duration::from_secs(10),
            output_limit: u64::MAX,
            secrets: Masker::default(),
            step: Step { step_id: "s".into(), ..Step::default() },
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn output_path(&self) -> PathBuf {
        self.path("output/s.1.log")
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.output_path()).unwrap_or_default()
    }

    pub(crate) fn context(&self, agent: AgentSpec) -> (AttemptContext, StopHandle) {
        let (handle, stop) = stop_channel();
        let context = AttemptContext {
            taken_up: false,
            run_id: self.run_id,
            step: Arc::new(self.step.clone()),
            agent,
            attempt: 1,
            started_at: chrono::Utc::now(),
            due: None,
            clock: Arc::new(chrono::Utc::now),
            desk: Desk::empty(),
            key: format!("{}.s.1.0123456789abcdef", self.run_id),
            input: Value::Null,
            plan_dir: self.folder.path().join("plans"),
            working_dir: self.folder.path().to_path_buf(),
            output_path: self.output_path(),
            output_limit: self.output_limit,
            results: Arc::new(|| json!({"before": {"data": 1}})),
            grace: self.grace,
            start: StartSignal::at_once(),
            stop,
            live: self.live.sink(self.run_id, "s", 1),
            warden: Arc::clone(&self.warden),
            sessions: self.sessions.clone(),
            secrets: self.secrets.clone(),
        };
        (context, handle)
    }

    pub(crate) async fn run(&self, agent: AgentSpec) -> Outcome {
        let (context, _handle) = self.context(agent);
        run_attempt(context).await
    }

    pub(crate) async fn sh(&self, line: &str) -> Outcome {
        self.run(sh(line)).await
    }

    pub(crate) fn pid_in(&self, name: &str) -> Option<i32> {
        std::fs::read_to_string(self.path(name)).ok()?.trim().parse().ok()
    }
}

pub(crate) fn sh(line: &str) -> AgentSpec {
    AgentSpec::Command {
        command: CommandLine::Shell(line.into()),
        protocol: None,
        tty: false,
        env: Default::default(),
        working_dir: None,
    }
}

fn argv(words: &[&str]) -> AgentSpec {
    let words = words.iter().map(|word| (*word).to_string()).collect();
    AgentSpec::Command {
        command: CommandLine::Argv(words),
        protocol: None,
        tty: false,
        env: Default::default(),
        working_dir: None,
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X') | None))
}

/// Waits for a condition that should come true soon.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_is_the_outcome() {
    let bench = Bench::new();
    let outcome = bench.sh("exit 0").await;
    assert_eq!((outcome.status, outcome.exit_code, outcome.error), (OutcomeStatus::Succeeded, Some(0), None));
    assert!(!bench.output_path().exists(), "an attempt without output leaves no file");
    let outcome = bench.sh("exit 3").await;
    assert_eq!((outcome.status, outcome.exit_code), (OutcomeStatus::Failed, Some(3)));
    assert_eq!(outcome.in_words(), "exit status 3");
    let outcome = bench.sh("kill -SEGV $$").await;
    assert_eq!((outcome.status, outcome.signal), (OutcomeStatus::Failed, Some(11)));
    assert_eq!(bench.run(argv(&["sh", "-c", "exit $1", "sh", "4"])).await.exit_code, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_says_why() {
    let mut bench = Bench::new();
    std::fs::write(bench.path("data"), "text").unwrap();
    let data = bench.path("data").display().to_string();
    for (words, expected) in [
        (vec!["no-such-program-here"], "`no-such-program-here` was not found"),
        (vec!["./no-such-program"], "does not exist"),
        (vec![data.as_str()], "may not be executed"),
        (vec![], "must name a program"),
    ] {
        let outcome = bench.run(argv(&words)).await;
        assert_eq!(outcome.status, OutcomeStatus::Failed);
        assert!(outcome.in_words().contains(expected), "{}", outcome.in_words());
    }
    bench.step.working_dir = Some("nowhere".into());
    let words = bench.sh("true").await.in_words();
    assert!(words.contains("working directory") && words.contains("nowhere does not exist"), "{words}");
    bench.step.working_dir = Some("data".into());
    let words = bench.sh("true").await.in_words();
    assert!(words.contains("is not a directory"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_finds_its_environment_and_an_empty_stdin() {
    let mut bench = Bench::new();
    bench.step.env.extend([("A", "step"), ("HOLDPOINT_ATTEMPT", "99")].map(|(k, v)| (k.into(), v.into())));
    let AgentSpec::Command { command, protocol, tty, mut env, working_dir } = sh("cat; env; pwd") else {
        unreachable!()
    };
    env.extend([("A", "agent"), ("B", "agent")].map(|(k, v)| (k.to_string(), v.to_string())));
    let outcome = bench.run(AgentSpec::Command { command, protocol, tty, env, working_dir }).await;
    assert_eq!(outcome.status, OutcomeStatus::Succeeded);
    let output = bench.output();
    let folder = bench.folder.path().canonicalize().unwrap();
    for expected in [
        format!("HOLDPOINT_RUN_ID={}", bench.run_id),
        "HOLDPOINT_STEP_ID=s".into(),
        "HOLDPOINT_ATTEMPT=1".into(),
        format!("HOLDPOINT_ATTEMPT_KEY={}.s.1.0123456789abcdef", bench.run_id),
        format!("HOLDPOINT_PLAN_DIR={}", bench.path("plans").display()),
        format!("HOLDPOINT_RESULT={}", bench.path("output/s.1.result.json").display()),
        format!("HOLDPOINT_ENGINE={}", bench.warden.engine()),
        "A=step".into(),
        "B=agent".into(),
        folder.display().to_string(),
    ] {
        assert!(output.lines().any(|line| line == expected), "{expected} is not in\n{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_file_is_the_result_and_is_taken_away() {
    let bench = Bench::new();
    let outcome = bench.sh(r#"echo '{"rows": 3}' > "$HOLDPOINT_RESULT""#).await;
    assert_eq!(outcome.result.unwrap().data, Some(json!({"rows": 3})));
    assert!(!bench.path("output/s.1.result.json").exists());
    let outcome =
        bench.sh(r#"echo '{"status": "failed", "error": "two rows are missing"}' > "$HOLDPOINT_RESULT""#).await;
    assert_eq!((outcome.status, outcome.exit_code), (OutcomeStatus::Failed, Some(0)));
    assert_eq!(outcome.in_words(), "two rows are missing");
    let outcome = bench.sh(r#"echo '{"rows": ' > "$HOLDPOINT_RESULT""#).await;
    assert_eq!(outcome.status, OutcomeStatus::Failed);
    assert!(outcome.in_words().contains("is not JSON"), "{}", outcome.in_words());
    let outcome = bench.sh(r#"head -c 9000000 /dev/zero > "$HOLDPOINT_RESULT"; exit 2"#).await;
    assert!(outcome.in_words().starts_with("exit status 2; ") && outcome.in_words().contains("8 MiB"));
    let outcome = bench.sh(r#"mkfifo "$HOLDPOINT_RESULT""#).await;
    assert!(outcome.in_words().contains("not a regular file"), "{}", outcome.in_words());
}

fn jsonl(script: &str) -> AgentSpec {
    AgentSpec::Command {
        command: CommandLine::Argv(["python3", "-u", "-c", script].map(String::from).to_vec()),
        protocol: Some(CommandProtocol::Jsonl),
        tty: false,
        env: Default::default(),
        working_dir: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jsonl_agent_is_asked_and_answers() {
    let mut bench = Bench::new();
    bench.step.action = Some("double".into());
    bench.step.parameters.insert("n".into(), json!(21));
    let script = r#"
import json, sys
ask = json.loads(sys.stdin.readline())
assert sys.stdin.read() == ""
say = lambda **fields: print(json.dumps(fields))
say(type="progress", value=0.5, message="half")
say(type="log", message="working on " + ask["step"])
print("plain words")
print("to stderr", file=sys.stderr)
say(type="result", status="success", quality_score=0.9,
    data={"twice": ask["parameters"]["n"] * 2, "action": ask["action"], "key": ask["attempt_key"], "before": ask["results"]["before"]["data"]})
"#;
    let outcome = bench.run(jsonl(script)).await;
    assert_eq!(outcome.status, OutcomeStatus::Succeeded, "{outcome:?} {}", bench.output());
    let result = outcome.result.unwrap();
    assert_eq!((result.status, result.quality_score), (Some(ResultStatus::Success), Some(0.9)));
    let key = format!("{}.s.1.0123456789abcdef", bench.run_id);
    assert_eq!(result.data, Some(json!({"twice": 42, "action": "double", "key": key, "before": 1})));
    let news = bench.live.take();
    assert_eq!((news[0].progress, news[0].message.as_deref()), (Some(0.5), Some("half")));
    let output = bench.output();
    assert!(output.contains("working on s\n") && output.contains("plain words\n") && output.contains("to stderr\n"));
    assert!(
        output.contains("holdpoint: a line on stdout is no message") && !output.contains("quality_score"),
        "{output}"
    );

    let outcome = bench.run(jsonl(r#"print('{"type": "result", "quality": 1}')"#)).await;
    assert!(outcome.in_words().contains("no field `quality`"), "{}", outcome.in_words());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_does_not_read_its_line_blocks_nobody() {
    let bench = Bench::new();
    let (mut context, _handle) = bench.context(jsonl("pass"));
    context.results = Arc::new(|| json!({"big": {"data": "x".repeat(1_000_000)}}));
    assert_eq!(run_attempt(context).await.status, OutcomeStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_kept_in_order_and_the_index_tells_where_it_came_from() {
    let bench = Bench::new();
    let before = chrono::Utc::now();
    let outcome = bench
        .sh("for i in 1 2 3; do printf 'out %s\\n' $i; sleep 0.03; printf '\\033[31merr\\377\\n' >&2; sleep 0.03; done")
        .await;
    let bytes = std::fs::read(bench.output_path()).unwrap();
    let mut expected = Vec::new();
    for i in 1..=3 {
        expected.extend(format!("out {i}\n").bytes());
        expected.extend(b"\x1b[31merr\xff\n");
    }
    assert_eq!(bytes, expected, "raw bytes, as they came");
    assert_eq!(outcome.output_bytes, bytes.len() as u64);
    let index = OutputIndex::of(&bench.output_path()).unwrap();
    let mut last = before;
    for (offset, byte) in bytes.iter().enumerate() {
        let (time, stream) = index.time_and_stream_at(offset as u64).unwrap().unwrap();
        let line_start = bytes[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let of = if bytes[line_start] == b'o' { Stream::Stdout } else { Stream::Stderr };
        assert_eq!(stream, of, "byte {byte} at {offset}");
        assert!(time >= last && time <= chrono::Utc::now());
        last = time;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_can_be_read_while_it_comes() {
    let bench = Bench::new();
    let (context, handle) = bench.context(sh("printf 'no line end yet'; exec sleep 1000"));
    let attempt = tokio::spawn(run_attempt(context));
    eventually("output in the file", || bench.output().contains("no line end yet").then_some(())).await;
    let news = bench.live.next().await;
    assert_eq!(news[0].output_bytes, Some(15));
    handle.stop(Stop::Kill);
    assert_eq!(attempt.await.unwrap().status, OutcomeStatus::Stopped);
}

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_takes_no_memory() {
    let mut bench = Bench::new();
    bench.secrets = Masker::new(["never printed"]).unwrap();
    bench.sh("true").await;
    let before = peak_memory_kib();
    // HOLDPOINT_FLOOD_MIB=1024 for a longer look.
    let mib = std::env::var("HOLDPOINT_FLOOD_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(48u64);
    let size = mib * 1024 * 1024;
    let outcome = bench.sh(&format!("head -c {size} /dev/zero; head -c 1000 /dev/zero >&2")).await;
    assert_eq!((outcome.status, outcome.output_bytes), (OutcomeStatus::Succeeded, size + 1000));
    assert_eq!(bench.output_path().metadata().unwrap().len(), size + 1000);
    let grown = peak_memory_kib() - before;
    assert!(grown < 16 * 1024, "{grown} KiB more for {} KiB of output", size / 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_beyond_the_limit_is_dropped_and_told_and_stops_nothing() {
    let mut bench = Bench::new();
    bench.output_limit = 100_000;
    let line = r#"head -c 3000000 /dev/zero | tr '\0' x; echo '{"rows": 1}' > "$HOLDPOINT_RESULT"; echo end"#;
    let outcome = bench.sh(line).await;
    assert_eq!((outcome.status, outcome.exit_code), (OutcomeStatus::Succeeded, Some(0)));
    assert_eq!(outcome.result.unwrap().data, Some(json!({"rows": 1})), "the attempt went on");
    let error = outcome.error.unwrap();
    assert!(error.contains("cut after 100000 bytes") && error.contains("2900004 bytes dropped"), "{error}");
    let output = bench.output();
    assert!(output[..100_000].bytes().all(|byte| byte == b'x'));
    assert!(output[100_000..].starts_with("\nholdpoint: ") && output.len() < 100_200, "{}", &output[100_000..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_masked_in_output_and_result() {
    let mut bench = Bench::new();
    bench.secrets = Masker::new(["hunter2"]).unwrap();
    let line =
        r#"printf 'one hun'; sleep 0.05; printf 'ter2 two\n'; echo '{"token": "hunter2"}' > "$HOLDPOINT_RESULT""#;
    let outcome = bench.sh(line).await;
    assert_eq!(bench.output(), "one ••• two\n");
    assert_eq!(outcome.result.unwrap().data, Some(json!({"token": "•••"})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn term_is_sent_first_and_kill_after_the_grace_period() {
    let mut bench = Bench::new();
    // No child that could end a moment after its leader, and count as left behind.
    let (context, handle) = bench.context(sh("trap 'echo bye; exit 0' TERM; touch up; while :; do :; done"));
    let attempt = tokio::spawn(run_attempt(context));
    eventually("the trap is set", || bench.path("up").exists().then_some(())).await;
    handle.stop(Stop::Term);
    let outcome = attempt.await.unwrap();
    assert_eq!((outcome.status, outcome.exit_code, outcome.strays), (OutcomeStatus::Stopped, Some(0), 0));
    assert!(bench.output().ends_with("bye\n"));

    bench.grace = Duration::from_millis(200);
    let (context, handle) = bench.context(sh("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done"));
    let attempt = tokio::spawn(run_attempt(context));
    let pid = eventually("the trap is set", || bench.pid_in("pid")).await;
    let asked = Instant::now();
    handle.stop(Stop::Term);
    let outcome = attempt.await.unwrap();
    assert_eq!((outcome.status, outcome.signal), (OutcomeStatus::Stopped, Some(9)));
    assert!(asked.elapsed() >= bench.grace && !is_alive(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_does_not_wait_for_the_grace_period() {
    let bench = Bench::new();
    let (context, handle) = bench.context(sh("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done"));
    let attempt = tokio::spawn(run_attempt(context));
    let pid = eventually("the trap is set", || bench.pid_in("pid")).await;
    let asked = Instant::now();
    handle.stop(Stop::Term);
    handle.stop(Stop::Kill);
    assert_eq!(attempt.await.unwrap().status, OutcomeStatus::Stopped);
    assert!(asked.elapsed() < bench.grace && !is_alive(pid));
}

/// process-compose#520: the leader of a process group exits and a child survives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_compose_520_what_is_left_of_the_group_is_stopped_and_counted() {
    let mut bench = Bench::new();
    let outcome = bench.sh("sleep 1000 & echo $! > pid").await;
    assert_eq!((outcome.status, outcome.strays), (OutcomeStatus::Succeeded, 1));
    assert!(!is_alive(bench.pid_in("pid").unwrap()));
    assert!(bench.output().contains("holdpoint: still there when the command had ended, and stopped: sleep"));

    // One that ignores TERM, started by a process that is gone.
    bench.grace = Duration::from_millis(100);
    let outcome = bench.sh("(sh -c 'trap \"\" TERM; echo $$ > pid2; while :; do sleep 0.01; done' &); until [ -s pid2 ]; do sleep 0.01; done; exit 5").await;
    assert_eq!((outcome.status, outcome.exit_code), (OutcomeStatus::Failed, Some(5)));
    assert!(outcome.strays >= 1);
    assert!(!is_alive(bench.pid_in("pid2").unwrap()));
}

/// Starts a process in a session of its own, with the attempt's environment or without, and goes on when it is up.
fn escape(environment: &str, pid: &str) -> String {
    format!(
        "setsid {environment} sh -c 'echo $$ > {pid}; exec sleep 1000' </dev/null & until [ -s {pid} ]; do sleep 0.01; done;"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_left_the_group_is_found() {
    let bench = Bench::new();
    let outcome = bench.sh(&format!("{{ {} }} >/dev/null 2>&1", escape("", "pid"))).await;
    assert_eq!((outcome.status, outcome.strays), (OutcomeStatus::Succeeded, 1), "{}", bench.output());
    assert!(!is_alive(bench.pid_in("pid").unwrap()));

    // Also beside another attempt, whose processes are left alone.
    let (mut context, handle) = bench.context(sh("echo $$ > other; exec sleep 1000"));
    context.key = "another".into();
    context.output_path = bench.path("output/other.1.log");
    let other = tokio::spawn(run_attempt(context));
    let other_pid = eventually("the other runs", || bench.pid_in("other")).await;
    // Enough processes in between that not every one of them is looked at on its own.
    let outcome = bench
        .sh(&format!("{{ {} for i in $(seq 100); do /bin/true; done; }} >/dev/null 2>&1", escape("", "pid2")))
        .await;
    assert_eq!((outcome.status, outcome.strays), (OutcomeStatus::Succeeded, 1));
    assert!(!is_alive(bench.pid_in("pid2").unwrap()) && is_alive(other_pid));
    handle.stop(Stop::Term);
    assert_eq!(other.await.unwrap().signal, Some(15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_held_open_by_a_stranger_holds_nobody_up() {
    let bench = Bench::new();
    let started = Instant::now();
    // Without the environment it is outside the promise: it lives, and keeps the pipes.
    let outcome = bench.sh(&format!("{} echo done", escape("env -i", "pid"))).await;
    let stranger = bench.pid_in("pid").unwrap();
    let was_alive = is_alive(stranger);
    std::process::Command::new("kill").arg("-9").arg(stranger.to_string()).status().unwrap();
    assert!(was_alive, "otherwise nothing was tried here");
    assert_eq!((outcome.status, bench.output().as_str()), (OutcomeStatus::Succeeded, "done\n"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_dropped_leaves_no_process() {
    let bench = Bench::new();
    let (context, _handle) = bench.context(sh("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done"));
    let attempt = tokio::spawn(run_attempt(context));
    let pid = eventually("it runs", || bench.pid_in("pid")).await;
    attempt.abort();
    eventually("it is killed", || (!is_alive(pid)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_a_failed_attempt() {
    let bench = Bench::new();
    let (mut context, _handle) = bench.context(jsonl("pass"));
    context.results = Arc::new(|| panic!("no results today"));
    let outcome = run_attempt(context).await;
    assert_eq!(outcome.status, OutcomeStatus::Failed);
    assert!(outcome.in_words().contains("panicked: no results today"));
}

fn simulated(spec: Value) -> AgentSpec {
    AgentSpec::Simulated(serde_json::from_value(spec).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_simulated_attempt_takes_its_time_and_prints_its_lines() {
    let bench = Bench::new();
    let started = tokio::time::Instant::now();
    let spec = json!({"duration_seconds": 5, "output_lines": 7, "quality_score": 0.8, "data": {"a": 1}, "seed": 3});
    let outcome = bench.run(simulated(spec.clone())).await;
    assert_eq!(started.elapsed().as_secs(), 5);
    let result = outcome.result.unwrap();
    assert_eq!((result.quality_score, result.data), (Some(0.8), Some(json!({"a": 1}))));
    let output = bench.output();
    assert_eq!(output.lines().count(), 7);
    assert!(bench.live.take()[0].progress.is_some());
    let again = Bench::new();
    again.run(simulated(spec)).await;
    assert_eq!(again.output(), output, "the same seed, the same output");
}

#[tokio::test(start_paused = true)]
async fn a_simulated_attempt_is_stopped_at_once() {
    let bench = Bench::new();
    let (context, handle) = bench.context(simulated(json!({"duration_seconds": 3600, "output_lines": 3})));
    let attempt = tokio::spawn(run_attempt(context));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let started = tokio::time::Instant::now();
    handle.stop(Stop::Term);
    assert_eq!(attempt.await.unwrap().status, OutcomeStatus::Stopped);
    assert!(started.elapsed() < Duration::from_millis(10));
}

#[tokio::test]
async fn a_simulated_attempt_fails_as_told_and_parameters_go_before() {
    let mut bench = Bench::new();
    bench.step.parameters =
        serde_json::from_value(json!({"duration_seconds": 0, "fail_attempts": 1, "query": "ignored"})).unwrap();
    let started = Instant::now();
    let outcome =
        bench.run(AgentSpec::Simulated(SimulatedSpec { duration_seconds: Some(60.0), ..Default::default() })).await;
    assert_eq!(outcome.status, OutcomeStatus::Failed);
    assert!(outcome.in_words().contains("fail_attempts") && started.elapsed() < Duration::from_secs(5));
    let (mut context, _handle) = bench.context(simulated(json!({})));
    context.attempt = 2;
    assert_eq!(run_attempt(context).await.status, OutcomeStatus::Succeeded);
    bench.step.parameters.clear();
    let mut failed = 0;
    for attempt in 1..=400 {
        let (mut context, _handle) = bench.context(simulated(json!({"duration_seconds": 0, "failure_rate": 0.25})));
        context.attempt = attempt;
        failed += u32::from(run_attempt(context).await.status == OutcomeStatus::Failed);
    }
    assert!((70..130).contains(&failed), "{failed} of 400 failed at a rate of a quarter");
    assert!(!bench.path("output").exists(), "no output, no file");
}

/// A measurement, not a test: `cargo test --release --test it -- --ignored --nocapture overhead_of_an_attempt`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn overhead_of_an_attempt() {
    let bench = Bench::new();
    bench.sh("true").await;
    let rounds = 300_u32;
    let mut best = [f64::MAX; 3];
    let mut sums = [0.0; 3];
    for _ in 0..10 {
        for (kind, name) in ["spawn", "argv", "simulated"].into_iter().enumerate() {
            let started = Instant::now();
            for _ in 0..rounds {
                match name {
                    "spawn" => {
                        std::process::Command::new("true").status().unwrap();
                    }
                    "argv" => {
                        let (context, _handle) = bench.context(argv(&["true"]));
                        let outcome = tokio::spawn(run_attempt(context)).await.unwrap();
                        assert_eq!(outcome.status, OutcomeStatus::Succeeded);
                    }
                    _ => {
                        bench.run(simulated(json!({"duration_seconds": 0}))).await;
                    }
                }
            }
            let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
            best[kind] = micros.min(best[kind]);
            sums[kind] += micros / 10.0;
        }
    }
    println!(
        "microseconds each, best and mean of 10: bare `true` {:.0} {:.0}, attempt `true` {:.0} {:.0}, simulated {:.1} {:.1}",
        best[0], sums[0], best[1], sums[1], best[2], sums[2]
    );
}

/// A shell line with a terminal.
fn on_terminal(line: &str) -> AgentSpec {
    let AgentSpec::Command { command, protocol, env, working_dir, .. } = sh(line) else { unreachable!() };
    AgentSpec::Command { command, protocol, tty: true, env, working_dir }
}

async fn output_of(bench: &Bench, agent: AgentSpec) -> (Outcome, String) {
    let (context, _stop) = bench.context(agent);
    let path = context.output_path.clone();
    // Every attempt here is the same one.
    let _ = std::fs::remove_file(&path);
    let outcome = run_attempt(context).await;
    (outcome, std::fs::read_to_string(path).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_with_a_terminal_sees_one_and_one_without_does_not() {
    let bench = Bench::new();
    let look = r#"python3 -c "import sys, os; print(sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size(1) if os.isatty(1) else '')""#;
    let (outcome, output) =
        output_of(&bench, on_terminal(&format!("{look}; stty size <&1 2>&1; test -t 1 && exit 7"))).await;
    assert!(output.starts_with("True True os.terminal_size(columns=80, lines=24)\n"), "{output:?}");
    assert_eq!(outcome.exit_code, Some(7));
    let (outcome, output) = output_of(&bench, sh(&format!("{look}; test -t 1 && exit 7; exit 3"))).await;
    assert_eq!((outcome.exit_code, output.as_str()), (Some(3), "False False \n"));
    std::fs::create_dir(bench.path("folder")).unwrap();
    let (_, coloured) = output_of(&bench, on_terminal("TERM=xterm ls --color=auto -d folder")).await;
    assert!(coloured.contains("\u{1b}[") && coloured.contains("folder") && coloured.ends_with('\n'), "{coloured:?}");
    let (_, plain) = output_of(&bench, sh("TERM=xterm ls --color=auto -d folder")).await;
    assert_eq!(plain, "folder\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_progress_bar_on_a_terminal_the_last_state_is_kept_and_nothing_is_lost() {
    let bench = Bench::new();
    let bar = r#"echo begin; i=0; while [ $i -lt 3000 ]; do printf '\r%s of 3000' $i; i=$((i+1)); done; printf '\n'; echo problem >&2"#;
    let (outcome, output) = output_of(&bench, on_terminal(bar)).await;
    assert_eq!(outcome.status, OutcomeStatus::Succeeded, "{}", outcome.in_words());
    assert_eq!(output, "begin\n2999 of 3000\nproblem\n");
    assert_eq!(outcome.output_bytes, output.len() as u64);
    // All of much comes through, in order, also what is written last and without an end of line.
    let (_, output) = output_of(&bench, on_terminal("seq 1 60000; printf end")).await;
    let expected: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
    assert!(output == expected + "end", "{} bytes", output.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gives_nothing_to_read_and_hangs_nobody() {
    let bench = Bench::new();
    let ask = r#"cat; read -r a <&1; echo "read: $?"; cat <&2; echo "cat: $?""#;
    let (outcome, output) = output_of(&bench, on_terminal(ask)).await;
    assert_eq!(outcome.exit_code, Some(0), "{output}");
    assert!(output.contains("read: ") && !output.contains("read: 0") && !output.contains("cat: 0"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_terminal_a_command_is_stopped_with_all_its_processes() {
    let bench = Bench::new();
    let (mut context, stop) = bench.context(on_terminal(
        "trap '' TERM; sleep 600 & echo $! > child; echo $$ > leader; printf 'waiting'; while :; do sleep 600; done",
    ));
    context.grace = Duration::from_millis(50);
    let path = context.output_path.clone();
    let attempt = tokio::spawn(run_attempt(context));
    let pid = async |name: &str| eventually("the process is there", || bench.pid_in(name)).await;
    let (child, leader) = (pid("child").await, pid("leader").await);
    // What has no end of line is seen all the same.
    eventually("it is shown", || std::fs::read_to_string(&path).is_ok_and(|text| text == "waiting").then_some(()))
        .await;
    stop.stop(Stop::Term);
    let outcome = attempt.await.unwrap();
    assert_eq!((outcome.status, outcome.signal), (OutcomeStatus::Stopped, Some(9)));
    assert!(!is_alive(child) && !is_alive(leader));
    // A process that is left behind is found and stopped.
    let outcome = bench.run(on_terminal("sleep 600 & echo $! > stray")).await;
    assert_eq!((outcome.status, outcome.strays), (OutcomeStatus::Succeeded, 1), "{}", outcome.in_words());
    assert!(!is_alive(bench.pid_in("stray").unwrap()));
}
