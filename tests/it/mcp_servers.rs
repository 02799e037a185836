//! MCP servers that others wrote, installed once into `target/mcp-servers`, and how they are reached.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use holdpoint::plan::AgentSpec;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

/// What is installed with npm, and with pip: the one place where versions stand.
const NPM: [&str; 2] =
    ["@modelcontextprotocol/server-everything@2026.8.31", "@modelcontextprotocol/server-filesystem@2026.8.31"];
const PIP: [&str; 2] = ["mcp-server-time==2026.10.19", "mcp-server-git==2026.10.19"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("mcp-servers")
}

/// Installs with a command, unless what is wanted is there. Tests are processes of their own, so a file is locked.
fn installed(name: &str, wanted: &[&str], command: impl FnOnce(&Path) -> Command) -> PathBuf {
    let folder = folder();
    std::fs::create_dir_all(&folder).unwrap();
    let lock = OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.lock"))).unwrap();
    flock(File::as_fd(&lock), FlockOperation::LockExclusive).unwrap();
    let (place, done) = (folder.join(name), folder.join(format!("{name}.done")));
    let wanted_text = wanted.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|text| text == wanted_text) {
        return place;
    }
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    let mut command = command(&place);
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.args(wanted).output();
    let output = output.unwrap_or_else(|error| {
        panic!("these tests need MCP servers, and `{program}` to install them: {error}; install nodejs, npm and python3-pip")
    });
    assert!(
        output.status.success(),
        "these tests need MCP servers, and `{program}` could not install {wanted:?} into {}: {}",
        place.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(done, wanted_text).unwrap();
    place
}

fn npm(server: &str) -> String {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        installed("npm", &NPM, |place| {
            let mut command = Command::new("npm");
            command.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(place);
            command
        })
    });
    place.join("node_modules/.bin").join(server).display().to_string()
}

fn pip() -> String {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        installed("pip", &PIP, |place| {
            let mut command = Command::new("python3");
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(place);
            command
        })
    });
    place.display().to_string()
}

/// The reference server that shows all of the protocol.
pub(crate) fn everything() -> Value {
    json!({"kind": "mcp", "command": [npm("mcp-server-everything"), "stdio"]})
}

/// The command line of the same over streamable HTTP; it listens on the port that `PORT` names.
pub(crate) fn everything_over_http() -> Command {
    let mut command = Command::new(npm("mcp-server-everything"));
    command.arg("streamableHttp");
    command
}

/// Files below a folder.
pub(crate) fn filesystem(below: &Path) -> Value {
    json!({"kind": "mcp", "command": [npm("mcp-server-filesystem"), below]})
}

/// The time, in Python.
pub(crate) fn time() -> Value {
    json!({"kind": "mcp", "command": ["python3", "-m", "mcp_server_time"], "env": {"PYTHONPATH": pip()}})
}

/// A repository, in Python.
pub(crate) fn git(repository: &Path) -> Value {
    json!({"kind": "mcp", "command": ["python3", "-m", "mcp_server_git", "--repository", repository], "env": {"PYTHONPATH": pip()}})
}

/// Our own, which does what servers should not do.
pub(crate) fn misbehaves(how: &str, notes: &Path) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mcp/misbehaves.py");
    json!({"kind": "mcp", "command": ["python3", script, how], "env": {"NOTES": notes}})
}

pub(crate) fn spec(entry: Value) -> AgentSpec {
    serde_json::from_value(entry).unwrap()
}
