//! Undo: of a change of the plan by its version, of any other intervention by its id, and of the newest without a name.
//!
//! What undoes an intervention is noted with it when it is decided ([`Inverse`]). Undoing is refused where its effect has been overtaken, naming
//! by what; attempts are never undone, only what was decided about steps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::plan::{Edit, Plan, Step, moved};

use super::change::{no_step, overtaken};
use super::intervene::{Asker, Decision, refuse};
use super::{
    ChangeCause, Command, Event, Intervention, InterventionStatus, Inverse, PauseReason, PlanChange, PlanVersion,
    Rejection, RejectionCode, Request, RunState, StepState, StepStatus, StopReason, checkpoint_id,
};

/// What an undo without a name takes back.
#[derive(Debug, Clone, Copy)]
pub enum Undoable<'a> {
    /// A change of the plan.
    Change(&'a Arc<PlanVersion>),
    /// Another intervention.
    Intervention(&'a Arc<Intervention>),
}

impl Undoable<'_> {
    /// The command that undoes it, and nothing else whatever happens meanwhile.
    pub fn command(self) -> Command {
        match self {
            Undoable::Change(version) => Command::Undo { version: Some(version.change.version) },
            Undoable::Intervention(record) => Command::UndoIntervention { intervention: record.intervention_id },
        }
    }

    /// What it is, in a few words.
    pub fn in_words(self) -> String {
        match self {
            Undoable::Change(version) => {
                let change = &version.change;
                format!("version {} of the plan by {}", change.version, change.user)
            }
            Undoable::Intervention(record) => said(record),
        }
    }

    /// Whether nothing has overtaken it.
    fn is_possible(self, state: &RunState) -> bool {
        let request = Request::new(uuid::Uuid::nil(), self.command(), "");
        let asker = Asker { state, request: &request };
        let decided = match self {
            Undoable::Change(version) => asker.undo_version(version.change.version),
            Undoable::Intervention(record) => asker.undo_intervention(record.intervention_id),
        };
        decided.is_ok()
    }
}

/// What an undo without a name takes back: the newest intervention on a step or the plan that is neither undone nor itself an undo. What only
/// starts, pauses or resumes the run is passed over: it has its own opposite. Undoing again goes further back; what was undone is brought again by
/// naming the undo. Whether it has been overtaken is not looked at.
///
/// # Errors
/// There is none, or the newest is one that cannot be undone: said with what takes that one back.
pub fn newest_undoable(state: &RunState) -> Result<Undoable<'_>, Rejection> {
    let undone = undone_versions(state);
    let standing = || state.interventions.iter().rev().filter(|record| stands(record, &undone));
    let Some(last) = standing().next() else {
        return Err(nothing_to_undo());
    };
    let newest = standing().find(|record| !only_moves_the_run(record)).unwrap_or(last);
    if let Some(found) = undoable(state, newest) {
        return Ok(found);
    }
    if is_plan_change(newest) {
        // Noted by an older version: its change is among the versions all the same.
        return newest_change(state, &undone).map(Undoable::Change).ok_or_else(nothing_to_undo);
    }
    let mut possible = instead(state, newest);
    // Behind a restore lies another branch.
    if newest.status != InterventionStatus::Pending && newest.intervention_type != "restore" {
        let before = standing().skip_while(|record| !Arc::ptr_eq(record, newest)).skip(1);
        let older = before
            .take_while(|record| record.intervention_type != "restore")
            .find_map(|record| undoable(state, record))
            .filter(|older| older.is_possible(state));
        possible.push_str(&match older {
            Some(Undoable::Change(version)) => {
                format!("; version {} of the plan can be undone by its number", version.change.version)
            }
            Some(Undoable::Intervention(record)) => format!("; {} can be undone by its id", said(record)),
            None => String::new(),
        });
    }
    let why = if newest.status == InterventionStatus::Pending {
        "still waits for an attempt to stop"
    } else {
        "cannot be undone"
    };
    let which = if Arc::ptr_eq(newest, last) {
        "the newest intervention".to_owned()
    } else {
        format!("the newest before {}", said(last))
    };
    Err(refuse(format!("{which}, {}, {why}", said(newest))).possible(possible))
}

/// Whether an intervention lets the run go on or stops it, and decides nothing about a step or the plan.
fn only_moves_the_run(record: &Intervention) -> bool {
    ["start", "pause", "resume", "interrupt"].contains(&&*record.intervention_type)
}

fn nothing_to_undo() -> Rejection {
    refuse("no intervention is left to undo").possible("the list of versions shows how the plan was changed")
}

/// Whether an intervention has an effect that still stands, and is no undo itself.
fn stands(record: &Intervention, undone: &HashSet<u64>) -> bool {
    let undone = match record.inverse.as_deref() {
        Some(Inverse::Plan { version }) => undone.contains(version),
        _ => record.undone_by.is_some(),
    };
    record.status != InterventionStatus::Failed && !undone && record.intervention_type != "undo"
}

fn undoable<'a>(state: &'a RunState, record: &'a Arc<Intervention>) -> Option<Undoable<'a>> {
    if record.status == InterventionStatus::Pending {
        return None;
    }
    match record.inverse.as_deref()? {
        Inverse::Plan { version } => {
            let found = state.versions.iter().rev().find(|one| one.change.version == *version);
            found.map(Undoable::Change)
        }
        Inverse::Steps(_) | Inverse::MaxParallel(_) => Some(Undoable::Intervention(record)),
    }
}

fn is_plan_change(record: &Intervention) -> bool {
    ["modify_step", "add_step", "remove_step", "reorder_steps", "use_version"].contains(&&*record.intervention_type)
}

/// What takes an intervention back that cannot be undone.
fn instead(state: &RunState, record: &Intervention) -> String {
    if record.status == InterventionStatus::Pending {
        return "wait until it has stopped".into();
    }
    match &*record.intervention_type {
        "pause" | "interrupt" => "resume takes it back".into(),
        "start" | "resume" => "pause takes it back".into(),
        "cancel" if state.cancelling => {
            "when the last attempt has ended, retrying or skipping a step reopens the run".into()
        }
        "cancel" => "retrying or skipping a step, or restoring a checkpoint, reopens the run".into(),
        "rollback" if state.rolling_back => "cancel ends it where it is".into(),
        "rollback" => "resumed after a retry or a restore, the run does again what was rolled back".into(),
        "restore" => {
            // Whatever it left behind is still in the journal, and its newest checkpoint leads there.
            let back = state.checkpoints.iter().rposition(|mark| mark.cause == super::CheckpointCause::Restored);
            match back.and_then(|place| state.checkpoints.get(place.checked_sub(1)?)) {
                Some(left) => format!("restore {}, the newest checkpoint before it", checkpoint_id(left.seq)),
                None => "restore another checkpoint".into(),
            }
        }
        "answer" => "the attempt has the answer: retrying the step asks again".into(),
        _ => "an older version has noted it, without what undoes it; act on the step itself".into(),
    }
}

impl Intervention {
    /// What it was, as a noun.
    pub fn noun(&self) -> &str {
        match &*self.intervention_type {
            "skip_step" if self.parameters["completed_by_hand"] == true => "completion by hand",
            "skip_step" => "skip",
            "retry_step" => "retry",
            "modify_step" => "change",
            "add_step" => "addition",
            "remove_step" => "removal",
            "reorder_steps" => "new order",
            "use_version" => "return to an older version",
            "set_parallel" => "change of the limit",
            other => other,
        }
    }
}

/// An intervention in a few words.
fn said(record: &Intervention) -> String {
    let target = record.target_step_id.as_ref().map(|step| format!(" of `{step}`")).unwrap_or_default();
    format!("{}{target} by {}", record.noun(), record.user)
}

fn newest_change<'a>(state: &'a RunState, undone: &HashSet<u64>) -> Option<&'a Arc<PlanVersion>> {
    let stands = |one: &&Arc<PlanVersion>| {
        !undone.contains(&one.change.version)
            && !matches!(one.change.cause, ChangeCause::Undo { .. } | ChangeCause::Rollback)
    };
    state.versions.iter().rev().find(stands)
}

/// The versions whose change is undone. An undo that is undone itself has undone nothing.
fn undone_versions(state: &RunState) -> HashSet<u64> {
    let mut undone = HashSet::new();
    for one in state.versions.iter().rev() {
        if let ChangeCause::Undo { version } = one.change.cause
            && !undone.contains(&one.change.version)
        {
            undone.insert(version);
        }
    }
    undone
}

/// What undoes an intervention that has these events; `None` when nothing does, or when it has yet to take effect.
pub(super) fn inverse_of(state: &RunState, events: &[Event]) -> Option<Box<Inverse>> {
    let mut steps = Vec::new();
    let mut note = |id: &str| {
        if let Some((_, step)) = state.step(id) {
            // An attempt that was stopped for it does not come back.
            let status = if step.status.is_live() { StepStatus::Cancelled } else { step.status };
            let was = StepState { status, since: None, attempts: Vec::new(), stop: None, ..step.clone() };
            steps.push((id.to_owned(), was));
        }
    };
    for event in events {
        match event {
            Event::Restored { .. } => return None,
            Event::PlanChanged(change) if matches!(change.cause, ChangeCause::Restore { .. }) => return None,
            Event::PlanChanged(change) => return Some(Box::new(Inverse::Plan { version: change.version })),
            Event::MaxParallelSet { .. } | Event::InterventionUndone { max_parallel: Some(_), .. } => {
                return Some(Box::new(Inverse::MaxParallel(state.options.max_parallel)));
            }
            Event::StepSkipped { step, .. }
            | Event::StepCompletedByHand { step, .. }
            | Event::StepQueued { step }
            | Event::HoldSet { step, .. }
            | Event::HoldCleared { step }
            | Event::HoldReleased { step, .. }
            | Event::ReviewAnswered { step, .. } => note(step),
            // It is skipped with the step that it is an instance of.
            Event::StopRequested { step, why: StopReason::Skip, .. } if events.len() > 1 => note(step),
            Event::StepsReset { steps } => steps.iter().for_each(|step| note(step)),
            Event::InterventionUndone { steps, .. } => steps.iter().for_each(|(step, _)| note(step)),
            _ => {}
        }
    }
    (!steps.is_empty()).then(|| Box::new(Inverse::Steps(steps)))
}

impl Asker<'_> {
    /// Undoes the change that made a version of the plan.
    pub(super) fn undo_version(&self, version: u64) -> Decision {
        let state = self.state;
        let Some(found) = state.versions.iter().find(|one| one.change.version == version) else {
            return Err(match version {
                1 => refuse("version 1 is the plan as it was opened; nothing made it")
                    .possible("name the version that a change has made"),
                _ => Rejection::new(RejectionCode::NotFound, format!("the plan has no version {version}"))
                    .possible(format!("it is at version {}", state.plan_version)),
            });
        };
        let change = &found.change;
        let number = change.version;
        if undone_versions(state).contains(&number) {
            return Err(refuse(format!("version {number} is undone already"))
                .possible("the list of versions shows by which one"));
        }
        if change.cause == ChangeCause::Rollback {
            return Err(refuse(format!("version {number} came with a rollback, which is not undone"))
                .possible("retrying a step, or restoring a checkpoint, goes on from there"));
        }
        if let ChangeCause::Restore { checkpoint } = change.cause {
            let id = super::checkpoint_id(checkpoint);
            return Err(refuse(format!("version {number} came with going back to {id}, which is not undone"))
                .possible("restore another checkpoint"));
        }
        // What the change left must still be there: a later one may have taken it up.
        let mut made =
            state.whole_plan_at(number).ok_or_else(|| refuse(format!("version {number} cannot be made out again")))?;
        let now: HashMap<&str, &Arc<Step>> =
            state.plan.steps.iter().map(|step| (step.step_id.as_str(), step)).collect();
        for edit in &change.edits {
            if let Edit::Replace { step } = edit
                && step.generated.is_some()
                && now.get(step.step_id.as_str()).is_none_or(|now| *now != step)
            {
                return Err(refuse(format!("version {number} was overtaken: `{}` has come anew since", step.step_id))
                    .possible("change it again"));
            }
            for id in edit.step_ids() {
                let was = made.steps.iter().find(|step| step.step_id == id);
                if was != now.get(id).copied() {
                    let later = state.versions.iter().rev().find(|one| {
                        one.change.version > number && one.change.edits.iter().any(|edit| edit.step_ids().contains(&id))
                    });
                    let later = later.map_or(state.plan_version, |one| one.change.version);
                    return Err(refuse(format!(
                        "version {number} was overtaken by version {later}, which changed `{id}` again"
                    ))
                    .possible(format!("undo version {later} first")));
                }
            }
        }
        let undoes = if state.plan_version == number {
            change.inverse.clone()
        } else {
            // Later versions may have moved things: what the change did is taken back from the plan as it is now.
            made.edit_all(&change.inverse).map_err(|error| overtaken(&error))?;
            take_back(&state.plan, change)
        };
        self.change(ChangeCause::Undo { version: number }, undoes)
    }

    /// Undoes an intervention that is named.
    pub(super) fn undo_intervention(&self, id: uuid::Uuid) -> Decision {
        let state = self.state;
        let Some(place) = state.interventions.iter().rposition(|one| one.intervention_id == id) else {
            return Err(Rejection::new(RejectionCode::NotFound, format!("there is no intervention {id}"))
                .possible("the snapshot of the run has their ids"));
        };
        let record = &state.interventions[place];
        if record.status == InterventionStatus::Failed {
            return Err(refuse(format!("{} was refused or overtaken: it had no effect", said(record)))
                .possible("undo one that was applied"));
        }
        if record.undone_by.is_some() {
            return Err(refuse(format!("{} is undone already", said(record)))
                .possible("undoing the undo, by its id, brings it again"));
        }
        match record.inverse.as_deref().filter(|_| record.status != InterventionStatus::Pending) {
            Some(Inverse::Plan { version }) => self.undo_version(*version),
            Some(Inverse::Steps(steps)) => self.put_back(place, steps),
            Some(Inverse::MaxParallel(value)) => self.limit_as_before(place, *value),
            None if is_plan_change(record) || record.intervention_type == "undo" => {
                Err(refuse(format!("{} was noted by an older version", said(record)))
                    .possible("undo the version of the plan that it made, by its number"))
            }
            None => {
                let why = match record.status {
                    InterventionStatus::Pending => "still waits for an attempt to stop",
                    _ => "cannot be undone",
                };
                Err(refuse(format!("{} {why}", said(record))).possible(instead(state, record)))
            }
        }
    }

    /// The steps that an intervention touched stand again as they stood, unless something has built on how they stand now.
    fn put_back(&self, place: usize, were: &[(String, StepState)]) -> Decision {
        let state = self.state;
        let record = &state.interventions[place];
        self.refuse_while_cancelling()?;
        if !["skip_step", "retry_step", "approve", "reject", "escalate", "undo"].contains(&&*record.intervention_type) {
            self.refuse_ended()?;
        }
        let overtaken = |by: String| refuse(format!("{} was overtaken: {by}", said(record)));
        let ids: HashSet<&str> = were.iter().map(|(id, _)| id.as_str()).collect();
        let undone = undone_versions(state);
        let mut later = state.interventions.iter().skip(place + 1).rev().filter(|one| stands(one, &undone));
        if let Some(later) = later.find(|one| one.intervention_type == "restore" || touches(state, one, &ids)) {
            return Err(match &*later.intervention_type {
                "restore" => {
                    overtaken("the run went back to a checkpoint since".into()).possible(instead(state, later))
                }
                _ => overtaken(format!("by {}", said(later))).possible("undo that first"),
            });
        }
        let order = state.order();
        let mut steps = Vec::with_capacity(were.len());
        let (mut held_again, mut open_again) = (BTreeSet::new(), BTreeSet::new());
        for (id, was) in were {
            let position = state.position(id).ok_or_else(|| no_step(state, id))?;
            self.refuse_other_turn(position)?;
            let now = &state.steps[position];
            if now.rolled_back && !was.rolled_back {
                return Err(overtaken(format!("`{id}` was rolled back since")).possible(self.answers_to(position)));
            }
            if now.last_attempt != was.last_attempt || now.status.is_live() {
                let possible = match &*record.intervention_type {
                    "retry_step" => self.answers_to(position),
                    _ => "restore a checkpoint from before it started",
                };
                return Err(overtaken(format!("attempt {} of `{id}` has started", now.last_attempt)).possible(possible));
            }
            if was.expansion.as_ref().map(|was| was.seq) != now.expansion.as_ref().map(|now| now.seq) {
                self.expansion_stands(place, position, was)?;
            }
            let definition = &state.plan.steps[position];
            let parent = state.parent(position).filter(|parent| !ids.contains(self.id(*parent)));
            open_again
                .extend(parent.filter(|_| !was.lets_pass(definition, order) && self.parent_again(position).is_some()));
            if now.lets_pass(definition, order) && !was.lets_pass(definition, order) {
                held_again.extend(self.nothing_went_past(place, position, &undone)?);
            }
            let waits: Vec<usize> =
                state.unmet(position).into_iter().filter(|before| !ids.contains(self.id(*before))).collect();
            if was.status == StepStatus::Completed
                && was.last_attempt > 0
                && let Some(before) = waits.first()
                && let Some(version) = self.changed_since(place, &undone)
            {
                return Err(overtaken(format!(
                    "version {version} of the plan has put `{}` before `{id}`",
                    self.id(*before)
                ))
                .possible(format!("undo version {version} first")));
            }
            steps.push((id.clone(), was.clone()));
        }
        // A `foreach` step that had come to its end waits for the instance again.
        for position in open_again {
            let step = &state.steps[position];
            let (failed_with, error, unanswered) = (None, None, false);
            let status = StepStatus::Pending;
            let step = StepState { status, failed_with, error, unanswered, attempts: Vec::new(), ..step.clone() };
            steps.push((self.id(position).to_owned(), step));
        }
        // What had come to its hold point only because of it has not come there.
        for position in held_again.into_iter().filter(|position| !ids.contains(self.id(*position))) {
            let step = StepState { status: StepStatus::Pending, attempts: Vec::new(), ..state.steps[position].clone() };
            steps.push((self.id(position).to_owned(), step));
        }
        let mut events = self.reopened();
        let asks = steps.iter().any(|(_, step)| step.unanswered && step.asks_when_failed());
        events.push(self.undone(record, steps, None));
        if asks {
            // Its failure waits for an answer again.
            events.push(Event::RunPaused { reasons: [PauseReason::StepFailed].into() });
        }
        Ok((InterventionStatus::Applied, events))
    }

    /// A `foreach` step is to have the instances it had, or none: nothing may have been done with those that it has now.
    fn expansion_stands(&self, place: usize, position: usize, was: &StepState) -> Result<(), Rejection> {
        let state = self.state;
        if state.steps[position].expansion.is_none() {
            return Ok(());
        }
        let (record, id) = (&state.interventions[place], self.id(position));
        let overtaken = |by: String| {
            Err(refuse(format!("{} was overtaken: {by}", said(record))).possible(self.answers_to(position)))
        };
        if was.expansion.is_some() {
            return overtaken(format!("`{id}` has been expanded anew"));
        }
        let ran = |instance: &usize| {
            let step = &state.steps[*instance];
            step.attempt().is_some_and(|attempt| attempt.started_at >= record.timestamp)
                || step.since > Some(record.timestamp)
        };
        match state.instances(position).into_iter().flatten().find(ran) {
            Some(instance) => overtaken(format!("`{}`, an instance of `{id}`, has been dealt with", self.id(instance))),
            None => Ok(()),
        }
    }

    fn limit_as_before(&self, place: usize, value: u32) -> Decision {
        self.refuse_ended()?;
        let state = self.state;
        let record = &state.interventions[place];
        let undone = undone_versions(state);
        let mut later = state.interventions.iter().skip(place + 1).rev().filter(|one| stands(one, &undone));
        if let Some(later) = later.find(|one| matches!(one.inverse.as_deref(), Some(Inverse::MaxParallel(_)))) {
            return Err(
                refuse(format!("{} was overtaken: by {}", said(record), said(later))).possible("undo that first")
            );
        }
        Ok((InterventionStatus::Applied, vec![self.undone(record, Vec::new(), Some(value))]))
    }

    fn undone(&self, record: &Intervention, steps: Vec<(String, StepState)>, max_parallel: Option<u32>) -> Event {
        let id = record.intervention_id;
        let again = self.state.interventions.iter().find(|one| one.undone_by == Some(id));
        Event::InterventionUndone {
            intervention_id: id,
            by: self.request.id,
            again: again.map(|one| one.intervention_id),
            steps,
            max_parallel,
        }
    }

    /// A step is to hold up again what comes after it: nothing of that may have started or been signed off since it let it pass. Gives what has
    /// come to its hold point.
    fn nothing_went_past(&self, place: usize, position: usize, undone: &HashSet<u64>) -> Result<Vec<usize>, Rejection> {
        let state = self.state;
        let (record, id) = (&state.interventions[place], self.id(position));
        let after = state.order().downstream(position);
        let since = state.steps[position].since;
        let started = |step: &StepState| {
            step.attempt().is_some_and(|attempt| since.is_none_or(|since| attempt.started_at >= since))
        };
        if let Some(next) = after.iter().find(|next| started(&state.steps[**next])) {
            let next = self.id(*next);
            return Err(refuse(format!(
                "{} was overtaken: `{next}`, which comes after `{id}`, has started",
                said(record)
            ))
            .possible(format!("retry `{id}`, with everything after it if that is to run again")));
        }
        let signs = |one: &&Arc<Intervention>| {
            let target = one.target_step_id.as_deref().and_then(|target| state.position(target));
            one.intervention_type == "release"
                && stands(one, undone)
                && target.is_some_and(|target| after.contains(&target))
        };
        if let Some(signed) = state.interventions.iter().skip(place + 1).rev().find(signs) {
            return Err(
                refuse(format!("{} was overtaken: by {}", said(record), said(signed))).possible("undo that first")
            );
        }
        let came = |next: &usize| state.steps[*next].status == StepStatus::Held && state.steps[*next].since >= since;
        Ok(after.into_iter().filter(came).collect())
    }

    /// The newest change of the plan after an intervention that still stands.
    fn changed_since(&self, place: usize, undone: &HashSet<u64>) -> Option<u64> {
        let later = self.state.interventions.iter().skip(place + 1).rev().filter(|one| stands(one, undone));
        let version = |one: &Arc<Intervention>| match one.inverse.as_deref() {
            Some(Inverse::Plan { version }) => Some(*version),
            _ => None,
        };
        later.into_iter().find_map(version)
    }

    pub(super) fn id(&self, position: usize) -> &str {
        &self.state.plan.steps[position].step_id
    }
}

/// Whether an intervention has to do with one of these steps.
fn touches(state: &RunState, record: &Intervention, ids: &HashSet<&str>) -> bool {
    match record.inverse.as_deref() {
        Some(Inverse::Steps(steps)) => steps.iter().any(|(id, _)| ids.contains(id.as_str())),
        Some(Inverse::Plan { version }) => {
            let change = state.versions.iter().rev().find(|one| one.change.version == *version);
            let mut edits = change.into_iter().flat_map(|one| &one.change.edits);
            edits.any(|edit| !matches!(edit, Edit::Reorder { .. }) && edit.step_ids().iter().any(|id| ids.contains(id)))
        }
        Some(Inverse::MaxParallel(_)) => false,
        None => record.target_step_id.as_deref().is_some_and(|id| ids.contains(id)),
    }
}

/// What takes an older change back from a plan that has changed since elsewhere.
fn take_back(plan: &Plan, change: &PlanChange) -> Vec<Edit> {
    let mut edits = Vec::new();
    for edit in &change.inverse {
        match edit {
            Edit::Reorder { steps, .. } => {
                // The same steps, wherever they stand now, in the order they had.
                let named: HashSet<&str> = steps.iter().map(String::as_str).collect();
                let before: Vec<&str> = plan.steps.iter().map(|step| step.step_id.as_str()).collect();
                let mut after = before.clone();
                let places = (0..before.len()).filter(|place| named.contains(before[*place]));
                for (place, id) in places.zip(steps) {
                    after[place] = id;
                }
                if let Some((position, steps)) = moved(&before, &after) {
                    let steps = steps.iter().map(|id| (*id).to_owned()).collect();
                    edits.push(Edit::Reorder { position, steps });
                }
            }
            Edit::Add { .. } | Edit::Remove { .. } | Edit::Replace { .. } => edits.push(edit.clone()),
        }
    }
    edits
}
