//! What a step asks, and how an operator answers it.

use super::screens::shown;
use super::*;
use crate::console::answering::{AnswerForm, Focus};
use crate::console::popups::Popup;
use crate::plan::Fields;
use crate::run::{Answer, Question, Rejection, RejectionCode};

const SIZE: (u16, u16) = (100, 30);

const INSTRUCTIONS: &str = "# Before you sign\n\nLook at the report of **verify**, and at the machine itself.\n\n\
    1. Is `df` below 80 %?\n2. Is anybody logged in who should not be? Ask in the channel when you are not sure, \
    and wait for the answer before you go on.\n\nSee [the handbook](https://ops.example/handbook).";

fn fields() -> Fields {
    serde_json::from_value(json!({
        "ticket": {"required": true, "description": "under which the change is filed"},
        "state": {"enum": ["quiet", "busy"], "default": "quiet", "description": "how the machine looks"},
        "users": {"type": "integer", "minimum": 0, "title": "logged in"}
    }))
    .unwrap()
}

fn question() -> Question {
    Question {
        title: "Sign the change off".into(),
        message: Some(INSTRUCTIONS.into()),
        fields: fields(),
        is_task: true,
        remind_seconds: Some(60.0),
    }
}

fn change() -> Plan {
    let person = json!({"kind": "manual", "instructions": INSTRUCTIONS});
    let mut plan = plan(
        "change",
        "A change with a person in it",
        vec![
            step("verify"),
            Step {
                run: None,
                agent_type: Some("person".into()),
                name: Some("Sign the change off".into()),
                ..step("sign")
            },
            Step {
                run: None,
                agent_type: Some("wait".into()),
                parameters: json!({"seconds": 90}).as_object().unwrap().clone().into(),
                ..step("settle")
            },
            step("ship"),
        ],
    );
    plan.agents.insert("person".into(), serde_json::from_value(person).unwrap());
    plan
}

impl Sim {
    fn asked(mut self, step: &str, question: Question) -> Self {
        let attempt = self.state.step(step).unwrap().1.attempt().unwrap();
        let (number, question) = (attempt.questions.len() as u32 + 1, Arc::new(question));
        let attempt = attempt.number;
        self.input(&Input::Asked { step: step.into(), attempt, number, question });
        self
    }
}

/// The run waits for the signature.
fn asking() -> Sim {
    Sim::new(change()).ask(Command::Start).wait(30).done("verify").asked("sign", question()).wait(20)
}

fn waiting() -> Sim {
    let values = json!({"ticket": "OPS-1"}).as_object().unwrap().clone();
    let answer = Command::Answer { step: "sign".into(), question: None, answer: Answer::Accepted(values) };
    let result = AgentResult { data: Some(json!({"ticket": "OPS-1"})), ..AgentResult::default() };
    let done = Outcome { result: Some(Box::new(result)), ..Outcome::default() };
    asking().because(answer, "all quiet").end("sign", done).wait(24)
}

fn form(app: &App) -> &AnswerForm {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Answer(form)) => form,
        other => panic!("the form is open: {other:?}"),
    }
}

fn typed(app: &mut App, text: &str) {
    let now = app.now;
    app.update(Event::Paste(text.into()), now);
    screen(app);
}

fn opened(size: (u16, u16)) -> App {
    let mut app = open(&asking(), size);
    press(&mut app, "o");
    app
}

#[test]
fn a_run_that_asks_says_so_and_which_key_answers() {
    shown("asks", |size| open(&asking(), size));
    shown("answer_form", opened);
    shown("answer_form_mistakes", |size| {
        let mut app = opened(size);
        press(&mut app, "Tab Tab");
        typed(&mut app, "many");
        press(&mut app, "Enter");
        app
    });
    shown("answer_form_lines", |size| {
        let mut app = opened(size);
        typed(&mut app, "OPS-1\nOPS-2\nOPS-3");
        press(&mut app, "Up Up Up");
        typed(&mut app, "all\nquiet");
        app
    });
    shown("answered", |size| {
        let mut app = open(&waiting(), size);
        press(&mut app, "k");
        app
    });
    shown("waits_for_a_time", |size| open(&waiting(), size));
    shown("why_asks", |size| {
        let mut app = open(&asking(), size);
        press(&mut app, "W");
        app
    });
    shown("runs_asking", |size| {
        let mut app = console(size);
        app.update(Event::RunsListed(Ok((vec![asking().listed()], vec![]))), asking().now);
        app.update(Event::PlansListed(vec![plan_entry(change())]), asking().now);
        app.now = asking().now;
        app
    });
}

#[test]
fn an_answer_is_sent_once_with_values_of_the_fields_types() {
    let mut app = opened(SIZE);
    assert_eq!(form(&app).focus, Focus::Field(0));
    assert!(press(&mut app, "Enter").is_empty(), "the ticket is missing");
    assert_eq!((form(&app).fields.mistakes(), form(&app).focus), (1, Focus::Field(0)));
    typed(&mut app, "OPS-1");
    press(&mut app, "Tab Space Tab");
    typed(&mut app, "2");
    press(&mut app, "Tab");
    typed(&mut app, "all quiet");
    let effects = press(&mut app, "Enter");
    let (command, _, reason) = sent(&effects);
    let values = json!({"ticket": "OPS-1", "state": "busy", "users": 2}).as_object().unwrap().clone();
    let expected = Command::Answer { step: "sign".into(), question: Some(1), answer: Answer::Accepted(values) };
    assert_eq!((command, reason), (&expected, Some("all quiet")));
    assert!(press(&mut app, "Enter").is_empty(), "sent once");
    let now = app.now;
    let refused = Rejection::new(RejectionCode::NotNow, "the run is being cancelled");
    app.update(Event::Answered { command: expected.clone(), result: Err(refused) }, now);
    assert_eq!(form(&app).notice.as_deref(), Some("the run is being cancelled"));
    press(&mut app, "Enter");
    let ack = crate::engine::Ack {
        run_id: asking().state.run_id,
        seq: 9,
        status: crate::run::InterventionStatus::Applied,
        duplicate: false,
    };
    app.update(Event::Answered { command: expected, result: Ok(ack) }, now);
    assert!(app.layers.is_empty());
    assert_eq!(said(&app), "sign has its answer");
}

#[test]
fn an_answer_is_given_as_it_was_pasted_or_not_taken_at_all() {
    let mut app = opened(SIZE);
    // A letter and its mark, as keys of their own.
    press(&mut app, "e \u{301}");
    typed(&mut app, " one\r\n\ttwo");
    let text = screen(&mut app);
    assert!(text.contains("2 lines") && text.contains("e\u{301} one⏎ two"), "{text}");
    press(&mut app, "Tab Tab");
    typed(&mut app, "1\n2");
    assert_eq!(form(&app).notice.as_deref(), Some("this field is one line: nothing was pasted"));
    press(&mut app, "Tab");
    typed(&mut app, "all\nquiet");
    assert_eq!(form(&app).notice.as_deref(), Some("this field is one line: nothing was pasted"));
    let effects = press(&mut app, "Enter");
    let Command::Answer { answer: Answer::Accepted(values), .. } = sent(&effects).0 else { panic!("{effects:?}") };
    assert_eq!(values["ticket"], "e\u{301} one\n\ttwo");
}

#[test]
fn the_other_answer_needs_no_field_and_takes_the_notes() {
    let mut app = opened(SIZE);
    press(&mut app, "Up Up Up");
    assert_eq!(form(&app).focus, Focus::Notes);
    typed(&mut app, "the disk is full");
    press(&mut app, "Tab Right");
    assert_eq!(form(&app).focus, Focus::No);
    // What lets a step fail is done by y alone.
    for key in ["Enter", "Ctrl-d"] {
        assert!(press(&mut app, key).is_empty() && form(&app).sent.is_none(), "{key}");
        let text = screen(&mut app);
        assert!(text.contains("sign fails with this answer: y says so") && text.contains("y failed"), "{text}");
    }
    let effects = press(&mut app, "y");
    let (command, _, reason) = sent(&effects);
    assert_eq!(command, &Command::Answer { step: "sign".into(), question: Some(1), answer: Answer::Declined });
    assert_eq!(reason, Some("the disk is full"));
}

#[test]
fn what_was_typed_is_kept_while_the_question_is_open() {
    let mut app = opened(SIZE);
    typed(&mut app, "OPS-1");
    press(&mut app, "Esc");
    assert_eq!(said(&app), "sign still waits for an answer; what you typed is kept");
    press(&mut app, "o");
    assert_eq!(form(&app).fields[0].input.text(), "OPS-1");
    // Somebody else is quicker.
    let values = json!({"ticket": "OPS-2"}).as_object().unwrap().clone();
    let mut sim = asking();
    let seen = sim.events.len();
    let answer = Command::Answer { step: "sign".into(), question: None, answer: Answer::Accepted(values) };
    let request = sim.request(answer, "bob");
    sim.input(&Input::Request(request));
    let events = Arc::new(sim.events[seen..].to_vec());
    app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now);
    let text = screen(&mut app);
    assert!(text.contains("bob has answered it"), "{text}");
    assert!(press(&mut app, "Enter").is_empty() && app.layers.is_empty());
    assert_eq!(said(&app), "bob has answered it");
}

/// Two steps side by side that ask, each something of its own.
fn asking_twice() -> Sim {
    let mut plan = change();
    let signs = |id: &str| Step {
        parallel_group: Some("signatures".into()),
        step_id: id.into(),
        ..plan.steps[1].as_ref().clone()
    };
    let both = [Arc::new(signs("sign")), Arc::new(signs("countersign"))];
    plan.steps.splice(1..2, both);
    let other = Question { title: "Countersign".into(), ..question() };
    Sim::new(plan)
        .ask(Command::Start)
        .wait(30)
        .done("verify")
        .asked("sign", question())
        .asked("countersign", other)
        .wait(20)
}

fn answer(app: &mut App, step: &str) {
    let position = app.run.as_ref().unwrap().state.position(step).unwrap();
    app.run.as_mut().unwrap().select(position);
    screen(app);
    press(app, "o");
    assert_eq!(form(app).step, step);
}

#[test]
fn each_question_keeps_what_was_typed_for_it_until_it_is_gone() {
    let sim = asking_twice();
    let mut app = open(&sim, SIZE);
    answer(&mut app, "sign");
    typed(&mut app, "OPS-1");
    press(&mut app, "Esc");
    answer(&mut app, "countersign");
    assert_eq!(form(&app).fields[0].input.text(), "", "another question has another answer");
    press(&mut app, "Esc");
    assert_eq!(said(&app), "countersign still waits for an answer");
    answer(&mut app, "countersign");
    typed(&mut app, "OPS-2");
    press(&mut app, "Esc");
    answer(&mut app, "sign");
    assert_eq!(form(&app).fields[0].input.text(), "OPS-1");
    press(&mut app, "Esc");
    answer(&mut app, "countersign");
    assert_eq!(form(&app).fields[0].input.text(), "OPS-2");
    press(&mut app, "Esc");
    assert_eq!(app.answer_drafts.len(), 2);
    // One is answered by somebody else: what was typed for it is of no use any more.
    let mut later = sim.clone();
    let values = json!({"ticket": "OPS-3"}).as_object().unwrap().clone();
    let answered = Command::Answer { step: "sign".into(), question: None, answer: Answer::Accepted(values) };
    later = later.ask(answered);
    let events = Arc::new(later.events[sim.events.len()..].to_vec());
    app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, later.now);
    screen(&mut app);
    let kept: Vec<&str> = app.answer_drafts.iter().map(|draft| draft.step.as_str()).collect();
    assert_eq!(kept, ["countersign"]);
}

#[test]
fn an_answer_that_was_not_sent_is_there_when_the_console_ends() {
    let sim = asking_twice();
    let mut app = open(&sim, SIZE);
    answer(&mut app, "sign");
    press(&mut app, "Esc");
    assert!(app.unsent().is_empty(), "nothing was typed");
    answer(&mut app, "sign");
    typed(&mut app, "OPS-1");
    press(&mut app, "Esc");
    // And one that is open.
    answer(&mut app, "countersign");
    press(&mut app, "Tab Tab Tab");
    typed(&mut app, "all quiet");
    let unsent = app.unsent();
    let names: Vec<&str> = unsent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["countersign", "sign"]);
    let text: Vec<serde_json::Value> = unsent.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(text[0], json!({"step": "countersign", "question": "Countersign", "notes": "all quiet"}));
    let values = json!({"ticket": "OPS-1"});
    assert_eq!(text[1], json!({"step": "sign", "question": "Sign the change off", "values": values}));
    // What is on its way is not lost.
    let mut app = open(&sim, SIZE);
    answer(&mut app, "sign");
    typed(&mut app, "OPS-1");
    assert_eq!(press(&mut app, "Enter").len(), 1);
    assert!(app.unsent().is_empty());
}

#[test]
fn a_key_that_answers_nothing_says_so() {
    let mut app = open(&running(), SIZE);
    press(&mut app, "o");
    assert!(app.layers.is_empty() && said(&app).contains("is running, not held"), "{}", said(&app));
}

#[test]
fn people_are_called_once_and_reminded_again_after_a_time() {
    let mut app = console(SIZE);
    let before = Sim::new(change()).ask(Command::Start).wait(30).done("verify");
    app.update(update_of(&before), before.now);
    let sim = asking();
    let alerts = |effects: &[Effect]| -> Vec<String> {
        effects.iter().filter_map(|one| if let Effect::Alert(said) = one { Some(said.clone()) } else { None }).collect()
    };
    assert_eq!(alerts(&app.update(update_of(&sim), sim.now)), ["change asks you something"]);
    assert!(app.ticks(), "there is something to remind of");
    let asked = sim.state.steps[1].question().unwrap().1.time;
    let mut at = |seconds: i64| alerts(&app.update(Event::Tick, asked + TimeDelta::seconds(seconds)));
    assert!(at(59).is_empty());
    assert_eq!(at(60), ["change still waits for your answer"]);
    assert!(at(61).is_empty() && at(119).is_empty());
    assert_eq!(at(121).len(), 1, "and again");
    let done = waiting();
    app.update(update_of(&done), done.now);
    assert!(alerts(&app.update(Event::Tick, done.now + TimeDelta::seconds(900))).is_empty());
}
