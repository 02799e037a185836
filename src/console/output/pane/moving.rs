//! Where in the output the pane stands, and how it goes elsewhere.

use super::super::reader::Request;
use super::{Pane, Top};

impl Pane {
    /// Scrolls by lines of the screen: up when negative. Up stops following. While lines are being selected, what is selected goes along.
    pub fn scroll(&mut self, lines: isize) {
        if self.selection.is_some() { self.move_cursor(lines) } else { self.roll(lines) }
    }

    pub(super) fn roll(&mut self, lines: isize) {
        // Where nothing is read there is nothing to scroll away from.
        if self.rows.is_empty() {
            return;
        }
        if lines < 0 && self.follow {
            self.stop_following();
        }
        if self.follow {
            return;
        }
        let Some(mut index) = self.index_of(self.top.offset) else { return };
        let mut part = self.top.part;
        for _ in 0..lines.unsigned_abs() {
            if lines < 0 {
                if part > 0 {
                    part -= 1;
                } else if index > 0 {
                    index -= 1;
                    part = self.parts(&self.rows[index]) - 1;
                } else {
                    break;
                }
            } else if part + 1 < self.parts(&self.rows[index]) {
                part += 1;
            } else if index + 1 < self.rows.len() {
                index += 1;
                part = 0;
            } else {
                break;
            }
        }
        self.top = Top { offset: self.rows[index].start, part };
        self.clamp();
    }

    /// Scrolls by pages, with two lines in common.
    pub fn page(&mut self, pages: isize) {
        self.scroll(pages * isize::from(self.height as i16).saturating_sub(2).max(1));
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.column = 0;
        self.jump(0);
        self.send_cursor(false);
    }

    /// To the end, and follows.
    pub fn end(&mut self) {
        self.follow_on();
        self.send_cursor(true);
    }

    /// Follows, or stops where it is.
    pub fn toggle_follow(&mut self) {
        if self.follow { self.stop_following() } else { self.follow_on() }
    }

    /// Whether new output is shown as it comes.
    pub fn is_following(&self) -> bool {
        self.follow
    }

    /// Whether output may still come that is not shown as it does.
    pub fn has_stopped(&self) -> bool {
        !self.follow && self.source.as_ref().is_some_and(|source| source.live)
    }

    /// Wraps long lines, or not.
    pub fn toggle_wrap(&mut self) {
        self.with_match_in_sight(|pane| {
            pane.wrap = !pane.wrap;
            pane.column = 0;
            pane.top.part = 0;
            pane.clamp();
        });
    }

    /// Shows when each line came, or not.
    pub fn toggle_times(&mut self) {
        self.times = !self.times;
    }

    /// Whether lines are seen that go on at the left or at the right.
    pub fn has_cut_lines(&self) -> bool {
        let room = usize::from(self.text_width());
        !self.wrap && (self.column > 0 || self.shown().any(|(row, _)| row.width > room))
    }

    /// Scrolls sideways by so many halves of the pane, when lines are not wrapped.
    pub fn scroll_sideways(&mut self, halves: isize) {
        self.scroll_columns(halves * (isize::from(self.text_width() as i16) / 2).max(1));
    }

    pub(super) fn scroll_columns(&mut self, columns: isize) {
        if !self.wrap {
            let widest = self.shown().map(|(row, _)| row.width).max().unwrap_or(0);
            let room = usize::from(self.text_width());
            self.column = self.column.saturating_add_signed(columns).min((widest + 1).saturating_sub(room));
        }
    }

    /// To a line, numbered from 1.
    pub fn go_to_line(&mut self, number: u64) {
        self.asks.push(Request::Line { view: self.view, number });
    }

    pub(super) fn jump(&mut self, offset: u64) {
        self.follow = false;
        let known = self.filter.is_some() && self.window.as_ref().is_some_and(|window| window.contains(&offset));
        let row = self.rows.iter().find(|row| (row.start..row.end).contains(&offset) || (known && row.start > offset));
        match row {
            Some(row) => {
                self.top = Top { offset: row.start, part: 0 };
                self.clamp();
            }
            None => {
                self.forget_rows();
                self.top = Top { offset, part: 0 };
            }
        }
    }

    /// Stops where it is; before that is read it is nowhere, and goes to the end as it was to.
    pub(super) fn stop_following(&mut self) {
        let to_come = !self.known || self.len.is_some_and(|len| len > 0);
        if self.rows.is_empty() && to_come {
            return;
        }
        self.top = self.first_shown();
        self.follow = false;
    }

    /// The first line on the screen.
    pub(in super::super) fn first_shown(&self) -> Top {
        if self.follow { self.last_page() } else { self.top }
    }

    /// The top of the last screen of the rows there are.
    pub(super) fn last_page(&self) -> Top {
        let mut left = usize::from(self.height);
        let mut top = Top::default();
        for row in self.rows.iter().rev() {
            let parts = self.parts(row);
            top = Top { offset: row.start, part: parts.saturating_sub(left) };
            left = left.saturating_sub(parts);
            if left == 0 {
                break;
            }
        }
        top
    }

    /// The screen is filled to its bottom where there is enough.
    pub(super) fn clamp(&mut self) {
        let at_end = self.window.as_ref().is_some_and(|window| Some(window.end) >= self.len);
        if at_end && !self.follow && !self.rows.is_empty() {
            self.top = self.top.min(self.last_page());
        }
    }
}
