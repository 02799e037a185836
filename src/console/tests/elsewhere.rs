//! Runs of other processes: looked at, attached to, and told apart from this console's own; and what is asked before one more run of a plan.

use super::screens::shown;
use super::*;
use crate::console::app::Place;
use crate::console::popups::{Ask, Popup};
use crate::console::runs_model::{Line, RowId};

const SIZE: (u16, u16) = (120, 35);

/// The console has reached the engine of the process that has the run.
fn attached(app: &mut App, sim: &Sim) -> Vec<Effect> {
    let (state, recent) = (Arc::new(sim.state.clone()), sim.events.clone());
    let event = Event::Subscribed { state, recent, storage: None, through: Some(4711) };
    let now = app.now;
    let effects = app.update(event, now);
    screen(app);
    effects
}

fn loaded(app: &mut App, sim: &Sim, owner: Option<Owner>) {
    let (state, recent) = (Arc::new(sim.state.clone()), sim.events.clone());
    let now = app.now;
    app.update(Event::Loaded { state, recent, owner, damage: None }, now);
    screen(app);
}

fn of_process(sim: &Sim) -> ListedRun {
    let Ownership::Elsewhere(owner) = elsewhere() else { unreachable!() };
    ListedRun { ours: false, owner, ..sim.listed() }
}

fn list(app: &mut App, runs: Vec<ListedRun>) {
    let now = app.now;
    app.update(Event::RunsListed(Ok((runs, vec![]))), now);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), now);
    screen(app);
}

fn question(app: &App) -> &Ask {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Ask(ask)) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_steers_the_run_that_another_process_has_open() {
    let sim = running();
    let id = sim.state.run_id;
    let mut app = open_as(&sim, SIZE, elsewhere());
    assert!(press(&mut app, "p").is_empty());
    assert_eq!(said(&app), "pause: process 4711 has this run open: A steers it from here");
    assert!(matches!(press(&mut app, "A")[..], [Effect::Attach(run)] if run == id));
    attached(&mut app, &sim);
    assert!(screen(&mut app).contains("attached to process 4711   RUNNING"), "{}", screen(&mut app));
    assert_eq!(said(&app), "attached to process 4711: keys act on it there; Esc leaves it running");
    assert_eq!(sent(&press(&mut app, "p")).0, &Command::Pause);
    press(&mut app, "A");
    assert!(said(&app).contains("attached to process 4711 already"), "{}", said(&app));
    // Nothing of it ends with this console, so nothing is asked.
    assert!(matches!(press(&mut app, "q")[..], [Effect::Quit]));
    // It is left and found again as it was.
    let effects = press(&mut app, "Esc");
    assert!(matches!(effects[..], [Effect::Unsubscribe, ..]) && app.place == Place::Runs, "{effects:?}");
    assert!(matches!(app.open(id, false)[..], [Effect::Attach(_)]));
}

#[test]
fn a_run_is_attached_to_from_the_list() {
    let mut app = console(SIZE);
    app.now = running().now;
    let own = Sim::numbered(many(2), 7).ask(Command::Start);
    list(&mut app, vec![of_process(&running()), own.listed()]);
    app.runs.selected = Some(RowId::Run(own.state.run_id));
    assert!(!screen(&mut app).contains("A attach"), "not for what is this console's own");
    press(&mut app, "A");
    assert!(said(&app).contains("it is this console's own: Enter opens it"), "{}", said(&app));
    app.runs.selected = Some(RowId::Run(running().state.run_id));
    let text = screen(&mut app);
    assert!(text.contains("process 4711 · Dump"), "{text}");
    assert!(text.lines().last().unwrap().contains("A attach"), "{text}");
    assert!(matches!(press(&mut app, "A")[..], [Effect::Attach(_)]));
    attached(&mut app, &running());
    assert_eq!(app.place, Place::Run);
    // What this console runs itself is still there when it is left.
    press(&mut app, "Esc q");
    assert!(screen(&mut app).contains("1 run is active"), "{}", screen(&mut app));
}

#[test]
fn where_nobody_can_be_reached_the_key_says_so() {
    let owner = Owner { pid: Some(4711), address: None };
    let mut app = open_as(&running(), SIZE, Ownership::Elsewhere(owner));
    for key in ["A", "p"] {
        assert!(press(&mut app, key).is_empty());
        assert!(said(&app).contains("process 4711 has this run open and listens to nobody"), "{}", said(&app));
    }
    let mut app = open_as(&running(), SIZE, Ownership::Nobody);
    assert!(press(&mut app, "A").is_empty());
    assert!(said(&app).contains("no process has it open: p goes on with it here"), "{}", said(&app));
    let mut app = console(SIZE);
    list(&mut app, vec![]);
    press(&mut app, "A");
    assert!(said(&app).contains("a plan is no run yet"), "{}", said(&app));
}

#[test]
fn when_the_process_lets_go_the_run_is_looked_at_on_the_disk() {
    let sim = running();
    let run = sim.state.run_id;
    let mut app = open_as(&sim, SIZE, elsewhere());
    press(&mut app, "A");
    attached(&mut app, &sim);
    let now = app.now;
    let effects = app.update(Event::Detached { run, error: None }, now);
    assert!(matches!(effects[..], [Effect::Load(_), Effect::ListRuns]), "{effects:?}");
    assert!(said(&app).contains("process 4711 has let the run go"), "{}", said(&app));
    loaded(&mut app, &sim, None);
    assert_eq!(app.run.as_ref().unwrap().ownership, Ownership::Nobody);
    // One that is not reached at all is looked at as before.
    let mut app = open_as(&sim, SIZE, elsewhere());
    press(&mut app, "A");
    let effects = app.update(Event::Detached { run, error: Some("it does not answer".into()) }, now);
    assert!(matches!(effects[..], [Effect::Load(_), ..]), "{effects:?}");
    assert_eq!(said(&app), "attach: not done, it does not answer");
    assert!(matches!(app.open(run, false)[..], [Effect::Load(_)]), "and is not tried again by itself");
}

#[test]
fn runs_of_other_processes() {
    shown("run_attached", |size| {
        let mut app = open_as(&failed(), size, elsewhere());
        press(&mut app, "A");
        attached(&mut app, &failed());
        app
    });
    shown("runs_elsewhere", |size| {
        let mut app = console(size);
        app.now = failed().now;
        let mut other = of_process(&Sim::numbered(many(40), 3).ask(Command::Start).wait(2));
        other.summary.headline = "Sweep the hosts".into();
        list(&mut app, vec![of_process(&failed()), other]);
        app
    });
}

/// A console that looks at an idle run of a plan of which another run is under way.
fn beside(size: (u16, u16), other: ListedRun) -> App {
    let idle = Sim::new(backup());
    let mut app = open(&idle, size);
    app.now = running().now;
    list(&mut app, vec![idle.listed(), other]);
    app
}

/// A run of the same plan, with another id.
fn second() -> Sim {
    Sim::numbered(backup(), 0xb0b).ask(Command::Start).wait(40)
}

#[test]
fn a_question_that_was_asked_before_the_other_run_was_known_becomes_the_careful_one() {
    let idle = Sim::new(backup());
    let mut app = open(&idle, SIZE);
    app.now = running().now;
    press(&mut app, "p");
    assert_eq!(question(&app).title, "Start nightly-backup?");
    let listed = (vec![idle.listed(), of_process(&second())], Vec::new());
    app.update(Event::RunsListed(Ok(listed)), app.now);
    assert!(press_unseen(&mut app, "y").is_empty(), "the one that was drawn is not asked any more");
    screen(&mut app);
    assert_eq!(question(&app).title, "Start another run of nightly-backup?");
    assert!(question(&app).instead.is_some() && press(&mut app, "Enter").is_empty());
    assert_eq!(sent(&press(&mut app, "y")).0, &Command::Start);
}

#[test]
fn a_second_run_of_a_plan_is_not_started_without_a_word() {
    shown("start_beside", |size| {
        let mut app = beside(size, of_process(&second()));
        press(&mut app, "p");
        app
    });
    for key in ["p", "Enter"] {
        let mut app = beside(SIZE, of_process(&second()));
        press(&mut app, key);
        assert_eq!(question(&app).title, "Start another run of nightly-backup?");
        assert!(press(&mut app, "Enter").is_empty(), "Enter alone does not start it");
        assert_eq!(question(&app).title, "Start another run of nightly-backup?");
    }
    let mut app = beside(SIZE, of_process(&second()));
    assert_eq!(sent(&press(&mut app, "p y")).0, &Command::Start);
    // The other one is opened instead: of another process it is looked at, of this one it is followed.
    let effects = press(&mut app, "p o");
    assert!(matches!(effects[..], [Effect::Load(run)] if run == second().state.run_id), "{effects:?}");
    let paused = second().ask(Command::Pause);
    let mut app = beside(SIZE, paused.listed());
    press(&mut app, "p");
    assert!(
        question(&app).effect[0].contains("00000b0b, paused, started 58 s ago, in this console"),
        "{:?}",
        question(&app)
    );
    assert!(matches!(press(&mut app, "o")[..], [Effect::Subscribe(_)]));
}

#[test]
fn what_has_ended_or_lies_there_with_nobody_at_it_is_no_reason_to_ask() {
    let ended = second().ask(Command::Cancel);
    let lies = ListedRun { owned: false, ours: false, ..second().listed() };
    let other_plan = Sim::numbered(many(3), 0xb0b).ask(Command::Start).listed();
    for other in [ended.end("dump", Outcome::stopped()).listed(), lies, other_plan] {
        let mut app = beside(SIZE, other);
        press(&mut app, "p");
        assert_eq!(question(&app).title, "Start nightly-backup?");
        assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Start);
    }
}

#[test]
fn marked_runs_are_started_beside_another_one_only_on_purpose() {
    let idle = Sim::new(backup());
    let mut app = console(SIZE);
    app.now = running().now;
    list(&mut app, vec![idle.listed(), of_process(&second())]);
    app.runs.selected = Some(RowId::Run(idle.state.run_id));
    press(&mut app, "Space p");
    assert!(screen(&mut app).contains("A run of it is active already: 00000b0b, running"), "{}", screen(&mut app));
    assert!(press(&mut app, "Enter").is_empty());
    assert!(matches!(press(&mut app, "y")[..], [Effect::SendAll(_)]));
}

#[test]
fn a_start_in_another_process_says_so() {
    let idle = Sim::new(backup());
    let mut app = open_as(&idle, SIZE, Ownership::Attached(4711));
    app.settings.attached = Some(4711);
    press(&mut app, "p");
    assert!(screen(&mut app).contains("They run in process 4711, not in this console"), "{}", screen(&mut app));
    press(&mut app, "Esc");
    let event = Event::Registered {
        result: Ok(idle.state.run_id),
        name: "nightly-backup".into(),
        looked_at: None,
        start: false,
    };
    let now = app.now;
    app.update(event, now);
    assert_eq!(said(&app), "nightly-backup is open in process 4711 and has not started");
}

/// A console that has opened a plan to look at it.
fn looking(sim: &Sim) -> App {
    let mut app = console(SIZE);
    list(&mut app, vec![]);
    let run = sim.state.run_id;
    let path = PathBuf::from("plans/nightly-backup.json");
    let registered =
        Event::Registered { result: Ok(run), name: "nightly-backup".into(), looked_at: Some(path), start: false };
    app.update(registered, start());
    app.update(update_of(sim), start());
    let state = Arc::new(sim.state.clone());
    app.update(Event::Subscribed { state, recent: vec![], storage: None, through: None }, start());
    screen(&mut app);
    app
}

#[test]
fn a_plan_that_was_only_looked_at_leaves_no_run_behind() {
    let sim = Sim::new(backup());
    let run = sim.state.run_id;
    let mut app = looking(&sim);
    let effects = press(&mut app, "Esc");
    assert!(matches!(effects[..], [Effect::Unsubscribe, .., Effect::Discard(gone)] if gone == run), "{effects:?}");
    assert_eq!(app.runs.selected, Some(RowId::Plan("plans/nightly-backup.json".into())), "where one came from");
    // What is still heard of it is not shown, and the summary at the end does not name it.
    app.update(update_of(&sim), start());
    app.update(Event::RunsListed(Ok((vec![sim.listed()], vec![]))), start());
    let text = screen(&mut app);
    assert!(!text.contains("Opened, not started") && app.visited.is_empty(), "{text}");
    // In which something was done meanwhile, by whomever, that one comes back.
    let refused = Err(crate::run::Rejection::new(crate::run::RejectionCode::NotNow, "something was done in it"));
    app.update(Event::Discarded { run, result: refused }, start());
    app.update(Event::RunsListed(Ok((vec![sim.listed()], vec![]))), start());
    assert!(screen(&mut app).contains("Opened, not started"));
    // Left with the console, it goes as well.
    assert_eq!(looking(&sim).looked_at_only(), [run]);
}

#[test]
fn a_run_in_which_something_was_done_stays() {
    let sim = Sim::new(backup());
    let discards = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Discard(_)));
    // Started, though nothing of it was heard yet.
    let mut app = looking(&sim);
    press(&mut app, "p Enter");
    assert!(!discards(&press(&mut app, "Esc")) && app.looked_at_only().is_empty());
    // Changed by somebody else.
    let mut app = looking(&sim);
    let changed = sim.clone().ask(Command::Hold { step: "dump".into() });
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(changed.events.clone()).into() }, start());
    assert!(!discards(&press(&mut app, "Esc")));
    // A form was begun for it.
    let mut app = looking(&sim);
    press(&mut app, "e x Esc");
    assert_eq!(app.drafts.len(), 1);
    assert!(!discards(&press(&mut app, "Esc")));
    // One that was there before is not this console's to remove.
    let mut app = open(&sim, SIZE);
    assert!(!discards(&press(&mut app, "Esc")));
}

#[test]
fn the_filter_of_the_list_finds_what_a_row_says() {
    let paused = failed();
    assert_eq!(paused.state.status, crate::run::RunStatus::Paused);
    let other = Sim::numbered(backup(), 0xb0b).ask(Command::Start);
    let mut app = console(SIZE);
    list(&mut app, vec![paused.listed(), other.listed()]);
    press(&mut app, "/ f a i l e d Enter");
    let rows = |app: &App| -> Vec<Line> {
        app.runs.lines().iter().filter(|line| matches!(line, Line::Row(_))).cloned().collect()
    };
    assert_eq!(rows(&app), [Line::Row(RowId::Run(paused.state.run_id))]);
    // Where it comes from, where it is, and the word for its state.
    let mut fork = Sim::numbered(backup(), 0x5e10).listed();
    fork.summary.parent = Some(paused.state.run_id);
    let mut far = other.listed();
    (far.ours, far.owner) = (false, Owner { pid: Some(4711), address: None });
    let mut halted = Sim::numbered(backup(), 0xdead).ask(Command::Start).listed();
    (halted.ours, halted.owned) = (false, false);
    let mut app = console(SIZE);
    list(&mut app, vec![paused.listed(), fork.clone(), far.clone(), halted.clone()]);
    for (keys, found) in [("/ f o r k Enter", &fork), ("/ 4 7 1 1 Enter", &far), ("/ h a l t e d Enter", &halted)] {
        press(&mut app, keys);
        assert_eq!(rows(&app), [Line::Row(RowId::Run(found.summary.run_id))], "{keys}");
        press(&mut app, "Esc");
    }
}

#[test]
fn the_heading_counts_what_the_sections_show() {
    let paused = running().ask(Command::Pause);
    assert!(paused.state.summary().bound_to_engine() > 0, "what runs may finish");
    let mut far = Sim::numbered(backup(), 0xb0b).ask(Command::Start).listed();
    (far.ours, far.owner) = (false, Owner { pid: Some(4711), address: None });
    let held = held();
    for (runs, said) in [
        (vec![paused.listed()], "1 waits for you"),
        (vec![paused.listed(), held.listed(), far.clone()], "1 active · 2 wait for you"),
        (vec![far.clone()], "1 active"),
    ] {
        let mut app = console(SIZE);
        let mut runs = runs;
        for (number, run) in runs.iter_mut().enumerate() {
            run.summary.run_id = uuid::Uuid::from_u128(number as u128);
        }
        list(&mut app, runs);
        let text = screen(&mut app);
        let heading = text.lines().next().unwrap();
        assert!(heading.ends_with(&format!("  {said}")), "{text}");
        let number = |section: &str| {
            text.lines().find_map(|line| line.strip_prefix(&format!(" {section}  "))?.parse::<usize>().ok())
        };
        let counted = |word: &str| {
            let before = heading.split(word).next().filter(|before| before.len() < heading.len())?;
            before.split_whitespace().last()?.parse::<usize>().ok()
        };
        assert_eq!((number("Active"), number("Waiting for you")), (counted(" active"), counted(" wait")), "{text}");
    }
}
