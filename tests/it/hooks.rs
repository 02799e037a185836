//! Hooks on real runs: commands and webhooks get what happens, in order, and whatever they do, the run goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli_support::{Ended, Sandbox};
use crate::http_server::{Do, Server, answer, ok};

/// Two steps, of which the second fails twice.
fn sandbox(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let steps = json!([
        {"step_id": "a", "run": "true"},
        {"step_id": "b", "run": "exit 3", "max_retries": 1, "retry": {"delay_seconds": 0}},
    ]);
    sandbox.plan("night", steps);
    std::fs::write(sandbox.path().join("c.toml"), config).unwrap();
    sandbox
}

const RUN: [&str; 5] = ["--config", "c.toml", "run", "night", "--headless"];

/// What a hook has written to a file, line by line.
fn written(sandbox: &Sandbox, file: &str) -> Vec<Value> {
    sandbox.read(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], field: &str) -> Vec<&'a str> {
    events.iter().filter_map(|event| event[field].as_str()).collect()
}

#[test]
fn a_command_gets_what_it_wants_to_know_in_order() {
    let sandbox = sandbox(
        r#"
[alerts]
failures = 2

[[hooks]]
on = ["run_state", "step_state", "checkpoint", "intervention", "alert"]
command = "cat >> all"

[[hooks]]
on = "run_state"
plan = ["day*", "nig*"]
command = ["sh", "-c", "echo $HOLDPOINT_EVENT $HOLDPOINT_RUN_ID >> some"]

[[hooks]]
on = "run_state"
plan = "day*"
command = "cat >> none"
"#,
    );
    let ended = sandbox.run(&RUN);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let all = written(&sandbox, "all");
    let seqs: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    let run_id = sandbox.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    for event in &all {
        let id = format!("{run_id}:{}:{}", event["seq"], event["kind"].as_str().unwrap());
        assert!(event["id"].as_str().unwrap().starts_with(&id), "{event}");
        let head = [&event["schema"], &event["version"], &event["run_id"], &event["plan_id"]];
        assert_eq!(head, [&json!("holdpoint.event"), &json!(1), &json!(run_id), &json!("night")]);
        assert!(event["time"].is_string() && event.get("missed").is_none());
    }
    let mut ids = of(&all, "id");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "an id is one delivery's");
    let kind = |wanted: &str| all.iter().filter(|event| event["kind"] == wanted).cloned().collect::<Vec<_>>();
    assert_eq!(of(&kind("run_state"), "status"), ["idle", "running", "failed"]);
    let steps = kind("step_state");
    assert_eq!(of(&steps, "step"), ["a", "a", "b", "b", "b", "b"]);
    assert_eq!(of(&steps, "status"), ["running", "completed", "running", "waiting", "running", "failed"]);
    assert_eq!((&steps[5]["exit_code"], &steps[5]["attempt"]), (&json!(3), &json!(2)));
    assert_eq!(of(&kind("checkpoint"), "cause"), ["started", "step", "step", "ended"]);
    assert_eq!(of(&kind("intervention"), "user"), ["ann"]);
    assert_eq!(of(&kind("alert"), "message"), ["2 failures in 10 min"]);
    assert_eq!(sandbox.read("some"), format!("run_state {run_id}\n").repeat(3));
    assert_eq!(sandbox.read("none"), "");
    // What goes on later is told as well, and nothing again that was told before.
    sandbox.ok(0, &["--config", "c.toml", "resume", "night", "--skip", "b", "--headless"]);
    let later = &written(&sandbox, "all")[all.len()..];
    assert!(later.iter().all(|event| event["seq"].as_u64().unwrap() > *seqs.last().unwrap()), "{later:?}");
    assert_eq!(of(later, "status").last(), Some(&"completed"));
}

#[test]
fn a_hook_that_fails_is_shown_once_and_one_that_hangs_holds_nothing_up() {
    let sandbox = sandbox(
        r#"
[[hooks]]
name = "chat"
on = ["run_state", "step_state"]
command = "echo no such channel >&2; exit 4"

[[hooks]]
name = "slow"
on = "run_state"
command = "echo $$ > pid; sleep 600 & wait"
timeout_seconds = 600

[[hooks]]
name = "late"
on = "checkpoint"
command = "sleep 600"
timeout_seconds = 0.2
"#,
    );
    let started = Instant::now();
    let ended = sandbox.run(&RUN);
    assert!(started.elapsed() < Duration::from_secs(120), "the run waited for a hook");
    assert_eq!(ended.code, Some(1), "the run's own end: {}", ended.stderr);
    let said = |text: &str| ended.stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!(said("hook chat fails (run_state): exit status 4: no such channel"), 1, "{}", ended.stderr);
    assert_eq!(said("hook chat: 9 events were not delivered"), 1, "{}", ended.stderr);
    assert_eq!(said("hook slow: 3 events were not delivered"), 1, "{}", ended.stderr);
    assert_eq!(said("hook late fails (checkpoint): it took longer than 0.2 s and was ended"), 1, "{}", ended.stderr);
    // Nothing of it is left.
    let group = rustix::process::Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
    crate::cli_support::wait_until("the hook's processes are gone", || {
        rustix::process::test_kill_process_group(group) == Err(rustix::io::Errno::SRCH)
    });
}

async fn run(sandbox: &Arc<Sandbox>, secret: &'static str) -> Ended {
    let sandbox = Arc::clone(sandbox);
    let work = move || {
        let output = sandbox.command(&RUN).env("HOOK_SECRET", secret).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Ended { code: output.status.code(), stdout: output.stdout, stderr }
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn signature(secret: &str, signed: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_signed_and_tried_again_in_order() {
    // The second request fails twice and is sent again before the third event is.
    let server = Server::new(|number, _| match number {
        1 => answer("500 Oops", "", ""),
        2 => vec![Do::Close],
        _ => ok(json!({})),
    })
    .await;
    let config = format!(
        "[[hooks]]\nname = \"site\"\non = \"run_state\"\nurl = \"{}\"\nsecret_env = \"HOOK_SECRET\"\n",
        server.url("/in")
    );
    let sandbox = Arc::new(sandbox(&config));
    let ended = run(&sandbox, "s3cret").await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let asked = server.asked();
    let bodies: Vec<Value> = asked.iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(of(&bodies, "status"), ["idle", "running", "running", "running", "failed"]);
    for (asked, body) in asked.iter().zip(&bodies) {
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/in"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("holdpoint-event"), Some("run_state"));
        assert_eq!(asked.header("holdpoint-delivery"), body["id"].as_str());
        let signed = format!("{}.{}", asked.header("holdpoint-timestamp").unwrap(), asked.body);
        let expected = format!("v1={}", signature("s3cret", &signed));
        assert_eq!(asked.header("holdpoint-signature"), Some(expected.as_str()));
    }
    for file in std::fs::read_dir(sandbox.run_dir()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        assert!(!String::from_utf8_lossy(&std::fs::read(file.path()).unwrap()).contains("s3cret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dead_or_refuses_is_reported() {
    let refusing = Server::new(|_, _| answer("403 Forbidden", "", "")).await;
    // Nobody listens there any more.
    let dead = Server::new(|_, _| ok(json!({}))).await.url("/x");
    let config = format!(
        "[[hooks]]\nname = \"dead\"\non = \"run_state\"\nurl = \"{dead}\"\nretries = 1\n\
         [[hooks]]\nname = \"shut\"\non = \"run_state\"\nurl = \"{}\"\n",
        refusing.url("/y")
    );
    let sandbox = Arc::new(sandbox(&config));
    let ended = run(&sandbox, "").await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("hook dead fails (run_state), after 2 tries: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("hook dead: 3 events were not delivered"), "{}", ended.stderr);
    // Trying again would change nothing.
    assert!(ended.stderr.contains("hook shut fails (run_state): the server answers 403"), "{}", ended.stderr);
    assert_eq!(refusing.asked().len(), 3);
    let unsigned = refusing.asked();
    assert!(unsigned.iter().all(|asked| asked.header("holdpoint-signature").is_none()));
}

#[test]
fn a_run_in_the_background_has_hooks_as_well() {
    let sandbox = sandbox("[[hooks]]\non = \"run_state\"\ncommand = \"cat >> all\"\n");
    let plan = json!([{"step_id": "a", "run": "true"}]);
    sandbox.plan("bright", plan);
    sandbox.ok(0, &["--config", "c.toml", "run", "bright", "--detach"]);
    crate::cli_support::wait_until("the end was told", || sandbox.read("all").contains("\"completed\""));
    assert_eq!(of(&written(&sandbox, "all"), "status"), ["idle", "running", "completed"]);
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_and_nothing_starts() {
    let sandbox = sandbox("[[hooks]]\non = \"run_stat\"\ncommand = \"x\"\nsecret_env = \"A\"\n");
    let ended = sandbox.run(&RUN);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("c.toml:2: hooks are not told of `run_stat`: did you mean `run_state`?"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("c.toml:4: "), "{}", ended.stderr);
    assert!(!sandbox.path().join("checkpoints").exists());
    // Where it usually lies it counts as well, and need not be.
    let folder = sandbox.path().join(".config/holdpoint");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "[[hooks]]\non = \"run_state\"\ncommand = \"cat >> all\"\n").unwrap();
    sandbox.ok(1, &["run", "night", "--headless"]);
    assert_eq!(of(&written(&sandbox, "all"), "status"), ["idle", "running", "failed"]);
}
