//! What a command would do, without doing it: the same decision, on a copy.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Edit, references};

use super::{
    ChangeCause, Command, Event, Input, Moment, PlanChange, Recorded, Rejection, Request, RollbackEnd, RunState,
    RunStatus, StepState, StepStatus, StopReason, Undoable, advance, checkpoint_id, fork_at, newest_undoable,
};

/// What a command would do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The run's status now and then.
    pub run: (RunStatus, RunStatus),
    /// The version of the plan now and then.
    pub plan_version: (u64, u64),
    /// What would change in the plan, a line each.
    pub plan_changes: Vec<String>,
    /// The steps whose status would change, in the plan's order as it would be; removed ones last.
    pub steps: Vec<StepChange>,
    /// Attempts that would be stopped.
    pub stops: Vec<String>,
    /// Attempts that would start at once.
    pub starts: Vec<String>,
    /// Steps that have run and would run again: what they did outside is not undone.
    pub runs_again: Vec<String>,
    /// Steps whose expressions use a result that would not be there: the step, and what it uses.
    pub lost_inputs: Vec<(String, String)>,
    /// Steps that have not started and would have a hold point that they do not have now (`true`), or not have theirs any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<(String, bool)>,
    /// What an undo without a name would take back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Steps whose question would be answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// What would be rolled back, in this order: the step, and what undoes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rolls_back: Vec<(String, String)>,
    /// How the run would end by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_ends: Option<RollbackEnd>,
    /// Steps that would count as completed though they were rolled back since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone_since: Vec<String>,
    /// The run has ended, would be opened again, and would end again at once: nothing of it is left to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_again: bool,
}

/// Makes the state of a run that nobody runs what an engine that takes it over will find: what seems to run is interrupted. Nothing is written. Gives back
/// whether its engine has ended before the run did.
pub fn leave_alone(state: &mut RunState) -> bool {
    let halted = state.status == RunStatus::Running || state.bound_to_engine().next().is_some();
    if halted {
        let opened = Input::Opened { version: String::new(), pid: 0, go_on: false };
        let moment = Moment { now: state.updated_at, entropy: 0 };
        // That somebody opens it is never refused.
        let _ = advance(state, &opened, &moment);
    }
    halted
}

/// A step whose status would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepChange {
    /// Which step.
    pub step_id: String,
    /// Its status now; `None`: it is not in the plan.
    pub before: Option<StepStatus>,
    /// Its status then; `None`: it is not in the plan any more.
    pub after: Option<StepStatus>,
}

impl Preview {
    /// Whether anything would change but the intervention log.
    pub fn is_empty(&self) -> bool {
        self.run.0 == self.run.1
            && self.plan_changes.is_empty()
            && self.steps.is_empty()
            && self.stops.is_empty()
            && self.holds.is_empty()
            && self.answers.is_empty()
    }

    /// What it would do, a line each, the most important first.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.stops.is_empty() {
            lines.push(format!("stops the running attempt of {}", some(&self.stops)));
        }
        if !self.runs_again.is_empty() {
            lines.push(format!("runs again: {} (what they did outside is not undone)", some(&self.runs_again)));
        }
        if !self.undone_since.is_empty() {
            lines.push(format!("would count as completed, but was rolled back: {}", some(&self.undone_since)));
        }
        if !self.rolls_back.is_empty() {
            lines.push("rolls back, one after the other:".into());
        }
        for (place, (step, action)) in self.rolls_back.iter().enumerate().take(SHOWN) {
            lines.push(format!("{}. {step}: {action}", place + 1));
        }
        if self.rolls_back.len() > SHOWN {
            lines.push(format!("and {} more steps", self.rolls_back.len() - SHOWN));
        }
        lines.extend(self.rollback_ends.map(|ends| format!("after that the run is {}", ends.word())));
        lines.extend(
            self.lost_inputs.iter().map(|(step, uses)| format!("{step} uses {uses}, which would not be there")),
        );
        lines.extend(self.undoes.iter().map(|what| format!("undoes {what}")));
        lines.extend(self.answers.iter().map(|step| format!("{step} goes on with the answer")));
        let (before, after) = self.plan_version;
        // The steps of a rollback are told above.
        if before != after && self.rolls_back.is_empty() {
            lines.push(format!("the plan becomes version {after}"));
        }
        lines.extend(self.plan_changes.iter().cloned());
        for change in self.steps.iter().take(SHOWN) {
            let word = |status: Option<StepStatus>| status.map_or("not in the plan", StepStatus::word);
            lines.push(format!("{}: {} → {}", change.step_id, word(change.before), word(change.after)));
        }
        if self.steps.len() > SHOWN {
            lines.push(format!("and {} more steps change", self.steps.len() - SHOWN));
        }
        lines.extend(self.holds.iter().take(SHOWN).map(|(step, held)| match held {
            true => format!("the run will stop before {step} until somebody releases it"),
            false => format!("{step} will not be held"),
        }));
        if self.holds.len() > SHOWN {
            lines.push(format!("and {} more hold points change", self.holds.len() - SHOWN));
        }
        if !self.starts.is_empty() {
            lines.push(format!("starts at once: {}", some(&self.starts)));
        }
        if self.run.0 != self.run.1 {
            lines.push(format!("the run: {} → {}", self.run.0.word(), self.run.1.word()));
        }
        if self.ends_again {
            lines.push(format!("the run is {} again at once: nothing of it is left to run", self.run.1.word()));
        }
        if lines.is_empty() {
            lines.push("changes nothing but the log".into());
        }
        lines
    }
}

/// So many steps are told by name.
const SHOWN: usize = 12;

fn some(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// What an input would do. Cost: the plan's size.
///
/// # Errors
/// It would be refused; the same refusal.
pub fn preview(state: &RunState, input: &Input, moment: &Moment) -> Result<Preview, Rejection> {
    let undoes = match input {
        Input::Request(Request { command: Command::Undo { version: None }, .. }) => newest_undoable(state).ok(),
        _ => None,
    };
    let mut then = state.clone();
    let batch = advance(&mut then, input, moment)?;
    let events = || batch.iter().map(|recorded: &std::sync::Arc<Recorded>| &recorded.event);
    let rolls_back: Vec<(String, String)> = events()
        .filter_map(|event| match event {
            Event::RollbackStarted { steps, .. } => Some(steps),
            _ => None,
        })
        .flatten()
        .filter_map(|step| {
            let undone = state.step(step.undoes()?)?.0;
            Some((undone.step_id.clone(), undone.rollback.as_ref()?.in_words()))
        })
        .collect();
    let mut steps = Vec::new();
    let mut runs_again = Vec::new();
    let mut undone_since = Vec::new();
    for (definition, after) in then.plan.steps.iter().zip(&then.steps) {
        let id = &definition.step_id;
        // What a rollback does is told by itself.
        if !rolls_back.is_empty() && definition.undoes().is_some() {
            continue;
        }
        let before = state.step(id).map(|(_, step)| step);
        if after.status == StepStatus::Completed && state.position(id).is_some_and(|place| state.is_undone(place)) {
            undone_since.push(id.clone());
        }
        if before.map(|step| step.status) != Some(after.status) {
            steps.push(StepChange {
                step_id: id.clone(),
                before: before.map(|step| step.status),
                after: Some(after.status),
            });
        }
        // One that was taken out and comes back has done what it did.
        let known = before.or_else(|| state.removed.get(id).map(|removed| removed.state.as_ref()));
        let runs_anyway = before.is_some_and(will_run);
        if known.is_some_and(had_effects) && !runs_anyway && will_run(after) {
            runs_again.push(id.clone());
        }
    }
    let gone = state.plan.steps.iter().zip(&state.steps).filter(|(step, _)| then.position(&step.step_id).is_none());
    steps.extend(gone.map(|(definition, step)| StepChange {
        step_id: definition.step_id.clone(),
        before: Some(step.status),
        after: None,
    }));
    let stops = events().filter_map(|event| match event {
        Event::StopRequested { step, .. } => Some(step.clone()),
        _ => None,
    });
    let starts = events().filter_map(|event| match event {
        Event::AttemptStarted { step, .. } => Some(step.clone()),
        _ => None,
    });
    let answers = events().filter_map(|event| match event {
        Event::QuestionAnswered { step, .. } => Some(step.clone()),
        _ => None,
    });
    let changes = events().filter_map(|event| match event {
        Event::PlanChanged(change) => Some(change.in_full()),
        _ => None,
    });
    let opens = |event: &Event| matches!(event, Event::Restored { .. } | Event::RunReopened);
    Ok(Preview {
        ends_again: state.status == then.status && then.status.is_ended() && events().any(opens),
        holds: changed_holds(state, &then),
        undoes: undoes.map(Undoable::in_words),
        run: (state.status, then.status),
        plan_version: (state.plan_version, then.plan_version),
        plan_changes: changes.flatten().collect(),
        answers: answers.collect(),
        rollback_ends: then.rollback.as_ref().filter(|_| !rolls_back.is_empty()).map(|rollback| rollback.ends),
        rolls_back,
        undone_since,
        stops: stops.collect(),
        starts: starts.collect(),
        lost_inputs: lost_inputs(state, &then),
        steps,
        runs_again,
    })
}

/// Hold points that come or go on steps that have not started before and after.
fn changed_holds(now: &RunState, then: &RunState) -> Vec<(String, bool)> {
    let waits = |state: &RunState, position: usize| state.steps[position].status == StepStatus::Pending;
    let mut changed = Vec::new();
    for (after, definition) in then.plan.steps.iter().enumerate().filter(|(position, _)| waits(then, *position)) {
        let before = now.position(&definition.step_id).filter(|position| waits(now, *position));
        let holds = then.is_hold_point(after);
        if before.is_some_and(|before| now.is_hold_point(before) != holds) {
            changed.push((definition.step_id.clone(), holds));
        }
    }
    changed
}

/// What a fork would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkPreview {
    /// How many steps it would begin with that are completed or skipped.
    pub done: u32,
    /// How many steps it would have.
    pub steps: u32,
    /// The steps it would have to run.
    pub to_run: Vec<String>,
    /// Those of them that have run in the run it is forked from: what they did outside is not undone.
    pub runs_again: Vec<String>,
    /// The steps that would not run until a person has said what becomes of them, and how they stand.
    pub waits: Vec<(String, StepStatus)>,
}

impl ForkPreview {
    /// What it would be, a line each; what runs a second time comes first.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.runs_again.is_empty() {
            lines.push(format!("would run again: {} (what they did outside is not undone)", some(&self.runs_again)));
        }
        lines.push(format!("begins idle, with {} of {} steps done", self.done, self.steps));
        let fresh: Vec<String> = self.to_run.iter().filter(|id| !self.runs_again.contains(id)).cloned().collect();
        if !fresh.is_empty() {
            lines.push(format!("still to run: {}", some(&fresh)));
        }
        let waits: Vec<String> = self.waits.iter().map(|(id, status)| format!("{id} ({})", status.word())).collect();
        if !waits.is_empty() {
            lines.push(format!("waits for a person: {}", some(&waits)));
        }
        lines
    }
}

/// What a fork would be that begins at a checkpoint: `then` is the state there, `now` the run's state today. Cost: the plan's size.
pub fn fork_preview(then: &RunState, now: &RunState) -> ForkPreview {
    let fork = fork_at(then, now);
    let begun: HashMap<&str, &StepState> = fork.steps.iter().map(|(id, step)| (id.as_str(), step)).collect();
    let fresh = StepState::default();
    let mut preview = ForkPreview {
        done: 0,
        steps: u32::try_from(then.plan.own_steps()).unwrap_or(u32::MAX),
        to_run: Vec::new(),
        runs_again: Vec::new(),
        waits: Vec::new(),
    };
    for definition in &then.plan.steps[..then.plan.own_steps()] {
        let id = definition.step_id.as_str();
        let step = begun.get(id).copied().unwrap_or(&fresh);
        if step.status.is_satisfied() {
            preview.done += 1;
            continue;
        }
        if !will_run(step) {
            preview.waits.push((id.to_owned(), step.status));
            continue;
        }
        preview.to_run.push(id.to_owned());
        if step.last_attempt > 0 {
            preview.runs_again.push(id.to_owned());
        }
    }
    preview
}

/// Steps that are still to run and of which an attempt was under way before, also where going back has left that attempt behind, or in the run
/// from which this one was forked.
pub fn ran_before(state: &RunState) -> Vec<&str> {
    let steps = state.plan.steps.iter().zip(&state.steps);
    steps.filter(|(_, step)| had_effects(step) && will_run(step)).map(|(step, _)| step.step_id.as_str()).collect()
}

/// Whether an attempt of it was ever under way: what it did outside is not undone by going back.
fn had_effects(step: &StepState) -> bool {
    step.last_attempt > 0
}

fn will_run(step: &StepState) -> bool {
    matches!(step.status, StepStatus::Pending | StepStatus::Held | StepStatus::Waiting) || step.status.is_live()
}

/// Expressions of steps that are still to run, and name the result of a step that had one, or would have had one, and now will not.
fn lost_inputs(now: &RunState, then: &RunState) -> Vec<(String, String)> {
    let gives = |state: &RunState, id: &str| state.step(id).is_some_and(|(_, step)| gives_result(state, step));
    let mut lost = Vec::new();
    for (definition, step) in then.plan.steps.iter().zip(&then.steps) {
        if !will_run(step) {
            continue;
        }
        for name in references(definition) {
            if gives(now, &name) && !gives(then, &name) {
                lost.push((definition.step_id.clone(), format!("steps.{name}")));
            }
        }
    }
    lost
}

/// Whether a step has a result, or will have one when it is done, as far as is known: not one that is skipped, nor one that a person completed
/// without giving any; nor one whose attempt is being stopped for that.
fn gives_result(state: &RunState, step: &StepState) -> bool {
    if let Some(by_hand) = &step.by_hand {
        return by_hand.result.is_some();
    }
    match step.stop.as_ref().filter(|_| step.status == StepStatus::Stopping) {
        Some(stop) if stop.why == StopReason::Skip => false,
        Some(stop) if stop.why == StopReason::Complete => {
            let mut records = state.interventions.iter().rev();
            let asked = records.find(|record| Some(record.intervention_id) == stop.intervention);
            asked.is_some_and(|record| record.parameters.get("result").is_some())
        }
        _ => step.status != StepStatus::Skipped,
    }
}

impl PlanChange {
    /// What made it, on one line.
    pub fn headline(&self) -> String {
        match self.cause {
            ChangeCause::Undo { version } => format!("undid version {version}"),
            ChangeCause::UseVersion { version } => format!("brought version {version} back"),
            ChangeCause::Restore { checkpoint } => format!("went back to {}", checkpoint_id(checkpoint)),
            ChangeCause::Rollback if self.edits.iter().any(|edit| matches!(edit, Edit::Add { .. })) => {
                "a rollback began".into()
            }
            ChangeCause::Rollback => "the steps of the rollback went out".into(),
            ChangeCause::Modify | ChangeCause::Add | ChangeCause::Remove | ChangeCause::Reorder => {
                let mut lines = self.in_words();
                match lines.len() {
                    0 => String::new(),
                    1 => lines.remove(0),
                    more => format!("{} and {} more", lines.remove(0), more - 1),
                }
            }
        }
    }

    /// What it changes, a line each.
    pub fn in_words(&self) -> Vec<String> {
        super::change::in_words(&self.edits, &self.inverse)
    }

    /// What it changes, a line each; under a step whose long texts differ, the lines that do, indented.
    pub fn in_full(&self) -> Vec<String> {
        super::change::in_full(&self.edits, &self.inverse)
    }
}
