//! Another user on the same machine. These need to be two users, so they do nothing unless they run as root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cli_support::{Sandbox, wait_until};

/// `nobody`, by the number it has nearly everywhere; it need not be called so.
const OTHER: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root: there is no second user to be");
    }
    root
}

/// A sandbox that others can enter, with a copy of the binary that they can run.
fn open_sandbox() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    std::fs::set_permissions(sandbox.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = sandbox.path().join("holdpoint");
    std::fs::copy(env!("CARGO_BIN_EXE_holdpoint"), &binary).unwrap();
    (sandbox, binary)
}

/// The other user's command in a sandbox.
fn as_other(sandbox: &Sandbox, program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(sandbox.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", sandbox.path()).stdin(Stdio::null()).uid(OTHER).gid(OTHER);
    command
}

fn waits(file: &str) -> serde_json::Value {
    json!([{"step_id": "one", "run": format!("echo secret-in-output; touch here; until [ -e {file} ]; do sleep 0.02; done")}])
}

#[test]
fn another_user_can_neither_read_a_run_nor_send_it_a_command() {
    if !is_root() {
        return;
    }
    let (sandbox, binary) = open_sandbox();
    let plan = sandbox.plan("private", waits("go"));
    let run = sandbox.start(&["run", &plan, "--headless"]);
    wait_until("the step runs", || sandbox.path().join("here").exists());
    let id = sandbox.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let address =
        holdpoint::journal::Store::at(sandbox.path().join("checkpoints")).owner(&sandbox.run_dir()).unwrap().address;
    let tried: [&[&str]; 8] = [
        &["runs"],
        &["show", &id],
        &["events", &id],
        &["output", &id, "one"],
        &["verify", &id],
        &["resume", &id, "--headless"],
        &["ctl", &id, "cancel"],
        &["prune", "--keep", "0", "--yes"],
    ];
    for arguments in tried {
        let ended = as_other(&sandbox, &binary, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert_ne!(ended.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("secret-in-output") && !said.contains("private"), "{arguments:?}: {said}");
    }
    // Not by going around the program, either.
    let script = format!(
        "cat checkpoints/{id}/journal.jsonl checkpoints/{id}/output/* && exit 0; ls checkpoints && exit 0; exit 9"
    );
    let ended = as_other(&sandbox, Path::new("/bin/sh"), &["-c", &script]).output().unwrap();
    assert_eq!(ended.status.code(), Some(9), "{}", String::from_utf8_lossy(&ended.stdout));
    if let Some(address) = address {
        let script = format!("test -w '{}' && exit 0; exit 9", address.display());
        let ended = as_other(&sandbox, Path::new("/bin/sh"), &["-c", &script]).status().unwrap();
        assert_eq!(ended.code(), Some(9), "the socket is for its user only");
    }
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "nobody cancelled it: {}{}", ended.text(), ended.stderr);
}

#[test]
fn a_run_that_another_user_has_planted_is_not_gone_on_with() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("planted", json!([{"step_id": "one", "run": "echo ran >> ran", "hold": "look"}]));
    sandbox.ok(4, &["run", &plan, "--headless"]);
    let dir = sandbox.run_dir();
    let resume = || sandbox.run(&["resume", "planted", "--release", "one", "--headless"]);
    let files = || std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    for foreign in [vec![dir.clone()], vec![dir.join("journal.jsonl")], files().collect()] {
        for path in &foreign {
            chown(path, Some(OTHER), Some(OTHER)).unwrap();
        }
        let refused = resume();
        assert_eq!(refused.code, Some(1), "{foreign:?}: {}{}", refused.text(), refused.stderr);
        assert!(refused.stderr.contains("belongs to another user"), "{}", refused.stderr);
        for path in &foreign {
            chown(path, Some(0), Some(0)).unwrap();
        }
    }
    assert_eq!(sandbox.read("ran"), "");
    assert_eq!(resume().code, Some(0), "as it was, it goes on");
}

/// Root writes wherever it likes, so it is the other user who meets a folder that takes nothing.
#[test]
fn a_folder_that_takes_nothing_is_named_and_no_step_runs() {
    if !is_root() {
        return;
    }
    let (sandbox, binary) = open_sandbox();
    let plan = sandbox.plan("readonly", json!([{"step_id": "one", "run": "touch ran"}]));
    let folder = sandbox.path().join("checkpoints");
    std::fs::create_dir(&folder).unwrap();
    chown(sandbox.path(), Some(OTHER), Some(OTHER)).unwrap();
    chown(&folder, Some(OTHER), Some(OTHER)).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let ended = as_other(&sandbox, &binary, &["run", &plan, "--headless"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("checkpoints") && said.contains("Permission denied") && said.contains("mended"), "{said}");
    assert!(!sandbox.path().join("ran").exists());
}

#[test]
fn an_engine_of_another_user_is_not_spoken_to() {
    if !is_root() {
        return;
    }
    let (sandbox, binary) = open_sandbox();
    let plan = sandbox.plan("theirs", waits("go"));
    let folder = sandbox.path().join("checkpoints");
    std::fs::create_dir(&folder).unwrap();
    for path in [sandbox.path(), &folder] {
        chown(path, Some(OTHER), Some(OTHER)).unwrap();
    }
    let mut theirs = as_other(&sandbox, &binary, &["run", &plan, "--headless"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("their step runs", || sandbox.path().join("here").exists());
    let refused = sandbox.run(&["ctl", "theirs", "pause"]);
    assert_ne!(refused.code, Some(0), "{}", refused.text());
    assert!(refused.stderr.contains("another user"), "{}", refused.stderr);
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert!(crate::cli_support::wait_for_end(&mut theirs).success());
}
