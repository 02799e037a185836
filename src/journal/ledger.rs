//! One run's journal in the hands of its owner: making it, opening it after a stop or a crash, appending to it, repairing it.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::run::{Recorded, RunState};

use super::checkpoint::{self, IgnoredCheckpoint, Newest};
use super::disk::{Disk, DiskFile, Kind, Lock, Locking};
use super::error::{Cut, JournalError};
use super::first_line::{FirstLine, damage, first_line, read_first_line, without_events};
use super::format::{self, EncodeError, LineHash};
use super::replay::{Place, Replayed, Tail, Wanted, fold, replay};
use super::writer::UNFINISHED;
use super::{JOURNAL, LOCK, Owner, RECENT};

/// How often and how long somebody who only looks may be in the way of the lock.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// How much is copied at once when a journal is rewritten.
const COPY_CHUNK: usize = 1 << 20;

/// One run's journal, locked for this process. Holds the *durable* state: the fold of what is on disk and nothing else. It is handed over with each
/// batch and shared with whoever decided that.
#[derive(Debug)]
pub struct Ledger {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    lock: Arc<dyn Lock>,
    file: Arc<dyn DiskFile>,
    /// A write or sync failed: the file is only read any more, until the journal is written anew.
    failed: bool,
    state: Option<Arc<RunState>>,
    place: Place,
    recent: VecDeque<Arc<Recorded>>,
    /// Where the newest full checkpoint was asked for, in bytes of journal; and how large the last one became.
    full_at: u64,
    full_size: Arc<AtomicU64>,
}

/// What opening a run found.
#[derive(Debug, Default)]
pub struct Found {
    /// What was cut off the end.
    pub cut: Option<Cut>,
    /// Full checkpoint files that could not be used.
    pub ignored: Vec<IgnoredCheckpoint>,
}

/// A batch that was written, but is not yet known to be durable.
#[derive(Debug)]
pub(super) struct Written {
    place: Place,
    events: Vec<Arc<Recorded>>,
    state: Arc<RunState>,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("event {found} was to be written where {expected} should follow")]
    Sequence { expected: u64, found: u64 },
}

impl Ledger {
    /// Opens a run's folder to go on with it: takes the lock, reads the journal, cuts off a torn last batch.
    ///
    /// # Errors
    /// The run is open elsewhere, damaged, in a newer format, or was never begun; or the file system refuses. Nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, owner: &Owner) -> Result<(Self, Found), JournalError> {
        let path = dir.join(JOURNAL);
        // Before the lock is touched: a newer format is left as it is.
        first_line(&*disk, dir)?;
        only_ours(&*disk, dir)?;
        let lock = take_lock(&*disk, dir, owner)?;
        let Newest { full, witness, ignored } = checkpoint::newest(&*disk, dir, u64::MAX)?;
        let FirstLine { mut input, start, run_id } = first_line(&*disk, dir)?;
        let (known, full_at, full_size) = match full {
            Some(full) => (Some(full.state), full.place.bytes, full.size),
            None => (None, start.bytes, 0),
        };
        let decode_after = known.as_ref().map_or(0, |state| state.seq);
        let wanted = Wanted { after: decode_after, ..Wanted::default() };
        let mut state = known;
        let mut recent = VecDeque::new();
        let Replayed { mut place, before, tail } = replay(&mut input, start, wanted, |batch, _| {
            fold(&mut state, &batch.events, run_id)?;
            remember(&mut recent, batch.events.drain(..).map(Arc::new));
            Ok(())
        })
        .map_err(JournalError::io("read", &path))?;
        drop(input);
        if let Tail::Broken { line, what } = tail {
            return Err(damage(&*disk, dir, line, what, state.as_ref()).into());
        }
        if let Some(witness) = witness {
            let (line, what) = witness.testify(&place);
            return Err(damage(&*disk, dir, line, what, state.as_ref()).into());
        }
        let Some(state) = state else { return Err(without_events(&*disk, dir)) };
        let file = disk.open_append(&path).map_err(JournalError::io("open", &path))?;
        let cut = match tail {
            Tail::Torn(cut) => {
                file.set_len(place.bytes).map_err(JournalError::io("cut", &path))?;
                Some(cut)
            }
            Tail::NoLineFeed => {
                file.append(b"\n").map_err(JournalError::io("write", &path))?;
                place.bytes += 1;
                None
            }
            _ => None,
        };
        // What an engine that was killed wrote last is in the file, but perhaps not on the disk; from here on it counts.
        file.sync_data().map_err(JournalError::io("sync", &path))?;
        write_again(&*disk, &path, if before.seq == 0 { 0 } else { before.bytes }, place.bytes)
            .map_err(JournalError::io("write", &path))?;
        for dir in [Some(dir), dir.parent()].into_iter().flatten() {
            disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
        }
        sweep(&*disk, dir);
        if recent.len() < RECENT && decode_after > 0 {
            let missing = RECENT - recent.len();
            let before = events_before(&*disk, &path, full_at, missing).map_err(JournalError::io("read", &path))?;
            for recorded in before.into_iter().rev() {
                recent.push_front(Arc::new(recorded));
            }
        }
        let ledger = Self {
            disk,
            dir: dir.to_path_buf(),
            lock,
            file,
            failed: false,
            state: Some(Arc::new(state)),
            place,
            recent,
            full_at,
            full_size: Arc::new(AtomicU64::new(full_size)),
        };
        Ok((ledger, Found { cut, ignored }))
    }

    /// Makes a run's folder and the beginning of its journal. The first batch makes the run; until it is committed there is none.
    pub(super) fn create(disk: Arc<dyn Disk>, dir: PathBuf, owner: &Owner) -> Result<Self, JournalError> {
        disk.create_dir(&dir).map_err(JournalError::io("make", &dir))?;
        let made = take_lock(&*disk, &dir, owner).and_then(|lock| {
            let path = dir.join(JOURNAL);
            let file = disk.create_file(&path).map_err(JournalError::io("make", &path))?;
            Ok((lock, file))
        });
        let (lock, file) = match made {
            Ok(made) => made,
            Err(error) => {
                discard(&*disk, &dir);
                return Err(error);
            }
        };
        Ok(Self {
            disk,
            dir,
            lock,
            file,
            failed: false,
            state: None,
            // Replaced by `write`: a journal without an event is none.
            place: Place { seq: 0, bytes: 0, hash: LineHash::of(None, b"") },
            recent: VecDeque::new(),
            full_at: 0,
            full_size: Arc::new(AtomicU64::new(0)),
        })
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The durable state.
    pub fn state(&self) -> &Arc<RunState> {
        // Every ledger that left this module has a state: `open` demands one and `create` is followed by the first batch.
        #[allow(clippy::expect_used)]
        self.state.as_ref().expect("a ledger has a state")
    }

    /// The run's id.
    pub fn run_id(&self) -> Uuid {
        self.state().run_id
    }

    /// The newest durable place; its hash is the head hash.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The newest durable events, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &Arc<Recorded>> {
        self.recent.iter()
    }

    pub(super) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn lock(&self) -> Arc<dyn Lock> {
        Arc::clone(&self.lock)
    }

    /// The file to sync; `None` after a failed write.
    pub(super) fn file(&self) -> Option<Arc<dyn DiskFile>> {
        (!self.failed).then(|| Arc::clone(&self.file))
    }

    /// Whether what is written and synced here is what the next process will find: a journal that was removed or moved takes everything
    /// without an error, and a lock that was removed keeps nobody out.
    pub(super) fn in_place(&self) -> io::Result<()> {
        self.lock_in_place()?;
        match self.file.is_still_at(&self.dir.join(JOURNAL))? {
            true => Ok(()),
            false => Err(gone("it was removed, moved or replaced while the run was open")),
        }
    }

    fn lock_in_place(&self) -> io::Result<()> {
        match self.lock.is_still_at(&self.dir.join(LOCK))? {
            true => Ok(()),
            false => Err(gone(
                "the run's folder or its lock was removed or moved while the run was open; it goes on when the folder is back in its place",
            )),
        }
    }

    /// Writes a batch, after which the run is in this state, in one write. It counts when it is [`commit`](Self::commit)ted; if anything fails,
    /// [`fail`](Self::fail) must follow.
    pub(super) fn write(
        &mut self,
        events: Vec<Arc<Recorded>>,
        state: Arc<RunState>,
        buffer: &mut Vec<u8>,
    ) -> Result<Written, WriteError> {
        buffer.clear();
        let mut place = self.place;
        if let (None, Some(first)) = (&self.state, events.first()) {
            place.hash = format::encode_header(buffer, state.run_id, first.time);
        }
        let last = events.len().saturating_sub(1);
        for (index, recorded) in events.iter().enumerate() {
            let expected = place.seq + 1;
            if recorded.seq != expected {
                return Err(WriteError::Sequence { expected, found: recorded.seq });
            }
            place.hash = format::encode_event(buffer, &place.hash, recorded, index == last)?;
            place.seq = recorded.seq;
        }
        if state.seq != place.seq {
            return Err(WriteError::Sequence { expected: place.seq, found: state.seq });
        }
        place.bytes += buffer.len() as u64;
        if self.failed {
            return Err(io::Error::other("the journal is not writable").into());
        }
        self.file.append(buffer)?;
        Ok(Written { place, events, state })
    }

    /// A written batch is durable: it counts, and the state after it is the durable one.
    pub(super) fn commit(&mut self, written: Written) -> Vec<Arc<Recorded>> {
        let Written { place, events, state } = written;
        self.state = Some(state);
        remember(&mut self.recent, events.iter().cloned());
        self.place = place;
        events
    }

    /// A write or sync failed: the file is not used any more. What the disk took of it is unknown.
    pub(super) fn fail(&mut self) {
        if !std::mem::replace(&mut self.failed, true) {
            // Readers should not see what is void. Nothing relies on it: the file is replaced.
            let _ = self.file.set_len(self.place.bytes);
        }
    }

    /// Writes what was acknowledged to a new file and renames it over the old one, or to where the old one was.
    pub(super) fn repair(&mut self) -> Result<(), JournalError> {
        let path = self.dir.join(JOURNAL);
        // In a folder that is not the run's any more, somebody else may be at work.
        self.lock_in_place().map_err(JournalError::io("write", &path))?;
        let beside = self.dir.join(format!("{JOURNAL}{UNFINISHED}"));
        let _ = self.disk.remove_file(&beside);
        let file = self.disk.create_file(&beside).map_err(JournalError::io("make", &beside))?;
        // From the file that is held open: by its name another may be found, or none.
        let mut chunk = vec![0; COPY_CHUNK];
        let mut copied = 0;
        while copied < self.place.bytes {
            let wanted = usize::try_from(self.place.bytes - copied).unwrap_or(COPY_CHUNK).min(COPY_CHUNK);
            let count = self.file.read_at(copied, &mut chunk[..wanted]).map_err(JournalError::io("read", &path))?;
            if count == 0 {
                break;
            }
            copied += count as u64;
            file.append(&chunk[..count]).map_err(JournalError::io("write", &beside))?;
        }
        // The copy is what will be the truth, so it is the copy that is checked.
        let copy = self.disk.open_read(&beside).map_err(JournalError::io("read", &beside))?;
        let FirstLine { input: mut copy, start, .. } = read_first_line(copy, &self.dir)?;
        let chain_only = Wanted { after: u64::MAX, ..Wanted::default() };
        let copied = replay(&mut copy, start, chain_only, |_, _| Ok(())).map_err(JournalError::io("read", &beside))?;
        if copied.place != self.place {
            let line = Place::line_of(copied.place.seq + 1);
            let what = "what was acknowledged cannot be read back from the disk".into();
            return Err(damage(&*self.disk, &self.dir, line, what, None).into());
        }
        file.sync_data().map_err(JournalError::io("sync", &beside))?;
        self.disk.rename(&beside, &path).map_err(JournalError::io("rename", &beside))?;
        self.disk.sync_dir(&self.dir).map_err(JournalError::io("sync", &self.dir))?;
        (self.file, self.failed) = (file, false);
        Ok(())
    }

    /// Removes a run that never began.
    pub(super) fn discard(self) {
        discard(&*self.disk, &self.dir);
    }

    /// Whether the journal since the newest full checkpoint has outgrown half of it. So the full files of a run cost a fixed number of
    /// bytes for each byte of journal, however long the run is, and no place is far from one.
    pub(super) fn has_outgrown_full(&self, at_least: u64) -> bool {
        self.place.bytes - self.full_at >= (self.full_size.load(Ordering::Relaxed) / 2).max(at_least)
    }

    /// A full checkpoint of the durable state is asked for.
    pub(super) fn full_asked(&mut self) -> Arc<AtomicU64> {
        if self.full_size.load(Ordering::Relaxed) == 0 {
            // Nothing better is known yet: the first batch holds the plan, and so will the file.
            self.full_size.store(self.place.bytes, Ordering::Relaxed);
        }
        self.full_at = self.place.bytes;
        Arc::clone(&self.full_size)
    }
}

/// What a run does is what its files say. Where others may write as well (a folder of runs in `/tmp`), they could have this user do what
/// they like.
fn only_ours(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    let check = |path: &Path| match disk.foreign_owner(path).map_err(JournalError::io("read", path))? {
        Some(uid) => Err(JournalError::Foreign { path: path.to_path_buf(), uid }),
        None => Ok(()),
    };
    check(dir)?;
    for entry in disk.list(dir).map_err(JournalError::io("list", dir))? {
        check(&dir.join(&entry.name))?;
    }
    Ok(())
}

fn gone(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

/// Writes the last batch again where it stands. If its sync had failed just before the engine was killed, the kernel holds it as clean
/// though it never reached the disk, and no sync would ever bring it there. Every batch before it was synced before it was written.
fn write_again(disk: &dyn Disk, path: &Path, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut file = disk.open_read(path)?;
    file.seek(SeekFrom::Start(from))?;
    file.take(to - from).read_to_end(&mut bytes)?;
    disk.rewrite(path, from, &bytes)
}

fn remember(recent: &mut VecDeque<Arc<Recorded>>, events: impl Iterator<Item = Arc<Recorded>>) {
    recent.extend(events);
    let surplus = recent.len().saturating_sub(RECENT);
    recent.drain(..surplus);
}

fn take_lock(disk: &dyn Disk, dir: &Path, owner: &Owner) -> Result<Arc<dyn Lock>, JournalError> {
    let path = dir.join(LOCK);
    let owner = owner.note();
    let mut tries = 0;
    loop {
        match disk.lock(&path, &owner).map_err(JournalError::io("lock", &path))? {
            Locking::Taken(lock) => return Ok(lock),
            Locking::HeldBy(note) if tries == LOCK_TRIES => {
                return Err(JournalError::Locked { dir: dir.to_path_buf(), owner: Owner::of_note(&note).pid });
            }
            // Somebody who lists runs holds it for a moment.
            Locking::HeldBy(_) => std::thread::sleep(LOCK_PAUSE),
        }
        tries += 1;
    }
}

fn discard(disk: &dyn Disk, dir: &Path) {
    // Best effort: a folder that stays is recognised as a run that never began.
    for name in [JOURNAL, LOCK] {
        let _ = disk.remove_file(&dir.join(name));
    }
    let _ = disk.remove_dir(dir);
}

/// Removes what an engine that was killed left half written beside the journal.
fn sweep(disk: &dyn Disk, dir: &Path) {
    for entry in disk.list(dir).unwrap_or_default() {
        let ours = entry.name.starts_with("checkpoint-") || entry.name.starts_with(JOURNAL);
        if ours && entry.kind == Kind::File && entry.name.ends_with(UNFINISHED) {
            let _ = disk.remove_file(&dir.join(&entry.name));
        }
    }
}

/// The newest `count` events before a place that is after a whole line, oldest first. Looks back a few megabytes at most.
pub(super) fn events_before(disk: &dyn Disk, path: &Path, end: u64, count: usize) -> io::Result<Vec<Recorded>> {
    const STEP: u64 = 64 << 10;
    const LIMIT: u64 = 4 << 20;
    let mut file = disk.open_read(path)?;
    let mut start = end;
    let mut bytes = Vec::new();
    loop {
        let from = start.saturating_sub(STEP);
        file.seek(SeekFrom::Start(from))?;
        let mut piece = Vec::new();
        file.by_ref().take(start - from).read_to_end(&mut piece)?;
        piece.append(&mut bytes);
        bytes = piece;
        start = from;
        let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
        if start == 0 || feeds > count || end - start >= LIMIT {
            break;
        }
    }
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    // The first piece is cut somewhere, or it is the journal's first line.
    lines.drain(..1.min(lines.len()));
    let surplus = lines.len().saturating_sub(count);
    Ok(lines[surplus..].iter().filter_map(|line| format::decode_event(line).ok()).collect())
}
