//! The form in which a step is changed or added.

use super::screens::shown;
use super::*;
use crate::console::form::{Form, Page, Where};
use crate::console::popups::Popup;
use crate::engine::Ack;
use crate::run::{InterventionStatus, Place, Rejection, RejectionCode};

const SIZE: (u16, u16) = (100, 40);

fn select(app: &mut App, id: &str) {
    let position = app.run.as_ref().unwrap().state.position(id).unwrap();
    app.run.as_mut().unwrap().select(position);
    screen(app);
}

fn form(app: &App) -> &Form {
    let form = app.layers.iter().rev().find_map(|layer| match &layer.popup {
        Popup::Form(form) => Some(form.as_ref()),
        _ => None,
    });
    form.expect("the form is open")
}

/// The keys that type a text.
fn typed(app: &mut App, text: &str) {
    let now = app.now;
    app.update(Event::Paste(text.into()), now);
    screen(app);
}

/// Goes to a field by its label.
fn field(app: &mut App, label: &str) {
    for _ in 0..40 {
        let form = form(app);
        if form.fields[form.selected].label == label {
            return;
        }
        press(app, "Tab");
    }
    panic!("there is no field {label}: {:?}", form(app).fields.iter().map(|one| &one.label).collect::<Vec<_>>());
}

fn fill(app: &mut App, label: &str, text: &str) {
    field(app, label);
    press(app, "End Ctrl-u");
    typed(app, text);
}

/// A form on a step of the running backup.
fn editing(step: &str) -> App {
    let mut app = open(&running(), SIZE);
    select(&mut app, step);
    assert!(press(&mut app, "e").is_empty());
    app
}

fn modify(step: &str, patch: serde_json::Value) -> Command {
    Command::Modify { step: step.into(), patch }
}

fn answered(app: &mut App, command: &Command, result: Result<(), Rejection>) -> Vec<Effect> {
    let run = app.run.as_ref().unwrap();
    let ack = Ack { run_id: run.id(), seq: run.state.seq + 1, status: InterventionStatus::Applied, duplicate: false };
    let now = app.now;
    let effects = app.update(Event::Answered { command: command.clone(), result: result.map(|()| ack) }, now);
    screen(app);
    effects
}

fn batch(app: &mut App, sim: &Sim) -> Vec<Effect> {
    let event = Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events.clone()).into() };
    let effects = app.update(event, sim.now);
    screen(app);
    effects
}

fn request(effects: &[Effect]) -> &Request {
    match effects {
        [Effect::Send { request, .. }] => request,
        other => panic!("one request: {other:?}"),
    }
}

#[test]
fn what_is_sent_is_the_difference_and_only_after_the_question() {
    let mut app = editing("ship");
    fill(&mut app, "timeout", "90");
    fill(&mut app, "retries", "2");
    fill(&mut app, "hold", "");
    field(&mut app, "idempotent");
    press(&mut app, "Right");
    assert!(press(&mut app, "Enter").is_empty(), "it asks first");
    let text = screen(&mut app);
    assert!(text.contains("Change ship?") && text.contains("the plan becomes version 2"), "{text}");
    assert!(text.contains("hold \"second pair of eyes\" → none"), "{text}");
    let effects = press(&mut app, "s l o w Enter");
    let patch = json!({"hold": null, "timeout_seconds": 90, "max_retries": 2, "idempotent": true});
    assert_eq!(sent(&effects), (&modify("ship", patch.clone()), None, Some("slow")));
    assert_eq!(request(&effects).expected_plan_version, Some(1), "what somebody changes meanwhile is not overwritten");
    assert!(form(&app).sent.is_some(), "the form waits for the answer");
    assert!(press(&mut app, "Enter").is_empty(), "sent once");
    answered(&mut app, &modify("ship", patch), Ok(()));
    assert!(app.layers.is_empty() && app.drafts.is_empty());
    assert_eq!(said(&app), "ship is changed");
}

#[test]
fn nothing_changed_is_not_sent_and_not_kept() {
    let mut app = editing("ship");
    assert!(press(&mut app, "Enter").is_empty());
    assert_eq!(form(&app).notice.as_deref(), Some("nothing is changed"));
    press(&mut app, "Esc");
    assert!(app.layers.is_empty() && app.drafts.is_empty());
}

#[test]
fn a_step_that_can_no_longer_be_changed_says_so_at_once() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "verify");
    assert!(press(&mut app, "e").is_empty() && app.layers.is_empty());
    assert_eq!(
        said(&app),
        "edit: `verify` is running; it can no longer be changed; wait until it has ended, or skip it"
    );
}

#[test]
fn a_mistake_is_shown_at_its_field_and_is_not_sent() {
    let mut app = editing("notify");
    fill(&mut app, "timeout", "soon");
    let text = screen(&mut app);
    let line = text.lines().position(|line| line.contains("timeout") && line.contains("soon")).expect("the field");
    assert!(text.lines().nth(line + 1).unwrap().contains("this is not a number"), "{text}");
    field(&mut app, "priority");
    assert!(press(&mut app, "Enter").is_empty());
    assert_eq!(form(&app).fields[form(&app).selected].label, "timeout", "it goes to the mistake");
    fill(&mut app, "timeout", "-5");
    let text = screen(&mut app);
    let line = text.lines().position(|line| line.contains("timeout") && line.contains("-5")).expect("the field");
    assert!(text.lines().nth(line + 1).unwrap().contains('↑'), "{text}");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.len() == 1);
}

#[test]
fn json_that_is_broken_stays_where_it_is_with_the_mistake_under_its_line() {
    let mut app = editing("notify");
    press(&mut app, "F2");
    assert_eq!(form(&app).page, Page::Json);
    press(&mut app, "End");
    press(&mut app, "Down End");
    typed(&mut app, "\n\"max_retires\": 3,");
    let text = screen(&mut app);
    assert!(text.contains("3  \"max_retires\": 3,"), "{text}");
    let line = text.lines().position(|line| line.contains("max_retires\": 3")).unwrap();
    let under: Vec<&str> = text.lines().skip(line + 1).take(2).collect();
    assert!(under[0].contains("max_retires") && under[0].contains('↑'), "{text}");
    assert!(under[1].contains("did you mean `max_retries`?"), "{text}");
    assert!(press(&mut app, "Ctrl-d").is_empty() && app.layers.len() == 1, "not sent");
    // Fields cannot show what cannot be read; nothing is lost by asking for them.
    press(&mut app, "End");
    typed(&mut app, "{{{");
    press(&mut app, "F2");
    assert_eq!(form(&app).page, Page::Json);
    assert!(form(&app).text().contains("max_retires") && form(&app).text().contains("{{{"));
    assert!(form(&app).notice.as_deref().unwrap().contains("mend it first"));
}

#[test]
fn both_pages_are_about_the_same_text() {
    let mut app = editing("notify");
    fill(&mut app, "timeout", "30");
    press(&mut app, "F2");
    assert!(form(&app).text().contains("\"timeout_seconds\": 30"));
    press(&mut app, "Down End");
    typed(&mut app, "\n  \"parameters\": {\"rows\": 5, \"table\": \"orders\"},");
    press(&mut app, "F2");
    fill(&mut app, "parameters.rows", "7");
    fill(&mut app, "parameters.table", "items");
    press(&mut app, "Enter");
    let effects = press(&mut app, "Enter");
    let patch = json!({"timeout_seconds": 30, "parameters": {"rows": 7, "table": "items"}});
    assert_eq!(sent(&effects).0, &modify("notify", patch));
}

#[test]
fn a_step_that_starts_while_it_is_edited_keeps_what_was_typed() {
    let sim = held();
    let mut app = open(&sim, SIZE);
    select(&mut app, "prune");
    press(&mut app, "e");
    fill(&mut app, "command", "./prune --keep 9");
    let started = sim.ask(Command::Release { step: "ship".into() }).wait(1).done("ship").wait(1);
    batch(&mut app, &started);
    let text = screen(&mut app);
    assert!(text.contains("`prune` is running; it can no longer be changed"), "{text}");
    assert!(text.contains("what you typed is kept") && text.contains("./prune --keep 9"), "{text}");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.len() == 1);
    // The engine's own refusal, when it knew first.
    press(&mut app, "Esc");
    assert_eq!(said(&app), "what you typed for prune is kept: it is in a file when the console ends");
    assert_eq!(app.drafts.len(), 1);
    // While it can be changed, its key is said.
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune --keep 9");
    press(&mut app, "Esc");
    assert_eq!(said(&app), "what you typed is kept: e opens it again");
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune --keep 9");
    batch(&mut app, &running().ask(Command::Remove { step: "prune".into() }));
    press(&mut app, "Esc");
    assert_eq!(said(&app), "what you typed for prune is kept: it is in a file when the console ends");
}

#[test]
fn a_refusal_leaves_the_form_open_with_its_text_and_reason() {
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune --keep 9");
    press(&mut app, "Enter");
    let command = sent(&press(&mut app, "w h y Enter")).0.clone();
    let refusal = Rejection::new(RejectionCode::NotNow, "`prune` is running; it can no longer be changed");
    answered(&mut app, &command, Err(refusal));
    let text = screen(&mut app);
    assert!(text.contains("refused: `prune` is running") && text.contains("./prune --keep 9"), "{text}");
    press(&mut app, "Enter");
    assert!(screen(&mut app).contains("Reason  why"));
}

#[test]
fn a_change_by_somebody_else_is_shown_and_can_be_taken_in() {
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune --keep 9");
    let sim = running().ask(modify("prune", json!({"timeout_seconds": 77})));
    batch(&mut app, &sim);
    let text = screen(&mut app);
    assert!(text.contains("ann has changed this step meanwhile (timeout_seconds)"), "{text}");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.len() == 1, "it would be lost");
    press(&mut app, "Ctrl-r");
    assert!(form(&app).standing.is_none());
    let text = screen(&mut app);
    assert!(text.contains("./prune --keep 9") && text.contains("77"), "{text}");
    press(&mut app, "Enter");
    let effects = press(&mut app, "Enter");
    assert_eq!(sent(&effects).0, &modify("prune", json!({"run": "./prune --keep 9"})));
    assert_eq!(request(&effects).expected_plan_version, Some(2));
}

#[test]
fn a_change_by_somebody_else_while_the_question_is_open_is_not_overwritten() {
    let mut app = editing("prune");
    fill(&mut app, "timeout", "5");
    press(&mut app, "Enter");
    let sim = running().ask(modify("prune", json!({"timeout_seconds": 77})));
    batch(&mut app, &sim);
    assert!(press(&mut app, "Enter").is_empty(), "the answer was to another step");
    let text = screen(&mut app);
    assert!(text.contains("not sent") && text.contains("meanwhile (timeout_seconds)"), "{text}");
    assert!(form(&app).sent.is_none());
}

#[test]
fn every_size_has_room_for_what_is_needed() {
    let mut plan = backup();
    let parameters = json!({"a_name_that_is_long_enough": 1}).as_object().unwrap().clone().into();
    plan.steps[7] = Arc::new(Step { parameters, ..step("prune") });
    let sim = Sim::new(plan);
    for size in [(60, 16), (61, 17), (80, 24), (250, 70)] {
        let mut app = open(&sim, size);
        select(&mut app, "prune");
        press(&mut app, "e");
        fill(&mut app, "priority", "x");
        let text = screen(&mut app);
        assert!(text.contains("priority") && text.contains("this is not a number") && text.contains("Enter"), "{text}");
        press(&mut app, "F2");
        assert!(screen(&mut app).contains("Ctrl-d review"));
        press(&mut app, "F2");
        fill(&mut app, "priority", "4");
        field(&mut app, "parameters.a_name_that_is_long_enough");
        assert!(screen(&mut app).contains("long_enough"), "the end of a name is what tells it from others");
        press(&mut app, "Enter");
        let text = screen(&mut app);
        assert!(text.contains("Enter or y change it") && text.contains("Reason"), "{text}");
    }
}

#[test]
fn a_change_of_another_step_does_not_stop_the_edit() {
    let mut app = editing("prune");
    fill(&mut app, "timeout", "5");
    press(&mut app, "Enter");
    let effects = press(&mut app, "Enter");
    let command = sent(&effects).0.clone();
    // Somebody was quicker with another step: the engine refuses what was made for the older plan.
    let stale = || Rejection::new(RejectionCode::Stale, "the plan is at version 2, not 1");
    assert!(answered(&mut app, &command, Err(stale())).is_empty(), "not before the screen has got there");
    let sim = running().ask(modify("notify", json!({"timeout_seconds": 77})));
    let again = batch(&mut app, &sim);
    assert_eq!((sent(&again).0, request(&again).expected_plan_version), (&command, Some(2)));
    // The same when it was this step: it is not sent again.
    assert!(answered(&mut app, &command, Err(stale())).is_empty());
    let sim = sim.ask(modify("prune", json!({"timeout_seconds": 78})));
    assert!(batch(&mut app, &sim).is_empty());
    let text = screen(&mut app);
    assert!(text.contains("not sent") && text.contains("meanwhile (timeout_seconds)"), "{text}");
}

#[test]
fn what_was_typed_comes_back_with_the_same_key_until_it_is_thrown_away() {
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune --keep 9");
    press(&mut app, "Esc");
    select(&mut app, "notify");
    press(&mut app, "e");
    assert!(!screen(&mut app).contains("--keep 9"), "another step has another form");
    press(&mut app, "Esc");
    select(&mut app, "prune");
    press(&mut app, "e");
    assert!(screen(&mut app).contains("./prune --keep 9") && app.drafts.is_empty());
    press(&mut app, "F8");
    assert!(screen(&mut app).contains("--keep 9"), "once is not enough");
    press(&mut app, "F8");
    assert!(!screen(&mut app).contains("--keep 9"));
    press(&mut app, "Esc");
    assert!(app.drafts.is_empty());
}

#[test]
fn an_instance_of_a_foreach_step_is_changed_like_any_step() {
    let sim = screens::foreach();
    // One that has failed, and one that has not had its turn.
    for id in ["checksum.12", "checksum.30"] {
        let mut app = open(&sim, SIZE);
        select(&mut app, "checksum");
        press(&mut app, "Enter");
        select(&mut app, id);
        press(&mut app, "e");
        assert_eq!(form(&app).own(), Some(id));
        let text = screen(&mut app);
        assert!(
            text.contains("nothing changed yet") && !text.contains("parallel"),
            "it has no place of its own: {text}"
        );
        fill(&mut app, "command", "md5sum {{ item }}");
        assert_eq!(form(&app).mistakes, [], "{id}");
        press(&mut app, "Enter");
        let text = screen(&mut app);
        assert!(text.contains(&format!("Change {id}?")) && text.contains("the plan becomes version 2"), "{text}");
        let effects = press(&mut app, "Enter");
        assert_eq!(sent(&effects).0, &modify(id, json!({"run": "md5sum {{ item }}"})));
        assert_eq!(sim.clone().ask(sent(&effects).0.clone()).state.plan_version, 2, "the engine takes it");
    }
}

#[test]
fn a_null_that_cannot_be_sent_is_said() {
    let mut app = editing("prune");
    press(&mut app, "F2 End");
    typed(&mut app, "\"parameters\": {\"keep\": null}, ");
    assert_eq!(form(&app).mistakes.len(), 1, "{:?}", form(&app).mistakes);
    assert!(screen(&mut app).contains("a null in what is put in cannot be sent"));
}

#[test]
fn a_step_is_added_where_it_was_said() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "ship");
    press(&mut app, "a");
    assert_eq!(form(&app).place(), Some(Where::After));
    fill(&mut app, "step_id", "checksum");
    fill(&mut app, "command", "sha256sum dump.sql");
    field(&mut app, "put it");
    press(&mut app, "Right");
    press(&mut app, "Enter");
    let text = screen(&mut app);
    assert!(text.contains("Add checksum?") && text.contains("It is put before ship."), "{text}");
    let effects = press(&mut app, "Enter");
    let step = json!({"step_id": "checksum", "run": "sha256sum dump.sql"});
    let command = Command::Add { step, place: Place::Before("ship".into()), rewire: false };
    assert_eq!(sent(&effects).0, &command);
    assert_eq!(request(&effects).expected_plan_version, None);
    answered(&mut app, &command, Ok(()));
    assert!(app.layers.is_empty());
    let sim = running().ask(command);
    batch(&mut app, &sim);
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("checksum"), "the selection goes to it");
}

/// A run of a plan whose steps may run twice, are tried again and have a limit, unless they say something else.
fn with_defaults() -> Sim {
    let mut plan = backup();
    let defaults = json!({
        "idempotent": true,
        "timeout_seconds": 300.0,
        "max_retries": 2,
        "retry": {"delay_seconds": 5, "backoff_factor": 3},
        "hold": "ask first",
        "priority": 4
    });
    plan.defaults = defaults.as_object().unwrap().clone();
    Sim::new(plan).ask(Command::Start)
}

/// A form for a new step after `ship`, with an id and a command.
fn adding(sim: &Sim) -> App {
    let mut app = open(sim, SIZE);
    select(&mut app, "ship");
    press(&mut app, "a");
    fill(&mut app, "step_id", "again");
    fill(&mut app, "command", "./again");
    app
}

fn shown_in(app: &App, label: &str) -> String {
    form(app).fields.iter().find(|one| one.label == label).unwrap().text()
}

/// Sends what is in the form, and gives the step as the engine adds it.
fn added(app: &mut App, sim: &Sim) -> Step {
    press(app, "Ctrl-d");
    let effects = press(app, "Enter");
    let sim = sim.clone().ask(sent(&effects).0.clone());
    sim.state.step("again").expect("the step is added").0.as_ref().clone()
}

#[test]
fn a_new_step_shows_what_the_plans_defaults_give_it_and_gets_just_that() {
    let sim = with_defaults();
    let mut app = adding(&sim);
    for (label, value) in [
        ("idempotent", "yes"),
        ("timeout", "300"),
        ("retries", "2"),
        ("retry after", "5"),
        ("hold", "ask first"),
        ("priority", "4"),
    ] {
        assert_eq!(shown_in(&app, label), value, "{label}");
        let text = screen(&mut app);
        let row = text.lines().find(|row| row.contains(&format!(" {label} "))).expect("its row");
        assert!(row.contains("the plan's default"), "{row}");
    }
    press(&mut app, "F2");
    let text = screen(&mut app);
    assert!(text.contains("The plan's defaults give it idempotent true, timeout_seconds 300,"), "{text}");
    press(&mut app, "F2 Ctrl-d");
    let text = screen(&mut app);
    assert!(text.contains("The plan's defaults give it idempotent true, timeout_seconds 300"), "{text}");
    press(&mut app, "Esc");
    let step = added(&mut app, &sim);
    assert_eq!((step.idempotent, step.timeout_seconds, step.max_retries), (true, Some(300.0), Some(2)));
}

#[test]
fn what_a_new_step_says_against_the_plans_defaults_holds() {
    let sim = with_defaults();
    let mut app = adding(&sim);
    field(&mut app, "idempotent");
    press(&mut app, "Left");
    assert_eq!(shown_in(&app, "idempotent"), "no");
    for label in ["timeout", "retries", "hold", "priority"] {
        fill(&mut app, label, "");
    }
    fill(&mut app, "retry after", "9");
    let text = screen(&mut app);
    let row = |label: &str| text.lines().find(|row| row.contains(&format!(" {label} "))).unwrap().to_owned();
    assert!(row("idempotent").contains("the plan says yes"), "{text}");
    assert!(row("timeout").contains("(no limit)") && row("timeout").contains("the plan says 300"), "{text}");
    // The other page says the same, and so does the way back.
    press(&mut app, "F2");
    assert!(form(&app).text().contains("\"idempotent\": null"), "{}", form(&app).text());
    press(&mut app, "F2");
    assert_eq!((shown_in(&app, "idempotent"), shown_in(&app, "timeout")), ("no".to_owned(), String::new()));
    assert_eq!(form(&app).mistakes, []);
    let step = added(&mut app, &sim);
    assert_eq!((step.idempotent, step.timeout_seconds, step.max_retries), (false, None, None));
    assert_eq!((step.hold, step.priority), (None, None));
    let retry = step.retry.expect("it differs in one part of it");
    assert_eq!((retry.delay_seconds, retry.backoff_factor), (Some(9.0), Some(3.0)), "the rest is as the plan says");
}

#[test]
fn who_does_the_work_of_a_new_step_is_said_by_it_or_by_the_plan_and_once() {
    let mut plan = backup();
    plan.defaults = json!({"agent_type": "registry"}).as_object().unwrap().clone();
    let sim = Sim::new(plan).ask(Command::Start);
    // A command takes the place of the default agent, also where it is seen.
    let mut app = adding(&sim);
    assert_eq!((shown_in(&app, "agent"), form(&app).mistakes.len()), (String::new(), 0));
    let step = added(&mut app, &sim);
    assert_eq!((step.run.as_deref(), step.agent_type.as_deref()), (Some("./again"), None));
    // And without one the agent does it.
    let mut app = adding(&sim);
    fill(&mut app, "command", "");
    assert_eq!((shown_in(&app, "agent"), form(&app).mistakes.len()), ("registry".to_owned(), 0));
    let step = added(&mut app, &sim);
    assert_eq!((step.run.as_deref(), step.agent_type.as_deref()), (None, Some("registry")));
    // An agent that is named where a command would stand.
    let sim = running();
    let mut app = adding(&sim);
    fill(&mut app, "command", "");
    fill(&mut app, "agent", "shipper");
    assert_eq!(form(&app).mistakes, []);
    assert_eq!(added(&mut app, &sim).agent_type.as_deref(), Some("shipper"));
}

#[test]
fn a_new_step_does_nothing_until_it_says_what_and_is_told_so_when_it_is_sent() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "ship");
    press(&mut app, "a");
    assert_eq!((shown_in(&app, "command"), shown_in(&app, "timeout")), (String::new(), String::new()));
    let text = screen(&mut app);
    assert!(text.contains("not complete yet") && text.contains("a shell command, or an agent below"), "{text}");
    assert!(!text.contains("mistake") && !text.contains('↑'), "nobody has sent it yet: {text}");
    press(&mut app, "F2");
    assert!(form(&app).text().contains("\"run\": \"\"") && !screen(&mut app).contains('↑'));
    press(&mut app, "F2");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.len() == 1, "it is not sent");
    assert_eq!(form(&app).fields[form(&app).selected].label, "command", "it goes to what is missing");
    let text = screen(&mut app);
    assert!(text.contains("1 mistake") && text.contains("what is to be done is missing"), "{text}");
    typed(&mut app, "./check");
    assert!(screen(&mut app).contains("no mistakes"));
    // Closed as it was opened there is nothing to keep.
    let mut app = open(&running(), SIZE);
    press(&mut app, "a Esc");
    assert!(app.drafts.is_empty());
}

#[test]
fn an_id_that_is_taken_is_a_mistake_at_its_place() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "a");
    fill(&mut app, "step_id", "dump");
    let text = screen(&mut app);
    assert!(text.contains("the plan has a step `dump` already"), "{text}");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.len() == 1);
    let mut app = editing("prune");
    press(&mut app, "F2");
    typed(&mut app, " ");
    let source = form(&app).text().replace("\"prune\"", "\"prume\"");
    let now = app.now;
    app.update(Event::Edited(Ok(source)), now);
    screen(&mut app);
    assert!(form(&app).mistakes.iter().any(|one| one.message.contains("cannot change") && one.line == 2));
}

#[test]
fn an_editor_gives_its_text_back_and_a_failure_changes_nothing() {
    let mut app = editing("prune");
    fill(&mut app, "timeout", "5");
    let effects = press(&mut app, "F4");
    let [Effect::Edit { text, name }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("\"timeout_seconds\": 5") && name == "prune.json");
    let (text, now) = (text.clone(), app.now);
    app.update(Event::Edited(Err("vi ended with exit status: 1; the text is in /tmp/x".into())), now);
    screen(&mut app);
    assert!(form(&app).text().contains("\"timeout_seconds\": 5") && screen(&mut app).contains("/tmp/x"));
    app.update(Event::Edited(Ok(text.replace(": 5", ": 6") + "\n")), now);
    screen(&mut app);
    assert!(form(&app).text().contains("\"timeout_seconds\": 6"));
    app.update(Event::Edited(Ok("{".into())), now);
    screen(&mut app);
    assert_eq!(
        (form(&app).page, form(&app).text().as_str()),
        (Page::Json, "{"),
        "what cannot be read is shown as it is"
    );
}

const SCRIPT: &str = "set -e\ncd /srv/backup\n./prune --keep 7\nsync";

/// A form on a step whose command is a script.
fn editing_script(size: (u16, u16)) -> App {
    let mut plan = backup();
    plan.steps[7] = Arc::new(Step { run: Some(SCRIPT.into()), ..step("prune") });
    let mut app = open(&Sim::new(plan), size);
    select(&mut app, "prune");
    press(&mut app, "e");
    field(&mut app, "command");
    app
}

#[test]
fn a_script_is_edited_line_by_line_and_reviewed_by_what_has_changed() {
    let mut app = editing_script(SIZE);
    let text = screen(&mut app);
    let rows: Vec<&str> = text.lines().collect();
    let first = rows.iter().position(|row| row.contains("command") && row.contains("set -e")).expect("the field");
    for (row, line) in SCRIPT.lines().enumerate() {
        assert!(rows[first + row].contains(line), "{line} is not in its row:\n{text}");
    }
    assert!(text.contains("line 1 of 4") && text.contains("Enter new line"), "{text}");
    press(&mut app, "Down Down End Backspace 9 Enter l s");
    // From the first and the last line on to the fields around, and back.
    assert_eq!(form(&app).fields[form(&app).selected].label, "command");
    press(&mut app, "Down Down");
    assert_ne!(form(&app).fields[form(&app).selected].label, "command");
    press(&mut app, "Up");
    assert!(press(&mut app, "Ctrl-d").is_empty(), "it asks first");
    let text = screen(&mut app);
    assert!(text.contains("~ prune: run: 1 line removed, 2 added"), "{text}");
    for line in ["    cd /srv/backup", "  - ./prune --keep 7", "  + ./prune --keep 9", "  + ls", "    sync"] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("set -e ⏎") && !text.contains('⏎'), "nothing runs together:\n{text}");
    let effects = press(&mut app, "Enter");
    let run = "set -e\ncd /srv/backup\n./prune --keep 9\nls\nsync";
    assert_eq!(sent(&effects).0, &modify("prune", json!({"run": run})));
}

#[test]
fn a_command_of_one_line_is_sent_with_enter_and_gets_lines_when_they_are_asked_for() {
    let mut app = editing("prune");
    fill(&mut app, "command", "./prune -v");
    assert!(screen(&mut app).contains("Ctrl-n begins another line"));
    press(&mut app, "Enter");
    assert!(screen(&mut app).contains("Change prune?"), "one line is done with Enter");
    press(&mut app, "Esc");
    for key in ["Ctrl-n", "Alt-Enter"] {
        fill(&mut app, "command", "a");
        press(&mut app, &format!("{key} b Enter c"));
        assert_eq!(form(&app).fields[form(&app).selected].text(), "a\nb\nc", "{key}");
        press(&mut app, "F8 F8");
    }
    // What is pasted keeps its lines; a line that was copied with its end is one line.
    fill(&mut app, "command", "make\r\n\tmake check\r\n");
    assert_eq!(form(&app).fields[form(&app).selected].text(), "make\n\tmake check\n");
    press(&mut app, "F8 F8");
    fill(&mut app, "command", "make\n");
    assert_eq!(form(&app).fields[form(&app).selected].text(), "make");
    field(&mut app, "name");
    typed(&mut app, "one\ntwo");
    assert_eq!(form(&app).fields[form(&app).selected].text(), "");
    assert!(form(&app).notice.as_deref().unwrap().contains("this field is one line"));
}

#[test]
fn the_editor_is_opened_on_just_the_text_that_has_the_keys() {
    let mut app = editing_script(SIZE);
    let effects = press(&mut app, "F4");
    let [Effect::Edit { text, name }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((text.as_str(), name.as_str()), (SCRIPT, "prune.sh"));
    let now = app.now;
    // As an editor leaves it: the last line has an end.
    app.update(Event::Edited(Ok(format!("{}\nls\n", SCRIPT.replace("set -e", "set -eu")))), now);
    screen(&mut app);
    press(&mut app, "Ctrl-d");
    let effects = press(&mut app, "Enter");
    let run = format!("{}\nls", SCRIPT.replace("set -e", "set -eu"));
    assert_eq!(sent(&effects).0, &modify("prune", json!({"run": run})));
    // What comes back as it went has changed nothing, also with an end of its own.
    let mut plan = backup();
    plan.steps[7] = Arc::new(Step { run: Some("a\nb\n".into()), ..step("prune") });
    let mut app = open(&Sim::new(plan), SIZE);
    select(&mut app, "prune");
    press(&mut app, "e");
    field(&mut app, "command");
    press(&mut app, "F4");
    app.update(Event::Edited(Ok("a\nb\n\n".into())), now);
    assert!(!form(&app).is_changed());
    // Where no text has the keys, it is the JSON.
    field(&mut app, "priority");
    let effects = press(&mut app, "F4");
    assert!(matches!(effects.as_slice(), [Effect::Edit { name, .. }] if name == "prune.json"));
}

#[test]
fn a_script_that_is_longer_than_the_form_is_scrolled_and_hides_no_field() {
    let mut plan = backup();
    let long: Vec<String> = (1..=40).map(|line| format!("echo line {line}")).collect();
    plan.steps[7] = Arc::new(Step { run: Some(long.join("\n").into()), ..step("prune") });
    for size in [(60, 16), (80, 24), (160, 45)] {
        let mut app = open(&Sim::new(plan.clone()), size);
        select(&mut app, "prune");
        press(&mut app, "e");
        let text = screen(&mut app);
        assert!(text.contains("more lines") && text.contains("timeout"), "{text}");
        field(&mut app, "command");
        while !screen(&mut app).contains("line 40 of 40") {
            press(&mut app, "PgDn");
            assert_eq!(form(&app).fields[form(&app).selected].label, "command", "it ends at its last line");
        }
        press(&mut app, "End x");
        let text = screen(&mut app);
        assert!(text.contains("echo line 40x") && text.contains("line 40 of 40"), "{text}");
        field(&mut app, "priority");
        assert!(screen(&mut app).contains("higher goes first"), "{}", screen(&mut app));
    }
}

#[test]
fn what_others_wrote_is_harmless_on_both_pages_and_not_lost() {
    let sim = Sim::new(hostile());
    for id in ["clear", "turn", "wide", "lines"] {
        let mut app = open(&sim, SIZE);
        select(&mut app, id);
        press(&mut app, "e");
        for page in ["fields", "JSON"] {
            let text = screen(&mut app);
            let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(bad, None, "{id} on the page of {page}: {text}");
            press(&mut app, "F2");
        }
        fill(&mut app, "timeout", "5");
        press(&mut app, "Enter");
        assert_eq!(
            sent(&press(&mut app, "Enter")).0,
            &modify(id, json!({"timeout_seconds": 5})),
            "the name is as it was"
        );
    }
}

#[test]
fn in_a_graph_the_form_has_dependencies_and_may_rewire() {
    let mut steps = backup().steps;
    for place in 1..steps.len() {
        let before = steps[place - 1].step_id.clone();
        steps[place] =
            Arc::new(Step { depends_on: Some(vec![before]), parallel_group: None, ..steps[place].as_ref().clone() });
    }
    let sim = Sim::new(Plan { steps, ..backup() });
    let mut app = open(&sim, SIZE);
    select(&mut app, "ship");
    press(&mut app, "e");
    fill(&mut app, "depends on", "report, stats");
    press(&mut app, "Enter");
    assert_eq!(sent(&press(&mut app, "Enter")).0, &modify("ship", json!({"depends_on": ["report", "stats"]})));
    let mut app = open(&sim, SIZE);
    select(&mut app, "ship");
    press(&mut app, "a");
    fill(&mut app, "command", "./again");
    field(&mut app, "rewire");
    press(&mut app, "Right Enter");
    let Command::Add { place, rewire, .. } = sent(&press(&mut app, "Enter")).0.clone() else { panic!() };
    assert_eq!((place, rewire), (Place::After("ship".into()), true));
}

#[test]
fn screens() {
    shown("form_fields", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "ship");
        press(&mut app, "e");
        fill(&mut app, "timeout", "90");
        fill(&mut app, "retries", "many");
        app
    });
    shown("form_json", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "ship");
        press(&mut app, "e F2 Down Down End");
        typed(&mut app, "\n  \"max_retires\": 3,\n  \"timeout_seconds\": \"soon\",");
        app
    });
    shown("form_question", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "ship");
        press(&mut app, "e");
        fill(&mut app, "timeout", "90");
        press(&mut app, "Enter");
        app
    });
    shown("form_text", |size| {
        let mut app = editing_script(size);
        press(&mut app, "Down Down End Backspace 9 Enter l s");
        app
    });
    shown("form_text_question", |size| {
        let mut app = editing_script(size);
        press(&mut app, "Down Down End Backspace 9 Enter l s Ctrl-d");
        app
    });
    shown("form_add", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "ship");
        press(&mut app, "a");
        app
    });
    shown("form_add_incomplete", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "ship");
        press(&mut app, "a Enter");
        app
    });
    shown("form_add_defaults", |size| {
        let mut app = open(&with_defaults(), size);
        select(&mut app, "ship");
        press(&mut app, "a");
        fill(&mut app, "command", "./again");
        fill(&mut app, "timeout", "");
        field(&mut app, "idempotent");
        press(&mut app, "Left");
        app
    });
    shown("form_add_defaults_json", |size| {
        let mut app = open(&with_defaults(), size);
        select(&mut app, "ship");
        press(&mut app, "a");
        fill(&mut app, "command", "./again");
        press(&mut app, "F2");
        app
    });
    shown("form_add_defaults_question", |size| {
        let mut app = open(&with_defaults(), size);
        select(&mut app, "ship");
        press(&mut app, "a");
        fill(&mut app, "command", "./again");
        press(&mut app, "Ctrl-d");
        app
    });
    shown("form_overtaken", |size| {
        let mut app = open(&running(), size);
        select(&mut app, "prune");
        press(&mut app, "e");
        fill(&mut app, "command", "./prune --keep 9");
        let sim = running().ask(modify("prune", json!({"timeout_seconds": 77})));
        batch(&mut app, &sim);
        app
    });
}

#[test]
fn what_stands_in_a_new_step_as_an_example_gives_way_to_what_is_typed() {
    let mut app = open(&running(), SIZE);
    select(&mut app, "ship");
    press(&mut app, "a u p Down Up l");
    let text = |app: &App, label: &str| form(app).fields.iter().find(|one| one.label == label).unwrap().text();
    assert_eq!(text(&app, "step_id"), "upl");
    field(&mut app, "command");
    typed(&mut app, "./upload");
    assert_eq!(text(&app, "command"), "./upload");
    typed(&mut app, " --all");
    assert_eq!(text(&app, "command"), "./upload --all");
    press(&mut app, "Esc");
    // Whoever goes into the example means to change it.
    let mut app = open(&running(), SIZE);
    select(&mut app, "ship");
    press(&mut app, "a End 2");
    assert_eq!(text(&app, "step_id"), "new-step2");
}

#[test]
fn taking_a_hold_point_off_and_a_reason_are_told_apart() {
    // However it is said that there is to be none.
    for no in ["", "none", "No", "FALSE", " none "] {
        let mut app = editing("ship");
        fill(&mut app, "hold", no);
        press(&mut app, "Enter");
        let text = screen(&mut app);
        assert!(text.contains("hold \"second pair of eyes\" → none"), "{no}: {text}");
        assert_eq!(sent(&press(&mut app, "Enter")).0, &modify("ship", json!({"hold": null})), "{no}");
    }
    for yes in ["yes", "True"] {
        let mut app = editing("ship");
        fill(&mut app, "hold", yes);
        press(&mut app, "Enter");
        assert_eq!(sent(&press(&mut app, "Enter")).0, &modify("ship", json!({"hold": true})), "{yes}");
    }
    // A reason may begin with any of these words, and is told as a text.
    let mut app = editing("ship");
    fill(&mut app, "hold", "none of us is sure");
    press(&mut app, "Enter");
    assert!(screen(&mut app).contains("→ \"none of us is sure\""), "{}", screen(&mut app));
}

#[test]
fn a_large_whole_number_is_told_to_its_last_digit() {
    let mut plan = backup();
    let parameters = json!({"id": 9_007_199_254_740_992_u64, "share": 1.0}).as_object().unwrap().clone();
    plan.steps[7] = Arc::new(Step { parameters: parameters.into(), timeout_seconds: Some(60.0), ..step("prune") });
    let sim = Sim::new(plan);
    let mut app = open(&sim, (160, 45));
    select(&mut app, "prune");
    press(&mut app, "e");
    fill(&mut app, "parameters.id", "9007199254740993");
    fill(&mut app, "timeout", "90");
    press(&mut app, "Enter");
    let text = screen(&mut app);
    assert!(text.contains("timeout_seconds 60 → 90"), "{text}");
    let told = ["parameters.id 9007199254740992", "→ 9007199254740993"];
    assert!(told.iter().all(|told| text.contains(told)), "{text}");
    let effects = press(&mut app, "Enter");
    let command = sent(&effects).0.clone();
    answered(&mut app, &command, Ok(()));
    batch(&mut app, &sim.clone().ask(command));
    // Where it is read later: what it is, and what it was.
    press(&mut app, "] ]");
    let text = screen(&mut app);
    assert!(text.contains("9007199254740993") && text.contains("id was 9007199254740992"), "{text}");
}

#[test]
fn a_hold_point_that_was_set_live_is_not_called_none() {
    let sim = running().because(Command::Hold { step: "prune".into() }, "ask the owner");
    let mut app = open(&sim, SIZE);
    select(&mut app, "prune");
    press(&mut app, "e");
    let text = screen(&mut app);
    assert!(text.contains("(set live: ask the owner)"), "{text}");
    let mut app = open(&sim, SIZE);
    select(&mut app, "notify");
    press(&mut app, "e");
    let text = screen(&mut app);
    assert!(!text.contains("set live"), "{text}");
}
