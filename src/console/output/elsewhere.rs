//! A search through other outputs than the one that is shown: which is the first with something, or how much there is in all of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use super::file::OutputFile;
use super::query::Pattern;
use super::sift::{Sieve, Sifter};
use crate::engine::open_output;

/// What is to be searched, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// By what the answer is known.
    pub id: u64,
    /// What for.
    pub pattern: Pattern,
    /// The outputs. One that is not there, or cannot be read, has nothing.
    pub files: Vec<PathBuf>,
    /// Only up to the first one that has it; else everything is counted.
    pub first: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// To what this is the answer.
    pub id: u64,
    /// The place, among the outputs that were to be searched, of the first one that has it.
    pub first: Option<usize>,
    /// How many matches there are, in how many outputs; when only the first one was wanted, no more than is known of that.
    pub matches: u64,
    /// In how many outputs they are.
    pub outputs: u64,
}

/// The search while it is going on.
#[derive(Debug)]
pub(super) struct Job {
    files: VecDeque<PathBuf>,
    /// The place of the next file.
    place: usize,
    first: bool,
    sieve: Sieve,
    /// The file that is open, how far it is searched, what it has.
    now: Option<(OutputFile, u64, u64)>,
    told: Told,
}

impl Job {
    pub(super) fn new(wanted: Elsewhere) -> Job {
        Job {
            files: wanted.files.into(),
            place: 0,
            first: wanted.first,
            sieve: Sieve { filter: None, search: Some(wanted.pattern) },
            now: None,
            told: Told { id: wanted.id, first: None, matches: 0, outputs: 0 },
        }
    }

    /// Whether somebody waits for the answer.
    pub(super) fn is_waited_for(&self) -> bool {
        self.first
    }

    /// Goes on until about `until`; gives what is told once it is known.
    pub(super) fn step(&mut self, sifter: &mut Sifter, until: Instant) -> Option<Told> {
        loop {
            let Some((file, at, found)) = &mut self.now else {
                let Some(path) = self.files.pop_front() else { return Some(self.told.clone()) };
                self.place += 1;
                self.now = open_output(&path).and_then(OutputFile::new).ok().map(|file| (file, 0, 0));
                if Instant::now() >= until {
                    return None;
                }
                continue;
            };
            let (sieve, first, len) = (&self.sieve, self.first, file.len());
            let next = match &sieve.search {
                Some(lead) => sifter.sift(file, lead, *at, len, &mut |row| {
                    *found += sieve.hits(row).count() as u64;
                    !(first && *found > 0)
                }),
                None => Ok(len),
            };
            let over = next.as_ref().map_or(true, |next| *next >= len || *next <= *at) || (first && *found > 0);
            *at = next.unwrap_or(len);
            if over {
                let found = *found;
                self.now = None;
                if found > 0 {
                    self.told.first = self.told.first.or(Some(self.place - 1));
                    self.told.matches += found;
                    self.told.outputs += 1;
                    if self.first {
                        return Some(self.told.clone());
                    }
                }
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }
}
