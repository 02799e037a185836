//! Folders that are told of by the system when something in them changes, so that nothing looks again and again at what stays as it is.
//!
//! Where the system does not tell (another than Linux, no watch to be had), and on file systems of a network, where it tells only of what was done on
//! this machine, a look now and then has to do.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Looked at so often where changes are told: for what was done on another machine.
const SELDOM: Duration = Duration::from_secs(30);

/// A set of folders, and what was told of them. What lies in folders within them is not told.
#[derive(Debug, Default)]
pub struct Folders {
    /// Nothing where none is to be had.
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    told: Arc<Told>,
    /// Whether every one of them is told of.
    all: bool,
}

/// What the system has told.
#[derive(Debug, Default)]
struct Told {
    changed: Notify,
    /// What is not at its place any more: if there is a folder of that name again, it is another one.
    gone: Mutex<Vec<PathBuf>>,
}

impl Told {
    fn take(&self, event: notify::Result<notify::Event>) {
        // What could not be told may be anything.
        let Ok(event) = event else { return self.changed.notify_one() };
        match event.kind {
            // Reading is no change: whoever lists the runs opens what is in them. The lock of a run is closed when its engine ends, however it ends.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                self.gone.lock().unwrap_or_else(PoisonError::into_inner).extend(event.paths);
            }
            _ => {}
        }
        self.changed.notify_one();
    }
}

impl Folders {
    /// None yet.
    pub fn new() -> Self {
        let told = Arc::new(Told::default());
        let teller = Arc::clone(&told);
        let watcher = notify::recommended_watcher(move |event| teller.take(event));
        Self { watcher: watcher.ok(), told, ..Self::default() }
    }

    /// From now on these folders, and no others. One that is not there is not told of.
    pub fn set(&mut self, folders: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        // As they are told of.
        let folders: Vec<PathBuf> = folders.iter().filter_map(|folder| std::path::absolute(folder).ok()).collect();
        let gone = std::mem::take(&mut *self.told.gone.lock().unwrap_or_else(PoisonError::into_inner));
        self.watched.retain(|folder| {
            let stays = folders.contains(folder) && !gone.contains(folder);
            if !stays {
                // Its watch has gone with it, if it is gone.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        self.all = true;
        for folder in &folders {
            if self.watched.contains(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(folder.clone())),
                Err(_) => self.all = false,
            }
        }
    }

    /// Waits until something in them has changed, and no longer than a look is due: `usual` where not all of them are told of.
    pub async fn changed(&mut self, usual: Duration) {
        let due = if self.all { SELDOM } else { usual };
        // Told or not, it is looked at then.
        let _ = tokio::time::timeout(due, self.told()).await;
    }

    /// Waits until something in them has changed, for ever where nothing is told.
    pub async fn told(&mut self) {
        self.told.changed.notified().await;
    }

    /// What was told until now is known.
    pub async fn forget(&mut self) {
        let _ = tokio::time::timeout(Duration::ZERO, self.told()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any machine takes, shorter than the seldom look.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Whether something is told now, or soon.
    async fn is_told(folders: &mut Folders) -> bool {
        tokio::time::timeout(PATIENCE, folders.told()).await.is_ok()
    }

    #[tokio::test]
    async fn what_changes_in_a_folder_is_told_also_when_it_was_made_anew() {
        let here = tempfile::tempdir().unwrap();
        let here = here.path().canonicalize().unwrap();
        let run = here.join("run");
        std::fs::create_dir(&run).unwrap();
        let mut folders = Folders::new();
        folders.set(&[here.clone(), run.clone()]);
        std::fs::write(run.join("journal.jsonl"), "1\n").unwrap();
        assert!(is_told(&mut folders).await);
        std::fs::remove_dir_all(&run).unwrap();
        while folders.watched.contains(&run) {
            assert!(is_told(&mut folders).await);
            folders.set(&[here.clone(), run.clone()]);
        }
        assert!(!folders.all, "it is looked for now and then");
        std::fs::create_dir(&run).unwrap();
        folders.set(&[here.clone(), run.clone()]);
        assert!(folders.watched.contains(&run) && folders.all);
        folders.forget().await;
        std::fs::write(run.join("journal.jsonl"), "1\n").unwrap();
        assert!(is_told(&mut folders).await);
    }

    #[test]
    fn reading_is_no_change_and_the_end_of_writing_is_one() {
        let is_change = |kind| {
            let told = Told::default();
            told.take(Ok(notify::Event::new(kind)));
            std::pin::pin!(told.changed.notified()).as_mut().enable()
        };
        assert!(!is_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(EventKind::Modify(ModifyKind::Any)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_is_not_there_is_looked_for_as_usual() {
        let here = tempfile::tempdir().unwrap();
        let mut folders = Folders::new();
        folders.set(&[here.path().join("none")]);
        let began = tokio::time::Instant::now();
        folders.changed(Duration::from_secs(2)).await;
        assert_eq!(began.elapsed().as_secs(), 2);
    }
}
