//! What is said of requests and answers: without secrets, bounded, on lines of their own.

use std::error::Error;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{StatusCode, Url};

use super::super::masking::{MASK, Masker};

/// How much of an answer stands in an error message, in characters.
const EXCERPT: usize = 200;
/// How much of a header's value is told, in characters.
const HEADER: usize = 200;
/// How many headers of an answer are told.
const HEADERS: usize = 50;

/// Parts of names of headers that hold what must not be read.
const PRIVATE: [&str; 9] =
    ["auth", "cookie", "token", "secret", "password", "signature", "session", "api-key", "apikey"];

/// Whether a header's value is nobody's business by its name.
pub(super) fn is_private(name: &HeaderName) -> bool {
    PRIVATE.iter().any(|part| name.as_str().contains(part))
}

/// What a secret looks like within a URL, a form and JSON.
pub(in crate::agents) fn written(secret: &str) -> Vec<String> {
    let mut looks = Vec::new();
    if let Ok(url) = Url::parse(&format!("http://h/{secret}")) {
        looks.push(url.path().trim_start_matches('/').to_owned());
    }
    if let Ok(mut url) = Url::parse("http://h/") {
        url.set_query(Some(secret));
        looks.extend(url.query().map(str::to_owned));
        url.query_pairs_mut().clear().append_pair("", secret);
        looks.extend(url.query().map(|query| query.trim_start_matches('=').to_owned()));
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(secret);
        }
        looks.push(url.path().trim_start_matches('/').to_owned());
    }
    looks.extend([percent(secret, b"-._~"), percent(secret, b"-._~/")]);
    // A service that gives back what it was sent may give JSON within JSON.
    let json = |text: &str| {
        let written = serde_json::Value::from(text).to_string();
        written[1..written.len() - 1].to_owned()
    };
    looks.extend([json(secret), json(&json(secret))]);
    looks.retain(|look| look != secret);
    looks
}

/// Every byte but letters, digits and those that are kept as `%XX`.
fn percent(text: &str, kept: &[u8]) -> String {
    let write = |byte: u8| match byte.is_ascii_alphanumeric() || kept.contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(write).collect()
}

/// A URL as it may be shown: without user, password, fragment and secrets.
pub(in crate::agents) fn url(url: &Url, secrets: &Masker) -> String {
    let mut url = url.clone();
    // Refused only where a URL can have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    secrets.text(url.as_str()).into_owned()
}

/// A status with its name.
pub(super) fn status(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Headers, one a line, behind a mark.
pub(super) fn headers(mark: &str, headers: &HeaderMap, secrets: &Masker) -> String {
    let mut lines = String::new();
    for (name, value) in headers.iter().take(HEADERS) {
        let value = if is_private(name) { MASK.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        let value = secrets.text(&value);
        lines.push_str(&format!("{mark} {name}: {}\n", cut(&value, HEADER)));
    }
    if headers.len() > HEADERS {
        lines.push_str(&format!("{mark} … {} more\n", headers.len() - HEADERS));
    }
    lines
}

/// The beginning of an answer on one line; `None` for one that is no text or says nothing.
pub(in crate::agents) fn excerpt(body: &[u8], secrets: &Masker) -> Option<String> {
    let text = text(body)?;
    let text = secrets.text(text);
    let words: Vec<&str> =
        text.split(|sign: char| sign.is_whitespace() || sign.is_control()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| cut(&words.join(" "), EXCERPT))
}

/// The beginning of bytes that is text, if they are text; a character that is cut at the end does not matter.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((place, _)) => format!("{}…", &text[..place]),
        None => text.to_owned(),
    }
}

/// The cause of an error that has no further cause: what the system or the library said itself. Without URLs, which may hold secrets.
pub(in crate::agents) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A duration as people say it.
pub(in crate::agents) fn seconds(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 10.0 || seconds.fract() == 0.0 { format!("{seconds:.0} s") } else { format!("{seconds:.1} s") }
}

/// How long something took.
pub(in crate::agents) fn took(duration: std::time::Duration) -> String {
    if duration.as_secs() == 0 { format!("{} ms", duration.as_millis()) } else { seconds(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_however_they_are_written_into_a_url() {
        let secret = "p/a s&s\"?é%";
        let masker = Masker::new([secret]).unwrap().with(written, vec!["QmFzaWM".into()]).unwrap();
        let mut made = Url::parse("https://u:pw@h/a/?x=1#f").unwrap();
        made.query_pairs_mut().append_pair("key", secret);
        assert_eq!(url(&made, &masker), "https://h/a/?x=1&key=•••");
        made.set_query(Some(secret));
        assert_eq!(url(&made, &masker), "https://h/a/?•••");
        made.set_query(None);
        made.path_segments_mut().unwrap().pop_if_empty().push(secret);
        assert_eq!(url(&made, &masker), "https://h/a/•••");
        let json = serde_json::json!({"echo": secret, "basic": "QmFzaWM"}).to_string();
        assert_eq!(masker.text(&json), r#"{"echo":"•••","basic":"•••"}"#);
    }

    #[test]
    fn an_excerpt_is_one_short_line_of_text() {
        let none = Masker::default();
        assert_eq!(excerpt(b" a\n\tb\x1b[31m ", &none).as_deref(), Some("a b [31m"));
        assert_eq!(excerpt("é".repeat(500).as_bytes(), &none).unwrap().chars().count(), EXCERPT + 1);
        assert_eq!(excerpt(b" \n", &none), None);
        assert_eq!(excerpt(b"\xff\xfe", &none), None);
        assert_eq!(excerpt(&"é".as_bytes()[..1], &none), None);
    }
}
