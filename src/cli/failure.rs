//! What a command came to: exit codes, and errors that say what, where, and what would have been right.

use std::process::ExitCode;

use crate::journal::{JournalError, ResolveError};
use crate::run::{Rejection, RejectionCode, RunStatus};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Completed, or fine.
    Fine = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or an invalid plan.
    Usage = 2,
    /// Cancelled.
    Cancelled = 3,
    /// Paused and waiting for a person.
    Paused = 4,
    /// No process has the run open, or it cannot be spoken to.
    NotLive = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// The one with this code.
    pub fn of_code(code: u8) -> Option<Self> {
        [Exit::Fine, Exit::Failed, Exit::Usage, Exit::Cancelled, Exit::Paused, Exit::NotLive]
            .into_iter()
            .find(|exit| *exit as u8 == code)
    }

    /// How a run that stopped in this state ends the program.
    pub fn of(status: RunStatus) -> Self {
        match status {
            RunStatus::Completed => Exit::Fine,
            RunStatus::Failed => Exit::Failed,
            RunStatus::Cancelled => Exit::Cancelled,
            RunStatus::Idle | RunStatus::Running | RunStatus::Paused => Exit::Paused,
        }
    }
}

/// A command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something is wrong; said to the user.
    #[error("{message}")]
    Said {
        /// What, where, and what would have been right.
        message: String,
        /// How the program ends.
        exit: Exit,
    },
    /// Everything has been said already.
    #[error("")]
    Silent(Exit),
    /// Nobody reads our output any more (`| head`): there is nothing left to do and nothing wrong.
    #[error("nobody reads the output")]
    ClosedPipe,
}

impl Failure {
    /// Something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Failure::Said { message: message.into(), exit: Exit::Failed }
    }

    /// Something was asked that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Said { message: message.into(), exit: Exit::Usage }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Failure::failed(error.to_string())
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Failure::usage(error.to_string())
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        match rejection.code {
            RejectionCode::NotFound | RejectionCode::Invalid => Failure::usage(rejection.to_string()),
            _ => Failure::failed(rejection.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::failed(format!("cannot write the output: {error}")),
        }
    }
}
