//! The subcommands, through the real binary.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli_support::{Sandbox, wait_for_end};

#[test]
fn a_bad_plan_is_told_in_full_and_starts_nothing() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan_text(
        "bad",
        "{\n  \"plan_id\": \"bad\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"true\", \"timeout_secnods\": 3},\n    \
         {\"step_id\": \"b\", \"run\": \"true\", \"depends_on\": [\"aa\"]}\n  ]\n}\n",
    );
    for arguments in [
        &["check", plan.as_str()][..],
        &["run", plan.as_str(), "--headless"],
        &["run", plan.as_str(), "--format", "jsonl"],
    ] {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("timeout_secnods") && ended.stderr.contains("timeout_seconds"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("bad.json:4:") && ended.stderr.contains("bad.json:5:"),
            "both problems: {}",
            ended.stderr
        );
        if arguments[0] == "run" {
            assert!(ended.stdout.is_empty(), "{}", ended.text());
        }
    }
    assert!(!sandbox.path().join("checkpoints").exists(), "nothing was written");
    let checked = sandbox.run(&["check", &plan, "--format", "json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&checked[0]["ok"], &checked[0]["diagnostics"][0]["line"]), (&json!(false), &json!(4)));
}

#[test]
fn check_takes_many_plans_and_names() {
    let sandbox = Sandbox::new();
    sandbox.plan("fine", json!([{"step_id": "a", "run": "true"}]));
    sandbox.plan_text("broken", "{\"plan_id\": ");
    assert!(sandbox.ok(0, &["check", "fine"]).contains("fine, 1 step"));
    assert!(sandbox.ok(0, &["check", "plans/fine.json"]).contains("fine, 1 step"));
    let ended = sandbox.run(&["check", "fine", "broken", "missing"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.text().contains("fine, 1 step") && ended.stderr.contains("no plan `missing`"),
        "{}{}",
        ended.text(),
        ended.stderr
    );
    let ended = sandbox.run(&["check", "fime"]);
    assert!(ended.stderr.contains("did you mean `fine`?"), "{}", ended.stderr);
}

#[test]
fn wrong_usage_is_two_and_help_is_zero() {
    let sandbox = Sandbox::new();
    assert!(sandbox.ok(0, &["--help"]).contains("Exit codes"));
    assert!(sandbox.ok(0, &["--version"]).starts_with("holdpoint "));
    for arguments in [
        &["run"][..],
        &["runs", "--nonsense"],
        &["check"],
        &["show"],
        &["run", "x", "--max-parallel", "0"],
        &["plans/x.json", "runs"],
    ] {
        assert_eq!(sandbox.run(arguments).code, Some(2), "{arguments:?}");
    }
    let ended = sandbox.run(&["chekc"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("did you mean `check`?"), "{}", ended.stderr);
    // There is no terminal here to show the console on.
    let ended = sandbox.run(&[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("needs a terminal"), "{}", ended.stderr);
}

#[test]
fn a_missing_run_is_said_with_how_to_find_one() {
    let sandbox = Sandbox::new();
    for (arguments, missing) in [
        (&["verify"][..], "RUN is missing"),
        (&["show"], "RUN is missing"),
        (&["why"], "RUN and STEP are missing"),
        (&["checkpoint", "show"], "RUN and ID are missing"),
    ] {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        let usage = format!("Usage: holdpoint {} <RUN>", arguments.join(" "));
        for said in ["holdpoint: ", missing, "`holdpoint runs` lists the runs", "`latest`", &usage] {
            assert!(ended.stderr.contains(said), "{said:?} of {arguments:?}: {}", ended.stderr);
        }
    }
}

/// What is set in the environment was not typed, and need not be.
#[test]
fn the_usage_in_errors_does_not_name_what_the_environment_says() {
    let sandbox = Sandbox::new();
    let set = [
        ("HOLDPOINT_USER", "eve"),
        ("HOLDPOINT_PLANS", "elsewhere"),
        ("HOLDPOINT_CHECKPOINTS", "elsewhere"),
        ("HOLDPOINT_CONFIG", "mine.toml"),
    ];
    std::fs::write(sandbox.path().join("mine.toml"), "").unwrap();
    for arguments in [&["why"][..], &["why", "latest"], &["run"], &["runs", "--nonsense"]] {
        let said = |set: &[(&str, &str)]| {
            let mut command = sandbox.command(arguments);
            let output = command.env_remove("HOLDPOINT_USER").envs(set.iter().copied()).output().unwrap();
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(said(&set), said(&[]), "{arguments:?}");
    }
    let help = sandbox.ok(0, &["--help"]);
    for (variable, value) in set {
        assert!(help.contains(variable), "{variable}: {help}");
        let mut command = sandbox.command(&["config"]);
        let shown = String::from_utf8(command.envs(set).output().unwrap().stdout).unwrap();
        assert!(shown.contains(value), "{variable}: {shown}");
        assert!(variable == "HOLDPOINT_CONFIG" || shown.contains(&format!("# ${variable}")), "{variable}: {shown}");
    }
    // What is typed goes before it, and what is set to nothing is not set.
    let mut typed = sandbox.command(&["config", "--user", "ann"]);
    let shown = String::from_utf8(typed.envs(set).env("HOLDPOINT_PLANS", "").output().unwrap().stdout).unwrap();
    assert!(shown.contains("user = \"ann\"") && shown.contains("plans = \"plans\""), "{shown}");
}

#[test]
fn what_is_made_for_shells_and_editors() {
    let sandbox = Sandbox::new();
    let schema: Value = serde_json::from_str(&sandbox.ok(0, &["schema"])).unwrap();
    assert!(schema["properties"]["steps"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.ok(0, &["completions", shell]).contains("checkpoints"), "{shell}");
    }
    assert!(sandbox.ok(0, &["man"]).contains(".TH holdpoint"));
}

#[test]
fn a_run_is_found_by_its_names() {
    let sandbox = Sandbox::new();
    for name in ["alpha", "beta"] {
        let plan = sandbox.plan(name, json!([{"step_id": "a", "run": "true"}]));
        sandbox.ok(0, &["run", &plan, "--headless"]);
    }
    let runs = sandbox.json(&["runs", "--format", "json"]);
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["plan_id"].as_str().unwrap()).collect::<Vec<_>>(), ["beta", "alpha"]);
    let (newest, oldest) = (runs[0]["run_id"].as_str().unwrap(), runs[1]["run_id"].as_str().unwrap());
    let shown = |name: &str| sandbox.json(&["show", name, "--format", "json"])["run_id"].as_str().unwrap().to_owned();
    assert_eq!(shown("latest"), newest);
    assert_eq!(shown("alpha"), oldest);
    assert_eq!(shown(oldest), oldest);
    assert_eq!(shown(&oldest[oldest.len() - 8..]), oldest);

    // Ids begin with the time, so the beginning fits both.
    let ended = sandbox.run(&["show", &oldest[..4]]);
    assert_eq!(ended.code, Some(2), "{}", ended.text());
    assert!(ended.stderr.contains(newest) && ended.stderr.contains(oldest), "{}", ended.stderr);
    assert!(ended.stderr.contains("alpha") && ended.stderr.contains("beta"), "{}", ended.stderr);

    let ended = sandbox.run(&["show", "gamma"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("`gamma`") && ended.stderr.contains("holdpoint runs"), "{}", ended.stderr);
    let elsewhere = sandbox.run(&["--checkpoints", "elsewhere", "show", "latest"]);
    assert_eq!(elsewhere.code, Some(2));
    assert!(!sandbox.path().join("elsewhere").exists(), "looking makes no folder");
}

#[test]
fn show_is_the_snapshot_of_the_older_system() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("seed", json!([{"step_id": "a", "run": "true"}, {"step_id": "b", "run": "exit 1"}]));
    sandbox.ok(4, &["run", &plan, "--headless", "--on-failure", "pause"]);
    let shown = sandbox.snapshot();
    for field in [
        "snapshot_id",
        "plan_id",
        "plan",
        "orchestration_state",
        "current_step_index",
        "completed_steps",
        "failed_steps",
        "skipped_steps",
        "checkpoints",
        "interventions",
        "timestamp",
    ] {
        assert!(shown.get(field).is_some(), "{field} is missing");
    }
    let text = sandbox.ok(0, &["show", "latest"]);
    assert!(text.contains("PAUSED") && text.contains("`b` failed: retry it") && text.contains("--retry b"), "{text}");
    assert!(text.lines().count() < 24, "one screen: {text}");

    let id = shown["checkpoints"][1]["checkpoint_id"].as_str().unwrap();
    let checkpoint = sandbox.json(&["checkpoint", "show", "latest", id]);
    for field in ["checkpoint_id", "plan_id", "step_index", "completed_steps", "plan_state", "context", "timestamp"] {
        assert!(checkpoint.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(checkpoint["completed_steps"], json!(["a"]));
    assert!(sandbox.ok(0, &["checkpoints", "latest"]).contains(id));
    assert_eq!(sandbox.run(&["checkpoint", "show", "latest", "cp-9999"]).code, Some(2));
}

#[test]
fn restore_shows_first_and_asks() {
    let sandbox = Sandbox::new();
    let plan = sandbox
        .plan("back", json!([{"step_id": "a", "run": "echo a >> ran"}, {"step_id": "b", "run": "echo b >> ran"}]));
    sandbox.ok(0, &["run", &plan, "--headless"]);
    let checkpoints = sandbox.json(&["checkpoints", "back", "--format", "json"]);
    let after_a = checkpoints.as_array().unwrap().iter().find(|one| one["step_id"] == "a").unwrap();
    let id = after_a["checkpoint_id"].as_str().unwrap();
    let before = sandbox.journal();
    let ended = sandbox.run(&["restore", "back", id]);
    assert_eq!(ended.code, Some(2), "nobody is there to ask");
    assert!(ended.text().contains("b: completed → pending"), "{}", ended.text());
    assert_eq!(sandbox.journal(), before, "nothing was changed");
    sandbox.ok(0, &["restore", "back", id, "--yes", "--reason", "b went wrong"]);
    let shown = sandbox.snapshot();
    assert_eq!((&shown["orchestration_state"], &shown["completed_steps"]), (&json!("paused"), &json!(["a"])));
    let record = shown["interventions"].as_array().unwrap().last().unwrap();
    assert_eq!((&record["intervention_type"], &record["reason"]), (&json!("restore"), &json!("b went wrong")));
    let checkpoints = sandbox.json(&["checkpoints", "back", "--format", "json"]);
    let left: Vec<(&Value, bool)> = checkpoints
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["step_id"], one["left_behind_at"].is_string()))
        .filter(|(_, left)| *left)
        .collect();
    assert_eq!(left, [(&json!("b"), true), (&json!(null), true)], "b and the run's end: {checkpoints}");
    let text = sandbox.ok(0, &["checkpoints", "back"]);
    assert_eq!(text.lines().filter(|line| line.contains("left behind")).count(), 2, "{text}");
    assert!(!text.lines().any(|line| line.contains(id) && line.contains("left behind")), "{text}");
    sandbox.ok(0, &["resume", "back"]);
    assert_eq!(sandbox.read("ran"), "a\nb\nb\n");
}

#[test]
fn output_is_what_the_attempt_wrote() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(
        "prints",
        json!([{"step_id": "a", "max_retries": 1, "retry": {"delay_seconds": 0},
                "run": "printf '\\033[31m%s\\033[0m\\007 \\377' \"$HOLDPOINT_ATTEMPT\"; test \"$HOLDPOINT_ATTEMPT\" -ge 2"},
               {"step_id": "silent", "run": "true"}]),
    );
    sandbox.ok(0, &["run", &plan, "--headless"]);
    assert_eq!(sandbox.run(&["output", "latest", "a"]).stdout, b"\x1b[31m2\x1b[0m\x07 \xff");
    assert_eq!(sandbox.run(&["output", "latest", "a", "--attempt", "1"]).stdout, b"\x1b[31m1\x1b[0m\x07 \xff");
    let none = sandbox.run(&["output", "latest", "silent"]);
    assert_eq!((none.code, none.stdout.len()), (Some(0), 0));
    let ended = sandbox.run(&["output", "latest", "a", "--attempt", "3"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("1 to 2"), "{}", ended.stderr);
    let ended = sandbox.run(&["output", "latest", "silnet"]);
    assert!(ended.stderr.contains("did you mean `silent`?"), "{}", ended.stderr);
}

#[test]
fn why_says_what_a_step_waits_for() {
    let sandbox = Sandbox::new();
    let fails = "seq 5; printf 'no such \\033[2Jhost\\n' >&2; exit 1";
    let plan = sandbox.plan("why", json!([{"step_id": "a", "run": fails}, {"step_id": "b", "run": "true"}]));
    sandbox.ok(4, &["run", &plan, "--headless", "--on-failure", "pause"]);
    let told = sandbox.ok(0, &["why", "why", "b"]);
    assert!(
        told.contains("b waits for a") && told.contains("a failed: exit status 1") && told.contains("paused"),
        "{told}"
    );
    let of_a = sandbox.ok(0, &["why", "why", "a"]);
    assert!(of_a.contains("--retry a"), "{of_a}");
    // With its last words, and no more of them than are read at a glance.
    for told in [&told, &of_a] {
        assert!(told.contains("\n  │ 4\n  │ 5\n  │ no such host\n") && !told.contains("│ 3"), "{told}");
    }
    // As data, with command lines that work.
    let answer = sandbox.json(&["why", "why", "b", "--format", "json"]);
    assert_eq!((&answer["status"], &answer["owned"]), (&json!("pending"), &json!(false)));
    let root = &answer["reasons"][1];
    assert_eq!((&root["step"], &root["who"]), (&json!("a"), &json!("operator")));
    assert_eq!((&root["attempt"], &root["last_output"]), (&json!(1), &json!(["4", "5", "no such host"])));
    let line = root["command_lines"][1].as_str().unwrap();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    assert_eq!(words[2..], ["--skip", "a"]);
    sandbox.ok(0, &words);
    assert!(sandbox.ok(0, &["why", "why", "b"]).contains("b is completed"));
    assert_eq!(sandbox.run(&["why", "why", "c"]).code, Some(2));
}

#[test]
fn why_names_what_works_on_a_run_that_another_process_has_open() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("gate", json!([{"step_id": "a", "run": "echo ran > ran", "hold": true}]));
    sandbox.ok(0, &["run", &plan, "--detach"]);
    let until = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        let answer = sandbox.json(&["why", "gate", "a", "--format", "json"]);
        if answer["status"] == "held" {
            break answer;
        }
        assert!(Instant::now() < until, "{answer:#}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let line = answer["reasons"][0]["command_lines"][0].as_str().unwrap();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    assert_eq!((words[0], &words[2..]), ("ctl", &["release", "a"][..]));
    sandbox.ok(0, &words);
    while sandbox.read("ran").is_empty() {
        assert!(Instant::now() < until, "it was released and did not run");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn verify_finds_a_careless_edit() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("edited", json!([{"step_id": "a", "run": "true"}]));
    sandbox.ok(0, &["run", &plan, "--headless"]);
    let path = sandbox.run_dir().join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"ann\"", "\"bob\"", 1)).unwrap();
    let told = sandbox.ok(1, &["verify", "latest"]);
    assert!(told.contains("journal.jsonl:2") && told.contains("not whole"), "{told}");
}

#[test]
fn nobody_panics_when_the_pipe_is_closed() {
    let sandbox = Sandbox::new();
    // More than a pipe holds.
    let steps: Vec<Value> =
        (0..400).map(|n| json!({"step_id": format!("s{n}"), "run": "exit 1", "name": "x".repeat(300)})).collect();
    let plan = sandbox.plan("long", Value::Array(steps));
    sandbox.ok(1, &["run", &plan, "--headless"]);
    for arguments in
        [&["events", "latest"][..], &["show", "latest", "--format", "json"], &["schema"], &["completions", "zsh"]]
    {
        let mut child = sandbox.start(arguments).close_stdout();
        let code = wait_for_end(&mut child).code();
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn text_of_others_cannot_act_on_the_terminal() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan_text(
        "rude",
        r#"{"plan_id": "rude", "title": "clear \u001b[2J the screen",
            "steps": [{"step_id": "a", "run": "exit 1", "name": "\u001b]0;title\u0007"}]}"#,
    );
    sandbox.ok(4, &["run", &plan, "--headless", "--on-failure", "pause"]);
    for arguments in [
        &["show", "latest"][..],
        &["runs"],
        &["plans"],
        &["why", "latest", "a"],
        &["checkpoints", "latest"],
        &["check", "rude"],
    ] {
        let ended = sandbox.run(arguments);
        assert!(
            !ended.text().contains('\u{1b}') && !ended.stderr.contains('\u{1b}'),
            "{arguments:?}: {:?}",
            ended.text()
        );
    }
}
