//! What all forms have in common: the one table of their keys, and how a field takes one.
//!
//! A form says what each [`Meant`] does to it; that a key means it is said here, and the line of keys at the foot of a form is made from the same table.

use crossterm::event::{KeyCode, KeyEvent};

use super::input::Input;
use super::keys::Key;

/// What a key means in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// Leave the form.
    Close,
    /// Send what was typed, or look at it before.
    Send,
    /// The same in a field of one line; in a text of several, a new one.
    Enter,
    /// A new line, also in a text that has only one.
    NewLine,
    /// The next field.
    Next,
    /// The field before.
    Previous,
    /// A line down in a text of several, else the next field.
    Down,
    /// A line up in a text of several, else the field before.
    Up,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// The other page of the form.
    OtherPage,
    /// The operator's own editor.
    Editor,
    /// What has changed meanwhile is taken in.
    TakeNewer,
    /// What was typed is thrown away.
    StartOver,
}

/// The keys of forms: the one that is shown, which every terminal lets through, and others that mean the same where a terminal has them.
///
/// Alt-Enter begins a line in many programs, but xterm and others take it to fill the screen; Ctrl-s sends in many, but stops a terminal with flow
/// control.
pub const KEYS: &[(Meant, &str, &[&str])] = &[
    (Meant::Close, "Esc", &["Ctrl-c"]),
    (Meant::Send, "Ctrl-d", &["Ctrl-s"]),
    (Meant::Enter, "Enter", &[]),
    (Meant::NewLine, "Ctrl-n", &["Alt-Enter", "Shift-Enter"]),
    (Meant::Next, "Tab", &[]),
    (Meant::Previous, "Shift-Tab", &[]),
    (Meant::Down, "Down", &[]),
    (Meant::Up, "Up", &[]),
    (Meant::PageDown, "PgDn", &[]),
    (Meant::PageUp, "PgUp", &[]),
    (Meant::OtherPage, "F2", &["Ctrl-t"]),
    (Meant::Editor, "F4", &["Ctrl-o"]),
    (Meant::TakeNewer, "Ctrl-r", &[]),
    (Meant::StartOver, "F8", &[]),
];

/// What a key means, if it is one of a form and not of the field that has the keys.
pub fn meant(event: KeyEvent) -> Option<Meant> {
    let key = Key::from(event);
    let is = |name: &&str| name.parse() == Ok(key);
    KEYS.iter().find(|(_, shown, others)| is(shown) || others.iter().any(is)).map(|(meant, ..)| *meant)
}

/// The key that is shown.
pub fn shown(meant: Meant) -> &'static str {
    // Each has its line in the table: a test goes through them.
    KEYS.iter().find(|(one, ..)| *one == meant).map_or("", |(_, shown, _)| *shown)
}

/// The place after another in a ring of so many, or the one before.
pub fn turned(now: usize, ring: usize, back: bool) -> usize {
    let ring = ring.max(1);
    (now + if back { ring - 1 } else { 1 }) % ring
}

/// The value after the one that is chosen, or the one before.
pub fn turned_choice(choices: &[String], now: &str, back: bool) -> Option<String> {
    let place = match choices.iter().position(|choice| choice == now) {
        Some(place) => turned(place, choices.len(), back),
        None if back => choices.len().checked_sub(1)?,
        None => 0,
    };
    choices.get(place).cloned()
}

/// A field of one line, or of a few values.
pub trait Field {
    /// What is typed.
    fn input(&mut self) -> &mut Input;

    /// The values it may have, where it is one of a few; none where it is typed.
    fn choices(&self) -> Option<Vec<String>>;

    /// What is wrong with it.
    fn mistake(&self) -> Option<&str>;

    /// Looks for what is wrong with it.
    fn check(&mut self);

    /// A key for it: left and right and Space go among its values, the rest is typed.
    fn key(&mut self, event: KeyEvent) {
        let Some(choices) = self.choices() else {
            self.input().key(event);
            return;
        };
        let back = match event.code {
            KeyCode::Right | KeyCode::Char(' ') => false,
            KeyCode::Left => true,
            // A choice takes no letters.
            _ => return,
        };
        let now = self.input().text();
        *self.input() = turned_choice(&choices, &now, back).map(|choice| Input::of(&choice)).unwrap_or_default();
    }

    /// Pasted text goes into it as it is, unless it is one of a few.
    ///
    /// # Errors
    /// It cannot hold that, and why: nothing was put in.
    fn paste(&mut self, pasted: &str) -> Result<(), String> {
        match self.choices() {
            Some(_) => Ok(()),
            None => self.input().paste(pasted),
        }
    }
}

/// The fields of a form that is checked as a whole: mistakes are told once it was tried to send it, and from then on as they are made and mended.
#[derive(Debug, Clone)]
pub struct Fields<F> {
    all: Vec<F>,
    tried: bool,
}

impl<F> std::ops::Deref for Fields<F> {
    type Target = [F];

    fn deref(&self) -> &[F] {
        &self.all
    }
}

impl<F: Field> Fields<F> {
    /// Fields that nobody has tried to send yet.
    pub fn new(all: Vec<F>) -> Self {
        Self { all, tried: false }
    }

    /// How many mistakes there are.
    pub fn mistakes(&self) -> usize {
        self.all.iter().filter(|field| field.mistake().is_some()).count()
    }

    /// A key for one of them.
    pub fn key(&mut self, place: usize, event: KeyEvent) {
        if let Some(field) = self.all.get_mut(place) {
            field.key(event);
        }
        self.check();
    }

    /// Pasted text for one of them.
    ///
    /// # Errors
    /// The field cannot hold it, and why: nothing was put in.
    pub fn paste(&mut self, place: usize, pasted: &str) -> Result<(), String> {
        let put_in = self.all.get_mut(place).map_or(Ok(()), |field| field.paste(pasted));
        self.check();
        put_in
    }

    /// Checks them to be sent.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn try_to_send(&mut self) -> Result<(), usize> {
        self.tried = true;
        self.check();
        self.all.iter().position(|field| field.mistake().is_some()).map_or(Ok(()), Err)
    }

    fn check(&mut self) {
        if self.tried {
            self.all.iter_mut().for_each(Field::check);
        }
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    #[test]
    fn each_key_means_one_thing() {
        let mut keys: Vec<Key> = Vec::new();
        for (meant, shown, others) in KEYS {
            assert_eq!(super::shown(*meant), *shown);
            for name in std::iter::once(shown).chain(*others) {
                let key = name.parse().unwrap();
                assert!(!keys.contains(&key), "{name} means two things");
                keys.push(key);
            }
        }
    }

    /// As crossterm reads ESC CR.
    #[test]
    fn alt_and_enter_begin_a_line_where_the_terminal_sends_them() {
        assert_eq!(meant(KeyEvent::new(KeyCode::Enter, KeyModifiers::ALT)), Some(Meant::NewLine));
        assert_eq!(meant(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)), Some(Meant::Enter));
        assert_eq!(meant(KeyEvent::new(KeyCode::Char('d'), KeyModifiers::NONE)), None);
    }

    #[test]
    fn choices_go_round() {
        let choices = ["a", "b", "c"].map(str::to_owned);
        let after = |now: &str| turned_choice(&choices, now, false).unwrap();
        let before = |now: &str| turned_choice(&choices, now, true).unwrap();
        assert_eq!([after("a"), after("c"), after("?")], ["b", "a", "a"]);
        assert_eq!([before("a"), before("c"), before("?")], ["c", "b", "c"]);
        assert_eq!(turned_choice(&[], "a", true), None);
    }
}
