//! The log of an open run.

use ratatui::layout::Rect;

use super::super::app::App;
use super::super::log::Weight;
use super::super::run_model::{OpenRun, Pane};
use super::super::theme::Role;
use super::paint::Brush;

/// Draws the newest lines, or those the operator has gone back to.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, title: Rect, area: Rect) {
    let role = if run.focus == Pane::Log { Role::Accent } else { Role::Strong };
    let at = brush.text(title.x + 1, title.y, title.width, "Log", role);
    let lines = run.log.lines();
    let end = lines.len().saturating_sub(run.log_back);
    let start = end.saturating_sub(area.height as usize);
    if run.log_back > 0 {
        let back = format!("{} newer below", run.log_back);
        brush.text(at + 2, title.y, title.right().saturating_sub(at + 2), &back, Role::Muted);
    }
    for (row, line) in lines.range(start..end).enumerate() {
        let y = area.y + row as u16;
        let x = brush.text(area.x + 1, y, area.width, &app.settings.zone.clock(line.time), Role::Muted);
        let role = match line.weight {
            Weight::Quiet => Role::Muted,
            Weight::Person => Role::Text,
            Weight::Good => Role::Done,
            Weight::Attention => Role::Held,
            Weight::Bad => Role::Failed,
        };
        brush.text(x + 2, y, area.right().saturating_sub(x + 3), &line.text, role);
    }
}
