//! The open run.

use ratatui::layout::Rect;

use super::super::app::App;
use super::super::run_model::OpenRun;
use super::paint::Brush;
use super::{detail, footer, header, layout, log, steps};

/// Draws an open run; `cursor` is set where text is being typed.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let layout = layout::run(area, run);
    header::draw(app, run, brush, layout.header);
    if layout.steps.height > 0 {
        steps::draw(app, run, brush, layout.steps_title, layout.steps, cursor);
    }
    if layout.detail.height > 0 {
        detail::draw(app, run, brush, layout.detail_title, layout.detail, cursor);
    }
    if layout.has_log {
        log::draw(app, run, brush, layout.log_title, layout.log);
    }
    footer::draw(app, brush, layout.rule, layout.footer);
}
