//! Steering from the command line, through the real binary: going back, beginning anew at a checkpoint, versions, undo, and acting on a run that
//! nobody has open.

use holdpoint::run::{RunState, RunStatus};
use serde_json::{Value, json};

use crate::cli_support::Sandbox;

/// A run of three steps whose plan was reordered, added to and removed from after its first step; completed.
fn changed() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let echo = |id: &str| json!({"step_id": id, "run": format!("echo {id} >> ran")});
    let fails = json!({"step_id": "gate", "run": "test -e open", "on_failure": "pause"});
    let plan = sandbox.plan("back", json!([echo("a"), fails, echo("b"), echo("c"), echo("d")]));
    assert_eq!(sandbox.run(&["run", &plan, "--headless"]).code, Some(4));
    let checkpoints = sandbox.json(&["checkpoints", "back", "--format", "json"]);
    let after_a = checkpoints.as_array().unwrap().iter().find(|one| one["step_id"] == "a").unwrap();
    let id = after_a["checkpoint_id"].as_str().unwrap().to_owned();
    sandbox.ok(0, &["ctl", "back", "reorder", "d", "c", "--open"]);
    sandbox.ok(0, &["ctl", "back", "add", r#"{"step_id": "n", "run": "echo n >> ran"}"#, "--before", "b", "--open"]);
    sandbox.ok(0, &["ctl", "back", "remove", "c", "--open", "--reason", "not today"]);
    std::fs::write(sandbox.path().join("open"), "").unwrap();
    sandbox.ok(0, &["resume", "back", "--retry", "gate"]);
    assert_eq!(sandbox.read("ran"), "a\nn\nb\nd\n");
    (sandbox, id)
}

fn state(sandbox: &Sandbox, run: &str) -> RunState {
    let store = holdpoint::journal::Store::at(sandbox.path().join("checkpoints"));
    let (_, dir) = store.resolve(run).unwrap();
    store.load(&dir).unwrap().state
}

#[test]
fn a_restore_shows_what_it_does_to_a_plan_that_was_changed_since() {
    let (sandbox, id) = changed();
    let before = sandbox.journal();
    let ended = sandbox.run(&["restore", "back", &id]);
    assert_eq!(ended.code, Some(2), "nobody is there to ask");
    let shown = ended.text();
    for line in [
        "runs again: gate, b, d (what they did outside is not undone)",
        "the plan becomes version 5",
        "n: completed → not in the plan",
        "c: not in the plan → pending",
        "b: completed → pending",
        "d: completed → pending",
        "the run: completed → paused",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    assert!(shown.contains("with 1 of 5 steps done (now 5 of 5)"), "{shown}");
    assert!(!shown.contains("a: completed"), "what does not change is not said: {shown}");
    assert_eq!(sandbox.journal(), before, "nothing was changed");
    sandbox.ok(0, &["restore", "back", &id, "--yes"]);
    let state = state(&sandbox, "back");
    let ids: Vec<&str> = state.plan.steps.iter().map(|step| step.step_id.as_str()).collect();
    assert_eq!((ids, state.plan_version), (vec!["a", "gate", "b", "c", "d"], 5));
    // What undo would take is a restore: it says what leads back.
    let refused = sandbox.run(&["ctl", "back", "undo", "--open"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("restore by ann, cannot be undone; restore cp-"), "{}", refused.stderr);
}

#[test]
fn a_fork_begins_at_the_checkpoint_and_leaves_its_parent_alone() {
    let (sandbox, id) = changed();
    let parent = state(&sandbox, "back");
    let said = sandbox.ok(0, &["restore", "back", &id, "--fork", "-y"]);
    assert!(
        said.contains(&format!("begins where run {} was at {id}: 1 of 5 steps done", parent.summary().short_id())),
        "{said}"
    );
    assert!(said.contains("It is idle; to start it: holdpoint resume"), "{said}");
    assert!(said.contains("would run again: gate, b and d."), "{said}");
    let fork = state(&sandbox, "back");
    assert_ne!(fork.run_id, parent.run_id);
    assert!(said.contains(&fork.run_id.to_string()));
    assert_eq!((fork.parent.map(|(run, _)| run), fork.status), (Some(parent.run_id), RunStatus::Idle));
    sandbox.ok(0, &["resume", &fork.run_id.to_string()]);
    assert_eq!(sandbox.read("ran"), "a\nn\nb\nd\nb\nc\nd\n");
    let again = state(&sandbox, &parent.run_id.to_string());
    assert_eq!((again.seq, again.plan_version), (parent.seq, parent.plan_version), "the parent is as it was");
    assert_eq!(sandbox.run(&["restore", "back", &id, "--fork", "--reason", "x"]).code, Some(2));
}

#[test]
fn going_back_to_the_end_of_a_completed_run_says_that_it_ends_again() {
    let (sandbox, _) = changed();
    let last = state(&sandbox, "back").checkpoints.last().unwrap().seq;
    let said = sandbox.ok(0, &["restore", "back", &format!("cp-{last}"), "--yes"]);
    assert!(said.contains("the run is completed again at once: nothing of it is left to run"), "{said}");
    assert!(said.contains("and completed; what came after") && !said.contains("To go on"), "{said}");
}

#[test]
fn what_has_ended_is_shown_and_not_acted_on() {
    let (sandbox, _) = changed();
    let refused = sandbox.run(&["ctl", "back", "pause"]);
    assert_eq!(refused.code, Some(5));
    let short = state(&sandbox, "back").summary().short_id();
    assert!(
        refused.stderr.contains(&format!(
            "it is completed. To look at it: holdpoint show {short}\nor in the console: holdpoint\n"
        )),
        "{}",
        refused.stderr
    );
    let listed = sandbox.json(&["runs", "--format", "json"]);
    assert!(listed[0].get("damaged").is_none(), "nobody has checked: {listed}");
    // What a person did is said in words.
    let shown = sandbox.ok(0, &["show", "back"]);
    assert!(shown.contains("retried gate") && shown.contains("removed c") && !shown.contains("remove_step"), "{shown}");
}

#[test]
fn versions_are_listed_and_compared() {
    let (sandbox, _) = changed();
    let listed = sandbox.ok(0, &["versions", "back"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines[0].starts_with("v1") && lines[0].contains("ann") && lines[0].ends_with("opened"), "{listed}");
    assert!(lines[3].contains("- c") && lines[3].ends_with("not today"), "{listed}");
    let compared = sandbox.ok(0, &["versions", "back", "2", "4"]);
    assert_eq!(
        compared.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        ["- c", "+ n"],
        "{compared}"
    );
    assert_eq!(sandbox.ok(0, &["versions", "back", "4", "4"]), "versions 4 and 4 are the same plan\n");
    assert_eq!(sandbox.ok(0, &["versions", "back", "2"]), compared, "with the newest, unless another is named");
    let all = sandbox.json(&["versions", "back", "--format", "json"]);
    assert_eq!(
        (all.as_array().unwrap().len(), &all[3]["reason"], &all[3]["user"]),
        (4, &json!("not today"), &json!("ann"))
    );
    let one = sandbox.json(&["versions", "back", "4", "1", "--format", "json"]);
    assert_eq!((&one["from"], &one["to"]), (&json!(4), &json!(1)));
    assert!(one["changes"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with("- n")), "{one}");
    let none = sandbox.run(&["versions", "back", "9"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("the plan has no version 9: it is at version 4"), "{}", none.stderr);
}

/// `--open` is named where it would help: not for what the run as it stands refuses whoever asks, nor for what lets it go on.
#[test]
fn what_a_run_refuses_anyway_is_not_said_to_be_carried_out_with_open() {
    let sandbox = Sandbox::new();
    let done = sandbox.plan("done", json!([{"step_id": "one", "run": "true"}]));
    let left = sandbox.plan(
        "left",
        json!([{"step_id": "one", "run": "exit 1", "on_failure": "pause"}, {"step_id": "two", "run": "true"}]),
    );
    sandbox.ok(0, &["run", &done, "--headless"]);
    sandbox.ok(4, &["run", &left, "--headless"]);
    let told = |arguments: &[&str]| {
        let ended = sandbox.run(&[&["ctl"], arguments].concat());
        assert_eq!(ended.code, Some(5), "{arguments:?}: {}", ended.stderr);
        ended.stderr
    };
    const HELPS: &str = "With --open the command is carried out all the same";
    let pause = told(&["done", "pause"]);
    assert!(pause.contains("is not live: it is completed"), "{pause}");
    assert!(pause.contains("only a running run can be paused; this one is completed"), "{pause}");
    assert!(!pause.contains(HELPS), "{pause}");
    for refused in
        [&["done", "skip", "one"][..], &["done", "restore", "cp-999"], &["left", "release", "two"], &["left", "resume"]]
    {
        let said = told(refused);
        assert!(!said.contains(HELPS), "{refused:?}: {said}");
    }
    for taken in [&["left", "skip", "one"][..], &["done", "retry", "one", "--downstream"], &["left", "cancel"]] {
        let said = told(taken);
        assert!(said.contains(HELPS), "{taken:?}: {said}");
    }
}

/// Nobody has the run open: a command opens it for itself alone, starts nothing and leaves it to `resume`.
#[test]
fn a_run_that_nobody_has_open_is_acted_on_without_starting_anything() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "left",
        json!([{"step_id": "one", "run": "test -e open", "on_failure": "pause"}, {"step_id": "two", "run": "echo two >> ran"}]),
    );
    assert_eq!(sandbox.run(&["run", &plan, "--headless"]).code, Some(4));
    let refused = sandbox.run(&["ctl", "left", "skip", "one"]);
    assert_eq!(refused.code, Some(5));
    assert!(refused.stderr.contains("is not live") && refused.stderr.contains("--open"), "{}", refused.stderr);
    let preview = sandbox.ok(0, &["ctl", "left", "skip", "one", "--open", "--preview"]);
    assert!(preview.contains("one: failed → skipped") && !preview.contains("starts at once"), "{preview}");

    // By itself, a skip answers what the run was paused for, and it would go on.
    let said = sandbox.ok(0, &["ctl", "left", "skip", "one", "--open"]);
    assert!(
        said.contains(
            "the run was opened for this alone and is paused; nothing was started. To go on: holdpoint resume"
        ),
        "{said}"
    );
    let now = state(&sandbox, "left");
    assert_eq!((now.status, now.step("two").unwrap().1.attempts.len()), (RunStatus::Paused, 0));
    sandbox.ok(0, &["ctl", "left", "undo", "--open"]);
    assert_eq!(state(&sandbox, "left").step("one").unwrap().1.status.word(), "failed");
    let answer: Value =
        serde_json::from_str(&sandbox.ok(0, &["ctl", "left", "retry", "one", "--open", "--format", "json"])).unwrap();
    assert_eq!((&answer["applied"], &answer["opened_here"]), (&json!(true), &json!(true)));
    let now = state(&sandbox, "left");
    assert_eq!(
        (now.status, now.step("one").unwrap().1.status.word()),
        (RunStatus::Paused, "pending"),
        "it is only queued"
    );
    assert_eq!(now.step("one").unwrap().1.attempts.len(), 1);
    assert_eq!(sandbox.run(&["ctl", "left", "resume", "--open"]).code, Some(2), "that is what `resume` is for");
    let refused = sandbox.run(&["ctl", "left", "release", "one", "--open"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("refused: `one` is pending, not held"), "{}", refused.stderr);
    std::fs::write(sandbox.path().join("open"), "").unwrap();
    sandbox.ok(0, &["resume", "left"]);
    assert_eq!(sandbox.read("ran"), "two\n");
}

#[test]
fn undo_takes_a_version_or_the_id_of_an_intervention() {
    let (sandbox, _) = changed();
    let hint = sandbox.run(&["ctl", "back", "undo", "third", "--open"]);
    assert_eq!(hint.code, Some(2));
    assert!(
        hint.stderr.contains("neither a version of the plan, like 3, nor the id of an intervention"),
        "{}",
        hint.stderr
    );
    let overtaken = sandbox.run(&["ctl", "back", "undo", "3", "--open"]);
    assert_eq!(overtaken.code, Some(1));
    assert!(overtaken.stderr.contains("`n` is completed; it can no longer be removed"), "{}", overtaken.stderr);
    let snapshot = sandbox.snapshot();
    let log = snapshot["interventions"].as_array().unwrap();
    let removed = log.iter().find(|one| one["intervention_type"] == "remove_step").unwrap();
    let id = removed["intervention_id"].as_str().unwrap();
    let said = sandbox.ok(0, &["ctl", "back", "undo", id, "--open"]);
    assert!(said.starts_with("applied: the intervention is undone\n"), "{said}");
    let undone = state(&sandbox, "back");
    assert_eq!(
        (undone.step("c").unwrap().1.status.word(), undone.plan_version),
        ("pending", 5),
        "it is in the plan again"
    );
    assert_eq!(
        sandbox.ok(1, &["ctl", "back", "undo", "4", "--open", "--format", "json"]).matches("is undone already").count(),
        1
    );
}

/// Cuts a line out of the middle of what is on the disk: from there on the journal is not to be trusted.
#[test]
fn a_damaged_run_names_its_last_good_checkpoint_and_is_forked_from_there() {
    let (sandbox, id) = changed();
    let damaged = state(&sandbox, "back");
    let path = sandbox.run_dir().join("journal.jsonl");
    let text = sandbox.journal();
    let broken: Vec<String> = (text.lines().enumerate())
        .map(
            |(number, line)| {
                if number == text.lines().count() - 4 { line.replacen('"', "'", 1) } else { line.to_owned() }
            },
        )
        .collect();
    std::fs::write(&path, broken.join("\n") + "\n").unwrap();
    for file in std::fs::read_dir(sandbox.run_dir()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("checkpoint-") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let before = sandbox.journal();
    let verified = sandbox.run(&["verify", "back"]);
    assert_eq!(verified.code, Some(1));
    let said = verified.text();
    let line = said
        .lines()
        .find(|line| line.starts_with("the last good checkpoint is cp-"))
        .unwrap_or_else(|| panic!("{said}"));
    let good = line.split_whitespace().find(|word| word.starts_with("cp-")).unwrap().trim_end_matches(';');
    assert!(line.contains(&format!("holdpoint restore {} {good} --fork", damaged.summary().short_id())), "{line}");
    for checkpoint in [good, id.as_str()] {
        let run = damaged.run_id.to_string();
        let forked = sandbox.ok(0, &["restore", &run, checkpoint, "--fork"]);
        assert!(forked.contains("It is idle"), "{forked}");
        let fork = state(&sandbox, "latest");
        assert_eq!(fork.parent.map(|(run, _)| run), Some(damaged.run_id));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "the damaged run is only read");
    let refused = sandbox.run(&["restore", &damaged.run_id.to_string(), &id, "--yes"]);
    assert_ne!(refused.code, Some(0), "and is not gone back with");
    assert!(refused.stderr.contains("is damaged at line") && refused.stderr.contains("--fork"), "{}", refused.stderr);
}

#[test]
fn the_schema_beside_the_plans_is_no_plan() {
    let sandbox = Sandbox::new();
    sandbox.plan("fine", json!([{"step_id": "a", "run": "true"}]));
    let schema = sandbox.ok(0, &["schema"]);
    sandbox.plan_text("plan.schema", &schema);
    let said = sandbox.ok(0, &["check", "plans/fine.json", "plans/plan.schema.json"]);
    assert!(said.contains("fine, 1 step") && said.contains("this is the schema, not a plan; skipped"), "{said}");
    let shown = sandbox.json(&["check", "plans/plan.schema.json", "--format", "json"]);
    assert_eq!((&shown[0]["ok"], &shown[0]["skipped"]), (&json!(true), &json!("this is the schema, not a plan")));
    let run = sandbox.run(&["run", "plans/plan.schema.json", "--headless"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("is the schema, not a plan"), "{}", run.stderr);
    // A plan may name its schema; one that names a dialect and has steps is held to be a plan.
    sandbox.plan_text(
        "odd",
        r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "plan_id": "odd", "stepz": [], "steps": []}"#,
    );
    assert_eq!(sandbox.run(&["check", "odd"]).code, Some(2));
}

/// What is offered would be taken.
#[test]
fn a_run_that_has_ended_says_what_opens_it_again() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "ends",
        json!([{"step_id": "one", "run": "false", "on_failure": "fail"}, {"step_id": "two", "run": "true"}]),
    );
    assert_eq!(sandbox.run(&["run", &plan, "--headless"]).code, Some(1));
    let shown = sandbox.ok(0, &["show", "ends"]);
    assert!(shown.contains("What opens it again:") && !shown.contains("waits for a person"), "{shown}");

    let plan = sandbox.plan(
        "called",
        json!([{"step_id": "one", "run": "false", "on_failure": "pause"}, {"step_id": "two", "run": "true"}]),
    );
    assert_eq!(sandbox.run(&["run", &plan, "--headless"]).code, Some(4));
    sandbox.ok(0, &["ctl", "called", "retry", "one", "--open"]);
    sandbox.ok(0, &["ctl", "called", "cancel", "--open"]);
    let shown = sandbox.ok(0, &["show", "called"]);
    assert!(shown.contains("CANCELLED") && !shown.contains("waits for a person"), "{shown}");
    let way =
        shown.lines().find(|line| line.trim().starts_with("holdpoint restore")).unwrap_or_else(|| panic!("{shown}"));
    let words: Vec<&str> = way.split_whitespace().skip(1).chain(["--yes"]).collect();
    sandbox.ok(0, &words);
}

/// Three steps; the first two can be undone, the third fails.
fn undoable(sandbox: &Sandbox) -> String {
    let step = |id: &str| json!({"step_id": id, "run": format!("echo {id} >> ran"), "rollback": {"run": format!("echo undo {id} >> ran")}});
    sandbox.plan("shipment", json!([step("a"), step("b"), {"step_id": "c", "run": "exit 3"}]))
}

#[test]
fn a_failure_is_rolled_back_when_the_command_line_says_so() {
    let sandbox = Sandbox::new();
    let plan = undoable(&sandbox);
    let told = sandbox.ok(1, &["run", &plan, "--headless", "--on-failure", "rollback"]);
    assert!(told.contains("rolling back b and a, because c failed: exit status 3"), "{told}");
    assert!(told.contains("because   c failed: exit status 3; rolled back: b, a"), "{told}");
    assert_eq!(sandbox.read("ran"), "a\nb\nundo b\nundo a\n");
    let shown = sandbox.snapshot();
    assert_eq!((&shown["rolling_back"], &shown["orchestration_state"]), (&json!(false), &json!("failed")));
    assert_eq!(shown["steps"][0]["rolled_back"], true);
    assert!(sandbox.ok(0, &["output", "shipment", "rollback.a"]).is_empty(), "a step like any other");
    let refused = sandbox.run(&["resume", "shipment", "--rollback"]);
    assert!(refused.stderr.contains("what could be was rolled back already"), "{}", refused.stderr);
    // What was undone is done again before what had failed.
    sandbox.ok(0, &["resume", "shipment", "--skip", "c"]);
    assert_eq!(sandbox.read("ran"), "a\nb\nundo b\nundo a\na\nb\n");
}

#[test]
fn a_paused_run_is_rolled_back_on_demand_after_its_preview() {
    let sandbox = Sandbox::new();
    let plan = undoable(&sandbox);
    assert_eq!(sandbox.run(&["run", &plan, "--headless", "--on-failure", "pause"]).code, Some(4));
    let preview = sandbox.ok(0, &["ctl", "shipment", "rollback", "--open", "--preview"]);
    let lines: Vec<&str> = preview.lines().map(str::trim).collect();
    assert_eq!(
        lines[..3],
        ["rolls back, one after the other:", "1. b: echo undo b >> ran", "2. a: echo undo a >> ran"]
    );
    // Who only comes to say something leaves the run paused: what was asked for begins when somebody goes on with it.
    sandbox.ok(0, &["ctl", "shipment", "rollback", "--open", "--reason", "wrong host"]);
    let found = state(&sandbox, "shipment");
    assert!(found.rolling_back && found.status == RunStatus::Paused, "{:?}", found.paused);
    assert_eq!(sandbox.read("ran"), "a\nb\n");
    let why = sandbox.ok(0, &["why", "shipment", "b"]);
    assert!(why.contains("b is completed, and rollback.b is to undo it"), "{why}");
    sandbox.ok(1, &["resume", "shipment", "--headless"]);
    assert_eq!(sandbox.read("ran"), "a\nb\nundo b\nundo a\n");
}

#[test]
fn what_waits_for_a_resume_is_said_with_the_command_that_resumes_it() {
    let sandbox = Sandbox::new();
    let fails = json!({"step_id": "gate", "run": "test -e open", "on_failure": "pause"});
    let plan = sandbox.plan("waits", json!([fails, {"step_id": "last", "run": "true", "hold": "look"}]));
    assert_eq!(sandbox.run(&["run", &plan, "--headless"]).code, Some(4));
    // It stays paused: nobody is there to run it.
    let said = sandbox.ok(0, &["ctl", "waits", "retry", "gate", "--open"]);
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("applied: gate runs again when the run is resumed: `holdpoint resume "), "{said}");
    let said = sandbox.ok(0, &["ctl", "waits", "modify", "last", r#"{"timeout_seconds": 9}"#, "--open"]);
    assert!(said.starts_with("applied: last is changed\n"), "{said}");
}
