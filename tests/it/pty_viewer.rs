//! The output viewer in a real terminal.

use serde_json::json;

use crate::console::{field, open};
use crate::pty::Session;

fn quit(console: &mut Session) {
    console.press("q");
    assert_eq!(console.wait_exit().exit_code(), 0);
    console.assert_given_back();
}

#[test]
fn an_output_is_searched_across_steps_filtered_copied_and_saved() {
    let field = field(json!([
        {"step_id": "build", "run": "seq 1 3000; echo 'E17: late'; seq 1 50"},
        {"step_id": "check", "run": "echo all is well"},
        {"step_id": "ship", "run": "echo start; printf '\\033[31mE2\\033[0m4: refused\\n' >&2; echo E25: again"}
    ]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("COMPLETED");
    // To the first step, and into its output.
    console.press("g");
    console.wait_for_text("–3,051 of 3,051");
    console.keys("<Tab>");
    console.wait_for_text("/ search");
    console.press("/");
    console.keys("<C-r>");
    console.wait_for_text("regex /");
    console.press("^E[0-9+:");
    console.wait_for_text("unclosed character class");
    console.keys("<BS><BS>]+:");
    console.wait_for_text("1 of 1");
    console.keys("<Enter>");
    console.wait_for_text("/^E[0-9]+:/ 1 of 1, 3 in 2 steps");
    console.wait_for_text("E17: late");
    // Its last match here: on to the next step that has one, colours or not.
    console.press("n");
    console.wait_for_text("the next match is in step ship");
    console.wait_for_text("E24: refused");
    console.wait_for_text("/^E[0-9]+:/ 1 of 2");
    console.press("n");
    console.wait_for_text("2 of 2");
    console.press("n");
    console.wait_for_text("the next match is in step build, from the first step on again");
    console.wait_for_text("E17: late");
    // Only some lines, of which one is copied without what is drawn around it.
    console.press("&");
    console.keys("<C-r>");
    console.wait_for_text("only lines with ");
    console.press("300");
    console.wait_for_text("4 lines");
    console.keys("<Enter>");
    console.press("gv");
    console.wait_for_text("choose the first line");
    console.press("vj");
    console.wait_for_text("2 lines selected");
    console.press("y");
    console.wait_for_text("2 lines sent to the terminal's clipboard (what was selected)");
    // "300\n1300"
    console.wait_for_bytes(b"\x1b]52;c;MzAwCjEzMDA=\x1b\\");
    // What is shown is saved, and nothing is written over.
    for (answer, wanted) in [("<Enter>", "saved 4 lines, 19 B, to "), ("<Enter>", "There is a file with this name.")] {
        console.press("S");
        console.wait_for_text("Save the output of build");
        console.wait_for("the name", |screen| screen.contents().contains("File  trial-build.1.log"));
        // A question ignores what was typed before it was drawn.
        for _ in 0..10 {
            console.keys(answer);
            if console.is_soon(|screen| screen.contents().contains(wanted)) {
                break;
            }
        }
        console.wait_for_text(wanted);
    }
    console.keys("<Esc>");
    console.wait_for_text("Enter save");
    console.keys("<Esc>");
    console.wait_for_text("not saved");
    let saved = std::fs::read_to_string(field.path().join("trial-build.1.log")).unwrap();
    assert!(saved.starts_with("300\n1300\n") && saved.ends_with("3000\n"), "{saved}");
    quit(&mut console);
}

#[test]
fn the_mouse_is_left_to_the_terminal_with_a_key_and_from_the_start() {
    let field = field(json!([{"step_id": "only", "run": "true"}]));
    let mode = |screen: &vt100::Screen| screen.mouse_protocol_mode();
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("COMPLETED");
    console.wait_for("the mouse", |screen| mode(screen) == vt100::MouseProtocolMode::ButtonMotion);
    console.keys("<C-t>");
    console.wait_for("the mouse let go", |screen| mode(screen) == vt100::MouseProtocolMode::None);
    console.wait_for_text("mouse: terminal");
    console.keys("<C-t>");
    console.wait_for("the mouse again", |screen| mode(screen) == vt100::MouseProtocolMode::ButtonMotion);
    quit(&mut console);
    std::fs::write(field.path().join("c.toml"), "[defaults]\nmouse = false\n").unwrap();
    let mut console = open(field.path(), &["--config", "c.toml", "plans/trial.json"]);
    console.wait_for_text("COMPLETED");
    assert_eq!(console.screen(mode), vt100::MouseProtocolMode::None);
    quit(&mut console);
}
