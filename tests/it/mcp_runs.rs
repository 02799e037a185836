//! Whole runs of the binary with `mcp` agents: secrets, crashes, questions.

use serde_json::json;

use crate::cli_support::{Sandbox, wait_until};
use crate::mcp_servers::misbehaves;

#[test]
fn placeholder() {
    let _ = (Sandbox::new(), json!(misbehaves("plain", std::path::Path::new("x"))));
    wait_until("x", || true);
}
