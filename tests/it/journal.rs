//! What an operator relies on: what was acknowledged is there, whole, and anything else is told.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use holdpoint::journal::disk::RealDisk;
use holdpoint::journal::{Entry, Group, JournalError, Published, Recorder, RecorderConfig, Report, Store};
use holdpoint::run::{Command, Durability, RunStatus};
use tokio::sync::mpsc;

use crate::journal_support::{Batch, Driver, append, create, text};

/// A recorder on a folder of this machine.
struct Rig {
    recorder: Recorder,
    reports: mpsc::Receiver<Report>,
    store: Store,
    _root: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().join("checkpoints"));
        let (recorder, reports) = Recorder::start(RecorderConfig::new(Arc::new(RealDisk), store.root())).unwrap();
        Self { recorder, reports, store, _root: root }
    }

    async fn report(&mut self) -> Report {
        tokio::time::timeout(Duration::from_secs(20), self.reports.recv()).await.unwrap().unwrap()
    }

    /// Hands over a group; the newest durable numbers. Nothing may fail.
    async fn commit(&mut self, entries: Vec<Entry>) -> Vec<u64> {
        self.recorder.submit(Group { entries }).unwrap();
        let Report::Committed(committed) = self.report().await else { panic!("another report") };
        assert!(committed.failed.is_empty(), "{:?}", committed.failed);
        committed.durable.into_iter().map(|(_, seq)| seq).collect()
    }

    async fn record(&mut self, batches: Vec<Batch>) {
        for events in batches {
            let last = events.last().unwrap().seq;
            assert_eq!(self.commit(vec![append(events)]).await, [last]);
        }
    }

    async fn create(&mut self, number: u128, steps: usize) -> Driver {
        let (driver, events) = Driver::new(number, steps, Durability::Full);
        assert_eq!(self.commit(vec![create(events)]).await, [1]);
        driver
    }
}

#[tokio::test]
async fn a_run_is_read_back_as_it_was_recorded() {
    let mut rig = Rig::new();
    let mut driver = rig.create(1, 3).await;
    let batches = driver.whole_run();
    rig.record(batches).await;
    let dir = rig.store.dir(driver.id());

    let head = rig.recorder.close(driver.id()).await.unwrap();
    let loaded = rig.store.load(&dir).unwrap();
    assert_eq!(text(&loaded.state), text(&driver.state));
    assert_eq!(loaded.state, driver.state);
    assert_eq!((loaded.owner, loaded.cut, &loaded.damage, loaded.place), (None, None, &None, head));
    assert_eq!(loaded.recent.len() as u64, driver.state.seq);

    let verified = rig.store.verify(&dir, Some(head.hash)).unwrap();
    assert!(verified.is_whole(), "{:?}", verified.problems);
    assert_eq!((verified.events, verified.head), (driver.state.seq, Some(head)));
    assert!(verified.checkpoints >= 1);

    let listed = rig.store.list_runs().unwrap();
    assert_eq!(listed.runs.len(), 1);
    assert_eq!(listed.runs[0].summary, driver.state.summary());
    assert_eq!(listed.runs[0].summary.status, RunStatus::Completed);
}

/// langgraph#7843: what a run writes grew with the square of its length. The plan itself is written a few times, however long it is; what a
/// step adds is the same for the last as for the first.
#[tokio::test]
async fn langgraph_7843_what_is_written_grows_with_the_run_and_not_with_its_square() {
    let mut rig = Rig::new();
    let mut bytes_a_step = Vec::new();
    for (number, steps) in [(1, 200), (2, 2000)] {
        let mut driver = rig.create(number, steps).await;
        let run_id = driver.id();
        let entries = driver.whole_run().into_iter().map(append);
        let mut entries: Vec<Entry> = entries.collect();
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(100));
            rig.commit(std::mem::replace(&mut entries, rest)).await;
        }
        rig.recorder.close(run_id).await.unwrap();
        let files = std::fs::read_dir(rig.store.dir(run_id)).unwrap().map(|file| file.unwrap());
        let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
        bytes_a_step.push(bytes / steps as u64);
    }
    let [short, long] = bytes_a_step[..] else { panic!("two lengths") };
    assert!(long < short * 2, "{short} bytes a step in 200 steps, {long} in 2,000");
}

#[tokio::test]
async fn many_runs_at_once_are_recorded_and_published() {
    let mut rig = Rig::new();
    let mut drivers = Vec::new();
    let mut entries = Vec::new();
    for number in 1..=60 {
        let (driver, events) = Driver::new(number, 2, Durability::Full);
        entries.push(create(events));
        drivers.push(driver);
    }
    assert_eq!(rig.commit(entries).await, [1; 60]);
    let mut overview = rig.recorder.overview().await.unwrap();
    assert_eq!(overview.runs.len(), 60);
    let mut watched = rig.recorder.subscribe(drivers[7].id()).await.unwrap();
    assert_eq!(watched.state.seq, 1);

    let mut waiting: Vec<VecDeque<Batch>> = drivers.iter_mut().map(|driver| driver.whole_run().into()).collect();
    while waiting.iter().any(|batches| !batches.is_empty()) {
        let entries: Vec<Entry> = waiting.iter_mut().filter_map(VecDeque::pop_front).map(append).collect();
        rig.commit(entries).await;
    }
    let mut state = (*watched.state).clone();
    while let Ok(Published::Batch(batch)) = watched.events.try_recv() {
        batch.events.iter().for_each(|event| state.apply(event));
        assert_eq!(batch.state.as_deref(), Some(&state), "the state that is told is the fold of what is told");
    }
    assert_eq!(text(&state), text(&drivers[7].state));
    let mut last = HashMap::new();
    while let Ok(update) = overview.updates.try_recv() {
        last.insert(update.summary.run_id, update.summary.clone());
    }
    for driver in &drivers {
        assert_eq!(last[&driver.id()], driver.state.summary());
    }
    rig.recorder.close_all().await;
    for driver in &drivers {
        let dir = rig.store.dir(driver.id());
        assert!(rig.store.owner(&dir).is_none());
        assert_eq!(text(&rig.store.load(&dir).unwrap().state), text(&driver.state));
        let newest = rig.store.full_checkpoints(&dir).unwrap().pop();
        assert_eq!(newest, Some(driver.state.seq), "the last full file is there when the run is closed");
    }
    assert!(rig.recorder.subscribe(drivers[0].id()).await.is_none());
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let mut rig = Rig::new();
    let driver = rig.create(1, 1).await;
    rig.recorder.close(driver.id()).await;
    let dir = rig.store.dir(driver.id());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(rig.store.root()), mode(&dir)), (0o700, 0o700));
    for entry in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn a_run_goes_on_in_another_recorder_where_it_was() {
    let mut rig = Rig::new();
    let mut driver = rig.create(1, 2).await;
    rig.record(vec![]).await;
    let batch = driver.open();
    rig.record(vec![batch]).await;
    rig.recorder.close(driver.id()).await;
    let dir = rig.store.dir(driver.id());
    let (ledger, found) = rig.store.open(&dir).unwrap();
    assert!(found.cut.is_none() && found.ignored.is_empty());
    assert_eq!(ledger.recent().count(), 2);
    let seq = ledger.place().seq;
    assert_eq!(rig.commit(vec![Entry::Adopt(Box::new(ledger))]).await, [seq]);
    let rest = driver.whole_run();
    rig.record(rest).await;
    assert_eq!(text(&rig.store.load(&dir).unwrap().state), text(&driver.state));
}

#[tokio::test]
async fn what_is_not_synced_is_recorded_on_the_spot_and_mended_by_the_thread() {
    let mut rig = Rig::new();
    let (mut driver, events) = Driver::new(1, 3, Durability::Relaxed);
    rig.commit(vec![create(events)]).await;
    let group = |batch| Group { entries: vec![append(batch)] };

    let mut opened = group(driver.open());
    let committed = loop {
        match rig.recorder.record(opened) {
            Ok(committed) => break committed,
            // The thread has just told of the last group and looks whether there is more.
            Err(back) => opened = back,
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((committed.durable, committed.failed.len()), (vec![(driver.id(), 2)], 0));
    let dir = rig.store.dir(driver.id());
    assert_eq!(text(&rig.store.load(&dir).unwrap().state), text(&driver.state));

    let before = driver.state.clone();
    std::fs::rename(dir.join("journal.jsonl"), dir.join("aside")).unwrap();
    let started = driver.ask(Command::Start);
    let committed = rig.recorder.record(group(started.clone())).unwrap();
    assert!(committed.durable.is_empty() && committed.failed[0].will_retry, "{committed:?}");
    let mended = rig.report().await;
    assert!(matches!(mended, Report::Writable { run_id } if run_id == driver.id()), "{mended:?}");
    assert_eq!(text(&rig.store.load(&dir).unwrap().state), text(&before));
    rig.record(vec![started]).await;
    assert_eq!(text(&rig.store.load(&dir).unwrap().state), text(&driver.state));

    let mut durable = rig.create(2, 1).await;
    let opened = durable.open();
    assert!(rig.recorder.record(group(opened)).is_err(), "a sync is waited for");
}

/// Not a test by itself: the other process of the next one.
#[test]
#[ignore = "started by a_run_that_is_open_in_another_process_is_refused_with_its_process_id"]
fn holds_a_run_open() {
    let Some(dir) = std::env::var_os("HOLDPOINT_TEST_RUN_DIR") else { return };
    let dir = std::path::PathBuf::from(dir);
    let _ledger = Store::at(dir.parent().unwrap()).open(&dir).unwrap();
    println!("\nheld");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
async fn a_run_that_is_open_in_another_process_is_refused_with_its_process_id() {
    let mut rig = Rig::new();
    let driver = rig.create(1, 1).await;
    rig.recorder.close(driver.id()).await;
    let dir = rig.store.dir(driver.id());
    let mut other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::holds_a_run_open", "--ignored", "--nocapture"])
        .env("HOLDPOINT_TEST_RUN_DIR", &dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(other.stdout.take().unwrap()).lines().map_while(Result::ok).find(|line| line == "held");
    assert!(said.is_some());
    let refused = rig.store.open(&dir).unwrap_err();
    assert!(matches!(refused, JournalError::Locked { owner: Some(pid), .. } if pid == other.id()), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", other.id())), "{refused}");
    // Others may read.
    let loaded = rig.store.load(&dir).unwrap();
    assert_eq!(loaded.owner.unwrap().pid, Some(other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(rig.store.open(&dir).is_ok(), "a killed owner holds nothing");
}
