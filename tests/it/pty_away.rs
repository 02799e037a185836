//! "While you were away" in a terminal that reports its focus: the real program, and the minute that has to pass.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::console::{field, open};
use crate::pty_edit::waits_for;

/// A terminal that had no focus for a minute was left. Some seconds more: what is reported has to be read first.
const AWAY: Duration = Duration::from_secs(65);

const LEFT: &str = "\x1b[O";
const BACK: &str = "\x1b[I";

#[test]
fn whoever_comes_back_to_the_terminal_is_told_what_has_happened() {
    let field = field(json!([
        {"step_id": "first", "run": waits_for("go")},
        {"step_id": "second", "run": "exit 3"},
        {"step_id": "third", "run": "true"},
    ]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("● running");
    console.wait_for_bytes(b"\x1b[?1004h");
    console.press(LEFT);
    let left = Instant::now();
    std::fs::write(field.path().join("go"), "").unwrap();
    console.wait_for_text("second failed: exit status 3");
    assert!(!console.screen_text().contains("While you were away"));
    std::thread::sleep(AWAY.saturating_sub(left.elapsed()));
    console.press(BACK);
    console.wait_for_text("While you were away, ");
    let text = console.screen_text();
    for told in ["trial waits for you: 1 step failed", "1 step was completed or skipped, in 1 run"] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    // A key puts it away and does nothing else; it is told once, and not to who has only looked past the window.
    console.press("s");
    console.wait_for("it put away", |screen| !screen.contents().contains("While you were away"));
    assert!(!console.screen_text().contains("Skip second?"));
    console.press(&format!("{LEFT}{BACK}s"));
    console.wait_for_text("Skip second?");
    console.keys("<Esc>");
    console.wait_for_text("not done");
    console.press("q");
    console.wait_exit();
    console.assert_given_back();
}
