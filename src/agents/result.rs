//! What an agent says of its work, from JSON to [`AgentResult`].
//!
//! A JSON object made only of result fields (`status`, `data`, `quality_score`, `quality_details`, `sources`, `metadata`, `error`) is a
//! result. Any other JSON is a result's `data`. An object that has a `status` of `success`, `failed` or `partial` *and* other fields could
//! be either, and a failure must not pass for data: it is refused, and the message says how to write what was meant.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::run::{AgentResult, ResultStatus};

/// A result may be this large, in bytes of JSON.
pub const MAX_RESULT_BYTES: u64 = 8 * 1024 * 1024;

/// A value in a result may be nested this deep. What holds it in the journal adds some levels, and JSON that is much deeper is refused by its
/// readers.
pub const MAX_RESULT_DEPTH: usize = 100;

const FIELDS: [&str; 7] = ["status", "data", "quality_score", "quality_details", "sources", "metadata", "error"];

/// Reads a result that may be data only.
pub(super) fn from_free_json(bytes: &[u8]) -> Result<AgentResult, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty; write JSON, or leave the file away".into());
    }
    let value = parse(bytes)?;
    match value {
        Value::Object(fields) if is_result(&fields) => from_fields(fields),
        Value::Object(fields) if has_verdict(&fields) => Err(could_be_either(&fields)),
        data => from_data(data),
    }
}

/// Reads what a service answered that may know nothing of results: what cannot be one is data. Only a failure does not pass for data.
pub(super) fn from_answer(value: Value) -> Result<AgentResult, String> {
    let failed = value.get("status").is_some_and(|status| status == "failed");
    match value {
        Value::Object(fields) if is_result(&fields) => match from_fields(fields.clone()) {
            Err(_) if !failed => from_data(Value::Object(fields)),
            read => read,
        },
        Value::Object(fields) if failed => Err(could_be_either(&fields)),
        data => from_data(data),
    }
}

/// Reads JSON.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| match is_too_deep(&error) {
        true => too_deep(),
        false => format!("it is not JSON: {error}"),
    })
}

/// A result that is data and nothing else.
pub(super) fn from_data(data: Value) -> Result<AgentResult, String> {
    if depth(&data) > MAX_RESULT_DEPTH {
        return Err(too_deep());
    }
    Ok(AgentResult { data: Some(data), ..AgentResult::default() })
}

/// Whether an object has the fields of a result and no others.
fn is_result(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && unknown(fields).is_none()
}

fn could_be_either(fields: &Map<String, Value>) -> String {
    let field = unknown(fields).unwrap_or_default();
    format!(
        "it has a `status` like a result, and the field `{field}`, which results do not have; put what is data under `data`"
    )
}

/// Reads a result given by its fields.
pub(super) fn from_fields(fields: Map<String, Value>) -> Result<AgentResult, String> {
    if let Some(field) = unknown(&fields) {
        return Err(format!("results have no field `{field}`; they have {}", FIELDS.join(", ")));
    }
    // By field, so that the message can name the one that is wrong.
    let mut result = AgentResult::default();
    for (name, value) in fields {
        if depth(&value) > MAX_RESULT_DEPTH {
            return Err(too_deep());
        }
        if value.is_null() && name != "data" {
            continue;
        }
        match name.as_str() {
            "status" => result.status = Some(field(&name, value, "`success`, `failed` or `partial`")?),
            "data" => result.data = Some(value),
            "quality_score" => result.quality_score = Some(field(&name, value, "a number from 0 to 1")?),
            "quality_details" => {
                result.quality_details = Some(field(&name, value, "an object of numbers from 0 to 1")?)
            }
            "sources" => result.sources = Some(field(&name, value, "a list")?),
            "metadata" => result.metadata = Some(field(&name, value, "an object")?),
            _ => result.error = Some(field(&name, value, "a text")?),
        }
    }
    let outside = |score: f64| !(0.0..=1.0).contains(&score);
    if let Some(score) = result.quality_score.filter(|score| outside(*score)) {
        return Err(format!("`quality_score` is {score}; it must lie between 0 and 1"));
    }
    if let Some((name, score)) = result.quality_details.iter().flatten().find(|(_, score)| outside(**score)) {
        return Err(format!("`quality_details.{name}` is {score}; it must lie between 0 and 1"));
    }
    Ok(result)
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_RESULT_DEPTH} levels")
}

/// Whether JSON was refused for its depth: the parser has its own limit, above ours, and no kind of error for it.
pub(super) fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

/// How deep a value is nested; 0 for one that holds none. Recursive, which the parser's own limit bounds.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn field<T: serde::de::DeserializeOwned>(name: &str, value: Value, expected: &str) -> Result<T, String> {
    serde_json::from_value(value).map_err(|_| format!("`{name}` must be {expected}"))
}

fn unknown(fields: &Map<String, Value>) -> Option<&str> {
    fields.keys().map(String::as_str).find(|name| !FIELDS.contains(name))
}

fn has_verdict(fields: &Map<String, Value>) -> bool {
    fields.get("status").is_some_and(|status| serde_json::from_value::<ResultStatus>(status.clone()).is_ok())
}

/// Reads and removes the file named by `HOLDPOINT_RESULT`; `None` when there is none. Waits for the disk.
pub(super) fn take_file(path: &Path) -> Option<Result<AgentResult, String>> {
    let kind = path.symlink_metadata().ok()?;
    let read = || {
        // A pipe or a device would make us wait for whoever holds its other end.
        if !kind.is_file() {
            return Err("it is not a regular file".into());
        }
        let file = std::fs::File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
        let mut bytes = Vec::new();
        let count = file.take(MAX_RESULT_BYTES + 1).read_to_end(&mut bytes);
        let count = count.map_err(|error| format!("it cannot be read: {error}"))?;
        if count as u64 > MAX_RESULT_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_RESULT_BYTES >> 20));
        }
        from_free_json(&bytes)
    };
    let result = read();
    remove_file(path);
    Some(result)
}

/// Removes the file, if there is one.
pub(super) fn remove_file(path: &Path) {
    // What cannot be removed harms nobody: the name is never used again.
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn what_is_nested_as_deep_as_allowed_is_taken() {
        assert!(from_free_json(nested(MAX_RESULT_DEPTH).as_bytes()).is_ok());
        assert!(from_free_json(format!("{{\"data\": {}}}", nested(MAX_RESULT_DEPTH)).as_bytes()).is_ok());
    }

    fn read(value: Value) -> Result<AgentResult, String> {
        from_free_json(value.to_string().as_bytes())
    }

    #[test]
    fn known_fields_are_a_result_and_anything_else_is_data() {
        let result = read(json!({"status": "partial", "data": [1], "quality_score": 0.5, "error": "half"})).unwrap();
        assert_eq!(result.status, Some(ResultStatus::Partial));
        assert_eq!(result.data, Some(json!([1])));
        assert_eq!(result.error.as_deref(), Some("half"));
        for data in
            [json!({"rows": 3}), json!([1, 2]), json!("text"), json!(null), json!({}), json!({"status": "up", "x": 1})]
        {
            assert_eq!(read(data.clone()).unwrap(), AgentResult { data: Some(data), ..Default::default() });
        }
    }

    #[test]
    fn what_a_service_answers_is_data_unless_it_is_a_result_or_a_failure() {
        let scored = from_answer(json!({"status": "partial", "quality_score": 0.5})).unwrap();
        assert_eq!((scored.status, scored.quality_score), (Some(ResultStatus::Partial), Some(0.5)));
        for data in
            [json!({"status": "ok"}), json!({"status": "success", "id": 5}), json!({"error": {"code": 1}}), json!("x")]
        {
            assert_eq!(from_answer(data.clone()).unwrap(), AgentResult { data: Some(data), ..Default::default() });
        }
        assert_eq!(from_answer(json!({"status": "failed"})).unwrap().status, Some(ResultStatus::Failed));
        assert!(from_answer(json!({"status": "failed", "why": "x"})).unwrap_err().contains("`why`"));
        assert!(from_answer(parse(nested(MAX_RESULT_DEPTH + 1).as_bytes()).unwrap()).is_err());
    }

    #[test]
    fn what_could_be_either_or_is_broken_is_refused_with_the_reason() {
        let refusals = [
            (json!({"status": "failed", "rows": 3}).to_string(), "`rows`"),
            (json!({"quality_score": 1.2}).to_string(), "between 0 and 1"),
            (json!({"quality_details": {"depth": -1}}).to_string(), "quality_details.depth"),
            (json!({"status": "good"}).to_string(), "`success`, `failed` or `partial`"),
            (json!({"sources": "web"}).to_string(), "`sources` must be a list"),
            ("{\"data\": 1".to_string(), "not JSON"),
            (nested(MAX_RESULT_DEPTH + 1), "nested deeper than 100"),
            (format!("{{\"metadata\": {{\"x\": {}}}}}", nested(MAX_RESULT_DEPTH)), "nested deeper than 100"),
            (nested(5000), "nested deeper than 100"),
            (" \n".to_string(), "empty"),
        ];
        for (text, expected) in refusals {
            let error = from_free_json(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
