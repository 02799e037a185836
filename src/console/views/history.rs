//! Checkpoints, versions and interventions: a list, and beside it what the selected entry says in full.

use chrono::{DateTime, Utc};
use ratatui::layout::Rect;

use super::super::app::{App, FilterOf};
use super::super::history::{self, History, Kind};
use super::super::log::asked;
use super::super::run_model::OpenRun;
use super::super::theme::{Role, run_role, step_role};
use super::super::{text, words};
use super::paint::Brush;
use super::{filter, footer, header, layout};
use crate::run::{CheckpointCause, CheckpointMark, Ending, InterventionStatus, RunStatus, StepStatus, checkpoint_id};

/// Where the list and the text are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Areas {
    /// The heading of the list.
    pub title: Rect,
    /// Its rows.
    pub list: Rect,
    /// The text beside or under it.
    pub text: Rect,
}

/// The layout of the place.
pub fn areas(area: Rect) -> Areas {
    if area.height < 10 {
        return Areas::default();
    }
    let head = if area.height >= 30 { 4 } else { 3 };
    let body = Rect { y: area.y + head, height: area.height - head - 2, ..area };
    let title = Rect { height: 1, ..body };
    let below = Rect { y: body.y + 1, height: body.height - 1, ..body };
    if layout::is_narrow((area.width, area.height)) {
        let rows = (below.height / 2).max(3);
        let text = Rect { y: below.y + rows + 1, height: below.height.saturating_sub(rows + 1), ..below };
        return Areas { title, list: Rect { height: rows, ..below }, text };
    }
    let left = area.width * 52 / 100;
    let text = Rect { x: area.x + left + 3, width: area.width - left - 3, ..body };
    Areas { title: Rect { width: left, ..title }, list: Rect { width: left, ..below }, text }
}

/// Draws the place; `cursor` is set where text is being typed.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let Some(history) = &app.history else { return };
    header::draw(app, run, brush, area);
    let areas = areas(area);
    heading(app, run, history, brush, areas.title, cursor);
    let rows = history.rows(&run.state);
    let selected = history.selected_row(&run.state);
    for row in 0..usize::from(areas.list.height) {
        let Some(entry) = history.entry(&run.state, history.offset + row).filter(|_| history.offset + row < rows)
        else {
            break;
        };
        let place = Rect { y: areas.list.y + row as u16, height: 1, ..areas.list };
        let is_selected = history.offset + row == selected;
        if is_selected {
            brush.over(place, Role::Selection);
            brush.text(place.x, place.y, 1, brush.glyphs.selected, Role::Accent);
        }
        let line = Rect { x: place.x + 1, width: place.width.saturating_sub(2), ..place };
        match history.kind {
            Kind::Checkpoints => checkpoint(app, run, history, brush, line, entry),
            Kind::Versions => version(app, run, history, brush, line, entry),
            Kind::Interventions => intervention(app, run, brush, line, entry),
        }
    }
    if rows == 0 {
        let said = match (history.filter.is_empty(), history.kind) {
            (false, _) => &app.keys.fill("nothing matches; {back} clears the filter"),
            (_, Kind::Checkpoints) => {
                "no checkpoint yet: there is one at the start, after every step and at each pause"
            }
            _ => "nobody has done anything yet",
        };
        brush.text(areas.list.x + 2, areas.list.y, areas.list.width.saturating_sub(3), said, Role::Muted);
    }
    detail(history, brush, areas.text);
    footer::draw(
        app,
        brush,
        Rect { y: area.bottom() - 2, height: 1, ..area },
        Rect { y: area.bottom() - 1, height: 1, ..area },
    );
}

fn heading(
    app: &App,
    run: &OpenRun,
    history: &History,
    brush: &mut Brush<'_>,
    area: Rect,
    cursor: &mut Option<(u16, u16)>,
) {
    let name = match history.kind {
        Kind::Checkpoints => "Checkpoints",
        Kind::Versions => "Versions of the plan",
        Kind::Interventions => "Interventions",
    };
    let at = brush.text(area.x + 1, area.y, area.width, name, Role::Accent);
    let all = history.len(&run.state);
    let shown = history.rows(&run.state);
    let count = if shown == all {
        words::thousands(all)
    } else {
        format!("{} of {}", words::thousands(shown), words::thousands(all))
    };
    let mut at = brush.text(at + 2, area.y, area.right().saturating_sub(at + 2), &count, Role::Muted);
    let newer = history.newer(&run.state);
    if newer > 0 {
        let said = format!("{} newer · g", words::thousands(newer));
        at = brush.text(at + 3, area.y, area.right().saturating_sub(at + 3), &said, Role::Accent);
    }
    if let Some(marked) = history.marked.filter(|_| history.kind == Kind::Versions) {
        let said = format!("compared with v{marked}");
        at = brush.text(at + 3, area.y, area.right().saturating_sub(at + 3), &said, Role::Accent);
    }
    let room = area.right().saturating_sub(at + 4);
    if let Some((FilterOf::History, input)) = &app.typing {
        let (_, column) = filter::typed(input, brush, at + 3, area.y, room + 1);
        *cursor = Some((column, area.y));
    } else if !history.filter.is_empty() {
        filter::kept(app, &history.filter, brush, at + 3, area.y, room);
    }
}

/// The column of the time, and where the next one begins; with the day, in a run that was not opened today.
fn when(app: &App, run: &OpenRun, brush: &mut Brush<'_>, (x, y): (u16, u16), time: DateTime<Utc>, role: Role) -> u16 {
    let zone = app.settings.zone;
    let today = |time| zone.show(time, "%Y-%m-%d") == zone.show(app.now, "%Y-%m-%d");
    let width = if today(run.state.created_at) { 8 } else { 12 };
    let said = if today(time) { zone.clock(time) } else { zone.show(time, "%e %b %H:%M") };
    brush.text(x, y, width, &said, role);
    x + width + 2
}

fn checkpoint(app: &App, run: &OpenRun, history: &History, brush: &mut Brush<'_>, area: Rect, entry: usize) {
    let Some(mark) = run.state.checkpoints.get(entry) else { return };
    let left = history.left_at(mark);
    let role = |role: Role| if left.is_some() { Role::Faint } else { role };
    let y = area.y;
    let mut x = area.x + 1;
    if left.is_some() {
        // What was left behind hangs beside the line that leads to now.
        brush.text(area.x, y, 1, brush.glyphs.bar, Role::Faint);
    }
    brush.text(x, y, 9, &checkpoint_id(mark.seq), role(Role::Muted));
    x += 10;
    x = when(app, run, brush, (x, y), mark.time, role(Role::Muted));
    let done =
        format!("{} of {}", words::thousands(mark.step_index as usize), words::thousands(history.steps_at(mark)));
    let what = run.state.what_made(entry);
    let mut end = area.right();
    if let Some(left) = left {
        let room = usize::from(end.saturating_sub(x)).saturating_sub(text::width(&what) + 4);
        let forms = [format!("left behind {}", app.settings.zone.moment(left, mark.time)), "left behind".to_owned()];
        let said = forms.iter().find(|form| text::width(form) <= room).unwrap_or(&forms[1]);
        end = brush.text_right(x, end, y, said, Role::Faint).saturating_sub(2);
    } else {
        end = brush.text_right(x, end, y, &done, Role::Muted).saturating_sub(2);
    }
    let (glyph, of_glyph) = made_by(brush, mark);
    brush.text(x, y, 1, glyph, role(of_glyph));
    x += 2;
    let loud = mark.ending.is_some_and(|ending| ending == Ending::Failed);
    let said = role(if loud { Role::Failed } else { Role::Text });
    brush.text(x, y, end.saturating_sub(x), &what, said);
}

/// The glyph of what made a checkpoint.
fn made_by(brush: &Brush<'_>, mark: &CheckpointMark) -> (&'static str, Role) {
    let glyphs = brush.glyphs;
    match (mark.cause, mark.ending) {
        (CheckpointCause::Step, Some(ending)) => (glyphs.step(ending.as_step()), step_role(ending.as_step())),
        (CheckpointCause::Step, None) => (glyphs.dot, Role::Muted),
        (CheckpointCause::Ended, ending) => {
            let status = ending.map_or(StepStatus::Completed, Ending::as_step);
            (glyphs.step(status), step_role(status))
        }
        (CheckpointCause::Paused, _) => (glyphs.run(RunStatus::Paused), run_role(RunStatus::Paused)),
        (CheckpointCause::Started, _) => (glyphs.run(RunStatus::Running), Role::Muted),
        (CheckpointCause::Restored, _) => (glyphs.back, Role::Accent),
    }
}

fn version(app: &App, run: &OpenRun, history: &History, brush: &mut Brush<'_>, area: Rect, entry: usize) {
    let state = &run.state;
    let made = entry.checked_sub(1).and_then(|at| state.versions.get(at));
    let number = made.map_or(1, |made| made.change.version);
    let time = made.map_or(state.created_at, |made| made.time);
    let (user, what, reason) = history::version(state, entry);
    let y = area.y;
    let mut x = area.x + 1;
    let marked = history.marked == Some(number);
    brush.text(
        x,
        y,
        6,
        &format!("{}v{number}", if marked { "*" } else { "" }),
        if marked { Role::Accent } else { Role::Strong },
    );
    x += 7;
    x = when(app, run, brush, (x, y), time, Role::Muted);
    brush.text(x, y, 10, user, Role::Text);
    x += 12;
    let at = brush.text(x, y, area.right().saturating_sub(x), &what, Role::Text);
    if !reason.is_empty() {
        brush.text(at + 2, y, area.right().saturating_sub(at + 2), &format!("“{reason}”"), Role::Muted);
    }
}

fn intervention(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, entry: usize) {
    let Some(record) = run.state.interventions.get(entry) else { return };
    let role = match record.status {
        InterventionStatus::Applied => Role::Done,
        InterventionStatus::Pending => Role::Waiting,
        InterventionStatus::Failed => Role::Failed,
    };
    let y = area.y;
    let mut x = area.x + 1;
    x = when(app, run, brush, (x, y), record.timestamp, Role::Muted);
    brush.text(x, y, 7, history::status_word(record), role);
    x += 9;
    brush.text(x, y, 10, &record.user, Role::Text);
    x += 12;
    let asked = asked(record, &run.state);
    // What it is about is what matters.
    let step = record.target_step_id.as_deref().and_then(|step| Some((step, asked.find(step)?)));
    let (before, step, after) = match step {
        Some((step, place)) => (&asked[..place], step, &asked[place + step.len()..]),
        None => (asked.as_str(), "", ""),
    };
    let pieces = [(before, Role::Text), (step, Role::Strong), (after, Role::Text)];
    let at = brush.pieces(x, y, area.right().saturating_sub(x), &pieces);
    if let Some(reason) = &record.reason {
        brush.text(at + 2, y, area.right().saturating_sub(at + 2), &format!("“{reason}”"), Role::Muted);
    }
}

fn detail(history: &History, brush: &mut Brush<'_>, area: Rect) {
    let Some(lines) = history.text() else {
        brush.text(area.x + 1, area.y, area.width.saturating_sub(2), "reading the journal…", Role::Faint);
        return;
    };
    let wrapped = wrapped(lines, area.width.saturating_sub(3) as usize);
    let height = area.height as usize;
    let offset = history.scroll.min(wrapped.len().saturating_sub(height));
    for (row, (line, role)) in wrapped.iter().skip(offset).take(height).enumerate() {
        brush.text(area.x + 1, area.y + row as u16, area.width.saturating_sub(2), line, *role);
    }
    let below = wrapped.len().saturating_sub(offset + height);
    if below > 0 {
        let said = format!(" {} more · Ctrl-d ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom() - 1, &said, Role::Accent);
    }
}

fn wrapped(lines: &[history::Line], columns: usize) -> Vec<(String, Role)> {
    let mut found = Vec::with_capacity(lines.len());
    for line in lines {
        if text::width(&line.text) <= columns {
            found.push((line.text.clone(), line.role));
        } else {
            found.extend(super::popups::wrap(&line.text, columns).into_iter().map(|part| (part, line.role)));
        }
    }
    found
}

/// How far the text can be scrolled.
pub fn longest_scroll(history: &History, area: Rect) -> usize {
    let areas = areas(area);
    let lines = history.text().map_or(0, |lines| wrapped(lines, areas.text.width.saturating_sub(3) as usize).len());
    lines.saturating_sub(areas.text.height as usize)
}
