//! Expressions and templates with their values: what a string becomes when an attempt starts, and whether a condition is true.
//!
//! Strict: a name that is not there is an error that names it, never an empty string. Bounded: an expression that does too much, or makes too
//! long a text, is an error and not a hang.

use std::collections::HashSet;

use minijinja::{Environment, Error, ErrorKind, Value as Made};
use serde_json::{Map, Value};

use super::expression::{self, MAX_TEMPLATE};
use super::factors;

/// How many steps of work one evaluation may take; the template library counts them. A few milliseconds.
const FUEL: u64 = 200_000;

/// What the names in an expression stand for.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    values: Map<String, Value>,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// What is wrong, in words.
    pub message: String,
    /// The dotted name that is not there, where that is what is wrong.
    pub missing: Option<String>,
}

impl Scope {
    /// Gives a name its value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// The first of the names that stands for nothing.
    fn missing(&self, names: &HashSet<String>) -> Option<String> {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort_unstable();
        let there = |name: &str| {
            let mut parts = name.split('.');
            let mut value = parts.next().and_then(|root| self.values.get(root));
            for part in parts {
                value = match value {
                    Some(Value::Object(fields)) => fields.get(part),
                    Some(Value::Array(items)) => part.parse::<usize>().ok().and_then(|place| items.get(place)),
                    // Something else may have attributes of the library's own.
                    Some(_) => return true,
                    None => None,
                };
            }
            value.is_some()
        };
        names.into_iter().find(|name| !there(name)).cloned()
    }

    fn error(&self, error: &Error, names: Option<HashSet<String>>) -> EvaluationError {
        let missing = match error.kind() {
            ErrorKind::UndefinedError => names.and_then(|names| self.missing(&names)),
            _ => None,
        };
        let message = match (&missing, error.kind()) {
            (Some(name), _) => format!("`{name}` is not there"),
            (None, ErrorKind::OutOfFuel) => "it takes too long to work out".to_owned(),
            _ => error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        };
        EvaluationError { message, missing }
    }
}

/// What a string with `{{ … }}` becomes; one without is as it is.
///
/// # Errors
/// It cannot be read, names something that is not there, or does too much.
pub fn render(text: &str, scope: &Scope) -> Result<String, EvaluationError> {
    if !expression::is_template(text) {
        return Ok(text.to_owned());
    }
    let names = expression::template_names(text).map_err(|mistake| EvaluationError::plain(mistake.message))?;
    with_environment(|environment| {
        let mut bounded = Bounded::default();
        let made = environment
            .template_from_str(&expression::guarded_template(text))
            .and_then(|template| template.render_captured_to(&scope.values, &mut bounded).map(|_| ()));
        match made {
            _ if bounded.full => {
                Err(EvaluationError::plain(format!("it makes more than {MAX_TEMPLATE} bytes of text")))
            }
            Ok(()) => String::from_utf8(bounded.bytes).map_err(|error| EvaluationError::plain(error.to_string())),
            Err(error) => Err(scope.error(&error, Some(names))),
        }
    })
}

/// The same for every string within a value. A string that is one expression and nothing else becomes that expression's value, whatever its
/// type: a number stays a number, a list a list.
///
/// # Errors
/// As for [`render`].
pub fn render_value(value: &Value, scope: &Scope) -> Result<Value, EvaluationError> {
    Ok(match value {
        Value::String(text) => match expression::only_expression(text) {
            Some(whole) => evaluate(whole, scope)?,
            None => Value::String(render(text, scope)?),
        },
        Value::Array(items) => items.iter().map(|item| render_value(item, scope)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let rendered = fields.iter().map(|(name, value)| Ok((name.clone(), render_value(value, scope)?)));
            Value::Object(rendered.collect::<Result<_, EvaluationError>>()?)
        }
        other => other.clone(),
    })
}

/// An expression's value.
///
/// # Errors
/// As for [`render`].
pub fn evaluate(text: &str, scope: &Scope) -> Result<Value, EvaluationError> {
    let names = expression::expression_names(text).map_err(|mistake| EvaluationError::plain(mistake.message))?;
    with_environment(|environment| {
        let made = environment
            .compile_expression(&factors::guarded(text))
            .and_then(|expression| expression.eval(&scope.values));
        let made = made.map_err(|error| scope.error(&error, Some(names.clone())))?;
        if made.is_undefined() {
            let missing = scope.missing(&names);
            let message = missing
                .as_ref()
                .map_or_else(|| format!("`{text}` is not there"), |name| format!("`{name}` is not there"));
            return Err(EvaluationError { message, missing });
        }
        // A list may be one that is made only while somebody walks over it: nobody does beyond the bound.
        let mut bounded = Bounded::default();
        let written = serde_json::to_writer(&mut bounded, &made);
        if bounded.full {
            return Err(EvaluationError::plain(format!("it makes a value of more than {MAX_TEMPLATE} bytes")));
        }
        written
            .and_then(|()| serde_json::from_slice(&bounded.bytes))
            .map_err(|error| EvaluationError::plain(error.to_string()))
    })
}

/// Whether a condition is true: as the template library sees truth, so empty, zero and none are false.
///
/// # Errors
/// As for [`render`].
pub fn is_true(text: &str, scope: &Scope) -> Result<bool, EvaluationError> {
    let value = evaluate(text, scope)?;
    Ok(Made::from_serialize(&value).is_true())
}

impl EvaluationError {
    fn plain(message: String) -> Self {
        Self { message, missing: None }
    }
}

/// A text that grows no longer than is allowed.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_TEMPLATE {
            self.full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn with_environment<T>(work: impl FnOnce(&Environment<'static>) -> T) -> T {
    thread_local! {
        static BOUNDED: Environment<'static> = {
            let mut environment = expression::environment();
            environment.set_fuel(Some(FUEL));
            environment
        };
    }
    BOUNDED.with(work)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set("vars", json!({"db": "orders", "n": 3, "list": ["a", "b"], "odd": "it's; rm -rf"}));
        scope.set(
            "steps",
            json!({"count": {"status": "completed", "result": {"rows": 7}}, "later": {"status": "pending"}}),
        );
        scope
    }

    #[test]
    fn strings_are_rendered_and_whole_expressions_keep_their_type() {
        let scope = scope();
        assert_eq!(render("dump {{ vars.db }} x{{ vars.n + 1 }}", &scope).unwrap(), "dump orders x4");
        assert_eq!(render("${#list[@]} {% x %}", &scope).unwrap(), "${#list[@]} {% x %}");
        assert_eq!(render("{{ vars.odd | shell_quote }}", &scope).unwrap(), r"'it'\''s; rm -rf'");
        let value = json!({"rows": "{{ steps.count.result.rows }}", "text": "{{ vars.n }} rows", "all": ["{{ vars.list }}"], "n": 1});
        let rendered = json!({"rows": 7, "text": "3 rows", "all": [["a", "b"]], "n": 1});
        assert_eq!(render_value(&value, &scope).unwrap(), rendered);
        assert!(is_true("steps.count.result.rows > 0 and steps.later.status == 'pending'", &scope).unwrap());
        assert!(!is_true("steps.count.result.rows == 0", &scope).unwrap());
    }

    #[test]
    fn what_is_not_there_is_named_and_never_empty() {
        let scope = scope();
        for text in ["{{ vars.nothing }}", "{{ steps.later.result.rows }}", "{{ steps.count.result.other | upper }}"] {
            let name = text.trim_matches(['{', '}', ' ']).split(' ').next().unwrap();
            let error = render(text, &scope).unwrap_err();
            assert_eq!(error.missing.as_deref(), Some(name), "{error:?}");
            assert!(render_value(&json!(text), &scope).unwrap_err().message.contains(name));
        }
        assert!(is_true("steps.later.result.rows > 0", &scope).unwrap_err().missing.is_some());
        assert!(is_true("steps.later.status == 'completed' and steps.later.result.rows > 0", &scope).is_ok());
        assert_eq!(
            render("{{ steps.later.result.rows | default(0) }}", &scope).unwrap_err().missing.as_deref(),
            Some("steps.later.result.rows")
        );
    }

    #[test]
    fn work_and_text_are_bounded() {
        let scope = scope();
        for text in [
            "{{ range(100000) | map('string') | join('y' * 100000) }}",
            "{{ ('x' * 10000) | replace('x', 'y' * 100000) }}",
            "{{ 'x' * 2000000000 }}",
            "{{ ('x' * 100000) * 100000 }}",
            "{{ range(90000) | list }}{{ range(90000) | list }}{{ range(90000) | list }}",
            "{{ 'x' | indent(1000000000) }}",
        ] {
            let said = render(text, &scope);
            assert!(said.is_err(), "{text}: {} bytes", said.unwrap().len());
        }
    }

    #[test]
    fn no_list_is_multiplied_and_what_is_no_list_is() {
        let scope = scope();
        for text in [
            "[1] * 10 ** 9",
            "10 ** 9 * [1]",
            "([1] * 10 ** 9) | length",
            "2 * vars.list | list",
            "(vars.list + [1]) * 1000000000 == []",
            "1 in vars['list'] * 1000000000",
            "('ab' | list) * 1000000000 ~ ''",
            "1000000000 * range(9)",
        ] {
            let said = [evaluate(text, &scope), render(&format!("a * {{{{ {text} }}}} b"), &scope).map(Value::String)];
            for said in said {
                assert!(said.unwrap_err().message.contains("a list cannot be multiplied"), "{text}");
            }
        }
        assert_eq!(evaluate("vars.n * 2 + (vars.list | length) * 3 ** 2", &scope).unwrap(), json!(24));
        assert_eq!(evaluate("vars.list | length * 2", &scope).unwrap(), json!(4), "as it was without the guard");
        assert_eq!(evaluate("'ab' * vars.n ~ '*'", &scope).unwrap(), json!("ababab*"));
        assert_eq!(render("* {{ -2 * vars.n }} * {{- ' x' * 2 -}} *", &scope).unwrap(), "* -6 * x x*");
        assert_eq!(evaluate("vars.nothing * 2", &scope).unwrap_err().missing.as_deref(), Some("vars.nothing"));
    }
}
