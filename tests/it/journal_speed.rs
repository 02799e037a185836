//! What the journal costs. What is measured is not run with the others: `cargo test --release --test it journal_speed -- --ignored --nocapture --test-threads 1`

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdpoint::journal::disk::RealDisk;
use holdpoint::journal::{Committer, Group, RecorderConfig, Stamp, Store, format};
use holdpoint::run::{Command, Durability, Outcome, RunStatus};

use crate::journal_support::{Batch, Driver, append, create};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

#[test]
#[ignore = "a measurement"]
fn one_event() {
    let (mut driver, mut batches) = long_run(10_000);
    batches.remove(0);
    let events: Vec<_> = batches.iter().flatten().collect();
    let mut buffer = Vec::new();
    let mut hash = format::encode_header(&mut buffer, driver.id(), driver.now);
    let (time, ()) = timed(|| {
        for event in &events {
            hash = format::encode_event(&mut buffer, &hash, event, true).unwrap();
        }
    });
    println!(
        "encode: {:.2} µs an event, {} bytes",
        time.as_secs_f64() * 1e6 / events.len() as f64,
        buffer.len() / events.len()
    );
    let lines: Vec<&[u8]> = buffer.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()).collect();
    let (time, decoded) = timed(|| lines.iter().map(|line| format::decode_event(line).unwrap()).collect::<Vec<_>>());
    println!("decode: {:.2} µs an event", time.as_secs_f64() * 1e6 / events.len() as f64);
    driver.state = holdpoint::run::RunState::from_registration(&long_run(10_000).1[0][0]).unwrap();
    let (time, ()) = timed(|| decoded.iter().for_each(|event| driver.state.apply(event)));
    println!("apply: {:.2} µs an event", time.as_secs_f64() * 1e6 / events.len() as f64);
}

fn long_run(steps: usize) -> (Driver, Vec<Batch>) {
    let (mut driver, first) = Driver::new(1, steps, Durability::Full);
    let mut batches = vec![first, driver.open(), driver.ask(Command::Start)];
    while driver.state.status == RunStatus::Running {
        batches.push(driver.end(Outcome::succeeded()));
    }
    (driver, batches)
}

fn rig() -> (tempfile::TempDir, Committer, Store) {
    let root = tempfile::tempdir_in(std::env::var_os("HOLDPOINT_TEST_DISK").unwrap_or_else(|| ".".into())).unwrap();
    let store = Store::at(root.path().join("checkpoints"));
    let config = RecorderConfig::new(Arc::new(RealDisk), store.root());
    (root, Committer::new(config, Box::new(|_, what| panic!("{what}"))).unwrap(), store)
}

/// So many bytes this thread has read so far.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let counts = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn for_the_list_a_run_that_goes_on_is_read_again_only_when_it_has_gone_on() {
    let (_root, mut committer, store) = rig();
    let (mut driver, first) = Driver::new(1, 2000, Durability::Relaxed);
    let start = driver.ask(Command::Start);
    committer.commit(Group { entries: vec![create(first)] });
    committer.commit(Group { entries: vec![append(start)] });
    let mut more = |driver: &mut Driver, steps: usize| {
        let entries = (0..steps).map(|_| append(driver.end(Outcome::succeeded()))).collect();
        assert!(committer.commit(Group { entries }).failed.is_empty());
        let journal = store.dir(driver.id()).join("journal.jsonl");
        while !Stamp::at(&journal).unwrap().is_settled() {
            std::thread::yield_now();
        }
        std::fs::metadata(journal).unwrap().len()
    };
    let listed = |driver: &Driver| {
        let before = bytes_read();
        let list = store.list_runs().unwrap();
        assert_eq!(list.runs[0].summary, driver.state.summary());
        bytes_read() - before
    };
    let length = more(&mut driver, 1000);
    assert!(listed(&driver) >= length, "all of it is read");
    let again = listed(&driver);
    assert!(again < length / 4, "nothing has happened since: {again} of {length} bytes");
    let length = more(&mut driver, 1);
    assert!(listed(&driver) >= length / 2, "it has gone on");
}

#[test]
#[ignore = "a measurement"]
fn a_long_run() {
    let (_root, mut committer, store) = rig();
    let (driver, mut batches) = long_run(10_000);
    let run_id = driver.id();
    committer.commit(Group { entries: vec![create(batches.remove(0))] });
    for chunk in batches.chunks(200) {
        let entries = chunk.iter().map(|events| append(events.clone())).collect();
        assert!(committer.commit(Group { entries }).failed.is_empty());
    }
    let (reply, done) = tokio::sync::oneshot::channel();
    committer.close(run_id, reply);
    done.blocking_recv().unwrap();
    let dir = store.dir(run_id);
    println!("full files at {:?} of {}", store.full_checkpoints(&dir).unwrap(), driver.state.seq);
    let (time, _) = timed(|| store.load(&dir).unwrap());
    println!("load: {time:.1?}");
    let (time, _) = timed(|| store.open(&dir).unwrap());
    println!("open: {time:.1?}");
    let (time, verified) = timed(|| store.verify(&dir, None).unwrap());
    println!("verify: {time:.1?} {}", verified.is_whole());
    let places: Vec<u64> = driver.state.checkpoints.iter().map(|mark| mark.seq).step_by(97).collect();
    let times: Vec<Duration> = places.iter().map(|seq| timed(|| store.state_at(&dir, *seq).unwrap()).0).collect();
    println!("state at a checkpoint: median {:.1?}, worst {:.1?}", median(times.clone()), times.iter().max().unwrap());
}

#[test]
#[ignore = "a measurement"]
fn many_runs() {
    for count in [1, 8, 64, 256, 1000] {
        let (_root, mut committer, store) = rig();
        let mut drivers: Vec<Driver> = Vec::new();
        let mut entries = Vec::new();
        for number in 1..=count {
            let (driver, events) = Driver::new(number, 20, Durability::Full);
            entries.push(create(events));
            drivers.push(driver);
        }
        let (made, _) = timed(|| committer.commit(Group { entries }));
        let mut group = |step: &dyn Fn(&mut Driver) -> Batch| {
            let entries = drivers.iter_mut().map(|driver| append(step(driver))).collect();
            let (time, committed) = timed(|| committer.commit(Group { entries }));
            assert!(committed.failed.is_empty());
            time
        };
        group(&|driver| driver.ask(Command::Start));
        let times: Vec<Duration> = (0..20).map(|_| group(&|driver| driver.end(Outcome::succeeded()))).collect();
        let (listed, list) = timed(|| store.list_runs().unwrap());
        assert_eq!(list.runs.len(), count as usize);
        println!(
            "{count} runs: made in {made:.1?}, a group of one batch each {:.1?}, listed in {listed:.1?}",
            median(times)
        );
    }
}
