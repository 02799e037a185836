//! The recorder: a thread that makes what the engine decides durable, one group at a time.
//!
//! The engine keeps at most one group in flight and collects what it decides meanwhile into the next: group commit without a delay.

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
    Subscribe { run_id: Uuid, reply: oneshot::Sender<Option<Subscription>> },
    Overview { reply: oneshot::Sender<Overview> },
    Close { run_id: Uuid, reply: oneshot::Sender<Closing> },
    CloseAll { reply: oneshot::Sender<Vec<oneshot::Receiver<()>>> },
}

type Closing = (Option<Place>, oneshot::Receiver<()>);

/// A handle on the recorder; the thread ends when the last one is dropped, after everything is written.
#[derive(Debug, Clone)]
pub struct Recorder {
    groups: mpsc::Sender<Group>,
    queries: mpsc::Sender<Query>,
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
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(JournalError::io("record in", &root))?;
        std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || clock.block_on(work(committer, next_group, next_query, reports)))
            .map_err(JournalError::io("record in", &root))?;
        Ok((Self { groups, queries }, told))
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
    mut committer: Committer,
    mut groups: mpsc::Receiver<Group>,
    mut queries: mpsc::Receiver<Query>,
    reports: mpsc::Sender<Report>,
) {
    loop {
        let next_repair = committer.next_repair();
        let repair_due = async {
            match next_repair {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Questions are few and quick; a busy engine must not starve them.
            biased;
            Some(query) = queries.recv() => answer(&mut committer, query),
            Some(group) = groups.recv() => {
                let committed = committer.commit(group);
                if reports.send(Report::Committed(committed)).await.is_err() {
                    return;
                }
            }
            () = repair_due => {
                for run_id in committer.repair(Instant::now()) {
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
    }
}

fn close(committer: &mut Committer, run_id: Uuid) -> Closing {
    let (done, idle) = oneshot::channel();
    (committer.close(run_id, done), idle)
}
