//! Attempts with real MCP servers: three that others wrote, and one that misbehaves.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use holdpoint::agents::{AttemptContext, Stop, StopHandle, desk, run_attempt};
use holdpoint::plan::AgentSpec;
use holdpoint::run::{Answer, Answered, Outcome, OutcomeStatus};
use serde_json::{Value, json};

use crate::agents::{Bench, eventually, is_alive};
use crate::mcp_servers::{everything, everything_over_http, filesystem, git, misbehaves, spec, time};

/// The attempt of a step that calls this tool.
fn call(
    bench: &mut Bench,
    agent: &AgentSpec,
    number: u32,
    tool: &str,
    parameters: Value,
) -> (AttemptContext, StopHandle) {
    bench.step.action = Some(tool.into());
    bench.step.parameters = parameters.as_object().unwrap().clone().into();
    let (mut context, handle) = bench.context(agent.clone());
    context.attempt = number;
    context.key = format!("{}.s.{number}.0123456789abcdef", bench.run_id);
    context.output_path = bench.path(&format!("output/s.{number}.log"));
    (context, handle)
}

async fn called(bench: &mut Bench, agent: &AgentSpec, tool: &str, parameters: Value) -> Outcome {
    let (context, _handle) = call(bench, agent, 1, tool, parameters);
    run_attempt(context).await
}

fn data(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, OutcomeStatus::Succeeded, "{outcome:?}");
    outcome.result.as_ref().and_then(|result| result.data.clone()).unwrap_or_default()
}

fn error(outcome: &Outcome) -> String {
    assert_eq!(outcome.status, OutcomeStatus::Failed, "{outcome:?}");
    outcome.error.clone().unwrap_or_default()
}

/// The lines that the misbehaving server has written down.
fn notes(bench: &Bench) -> Vec<String> {
    let text = std::fs::read_to_string(bench.path("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn ours(bench: &Bench, how: &str) -> AgentSpec {
    spec(misbehaves(how, &bench.path("notes")))
}

/// The server's process, as it has written it down last.
fn server_pid(bench: &Bench) -> Option<i32> {
    notes(bench).iter().rev().find_map(|line| line.strip_prefix("started ")?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_servers_that_others_wrote_are_called() {
    let mut bench = Bench::new();
    let agent = spec(everything());
    let sum = called(&mut bench, &agent, "get-sum", json!({"a": 2, "b": 3})).await;
    assert!(data(&sum).as_str().unwrap().contains('5'), "{sum:?}");
    let weather = called(&mut bench, &agent, "get-structured-content", json!({"location": "Chicago"})).await;
    assert!(data(&weather)["temperature"].is_number(), "{weather:?}");
    let image = data(&called(&mut bench, &agent, "get-tiny-image", json!({})).await);
    let noted = image.as_array().unwrap().iter().find(|block| block["type"] == "image").unwrap();
    assert!(noted["content_type"] == "image/png" && noted["bytes"].as_u64().unwrap() > 100, "{image}");
    let output = bench.output();
    assert!(output.contains("> get-sum {\"a\":2,\"b\":3}") && output.contains("< done ("), "{output}");
    assert!(output.contains("Starting default (STDIO) server"), "what it says on stderr is output: {output}");

    std::fs::write(bench.path("hello.txt"), "good morning").unwrap();
    let agent = spec(filesystem(bench.folder.path()));
    let hello = json!({"path": bench.path("hello.txt")});
    let read = called(&mut bench, &agent, "read_text_file", hello).await;
    assert_eq!(data(&read)["content"], "good morning", "{read:?}");
    let outside = called(&mut bench, &agent, "read_text_file", json!({"path": "/etc/passwd"})).await;
    assert!(error(&outside).contains("denied"), "the tool's own words: {outside:?}");

    let agent = spec(time());
    let now = data(&called(&mut bench, &agent, "get_current_time", json!({"timezone": "Europe/Berlin"})).await);
    assert_eq!(now["timezone"], "Europe/Berlin", "{now}");

    let git_in = |words: &[&str]| {
        let status = std::process::Command::new("git")
            .args(words)
            .current_dir(bench.folder.path())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    git_in(&["init", "-q", "-b", "main", "."]);
    let agent = spec(git(bench.folder.path()));
    let repository = json!({"repo_path": bench.folder.path()});
    let status = data(&called(&mut bench, &agent, "git_status", repository).await);
    assert!(status.to_string().contains("hello.txt"), "{status}");
    bench.sessions.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_tools_own_schema_does_not_take_is_not_sent() {
    let mut bench = Bench::new();
    let agent = spec(everything());
    let wrong = error(&called(&mut bench, &agent, "get-sum", json!({"a": "two"})).await);
    for expected in ["was not called", "`parameters.a`", "\"two\"", "`b` is missing"] {
        assert!(wrong.contains(expected), "{wrong}");
    }
    let unknown = error(&called(&mut bench, &agent, "get-summ", json!({})).await);
    assert!(unknown.contains("no tool `get-summ`: did you mean `get-sum`?"), "{unknown}");
    assert!(!bench.output().contains("> get-sum"), "{}", bench.output());
    let agent = ours(&bench, "plain");
    let wrong = error(&called(&mut bench, &agent, "work", json!({"n": 1.5})).await);
    assert!(wrong.contains("`parameters.n`"), "{wrong}");
    assert!(!notes(&bench).iter().any(|line| line.starts_with("called")), "{:?}", notes(&bench));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_while_a_long_tool_works() {
    let mut bench = Bench::new();
    let agent = spec(everything());
    let (context, _handle) =
        call(&mut bench, &agent, 1, "trigger-long-running-operation", json!({"duration": 1, "steps": 4}));
    let work = tokio::spawn(run_attempt(context));
    let mut seen = Vec::new();
    while !work.is_finished() {
        let news = tokio::time::timeout(Duration::from_millis(50), bench.live.next()).await.unwrap_or_default();
        seen.extend(news.into_iter().filter_map(|update| update.progress));
    }
    assert!(data(&work.await.unwrap()).as_str().unwrap().contains("completed"));
    assert!(seen.iter().any(|share| (0.2..0.9).contains(share)), "{seen:?}");
    assert!(seen.is_sorted(), "in the order in which the server told it: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_shared_and_made_anew_when_the_server_was_killed_in_the_middle_of_a_call() {
    let mut bench = Bench::new();
    let agent = ours(&bench, "stuck");
    let (context, _handle) = call(&mut bench, &agent, 1, "work", json!({}));
    let work = tokio::spawn(run_attempt(context));
    eventually("the tool is called", || notes(&bench).contains(&"called 1".to_owned()).then_some(())).await;
    let pid = server_pid(&bench).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    let died = error(&work.await.unwrap());
    for expected in
        ["the server ended while it worked on the call", "killed by signal 9", "may have acted on the call of `work`"]
    {
        assert!(died.contains(expected), "{died}");
    }
    // The next attempt has a server of its own, and the one after it shares that.
    let (context, handle) = call(&mut bench, &agent, 2, "work", json!({}));
    let work = tokio::spawn(run_attempt(context));
    eventually("the tool is called again", || notes(&bench).contains(&"called 2".to_owned()).then_some(())).await;
    assert_ne!(server_pid(&bench), Some(pid));
    handle.stop(Stop::Kill);
    let killed = work.await.unwrap();
    assert_eq!(killed.status, OutcomeStatus::Stopped);
    assert!(killed.error.as_ref().unwrap().contains("and the server with it"), "{killed:?}");
    let pid = server_pid(&bench).unwrap();
    eventually("its server is gone", || (!is_alive(pid)).then_some(())).await;

    let agent = ours(&bench, "plain");
    for _ in 0..3 {
        assert_eq!(data(&called(&mut bench, &agent, "work", json!({"n": 1})).await), "done");
    }
    let starts = notes(&bench).iter().filter(|line| line.starts_with("started")).count();
    assert_eq!(starts, 3, "two that were killed and one that three calls shared: {:?}", notes(&bench));
    let pid = server_pid(&bench).unwrap();
    assert!(is_alive(pid));
    bench.sessions.close().await;
    assert!(!is_alive(pid), "closed with the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_stopped_is_cancelled_at_the_server() {
    let mut bench = Bench::new();
    let agent = ours(&bench, "deaf");
    let (context, handle) = call(&mut bench, &agent, 1, "work", json!({}));
    let work = tokio::spawn(run_attempt(context));
    eventually("the tool is called", || notes(&bench).contains(&"called 1".to_owned()).then_some(())).await;
    handle.stop(Stop::Term);
    let stopped = work.await.unwrap();
    assert_eq!(stopped.status, OutcomeStatus::Stopped);
    assert!(stopped.error.as_ref().unwrap().contains("the server was told"), "{stopped:?}");
    eventually("the server was told", || notes(&bench).contains(&"cancelled".to_owned()).then_some(())).await;
    assert!(is_alive(server_pid(&bench).unwrap()), "it reacts, so it stays for the next call");

    let agent = spec(everything());
    let (context, handle) = call(&mut bench, &agent, 2, "trigger-long-running-operation", json!({"duration": 600}));
    let live = bench.live.clone();
    let work = tokio::spawn(run_attempt(context));
    while !live
        .next()
        .await
        .iter()
        .any(|update| update.message.as_ref().is_some_and(|words| words.contains("trigger-long")))
    {}
    handle.stop(Stop::Term);
    assert_eq!(work.await.unwrap().status, OutcomeStatus::Stopped);
    assert!(
        data(&called(&mut bench, &agent, "get-sum", json!({"a": 1, "b": 1})).await).as_str().unwrap().contains('2')
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_does_not_hold_anybody_for_ever() {
    let mut bench = Bench::new();
    let silent = json!({"kind": "mcp", "command": "cat > /dev/null", "connect_timeout_seconds": 0.3});
    let never = error(&called(&mut bench, &spec(silent.clone()), "work", json!({})).await);
    assert!(never.contains("not ready within 0.3 s (`connect_timeout_seconds`)"), "{never}");
    // Nor does it have to be waited for.
    let mut patient = silent;
    patient["connect_timeout_seconds"] = 1000.into();
    let (context, handle) = call(&mut bench, &spec(patient), 1, "work", json!({}));
    let work = tokio::spawn(run_attempt(context));
    eventually("it is being connected", || work.is_finished().then_some(()).or(bench.warden.pid().map(drop))).await;
    handle.stop(Stop::Term);
    let stopped = work.await.unwrap();
    assert_eq!(stopped.error.as_deref(), Some("stopped; the tool was not called"));

    let mut stuck = misbehaves("stuck", &bench.path("notes"));
    stuck["timeout_seconds"] = 0.3.into();
    let late = error(&called(&mut bench, &spec(stuck), "work", json!({})).await);
    for expected in ["no answer within 0.3 s (`timeout_seconds`)", "did not react any more and was ended"] {
        assert!(late.contains(expected), "{late}");
    }
    let pid = server_pid(&bench).unwrap();
    eventually("it is gone", || (!is_alive(pid)).then_some(())).await;
    let mut deaf = misbehaves("deaf", &bench.path("notes"));
    deaf["timeout_seconds"] = 0.3.into();
    let late = error(&called(&mut bench, &spec(deaf), "work", json!({})).await);
    assert!(late.contains("was told to cancel the call"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_begin_says_why() {
    let mut bench = Bench::new();
    let agent = ours(&bench, "refuses");
    let refused = error(&called(&mut bench, &agent, "work", json!({})).await);
    assert!(refused.contains("refused the session: the licence has run out (code -32600)"), "{refused}");
    let agent = ours(&bench, "dies");
    let died = error(&called(&mut bench, &agent, "work", json!({})).await);
    for expected in ["ended before it was ready", "exit status 1", "there is no database at this address"] {
        assert!(died.contains(expected), "{died}");
    }
    assert!(bench.output().contains("there is no database"), "{}", bench.output());
    for (command, expected) in [
        (json!(["no-such-server"]), "`no-such-server` was not found"),
        (json!("no-such-server --stdio"), "exit status 127"),
        (json!(["/no/such/npx"]), "does not exist"),
    ] {
        let agent = spec(json!({"kind": "mcp", "command": command}));
        let missing = error(&called(&mut bench, &agent, "work", json!({})).await);
        assert!(missing.contains(expected), "{missing}");
    }
    let nobody = spec(json!({"kind": "mcp", "url": "http://127.0.0.1:1/mcp"}));
    let missing = error(&called(&mut bench, &nobody, "work", json!({})).await);
    assert!(
        missing.contains("http://127.0.0.1:1/mcp: the server could not be asked: ") && missing.contains("refused"),
        "{missing}"
    );
    bench.step.action = None;
    let (context, _handle) = bench.context(nobody);
    assert!(error(&run_attempt(context).await).contains("give it an `action`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_taken_in_order_and_cut() {
    let mut bench = Bench::new();
    bench.output_limit = 1 << 20;
    let agent = ours(&bench, "floods");
    let outcome = called(&mut bench, &agent, "work", json!({})).await;
    assert_eq!(data(&outcome), "through");
    let output = bench.output();
    assert!(
        outcome.output_bytes < (1 << 20) + 1000 && output.contains("the output is cut here"),
        "{}",
        outcome.output_bytes
    );
    let numbers: Vec<u32> =
        output.lines().filter_map(|line| line.strip_prefix("[info] line ")?.split(' ').next()?.parse().ok()).collect();
    assert!(numbers.len() > 1000 && numbers.is_sorted(), "{} lines", numbers.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_comes_to_people_and_their_answer_to_it() {
    let mut bench = Bench::new();
    let mut entry = everything();
    // People may take longer than a call.
    entry["timeout_seconds"] = 2.into();
    let agent = spec(entry);
    let answers = [
        Answer::Accepted(json!({"name": "Ann", "check": true, "integer": 7}).as_object().unwrap().clone()),
        Answer::Declined,
    ];
    for (number, answer) in (1..).zip(answers) {
        let (mut context, _handle) = call(&mut bench, &agent, number, "trigger-elicitation-request", json!({}));
        let (asks, mut clerk, answering) = desk(Vec::new());
        context.desk = asks;
        let work = tokio::spawn(run_attempt(context));
        let (which, question) = tokio::time::timeout(Duration::from_secs(60), clerk.next()).await.unwrap();
        assert!(question.title.contains("everything") && question.fields.get("name").is_some(), "{question:?}");
        let pet = question.fields.0.iter().find(|(_, field)| field.choices.is_some()).expect("a choice");
        assert!(!pet.1.choices().is_empty());
        if number == 1 {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            assert!(!work.is_finished(), "the time of people does not count");
        }
        let accepted = matches!(answer, Answer::Accepted(_));
        let answered = Answered { user: "ann".into(), time: chrono::Utc::now(), answer, notes: None };
        answering.send((which, Arc::new(answered))).unwrap();
        let clerk = tokio::spawn(async move { clerk.next().await });
        let outcome = work.await.unwrap();
        clerk.abort();
        let said = data(&outcome).to_string();
        assert_eq!(said.contains("Ann"), accepted, "{said}");
        assert_eq!(said.contains("declined"), !accepted, "{said}");
    }
    // An attempt that is stopped while somebody is asked gives the server its answer too.
    let (mut context, handle) = call(&mut bench, &agent, 3, "trigger-elicitation-request", json!({}));
    let (asks, mut clerk, _answering) = desk(Vec::new());
    context.desk = asks;
    let work = tokio::spawn(run_attempt(context));
    tokio::time::timeout(Duration::from_secs(60), clerk.next()).await.unwrap();
    handle.stop(Stop::Term);
    assert_eq!(work.await.unwrap().status, OutcomeStatus::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_http_is_used_like_one_that_is_started() {
    let mut bench = Bench::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = everything_over_http();
    command.env("PORT", port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    struct Started(std::process::Child);
    impl Drop for Started {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let mut server = Started(command.spawn().unwrap());
    eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let agent = spec(json!({"kind": "mcp", "url": format!("http://127.0.0.1:{port}/mcp"),
        "headers": {"X-Team": "ops"}, "auth": {"bearer": "hunter2"}}));
    let sum = called(&mut bench, &agent, "get-sum", json!({"a": 20, "b": 3})).await;
    assert!(data(&sum).as_str().unwrap().contains("23"), "{sum:?}");
    let (context, _handle) =
        call(&mut bench, &agent, 2, "trigger-long-running-operation", json!({"duration": 0.5, "steps": 2}));
    assert!(data(&run_attempt(context).await).as_str().unwrap().contains("completed"));
    let (context, handle) = call(&mut bench, &agent, 3, "trigger-long-running-operation", json!({"duration": 600}));
    let live = bench.live.clone();
    let work = tokio::spawn(run_attempt(context));
    while !live
        .next()
        .await
        .iter()
        .any(|update| update.message.as_ref().is_some_and(|words| words.contains("trigger-long")))
    {}
    handle.stop(Stop::Term);
    assert_eq!(work.await.unwrap().status, OutcomeStatus::Stopped);
    // The server goes away in the middle of a call.
    let (context, _handle) = call(&mut bench, &agent, 4, "trigger-long-running-operation", json!({"duration": 600}));
    let work = tokio::spawn(run_attempt(context));
    while !live
        .next()
        .await
        .iter()
        .any(|update| update.message.as_ref().is_some_and(|words| words.contains("trigger-long")))
    {}
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    let gone = error(&work.await.unwrap());
    assert!(gone.contains("may have acted on the call"), "{gone}");
}
