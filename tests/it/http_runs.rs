//! Whole runs of the binary with `http` agents: secrets, proxies, certificates, expressions.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::cli_support::{Ended, Sandbox, files};
use crate::http_server::{Server, answer, ok};

/// A run of a plan in an environment with these variables as well.
async fn run(sandbox: &Arc<Sandbox>, plan: Value, variables: &[(&str, &str)]) -> Ended {
    let name = sandbox.plan_text(plan["plan_id"].as_str().unwrap(), &plan.to_string());
    let mut command = sandbox.command(&["run", &name, "--headless"]);
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Ended { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_written_anywhere_however_often_a_server_says_it() {
    let echo = Server::new(|_, asked| {
        let headers: Value =
            asked.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let body = json!({"target": asked.target, "headers": headers, "body": asked.body});
        let header = format!("x-echo: {}\r\nset-cookie: s=1\r\n", asked.target);
        match asked.target.contains("fail") {
            true => crate::http_server::json("500 Oops", &header, body),
            false => crate::http_server::json("200 OK", &header, body),
        }
    })
    .await;
    let sandbox = Arc::new(Sandbox::new());
    let step =
        |id: &str, agent: &str| json!({"step_id": id, "agent_type": agent, "action": id, "on_failure": "continue"});
    let plan = json!({
        "plan_id": "secrets", "on_failure": "continue",
        "variables": {"token": {"env": "TOKEN", "secret": true}, "word": {"env": "WORD", "secret": true}},
        "agents": {
            "bearer": {"kind": "http", "url": echo.url("/{{ action }}?k={{ vars.token | urlencode }}"), "auth": {"bearer": "{{ vars.word }}"},
                "query": {"again": "{{ vars.token }}"}, "json": {"inside": "{{ vars.token }}"}},
            "basic": {"kind": "http", "url": echo.url("/{{ action }}"), "auth": {"basic": {"user": "ann", "password": "{{ vars.word }}"}},
                "headers": {"X-Plain": "x {{ vars.word }} x"}, "body": "text {{ vars.token }}"}},
        "steps": [step("one", "bearer"), step("two", "basic"), step("fail", "bearer")]});
    let ended = run(&sandbox, plan, &[("TOKEN", "to/k e\"n&1"), ("WORD", "hunter2secret")]).await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.text(), ended.stderr);
    assert_eq!(echo.asked().len(), 3, "{}{}", ended.text(), ended.stderr);
    assert_eq!(echo.asked()[0].header("authorization"), Some("Bearer hunter2secret"), "the server is told");
    assert!(echo.asked()[1].body.contains("to/k e\"n&1"));
    let mut written = vec![("stdout".into(), ended.text()), ("stderr".into(), ended.stderr.clone())];
    files(sandbox.path(), &mut written);
    written.retain(|(name, _)| !name.ends_with("/plans/secrets.json"));
    assert!(written.iter().any(|(_, text)| text.contains("> POST http://127.0.0.1:")), "{written:?}");
    // As they are, in a URL, in a form, in JSON, and as the header of a user with a password.
    for secret in ["hunter2secret", "to/k e", "to%2Fk", "to/k%20e", "YW5uOmh1bnRlcjJzZWNyZXQ"] {
        for (name, text) in &written {
            assert!(!text.contains(secret), "{secret} stands in {name}:\n{text}");
        }
    }
    let shown = sandbox.snapshot().to_string();
    assert!(shown.contains("•••"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_filled_in_from_the_step_and_from_earlier_results() {
    let server = Server::new(|_, asked| match asked.target.as_str() {
        "/v1/list" => ok(json!({"id": 7})),
        _ => ok(json!({"got": serde_json::from_str::<Value>(&asked.body).unwrap()})),
    })
    .await;
    let sandbox = Arc::new(Sandbox::new());
    let plan = json!({
        "plan_id": "filled", "variables": {"base": {"default": server.url("/v1")}, "n": {"default": 3}},
        "agents": {"api": {"kind": "http", "url": "{{ vars.base }}/{{ action }}", "headers": {"X-N": "{{ vars.n }}"},
            "json": {"of": "{{ parameters.id }}", "step": "{{ step_id }}"}},
            "job": {"kind": "http", "url": "{{ vars.base }}/x", "poll": {"url": "/jobs/{{ attempt_key }}", "every_seconds": 0.01}}},
        "steps": [
            {"step_id": "list", "agent_type": "api", "action": "list", "parameters": {"id": null}},
            {"step_id": "get", "agent_type": "api", "action": "get", "parameters": {"id": "{{ steps.list.result.id }}"},
                "when": "steps.list.result.id > 5"}]});
    let ended = run(&sandbox, plan, &[]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    let asked = server.asked();
    assert_eq!(server.lines(), ["POST /v1/list", "POST /v1/get"]);
    assert_eq!(asked[1].header("x-n"), Some("3"));
    assert_eq!(asked[1].body, r#"{"of":7,"step":"get"}"#);
    let key = |place: usize| asked[place].header("idempotency-key").unwrap().to_owned();
    assert!(key(0).contains(".list.1.") && key(1).contains(".get.1."), "{} {}", key(0), key(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_has_a_key_of_its_own_which_a_job_can_be_asked_for_by() {
    let server = Server::new(|number, asked| match asked.method.as_str() {
        "POST" if number == 0 => answer("500 Oops", "", "first"),
        "POST" => answer("202 Accepted", "", ""),
        _ => ok(json!({"asked": asked.target})),
    })
    .await;
    let sandbox = Arc::new(Sandbox::new());
    let plan = json!({
        "plan_id": "keys",
        "agents": {"job": {"kind": "http", "url": server.url("/start"), "poll": {"url": "/jobs/{{ attempt_key }}", "every_seconds": 0.01}}},
        "steps": [{"step_id": "s", "agent_type": "job", "max_retries": 1, "retry": {"delay_seconds": 0}}]});
    let ended = run(&sandbox, plan, &[]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    let asked = server.asked();
    let key = |place: usize| asked[place].header("idempotency-key").unwrap().to_owned();
    assert!(key(0).contains(".s.1.") && key(1).contains(".s.2."), "{} {}", key(0), key(1));
    assert_eq!(asked[2].target, format!("/jobs/{}", key(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_of_the_environment_is_asked_but_not_for_this_machine() {
    let proxy = Server::new(|_, asked| ok(json!({"through": asked.target}))).await;
    let here = Server::new(|_, _| ok(json!("direct"))).await;
    let sandbox = Arc::new(Sandbox::new());
    let plan = json!({
        "plan_id": "proxied",
        "agents": {"there": {"kind": "http", "url": "http://service.invalid/x"}, "here": {"kind": "http", "url": here.url("/x")}},
        "steps": [{"step_id": "a", "agent_type": "there"}, {"step_id": "b", "agent_type": "here"}]});
    let ended = run(&sandbox, plan, &[("HTTP_PROXY", &proxy.url("/")), ("http_proxy", &proxy.url("/"))]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(proxy.lines(), ["POST http://service.invalid/x"]);
    assert_eq!(here.lines(), ["POST /x"]);
}

/// A server with a certificate that it has made itself; gives its port and the certificate.
fn tls_server() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut stream);
            let mut head = Vec::new();
            let mut byte = [0];
            // One that does not trust us goes away during the handshake.
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_must_be_trusted_and_can_be() {
    let (port, pem) = tls_server();
    let mut other = rcgen::CertificateParams::new(vec!["other".into()]).unwrap();
    other.distinguished_name.push(rcgen::DnType::CommonName, "other");
    let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let sandbox = Arc::new(Sandbox::new());
    let file = |name: &str, text: &str| {
        std::fs::write(sandbox.path().join(name), text).unwrap();
        sandbox.path().join(name).display().to_string()
    };
    let (trusted, untrusted, none) = (file("root.pem", &pem), file("other.pem", &other), file("none.pem", ""));
    let plan = json!({
        "plan_id": "tls", "agents": {"there": {"kind": "http", "method": "GET", "url": format!("https://127.0.0.1:{port}/")}},
        "steps": [{"step_id": "a", "agent_type": "there"}]});
    let ended = run(&sandbox, plan.clone(), &[("SSL_CERT_FILE", &untrusted)]).await;
    let said = format!("{}{}", ended.text(), ended.stderr);
    assert_eq!(ended.code, Some(1), "{said}");
    let expected = format!("the certificate of 127.0.0.1:{port} is not trusted: who issued it is not known here");
    assert!(said.contains(&expected), "{said}");
    assert!(!said.contains("tries"), "{said}");
    let ended = run(&sandbox, plan.clone(), &[("SSL_CERT_FILE", &none)]).await;
    assert!(ended.text().contains("this machine has no root certificates"), "{}{}", ended.text(), ended.stderr);
    let ended = run(&sandbox, plan, &[("SSL_CERT_FILE", &trusted)]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
}

/// A run whose engine is killed while the service works on a step's job, then resumed; `poll` is added to how the job is asked for.
async fn killed_in_mid_job(poll: Value, idempotent: bool) -> (Arc<Sandbox>, Server, Ended) {
    let finished = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&finished);
    let server = Server::new(move |number, asked| match asked.method.as_str() {
        "POST" => answer("202 Accepted", &format!("location: /jobs/{number}\r\n"), ""),
        _ if done.load(Ordering::SeqCst) => ok(json!({"state": "done", "n": 7})),
        _ => ok(json!({"state": "running"})),
    })
    .await;
    let sandbox = Arc::new(Sandbox::new());
    let mut how = json!({"every_seconds": 0.02, "until": {"pointer": "/state", "done": ["done"]}});
    how.as_object_mut().unwrap().extend(poll.as_object().unwrap().clone());
    let plan = json!({
        "plan_id": "lost", "agents": {"job": {"kind": "http", "url": server.url("/start"), "poll": how}},
        "steps": [{"step_id": "s", "agent_type": "job", "idempotent": idempotent},
            {"step_id": "after", "run": "test \"$N\" = 7", "env": {"N": "{{ steps.s.result.n }}"}}]});
    let name = sandbox.plan_text("lost", &plan.to_string());
    let running = sandbox.start(&["run", &name, "--headless"]);
    crate::agents::eventually("the job is asked for", || server.asked().get(2).cloned()).await;
    running.signal(rustix::process::Signal::KILL);
    let running = tokio::task::spawn_blocking(move || running.wait()).await.unwrap();
    assert_eq!(running.code, None);
    finished.store(true, Ordering::SeqCst);
    let resumed = Arc::clone(&sandbox);
    let ended = tokio::task::spawn_blocking(move || resumed.run(&["resume", "latest", "--headless"])).await.unwrap();
    (sandbox, server, ended)
}

fn posts(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.method == "POST").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_the_engine_that_began_it_where_it_can_be_asked_for_by_key() {
    let by_key = json!({"by_key": "/find?key={{ attempt_key }}"});
    let (sandbox, server, ended) = killed_in_mid_job(by_key, false).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(posts(&server), 1, "{:?}", server.lines());
    let key = server.asked()[0].header("idempotency-key").unwrap().to_owned();
    assert_eq!(server.asked().last().unwrap().target, format!("/find?key={key}"));
    let snapshot = sandbox.snapshot();
    assert_eq!(snapshot["steps"][0]["attempts"].as_array().map(Vec::len), Some(1), "{snapshot}");
    assert!(sandbox.ok(0, &["output", "latest", "s"]).contains("asking how the job of this attempt stands"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_nobody_can_be_asked_for_is_not_sent_again_without_a_word() {
    let (sandbox, server, ended) = killed_in_mid_job(json!({}), false).await;
    assert_eq!(ended.code, Some(4), "{}{}", ended.text(), ended.stderr);
    assert_eq!(posts(&server), 1);
    assert_eq!(sandbox.snapshot()["steps"][0]["status"], "interrupted");
    // Where sending it twice does no harm it is sent again.
    let (_sandbox, server, ended) = killed_in_mid_job(json!({}), true).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(posts(&server), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_its_service_does_not_know_waits_for_the_operator() {
    let server = Server::new(|_, asked| match asked.target.split('?').next() {
        Some("/start") => answer("202 Accepted", "location: /jobs/1\r\n", ""),
        Some("/find") => answer("404 Not Found", "", ""),
        _ => ok(json!({"state": "running"})),
    })
    .await;
    let sandbox = Arc::new(Sandbox::new());
    let poll = json!({"by_key": "/find?key={{ attempt_key }}", "every_seconds": 0.02, "until": {"pointer": "/state", "done": ["done"]}});
    let plan = json!({
        "plan_id": "unknown", "agents": {"job": {"kind": "http", "url": server.url("/start"), "poll": poll}},
        "steps": [{"step_id": "s", "agent_type": "job", "max_retries": 3}]});
    let name = sandbox.plan_text("unknown", &plan.to_string());
    let running = sandbox.start(&["run", &name, "--headless"]);
    crate::agents::eventually("the job is asked for", || server.asked().get(2).cloned()).await;
    // A pause and a drain leave the job to its service, too.
    running.signal(rustix::process::Signal::TERM);
    let paused = tokio::task::spawn_blocking(move || running.wait()).await.unwrap();
    assert_eq!(paused.code, Some(4), "{}", paused.text());
    let steps = sandbox.snapshot()["steps"].clone();
    assert_eq!(steps[0]["status"], "running", "{steps}");
    assert!(sandbox.ok(0, &["why", "latest", "s"]).contains("its service is asked how it stands"));
    let resumed = Arc::clone(&sandbox);
    let ended = tokio::task::spawn_blocking(move || resumed.run(&["resume", "latest", "--headless"])).await.unwrap();
    assert_eq!(ended.code, Some(4), "{}{}", ended.text(), ended.stderr);
    assert_eq!(posts(&server), 1, "{:?}", server.lines());
    let snapshot = sandbox.snapshot();
    assert_eq!(snapshot["steps"][0]["status"], "interrupted", "{snapshot}");
    assert!(snapshot.to_string().contains("knows no job of this attempt"), "{snapshot}");
}
