//! Hooks: commands and webhooks that are told what happens to the runs of an engine.
//!
//! They are readers like any other: a task for each run follows what is durable, and puts what a hook wants to know into that hook's queue; a task for
//! each hook delivers, one event after the other. Neither the engine nor the journal ever waits for them. A queue is bounded: a hook that
//! falls behind loses the oldest events of it, and is told how many.

mod command;
mod deliver;
mod event;
mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::plan::CommandLine;
use crate::run::{Alert, AlertRules, Event, Recorded, RunState, Watch};

use super::{Batch, EngineHandle, Published, RunUpdate};
use deliver::Queue;

/// What hooks can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A run has come to another state.
    RunState,
    /// A step has.
    StepState,
    /// There is a new checkpoint.
    Checkpoint,
    /// Somebody intervened, or was refused.
    Intervention,
    /// A result waits for a verdict, or has one.
    Review,
    /// An attempt asks a person, or was answered.
    Question,
    /// Something that an operator should look at.
    Alert,
}

impl Kind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Kind; 7] = [
        Kind::RunState,
        Kind::StepState,
        Kind::Checkpoint,
        Kind::Intervention,
        Kind::Review,
        Kind::Question,
        Kind::Alert,
    ];

    /// Its name in the configuration and in what is delivered.
    pub fn word(self) -> &'static str {
        match self {
            Kind::RunState => "run_state",
            Kind::StepState => "step_state",
            Kind::Checkpoint => "checkpoint",
            Kind::Intervention => "intervention",
            Kind::Review => "review",
            Kind::Question => "question",
            Kind::Alert => "alert",
        }
    }
}

/// Where a hook's events go.
#[derive(Clone)]
pub enum Target {
    /// To a command, on its standard input.
    Command(CommandLine),
    /// To a web server.
    Webhook {
        /// Where.
        url: String,
        /// Signs what is sent.
        secret: Option<String>,
    },
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is nobody's business.
        match self {
            Target::Command(command) => f.debug_tuple("Command").field(command).finish(),
            Target::Webhook { url, .. } => f.debug_struct("Webhook").field("url", url).finish_non_exhaustive(),
        }
    }
}

/// A hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// How it is called in messages.
    pub name: String,
    /// What it wants to know.
    pub on: BTreeSet<Kind>,
    /// Of which plans: their ids, in which `*` stands for any text. Empty: of all.
    pub plans: Vec<String>,
    /// Where it goes.
    pub target: Target,
    /// How long one try may take.
    pub timeout: Duration,
    /// How often it is tried again.
    pub retries: u32,
}

impl Hook {
    fn wants(&self, kind: Kind, plan: &str) -> bool {
        self.on.contains(&kind) && (self.plans.is_empty() || self.plans.iter().any(|glob| fits(glob, plan)))
    }
}

/// Whether a text fits a pattern in which `*` stands for any text, the empty one as well.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    // The shortest text that a star can stand for is tried first.
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
}

/// What those who show something are told.
#[derive(Debug, Clone)]
pub enum Report {
    /// An alert of a run.
    Alert {
        /// Which.
        run_id: Uuid,
        /// Of which plan.
        plan_id: String,
        /// What.
        alert: Alert,
    },
    /// A hook does not do what it should, or does again; in words.
    Hook {
        /// What is said.
        message: String,
        /// Whether something is wrong.
        bad: bool,
    },
}

/// Reports on their way; whoever does not read them misses some.
const REPORTS: usize = 256;

/// At the end, what is not delivered yet is waited for no longer than this.
const LAST_DELIVERIES: Duration = Duration::from_secs(5);

/// The hooks of an engine, at work.
#[derive(Debug)]
pub struct Hooks {
    reports: broadcast::Sender<Report>,
    /// Asks for all that is durable to be taken in.
    catch_up: mpsc::Sender<oneshot::Sender<()>>,
    follower: JoinHandle<()>,
    queues: Arc<[Arc<Queue>]>,
    workers: Vec<JoinHandle<()>>,
}

/// What the followers of runs share.
struct Shared {
    queues: Arc<[Arc<Queue>]>,
    rules: AlertRules,
    reports: broadcast::Sender<Report>,
}

impl Hooks {
    /// Begins to follow all runs of an engine of this process. What happens from now on is delivered.
    pub async fn start(engine: &EngineHandle, hooks: Vec<Hook>, rules: AlertRules) -> Self {
        let (reports, _) = broadcast::channel(REPORTS);
        let queues: Arc<[Arc<Queue>]> = hooks.into_iter().map(|hook| Arc::new(Queue::new(hook))).collect();
        let work = |queue: &Arc<Queue>| tokio::spawn(deliver::work(Arc::clone(queue), reports.clone()));
        let workers = queues.iter().map(work).collect();
        let (catch_up, asked) = mpsc::channel(1);
        let shared = Arc::new(Shared { queues: Arc::clone(&queues), rules, reports: reports.clone() });
        let (ready, is_ready) = oneshot::channel();
        let follower = tokio::spawn(follow_all(engine.clone(), shared, asked, ready));
        // A run that is registered after this is followed from its first event.
        let _ = is_ready.await;
        Self { reports, catch_up, follower, queues, workers }
    }

    /// Alerts, and what goes wrong with hooks, from now on.
    pub fn reports(&self) -> broadcast::Sender<Report> {
        self.reports.clone()
    }

    /// Ends the engine and then the hooks: what has happened until then is delivered, for as long as that takes no more than a few seconds. Gives
    /// what is to be said of what was not.
    pub async fn end(mut self, engine: &EngineHandle) -> Vec<String> {
        let (reply, done) = oneshot::channel();
        if self.catch_up.send(reply).await.is_ok() {
            // A disk that hangs must not keep the engine from being ended.
            let _ = tokio::time::timeout(LAST_DELIVERIES, done).await;
        }
        engine.shutdown().await;
        let until = tokio::time::Instant::now() + LAST_DELIVERIES;
        let mut said = Vec::new();
        // The followers end with the engine, and the queues with them.
        let followed = tokio::time::timeout_at(until, &mut self.follower).await;
        if followed.is_err() {
            self.follower.abort();
        }
        for queue in self.queues.iter() {
            queue.close();
        }
        for (worker, queue) in self.workers.iter_mut().zip(self.queues.iter()) {
            if tokio::time::timeout_at(until, &mut *worker).await.is_err() {
                worker.abort();
                // Its command is ended with it.
                let _ = worker.await;
            }
            said.extend(queue.last_words());
        }
        said
    }
}

/// Follows every run that is open in the engine, those to come as well.
async fn follow_all(
    engine: EngineHandle,
    shared: Arc<Shared>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut followed: HashMap<Uuid, Follower> = HashMap::new();
    let mut closed = false;
    'anew: while !closed {
        let Ok(mut overview) = engine.overview().await else { break };
        for run in &overview.runs {
            note(&engine, &shared, &mut followed, run).await;
        }
        if let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
        loop {
            tokio::select! {
                biased;
                update = overview.updates.recv() => match update {
                    Ok(update) => note(&engine, &shared, &mut followed, &update).await,
                    Err(RecvError::Lagged(_)) => continue 'anew,
                    Err(RecvError::Closed) => {
                        closed = true;
                        break;
                    }
                },
                Some(reply) = asked.recv() => {
                    if let Ok(now) = engine.overview().await {
                        for run in &now.runs {
                            note(&engine, &shared, &mut followed, run).await;
                        }
                        for run in &now.runs {
                            if let Some(follower) = followed.get_mut(&run.summary.run_id) {
                                let _ = follower.seen.wait_for(|seen| *seen >= run.summary.seq).await;
                            }
                        }
                    }
                    let _ = reply.send(());
                }
                () = engine.ended() => {
                    closed = true;
                    break;
                }
            }
        }
    }
    for (_, follower) in followed {
        let _ = follower.task.await;
    }
}

/// The task that follows a run, and how far it has come.
struct Follower {
    task: JoinHandle<()>,
    seen: watch::Receiver<u64>,
}

async fn note(engine: &EngineHandle, shared: &Arc<Shared>, followed: &mut HashMap<Uuid, Follower>, run: &RunUpdate) {
    let run_id = run.summary.run_id;
    let gone = followed.get(&run_id).is_some_and(|follower| follower.task.is_finished());
    if gone {
        followed.remove(&run_id);
    }
    if !run.open || followed.contains_key(&run_id) {
        return;
    }
    let Ok(subscription) = engine.subscribe(run_id).await else { return };
    let (told, seen) = watch::channel(0);
    let (engine, shared) = (engine.clone(), Arc::clone(shared));
    let task = tokio::spawn(async move { follow(engine, shared, subscription, told).await });
    followed.insert(run_id, Follower { task, seen });
}

/// Follows one run for as long as it is open here.
async fn follow(
    engine: EngineHandle,
    shared: Arc<Shared>,
    mut subscription: super::Subscription,
    told: watch::Sender<u64>,
) {
    let run_id = subscription.state.run_id;
    let mut story = Story::begin(&shared, subscription);
    loop {
        told.send_replace(story.state.seq);
        let event = tokio::select! {
            biased;
            event = story.events.recv() => event,
            () = engine.ended() => return,
        };
        match event {
            Ok(Published::Batch(batch)) => story.take(&shared, &batch),
            Ok(Published::Storage(_)) => {}
            Err(RecvError::Closed) => return,
            Ok(Published::Missed(_)) | Err(RecvError::Lagged(_)) => {
                subscription = match engine.subscribe(run_id).await {
                    Ok(subscription) => subscription,
                    Err(_) => return,
                };
                story.renew(&shared, subscription);
            }
        }
    }
}

/// A run as its follower knows it.
struct Story {
    state: RunState,
    watch: Watch,
    events: broadcast::Receiver<Published>,
}

impl Story {
    fn begin(shared: &Shared, subscription: super::Subscription) -> Self {
        let super::Subscription { state, recent, events, .. } = subscription;
        // What has happened since this engine has the run; before, another one had it, with hooks of its own.
        let opened = recent.iter().rposition(|recorded| matches!(recorded.event, Event::EngineOpened { .. }));
        let all_of_it = opened.is_some_and(|place| place <= 1);
        if let Some(first) = recent.first().filter(|first| all_of_it && matches!(first.event, Event::RunRegistered(_)))
        {
            let mut watch = Watch::new(shared.rules);
            if shared.queues.is_empty() {
                recent.iter().skip(1).for_each(|recorded| tell(shared, &mut watch, recorded, &state));
                return Self { state: RunState::clone(&state), watch, events };
            }
            let registered = RunState::from_registration(first).unwrap_or_else(|| RunState::clone(&state));
            put(shared, first, &registered);
            let mut story = Self { state: registered, watch, events };
            story.take(shared, &Batch { events: Arc::new(recent), state: Some(state) });
            return story;
        }
        for recorded in recent.iter().skip(opened.unwrap_or(recent.len())) {
            put(shared, recorded, &state);
        }
        Self { watch: Watch::from(shared.rules, &state), state: RunState::clone(&state), events }
    }

    /// Goes on after events were missed on the way.
    fn renew(&mut self, shared: &Shared, subscription: super::Subscription) {
        let super::Subscription { state, recent, events, .. } = subscription;
        self.events = events;
        let first = recent.first().map_or(state.seq + 1, |first| first.seq);
        let missed = first.saturating_sub(self.state.seq + 1);
        if missed == 0 {
            self.take(shared, &Batch { events: Arc::new(recent), state: Some(state) });
            return;
        }
        for queue in shared.queues.iter() {
            queue.missed(missed);
        }
        let known = self.state.seq;
        self.watch = Watch::from(shared.rules, &state);
        self.state = RunState::clone(&state);
        for recorded in recent.iter().filter(|recorded| recorded.seq > known) {
            put(shared, recorded, &self.state);
        }
    }

    /// Takes a batch in and tells what follows from it.
    fn take(&mut self, shared: &Shared, batch: &Batch) {
        let Self { state, watch, .. } = self;
        if !shared.queues.is_empty() {
            // A hook is told how things stood after each event.
            batch.follow(state, |recorded, state| tell(shared, watch, recorded, state));
            return;
        }
        let known = state.seq;
        batch.bring(state);
        for recorded in batch.events.iter().filter(|recorded| recorded.seq > known) {
            tell(shared, watch, recorded, state);
        }
    }
}

/// Tells what follows from an event; `state` is the state after it, or, where there are no hooks, a later one.
fn tell(shared: &Shared, watch: &mut Watch, recorded: &Recorded, state: &RunState) {
    put(shared, recorded, state);
    for alert in watch.take(recorded, state) {
        let (run_id, plan_id) = (state.run_id, state.plan.plan_id.clone());
        tracing::warn!(run = %run_id, plan = plan_id, "alert: {}", alert.message);
        queue(shared, recorded, state, Kind::Alert, alert.kind.word(), event::alert(&alert));
        // Nobody may be listening.
        let _ = shared.reports.send(Report::Alert { run_id, plan_id, alert });
    }
}

fn put(shared: &Shared, recorded: &Recorded, state: &RunState) {
    if shared.queues.is_empty() {
        return;
    }
    for (kind, fields) in event::told(recorded, state) {
        queue(shared, recorded, state, kind, "", fields);
    }
}

fn queue(
    shared: &Shared,
    recorded: &Recorded,
    state: &RunState,
    kind: Kind,
    suffix: &str,
    fields: serde_json::Map<String, serde_json::Value>,
) {
    let plan = state.plan.plan_id.as_str();
    let mut item = None;
    for queue in shared.queues.iter().filter(|queue| queue.hook().wants(kind, plan)) {
        let item =
            item.get_or_insert_with(|| Arc::new(event::Item::new(state, recorded, kind, suffix, fields.clone())));
        queue.push(Arc::clone(item), &shared.reports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("nightly", "nightly", true),
            ("nightly", "nightly-2", false),
            ("nightly*", "nightly-2", true),
            ("nightly*", "nightly", true),
            ("*-prod", "web-prod", true),
            ("*-prod", "web-prod-2", false),
            ("a*b*c", "a1b2b3c", true),
            ("*", "", true),
            ("", "x", false),
            ("é*", "été", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
