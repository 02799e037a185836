//! What can be made of a plan in which something has the wrong type, so that the rest of it is checked all the same. Such a plan is never run.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AgentSpec, Plan, Step};

/// The plan without what cannot be read: values of the wrong type, unknown fields, entries that are no agent. Every step keeps its place.
/// `None` when it is no object at all.
pub(super) fn salvage(text: &str) -> Option<Plan> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else { return None };
    let steps = match fields.remove("steps") {
        Some(Value::Array(steps)) => steps.into_iter().map(step).collect(),
        _ => Vec::new(),
    };
    match fields.get_mut("agents") {
        Some(Value::Object(agents)) => {
            for entry in agents.values_mut().filter(|entry| AgentSpec::deserialize(&**entry).is_err()) {
                // Whoever names it has an agent, though nothing is known of it.
                *entry = json!({"kind": "simulated"});
            }
        }
        None | Some(Value::Null) => {}
        // Nobody's agent could be found.
        Some(_) => return None,
    }
    let alone = |name: &str, value: &Value| {
        let mut plan = Map::new();
        plan.insert("plan_id".into(), json!("p"));
        plan.insert("steps".into(), json!([]));
        plan.insert(name.to_owned(), value.clone());
        serde_json::from_value::<Plan>(Value::Object(plan)).is_ok()
    };
    fields.retain(|name, value| alone(name, value));
    fields.entry("plan_id").or_insert_with(|| json!("p"));
    fields.insert("steps".into(), Value::Array(steps));
    serde_json::from_value(Value::Object(fields)).ok()
}

/// A step without what cannot be read. One of which nothing can be read stands for nothing: nobody is asked to do it.
fn step(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return json!({"step_id": "", "run": "true"}) };
    let alone = |name: &str, value: &Value| {
        let mut step = Map::new();
        step.insert("step_id".into(), json!(""));
        step.insert(name.to_owned(), value.clone());
        serde_json::from_value::<Step>(Value::Object(step)).is_ok()
    };
    // Who was to do it is not known when that is what cannot be read.
    let doer = ["run", "agent_type", "agent_name"]
        .iter()
        .any(|name| fields.get(*name).is_some_and(|value| !alone(name, value)));
    fields.retain(|name, value| alone(name, value));
    if doer {
        fields.insert("run".into(), json!("true"));
    }
    fields.entry("step_id").or_insert_with(|| json!(""));
    Value::Object(fields)
}
