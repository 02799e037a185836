//! Plain-text search through an output file, in small steps.

use std::io;

use memchr::memmem;

use super::file::OutputFile;
use super::reader::Answer;

/// What one step looks at.
const STEP: u64 = 192 * 1024;

/// Steps between two looks at the requests.
const STEPS: usize = 16;

/// What is searched for: plain text, case-sensitive only if it has upper case (in ASCII).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
    exact: bool,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Option<Pattern> {
        let exact = pattern.bytes().any(|b| b.is_ascii_uppercase());
        (!pattern.is_empty()).then(|| Pattern { bytes: pattern.as_bytes().to_vec(), exact })
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where it stands in these bytes, without overlaps.
    pub(super) fn matches(&self, bytes: &[u8]) -> Vec<usize> {
        if self.exact {
            memmem::find_iter(bytes, &self.bytes).collect()
        } else {
            memmem::find_iter(&bytes.to_ascii_lowercase(), &self.bytes).collect()
        }
    }
}

/// A search for the next match, and a count of all.
#[derive(Debug)]
pub(super) struct Search {
    pattern: Pattern,
    find: Option<Find>,
    counted: u64,
    count: u64,
    count_done: bool,
}

#[derive(Debug)]
struct Find {
    from: u64,
    at: u64,
    forward: bool,
    wrapped: bool,
}

impl Search {
    /// The search that follows `old`; `None` when there is nothing to search for.
    pub(super) fn new(old: Option<Search>, pattern: &str, from: u64, forward: bool) -> Option<Search> {
        let pattern = Pattern::new(pattern)?;
        let find = Some(Find { from, at: from, forward, wrapped: false });
        match old {
            Some(old) if old.pattern == pattern => Some(Search { find, ..old }),
            _ => Some(Search { pattern, find, counted: 0, count: 0, count_done: false }),
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.find.is_some() || !self.count_done
    }

    /// The file has changed.
    pub(super) fn grown(&mut self, truncated: bool) {
        self.count_done = false;
        if truncated {
            self.counted = 0;
            self.count = 0;
        }
    }

    pub(super) fn step(&mut self, file: &mut OutputFile, view: u64) -> io::Result<Vec<Answer>> {
        for _ in 0..STEPS {
            if let Some(find) = &mut self.find {
                if let Some((offset, wrapped)) = find.step(&self.pattern, file)? {
                    self.find = None;
                    return Ok(vec![Answer::Found { view, offset, wrapped }]);
                }
            } else if !self.count_done {
                // A match may stand over the end of a step.
                let end = (self.counted + STEP).min(file.len());
                let found = self.pattern.matches(file.bytes(self.counted..end)?);
                self.count += found.len() as u64;
                let after_last = found.last().map_or(0, |at| self.counted + *at as u64 + self.pattern.len());
                self.counted = if end == file.len() {
                    self.count_done = true;
                    after_last.max((end + 1).saturating_sub(self.pattern.len())).max(self.counted)
                } else {
                    after_last.max(end + 1 - self.pattern.len().min(STEP))
                };
            } else {
                break;
            }
        }
        Ok(vec![Answer::Matches { view, count: self.count, done: self.count_done }])
    }
}

impl Find {
    /// The answer, once it is known.
    fn step(&mut self, pattern: &Pattern, file: &mut OutputFile) -> io::Result<Option<(Option<u64>, bool)>> {
        let len = file.len();
        if self.forward {
            // After going round, up to where the search began.
            let limit = if self.wrapped { (self.from + pattern.len()).min(len) } else { len };
            let end = (self.at + STEP).min(limit);
            if let Some(at) = pattern.matches(file.bytes(self.at..end)?).first() {
                return Ok(Some((Some(self.at + *at as u64), self.wrapped)));
            }
            if end < limit {
                self.at = end + 1 - pattern.len().min(STEP);
            } else if self.wrapped || self.from == 0 {
                return Ok(Some((None, self.wrapped)));
            } else {
                self.wrapped = true;
                self.at = 0;
            }
        } else {
            let limit = if self.wrapped { self.from } else { 0 };
            let end = (self.at + pattern.len() - 1).min(len);
            let start = end.saturating_sub(STEP).max(limit);
            if let Some(at) =
                pattern.matches(file.bytes(start..end)?).last().filter(|at| start + (**at as u64) < self.at)
            {
                return Ok(Some((Some(start + *at as u64), self.wrapped)));
            }
            if start > limit && start < self.at {
                self.at = start;
            } else if self.wrapped {
                return Ok(Some((None, true)));
            } else {
                self.wrapped = true;
                self.at = len;
            }
        }
        Ok(None)
    }
}
