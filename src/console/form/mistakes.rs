//! What is wrong with what was typed, and where.

use std::ops::Range;

use serde_json::Value;

use crate::plan::{Plan, Step, check_step};

use super::super::text;

/// A mistake in a step's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The text meant, in bytes.
    pub span: Range<usize>,
    /// Line of its beginning, from 1.
    pub line: usize,
    /// Column of its beginning, from 1, in characters.
    pub column: usize,
    /// What is wrong, neutralised.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// It is only that something has not been said yet: told when it is to be sent.
    pub is_missing: bool,
}

impl Mistake {
    /// A mistake at a place of a text.
    pub fn at(source: &str, span: Range<usize>, message: impl AsRef<str>, help: Option<&str>) -> Self {
        let before = &source[..span.start];
        let line_start = before.rfind('\n').map_or(0, |place| place + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            message: text::clean(message.as_ref()).into_owned(),
            help: help.map(|help| text::clean(help).into_owned()),
            is_missing: false,
        }
    }

    /// Nothing has been said yet where something is needed.
    fn missing(source: &str, span: Range<usize>, message: &str, help: &str) -> Self {
        Self { is_missing: true, ..Self::at(source, span, message, Some(help)) }
    }
}

/// Checks the text of a step: as the engine would, and that it is still the same step, or one with an id of its own.
pub fn check(plan: &Plan, source: &str, own: Option<&str>, simulate: bool) -> Result<Step, Vec<Mistake>> {
    let found = check_step(plan, source, own.is_none(), simulate);
    let id = serde_json::from_str::<Value>(source).ok();
    let id = id.as_ref().and_then(|step| step["step_id"].as_str());
    let mut mistakes: Vec<Mistake> = match &found {
        Ok(_) => Vec::new(),
        Err(found) => found
            .iter()
            .map(|one| {
                let help = one.help.as_deref();
                Mistake::at(source, one.span.clone(), &one.message, help)
            })
            .collect(),
    };
    let unsaid = value_of(source, "run");
    if own.is_none() && source.get(unsaid.clone()) == Some("\"\"") {
        let help = "give it a command, or an agent and an action";
        for mistake in mistakes.iter_mut().filter(|mistake| mistake.span == unsaid) {
            *mistake = Mistake::missing(source, unsaid.clone(), "what is to be done is missing", help);
        }
    }
    match (own, id) {
        (Some(own), Some(id)) if own != id => {
            let help = format!("put `{own}` back; another id is another step: add it, and remove this one");
            mistakes.push(Mistake::at(source, value_of(source, "step_id"), "the `step_id` cannot change", Some(&help)));
        }
        (None, Some(id)) if plan.position(id).is_some() => {
            let message = format!("the plan has a step `{id}` already");
            mistakes.push(Mistake::at(source, value_of(source, "step_id"), message, Some("choose another id")));
        }
        _ => {}
    }
    match found {
        Ok(step) if mistakes.is_empty() => Ok(step),
        _ => Err(mistakes),
    }
}

/// Where the value of a name stands; the whole text when it cannot be found.
fn value_of(source: &str, name: &str) -> Range<usize> {
    let quoted = format!("\"{name}\"");
    let after = source.find(&quoted).map(|place| place + quoted.len());
    let value = after.and_then(|after| {
        let start = after + source[after..].find(|c: char| !c.is_whitespace() && c != ':')?;
        let length = source[start + 1..].find('"')? + 2;
        Some(start..start + length)
    });
    value.unwrap_or(0..source.len())
}

/// The names that lead to a place in JSON as [`serde_json::to_string_pretty`] writes it.
pub fn path_at(pretty: &str, place: usize) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    let end = pretty[place..].find('\n').map_or(pretty.len(), |length| place + length);
    for line in pretty[..end].lines() {
        let trimmed = line.trim_start();
        let level = (line.len() - trimmed.len()) / 2;
        path.truncate(level.saturating_sub(1));
        if let Some((name, _)) = trimmed.strip_prefix('"').and_then(|rest| rest.split_once("\":"))
            && path.len() + 1 == level
        {
            path.push(name.to_owned());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_in_pretty_json_has_names() {
        let value =
            json!({"step_id": "a", "parameters": {"rows": [1, {"deep": true}], "on": 1}, "timeout_seconds": "x"});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        for (part, path) in [
            ("\"a\"", &["step_id"][..]),
            ("1,", &["parameters", "rows"]),
            ("true", &["parameters", "rows"]),
            ("\"on\"", &["parameters", "on"]),
            ("\"x\"", &["timeout_seconds"]),
        ] {
            let place = pretty.find(part).unwrap();
            assert_eq!(path_at(&pretty, place), path, "{part}");
        }
    }

    #[test]
    fn a_value_is_found_behind_its_name() {
        let source = r#"{ "step_id" : "dump", "run": "x" }"#;
        assert_eq!(&source[value_of(source, "step_id")], "\"dump\"");
        assert_eq!(value_of("{}", "step_id"), 0..2);
    }
}
