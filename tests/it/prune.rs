//! `holdpoint prune`: what is shown is what goes, and nothing goes that somebody could still want to go on with.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::cli_support::Sandbox;

/// Runs a plan of one step to its end and gives the run's folder.
fn ended(sandbox: &Sandbox, name: &str) -> String {
    sandbox.plan(name, json!([{"step_id": "a", "run": "echo hello"}]));
    sandbox.ok(0, &["run", name, "--headless"]);
    sandbox.run_dir().file_name().unwrap().to_str().unwrap().to_owned()
}

fn folders(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path().join("checkpoints")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".gitkeep");
    names.sort();
    names
}

#[test]
fn the_newest_are_kept_and_nothing_goes_without_being_asked_for() {
    let sandbox = Sandbox::new();
    let ids: Vec<String> = ["one", "two", "three"].iter().map(|name| ended(&sandbox, name)).collect();

    let shown = sandbox.run(&["prune", "--keep", "1"]);
    assert_eq!(shown.code, Some(2), "{}", shown.stderr);
    assert!(shown.text().contains("2 runs, ") && shown.text().contains("would go, of 3 runs"), "{}", shown.text());
    assert!(shown.stderr.contains("nothing was removed: there is nobody to ask here"), "{}", shown.stderr);
    let answer = sandbox.json(&["prune", "--keep", "1", "--format", "json"]);
    assert_eq!((answer["would_remove"].as_array().unwrap().len(), answer["removed"].as_array().unwrap().len()), (2, 0));
    assert_eq!(folders(&sandbox), ids, "shown, and not acted on");

    let said = sandbox.ok(0, &["prune", "--keep", "1", "--yes"]);
    assert!(said.contains("removed 2 runs, "), "{said}");
    assert_eq!(folders(&sandbox), ids[2..]);
    assert!(sandbox.ok(0, &["prune", "--keep", "1", "--yes"]).contains("no run would go"));
}

#[test]
fn what_has_not_ended_or_is_open_stays_whatever_is_asked() {
    let sandbox = Sandbox::new();
    sandbox.plan("fails", json!([{"step_id": "a", "run": "false"}, {"step_id": "b", "run": "true"}]));
    sandbox.ok(4, &["run", "fails", "--headless", "--on-failure", "pause"]);
    sandbox.plan("long", json!([{"step_id": "a", "run": "echo up; sleep 60"}]));
    let mut open = sandbox.start(&["run", "long", "--headless"]);
    open.wait_for("started");
    let before = folders(&sandbox);
    assert_eq!(before.len(), 2);
    let said = sandbox.ok(0, &["prune", "--keep", "0", "--older-than", "0m", "--max-size", "0K", "--yes"]);
    assert!(
        said.contains("no run would go") && said.contains("it is open") && said.contains("it has not ended"),
        "{said}"
    );
    assert_eq!(folders(&sandbox), before);
}

#[test]
fn the_oldest_go_until_the_rest_is_small_enough() {
    let sandbox = Sandbox::new();
    let ids: Vec<String> = ["one", "two", "three"].iter().map(|name| ended(&sandbox, name)).collect();
    std::fs::write(sandbox.path().join("checkpoints").join(&ids[0]).join("output/big.1.log"), vec![b'x'; 64 << 10])
        .unwrap();
    sandbox.ok(0, &["prune", "--max-size", "60K", "--yes"]);
    assert_eq!(folders(&sandbox), ids[1..], "the oldest was enough");
    assert!(sandbox.ok(0, &["prune", "--older-than", "1d", "--yes"]).contains("no run would go"));
    sandbox.ok(0, &["prune", "--older-than", "0m", "--yes"]);
    assert!(folders(&sandbox).is_empty());
}

#[test]
fn a_removal_that_was_interrupted_is_finished_by_the_next_and_links_are_not_followed() {
    let sandbox = Sandbox::new();
    let id = ended(&sandbox, "one");
    let runs = sandbox.path().join("checkpoints");
    std::fs::rename(runs.join(&id), runs.join(format!(".removed-{id}"))).unwrap();
    let id = ended(&sandbox, "two");
    let outside = sandbox.path().join("precious");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "kept").unwrap();
    symlink(&outside, runs.join(&id).join("output/link")).unwrap();
    sandbox.ok(0, &["prune", "--keep", "0", "--yes"]);
    assert!(folders(&sandbox).is_empty());
    assert_eq!(sandbox.read("precious/file"), "kept");
}

#[test]
fn a_run_that_only_seems_to_have_ended_stays_and_what_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    let paused = sandbox.plan("paused", json!([{"step_id": "one", "run": "true", "hold": "look"}]));
    sandbox.ok(4, &["run", &paused, "--headless"]);
    // Somebody has edited the line that lists are made of.
    let dir = sandbox.run_dir();
    for entry in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.to_string_lossy().contains("checkpoint-") {
            let text = std::fs::read_to_string(&entry).unwrap();
            std::fs::write(&entry, text.replace("\"status\":\"paused\"", "\"status\":\"completed\"")).unwrap();
        }
    }
    let listed = sandbox.ok(0, &["runs"]);
    assert!(listed.contains("paused") && !listed.contains("completed"), "{listed}");
    // And a folder that is no run any more.
    let broken = sandbox.path().join("checkpoints/01a20000-0000-7000-8000-000000000000");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("journal.jsonl"), "not a journal\n{\"end\":true}\n").unwrap();
    let ended = sandbox.run(&["prune", "--keep", "0", "--yes"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("01a20000-0000-7000-8000-000000000000"), "{}", ended.stderr);
    assert!(dir.exists() && broken.exists());
    assert!(ended.text().contains("it has not ended"), "{}", ended.text());
}

#[test]
fn what_has_gone_on_since_it_was_looked_at_is_not_removed() {
    let sandbox = Sandbox::new();
    ended(&sandbox, "one");
    let store = holdpoint::journal::Store::at(sandbox.path().join("checkpoints"));
    let (run_id, dir) = store.resolve("latest").unwrap();
    let seen = store.load(&dir).unwrap().state.seq;
    // As if it had been looked at before its newest event.
    let refused = store.remove(run_id, seen - 1).unwrap_err();
    assert!(refused.to_string().contains("has gone on since"), "{refused}");
    assert!(dir.join("journal.jsonl").exists());
    store.remove(run_id, seen).unwrap();
    assert!(!dir.exists());
}

#[test]
fn wrong_wishes_are_told_what_would_be_right() {
    let sandbox = Sandbox::new();
    let said = |arguments: &[&str]| {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, Some(2));
        ended.stderr
    };
    assert!(said(&["prune"]).contains("say which runs may go: --older-than 30d, --keep 20"));
    for age in ["", "d", "5", "5y", "-5d", "99999999999999999999d", "9223372036854775807w", "ä"] {
        let arguments = format!("--older-than={age}");
        assert!(said(&["prune", &arguments]).contains("an age is a number and a unit"), "{age}");
    }
    assert!(said(&["prune", "--max-size", "5"]).contains("a size is a number and a unit"));
}
