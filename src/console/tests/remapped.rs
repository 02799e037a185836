//! Keys of the operator's own: they do what the others did, and no place shows the ones they have replaced.

use std::collections::BTreeMap;

use super::*;
use crate::console::actions::{Action, TABLE};
use crate::console::app::Place;
use crate::console::availability::availability;
use crate::console::keymap::Keymap;

const SIZE: (u16, u16) = (160, 45);

/// Every action has a key that no default is.
fn other_keys() -> Keymap {
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("äöüéèàçñøåßæþðœłżśćńşğąęźč".chars());
    let keys = letters.map(|letter| format!("Alt-{letter}").parse::<Key>().unwrap());
    let changes: BTreeMap<&'static str, Vec<Key>> =
        TABLE.iter().zip(keys).map(|(one, key)| (one.name, vec![key])).collect();
    assert_eq!(changes.len(), TABLE.len(), "there is a key for each");
    Keymap::with(&changes)
}

fn press_key(app: &mut App, action: Action) -> Vec<Effect> {
    let name = app.key_of(action).to_owned();
    let letter = name.chars().last().unwrap();
    let now = app.now;
    let event = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::ALT);
    let effects = app.update(Event::Key(event), now);
    let effects = foretell(app, effects);
    screen(app);
    effects
}

/// Names of default keys that are not words.
fn shows_default(said: &str) -> Option<String> {
    let words =
        said.split(|c: char| c.is_whitespace() || ",;:()".contains(c)).map(|word| word.trim_matches(['.', '`', '"']));
    let is_default = |word: &&str| TABLE.iter().any(|entry| entry.keys.contains(word));
    let is_word = |word: &str| {
        word.chars().all(|c| c.is_ascii_lowercase()) || ["-", "I", "0", "/", "+", "<", ">"].contains(&word)
    };
    words.filter(is_default).find(|word| !is_word(word)).map(str::to_owned)
}

#[test]
fn other_keys_do_the_same_and_the_old_ones_nothing() {
    let mut app = open(&running(), SIZE);
    app.keys = other_keys();
    screen(&mut app);
    assert!(press(&mut app, "p").is_empty());
    assert_eq!(sent(&press_key(&mut app, Action::Pause)).0, &Command::Pause);
    assert!(press(&mut app, "T").is_empty());
    assert_eq!(app.place, Place::Run);
    press_key(&mut app, Action::Timeline);
    assert_eq!(app.place, Place::Timeline);
}

#[test]
fn no_place_shows_a_key_that_was_replaced() {
    for (name, sim) in statuses() {
        let mut app = open(&sim, SIZE);
        app.keys = other_keys();
        screen(&mut app);
        let places = [Action::Checkpoints, Action::Versions, Action::Interventions, Action::Timeline, Action::Graph];
        for place in std::iter::once(None).chain(places.map(Some)) {
            if let Some(place) = place {
                press_key(&mut app, place);
            }
            let text = screen(&mut app);
            for entry in TABLE {
                let shown = format!("   {} {}   ", entry.keys[0], entry.label);
                assert!(!text.contains(&shown), "{name}, {place:?}: {shown:?} in\n{text}");
                if let Err(why) = availability(&app, entry.action) {
                    assert_eq!(shows_default(&why), None, "{name}, {place:?}, {}: {why}", entry.name);
                }
            }
            let footer = text.lines().last().unwrap();
            assert_eq!(shows_default(footer), None, "{footer}");
            let call = text.lines().nth(2).unwrap();
            assert_eq!(shows_default(call), None, "{call}");
        }
        press_key(&mut app, Action::Help);
        let text = screen(&mut app);
        assert!(text.contains(&format!(" {} ", app.key_of(Action::Pause))), "{text}");
        assert!(!text.contains("  p  ") && !text.contains(" PgDn "), "{text}");
    }
}

#[test]
fn an_action_without_a_key_is_in_the_palette_alone() {
    let mut app = open(&failed(), SIZE);
    app.keys = Keymap::with(&BTreeMap::from([("retry", vec![])]));
    let text = screen(&mut app);
    assert!(!text.lines().last().unwrap().contains(" retry"), "{text}");
    press(&mut app, ":");
    for letter in "retry".chars() {
        press(&mut app, &letter.to_string());
    }
    let retry = Command::Retry { step: "verify".into(), downstream: false };
    assert_eq!(sent(&press(&mut app, "Enter")).0, &retry);
}

#[test]
fn a_key_of_its_own_means_only_its_action() {
    let mut app = open(&running().ask(Command::Pause), SIZE);
    app.keys = Keymap::with(&BTreeMap::from([("pause", vec!["F2".parse().unwrap()])]));
    screen(&mut app);
    assert!(press(&mut app, "F2").is_empty(), "the run is paused, and this key does not resume it");
    assert!(said(&app).contains("already paused"), "{}", said(&app));
    assert_eq!(sent(&press(&mut app, "p")).0, &Command::Resume);
}
