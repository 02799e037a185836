//! What a tool gave back, and the result it stands for.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Value, json};

use crate::run::{AgentResult, ResultStatus};

use super::super::result::{self, MAX_RESULT_BYTES};

/// How much of what a tool says stands in an error, in characters.
const SAID: usize = 1_000;

/// The texts of an answer, for the output.
pub(super) fn text(answer: &CallToolResult) -> String {
    let lines = answer.content.iter().map(|block| match block {
        ContentBlock::Text(text) => text.text.clone(),
        other => described(other).to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The result: what is structured goes before texts. `None` when nothing was given.
///
/// # Errors
/// It is larger or deeper than a result may be.
pub(super) fn result(answer: &CallToolResult) -> Result<Option<AgentResult>, String> {
    let data = answer.structured_content.clone().or_else(|| content(&answer.content));
    let mut result = match data {
        Some(data) => usable(data)?,
        None if answer.is_error == Some(true) => AgentResult::default(),
        None => return Ok(None),
    };
    if answer.is_error == Some(true) {
        result.status = Some(ResultStatus::Failed);
        result.error = result.error.or_else(|| Some(said(answer)));
    }
    Ok(Some(result))
}

/// Why a tool says that it failed.
fn said(answer: &CallToolResult) -> String {
    let texts = answer.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.trim()),
        _ => None,
    });
    let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    let text = text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SAID) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "the tool says that it failed, and not why".into(),
        None => text,
    }
}

fn usable(data: Value) -> Result<AgentResult, String> {
    if data.to_string().len() as u64 > MAX_RESULT_BYTES {
        return Err(format!("the answer, written as JSON, is larger than {} MiB", MAX_RESULT_BYTES >> 20));
    }
    // Whether a tool has failed is said by the protocol: what only looks like a failure is data.
    let read = result::from_answer(data.clone()).or_else(|_| result::from_data(data));
    read.map_err(|error| format!("the answer cannot be used as a result: {error}"))
}

fn content(blocks: &[ContentBlock]) -> Option<Value> {
    match blocks {
        [] => None,
        [one] => Some(value(one)),
        several => Some(several.iter().map(value).collect()),
    }
}

fn value(block: &ContentBlock) -> Value {
    let ContentBlock::Text(text) = block else { return described(block) };
    // Only an object or a list is JSON beyond doubt.
    match serde_json::from_str(&text.text) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
        _ => Value::from(text.text.as_str()),
    }
}

/// What is noted of a block that is no text: its type and size.
fn described(block: &ContentBlock) -> Value {
    // Every three bytes are four characters; what fills up the last four counts for nothing.
    let size = |base64: &str| base64.trim_end_matches('=').len() * 3 / 4;
    match block {
        ContentBlock::Text(text) => Value::from(text.text.as_str()),
        ContentBlock::Image(image) => {
            json!({"type": "image", "content_type": image.mime_type, "bytes": size(&image.data)})
        }
        ContentBlock::Audio(audio) => {
            json!({"type": "audio", "content_type": audio.mime_type, "bytes": size(&audio.data)})
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, mime_type, text, .. } => {
                json!({"type": "resource", "uri": uri, "content_type": mime_type, "text": text})
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                json!({"type": "resource", "uri": uri, "content_type": mime_type, "bytes": size(blob)})
            }
            _ => json!({"type": "resource"}),
        },
        ContentBlock::ResourceLink(link) => {
            json!({"type": "resource_link", "uri": link.uri, "name": link.name, "content_type": link.mime_type, "bytes": link.size})
        }
        other => json!({"type": serde_json::to_value(other).unwrap_or_default()["type"]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: Value) -> CallToolResult {
        serde_json::from_value(value).unwrap()
    }

    fn data(value: Value) -> Option<Value> {
        result(&answer(value)).unwrap().and_then(|result| result.data)
    }

    #[test]
    fn what_is_structured_goes_first_then_text_that_is_json_then_text() {
        let text = |text: &str| json!({"type": "text", "text": text});
        assert_eq!(data(json!({"content": [text("x")], "structuredContent": {"n": 1}})), Some(json!({"n": 1})));
        assert_eq!(data(json!({"content": [text("{\"n\": [2]}")]})), Some(json!({"n": [2]})));
        assert_eq!(data(json!({"content": [text("12")]})), Some(json!("12")));
        assert_eq!(data(json!({"content": [text("a"), text("[1]")]})), Some(json!(["a", [1]])));
        assert_eq!(data(json!({"content": []})), None);
        let image = json!({"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"});
        let noted = json!({"type": "image", "content_type": "image/png", "bytes": 5});
        assert_eq!(data(json!({"content": [image]})), Some(noted));
        let scored = result(&answer(json!({"content": [text("{\"quality_score\": 0.5, \"data\": 1}")]})));
        assert_eq!(scored.unwrap().unwrap().quality_score, Some(0.5));
        // Only the protocol says that a tool has failed.
        let job = json!({"status": "failed", "id": 3});
        assert_eq!(data(json!({"content": [], "structuredContent": job})), Some(job));
    }

    #[test]
    fn a_failure_has_the_words_of_the_tool() {
        let failed = answer(json!({"isError": true, "content": [{"type": "text", "text": "no such\nfile"}]}));
        let failed = result(&failed).unwrap().unwrap();
        assert_eq!(failed.status, Some(ResultStatus::Failed));
        assert_eq!(failed.error.as_deref(), Some("no such file"));
        let silent = result(&answer(json!({"isError": true, "content": []}))).unwrap().unwrap();
        assert!(silent.error.unwrap().contains("not why"));
        let large = json!({"content": [{"type": "text", "text": "x".repeat(MAX_RESULT_BYTES as usize)}]});
        assert!(result(&answer(large)).unwrap_err().contains("8 MiB"));
    }
}
