//! A text field: filter, reasons, values. What is typed or pasted is kept as it is; only what is drawn of it is made harmless.

use std::borrow::Cow;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

use super::{text, words};

/// Longest text a field takes, in characters: a reason is a sentence, not a file.
const LIMIT: usize = 500;
/// Longest text of a field that holds a step's, or a value.
const LONG: usize = 20_000;

/// The text and the place of the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    characters: Vec<char>,
    cursor: usize,
    limit: usize,
    /// It may have several lines.
    lines: bool,
    /// What stands there goes with the first character that is typed, as if all of it were selected.
    selected: bool,
}

impl Default for Input {
    fn default() -> Self {
        Self { characters: Vec::new(), cursor: 0, limit: LIMIT, lines: false, selected: false }
    }
}

/// Text as it was pasted: its line ends are of one kind, and what was copied as a line has none.
///
/// # Errors
/// There is something in it that nobody can type, and that no field would show as it is: it is not taken, rather than changed.
pub fn pasted(raw: &str) -> Result<Cow<'_, str>, String> {
    let text = match raw.contains('\r') {
        true => Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(raw),
    };
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err("there are control characters in it: nothing was pasted".into());
    }
    let is_a_line = text.matches('\n').count() == 1 && text.ends_with('\n');
    Ok(match text {
        text if !is_a_line => text,
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('\n')),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches('\n').to_owned()),
    })
}

impl Input {
    /// A field with a text in it, whatever that is, the cursor behind it, and room for a long command.
    pub fn of(held: &str) -> Self {
        let characters: Vec<char> = held.chars().collect();
        Self { cursor: characters.len(), limit: LONG.max(characters.len()), characters, lines: false, selected: false }
    }

    /// The same for a text of one line that can be typed; `None` for another.
    pub fn holding(held: &str) -> Option<Self> {
        let typed = |c: char| c == '\t' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        (held.chars().all(typed) && held.chars().nth(LONG).is_none()).then(|| Self::of(held))
    }

    /// The same field with what stands in it selected: typing begins anew, and moving goes on with it.
    pub fn selected(self) -> Self {
        Self { selected: !self.is_empty(), ..self }
    }

    /// Whether what stands there is selected.
    pub fn is_selected(&self) -> bool {
        self.selected
    }

    /// The same field, which takes several lines if it `may`.
    pub fn with_lines(self, may: bool) -> Self {
        Self { lines: may, ..self }
    }

    /// What was typed.
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// How many lines it has, where that is more than one: it is drawn in one row.
    pub fn lines(&self) -> Option<usize> {
        let ends = self.characters.iter().filter(|c| **c == '\n').count();
        let lines = ends + usize::from(self.characters.last().is_some_and(|c| *c != '\n'));
        (ends > 0).then_some(lines)
    }

    /// Puts text in at the cursor, as it is; what finds no room is left out.
    pub fn insert(&mut self, text: &str) {
        self.drop_selected();
        let room = self.limit.saturating_sub(self.characters.len());
        let before = self.characters.len();
        self.characters.splice(self.cursor..self.cursor, text.chars().take(room));
        self.cursor += self.characters.len() - before;
    }

    fn drop_selected(&mut self) -> bool {
        let selected = std::mem::take(&mut self.selected);
        if selected {
            self.characters.clear();
            self.cursor = 0;
        }
        selected
    }

    /// Puts pasted text in at the cursor: all of it as it is, or nothing.
    ///
    /// # Errors
    /// The field cannot hold it, and why: nothing was put in.
    pub fn paste(&mut self, raw: &str) -> Result<(), String> {
        let mut text = pasted(raw)?;
        if !self.lines {
            text = text.trim_end_matches('\n').to_owned().into();
            if text.contains('\n') {
                return Err("this field is one line: nothing was pasted".into());
            }
        }
        let characters = text.chars().count();
        if characters > self.limit.saturating_sub(if self.selected { 0 } else { self.characters.len() }) {
            let (has, most) = (words::thousands(characters), words::thousands(self.limit));
            return Err(format!("it has {has} characters, and the field takes {most}: nothing was pasted"));
        }
        self.insert(&text);
        Ok(())
    }

    /// Puts the cursor before a character.
    pub fn go_to(&mut self, place: usize) {
        self.cursor = place.min(self.characters.len());
    }

    /// The places between what is seen as one character, from 0 to the end: a letter and its marks belong together.
    fn bounds(&self) -> Vec<usize> {
        let text = self.text();
        let ends = text.graphemes(true).scan(0, |place, grapheme| {
            *place += grapheme.chars().count();
            Some(*place)
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn before(&self) -> usize {
        self.bounds().into_iter().rev().find(|place| *place < self.cursor).unwrap_or(0)
    }

    fn after(&self) -> usize {
        self.bounds().into_iter().find(|place| *place > self.cursor).unwrap_or(self.cursor)
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
                if !character.is_control() {
                    self.insert(character.encode_utf8(&mut [0; 4]));
                }
            }
            KeyCode::Backspace | KeyCode::Delete if self.drop_selected() => {}
            KeyCode::Backspace => {
                let start = self.before();
                self.characters.drain(start..self.cursor);
                self.cursor = start;
            }
            KeyCode::Delete => {
                self.characters.drain(self.cursor..self.after());
            }
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.characters.len(),
            _ => return false,
        }
        self.selected = false;
        true
    }

    /// The same field with another character for each of its own: what a secret looks like.
    pub fn masked(&self, mask: char) -> Self {
        Self { characters: vec![mask; self.characters.len()], ..*self }
    }

    /// What of the text is to be seen in `width` columns, neutralised, and the column of the cursor in it.
    pub fn visible(&self, width: usize) -> (String, usize) {
        let width = width.max(2);
        let text = self.text();
        let drawn: Vec<Cow<'_, str>> = text.graphemes(true).map(drawn).collect();
        // The columns before each of them, and behind the last one.
        let mut columns = vec![0];
        columns.extend(drawn.iter().scan(0, |column, drawn| {
            *column += text::width(drawn);
            Some(*column)
        }));
        let cursor = self.bounds().into_iter().position(|place| place >= self.cursor).unwrap_or(drawn.len());
        let start = columns.iter().position(|column| columns[cursor] - column < width).unwrap_or(cursor);
        let end = columns.iter().rposition(|column| *column <= columns[start] + width).unwrap_or(drawn.len());
        (drawn[start..end.max(start)].concat(), columns[cursor] - columns[start])
    }
}

/// What is seen as one character, as it is drawn: the end of a line has a sign of its own.
fn drawn(grapheme: &str) -> Cow<'_, str> {
    if grapheme == "\n" { Cow::Borrowed("⏎") } else { text::clean(grapheme) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(input: &mut Input, code: KeyCode, modifiers: KeyModifiers) -> bool {
        input.key(KeyEvent::new(code, modifiers))
    }

    fn letters(input: &mut Input, letters: &str) {
        for letter in letters.chars() {
            press(input, KeyCode::Char(letter), KeyModifiers::NONE);
        }
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
    fn what_is_selected_goes_with_what_is_typed_and_stays_for_who_moves_in_it() {
        let held = || {
            let mut input = Input::default();
            input.insert("channel");
            input.selected()
        };
        let after = |code: KeyCode| {
            let mut input = held();
            press(&mut input, code, KeyModifiers::NONE);
            letters(&mut input, "s");
            assert!(!input.is_selected());
            input.text()
        };
        assert_eq!(after(KeyCode::Char('e')), "es");
        assert_eq!(after(KeyCode::Backspace), "s");
        assert_eq!(after(KeyCode::Right), "channels");
        assert_eq!(after(KeyCode::Home), "schannel");
        let mut input = held();
        input.paste("é".repeat(LIMIT).as_str()).unwrap();
        assert_eq!(input.text().chars().count(), LIMIT);
        assert!(!Input::default().selected().is_selected());
    }

    #[test]
    fn marks_that_arrive_one_by_one_stay_with_their_letter() {
        // Decomposed, Thai, Devanagari, and an emoji of several people.
        for typed in
            ["e\u{301}te\u{301}", "\u{e19}\u{e49}\u{e33}", "\u{915}\u{94d}\u{937}", "\u{1f468}\u{200d}\u{1f469}"]
        {
            let mut input = Input::default();
            letters(&mut input, typed);
            assert_eq!(input.text(), typed, "as it was typed");
            let (shown, cursor) = input.visible(40);
            assert!(!shown.contains(text::REPLACEMENT) && text::clean(&shown) == shown, "{typed}: {shown:?}");
            assert_eq!(cursor, text::width(&shown));
        }
        // What is seen as one character is gone over and taken away as one.
        let mut input = Input::default();
        letters(&mut input, "cafe\u{301}s");
        press(&mut input, KeyCode::Left, KeyModifiers::NONE);
        press(&mut input, KeyCode::Left, KeyModifiers::NONE);
        press(&mut input, KeyCode::Delete, KeyModifiers::NONE);
        assert_eq!(input.text(), "cafs");
        letters(&mut input, "e\u{301}");
        press(&mut input, KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(input.text(), "cafs");
    }

    #[test]
    fn what_is_pasted_is_kept_as_it_is_or_refused() {
        for text in ["a\tb", "\u{1f3fd}\u{200d}\u{fe0f}", "\u{202e}x", "  spaces  "] {
            let mut input = Input::default();
            assert_eq!(input.paste(text), Ok(()));
            assert_eq!(input.text(), text);
            let (shown, _) = input.visible(40);
            assert_eq!(text::clean(&shown), shown, "what is drawn is harmless");
        }
        let mut input = Input::default();
        input.insert("x");
        for (text, why) in [("a\nb", "one line"), ("a\rb\r", "one line"), ("a\u{1b}[2Jb", "control characters")] {
            assert!(input.paste(text).unwrap_err().contains(why), "{text:?}");
        }
        let long = "y".repeat(LIMIT);
        assert!(input.paste(&long).unwrap_err().contains("it has 500 characters, and the field takes 500"));
        assert_eq!(input.text(), "x", "nothing was put in");
        // A line that was copied with its end is one line.
        assert_eq!(input.paste("yz\r\n"), Ok(()));
        assert_eq!(input.text(), "xyz");
    }

    #[test]
    fn a_field_of_several_lines_keeps_them_and_counts_them() {
        let mut input = Input::of("").with_lines(true);
        assert_eq!((input.paste("-----BEGIN\r\n\tab\r\n-----END\r\n"), input.lines()), (Ok(()), Some(3)));
        assert_eq!(input.text(), "-----BEGIN\n\tab\n-----END\n");
        assert_eq!(input.visible(40).0, "-----BEGIN⏎ ab⏎-----END⏎");
        assert_eq!(input.masked('*').text(), "*".repeat(input.text().len()));
        assert_eq!(
            (Input::of("one").lines(), Input::of("").lines(), Input::of("a\n\n").lines()),
            (None, None, Some(2))
        );
    }

    #[test]
    fn a_text_is_held_as_it_is_and_a_long_one_scrolls() {
        assert_eq!(Input::holding("a\nb"), None);
        assert_eq!(Input::holding("a\u{1b}b"), None);
        assert_eq!(Input::holding("\u{1f468}\u{200d}\u{1f469}").map(|input| input.text().len()), Some(11));
        let mut input = Input::default();
        letters(&mut input, &"x".repeat(2 * LIMIT));
        assert_eq!(input.text().len(), LIMIT);
        let (shown, cursor) = input.visible(10);
        assert!(shown.len() <= 10 && cursor < 10);
        press(&mut input, KeyCode::Home, KeyModifiers::NONE);
        assert_eq!(input.visible(10), ("x".repeat(10), 0));
    }
}
