//! The line with all active runs, and in it what waits for a person in another run than the one that is looked at.

use ratatui::layout::Rect;
use uuid::Uuid;

use crate::engine::ListedRun;
use crate::run::{StepStatus, short_id};

use super::super::actions::Action;
use super::super::app::{App, Place};
use super::super::strip::calls;
use super::super::theme::{Role, run_role};
use super::super::{text, words};
use super::footer;
use super::paint::Brush;

/// Columns between two runs.
const GAP: u16 = 3;
/// No run has fewer, with the gap after it.
const NARROWEST: u16 = 8;
/// A longer name is cut.
const NAME: usize = 20;

/// What stands in the strip: a run, or how many more there are.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Which run.
    pub run: Option<Uuid>,
    /// Its first column.
    pub x: u16,
    /// How many it has.
    pub width: u16,
    parts: Vec<(String, Role)>,
    current: bool,
}

impl Piece {
    fn new(run: Option<Uuid>, current: bool, parts: Vec<(String, Role)>) -> Self {
        let width = parts.iter().map(|(part, _)| text::width(part) as u16).sum();
        Self { run, x: 0, width, parts, current }
    }
}

/// Whether the place has no empty line under its header.
pub fn is_on_rule(app: &App) -> bool {
    app.size.1 < if app.place == Place::Metrics { 36 } else { 30 }
}

/// The line of the strip, and what stands in it. Empty where there is nothing to say: the run that is looked at is the only one.
pub fn pieces(app: &App) -> (Rect, Vec<Piece>) {
    let (columns, rows) = app.size;
    let y = if is_on_rule(app) { rows.saturating_sub(2) } else { 3 };
    let mut line = Rect { x: 1, y, width: columns.saturating_sub(2), height: 1 };
    if is_on_rule(app) {
        // What is said has the room it needs.
        let said = footer::said(app).map_or(0, |(said, _)| text::width(&said) + 4);
        let taken = u16::try_from(said).unwrap_or(u16::MAX).min(line.width);
        line = Rect { x: line.x + taken, width: line.width - taken, ..line };
    }
    let Some(here) = app.looked_at().filter(|_| app.has_other_runs()) else { return (line, Vec::new()) };
    let calling = app.calling().map(|run| run.summary.run_id);
    // No more than could have room.
    let most = usize::from(line.width / NARROWEST) + 1;
    let stays = |id: &Uuid| *id == here || Some(*id) == calling;
    let strip = || app.runs.strip.iter().enumerate().filter(|(place, id)| *place < most || stays(id));
    let mut left_out = app.runs.strip.len() - strip().count();
    let runs = strip().filter_map(|(_, id)| app.runs.run(*id));
    let mut pieces: Vec<Piece> = runs
        .map(|run| match run.summary.run_id {
            id if Some(id) == calling => banner(app, run, line.width),
            id => short(app, run, id == here),
        })
        .collect();
    // The banner is read first; the others keep their order.
    pieces.sort_by_key(|piece| piece.run != calling);
    let width = |pieces: &[Piece], left_out: usize| {
        let more = if left_out > 0 { more(left_out).width + GAP } else { 0 };
        pieces.iter().map(|piece| piece.width + GAP).sum::<u16>().saturating_sub(GAP) + more
    };
    while width(&pieces, left_out) > line.width && pieces.len() > 1 {
        // The run that is looked at and the banner stay.
        let Some(last) = pieces.iter().rposition(|piece| !piece.current && piece.run != calling) else { break };
        pieces.remove(last);
        left_out += 1;
    }
    if width(&pieces, left_out) > line.width && calling.is_some() {
        // Where both have no room, what waits is said: the header tells of the run that is looked at.
        pieces.retain(|piece| piece.run == calling);
    }
    let alone = pieces.iter().all(|piece| piece.current || piece.run == calling);
    let fits = |pieces: &[Piece], piece: &Piece| width(pieces, 0) + GAP + piece.width <= line.width;
    let more = more(left_out);
    if left_out > 0 && fits(&pieces, &more) {
        pieces.push(more);
    }
    // Which keys go round, where it is more than one that they go to.
    if left_out > 0 || !alone {
        pieces.extend(keys(app).into_iter().find(|keys| fits(&pieces, keys)));
    }
    // What does not fit is left out whole, and comes again when the message goes.
    if width(&pieces, 0) > line.width {
        pieces.clear();
    }
    // On the rule it stands at the right end: messages begin at the left.
    let all = width(&pieces, 0).min(line.width);
    let mut x = if is_on_rule(app) { line.right() - all } else { line.x };
    for piece in &mut pieces {
        piece.x = x;
        piece.width = piece.width.min(line.right().saturating_sub(x));
        x += piece.width + GAP;
    }
    (line, pieces)
}

fn more(number: usize) -> Piece {
    Piece::new(None, false, vec![(format!("+{}", words::thousands(number)), Role::Muted)])
}

/// The keys that go round, with what they go to and, shorter, without.
fn keys(app: &App) -> Vec<Piece> {
    let named = [Action::PreviousRun, Action::NextRun].map(|action| app.key_of(action));
    if named.iter().any(|name| name.is_empty()) {
        return Vec::new();
    }
    let keys = (named.join(" "), Role::Key);
    let long = vec![keys.clone(), (" other runs".into(), Role::Muted)];
    [long, vec![keys]].into_iter().map(|parts| Piece::new(None, false, parts)).collect()
}

/// A run's name: its plan, and its id where two have the same.
fn name(app: &App, run: &ListedRun, longest: usize) -> String {
    let (id, plan) = (run.summary.run_id, &run.summary.plan_id);
    let name = text::fit(&text::clean(plan), longest).to_string();
    if app.runs.namesakes.contains(&id) { format!("{name} {}", short_id(id)) } else { name }
}

fn glyph(app: &App, run: &ListedRun) -> (String, Role) {
    match calls(run) {
        true => (format!("{} ", app.glyphs.step(StepStatus::Held)), Role::Held),
        false => (format!("{} ", app.glyphs.run(run.summary.status)), run_role(run.summary.status)),
    }
}

fn short(app: &App, run: &ListedRun, current: bool) -> Piece {
    let counts = run.summary.own_counts();
    let progress =
        format!(" {}/{}", words::thousands(counts.done() as usize), words::thousands(counts.total() as usize));
    let mut parts = Vec::new();
    if current {
        parts.push((app.glyphs.selected.to_owned(), Role::Accent));
    }
    parts.push(glyph(app, run));
    parts.push((name(app, run, NAME), if current { Role::Strong } else { Role::Muted }));
    parts.push((progress, Role::Muted));
    Piece::new(Some(run.summary.run_id), current, parts)
}

/// What waits for a person in another run, and the key that goes there: the longest form that has room.
fn banner(app: &App, run: &ListedRun, room: u16) -> Piece {
    let why = words::standing(run).map(|why| format!(": {why}")).unwrap_or_default();
    let here = app.run.as_ref().and_then(|run| app.next_here(run)).is_some();
    let goes = if here { " goes there, after what waits here" } else { " goes there" };
    let (does, role) = match app.runs.has_failed_unseen(run.summary.run_id) {
        true => ("has failed", Role::Failed),
        false => ("waits for you", Role::Held),
    };
    let form = |longest: usize, why: &str| {
        let parts = vec![
            glyph(app, run),
            (name(app, run, longest), role),
            (format!(" {does}{why} "), role),
            (format!("{} ", app.glyphs.dot), Role::Faint),
            (app.key_of(Action::NextNeedingMe).to_owned(), Role::Key),
            (goes.to_owned(), Role::Text),
        ];
        Piece::new(Some(run.summary.run_id), false, parts)
    };
    let forms = [form(2 * NAME, &why), form(2 * NAME, ""), form(NAME, "")];
    let [.., shortest] = forms.clone();
    forms.into_iter().find(|form| form.width <= room).unwrap_or(shortest)
}

/// Draws it.
pub fn draw(app: &App, brush: &mut Brush<'_>) {
    let (line, pieces) = pieces(app);
    let on_rule = is_on_rule(app);
    for piece in &pieces {
        let right = piece.x + piece.width;
        if on_rule {
            // Nothing of the rule touches it.
            let around = Rect { x: piece.x.saturating_sub(1), width: piece.width + 2, ..line };
            brush.text(around.x, line.y, around.width, &" ".repeat(around.width as usize), Role::Text);
        }
        let mut at = piece.x;
        for (part, role) in &piece.parts {
            at = brush.text(at, line.y, right.saturating_sub(at), part, *role);
        }
    }
}
