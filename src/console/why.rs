//! Why is it not running? The answer of [`run::why`], with the keys that help.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::run::{self, Command, Outside, Reason};

use super::actions::{Action, Entry, Kind, TABLE, Target};
use super::app::OutputPath;
use super::keymap::Keymap;
use super::output::quoted;
use super::run_model::{OpenRun, Ownership};
use super::words::{self, Zone};

/// The answer, in which the last words of attempts that failed are to be put: they are in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The answer, line by line.
    pub lines: Vec<String>,
    /// The outputs to quote, in order: before which line.
    pub outputs: Vec<(usize, PathBuf)>,
}

impl Said {
    /// With what is quoted. Reads files: not for a thread that others wait for.
    pub fn quoting(self) -> Vec<String> {
        let mut lines = self.lines;
        for (before, path) in self.outputs.iter().rev() {
            let at = (*before).min(lines.len());
            lines.splice(at..at, quoted(path));
        }
        lines
    }
}

/// The answer for the step at a position.
pub fn why(
    run: &OpenRun,
    position: usize,
    keymap: &Keymap,
    zone: Zone,
    now: DateTime<Utc>,
    output_path: &OutputPath,
) -> Said {
    let outside = Outside {
        owned: run.is_live(),
        storage: run.storage.as_deref().map(|error| (error, None)),
        damage: match &run.ownership {
            Ownership::Damaged(damage) => Some(damage),
            _ => None,
        },
    };
    let selected = run.state.plan.steps[position].step_id.as_str();
    let mut said = Said::default();
    for reason in run::why(&run.state, position, outside) {
        said.lines.push(words::reason(&reason, zone, now));
        if let Some((attempt, step)) = reason.failed_attempt(&run.state).zip(reason.step.as_deref()) {
            let path = output_path(run.state.home_of(attempt), step, attempt.number);
            said.outputs.push((said.lines.len(), path));
        }
        said.lines.extend(keys(&reason, selected, keymap, run.state.options.max_parallel));
    }
    if matches!(run.ownership, Ownership::Elsewhere(_)) {
        said.lines.push("Another process runs this; what you see may be a second old.".into());
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
