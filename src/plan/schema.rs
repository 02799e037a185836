//! The JSON Schema of the plan format: generated from the types, then made as strict as the loader where a schema can be.

use serde_json::{Map, Value, json};

use super::{ALIASES, Plan};

/// The JSON Schema (2020-12) of a plan.
pub fn schema() -> Value {
    let generated = schemars::schema_for!(Plan).to_value();
    let mut schema = json!({
        "$schema": generated["$schema"],
        "title": "Holdpoint plan",
        "description": "A plan that holdpoint runs: what should happen, step by step.",
    });
    if let (Some(object), Value::Object(generated)) = (schema.as_object_mut(), generated) {
        for (key, value) in generated {
            object.entry(key).or_insert(value);
        }
    }
    strengthen(&mut schema);
    add_aliases(&mut schema);
    add_defaults(&mut schema);
    schema
}

/// Whether a text is a JSON Schema, which lies beside plans for editors, and no plan: it names a dialect of JSON Schema and has no steps. A plan
/// may have `$schema` as well, but that names the schema's file.
pub fn is_schema(text: &str) -> bool {
    // Plans are large, schemas are not: most texts are not read twice.
    if !text.contains("json-schema.org/") {
        return false;
    }
    let Ok(Value::Object(top)) = serde_json::from_str::<Value>(text) else { return false };
    let dialect = top.get("$schema").and_then(Value::as_str).and_then(|url| url.split_once("://"));
    dialect.is_some_and(|(_, rest)| rest.starts_with("json-schema.org/")) && !top.contains_key("steps")
}

/// What serde does and schemars does not say: `null` for any field that may be left out, and the bounds of integer types.
fn strengthen(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            match object.get("format").and_then(Value::as_str) {
                Some("uint32") => bound(object, json!(0), json!(u32::MAX)),
                Some("uint64") => bound(object, json!(0), json!(u64::MAX)),
                Some("int32") => bound(object, json!(i32::MIN), json!(i32::MAX)),
                _ => {}
            }
            // Names of machine types mean nothing to a reader.
            if object.get("format").and_then(Value::as_str).is_some_and(|format| format != "date-time") {
                object.remove("format");
            }
            allow_null(object);
            // `properties` maps names to schemas; a field named `format` or `properties` is none of our business here.
            for (key, value) in object.iter_mut() {
                match (key.as_str(), value) {
                    ("properties" | "$defs", Value::Object(named)) => named.values_mut().for_each(strengthen),
                    ("const" | "enum" | "default" | "required" | "type", _) => {}
                    (_, value) => strengthen(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strengthen),
        _ => {}
    }
}

fn bound(object: &mut Map<String, Value>, least: Value, most: Value) {
    object.entry("minimum").or_insert(least);
    object.entry("maximum").or_insert(most);
}

fn allow_null(object: &mut Map<String, Value>) {
    let required: Vec<String> = object
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (name, property) in properties.iter_mut().filter(|(name, _)| !required.contains(name)) {
        let Some(property) = property.as_object_mut() else { continue };
        if name == "kind" {
            continue;
        }
        if let Some(Value::String(only)) = property.get("type") {
            let both = json!([only, "null"]);
            property.insert("type".into(), both);
        }
    }
}

fn definition<'a>(schema: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    if name == "Plan" {
        return schema.as_object_mut();
    }
    schema.get_mut("$defs")?.get_mut(name)?.as_object_mut()
}

fn add_aliases(schema: &mut Value) {
    for (owner, alias, field) in ALIASES {
        let Some(object) = definition(schema, owner) else { continue };
        let Some(Value::Object(properties)) = object.get_mut("properties") else { continue };
        if let Some(mut property) = properties.get(field).cloned() {
            property["description"] = format!("Older schema: another spelling of `{field}`.").into();
            properties.insert(alias.into(), property);
        }
        let both = json!({"not": {"required": [field, alias]}});
        if let Some(rules) = object.entry("allOf").or_insert_with(|| json!([])).as_array_mut() {
            rules.push(both);
        }
    }
}

/// `defaults` takes what a step takes, but no id and nothing is required.
fn add_defaults(schema: &mut Value) {
    let Some(step) = definition(schema, "Step") else { return };
    let mut defaults = step.clone();
    defaults.insert("description".into(), "What a step does not say itself.".into());
    defaults.remove("required");
    if let Some(Value::Object(properties)) = defaults.get_mut("properties") {
        properties.shift_remove("step_id");
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.insert("StepDefaults".into(), defaults.into());
    }
    if let Some(field) = schema.pointer_mut("/properties/defaults").and_then(Value::as_object_mut) {
        field.remove("type");
        field.remove("additionalProperties");
        field.insert("anyOf".into(), json!([{"$ref": "#/$defs/StepDefaults"}, {"type": "null"}]));
    }
}
