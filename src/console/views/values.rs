//! The form for the values of a plan's variables.

use ratatui::layout::Rect;

use super::super::theme::Role;
use super::super::values::{Field, ValuesForm};
use super::super::{text, words};
use super::paint::Brush;
use super::popups::{frame, wrap};
use super::textbox;

/// Widest form.
const WIDEST: u16 = 90;
/// Rows for what is said under the fields: what the selected one is for, and mistakes.
const SAID: usize = 5;

/// Draws it in the middle.
pub fn draw(form: &ValuesForm, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let width = WIDEST.min(area.width.saturating_sub(4));
    let columns = width.saturating_sub(6) as usize;
    let notice: Vec<String> = form.notice.iter().flat_map(|notice| wrap(notice, columns)).take(3).collect();
    // The frame, a blank above, what was refused, a blank and the keys.
    let most = (area.height as usize).saturating_sub(6 + notice.len()).max(3);
    let rows = (form.fields.len() + SAID).min(most);
    let title = format!("Values for {}", text::clean(&form.plan_id));
    let inner = frame(brush, area, width, (rows + notice.len()) as u16 + 2, &title);
    let body = Rect { y: inner.y + 1, height: rows as u16, ..inner };
    fields(form, brush, body, cursor);
    for (row, line) in notice.iter().enumerate() {
        brush.text(inner.x, body.bottom() + row as u16, inner.width, line, Role::Warning);
    }
    keys(form, brush, Rect { y: inner.bottom() - 1, height: 1, ..inner });
}

fn keys(form: &ValuesForm, brush: &mut Brush<'_>, area: Rect) {
    let is_choice = form.fields.get(form.selected).is_some_and(|field| field.variable.choices.is_some());
    let choose = [("Space", "another value")].into_iter().filter(|_| is_choice);
    let mut x = area.x;
    for (key, label) in
        [("Enter", "open the plan"), ("Tab", "next")].into_iter().chain(choose).chain([("Esc", "leave it")])
    {
        let at = brush.text(x, area.y, area.right().saturating_sub(x), key, Role::Key);
        x = brush.text(at + 1, area.y, area.right().saturating_sub(at + 1), label, Role::Muted) + 3;
    }
    let (said, role) = match form.fields.mistakes() {
        _ if form.sent => ("opening…".to_owned(), Role::Accent),
        0 => return,
        number => (words::count(number, "mistake"), Role::Error),
    };
    brush.text_right(x, area.right(), area.y, &said, role);
}

/// A field, or what is said under one.
enum Row<'a> {
    Field(usize, &'a Field),
    Said(String, Role),
}

fn fields(form: &ValuesForm, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let longest = form.fields.iter().map(|field| text::width(&text::clean(&field.name))).max().unwrap_or(0);
    let names = (longest as u16 + 3).clamp(12, (area.width / 3).max(12));
    let room = area.width.saturating_sub(names + 1) as usize;
    let mut rows = Vec::new();
    let mut focus = 0..0;
    for (place, field) in form.fields.iter().enumerate() {
        let start = rows.len();
        rows.push(Row::Field(place, field));
        let mistake = field.mistake.iter().flat_map(|said| wrap(&format!("{} {said}", brush.glyphs.up), room));
        rows.extend(mistake.map(|line| Row::Said(line, Role::Error)));
        if place == form.selected {
            rows.extend(wrap(&help(field), room).into_iter().take(3).map(|line| Row::Said(line, Role::Faint)));
            focus = start..rows.len();
        }
    }
    let height = area.height as usize;
    let top = if focus.end > height { (focus.end - height).min(focus.start) } else { 0 };
    for (row, line) in rows.iter().skip(top).take(height).enumerate() {
        let y = area.y + row as u16;
        match line {
            Row::Field(place, field) => {
                self::field(form, brush, Rect { y, height: 1, ..area }, names, (*place, field), cursor);
            }
            Row::Said(said, role) => {
                brush.text(area.x + names, y, area.width.saturating_sub(names), said, *role);
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let said = format!(" {} more below ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom().saturating_sub(1), &said, Role::Muted);
    }
}

/// What a variable is for, and what would be right.
fn help(field: &Field) -> String {
    let variable = &field.variable;
    let mut said: Vec<String> = Vec::new();
    said.extend(variable.description.as_deref().map(|what| text::clean(what).into_owned()));
    if variable.secret {
        said.push("a secret: it is written nowhere".into());
    }
    let choices: Vec<String> = field.values().into_iter().filter(|choice| !choice.is_empty()).collect();
    if !choices.is_empty() {
        said.push(format!("one of {}", text::clean(&choices.join(", "))));
    }
    if let Some(name) = variable.env.as_deref() {
        said.push(format!("{} in the environment gives it too", text::clean(name)));
    }
    if said.is_empty() {
        said.push(if field.may_be_left() { "it may be left".into() } else { "it needs a value".into() });
    }
    said.join(" · ")
}

fn field(
    form: &ValuesForm,
    brush: &mut Brush<'_>,
    area: Rect,
    names: u16,
    (place, field): (usize, &Field),
    cursor: &mut Option<(u16, u16)>,
) {
    let focused = place == form.selected;
    let y = area.y;
    if focused {
        brush.over(area, Role::Selection);
        brush.text(area.x, y, 1, brush.glyphs.selected, Role::Accent);
    }
    let role = if focused { Role::Accent } else { Role::Muted };
    brush.text(area.x + 1, y, names - 2, &field.name, role);
    let x = area.x + names;
    let room = area.width.saturating_sub(names + 1);
    let role = if field.mistake.is_some() { Role::Error } else { Role::Text };
    let input = if field.variable.secret { field.input.masked(mask(brush)) } else { field.input.clone() };
    if field.variable.choices.is_some() && !input.is_empty() {
        let shown = input.text();
        let (left, right) = (brush.glyphs.more_left, brush.glyphs.more_right);
        let shown = if focused { format!("{left} {shown} {right}") } else { shown };
        brush.text(x, y, room, &shown, role);
        return;
    }
    if input.is_empty() {
        let needs = if field.may_be_left() { Role::Faint } else { Role::Warning };
        brush.text(x + u16::from(focused), y, room, &format!("({})", field.when_empty()), needs);
    }
    let column = textbox::one_row(&input, field.input.lines(), brush, Rect { x, width: room, ..area }, role);
    if focused {
        *cursor = Some((column, y));
    }
}

/// What stands for each character of a secret.
fn mask(brush: &Brush<'_>) -> char {
    if brush.glyphs.charset() == text::Charset::Ascii { '*' } else { '•' }
}
