//! The palette in a real terminal.

use serde_json::json;

use crate::console::{answer, events, field, has, open};

#[test]
fn an_action_is_found_by_its_name_and_asks_as_its_key_does() {
    let field = field(json!([{"step_id": "ship", "run": "true", "hold": "second pair of eyes"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("PAUSED");
    console.press(":");
    console.wait_for_text("All actions");
    console.press("rollb");
    console.wait_for_text("not now: ");
    console.keys("<Esc>");
    console.wait_for("the palette to be gone", |screen| !screen.contents().contains("All actions"));
    console.press(":");
    console.wait_for_text("All actions");
    console.press("release");
    console.wait_for_text(": release");
    console.keys("<Enter>");
    answer(&mut console, "<Enter>", "Release ship?");
    console.wait_for_text("COMPLETED");
    assert!(has(&events(field.path()), "hold_released"));
}
