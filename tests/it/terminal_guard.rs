//! The terminal is given back in every way a program can end.

use rustix::process::Signal;

use crate::pty::{Session, example};

fn start() -> Session {
    let mut session = Session::start(example("terminal_guard"), &[], 40, 10, &[]);
    session.wait_for_text("last: ready");
    assert!(session.screen(|s| s.alternate_screen() && s.hide_cursor() && s.bracketed_paste()));
    // Movement is told only while a button is pressed.
    assert_eq!(session.screen(|s| s.mouse_protocol_mode()), vt100::MouseProtocolMode::ButtonMotion);
    session
}

fn pressed(session: &mut Session, key: &str) {
    session.press(key);
    session.wait_for_text(&format!("last: {key}"));
}

#[test]
fn at_the_end() {
    let mut session = start();
    session.press("q");
    assert!(session.wait_exit().success());
    session.assert_given_back();
    assert_eq!(session.screen_text(), "left in good order");
}

#[test]
fn after_an_error() {
    let mut session = start();
    session.press("e");
    assert_eq!(session.wait_exit().exit_code(), 1);
    session.assert_given_back();
    assert!(session.screen_text().contains("an error"));
}

#[test]
fn after_a_panic_while_drawing() {
    let mut session = start();
    session.press("p");
    assert_eq!(session.wait_exit().exit_code(), 101);
    session.assert_given_back();
    let text = session.screen_text();
    assert_eq!(text.matches("the report: ").count(), 1, "{text}");
    assert!(text.contains("panic in drawing"), "{text}");
}

#[test]
fn after_a_panic_between_frames() {
    let mut session = start();
    session.press("u");
    assert_eq!(session.wait_exit().exit_code(), 101);
    session.assert_given_back();
    assert!(session.screen_text().contains("panic between frames"));
}

#[test]
fn a_panic_elsewhere_touches_no_screen_and_is_told_in_the_end() {
    let mut session = start();
    pressed(&mut session, "b");
    pressed(&mut session, "a");
    assert!(!String::from_utf8_lossy(&session.bytes()).contains("the report"));
    session.press("q");
    assert!(session.wait_exit().success());
    session.assert_given_back();
    let text = session.screen_text();
    assert!(text.contains("panic on a thread") && text.contains("panic in a task"), "{text}");
}

/// What was killed on the alternate screen does not show through: entering that once more clears nothing on most terminals.
#[test]
fn the_screen_is_cleared_whatever_was_left_on_it() {
    let session = start();
    let bytes = session.bytes();
    let found = |wanted: &[u8]| bytes.windows(wanted.len()).position(|bytes| bytes == wanted);
    let entered = found(b"\x1b[?1049h").unwrap();
    let cleared = found(b"\x1b[2J").expect("the screen is cleared");
    assert!(entered < cleared && cleared < found(b"ready").unwrap());
}

#[test]
fn after_signals() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut session = start();
        session.signal(signal);
        assert!(session.wait_exit().success(), "{signal:?}");
        session.assert_given_back();
    }
}

#[test]
fn while_it_is_stopped_and_again_when_it_goes_on() {
    for outside in [false, true] {
        let mut session = start();
        pressed(&mut session, "x");
        if outside {
            session.signal(Signal::TSTP)
        } else {
            session.keys("<C-z>")
        }
        session.wait_until_stopped();
        session.wait_for("the first screen", |s| !s.alternate_screen());
        session.assert_given_back();
        session.signal(Signal::CONT);
        session.wait_for("the console, painted whole", |s| {
            s.alternate_screen() && s.contents().contains("frame") && s.contents().contains("last:")
        });
        pressed(&mut session, "y");
        session.press("q");
        assert!(session.wait_exit().success());
        session.assert_given_back();
    }
}

#[test]
fn while_an_editor_has_it() {
    let mut session = start();
    session.press("s");
    session.wait_for_bytes(b"handed over");
    session.wait_for_text("last: s");
    pressed(&mut session, "x");
    session.press("q");
    assert!(session.wait_exit().success());
    session.assert_given_back();
    assert!(session.screen_text().contains("handed over"));
}

#[test]
fn what_was_typed_for_the_console_does_not_reach_the_shell() {
    let mut session = start();
    session.press("w");
    session.wait_for_bytes(b"\x1b]0;deaf\x07");
    session.press("rm -rf\n");
    assert!(session.wait_exit().success());
    session.assert_given_back();
    assert_eq!(session.unread_input(), 0);
}

#[test]
fn a_change_of_size_is_painted() {
    let mut session = start();
    session.resize(60, 12);
    session.wait_for("a new frame", |s| s.contents().contains("frame 2"));
    pressed(&mut session, "x");
    session.press("q");
    session.wait_exit();
    session.assert_given_back();
}

#[test]
fn titles_notifications_and_careless_widgets_hold_no_sequences() {
    let mut session = start();
    for key in ["t", "n", "h"] {
        pressed(&mut session, key);
    }
    let bytes = String::from_utf8(session.bytes()).unwrap();
    assert!(bytes.contains("\x1b]0;run ␛]0;evil␇ 1\x07"), "{bytes:?}");
    assert!(bytes.contains("\x1b]9;holdpoint: a run ␇failed\x07"), "{bytes:?}");
    assert!(!bytes.contains("\x1b]0;evil") && !bytes.contains("\u{202e}"), "{bytes:?}");
    session.press("q");
    session.wait_exit();
    session.assert_given_back();
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = std::process::Command::new(example("terminal_guard")).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("NotATerminal"), "{error}");
    assert!(output.stdout.is_empty());
}
