//! Conditions, variables and templates: in the pure core, and with real commands and real secrets.

use holdpoint::run::{AgentResult, Command, Event, Outcome, SkipReason, StepStatus};
use serde_json::{Value, json};

use crate::cli_support::Sandbox;
use crate::run_support::*;

fn gives(data: Value) -> Outcome {
    Outcome {
        result: Some(Box::new(AgentResult { data: Some(data), ..AgentResult::default() })),
        ..Outcome::succeeded()
    }
}

fn why(driver: &Driver, step: &str) -> Option<SkipReason> {
    driver.state.step(step).unwrap().1.skip.as_ref().map(|skip| skip.why)
}

#[test]
fn a_condition_is_evaluated_when_its_step_would_start_and_not_before() {
    let when = "steps.count.result.rows > 10";
    let steps = json!(["count", {"step_id": "big", "when": when}, {"step_id": "always"}]);
    let mut driver = Driver::started(steps.clone());
    assert_eq!(driver.status("big"), StepStatus::Pending);
    driver.ends("count", gives(json!({"rows": 3})));
    assert_eq!((driver.status("big"), why(&driver, "big")), (StepStatus::Skipped, Some(SkipReason::Condition)));
    assert_eq!(driver.status("always"), StepStatus::Running, "what follows goes on");
    driver.succeeds("always");
    assert_eq!(driver.run(), "completed");

    let mut driver = Driver::started(steps);
    driver.ends("count", gives(json!({"rows": 30})));
    assert_eq!(driver.status("big"), StepStatus::Running);
}

#[test]
fn while_the_run_is_paused_no_condition_is_evaluated() {
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "when": "false"}, "c"]));
    driver.ask(Command::Pause);
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed pending pending");
    driver.ask(Command::Resume);
    assert_eq!(driver.words(), "completed skipped running");
}

#[test]
fn what_needs_the_result_of_a_step_that_was_left_out_is_left_out_too() {
    let mut driver = Driver::started(json!([
        {"step_id": "a", "when": "false"},
        {"step_id": "b", "run": "echo {{ steps.a.result.x }}"},
        {"step_id": "c", "when": "steps.b.result.x > 1"},
        {"step_id": "d", "when": "steps.a.status == 'skipped'"},
        {"step_id": "e"},
    ]));
    assert_eq!(driver.words(), "skipped skipped skipped running pending", "the status may be asked for");
    assert_eq!(why(&driver, "b"), Some(SkipReason::Upstream));
    assert_eq!(why(&driver, "c"), Some(SkipReason::Upstream));
    driver.succeeds("d");
    driver.succeeds("e");
    assert_eq!(driver.run(), "completed");
}

#[test]
fn a_retry_from_here_evaluates_conditions_again_and_a_retry_by_name_overrides_one() {
    let steps = json!(["a", {"step_id": "b", "when": "steps.a.result > 1"}, "c"]);
    let mut driver = Driver::started(steps.clone());
    driver.ends("a", gives(json!(1)));
    driver.succeeds("c");
    assert_eq!((driver.run().as_str(), driver.words().as_str()), ("completed", "completed skipped completed"));
    driver.ask(retry_downstream("a"));
    driver.ask(Command::Resume);
    driver.ends("a", gives(json!(2)));
    assert_eq!(driver.words(), "completed running pending");

    let mut driver = Driver::started(steps);
    driver.ends("a", gives(json!(1)));
    driver.ask(retry("b"));
    assert_eq!(driver.status("b"), StepStatus::Running, "who asks for it by name knows better");
}

#[test]
fn a_condition_comes_before_the_hold_point_and_after_a_crash_stands_as_it_was_found() {
    let mut driver = Driver::started(json!([
        "a",
        {"step_id": "no", "when": "false", "hold": true},
        {"step_id": "yes", "when": "true", "hold": true},
    ]));
    driver.succeeds("a");
    assert_eq!(driver.words(), "completed skipped held");
    assert_eq!(reloaded(&driver.state), driver.state);
    driver.crash(0, true);
    assert_eq!(driver.words(), "completed skipped held");
    driver.ask(release("yes"));
    if driver.run().starts_with("paused") {
        driver.ask(Command::Resume);
    }
    assert_eq!(driver.status("yes"), StepStatus::Running);
}

#[test]
fn what_an_attempt_gets_is_rendered_when_it_starts_and_journaled() {
    let mut driver = Driver::started(json!([
        "a",
        {"step_id": "b", "run": "use {{ steps.a.result.name }}", "env": {"N": "{{ steps.a.attempts }}"},
         "parameters": {"rows": "{{ steps.a.result.rows }}"}},
    ]));
    driver.ends("a", gives(json!({"name": "x y", "rows": [1, 2]})));
    let input = driver.state.step("b").unwrap().1.attempt().unwrap().input.clone().unwrap();
    assert_eq!(*input, json!({"run": "use x y", "parameters": {"rows": [1, 2]}, "env": {"N": "1"}}));
    let first = driver.state.step("b").unwrap().1.attempt().unwrap().digest;
    driver.fails("b");
    driver.ask(Command::Modify { step: "b".into(), patch: json!({"env": {"N": "other"}}) });
    driver.ask(retry("b"));
    let second = driver.state.step("b").unwrap().1.attempt().unwrap();
    assert_ne!(second.digest, first, "another input is another digest");
}

#[test]
fn what_cannot_be_rendered_fails_the_step_and_names_what_is_missing() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "missing",
        json!([
            {"step_id": "a", "run": "true"},
            {"step_id": "b", "run": "echo {{ steps.a.result.rows }} > written"},
            {"step_id": "c", "run": "true", "when": "steps.a.result.rows > 1"},
        ]),
    );
    let told = sandbox.ok(1, &["run", &plan, "--headless", "--on-failure", "continue"]);
    assert!(told.contains("run: `steps.a.result.rows` is not there; `a` is completed"), "{told}");
    assert!(told.contains("when: `steps.a.result.rows` is not there"), "{told}");
    assert!(!sandbox.path().join("written").exists());
}

#[test]
fn variables_come_from_the_command_line_the_environment_and_defaults() {
    let sandbox = Sandbox::new();
    let text = json!({
        "plan_id": "vars",
        "variables": {
            "greeting": {"default": "hello"},
            "who": {"required": true},
            "times": {"default": 2},
            "home": {"env": "HOME"},
        },
        "steps": [
            {"step_id": "say", "run": "echo {{ vars.greeting }} {{ vars.who | shell_quote }} $T $H > said",
             "env": {"T": "{{ vars.times + 1 }}", "H": "{{ env.HOME }}"}},
            {"step_id": "often", "run": "touch often", "when": "vars.times > 4"},
        ],
    });
    let plan = sandbox.plan_text("vars", &text.to_string());
    let ended = sandbox.run(&["run", &plan, "--headless", "--set", "times=many", "--set", "wo=x"]);
    assert_eq!(ended.code, Some(2));
    for said in ["`who` has no value", "`times` must be a number", "did you mean `who`?"] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    assert!(!sandbox.path().join("checkpoints").exists(), "nothing was written");

    sandbox.ok(0, &["run", &plan, "--headless", "--set", "who=ann; touch hacked"]);
    let home = sandbox.path().to_str().unwrap();
    assert_eq!(sandbox.read("said").trim(), format!("hello ann; touch hacked 3 {home}"));
    assert!(!sandbox.path().join("hacked").exists() && !sandbox.path().join("often").exists());
    sandbox.ok(0, &["run", &plan, "--headless", "--set", "who=ann", "--set", "times=5"]);
    assert!(sandbox.path().join("often").exists());
    // A plan alone is run as well, and takes them as well.
    sandbox.ok(0, &[&plan, "--set", "who=bob"]);
    assert_eq!(sandbox.read("said").trim(), format!("hello bob 3 {home}"));
    for args in [&["--set", "who=bob"][..], &["--set", "who=bob", "run", &plan]] {
        assert_eq!(sandbox.run(args).code, Some(2), "{args:?}");
    }
}

/// A secret is used, and stands in nothing that was written: journal, checkpoints, output, snapshot, log, messages.
#[test]
fn a_secret_reaches_the_command_and_nothing_else() {
    const SECRET: &str = "hunter2-0451";
    let sandbox = Sandbox::new();
    let text = json!({
        "plan_id": "secret",
        "variables": {"token": {"env": "SHIP_TOKEN", "secret": true}},
        "steps": [
            {"step_id": "use", "run": "echo \"token: $TOKEN\"; echo \"{\\\"data\\\": \\\"$TOKEN\\\"}\" > $HOLDPOINT_RESULT",
             "env": {"TOKEN": "{{ vars.token }}"}},
            {"step_id": "line", "run": "echo {{ vars.token }} | wc -c > length"},
            {"step_id": "again", "run": "echo {{ steps.use.result }}"},
            {"step_id": "bad", "run": "echo no {{ vars.token }} >&2; exit 3"},
        ],
    });
    let plan = sandbox.plan_text("secret", &text.to_string());
    let without = sandbox.run(&["run", &plan, "--headless"]);
    assert_eq!(without.code, Some(2));
    assert!(without.stderr.contains("set SHIP_TOKEN in the environment"), "{}", without.stderr);

    let log = sandbox.path().join("log");
    let mut command = sandbox.command(&["run", &plan, "--headless"]);
    let output = command.env("SHIP_TOKEN", SECRET).env("HOLDPOINT_LOG", &log).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(sandbox.read("length").trim(), (SECRET.len() + 1).to_string(), "the command had the real one");
    let mut seen = vec![output.stdout, output.stderr];
    for arguments in [&["show", "latest", "--format", "json"][..], &["events", "latest"], &["output", "latest", "use"]]
    {
        seen.push(sandbox.run(arguments).stdout);
    }
    let mut files = vec![sandbox.path().join("checkpoints"), log];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            seen.push(std::fs::read(path).unwrap_or_default());
        }
    }
    for bytes in &seen {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(SECRET), "{text}");
    }
    let output = sandbox.ok(0, &["output", "latest", "use"]);
    assert!(output.contains("token: •••"), "{output}");

    // Gone on with elsewhere, where the secret is not there: nothing starts, and it is said what is missing.
    let resumed = sandbox.run(&["resume", "latest", "--headless", "--retry", "bad"]);
    assert_ne!(resumed.code, Some(0));
    let said = resumed.text() + &resumed.stderr;
    assert!(said.contains("`token` has no value: set SHIP_TOKEN"), "{said}");
    assert_eq!(sandbox.snapshot()["plan"]["steps"].as_array().unwrap().len(), 4);
    let attempts = |journal: &str| journal.matches("\"type\":\"attempt_started\",\"step\":\"bad\"").count();
    assert_eq!(attempts(&sandbox.journal()), 1, "it was not tried without its secret");
    sandbox.ok(1, &["resume", "latest", "--headless", "--retry", "bad", "--set", &format!("token={SECRET}")]);
    assert_eq!(attempts(&sandbox.journal()), 2);
    assert!(!sandbox.journal().contains(SECRET));
}

#[test]
fn a_condition_that_was_changed_is_evaluated_anew() {
    let mut driver = Driver::started(json!(["a", {"step_id": "b", "when": "true", "hold": true}]));
    driver.succeeds("a");
    assert_eq!(driver.status("b"), StepStatus::Held);
    driver.ask(Command::Modify { step: "b".into(), patch: json!({"when": "false", "hold": null}) });
    if driver.run().starts_with("paused") {
        driver.ask(Command::Resume);
    }
    assert_eq!((driver.run().as_str(), driver.status("b")), ("completed", StepStatus::Skipped));
}

#[test]
fn events_say_what_was_decided() {
    let driver = Driver::started(json!([{"step_id": "a", "when": "1 < 2"}]));
    let events: Vec<&Event> = driver.journal.iter().map(|recorded| &recorded.event).collect();
    assert!(
        matches!(
            events[3..],
            [Event::Intervention(_), Event::RunStarted, Event::ConditionMet { .. }, Event::AttemptStarted { .. }]
                | [Event::RunStarted, Event::ConditionMet { .. }, Event::AttemptStarted { .. }]
        ),
        "{events:?}"
    );
}
