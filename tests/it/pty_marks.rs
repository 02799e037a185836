//! Marks in the console: the real program in a pseudo-terminal; several steps are marked and skipped with one answer.

use crate::pty_edit::{Field, quit, until, writes};

fn is_selected(screen: &vt100::Screen, step: &str) -> bool {
    screen.contents().lines().any(|line| line.starts_with('▌') && line.contains(&format!(" {step} ")))
}

#[test]
fn marked_steps_are_skipped_with_one_answer_and_the_others_run() {
    let field = Field::new(&["one", "two", "three", "four"].map(writes));
    let mut console = field.open((100, 30), &[]);
    // It hears of the focus, for who comes back; that it does no more at the end is asserted with the rest.
    console.wait_for_bytes(b"\x1b[?1004h");
    console.press("j");
    console.wait_for("one selected", |screen| is_selected(screen, "one"));
    console.keys("<Space>");
    console.wait_for("two selected", |screen| is_selected(screen, "two"));
    console.wait_for_text("1 marked");
    console.press("j");
    console.wait_for("three selected", |screen| is_selected(screen, "three"));
    console.keys("<Space>");
    console.wait_for_text("2 marked");
    until(&mut console, "s", "Skip 2 steps?", true);
    console.wait_for_text("one and three.");
    // A question takes no key before it was drawn.
    until(&mut console, "<C-u>not today", "Reason  not today", true);
    until(&mut console, "<Enter>", "Skip 2 steps?", false);
    console.wait_for("both skipped", |screen| screen.contents().matches("↷ skipped").count() == 2);
    console.wait_for("no mark left", |screen| !screen.contents().contains(" marked"));
    let skipped =
        field.interventions().into_iter().filter(|(kind, status, _)| kind == "skip_step" && status == "applied");
    assert_eq!(skipped.map(|(_, _, reason)| reason).collect::<Vec<_>>(), ["not today", "not today"]);
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "two\nfour\n");
    quit(&mut console);
}
