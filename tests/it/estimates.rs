//! Estimates through the real binary: what is learned from earlier runs of a plan, and from which not.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli_support::{Sandbox, wait_until};

fn folders(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(sandbox.path().join("checkpoints")).unwrap().flatten().map(|entry| entry.path()).collect();
    // Ids are made from the time.
    found.sort();
    found
}

fn newest_checkpoint(run: &std::path::Path) -> PathBuf {
    let files = std::fs::read_dir(run).unwrap().flatten().map(|file| file.path());
    let number = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.strip_suffix(".json")?.parse().ok()
    };
    files.filter_map(|path| Some((number(&path)?, path))).max().expect("a checkpoint").1
}

#[test]
fn a_run_is_told_by_earlier_whole_runs_of_its_plan_and_by_no_others() {
    let sandbox = Sandbox::new();
    let waits = "until [ -e go ]; do sleep 0.02; done";
    let steps = json!([
        {"step_id": "a", "run": "true"},
        {"step_id": "b", "run": waits},
        {"step_id": "c", "run": "true"},
    ]);
    sandbox.plan("steady", steps.clone());
    sandbox.plan("other", steps);
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    for plan in ["steady", "steady", "steady", "other"] {
        sandbox.ok(0, &["run", plan, "--headless"]);
    }
    let runs = folders(&sandbox);
    // One is damaged, one is nothing of ours: neither is a hindrance, nor a ground.
    let path = newest_checkpoint(&runs[0]);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let foreign = sandbox.path().join("checkpoints/01900000-0000-7000-8000-000000000000");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("journal.jsonl"), "{}\n").unwrap();

    std::fs::remove_file(sandbox.path().join("go")).unwrap();
    let mut running = sandbox.start(&["run", "steady", "--headless"]);
    running.wait_for("b started");
    let name = folders(&sandbox).last().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let estimate = || sandbox.json(&["show", &name, "--format", "json"])["estimate"].clone();
    // It waits for a file that was there before: nothing is invented for it.
    wait_until("b takes longer than before", || estimate()["lacking"] == "b takes longer than it ever did");
    let estimate = estimate();
    assert_eq!(estimate["earlier_runs"], 2, "{estimate}");
    assert_eq!(estimate["critical_path"], json!(["a", "b", "c"]));
    assert_eq!(estimate["at_least"], true);
    assert!(sandbox.ok(0, &["show", &name]).contains("no estimate: b takes longer than it ever did"));
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(running.wait().code, Some(0));
    let shown: Value = sandbox.json(&["show", &name, "--format", "json"]);
    assert_eq!(shown["estimate"], Value::Null, "nothing of it is to come");
}

#[test]
fn a_second_run_starts_what_takes_longest_to_finish_and_so_does_one_that_goes_on_with_it() {
    let sandbox = Sandbox::new();
    let agent = |seconds: f64| json!({"kind": "simulated", "duration_seconds": seconds});
    let step = |id: &str, agent: &str, after: &[&str]| json!({"step_id": id, "agent_type": agent, "depends_on": after});
    let plan = json!({
        "plan_id": "uneven",
        "max_parallel": 1,
        "agents": {"quick": agent(0.0), "slow": agent(0.6)},
        "steps": [step("one", "quick", &[]), step("two", "quick", &["one"]), step("three", "quick", &["two"]), step("long", "slow", &[])],
    });
    sandbox.plan_text("uneven", &plan.to_string());
    let ids = ["one", "two", "three", "long"];
    let order = |told: &str| -> Vec<String> {
        let words = told.lines().filter_map(|line| line.split_once(" started")?.0.split_whitespace().last());
        words.filter(|word| ids.contains(word)).map(str::to_owned).collect()
    };
    assert_eq!(order(&sandbox.ok(0, &["run", "uneven", "--headless"]))[0], "one", "three steps before one");
    assert_eq!(order(&sandbox.ok(0, &["run", "uneven", "--headless"]))[0], "long", "what it took is known now");

    // Whose turn it is stays known when the runs that told it are gone.
    let first = folders(&sandbox).remove(0);
    std::fs::remove_dir_all(first).unwrap();
    let name = folders(&sandbox).pop().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let checkpoints: Value = sandbox.json(&["checkpoints", &name, "--format", "json"]);
    let begin = checkpoints[0]["checkpoint_id"].as_str().unwrap();
    sandbox.ok(0, &["restore", &name, begin, "--yes"]);
    assert_eq!(order(&sandbox.ok(0, &["resume", &name, "--headless"]))[0], "long");
}
