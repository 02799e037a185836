//! From text to plan: all problems at once, or the plan.

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Report};
use super::fields::default_holds;
use super::json::{Document, Kind};
use super::salvage::salvage;
use super::{ALIASES, MAX_BYTES, Plan, Step, rules, shape, support};

/// What became of a plan's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The name of the text's source, as given.
    pub source_name: String,
    /// The plan; `None` when any of the diagnostics is an error.
    pub plan: Option<Plan>,
    /// All that is wrong or doubtful, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether anything makes the plan unusable.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads a plan. Every problem is reported at once, with its place in `text`.
///
/// An agent that the plan does not bind is no error here, because a simulated run needs none: see [`check`](fn@super::check) and
/// [`unbound_agents`](super::unbound_agents).
pub fn load(source_name: &str, text: &str) -> Loaded {
    read(source_name, text, None, Vec::new())
}

/// [`load`], and everything else `run` would refuse the plan for: agents that are not bound (unless `simulate`) as errors, fields that have
/// no effect in this version as warnings.
pub fn check(source_name: &str, text: &str, simulate: bool) -> Loaded {
    read(source_name, text, Some(simulate), Vec::new())
}

/// [`load`] for bytes that may not be text. Places in the diagnostics are places in [`String::from_utf8_lossy`] of the bytes.
pub fn load_bytes(source_name: &str, bytes: &[u8]) -> Loaded {
    read_bytes(source_name, bytes, None)
}

/// [`check`](fn@check) for bytes that may not be text. Places in the diagnostics are places in [`String::from_utf8_lossy`] of the bytes.
pub fn check_bytes(source_name: &str, bytes: &[u8], simulate: bool) -> Loaded {
    read_bytes(source_name, bytes, Some(simulate))
}

fn read_bytes(source_name: &str, bytes: &[u8], simulate: Option<bool>) -> Loaded {
    if bytes.len() <= MAX_BYTES
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return read(source_name, text, simulate, Vec::new());
    }
    let refused = |diagnostic: Diagnostic| {
        let mut report = Report::new();
        report.push(diagnostic);
        Loaded { source_name: source_name.to_owned(), plan: None, diagnostics: report.finish("") }
    };
    if bytes.len() > MAX_BYTES {
        return refused(too_large(bytes.len()));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return refused(
            Diagnostic::error(0..0, "the file is UTF-16; a plan must be UTF-8").help("save it again as UTF-8"),
        );
    }
    let mut place = 0;
    let mut found = Vec::new();
    for chunk in bytes.utf8_chunks() {
        place += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            let shown: Vec<String> = chunk.invalid().iter().map(|byte| format!("0x{byte:02x}")).collect();
            let span = place..place + char::REPLACEMENT_CHARACTER.len_utf8();
            place = span.end;
            if found.len() < 20 {
                found.push(
                    Diagnostic::error(span, format!("not valid UTF-8: {}", shown.join(" ")))
                        .label("no character")
                        .help("save the file as UTF-8"),
                );
            }
        }
    }
    read(source_name, &String::from_utf8_lossy(bytes), simulate, found)
}

fn too_large(bytes: usize) -> Diagnostic {
    let mib = MAX_BYTES / (1024 * 1024);
    Diagnostic::error(
        0..0,
        format!("the plan is too large: {bytes} bytes; at most {mib} MiB ({MAX_BYTES} bytes) are read"),
    )
}

fn read(source_name: &str, text: &str, simulate: Option<bool>, before: Vec<Diagnostic>) -> Loaded {
    let mut report = Report::new();
    let broken = !before.is_empty();
    before.into_iter().for_each(|diagnostic| report.push(diagnostic));
    let plan = if text.len() > MAX_BYTES {
        report.push(too_large(text.len()));
        None
    } else {
        build(text, simulate, &mut report).filter(|_| !broken)
    };
    let plan = plan.filter(|_| !report.has_errors());
    Loaded { source_name: source_name.to_owned(), plan, diagnostics: report.finish(text) }
}

fn build(text: &str, simulate: Option<bool>, report: &mut Report) -> Option<Plan> {
    let document = Document::parse(text, report);
    if !document.sound {
        return None;
    }
    shape::check(&document, report);
    rules::check(&document, report);
    let wrong = report.has_errors();
    if wrong && simulate.is_none() {
        return None;
    }
    let mut plan: Plan = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(plan) => plan,
        Err(error) => {
            // What is wrong has been said already, with its place.
            if !wrong {
                report.push(serde_error(text, &error));
                return None;
            }
            // The rest is looked at all the same: everything is said at once.
            salvage(text.trim_start_matches('\u{feff}'))?
        }
    };
    if let Err(error) = merge_defaults(&document, &mut plan) {
        if !wrong {
            let node = document.get(0, "defaults").unwrap_or(0);
            let message = format!("`defaults` cannot be read: {error}");
            report.push(Diagnostic::error(document.span(node), message));
        }
        return None;
    }
    if let Some(simulate) = simulate {
        // Also where something else is wrong: all of it is said at once.
        support::report(&document, &plan, simulate, report);
    }
    Some(plan)
}

/// What only the typed reading noticed, at the place it names.
fn serde_error(text: &str, error: &serde_json::Error) -> Diagnostic {
    let line = error.line().max(1);
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let place = (start + error.column().saturating_sub(1)).min(text.len());
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Diagnostic::error(place..place + 1, format!("the plan cannot be read: {what}"))
}

fn canonical<'a>(owner: &str, name: &'a str) -> &'a str {
    ALIASES.iter().find(|(kind, alias, _)| *kind == owner && *alias == name).map_or(name, |(_, _, field)| field)
}

/// Gives each step the defaults it does not overrule.
fn merge_defaults(document: &Document, plan: &mut Plan) -> Result<(), serde_json::Error> {
    if plan.defaults.is_empty() {
        return Ok(());
    }
    let defaults = default_step(&plan.defaults)?;
    let names: Vec<&str> = plan.defaults.keys().map(|name| canonical("Step", name)).collect();
    let items = document.get(0, "steps").into_iter().flat_map(|steps| document.items(steps));
    for (step, node) in plan.steps.iter_mut().zip(items) {
        if document.kind(node) != Kind::Object {
            continue;
        }
        let given: Vec<&str> = document.members(node).map(|(key, _)| canonical("Step", document.string(key))).collect();
        // Freshly read, so nobody else holds the step and nothing is copied.
        let step = std::sync::Arc::make_mut(step);
        for name in &names {
            if default_holds(name, |name| given.contains(&name)) {
                step.take_field(&defaults, name);
            }
        }
    }
    Ok(())
}

/// The defaults as a step without an id.
fn default_step(defaults: &Map<String, Value>) -> Result<Step, serde_json::Error> {
    let mut fields = defaults.clone();
    fields.insert("step_id".into(), "defaults".into());
    serde_json::from_value(Value::Object(fields))
}

/// The step that a JSON object describes in this plan: its own fields, and the plan's `defaults` for those it does not give.
///
/// # Errors
/// A field that is unknown or of the wrong type.
pub fn step_from_value(defaults: &Map<String, Value>, step: Value) -> Result<Step, serde_json::Error> {
    let given: Vec<String> =
        step.as_object().into_iter().flatten().map(|(name, _)| canonical("Step", name).to_owned()).collect();
    let mut step: Step = serde_json::from_value(step)?;
    let default = default_step(defaults)?;
    for name in defaults.keys().map(|name| canonical("Step", name)) {
        if default_holds(name, |name| given.iter().any(|given| given == name)) {
            step.take_field(&default, name);
        }
    }
    Ok(step)
}
