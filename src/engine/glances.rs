//! Looking at runs on the disk, again and again, at a cost that nobody feels.

use std::collections::HashMap;

use uuid::Uuid;

use super::EngineHandle;
use crate::journal::{Owner, Stamp};

/// Runs as they lay on the disk when they were looked at, and who had them. Another one when any of them has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glances(HashMap<Uuid, Glance>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Glance {
    /// Of the journal.
    stamp: Option<Stamp>,
    told: Option<(u64, Option<Owner>)>,
}

impl Glance {
    /// Whether a journal that lies as it lay then is enough to know that nothing has changed: an engine that had the run may have died since.
    fn holds(&self, stamp: Option<&Stamp>) -> bool {
        let free = self.told.as_ref().is_some_and(|(_, owner)| owner.is_none());
        free && stamp.is_some() && self.stamp.as_ref() == stamp
    }
}

impl EngineHandle {
    /// Looks at runs that this engine does not have open; `before`: what was seen the last time.
    pub async fn glances(&self, runs: Vec<Uuid>, mut before: Glances) -> Glances {
        let store = self.store.clone();
        // A network's file system may keep whoever asks waiting.
        let looked = tokio::task::spawn_blocking(move || {
            let glance = |run: Uuid| {
                let dir = store.dir(run);
                let stamp = store.stamp(&dir);
                let known = before.0.remove(&run).filter(|known| known.holds(stamp.as_ref()));
                (run, known.unwrap_or_else(|| Glance { stamp, told: store.glance(&dir).ok() }))
            };
            Glances(runs.into_iter().map(glance).collect())
        });
        looked.await.unwrap_or_default()
    }
}
