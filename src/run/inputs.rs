//! What an attempt gets as its input, and whether a step is to run at all: the step's expressions with the values they have now.
//!
//! The core evaluates with every secret masked, and what it finds is journaled. The shell evaluates the same step once more with the secrets
//! in place when it starts the attempt; nobody else ever sees those strings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::plan::{self, EvaluationError, MAX_INSTANCES, Names, Scope, Step};

use super::{RunState, SkipReason, StepStatus};

/// The values of secret variables, by name. Never in a journal, a checkpoint or a log, so it shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets(pub BTreeMap<String, String>);

impl Secrets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Why a step has no input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// Where and what, in words.
    pub message: String,
    /// It needs the result of a step that the plan's own conditions left out: so it is left out as well.
    pub left_out: bool,
}

/// A step with its expressions rendered; `None` when it has none.
///
/// # Errors
/// An expression that cannot be evaluated, with its field.
pub fn rendered_step(state: &RunState, position: usize, secrets: &Secrets) -> Result<Option<Step>, InputError> {
    let step = &state.plan.steps[position];
    let names = plan::step_names(step);
    if !names.any {
        return Ok(None);
    }
    let scope = scope(state, Some(position), &names, secrets);
    let mut made = Step::clone(step);
    let fail = |field: String, error: EvaluationError| input_error(state, &field, &error);
    for (name, field) in [("run", &mut made.run), ("action", &mut made.action), ("working_dir", &mut made.working_dir)]
    {
        if let Some(text) = field {
            *text = plan::render(text, &scope).map_err(|error| fail(name.to_owned(), error))?.into();
        }
    }
    for (name, text) in made.env.iter_mut() {
        *text = plan::render(text, &scope).map_err(|error| fail(format!("env.{name}"), error))?;
    }
    for (name, value) in made.parameters.iter_mut() {
        *value = plan::render_value(value, &scope).map_err(|error| fail(format!("parameters.{name}"), error))?;
    }
    Ok(Some(made))
}

/// Any JSON with its expressions rendered for a step: what an agent's entry says, where `action`, `parameters` and `step_id` are the step's own
/// and `attempt_key` is the key of its newest attempt.
///
/// # Errors
/// An expression that cannot be evaluated.
pub fn rendered_value(state: &RunState, step: &Step, value: &Value, secrets: &Secrets) -> Result<Value, InputError> {
    let mut scope = scope(state, state.position(&step.step_id), &plan::value_names(value), secrets);
    scope.set("action", step.action.as_deref().map_or(Value::Null, Value::from));
    scope.set("parameters", Value::Object(Map::clone(&step.parameters)));
    scope.set("step_id", Value::from(step.step_id.clone()));
    if let Some(attempt) = state.step(&step.step_id).and_then(|(_, found)| found.attempt()) {
        scope.set("attempt_key", Value::from(state.attempt_key(&step.step_id, attempt)));
    }
    plan::render_value(value, &scope).map_err(|error| input_error(state, "the agent", &error))
}

/// Whether a step's condition is true; a step without one has none that is false.
///
/// # Errors
/// The condition cannot be evaluated.
pub fn condition(state: &RunState, position: usize) -> Result<bool, InputError> {
    let step = &state.plan.steps[position];
    let Some(when) = &step.when else { return Ok(true) };
    let scope = scope(state, Some(position), &plan::condition_names(when), &Secrets::default());
    plan::is_true(when, &scope).map_err(|error| input_error(state, "when", &error))
}

/// The items of a `foreach` step. They are journaled, so secrets stand masked in them.
///
/// # Errors
/// They cannot be evaluated, are no list, or too many.
pub fn items(state: &RunState, position: usize) -> Result<Vec<Value>, InputError> {
    let foreach = state.plan.steps[position].foreach.as_deref().unwrap_or(&Value::Null);
    let scope = scope(state, None, &plan::items_names(foreach), &Secrets::default());
    let made = plan::items(foreach, &scope).map_err(|error| input_error(state, "foreach", &error))?;
    let message = match made {
        Value::Array(items) if items.len() <= MAX_INSTANCES => return Ok(items),
        Value::Array(items) => format!("{} items, and a step has at most {MAX_INSTANCES} instances", items.len()),
        other => {
            let kind = match other {
                Value::Null => "nothing (null)",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) => "a text",
                _ => "an object",
            };
            format!("it gives {kind}, and a list is needed")
        }
    };
    Err(InputError { message: format!("foreach: {message}"), left_out: false })
}

fn input_error(state: &RunState, field: &str, error: &EvaluationError) -> InputError {
    let mut message = format!("{field}: {error}");
    let needed = error.missing.as_deref().and_then(|name| name.strip_prefix("steps.")?.split('.').next());
    let mut left_out = false;
    if let Some((_, found)) = needed.and_then(|id| state.step(id)) {
        let id = needed.unwrap_or_default();
        message.push_str(&format!("; `{id}` is {}", found.status.word()));
        let by_itself = |why| matches!(why, SkipReason::Condition | SkipReason::Upstream);
        left_out = found.status == StepStatus::Skipped && found.skip.as_ref().is_some_and(|skip| by_itself(skip.why));
    }
    InputError { message, left_out }
}

/// What the names stand for, in the step at a position. Only the steps that are named are looked at: a plan may have a hundred thousand.
fn scope(state: &RunState, position: Option<usize>, names: &Names, secrets: &Secrets) -> Scope {
    let mut scope = Scope::default();
    if let Some((index, item)) = position.and_then(|position| state.item(position)) {
        scope.set("item", item.clone());
        scope.set("index", index.into());
    }
    let mut vars: Map<String, Value> = state.options.variables.clone();
    for (name, value) in &secrets.0 {
        vars.insert(name.clone(), Value::from(value.as_str()));
    }
    scope.set("vars", Value::Object(vars));
    scope.set("env", json!(state.options.environment));
    scope.set(
        "run",
        json!({
            "id": state.run_id,
            "plan_id": state.plan.plan_id,
            "user": state.user,
            "started_at": state.started_at,
        }),
    );
    let mut steps = Map::new();
    let mut put = |position: usize| {
        let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
        let mut facts = json!({"status": step.status.word(), "attempts": step.attempts.len()});
        if let Some(result) = state.result_data(position) {
            facts["result"] = result;
        }
        if let Some(score) = step.quality_score() {
            facts["quality_score"] = score.into();
        }
        if let Some(attempt) = step.attempt().filter(|attempt| attempt.ended_at.is_some()) {
            facts["duration_seconds"] = attempt.seconds(state.updated_at).into();
        }
        steps.insert(definition.step_id.clone(), facts);
    };
    if names.every_step {
        (0..state.plan.written()).for_each(put);
    } else {
        names.steps.iter().filter_map(|id| state.position(id)).for_each(&mut put);
    }
    scope.set("steps", Value::Object(steps));
    scope
}
