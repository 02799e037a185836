//! The rules of an `http` agent's entry that a schema cannot say, and what can be told from the entry alone.

use super::diagnostic::{Diagnostic, Report};
use super::expression::{is_template, template_names};
use super::json::{Document, Kind, NodeId};
use super::{AgentSpec, HttpSpec};

/// The name by which an entry means the key of the attempt.
const ATTEMPT_KEY: &str = "attempt_key";

/// Headers that say how the request itself is cut into bytes; they follow from the body.
pub const FRAMING_HEADERS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "upgrade"];

impl AgentSpec {
    /// Whether an attempt that has been lost sight of can be asked for by its key, as the plan's entry says (before anything is rendered).
    /// Such an attempt need not be made again to learn how it ended.
    pub fn can_be_asked(&self) -> bool {
        match self {
            AgentSpec::Http(spec) => spec.can_be_asked(),
            _ => false,
        }
    }
}

impl HttpSpec {
    /// Whether a lost attempt's job can be asked for by the attempt's key.
    pub fn can_be_asked(&self) -> bool {
        let Some(poll) = &self.poll else { return false };
        [&poll.by_key, &poll.url].into_iter().flatten().any(|url| names_key(url))
    }
}

fn names_key(url: &str) -> bool {
    // Most have none, and looking for the name is cheap.
    url.contains(ATTEMPT_KEY) && is_template(url) && template_names(url).is_ok_and(|names| names.contains(ATTEMPT_KEY))
}

/// Whether a text is the name of a header.
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a text is a JSON pointer (RFC 6901).
pub fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'))
}

/// Reports what is wrong with the entry.
pub(super) fn check(document: &Document, agent: NodeId, report: &mut Report) {
    Entry { document, report }.check(agent);
}

/// Reports what is wrong with the parts that say where a server is and who asks: `url`, `headers` and `auth`.
pub(super) fn check_address(document: &Document, agent: NodeId, report: &mut Report) {
    let mut entry = Entry { document, report };
    if let Some(url) = entry.find(agent, "url") {
        entry.url(url, false);
    }
    entry.headers(agent);
}

struct Entry<'a, 'd, 'r> {
    document: &'a Document<'d>,
    report: &'r mut Report,
}

impl Entry<'_, '_, '_> {
    fn find(&self, owner: NodeId, name: &str) -> Option<NodeId> {
        self.document.get(owner, name).filter(|node| self.document.kind(*node) != Kind::Null)
    }

    fn error(&mut self, node: NodeId, message: &str, label: &str, help: Option<String>) {
        self.report.push(Diagnostic::error(self.document.span(node), message).label(label).maybe_help(help));
    }

    fn check(&mut self, agent: NodeId) {
        if let Some(url) = self.find(agent, "url") {
            self.url(url, false);
        }
        if let Some(method) = self.find(agent, "method") {
            self.method(method);
        }
        // `null` is JSON and may be sent.
        if let (Some(json), Some(body)) = (self.document.get(agent, "json"), self.find(agent, "body")) {
            self.report.push(
                Diagnostic::error(self.document.span(body), "a request has `json` or `body`, not both")
                    .label("keep one of them")
                    .related(self.document.span(json), "the other one"),
            );
        }
        self.headers(agent);
        self.query(agent);
        if let Some(result) = self.find(agent, "result") {
            self.pointer(result);
        }
        if let Some(poll) = self.find(agent, "poll") {
            self.poll(poll);
        }
    }

    fn url(&mut self, node: NodeId, relative: bool) {
        let Some(url) = self.document.as_string(node) else { return };
        let start = url.find("{{").map_or(url, |place| &url[..place]);
        let start = start.to_ascii_lowercase();
        let known = ["http://", "https://"].into_iter().find(|scheme| start.starts_with(scheme));
        if known.is_none() {
            // An expression gives the beginning, or the first request does.
            let follows = (is_template(url) && start.is_empty()) || (relative && start.starts_with('/'));
            if !follows {
                let wanted = if relative { "`http://`, `https://` or `/`" } else { "`http://` or `https://`" };
                self.error(
                    node,
                    "this is no URL that can be asked",
                    &format!("expected {wanted} at its beginning"),
                    None,
                );
            }
            return;
        }
        let host = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
        if host.is_empty() {
            self.error(node, "the URL names no host", "expected a host behind `://`", None);
        } else if host.contains('@') && !is_template(host) {
            let help = "say it in `auth`: {\"basic\": {\"user\": …, \"password\": \"{{ vars.… }}\"}}".to_owned();
            self.error(
                node,
                "a URL is shown and kept, and must not hold a password",
                "a user before the `@`",
                Some(help),
            );
        }
    }

    fn method(&mut self, node: NodeId) {
        let Some(method) = self.document.as_string(node).filter(|method| !is_template(method)) else { return };
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let upper = method.to_ascii_uppercase();
        if ["CONNECT", "TRACE"].contains(&upper.as_str()) {
            let label = format!("expected one of {}", known.join(", "));
            self.error(node, &format!("an agent cannot use the method `{upper}`"), &label, None);
        } else if !method.is_empty() && !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            self.error(node, &format!("there is no method `{method}`"), "expected letters only", None);
        } else if !known.contains(&upper.as_str())
            && let Some(help) = self.report.did_you_mean(&upper, known)
        {
            self.report.push(
                Diagnostic::warning(self.document.span(node), format!("`{method}` is no method that is widely known"))
                    .label("it is sent as it is")
                    .help(help),
            );
        }
    }

    fn headers(&mut self, agent: NodeId) {
        let document = self.document;
        let mut authorization = None;
        let headers = self.find(agent, "headers");
        for (key, _) in headers.into_iter().flat_map(|headers| document.members(headers)).collect::<Vec<_>>() {
            let name = document.string(key);
            if !is_header_name(name) {
                self.error(
                    key,
                    &format!("a header cannot be named `{name}`"),
                    "expected letters, digits and `-`",
                    None,
                );
            } else if FRAMING_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.error(key, &format!("the header `{name}` cannot be set"), "follows from the request itself", None);
            } else if name.eq_ignore_ascii_case("authorization") {
                authorization = Some(key);
            }
        }
        let Some(auth) = self.find(agent, "auth").filter(|auth| document.kind(*auth) == Kind::Object) else { return };
        match (self.find(auth, "bearer"), self.find(auth, "basic")) {
            (Some(_), Some(basic)) => {
                self.error(basic, "`auth` has `bearer` or `basic`, not both", "keep one of them", None);
            }
            (None, None) => {
                let help = "for example {\"bearer\": \"{{ vars.token }}\"}".to_owned();
                self.error(auth, "`auth` does not say who asks", "neither `bearer` nor `basic`", Some(help));
            }
            _ => {}
        }
        if let Some(header) = authorization {
            let message = "who asks is said twice, here and in `auth`";
            self.error(header, message, "keep one of them", None);
        }
    }

    fn query(&mut self, agent: NodeId) {
        let document = self.document;
        let Some(query) = self.find(agent, "query") else { return };
        for (key, value) in document.members(query).collect::<Vec<_>>() {
            let items = match document.kind(value) {
                Kind::Array => document.items(value).collect(),
                _ => vec![value],
            };
            if items.iter().any(|item| matches!(document.kind(*item), Kind::Object | Kind::Array)) {
                let message = format!("the query's `{}` cannot be written into a URL", document.string(key));
                self.error(value, &message, "expected a text, a number, or a list of them", None);
            }
        }
    }

    fn pointer(&mut self, node: NodeId) {
        let Some(pointer) = self.document.as_string(node).filter(|text| !is_template(text)) else { return };
        if !is_pointer(pointer) {
            let help = (!pointer.starts_with('/') && !pointer.contains('~'))
                .then(|| format!("write \"/{}\"", pointer.trim_start_matches("$.").replace('.', "/")));
            self.error(
                node,
                &format!("`{pointer}` is no JSON pointer"),
                "expected something like `/data/rows/0`",
                help,
            );
        }
    }

    fn poll(&mut self, poll: NodeId) {
        let document = self.document;
        for name in ["url", "by_key"] {
            if let Some(url) = self.find(poll, name) {
                self.url(url, true);
            }
        }
        for name in ["url_at", "progress"] {
            if let Some(pointer) = self.find(poll, name) {
                self.pointer(pointer);
            }
        }
        if let (Some(_), Some(url_at)) = (self.find(poll, "url"), self.find(poll, "url_at")) {
            self.error(url_at, "`poll` has `url` or `url_at`, not both", "keep one of them", None);
        }
        if let Some(by_key) = self.find(poll, "by_key")
            && document.as_string(by_key).is_some_and(|url| !names_key(url))
        {
            let help = "for example \"/jobs?key={{ attempt_key }}\"".to_owned();
            self.error(by_key, "`by_key` does not say which job is meant", "no `{{ attempt_key }}` in it", Some(help));
        }
        if let (Some(of), None) = (self.find(poll, "progress_of"), self.find(poll, "progress")) {
            self.error(of, "`progress_of` says nothing without `progress`", "no `progress` beside it", None);
        }
        let Some(until) = self.find(poll, "until").filter(|until| document.kind(*until) == Kind::Object) else {
            return;
        };
        if let Some(pointer) = self.find(until, "pointer") {
            self.pointer(pointer);
        }
        let values = |name: &str| document.get(until, name).into_iter().flat_map(|list| document.items(list));
        let done: Vec<&str> = values("done").map(|node| document.raw(node)).collect();
        if let Some(both) = values("failed").find(|node| done.contains(&document.raw(*node))) {
            self.error(both, "the same value says that the job is done and that it has failed", "also in `done`", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::load;
    use serde_json::{Value, json};

    fn messages(entry: Value) -> Vec<String> {
        let mut entry = entry;
        entry["kind"] = "http".into();
        let plan = json!({"plan_id": "p", "agents": {"a": entry}, "variables": {"v": {"default": 1}},
            "steps": [{"step_id": "s", "agent_type": "a"}]});
        load("p", &plan.to_string()).diagnostics.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn an_entry_that_could_be_asked_is_taken() {
        for entry in [
            json!({"url": "https://x"}),
            json!({"url": "{{ vars.v }}/x", "method": "{{ action }}", "body": "x"}),
            json!({"url": "HTTP://x:80/{{ action }}", "method": "get", "query": {"a": ["x", 1, true, null]},
                "auth": {"basic": {"user": "u"}}, "result": "/a~1b/~0/0", "json": null, "success": [200, 404]}),
            json!({"url": "https://x", "poll": {}}),
            json!({"url": "https://x", "poll": {"url": "/jobs/{{ attempt_key }}", "progress": "/p", "progress_of": 100,
                "until": {"pointer": "/status", "done": ["ok", 1], "failed": ["no"]}}}),
        ] {
            assert_eq!(messages(entry.clone()), Vec::<String>::new(), "{entry}");
        }
    }

    #[test]
    fn what_no_server_could_be_asked_is_found_before_the_run() {
        let long =
            json!({"url": "https://x", "poll": {"until": {"pointer": "status", "done": ["x"], "failed": ["x"]}}});
        for (entry, expected) in [
            (json!({"url": "ftp://x"}), vec!["no URL that can be asked"]),
            (json!({"url": "example.com/{{ action }}"}), vec!["no URL that can be asked"]),
            (json!({"url": "https:///x"}), vec!["names no host"]),
            (json!({"url": "https://u:p@x"}), vec!["must not hold a password"]),
            (json!({"url": "https://x", "method": "G T"}), vec!["no method `G T`"]),
            (json!({"url": "https://x", "method": "connect"}), vec!["cannot use the method `CONNECT`"]),
            (json!({"url": "https://x", "method": "PSOT"}), vec!["no method that is widely known"]),
            (json!({"url": "https://x", "json": {}, "body": "x"}), vec!["`json` or `body`, not both"]),
            (json!({"url": "https://x", "headers": {"a b": "x"}}), vec!["cannot be named `a b`"]),
            (json!({"url": "https://x", "headers": {"Content-Length": "3"}}), vec!["`Content-Length` cannot be set"]),
            (json!({"url": "https://x", "auth": {}}), vec!["does not say who asks"]),
            (json!({"url": "https://x", "auth": {"bearer": "x", "basic": {"user": "u"}}}), vec!["not both"]),
            (
                json!({"url": "https://x", "auth": {"bearer": "x"}, "headers": {"authorization": "y"}}),
                vec!["said twice"],
            ),
            (json!({"url": "https://x", "query": {"a": {"b": 1}}}), vec!["cannot be written into a URL"]),
            (json!({"url": "https://x", "result": "$.data.x"}), vec!["no JSON pointer"]),
            (json!({"url": "https://x", "result": "/a~2"}), vec!["no JSON pointer"]),
            (json!({"url": "https://x", "retries": 1000}), vec!["`retries` must be"]),
            (json!({"url": "https://x", "max_body_bytes": 9_000_000}), vec!["`max_body_bytes` must be"]),
            (json!({"url": "https://x", "timeout_seconds": 0}), vec!["`timeout_seconds` must be"]),
            (json!({"url": "https://x", "success": [99]}), vec!["must be a whole number from 200 to 599"]),
            (json!({"url": "https://x", "poll": {"url": "x", "url_at": "/y"}}), vec!["no URL", "`url` or `url_at`"]),
            (json!({"url": "https://x", "poll": {"by_key": "/jobs"}}), vec!["which job is meant"]),
            (json!({"url": "https://x", "poll": {"progress_of": 100}}), vec!["without `progress`"]),
            (long, vec!["`status` is no JSON pointer", "done and that it has failed"]),
        ] {
            let found = messages(entry.clone());
            assert_eq!(found.len(), expected.len(), "{entry}: {found:?}");
            for expected in expected {
                assert!(found.iter().any(|message| message.contains(expected)), "{entry}: {found:?}");
            }
        }
    }

    #[test]
    fn what_can_be_asked_by_key_is_told_from_the_entry() {
        let asked = |entry: Value| {
            let mut entry = entry;
            entry["kind"] = "http".into();
            serde_json::from_value::<AgentSpec>(entry).unwrap().can_be_asked()
        };
        assert!(asked(json!({"url": "https://x", "poll": {"url": "/jobs/{{ attempt_key }}"}})));
        assert!(asked(json!({"url": "https://x", "poll": {"by_key": "/jobs?key={{ attempt_key | urlencode }}"}})));
        assert!(!asked(json!({"url": "https://x/{{ attempt_key }}", "poll": {}})), "the answer is what tells the job");
        assert!(!asked(json!({"url": "https://x", "poll": {"url": "/attempt_key"}})));
        assert!(!asked(json!({"url": "https://x"})));
    }

    #[test]
    fn an_expression_that_gave_a_number_is_a_text_where_one_is_needed() {
        let entry = json!({"kind": "http", "url": "https://x", "headers": {"X-N": 3}, "body": true,
            "auth": {"basic": {"user": 1, "password": 2.5}}});
        let AgentSpec::Http(spec) = serde_json::from_value(entry).unwrap() else { panic!() };
        assert_eq!((spec.headers["X-N"].as_str(), spec.body.as_deref()), ("3", Some("true")));
        let error = serde_json::from_value::<AgentSpec>(json!({"kind": "http", "url": ["s3cret"]})).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
