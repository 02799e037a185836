//! A run without a console: the same engine, lines instead of a screen, and an exit code.

use std::io::Write;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::engine::{EngineHandle, NewRun, Published};
use crate::run::{Command, Durability, Input, Moment, PauseReason, Request, RunState, RunStatus, advance, short_id};

use super::args::{ResumeArgs, RunFormat};
use super::failure::{Exit, Failure};
use super::narrate::{Beginning, Teller};
use super::say::Paint;
use super::signals::{Asked, Signals};
use super::{Context, show, start};

/// What has happened in this time is told together: nobody reads faster, and each telling wakes two threads.
const GATHER: Duration = Duration::from_millis(5);

/// Runs a plan to its end, or to where it waits for a person.
pub async fn run(context: &Context, new: NewRun, format: RunFormat) -> Result<Exit, Failure> {
    // From here on a signal waits to be asked for, instead of ending the program.
    let signals = Signals::listen()?;
    let headline = new.plan.headline().to_owned();
    let mut marks = String::new();
    if new.options.simulate {
        marks.push_str(" · agents that are not bound are simulated");
    }
    if new.options.durability == Durability::Relaxed {
        marks.push_str(" · relaxed durability: a power cut may lose the newest events");
    }
    let (engine, _server) = start::engine(context)?;
    let run_id = engine.register(new).await?;
    let dir = engine.store().dir(run_id);
    let teller = Teller::start(
        engine.store(),
        Beginning { dir, from: 1, state: None },
        format,
        Paint::stdout(context.no_color),
    )?;
    announce(format, &format!("run {run_id} · {headline}{marks}"));
    let session = Session { context, engine, run_id, format, teller, signals };
    session.engine.send(run_id, context.request(Command::Start)).await?;
    session.watch().await
}

/// Goes on with a run on disk.
pub async fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let signals = Signals::listen()?;
    let (store, run_id, dir) = context.run(&args.run)?;
    let before = store.load(&dir)?;
    if let Some(damage) = &before.damage {
        return Err(Failure::failed(damage.to_string()));
    }
    let (engine, _server) = start::engine(context)?;
    let requests = answers(context, args);
    start::unowned(context, &engine, run_id).await?;
    before_opening(context, &before.state, &requests)?;
    start::give_secrets(&engine, run_id, &before.state.plan, &args.set).await?;
    let opened = start::open(context, &engine, run_id, true).await?;
    let format = args.how.format.unwrap_or(RunFormat::Text);
    let beginning = Beginning { dir, from: before.state.seq + 1, state: Some(before.state) };
    let teller = Teller::start(engine.store(), beginning, format, Paint::stdout(context.no_color))?;
    announce(format, &format!("run {run_id} · {}", opened.summary.headline));
    for note in &opened.notes {
        teller.note(note.clone());
    }
    let session = Session { context, engine, run_id, format, teller, signals };
    match go_on(context, &session.engine, run_id, &requests).await {
        Ok(()) => session.watch().await,
        Err(failure) => {
            let state = RunState::clone(&session.engine.subscribe(run_id).await?.state);
            session.engine.shutdown().await;
            session.teller.durable(state.seq);
            session.teller.finish();
            Err(with_ways(context, &state, &requests, failure))
        }
    }
}

/// What keeps a run from going on, before it is taken over: nothing is written then. One that has to be recovered first, and of which nothing was
/// said, is taken over all the same: what has become of its attempts is then on record.
///
/// # Errors
/// What it was told would be refused, or there is nothing to go on with.
pub fn before_opening(context: &Context, state: &RunState, requests: &[Request]) -> Result<(), Failure> {
    let mut copy = state.clone();
    let opened = Input::Opened { version: String::new(), pid: 0, go_on: true };
    let recovered = advance(&mut copy, &opened, &trial())?.len() > 1;
    match decided(context, &copy, requests) {
        Err(_) if recovered && requests.is_empty() => Ok(()),
        decided => decided.map(drop).map_err(|failure| with_ways(context, &copy, requests, failure)),
    }
}

/// A run that nothing was said about stands where it stood, and still waits for an answer: it is said which.
fn with_ways(context: &Context, state: &RunState, requests: &[Request], failure: Failure) -> Failure {
    match failure {
        Failure::Said { message, .. } if state.status == RunStatus::Paused && requests.is_empty() => {
            let ways: String = show::ways_on(context, state).iter().map(|way| format!("\nto go on: {way}")).collect();
            Failure::Said { message: message + &ways, exit: Exit::Paused }
        }
        other => other,
    }
}

/// What `resume` was told about steps, in the order in which it is asked for.
pub fn answers(context: &Context, args: &ResumeArgs) -> Vec<Request> {
    let retry = args.retry.iter().map(|step| Command::Retry { step: step.clone(), downstream: false });
    let skip = args.skip.iter().map(|step| Command::Skip { step: step.clone() });
    let complete = args.complete.iter().map(|step| Command::Complete { step: step.clone(), result: None });
    let release = args.release.iter().map(|step| Command::Release { step: step.clone() });
    let reason = args.reason.clone().unwrap_or_default();
    retry
        .chain(skip)
        .chain(complete)
        .chain(release)
        .chain(args.approve.iter().map(|step| Command::Approve { step: step.clone() }))
        .chain(args.reject.iter().map(|step| Command::Reject { step: step.clone() }))
        .map(|command| context.request(command).because(reason.clone()))
        .collect()
}

/// Gives the answers and lets the run go on.
pub async fn go_on(
    context: &Context,
    engine: &EngineHandle,
    run_id: Uuid,
    requests: &[Request],
) -> Result<(), Failure> {
    // All answers or none, and nothing is asked for that would be refused: it is tried on a copy first.
    let last = decided(context, &engine.subscribe(run_id).await?.state, requests)?;
    let last = last.map(|command| context.request(command));
    for request in requests.iter().chain(&last) {
        engine.send(run_id, request.clone()).await?;
    }
    Ok(())
}

/// What has to be asked for when the answers are given, so that the run goes on; nothing where it does by itself.
fn decided(context: &Context, state: &RunState, requests: &[Request]) -> Result<Option<Command>, Failure> {
    let moment = trial();
    let (mut copy, mut still) = (state.clone(), state.clone());
    for request in requests {
        // An answer makes others start. One that is refused is refused for what the operator has seen, if it is refused without that as well.
        let asked = Request { stay_paused: true, ..request.clone() };
        let before = advance(&mut still, &Input::Request(asked), &moment);
        if let Err(rejection) = advance(&mut copy, &Input::Request(request.clone()), &moment) {
            return Err(before.err().unwrap_or(rejection).into());
        }
    }
    let last = match copy.status {
        RunStatus::Idle => Some(Command::Start),
        RunStatus::Paused => {
            // What was paused only for the answered steps goes on by itself as far as it can.
            let by_word = |reason: &PauseReason| matches!(reason, PauseReason::Operator | PauseReason::Recovered);
            (requests.is_empty() || copy.paused.iter().any(by_word)).then_some(Command::Resume)
        }
        RunStatus::Running => None,
        _ if !requests.is_empty() => None,
        status => return Err(ended(context, &copy, status)),
    };
    if let Some(command) = &last {
        advance(&mut copy, &Input::Request(context.request(command.clone())), &moment)?;
    }
    Ok(last)
}

/// The moment of a decision that is only tried.
fn trial() -> Moment {
    Moment { now: chrono::Utc::now(), entropy: 0 }
}

/// Why a run that has ended does not go on, and what would make it.
fn ended(context: &Context, state: &RunState, status: RunStatus) -> Failure {
    let run = short_id(state.run_id);
    if status == RunStatus::Completed {
        let message = format!("run {run} is completed: there is nothing to go on with");
        return Failure::Said { message, exit: Exit::Fine };
    }
    let ways: Vec<String> = show::ways_on(context, state).iter().map(|way| format!("`{way}`")).collect();
    let hint = if ways.is_empty() { String::new() } else { format!("; to go on: {}", ways.join(", or ")) };
    Failure::failed(format!("run {run} is {}{hint}", status.word()))
}

/// Says something that is no part of the run's story: where people read it, and never between the journal's lines.
fn announce(format: RunFormat, text: &str) {
    let text = crate::console::text::clean(text);
    // A closed pipe is noticed by the teller.
    let _ = match format {
        RunFormat::Text => writeln!(std::io::stdout().lock(), "{text}"),
        RunFormat::Jsonl => writeln!(std::io::stderr().lock(), "{text}"),
    };
}

struct Session<'a> {
    context: &'a Context,
    engine: EngineHandle,
    run_id: Uuid,
    format: RunFormat,
    teller: Teller,
    signals: Signals,
}

impl Session<'_> {
    /// Follows the run until it has ended or only a person can make it go on.
    async fn watch(mut self) -> Result<Exit, Failure> {
        let mut subscription = self.engine.subscribe(self.run_id).await?;
        let mut state = RunState::clone(&subscription.state);
        let mut asked = 0;
        let mut gathering = false;
        self.teller.durable(state.seq);
        while !stands(&state) {
            tokio::select! {
                () = tokio::time::sleep(GATHER), if gathering => gathering = false,
                received = subscription.events.recv(), if !gathering => match received {
                    Ok(Published::Batch(batch)) => {
                        for recorded in batch.iter() {
                            if recorded.seq > state.seq {
                                state.apply(recorded);
                            }
                        }
                        if subscription.events.is_empty() {
                            self.teller.durable(state.seq);
                            gathering = true;
                        }
                    }
                    Ok(Published::Storage(Some(trouble))) => {
                        self.teller.note(format!("the disk does not take the journal: {}; nothing starts until it does", trouble.error));
                    }
                    Ok(Published::Storage(None)) => self.teller.note("the disk takes the journal again"),
                    Ok(Published::Missed(_)) | Err(RecvError::Lagged(_)) => {
                        subscription = self.engine.subscribe(self.run_id).await?;
                        state = RunState::clone(&subscription.state);
                        self.teller.durable(state.seq);
                    }
                    Err(RecvError::Closed) => return Err(Failure::failed("the engine has ended before the run")),
                },
                signal = self.signals.next() => match signal {
                    Asked::Stop(name) => {
                        asked += 1;
                        self.stop(name, asked, &state).await;
                    }
                    Asked::HangUp => self.teller.note("the terminal is gone; the run goes on"),
                },
            }
        }
        self.engine.shutdown().await;
        self.teller.durable(state.seq);
        self.teller.finish();
        let summary = show::summary(self.context, &self.engine, &state);
        for line in summary {
            // Whoever does not read any more misses nothing that is not on disk.
            let _ = match self.format {
                RunFormat::Text => writeln!(std::io::stdout().lock(), "{line}"),
                RunFormat::Jsonl => writeln!(std::io::stderr().lock(), "{line}"),
            };
        }
        Ok(Exit::of(state.status))
    }

    /// Nothing new starts, running attempts are stopped and become interrupted, the run is paused. Asking again changes nothing: what still
    /// runs is killed when its time is over, and no state is lost on the way.
    async fn stop(&self, signal: &str, asked: u32, state: &RunState) {
        let grace = state.options.grace_seconds;
        if asked > 1 {
            self.teller
                .note(format!("{signal}: already stopping; what has not ended {grace} s after the first is killed"));
            return;
        }
        self.teller.note(format!("{signal}: stopping; running attempts get TERM, and KILL after {grace} s"));
        let request = self.context.request(Command::Interrupt).because(signal);
        // Refused only when the run has just ended by itself.
        if let Err(rejection) = self.engine.send(self.run_id, request).await {
            self.teller.note(rejection.to_string());
        }
    }
}

/// Whether nothing more will happen without a person.
fn stands(state: &RunState) -> bool {
    state.status.is_ended() || (state.status == RunStatus::Paused && !state.cancelling && state.counts().live() == 0)
}
