//! The recorder: a thread that makes what the engine decides durable, one group at a time.
//!
//! The engine keeps at most one group in flight and collects what it decides meanwhile into the next: group commit without a delay. A group
//! of which nothing has to be synced is not worth waking the thread for: whoever has it may [`record`](Recorder::record) it on the spot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::commit::{Committed, Committer, Group, Overview, RecorderConfig, Subscription};
use super::{JournalError, Place};

/// How many groups may wait. The engine has one in flight; more is a mistake of its.
const GROUPS: usize = 4;
/// How many questions may wait.
const QUERIES: usize = 64;
/// How many reports may wait.
const REPORTS: usize = 64;

/// What the recorder tells the engine.
#[derive(Debug)]
pub enum Report {
    /// A group is through; one for each group, in order.
    Committed(Committed),
    /// A run that had failed can be written to again.
    Writable {
        /// Which run.
        run_id: Uuid,
    },
    /// A full checkpoint file could not be written. The run goes on: the journal is whole.
    CheckpointFailed {
        /// Which run.
        run_id: Uuid,
        /// What happened.
        error: String,
    },
}

/// The group was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Too many groups are in flight.
    #[error("the recorder is still busy with earlier groups")]
    Busy(Group),
    /// The recorder's thread has ended.
    #[error("the recorder has ended")]
    Gone(Group),
}

#[derive(Debug)]
enum Query {
    Subscribe {
        run_id: Uuid,
        reply: oneshot::Sender<Option<Subscription>>,
    },
    Overview {
        reply: oneshot::Sender<Overview>,
    },
    Close {
        run_id: Uuid,
        reply: oneshot::Sender<Closing>,
    },
    CloseAll {
        reply: oneshot::Sender<Vec<oneshot::Receiver<()>>>,
    },
    /// Nothing is asked: something is to be repaired that was not when the thread looked last.
    Repair,
}

type Closing = (Option<Place>, oneshot::Receiver<()>);

/// A handle on the recorder; the thread ends when the last one is dropped, after everything is written.
#[derive(Debug, Clone)]
pub struct Recorder {
    committer: Shared,
    groups: mpsc::Sender<Group>,
    queries: mpsc::Sender<Query>,
}

/// Held by the thread while it works; [`Recorder::record`] never waits for it.
type Shared = Arc<Mutex<Committer>>;

fn lock(committer: &Shared) -> MutexGuard<'_, Committer> {
    committer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// The folder of all runs cannot be made or opened, or the machine gives no thread.
    pub fn start(config: RecorderConfig) -> Result<(Self, mpsc::Receiver<Report>), JournalError> {
        let (groups, next_group) = mpsc::channel(GROUPS);
        let (queries, next_query) = mpsc::channel(QUERIES);
        let (reports, told) = mpsc::channel(REPORTS);
        let root = config.root.clone();
        let notices = reports.clone();
        let committer = Committer::new(
            config,
            // Nobody waits for this one; when the engine does not keep up, it may be lost.
            Box::new(move |run_id, error| drop(notices.try_send(Report::CheckpointFailed { run_id, error }))),
        )?;
        let committer = Arc::new(Mutex::new(committer));
        let shared = Arc::clone(&committer);
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(JournalError::io("record in", &root))?;
        std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || clock.block_on(work(&shared, next_group, next_query, reports)))
            .map_err(JournalError::io("record in", &root))?;
        Ok((Self { committer, groups, queries }, told))
    }

    /// Hands a group over; never waits. A [`Report::Committed`] follows.
    ///
    /// # Errors
    /// More than a few groups are in flight, or the recorder is gone; the group comes back.
    pub fn submit(&self, group: Group) -> Result<(), SubmitError> {
        self.groups.try_send(group).map_err(|error| match error {
            mpsc::error::TrySendError::Full(group) => SubmitError::Busy(group),
            mpsc::error::TrySendError::Closed(group) => SubmitError::Gone(group),
        })
    }

    /// Records a group at once, on the thread of whoever asks, if that takes no longer than an append to the page cache: none of its runs is
    /// to be synced, none is in trouble, and the thread is idle. No group may be in flight.
    ///
    /// # Errors
    /// It is work for the thread; the group comes back.
    pub fn record(&self, group: Group) -> Result<Committed, Group> {
        let Ok(mut committer) = self.committer.try_lock() else { return Err(group) };
        if !committer.is_quick(&group) {
            return Err(group);
        }
        let committed = committer.commit_quickly(group);
        if !committed.failed.is_empty() {
            // Full, the thread will look anyway.
            let _ = self.queries.try_send(Query::Repair);
        }
        Ok(committed)
    }

    /// A run from this moment on; `None` when it is not recorded here.
    pub async fn subscribe(&self, run_id: Uuid) -> Option<Subscription> {
        self.ask(|reply| Query::Subscribe { run_id, reply }).await?
    }

    /// All runs that are recorded here, from this moment on; `None` when the recorder is gone.
    pub async fn overview(&self) -> Option<Overview> {
        self.ask(|reply| Query::Overview { reply }).await
    }

    /// Lets go of a run: waits until its checkpoints are written and its lock is free. Answers with the newest place, whose hash is the
    /// head hash; `None` when the run was not open.
    pub async fn close(&self, run_id: Uuid) -> Option<Place> {
        let (place, idle) = self.ask(|reply| Query::Close { run_id, reply }).await?;
        // An error means that the recorder is gone, and with it the run's lock.
        let _ = idle.await;
        place
    }

    /// Lets go of every run, and waits until all is written.
    pub async fn close_all(&self) {
        for idle in self.ask(|reply| Query::CloseAll { reply }).await.unwrap_or_default() {
            let _ = idle.await;
        }
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.queries.send(query(reply)).await.ok()?;
        answer.await.ok()
    }
}

async fn work(
    committer: &Shared,
    mut groups: mpsc::Receiver<Group>,
    mut queries: mpsc::Receiver<Query>,
    reports: mpsc::Sender<Report>,
) {
    loop {
        let next_repair = lock(committer).next_repair();
        let repair_due = async {
            match next_repair {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Questions are few and quick; a busy engine must not starve them.
            biased;
            Some(query) = queries.recv() => answer(&mut lock(committer), query),
            Some(group) = groups.recv() => {
                let committed = lock(committer).commit(group);
                if reports.send(Report::Committed(committed)).await.is_err() {
                    return;
                }
            }
            () = repair_due => {
                let writable = lock(committer).repair(Instant::now());
                for run_id in writable {
                    if reports.send(Report::Writable { run_id }).await.is_err() {
                        return;
                    }
                }
            }
            // Both channels are closed: nobody is left who could ask for anything.
            else => return,
        }
    }
}

/// Whoever asked may be gone; then there is nobody to tell.
fn answer(committer: &mut Committer, query: Query) {
    match query {
        Query::Subscribe { run_id, reply } => drop(reply.send(committer.subscribe(run_id))),
        Query::Overview { reply } => drop(reply.send(committer.overview())),
        Query::Close { run_id, reply } => drop(reply.send(close(committer, run_id))),
        Query::CloseAll { reply } => {
            let closing = committer.open_runs().into_iter().map(|run_id| close(committer, run_id).1).collect();
            drop(reply.send(closing));
        }
        Query::Repair => {}
    }
}

fn close(committer: &mut Committer, run_id: Uuid) -> Closing {
    let (done, idle) = oneshot::channel();
    (committer.close(run_id, done), idle)
}
