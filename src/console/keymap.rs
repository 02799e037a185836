//! Which key does what: the table's keys, and what the operator has made of them. Whatever shows a key takes it from here.

use std::collections::BTreeMap;

use super::actions::{ALTERNATIVES, Action, Entry, TABLE};
use super::keys::Key;

/// The keys of every action.
#[derive(Debug, Clone)]
pub struct Keymap {
    /// In the order of the table.
    keys: Vec<Vec<(Key, String)>>,
}

/// Two actions that would share a key in a place where both work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: String,
    /// The two, as they stand in the table.
    pub actions: [&'static str; 2],
}

impl Default for Keymap {
    fn default() -> Self {
        // Every key of the table is one: a test parses them.
        let named = |name: &&str| Some((name.parse().ok()?, (*name).to_owned()));
        Self { keys: TABLE.iter().map(|entry| entry.keys.iter().filter_map(named).collect()).collect() }
    }
}

impl Keymap {
    /// The table's keys, with other ones for some actions; none for an action that is to have no key.
    pub fn with(changes: &BTreeMap<&'static str, Vec<Key>>) -> Self {
        let mut keymap = Self::default();
        for (entry, keys) in TABLE.iter().zip(&mut keymap.keys) {
            if let Some(changed) = changes.get(entry.name) {
                *keys = changed.iter().map(|key| (*key, key.to_string())).collect();
            }
        }
        keymap
    }

    /// The keys that would mean two things in one place. Actions of which only one is possible at a time may share a key.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        for (place, (first, keys)) in TABLE.iter().zip(&self.keys).enumerate() {
            for (second, others) in TABLE.iter().zip(&self.keys).skip(place + 1) {
                let meet = first.scope.covers(second.scope) || second.scope.covers(first.scope);
                let together = |group: &&[Action]| group.contains(&first.action) && group.contains(&second.action);
                if !meet || ALTERNATIVES.iter().any(together) {
                    continue;
                }
                for (key, name) in keys {
                    if others.iter().any(|(other, _)| other == key) {
                        found.push(Conflict { key: name.clone(), actions: [first.name, second.name] });
                    }
                }
            }
        }
        found
    }

    /// The actions of a key, in the order of the table.
    pub fn actions(&self, key: Key) -> impl Iterator<Item = &'static Entry> {
        let has = move |keys: &Vec<(Key, String)>| keys.iter().any(|(one, _)| *one == key);
        TABLE.iter().zip(&self.keys).filter(move |(_, keys)| has(keys)).map(|(entry, _)| entry)
    }

    /// The names of an action's keys; the first one is shown where there is room for one.
    pub fn names(&self, action: Action) -> Vec<&str> {
        let keys = TABLE.iter().position(|entry| entry.action == action).and_then(|place| self.keys.get(place));
        keys.into_iter().flatten().map(|(_, name)| name.as_str()).collect()
    }

    /// The key to show for an action; nothing for one without a key.
    pub fn shown(&self, action: Action) -> &str {
        let keys = TABLE.iter().position(|entry| entry.action == action).and_then(|place| self.keys.get(place));
        keys.and_then(|keys| keys.first()).map_or("", |(_, name)| name.as_str())
    }

    /// A sentence with the keys of actions in it, which it names in braces: `{back} goes back`. An action without a key is found in the palette.
    pub fn fill(&self, said: &str) -> String {
        let mut filled = String::with_capacity(said.len());
        let mut rest = said;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            filled.push_str(before);
            let named =
                after.find('}').and_then(|end| Some((end, TABLE.iter().find(|one| one.name == &after[1..end])?)));
            match named {
                Some((end, entry)) => {
                    match self.shown(entry.action) {
                        "" => filled.push_str(&format!("`{}` in the palette", entry.name.replace('-', " "))),
                        key => filled.push_str(key),
                    }
                    rest = &after[end + 1..];
                }
                None => {
                    filled.push('{');
                    rest = &after[1..];
                }
            }
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changes: &[(&'static str, &[&str])]) -> Keymap {
        let keys = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Keymap::with(&changes.iter().map(|(action, names)| (*action, keys(names))).collect())
    }

    #[test]
    fn a_key_means_one_thing_at_a_time() {
        assert_eq!(Keymap::default().conflicts(), []);
    }

    /// What tmux and screen take for themselves, what stops or starts a terminal's output, what every program is stopped or ended with, and what no
    /// terminal can tell from Tab, Enter, Backspace or a new line. Ctrl-c is the one that is ours to answer.
    #[test]
    fn no_key_is_one_that_a_terminal_or_a_multiplexer_takes() {
        let taken = ["b", "a", "s", "q", "z", "\\", "i", "m", "h", "j"];
        for entry in super::super::actions::TABLE {
            for key in entry.keys {
                let key: Key = key.parse().unwrap();
                for letter in taken {
                    assert_ne!(Ok(key), format!("Ctrl-{letter}").parse(), "{}", entry.name);
                }
                assert!(!key.to_string().contains("Alt-"), "{}: Alt is sent as Esc over many lines", entry.name);
            }
        }
        // The keys that forms show.
        for (meant, shown, _) in super::super::forms::KEYS {
            let is_taken = |letter: &str| shown.parse::<Key>() == format!("Ctrl-{letter}").parse();
            assert!(!taken.into_iter().any(is_taken), "{meant:?}");
            assert!(!shown.contains("Alt-"), "{meant:?}");
        }
    }

    #[test]
    fn a_key_that_would_mean_two_things_is_a_conflict_only_where_both_work() {
        let found = with(&[("skip", &["r"])]).conflicts();
        assert_eq!(found, [Conflict { key: "r".into(), actions: ["retry", "skip"] }]);
        // Other places, and actions of which one is possible at a time.
        assert_eq!(with(&[("zoom-in", &["s"]), ("approve", &["F2"]), ("release", &["F2"])]).conflicts(), []);
        assert_eq!(with(&[("retry", &["s"]), ("skip", &["r"])]).conflicts(), []);
    }

    #[test]
    fn sentences_have_the_keys_that_there_are() {
        let keymap = with(&[("back", &["Backspace"]), ("why", &[])]);
        assert_eq!(keymap.fill("{back} goes back; {filter} finds {one}"), "Backspace goes back; / finds {one}");
        assert_eq!(keymap.fill("{why} says"), "`why` in the palette says");
        assert_eq!((keymap.shown(Action::Back), keymap.shown(Action::Why)), ("Backspace", ""));
    }
}
