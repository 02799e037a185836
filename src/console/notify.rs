//! How an operator who does not look is told that something waits or has failed.

use std::process::Stdio;

use chrono::TimeDelta;

/// The ways that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// The bell.
    pub bell: bool,
    /// A notification of the desktop, asked for with the terminal's own sequence (OSC 9).
    pub osc9: bool,
    /// The window's title shows the state.
    pub title: bool,
    /// A program and its arguments, to which what is to be said is added as the last one.
    pub command: Option<Vec<String>>,
    /// After so long without a key, the next one shows what has happened; zero: never.
    pub away: TimeDelta,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { bell: true, osc9: true, title: true, command: None, away: TimeDelta::minutes(5) }
    }
}

impl Notifications {
    /// Starts the command, if there is one. Nobody waits for it, and what it prints goes nowhere.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_command(&self, said: &str) -> std::io::Result<()> {
        let Some((program, arguments)) = self.command.as_deref().and_then(<[String]>::split_first) else {
            return Ok(());
        };
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .arg(said)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // Whatever it ends with, somebody has to take note of it, or it stays in the table of processes.
        tokio::spawn(async move { drop(child.wait().await) });
        Ok(())
    }
}
