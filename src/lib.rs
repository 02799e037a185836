//! Holdpoint: a terminal operator console that runs plans, shows them live, and lets an operator stop, steer and trust them.
//!
//! The layout is the architecture; imports point one way:
//! `plan ← run ← {journal, agents} ← engine ← {console, cli}`.
//!
//! - [`plan`]: what should happen. Pure.
//! - [`run`]: what has happened; the only place that changes a run's state. Pure.
//! - [`journal`]: events on disk.
//! - [`agents`]: things that do work.
//! - [`engine`]: the shell around the core: one task that owns the runs.
//! - [`console`]: the terminal user interface.
//! - [`cli`]: subcommands and the headless run.

pub mod agents;
pub mod cli;
pub mod console;
pub mod engine;
pub mod journal;
pub mod plan;
pub mod run;
