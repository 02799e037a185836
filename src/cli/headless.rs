//! A run without a console: the same engine, lines instead of a screen, and an exit code.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::console::words;
use crate::engine::hooks::{Hooks, Report};
use crate::engine::{Ack, EngineHandle, NewRun, Published, StorageTrouble, Subscription};
use crate::run::{
    Answer, Command, Durability, Event, Input, Moment, PauseReason, Recorded, Rejection, RejectionCode, Request,
    RunState, RunStatus, StepState, StepStatus, advance, short_id,
};

use super::args::{ResumeArgs, RunFormat};
use super::failure::{Exit, Failure};
use super::narrate::{Beginning, Teller};
use super::page::{Page, complain};
use super::say::Paint;
use super::signals::{Asked, Signals};
use super::{Context, ctl, show, start, trouble};

/// How long an engine whose disk hangs is waited for, beyond the time its attempts have to end.
const STUCK: Duration = Duration::from_secs(15);
/// When an engine whose disk failed is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// At the end, a reader that takes nothing for this long is not waited for any longer.
const UNREAD: Duration = Duration::from_secs(30);

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
    let hooks = context.config.hooks()?;
    let (engine, _server) = start::engine(context)?;
    let hooks = start::hooks(&engine, hooks, context, false).await;
    let reports = reports_of(hooks.as_ref());
    let run_id = engine.register(new).await?;
    let dir = engine.store().dir(run_id);
    let teller = Teller::start(
        engine.store(),
        Beginning { dir, from: 1, state: None, alerts: context.config.alerts, logs_alerts: hooks.is_none() },
        format,
        Paint::stdout(context.no_color),
    )?;
    announce(format, &format!("run {run_id} · {headline}{marks}"));
    let session = Session::new(context, (engine, hooks, reports), run_id, format, teller, signals);
    session.engine.send(run_id, context.request(Command::Start)).await?;
    session.watch().await
}

/// What hooks report, to be asked for before there is a run: the first hook may have failed before anybody follows it.
fn reports_of(hooks: Option<&Hooks>) -> Option<broadcast::Receiver<Report>> {
    hooks.map(|hooks| hooks.reports().subscribe())
}

/// Goes on with a run on disk.
pub async fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let signals = Signals::listen()?;
    let (store, run_id, dir) = context.run(&args.run)?;
    let before = store.load(&dir)?;
    if let Some(damage) = &before.damage {
        return Err(Failure::failed(damage.to_string()));
    }
    let hooks = context.config.hooks()?;
    let (engine, _server) = start::engine(context)?;
    let requests = answers(context, args, Some(&before.state))?;
    start::unowned(context, &engine, run_id).await?;
    before_opening(context, &before.state, &requests)?;
    start::give_secrets(&engine, run_id, &before.state.plan, &args.set).await?;
    let hooks = start::hooks(&engine, hooks, context, false).await;
    let reports = reports_of(hooks.as_ref());
    let opened = start::open(context, &engine, run_id, true).await?;
    let format = args.how.format.unwrap_or(RunFormat::Text);
    let had_ended = before.state.status.is_ended();
    let beginning = Beginning {
        dir,
        from: before.state.seq + 1,
        state: Some(before.state),
        alerts: context.config.alerts,
        logs_alerts: hooks.is_none(),
    };
    let teller = Teller::start(engine.store(), beginning, format, Paint::stdout(context.no_color))?;
    announce(format, &format!("run {run_id} · {}", opened.summary.headline));
    for note in &opened.notes {
        teller.note(note.clone());
    }
    let mut session = Session::new(context, (engine, hooks, reports), run_id, format, teller, signals);
    match go_on(context, &session.engine, run_id, &requests).await {
        Ok(()) => session.watch().await,
        Err(failure) => {
            let state = RunState::clone(&session.engine.subscribe(run_id).await?.state);
            if requests.is_empty() && state.status.is_ended() && !had_ended {
                // Taking it over was enough: an attempt that had its answer has ended, and the run with it, before it was asked to go on.
                return session.watch().await;
            }
            session.end_engine().await;
            session.teller.durable(state.seq);
            session.teller.finish(&mut session.signals, UNREAD).await;
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
///
/// # Errors
/// The value of a field is not of its type.
pub fn answers(context: &Context, args: &ResumeArgs, state: Option<&RunState>) -> Result<Vec<Request>, Failure> {
    let retry = args.retry.iter().map(|step| Command::Retry { step: step.clone(), downstream: false });
    let skip = args.skip.iter().map(|step| Command::Skip { step: step.clone() });
    let complete = args.complete.iter().map(|step| Command::Complete { step: step.clone(), result: None });
    let release = args.release.iter().map(|step| Command::Release { step: step.clone() });
    if args.answer.len() > 1 && !args.field.is_empty() {
        return Err(Failure::usage("--field belongs to one step: answer the others by themselves"));
    }
    let mut answer = Vec::new();
    for step in &args.answer {
        let values = match state {
            Some(state) => ctl::read_fields(state, step, &args.field).map_err(Failure::usage)?,
            None => Default::default(),
        };
        answer.push(Command::Answer { step: step.clone(), question: None, answer: Answer::Accepted(values) });
    }
    let reason = args.reason.clone().unwrap_or_default();
    let requests = retry
        .chain(skip)
        .chain(complete)
        .chain(release)
        .chain(args.approve.iter().map(|step| Command::Approve { step: step.clone() }))
        .chain(args.reject.iter().map(|step| Command::Reject { step: step.clone() }))
        .chain(answer)
        .chain(args.rollback.then_some(Command::Rollback))
        .map(|command| context.request(command).because(reason.clone()));
    Ok(requests.collect())
}

/// Gives the answers and lets the run go on.
pub async fn go_on(
    context: &Context,
    engine: &EngineHandle,
    run_id: Uuid,
    requests: &[Request],
) -> Result<(), Failure> {
    // All answers or none, and nothing is asked for that would be refused: it is tried on a copy first.
    let state = engine.subscribe(run_id).await?.state;
    let last = decided(context, &state, requests)?;
    let last = last.map(|command| context.request(command));
    for request in requests.iter().filter(|request| !is_queued(&state, request)).chain(&last) {
        engine.send(run_id, request.clone()).await?;
    }
    Ok(())
}

/// Whether a retry is asked for of a step that somebody has queued already: it runs when the run goes on, which is what is wanted.
fn is_queued(state: &RunState, request: &Request) -> bool {
    let Command::Retry { step, downstream: false } = &request.command else { return false };
    let waits = |step: &StepState| step.status == StepStatus::Pending && !step.attempts.is_empty();
    !state.status.is_ended() && state.step(step).is_some_and(|(_, step)| waits(step))
}

/// What has to be asked for when the answers are given, so that the run goes on; nothing where it does by itself.
fn decided(context: &Context, state: &RunState, requests: &[Request]) -> Result<Option<Command>, Failure> {
    let moment = trial();
    let (mut copy, mut still) = (state.clone(), state.clone());
    let requests: Vec<&Request> = requests.iter().filter(|request| !is_queued(state, request)).collect();
    for request in &requests {
        // An answer makes others start. One that is refused is refused for what the operator has seen, if it is refused without that as well.
        let asked = Request { stay_paused: true, ..Request::clone(request) };
        let before = advance(&mut still, &Input::Request(asked), &moment);
        if let Err(rejection) = advance(&mut copy, &Input::Request(Request::clone(request)), &moment) {
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

fn say(mut out: Page<impl Write>, text: &str) -> std::io::Result<()> {
    out.prose(text)?;
    out.flush()
}

/// Says something that is no part of the run's story: where people read it, and never between the journal's lines.
fn announce(format: RunFormat, text: &str) {
    let text = crate::console::text::clean(text);
    // A closed pipe is noticed by the teller.
    let _ = match format {
        RunFormat::Text => say(Page::stdout(true), &text),
        RunFormat::Jsonl => say(Page::stderr(true), &text),
    };
}

struct Session<'a> {
    context: &'a Context,
    engine: EngineHandle,
    hooks: Option<Hooks>,
    reports: Option<broadcast::Receiver<Report>>,
    run_id: Uuid,
    format: RunFormat,
    teller: Teller,
    signals: Signals,
}

/// A stop that a signal asked for.
struct Stopping {
    signal: &'static str,
    /// What the engine says to it, until it has taken it.
    answer: Option<JoinHandle<Result<Ack, Rejection>>>,
    /// Whether the journal has it: then the engine does the rest.
    recorded: bool,
    /// When what runs is stopped although the journal cannot be told.
    at_the_latest: Option<Instant>,
}

impl Stopping {
    /// Once the journal has the stop, only a disk that fails can keep its end from being known.
    fn disk_changed(&mut self, in_trouble: bool, state: &RunState) {
        if in_trouble {
            self.at_the_latest.get_or_insert_with(|| Instant::now() + state.options.grace());
        } else if self.recorded {
            self.at_the_latest = None;
        }
    }
}

impl<'a> Session<'a> {
    fn new(
        context: &'a Context,
        (engine, hooks, reports): (EngineHandle, Option<Hooks>, Option<broadcast::Receiver<Report>>),
        run_id: Uuid,
        format: RunFormat,
        teller: Teller,
        signals: Signals,
    ) -> Self {
        Self { context, engine, hooks, reports, run_id, format, teller, signals }
    }

    /// Ends the engine and its hooks, and says what became of those.
    async fn end_engine(&mut self) {
        let said = match self.hooks.take() {
            Some(hooks) => hooks.end(&self.engine).await,
            None => {
                self.engine.shutdown().await;
                Vec::new()
            }
        };
        while let Some(Ok(report)) = self.reports.as_mut().map(|reports| reports.try_recv()) {
            self.tell_report(report);
        }
        said.into_iter().for_each(|line| self.teller.note(line));
    }

    fn tell_report(&self, report: Report) {
        match report {
            Report::Hook { message, .. } => self.teller.note(message),
            // Lines of text have it where it belongs; a journal's line it is none.
            Report::Alert { alert, .. } if self.format == RunFormat::Jsonl => {
                self.teller.note(format!("alert: {}", alert.message));
            }
            Report::Alert { .. } => {}
        }
    }

    /// Follows the run until it has ended or only a person can make it go on.
    async fn watch(mut self) -> Result<Exit, Failure> {
        let mut subscription = self.engine.subscribe(self.run_id).await?;
        let mut state = RunState::clone(&subscription.state);
        let mut gathering = false;
        let mut failing = subscription.storage.take();
        let mut stopping: Option<Stopping> = None;
        self.teller.durable(state.seq);
        let warning = trouble::until_nearly_full(self.engine.root().to_path_buf());
        tokio::pin!(warning);
        let mut warned = false;
        while !stands(&state) {
            let at_the_latest = stopping.as_ref().and_then(|stopping| stopping.at_the_latest);
            tokio::select! {
                () = tokio::time::sleep(GATHER), if gathering => gathering = false,
                received = subscription.events.recv(), if !gathering => match received {
                    Ok(Published::Storage(news)) => {
                        failing = news;
                        self.teller.note(match &failing {
                            Some(now) => format!("the disk does not take the journal: {}; nothing starts until it does", now.error),
                            None => "the disk takes the journal again".to_owned(),
                        });
                        if let Some(stopping) = &mut stopping {
                            stopping.disk_changed(failing.is_some(), &state);
                        }
                    }
                    Ok(Published::Missed(_)) | Err(RecvError::Lagged(_)) => {
                        subscription = self.engine.subscribe(self.run_id).await?;
                        state = RunState::clone(&subscription.state);
                        failing = subscription.storage.take();
                        self.teller.durable(state.seq);
                        if let Some(stopping) = &mut stopping {
                            stopping.disk_changed(failing.is_some(), &state);
                        }
                    }
                    Err(RecvError::Closed) => return Err(Failure::failed("the engine has ended before the run")),
                    Ok(Published::Batch(batch)) => {
                        batch.bring(&mut state);
                        self.tell_how_to_answer(&state, &batch.events);
                        if subscription.events.is_empty() {
                            self.teller.durable(state.seq);
                            gathering = true;
                        }
                    }
                },
                signal = self.signals.next() => match (signal, &stopping) {
                    (Asked::HangUp, _) => self.teller.note("the terminal is gone; the run goes on"),
                    (Asked::Stop(signal), None) => stopping = Some(self.stop(signal, failing.is_some(), &state)),
                    (Asked::Stop(signal), Some(before)) => {
                        if failing.is_some() && !before.recorded {
                            return self.stop_without_disk(subscription, state, failing).await;
                        }
                        let grace = state.options.grace_seconds;
                        self.teller.note(format!(
                            "{signal}: already stopping; what has not ended {grace} s after the first is killed"
                        ));
                    }
                },
                answer = answer(&mut stopping) => if let Some(stopping) = &mut stopping {
                    match answer {
                        Ok(_) => {
                            stopping.recorded = true;
                            stopping.at_the_latest = None;
                        }
                        // The engine may hear later than we do that the disk works again: it is asked until it takes it.
                        Err(rejection) if rejection.code == RejectionCode::Storage => {
                            stopping.answer = Some(self.interrupt(stopping.signal, ASK_AGAIN));
                        }
                        // Refused only when the run has just ended by itself.
                        Err(rejection) => self.teller.note(rejection.to_string()),
                    }
                },
                report = next_report(&mut self.reports) => self.tell_report(report),
                warning = &mut warning, if !warned => {
                    warned = true;
                    self.teller.note(warning);
                },
                () = until(at_the_latest) => return self.stop_without_disk(subscription, state, failing).await,
            }
        }
        self.end_engine().await;
        self.end(&state).await
    }

    /// Something is asked while the run goes on: it is said how to answer from another terminal.
    fn tell_how_to_answer(&self, state: &RunState, batch: &[Arc<Recorded>]) {
        for recorded in batch.iter().filter(|_| !stands(state)) {
            if let Event::QuestionAsked { step, .. } = &recorded.event {
                let words = ctl::answer_words(state, step);
                let ctl = self.context.command(&format!("ctl {} {words}", short_id(self.run_id)));
                self.teller.note(format!("to answer {step}: {ctl}"));
            }
        }
    }

    /// Nothing new starts, running attempts are stopped and become interrupted, the run is paused. Asking again changes nothing: what still
    /// runs is killed when its time is over, and no state is lost on the way.
    fn stop(&self, signal: &'static str, in_trouble: bool, state: &RunState) -> Stopping {
        let grace = state.options.grace_seconds;
        self.teller.note(if in_trouble {
            format!("{signal}: stopping as soon as the disk takes the journal, without it in {grace} s or at a second signal")
        } else {
            format!("{signal}: stopping; running attempts get TERM, and KILL after {grace} s")
        });
        Stopping {
            signal,
            answer: Some(self.interrupt(signal, Duration::ZERO)),
            recorded: false,
            at_the_latest: Some(Instant::now() + state.options.grace()),
        }
    }

    /// Asks the engine to stop what runs, after a while.
    fn interrupt(&self, signal: &str, after: Duration) -> JoinHandle<Result<Ack, Rejection>> {
        let request = self.context.request(Command::Interrupt).because(signal);
        let (engine, run_id) = (self.engine.clone(), self.run_id);
        // In a task of its own: a disk that hangs must not keep the next signal from being heard.
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            engine.send(run_id, request).await
        })
    }

    /// The journal cannot be told that the run is to stop, and it has been waited for long enough: what runs is stopped all the same.
    async fn stop_without_disk(
        mut self,
        mut subscription: Subscription,
        mut state: RunState,
        trouble: Option<Arc<StorageTrouble>>,
    ) -> Result<Exit, Failure> {
        let error = trouble.map_or("it does not answer".to_owned(), |trouble| trouble.error.clone());
        self.teller.note(format!("stopping without the disk: {error}"));
        // A disk that hangs keeps the engine from ending, but not us: what runs then is killed by the warden.
        let _ = tokio::time::timeout(state.options.grace() + STUCK, self.end_engine()).await;
        while let Ok(published) = subscription.events.try_recv() {
            if let Published::Batch(batch) = published {
                batch.bring(&mut state);
            }
        }
        self.teller.durable(state.seq);
        if stands(&state) {
            return self.end(&state).await;
        }
        let live: Vec<usize> = state.bound_to_engine().collect();
        let live = state.step_ids(&live);
        let mut said = format!("the run was stopped and its journal does not say so: {error}");
        if !live.is_empty() {
            said.push_str(&format!(
                "\nnot recorded: how {} ended; when the run is opened again they count as interrupted",
                words::list(&live, 8)
            ));
        }
        let resume = self.context.command(&format!("resume {}", short_id(self.run_id)));
        said.push_str(&format!("\nto go on, once the disk works: {resume}"));
        self.teller.finish(&mut self.signals, UNREAD).await;
        Err(Failure::failed(said))
    }

    /// Tells the rest and says what the run came to.
    async fn end(mut self, state: &RunState) -> Result<Exit, Failure> {
        let read = self.teller.finish(&mut self.signals, UNREAD).await;
        if !read {
            let events = self.context.command(&format!("events {}", short_id(self.run_id)));
            complain(&format!("the output is not read; it ends here (`{events}` prints all of it)"));
        }
        let (context, engine) = (self.context, &self.engine);
        // Whoever does not read any more misses nothing that is not on disk.
        let _ = match self.format {
            RunFormat::Text if read => show::summary(&mut Page::stdout(context.no_color), context, engine, state),
            RunFormat::Text | RunFormat::Jsonl => {
                show::summary(&mut Page::stderr(context.no_color), context, engine, state)
            }
        };
        Ok(Exit::of(state.status))
    }
}

/// Waits for what the engine says to a stop; for ever when nothing was asked.
async fn answer(stopping: &mut Option<Stopping>) -> Result<Ack, Rejection> {
    let Some(stopping) = stopping else { return std::future::pending().await };
    let Some(task) = &mut stopping.answer else { return std::future::pending().await };
    let answer = task.await.unwrap_or_else(|error| Err(Rejection::new(RejectionCode::Gone, error.to_string())));
    stopping.answer = None;
    answer
}

/// Waits for the next report of the hooks; for ever when there are none.
async fn next_report(reports: &mut Option<broadcast::Receiver<Report>>) -> Report {
    while let Some(receiver) = reports {
        match receiver.recv().await {
            Ok(report) => return report,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *reports = None,
        }
    }
    std::future::pending().await
}

/// Waits until a time; for ever when there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether nothing more will happen without a person.
fn stands(state: &RunState) -> bool {
    let paused = state.status == RunStatus::Paused && !state.cancelling;
    // What outlives the engine is taken up again by the next one.
    state.status.is_ended() || (paused && state.bound_to_engine().next().is_none())
}
