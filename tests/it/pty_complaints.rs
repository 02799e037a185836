//! What users of other consoles complain of most, each tried on the real program in a pseudo-terminal. Which test holds what stands in
//! `docs/console.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use crate::console::{field, open};
use crate::pty::Session;

/// What was put into the clipboard, by its sequence.
fn copied(bytes: &[u8]) -> Option<String> {
    let start = b"\x1b]52;c;";
    let at = bytes.windows(start.len()).rposition(|window| window == start)? + start.len();
    let end = bytes[at..].iter().position(|byte| matches!(byte, 0x07 | 0x1b))?;
    String::from_utf8(STANDARD.decode(&bytes[at..at + end]).ok()?).ok()
}

#[test]
fn what_is_copied_is_the_text_without_borders_glyphs_or_numbers() {
    let print = "printf 'the first line\\n  \\033[31mindented and red\\033[0m\\nthe last\\n'; exit 3";
    let field = field(json!([{"step_id": "one", "run": print}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("one failed: exit status 3");
    console.wait_for_text("indented and red");
    console.press("y");
    console.wait_for_text("sent to the terminal's clipboard");
    let text = copied(&console.bytes()).expect("the clipboard's sequence");
    assert_eq!(text.trim_end(), "the first line\n  indented and red\nthe last");
}

#[test]
fn the_end_of_the_console_says_what_failed_why_and_how_to_go_on() {
    let steps = json!([{"step_id": "one", "run": "echo broken >&2; exit 3"}, {"step_id": "two", "run": "true"}]);
    let field = field(steps);
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("one failed: exit status 3");
    console.press("q");
    console.wait_exit();
    console.assert_given_back();
    let left = console.screen_text();
    for said in ["trial", "one", "exit status 3", "holdpoint resume"] {
        assert!(left.contains(said), "{said:?} is missing:\n{left}");
    }
}

#[test]
fn output_is_there_after_the_program_was_killed() {
    let field = field(json!([{"step_id": "one", "run": "echo written before the crash; sleep 600"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("written before the crash");
    console.signal(Signal::KILL);
    console.wait_exit();
    let mut console = open(field.path(), &[]);
    console.wait_for_text("halted");
    console.keys("<Enter>");
    console.wait_for_text("written before the crash");
    console.wait_for_text("its engine ended");
}

/// The parts of what was written that are not between the beginning and the end of a synchronised update.
fn outside_of_frames(bytes: &[u8]) -> String {
    let written = String::from_utf8_lossy(bytes).into_owned();
    let mut outside = String::new();
    for (place, part) in written.split("\x1b[?2026h").enumerate() {
        outside.push_str(if place == 0 { part } else { part.split_once("\x1b[?2026l").map_or("", |(_, rest)| rest) });
    }
    outside
}

#[test]
fn another_size_is_drawn_at_once_and_never_over_a_blank_screen() {
    let field = field(json!([{"step_id": "one", "run": "echo hello"}, {"step_id": "two", "run": "exit 3"}]));
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("two failed");
    let before = console.bytes().len();
    for (columns, rows) in [(80, 24), (160, 45), (100, 30), (120, 36)] {
        console.resize(columns, rows);
        console.wait_for("the footer is in the last line", |screen| {
            screen.rows(0, columns).last().is_some_and(|line| line.contains("q quit"))
        });
    }
    let bytes = console.bytes();
    let outside = outside_of_frames(&bytes[before..]);
    for clears in ["\x1b[2J", "\x1b[J", "\x1b[0J", "\x1b[3J", "\x1bc"] {
        assert!(!outside.contains(clears), "the screen is cleared outside of a synchronised update: {outside:?}");
    }
}

/// What sets a colour, in all that was written.
fn colours(console: &Session) -> Vec<String> {
    let written = String::from_utf8_lossy(&console.bytes()).into_owned();
    let sets = |sequence: &&str| {
        let numbers = sequence.split([';', ':']).filter_map(|number| number.parse::<u32>().ok());
        numbers.into_iter().any(|number| matches!(number, 30..=38 | 40..=48 | 90..=107))
    };
    let found = written.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        (rest[end..].starts_with('m')).then_some(&rest[..end])
    });
    found.filter(sets).map(str::to_owned).collect()
}

#[test]
fn no_color_is_kept_to_and_no_state_is_told_by_colour_alone() {
    let steps = json!([
        {"step_id": "one", "run": "printf '\\033[31mred\\033[0m\\n'"},
        {"step_id": "two", "run": "exit 3"},
        {"step_id": "three", "run": "true"}
    ]);
    let field = field(steps);
    let environment = [("HOLDPOINT_USER", "ann"), ("NO_COLOR", "1"), ("COLORTERM", "truecolor")];
    let program = env!("CARGO_BIN_EXE_holdpoint");
    let mut console = Session::start_in(field.path(), program, &["plans/trial.json"], 120, 36, &environment);
    console.wait_for_text("two failed: exit status 3");
    for word in ["✔ done", "✘ failed", "○ pending"] {
        console.wait_for_text(word);
    }
    console.press("gq");
    console.wait_exit();
    assert_eq!(colours(&console), Vec::<String>::new());
}
