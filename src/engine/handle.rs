//! What everybody outside the engine holds of it: a handle that sends commands and hands out subscriptions.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot};
use uuid::Uuid;

use crate::journal::{Alike, JournalError, Recorder, Store};
use crate::plan::Plan;
use crate::run::{
    Command, Durations, Fork, ForkPreview, Input, InterventionStatus, Moment, Past, Preview, Recorded, Rejection,
    RejectionCode, Request, RunOptions, RunState, RunStatus, RunSummary, Secrets, advance, fork_at, fork_preview,
    preview,
};

use super::remote::Remote;

pub use crate::journal::{
    Batch, Overview, Owner, Published, RunUpdate, Space, Stamp, StorageTrouble, Subscription, size,
};

/// A handle on an engine, in this process or in another; cheap to clone. When the last one on an engine of this process is gone, that engine
/// ends.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    pub(super) link: Link,
    pub(super) store: Store,
}

/// How an engine is reached.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// Its task is in this process.
    Here(Local),
    /// It is in another process, at the end of a socket.
    There(Remote),
}

#[derive(Debug, Clone)]
pub(super) struct Local {
    pub inbox: mpsc::Sender<Message>,
    pub notices: broadcast::Sender<Notice>,
    pub recorder: Recorder,
}

/// What the engine task is asked.
#[derive(Debug)]
pub(super) enum Message {
    Register { new: Box<NewRun>, durations: Option<Arc<Durations>>, reply: oneshot::Sender<Result<Uuid, Rejection>> },
    Open { run_id: Uuid, go_on: bool, reply: oneshot::Sender<Result<Opened, Rejection>> },
    Request { run_id: Uuid, request: Box<Request>, reply: oneshot::Sender<Result<Ack, Rejection>> },
    Secrets { run_id: Uuid, secrets: Secrets, reply: oneshot::Sender<Result<(), Rejection>> },
    Close { run_id: Uuid, reply: oneshot::Sender<Result<(), Rejection>> },
    Shutdown { reply: oneshot::Sender<()> },
}

/// A plan to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRun {
    /// The plan, checked.
    pub plan: Arc<Plan>,
    /// How to run it.
    pub options: RunOptions,
    /// Who opens it.
    pub user: String,
    /// The run it begins in the middle of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Box<Fork>>,
    /// The values of secret variables; they stay in the engine's memory.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// A run was taken over by this engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Its state after recovery.
    pub summary: RunSummary,
    /// What was found and mended, in words (a torn batch that was cut off, processes that had survived and were stopped).
    pub notes: Vec<String>,
}

/// A command is durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The run.
    pub run_id: Uuid,
    /// Number of the newest event of the command's batch.
    pub seq: u64,
    /// `applied`, or `pending` while an attempt has to stop first.
    pub status: InterventionStatus,
    /// The same `command_id` was there before: nothing was done again.
    pub duplicate: bool,
}

/// Something worth showing that is not an event of a run: it is not journaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// An attempt says how far it is.
    Progress {
        /// Run.
        run_id: Uuid,
        /// Step.
        step: String,
        /// Attempt.
        attempt: u32,
        /// 0..1, when it has changed.
        value: Option<f64>,
        /// What it is doing.
        message: Option<String>,
    },
    /// An attempt's output file has grown.
    Output {
        /// Run.
        run_id: Uuid,
        /// Step.
        step: String,
        /// Attempt.
        attempt: u32,
        /// Bytes of output so far.
        bytes: u64,
    },
}

/// A run as found on disk, not open in this engine.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// Its state, up to the damage if there is any.
    pub state: Arc<RunState>,
    /// The newest events, oldest first.
    pub recent: Vec<Arc<Recorded>>,
    /// Which process owns it now, this one or another.
    pub owner: Option<Owner>,
    /// Damage: the run can be read up to here, but not opened.
    pub damage: Option<String>,
}

/// A line of the list of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRun {
    /// The run, or what could be read of it.
    pub summary: RunSummary,
    /// Whether some engine (this or another process) owns it now.
    pub owned: bool,
    /// Whether this engine owns it.
    pub ours: bool,
    /// What is known of the owner, where that is another process.
    pub owner: Owner,
}

impl ListedRun {
    /// The other process that owns it, if one does.
    pub fn elsewhere(&self) -> Option<&Owner> {
        (self.owned && !self.ours).then_some(&self.owner)
    }
}

impl Local {
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn gone() -> Rejection {
    Rejection::new(RejectionCode::Gone, "the engine has ended")
}

impl EngineHandle {
    /// A handle on the engine of another process; the runs' files are read from the disk all the same.
    ///
    /// # Errors
    /// Nobody listens there, or who does speaks another protocol.
    pub async fn connect(address: &Path, store: Store) -> Result<Self, Rejection> {
        Ok(Self { link: Link::There(Remote::connect(address).await?), store })
    }

    /// A handle on the engine of the other process that has a run open.
    ///
    /// # Errors
    /// Nobody has it open, or that process listens to nobody or cannot be reached.
    pub async fn of_owner(&self, run_id: Uuid) -> Result<Self, Rejection> {
        let store = self.store.clone();
        let owner = blocking(self.root(), move || Ok(store.owner(&store.dir(run_id)))).await;
        let gone = |what: String| Rejection::new(RejectionCode::Gone, what);
        let owner = owner.map_err(|error| super::task::journal_rejection(&error))?;
        let owner = owner.ok_or_else(|| gone("no process has it open any more".into()))?;
        let address = owner.address.ok_or_else(|| {
            let who = owner.pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
            gone(format!("{who} has it open and listens to nobody"))
        })?;
        Self::connect(&address, self.store.clone()).await
    }

    /// Opens a plan: makes the run folder and a run in state `idle`.
    ///
    /// # Errors
    /// The plan has no order of work, or the disk does not take it.
    pub async fn register(&self, new: NewRun) -> Result<Uuid, Rejection> {
        let new = Box::new(new);
        match &self.link {
            Link::Here(local) => {
                let durations = self.durations(&new).await;
                local.ask(|reply| Message::Register { new, durations, reply }).await?
            }
            Link::There(remote) => remote.register(new).await,
        }
    }

    /// Takes a run on disk over: locks it, recovers it. With `go_on`, a run that was running when its engine ended goes on by itself if
    /// only idempotent steps were interrupted; otherwise it is paused. Opening a run that is open already changes nothing.
    ///
    /// # Errors
    /// There is no such run, another engine owns it, or its journal is damaged.
    pub async fn open(&self, run_id: Uuid, go_on: bool) -> Result<Opened, Rejection> {
        match &self.link {
            Link::Here(local) => local.ask(|reply| Message::Open { run_id, go_on, reply }).await?,
            Link::There(remote) => remote.open(run_id, go_on).await,
        }
    }

    /// Gives a run the values of secret variables that its engine's environment does not have; best before it is opened.
    ///
    /// # Errors
    /// They cannot be used, or the run is open in another process: that one has its secrets.
    pub async fn give_secrets(&self, run_id: Uuid, secrets: Secrets) -> Result<(), Rejection> {
        match &self.link {
            Link::Here(local) => local.ask(|reply| Message::Secrets { run_id, secrets, reply }).await?,
            Link::There(_) => {
                Err(Rejection::new(RejectionCode::NotNow, "another process runs this and has its secrets"))
            }
        }
    }

    /// Sends a command; the answer comes when it is durable.
    ///
    /// # Errors
    /// The command was refused; nothing has changed.
    pub async fn send(&self, run_id: Uuid, request: Request) -> Result<Ack, Rejection> {
        self.send_from(rustix::process::getuid().as_raw(), run_id, request).await
    }

    /// [`send`](Self::send), for a process of this user id. An engine of another process asks the system itself whose process that is.
    pub(super) async fn send_from(&self, uid: u32, run_id: Uuid, request: Request) -> Result<Ack, Rejection> {
        let request = Box::new(Request { uid: Some(uid), ..request });
        match &self.link {
            Link::Here(local) => local.ask(|reply| Message::Request { run_id, request, reply }).await?,
            Link::There(remote) => remote.send(run_id, request).await,
        }
    }

    /// A run's durable state and what follows it, without a gap between the two. A reader that falls behind is told so, and subscribes again.
    ///
    /// # Errors
    /// The run is not open in that engine.
    pub async fn subscribe(&self, run_id: Uuid) -> Result<Subscription, Rejection> {
        match &self.link {
            Link::Here(local) => local.recorder.subscribe(run_id).await.ok_or_else(|| super::task::not_open(run_id)),
            Link::There(remote) => remote.subscribe(run_id).await,
        }
    }

    /// One line about each run that is open in the engine, and every change of them.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn overview(&self) -> Result<Overview, Rejection> {
        match &self.link {
            Link::Here(local) => local.recorder.overview().await.ok_or_else(gone),
            Link::There(remote) => remote.overview().await,
        }
    }

    /// Progress and output, as they happen.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        match &self.link {
            Link::Here(local) => local.notices.subscribe(),
            Link::There(remote) => remote.notices(),
        }
    }

    /// Lets go of a run that has no live attempt: its lock is released, its checkpoint written.
    ///
    /// # Errors
    /// The run has live attempts, or is not open here.
    pub async fn close(&self, run_id: Uuid) -> Result<(), Rejection> {
        match &self.link {
            Link::Here(local) => local.ask(|reply| Message::Close { run_id, reply }).await?,
            Link::There(remote) => remote.close(run_id).await,
        }
    }

    /// Lets go of a run in which nothing was ever done, and removes it from the disk for good.
    ///
    /// # Errors
    /// Something was done in it, it is not open in that engine, or the file system refuses: then it stays open.
    pub async fn discard(&self, run_id: Uuid) -> Result<(), Rejection> {
        if !self.subscribe(run_id).await?.state.is_untouched() {
            return Err(Rejection::new(RejectionCode::NotNow, "something was done in this run: it stays"));
        }
        self.close(run_id).await?;
        let store = self.store.clone();
        let removed = blocking(self.root(), move || store.remove_untouched(run_id)).await;
        if let Err(error) = removed {
            // Somebody was quicker, and what they did goes on.
            self.open(run_id, true).await?;
            return Err(super::task::journal_rejection(&error));
        }
        Ok(())
    }

    /// Ends the engine: everything accepted is made durable and every run is let go. Attempts that are still alive are stopped and become
    /// interrupted, their runs paused. An engine of another process is left alone.
    pub async fn shutdown(&self) {
        if let Link::Here(local) = &self.link {
            // An engine that has already ended is what was asked for.
            let _ = local.ask(|reply| Message::Shutdown { reply }).await;
        }
    }

    /// Returns when the engine has ended, by itself or with its process.
    pub async fn ended(&self) {
        match &self.link {
            Link::Here(local) => local.inbox.closed().await,
            Link::There(remote) => remote.ended().await,
        }
    }

    /// The process the engine is in.
    pub fn process(&self) -> u32 {
        match &self.link {
            Link::Here(_) => std::process::id(),
            Link::There(remote) => remote.process(),
        }
    }

    /// Whether the engine is in another process.
    pub fn is_remote(&self) -> bool {
        matches!(self.link, Link::There(_))
    }

    /// The folder with one folder a run.
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// The runs on disk, for whoever only reads them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where an attempt's output lies (there is no file when it had none).
    pub fn output_path(&self, run_id: Uuid, step: &str, attempt: u32) -> PathBuf {
        super::output_path(self.root(), run_id, step, attempt)
    }

    /// Every run on disk, newest first, and the folders that look like runs and cannot be read.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn list(&self) -> Result<(Vec<ListedRun>, Vec<String>), JournalError> {
        let store = self.store.clone();
        // What this engine has open it knows itself.
        let open = self.overview().await.map(|overview| overview.runs).unwrap_or_default();
        let open: Vec<RunSummary> = open.into_iter().filter(|run| run.open).map(|run| run.summary).collect();
        let known: HashSet<Uuid> = open.iter().map(|summary| summary.run_id).collect();
        let list = blocking(self.root(), move || store.list_runs_but(|run_id| known.contains(&run_id))).await?;
        let own = Some(self.process());
        let listed = list.runs.into_iter().map(|run| ListedRun {
            summary: run.summary,
            owned: run.owner.is_some(),
            ours: run.owner.as_ref().is_some_and(|owner| owner.pid == own),
            owner: run.owner.unwrap_or_default(),
        });
        let open =
            open.into_iter().map(|summary| ListedRun { summary, owned: true, ours: true, owner: Owner::default() });
        let mut runs: Vec<ListedRun> = listed.chain(open).collect();
        runs.sort_unstable_by_key(|run| Reverse(run.summary.run_id));
        let unreadable = list.unreadable.iter().map(|(dir, error)| format!("{}: {error}", dir.display()));
        Ok((runs, unreadable.collect()))
    }

    /// What the steps of a run's plan took in its newest earlier runs; what cannot be read is passed over.
    pub async fn past(&self, run: RunSummary) -> Past {
        let store = self.store.clone();
        let read = move || Ok(past(&store, &run));
        blocking(self.root(), read).await.unwrap_or_default()
    }

    /// What the newest earlier runs of a plan tell of its steps, where it matters: in a list nothing has to be chosen from.
    async fn durations(&self, new: &NewRun) -> Option<Arc<Durations>> {
        if !has_choice(&new.plan, new.options.max_parallel) {
            return None;
        }
        let (store, plan, simulate) = (self.store.clone(), Arc::clone(&new.plan), new.options.simulate);
        let read = move || {
            let alike = Alike { plan_id: &plan.plan_id, simulate, besides: None };
            Ok(Durations::of(&plan, &learned(&store, alike, RUNS_FOR_TURNS)))
        };
        blocking(self.root(), read).await.ok().flatten().map(Arc::new)
    }

    /// Reads a run from disk without taking it over.
    ///
    /// # Errors
    /// There is no such run or it cannot be read.
    pub async fn load(&self, run_id: Uuid) -> Result<StoredRun, JournalError> {
        let store = self.store.clone();
        let loaded = blocking(self.root(), move || store.load(&store.dir(run_id))).await?;
        Ok(StoredRun {
            state: Arc::new(loaded.state),
            recent: loaded.recent,
            owner: loaded.owner,
            damage: loaded.damage.map(|damage| damage.to_string()),
        })
    }
}

impl EngineHandle {
    /// What a command would do, without doing it. Also answers for a run that no engine has open.
    ///
    /// # Errors
    /// It would be refused, or the run cannot be read.
    pub async fn preview(&self, run_id: Uuid, request: Request) -> Result<Preview, Rejection> {
        let state = self.state_once_open(run_id).await?;
        let moment = Moment { now: chrono::Utc::now(), entropy: 0 };
        let input = match request.command {
            Command::Restore { checkpoint } if state.has_checkpoint(checkpoint) => {
                let target = Arc::new(self.state_at(run_id, checkpoint).await?);
                Input::Restore { request, target }
            }
            _ => Input::Request(request),
        };
        preview(&state, &input, &moment)
    }

    /// Opens a new run that begins where another was at a checkpoint. The other is not touched.
    ///
    /// # Errors
    /// There is no such run or checkpoint, or the disk does not take the new one.
    pub async fn fork(
        &self,
        run_id: Uuid,
        checkpoint: u64,
        user: &str,
        reason: Option<String>,
    ) -> Result<Uuid, Rejection> {
        let (then, now) = self.then_and_now(run_id, checkpoint).await?;
        let fork = Some(Box::new(Fork { reason, ..fork_at(&then, &now) }));
        // What is secret comes from the environment, as for every run that is taken up.
        let secrets = Secrets::default();
        let new = NewRun {
            plan: then.own_plan(),
            options: Arc::unwrap_or_clone(then.options),
            user: user.to_owned(),
            fork,
            secrets,
        };
        self.register(new).await
    }

    /// What a fork would be, without making it.
    ///
    /// # Errors
    /// There is no such run or checkpoint, or it cannot be read.
    pub async fn preview_fork(&self, run_id: Uuid, checkpoint: u64) -> Result<ForkPreview, Rejection> {
        let (then, now) = self.then_and_now(run_id, checkpoint).await?;
        Ok(fork_preview(&then, &now))
    }

    async fn then_and_now(&self, run_id: Uuid, checkpoint: u64) -> Result<(RunState, Arc<RunState>), Rejection> {
        let now = self.state(run_id).await?;
        if !now.has_checkpoint(checkpoint) {
            return Err(crate::run::no_checkpoint(checkpoint));
        }
        Ok((self.state_at(run_id, checkpoint).await?, now))
    }

    /// A run's newest durable state, from the engine or from the disk.
    ///
    /// # Errors
    /// The run cannot be read.
    pub async fn state(&self, run_id: Uuid) -> Result<Arc<RunState>, Rejection> {
        if let Ok(open) = self.subscribe(run_id).await {
            return Ok(open.state);
        }
        let stored = self.load(run_id).await.map_err(|error| super::task::journal_rejection(&error))?;
        Ok(stored.state)
    }

    /// The state on which a command to the run would act: a run that no engine owns is taken over first.
    ///
    /// # Errors
    /// The run cannot be read.
    pub async fn state_once_open(&self, run_id: Uuid) -> Result<Arc<RunState>, Rejection> {
        if let Ok(open) = self.subscribe(run_id).await {
            return Ok(open.state);
        }
        let stored = self.load(run_id).await.map_err(|error| super::task::journal_rejection(&error))?;
        let unfinished = stored.state.status == RunStatus::Running || stored.state.counts().live() > 0;
        if stored.owner.is_some() || !unfinished {
            return Ok(stored.state);
        }
        let mut state = Arc::unwrap_or_clone(stored.state);
        let opened = Input::Opened { version: String::new(), pid: 0, go_on: false };
        let moment = Moment { now: state.updated_at, entropy: 0 };
        advance(&mut state, &opened, &moment)?;
        Ok(Arc::new(state))
    }

    /// A run's state at one of its checkpoints, read from the disk.
    ///
    /// # Errors
    /// There is no such checkpoint, or it cannot be read.
    pub async fn state_at(&self, run_id: Uuid, checkpoint: u64) -> Result<RunState, Rejection> {
        let store = self.store.clone();
        let read = move || store.state_at(&store.dir(run_id), checkpoint);
        blocking(self.root(), read).await.map_err(|error| super::task::journal_rejection(&error))
    }
}

/// What is learned from so many earlier runs.
const PAST_RUNS: usize = 10;

/// And of so many, whose turn it is: a new run waits for them to be read.
const RUNS_FOR_TURNS: usize = 3;

/// What the steps of a run's plan took in its newest earlier runs. Reads files.
pub fn past(store: &Store, run: &RunSummary) -> Past {
    let alike = Alike { plan_id: &run.plan_id, simulate: run.simulate, besides: Some(run.run_id) };
    learned(store, alike, PAST_RUNS)
}

fn learned(store: &Store, alike: Alike, runs: usize) -> Past {
    let mut past = Past::default();
    store.earlier_runs(alike, |earlier| {
        past.add(earlier);
        past.runs() < runs
    });
    past
}

/// Whether it may come to several steps of a plan waiting for the same slot or place.
fn has_choice(plan: &Plan, max_parallel: u32) -> bool {
    let side_by_side = plan.steps.iter().any(|step| step.depends_on.is_some() || step.parallel_group.is_some());
    let many = plan.steps.len() > max_parallel as usize || plan.steps.iter().any(|step| step.foreach.is_some());
    side_by_side && (many || !plan.pools.is_empty())
}

/// Reads files beside the tasks that must not wait.
async fn blocking<T: Send + 'static>(
    root: &Path,
    read: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
        Err(JournalError::Io { what: "read", path: root.to_path_buf(), error: std::io::Error::other(error) })
    })
}
