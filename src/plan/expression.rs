//! Expressions and templates: whether they parse, and which names they use.
//!
//! Only `{{ … }}` is special in a string. Statement and comment marks of the template library are switched off: `${#list[@]}` and `{%` are
//! ordinary shell and must stay what they are.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::factors;

/// Marks that no plan contains: private-use characters, assigned to nothing.
const NEVER: [(&str, &str); 2] = [("\u{f8f0}%", "%\u{f8f1}"), ("\u{f8f2}#", "#\u{f8f3}")];

/// Functions that expressions may use besides names from the run.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "debug"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The template library as plans use it: strict about names, and with no marks but `{{ … }}`.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("shell_quote", shell_quote);
    // The library's own make texts and lists of any length in one step of its work, which its fuel does not count.
    for unbounded in ["indent", "format", "pprint", "slice", "batch"] {
        environment.remove_filter(unbounded);
    }
    environment.add_filter("join", join);
    environment.add_filter("replace", replace);
    factors::add_guard(&mut environment);
    let syntax = SyntaxConfig::builder()
        .block_delimiters(NEVER[0].0, NEVER[0].1)
        .comment_delimiters(NEVER[1].0, NEVER[1].1)
        .build();
    // The marks are constant and distinct, which is all that can fail here; with the usual marks checks would only be stricter.
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment
}

/// One word for a POSIX shell, whatever is in it: in single quotes, a single quote as `'\''`.
fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn bounded(length: Option<usize>) -> Result<(), Error> {
    match length {
        Some(length) if length <= MAX_TEMPLATE => Ok(()),
        _ => {
            let said = format!("it makes more than {MAX_TEMPLATE} bytes of text");
            Err(Error::new(ErrorKind::InvalidOperation, said))
        }
    }
}

/// The items as text, with a text between them.
fn join(items: Value, between: Option<Cow<'_, str>>) -> Result<String, Error> {
    let between = between.unwrap_or_default();
    let mut joined = String::new();
    for (place, item) in items.try_iter()?.enumerate() {
        if place > 0 {
            bounded(joined.len().checked_add(between.len()))?;
            joined.push_str(&between);
        }
        let text = item.as_str().map_or_else(|| Cow::Owned(item.to_string()), Cow::Borrowed);
        bounded(joined.len().checked_add(text.len()))?;
        joined.push_str(&text);
    }
    Ok(joined)
}

/// A text with every occurrence of another replaced.
fn replace(text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, Error> {
    let found = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&*from).count() };
    bounded(found.checked_mul(to.len()).and_then(|more| more.checked_add(text.len())))?;
    Ok(text.replace(&*from, &to))
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// What the template library says.
    pub(super) message: String,
    /// Where, in bytes of the text.
    pub(super) range: Option<Range<usize>>,
}

impl Mistake {
    fn new(error: &Error, text: &str) -> Self {
        let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let range = error.range().filter(|range| range.start <= range.end && range.end <= text.len());
        Self { message, range }
    }
}

/// Whether a string holds anything to render.
pub(super) fn is_template(text: &str) -> bool {
    // Looking for one byte first is many times faster, and most strings have none.
    text.contains('{') && text.contains("{{")
}

/// The longest single expression, in bytes. The template library builds and walks long chains (`a.b.b.b…`, `1+1+1…`) by recursion; this bound
/// keeps it far from the end of the stack.
pub(super) const MAX_EXPRESSION: usize = 1_000;

/// The longest string that is rendered, in bytes.
pub(super) const MAX_TEMPLATE: usize = 1024 * 1024;

/// The end of the expression that begins at the start of `text`: the first `}}` outside quotes and brackets, or the end of the text. Counts as the
/// template library does, stray closing brackets included.
fn expression_end(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let mut open_brackets = 0i32;
    for (place, byte) in text.bytes().enumerate() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if byte == b'\\' => escaped = true,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None if open_brackets == 0 && text.as_bytes()[place..].starts_with(b"}}") => return place,
            None if matches!(byte, b'(' | b'[' | b'{') => open_brackets += 1,
            None if matches!(byte, b')' | b']' | b'}') => open_brackets -= 1,
            None => {}
        }
    }
    text.len()
}

fn too_long(range: Range<usize>) -> Mistake {
    let message = format!("it is {} bytes long; at most {MAX_EXPRESSION} are allowed", range.len());
    Mistake { message, range: Some(range) }
}

/// A string with `{{ … }}` in whose expressions no list can be multiplied.
pub(super) fn guarded_template(text: &str) -> Cow<'_, str> {
    if !text.contains('*') {
        return text.into();
    }
    let (mut guarded, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(start) = text[from..].find("{{").map(|found| from + found + 2) {
        let end = start + expression_end(&text[start..]);
        guarded.push_str(&text[from..start]);
        guarded.push_str(&factors::guarded(&text[start..end]));
        from = end;
    }
    guarded.push_str(&text[from..]);
    guarded.into()
}

/// The names a string with `{{ … }}` uses, dotted (`vars.db`).
pub(super) fn template_names(text: &str) -> Result<HashSet<String>, Mistake> {
    if text.len() > MAX_TEMPLATE {
        let message = format!(
            "the string is {} bytes long; with expressions in it at most {MAX_TEMPLATE} are allowed",
            text.len()
        );
        return Err(Mistake { message, range: None });
    }
    let mut place = 0;
    while let Some(start) = text[place..].find("{{").map(|found| place + found + 2) {
        let end = start + expression_end(&text[start..]);
        if end - start > MAX_EXPRESSION {
            return Err(too_long(start..end));
        }
        place = end;
    }
    let template = ENVIRONMENT.template_from_str(text).map_err(|error| Mistake::new(&error, text))?;
    Ok(without_functions(template.undeclared_variables(true)))
}

/// The expression of a string that is one `{{ … }}` and nothing else.
pub(super) fn only_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?;
    let end = expression_end(inner);
    // Marks that trim the white space around do nothing here.
    let expression = inner.get(..end).filter(|_| inner[end..].len() == 2)?;
    Some(expression.strip_prefix('-').unwrap_or(expression).trim_end_matches('-').trim())
}

/// The names an expression (`when`) uses, dotted.
pub(super) fn expression_names(text: &str) -> Result<HashSet<String>, Mistake> {
    if text.len() > MAX_EXPRESSION {
        return Err(too_long(0..text.len()));
    }
    // The library's own reader has no answer to it.
    let end = expression_end(text);
    if end < text.len() {
        let message = "`}}` ends nothing here; a condition is written without `{{` and `}}`".to_owned();
        return Err(Mistake { message, range: Some(end..end + 2) });
    }
    let expression = ENVIRONMENT.compile_expression(text).map_err(|error| Mistake::new(&error, text))?;
    Ok(without_functions(expression.undeclared_variables(true)))
}

/// The names that expressions use, as far as somebody who gives them values must know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Whether there is any expression.
    pub any: bool,
    /// The steps that are named.
    pub steps: BTreeSet<String>,
    /// Steps are looked up by an expression or by a name in brackets: any may be meant.
    pub every_step: bool,
    /// `item` or `index` is named, which only the instances of a `foreach` step have.
    pub item: bool,
}

impl Names {
    fn take(&mut self, found: Result<HashSet<String>, Mistake>) {
        self.any = true;
        for name in found.unwrap_or_default() {
            let mut parts = name.split('.');
            match parts.next() {
                Some("steps") => match parts.next() {
                    Some(id) => drop(self.steps.insert(id.to_owned())),
                    None => self.every_step = true,
                },
                Some("item" | "index") => self.item = true,
                _ => {}
            }
        }
    }

    fn text(&mut self, text: &str) {
        if is_template(text) {
            self.take(template_names(text));
        }
    }

    fn value(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => self.text(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            serde_json::Value::Object(fields) => fields.values().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

/// The names in the strings that are rendered when an attempt of a step starts. Its `when` and `foreach` are evaluated before.
pub fn step_names(step: &super::Step) -> Names {
    let mut names = Names::default();
    let own = [&step.run, &step.action, &step.working_dir].into_iter().filter_map(|field| field.as_deref());
    own.chain(step.env.values().map(String::as_str)).for_each(|text| names.text(text));
    step.parameters.values().for_each(|value| names.value(value));
    names
}

/// The names in a value.
pub fn value_names(value: &serde_json::Value) -> Names {
    let mut names = Names::default();
    names.value(value);
    names
}

/// The names in a condition.
pub fn condition_names(text: &str) -> Names {
    let mut names = Names::default();
    names.take(expression_names(text));
    names
}

/// The names in what a `foreach` says: an expression by itself, or any value with expressions in it.
pub fn items_names(foreach: &serde_json::Value) -> Names {
    match foreach {
        serde_json::Value::String(text) if !is_template(text) => condition_names(text),
        other => value_names(other),
    }
}

/// The steps whose results a step's expressions use, in order, each once.
pub fn references(step: &super::Step) -> Vec<String> {
    let mut names = step_names(step);
    if let Some(when) = &step.when {
        names.take(expression_names(when));
    }
    if let Some(items) = step.foreach.as_deref() {
        names.steps.extend(items_names(items).steps);
    }
    names.steps.into_iter().collect()
}

fn without_functions(mut names: HashSet<String>) -> HashSet<String> {
    names.retain(|name| !FUNCTIONS.contains(&name.split('.').next().unwrap_or_default()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: HashSet<String>) -> Vec<String> {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_found_with_their_path() {
        let names = template_names("to {{ vars.bucket }} after {{ steps.verify.result.rows + 1 }}").unwrap();
        assert_eq!(sorted(names), ["steps.verify.result.rows", "vars.bucket"]);
        let names = expression_names("steps.verify.result.rows > 0 and vars.on").unwrap();
        assert_eq!(sorted(names), ["steps.verify.result.rows", "vars.on"]);
    }

    #[test]
    fn shell_that_looks_like_statements_is_left_alone() {
        assert_eq!(template_names("echo ${#list[@]} {% x %} {# y #} {{ vars.a }}").unwrap().len(), 1);
    }

    #[test]
    fn mistakes_say_where() {
        let mistake = template_names("x {{ vars. }} y").unwrap_err();
        assert!(mistake.range.is_some(), "{mistake:?}");
        assert!(expression_names("a >").is_err());
        assert!(expression_names("").is_err());
        for (text, place) in [("a }} b", 2..4), ("a -}} b", 3..5), ("{'a': {}}['a']}}}", 14..16)] {
            assert_eq!(expression_names(text).unwrap_err().range, Some(place), "{text}");
        }
        // Characters of several bytes, where they have no place and where they have.
        assert!(template_names("{{ é }}").is_err());
        assert!(expression_names("é}}").is_err());
        assert!(template_names("{{ 'é' }}").is_ok());
        assert!(expression_names("{'a': {'b': '}}'}}['a']").is_ok());
        assert!(template_names("{{ open").is_err());
    }

    #[test]
    fn functions_are_no_unknown_names() {
        assert!(expression_names("range(3) | length == 3").unwrap().is_empty());
    }

    #[test]
    fn nothing_that_is_let_through_overflows_the_stack() {
        let chains = [
            ("(", "1", ")"),
            ("not ", "1", ""),
            ("-", "1", ""),
            ("", "a", ".b"),
            ("", "1", "+1"),
            ("", "1", "**1"),
            ("", "a", "|b"),
            ("", "a", " if b else c"),
            ("", "a", "()"),
            ("[", "1", "]"),
            ("{1:", "1", "}"),
            ("", "a", "[0]"),
            ("", "1", "<1"),
            ("", "1", "~1"),
            ("", "1", " and 1"),
            ("", "1", " is x"),
        ];
        for (before, middle, after) in chains {
            let room = MAX_EXPRESSION - 1 - middle.len();
            let count = room / (before.len() + after.len());
            for count in [count, 100_000] {
                let text = format!("{}{middle}{}", before.repeat(count), after.repeat(count));
                let _ = expression_names(&text);
                let _ = template_names(&format!("{{{{{text}}}}}"));
                let _ = template_names(&format!("{{{{ '}}}}' ~ {text}}}}}"));
            }
        }
    }

    #[test]
    fn a_long_text_with_short_expressions_is_fine() {
        let text = format!("{{{{ vars.a }}}} {} {{{{ vars.b }}}}", "x".repeat(100_000));
        assert_eq!(template_names(&text).unwrap().len(), 2);
        let text = "{{ vars.a }}".repeat(10_000);
        assert_eq!(template_names(&text).unwrap().len(), 1);
    }
}
