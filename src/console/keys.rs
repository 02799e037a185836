//! Names of keys: how the table of actions, the help and later a file of the operator's own write them.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, in the one form in which keys are compared: a letter carries its case, never SHIFT beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// A key in its one form.
    pub fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers = modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match code {
            // Terminals differ in whether they report SHIFT beside an upper-case letter or a sign, and BackTab.
            KeyCode::Char(letter) => {
                modifiers.remove(KeyModifiers::SHIFT);
                KeyCode::Char(if modifiers.contains(KeyModifiers::CONTROL) {
                    letter.to_ascii_lowercase()
                } else {
                    letter
                })
            }
            KeyCode::BackTab => {
                modifiers.insert(KeyModifiers::SHIFT);
                KeyCode::Tab
            }
            other => other,
        };
        Self { code, modifiers }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        Self::new(event.code, event.modifiers)
    }
}

/// Names of keys that are not a single character.
const NAMED: &[(&str, KeyCode)] = &[
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Space", KeyCode::Char(' ')),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
];

/// A key's name that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a key; names are like `p`, `R`, `Ctrl-d`, `Shift-Tab`, `PgDn`, `F1`")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownKey(text.to_string());
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        for (prefix, modifier) in
            [("Ctrl-", KeyModifiers::CONTROL), ("Alt-", KeyModifiers::ALT), ("Shift-", KeyModifiers::SHIFT)]
        {
            if let Some(tail) = rest.strip_prefix(prefix) {
                modifiers.insert(modifier);
                rest = tail;
            }
        }
        let mut characters = rest.chars();
        let code = match (characters.next(), characters.next()) {
            (Some(letter), None) => KeyCode::Char(letter),
            _ => match NAMED.iter().find(|(name, _)| *name == rest) {
                Some((_, code)) => *code,
                None => {
                    let number = rest.strip_prefix('F').and_then(|digits| digits.parse::<u8>().ok());
                    KeyCode::F(number.filter(|number| (1..=24).contains(number)).ok_or_else(unknown)?)
                }
            },
        };
        Ok(Self::new(code, modifiers))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, prefix) in
            [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "Shift-")]
        {
            if self.modifiers.contains(modifier) {
                out.write_str(prefix)?;
            }
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return out.write_str(name);
        }
        match self.code {
            KeyCode::Char(letter) => write!(out, "{letter}"),
            KeyCode::F(number) => write!(out, "F{number}"),
            other => write!(out, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_the_same_thing() {
        for name in ["p", "R", "Ctrl-d", "Shift-Tab", "PgDn", "F1", "Enter", "!", "+", "?", "Space"] {
            assert_eq!(name.parse::<Key>().unwrap().to_string(), name);
        }
        for name in ["", "Hyper-x", "pp", "F99"] {
            assert!(name.parse::<Key>().is_err(), "{name}");
        }
    }

    #[test]
    fn terminals_that_report_shift_differently_mean_the_same_key() {
        let upper = Key::from(KeyEvent::new(KeyCode::Char('R'), KeyModifiers::SHIFT));
        assert_eq!(upper, "R".parse().unwrap());
        let back = Key::from(KeyEvent::new(KeyCode::BackTab, KeyModifiers::NONE));
        assert_eq!(back, "Shift-Tab".parse().unwrap());
        let control = Key::from(KeyEvent::new(KeyCode::Char('C'), KeyModifiers::CONTROL));
        assert_eq!(control, "Ctrl-c".parse().unwrap());
    }
}
