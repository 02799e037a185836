//! The `command` agent: a process, in a process group of its own.
//!
//! What its first process says is the outcome: exit 0 is success unless its result says otherwise. What is left of it then is stopped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;

use crate::plan::{AgentSpec, CommandLine, CommandProtocol};
use crate::run::{AgentResult, Outcome, OutcomeStatus, ResultStatus};

use super::group::{Group, Leftovers};
use super::jsonl::{self, Lines, Message};
use super::live::LiveSink;
use super::masking::{MaskStream, Masker};
use super::output::Stream;
use super::pipes::{Ends, Pipes};
use super::rewrites::Rewrites;
use super::sink::{OutputReport, OutputSink, make_folder_of};
use super::spawn::located;
use super::stop::{Stop, StopSignal};
use super::{Agent, AttemptContext, env, result};

/// After all its processes are gone, somebody outside may still hold an attempt's output open; nobody waits longer than this for them.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// A line of a terminal that is not at its end is shown when nothing more of it has come for so long.
const QUIET: Duration = Duration::from_millis(300);

struct CommandAgent {
    command: CommandLine,
    protocol: CommandProtocol,
    tty: bool,
    env: BTreeMap<String, String>,
    working_dir: Option<String>,
}

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    let AgentSpec::Command { command, protocol, tty, env, working_dir } = spec else { return None };
    Some(Box::new(CommandAgent {
        command: command.clone(),
        protocol: protocol.unwrap_or(CommandProtocol::Plain),
        tty: *tty,
        env: env.clone(),
        working_dir: working_dir.clone(),
    }))
}

impl Agent for CommandAgent {
    fn attempt(&self, context: AttemptContext) -> BoxFuture<'_, Outcome> {
        async move { self.run(context).await.unwrap_or_else(Outcome::failed) }.boxed()
    }
}

/// How the attempt's first process ended.
pub(super) struct Ended {
    pub status: io::Result<ExitStatus>,
    /// TERM or KILL was sent before it ended.
    pub stopped: bool,
    pub leftovers: Leftovers,
}

impl CommandAgent {
    async fn run(&self, mut context: AttemptContext) -> Result<Outcome, String> {
        context.warden.ready().await?;
        let room = tokio::select! {
            biased;
            _ = context.stop.above(Stop::None) => return Ok(Outcome::stopped()),
            room = context.warden.room(&context.live) => room,
        };
        // Absolute, because the command runs in another folder.
        let result_path = std::path::absolute(context.output_path.with_extension("result.json"));
        let result_path = result_path.map_err(|error| format!("the folder for output has no path: {error}"))?;
        // The folder is there from the second attempt of a run on, and then this costs next to nothing.
        make_folder_of(&result_path).map_err(|error| format!("the folder for output could not be made: {error}"))?;

        let jsonl = self.protocol == CommandProtocol::Jsonl;
        let (mut child, mut pipes, mut group) = self.start(&mut context, &result_path).await?;
        let input = child.stdin.take().map(|stdin| feed(stdin, jsonl::request(&context)));
        let mut intake = Intake::new(&context.secrets, context.live.clone(), jsonl, self.tty);
        let mut sink = OutputSink::new(context.output_path.clone(), context.live.clone()).keeping(context.output_limit);
        let ended = {
            let pump = pump(&mut pipes, &mut intake, &mut sink);
            let ended = async {
                let moment = context.warden.processes().begin();
                moment.watch(|| matches!(child.try_wait(), Ok(Some(_)))).await;
                let ended = see_through(&mut child, &mut group, &mut context.stop, context.grace).await;
                moment.end();
                ended
            };
            tokio::pin!(pump, ended);
            let mut input = input.map(Box::pin);
            let (mut pumped, mut fed) = (false, input.is_none());
            let ended = loop {
                tokio::select! {
                    () = &mut pump, if !pumped => pumped = true,
                    () = async { if let Some(input) = &mut input { input.await } }, if !fed => fed = true,
                    ended = &mut ended => break ended,
                }
            };
            if !pumped {
                let _ = tokio::time::timeout(LAST_WORDS, &mut pump).await;
            }
            ended
        };
        intake.finish(&mut sink);
        if !ended.leftovers.strays.is_empty() {
            sink.remark(&ended.leftovers.in_words());
        }
        let output = sink.finish().await;
        let result = if ended.stopped {
            result::remove_file(&result_path);
            None
        } else {
            intake.result.or(take_result(result_path).await)
        };
        // Putting these away takes a dozen system calls, for which nobody has to wait who wants to know how it ended.
        let rest = (child, pipes, group, room);
        tokio::spawn(async move { drop(rest) });
        Ok(judge(ended, result.map(|result| result.map(|result| context.secrets.result(result))), output))
    }

    async fn start(&self, context: &mut AttemptContext, result_path: &Path) -> Result<(Child, Pipes, Group), String> {
        let folder = [context.step.working_dir.as_deref(), self.working_dir.as_deref()].into_iter().flatten().next();
        let folder = context.working_dir.join(folder.unwrap_or_default());
        let mut command = process_of(&self.command, [&self.env, &context.step.env])?;
        let variables: [(&str, OsString); 7] = [
            (env::RUN_ID, context.run_id.to_string().into()),
            (env::STEP_ID, context.step.step_id.clone().into()),
            (env::ATTEMPT, context.attempt.to_string().into()),
            (env::ATTEMPT_KEY, context.key.clone().into()),
            (env::PLAN_DIR, context.plan_dir.clone().into()),
            (env::RESULT, result_path.into()),
            (env::ENGINE, context.warden.engine().to_string().into()),
        ];
        let sets_term = |env: &BTreeMap<String, String>| env.contains_key("TERM");
        if self.tty && std::env::var_os("TERM").is_none() && ![&self.env, &context.step.env].into_iter().any(sets_term)
        {
            // Without it a program takes the terminal for one that can do nothing.
            command.env("TERM", "xterm-256color");
        }
        command.envs(variables).current_dir(&folder);
        let (pipes, Ends { stdin, stdout, stderr }) = if self.tty {
            Pipes::terminal().map_err(|error| format!("there is no pseudo-terminal for its output: {error}"))?
        } else {
            let pipes = context.warden.spare_pipes().take();
            pipes.map_err(|error| format!("there is no pipe for its output: {error}"))?
        };
        let stdin = if self.protocol == CommandProtocol::Jsonl { Stdio::piped() } else { stdin };
        // Not `pre_exec`, which would make starting a process several times slower.
        command.process_group(0).stdin(stdin).stdout(stdout).stderr(stderr);
        let moment = context.warden.starts().begin();
        moment.watch(|| context.start.is_given()).await;
        context.start.given().await;
        moment.end();
        let turn = context.warden.turn().await;
        let spawned = context.warden.open_files().spawn(&mut command, &context.live).await;
        let child = spawned.map_err(|error| not_started(&self.command, &error, &folder))?;
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("the process has no id")?;
        let group = Group::new(&context.warden, leader, &context.key).noted(context);
        drop(turn);
        // With it goes our copy of the pipes' other ends: they end with the attempt.
        drop(command);
        // While the process works there is time.
        context.warden.spare_pipes().refill();
        Ok((child, pipes, group))
    }
}

/// The process that a command stands for, not started yet, with what is added to its environment, the later the stronger.
pub(super) fn process_of(command: &CommandLine, added: [&BTreeMap<String, String>; 2]) -> Result<Command, String> {
    let (program, arguments) = match command {
        CommandLine::Shell(line) => ("sh", &["-c".to_owned(), line.clone()][..]),
        CommandLine::Argv(words) => {
            let (program, arguments) =
                words.split_first().ok_or("the command is an empty list; it must name a program")?;
            (program.as_str(), arguments)
        }
    };
    let path = added.iter().rev().find_map(|env| env.get("PATH").map(OsString::from));
    let path = path.or_else(|| std::env::var_os("PATH"));
    let mut process = match path.and_then(|path| located(program, &path)) {
        Some(place) => {
            let mut process = Command::new(place);
            process.arg0(program);
            process
        }
        None => Command::new(program),
    };
    process.args(arguments).envs(added[0]).envs(added[1]);
    Ok(process)
}

/// Why a command could not be started in a folder.
pub(super) fn not_started(command: &CommandLine, error: &io::Error, folder: &Path) -> String {
    let place = folder.display();
    match folder.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return format!("the working directory {place} does not exist");
        }
        Err(error) => return format!("the working directory {place} cannot be used: {error}"),
        Ok(metadata) if !metadata.is_dir() => return format!("the working directory {place} is not a directory"),
        Ok(_) => {}
    }
    let program = match command {
        CommandLine::Shell(_) => "sh",
        CommandLine::Argv(words) => words.first().map_or("", String::as_str),
    };
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => {
            format!("the program `{program}` does not exist (or the interpreter named in its first line does not)")
        }
        io::ErrorKind::NotFound => format!("the program `{program}` was not found; PATH has no such program"),
        io::ErrorKind::PermissionDenied => format!("the program `{program}` may not be executed: {error}"),
        _ => format!("the program `{program}` could not be started: {error}"),
    }
}

/// Gives a jsonl agent its line, then the end of the file. An agent that does not read is none of our business.
async fn feed(mut stdin: ChildStdin, line: Vec<u8>) {
    let _ = stdin.write_all(&line).await;
}

/// Waits for the first process, stops it when asked, and then clears away what it left.
pub(super) async fn see_through(child: &mut Child, group: &mut Group, stop: &mut StopSignal, grace: Duration) -> Ended {
    let mut level = Stop::None;
    let mut kill_at = None;
    let status = loop {
        let kill_due = async {
            match kill_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            status = child.wait() => break status,
            asked = stop.above(level) => {
                // One that has ended by itself was not stopped.
                if let Ok(Some(status)) = child.try_wait() {
                    break Ok(status);
                }
                level = asked;
                if asked == Stop::Kill {
                    group.kill();
                } else {
                    group.term();
                    kill_at = Some(Instant::now() + grace);
                }
            }
            () = kill_due => {
                group.kill();
                level = Stop::Kill;
                kill_at = None;
            }
        }
    };
    let stopped = level > Stop::None;
    let kill_at = if level == Stop::Kill { Some(Instant::now()) } else { kill_at };
    Ended { status, stopped, leftovers: group.clear(kill_at, grace, stop).await }
}

/// Reads and removes the result's file.
async fn take_result(path: PathBuf) -> Option<Result<AgentResult, String>> {
    // Most attempts write none, and asking is cheaper than handing the question to another thread.
    path.symlink_metadata().ok()?;
    let read = tokio::task::spawn_blocking(move || result::take_file(&path)).await;
    read.unwrap_or_else(|error| Some(Err(error.to_string())))
}

/// What follows from how the process ended and what it said.
fn judge(ended: Ended, result: Option<Result<AgentResult, String>>, output: OutputReport) -> Outcome {
    let mut outcome = Outcome { output_bytes: output.bytes, ..Outcome::default() };
    outcome.strays = u32::try_from(ended.leftovers.strays.len()).unwrap_or(u32::MAX);
    let mut errors = Vec::new();
    let mut succeeded = false;
    match ended.status {
        Ok(status) => {
            outcome.exit_code = status.code();
            outcome.signal = status.signal();
            succeeded = status.success();
        }
        Err(error) => errors.push(format!("the process could not be waited for: {error}")),
    }
    match result {
        Some(Ok(result)) => {
            if result.status == Some(ResultStatus::Failed) {
                if succeeded && result.error.is_none() {
                    errors.push("its result says `failed`".into());
                }
                succeeded = false;
            }
            if !succeeded && let Some(error) = &result.error {
                errors.push(error.clone());
            }
            outcome.result = Some(Box::new(result));
        }
        Some(Err(error)) => {
            if !succeeded && errors.is_empty() {
                errors.push(outcome_in_words(&outcome));
            }
            succeeded = false;
            errors.push(format!("its result cannot be used: {error}"));
        }
        None => {}
    }
    outcome.status = match (ended.stopped, succeeded) {
        (true, _) => OutcomeStatus::Stopped,
        (false, true) => OutcomeStatus::Succeeded,
        (false, false) => OutcomeStatus::Failed,
    };
    let remarks = [
        output.trouble,
        (!ended.leftovers.unkillable.is_empty())
            .then(|| format!("processes that cannot be killed are left: {:?}", ended.leftovers.unkillable)),
    ];
    for remark in remarks.into_iter().flatten() {
        if errors.is_empty() && outcome.status != OutcomeStatus::Succeeded {
            errors.push(outcome_in_words(&outcome));
        }
        errors.push(remark);
    }
    outcome.error = (!errors.is_empty()).then(|| errors.join("; "));
    outcome
}

/// How the process ended, for a message that goes on.
fn outcome_in_words(outcome: &Outcome) -> String {
    let status = if outcome.status == OutcomeStatus::Stopped { OutcomeStatus::Stopped } else { OutcomeStatus::Failed };
    Outcome { status, error: None, ..outcome.clone() }.in_words()
}

/// Carries output from the pipes to the file until both have ended.
async fn pump(pipes: &mut Pipes, intake: &mut Intake, sink: &mut OutputSink) {
    loop {
        tokio::select! {
            biased;
            () = sink.work() => {}
            piece = pipes.next(), if !sink.is_full() => match piece {
                Some((stream, bytes)) => intake.push(stream, bytes, sink),
                None => return,
            },
            () = tokio::time::sleep(QUIET), if intake.is_held() => intake.quiet(sink),
        }
    }
}

/// What output goes through on its way to the file.
struct Intake {
    secrets: Masker,
    stdout: MaskStream,
    stderr: MaskStream,
    lines: Option<Lines>,
    /// Of a terminal: the line that may still be written over.
    rewrites: Option<Rewrites>,
    live: LiveSink,
    result: Option<Result<AgentResult, String>>,
}

impl Intake {
    fn new(secrets: &Masker, live: LiveSink, jsonl: bool, tty: bool) -> Self {
        Self {
            secrets: secrets.clone(),
            stdout: secrets.stream(),
            stderr: secrets.stream(),
            lines: jsonl.then(Lines::default),
            rewrites: tty.then(Rewrites::default),
            live,
            result: None,
        }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8], sink: &mut OutputSink) {
        match (stream, self.lines.take()) {
            (Stream::Stdout, Some(mut lines)) => {
                lines.push(bytes, |message| self.take(message, sink));
                self.lines = Some(lines);
            }
            (Stream::Stdout, None) => match &mut self.rewrites {
                Some(rewrites) => {
                    self.stdout.push(bytes, |shown| rewrites.push(shown, |line| sink.push(stream, line)));
                    if let Some(state) = rewrites.state() {
                        self.live.progress(None, Some(&state));
                    }
                }
                None => self.stdout.push(bytes, |shown| sink.push(stream, shown)),
            },
            (_, lines) => {
                self.lines = lines;
                self.stderr.push(bytes, |shown| sink.push(stream, shown));
            }
        }
    }

    /// Whether something waits for [`Intake::quiet`].
    fn is_held(&self) -> bool {
        self.rewrites.as_ref().is_some_and(Rewrites::is_held)
    }

    /// Nothing has come for a while.
    fn quiet(&mut self, sink: &mut OutputSink) {
        if let Some(rewrites) = &mut self.rewrites {
            rewrites.quiet(|line| sink.push(Stream::Stdout, line));
        }
    }

    fn finish(&mut self, sink: &mut OutputSink) {
        if let Some(mut lines) = self.lines.take() {
            lines.finish(|message| self.take(message, sink));
        }
        match &mut self.rewrites {
            Some(rewrites) => {
                self.stdout.finish(|shown| rewrites.push(shown, |line| sink.push(Stream::Stdout, line)));
                rewrites.finish(|line| sink.push(Stream::Stdout, line));
            }
            None => self.stdout.finish(|shown| sink.push(Stream::Stdout, shown)),
        }
        self.stderr.finish(|shown| sink.push(Stream::Stderr, shown));
    }

    fn take(&mut self, message: Message, sink: &mut OutputSink) {
        match message {
            Message::Progress { value, message } => {
                self.live.progress(value, message.as_deref().map(|text| self.secrets.text(text)).as_deref());
            }
            Message::Log(text) => {
                let text = self.secrets.text(&text);
                sink.push(Stream::Stdout, format!("{text}\n").as_bytes());
            }
            Message::Result(result) => self.result = Some(result),
            Message::Plain { bytes, why } => {
                if let Some(why) = why {
                    sink.remark(&why);
                }
                self.stdout.push(&bytes, |shown| sink.push(Stream::Stdout, shown));
            }
        }
    }
}
