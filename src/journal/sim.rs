//! A disk in memory for tests and simulations: it fails when it is told to, and it loses what was not synced when the power is cut.
//!
//! It models what POSIX promises and no more. What was appended but not synced may be on the disk after a cut in any measure: all, a part, or a
//! part with holes of zeros. A name that was made, renamed or removed without a sync of its folder may be there or not. A file whose
//! sync failed keeps none of what was waiting. Locks are let go.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Cursor};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod content;
mod images;

use content::{Content, Dice};

pub use images::Image;

use super::disk::{Disk, DiskFile, DiskFileSystem, DiskRead, Kind, Listed, Lock, Locking};

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Making a folder.
    CreateDir,
    /// Making a file.
    CreateFile,
    /// Appending; a part of the bytes gets in.
    Append,
    /// Syncing a file, or the whole file system.
    Sync,
    /// Renaming.
    Rename,
    /// Syncing a folder.
    SyncDir,
    /// Cutting a file.
    Truncate,
    /// Opening a file to append to it.
    OpenAppend,
    /// Opening a file to read it.
    OpenRead,
    /// Listing a folder.
    List,
    /// Removing a file.
    RemoveFile,
    /// Removing a folder.
    RemoveDir,
    /// Taking a lock.
    Lock,
    /// Whatever of these it is.
    Any,
}

/// Makes operations fail.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which ones.
    pub operation: Operation,
    /// Only on paths that contain this.
    pub path_contains: String,
    /// How many of them go well first.
    pub after: u32,
    /// How many fail then.
    pub times: u32,
    /// With what: [`ENOSPC`], [`EIO`], or [`KILL`].
    pub code: i32,
}

/// "No space left on device".
pub const ENOSPC: i32 = 28;
/// "Input/output error".
pub const EIO: i32 = 5;

/// Not an error of the disk: the process ends in the middle of the operation, as by SIGKILL.
pub const KILL: i32 = 0;

/// A disk in memory, as one process sees it. Clones are the same disk and the same process.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    /// Which process; an ended one can do nothing any more.
    process: u64,
}

#[derive(Default)]
struct Inner {
    /// Names as they are now, and as they are after a cut.
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    files: HashMap<u64, Content>,
    locks: HashMap<u64, Arc<()>>,
    faults: Vec<Fault>,
    /// How long operations take.
    delays: Vec<(Operation, Duration)>,
    /// What the disk was before each call, once that is wanted.
    images: Option<Vec<Image>>,
    calls: HashMap<Operation, u64>,
    next: u64,
    process: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
    Link,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, operations fail as the fault says.
    pub fn fail(&self, fault: Fault) {
        self.inner().faults.push(fault);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.inner().faults.clear();
    }

    /// From now on, an operation takes so long.
    pub fn delay(&self, operation: Operation, time: Duration) {
        self.inner().delays.push((operation, time));
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.inner().calls.get(&operation).copied().unwrap_or(0)
    }

    /// Cuts the power: what was not synced is there or not, as `entropy` says. The processes end.
    pub fn cut_power(&self, entropy: u64) {
        let mut inner = self.inner();
        inner.end_process();
        let mut dice = Dice(entropy);
        let Inner { names, durable_names, files, .. } = &mut *inner;
        let all: Vec<PathBuf> = names.keys().chain(durable_names.keys()).cloned().collect();
        let mut after = BTreeMap::new();
        for path in all {
            let found = if dice.chance() { names.get(&path) } else { durable_names.get(&path) };
            after.extend(found.map(|node| (path, *node)));
        }
        // What stands in a folder that is not there is not there.
        let has_parents = |path: &Path| {
            path.ancestors().skip(1).filter(|dir| dir.parent().is_some()).all(|dir| after.contains_key(dir))
        };
        *names = after.iter().filter(|(path, _)| has_parents(path)).map(|(path, node)| (path.clone(), *node)).collect();
        *durable_names = names.clone();
        for content in files.values_mut() {
            content.lose_what_waits(&mut dice);
        }
    }

    /// Ends the process, not the machine: what was written stays, what was open and locked is let go.
    pub fn kill_process(&self) {
        self.inner().end_process();
    }

    /// The same disk as the next process sees it.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), process: self.inner().process }
    }

    /// Whether this process has ended.
    pub fn has_ended(&self) -> bool {
        self.inner().process != self.process
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.inner();
        if inner.process == self.process { Ok(inner) } else { Err(io::Error::other("this process has ended")) }
    }

    /// A file's content as it is now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        match inner.names.get(path)? {
            Node::File(id) => inner.files.get(id).map(|content| content.now.clone()),
            _ => None,
        }
    }

    /// Puts a file there, durably, as an editor or a bad disk would.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut inner = self.inner();
        let id = inner.fresh();
        inner.files.insert(id, Content { durable: bytes.clone(), now: bytes, lost: 0..0 });
        for dir in path.ancestors().skip(1).filter(|dir| dir.parent().is_some()) {
            inner.names.entry(dir.into()).or_insert(Node::Dir);
            inner.durable_names.entry(dir.into()).or_insert(Node::Dir);
        }
        inner.names.insert(path.into(), Node::File(id));
        inner.durable_names.insert(path.into(), Node::File(id));
    }

    /// Puts a symbolic link there.
    pub fn put_link(&self, path: &Path) {
        self.inner().names.insert(path.into(), Node::Link);
    }

    fn begin(&self, operation: Operation, path: &Path) -> io::Result<MutexGuard<'_, Inner>> {
        let delay = self.alive()?.delays.iter().find(|(other, _)| *other == operation).map(|(_, time)| *time);
        if let Some(delay) = delay {
            std::thread::sleep(delay);
        }
        let mut inner = self.alive()?;
        inner.keep_image();
        *inner.calls.entry(operation).or_default() += 1;
        *inner.calls.entry(Operation::Any).or_default() += 1;
        let mut failed = None;
        for fault in &mut inner.faults {
            let meant = fault.operation == operation || fault.operation == Operation::Any;
            if !meant || !path.to_string_lossy().contains(&fault.path_contains) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                failed = Some(fault.code);
                break;
            }
        }
        match failed {
            None => Ok(inner),
            Some(KILL) => {
                inner.end_process();
                Err(io::Error::other("this process has ended"))
            }
            Some(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

impl Inner {
    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link or a folder")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn has_dir(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            _ if path.parent().is_none() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn has_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.has_dir(parent))
    }

    fn sync_names(&mut self, dir: &Path) {
        let gone: Vec<PathBuf> = children(&self.durable_names, dir).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.durable_names.remove(&path);
        }
        let there: Vec<_> = children(&self.names, dir).map(|(path, node)| (path.clone(), *node)).collect();
        self.durable_names.extend(there);
    }
}

/// The names in a folder. Paths are sorted part by part, so what a folder holds stands together after it.
fn children<'a>(names: &'a BTreeMap<PathBuf, Node>, dir: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
    let from = names.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded));
    from.take_while(move |(path, _)| path.starts_with(dir)).filter(move |(path, _)| path.parent() == Some(dir))
}

/// An open file; useless after the power was cut or the process was ended.
#[derive(Debug)]
struct OpenFile {
    disk: SimDisk,
    path: PathBuf,
    id: u64,
}

impl OpenFile {
    fn content<'a>(&self, inner: &'a mut Inner) -> io::Result<&'a mut Content> {
        inner.files.get_mut(&self.id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for OpenFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (part, verdict) = match self.disk.begin(Operation::Append, &self.path) {
            Ok(mut inner) => {
                inner.keep_torn_image(self.id, &bytes[..bytes.len() / 2]);
                (bytes, Ok(()))
            }
            Err(error) => (&bytes[..bytes.len() / 2], Err(error)),
        };
        self.content(&mut self.disk.inner())?.now.extend_from_slice(part);
        verdict
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.disk.begin(Operation::Sync, &self.path) {
            Ok(mut inner) => {
                self.content(&mut inner)?.sync();
                Ok(())
            }
            // As on Linux: the pages are marked clean and stay readable, though they never reached the disk.
            Err(error) => {
                self.content(&mut self.disk.inner())?.lose();
                Err(error)
            }
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.begin(Operation::Truncate, &self.path)?;
        let content = self.content(&mut inner)?;
        content.now.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        content.lost.end = content.lost.end.min(content.now.len());
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.disk.alive()?;
        let now = &self.content(&mut inner)?.now;
        let rest = usize::try_from(offset).ok().and_then(|offset| now.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.alive()?.names.get(path) == Some(&Node::File(self.id)))
    }
}

impl DiskRead for Cursor<Vec<u8>> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.get_ref().len() as u64)
    }
}

impl DiskFileSystem for SimDisk {
    fn sync(&self) -> io::Result<()> {
        let begun = self.begin(Operation::Sync, Path::new("/")).map(drop);
        let mut inner = self.inner();
        let Inner { names, durable_names, files, .. } = &mut *inner;
        if begun.is_ok() {
            durable_names.clone_from(names);
        }
        for content in files.values_mut().filter(|content| content.now != content.durable) {
            match &begun {
                Ok(()) => content.sync(),
                Err(_) => content.lose(),
            }
        }
        begun
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    id: u64,
    /// Held by being counted.
    _token: Arc<()>,
}

impl Lock for SimLock {
    fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.alive()?.names.get(path) == Some(&Node::File(self.id)))
    }
}

impl Disk for SimDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::CreateDir, path)?;
        for dir in path.ancestors().filter(|dir| dir.parent().is_some()) {
            inner.names.entry(dir.into()).or_insert(Node::Dir);
            inner.durable_names.entry(dir.into()).or_insert(Node::Dir);
        }
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::CreateDir, path)?;
        inner.has_parent(path)?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.names.insert(path.into(), Node::Dir);
        Ok(())
    }

    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.begin(Operation::CreateFile, path)?;
        inner.has_parent(path)?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = inner.fresh();
        inner.files.insert(id, Content::default());
        inner.names.insert(path.into(), Node::File(id));
        drop(inner);
        Ok(Arc::new(OpenFile { disk: self.clone(), path: path.into(), id }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.begin(Operation::OpenAppend, path)?;
        let id = inner.file(path)?;
        drop(inner);
        Ok(Arc::new(OpenFile { disk: self.clone(), path: path.into(), id }))
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        drop(self.begin(Operation::Append, path)?);
        let verdict = self.begin(Operation::Sync, path).map(drop);
        let mut inner = self.inner();
        let id = inner.file(path)?;
        let content = inner.files.entry(id).or_default();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.now.len());
        let end = (start + bytes.len()).min(content.now.len());
        content.now[start..end].copy_from_slice(&bytes[..end - start]);
        if content.lost.start >= start && content.lost.end <= end {
            content.lost = 0..0;
        }
        match verdict {
            Ok(()) => content.sync(),
            Err(_) => content.lose(),
        }
        verdict
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let inner = self.begin(Operation::OpenRead, path)?;
        let id = inner.file(path)?;
        Ok(Box::new(Cursor::new(inner.files.get(&id).map(|content| content.now.clone()).unwrap_or_default())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::Rename, from)?;
        if inner.names.get(from) == Some(&Node::Dir) {
            // With everything in it, also on the disk: what is in a folder hangs on the folder, not on its name.
            let moved = |path: &Path| path.strip_prefix(from).map(|rest| to.join(rest)).ok();
            let Inner { names, durable_names, .. } = &mut *inner;
            for (path, node) in names.extract_if(.., |path, _| path.starts_with(from)).collect::<Vec<_>>() {
                names.extend(moved(&path).map(|path| (path, node)));
            }
            let inside: Vec<_> =
                durable_names.iter().filter(|(path, _)| path.starts_with(from) && *path != from).collect();
            let inside: Vec<_> = inside.into_iter().filter_map(|(path, node)| Some((moved(path)?, *node))).collect();
            durable_names.extend(inside);
            return Ok(());
        }
        let id = inner.file(from)?;
        inner.names.remove(from);
        inner.names.insert(to.into(), Node::File(id));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::RemoveFile, path)?;
        if matches!(inner.names.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        inner.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::RemoveDir, path)?;
        inner.has_dir(path)?;
        if children(&inner.names, path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        inner.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.begin(Operation::SyncDir, path)?;
        inner.has_dir(path)?;
        inner.sync_names(path);
        Ok(())
    }

    fn file_system(&self, path: &Path) -> io::Result<Arc<dyn DiskFileSystem>> {
        self.alive()?.has_dir(path)?;
        Ok(Arc::new(self.clone()))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let inner = self.begin(Operation::List, path)?;
        inner.has_dir(path)?;
        let inside = children(&inner.names, path);
        Ok(inside
            .filter_map(|(other, node)| {
                let name = other.file_name()?.to_string_lossy().into_owned();
                Some(Listed { name, kind: node.kind() })
            })
            .collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.alive()?.names.get(path).map(|node| node.kind()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn foreign_owner(&self, _path: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<Locking> {
        let mut inner = self.begin(Operation::Lock, path)?;
        inner.has_parent(path)?;
        let id = match inner.names.get(path) {
            Some(Node::File(id)) => *id,
            Some(_) => return Err(io::ErrorKind::InvalidInput.into()),
            None => {
                let id = inner.fresh();
                inner.names.insert(path.into(), Node::File(id));
                id
            }
        };
        // Held as long as a second owner of the token is alive.
        if inner.locks.get(&id).is_some_and(|token| Arc::strong_count(token) > 1) {
            let note = inner.files.get(&id).map(|content| content.now.clone()).unwrap_or_default();
            return Ok(Locking::HeldBy(String::from_utf8_lossy(&note).into_owned()));
        }
        let token = Arc::new(());
        inner.locks.insert(id, Arc::clone(&token));
        inner.files.entry(id).or_default().now = owner.as_bytes().to_vec();
        Ok(Locking::Taken(Arc::new(SimLock { disk: self.clone(), id, _token: token })))
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        let inner = self.alive()?;
        let id = match inner.file(path) {
            Ok(id) => id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let held = inner.locks.get(&id).is_some_and(|token| Arc::strong_count(token) > 1);
        let note = || inner.files.get(&id).map(|content| content.now.clone()).unwrap_or_default();
        Ok(held.then(|| String::from_utf8_lossy(&note()).into_owned()))
    }
}

impl Node {
    fn kind(self) -> Kind {
        match self {
            Node::Dir => Kind::Dir,
            Node::File(_) => Kind::File,
            Node::Link => Kind::Other,
        }
    }
}
