//! A one-line text field: filter, reasons.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::text;

/// Longest text a field takes, in characters: a reason is a sentence, not a file.
const LIMIT: usize = 500;
/// Longest text of a field that holds a step's.
const LONG: usize = 20_000;

/// The text and the place of the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    characters: Vec<char>,
    cursor: usize,
    limit: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self { characters: Vec::new(), cursor: 0, limit: LIMIT }
    }
}

impl Input {
    /// A field with a text in it, the cursor behind it, and room for a long command; `None` for a text that one line cannot hold as it is.
    pub fn holding(held: &str) -> Option<Self> {
        let mut input = Self { limit: LONG, ..Self::default() };
        input.insert(held);
        (input.text() == held).then_some(input)
    }

    /// What was typed.
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// Puts text in at the cursor; line breaks and control characters become harmless.
    pub fn insert(&mut self, pasted: &str) {
        for character in text::clean(pasted).chars() {
            if self.characters.len() < self.limit {
                self.characters.insert(self.cursor, character);
                self.cursor += 1;
            }
        }
    }

    /// Puts the cursor before a character.
    pub fn go_to(&mut self, place: usize) {
        self.cursor = place.min(self.characters.len());
    }

    /// Takes a key; says whether it was one for a text field.
    pub fn key(&mut self, event: KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('u') if control => {
                self.characters.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => {
                let word = self.characters[..self.cursor].iter().rev().skip_while(|c| **c == ' ').count();
                let spaces = self.cursor - word;
                let letters = self.characters[..word].iter().rev().take_while(|c| **c != ' ').count();
                self.characters.drain(self.cursor - spaces - letters..self.cursor);
                self.cursor -= spaces + letters;
            }
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.characters.len(),
            KeyCode::Char(character) if !control && !event.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(character.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.characters.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.characters.len() => {
                self.characters.remove(self.cursor);
            }
            KeyCode::Backspace | KeyCode::Delete => {}
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.characters.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.characters.len(),
            _ => return false,
        }
        true
    }

    /// The same field with another character for each of its own: what a secret looks like.
    pub fn masked(&self, mask: char) -> Self {
        Self { characters: vec![mask; self.characters.len()], ..*self }
    }

    /// What of the text is to be seen in `width` columns, and the column of the cursor in it.
    pub fn visible(&self, width: usize) -> (String, usize) {
        let width = width.max(2);
        let columns = |range: &[char]| range.iter().map(|c| text::width(c.encode_utf8(&mut [0; 4]))).sum::<usize>();
        let mut start = 0;
        while columns(&self.characters[start..self.cursor]) >= width {
            start += 1;
        }
        let mut end = start;
        while end < self.characters.len() && columns(&self.characters[start..=end]) <= width {
            end += 1;
        }
        (self.characters[start..end].iter().collect(), columns(&self.characters[start..self.cursor]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(input: &mut Input, code: KeyCode, modifiers: KeyModifiers) -> bool {
        input.key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn types_moves_and_deletes() {
        let mut input = Input::default();
        input.insert("channel is down");
        press(&mut input, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(input.text(), "channel is ");
        press(&mut input, KeyCode::Home, KeyModifiers::NONE);
        press(&mut input, KeyCode::Char('a'), KeyModifiers::NONE);
        assert_eq!(input.text(), "achannel is ");
        press(&mut input, KeyCode::End, KeyModifiers::NONE);
        press(&mut input, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert!(input.is_empty());
        assert!(!press(&mut input, KeyCode::Enter, KeyModifiers::NONE));
    }

    #[test]
    fn pasted_control_characters_are_harmless_and_long_text_scrolls() {
        let mut input = Input::default();
        input.insert("a\x1b[2Jb\nc");
        assert!(!input.text().contains('\x1b') && !input.text().contains('\n'));
        let mut input = Input::default();
        input.insert(&"x".repeat(2000));
        assert_eq!(input.text().len(), LIMIT);
        let (shown, cursor) = input.visible(10);
        assert!(shown.len() <= 10 && cursor < 10);
    }
}
