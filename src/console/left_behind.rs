//! Attempts of the selected step that lie on a line of the run which going back has left: the state has forgotten them, the journal and their output
//! are still there.

use std::sync::Arc;

use uuid::Uuid;

use crate::engine::EngineHandle;
use crate::run::Attempt;

use super::run_model::{OpenRun, Pane, Tab};

/// An attempt that was left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftAttempt {
    /// As it was then.
    pub attempt: Arc<Attempt>,
    /// The checkpoint that the run went back to.
    pub to: u64,
}

/// Attempts of a step that the run's state does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Of which run.
    pub run: Uuid,
    /// The step's id.
    pub step: String,
    /// Their numbers.
    pub numbers: Vec<u32>,
}

/// What is known of them.
#[derive(Debug, Clone, Default)]
pub struct LeftBehind {
    of: Option<Missing>,
    /// Oldest first; `None`: they are being read.
    found: Option<Result<Vec<LeftAttempt>, String>>,
}

impl LeftBehind {
    /// What there is to read of the selected step, once.
    pub fn ask(&mut self, run: Option<Missing>) -> Option<Missing> {
        if self.of == run {
            return None;
        }
        self.of = run;
        self.found = None;
        self.of.clone()
    }

    /// They have been read.
    pub fn answer(&mut self, of: &Missing, found: Result<Vec<LeftAttempt>, String>) {
        if self.of.as_ref() == Some(of) {
            self.found = Some(found);
        }
    }

    /// The attempts, oldest first; of another step there are none.
    pub fn attempts(&self, step: &str) -> &[LeftAttempt] {
        match (&self.of, &self.found) {
            (Some(of), Some(Ok(found))) if of.step == step => found,
            _ => &[],
        }
    }

    /// What is to be said instead of them.
    pub fn trouble(&self, step: &str) -> Option<&str> {
        match (&self.of, &self.found) {
            (Some(of), Some(Err(error))) if of.step == step => Some(error),
            (Some(of), None) if of.step == step => Some("reading what going back has left behind…"),
            _ => None,
        }
    }
}

/// An attempt of the selected step, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The attempt.
    pub attempt: &'a Attempt,
    /// The checkpoint to which the run went back, if that has left it behind.
    pub left: Option<u64>,
}

impl OpenRun {
    /// The attempts of the selected step that only the journal knows.
    pub fn missing_attempts(&self) -> Option<Missing> {
        let step = self.step()?;
        if step.last_attempt as usize <= step.attempts.len() {
            return None;
        }
        let numbers = (1..=step.last_attempt).filter(|number| step.attempts.iter().all(|one| one.number != *number));
        let missing = Missing { run: self.id(), step: self.list.selected.clone()?, numbers: numbers.collect() };
        (!missing.numbers.is_empty() && self.state.has_gone_back()).then_some(missing)
    }

    /// The attempt that the cursor is on in the list of them: the one that is looked at, else the newest that is known.
    pub fn pointed_attempt(&self) -> Option<u32> {
        let shown = self.shown_attempt().map(|attempt| attempt.number);
        shown.or_else(|| self.attempts().last().map(|known| known.attempt.number))
    }

    /// Whether the keys are those of the list of attempts, and there is one to be opened.
    pub fn chooses_attempt(&self) -> bool {
        self.focus == Pane::Detail && self.tab == Tab::Attempts && self.pointed_attempt().is_some()
    }

    /// Moves that cursor: down goes back in time, since the newest attempt is on top.
    pub fn move_to_attempt(&mut self, by: isize) {
        let numbers: Vec<u32> = self.attempts().iter().map(|known| known.attempt.number).collect();
        let newest = self.step().and_then(|step| step.attempt()).map(|attempt| attempt.number);
        let pointed = self.pointed_attempt();
        let last = numbers.len().saturating_sub(1);
        let place = numbers.iter().position(|number| Some(*number) == pointed).unwrap_or(last);
        let place = place.saturating_add_signed(by.saturating_neg()).min(last);
        // The step's newest is looked at until there is a newer one.
        self.attempt = numbers.get(place).copied().filter(|number| Some(*number) != newest);
    }

    /// Opens the attempt under that cursor: shows what it printed.
    pub fn open_attempt(&mut self) {
        if self.shown_attempt().is_none() {
            self.attempt = self.pointed_attempt();
        }
        self.from_attempts = self.list.selected.clone().zip(self.pointed_attempt());
        self.tab = Tab::Output;
    }

    /// From the output of an attempt back to the list in which it was opened; whether that is where it was.
    pub fn back_to_attempts(&mut self) -> bool {
        let opened = self.from_attempts.take();
        let here = self.list.selected.clone().zip(self.pointed_attempt());
        let back = opened.is_some() && opened == here && self.tab == Tab::Output && self.focus == Pane::Detail;
        if back {
            self.tab = Tab::Attempts;
        }
        back
    }

    /// Every attempt of the selected step that is known, oldest first.
    pub fn attempts(&self) -> Vec<Known<'_>> {
        let Some((step, id)) = self.step().zip(self.list.selected.as_deref()) else { return Vec::new() };
        let here = step.attempts.iter().map(|attempt| Known { attempt, left: None });
        let left = self.left.attempts(id).iter().map(|one| Known { attempt: &one.attempt, left: Some(one.to) });
        let mut all: Vec<Known<'_>> = here.chain(left).collect();
        all.sort_by_key(|known| known.attempt.number);
        all
    }
}

/// Reads the attempts from the places at which the run went back.
///
/// # Errors
/// What could not be read, in words.
pub async fn read(handle: &EngineHandle, missing: &Missing) -> Result<Vec<LeftAttempt>, String> {
    let state = handle.state(missing.run).await.map_err(|rejection| rejection.to_string())?;
    let mut numbers = missing.numbers.clone();
    let mut found = Vec::new();
    // From the newest on: what was there before a restore, and is not now, was left behind by it.
    for (mark, to) in state.restores().collect::<Vec<_>>().into_iter().rev() {
        if numbers.is_empty() {
            break;
        }
        let before = handle.state_at(missing.run, mark.seq - 1).await.map_err(|rejection| rejection.to_string())?;
        let Some(step) = before.step(&missing.step).map(|(_, step)| step) else { continue };
        for attempt in &step.attempts {
            if let Some(place) = numbers.iter().position(|number| *number == attempt.number) {
                numbers.swap_remove(place);
                found.push(LeftAttempt { attempt: Arc::clone(attempt), to });
            }
        }
    }
    found.sort_by_key(|one| one.attempt.number);
    Ok(found)
}
