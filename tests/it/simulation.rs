//! Whole plans with random commands on a simulated disk, stopped at every single boundary between two calls of the disk and in the middle of
//! every write: by a kill, and by power cuts. What is found then is opened, compared, verified and gone on with. In every second history the
//! disk also fails on the way.
//!
//! Images of the disk make this cheap: a history is run once, and each of its boundaries is a case or more. `HOLDPOINT_SIM_CASES` makes more
//! cases, `HOLDPOINT_SIM_SEED` begins with the history that is named when something is wrong. For many cases:
//! `HOLDPOINT_SIM_CASES=100000 cargo test --release --test it simulation -- --nocapture`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use holdpoint::journal::sim::{EIO, ENOSPC, Fault, Image, Operation, SimDisk};
use holdpoint::journal::{Entry, JournalError, Store};
use holdpoint::run::{Event, OutcomeStatus, PauseReason, RunStatus, StepStatus};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::chaos::Random;
use crate::journal_support::{Batch, Bench};
use crate::run_props::Case;
use crate::run_random::{Ask, Op, Pick, PlanShape, op, plan_shape};
use crate::run_support::{Driver, fold};

/// In an ordinary round of tests: some seconds without optimisation.
const CASES: u64 = 600;
/// Inputs to a run.
const INPUTS: usize = 24;
/// Power cuts at each boundary, beside the kill.
const CUTS: u64 = 2;

#[test]
fn stopped_at_any_boundary_nothing_acknowledged_is_lost_and_nothing_completed_runs_again() {
    let wanted = from_env("HOLDPOINT_SIM_CASES").unwrap_or(CASES);
    let first = from_env("HOLDPOINT_SIM_SEED").unwrap_or_else(|| std::process::id().into());
    println!("HOLDPOINT_SIM_SEED={first}");
    let (next, cases, histories) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while cases.load(Ordering::Relaxed) < wanted {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let _named = Named(seed);
                    cases.fetch_add(History::live(seed).stop_everywhere(), Ordering::Relaxed);
                    histories.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (cases, seconds) = (cases.into_inner(), start.elapsed().as_secs_f64());
    println!(
        "{cases} cases in {} histories, {seconds:.1} s: {:.0} a minute",
        histories.into_inner(),
        cases as f64 / seconds * 60.0
    );
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Says which history it was, should it panic.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see it again: HOLDPOINT_SIM_SEED={} HOLDPOINT_SIM_CASES=1", self.0);
        }
    }
}

/// From a number of disk calls on, what the next process may find.
struct Window {
    from: u64,
    /// Nothing was acknowledged yet: there may be no run.
    or_nothing: bool,
    may_find: Vec<Arc<Driver>>,
}

/// A run's life on a disk, with what could be found at every moment of it.
struct History {
    seed: u64,
    shape: PlanShape,
    images: Vec<Image>,
    windows: Vec<Window>,
}

impl History {
    fn live(seed: u64) -> Self {
        let mut runner = runner(seed);
        let shape = random(&mut runner, &plan_shape());
        let inputs: Vec<Op> = (0..INPUTS).map(|_| random(&mut runner, &op())).collect();
        let mut dice = Random(seed);
        let disk = SimDisk::new();
        let mut bench = Bench::on(disk.clone());
        disk.keep_images();
        if seed % 2 == 1 {
            let code = if dice.below(2) == 0 { EIO } else { ENOSPC };
            let (after, times) = (dice.below(90) as u32, 1 + dice.below(3) as u32);
            disk.fail(Fault { operation: Operation::Any, path_contains: String::new(), after, times, code });
        }
        let mut case = Case::new(&shape);
        let mut life = Life { bench: &mut bench, windows: Vec::new(), durable: 0, acknowledged: None };
        let mut alive = life.commit(&mut case.driver);
        let start = Op::Ask { ask: Ask::Start, user: 0, command_id: None, seen: None };
        for input in std::iter::once(&start).chain(&inputs) {
            if !alive {
                break;
            }
            // Crashes are what the images are for.
            if !matches!(input, Op::Crash { .. }) {
                case.run(input);
            }
            // Now and then more is decided while the disk is busy.
            if dice.below(3) > 0 {
                alive = life.commit(&mut case.driver);
            }
        }
        let windows = life.windows;
        Self { seed, shape, images: disk.take_images(), windows }
    }

    /// How many cases that were.
    fn stop_everywhere(&self) -> u64 {
        let mut cases = 0;
        let mut gone_on: BTreeSet<u64> = BTreeSet::new();
        for (number, image) in self.images.iter().enumerate() {
            let Some(window) = self.windows.iter().rev().find(|window| window.from <= image.calls) else { continue };
            for cut in 0..=CUTS {
                let disk = image.disk();
                if cut > 0 {
                    disk.cut_power(self.seed ^ (number as u64) << 8 ^ cut);
                }
                let place = format!("seed {}, image {number} of {}, cut {cut}", self.seed, self.images.len());
                self.find(window, &disk.restarted(), &mut gone_on, &place);
                cases += 1;
            }
        }
        cases
    }

    fn find(&self, window: &Window, disk: &SimDisk, gone_on: &mut BTreeSet<u64>, place: &str) {
        let store = Store::on(Arc::new(disk.clone()), "/checkpoints");
        let dir = store.dir(run_id());
        let ledger = match store.open(&dir) {
            Ok((ledger, _)) => ledger,
            Err(JournalError::NeverBegun { .. } | JournalError::Io { .. }) if window.or_nothing => return,
            Err(error) => panic!("{place}: {error}"),
        };
        let found = window.may_find.iter().find(|driver| driver.state == **ledger.state());
        let seqs: Vec<u64> = window.may_find.iter().map(|driver| driver.state.seq).collect();
        let found = found.unwrap_or_else(|| panic!("{place}: found {}, not one of {seqs:?}", ledger.state().seq));
        drop(ledger);
        let verified = store.verify(&dir, None).unwrap();
        assert!(verified.is_whole(), "{place}: {:?}", verified.problems);
        // What is found is the same wherever it is found: going on once is enough.
        if gone_on.insert(found.state.seq) {
            self.go_on(found, disk, place);
        }
    }

    /// The next engine opens the run and brings it to its end as an operator would, without ever asking for what is completed.
    fn go_on(&self, found: &Driver, disk: &SimDisk, place: &str) {
        let mut bench = Bench::on(disk.clone());
        let dir = bench.store.dir(run_id());
        let (ledger, _) = bench.store.open(&dir).unwrap();
        bench.commit(vec![Entry::Adopt(Box::new(ledger))]);
        let mut case = Case::new(&self.shape);
        case.driver = found.clone();
        let completed: BTreeSet<String> = steps_in(found, StepStatus::Completed).collect();
        let before = found.journal.len();
        case.run(&Op::Crash { lost: 0, go_on: true, from_file: false });
        for _ in 0..40 {
            let state = &case.driver.state;
            if state.live().next().is_some() {
                case.run(&Op::End { which: 0, status: OutcomeStatus::Succeeded });
            } else if state.status == RunStatus::Paused && state.paused.contains(&PauseReason::Recovered) {
                let interrupted = state.steps.iter().position(|step| step.status == StepStatus::Interrupted);
                // Of a step by its position, as `Case` picks it.
                let ask = match interrupted.and_then(|position| u8::try_from(position * 4 + 2).ok()) {
                    Some(pick) => Ask::Retry(Pick(pick), false),
                    None => Ask::Resume,
                };
                case.run(&Op::Ask { ask, user: 0, command_id: None, seen: None });
            } else {
                break;
            }
        }
        for recorded in &case.driver.journal[before..] {
            if let Event::AttemptStarted { step, .. } = &recorded.event {
                assert!(!completed.contains(step), "{place}: {step} was completed and runs again");
            }
        }
        let mut from = before;
        for end in case.driver.batches.iter().copied().filter(|end| *end > before) {
            let events = case.driver.journal[from..end].to_vec();
            let state = Arc::new(fold(&case.driver.journal[..end]));
            bench.record(run_id(), [Batch { events, state }]);
            from = end;
        }
        bench.close(run_id());
        assert!(bench.store.verify(&dir, None).unwrap().is_whole(), "{place}");
        assert_eq!(bench.store.load(&dir).unwrap().state, case.driver.state, "{place}");
    }
}

fn steps_in(driver: &Driver, status: StepStatus) -> impl Iterator<Item = String> {
    let state = &driver.state;
    state
        .steps
        .iter()
        .zip(&state.plan.steps)
        .filter(move |(step, _)| step.status == status)
        .map(|(_, step)| step.step_id.clone())
}

/// The engine's part: hands what was decided to the recorder, and goes back when the disk did not take it.
struct Life<'a> {
    bench: &'a mut Bench,
    windows: Vec<Window>,
    /// How many events are durable.
    durable: usize,
    acknowledged: Option<Arc<Driver>>,
}

impl Life<'_> {
    /// Commits what is new as one group; whether there is still a run.
    fn commit(&mut self, driver: &mut Driver) -> bool {
        if driver.journal.len() == self.durable {
            return true;
        }
        let decided = Arc::new(driver.clone());
        self.open_window(Some(&decided));
        let events = driver.journal[self.durable..].to_vec();
        let (run_id, state) = (run_id(), Arc::new(driver.state.clone()));
        let entry = match self.acknowledged {
            None => Entry::Create { run_id, events, state },
            Some(_) => Entry::Append { run_id, events, state },
        };
        let committed = self.bench.commit(vec![entry]);
        if committed.failed.is_empty() {
            self.durable = driver.journal.len();
            self.acknowledged = Some(decided);
            self.open_window(None);
            return true;
        }
        // Until the journal is written anew, what was void may still be found.
        let Some(acknowledged) = self.acknowledged.clone() else { return false };
        driver.journal.truncate(acknowledged.journal.len());
        driver.batches.truncate(acknowledged.batches.len());
        driver.state = acknowledged.state.clone();
        assert_eq!(fold(&driver.journal), **committed.failed[0].state.as_ref().unwrap());
        for _ in 0..10 {
            if !self.bench.repair().is_empty() {
                self.open_window(None);
                return true;
            }
        }
        panic!("the disk is well again, and the journal is not");
    }

    fn open_window(&mut self, decided: Option<&Arc<Driver>>) {
        let may_find = self.acknowledged.iter().chain(decided).cloned().collect();
        let from = self.bench.disk.calls(Operation::Any);
        self.windows.push(Window { from, or_nothing: self.acknowledged.is_none(), may_find });
    }
}

/// The id that the driver gives its runs.
fn run_id() -> uuid::Uuid {
    uuid::Uuid::from_u128(7)
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn random<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}
