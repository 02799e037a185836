//! The line that says what has happened, and how long it stands there.
//!
//! A message is over with the next key, after a while, and as soon as what it speaks of has changed: what stands there is true now.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::Ack;
use crate::run::{Command, InterventionStatus, RunState, RunStatus, StepStatus};

use super::actions::Action;
use super::app::App;
use super::availability::availability;
use super::bulk::{self, Answered};
use super::{text, words};

/// So long good news is shown.
const GOOD_NEWS: TimeDelta = TimeDelta::seconds(5);
/// So long it is shown that something was refused or went wrong.
const BAD_NEWS: TimeDelta = TimeDelta::seconds(20);

/// A line of news for the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says, neutralised.
    pub text: String,
    /// Whether something was refused or went wrong.
    pub bad: bool,
    /// When it was said.
    pub since: DateTime<Utc>,
    about: About,
    /// What is said behind it.
    note: Option<&'static str>,
}

/// What a message speaks of.
#[derive(Debug, Clone, PartialEq)]
enum About {
    /// Something that has happened, and stays so.
    Past,
    /// A run, or a step of it, as it stands.
    State(Subject),
    /// A command that was carried out: its words follow from the state that it led to.
    Done(Command, Subject),
    /// Commands to many that were answered: how they stand is told once, as soon as the open run has got there.
    All(Vec<Answered>),
    /// Why an action is not possible: said as long as it is not.
    Refused(Action),
}

/// A run or a step, and how it stood when the message was first seen.
#[derive(Debug, Clone, PartialEq)]
struct Subject {
    run: Uuid,
    step: Option<String>,
    /// The state that is meant has at least this number.
    seq: u64,
    stood: Option<Stood>,
}

/// As much of a state as a message speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stood {
    run: RunStatus,
    cancelling: bool,
    step: Option<StepStatus>,
}

impl Stood {
    fn of(state: &RunState, step: Option<&str>) -> Self {
        // What is about to run and what runs is one thing to whoever has asked for it.
        let under_way = |status| match status {
            StepStatus::Pending | StepStatus::Waiting | StepStatus::Running => StepStatus::Pending,
            other => other,
        };
        let step = step.and_then(|step| state.step(step)).map(|(_, step)| under_way(step.status));
        Self { run: state.status, cancelling: state.cancelling, step }
    }
}

impl Subject {
    /// Whether it stands as it did; looked at for the first time when the state has come as far as is meant.
    fn stands(&mut self, state: Option<&RunState>) -> bool {
        let Some(state) = state.filter(|state| state.run_id == self.run && state.seq >= self.seq) else { return true };
        let now = Stood::of(state, self.step.as_deref());
        *self.stood.get_or_insert(now) == now
    }
}

impl Message {
    /// What is said, with what is said behind it.
    pub fn in_full(&self) -> String {
        self.note.map_or_else(|| self.text.clone(), |note| format!("{} · {note}", self.text))
    }
}

impl App {
    /// Says something in the message line.
    pub fn say(&mut self, said: impl AsRef<str>) {
        self.tell(said.as_ref(), false, About::Past);
    }

    /// Says that something was refused or went wrong.
    pub fn complain(&mut self, said: impl AsRef<str>) {
        self.tell(said.as_ref(), true, About::Past);
    }

    /// Says how a run stands, as long as it does.
    pub(super) fn say_of(&mut self, run: Uuid, said: impl AsRef<str>) {
        let subject = Subject { run, step: None, seq: 0, stood: None };
        self.tell(said.as_ref(), false, About::State(subject));
    }

    /// Says why an action is not possible, as long as it is not.
    pub(super) fn refuse(&mut self, action: Action, why: &str) {
        let said = self.refusal(action, why);
        self.tell(&said, true, About::Refused(action));
    }

    /// Says that the engine has refused a command, as long as what it is about stands as it does.
    pub(super) fn refused(&mut self, command: &Command, why: &str) {
        self.complain_of(command.target(), format!("{}: not done, {why}", words::asked(command)));
    }

    /// Says why something cannot be done with a step of the open run, or with the run, as long as that stands as it does.
    pub(super) fn complain_of(&mut self, step: Option<&str>, said: impl AsRef<str>) {
        let step = step.map(str::to_owned);
        let subject = self.run.as_ref().map(|run| Subject { run: run.id(), step, seq: 0, stood: None });
        self.tell(said.as_ref(), true, subject.map_or(About::Past, About::State));
    }

    /// Says what a command has done, or is going to do.
    pub(super) fn done(&mut self, command: &Command, ack: &Ack) {
        let step = command.target().map(str::to_owned);
        let subject = Subject { run: ack.run_id, step, seq: ack.seq, stood: None };
        if ack.status == InterventionStatus::Pending {
            let said = format!("{}: accepted, as soon as the attempt has stopped", words::asked(command));
            self.tell(&said, false, About::State(subject));
        } else {
            let said = self.keys.fill(&words::done(command, None));
            self.tell(&said, false, About::Done(command.clone(), subject));
        }
    }

    /// Says what became of commands to many.
    pub(super) fn say_of_all(&mut self, answers: Vec<Answered>) {
        let (said, bad) = bulk::told(&answers, None, &self.keys);
        self.tell(&said, bad, About::All(answers));
    }

    /// Why an action is not possible, under its name: with its key where that is none of this place, and nobody has asked for the action by name.
    fn refusal(&self, action: Action, why: &str) -> String {
        let (label, key) = (action.entry().label, self.key_of(action));
        match action.entry().scope.covers(self.scope()) || key.is_empty() {
            true => format!("{label}: {why}"),
            false => format!("{label} ({key}): {why}"),
        }
    }

    fn tell(&mut self, said: &str, bad: bool, about: About) {
        self.message = Some(Message { text: one_line(said), bad, since: self.now, about, note: None });
    }

    /// Says something behind the message that stands there, which stays as long as if it had just been said.
    pub(super) fn note_beside_message(&mut self, note: &'static str) {
        match &mut self.message {
            Some(message) => (message.note, message.since) = (Some(note), self.now),
            None => self.complain(note),
        }
    }

    /// When the message is to be looked at again though nothing happens: it is over then.
    pub fn fades(&self) -> Option<DateTime<Utc>> {
        self.message.as_ref().map(|message| message.since + life(message.bad))
    }

    /// Takes a message away that is over, or not true any more, and brings its words up to date. Done once before a frame.
    pub(super) fn refresh_message(&mut self) {
        let Some(mut message) = self.message.take() else { return };
        // A clock that was set back makes no message last.
        let age = self.now - message.since;
        if age >= life(message.bad) || age < TimeDelta::zero() {
            return;
        }
        let state = self.run.as_ref().map(|run| &run.state);
        match &mut message.about {
            About::Past => {}
            About::State(subject) => {
                if !subject.stands(state) {
                    return;
                }
            }
            About::Done(command, subject) => {
                if !subject.stands(state) {
                    return;
                }
                if subject.stood.is_some() {
                    message.text = one_line(&self.keys.fill(&words::done(command, state)));
                }
            }
            About::All(answers) => {
                if let Some(state) = state.filter(|state| bulk::is_there(answers, state)) {
                    message.text = one_line(&bulk::told(answers, Some(state), &self.keys).0);
                    message.about = About::Past;
                }
            }
            About::Refused(action) => match availability(self, *action) {
                Err(why) => message.text = one_line(&self.refusal(*action, &why)),
                Ok(()) => return,
            },
        }
        self.message = Some(message);
    }
}

fn life(bad: bool) -> TimeDelta {
    if bad { BAD_NEWS } else { GOOD_NEWS }
}

/// A text of several lines as one, neutralised.
fn one_line(said: &str) -> String {
    text::clean_lines(said).collect::<Vec<_>>().join("; ")
}
