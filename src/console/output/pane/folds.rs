//! Where the rows that are kept go on in another line of the screen: looked for once for a width, since that costs the whole length of a row.

use std::cell::{Ref, RefCell};
use std::ops::Deref;

use super::super::reader::Row;
use crate::console::text;

/// A row that is kept, and its folds.
#[derive(Debug)]
pub(in super::super) struct Kept {
    row: Row,
    folds: RefCell<Folds>,
}

/// Where the lines of the screen begin that a wrapped row goes into, but for the first.
#[derive(Debug, Default)]
struct Folds {
    /// The cells of a line; none before they were looked for.
    cells: usize,
    /// Byte offsets into the text.
    at: Vec<usize>,
}

impl From<Row> for Kept {
    fn from(row: Row) -> Kept {
        Kept { row, folds: RefCell::default() }
    }
}

impl Deref for Kept {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}

impl Kept {
    /// Into how many lines of so many cells it goes.
    pub(super) fn parts(&self, cells: usize) -> usize {
        if self.width <= cells { 1 } else { self.folds(cells).len() + 1 }
    }

    /// In which of them a byte of its text is.
    pub(super) fn part_of(&self, byte: usize, cells: usize) -> usize {
        self.folds(cells).partition_point(|start| *start <= byte)
    }

    /// The byte of its text with which one of them begins.
    pub(in super::super) fn start_of(&self, part: usize, cells: usize) -> usize {
        part.checked_sub(1).map_or(0, |fold| self.folds(cells).get(fold).copied().unwrap_or(0))
    }

    fn folds(&self, cells: usize) -> Ref<'_, [usize]> {
        if self.folds.borrow().cells != cells {
            *self.folds.borrow_mut() = Folds { cells, at: folds(&self.row, cells) };
        }
        Ref::map(self.folds.borrow(), |folds| folds.at.as_slice())
    }
}

/// The places at which a row is folded. A grapheme is never split.
fn folds(row: &Row, cells: usize) -> Vec<usize> {
    let (mut used, mut byte) = (0, 0);
    let mut found = Vec::new();
    for g in row.line.spans.iter().flat_map(|span| graphemes(&span.content)) {
        let width = text::width(g);
        if used + width > cells && used > 0 {
            found.push(byte);
            used = 0;
        }
        used += width;
        byte += g.len();
    }
    found
}

/// The graphemes of a text. What folding and drawing cost is how many of them are looked at.
pub(in super::super) fn graphemes(text: &str) -> impl Iterator<Item = &str> {
    let all = text::graphemes(text);
    #[cfg(test)]
    let all = all.inspect(|_| LOOKED_AT.set(LOOKED_AT.get() + 1));
    all
}

#[cfg(test)]
thread_local! {
    /// How many were looked at by this thread.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
