//! The terminal user interface: what the operator sees and presses.
//!
//! Everything on the screen is a function of [`app::App`], and everything that happens comes in as an [`app::Event`]:
//!
//! ```text
//! key ──> Action ──> update(&mut App) ──> Effect ──> runtime ──> EngineHandle ──> events
//! terminal <── draw(&App) <────────────────────────────────────────────┘
//! ```
//!
//! - [`actions`]: the one table of what can be asked for; keymap, footer, help and [`palette`] are made from it.
//! - [`app`]: the state and its update: no I/O, no clock. `run_model` is the open run, `runs_model` the list of runs and plans, `popups` what
//!   lies over them, `availability` what is possible now.
//! - [`foretold`], [`moving`], [`form`]: what a command would do, before it is sent; moving steps; changing and adding them.
//! - [`marks`], [`bulk`]: runs and steps that are marked, and one action on all of them.
//! - [`strip`]: the other runs that are active, while one is looked at.
//! - [`away`]: what has happened while nobody looked. [`message`]: the line that says what has just happened.
//! - [`forms`]: the keys that all forms share, and their fields. `textbox` is a text of several lines.
//! - [`graph`], [`listing`], [`rows`]: the plan as a drawn graph; which steps are seen; the steps as a tree and by stage.
//! - [`history`], [`timeline`]: what was, as lists and against time. [`estimate`]: how much longer it takes.
//! - `across`, `saving`: a search that goes on in other steps; writing an output to a file.
//! - [`left_behind`]: the attempts that the state has forgotten since the run went back.
//! - [`values`]: the form for the values of a plan's variables. [`answering`]: the form for what a step asks; [`markdown`]: its instructions.
//! - [`views`]: the drawing of each place. Never locks, waits or reads a file.
//! - [`runtime`]: the event loop; carries the effects out.
//! - [`text`], [`theme`], [`output`]: what makes foreign text harmless, colours and glyphs, the viewer of an attempt's output.

mod across;
pub mod actions;
pub mod answering;
pub mod app;
mod attaching;
mod availability;
pub mod away;
pub mod bulk;
pub mod clipboard;
mod commanding;
pub mod document;
mod editor;
pub mod estimate;
mod event;
mod export;
mod feed;
pub mod fields;
mod filter;
mod folders;
pub mod foretold;
pub mod form;
pub mod forms;
pub mod glimpse;
mod going;
pub mod graph;
pub mod history;
mod input;
pub mod keymap;
pub mod keys;
mod leaving;
pub mod left_behind;
pub mod listing;
pub mod log;
mod looking_back;
pub mod markdown;
pub mod marks;
pub mod message;
mod metrics;
mod mouse;
pub mod moving;
pub mod notify;
pub mod output;
pub mod palette;
mod passing;
pub mod plans;
mod popup_keys;
pub mod popups;
mod questions;
pub mod rows;
pub mod run_model;
pub mod runs_model;
pub mod runtime;
mod saving;
pub mod statuses;
mod stray;
pub mod strip;
pub mod summary;
pub mod terminal;
pub mod text;
mod textbox;
pub mod theme;
pub mod timeline;
pub mod tour;
mod update;
pub mod values;
pub mod views;
pub mod why;
pub mod words;

pub use runtime::{ConsoleError, ConsoleOptions, Initial, Left, MakeRun, Unmade, run};
pub use summary::ExitSummary;

/// Whether the colours of output are kept: not where the operator wants none.
fn output_colors(theme: &theme::Theme) -> text::Colors {
    if theme.depth() == theme::Depth::None { text::Colors::Strip } else { text::Colors::Keep }
}

#[cfg(test)]
mod tests;
