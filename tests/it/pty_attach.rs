//! A console and the runs of other processes: steered from its list without a second terminal, beside what it runs itself. And what looking at a
//! plan leaves behind.

use std::path::Path;

use holdpoint::journal::Store;
use holdpoint::run::RunStatus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli_support::{Sandbox, wait_until};
use crate::console::{answer, open};
use crate::pty::Session;
use crate::pty_edit::waits_for;

/// A run in a process of its own, which is killed when the test ends.
struct Background {
    pid: i32,
    run: Uuid,
}

impl Background {
    fn start(sandbox: &Sandbox, plan: &str) -> Self {
        let said = sandbox.ok(0, &["run", plan, "--detach"]);
        let words: Vec<&str> = said.lines().next().unwrap().split(' ').collect();
        let (run, pid) = (words[1].parse().unwrap(), words.last().unwrap().parse().unwrap());
        Self { pid, run }
    }

    fn lives(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    }

    fn short_id(&self) -> String {
        holdpoint::run::short_id(self.run)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.lives() {
            let _ = kill_process(Pid::from_raw(self.pid).unwrap(), Signal::KILL);
        }
    }
}

fn status(sandbox: &Sandbox, run: Uuid) -> RunStatus {
    let store = Store::at(sandbox.path().join("checkpoints"));
    store.load(&store.dir(run)).unwrap().state.status
}

fn runs(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("checkpoints")).into_iter().flatten().count()
}

/// Filters the list for a text; the first run that has it is then selected.
fn choose(console: &mut Session, text: &str) {
    console.keys(&format!("/{text}<Enter>"));
    console.wait_for("the list is filtered", |screen| screen.contents().contains(&format!("Holdpoint   /{text}")));
}

fn line_of<'a>(screen: &'a str, words: &[&str]) -> Option<&'a str> {
    screen.lines().find(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn a_run_of_another_process_is_steered_from_the_list_beside_ones_own() {
    let sandbox = Sandbox::new();
    sandbox.plan("own", json!([{"step_id": "mine", "run": waits_for("own")}]));
    sandbox
        .plan("theirs", json!([{"step_id": "one", "run": waits_for("one")}, {"step_id": "two", "run": "echo there"}]));
    let other = Background::start(&sandbox, "theirs");
    let mut console = open(sandbox.path(), &["plans/own.json"]);
    console.wait_for_text("mine started");
    console.keys("<Esc>");
    console.wait_for("both are listed", |screen| {
        let text = screen.contents();
        line_of(&text, &["running", "own"]).is_some() && line_of(&text, &["running", &other.short_id()]).is_some()
    });
    assert!(line_of(&console.screen_text(), &[&other.short_id(), &format!("process {}", other.pid)]).is_some());
    choose(&mut console, &other.short_id());
    console.wait_for_text("A attach");
    console.keys("A");
    console.wait_for_text(&format!("attached to process {}   RUNNING", other.pid));
    // Its commands are carried out in the other process, and what comes of them is seen.
    console.keys("p");
    console.wait_for_text("PAUSED");
    std::fs::write(sandbox.path().join("one"), "").unwrap();
    console.wait_for_text("✔ done");
    console.keys("p");
    console.wait_for_text("COMPLETED");
    assert!(other.lives(), "it stays for whoever is attached");
    console.keys("<Esc>");
    wait_until("it ends when it is left", || !other.lives());
    assert_eq!(status(&sandbox, other.run), RunStatus::Completed);
    // The console's own run has gone on all the time, and is what leaving asks about.
    console.keys("<Esc>");
    console.wait_for("all are listed again", |screen| line_of(&screen.contents(), &["running", "own"]).is_some());
    console.keys("q");
    answer(&mut console, "<Esc>", "1 run is active");
    std::fs::write(sandbox.path().join("own"), "").unwrap();
    console.wait_for("its own is done", |screen| line_of(&screen.contents(), &["completed", "own"]).is_some());
    console.keys("q");
    assert!(console.wait_exit().success());
    console.assert_given_back();
}

#[test]
fn a_console_outlives_the_process_it_is_attached_to() {
    let sandbox = Sandbox::new();
    sandbox.plan("theirs", json!([{"step_id": "one", "run": waits_for("never")}]));
    let other = Background::start(&sandbox, "theirs");
    let mut console = open(sandbox.path(), &[]);
    console.wait_for_text(&other.short_id());
    choose(&mut console, &other.short_id());
    // Looked at first, and attached to from there.
    console.keys("<Enter>");
    console.wait_for_text("A steers it from here");
    console.keys("A");
    console.wait_for_text(&format!("attached to process {}   RUNNING", other.pid));
    kill_process(Pid::from_raw(other.pid).unwrap(), Signal::KILL).unwrap();
    console.wait_for_text(&format!("process {} has let the run go", other.pid));
    console.wait_for_text("NOT RUNNING");
    console.keys("q");
    assert!(console.wait_exit().success());
    console.assert_given_back();
}

#[test]
fn looking_at_a_plan_leaves_no_run_behind() {
    let sandbox = Sandbox::new();
    sandbox.plan("looked-at", json!([{"step_id": "one", "run": "true"}, {"step_id": "two", "run": "true"}]));
    let mut console = open(sandbox.path(), &[]);
    console.wait_for_text("looked-at");
    console.keys("<Enter>");
    console.wait_for_text("IDLE");
    assert_eq!(runs(sandbox.path()), 1);
    console.keys("<Esc>");
    console.wait_for("the list", |screen| screen.contents().starts_with(" Holdpoint"));
    wait_until("the run has gone", || runs(sandbox.path()) == 0);
    assert!(!console.screen_text().contains("not started"), "{}", console.screen_text());
    // The same when the console is left with it.
    console.keys("<Enter>");
    console.wait_for_text("IDLE");
    console.keys("q");
    assert!(console.wait_exit().success());
    assert_eq!(runs(sandbox.path()), 0);
    // One that was changed stays.
    let mut console = open(sandbox.path(), &[]);
    console.wait_for_text("looked-at");
    console.keys("<Enter>");
    console.wait_for_text("IDLE");
    console.keys("b");
    answer(&mut console, "<Enter>", "Set a hold point on one?");
    console.wait_for_text("◆ one");
    console.keys("<Esc>");
    console.wait_for_text("Opened, not started");
    console.keys("q");
    assert!(console.wait_exit().success());
    assert_eq!(runs(sandbox.path()), 1);
}

#[test]
fn a_second_run_of_a_plan_is_told_of_the_first() {
    let sandbox = Sandbox::new();
    sandbox.plan("shared", json!([{"step_id": "one", "run": waits_for("go")}]));
    sandbox.plan("other", json!([{"step_id": "one", "run": "true"}]));
    let first = Background::start(&sandbox, "shared");
    let said = format!("a run of shared is active already: {}, running, started", first.short_id());
    assert!(!sandbox.run(&["run", "other", "--headless"]).stderr.contains("active already"));
    let mut second = sandbox.command(&["run", "shared", "--headless", "--format", "jsonl"]);
    let second = second.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // In a console it is asked first, and Enter alone starts nothing.
    let mut console = open(sandbox.path(), &[]);
    console.wait_for_text("A attach");
    console.wait_for_text("Plans  2");
    choose(&mut console, "shared");
    console.keys("G<Enter>");
    console.wait_for_text("IDLE");
    console.keys("p");
    console.wait_for_text("Start another run of shared?");
    console.wait_for_text("Enter does nothing");
    console.keys("<Enter>");
    assert!(console.screen_text().contains("IDLE"));
    answer(&mut console, "o", "Start another run of shared?");
    console.wait_for_text("A steers it from here");
    console.keys("q");
    assert!(console.wait_exit().success());
    // So it is where the plan was named at the prompt; and one that was not started is not left behind.
    let before = runs(sandbox.path());
    let mut console = open(sandbox.path(), &["plans/shared.json"]);
    console.wait_for("why it is not started", |screen| {
        let text = screen.contents().replace(['\n', '─'], " ");
        ["IDLE", "a run of shared is active already", "this one has not started: p starts it"]
            .iter()
            .all(|said| text.split_whitespace().collect::<Vec<_>>().join(" ").contains(said))
    });
    console.keys("p");
    answer(&mut console, "<Esc>", "Start another run of shared?");
    console.keys("q");
    console.wait_exit();
    assert_eq!(runs(sandbox.path()), before);
    std::fs::write(sandbox.path().join("go"), "").unwrap();
    let second = second.wait_with_output().unwrap();
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.success() && stderr.contains(&said), "{stderr}");
    assert!(stderr.contains(&format!("`holdpoint attach {}` shows it", first.short_id())), "{stderr}");
    for line in String::from_utf8(second.stdout).unwrap().lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}
