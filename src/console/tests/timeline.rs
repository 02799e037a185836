//! The timeline and the estimate: what is seen of a run's time, and what the keys do there.

use super::screens::shown;
use super::*;
use crate::console::app::Place;
use crate::console::estimate::Estimate;
use crate::console::timeline::Stretch;
use crate::plan::FailurePolicy;

const SIZE: (u16, u16) = (120, 40);

/// What is known of runs like these.
fn past(sims: &[Sim]) -> Past {
    let mut past = Past::default();
    for sim in sims {
        assert!(past.add(&sim.state));
    }
    past
}

/// An earlier run of the backup; `late`: so many seconds later at some steps.
fn earlier(late: i64) -> Sim {
    let sim = Sim::new(backup()).ask(Command::Start).wait(40 + late).done("dump").wait(8).done("compress");
    let sim = sim.wait(9).done("verify").wait(30 + late).done("report").wait(60).done("stats").wait(300);
    let sim = sim.because(Command::Release { step: "ship".into() }, "seen").wait(65 + late).done("ship");
    sim.wait(3).done("notify").wait(20).done("prune")
}

fn three_earlier() -> Past {
    past(&[earlier(0), earlier(12), earlier(40)])
}

/// A console with the timeline open, which knows these earlier runs.
fn look(sim: &Sim, size: (u16, u16), past: &Past, keys: &str) -> App {
    let mut app = open(sim, size);
    app.run.as_mut().unwrap().estimate = Estimate::default();
    app.prepare();
    find_out(&mut app, past);
    screen(&mut app);
    if !keys.is_empty() {
        press(&mut app, keys);
    }
    app
}

/// Steps in a graph that try again, fail, and go on beside it.
fn troubled() -> Sim {
    let after = |id: &str, before: &[&str]| Step {
        depends_on: Some(before.iter().map(|id| (*id).to_owned()).collect()),
        ..step(id)
    };
    let mut plan = plan(
        "release",
        "Build, test and publish",
        vec![
            after("fetch", &[]),
            after("build-linux", &["fetch"]),
            after("build-mac", &["fetch"]),
            Step { max_retries: Some(2), ..after("test-linux", &["build-linux"]) },
            after("test-mac", &["build-mac"]),
            after("docs", &["fetch"]),
            after("publish", &["test-linux", "test-mac", "docs"]),
        ],
    );
    plan.on_failure = Some(FailurePolicy::Continue);
    Sim::new(plan)
        .ask(Command::Start)
        .wait(12)
        .done("fetch")
        .wait(30)
        .done("build-linux")
        .wait(8)
        .failed("test-linux", 1)
        .wait(2)
        .done("docs")
        .wait(9)
        .failed("test-linux", 1)
        .wait(4)
        .wait(6)
        .done("build-mac")
        .wait(5)
}

#[test]
fn the_timeline() {
    let known = three_earlier();
    let nothing = Past::default();
    for (name, sim, past, keys) in [
        ("timeline_running", running(), &known, "T"),
        ("timeline_without_ground", running(), &nothing, "T"),
        ("timeline_held", held(), &known, "T"),
        ("timeline_retries", troubled(), &nothing, "T j j j"),
        (
            "timeline_failed",
            troubled().wait(20).failed("test-linux", 2).wait(3).done("test-mac").wait(60),
            &nothing,
            "T",
        ),
        ("timeline_finished", completed(), &nothing, "T G"),
        ("timeline_idle", Sim::new(backup()), &known, "T"),
        ("timeline_nothing", Sim::new(backup()), &nothing, "T"),
        ("timeline_closer", troubled(), &nothing, "T j j j > > >"),
        ("timeline_filter", running(), &known, "T / s t Enter"),
        ("timeline_many", halfway(200), &nothing, "T"),
    ] {
        shown(name, |size| look(&sim, size, past, keys));
    }
    shown("timeline_ascii", |size| {
        let mut app = look(&troubled(), size, &nothing, "");
        app.glyphs = Glyphs::new(Charset::Ascii);
        press(&mut app, "T");
        app
    });
    shown("run_with_an_estimate", |size| look(&running(), size, &known, ""));
}

/// Many steps side by side, of which a part is done.
fn halfway(number: usize) -> Sim {
    let mut plan = many(number);
    plan.steps =
        plan.steps.iter().map(|step| Step { parallel_group: Some("all".into()), ..(**step).clone() }.into()).collect();
    let mut sim = Sim::new(plan).ask(Command::Start);
    for place in 0..number / 2 {
        sim = sim.wait(1 + (place as i64 * 7) % 3).done(&format!("host-{place:06}"));
    }
    sim
}

fn heading(app: &mut App) -> String {
    screen(app).lines().find(|line| line.contains("Timeline")).unwrap().to_owned()
}

#[test]
fn the_estimate_says_its_range_its_ground_and_what_is_not_in_it() {
    let mut app = look(&running(), SIZE, &three_earlier(), "T");
    let said = heading(&mut app);
    assert!(said.ends_with("from 3 earlier runs · plus your answers"), "{said}");
    // dump and compress are done; stats is the longest of three, then ship, notify and prune.
    assert!(said.contains("about 3 to 4 min left"), "{said}");
    assert!(screen(&mut app).lines().nth(1).unwrap().contains("about 3 to 4 min left"));
    let mut app = look(&running(), SIZE, &Past::default(), "T");
    assert!(heading(&mut app).ends_with("no estimate: no earlier times of verify and 5 more"), "{}", heading(&mut app));
    let top = screen(&mut app);
    assert!(!top.lines().nth(1).unwrap().contains("left"), "none is shown without a ground");
    // A paused run has none.
    let mut app = look(&running().ask(Command::Pause), SIZE, &three_earlier(), "T");
    assert!(!screen(&mut app).contains("left"));
}

#[test]
fn an_estimate_goes_down_with_the_time_and_is_asked_for_once_a_second_at_most() {
    let sim = running();
    let mut app = look(&sim, SIZE, &three_earlier(), "");
    let left = |app: &App| app.run.as_ref().unwrap().estimate.left(true, app.now).unwrap().likely;
    let before = left(&app);
    app.now += TimeDelta::milliseconds(700);
    assert!((before - left(&app) - 0.7).abs() < 0.01);
    app.prepare();
    assert!(app.question.is_none(), "not yet");
    app.now += TimeDelta::milliseconds(400);
    app.prepare();
    assert!(matches!(app.question, Some(Question::Forecast { .. })));
    app.now += TimeDelta::seconds(10);
    app.prepare();
    let Some(question @ Question::Forecast { .. }) = app.question.take() else { panic!("no question") };
    // An answer that took long is asked for less often.
    app.update(Event::Estimated(question.compute().expect("an answer")), app.now);
    app.now += TimeDelta::seconds(60);
    app.prepare();
    assert!(app.question.is_none());
    assert!(app.ticks());
}

/// Its clock does not move: it takes as long an hour later.
#[test]
fn what_a_run_would_take_stays_as_it_is_until_it_is_started() {
    let mut app = look(&Sim::new(backup()), SIZE, &three_earlier(), "T");
    let said = heading(&mut app);
    assert!(said.contains("takes about"), "{said}");
    app.now += TimeDelta::minutes(60);
    assert_eq!(heading(&mut app), said);
}

#[test]
fn a_plan_that_is_changed_has_its_estimate_made_anew() {
    let mut app = look(&running(), SIZE, &three_earlier(), "T");
    let sim = running().ask(Command::Remove { step: "prune".into() });
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() }, sim.now);
    // Before the answer nothing of the old plan is told.
    app.prepare();
    assert!(app.run.as_ref().unwrap().estimate.forecast().is_none());
    let before = app.question.take();
    app.now += TimeDelta::seconds(2);
    app.question = before;
    let text = screen(&mut app);
    assert!(text.contains("left") && !text.contains("prune"), "{text}");
}

#[test]
fn keys_go_closer_and_back_along_the_time_and_to_the_step() {
    let mut app = look(&troubled(), SIZE, &Past::default(), "T");
    let stretch = |app: &App| app.timeline.as_ref().unwrap().stretch;
    assert_eq!(stretch(&app), Stretch::Whole);
    press(&mut app, "<");
    assert_eq!((stretch(&app), said(&app)), (Stretch::Whole, "wider: all of the run is on the screen: > goes closer"));
    press(&mut app, "> >");
    let Stretch::Part { from, span } = stretch(&app) else { panic!("closer") };
    press(&mut app, "l l h");
    assert_eq!(stretch(&app), Stretch::Part { from: from + span / 4.0, span });
    // What is selected is seen.
    press(&mut app, "g");
    let Stretch::Part { from, .. } = stretch(&app) else { panic!("closer") };
    assert_eq!(from, 0.0, "fetch was the first");
    press(&mut app, "f");
    assert_eq!(stretch(&app), Stretch::Now { span });
    press(&mut app, "f < < <");
    assert_eq!(stretch(&app), Stretch::Whole);
    press(&mut app, "> 0 j j Enter");
    assert_eq!(app.place, Place::Run);
    let selected = app.run.as_ref().unwrap().list.selected.clone();
    assert_eq!(selected.as_deref(), Some("build-mac"));
    press(&mut app, "Esc");
    assert_eq!(app.place, Place::Timeline, "back is where it came from");
    press(&mut app, "Esc Esc");
    assert_eq!(app.place, Place::Runs);
    // In a run that has ended there is no now to go along with.
    let mut app = look(&completed(), SIZE, &Past::default(), "T f");
    assert_eq!((stretch(&app), said(&app)), (Stretch::Whole, "follow now: nothing runs: the time stands still here"));
    press(&mut app, "t");
    assert!(said(&app).starts_with("times (t): this works among the steps"), "{}", said(&app));
}

#[test]
fn the_mouse_selects_rows_and_the_wheel_scrolls_them() {
    use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
    let mut app = look(&halfway(200), SIZE, &Past::default(), "T g");
    let rows = views::timeline::areas(ratatui::layout::Rect::new(0, 0, SIZE.0, SIZE.1)).rows;
    let mut mouse = |kind, row| {
        let event = MouseEvent { kind, column: 30, row, modifiers: KeyModifiers::NONE };
        let now = app.now;
        app.update(Event::Mouse(event), now);
        screen(&mut app);
        app.run.as_ref().unwrap().position().unwrap()
    };
    assert_eq!(mouse(MouseEventKind::Down(MouseButton::Left), rows.y + 4), 4);
    assert_eq!(mouse(MouseEventKind::ScrollDown, rows.y), 7);
    for _ in 0..20 {
        mouse(MouseEventKind::ScrollDown, rows.y);
    }
    assert!(app.timeline.as_ref().unwrap().offset > 0);
}

#[test]
fn a_hundred_thousand_steps_are_scrolled_as_ten_are() {
    let sim = Sim::new(many(100_000)).ask(Command::Start);
    let mut ran = sim.state.clone();
    for place in 0..ran.steps.len() {
        let started_at = start() + TimeDelta::seconds(place as i64);
        let step = ran.steps.change(place);
        step.status = StepStatus::Completed;
        step.attempts = vec![Arc::new(crate::run::Attempt {
            number: 1,
            digest: Default::default(),
            input: None,
            started_at,
            ended_at: Some(started_at + TimeDelta::seconds(1)),
            outcome: Some(Arc::new(Outcome::succeeded())),
            timed_out: false,
            due: None,
            questions: Default::default(),
        })];
    }
    let mut app = open(&sim, SIZE);
    app.run.as_mut().unwrap().state = ran;
    press(&mut app, "T G");
    let text = screen(&mut app);
    assert!(text.contains("host-099999") && text.contains("100,000"), "{text}");
    press(&mut app, "g > > PgDn PgDn");
    assert!(screen(&mut app).contains("host-00003"));
}

#[test]
fn what_is_copied_says_every_attempt() {
    let mut app = look(&troubled(), SIZE, &Past::default(), "T");
    let effects = press(&mut app, "y");
    let [Effect::Copy { text, what }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(what, "the timeline");
    assert!(text.contains("test-linux  attempt 2  14:00:"), "{text}");
    assert!(text.contains("exit status 1"), "{text}");
}

/// The bars of a step in the timeline.
fn bars(text: &str, step: &str) -> String {
    let mut rows = text.lines().skip_while(|line| !line.contains("Timeline"));
    rows.find(|line| line.contains(&format!("{step} "))).unwrap().chars().skip(30).collect()
}

#[test]
fn the_time_until_a_person_decides_is_no_back_off() {
    let retry = |step: &str| Command::Retry { step: step.into(), downstream: false };
    let policy = crate::plan::RetryPolicy { delay_seconds: Some(20.0), ..Default::default() };
    let again = Step { max_retries: Some(2), retry: Some(Box::new(policy)), ..step("again") };
    let steps = vec![step("flaky"), again, step("end")];
    let sim = Sim::new(plan("night", "Through the night", steps)).ask(Command::Start).wait(10).failed("flaky", 1);
    let waits = sim.clone().wait(60);
    let sim = sim.wait(60).ask(retry("flaky")).wait(10).done("flaky");
    let sim = sim.wait(20).failed("again", 1).wait(30);
    assert_eq!(sim.state.step("again").unwrap().1.last_attempt, 2, "its policy has retried it");
    let mut app = look(&waits, SIZE, &Past::default(), "T");
    let text = screen(&mut app);
    assert!(bars(&text, "flaky").contains("✘░░░") && text.contains("waits for you"), "{text}");
    let sim = sim.wait(10).ask(Command::Interrupt).end("again", Outcome::stopped()).wait(5);
    let mut app = look(&sim, SIZE, &Past::default(), "T");
    let text = screen(&mut app);
    assert!(bars(&text, "flaky").contains("✘░░░") && !bars(&text, "flaky").contains('·'), "{text}");
    assert!(bars(&text, "again").contains('·'), "{text}");
    assert!(text.contains("⊘ stopped"), "{text}");
    shown("timeline_person", |size| look(&sim, size, &Past::default(), "T"));
}
