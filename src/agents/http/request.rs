//! From an entry to the requests that are sent: the first one, those that follow a redirect, and those that ask for a job.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use crate::plan::{FRAMING_HEADERS, HttpAuth, HttpSpec};

use super::super::AttemptContext;
use super::super::masking::Masker;
use super::words;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// The request that an entry, with everything rendered, stands for.
    pub fn of(spec: &HttpSpec, context: &AttemptContext) -> Result<Self, String> {
        let method = spec.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or_else(|| format!("`{method}` is no method that can be used"))?;
        let mut url = checked_url(&spec.url)?;
        add_query(&mut url, &spec.query)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let body = body(spec, context, &method, &mut headers)?;
        if let Ok(key) = HeaderValue::from_str(&context.key) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        set_headers(&mut headers, &spec.headers)?;
        authorize(&mut headers, spec.auth.as_ref())?;
        Ok(Self { method, url, headers, body })
    }

    /// A request that asks how something stands, with the same headers where they are meant for whoever is asked.
    pub fn question(&self, url: Url, trusted: bool, secrets: &Masker) -> Self {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.remove(IDEMPOTENCY_KEY);
        let mut question = Self { method: Method::GET, url, headers, body: None };
        if !trusted && !same_place(&self.url, &question.url) {
            question.forget_who_asks(secrets);
        }
        question
    }

    /// The request that a redirect asks for.
    pub fn redirected(&self, status: StatusCode, location: &HeaderValue, secrets: &Masker) -> Result<Self, String> {
        let mut next = self.clone();
        let location = String::from_utf8_lossy(location.as_bytes());
        let url = self.url.join(&location).ok().filter(is_web);
        next.url = url.ok_or_else(|| {
            format!("it redirects to `{}`, which is no URL that can be asked", secrets.text(&location))
        })?;
        // What would be asked by whoever wrote the header, not by the plan.
        let _ = next.url.set_username("");
        let _ = next.url.set_password(None);
        let asks = [Method::GET, Method::HEAD].contains(&next.method);
        // As browsers have always done it.
        if !asks && (status == StatusCode::SEE_OTHER || (status.as_u16() < 303 && next.method == Method::POST)) {
            next.method = Method::GET;
            next.body = None;
            next.headers.remove(CONTENT_TYPE);
            next.headers.remove(IDEMPOTENCY_KEY);
        }
        if !same_place(&self.url, &next.url) {
            next.forget_who_asks(secrets);
            let secret = |text: &str| secrets.text(text) != text;
            if next.body.as_deref().is_some_and(|body| secret(&String::from_utf8_lossy(body))) {
                let to = words::url(&next.url, secrets);
                return Err(format!(
                    "it redirects to {to}, another host, which must not be sent the secret in the body"
                ));
            }
        }
        Ok(next)
    }

    /// Headers that are meant for one host must not reach another.
    fn forget_who_asks(&mut self, secrets: &Masker) {
        let meant = |name: &HeaderName, value: &HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes());
            value.is_sensitive() || words::is_private(name) || secrets.text(&text) != text
        };
        let names: Vec<HeaderName> =
            self.headers.iter().filter(|(name, value)| meant(name, value)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.headers.remove(name);
        }
    }

    /// Whether it may be sent again though it may have been acted on.
    pub fn is_repeatable(&self, idempotent: bool) -> bool {
        idempotent || self.method.is_idempotent()
    }

    pub fn for_client(&self, client: &Client) -> reqwest::RequestBuilder {
        let request = client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }

    /// What must not be shown beside the run's secrets: a user and password as they are sent.
    pub fn credentials(&self) -> Vec<String> {
        let value = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix("Basic ")).map(str::to_owned).into_iter().collect()
    }
}

/// Whether a status is that of a redirect.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Whether two URLs lead to the same server in the same way.
fn same_place(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// A URL of the plan, rendered. What is wrong with it is said without it: it may hold a secret.
pub(in crate::agents) fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("its URL cannot be used: {error}"))?;
    checked(url)
}

/// Another URL of the plan, which may be relative to the first one.
pub(super) fn beside(url: &Url, text: &str) -> Result<Url, String> {
    let url = url.join(text.trim()).map_err(|error| format!("its URL to ask for the job cannot be used: {error}"))?;
    checked(url)
}

fn checked(url: Url) -> Result<Url, String> {
    if !is_web(&url) {
        return Err("its URL cannot be used: it must begin with `http://` or `https://`".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its URL holds a user or a password; they belong into `auth`".into());
    }
    Ok(url)
}

fn add_query(url: &mut Url, query: &serde_json::Map<String, Value>) -> Result<(), String> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in query {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            match item {
                Value::Null => {}
                Value::String(text) => pairs.push((name, text.clone())),
                Value::Bool(_) | Value::Number(_) => pairs.push((name, item.to_string())),
                Value::Array(_) | Value::Object(_) => {
                    return Err(format!("the query's `{name}` is no text, no number and no list of them"));
                }
            }
        }
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(())
}

fn body(
    spec: &HttpSpec,
    context: &AttemptContext,
    method: &Method,
    headers: &mut HeaderMap,
) -> Result<Option<Vec<u8>>, String> {
    if let Some(text) = &spec.body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return Ok(Some(text.clone().into_bytes()));
    }
    let sends = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let parameters = &context.step.parameters;
    let json = match &spec.json {
        Some(json) => serde_json::to_vec(json),
        None if sends && !parameters.is_empty() => serde_json::to_vec(parameters),
        None => return Ok(None),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    json.map(Some).map_err(|error| format!("its body cannot be written: {error}"))
}

/// Adds the headers that an entry wants.
pub(in crate::agents) fn set_headers(headers: &mut HeaderMap, wanted: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in wanted {
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|header| !FRAMING_HEADERS.contains(&header.as_str()))
            .ok_or_else(|| format!("a header named `{name}` cannot be sent"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("the header `{name}` has a value with characters that no header may have"))?;
        headers.insert(header, value);
    }
    Ok(())
}

/// Says who asks.
pub(in crate::agents) fn authorize(headers: &mut HeaderMap, auth: Option<&HttpAuth>) -> Result<(), String> {
    let Some(auth) = auth else { return Ok(()) };
    let mut value = match (&auth.bearer, &auth.basic) {
        (Some(token), None) => HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token has characters that no header may have; is there a line break at its end?")?,
        (None, Some(basic)) => {
            let pair = format!("{}:{}", basic.user, basic.password.as_deref().unwrap_or_default());
            HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
                .map_err(|error| error.to_string())?
        }
        _ => return Err("`auth` must have one of `bearer` and `basic`".into()),
    };
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}
