//! Looking back: the checkpoints, the versions of the plan, the interventions.

use super::screens::shown;
use super::*;
use crate::console::actions::Action;
use crate::console::app::Place;
use crate::console::history::{Kind, Subject, checkpoint_text, version_text};
use crate::console::popups::{Ask, Deed, Popup};
use crate::console::views::footer;
use crate::run::{Fork, fork_at, fork_preview};

const SIZE: (u16, u16) = (120, 40);

impl Sim {
    /// The state at a place of the journal.
    fn at(&self, seq: u64) -> RunState {
        let mut state = RunState::from_registration(&self.events[0]).unwrap();
        for recorded in self.events[1..].iter().filter(|recorded| recorded.seq <= seq) {
            state.apply(recorded);
        }
        state
    }

    /// The newest checkpoint made when a step came to its end.
    fn after(&self, step: &str) -> u64 {
        let position = self.state.position(step).unwrap() as u32;
        self.state.checkpoints.iter().rev().find(|mark| mark.step == Some(position)).unwrap().seq
    }

    fn restore(mut self, checkpoint: u64, reason: &str) -> Self {
        let request = self.request(Command::Restore { checkpoint }, "ann").because(reason);
        let target = Arc::new(self.at(checkpoint));
        self.input(&Input::Restore { request, target });
        self
    }

    /// A command that is refused; it stands in the log as the engine writes it there.
    fn refused(mut self, command: Command, reason: &str) -> Self {
        let request = self.request(command, "bob").because(reason);
        let moment = Moment { now: self.now, entropy: 0 };
        let refusal = advance(&mut self.state.clone(), &Input::Request(request.clone()), &moment).unwrap_err();
        self.events.extend(crate::run::log_refusal(&mut self.state, &request, &refusal, &moment));
        self
    }
}

/// Gone back once: two checkpoints and a pause are left behind, and the run has gone on a little.
fn gone_back() -> Sim {
    let sim = running().wait(4).done("verify").wait(2).done("stats").because(Command::Pause, "stats look odd");
    let sim = sim.wait(1).done("report").wait(30);
    let before = sim.after("compress");
    sim.restore(before, "stats read the old dump").wait(8).ask(Command::Resume).wait(3).done("verify").wait(2)
}

/// Its plan was changed in four ways.
fn changed() -> Sim {
    let change = |step: &str, patch: serde_json::Value| Command::Modify { step: step.into(), patch };
    let sim = held().because(change("prune", json!({"timeout_seconds": 300})), "it hangs on the old volume").wait(20);
    let sim = sim.ask(Command::Remove { step: "notify".into() }).wait(5);
    let add = json!({"step_id": "mail", "run": "./mail ops", "timeout_seconds": 20});
    let place = crate::run::Place::End;
    let sim = sim.because(Command::Add { step: add, place, rewire: false }, "tell ops").wait(40);
    sim.ask(Command::Undo { version: Some(2) }).wait(2)
}

/// Applied, refused and pending.
fn intervened() -> Sim {
    let sim = running().because(Command::SetParallel { value: 2 }, "the disk is slow").wait(5);
    let sim = sim.refused(Command::Release { step: "ship".into() }, "I have looked").wait(3);
    let sim = sim.because(skip("prune"), "the volume is full").wait(9);
    sim.because(Command::Retry { step: "stats".into(), downstream: false }, "it counts twice").wait(1)
}

/// Shows the frame, with what is asked for answered as the engine does.
fn frame(app: &mut App, sim: &Sim) -> String {
    screen(app);
    if let Some(subject) = app.wanted.take() {
        answer(app, sim, subject);
    }
    screen(app)
}

fn answer(app: &mut App, sim: &Sim, subject: Subject) {
    let lines = match subject {
        Subject::Checkpoint { seq, before } => {
            let before = before.map(|before| (before, sim.at(before)));
            checkpoint_text(&sim.state, &sim.at(seq), before.as_ref())
        }
        Subject::Versions { from, to } => version_text(&sim.state, from, to),
        Subject::Intervention(_) => panic!("its text needs no engine"),
    };
    let now = app.now;
    app.update(Event::Told { run: sim.state.run_id, subject, result: Ok(lines) }, now);
}

/// A console in one of the places.
fn look(sim: &Sim, size: (u16, u16), keys: &str) -> App {
    let mut app = open(sim, size);
    for key in keys.split(' ') {
        press(&mut app, key);
        frame(&mut app, sim);
    }
    app
}

/// The run goes on: what has happened since comes in.
fn go_on(app: &mut App, sim: &Sim) {
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() }, sim.now);
}

fn ask(app: &App) -> &Ask {
    let Some(Popup::Ask(ask)) = app.layers.last().map(|layer| &layer.popup) else { panic!("nothing is asked") };
    ask
}

fn command(app: &App) -> &Command {
    ask(app).command().expect("a command")
}

fn selected(app: &App) -> u64 {
    app.history.as_ref().unwrap().selected.unwrap()
}

#[test]
fn the_places() {
    let sims = [
        ("checkpoints_left_behind", gone_back(), "C j j j"),
        ("checkpoints_running", running(), "C"),
        ("checkpoints_empty", Sim::new(backup()), "C"),
        ("versions", changed(), "V"),
        ("versions_compared", changed(), "V Space j j"),
        ("interventions", intervened(), "I"),
        ("interventions_refused", intervened(), "I j j"),
        ("interventions_filter", intervened(), "I / s k i p Enter"),
        ("interventions_nothing", Sim::new(backup()), "I"),
    ];
    for (name, sim, keys) in sims {
        shown(name, |size| look(&sim, size, keys));
    }
}

#[test]
fn a_checkpoint_says_how_the_step_ended_and_why_the_run_paused() {
    let sim = failed().because(skip("verify"), "checked by hand").wait(1);
    let sim = sim.ask(Command::Pause).wait(1).done("stats").wait(1);
    let shown = frame(&mut look(&sim, SIZE, "C"), &sim);
    for row in
        ["✔ compress completed", "✘ verify failed", "‖ paused: verify failed", "↷ verify skipped", "‖ paused by ann"]
    {
        assert!(shown.contains(row), "{row} is missing:\n{shown}");
    }
    let ended = cancelled();
    assert!(screen(&mut look(&ended, SIZE, "C")).contains("⊘ the run was cancelled"));
    let back = gone_back();
    assert!(screen(&mut look(&back, SIZE, "C")).contains(&format!("↶ ann went back to cp-{}", back.after("compress"))));
}

#[test]
fn right_after_going_back_nothing_has_changed_since_the_place_gone_back_to() {
    // At the checkpoint after `verify` two others were running, and both have run again since.
    let sim = running().done("verify").wait(1);
    let place = sim.after("verify");
    let sim = sim.done("stats").done("report").wait(1);
    let sim = sim.restore(place, "").wait(1);
    let told = |sim: &Sim| checkpoint_text(&sim.state, &sim.at(place), None).into_iter().map(|line| line.text);
    let text: Vec<String> = told(&sim).collect();
    assert_eq!(text.last().map(String::as_str), Some("nothing of the plan and its steps"), "{text:?}");
    let mut app = look(&sim, SIZE, "C");
    app.history.as_mut().unwrap().select(place);
    about_checkpoint(&mut app, &sim, KeyCode::Enter);
    assert!(screen(&mut app).contains("changes nothing but the log"), "and so says the question");
    let sim = sim.wait(1).ask(Command::Resume).wait(1).done("stats").done("report").wait(1);
    let text: Vec<String> = told(&sim).collect();
    assert!(text.contains(&"stats: pending → completed (attempt 2)".to_owned()), "{text:?}");
}

#[test]
fn what_going_back_has_left_behind_is_among_the_attempts_and_its_output_is_read() {
    use crate::console::left_behind::LeftAttempt;
    let sim = gone_back();
    let left = |size| {
        let mut app = open(&sim, size);
        super::keys::select(&mut app, "verify");
        press(&mut app, "] ] ]");
        let missing = app.wanted_attempts.take().expect("it is asked for");
        assert_eq!((missing.step.as_str(), missing.numbers.as_slice()), ("verify", &[1][..]));
        // As the place before the restore has it.
        let to = sim.after("compress");
        let back = sim.state.checkpoints.iter().find(|mark| mark.cause == crate::run::CheckpointCause::Restored);
        let before = sim.at(back.unwrap().seq - 1);
        let attempt = Arc::clone(&before.step("verify").unwrap().1.attempts[0]);
        let (now, result) = (app.now, Ok(vec![LeftAttempt { attempt, to }]));
        app.update(Event::LeftBehind { missing, result }, now);
        app
    };
    shown("tab_attempts_left_behind", left);
    let mut app = left((160, 45));
    let text = screen(&mut app);
    assert!(text.contains("left behind, back to cp-8"), "{text}");
    assert!(app.wanted_attempts.is_none(), "it is read once");
    press(&mut app, "Tab j Enter");
    let run = app.run.as_ref().unwrap();
    assert_eq!(run.shown_attempt().map(|attempt| attempt.number), Some(1));
    let text = screen(&mut app);
    assert!(text.contains("attempt 1, left behind"), "{text}");
    let reads = app.output_requests();
    assert!(format!("{reads:?}").contains("verify.1.log"), "{reads:?}");
}

/// An attempt that failed is not headed by what became of its step later.
#[test]
fn the_heading_of_an_older_attempt_says_how_that_one_ended() {
    let sim = failed().because(Command::Retry { step: "verify".into(), downstream: false }, "again").done("verify");
    let mut app = open(&sim, (160, 45));
    super::keys::select(&mut app, "verify");
    let heading = |app: &mut App| screen(app).lines().find(|line| line.contains("Definition")).unwrap().to_owned();
    press(&mut app, "] ] ] Tab");
    assert!(heading(&mut app).contains("✔ verify · done · attempt 3 "), "{}", heading(&mut app));
    press(&mut app, "j");
    assert!(heading(&mut app).contains("✘ verify · attempt 2 of 3 · failed"), "{}", heading(&mut app));
}

/// What is not to be seen is said to be missing.
#[test]
fn timeline_and_metrics_say_that_they_leave_out_what_was_left_behind() {
    for (key, place, said) in
        [("T", "Timeline", "without attempts left behind"), ("M", "Metrics", "without those left")]
    {
        for size in [(80, 24), (160, 45)] {
            for (sim, is_said) in [(gone_back(), true), (completed(), false)] {
                let mut app = open(&sim, size);
                press(&mut app, key);
                let text = screen(&mut app);
                let heading = text.lines().find(|line| line.starts_with(&format!(" {place}"))).unwrap();
                assert_eq!(heading.contains(said), is_said, "{heading}");
            }
        }
    }
}

#[test]
fn a_step_with_nothing_but_attempts_left_behind_has_a_cursor_among_them() {
    use crate::console::left_behind::LeftAttempt;
    let failed = running().failed("verify", 1).wait(1).wait(3).failed("verify", 1).wait(2).done("report").done("stats");
    let before = failed.after("dump");
    let sim = failed.wait(2).restore(before, "the dump was of yesterday");
    let left = |size, keys: &str| {
        let mut app = open(&sim, size);
        super::keys::select(&mut app, "verify");
        press(&mut app, "] ] ]");
        let missing = app.wanted_attempts.take().expect("it is asked for");
        let back = sim.state.checkpoints.iter().find(|mark| mark.cause == crate::run::CheckpointCause::Restored);
        let then = sim.at(back.unwrap().seq - 1);
        let attempts = &then.step("verify").unwrap().1.attempts;
        let found = attempts.iter().map(|attempt| LeftAttempt { attempt: Arc::clone(attempt), to: before }).collect();
        let now = app.now;
        app.update(Event::LeftBehind { missing, result: Ok(found) }, now);
        press(&mut app, keys);
        app
    };
    shown("tab_attempts_only_left_behind", |size| left(size, "Tab"));
    let mut app = left((100, 30), "Tab");
    let cursor = |app: &mut App| {
        screen(app)
            .lines()
            .filter(|line| line.contains("left behind, back to"))
            .map(|line| line.contains('▌'))
            .collect::<Vec<_>>()
    };
    assert_eq!(cursor(&mut app), [true, false]);
    assert!(screen(&mut app).contains("Enter opens what it printed"));
    assert!(screen(&mut app).lines().last().unwrap().contains("Enter open"), "{}", screen(&mut app));
    press(&mut app, "j");
    assert_eq!(cursor(&mut app), [false, true]);
    press(&mut app, "k");
    assert_eq!(cursor(&mut app), [true, false]);
    press(&mut app, "Enter");
    assert!(screen(&mut app).contains("attempt 2, left behind"), "{}", screen(&mut app));
    assert!(format!("{:?}", app.output_requests()).contains("verify.2.log"));
    // Back is where it was opened, and only once.
    press(&mut app, "Esc");
    assert_eq!(cursor(&mut app), [true, false]);
    press(&mut app, "Esc");
    assert_eq!(app.run.as_ref().unwrap().focus, crate::console::run_model::Pane::Steps);
}

#[test]
fn going_back_is_found_from_the_run_and_leads_to_its_checkpoints() {
    let sim = failed();
    let mut app = open(&sim, SIZE);
    press(&mut app, ": r e s t o r e");
    assert!(press(&mut app, "Enter").is_empty());
    assert!(app.place == Place::History && app.layers.is_empty(), "{}", screen(&mut app));
    assert!(said(&app).contains("Enter then asks"), "{}", said(&app));
}

#[test]
fn the_questions() {
    let sim = gone_back().ask(Command::Pause).done("stats").done("report").wait(1);
    let (last, then) = (sim.state.checkpoints.last().unwrap().seq, sim.after("compress"));
    shown("restore_question", |size| {
        let mut app = look(&sim, size, "C G k k");
        assert_eq!(selected(&app), then);
        about_checkpoint(&mut app, &sim, KeyCode::Enter);
        app
    });
    shown("fork_question", |size| {
        let mut app = look(&sim, size, "C");
        assert_eq!(selected(&app), last);
        about_checkpoint(&mut app, &sim, KeyCode::Char('f'));
        app
    });
    let sim = changed();
    shown("use_version_question", |size| look(&sim, size, "V G Enter"));
    shown("undo_version_question", |size| look(&sim, size, "V j u"));
    shown("complete_question_mistake", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "G m b y Tab");
        let now = app.now;
        app.update(Event::Paste("{\"sent\": 3, oops}".into()), now);
        press(&mut app, "Enter");
        app
    });
}

/// Presses a key that asks a question about a checkpoint, and answers what is asked of the engine.
fn about_checkpoint(app: &mut App, sim: &Sim, code: KeyCode) {
    let now = app.now;
    for effect in app.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), now) {
        let event = match effect {
            Effect::PreviewFork { checkpoint, request, .. } => {
                Event::PreviewedFork { request, result: Ok(fork_preview(&sim.at(checkpoint), &sim.state)) }
            }
            Effect::Preview { request, .. } => {
                let Command::Restore { checkpoint } = request.command else { panic!("{request:?}") };
                let (id, target) = (request.id, Arc::new(sim.at(checkpoint)));
                let input = Input::Restore { request: *request, target };
                let result = preview(&sim.state, &input, &Moment { now, entropy: 0 }).map(Box::new);
                Event::Previewed { request: id, result }
            }
            other => panic!("{other:?}"),
        };
        app.update(event, now);
    }
    screen(app);
}

#[test]
fn what_is_selected_stays_selected_while_new_entries_come() {
    let mut sim = running();
    let mut app = look(&sim, SIZE, "C");
    let newest = sim.after("compress");
    assert_eq!(selected(&app), newest);
    sim = sim.wait(2).done("verify").wait(1).done("stats").done("report").wait(1);
    // A key that was pressed before the new ones are drawn, and one after: both are about the one that was seen.
    for _ in 0..2 {
        go_on(&mut app, &sim);
        press_unseen(&mut app, "Enter");
        assert_eq!(command(&app), &Command::Restore { checkpoint: newest });
        screen(&mut app);
        press(&mut app, "Esc");
    }
    let text = frame(&mut app, &sim);
    assert!(text.contains("4 newer · g"), "{text}");
    let row = text.lines().find(|line| line.starts_with('▌')).unwrap();
    assert!(row.contains(&crate::run::checkpoint_id(newest)), "{row}");
    press(&mut app, "g");
    assert_eq!(selected(&app), sim.state.checkpoints.last().unwrap().seq);
    assert!(!screen(&mut app).contains("newer"));
}

#[test]
fn the_rows_that_are_seen_stay_where_they_are_while_new_ones_come_above() {
    let mut sim = Sim::new(many(200)).ask(Command::Start);
    for number in 0..100 {
        sim = sim.wait(1).done(&format!("host-{number:06}"));
    }
    let mut app = look(&sim, (80, 24), "C PgDn PgDn PgDn k k k");
    let list = |text: &str| text.lines().skip(4).take(8).map(str::to_owned).collect::<Vec<_>>();
    let before = list(&screen(&mut app));
    for number in 100..103 {
        sim = sim.wait(1).done(&format!("host-{number:06}"));
    }
    go_on(&mut app, &sim);
    assert_eq!(list(&screen(&mut app)), before);
}

#[test]
fn the_text_of_a_checkpoint_is_asked_again_when_the_run_goes_on_and_stays_meanwhile() {
    let sim = held();
    let mut app = look(&sim, SIZE, "C");
    let old = frame(&mut app, &sim);
    assert!(old.contains("Changed since"), "{old}");
    assert!(app.wanted.is_none() && !app.ticks(), "nothing has happened");
    let checkpoint = selected(&app);
    let then = sim.wait(60).restore(sim_first(&app), "").wait(1);
    go_on(&mut app, &then);
    let text = screen(&mut app);
    assert!(text.contains("Changed since") && !text.contains("reading the journal"), "{text}");
    let asked = app.wanted.take().expect("it is asked again");
    // While that is under way, and for a while after it, nothing more is asked; then it is, and the clock ticks for it.
    let later = then.wait(0).ask(Command::Resume);
    go_on(&mut app, &later);
    screen(&mut app);
    assert!(app.wanted.is_none());
    answer(&mut app, &later, asked);
    let again = later.ask(Command::Pause);
    go_on(&mut app, &again);
    let text = screen(&mut app);
    assert!(text.contains("left behind by going back") && text.contains("Since then"), "{text}");
    assert!(app.wanted.is_none() && app.ticks());
    let now = app.now + TimeDelta::milliseconds(500);
    app.update(Event::Tick, now);
    screen(&mut app);
    assert!(matches!(app.wanted, Some(Subject::Checkpoint { seq, .. }) if seq == checkpoint), "{:?}", app.wanted);
}

fn sim_first(app: &App) -> u64 {
    app.run.as_ref().unwrap().state.checkpoints[0].seq
}

#[test]
fn an_intervention_that_has_waited_is_told_as_it_became() {
    let sim = intervened();
    let mut app = look(&sim, SIZE, "I");
    assert!(screen(&mut app).contains("accepted; it waits for an attempt to stop"));
    press(&mut app, "/ s t a t s Space p e n d Enter");
    assert_eq!(app.history.as_ref().unwrap().rows(&sim.state), 1);
    let then = sim.end("stats", Outcome::stopped()).wait(1);
    go_on(&mut app, &then);
    let text = screen(&mut app);
    assert!(text.contains("nothing matches; Esc clears the filter"), "{text}");
    press(&mut app, "Esc");
    let text = screen(&mut app);
    assert!(!text.contains("it waits for an attempt") && text.contains("retried stats"), "{text}");
}

#[test]
fn restore_fork_and_use_version_act_on_what_is_selected_and_ask_first() {
    let sim = gone_back().ask(Command::Pause).done("stats").done("report").wait(1);
    let mut app = look(&sim, SIZE, "C G");
    let first = sim.state.checkpoints[0].seq;
    press_unseen(&mut app, "Enter");
    assert_eq!(command(&app), &Command::Restore { checkpoint: first });
    screen(&mut app);
    press(&mut app, "Esc");
    about_checkpoint(&mut app, &sim, KeyCode::Char('f'));
    assert_eq!(ask(&app).deed, Deed::Fork { checkpoint: first });
    let text = screen(&mut app);
    assert!(text.contains("would run again: dump, compress, verify, stats, report"), "{text}");
    assert!(text.contains("`nightly-backup` then means the new one"), "{text}");
    press(&mut app, "t w o");
    let effects = press(&mut app, "Enter");
    let [Effect::Fork { checkpoint, reason, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((*checkpoint, reason.as_deref()), (first, Some("two")));

    let sim = changed();
    let mut app = look(&sim, SIZE, "V");
    assert!(press(&mut app, "Enter").is_empty());
    assert_eq!(said(&app), "bring back: this is the plan as it is");
    press(&mut app, "j j Enter");
    assert_eq!(command(&app), &Command::UseVersion { version: 3 });
    let text = screen(&mut app);
    assert!(text.contains("the plan becomes version 6") && text.contains("- mail"), "{text}");
    press(&mut app, "Esc");
    // The second newest is not the one that plain undo would take.
    press(&mut app, "u");
    assert_eq!(command(&app), &Command::Undo { version: Some(3) });
    press(&mut app, "Esc G u");
    assert_eq!(
        said(&app),
        "undo: version 1 is the plan as it was opened; nothing made it; name the version that a change has made"
    );
}

#[test]
fn a_fork_is_opened_named_and_seen_to_be_one() {
    let parent = gone_back();
    let mut app = look(&parent, SIZE, "C");
    let checkpoint = parent.after("compress");
    let fork = Fork { reason: Some("try a new dump".into()), ..fork_at(&parent.at(checkpoint), &parent.state) };
    let mut child = Sim::numbered(backup(), 0x5e10);
    let options = child.state.options.as_ref().clone();
    let registration = Registration {
        run_id: child.state.run_id,
        plan: child.state.plan.clone(),
        options,
        user: "ann".into(),
        fork: Some(Box::new(fork)),
        durations: None,
    };
    child.now = parent.now;
    child.events = register(registration, &Moment { now: child.now, entropy: 0 });
    child.state = RunState::from_registration(&child.events[0]).unwrap();
    let (run, now) = (child.state.run_id, app.now);
    let effects = app.update(Event::Forked { parent: parent.state.run_id, checkpoint, result: Ok(run) }, now);
    assert!(matches!(effects[..], [Effect::Unsubscribe, Effect::ListRuns, Effect::Subscribe(new)] if new == run));
    app.update(update_of(&child), now);
    let state = Arc::new(child.state.clone());
    app.update(Event::Subscribed { state, recent: child.events.clone(), storage: None, through: None }, now);
    let text = screen(&mut app);
    assert!(said(&app).contains("this is run 00005e10, and `nightly-backup` means it from now on"), "{}", said(&app));
    assert!(text.contains("run 00005e10, fork of 00009c41"), "{text}");
    let id = crate::run::checkpoint_id(checkpoint);
    assert!(text.contains(&format!("ann opened the plan, forked from 00009c41 at {id}: try a new dump")), "{text}");
    shown("fork_opened", |size| open(&child, size));
    // What ran in the run that it comes from did not run in this one, and it never went back.
    let mut own = open(&child, SIZE);
    let verify = own.run.as_ref().unwrap().state.position("verify").unwrap();
    assert!(child.state.steps[verify].last_attempt > 0);
    own.run.as_mut().unwrap().select(verify);
    for keys in ["", "]", "]", "]"] {
        if !keys.is_empty() {
            press(&mut own, keys);
        }
        let text = screen(&mut own);
        assert!(!text.contains("going back") && !text.contains("went back"), "{text}");
    }
    assert!(screen(&mut own).contains("it has not run yet"));
    shown("runs_fork", |size| {
        let mut other = console(size);
        other.now = now;
        let paused = gone_back().ask(Command::Pause);
        let fork = child.listed();
        other.update(Event::RunsListed(Ok((vec![paused.listed(), fork], vec![]))), now);
        other
    });
}

#[test]
fn a_fork_takes_nobody_from_what_they_went_on_to() {
    let sim = gone_back();
    let mut app = look(&sim, SIZE, "C Esc");
    let (now, run) = (app.now, Uuid::from_u128(0x5e10));
    let forked = Event::Forked { parent: sim.state.run_id, checkpoint: 8, result: Ok(run) };
    assert!(matches!(app.update(forked, now)[..], [Effect::ListRuns]));
    assert_eq!((app.place, said(&app)), (Place::Run, "forked at cp-8: run 00005e10 is in the list"));
}

#[test]
fn a_run_of_another_day_shows_the_day() {
    let sim = gone_back();
    let mut app = look(&sim, SIZE, "C");
    let now = app.now + TimeDelta::days(2);
    app.update(Event::Tick, now);
    let text = screen(&mut app);
    assert!(text.contains("cp-16     14 Mar 14:01  ✔ report completed      left behind"), "{text}");
}

#[test]
fn the_run_is_steered_from_the_places_and_other_keys_say_where_they_work() {
    for place in ["C", "V", "I"] {
        let mut app = look(&running(), SIZE, place);
        assert_eq!(sent(&press(&mut app, "p")).0, &Command::Pause);
        assert_eq!(sent(&press(&mut app, "+")).0, &Command::SetParallel { value: 5 });
        assert!(press(&mut app, "c").is_empty());
        assert_eq!(sent(&press(&mut app, "y")).0, &Command::Cancel);
        let mut app = look(&running().ask(Command::Pause), SIZE, place);
        assert!(screen(&mut app).contains("p resume"));
        assert_eq!(sent(&press(&mut app, "p")).0, &Command::Resume);
        let mut idle = look(&Sim::new(backup()), SIZE, place);
        assert!(press(&mut idle, "p").is_empty());
        assert_eq!(sent(&press(&mut idle, "Enter")).0, &Command::Start);
        for key in ["r", "s", "e", "a", "d", "m", "o", "b", "K", "W", "z", "]", "Tab", "w", "t"] {
            assert!(press(&mut app, key).is_empty(), "{key}");
            assert!(said(&app).ends_with("this works among the steps: Esc goes back to them"), "{key}: {}", said(&app));
        }
    }
    let mut app = look(&changed(), SIZE, "C");
    assert!(press(&mut app, "u").is_empty());
    assert_eq!(command(&app), &Command::Undo { version: Some(4) }, "the newest change");
    let mut app = console(SIZE);
    press(&mut app, "s");
    assert_eq!(said(&app), "skip (s): this works in an open run: Enter opens the one that is selected");
}

#[test]
fn the_text_beside_the_list_is_copied() {
    let mut app = look(&changed(), SIZE, "V");
    let effects = press(&mut app, "y");
    let [Effect::Copy { text, what }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(what, "the version");
    assert!(text.starts_with("Version 5 by ann\n") && text.contains("From version 4 to version 5"), "{text}");
    let mut app = look(&Sim::new(backup()), SIZE, "C");
    assert!(press(&mut app, "y").is_empty());
    assert_eq!(said(&app), "copy: there is nothing beside the list yet");
}

#[test]
fn enter_on_an_intervention_goes_to_what_it_was_about() {
    let app = look(&intervened(), SIZE, "I j Enter");
    assert_eq!((app.place, app.run.as_ref().unwrap().list.selected.as_deref()), (Place::Run, Some("prune")));
    let sim = gone_back();
    let app = look(&sim, SIZE, "I j Enter");
    assert_eq!((app.history.as_ref().unwrap().kind, selected(&app)), (Kind::Checkpoints, sim.after("compress")));
    let mut app = look(&intervened(), SIZE, "I G Enter");
    assert!(said(&app).contains("this is about the whole run"), "{}", said(&app));
    press(&mut app, "/ n o p e Enter Enter");
    assert_eq!(said(&app), "open: nothing is selected");
}

#[test]
fn what_needs_me_is_reached_from_the_places() {
    let mut app = look(&failed(), SIZE, "C !");
    assert_eq!((app.place, app.run.as_ref().unwrap().list.selected.as_deref()), (Place::Run, Some("verify")));
    assert!(app.history.is_none());
    assert!(screen(&mut app).contains("r retry"));
}

#[test]
fn a_result_given_by_hand_is_json_or_a_text_and_a_mistake_keeps_the_question_open() {
    for (typed, result) in [
        ("", None),
        ("all 12 sent", Some(json!("all 12 sent"))),
        ("12", Some(json!(12))),
        ("{\"sent\": [1, 2]}", Some(json!({"sent": [1, 2]}))),
        ("{\r\n\t\"sent\": [1, 2]\r\n}\r\n", Some(json!({"sent": [1, 2]}))),
        ("null", Some(json!(null))),
        ("\"12\"", Some(json!("12"))),
    ] {
        let mut app = open(&held(), SIZE);
        press(&mut app, "G m w h y Tab");
        let now = app.now;
        app.update(Event::Paste(typed.into()), now);
        let effects = press(&mut app, "Enter");
        assert_eq!(sent(&effects).0, &Command::Complete { step: "prune".into(), result }, "{typed}");
        assert_eq!(sent(&effects).2, Some("why"));
    }
    let mut app = open(&held(), SIZE);
    press(&mut app, "G m Tab Tab [ 1 , Enter");
    assert!(screen(&mut app).contains("^ EOF while parsing a value"), "{}", screen(&mut app));
    let effects = press(&mut app, "2 ] Enter");
    assert_eq!(sent(&effects).0, &Command::Complete { step: "prune".into(), result: Some(json!([1, 2])) });
    // It stands at its place also in a text of several lines.
    press(&mut app, "m Tab Tab");
    let now = app.now;
    app.update(Event::Paste("[1,\n2,\nx]".into()), now);
    press(&mut app, "Enter");
    let text = screen(&mut app);
    let column = |sign: &str| {
        let row = text.lines().find(|row| row.contains(sign)).expect("its row");
        row[..row.find(sign).unwrap()].chars().count()
    };
    assert_eq!(column("^ expected value"), column("x]"), "{text}");
    press(&mut app, "Esc");
    // Saying no needs no correct result.
    press(&mut app, "m Tab Tab [ Esc");
    assert!(app.layers.is_empty());
}

#[test]
fn the_footer_shows_what_is_possible_before_what_is_not_in_an_order_that_stays() {
    let order = |app: &App| {
        let all = footer::actions(app);
        // Among the steps, the keys of their list come before those of a step that is not waited for.
        let own = |action: &&Action| !matches!(action, Action::Filter | Action::NextPane);
        assert!(all.iter().filter(own).is_sorted_by_key(|action| action.entry().rank), "{all:?}");
        all
    };
    let mut app = open(&completed(), (160, 45));
    let line = |app: &mut App| screen(app).lines().last().unwrap().to_owned();
    let last = line(&mut app);
    assert!(last.contains("C checkpoints   V versions   I interventions"), "{last}");
    assert!(!last.contains("pause") && !last.contains("resume"), "what cannot be done has no room: {last}");
    assert!(order(&app).contains(&Action::Resume));
    let mut app = look(&changed(), (160, 45), "V");
    let last = line(&mut app);
    assert!(!last.contains("fork") && last.contains("Space compare"), "{last}");
    order(&app);
}

#[test]
fn a_hundred_thousand_checkpoints_are_filtered_as_they_come() {
    let mut sim = Sim::new(many(60)).ask(Command::Start);
    for number in 0..40 {
        sim = sim.wait(1).done(&format!("host-{number:06}"));
    }
    let mut app = look(&sim, SIZE, "C / 0 0 0 0 3 Enter");
    let rows = |app: &App| app.history.as_ref().unwrap().rows(&app.run.as_ref().unwrap().state);
    assert_eq!(rows(&app), 11);
    let newest = selected(&app);
    for number in 40..42 {
        sim = sim.wait(1).done(&format!("host-{number:06}"));
    }
    go_on(&mut app, &sim);
    screen(&mut app);
    assert_eq!((rows(&app), selected(&app)), (11, newest), "what came does not match");
    press(&mut app, "Esc");
    assert_eq!((rows(&app), selected(&app)), (43, newest));
}
