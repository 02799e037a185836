//! The `http` agent against a server that behaves well, and badly.

use std::time::Duration;

use holdpoint::agents::{AttemptContext, LiveBoard, Masker, Stop, StopHandle, run_attempt};
use holdpoint::plan::AgentSpec;
use holdpoint::run::{Outcome, OutcomeStatus, ResultStatus};
use serde_json::{Value, json};

use crate::agents::{Bench, eventually};
use crate::http_server::{Asked, Do, Server, answer, json as answers, ok};

fn spec(mut entry: Value) -> AgentSpec {
    entry["kind"] = "http".into();
    serde_json::from_value(entry).unwrap()
}

fn context(bench: &Bench, entry: Value) -> (AttemptContext, StopHandle) {
    bench.context(spec(entry))
}

async fn call(bench: &Bench, entry: Value) -> Outcome {
    let (context, _stop) = context(bench, entry);
    run_attempt(context).await
}

/// What a whole call came to: the outcome and its output.
async fn told(bench: &Bench, entry: Value) -> (Outcome, String) {
    let (context, _stop) = context(bench, entry);
    let path = context.output_path.clone();
    let outcome = run_attempt(context).await;
    (outcome, std::fs::read_to_string(path).unwrap_or_default())
}

fn data(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, OutcomeStatus::Succeeded, "{}", outcome.in_words());
    outcome.result.as_ref().and_then(|result| result.data.clone()).unwrap_or_default()
}

fn failure(outcome: &Outcome) -> String {
    assert_eq!(outcome.status, OutcomeStatus::Failed, "{outcome:?}");
    outcome.in_words()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_alone_sends_the_parameters_and_gives_the_answer() {
    let server = Server::answering(vec![ok(json!({"rows": 3}))]).await;
    let mut bench = Bench::new();
    bench.step.parameters = json!({"to": "x", "n": 1}).as_object().unwrap().clone().into();
    let (outcome, output) = told(&bench, json!({"url": server.url("/v1/upload")})).await;
    assert_eq!(data(&outcome), json!({"rows": 3}));
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/v1/upload"));
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), json!({"to": "x", "n": 1}));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("user-agent"), Some(concat!("holdpoint/", env!("CARGO_PKG_VERSION"))));
    assert!(asked.header("idempotency-key").unwrap().ends_with(".s.1.0123456789abcdef"));
    for expected in ["> POST http://127.0.0.1:", "> idempotency-key: ", "< 200 OK", "{\"rows\":3}"] {
        assert!(output.contains(expected), "{expected}\n{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_entry_says_is_what_is_sent() {
    let server = Server::new(|_, _| ok(json!(null))).await;
    let bench = Bench::new();
    call(
        &bench,
        json!({"url": server.url("/a?x=1"), "method": "put", "headers": {"X-A": "b", "accept": "text/csv"},
        "query": {"q": "ä &", "n": [1, true], "none": null}, "json": [1, null], "auth": {"bearer": "t0k"}}),
    )
    .await;
    call(
        &bench,
        json!({"url": server.url("/b"), "body": "line\n", "headers": {"Content-Type": "text/csv"},
        "auth": {"basic": {"user": "ann", "password": "pw"}}}),
    )
    .await;
    call(&bench, json!({"url": server.url("/c"), "method": "GET"})).await;
    let asked = server.asked();
    assert_eq!(server.lines()[0], "PUT /a?x=1&q=%C3%A4+%26&n=1&n=true");
    assert_eq!((asked[0].header("x-a"), asked[0].header("accept")), (Some("b"), Some("text/csv")));
    assert_eq!((asked[0].body.as_str(), asked[0].header("authorization")), ("[1,null]", Some("Bearer t0k")));
    assert_eq!((asked[1].body.as_str(), asked[1].header("content-type")), ("line\n", Some("text/csv")));
    assert_eq!(asked[1].header("authorization"), Some("Basic YW5uOnB3"));
    assert_eq!((asked[2].body.as_str(), asked[2].header("content-type")), ("", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_a_result_data_or_a_failure() {
    let result = json!({"status": "partial", "data": {"n": 1}, "quality_score": 0.7});
    let server = Server::answering(vec![
        ok(result),
        ok(json!({"status": "ok", "id": 5})),
        ok(json!({"status": "failed", "error": "no rows"})),
        ok(json!({"out": {"rows": [1, 2]}})),
        answer("200 OK", "content-type: text/plain\r\n", "fine\n"),
        answer("200 OK", "content-type: application/json\r\n", "{\"broken\": "),
        answer("200 OK", "content-type: application/json\r\n", "<html>Sign in</html>"),
        answer("200 OK", "content-type: image/png\r\n", "\u{0}PNG"),
        answer("204 No Content", "", ""),
        answer("404 Not Found", "content-type: text/html\r\n", "<h1>no such\n page</h1>"),
        answer("404 Not Found", "content-type: text/plain\r\n", "gone"),
    ])
    .await;
    let bench = Bench::new();
    let entry = json!({"url": server.url("/")});
    let with = |name: &str, value: Value| {
        let mut entry = entry.clone();
        entry[name] = value;
        entry
    };
    let first = call(&bench, entry.clone()).await.result.unwrap();
    assert_eq!((first.status, first.quality_score), (Some(ResultStatus::Partial), Some(0.7)));
    assert_eq!(data(&call(&bench, entry.clone()).await), json!({"status": "ok", "id": 5}));
    assert_eq!(failure(&call(&bench, entry.clone()).await), "no rows");
    assert_eq!(data(&call(&bench, with("result", json!("/out/rows/1"))).await), json!(2));
    assert_eq!(data(&call(&bench, entry.clone()).await), json!("fine\n"));
    let words = failure(&call(&bench, entry.clone()).await);
    assert!(words.contains("answered 200 OK, but the answer cannot be used as a result: it is not JSON"), "{words}");
    assert!(failure(&call(&bench, entry.clone()).await).contains("not JSON"));
    assert_eq!(data(&call(&bench, entry.clone()).await), json!({"content_type": "image/png", "bytes": 4}));
    assert_eq!(call(&bench, entry.clone()).await.result, None);
    let words = failure(&call(&bench, entry.clone()).await);
    assert!(words.starts_with("POST http://127.0.0.1:"), "{words}");
    assert!(words.ends_with("answered 404 Not Found: <h1>no such page</h1>"), "{words}");
    assert_eq!(data(&call(&bench, with("success", json!([200, 404]))).await), json!("gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_is_asked_again_with_the_same_key() {
    let server = Server::answering(vec![
        answer("429 Too Many Requests", "retry-after: 0\r\n", "slow down"),
        answer("503 Service Unavailable", "", ""),
        ok(json!("done")),
    ])
    .await;
    let bench = Bench::new();
    let (outcome, output) = told(&bench, json!({"url": server.url("/")})).await;
    assert_eq!(data(&outcome), json!("done"));
    assert!(output.contains("holdpoint: answered 429 Too Many Requests; try 2 of 3 in 0 s"), "{output}");
    assert!(output.contains("holdpoint: answered 503 Service Unavailable; try 3 of 3 in "), "{output}");
    let keys: Vec<String> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let (mut second, _stop) = context(&bench, json!({"url": server.url("/")}));
    (second.attempt, second.key) = (2, second.key.replace(".s.1.", ".s.2."));
    run_attempt(second).await;
    assert_ne!(server.asked()[3].header("idempotency-key"), Some(keys[0].as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_turned_away_for_long_or_for_good_is_told() {
    let server = Server::new(|_, asked| match asked.target.as_str() {
        "/long" => answer("503 Service Unavailable", "retry-after: 3600\r\n", ""),
        "/busy" => answer("503 Service Unavailable", "retry-after: 0\r\n", "maintenance"),
        _ => answer("500 Internal Server Error", "", "boom"),
    })
    .await;
    let bench = Bench::new();
    let words = failure(&call(&bench, json!({"url": server.url("/long")})).await);
    assert!(words.contains("asks to come back in 3600 s, which is longer than an attempt waits (300 s)"), "{words}");
    assert_eq!(server.asked().len(), 1);
    let words = failure(&call(&bench, json!({"url": server.url("/busy"), "retries": 1})).await);
    assert!(words.ends_with("answered 503 Service Unavailable: maintenance"), "{words}");
    assert_eq!(server.asked().len(), 3);
    let words = failure(&call(&bench, json!({"url": server.url("/500"), "method": "GET"})).await);
    assert!(words.ends_with("answered 500 Internal Server Error: boom"), "{words}");
    assert_eq!(server.asked().len(), 4, "it was taken and went wrong; that is for the step's own retries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_acted_on_is_sent_again_only_where_that_is_harmless() {
    let server = Server::new(|number, _| match number % 2 {
        0 => vec![Do::Close],
        _ => ok(json!("done")),
    })
    .await;
    let mut bench = Bench::new();
    let words = failure(&call(&bench, json!({"url": server.url("/")})).await);
    assert!(words.contains("ended before there was an answer"), "{words}");
    assert!(words.ends_with("the server may have acted on the request, so it was not sent again"), "{words}");
    assert_eq!(server.asked().len(), 1);

    let server = Server::new(|number, _| match number % 2 {
        0 => vec![Do::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()), Do::Close],
        _ => ok(json!("done")),
    })
    .await;
    let words = failure(&call(&bench, json!({"url": server.url("/")})).await);
    assert!(words.contains("ended in the middle of the answer, after 4 bytes"), "{words}");
    assert_eq!(server.asked().len(), 1);
    assert_eq!(data(&call(&bench, json!({"url": server.url("/again"), "method": "GET"})).await), json!("done"));

    let server = Server::answering(vec![vec![Do::Close], ok(json!("done"))]).await;
    assert_eq!(data(&call(&bench, json!({"url": server.url("/"), "method": "DELETE"})).await), json!("done"));
    let server = Server::answering(vec![vec![Do::Close], ok(json!("done"))]).await;
    bench.step.idempotent = true;
    assert_eq!(data(&call(&bench, json!({"url": server.url("/")})).await), json!("done"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_there_is_asked_again_and_then_named() {
    let bench = Bench::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (outcome, output) = told(&bench, json!({"url": format!("http://{free}/x"), "retries": 1})).await;
    let words = failure(&outcome);
    assert!(words.starts_with(&format!("POST http://{free}/x: no connection to {free}: ")), "{words}");
    assert!(words.contains("refused") && words.ends_with("(2 tries)"), "{words}");
    assert!(output.contains("try 2 of 2 in "), "{output}");
    for (url, expected) in
        [("nonsense", "URL cannot be used"), ("ftp://x", "must begin with"), ("http://u:p@h/", "belong into `auth`")]
    {
        let words = failure(&call(&bench, json!({"url": url})).await);
        assert!(words.contains(expected) && !words.contains("u:p"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_comes_or_never_ends_is_given_up() {
    let chunked = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Server::new(|_, asked| match asked.target.as_str() {
        "/never" => vec![Do::Hang],
        "/trickle" => vec![Do::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Do::Trickle],
        _ => vec![
            Do::Send(chunked.to_vec()),
            Do::Send(b"4\r\nslow\r\n".to_vec()),
            Do::Pause(Duration::from_millis(100)),
            Do::Send(b"5\r\n but \r\n4\r\nfine\r\n0\r\n\r\n".to_vec()),
        ],
    })
    .await;
    let bench = Bench::new();
    let words = failure(&call(&bench, json!({"url": server.url("/never"), "timeout_seconds": 0.3})).await);
    assert!(words.ends_with("no answer within 0.3 s (`timeout_seconds`)"), "{words}");
    let trickle = json!({"url": server.url("/trickle"), "timeout_seconds": 0.5, "method": "GET"});
    let words = failure(&call(&bench, trickle).await);
    assert!(words.contains("bytes of the answer came within 0.5 s"), "{words}");
    assert_eq!(server.asked().len(), 2, "an answer that takes too long is not asked for twice");
    assert_eq!(data(&call(&bench, json!({"url": server.url("/slow")})).await), json!("slow but fine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_is_refused_and_not_kept() {
    let server = Server::new(|_, asked| match asked.target.as_str() {
        "/said" => vec![Do::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec()), Do::Flood],
        "/error" => vec![Do::Send(b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()), Do::Flood],
        _ => vec![Do::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Do::Flood],
    })
    .await;
    let bench = Bench::new();
    let words = failure(&call(&bench, json!({"url": server.url("/said")})).await);
    assert!(words.contains("larger than the 8388608 bytes that are taken (`max_body_bytes`): it has 99999999999"));
    let words = failure(&call(&bench, json!({"url": server.url("/unsaid")})).await);
    assert!(words.contains("larger than the 8388608 bytes"), "{words}");
    let words = failure(&call(&bench, json!({"url": server.url("/unsaid"), "max_body_bytes": 1000})).await);
    assert!(words.contains("larger than the 1000 bytes"), "{words}");
    let (outcome, output) = told(&bench, json!({"url": server.url("/error")})).await;
    assert!(failure(&outcome).len() < 400, "{}", failure(&outcome));
    assert!(output.contains("holdpoint: the answer goes on; 65536 bytes of one are shown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_within_bounds() {
    let server = Server::new(|_, asked| {
        let to = |status: &str, place: &str| answer(status, &format!("location: {place}\r\n"), "");
        match asked.target.as_str() {
            "/see-other" => to("303 See Other", "/done"),
            "/moved" => to("302 Found", "/done"),
            "/temporary" => to("307 Temporary Redirect", "/done"),
            "/self" => to("302 Found", "/self"),
            "/odd" => to("302 Found", "file:///etc/passwd"),
            "/done" => ok(json!({"done": asked.method})),
            path => to("307 Temporary Redirect", &format!("{path}x")),
        }
    })
    .await;
    let bench = Bench::new();
    let ask = async |path: &str| call(&bench, json!({"url": server.url(path), "body": "x"})).await;
    assert_eq!(data(&ask("/see-other").await), json!({"done": "GET"}));
    assert_eq!(data(&ask("/moved").await), json!({"done": "GET"}));
    assert_eq!(data(&ask("/temporary").await), json!({"done": "POST"}));
    assert_eq!(server.asked().last().unwrap().body, "x");
    let words = failure(&ask("/self").await);
    assert!(words.contains("redirects in a circle: to http://127.0.0.1:"), "{words}");
    assert!(failure(&ask("/more").await).contains("redirects more than 5 times"));
    assert!(failure(&ask("/odd").await).contains("no URL that can be asked"));
    let none = call(&bench, json!({"url": server.url("/moved"), "max_redirects": 0})).await;
    assert!(failure(&none).ends_with("answered 302 Found"), "{}", failure(&none));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_is_not_told_who_asks() {
    let other = Server::new(|_, _| ok(json!("other"))).await;
    let there = other.url("/there");
    let server = Server::new(move |_, _| answer("307 Moved", &format!("location: {there}\r\n"), "")).await;
    let bench = Bench::new();
    let entry = json!({"url": server.url("/"), "auth": {"bearer": "hunter2"}, "body": "plain",
        "headers": {"X-Api-Key": "k", "X-Hidden": "by hunter2", "X-Open": "o", "Cookie": "c=1"}});
    let masker = || Masker::new(["hunter2"]).unwrap();
    let (mut attempt, _stop) = context(&bench, entry.clone());
    attempt.secrets = masker();
    assert_eq!(data(&run_attempt(attempt).await), json!("other"));
    let (first, second) = (&server.asked()[0], &other.asked()[0]);
    for name in ["authorization", "x-api-key", "x-hidden", "cookie"] {
        assert!(first.header(name).is_some(), "{name}");
        assert_eq!(second.header(name), None, "{name}");
    }
    assert_eq!((second.header("x-open"), second.body.as_str()), (Some("o"), "plain"));

    let mut entry = entry;
    entry["body"] = "with hunter2".into();
    let (mut attempt, _stop) = context(&bench, entry);
    attempt.secrets = masker();
    let words = failure(&run_attempt(attempt).await);
    assert!(words.contains("another host, which must not be sent the secret in the body"), "{words}");
    assert_eq!(other.asked().len(), 1);
}

fn jobs(of: impl Fn(usize) -> Vec<Do> + Send + Sync + 'static) -> impl Fn(usize, &Asked) -> Vec<Do> + Send + Sync {
    move |number, asked| match asked.method.as_str() {
        "POST" => answers("202 Accepted", "location: /jobs/7\r\n", json!({"job": {"url": "/jobs/8"}, "status": "new"})),
        _ => of(number),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_asked_for_until_it_is_done() {
    let server = Server::new(jobs(|number| match number {
        1 => ok(json!({"status": "running", "percent": 40})),
        2 => answer("500 Internal Server Error", "", "a hiccup"),
        3 => answers("202 Accepted", "", json!({})),
        _ => ok(json!({"status": "finished", "out": [1]})),
    }))
    .await;
    let bench = Bench::new();
    let live = LiveBoard::default();
    let (mut attempt, _stop) = context(
        &bench,
        json!({"url": server.url("/start"), "auth": {"bearer": "t"}, "result": "/out", "poll": {"every_seconds": 0.05,
            "progress": "/percent", "progress_of": 100,
            "until": {"pointer": "/status", "done": ["finished"], "failed": ["broken"]}}}),
    );
    attempt.live = live.sink(bench.run_id, "s", 1);
    let path = attempt.output_path.clone();
    let news = tokio::spawn(async move {
        loop {
            if let Some(share) = live.next().await.iter().find_map(|news| news.progress) {
                return share;
            }
        }
    });
    let outcome = run_attempt(attempt).await;
    assert_eq!(data(&outcome), json!([1]));
    assert_eq!(news.await.unwrap(), 0.4);
    let asked = server.asked();
    assert_eq!(server.lines()[..2], ["POST /start", "GET /jobs/7"]);
    assert_eq!(asked[1].header("authorization"), Some("Bearer t"), "the same server is told who asks");
    assert_eq!(asked[1].header("idempotency-key"), None);
    let output = std::fs::read_to_string(path).unwrap();
    for expected in ["waiting for the job: GET http://127.0.0.1:", "asked 1 times: running", "\"finished\""] {
        assert!(output.contains(expected), "{expected}\n{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_is_late_or_says_nothing_is_a_failure() {
    let server = Server::new(|_, asked| match (asked.method.as_str(), asked.target.as_str()) {
        ("POST", "/no-location") => answer("202 Accepted", "", ""),
        ("POST", _) => answers("202 Accepted", "", json!({"self": asked.target})),
        (_, "/failed") => ok(json!({"state": "broken", "why": "disk"})),
        (_, "/mute") => ok(json!({})),
        (_, "/gone") => answer("404 Not Found", "", ""),
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let bench = Bench::new();
    let ask = async |path: &str, poll: Value| {
        let mut poll = poll;
        poll["every_seconds"] = 0.02.into();
        failure(&call(&bench, json!({"url": server.url(path), "poll": poll})).await)
    };
    let until = json!({"url_at": "/self", "until": {"pointer": "/state", "done": [true], "failed": ["broken"]}});
    let words = ask("/failed", until.clone()).await;
    assert!(words.starts_with("the job has failed (broken); http://") && words.contains("disk"), "{words}");
    assert!(ask("/mute", until.clone()).await.contains("nothing at `/state` (`poll.until`)"));
    assert!(ask("/gone", until).await.contains("answered 404 Not Found"));
    assert!(ask("/no-location", json!({})).await.contains("its answer has no `Location`"));
    assert!(ask("/x", json!({"url_at": "/other"})).await.contains("no URL at `/other` (`poll.url_at`)"));
    let words = ask("/late", json!({"url_at": "/self", "timeout_seconds": 0.3})).await;
    assert!(words.contains("not done within 0.3 s (`poll.timeout_seconds`)"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_on_another_host_is_not_told_who_asks() {
    let other = Server::new(|_, _| ok(json!("done"))).await;
    let there = other.url("/job");
    let server = Server::new(move |_, _| answer("202 Accepted", &format!("location: {there}\r\n"), "")).await;
    let entry = |poll: Value| json!({"url": server.url("/"), "auth": {"bearer": "t"}, "poll": poll});
    let bench = Bench::new();
    assert_eq!(data(&call(&bench, entry(json!({"every_seconds": 0.01}))).await), json!("done"));
    let by_plan = json!({"every_seconds": 0.01, "url": other.url("/job")});
    assert_eq!(data(&call(&bench, entry(by_plan)).await), json!("done"));
    let told: Vec<bool> = other.asked().iter().map(|asked| asked.header("authorization").is_some()).collect();
    assert_eq!(told, [false, true], "the plan may say so, a server may not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_job_is_asked_for_by_its_key_and_nothing_is_sent_again() {
    let server = Server::new(|number, asked| match asked.target.as_str() {
        "/jobs/known" if number == 0 => ok(json!({"state": "running"})),
        "/jobs/known" => ok(json!({"state": "done", "n": 1})),
        "/jobs/failed" => ok(json!({"state": "failed"})),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    let bench = Bench::new();
    let ask = async |job: &str| {
        let poll = json!({"by_key": format!("/jobs/{job}"), "every_seconds": 0.01,
            "until": {"pointer": "/state", "done": ["done"], "failed": ["failed"]}});
        let (mut context, _stop) = context(&bench, json!({"url": server.url("/start"), "poll": poll}));
        context.taken_up = true;
        run_attempt(context).await
    };
    assert_eq!(data(&ask("known").await)["n"], 1);
    assert!(failure(&ask("failed").await).contains("the job has failed"));
    let unknown = ask("unknown").await;
    assert_eq!(unknown.status, OutcomeStatus::Lost);
    assert!(unknown.in_words().contains("knows no job of this attempt (404 Not Found)"), "{}", unknown.in_words());
    assert!(server.asked().iter().all(|asked| asked.method == "GET"), "{:?}", server.lines());
    let (mut context, _stop) = context(&bench, json!({"url": server.url("/start")}));
    context.taken_up = true;
    assert_eq!(run_attempt(context).await.status, OutcomeStatus::Lost);
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_stops_at_once_wherever_it_waits() {
    let server = Server::new(|_, asked| match asked.target.as_str() {
        "/hang" => vec![Do::Hang],
        "/busy" => answer("503 Service Unavailable", "retry-after: 200\r\n", ""),
        "/body" => vec![Do::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Do::Trickle],
        _ => answer("202 Accepted", "location: /job\r\n", ""),
    })
    .await;
    let bench = Bench::new();
    for (path, level, expected) in [
        ("/hang", Stop::Term, "the server may have acted on the request"),
        ("/body", Stop::Kill, "the server may have acted on the request"),
        ("/busy", Stop::Term, "the server has not acted on the request"),
        ("/job", Stop::Term, "the server may go on with it"),
    ] {
        let before = server.asked().len();
        let (context, stop) = context(&bench, json!({"url": server.url(path), "poll": {"every_seconds": 300}}));
        let path_of_output = context.output_path.clone();
        let length = std::fs::read_to_string(&path_of_output).unwrap_or_default().len();
        let attempt = tokio::spawn(run_attempt(context));
        eventually("it is asked", || (server.asked().len() > before).then_some(())).await;
        if matches!(path, "/busy" | "/job") {
            // The answer has come, and what follows from it is being waited for.
            let wanted = if path == "/busy" { "try 2 of 3 in 200 s" } else { "waiting for the job" };
            let written = || std::fs::read_to_string(&path_of_output).unwrap_or_default();
            eventually("it waits", || written()[length..].contains(wanted).then_some(())).await;
        }
        stop.stop(level);
        let outcome = tokio::time::timeout(Duration::from_secs(20), attempt).await.expect(path).unwrap();
        assert_eq!(outcome.status, OutcomeStatus::Stopped, "{path}");
        assert!(outcome.in_words().contains(expected), "{path}: {}", outcome.in_words());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_follow_closely_share_a_connection() {
    let server = Server::new(|_, _| ok(json!(1))).await;
    let bench = Bench::new();
    // A connection is free again a moment after its answer has been read: that may take longer than the next request.
    for _ in 0..50 {
        call(&bench, json!({"url": server.url("/"), "method": "GET"})).await;
        let asked = server.asked();
        if asked.last().unwrap().connection < asked.len() - 1 {
            return;
        }
    }
    panic!("a connection for each request");
}
