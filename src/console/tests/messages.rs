//! The message line: what it says is true while it stands there, and it does not stand there for ever.

use super::keys::catch_up;
use super::screens::shown;
use super::*;
use crate::console::words;
use crate::engine::Ack;
use crate::run::{InterventionStatus, Rejection, RejectionCode, RunState, can_resume};

const SIZE: (u16, u16) = (120, 35);

fn retry(step: &str) -> Command {
    Command::Retry { step: step.into(), downstream: false }
}

/// The engine has applied a command that the console has sent: the answer comes, then what it has led to.
fn applied(app: &mut App, command: Command, after: &Sim) {
    let ack =
        Ack { run_id: after.state.run_id, seq: after.state.seq, status: InterventionStatus::Applied, duplicate: false };
    app.update(Event::Answered { command, result: Ok(ack) }, after.now);
    screen(app);
    catch_up(app, after);
    screen(app);
}

#[test]
fn what_waits_for_a_resume_says_so_and_is_over_when_it_has_come() {
    let before = running().ask(Command::Pause).failed("stats", 1);
    let mut app = open(&before, SIZE);
    let after = before.ask(retry("stats"));
    applied(&mut app, retry("stats"), &after);
    assert_eq!(said(&app), "stats runs again when the run is resumed: p");
    // Somebody else resumes it.
    catch_up(&mut app, &after.ask(Command::Resume));
    screen(&mut app);
    assert_eq!(said(&app), "");
    // In a run that goes on with it, it is as simple as that.
    let before = running().failed("stats", 1);
    let mut app = open(&before, SIZE);
    applied(&mut app, retry("stats"), &before.ask(retry("stats")));
    assert_eq!(said(&app), "stats is retried");
}

/// One step runs, the other is held.
fn two_at_once() -> Sim {
    let beside = |id: &str| Step { parallel_group: Some("together".into()), ..step(id) };
    let held = Step { hold: Some(Box::new(Hold::Reason("look".into()))), ..beside("ship") };
    Sim::new(plan("two", "Two at once", vec![beside("sweep"), held])).ask(Command::Start)
}

#[test]
fn what_is_done_is_said_as_the_run_then_stands() {
    let cases: Vec<(Sim, Command, &str)> = vec![
        (running(), Command::Pause, "the run is paused; what runs may finish: 3 attempts"),
        (
            two_at_once().ask(Command::Pause),
            Command::Release { step: "ship".into() },
            "ship is released; it runs when the run is resumed: p",
        ),
        (held(), Command::Release { step: "ship".into() }, "ship is released"),
        (running(), Command::Cancel, "the run is being cancelled"),
        (failed().done("stats"), Command::Cancel, "the run is cancelled"),
        (
            failed(),
            Command::Modify { step: "verify".into(), patch: json!({"timeout_seconds": 9}) },
            "verify is changed; it runs so when it is retried: r",
        ),
    ];
    for (before, command, wanted) in cases {
        let mut app = open(&before, SIZE);
        let after = before.ask(command.clone());
        applied(&mut app, command, &after);
        assert_eq!(said(&app), wanted);
    }
}

#[test]
fn a_message_is_over_after_a_while_and_wakes_nobody_without_one() {
    let sim = completed();
    let mut app = open(&sim, SIZE);
    assert_eq!(app.fades(), None);
    let now = app.now;
    for (event, seconds) in [(Event::Say("copied".into()), 5), (Event::Complain("not copied".into()), 20)] {
        app.update(event, now);
        let end = app.fades().expect("it is looked at again");
        assert_eq!((end - now).num_seconds(), seconds);
        app.now = end - TimeDelta::milliseconds(1);
        screen(&mut app);
        assert!(said(&app).ends_with("copied"));
        app.update(Event::Tick, end);
        screen(&mut app);
        assert_eq!((said(&app), app.fades()), ("", None));
    }
}

#[test]
fn a_reason_why_not_is_over_when_it_is_possible() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    press(&mut app, "!");
    assert_eq!(said(&app), "needs me: nothing waits for you");
    let sim = sim.failed("stats", 1);
    catch_up(&mut app, &sim);
    screen(&mut app);
    assert_eq!(said(&app), "", "stats has failed since");
}

#[test]
fn a_refusal_is_over_when_its_step_stands_otherwise() {
    let sim = running();
    let mut app = open(&sim, SIZE);
    let no = Rejection::new(RejectionCode::Stale, "it has changed").possible("look again");
    let now = app.now;
    app.update(Event::Answered { command: skip("stats"), result: Err(no) }, now);
    screen(&mut app);
    assert!(said(&app).starts_with("skip stats: not done"));
    let sim = sim.ask(Command::SetParallel { value: 9 });
    catch_up(&mut app, &sim);
    screen(&mut app);
    assert!(said(&app).starts_with("skip stats: not done"), "that has nothing to do with it");
    catch_up(&mut app, &sim.done("stats"));
    screen(&mut app);
    assert_eq!(said(&app), "");
}

#[test]
fn resuming_is_promised_only_where_something_would_go_on() {
    assert!(can_resume(&running().ask(Command::Pause).state));
    let stuck = failed().done("stats");
    assert!(!can_resume(&stuck.state), "what failed is to be answered first");
    assert!(!can_resume(&running().state) && !can_resume(&completed().state));
    let back = |state: &RunState| words::done(&Command::Restore { checkpoint: 3 }, Some(state));
    assert_eq!(back(&running().ask(Command::Pause).state), "the run is back at cp-3, and paused: {resume} goes on");
    assert_eq!(back(&stuck.state), "the run is back at cp-3, and paused");
}

#[test]
fn what_the_run_waits_for_stands_first_and_what_ends_it_last_before_help() {
    let first = |sim: &Sim, step: &str, wanted: &str| {
        for size in [(80, 24), (120, 36)] {
            let mut app = open(sim, size);
            let position = app.run.as_ref().unwrap().state.position(step).unwrap();
            app.run.as_mut().unwrap().select(position);
            let text = screen(&mut app);
            let footer = text.lines().last().unwrap();
            assert!(footer.starts_with(wanted), "{step} at {size:?}: {footer}");
            let (cancel, help) = (footer.find("c cancel"), footer.find("? help").unwrap());
            let ended = sim.state.status.is_ended();
            assert_eq!(cancel.is_none(), ended, "{footer}");
            assert!(cancel.is_none_or(|place| footer[place..help].trim() == "c cancel"), "{footer}");
        }
    };
    first(&held(), "ship", " o release   s skip");
    first(&failed(), "verify", " r retry   s skip   m done by hand");
    first(&failed(), "ship", " ! needs me");
    first(&running().ask(Command::Pause), "ship", " p resume");
    first(&Sim::new(backup()), "ship", " p start");
    first(&running(), "ship", " p pause");
    first(&completed(), "ship", " ");
}

#[test]
fn screens() {
    shown("leaving_cancel", |size| {
        let mut app = open(&running(), size);
        press(&mut app, "q c");
        app
    });
    shown("leaving", |size| {
        let mut app = open(&running(), size);
        press(&mut app, "q");
        app
    });
    shown("message_retry_paused", |size| {
        let before = running().ask(Command::Pause).failed("stats", 1);
        let mut app = open(&before, size);
        applied(&mut app, retry("stats"), &before.ask(retry("stats")));
        app
    });
}
