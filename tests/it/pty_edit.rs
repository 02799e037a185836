//! Steering a live run in the console: the real program in a pseudo-terminal, plans changed while they run, what ran read from the disk.

use std::path::Path;

use serde_json::{Value, json};

use crate::pty::Session;

/// A folder with one plan, `plans/trial.json`, whose first step runs until a file `go` appears in it; the others write what they are called.
pub struct Field {
    dir: tempfile::TempDir,
}

impl Field {
    pub fn new(others: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plans")).unwrap();
        let mut steps = vec![json!({"step_id": "first", "run": waits_for("go")})];
        steps.extend(others.iter().cloned());
        let plan = json!({"plan_id": "trial", "title": "A trial", "steps": steps});
        std::fs::write(dir.path().join("plans/trial.json"), plan.to_string()).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Opens the plan and waits until its first step runs.
    pub fn open(&self, size: (u16, u16), environment: &[(&str, &str)]) -> Session {
        let home = self.path().to_str().unwrap().to_owned();
        let mut all = vec![("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
        all.extend(environment);
        let program = env!("CARGO_BIN_EXE_holdpoint");
        let mut console = Session::start_in(self.path(), program, &["plans/trial.json"], size.0, size.1, &all);
        console.wait_for_text("● running");
        console
    }

    /// Lets the first step end.
    pub fn go(&self) {
        std::fs::write(self.path().join("go"), "").unwrap();
    }

    /// What the steps have written, line by line.
    pub fn written(&self) -> String {
        std::fs::read_to_string(self.path().join("written")).unwrap_or_default()
    }

    /// The journal's events of the only run.
    pub fn events(&self) -> Vec<Value> {
        let run = std::fs::read_dir(self.path().join("checkpoints")).unwrap().flatten().next().expect("a run").path();
        let text = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
    }

    pub fn interventions(&self) -> Vec<(String, String, Value)> {
        let events = self.events();
        let of = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let found = events.iter().filter(|event| event["type"] == "intervention");
        found.map(|event| (of(event, "intervention_type"), of(event, "status"), event["reason"].clone())).collect()
    }
}

pub fn waits_for(name: &str) -> String {
    format!("until [ -e {name} ]; do sleep 0.02; done")
}

pub fn writes(id: &str) -> Value {
    json!({"step_id": id, "run": format!("echo {id} >> written")})
}

/// Presses a key until the screen is as wanted: a form or a question takes no key before it was drawn, and a test is quicker than any operator.
pub fn until(console: &mut Session, keys: &str, what: &str, there: bool) {
    for _ in 0..10 {
        console.keys(keys);
        if console.is_soon(|screen| screen.contents().contains(what) == there) {
            return;
        }
    }
    panic!("{keys} does not lead to {what:?} ({there}):\n{}", console.screen_text());
}

/// The line of the form that has the keys.
pub fn current(screen: &vt100::Screen) -> String {
    let text = screen.contents();
    let line = text.lines().filter_map(|line| line.split_once('│')?.1.split_once('▌')).next();
    line.map(|(_, field)| field.to_owned()).unwrap_or_default()
}

/// Goes to a field of the form and types into it; what the form was too new to take is typed again.
pub fn fill(console: &mut Session, field: &str, text: &str) {
    let here = format!("{field} ");
    for _ in 0..40 {
        let before = console.screen(current);
        if before.starts_with(&here) {
            // To the end of what stands there, and all of it away.
            console.keys("<End><C-u>");
            console.press(text);
            let typed = |line: String| line.strip_prefix(&here).is_some_and(|rest| rest.trim_start().starts_with(text));
            if console.is_soon(|screen| typed(current(screen))) {
                return;
            }
        } else {
            console.keys("<Tab>");
            console.is_soon(|screen| current(screen) != before);
        }
    }
    panic!("{text:?} is not in {field}:\n{}", console.screen_text());
}

fn is_selected(screen: &vt100::Screen, step: &str) -> bool {
    screen.contents().lines().any(|line| line.starts_with('▌') && line.contains(&format!(" {step} ")))
}

pub fn quit(console: &mut Session) {
    console.press("q");
    assert!(console.wait_exit().success());
    console.assert_given_back();
}

#[test]
fn a_pending_step_is_edited_and_runs_as_edited() {
    let say = json!({"step_id": "say", "run": "echo $WORD >> written", "env": {"WORD": "before"}});
    let field = Field::new(&[say, writes("last")]);
    let mut console = field.open((120, 36), &[]);
    console.press("j");
    console.wait_for("say selected", |screen| is_selected(screen, "say"));
    until(&mut console, "e", "Change say", true);
    fill(&mut console, "env.WORD", "after");
    fill(&mut console, "retries", "x");
    console.wait_for_text("this is not a number");
    console.keys("<Enter>");
    fill(&mut console, "retries", "1");
    console.wait_for_text("no mistakes");
    until(&mut console, "<Enter>", "Change say?", true);
    console.wait_for_text("env.WORD \"before\" → \"after\"");
    console.press("typo");
    until(&mut console, "<Enter>", "Change say", false);
    console.wait_for_text("plan v2");
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "after\nlast\n");
    let changed = ("modify_step".to_owned(), "applied".to_owned(), json!("typo"));
    assert!(field.interventions().contains(&changed), "{:?}", field.interventions());
    quit(&mut console);
}

#[test]
fn the_json_is_edited_in_place_and_in_the_operators_editor() {
    let field = Field::new(&[writes("second")]);
    let editor = field.path().join("editor");
    // An editor that says what it got, leaves something wrong the first time, and what is right the second.
    let script = "#!/bin/sh\nset -e\ncat \"$1\" > got\nif [ -e once ]; then sed -i 's/echo second/echo edited/; s/max_retires/max_retries/' \"$1\"\nelse touch once; sed -i 's/\"run\"/\"max_retires\": 2, \"run\"/' \"$1\"; fi\nprintf 'the editor has the terminal\\n'\n";
    std::fs::write(&editor, script).unwrap();
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut console = field.open((120, 36), &[("EDITOR", editor.to_str().unwrap())]);
    console.press("j");
    until(&mut console, "e", "Change second", true);
    until(&mut console, "<C-t>", "\"step_id\": \"second\"", true);
    console.keys("<C-o>");
    console.wait_for_bytes(b"the editor has the terminal");
    console.wait_for_text("did you mean `max_retries`?");
    assert!(console.screen(|screen| screen.alternate_screen()), "the console has the terminal again");
    console.keys("<C-d>");
    console.wait_for_text("1 mistake");
    console.keys("<C-o>");
    console.wait_for_text("echo edited");
    console.wait_for_text("no mistakes");
    until(&mut console, "<C-d>", "Change second?", true);
    until(&mut console, "<Enter>", "Change second", false);
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "edited\n");
    let got = std::fs::read_to_string(field.path().join("got")).unwrap();
    assert!(got.contains("\"max_retires\": 2"), "the second time it got what the first had left: {got}");
    quit(&mut console);
}

#[test]
fn a_step_is_added_after_the_selected_one() {
    let field = Field::new(&[writes("second")]);
    let mut console = field.open((120, 36), &[]);
    until(&mut console, "a", "Add a step", true);
    fill(&mut console, "step_id", "between");
    fill(&mut console, "command", "echo between >> written");
    until(&mut console, "<Enter>", "Add between?", true);
    console.wait_for_text("+ between (place 2)");
    until(&mut console, "<Enter>", "Add", false);
    console.wait_for("between selected", |screen| is_selected(screen, "between"));
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "between\nsecond\n");
    quit(&mut console);
}

#[test]
fn steps_are_moved_with_a_key() {
    let field = Field::new(&[writes("one"), writes("two"), writes("three")]);
    let mut console = field.open((120, 36), &[]);
    console.press("K");
    console.wait_for_text("move up: `first` is running");
    console.press("G");
    console.wait_for("three selected", |screen| is_selected(screen, "three"));
    console.press("KK");
    console.wait_for("it on top", |screen| {
        let text = screen.contents();
        let place = |name: &str| text.find(&format!("pending       {name} "));
        place("three") < place("one") && is_selected(screen, "three")
    });
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "three\none\ntwo\n");
    quit(&mut console);
}

/// Where a step stands on the screen: column and row, from 1.
fn place_of(screen: &vt100::Screen, step: &str) -> Option<(usize, usize)> {
    let text = screen.contents();
    let row = text.lines().position(|line| line.contains(&format!("pending       {step} ")))?;
    Some((20, row + 1))
}

#[test]
fn a_step_is_dragged_with_the_mouse() {
    let field = Field::new(&[writes("one"), writes("two"), writes("three")]);
    let mut console = field.open((120, 36), &[]);
    console.wait_for("the last step", |screen| place_of(screen, "three").is_some());
    let at = |console: &Session, step: &str| console.screen(|screen| place_of(screen, step)).unwrap();
    let ((x, from), (_, to)) = (at(&console, "three"), at(&console, "one"));
    // Pressed, moved with the button down, and left alone: nothing is moved.
    console.press(&format!("\x1b[<0;{x};{from}M\x1b[<32;{x};{to}M"));
    console.wait_for_text("drop three here, at place 2");
    console.keys("<Esc>");
    console.wait_for("it at its place", |screen| place_of(screen, "three") == Some((x, from)));
    console.press(&format!("\x1b[<0;{x};{to}m"));
    console.press(&format!("\x1b[<0;{x};{from}M\x1b[<32;{x};{to}M\x1b[<0;{x};{to}m"));
    console.wait_for_text("plan v2");
    console.wait_for("it on top", |screen| place_of(screen, "three") == Some((x, to)) && is_selected(screen, "three"));
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "three\none\ntwo\n");
    quit(&mut console);
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let field = Field::new(&[]);
    let mut console = field.open((80, 24), &[("HOLDPOINT_MOUSE", "off")]);
    assert_eq!(console.screen(|screen| screen.mouse_protocol_mode()), vt100::MouseProtocolMode::None);
    field.go();
    console.wait_for_text("COMPLETED");
    quit(&mut console);
}

#[test]
fn a_step_is_removed_and_the_removal_undone() {
    let field = Field::new(&[writes("one"), writes("two")]);
    let mut console = field.open((120, 36), &[]);
    console.press("j");
    console.wait_for("one selected", |screen| is_selected(screen, "one"));
    until(&mut console, "d", "Remove one from the plan?", true);
    console.wait_for_text("one: pending → not in the plan");
    console.press("not tonight");
    console.wait_for_text("Reason  not tonight");
    until(&mut console, "<Enter>", "Remove one", false);
    console.wait_for("two selected", |screen| is_selected(screen, "two"));
    until(&mut console, "u", "Undo version 2 of the plan?", true);
    console.wait_for_text("ann changed the plan at");
    console.wait_for_text("+ one (place 2)");
    until(&mut console, "<Enter>", "Undo version 2", false);
    console.wait_for_text("pending       one ");
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "one\ntwo\n");
    let done = field.interventions();
    let of = |kind: &str, reason: Value| (kind.to_owned(), "applied".to_owned(), reason);
    assert!(
        done.contains(&of("remove_step", json!("not tonight"))) && done.contains(&of("undo", Value::Null)),
        "{done:?}"
    );
    quit(&mut console);
}

#[test]
fn an_edit_of_a_step_that_has_started_is_refused_and_its_text_kept() {
    let second = json!({"step_id": "second", "run": waits_for("stop"), "timeout_seconds": 60});
    let field = Field::new(&[second]);
    let mut console = field.open((80, 24), &[]);
    console.press("j");
    until(&mut console, "e", "Change second", true);
    fill(&mut console, "timeout", "4711");
    field.go();
    console.wait_for_text("it can no longer be changed");
    console.keys("<Enter>");
    assert!(!console.is_soon(|screen| screen.contents().contains("Change second?")), "{}", console.screen_text());
    assert!(console.screen_text().contains("4711"), "what was typed stays");
    until(&mut console, "<Esc>", "Change second", false);
    console.wait_for_text("what you typed for second is kept");
    std::fs::write(field.path().join("stop"), "").unwrap();
    console.wait_for_text("COMPLETED");
    assert!(field.interventions().iter().all(|(kind, _, _)| kind != "modify_step"), "{:?}", field.interventions());
    quit(&mut console);
}

#[test]
fn an_editor_that_fails_or_is_interrupted_loses_nothing() {
    let field = Field::new(&[writes("second")]);
    let editor = field.path().join("editor");
    // In a terminal that sends signals for keys, as an editor of lines has it.
    let script = "#!/bin/sh\ntrap 'exit 3' INT\necho the editor waits\nwhile :; do sleep 0.05; done\n";
    std::fs::write(&editor, script).unwrap();
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut console = field.open((120, 36), &[("VISUAL", editor.to_str().unwrap())]);
    console.press("j");
    until(&mut console, "e", "Change second", true);
    fill(&mut console, "timeout", "4711");
    console.keys("<C-o>");
    console.wait_for_bytes(b"the editor waits");
    console.wait_for("the terminal's own screen", |screen| !screen.alternate_screen());
    console.keys("<C-c>");
    console.wait_for_text("nothing was taken from it");
    assert!(console.screen_text().contains("4711"), "{}", console.screen_text());
    // Leaving with the text not sent keeps it in a file.
    until(&mut console, "<Esc>", "Change second", false);
    field.go();
    console.wait_for_text("COMPLETED");
    console.press("q");
    assert!(console.wait_exit().success());
    console.assert_given_back();
    let text = console.screen_text();
    assert!(text.contains("what you typed for second and did not send is in"), "{text}");
    let unsent = field.path().join(".local/state/holdpoint/unsent");
    let file = std::fs::read_dir(&unsent).unwrap().flatten().next().expect("a file").path();
    assert!(std::fs::read_to_string(file).unwrap().contains("\"timeout_seconds\": 4711"));
}

#[test]
fn an_editor_that_is_not_there_is_named() {
    let field = Field::new(&[writes("second")]);
    let mut console = field.open((120, 36), &[("EDITOR", "no-such-editor")]);
    console.press("j");
    until(&mut console, "e", "Change second", true);
    until(&mut console, "<C-o>", "there is no editor no-such-editor: set $VISUAL or $EDITOR", true);
    console.keys("<Esc>");
    field.go();
    console.wait_for_text("COMPLETED");
    quit(&mut console);
}

#[test]
fn a_plan_that_needs_values_is_opened_from_the_list_with_those_that_are_typed() {
    let field = Field::new(&[]);
    std::fs::remove_file(field.path().join("plans/trial.json")).unwrap();
    let plan = json!({
        "plan_id": "ship",
        "variables": {"bucket": {"required": true}, "token": {"secret": true}},
        "steps": [{
            "step_id": "copy",
            "run": "echo {{ vars.bucket }} ${#TOKEN} > written",
            "env": {"TOKEN": "{{ vars.token }}"}
        }]
    });
    std::fs::write(field.path().join("plans/ship.json"), plan.to_string()).unwrap();
    let home = field.path().to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
    let program = env!("CARGO_BIN_EXE_holdpoint");
    let args = ["--checkpoints", "c6"];
    let mut console = Session::start_in(field.path(), program, &args, 80, 24, &environment);
    console.wait_for_text("ship");
    until(&mut console, "<Enter>", "Values for ship", true);
    fill(&mut console, "bucket", "attic");
    // What is typed cannot be read: only how long it is.
    console.keys("<Tab>");
    console.wait_for("the secret has the keys", |screen| current(screen).starts_with("token "));
    console.press("hunter2");
    console.wait_for_text("•••••••");
    assert!(!console.screen_text().contains("hunter2"));
    console.keys("<Enter>");
    console.wait_for_text("nothing has run yet");
    until(&mut console, "p", "Start ship?", true);
    until(&mut console, "<Enter>", "Start ship?", false);
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "attic 7\n");
    console.press("q");
    assert!(console.wait_exit().success());
    assert!(!String::from_utf8_lossy(&console.bytes()).contains("hunter2"));
}

/// A script is edited in the terminal itself: its lines seen, one more begun as terminals send it, and read back from what ran.
#[test]
fn a_script_is_edited_line_by_line_in_the_terminal() {
    let script = "echo one >> written\necho two >> written";
    let field = Field::new(&[json!({"step_id": "say", "run": script})]);
    let mut console = field.open((80, 24), &[]);
    console.press("j");
    console.wait_for("say selected", |screen| is_selected(screen, "say"));
    until(&mut console, "e", "Change say", true);
    until(&mut console, "<Tab>", "line 1 of 2", true);
    // Enter, and Alt with Enter, which terminals send as Esc and Enter.
    console.keys("<Down><End>");
    console.wait_for_text("line 2 of 2");
    console.keys("<Enter>");
    console.press("echo three >> written\x1b\r");
    console.wait_for_text("line 4 of 4");
    console.press("\x1b[200~echo four >> written\r\necho five >> written\x1b[201~");
    console.wait_for_text("line 5 of 5");
    // Ctrl-d, which no terminal takes.
    until(&mut console, "<C-d>", "Change say?", true);
    console.wait_for_text("+ echo five >> written");
    until(&mut console, "<Enter>", "Change say", false);
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "one\ntwo\nthree\nfour\nfive\n");
    quit(&mut console);
}

#[test]
fn the_operators_editor_gets_just_the_script_that_has_the_keys() {
    let field = Field::new(&[json!({"step_id": "say", "run": "echo one >> written\necho two >> written"})]);
    let editor = field.path().join("editor");
    let script = "#!/bin/sh\nset -e\ncase \"$1\" in *.sh) cp \"$1\" got; sed -i 's/two/three/' \"$1\";; esac\n";
    std::fs::write(&editor, script).unwrap();
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut console = field.open((120, 36), &[("VISUAL", editor.to_str().unwrap())]);
    console.press("j");
    console.wait_for("say selected", |screen| is_selected(screen, "say"));
    until(&mut console, "e", "Change say", true);
    until(&mut console, "<Tab>", "line 1 of 2", true);
    console.keys("<C-o>");
    console.wait_for_text("echo three >> written");
    until(&mut console, "<C-d>", "Change say?", true);
    console.wait_for_text("- echo two >> written");
    until(&mut console, "<Enter>", "Change say", false);
    field.go();
    console.wait_for_text("COMPLETED");
    assert_eq!(field.written(), "one\nthree\n");
    assert_eq!(
        std::fs::read_to_string(field.path().join("got")).unwrap(),
        "echo one >> written\necho two >> written\n"
    );
    quit(&mut console);
}
