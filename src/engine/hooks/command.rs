//! A hook that is a command: it gets the event as one line of JSON on its standard input, in a process group of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::plan::CommandLine;

use super::deliver::Failed;
use super::event::Item;

/// So much of what it prints is kept for a message, in bytes; the rest is read and forgotten.
const KEPT: usize = 2048;
/// How long somebody outside may hold its output open after its end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The processes of a hook. None of them outlives this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // There may be none left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

pub(super) async fn run(line: &CommandLine, item: &Item, body: &str, timeout: Duration) -> Result<(), Failed> {
    let failed = |why: String| Failed { why, again: true, after: None };
    let mut command = match line {
        CommandLine::Shell(line) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(line);
            command
        }
        CommandLine::Argv(words) => {
            let (program, arguments) = words.split_first().ok_or_else(|| failed("its command is empty".into()))?;
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    command
        .env("HOLDPOINT_EVENT", item.kind.word())
        .env("HOLDPOINT_RUN_ID", item.run_id.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // One that does not read its input has what it needs.
            let _ = stdin.write_all(format!("{body}\n").as_bytes()).await;
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let work = async {
        let read = async { tokio::join!(keep(stdout, &mut out), keep(stderr, &mut err)) };
        tokio::pin!(read, feed);
        let (mut was_read, mut was_fed) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                _ = &mut read, if !was_read => was_read = true,
                () = &mut feed, if !was_fed => was_fed = true,
            }
        };
        // What is left of the group would keep its output open.
        drop(group);
        if !was_read {
            let _ = tokio::time::timeout(LAST_WORDS, &mut read).await;
        }
        ended
    };
    let Ok(ended) = tokio::time::timeout(timeout, work).await else {
        return Err(failed(format!("it took longer than {} s and was ended", timeout.as_secs_f64())));
    };
    let status = ended.map_err(|error| failed(format!("it cannot be waited for: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(if err.is_empty() { &out } else { &err });
    let words = words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    };
    Err(failed(format!("{how}{words}")))
}

/// Reads to the end and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&buffer[..room]);
    }
}
