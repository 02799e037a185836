//! Variables: from what a plan declares and what is given to the values a run has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::diagnostic::visible;
use super::suggest::suggest;
use super::{Plan, Variable};

/// What stands in the place of a secret wherever it could be read.
pub const MASKED: &str = "•••";

/// The values of a plan's variables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bound {
    /// By name; secret ones are [`MASKED`].
    pub variables: Map<String, Value>,
    /// The environment variables that the plan lists and that are there; secret ones are [`MASKED`].
    pub environment: BTreeMap<String, String>,
    /// The secrets themselves. They go to the engine and nowhere else.
    pub secrets: BTreeMap<String, String>,
}

/// Gives every variable its value: what is `given`, else the environment variable it names, else its default.
///
/// # Errors
/// Everything that is wrong, a line each: no value for a required one, a value that is not allowed or of another type, an unknown name.
pub fn bind(
    plan: &Plan,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Bound, Vec<String>> {
    let mut bound = Bound::default();
    let mut wrong = Vec::new();
    for name in given.keys().filter(|name| !plan.variables.contains_key(*name)) {
        let near = suggest(name, plan.variables.keys().map(String::as_str));
        let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        wrong.push(format!("the plan has no variable `{}`{near}", visible(name)));
    }
    for (name, variable) in &plan.variables {
        let of_environment = variable.env.as_deref().and_then(environment);
        if let (Some(key), Some(text)) = (&variable.env, &of_environment) {
            let shown = if variable.secret { MASKED.to_owned() } else { text.clone() };
            bound.environment.insert(key.clone(), shown);
        }
        let value = match given.get(name).or(of_environment.as_ref()) {
            Some(text) => value_of(name, variable, text),
            None => match &variable.default {
                Some(default) => Ok(default.clone()),
                None if variable.required || variable.secret => Err(missing(name, variable)),
                None => continue,
            },
        };
        match value {
            Ok(value) if variable.secret => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                bound.secrets.insert(name.clone(), text);
                bound.variables.insert(name.clone(), MASKED.into());
            }
            Ok(value) => {
                bound.variables.insert(name.clone(), value);
            }
            Err(problem) => wrong.push(problem),
        }
    }
    if wrong.is_empty() { Ok(bound) } else { Err(wrong) }
}

/// The secrets of a plan as the environment gives them, and the variables whose secret is not there: for a run that is taken up again.
pub fn secrets(
    plan: &Plan,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut found, mut gone) = (BTreeMap::new(), Vec::new());
    for (name, variable) in plan.variables.iter().filter(|(_, variable)| variable.secret) {
        let default = || variable.default.as_ref().and_then(Value::as_str).map(str::to_owned);
        match given.get(name).cloned().or_else(|| variable.env.as_deref().and_then(environment)).or_else(default) {
            Some(value) => {
                found.insert(name.clone(), value);
            }
            None => gone.push(missing(name, variable)),
        }
    }
    (found, gone)
}

fn missing(name: &str, variable: &Variable) -> String {
    let what = if variable.secret { "the secret" } else { "the variable" };
    let name = visible(name);
    match &variable.env {
        Some(key) => {
            format!("{what} `{name}` has no value: set {} in the environment, or --set {name}=…", visible(key))
        }
        None => format!("{what} `{name}` has no value: --set {name}=…"),
    }
}

/// A text as the variable's type, which its default or its allowed values show; a text where nothing does.
fn value_of(name: &str, variable: &Variable, text: &str) -> Result<Value, String> {
    let shown = |value: &Value| if variable.secret { MASKED.to_owned() } else { value.to_string() };
    let like = variable.default.as_ref().or_else(|| variable.choices.as_ref()?.first());
    let value = match like {
        None | Some(Value::String(_) | Value::Null) => Value::from(text),
        Some(like) => {
            let kind = |value: &Value| std::mem::discriminant(value);
            match serde_json::from_str::<Value>(text) {
                Ok(value) if kind(&value) == kind(like) => value,
                _ => {
                    let wanted = match like {
                        Value::Bool(_) => "true or false",
                        Value::Number(_) => "a number",
                        Value::Array(_) => "a JSON list",
                        _ => "a JSON object",
                    };
                    return Err(format!(
                        "the variable `{}` must be {wanted}, not {}",
                        visible(name),
                        shown(&text.into())
                    ));
                }
            }
        }
    };
    match &variable.choices {
        Some(choices) if !choices.contains(&value) => {
            let allowed: Vec<String> = choices.iter().map(Value::to_string).collect();
            Err(format!("the variable `{}` cannot be {}: {} can", visible(name), shown(&value), allowed.join(", ")))
        }
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        serde_json::from_value(json!({
            "plan_id": "p",
            "steps": [],
            "variables": {
                "db": {"default": "orders"},
                "n": {"default": 3},
                "level": {"enum": ["low", "high"], "default": "low"},
                "bucket": {"required": true},
                "home": {"env": "HOME"},
                "token": {"env": "SHIP_TOKEN", "secret": true}
            }
        }))
        .unwrap()
    }

    fn bound(given: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Bound, Vec<String>> {
        let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let environment = owned(environment);
        bind(&plan(), &owned(given), &|key| environment.get(key).cloned())
    }

    #[test]
    fn given_goes_before_environment_and_that_before_the_default() {
        let found = bound(&[("bucket", "b"), ("n", "5")], &[("HOME", "/h"), ("SHIP_TOKEN", "s3cret")]).unwrap();
        let variables = json!({"bucket": "b", "db": "orders", "home": "/h", "level": "low", "n": 5, "token": MASKED});
        assert_eq!(Value::Object(found.variables), variables);
        assert_eq!(found.secrets["token"], "s3cret");
        assert_eq!(found.environment["SHIP_TOKEN"], MASKED);
        assert_eq!(found.environment["HOME"], "/h");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = bound(&[("buckett", "b"), ("n", "many"), ("level", "middle")], &[]).unwrap_err();
        let expected = [
            "the plan has no variable `buckett`: did you mean `bucket`?",
            "the variable `bucket` has no value: --set bucket=…",
            "the variable `level` cannot be \"middle\": \"low\", \"high\" can",
            "the variable `n` must be a number, not \"many\"",
            "the secret `token` has no value: set SHIP_TOKEN in the environment, or --set token=…",
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn a_secret_is_in_no_message() {
        let mut plan = plan();
        if let Some(token) = plan.variables.get_mut("token") {
            token.choices = Some(vec![json!("abc")]);
        }
        let given = [("bucket".to_owned(), "b".to_owned()), ("token".to_owned(), "hunter2".to_owned())].into();
        let wrong = bind(&plan, &given, &|_| None).unwrap_err().join("\n");
        assert!(wrong.contains(MASKED) && !wrong.contains("hunter2"), "{wrong}");
    }
}
