//! What has happened while nobody looked.

use ratatui::layout::Rect;

use crate::run::{RunStatus, StepStatus};

use super::super::away::{Recap, Sign};
use super::super::theme::{Role, run_role};
use super::super::words;
use super::paint::Brush;
use super::popups::{WIDEST, frame, wrap};

/// Draws it in the middle.
pub fn draw(recap: &Recap, brush: &mut Brush<'_>, area: Rect) {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(8) as usize;
    let mut rows: Vec<(Option<Sign>, String)> = Vec::new();
    for (sign, said) in &recap.lines {
        for (place, line) in wrap(said, columns).into_iter().enumerate() {
            rows.push(((place == 0).then_some(*sign), line));
        }
    }
    let most = area.height.saturating_sub(6).max(1) as usize;
    rows.truncate(most);
    let title = format!("While you were away, {}", words::span(recap.away.as_seconds_f64()));
    let inner = frame(brush, area, width, rows.len() as u16 + 1, &title);
    for (row, (sign, line)) in rows.iter().enumerate() {
        let y = inner.y + 1 + row as u16;
        let (glyph, role) = match sign {
            Some(Sign::Run(status)) => (brush.glyphs.run(*status), run_role(*status)),
            Some(Sign::Calls) => (brush.glyphs.step(StepStatus::Held), Role::Held),
            Some(Sign::Plain) => (brush.glyphs.dot, Role::Faint),
            None => (" ", Role::Faint),
        };
        brush.text(inner.x, y, 1, glyph, role);
        let loud = matches!(sign, Some(Sign::Run(RunStatus::Failed) | Sign::Calls));
        brush.text(inner.x + 2, y, inner.width.saturating_sub(2), line, if loud { role } else { Role::Text });
    }
    brush.text_right(inner.x, inner.right(), inner.bottom(), " any key goes on ", Role::Muted);
}
