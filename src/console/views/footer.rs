//! The rule with the message, and the keys that work here and now: made from the table of actions.

use ratatui::layout::Rect;

use super::super::actions::{Action, TABLE};
use super::super::app::App;
use super::super::availability::{availability, meant};
use super::super::text;
use super::super::theme::Role;
use super::paint::Brush;

/// Draws both lines.
pub fn draw(app: &App, brush: &mut Brush<'_>, rule: Rect, footer: Rect) {
    brush.rule(rule);
    if let Some(drag) = app.drag.as_ref().filter(|drag| drag.is_moving()) {
        let (said, role) = match &drag.refused {
            Some(why) => (format!(" not here: {why} "), Role::Warning),
            None => (format!(" drop {} here, at place {} · Esc leaves it ", drag.step, drag.to + 1), Role::Accent),
        };
        brush.text(rule.x + 1, rule.y, rule.width.saturating_sub(2), &said, role);
    } else if let Some(message) = &app.message {
        let role = if message.bad { Role::Warning } else { Role::Accent };
        let shown = format!(" {} ", message.text);
        brush.text(rule.x + 1, rule.y, rule.width.saturating_sub(2), &shown, role);
    }
    keys(app, brush, footer);
}

/// The actions of the footer here and now, in their order: of those that share a key, the one that is meant.
pub fn actions(app: &App) -> Vec<Action> {
    let (scope, seen) = (app.scope(), app.to_be_drawn());
    let mut found: Vec<(u8, Action)> = Vec::new();
    for entry in TABLE.iter().filter(|entry| entry.rank > 0 && entry.scope.covers(scope)) {
        if found.iter().any(|(rank, _)| *rank == entry.rank) {
            continue;
        }
        let alternatives: Vec<Action> = TABLE
            .iter()
            .filter(|other| other.rank == entry.rank && other.scope.covers(scope))
            .map(|other| other.action)
            .collect();
        found.push((entry.rank, meant(app, &seen, &alternatives).unwrap_or(entry.action)));
    }
    found.sort_by_key(|(rank, _)| *rank);
    // A key is shown once, for what it does here first.
    let mut keys: Vec<&str> = Vec::new();
    found.retain(|(_, action)| {
        let new = !keys.contains(&action.key());
        keys.extend(new.then(|| action.key()));
        new
    });
    found.into_iter().map(|(_, action)| action).collect()
}

fn keys(app: &App, brush: &mut Brush<'_>, area: Rect) {
    const GAP: u16 = 3;
    let all = actions(app);
    // Help and leaving are always to be found, at the right end.
    let (ends, rest): (Vec<Action>, Vec<Action>) =
        all.into_iter().partition(|action| matches!(action, Action::Help | Action::Quit));
    let measure = |action: &Action| (text::width(action.key()) + 1 + text::width(action.entry().label)) as u16;
    let tail: u16 = ends.iter().map(|action| measure(action) + GAP).sum::<u16>().saturating_sub(GAP);
    let mut at = area.right().saturating_sub(tail + 1);
    let limit = at.saturating_sub(GAP);
    for action in &ends {
        at = key(app, brush, at, area, *action) + GAP;
    }
    let mut at = area.x + 1;
    for action in rest {
        if at + measure(&action) > limit {
            break;
        }
        at = key(app, brush, at, area, action) + GAP;
    }
}

fn key(app: &App, brush: &mut Brush<'_>, x: u16, area: Rect, action: Action) -> u16 {
    let possible = availability(app, action).is_ok();
    let (key, label) = if possible { (Role::Key, Role::Muted) } else { (Role::Faint, Role::Faint) };
    let width = area.right().saturating_sub(x);
    let at = brush.text(x, area.y, width, action.key(), key);
    brush.text(at + 1, area.y, area.right().saturating_sub(at + 1), action.entry().label, label)
}
