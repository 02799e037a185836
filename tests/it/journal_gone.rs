//! A run's files taken away while it is open: what nobody could find again is never reported as done.

use std::path::Path;
use std::time::Duration;

use holdpoint::journal::disk::Disk;
use holdpoint::journal::sim::SimDisk;
use holdpoint::run::{Command, Durability, Outcome};
use serde_json::json;

use crate::cli_support::{Running, Sandbox};
use crate::journal_support::{Bench, Driver, append, text};

#[test]
fn a_journal_that_was_removed_or_replaced_is_written_anew_before_anything_counts() {
    type Harm = fn(&SimDisk, &Path);
    let harms: [Harm; 2] = [
        |disk, path| disk.remove_file(path).unwrap(),
        |disk, path| {
            let content = disk.content(path).unwrap();
            disk.put(path, content);
        },
    ];
    for (harm, durability) in harms.into_iter().flat_map(|harm| [(harm, Durability::Full), (harm, Durability::Relaxed)])
    {
        let mut bench = Bench::new();
        let (mut driver, first) = Driver::new(1, 3, durability);
        bench.record(driver.id(), [first, driver.ask(Command::Start)]);
        let acknowledged = driver.state.clone();
        harm(&bench.disk, &bench.journal(driver.id()));
        let void = driver.end(Outcome::succeeded());
        let committed = bench.commit(vec![append(void)]);
        assert!(committed.durable.is_empty() && committed.failed[0].will_retry, "{committed:?}");
        assert!(committed.failed[0].error.contains("removed, moved or replaced"), "{}", committed.failed[0].error);
        assert_eq!(bench.repair(), [driver.id()]);

        driver.state = acknowledged;
        bench.record(driver.id(), [driver.end(Outcome::succeeded())]);
        bench.close(driver.id());
        bench.disk.kill_process();
        bench.restart();
        let dir = bench.store.dir(driver.id());
        assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&driver.state));
        assert!(bench.store.verify(&dir, None).unwrap().is_whole());
    }
}

#[test]
fn without_its_lock_a_run_is_not_written_to() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 2, Durability::Full);
    bench.record(driver.id(), [first]);
    let lock = bench.store.dir(driver.id()).join("lock");
    bench.disk.remove_file(&lock).unwrap();
    let committed = bench.commit(vec![append(driver.ask(Command::Start))]);
    assert!(
        committed.durable.is_empty() && committed.failed[0].error.contains("its lock was removed"),
        "{committed:?}"
    );
    assert!(bench.repair().is_empty(), "somebody else may have taken the run");
}

/// A run of two steps, the first of which waits for the file `go`.
fn gated(sandbox: &Sandbox) -> Running {
    let plan = sandbox.plan(
        "gated",
        json!([
            {"step_id": "one", "run": "touch here; until [ -e go ]; do sleep 0.01; done"},
            {"step_id": "two", "run": "echo two >> ran"},
        ]),
    );
    let run = sandbox.start(&["run", &plan, "--headless"]);
    crate::cli_support::wait_until("the first step runs", || sandbox.path().join("here").exists());
    run
}

fn open_gate(sandbox: &Sandbox) {
    std::fs::write(sandbox.path().join("go"), "").unwrap();
}

#[test]
fn a_journal_removed_under_a_running_engine_is_whole_at_the_end() {
    let sandbox = Sandbox::new();
    let run = gated(&sandbox);
    std::fs::remove_file(sandbox.run_dir().join("journal.jsonl")).unwrap();
    open_gate(&sandbox);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.text(), ended.stderr);
    assert_eq!(sandbox.read("ran"), "two\n");
    assert!(sandbox.ok(0, &["verify", "gated"]).contains("whole"));
    assert_eq!(sandbox.snapshot()["completed_steps"], json!(["one", "two"]));
}

#[test]
fn a_folder_moved_away_stops_the_run_and_moved_back_lets_it_go_on() {
    let sandbox = Sandbox::new();
    let mut run = gated(&sandbox);
    let (here, away) = (sandbox.path().join("checkpoints"), sandbox.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    open_gate(&sandbox);
    run.wait_for_error("removed or moved");
    // Nothing starts meanwhile, and nothing takes the place of the folder.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sandbox.read("ran"), "");
    assert!(!here.exists());
    std::fs::rename(&away, &here).unwrap();
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.text(), ended.stderr);
    assert_eq!(sandbox.read("ran"), "two\n");
    assert!(sandbox.ok(0, &["verify", "gated"]).contains("whole"));
}
