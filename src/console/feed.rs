//! What the engine publishes, on its way to the event loop. A reader that falls behind subscribes again and says so; the engine never waits.

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::engine::{EngineHandle, Published};

use super::app::Event;

/// Forwards everything that happens to a run until the task is aborted or the run is let go.
pub fn follow(handle: EngineHandle, run: Uuid, sender: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let subscription = match handle.subscribe(run).await {
                Ok(subscription) => subscription,
                Err(rejection) => {
                    let _ = sender.send(Event::NotOpened { run, error: rejection.to_string() }).await;
                    return;
                }
            };
            let mut events = subscription.events;
            let (state, recent, storage) = (subscription.state, subscription.recent, subscription.storage);
            if sender.send(Event::Subscribed { state, recent, storage }).await.is_err() {
                return;
            }
            let missed = loop {
                let event = match events.recv().await {
                    Ok(Published::Batch(events)) => Event::Batch { run, events },
                    Ok(Published::Storage(trouble)) => Event::Storage { run, trouble },
                    Ok(Published::Missed(missed)) | Err(RecvError::Lagged(missed)) => break missed,
                    Err(RecvError::Closed) => return,
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            };
            if sender.send(Event::FellBehind { missed }).await.is_err() {
                return;
            }
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
