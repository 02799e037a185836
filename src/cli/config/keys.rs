//! `[keys]`: which key does what.

use std::collections::BTreeMap;

use toml::de::DeTable;

use crate::console::actions::{Action, TABLE};
use crate::console::keymap::Keymap;
use crate::console::keys::Key;
use crate::plan::suggest;

use super::section::{Reader, texts};

pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Keymap {
    let mut changes = BTreeMap::new();
    for (name, value) in table {
        let word: &str = name.get_ref();
        let Some(entry) = TABLE.iter().find(|entry| entry.name == word) else {
            let names = TABLE.iter().map(|entry| entry.name);
            let near = suggest(word, names).map_or_else(
                || "`holdpoint config` lists all of them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader.wrong(&name.span(), format!("there is no action `{word}`: {near}"));
            continue;
        };
        let line = reader.line(name.span().start);
        reader.lines.insert(format!("keys.{word}"), line);
        let Some(words) = texts(value) else {
            reader.wrong(&value.span(), format!("the keys of `{word}` are to be a text or a list of texts"));
            continue;
        };
        let mut keys: Vec<Key> = Vec::new();
        // `""` takes the key away.
        for (word, at) in words.into_iter().filter(|(word, _)| !word.is_empty()) {
            let key = word.parse::<Key>().map_err(|unknown| match Key::near(&word) {
                Some(near) => format!("{unknown}; did you mean `{near}`?"),
                None => unknown.to_string(),
            });
            match key {
                _ if word == "Ctrl-z" => {
                    reader.wrong(&at, "`Ctrl-z` puts the console to the background, whatever is configured".into());
                }
                Ok(key) => keys.push(key),
                Err(what) => reader.wrong(&at, what),
            }
        }
        if entry.action == Action::Quit && keys.is_empty() {
            reader.wrong(&value.span(), "`quit` needs a key: there would be no way out".into());
        }
        changes.insert(entry.name, keys);
    }
    let keymap = Keymap::with(&changes);
    for conflict in keymap.conflicts() {
        let [first, second] = conflict.actions;
        // Said where the later of the two was given its key.
        let line = conflict.actions.iter().filter_map(|name| reader.lines.get(&format!("keys.{name}"))).max().copied();
        let what = format!("`{}` would be the key of `{first}` and of `{second}` in the same place", conflict.key);
        reader.problems.push((line.unwrap_or(1), what));
    }
    keymap
}
