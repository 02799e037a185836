//! Steps that wait for a person or for a time, in the pure core: questions and answers, slots, ends, crashes.

use std::sync::Arc;

use holdpoint::plan::{FailurePolicy, Fields};
use holdpoint::run::{
    Answer, Command, Event, Input, Outcome, OutcomeStatus, Question, RejectionCode, RunStatus, StepStatus,
};
use serde_json::{Value, json};

use crate::run_support::*;

fn person(id: &str) -> Value {
    json!({"step_id": id, "run": null, "agent_type": "manual", "action": "look at it", "parallel_group": "g"})
}

fn wait(id: &str, seconds: f64) -> Value {
    json!({"step_id": id, "run": null, "agent_type": "wait", "parameters": {"seconds": seconds}, "parallel_group": "g"})
}

fn work(id: &str) -> Value {
    json!({"step_id": id, "parallel_group": "g"})
}

fn fields() -> Fields {
    serde_json::from_value(
        json!({"ticket": {"required": true}, "rows": {"type": "integer"}, "mode": {"default": "dry"}}),
    )
    .unwrap()
}

/// What the attempt of a step asks next.
fn asks(driver: &mut Driver, step: &str) {
    let attempt = driver.state.step(step).unwrap().1.attempt().unwrap().clone();
    let question = Question { title: format!("about {step}"), fields: fields(), ..Question::default() };
    let number = attempt.questions.len() as u32 + 1;
    let question = Arc::new(question);
    driver.feed(&Input::Asked { step: step.into(), attempt: attempt.number, number, question }).unwrap();
}

fn answer(step: &str, values: Value) -> Command {
    let answer = Answer::Accepted(values.as_object().unwrap().clone());
    Command::Answer { step: step.into(), question: None, answer }
}

#[test]
fn a_run_in_which_only_a_question_is_open_waits_for_a_person() {
    let mut driver = Driver::started(json!([person("p"), work("w"), "after"]));
    asks(&mut driver, "p");
    assert_eq!(driver.run(), "running", "something else still runs");
    assert_eq!(driver.state.needs_person(), [0]);
    assert_eq!(driver.state.summary().asking, 1);
    driver.succeeds("w");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(question)", "running completed pending"));
    let said = driver.refused(Command::Resume).to_string();
    assert_eq!(said, "nothing could run; `p` asks a person: answer it, skip it, or complete it by hand");
    let batch = driver.ask(answer("p", json!({"ticket": "OPS-1"})));
    let answered = batch.iter().find_map(|one| match &one.event {
        Event::QuestionAnswered { answer: Answer::Accepted(values), .. } => Some(Value::Object(values.clone())),
        _ => None,
    });
    assert_eq!(answered, Some(json!({"ticket": "OPS-1", "mode": "dry"})), "with the default of what was left out");
    assert_eq!(driver.run(), "running", "it goes on by itself");
    driver.succeeds("p");
    assert_eq!(driver.words(), "completed completed running");
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_says_what_would() {
    let mut driver = Driver::started(json!([person("p"), "after"]));
    let refusal = driver.refused(answer("p", json!({"ticket": "x"})));
    assert_eq!(refusal.message, "`p` is running and asks nothing");
    assert!(driver.refused(answer("after", json!({}))).message.contains("`after` is pending and asks nothing"));
    asks(&mut driver, "p");
    for (values, expected) in [
        (json!({}), "the field `ticket` is missing: it must be a text"),
        (json!({"ticket": 5}), "the field `ticket` must be a text, not 5"),
        (json!({"ticket": "x", "rows": "many"}), "the field `rows` must be a whole number, not \"many\""),
        (json!({"ticket": "x", "row": 1}), "there is no field `row`: did you mean `rows`?"),
    ] {
        let refusal = driver.refused(answer("p", values));
        assert_eq!((refusal.code, refusal.to_string().as_str()), (RejectionCode::Invalid, expected));
    }
    let stale = Command::Answer { step: "p".into(), question: Some(2), answer: Answer::Declined };
    assert_eq!(driver.refused(stale).code, RejectionCode::Stale);
    driver.ask(Command::Answer { step: "p".into(), question: Some(1), answer: Answer::Declined });
    assert!(driver.refused(answer("p", json!({"ticket": "x"}))).message.contains("asks nothing"), "one answer");
    driver.ends("p", Outcome::failed("ann says that it failed"));
    assert_eq!(driver.run(), "paused(step_failed)");
}

#[test]
fn an_answer_cannot_be_undone_and_it_is_said_what_helps() {
    let mut driver = Driver::started(json!([person("p"), "after"]));
    asks(&mut driver, "p");
    driver.ask(answer("p", json!({"ticket": "x"})));
    let said = driver.refused(Command::Undo { version: None }).to_string();
    assert!(said.contains("answer of `p` by ann, cannot be undone") && said.contains("retrying the step"), "{said}");
}

#[test]
fn what_only_waits_takes_no_slot_but_its_place_in_a_pool() {
    let mut driver =
        Driver::new(plan(json!([work("a"), work("b"), person("p"), wait("w", 5.0)])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    assert_eq!(driver.words(), "running pending running running");
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed running running running");

    let mut pooled = holdpoint::plan::Plan::clone(&plan(json!([
        {"step_id": "p", "run": null, "agent_type": "manual", "action": "x", "pool": "desk", "parallel_group": "g"},
        {"step_id": "q", "pool": "desk", "parallel_group": "g"}
    ])));
    pooled.pools.insert("desk".into(), 1);
    let mut driver = Driver::new(Arc::new(pooled), options(FailurePolicy::Pause, 4));
    driver.ask(Command::Start);
    assert_eq!(driver.words(), "running pending", "whoever names a pool wants it");
    asks(&mut driver, "p");
    assert_eq!(driver.run(), "paused(question)", "only the answer makes room");
    driver.ask(answer("p", json!({"ticket": "x"})));
    assert_eq!(driver.run(), "running");
    driver.succeeds("p");
    assert_eq!(driver.words(), "completed running");
}

#[test]
fn an_attempt_that_works_and_asks_keeps_its_slot_and_the_run_waits_for_the_person() {
    let mut driver = Driver::new(plan(json!([work("a"), work("b")])), options(FailurePolicy::Pause, 1));
    driver.ask(Command::Start);
    asks(&mut driver, "a");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(question)", "running pending"));
    driver.ask(Command::SetParallel { value: 2 });
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "running running"), "room for another");
    driver.succeeds("b");
    assert_eq!(driver.run(), "paused(question)");
    driver.crash(0, true);
    assert_eq!(
        driver.words(),
        "interrupted completed",
        "what works does not outlive its engine, nor does its question"
    );
}

#[test]
fn when_a_wait_is_over_is_decided_when_it_starts() {
    let mut driver = Driver::started(json!([wait("w", 90.0), person("p")]));
    let attempt = driver.state.step("w").unwrap().1.attempt().unwrap().clone();
    assert_eq!((attempt.due.unwrap() - attempt.started_at).num_seconds(), 90);
    driver.wait(30);
    driver.crash(0, true);
    assert_eq!(driver.state.step("w").unwrap().1.attempt().unwrap().due, attempt.due);
    // A wait that does not say how long fails with its attempt, which says why.
    let driver = Driver::started(json!([{"step_id": "w", "run": null, "agent_type": "wait"}]));
    assert_eq!(driver.state.steps[0].attempt().unwrap().due, None);
}

#[test]
fn after_a_crash_what_waits_goes_on_as_the_same_attempt() {
    let mut driver = Driver::started(json!([person("p"), wait("w", 90.0), work("lost")]));
    asks(&mut driver, "p");
    driver.crash(0, true);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(recovered)", "running running interrupted"));
    assert!(driver.state.steps[0].question().is_some(), "the question is still open");
    driver.ask(skip("lost"));
    driver.ask(Command::Resume);
    driver.crash(0, true);
    assert_eq!((driver.run().as_str(), driver.starts("p"), driver.starts("w")), ("running", 1, 1));
    driver.succeeds("w");
    assert_eq!(driver.run(), "paused(question)");
    driver.ask(answer("p", json!({"ticket": "x"})));
    driver.crash(0, true);
    let asked = &driver.state.steps[0].attempt().unwrap().questions[0];
    assert_eq!(asked.answered.as_ref().unwrap().user, "ann", "the answer survives, for the attempt that is taken up");
    driver.crash(1, true);
    assert_eq!(driver.status("p"), StepStatus::Running);
}

#[test]
fn an_engine_that_ends_leaves_alone_what_only_waits() {
    let mut driver = Driver::started(json!([person("p"), wait("w", 90.0), work("busy")]));
    asks(&mut driver, "p");
    driver.ask(Command::Interrupt);
    assert_eq!(driver.words(), "running running stopping");
    assert_eq!(driver.state.bound_to_engine().collect::<Vec<_>>(), [2]);
    driver.ends("busy", Outcome::stopped());
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(operator)", "running running interrupted"));
    assert_eq!(driver.state.summary().bound_to_engine(), 0);
    driver.ask(Command::Resume);
    assert_eq!(driver.run(), "running");
}

#[test]
fn a_stop_that_was_asked_for_before_a_crash_is_carried_out() {
    let mut driver = Driver::started(json!([person("p"), "after"]));
    driver.ask(skip("p"));
    assert_eq!(driver.words(), "stopping pending");
    driver.crash(0, true);
    assert_eq!(driver.words(), "skipped running");
    let mut driver = Driver::started(json!([wait("w", 90.0), "after"]));
    driver.ask(complete("w"));
    driver.ends("w", Outcome::stopped());
    assert_eq!(driver.words(), "completed running", "a wait is ended by hand");
}

#[test]
fn resume_takes_the_operators_word_although_only_a_question_is_open() {
    let mut driver = Driver::started(json!([person("p"), "after"]));
    driver.ask(Command::Pause);
    asks(&mut driver, "p");
    assert_eq!(driver.run(), "paused(operator)");
    driver.ask(Command::Resume);
    assert_eq!(driver.run(), "paused(question)", "it still waits for the answer, and for nothing else");
    driver.ask(answer("p", json!({"ticket": "x"})));
    driver.succeeds("p");
    assert_eq!(driver.words(), "completed running");

    let mut driver = Driver::started(json!([person("p"), "after"]));
    driver.ask(Command::Pause);
    asks(&mut driver, "p");
    driver.ask(answer("p", json!({"ticket": "x"})));
    driver.succeeds("p");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(operator)", "completed pending"));
}

#[test]
fn a_run_that_fails_does_not_wait_for_what_only_waits() {
    let mut driver = Driver::new(
        plan(json!([work("bad"), work("good"), person("p"), wait("w", 900.0)])),
        options(FailurePolicy::Fail, 8),
    );
    driver.ask(Command::Start);
    asks(&mut driver, "p");
    driver.fails("bad");
    assert_eq!(driver.words(), "failed running running running", "what works may end");
    driver.succeeds("good");
    assert_eq!(driver.words(), "failed completed stopping stopping");
    driver.ends("p", Outcome::stopped());
    driver.ends("w", Outcome::stopped());
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("failed", "failed completed pending pending"));
    driver.ask(retry("bad"));
    driver.ask(Command::Resume);
    assert_eq!(driver.words(), "running completed running running", "taken up again, they start anew");

    let mut driver = Driver::new(plan(json!([work("bad"), work("asks")])), options(FailurePolicy::Fail, 8));
    driver.ask(Command::Start);
    asks(&mut driver, "asks");
    driver.fails("bad");
    assert_eq!(driver.words(), "failed stopping", "nobody is asked any more");
    driver.ends("asks", Outcome::stopped());
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("failed", "failed cancelled"),
        "it had begun to work"
    );
}

#[test]
fn a_cancelled_run_stops_what_waits() {
    let mut driver = Driver::started(json!([person("p"), wait("w", 90.0)]));
    asks(&mut driver, "p");
    driver.ask(Command::Cancel);
    assert_eq!(driver.words(), "stopping stopping");
    assert!(driver.refused(answer("p", json!({"ticket": "x"}))).message.contains("being cancelled"));
    for step in ["p", "w"] {
        driver.ends(step, Outcome { status: OutcomeStatus::Stopped, ..Outcome::default() });
    }
    assert_eq!(driver.state.status, RunStatus::Cancelled);
}

#[test]
fn the_time_limit_of_a_run_does_not_go_on_while_it_waits_for_a_person() {
    let mut limited = holdpoint::plan::Plan::clone(&plan(json!([person("p"), "after"])));
    limited.max_execution_time_seconds = Some(60.0);
    let mut driver = Driver::new(Arc::new(limited), options(FailurePolicy::Pause, 4));
    driver.ask(Command::Start);
    asks(&mut driver, "p");
    driver.wait(3600);
    assert_eq!(driver.run(), "paused(question)");
    driver.ask(answer("p", json!({"ticket": "x"})));
    driver.succeeds("p");
    assert_eq!(driver.words(), "completed running");
}

#[test]
fn the_time_limit_of_a_run_does_not_go_on_while_no_engine_has_it() {
    let mut limited = holdpoint::plan::Plan::clone(&plan(json!([{"step_id": "a", "idempotent": true}])));
    limited.max_execution_time_seconds = Some(60.0);
    let mut driver = Driver::new(Arc::new(limited), options(FailurePolicy::Pause, 4));
    driver.ask(Command::Start);
    driver.now += chrono::TimeDelta::seconds(3600);
    driver.crash(0, true);
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "running"));
    let deadline = driver.state.deadline().unwrap();
    assert!(deadline > driver.now && deadline <= driver.now + chrono::TimeDelta::seconds(60));
    // What passes from now on counts, also over a pause.
    driver.wait(50);
    driver.ask(Command::Pause);
    driver.wait(500);
    driver.ask(Command::Resume);
    driver.wait(9);
    assert_eq!(driver.run(), "running");
    driver.wait(2);
    assert!(driver.state.timed_out);
}
