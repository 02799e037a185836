//! The filter of a list, in its heading.

use ratatui::layout::Rect;

use super::super::app::App;
use super::super::input::Input;
use super::super::text;
use super::super::theme::Role;
use super::paint::Brush;

/// Draws a filter while it is typed; gives back the column behind it, and that of its cursor.
pub fn typed(input: &Input, brush: &mut Brush<'_>, x: u16, y: u16, room: u16) -> (u16, u16) {
    let (shown, column) = input.visible(room.saturating_sub(2) as usize);
    let at = brush.text(x, y, room.min(1), "/", Role::Accent);
    let end = brush.text(at, y, room.saturating_sub(1), &shown, Role::Text);
    if input.is_selected() {
        brush.over(Rect { x: at, y, width: end.saturating_sub(at), height: 1 }, Role::Selection);
    }
    (end, at + column as u16)
}

/// Draws a filter that holds, and what takes it off; gives back the column behind it.
pub fn kept(app: &App, text: &str, brush: &mut Brush<'_>, x: u16, y: u16, room: u16) -> u16 {
    let end = brush.text(x, y, room, &format!("/{text}"), Role::Accent);
    let said = app.keys.fill(" · {back} shows all");
    let left = (x + room).saturating_sub(end);
    if usize::from(left) < text::width(&said) { end } else { brush.text(end, y, left, &said, Role::Muted) }
}
