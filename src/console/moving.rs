//! Moving steps up and down the list.
//!
//! Past a hold point it is asked first: what has waited for a signature would no longer wait.
//!
//! A key that is held repeats faster than a disk: while one move is on its way, the next ones are added up and sent as one.

use crate::engine::Ack;
use crate::run::{Command, Rejection, RunState};

use super::app::{App, Effect};
use super::availability;
use super::rows::View;
use super::run_model::OpenRun;

/// A move that was sent.
#[derive(Debug, Clone)]
pub struct Move {
    step: String,
    command: Command,
    /// The place in the journal where it is done, once the engine has said so; the screen may not have got there.
    done: Option<u64>,
    /// Places still to go, asked for meanwhile.
    more: isize,
}

/// The command that takes a step from one place of the list to another; `None` when it is there, or there is no such place.
pub fn to_place(state: &RunState, from: usize, to: usize) -> Option<Command> {
    let stretch = state.plan.steps.get(from.min(to)..=from.max(to))?;
    let mut steps: Vec<String> = stretch.iter().map(|step| step.step_id.clone()).collect();
    match from.cmp(&to) {
        std::cmp::Ordering::Less => steps.rotate_left(1),
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => steps.rotate_right(1),
    }
    Some(Command::Reorder { steps })
}

/// Why a step cannot be moved so far; `Ok` gives the command.
///
/// # Errors
/// The reason, and what would make it possible.
pub fn movable(app: &App, run: &OpenRun, from: usize, by: isize) -> Result<Command, String> {
    if !run.list.filter.is_empty() {
        return Err(app.keys.fill("the filter hides what it would pass: {back} clears it"));
    }
    if run.list.rows.view != View::List {
        return Err(app.keys.fill("steps are moved in the list, which has their order: {step-view} shows it"));
    }
    let to = from.checked_add_signed(by).filter(|to| *to < run.state.plan.written());
    let end = if by < 0 { "first" } else { "last" };
    let command = to.and_then(|to| to_place(&run.state, from, to)).ok_or_else(|| format!("it is the {end} step"))?;
    availability::allowed(app, run, &command).map(|()| command)
}

impl App {
    /// `K` and `J`: the selected step goes up or down.
    pub(super) fn move_step(&mut self, by: isize) -> Vec<Effect> {
        if let Some(moving) = &mut self.moving {
            moving.more += by;
            return Vec::new();
        }
        let step = self.drawn().step.as_ref().map(|(step, _)| step.clone());
        let Some((run, step)) = self.run.as_ref().zip(step) else { return Vec::new() };
        let Some(from) = run.state.position(&step) else { return Vec::new() };
        self.move_from(step, from, by)
    }

    pub(super) fn move_from(&mut self, step: String, from: usize, by: isize) -> Vec<Effect> {
        let Some(run) = &self.run else { return Vec::new() };
        match movable(self, run, from, by) {
            Ok(command) => {
                if let Some(question) = self.question(&command, None) {
                    // The keys are another's by now, and so would be the answer.
                    if !self.layers.is_empty() {
                        let to = if by < 0 { "up" } else { "down" };
                        self.complain(format!("move {to}: {step} is not moved past the hold point: that asks first"));
                        return Vec::new();
                    }
                    return self.ask(question);
                }
                let id = run.id();
                self.moving = Some(Move { step, command: command.clone(), done: None, more: 0 });
                vec![self.request(id, command, None, None)]
            }
            Err(why) => {
                self.complain_of(Some(&step), format!("move {}: {why}", if by < 0 { "up" } else { "down" }));
                Vec::new()
            }
        }
    }

    /// The engine has answered a move.
    pub(super) fn moved(&mut self, command: &Command, result: &Result<Ack, Rejection>) {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.command == *command) else { return };
        match result {
            Ok(ack) => moving.done = Some(ack.seq),
            // Where it could not go, it cannot go further.
            Err(_) => self.moving = None,
        }
    }

    /// Sends what was asked for while a move was on its way, as soon as the screen has got there.
    pub(super) fn move_on(&mut self) -> Vec<Effect> {
        let Some(run) = &self.run else {
            self.moving = None;
            return Vec::new();
        };
        let there = |moving: &Move| moving.done.is_some_and(|seq| seq <= run.state.seq);
        if !self.moving.as_ref().is_some_and(there) {
            return Vec::new();
        }
        let Some(Move { step, more, .. }) = self.moving.take() else { return Vec::new() };
        let Some(from) = run.state.position(&step).filter(|_| more != 0) else { return Vec::new() };
        // As far as it may go.
        let furthest = (1..=more.abs()).rev().map(|far| far * more.signum());
        let by = furthest.into_iter().find(|by| movable(self, run, from, *by).is_ok()).unwrap_or(more.signum());
        self.move_from(step, from, by)
    }
}
