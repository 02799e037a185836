//! Rolling back: the steps that undo what was completed, when they come into the plan, how the run ends by them, and when they leave it again.
//!
//! They are steps like others, with attempts, failures and interventions of their own. They stand behind the plan's steps and are a chain by
//! themselves; while the run is rolled back nobody else has a turn.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::{Edit, FailurePolicy, Plan, Step};

use super::decide::{failures, some_ids};
use super::intervene::{Asker, Decision, refuse};
use super::{
    Branches, ChangeCause, CheckpointCause, Event, InterventionStatus, PlanChange, PlanVersion, Rejection, RemovedStep,
    Rollback, RollbackEnd, RunState, RunStatus, StepState, StepStatus,
};

impl RunState {
    /// Folds the beginning of a rollback. Cost: its steps, and the order made anew.
    pub(super) fn start_rollback(&mut self, steps: &[Arc<Step>], rollback: &Rollback, time: DateTime<Utc>) {
        self.answer_failures();
        self.stand_down(time);
        self.rolling_back = true;
        self.rollback = Some(rollback.clone());
        self.name_steps();
        let mut shared_places = std::mem::take(&mut self.index.places);
        let places = Arc::make_mut(&mut shared_places);
        let plan = Arc::make_mut(&mut self.plan);
        let mut states = self.steps.to_vec();
        let mut edits = Vec::with_capacity(steps.len());
        for step in steps {
            let position = plan.steps.len();
            plan.steps.push(Arc::clone(step));
            // Of an earlier rollback it goes on counting its attempts.
            let last_attempt = self.removed.remove(&step.step_id).map_or(0, |removed| removed.state.last_attempt);
            states.push(Arc::new(StepState { last_attempt, ..StepState::default() }));
            if places.insert(position, &step.step_id) {
                self.step_names.push_back(step.step_id.as_str().into());
            }
            edits.push(Edit::Add { position, step: Arc::clone(step) });
        }
        places.settle();
        self.steps = states.into_iter().collect();
        self.index.places = shared_places;
        self.reorder();
        let inverse = steps.iter().rev().map(|step| Edit::Remove { step_id: step.step_id.clone() }).collect();
        let user = rollback.user.clone().unwrap_or_else(|| self.user.to_string());
        self.note_rollback(edits, inverse, user, time);
    }

    /// Takes the steps of a rollback that is over out of the plan; what they did stays readable. Cost: those steps, and the order made anew.
    pub(super) fn drop_rollback(&mut self, time: DateTime<Utc>) {
        let own = self.plan.own_steps();
        let mut shared_places = std::mem::take(&mut self.index.places);
        let places = Arc::make_mut(&mut shared_places);
        let gone = Arc::make_mut(&mut self.plan).steps.split_off(own);
        let mut states = self.steps.to_vec();
        let gone_states = states.split_off(own);
        let (mut edits, mut inverse) = (Vec::with_capacity(gone.len()), Vec::with_capacity(gone.len()));
        for ((definition, state), position) in gone.into_iter().zip(gone_states).zip(own..) {
            places.remove(own);
            let id = definition.step_id.clone();
            edits.push(Edit::Remove { step_id: id.clone() });
            inverse.push(Edit::Add { position, step: Arc::clone(&definition) });
            let removed = RemovedStep { definition, state, version: self.plan_version + 1 };
            self.removed.insert(id, Arc::new(removed));
        }
        edits.reverse();
        places.settle();
        self.steps = states.into_iter().collect();
        self.index.places = shared_places;
        self.reorder();
        // Whoever opened the run again has asked for it just before.
        let user = self.interventions.last().map_or(self.user.as_ref(), |record| record.user.as_str()).to_owned();
        self.note_rollback(edits, inverse, user, time);
    }

    fn note_rollback(&mut self, edits: Vec<Edit>, inverse: Vec<Edit>, user: String, time: DateTime<Utc>) {
        self.plan_version += 1;
        let change = PlanChange {
            version: self.plan_version,
            cause: ChangeCause::Rollback,
            user,
            reason: None,
            edits,
            inverse,
            states: Vec::new(),
        };
        self.versions.push_back(Arc::new(PlanVersion { time, change }));
    }

    /// The plan without the steps of a rollback.
    pub fn own_plan(&self) -> Arc<Plan> {
        let own = self.plan.own_steps();
        if own == self.plan.steps.len() {
            return Arc::clone(&self.plan);
        }
        Arc::new(Plan { steps: self.plan.steps[..own].to_vec(), ..self.plan.as_ref().clone() })
    }

    /// The steps of the rollback that have undone theirs, and those that have not, by the step that each undoes; in their order.
    pub fn undone(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut undone, mut left) = (Vec::new(), Vec::new());
        let own = self.plan.own_steps();
        for (definition, step) in (own..self.steps.len()).map(|place| (&self.plan.steps[place], &self.steps[place])) {
            let list = if step.status == StepStatus::Completed { &mut undone } else { &mut left };
            list.extend(definition.undoes());
        }
        (undone, left)
    }

    /// Whether what a step did is undone, as far as the run knows, though it may still count as completed.
    pub fn is_undone(&self, position: usize) -> bool {
        let (definition, step) = (&self.plan.steps[position], &self.steps[position]);
        let undoing = self.rolling_back && definition.rollback.is_some();
        let by = undoing.then(|| self.undoing(&definition.step_id)).flatten();
        step.rolled_back || by.is_some_and(|by| by.status == StepStatus::Completed)
    }

    fn undoing(&self, id: &str) -> Option<&StepState> {
        self.step(&format!("rollback.{id}")).map(|(_, step)| step)
    }
}

/// The steps that undo what is completed, the newest first. A step that was undone is not completed any more.
fn undoing_steps(state: &RunState) -> Vec<Arc<Step>> {
    // Of a `foreach` step each instance is undone by itself.
    let undoable = |position: &usize| {
        let definition = &state.plan.steps[*position];
        let undoes = definition.rollback.is_some() && definition.foreach.is_none();
        undoes && state.steps[*position].status == StepStatus::Completed
    };
    let mut found: Vec<usize> = (0..state.steps.len()).filter(undoable).collect();
    if found.is_empty() {
        return Vec::new();
    }
    // Where a step's end stands in the journal; a step that a fork brought along has no place there.
    let branches = Branches::of(state);
    let mut ended = std::collections::HashMap::new();
    for mark in state.checkpoints.iter().filter(|mark| mark.cause == CheckpointCause::Step) {
        if let Some(number) = mark.step.filter(|_| branches.left_at(mark.seq).is_none()) {
            ended.insert(number, mark.seq);
        }
    }
    let place = |position: usize| {
        let number = state.index.places.number_at(position);
        number.and_then(|number| ended.get(&number)).copied().unwrap_or(0)
    };
    found.sort_by_key(|position| Reverse((place(*position), state.steps[*position].since, *position)));
    let policy = match state.options.on_failure {
        FailurePolicy::Pause => FailurePolicy::Pause,
        FailurePolicy::Fail | FailurePolicy::Continue | FailurePolicy::Rollback => FailurePolicy::Fail,
    };
    found.into_iter().filter_map(|position| state.plan.steps[position].undoing(policy)).map(Arc::new).collect()
}

/// A step has failed whose policy is to roll back, and nothing runs any more.
pub(super) fn begins(state: &RunState) -> Event {
    let steps = undoing_steps(state);
    let why = failures(state);
    if steps.is_empty() {
        return Event::RunFailed { error: format!("{why}; nothing to roll back: {}", nothing_to_undo(state)) };
    }
    Event::RollbackStarted { steps, rollback: Rollback { ends: RollbackEnd::Failed, why, user: None, over: false } }
}

/// How a rollback ends, when it does.
pub(super) fn ends(state: &RunState) -> Option<Event> {
    let rollback = state.rollback.as_ref().filter(|_| state.rolling_back)?;
    if rollback.over {
        return Some(match rollback.ends {
            RollbackEnd::Failed => Event::RunFailed { error: state.error.clone().unwrap_or_default() },
            RollbackEnd::Cancelled => Event::RunCancelled,
        });
    }
    if !state.index.live.is_empty() {
        return None;
    }
    if state.cancelling {
        return Some(ended(state, RollbackEnd::Cancelled, Some("the rollback was cancelled".into())));
    }
    if !state.index.fatal.is_empty() {
        return Some(failed(state));
    }
    // They are a chain: the last one is let go when all are done.
    let last = state.plan.steps.len().checked_sub(1)?;
    state.index.nodes[last].released.then(|| ended(state, rollback.ends, None))
}

/// A step of the rollback has failed, and nobody is to be asked.
pub(super) fn failed(state: &RunState) -> Event {
    let place = state.index.failed.iter().find(|place| state.takes_part(**place));
    let why = place.map(|place| {
        let id = state.plan.steps[*place].undoes().unwrap_or_default();
        let why = state.steps[*place].why_failed().map(|why| format!(": {why}")).unwrap_or_default();
        format!("rollback failed at {id}{why}")
    });
    ended(state, RollbackEnd::Failed, why)
}

fn ended(state: &RunState, ends: RollbackEnd, why: Option<String>) -> Event {
    let (undone, left) = state.undone();
    let mut said: Vec<String> = state.rollback.iter().map(|rollback| rollback.why.clone()).chain(why).collect();
    said.extend((!undone.is_empty()).then(|| format!("rolled back: {}", some_ids(&undone))));
    said.extend((!left.is_empty()).then(|| format!("not rolled back: {}", some_ids(&left))));
    // A step whose instances were undone is not completed any more either.
    let mut parents: Vec<usize> = undone.iter().filter_map(|id| state.parent(state.position(id)?)).collect();
    parents.sort_unstable();
    parents.dedup();
    parents.retain(|parent| state.steps[*parent].status == StepStatus::Completed);
    let undone = undone.into_iter().chain(state.step_ids(&parents)).map(str::to_owned).collect();
    Event::RollbackEnded { undone, ends, error: said.join("; ") }
}

fn nothing_to_undo(state: &RunState) -> &'static str {
    let completed = state.steps.iter().any(|step| step.status == StepStatus::Completed);
    match state.steps.iter().any(|step| step.rolled_back) {
        true => "what could be was rolled back already",
        false if completed => "no completed step has a rollback action",
        false => "no step is completed",
    }
}

impl Asker<'_> {
    pub(super) fn rollback(&self) -> Decision {
        let state = self.state;
        self.refuse_while_cancelling()?;
        if state.rolling_back {
            return Err(refuse("the run is being rolled back already").possible("let it end, or cancel it"));
        }
        self.refuse_unless_at_rest()?;
        let steps = undoing_steps(state);
        if steps.is_empty() {
            return Err(refuse(format!("nothing to roll back: {}", nothing_to_undo(state)))
                .possible("a step's `rollback` says what undoes it"));
        }
        let has_failed = state.status == RunStatus::Failed || !state.index.failed.is_empty();
        let ends = if has_failed { RollbackEnd::Failed } else { RollbackEnd::Cancelled };
        let user = &self.request.user;
        let asked = format!("{user} asked for a rollback");
        let why = if state.index.failed.is_empty() { asked } else { format!("{}; {asked}", failures(state)) };
        let mut events = self.reopened();
        let rollback = Rollback { ends, why, user: Some(user.clone()), over: false };
        events.push(Event::RollbackStarted { steps, rollback });
        // It is asked for now, whatever the run was paused for.
        events.extend((!self.request.stay_paused).then_some(Event::RunResumed));
        Ok((InterventionStatus::Applied, events))
    }

    pub(super) fn refuse_while_rolling_back(&self, rule: &str) -> Result<(), Rejection> {
        if self.state.rolling_back {
            return Err(refuse(format!("the run is being rolled back: {rule}"))
                .possible("let it end, or cancel it, which ends the rollback where it is"));
        }
        Ok(())
    }

    /// While a run is rolled back its steps are those of the rollback; once that is over they only tell what was done.
    pub(super) fn refuse_other_turn(&self, position: usize) -> Result<(), Rejection> {
        let state = self.state;
        let id = &state.plan.steps[position].step_id;
        match (state.takes_part(position), state.rolling_back) {
            (true, _) => Ok(()),
            (false, true) => self.refuse_while_rolling_back(&format!("`{id}` is no step of the rollback")),
            (false, false) => Err(refuse(format!("`{id}` is a step of a rollback that is over"))
                .possible("a rollback that is asked for again undoes what is completed then")),
        }
    }
}
