//! The timeline in the console: the real program in a pseudo-terminal, with an earlier run to go by.

use std::process::Command;

use crate::pty_edit::{Field, quit, until, writes};

#[test]
fn the_timeline_is_looked_at_closer_and_left_by_way_of_a_step() {
    let field = Field::new(&[writes("two"), writes("three")]);
    // An earlier run, in which the first step had nothing to wait for.
    field.go();
    let mut earlier = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    earlier.current_dir(field.path()).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
    let ended = earlier.args(["run", "plans/trial.json", "--headless"]).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    std::fs::remove_file(field.path().join("go")).unwrap();

    let mut console = field.open((120, 36), &[]);
    until(&mut console, "T", "Timeline  ", true);
    console.wait_for_text("critical path");
    // Known from that run: this one waits, and nothing is invented for it.
    console.wait_for_text("first takes longer than it ever did");
    console.wait_for("what is expected", |screen| {
        screen.contents().lines().any(|line| line.contains(" ○ ") && line.contains(" three "))
    });
    console.press(">");
    console.wait_for_text(" seen");
    console.press("f");
    console.wait_for_text("following");
    console.press("0");
    console.wait_for("all of it", |screen| !screen.contents().contains("following"));
    console.press("j");
    console.wait_for("two selected", |screen| {
        screen.contents().lines().any(|line| line.starts_with('▌') && line.contains(" two "))
    });
    console.keys("<Enter>");
    console.wait_for_text("Definition");
    console.keys("<Esc>");
    console.wait_for_text("critical path");
    field.go();
    console.wait_for_text("COMPLETED");
    console.wait_for("every bar", |screen| screen.contents().lines().filter(|line| line.contains("✔ ")).count() == 3);
    console.keys("<Esc>");
    console.wait_for_text("Definition");
    quit(&mut console);
}
