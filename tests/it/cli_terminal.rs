//! What the subcommands print to a terminal: lines that fit, without a word or a command line that is broken. To a pipe, the lines as programs know them.

use regex::Regex;
use serde_json::json;

use crate::cli_support::Sandbox;
use crate::pty::Session;

const COLUMNS: u16 = 80;

/// The lines that a command prints to a terminal of 80 columns, as it prints them.
fn shown(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let home = sandbox.path().to_str().unwrap();
    let env = [("HOME", home), ("HOLDPOINT_USER", "ann"), ("TZ", "UTC")];
    let binary = env!("CARGO_BIN_EXE_holdpoint");
    let mut session = Session::start_in(sandbox.path(), binary, arguments, COLUMNS, 200, &env);
    session.wait_exit();
    let written = String::from_utf8(session.bytes()).unwrap();
    let plain = Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(&written, "").into_owned();
    plain.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A run of much to say: names, reasons and an output that no line holds. It is paused.
fn talkative() -> Sandbox {
    let sandbox = Sandbox::new();
    let prints = "for n in 1 2 3 4 5 6 7 8; do printf 'the other side refused the connection, '; done; exit 7";
    let mut steps = vec![
        json!({"step_id": "prepare-the-database", "run": "true"}),
        json!({"step_id": "gate", "run": "true", "depends_on": ["prepare-the-database"],
               "hold": "a second pair of eyes has to look at what came out of the database before it goes to the customers"}),
    ];
    for n in 1..=4 {
        steps.push(json!({"step_id": format!("ask-the-other-side-{n}"), "run": prints, "on_failure": "continue",
                          "depends_on": ["prepare-the-database"]}));
    }
    let plan = json!({"plan_id": "talkative", "steps": steps,
                      "title": "A plan whose title says at length what it is for, for whom it is, and why it takes so long"});
    let plan = sandbox.plan_text("talkative", &plan.to_string());
    sandbox.ok(4, &["run", &plan, "--headless"]);
    sandbox.ok(
        0,
        &[
            "ctl",
            "latest",
            "skip",
            "ask-the-other-side-4",
            "--open",
            "--reason",
            "nobody needs what the fourth one says this week",
        ],
    );
    sandbox
}

#[test]
fn no_line_is_wider_than_the_terminal_but_a_command_which_is_never_broken() {
    let sandbox = talkative();
    for arguments in [
        &["show", "latest"][..],
        &["runs"],
        &["why", "latest", "gate"],
        &["why", "latest", "ask-the-other-side-1"],
        &["checkpoints", "latest"],
        &["versions", "latest"],
        &["plans"],
        &["ctl", "latest", "release", "gate"],
        &["verify", "latest"],
        &["show", "nothing-that-has-ever-run-here"],
        &["resume", "latest", "--headless"],
    ] {
        let lines = shown(&sandbox, arguments);
        let said = lines.join("\n");
        let wide = |line: &&String| line.chars().count() > usize::from(COLUMNS);
        for line in lines.iter().filter(wide) {
            // Or a name that has no place to break.
            let whole = line.trim_start().starts_with("holdpoint ") || words(line).len() == 1;
            assert!(whole, "{arguments:?}: {line:?} of\n{said}");
        }
        // As a pipe has it, a command line is on one line, with all that belongs to it.
        let piped = sandbox.run(arguments);
        let piped = format!("{}{}", piped.text(), piped.stderr);
        for command in piped.lines().filter(|line| line.starts_with("  holdpoint ")) {
            assert!(lines.iter().any(|line| line == command), "{arguments:?}: {command:?} is not in\n{said}");
        }
    }
}

#[test]
fn prose_on_a_terminal_says_what_it_says_to_a_pipe() {
    let sandbox = talkative();
    let age = Regex::new(r"\(since [^)]*\)").unwrap();
    for step in ["gate", "ask-the-other-side-1"] {
        let shown = shown(&sandbox, &["why", "latest", step]).join("\n").replace("  │ ", "");
        let piped = sandbox.ok(0, &["why", "latest", step]);
        assert!(piped.lines().any(|line| line.chars().count() > usize::from(COLUMNS)), "nothing is long: {piped}");
        let without_age = |text: &str| age.replace_all(&words(text).join(" "), "").into_owned();
        assert_eq!(without_age(&shown), without_age(&piped.replace("  │ ", "")));
    }
    let shown = shown(&sandbox, &["show", "latest"]);
    let title: String = shown.iter().take(2).map(|line| format!("{} ", line.trim())).collect();
    assert!(title.ends_with("and why it takes so long "), "{title:?}");
    assert!(shown[1].starts_with("  "), "it hangs: {shown:?}");
}

#[test]
fn a_checkpoint_has_one_time_on_a_terminal() {
    let sandbox = talkative();
    let time = Regex::new(r"\d\d:\d\d(:\d\d)?").unwrap();
    let lines = shown(&sandbox, &["checkpoints", "latest"]);
    assert!(lines[0].starts_with("cp-"), "{lines:?}");
    for line in lines.iter().filter(|line| line.starts_with("cp-")) {
        let times: Vec<&str> = time.find_iter(line).map(|found| found.as_str()).collect();
        assert!(times.len() == 1 && times[0].len() == "14:02:13".len(), "{line:?}");
    }
    // Programs count the columns.
    let twice = Regex::new(r"^cp-\d+ +\d+/\d+  \d\d:\d\d  \d\d:\d\d:\d\d  ").unwrap();
    let piped = sandbox.ok(0, &["checkpoints", "latest"]);
    assert!(piped.lines().all(|line| twice.is_match(line)), "{piped}");
}

/// One word and one time for the beginning of a run, wherever it is looked at.
#[test]
fn the_list_of_runs_has_a_heading_on_a_terminal_and_the_times_that_show_has() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("begun", json!([{"step_id": "one", "run": "true"}]));
    sandbox.ok(0, &["run", &plan, "--headless"]);
    let checkpoints = sandbox.json(&["checkpoints", "begun", "--format", "json"]);
    let first = checkpoints[0]["checkpoint_id"].as_str().unwrap();
    let original = sandbox.snapshot()["run_id"].as_str().unwrap().to_owned();
    sandbox.ok(0, &["restore", &original, first, "--fork"]);

    let lines = shown(&sandbox, &["runs"]);
    let (heading, [fork, run]) = (&lines[0], [&lines[1], &lines[2]]);
    assert_eq!(words(heading)[..4], ["run", "state", "steps", "started"], "{lines:?}");
    let cell = |line: &str| {
        let at = heading.find("started").unwrap();
        line.chars().skip(at).take("started".len()).collect::<String>().trim().to_owned()
    };
    let of = |name: &str| shown(&sandbox, &["show", name]).join(" ");
    let word = Regex::new(r"started (\d\d:\d\d)").unwrap();
    assert_eq!(word.captures(&of(&original)).expect("it has started")[1], cell(run));
    // A fork begins where the other run was, and starts when somebody starts it.
    assert_eq!(cell(fork), "not yet", "{lines:?}");
    let of_fork = of("latest");
    assert!(of_fork.contains("opened by ann ") && !word.is_match(&of_fork), "{of_fork}");

    let piped = sandbox.ok(0, &["runs"]);
    let opened = Regex::new(r"^[0-9a-f]{8}  \w+ +\d/1  \d\d:\d\d  ").unwrap();
    assert!(piped.lines().take(2).all(|line| opened.is_match(line)), "{piped}");
}
