//! What lies over a place and gets the keys first: questions, help, texts.
//!
//! A popup takes no key before it has been drawn: what was typed before it was on the screen was not meant for it.

use uuid::Uuid;

use super::foretold::Foretold;
use super::form::Form;
use super::input::Input;
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
    /// How to leave while runs are active.
    Quit(Leaving),
}

/// How careful a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Enter does it; the reason has the cursor.
    Plain,
    /// Hard to undo: only `y` does it, or going to the answer on purpose.
    Careful,
}

/// What in a question has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The reason.
    Reason,
    /// The answer that does it.
    Yes,
    /// The answer that leaves everything as it is.
    No,
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
    /// How careful.
    pub care: Care,
    /// What has the keys.
    pub focus: Focus,
    /// The reason, where one can be given.
    pub reason: Option<Input>,
    /// Which run.
    pub run: Uuid,
    /// What is sent.
    pub command: Command,
    /// What the engine says it would do.
    pub foretold: Foretold,
    /// The target's status as it was drawn when the key was pressed.
    pub seen: Option<StepStatus>,
}

impl Ask {
    /// Moves the keys to the next (or previous) thing in the question.
    pub fn turn(&mut self, back: bool) {
        let ring: &[Focus] =
            if self.reason.is_some() { &[Focus::Reason, Focus::Yes, Focus::No] } else { &[Focus::Yes, Focus::No] };
        let place = ring.iter().position(|focus| *focus == self.focus).unwrap_or(0);
        let step = if back { ring.len() - 1 } else { 1 };
        self.focus = ring[(place + step) % ring.len()];
    }
}

/// How far leaving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The question is open.
    Asking,
    /// Every run was paused; what runs may finish.
    Draining,
    /// Every attempt was asked to stop; their runs stay paused.
    Stopping,
    /// Every run is being cancelled.
    Cancelling,
}
