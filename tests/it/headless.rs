//! Runs without a console, through the real binary: exit codes, what is told, stopping and going on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cli_support::{Sandbox, wait_for_end, wait_until};

fn status(snapshot: &Value, step: &str) -> String {
    let steps = snapshot["steps"].as_array().unwrap();
    steps.iter().find(|one| one["step_id"] == step).unwrap()["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_plan_runs_to_its_end() {
    let sandbox = Sandbox::new();
    let plan = sandbox
        .plan("good", json!([{"step_id": "one", "run": "echo hello"}, {"step_id": "two", "run": "echo two >> ran"}]));
    let told = sandbox.ok(0, &["run", &plan, "--headless"]);
    assert!(told.contains("one completed") && told.contains("COMPLETED"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where there is no terminal: {told:?}");
    assert_eq!(sandbox.read("ran"), "two\n");
    let shown = sandbox.snapshot();
    assert_eq!(shown["orchestration_state"], "completed");
    assert_eq!(shown["completed_steps"], json!(["one", "two"]));
    assert_eq!(shown["user"], "ann");

    // The head hash that was printed is the one that `verify` compares with.
    let head = told.lines().find_map(|line| line.strip_prefix("head ")).unwrap().trim();
    assert!(sandbox.ok(0, &["verify", "good", "--head", head]).contains("whole"));
    assert_eq!(sandbox.run(&["verify", "good", "--head", &"0".repeat(64)]).code, Some(1));
}

#[test]
fn json_lines_are_the_journal_byte_for_byte() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("lines", json!([{"step_id": "one", "run": "echo x"}, {"step_id": "two", "run": "exit 3"}]));
    let ended = sandbox.run(&["run", &plan, "--format", "jsonl"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.text(), sandbox.journal());
    assert!(ended.stderr.contains("FAILED") && ended.stderr.contains("exit status 3"), "{}", ended.stderr);
    assert_eq!(sandbox.ok(0, &["events", "latest"]), sandbox.journal());

    // What goes on tells only what is new.
    let before = sandbox.journal().len();
    let ended = sandbox.run(&["resume", "latest", "--skip", "two", "--format", "jsonl"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.text(), sandbox.journal()[before..]);
}

#[test]
fn a_failing_step_never_completes_the_run_and_a_retry_does() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "flaky",
        json!([
            {"step_id": "first", "run": "echo first >> ran"},
            {"step_id": "flaky", "run": "echo 'no luck \u{1b}[31mtoday'; test \"$HOLDPOINT_ATTEMPT\" -ge 2"},
            {"step_id": "last", "run": "echo last >> ran"},
        ]),
    );
    let told = sandbox.ok(1, &["run", &plan, "--headless"]);
    assert!(told.contains("flaky failed") && told.contains("exit status 1"), "{told}");
    assert!(told.contains("│ no luck today"), "the last lines of output, harmless: {told:?}");
    assert_eq!(sandbox.snapshot()["orchestration_state"], "failed");
    assert_eq!(sandbox.read("ran"), "first\n");

    // The command that goes on is said, and works.
    let hint = told.lines().find(|line| line.contains("--retry")).unwrap();
    let words: Vec<&str> = hint.split_whitespace().skip_while(|word| *word != "resume").collect();
    let told = sandbox.ok(0, &words);
    assert!(told.contains("ann retried flaky") && told.contains("COMPLETED"), "{told}");
    assert_eq!(sandbox.read("ran"), "first\nlast\n", "completed steps do not run again");
    let shown = sandbox.snapshot();
    let attempts = shown["steps"][1]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(
        (&attempts[0]["outcome"]["exit_code"], &attempts[1]["outcome"]["status"]),
        (&json!(1), &json!("succeeded"))
    );
}

#[test]
fn what_waits_for_a_person_ends_with_four() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "waits",
        json!([
            {"step_id": "bad", "run": "exit 9"},
            {"step_id": "gate", "run": "echo through >> ran", "hold": "second pair of eyes"},
        ]),
    );
    let told = sandbox.ok(4, &["run", &plan, "--on-failure", "pause"]);
    assert!(told.contains("PAUSED") && told.contains("`bad` failed"), "{told}");
    let told = sandbox.ok(4, &["resume", "waits", "--skip", "bad", "--reason", "known trouble"]);
    assert!(told.contains("known trouble") && told.contains("second pair of eyes"), "{told}");
    assert!(sandbox.ok(0, &["why", "waits", "gate"]).contains("hold point"));
    // Nothing that could go on by itself: said, and still waiting.
    assert_eq!(sandbox.run(&["resume", "waits"]).code, Some(4));
    assert_eq!(sandbox.read("ran"), "");
    sandbox.ok(0, &["resume", "waits", "--release", "gate"]);
    assert_eq!(sandbox.read("ran"), "through\n");
    assert_eq!(sandbox.snapshot()["skipped_steps"], json!(["bad"]));
}

#[test]
fn answers_are_given_all_or_none() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("all", json!([{"step_id": "one", "run": "exit 1"}, {"step_id": "two", "run": "true"}]));
    sandbox.ok(1, &["run", &plan]);
    let ended = sandbox.run(&["resume", "all", "--skip", "one", "tow"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`tow`"), "{}", ended.stderr);
    assert_eq!(sandbox.snapshot()["failed_steps"], json!(["one"]), "the good half was not done either");
}

#[test]
fn a_resume_that_is_refused_writes_nothing() {
    let sandbox = Sandbox::new();
    let done = sandbox.plan("done", json!([{"step_id": "one", "run": "true"}]));
    sandbox.ok(0, &["run", &done]);
    let before = sandbox.journal();
    let said = sandbox.run(&["resume", "done"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stderr.contains("is completed: there is nothing to go on with"), "{}", said.stderr);
    let refused = sandbox.run(&["resume", "done", "--retry", "one"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert_eq!((sandbox.journal(), said.text() + &refused.text()), (before, String::new()));

    let sandbox = Sandbox::new();
    let failed = sandbox.plan("failed", json!([{"step_id": "one", "run": "exit 1"}]));
    sandbox.ok(1, &["run", &failed]);
    let before = sandbox.journal();
    for (arguments, said) in [
        (&["resume", "failed"][..], "is failed; to go on: `holdpoint resume"),
        (&["resume", "failed", "--skip", "two"], "the plan has no step `two`"),
        (&["resume", "failed", "--release", "one"], "only a run that has not ended takes this"),
    ] {
        let refused = sandbox.run(arguments);
        assert!(refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
        assert_eq!((sandbox.journal(), refused.text()), (before.clone(), String::new()), "{arguments:?}");
    }
}

#[test]
fn an_interrupt_pauses_and_resume_goes_on() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "slow",
        json!([
            {"step_id": "first", "run": "echo first >> ran"},
            {"step_id": "slow", "run": "echo slow >> ran; echo up; test \"$HOLDPOINT_ATTEMPT\" -ge 2 || exec sleep 600"},
            {"step_id": "last", "run": "echo last >> ran"},
        ]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("slow started");
    // A run that somebody has open cannot be taken.
    let refused = sandbox.run(&["resume", "latest"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another process"), "{}", refused.stderr);
    running.signal(Signal::INT);
    let ended = running.wait();
    assert_eq!(ended.code, Some(4), "{}{}", ended.text(), ended.stderr);
    assert!(ended.text().contains("resume") && ended.stderr.contains("SIGINT"), "{}{}", ended.text(), ended.stderr);
    let shown = sandbox.snapshot();
    assert_eq!(shown["orchestration_state"], "paused");
    assert_eq!(status(&shown, "slow"), "interrupted");
    assert!(sandbox.ok(0, &["runs"]).contains("1 interrupted"));

    // It was running and is not idempotent: somebody must say.
    let asked = sandbox.run(&["resume", "latest"]);
    assert_eq!(asked.code, Some(4), "{}", asked.stderr);
    assert!(asked.stderr.contains("`slow` was interrupted"), "{}", asked.stderr);
    sandbox.ok(0, &["resume", "latest", "--retry", "slow"]);
    assert_eq!(sandbox.read("ran"), "first\nslow\nslow\nlast\n");
    assert!(sandbox.ok(0, &["verify", "latest"]).contains("whole"));
}

#[test]
fn what_is_idempotent_runs_again_by_itself() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "again",
        json!([{"step_id": "slow", "idempotent": true, "run": "test \"$HOLDPOINT_ATTEMPT\" -ge 2 || exec sleep 600"}]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("slow started");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(4));
    sandbox.ok(0, &["resume", "latest"]);
}

#[test]
fn a_killed_engine_loses_nothing() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "killed",
        json!([
            {"step_id": "first", "run": "echo first >> ran"},
            {"step_id": "slow", "idempotent": true, "run": "test \"$HOLDPOINT_ATTEMPT\" -ge 2 || exec sleep 600"},
        ]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("slow started");
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, None);
    // At once: what the dead engine was just starting may hold the lock for a moment longer, and that is no other owner.
    sandbox.ok(0, &["resume", "latest"]);
    assert_eq!(sandbox.read("ran"), "first\n");
    assert!(sandbox.ok(0, &["verify", "latest"]).contains("whole"));
}

/// What ran under a dead engine does not run, whether the run was paused or not, and everywhere it is said so.
#[test]
fn nothing_runs_under_an_engine_that_was_killed() {
    for paused in [false, true] {
        let sandbox = Sandbox::new();
        let plan = sandbox.plan("killed", json!([{"step_id": "slow", "run": "exec sleep 600"}]));
        let mut running = sandbox.start(&["run", &plan, "--headless"]);
        running.wait_for("slow started");
        if paused {
            sandbox.ok(0, &["ctl", "latest", "pause"]);
        }
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code, None);
        // What the dead engine was just starting may hold the lock for a moment longer.
        wait_until("nobody has it open", || !sandbox.ok(0, &["runs"]).contains("open in process"));
        let listed = sandbox.ok(0, &["runs"]);
        assert!(listed.contains("halted") && listed.contains("its engine ended: resume it"), "{listed}");
        let shown = sandbox.ok(0, &["show", "latest"]);
        for told in ["NOT RUNNING", "1 interrupted", "its engine ended while it was running", "--retry slow"] {
            assert!(shown.contains(told), "{told}: {shown}");
        }
        assert!(!shown.contains("1 running"), "{shown}");
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "unread",
        json!([
            {"step_id": "one", "run": "while [ ! -e go ]; do sleep 0.02; done"},
            {"step_id": "two", "run": "echo two >> ran"},
            {"step_id": "three", "run": "echo three >> ran"},
        ]),
    );
    for format in ["text", "jsonl"] {
        let mut running = sandbox.start(&["run", &plan, "--format", format]);
        running.wait_for(if format == "text" { "one started" } else { "attempt_started" });
        let mut child = running.close_stdout();
        std::fs::write(sandbox.path().join("go"), "").unwrap();
        assert_eq!(wait_for_end(&mut child).code(), Some(0), "{format}");
        std::fs::remove_file(sandbox.path().join("go")).unwrap();
    }
    assert_eq!(sandbox.read("ran"), "two\nthree\ntwo\nthree\n");
}

#[test]
fn a_reader_that_stops_reading_keeps_no_run_and_no_process() {
    let sandbox = Sandbox::new();
    // More of a journal than a pipe holds.
    let steps: Vec<Value> = (0..300)
        .map(|n| {
            json!({"step_id": format!("s{n}"), "agent_type": "simulated",
        "parameters": {"duration_seconds": 0}, "name": "x".repeat(200)})
        })
        .collect();
    let plan = sandbox.plan("unread", json!(steps));
    let mut command = sandbox.command(&["run", &plan, "--format", "jsonl"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let unread = child.stdout.take().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let completed = || {
        let shown = sandbox.run(&["show", "latest", "--format", "json"]);
        shown.text().contains("\"orchestration_state\": \"completed\"")
    };
    while !completed() {
        assert!(Instant::now() < until, "the run waits for its reader");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.try_wait().unwrap().is_none(), "a reader may take its time");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait_for_end(&mut child).code(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("not read") && said.contains("COMPLETED"), "{said}");
    drop(unread);
}

#[test]
fn a_terminal_that_goes_away_does_not_stop_the_run() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "hangup",
        json!([{"step_id": "one", "run": "while [ ! -e go ]; do sleep 0.02; done"}, {"step_id": "two", "run": "true"}]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("one started");
    running.signal(Signal::HUP);
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn followers_see_everything_and_end_with_the_run() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "followed",
        json!([{"step_id": "one", "run": "echo begin; while [ ! -e go ]; do sleep 0.02; done; echo end"}]),
    );
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("one started");
    let mut events = sandbox.start(&["events", "latest", "--follow"]);
    events.wait_for("attempt_started");
    let mut output = sandbox.start(&["output", "latest", "one", "--follow"]);
    output.wait_for("begin");
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(running.wait().code, Some(0));
    let (events, output) = (events.wait(), output.wait());
    assert_eq!((events.code, output.code), (Some(0), Some(0)), "{}{}", events.stderr, output.stderr);
    assert_eq!(output.text(), "end\n");
    assert!(events.text().trim_end().lines().last().unwrap().contains("run_completed"), "{}", events.text());
}

#[test]
fn unbound_agents_are_refused_unless_simulated() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "research",
        json!([{"step_id": "s", "action": "search", "agent_type": "registry", "parameters": {"duration_seconds": 0}}]),
    );
    let ended = sandbox.run(&["run", &plan, "--headless"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`registry`") && ended.stderr.contains("--simulate"), "{}", ended.stderr);
    assert!(!sandbox.path().join("checkpoints").exists(), "nothing was written");
    let told = sandbox.ok(0, &["run", &plan, "--headless", "--simulate"]);
    assert!(told.contains("simulated"), "{told}");
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("later", json!([{"step_id": "s", "run": "true", "name": "{{ run.id }}"}]));
    let ended = sandbox.run(&["run", &plan, "--headless"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`{{ }}`") && ended.stderr.contains("nothing was started"), "{}", ended.stderr);
    assert!(!sandbox.path().join("checkpoints").exists(), "nothing was written");
}

/// Runs the binary from a shell that has set its limits first.
fn limited(sandbox: &Sandbox, limits: &str, arguments: &str) -> crate::cli_support::Ended {
    let line = format!("{limits}; exec {} {arguments}", env!("CARGO_BIN_EXE_holdpoint"));
    let mut shell = sandbox.command_of("sh", &["-c", &line]);
    let output = shell.output().unwrap();
    crate::cli_support::Ended {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn more_attempts_than_files_may_be_open_wait_for_each_other() {
    let sandbox = Sandbox::new();
    let steps: Vec<Value> = (0..60)
        .map(|n| json!({"step_id": format!("s{n}"), "parallel_group": "g", "run": "echo x >> ran; echo y; sleep 0.1"}))
        .collect();
    let plan = sandbox.plan("many", json!(steps));
    let ended = limited(&sandbox, "ulimit -n 100", &format!("run {plan} --headless --max-parallel 60"));
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(sandbox.read("ran").lines().count(), 60);
    assert!(!sandbox.journal().contains("\"failed\""), "nothing had to be tried again");
}

#[test]
fn the_limit_on_open_files_is_raised_for_the_engine_and_not_for_commands() {
    let sandbox = Sandbox::new();
    let line =
        "sleep 0.3; ulimit -Sn > own; sed -n 's/Max open files *\\([0-9]*\\).*/\\1/p' /proc/$PPID/limits > engines";
    let plan = sandbox.plan("limit", json!([{"step_id": "a", "run": line}]));
    let ended = limited(&sandbox, "ulimit -Sn 200; ulimit -Hn 4000", &format!("run {plan} --headless"));
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!((sandbox.read("own").trim(), sandbox.read("engines").trim()), ("200", "4000"));
}

#[test]
fn a_research_plan_of_the_older_schema_runs_with_agents_of_a_file_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let older = include_str!("../fixtures/plans/older.json");
    let plan = sandbox.plan_text("older", older);
    let refused = sandbox.run(&["run", &plan, "--headless"]);
    assert_eq!(refused.code, Some(2));
    for expected in ["`registry_agent` is not bound", "`social` is not bound", "--agents FILE", "--simulate"] {
        assert!(refused.stderr.contains(expected), "{expected}\n{}", refused.stderr);
    }
    let agents = json!({"agents": {
        "registry_agent": {"kind": "command", "command": ["sh", "-c", "touch done"]},
        "social": {"kind": "simulated", "duration_seconds": 0.0}, "nobody": {"kind": "wait"}}});
    std::fs::write(sandbox.path().join("agents.json"), agents.to_string()).unwrap();
    assert!(sandbox.ok(0, &["check", &plan, "--agents", "agents.json"]).contains("fine, 2 steps, 1 warning"));
    let ended = sandbox.run(&["run", &plan, "--headless", "--agents", "agents.json"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert!(
        ended.stderr.contains("agents.json:1:") && ended.stderr.contains("uses the agent `nobody`"),
        "{}",
        ended.stderr
    );
    assert!(sandbox.path().join("done").exists());

    // The run has the agents; what the plan says comes back from its checkpoint as it went in.
    let checkpoint = sandbox.json(&["checkpoints", "latest", "--format", "json"]);
    let id = checkpoint.as_array().and_then(|all| all.last()).unwrap()["checkpoint_id"].as_str().unwrap().to_owned();
    let full = sandbox.json(&["checkpoint", "show", "latest", &id]);
    let mut kept = full["plan_state"]["plan"].clone();
    let bound = kept.as_object_mut().unwrap().shift_remove("agents").unwrap();
    assert_eq!(bound, agents["agents"]);
    let read = |text: &str| holdpoint::plan::load("p", text).plan.unwrap();
    assert_eq!(read(&kept.to_string()), read(older));
}

#[test]
fn a_run_goes_on_with_the_agents_it_was_registered_with() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan_text(
        "bound",
        &json!({"plan_id": "bound", "steps": [{"step_id": "one", "hold": true, "agent_type": "it"}]}).to_string(),
    );
    let agents = sandbox.path().join("agents.json");
    std::fs::write(&agents, r#"{"it": {"kind": "command", "command": "echo here > ran"}}"#).unwrap();
    sandbox.ok(4, &["run", &plan, "--headless", "--agents", "agents.json"]);
    std::fs::remove_file(&agents).unwrap();
    sandbox.ok(0, &["resume", "latest", "--headless", "--release", "one"]);
    assert_eq!(sandbox.read("ran"), "here\n");
    let gone = sandbox.run(&["run", &plan, "--agents", "agents.json"]);
    assert!(
        gone.code == Some(2) && gone.stderr.contains("the agents in agents.json cannot be read"),
        "{}",
        gone.stderr
    );
}

#[test]
fn a_command_with_a_terminal_does_not_survive_its_engine() {
    let sandbox = Sandbox::new();
    let plan = json!({"plan_id": "tty",
        "agents": {"it": {"kind": "command", "tty": true, "command": "trap '' HUP TERM; echo $$ > pid; test -t 1 && sleep 600"}},
        "steps": [{"step_id": "one", "agent_type": "it"}]});
    let plan = sandbox.plan_text("tty", &plan.to_string());
    let running = sandbox.start(&["run", &plan, "--headless"]);
    crate::cli_support::wait_until("the command runs", || sandbox.read("pid").ends_with('\n'));
    let pid: i32 = sandbox.read("pid").trim().parse().unwrap();
    assert!(crate::agents::is_alive(pid));
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, None);
    crate::cli_support::wait_until("the command is gone", || !crate::agents::is_alive(pid));
}
