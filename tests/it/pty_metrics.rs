//! The numbers of a run in the console, and its alerts: the real program in a pseudo-terminal.

use serde_json::json;

use crate::pty_edit::{Field, until};

#[test]
fn the_numbers_are_looked_at_while_the_run_goes_on() {
    let fails = |id: &str| json!({"step_id": id, "run": "exit 3", "on_failure": "continue", "parallel_group": "all"});
    let field = Field::new(&["one", "two", "three", "four", "five"].map(fails));
    let hook = format!(
        "[[hooks]]\nname = \"chat\"\non = \"alert\"\ncommand = \"cat >> {}/told; exit 5\"\n",
        field.path().display()
    );
    std::fs::write(field.path().join("c.toml"), hook).unwrap();
    let config = field.path().join("c.toml");
    let mut console = field.open((120, 40), &[("HOLDPOINT_CONFIG", config.to_str().unwrap())]);
    until(&mut console, "M", "No attempt has ended yet", true);
    field.go();
    console.wait_for("the agent's row", |screen| {
        screen.contents().lines().any(|line| line.contains(" command ") && line.contains("unhealthy"))
    });
    // The alert was told to the hook, and that it does not work is said here.
    console.wait_for_text("hook chat fails (alert): exit status 5");
    let told = std::fs::read_to_string(field.path().join("told")).unwrap();
    assert!(told.contains("5 failures in 10 min"), "{told}");
    console.keys("<Esc>");
    console.wait_for_text("Definition");
    console.wait_for_text("alert: command is unhealthy: 5 failures in a row");
    console.press("q");
    // As the run ended.
    assert_eq!(console.wait_exit().exit_code(), 1);
    console.assert_given_back();
}
