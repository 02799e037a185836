//! The engine task: the one owner of all runs.
//!
//! Its loop takes what has arrived (commands, attempts' reports, the recorder's reports, due times), decides it on the runs' states, and hands
//! everything decided meanwhile to the recorder as one group as soon as the disk is free: that is the group commit, without any delay of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::agents::{self, LiveBoard, LiveUpdate, Stop, Warden};
use crate::journal::{
    self, Cause, Committed, Entry, Failure, Group, JournalError, Ledger, Owner, Recorder, RecorderConfig, Report, Store,
};
use crate::plan::order::Order;
use crate::run::{
    Command, Durations, Event, Input, MAX_PARALLEL_LIMIT, Moment, Recorded, Registration, Rejection, RejectionCode,
    Request, RunState, RunStatus, Secrets, register,
};

use super::EngineConfig;
use super::attempts::{AttemptReport, Launcher};
use super::handle::{Ack, EngineHandle, Link, Local, Message, NewRun, Notice, Opened};
use super::live::{Effect, LiveRun, Wake};

/// How many commands may wait for the engine; whoever sends more waits.
const INBOX: usize = 1024;
/// How many reports of attempts may wait for the engine; attempts that end at the same moment wait their turn.
const REPORTS: usize = 4096;
/// How many notices a slow reader may fall behind.
const NOTICES: usize = 4096;
/// How much is taken in before the disk is given what was decided: bounds a group, and how long an answer can take.
const INTAKE: usize = 4096;

/// How soon a clock that was set forward, or a machine that has slept, is noticed.
const CLOCK_JUMPS: Duration = Duration::from_secs(1);

/// How long what survived an earlier engine has between TERM and KILL.
const SURVIVORS_GRACE: Duration = Duration::from_secs(5);

/// The user in the log when the engine itself acts.
pub const ENGINE_USER: &str = "holdpoint";

/// Work done elsewhere that the engine waits for.
enum Done {
    Opened { run_id: Uuid, go_on: bool, found: Box<Result<Found, Rejection>> },
    Target { run_id: Uuid, request: Box<Request>, target: Result<Arc<RunState>, Rejection>, reply: Reply<Ack> },
}

struct Found {
    ledger: Ledger,
    notes: Vec<String>,
}

type Reply<T> = oneshot::Sender<Result<T, Rejection>>;

/// A run that is let go.
struct Closing {
    run_id: Uuid,
    /// What it came to: some of it may be yet to be recorded.
    state: RunState,
    reply: Reply<()>,
}

/// Something to be recorded.
enum Decided {
    /// A new run, with its first events.
    Create { run_id: Uuid, events: Vec<Arc<Recorded>> },
    /// A run of an earlier engine.
    Adopt(Box<Ledger>),
    /// What happened to a run.
    Append { run_id: Uuid, events: Vec<Arc<Recorded>> },
}

struct Engine {
    config: EngineConfig,
    store: Store,
    runs: HashMap<Uuid, LiveRun>,
    /// Secrets for runs that are yet to be opened.
    given: HashMap<Uuid, Secrets>,
    /// Runs being opened, and who waits for each.
    opening: HashMap<Uuid, Vec<Reply<Opened>>>,
    recorder: Recorder,
    /// Runs to let go when the next group is through, and those whose group is on its way.
    to_close: Vec<Closing>,
    in_flight: Vec<Closing>,
    /// Decided while the disk was busy. The states after it are those of the runs.
    pending: Vec<Decided>,
    /// Runs in which attempts are to start by what was decided.
    starting: Vec<Uuid>,
    /// Whether the recorder has a group.
    busy: bool,
    launcher: Launcher,
    notices: broadcast::Sender<Notice>,
    done: mpsc::Sender<Done>,
    /// When runs are to be woken, the next first.
    wakes: BTreeSet<(Wake, Uuid)>,
    closing: Vec<oneshot::Sender<()>>,
    /// Sessions with servers that are being closed.
    goodbyes: JoinSet<()>,
    ended: bool,
}

/// Starts an engine on the current tokio runtime.
///
/// # Errors
/// The folder of all runs cannot be made or opened.
pub fn start(config: EngineConfig) -> Result<EngineHandle, JournalError> {
    let (inbox, messages) = mpsc::channel(INBOX);
    let (reports_in, reports) = mpsc::channel(REPORTS);
    let (done_in, done) = mpsc::channel(INBOX);
    let (notices, _) = broadcast::channel(NOTICES);
    let owner = Owner::this(config.address.clone());
    let store = Store::on(Arc::clone(&config.disk), &config.root).owned_by(owner.clone());
    let live = LiveBoard::default();
    let recorder = RecorderConfig { owner, ..RecorderConfig::new(Arc::clone(&config.disk), &config.root) };
    let (recorder, disk) = Recorder::start(recorder)?;
    let launcher = Launcher {
        root: config.root.clone(),
        warden: Arc::new(Warden::new(config.warden.clone())),
        reports: reports_in,
        live: live.clone(),
        clock: Arc::clone(&config.now),
    };
    let engine = Engine {
        config,
        store: store.clone(),
        runs: HashMap::new(),
        given: HashMap::new(),
        opening: HashMap::new(),
        recorder: recorder.clone(),
        to_close: Vec::new(),
        in_flight: Vec::new(),
        pending: Vec::new(),
        starting: Vec::new(),
        busy: false,
        launcher,
        notices: notices.clone(),
        done: done_in,
        wakes: BTreeSet::new(),
        closing: Vec::new(),
        goodbyes: JoinSet::new(),
        ended: false,
    };
    tokio::spawn(engine.run(messages, reports, done, disk, live));
    Ok(EngineHandle { link: Link::Here(Local { inbox, notices, recorder }), store })
}

impl Engine {
    async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut reports: mpsc::Receiver<AttemptReport>,
        mut done: mpsc::Receiver<Done>,
        mut disk: mpsc::Receiver<Report>,
        live: LiveBoard,
    ) {
        while !self.ended {
            tokio::select! {
                report = disk.recv() => match report {
                    Some(report) => self.on_disk(report),
                    // Without its recorder an engine can promise nothing.
                    None => break,
                },
                message = messages.recv() => match message {
                    Some(message) => self.on_message(message),
                    // The last handle is gone: nobody can ask for anything any more.
                    None => self.shut_down(None),
                },
                Some(report) = reports.recv() => self.on_attempt(report),
                Some(found) = done.recv() => self.on_done(found),
                news = live.next() => self.publish(news),
                () = sleep_until(self.wakes.first().map(|(wake, _)| *wake), &self.config) => self.on_wake(),
            }
            for _ in 0..INTAKE {
                if let Ok(report) = reports.try_recv() {
                    self.on_attempt(report);
                } else if let Ok(message) = messages.try_recv() {
                    self.on_message(message);
                } else {
                    break;
                }
            }
            self.submit();
            self.end_if_idle();
        }
        let news = live.take();
        self.publish(news);
        let left: Vec<Uuid> = self.runs.keys().copied().collect();
        left.into_iter().for_each(|run_id| self.say_goodbye(run_id));
        self.recorder.close_all().await;
        while self.goodbyes.join_next().await.is_some() {}
        // The warden is told good-bye, and what its attempts had on disk is removed.
        drop(self.launcher);
        for reply in self.closing.drain(..) {
            // Whoever asked may be gone.
            let _ = reply.send(());
        }
    }

    /// Closes the sessions that a run's attempts have shared.
    fn say_goodbye(&mut self, run_id: Uuid) {
        while self.goodbyes.try_join_next().is_some() {}
        if let Some(sessions) = self.runs.get(&run_id).map(|run| run.sessions.clone()).filter(|all| !all.is_empty()) {
            self.goodbyes.spawn(async move { sessions.close().await });
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: (self.config.now)(), entropy: (self.config.entropy)() }
    }

    fn publish(&self, news: Vec<LiveUpdate>) {
        for update in news {
            let (run_id, step, attempt) = (update.run_id, update.step.to_string(), update.attempt);
            if let Some(bytes) = update.output_bytes {
                // Nobody may be watching; so below.
                let _ = self.notices.send(Notice::Output { run_id, step: step.clone(), attempt, bytes });
            }
            if update.progress.is_some() || update.message.is_some() {
                let message = update.message;
                let _ = self.notices.send(Notice::Progress { run_id, step, attempt, value: update.progress, message });
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Register { new, durations, reply } => self.register(*new, durations, reply),
            Message::Open { run_id, go_on, reply } => self.open(run_id, go_on, reply),
            Message::Request { run_id, request, reply } => self.request(run_id, request, reply),
            Message::Secrets { run_id, secrets, reply } => {
                let given = match self.runs.get_mut(&run_id) {
                    Some(run) => run
                        .find_secrets(&secrets, &*self.config.environment)
                        .map_err(|problem| Rejection::new(RejectionCode::Invalid, problem)),
                    None => {
                        self.given.insert(run_id, secrets);
                        Ok(())
                    }
                };
                let _ = reply.send(given);
            }
            Message::Close { run_id, reply } => self.close(run_id, reply),
            Message::Shutdown { reply } => self.shut_down(Some(reply)),
        }
    }

    fn register(&mut self, new: NewRun, durations: Option<Arc<Durations>>, reply: Reply<Uuid>) {
        if !self.closing.is_empty() {
            let _ = reply.send(Err(ending()));
            return;
        }
        let parallel = new.options.max_parallel;
        let problem = match Order::new(&new.plan) {
            Err(error) => Some(error.to_string()),
            Ok(_) if !(1..=MAX_PARALLEL_LIMIT).contains(&parallel) => {
                Some(format!("{parallel} attempts at the same time cannot be; 1 to {MAX_PARALLEL_LIMIT} can"))
            }
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            let _ = reply.send(Err(Rejection::new(RejectionCode::Invalid, problem)));
            return;
        }
        let run_id = (self.config.new_id)();
        let moment = self.moment();
        let registration =
            Registration { run_id, plan: new.plan, options: new.options, user: new.user, fork: new.fork, durations };
        let mut events = register(registration, &moment);
        let Some(state) = events.first().and_then(|first| RunState::from_registration(first)) else { return };
        let mut run = LiveRun::new(state);
        // A forked run brings none along: it gets them as one that is taken up again.
        let found = run.find_secrets(&new.secrets, &*self.config.environment);
        if let Err(problem) = found {
            let _ = reply.send(Err(Rejection::new(RejectionCode::Invalid, problem)));
            return;
        }
        events.extend(run.report(opened_input(false), &moment));
        run.when_durable(reply, run_id);
        self.launcher.expect(&run.state.plan);
        self.runs.insert(run_id, run);
        self.pending.push(Decided::Create { run_id, events });
    }

    fn open(&mut self, run_id: Uuid, go_on: bool, reply: Reply<Opened>) {
        if !self.closing.is_empty() {
            let _ = reply.send(Err(ending()));
            return;
        }
        if let Some(run) = self.runs.get(&run_id) {
            let _ = reply.send(Ok(Opened { summary: run.state.summary(), notes: Vec::new() }));
            return;
        }
        let waiting = self.opening.entry(run_id).or_default();
        waiting.push(reply);
        if waiting.len() > 1 {
            return;
        }
        let (store, done) = (self.store.clone(), self.done.clone());
        let engine = self.launcher.warden.engine();
        tokio::spawn(async move {
            let found = tokio::task::spawn_blocking(move || store.open(&store.dir(run_id))).await;
            let found = match found {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(journal_rejection(&error)),
                Err(_) => Err(Rejection::new(RejectionCode::Gone, "reading the run panicked")),
            };
            let found = match found {
                Ok((ledger, found)) => Ok(stop_survivors(ledger, &found, engine).await),
                Err(rejection) => Err(rejection),
            };
            // The engine has ended meanwhile: the ledger is dropped and with it the lock; so below.
            let _ = done.send(Done::Opened { run_id, go_on, found: Box::new(found) }).await;
        });
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Opened { run_id, go_on, found } => {
                let replies = self.opening.remove(&run_id).unwrap_or_default();
                match *found {
                    Ok(found) => self.adopt(run_id, go_on, found, replies),
                    Err(rejection) => {
                        for reply in replies {
                            let _ = reply.send(Err(rejection.clone()));
                        }
                    }
                }
            }
            Done::Target { run_id, request, target, reply } => match target {
                Ok(target) => {
                    let input = Input::Restore { request: (*request).clone(), target };
                    self.decide_request(run_id, &request, &input, reply);
                }
                Err(rejection) => {
                    let _ = reply.send(Err(rejection));
                }
            },
        }
    }

    fn adopt(&mut self, run_id: Uuid, go_on: bool, mut found: Found, replies: Vec<Reply<Opened>>) {
        let mut run = LiveRun::new(RunState::clone(found.ledger.state()));
        let given = self.given.remove(&run_id).unwrap_or_default();
        if let Err(problem) = run.find_secrets(&given, &*self.config.environment) {
            found.notes.push(problem);
        }
        // Without its secrets nothing of it may start: somebody is to give them first.
        let go_on = go_on && run.missing_secrets.is_empty();
        found.notes.extend(run.missing_secrets.iter().cloned());
        self.pending.push(Decided::Adopt(Box::new(found.ledger)));
        let moment = self.moment();
        let batch = run.report(opened_input(go_on), &moment);
        let opened = Opened { summary: run.state.summary(), notes: found.notes };
        for reply in replies {
            run.when_durable(reply, opened.clone());
        }
        self.runs.insert(run_id, run);
        self.decided(run_id, batch);
    }

    fn request(&mut self, run_id: Uuid, request: Box<Request>, reply: Reply<Ack>) {
        let Some(run) = self.runs.get(&run_id) else {
            let _ = reply.send(Err(not_open(run_id)));
            return;
        };
        let Command::Restore { checkpoint } = request.command else {
            let input = Input::Request((*request).clone());
            self.decide_request(run_id, &request, &input, reply);
            return;
        };
        if !run.state.has_checkpoint(checkpoint) {
            // `decide` refuses it with its reason.
            let input = Input::Request((*request).clone());
            self.decide_request(run_id, &request, &input, reply);
            return;
        }
        let (store, done) = (self.store.clone(), self.done.clone());
        tokio::spawn(async move {
            let target = tokio::task::spawn_blocking(move || store.state_at(&store.dir(run_id), checkpoint)).await;
            let target = match target {
                Ok(Ok(state)) => Ok(Arc::new(state)),
                Ok(Err(error)) => Err(journal_rejection(&error)),
                Err(_) => Err(Rejection::new(RejectionCode::Gone, "reading the checkpoint panicked")),
            };
            let _ = done.send(Done::Target { run_id, request, target, reply }).await;
        });
    }

    fn decide_request(&mut self, run_id: Uuid, request: &Request, input: &Input, reply: Reply<Ack>) {
        let moment = self.moment();
        let Some(run) = self.runs.get_mut(&run_id) else {
            let _ = reply.send(Err(not_open(run_id)));
            return;
        };
        let batch = run.request(input, request, &moment, reply);
        self.decided(run_id, batch);
    }

    /// A batch was decided: it goes to the disk, and the run's next time to wake is noted.
    fn decided(&mut self, run_id: Uuid, events: Vec<Arc<Recorded>>) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            let due = if run.storage.is_some() { None } else { run.state.wake_at() };
            if due != run.wake.map(|wake| wake.due) {
                if let Some(before) = run.wake {
                    self.wakes.remove(&(before, run_id));
                }
                // In the run's own time, which does not go back.
                let now = (self.config.now)().max(run.state.updated_at);
                run.wake = due.map(|due| Wake::new(due, now));
                self.wakes.extend(run.wake.map(|wake| (wake, run_id)));
            }
        }
        if events.iter().any(|recorded| matches!(recorded.event, Event::AttemptStarted { .. })) {
            self.starting.push(run_id);
        }
        // Also when it is empty: an acknowledgement may wait for its turn behind what was decided before.
        self.pending.push(Decided::Append { run_id, events });
    }

    fn report(&mut self, run_id: Uuid, input: Input) {
        let moment = self.moment();
        if let Some(run) = self.runs.get_mut(&run_id) {
            let batch = run.report(input, &moment);
            let over = run.state.status.is_ended() && !run.is_busy();
            self.decided(run_id, batch);
            if over {
                self.say_goodbye(run_id);
            }
        }
    }

    fn on_attempt(&mut self, report: AttemptReport) {
        match report {
            AttemptReport::Ended { run_id, step, attempt, outcome } => {
                if let Some(run) = self.runs.get_mut(&run_id)
                    && run.attempts.get(&step).is_some_and(|running| running.number == attempt)
                {
                    run.attempts.remove(&step);
                }
                self.report(run_id, Input::AttemptEnded { step, attempt, outcome });
            }
            AttemptReport::TimedOut { run_id, step, attempt } => {
                self.report(run_id, Input::TimedOut { step, attempt });
            }
            AttemptReport::Asked { run_id, step, attempt, number, question } => {
                self.report(run_id, Input::Asked { step, attempt, number, question });
            }
        }
    }

    fn on_wake(&mut self) {
        let (now, instant) = ((self.config.now)(), Instant::now());
        let due: Vec<(Wake, Uuid)> = self.wakes.iter().filter(|(wake, _)| wake.is_due(now, instant)).copied().collect();
        for (wake, run_id) in due {
            self.wakes.remove(&(wake, run_id));
            // Whatever the clock says: the time is over.
            let moment = Moment { now: now.max(wake.due), ..self.moment() };
            let Some(run) = self.runs.get_mut(&run_id) else { continue };
            run.wake = None;
            let batch = run.report(Input::Wake, &moment);
            self.decided(run_id, batch);
        }
    }

    fn on_disk(&mut self, report: Report) {
        match report {
            Report::Committed(committed) => self.on_committed(committed),
            Report::Writable { run_id } => self.on_writable(run_id),
            Report::CheckpointFailed { run_id, error } => {
                tracing::warn!(%run_id, error, "a full checkpoint file could not be written; the journal is whole");
            }
        }
    }

    fn on_committed(&mut self, committed: Committed) {
        self.busy = false;
        for failure in committed.failed {
            self.on_failed(failure);
        }
        for (run_id, seq) in committed.durable {
            self.on_durable(run_id, seq);
        }
        for Closing { run_id, reply, .. } in self.in_flight.drain(..) {
            let recorder = self.recorder.clone();
            tokio::spawn(async move {
                recorder.close(run_id).await;
                let _ = reply.send(Ok(()));
            });
        }
    }

    fn on_durable(&mut self, run_id: Uuid, seq: u64) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        for effect in run.durable(seq) {
            match effect {
                Effect::Start { step, attempt, taken_up } => run.start(&self.launcher, step, attempt, taken_up),
                Effect::Stop { step, attempt, kill } => {
                    if let Some(running) = run.attempts.get(&step).filter(|running| running.number == attempt) {
                        running.stop.stop(if kill { Stop::Kill } else { Stop::Term });
                    }
                }
                Effect::Answer { step, attempt, number, answered } => {
                    if let Some(running) = run.attempts.get(&step).filter(|running| running.number == attempt) {
                        // It may have ended meanwhile.
                        let _ = running.answers.send((number, answered));
                    }
                }
            }
        }
    }

    fn on_failed(&mut self, failure: Failure) {
        let Failure { run_id, error, cause, state, .. } = failure;
        self.pending.retain(|entry| !matches!(entry, Decided::Append { run_id: other, .. } if *other == run_id));
        let Some(durable) = state else {
            // The run's folder could not be made: there is no run.
            if let Some(mut run) = self.runs.remove(&run_id) {
                run.void(&error);
            }
            return;
        };
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let durable = RunState::clone(&durable);
        let again = match cause {
            Cause::Disk => {
                run.roll_back(durable, &error);
                Vec::new()
            }
            Cause::Event { seq } => run.retract(durable, seq, &error),
        };
        if let Some(before) = run.wake.take() {
            self.wakes.remove(&(before, run_id));
        }
        for input in again {
            self.report(run_id, input);
        }
        if !self.closing.is_empty() {
            // The request to stop is among what is void now.
            self.interrupt(run_id);
        }
    }

    fn on_writable(&mut self, run_id: Uuid) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let inputs = run.writable();
        if !self.closing.is_empty() {
            // Before their ends are decided: they were stopped, and nothing is to follow on them.
            self.interrupt(run_id);
        }
        for input in inputs {
            self.report(run_id, input);
        }
    }

    fn close(&mut self, run_id: Uuid, reply: Reply<()>) {
        match self.runs.get(&run_id) {
            None => {
                let _ = reply.send(Err(not_open(run_id)));
            }
            Some(run) if run.is_busy() => {
                let text = "attempts of this run are still alive";
                let refusal = Rejection::new(RejectionCode::NotNow, text);
                let _ = reply.send(Err(refusal.possible("wait until they have ended, or cancel the run")));
            }
            Some(_) => {
                self.say_goodbye(run_id);
                let Some(run) = self.runs.remove(&run_id) else { return };
                if let Some(wake) = run.wake {
                    self.wakes.remove(&(wake, run_id));
                }
                self.launcher.run_closed(run_id);
                self.to_close.push(Closing { run_id, state: run.state, reply });
            }
        }
    }

    /// Has recorded what was decided, as far as the recorder is free; what is to start meanwhile gets ready.
    fn submit(&mut self) {
        self.record();
        for run_id in std::mem::take(&mut self.starting) {
            if let Some(run) = self.runs.get_mut(&run_id) {
                run.get_ready(&self.launcher);
            }
        }
    }

    fn record(&mut self) {
        while !self.busy {
            let mut group = self.group();
            if group.entries.is_empty() && self.to_close.is_empty() {
                return;
            }
            if self.to_close.is_empty() {
                match self.recorder.record(group) {
                    Ok(committed) => {
                        self.on_committed(committed);
                        continue;
                    }
                    Err(back) => group = back,
                }
            }
            self.busy = true;
            self.in_flight.append(&mut self.to_close);
            // Never more than one group is in flight, so it is refused only when the recorder is gone: then its channel says so as well.
            if let Err(error) = self.recorder.submit(group) {
                tracing::error!(%error, "the recorder took no group");
            }
        }
    }

    /// All that is to be recorded, with the state of each run after it: all that was decided on a state is in the group that is handed over with
    /// it.
    fn group(&mut self) -> Group {
        let (runs, to_close) = (&self.runs, &self.to_close);
        let mut states: HashMap<Uuid, Arc<RunState>> = HashMap::new();
        let mut state_of = |run_id: Uuid| {
            if let Some(known) = states.get(&run_id) {
                return Some(Arc::clone(known));
            }
            let closing = || to_close.iter().find(|closing| closing.run_id == run_id).map(|closing| &closing.state);
            let state = Arc::new(runs.get(&run_id).map(|run| &run.state).or_else(closing)?.clone());
            states.insert(run_id, Arc::clone(&state));
            Some(state)
        };
        // What was decided on a run that could not be made is void: the run is gone.
        let entries = self.pending.drain(..).filter_map(|decided| {
            Some(match decided {
                Decided::Create { run_id, events } => Entry::Create { run_id, events, state: state_of(run_id)? },
                Decided::Adopt(ledger) => Entry::Adopt(ledger),
                Decided::Append { run_id, events } => Entry::Append { run_id, events, state: state_of(run_id)? },
            })
        });
        Group { entries: entries.collect() }
    }

    /// Pauses every run and stops its attempts; the engine ends when the last has ended and everything is durable.
    fn shut_down(&mut self, reply: Option<oneshot::Sender<()>>) {
        let first = self.closing.is_empty();
        // Without anybody to tell, the place in the list still says that the engine is closing.
        self.closing.push(reply.unwrap_or_else(|| oneshot::channel().0));
        if !first {
            return;
        }
        let runs: Vec<Uuid> = self.runs.keys().copied().collect();
        for run_id in runs {
            self.interrupt(run_id);
        }
    }

    /// The engine is closing: a run is paused and its attempts are stopped. Where the disk does not take that, they are stopped all the
    /// same: the journal says that they run, so whoever opens the run next finds them interrupted, which is what they are.
    fn interrupt(&mut self, run_id: Uuid) {
        let Some(run) = self.runs.get(&run_id) else { return };
        if run.storage.is_some() {
            run.stop_attempts();
        } else if run.state.status == RunStatus::Running || run.is_busy() {
            let request = super::request(Command::Interrupt, ENGINE_USER).because("the engine ends");
            // Nobody waits for this answer.
            let (reply, _) = oneshot::channel();
            self.decide_request(run_id, &request, &Input::Request(request.clone()), reply);
        }
    }

    fn end_if_idle(&mut self) {
        let writing = self.busy || !self.pending.is_empty() || !self.to_close.is_empty();
        if self.closing.is_empty() || writing {
            return;
        }
        // Where the disk fails the state cannot tell who is alive, and how they end can be told to nobody; but end they must.
        let busy = |run: &LiveRun| if run.storage.is_some() { run.has_bound_attempts() } else { run.is_busy() };
        self.ended = !self.runs.values().any(busy);
    }
}

/// What an earlier engine has left alive is stopped before anything of the run goes on.
async fn stop_survivors(ledger: Ledger, opened: &journal::Found, engine: Uuid) -> Found {
    let mut notes: Vec<String> = opened.cut.iter().map(|cut| format!("cut off the journal: {cut}")).collect();
    notes.extend(opened.ignored.iter().map(|one| format!("{} was not used: {}", one.path.display(), one.what)));
    let run_id = ledger.run_id();
    let output = ledger.dir().join(crate::journal::OUTPUT);
    let survivors =
        tokio::task::spawn_blocking(move || agents::survivors(run_id, engine, &output)).await.unwrap_or_default();
    for one in &survivors {
        notes.push(format!(
            "process {} of {} (attempt {}) had survived its engine and was stopped: {}",
            one.pid, one.step, one.attempt, one.command
        ));
    }
    for one in agents::stop_survivors(survivors, SURVIVORS_GRACE).await {
        notes.push(format!("process {} of {} could not be stopped; look at it before you retry", one.pid, one.step));
    }
    Found { ledger, notes }
}

async fn sleep_until(wake: Option<Wake>, config: &EngineConfig) {
    match wake {
        None => std::future::pending().await,
        Some(wake) => {
            let by_clock = Instant::now() + (wake.due - (config.now)()).to_std().unwrap_or_default();
            tokio::time::sleep_until(wake.at.min(by_clock).min(Instant::now() + CLOCK_JUMPS)).await;
        }
    }
}

fn opened_input(go_on: bool) -> Input {
    Input::Opened { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), go_on }
}

pub(super) fn not_open(run_id: Uuid) -> Rejection {
    Rejection::new(RejectionCode::Gone, format!("run {} is not open here", crate::run::short_id(run_id)))
        .possible("open it first")
}

fn ending() -> Rejection {
    Rejection::new(RejectionCode::Gone, "the engine is ending")
}

pub(super) fn journal_rejection(error: &JournalError) -> Rejection {
    let code = match error {
        JournalError::Locked { .. } | JournalError::WentOn { .. } => RejectionCode::NotNow,
        JournalError::Damaged(_) | JournalError::Foreign { .. } | JournalError::Newer { .. } => RejectionCode::Storage,
        JournalError::Io { error, .. } if error.kind() != std::io::ErrorKind::NotFound => RejectionCode::Storage,
        _ => RejectionCode::NotFound,
    };
    Rejection::new(code, error.to_string())
}
