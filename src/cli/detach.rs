//! Runs that go on without a terminal: started in the background, or left behind by a console whose terminal went away.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command as Process, Stdio};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::engine::remote::Server;
use crate::engine::{EngineHandle, NewRun, RunUpdate};
use crate::run::{Command, RunStatus, short_id};

use super::args::DETACHED;
use super::failure::{Exit, Failure};
use super::signals::{Asked, Signals};
use super::{Context, start};

/// What the process in the background says when it is there.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    run_id: Uuid,
}

/// `run --detach`: starts this program again in a session of its own, and returns when the run has started there. What goes wrong until then is
/// said by the other process, on the same stderr, and gives the exit code.
pub fn detach(context: &Context) -> Result<Exit, Failure> {
    let cannot = |error: std::io::Error| Failure::failed(format!("cannot start in the background: {error}"));
    let program = std::env::current_exe().map_err(cannot)?;
    let arguments = std::env::args_os().skip(1).map(|word| if word == "--detach" { DETACHED.into() } else { word });
    let mut child =
        Process::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(cannot)?;
    }
    let Ok(Ready { run_id }) = serde_json::from_str(&line) else {
        let ended = child.wait().map_err(cannot)?;
        return match ended.code().and_then(|code| Exit::of_code(u8::try_from(code).ok()?)) {
            // It has said why.
            Some(exit) if exit != Exit::Fine => Err(Failure::Silent(exit)),
            _ => Err(Failure::failed(format!("the process in the background ended before the run began ({ended})"))),
        };
    };
    let short = short_id(run_id);
    let mut out = std::io::stdout().lock();
    writeln!(out, "run {run_id} runs in the background, in process {}", child.id())?;
    writeln!(out, "watch it  {}", context.command(&format!("attach {short}")))?;
    writeln!(out, "stop it   {}", context.command(&format!("ctl {short} cancel")))?;
    Ok(Exit::Fine)
}

/// The process in the background: starts the run, says so, lets go of the terminal, and stays until the run has ended.
pub async fn detached(context: &Context, new: NewRun) -> Result<Exit, Failure> {
    let cannot = |error: rustix::io::Errno| Failure::failed(format!("cannot let go of the terminal: {error}"));
    // No terminal, and no keys of one: not even Ctrl-C. Refused only to a process that leads a group, which one that was just started does not.
    rustix::process::setsid().map_err(cannot)?;
    let signals = Signals::listen()?;
    let hooks = context.config.hooks()?;
    let (engine, server) = start::engine(context)?;
    if server.is_none() {
        engine.shutdown().await;
        return Err(Failure::failed(
            "nobody could reach a run in the background: there is no place for its socket (XDG_RUNTIME_DIR, or /tmp)",
        ));
    }
    let hooks = start::hooks(&engine, hooks, context, true).await;
    let run_id = engine.register(new).await?;
    engine.send(run_id, context.request(Command::Start)).await?;
    {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &Ready { run_id }).map_err(std::io::Error::from)?;
        writeln!(out)?;
        out.flush()?;
    }
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null).map_err(cannot)?;
    rustix::stdio::dup2_stderr(&null).map_err(cannot)?;
    stay(&engine, server.as_ref(), signals).await;
    start::end(&engine, hooks).await;
    let status = engine.load(run_id).await?.state.status;
    Ok(Exit::of(status))
}

/// Stays while a run that is open here may still do something, or waits for a person, and while somebody is attached. SIGINT and SIGTERM end it:
/// whoever called shuts the engine down then, which stops what runs and pauses the runs.
pub async fn stay(engine: &EngineHandle, server: Option<&Server>, mut signals: Signals) {
    let mut clients = server.map(Server::clients);
    'anew: loop {
        let Ok(mut overview) = engine.overview().await else { return };
        let mut open: HashMap<Uuid, RunStatus> = HashMap::new();
        let mut note = |update: &RunUpdate| {
            if update.open {
                open.insert(update.summary.run_id, update.summary.status);
            } else {
                open.remove(&update.summary.run_id);
            }
            open.values().any(|status| matches!(status, RunStatus::Running | RunStatus::Paused))
        };
        let mut active = false;
        for update in &overview.runs {
            active = note(update);
        }
        loop {
            let watched = clients.as_ref().is_some_and(|clients| *clients.borrow() > 0);
            if !active && !watched {
                return;
            }
            let changed = async {
                match &mut clients {
                    Some(clients) => clients.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                update = overview.updates.recv() => match update {
                    Ok(update) => active = note(&update),
                    Err(RecvError::Lagged(_)) => continue 'anew,
                    Err(RecvError::Closed) => return,
                },
                _ = changed => {}
                signal = signals.next() => match signal {
                    Asked::Stop(_) => return,
                    Asked::HangUp => {}
                },
            }
        }
    }
}
