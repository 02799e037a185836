//! Disks that fail where nothing is written, disks that are slow, and several who want the same run.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use holdpoint::journal::sim::{EIO, Fault, Operation};
use holdpoint::journal::{JournalError, Published, Store};
use holdpoint::run::{Command, Durability};
use serde_json::json;

use crate::cli_support::{Sandbox, wait_for_end};
use crate::journal_support::{Bench, Driver, append, text};

fn fault(operation: Operation, path: &str, after: u32) -> Fault {
    Fault { operation, path_contains: path.into(), after, times: 1, code: EIO }
}

#[test]
fn a_run_that_cannot_be_opened_is_as_it_was_and_opens_when_the_disk_is_well() {
    use Operation::{Append, Lock, OpenAppend, OpenRead, Sync, SyncDir};
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    for operation in [Lock, OpenAppend, OpenRead, Append, Sync, SyncDir, Operation::List, Operation::Any] {
        for after in 0..4 {
            bench.disk.fail(fault(operation, "", after));
            match bench.store.open(&dir) {
                Ok((ledger, _)) => assert_eq!(text(ledger.state()), text(&driver.state), "{operation:?} {after}"),
                Err(error) => {
                    assert!(matches!(error, JournalError::Io { .. }), "{operation:?} {after}: {error}");
                    assert!(error.to_string().contains("Input/output error"), "{operation:?} {after}: {error}");
                }
            }
            bench.disk.heal();
            assert_eq!(bench.disk.content(&path).unwrap(), whole, "{operation:?} {after}");
            let (ledger, _) = bench.store.open(&dir).unwrap();
            assert_eq!(text(ledger.state()), text(&driver.state), "{operation:?} {after}");
        }
    }
}

#[test]
fn a_removal_that_the_disk_stops_leaves_a_whole_run_or_none() {
    for operation in [Operation::Rename, Operation::SyncDir, Operation::RemoveFile, Operation::RemoveDir] {
        for after in 0..4 {
            let mut bench = Bench::new();
            let (driver, _) = bench.recorded(1, 2);
            let dir = bench.store.dir(driver.id());
            bench.disk.fail(fault(operation, "", after));
            let removed = bench.store.remove(driver.id(), driver.state.seq);
            bench.disk.heal();
            let listed = bench.store.list_runs().unwrap();
            assert!(listed.unreadable.is_empty(), "{operation:?} {after}: {listed:?}");
            if listed.runs.is_empty() {
                bench.store.finish_removals().unwrap();
                let left = holdpoint::journal::disk::Disk::list(&bench.disk, bench.store.root()).unwrap();
                assert!(left.is_empty(), "{operation:?} {after}: {left:?}");
            } else {
                assert!(removed.is_err(), "{operation:?} {after}");
                assert!(bench.store.verify(&dir, None).unwrap().is_whole());
            }
        }
    }
}

#[test]
fn while_a_sync_takes_its_time_nobody_is_told() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 2, Durability::Full);
    let run_id = driver.id();
    bench.record(run_id, [first]);
    let mut watched = bench.committer.subscribe(run_id).unwrap();
    let disk = bench.disk.clone();
    let synced = disk.calls(Operation::Sync);
    disk.delay(Operation::Sync, Duration::from_millis(200));
    let events = driver.ask(Command::Start);
    let committing = std::thread::spawn(move || bench.commit(vec![append(events)]));
    loop {
        let told = watched.events.try_recv();
        // Asked after: it is counted when the time has passed.
        let through = disk.calls(Operation::Sync) > synced;
        match told {
            Ok(Published::Batch(_)) => {
                assert!(through, "told before it was durable");
                break;
            }
            _ => std::thread::yield_now(),
        }
    }
    assert_eq!(committing.join().unwrap().durable, [(run_id, driver.state.seq)]);
}

#[test]
fn of_many_who_open_a_run_at_the_same_time_one_gets_it() {
    let root = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let store = Store::at(root.path());
    let dir = store.dir(driver.id());
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("journal.jsonl"), bench.disk.content(&bench.journal(driver.id())).unwrap()).unwrap();
    for _ in 0..5 {
        let together = Arc::new(Barrier::new(8));
        let openers: Vec<_> = (0..8)
            .map(|_| {
                let (store, dir, together) = (store.clone(), dir.clone(), Arc::clone(&together));
                std::thread::spawn(move || {
                    together.wait();
                    let opened = store.open(&dir);
                    // Whoever has it keeps it until all have tried.
                    together.wait();
                    opened.map(drop).map_err(|error| error.to_string())
                })
            })
            .collect();
        let opened: Vec<_> = openers.into_iter().map(|opener| opener.join().unwrap()).collect();
        assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1, "{opened:?}");
        assert!(opened.iter().flat_map(|opened| opened.as_ref().err()).all(|error| error.contains("open in another")));
    }
    assert!(store.verify(&dir, None).unwrap().is_whole());
}

#[test]
fn engines_that_race_for_a_run_run_its_steps_once() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "raced",
        json!([{"step_id": "one", "run": "echo ran >> ran; until [ -e go ]; do sleep 0.01; done", "hold": "look"}]),
    );
    sandbox.ok(4, &["run", &plan, "--headless"]);
    let mut racers: Vec<_> = (0..4)
        .map(|_| {
            let mut command = sandbox.command(&["resume", "raced", "--release", "one", "--headless"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut lost = 0;
    let until = Instant::now() + Duration::from_secs(60);
    while lost < 3 {
        assert!(Instant::now() < until, "{lost} of three have given up");
        racers.retain_mut(|racer| match racer.try_wait().unwrap() {
            None => true,
            Some(status) => {
                use std::io::Read;
                let mut said = String::new();
                racer.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                assert_eq!(status.code(), Some(1), "{said}");
                assert!(said.contains("open in another process"), "{said}");
                lost += 1;
                false
            }
        });
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(wait_for_end(&mut racers[0]).code(), Some(0));
    assert_eq!(sandbox.read("ran"), "ran\n");
    assert!(sandbox.ok(0, &["verify", "raced"]).contains("whole"));
}
