//! What lies over a place.

use ratatui::layout::Rect;

use super::super::actions::{Action, GROUPS, TABLE};
use super::super::app::App;
use super::super::availability::{availability, meant_by_key};
use super::super::mouse::HELP;
use super::super::popups::{Leaving, Popup};
use super::super::theme::Role;
use super::super::{text, words};
use super::answer;
use super::form;
use super::paint::Brush;
use super::palette;
use super::question;
use super::recap;
use super::saving;
use super::values;
use crate::run::{RunStatus, short_id};

/// Widest popup.
pub(super) const WIDEST: u16 = 76;
/// Widest text to read.
const READING: u16 = 100;

/// Rows of a text that are seen at once.
pub fn text_height(area: Rect) -> u16 {
    area.height.saturating_sub(6).max(1)
}

/// How far the popup on top can be scrolled.
pub fn longest_offset(app: &App, area: Rect) -> usize {
    let lines = match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Help { .. }) => help_lines(app, reading(area)).len(),
        Some(Popup::Text { lines, .. }) => wrapped(lines, area).len(),
        Some(Popup::Ask(ask)) => return question::longest_offset(ask, area),
        _ => 0,
    };
    lines.saturating_sub(text_height(area) as usize)
}

/// Draws a popup in the middle.
pub fn draw(app: &App, popup: &Popup, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    match popup {
        Popup::Help { offset } => help(app, brush, area, *offset),
        Popup::Text { title, lines, offset } => {
            let lines = wrapped(lines, area);
            let rows = lines.len().min(text_height(area) as usize);
            let inner = frame(brush, area, reading(area), rows as u16 + 1, title);
            for (row, line) in lines.iter().skip(*offset).take(rows).enumerate() {
                brush.text(inner.x, inner.y + 1 + row as u16, inner.width, line, Role::Text);
            }
            let leave = if app.offers_keys() { "the keys work here · Esc closes" } else { "Esc closes" };
            more(brush, inner, *offset, rows, lines.len(), leave);
        }
        Popup::Ask(ask) => question::draw(ask, brush, area, cursor),
        Popup::Form(form) => form::draw(form, brush, area, cursor),
        Popup::Answer(form) => answer::draw(form, brush, area, cursor),
        Popup::Values(form) => values::draw(form, brush, area, cursor),
        Popup::Palette(palette) => palette::draw(app, palette, brush, area, cursor),
        Popup::Recap(recap) => recap::draw(recap, brush, area),
        Popup::Save(form) => saving::draw(form, brush, area, cursor),
        Popup::Quit(leaving) => quit(app, *leaving, brush, area),
    }
}

fn reading(area: Rect) -> u16 {
    READING.min(area.width.saturating_sub(4))
}

fn wrapped(lines: &[String], area: Rect) -> Vec<String> {
    let width = reading(area).saturating_sub(6).max(10) as usize;
    lines.iter().flat_map(|line| wrap(line, width)).collect()
}

/// Breaks a line at spaces, and a word that no line holds, such as a path, where the line ends; an indented line goes on indented.
pub(super) fn wrap(line: &str, width: usize) -> Vec<String> {
    if text::width(line) <= width {
        return vec![line.to_string()];
    }
    let indent = " ".repeat(line.len() - line.trim_start().len());
    let mut found = Vec::new();
    let mut current = indent.clone();
    for word in line.split_whitespace() {
        if !current.trim().is_empty() && text::width(&current) + 1 + text::width(word) > width {
            found.push(std::mem::replace(&mut current, indent.clone()));
        }
        if !current.trim().is_empty() {
            current.push(' ');
        }
        for character in word.chars() {
            let character = character.encode_utf8(&mut [0; 4]).to_owned();
            if text::width(&current) + text::width(&character) > width && current.len() > indent.len() {
                found.push(std::mem::replace(&mut current, indent.clone()));
            }
            current.push_str(&character);
        }
    }
    found.push(current);
    found
}

/// Draws the frame of a popup with so many rows inside; gives back the inside.
pub(super) fn frame(brush: &mut Brush<'_>, area: Rect, width: u16, rows: u16, title: &str) -> Rect {
    let ascii = brush.glyphs.charset() == text::Charset::Ascii;
    let (corners, side) = if ascii { (["+", "+", "+", "+"], "|") } else { (["╭", "╮", "╰", "╯"], "│") };
    let width = width.min(area.width);
    let height = (rows + 3).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let place = Rect { x, y, width, height };
    brush.clear(place);
    let line = brush.glyphs.rule.repeat(width.saturating_sub(2) as usize);
    let (right, bottom) = (place.right() - 1, place.bottom() - 1);
    brush.text(x + 1, y, width, &line, Role::Rule);
    brush.text(x + 1, bottom, width, &line, Role::Rule);
    for (corner, (x, y)) in corners.iter().zip([(x, y), (right, y), (x, bottom), (right, bottom)]) {
        brush.text(x, y, 1, corner, Role::Rule);
    }
    for row in y + 1..bottom {
        brush.text(x, row, 1, side, Role::Rule);
        brush.text(right, row, 1, side, Role::Rule);
    }
    let shown = format!(" {title} ");
    brush.text(x + 2, y, width.saturating_sub(4), &shown, Role::Strong);
    Rect { x: x + 3, y: y + 1, width: width.saturating_sub(6), height: height.saturating_sub(2) }
}

fn more(brush: &mut Brush<'_>, inner: Rect, offset: usize, rows: usize, total: usize, leave: &str) {
    let below = total.saturating_sub(offset + rows);
    let said = match (offset, below) {
        (0, 0) => format!(" {leave} "),
        (_, 0) => format!(" the end · {leave} "),
        (_, below) => format!(" {} more below · {leave} ", words::thousands(below)),
    };
    brush.text_right(inner.x, inner.right(), inner.bottom(), &said, Role::Muted);
}

// ---- leaving

fn quit(app: &App, leaving: Leaving, brush: &mut Brush<'_>, area: Rect) {
    let active: Vec<_> = app.runs.active().collect();
    let attempts: u32 = active.iter().map(|run| run.bound_to_engine()).sum();
    let running = words::count(attempts as usize, "attempt");
    let runs = words::count(active.len(), "run");
    let named: Vec<String> = active.iter().take(4).map(|run| words::run_name(run)).collect();
    let more = if active.len() > named.len() { ", …" } else { "" };
    let named = format!("{}{more}", named.join(", "));
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(6) as usize;
    let paused = active.iter().all(|run| run.status != RunStatus::Running);
    let said = match leaving {
        Leaving::Asking => {
            let verb = if active.len() == 1 { "is" } else { "are" };
            let mut said = wrap(&format!("{runs} {verb} active, with {running} running: {named}."), columns);
            if active.iter().any(|run| run.outliving > 0) {
                said.push(
                    "What waits for a person, a time or a service's job stays so: it is taken up when you come back."
                        .into(),
                );
            }
            said
        }
        Leaving::Draining | Leaving::Stopping if app.disk_fails() => {
            vec!["The disk does not take the journal: nothing was paused or stopped.".to_owned()]
        }
        Leaving::Draining => {
            let word = if paused { "Paused." } else { "Pausing." };
            vec![format!("{word} {running} may finish; then the console ends.")]
        }
        Leaving::ToStop => {
            wrap(&format!("Stop {running} of {named} now? What they have done so far is lost."), columns)
        }
        Leaving::Stopping => vec![format!("{running} asked to stop; then the console ends.")],
        Leaving::ToCancel => wrap(&format!("Cancel {named}? {running} would be stopped."), columns),
        Leaving::ToKill => wrap(&format!("Kill {running} of {named} at once (KILL)?"), columns),
        Leaving::Cancelling => vec![format!("Cancelling {runs}; {running} being stopped. Then the console ends.")],
        Leaving::GoingOn => Vec::new(),
    };
    let back = match active.as_slice() {
        _ if leaving != Leaving::Asking || !app.settings.reachable => None,
        [one] => Some((app.settings.command_line)(&format!("attach {}", short_id(one.run_id)))),
        _ => Some((app.settings.command_line)("attach RUN")),
    };
    let choices: Vec<(&str, &str, &str)> = match leaving {
        Leaving::GoingOn => Vec::new(),
        Leaving::Asking => vec![
            (
                "l",
                if active.len() == 1 { "leave it running" } else { "leave them running" },
                match (app.settings.reachable, app.settings.has_shell) {
                    (true, _) if paused => "what runs may finish; it stays paused",
                    (true, true) => "goes on without a console, behind your shell",
                    (true, false) => "goes on; then close this terminal",
                    (false, _) => "not now: no other console could reach it",
                },
            ),
            ("p", "pause and quit", "nothing new starts; what runs may finish"),
            ("c", "cancel and quit", "attempts are stopped; asks first"),
            ("Esc", "stay", ""),
        ],
        Leaving::Draining => vec![
            ("k", "stop them now", "they become interrupted; asks first"),
            ("c", "cancel instead", "the runs end; asks first"),
            ("Esc", "stay", "the runs stay paused"),
        ],
        Leaving::Stopping if app.disk_fails() => {
            vec![("e", "end all the same", "attempts are stopped, the journal is not told"), ("Esc", "stay", "")]
        }
        Leaving::Stopping => vec![("Esc", "stay", "the runs stay paused")],
        Leaving::ToStop => {
            vec![("y", "stop them", "they become interrupted"), ("Esc", "let them finish", "then the console ends")]
        }
        Leaving::ToCancel => {
            vec![
                ("y", "cancel and quit", "attempts are stopped, the runs end"),
                ("Esc", "stay", "nothing is cancelled"),
            ]
        }
        Leaving::ToKill => vec![("y", "kill them", "nothing they do is tidied up"), ("Esc", "wait", "")],
        Leaving::Cancelling => vec![("c", "kill them now", "asks first"), ("Esc", "stay", "cancelling goes on")],
    };
    let back = back.map(|back| wrap(&format!("What is left running is seen again with {back}"), columns));
    let back = back.unwrap_or_default();
    let rows = said.len() + choices.len() + back.len() + usize::from(!back.is_empty());
    let inner = frame(brush, area, width, rows as u16 + 2, "Leave the console?");
    let mut y = inner.y + 1;
    for line in &said {
        brush.text(inner.x, y, inner.width, line, Role::Text);
        y += 1;
    }
    y += 1;
    for (key, label, effect) in choices {
        brush.text(inner.x + 1, y, 4, key, Role::Key);
        brush.text(inner.x + 6, y, 18, label, Role::Text);
        brush.text(inner.x + 25, y, inner.width.saturating_sub(25), effect, Role::Muted);
        y += 1;
    }
    for line in back {
        y += 1;
        brush.text(inner.x, y, inner.width, &line, Role::Text);
    }
}

// ---- help

enum HelpLine {
    Heading(&'static str),
    Key {
        keys: String,
        doc: String,
        possible: bool,
    },
    /// What a key does, where its own line has no room for it.
    More {
        doc: String,
        possible: bool,
    },
    Gap,
}

impl HelpLine {
    fn is_dim(&self) -> bool {
        matches!(self, HelpLine::Key { possible: false, .. })
    }
}

/// Columns of the keys.
const KEYS: u16 = 14;

/// The lines of the help, in a frame of so many columns.
fn help_lines(app: &App, width: u16) -> Vec<HelpLine> {
    let room = width.saturating_sub(6 + KEYS) as usize;
    let (scope, seen) = (app.scope(), app.to_be_drawn());
    let mut lines = Vec::new();
    for (group, title) in GROUPS {
        let mut entries = TABLE.iter().filter(|entry| entry.group == group && entry.scope.covers(scope)).peekable();
        if entries.peek().is_none() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(HelpLine::Gap);
        }
        lines.push(HelpLine::Heading(title));
        for entry in entries {
            // Of actions that share a key, the others are for another state.
            let alternatives: Vec<Action> = TABLE
                .iter()
                .filter(|other| other.scope.covers(scope) && app.key_of(other.action) == app.key_of(entry.action))
                .map(|other| other.action)
                .collect();
            if meant_by_key(app, &seen, &alternatives) != Some(entry.action) {
                lines.extend(key_lines(app.keys.names(entry.action).join(" "), entry.doc, false, room));
                continue;
            }
            let possible = availability(app, entry.action).is_ok();
            // A further key that does something else here is not said to do this: Space marks in a list, and is a page down in a text.
            let first = app.key_of(entry.action);
            let does_this = |name: &&str| {
                *name == first
                    || name.parse().is_ok_and(|key| {
                        let sharing = app.keys.actions(key).filter(|other| other.scope.covers(scope));
                        let sharing: Vec<Action> = sharing.map(|other| other.action).collect();
                        meant_by_key(app, &seen, &sharing) == Some(entry.action)
                    })
            };
            let keys: Vec<&str> = app.keys.names(entry.action).into_iter().filter(does_this).collect();
            lines.extend(key_lines(keys.join(" "), entry.doc, possible, room));
        }
    }
    lines.extend([HelpLine::Gap, HelpLine::Heading("The mouse")]);
    lines.extend(HELP.iter().flat_map(|(button, doc)| key_lines((*button).to_owned(), doc, true, room)));
    lines
}

fn key_lines(keys: String, doc: &str, possible: bool, room: usize) -> Vec<HelpLine> {
    let mut doc = wrap(doc, room).into_iter();
    let first = HelpLine::Key { keys, doc: doc.next().unwrap_or_default(), possible };
    std::iter::once(first).chain(doc.map(|doc| HelpLine::More { doc, possible })).collect()
}

fn help(app: &App, brush: &mut Brush<'_>, area: Rect, offset: usize) {
    let lines = help_lines(app, reading(area));
    let rows = lines.len().min(text_height(area) as usize);
    let inner = frame(brush, area, reading(area), rows as u16 + 1, "Keys");
    for (row, line) in lines.iter().skip(offset).take(rows).enumerate() {
        let y = inner.y + 1 + row as u16;
        let (x, width) = (inner.x + KEYS, inner.width.saturating_sub(KEYS));
        match line {
            HelpLine::Gap => {}
            HelpLine::Heading(title) => {
                brush.text(inner.x, y, inner.width, title, Role::Accent);
            }
            HelpLine::Key { keys, doc, possible } => {
                brush.text(inner.x, y, KEYS - 1, keys, if *possible { Role::Key } else { Role::Faint });
                brush.text(x, y, width, doc, if *possible { Role::Text } else { Role::Faint });
            }
            HelpLine::More { doc, possible } => {
                brush.text(x, y, width, doc, if *possible { Role::Text } else { Role::Faint });
            }
        }
    }
    // Said once, for all that is dim.
    let dim = if lines.iter().any(HelpLine::is_dim) {
        app.keys.fill(" dim: not now, its key or {palette} says why ")
    } else {
        String::new()
    };
    brush.text(inner.x - 1, inner.bottom(), inner.width, &dim, Role::Muted);
    more(brush, inner, offset, rows, lines.len(), "Esc closes");
}
