//! What the console tells the operator: whole, in the same words everywhere, and as something that can be done.

use std::path::Path;

use super::keys::select;
use super::screens::shown;
use super::*;
use crate::console::app::CommandLine;
use crate::console::popups::Popup;
use crate::console::summary;
use crate::engine::Ack;
use crate::run::InterventionStatus;

const SIZE: (u16, u16) = (120, 35);

#[test]
fn every_command_that_is_named_reaches_the_same_runs() {
    let command_line: CommandLine = Arc::new(|rest| format!("holdpoint --checkpoints c6 {rest}"));
    for (sim, elsewhere, line) in [
        (Sim::new(backup()), false, "start it     holdpoint --checkpoints c6 resume"),
        (failed(), false, "go on        holdpoint --checkpoints c6 resume"),
        (running(), true, "look again   holdpoint --checkpoints c6 attach"),
    ] {
        let text = summary::describe(&sim.state, Path::new("c6"), elsewhere, &command_line);
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_message_that_one_line_does_not_hold_goes_on_over_the_log_and_moves_nothing_else() {
    let sim = failed();
    let path =
        "/srv/backups/2026/03/14/with-a-long-folder-name/nightly-backup-9c41-interventions-20260314T140210Z.json";
    let long = format!("3 of 17 interventions written to {path}");
    shown("message_long", |size| {
        let mut app = open(&sim, size);
        let now = app.now;
        app.update(Event::Say(long.clone()), now);
        app
    });
    let mut app = open(&sim, (80, 24));
    let before = screen(&mut app);
    let now = app.now;
    app.update(Event::Complain(long.clone()), now);
    let after = screen(&mut app);
    let whole: String = after.lines().rev().take(4).collect::<Vec<_>>().into_iter().rev().map(str::trim).collect();
    assert!(whole.contains(path), "the path is whole: {after}");
    let above = |text: &str| text.lines().take(20).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(above(&before), above(&after));
    assert_eq!(before.lines().last(), after.lines().last(), "the keys stay where they are");
    press(&mut app, ",");
    assert_eq!(screen(&mut app), before, "and the next key gives the log back");
}

#[test]
fn the_help_cuts_no_reason() {
    for size in [(80, 24), SIZE] {
        let mut app = open(&failed(), size);
        press(&mut app, "?");
        let mut seen = String::new();
        for _ in 0..8 {
            seen.push_str(&screen(&mut app));
            press(&mut app, "PgDn");
        }
        assert!(seen.contains("dim: not now, its key or : says why"));
        assert_eq!(seen.matches("dim: not now").count(), 8, "once a screen");
        let cut = seen.lines().filter(|line| line.contains("\u{2502}  ") && line.contains("\u{2026}  \u{2502}"));
        assert_eq!(cut.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

#[test]
fn question_log_and_list_say_alike_what_was_done_and_what_undid_it() {
    let step = || "notify".to_owned();
    let sim = running().because(Command::Complete { step: step(), result: None }, "sent by hand");
    let done = sim.state.interventions.last().unwrap().intervention_id;
    let mut app = open(&sim, (160, 45));
    press(&mut app, "u");
    let text = screen(&mut app);
    assert!(text.contains("Undo: ann completed notify by hand?"), "{text}");
    press(&mut app, "Esc I");
    assert!(screen(&mut app).contains("ann         completed notify by hand"));
    let sim = sim.ask(Command::UndoIntervention { intervention: done });
    let undo = sim.state.interventions.last().unwrap().intervention_id;
    let mut app = open(&sim, (160, 45));
    press(&mut app, "I");
    let text = screen(&mut app);
    assert!(text.contains("ann         undid: completed notify by hand"), "{text}");
    assert!(!text.contains(&done.to_string()), "{text}");
    press(&mut app, "Esc");
    assert!(screen(&mut app).contains("ann undid: completed notify by hand"), "the log");
    let sim = sim.ask(Command::UndoIntervention { intervention: undo });
    assert_eq!(sim.state.step("notify").unwrap().1.status, StepStatus::Completed);
    let mut app = open(&sim, (160, 45));
    press(&mut app, "I");
    assert!(screen(&mut app).contains("brought again: completed notify by hand"));
}

#[test]
fn undo_is_shown_as_possible_only_where_the_engine_would_do_it() {
    let undo = |app: &App| crate::console::availability::availability(app, crate::console::actions::Action::Undo);
    let sim = running().ask(skip("notify"));
    assert_eq!(undo(&open(&sim, SIZE)), Ok(()));
    let overtaken = held().ask(Command::Release { step: "ship".into() });
    assert!(undo(&open(&overtaken, SIZE)).unwrap_err().contains("was overtaken"));
    let patch = json!({"timeout_seconds": 5});
    let modified = running().ask(Command::Modify { step: "prune".into(), patch });
    assert_eq!(undo(&open(&modified, SIZE)), Ok(()));
    let mut ended = modified.done("verify").wait(1).done("stats").done("report").wait(1);
    ended = ended.ask(Command::Release { step: "ship".into() }).wait(1).done("ship").wait(1);
    ended = ended.done("notify").wait(1).done("prune").wait(1);
    assert!(undo(&open(&ended, SIZE)).is_err(), "a completed run");
}

#[test]
fn undo_among_the_interventions_is_of_the_selected_one() {
    let sim = running().ask(skip("notify")).ask(Command::SetParallel { value: 2 });
    let skipped = sim.state.interventions[1].intervention_id;
    let mut app = open(&sim, SIZE);
    press(&mut app, "I j u");
    assert!(screen(&mut app).contains("Undo: ann skipped notify?"));
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::UndoIntervention { intervention: skipped });
    press(&mut app, "j u");
    assert!(said(&app).contains("start by ann cannot be undone"), "{}", said(&app));
}

#[test]
fn back_from_a_step_leads_to_the_intervention_that_led_there() {
    let sim = running().ask(skip("notify")).ask(Command::SetParallel { value: 2 });
    let mut app = open(&sim, SIZE);
    press(&mut app, "I j Enter");
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("notify"));
    assert!(press(&mut app, "Esc").is_empty());
    let history = app.history.as_ref().expect("the interventions again");
    assert_eq!(history.selected_entry(&sim.state), Some(1));
    press(&mut app, "Esc");
    assert!(app.history.is_none() && app.run.is_some(), "and then the steps");
    assert!(press(&mut app, "Esc").iter().any(|effect| matches!(effect, Effect::Unsubscribe)));
}

#[test]
fn an_export_of_what_is_filtered_has_just_that() {
    use crate::console::event::Exported;
    let sim = running().ask(skip("notify")).ask(Command::SetParallel { value: 2 });
    let mut app = open(&sim, SIZE);
    let what = |effects: Vec<Effect>| match &effects[..] {
        [Effect::Export { what, .. }] => what.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(what(press(&mut app, "X")), Exported::Snapshot);
    assert_eq!(what(press(&mut app, "I X")), Exported::Interventions(None));
    press(&mut app, "/ s k i p Enter");
    assert_eq!(what(press(&mut app, "X")), Exported::Interventions(Some(vec![1])));
}

#[test]
fn a_step_that_an_undo_brings_back_is_selected() {
    let sim = running().ask(Command::Remove { step: "notify".into() });
    let mut app = open(&sim, SIZE);
    let command = Command::Undo { version: Some(2) };
    let sim = sim.ask(command.clone());
    let run_id = sim.state.run_id;
    let ack = Ack { run_id, seq: sim.state.seq, status: InterventionStatus::Applied, duplicate: false };
    app.update(Event::Answered { command, result: Ok(ack) }, sim.now);
    app.update(Event::Batch { run: run_id, batch: Arc::new(sim.events.clone()).into() }, sim.now);
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("notify"));
}

#[test]
fn what_runs_out_of_sight_is_marked() {
    let sim = Sim::new(many(200)).wait(1).ask(Command::Start).wait(1);
    let mut app = open(&sim, SIZE);
    assert!(!screen(&mut app).contains("\u{2191}1 running"), "it is in sight");
    press(&mut app, "G");
    assert!(screen(&mut app).contains("\u{2191}1 running"), "{}", screen(&mut app));
    app.glyphs = Glyphs::new(Charset::Ascii);
    assert!(screen(&mut app).contains("^1 running"), "{}", screen(&mut app));
}

#[test]
fn a_time_limit_that_was_over_is_called_so_everywhere() {
    let steps = vec![Step { timeout_seconds: Some(3.0), max_retries: Some(1), ..step("slow") }, step("after")];
    let mut sim = Sim::new(plan("limits", "Limits", steps)).ask(Command::Start);
    for _ in 0..2 {
        sim = sim.wait(3);
        let attempt = sim.state.step("slow").unwrap().1.last_attempt;
        sim.input(&Input::TimedOut { step: "slow".into(), attempt });
        sim = sim.end("slow", Outcome::stopped());
        while sim.state.step("slow").unwrap().1.status == StepStatus::Waiting {
            sim = sim.wait(1);
        }
    }
    let mut app = open(&sim, (160, 45));
    let text = screen(&mut app);
    let times = |text: &str| text.matches("timed out after 3 s").count();
    // The banner, the row, the line over the output, and the log twice.
    assert!(times(&text) >= 5 && !text.contains("stopped"), "{text}");
    press(&mut app, "W");
    let text = screen(&mut app);
    assert!(text.contains("slow failed: timed out after 3 s (its one retry is used up)"), "{text}");
    press(&mut app, "Esc ] ] ]");
    let text = screen(&mut app);
    assert!(times(&text) >= 6 && !text.contains("stopped") && !text.contains('⊘'), "{text}");
    let text = summary::describe(&sim.state, Path::new("c6"), false, &settings().command_line);
    assert!(text.contains("slow failed: timed out after 3 s"), "{text}");
    shown("run_timed_out", |size| open(&sim, size));
}

#[test]
fn the_keys_that_an_answer_names_work_while_it_is_read() {
    // For the step that they are named for, wherever the selection is.
    let mut app = open(&held(), (100, 30));
    select(&mut app, "prune");
    press(&mut app, "W");
    let text = screen(&mut app);
    assert!(text.contains("o on ship") && text.contains("the keys work here · Esc closes"), "{text}");
    assert!(press(&mut app, "o").is_empty());
    assert!(screen(&mut app).contains("Release ship?"), "{}", screen(&mut app));
    assert_eq!(sent(&press(&mut app, "Enter")).0, &Command::Release { step: "ship".into() });
    // The selected one's own; and what it names no key for does nothing.
    let mut app = open(&failed(), (100, 30));
    select(&mut app, "verify");
    press(&mut app, "W");
    assert!(press(&mut app, "a").is_empty() && matches!(app.layers.last().unwrap().popup, Popup::Text { .. }));
    let effects = press(&mut app, "r");
    assert_eq!(
        sent(&effects),
        (&Command::Retry { step: "verify".into(), downstream: false }, Some(StepStatus::Failed), None)
    );
    assert!(app.layers.is_empty());
}

#[test]
fn a_key_that_an_answer_names_for_several_steps_chooses_none() {
    let both = Sim::new(plan(
        "two",
        "Two",
        vec![
            Step { depends_on: Some(vec![]), ..step("one") },
            Step { depends_on: Some(vec![]), ..step("two") },
            Step { depends_on: Some(vec!["one".into(), "two".into()]), ..step("last") },
        ],
    ));
    let mut app = open(&both.ask(Command::Start).failed("one", 1).failed("two", 1), (100, 30));
    select(&mut app, "last");
    press(&mut app, "W");
    let text = screen(&mut app);
    assert!(text.contains("r on one") && text.contains("r on two"), "{text}");
    assert!(press(&mut app, "r").is_empty() && app.layers.is_empty());
    assert_eq!(said(&app), "retry: one and two could be meant; select the one");
}
