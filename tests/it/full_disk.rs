//! A disk that is really full, under the real binary: a small file system in memory where the tests may mount one, a limit on the size of
//! files elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::cli_support::{Sandbox, wait_for_end};

/// A file system of some kilobytes, mounted until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where the tests may not mount anything.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "holdpoint-test"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: a file system cannot be mounted here");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until a file contains a text.
fn wait_for(file: &Path, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.contains(wanted) {
            return;
        }
        assert!(Instant::now() < until, "no {wanted:?} in {}: {text}", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that does not outlive its test.
struct Engine(Child);

impl Engine {
    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run whose first step fills the disk its journal is on, while another goes on for ever.
fn filled() -> Option<(Sandbox, SmallDisk, Engine, PathBuf)> {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::mount(sandbox.path().join("checkpoints"), "256k")?;
    // The result makes the event of its end larger than what is left of the journal's last page.
    let fill = "while [ ! -e up ]; do sleep 0.02; done; cat /dev/zero > checkpoints/ballast 2>&-; \
                printf '{\"type\":\"result\",\"data\":\"%020000d\"}\\n' 1";
    let plan = json!({
        "plan_id": "full",
        "agents": {"filler": {"kind": "command", "command": fill, "protocol": "jsonl"}},
        "steps": [
            {"step_id": "fill", "parallel_group": "g", "agent_type": "filler"},
            {"step_id": "slow", "parallel_group": "g", "run": "test \"$HOLDPOINT_ATTEMPT\" -ge 2 && exit; echo $$ > up; exec sleep 600"},
            {"step_id": "after", "run": "echo after >> ran"},
        ],
    });
    let plan = sandbox.plan_text("full", &plan.to_string());
    let said = sandbox.path().join("said");
    let mut command = sandbox.command(&["run", &plan, "--headless", "--on-failure", "continue"]);
    let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
    let child = Engine(child);
    wait_for(&said, "does not take the journal");
    Some((sandbox, disk, child, said))
}

fn slow_is_gone(sandbox: &Sandbox) {
    let pid: i32 = sandbox.read("up").trim().parse().unwrap();
    assert!(!crate::agents::is_alive(pid), "an attempt was left running");
}

#[test]
fn a_run_whose_disk_is_full_can_be_stopped_and_goes_on_once_there_is_room() {
    let Some((sandbox, disk, mut child, said)) = filled() else { return };
    child.signal(Signal::TERM);
    wait_for(&said, "as soon as the disk takes the journal");
    child.signal(Signal::TERM);
    assert_eq!(wait_for_end(&mut child.0).code(), Some(1), "{}", sandbox.read("said"));
    let told = sandbox.read("said");
    assert!(told.contains("not recorded: how fill and slow ended") && told.contains("resume"), "{told}");
    slow_is_gone(&sandbox);

    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    std::fs::write(sandbox.path().join("up"), "").unwrap();
    sandbox.ok(0, &["resume", "full", "--retry", "slow", "--skip", "fill"]);
    assert_eq!(sandbox.read("ran"), "after\n");
    assert!(sandbox.ok(0, &["verify", "full"]).contains("whole"));
}

#[test]
fn one_signal_is_enough_where_the_disk_stays_full() {
    let Some((sandbox, _disk, mut child, _)) = filled() else { return };
    child.signal(Signal::INT);
    assert_eq!(wait_for_end(&mut child.0).code(), Some(1), "{}", sandbox.read("said"));
    slow_is_gone(&sandbox);
}

#[test]
fn a_stop_that_the_disk_refused_is_made_good_when_it_works_again() {
    let Some((sandbox, disk, mut child, said)) = filled() else { return };
    child.signal(Signal::TERM);
    wait_for(&said, "as soon as the disk takes the journal");
    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    assert_eq!(wait_for_end(&mut child.0).code(), Some(4), "{}", sandbox.read("said"));
    slow_is_gone(&sandbox);
    let shown = sandbox.snapshot();
    assert_eq!(shown["orchestration_state"], "paused");
    assert!(sandbox.ok(0, &["verify", "full"]).contains("whole"));
}

#[test]
fn output_that_a_full_disk_did_not_take_is_told() {
    let sandbox = Sandbox::new();
    let Some(_disk) = SmallDisk::mount(sandbox.path().join("checkpoints"), "512k") else { return };
    // It makes room again itself, so that only its output meets the full disk.
    let line = "cat /dev/zero > checkpoints/ballast 2>&-; head -c 1000000 /dev/zero; rm checkpoints/ballast";
    let plan = sandbox.plan("loud", json!([{"step_id": "a", "run": line}]));
    let ended = sandbox.run(&["run", &plan, "--headless"]);
    let told = ended.text();
    assert_eq!(ended.code, Some(0), "{told}{}", ended.stderr);
    assert!(told.contains("output is incomplete"), "{told}{}", ended.stderr);
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_and_not_the_end() {
    let sandbox = Sandbox::new();
    let steps: Vec<_> = (0..200)
        .map(|n| json!({"step_id": format!("s{n}"), "agent_type": "simulated", "parameters": {"duration_seconds": 0}}))
        .collect();
    let plan = sandbox.plan("limited", json!(steps));
    let said = sandbox.path().join("said");
    let line = format!("ulimit -f 64; exec {} run {plan} --headless", env!("CARGO_BIN_EXE_holdpoint"));
    let mut shell = sandbox.command_of("sh", &["-c", &line]);
    let child = shell.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
    let mut child = Engine(child);
    wait_for(&said, "does not take the journal");
    child.signal(Signal::TERM);
    wait_for(&said, "as soon as the disk takes the journal");
    child.signal(Signal::TERM);
    assert_eq!(wait_for_end(&mut child.0).code(), Some(1), "{}", sandbox.read("said"));
    // Without the limit the run goes on where it stood.
    // What the disk did not take of it was interrupted, as far as anybody knows.
    let shown = sandbox.snapshot();
    let steps = shown["steps"].as_array().unwrap().iter();
    let live: Vec<&str> =
        steps.filter(|step| step["status"] == "running").map(|step| step["step_id"].as_str().unwrap()).collect();
    let mut words = vec!["resume", "limited"];
    if !live.is_empty() {
        words.push("--retry");
        words.extend(live);
    }
    sandbox.ok(0, &words);
    let journal = sandbox.journal();
    for n in 0..200 {
        let started = journal
            .lines()
            .filter(|line| {
                line.contains(&format!("\"step\":\"s{n}\",\"attempt\":"))
                    && line.contains("\"then\":{\"do\":\"complete\"")
            })
            .count();
        assert_eq!(started, 1, "s{n} completed {started} times");
    }
    assert!(sandbox.ok(0, &["verify", "limited"]).contains("whole"));
}

#[test]
fn a_disk_that_is_nearly_full_is_told_before_it_is_full() {
    let sandbox = Sandbox::new();
    let Some(_disk) = SmallDisk::mount(sandbox.path().join("checkpoints"), "4m") else { return };
    let plan = sandbox.plan("small", json!([{"step_id": "a", "run": "until [ -e go ]; do sleep 0.02; done"}]));
    let said = sandbox.path().join("said");
    let mut command = sandbox.command(&["run", &plan, "--headless"]);
    let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
    let mut child = Engine(child);
    wait_for(&said, "nearly full");
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    assert_eq!(wait_for_end(&mut child.0).code(), Some(0));
    assert!(sandbox.run(&["runs"]).stderr.contains("nearly full"));
}

#[test]
fn everybody_who_asks_hears_of_a_full_disk() {
    let Some((sandbox, _disk, mut child, _)) = filled() else { return };
    for arguments in [&["show", "full"][..], &["runs"], &["why", "full", "after"]] {
        let told = sandbox.ok(0, arguments);
        assert!(told.to_lowercase().contains("disk does not take the"), "{arguments:?}: {told}");
    }
    assert!(sandbox.snapshot()["storage_trouble"]["error"].as_str().unwrap().contains("No space left"));
    child.signal(Signal::TERM);
    child.signal(Signal::TERM);
    wait_for_end(&mut child.0);
}
