//! Reading journals and checkpoints: torn ends, damage, every place of a run, lists.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use holdpoint::journal::disk::Disk;
use holdpoint::journal::sim::SimDisk;
use holdpoint::journal::{JournalError, LineHash, ResolveError, Store};
use holdpoint::run::{Command, Durability, RunState, RunStatus, short_id};
use uuid::Uuid;

use crate::journal_support::{Batch, Bench, Driver, fold, text};

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

#[test]
fn a_torn_last_batch_is_cut_off_at_every_byte_and_nothing_before_it_is_lost() {
    let mut bench = Bench::new();
    let (driver, batches) = bench.recorded(1, 2);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    let last = batches.last().unwrap();
    assert!(last.len() > 1, "the last batch has several events");
    let start: usize =
        lines(&whole).iter().take(1 + driver.state.seq as usize - last.len()).map(|line| line.len()).sum();
    let before = fold(&batches[..batches.len() - 1]);
    for length in start..whole.len() {
        // Zeros where the disk had room but no content yet; that they are there matters, not where exactly.
        for zeros in [0, 100].into_iter().take(if length % 9 == 0 { 2 } else { 1 }) {
            let disk = SimDisk::new();
            let mut torn = whole[..length].to_vec();
            torn.resize(length + zeros, 0);
            disk.put(&path, torn);
            let store = Store::on(Arc::new(disk.clone()), bench.store.root());
            let read = store.load(&dir).unwrap();
            // Only the line feed is missing: then it is all there.
            let complete = length == whole.len() - 1 && zeros == 0;
            let expected = if complete { &driver.state } else { &before };
            assert_eq!(text(&read.state), text(expected), "{length}");
            assert!(read.damage.is_none(), "{length}: {:?}", read.damage);
            assert_eq!(read.cut.is_some(), !complete && length + zeros > start, "{length}");

            let (ledger, found) = store.open(&dir).unwrap();
            assert_eq!(text(ledger.state()), text(expected), "{length}");
            assert_eq!(found.cut, read.cut);
            if let Some(cut) = found.cut {
                assert_eq!(cut.first_line, before.seq + 2);
                assert_eq!(cut.bytes as usize, length + zeros - start);
            }
            // It goes on from there.
            let now = disk.content(&path).unwrap();
            assert_eq!(now, whole[..if complete { whole.len() } else { start }], "{length}");
            assert!(store.verify(&dir, None).unwrap().is_whole());
        }
    }
}

#[test]
fn every_changed_byte_of_a_journal_is_found() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 1, Durability::Full);
    let batches = vec![first, driver.ask(Command::Start), driver.end(holdpoint::run::Outcome::succeeded())];
    bench.record(driver.id(), batches);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    let newest = driver.state.seq;
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= [1, 0x20, 0x80][place % 3];
        let disk = SimDisk::new();
        disk.put(&path, changed.clone());
        let store = Store::on(Arc::new(disk.clone()), bench.store.root());
        match store.verify(&dir, None) {
            Ok(verified) => assert!(!verified.is_whole(), "byte {place} of {} passed", whole.len()),
            Err(JournalError::Newer { .. }) => {}
            Err(error) => panic!("byte {place}: {error}"),
        }
        // Never skipped, never cut away: what was acknowledged stays in the file.
        match store.open(&dir) {
            Err(JournalError::Damaged(damage)) => {
                let line = 1 + whole[..place].iter().filter(|byte| **byte == b'\n').count() as u64;
                assert!(damage.line == line, "byte {place}: line {} instead of {line}: {}", damage.line, damage.what);
                assert!(damage.last_good_checkpoint.is_none_or(|seq| seq < newest));
            }
            Err(JournalError::Newer { .. }) => {}
            other => panic!("byte {place} was opened: {other:?}"),
        }
        assert_eq!(disk.content(&path).unwrap(), changed);
    }
}

#[test]
fn a_line_that_is_missing_or_in_another_place_is_found() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 2);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    let lines = lines(&whole);
    for missing in 1..lines.len() - 1 {
        let kept: Vec<&[u8]> =
            lines.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| *line).collect();
        bench.disk.put(&path, kept.concat());
        let verified = bench.store.verify(&dir, None).unwrap();
        assert_eq!(verified.problems[0].line, Some(missing as u64 + 1), "{:?}", verified.problems);
    }
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    bench.disk.put(&path, swapped.concat());
    assert_eq!(bench.store.verify(&dir, None).unwrap().problems[0].line, Some(5));
}

#[test]
fn a_cut_or_rewritten_journal_is_found_by_the_head_hash() {
    let mut bench = Bench::new();
    let (driver, batches) = bench.recorded(1, 2);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let head = bench.store.load(&dir).unwrap().place;
    assert!(bench.store.verify(&dir, Some(head.hash)).unwrap().is_whole());
    let whole = bench.disk.content(&path).unwrap();
    let kept = 1 + driver.state.seq as usize - batches.last().unwrap().len();
    bench.disk.put(&path, lines(&whole)[..kept].concat());
    for seq in bench.store.full_checkpoints(&dir).unwrap() {
        bench.disk.remove_file(&dir.join(format!("checkpoint-{seq}.json"))).unwrap();
    }
    assert!(
        bench.store.verify(&dir, None).unwrap().is_whole(),
        "a cut at a batch's end cannot be seen without the head"
    );
    let verified = bench.store.verify(&dir, Some(head.hash)).unwrap();
    assert!(verified.problems[0].what.contains("rewritten or cut"), "{:?}", verified.problems);
    assert!("no hash".parse::<LineHash>().is_err());
    assert_eq!(head.hash.to_string().parse::<LineHash>().unwrap(), head.hash);
}

#[test]
fn the_state_at_every_place_is_the_fold_up_to_it() {
    let mut bench = Bench::new();
    let (driver, batches) = bench.recorded(1, 6);
    let dir = bench.store.dir(driver.id());
    assert!(bench.store.full_checkpoints(&dir).unwrap().len() > 2);
    let events: Vec<_> = batches.iter().flatten().cloned().collect();
    for seq in 1..=driver.state.seq {
        let expected = fold(&[events[..seq as usize].to_vec()]);
        let found = bench.store.state_at(&dir, seq).unwrap();
        assert_eq!(text(&found), text(&expected), "at {seq}");
        assert_eq!(found, expected, "at {seq}");
        let document = bench.store.checkpoint(&dir, seq).unwrap();
        assert_eq!(document["checkpoint_id"], format!("cp-{seq}"));
        assert_eq!(document["plan_id"], "chain");
        assert_eq!(document["step_index"], expected.step_index());
        assert_eq!(document["completed_steps"].as_array().unwrap().len(), expected.step_index() as usize);
        let state: RunState = serde_json::from_value(document["plan_state"].clone()).unwrap();
        assert_eq!(text(&state), text(&expected));
        assert!(document["timestamp"].is_string() && document["context"].is_object());
    }
    let missing = bench.store.state_at(&dir, driver.state.seq + 1).unwrap_err();
    assert!(matches!(missing, JournalError::NoSuchPlace { .. }), "{missing}");
    assert!(bench.store.state_at(&dir, 0).is_err());
}

#[test]
fn a_full_checkpoint_that_is_damaged_is_ignored_and_told() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 3);
    let dir = bench.store.dir(driver.id());
    let newest = *bench.store.full_checkpoints(&dir).unwrap().last().unwrap();
    let path = dir.join(format!("checkpoint-{newest}.json"));
    let whole = bench.disk.content(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bad in [flipped, whole[..whole.len() - 10].to_vec(), Vec::new()] {
        bench.disk.put(&path, bad);
        let read = bench.store.load(&dir).unwrap();
        assert_eq!(text(&read.state), text(&driver.state));
        assert_eq!(read.ignored.len(), 1, "{:?}", read.ignored);
        assert_eq!(read.ignored[0].path, path);
        assert_eq!(text(&bench.store.state_at(&dir, newest).unwrap()), text(&driver.state));
        let verified = bench.store.verify(&dir, None).unwrap();
        assert_eq!(verified.problems.len(), 1, "{:?}", verified.problems);
        assert_eq!(verified.problems[0].path, path);
        let (ledger, found) = bench.store.open(&dir).unwrap();
        assert_eq!((text(ledger.state()), found.ignored.len()), (text(&driver.state), 1));
    }
}

#[test]
fn a_damaged_run_can_be_read_and_offers_its_last_good_checkpoint() {
    let mut bench = Bench::new();
    let (driver, batches) = bench.recorded(1, 6);
    let (dir, path) = (bench.store.dir(driver.id()), bench.journal(driver.id()));
    let whole = bench.disk.content(&path).unwrap();
    let full = bench.store.full_checkpoints(&dir).unwrap();
    for seq in &full {
        bench.disk.remove_file(&dir.join(format!("checkpoint-{seq}.json"))).unwrap();
    }
    let middle = batches.len() / 2;
    let place: usize = lines(&whole)[..1 + fold(&batches[..middle]).seq as usize].iter().map(|line| line.len()).sum();
    let mut changed = whole.clone();
    changed[place + 20] ^= 1;
    bench.disk.put(&path, changed);
    let read = bench.store.load(&dir).unwrap();
    let before = fold(&batches[..middle]);
    assert_eq!(text(&read.state), text(&before));
    let damage = read.damage.unwrap();
    let good = damage.last_good_checkpoint.unwrap();
    assert_eq!(Some(good), before.checkpoints.last().map(|mark| mark.seq));
    assert!(damage.to_string().contains(&format!("line {}", before.seq + 2)), "{damage}");
    assert!(bench.store.state_at(&dir, good).is_ok());
    assert!(matches!(bench.store.state_at(&dir, before.seq + 1), Err(JournalError::Damaged(_))));
    let listed = bench.store.list_runs().unwrap();
    assert!(listed.runs[0].damaged);
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_touched() {
    let disk = SimDisk::new();
    let run_id = Uuid::from_u128(9);
    let store = Store::on(Arc::new(disk.clone()), "/checkpoints");
    let (dir, bytes) = (store.dir(run_id), b"{\"holdpoint_journal\":2,\"compressed\":true}\nabc".to_vec());
    disk.put(&dir.join("journal.jsonl"), bytes.clone());
    for refused in [store.open(&dir).err(), store.load(&dir).err(), store.verify(&dir, None).err()] {
        let refused = refused.unwrap();
        assert!(matches!(refused, JournalError::Newer { version: 2, .. }), "{refused}");
        assert!(refused.to_string().contains("newer holdpoint"), "{refused}");
    }
    assert_eq!(disk.content(&dir.join("journal.jsonl")).unwrap(), bytes);
    assert_eq!(disk.list(&dir).unwrap().len(), 1, "not even a lock was made");
    assert_eq!(store.list_runs().unwrap().unreadable.len(), 1);
}

#[test]
fn a_folder_whose_making_was_interrupted_holds_no_run() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 1);
    let whole = bench.disk.content(&bench.journal(driver.id())).unwrap();
    let first_two: usize = lines(&whole)[..2].iter().map(|line| line.len()).sum();
    for length in 0..first_two - 1 {
        let disk = SimDisk::new();
        disk.put(&bench.journal(driver.id()), whole[..length].to_vec());
        let store = Store::on(Arc::new(disk), bench.store.root());
        let refused = store.open(&bench.store.dir(driver.id())).unwrap_err();
        assert!(matches!(refused, JournalError::NeverBegun { .. }), "{length}: {refused}");
    }
}

#[test]
fn a_link_in_place_of_a_run_or_its_journal_is_refused() {
    let mut bench = Bench::new();
    let (driver, _) = bench.recorded(1, 1);
    let linked = bench.store.dir(Uuid::from_u128(5));
    bench.disk.put_link(&linked);
    assert!(bench.store.open(&linked).is_err());
    assert_eq!(bench.store.list_runs().unwrap().runs.len(), 1, "a link is not listed");

    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path());
    let dir = store.dir(driver.id());
    std::fs::create_dir(&dir).unwrap();
    let elsewhere = root.path().join("elsewhere");
    std::fs::write(&elsewhere, bench.disk.content(&bench.journal(driver.id())).unwrap()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.join("journal.jsonl")).unwrap();
    let refused = store.open(&dir).unwrap_err();
    assert!(refused.to_string().contains("symbolic link"), "{refused}");
}

#[test]
fn runs_are_listed_newest_first_with_what_each_needs() {
    let mut bench = Bench::new();
    let mut expected = Vec::new();
    for number in 1..=40 {
        let (mut driver, first) = Driver::new(number, 2, Durability::Full);
        let mut batches = vec![first];
        match number % 4 {
            0 => batches.extend(driver.whole_run()),
            1 => batches.push(driver.ask(Command::Start)),
            2 => batches.extend([driver.ask(Command::Start), driver.ask(Command::Pause)]),
            _ => {}
        }
        bench.record(driver.id(), batches);
        if number % 2 == 0 {
            bench.close(driver.id());
        }
        expected.push((driver.state.summary(), number % 2 == 1));
    }
    expected.reverse();
    let listed = bench.store.list_runs().unwrap();
    let found: Vec<_> = listed.runs.iter().map(|run| (run.summary.clone(), run.owner.is_some())).collect();
    assert_eq!(found, expected);
    assert!(listed.unreadable.is_empty());
    assert!(Store::on(Arc::new(SimDisk::new()), "/nowhere").list_runs().unwrap().runs.is_empty());
}

#[test]
fn a_run_is_found_by_id_part_plan_or_latest() {
    let mut bench = Bench::new();
    let ids: Vec<Uuid> = [0x11aa, 0x22bb, 0x33aa].into_iter().map(|number| bench.recorded(number, 1).0.id()).collect();
    let resolve = |name: &str| bench.store.resolve(name).map(|(run_id, _)| run_id);
    assert_eq!(resolve(&ids[0].to_string()).unwrap(), ids[0]);
    assert_eq!(resolve("22bb").unwrap(), ids[1]);
    assert_eq!(resolve("22BB").unwrap(), ids[1]);
    // The first letters of the short id that is shown, and of the whole one.
    assert_eq!(resolve(&short_id(ids[1])[..5]).unwrap(), ids[1], "{}", short_id(ids[1]));
    assert_eq!(resolve(&ids[2].to_string()[..35]).unwrap(), ids[2]);
    assert_eq!(resolve("latest").unwrap(), ids[2]);
    assert_eq!(resolve("chain").unwrap(), ids[2]);
    let ambiguous = resolve("aa").unwrap_err();
    assert!(matches!(&ambiguous, ResolveError::Ambiguous { found, .. } if found == &[ids[2], ids[0]]), "{ambiguous}");
    let missing = resolve("nothing-like-it").unwrap_err();
    assert!(missing.to_string().contains("lists the 3"), "{missing}");
    assert!(matches!(resolve(""), Err(ResolveError::NotFound { .. })));
}

#[test]
fn events_are_handed_out_line_by_line_as_they_come() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 3, Durability::Full);
    bench.record(driver.id(), [first]);
    let dir = bench.store.dir(driver.id());
    let mut all = bench.store.read_events(&dir, 1).unwrap();
    let mut late = bench.store.read_events(&dir, 4).unwrap();
    let mut seen = Vec::new();
    let mut seen_late = Vec::new();
    for batch in driver.whole_run() {
        bench.record(driver.id(), [batch]);
        seen.extend(all.read(3).unwrap().into_iter().flatten());
        seen_late.extend(late.read(usize::MAX).unwrap().into_iter().flatten());
    }
    loop {
        let more = all.read(1).unwrap();
        if more.is_empty() {
            break;
        }
        seen.extend(more.into_iter().flatten());
    }
    let whole = bench.disk.content(&bench.journal(driver.id())).unwrap();
    let text: Vec<String> = String::from_utf8(whole).unwrap().lines().map(String::from).collect();
    assert_eq!(seen.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), text[1..]);
    assert_eq!(seen_late.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), text[4..]);
    assert!(seen.iter().zip(1..).all(|(line, seq)| line.recorded.seq == seq));
}

/// Ten thousand steps: what they cost on disk, and how far the nearest full file is.
#[test]
fn a_long_run_stays_small_and_every_place_of_it_near_a_full_file() {
    const STEPS: usize = 10_000;
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, STEPS, Durability::Full);
    let run_id = driver.id();
    let plan_bytes = serde_json::to_vec(&driver.state.plan).unwrap().len();
    bench.record(run_id, [first]);
    let (dir, path) = (bench.store.dir(run_id), bench.journal(run_id));
    let mut group: Vec<Batch> = vec![driver.open(), driver.ask(Command::Start)];
    let mut written = 0;
    while driver.state.status == RunStatus::Running {
        group.push(driver.end(holdpoint::run::Outcome::succeeded()));
        // An operator who pauses now and then must not make it grow.
        if group.len() > 500 {
            group.push(driver.ask(Command::Pause));
            group.push(driver.ask(Command::Resume));
            bench.record_together(group.drain(..));
        }
        written += 1;
    }
    bench.record_together(group);
    assert!(written >= STEPS);
    let full = bench.store.full_checkpoints(&dir).unwrap();
    let size = |path: &Path| bench.disk.content(path).unwrap().len();
    let full_bytes: usize = full.iter().map(|seq| size(&dir.join(format!("checkpoint-{seq}.json")))).sum();
    let total = size(&path) + full_bytes;
    let per_step = (total - 5 * plan_bytes) / STEPS;
    println!(
        "{} full files, {full_bytes} bytes; journal {}; plan {plan_bytes}; {per_step} a step",
        full.len(),
        size(&path)
    );
    assert!(per_step <= 1536, "{per_step} bytes a step");
    let gap = full.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap <= driver.state.seq * 36 / 100, "{full:?}");
    let mut bytes = Vec::new();
    bench.disk.open_read(&path).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bench.store.verify(&dir, None).unwrap().is_whole());
}

/// Written by version 1 of the format, and never changed since: old journals open.
#[test]
fn a_journal_of_format_version_1_still_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1");
    if std::env::var_os("HOLDPOINT_MAKE_FIXTURES").is_some() {
        let mut bench = Bench::new();
        let (driver, _) = bench.recorded(1, 3);
        let dir = bench.store.dir(driver.id());
        let to = fixture.join(driver.id().to_string());
        std::fs::create_dir_all(&to).unwrap();
        for entry in bench.disk.list(&dir).unwrap().into_iter().filter(|entry| entry.name != "lock") {
            std::fs::write(to.join(&entry.name), bench.disk.content(&dir.join(&entry.name)).unwrap()).unwrap();
        }
        let head = bench.store.load(&dir).unwrap().place.hash;
        std::fs::write(fixture.join("head"), format!("{head}\n")).unwrap();
    }
    let store = Store::at(&fixture);
    let (_, dir) = store.resolve("latest").unwrap();
    let verified = store.verify(&dir, None).unwrap();
    assert!(verified.is_whole(), "{:?}", verified.problems);
    let loaded = store.load(&dir).unwrap();
    assert_eq!(loaded.state.status, RunStatus::Completed);
    assert_eq!(loaded.state.step_index(), 3);
    assert_eq!(loaded.state.interventions.len(), 4);
    assert_eq!(loaded.state.steps[0].attempts.len(), 2);
    assert_eq!(
        loaded.place.hash.to_string(),
        std::fs::read_to_string(fixture.join("head")).unwrap().trim(),
        "the head hash noted when it was written"
    );
}
