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
