//! The process of a stdio server: started and watched like a command's, so that it does not survive the engine.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{oneshot, watch};

use crate::plan::{CommandLine, McpSpec};
use crate::run::{Outcome, OutcomeStatus};

use super::super::AttemptContext;
use super::super::command::{self, Ended, see_through};
use super::super::env;
use super::super::group::Group;
use super::super::stop::{Stop, StopHandle, stop_channel};
use super::router::Router;

/// After a server is gone, somebody outside may still hold its stderr open; nobody waits longer than this for them.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long a server has to end by itself when its stdin has been closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Our hold on a server's process. When it is dropped, the process is asked to end.
pub(super) struct Server {
    stop: StopHandle,
    ended: watch::Receiver<Option<String>>,
}

/// How a server is spoken with.
pub(super) struct Voice {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
}

impl Server {
    /// Starts the server for the call that needs it first.
    pub async fn start(
        command: &CommandLine,
        spec: &McpSpec,
        context: &AttemptContext,
        router: Arc<Router>,
    ) -> Result<(Self, Voice), String> {
        context.warden.ready().await?;
        let (stop, mut signal) = stop_channel();
        let (died, ended) = watch::channel(None);
        let (started, start) = oneshot::channel();
        let (command, spec, context) = (command.clone(), spec.clone(), context.clone());
        // A task of its own, because the server outlives the call that started it.
        tokio::spawn(async move {
            let _room = context.warden.room(&context.live).await;
            let (mut child, group) = match spawn(&command, &spec, &context).await {
                Ok(spawned) => spawned,
                Err(error) => return drop(started.send(Err(error))),
            };
            let (Some(stdin), Some(stdout), Some(mut stderr)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                return drop(started.send(Err("the server's process has no pipes".into())));
            };
            // When nobody waits for it any more, it is dropped with the answer and so asked to end.
            drop(started.send(Ok((Self { stop, ended }, Voice { stdin, stdout }))));
            let grace = context.grace;
            // What the call was given stays with the call.
            drop(context.stop);
            let ended = {
                let listen = listen(&mut stderr, &router);
                let over = see_through(&mut child, group, &mut signal, grace);
                tokio::pin!(listen, over);
                let mut silent = false;
                let ended = loop {
                    tokio::select! {
                        () = &mut listen, if !silent => silent = true,
                        ended = &mut over => break ended,
                    }
                };
                if !silent {
                    let _ = tokio::time::timeout(LAST_WORDS, &mut listen).await;
                }
                ended
            };
            died.send_replace(Some(in_words(ended, &router)));
        });
        start.await.unwrap_or_else(|_| Err("the task that starts the server has ended".into()))
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits until it has ended, but not longer than this.
    pub async fn wait(&self, patience: Duration) -> Option<String> {
        let mut ended = self.ended.clone();
        let waited = tokio::time::timeout(patience, ended.wait_for(Option::is_some)).await;
        waited.ok()?.ok()?.clone()
    }

    /// Ends it. Its stdin has been closed; whoever does not leave then is asked to, and at last killed.
    pub async fn close(&self, grace: Duration) {
        if self.wait(FAREWELL).await.is_none() {
            self.stop.stop(Stop::Term);
            self.wait(grace + FAREWELL).await;
        }
    }

    /// Kills it.
    pub fn kill(&self) {
        self.stop.stop(Stop::Kill);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop(Stop::Term);
    }
}

async fn spawn(command: &CommandLine, spec: &McpSpec, context: &AttemptContext) -> Result<(Child, Group), String> {
    let folder = [context.step.working_dir.as_deref(), spec.working_dir.as_deref()].into_iter().flatten().next();
    let folder = context.working_dir.join(folder.unwrap_or_default());
    let mut process = command::process_of(command)?;
    // By these the processes of a run are found after a crash. The step and its attempt are those that needed the server first.
    let variables = [
        (env::RUN_ID, context.run_id.to_string()),
        (env::STEP_ID, context.step.step_id.clone()),
        (env::ATTEMPT, context.attempt.to_string()),
        (env::ATTEMPT_KEY, context.key.clone()),
        (env::PLAN_DIR, context.plan_dir.to_string_lossy().into_owned()),
        (env::ENGINE, context.warden.engine().to_string()),
    ];
    process.envs(&spec.env).envs(context.step.env.iter()).envs(variables).current_dir(&folder);
    process.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let turn = context.warden.turn().await;
    let spawned = context.warden.open_files().spawn(&mut process, &context.live).await;
    let child = spawned.map_err(|error| {
        let words = command::not_started(command, &error, &folder);
        format!("the server was not started: {words}{}", how_to_get(command, &error))
    })?;
    let leader = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("the server's process has no id")?;
    let group = Group::new(&context.warden, leader, &context.key).noted(context);
    drop(turn);
    Ok((child, group))
}

/// Where programs come from that start most servers.
fn how_to_get(command: &CommandLine, error: &std::io::Error) -> &'static str {
    let CommandLine::Argv(words) = command else { return "" };
    if error.kind() != std::io::ErrorKind::NotFound {
        return "";
    }
    match words.first().map(String::as_str) {
        Some("npx" | "npm" | "node") => {
            ". It comes with Node.js: install the package `nodejs` and `npm`, or see https://nodejs.org"
        }
        Some("uvx" | "uv") => ". It comes with uv: see https://docs.astral.sh/uv",
        Some("python" | "python3" | "pip" | "pipx") => {
            ". It comes with Python: install the package `python3`, or see https://www.python.org"
        }
        Some("docker") => ". It comes with Docker: see https://docs.docker.com",
        _ => "",
    }
}

/// Brings what the server says on stderr to the calls.
async fn listen(stderr: &mut ChildStderr, router: &Router) {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        match stderr.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                for (to, said) in router.stderr(&buffer[..count]) {
                    // A call that has ended hears nothing any more.
                    let _ = to.send(said).await;
                }
            }
            _ => return,
        }
    }
}

/// How a server ended, for a message that goes on.
fn in_words(ended: Ended, router: &Router) -> String {
    let how = match ended.status {
        Ok(status) if status.success() => "exit status 0".to_owned(),
        Ok(status) => {
            let (exit_code, signal) = (status.code(), std::os::unix::process::ExitStatusExt::signal(&status));
            Outcome { status: OutcomeStatus::Failed, exit_code, signal, ..Outcome::default() }.in_words()
        }
        Err(error) => format!("it could not be waited for: {error}"),
    };
    match router.last_words() {
        Some(words) => format!("{how}; it said last: {words}"),
        None => how,
    }
}
