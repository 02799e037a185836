//! What should happen: the plan format, its checks and its order of work. Pure: no files, no clock, no terminal.
//!
//! A plan's text goes through [`load`] (or [`check`](fn@check), which also says what `run` would refuse). All problems are found at once:
//!
//! 1. `json` and `syntax` make a tree of the text in which everything knows its place, and survive broken JSON;
//! 2. `shape` holds the tree against the `format`, compiled from the same [`schema()`] that is published;
//! 3. `rules` finds what a schema cannot say: ids, dependencies, cycles, contradictions, expressions;
//! 4. only a text without errors is deserialised into the [types](Plan), and the plan's `defaults` are merged into its steps.

mod ability;
mod agents;
mod asking;
mod bindings;
mod diagnostic;
mod edit;
mod evaluate;
mod expression;
mod factors;
mod fields;
mod finding;
mod foreach;
mod format;
mod http;
mod json;
mod load;
mod mcp;
pub mod order;
mod rare;
mod render;
mod rules;
mod salvage;
mod schema;
mod shape;
mod suggest;
mod support;
mod syntax;
mod types;
mod variables;
mod waiting;

pub use ability::{Ability, StopKind};
pub use agents::*;
pub use asking::{FieldSpec, FieldType, Fields, typed};
pub use bindings::AgentsFile;
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Related, Severity, visible};
pub use edit::{
    Edit, EditError, FieldChange, check_step, difference, field_changes, merge_patch, moved, number_in_words, patched,
    step_json,
};
pub use evaluate::{EvaluationError, Scope, evaluate, is_true, render, render_value};
pub use expression::{Names, condition_names, items_names, references, step_names, value_names};
pub use finding::{At, Finding, diagnose};
pub use foreach::{asks_before_expanding, instance_id, instance_of, items};
pub use http::{FRAMING_HEADERS, is_pointer};
pub use load::{Loaded, Terms, check, check_bytes, defaults_for, load, load_bytes, step_from_value};
pub use mcp::PROTOCOL_HEADERS;
pub use rare::{Empty, Rare};
pub use render::{render_text, render_within};
pub use schema::{is_schema, schema};
pub use suggest::suggest;
pub use support::{
    KINDS_WITHOUT_ENTRY, Unbound, Unsupported, has_expression, has_template, not_yet, unbound_agents, unbound_summary,
    unsupported,
};
pub use types::*;
pub use variables::{Bound, MASKED, bind, secrets};

/// The largest plan that is read, in bytes: 64 MiB.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How deep objects and lists may stand in each other. Below the 128 that the JSON library reads, because a plan is also stored inside other
/// objects.
pub const MAX_DEPTH: usize = 100;
/// How many values (names included) a plan may hold.
pub const MAX_VALUES: usize = 30_000_000;

/// Whether a text can be a `plan_id` or a `step_id`: 1 to 128 of `[A-Za-z0-9_-]`.
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && is_id_alphabet(text)
}

fn is_id_alphabet(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests;
