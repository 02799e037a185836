//! Estimates through the real binary: what is learned from earlier runs of a plan, and from which not.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli_support::Sandbox;

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
    let shown: Value = sandbox.json(&["show", &name, "--format", "json"]);
    let estimate = &shown["estimate"];
    assert_eq!(estimate["earlier_runs"], 2, "{estimate}");
    assert_eq!(estimate["critical_path"], json!(["a", "b", "c"]));
    // It waits for a file that was there before: nothing is invented for it.
    assert_eq!(estimate["lacking"], "b takes longer than it ever did");
    assert_eq!(estimate["at_least"], true);
    assert!(sandbox.ok(0, &["show", &name]).contains("no estimate: b takes longer than it ever did"));
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(running.wait().code, Some(0));
    let shown: Value = sandbox.json(&["show", &name, "--format", "json"]);
    assert_eq!(shown["estimate"], Value::Null, "nothing of it is to come");
}
