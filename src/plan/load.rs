//! From text to plan: all problems at once, or the plan.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Report};
use super::fields::default_holds;
use super::json::{Document, Kind};
use super::salvage::salvage;
use super::{ALIASES, AgentsFile, MAX_BYTES, Plan, Step, rules, shape, support};

/// What became of a plan's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The name of the text's source, as given.
    pub source_name: String,
    /// The plan; `None` when any of the diagnostics is an error.
    pub plan: Option<Plan>,
    /// All that is wrong or doubtful, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The same of the file with agents that the plan was checked with; places are places in that file.
    pub of_agents_file: Vec<Diagnostic>,
}

/// What a plan is held to besides its own text.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Agents that nothing binds are simulated.
    pub simulate: bool,
    /// Agents that are bound beside the plan.
    pub agents: Option<Arc<AgentsFile>>,
}

impl Terms {
    /// No agents beside the plan.
    pub fn simulate(simulate: bool) -> Self {
        Self { simulate, agents: None }
    }
}

impl Loaded {
    /// Whether anything makes the plan unusable.
    pub fn has_errors(&self) -> bool {
        self.problems() > 0
    }

    /// How many of the diagnostics are errors.
    pub fn problems(&self) -> usize {
        self.diagnostics.iter().chain(&self.of_agents_file).filter(|one| one.is_error()).count()
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
    read(source_name, text, Some(&Terms::simulate(simulate)), Vec::new())
}

/// [`load`] for bytes that may not be text. Places in the diagnostics are places in [`String::from_utf8_lossy`] of the bytes.
pub fn load_bytes(source_name: &str, bytes: &[u8]) -> Loaded {
    read_bytes(source_name, bytes, None)
}

/// [`check`](fn@check) for bytes that may not be text. Places in the diagnostics are places in [`String::from_utf8_lossy`] of the bytes.
pub fn check_bytes(source_name: &str, bytes: &[u8], terms: &Terms) -> Loaded {
    read_bytes(source_name, bytes, Some(terms))
}

fn read_bytes(source_name: &str, bytes: &[u8], terms: Option<&Terms>) -> Loaded {
    if bytes.len() <= MAX_BYTES
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return read(source_name, text, terms, Vec::new());
    }
    if bytes.len() > MAX_BYTES || is_utf16(bytes) {
        let mut report = Report::new();
        let wrong = if bytes.len() > MAX_BYTES { vec![too_large("plan", bytes.len())] } else { not_text(bytes) };
        wrong.into_iter().for_each(|diagnostic| report.push(diagnostic));
        let diagnostics = report.finish("");
        return Loaded { source_name: source_name.to_owned(), plan: None, diagnostics, of_agents_file: Vec::new() };
    }
    read(source_name, &String::from_utf8_lossy(bytes), terms, not_text(bytes))
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}

/// What keeps bytes from being a text. Places are places in [`String::from_utf8_lossy`] of the bytes.
pub(super) fn not_text(bytes: &[u8]) -> Vec<Diagnostic> {
    if is_utf16(bytes) {
        return vec![
            Diagnostic::error(0..0, "the file is UTF-16; a plan must be UTF-8").help("save it again as UTF-8"),
        ];
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
    found
}

pub(super) fn too_large(what: &str, bytes: usize) -> Diagnostic {
    let mib = MAX_BYTES / (1024 * 1024);
    Diagnostic::error(
        0..0,
        format!("the {what} is too large: {bytes} bytes; at most {mib} MiB ({MAX_BYTES} bytes) are read"),
    )
}

fn read(source_name: &str, text: &str, terms: Option<&Terms>, before: Vec<Diagnostic>) -> Loaded {
    let mut report = Report::new();
    let broken = !before.is_empty();
    before.into_iter().for_each(|diagnostic| report.push(diagnostic));
    let mut of_agents_file = Vec::new();
    let plan = if text.len() > MAX_BYTES {
        report.push(too_large("plan", text.len()));
        None
    } else {
        build(text, terms, &mut report, &mut of_agents_file).filter(|_| !broken)
    };
    let refused = report.has_errors() || of_agents_file.iter().any(Diagnostic::is_error);
    let plan = plan.filter(|_| !refused);
    Loaded { source_name: source_name.to_owned(), plan, diagnostics: report.finish(text), of_agents_file }
}

fn build(text: &str, terms: Option<&Terms>, report: &mut Report, of_agents_file: &mut Vec<Diagnostic>) -> Option<Plan> {
    let document = Document::parse(text, report);
    if !document.sound {
        return None;
    }
    shape::check(&document, report);
    rules::check(&document, report);
    let wrong = report.has_errors();
    if wrong && terms.is_none() {
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
    if let Some(Terms { simulate, agents }) = terms {
        let bound = agents.as_ref().map(|agents| agents.bind(&mut plan));
        // What a file binds that cannot be read is not known.
        let simulate = *simulate || bound.as_ref().is_some_and(|bound| !bound.readable);
        of_agents_file.extend(bound.into_iter().flat_map(|bound| bound.diagnostics));
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

/// What a plan's `defaults` give to a step with these fields of its own, by the names of the format. What the step says itself, if only `null`, is not
/// among it.
pub fn defaults_for(defaults: &Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let given = |name: &str| own.keys().any(|own| canonical("Step", own) == name);
    let named = defaults.iter().map(|(name, value)| (canonical("Step", name), value));
    let held = named.filter(|(name, value)| !value.is_null() && default_holds(name, given));
    held.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// The step that a JSON object describes in this plan: its own fields, and the plan's `defaults` for those it does not give.
///
/// # Errors
/// A field that is unknown or of the wrong type.
pub fn step_from_value(defaults: &Map<String, Value>, mut step: Value) -> Result<Step, serde_json::Error> {
    if let Value::Object(own) = &mut step {
        let held = defaults_for(defaults, own);
        own.extend(held);
    }
    serde_json::from_value(step)
}
