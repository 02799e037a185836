//! Why is it not running? The answer of [`run::why`], with the keys that help.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::run::{self, Command, Outside, Reason};

use super::actions::{Action, Entry, Kind, TABLE, Target};
use super::app::{App, Effect, OutputPath};
use super::keymap::Keymap;
use super::keys::Key;
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
    /// What it offers.
    offers: Vec<Offer>,
}

/// A key that would help, and the step that it is about, if it is about one.
pub type Offer = (Action, Option<String>);

/// The answer, in which the last words of attempts that failed are to be put: they are in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The answer, line by line.
    pub lines: Vec<String>,
    /// The outputs to quote, in order: before which line.
    pub outputs: Vec<(usize, PathBuf)>,
    /// Whether it says how long something lasts.
    pub counts: bool,
    /// The keys that it names: they work while it is read.
    pub offers: Vec<Offer>,
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
        let offers = offers(&reason, run.state.options.max_parallel);
        said.lines.extend(offers.iter().map(|(action, step)| {
            let place = step.as_deref().filter(|step| *step != selected).map(|step| format!(" on {step}"));
            let doc =
                if *action == Action::Resume && reason.take_over { "take the run over" } else { action.entry().doc };
            format!("  {}{}  {doc}", keymap.shown(*action), place.unwrap_or_default())
        }));
        said.offers.extend(offers);
    }
    if matches!(run.ownership, Ownership::Elsewhere(_)) {
        said.lines.push("Another process runs this; what you see may be a second old.".into());
    }
    said
}

/// What would help.
fn offers(reason: &Reason, max_parallel: u32) -> Vec<Offer> {
    let step = |command: &Command| command.target().map(str::to_owned);
    let made = |command: &Command| Some((entry_of(command, max_parallel)?.action, step(command)));
    let mut offers: Vec<Offer> = reason.commands.iter().filter_map(made).collect();
    if offers.is_empty() && reason.take_over {
        offers.push((Action::Resume, None));
    }
    offers
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
        let offers = std::mem::take(&mut said.offers);
        Some((Explained { run: run.id(), step, title, seq, at, counts: said.counts, quotes, offers }, said))
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

    /// Whether the answer that is read names keys.
    pub fn offers_keys(&self) -> bool {
        self.read_answer().is_some_and(|explained| !explained.offers.is_empty())
    }

    /// Takes a key that the answer which is read names: it is put away, and the key does to the step that it is named for what it does among the steps. Gives
    /// back nothing where it names no such key.
    pub(super) fn take_offer(&mut self, key: Key) -> Option<Vec<Effect>> {
        let explained =
            self.read_answer().filter(|explained| self.run.as_ref().is_some_and(|run| run.id() == explained.run))?;
        let pressed: Vec<Action> = self.keys.actions(key).map(|entry| entry.action).collect();
        let mut offers: Vec<Offer> =
            explained.offers.iter().filter(|(action, _)| pressed.contains(action)).cloned().collect();
        offers.dedup();
        let (action, step) = offers.first()?.clone();
        self.layers.pop();
        if offers.len() > 1 {
            let steps: Vec<&str> = offers.iter().filter_map(|(_, step)| step.as_deref()).collect();
            self.complain(format!("{}: {} could be meant; select the one", action.entry().label, steps.join(" and ")));
            return Some(Vec::new());
        }
        if let Some((run, step)) = self.run.as_mut().zip(step) {
            let Some(position) = run.state.position(&step) else {
                self.complain(format!("{}: {step} is not there any more", action.entry().label));
                return Some(Vec::new());
            };
            run.show_step(position);
        }
        self.mean_selected();
        Some(self.take(action))
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
