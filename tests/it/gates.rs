//! Quality gates and reviews: what a gate decides, what people answer, and that a run with an open review never ends.

use holdpoint::run::{AgentResult, Command, GateDecision, Outcome, ReviewStatus, StepStatus};
use serde_json::{Value, json};

use crate::cli_support::Sandbox;
use crate::run_support::*;

fn scored(score: f64) -> Outcome {
    Outcome {
        result: Some(Box::new(AgentResult { quality_score: Some(score), ..AgentResult::default() })),
        ..Outcome::succeeded()
    }
}

fn gated(extra: Value) -> Value {
    json!([{"step_id": "a", "quality_gate": extra, "parallel_group": "g"}, {"step_id": "side", "parallel_group": "g"}, "b"])
}

fn approve(step: &str) -> Command {
    Command::Approve { step: step.into() }
}

fn reject(step: &str) -> Command {
    Command::Reject { step: step.into() }
}

#[test]
fn a_good_result_goes_on_and_a_bad_one_is_tried_again_and_then_fails() {
    let mut driver = Driver::started(gated(json!({"max_retries": 2})));
    driver.ends("a", scored(0.9));
    assert_eq!(driver.words(), "completed running pending");

    let mut driver = Driver::started(gated(json!({"max_retries": 2})));
    for _ in 0..2 {
        driver.ends("a", scored(0.2));
        assert_eq!(driver.status("a"), StepStatus::Waiting);
        driver.wait(600);
    }
    driver.ends("a", scored(0.2));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(step_failed)", "failed running pending"));
    let (_, step) = driver.state.step("a").unwrap();
    assert_eq!(step.attempts.len(), 3);
    assert_eq!(step.why_failed().unwrap(), "quality 0.2, below 0.6, and no retry is left");
    let said: Vec<GateDecision> = step.reviews.iter().map(|review| review.judgement.decision).collect();
    assert_eq!(said, [GateDecision::RetrySuggested, GateDecision::RetrySuggested, GateDecision::Rejected]);
}

#[test]
fn retries_of_the_gate_and_of_failures_are_counted_apart() {
    let steps = json!([{"step_id": "a", "quality_gate": {"max_retries": 1}, "max_retries": 1}]);
    let mut driver = Driver::started(steps);
    driver.fails("a");
    driver.wait(600);
    driver.ends("a", scored(0.1));
    driver.wait(600);
    driver.ends("a", scored(0.9));
    assert_eq!(driver.run(), "completed");
}

#[test]
fn a_review_blocks_its_step_and_what_depends_on_it_and_nothing_else() {
    let mut driver = Driver::started(gated(json!({})));
    driver.ends("a", scored(0.7));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "in_review running pending"));
    driver.succeeds("side");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(review)", "in_review completed pending"));
    assert!(driver.refused(Command::Resume).to_string().contains("approve or reject"));
    driver.ask(approve("a"));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("running", "completed completed running"));
    let review = &driver.state.step("a").unwrap().1.reviews[0];
    assert_eq!((review.status, review.answers[0].user.as_str()), (Some(ReviewStatus::Approved), "ann"));
    assert!(driver.refused(approve("a")).to_string().contains("`a` is completed, not in review"));
}

#[test]
fn no_score_is_no_score_of_zero() {
    let mut driver = Driver::started(gated(json!({})));
    driver.succeeds("a");
    assert_eq!(driver.status("a"), StepStatus::InReview);
    assert_eq!(driver.state.step("a").unwrap().1.reviews[0].judgement.reason, "the result has no quality score");
}

#[test]
fn a_rejected_result_fails_its_step_and_the_run_never_completes() {
    let mut driver = Driver::started(json!([{"step_id": "a", "quality_gate": {"require_review": true}}]));
    driver.ends("a", scored(1.0));
    driver.ask(Command::Escalate { step: "a".into() });
    assert_eq!(driver.run(), "paused(review)", "passed on, it still waits");
    driver.ask_as("bob", reject("a"));
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("paused(step_failed)", "failed"));
    let (_, step) = driver.state.step("a").unwrap();
    assert_eq!(step.why_failed().unwrap(), "rejected by bob");
    let answers: Vec<ReviewStatus> = step.reviews[0].answers.iter().map(|answer| answer.status).collect();
    assert_eq!(answers, [ReviewStatus::Escalated, ReviewStatus::Rejected], "the history is kept");
    driver.ask(retry("a"));
    driver.ends("a", scored(1.0));
    driver.ask(approve("a"));
    assert_eq!(driver.run(), "completed");
}

/// Somebody has paused the run as well: it stays paused for them alone when the last review, or the last hold, is answered.
#[test]
fn what_has_been_answered_is_no_reason_for_the_pause_any_more() {
    let step = |id: &str, more: serde_json::Value| {
        let mut step = json!({"step_id": id, "parallel_group": "g"});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    };
    let reviewed = |id: &str| step(id, json!({"quality_gate": {"require_review": true}}));
    let mut driver = Driver::started(json!([reviewed("a"), reviewed("b"), step("c", json!({"hold": true})), "z"]));
    driver.ends("a", scored(1.0));
    driver.ends("b", scored(1.0));
    assert_eq!(driver.run(), "paused(hold,review)");
    let mut request = driver.request(approve("a"), "ann");
    request.stay_paused = true;
    driver.feed(&holdpoint::run::Input::Request(request)).unwrap();
    assert_eq!(driver.run(), "paused(operator,hold,review)", "`b` is in review");
    driver.ask(approve("b"));
    assert_eq!(driver.run(), "paused(operator,hold)");
    driver.ask(Command::Release { step: "c".into() });
    assert_eq!(
        (driver.run().as_str(), driver.words().as_str()),
        ("paused(operator)", "completed completed pending pending")
    );
    assert_eq!(fold(&driver.journal), driver.state);
}

#[test]
fn a_review_is_closed_by_a_retry_a_skip_or_by_hand_and_survives_a_crash() {
    for (answer, then) in [(retry("a"), "running"), (skip("a"), "skipped"), (complete("a"), "completed")] {
        let mut driver = Driver::started(json!([{"step_id": "a", "quality_gate": {}}, "b"]));
        driver.ends("a", scored(0.7));
        driver.crash(0, true);
        assert_eq!(driver.status("a"), StepStatus::InReview);
        assert_eq!(reloaded(&driver.state), driver.state);
        driver.ask(answer);
        assert_eq!(driver.status("a").word(), then);
        assert_eq!(driver.state.step("a").unwrap().1.reviews[0].status, Some(ReviewStatus::Rejected));
    }
}

#[test]
fn a_review_is_answered_from_another_terminal_with_notes() {
    let sandbox = Sandbox::new();
    let step = json!({"step_id": "report", "run": "echo '{\"quality_score\": 0.7, \"data\": 1}' > $HOLDPOINT_RESULT", "quality_gate": {}});
    let plan = sandbox.plan("review", json!([step, {"step_id": "after", "run": "true"}]));
    let told = sandbox.run(&["run", &plan, "--headless"]);
    assert_eq!(told.code, Some(4), "{}", told.stderr);
    let said = told.text() + &told.stderr;
    assert!(
        said.contains("its result waits for a verdict") && said.contains("quality 0.7, between 0.6 and 0.85"),
        "{said}"
    );
    let shown = sandbox.snapshot();
    assert_eq!(shown["steps"][0]["reviews"][0]["status"], "pending");
    let ended = sandbox.ok(0, &["resume", "latest", "--headless", "--approve", "report", "--reason", "looks right"]);
    assert!(ended.contains("approved the result of report · \"looks right\""), "{ended}");
    assert_eq!(sandbox.snapshot()["steps"][0]["reviews"][0]["answers"][0]["notes"], "looks right");
}

/// The first answer would make the second step start: what is said of the second is said of what the operator has seen.
#[test]
fn an_answer_that_does_not_fit_is_refused_in_words_that_are_true_before_anything_starts() {
    let sandbox = Sandbox::new();
    let step =
        json!({"step_id": "a", "run": "echo '{\"quality_score\": 0.7}' > $HOLDPOINT_RESULT", "quality_gate": {}});
    let plan = sandbox.plan("two", json!([step, {"step_id": "b", "run": "true"}]));
    sandbox.ok(4, &["run", &plan, "--headless"]);
    let before = sandbox.journal();
    let refused = sandbox.run(&["resume", "two", "--approve", "a", "--approve", "b", "--headless"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("`b` is pending, not in review"), "{}", refused.stderr);
    assert_eq!(sandbox.journal(), before);
    let rejected = sandbox.run(&["resume", "two", "--reject", "a", "--reason", "too thin", "--headless"]);
    let said = rejected.text();
    assert!(said.contains("(attempt 1): rejected by ann: too thin"), "the summary says why: {said}");
}
