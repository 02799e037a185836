//! Keys: what they send, what they refuse, and what they never do.

use super::*;
use crate::console::actions::{Action, TABLE};
use crate::console::app::Place;
use crate::console::popups::Leaving;
use crate::console::popups::Popup;
use crate::console::run_model::Tab;
use crate::engine::Ack;
use crate::run::{InterventionStatus, Rejection, RejectionCode, RunStatus};

const SIZE: (u16, u16) = (100, 30);

pub(super) fn select(app: &mut App, id: &str) {
    let position = app.run.as_ref().unwrap().state.position(id).unwrap();
    app.run.as_mut().unwrap().select(position);
    screen(app);
}

/// Gives the console what has happened to a run since it was opened, without drawing.
pub(super) fn catch_up(app: &mut App, sim: &Sim) {
    let run = sim.state.run_id;
    app.update(Event::Batch { run, batch: Arc::new(sim.events.clone()).into() }, sim.now);
    app.update(update_of(sim), sim.now);
}

#[test]
fn p_starts_pauses_and_resumes_by_what_is_drawn() {
    let idle = Sim::new(backup());
    let mut app = open(&idle, SIZE);
    assert!(press(&mut app, "p").is_empty(), "what is carried out for real is asked about, whichever key starts it");
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Start);
    assert_eq!(sent(&press(&mut open(&running(), SIZE), "p")).0, &Command::Pause);
    let paused = running().ask(Command::Pause);
    assert_eq!(sent(&press(&mut open(&paused, SIZE), "p")).0, &Command::Resume);
    let mut app = open(&completed(), SIZE);
    assert!(press(&mut app, "p").is_empty());
    assert!(said(&app).contains("completed"), "{}", said(&app));
}

#[test]
fn pausing_a_run_that_has_just_paused_by_itself_does_not_resume_it() {
    let mut app = open(&running(), SIZE);
    let paused = running().ask(Command::Pause);
    catch_up(&mut app, &paused);
    assert_eq!(app.run.as_ref().unwrap().state.status, RunStatus::Paused);
    // The pause is not on the screen yet: the key still means "pause".
    let effects = press_unseen(&mut app, "p");
    assert!(effects.is_empty());
    assert!(said(&app).contains("already paused"), "{}", said(&app));
}

#[test]
fn a_key_is_about_the_step_that_was_drawn_and_carries_its_status() {
    // Drawn as failed; retried by somebody else since. The engine gets the status that was seen and refuses.
    let mut app = open(&failed(), SIZE);
    select(&mut app, "verify");
    catch_up(&mut app, &failed().ask(Command::Retry { step: "verify".into(), downstream: false }));
    assert_eq!(app.run.as_ref().unwrap().step().unwrap().status, StepStatus::Running);
    assert_eq!(sent(&press_unseen(&mut app, "r")).1, Some(StepStatus::Failed));
    // The selection goes along with what happens until the operator chooses; a key never hits a step that was not drawn as selected.
    let mut app = open(&running(), SIZE);
    assert_eq!(app.drawn().step, Some(("verify".to_string(), StepStatus::Running)));
    catch_up(&mut app, &running().done("verify").wait(1));
    app.prepare();
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("stats"), "it has gone along");
    assert!(press_unseen(&mut app, "s").is_empty());
    assert!(said(&app).starts_with("skip: `verify` is completed already"), "{}", said(&app));
}

#[test]
fn what_stops_an_attempt_asks_first_and_enter_alone_does_not_do_it() {
    for (key, command) in [
        ("r", Command::Retry { step: "verify".into(), downstream: false }),
        ("s", skip("verify")),
        ("m", Command::Complete { step: "verify".into(), result: None }),
        ("c", Command::Cancel),
    ] {
        let mut app = open(&running(), SIZE);
        select(&mut app, "verify");
        assert!(press(&mut app, key).is_empty(), "{key} must not act at once");
        assert!(press(&mut app, "Enter").is_empty(), "Enter must leave it as it is");
        assert!(press(&mut app, "Esc").is_empty() && app.layers.is_empty());
        assert!(press(&mut app, &format!("{key} n Enter")).is_empty() && app.layers.is_empty(), "a no is none");
        assert!(press(&mut app, &format!("{key} Esc")).is_empty());
        let effects = press(&mut app, &format!("{key} y"));
        let (asked, seen, _) = sent(&effects);
        assert_eq!(asked, &command);
        assert_eq!(seen, command.target().map(|_| StepStatus::Running));
    }
}

#[test]
fn the_footer_shows_the_keys_of_what_is_typed() {
    let mut app = open(&running(), SIZE);
    let foot = |app: &mut App| screen(app).lines().last().unwrap_or_default().trim().to_owned();
    press(&mut app, "/");
    assert_eq!(foot(&mut app), "Enter keep the filter   Up Down choose   Esc clear the filter");
    press(&mut app, "Esc");
    assert!(foot(&mut app).contains("p pause"), "{}", foot(&mut app));
}

#[test]
fn a_question_takes_no_key_before_it_was_drawn() {
    let mut app = open(&running(), SIZE);
    press_unseen(&mut app, "c");
    assert!(press_unseen(&mut app, "y").is_empty(), "typed before the question was there");
    assert_eq!(said(&app), "what was typed before this was on the screen does not count");
    assert!(app.has_new_layer());
    screen(&mut app);
    assert!(!app.has_new_layer());
    assert_eq!(sent(&press(&mut app, "y")).0, &Command::Cancel);
}

#[test]
fn a_reason_goes_with_the_command() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "notify");
    press(&mut app, "s d o w n");
    let now = app.now;
    // What one line does not hold is not taken in another form.
    for (pasted, why) in [(" since\nnoon", "this field is one line"), (" since noon\u{1b}[A", "control characters")] {
        app.update(Event::Paste(pasted.into()), now);
        let text = screen(&mut app);
        assert!(text.contains(why) && text.contains("nothing was pasted"), "{text}");
    }
    app.update(Event::Paste(" since noon".into()), now);
    let effects = press(&mut app, "Enter");
    let (command, seen, reason) = sent(&effects);
    assert_eq!((command, seen), (&skip("notify"), Some(StepStatus::Pending)));
    assert_eq!(reason, Some("down since noon"));
    // In a careful question the letters of the reason are no answers.
    press(&mut app, "c Tab");
    assert!(press(&mut app, "y n").is_empty());
    assert_eq!(sent(&press(&mut app, "Enter y")).2, Some("yn"));
}

#[test]
fn retry_of_a_failed_step_is_one_key_and_with_completed_steps_after_it_asks() {
    let mut app = open(&failed(), SIZE);
    select(&mut app, "verify");
    let effects = press(&mut app, "r");
    assert_eq!(sent(&effects).0, &Command::Retry { step: "verify".into(), downstream: false });
    assert_eq!(sent(&effects).1, Some(StepStatus::Failed));
    let effects = press(&mut app, "R");
    assert_eq!(sent(&effects).0, &Command::Retry { step: "verify".into(), downstream: true });
    let mut app = open(&completed(), SIZE);
    select(&mut app, "compress");
    assert!(press(&mut app, "R").is_empty());
    assert!(screen(&mut app).contains("5 steps after it have completed; they run again"), "{}", screen(&mut app));
    assert_eq!(sent(&press(&mut app, "y")).0, &Command::Retry { step: "compress".into(), downstream: true });
}

#[test]
fn b_sets_and_takes_off_a_hold_point_and_o_releases() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "prune");
    press(&mut app, "b");
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Hold { step: "prune".into() });
    select(&mut app, "ship");
    assert_eq!(sent(&press(&mut app, "b")).0, &Command::Unhold { step: "ship".into() });
    assert!(press(&mut app, "o").is_empty() && said(&app).contains("not held"), "{}", said(&app));
    let mut app = open(&held(), SIZE);
    press(&mut app, "o");
    assert!(screen(&mut app).contains("Held for: second pair of eyes"));
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Release { step: "ship".into() });
}

#[test]
fn more_and_fewer_at_the_same_time() {
    let mut app = open(&running(), SIZE);
    assert_eq!(sent(&press(&mut app, "+")).0, &Command::SetParallel { value: 5 });
    assert_eq!(sent(&press(&mut app, "-")).0, &Command::SetParallel { value: 3 });
    let one = Sim::new(Plan { max_parallel: Some(1), ..backup() }).ask(Command::Start);
    let mut app = open(&one, SIZE);
    assert!(press(&mut app, "-").is_empty());
    assert!(said(&app).contains("cannot be set"), "{}", said(&app));
}

#[test]
fn enter_on_an_idle_run_asks_before_it_starts() {
    let mut app = open(&Sim::new(backup()), SIZE);
    assert!(press(&mut app, "Enter").is_empty());
    assert!(screen(&mut app).contains("Start nightly-backup?"));
    assert!(press(&mut app, "Esc").is_empty());
    assert_eq!(sent(&press(&mut app, "Enter Enter")).0, &Command::Start);
}

#[test]
fn answers_are_said_in_plain_words() {
    let mut app = open(&running(), SIZE);
    let now = app.now;
    let ack = Ack { run_id: Uuid::nil(), seq: 9, status: InterventionStatus::Pending, duplicate: false };
    app.update(Event::Answered { command: skip("verify"), result: Ok(ack) }, now);
    assert!(said(&app).contains("as soon as the attempt has stopped"));
    let no = Rejection::new(RejectionCode::Stale, "it has changed").possible("look again");
    app.update(Event::Answered { command: skip("verify"), result: Err(no) }, now);
    assert_eq!(said(&app), "skip verify: not done, it has changed; look again");
    assert!(screen(&mut app).contains("not done, it has changed"));
}

#[test]
fn leaving_with_nothing_active_is_at_once_and_otherwise_asks() {
    assert!(matches!(press(&mut open(&completed(), SIZE), "q")[..], [Effect::Quit]));
    let mut app = open(&running(), SIZE);
    app.update(update_of(&running()), running().now);
    for keys in ["q", "Ctrl-c"] {
        assert!(press(&mut app, keys).is_empty());
        assert!(matches!(app.layers.last().unwrap().popup, Popup::Quit(_)));
        assert!(press(&mut app, "Esc").is_empty());
        assert!(app.layers.is_empty());
    }
}

#[test]
fn what_runs_is_left_running_when_the_operator_says_so() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    let seen = {
        press(&mut app, "q");
        screen(&mut app)
    };
    assert!(seen.contains("l    leave it running   goes on without a console"), "{seen}");
    assert!(seen.contains("is seen again with holdpoint attach 00009c41"), "{seen}");
    assert!(matches!(press(&mut app, "l")[..], [Effect::Quit]), "nothing is sent to the run");
    assert_eq!(app.leaving, Some(Leaving::GoingOn));
    // Where nobody could come back to it, it is not offered.
    let mut app = open(&sim, SIZE);
    app.settings.reachable = false;
    assert!(press(&mut app, "q l").is_empty() && app.leaving == Some(Leaving::Asking));
    assert!(screen(&mut app).contains("no other console could reach it"));
    // Once it is being paused, it is not what was chosen.
    let mut app = open(&sim, SIZE);
    press(&mut app, "q p");
    assert!(press(&mut app, "l").is_empty() && app.leaving == Some(Leaving::Draining));
}

#[test]
fn pause_and_quit_drains_then_stops_and_the_console_ends_when_nothing_runs() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    assert_eq!(sent(&press(&mut app, "q p")).0, &Command::Pause);
    let sim = sim.ask(Command::Pause);
    assert!(app.update(update_of(&sim), sim.now).is_empty(), "attempts are still finishing");
    screen(&mut app);
    assert!(press(&mut app, "p").is_empty(), "a double tap stops nothing");
    assert!(screen(&mut app).contains("k    stop them now"));
    assert_eq!(sent(&press(&mut app, "k y")).0, &Command::Interrupt);
    assert!(press(&mut app, "k y q").is_empty(), "asked once");
    let mut sim = sim.ask(Command::Interrupt);
    for step in ["verify", "stats", "report"] {
        sim = sim.end(step, Outcome::stopped());
    }
    let effects = app.update(update_of(&sim), sim.now);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Quit)), "{effects:?}");
}

#[test]
fn quit_pressed_again_does_nothing_and_only_what_says_so_does_more() {
    for keys in ["q", "Ctrl-c"] {
        let sim = running();
        let mut app = open(&sim, SIZE);
        for _ in 0..4 {
            assert!(press(&mut app, keys).is_empty());
            assert!(screen(&mut app).contains("Leave the console?"), "{}", screen(&mut app));
        }
        assert_eq!(sent(&press(&mut app, "p")).0, &Command::Pause);
        let sim = sim.ask(Command::Pause);
        app.update(update_of(&sim), sim.now);
        screen(&mut app);
        // Whoever taps it once more wants to leave, not to stop what may finish: the box says which key does.
        assert!(press(&mut app, keys).is_empty() && press(&mut app, keys).is_empty());
        let seen = screen(&mut app);
        assert!(seen.contains("k    stop them now"), "{seen}");
        // That loses work, and is asked about.
        assert!(press(&mut app, "k").is_empty() && screen(&mut app).contains("y    stop them"), "{}", screen(&mut app));
        assert!(press(&mut app, "Esc").is_empty() && screen(&mut app).contains("k    stop them now"));
        assert!(
            press(&mut app, "k k c Enter").is_empty() && app.leaving == Some(Leaving::ToStop),
            "no key but those it names"
        );
        assert_eq!(sent(&press(&mut app, "y")).0, &Command::Interrupt);
    }
}

/// A terminal that is too small to show what a key does says how the run stands, and takes no key but those it names.
#[test]
fn too_small_a_terminal_tells_the_state_and_takes_only_the_keys_it_names() {
    let mut app = open(&running(), (40, 10));
    let seen = screen(&mut app);
    for told in
        ["RUNNING  2 of 8", "nightly-backup", "40 × 10 is too small", "60 × 16 is needed", "p pauses, no other key"]
    {
        assert!(seen.contains(told), "{seen}");
    }
    assert!(press(&mut app, "c y Esc s d y q Ctrl-c Enter").is_empty());
    assert_eq!(app.place, Place::Run);
    assert!(app.layers.is_empty());
    assert_eq!(sent(&press(&mut app, "p")).0, &Command::Pause);
    // It goes on only where one sees what then runs.
    let paused = running().ask(Command::Pause);
    catch_up(&mut app, &paused);
    assert!(screen(&mut app).contains("no key does anything"), "{}", screen(&mut app));
    assert!(press(&mut app, "p").is_empty());
    // What is typed into a filter is no command, and neither leaves.
    let mut app = open(&running(), SIZE);
    press(&mut app, "/");
    app.update(Event::Resize(40, 10), app.now);
    assert!(press(&mut app, "p q").is_empty());
    // A question that was open waits, unseen and unanswered.
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    app.update(Event::Resize(40, 10), app.now);
    assert!(press(&mut app, "y Enter Esc").is_empty());
    app.update(Event::Resize(SIZE.0, SIZE.1), app.now);
    assert!(screen(&mut app).contains("Cancel nightly-backup?"));
}

#[test]
fn a_key_that_is_held_down_starts_nothing() {
    let mut app = open(&Sim::new(backup()), SIZE);
    let began = app.now;
    let mut held = |milliseconds: i64| {
        app.now = began + TimeDelta::milliseconds(milliseconds);
        let event = Event::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
        let effects = app.update(event, app.now);
        screen(&mut app);
        (effects, app.layers.len())
    };
    assert!(matches!(held(0), (effects, 1) if effects.iter().all(|effect| !matches!(effect, Effect::Send { .. }))));
    for at in [33, 66, 99, 132, 200] {
        assert!(matches!(held(at), (effects, 1) if effects.is_empty()), "{at}");
    }
    // Let go of, and pressed.
    assert_eq!(sent(&held(1300).0).0, &Command::Start);
}

/// Whether what is sent is a cancel that does not become a kill.
fn is_no_kill(effects: &[Effect]) -> bool {
    let [Effect::Send { request, .. }] = effects else { panic!("{effects:?}") };
    assert_eq!(request.command, Command::Cancel);
    request.no_kill
}

#[test]
fn cancel_and_quit_waits_for_the_end_and_kills_who_says_so() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    assert!(press(&mut app, "q c").is_empty(), "it asks once more");
    assert!(press(&mut app, "Enter").is_empty() && !app.layers.is_empty());
    assert!(is_no_kill(&press(&mut app, "y")));
    let sim = sim.ask(Command::Cancel);
    assert!(app.update(update_of(&sim), sim.now).is_empty());
    screen(&mut app);
    assert!(press(&mut app, "q Ctrl-c").is_empty(), "only what the box says kills");
    assert!(press(&mut app, "c").is_empty() && screen(&mut app).contains("y    kill them"), "{}", screen(&mut app));
    assert!(press(&mut app, "Esc c c Enter").is_empty());
    // What was typed before the box asked is no answer to it.
    press(&mut app, "Esc");
    press_unseen(&mut app, "c");
    assert!(press_unseen(&mut app, "y").is_empty());
    screen(&mut app);
    assert!(!is_no_kill(&press(&mut app, "y")));
    // Staying is possible at any time.
    assert!(press(&mut app, "Esc").is_empty());
    let ended = cancelled();
    let effects = app.update(update_of(&ended), ended.now);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Quit)));
}

#[test]
fn a_run_that_nobody_owns_is_taken_over_by_the_first_command() {
    let sim = running();
    let mut app = open_as(&sim, SIZE, Ownership::Nobody);
    assert!(screen(&mut app).contains("NOT RUNNING"));
    assert!(screen(&mut app).contains("interrupted"), "nothing of it can be running");
    let effects = press(&mut app, "p");
    assert!(matches!(effects[..], [Effect::TakeOver { go_on: true, .. }]), "{effects:?}");
    let mut app = open_as(&sim, SIZE, Ownership::Nobody);
    select(&mut app, "stats");
    let effects = press(&mut app, "r");
    assert!(matches!(effects[..], [Effect::TakeOver { go_on: false, .. }]), "{effects:?}");
    assert_eq!(sent(&effects).1, Some(StepStatus::Interrupted));
    let mut app = open_as(&sim, SIZE, elsewhere());
    for key in ["p", "c", "r", "s", "+"] {
        assert!(press(&mut app, key).is_empty());
        assert!(said(&app).contains("process 4711 has this run open"), "{}", said(&app));
    }
    let mut app = open_as(&sim, SIZE, Ownership::Damaged("line 4".into()));
    assert!(press(&mut app, "p").is_empty() && said(&app).contains("damaged"));
}

#[test]
fn a_disk_that_is_nearly_full_is_told_wherever_one_looks() {
    let mut app = open(&running(), SIZE);
    let low = crate::engine::Space { free: 61 << 20, total: 10 << 30 };
    app.update(Event::Space(Some(low)), start());
    assert!(screen(&mut app).contains("disk: 61.0 MiB left"));
    press(&mut app, "Esc");
    assert!(screen(&mut app).contains("the disk is nearly full: 61.0 MiB left"));
    app.update(Event::Space(None), start());
    assert!(!screen(&mut app).contains("nearly full"));
}

#[test]
fn the_next_thing_that_needs_me_is_found_here_and_in_other_runs() {
    let sim = failed();
    let mut app = open(&sim, SIZE);
    select(&mut app, "dump");
    press(&mut app, "] ] ] Tab");
    assert!(press(&mut app, "!").is_empty());
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("verify"));
    // It says why it has gone there, and shows what is to be seen of that.
    assert_eq!(said(&app), "verify waits for you: it has failed");
    assert_eq!(app.run.as_ref().unwrap().tab, Tab::Output);
    let mut other = Sim::numbered(backup(), 7).ask(Command::Start).failed("dump", 2);
    other.now = sim.now;
    app.update(update_of(&other), sim.now);
    screen(&mut app);
    let effects = press(&mut app, "!");
    assert!(matches!(effects[..], [Effect::Subscribe(run)] if run == other.state.run_id), "{effects:?}");
    assert!(said(&app).ends_with("of nightly-backup: it waits for a person"), "{}", said(&app));
    let mut app = open(&running(), SIZE);
    assert!(press(&mut app, "!").is_empty() && said(&app).contains("nothing waits for you"));
}

#[test]
fn a_filter_hides_the_rest_and_n_goes_round() {
    let mut app = open(&failed(), SIZE);
    press(&mut app, "/ p r Enter");
    let run = app.run.as_ref().unwrap();
    assert_eq!(run.row_count(), 2);
    let first = run.list.selected.clone();
    press(&mut app, "n");
    assert_ne!(app.run.as_ref().unwrap().list.selected, first);
    press(&mut app, "n");
    assert_eq!(app.run.as_ref().unwrap().list.selected, first);
    press(&mut app, "Esc");
    assert_eq!(app.run.as_ref().unwrap().row_count(), 8);
    // A status is a word to look for as well, and what passes changes with it.
    press(&mut app, "/ f a i l Enter");
    assert_eq!(app.run.as_ref().unwrap().row_count(), 1);
}

#[test]
fn attempts_are_chosen_and_their_output_is_shown() {
    let mut app = open(&failed(), SIZE);
    select(&mut app, "verify");
    let shown = |app: &App| app.output.source().unwrap().path.clone();
    assert!(shown(&app).ends_with("output/verify.2.log"));
    press(&mut app, "] ] ] Tab j");
    assert!(shown(&app).ends_with("output/verify.1.log"));
    press(&mut app, "Enter");
    assert_eq!(app.run.as_ref().unwrap().tab, Tab::Output);
    assert!(shown(&app).ends_with("output/verify.1.log"));
    select(&mut app, "stats");
    assert!(shown(&app).ends_with("output/stats.1.log"));
}

/// The second half of the list may come between a frame and the key that is pressed at it.
#[test]
fn a_key_is_about_the_row_that_was_drawn_though_the_list_grows() {
    let sim = running();
    let mut app = console(SIZE);
    app.update(Event::RunsListed(Ok((vec![sim.listed()], vec![]))), start());
    screen(&mut app);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), start());
    let effects = press_unseen(&mut app, "Enter");
    assert!(matches!(effects[..], [Effect::Subscribe(run)] if run == sim.state.run_id), "{effects:?}");
}

#[test]
fn opening_a_plan_registers_it_once_and_one_with_problems_shows_them() {
    let mut app = console(SIZE);
    app.update(Event::RunsListed(Ok((vec![], vec![]))), start());
    let bad = PlanEntry {
        plan: None,
        problems: 1,
        report: "error: no steps\n  --> x.json:1:1".into(),
        ..plan_entry(many(1))
    };
    app.update(Event::PlansListed(vec![plan_entry(backup()), bad]), start());
    screen(&mut app);
    let effects = press(&mut app, "Enter");
    assert!(matches!(&effects[..], [Effect::OpenPlan { idle: None, .. }]), "{effects:?}");
    // The run it became is opened when it is there, and opening the plan again opens that run.
    let sim = Sim::new(backup());
    let name = "nightly-backup".to_string();
    let effects =
        app.update(Event::Registered { result: Ok(sim.state.run_id), name, looked_at: None, start: false }, start());
    assert!(matches!(effects[..], [Effect::Subscribe(_)]));
    app.update(update_of(&sim), start());
    let state = Arc::new(sim.state.clone());
    app.update(Event::Subscribed { state, recent: vec![], storage: None, through: None }, start());
    assert_eq!(app.place, Place::Run);
    press(&mut app, "Esc");
    assert_eq!(app.place, Place::Runs);
    press(&mut app, "j");
    let effects = press(&mut app, "Enter");
    assert!(matches!(effects[..], [Effect::OpenPlan { idle: Some(_), .. }]), "{effects:?}");
    press(&mut app, "j j");
    assert!(press(&mut app, "Enter").is_empty());
    assert!(screen(&mut app).contains("error: no steps"));
}

#[test]
fn a_run_that_comes_to_need_a_person_rings() {
    let mut app = open(&running(), SIZE);
    let sim = running().failed("verify", 1).wait(2).failed("verify", 1);
    let effects = app.update(update_of(&sim), sim.now);
    assert!(matches!(&effects[..], [Effect::Alert(text)] if text.contains("step failed")), "{effects:?}");
    assert!(app.update(update_of(&sim), sim.now).is_empty(), "once");
    let mut app = open(&running(), SIZE);
    let paused = running().ask(Command::Pause);
    assert!(app.update(update_of(&paused), paused.now).is_empty(), "an operator did it and knows");
}

#[test]
fn help_names_every_action_of_the_place_and_says_once_what_dim_ones_are() {
    let mut app = open(&running(), (100, 200));
    press(&mut app, "?");
    let text = screen(&mut app);
    for entry in TABLE.iter().filter(|entry| entry.scope.covers(app.scope())) {
        assert!(text.contains(entry.doc), "{}", entry.name);
    }
    assert!(text.contains("dim: not now, its key or : says why"), "{text}");
    assert!(press(&mut app, "p").is_empty(), "help has the keys");
    press(&mut app, "Esc");
    assert!(app.layers.is_empty());
}

#[test]
fn no_clock_where_nothing_moves() {
    assert!(open(&running(), SIZE).ticks());
    assert!(open(&failed(), SIZE).ticks(), "a sibling is still running");
    // A pause says its minutes.
    let paused = held();
    let app = open(&paused, SIZE);
    assert!(!app.ticks());
    let minutes = (paused.now - paused.state.since).num_minutes();
    assert_eq!(app.next_minute(), Some(paused.state.since + TimeDelta::minutes(minutes + 1)));
    assert_eq!(open_as(&paused, SIZE, Ownership::Nobody).next_minute(), None);
    assert_eq!(open(&running(), SIZE).next_minute(), None);
    for sim in [completed(), cancelled(), Sim::new(backup())] {
        assert!(!open(&sim, SIZE).ticks());
    }
    assert!(!open_as(&running(), SIZE, Ownership::Nobody).ticks());
}

#[test]
fn the_title_says_the_state() {
    assert_eq!(open(&failed(), SIZE).title(), "PAUSED 3/8 nightly-backup · holdpoint");
    assert_eq!(console(SIZE).title(), "holdpoint");
}

#[test]
fn every_action_can_be_pressed_in_every_state_without_harm() {
    for (_, sim) in statuses() {
        for entry in TABLE {
            let mut app = open(&sim, SIZE);
            let now = app.now;
            for name in entry.keys {
                let key = match *name {
                    "Enter" | "Esc" | "Tab" | "Down" => name,
                    one if one.len() == 1 => name,
                    _ => continue,
                };
                let effects = press(&mut app, key);
                let harmful = effects.iter().any(|effect| match effect {
                    Effect::Send { request, .. } => matches!(request.command, Command::Cancel | Command::Interrupt),
                    _ => false,
                });
                assert!(!harmful, "{name} acted at once");
                app.update(Event::Tick, now);
            }
        }
    }
    assert!(!Action::Cancel.entry().doc.is_empty());
}

#[test]
fn the_question_whether_to_cancel_counts_what_runs_now() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    assert!(screen(&mut app).contains("3 attempts are stopped"));
    catch_up(&mut app, &running().done("verify").done("report"));
    assert!(screen(&mut app).contains("1 attempt is stopped"));
}

#[test]
fn good_news_goes_by_itself_and_a_refusal_stays() {
    let mut app = open(&running(), SIZE);
    let later = app.now + TimeDelta::seconds(10);
    app.say("done");
    app.update(Event::Tick, later);
    assert!(!screen(&mut app).contains("─ done ─"));
    app.complain("not possible");
    app.update(Event::Tick, later + TimeDelta::seconds(10));
    assert!(screen(&mut app).contains("─ not possible ─"));
}

#[test]
fn a_question_that_somebody_else_has_answered_goes_away() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    catch_up(&mut app, &running().ask(Command::Cancel));
    // The same `y` would kill now.
    screen(&mut app);
    assert!(app.layers.is_empty() && said(&app).contains("overtaken"), "{}", said(&app));
}

/// Between the answer and the engine somebody else's cancel may come: only who was asked whether to kill does that.
#[test]
fn whoever_was_asked_whether_to_cancel_does_not_kill() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    assert!(is_no_kill(&press(&mut app, "c y")));
    catch_up(&mut app, &sim.ask(Command::Cancel));
    assert!(!is_no_kill(&press(&mut app, "c y")), "this is what was asked");
}

#[test]
fn enter_opens_a_foreach_step_and_closes_it() {
    let sim = super::screens::foreach();
    let mut app = open(&sim, (80, 24));
    let rows = |app: &App| app.run.as_ref().unwrap().row_count();
    let selected = |app: &App| app.run.as_ref().unwrap().list.selected.clone().unwrap();
    screen(&mut app);
    assert_eq!(selected(&app), "checksum.12", "what needs a person is seen");
    assert_eq!(rows(&app), 43);
    press(&mut app, "g j Enter");
    assert_eq!((selected(&app).as_str(), rows(&app)), ("checksum", 3));
    press(&mut app, "j");
    assert_eq!(selected(&app), "report", "its instances are passed over");
    press(&mut app, "!");
    assert_eq!((selected(&app).as_str(), rows(&app)), ("checksum.12", 43), "and opened where a person is needed");
    // A filter finds instances also of a step that is closed, by id and by item.
    press(&mut app, "g j Enter /");
    for sign in "s-07".chars() {
        press(&mut app, &sign.to_string());
    }
    press(&mut app, "Enter");
    assert_eq!((selected(&app).as_str(), rows(&app)), ("checksum.7", 1));
    press(&mut app, "Esc");
    assert_eq!(rows(&app), 43, "what is selected stays to be seen");
}

#[test]
fn how_to_come_back_to_what_is_left_running_is_never_cut() {
    for size in [(80, 24), SIZE] {
        let mut app = open(&running(), size);
        app.settings.command_line =
            Arc::new(|rest| format!("holdpoint --checkpoints /srv/backups/of/the/whole/night/checkpoints {rest}"));
        press(&mut app, "q");
        let text = screen(&mut app);
        assert!(
            text.contains("/srv/backups/of/the/whole/night/checkpoints") && text.contains("attach 00009c41"),
            "{text}"
        );
        assert!(text.contains("Esc  stay"), "{text}");
    }
}

#[test]
fn the_title_says_whether_the_selection_follows_and_its_key_lets_it_again() {
    let title = |app: &mut App| {
        let text = screen(app);
        text.lines().find(|line| line.contains(" Steps  ")).unwrap().to_owned()
    };
    let selected = |app: &App| app.run.as_ref().unwrap().list.selected.clone().unwrap();
    let mut app = open(&running(), SIZE);
    assert!(title(&mut app).contains("Steps  8 · following"), "{}", title(&mut app));
    // Opening a step chooses it, and so does any other way to another step.
    for chosen in ["Enter", "k", "z"] {
        let mut app = open(&failed(), SIZE);
        press(&mut app, chosen);
        let steps = app.run.as_ref().unwrap();
        assert!(!steps.follows(), "{chosen}");
    }
    press(&mut app, "j");
    let here = selected(&app);
    assert!(title(&mut app).contains("Steps  8 · F to follow"), "{}", title(&mut app));
    catch_up(&mut app, &running().failed("verify", 1).wait(60).failed("verify", 1).wait(1));
    screen(&mut app);
    assert_eq!(selected(&app), here, "it stays where it was put");
    press(&mut app, "F");
    assert_eq!(selected(&app), "verify", "what waits for a person");
    assert!(title(&mut app).contains("following") && said(&app).starts_with("the selection follows"), "{}", said(&app));
    press(&mut app, "F");
    assert!(title(&mut app).contains("F to follow"));
    // Where nothing goes on there is nothing to follow.
    let mut app = open(&completed(), SIZE);
    assert!(!title(&mut app).contains("follow"), "{}", title(&mut app));
    press(&mut app, "F");
    assert!(said(&app).contains("nothing of the run goes on"), "{}", said(&app));
}

#[test]
fn the_footer_of_the_steps_has_the_filter_and_the_next_pane_where_there_is_room() {
    let foot = |sim: &Sim, size| screen(&mut open(sim, size)).lines().last().unwrap().to_owned();
    for sim in [running(), failed(), held(), completed()] {
        for (size, keys) in [
            ((80, 24), &["? help", ": all actions", "q quit"][..]),
            ((120, 36), &["/ filter", "? help", ": all actions"]),
            ((160, 45), &["/ filter", "Tab next pane", "? help", ": all actions"]),
        ] {
            let foot = foot(&sim, size);
            for key in keys {
                assert!(foot.contains(key), "{key} at {size:?}: {foot}");
            }
        }
    }
    assert!(foot(&failed(), (120, 36)).contains("e edit"), "a step that failed is often to be changed");
    let answers = foot(&failed(), (80, 24));
    assert!(answers.starts_with(" r retry   s skip   m done by hand"), "what answers it has the room: {answers}");
}

#[test]
fn why_quotes_the_last_words_of_the_attempt_that_failed() {
    let mut app = open(&failed(), SIZE);
    let folder = tempfile::tempdir().unwrap();
    let (root, verify) = (folder.path().to_owned(), running().failed("verify", 1).wait(60).state);
    app.settings.output_path = Arc::new(move |_, step, attempt| root.join(format!("{step}.{attempt}")));
    let attempt = verify.step("verify").unwrap().1.last_attempt;
    let printed = "one\ntwo\nchecksum mismatch \u{1b}[31min orders\u{1b}[2J\nthree\n";
    std::fs::write(folder.path().join(format!("verify.{attempt}")), printed).unwrap();
    select(&mut app, "verify");
    let effects = press(&mut app, "W");
    assert!(screen(&mut app).contains("verify failed: exit status 1"), "the answer is there at once");
    let [Effect::Quote { title, said }] = &effects[..] else { panic!("{effects:?}") };
    let (title, lines) = (title.clone(), said.clone().quoting());
    let now = app.now;
    app.update(Event::Quoted { title: title.clone(), lines: lines.clone() }, now);
    let text = screen(&mut app);
    let quoted: Vec<&str> =
        text.lines().filter_map(|line| Some(line.split_once("│ ")?.1.split_once("│ ")?.1.trim())).collect();
    assert!(
        text.contains("│ two") && text.contains("│ checksum mismatch in orders") && text.contains("│ three"),
        "{quoted:?}\n{text}"
    );
    assert!(!text.contains("│ one"), "no more than the last lines: {text}");
    // An answer that comes when it is not read any more changes nothing; what has not failed has nothing to quote.
    press(&mut app, "Esc");
    app.update(Event::Quoted { title, lines }, now);
    assert!(app.layers.is_empty());
    select(&mut app, "ship");
    let effects = press(&mut app, "W");
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Quote { .. })), "{effects:?}");
}

#[test]
fn why_goes_on_with_the_run_while_it_is_read() {
    let steps = vec![Step { max_retries: Some(1), ..step("flaky") }, step("after")];
    let sim = Sim::new(plan("night", "Through the night", steps)).ask(Command::Start).wait(5).failed("flaky", 1);
    let mut app = open(&sim, SIZE);
    let opened = app.now;
    let effects = press(&mut app, "W");
    let text = screen(&mut app);
    assert!(text.contains("Why is flaky not running?") && text.contains("in 1 s at 14:00:06"), "{text}");
    let [Effect::Quote { title, said }] = &effects[..] else { panic!("{effects:?}") };
    let late = Event::Quoted { title: title.clone(), lines: said.clone().quoting() };
    // It runs again: within the same second that changes nothing yet, and a clock has to come.
    let sim = sim.wait(1);
    assert_eq!(sim.state.step("flaky").unwrap().1.status, StepStatus::Running);
    let batch = Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() };
    app.update(batch, opened);
    assert!(screen(&mut app).contains("Why is flaky not running?") && app.ticks());
    app.update(Event::Tick, opened + TimeDelta::seconds(1));
    let text = screen(&mut app);
    assert!(text.contains("What is flaky doing?") && text.contains("flaky is running"), "{text}");
    assert!(!text.contains("tried again by itself"), "{text}");
    // What was read for the answer before does not come back.
    app.update(late, opened + TimeDelta::seconds(1));
    assert!(!screen(&mut app).contains("tried again by itself"));
    press(&mut app, "Esc");
    assert!(app.layers.is_empty());
}

#[test]
fn the_help_says_of_a_key_what_it_does_where_one_is() {
    let line = |app: &mut App| {
        press(app, "?");
        let text = screen(app);
        press(app, "Esc");
        let found = text.lines().find(|line| line.contains(" a page down")).map(str::to_owned);
        found.unwrap_or_else(|| panic!("{text}"))
    };
    let sim = running();
    let mut app = open(&sim, (160, 160));
    // Among the steps it marks; in what a step has printed it goes a page down.
    assert!(!line(&mut app).contains("Space"));
    output(&mut app, &["one"; 400]);
    press(&mut app, "Tab");
    assert!(line(&mut app).contains("PgDn Space"));
    let mut list = console((160, 160));
    list.update(Event::RunsListed(Ok((vec![sim.listed()], vec![]))), sim.now);
    screen(&mut list);
    assert!(!line(&mut list).contains("Space"));
}
