//! The output viewer.
//!
//! - [`Pane`]: what is shown of one attempt's output, and where; pure state and drawing.
//! - [`Reader`]: a thread that owns the files. It answers [`Request`]s with [`Answer`]s; nothing here waits for it.
//! - [`Query`], [`Pattern`]: what is looked for. `sift` finds the rows that may have it, `search` counts them and finds the next,
//!   [`Elsewhere`] looks through other outputs. [`Save`] writes one to a file.
//!
//! The console calls, after whatever changed the pane, [`Pane::take_requests`] and hands what it gets to [`Reader::request`]; answers go to
//! [`Pane::apply`].

mod draw;
mod elsewhere;
mod file;
mod pane;
mod query;
mod reader;
mod rows;
mod save;
mod search;
mod sift;
mod tail;

pub use elsewhere::{Elsewhere, Told};
pub use pane::Pane;
pub use query::{Pattern, Query, Wrong};
pub use reader::{Answer, OpenStamps, Place, Reader, Request, Row, Source, Stamps, Stream, Untold, Wanted};
pub use rows::MAX_TEXT;
pub use save::{NotSaved, Save, Saved};
pub use search::{Hit, Spot};
pub use tail::{QUOTED_LINES, TAIL_LINES, quoted, tail};
