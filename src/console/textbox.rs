//! A text of several lines while it is typed: a command, a parameter, the JSON of a step.
//!
//! What is typed stands in [`TextArea`]; it is drawn by `views::textbox`, which makes foreign text harmless as everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, DataCursor, TextArea};

/// The text, the place of the cursor, and what can be undone.
#[derive(Debug, Clone)]
pub struct TextBox(TextArea<'static>);

impl TextBox {
    /// A text, the cursor at its beginning.
    pub fn new(text: &str) -> Self {
        let mut area = TextArea::new(text.split('\n').map(str::to_owned).collect());
        area.set_tab_length(2);
        Self(area)
    }

    /// The text.
    pub fn text(&self) -> String {
        self.0.lines().join("\n")
    }

    /// Its lines; one for an empty text.
    pub fn lines(&self) -> &[String] {
        self.0.lines()
    }

    /// Whether it has more than one line.
    pub fn has_lines(&self) -> bool {
        self.0.lines().len() > 1
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Line and character of the cursor, from 0.
    pub fn cursor(&self) -> (usize, usize) {
        let DataCursor(line, character) = self.0.cursor();
        (line, character)
    }

    /// What is selected: line and character of its beginning and of its end.
    pub fn selection(&self) -> Option<((usize, usize), (usize, usize))> {
        self.0.selection_range()
    }

    /// Puts the cursor before a character of a line.
    pub fn go_to(&mut self, line: usize, character: usize) {
        let clamp = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        self.0.cancel_selection();
        self.0.move_cursor(CursorMove::Jump(clamp(line), clamp(character)));
    }

    /// Puts the cursor behind the text.
    pub fn go_to_end(&mut self) {
        self.0.move_cursor(CursorMove::Bottom);
        self.0.move_cursor(CursorMove::End);
    }

    /// Another text in its place, so that it can be undone.
    pub fn replace(&mut self, text: &str) {
        if self.text() != text {
            self.0.select_all();
            self.0.insert_str(text);
            self.go_to(0, 0);
        }
    }

    /// Puts pasted text in at the cursor: its lines stay lines. Other control characters than tabs are left out.
    pub fn insert(&mut self, pasted: &str) {
        self.0.insert_str(harmless(pasted));
    }

    /// Begins a line that is indented as the one before; `deeper`: by two more where that opens a bracket.
    pub fn new_line(&mut self, deeper: bool) {
        let (line, character) = self.cursor();
        let before: String = self.0.lines()[line].chars().take(character).collect();
        let indent: String = before.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let opens = deeper && before.trim_end().ends_with(['{', '[']);
        self.0.insert_newline();
        self.0.insert_str(indent + if opens { "  " } else { "" });
    }

    /// A line, or `page` lines, up or down; `false`: the cursor is in the first or the last one already.
    pub fn step(&mut self, lines: isize) -> bool {
        let (line, character) = self.cursor();
        let there = line.saturating_add_signed(lines).min(self.0.lines().len() - 1);
        if there == line {
            return false;
        }
        self.go_to(there, character);
        true
    }

    /// A key for the text. What a form does with its keys, and moving from line to line, is decided before.
    pub fn key(&mut self, event: KeyEvent) {
        match event.code {
            KeyCode::BackTab => {}
            KeyCode::Char(letter) if !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
                self.0.insert_str(letter.encode_utf8(&mut [0; 4]));
            }
            // As in a field of one line.
            KeyCode::Char('u') if event.modifiers == KeyModifiers::CONTROL => {
                self.0.delete_line_by_head();
            }
            // Ctrl-_, as terminals send it and as editors undo with.
            KeyCode::Char('7' | '_' | '/') if event.modifiers == KeyModifiers::CONTROL => {
                self.0.undo();
            }
            _ => {
                self.0.input(event);
            }
        }
    }
}

/// Pasted text: one kind of line end, and no control characters but tabs.
fn harmless(pasted: &str) -> String {
    let lines = pasted.replace("\r\n", "\n").replace('\r', "\n");
    lines.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(text: &mut TextBox, keys: &[KeyCode]) {
        for key in keys {
            text.key(KeyEvent::new(*key, KeyModifiers::NONE));
        }
    }

    #[test]
    fn lines_are_typed_moved_through_and_joined() {
        let mut text = TextBox::new("set -e\n  gzip dump");
        text.go_to_end();
        text.new_line(false);
        press(&mut text, &[KeyCode::Char('l'), KeyCode::Char('s')]);
        assert_eq!(text.text(), "set -e\n  gzip dump\n  ls", "indented as the line before");
        assert!(text.step(-1) && text.step(-1) && !text.step(-1));
        press(&mut text, &[KeyCode::End, KeyCode::Char('u')]);
        assert_eq!(text.lines()[0], "set -eu");
        assert!(text.step(9), "no further than the last line");
        assert_eq!(text.cursor().0, 2);
        press(&mut text, &[KeyCode::Home, KeyCode::Backspace]);
        assert_eq!(text.text(), "set -eu\n  gzip dump  ls");
    }

    #[test]
    fn pasted_lines_stay_lines_and_control_characters_do_not_come_in() {
        let mut text = TextBox::new("");
        text.insert("a\r\n\tb\rc\x1b[2J\x07");
        assert_eq!(text.text(), "a\n\tb\nc[2J");
    }

    #[test]
    fn what_replaces_a_text_can_be_undone() {
        let mut text = TextBox::new("one\ntwo");
        text.replace("three");
        assert_eq!((text.text().as_str(), text.has_lines()), ("three", false));
        text.0.undo();
        text.0.undo();
        assert_eq!(text.text(), "one\ntwo");
    }

    #[test]
    fn the_beginning_of_a_line_goes_with_the_key_that_does_it_in_every_field() {
        let mut text = TextBox::new("one\ntwo three");
        text.go_to(1, 4);
        text.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(text.text(), "one\nthree");
    }
}
