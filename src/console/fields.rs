//! A JSON value as it is read: names in a column, their values beside them, a text of several lines as a block of its own.

use std::collections::HashMap;

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use crate::plan::number_in_words;

use super::markdown::Line;
use super::theme::Role;
use super::{text, words};

/// A value is cut after so many lines: one may have any size, and what is longer is read in its file.
pub const LONGEST: usize = 20_000;

/// A name that is longer than this does not push all values to the right.
const LONGEST_NAME: usize = 28;
/// What belongs to a name is set in by this.
const INDENT: usize = 2;
/// From so many seconds on, they are also told in minutes.
const MINUTE: f64 = 60.0;

/// What is said of a field besides its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// It is not what it was.
    pub changed: bool,
    /// Behind the value.
    pub behind: Option<String>,
    /// Below it.
    pub below: Vec<String>,
}

/// The lines of a value, in so many columns. `notes` has what is said of the fields of the outermost object.
pub fn lines(value: &Value, width: usize, notes: &HashMap<String, Note>) -> Vec<Line> {
    let gutter = if notes.values().any(|note| note.changed) { INDENT } else { 0 };
    let mut page = Page { lines: Vec::new(), width };
    match value {
        Value::Object(fields) if !fields.is_empty() => page.object(fields, gutter, Some(notes)),
        other => page.whole(other, 0),
    }
    if page.is_full() {
        page.lines.truncate(LONGEST);
        page.lines.push(vec![("there is more of it, which is not shown".to_owned(), Role::Muted)]);
    }
    page.lines
}

struct Page {
    lines: Vec<Line>,
    width: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.lines.len() > LONGEST
    }

    fn object(&mut self, fields: &Map<String, Value>, indent: usize, notes: Option<&HashMap<String, Note>>) {
        let names = fields.iter().filter(|(_, value)| beside(value).is_some());
        let longest = names.map(|(name, _)| text::width(name)).filter(|width| *width <= LONGEST_NAME).max();
        // The values begin here: behind the longest name, its colon and two spaces.
        let column = indent + longest.unwrap_or(0) + 3;
        for (name, value) in fields {
            if self.is_full() {
                return;
            }
            let note = notes.and_then(|notes| notes.get(name));
            let mark = if note.is_some_and(|note| note.changed) { "~ " } else { "" };
            let mut head = vec![(" ".repeat(indent - mark.len().min(indent)), Role::Text)];
            if !mark.is_empty() {
                head.push((mark.to_owned(), Role::Accent));
            }
            head.push((format!("{}:", text::clean(name)), Role::Muted));
            self.field(name, value, indent, column, head, note.and_then(|note| note.behind.as_deref()));
            for said in note.into_iter().flat_map(|note| &note.below) {
                let room = self.width.saturating_sub(indent + INDENT);
                for line in wrapped(said, room) {
                    self.lines.push(vec![(" ".repeat(indent + INDENT), Role::Text), (line.to_owned(), Role::Muted)]);
                }
            }
        }
    }

    fn field(&mut self, name: &str, value: &Value, indent: usize, column: usize, head: Line, behind: Option<&str>) {
        let told = |line: &mut Line| {
            if let Some(behind) = behind {
                line.push((format!("  {behind}"), Role::Muted));
            }
        };
        let Some(said) = beside(value) else {
            let mut line = head;
            told(&mut line);
            self.lines.push(line);
            return self.whole(value, indent + INDENT);
        };
        let used: usize = head.iter().map(|(piece, _)| text::width(piece)).sum();
        let column = column.max(used + INDENT);
        let mut line = head;
        line.push((" ".repeat(column - used), Role::Text));
        let clean = text::clean(&said);
        let mut parts = wrapped(&clean, self.width.saturating_sub(column));
        line.push((parts.next().unwrap_or_default().to_owned(), Role::Text));
        if let (Some(seconds), true) = (value.as_f64().filter(|s| *s >= MINUTE), name.ends_with("_seconds")) {
            line.push((format!("  ({})", words::duration(seconds)), Role::Muted));
        }
        told(&mut line);
        self.lines.push(line);
        for part in parts {
            self.lines.push(vec![(" ".repeat(column), Role::Text), (part.to_owned(), Role::Text)]);
        }
    }

    /// A value that has lines of its own.
    fn whole(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(fields) if !fields.is_empty() => self.object(fields, indent, None),
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    if self.is_full() {
                        return;
                    }
                    let first = self.lines.len();
                    self.whole(item, indent + INDENT);
                    // Its first line has a dash in the room that it is set in.
                    if let Some((space, _)) = self.lines.get_mut(first).and_then(|line| line.first_mut()) {
                        *space =
                            format!("{}- {}", " ".repeat(indent), space.get(indent + INDENT..).unwrap_or_default());
                    }
                }
            }
            Value::String(text) if text.contains('\n') => {
                let bar = "│ ";
                for line in text.lines() {
                    if self.is_full() {
                        return;
                    }
                    let clean = text::clean(line);
                    // What goes on below itself is set in, as one would write it.
                    let room = self.width.saturating_sub(indent + 2 * INDENT);
                    for (place, part) in wrapped(&clean, room).enumerate() {
                        let space = (" ".repeat(indent), Role::Text);
                        let part = format!("{}{part}", if place == 0 { "" } else { "  " });
                        self.lines.push(vec![space, (bar.to_owned(), Role::Rule), (part, Role::Text)]);
                    }
                }
            }
            other => {
                let said = beside(other).unwrap_or_default();
                let clean = text::clean(&said);
                for part in wrapped(&clean, self.width.saturating_sub(indent)) {
                    self.lines.push(vec![(" ".repeat(indent), Role::Text), (part.to_owned(), Role::Text)]);
                }
            }
        }
    }
}

/// A value that stands beside its name: everything but what has parts, or lines.
fn beside(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\n') => None,
        // What is not seen as it is stands in quotes.
        Value::String(text) if text.trim() != text || text.is_empty() => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number_in_words(number)),
        Value::Array(items) => {
            let names: Option<Vec<String>> = items.iter().map(|item| beside(item).filter(|_| is_plain(item))).collect();
            let names = names.filter(|names| names.iter().all(|name| !name.contains(',')))?;
            Some(if names.is_empty() { "[]".to_owned() } else { names.join(", ") })
        }
        Value::Object(fields) => fields.is_empty().then(|| "{}".to_owned()),
        Value::Null | Value::Bool(_) => Some(value.to_string()),
    }
}

fn is_plain(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// A line in pieces of so many cells, broken behind a space where there is one; at least one piece.
fn wrapped(line: &str, width: usize) -> impl Iterator<Item = &str> {
    let width = width.max(8);
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let (mut used, mut space) = (0, None);
        for (at, grapheme) in line.grapheme_indices(true) {
            used += text::width(grapheme);
            if used > width && at > 0 && grapheme != " " {
                let (piece, left) = line.split_at(space.unwrap_or(at));
                rest = Some(left).filter(|left| !left.is_empty());
                return Some(piece.trim_end());
            }
            if grapheme == " " && at > 0 {
                space = Some(at + 1);
            }
        }
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(value: &Value, width: usize, notes: &HashMap<String, Note>) -> Vec<String> {
        let told = |line: &Line| line.iter().map(|(piece, _)| piece.as_str()).collect::<String>().trim_end().to_owned();
        lines(value, width, notes).iter().map(told).collect()
    }

    #[test]
    fn names_are_in_a_column_and_what_has_parts_is_set_in() {
        let value = json!({
            "step_id": "ship", "timeout_seconds": 600.0, "idempotent": true, "name": " spaced ", "depends_on": ["a", "b"],
            "env": {"LEVEL": "debug", "A": "", "N": {}},
            "run": "set -e\n  ./ship\n",
            "retry": {"codes": [1.5, null], "rules": [{"a": 1, "bc": 2}, ["x"]]},
        });
        assert_eq!(
            page(&value, 60, &HashMap::new()).join("\n"),
            "\
step_id:          ship
timeout_seconds:  600  (10:00)
idempotent:       true
name:             \" spaced \"
depends_on:       a, b
env:
  LEVEL:  debug
  A:      \"\"
  N:      {}
run:
  │ set -e
  │   ./ship
retry:
  codes:  1.5, null
  rules:
    - a:   1
      bc:  2
    - - x"
        );
        assert_eq!(page(&json!("one"), 60, &HashMap::new()), ["one"]);
        assert_eq!(page(&json!([1, {"a": 2}]), 60, &HashMap::new()), ["- 1", "- a:  2"]);
    }

    #[test]
    fn what_finds_no_room_goes_on_below_itself_and_nothing_is_lost() {
        let value = json!({"run": "one two three four", "word": "x".repeat(25)});
        assert_eq!(
            page(&value, 20, &HashMap::new()),
            ["run:   one two three", "       four", "word:  xxxxxxxxxxxxx", "       xxxxxxxxxxxx"]
        );
        // However narrow it is.
        assert!(page(&value, 0, &HashMap::new()).len() > 4);
    }

    #[test]
    fn what_has_changed_is_marked_and_told() {
        let note = Note { changed: true, behind: Some("the plan's default".into()), below: vec!["was 60".into()] };
        let notes = HashMap::from([("b".to_owned(), note)]);
        let told = page(&json!({"a": 1, "b": 2}), 40, &notes);
        assert_eq!(told, ["  a:  1", "~ b:  2  the plan's default", "    was 60"]);
    }

    #[test]
    fn a_value_of_any_size_is_cut() {
        let long = json!({"text": "line\n".repeat(LONGEST * 2), "list": vec![json!({"a": 1}); LONGEST * 2]});
        let told = page(&long, 40, &HashMap::new());
        assert_eq!(told.len(), LONGEST + 1);
        assert!(told.last().unwrap().contains("not shown"));
        assert!(page(&json!("x".repeat(1_000_000)), 40, &HashMap::new()).len() <= LONGEST + 1 + 25_000);
    }
}
