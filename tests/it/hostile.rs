//! Text that was written to do harm, everywhere a run can hold text, and every byte that reaches the terminal looked at.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli_support::Sandbox;
use crate::pty::Session;
use crate::pty_edit::until;

/// Escape sequences that would do something, marks that turn text around, marks that take no place, towers of marks, tabs, wide letters.
const HOSTILE: &str = "a\u{1b}]0;stolen\u{7}\u{1b}[5mb\u{1b}[3;3fc\u{1b}[6n\u{9b}31m\u{202e}rev\u{2066}x\u{200b}y\u{feff}z\te\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}漢\u{1b}P+q\u{1b}\\\u{0}end";

/// What a terminal was told.
#[derive(Default)]
struct Told {
    wrong: String,
}

impl Told {
    fn wrong(&mut self, what: &str) {
        if self.wrong.len() < 2000 {
            let _ = writeln!(self.wrong, "{what}");
        }
    }
}

impl vte::Perform for Told {
    fn print(&mut self, c: char) {
        let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}');
        if c.is_control() || (invisible && c != '\u{200d}') {
            self.wrong(&format!("printed {c:?}"));
        }
    }

    fn execute(&mut self, byte: u8) {
        if !matches!(byte, b'\r' | b'\n' | 0x08 | 0x07) {
            self.wrong(&format!("control character {byte:#x}"));
        }
    }

    fn hook(&mut self, _: &vte::Params, intermediates: &[u8], _: bool, action: char) {
        self.wrong(&format!("device control {intermediates:?} {action:?}"));
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        let text = params.iter().map(|one| String::from_utf8_lossy(one)).collect::<Vec<_>>().join(";");
        // Title, notification and clipboard are ours; what they say must be harmless, too. So is the question for the background, as a question.
        let ours = matches!(params.first(), Some(&b"0" | &b"2" | &b"9" | &b"52" | &b"777")) || text == "11;?";
        if !ours || text.contains("stolen\u{7}") || text.starts_with("0;stolen") || text.chars().any(char::is_control) {
            self.wrong(&format!("operating system command {text:?}"));
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, action: char) {
        let numbers: Vec<u16> = params.iter().flatten().copied().collect();
        let ours = match action {
            // Colours and weights; nothing of ours blinks.
            'm' => !numbers.contains(&5) || numbers.contains(&38) || numbers.contains(&48),
            // The cursor, erasing, scrolling, modes, the stack of titles, the keyboard's protocol, and the question which terminal this is.
            'A'..='D'
            | 'G'
            | 'H'
            | 'J'
            | 'K'
            | 'S'
            | 'T'
            | 'X'
            | 'd'
            | 'h'
            | 'l'
            | 'r'
            | 'q'
            | 't'
            | 'u'
            | 'c'
            | 'p' => true,
            _ => false,
        };
        if !ours {
            self.wrong(&format!("control sequence {intermediates:?} {numbers:?} {action:?}"));
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        if !matches!(byte, b'7' | b'8' | b'=' | b'>' | b'\\' | b'B') {
            self.wrong(&format!("escape sequence {:?}", char::from(byte)));
        }
    }
}

#[track_caller]
fn harmless(bytes: &[u8]) {
    let mut told = Told::default();
    vte::Parser::new().advance(&mut told, bytes);
    assert!(told.wrong.is_empty(), "{}", told.wrong);
}

/// Presses a key and waits until it has changed the screen; not every key does.
fn press(console: &mut Session, keys: &str) {
    let before = console.screen(|screen| screen.contents());
    console.keys(keys);
    console.is_soon(|screen| screen.contents() != before);
}

fn plan(sandbox: &Sandbox) -> String {
    std::fs::write(sandbox.path().join("text"), HOSTILE).unwrap();
    // Everything a program can print: the text, bytes that are no text, and a line of ten megabytes.
    let print = r#"cat text; printf '\n\377\376\300\257\n\tab\n'; cat text >&2; head -c 10000000 /dev/zero | tr '\0' x; printf '\nlast \033[5mline\n'"#;
    let result = json!({"data": {HOSTILE: HOSTILE}, "error": HOSTILE}).to_string();
    std::fs::write(sandbox.path().join("result"), result).unwrap();
    let run = format!("{print}; cp result \"$HOLDPOINT_RESULT\"");
    let plan = json!({
        "plan_id": "hostile",
        "title": HOSTILE,
        "query": HOSTILE,
        "steps": [
            {"step_id": "loud", "name": HOSTILE, "run": run},
            {"step_id": "bad", "name": "a name", "run": "cat text >&2; cp result \"$HOLDPOINT_RESULT\"; exit 3", "on_failure": "pause"},
            {"step_id": "gate", "run": "true", "hold": HOSTILE},
        ],
    });
    sandbox.plan_text("hostile", &plan.to_string())
}

#[test]
fn nothing_but_text_and_our_own_styling_reaches_the_terminal() {
    let sandbox = Sandbox::new();
    plan(&sandbox);
    let home = sandbox.path().to_str().unwrap();
    let user = HOSTILE.replace('\u{0}', "");
    let environment = [("HOLDPOINT_USER", user.as_str()), ("HOME", home)];
    let program = env!("CARGO_BIN_EXE_holdpoint");
    let mut console = Session::start_in(sandbox.path(), program, &["plans/hostile.json"], 120, 36, &environment);
    console.wait_for_text("PAUSED");
    // The steps and the tabs of each, why, the log, the history; each is drawn before the next key.
    for keys in ["g", "]", "]", "]", "[", "[", "[", "G"] {
        press(&mut console, keys);
    }
    let popup = "Esc closes";
    for (keys, wanted) in [
        ("W", popup),
        ("k]", ""),
        ("W", popup),
        ("I", "Interventions "),
        ("V", "Versions "),
        ("C", "Checkpoints "),
        ("zz", ""),
        ("?", popup),
    ] {
        console.keys(keys);
        console.wait_for_text(wanted);
        // A key that comes before the popup counts as drawn is not taken, and a test is quick: it is pressed again.
        match wanted {
            "" => {}
            popup if popup.starts_with("Esc") => until(&mut console, "<Esc>", popup, false),
            _ => until(&mut console, "<Esc>", " Steps ", true),
        }
    }
    // A reason, by another process.
    let mut ctl = sandbox.command(&["ctl", "hostile", "skip", "bad", "--reason", &user]);
    assert!(ctl.env("HOLDPOINT_USER", &user).status().unwrap().success());
    console.wait_for_text("is held");
    console.keys("I");
    console.wait_for_text("Interventions ");
    harmless(&console.bytes());
}

#[test]
fn lines_of_text_are_harmless_and_json_is_json() {
    let sandbox = Sandbox::new();
    let plan = plan(&sandbox);
    let user = HOSTILE.replace('\u{0}', "");
    let run = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env("HOLDPOINT_USER", &user).output().unwrap();
        harmless(&output.stderr);
        output.stdout
    };
    let told = run(&["run", &plan, "--headless"]);
    assert!(String::from_utf8_lossy(&told).contains("PAUSED"), "{}", String::from_utf8_lossy(&told));
    harmless(&told);
    for arguments in [
        &["show", "hostile"][..],
        &["runs"],
        &["plans"],
        &["check", "hostile"],
        &["why", "hostile", "gate"],
        &["checkpoints", "hostile"],
        &["resume", "hostile", "--skip", "bad", "--reason", &user],
        &["verify", "hostile"],
        &["prune", "--keep", "0"],
    ] {
        harmless(&run(arguments));
    }
    for arguments in [
        &["show", "hostile", "--format", "json"][..],
        &["runs", "--format", "json"],
        &["plans", "--format", "json"],
        &["check", "hostile", "--format", "json"],
        &["why", "hostile", "gate", "--format", "json"],
        &["checkpoints", "hostile", "--format", "json"],
        &["prune", "--keep", "0", "--format", "json"],
    ] {
        let text = run(arguments);
        let value: Result<Value, _> = serde_json::from_slice(&text);
        assert!(value.is_ok(), "{arguments:?}: {}", String::from_utf8_lossy(&text));
    }
    for line in run(&["events", "hostile"]).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<Value>(line).unwrap();
    }
}
