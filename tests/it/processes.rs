//! Real processes in numbers, and in the ways in which they misbehave, under the real binary.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agents::is_alive;
use crate::cli_support::{Sandbox, wait_for_end};

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !look() {
        assert!(Instant::now() < until, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn steps(count: usize, run: &str) -> Value {
    (0..count).map(|n| json!({"step_id": format!("s{n}"), "parallel_group": "g", "run": run})).collect()
}

fn pids(folder: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[test]
fn a_thousand_processes_leave_nothing_behind() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("pids")).unwrap();
    // Each with a child of its own that outlives it.
    let plan = sandbox.plan("thousand", steps(500, "touch pids/$$; sleep 600 & touch pids/$!"));
    let told = sandbox.ok(0, &["run", &plan, "--headless", "--max-parallel", "32"]);
    assert!(told.contains("500 completed"), "{told}");
    let pids = pids(&sandbox.path().join("pids"));
    assert!(pids.len() > 900, "{} processes", pids.len());
    eventually("they are all gone", || !pids.iter().any(|pid| is_alive(*pid) && is_ours(*pid, sandbox.path())));
    let output = sandbox.run_dir().join("output");
    let left = std::fs::read_dir(output)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "proc"));
    assert_eq!(left.count(), 0, "notes of processes that are gone");
}

/// Numbers are used again: only what works in the test's own folder counts.
fn is_ours(pid: i32, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder.canonicalize().unwrap())
}

#[test]
fn an_engine_killed_while_twenty_run_leaves_none_of_them() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("pids")).unwrap();
    let line = "test \"$HOLDPOINT_ATTEMPT\" -ge 2 && exit; trap '' TERM HUP INT; sleep 600 & touch pids/$!; touch pids/$$; wait";
    let plan = sandbox.plan("twenty", steps(20, line));
    let mut command = sandbox.command(&["run", &plan, "--headless", "--max-parallel", "20"]);
    let mut engine = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let folder = sandbox.path().join("pids");
    eventually("forty processes run", || pids(&folder).len() == 40);
    rustix::process::kill_process(rustix::process::Pid::from_child(&engine), Signal::KILL).unwrap();
    wait_for_end(&mut engine);
    let all = pids(&folder);
    eventually("they are all gone", || !all.iter().any(|pid| is_alive(*pid)));
    let every: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let mut words = vec!["resume", "twenty", "--retry"];
    words.extend(every.iter().map(String::as_str));
    sandbox.ok(0, &words);
}

#[test]
fn a_step_that_closes_its_output_and_lives_on_is_waited_for() {
    let sandbox = Sandbox::new();
    let quiet = "echo said; exec >&- 2>&-; until [ -e go ]; do sleep 0.02; done; echo done > done";
    let plan = sandbox.plan("quiet", json!([{"step_id": "a", "run": quiet}, {"step_id": "b", "run": "cat done"}]));
    let mut running = sandbox.start(&["run", &plan, "--headless"]);
    running.wait_for("a started");
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(sandbox.ok(0, &["output", "quiet", "a"]), "said\n");
    assert_eq!(sandbox.ok(0, &["output", "quiet", "b"]), "done\n");
}
