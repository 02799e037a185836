//! Journals that were cut, emptied, mixed or copied: what was acknowledged is never gone without a word, and a run is never itself twice.

use std::path::Path;
use std::sync::Arc;

use holdpoint::journal::disk::Disk;
use holdpoint::journal::sim::SimDisk;
use holdpoint::journal::{Damage, JournalError, Store};
use holdpoint::run::{Command, Durability};
use serde_json::json;
use uuid::Uuid;

use crate::cli_support::Sandbox;
use crate::journal_support::{Batch, Bench, Driver, fold, text};

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The same files on another disk, with another journal.
fn with_journal(bench: &Bench, dir: &Path, journal: &[u8], checkpoints: bool) -> (SimDisk, Store) {
    let disk = SimDisk::new();
    for entry in bench.disk.list(dir).unwrap() {
        if checkpoints && entry.name.starts_with("checkpoint-") {
            let path = dir.join(&entry.name);
            disk.put(&path, bench.disk.content(&path).unwrap());
        }
    }
    disk.put(&dir.join("journal.jsonl"), journal.to_vec());
    (disk.clone(), Store::on(Arc::new(disk), bench.store.root()))
}

/// Every length around a line's end and around a line's hash, and every fifth of the others, which differ in nothing.
fn interesting(journal: &[u8]) -> Vec<usize> {
    let near = |length: usize| {
        let end = journal[length..].iter().take(80).position(|byte| *byte == b'\n');
        end.is_some_and(|distance| !(3..=70).contains(&distance)) || length > 0 && journal[length - 1] == b'\n'
    };
    (0..journal.len()).filter(|length| length % 5 == 0 || near(*length)).collect()
}

fn damage(error: JournalError) -> Damage {
    match error {
        JournalError::Damaged(damage) => damage,
        other => panic!("not told as damage: {other}"),
    }
}

#[test]
fn a_journal_cut_at_any_length_is_not_gone_on_with_when_a_checkpoint_knows_more() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 1);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    for length in interesting(&whole) {
        let (disk, store) = with_journal(&bench, &dir, &whole[..length], true);
        if length == whole.len() - 1 {
            // Nothing but the last line feed is missing.
            assert_eq!(text(store.open(&dir).unwrap().0.state()), text(&driver.state));
            continue;
        }
        let found = damage(store.open(&dir).unwrap_err());
        assert_eq!(found.last_good_checkpoint, Some(driver.state.seq), "{length}: {found}");
        let fed = whole[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        // A line whose feed alone is missing is whole.
        assert!(found.line <= fed + 2, "{length}: {found}");
        assert_eq!(disk.content(&path).unwrap(), whole[..length], "what is left is evidence");

        if length % 4 != 0 {
            continue;
        }
        // It can be read, and forked from where it was.
        let read = store.load(&dir).unwrap();
        assert_eq!((text(&read.state), read.damage.is_some()), (text(&driver.state), true), "{length}");
        assert_eq!(text(&store.state_at(&dir, driver.state.seq).unwrap()), text(&driver.state));
        let listed = store.list_runs().unwrap();
        assert!(listed.runs[0].damaged, "{length}");
        assert!(!store.verify(&dir, None).unwrap().is_whole(), "{length}");
    }
}

#[test]
fn a_journal_cut_at_any_length_without_checkpoints_is_a_whole_beginning_and_the_head_hash_tells() {
    let mut bench = Bench::new();
    let (driver, batches) = bench.recorded(1, 1);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let head = bench.store.load(&dir).unwrap().place.hash;
    let whole = bench.disk.content(&path).unwrap();
    let mut beginnings: Vec<String> = (1..=batches.len()).map(|count| text(&fold(&batches[..count]))).collect();
    beginnings.reverse();
    for length in interesting(&whole) {
        let (_, store) = with_journal(&bench, &dir, &whole[..length], false);
        match store.load(&dir) {
            Ok(read) => {
                let found = text(&read.state);
                assert!(beginnings.contains(&found) && read.damage.is_none(), "{length}");
                let complete = found == beginnings[0];
                let verified = store.verify(&dir, Some(head)).unwrap();
                assert!(complete || !verified.is_whole(), "{length}: the head hash does not tell");
            }
            Err(JournalError::NeverBegun { .. }) => {
                assert!(length < lines(&whole)[..2].concat().len(), "{length}");
            }
            Err(error) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn a_journal_that_was_rewritten_does_not_pass_for_the_one_of_its_checkpoints() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let dir = bench.store.dir(driver.id());
    // The same run with another past: every line fits the one before it.
    let mut other = Bench::new();
    let (mut forger, first) = Driver::new(1, 2, Durability::Full);
    forger.now += chrono::TimeDelta::seconds(1);
    let mut batches = vec![first];
    batches.extend(forger.whole_run());
    other.record(forger.id(), batches);
    let forged = other.disk.content(&other.journal(forger.id())).unwrap();
    let (_, store) = with_journal(&bench, &dir, &forged, true);
    let found = damage(store.open(&dir).unwrap_err());
    assert!(found.what.contains("rewritten") && found.line == driver.state.seq + 1, "{found}");
    assert_eq!(text(&store.load(&dir).unwrap().state), text(&driver.state));
}

#[test]
fn lines_of_another_run_are_found_wherever_they_stand() {
    let mut bench = Bench::new();
    let (one, _) = bench.recorded(1, 2);
    let (other, _) = bench.recorded(2, 2);
    let (dir, path) = (bench.store.dir(one.id()), bench.journal(one.id()));
    let (own, foreign) = (bench.disk.content(&path).unwrap(), bench.disk.content(&bench.journal(other.id())).unwrap());
    let (own, foreign) = (lines(&own), lines(&foreign));
    for place in 1..=own.len() {
        let mut inserted = own.clone();
        inserted.insert(place, foreign[place.min(foreign.len() - 1)]);
        let mut replaced = own.clone();
        if place < own.len() {
            replaced[place] = foreign[place];
        } else {
            replaced.push(foreign[1]);
        }
        for mixed in [inserted.concat(), replaced.concat()] {
            let (disk, store) = with_journal(&bench, &dir, &mixed, false);
            let problems = store.verify(&dir, None).unwrap().problems;
            assert_eq!(problems[0].line, Some(place as u64 + 1), "{problems:?}");
            assert_eq!(damage(store.open(&dir).unwrap_err()).line, place as u64 + 1);
            assert_eq!(disk.content(&path).unwrap(), mixed);
        }
    }
}

#[test]
fn an_emptied_or_removed_journal_is_damage_where_there_was_a_run() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    for checkpoints in [true, false] {
        for remove in [true, false] {
            let (disk, store) = with_journal(&bench, &dir, b"", checkpoints);
            if remove {
                disk.remove_file(&path).unwrap();
            }
            if !checkpoints {
                // Attempts have run.
                disk.create_dir(&dir.join("output")).unwrap();
            }
            let found = damage(store.open(&dir).unwrap_err());
            assert_eq!(
                (found.line, found.last_good_checkpoint),
                (1, checkpoints.then_some(driver.state.seq)),
                "{found}"
            );
            assert!(!found.to_string().contains("can be removed"), "{found}");
            let listed = store.list_runs().unwrap();
            match checkpoints {
                true => {
                    assert!(listed.runs[0].damaged);
                    assert_eq!(text(&store.load(&dir).unwrap().state), text(&driver.state));
                    assert_eq!(text(&store.state_at(&dir, driver.state.seq).unwrap()), text(&driver.state));
                }
                false => assert!(matches!(listed.unreadable[0].1, JournalError::Damaged(_)), "{listed:?}"),
            }
        }
    }
}

#[test]
fn a_copy_of_a_run_is_not_that_run() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let copy = bench.store.dir(Uuid::from_u128(77));
    for entry in bench.disk.list(&bench.store.dir(driver.id())).unwrap() {
        let content = bench.disk.content(&bench.store.dir(driver.id()).join(&entry.name)).unwrap();
        bench.disk.put(&copy.join(&entry.name), content);
    }
    let said = format!("a copy of run {}", driver.id());
    for refused in [bench.store.open(&copy).err(), bench.store.load(&copy).err(), bench.store.verify(&copy, None).err()]
    {
        let refused = refused.unwrap();
        assert!(refused.to_string().contains(&said), "{refused}");
    }
    let listed = bench.store.list_runs().unwrap();
    assert_eq!((listed.runs.len(), listed.unreadable.len()), (1, 1), "{listed:?}");
    assert!(bench.store.open(&bench.store.dir(driver.id())).is_ok());
}

#[test]
fn with_relaxed_durability_a_checkpoint_that_knows_more_is_told_and_left_aside() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 2, Durability::Relaxed);
    let batches: Vec<Batch> = vec![first, driver.ask(Command::Start)];
    let before = driver.state.clone();
    bench.record(driver.id(), batches);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let kept = bench.disk.content(&path).unwrap();
    bench.record(driver.id(), [driver.ask(Command::Pause)]);
    let (_, store) = with_journal(&bench, &dir, &kept, true);
    let (ledger, found) = store.open(&dir).unwrap();
    assert_eq!(text(ledger.state()), text(&before));
    assert!(found.ignored[0].what.contains("relaxed durability"), "{:?}", found.ignored);
}

#[test]
fn damage_behind_a_whole_checkpoint_is_told_wherever_the_run_is_shown() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("dented", json!([{"step_id": "a", "run": "true"}]));
    sandbox.ok(0, &["run", &plan, "--headless"]);
    let dented = sandbox.journal().replacen("dented", "dinted", 1);
    std::fs::write(sandbox.run_dir().join("journal.jsonl"), &dented).unwrap();
    let shown = sandbox.run(&["show", "dented"]);
    assert!((shown.text() + &shown.stderr).contains("damaged at line 2"), "{}{}", shown.text(), shown.stderr);
    assert!(sandbox.run(&["checkpoints", "dented"]).stderr.contains("damaged at line 2"));
    let resumed = sandbox.run(&["resume", "dented", "--retry", "a", "--headless"]);
    assert_eq!(resumed.code, Some(1), "{}", resumed.stderr);
    sandbox.ok(0, &["prune", "--keep", "0", "--yes"]);
    assert_eq!(sandbox.journal(), dented, "damage is evidence");
}

/// The real thing: a finished run whose journal was cut at a line's end does not run its steps again.
#[test]
fn a_cut_journal_does_not_make_completed_steps_run_again() {
    let sandbox = Sandbox::new();
    let steps = json!([{"step_id": "a", "run": "echo a >> ran"}, {"step_id": "b", "run": "echo b >> ran"}]);
    let plan = sandbox.plan("cut", steps);
    sandbox.ok(0, &["run", &plan, "--headless"]);
    let journal = sandbox.journal();
    let beginning: String = journal.split_inclusive('\n').take(6).collect();
    std::fs::write(sandbox.run_dir().join("journal.jsonl"), &beginning).unwrap();
    let refused = sandbox.run(&["resume", "cut", "--retry", "a", "--headless"]);
    assert_eq!(refused.code, Some(1), "{}{}", refused.text(), refused.stderr);
    assert!(
        refused.stderr.contains("it was cut") && refused.stderr.contains("last good checkpoint"),
        "{}",
        refused.stderr
    );
    assert_eq!(sandbox.read("ran"), "a\nb\n");
    assert_eq!(sandbox.journal(), beginning);
    assert!(sandbox.ok(0, &["runs"]).contains("damaged"));
}
