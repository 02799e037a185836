//! The form on a step: fields, or JSON with its mistakes at their places.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::super::form::fields::{Field, Kind, Typed};
use super::super::form::mistakes::Mistake;
use super::super::form::{Form, Page};
use super::super::forms::{self, Meant};
use super::super::theme::Role;
use super::super::{text, words};
use super::paint::Brush;
use super::popups::{frame, wrap};
use super::textbox::{self, Seen, column, past};

/// Widest form.
const WIDEST: u16 = 110;
/// Lines of a text that are seen at once among the fields.
const MOST_LINES: usize = 14;
/// Columns of the names of fields, at least and at most.
const LABEL: (u16, u16) = (16, 32);
/// Columns before a line of JSON: its number and a gap.
const GUTTER: u16 = 6;

/// Columns and rows of the form: as many as both pages need, so that turning the page moves nothing.
fn place(form: &Form, area: Rect) -> (u16, u16) {
    let most = area.height.saturating_sub(if area.height >= 30 { 6 } else { 1 });
    let fields: usize = form.fields.iter().map(|field| lines_of(field).min(MOST_LINES)).sum();
    let lines = fields.max(form.json.lines().len());
    let rows = u16::try_from(lines).unwrap_or(most).saturating_add(13).max(24);
    (WIDEST.min(area.width.saturating_sub(4)), rows.min(most))
}

/// Rows of JSON that are seen at once on a screen of this size.
pub fn height(form: &Form, size: (u16, u16)) -> u16 {
    place(form, Rect::new(0, 0, size.0, size.1)).1.saturating_sub(8)
}

/// Draws it in the middle.
pub fn draw(form: &Form, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let (width, height) = place(form, area);
    let inner = frame(brush, area, width, height.saturating_sub(3), &form.title());
    tabs(form, brush, inner);
    let said = below(form, inner.width as usize);
    // The tabs, a blank, what is said below, the keys.
    let rows = inner.height.saturating_sub(3 + said.len() as u16 + u16::from(!said.is_empty()));
    let body = Rect { y: inner.y + 2, height: rows, ..inner };
    match form.page {
        Page::Fields => fields(form, brush, body, cursor),
        Page::Json => json(form, brush, body, cursor),
    }
    for (row, (line, role)) in said.iter().enumerate() {
        brush.text(inner.x, body.bottom() + 1 + row as u16, inner.width, line, *role);
    }
    keys(form, brush, Rect { y: inner.bottom() - 1, height: 1, ..inner });
}

fn tabs(form: &Form, brush: &mut Brush<'_>, area: Rect) {
    let mut x = area.x;
    for (page, name) in [(Page::Fields, "Fields"), (Page::Json, "JSON")] {
        let style = brush.theme.style(if page == form.page { Role::Accent } else { Role::Muted });
        let style = if page == form.page { style.add_modifier(Modifier::UNDERLINED) } else { style };
        x = brush.text(x, area.y, area.width, name, style) + 2;
    }
    let (said, role) = match form.told().count() {
        _ if form.sent.is_some() => ("on its way…".to_owned(), Role::Accent),
        0 if !form.mistakes.is_empty() => ("not complete yet".to_owned(), Role::Muted),
        0 if form.is_changed() || form.own().is_none() => ("no mistakes".to_owned(), Role::Muted),
        0 => ("nothing changed yet".to_owned(), Role::Faint),
        number => (words::count(number, "mistake"), Role::Error),
    };
    brush.text_right(x, area.right(), area.y, &said, role);
}

/// What is said under the page: what has happened to the step, what became of what was sent.
fn below(form: &Form, width: usize) -> Vec<(String, Role)> {
    let mut said = Vec::new();
    let mut say = |line: &str, role: Role| said.extend(wrap(line, width).into_iter().take(3).map(|line| (line, role)));
    if let Some(notice) = &form.notice {
        say(notice, Role::Warning);
    }
    if let Some(standing) = &form.standing {
        say(&standing.text, Role::Warning);
        let keep =
            if standing.newer { "Ctrl-r takes that in and keeps what you typed" } else { "what you typed is kept" };
        say(keep, Role::Muted);
    }
    if form.page == Page::Fields {
        let elsewhere = |mistake: &&Mistake| form.field_of(mistake).is_none();
        for mistake in form.told().filter(elsewhere).take(2) {
            say(&in_words(mistake), Role::Error);
        }
    } else if let Some(given) = form.from_defaults() {
        // The fields show it in their places.
        say(&given, Role::Muted);
    }
    said
}

fn in_words(mistake: &Mistake) -> String {
    match &mistake.help {
        Some(help) => format!("{} · {help}", mistake.message),
        None => mistake.message.clone(),
    }
}

fn keys(form: &Form, brush: &mut Brush<'_>, area: Rect) {
    let page = match form.page {
        Page::Fields => "JSON",
        Page::Json => "fields",
    };
    let review = match form.enter_begins_a_line() {
        true => vec![(Meant::Send, "review"), (Meant::Enter, "new line")],
        false => vec![(Meant::Enter, "review and send")],
    };
    let rest = [
        (Meant::OtherPage, page),
        (Meant::Editor, "editor"),
        (Meant::Close, "close, keep"),
        (Meant::StartOver, "start over"),
    ];
    let mut x = area.x;
    for (key, label) in review.into_iter().chain(rest) {
        let key = forms::shown(key);
        let width = (text::width(key) + 1 + text::width(label)) as u16;
        if x + width > area.right() {
            break;
        }
        let at = brush.text(x, area.y, area.width, key, Role::Key);
        x = brush.text(at + 1, area.y, area.width, label, Role::Muted) + 3;
    }
}

// ---- fields

/// The rows of the fields page: a field, or what is said under one.
enum Row<'a> {
    Field(usize, &'a Field),
    /// A further row of the field above, and which one.
    More(&'a Field, usize),
    Help(String),
    /// Whether it is the first line of it.
    Mistake(bool, String),
}

/// Columns of the names of its fields.
fn label(form: &Form, width: u16) -> u16 {
    let longest = form.fields.iter().map(|field| text::width(&text::clean(&field.label))).max().unwrap_or(0);
    u16::try_from(longest + 3).unwrap_or(LABEL.1).clamp(LABEL.0, LABEL.1.min(width / 3).max(LABEL.0))
}

fn fields(form: &Form, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let mut rows = Vec::new();
    let mut focus = 0..0;
    let label = label(form, area.width);
    let room = area.width.saturating_sub(label + 3) as usize;
    for (place, field) in form.fields.iter().enumerate() {
        let start = rows.len();
        rows.push(Row::Field(place, field));
        rows.extend((1..height_of(field, area)).map(|row| Row::More(field, row as usize)));
        let mistakes: Vec<&Mistake> = form.told().filter(|one| form.field_of(one) == Some(place)).collect();
        // What the field itself says of its text is nearer than what the check says of the JSON.
        let own = field.value().err().filter(|_| field.is_typed()).map(str::to_owned);
        let said: Vec<String> = match own {
            Some(own) => vec![own],
            None => mistakes.iter().map(|mistake| in_words(mistake)).collect(),
        };
        for said in said {
            let lines = wrap(&said, room).into_iter().enumerate();
            rows.extend(lines.map(|(place, line)| Row::Mistake(place == 0, line)));
        }
        if place == form.selected {
            rows.extend(wrap(&help(field), room + 2).into_iter().map(Row::Help));
            focus = start..rows.len();
        }
    }
    let height = area.height as usize;
    let top = if focus.end > height { (focus.end - height).min(focus.start) } else { 0 };
    for (row, line) in rows.iter().skip(top).take(height).enumerate() {
        let y = area.y + row as u16;
        let (x, width) = (area.x + label, area.width.saturating_sub(label));
        match line {
            Row::Field(place, shown) => {
                let height = height_of(shown, area).min(area.bottom() - y);
                field(form, brush, Rect { y, height, ..area }, *place, shown, cursor);
            }
            // Of a field whose first rows are above the page: the rest of it.
            Row::More(shown, first) if row == 0 => {
                if let Typed::Text(text) = &shown.typed {
                    let height = height_of(shown, area).saturating_sub(*first as u16);
                    let style = brush.theme.style(Role::Text);
                    let area = Rect { x, y, width: width.saturating_sub(1), height };
                    textbox::draw(text, brush, area, style, Seen::From(*first), cursor);
                }
            }
            Row::More(..) => {}
            Row::Help(help) => {
                brush.text(x, y, width, help, Role::Faint);
            }
            Row::Mistake(first, said) => {
                if *first {
                    brush.text(x, y, 2, brush.glyphs.up, Role::Error);
                }
                brush.text(x + 2, y, width.saturating_sub(2), said, Role::Error);
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let said = format!(" {} more below ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom().saturating_sub(1), &said, Role::Muted);
    }
}

fn lines_of(field: &Field) -> usize {
    match &field.typed {
        Typed::Text(text) => text.lines().len(),
        Typed::Line(_) => 1,
    }
}

/// The rows that a field has on a page: the other fields are to be seen beside it, where the page is not very low.
fn height_of(field: &Field, page: Rect) -> u16 {
    let most = (page.height / 2).max(3).min(page.height.saturating_sub(2).max(1));
    u16::try_from(lines_of(field).min(MOST_LINES)).unwrap_or(most).min(most)
}

/// What is said under the field that has the keys.
fn help(field: &Field) -> String {
    if let Some(why) = field.fixed {
        return why.to_owned();
    }
    let Typed::Text(text) = &field.typed else { return field.help.clone() };
    if !text.has_lines() {
        return format!("{}; {} begins another line", field.help, forms::shown(Meant::NewLine));
    }
    let mut said = format!("line {} of {}", text.cursor().0 + 1, text.lines().len());
    if let Some(was) = field.was.as_ref().filter(|_| field.is_changed()) {
        said.push_str(&format!(" · was {}", words::count(was.lines().count(), "line")));
    }
    said
}

/// What is said at the right end of a field: what the step has instead, or what the plan's defaults say.
fn beside(field: &Field) -> Option<String> {
    let now = field.text();
    match (&field.was, &field.default) {
        (Some(_), _) if !field.is_changed() => None,
        (Some(was), _) if was.is_empty() => Some("was empty".to_owned()),
        (Some(was), _) => Some(format!("was {}", text::fit(was, 30))),
        (None, Some(default)) if *default == now => Some("the plan's default".to_owned()),
        (None, Some(default)) => Some(format!("the plan says {}", text::fit(default, 30))),
        (None, None) => None,
    }
}

fn field(form: &Form, brush: &mut Brush<'_>, area: Rect, place: usize, field: &Field, cursor: &mut Option<(u16, u16)>) {
    let focused = place == form.selected;
    let y = area.y;
    if focused {
        brush.over(area, Role::Selection);
        brush.text(area.x, y, 1, brush.glyphs.selected, Role::Accent);
    }
    let names = label(form, area.width);
    let clean = text::clean(&field.label);
    // What tells names apart stands at their ends.
    let name = text::fit_end(&clean, names as usize - 2);
    brush.text(area.x + 1, y, names - 2, &name, if focused { Role::Accent } else { Role::Muted });
    let x = area.x + names;
    let mut room = area.width.saturating_sub(names + 1);
    // Of a text of several lines it is said under it.
    if let Some(beside) = beside(field).filter(|_| !field.has_lines()) {
        let taken = text::width(&beside) as u16 + 2;
        if taken + 12 < room {
            brush.text_right(x, area.right(), y, &beside, Role::Muted);
            room -= taken;
        }
    }
    let wrong = form.told().any(|one| form.field_of(one) == Some(place)) || field.value().is_err();
    let role = match () {
        () if field.fixed.is_some() => Role::Faint,
        () if wrong => Role::Error,
        () if field.is_changed() => Role::Strong,
        () => Role::Text,
    };
    let style = brush.theme.style(role);
    let style = if wrong { style.add_modifier(Modifier::UNDERLINED) } else { style };
    if let (Kind::Choice(_), None) = (&field.kind, field.fixed) {
        let shown = field.text();
        let shown =
            if focused { format!("{} {shown} {}", brush.glyphs.more_left, brush.glyphs.more_right) } else { shown };
        brush.text(x, y, room, &shown, style);
        return;
    }
    if field.fixed.is_some() {
        brush.text(x, y, room, &field.text(), style);
        return;
    }
    let empty = match &field.typed {
        Typed::Line(input) => input.is_empty(),
        Typed::Text(text) => text.is_empty(),
    };
    if empty {
        let right = u16::from(focused);
        brush.text(x + right, y, room.saturating_sub(right), &field.when_empty(), Role::Faint);
    }
    match &field.typed {
        Typed::Text(text) => {
            textbox::draw(
                text,
                brush,
                Rect { x, width: room, ..area },
                style,
                if focused { Seen::Cursor } else { Seen::From(0) },
                cursor,
            );
        }
        Typed::Line(input) if focused => {
            let (shown, column) = input.visible(room as usize);
            brush.text(x, y, room, &shown, style);
            *cursor = Some((x + column as u16, y));
        }
        Typed::Line(input) => {
            brush.text(x, y, room, &input.text(), style);
        }
    }
}

// ---- JSON

/// A row of the JSON page: a line, or a mistake under its line.
enum Line {
    Text(usize),
    /// Where it begins, and in which role.
    Mistake(usize, String, Role),
}

fn json(form: &Form, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let lines = form.json.lines();
    let (row, character) = form.json.cursor();
    let width = area.width.saturating_sub(GUTTER) as usize;
    let shift = textbox::shift(&form.json, width);
    let mut rows: Vec<Line> = Vec::with_capacity(lines.len() + 2 * form.told().count());
    let mut at = 0;
    for (number, line) in lines.iter().enumerate() {
        if number == row {
            at = rows.len();
        }
        rows.push(Line::Text(number));
        for mistake in form.told().filter(|mistake| mistake.line == number + 1) {
            // At its place, unless there is no room to read it there: then the sign alone is.
            let place = column(line, mistake.column - 1).saturating_sub(shift).min(width.saturating_sub(1));
            let start = place.min(width / 3);
            let mut mark = brush.glyphs.up;
            if start < place {
                rows.push(Line::Mistake(place, mark.to_owned(), Role::Error));
                mark = " ";
            }
            let room = width.saturating_sub(start + 2);
            for line in wrap(&mistake.message, room) {
                rows.push(Line::Mistake(start, format!("{mark} {line}"), Role::Error));
                mark = " ";
            }
            let help = mistake.help.iter().flat_map(|help| wrap(help, room));
            rows.extend(help.map(|line| Line::Mistake(start, format!("  {line}"), Role::Muted)));
        }
    }
    let height = area.height.max(1) as usize;
    // The line with the cursor is seen, with what is wrong with it.
    let said = rows[at + 1..].iter().take_while(|row| matches!(row, Line::Mistake(..))).count();
    let top = (at + 1 + said.min(height.saturating_sub(1))).saturating_sub(height);
    for (place, line) in rows.iter().skip(top).take(height).enumerate() {
        let y = area.y + place as u16;
        let x = area.x + GUTTER;
        match line {
            Line::Text(number) => {
                let wrong = form.told().any(|mistake| mistake.line == number + 1);
                let role = if wrong { Role::Error } else { Role::Faint };
                brush.text_right(area.x, area.x + GUTTER - 2, y, &(number + 1).to_string(), role);
                line_of_json(brush, x, y, width as u16, &lines[*number], shift);
                textbox::selection(&form.json, *number, shift, brush, Rect { x, y, width: width as u16, height: 1 });
                for mistake in form.told().filter(|mistake| mistake.line == number + 1) {
                    let start = column(&lines[*number], mistake.column - 1);
                    let length = column(&lines[*number], mistake.column - 1 + characters(form, mistake)) - start;
                    let (from, to) =
                        (start.saturating_sub(shift), (start + length.max(1)).saturating_sub(shift).min(width));
                    let style = brush.theme.style(Role::Error).add_modifier(Modifier::UNDERLINED);
                    brush.over(Rect { x: x + from as u16, y, width: to.saturating_sub(from) as u16, height: 1 }, style);
                }
                if *number == row {
                    *cursor = Some((x + (column(&lines[row], character) - shift) as u16, y));
                }
            }
            Line::Mistake(start, said, role) => {
                brush.text(x + *start as u16, y, (width - start) as u16, said, *role);
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let said = format!(" {} more below ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom().saturating_sub(1), &said, Role::Muted);
    }
}

/// Characters of a mistake on its line.
fn characters(form: &Form, mistake: &Mistake) -> usize {
    let line = &form.json.lines()[mistake.line - 1];
    let start = line.char_indices().nth(mistake.column - 1).map_or(line.len(), |(place, _)| place);
    let length = mistake.span.len().min(line.len() - start);
    line.get(start..start + length).map_or(1, |meant| meant.chars().count())
}

/// A line with its name set back, so that the values are what is read.
fn line_of_json(brush: &mut Brush<'_>, x: u16, y: u16, width: u16, line: &str, shift: usize) {
    let clean = text::clean(line);
    let shown = if shift == 0 { clean.into_owned() } else { past(&clean, shift) };
    brush.text(x, y, width, &shown, Role::Text);
    if shift == 0 {
        let indent = line.len() - line.trim_start().len();
        if let Some((name, _)) = line[indent..].split_once("\":").filter(|(name, _)| name.starts_with('"')) {
            let taken = (indent + text::width(&text::clean(name)) + 2).min(width as usize) as u16;
            brush.over(Rect { x, y, width: taken, height: 1 }, Role::Muted);
        }
    }
}
