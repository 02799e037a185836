//! Names of keys: how the table of actions, the help and the operator's configuration write them.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::plan::suggest;

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

impl Key {
    /// Whether it is a character by itself, as text has it.
    pub fn is_letter(self) -> bool {
        matches!(self.code, KeyCode::Char(_)) && self.modifiers.is_empty()
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

/// How other programs write keys.
const ALIASES: &[(&str, &str)] = &[
    ("Escape", "Esc"),
    ("Return", "Enter"),
    ("PageUp", "PgUp"),
    ("PageDown", "PgDn"),
    ("Del", "Delete"),
    ("Control", "Ctrl"),
    ("Meta", "Alt"),
];

impl Key {
    /// What was probably meant by a name that is none.
    pub fn near(name: &str) -> Option<String> {
        let known = |word: &str, names: Vec<&'static str>| -> Option<String> {
            if names.contains(&word) {
                return Some(word.to_owned());
            }
            let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(word)).map(|(_, name)| *name);
            let same = || names.iter().copied().find(|name| name.eq_ignore_ascii_case(word));
            let near = alias.filter(|alias| names.contains(alias)).or_else(same);
            // Of two letters, everything short is near.
            let like = || suggest(word, names.iter().copied()).filter(|_| word.chars().count() > 2);
            near.or_else(like).map(str::to_owned)
        };
        let keys: Vec<&'static str> = NAMED.iter().map(|(name, _)| *name).collect();
        let meant = match name.split_once(['-', '+']) {
            Some((modifier, key)) if !modifier.is_empty() && !key.is_empty() => {
                let modifier = known(modifier, vec!["Ctrl", "Alt", "Shift"])?;
                let key = if key.chars().count() == 1 { key.to_owned() } else { known(key, keys)? };
                format!("{modifier}-{key}")
            }
            _ => known(name, keys)?,
        };
        (meant != name && meant.parse::<Key>().is_ok()).then_some(meant)
    }
}

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
    fn what_was_meant_is_said() {
        let near = |name| Key::near(name);
        assert_eq!(near("ctrl-x").as_deref(), Some("Ctrl-x"));
        assert_eq!(near("Ctrl+x").as_deref(), Some("Ctrl-x"));
        assert_eq!(near("PageDown").as_deref(), Some("PgDn"));
        assert_eq!(near("Spaec").as_deref(), Some("Space"));
        assert_eq!(near("pp"), None);
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
