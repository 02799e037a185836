//! An engine of another process: one protocol for commands from another terminal and for attached consoles.
//!
//! The engine's process listens on a Unix socket that only its user may open; its path stands in the lock of each run that the engine owns, so
//! whoever finds the run's folder finds the engine. What is spoken is in [`protocol`]: commands, acknowledgements, state and events, nothing of a
//! screen. [`Server`] speaks for an engine, [`Remote`] is the other end, behind the same [`EngineHandle`](super::EngineHandle).
//!
//! A slow client never slows the engine: between them stand the same bounded channels as for any subscriber, and one that reads nothing for
//! long is left.

mod address;
mod client;
pub mod protocol;
mod server;

pub use client::Remote;
pub use server::{Listener, Server};
