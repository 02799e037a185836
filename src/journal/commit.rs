//! What the recorder does with a group, without its thread: write, make durable, publish; fail and repair.
//!
//! It folds nothing: what is decided comes with the state after it, which is the durable state as soon as the events are on the disk.
//!
//! It is a plain value with a plain method for each thing, so that a simulation can drive it step by step.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot};
use uuid::Uuid;

use crate::run::{Durability, Event, Recorded, RunState, RunSummary};

use super::disk::Disk;
use super::ledger::{Ledger, WriteError, Written};
use super::sync::Syncer;
use super::writer::{CheckpointWriter, Job, Trouble};
use super::{JournalError, Owner, RECENT};

/// How the recorder works.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The folder of all runs (`checkpoints/`); made if it is not there.
    pub root: PathBuf,
    /// A full checkpoint follows when the journal since the last one is larger than half of it, and than this many bytes.
    pub full_at_least: u64,
    /// How long to wait before writing is tried again after a failure; doubles up to `retry_at_most`.
    pub retry_first: Duration,
    /// The longest wait.
    pub retry_at_most: Duration,
    /// Full checkpoints are written by a thread of their own; otherwise at once (for simulations).
    pub background_checkpoints: bool,
    /// Who owns the runs that are made.
    pub owner: Owner,
}

impl RecorderConfig {
    /// The usual, for a folder.
    pub fn new(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> Self {
        Self {
            disk,
            root: root.into(),
            full_at_least: 64 << 10,
            retry_first: Duration::from_millis(100),
            retry_at_most: Duration::from_secs(10),
            background_checkpoints: true,
            owner: Owner::this(None),
        }
    }
}

/// What the engine asks of the recorder, to be done together.
#[derive(Debug, Default)]
pub struct Group {
    /// In order. What one run gets in a group becomes one batch: after a tear all of it counts or none.
    pub entries: Vec<Entry>,
}

/// One thing to do.
#[derive(Debug)]
pub enum Entry {
    /// A new run: its folder and its first events, the first of which registers it.
    Create {
        /// Its id; also the name of its folder.
        run_id: Uuid,
        /// Its first events.
        events: Vec<Arc<Recorded>>,
        /// Its state after them.
        state: Arc<RunState>,
    },
    /// A run that was opened by [`Ledger::open`] is recorded from now on.
    Adopt(Box<Ledger>),
    /// More events of a run.
    Append {
        /// Which run.
        run_id: Uuid,
        /// The events, which follow the newest one.
        events: Vec<Arc<Recorded>>,
        /// The run's state after them; of several entries of a run the last one's counts.
        state: Arc<RunState>,
    },
}

/// What became of a group: one message for all of it.
#[derive(Debug, Default)]
pub struct Committed {
    /// Runs whose events are durable, with the newest one's number.
    pub durable: Vec<(Uuid, u64)>,
    /// Runs whose events in this group are void.
    pub failed: Vec<Failure>,
}

/// A run's events could not be made durable: they are void, the run goes back to the state here.
///
/// The journal is written anew without them. Should this process end before that is done, it is for the next one to find out what the
/// disk kept: a batch that is whole in the file then counts after all.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which run.
    pub run_id: Uuid,
    /// Why, in words for the operator.
    pub error: String,
    /// Whose fault it is.
    pub cause: Cause,
    /// The durable state; `None` when the run could not even be made.
    pub state: Option<Arc<RunState>>,
    /// Whether [`Report::Writable`](super::Report::Writable) will follow when the disk takes it again. Otherwise the run can only be
    /// read, or opened again.
    pub will_retry: bool,
}

/// What makes events void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The disk, or what stands on it.
    Disk,
    /// One of them cannot be written in a way in which it could be read back. Nothing was written, and what is decided without it is taken.
    Event {
        /// Its number.
        seq: u64,
    },
}

/// The disk does not take a run's events. A condition of this process, not an event of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageTrouble {
    /// Why, in words for the operator.
    pub error: String,
    /// Since when.
    pub since: chrono::DateTime<Utc>,
}

/// What the subscribers of a run are told.
#[derive(Debug, Clone)]
pub enum Published {
    /// A batch is durable.
    Batch(Batch),
    /// The disk does not take the run's events, or takes them again (`None`).
    Storage(Option<Arc<StorageTrouble>>),
    /// So much was missed on the way from another process: whoever follows subscribes anew.
    Missed(u64),
}

/// Events of a run that became durable together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events, in order.
    pub events: Arc<Vec<Arc<Recorded>>>,
    /// The run's state after them; `None` on the way from another process, where whoever wants it folds.
    pub state: Option<Arc<RunState>>,
}

impl From<Arc<Vec<Arc<Recorded>>>> for Batch {
    /// Without the state after them.
    fn from(events: Arc<Vec<Arc<Recorded>>>) -> Self {
        Self { events, state: None }
    }
}

impl Batch {
    /// Brings a state of the run up to the one after the batch. What the state already holds is left out: after a renewed subscription it may come
    /// once more.
    pub fn bring(&self, state: &mut RunState) {
        match &self.state {
            Some(after) if after.seq > state.seq => *state = RunState::clone(after),
            Some(_) => {}
            None => self.follow(state, |_, _| {}),
        }
    }

    /// The same, event by event: `each` is told every new event with the state after it. The last of these states is the published one, so
    /// that whoever follows shares it with everybody else.
    pub fn follow(&self, state: &mut RunState, mut each: impl FnMut(&Arc<Recorded>, &RunState)) {
        for recorded in self.events.iter() {
            if recorded.seq <= state.seq {
                continue;
            }
            match &self.state {
                Some(after) if after.seq == recorded.seq => *state = RunState::clone(after),
                _ => state.apply(recorded),
            }
            each(recorded, state);
        }
    }
}

/// A run seen from a moment on: nothing is missing between the state and the first thing received.
#[derive(Debug)]
pub struct Subscription {
    /// The durable state.
    pub state: Arc<RunState>,
    /// The newest events in it, oldest first.
    pub recent: Vec<Arc<Recorded>>,
    /// Whether the disk takes the run's events.
    pub storage: Option<Arc<StorageTrouble>>,
    /// What follows. A reader that falls behind is told how much it missed, and subscribes anew.
    pub events: broadcast::Receiver<Published>,
}

/// A run's line in lists has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunUpdate {
    /// The line.
    pub summary: RunSummary,
    /// Whether the disk takes its events.
    pub storage: Option<Arc<StorageTrouble>>,
    /// Whether it is recorded here; false when it was closed.
    pub open: bool,
}

/// All runs that are recorded here, seen from a moment on.
#[derive(Debug)]
pub struct Overview {
    /// Their lines, oldest run first.
    pub runs: Vec<RunUpdate>,
    /// What follows. A reader that falls behind asks for the overview anew.
    pub updates: broadcast::Receiver<Arc<RunUpdate>>,
}

/// A batch that is not synced and takes longer than this was held up: the system has no room for what is written, or the disk hangs.
const SLOW: Duration = Duration::from_millis(100);
/// How long nobody but the recorder's thread writes then.
const LEAVE_ALONE: Duration = Duration::from_secs(10);

/// How many batches a subscriber may be behind.
pub const BATCHES_BEHIND: usize = 256;
/// How many updates a reader of the overview may be behind.
pub const UPDATES_BEHIND: usize = 4096;

/// The recorder without its thread.
pub struct Committer {
    config: RecorderConfig,
    syncer: Arc<Syncer>,
    writer: CheckpointWriter,
    runs: HashMap<Uuid, Run>,
    updates: broadcast::Sender<Arc<RunUpdate>>,
    buffer: Vec<u8>,
    /// Until when no group counts as quick.
    slow_until: Option<Instant>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("runs", &self.runs.len()).finish_non_exhaustive()
    }
}

struct Run {
    ledger: Ledger,
    subscribers: Option<broadcast::Sender<Published>>,
    trouble: Option<Retry>,
}

struct Retry {
    shown: Arc<StorageTrouble>,
    /// When to try again; `None` when that cannot help.
    next: Option<Instant>,
    pause: Duration,
}

/// What a group holds for one run.
struct Part {
    run_id: Uuid,
    create: bool,
    events: Vec<Arc<Recorded>>,
    state: Arc<RunState>,
}

/// What was written of it.
struct Staged {
    run_id: Uuid,
    created: bool,
    synced: bool,
    written: Written,
}

impl Committer {
    /// Opens the folder of all runs. `trouble` is told about full checkpoints that could not be written.
    ///
    /// # Errors
    /// The folder cannot be made or opened.
    pub fn new(config: RecorderConfig, trouble: Trouble) -> Result<Self, JournalError> {
        let root = &config.root;
        config.disk.create_dirs(root).map_err(JournalError::io("make", root))?;
        let file_system = config.disk.file_system(root).map_err(JournalError::io("open", root))?;
        let syncer = Arc::new(Syncer::new(file_system));
        let writer = CheckpointWriter::start(
            Arc::clone(&config.disk),
            Arc::clone(&syncer),
            config.background_checkpoints,
            trouble,
        );
        let (updates, _) = broadcast::channel(UPDATES_BEHIND);
        Ok(Self { config, syncer, writer, runs: HashMap::new(), updates, buffer: Vec::new(), slow_until: None })
    }

    /// Makes a group durable and publishes it.
    pub fn commit(&mut self, group: Group) -> Committed {
        let mut committed = Committed::default();
        let parts = self.sort_out(group, &mut committed);
        let staged = self.stage(parts, &mut committed);
        let verdicts = self.make_durable(&staged);
        for (staged, verdict) in staged.into_iter().zip(verdicts) {
            let run_id = staged.run_id;
            let done = verdict.and_then(|()| self.in_place(run_id)).map_err(WriteError::Io);
            let done = done.map(|()| self.publish(staged));
            match done {
                Ok(seq) => committed.durable.push((run_id, seq)),
                Err(error) => committed.failed.extend(self.fail(run_id, &error)),
            }
        }
        committed
    }

    /// Whether a group takes no more than a few appends to the page cache: nothing is made or synced, no full checkpoint is written on the spot,
    /// and the last such group was no trouble.
    pub(super) fn is_quick(&self, group: &Group) -> bool {
        let quick = |entry: &Entry| match entry {
            Entry::Append { run_id, .. } => self.runs.get(run_id).is_some_and(|run| {
                run.trouble.is_none() && run.ledger.state().options.durability == Durability::Relaxed
            }),
            Entry::Create { .. } | Entry::Adopt(_) => false,
        };
        self.config.background_checkpoints
            && self.slow_until.is_none_or(|until| until <= Instant::now())
            && group.entries.iter().all(quick)
    }

    /// Commits a [quick](Self::is_quick) group, and remembers when it was not.
    pub(super) fn commit_quickly(&mut self, group: Group) -> Committed {
        let start = Instant::now();
        let committed = self.commit(group);
        let end = Instant::now();
        self.slow_until = (end - start > SLOW).then(|| end + LEAVE_ALONE);
        committed
    }

    /// One part a run, in the order of its first entry.
    fn sort_out(&mut self, group: Group, committed: &mut Committed) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::with_capacity(group.entries.len());
        let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(group.entries.len());
        for entry in group.entries {
            let (run_id, events, state, create) = match entry {
                Entry::Adopt(ledger) => {
                    committed.durable.push((ledger.run_id(), ledger.place().seq));
                    self.adopt(*ledger);
                    continue;
                }
                Entry::Create { run_id, events, state } => (run_id, events, state, true),
                Entry::Append { run_id, events, state } => (run_id, events, state, false),
            };
            match places.get(&run_id) {
                Some(place) => {
                    parts[*place].events.extend(events);
                    parts[*place].state = state;
                }
                None => {
                    places.insert(run_id, parts.len());
                    parts.push(Part { run_id, create, events, state });
                }
            }
        }
        parts
    }

    fn adopt(&mut self, ledger: Ledger) {
        let run_id = ledger.run_id();
        self.runs.insert(run_id, Run { ledger, subscribers: None, trouble: None });
        self.announce(run_id, true);
    }

    fn stage(&mut self, parts: Vec<Part>, committed: &mut Committed) -> Vec<Staged> {
        let mut staged = Vec::with_capacity(parts.len());
        for Part { run_id, create, events, state } in parts {
            if create && !self.runs.contains_key(&run_id) {
                let dir = self.config.root.join(run_id.to_string());
                match Ledger::create(Arc::clone(&self.config.disk), dir, &self.config.owner) {
                    Ok(ledger) => {
                        self.runs.insert(run_id, Run { ledger, subscribers: None, trouble: None });
                    }
                    Err(error) => {
                        committed.failed.push(Failure::of_disk(run_id, error.to_string(), None, false));
                        continue;
                    }
                }
            }
            let Some(run) = self.runs.get_mut(&run_id) else {
                let error = "the run is not open here".to_string();
                committed.failed.push(Failure::of_disk(run_id, error, None, false));
                continue;
            };
            if let Some(retry) = &run.trouble {
                // It was told before that nothing of this run is taken.
                let (error, will_retry) = (retry.shown.error.clone(), retry.next.is_some());
                let state = Some(Arc::clone(run.ledger.state()));
                committed.failed.push(Failure::of_disk(run_id, error, state, will_retry));
                continue;
            }
            if events.is_empty() && run.ledger.has_state() {
                committed.durable.push((run_id, run.ledger.place().seq));
                continue;
            }
            let created = !run.ledger.has_state();
            let synced = state.options.durability == Durability::Full;
            match run.ledger.write(events, state, &mut self.buffer) {
                Ok(written) => staged.push(Staged { run_id, created, synced, written }),
                Err(WriteError::Encode(error)) if !created => committed.failed.push(Failure {
                    run_id,
                    error: error.to_string(),
                    cause: Cause::Event { seq: error.seq() },
                    state: Some(Arc::clone(run.ledger.state())),
                    will_retry: false,
                }),
                Err(error) => committed.failed.extend(self.fail(run_id, &error)),
            }
        }
        // One huge event should not be remembered as a buffer for ever.
        self.buffer.shrink_to(1 << 20);
        staged
    }

    /// One verdict for each.
    fn make_durable(&self, staged: &[Staged]) -> Vec<std::io::Result<()>> {
        let to_sync: Vec<(usize, &Staged)> = staged.iter().enumerate().filter(|(_, staged)| staged.synced).collect();
        let files: Vec<_> =
            to_sync.iter().filter_map(|(_, staged)| self.runs.get(&staged.run_id)?.ledger.file()).collect();
        let created = to_sync.iter().filter(|(_, staged)| staged.created).count();
        let whole = self.syncer.takes_whole(files.len() + created);
        let mut verdicts: Vec<std::io::Result<()>> = staged.iter().map(|_| Ok(())).collect();
        for ((index, _), verdict) in to_sync.iter().zip(self.syncer.sync(&files, whole)) {
            verdicts[*index] = verdict;
        }
        if created > 0 && !whole {
            // The names: each run's own folder, and the folder of all runs once for all of them.
            let root = self.config.disk.sync_dir(&self.config.root);
            for (index, staged) in to_sync.iter().filter(|(_, staged)| staged.created) {
                if verdicts[*index].is_ok() {
                    let own = self.runs.get(&staged.run_id).map(|run| self.config.disk.sync_dir(run.ledger.dir()));
                    verdicts[*index] = super::sync::copy(&root).and(own.unwrap_or(Ok(())));
                }
            }
        }
        verdicts
    }

    fn in_place(&self, run_id: Uuid) -> std::io::Result<()> {
        self.runs.get(&run_id).map_or(Ok(()), |run| run.ledger.in_place())
    }

    /// What was written is durable: it counts, and is told. The newest event's number.
    fn publish(&mut self, staged: Staged) -> u64 {
        let run_id = staged.run_id;
        let Some(run) = self.runs.get_mut(&run_id) else { return 0 };
        let events = run.ledger.commit(staged.written);
        let seq = run.ledger.place().seq;
        let wanted = staged.created
            || events.iter().any(|recorded| is_resting_place(&recorded.event))
            || run.ledger.has_outgrown_full(self.config.full_at_least);
        if let Some(subscribers) = &run.subscribers
            && let state = Some(Arc::clone(run.ledger.state()))
            && subscribers.send(Published::Batch(Batch { events: Arc::new(events), state })).is_err()
        {
            run.subscribers = None;
        }
        if wanted {
            let size = run.ledger.full_asked();
            self.writer.submit(Job {
                run_id,
                dir: run.ledger.dir().to_path_buf(),
                state: Arc::clone(run.ledger.state()),
                place: run.ledger.place(),
                _lock: run.ledger.lock(),
                size,
            });
        }
        self.announce(run_id, true);
        seq
    }

    /// A write or sync failed: the run is stopped, others go on.
    fn fail(&mut self, run_id: Uuid, error_kind: &WriteError) -> Option<Failure> {
        let run = self.runs.get_mut(&run_id)?;
        run.ledger.fail();
        let path = run.ledger.dir().join(super::JOURNAL);
        let error = format!("cannot write {}: {error_kind}", path.display());
        if !run.ledger.has_state() {
            if let Some(run) = self.runs.remove(&run_id) {
                run.ledger.discard();
            }
            return Some(Failure::of_disk(run_id, error, None, false));
        }
        // Numbers that do not follow are a mistake of this program: the run rests until it is opened anew.
        let will_retry = matches!(error_kind, WriteError::Io(_));
        let pause = self.config.retry_first;
        let shown = Arc::new(StorageTrouble { error: error.clone(), since: Utc::now() });
        run.publish(Published::Storage(Some(Arc::clone(&shown))));
        run.trouble = Some(Retry { shown, next: will_retry.then(|| Instant::now() + pause), pause });
        let state = Some(Arc::clone(run.ledger.state()));
        self.announce(run_id, true);
        Some(Failure::of_disk(run_id, error, state, will_retry))
    }

    /// When the next repair is to be tried.
    pub fn next_repair(&self) -> Option<Instant> {
        self.runs.values().filter_map(|run| run.trouble.as_ref()?.next).min()
    }

    /// Tries the repairs that are due; the runs that can be written to again.
    pub fn repair(&mut self, now: Instant) -> Vec<Uuid> {
        let due = |run: &Run| run.trouble.as_ref().and_then(|retry| retry.next).is_some_and(|next| next <= now);
        let chosen: Vec<Uuid> = self.runs.iter().filter(|(_, run)| due(run)).map(|(run_id, _)| *run_id).collect();
        let mut writable = Vec::new();
        for run_id in chosen {
            let Some(run) = self.runs.get_mut(&run_id) else { continue };
            match run.ledger.repair() {
                Ok(()) => {
                    run.trouble = None;
                    run.publish(Published::Storage(None));
                    writable.push(run_id);
                    self.announce(run_id, true);
                }
                Err(error) => {
                    let hopeless = matches!(error, JournalError::Damaged(_) | JournalError::Newer { .. });
                    let Some(retry) = &mut run.trouble else { continue };
                    retry.pause = (retry.pause * 2).min(self.config.retry_at_most);
                    retry.next = (!hopeless).then(|| Instant::now() + retry.pause);
                    if retry.shown.error != error.to_string() {
                        let since = retry.shown.since;
                        retry.shown = Arc::new(StorageTrouble { error: error.to_string(), since });
                        let shown = Arc::clone(&retry.shown);
                        run.publish(Published::Storage(Some(shown)));
                        self.announce(run_id, true);
                    }
                }
            }
        }
        writable
    }

    /// A run from this moment on; `None` when it is not recorded here.
    pub fn subscribe(&mut self, run_id: Uuid) -> Option<Subscription> {
        let run = self.runs.get_mut(&run_id)?;
        let subscribers = run.subscribers.get_or_insert_with(|| broadcast::channel(BATCHES_BEHIND).0);
        let mut recent = Vec::with_capacity(RECENT);
        recent.extend(run.ledger.recent().cloned());
        Some(Subscription {
            state: Arc::clone(run.ledger.state()),
            recent,
            storage: run.trouble.as_ref().map(|retry| Arc::clone(&retry.shown)),
            events: subscribers.subscribe(),
        })
    }

    /// All runs from this moment on.
    pub fn overview(&self) -> Overview {
        let mut runs: Vec<RunUpdate> = self.runs.values().map(|run| run.update(true)).collect();
        runs.sort_by_key(|run| run.summary.run_id);
        Overview { runs, updates: self.updates.subscribe() }
    }

    /// Lets go of a run. Answers with the newest durable place (its hash is the head hash), when its checkpoints are
    /// written; the lock is free then.
    pub fn close(&mut self, run_id: Uuid, reply: oneshot::Sender<()>) -> Option<super::Place> {
        let Some(run) = self.runs.get(&run_id) else {
            let _ = reply.send(());
            return None;
        };
        let place = run.ledger.place();
        if let (Durability::Relaxed, Some(file)) = (run.ledger.state().options.durability, run.ledger.file()) {
            // At least what is there at the end is on the disk. Nobody was promised it.
            let _ = file.sync_data();
        }
        self.announce(run_id, false);
        self.runs.remove(&run_id);
        self.writer.when_idle(run_id, reply);
        Some(place)
    }

    /// The runs that are recorded here.
    pub fn open_runs(&self) -> Vec<Uuid> {
        self.runs.keys().copied().collect()
    }

    fn announce(&self, run_id: Uuid, open: bool) {
        if self.updates.receiver_count() == 0 {
            return;
        }
        if let Some(run) = self.runs.get(&run_id) {
            // The last reader may have gone meanwhile.
            let _ = self.updates.send(Arc::new(run.update(open)));
        }
    }
}

impl Failure {
    fn of_disk(run_id: Uuid, error: String, state: Option<Arc<RunState>>, will_retry: bool) -> Self {
        Self { run_id, error, cause: Cause::Disk, state, will_retry }
    }
}

impl Run {
    fn publish(&mut self, what: Published) {
        if self.subscribers.as_ref().is_some_and(|subscribers| subscribers.send(what).is_err()) {
            self.subscribers = None;
        }
    }

    fn update(&self, open: bool) -> RunUpdate {
        let storage = self.trouble.as_ref().map(|retry| Arc::clone(&retry.shown));
        RunUpdate { summary: self.ledger.state().summary(), storage, open }
    }
}

/// Whether the run rests after this event, so that a full checkpoint is worth its price.
fn is_resting_place(event: &Event) -> bool {
    matches!(event, Event::RunPaused { .. } | Event::RunCompleted | Event::RunFailed { .. } | Event::RunCancelled)
}
