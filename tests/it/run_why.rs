//! Why is it not running? The answer for every state of a step in every state of a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdpoint::plan::FailurePolicy;
use holdpoint::run::{
    Answer, Command, Input, Outcome, Outside, Question, Reason, RunStatus, StepStatus, Who, advance, why,
};
use serde_json::json;

use crate::run_support::{Driver, complete, hold, options, plan, release, retry, retry_downstream, skip};

const LIVE: Outside<'static> = Outside { owned: true, storage: None, damage: None };
const GONE: Outside<'static> = Outside { owned: false, storage: None, damage: None };

/// What the answer must say, and what it must offer; both in order, other reasons may stand between them.
struct Row {
    name: &'static str,
    driver: Driver,
    step: &'static str,
    outside: Outside<'static>,
    expected: Vec<(&'static str, Who, Vec<Command>)>,
}

fn answers(step: &str) -> Vec<Command> {
    vec![retry(step), skip(step), complete(step)]
}

fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name, driver: &Driver, step, outside, expected| {
        rows.push(Row { name, driver: driver.clone(), step, outside, expected });
    };
    let idle = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Pause, 16));
    row(
        "idle",
        &idle,
        "a",
        LIVE,
        vec![
            ("a is ready, and waits for the run to go on", Who::Operator, vec![]),
            ("the run has not started", Who::Operator, vec![Command::Start]),
        ],
    );

    let mut d = Driver::started(json!(["a", {"step_id": "b", "hold": "two eyes"}, "c", "d"]));
    row("running", &d, "a", LIVE, vec![("a is running, without a time limit", Who::Engine, vec![])]);
    row(
        "behind what runs",
        &d,
        "d",
        LIVE,
        vec![("d waits for c", Who::Engine, vec![]), ("a is running", Who::Engine, vec![])],
    );
    row(
        "its engine is gone",
        &d,
        "a",
        GONE,
        vec![
            ("a was running when its engine ended; it is not marked idempotent", Who::Operator, answers("a")),
            ("no engine has the run open", Who::Operator, vec![]),
        ],
    );
    row(
        "behind a step whose engine is gone",
        &d,
        "d",
        GONE,
        vec![
            ("a was running when its engine ended", Who::Operator, answers("a")),
            ("no engine has the run open", Who::Operator, vec![]),
        ],
    );
    let mut asking =
        Driver::started(json!([{"step_id": "a", "run": null, "agent_type": "manual", "action": "look"}, "b"]));
    let question = Arc::new(Question { title: "is it well?".into(), ..Question::default() });
    let asked = Input::Asked { step: "a".into(), attempt: 1, number: 1, question };
    asking.feed(&asked).expect("a report is never refused");
    let answer = Answer::Accepted(Default::default());
    let answer = Command::Answer { step: "a".into(), question: None, answer };
    let answers_it = || vec![answer.clone(), skip("a"), complete("a")];
    let said = "a asks a person, and waits for the answer: is it well?";
    row("asks", &asking, "a", LIVE, vec![(said, Who::Operator, answers_it())]);
    row(
        "behind what asks",
        &asking,
        "b",
        LIVE,
        vec![
            ("b waits for a", Who::Engine, vec![]),
            (said, Who::Operator, answers_it()),
            ("the run is paused: a step asks a person", Who::Operator, vec![]),
        ],
    );
    row("asks, and its engine is gone", &asking, "a", GONE, vec![(said, Who::Operator, answers_it())]);
    let waiting =
        Driver::started(json!([{"step_id": "a", "run": null, "agent_type": "wait", "parameters": {"seconds": 60}}]));
    row(
        "waits for a time",
        &waiting,
        "a",
        LIVE,
        vec![("a waits for a time; completing it by hand ends that", Who::Time, vec![complete("a")])],
    );
    let mut marked = d.clone();
    marked.ask(hold("d"));
    row(
        "behind what runs, with a hold point",
        &marked,
        "d",
        LIVE,
        vec![("d waits for c; then its hold point stops it", Who::Engine, vec![])],
    );
    let mut paused = d.clone();
    paused.ask(Command::Pause);
    row(
        "paused by an operator",
        &paused,
        "d",
        LIVE,
        vec![
            ("a is running", Who::Engine, vec![]),
            ("the run is paused: an operator paused it", Who::Operator, vec![Command::Resume]),
        ],
    );
    let mut cancelling = d.clone();
    cancelling.ask(Command::Cancel);
    row("stopping", &cancelling, "a", LIVE, vec![("a is being stopped", Who::Time, vec![])]);
    row(
        "behind what is stopped",
        &cancelling,
        "d",
        LIVE,
        vec![
            ("a is being stopped", Who::Time, vec![]),
            ("the run is being cancelled", Who::Time, vec![Command::Cancel]),
        ],
    );
    cancelling.ends("a", Outcome::stopped());
    row(
        "stopped",
        &cancelling,
        "a",
        LIVE,
        vec![
            ("a was stopped by an operator", Who::Operator, answers("a")),
            ("the run is cancelled", Who::Operator, vec![]),
        ],
    );
    row(
        "never started in a cancelled run",
        &cancelling,
        "d",
        LIVE,
        vec![
            ("d waits for c", Who::Engine, vec![]),
            ("a was stopped by an operator", Who::Operator, answers("a")),
            ("the run is cancelled", Who::Operator, vec![retry("a")]),
        ],
    );
    d.succeeds("a");
    row("completed", &d, "a", LIVE, vec![("a is completed", Who::Nobody, vec![])]);
    row(
        "held",
        &d,
        "b",
        LIVE,
        vec![
            ("b is at its hold point: two eyes", Who::Operator, vec![release("b"), skip("b")]),
            ("the run is paused: a step is held", Who::Operator, vec![]),
        ],
    );
    row(
        "behind what is held",
        &d,
        "d",
        LIVE,
        vec![
            ("d waits for c", Who::Engine, vec![]),
            ("b is at its hold point: two eyes", Who::Operator, vec![release("b"), skip("b")]),
        ],
    );
    row(
        "behind what is held, and nobody has it open",
        &d,
        "c",
        GONE,
        vec![("b is at its hold point", Who::Operator, vec![release("b"), skip("b")])],
    );
    let full = Outside { owned: true, storage: Some(("full", None)), damage: None };
    row(
        "the disk is full",
        &d,
        "b",
        full,
        vec![
            ("b is at its hold point", Who::Operator, vec![]),
            ("the disk does not take the run's journal, and nothing starts until it does: full", Who::Machine, vec![]),
        ],
    );
    let damaged = Outside { owned: false, storage: None, damage: Some("line 3") };
    row(
        "damaged",
        &d,
        "b",
        damaged,
        vec![
            ("b is at its hold point", Who::Operator, vec![]),
            ("the run's journal is damaged: line 3", Who::Machine, vec![]),
        ],
    );
    d.ask(skip("b"));
    row("skipped", &d, "b", LIVE, vec![("b was skipped by ann", Who::Nobody, vec![])]);
    d.fails("c");
    row(
        "failed",
        &d,
        "c",
        LIVE,
        vec![
            ("c failed: broken", Who::Operator, answers("c")),
            ("the run is paused: a step failed; it can be resumed once that has been answered", Who::Operator, vec![]),
        ],
    );
    d.ask(complete("c"));
    d.succeeds("d");
    row("by hand", &d, "c", LIVE, vec![("c was completed by hand by ann", Who::Nobody, vec![retry_downstream("c")])]);
    row("completed long ago", &d, "d", GONE, vec![("d is completed", Who::Nobody, vec![retry_downstream("d")])]);

    let slow = json!([{"step_id": "a", "max_retries": 3, "retry": {"delay_seconds": 60}}, "b"]);
    let mut d = Driver::started(slow);
    d.fails("a");
    row(
        "in back-off",
        &d,
        "a",
        LIVE,
        vec![("a failed: broken, and is tried again by itself", Who::Time, vec![retry("a")])],
    );
    row(
        "behind a back-off",
        &d,
        "b",
        LIVE,
        vec![("a failed: broken, and is tried again by itself", Who::Time, vec![retry("a")])],
    );
    d.ask(Command::Pause);
    row(
        "in back-off of a paused run",
        &d,
        "a",
        LIVE,
        vec![
            ("a failed: broken, and is tried again by itself once the run goes on", Who::Operator, vec![retry("a")]),
            ("the run is paused", Who::Operator, vec![Command::Resume]),
        ],
    );

    let both = json!([{"step_id": "a", "parallel_group": "g"}, {"step_id": "b", "parallel_group": "g"}]);
    let mut d = Driver::new(plan(both), options(FailurePolicy::Fail, 1));
    d.ask(Command::Start);
    row(
        "no room",
        &d,
        "b",
        LIVE,
        vec![(
            "b is ready and waits for its turn: 1 run, and no more than 1 may",
            Who::Engine,
            vec![Command::SetParallel { value: 2 }],
        )],
    );
    d.fails("a");
    row(
        "never started in a failed run",
        &d,
        "b",
        LIVE,
        vec![
            ("b is ready, and waits for the run to go on", Who::Operator, vec![]),
            ("the run is failed: a failed: broken", Who::Operator, vec![retry("a")]),
        ],
    );
    let three = json!(["a", "b", "c"].map(|id| json!({"step_id": id, "parallel_group": "g"})));
    let mut d = Driver::new(plan(three), options(FailurePolicy::Fail, 2));
    d.ask(Command::Start);
    d.fails("a");
    row("the run is about to fail", &d, "c", LIVE, vec![("a failed: nothing starts any more", Who::Engine, vec![])]);

    let mut d = Driver::started(json!(["a", "b"]));
    d.crash(0, true);
    row(
        "interrupted",
        &d,
        "a",
        LIVE,
        vec![
            ("a was running when its engine ended", Who::Operator, answers("a")),
            ("somebody should look first", Who::Operator, vec![]),
        ],
    );
    let mut d = Driver::new(plan(json!(["a", "b"])), options(FailurePolicy::Pause, 16));
    d.ask(Command::Cancel);
    row("never started at all", &d, "a", LIVE, vec![("the run is cancelled", Who::Operator, vec![])]);
    rows
}

/// Holds for every answer.
fn check(row: &Row, reasons: &[Reason]) {
    let name = row.name;
    let position = row.driver.state.position(row.step).unwrap();
    let status = row.driver.state.steps[position].status;
    assert_eq!(reasons[0].step.as_deref(), Some(row.step), "{name}: the step itself comes first");
    if !status.is_satisfied() {
        assert!(reasons.iter().any(|reason| reason.who != Who::Nobody), "{name}: nobody could change it: {reasons:?}");
    }
    let mut state = row.driver.state.clone();
    if !row.outside.owned {
        let opened = Input::Opened { version: String::new(), pid: 1, go_on: true };
        advance(&mut state, &opened, &row.driver.moment()).unwrap();
    }
    for reason in reasons {
        assert!(!reason.what.is_empty() && !reason.what.ends_with('.'), "{name}: {:?}", reason.what);
        for command in &reason.commands {
            let request = row.driver.clone().request(command.clone(), "ann");
            let answer = advance(&mut state.clone(), &Input::Request(request), &row.driver.moment());
            assert!(answer.is_ok(), "{name}: it offers {command:?}, which is refused: {answer:?}");
        }
    }
}

#[test]
fn every_state_has_its_answer_and_nothing_is_offered_that_would_be_refused() {
    let rows = table();
    for row in &rows {
        let position = row.driver.state.position(row.step).unwrap();
        let reasons = why(&row.driver.state, position, row.outside);
        check(row, &reasons);
        let mut rest = reasons.iter();
        for (what, who, commands) in &row.expected {
            let found = rest.find(|reason| reason.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{}: no {what:?} (in this order) in {reasons:#?}", row.name));
            assert_eq!(found.who, *who, "{}: {found:#?}", row.name);
            if !commands.is_empty() || found.who == Who::Machine {
                assert_eq!(&found.commands, commands, "{}: {found:#?}", row.name);
            }
        }
    }
    // Every other step of those runs, too, and with every trouble.
    for row in &rows {
        for (position, definition) in row.driver.state.plan.steps.iter().enumerate() {
            for outside in [LIVE, GONE, Outside { owned: true, storage: Some(("full", None)), damage: None }] {
                let step = definition.step_id.clone().leak();
                let other = Row { name: row.name, driver: row.driver.clone(), step, outside, expected: Vec::new() };
                check(&other, &why(&row.driver.state, position, outside));
            }
        }
    }
    let of = |row: &Row| row.driver.state.step(row.step).unwrap().1.status;
    let steps: BTreeSet<StepStatus> = rows.iter().map(of).collect();
    let missing: Vec<&str> = holdpoint::run::STEP_STATUSES
        .into_iter()
        .filter(|status| *status != StepStatus::InReview && !steps.contains(status))
        .map(StepStatus::word)
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let runs: BTreeSet<RunStatus> = rows.iter().map(|row| row.driver.state.status).collect();
    assert_eq!(runs.len(), 6, "no row for some state of a run: {runs:?}");
}

#[test]
fn times_say_since_when_and_until_when() {
    let mut d = Driver::started(json!([{"step_id": "a", "timeout_seconds": 90}, "b"]));
    let begun = d.now;
    let found = &why(&d.state, 0, LIVE)[0];
    assert_eq!((found.since, found.until), (Some(begun), Some(begun + chrono::TimeDelta::seconds(90))));
    d.wait(5);
    d.ask(Command::Cancel);
    let found = &why(&d.state, 0, LIVE)[0];
    let grace = chrono::TimeDelta::seconds(holdpoint::run::DEFAULT_GRACE_SECONDS as i64);
    assert_eq!((found.since, found.until), (Some(d.now), Some(d.now + grace)));
    // A step that has never changed waits since what was before it ended.
    let mut d = Driver::started(json!(["a", "b"]));
    d.wait(7);
    d.ask(Command::Pause);
    d.wait(3);
    d.succeeds("a");
    let found = &why(&d.state, 1, LIVE)[0];
    assert_eq!(found.since, Some(d.now));
}
