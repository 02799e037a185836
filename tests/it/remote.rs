//! A run in one process, operators in others: real processes, real sockets, real terminals.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use holdpoint::journal::{Owner, Store};
use holdpoint::run::{ChangeCause, Intervention, InterventionStatus, Inverse, RunState, RunStatus};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::{Value, json};

use crate::cli_support::Sandbox;
use crate::pty::Session;

/// Nothing here takes long; whoever waits this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A step that lasts until a file appears in the sandbox.
fn waits(id: &str, file: &str) -> Value {
    json!({"step_id": id, "run": format!("while [ ! -e {file} ]; do sleep 0.02; done")})
}

fn go(sandbox: &Sandbox, file: &str) {
    std::fs::write(sandbox.path().join(file), "").unwrap();
}

/// Starts a run in the background. Its process is stopped when the test ends, however it ends.
struct Background<'a> {
    sandbox: &'a Sandbox,
    pid: u32,
}

impl<'a> Background<'a> {
    fn start(sandbox: &'a Sandbox, plan: &str) -> Self {
        let said = sandbox.ok(0, &["run", plan, "--detach"]);
        let pid = said.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{said}"));
        Self { sandbox, pid }
    }

    fn owner(&self) -> Option<Owner> {
        Store::at(self.sandbox.path().join("checkpoints")).owner(&self.sandbox.run_dir())
    }

    fn address(&self) -> PathBuf {
        self.owner().and_then(|owner| owner.address).expect("a run in the background has a socket")
    }

    fn is_alive(&self) -> bool {
        // One that nobody has waited for is still in the table of processes.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
    }

    fn wait_for_end(&self) {
        until("the process in the background ends", || (!self.is_alive()).then_some(()));
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if self.is_alive() {
            self.signal(rustix::process::Signal::KILL);
        }
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn state(sandbox: &Sandbox) -> RunState {
    Store::at(sandbox.path().join("checkpoints")).load(&sandbox.run_dir()).unwrap().state
}

fn wait_for_status(sandbox: &Sandbox, status: RunStatus) {
    until(&format!("the run is {}", status.word()), || (state(sandbox).status == status).then_some(()));
}

fn console(sandbox: &Sandbox, user: &str, arguments: &[&str]) -> Session {
    let home = sandbox.path().to_str().unwrap().to_owned();
    let environment = [("HOLDPOINT_USER", user), ("HOME", home.as_str())];
    Session::start_in(sandbox.path(), env!("CARGO_BIN_EXE_holdpoint"), arguments, 120, 36, &environment)
}

#[test]
fn a_run_in_the_background_is_steered_from_another_terminal_and_ends_by_itself() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("background", json!([waits("one", "go"), {"step_id": "two", "run": "echo as opened"}]));
    let background = Background::start(&sandbox, &plan);
    assert_eq!(state(&sandbox).status, RunStatus::Running, "it has started when the command returns");

    let preview = sandbox.ok(0, &["ctl", "latest", "modify", "two", r#"{"run": "echo changed"}"#, "--preview"]);
    assert!(preview.contains("the plan becomes version 2") && preview.contains("~ two: run"), "{preview}");
    assert_eq!(state(&sandbox).plan_version, 1, "a preview changes nothing");

    let said =
        sandbox.ok(0, &["ctl", "latest", "modify", "two", r#"{"run": "echo changed"}"#, "--reason", "wrong host"]);
    assert_eq!(said, "applied: two is changed\n");
    let refused = sandbox.run(&["ctl", "latest", "remove", "one"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("`one` is running; it can no longer be removed"), "{}", refused.stderr);
    let stale: Value = serde_json::from_str(
        &sandbox.ok(1, &["ctl", "latest", "skip", "two", "--expected-version", "1", "--format", "json"]),
    )
    .unwrap();
    assert_eq!((&stale["applied"], &stale["error"]["code"]), (&json!(false), &json!("stale")));

    go(&sandbox, "go");
    background.wait_for_end();
    let snapshot = sandbox.snapshot();
    assert_eq!(snapshot["orchestration_state"], "completed");
    assert_eq!(sandbox.ok(0, &["output", "latest", "two"]), "changed\n");
    let log = snapshot["interventions"].as_array().unwrap();
    assert!(log.iter().any(|one| one["reason"] == "wrong host" && one["user"] == "ann"), "{log:?}");
    let late = sandbox.run(&["ctl", "latest", "pause"]);
    assert_eq!(late.code, Some(5));
    assert!(late.stderr.contains("is not live: it is completed"), "{}", late.stderr);
}

#[test]
fn a_run_in_the_background_that_waits_for_a_person_stays_and_one_that_is_told_to_stop_pauses() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("waits", json!([{"step_id": "one", "run": "exit 3"}, waits("two", "go")]));
    let background = Background::start(&sandbox, &plan);
    wait_for_status(&sandbox, RunStatus::Paused);
    sandbox.ok(0, &["ctl", "latest", "skip", "one"]);
    wait_for_status(&sandbox, RunStatus::Running);
    background.signal(rustix::process::Signal::TERM);
    background.wait_for_end();
    let state = state(&sandbox);
    assert_eq!((state.status, state.counts().live()), (RunStatus::Paused, 0));
    let socket = background.owner();
    assert!(socket.is_none(), "its lock is free");
    let late = sandbox.run(&["ctl", "latest", "resume"]);
    assert_eq!(late.code, Some(5));
    assert!(late.stderr.contains("To go on with it: holdpoint resume"), "{}", late.stderr);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_left_in_the_background() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan_text("broken", r#"{"plan_id": "broken", "steps": [{"step_id": "a", "rnu": "true"}]}"#);
    let ended = sandbox.run(&["run", &plan, "--detach"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("rnu") && ended.stderr.contains("nothing was started"), "{}", ended.stderr);
    assert!(!sandbox.path().join("checkpoints").exists());
    for (arguments, said) in [
        (&["ctl", "latest", "pause"][..], "there are no runs"),
        (&["ctl", "x", "modify", "a", "{"], "the patch is not JSON"),
        (&["ctl", "x", "modify", "a", "@nowhere.json"], "the patch cannot be read from nowhere.json"),
        (&["ctl", "x", "restore", "42nd"], "`42nd` is no checkpoint; they are called like cp-42"),
    ] {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
}

/// Ten operators at the same run: add, modify, reorder and skip against each other, with and without the version they saw.
#[test]
fn ten_operators_at_once_lose_nothing_and_each_command_is_answered_once() {
    const OPERATORS: usize = 10;
    let sandbox = Sandbox::new();
    let mut steps = vec![waits("gate", "go")];
    steps.extend((0..OPERATORS).map(|n| json!({"step_id": format!("s{n}"), "run": "true"})));
    let plan = sandbox.plan("many", json!(steps));
    let background = Background::start(&sandbox, &plan);
    let answers: Mutex<Vec<(String, Value)>> = Mutex::default();
    std::thread::scope(|scope| {
        for n in 0..OPERATORS {
            let (sandbox, answers) = (&sandbox, &answers);
            scope.spawn(move || {
                let (own, other) = (format!("s{n}"), format!("s{}", (n + 1) % OPERATORS));
                let added = json!({"step_id": format!("new{n}"), "run": "true"}).to_string();
                let patch = json!({"name": format!("named by {n}")}).to_string();
                let version = state(sandbox).plan_version.to_string();
                let commands: Vec<Vec<&str>> = vec![
                    vec!["add", &added, "--after", &own],
                    vec!["modify", &own, &patch],
                    vec!["modify", &other, &patch, "--expected-version", &version],
                    vec!["reorder", &other, &own],
                    vec!["skip", if n % 2 == 0 { &own } else { &other }],
                    vec!["undo"],
                ];
                for (number, command) in commands.iter().enumerate() {
                    let id = format!("{n}-{number}");
                    let user = format!("operator{n}");
                    let mut arguments = vec!["ctl", "latest"];
                    arguments.extend(command);
                    arguments.extend(["--command-id", &id, "--user", &user, "--format", "json"]);
                    let ended = sandbox.run(&arguments);
                    let answer: Value = serde_json::from_str(&ended.text())
                        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {} {}", ended.text(), ended.stderr));
                    let applied = answer["applied"] == true;
                    assert_eq!(ended.code, Some(i32::from(!applied)), "{answer}");
                    answers.lock().unwrap().push((id, answer));
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), OPERATORS * 6);
    go(&sandbox, "go");
    background.wait_for_end();

    let state = state(&sandbox);
    assert_eq!(state.status, RunStatus::Completed);
    for (id, answer) in &answers {
        let logged: Vec<_> =
            state.interventions.iter().filter(|one| one.command_id.as_deref() == Some(id.as_str())).collect();
        assert_eq!(logged.len(), 1, "{id} stands in the log once");
        let applied = logged[0].status == InterventionStatus::Applied;
        assert_eq!(applied, answer["applied"] == true, "{id} was answered {answer} and is {:?}", logged[0].status);
        assert_eq!(logged[0].user, format!("operator{}", id.split('-').next().unwrap()));
    }
    let made = |one: &Intervention| match one.inverse.as_deref() {
        Some(Inverse::Plan { version }) => Some(*version),
        _ => None,
    };
    let changes: Vec<u64> = state.interventions.iter().filter_map(|one| made(one)).collect();
    assert_eq!(changes, (2..=state.plan_version).collect::<Vec<_>>(), "each change is a version, and nothing else is");
    // A step that may be put in beside any other is never in anybody's way: all are, and stay unless somebody has undone it.
    let mut undone = std::collections::HashSet::new();
    for one in state.versions.iter().rev() {
        if let ChangeCause::Undo { version } = one.change.cause
            && !undone.contains(&one.change.version)
        {
            undone.insert(version);
        }
    }
    for n in 0..OPERATORS {
        let id = format!("{n}-0");
        let added =
            state.interventions.iter().find(|one| one.command_id.as_ref() == Some(&id)).expect("it was answered");
        assert_eq!(added.status, InterventionStatus::Applied, "{added:?}");
        let there = state.plan.position(&format!("new{n}")).is_some();
        let version = made(added).expect("it has made a version");
        assert_eq!(there, !undone.contains(&version), "new{n} of version {version}; undone: {undone:?}");
    }
    let applied = state.interventions.iter().filter(|one| one.status == InterventionStatus::Applied).count();
    assert!(applied >= 2 * OPERATORS, "only {applied} of {} were applied", answers.len());
    assert!(state.versions.iter().is_sorted_by(|one, next| one.change.version < next.change.version));
    sandbox.ok(0, &["verify", "latest"]);

    let store = Store::at(sandbox.path().join("checkpoints"));
    let mut events = store.read_events(&sandbox.run_dir(), 1).unwrap();
    let mut folded: Option<RunState> = None;
    loop {
        let batches = events.read(1000).unwrap();
        if batches.is_empty() {
            break;
        }
        for line in batches.into_iter().flatten() {
            match &mut folded {
                None => folded = RunState::from_registration(&line.recorded),
                Some(state) => state.apply(&line.recorded),
            }
        }
    }
    assert_eq!(folded.unwrap().plan, state.plan, "the final plan is what the journal says");
}

/// The line drops, the window is closed: the engine lets go of the terminal and the run goes on; another terminal takes up where it was.
#[test]
fn a_terminal_that_is_closed_leaves_the_run_running_and_another_attaches() {
    let sandbox = Sandbox::new();
    let steps = json!([waits("one", "go1"), waits("two", "go2"), {"step_id": "three", "run": "echo three"}]);
    let plan = sandbox.plan("closed", steps);
    // A terminal of its own, of which nobody keeps an end: dropping it is the ssh line going down.
    let pair = native_pty_system().openpty(PtySize { rows: 30, cols: 100, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
    command.args(["run", &plan]);
    command.env_clear();
    command.cwd(sandbox.path());
    for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("HOLDPOINT_USER", "ann")] {
        command.env(name, value);
    }
    command.env("PATH", std::env::var("PATH").unwrap());
    command.env("HOME", sandbox.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut screen = crate::pty::new_parser(30, 100);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut buffer = [0; 4096];
    while !screen.screen().contents().contains("● running") {
        let length = reader.read(&mut buffer).unwrap();
        assert!(length > 0, "{}", screen.screen().contents());
        screen.process(&buffer[..length]);
    }
    drop(reader);
    drop(pair.master);

    go(&sandbox, "go1");
    until("the run goes on without its terminal", || (state(&sandbox).counts().done() == 1).then_some(()));
    let mut other = console(&sandbox, "bob", &["attach", "latest"]);
    other.wait_for_text("✔ done");
    other.wait_for_text("attached");
    let before = state(&sandbox);
    assert!(before.interventions.iter().all(|one| one.intervention_type == "start"), "nobody paused or stopped it");
    go(&sandbox, "go2");
    other.wait_for_text("COMPLETED");
    other.press("q");
    other.wait_exit();
    other.assert_given_back();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the process stays though its run has ended and nobody is attached");
        std::thread::sleep(Duration::from_millis(10));
    }
    let after = state(&sandbox);
    assert_eq!((after.epoch, after.status), (1, RunStatus::Completed), "one engine from the beginning to the end");
    assert!(after.steps.iter().all(|step| step.attempts.len() == 1));
}

#[test]
fn two_attached_consoles_see_what_each_other_does_and_leaving_leaves_the_run_alone() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("shared", json!([waits("one", "go"), {"step_id": "two", "run": "true"}]));
    let background = Background::start(&sandbox, &plan);
    let mut ann = console(&sandbox, "ann", &["attach", "latest"]);
    let mut bob = console(&sandbox, "bob", &["attach", "shared"]);
    ann.wait_for_text("● running");
    bob.wait_for_text("● running");
    bob.press("p");
    for console in [&mut ann, &mut bob] {
        console.wait_for_text("PAUSED");
        console.wait_for("the name of who paused", |screen| {
            screen.contents().lines().any(|line| line.contains("bob") && line.contains("paused"))
        });
    }
    bob.press("q");
    bob.wait_exit();
    let said = bob.screen_text();
    assert!(said.contains("it stays in process"), "{said}");
    assert!(said.contains("holdpoint attach ") && !said.contains("holdpoint resume"), "it is open elsewhere: {said}");
    assert!(background.is_alive());
    ann.press("p");
    ann.wait_for_text("RUNNING");
    background.signal(rustix::process::Signal::KILL);
    ann.wait_for_text("has ended; what you see is what is on the disk");
    ann.wait_for_text("NOT RUNNING");
    ann.press("q");
    ann.wait_exit();
    ann.assert_given_back();
}

/// A console that only looks: the truth comes to it by itself, also that there is nobody any more who runs it.
#[test]
fn a_run_of_another_process_is_followed_on_the_disk_until_it_is_nobodys() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("looked-at", json!([waits("one", "go"), waits("two", "go2")]));
    let background = Background::start(&sandbox, &plan);
    let mut bob = console(&sandbox, "bob", &[]);
    bob.wait_for_text("● running");
    bob.press("\r");
    bob.wait_for_text("has this run open   A steers it from here");
    bob.wait_for_text("● running");
    bob.press("p");
    bob.wait_for_text("pause: process");
    go(&sandbox, "go");
    bob.wait_for_text("✔ done");
    background.signal(rustix::process::Signal::KILL);
    bob.wait_for_text("NOT RUNNING");
    // So does the list of all runs.
    bob.keys("<Esc>");
    bob.wait_for_text("Plans");
    let again = Background::start(&sandbox, &sandbox.plan("another", json!([waits("one", "go3")])));
    bob.wait_for("the run that was started meanwhile", |screen| {
        screen.contents().lines().any(|line| line.contains("● running") && line.contains("another"))
    });
    go(&sandbox, "go3");
    bob.wait_for("its end", |screen| {
        screen.contents().lines().any(|line| line.contains("✔ completed") && line.contains("another"))
    });
    again.wait_for_end();
    bob.press("q");
    bob.wait_exit();
    bob.assert_given_back();
}

#[test]
fn the_socket_is_for_its_user_only_and_goes_with_its_process() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("socket", json!([waits("one", "go")]));
    let background = Background::start(&sandbox, &plan);
    let address = background.address();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&address), mode(address.parent().unwrap())), (0o600, 0o700));
    if rustix::process::getuid().is_root() {
        // Somebody else on this machine does not even see that it is there.
        use std::os::unix::process::CommandExt;
        let nobody = 65534;
        let looked = std::process::Command::new("/bin/sh")
            .args(["-c", "test -e \"$1\"", "sh", address.to_str().unwrap()])
            .uid(nobody)
            .gid(nobody)
            .status();
        assert_eq!(looked.unwrap().code(), Some(1));
    }
    background.signal(rustix::process::Signal::KILL);
    background.wait_for_end();
    // What a killed process leaves is swept away by the next that listens.
    let again = Background::start(&sandbox, &plan);
    assert!(!address.exists());
    go(&sandbox, "go");
    again.wait_for_end();
    assert!(again.owner().is_none_or(|owner| owner.address.is_none()));
}

/// The name is what somebody says of themselves; beside it stands the account that the system knows, whatever the client claims.
#[test]
fn beside_a_signature_stands_the_account_it_was_given_from() {
    let sandbox = Sandbox::new();
    let hold = json!({"step_id": "two", "run": "true", "hold": {"reason": "look", "approvals": 2}});
    let plan = sandbox.plan("signed", json!([{"step_id": "one", "run": "true"}, hold]));
    let background = Background::start(&sandbox, &plan);
    wait_for_status(&sandbox, RunStatus::Paused);
    let run_id = state(&sandbox).run_id;
    let uid = rustix::process::getuid().as_raw();

    let client = UnixStream::connect(background.address()).unwrap();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    writeln!(&client, "{}", json!({"protocol": 1, "version": "test", "pid": 1})).unwrap();
    let release =
        json!({"id": run_id, "command": {"action": "release", "step": "two"}, "user": "zoe", "uid": uid + 4711});
    writeln!(&client, "{}", json!({"call": 1, "ask": {"send": {"run_id": run_id, "request": release}}})).unwrap();
    lines.next().unwrap().unwrap();
    let said = lines.next().unwrap().unwrap();
    assert!(said.contains("applied"), "{said}");
    let shown = sandbox.ok(0, &["show", "latest"]);
    assert!(shown.contains(&format!("1 of 2 people have signed: zoe (uid {uid})")), "{shown}");
    let why = sandbox.ok(0, &["why", "latest", "two"]);
    assert!(why.contains(&format!("zoe (uid {uid})")), "{why}");

    // Whoever is connected keeps the process there.
    drop((client, lines));
    sandbox.ok(0, &["ctl", "latest", "release", "two", "--user", "bob"]);
    background.wait_for_end();
    let signed = &sandbox.snapshot()["steps"][1]["hold"]["signed"];
    assert_eq!(*signed, json!([{"user": "zoe", "uid": uid}, {"user": "bob", "uid": uid}]));
    let log = sandbox.ok(0, &["show", "latest"]);
    assert!(log.contains(&format!("bob (uid {uid})  signed two off")), "{log}");
}

/// A client that never reads and one that talks nonsense: the run goes on as if they were not there.
#[test]
fn a_client_that_reads_nothing_or_talks_nonsense_holds_nobody_up() {
    let sandbox = Sandbox::new();
    let mut steps = vec![waits("gate", "go")];
    // Far more than the buffers between engine and client take.
    let simulated = |n| json!({"step_id": format!("s{n}"), "agent_type": "simulated", "parameters": {"duration_seconds": 0, "data": "x".repeat(10_000)}});
    steps.extend((0..400).map(simulated));
    let plan = sandbox.plan("deaf", json!(steps));
    let background = Background::start(&sandbox, &plan);
    let run_id = state(&sandbox).run_id;

    let mut deaf = UnixStream::connect(background.address()).unwrap();
    writeln!(deaf, "{}", json!({"protocol": 1, "version": "test", "pid": 1})).unwrap();
    writeln!(deaf, "{}", json!({"call": 1, "ask": {"subscribe": {"run_id": run_id}}})).unwrap();

    let nonsense = UnixStream::connect(background.address()).unwrap();
    let mut lines = BufReader::new(nonsense.try_clone().unwrap()).lines();
    let mut answer = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(answer()["protocol"], 1, "the engine says hello");
    writeln!(&nonsense, "{}", json!({"protocol": 1, "version": "test", "pid": 1})).unwrap();
    for line in ["", "{", "{\"call\": 1}", "{\"call\": 2, \"ask\": {\"explode\": {}}}", "[[[[[["] {
        writeln!(&nonsense, "{line}").unwrap();
        let said = answer();
        assert!(said["say"]["refused"]["message"].as_str().unwrap().contains("that is no call"), "{said}");
    }
    writeln!(&nonsense, "{}", json!({"call": 3, "ask": {"send": {"run_id": run_id, "request": {"nonsense": true}}}}))
        .unwrap();
    assert!(answer()["say"]["refused"]["message"].as_str().unwrap().contains("that is no call"));

    let mut newer = UnixStream::connect(background.address()).unwrap();
    writeln!(newer, "{}", json!({"protocol": 99, "version": "9.9", "pid": 1})).unwrap();
    let mut said = String::new();
    newer.read_to_string(&mut said).unwrap();
    assert!(said.contains("yours (9.9) speaks 99: use the same version"), "{said}");

    go(&sandbox, "go");
    wait_for_status(&sandbox, RunStatus::Completed);
    sandbox.ok(0, &["verify", "latest"]);
    drop((deaf, nonsense, lines));
    background.wait_for_end();
}
