//! Drawing: functions of `&App` that never lock, wait or read a file, and whose cost follows the size of the screen.

pub mod answer;
pub mod detail;
pub mod footer;
pub mod form;
mod glimpse;
pub mod graph;
pub mod header;
pub mod history;
pub mod layout;
pub mod log;
pub mod metrics;
pub mod paint;
pub mod palette;
pub mod popups;
mod question;
mod recap;
pub mod run;
pub mod runs;
mod saving;
pub mod steps;
pub mod strip;
mod textbox;
pub mod timeline;
mod values;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use super::app::{App, Place};
use super::text;
use paint::Brush;

/// The smallest terminal on which everything can be reached.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Draws the whole screen. Every cell of it is still to be checked, by [`super::text::guard_buffer`]: the terminal does that with all that goes out.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut cursor = None;
    let buffer = frame.buffer_mut();
    buffer.set_style(area, app.theme.base());
    let mut brush = Brush { buffer, theme: app.theme, glyphs: app.glyphs };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(&mut brush, area);
    } else {
        match (app.place, &app.run) {
            (Place::Run, Some(run)) => run::draw(app, run, &mut brush, area, &mut cursor),
            (Place::History, Some(run)) => history::draw(app, run, &mut brush, area, &mut cursor),
            (Place::Timeline, Some(run)) => timeline::draw(app, run, &mut brush, area, &mut cursor),
            (Place::Metrics, Some(run)) => metrics::draw(app, run, &mut brush, area),
            (Place::Graph, Some(run)) => graph::draw(app, run, &mut brush, area),
            _ => runs::draw(app, &mut brush, area, &mut cursor),
        }
        if !strip::is_on_rule(app) {
            strip::draw(app, &mut brush);
        }
        if !app.layers.is_empty() {
            cursor = None;
            brush.fade(area);
            for layer in &app.layers {
                popups::draw(app, &layer.popup, &mut brush, area, &mut cursor);
            }
        }
    }
    if let Some((x, y)) = cursor {
        frame.set_cursor_position(Position::new(x, y));
    }
}

fn too_small(brush: &mut Brush<'_>, area: Rect) {
    use super::theme::Role;
    let lines = [
        format!("{} × {} is too small", area.width, area.height),
        format!("at least {} × {} is needed", SMALLEST.0, SMALLEST.1),
    ];
    let top = area.height.saturating_sub(2) / 2;
    for (place, line) in lines.iter().enumerate() {
        let y = area.y + top + place as u16;
        if y < area.bottom() {
            let x = area.x + area.width.saturating_sub(text::width(line) as u16) / 2;
            brush.text(x, y, area.right().saturating_sub(x), line, if place == 0 { Role::Strong } else { Role::Muted });
        }
    }
}
