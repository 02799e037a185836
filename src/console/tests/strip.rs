//! The line of active runs, the banner in it, and the keys that go from run to run.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::screens::shown;
use super::*;
use crate::console::app::Place;

/// A release that is held, in a run of its own.
fn held_release() -> Sim {
    let ship = Step { hold: Some(Box::new(Hold::Reason("second pair of eyes".into()))), ..step("ship") };
    let mut sim = Sim::numbered(plan("release", "Ship it", vec![step("build"), ship]), 7).ask(Command::Start);
    sim = sim.wait(3).done("build");
    sim.now = running().now;
    sim
}

fn sweep(number: u128) -> Sim {
    Sim::numbered(many(40), number).ask(Command::Start).wait(2).done("host-000000")
}

/// A console that looks at the first run, and knows the others.
fn among(sims: &[Sim], size: (u16, u16)) -> App {
    let mut app = open(&sims[0], size);
    for sim in &sims[1..] {
        let now = app.now;
        app.update(update_of(sim), now);
    }
    screen(&mut app);
    app
}

fn subscribe(app: &mut App, sim: &Sim) {
    let event = Event::Subscribed {
        state: Arc::new(sim.state.clone()),
        recent: sim.events.clone(),
        storage: None,
        through: None,
    };
    let now = app.now;
    app.update(event, now);
    screen(app);
}

fn goes_to(effects: &[Effect]) -> Uuid {
    match effects {
        [Effect::Subscribe(run)] => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_strip_and_the_banner() {
    shown("strip", |size| among(&[running(), sweep(1), sweep(2)], size));
    shown("strip_banner", |size| among(&[running(), sweep(1), held_release()], size));
    shown("strip_banner_alone", |size| among(&[completed(), held_release()], size));
    shown("strip_many", |size| {
        let mut sims = vec![running(), held_release()];
        sims.extend((10..30).map(sweep));
        among(&sims, size)
    });
    shown("strip_timeline", |size| {
        let mut app = among(&[running(), sweep(1), held_release()], size);
        press(&mut app, "T");
        app
    });
    shown("strip_ascii", |size| {
        let mut app = among(&[running(), sweep(1), held_release()], size);
        app.glyphs = Glyphs::new(Charset::Ascii);
        app
    });
}

#[test]
fn the_strip_is_there_only_with_other_runs_and_moves_nothing() {
    for size in [(80, 24), (160, 45)] {
        let mut app = open(&running(), size);
        let before = screen(&mut app);
        let other = held_release();
        let now = app.now;
        app.update(update_of(&other), now);
        let with = screen(&mut app);
        let changed: Vec<usize> =
            before.lines().zip(with.lines()).enumerate().filter(|(_, (one, two))| one != two).map(|(y, _)| y).collect();
        // The line itself, and the footer, which has more to offer.
        let line = if size.1 < 30 { size.1 as usize - 2 } else { 3 };
        assert!(
            changed.contains(&line) && changed.iter().all(|y| *y == line || *y == size.1 as usize - 1),
            "{changed:?}"
        );
        assert!(with.contains("◆ release waits for you: 1 step held · ! goes there"), "{with}");
        // It goes by itself.
        let released = other.because(Command::Release { step: "ship".into() }, "fine");
        app.update(update_of(&released), now);
        assert!(screen(&mut app).contains("● release 1/2"));
        app.update(update_of(&released.done("ship")), now);
        assert_eq!(screen(&mut app), before);
    }
}

#[test]
fn the_banner_says_the_key_that_goes_there() {
    let other = held_release();
    let mut app = among(&[running(), sweep(1), other.clone()], (100, 30));
    assert_eq!(goes_to(&press(&mut app, "!")), other.state.run_id);
    assert!(screen(&mut app).contains("nightly-backup"), "the run is on the screen until the other is there");
    subscribe(&mut app, &other);
    assert_eq!((app.place, app.looked_at()), (Place::Run, Some(other.state.run_id)));
    assert!(!screen(&mut app).contains("waits for you"), "it is looked at");
    // What waits in the run that is looked at comes first, and the banner says so.
    let mut app = among(&[failed(), other.clone()], (100, 30));
    app.run.as_mut().unwrap().select(0);
    assert!(screen(&mut app).contains("! goes there, after what waits here"));
    assert!(press(&mut app, "!").is_empty());
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("verify"));
    assert!(!screen(&mut app).contains("after what waits here"));
    assert_eq!(goes_to(&press(&mut app, "!")), other.state.run_id);
}

#[test]
fn what_is_said_has_the_room_and_the_banner_comes_again() {
    let mut app = among(&[running(), sweep(1), held_release()], (80, 24));
    let rule = |app: &mut App| screen(app).lines().nth(22).unwrap().to_owned();
    app.say("done");
    let line = rule(&mut app);
    assert!(line.starts_with("─ done ──") && line.contains("! goes there"), "{line}");
    app.say("sign-off-demo is open and has not started");
    let line = rule(&mut app);
    assert!(line.contains("has not started ─") && !line.contains("goes there"), "{line}");
    let later = app.now + TimeDelta::seconds(10);
    app.update(Event::Tick, later);
    assert!(rule(&mut app).contains("! goes there"));
}

#[test]
fn several_things_that_wait_here_are_passed_once_before_another_run_comes() {
    let hold = |id: &str| Step {
        hold: Some(Box::new(Hold::Reason("wait".into()))),
        parallel_group: Some("g".into()),
        ..step(id)
    };
    let two = Sim::new(plan("two", "Two holds", vec![hold("a"), hold("b")])).ask(Command::Start);
    let other = held_release();
    let mut app = among(&[two, other.clone()], (100, 30));
    app.run.as_mut().unwrap().select(0);
    screen(&mut app);
    assert!(press(&mut app, "!").is_empty());
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("b"));
    assert_eq!(goes_to(&press(&mut app, "!")), other.state.run_id);
}

#[test]
fn what_a_person_has_paused_or_left_calls_nobody() {
    let paused = sweep(1).ask(Command::Pause);
    let mut app = among(&[running(), paused.clone()], (100, 30));
    let text = screen(&mut app);
    assert!(!text.contains("waits for you") && text.contains("‖ sweep 1/40"), "{text}");
    // A run that lies on the disk with nobody at it is in the list of runs, not in everyone's eyes.
    let lies = ListedRun { owned: false, ours: false, ..held_release().listed() };
    let now = app.now;
    app.update(Event::RunsListed(Ok((vec![running().listed(), lies], vec![]))), now);
    let text = screen(&mut app);
    assert!(!text.contains("release"), "{text}");
}

#[test]
fn keys_and_the_mouse_go_from_run_to_run() {
    let sims = [running(), sweep(1), sweep(2)];
    let ids: Vec<Uuid> = sims.iter().map(|sim| sim.state.run_id).collect();
    let mut app = among(&sims, (160, 45));
    let order = app.runs.strip.clone();
    let here = order.iter().position(|id| *id == ids[0]).unwrap();
    assert_eq!(goes_to(&press(&mut app, "}")), order[(here + 1) % 3]);
    let mut app = among(&sims, (160, 45));
    assert_eq!(goes_to(&press(&mut app, "{")), order[(here + 2) % 3]);
    // From another place of the run as well, to the steps of the other.
    let mut app = among(&sims, (160, 45));
    press(&mut app, "C");
    let next = goes_to(&press(&mut app, "}"));
    assert_eq!(app.place, Place::History, "until the other is there");
    subscribe(&mut app, sims.iter().find(|sim| sim.state.run_id == next).unwrap());
    assert_eq!((app.place, app.looked_at()), (Place::Run, Some(next)));
    // A click.
    for size in [(80, 24), (160, 45)] {
        let mut app = among(&sims[..2], size);
        let text = screen(&mut app);
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains("sweep 1/40")).unwrap();
        let column = line.split("sweep 1/40").next().unwrap().chars().count() as u16;
        let kind = MouseEventKind::Down(MouseButton::Left);
        let click = MouseEvent { kind, column, row: row as u16, modifiers: KeyModifiers::NONE };
        let now = app.now;
        assert_eq!(goes_to(&app.update(Event::Mouse(click), now)), ids[1]);
    }
    // With one run there is none to go to.
    let mut app = open(&running(), (160, 45));
    assert!(press(&mut app, "}").is_empty());
    assert!(said(&app).contains("no other run is active"), "{}", said(&app));
}

#[test]
fn a_run_that_cannot_be_opened_leaves_the_one_on_the_screen_followed() {
    let sims = [running(), sweep(1)];
    let mut app = among(&sims, (100, 30));
    let other = goes_to(&press(&mut app, "}"));
    let now = app.now;
    let effects = app.update(Event::NotOpened { run: other, error: "it is gone".into() }, now);
    assert_eq!(goes_to(&effects), sims[0].state.run_id);
    assert!(screen(&mut app).contains("nightly-backup") && said(&app).contains("it is gone"));
}

#[test]
fn a_run_that_has_failed_stays_in_the_line_until_somebody_has_looked() {
    let mut doomed = plan("doomed", "Fails for good", vec![step("one"), step("two")]);
    doomed.on_failure = Some(FailurePolicy::Fail);
    let before = Sim::numbered(doomed, 7).ask(Command::Start);
    let mut app = among(&[completed(), before.clone()], (120, 36));
    let after = before.wait(2).failed("one", 2);
    assert!(after.state.status == crate::run::RunStatus::Failed, "{:?}", after.state.status);
    let now = app.now;
    app.update(update_of(&after), now);
    let seen = screen(&mut app);
    assert!(seen.contains("✘ doomed has failed: 1 step failed · ! goes there"), "{seen}");
    assert_eq!(goes_to(&press(&mut app, "!")), after.state.run_id);
    subscribe(&mut app, &after);
    assert!(!app.runs.has_failed_unseen(after.state.run_id));
    let (other, here) = (completed().state.run_id, app.runs.strip.clone());
    assert!(!here.contains(&other) && !here.contains(&after.state.run_id), "both have ended, and were looked at");
}
