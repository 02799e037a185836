//! What the engine says a command would do, shown in the question before it is sent.
//!
//! The answer comes when it comes: drawing and keys never wait for it. While the question is open and the run goes on, it is asked again.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::request;
use crate::run::{Command, ForkPreview, Preview, Rejection};

use super::app::{App, Effect};
use super::popups::{Ask, Deed, Popup};
use super::text;

/// Not asked more often than this: a preview costs as much as the plan is long.
const PAUSE: TimeDelta = TimeDelta::milliseconds(500);

/// A preview, or the wait for it.
#[derive(Debug, Clone, Default)]
pub struct Foretold {
    /// What is known.
    pub told: Told,
    /// What is said before it, whatever the engine says.
    pub notes: Vec<Line>,
    /// Whether work would be lost by it, done twice or stopped.
    pub loses: bool,
    /// First line that is seen.
    pub offset: usize,
    /// The request that was asked about, while its answer is under way.
    asked: Option<Uuid>,
    /// When it was asked.
    asked_at: DateTime<Utc>,
    /// The state it was asked of.
    seq: u64,
}

/// What is known of the effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    #[default]
    Asking,
    /// What it would do.
    Does(Vec<Line>),
    /// It would be refused.
    Refused(String),
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says, neutralised.
    pub text: String,
    /// Whether it is about work that is lost or done twice.
    pub loud: bool,
}

impl Foretold {
    /// What is known without the engine, and whether that is asked as well.
    pub fn beside(notes: Vec<Line>, asks: bool) -> Self {
        let told = if asks { Told::Asking } else { Told::Does(Vec::new()) };
        Self { told, notes, ..Self::default() }
    }

    /// What is known of the question now; `other`: it is another command.
    pub fn renew(&mut self, fresh: Foretold, other: bool) {
        let offset = self.offset;
        match other {
            true => *self = Foretold { offset, ..fresh },
            false => self.notes = fresh.notes,
        }
    }
}

impl Told {
    fn new(result: Result<Foresight, Rejection>) -> Self {
        // What is loud comes first in words.
        let (loud, lines) = match result {
            Ok(Foresight::Command(preview)) => {
                let loud = usize::from(!preview.stops.is_empty())
                    + usize::from(!preview.runs_again.is_empty())
                    + usize::from(!preview.undone_since.is_empty())
                    + preview.lost_inputs.len();
                (loud, preview.in_words())
            }
            Ok(Foresight::Fork(preview)) => (usize::from(!preview.runs_again.is_empty()), preview.in_words()),
            Err(rejection) => return Told::Refused(clean(&rejection.to_string())),
        };
        let lines = lines.into_iter().enumerate();
        Told::Does(lines.map(|(place, line)| Line { text: clean(&line), loud: place < loud }).collect())
    }
}

/// What the engine says of something that is asked about.
#[derive(Debug, Clone)]
pub enum Foresight {
    /// What a command would do.
    Command(Box<Preview>),
    /// What a fork would be.
    Fork(ForkPreview),
}

impl Foresight {
    /// Whether an attempt would be stopped, or what was completed be lost or done again. A fork does nothing to its run.
    fn loses(&self) -> bool {
        match self {
            Foresight::Command(it) => !it.stops.is_empty() || !it.runs_again.is_empty() || !it.undone_since.is_empty(),
            Foresight::Fork(_) => false,
        }
    }
}

fn clean(line: &str) -> String {
    text::clean(line).into_owned()
}

impl App {
    /// Opens a question, and asks the engine what the command would do.
    pub(super) fn ask(&mut self, ask: Ask) -> Vec<Effect> {
        self.push(Popup::Ask(Box::new(ask)));
        self.foresee().into_iter().collect()
    }

    /// Whether the open question tells of a state that is no longer the run's.
    pub(super) fn foretold_is_old(&self) -> bool {
        match (self.layers.last().map(|layer| &layer.popup), &self.run) {
            // Of many commands the engine says nothing.
            (Some(Popup::Ask(ask)), _) if matches!(ask.deed, Deed::Many(_)) && ask.foreseen().is_none() => false,
            (Some(Popup::Ask(ask)), Some(run)) => ask.foretold.seq != run.state.seq && ask.foretold.asked.is_none(),
            _ => false,
        }
    }

    /// Asks again when the run has gone on since.
    pub(super) fn foresee_again(&mut self) -> Option<Effect> {
        let Some(Popup::Ask(ask)) = self.layers.last().map(|layer| &layer.popup) else { return None };
        let due = self.foretold_is_old() && self.now - ask.foretold.asked_at >= PAUSE;
        if due { self.foresee() } else { None }
    }

    fn foresee(&mut self) -> Option<Effect> {
        let seq = self.run.as_ref().map_or(0, |run| run.state.seq);
        let (now, user) = (self.now, self.settings.user.clone());
        let Some(Popup::Ask(ask)) = self.layers.last_mut().map(|layer| &mut layer.popup) else { return None };
        ask.foretold.asked_at = now;
        ask.foretold.seq = seq;
        let (id, effect) = match (&ask.deed, ask.foreseen()) {
            (_, Some((command, seen))) => {
                let mut request = request(command.clone(), user);
                request.seen = seen;
                request.no_kill = *command == Command::Cancel && !ask.kills;
                (request.id, Effect::Preview { run: ask.run, request: Box::new(request) })
            }
            (Deed::Fork { checkpoint }, None) => {
                let id = Uuid::now_v7();
                (id, Effect::PreviewFork { run: ask.run, checkpoint: *checkpoint, request: id })
            }
            _ => return None,
        };
        ask.foretold.asked = Some(id);
        Some(effect)
    }

    /// The answer to [`Effect::Preview`] or [`Effect::PreviewFork`]; one to a question that is gone is ignored.
    pub(super) fn foretell(&mut self, request: Uuid, result: Result<Foresight, Rejection>) {
        for layer in &mut self.layers {
            if let Popup::Ask(ask) = &mut layer.popup
                && ask.foretold.asked == Some(request)
            {
                ask.foretold.asked = None;
                ask.foretold.loses = result.as_ref().is_ok_and(Foresight::loses);
                ask.foretold.told = Told::new(result);
                return;
            }
        }
    }
}
