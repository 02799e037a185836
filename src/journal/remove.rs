//! Removing runs for good, and what they take of the disk.
//!
//! A run's folder is renamed out of the list first and emptied after: whatever ends the removal half-way, no run is left that seems whole and is
//! not. What such an end leaves behind is taken away by the next removal.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::disk::{Disk, Kind, Locking};
use super::{JournalError, LOCK, Owner, Store};
use crate::run::RunState;

/// A folder of this name is a run that is being removed. It is no run's id, so no list shows it.
const REMOVED: &str = ".removed-";
/// Folders in a run's folder lie no deeper; whoever made more is not us, and keeps it.
const DEEPEST: usize = 4;

impl Store {
    /// What a run takes: the sum of its files' lengths, in bytes.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn size_of(&self, dir: &Path) -> Result<u64, JournalError> {
        size(&**self.disk(), dir, DEEPEST).map_err(JournalError::io("read", dir))
    }

    /// Removes a run that has ended and everything in its folder for good, if its newest event is still the one with number `seq`: whoever
    /// decides that a run may go has seen it like that.
    ///
    /// # Errors
    /// An engine has it open, it is damaged, has not ended or has gone on since, or the file system refuses: then it is either as it was, or
    /// gone from the list with a rest that the next removal takes.
    pub fn remove(&self, run_id: Uuid, seq: u64) -> Result<(), JournalError> {
        self.remove_if(run_id, |state| state.status.is_ended() && state.seq == seq)
    }

    /// Removes a run in which nothing was ever done, and everything in its folder, for good.
    ///
    /// # Errors
    /// As for [`Store::remove`], with a run in which something was done instead of one that has not ended.
    pub fn remove_untouched(&self, run_id: Uuid) -> Result<(), JournalError> {
        self.remove_if(run_id, RunState::is_untouched)
    }

    fn remove_if(&self, run_id: Uuid, may: impl FnOnce(&RunState) -> bool) -> Result<(), JournalError> {
        let disk = &**self.disk();
        let dir = self.dir(run_id);
        let lock = disk.lock(&dir.join(LOCK), &Owner::this(None).note()).map_err(JournalError::io("lock", &dir))?;
        let _held = match lock {
            Locking::Taken(lock) => lock,
            Locking::HeldBy(note) => return Err(JournalError::Locked { dir, owner: Owner::of_note(&note).pid }),
        };
        let found = self.load_checked(&dir)?;
        if let Some(damage) = found.damage {
            return Err(damage.into());
        }
        if !may(&found.state) {
            return Err(JournalError::WentOn { dir });
        }
        let grave = self.root().join(format!("{REMOVED}{run_id}"));
        disk.rename(&dir, &grave).map_err(JournalError::io("remove", &dir))?;
        disk.sync_dir(self.root()).map_err(JournalError::io("sync", self.root()))?;
        empty(disk, &grave, DEEPEST).map_err(JournalError::io("remove", &grave))
    }

    /// Takes away what a removal that was interrupted has left; how many runs' rests.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn finish_removals(&self) -> Result<usize, JournalError> {
        let disk = &**self.disk();
        let entries = match disk.list(self.root()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(JournalError::io("list", self.root())(error)),
        };
        let ours = |name: &str| name.strip_prefix(REMOVED).is_some_and(|id| Uuid::parse_str(id).is_ok());
        let mut finished = 0;
        for entry in entries.iter().filter(|entry| entry.kind == Kind::Dir && ours(&entry.name)) {
            let grave = self.root().join(&entry.name);
            empty(disk, &grave, DEEPEST).map_err(JournalError::io("remove", &grave))?;
            finished += 1;
        }
        Ok(finished)
    }
}

fn size(disk: &dyn Disk, dir: &Path, depth: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        bytes += match entry.kind {
            Kind::File => match disk.open_read(&path) {
                Ok(file) => file.length()?,
                // Thinned out, or renamed, at this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            },
            Kind::Dir if depth > 0 => size(disk, &path, depth - 1)?,
            Kind::Dir | Kind::Other => 0,
        };
    }
    Ok(bytes)
}

/// Removes a folder with what is in it. A symbolic link is removed, never what it points to.
fn empty(disk: &dyn Disk, dir: &Path, depth: usize) -> io::Result<()> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        match entry.kind {
            Kind::Dir if depth > 0 => empty(disk, &path, depth - 1)?,
            Kind::Dir => return Err(io::Error::other(format!("{} lies deeper than a run's files do", path.display()))),
            Kind::File | Kind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_dir(dir)
}
