//! Looking back in the console: the real program in a pseudo-terminal, going back to a checkpoint, forking from it, bringing an older version of the
//! plan back, and writing what was done to a file.

use serde_json::{Value, json};

use crate::pty::Session;
use crate::pty_edit::{Field, current, fill, quit, until, waits_for, writes};

/// Whether a row of the list is the selected one.
fn is_selected(screen: &vt100::Screen, what: &str) -> bool {
    screen.contents().lines().any(|line| line.starts_with('▌') && line.contains(what))
}

/// The id of the checkpoint in the row that says this, as the list shows it.
fn checkpoint(console: &Session, what: &str) -> String {
    let text = console.screen_text();
    let row = text.lines().find(|line| line.contains(what) && line.contains(" cp-"));
    let row = row.unwrap_or_else(|| panic!("no row says {what:?}:\n{text}"));
    row.split_whitespace().find(|word| word.starts_with("cp-")).unwrap().to_owned()
}

/// A run whose steps `one` and `two` have completed after the first, and whose `three` waits for a file; paused by the operator when all that
/// runs has ended.
fn paused(field: &Field) -> Session {
    let mut console = field.open((120, 36), &[]);
    field.go();
    console.wait_for("three runs", |screen| {
        screen.contents().lines().any(|line| line.contains("● running") && line.contains(" three "))
    });
    console.press("p");
    console.wait_for_text("PAUSED");
    std::fs::write(field.path().join("on"), "").unwrap();
    console.wait_for_text("4 of 5");
    console
}

fn field() -> Field {
    let three = json!({"step_id": "three", "run": format!("{}; echo three >> written", waits_for("on"))});
    Field::new(&[writes("one"), writes("two"), three, writes("four")])
}

/// Opens the checkpoints and goes to the one after a step.
fn to_checkpoint(console: &mut Session, step: &str) -> String {
    console.press("C");
    console.wait_for_text("Checkpoints");
    let row = format!("{step} completed");
    let id = checkpoint(console, &row);
    for _ in 0..10 {
        if console.is_soon(|screen| is_selected(screen, &row)) {
            return id;
        }
        console.press("j");
    }
    panic!("{row} cannot be selected:\n{}", console.screen_text());
}

#[test]
fn going_back_shows_what_it_does_and_what_ran_then_runs_again() {
    let field = field();
    let mut console = paused(&field);
    let id = to_checkpoint(&mut console, "one");
    until(&mut console, "<Enter>", &format!("Go back to {id}?"), true);
    console.wait_for_text("runs again: two, three (what they did outside is not undone)");
    console.wait_for_text("two: completed → pending");
    until(&mut console, "y", "Go back to", false);
    console.wait_for_text("left behind");
    console.wait_for_text("went back");
    console.wait_for_text("PAUSED");
    console.wait_for_text("2 of 5");
    assert_eq!(field.written(), "one\ntwo\nthree\n", "nothing runs by itself");
    // The same key as among the steps.
    console.press("p");
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "one\ntwo\nthree\ntwo\nthree\nfour\n");
    let restored =
        field.interventions().into_iter().filter(|(kind, status, _)| kind == "restore" && status == "applied");
    assert_eq!(restored.count(), 1);
    quit(&mut console);
}

#[test]
fn a_fork_is_asked_for_opened_and_runs_on_its_own() {
    let field = field();
    let mut console = paused(&field);
    let id = to_checkpoint(&mut console, "one");
    until(&mut console, "f", &format!("Fork trial at {id}?"), true);
    console.wait_for_text("would run again: two, three (what they did outside is not undone)");
    console.wait_for_text("begins idle, with 2 of 5 steps done");
    console.press("again with two");
    console.wait_for_text("Reason  again with two");
    until(&mut console, "<Enter>", "Fork trial at", false);
    console.wait_for_text("and `trial` means it from now on");
    console.wait_for_text(&format!("at {id}: again with two"));
    console.wait_for_text("IDLE");
    until(&mut console, "p", "Start trial?", true);
    until(&mut console, "<Enter>", "Start trial?", false);
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "one\ntwo\nthree\ntwo\nthree\nfour\n");
    // Its parent is as it was, and is told from it in the list.
    console.keys("<Esc>");
    console.wait_for_text("fork of ");
    console.wait_for_text("4 of 5");
    assert_eq!(std::fs::read_dir(field.path().join("checkpoints")).unwrap().count(), 2);
    console.press("q");
    assert_eq!(console.wait_exit().exit_code(), 4, "the parent waits for somebody");
    console.assert_given_back();
}

#[test]
fn an_older_version_of_the_plan_is_brought_back() {
    let field = Field::new(&[writes("one"), writes("two")]);
    let mut console = field.open((120, 36), &[]);
    console.press("j");
    until(&mut console, "e", "Change one", true);
    fill(&mut console, "command", "echo changed >> written");
    until(&mut console, "<Enter>", "Change one?", true);
    until(&mut console, "<Enter>", "Change one", false);
    console.wait_for_text("plan v2");
    until(&mut console, "d", "Remove one from the plan?", true);
    until(&mut console, "<Enter>", "Remove one", false);
    console.wait_for_text("plan v3");
    console.press("V");
    console.wait_for("the newest version", |screen| is_selected(screen, " v3 "));
    console.press("G");
    console.wait_for("the first version", |screen| is_selected(screen, " v1 "));
    until(&mut console, "<Enter>", "Bring version 1 of the plan back?", true);
    console.wait_for_text("+ one (place 2)");
    until(&mut console, "<Enter>", "Bring version 1", false);
    console.wait_for_text("plan v4");
    console.wait_for_text("brought version 1 back");
    // Any of them can be undone by its name.
    console.press("g");
    console.wait_for("the newest version", |screen| is_selected(screen, " v4 "));
    console.press("j");
    console.wait_for("the version before", |screen| is_selected(screen, " v3 "));
    until(&mut console, "u", "undo: version 3", true);
    field.go();
    console.wait_for_text("COMPLETED");
    // What is typed right behind a key that was refused is none; an arrow always is.
    console.keys("<Up>");
    assert_eq!(field.written(), "one\ntwo\n");
    quit(&mut console);
}

#[test]
fn interventions_are_filtered_copied_and_written_to_a_file() {
    let field = field();
    let mut console = paused(&field);
    console.press("I");
    console.wait_for_text("Interventions");
    console.press("/pause");
    console.wait_for_text("1 of 2");
    console.keys("<Enter>");
    console.wait_for("the pause selected", |screen| is_selected(screen, "pause"));
    console.press("y");
    console.wait_for_text("(the intervention)");
    console.press("X");
    console.wait_for_text("1 of 2 interventions written to ");
    let files = std::fs::read_dir(field.path()).unwrap().flatten().map(|file| file.path());
    let written: Vec<_> = files.filter(|path| path.to_string_lossy().contains("-interventions-")).collect();
    let [path] = &written[..] else { panic!("{written:?}") };
    let text = console.screen_text();
    assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
    let records: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let kinds: Vec<&str> = records.iter().map(|record| record["intervention_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pause"], "those that are shown");
    console.press("p");
    console.wait_for_text("COMPLETED");
    quit(&mut console);
}

#[test]
fn a_result_is_given_with_the_work_that_was_done_by_hand() {
    let field = Field::new(&[writes("one")]);
    let mut console = field.open((120, 36), &[]);
    console.press("j");
    console.wait_for("one selected", |screen| is_selected(screen, " one "));
    until(&mut console, "m", "Is one done by hand?", true);
    until(&mut console, "<Tab>", "optional: JSON, or a text", true);
    console.press("{\"rows\": }");
    console.keys("<Enter>");
    console.wait_for_text("^ expected value");
    console.keys("<Left><Right>");
    console.press("7");
    console.wait_for_text("{\"rows\": 7}");
    console.keys("<Enter>");
    console.wait_for_text("one is completed by hand");
    assert_eq!(console.screen(current), "", "no field is open");
    let given = field.events().into_iter().find(|event| event["type"] == "step_completed_by_hand").expect("the event");
    assert_eq!(given["result"], json!({"rows": 7}));
    field.go();
    console.wait_for_text("COMPLETED");
    quit(&mut console);
}
