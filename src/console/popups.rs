//! What lies over a place and gets the keys first: questions, help, texts.
//!
//! A popup takes no key before it has been drawn: what was typed before it was on the screen was not meant for it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::answering::AnswerForm;
use super::away::Recap;
use super::bulk::{self, Marked};
use super::foretold::Foretold;
use super::form::Form;
use super::input::Input;
use super::palette::Palette;
use super::saving::SaveForm;
use super::values::ValuesForm;
use super::words;
use crate::run::{Command, StepStatus};

/// A popup and whether it has been on the screen.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it is.
    pub popup: Popup,
    /// Whether it has been drawn.
    pub drawn: bool,
}

/// The kinds of popup.
#[derive(Debug, Clone)]
pub enum Popup {
    /// Every key, and what is not possible now.
    Help {
        /// First line that is seen.
        offset: usize,
    },
    /// Every action, by its name.
    Palette(Box<Palette>),
    /// A text to read: why a step does not run, what is wrong with a plan.
    Text {
        /// Its heading.
        title: String,
        /// Its lines, neutralised.
        lines: Vec<String>,
        /// First line that is seen.
        offset: usize,
    },
    /// A question before a command is sent.
    Ask(Box<Ask>),
    /// A step that is changed or added.
    Form(Box<Form>),
    /// The values of a plan's variables, before it is opened.
    Values(Box<ValuesForm>),
    /// The answer to what a step asks.
    Answer(Box<AnswerForm>),
    /// What has happened while nobody looked.
    Recap(Box<Recap>),
    /// The file to which an output is written.
    Save(Box<SaveForm>),
    /// How to leave while runs are active.
    Quit(Leaving),
}

/// How careful a question is. What is asked is told by this alone: nothing that loses work or stops it is done by Enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// `y` does it, and so does Enter.
    Plain,
    /// It loses work or stops it: `y` does it, and Enter does nothing.
    Careful,
}

/// What in a question has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The reason.
    Reason,
    /// The result of a step that was done by hand.
    Result,
    /// The answers: each has its own key.
    Answers,
}

/// What is done when a question is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// A command is sent.
    Send(Command),
    /// A new run is made that begins at a checkpoint.
    Fork {
        /// Its place.
        checkpoint: u64,
    },
    /// A command is sent to each of those that are marked.
    Many(Box<Marked>),
}

/// A result that can be given with the answer.
#[derive(Debug, Clone)]
pub struct ResultField {
    /// What is typed: JSON, or plain text.
    pub input: Input,
    /// What is wrong with it; the cursor is there.
    pub mistake: Option<String>,
}

impl Default for ResultField {
    fn default() -> Self {
        Self { input: Input::of("").with_lines(true), mistake: None }
    }
}

impl ResultField {
    /// The result; `None` when nothing was typed. What begins as JSON does must be JSON; of the rest, what is none is a text.
    ///
    /// # Errors
    /// The place of the mistake, in characters from 0, and what it is.
    pub fn value(&self) -> Result<Option<Value>, (usize, String)> {
        let typed = self.input.text();
        let trimmed = typed.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        match serde_json::from_str(&typed) {
            Ok(value) => Ok(Some(value)),
            Err(error) if trimmed.starts_with(['{', '[', '"']) => {
                let said = error.to_string();
                let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said).to_owned();
                // Columns are counted in bytes, from 1; an end that is missing is missed behind the last character.
                let line =
                    typed.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
                let bytes = if error.is_eof() { typed.len() } else { line + error.column().saturating_sub(1) };
                Err((typed.char_indices().take_while(|(at, _)| *at < bytes).count(), said))
            }
            Err(_) => Ok(Some(Value::String(trimmed.to_owned()))),
        }
    }
}

/// A question before a command is sent.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is asked, with its target.
    pub title: String,
    /// What it does, line by line.
    pub effect: Vec<String>,
    /// The words of the answer that does it.
    pub yes: String,
    /// The words of the other.
    pub no: String,
    /// How careful, by what is asked; see [`Ask::care`].
    pub care: Care,
    /// What has the keys.
    pub focus: Focus,
    /// The reason, where one can be given.
    pub reason: Option<Input>,
    /// Which run.
    pub run: Uuid,
    /// What is done.
    pub deed: Deed,
    /// The result, where one can be given.
    pub result: Option<ResultField>,
    /// A run that can be opened instead, and the words for it.
    pub instead: Option<(Uuid, String)>,
    /// What the engine says it would do.
    pub foretold: Foretold,
    /// The target's status as it was drawn when the key was pressed.
    pub seen: Option<StepStatus>,
    /// The question is whether to kill, of a run that is being cancelled.
    pub kills: bool,
    /// When `y` was pressed, which is the answer if nothing is typed on.
    pub agreed: Option<DateTime<Utc>>,
}

impl Ask {
    /// How careful it is: also when only the engine says that it would lose work or stop it.
    pub fn care(&self) -> Care {
        if self.foretold.loses { Care::Careful } else { self.care }
    }

    /// Whether nothing but a no was typed.
    pub fn says_no(&self) -> bool {
        let typed = self.reason.as_ref().filter(|_| self.focus == Focus::Reason).map(Input::text);
        typed.is_some_and(|typed| ["n", "no"].contains(&&*typed.trim().to_lowercase()))
    }

    /// Whether what has the keys is a field, in which every letter is text.
    pub fn is_in_field(&self) -> bool {
        self.focus != Focus::Answers
    }

    /// Moves the keys to the next (or previous) thing in the question.
    pub fn turn(&mut self, back: bool) {
        let mut ring = Vec::with_capacity(3);
        ring.extend(self.reason.is_some().then_some(Focus::Reason));
        ring.extend(self.result.is_some().then_some(Focus::Result));
        ring.push(Focus::Answers);
        let place = ring.iter().position(|focus| *focus == self.focus).unwrap_or(0);
        let step = if back { ring.len() - 1 } else { 1 };
        self.focus = ring[(place + step) % ring.len()];
    }

    /// What is typed, or pasted, here begins a reason, if one can be given: behind a `y` that was no answer, as it turns out.
    pub fn begin_reason(&mut self) -> Option<&mut Input> {
        let reason = self.reason.as_mut()?;
        if self.agreed.take().is_some() {
            reason.insert("y");
        }
        self.focus = Focus::Reason;
        Some(reason)
    }

    /// Takes what was typed as the result into the command; `false` when it cannot be one: the keys are then where the mistake is.
    pub fn take_result(&mut self) -> bool {
        let Some(field) = &mut self.result else { return true };
        match field.value() {
            Ok(given) => {
                if let Deed::Send(Command::Complete { result, .. }) = &mut self.deed {
                    *result = given;
                }
                true
            }
            Err((place, said)) => {
                field.input.go_to(place);
                field.mistake = Some(said);
                self.focus = Focus::Result;
                false
            }
        }
    }

    /// The field that has the keys.
    pub fn field(&mut self) -> Option<&mut Input> {
        match self.focus {
            Focus::Result => {
                let field = self.result.as_mut()?;
                field.mistake = None;
                Some(&mut field.input)
            }
            Focus::Reason => self.reason.as_mut(),
            Focus::Answers => None,
        }
    }

    /// The command that it sends, if it is one.
    pub fn command(&self) -> Option<&Command> {
        match &self.deed {
            Deed::Send(command) => Some(command),
            Deed::Fork { .. } | Deed::Many(_) => None,
        }
    }

    /// The command of which the engine says what it would do, and the status its step had when it was asked about; a fork is none, and of many
    /// commands nothing is said.
    pub fn foreseen(&self) -> Option<(&Command, Option<StepStatus>)> {
        match &self.deed {
            Deed::Send(command) => Some((command, self.seen)),
            Deed::Many(marked) => marked.foreseen().map(|only| (&only.command, only.seen())),
            Deed::Fork { .. } => None,
        }
    }

    /// Takes over what it would say if it was asked now; what was typed stays. Whether it has become another question than the one that was
    /// drawn, which was about so many: it is about less, or more careful.
    pub fn renew(&mut self, fresh: Ask, about: usize) -> bool {
        let was = self.care();
        self.title = fresh.title;
        self.effect = fresh.effect;
        self.yes = fresh.yes;
        self.no = fresh.no;
        self.care = fresh.care;
        self.deed = fresh.deed;
        self.instead = fresh.instead;
        self.run = fresh.run;
        let less = self.about() < about;
        self.foretold.renew(fresh.foretold, less);
        less || (self.care() == Care::Careful && was == Care::Plain)
    }

    /// How many it is about.
    pub fn about(&self) -> usize {
        if let Deed::Many(marked) = &self.deed { marked.orders.len() } else { 1 }
    }

    /// What is asked, before what becomes of it.
    pub fn asked(&self) -> String {
        match &self.deed {
            Deed::Send(command) => words::asked(command),
            Deed::Fork { .. } => "fork".into(),
            Deed::Many(marked) => bulk::asked(&marked.orders),
        }
    }
}

/// How far leaving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The question is open.
    Asking,
    /// Every run was paused; what runs may finish.
    Draining,
    /// It is asked once more whether to stop every attempt.
    ToStop,
    /// Every attempt was asked to stop; their runs stay paused.
    Stopping,
    /// It is asked once more whether to cancel every run.
    ToCancel,
    /// Every run is being cancelled.
    Cancelling,
    /// It is asked once more whether to kill what still runs of them.
    ToKill,
    /// The runs go on, and the console ends.
    GoingOn,
}
