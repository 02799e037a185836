//! The question for the file to which an output is written.

use ratatui::layout::Rect;

use super::super::saving::{SaveForm, Saving};
use super::super::theme::Role;
use super::paint::Brush;
use super::popups::{WIDEST, frame, wrap};

/// Draws it in the middle.
pub fn draw(form: &SaveForm, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(6) as usize;
    let (said, role) = match &form.state {
        Saving::Naming => (
            "As it was printed, colours and all, in the folder in which holdpoint was started, unless the name says another.",
            Role::Muted,
        ),
        Saving::Refused(why) => (why.as_str(), Role::Error),
        Saving::IsThere => ("There is a file with this name.", Role::Warning),
        Saving::Writing => ("writing…", Role::Accent),
    };
    let said = wrap(said, columns);
    let inner = frame(brush, area, width, said.len() as u16 + 5, &form.title);
    let mut y = inner.y + 1;
    brush.text(inner.x, y, inner.width, &form.what, Role::Text);
    y += 2;
    let naming = matches!(form.state, Saving::Naming | Saving::Refused(_));
    let at = brush.text(inner.x, y, inner.width, "File  ", if naming { Role::Accent } else { Role::Muted });
    let room = inner.right().saturating_sub(at);
    let (shown, column) = form.input.visible(room as usize);
    brush.text(at, y, room, &shown, Role::Text);
    if naming {
        *cursor = Some((at + column as u16, y));
    }
    y += 1;
    for line in &said {
        brush.text(inner.x, y, inner.width, line, role);
        y += 1;
    }
    let keys: &[(&str, &str)] = match form.state {
        Saving::Naming | Saving::Refused(_) => &[("Enter", "save"), ("Esc", "leave it")],
        Saving::IsThere => &[("y", "replace it"), ("Esc", "another name"), ("Enter", "does nothing")],
        Saving::Writing => &[("Esc", "go on meanwhile")],
    };
    let mut x = inner.x;
    let y = inner.bottom() - 1;
    for (key, label) in keys {
        let at = brush.text(x, y, inner.right().saturating_sub(x), key, Role::Key);
        x = brush.text(at + 1, y, inner.right().saturating_sub(at + 1), label, Role::Muted) + 3;
    }
}
