//! What the console writes to the terminal, and when: nothing without a change, nothing while no run is active, and little when only a clock moves.

use std::time::Duration;

use serde_json::json;

use crate::console::field;
use crate::pty::Session;

/// What every frame begins with.
const FRAME: &[u8] = b"\x1b[?2026h";
/// A tick on a slow line.
const MOST: usize = 2048;

fn open(dir: &std::path::Path, arguments: &[&str], (columns, rows): (u16, u16)) -> Session {
    let home = dir.to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
    Session::start_in(dir, env!("CARGO_BIN_EXE_holdpoint"), arguments, columns, rows, &environment)
}

/// The lengths of the frames in what was written.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let starts = bytes.windows(FRAME.len()).enumerate().filter(|(_, window)| *window == FRAME).map(|(place, _)| place);
    let starts: Vec<usize> = starts.chain([bytes.len()]).collect();
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Whether nothing is written for some seconds, soon: what is still on its way at the start may come.
fn is_quiet(console: &Session) -> bool {
    (0..6).any(|_| {
        let before = console.bytes().len();
        std::thread::sleep(Duration::from_secs(4));
        console.bytes().len() == before
    })
}

#[test]
fn nothing_is_written_while_no_run_is_active() {
    let field = field(json!([{"step_id": "one", "run": "echo hello"}, {"step_id": "two", "run": "exit 3"}]));
    let mut console = open(field.path(), &["plans/trial.json"], (120, 36));
    console.wait_for_text("two failed: exit status 3");
    assert!(is_quiet(&console), "a run that waits for a person:\n{}", console.screen_text());
    console.press("s");
    console.wait_for_text("Skip two?");
    assert!(is_quiet(&console), "a question that waits for its answer:\n{}", console.screen_text());
    console.keys("<Enter>");
    console.wait_for_text("COMPLETED");
    assert!(is_quiet(&console), "a run that has ended:\n{}", console.screen_text());
    console.keys("<Esc>");
    console.wait_for_text("Ended");
    assert!(is_quiet(&console), "the list of runs:\n{}", console.screen_text());
}

#[test]
fn what_is_said_goes_by_itself_and_nobody_is_woken_up_after_it() {
    let field = field(json!([{"step_id": "one", "run": "echo hello"}]));
    let mut console = open(field.path(), &["plans/trial.json"], (120, 36));
    console.wait_for_text("COMPLETED");
    for (key, said) in [("X", "written to"), ("r", "retry: ")] {
        console.press(key);
        console.wait_for_text(said);
        console.wait_for("the message gone", |screen| !screen.contents().contains(said));
        assert!(is_quiet(&console), "{}", console.screen_text());
    }
}

#[test]
fn what_changes_nothing_on_the_screen_writes_nothing() {
    let field = field(json!([{"step_id": "one", "run": "echo hello"}]));
    let mut console = open(field.path(), &["plans/trial.json"], (120, 36));
    console.wait_for_text("COMPLETED");
    // F9 means nothing here; a key takes what was said last off the screen.
    console.press("\x1b[20~");
    assert!(is_quiet(&console));
    let before = console.bytes().len();
    console.press("\x1b[20~\x1b[20~\x1b[20~?");
    console.wait_for_text("The selected step");
    assert_eq!(frames(&console.bytes()[before..]).len(), 1, "one for the help, none for what means nothing");
}

#[test]
fn a_tick_of_the_clock_writes_little_and_once_a_second() {
    for size in [(80, 24), (160, 45)] {
        let sleeps = |id: &str| json!({"step_id": id, "run": "sleep 600", "parallel_group": "together"});
        let field = field(json!([{"step_id": "one", "run": "echo hello"}, sleeps("left"), sleeps("right")]));
        let mut console = open(field.path(), &["plans/trial.json"], size);
        let clock = |screen: &vt100::Screen| -> Option<u32> {
            let header = screen.rows(0, size.0).nth(1)?;
            header.split_whitespace().find_map(|word| word.strip_prefix("0:")?.parse().ok())
        };
        // The start and the first estimate are over.
        console.wait_for("some seconds", |screen| clock(screen).is_some_and(|seconds| seconds >= 4));
        let (first, before) = (console.screen(clock).unwrap(), console.bytes().len());
        console.wait_for("some more", |screen| clock(screen).is_some_and(|seconds| seconds >= first + 5));
        let (last, bytes) = (console.screen(clock).unwrap(), console.bytes());
        let frames = frames(&bytes[before..]);
        assert!(frames.iter().all(|frame| *frame <= MOST), "{size:?}: frames of {frames:?} bytes");
        let seconds = (last - first) as usize;
        assert!(frames.len() <= 2 * seconds + 2, "{} frames in {seconds} seconds at {size:?}", frames.len());
    }
}
