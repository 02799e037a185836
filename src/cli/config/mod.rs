//! The operator's configuration: a TOML file with what holds for every run, every console and the command line. What is wrong with it is said
//! with file, line and the nearest name, all at once.
//!
//! `section` reads a table of it, `hooks` has alerts and hooks, `keys` the keys of the console.

mod hooks;
mod keys;
mod section;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use etcetera::BaseStrategy;
use serde_json::Value;
use toml::de::DeTable;

use crate::console::actions::TABLE;
use crate::console::keymap::Keymap;
use crate::console::notify::Notifications;
use crate::console::theme::ThemeName;
use crate::engine::hooks::Hook;
use crate::run::{AlertRules, Durability, MAX_PARALLEL_LIMIT};

use super::failure::Failure;
use hooks::Configured;
use section::Reader;

/// Nobody is away for longer, in minutes: a week.
const LONGEST_AWAY: u32 = 7 * 24 * 60;

/// A value by its full name.
pub type Setting = (String, Value);

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

/// What is configured.
#[derive(Debug, Clone, Default)]
pub struct Config {
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
    /// What is told by alerts.
    pub alerts: AlertRules,
    /// Who is told what happens.
    hooks: Vec<Configured>,
    /// The lines of what was said, by full name.
    lines: BTreeMap<String, usize>,
}

impl Config {
    /// Reads the file that is given, else the one in the user's folder for configuration, if there is one.
    ///
    /// # Errors
    /// A file that was given is not there, or what is in it is wrong.
    pub fn read(given: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = given.map(Path::to_owned).or_else(usual) else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { file: Some(path), ..Self::default() });
            }
            Err(error) => {
                let shown = path.display();
                return Err(Failure::usage(format!("the configuration {shown} cannot be read: {error}")));
            }
            Ok(text) => text,
        };
        match Self::parse(&text) {
            Ok(read) => Ok(Self { file: Some(path), is_there: true, ..read }),
            Err(problems) => Err(wrong(&path, &problems)),
        }
    }

    /// What a text says, or what is wrong with it, each with its line.
    fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut reader = Reader::new(text);
        let table = DeTable::parse(text).map_err(|error| {
            vec![(reader.line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', ", "))]
        })?;
        let mut found = read(&mut reader, table.get_ref());
        if !reader.problems.is_empty() {
            reader.problems.sort_by_key(|(line, _)| *line);
            return Err(reader.problems);
        }
        found.lines = reader.lines;
        Ok(found)
    }

    /// The hooks, for use: with what signs what they send.
    ///
    /// # Errors
    /// An environment variable that is to sign is not set.
    pub fn hooks(&self) -> Result<Vec<Hook>, Failure> {
        self.signed(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .map_err(|problems| wrong(self.file.as_deref().unwrap_or(Path::new("")), &problems))
    }

    fn signed(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Hook>, Vec<(usize, String)>> {
        let (mut hooks, mut problems) = (Vec::new(), Vec::new());
        for hook in &self.hooks {
            match hook.signed(environment) {
                Ok(hook) => hooks.push(hook),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(hooks) } else { Err(problems) }
    }

    /// Where a value of the file comes from, by its full name.
    pub fn source(&self, name: &str) -> Source {
        let place = |line: &usize| {
            let file = self.file.as_deref().unwrap_or(Path::new("config.toml"));
            Source::File(format!("{}:{line}", file.display()))
        };
        self.lines.get(name).map_or(Source::Default, place)
    }

    /// What stands in the file alone, table by table.
    pub fn settings(&self) -> Vec<Setting> {
        let Notifications { bell, osc9, title, command, away } = &self.notifications;
        let mut found: Vec<Setting> = vec![
            ("theme.name".into(), self.theme.map_or("auto", ThemeName::as_str).into()),
            ("theme.ascii".into(), self.ascii.map_or("auto".into(), Value::from)),
            ("notifications.bell".into(), (*bell).into()),
            ("notifications.osc9".into(), (*osc9).into()),
            ("notifications.title".into(), (*title).into()),
            // `""` is none.
            ("notifications.command".into(), command.clone().map_or("".into(), Value::from)),
            ("notifications.away_minutes".into(), away.num_minutes().into()),
        ];
        found.extend(hooks::alert_settings(&self.alerts));
        found.extend(TABLE.iter().map(|entry| {
            let value = match self.keys.names(entry.action).as_slice() {
                [] => "".into(),
                [one] => (*one).into(),
                many => many.to_vec().into(),
            };
            (format!("keys.{}", entry.name), value)
        }));
        found.extend((1..).zip(&self.hooks).flat_map(|(number, hook)| hook.settings(number)));
        found
    }
}

fn wrong(file: &Path, problems: &[(usize, String)]) -> Failure {
    let shown = file.display();
    let lines: Vec<String> = problems.iter().map(|(line, what)| format!("{shown}:{line}: {what}")).collect();
    Failure::usage(lines.join("\n"))
}

/// Where the configuration lies unless it is said otherwise.
fn usual() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("holdpoint").join("config.toml"))
}

fn read(reader: &mut Reader<'_>, top: &DeTable<'_>) -> Config {
    let mut found = Config::default();
    let mut all = reader.top(top);
    let [keys, theme, notifications, defaults, alerts] =
        ["keys", "theme", "notifications", "defaults", "alerts"].map(|name| all.table(name));
    let hooks = all.tables("hooks");
    all.end();
    let named = |name: &str| (format!("[{name}]"), format!("{name}."));

    let (shown, prefix) = named("theme");
    let mut section = reader.section(theme, shown, prefix);
    let is_theme = |name: &str| match name {
        "auto" => Ok(None),
        name => name.parse().map(Some).map_err(|wrong: String| format!("{wrong}; auto asks the terminal")),
    };
    let is_text = |name| format!("`{name}` is to be a text");
    found.theme = section.read("name", |value| is_theme(value.as_str().ok_or_else(|| is_text("name"))?)).flatten();
    let is_ascii = |value: &toml::de::DeValue<'_>| match (value.as_bool(), value.as_str()) {
        (Some(said), _) => Ok(Some(said)),
        (None, Some("auto")) => Ok(None),
        (None, _) => Err("`ascii` is to be true, false or \"auto\"".to_owned()),
    };
    found.ascii = section.read("ascii", is_ascii).flatten();
    section.end();

    let (shown, prefix) = named("notifications");
    let mut section = reader.section(notifications, shown, prefix);
    let usual = Notifications::default();
    found.notifications = Notifications {
        bell: section.yes_or_no("bell").unwrap_or(usual.bell),
        osc9: section.yes_or_no("osc9").unwrap_or(usual.osc9),
        title: section.yes_or_no("title").unwrap_or(usual.title),
        command: told(section.command("command")),
        away: section.whole("away_minutes", 0..=LONGEST_AWAY).map_or(usual.away, |of| TimeDelta::minutes(of.into())),
    };
    section.end();

    let (shown, prefix) = named("defaults");
    let mut section = reader.section(defaults, shown, prefix);
    found.user = section.filled("user");
    found.plans = section.filled("plans").map(PathBuf::from);
    found.checkpoints = section.filled("checkpoints").map(PathBuf::from);
    found.durability = section.read("durability", |value| match value.as_str() {
        Some("full") => Ok(Durability::Full),
        Some("relaxed") => Ok(Durability::Relaxed),
        Some(other) => Err(format!("`durability` is full or relaxed, not `{other}`")),
        None => Err(is_text("durability")),
    });
    found.max_parallel = section.whole("max_parallel", 1..=MAX_PARALLEL_LIMIT);
    found.mouse = section.yes_or_no("mouse");
    section.end();

    let (shown, prefix) = named("alerts");
    found.alerts = hooks::alerts(reader.section(alerts, shown, prefix));
    for (number, table) in (1..).zip(hooks) {
        found.hooks.extend(hooks::hook(reader, table, number));
    }
    found.keys = keys.map_or_else(Keymap::default, |table| keys::read(reader, table));
    found
}

/// The command that is told: the text comes behind it, for a line of the shell as `$1`.
fn told(command: Option<crate::plan::CommandLine>) -> Option<Vec<String>> {
    use crate::plan::CommandLine;
    match command? {
        CommandLine::Shell(line) if line.is_empty() => None,
        CommandLine::Shell(line) => Some(["/bin/sh", "-c", &line, "sh"].map(str::to_owned).to_vec()),
        CommandLine::Argv(words) => Some(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::actions::Action;

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
away_minutes = 20

[defaults]
user = "ann"
durability = "relaxed"
max_parallel = 8
plans = "ops/plans"
mouse = false

[[hooks]]
on = "alert"
command = "cat >> log"
"#;
        let found = Config::parse(text).unwrap();
        assert_eq!(found.keys.names(Action::Pause), ["F2", "Ctrl-p"]);
        assert_eq!((found.keys.shown(Action::Why), found.keys.shown(Action::Skip)), ("", "s"));
        assert_eq!((found.theme, found.ascii), (Some(ThemeName::HighContrast), Some(true)));
        assert!(!found.notifications.bell && found.notifications.osc9);
        assert_eq!(found.notifications.away, TimeDelta::minutes(20));
        assert_eq!(found.notifications.command.as_deref().unwrap(), ["notify-send", "Holdpoint"]);
        assert_eq!((found.user.as_deref(), found.max_parallel), (Some("ann"), Some(8)));
        assert_eq!((found.durability, found.mouse), (Some(Durability::Relaxed), Some(false)));
        assert_eq!(found.source("defaults.user"), Source::File("config.toml:18".into()));
        assert_eq!(found.source("defaults.checkpoints"), Source::Default);
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
[notifications]
away_minutes = "long"
"#;
        let said = Config::parse(text).unwrap_err();
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
            "15: `away_minutes` is to be a whole number from 0 to 10080",
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for line in expected {
            let same =
                |one: &String| one == line || (line.contains("from 1 to") && one.starts_with("12: `max_parallel`"));
            assert!(said.iter().any(same), "{line} is missing: {said:#?}");
        }
    }
}
