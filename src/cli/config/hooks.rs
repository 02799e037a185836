//! `[alerts]` and `[[hooks]]`: what is told of every run, and whom.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use toml::de::DeTable;

use crate::engine::hooks::{Hook, Kind, Target};
use crate::plan::CommandLine;
use crate::run::AlertRules;

use super::Setting;
use super::section::{Reader, Section, unknown};

/// How long one try of a hook may take, in seconds, unless it is said otherwise.
const TIMEOUT: f64 = 10.0;
/// How often a webhook is tried again. A command is not, unless that is said: it may have done something before it failed.
const RETRIES: u32 = 5;

/// A hook as it is configured.
#[derive(Debug, Clone)]
pub struct Configured {
    /// It, without what signs what it sends.
    hook: Hook,
    /// The environment variable with that, and the line that says so.
    secret: Option<(String, usize)>,
}

impl Configured {
    /// The hook, for use.
    ///
    /// # Errors
    /// The variable with its secret is not set: the line, and what is wrong.
    pub fn signed(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Hook, (usize, String)> {
        let mut hook = self.hook.clone();
        if let (Target::Webhook { secret, .. }, Some((variable, line))) = (&mut hook.target, &self.secret) {
            let name = &hook.name;
            let unset = || (*line, format!("the environment variable {variable} is not set: hook {name} cannot sign"));
            *secret = Some(environment(variable).ok_or_else(unset)?);
        }
        Ok(hook)
    }

    /// What it says, in the order of the file, without what signs.
    pub fn settings(&self, number: usize) -> Vec<Setting> {
        let Hook { name, on, plans, target, timeout, retries } = &self.hook;
        let mut found = vec![("name", Value::from(name.as_str()))];
        found.push(("on", on.iter().map(|kind| kind.word()).collect()));
        found.push(("plan", plans.iter().map(String::as_str).collect()));
        match target {
            Target::Command(CommandLine::Shell(line)) => found.push(("command", line.as_str().into())),
            Target::Command(CommandLine::Argv(words)) => found.push(("command", words.as_slice().into())),
            Target::Webhook { url, .. } => found.push(("url", url.as_str().into())),
        }
        found.extend(self.secret.iter().map(|(variable, _)| ("secret_env", variable.as_str().into())));
        found.push(("timeout_seconds", timeout.as_secs_f64().into()));
        found.push(("retries", (*retries).into()));
        found.into_iter().map(|(name, value)| (format!("hooks.{number}.{name}"), value)).collect()
    }
}

pub(super) fn alerts(mut section: Section<'_, '_, '_>) -> AlertRules {
    let usual = AlertRules::default();
    let window = section.seconds("window_seconds");
    let failures = section.whole("failures", 0..=u32::MAX);
    let interventions = section.whole("interventions", 0..=u32::MAX);
    let agents = section.yes_or_no("unhealthy_agents");
    section.end();
    AlertRules {
        window: window.and_then(|window| TimeDelta::from_std(window).ok()).unwrap_or(usual.window),
        failures: failures.unwrap_or(usual.failures),
        interventions: interventions.unwrap_or(usual.interventions),
        agents: agents.unwrap_or(usual.agents),
    }
}

/// What `[alerts]` comes to.
pub(super) fn alert_settings(rules: &AlertRules) -> Vec<Setting> {
    let window = rules.window.to_std().unwrap_or_default().as_secs_f64();
    vec![
        ("alerts.window_seconds".into(), window.into()),
        ("alerts.failures".into(), rules.failures.into()),
        ("alerts.interventions".into(), rules.interventions.into()),
        ("alerts.unhealthy_agents".into(), rules.agents.into()),
    ]
}

/// A hook; `number` counts from 1.
pub(super) fn hook(
    reader: &mut Reader<'_>,
    (table, at): (&DeTable<'_>, Range<usize>),
    number: usize,
) -> Option<Configured> {
    let before = reader.problems.len();
    let mut section = reader.section(Some(table), "[[hooks]]".into(), format!("hooks.{number}."));
    let name = section.text("name").map_or_else(|| format!("{number}"), |(name, _)| name);
    let on = section.texts("on");
    let plans = section.texts("plan").into_iter().map(|(plan, _)| plan).collect();
    let command = section.command("command");
    let url = section.text("url");
    let secret = section.text("secret_env");
    let timeout = section.seconds("timeout_seconds");
    let retries = section.whole("retries", 0..=u32::MAX);
    section.end();
    if on.is_empty() {
        reader.wrong(&at, format!("hook {name} does not say `on` what: a list of {}", names(&Kind::ALL)));
    }
    let mut kinds = BTreeSet::new();
    for (word, at) in on {
        match Kind::ALL.into_iter().find(|kind| kind.word() == word) {
            Some(kind) => drop(kinds.insert(kind)),
            None => {
                let what = unknown(&format!("hooks are not told of `{word}`"), &word, Kind::ALL.map(Kind::word));
                reader.wrong(&at, what);
            }
        }
    }
    let target = match (command, url) {
        (Some(_), Some((_, at))) => {
            reader.wrong(&at, format!("hook {name} has a command and a url: it can go to one of them"));
            None
        }
        (None, None) => {
            reader.wrong(&at, format!("hook {name} goes nowhere: it needs a `command` or a `url`"));
            None
        }
        (Some(command), None) => {
            if let Some((_, at)) = &secret {
                reader.wrong(at, "`secret_env` signs what goes to a `url`; a command has its environment".into());
            }
            Some(Target::Command(command))
        }
        (None, Some((url, at))) => {
            if !reqwest::Url::parse(&url).is_ok_and(|url| ["http", "https"].contains(&url.scheme())) {
                reader.wrong(&at, "`url` is to be an http or https URL".into());
            }
            Some(Target::Webhook { url, secret: None })
        }
    };
    if reader.problems.len() > before {
        return None;
    }
    let target = target?;
    let usual = if matches!(target, Target::Webhook { .. }) { RETRIES } else { 0 };
    let hook = Hook {
        name,
        on: kinds,
        plans,
        target,
        timeout: timeout.unwrap_or(Duration::from_secs_f64(TIMEOUT)),
        retries: retries.unwrap_or(usual),
    };
    let secret = secret.map(|(variable, at)| (variable, reader.line(at.start)));
    Some(Configured { hook, secret })
}

fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::Config;

    fn hooks(config: &Config) -> Result<Vec<Hook>, Vec<(usize, String)>> {
        config.signed(&|name| (name == "SECRET").then(|| "s3cret".to_owned()))
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
        let config = Config::parse(text).unwrap();
        let rules = AlertRules { window: TimeDelta::seconds(60), failures: 0, interventions: 10, agents: false };
        assert_eq!(config.alerts, rules);
        let hooks = hooks(&config).unwrap();
        let [chat, second] = &hooks[..] else { panic!("{config:?}") };
        assert_eq!((chat.name.as_str(), chat.retries, chat.timeout), ("chat", 5, Duration::from_millis(2500)));
        assert_eq!(chat.on, [Kind::RunState, Kind::Alert].into());
        assert!(matches!(&chat.target, Target::Webhook { secret: Some(secret), .. } if secret == "s3cret"));
        assert!(!format!("{hooks:?}").contains("s3cret"), "a secret is not shown");
        assert_eq!((second.name.as_str(), second.retries), ("2", 2));
        assert!(matches!(&second.target, Target::Command(CommandLine::Shell(line)) if line == "cat >> log"));
        let settings = config.settings();
        let of = |name: &str| settings.iter().find(|(full, _)| full == name).map(|(_, value)| value.to_string());
        assert_eq!(of("alerts.window_seconds").as_deref(), Some("60.0"));
        assert_eq!(of("hooks.1.secret_env").as_deref(), Some("\"SECRET\""));
        assert_eq!(of("hooks.2.command").as_deref(), Some("\"cat >> log\""));
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

[[hooks]]
command = []
"#;
        let said = Config::parse(text).unwrap_err();
        let said: Vec<String> = said.into_iter().map(|(line, what)| format!("{line}: {what}")).collect();
        let expected = [
            "1: `alert` is not known: did you mean `alerts`?",
            "3: `failurs` is not known in [alerts]: did you mean `failures`?",
            "4: `window_seconds` is to be a number of seconds, more than 0",
            "6: hook 1 goes nowhere: it needs a `command` or a `url`",
            "7: hooks are not told of `run_stat`: did you mean `run_state`?",
            "8: `comand` is not known in [[hooks]]: did you mean `command`?",
            "12: `url` is to be an http or https URL",
            "14: hook 3 does not say `on` what: a list of run_state, step_state, checkpoint, intervention, review, question, alert",
            "15: `command` is an empty list; it must name a program",
        ];
        assert_eq!(said, expected);
        let (line, what) = &Config::parse("a = 1\nb = [").unwrap_err()[0];
        assert_eq!(*line, 2, "{what}");
    }

    #[test]
    fn a_hook_that_cannot_sign_is_told_with_its_line() {
        let text = "[[hooks]]\non = \"alert\"\nurl = \"https://example.com\"\nsecret_env = \"NONE\"\n";
        let said = hooks(&Config::parse(text).unwrap()).unwrap_err();
        assert_eq!(said, [(4, "the environment variable NONE is not set: hook 1 cannot sign".to_owned())]);
    }
}
