//! Selecting lines in the pane: with keys, or with the mouse.

use super::super::reader::{Request, Row, Untold};
use super::words::grouped;
use super::{Kept, Pane, Top};

/// A row that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    start: u64,
    end: u64,
    /// The number of its line, if it is known.
    number: Option<u64>,
}

/// The lines that are selected, from one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    anchor: End,
    cursor: End,
    /// The anchor stays where it is when the cursor goes on.
    anchored: bool,
    /// Where the cursor is to go as soon as that is read: to the end, or to the beginning.
    goal: Option<bool>,
}

impl End {
    fn of(row: &Row) -> End {
        End { start: row.start, end: row.end, number: row.number }
    }
}

impl Selection {
    fn range(&self) -> (u64, u64) {
        (self.anchor.start.min(self.cursor.start), self.anchor.end.max(self.cursor.end))
    }
}

impl Pane {
    /// Begins to select lines: first the cursor is moved to where the selection is to begin, then, from the second call on, it takes along what it passes.
    pub fn select(&mut self) {
        if let Some(selection) = &mut self.selection {
            selection.anchored = !selection.anchored;
            if !selection.anchored {
                selection.anchor = selection.cursor;
            }
            return;
        }
        let current = self.search.as_ref().and_then(|search| search.current);
        let of_match = |row: &&Kept| current.is_some_and(|hit| hit.row == row.start);
        let shown: Vec<&Kept> = self.shown().map(|(row, _)| row).collect();
        // At the end of the output what is last is wanted, elsewhere what is on top.
        let usual = if self.follow { shown.last() } else { shown.first() };
        let end = shown.iter().copied().find(of_match).or(usual.copied()).map(|row| End::of(row));
        // Where none is read yet, a key that is pressed quickly counts all the same.
        self.selects_soon = end.is_none();
        let Some(end) = end else { return };
        self.selection = Some(Selection { anchor: end, cursor: end, anchored: false, goal: None });
        if self.follow {
            self.stop_following();
        }
    }

    /// Whether lines are selected.
    pub fn is_selecting(&self) -> bool {
        self.selection.is_some()
    }

    /// Selects nothing any more; says whether something was.
    pub fn leave_selection(&mut self) -> bool {
        self.pressed = None;
        std::mem::take(&mut self.selects_soon) | self.selection.take().is_some()
    }

    /// Where the first selected row starts and the last one ends.
    pub fn selected(&self) -> Option<(u64, u64)> {
        self.selection.as_ref().map(Selection::range)
    }

    /// Asks for the text of what is selected.
    pub fn ask_for_text(&mut self) {
        if let Some((from, to)) = self.selected() {
            self.asks.push(Request::Text { view: self.view, from, to });
        }
    }

    /// The text that was asked for.
    pub fn take_text(&mut self) -> Option<Result<String, Untold>> {
        self.text.take()
    }

    /// The mouse's button goes down on a line of the screen, counted from the top.
    pub fn press(&mut self, line: usize) {
        self.selection = None;
        let row = self.shown().nth(line).map(|(row, _)| row.start);
        self.pressed = row;
    }

    /// The mouse is moved to a line of the screen with the button down: above it, or below, the pane scrolls.
    pub fn drag(&mut self, line: isize) {
        let Some(pressed) = self.pressed else { return };
        if self.follow {
            self.stop_following();
        }
        if line < 0 {
            self.roll(-1);
        } else if line >= isize::from(self.height as i16) {
            self.roll(1);
        }
        let last = self.shown().count().saturating_sub(1);
        let row = self.shown().nth(line.clamp(0, last as isize) as usize).map(|(row, _)| End::of(row));
        let anchor = self.selection.as_ref().map(|selection| selection.anchor);
        let anchor = anchor.or_else(|| self.index_of(pressed).map(|index| End::of(&self.rows[index])));
        if let (Some(anchor), Some(cursor)) = (anchor, row)
            && (anchor != cursor || self.selection.is_some())
        {
            self.selection = Some(Selection { anchor, cursor, anchored: true, goal: None });
        }
    }

    /// Whether the mouse's button is down on a line.
    pub fn is_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// The mouse's button was let go.
    pub fn release(&mut self) {
        self.pressed = None;
    }

    /// Whether a row is selected.
    pub(in super::super) fn is_selected(&self, row: &Row) -> bool {
        self.selected().is_some_and(|(from, to)| (from..to).contains(&row.start))
    }

    /// Whether the cursor of the selection is on a row.
    pub(in super::super) fn has_cursor(&self, row: &Row) -> bool {
        self.selection.as_ref().is_some_and(|selection| selection.cursor.start == row.start)
    }

    /// Moves the cursor by rows.
    pub(super) fn move_cursor(&mut self, by: isize) {
        let Some(selection) = &self.selection else { return };
        let index = self.index_of(selection.cursor.start);
        // Away from what is read, it goes on from what is shown.
        let Some(index) = index.or_else(|| self.index_of(self.first_shown().offset)) else { return };
        let index = index.saturating_add_signed(by).min(self.rows.len().saturating_sub(1));
        self.put_cursor(index);
    }

    /// Sends the cursor to the end of the output, or to its beginning.
    pub(super) fn send_cursor(&mut self, to_end: bool) {
        if let Some(selection) = &mut self.selection {
            selection.goal = Some(to_end);
        }
        self.settle_cursor();
    }

    /// Puts the cursor where it was sent, once that is read.
    pub(super) fn settle_cursor(&mut self) {
        if self.selects_soon && !self.rows.is_empty() {
            self.select();
        }
        let Some(to_end) = self.selection.as_ref().and_then(|selection| selection.goal) else { return };
        let Some(window) = &self.window else { return };
        let there = if to_end { Some(window.end) >= self.len } else { window.start == 0 };
        if there && !self.rows.is_empty() {
            self.put_cursor(if to_end { self.rows.len() - 1 } else { 0 });
        }
    }

    fn put_cursor(&mut self, index: usize) {
        let end = End::of(&self.rows[index]);
        let Some(selection) = &mut self.selection else { return };
        selection.cursor = end;
        selection.goal = None;
        if !selection.anchored {
            selection.anchor = end;
        }
        if self.follow {
            self.stop_following();
        }
        self.keep_cursor();
    }

    /// Scrolls to where the cursor is seen.
    pub(super) fn keep_cursor(&mut self) {
        let Some(cursor) = self.selection.as_ref().map(|selection| selection.cursor.start) else { return };
        let Some(index) = self.index_of(cursor) else { return };
        let top = self.first_shown();
        if cursor < top.offset || (cursor == top.offset && top.part > 0) {
            self.top = Top { offset: cursor, part: 0 };
            return;
        }
        // What is on top when the cursor's row is last.
        let mut left = usize::from(self.height).saturating_sub(self.parts(&self.rows[index]));
        let mut first = index;
        while first > 0 && self.parts(&self.rows[first - 1]) <= left {
            first -= 1;
            left -= self.parts(&self.rows[first]);
        }
        let highest = Top { offset: self.rows[first].start, part: 0 };
        if !self.follow && self.top < highest {
            self.top = highest;
        }
    }

    /// How much is selected.
    pub fn selected_in_words(&self) -> Option<String> {
        let selection = self.selection.as_ref()?;
        if !selection.anchored {
            return Some("choose the first line".to_owned());
        }
        let (first, last) = (selection.anchor.number, selection.cursor.number);
        let (from, to) = selection.range();
        let shown = |row: &&Kept| (from..to).contains(&row.start) && !row.continued;
        let lines = match (first, last, &self.filter) {
            (Some(first), Some(last), None) => Some(first.abs_diff(last) + 1),
            _ if self.window.as_ref().is_some_and(|window| window.start <= from && to <= window.end) => {
                Some(self.rows.iter().filter(shown).count() as u64)
            }
            _ => None,
        };
        Some(match lines {
            Some(1) => "1 line selected".to_owned(),
            Some(lines) => format!("{} lines selected", grouped(lines)),
            None => "lines selected".to_owned(),
        })
    }
}
