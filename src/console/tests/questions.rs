//! The one rule of questions: what loses work or stops it is never done by Enter; everything else is done by Enter as by `y`; and the box says so.

use super::*;
use crate::console::popups::{Ask, Care, Popup};

const SIZE: (u16, u16) = (100, 30);

/// A `y` is an answer when nothing is typed behind it, and else begins a reason as every letter does.
#[test]
fn a_reason_may_begin_with_the_letter_that_says_yes() {
    for text in ["you said so", "yes, Ann agreed", "y2k"] {
        let mut app = open(&running(), SIZE);
        press(&mut app, "c");
        assert!(type_on(&mut app, text).is_empty());
        let Some(Popup::Ask(ask)) = app.layers.last().map(|layer| &layer.popup) else {
            panic!("{text}: it was answered")
        };
        assert_eq!(ask.reason.as_ref().unwrap().text(), text);
        let effects = press(&mut app, "Enter y");
        assert_eq!(sent(&effects), (&Command::Cancel, None, Some(text)));
    }
    // Enter behind it, and the letter again, are in a hurry.
    for hurry in ["y", "Enter"] {
        let mut app = open(&running(), SIZE);
        press(&mut app, "c");
        assert!(press_unseen(&mut app, "y").is_empty());
        assert_eq!(sent(&press_unseen(&mut app, hurry)).0, &Command::Cancel);
    }
    // So does what is pasted behind it.
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    press_unseen(&mut app, "y");
    app.update(Event::Paste("ou said so".into()), app.now);
    assert!(app.agrees_at().is_none());
    assert_eq!(sent(&press(&mut app, "Enter y")).2, Some("you said so"));
    // Esc takes it back.
    let mut app = open(&running(), SIZE);
    press(&mut app, "c");
    press_unseen(&mut app, "y");
    assert!(press(&mut app, "Esc").is_empty() && app.layers.is_empty());
    assert!(
        app.update(Event::Tick, app.now + TimeDelta::seconds(1)).iter().all(|one| !matches!(one, Effect::Send { .. }))
    );
}

/// Whether a command is asked about in some state. Without a wildcard: a new command has to be put into one of the two, and into [`asked`].
fn asks(command: &Command) -> bool {
    match command {
        Command::Start
        | Command::Cancel
        | Command::Rollback
        | Command::Retry { .. }
        | Command::Skip { .. }
        | Command::Complete { .. }
        | Command::Hold { .. }
        | Command::Release { .. }
        | Command::Approve { .. }
        | Command::Reject { .. }
        | Command::Remove { .. }
        | Command::Reorder { .. }
        | Command::Undo { .. }
        | Command::UndoIntervention { .. }
        | Command::UseVersion { .. }
        | Command::Restore { .. } => true,
        // A change and a new step have their form, which asks.
        Command::Modify { .. }
        | Command::Add { .. }
        | Command::Answer { .. }
        | Command::Pause
        | Command::Resume
        | Command::Interrupt
        | Command::Unhold { .. }
        | Command::Escalate { .. }
        | Command::SetParallel { .. } => false,
    }
}

/// So many commands ask, as [`asks`] says.
const KINDS: usize = 16;

/// Every kind of question: the run, the command, the status of its step as it was seen, and whether it loses or stops work.
fn asked() -> Vec<(Sim, Command, Option<StepStatus>, Care)> {
    use Care::{Careful, Plain};
    use StepStatus::{Completed, Failed, InReview, Pending, Running};
    let of = |step: &str| step.to_owned();
    let retry = |step: &str, downstream| Command::Retry { step: of(step), downstream };
    let complete = |step: &str| Command::Complete { step: of(step), result: None };
    let held_again = held().ask(Command::Modify { step: of("prune"), patch: json!({"timeout_seconds": 5}) });
    let undoable = held_again.state.interventions.iter().rev().find(|one| one.inverse.is_some()).unwrap();
    let intervention = undoable.intervention_id;
    let checkpoint = running().state.checkpoints[0].seq;
    vec![
        (Sim::new(backup()), Command::Start, None, Plain),
        (running(), Command::Cancel, None, Careful),
        (running().ask(Command::Cancel), Command::Cancel, None, Careful),
        (failed(), Command::Rollback, None, Careful),
        (running(), retry("verify", false), Some(Running), Careful),
        (running(), retry("verify", true), Some(Running), Careful),
        (completed(), retry("compress", true), Some(Completed), Careful),
        (running(), skip("notify"), Some(Pending), Plain),
        (running(), skip("verify"), Some(Running), Careful),
        (running(), complete("notify"), Some(Pending), Plain),
        (running(), complete("verify"), Some(Running), Careful),
        (running(), Command::Hold { step: of("prune") }, Some(Pending), Plain),
        (held(), Command::Release { step: of("ship") }, Some(StepStatus::Held), Plain),
        (held(), Command::Approve { step: of("ship") }, Some(InReview), Plain),
        (held(), Command::Reject { step: of("ship") }, Some(InReview), Careful),
        (running(), Command::Remove { step: of("notify") }, Some(Pending), Plain),
        (failed(), Command::Remove { step: of("verify") }, Some(Failed), Careful),
        (running(), Command::Reorder { steps: vec![of("notify"), of("ship")] }, None, Plain),
        (held_again.clone(), Command::Undo { version: None }, None, Plain),
        (held_again.clone(), Command::UndoIntervention { intervention }, None, Plain),
        (held_again, Command::UseVersion { version: 1 }, None, Plain),
        (running(), Command::Restore { checkpoint }, None, Careful),
    ]
}

fn opened(sim: &Sim, command: &Command, seen: Option<StepStatus>) -> App {
    let mut app = open(sim, SIZE);
    let ask = app.question(command, seen).unwrap_or_else(|| panic!("{command:?} is not asked about"));
    // What the engine says of it comes later, if it does.
    let _ = app.ask(ask);
    screen(&mut app);
    app
}

fn question(app: &App) -> Option<&Ask> {
    app.layers.last().and_then(|layer| if let Popup::Ask(ask) = &layer.popup { Some(ask.as_ref()) } else { None })
}

#[test]
fn what_loses_or_stops_work_is_not_done_by_enter_and_all_else_is_as_by_y() {
    let asked = asked();
    let mut kinds: Vec<std::mem::Discriminant<Command>> = Vec::new();
    for (sim, command, seen, care) in &asked {
        assert!(asks(command), "{command:?}");
        if !kinds.contains(&std::mem::discriminant(command)) {
            kinds.push(std::mem::discriminant(command));
        }
        let mut app = opened(sim, command, *seen);
        assert_eq!(question(&app).unwrap().care(), *care, "{command:?}");
        let text = screen(&mut app);
        let (yes, no) = (question(&app).unwrap().yes.clone(), question(&app).unwrap().no.clone());
        let keys = if *care == Care::Plain { "Enter or y" } else { "y" };
        assert!(text.contains(&format!("{keys} {yes}")) && text.contains(&format!("Esc {no}")), "{command:?}\n{text}");
        assert_eq!(text.contains("Enter does nothing"), *care == Care::Careful, "{command:?}\n{text}");

        let by_enter = press(&mut app, "Enter");
        match care {
            Care::Plain => assert!(app.layers.is_empty(), "{command:?}"),
            Care::Careful => assert!(by_enter.is_empty() && question(&app).is_some(), "{command:?}"),
        }
        let by_y = press(&mut opened(sim, command, *seen), "y");
        let is_it = |effects: &[Effect]| {
            sent(effects).0 == command || matches!(command, Command::Undo { .. } | Command::UndoIntervention { .. })
        };
        assert!(is_it(&by_y), "{command:?}: {by_y:?}");
        assert!(*care == Care::Careful || is_it(&by_enter), "{command:?}: {by_enter:?}");
        for no in ["Esc", "Ctrl-c"] {
            let mut app = opened(sim, command, *seen);
            assert!(press(&mut app, no).is_empty() && app.layers.is_empty(), "{no} leaves {command:?}");
            assert!(said(&app).ends_with("not done"), "{}", said(&app));
        }
    }
    assert_eq!(kinds.len(), KINDS, "every kind of question is among them");
}

#[test]
fn in_the_reason_letters_are_text_and_enter_leads_to_the_answers_of_a_careful_question() {
    let mut app = opened(&running(), &Command::Cancel, None);
    assert!(press(&mut app, "Tab y n q").is_empty());
    let text = screen(&mut app);
    assert!(text.contains("Enter, then y cancel the run") && text.contains("Esc let it be"), "{text}");
    assert!(press(&mut app, "Enter Enter Enter").is_empty());
    assert_eq!(sent(&press(&mut app, "y")).2, Some("ynq"));
    // Any other letter begins a reason by itself; in a plain question Enter then does it.
    let mut app = opened(&running(), &skip("notify"), Some(StepStatus::Pending));
    assert!(press(&mut app, "d o w n").is_empty());
    let text = screen(&mut app);
    assert!(text.contains("Enter skip") && text.contains("Esc let it be"), "{text}");
    assert_eq!(sent(&press(&mut app, "Enter")).2, Some("down"));
    // A reason may begin with any other letter, an n as well; nothing but a no is one.
    let mut app = opened(&running(), &skip("notify"), Some(StepStatus::Pending));
    assert_eq!(sent(&press(&mut app, "n o t Space n o w Enter")).2, Some("not now"));
    let mut app = opened(&running(), &skip("notify"), Some(StepStatus::Pending));
    assert!(press(&mut app, "n o Enter").is_empty() && app.layers.is_empty());
    assert!(said(&app).ends_with("not done"), "{}", said(&app));
    // A question without a reason has none that could begin.
    let mut app = opened(&Sim::new(backup()), &Command::Start, None);
    assert!(press(&mut app, "d").is_empty() && question(&app).is_some());
}

/// What only the engine knows to lose work makes a question a careful one as soon as it is known.
#[test]
fn what_the_engine_says_would_stop_or_repeat_work_takes_enter_away() {
    for (sim, command, seen, care) in asked() {
        // A restore is told by what is on the disk.
        if matches!(command, Command::Restore { .. }) {
            continue;
        }
        let request = sim.request(command.clone(), "ann");
        let told = preview(&sim.state, &Input::Request(request), &Moment { now: sim.now, entropy: 0 });
        if let Ok(told) = told
            && (!told.stops.is_empty() || !told.runs_again.is_empty())
        {
            assert_eq!(care, Care::Careful, "{command:?} stops {:?}, repeats {:?}", told.stops, told.runs_again);
        }
        let mut app = open(&sim, SIZE);
        let ask = app.question(&command, seen).unwrap();
        let effects = app.ask(ask);
        foretell(&mut app, effects);
        screen(&mut app);
        assert_eq!(question(&app).unwrap().care(), care, "{command:?}");
    }
    let mut app = opened(&running(), &skip("notify"), Some(StepStatus::Pending));
    let Some(Popup::Ask(ask)) = app.layers.last_mut().map(|layer| &mut layer.popup) else { panic!() };
    ask.foretold.loses = true;
    assert!(press(&mut app, "Enter").is_empty() && screen(&mut app).contains("Enter does nothing"));
}
