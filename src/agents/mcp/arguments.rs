//! Holds a step's parameters against the tool's own schema, before anything is sent.

use jsonschema::PatternOptions;
use jsonschema::error::ValidationErrorKind;
use rmcp::model::Tool;
use serde_json::{Map, Value};

use crate::plan::suggest;

use super::super::http::words;
use super::super::masking::Masker;

/// So many problems are named.
const NAMED: usize = 5;

/// Something that a tool's schema does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agents) struct Problem {
    /// The names and places that lead to it within the parameters; empty for the parameters themselves.
    pub place: Vec<String>,
    /// What is wrong there.
    pub message: String,
    /// It does not depend on the values.
    pub of_names: bool,
}

/// The tool of this name.
///
/// # Errors
/// There is none; with the nearest name, or all names where there are few.
pub(super) fn find<'a>(tools: &'a [Tool], name: &str) -> Result<&'a Tool, String> {
    if let Some(tool) = tools.iter().find(|tool| tool.name == name) {
        return Ok(tool);
    }
    let names = || tools.iter().map(|tool| &*tool.name);
    let hint = match suggest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if tools.is_empty() => "it has no tools at all".into(),
        None => {
            let named: Vec<String> = names().take(12).map(|name| format!("`{name}`")).collect();
            let more = if tools.len() > named.len() {
                format!(" and {} more", tools.len() - named.len())
            } else {
                String::new()
            };
            format!("it has {}{more}", named.join(", "))
        }
    };
    Err(format!("the server has no tool `{name}`: {hint}"))
}

/// What of the parameters the tool's schema does not allow.
///
/// # Errors
/// The schema cannot be used, so nothing was checked.
pub(super) fn problems(tool: &Tool, parameters: &Map<String, Value>) -> Result<Vec<Problem>, String> {
    let schema = Value::Object((*tool.input_schema).clone());
    // Patterns are somebody else's too: this engine's time grows with the text and not faster. Nothing is fetched.
    let validator = jsonschema::options().with_pattern_options(PatternOptions::regex()).offline().build(&schema);
    let validator = validator.map_err(|error| error.to_string())?;
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let parameters = Value::Object(parameters.clone());
    let mut found: Vec<Problem> = Vec::new();
    for error in validator.iter_errors(&parameters).take(NAMED + 1) {
        let path = error.instance_path().as_str().to_owned();
        let place: Vec<String> =
            path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().map_or_else(|| property.to_string(), str::to_owned);
                found.push(Problem { place, message: format!("`{name}` is missing"), of_names: true });
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => found.extend(unexpected.iter().map(|name| {
                let near = suggest(name, known.iter().copied()).filter(|_| place.is_empty());
                let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                let mut place = place.clone();
                place.push(name.clone());
                Problem { place, message: format!("there is no such parameter{hint}"), of_names: true }
            })),
            _ => found.push(Problem { place, message: error.to_string(), of_names: false }),
        }
    }
    Ok(found)
}

/// The problems in one line.
pub(super) fn in_words(tool: &Tool, problems: &[Problem], secrets: &Masker) -> String {
    let mut words: Vec<String> = problems
        .iter()
        .take(NAMED)
        .map(|problem| {
            let message = words::excerpt(problem.message.as_bytes(), secrets).unwrap_or_default();
            let place = std::iter::once("parameters").chain(problem.place.iter().map(String::as_str));
            format!("`{}`: {message}", place.collect::<Vec<_>>().join("."))
        })
        .collect();
    if problems.len() > NAMED {
        words.push("and more".into());
    }
    format!("the tool `{}` does not take these parameters, and was not called: {}", tool.name, words.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn tool(schema: Value) -> Tool {
        Tool::new("sum", "adds", Arc::new(schema.as_object().unwrap().clone()))
    }

    fn said(schema: &Value, parameters: &Value) -> String {
        let tool = tool(schema.clone());
        let problems = problems(&tool, parameters.as_object().unwrap()).unwrap();
        if problems.is_empty() { String::new() } else { in_words(&tool, &problems, &Masker::default()) }
    }

    #[test]
    fn every_place_is_named_with_what_is_wrong_there() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "number"}, "list": {"type": "array", "items": {"type": "string"}}}});
        assert_eq!(said(&schema, &json!({"a": 1, "list": ["x"]})), "");
        let words = said(&schema, &json!({"lst": [], "list": ["x", 2]}));
        for expected in [
            "`parameters.list.1`",
            "`parameters.lst`: there is no such parameter: did you mean `list`?",
            "`a` is missing",
        ] {
            assert!(words.contains(expected), "{words}");
        }
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_so_and_one_that_points_elsewhere_fetches_nothing() {
        assert!(problems(&tool(json!({"type": "nonsense"})), &Map::new()).is_err());
        assert!(problems(&tool(json!({"$ref": "https://127.0.0.1:1/schema.json"})), &Map::new()).is_err());
    }

    #[test]
    fn an_unknown_tool_gets_the_nearest_name() {
        let tools = [tool(json!({"type": "object"}))];
        assert!(find(&tools, "sum").is_ok());
        assert!(find(&tools, "summ").unwrap_err().contains("did you mean `sum`?"));
        assert!(find(&tools, "delete").unwrap_err().contains("it has `sum`"));
        assert!(find(&[], "x").unwrap_err().contains("no tools at all"));
    }
}
