//! The plan as a graph in the console: the real program in a pseudo-terminal, with keys that go along the edges, and to a step.

use serde_json::{Value, json};

use crate::pty_edit::{Field, quit};

fn needs(id: &str, before: &[&str]) -> Value {
    json!({"step_id": id, "run": format!("echo {id} >> written"), "depends_on": before})
}

#[test]
fn the_graph_is_live_and_leads_to_its_steps() {
    let field = Field::new(&[needs("left", &["first"]), needs("right", &["first"]), needs("join", &["left", "right"])]);
    let mut console = field.open((120, 36), &[]);
    console.press("D");
    console.wait_for_text("4 steps in 3 layers");
    console.wait_for_text("needs nothing · needed by left and right");
    for line in ["● first", "○ left", "┗━ ○ right", "○ join"] {
        console.wait_for_text(line);
    }
    console.press("l");
    console.wait_for_text("needs first · needed by join");
    console.keys("<Right>");
    console.wait_for_text("needs left and right · nothing needs it");
    console.press("h");
    console.wait_for_text("needs first · needed by join");
    console.press("l");
    console.wait_for_text("needs left and right");
    field.go();
    console.wait_for_text("✔ join");
    console.wait_for_text("✔ right");
    console.keys("<Enter>");
    console.wait_for("the step among the steps", |screen| {
        screen.contents().lines().any(|line| line.starts_with("▌✔ done") && line.contains(" join "))
    });
    // The same steps in other views, at the same step.
    console.press("v");
    console.wait_for_text("Steps  4 · tree");
    console.press("v");
    console.wait_for_text("▾ Layer 3 · 1 of 1 done");
    console.wait_for("the same step", |screen| {
        screen.contents().lines().any(|line| line.starts_with("▌✔ done") && line.contains(" join "))
    });
    quit(&mut console);
}
