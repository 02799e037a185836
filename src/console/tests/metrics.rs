//! The numbers of a run: what is seen of them, and what the keys do there. Alerts, and what hooks report.

use super::screens::shown;
use super::*;
use crate::console::app::Place;
use crate::engine::hooks::Report;
use crate::plan::FailurePolicy;
use crate::run::{Alert, AlertKind, Event as RunEvent, Health, Metrics};

fn scored(score: f64) -> Outcome {
    let result = AgentResult { quality_score: Some(score), ..AgentResult::default() };
    Outcome { result: Some(Box::new(result)), ..Outcome::default() }
}

/// Many steps of three agents, one of which fails and fails.
fn sweep() -> Sim {
    let agent = json!({"kind": "command", "command": ["./agent"]});
    let agents = json!({"fetcher": agent, "judge": agent, "flaky-uploader-of-reports": agent});
    let value = json!({"plan_id": "sweep", "title": "Look at every host", "agents": agents, "steps": []});
    let mut plan: Plan = serde_json::from_value(value).unwrap();
    let of = |id: String, agent: &str| Step { step_id: id, agent_type: Some(agent.into()), ..Step::default() };
    let mut steps = Vec::new();
    for number in 1..=12 {
        steps.push(of(format!("fetch-{number:02}"), "fetcher"));
    }
    steps.push(of("judge".into(), "judge"));
    for number in 1..=6 {
        steps.push(of(format!("upload-{number}"), "flaky-uploader-of-reports"));
    }
    steps.push(step("tidy"));
    plan.steps = steps.into_iter().map(Arc::new).collect();
    plan.on_failure = Some(FailurePolicy::Pause);
    let mut sim = Sim::new(plan).wait(4).ask(Command::Start);
    for number in 1..=12 {
        sim = sim.wait(7 + number % 5);
        sim =
            if number == 4 { sim.failed("fetch-04", 2).wait(65).because(retry("fetch-04"), "host is up") } else { sim };
        sim = sim.end(&format!("fetch-{number:02}"), scored(0.9));
    }
    sim = sim.ask(Command::Pause).wait(120).ask(Command::Resume).wait(31).end("judge", scored(0.4));
    for _ in 0..6 {
        sim = sim.wait(8).failed("upload-1", 7).wait(4).ask(retry("upload-1"));
    }
    sim.wait(3)
}

fn retry(step: &str) -> Command {
    Command::Retry { step: step.into(), downstream: false }
}

#[test]
fn the_metrics() {
    for (name, sim, keys) in [
        ("metrics_running", running(), "M"),
        ("metrics_unhealthy", sweep(), "M"),
        ("metrics_paused", failed(), "M"),
        ("metrics_selected", sweep(), "M j j"),
        ("metrics_idle", Sim::new(backup()), "M"),
        ("metrics_nothing_ended", Sim::new(backup()).wait(5).ask(Command::Start).wait(9), "M"),
    ] {
        shown(name, |size| {
            let mut app = open(&sim, size);
            press(&mut app, keys);
            app
        });
    }
    shown("metrics_ascii", |size| {
        let mut app = open(&sweep(), size);
        app.glyphs = Glyphs::new(Charset::Ascii);
        press(&mut app, "M");
        app
    });
    shown("metrics_with_earlier_runs", |size| {
        let mut past = Past::default();
        assert!(past.add(&completed().state));
        let mut app = open(&running(), size);
        app.run.as_mut().unwrap().estimate = Default::default();
        app.prepare();
        find_out(&mut app, &past);
        press(&mut app, "M");
        app
    });
}

/// Event by event the same as from the state, whatever happens.
#[test]
fn numbers_follow_the_run() {
    for sim in [sweep(), failed(), completed(), cancelled()] {
        let first = RunState::from_registration(&sim.events[0]).unwrap();
        let mut app = open(&Sim { state: first, events: vec![Arc::clone(&sim.events[0])], now: start() }, (80, 24));
        press(&mut app, "M");
        app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() }, sim.now);
        screen(&mut app);
        assert_eq!(app.run.as_ref().unwrap().numbers.metrics(), Some(&Metrics::of(&sim.state)));
        let ended = sim.events.iter().filter(|one| match &one.event {
            RunEvent::AttemptEnded { outcome, .. } => *outcome.as_ref() != Outcome::stopped(),
            _ => false,
        });
        let counted: u64 = Metrics::of(&sim.state).agents.values().map(|one| one.executions).sum();
        assert_eq!(counted, ended.count() as u64);
    }
}

#[test]
fn the_worst_agent_is_on_top_and_leads_to_its_steps() {
    let sim = sweep();
    let metrics = Metrics::of(&sim.state);
    assert_eq!(metrics.agents["flaky-uploader-of-reports"].health(), Health::Unhealthy);
    assert_eq!(metrics.agents["judge"].health(), Health::Degraded);
    let mut app = open(&sim, (80, 24));
    press(&mut app, "M Enter");
    assert_eq!(app.place, Place::Run);
    let text = screen(&mut app);
    assert!(text.contains("upload-1") && !text.contains("fetch-01"), "{text}");
    press(&mut app, "M");
    let effects = press(&mut app, "y");
    let Some(Effect::Copy { text, .. }) = effects.first() else { panic!("{effects:?}") };
    assert!(text.lines().nth(1).unwrap().starts_with("flaky-uploader-of-reports\tunhealthy\t6\t6\t0 %"), "{text}");
    press(&mut app, "Esc");
    assert_eq!(app.place, Place::Run);
    // The filter is a thing of the steps.
    press(&mut app, "M /");
    assert!(said(&app).contains("Enter shows the steps"), "{}", said(&app));
}

#[test]
fn alerts_are_told_once_with_bell_and_in_the_log() {
    let sim = sweep();
    let first = RunState::from_registration(&sim.events[0]).unwrap();
    let mut app = open(&Sim { state: first, events: vec![Arc::clone(&sim.events[0])], now: start() }, (80, 24));
    let mut told = Vec::new();
    for event in &sim.events {
        let batch = Event::Batch { run: sim.state.run_id, batch: Arc::new(vec![Arc::clone(event)]).into() };
        for effect in app.update(batch, event.time) {
            if let Effect::Alert(text) = effect {
                assert!(said(&app).starts_with("alert: sweep: "), "{}", said(&app));
                told.push(text);
            }
        }
    }
    let unhealthy = "sweep: flaky-uploader-of-reports is unhealthy: 5 failures in a row";
    assert_eq!(told, ["sweep: 5 failures in 10 min", unhealthy, "sweep: 10 interventions in 10 min"]);
    let log = app.run.as_ref().unwrap().log.lines();
    assert_eq!(log.iter().filter(|line| line.text.starts_with("alert: ")).count(), 3);
    // Whoever opens the run now is not told again, and finds them in the log.
    let mut later = open(&sim, (100, 30));
    assert!(later.run.as_mut().unwrap().take_alerts().is_empty());
    assert!(screen(&mut later).contains("alert: "));
}

#[test]
fn what_hooks_report_is_shown() {
    let sim = running();
    let mut app = open(&sim, (80, 24));
    let report = |message: &str, bad| Event::Reported(Report::Hook { message: message.into(), bad });
    let now = sim.now;
    app.update(report("hook chat fails (alert): \u{1b}[2Jconnection refused", true), now);
    assert!(said(&app).contains("hook chat fails (alert)") && !said(&app).contains('\u{1b}'), "{}", said(&app));
    assert!(app.message.as_ref().unwrap().bad);
    let alert = Alert { seq: 9, time: now, kind: AlertKind::Failures, message: "5 failures in 10 min".into() };
    let of = |run_id| Event::Reported(Report::Alert { run_id, plan_id: "other".into(), alert: alert.clone() });
    let effects = app.update(of(Uuid::from_u128(3)), now);
    assert!(matches!(&effects[..], [Effect::Alert(text)] if text == "other: 5 failures in 10 min"), "{effects:?}");
    // Of the run that is open, its own events tell.
    assert!(app.update(of(sim.state.run_id), now).is_empty());
}
