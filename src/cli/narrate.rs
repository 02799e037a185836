//! Tells a run as it goes: its events as lines for people, or the journal's lines as they are on disk.
//!
//! A thread of its own reads the journal and writes to stdout, so that a slow reader holds up neither the engine nor the run. It is told
//! which events are durable, tells no later ones, and keeps nothing in memory for a reader that does not read.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::console::log::{Log, Weight};
use crate::console::output::{TAIL_LINES, tail};
use crate::console::words::Zone;
use crate::engine::output_path;
use crate::journal::{Events, JOURNAL, JournalError, JournalLine, Store};
use crate::run::{AlertRules, Event, Recorded, RunState, Then};

use super::args::RunFormat;
use super::page::{Page, complain};
use super::say::{Ink, Paint};
use super::signals::{Asked, Signals};

/// How long until a journal that could not be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Lines of the journal read at once.
const AT_ONCE: usize = 500;
/// Where a line begins that goes on below a time.
const BELOW: &str = "          ";

/// Where the telling begins.
pub struct Beginning {
    /// The run's folder.
    pub dir: PathBuf,
    /// The first event that is told; 1 for all, with the journal's first line.
    pub from: u64,
    /// The state before it; `None` when it is the first.
    pub state: Option<RunState>,
    /// What is told by alerts.
    pub alerts: AlertRules,
    /// Nobody else writes them to the log of the program.
    pub logs_alerts: bool,
}

/// Tells a run from a thread of its own.
pub struct Teller {
    shared: Arc<Shared>,
    /// Closes with the thread.
    ended: oneshot::Receiver<()>,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// Grows with every event that was told.
    told: AtomicU64,
}

#[derive(Default)]
struct Orders {
    durable: u64,
    notes: Vec<String>,
    end: bool,
}

impl Shared {
    fn progress(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        // Orders are plain values: whoever panicked has left them whole.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Teller {
    /// Starts to tell.
    ///
    /// # Errors
    /// The journal cannot be read, or the system has no thread.
    pub fn start(store: &Store, beginning: Beginning, format: RunFormat, paint: Paint) -> Result<Self, JournalError> {
        let events = store.read_events(&beginning.dir, beginning.from)?;
        let shared = Arc::new(Shared::default());
        let mut voice = Voice {
            format,
            paint,
            root: store.root().to_owned(),
            dir: beginning.dir,
            header_is_due: format == RunFormat::Jsonl && beginning.from <= 1,
            log: Log::watching(beginning.alerts, beginning.state.as_ref()),
            state: beginning.state,
            logs_alerts: beginning.logs_alerts,
            deaf: false,
        };
        let orders = Arc::clone(&shared);
        let (alive, ended) = oneshot::channel();
        let work = move || {
            let _alive = alive;
            voice.tell_all(events, &orders);
        };
        std::thread::Builder::new().name("teller".into()).spawn(work).map_err(|error| JournalError::Io {
            what: "follow",
            path: voice_path(store),
            error,
        })?;
        Ok(Self { shared, ended })
    }

    /// Events up to this number are durable.
    pub fn durable(&self, seq: u64) {
        let mut orders = self.shared.orders();
        orders.durable = orders.durable.max(seq);
        self.shared.changed.notify_one();
    }

    /// Something to say that is no event; goes to stderr.
    pub fn note(&self, text: impl Into<String>) {
        self.shared.orders().notes.push(text.into());
        self.shared.changed.notify_one();
    }

    /// Tells the rest and ends; says whether all was told. A reader that takes nothing for as long as `patience`, or a signal to stop, ends
    /// it before: the thread is left where it waits, with the lock on stdout, so nobody may write there any more.
    pub async fn finish(&mut self, signals: &mut Signals, patience: Duration) -> bool {
        self.shared.orders().end = true;
        self.shared.changed.notify_one();
        let mut told = self.shared.progress();
        loop {
            tokio::select! {
                // Had it panicked, the hook has said so; the run itself is not touched by it.
                _ = &mut self.ended => return true,
                () = tokio::time::sleep(patience) => {
                    let now = self.shared.progress();
                    if now == told {
                        return false;
                    }
                    told = now;
                }
                signal = signals.next() => if matches!(signal, Asked::Stop(_)) {
                    return false;
                },
            }
        }
    }
}

fn voice_path(store: &Store) -> PathBuf {
    store.root().to_owned()
}

struct Voice {
    format: RunFormat,
    paint: Paint,
    root: PathBuf,
    dir: PathBuf,
    header_is_due: bool,
    state: Option<RunState>,
    log: Log,
    logs_alerts: bool,
    /// Nobody reads stdout any more.
    deaf: bool,
}

impl Voice {
    fn tell_all(&mut self, mut events: Events, shared: &Shared) {
        let mut read: VecDeque<JournalLine> = VecDeque::new();
        let mut told = 0;
        // Whether the journal could not be read the last time: its folder may be back in a while, and notes are told meanwhile.
        let mut failing = false;
        loop {
            let (durable, notes, end) = {
                let mut orders = shared.orders();
                let most = if failing { READ_AGAIN } else { Duration::MAX };
                let waited = shared.changed.wait_timeout_while(orders, most, |orders| {
                    (failing || orders.durable <= told) && orders.notes.is_empty() && !orders.end
                });
                orders = waited.unwrap_or_else(PoisonError::into_inner).0;
                (orders.durable, std::mem::take(&mut orders.notes), orders.end)
            };
            while told < durable {
                if read.is_empty() {
                    match events.read(AT_ONCE) {
                        Ok(batches) if batches.is_empty() => {
                            failing = false;
                            break;
                        }
                        Ok(batches) => {
                            failing = false;
                            read.extend(batches.into_iter().flatten());
                        }
                        Err(error) => {
                            if !failing {
                                complain(&format!("the journal cannot be followed, which is tried again: {error}"));
                            }
                            failing = true;
                            break;
                        }
                    }
                }
                // What is in the file may be some milliseconds ahead of what is durable.
                while let Some(line) = read.pop_front_if(|line| line.recorded.seq <= durable) {
                    told = told.max(line.recorded.seq);
                    self.tell(&line);
                    shared.told.fetch_add(1, Ordering::Relaxed);
                }
                if read.front().is_some_and(|line| line.recorded.seq > durable) {
                    break;
                }
            }
            if !failing {
                told = told.max(durable);
            }
            for note in notes {
                complain(&note);
            }
            if end {
                return;
            }
        }
    }

    fn tell(&mut self, line: &JournalLine) {
        let told = match self.format {
            RunFormat::Jsonl => self.tell_line(&line.text),
            RunFormat::Text => self.tell_event(&line.recorded),
        };
        if told.is_err() && !self.deaf {
            self.deaf = true;
            complain("nobody reads the output any more; the run goes on");
        }
    }

    fn tell_line(&mut self, line: &str) -> io::Result<()> {
        if self.deaf {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if std::mem::take(&mut self.header_is_due) {
            out.write_all(&first_line(&self.dir)?)?;
        }
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    fn tell_event(&mut self, recorded: &Recorded) -> io::Result<()> {
        match &mut self.state {
            Some(state) => state.apply(recorded),
            none => *none = RunState::from_registration(recorded),
        }
        let Some(state) = &self.state else { return Ok(()) };
        let before = self.log.lines().len();
        if before > 1000 {
            self.log.clear();
        }
        let before = self.log.lines().len();
        let alerts = self.log.push(recorded, state);
        for alert in alerts.iter().filter(|_| self.logs_alerts) {
            tracing::warn!(run = %state.run_id, plan = state.plan.plan_id, "alert: {}", alert.message);
        }
        if self.deaf {
            return Ok(());
        }
        let mut out = Page::on(io::stdout().lock(), self.paint);
        for line in self.log.lines().iter().skip(before) {
            let ink = match line.weight {
                Weight::Quiet => Ink::Plain,
                Weight::Person => Ink::Strong,
                Weight::Good => Ink::Good,
                Weight::Attention => Ink::Attention,
                Weight::Bad => Ink::Bad,
            };
            let clock = self.paint.ink(Ink::Dim, &Zone::Local.clock(line.time));
            out.hanging(&format!("{clock}  {}", self.paint.ink(ink, &line.text)), BELOW)?;
        }
        if let Event::AttemptEnded { step, attempt, then: Then::Fail { .. } | Then::Retry { .. }, .. } = &recorded.event
        {
            for line in tail(&output_path(&self.root, state.run_id, step, *attempt), TAIL_LINES) {
                out.quoted(BELOW, &line)?;
            }
        }
        out.flush()
    }
}

/// The journal's first line, which says what the file is, with its line feed.
///
/// # Errors
/// The file cannot be read.
pub fn first_line(dir: &Path) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(std::fs::File::open(dir.join(JOURNAL))?).read_until(b'\n', &mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until as many events were told.
    fn told(teller: &Teller, count: u64) {
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        while teller.shared.progress() < count {
            assert!(std::time::Instant::now() < patience, "{} of {count} events were told", teller.shared.progress());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test]
    async fn a_journal_that_is_away_for_a_while_is_told_when_it_is_back() {
        let root = tempfile::tempdir().unwrap();
        let id = "01900000-0000-7000-8000-000000000001";
        let dir = root.path().join(id);
        std::fs::create_dir(&dir).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1").join(id).join(JOURNAL);
        std::fs::copy(fixture, dir.join(JOURNAL)).unwrap();
        let store = Store::on(Arc::new(crate::journal::disk::RealDisk), root.path());
        let alerts = AlertRules::default();
        let beginning = Beginning { dir: dir.clone(), from: 1, state: None, alerts, logs_alerts: false };
        let mut teller = Teller::start(&store, beginning, RunFormat::Text, Paint::new(true, false)).unwrap();
        let away = root.path().join("away");
        std::fs::rename(&dir, &away).unwrap();
        teller.durable(9);
        // When this is told, it was tried to read what is not there.
        teller.note("where is it?");
        while !teller.shared.orders().notes.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(teller.ended.try_recv() == Err(oneshot::error::TryRecvError::Empty), "it goes on");
        assert_eq!(teller.shared.progress(), 0);
        std::fs::rename(&away, &dir).unwrap();
        told(&teller, 9);
        teller.shared.orders().end = true;
        teller.shared.changed.notify_one();
        assert!((&mut teller.ended).await.is_err(), "the thread has ended");
    }
}
