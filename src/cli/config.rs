//! The configuration: a TOML file with what holds for every run. What is wrong with it is said with file, line and the nearest name, all at once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use etcetera::BaseStrategy;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::engine::hooks::{Hook, Kind, Target};
use crate::plan::{CommandLine, suggest};
use crate::run::AlertRules;

use super::failure::Failure;

/// How long one try of a hook may take, in seconds, unless it is said otherwise.
const TIMEOUT: f64 = 10.0;
/// How often a webhook is tried again. A command is not, unless that is said: it may have done something before it failed.
const RETRIES: u32 = 5;

/// What is configured.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What is told by alerts.
    pub alerts: AlertRules,
    /// Who is told what happens.
    pub hooks: Vec<Hook>,
}

/// Looks an environment variable up.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads the file that is given, else the one in the user's folder for configuration, if there is one. Without `secrets`, its hooks are not for
    /// use: what signs what they send is not looked for.
    ///
    /// # Errors
    /// A file that was given is not there, or what is in it is wrong.
    pub fn read(given: Option<&Path>, secrets: bool) -> Result<Self, Failure> {
        let Some(path) = given.map(Path::to_owned).or_else(usual) else { return Ok(Self::default()) };
        let shown = path.to_string_lossy().into_owned();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::usage(format!("the configuration {shown} cannot be read: {error}"))),
            Ok(text) => text,
        };
        let environment = |name: &str| match secrets {
            true => std::env::var(name).ok().filter(|value| !value.is_empty()),
            false => Some(String::new()),
        };
        Self::parse(&text, &environment).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(|(line, what)| format!("{shown}:{line}: {what}")).collect();
            Failure::usage(lines.join("\n"))
        })
    }

    /// What a text says, or what is wrong with it, each with its line.
    fn parse(text: &str, environment: Environment<'_>) -> Result<Self, Vec<(usize, String)>> {
        let line_of =
            |place: usize| text.as_bytes()[..place.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            vec![(line, error.message().replace('\n', ", "))]
        })?;
        let mut problems = Vec::new();
        let config = read(table.get_ref(), environment, &mut problems);
        if problems.is_empty() {
            return Ok(config);
        }
        problems.sort_by_key(|problem| problem.at.start);
        Err(problems.into_iter().map(|problem| (line_of(problem.at.start), problem.what)).collect())
    }
}

/// Where the configuration lies unless it is said otherwise.
fn usual() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("holdpoint").join("config.toml"))
}

fn read(table: &DeTable<'_>, environment: Environment<'_>, problems: &mut Vec<Problem>) -> Config {
    let mut config = Config::default();
    let mut top = Section::new(table, "", problems);
    let alerts = top.table("alerts");
    let hooks = top.tables("hooks");
    // Those are read where the console and the command line look for them.
    for other in super::preferences::TABLES {
        top.table(other);
    }
    top.end();
    if let Some(alerts) = alerts {
        config.alerts = read_alerts(alerts, problems);
    }
    for (number, hook) in (1..).zip(hooks) {
        config.hooks.extend(read_hook(hook, number, environment, problems));
    }
    config
}

fn read_alerts(table: &DeTable<'_>, problems: &mut Vec<Problem>) -> AlertRules {
    let usual = AlertRules::default();
    let mut section = Section::new(table, "alerts", problems);
    let window = section.seconds("window_seconds");
    let failures = section.whole("failures");
    let interventions = section.whole("interventions");
    let agents = section.yes_or_no("unhealthy_agents");
    section.end();
    AlertRules {
        window: window.and_then(|window| TimeDelta::from_std(window).ok()).unwrap_or(usual.window),
        failures: failures.unwrap_or(usual.failures),
        interventions: interventions.unwrap_or(usual.interventions),
        agents: agents.unwrap_or(usual.agents),
    }
}

fn read_hook(
    (table, at): (&DeTable<'_>, Range<usize>),
    number: usize,
    environment: Environment<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Hook> {
    let before = problems.len();
    let mut section = Section::new(table, "hooks", problems);
    let name = section.text("name").map_or_else(|| format!("{number}"), |(name, _)| name);
    let on = section.texts("on");
    let plans = section.texts("plan").into_iter().map(|(plan, _)| plan).collect();
    let command = section.command("command");
    let url = section.text("url");
    let secret = section.text("secret_env");
    let timeout = section.seconds("timeout_seconds");
    let retries = section.whole("retries");
    section.end();
    let mut wrong = |at: Range<usize>, what: String| problems.push(Problem { at, what });
    if on.is_empty() {
        wrong(at.clone(), format!("hook {name} does not say `on` what: a list of {}", names(&Kind::ALL)));
    }
    let mut kinds = BTreeSet::new();
    for (word, at) in on {
        match Kind::ALL.into_iter().find(|kind| kind.word() == word) {
            Some(kind) => drop(kinds.insert(kind)),
            None => wrong(at, unknown(&format!("hooks are not told of `{word}`"), &word, Kind::ALL.map(Kind::word))),
        }
    }
    let target = match (command, url) {
        (Some(_), Some((_, at))) => {
            wrong(at, format!("hook {name} has a command and a url: it can go to one of them"));
            None
        }
        (None, None) => {
            wrong(at, format!("hook {name} goes nowhere: it needs a `command` or a `url`"));
            None
        }
        (Some(command), None) => {
            if let Some((_, at)) = secret {
                wrong(at, "`secret_env` signs what goes to a `url`; a command has its environment".into());
            }
            Some(Target::Command(command))
        }
        (None, Some((url, at))) => {
            if !reqwest::Url::parse(&url).is_ok_and(|url| ["http", "https"].contains(&url.scheme())) {
                wrong(at, "`url` is to be an http or https URL".into());
            }
            let secret = secret.map(|(variable, at)| {
                environment(&variable).unwrap_or_else(|| {
                    wrong(at, format!("the environment variable {variable} is not set: hook {name} cannot sign"));
                    String::new()
                })
            });
            Some(Target::Webhook { url, secret })
        }
    };
    if problems.len() > before {
        return None;
    }
    let target = target?;
    let usual = if matches!(target, Target::Webhook { .. }) { RETRIES } else { 0 };
    Some(Hook {
        name,
        on: kinds,
        plans,
        target,
        timeout: timeout.unwrap_or(Duration::from_secs_f64(TIMEOUT)),
        retries: retries.unwrap_or(usual),
    })
}

fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match suggest(word, known.iter().copied()) {
        Some(near) => format!("{what}: did you mean `{near}`?"),
        None => format!("{what}: known are {}", known.join(", ")),
    }
}

/// Something that is wrong, and where.
struct Problem {
    at: Range<usize>,
    what: String,
}

/// A table that is being read: what nobody has asked for is unknown.
struct Section<'a, 'p> {
    table: &'a DeTable<'a>,
    name: &'static str,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Section<'a, 'p> {
    fn new(table: &'a DeTable<'a>, name: &'static str, problems: &'p mut Vec<Problem>) -> Self {
        Self { table, name, known: Vec::new(), problems }
    }

    fn wrong(&mut self, at: Range<usize>, what: String) {
        self.problems.push(Problem { at, what });
    }

    fn find(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(name);
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    /// A value of a type; one of another is said to be wrong.
    fn typed<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        take: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<(T, Range<usize>)> {
        let value = self.find(name)?;
        let taken = take(value.get_ref());
        if taken.is_none() {
            let found = value.get_ref().type_str();
            self.wrong(value.span(), format!("`{name}` is to be {wanted}, and is {}", article(found)));
        }
        Some((taken?, value.span()))
    }

    fn text(&mut self, name: &'static str) -> Option<(String, Range<usize>)> {
        self.typed(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A text or a list of texts.
    fn texts(&mut self, name: &'static str) -> Vec<(String, Range<usize>)> {
        let Some(value) = self.find(name) else { return Vec::new() };
        if let Some(one) = value.get_ref().as_str() {
            return vec![(one.to_owned(), value.span())];
        }
        let list = value.get_ref().as_array().map(|list| {
            list.iter().map(|one| Some((one.get_ref().as_str()?.to_owned(), one.span()))).collect::<Option<Vec<_>>>()
        });
        match list.flatten() {
            Some(list) => list,
            None => {
                self.wrong(value.span(), format!("`{name}` is to be a text or a list of texts"));
                Vec::new()
            }
        }
    }

    /// A line for the shell, or a program and its arguments.
    fn command(&mut self, name: &'static str) -> Option<CommandLine> {
        let value = self.find(name)?;
        self.known.pop();
        let words = self.texts(name);
        if value.get_ref().is_str() {
            return words.into_iter().next().map(|(line, _)| CommandLine::Shell(line));
        }
        if words.is_empty() && value.get_ref().is_array() {
            self.wrong(value.span(), format!("`{name}` is an empty list; it must name a program"));
        }
        Some(CommandLine::Argv(words.into_iter().map(|(word, _)| word).collect()))
    }

    fn whole(&mut self, name: &'static str) -> Option<u32> {
        let take = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        };
        self.typed(name, "a whole number, not less than 0", take).map(|(number, _)| number)
    }

    /// A time in seconds, more than none.
    fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        let take = |value: &DeValue<'_>| {
            let number = value.as_integer().map(|it| it.as_str()).or(value.as_float().map(|it| it.as_str()))?;
            let seconds: f64 = number.replace('_', "").parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero() && time.as_secs() < 10_000_000)
        };
        self.typed(name, "a number of seconds, more than 0", take).map(|(seconds, _)| seconds)
    }

    fn yes_or_no(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", DeValue::as_bool).map(|(value, _)| value)
    }

    fn table(&mut self, name: &'static str) -> Option<&'a DeTable<'a>> {
        self.typed(name, &format!("a table: [{name}]"), DeValue::as_table).map(|(table, _)| table)
    }

    /// A list of tables, with where each stands.
    fn tables(&mut self, name: &'static str) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let take = |value: &'a DeValue<'a>| {
            let list = value.as_array()?.iter();
            list.map(|one| Some((one.get_ref().as_table()?, one.span()))).collect::<Option<Vec<_>>>()
        };
        self.typed(name, &format!("a list of tables: [[{name}]]"), take).map(|(list, _)| list).unwrap_or_default()
    }

    /// All that is known was asked for: the rest is not known.
    fn end(self) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            let place = if self.name.is_empty() { String::new() } else { format!(" in `{}`", self.name) };
            let what = unknown(&format!("`{}` is not known{place}", key.get_ref()), key.get_ref(), self.known.clone());
            self.problems.push(Problem { at: key.span(), what });
        }
    }
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<(usize, String)>> {
        Config::parse(text, &|name| (name == "SECRET").then(|| "s3cret".to_owned()))
    }

    #[test]
    fn a_whole_file() {
        let text = r#"
[alerts]
window_seconds = 60
failures = 0
unhealthy_agents = false

[[hooks]]
name = "chat"
on = ["run_state", "alert"]
plan = ["nightly*", "weekly"]
url = "https://example.com/in"
secret_env = "SECRET"
timeout_seconds = 2.5

[[hooks]]
on = "checkpoint"
command = "cat >> log"
retries = 2
"#;
        let config = parse(text).unwrap();
        let rules = AlertRules { window: TimeDelta::seconds(60), failures: 0, interventions: 10, agents: false };
        assert_eq!(config.alerts, rules);
        let [chat, second] = &config.hooks[..] else { panic!("{config:?}") };
        assert_eq!((chat.name.as_str(), chat.retries, chat.timeout), ("chat", 5, Duration::from_millis(2500)));
        assert_eq!(chat.on, [Kind::RunState, Kind::Alert].into());
        assert!(matches!(&chat.target, Target::Webhook { secret: Some(secret), .. } if secret == "s3cret"));
        assert!(!format!("{config:?}").contains("s3cret"), "a secret is not shown");
        assert_eq!((second.name.as_str(), second.retries), ("2", 2));
        assert!(matches!(&second.target, Target::Command(CommandLine::Shell(line)) if line == "cat >> log"));
        assert!(parse("").unwrap().hooks.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_line() {
        let text = r#"[alert]
[alerts]
failurs = 3
window_seconds = "ten"

[[hooks]]
on = ["run_stat", "alert"]
comand = "x"

[[hooks]]
on = "alert"
url = "ftp://x"
secret_env = "NONE"

[[hooks]]
command = []
"#;
        let said = parse(text).unwrap_err();
        let said: Vec<String> = said.into_iter().map(|(line, what)| format!("{line}: {what}")).collect();
        let expected = [
            "1: `alert` is not known: did you mean `alerts`?",
            "3: `failurs` is not known in `alerts`: did you mean `failures`?",
            "4: `window_seconds` is to be a number of seconds, more than 0, and is a string",
            "6: hook 1 goes nowhere: it needs a `command` or a `url`",
            "7: hooks are not told of `run_stat`: did you mean `run_state`?",
            "8: `comand` is not known in `hooks`: did you mean `command`?",
            "12: `url` is to be an http or https URL",
            "13: the environment variable NONE is not set: hook 2 cannot sign",
            "15: hook 3 does not say `on` what: a list of run_state, step_state, checkpoint, intervention, review, question, alert",
            "16: `command` is an empty list; it must name a program",
        ];
        assert_eq!(said, expected);
        let (line, what) = &parse("a = 1\nb = [").unwrap_err()[0];
        assert_eq!(*line, 2, "{what}");
    }
}
