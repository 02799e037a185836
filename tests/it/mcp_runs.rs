//! Whole runs of the binary with `mcp` agents: what is shared and closed, secrets, crashes, questions, and asking agents before a run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agents::is_alive;
use crate::cli_support::{Sandbox, files, wait_until};
use crate::mcp_servers::{everything, filesystem, misbehaves};

fn notes_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.path().join("notes")
}

fn notes(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read("notes").lines().map(str::to_owned).collect()
}

fn server_pids(sandbox: &Sandbox) -> Vec<i32> {
    notes(sandbox).iter().filter_map(|line| line.strip_prefix("started ")?.parse().ok()).collect()
}

fn step(id: &str, more: Value) -> Value {
    let mut step = json!({"step_id": id, "agent_type": "server", "action": "work"});
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step
}

fn plan(sandbox: &Sandbox, id: &str, server: Value, steps: Value) -> String {
    let plan = json!({"plan_id": id, "agents": {"server": server}, "steps": steps});
    sandbox.plan_text(id, &plan.to_string())
}

#[test]
fn the_steps_of_a_run_share_a_server_that_ends_with_the_run() {
    let sandbox = Sandbox::new();
    let of_its_own = step("c", json!({"env": {"A": "b"}}));
    let steps = json!([step("a", json!({})), step("b", json!({"parameters": {"n": 1}})), of_its_own]);
    let name = plan(&sandbox, "shared", misbehaves("plain", &notes_path(&sandbox)), steps);
    sandbox.ok(0, &["run", &name, "--headless"]);
    let pids = server_pids(&sandbox);
    assert_eq!(pids.len(), 2, "an environment of its own is a server of its own: {:?}", notes(&sandbox));
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    let shown = sandbox.snapshot();
    assert_eq!(shown["steps"][0]["result"]["data"], "done");
    let output = sandbox.ok(0, &["output", "latest", "b"]);
    assert!(
        output.contains("> work {\"n\":1}") && output.contains("< done (") && output.contains("\ndone"),
        "{output}"
    );
}

#[test]
fn an_attempt_whose_server_died_is_tried_again_with_a_new_one() {
    let sandbox = Sandbox::new();
    let steps = json!([step("a", json!({"max_retries": 1, "retry": {"delay_seconds": 0}}))]);
    let name = plan(&sandbox, "falls", misbehaves("falls", &notes_path(&sandbox)), steps);
    let told = sandbox.ok(0, &["run", &name, "--headless"]);
    assert!(told.contains("the server ended while it worked on the call (killed by signal 9)"), "{told}");
    assert_eq!(server_pids(&sandbox).len(), 2);
}

#[test]
fn nothing_survives_and_no_call_is_made_twice_when_holdpoint_is_killed() {
    let sandbox = Sandbox::new();
    let name = plan(&sandbox, "killed", misbehaves("stuck", &notes_path(&sandbox)), json!([step("a", json!({}))]));
    let mut running = sandbox.start(&["run", &name, "--headless"]);
    running.wait_for("a started");
    wait_until("the tool is called", || notes(&sandbox).iter().any(|line| line == "called 1"));
    let pid = server_pids(&sandbox)[0];
    assert!(is_alive(pid));
    running.signal(Signal::KILL);
    running.wait();
    wait_until("the server is gone", || !is_alive(pid));
    let told = sandbox.ok(4, &["resume", "killed", "--headless"]);
    assert!(told.contains("interrupted"), "{told}");
    assert_eq!(notes(&sandbox).iter().filter(|line| line.starts_with("called")).count(), 1, "{:?}", notes(&sandbox));
}

#[test]
fn no_secret_is_written_anywhere_however_often_a_server_says_it() {
    let sandbox = Sandbox::new();
    let mut server = misbehaves("tells", &notes_path(&sandbox));
    server["env"]["WORD"] = "{{ vars.word }}".into();
    let steps = json!([step("told", json!({})), step("refused", json!({"parameters": {"n": 1}}))]);
    let plan = json!({"plan_id": "secrets", "variables": {"word": {"env": "WORD_OF_OURS", "secret": true}},
        "agents": {"server": server}, "steps": steps});
    let name = sandbox.plan_text("secrets", &plan.to_string());
    let log = sandbox.path().join("holdpoint.log");
    let mut command = sandbox.command(&["run", &name, "--headless"]);
    command.env("WORD_OF_OURS", "hunter2\"secret").env("HOLDPOINT_LOG", &log).env("HOLDPOINT_LOG_LEVEL", "trace");
    let output = command.output().unwrap();
    let mut written = vec![
        ("stdout".into(), String::from_utf8(output.stdout).unwrap()),
        ("stderr".into(), String::from_utf8(output.stderr).unwrap()),
    ];
    assert_eq!(output.status.code(), Some(1), "{written:?}");
    files(sandbox.path(), &mut written);
    let all: String = written.iter().map(|(_, text)| text.as_str()).collect();
    for expected in ["stderr •••", "{\"log\":\"•••\"}", "refused •••", "{\"•••\":[\"•••\"]}"]
    {
        assert!(all.contains(expected), "{expected}: {written:?}");
    }
    for (name, text) in &written {
        assert!(!text.contains("hunter2"), "the secret stands in {name}:\n{text}");
    }
    assert!(log.exists());
}

#[test]
fn what_a_server_asks_is_answered_from_another_terminal() {
    let sandbox = Sandbox::new();
    let steps = json!([{"step_id": "a", "agent_type": "server", "action": "trigger-elicitation-request"}]);
    let name = plan(&sandbox, "asks", everything(), steps);
    let mut running = sandbox.start(&["run", &name, "--headless"]);
    running.wait_for("a asks a person: mcp-servers/everything asks");
    sandbox.ok(0, &["ctl", "asks", "answer", "a", "--field", "name=Ann", "--field", "check=true"]);
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    let shown = sandbox.snapshot().to_string();
    assert!(shown.contains("Name: Ann"), "{shown}");
}

#[test]
fn agents_are_listed_with_whether_they_answer_and_their_tools() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path().join("tool"), "not a program").unwrap();
    let plan = json!({"plan_id": "many",
        "variables": {"folder": {"default": "."}},
        "agents": {
            "clock": {"kind": "wait", "seconds": 1},
            "files": {"kind": "mcp", "command": filesystem(sandbox.path())["command"], "working_dir": "{{ vars.folder }}"},
            "later": {"kind": "mcp", "command": ["x", "{{ action }}"]},
            "lost": {"kind": "command", "command": ["no-such-program"]},
            "nobody": {"kind": "http", "url": "http://127.0.0.1:1/v1/{{ action }}"},
            "silent": {"kind": "mcp", "command": "cat > /dev/null", "connect_timeout_seconds": 0.3},
            "there": {"kind": "command", "command": ["sh", "-c", "true"]},
            "useless": {"kind": "command", "command": ["./tool"]}},
        "steps": [{"step_id": "a", "agent_type": "files", "action": "list_directory", "parameters": {"path": "."}},
            {"step_id": "b", "agent_type": "unknown", "action": "x"}, {"step_id": "c", "agent_type": "manual", "action": "x"}]});
    let name = sandbox.plan_text("many", &plan.to_string());
    let shown = sandbox.ok(1, &["agents", &name]);
    for expected in
        ["14 tools", "    list_directory  ", "`no-such-program` was not found", "not bound", "not ready within 0.3 s"]
    {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let listed: Value = serde_json::from_str(&sandbox.ok(1, &["agents", &name, "--format", "json"])).unwrap();
    let answers: Vec<(&str, bool)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["answers"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("clock", true),
        ("files", true),
        ("later", false),
        ("lost", false),
        ("manual", true),
        ("nobody", false),
        ("silent", false),
        ("there", true),
        ("unknown", false),
        ("useless", false),
    ];
    assert_eq!(answers, expected);
    assert!(listed[2]["error"].as_str().unwrap().contains("before a step fills in"), "{listed}");
    assert!(listed[9]["error"].as_str().unwrap().contains("may not be executed"), "{listed}");
    assert!(listed[1]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "list_directory"));
    let plan = json!({"plan_id": "fine", "agents": {"there": {"kind": "command", "command": ["sh"]}},
        "steps": [{"step_id": "a", "agent_type": "there"}]});
    let name = sandbox.plan_text("fine", &plan.to_string());
    assert!(sandbox.ok(0, &["agents", &name]).contains("answers"));
    assert!(sandbox.run(&["agents", &name, "--set", "x=1"]).stderr.contains("no variable `x`"));
}

#[test]
fn check_asks_the_servers_and_points_at_the_calls_that_they_would_not_take() {
    let sandbox = Sandbox::new();
    let text = format!(
        r#"{{
  "plan_id": "calls",
  "variables": {{"n": {{"default": "x"}}}},
  "agents": {{"server": {}, "gone": {{"kind": "mcp", "command": ["no-such-server"]}}}},
  "defaults": {{"agent_type": "server"}},
  "steps": [
    {{"step_id": "fine", "action": "get-sum", "parameters": {{"a": 1, "b": "{{{{ vars.n }}}}"}}}},
    {{"step_id": "tool", "tool_name": "get-sun"}},
    {{"step_id": "type", "action": "get-sum", "parameters": {{"a": 1,
      "b": "two"}}}},
    {{"step_id": "less", "action": "echo"}},
    {{"step_id": "none", "parameters": {{}}}},
    {{"step_id": "undo", "run": "true", "rollback": {{"agent_type": "server", "action": "ecko"}}}}
  ]
}}"#,
        everything()
    );
    let name = sandbox.plan_text("calls", &text);
    sandbox.ok(0, &["check", &name]);
    let ended = sandbox.run(&["check", &name, "--connect"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let checked = sandbox.run(&["check", &name, "--connect", "--format", "json"]);
    let checked: Value = serde_json::from_str(&checked.text()).unwrap();
    let found: Vec<(u64, &str)> = checked[0]["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["message"].as_str().unwrap()))
        .collect();
    let expected = [
        (4, "the agent `gone` does not answer"),
        (8, "did you mean `get-sum`?"),
        (10, "\"two\" is not of type \"number\""),
        (11, "`message` is missing"),
        (12, "does not say which tool"),
        (13, "what undoes step `undo`: the server has no tool `ecko`: did you mean `echo`?"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, message), (wanted, words)) in found.iter().zip(expected) {
        assert!(*line == wanted && message.contains(words), "{line} {message}: {wanted} {words}");
    }
}

#[test]
fn the_demo_works_where_its_server_is_and_says_what_is_missing_where_it_is_not() {
    let sandbox = Sandbox::new();
    let bin = sandbox.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").to_string_lossy().into_owned();
    let holdpoint = |path: &Path, arguments: &[&str]| {
        let mut command: Command = sandbox.command(&["--plans", &plans]);
        let output = command.args(arguments).env("PATH", path).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let missing = "the program `npx` was not found; PATH has no such program. It comes with Node.js";
    for (exit, arguments) in [
        (1, vec!["agents", "mcp-demo"]),
        (2, vec!["check", "mcp-demo", "--connect"]),
        (1, vec!["run", "mcp-demo", "--headless"]),
    ] {
        let (code, text) = holdpoint(&bin, &arguments);
        assert!(code == Some(exit) && text.contains(missing), "{arguments:?}: {code:?} {text}");
    }
    // What npx would fetch is here already.
    let server = filesystem(Path::new("."))["command"][0].as_str().unwrap().to_owned();
    std::fs::write(bin.join("npx"), format!("#!/bin/sh\nshift 2\nexec '{server}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(bin.join("npx"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let (code, text) = holdpoint(Path::new(&path.unwrap()), &["run", "mcp-demo", "--headless"]);
    assert_eq!(code, Some(0), "{text}");
    let report = sandbox.read("reports/mcp-demo.md");
    assert!(report.contains("[DIR] bin"), "{report}");
    let read = sandbox.ok(0, &["output", "latest", "read"]);
    assert!(read.contains("Seen by run"), "{read}");
}
