//! What the question about marks says: which runs and steps are meant, what stops for it, and that it stays true while it is open.

use super::keys::{catch_up, select};
use super::marks::{answered, mark, orders};
use super::screens::shown;
use super::*;
use crate::console::bulk::Order;
use crate::console::popups::{Ask, Care, Deed, Popup};
use crate::run::{InterventionStatus, Rejection, RejectionCode};

const SIZE: (u16, u16) = (100, 30);

/// A console in its list of runs.
fn list(sims: &[&Sim], size: (u16, u16)) -> App {
    let mut app = console(size);
    let now = sims.iter().map(|sim| sim.now).max().unwrap();
    app.update(Event::RunsListed(Ok((sims.iter().map(|sim| sim.listed()).collect(), vec![]))), now);
    screen(&mut app);
    app
}

/// Marks runs of the list.
fn mark_runs(app: &mut App, sims: &[&Sim]) {
    for sim in sims {
        app.runs.marked.toggle(sim.state.run_id);
    }
    screen(app);
}

fn asked(app: &App) -> &Ask {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Ask(ask)) => ask,
        other => panic!("no question is open: {other:?}"),
    }
}

fn deploy(number: u128) -> Sim {
    Sim::numbered(plan("deploy", "Ship the release", vec![step("build"), step("ship")]), number)
}

#[test]
fn a_run_that_somebody_else_cancels_leaves_the_question_and_is_not_killed() {
    let (nightly, other) = (running(), deploy(3).ask(Command::Start));
    let mut app = list(&[&nightly, &other], SIZE);
    mark_runs(&mut app, &[&nightly, &other]);
    press(&mut app, "c");
    assert!(screen(&mut app).contains("4 attempts are stopped first"), "{}", screen(&mut app));
    // What has ended is not stopped any more.
    let nightly = nightly.done("verify");
    app.update(update_of(&nightly), nightly.now);
    assert!(screen(&mut app).contains("3 attempts are stopped first"), "{}", screen(&mut app));
    // The same `y` would kill what has its grace period now: it goes to nobody before that was on the screen.
    let nightly = nightly.ask(Command::Cancel);
    app.update(update_of(&nightly), nightly.now);
    assert!(press_unseen(&mut app, "y").is_empty(), "what is asked is not what was drawn");
    let text = screen(&mut app);
    assert!(text.contains("Cancel deploy 00000003?") && text.contains("1 attempt is stopped first"), "{text}");
    assert!(text.contains("it is being cancelled already (nightly-backup"), "{text}");
    let sent = orders(&press(&mut app, "y"));
    assert_eq!(sent.iter().map(|order| order.run).collect::<Vec<_>>(), [other.state.run_id]);
}

#[test]
fn a_question_all_of_whose_runs_were_cancelled_goes_away() {
    let (nightly, other) = (running(), deploy(3).ask(Command::Start));
    let mut app = list(&[&nightly, &other], SIZE);
    mark_runs(&mut app, &[&nightly, &other]);
    press(&mut app, "c");
    for sim in [nightly, other] {
        let sim = sim.ask(Command::Cancel);
        app.update(update_of(&sim), sim.now);
    }
    assert!(press(&mut app, "y").is_empty());
    assert!(app.layers.is_empty() && said(&app).contains("overtaken"), "{}", said(&app));
}

#[test]
fn a_run_that_has_started_meanwhile_is_not_cancelled_by_a_question_that_named_no_attempt() {
    let (idle, other) = (deploy(4), deploy(3).ask(Command::Start));
    let mut app = list(&[&idle, &other], SIZE);
    mark_runs(&mut app, &[&idle, &other]);
    press(&mut app, "c");
    let idle = idle.ask(Command::Start);
    app.update(update_of(&idle), idle.now);
    let text = screen(&mut app);
    assert!(text.contains("Cancel deploy 00000003?"), "{text}");
    assert!(text.contains("it is running by now (deploy 00000004)"), "{text}");
    assert_eq!(orders(&press(&mut app, "y")).len(), 1);
}

#[test]
fn steps_that_have_changed_leave_the_question_about_them() {
    let mut app = open(&running(), SIZE);
    mark(&mut app, &["verify", "stats", "notify"]);
    press(&mut app, "s");
    assert!(screen(&mut app).contains("2 attempts are stopped first"));
    catch_up(&mut app, &running().done("verify"));
    let text = screen(&mut app);
    assert!(text.contains("Skip 2 steps?") && text.contains("1 attempt is stopped first"), "{text}");
    assert!(text.contains("it is completed by now (verify)"), "{text}");
    assert_eq!(orders(&press(&mut app, "y")).len(), 2);
}

#[test]
fn two_runs_of_one_plan_are_told_apart_by_their_ids() {
    let (one, two) = (Sim::numbered(backup(), 2).ask(Command::Start), Sim::numbered(backup(), 5).ask(Command::Start));
    let other = deploy(3).ask(Command::Start);
    let mut app = list(&[&one, &two, &other], SIZE);
    // One was marked a while ago, and another is selected now.
    mark_runs(&mut app, &[&one]);
    app.runs.selected = Some(crate::console::runs_model::RowId::Run(two.state.run_id));
    press(&mut app, "c");
    assert_eq!(asked(&app).title, "Cancel nightly-backup 00000002?");
    let sent = orders(&press(&mut app, "y"));
    let now = app.now;
    app.update(Event::AnsweredAll(answered(sent, InterventionStatus::Applied, 9)), now);
    assert_eq!(said(&app), "nightly-backup 00000002 is being cancelled");
    mark_runs(&mut app, &[&one, &two, &other]);
    press(&mut app, "c");
    let text = screen(&mut app);
    for line in
        ["nightly-backup 00000002: running, 1 attempt", "nightly-backup 00000005: running", "deploy 00000003: running"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    let sent = orders(&press(&mut app, "y"));
    let mut answers = answered(sent, InterventionStatus::Applied, 9);
    answers[1].1 = Err(Rejection::new(RejectionCode::NotNow, "the run has ended"));
    app.update(Event::AnsweredAll(answers), now);
    let told = "2 being cancelled (nightly-backup 00000002 and nightly-backup 00000005), 1 refused: the run has ended (deploy 00000003)";
    assert_eq!(said(&app), told);
}

#[test]
fn two_idle_runs_of_one_plan_are_not_started_by_enter_alone() {
    let (one, two) = (deploy(3), deploy(4));
    let mut app = list(&[&one, &two], SIZE);
    mark_runs(&mut app, &[&one, &two]);
    press(&mut app, "p");
    let text = screen(&mut app);
    assert!(text.contains("Start 2 runs?") && text.contains("2 runs of deploy work side by side"), "{text}");
    assert_eq!(asked(&app).care(), Care::Careful);
    assert!(press(&mut app, "Enter").is_empty());
    assert_eq!(orders(&press(&mut app, "y")).len(), 2);
}

#[test]
fn the_questions_about_runs_say_which() {
    let nightly = |number| Sim::numbered(backup(), number).ask(Command::Start);
    shown("marks_runs_of_one_plan", |size| {
        let sims = [nightly(2), nightly(5), deploy(3).ask(Command::Start)];
        let mut app = list(&[&sims[0], &sims[1], &sims[2]], size);
        mark_runs(&mut app, &[&sims[0], &sims[1], &sims[2]]);
        press(&mut app, "c");
        let gone = sims[0].clone().ask(Command::Cancel);
        app.update(update_of(&gone), gone.now);
        app
    });
    shown("marks_runs_one", |size| {
        let sims = [nightly(2), nightly(5)];
        let mut app = list(&[&sims[0], &sims[1]], size);
        mark_runs(&mut app, &[&sims[0]]);
        press(&mut app, "c");
        app
    });
    shown("marks_runs_many", |size| {
        let sims: Vec<Sim> = (2..16).map(nightly).collect();
        let all: Vec<&Sim> = sims.iter().collect();
        let mut app = list(&all, size);
        mark_runs(&mut app, &all);
        press(&mut app, "c");
        app
    });
    shown("marks_runs_start", |size| {
        let sims = [deploy(3), deploy(4), nightly(2), Sim::numbered(backup(), 5)];
        let mut app = list(&[&sims[0], &sims[1], &sims[2], &sims[3]], size);
        mark_runs(&mut app, &[&sims[0], &sims[1], &sims[3]]);
        press(&mut app, "p");
        app
    });
}

/// Of three instances one has failed, and two run.
fn each() -> Sim {
    let mut each = step("t");
    each.foreach = Some(Box::new((0..3).map(|n| format!("part-{n}")).collect()));
    let mut plan = plan("parts", "Part by part", vec![each, step("report")]);
    plan.on_failure = Some(FailurePolicy::Continue);
    let sim = Sim::new(plan).ask(Command::Start).wait(1);
    sim.failed("t.0", 1)
}

#[test]
fn only_what_a_command_stops_is_said_to_stop() {
    let sim = each();
    assert_eq!(sim.state.live().count(), 2, "two instances run");
    let mut app = open(&sim, SIZE);
    mark(&mut app, &["t"]);
    press(&mut app, "r");
    let text = screen(&mut app);
    assert!(text.contains("t again?") && !text.contains("stopped first"), "{text}");
    assert_eq!(asked(&app).care(), Care::Plain, "it stops nothing");
    press(&mut app, "Esc");
    // What is refused is not asked about.
    assert!(press(&mut app, "R").is_empty() && app.layers.is_empty());
    assert!(said(&app).contains("instances of it are running"), "{}", said(&app));
    for key in ["s", "m"] {
        press(&mut app, key);
        assert_eq!(asked(&app).care(), Care::Careful, "{key}: {}", screen(&mut app));
        press(&mut app, "Esc");
    }
}

#[test]
fn an_instance_goes_with_its_step_and_is_counted_once() {
    let mut app = open(&each(), SIZE);
    mark(&mut app, &["t", "t.0", "t.1", "report"]);
    for (key, stops) in [("s", 2), ("m", 2), ("r", 1)] {
        press(&mut app, key);
        let text = screen(&mut app);
        let attempts = if stops == 1 { "1 attempt is".to_owned() } else { format!("{stops} attempts are") };
        assert!(text.contains(&format!("{attempts} stopped first")), "{key}: {text}");
        let names: Vec<&str> = match &asked(&app).deed {
            Deed::Many(marked) => marked.orders.iter().map(|order| &*order.name).collect(),
            other => panic!("{other:?}"),
        };
        if key == "r" {
            // The one that runs is stopped and run again, which its step's retry does not do.
            assert_eq!(names, ["t", "t.1"]);
            assert!(text.contains("t.0 goes with its step"), "{text}");
        } else {
            assert_eq!(names, ["t", "report"]);
            assert!(text.contains("t.0 and t.1 go with their step"), "{text}");
        }
        press(&mut app, "Esc");
    }
}

/// Two steps are held, the second of which wants two signatures.
fn signed() -> Sim {
    let held = |id: &str, hold| Step { hold: Some(Box::new(hold)), parallel_group: Some("both".into()), ..step(id) };
    let two = serde_json::from_value(json!({"reason": "read it", "approvals": 2})).unwrap();
    let last = Step { run: Some("echo {{ steps.swap.result }}".into()), ..step("last") };
    Sim::new(plan("sign", "Sign it", vec![held("deploy", Hold::Reason("look".into())), held("swap", two), last]))
        .ask(Command::Start)
        .wait(1)
}

/// The engine does what was asked of steps; what has happened comes after the answer.
fn carried_out(app: &mut App, mut sim: Sim, orders: Vec<Order>) -> Sim {
    let before = sim.events.len();
    for order in &orders {
        let request = sim.request(order.command.clone(), "ann");
        sim.input(&Input::Request(request));
    }
    app.update(Event::AnsweredAll(answered(orders, InterventionStatus::Applied, sim.state.seq)), sim.now);
    screen(app);
    let events = Arc::new(sim.events[before..].to_vec());
    app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now);
    screen(app);
    sim
}

#[test]
fn a_release_that_wants_another_signature_says_so() {
    let sim = signed();
    let mut app = open(&sim, SIZE);
    mark(&mut app, &["swap"]);
    press(&mut app, "o");
    let text = screen(&mut app);
    assert!(text.contains("1 more signature") && !text.contains("as soon as"), "{text}");
    let sent = orders(&press(&mut app, "Enter"));
    carried_out(&mut app, sim.clone(), sent);
    assert_eq!(said(&app), "swap has this release, and waits for another");
    // Of several, those are told apart.
    let mut app = open(&sim, SIZE);
    mark(&mut app, &["deploy", "swap"]);
    press(&mut app, "o");
    let text = screen(&mut app);
    assert!(text.contains("swap stays held: 1 more signature"), "{text}");
    let sent = orders(&press(&mut app, "Enter"));
    carried_out(&mut app, sim, sent);
    assert_eq!(said(&app), "1 released, 1 has this release, and waits for another (swap)");
}

/// Whoever has signed is not offered to sign again.
#[test]
fn a_hold_that_one_has_signed_waits_for_another() {
    let call = |app: &mut App| {
        select(app, "swap");
        screen(app).lines().nth(2).unwrap_or_default().to_owned()
    };
    let sim = signed();
    let line = call(&mut open(&sim, SIZE));
    assert!(line.contains("swap is held: read it") && line.contains("o release"), "{line}");
    let sim = sim.ask(Command::Release { step: "swap".into() });
    let line = call(&mut open(&sim, SIZE));
    assert!(line.contains("swap is held, 1 of 2 have signed: read it"), "{line}");
    assert!(!line.contains("o release") && line.contains("s skip"), "{line}");
}

#[test]
fn the_engine_is_asked_about_one_marked_step_as_about_the_selected_one() {
    let mut app = open(&signed(), SIZE);
    mark(&mut app, &["swap"]);
    select(&mut app, "deploy");
    press(&mut app, "s");
    let text = screen(&mut app);
    assert!(text.contains("Skip swap?") && text.contains("last uses steps.swap"), "{text}");
    // What would be refused is not sent.
    let mut app = open(&signed(), SIZE);
    mark(&mut app, &["swap", "last"]);
    press(&mut app, "o");
    let text = screen(&mut app);
    assert!(text.contains("Of the 2 marked 1 cannot") && text.contains("changes nothing but the log"), "{text}");
}
