//! The rule with the message, and the keys that work here and now: made from the table of actions.

use ratatui::layout::Rect;

use super::super::actions::{Action, Group, TABLE};
use super::super::app::{App, FilterOf, Place};
use super::super::availability::{answers, availability, belongs, meant};
use super::super::run_model::{OpenRun, Pane};
use super::super::text;
use super::super::theme::Role;
use super::paint::Brush;
use super::popups::wrap;
use super::strip;

/// Behind this rank, which is that of pausing and going on, come the actions of the pane that has the keys, before those on a step.
const OF_RUN: u8 = 3;
/// Ranks up to this one are of actions on a step that it may wait for: among the steps they go before the list's own keys.
const OF_STEPS: u8 = 10;

/// A message has no more rows than this.
const MESSAGE_ROWS: usize = 3;

/// Draws both lines. A message that one line does not hold goes on below itself, and the rule goes up for it over what stands there: nothing else
/// moves.
pub fn draw(app: &App, brush: &mut Brush<'_>, rule: Rect, footer: Rect) {
    brush.rule(rule);
    if strip::is_on_rule(app) {
        strip::draw(app, brush);
    }
    if let Some((said, role)) = said(app) {
        say(brush, rule, &said, role);
    }
    match &app.typing {
        Some((of, _)) => typing_keys(app, *of, brush, footer),
        None => keys(app, brush, footer),
    }
}

/// While something is typed every other key is a letter of it.
fn typing_keys(app: &App, of: FilterOf, brush: &mut Brush<'_>, area: Rect) {
    let regex = if app.looking.regex { "as text" } else { "as regex" };
    let keys: &[(&str, &str)] = match of {
        FilterOf::Output => {
            &[("Enter", "search"), ("Up", "what was searched last"), ("Ctrl-r", regex), ("Esc", "leave it")]
        }
        FilterOf::Lines => &[("Enter", "only these lines"), ("Ctrl-r", regex), ("Esc", "all lines")],
        FilterOf::Runs | FilterOf::Steps | FilterOf::History => {
            &[("Enter", "keep the filter"), ("Up Down", "choose"), ("Esc", "clear the filter")]
        }
    };
    let mut at = area.x + 1;
    for (key, does) in keys {
        at = brush.text(at, area.y, area.right().saturating_sub(at), key, Role::Key) + 1;
        at = brush.text(at, area.y, area.right().saturating_sub(at), does, Role::Muted) + GAP;
    }
}

/// What is said in the rule: where a dragged step would land, or the news.
pub(super) fn said(app: &App) -> Option<(String, Role)> {
    if let Some(drag) = app.drag.as_ref().filter(|drag| drag.is_moving()) {
        return Some(match &drag.refused {
            Some(why) => (format!("not here: {why}"), Role::Warning),
            None => (format!("drop {} here, at place {} · Esc leaves it", drag.step, drag.to + 1), Role::Accent),
        });
    }
    let message = app.message.as_ref()?;
    Some((message.in_full(), if message.bad { Role::Warning } else { Role::Accent }))
}

fn say(brush: &mut Brush<'_>, rule: Rect, message: &str, role: Role) {
    let columns = rule.width.saturating_sub(4) as usize;
    let mut lines = wrap(message, columns);
    if lines.len() > MESSAGE_ROWS {
        // Cut as every line is that has no room.
        let rest = lines.split_off(MESSAGE_ROWS - 1).join(" ");
        lines.push(rest);
    }
    let top = rule.y.saturating_sub(lines.len() as u16 - 1);
    if top < rule.y {
        brush.clear(Rect { y: top, height: rule.y - top + 1, ..rule });
        brush.rule(Rect { y: top, ..rule });
    }
    for (row, line) in lines.iter().enumerate() {
        let y = top + row as u16;
        let shown = if row == 0 { format!(" {} ", text::fit(line, columns)) } else { format!(" {line}") };
        brush.text(rule.x + 1, y, rule.width.saturating_sub(2), &shown, role);
    }
}

/// The actions of the footer here and now, in their order: of those that share a rank or a key, the one that is meant.
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
    found.retain(|(_, action)| belongs(app, *action));
    // What the pane has keys for itself.
    let run = app.run.as_ref().filter(|_| app.place == Place::Run);
    let among_steps = run.is_some_and(|run| run.focus == Pane::Steps);
    let attempts = run.is_some_and(OpenRun::chooses_attempt);
    let behind = |action: &Action| match action {
        Action::Filter | Action::NextPane => among_steps.then_some(OF_STEPS),
        Action::Open => attempts.then_some(OF_RUN),
        action => (app.in_output() && action.entry().group == Group::Output).then_some(OF_RUN),
    };
    let answers = answers(app, &seen);
    // What the run waits for comes before everything.
    let answer = |action: &Action| answers.iter().position(|one| one == action).unwrap_or(answers.len());
    found.sort_by_key(|(rank, action)| {
        let place = behind(action).map_or((*rank, 0), |before| (before, *rank));
        (answer(action), place)
    });
    // A key is shown once, for what it does here first.
    let mut keys: Vec<&str> = Vec::new();
    found.retain(|(_, action)| {
        let key = app.key_of(*action);
        // An action without a key is in the palette.
        let new = !key.is_empty() && !keys.contains(&key);
        keys.extend(new.then_some(key));
        new
    });
    found.into_iter().map(|(_, action)| action).collect()
}

const GAP: u16 = 3;
/// So wide, the footer has room for the palette's key as well; where a way back is among the ends, that is more.
const ROOMY: u16 = 80;
const ROOMIER: u16 = 120;

fn keys(app: &App, brush: &mut Brush<'_>, area: Rect) {
    // Help and the ways out are always to be found, at the right end, and before them what ends a run, away from what is pressed all the time; the
    // list of runs has no way back.
    let is_end = |action: &Action| {
        matches!(action, Action::Cancel | Action::Back | Action::Help | Action::Quit | Action::Palette | Action::Mouse)
    };
    let (mut ends, rest): (Vec<Action>, Vec<Action>) = actions(app).into_iter().partition(is_end);
    ends.retain(|action| {
        let has_way_back = matches!(app.place, Place::History | Place::Timeline | Place::Metrics);
        *action != Action::Back || has_way_back || app.output.is_selecting()
    });
    ends.retain(|action| *action != Action::Cancel || availability(app, *action).is_ok());
    // Help names every key as well.
    let roomy = if ends.contains(&Action::Back) { ROOMIER } else { ROOMY };
    ends.retain(|action| *action != Action::Palette || area.width >= roomy);
    let tail: u16 = ends.iter().map(|action| measure(app, *action) + GAP).sum::<u16>().saturating_sub(GAP);
    let mut at = area.right().saturating_sub(tail + 1);
    let limit = at.saturating_sub(GAP);
    for action in &ends {
        at = key(app, brush, at, area, *action, true) + GAP;
    }
    let rest = rest.into_iter().map(|action| (action, availability(app, action).is_ok())).collect();
    let mut at = area.x + 1;
    for (action, possible) in fitting(app, rest, limit.saturating_sub(at)) {
        at = key(app, brush, at, area, action, possible) + GAP;
    }
}

/// The actions that have room, in the order in which they came: what is possible has it before what is not. So a key keeps its place among the
/// others, whatever becomes possible.
fn fitting(app: &App, actions: Vec<(Action, bool)>, room: u16) -> Vec<(Action, bool)> {
    let mut left = room + GAP;
    let mut chosen = vec![false; actions.len()];
    let of = |wanted| actions.iter().enumerate().filter(move |(_, (_, possible))| *possible == wanted);
    for (place, (action, _)) in of(true).chain(of(false)) {
        let needed = measure(app, *action) + GAP;
        if needed > left {
            break;
        }
        left -= needed;
        chosen[place] = true;
    }
    actions.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(action, _)| action).collect()
}

fn measure(app: &App, action: Action) -> u16 {
    (text::width(app.key_of(action)) + 1 + text::width(action.entry().label)) as u16
}

fn key(app: &App, brush: &mut Brush<'_>, x: u16, area: Rect, action: Action, possible: bool) -> u16 {
    let (key, label) = if possible { (Role::Key, Role::Muted) } else { (Role::Faint, Role::Faint) };
    let width = area.right().saturating_sub(x);
    let at = brush.text(x, area.y, width, app.key_of(action), key);
    brush.text(at + 1, area.y, area.right().saturating_sub(at + 1), action.entry().label, label)
}
