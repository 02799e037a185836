//! A hook that is a web server: it gets the event as the body of a POST, signed with a secret that both sides know.
//!
//! `Holdpoint-Signature` is `v1=` and, in hex, the HMAC-SHA256 of `<Holdpoint-Timestamp>.<body>` under the secret. The time is that of the try, so that
//! an old request cannot be sent again by somebody else without being noticed.

use std::fmt::Write;
use std::time::Duration;

use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{StatusCode, Url};
use sha2::Sha256;

use crate::agents::{deepest_cause, http_client};

use super::deliver::Failed;
use super::event::Item;

/// No longer is a connection waited for.
const CONNECT: Duration = Duration::from_secs(10);

pub(super) async fn post(
    url: &str,
    secret: Option<&str>,
    item: &Item,
    body: &str,
    timeout: Duration,
) -> Result<(), Failed> {
    let refused = |why: String| Failed { why, again: false, after: None };
    let url: Url = url.parse().map_err(|error| refused(format!("its URL cannot be used: {error}")))?;
    let client = http_client(&url, CONNECT).await.map_err(refused)?;
    let now = Utc::now().timestamp().to_string();
    let mut request = client
        .post(url)
        .timeout(timeout)
        .header("Content-Type", "application/json")
        .header("Holdpoint-Event", item.kind.word())
        .header("Holdpoint-Delivery", &item.id)
        .header("Holdpoint-Timestamp", &now)
        .body(body.to_owned());
    if let Some(secret) = secret {
        let signature = sign(secret, &now, body).map_err(refused)?;
        request = request.header("Holdpoint-Signature", format!("v1={signature}"));
    }
    // What it says beside its status is not read.
    let answer = request.send().await.map_err(|error| Failed { why: why(&error), again: true, after: None })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let again = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    let after = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Failed { why: format!("the server answers {status}"), again, after: after.map(Duration::from_secs) })
}

/// The signature of a body that is sent at a time, in hex.
fn sign(secret: &str, timestamp: &str, body: &str) -> Result<String, String> {
    let key = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = key.map_err(|error| format!("its secret cannot be used: {error}"))?;
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    let mut hex = String::new();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() { "the server did not answer in time".into() } else { deepest_cause(error) }
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // By `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
        let expected = "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(sign("secret", "1700000000", r#"{"a":1}"#).unwrap(), expected);
    }
}
