//! `foreach`: one definition of a step, and an instance of it for each item of a list.
//!
//! The step that the plan has stays what others depend on; its instances do the work. `t.0` is the instance of `t` for the first item: the
//! number in the id, `index` in expressions and the place in the list of results are the same.

use serde_json::Value;

use super::evaluate::{EvaluationError, Scope, evaluate, render_value};
use super::expression::{condition_names, is_template};
use super::{Generated, Rare, Step};

/// The id of the instance for an item, counted from 0.
pub fn instance_id(of: &str, index: u32) -> String {
    format!("{of}.{index}")
}

/// The instance of a `foreach` step for an item: it does the step's work. When the step runs is the step's own: what it depends on, its hold
/// point, and its condition, unless that asks about the item.
pub fn instance_of(step: &Step, index: u32) -> Step {
    Step {
        step_id: instance_id(&step.step_id, index),
        when: step.when.clone().filter(|_| !asks_before_expanding(step)),
        generated: Some(Box::new(Generated::Instance { of: step.step_id.clone(), index })),
        foreach: None,
        depends_on: None,
        parallel_group: None,
        hold: None,
        metadata: Rare::default(),
        older: Rare::default(),
        name: step.name.clone(),
        agent_type: step.agent_type.clone(),
        agent_name: step.agent_name.clone(),
        action: step.action.clone(),
        parameters: step.parameters.clone(),
        run: step.run.clone(),
        env: step.env.clone(),
        working_dir: step.working_dir.clone(),
        timeout_seconds: step.timeout_seconds,
        max_retries: step.max_retries,
        retry: step.retry.clone(),
        idempotent: step.idempotent,
        priority: step.priority,
        pool: step.pool.clone(),
        on_failure: step.on_failure,
        quality_gate: step.quality_gate.clone(),
        rollback: step.rollback.clone(),
    }
}

/// Whether a step has a condition that is asked of it as a whole. The condition of a `foreach` step that names `item` or `index` is asked of
/// each instance instead.
pub fn asks_before_expanding(step: &Step) -> bool {
    match &step.when {
        Some(when) if step.foreach.is_some() => !condition_names(when).item,
        when => when.is_some(),
    }
}

/// What a `foreach` says: the list with its expressions rendered, or what its expression gives, which may be no list.
///
/// # Errors
/// An expression that cannot be evaluated.
pub fn items(foreach: &Value, scope: &Scope) -> Result<Value, EvaluationError> {
    match foreach {
        Value::String(text) if !is_template(text) => evaluate(text, scope),
        other => render_value(other, scope),
    }
}
