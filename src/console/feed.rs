//! What the engine publishes, on its way to the event loop. A reader that falls behind subscribes again and says so; the engine never waits.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::engine::hooks::Report;
use crate::engine::{EngineHandle, Glances, Notice, Published, Space};
use crate::run::Rejection;

use super::app::Event;
use super::folders::Folders;

/// Forwards everything that happens to a run until the task is aborted or the run is let go.
pub fn follow(handle: EngineHandle, run: Uuid, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(rejection) = forward(&handle, run, &sender).await {
            // The console may have ended.
            let _ = sender.send(Event::NotOpened { run, error: rejection.to_string() }).await;
        }
    })
}

/// Follows a run that another process has open through the engine of that process, which is in `links` for as long: commands on the run go there.
pub fn attach(own: EngineHandle, run: Uuid, links: Links, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let result = match own.of_owner(run).await {
            Err(rejection) => Err(rejection),
            Ok(there) => {
                let there = Arc::new(there);
                links.put(run, &there);
                tokio::select! {
                    result = forward(&there, run, &sender) => result,
                    () = forward_notices(there.notices(), &sender) => Ok(()),
                    () = there.ended() => Ok(()),
                }
            }
        };
        let error = result.err().map(|rejection| rejection.to_string());
        let _ = sender.send(Event::Detached { run, error }).await;
    })
}

/// Forwards what happens to a run; returns when the run is let go or nobody listens any more.
async fn forward(handle: &EngineHandle, run: Uuid, sender: &mpsc::Sender<Event>) -> Result<(), Rejection> {
    let through = handle.is_remote().then(|| handle.process());
    loop {
        let subscription = handle.subscribe(run).await?;
        let mut events = subscription.events;
        let (state, recent, storage) = (subscription.state, subscription.recent, subscription.storage);
        if sender.send(Event::Subscribed { state, recent, storage, through }).await.is_err() {
            return Ok(());
        }
        let missed = loop {
            let event = match events.recv().await {
                Ok(Published::Batch(batch)) => Event::Batch { run, batch },
                Ok(Published::Storage(trouble)) => Event::Storage { run, trouble },
                Ok(Published::Missed(missed)) | Err(RecvError::Lagged(missed)) => break missed,
                Err(RecvError::Closed) => return Ok(()),
            };
            if sender.send(event).await.is_err() {
                return Ok(());
            }
        };
        if sender.send(Event::FellBehind { missed }).await.is_err() {
            return Ok(());
        }
    }
}

/// Forwards progress and output; returns when there are no more.
async fn forward_notices(mut notices: broadcast::Receiver<Notice>, sender: &mpsc::Sender<Event>) {
    loop {
        match notices.recv().await {
            Ok(notice) => {
                if sender.send(Event::Notice(notice)).await.is_err() {
                    return;
                }
            }
            // The next notice says where things stand.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// The engines of other processes through which this console acts on their runs: each as long as its run is followed, since a process may stay only
/// for whoever is connected to it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Mutex<HashMap<Uuid, Weak<EngineHandle>>>>);

impl Links {
    fn engines(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<EngineHandle>>> {
        // Whoever panicked has left whole entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine that has a run, where it is not the console's own.
    pub fn engine_of(&self, run: Uuid) -> Option<EngineHandle> {
        self.engines().get(&run).and_then(Weak::upgrade).map(|engine| EngineHandle::clone(&engine))
    }

    fn put(&self, run: Uuid, engine: &Arc<EngineHandle>) {
        let mut engines = self.engines();
        engines.retain(|_, engine| engine.strong_count() > 0);
        engines.insert(run, Arc::downgrade(engine));
    }
}

/// What lies on the disk is looked at no more often than this, however fast it changes, and as often where the system does not tell of changes.
const LOOK: Duration = Duration::from_secs(1);

/// Reads a run from the disk, and again whenever it has changed there or has come into other hands, until the task is aborted.
pub fn look(handle: EngineHandle, run: Uuid, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut seen: Option<Glances> = None;
        let mut looks = Looks::new();
        loop {
            looks.watch(&[handle.root().join(run.to_string())]);
            // Before it is read: what changes meanwhile is seen the next time.
            let glance = handle.glances(vec![run], seen.clone().unwrap_or_default()).await;
            let changed = seen.as_ref() != Some(&glance);
            if changed {
                let event = match handle.load(run).await {
                    Ok(stored) => Event::Loaded {
                        state: stored.state,
                        recent: stored.recent,
                        owner: stored.owner,
                        damage: stored.damage,
                    },
                    Err(error) => Event::NotOpened { run, error: error.to_string() },
                };
                let lost = matches!(event, Event::NotOpened { .. });
                if sender.send(event).await.is_err() || lost {
                    return;
                }
                seen = Some(glance);
            }
            looks.next(changed, LOOK).await;
        }
    })
}

/// When to look again at folders on the disk.
struct Looks {
    folders: Folders,
    /// The last look was made because something was told, or found something.
    restless: bool,
    last: Instant,
}

impl Looks {
    fn new() -> Self {
        Self { folders: Folders::new(), restless: true, last: Instant::now() }
    }

    /// Before a look: what changes from now on is told.
    fn watch(&mut self, folders: &[PathBuf]) {
        self.last = Instant::now();
        self.folders.set(folders);
    }

    /// After a look: waits for the next one. Of an engine's end it may be told a moment before its lock is free, so one look follows the last change.
    async fn next(&mut self, found: bool, usual: Duration) {
        if found || self.restless {
            self.restless = found;
        } else {
            self.folders.changed(usual).await;
            self.restless = true;
        }
        tokio::time::sleep_until(self.last + LOOK).await;
        self.folders.forget().await;
    }
}

/// How often the runs of other processes are looked at, for the list of runs, where the system does not tell of changes.
const LOOK_AROUND: Duration = Duration::from_secs(2);
/// So many of them at the most, the newest: a look must cost nothing that could be felt.
const LOOKED_AT: usize = 64;

/// Lists the runs on the disk, and again whenever another process has made one or has gone on with one.
pub fn look_around(handle: EngineHandle, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut watched: Vec<Uuid> = Vec::new();
        let mut seen = None;
        let mut known = Glances::default();
        let mut looks = Looks::new();
        loop {
            let root = handle.root();
            let mut folders = vec![root.to_path_buf()];
            folders.extend(watched.iter().map(|run| root.join(run.to_string())));
            looks.watch(&folders);
            // Before they are listed: what changes meanwhile, and what is new in the list, is seen the next time.
            let made = std::fs::metadata(root).and_then(|root| root.modified()).ok();
            known = handle.glances(watched.clone(), known).await;
            let now = Some((made, known.clone()));
            let changed = now != seen;
            if changed {
                let listed = handle.list().await.map_err(|error| error.to_string());
                if let Ok((runs, _)) = &listed {
                    let others = runs.iter().filter(|run| !run.ours && (run.owned || !run.summary.status.is_ended()));
                    watched = others.map(|run| run.summary.run_id).take(LOOKED_AT).collect();
                }
                if sender.send(Event::RunsListed(listed)).await.is_err() {
                    return;
                }
                seen = now;
            }
            looks.next(changed, LOOK_AROUND).await;
        }
    })
}

/// Says when a plan's file was made, changed or removed.
pub fn watch_plans(folder: PathBuf, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut folders = Folders::new();
        loop {
            // One that is made later, and a file system of a network, are what the key is for that looks again.
            folders.set(std::slice::from_ref(&folder));
            folders.told().await;
            // An editor writes a file in several steps.
            tokio::time::sleep(LOOK).await;
            folders.forget().await;
            if sender.send(Event::PlansChanged).await.is_err() {
                return;
            }
        }
    })
}

/// How often the room on the disk is looked at.
const ROOM: Duration = Duration::from_secs(30);

/// Says when the disk of the runs is nearly full, how much is left, and when that is over.
pub fn watch_space(handle: EngineHandle, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut told = None;
        loop {
            let root = handle.root().to_path_buf();
            // A network's file system may keep whoever asks waiting.
            let found = tokio::task::spawn_blocking(move || Space::of(&root)).await.ok().flatten();
            let low = found.filter(|space| space.is_low());
            let words = low.map(Space::left);
            if words != told {
                told = words;
                if sender.send(Event::Space(low)).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(ROOM).await;
        }
    })
}

/// Forwards changes of all runs and the notices of attempts, as long as the engine lives.
pub fn watch(handle: EngineHandle, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut notices = handle.notices();
        loop {
            let Ok(overview) = handle.overview().await else { return };
            for run in overview.runs {
                if sender.send(Event::Summary(std::sync::Arc::new(run))).await.is_err() {
                    return;
                }
            }
            let mut updates = overview.updates;
            loop {
                let event = tokio::select! {
                    update = updates.recv() => match update {
                        Ok(update) => Event::Summary(update),
                        // The overview is asked for anew.
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                    notice = notices.recv() => match notice {
                        Ok(notice) => Event::Notice(notice),
                        // The next notice says where things stand.
                        Err(RecvError::Lagged(_)) => continue,
                        Err(RecvError::Closed) => return,
                    },
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// Forwards what the hooks of this process report.
pub fn reports(mut reports: broadcast::Receiver<Report>, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match reports.recv().await {
                Ok(report) => {
                    if sender.send(Event::Reported(report)).await.is_err() {
                        return;
                    }
                }
                // The hooks say at the end what they have not done.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    })
}
