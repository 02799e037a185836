//! Drawing the pane. Reads nothing but the pane.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pane::{Kept, Pane, graphemes};
use super::reader::Stream;
use crate::console::text::{fit, put, width};
use crate::console::theme::{Glyphs, Role, Theme};

impl Pane {
    /// Draws the pane. The area should have the size that [`Pane::set_size`] was told.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, theme: &Theme, glyphs: &Glyphs) {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return;
        }
        if let Some(message) = self.message() {
            let text = fit(&message, usize::from(area.width.saturating_sub(1)));
            buffer.set_string(area.x + area.width.min(2) - 1, area.y, text, theme.style(Role::Muted));
            return;
        }
        let mut time_above = None;
        let (mut highlights, mut highlighted) = (Vec::new(), None);
        for ((row, part), y) in self.shown().zip(area.y..area.bottom()) {
            let mut x = area.x;
            let selected = self.is_selected(row);
            let mark = match row.stamp {
                // What is selected is marked as a selected row is everywhere; its colour alone would not do.
                _ if self.has_cursor(row) => (glyphs.selected, Role::Accent),
                _ if selected => (glyphs.bar, Role::Accent),
                // So is the one of all matches that is counted.
                _ if self.is_at_match(row, part) => (glyphs.selected, Role::Accent),
                _ if part > 0 || row.continued => (glyphs.wrapped, Role::Faint),
                Some((_, Stream::Stderr)) => (glyphs.stderr, Role::Stderr),
                Some((_, Stream::Remark)) => (glyphs.dot, Role::Accent),
                _ => (" ", Role::Text),
            };
            buffer.set_string(x, y, mark.0, theme.style(mark.1));
            x += 1;
            if self.times {
                let time = row
                    .stamp
                    .filter(|_| part == 0 && !row.continued)
                    .map(|(time, _)| time.with_timezone(&chrono::Local).format("%H:%M:%S").to_string());
                if let Some(time) = time {
                    // The same second again says nothing new; the eye finds changes faster when it is faint.
                    let role = if time_above.as_ref() == Some(&time) { Role::Faint } else { Role::Muted };
                    buffer.set_stringn(x, y, &time, usize::from(area.right().saturating_sub(x)), theme.style(role));
                    time_above = Some(time);
                }
                x = (x + 9).min(area.right());
            }
            let text = Rect { x, y, width: area.right().saturating_sub(x).min(self.text_width()), height: 1 };
            if highlighted.replace(row.start) != Some(row.start) {
                highlights = self.highlights(row);
            }
            if !text.is_empty() {
                let line = Drawn { row, part, highlights: &highlights };
                self.draw_line(buffer, text, &line, theme, glyphs);
            }
            if selected {
                buffer.set_style(Rect { x: area.x, y, width: area.width, height: 1 }, theme.style(Role::Selection));
            }
        }
    }

    fn draw_line(&self, buffer: &mut Buffer, area: Rect, line: &Drawn<'_>, theme: &Theme, glyphs: &Glyphs) {
        let (row, cells) = (line.row, usize::from(area.width));
        // A row that is wrapped is shown from a byte on; one that is scrolled from a cell on.
        let first_byte = row.start_of(line.part, usize::from(self.text_width()));
        let first_cell = if self.wrap { 0 } else { self.column };

        let mut byte = 0;
        let mut cell = 0;
        let mut more = false;
        'spans: for span in &row.line.spans {
            if byte + span.content.len() <= first_byte {
                byte += span.content.len();
                continue;
            }
            let base = theme.depth().adapt(span.style);
            let before = first_byte.saturating_sub(byte);
            byte += before;
            for g in graphemes(&span.content[before..]) {
                let here = byte;
                byte += g.len();
                let w = width(g);
                let at = cell;
                cell += w;
                if at < first_cell {
                    continue;
                }
                if at - first_cell + w > cells {
                    more = !self.wrap;
                    break 'spans;
                }
                let over = line.highlights.partition_point(|(range, _)| range.end <= here);
                let style: Style = match line.highlights.get(over).filter(|(range, _)| range.contains(&here)) {
                    Some((_, true)) => theme.style(Role::MatchCurrent),
                    Some((_, false)) => theme.style(Role::Match),
                    None => base,
                };
                put(buffer, (area.x + (at - first_cell) as u16, area.y), g, w as u16, style);
            }
        }
        let faint = theme.style(Role::Faint);
        if more {
            // The last cell may be the second half of a wide character: its first half goes too.
            let x = area.right() - 1;
            if x > area.x && width(buffer[(x - 1, area.y)].symbol()) > 1 {
                buffer[(x - 1, area.y)].reset();
            }
            buffer[(x, area.y)].reset();
            buffer.set_string(x, area.y, glyphs.more_right, faint);
        }
        if first_cell > 0 && row.width > 0 {
            if width(buffer[(area.x, area.y)].symbol()) > 1 && area.width > 1 {
                buffer[(area.x + 1, area.y)].reset();
            }
            buffer[(area.x, area.y)].reset();
            buffer.set_string(area.x, area.y, glyphs.more_left, faint);
        }
    }
}

/// One line of the screen: a row, or a part of it.
struct Drawn<'a> {
    row: &'a Kept,
    part: usize,
    /// What stands out in the row, in order.
    highlights: &'a [(Range<usize>, bool)],
}
