//! Text of the detail that is made from the state: a step's definition, a result. Made once, when what it shows has changed, never while
//! drawing.

use std::collections::HashMap;

use serde_json::Value;

use crate::plan::{ALIASES, Edit, Step, field_changes, number_in_words, step_json};
use crate::run::RunState;

use super::fields::{self, Note};
use super::markdown::Line;
use super::run_model::{OpenRun, Tab};
use super::text;
use super::theme::Role;

/// What of an earlier value is told beside the one that has taken its place.
const WAS: usize = 60;

/// What a document shows; it is made anew when this changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    tab: Tab,
    step: String,
    plan_version: u64,
    attempt: Option<u32>,
    since: Option<i64>,
    width: usize,
}

/// Lines and the first one that is seen.
#[derive(Debug, Clone, Default)]
pub struct Document {
    subject: Option<Subject>,
    /// The text, neutralised line by line, and how it is drawn.
    pub lines: Vec<Line>,
    /// First line that is seen.
    pub offset: usize,
}

impl Document {
    /// Scrolls by a number of lines, within what there is.
    pub fn scroll(&mut self, by: isize, height: usize) {
        let furthest = self.lines.len().saturating_sub(height);
        self.offset = self.offset.saturating_add_signed(by).min(furthest);
    }
}

/// Makes the document anew, in so many columns, if what it shows has changed.
pub fn refresh(run: &mut OpenRun, width: u16) {
    let Some(position) = run.position() else {
        run.document = Document::default();
        return;
    };
    let width = usize::from(width);
    let state = &run.state;
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let subject = Subject {
        tab: run.tab,
        step: definition.step_id.clone(),
        plan_version: state.plan_version,
        attempt: run.shown_attempt().map(|attempt| attempt.number),
        since: step.since.map(|since| since.timestamp_micros()),
        width,
    };
    if run.document.subject.as_ref() == Some(&subject) {
        return;
    }
    let moved = run.document.subject.as_ref().is_none_or(|old| old.tab != subject.tab || old.step != subject.step);
    let lines = match run.tab {
        Tab::Definition => defined(state, definition, width),
        Tab::Result => result(run, width),
        Tab::Output | Tab::Attempts => Vec::new(),
    };
    // What stands in the place of the output is laid out while it is drawn, which knows its length.
    let longest = if run.tab == Tab::Output { usize::MAX } else { lines.len().saturating_sub(1) };
    let offset = if moved { 0 } else { run.document.offset.min(longest) };
    run.document = Document { subject: Some(subject), lines, offset };
}

/// What a document shows as it is copied: the JSON of it.
pub fn plain(run: &OpenRun) -> String {
    let json = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    match run.tab {
        Tab::Definition => {
            let step = run.position().map(|position| &run.state.plan.steps[position]);
            step.map(|step| json(&step_json(step))).unwrap_or_default()
        }
        _ => {
            let parts = by_hand(run).into_iter().chain(value(run).as_ref().map(json));
            parts.collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// The definition of a step; what is not as the run began with it is marked, and what it was is told.
fn defined(state: &RunState, step: &Step, width: usize) -> Vec<Line> {
    let mut notes: HashMap<String, Note> = HashMap::new();
    let mut value = step_json(step);
    let (since, first) = beginning(state, &step.step_id);
    let changes = first.map(|first| field_changes(first, step)).unwrap_or_default();
    for change in &changes {
        let name = change.field.split('.').next().unwrap_or_default();
        let note = notes.entry(name.to_owned()).or_default();
        note.changed = true;
        // A field within another is named.
        let field = if change.field == name { String::new() } else { format!("{} ", text::clean(&change.field)) };
        note.below.push(format!("{field}was {}", was(&change.before)));
        if let Some(fields) = value.as_object_mut() {
            fields.entry(name).or_insert_with(|| "none".into());
        }
    }
    for (name, default) in &state.plan.defaults {
        let alias = ALIASES.iter().find(|(kind, alias, _)| *kind == "Step" && alias == name);
        let name = alias.map_or(name.as_str(), |(_, _, field)| field);
        if is_same(value.get(name), default) {
            notes.entry(name.to_owned()).or_default().behind = Some("the plan's default".into());
        }
    }
    let said = match (since, changes.is_empty()) {
        (1, true) => None,
        (1, false) => Some("changed since version 1 of the plan: ~ marks what is not as it was".to_owned()),
        (version, true) => Some(format!("added in version {version} of the plan")),
        (version, false) => {
            Some(format!("added in version {version} of the plan, and changed since: ~ marks what is not as it was"))
        }
    };
    let said = said.into_iter().flat_map(|said| [vec![(said, Role::Muted)], Vec::new()]);
    said.chain(fields::lines(&value, width, &notes)).collect()
}

/// The version of the plan in which a step came into it, and how it was defined there, if it has been changed since.
fn beginning<'a>(state: &'a RunState, id: &str) -> (u64, Option<&'a Step>) {
    let mut found = (1, None);
    for version in &state.versions {
        for edit in &version.change.edits {
            if let Edit::Add { step, .. } = edit
                && step.step_id == id
            {
                found = (version.change.version, Some(step.as_ref()));
            }
        }
        for edit in &version.change.inverse {
            if let Edit::Replace { step } = edit
                && step.step_id == id
            {
                found.1 = found.1.or(Some(step.as_ref()));
            }
        }
    }
    found
}

/// An earlier value, in a line.
fn was(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) if text.contains('\n') => {
            format!("a text of {}", super::words::count(text.lines().count(), "line"))
        }
        Value::String(said) => text::fit(&text::clean(said), WAS).into_owned(),
        Value::Number(number) => number_in_words(number),
        other => text::fit(&text::clean(&other.to_string()), WAS).into_owned(),
    }
}

/// Whether a field has what the plan's defaults say: a whole number is the same however it is written.
fn is_same(value: Option<&Value>, default: &Value) -> bool {
    match (value, default) {
        (Some(Value::Number(value)), Value::Number(default)) => number_in_words(value) == number_in_words(default),
        (value, default) => value == Some(default),
    }
}

fn by_hand(run: &OpenRun) -> Option<String> {
    let by_hand = run.step()?.by_hand.as_ref().filter(|_| run.attempt.is_none())?;
    Some(format!("completed by hand by {}", text::clean(&by_hand.user)))
}

/// What the step, or the attempt that is looked at, gave as its result.
fn value(run: &OpenRun) -> Option<Value> {
    let step = run.step()?;
    if let Some(by_hand) = step.by_hand.as_ref().filter(|_| run.attempt.is_none()) {
        return by_hand.result.as_ref().and_then(|result| serde_json::to_value(result).ok());
    }
    if step.expansion.is_some() {
        return run.state.result_data(run.position()?);
    }
    let outcome = run.shown_attempt()?.outcome.as_ref()?;
    outcome.result.as_ref().and_then(|result| serde_json::to_value(result).ok())
}

fn result(run: &OpenRun, width: usize) -> Vec<Line> {
    let value = value(run).map(|value| fields::lines(&value, width, &HashMap::new()));
    let by_hand = by_hand(run).map(|said| vec![(said, Role::Text)]);
    let between = (by_hand.is_some() && value.is_some()).then(Vec::new);
    by_hand.into_iter().chain(between).chain(value.into_iter().flatten()).collect()
}
