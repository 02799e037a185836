//! Asks agents whether they are there, without giving them work.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use crate::plan::{AgentSpec, CommandLine, HttpSpec, McpSpec, Step};

use super::http::{client, request, words};
use super::mcp::{self, Sessions, Tools};
use super::start::StartSignal;
use super::stop::stop_channel;
use super::{AttemptContext, Desk, LiveSink, Masker, Warden};

/// How long a service has to answer whether it is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server has between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(2);

/// Where agents are asked from.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Sees to it that no server survives.
    pub warden: Arc<Warden>,
    /// The plan's folder.
    pub plan_dir: PathBuf,
    /// Where commands run unless an entry says otherwise.
    pub working_dir: PathBuf,
    /// What must not be shown.
    pub secrets: Masker,
}

/// What became of asking an agent.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What is known of it, in words; or why it does not answer.
    pub answer: Result<String, String>,
    /// How long it took.
    pub took: Duration,
    /// The tools of an MCP server.
    pub tools: Option<Tools>,
}

/// Asks an agent, everything in its entry rendered: whether a program is there, a service answers, an MCP server lists its tools. People, time
/// and simulated agents are always there.
pub async fn probe(name: &str, spec: &AgentSpec, ground: &Ground) -> Probe {
    let began = Instant::now();
    let mut tools = None;
    let answer = match spec {
        AgentSpec::Command { command, working_dir, .. } => program(command, &folder(ground, working_dir.as_deref())),
        AgentSpec::Http(spec) => service(spec, ground).await,
        AgentSpec::Mcp(spec) => match mcp::probe(spec, &context(name, spec, ground)).await {
            Ok(listed) => {
                let count = listed.named().count();
                tools = Some(listed);
                Ok(if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") })
            }
            Err(why) => Err(why),
        },
        AgentSpec::Manual(_) => Ok("a person".into()),
        AgentSpec::Wait(_) => Ok("the clock".into()),
        AgentSpec::Simulated(_) => Ok("simulated".into()),
    };
    let masked = |words: String| ground.secrets.text(&words).into_owned();
    Probe { answer: answer.map(masked).map_err(masked), took: began.elapsed(), tools }
}

fn folder(ground: &Ground, working_dir: Option<&str>) -> PathBuf {
    ground.working_dir.join(working_dir.unwrap_or_default())
}

/// Whether a command's program is there.
fn program(command: &CommandLine, folder: &Path) -> Result<String, String> {
    if !folder.is_dir() {
        return Err(format!("the working directory {} does not exist", folder.display()));
    }
    let CommandLine::Argv(words) = command else { return Ok("a shell line".into()) };
    let program = words.first().ok_or("the command is an empty list; it must name a program")?;
    let missing = |kind: io::ErrorKind| Err(super::command::not_started(command, &kind.into(), folder));
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![folder.join(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|place| folder.join(place).join(program)).collect()
    };
    let found: Vec<&PathBuf> = candidates.iter().filter(|path| path.is_file()).collect();
    let executable = |path: &&&PathBuf| rustix::fs::access(path.as_path(), rustix::fs::Access::EXEC_OK).is_ok();
    match (found.iter().find(executable), found.first()) {
        (Some(path), _) => Ok(format!("the program {}", path.display())),
        (None, Some(_)) => missing(io::ErrorKind::PermissionDenied),
        (None, None) => missing(io::ErrorKind::NotFound),
    }
}

/// Whether a service answers at all: whatever it says to `HEAD`, which changes nothing.
async fn service(spec: &HttpSpec, ground: &Ground) -> Result<String, String> {
    let url = request::checked_url(&spec.url)?;
    let connector = client::connector(&url, PATIENCE).await?;
    let mut headers = Default::default();
    request::set_headers(&mut headers, &spec.headers)?;
    request::authorize(&mut headers, spec.auth.as_ref())?;
    let secrets = ground.secrets.with(words::written, Vec::new())?;
    let place = words::url(&url, &secrets);
    let asked = connector.client.head(url).headers(headers).timeout(PATIENCE).send().await;
    match asked {
        Ok(answer) => Ok(format!("{place} answers ({} to HEAD)", answer.status().as_u16())),
        Err(error) if error.is_timeout() => Err(format!("{place} did not answer within {}", words::seconds(PATIENCE))),
        Err(error) => Err(format!("{place} does not answer: {}", words::deepest(&error))),
    }
}

/// What an MCP server is asked with: an attempt that belongs to no run.
fn context(name: &str, spec: &McpSpec, ground: &Ground) -> AttemptContext {
    let run_id = Uuid::now_v7();
    AttemptContext {
        run_id,
        step: Arc::new(Step { step_id: name.to_owned(), ..Step::default() }),
        agent: AgentSpec::Mcp(Box::new(spec.clone())),
        attempt: 1,
        taken_up: false,
        started_at: Utc::now(),
        due: None,
        clock: Arc::new(Utc::now),
        desk: Desk::empty(),
        key: format!("{run_id}.{name}.1.probe"),
        input: Value::Null,
        plan_dir: ground.plan_dir.clone(),
        working_dir: ground.working_dir.clone(),
        // Nothing is written there: there is no such folder.
        output_path: PathBuf::from(format!("/proc/self/no-output/{run_id}.log")),
        output_limit: 0,
        results: Arc::new(|| Value::Object(Map::new())),
        grace: GRACE,
        start: StartSignal::at_once(),
        stop: stop_channel().1,
        live: LiveSink::none(),
        warden: Arc::clone(&ground.warden),
        sessions: Sessions::default(),
        secrets: ground.secrets.clone(),
    }
}
