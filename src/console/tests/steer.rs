//! Steering a live run: moving, removing, undoing, and what questions say a command would do.

use super::screens::shown;
use super::*;
use crate::console::foretold::Told;
use crate::console::popups::{Ask, Popup};
use crate::engine::Ack;
use crate::run::{InterventionStatus, Rejection, RejectionCode};

const SIZE: (u16, u16) = (100, 30);

fn select(app: &mut App, id: &str) {
    let position = app.run.as_ref().unwrap().state.position(id).unwrap();
    app.run.as_mut().unwrap().select(position);
    screen(app);
}

fn selected(app: &App) -> &str {
    app.run.as_ref().unwrap().list.selected.as_deref().unwrap()
}

fn reorder(steps: &[&str]) -> Command {
    Command::Reorder { steps: steps.iter().map(|id| (*id).to_owned()).collect() }
}

/// The engine does what was asked: the answer comes, then what has happened, as they may.
fn carried_out(app: &mut App, sim: &mut Sim, command: &Command) -> Vec<Effect> {
    let before = sim.events.len();
    sim.input(&Input::Request(Request::new(uuid::Uuid::nil(), command.clone(), "ann")));
    let ack =
        Ack { run_id: sim.state.run_id, seq: sim.state.seq, status: InterventionStatus::Applied, duplicate: false };
    let mut effects = app.update(Event::Answered { command: command.clone(), result: Ok(ack) }, sim.now);
    assert!(effects.is_empty(), "nothing more is sent before the screen has got there");
    let events = Arc::new(sim.events[before..].to_vec());
    effects.extend(app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now));
    screen(app);
    effects
}

fn question(app: &App) -> &Ask {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Ask(ask)) => ask,
        other => panic!("no question is open: {other:?}"),
    }
}

#[test]
fn a_step_is_moved_with_a_key_and_the_selection_goes_with_it() {
    let mut sim = running();
    let mut app = open(&sim, SIZE);
    select(&mut app, "prune");
    let effects = press(&mut app, "K");
    assert_eq!(sent(&effects), (&reorder(&["prune", "notify"]), None, None));
    assert!(carried_out(&mut app, &mut sim, &reorder(&["prune", "notify"])).is_empty());
    assert_eq!(selected(&app), "prune");
    let text = screen(&mut app);
    let place = |name: &str| text.lines().position(|line| line.contains(&format!("{name} "))).unwrap();
    assert!(place("prune") < place("notify"), "{text}");
    assert_eq!(sent(&press(&mut app, "J")).0, &reorder(&["notify", "prune"]));
}

#[test]
fn a_step_is_not_moved_past_a_hold_point_without_a_question() {
    let sim = running();
    for (step, key) in [("notify", "K"), ("ship", "J")] {
        let mut app = open(&sim, SIZE);
        select(&mut app, step);
        assert!(press(&mut app, key).is_empty(), "nothing is sent");
        assert_eq!(question(&app).title, "Move notify before the hold point ship?");
        assert!(press(&mut app, "Esc").is_empty() && app.layers.is_empty());
        press(&mut app, key);
        assert_eq!(sent(&press(&mut app, "Enter")).0, &reorder(&["notify", "ship"]));
    }
    // Once it is released, nothing waits for it any more.
    let sim = sim.ask(Command::Unhold { step: "ship".into() });
    let mut app = open(&sim, SIZE);
    select(&mut app, "notify");
    assert_eq!(sent(&press(&mut app, "K")).0, &reorder(&["notify", "ship"]));
}

#[test]
fn a_key_that_is_held_moves_on_as_one_move_when_the_first_is_done() {
    let mut sim = Sim::new(many(9));
    let mut app = open(&sim, SIZE);
    select(&mut app, "host-000001");
    let effects = press(&mut app, "J J J");
    let first = reorder(&["host-000002", "host-000001"]);
    assert_eq!(sent(&effects).0, &first, "the others wait");
    let effects = carried_out(&mut app, &mut sim, &first);
    let rest = reorder(&["host-000003", "host-000004", "host-000001"]);
    assert_eq!(sent(&effects).0, &rest);
    carried_out(&mut app, &mut sim, &rest);
    assert_eq!(sim.state.position("host-000001"), Some(4));
    // Further than it may go is as far as it may go.
    let effects = press(&mut app, "K K K K K K K");
    let next = carried_out(&mut app, &mut sim, &sent(&effects).0.clone());
    let Command::Reorder { steps } = sent(&next).0 else { panic!("{next:?}") };
    assert_eq!((steps[0].as_str(), steps.len()), ("host-000001", 4), "to the first place, not beyond");
    // What was refused is not asked for again and again.
    let command = sent(&next).0.clone();
    press(&mut app, "K K");
    let now = app.now;
    let refusal = Rejection::new(RejectionCode::NotNow, "no");
    assert!(app.update(Event::Answered { command, result: Err(refusal) }, now).is_empty());
    assert!(app.moving.is_none());
}

#[test]
fn a_move_that_was_asked_for_before_asks_nothing_over_a_form() {
    let mut sim = running();
    let mut app = open(&sim, SIZE);
    select(&mut app, "prune");
    // The second one would pass the hold point.
    let effects = press(&mut app, "K K");
    let first = reorder(&["prune", "notify"]);
    assert_eq!(sent(&effects).0, &first);
    press(&mut app, "e x");
    assert!(carried_out(&mut app, &mut sim, &first).is_empty());
    assert!(matches!(app.layers.last().map(|layer| &layer.popup), Some(Popup::Form(_))), "the form has the keys");
    assert!(said(&app).starts_with("move up: prune is not moved past the hold point"), "{}", said(&app));
    assert!(app.moving.is_none());
    assert!(press(&mut app, "y").is_empty(), "a letter is text");
    assert!(app.form().unwrap().text().contains("xy"), "{}", app.form().unwrap().text());
    // Where nothing has to be asked, it goes on under the form.
    let mut sim = Sim::new(many(9));
    let mut app = open(&sim, SIZE);
    select(&mut app, "host-000001");
    let effects = press(&mut app, "J J");
    let first = sent(&effects).0.clone();
    press(&mut app, "e x");
    assert_eq!(sent(&carried_out(&mut app, &mut sim, &first)).0, &reorder(&["host-000003", "host-000001"]));
}

#[test]
fn only_its_own_command_is_taken_for_the_forms() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "prune");
    press(&mut app, "e x");
    let ask = app.question(&reorder(&["notify", "ship"]), None).unwrap();
    app.ask(ask);
    screen(&mut app);
    let command = sent(&press(&mut app, "y")).0.clone();
    let ack = Ack { run_id: Uuid::nil(), seq: 0, status: InterventionStatus::Applied, duplicate: false };
    let now = app.now;
    app.update(Event::Answered { command, result: Ok(ack) }, now);
    assert!(app.form().is_some_and(|form| form.text().contains('x')), "what was typed is there");
}

#[test]
fn a_move_that_cannot_be_says_why() {
    let mut app = open(&running(), SIZE);
    for (step, key, why) in [
        ("verify", "K", "move up: `verify` is running"),
        ("ship", "K", "move up: `report` is running; it can no longer be moved"),
        ("prune", "J", "move down: it is the last step"),
    ] {
        select(&mut app, step);
        assert!(press(&mut app, key).is_empty());
        assert!(said(&app).starts_with(why), "{step} {key}: {}", said(&app));
    }
    press(&mut app, "/ n o Enter");
    assert!(press(&mut app, "J").is_empty());
    assert!(said(&app).contains("Esc clears it"), "{}", said(&app));
}

#[test]
fn removing_asks_says_what_it_leads_to_and_takes_a_reason() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "notify");
    assert!(press(&mut app, "d").is_empty());
    let text = screen(&mut app);
    assert!(text.contains("Remove notify from the plan?") && text.contains("the plan becomes version 2"), "{text}");
    assert!(text.contains("notify: pending → not in the plan"), "{text}");
    let effects = press(&mut app, "o l d Enter");
    assert_eq!(sent(&effects), (&Command::Remove { step: "notify".into() }, Some(StepStatus::Pending), Some("old")));
    select(&mut app, "dump");
    assert!(press(&mut app, "d").is_empty() && app.layers.is_empty());
    assert_eq!(
        said(&app),
        "remove: `dump` is completed; it can no longer be removed; restore a checkpoint from before it ran"
    );
}

#[test]
fn undo_shows_what_it_undoes_and_undoes_just_that() {
    let none = open(&running(), SIZE);
    let mut app = none;
    assert!(press(&mut app, "u").is_empty());
    let refused = "undo: the newest intervention, start by ann, cannot be undone; pause takes it back";
    assert_eq!(said(&app), refused);
    let sim = running().because(Command::Remove { step: "notify".into() }, "channel is down");
    let mut app = open(&sim, SIZE);
    press(&mut app, "u");
    let text = screen(&mut app);
    for part in [
        "Undo version 2 of the plan?",
        "ann changed the plan at 14:00: \"channel is down\"",
        "- notify",
        "+ notify (place 7)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Undo { version: Some(2) });
    let sim = running().because(Command::Skip { step: "notify".into() }, "nobody is there");
    let mut app = open(&sim, SIZE);
    press(&mut app, "u");
    let text = screen(&mut app);
    for part in ["Undo: ann skipped notify?", "ann did it at 14:00: \"nobody is there\"", "notify: skipped → pending"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let intervention = sim.state.interventions.last().unwrap().intervention_id;
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::UndoIntervention { intervention });
}

#[test]
fn an_undo_that_was_overtaken_says_by_what() {
    let patch = json!({"timeout_seconds": 5});
    let sim = held().ask(Command::Release { step: "ship".into() });
    let mut app = open(&sim, SIZE);
    assert!(press(&mut app, "u").is_empty() && app.layers.is_empty());
    let refused = "undo: release of `ship` by ann was overtaken: attempt 1 of `ship` has started";
    assert!(said(&app).starts_with(refused), "{}", said(&app));
    let sim = sim.ask(Command::Modify { step: "prune".into(), patch }).wait(1).done("ship").wait(1);
    let mut app = open(&sim, SIZE);
    assert!(press(&mut app, "u").is_empty() && app.layers.is_empty());
    assert!(said(&app).starts_with("undo: `prune` is running"), "{}", said(&app));
}

#[test]
fn a_question_waits_for_nobody_and_is_told_again_when_the_run_goes_on() {
    let mut app = open(&running(), SIZE);
    let now = app.now;
    let effects = press_only(&mut app, "c");
    let [Effect::Preview { request, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let asked = request.id;
    assert!(screen(&mut app).contains("asking what it would do"));
    assert_eq!(question(&app).foretold.told, Told::Asking);
    // An answer to another question is no answer to this one.
    let refusal = || Rejection::new(RejectionCode::NotNow, "the run is over").possible("look at it");
    app.update(Event::Previewed { request: Uuid::nil(), result: Err(refusal()) }, now);
    assert_eq!(question(&app).foretold.told, Told::Asking);
    app.update(Event::Previewed { request: asked, result: Err(refusal()) }, now);
    assert!(screen(&mut app).contains("Not possible now: the run is over; look at it"));
    // The run goes on: asked again, but not with every event.
    let sim = running().done("verify");
    let batch = |sim: &Sim| Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() };
    assert!(app.update(batch(&sim), now).is_empty(), "just asked");
    assert!(app.ticks());
    let later = now + TimeDelta::seconds(1);
    let effects = app.update(Event::Tick, later);
    assert!(matches!(effects.as_slice(), [Effect::Preview { .. }]), "{effects:?}");
    assert!(app.update(Event::Tick, later + TimeDelta::seconds(1)).is_empty(), "one at a time");
    foretell(&mut app, effects);
    screen(&mut app);
    assert!(matches!(question(&app).foretold.told, Told::Does(_)));
    assert_eq!(sent(&press(&mut app, "y")).0, &Command::Cancel);
}

#[test]
fn what_would_be_refused_is_not_sent() {
    let mut app = open(&running(), SIZE);
    let now = app.now;
    let effects = press_only(&mut app, "c");
    let [Effect::Preview { request, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let result = Err(Rejection::new(RejectionCode::NotNow, "the run is over"));
    app.update(Event::Previewed { request: request.id, result }, now);
    screen(&mut app);
    assert!(press(&mut app, "y").is_empty());
    assert_eq!(said(&app), "cancel: not done, the run is over");
}

/// Presses a key and lets the engine be slow.
fn press_only(app: &mut App, name: &str) -> Vec<Effect> {
    let (code, now) = (KeyCode::Char(name.chars().next().unwrap()), app.now);
    app.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), now)
}

#[test]
fn a_long_preview_is_scrolled() {
    let mut plan = many(40);
    for step in plan.steps.iter_mut().skip(1) {
        *step = Arc::new(Step { depends_on: Some(vec!["host-000000".into()]), ..step.as_ref().clone() });
    }
    let sim = Sim::new(plan);
    for size in [(80, 24), (160, 45)] {
        let mut app = open(&sim, size);
        press(&mut app, "d");
        let text = screen(&mut app);
        assert!(text.contains("more · PgDn"), "{text}");
        assert!(text.contains("Reason") && text.contains("Enter or y remove"), "{text}");
        for _ in 0..30 {
            press(&mut app, "PgDn");
        }
        let text = screen(&mut app);
        assert!(text.contains("PgUp shows what is above") && text.contains("host-000000: pending → not"), "{text}");
    }
}

#[test]
fn questions_with_their_effect() {
    shown("remove_question", |size| {
        let mut app = open(&held(), size);
        select(&mut app, "ship");
        press(&mut app, "d");
        app
    });
    let sim =
        held().because(Command::Modify { step: "prune".into(), patch: json!({"timeout_seconds": 5}) }, "it hangs");
    shown("undo_question", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "u");
        app
    });
}

fn mouse(app: &mut App, kind: crossterm::event::MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = crossterm::event::MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    let now = app.now;
    let effects = app.update(Event::Mouse(event), now);
    screen(app);
    effects
}

/// The row of the screen in which a step stands.
fn row_of(app: &mut App, id: &str) -> u16 {
    let text = screen(app);
    // Below the header and left of the detail, in which anything may be said.
    let has = |line: &str| line.chars().take(50).collect::<String>().split_whitespace().any(|word| word == id);
    let found = text.lines().enumerate().skip(3).find(|(_, line)| has(line)).map(|(row, _)| row);
    u16::try_from(found.unwrap_or_else(|| panic!("{id} is not on the screen:\n{text}"))).unwrap()
}

mod buttons {
    use crossterm::event::{MouseButton::Left, MouseEventKind};
    pub const PRESS: MouseEventKind = MouseEventKind::Down(Left);
    pub const DRAG: MouseEventKind = MouseEventKind::Drag(Left);
    pub const RELEASE: MouseEventKind = MouseEventKind::Up(Left);
    pub const WHEEL: MouseEventKind = MouseEventKind::ScrollDown;
}
use buttons::{DRAG, PRESS, RELEASE, WHEEL};

#[test]
fn a_click_selects_what_is_under_it_and_answers_nothing() {
    let mut app = open(&running(), (160, 45));
    let row = row_of(&mut app, "notify");
    mouse(&mut app, PRESS, 20, row);
    assert!(mouse(&mut app, RELEASE, 20, row).is_empty());
    assert_eq!(selected(&app), "notify");
    let text = screen(&mut app);
    let (line, column) = text
        .lines()
        .enumerate()
        .find_map(|(y, line)| line.find("Definition").map(|x| (y, line[..x].chars().count())))
        .unwrap();
    mouse(&mut app, PRESS, column as u16 + 2, line as u16);
    assert_eq!(app.run.as_ref().unwrap().tab, crate::console::run_model::Tab::Definition);
    press(&mut app, "c");
    for row in 0..45 {
        assert!(mouse(&mut app, PRESS, 70, row).is_empty() && mouse(&mut app, RELEASE, 70, row).is_empty());
    }
    assert_eq!(question(&app).deed, crate::console::popups::Deed::Send(Command::Cancel));
    assert_eq!(selected(&app), "notify", "what lies behind a question gets no click");
}

#[test]
fn a_dragged_step_shows_where_it_lands_and_is_moved_when_it_is_dropped() {
    let mut app = open(&running(), (120, 36));
    let (prune, ship) = (row_of(&mut app, "prune"), row_of(&mut app, "ship"));
    mouse(&mut app, PRESS, 20, prune);
    assert!(mouse(&mut app, DRAG, 20, ship).is_empty());
    let text = screen(&mut app);
    assert!(text.contains("drop prune here, at place 6"), "{text}");
    assert_eq!((row_of(&mut app, "prune"), row_of(&mut app, "ship")), (ship, ship + 1), "{text}");
    mouse(&mut app, RELEASE, 20, ship);
    screen(&mut app);
    assert_eq!(question(&app).title, "Move prune before the hold point ship?");
    assert_eq!(sent(&press(&mut app, "y")).0, &reorder(&["prune", "ship", "notify"]));
    assert_eq!(selected(&app), "prune");
}

#[test]
fn a_drag_is_left_with_a_key_or_at_its_own_place_or_where_it_cannot_land() {
    let mut app = open(&running(), (120, 36));
    let (prune, ship) = (row_of(&mut app, "prune"), row_of(&mut app, "ship"));
    let row = row_of(&mut app, "dump");
    mouse(&mut app, PRESS, 20, prune);
    mouse(&mut app, DRAG, 20, ship);
    press(&mut app, "Esc");
    assert!(mouse(&mut app, DRAG, 20, ship).is_empty() && mouse(&mut app, RELEASE, 20, ship).is_empty());
    assert_eq!(row_of(&mut app, "prune"), prune);
    mouse(&mut app, PRESS, 20, prune);
    mouse(&mut app, DRAG, 20, ship);
    mouse(&mut app, DRAG, 20, prune);
    assert!(mouse(&mut app, RELEASE, 20, prune).is_empty());
    mouse(&mut app, PRESS, 20, prune);
    mouse(&mut app, DRAG, 20, row);
    let text = screen(&mut app);
    assert!(text.contains("not here: `"), "{text}");
    assert!(mouse(&mut app, RELEASE, 20, row).is_empty());
    assert!(said(&app).starts_with("move up: `"), "{}", said(&app));
}

#[test]
fn a_drag_over_a_list_that_changes_moves_nothing() {
    let mut app = open(&running(), (120, 36));
    let (prune, ship) = (row_of(&mut app, "prune"), row_of(&mut app, "ship"));
    mouse(&mut app, PRESS, 20, prune);
    mouse(&mut app, DRAG, 20, ship);
    let sim = running().ask(Command::Remove { step: "notify".into() });
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() }, sim.now);
    screen(&mut app);
    assert!(mouse(&mut app, RELEASE, 20, ship).is_empty());
    assert_eq!(said(&app), "the steps have changed while it was dragged: nothing is moved");
}

#[test]
fn a_drag_beyond_the_edge_scrolls_and_the_wheel_moves() {
    let mut app = open(&Sim::new(many(200)), SIZE);
    let top = row_of(&mut app, "host-000000");
    mouse(&mut app, PRESS, 20, top);
    for _ in 0..30 {
        mouse(&mut app, DRAG, 20, SIZE.1 - 1);
    }
    let to = app.drag.as_ref().unwrap().to;
    assert!(to > 30, "{to}");
    assert!(screen(&mut app).contains(&format!("drop host-000000 here, at place {}", to + 1)));
    let effects = mouse(&mut app, RELEASE, 20, SIZE.1 - 1);
    let Command::Reorder { steps } = sent(&effects).0 else { panic!() };
    assert_eq!((steps.len(), steps[to].as_str()), (to + 1, "host-000000"));
    select(&mut app, "host-000000");
    mouse(&mut app, WHEEL, 20, top);
    assert_eq!(selected(&app), "host-000003");
}

#[test]
fn a_step_on_its_way() {
    shown("dragging", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "prune");
        let (prune, ship) = (row_of(&mut app, "prune"), row_of(&mut app, "ship"));
        mouse(&mut app, PRESS, 20, prune);
        mouse(&mut app, DRAG, 20, ship);
        app
    });
}
