//! The console as an operator uses it: the real program in a pseudo-terminal, keys pressed, the screen read.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pty::Session;

/// A folder with one plan, `plans/trial.json`.
pub fn field(steps: Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans")).unwrap();
    let plan = json!({"plan_id": "trial", "title": "A trial", "steps": steps});
    std::fs::write(dir.path().join("plans/trial.json"), plan.to_string()).unwrap();
    dir
}

/// A shell line that ends when a file appears.
fn waits_for(dir: &Path, name: &str) -> String {
    format!("until [ -e '{}' ]; do sleep 0.02; done", dir.join(name).display())
}

pub fn open(dir: &Path, arguments: &[&str]) -> Session {
    let home = dir.to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
    Session::start_in(dir, env!("CARGO_BIN_EXE_holdpoint"), arguments, 120, 36, &environment)
}

/// Answers a question that is on the screen, and waits until it has gone. A question ignores what was typed before it was drawn, and a test is
/// quicker than any operator: the key is pressed again when nothing has come of it for a while.
pub fn answer(console: &mut Session, key: &str, question: &str) {
    console.wait_for_text(question);
    for _ in 0..10 {
        console.keys(key);
        if console.is_soon(|screen| !screen.contents().contains(question)) {
            return;
        }
    }
    panic!("{key} does not answer {question:?}:\n{}", console.screen_text());
}

/// The journal's events of the only run.
pub fn events(dir: &Path) -> Vec<Value> {
    let run = std::fs::read_dir(dir.join("checkpoints")).unwrap().flatten().next().expect("there is a run").path();
    let text = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
}

pub fn has(events: &[Value], kind: &str) -> bool {
    events.iter().any(|event| event["type"] == kind)
}

#[test]
fn a_plan_is_opened_started_paused_and_resumed_with_keys() {
    let dir = tempfile::tempdir().unwrap();
    let steps = json!([{"step_id": "first", "run": waits_for(dir.path(), "go")}, {"step_id": "second", "run": "true"}]);
    let field = field(steps);
    let mut console = open(field.path(), &[]);
    console.wait_for_text("trial");
    console.keys("<Enter>");
    console.wait_for_text("IDLE");
    console.keys("<Enter>");
    answer(&mut console, "<Enter>", "Start trial?");
    console.wait_for_text("● running");
    console.press("p");
    console.wait_for_text("PAUSED");
    assert!(console.screen_text().contains("● running"), "what runs may finish");
    std::fs::write(dir.path().join("go"), "").unwrap();
    console.wait_for_text("✔ done");
    assert!(!has(&events(field.path()), "run_completed") && console.screen_text().contains("○ pending"));
    console.press("p");
    console.wait_for_text("COMPLETED");
    console.press("q");
    console.wait_exit();
    console.assert_given_back();
    assert!(console.screen_text().contains("2 of 2 steps"), "{}", console.screen_text());
}

#[test]
fn a_failed_step_is_retried_or_skipped_with_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let mended = dir.path().join("mended");
    let steps = json!([
        {"step_id": "flaky", "run": format!("echo I try; test -e '{}'", mended.display())},
        {"step_id": "hopeless", "run": "echo never >&2; exit 7"},
        {"step_id": "last", "run": "true"}
    ]);
    let field = field(steps);
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("flaky failed: exit status 1");
    std::fs::write(&mended, "").unwrap();
    console.press("!");
    console.wait_for_text("✘ flaky");
    console.press("r");
    console.wait_for_text("hopeless failed: exit status 7");
    console.press("!");
    console.wait_for_text("✘ hopeless");
    console.press("s");
    answer(&mut console, "<Enter>", "Skip hopeless?");
    console.wait_for_text("COMPLETED");
    console.wait_for_text("↷ skipped");
    console.press("q");
    console.wait_exit();
    let attempts = events(field.path()).iter().filter(|event| event["type"] == "attempt_started").count();
    assert_eq!(attempts, 4, "two of flaky, one of hopeless, one of last");
}

#[test]
fn cancel_asks_first_and_ends_as_cancelled() {
    let field = field(json!([{"step_id": "slow", "run": "sleep 600"}, {"step_id": "after", "run": "true"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("● running");
    console.press("c");
    console.wait_for_text("Enter does nothing");
    console.keys("<Enter>");
    answer(&mut console, "<Esc>", "Cancel trial?");
    assert!(!has(&events(field.path()), "cancel_requested"), "what is pressed without a thought does not cancel");
    console.press("c");
    answer(&mut console, "y", "Cancel trial?");
    console.wait_for_text("CANCELLED");
    console.press("q");
    console.wait_exit();
    let events = events(field.path());
    assert!(has(&events, "run_cancelled") && !has(&events, "run_completed"));
}

#[test]
fn quitting_with_a_run_active_asks_and_pauses_without_losing_work() {
    let dir = tempfile::tempdir().unwrap();
    let steps = json!([{"step_id": "first", "run": waits_for(dir.path(), "go")}, {"step_id": "second", "run": "true"}]);
    let field = field(steps);
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("● running");
    console.press("q");
    answer(&mut console, "<Esc>", "Leave the console?");
    console.keys("<C-c>");
    answer(&mut console, "p", "nothing new starts; what runs may finish");
    console.wait_for_text("PAUSED");
    std::fs::write(dir.path().join("go"), "").unwrap();
    console.wait_exit();
    console.assert_given_back();
    let events = events(field.path());
    let completed = |event: &Value| event["type"] == "attempt_ended" && event["then"]["do"] == "complete";
    assert_eq!(events.iter().filter(|event| completed(event)).count(), 1, "the running step was let to its end");
    assert!(has(&events, "run_paused") && !has(&events, "run_completed"));

    let mut console = open(field.path(), &["resume", "trial"]);
    console.wait_for_text("COMPLETED");
    console.press("q");
    assert_eq!(console.wait_exit().exit_code(), 0);
}

#[test]
fn sigterm_gives_the_terminal_back_and_leaves_a_run_that_can_go_on() {
    let field = field(json!([{"step_id": "slow", "run": "sleep 600"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("● running");
    console.signal(Signal::TERM);
    console.wait_exit();
    console.assert_given_back();
    let events = events(field.path());
    let interrupted = |event: &Value| event["type"] == "attempt_ended" && event["then"]["do"] == "interrupt";
    assert!(events.iter().any(interrupted), "the attempt is interrupted, not lost: {events:?}");
    assert!(has(&events, "run_paused"));
}

#[test]
fn a_hold_point_waits_for_its_release() {
    let field = field(json!([{"step_id": "ship", "run": "true", "hold": "second pair of eyes"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("second pair of eyes");
    console.wait_for_text("PAUSED");
    console.press("o");
    answer(&mut console, "<Enter>", "Release ship?");
    console.wait_for_text("COMPLETED");
    assert!(has(&events(field.path()), "hold_released"));
}

#[test]
fn what_a_step_prints_cannot_reach_the_terminal() {
    let print = r"printf 'before \033]0;stolen title\007 \033[2J\033[31mred\033[0m \007 after\n'; sleep 0.1";
    let field = field(json!([{"step_id": "hostile", "name": "na\u{1b}[31mme\u{202e}", "run": print}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("COMPLETED");
    console.wait_for_text("after");
    let bytes = console.bytes();
    let written = String::from_utf8_lossy(&bytes);
    assert!(!written.contains("\u{1b}]0;stolen"), "a title of the step's reached the terminal");
    assert!(!written.contains('\u{202e}'), "a bidi mark reached the terminal");
    assert!(console.screen_text().contains("red"));
}

#[test]
fn a_storm_of_sizes_leaves_a_whole_screen() {
    let field = field(
        json!([{"step_id": "one", "run": waits_for(Path::new("."), "go")}, {"step_id": "two", "run": "echo hello"}]),
    );
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("RUNNING");
    for n in 0..300u16 {
        console.resize(1 + n * 37 % 200, 1 + n * 11 % 60);
    }
    std::fs::write(field.path().join("go"), "").unwrap();
    console.resize(100, 30);
    console.wait_for_text("COMPLETED");
    console.wait_for("the footer is in the last line", |screen| {
        screen.rows(0, 100).last().is_some_and(|line| line.contains("q quit"))
    });
}

#[test]
fn a_terminal_that_is_not_read_keeps_neither_the_run_nor_the_process() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    let print = "n=0; while [ $n -lt 300 ]; do echo line $n; n=$((n+1)); sleep 0.005; done; echo ran > ran";
    let field =
        field(json!([{"step_id": "one", "run": print}, {"step_id": "two", "run": waits_for(Path::new("."), "go")}]));
    let pair = native_pty_system().openpty(PtySize { rows: 60, cols: 200, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
    command.args(["plans/trial.json"]);
    command.env_clear();
    command.cwd(field.path());
    for (name, value) in
        [("TERM", "xterm-256color"), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8"), ("HOLDPOINT_USER", "ann")]
    {
        command.env(name, value);
    }
    command.env("PATH", std::env::var("PATH").unwrap_or_default());
    let mut console = pair.slave.spawn_command(command).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !field.path().join("ran").exists() {
        assert!(Instant::now() < until, "the run waits for the terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(console.process_id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    while console.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(has(&events(field.path()), "run_paused"), "the run can go on");
}

#[test]
fn eighty_columns_are_enough_and_fewer_say_so() {
    let field = field(json!([{"step_id": "only", "run": "echo hello"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("COMPLETED");
    console.resize(80, 24);
    console.wait_for("it fits 80 columns", |screen| screen.contents().contains("only"));
    console.resize(20, 5);
    console.wait_for("it says that it is too small", |screen| screen.contents().to_lowercase().contains("small"));
    console.resize(120, 36);
    console.wait_for_text("COMPLETED");
}

#[test]
fn what_others_do_with_plans_and_runs_is_in_the_list_without_a_key() {
    let field = field(json!([{"step_id": "first", "run": "true"}]));
    let mut console = open(field.path(), &[]);
    console.wait_for_text("A trial");
    let plan = json!({"plan_id": "second", "title": "Made meanwhile", "steps": [{"step_id": "a", "run": "true"}]});
    std::fs::write(field.path().join("plans/second.json"), plan.to_string()).unwrap();
    console.wait_for_text("Made meanwhile");
    std::fs::remove_file(field.path().join("plans/second.json")).unwrap();
    console.wait_for("the plan has gone", |screen| !screen.contents().contains("Made meanwhile"));
    // A run of another process, from its start to its end.
    let steps = json!([{"step_id": "first", "run": waits_for(field.path(), "go")}]);
    let plan = json!({"plan_id": "trial", "title": "A trial", "steps": steps});
    std::fs::write(field.path().join("plans/trial.json"), plan.to_string()).unwrap();
    let mut other = std::process::Command::new(env!("CARGO_BIN_EXE_holdpoint"))
        .args(["run", "plans/trial.json", "--headless"])
        .current_dir(field.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    console.wait_for_text("● running    trial");
    std::fs::write(field.path().join("go"), "").unwrap();
    console.wait_for_text("✔ completed  trial");
    assert!(other.wait().unwrap().success());
    console.keys("q");
    assert!(console.wait_exit().success());
}
