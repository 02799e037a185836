//! Why is it not running? The answer of [`run::why`], with the keys that help.

use chrono::{DateTime, Utc};

use crate::run::{self, Command, Outside, Reason};

use super::actions::{Action, Entry, Kind, TABLE, Target};
use super::keymap::Keymap;
use super::run_model::{OpenRun, Ownership};
use super::words::{self, Zone};

/// The answer for the step at a position, line by line.
pub fn why(run: &OpenRun, position: usize, keymap: &Keymap, zone: Zone, now: DateTime<Utc>) -> Vec<String> {
    let outside = Outside {
        owned: run.ownership.is_live(),
        storage: run.storage.as_deref().map(|error| (error, None)),
        damage: match &run.ownership {
            Ownership::Damaged(damage) => Some(damage),
            _ => None,
        },
    };
    let selected = run.state.plan.steps[position].step_id.as_str();
    let mut said = Vec::new();
    for reason in run::why(&run.state, position, outside) {
        said.push(words::reason(&reason, zone, now));
        said.extend(keys(&reason, selected, keymap, run.state.options.max_parallel));
    }
    if matches!(run.ownership, Ownership::Elsewhere(_)) {
        said.push("Another process runs this; what you see may be a second old.".into());
    }
    said
}

/// The keys that do what would help.
fn keys(reason: &Reason, selected: &str, keymap: &Keymap, max_parallel: u32) -> Vec<String> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for command in &reason.commands {
        if let Some(entry) = entry_of(command, max_parallel) {
            keys.push((keymap.shown(entry.action), entry.doc));
        }
    }
    if keys.is_empty() && reason.take_over {
        keys.push((keymap.shown(Action::Resume), "take the run over"));
    }
    let place = match reason.commands.first().and_then(Command::target) {
        Some(step) if step != selected => format!(" on {step}"),
        _ => String::new(),
    };
    keys.into_iter().map(|(key, doc)| format!("  {key}{place}  {doc}")).collect()
}

/// The line of the table that makes a command.
fn entry_of(command: &Command, max_parallel: u32) -> Option<&'static Entry> {
    let target = Target { step: command.target(), max_parallel, checkpoint: None, version: None, intervention: None };
    if matches!(command, Command::Answer { .. }) {
        return Some(Action::Answer.entry());
    }
    TABLE.iter().find(|entry| match entry.kind {
        Kind::Command(build) => build(target).as_ref() == Some(command),
        Kind::Local => false,
    })
}
