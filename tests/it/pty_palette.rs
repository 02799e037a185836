//! The palette in a real terminal.

use serde_json::json;

use crate::console::{answer, events, field, has, open};
use crate::pty::Session;

/// Types into the palette. It ignores what was typed before it was drawn, and a test is quicker than any operator.
fn find(console: &mut Session, name: &str) {
    for _ in 0..10 {
        console.keys("<C-u>");
        console.press(name);
        if console.is_soon(|screen| screen.contents().contains(&format!(": {name} "))) {
            return;
        }
    }
    panic!("{name} cannot be typed:\n{}", console.screen_text());
}

#[test]
fn an_action_is_found_by_its_name_and_asks_as_its_key_does() {
    let field = field(json!([{"step_id": "ship", "run": "true", "hold": "second pair of eyes"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("PAUSED");
    console.press(":");
    console.wait_for_text("All actions");
    find(&mut console, "rollb");
    console.wait_for_text("not now: ");
    console.keys("<Esc>");
    console.wait_for("the palette to be gone", |screen| !screen.contents().contains("All actions"));
    console.press(":");
    console.wait_for_text("All actions");
    find(&mut console, "release");
    console.keys("<Enter>");
    answer(&mut console, "<Enter>", "Release ship?");
    console.wait_for_text("COMPLETED");
    assert!(has(&events(field.path()), "hold_released"));
}
