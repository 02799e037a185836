//! Text that is typed where no field is: none of it is taken for keys. And what is signed off, when only one step waits for it.

use super::keys::{catch_up, select};
use super::*;
use crate::console::popups::Popup;

const SIZE: (u16, u16) = (200, 30);

/// Types on after a key, and says what the message line says then.
fn typed_on(app: &mut App, key: &str, text: &str) -> String {
    assert!(press(app, key).is_empty());
    let said = said(app).to_owned();
    let effects = type_on(app, text);
    assert!(effects.is_empty() && app.layers.is_empty(), "{effects:?} {:?}", app.layers.last());
    said
}

#[test]
fn what_is_typed_on_after_a_refused_key_is_not_taken_for_keys() {
    for (key, text) in [("o", "signed by Ann, looks good\n"), ("s", "yes\n"), ("d", "a mistake\n"), ("e", "rror42\n")] {
        let mut app = open(&running(), SIZE);
        select(&mut app, "compress");
        let drawn = app.drawn().clone();
        let said = typed_on(&mut app, key, text);
        let shown = screen(&mut app);
        assert!(shown.contains(&said[..40]), "why it was refused stays: {said}\n{shown}");
        assert!(shown.contains("what you typed then was not taken"), "{shown}");
        assert_eq!(*app.drawn(), drawn);
    }
}

#[test]
fn whoever_stops_typing_or_presses_no_letter_has_looked_up() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "compress");
    typed_on(&mut app, "s", "ab");
    app.now += TimeDelta::milliseconds(900);
    press_unseen(&mut app, "?");
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Help { .. }));
    screen(&mut app);
    press(&mut app, "Esc");
    typed_on(&mut app, "s", "ab");
    // A key that is no text counts at once, and what comes behind it too.
    press_unseen(&mut app, "Down");
    assert_ne!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("compress"));
    press_unseen(&mut app, "?");
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Help { .. }));
}

#[test]
fn whoever_thinks_for_a_while_before_typing_is_not_taken_for_pressing_keys() {
    for text in ["prod is down\n", "just a reason\n", "kill it\n", "Ann says so\n"] {
        let mut app = open(&running(), SIZE);
        select(&mut app, "compress");
        press(&mut app, "s");
        app.now += TimeDelta::seconds(3);
        let effects = type_on(&mut app, text);
        assert!(effects.is_empty() && app.layers.is_empty(), "{text} {effects:?} {:?}", app.layers.last());
        assert!(screen(&mut app).contains("what you typed then was not taken"), "{text}");
    }
    // Moving on, and signs, are no text.
    let mut app = open(&running(), SIZE);
    select(&mut app, "compress");
    press(&mut app, "s");
    type_on(&mut app, "jj");
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("stats"));
    type_on(&mut app, ":");
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Palette(_)));
}

#[test]
fn a_key_that_nobody_types_behind_lets_the_next_one_count() {
    let mut app = open(&completed(), SIZE);
    press(&mut app, "p");
    assert!(said(&app).contains("completed"), "{}", said(&app));
    press_unseen(&mut app, "?");
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Help { .. }));
}

#[test]
fn what_is_typed_into_a_question_that_goes_by_itself_is_not_taken_for_keys() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    type_on(&mut app, "wrong host");
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Ask(_)));
    let others = running().because(Command::Cancel, "mine was first");
    catch_up(&mut app, &others);
    assert!(!screen(&mut app).contains("Cancel nightly"), "it is overtaken");
    let effects = type_on(&mut app, ", says Ann\n");
    assert!(effects.is_empty() && app.layers.is_empty(), "{effects:?} {:?}", app.layers.last());
}

#[test]
fn the_only_step_that_is_held_is_released_wherever_the_selection_stands() {
    let mut app = open(&held(), SIZE);
    select(&mut app, "prune");
    press(&mut app, "/");
    type_on(&mut app, "prune\n");
    assert!(press(&mut app, "o").is_empty());
    assert!(screen(&mut app).contains("Release ship?"), "{}", screen(&mut app));
    type_on(&mut app, "signed by Ann");
    let effects = press(&mut app, "Enter");
    assert_eq!(
        sent(&effects),
        (&Command::Release { step: "ship".into() }, Some(StepStatus::Held), Some("signed by Ann"))
    );
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("ship"));
}

#[test]
fn whoever_saw_another_step_held_is_told_what_became_of_it() {
    let mut app = open(&held(), SIZE);
    select(&mut app, "ship");
    let mut app_of_two = held().ask(Command::Hold { step: "prune".into() });
    app_of_two = app_of_two.ask(Command::Release { step: "ship".into() }).done("ship").wait(1);
    assert_eq!(app_of_two.state.step("prune").unwrap().1.status, StepStatus::Held);
    catch_up(&mut app, &app_of_two);
    assert!(press_unseen(&mut app, "o").is_empty());
    assert!(app.layers.is_empty(), "prune was not meant: {:?}", app.layers.last());
    assert!(said(&app).contains("not held"), "{}", said(&app));
}
