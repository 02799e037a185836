//! The operator's configuration, through the real program: keys, theme, notifications and defaults.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli_support::Sandbox;
use crate::console::{events, field, has, open};
use crate::pty::Session;

/// The console in a folder, with something more in its environment.
fn open_with(dir: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Session {
    let home = dir.to_str().unwrap().to_owned();
    let mut environment = vec![("HOLDPOINT_USER", "ann"), ("HOME", home.as_str())];
    environment.extend(more);
    Session::start_in(dir, env!("CARGO_BIN_EXE_holdpoint"), arguments, 120, 36, &environment)
}

#[test]
fn all_mistakes_are_told_with_their_place_and_nothing_starts() {
    let sandbox = Sandbox::new();
    let text = "[keys]\npaus = \"F2\"\nskip = \"r\"\n[theme]\nname = \"drak\"\n";
    std::fs::write(sandbox.path().join("mine.toml"), text).unwrap();
    let ended = sandbox.run(&["--config", "mine.toml", "runs"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for said in [
        "mine.toml:2: there is no action `paus`: did you mean `pause`?",
        "mine.toml:3: `r` would be the key of `retry` and of `skip` in the same place",
        "mine.toml:5: there is no theme \"drak\"",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let ended = sandbox.run(&["--config", "absent.toml", "runs"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("absent.toml cannot be read"), "{}", ended.stderr);
}

#[test]
fn the_effective_configuration_says_where_each_value_comes_from() {
    let sandbox = Sandbox::new();
    let text = "[defaults]\nuser = \"ann\"\nplans = \"ops\"\nmax_parallel = 3\n[keys]\npause = \"F2\"\nwhy = \"\"\n\
        [alerts]\nfailures = 5\n[[hooks]]\non = \"alert\"\nurl = \"https://example.com/in\"\nsecret_env = \"NOT_SET\"\n";
    std::fs::write(sandbox.path().join("mine.toml"), text).unwrap();
    let arguments = ["--config", "mine.toml", "--checkpoints", "c", "config", "--format", "json"];
    let ended = sandbox.run(&arguments);
    let all: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let of = |name: &str| {
        let settings = all["settings"].as_array().unwrap();
        let found = settings.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is missing"));
        (found["value"].clone(), found["place"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("defaults.plans"), (json!("ops"), "mine.toml:3".into()));
    assert_eq!(of("defaults.max_parallel"), (json!(3), "mine.toml:4".into()));
    assert_eq!(of("defaults.checkpoints"), (json!("c"), "--checkpoints".into()));
    assert_eq!(of("defaults.durability"), (json!("full"), "default".into()));
    assert_eq!(of("keys.pause"), (json!("F2"), "mine.toml:6".into()));
    assert_eq!(of("keys.why").0, json!(""));
    assert_eq!(of("theme.name"), (json!("auto"), "default".into()));
    assert_eq!(of("alerts.failures"), (json!(5), "mine.toml:9".into()));
    assert_eq!(of("alerts.interventions").1, "default");
    assert_eq!(of("hooks.1.url"), (json!("https://example.com/in"), "mine.toml:12".into()));
    assert_eq!(of("hooks.1.secret_env").0, json!("NOT_SET"), "the name, never what it holds");
    // What it prints for people is a configuration itself, which says the same.
    let printed = sandbox.run(&["--config", "mine.toml", "--user", "bob", "config"]);
    assert!(printed.text().contains("user = \"bob\"") && printed.text().contains("# --user"), "{}", printed.text());
    std::fs::write(sandbox.path().join("again.toml"), &printed.stdout).unwrap();
    let again = sandbox.run(&["--config", "again.toml", "config", "--format", "json"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["settings"].as_array().unwrap().len(), all["settings"].as_array().unwrap().len());
}

#[test]
fn a_remapped_key_does_it_and_is_the_one_that_is_shown() {
    let field = field(json!([{"step_id": "slow", "run": "sleep 600"}]));
    let folder = field.path().join(".config/holdpoint");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[keys]\npause = \"Y\"\nresume = \"Y\"\nstart = [\"Y\", \"Enter\"]\n";
    std::fs::write(folder.join("config.toml"), text).unwrap();
    let mut console = open(field.path(), &["plans/trial.json"]);
    console.wait_for_text("● running");
    console.wait_for_text("Y pause");
    console.press("Y");
    console.wait_for_text("PAUSED");
    assert!(has(&events(field.path()), "run_paused"));
}

#[test]
fn the_theme_follows_the_terminal_and_no_key_is_lost_meanwhile() {
    let field = field(json!([{"step_id": "one", "run": "true"}]));
    let mut console = open_with(field.path(), &[], &[("COLORTERM", "truecolor")]);
    console.wait_for_bytes(b"\x1b]11;?\x1b\\");
    console.press("?\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\\x1b[?62c");
    console.wait_for_text("back, out of what was opened");
    // The accent of the light theme.
    console.wait_for_bytes(b"38;2;109;40;217");
    assert!(!console.screen_text().contains("rgb:"));
}

#[test]
fn the_tour_is_put_away_for_good() {
    let field = field(json!([{"step_id": "one", "run": "true"}]));
    let state = field.path().join("state");
    let shown = [("HOLDPOINT_TOUR", "on"), ("XDG_STATE_HOME", state.to_str().unwrap())];
    let mut console = open_with(field.path(), &[], &shown);
    console.wait_for_text("New here?");
    console.keys("<Esc>");
    console.wait_for("the tour to be gone", |screen| !screen.contents().contains("New here?"));
    console.press("q");
    console.wait_exit();
    let mut console = open_with(field.path(), &[], &shown);
    console.wait_for_text("trial");
    assert!(!console.screen_text().contains("New here?"));
}

#[test]
fn a_command_is_told_what_waits() {
    let field = field(json!([{"step_id": "ship", "run": "true", "hold": "second pair of eyes"}]));
    let told = field.path().join("told");
    let text = format!("[notifications]\nbell = false\ncommand = \"echo \\\"$1\\\" >> '{}'\"\n", told.display());
    std::fs::write(field.path().join("mine.toml"), text).unwrap();
    let mut console = open_with(field.path(), &["--config", "mine.toml", "plans/trial.json"], &[]);
    console.wait_for_text("PAUSED");
    let written = || std::fs::read_to_string(&told).is_ok_and(|text| text.contains("waits for you"));
    console.wait_for("the command", |_| written());
}
