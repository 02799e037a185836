//! The form for an answer: instructions, fields, notes, and the two answers.

use ratatui::layout::Rect;

use super::super::answering::{AnswerForm, Field, Focus};
use super::super::markdown::{self, Line};
use super::super::theme::{Glyphs, Role};
use super::super::{text, words};
use super::paint::Brush;
use super::popups::{frame, wrap};
use super::textbox;
use crate::plan::FieldType;

/// Widest form.
const WIDEST: u16 = 100;
/// So many fields are seen at once where the screen is low.
const FIELDS: usize = 6;

struct Parts {
    width: u16,
    /// The instructions.
    message: Vec<Line>,
    /// Rows for them.
    rows: usize,
    /// Rows for fields and what is said under them.
    fields: usize,
    notice: Vec<String>,
}

fn parts(form: &AnswerForm, area: Rect, glyphs: Glyphs) -> Parts {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(6) as usize;
    let bullet = if glyphs.charset() == text::Charset::Ascii { "-" } else { "•" };
    let message = form.question.message.as_deref().map(|message| markdown::lines(message, columns, bullet));
    let message = message.unwrap_or_default();
    let said = form.gone.as_ref().or(form.notice.as_ref());
    let notice: Vec<String> = said.into_iter().flat_map(|said| wrap(said, columns)).take(3).collect();
    // Each field has a row, the selected one another for what it is for, and each mistake one.
    let wanted = form.fields.len() + form.fields.mistakes() + usize::from(!form.fields.is_empty());
    let room = (area.height as usize).saturating_sub(2 + 5 + notice.len());
    let fields = wanted.min(room.saturating_sub(message.len().min(4)).max(FIELDS.min(wanted)));
    let rows = message.len().min(room.saturating_sub(fields + usize::from(fields > 0)).max(1));
    Parts { width, message, rows, fields, notice }
}

/// How far the instructions can be scrolled, and how many of their rows are seen.
pub fn scrolling(form: &AnswerForm, area: Rect, glyphs: Glyphs) -> (usize, usize) {
    let parts = parts(form, area, glyphs);
    (parts.message.len().saturating_sub(parts.rows), parts.rows.saturating_sub(1).max(1))
}

/// Draws it in the middle.
pub fn draw(form: &AnswerForm, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let parts = parts(form, area, brush.glyphs);
    let gap = usize::from(parts.rows > 0) + usize::from(parts.fields > 0);
    let rows = parts.rows + parts.fields + parts.notice.len() + gap + 2;
    let title = match form.question.title.as_str() {
        title if title == form.step => title.to_owned(),
        title => format!("{}: {title}", form.step),
    };
    let inner = frame(brush, area, parts.width, rows as u16, &text::clean(&title));
    let mut y = inner.y + u16::from(inner.height as usize > rows);
    let offset = form.offset.min(parts.message.len().saturating_sub(parts.rows));
    for line in parts.message.iter().skip(offset).take(parts.rows) {
        draw_line(brush, Rect { y, height: 1, ..inner }, line);
        y += 1;
    }
    if parts.rows > 0 {
        scroll_mark(brush, Rect { y, height: 1, ..inner }, offset, parts.rows, parts.message.len());
        y += 1;
    }
    if parts.fields > 0 {
        fields(form, brush, Rect { y, height: parts.fields as u16, ..inner }, cursor);
        y += parts.fields as u16 + 1;
    }
    let focused = form.focus == Focus::Notes;
    let row = Rect { y, height: 1, ..inner };
    let hint = if form.question.is_task { "optional; why, when it failed" } else { "optional" };
    input(brush, row, names(form, inner), "Notes", &form.notes, (hint, Role::Faint), Role::Text, focused, cursor);
    y += 1;
    for line in &parts.notice {
        brush.text(inner.x, y, inner.width, line, Role::Warning);
        y += 1;
    }
    answers(form, brush, Rect { y: inner.bottom() - 1, height: 1, ..inner });
}

/// A line of Markdown.
pub fn draw_line(brush: &mut Brush<'_>, area: Rect, line: &Line) {
    let mut x = area.x;
    for (said, role) in line {
        x = brush.text(x, area.y, area.right().saturating_sub(x), said, *role);
    }
}

/// That there is more above or below.
fn scroll_mark(brush: &mut Brush<'_>, area: Rect, offset: usize, rows: usize, total: usize) {
    let below = total.saturating_sub(offset + rows);
    let said = match (offset, below) {
        (0, 0) => return,
        (_, 0) => "PgUp shows what is above".to_owned(),
        _ => format!("{} more · PgDn", words::thousands(below)),
    };
    brush.text_right(area.x, area.right(), area.y, &said, Role::Accent);
}

/// The columns that names have.
fn names(form: &AnswerForm, area: Rect) -> u16 {
    let longest = form.fields.iter().map(|field| text::width(&text::clean(field.label()))).max().unwrap_or(0);
    (longest as u16 + 3).clamp(9, (area.width / 3).max(9))
}

enum Row<'a> {
    Field(usize, &'a Field),
    Said(String, Role),
}

fn fields(form: &AnswerForm, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let names = names(form, area);
    let room = area.width.saturating_sub(names) as usize;
    let mut rows = Vec::new();
    let mut focus = 0..0;
    for (place, field) in form.fields.iter().enumerate() {
        let start = rows.len();
        rows.push(Row::Field(place, field));
        if let Some(mistake) = &field.mistake {
            let said = format!("{} {mistake}", brush.glyphs.up);
            rows.push(Row::Said(text::fit(&said, room).into_owned(), Role::Error));
        }
        if form.focus == Focus::Field(place) {
            rows.push(Row::Said(text::fit(&help(field), room).into_owned(), Role::Faint));
            focus = start..rows.len();
        }
    }
    let height = area.height as usize;
    let top = if focus.end > height { (focus.end - height).min(focus.start) } else { 0 };
    for (row, line) in rows.iter().skip(top).take(height).enumerate() {
        let row = Rect { y: area.y + row as u16, height: 1, ..area };
        match line {
            Row::Said(said, role) => {
                brush.text(row.x + names, row.y, row.width - names, said, *role);
            }
            Row::Field(place, field) => {
                let focused = form.focus == Focus::Field(*place);
                let empty = match (field.spec.required, field.spec.default.is_some()) {
                    (true, false) => ("required", Role::Warning),
                    (_, true) => ("as it was", Role::Faint),
                    _ => ("none", Role::Faint),
                };
                let role = if field.mistake.is_some() { Role::Error } else { Role::Text };
                if field.spec.is_choice() && !field.input.is_empty() {
                    label(brush, row, names, field.label(), focused);
                    let shown = field.input.text();
                    let (left, right) = (brush.glyphs.more_left, brush.glyphs.more_right);
                    let shown = if focused { format!("{left} {shown} {right}") } else { shown };
                    brush.text(row.x + names, row.y, row.width - names, &shown, role);
                } else {
                    input(brush, row, names, field.label(), &field.input, empty, role, focused, cursor);
                }
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let said = format!(" {} more below ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom().saturating_sub(1), &said, Role::Muted);
    }
}

/// What a field is for, and what it may be.
fn help(field: &Field) -> String {
    let mut said: Vec<String> = Vec::new();
    said.extend(field.spec.description.as_deref().map(|what| text::clean(what).into_owned()));
    let choices = field.spec.choices();
    said.push(match choices.is_empty() {
        // That a text is wanted goes without saying.
        true if field.spec.kind() == FieldType::String && !said.is_empty() => return said.join(" · "),
        true => field.spec.wanted(),
        false => format!("Space: {}", text::clean(&choices.join(", "))),
    });
    said.join(" · ")
}

fn label(brush: &mut Brush<'_>, row: Rect, names: u16, name: &str, focused: bool) {
    if focused {
        brush.over(row, Role::Selection);
        brush.text(row.x, row.y, 1, brush.glyphs.selected, Role::Accent);
    }
    let role = if focused { Role::Accent } else { Role::Muted };
    brush.text(row.x + 1, row.y, names - 2, name, role);
}

#[expect(clippy::too_many_arguments, reason = "a row of the form is one thing with these parts")]
fn input(
    brush: &mut Brush<'_>,
    row: Rect,
    names: u16,
    name: &str,
    input: &super::super::input::Input,
    (empty, empty_role): (&str, Role),
    role: Role,
    focused: bool,
    cursor: &mut Option<(u16, u16)>,
) {
    label(brush, row, names, name, focused);
    let (x, room) = (row.x + names, row.width.saturating_sub(names + 1));
    if input.is_empty() {
        brush.text(x + u16::from(focused), row.y, room, &format!("({empty})"), empty_role);
    }
    let column = textbox::one_row(input, input.lines(), brush, Rect { x, width: room, ..row }, role);
    if focused {
        *cursor = Some((column, row.y));
    }
}

fn answers(form: &AnswerForm, brush: &mut Brush<'_>, area: Rect) {
    let mut x = area.x;
    if form.gone.is_some() {
        x = brush.text(x, area.y, area.width, "Enter", Role::Key);
        brush.text(x + 1, area.y, area.width, "closes", Role::Muted);
        return;
    }
    let (yes, no) = form.question.answers();
    for (focus, word) in [(Focus::Yes, yes), (Focus::No, no)] {
        // Enter in a field gives the answer as well.
        let chosen = form.focus == focus || (focus == Focus::Yes && form.focus != Focus::No);
        let key = match chosen {
            true if form.fails_step() => "y",
            true => "Enter",
            false => "",
        };
        let width = (text::width(key) + text::width(word)) as u16 + if chosen { 5 } else { 4 };
        if chosen {
            brush.over(Rect { x, width, ..area }, Role::Selection);
        }
        let at = brush.text(x + 2, area.y, area.right().saturating_sub(x + 2), key, Role::Key);
        let at = at + u16::from(chosen);
        let loud = if focus == Focus::No { Role::Warning } else { Role::Text };
        brush.text(at, area.y, area.right().saturating_sub(at), word, if chosen { loud } else { Role::Muted });
        x += width + 1;
    }
    x += 1;
    for (key, label) in [("Tab", "next"), ("Esc", "later")] {
        let at = brush.text(x, area.y, area.right().saturating_sub(x), key, Role::Key);
        x = brush.text(at + 1, area.y, area.right().saturating_sub(at + 1), label, Role::Muted) + 2;
    }
    let (said, role) = match form.fields.mistakes() {
        _ if form.sent.is_some() => ("on its way…".to_owned(), Role::Accent),
        0 => return,
        number => (words::count(number, "mistake"), Role::Error),
    };
    brush.text_right(x, area.right(), area.y, &said, role);
}
