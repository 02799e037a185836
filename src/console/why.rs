//! Why is it not running? The answer of [`run::why`], with the keys that help.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::run::{self, Command, Outside, Reason};

use super::actions::{Action, Entry, Kind, TABLE, Target};
use super::app::{App, Effect, OutputPath};
use super::keymap::Keymap;
use super::output::quoted;
use super::popups::Popup;
use super::run_model::{OpenRun, Ownership};
use super::text;
use super::words::{self, Zone};

/// An answer that is open is not made anew more often than this: it costs as much as a preview of each command that it names.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Of what the answer is that is open.
#[derive(Debug, Clone)]
pub struct Explained {
    run: Uuid,
    step: String,
    /// The heading of its popup.
    title: String,
    /// Up to which event it knows the run.
    seq: u64,
    /// When it was given.
    at: DateTime<Utc>,
    /// Whether it says how long something lasts.
    counts: bool,
    /// Whether what outputs say is waited for.
    quotes: bool,
}

/// The answer, in which the last words of attempts that failed are to be put: they are in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The answer, line by line.
    pub lines: Vec<String>,
    /// The outputs to quote, in order: before which line.
    pub outputs: Vec<(usize, PathBuf)>,
    /// Whether it says how long something lasts.
    pub counts: bool,
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
        said.counts |= reason.since.is_some() || reason.until.is_some();
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

impl App {
    /// Opens the answer for the selected step.
    pub(super) fn explain(&mut self) -> Vec<Effect> {
        let Some(position) = self.run.as_ref().and_then(|run| run.position()) else { return Vec::new() };
        let Some((explained, said)) = self.explanation(position) else { return Vec::new() };
        self.push(Popup::Text { title: explained.title.clone(), lines: said.lines.clone(), offset: 0 });
        self.explained = Some(explained);
        self.quote(said).into_iter().collect()
    }

    fn explanation(&self, position: usize) -> Option<(Explained, Said)> {
        let run = self.run.as_ref()?;
        let step = run.state.plan.steps[position].step_id.clone();
        let mut said = why(run, position, &self.keys, self.settings.zone, self.now, &self.settings.output_path);
        said.lines.iter_mut().for_each(|line| *line = text::clean(line).into_owned());
        let state = &run.state.steps[position];
        let title = match (state.question(), state.status.is_live()) {
            (Some(_), _) => format!("What does {step} wait for?"),
            (None, true) => format!("What is {step} doing?"),
            (None, false) => format!("Why is {step} not running?"),
        };
        let (seq, at, quotes) = (run.state.seq, self.now, !said.outputs.is_empty());
        Some((Explained { run: run.id(), step, title, seq, at, counts: said.counts, quotes }, said))
    }

    /// What is to be read for the answer.
    fn quote(&self, said: Said) -> Option<Effect> {
        let explained = self.explained.as_ref().filter(|explained| explained.quotes)?;
        Some(Effect::Quote { title: explained.title.clone(), said })
    }

    /// The answer that is read, if one is.
    fn read_answer(&self) -> Option<&Explained> {
        let explained = self.explained.as_ref()?;
        match &self.layers.last()?.popup {
            Popup::Text { title, .. } if *title == explained.title => Some(explained),
            _ => None,
        }
    }

    /// Whether the answer that is read is one of a state that is no longer the run's.
    pub(super) fn answer_is_old(&self) -> bool {
        let gone_on =
            |explained: &Explained, run: &OpenRun| run.id() == explained.run && run.state.seq != explained.seq;
        self.read_answer().zip(self.run.as_ref()).is_some_and(|(explained, run)| gone_on(explained, run))
    }

    /// Gives the answer that is read anew, when the run or the time has gone on.
    pub(super) fn explain_again(&mut self) -> Option<Effect> {
        let explained = self.read_answer().filter(|explained| self.now - explained.at >= PAUSE)?;
        let run = self.run.as_ref().filter(|run| run.id() == explained.run)?;
        if !explained.counts && run.state.seq == explained.seq {
            return None;
        }
        // A step that was removed has nothing more to be said of it.
        let position = run.state.position(&explained.step)?;
        let (fresh, said) = self.explanation(position)?;
        if let Some(Popup::Text { title, lines, .. }) = self.layers.last_mut().map(|layer| &mut layer.popup) {
            title.clone_from(&fresh.title);
            // With what it quotes it is there in a moment, and until then as it was.
            if !fresh.quotes {
                lines.clone_from(&said.lines);
            }
        }
        self.explained = Some(fresh);
        self.quote(said)
    }

    /// What was quoted of outputs is there: it is put into the answer, if that is still read and still has some.
    pub(super) fn take_quoted(&mut self, title: &str, quoting: Vec<String>) {
        if self.explained.as_ref().is_none_or(|explained| !explained.quotes) {
            return;
        }
        for layer in &mut self.layers {
            if let Popup::Text { title: open, lines, .. } = &mut layer.popup
                && open == title
            {
                lines.clone_from(&quoting);
            }
        }
    }
}
