//! What can be wrong with a run's files: where, what, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::run::checkpoint_id;

use super::format::FORMAT_VERSION;

/// A run's files cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried: `read`, `write`, …
        what: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The format is newer than this program.
    #[error(
        "{} is in format version {version}; this program knows versions up to {FORMAT_VERSION}. Nothing was touched: open it with the newer holdpoint",
        path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The version it claims.
        version: u64,
    },
    /// The journal is damaged: it can be read up to a place, but not gone on with.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The engine died while the run was being made: nothing of it was ever acknowledged.
    #[error("{} holds no run: the engine ended while it was being made, before anything was acknowledged. The folder can be removed", dir.display())]
    NeverBegun {
        /// The run's folder.
        dir: PathBuf,
    },
    /// The folder is not called as the run is whose journal it holds. Two owners of one run would stop each other's attempts.
    #[error("{} is a copy of run {run_id}: a run's folder is called by its id. Give the folder that name where there is no other, or remove it", dir.display())]
    Copy {
        /// The folder.
        dir: PathBuf,
        /// The run whose journal it holds.
        run_id: Uuid,
    },
    /// A run that was to be removed is not the run any more that was looked at.
    #[error("the run in {} has gone on since it was looked at, or has not ended; it was not removed", dir.display())]
    WentOn {
        /// The run's folder.
        dir: PathBuf,
    },
    /// A run's files belong to another user.
    #[error("{} belongs to another user (uid {uid}): a run is gone on with only by the user whose it is, for it does what its files say", path.display())]
    Foreign {
        /// The run's folder, or a file in it.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Somebody else owns the run.
    #[error("the run in {} is open in another process{}; attach to it, or wait until it ends", dir.display(), owner_words(owner))]
    Locked {
        /// The run's folder.
        dir: PathBuf,
        /// The owner's process id, if it is known.
        owner: Option<u32>,
    },
    /// There is no such place in the journal.
    #[error("there is no checkpoint {} in {}: the newest place is {}", checkpoint_id(*seq), path.display(), checkpoint_id(*newest))]
    NoSuchPlace {
        /// The journal.
        path: PathBuf,
        /// What was asked for.
        seq: u64,
        /// The newest event's number.
        newest: u64,
    },
}

fn owner_words(owner: &Option<u32>) -> String {
    owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl JournalError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_path_buf();
        move |error| JournalError::Io { what, path, error }
    }
}

/// Where and how a journal is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at line {line}: {what}. The run can be read but not gone on with{}",
    path.display(),
    advice(last_good_checkpoint)
)]
pub struct Damage {
    /// The journal.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
    /// The newest place whose state is known to be good; a fork of the run can start there.
    pub last_good_checkpoint: Option<u64>,
}

fn advice(last_good: &Option<u64>) -> String {
    match last_good {
        Some(seq) => format!("; the last good checkpoint is {}", checkpoint_id(*seq)),
        None => "; no checkpoint before that is good".into(),
    }
}

/// What was cut off the end of a journal: the rest of a batch that was being written when the engine or the machine died.
/// It had never been acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// First line of it, from 1.
    pub first_line: u64,
    /// How many lines, whole or in part.
    pub lines: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.first_line + self.lines.saturating_sub(1);
        if last == self.first_line {
            write!(f, "line {}", last)?;
        } else {
            write!(f, "lines {} to {}", self.first_line, last)?;
        }
        write!(
            f,
            " ({} bytes): a batch that was being written when the engine ended; it was never acknowledged",
            self.bytes
        )
    }
}
