//! A journal's lines as they come, for a reader in any process.

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::run::Recorded;

use super::JOURNAL;
use super::checkpoint::fits;
use super::disk::Disk;
use super::error::JournalError;
use super::first_line::{FirstLine, damage, first_line};
use super::replay::{Place, Tail, Wanted, replay};

/// One event and its line, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalLine {
    /// The line, without its line feed.
    pub text: String,
    /// What it says.
    pub recorded: Recorded,
}

/// A journal's events from a number on, in whole batches.
///
/// A batch is handed out when it is whole in the file, which can be some milliseconds before it is durable. Should its sync fail, it is void,
/// and what takes its place is handed out with the same numbers.
#[derive(Debug)]
pub struct Events {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    from: u64,
    place: Place,
    /// Before the batch that was handed out last.
    before: Place,
}

impl Events {
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, from: u64) -> Result<Self, JournalError> {
        let FirstLine { start, .. } = first_line(&*disk, dir)?;
        Ok(Self { disk, dir: dir.to_path_buf(), from, place: start, before: start })
    }

    /// The batches that are there and were not handed out yet; empty when there is nothing new. Blocks for the disk only: to follow a
    /// journal, ask again when it may have grown. At most about `at_most` lines are read at once.
    ///
    /// # Errors
    /// The journal is damaged, or cannot be read.
    pub fn read(&mut self, at_most: usize) -> Result<Vec<Vec<JournalLine>>, JournalError> {
        let path = self.dir.join(JOURNAL);
        let disk = &*self.disk;
        // Opened anew each time: a journal that was repaired is another file.
        let FirstLine { mut input, start, .. } = first_line(disk, &self.dir)?;
        if self.place.seq > 0 && !fits(disk, &self.dir, self.place).map_err(JournalError::io("read", &path))? {
            let before_fits =
                self.before.seq == 0 || fits(disk, &self.dir, self.before).map_err(JournalError::io("read", &path))?;
            self.place = if before_fits { self.before } else { start };
        }
        let mut batches = Vec::new();
        let at = self.place;
        input.seek(SeekFrom::Start(at.bytes)).map_err(JournalError::io("read", &path))?;
        let mut lines = 0;
        let mut before = self.before;
        let until = (at.seq + 1).max(self.from).saturating_add(at_most as u64);
        let wanted = Wanted { after: self.from.saturating_sub(1).max(at.seq), until: Some(until), lines: true };
        let mut last = at;
        let read = replay(&mut input, at, wanted, |batch, place| {
            let texts = batch.lines.drain(..).map(|line| String::from_utf8_lossy(&line).into_owned());
            let found: Vec<JournalLine> =
                texts.zip(batch.events.drain(..)).map(|(text, recorded)| JournalLine { text, recorded }).collect();
            lines += found.len();
            before = std::mem::replace(&mut last, *place);
            batches.extend((!found.is_empty()).then_some(found));
            Ok(())
        })
        .map_err(JournalError::io("read", &path))?;
        (self.place, self.before) = (read.place, before);
        match read.tail {
            // What is good is handed out first; the damage is told when nothing else is left.
            Tail::Broken { line, what } if batches.is_empty() => Err(damage(disk, &self.dir, line, what, None).into()),
            _ => Ok(batches),
        }
    }
}
