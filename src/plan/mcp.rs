//! The rules of an `mcp` agent's entry that a schema cannot say.

use super::diagnostic::{Diagnostic, Report};
use super::json::{Document, Kind, NodeId};

/// Headers that the protocol itself sets.
pub const PROTOCOL_HEADERS: [&str; 4] = ["accept", "mcp-session-id", "mcp-protocol-version", "last-event-id"];

/// Reports what is wrong with the entry.
pub(super) fn check(document: &Document, agent: NodeId, report: &mut Report) {
    let find = |owner, name: &str| document.get(owner, name).filter(|node| document.kind(*node) != Kind::Null);
    let mut error = |node: NodeId, message: &str, label: &str| {
        report.push(Diagnostic::error(document.span(node), message).label(label));
    };
    match (find(agent, "command"), find(agent, "url")) {
        (Some(_), Some(url)) => error(url, "an MCP server has `command` or `url`, not both", "keep one of them"),
        (None, None) => {
            let start = document.span(agent).start;
            let message = "the MCP server has neither `command` nor `url`";
            report.push(Diagnostic::error(start..start + 1, message).label("how is it reached?"));
        }
        (Some(_), None) => {
            for name in ["headers", "auth"] {
                if let Some(node) = find(agent, name) {
                    let message = format!("`{name}` says nothing to a server that is started with `command`");
                    error(node, &message, "only for `url`; what a program needs goes into `env`");
                }
            }
        }
        (None, Some(_)) => {
            for name in ["env", "working_dir"] {
                if let Some(node) = find(agent, name) {
                    let message = format!("`{name}` says nothing to a server that runs elsewhere");
                    error(node, &message, "only for `command`");
                }
            }
            let headers = find(agent, "headers");
            for (key, _) in headers.into_iter().flat_map(|headers| document.members(headers)) {
                let name = document.string(key);
                if PROTOCOL_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                    error(key, &format!("the header `{name}` cannot be set"), "the protocol sets it itself");
                }
            }
            super::http::check_address(document, agent, report);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::load;
    use serde_json::{Value, json};

    fn messages(entry: Value) -> Vec<String> {
        let mut entry = entry;
        entry["kind"] = "mcp".into();
        let plan = json!({"plan_id": "p", "agents": {"a": entry}, "variables": {"v": {"default": 1}},
            "steps": [{"step_id": "s", "agent_type": "a", "action": "t"}]});
        load("p", &plan.to_string()).diagnostics.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn an_entry_that_could_be_reached_is_taken() {
        for entry in [
            json!({"command": ["server", "{{ vars.v }}"], "env": {"A": "{{ vars.v }}"}, "working_dir": "x"}),
            json!({"command": "server --stdio", "timeout_seconds": 5, "connect_timeout_seconds": 0.5, "env": null}),
            json!({"url": "https://x/mcp", "headers": {"X-A": "b"}, "auth": {"bearer": "{{ vars.v }}"}}),
        ] {
            assert_eq!(messages(entry.clone()), Vec::<String>::new(), "{entry}");
        }
    }

    #[test]
    fn what_says_nothing_or_cannot_be_is_found_before_the_run() {
        for (entry, expected) in [
            (json!({}), "neither `command` nor `url`"),
            (json!({"command": "x", "url": "https://x"}), "not both"),
            (json!({"command": "x", "auth": {"bearer": "y"}}), "`auth` says nothing"),
            (json!({"url": "https://x", "env": {"A": "b"}}), "`env` says nothing"),
            (json!({"url": "ftp://x"}), "no URL that can be asked"),
            (json!({"url": "https://x", "headers": {"MCP-Session-Id": "1"}}), "cannot be set"),
            (json!({"url": "https://x", "auth": {}}), "does not say who asks"),
            (json!({"command": []}), "`command` is empty"),
            (json!({"command": "x", "timeout_seconds": 0}), "`timeout_seconds` must be"),
        ] {
            let found = messages(entry.clone());
            assert!(found.len() == 1 && found[0].contains(expected), "{entry}: {found:?}");
        }
    }
}
