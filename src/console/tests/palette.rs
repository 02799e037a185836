//! The palette: finds every action by its name, says why one is not possible, and does what the key would have done.

use super::screens::shown;
use super::*;
use crate::console::actions::{Action, TABLE};
use crate::console::app::Place;
use crate::console::palette::Palette;
use crate::console::popups::Popup;

const SIZE: (u16, u16) = (100, 30);

fn palette(app: &App) -> &Palette {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Palette(palette)) => palette,
        other => panic!("no palette is open: {other:?}"),
    }
}

fn type_in(app: &mut App, text: &str) {
    for letter in text.chars() {
        let name = if letter == ' ' { "Space".to_owned() } else { letter.to_string() };
        press(app, &name);
    }
}

#[test]
fn palette_screens() {
    shown("palette", |size| {
        let mut app = open(&failed(), size);
        press(&mut app, ":");
        app
    });
    shown("palette_typed", |size| {
        let mut app = open(&failed(), size);
        press(&mut app, ":");
        type_in(&mut app, "re");
        app
    });
    shown("palette_refused", |size| {
        let mut app = open(&failed(), size);
        press(&mut app, ":");
        type_in(&mut app, "release");
        press(&mut app, "Enter");
        app
    });
    shown("palette_of_runs", |size| {
        let mut app = console(size);
        app.update(Event::RunsListed(Ok((vec![held().listed()], vec![]))), start());
        app.update(Event::PlansListed(vec![plan_entry(backup())]), start());
        screen(&mut app);
        press(&mut app, ":");
        app
    });
    shown("palette_nothing", |size| {
        let mut app = open(&failed(), size);
        press(&mut app, ":");
        type_in(&mut app, "xyzzy");
        app
    });
}

#[test]
fn every_action_is_there_with_the_possible_ones_first() {
    for mut app in [open(&failed(), SIZE), console(SIZE)] {
        screen(&mut app);
        press(&mut app, ":");
        let rows = &palette(&app).rows;
        for entry in TABLE.iter().filter(|entry| entry.action != Action::Palette) {
            assert!(rows.iter().any(|row| row.action == entry.action), "{} is missing", entry.name);
        }
        let first_not = rows.iter().position(|row| row.why_not.is_some()).unwrap();
        assert!(rows[first_not..].iter().all(|row| row.why_not.is_some()), "what is possible comes first");
        assert!(first_not > 0);
    }
}

#[test]
fn enter_does_what_the_key_would_have_done() {
    let mut app = open(&running(), SIZE);
    press(&mut app, ":");
    type_in(&mut app, "pause");
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Pause);
    assert!(app.layers.is_empty());
    // What asks first asks also from here.
    press(&mut app, ":");
    type_in(&mut app, "cancel");
    assert!(press(&mut app, "Enter").is_empty());
    assert!(matches!(app.layers.last().unwrap().popup, Popup::Ask(_)), "cancelling asks");
    press(&mut app, "Esc");
    press(&mut app, ":");
    type_in(&mut app, "timel");
    press(&mut app, "Enter");
    assert_eq!(app.place, Place::Timeline);
}

#[test]
fn what_is_not_possible_is_not_done_and_its_name_is_never_taken_for_another() {
    let mut app = open(&failed(), SIZE);
    for entry in TABLE.iter().filter(|entry| entry.action != Action::Palette) {
        press(&mut app, ":");
        let now = app.now;
        app.update(Event::Paste(entry.name.into()), now);
        let row = palette(&app).row().unwrap_or_else(|| panic!("{} finds nothing", entry.name));
        assert_eq!(row.title, entry.name.replace('-', " "), "nothing else is selected");
        press(&mut app, "Esc");
        assert!(app.layers.is_empty());
    }
    press(&mut app, ":");
    type_in(&mut app, "release");
    assert!(press(&mut app, "Enter").is_empty());
    assert!(palette(&app).refused, "it stays open and says why");
    let screen = screen(&mut app);
    assert!(screen.contains("not now: "), "{screen}");
}

#[test]
fn the_selection_stays_with_its_action_while_the_run_goes_on() {
    let mut app = open(&running(), SIZE);
    press(&mut app, ":");
    type_in(&mut app, "p");
    press(&mut app, "Down");
    let selected = palette(&app).row().unwrap().action;
    let paused = running().ask(Command::Pause);
    app.update(Event::Batch { run: paused.state.run_id, batch: Arc::new(paused.events.clone()).into() }, paused.now);
    screen(&mut app);
    assert_eq!(palette(&app).row().unwrap().action, selected);
    assert!(press(&mut app, "Ctrl-c").is_empty());
    assert!(app.layers.is_empty(), "Ctrl-C closes it and leaves the console alone");
}

#[test]
fn the_match_is_marked_and_words_of_what_it_does_find_it() {
    let mut app = open(&failed(), SIZE);
    press(&mut app, ":");
    type_in(&mut app, "rdown");
    let row = palette(&app).row().unwrap();
    assert_eq!((row.action, row.in_title.len()), (Action::RetryDownstream, 5));
    press(&mut app, "Ctrl-u");
    type_in(&mut app, "critical path");
    let row = palette(&app).row().unwrap();
    assert_eq!(row.action, Action::Timeline);
    assert_eq!(row.in_doc.len(), "criticalpath".len());
    press(&mut app, "Ctrl-u");
    type_in(&mut app, "edit");
    assert_eq!(palette(&app).row().unwrap().title, "edit", "also by the word that the footer shows");
}
