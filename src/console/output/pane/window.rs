//! The rows that are kept, around those that are shown: which are needed next, taking them in, letting go of those far away.

use std::ops::Range;

use super::super::reader::{Place, Row};
use super::{Kept, Pane, Top};

/// The most rows that are kept.
pub(super) const MAX_ROWS: usize = 2_000;

/// With a filter, the end is read on to if it is no further away than this, whatever there is in between; else it is jumped to.
const NEAR: u64 = 256 * 1024;

/// The most bytes of output they may be made from, unless those that are shown need more.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

impl Pane {
    /// The rows are to be read anew.
    pub(super) fn forget_rows(&mut self) {
        self.rows.clear();
        self.window = None;
        self.waiting = None;
    }

    pub(super) fn index_of(&self, offset: u64) -> Option<usize> {
        self.rows.binary_search_by(|row| row.start.cmp(&offset)).ok()
    }

    /// How many rows there should be before and after what is shown.
    pub(super) fn ahead(&self) -> usize {
        usize::from(self.height) * 2
    }

    /// The rows that are needed next.
    pub(super) fn missing(&self) -> Option<Place> {
        if self.error.is_some() {
            return None;
        }
        let len = self.len.filter(|len| *len > 0)?;
        let Some(window) = &self.window else {
            return Some(if self.follow { Place::End } else { Place::Around(self.top.offset) });
        };
        let (behind, before) = (window.end < len, window.start > 0);
        if self.follow && behind {
            return Some(if self.passes || self.filter.is_none() { Place::End } else { Place::From(self.resume) });
        }
        if self.rows.is_empty() {
            // Nothing that is shown yet: on both sides.
            let below = behind.then_some(Place::From(self.resume));
            return below.or(before.then_some(Place::Before(window.start)));
        }
        if !self.follow && self.index_of(self.top.offset).is_none() {
            return Some(Place::Around(self.top.offset));
        }
        let top = self.first_shown().offset;
        let index = self.index_of(top)?;
        if self.renumber {
            return Some(if self.follow && self.filter.is_none() { Place::End } else { Place::From(top) });
        }
        if self.rows.len() - index < usize::from(self.height) + self.ahead() / 2 && behind {
            return Some(Place::From(self.resume));
        }
        if index < self.ahead() / 2 && before {
            return Some(Place::Before(window.start));
        }
        None
    }

    /// Follows from now on, wherever it stands.
    pub(super) fn follow_on(&mut self) {
        self.follow = true;
        let read = self.window.as_ref().map_or(0, |window| window.end);
        self.passes = self.len.is_some_and(|len| len > read.saturating_add(NEAR));
    }

    pub(super) fn take_rows(&mut self, place: Place, rows: Vec<Row>, covered: Range<u64>, resume: u64) {
        match (place, &mut self.window) {
            (Place::End, _) if self.follow => {
                self.passes = false;
                self.replace_rows(rows, covered, resume);
            }
            (Place::Around(offset), _) if !self.follow && offset == self.top.offset => {
                self.replace_rows(rows, covered, resume);
                // What was asked for may be inside a row, or in one that is not shown.
                let row = self.rows.iter().find(|row| row.end > offset).or(self.rows.back());
                if let Some(start) = row.map(|row| row.start) {
                    self.top = Top { offset: start, part: 0 };
                }
            }
            (Place::From(offset), Some(window)) if (window.start..=window.end).contains(&offset) => {
                window.end = covered.end;
                self.resume = resume;
                // Lines that come faster than they are read, a screenful at the least, are not what is followed.
                self.passes = rows.len() >= usize::from(self.height) && Some(window.end) < self.len;
                while self.rows.back().is_some_and(|row| row.start >= offset) {
                    self.rows.pop_back();
                }
                self.rows.extend(rows.into_iter().map(Kept::from));
            }
            (Place::Before(offset), Some(window)) if window.start == offset => {
                window.start = covered.start;
                for row in rows.into_iter().rev() {
                    self.rows.push_front(row.into());
                }
            }
            _ => {}
        }
        // A line that is not shown gives its place to the next one that is.
        if self.filter.is_some() && !self.follow && self.index_of(self.top.offset).is_none() {
            let next = self.rows.iter().find(|row| row.start >= self.top.offset).or(self.rows.back());
            if let Some(start) = next.map(|row| row.start) {
                self.top = Top { offset: start, part: 0 };
            }
        }
        self.trim();
        self.clamp();
        self.reveal();
        self.settle_cursor();
    }

    fn replace_rows(&mut self, rows: Vec<Row>, covered: Range<u64>, resume: u64) {
        self.rows = rows.into_iter().map(Kept::from).collect();
        (self.window, self.resume) = (Some(covered), resume);
    }

    /// Lets go of rows far from the screen.
    pub(super) fn trim(&mut self) {
        let Some(index) = self.index_of(self.first_shown().offset) else { return };
        let keep = usize::from(self.height) + self.ahead();
        let mut before = index;
        let mut bytes: u64 = self.rows.iter().map(|row| row.end - row.start).sum();
        let Some(window) = &mut self.window else { return };
        while self.rows.len() > MAX_ROWS || bytes > MAX_BYTES {
            let after = self.rows.len() - before;
            let gone = if before > usize::from(self.height) * 2 && before + keep >= after {
                before -= 1;
                let gone = self.rows.pop_front();
                window.start = self.rows.front().map_or(window.end, |row| row.start);
                gone
            } else if after > keep {
                let gone = self.rows.pop_back();
                window.end = gone.as_ref().map_or(window.end, |row| row.start);
                self.resume = window.end;
                gone
            } else {
                break;
            };
            bytes -= gone.map_or(0, |row| row.end - row.start);
        }
    }
}
