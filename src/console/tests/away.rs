//! What is told to whoever comes back.

use super::keys::catch_up;
use super::screens::shown;
use super::*;
use crate::console::popups::Popup;

const SIZE: (u16, u16) = (100, 30);

fn at(app: &mut App, seconds: i64) {
    app.now += TimeDelta::seconds(seconds);
}

/// A key at a time of its own.
fn key(app: &mut App, name: &str) -> Vec<Effect> {
    let effects = press_unseen(app, name);
    screen(app);
    effects
}

fn focus(app: &mut App, has_focus: bool) {
    let now = app.now;
    app.update(Event::Focus(has_focus), now);
    screen(app);
}

fn is_told(app: &App) -> bool {
    matches!(app.layers.last().map(|layer| &layer.popup), Some(Popup::Recap(_)))
}

/// Others and other runs have gone on; the open run has failed.
fn meanwhile(app: &mut App) {
    let release = Step { hold: Some(Box::new(Hold::Reason("second pair of eyes".into()))), ..step("ship") };
    let now = app.now;
    let later = |mut sim: Sim| {
        sim.now = now + TimeDelta::seconds(1);
        sim
    };
    let release = later(Sim::numbered(plan("release", "Ship it", vec![release]), 7)).ask(Command::Start);
    app.update(update_of(&release), now);
    let sweep = later(Sim::numbered(many(3), 8)).ask(Command::Start);
    app.update(update_of(&sweep), now);
    screen(app);
    let sweep = sweep.done("host-000000").done("host-000001").done("host-000002");
    app.update(update_of(&sweep), now);
    let mut sim = running();
    let bob = sim.request(skip("notify"), "bob").because("channel is down");
    sim.input(&Input::Request(bob));
    let sim = sim.done("stats").failed("verify", 1).wait(2).failed("verify", 1).done("report");
    catch_up(app, &sim);
}

fn left(size: (u16, u16)) -> App {
    let mut app = open(&running(), size);
    key(&mut app, "j");
    app
}

#[test]
fn the_recap() {
    shown("away", |size| {
        let mut app = left(size);
        meanwhile(&mut app);
        at(&mut app, 12 * 60);
        key(&mut app, "j");
        app
    });
}

#[test]
fn the_first_key_after_a_while_tells_and_does_nothing_else() {
    let mut app = left(SIZE);
    let selected = app.run.as_ref().unwrap().list.selected.clone();
    meanwhile(&mut app);
    at(&mut app, 301);
    assert!(press_unseen(&mut app, "j").is_empty());
    assert!(is_told(&app));
    // What was typed before it was on the screen does not close it.
    press_unseen(&mut app, "j");
    assert!(is_told(&app));
    let text = screen(&mut app);
    for said in [
        "While you were away, 5 min",
        "◆ nightly-backup waits for you: 1 step failed",
        "◆ release waits for you: 1 step held",
        "✔ sweep completed",
        "bob skipped notify, in nightly-backup: \"channel is down\"",
    ] {
        assert!(text.contains(said), "{said} is missing:\n{text}");
    }
    assert!(text.contains("steps were completed or skipped"), "{text}");
    // Any key goes on, and does nothing else.
    assert!(key(&mut app, "c").is_empty());
    assert!(app.layers.is_empty());
    assert_eq!(app.run.as_ref().unwrap().list.selected, selected);
    // It is told once.
    key(&mut app, "j");
    assert!(app.layers.is_empty());
}

#[test]
fn who_is_there_is_told_nothing() {
    let mut app = left(SIZE);
    meanwhile(&mut app);
    at(&mut app, 200);
    key(&mut app, "j");
    assert!(app.layers.is_empty());
    at(&mut app, 200);
    key(&mut app, "k");
    assert!(app.layers.is_empty(), "counted from the last key");
    // Where it is not wanted.
    let mut app = left(SIZE);
    app.away.after = TimeDelta::zero();
    meanwhile(&mut app);
    at(&mut app, 86_400);
    key(&mut app, "j");
    assert!(app.layers.is_empty());
}

#[test]
fn what_is_of_no_weight_is_not_told() {
    // Steps have completed, and oneself has skipped one from elsewhere.
    let mut app = left(SIZE);
    catch_up(&mut app, &running().ask(skip("notify")).done("verify").wait(1));
    at(&mut app, 3600);
    key(&mut app, "j");
    assert!(app.layers.is_empty());
}

#[test]
fn a_terminal_that_has_the_focus_again_tells_at_once() {
    let mut app = left(SIZE);
    focus(&mut app, false);
    meanwhile(&mut app);
    at(&mut app, 90);
    focus(&mut app, true);
    assert!(is_told(&app));
    assert!(screen(&mut app).contains("While you were away, "));
    key(&mut app, "Esc");
    assert!(app.layers.is_empty());
    // Looked past for a moment.
    let mut app = left(SIZE);
    focus(&mut app, false);
    meanwhile(&mut app);
    at(&mut app, 20);
    focus(&mut app, true);
    assert!(app.layers.is_empty());
    // What had happened before it was left was seen.
    let mut app = left(SIZE);
    meanwhile(&mut app);
    focus(&mut app, false);
    at(&mut app, 90);
    focus(&mut app, true);
    assert!(app.layers.is_empty());
}

#[test]
fn what_has_ended_long_ago_is_no_news_when_it_comes_to_be_known() {
    let mut app = left(SIZE);
    let now = app.now;
    let old = Sim::numbered(many(1), 8).ask(Command::Start).done("host-000000");
    app.update(Event::RunsListed(Ok((vec![running().listed(), old.listed()], vec![]))), now);
    at(&mut app, 600);
    key(&mut app, "j");
    assert!(app.layers.is_empty());
}

#[test]
fn a_question_that_is_open_is_still_there_after_it() {
    let mut app = left(SIZE);
    press(&mut app, "c");
    meanwhile(&mut app);
    at(&mut app, 600);
    assert!(key(&mut app, "y").is_empty(), "it is not the answer to what stood there ten minutes ago");
    assert!(is_told(&app));
    key(&mut app, "y");
    assert!(screen(&mut app).contains("Cancel nightly-backup?"));
}

#[test]
fn of_many_runs_and_many_deeds_only_some_are_told() {
    let mut app = left(SIZE);
    let now = app.now;
    for number in 100..120 {
        let mut one = Sim::numbered(many(1), number);
        one.now = now;
        let one = one.ask(Command::Start);
        app.update(update_of(&one), now);
        app.update(update_of(&one.done("host-000000")), now);
    }
    let mut sim = running();
    for value in 1..=9 {
        let bob = sim.request(Command::SetParallel { value: value + 10 }, "bob");
        sim.input(&Input::Request(bob));
    }
    catch_up(&mut app, &sim);
    at(&mut app, 600);
    key(&mut app, "j");
    let text = screen(&mut app);
    assert_eq!(text.matches("✔ sweep completed").count(), 8, "{text}");
    assert!(text.contains("and 12 runs more") && text.contains("and 4 interventions more by others"), "{text}");
}
