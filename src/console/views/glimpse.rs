//! What is seen of the selected run or plan below the list.

use ratatui::layout::Rect;

use crate::plan::Plan;
use crate::run::{RunState, StepStatus, short_id};

use super::super::app::App;
use super::super::glimpse::Glimpse;
use super::super::theme::{Role, step_role};
use super::super::{listing, words};
use super::paint::Brush;
use super::steps;

/// Columns of a step's state.
const WORD: u16 = 13;
/// Columns of how long it took, with the gap behind.
const TOOK: u16 = 10;

/// Draws it; a line of its own says what it is of.
pub fn draw(app: &App, brush: &mut Brush<'_>, area: Rect) {
    let Some(row) = &app.runs.selected else { return };
    let Some(glimpse) = app.glimpses.of(row) else { return };
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let title = match glimpse {
        Glimpse::Run { state, steps } => {
            run(app, brush, rows, state, steps);
            format!("{} · run {}", state.plan.plan_id, short_id(state.run_id))
        }
        Glimpse::Plan(found) => {
            plan(brush, rows, found);
            format!("{} · plan", found.plan_id)
        }
        Glimpse::Problems(lines) => {
            for (row, line) in lines.iter().take(rows.height as usize).enumerate() {
                brush.text(rows.x + 1, rows.y + row as u16, rows.width.saturating_sub(2), line, Role::Muted);
            }
            app.runs.plan_of(row).map_or_else(String::new, |entry| format!("{} · invalid", entry.plan_id))
        }
    };
    brush.rule(Rect { height: 1, ..area });
    brush.text(area.x + 1, area.y, area.width.saturating_sub(4), &format!(" {title} "), Role::Strong);
}

/// The steps that matter most, as many as have room, as people read them; the last line says how many more there are.
fn run(app: &App, brush: &mut Brush<'_>, area: Rect, state: &RunState, steps: &[usize]) {
    let all = state.plan.written();
    let room = area.height as usize;
    let shown = if all > room { room.saturating_sub(1) } else { room };
    let mut shown: Vec<usize> = steps.iter().copied().take(shown).collect();
    shown.sort_unstable();
    let names = name_width(area.width);
    for (row, position) in shown.iter().enumerate() {
        let (y, step) = (area.y + row as u16, &state.steps[*position]);
        let (status, word) = listing::shown(state, *position);
        let mut x = area.x + 1;
        brush.text(x, y, 1, brush.glyphs.step(status), step_role(status));
        brush.text(x + 2, y, WORD - 1, word, step_role(status));
        x += 2 + WORD;
        name(brush, (x, y), names, &state.plan, *position, step.status == StepStatus::Pending);
        x += names;
        if let Some(seconds) = step.seconds(app.now) {
            brush.text_right(x, x + TOOK - 2, y, &words::duration(seconds), Role::Muted);
        }
        x += TOOK;
        let (note, role) = steps::note_of(app, state, *position, None);
        let note = match state.instance_counts(*position) {
            Some(counts) if note.is_empty() => listing::instances_in_words(counts),
            _ => note,
        };
        brush.text(x, y, area.right().saturating_sub(x + 1), &note, role);
    }
    more(brush, area, shown.len(), all);
}

/// The first steps of a plan, with who does them.
fn plan(brush: &mut Brush<'_>, area: Rect, plan: &Plan) {
    let all = plan.steps.len();
    let room = area.height as usize;
    let shown = if all > room { room.saturating_sub(1) } else { all };
    let names = name_width(area.width);
    for (row, step) in plan.steps.iter().take(shown).enumerate() {
        let y = area.y + row as u16;
        name(brush, (area.x + 3, y), names, plan, row, true);
        let x = area.x + 3 + names;
        let at = brush.text(x, y, 18, step.agent_label(), Role::Faint);
        if let Some(reason) = step.hold.as_deref().and_then(crate::plan::Hold::reason) {
            let x = at.max(x + 18) + 2;
            brush.text(x, y, area.right().saturating_sub(x + 1), reason, Role::Muted);
        }
    }
    more(brush, area, shown, all);
}

/// So much room has what a step is called.
fn name_width(width: u16) -> u16 {
    (width / 3).clamp(24, 48)
}

/// What a step is called, with the mark of a hold point that is yet to come.
fn name(brush: &mut Brush<'_>, (x, y): (u16, u16), width: u16, plan: &Plan, position: usize, ahead: bool) {
    let Some(step) = plan.steps.get(position) else { return };
    let end = x + width.saturating_sub(2);
    let mut at = x;
    if ahead && step.hold.is_some() {
        at = brush.text(at, y, 1, brush.glyphs.step(StepStatus::Held), Role::Held) + 1;
    }
    at = brush.text(at, y, end.saturating_sub(at), &step.step_id, Role::Text);
    if let Some(title) = step.name.as_deref().filter(|title| *title != step.step_id) {
        brush.text(at + 2, y, end.saturating_sub(at + 2), title, Role::Faint);
    }
}

fn more(brush: &mut Brush<'_>, area: Rect, shown: usize, all: usize) {
    if shown < all {
        let said = format!("{} {} more", brush.glyphs.ellipsis, words::count(all - shown, "step"));
        brush.text(area.x + 3, area.y + shown as u16, area.width.saturating_sub(4), &said, Role::Faint);
    }
}
