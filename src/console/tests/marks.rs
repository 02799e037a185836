//! Marks, and one action on all that is marked.

use super::keys::{catch_up, select};
use super::screens::shown;
use super::*;
use crate::console::app::Place;
use crate::console::bulk::{Answered, Order, Sent};
use crate::console::rows::View;
use crate::engine::Ack;
use crate::run::{InterventionStatus, Rejection, RejectionCode, RunStatus};

const SIZE: (u16, u16) = (100, 30);

/// The commands of the one effect that sends them, with the status each was asked about, and the reason.
fn all(effects: &[Effect]) -> Vec<(&Command, Option<StepStatus>, Option<&str>)> {
    let [Effect::SendAll(sent)] = effects else { panic!("{effects:?}") };
    let told = |one: &'_ Sent| (one.order.command.clone(), one.request.seen, one.request.reason.clone());
    for one in sent {
        assert_eq!(told(one).0, one.request.command);
        assert_eq!(told(one).1, one.order.seen());
    }
    sent.iter().map(|one| (&one.request.command, one.request.seen, one.request.reason.as_deref())).collect()
}

pub(super) fn mark(app: &mut App, ids: &[&str]) {
    for id in ids {
        select(app, id);
        press(app, "Space");
    }
}

fn marked(app: &App) -> Vec<String> {
    let run = app.run.as_ref().unwrap();
    run.marked().into_iter().map(|position| run.state.plan.steps[position].step_id.clone()).collect()
}

/// The answers to some commands.
pub(super) fn answered(orders: Vec<Order>, status: InterventionStatus, seq: u64) -> Vec<Answered> {
    let ack = |order: &Order| Ack { run_id: order.run, seq, status, duplicate: false };
    orders.into_iter().map(|order| (order.clone(), Ok(ack(&order)))).collect()
}

pub(super) fn orders(effects: &[Effect]) -> Vec<Order> {
    let [Effect::SendAll(sent)] = effects else { panic!("{effects:?}") };
    sent.iter().map(|one| one.order.clone()).collect()
}

/// Three runs of this engine, one of them paused, and one that is over.
fn fleet(size: (u16, u16)) -> (App, Vec<Sim>) {
    let mut app = console(size);
    let sims = vec![
        Sim::numbered(many(40), 1).ask(Command::Start).wait(2).done("host-000000"),
        Sim::numbered(backup(), 2).ask(Command::Start).wait(30).ask(Command::Pause),
        Sim::numbered(plan("deploy", "Ship the release", vec![step("build"), step("ship")]), 3).ask(Command::Start),
        completed(),
    ];
    let listed = sims.iter().map(Sim::listed).collect();
    app.update(Event::RunsListed(Ok((listed, vec![]))), sims[3].now);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), sims[3].now);
    screen(&mut app);
    (app, sims)
}

#[test]
fn marks_and_their_questions() {
    shown("marks_steps", |size| {
        let mut app = open(&failed(), size);
        press(&mut app, "g");
        mark(&mut app, &["verify", "ship", "prune"]);
        app
    });
    shown("marks_ascii", |size| {
        let mut app = open(&failed(), size);
        app.glyphs = Glyphs::new(Charset::Ascii);
        mark(&mut app, &["verify", "stats"]);
        select(&mut app, "verify");
        app
    });
    shown("marks_question", |size| {
        let mut app = open(&failed(), size);
        mark(&mut app, &["dump", "compress", "verify", "ship", "prune"]);
        press(&mut app, "/ s h i p Enter s");
        app
    });
    shown("marks_question_stops", |size| {
        let mut app = open(&running(), size);
        mark(&mut app, &["verify", "stats", "notify"]);
        press(&mut app, "s");
        app
    });
    shown("marks_runs", |size| {
        let (mut app, _) = fleet(size);
        press(&mut app, "g Space Space");
        app
    });
    shown("marks_runs_question", |size| {
        let (mut app, _) = fleet(size);
        press(&mut app, "g Space Space Space c");
        app
    });
}

#[test]
fn space_marks_and_goes_on_and_a_second_time_takes_the_mark_off() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "g Space Space");
    assert_eq!(marked(&app), ["dump", "compress"]);
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("verify"));
    assert!(screen(&mut app).contains(" · 2 marked · Esc unmarks"));
    assert!(screen(&mut app).contains("✔✚done"), "a mark is seen without a colour");
    press(&mut app, "k Space");
    assert_eq!(marked(&app), ["dump"]);
    // The last row stays where it is.
    press(&mut app, "G Space");
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("prune"));
    // First the marks go, then one goes back.
    press(&mut app, "Esc");
    assert_eq!((marked(&app).len(), app.place), (0, Place::Run));
    press(&mut app, "Esc");
    assert_eq!(app.place, Place::Runs);
}

#[test]
fn marks_stay_with_their_steps_and_go_with_them() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    mark(&mut app, &["notify", "prune"]);
    let changed = sim.ask(Command::Reorder { steps: vec!["prune".into(), "notify".into()] });
    catch_up(&mut app, &changed);
    screen(&mut app);
    assert_eq!(marked(&app), ["prune", "notify"], "as they stand now");
    catch_up(&mut app, &changed.ask(Command::Remove { step: "prune".into() }));
    screen(&mut app);
    assert_eq!(marked(&app), ["notify"]);
    assert_eq!(app.marks(), 1);
}

#[test]
fn an_action_asks_once_and_goes_to_all_that_take_it() {
    let mut app = open(&failed(), SIZE);
    mark(&mut app, &["prune", "dump", "verify", "ship", "compress"]);
    assert!(press(&mut app, "s").is_empty(), "it asks");
    let text = screen(&mut app);
    assert!(text.contains("Skip 3 steps?") && text.contains("verify, ship and prune."), "{text}");
    assert!(
        text.contains("Of the 5 marked 2 cannot:") && text.contains("it is completed already (dump and compress)"),
        "{text}"
    );
    let effects = press(&mut app, "l a t e r Enter");
    let expected: Vec<_> =
        [("verify", StepStatus::Failed), ("ship", StepStatus::Pending), ("prune", StepStatus::Pending)]
            .map(|(id, seen)| (skip(id), seen))
            .into();
    let sent = all(&effects);
    assert_eq!(sent.len(), 3);
    for ((command, seen, reason), (expected, status)) in sent.iter().zip(&expected) {
        assert_eq!((*command, *seen, *reason), (expected, Some(*status), Some("later")));
    }
    assert!(marked(&app).is_empty(), "what was sent is not sent again by the next key");
    // What became of each is told, and what was refused is not swallowed.
    let mut answers = answered(orders(&effects), InterventionStatus::Applied, 0);
    answers[0].1 = Err(Rejection::new(RejectionCode::Stale, "`verify` is running by now").possible("look again"));
    let now = app.now;
    app.update(Event::AnsweredAll(answers), now);
    assert_eq!(said(&app), "2 skipped, 1 refused: it is running by now (verify)");
    assert!(app.message.as_ref().unwrap().bad);
}

#[test]
fn what_waits_for_its_attempt_to_stop_is_told_apart() {
    let mut app = open(&running(), SIZE);
    mark(&mut app, &["stats", "notify"]);
    press(&mut app, "s");
    assert!(screen(&mut app).contains("1 attempt is stopped first: TERM, and KILL after 10 s."));
    assert!(press(&mut app, "Enter").is_empty(), "what stops an attempt is not done by Enter alone");
    press(&mut app, "Esc");
    assert!(said(&app).ends_with("2 steps: not done"), "{}", said(&app));
    assert_eq!(marked(&app).len(), 2, "nothing was done: the marks stay");
    let effects = press(&mut app, "s y");
    assert_eq!(all(&effects)[0].1, Some(StepStatus::Running));
    let mut answers = answered(orders(&effects), InterventionStatus::Applied, 0);
    answers[0].1.as_mut().unwrap().status = InterventionStatus::Pending;
    let now = app.now;
    app.update(Event::AnsweredAll(answers), now);
    assert_eq!(said(&app), "1 skipped, 1 accepted, as soon as the attempts have stopped");
}

#[test]
fn what_none_of_them_takes_is_said_with_its_reasons() {
    let mut app = open(&failed(), SIZE);
    mark(&mut app, &["dump", "compress", "ship"]);
    assert!(press(&mut app, "o").is_empty());
    assert!(app.layers.is_empty());
    assert!(said(&app).starts_with("release: none of the 3 marked takes it: "), "{}", said(&app));
    assert!(said(&app).contains("(dump and compress)"), "{}", said(&app));
}

#[test]
fn one_key_with_two_meanings_means_what_some_of_them_take() {
    // Hold points are set where one can be, and taken off where all have one.
    let mut app = open(&running(), SIZE);
    mark(&mut app, &["ship", "prune"]);
    press(&mut app, "b");
    assert!(screen(&mut app).contains("Set a hold point on"));
    press(&mut app, "Esc Esc");
    mark(&mut app, &["ship"]);
    assert_eq!(all(&press(&mut app, "b Enter"))[0].0, &Command::Unhold { step: "ship".into() });
}

#[test]
fn marks_survive_a_filter_and_the_question_says_how_many_are_hidden() {
    let mut app = open(&failed(), SIZE);
    mark(&mut app, &["verify", "ship", "prune"]);
    press(&mut app, "/ s h i p Enter");
    assert_eq!(marked(&app).len(), 3);
    press(&mut app, "s");
    assert!(screen(&mut app).contains("2 of the marked are not to be seen now"));
    press(&mut app, "Esc Esc");
    assert_eq!((app.run.as_ref().unwrap().list.filter.as_str(), marked(&app).len()), ("", 3), "the filter goes first");
}

#[test]
fn what_folds_folds_and_a_step_is_marked() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "v g");
    assert_eq!(app.run.as_ref().unwrap().list.rows.view, View::Stages);
    let rows = |app: &App| app.run.as_ref().unwrap().row_count();
    let all = rows(&app);
    press(&mut app, "Space");
    assert!(rows(&app) < all && marked(&app).is_empty(), "a heading folds");
    press(&mut app, "Space j Space");
    assert_eq!((rows(&app), marked(&app)), (all, vec!["dump".to_owned()]), "a step is marked");
    // In the output the same key turns the page.
    press(&mut app, "Tab Space");
    assert_eq!(marked(&app).len(), 1);
    // What fills the screen is one step's: its keys are about that one.
    press(&mut app, "z");
    assert_eq!(app.marks(), 0);
}

#[test]
fn runs_are_marked_and_asked_together() {
    let (mut app, sims) = fleet(SIZE);
    press(&mut app, "g");
    assert!(press(&mut app, "p").is_empty());
    assert!(said(&app).contains("Space marks runs"), "{}", said(&app));
    press(&mut app, "Space Space Space");
    assert!(screen(&mut app).contains("Holdpoint · 3 marked"));
    press(&mut app, "p");
    let text = screen(&mut app);
    assert!(
        text.contains("Pause 2 runs?") && text.contains("it is paused already (nightly-backup 00000002)"),
        "{text}"
    );
    let effects = press(&mut app, "Enter");
    let paused: Vec<_> = orders(&effects).iter().map(|order| (order.run, order.command.clone())).collect();
    assert_eq!(paused, [(sims[0].state.run_id, Command::Pause), (sims[2].state.run_id, Command::Pause)]);
    assert!(app.runs.marked.is_empty());
    // Cancelling several is as hard to undo as cancelling one.
    press(&mut app, "g Space Space Space c");
    assert!(screen(&mut app).contains("Cancel 3 runs?"));
    assert!(press(&mut app, "Enter").is_empty());
    assert_eq!(orders(&press(&mut app, "y")).len(), 3);
    // What is paused goes on when nothing that runs is among the marked.
    press(&mut app, "g Space p");
    assert!(screen(&mut app).contains("Resume nightly-backup 00000002?"), "{}", screen(&mut app));
    press(&mut app, "Esc Esc");
    assert!(app.runs.marked.is_empty());
}

#[test]
fn marked_runs_of_others_are_left_alone_and_those_of_nobody_taken_over() {
    let (mut app, sims) = fleet(SIZE);
    let listed =
        sims.iter().enumerate().map(|(place, sim)| ListedRun { owned: place != 1, ours: place == 0, ..sim.listed() });
    app.update(Event::RunsListed(Ok((listed.collect(), vec![]))), sims[3].now);
    screen(&mut app);
    press(&mut app, "g Space Space Space c");
    let text = screen(&mut app);
    assert!(text.contains("another process runs it (deploy 00000003)"), "{text}");
    let sent = orders(&press(&mut app, "y"));
    let takes_over: Vec<(Uuid, bool)> = sent.iter().map(|order| (order.run, order.take_over)).collect();
    assert_eq!(takes_over, [(sims[0].state.run_id, false), (sims[1].state.run_id, true)]);
}

#[test]
fn a_plan_is_not_marked_and_a_run_that_is_gone_neither() {
    let (mut app, sims) = fleet(SIZE);
    press(&mut app, "g Space Space");
    app.runs.selected = Some(crate::console::runs_model::RowId::Plan("plans/nightly-backup.json".into()));
    screen(&mut app);
    press(&mut app, "Space");
    assert!(said(&app).contains("only runs are marked"), "{}", said(&app));
    assert_eq!(app.marks(), 2);
    assert_eq!(sims[1].state.status, RunStatus::Paused);
    let mut gone = App::new(settings(), app.theme, app.glyphs, app.now, SIZE);
    std::mem::swap(&mut gone.runs.marked, &mut app.runs.marked);
    screen(&mut gone);
    assert_eq!(gone.marks(), 0);
}

#[test]
fn the_edit_of_one_step_is_about_the_selected_one() {
    let mut app = open(&failed(), SIZE);
    mark(&mut app, &["ship", "prune"]);
    select(&mut app, "notify");
    press(&mut app, "e");
    assert!(screen(&mut app).contains("Change notify"), "{}", screen(&mut app));
}

#[test]
fn marks_on_steps_are_there_again_when_one_comes_back_to_the_run() {
    let (mut app, sims) = fleet(SIZE);
    let visit = |app: &mut App, sim: &Sim| {
        app.open(sim.state.run_id, true);
        let (state, recent) = (Arc::new(sim.state.clone()), sim.events.clone());
        app.update(Event::Subscribed { state, recent, storage: None, through: None }, sim.now);
        screen(app);
    };
    visit(&mut app, &sims[1]);
    mark(&mut app, &["verify", "prune"]);
    visit(&mut app, &sims[0]);
    assert_eq!(app.marks(), 0, "they are of the other run");
    visit(&mut app, &sims[1]);
    assert_eq!(marked(&app), ["verify", "prune"]);
    // Esc takes them off, as it says, and then they do not come again.
    press(&mut app, "Esc Esc");
    assert_eq!(app.place, Place::Runs);
    visit(&mut app, &sims[1]);
    assert_eq!(app.marks(), 0);
}
