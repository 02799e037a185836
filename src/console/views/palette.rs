//! The palette: what is typed, the actions it finds, and what is to be said about the selected one.

use ratatui::layout::Rect;

use super::super::app::App;
use super::super::palette::{Palette, Row};
use super::super::theme::Role;
use super::super::{text, words};
use super::paint::Brush;
use super::popups::{frame, wrap};

/// Widest palette.
const WIDEST: u16 = 130;
/// Columns of the keys and of the names.
const KEY: u16 = 10;
const NAME: u16 = 19;
/// Lines for what is to be said about the selected action, usually; more where a reason is longer, as long as there is a list above.
const SAID: u16 = 2;
const MOST_SAID: u16 = 6;
/// Rows beside those of the actions: the field, two rules, what is said, and the frame.
const AROUND: u16 = 1 + 2 + SAID + 2;

/// Rows of actions that are seen at once in a terminal of this size.
pub fn height(size: (u16, u16)) -> u16 {
    size.1.saturating_sub(AROUND + 2).clamp(1, 24)
}

/// Draws it.
pub fn draw(app: &App, palette: &Palette, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let rows = height((area.width, area.height));
    let inner = frame(brush, area, width, rows + AROUND - 3, "All actions");
    field(palette, brush, Rect { height: 1, ..inner }, cursor);
    let said = palette.row().map(|row| about(row, palette.refused, inner.width)).unwrap_or_default();
    let longer = (said.len() as u16).clamp(SAID, MOST_SAID) - SAID;
    let list = Rect { y: inner.y + 2, height: rows.saturating_sub(longer).max(1), ..inner };
    // The selected row is seen also where what is said of it takes the room of the last ones.
    let rows = list.height as usize;
    let offset = palette.offset.max((palette.selected + 1).saturating_sub(rows));
    brush.rule(Rect { y: inner.y + 1, height: 1, ..inner });
    for (place, row) in palette.rows.iter().enumerate().skip(offset).take(rows) {
        let y = list.y + (place - offset) as u16;
        action(app, row, place == palette.selected, brush, Rect { y, height: 1, ..list });
    }
    if palette.rows.is_empty() {
        brush.text(list.x, list.y, list.width, "no action is like that", Role::Muted);
    }
    brush.rule(Rect { y: list.bottom(), height: 1, ..inner });
    for (y, (line, role)) in (list.bottom() + 1..inner.bottom()).zip(&said) {
        brush.text(inner.x, y, inner.width, line, *role);
    }
    let below = palette.rows.len().saturating_sub(offset + rows);
    let more = if below > 0 { format!("{} more below · ", words::thousands(below)) } else { String::new() };
    brush.text_right(
        inner.x,
        inner.right(),
        inner.bottom(),
        &format!(" {more}Enter does it · Esc closes "),
        Role::Muted,
    );
}

fn field(palette: &Palette, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let (shown, column) = palette.input.visible(area.width.saturating_sub(3) as usize);
    brush.text(area.x, area.y, 1, ":", Role::Accent);
    if palette.input.is_empty() {
        brush.text(area.x + 2, area.y, area.width.saturating_sub(2), "what do you want to do?", Role::Faint);
    }
    brush.text(area.x + 2, area.y, area.width.saturating_sub(2), &shown, Role::Text);
    *cursor = Some((area.x + 2 + column as u16, area.y));
}

fn action(app: &App, row: &Row, selected: bool, brush: &mut Brush<'_>, area: Rect) {
    if selected {
        let whole = Rect { x: area.x.saturating_sub(2), width: area.width + 4, ..area };
        brush.over(whole, Role::Selection);
        brush.text(whole.x, area.y, 1, brush.glyphs.selected, Role::Accent);
    }
    let possible = row.why_not.is_none();
    let (key, name, doc) = match (possible, selected) {
        (true, _) => (Role::Key, Role::Text, Role::Muted),
        // The faint colour is made for the background, not for the selection.
        (false, true) => (Role::Muted, Role::Muted, Role::Muted),
        (false, false) => (Role::Faint, Role::Faint, Role::Faint),
    };
    brush.text(area.x, area.y, NAME - 1, &row.title, name);
    matched(brush, (area.x, area.y, NAME - 1), &row.title, &row.in_title, name);
    let x = area.x + NAME;
    brush.text(x, area.y, KEY - 1, app.key_of(row.action), key);
    let x = x + KEY;
    let said = row.action.entry().doc;
    let room = area.right().saturating_sub(x);
    brush.text(x, area.y, room, said, doc);
    matched(brush, (x, area.y, room), said, &row.in_doc, doc);
}

/// Marks the characters that were typed, as far as they are seen.
fn matched(brush: &mut Brush<'_>, (x, y, width): (u16, u16, u16), line: &str, places: &[usize], role: Role) {
    if places.is_empty() {
        return;
    }
    let right = x + width;
    // The last column may hold the mark of a cut.
    let is_cut = text::width(line) > width as usize;
    let mut at = x;
    for (place, character) in line.chars().enumerate() {
        let columns = text::width(character.encode_utf8(&mut [0; 4])) as u16;
        if at + columns > right || (is_cut && at + columns >= right) {
            break;
        }
        if places.contains(&place) {
            let mark = if role == Role::Faint { Role::Muted } else { Role::Accent };
            let style = brush.theme.style(mark).add_modifier(ratatui::style::Modifier::UNDERLINED);
            brush.over(Rect { x: at, y, width: columns, height: 1 }, style);
        }
        at += columns;
    }
}

/// Why the selected action is not possible now, in whole; what it does where its row has no room for it.
fn about(row: &Row, refused: bool, width: u16) -> Vec<(String, Role)> {
    let doc = row.action.entry().doc;
    let cut = text::width(doc) > width.saturating_sub(NAME + KEY) as usize;
    let role = if refused { Role::Warning } else { Role::Text };
    let said = match &row.why_not {
        Some(why) => format!("not now: {why}"),
        None if cut => doc.to_owned(),
        None => return Vec::new(),
    };
    let role = if row.why_not.is_some() { role } else { Role::Text };
    wrap(&said, width as usize).into_iter().map(|line| (line, role)).collect()
}
