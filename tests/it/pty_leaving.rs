//! A console that is left while its run goes on: the real program, with and without a shell that takes its terminal back, and another console
//! afterwards.

use std::path::Path;

use serde_json::json;

use crate::cli_support::wait_until;
use crate::console::{events, field, has};
use crate::pty::Session;
use crate::pty_edit::{until, waits_for};

const PROGRAM: &str = env!("CARGO_BIN_EXE_holdpoint");

/// A plan whose steps wait for files, one after the other.
fn plan() -> tempfile::TempDir {
    field(json!([
        {"step_id": "first", "run": waits_for("one")},
        {"step_id": "second", "run": waits_for("two")},
        {"step_id": "third", "run": "echo third >> written"},
    ]))
}

fn start(dir: &Path, program: &str, arguments: &[&str], size: (u16, u16)) -> Session {
    let home = dir.to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", "ann"), ("HOME", home.as_str()), ("PS1", "> ")];
    Session::start_in(dir, program, arguments, size.0, size.1, &environment)
}

/// Where the process goes when a shell takes the terminal back.
const BEHIND: &str = "behind your shell";
/// What can be done with the terminal where there is none.
const CLOSED: &str = "goes on; then close this terminal";

/// Leaves the console that is on the screen, and its run running; before that, it says what becomes of the terminal.
fn leave_running(console: &mut Session, said: &str) {
    console.wait_for_text("● running");
    until(console, "q", "Leave the console?", true);
    console.wait_for_text(said);
    console.wait_for_text("is seen again with holdpoint attach");
    until(console, "l", "left running in", true);
    console.wait_for("all of what is said", |screen| {
        ["goes on", "can be closed"].iter().any(|end| screen.contents().contains(end))
    });
}

/// The process that was named when the console was left.
fn process(console: &Session) -> u32 {
    let text = console.screen_text().replace('\n', " ");
    let named = text.split("in process ").nth(1).unwrap_or_else(|| panic!("no process is named:\n{text}"));
    named.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn lives(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Lets the run go on to its second step with nobody there; another console then shows it, pauses it and lets it go on to its end.
fn goes_on_and_is_steered(dir: &Path) {
    std::fs::write(dir.join("one"), "").unwrap();
    let second = |event: &serde_json::Value| event["type"] == "attempt_started" && event["step"] == "second";
    wait_until("the run goes on", || events(dir).iter().any(second));
    let mut console = start(dir, PROGRAM, &["attach", "trial"], (100, 30));
    console.wait_for_text("attached");
    // The run itself, and not its line in the list: from now on keys are about it.
    console.wait_for_text("second started");
    console.press("p");
    console.wait_for_text("by ann");
    std::fs::write(dir.join("two"), "").unwrap();
    console.wait_for_text("2 of 3");
    assert!(!dir.join("written").exists(), "nothing new starts in a paused run");
    console.press("p");
    console.wait_for_text("COMPLETED");
    console.press("q");
    assert!(console.wait_exit().success());
    console.assert_given_back();
    assert_eq!(std::fs::read_to_string(dir.join("written")).unwrap(), "third\n");
}

#[test]
fn the_shell_has_its_prompt_again_and_the_run_goes_on() {
    back_at_the_prompt("/bin/sh", &["-i"]);
}

/// It does not tell a process that it is fetched, which it knows to go on.
#[test]
fn bash_has_its_prompt_again_and_the_run_goes_on() {
    back_at_the_prompt("bash", &["--norc", "--noprofile", "-i"]);
}

fn back_at_the_prompt(shell: &str, arguments: &[&str]) {
    let field = plan();
    let mut shell = start(field.path(), shell, arguments, (100, 30));
    shell.press("PS1='> '\r");
    shell.wait_for_text("> ");
    shell.press(&format!("{PROGRAM} plans/trial.json\r"));
    leave_running(&mut shell, BEHIND);
    let left = process(&shell);
    assert!(shell.screen_text().contains("look again   holdpoint attach"), "{}", shell.screen_text());
    shell.press("echo forty-$((40 + 2))\r");
    shell.wait_for_text("forty-42");
    // Fetched into the foreground it says what it is, and Ctrl-Z gives the terminal back without stopping it.
    shell.press("fg\r");
    shell.wait_for_text("Ctrl-Z gives the terminal back");
    // The reflex of whoever sees nothing stops nothing.
    shell.keys("<C-c>");
    shell
        .wait_for("a second answer", |screen| screen.contents().matches("Ctrl-Z gives the terminal back").count() == 2);
    shell.keys("<C-z>");
    shell.press("echo fifty-$((40 + 12))\r");
    shell.wait_for_text("fifty-52");
    assert!(!has(&events(field.path()), "run_paused"));
    goes_on_and_is_steered(field.path());
    wait_until("it ends with its run", || !lives(left));
    assert!(has(&events(field.path()), "run_completed"));
}

#[test]
fn the_run_goes_on_when_the_shell_and_its_terminal_are_closed_after_that() {
    let field = plan();
    let mut shell = start(field.path(), "/bin/sh", &["-i"], (80, 24));
    shell.wait_for_text("> ");
    shell.press(&format!("{PROGRAM} plans/trial.json\r"));
    leave_running(&mut shell, BEHIND);
    let left = process(&shell);
    shell.press("echo forty-$((40 + 2))\r");
    shell.wait_for_text("forty-42");
    drop(shell);
    assert!(lives(left));
    goes_on_and_is_steered(field.path());
    wait_until("it ends with its run", || !lives(left));
}

#[test]
fn where_no_shell_waits_the_terminal_can_be_closed() {
    let field = plan();
    let mut console = start(field.path(), PROGRAM, &["plans/trial.json"], (80, 24));
    leave_running(&mut console, CLOSED);
    console.wait_for_text("this terminal can be closed");
    console.assert_given_back();
    // What is typed at a program that seems to hang stops nothing.
    console.keys("<C-c>");
    console.wait_for_text("no key stops it here: close this terminal");
    console.keys("<C-z>");
    console.press("\x1c");
    console.wait_for("a second answer", |screen| screen.contents().matches("no key stops it").count() == 2);
    goes_on_and_is_steered(field.path());
    assert!(console.wait_exit().success());
}

#[test]
fn a_shell_that_only_waits_for_its_command_does_not_take_the_run_along() {
    let field = plan();
    let line = format!("{PROGRAM} plans/trial.json; echo over-$((40 + 2))");
    let mut shell = start(field.path(), "/bin/sh", &["-c", &line], (100, 30));
    leave_running(&mut shell, CLOSED);
    shell.wait_for_text("this terminal can be closed");
    let left = process(&shell);
    // Ctrl-C is for the shell as well, which may end by it; then the terminal is gone.
    shell.keys("<C-c>");
    drop(shell);
    goes_on_and_is_steered(field.path());
    wait_until("it ends with its run", || !lives(left));
    assert!(!has(&events(field.path()), "run_interrupted"));
}

#[test]
fn a_command_of_a_shell_that_controls_jobs_gives_it_the_terminal_back() {
    let field = plan();
    let mut shell = start(field.path(), "/bin/sh", &["-i"], (100, 30));
    shell.wait_for_text("> ");
    shell.press(&format!("sh -c '{PROGRAM} plans/trial.json; echo over'\r"));
    leave_running(&mut shell, BEHIND);
    shell.press("echo forty-$((40 + 2))\r");
    shell.wait_for_text("forty-42");
    goes_on_and_is_steered(field.path());
}

#[test]
fn a_parent_that_never_takes_the_terminal_back_is_told_of() {
    let field = plan();
    // It gives the terminal to its child, as a shell does, and then only waits for its end.
    let parent = "import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
os.waitpid(child, 0)";
    let mut console = start(field.path(), "python3", &["-c", parent, PROGRAM, "plans/trial.json"], (100, 30));
    leave_running(&mut console, BEHIND);
    console.wait_for_text("no key stops it here: close this terminal");
    console.keys("<C-c>");
    console.wait_for("another answer", |screen| screen.contents().matches("no key stops it").count() == 2);
    goes_on_and_is_steered(field.path());
    assert!(console.wait_exit().success());
}
