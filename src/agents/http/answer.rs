//! What a server answered, and the result it stands for.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use crate::run::AgentResult;

use super::super::masking::Masker;
use super::super::result::{self, MAX_RESULT_BYTES};
use super::words;

/// An answer with its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// Where it came from, after all redirects.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The body goes on; of an answer that is no success only the beginning is read.
    pub cut: bool,
}

/// How a body is to be read, by what its header says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
    /// Nothing is said.
    Unknown,
    Other,
}

impl Answer {
    fn form(&self) -> Form {
        let Some(kind) = self.headers.get(CONTENT_TYPE) else { return Form::Unknown };
        let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        match kind.split_once('/') {
            Some((_, "json")) => Form::Json,
            Some((_, rest)) if rest.ends_with("+json") => Form::Json,
            Some(("text", _)) => Form::Text,
            Some((_, rest)) if rest.ends_with("xml") || rest.ends_with("yaml") || rest.ends_with("javascript") => {
                Form::Text
            }
            Some(_) => Form::Other,
            None => Form::Unknown,
        }
    }

    fn is_blank(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The body as JSON, whatever its header says.
    pub fn json(&self) -> Result<Value, String> {
        result::parse(&self.body)
    }

    /// The result it stands for; `None` for an empty body.
    pub fn result(&self, pointer: Option<&str>) -> Result<Option<AgentResult>, String> {
        if let Some(pointer) = pointer {
            let json = self.json().map_err(|error| format!("the result at `{pointer}` cannot be taken: {error}"))?;
            let found = json.pointer(pointer).cloned();
            let found = found.ok_or_else(|| format!("the answer has nothing at `{pointer}` (`result`)"))?;
            return usable(result::from_answer(found));
        }
        if self.is_blank() {
            return Ok(None);
        }
        match self.form() {
            Form::Json => usable(self.json().and_then(result::from_answer)),
            // Only an object or a list is JSON beyond doubt.
            Form::Unknown => match self.json() {
                Ok(json @ (Value::Object(_) | Value::Array(_))) => usable(result::from_answer(json)),
                _ => self.text(),
            },
            Form::Text => self.text(),
            Form::Other => Ok(Some(self.described())),
        }
    }

    fn text(&self) -> Result<Option<AgentResult>, String> {
        let text = std::str::from_utf8(&self.body).ok().filter(|text| !text.contains('\0'));
        let Some(text) = text else { return Ok(Some(self.described())) };
        let data = Value::from(text);
        // What has to be escaped grows when it is written down.
        if data.to_string().len() as u64 > MAX_RESULT_BYTES {
            return Err(format!("the answer, written as JSON, is larger than {} MiB", MAX_RESULT_BYTES >> 20));
        }
        Ok(Some(AgentResult { data: Some(data), ..AgentResult::default() }))
    }

    /// What is kept of a body that is no text: its type and size.
    fn described(&self) -> AgentResult {
        let kind = self.headers.get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let data = json!({"content_type": kind, "bytes": self.body.len()});
        AgentResult { data: Some(data), ..AgentResult::default() }
    }

    /// The status with the beginning of the body, for a message.
    pub fn in_words(&self, secrets: &Masker) -> String {
        let status = words::status(self.status);
        match words::excerpt(&self.body, secrets) {
            Some(excerpt) => format!("{status}: {excerpt}"),
            None => status,
        }
    }
}

fn usable(read: Result<AgentResult, String>) -> Result<Option<AgentResult>, String> {
    read.map(Some).map_err(|error| format!("the answer cannot be used as a result: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ResultStatus;

    fn answer(kind: Option<&str>, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        let url = Url::parse("http://h/").unwrap();
        Answer { status: StatusCode::OK, url, headers, body: body.to_vec(), cut: false }
    }

    fn data(kind: Option<&str>, body: &[u8]) -> Option<Value> {
        answer(kind, body).result(None).unwrap().and_then(|result| result.data)
    }

    #[test]
    fn the_type_says_how_a_body_is_read() {
        assert_eq!(data(Some("application/json"), b"{\"a\": 1}"), Some(json!({"a": 1})));
        assert_eq!(data(Some("application/problem+json; charset=utf-8"), b"[1]"), Some(json!([1])));
        assert_eq!(data(Some("text/plain"), b"{\"a\": 1}"), Some(json!("{\"a\": 1}")));
        assert_eq!(data(Some("application/xml"), b"<a/>"), Some(json!("<a/>")));
        assert_eq!(data(None, b"{\"a\": 1}"), Some(json!({"a": 1})));
        assert_eq!(data(None, b"12"), Some(json!("12")));
        assert_eq!(data(Some("application/json"), b" \n"), None);
        let image = data(Some("image/png"), b"\x89PNG\0").unwrap();
        assert_eq!(image, json!({"content_type": "image/png", "bytes": 5}));
        assert_eq!(data(Some("text/plain"), b"\xff\xfe").unwrap()["bytes"], 2);
        let error = answer(Some("application/json"), b"{\"a\": ").result(None).unwrap_err();
        assert!(error.contains("not JSON"), "{error}");
    }

    #[test]
    fn a_pointer_picks_the_result_whatever_the_type() {
        let body = answer(Some("text/plain"), br#"{"out": {"status": "failed", "error": "no"}, "n": [1, 2]}"#);
        assert_eq!(body.result(Some("/n/1")).unwrap().unwrap().data, Some(json!(2)));
        assert_eq!(body.result(Some("/out")).unwrap().unwrap().status, Some(ResultStatus::Failed));
        assert!(body.result(Some("/rows")).unwrap_err().contains("nothing at `/rows`"));
        assert!(answer(None, b"<html>").result(Some("/x")).unwrap_err().contains("not JSON"));
        assert!(answer(None, b"").result(Some("")).is_err());
    }
}
