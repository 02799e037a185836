//! Events on disk: a run's journal, its full checkpoint files, and the recorder that makes what the engine decides durable.
//!
//! ```text
//! checkpoints/<run_id>/
//!   journal.jsonl          one event a line, chained by hashes; the truth
//!   checkpoint-<seq>.json  the full state at a place in the journal; a cache
//!   output/                what attempts wrote (kept by the agents)
//!   lock                   held by the process that owns the run
//! ```
//!
//! - [`mod@format`]: how a journal's lines look. - [`disk`]: the file system, as narrow as the journal needs it; [`sim`]: one in memory.
//! - [`Ledger`]: one run's journal in its owner's hands. - [`Recorder`]: the thread that records all runs, with group commit.
//! - [`Store`]: the folder of all runs for readers: lists, states at any place, events, verification.
//!
//! It knows `plan` and `run` and nothing else of this program.

mod checkpoint;
mod commit;
pub mod disk;
mod error;
mod first_line;
mod follow;
pub mod format;
mod ledger;
mod recorder;
mod remove;
mod replay;
mod resolve;
pub mod sim;
mod space;
mod stamp;
mod store;
mod sync;
mod verify;
mod writer;

pub use checkpoint::{CHECKPOINT_VERSION, CheckpointHead, IgnoredCheckpoint, checkpoint_document};
pub use commit::{
    BATCHES_BEHIND, Batch, Cause, Committed, Committer, Entry, Failure, Group, Overview, Published, RecorderConfig,
    RunUpdate, StorageTrouble, Subscription, UPDATES_BEHIND,
};
pub use error::{Cut, Damage, JournalError};
pub use follow::{Events, JournalLine};
pub use format::{LineHash, MAX_VALUE_DEPTH};
pub use ledger::{Found, Ledger};
pub use recorder::{Recorder, Report, SubmitError};
pub use replay::Place;
pub use resolve::ResolveError;
pub use space::{Space, size};
pub use stamp::Stamp;
pub use store::{Alike, ListedRun, Loaded, Owner, RunList, Store};
pub use verify::{Problem, Verified};

/// The journal's file name in a run's folder.
pub const JOURNAL: &str = "journal.jsonl";
/// The lock's file name in a run's folder.
pub const LOCK: &str = "lock";
/// The name of the folder in a run's folder with what attempts wrote.
pub const OUTPUT: &str = "output";
/// How many of the newest events are kept at hand for subscribers.
pub const RECENT: usize = 300;
