//! The shell around the pure core: one task that owns the runs, makes events durable, and carries out effects.
//!
//! The task never waits for a disk to sync, for a process or for a slow reader. It decides and folds on its own states, which run ahead; the
//! recorder makes the batches durable and publishes them; only then are attempts started and commands acknowledged. Attempts are tasks that report back.
//! Time, ids and randomness come in through [`EngineConfig`].

mod attempts;
mod glances;
mod handle;
pub mod hooks;
mod live;
pub mod remote;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::journal::disk::{Disk, RealDisk};
use crate::run::{Command, Request};

pub use crate::agents::output::open as open_output;
pub use glances::Glances;
pub use handle::*;
pub use task::{ENGINE_USER, start};

/// Looks an environment variable up.
pub type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where the engine's time, ids and randomness come from, and where it works.
#[derive(Clone)]
pub struct EngineConfig {
    /// The folder with one folder a run.
    pub root: PathBuf,
    /// The file system the journal works on.
    pub disk: Arc<dyn Disk>,
    /// The program to run as the warden that stops attempts when the engine dies; this program itself unless a test says otherwise.
    pub warden: PathBuf,
    /// The time, to the microsecond.
    pub now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Ids of new runs.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// Randomness, for jitter.
    pub entropy: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The environment, for the secrets of runs that are taken up again.
    pub environment: Arc<Environment>,
    /// The socket on which other processes find this engine, if it listens on one; it stands in the lock of each run.
    pub address: Option<PathBuf>,
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig").field("root", &self.root).field("warden", &self.warden).finish_non_exhaustive()
    }
}

impl EngineConfig {
    /// The system's clock, UUIDv7 ids, the system's randomness, this program as warden.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            disk: Arc::new(RealDisk),
            warden: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("holdpoint")),
            now: Arc::new(|| Utc::now().trunc_subsecs(6)),
            new_id: Arc::new(Uuid::now_v7),
            entropy: Arc::new(|| {
                use std::hash::{BuildHasher, Hasher};
                std::collections::hash_map::RandomState::new().build_hasher().finish()
            }),
            environment: Arc::new(|key| std::env::var(key).ok()),
            address: None,
        }
    }
}

/// A request with a fresh id (UUIDv7) and nothing optional. The pure core makes no ids: whoever asks brings one along.
pub fn request(command: Command, user: impl Into<String>) -> Request {
    Request::new(Uuid::now_v7(), command, user)
}

/// A runtime for an engine and for what stands around it.
///
/// It has one thread for two processors: the engine and its attempts compute little, and on a small machine a second thread would mostly be
/// woken to find nothing to do, beside processes that have work.
///
/// # Errors
/// The system gives no thread.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads(processors.div_ceil(2)).enable_all().build()
}

/// Where an attempt's output lies in the folder of all runs.
pub fn output_path(root: &Path, run_id: Uuid, step: &str, attempt: u32) -> PathBuf {
    output_dir(root, run_id).join(format!("{step}.{attempt}.log"))
}

/// Where the output of a run's attempts lies in the folder of all runs.
fn output_dir(root: &Path, run_id: Uuid) -> PathBuf {
    root.join(run_id.to_string()).join(crate::journal::OUTPUT)
}
