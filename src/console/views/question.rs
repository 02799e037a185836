//! A question before a command is sent: what it does in a sentence, what it would do to this run now, a reason, two answers.

use ratatui::layout::Rect;

use crate::run::short_id;

use super::super::foretold::{Line, Told};
use super::super::input::Input;
use super::super::popups::{Ask, Care, Deed, Focus};
use super::super::theme::Role;
use super::super::{text, words};
use super::paint::Brush;
use super::popups::{WIDEST, frame, wrap};

/// What there is to be seen, measured for a screen.
struct Parts {
    width: u16,
    effect: Vec<String>,
    /// What the engine says, and in which role.
    told: Vec<(String, Role)>,
    /// How many lines of that are seen at once.
    rows: usize,
}

fn parts(ask: &Ask, area: Rect) -> Parts {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(6) as usize;
    let effect: Vec<String> = ask.effect.iter().flat_map(|line| wrap(line, columns)).collect();
    let role = |line: &Line| match () {
        () if line.loud => Role::Warning,
        // Of a long text, the lines that go and those that come.
        () if line.text.starts_with("  - ") => Role::Failed,
        () if line.text.starts_with("  + ") => Role::Done,
        () => Role::Muted,
    };
    let lines = |lines: &[Line]| -> Vec<(String, Role)> {
        lines.iter().flat_map(|line| wrap(&line.text, columns).into_iter().map(|one| (one, role(line)))).collect()
    };
    let mut told = lines(&ask.foretold.notes);
    told.extend(match &ask.foretold.told {
        Told::Asking => vec![("asking what it would do…".to_owned(), Role::Muted)],
        Told::Refused(why) => {
            let why = format!("Not possible now: {why}");
            wrap(&why, columns).into_iter().map(|line| (line, Role::Error)).collect()
        }
        Told::Does(does) => lines(does),
    });
    // The frame, the effect, the blanks between, the reason and the answers.
    let fixed = effect.len() + 8 + field_rows(ask);
    let rows = told.len().min((area.height as usize).saturating_sub(fixed).max(1));
    Parts { width, effect, told, rows }
}

/// The rows of the fields: each has one, the result another for what is wrong with it, and a blank is under them.
fn field_rows(ask: &Ask) -> usize {
    let rows = 2 * usize::from(ask.result.is_some()) + usize::from(ask.reason.is_some());
    rows + usize::from(rows > 0)
}

/// How far what the engine says can be scrolled.
pub fn longest_offset(ask: &Ask, area: Rect) -> usize {
    let parts = parts(ask, area);
    parts.told.len() - parts.rows
}

/// Draws it in the middle.
pub fn draw(ask: &Ask, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let Parts { width, effect, told, rows } = parts(ask, area);
    let inner = frame(brush, area, width, (effect.len() + rows + field_rows(ask)) as u16 + 4, &ask.title);
    let run = match &ask.deed {
        Deed::Many(marked) => marked.only_run(),
        _ => Some(ask.run),
    };
    if let Some(run) = run {
        // Of two runs of one plan, the title says the same.
        let run = format!(" run {} ", short_id(run));
        brush.text_right(inner.x, inner.right(), inner.bottom(), &run, Role::Muted);
    }
    let mut y = inner.y + 1;
    for line in &effect {
        brush.text(inner.x, y, inner.width, line, Role::Text);
        y += 1;
    }
    y += 1;
    let offset = ask.foretold.offset.min(told.len() - rows);
    for (line, role) in told.iter().skip(offset).take(rows) {
        brush.text(inner.x, y, inner.width, line, *role);
        y += 1;
    }
    let below = told.len() - offset - rows;
    if below > 0 || offset > 0 {
        let said = match below {
            0 => " PgUp shows what is above ".to_owned(),
            _ => format!(" {} more · PgDn ", words::thousands(below)),
        };
        brush.text_right(inner.x, inner.right(), y, &said, Role::Accent);
    }
    y += 1;
    if let Some(reason) = &ask.reason {
        let row = Rect { y, height: 1, ..inner };
        let hint = ("optional, goes into the log", "none · begins with what you type");
        input(brush, row, "Reason  ", reason, hint, ask.focus == Focus::Reason, cursor);
        y += 1;
    }
    if let Some(field) = &ask.result {
        let row = Rect { y, height: 1, ..inner };
        let focused = ask.focus == Focus::Result;
        let hint = ("optional: JSON, or a text", "none · Tab goes there");
        let at = input(brush, row, "Result  ", &field.input, hint, focused, cursor);
        if let Some(said) = &field.mistake {
            mistake(brush, Rect { y: y + 1, ..row }, at, said);
        }
        y += 2;
    }
    y += u16::from(field_rows(ask) > 0);
    answers(ask, brush, inner, y);
}

/// Draws a field; gives back where its cursor is. The hints stand in an empty one: while it has the keys, and while it has not.
fn input(
    brush: &mut Brush<'_>,
    row: Rect,
    label: &str,
    input: &Input,
    (focused_hint, hint): (&str, &str),
    focused: bool,
    cursor: &mut Option<(u16, u16)>,
) -> u16 {
    let (y, end) = (row.y, row.right());
    let at = brush.text(row.x, y, row.width, label, if focused { Role::Accent } else { Role::Muted });
    let room = end.saturating_sub(at);
    let (shown, column) = input.visible(room as usize);
    if !input.is_empty() {
        brush.text(at, y, room, &shown, Role::Text);
    } else if focused {
        brush.text(at + 1, y, room.saturating_sub(1), focused_hint, Role::Faint);
    } else {
        brush.text(at, y, room, hint, Role::Faint);
    }
    let place = at + column as u16;
    if focused {
        *cursor = Some((place, y));
    }
    place
}

/// What is wrong with a field, under the place where it is.
fn mistake(brush: &mut Brush<'_>, row: Rect, at: u16, said: &str) {
    let width = text::width(said) as u16;
    brush.text(at, row.y, 1, "^", Role::Error);
    if at + 2 + width <= row.right() {
        brush.text(at + 2, row.y, width, said, Role::Error);
    } else {
        brush.text_right(row.x, at.saturating_sub(1), row.y, said, Role::Error);
    }
}

/// The two answers, each with the keys that give it now.
fn answers(ask: &Ask, brush: &mut Brush<'_>, inner: Rect, y: u16) {
    let careful = ask.care() == Care::Careful;
    let yes = match (careful, ask.is_in_field()) {
        (false, false) => "Enter or y",
        (false, true) => "Enter",
        (true, false) => "y",
        (true, true) => "Enter, then y",
    };
    let loud = match () {
        () if matches!(ask.foretold.told, Told::Refused(_)) => Role::Faint,
        () if careful => Role::Warning,
        () => Role::Text,
    };
    let mut x = inner.x;
    // What Enter does stands out.
    for (keys, label, role, chosen) in [(yes, &ask.yes, loud, !careful), ("Esc", &ask.no, Role::Text, false)] {
        let width = (text::width(keys) + text::width(label) + 5) as u16;
        if chosen {
            brush.over(Rect { x, y, width, height: 1 }, Role::Selection);
        }
        let at = brush.text(x + 2, y, inner.right().saturating_sub(x + 2), keys, Role::Key);
        brush.text(at + 1, y, inner.right().saturating_sub(at + 1), label, role);
        x += width + 2;
    }
    if let Some((_, label)) = &ask.instead {
        let at = brush.text(x + 2, y, inner.right().saturating_sub(x + 2), "o", Role::Key);
        x = brush.text(at + 1, y, inner.right().saturating_sub(at + 1), label, Role::Text) + 2;
    }
    if careful && !ask.is_in_field() {
        let said = "Enter does nothing";
        if x + text::width(said) as u16 <= inner.right() {
            brush.text_right(x, inner.right(), y, said, Role::Muted);
        }
    }
}
