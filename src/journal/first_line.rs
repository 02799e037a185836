//! Where reading a journal begins: its first line, whose run it is, and what it means when there is none or it does not fit.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::run::RunState;

use super::checkpoint;
use super::disk::{Disk, DiskRead, Kind};
use super::error::{Damage, JournalError};
use super::format::{self, LineHash};
use super::replay::{Place, read_line};
use super::{JOURNAL, OUTPUT};

/// A journal whose first line was read.
pub(super) struct FirstLine {
    /// Stands after it.
    pub input: BufReader<Box<dyn DiskRead>>,
    /// The place after it.
    pub start: Place,
    /// The run it names.
    pub run_id: Uuid,
}

/// Opens a run's journal for reading and reads its first line.
pub(super) fn first_line(disk: &dyn Disk, dir: &Path) -> Result<FirstLine, JournalError> {
    match disk.kind(dir) {
        Ok(Kind::Dir) => {}
        Ok(_) => {
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "it is a link or no folder; a run is a plain folder");
            return Err(JournalError::Io { what: "open", path: dir.to_path_buf(), error });
        }
        Err(error) => return Err(JournalError::Io { what: "open", path: dir.to_path_buf(), error }),
    }
    let path = dir.join(JOURNAL);
    let (what, read) = match disk.open_read(&path) {
        Ok(file) => ("it holds nothing any more", read_first_line(file, dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ("the file is not there any more", Err(JournalError::NeverBegun { dir: dir.to_path_buf() }))
        }
        Err(error) => return Err(JournalError::Io { what: "read", path, error }),
    };
    match read {
        // Full checkpoints and output come after the first batch is durable: then there was a run.
        Err(JournalError::NeverBegun { .. }) if had_begun(disk, dir) => {
            Err(damage(disk, dir, 1, what.into(), None).into())
        }
        read => read,
    }
}

/// A journal that holds no event: nothing was ever acknowledged, or it was cut.
pub(super) fn without_events(disk: &dyn Disk, dir: &Path) -> JournalError {
    if had_begun(disk, dir) {
        let what = "the journal ends before it, though there was a run: it was cut".into();
        return damage(disk, dir, Place::line_of(1), what, None).into();
    }
    JournalError::NeverBegun { dir: dir.to_path_buf() }
}

fn had_begun(disk: &dyn Disk, dir: &Path) -> bool {
    checkpoint::full_files(disk, dir).is_ok_and(|found| !found.is_empty())
        || disk.kind(&dir.join(OUTPUT)).is_ok_and(|kind| kind == Kind::Dir)
}

pub(super) fn read_first_line(file: Box<dyn DiskRead>, dir: &Path) -> Result<FirstLine, JournalError> {
    let path = dir.join(JOURNAL);
    let never_begun = || JournalError::NeverBegun { dir: dir.to_path_buf() };
    let mut input = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    let fed = read_line(&mut input, &mut line).map_err(JournalError::io("read", &path))?;
    if let Some(version) = format::claimed_version(&line).filter(|version| *version > format::FORMAT_VERSION) {
        return Err(JournalError::Newer { path, version });
    }
    let unwritten = !fed || (line.contains(&0) && format::split_line(&line).is_none());
    if unwritten && !has_a_batch(&mut input).map_err(JournalError::io("read", &path))? {
        return Err(never_begun());
    }
    let broken = |what: String| damage_of(path.clone(), 1, what, None);
    let raw = format::split_line(&line).ok_or_else(|| broken("it is not the first line of a journal".into()))?;
    if LineHash::of(None, raw.body) != raw.hash {
        return Err(broken("its hash does not fit: it was changed".into()).into());
    }
    let header = format::decode_header(&line)
        .map_err(|error| broken(format!("it is not the first line of a journal ({error})")))?;
    if !checkpoint::is_folder_of(dir, header.run_id) {
        return Err(JournalError::Copy { dir: dir.to_path_buf(), run_id: header.run_id });
    }
    let start = Place { seq: 0, bytes: line.len() as u64 + 1, hash: raw.hash };
    Ok(FirstLine { input, start, run_id: header.run_id })
}

/// Whether a batch has its end in the rest of a journal.
fn has_a_batch(input: &mut dyn io::BufRead) -> io::Result<bool> {
    let mut line = Vec::new();
    loop {
        let fed = read_line(input, &mut line)?;
        if format::split_line(&line).is_some_and(|raw| raw.end) {
            return Ok(true);
        }
        if line.is_empty() && !fed {
            return Ok(false);
        }
    }
}

fn damage_of(path: PathBuf, line: u64, what: String, last_good_checkpoint: Option<u64>) -> Damage {
    Damage { path, line, what, last_good_checkpoint }
}

/// The damage, with the newest place that is known to be good: before it by replay, or after it by a full file that is whole.
pub(super) fn damage(disk: &dyn Disk, dir: &Path, line: u64, what: String, before: Option<&RunState>) -> Damage {
    let replayed = before.and_then(|state| state.checkpoints.last()).map(|mark| mark.seq);
    let full = checkpoint::newest_whole(disk, dir, u64::MAX).map(|full| full.place.seq);
    damage_of(dir.join(JOURNAL), line, what, replayed.max(full))
}
