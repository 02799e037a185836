//! A text of several lines while it is typed: the columns of its characters, and its rows.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::input::Input;
use super::super::textbox::TextBox;
use super::super::theme::Role;
use super::super::{text, words};
use super::paint::Brush;

/// The column at which a character of a line stands, as the line is shown.
pub fn column(line: &str, character: usize) -> usize {
    let end = line.char_indices().nth(character).map_or(line.len(), |(place, _)| place);
    text::width(&text::clean(&line[..end]))
}

/// So many columns are left out at the left, so that the cursor is seen in `width` of them.
pub fn shift(text: &TextBox, width: usize) -> usize {
    let (line, character) = text.cursor();
    (column(&text.lines()[line], character) + 1).saturating_sub(width)
}

/// What of a line is right of some columns.
pub fn past(line: &str, columns: usize) -> String {
    let mut passed = 0;
    let mut rest = line.chars();
    while passed < columns {
        match rest.next() {
            Some(c) => passed += text::width(c.encode_utf8(&mut [0; 4])),
            None => return String::new(),
        }
    }
    rest.collect()
}

/// Draws what is selected of a line over it.
pub fn selection(text: &TextBox, number: usize, shift: usize, brush: &mut Brush<'_>, row: Rect) {
    let Some((from, to)) = text.selection().filter(|(from, to)| (from.0..=to.0).contains(&number)) else { return };
    let line = &text.lines()[number];
    let start = if number == from.0 { column(line, from.1) } else { 0 };
    let end = if number == to.0 { column(line, to.1) } else { column(line, usize::MAX) + 1 };
    let (start, end) = (start.saturating_sub(shift), end.saturating_sub(shift).min(row.width as usize));
    let (x, width) = (row.x + start as u16, end.saturating_sub(start) as u16);
    brush.over(Rect { x, width, ..row }, Role::Selection);
}

/// Draws a field in one row, and at its right end how many lines are in it where it has several; gives back the column of its cursor.
pub fn one_row(input: &Input, lines: Option<usize>, brush: &mut Brush<'_>, row: Rect, role: Role) -> u16 {
    let mut room = row.width;
    if let Some(lines) = lines {
        let said = words::count(lines, "line");
        let taken = text::width(&said) as u16 + 2;
        if taken + 8 < room {
            brush.text_right(row.x, row.right(), row.y, &said, Role::Muted);
            room -= taken;
        }
    }
    let (shown, column) = input.visible(room as usize);
    brush.text(row.x, row.y, room, &shown, role);
    row.x + column as u16
}

/// What of a text is seen where there is no room for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The cursor: it has the keys.
    Cursor,
    /// A line and those below it.
    From(usize),
}

/// Draws as many rows of a text as there is room for. How much is below of one that has not the keys is told at the right end of the last row.
pub fn draw(
    text: &TextBox,
    brush: &mut Brush<'_>,
    area: Rect,
    style: Style,
    seen: Seen,
    cursor: &mut Option<(u16, u16)>,
) {
    let (at, character) = text.cursor();
    let (rows, width) = (area.height.max(1) as usize, area.width as usize);
    let (top, shift) = match seen {
        Seen::Cursor => ((at + 1).saturating_sub(rows), shift(text, width)),
        Seen::From(line) => (line, 0),
    };
    for (row, (number, line)) in text.lines().iter().enumerate().skip(top).take(rows).enumerate() {
        let row = Rect { y: area.y + row as u16, height: 1, ..area };
        let clean = text::clean(line);
        let shown = if shift == 0 { clean.into_owned() } else { past(&clean, shift) };
        brush.text(row.x, row.y, row.width, &shown, style);
        selection(text, number, shift, brush, row);
        if seen == Seen::Cursor && number == at {
            *cursor = Some((row.x + (column(line, character) - shift) as u16, row.y));
        }
    }
    let below = text.lines().len().saturating_sub(top + rows);
    if below > 0 && seen != Seen::Cursor {
        let said = format!(" {} ", words::count(below, "more line"));
        brush.text_right(area.x, area.right(), area.bottom() - 1, &said, Role::Muted);
    }
}
