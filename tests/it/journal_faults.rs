//! Disks that fail and machines that lose power: what was acknowledged is there, what was not is void, and other runs go on.

use std::sync::Arc;

use holdpoint::journal::sim::{EIO, ENOSPC, Fault, KILL, Operation, SimDisk};
use holdpoint::journal::{Cause, Entry, JournalError, Published, Store};
use holdpoint::run::{Command, Durability, Outcome, RunState};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::journal_support::{Batch, Bench, Driver, append, create, fold, text};

fn fault(operation: Operation, path: &str, after: u32, times: u32, code: i32) -> Fault {
    Fault { operation, path_contains: path.into(), after, times, code }
}

#[test]
fn a_failed_write_or_sync_stops_that_run_alone_and_what_was_acknowledged_survives() {
    for (operation, code) in [(Operation::Append, ENOSPC), (Operation::Sync, EIO), (Operation::Sync, ENOSPC)] {
        let mut bench = Bench::new();
        let (mut bad, first_bad) = Driver::new(1, 3, Durability::Full);
        let (mut good, first_good) = Driver::new(2, 3, Durability::Full);
        bench.record(bad.id(), [first_bad, bad.open()]);
        bench.record(good.id(), [first_good, good.open()]);
        let acknowledged = bad.state.clone();
        let mut watched = bench.committer.subscribe(bad.id()).unwrap();

        // Longer than the first repair takes: it must be tried again.
        let journal = format!("{}/journal.jsonl", bad.id());
        bench.disk.fail(fault(operation, &journal, 0, 3, code));
        let void = bad.ask(Command::Start);
        let committed = bench.commit(vec![append(void.clone()), append(good.ask(Command::Start))]);
        assert_eq!(committed.durable, [(good.id(), good.state.seq)]);
        let failure = &committed.failed[0];
        assert_eq!((committed.failed.len(), failure.run_id, failure.will_retry), (1, bad.id(), true));
        assert_eq!(text(failure.state.as_ref().unwrap()), text(&acknowledged));
        let said = if code == ENOSPC { "No space left on device" } else { "Input/output error" };
        assert!(failure.error.contains(said) && failure.error.contains("journal.jsonl"), "{}", failure.error);

        // Nobody saw the void batch; whoever looks sees the trouble.
        assert!(
            matches!(watched.events.try_recv(), Ok(Published::Storage(Some(trouble))) if trouble.error == failure.error)
        );
        assert!(matches!(watched.events.try_recv(), Err(TryRecvError::Empty)));
        assert!(bench.committer.subscribe(bad.id()).unwrap().storage.is_some());
        let dir = bench.store.dir(bad.id());
        assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&acknowledged));

        // Until it is repaired nothing of it is taken.
        let refused = bench.commit(vec![append(void)]);
        assert_eq!((refused.durable.len(), refused.failed.len()), (0, 1));

        let mut tries = 0;
        while bench.repair().is_empty() {
            tries += 1;
            assert!(tries < 10);
        }
        assert_eq!(tries, 2, "two repairs met the fault as well");
        while let Ok(told) = watched.events.try_recv() {
            if matches!(told, Published::Storage(None)) {
                break;
            }
        }
        bad.state = acknowledged;
        bench.record(bad.id(), [bad.ask(Command::Start), bad.end(Outcome::succeeded())]);
        assert!(matches!(watched.events.try_recv(), Ok(Published::Batch(_))));

        // A kernel that had dropped the failed pages must not matter: everything acknowledged is on the disk.
        bench.disk.cut_power(3);
        bench.restart();
        for driver in [&bad, &good] {
            let dir = bench.store.dir(driver.id());
            assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&driver.state));
            assert!(bench.store.verify(&dir, None).unwrap().is_whole());
        }
    }
}

#[test]
fn a_run_that_cannot_be_made_leaves_nothing_behind() {
    for (operation, path) in [
        (Operation::CreateDir, ""),
        (Operation::CreateFile, "journal.jsonl"),
        (Operation::Append, "journal.jsonl"),
        (Operation::Sync, "journal.jsonl"),
        (Operation::SyncDir, ""),
    ] {
        let mut bench = Bench::new();
        let (driver, events) = Driver::new(1, 1, Durability::Full);
        bench.disk.fail(fault(operation, path, 0, 1, ENOSPC));
        let committed = bench.commit(vec![create(events.clone())]);
        assert_eq!((committed.durable.len(), committed.failed.len()), (0, 1), "{operation:?}");
        assert!(committed.failed[0].state.is_none() && !committed.failed[0].will_retry);
        let listed = bench.store.list_runs().unwrap();
        assert!(listed.runs.is_empty() && listed.unreadable.is_empty(), "{operation:?}: {listed:?}");
        // The same again goes well.
        bench.record(driver.id(), [events]);
    }
}

#[test]
fn a_full_checkpoint_that_cannot_be_written_is_told_and_the_run_goes_on() {
    for operation in [Operation::CreateFile, Operation::Append, Operation::Sync, Operation::Rename] {
        let mut bench = Bench::new();
        bench.disk.fail(fault(operation, "checkpoint-", 0, u32::MAX, ENOSPC));
        let (driver, _) = bench.recorded(1, 3);
        let dir = bench.store.dir(driver.id());
        assert!(bench.troubles.lock().unwrap()[0].contains("No space left on device"), "{operation:?}");
        assert!(bench.store.full_checkpoints(&dir).unwrap().is_empty());
        assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&driver.state));
    }
}

#[test]
fn a_thousand_runs_are_made_and_recorded_with_few_syncs() {
    let mut bench = Bench::new();
    let mut drivers = Vec::new();
    let mut entries = Vec::new();
    for number in 1..=1000 {
        let (driver, events) = Driver::new(number, 1, Durability::Full);
        entries.push(create(events));
        drivers.push(driver);
    }
    let syncs = |disk: &SimDisk| {
        let journals = disk.calls(Operation::Sync) - disk.calls(Operation::Rename);
        (journals, disk.calls(Operation::SyncDir) - disk.calls(Operation::Rename))
    };
    assert_eq!(bench.commit(entries).durable.len(), 1000);
    assert_eq!(syncs(&bench.disk), (1, 0), "the disk's own figures, less those for full checkpoints");
    let entries = drivers.iter_mut().map(|driver| append(driver.open())).collect();
    assert_eq!(bench.commit(entries).durable.len(), 1000);
    assert_eq!(syncs(&bench.disk), (2, 0));
    bench.disk.cut_power(1);
    bench.restart();
    assert_eq!(bench.store.list_runs().unwrap().runs.len(), 1000);
}

#[test]
fn what_a_run_gets_in_one_group_is_one_batch() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 2, Durability::Full);
    let run_id = driver.id();
    let entries = vec![create(first), append(driver.open()), append(driver.ask(Command::Start))];
    let committed = bench.commit(entries);
    assert_eq!(committed.durable, [(run_id, driver.state.seq)]);
    assert_eq!(bench.disk.calls(Operation::Append), 2, "one write for the batch, one for a full checkpoint");
    let text = String::from_utf8(bench.disk.content(&bench.journal(run_id)).unwrap()).unwrap();
    assert_eq!(text.matches("\"end\":true").count(), 1);
}

#[test]
fn a_relaxed_run_is_not_synced_and_opens_after_a_power_cut_all_the_same() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 4, Durability::Relaxed);
    let mut batches = vec![first];
    batches.extend(driver.whole_run());
    bench.record(driver.id(), batches.clone());
    let synced_for_checkpoints = bench.disk.calls(Operation::Rename);
    assert_eq!(bench.disk.calls(Operation::Sync), synced_for_checkpoints);
    assert_eq!(text(&bench.store.load(&bench.store.dir(driver.id())).unwrap().state), text(&driver.state));
    bench.disk.cut_power(5);
    bench.restart();
    let dir = bench.store.dir(driver.id());
    match bench.store.open(&dir) {
        Ok((ledger, _)) => {
            assert!((1..=batches.len()).any(|count| text(&fold(&batches[..count])) == text(ledger.state())));
        }
        Err(error) => assert!(
            matches!(
                error,
                // A full checkpoint may have reached the disk before anything of the journal: then there was a run.
                JournalError::NeverBegun { .. } | JournalError::Io { .. } | JournalError::Damaged(_)
            ),
            "{error}"
        ),
    }
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_is_told_and_can_start_again() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 400, Durability::Full);
    bench.record(driver.id(), [first, driver.open(), driver.ask(Command::Start)]);
    let mut slow = bench.committer.subscribe(driver.id()).unwrap();
    let mut state: RunState = (*slow.state).clone();
    for _ in 0..300 {
        let batch = driver.end(Outcome::succeeded());
        bench.record(driver.id(), [batch]);
    }
    assert!(matches!(slow.events.recv().await, Err(RecvError::Lagged(missed)) if missed == 300 - 256));
    let mut again = bench.committer.subscribe(driver.id()).unwrap();
    assert_eq!(text(&again.state), text(&driver.state));
    assert_eq!(again.recent.len(), 300);
    assert_eq!(again.recent.last().unwrap().seq, driver.state.seq);

    // Nothing is missing between the state and what follows.
    state.clone_from(&again.state);
    bench.record(driver.id(), [driver.end(Outcome::succeeded())]);
    let Ok(Published::Batch(batch)) = again.events.recv().await else { panic!("no batch") };
    for event in batch.events.iter() {
        state.apply(event);
    }
    assert_eq!(text(&state), text(&driver.state));
}

#[test]
fn a_follower_of_a_journal_gets_what_takes_the_place_of_a_void_batch() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 2, Durability::Full);
    bench.record(driver.id(), [first, driver.open()]);
    let dir = bench.store.dir(driver.id());
    let mut follower = bench.store.read_events(&dir, 1).unwrap();
    assert_eq!(follower.read(100).unwrap().len(), 2);
    // The follower reads between the write and the failing sync.
    let path = bench.journal(driver.id());
    let before = bench.disk.content(&path).unwrap();
    let acknowledged = driver.state.clone();
    let void = driver.ask(Command::Start);
    bench.record(driver.id(), [void.clone()]);
    assert_eq!(follower.read(100).unwrap().len(), 1);
    bench.disk.put(&path, before);
    let (ledger, _) =
        Bench::on(bench.disk.clone()).store.open(&dir).map_err(|error| error.to_string()).unwrap_or_else(|_| {
            bench.close(driver.id());
            bench.store.open(&dir).unwrap()
        });
    driver.state = acknowledged;
    bench.commit(vec![Entry::Adopt(Box::new(ledger))]);
    let other: Batch = driver.ask(Command::Cancel);
    bench.record(driver.id(), [other.clone()]);
    let seen: Vec<_> = follower.read(100).unwrap().into_iter().flatten().map(|line| line.recorded).collect();
    assert_eq!(seen, other.iter().map(|event| (**event).clone()).collect::<Vec<_>>());
}

#[test]
fn a_batch_whose_sync_failed_before_a_kill_does_not_become_a_hole() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 3, Durability::Full);
    bench.record(driver.id(), [first, driver.open()]);
    // The sync fails, and the process ends before it can do anything about it: the kernel holds the batch as written.
    bench.disk.fail(fault(Operation::Sync, "journal.jsonl", 0, 1, EIO));
    bench.disk.fail(fault(Operation::Truncate, "journal.jsonl", 0, 1, KILL));
    let batch = driver.ask(Command::Start);
    bench.commit(vec![append(batch)]);
    assert!(bench.disk.has_ended());
    bench.restart();
    let dir = bench.store.dir(driver.id());
    let (ledger, _) = bench.store.open(&dir).unwrap();
    assert_eq!(text(ledger.state()), text(&driver.state), "it is in the file, so it counts");
    bench.commit(vec![Entry::Adopt(Box::new(ledger))]);
    bench.record(driver.id(), [driver.end(Outcome::succeeded())]);
    bench.disk.cut_power(0);
    bench.restart();
    assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&driver.state));
    assert!(bench.store.verify(&dir, None).unwrap().is_whole());
}

#[test]
fn a_run_whose_making_was_killed_at_the_last_moment_is_kept_once_it_was_opened() {
    for entropy in 0..20 {
        let mut bench = Bench::new();
        let (mut driver, first) = Driver::new(1, 3, Durability::Full);
        bench.disk.fail(fault(Operation::SyncDir, "/checkpoints", 0, 1, KILL));
        bench.commit(vec![create(first)]);
        bench.restart();
        let dir = bench.store.dir(driver.id());
        let (ledger, _) = bench.store.open(&dir).unwrap();
        bench.commit(vec![Entry::Adopt(Box::new(ledger))]);
        bench.record(driver.id(), [driver.ask(Command::Start)]);
        bench.disk.cut_power(entropy);
        bench.restart();
        assert_eq!(text(&bench.store.load(&dir).unwrap().state), text(&driver.state));
    }
}

/// Runs, random groups, random faults, power cuts, and kills in the middle of anything: an acknowledged event is never lost, and nothing
/// half counts. `HOLDPOINT_TEST_SEEDS` says how many histories.
#[test]
fn whatever_fails_what_was_acknowledged_is_there_and_the_rest_is_all_or_nothing() {
    let seeds = std::env::var("HOLDPOINT_TEST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60u64);
    for seed in 0..seeds {
        History::new(seed).run();
    }
}

/// One run's driver and the batches that were acknowledged.
struct Told {
    driver: Driver,
    acknowledged: Vec<Batch>,
    /// On its way: whether it counts after a crash is open.
    open: Option<Batch>,
    /// It failed and the journal was not repaired yet: what the disk kept of it is unknown, so after a crash it may count after all.
    void: Option<Batch>,
}

struct History {
    seed: u64,
    dice: u64,
    bench: Bench,
    runs: Vec<Told>,
    made: u128,
}

impl History {
    fn new(seed: u64) -> Self {
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { seed, dice, bench: Bench::new(), runs: Vec::new(), made: 0 }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }

    fn run(mut self) {
        for _ in 0..25 {
            if self.roll(3) == 0 {
                self.make_trouble();
            }
            let entries = self.decide();
            let committed = self.bench.commit(entries);
            if !self.bench.disk.has_ended() {
                let durable: Vec<_> = committed.durable.iter().map(|(run_id, _)| *run_id).collect();
                self.settle(&durable);
                if self.roll(2) == 0 {
                    let repaired = self.bench.repair();
                    for told in self.runs.iter_mut().filter(|told| repaired.contains(&told.driver.id())) {
                        told.void = None;
                    }
                }
            }
            match self.roll(8) {
                0 => self.bench.disk.kill_process(),
                1 => {
                    let entropy = self.roll(u64::MAX);
                    self.bench.disk.cut_power(entropy);
                }
                _ => {}
            }
            if self.bench.disk.has_ended() {
                self.restart();
            }
        }
    }

    fn make_trouble(&mut self) {
        use Operation::{Append, CreateDir, CreateFile, Rename, Sync, SyncDir, Truncate};
        let operations = [Append, Sync, Sync, Rename, SyncDir, CreateFile, CreateDir, Truncate];
        let operation = operations[self.roll(8) as usize];
        let code = [EIO, ENOSPC, KILL][self.roll(3) as usize];
        let (after, times) = (self.roll(6) as u32, 1 + self.roll(2) as u32);
        self.bench.disk.fail(fault(operation, "", after, times, code));
    }

    fn decide(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for number in 0..self.runs.len() {
            let (skip, choice, end) = (self.roll(3) == 0, self.roll(4), self.roll(2) == 0);
            if skip {
                continue;
            }
            let Told { driver, open, .. } = &mut self.runs[number];
            let events = match choice {
                _ if end && driver.state.live().next().is_some() => driver.end(Outcome::succeeded()),
                _ if driver.state.status.is_ended() => driver.open(),
                0 => driver.open(),
                _ if driver.state.started_at.is_none() => driver.ask(Command::Start),
                value => driver.ask(Command::SetParallel { value: 1 + value as u32 }),
            };
            *open = Some(events.clone());
            entries.push(append(events));
        }
        if self.runs.len() < 3 {
            self.made += 1;
            let (driver, events) = Driver::new(self.made, 3, Durability::Full);
            entries.push(create(events.clone()));
            self.runs.push(Told { driver, acknowledged: Vec::new(), open: Some(events), void: None });
        }
        entries
    }

    /// The group is through: what is durable counts, the rest is void.
    fn settle(&mut self, durable: &[uuid::Uuid]) {
        for Told { driver, acknowledged, open, void } in &mut self.runs {
            let Some(events) = open.take() else { continue };
            if durable.contains(&driver.id()) {
                assert!(void.is_none(), "nothing is taken before a repair");
                acknowledged.push(events);
            } else if !acknowledged.is_empty() {
                driver.state = fold(acknowledged);
                void.get_or_insert(events);
            }
        }
        self.runs.retain(|told| !told.acknowledged.is_empty());
    }

    fn restart(&mut self) {
        let seed = self.seed;
        self.bench.disk.heal();
        self.bench.restart();
        for mut told in std::mem::take(&mut self.runs) {
            let dir = self.bench.store.dir(told.driver.id());
            let (ledger, _) = match self.bench.store.open(&dir) {
                Ok(opened) => opened,
                Err(JournalError::NeverBegun { .. } | JournalError::Io { .. }) if told.acknowledged.is_empty() => {
                    continue;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            };
            let found = text(ledger.state());
            let with = |batch: Option<Batch>| told.acknowledged.iter().cloned().chain(batch).collect::<Vec<_>>();
            let (open, void) = (told.open.take(), told.void.take());
            let mut possible = [with(open), with(void), with(None)].into_iter().filter(|batches| !batches.is_empty());
            told.acknowledged = possible
                .find(|batches| text(&fold(batches)) == found)
                .unwrap_or_else(|| panic!("seed {seed}: acknowledged {:?}, found {found}", told.acknowledged));
            told.driver.state = fold(&told.acknowledged);
            let problems = self.bench.store.verify(&dir, None).unwrap().problems;
            assert!(problems.is_empty(), "seed {seed}: {problems:?}");
            self.bench.commit(vec![Entry::Adopt(Box::new(ledger))]);
            self.runs.push(told);
        }
    }
}

#[test]
fn a_lock_is_let_go_when_its_run_is_closed() {
    let mut bench = Bench::new();
    let (driver, first) = Driver::new(1, 1, Durability::Full);
    bench.record(driver.id(), [first]);
    let dir = bench.store.dir(driver.id());
    let locked = bench.store.open(&dir).unwrap_err();
    assert!(matches!(locked, JournalError::Locked { owner: Some(pid), .. } if pid == std::process::id()), "{locked}");
    assert!(bench.store.owner(&dir).is_some());
    bench.close(driver.id());
    assert!(bench.store.owner(&dir).is_none());
    let store = Store::on(Arc::new(bench.disk.clone()), bench.store.root());
    assert!(store.open(&dir).is_ok());
}

#[test]
fn an_event_that_cannot_be_written_is_void_and_the_run_goes_on_without_it() {
    let mut bench = Bench::new();
    let (mut driver, first) = Driver::new(1, 1, Durability::Full);
    bench.record(driver.id(), [first, driver.ask(Command::Start)]);
    let acknowledged = driver.state.clone();
    let mut value = serde_json::Value::Null;
    for _ in 0..200 {
        value = serde_json::json!([value]);
    }
    let too_deep = driver.ask(Command::Complete { step: "step_1".into(), result: Some(value) });
    let committed = bench.commit(vec![append(too_deep)]);
    assert!(!committed.failed[0].will_retry && committed.failed[0].error.contains("levels deep"), "{committed:?}");
    assert_eq!(text(committed.failed[0].state.as_ref().unwrap()), text(&acknowledged));
    assert_eq!(committed.failed[0].cause, Cause::Event { seq: acknowledged.seq + 1 });
    assert!(bench.committer.next_repair().is_none());
    assert!(bench.committer.subscribe(driver.id()).unwrap().storage.is_none(), "the disk has nothing to do with it");
    driver.state = acknowledged;
    bench.record(driver.id(), [driver.end(Outcome::succeeded())]);
    assert!(bench.store.verify(&bench.store.dir(driver.id()), None).unwrap().is_whole());
}
