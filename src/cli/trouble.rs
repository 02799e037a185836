//! Disks: whether one takes a run's journal, which only the engine of the run knows, and whether one is nearly full.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use crate::engine::{EngineHandle, StorageTrouble};
use crate::journal::{Owner, Store};

/// An engine that does not answer in this time is not waited for: what is on disk can be shown without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The runs of these owners whose journal the disk does not take. Owners that cannot be asked are left out.
pub fn storage<'a>(store: &Store, owners: impl IntoIterator<Item = &'a Owner>) -> HashMap<Uuid, StorageTrouble> {
    let addresses: BTreeSet<PathBuf> = owners.into_iter().filter_map(|owner| owner.address.clone()).collect();
    let mut found = HashMap::new();
    if addresses.is_empty() {
        return found;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return found };
    runtime.block_on(async {
        for address in addresses {
            let ask = async { EngineHandle::connect(&address, store.clone()).await.ok()?.overview().await.ok() };
            let Ok(Some(overview)) = tokio::time::timeout(PATIENCE, ask).await else { continue };
            for run in overview.runs {
                found.extend(run.storage.map(|trouble| (run.summary.run_id, (*trouble).clone())));
            }
        }
    });
    found
}

/// The trouble in a sentence.
pub fn in_words(trouble: &StorageTrouble) -> String {
    format!("the disk does not take the journal: {}", trouble.error)
}

/// How often the room on the disk is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// Less than this is little on any disk; less than the second is where it is no more than a twentieth.
const LITTLE: u64 = 64 << 20;
const SOME: u64 = 1 << 30;

/// A warning when the file system of the runs is nearly full; waits for the disk.
pub fn nearly_full(root: &Path) -> Option<String> {
    let found = rustix::fs::statvfs(root).ok()?;
    let (free, total) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
    let low = total > 0 && (free < LITTLE || (free < SOME && free < total / 20));
    let mib = free >> 20;
    low.then(|| {
        format!("the disk is nearly full: {mib} MiB are left for {}; a run whose disk is full stops", root.display())
    })
}

/// Waits until the file system of the runs is nearly full, and says so.
pub async fn until_nearly_full(root: PathBuf) -> String {
    loop {
        let here = root.clone();
        // A network's file system may keep whoever asks waiting.
        if let Ok(Some(warning)) = tokio::task::spawn_blocking(move || nearly_full(&here)).await {
            return warning;
        }
        tokio::time::sleep(LOOK).await;
    }
}
