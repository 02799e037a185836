//! Notes on disk of which process groups are alive, by which a later engine finds what has survived an earlier one.
//!
//! A note lies in the run's folder for output, as `<engine>.<number>.proc`, and is not made durable: it tells of processes, and a machine that
//! has lost it has lost them as well. When its group is gone it is blanked and kept for the next attempt of the run, because making and
//! removing a file for each is dear, above all beside a journal that is synced: names are part of what the sync has to write.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::procfs::{self, Process};
use super::{AttemptContext, Warden};

/// The end of the name of a note.
pub(super) const NOTE: &str = "proc";
/// So many blank notes are kept, open; those of more attempts at the same time are removed.
const SPARE: usize = 16;

/// What a note says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noted {
    pub step: String,
    pub attempt: u32,
    /// The group's id, which is its first process's.
    pub group: i32,
    /// When that one started, in ticks since the machine did.
    pub start_time: u64,
    pub session: i32,
    /// Which start of the machine.
    pub boot_id: String,
    pub engine: Uuid,
}

/// A [`Noted`] on disk.
pub(super) struct Note {
    sheet: Sheet,
    warden: Arc<Warden>,
}

/// A file for a note.
#[derive(Debug)]
struct Sheet {
    path: PathBuf,
    file: File,
    length: usize,
}

/// The blank notes of an engine.
#[derive(Debug, Default)]
pub(super) struct Notes {
    spare: Mutex<Vec<Sheet>>,
    made: AtomicU64,
}

impl Note {
    /// Writes the note of a process group that was just started. Without it the group is still watched by the warden, so what goes wrong with
    /// it is no trouble of the attempt's.
    pub fn write(context: &AttemptContext, group: i32) -> Option<Self> {
        let leader = Process::read(group)?;
        let warden = &context.warden;
        let noted = Noted {
            step: context.step.step_id.clone(),
            attempt: context.attempt,
            group,
            start_time: leader.start_time,
            session: leader.session,
            boot_id: procfs::boot_id().to_owned(),
            engine: warden.engine(),
        };
        let mut sheet = warden.notes().sheet(context.output_path.parent()?, warden.engine()).ok()?;
        if sheet.write(serde_json::to_vec(&noted).ok()?).is_err() {
            sheet.remove();
            return None;
        }
        Some(Self { sheet, warden: Arc::clone(warden) })
    }

    /// The group is gone.
    pub fn remove(mut self) {
        match self.sheet.write(Vec::new()) {
            Ok(()) => self.warden.notes().keep(self.sheet),
            Err(_) => self.sheet.remove(),
        }
    }
}

impl Sheet {
    fn make(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, length: 0 })
    }

    /// Puts a text in the place of the one before, in one write; what is shorter is filled up with blanks.
    fn write(&mut self, mut text: Vec<u8>) -> io::Result<()> {
        text.resize(text.len().max(self.length), b' ');
        self.length = text.len();
        self.file.write_all_at(&text, 0)
    }

    fn remove(self) {
        // One that stays is found out by its numbers.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Notes {
    fn spare(&self) -> MutexGuard<'_, Vec<Sheet>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sheet(&self, folder: &Path, engine: Uuid) -> io::Result<Sheet> {
        let mut spare = self.spare();
        if let Some(place) = spare.iter().position(|sheet| sheet.path.parent() == Some(folder)) {
            return Ok(spare.swap_remove(place));
        }
        drop(spare);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Sheet::make(folder.join(format!("{engine}.{number}.{NOTE}")))
    }

    fn keep(&self, sheet: Sheet) {
        let mut spare = self.spare();
        spare.push(sheet);
        // The oldest may be of a run that has ended long ago.
        let surplus = if spare.len() > SPARE { Some(spare.remove(0)) } else { None };
        drop(spare);
        surplus.into_iter().for_each(Sheet::remove);
    }

    /// Removes the blank notes in a folder.
    pub fn clear(&self, folder: &Path) {
        self.spare().extract_if(.., |sheet| sheet.path.parent() == Some(folder)).for_each(Sheet::remove);
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.spare().drain(..).for_each(Sheet::remove);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn one_file_after_another_attempt_holds_only_what_was_written_last() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let notes = Notes::default();
        let engine = Uuid::from_u128(7);
        let mut sheet = notes.sheet(one.path(), engine).unwrap();
        sheet.write(b"a long text".to_vec()).unwrap();
        sheet.write(Vec::new()).unwrap();
        let path = sheet.path.clone();
        assert!(std::fs::read(&path).unwrap().trim_ascii().is_empty());
        notes.keep(sheet);

        let mut sheet = notes.sheet(one.path(), engine).unwrap();
        assert_eq!(sheet.path, path);
        sheet.write(b"short".to_vec()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().trim_ascii(), b"short");
        assert_ne!(notes.sheet(one.path(), engine).unwrap().path, path, "two attempts at the same time");
        notes.keep(sheet);
        assert_ne!(notes.sheet(other.path(), engine).unwrap().path.parent(), path.parent(), "another run's");
    }

    #[test]
    fn blank_notes_go_with_their_run_and_with_the_engine() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let notes = Notes::default();
        let engine = Uuid::from_u128(7);
        let sheets: Vec<Sheet> = (0..SPARE + 3).map(|_| notes.sheet(one.path(), engine).unwrap()).collect();
        sheets.into_iter().for_each(|sheet| notes.keep(sheet));
        assert_eq!(names(one.path()).len(), SPARE);
        notes.clear(other.path());
        assert_eq!(names(one.path()).len(), SPARE);
        notes.clear(one.path());
        assert!(names(one.path()).is_empty());
        let sheet = notes.sheet(other.path(), engine).unwrap();
        notes.keep(sheet);
        drop(notes);
        assert!(names(other.path()).is_empty());
    }
}
