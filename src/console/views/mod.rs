//! Drawing: functions of `&App` that never lock, wait or read a file, and whose cost follows the size of the screen.

pub mod answer;
pub mod detail;
mod filter;
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

use super::actions::Action;
use super::app::{App, Place};
use super::theme::{Role, run_role};
use super::{text, words};
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
    if is_too_small((area.width, area.height)) {
        too_small(app, &mut brush, area);
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

/// Whether the terminal is smaller than that.
pub fn is_too_small(size: (u16, u16)) -> bool {
    size.0 < SMALLEST.0 || size.1 < SMALLEST.1
}

/// How the run stands, and which keys there are: see [`App::works_unseen`].
fn too_small(app: &App, brush: &mut Brush<'_>, area: Rect) {
    let run = app.run.as_ref().filter(|_| app.place != Place::Runs);
    let mut lines = Vec::new();
    match run {
        Some(run) => {
            let counts = run.state.own_counts();
            let stands = format!("{}  {} of {}", header::word(run), counts.done(), counts.total());
            lines.push((stands, run_role(run.state.status)));
            lines.push((run.state.plan.plan_id.clone(), Role::Strong));
        }
        None => lines.push((words::count(app.runs.active_count(), "active run"), Role::Strong)),
    }
    let waiting = app.runs.waiting_count();
    if waiting > 0 {
        lines.push((format!("{waiting} for you"), Role::Held));
    }
    lines.push((format!("{} × {} is too small", area.width, area.height), Role::Warning));
    lines.push((format!("{} × {} is needed", SMALLEST.0, SMALLEST.1), Role::Muted));
    let keys = [(Action::Pause, "pauses"), (Action::Quit, "leaves")];
    let keys = keys.into_iter().filter(|(action, _)| app.works_unseen(*action));
    let keys: Vec<String> = keys.map(|(action, does)| format!("{} {does}", app.key_of(action))).collect();
    let said =
        if keys.is_empty() { "no key does anything".into() } else { format!("{}, no other key", keys.join(", ")) };
    lines.push((said, Role::Muted));
    let top = area.height.saturating_sub(lines.len() as u16) / 2;
    for (y, (line, role)) in (area.y + top..area.bottom()).zip(&lines) {
        let x = area.x + area.width.saturating_sub(text::width(line) as u16) / 2;
        brush.text(x, y, area.right().saturating_sub(x), line, *role);
    }
}
