//! What the operator's configuration says about the console and about the defaults of the command line: `[keys]`, `[theme]`, `[notifications]` and
//! `[defaults]` of a TOML file. What is wrong with it is said with file, line and the nearest name, all at once.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::console::actions::{Action, TABLE};
use crate::console::keymap::Keymap;
use crate::console::keys::Key;
use crate::console::notify::Notifications;
use crate::console::theme::ThemeName;
use crate::plan::suggest;
use crate::run::{Durability, MAX_PARALLEL_LIMIT};

use super::failure::Failure;

/// The tables of the file that are read here.
pub(super) const TABLES: [&str; 4] = ["keys", "theme", "notifications", "defaults"];
/// The tables of the file that others read.
const OTHERS: [&str; 2] = ["alerts", "hooks"];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody has said anything else.
    Default,
    /// A line of the configuration, as `file:line`.
    File(String),
    /// An environment variable.
    Environment(&'static str),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => out.write_str("default"),
            Source::File(place) => out.write_str(place),
            Source::Environment(name) => write!(out, "${name}"),
            Source::Flag(name) => out.write_str(name),
        }
    }
}

/// What is preferred.
#[derive(Debug, Clone, Default)]
pub struct Preferences {
    /// The file, whether or not it is there; none where there is no folder for it.
    pub file: Option<PathBuf>,
    /// Whether it is there.
    pub is_there: bool,
    /// Which key does what.
    pub keys: Keymap,
    /// The theme; `None` asks the terminal.
    pub theme: Option<ThemeName>,
    /// Only ASCII is drawn, or not, whatever the locale says.
    pub ascii: Option<bool>,
    /// How operators are told.
    pub notifications: Notifications,
    /// Who acts.
    pub user: Option<String>,
    /// How durable journals are.
    pub durability: Option<Durability>,
    /// How many steps may run at the same time, where neither plan nor command line says.
    pub max_parallel: Option<u32>,
    /// The mouse is the console's from the start on, or the terminal's.
    pub mouse: Option<bool>,
    /// Where plans are looked for.
    pub plans: Option<PathBuf>,
    /// Where runs lie.
    pub checkpoints: Option<PathBuf>,
    /// The lines of what was said, by table and name.
    lines: BTreeMap<(&'static str, &'static str), usize>,
}

impl Preferences {
    /// Reads the file that is given, else the one in the user's folder for configuration, if there is one.
    ///
    /// # Errors
    /// A file that was given is not there, or what is in it is wrong.
    pub fn read(given: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = given.map(Path::to_owned).or_else(usual) else { return Ok(Self::default()) };
        let shown = path.to_string_lossy().into_owned();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { file: Some(path), ..Self::default() });
            }
            Err(error) => return Err(Failure::usage(format!("the configuration {shown} cannot be read: {error}"))),
            Ok(text) => text,
        };
        let read = Self::parse(&text).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(|(line, what)| format!("{shown}:{line}: {what}")).collect();
            Failure::usage(lines.join("\n"))
        })?;
        Ok(Self { file: Some(path), is_there: true, ..read })
    }

    /// What a text says, or what is wrong with it, each with its line.
    fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let line_of = |place: usize| text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            vec![(line_of(error.span().map_or(0, |span| span.start)), error.message().replace('\n', ", "))]
        })?;
        let mut reader = Reader { line_of: &line_of, problems: Vec::new(), lines: BTreeMap::new() };
        let mut found = reader.read(table.get_ref());
        if !reader.problems.is_empty() {
            reader.problems.sort_by_key(|(line, _)| *line);
            return Err(reader.problems);
        }
        found.lines = reader.lines;
        Ok(found)
    }

    /// Where a value of the file comes from.
    pub fn source(&self, table: &'static str, name: &'static str) -> Source {
        let line = self.lines.get(&(table, name));
        let place = |line: &usize| {
            let file = self.file.as_deref().unwrap_or(Path::new("config.toml"));
            Source::File(format!("{}:{line}", file.display()))
        };
        line.map_or(Source::Default, place)
    }

    /// The tables that stand in the file alone: table, name, value.
    pub fn settings(&self) -> Vec<(&'static str, &'static str, Value)> {
        let Notifications { bell, osc9, title, command } = &self.notifications;
        let mut found = vec![
            ("theme", "name", self.theme.map_or("auto", ThemeName::as_str).into()),
            ("theme", "ascii", self.ascii.map_or("auto".into(), Value::from)),
            ("notifications", "bell", (*bell).into()),
            ("notifications", "osc9", (*osc9).into()),
            ("notifications", "title", (*title).into()),
            ("notifications", "command", command.clone().unwrap_or_default().into()),
        ];
        found.extend(TABLE.iter().map(|entry| {
            let value = match self.keys.names(entry.action).as_slice() {
                [] => "".into(),
                [one] => (*one).into(),
                many => many.to_vec().into(),
            };
            ("keys", entry.name, value)
        }));
        found
    }
}

/// Where the configuration lies unless it is said otherwise.
fn usual() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("holdpoint").join("config.toml"))
}

/// Reads the tables, and keeps what is wrong.
struct Reader<'l> {
    line_of: &'l dyn Fn(usize) -> usize,
    problems: Vec<(usize, String)>,
    lines: BTreeMap<(&'static str, &'static str), usize>,
}

type Entries<'a> = Option<&'a DeTable<'a>>;

impl Reader<'_> {
    fn wrong(&mut self, at: &Range<usize>, what: String) {
        self.problems.push(((self.line_of)(at.start), what));
    }

    fn read<'a>(&mut self, top: &'a DeTable<'a>) -> Preferences {
        let mut found = Preferences::default();
        let known = ["keys", "theme", "notifications", "defaults"];
        for (key, _) in top.iter().filter(|(key, _)| !known.iter().chain(&OTHERS).any(|one| key.get_ref() == *one)) {
            let what = format!("`{}` is not known", key.get_ref());
            self.wrong(&key.span(), unknown(&what, key.get_ref(), known.into_iter().chain(OTHERS)));
        }
        let theme = self.table(top, "theme", &["name", "ascii"]);
        let is_theme = |name: &str| match name {
            "auto" => Ok(None),
            name => name.parse().map(Some).map_err(|wrong: String| format!("{wrong}; auto asks the terminal")),
        };
        found.theme =
            self.text(theme, "theme", "name").and_then(|(name, at)| self.taken(is_theme(&name), &at)).flatten();
        let ascii = self.value(theme, "theme", "ascii");
        found.ascii = ascii.filter(|value| value.get_ref().as_str() != Some("auto")).and_then(|value| {
            let wrong = || "`ascii` is to be true, false or \"auto\"".to_owned();
            self.taken(value.get_ref().as_bool().ok_or_else(wrong), &value.span())
        });
        let table = self.table(top, "notifications", &["bell", "osc9", "title", "command"]);
        let usual = Notifications::default();
        found.notifications = Notifications {
            bell: self.yes_or_no(table, "notifications", "bell").unwrap_or(usual.bell),
            osc9: self.yes_or_no(table, "notifications", "osc9").unwrap_or(usual.osc9),
            title: self.yes_or_no(table, "notifications", "title").unwrap_or(usual.title),
            command: self.command(table),
        };
        let table =
            self.table(top, "defaults", &["user", "durability", "max_parallel", "plans", "checkpoints", "mouse"]);
        let some = |reader: &mut Self, name| {
            let (text, at) = reader.text(table, "defaults", name)?;
            let filled = if text.trim().is_empty() { Err(format!("`{name}` is empty")) } else { Ok(text) };
            reader.taken(filled, &at)
        };
        found.user = some(self, "user");
        found.plans = some(self, "plans").map(PathBuf::from);
        found.checkpoints = some(self, "checkpoints").map(PathBuf::from);
        let is_durability = |word: &str| match word {
            "full" => Ok(Durability::Full),
            "relaxed" => Ok(Durability::Relaxed),
            other => Err(format!("`durability` is full or relaxed, not `{other}`")),
        };
        found.durability =
            self.text(table, "defaults", "durability").and_then(|(word, at)| self.taken(is_durability(&word), &at));
        found.max_parallel = self.parallel(table);
        found.mouse = self.yes_or_no(table, "defaults", "mouse");
        found.keys = self.keys(top);
        found
    }

    fn keys<'a>(&mut self, top: &'a DeTable<'a>) -> Keymap {
        let Some(table) = self.find(top, "keys") else { return Keymap::default() };
        let mut changes = BTreeMap::new();
        for (name, value) in table {
            let word: &str = name.get_ref();
            let Some(entry) = TABLE.iter().find(|entry| entry.name == word) else {
                let names = TABLE.iter().map(|entry| entry.name);
                let near = suggest(word, names).map_or_else(
                    || "`holdpoint config` lists all of them".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.wrong(&name.span(), format!("there is no action `{word}`: {near}"));
                continue;
            };
            self.lines.insert(("keys", entry.name), (self.line_of)(name.span().start));
            let Some(words) = texts(value) else {
                self.wrong(&value.span(), format!("the keys of `{word}` are to be a text or a list of texts"));
                continue;
            };
            let mut keys: Vec<Key> = Vec::new();
            // `""` takes the key away.
            for (word, at) in words.into_iter().filter(|(word, _)| !word.is_empty()) {
                let key = word.parse::<Key>().map_err(|unknown| match Key::near(&word) {
                    Some(near) => format!("{unknown}; did you mean `{near}`?"),
                    None => unknown.to_string(),
                });
                if word == "Ctrl-z" {
                    self.wrong(&at, "`Ctrl-z` puts the console to the background, whatever is configured".into());
                } else if let Some(key) = self.taken(key, &at) {
                    keys.push(key);
                }
            }
            if entry.action == Action::Quit && keys.is_empty() {
                self.wrong(&value.span(), "`quit` needs a key: there would be no way out".into());
            }
            changes.insert(entry.name, keys);
        }
        let keymap = Keymap::with(&changes);
        for conflict in keymap.conflicts() {
            let [first, second] = conflict.actions;
            // Said where the later of the two was given its key.
            let line = conflict.actions.iter().filter_map(|name| self.lines.get(&("keys", name))).max().copied();
            let what = format!("`{}` would be the key of `{first}` and of `{second}` in the same place", conflict.key);
            self.problems.push((line.unwrap_or(1), what));
        }
        keymap
    }

    fn find<'a>(&mut self, top: &'a DeTable<'a>, name: &'static str) -> Entries<'a> {
        let (_, value) = top.iter().find(|(key, _)| key.get_ref() == name)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(&value.span(), format!("`{name}` is to be a table: [{name}]"));
        }
        table
    }

    /// A table of which all names are known.
    fn table<'a>(&mut self, top: &'a DeTable<'a>, name: &'static str, known: &[&'static str]) -> Entries<'a> {
        let table = self.find(top, name)?;
        for (key, _) in table.iter().filter(|(key, _)| !known.iter().any(|one| key.get_ref() == *one)) {
            let what = format!("`{}` is not known in [{name}]", key.get_ref());
            self.wrong(&key.span(), unknown(&what, key.get_ref(), known.iter().copied()));
        }
        Some(table)
    }

    fn value<'a>(
        &mut self,
        table: Entries<'a>,
        section: &'static str,
        name: &'static str,
    ) -> Option<&'a Spanned<DeValue<'a>>> {
        let (key, value) = table?.iter().find(|(key, _)| key.get_ref() == name)?;
        self.lines.insert((section, name), (self.line_of)(key.span().start));
        Some(value)
    }

    fn taken<T>(&mut self, read: Result<T, String>, at: &Range<usize>) -> Option<T> {
        read.map_err(|what| self.wrong(at, what)).ok()
    }

    fn text(
        &mut self,
        table: Entries<'_>,
        section: &'static str,
        name: &'static str,
    ) -> Option<(String, Range<usize>)> {
        let value = self.value(table, section, name)?;
        let text = value.get_ref().as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` is to be a text"));
        Some((self.taken(text, &value.span())?, value.span()))
    }

    fn yes_or_no(&mut self, table: Entries<'_>, section: &'static str, name: &'static str) -> Option<bool> {
        let value = self.value(table, section, name)?;
        let wrong = || format!("`{name}` is to be true or false");
        self.taken(value.get_ref().as_bool().ok_or_else(wrong), &value.span())
    }

    /// A program and its arguments; one text is a line for the shell.
    fn command(&mut self, table: Entries<'_>) -> Option<Vec<String>> {
        let value = self.value(table, "notifications", "command")?;
        let words = texts(value).ok_or_else(|| "`command` is to be a text or a list of texts".to_owned());
        let words: Vec<String> = self.taken(words, &value.span())?.into_iter().map(|(word, _)| word).collect();
        match words.as_slice() {
            [] => None,
            [line] if value.get_ref().is_str() && line.is_empty() => None,
            // What is to be said comes behind it, as `$1`.
            [line] if value.get_ref().is_str() => Some(["/bin/sh", "-c", line, "sh"].map(str::to_owned).to_vec()),
            _ => Some(words),
        }
    }

    fn parallel(&mut self, table: Entries<'_>) -> Option<u32> {
        let value = self.value(table, "defaults", "max_parallel")?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok());
        let allowed = number.filter(|number| (1..=MAX_PARALLEL_LIMIT).contains(number));
        let wrong = || format!("`max_parallel` is to be a whole number from 1 to {MAX_PARALLEL_LIMIT}");
        self.taken(allowed.ok_or_else(wrong), &value.span())
    }
}

/// A text, or a list of texts.
fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    let one = |value: &Spanned<DeValue<'_>>| Some((value.get_ref().as_str()?.to_owned(), value.span()));
    match value.get_ref().as_array() {
        Some(list) => list.iter().map(one).collect(),
        None => Some(vec![one(value)?]),
    }
}

fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match suggest(word, known.iter().copied()) {
        Some(near) => format!("{what}: did you mean `{near}`?"),
        None => format!("{what}: there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file() {
        let text = r#"
[keys]
pause = ["F2", "Ctrl-p"]
resume = "F2"
start = "F2"
why = ""

[theme]
name = "high-contrast"
ascii = true

[notifications]
bell = false
command = ["notify-send", "Holdpoint"]

[defaults]
user = "ann"
durability = "relaxed"
max_parallel = 8
plans = "ops/plans"
mouse = false

[[hooks]]
on = "anything: read by others"
"#;
        let found = Preferences::parse(text).unwrap();
        assert_eq!(found.keys.names(Action::Pause), ["F2", "Ctrl-p"]);
        assert_eq!((found.keys.shown(Action::Why), found.keys.shown(Action::Skip)), ("", "s"));
        assert_eq!((found.theme, found.ascii), (Some(ThemeName::HighContrast), Some(true)));
        assert!(!found.notifications.bell && found.notifications.osc9);
        assert_eq!(found.notifications.command.as_deref().unwrap(), ["notify-send", "Holdpoint"]);
        assert_eq!((found.user.as_deref(), found.max_parallel), (Some("ann"), Some(8)));
        assert_eq!(found.mouse, Some(false));
        assert_eq!(found.durability, Some(Durability::Relaxed));
        assert_eq!(found.source("defaults", "user"), Source::File("config.toml:17".into()));
        assert_eq!(found.source("defaults", "checkpoints"), Source::Default);
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_line() {
        let text = r#"[them]
[keys]
paus = "F2"
skip = "r"
retry = ["r", "Cntrl-x"]
quit = ""
[theme]
name = "solarized"
asci = true
[defaults]
durability = "some"
max_parallel = 0
user = 3
"#;
        let said = Preferences::parse(text).unwrap_err();
        let said: Vec<String> = said.iter().map(|(line, what)| format!("{line}: {what}")).collect();
        let expected = [
            "1: `them` is not known: did you mean `theme`?",
            "3: there is no action `paus`: did you mean `pause`?",
            "5: `Cntrl-x` is not the name of a key; names are like `p`, `R`, `Ctrl-d`, `Shift-Tab`, `PgDn`, `F1`; did you mean `Ctrl-x`?",
            "5: `r` would be the key of `retry` and of `skip` in the same place",
            "6: `quit` needs a key: there would be no way out",
            "8: there is no theme \"solarized\"; there are dark, light and high-contrast; auto asks the terminal",
            "9: `asci` is not known in [theme]: did you mean `ascii`?",
            "11: `durability` is full or relaxed, not `some`",
            "12: `max_parallel` is to be a whole number from 1 to 64",
            "13: `user` is to be a text",
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for line in expected {
            let same =
                |one: &String| one == line || (line.contains("from 1 to") && one.starts_with("12: `max_parallel`"));
            assert!(said.iter().any(same), "{line} is missing: {said:#?}");
        }
    }
}
