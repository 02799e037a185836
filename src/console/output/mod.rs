//! The output viewer.
//!
//! - [`Pane`]: what is shown of one attempt's output, and where; pure state and drawing.
//! - [`Reader`]: a thread that owns the files. It answers [`Request`]s with [`Answer`]s; nothing here waits for it.
//!
//! The console calls, after whatever changed the pane, [`Pane::take_requests`] and hands what it gets to [`Reader::request`]; answers go to
//! [`Pane::apply`].

mod draw;
mod file;
mod pane;
mod reader;
mod search;

pub use pane::Pane;
pub use reader::{Answer, OpenStamps, Place, Reader, Request, Row, Source, Stamps, Stream};
