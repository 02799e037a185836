//! The folder of all runs, for whoever reads it: lists, states, events. Nothing here changes a file but [`Store::open`].

use std::collections::{HashMap, VecDeque};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use uuid::Uuid;

use crate::run::{EarlierRun, Recorded, RunState, RunSummary};

use super::checkpoint::{self, Full, IgnoredCheckpoint, Newest, checkpoint_document};
use super::disk::{Disk, Kind, RealDisk};
use super::error::{Cut, Damage, JournalError};
use super::first_line::{FirstLine, damage, first_line, without_events};
use super::follow::Events;
use super::ledger::{Found, Ledger, events_before};
use super::replay::{Place, Tail, Wanted, fold, replay};
use super::stamp::Stamp;
use super::{JOURNAL, LOCK, RECENT};

/// So many of the newest runs are looked at for earlier ones of a plan.
const EARLIER_RUNS: usize = 500;
/// And so much of their checkpoints is read, in bytes.
const EARLIER_BYTES: u64 = 128 << 20;

/// The folder of all runs (`checkpoints/`).
#[derive(Debug, Clone)]
pub struct Store {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// What stands in the locks that are taken through it.
    owner: Owner,
    /// The lines of runs that had to be read as a whole. Clones have the same.
    rows: Arc<Mutex<HashMap<PathBuf, KnownRow>>>,
}

/// A run's line, and of what it was made.
#[derive(Debug)]
struct KnownRow {
    /// The journal.
    stamp: Stamp,
    /// The full checkpoints.
    full: Vec<u64>,
    row: (RunSummary, bool),
}

/// Which runs are other runs of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Alike<'a> {
    /// Those of this plan,
    pub plan_id: &'a str,
    /// whose agents were, or were not, simulated,
    pub simulate: bool,
    /// but for this one.
    pub besides: Option<Uuid>,
}

/// A run as its files say, read by somebody who does not own it.
#[derive(Debug)]
pub struct Loaded {
    /// Its folder.
    pub dir: PathBuf,
    /// The state after the last whole batch; before the damage, if there is any.
    pub state: RunState,
    /// The newest events in it, oldest first.
    pub recent: Vec<Arc<Recorded>>,
    /// The place of the state; its hash is the head hash.
    pub place: Place,
    /// Who owns it at this moment.
    pub owner: Option<Owner>,
    /// The rest of a batch that nobody is writing any more; it will be cut off when the run is opened.
    pub cut: Option<Cut>,
    /// Where the journal is damaged. Only what was read is checked; see [`Store::load_checked`] and [`Store::verify`].
    pub damage: Option<Damage>,
    /// Full checkpoint files that could not be used.
    pub ignored: Vec<IgnoredCheckpoint>,
}

/// The process that has a run open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its process id, if it is known.
    pub pid: Option<u32>,
    /// The socket on which it can be spoken to, if there is one.
    pub address: Option<PathBuf>,
}

impl Owner {
    /// This process, which can be spoken to there.
    pub fn this(address: Option<PathBuf>) -> Self {
        Self { pid: Some(std::process::id()), address }
    }

    /// Reads what stands in a lock: a process id, and behind a space the path of a socket.
    pub(super) fn of_note(note: &str) -> Self {
        let (pid, address) = note.split_once(' ').unwrap_or((note, ""));
        let address = Some(address).filter(|address| !address.is_empty()).map(PathBuf::from);
        Self { pid: pid.parse().ok(), address }
    }

    /// What is written into a lock. A path that is not UTF-8 cannot be, and is left out.
    pub(super) fn note(&self) -> String {
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        match self.address.as_deref().and_then(Path::to_str) {
            Some(address) => format!("{pid} {address}"),
            None => pid,
        }
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRun {
    /// Its line.
    pub summary: RunSummary,
    /// Its folder.
    pub dir: PathBuf,
    /// Who owns it at this moment.
    pub owner: Option<Owner>,
    /// The journal is damaged; the line tells the state before that.
    pub damaged: bool,
}

/// All runs in a folder.
#[derive(Debug, Default)]
pub struct RunList {
    /// The runs, newest first.
    pub runs: Vec<ListedRun>,
    /// Folders that look like runs and cannot be read.
    pub unreadable: Vec<(PathBuf, JournalError)>,
}

impl Store {
    /// A folder on this machine.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self::on(Arc::new(RealDisk), root)
    }

    /// A folder on some file system.
    pub fn on(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> Self {
        Self { disk, root: root.into(), owner: Owner::this(None), rows: Arc::default() }
    }

    /// The same folder for an owner that can be spoken to.
    #[must_use]
    pub fn owned_by(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// The file system.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder of all runs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A run's folder.
    pub fn dir(&self, run_id: Uuid) -> PathBuf {
        self.root.join(run_id.to_string())
    }

    /// Opens a run to go on with it; see [`Ledger::open`].
    ///
    /// # Errors
    /// See there.
    pub fn open(&self, dir: &Path) -> Result<(Ledger, Found), JournalError> {
        Ledger::open(Arc::clone(&self.disk), dir, &self.owner)
    }

    /// Who owns a run at this moment.
    pub fn owner(&self, dir: &Path) -> Option<Owner> {
        let note = self.disk.lock_holder(&dir.join(LOCK)).ok()??;
        Some(Owner::of_note(&note))
    }

    /// What tells whether a run is another than it was: the length of its journal in bytes, and who owns it. Cheap enough to ask every second.
    ///
    /// # Errors
    /// It is no run, was never begun, or is in a newer format.
    pub fn glance(&self, dir: &Path) -> Result<(u64, Option<Owner>), JournalError> {
        let FirstLine { input, .. } = first_line(&*self.disk, dir)?;
        let length = input.get_ref().length().map_err(JournalError::io("read", &dir.join(JOURNAL)))?;
        Ok((length, self.owner(dir)))
    }

    /// The stamp of a run's journal: while it stays, nobody has written to it. Costs one look at the folder; whether the run's engine still lives is
    /// not told by it, which [`Store::glance`] does.
    pub fn stamp(&self, dir: &Path) -> Option<Stamp> {
        Stamp::at(&dir.join(JOURNAL))
    }

    /// Reads a run: from its newest full checkpoint on, so at a cost that does not follow its length.
    ///
    /// # Errors
    /// It is no run, was never begun, is in a newer format, or is damaged before anything could be read.
    pub fn load(&self, dir: &Path) -> Result<Loaded, JournalError> {
        let read = self.replay_to(dir, u64::MAX)?;
        let owner = self.owner(dir);
        let cut = match read.tail {
            // A batch that is being written is simply not there yet.
            Tail::Torn(cut) if owner.is_none() => Some(cut),
            _ => None,
        };
        Ok(Loaded {
            dir: dir.to_path_buf(),
            recent: read.recent.into_iter().map(Arc::new).collect(),
            place: read.place,
            state: read.state,
            owner,
            cut,
            damage: read.damage,
            ignored: read.ignored,
        })
    }

    /// Reads a run as [`Store::load`] does, and checks the chain of all of its journal as well, at the cost of reading it: so that a run whose
    /// journal is damaged before its newest full checkpoint is not shown as whole.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn load_checked(&self, dir: &Path) -> Result<Loaded, JournalError> {
        let mut loaded = self.load(dir)?;
        if loaded.damage.is_none() {
            let disk = &*self.disk;
            let FirstLine { mut input, start, .. } = first_line(disk, dir)?;
            let chain_only = Wanted { after: u64::MAX, until: Some(loaded.place.seq), lines: false };
            let read = replay(&mut input, start, chain_only, |_, _| Ok(()))
                .map_err(JournalError::io("read", &dir.join(JOURNAL)))?;
            if let Tail::Broken { line, what } = read.tail {
                loaded.damage = Some(damage(disk, dir, line, what, None));
            }
        }
        Ok(loaded)
    }

    /// The state at a place in the journal: the nearest full file at or before it, and replay from there.
    ///
    /// # Errors
    /// There is no such place, or the journal is damaged before it.
    pub fn state_at(&self, dir: &Path, seq: u64) -> Result<RunState, JournalError> {
        Ok(self.state_and_place_at(dir, seq)?.0)
    }

    /// The checkpoint at a place, as `checkpoint show` prints it.
    ///
    /// # Errors
    /// As for [`Store::state_at`].
    pub fn checkpoint(&self, dir: &Path, seq: u64) -> Result<Value, JournalError> {
        let (state, place) = self.state_and_place_at(dir, seq)?;
        Ok(checkpoint_document(&state, place))
    }

    fn state_and_place_at(&self, dir: &Path, seq: u64) -> Result<(RunState, Option<Place>), JournalError> {
        let read = self.replay_to(dir, seq)?;
        if read.state.seq != seq {
            if let Some(damage) = read.damage {
                return Err(damage.into());
            }
            let newest = read.place.seq;
            return Err(JournalError::NoSuchPlace { path: dir.join(JOURNAL), seq, newest });
        }
        Ok((read.state, Some(read.place).filter(|place| place.seq == seq)))
    }

    /// The places with a full checkpoint file, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn full_checkpoints(&self, dir: &Path) -> Result<Vec<u64>, JournalError> {
        checkpoint::full_files(&*self.disk, dir).map_err(JournalError::io("list", dir))
    }

    /// The journal's events from a number on, in whole batches, as they are and as they come.
    ///
    /// # Errors
    /// It is no run, was never begun, or is in a newer format.
    pub fn read_events(&self, dir: &Path, from: u64) -> Result<Events, JournalError> {
        Events::open(Arc::clone(&self.disk), dir, from)
    }

    /// All runs, newest first. Reads one line of each run that rests, and no more than a part of the others.
    ///
    /// # Errors
    /// The folder cannot be read; one that is not there holds no runs.
    pub fn list_runs(&self) -> Result<RunList, JournalError> {
        self.list_runs_but(|_| false)
    }

    /// The same without the runs of which whoever asks knows all that the list has. A run that is going on has to be read as a whole for its line.
    ///
    /// # Errors
    /// As for [`Store::list_runs`].
    pub fn list_runs_but(&self, known: impl Fn(Uuid) -> bool) -> Result<RunList, JournalError> {
        let mut list = RunList::default();
        for run_id in self.run_ids()?.into_iter().filter(|run_id| !known(*run_id)) {
            let dir = self.dir(run_id);
            match self.list_run(&dir) {
                Ok(run) => list.runs.push(run),
                // Being made at this moment, or removed at this moment.
                Err(JournalError::NeverBegun { .. }) if self.owner(&dir).is_some() => {}
                Err(JournalError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => list.unreadable.push((dir, error)),
            }
        }
        Ok(list)
    }

    /// Other runs of a plan, newest first, as their newest full checkpoints have them, until `take` has had enough. For whoever wants to learn from
    /// them: what is damaged, half written or of another kind is passed over, and no more is read than a bounded part of the folder.
    pub fn earlier_runs(&self, alike: Alike, mut take: impl FnMut(EarlierRun) -> bool) {
        let (disk, mut room) = (&*self.disk, EARLIER_BYTES);
        let others = self.run_ids().unwrap_or_default().into_iter().filter(|id| Some(*id) != alike.besides);
        for run_id in others.take(EARLIER_RUNS) {
            let dir = self.dir(run_id);
            let Ok(full) = self.full_checkpoints(&dir) else { continue };
            let head = checkpoint::newest_head(disk, &dir, &full).map(|head| head.summary);
            let is_alike = |run: &RunSummary| {
                run.plan_id == alike.plan_id && run.simulate == alike.simulate && run.counts.done() > 0
            };
            let Some((_, seq)) = head.filter(is_alike).zip(full.last()) else { continue };
            let length = disk.open_read(&dir.join(checkpoint::file_name(*seq))).and_then(|file| file.length());
            let Some(left) = length.ok().and_then(|length| room.checked_sub(length)) else { continue };
            room = left;
            let Some(run) = checkpoint::read_earlier(disk, &dir, *seq) else { continue };
            if !take(run) {
                return;
            }
        }
    }

    /// The runs that some process has open, newest first, of so many of the newest runs; what cannot be read is passed over. Reads nothing of the others.
    pub fn open_runs(&self, among: usize) -> Vec<ListedRun> {
        let newest = self.run_ids().unwrap_or_default().into_iter().take(among).map(|run_id| self.dir(run_id));
        newest.filter(|dir| self.owner(dir).is_some()).filter_map(|dir| self.list_run(&dir).ok()).collect()
    }

    /// The ids of all runs, newest first (they are made from the time).
    pub(super) fn run_ids(&self) -> Result<Vec<Uuid>, JournalError> {
        let entries = match self.disk.list(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(JournalError::Io { what: "list", path: self.root.clone(), error }),
        };
        let is_run = |name: &str| Uuid::parse_str(name).ok().filter(|run_id| run_id.to_string() == *name);
        let mut found: Vec<Uuid> =
            entries.iter().filter(|entry| entry.kind == Kind::Dir).filter_map(|entry| is_run(&entry.name)).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    /// A run's line in the list.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn list_run(&self, dir: &Path) -> Result<ListedRun, JournalError> {
        let path = dir.join(JOURNAL);
        // The length before the checkpoints: what comes in between makes the checkpoint newer, not older.
        let length = match first_line(&*self.disk, dir) {
            Ok(FirstLine { input, .. }) => Some(input.get_ref().length().map_err(JournalError::io("read", &path))?),
            Err(JournalError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        let full = self.full_checkpoints(dir)?;
        let rests = length.and_then(|length| {
            checkpoint::newest_head(&*self.disk, dir, &full)
                .filter(|head| head.journal.is_some_and(|place| place.bytes >= length))
        });
        let (summary, damaged) = match rests {
            Some(head) => (head.summary, false),
            None => self.read_row(dir, full)?,
        };
        Ok(ListedRun { summary, dir: dir.to_path_buf(), owner: self.owner(dir), damaged })
    }

    /// The line of a run that does not rest, and whether its journal is damaged: all of the run has to be read for it. One run at a time, since it may be
    /// large, and not again while it lies as it lay then.
    fn read_row(&self, dir: &Path, full: Vec<u64>) -> Result<(RunSummary, bool), JournalError> {
        // Whoever panicked has left whole rows.
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp(dir);
        let known = rows.get(dir).filter(|known| Some(&known.stamp) == stamp.as_ref() && known.full == full);
        if let Some(known) = known {
            return Ok(known.row.clone());
        }
        rows.remove(dir);
        let read = self.replay_to(dir, u64::MAX)?;
        let row = (read.state.summary(), read.damage.is_some());
        if let Some(stamp) = stamp.filter(Stamp::is_settled) {
            rows.insert(dir.to_path_buf(), KnownRow { stamp, full, row: row.clone() });
        }
        Ok(row)
    }

    fn replay_to(&self, dir: &Path, seq: u64) -> Result<ReadState, JournalError> {
        let disk = &*self.disk;
        let path = dir.join(JOURNAL);
        let FirstLine { mut input, start, run_id } = match first_line(disk, dir) {
            Err(JournalError::Damaged(damage)) => return read_without_journal(disk, dir, seq, damage),
            opened => opened?,
        };
        let Newest { full, witness, ignored } = checkpoint::newest(disk, dir, seq)?;
        let (mut state, from) = match full {
            Some(full) => (Some(full.state), full.place),
            None => (None, start),
        };
        input.seek(SeekFrom::Start(from.bytes)).map_err(JournalError::io("read", &path))?;
        let mut recent: VecDeque<Recorded> = VecDeque::new();
        let wanted = Wanted { until: Some(seq), ..Wanted::default() };
        let read = replay(&mut input, from, wanted, |batch, _| {
            // A place may lie within a batch: an attempt's end, before the next one's start.
            batch.events.retain(|recorded| recorded.seq <= seq);
            fold(&mut state, &batch.events, run_id)?;
            recent.extend(batch.events.drain(..));
            let surplus = recent.len().saturating_sub(RECENT);
            recent.drain(..surplus);
            Ok(())
        })
        .map_err(JournalError::io("read", &path))?;
        let damage = match (&read.tail, &witness) {
            (Tail::Broken { line, what }, _) => Some(damage(disk, dir, *line, what.clone(), state.as_ref())),
            (_, Some(witness)) => {
                let (line, what) = witness.testify(&read.place);
                Some(damage(disk, dir, line, what, state.as_ref()))
            }
            _ => None,
        };
        if let (Some(witness), Some(damage)) = (witness, &damage) {
            // It knows more than the journal does.
            let Full { state, place, .. } = *witness;
            let recent = recent.into_iter().filter(|recorded| recorded.seq <= place.seq).collect();
            return Ok(ReadState { state, recent, place, tail: read.tail, damage: Some(damage.clone()), ignored });
        }
        let state = match (state, damage.clone()) {
            (Some(state), _) => state,
            (None, Some(damage)) => return Err(damage.into()),
            (None, None) => return Err(without_events(disk, dir)),
        };
        if recent.len() < RECENT && from.seq > 0 && seq == u64::MAX {
            let before = events_before(disk, &path, from.bytes, RECENT - recent.len())
                .map_err(JournalError::io("read", &path))?;
            for recorded in before.into_iter().rev() {
                recent.push_front(recorded);
            }
        }
        Ok(ReadState { state, recent, place: read.place, tail: read.tail, damage, ignored })
    }
}

/// What the full checkpoints know of a run whose journal cannot be read at all.
fn read_without_journal(disk: &dyn Disk, dir: &Path, seq: u64, damage: Damage) -> Result<ReadState, JournalError> {
    let Some(Full { state, place, .. }) = checkpoint::newest_whole(disk, dir, seq) else { return Err(damage.into()) };
    let tail = Tail::Broken { line: damage.line, what: damage.what.clone() };
    Ok(ReadState { state, recent: VecDeque::new(), place, tail, damage: Some(damage), ignored: Vec::new() })
}

struct ReadState {
    state: RunState,
    recent: VecDeque<Recorded>,
    place: Place,
    tail: Tail,
    damage: Option<Damage>,
    ignored: Vec<IgnoredCheckpoint>,
}
