//! What operators may ask, and when: the rules of every command.
//!
//! Each function answers for one command: the events that carry it out, or the rule that refuses it and what would be possible instead.
//! Here is what all commands share; what is common to some stands with them: the run as a whole, a step's work, what waits for a person. What changes the
//! plan is in [`super::change`], what undoes in [`super::undo`] and [`super::rollback`].
//! Every request leaves a record in the intervention log, refused ones as well (see [`super::log_refusal`]).

mod of_run;
mod sign_off;
mod work;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::Step;

use super::decide::waits_for;
use super::undo::{inverse_of, newest_undoable};
use super::{
    Command, Event, Intervention, InterventionStatus, Inverse, Moment, PauseReason, Rejection, RejectionCode, Request,
    ReviewStatus, RunState, RunStatus, SkipReason, StepState, StepStatus, StopReason,
};

use of_run::paused;
pub(super) use of_run::restored;

/// The largest `max_parallel`.
pub const MAX_PARALLEL_LIMIT: u32 = 4096;

/// So many of the answers that a run needs are named in a refusal.
const QUESTIONS_TOLD: usize = 5;

pub(super) type Decision = Result<(InterventionStatus, Vec<Event>), Rejection>;

/// Decides an operator's request; `target` is the state at the checkpoint a restore goes back to.
pub(super) fn request(
    state: &RunState,
    request: &Request,
    target: Option<&Arc<RunState>>,
    moment: &Moment,
) -> Result<Vec<Event>, Rejection> {
    if request.command_id.as_deref().is_some_and(|id| state.has_command(id)) {
        return Ok(Vec::new());
    }
    let request = &*admitted(state, request)?;
    let asker = Asker { state, request };
    let (status, mut events) = asker.decided(target)?;
    let inverse = inverse_of(state, &events);
    if request.stay_paused && asker.would_go_on() {
        events.insert(0, paused(PauseReason::Operator));
    }
    events.insert(0, record(request, status, None, inverse, moment));
    Ok(events)
}

/// Whether a request would be taken, without what it leads to: neither its events are made nor what undoes it is noted, of which there may be as many
/// as a plan has steps. A screen asks this for each of its frames. A retry with everything after it, an undo and what changes the plan cost a walk all
/// the same.
///
/// # Errors
/// The same refusal as that of [`decide`](super::decide).
pub fn permits(state: &RunState, request: &Request) -> Result<(), Rejection> {
    if request.command_id.as_deref().is_some_and(|id| state.has_command(id)) {
        return Ok(());
    }
    let request = &*admitted(state, request)?;
    let asker = Asker { state, request };
    match &request.command {
        Command::Retry { step, downstream } => asker.may_retry(step, *downstream).map(|_| ()),
        Command::Skip { step } | Command::Complete { step, .. } => asker.may_settle(step).map(|_| ()),
        _ => asker.decided(None).map(|_| ()),
    }
}

/// A request as it is decided, unless it is refused whatever it is about in the end.
fn admitted<'a>(state: &RunState, request: &'a Request) -> Result<Cow<'a, Request>, Rejection> {
    if let Some(expected) = request.expected_plan_version
        && expected != state.plan_version
    {
        return Err(Rejection::new(
            RejectionCode::Stale,
            format!("the plan is at version {}, not {expected}", state.plan_version),
        )
        .possible("look at what changed and send it again"));
    }
    // Which intervention it was that an undo without a name has taken is part of the record.
    let request = match request.command {
        Command::Undo { version: None } => {
            Cow::Owned(Request { command: newest_undoable(state)?.command(), ..request.clone() })
        }
        _ => Cow::Borrowed(request),
    };
    if request.command.changes_plan() {
        Asker { state, request: &request }.refuse_while_rolling_back("its plan is not changed now")?;
    }
    Ok(request)
}

/// The record of a request in the intervention log.
pub(super) fn record(
    request: &Request,
    status: InterventionStatus,
    error: Option<String>,
    inverse: Option<Box<Inverse>>,
    moment: &Moment,
) -> Event {
    Event::Intervention(Box::new(Intervention {
        intervention_id: request.id,
        intervention_type: request.command.intervention_type().to_owned(),
        target_step_id: request.command.target().map(str::to_owned),
        parameters: request.command.parameters(),
        user: request.user.clone(),
        uid: request.uid.filter(|_| request.command.is_sign_off()),
        timestamp: moment.now,
        status,
        reason: request.reason.clone(),
        error,
        command_id: request.command_id.clone(),
        inverse,
        undone_by: None,
    }))
}

/// The reset of everything that depends on a step, if anything of it has to be reset. What a person completed by hand stays, and so does what
/// one skipped after the retry was `asked` for, while the attempt was still being stopped. `foreach` steps among it are expanded anew.
pub(super) fn reset_downstream(state: &RunState, position: usize, asked: Option<DateTime<Utc>>) -> Vec<Event> {
    // What runs again and is an instance itself has its step behind it, the items of which stay.
    let own = state.parent(position);
    let resets = |position: usize| {
        let step = &state.steps[position];
        let expanded = step.expansion.is_some() && Some(position) != own;
        let skipped_since = step.skip.as_ref().is_some_and(|skip| skip.why == SkipReason::Operator)
            && asked.is_some_and(|asked| step.since.is_some_and(|since| since > asked));
        let touched = step.status != StepStatus::Pending || is_signed(step) || expanded;
        touched && !step.status.is_live() && step.by_hand.is_none() && !skipped_since
    };
    let downstream = state.order().downstream(position);
    let is_live = |position: usize| state.steps[position].status.is_live();
    let anew = downstream.iter().copied().filter(|step| {
        let expanded = Some(*step) != own && state.steps[*step].expansion.is_some();
        expanded && resets(*step) && !state.instances(*step).into_iter().flatten().any(is_live)
    });
    let anew: BTreeSet<usize> = anew.collect();
    // Instances go with their step, or stay with it.
    let own_way = |step: &usize| state.parent(*step).is_none_or(|parent| Some(parent) == own);
    let again = downstream.into_iter().filter(|step| own_way(step) && resets(*step));
    let removed = anew.iter().map(|step| state.plan.steps[*step].step_id.clone()).collect::<Vec<_>>();
    let mut events = Vec::new();
    events.extend((!removed.is_empty()).then_some(Event::InstancesRemoved { steps: removed }));
    events.extend(reset(again.map(|position| state.plan.steps[position].step_id.clone()).collect()));
    events
}

/// Whoever signed off what depends on a step had not seen what it does when it runs after all.
pub(super) fn reset_sign_offs(state: &RunState, position: usize) -> Vec<Event> {
    reset_after(state, position, |step| match step.status {
        // It has gone on with it already.
        _ if step.expansion.is_some() => false,
        StepStatus::Held => true,
        StepStatus::Pending => is_signed(step),
        _ => false,
    })
}

fn reset_after(state: &RunState, position: usize, resets: impl Fn(&StepState) -> bool) -> Vec<Event> {
    let downstream = state.order().downstream(position).into_iter().filter(|position| resets(&state.steps[*position]));
    reset(downstream.map(|position| state.plan.steps[position].step_id.clone()).collect()).into_iter().collect()
}

fn reset(steps: Vec<String>) -> Option<Event> {
    (!steps.is_empty()).then_some(Event::StepsReset { steps })
}

fn is_signed(step: &StepState) -> bool {
    step.hold.as_ref().is_some_and(|hold| hold.released || !hold.signed.is_empty())
}

/// Whether something would go on if the run was resumed now, or it is refused until something else is done. The cost does not follow the number of steps:
/// a screen asks this for each of its frames.
pub fn can_resume(state: &RunState) -> bool {
    state.status == RunStatus::Paused && !state.cancelling && state.index.fatal.is_empty() && could_go_on(state)
}

/// Whether a paused run has anything to go on with.
fn could_go_on(state: &RunState) -> bool {
    let by_word = [PauseReason::Operator, PauseReason::Recovered].iter().any(|why| state.paused.contains(why));
    // Whoever lets a run go on in which only a question is open wants it to go on with the answer.
    state.moves() || by_word && !state.index.asking.is_empty() && waits_for(state) != state.paused
}

/// What a run waits for, in words: the failures, holds, reviews and interrupted steps, with what answers each. One that is being cancelled waits
/// for nothing but the end of its attempts.
pub fn open_questions(state: &RunState) -> Vec<String> {
    if state.cancelling {
        return Vec::new();
    }
    let index = &state.index;
    let mut said = Vec::new();
    let mut say = |positions: &mut dyn Iterator<Item = &usize>, what: &str| {
        for position in positions.filter(|position| state.takes_part(**position)) {
            said.push(format!("`{}` {what}", state.plan.steps[*position].step_id));
        }
    };
    say(&mut index.failed.iter(), "failed: retry it, skip it, or complete it by hand");
    say(&mut index.interrupted.iter(), "was interrupted: retry it, skip it, or complete it by hand");
    say(&mut index.cancelled.iter(), "was stopped: retry it, skip it, or complete it by hand");
    say(&mut index.held.iter(), "is held: release it");
    say(&mut index.in_review.iter(), "is in review: approve or reject it");
    say(&mut index.asking.iter(), "asks a person: answer it, skip it, or complete it by hand");
    said
}

pub(super) fn refuse(message: impl Into<String>) -> Rejection {
    Rejection::new(RejectionCode::NotNow, message)
}

pub(super) fn applied(events: Vec<Event>) -> Decision {
    Ok((InterventionStatus::Applied, events))
}

pub(super) struct Asker<'a> {
    pub state: &'a RunState,
    pub request: &'a Request,
}

pub(super) struct Target<'a> {
    pub position: usize,
    pub id: &'a str,
    pub definition: &'a Arc<Step>,
    pub step: &'a StepState,
}

impl Asker<'_> {
    /// What the command leads to; `target` is the state at the checkpoint a restore goes back to.
    fn decided(&self, target: Option<&Arc<RunState>>) -> Decision {
        match &self.request.command {
            Command::Start => self.start(),
            Command::Pause => self.pause(),
            Command::Resume => self.resume(),
            Command::Cancel => self.cancel(),
            Command::Rollback => self.rollback(),
            Command::Interrupt => self.interrupt(),
            Command::Retry { step, downstream } => self.retry(step, *downstream),
            Command::Skip { step } => self.skip(step),
            Command::Complete { step, result } => self.complete(step, result.as_ref()),
            Command::Hold { step } => self.hold(step),
            Command::Unhold { step } => self.unhold(step),
            Command::Release { step } => self.release(step),
            Command::Approve { step } => self.review(step, ReviewStatus::Approved),
            Command::Reject { step } => self.review(step, ReviewStatus::Rejected),
            Command::Escalate { step } => self.review(step, ReviewStatus::Escalated),
            Command::Answer { step, question, answer } => self.answer(step, *question, answer),
            Command::SetParallel { value } => self.set_parallel(*value),
            Command::Modify { step, patch } => self.modify(step, patch),
            Command::Add { step, place, rewire } => self.add(step, place, *rewire),
            Command::Remove { step } => self.remove(step),
            Command::Reorder { steps } => self.reorder(steps),
            Command::Undo { version: Some(version) } => self.undo_version(*version),
            Command::Undo { version: None } => Err(refuse("no intervention is left to undo")),
            Command::UndoIntervention { intervention } => self.undo_intervention(*intervention),
            Command::UseVersion { version } => self.use_version(*version),
            Command::Restore { checkpoint } => self.restore(*checkpoint, target),
        }
    }

    /// Whether the run may go on without a word of `resume`.
    fn would_go_on(&self) -> bool {
        let state = self.state;
        let by_word = [PauseReason::Operator, PauseReason::Recovered].iter().any(|why| state.paused.contains(why));
        let active = matches!(state.status, RunStatus::Running | RunStatus::Paused) && !state.cancelling;
        active && !by_word && self.request.command != Command::Cancel
    }

    pub(super) fn target<'b>(&'b self, id: &'b str) -> Result<Target<'b>, Rejection> {
        let state = self.state;
        let Some(position) = state.position(id) else {
            return Err(super::change::no_step(state, id));
        };
        self.refuse_other_turn(position)?;
        let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
        if let Some(seen) = self.request.seen
            && seen != step.status
        {
            return Err(Rejection::new(
                RejectionCode::Stale,
                format!("`{id}` was {} when this was asked; it is {} now", seen.word(), step.status.word()),
            )
            .possible("look again and repeat it if it is still meant"));
        }
        Ok(Target { position, id, definition, step })
    }

    fn reasons(&self) -> String {
        self.state.paused.iter().map(|reason| reason.word()).collect::<Vec<_>>().join(", ")
    }

    /// A rule about the run that it does not meet, and what is possible with it as it is.
    pub(super) fn refuse_run(&self, rule: &str) -> Rejection {
        let state = self.state;
        if state.cancelling {
            return refuse(format!("{rule}; this one is being cancelled"))
                .possible("cancel again to kill what still runs");
        }
        let possible = match state.status {
            RunStatus::Idle => "start it, or cancel it",
            RunStatus::Running => "pause it, or cancel it",
            RunStatus::Paused => "resume it, or cancel it",
            RunStatus::Completed => "restoring a checkpoint, or retrying a step with everything after it, reopens it",
            RunStatus::Failed | RunStatus::Cancelled => {
                "retrying or skipping a step, or restoring a checkpoint, reopens it"
            }
        };
        refuse(format!("{rule}; this one is {}", state.status.word())).possible(possible)
    }

    /// What can be done about the step at a place.
    pub(super) fn answers_to(&self, position: usize) -> &'static str {
        let (definition, step) = (&self.state.plan.steps[position], &self.state.steps[position]);
        self.answers(&Target { position, id: &definition.step_id, definition, step })
    }

    /// What can be done about a step as it is.
    pub(super) fn answers(&self, target: &Target<'_>) -> &'static str {
        match target.step.status {
            StepStatus::Pending if target.step.rolled_back && self.state.status.is_ended() => {
                "retry it, skip it, or complete it by hand"
            }
            StepStatus::Pending if target.step.expansion.is_some() => {
                "act on its instances, skip it, or complete it by hand"
            }
            StepStatus::Pending => "skip it, or complete it by hand",
            StepStatus::Held if self.state.status.is_ended() => "skip it, or complete it by hand",
            StepStatus::Held => "release it, skip it, or complete it by hand",
            StepStatus::Running if target.step.question().is_some() => "answer it, skip it, or complete it by hand",
            StepStatus::Running => "retrying it, skipping it or completing it by hand stops its attempt first",
            StepStatus::Stopping => "wait until it has stopped",
            StepStatus::Waiting => "retry it now, skip it, or complete it by hand",
            StepStatus::InReview => "approve or reject it",
            StepStatus::Interrupted | StepStatus::Failed | StepStatus::Cancelled => {
                "retry it, skip it, or complete it by hand"
            }
            StepStatus::Skipped if self.state.status != RunStatus::Completed => "retry it to run it after all",
            StepStatus::Completed | StepStatus::Skipped => "retry it with everything after it",
        }
    }

    pub(super) fn refuse_while_cancelling(&self) -> Result<(), Rejection> {
        if self.state.cancelling {
            return Err(refuse("the run is being cancelled").possible("cancel again to kill what still runs"));
        }
        Ok(())
    }

    pub(super) fn refuse_ended(&self) -> Result<(), Rejection> {
        self.refuse_while_cancelling()?;
        if self.state.status.is_ended() {
            return Err(self.refuse_run("only a run that has not ended takes this"));
        }
        Ok(())
    }

    fn refuse_done(&self, target: &Target<'_>) -> Result<(), Rejection> {
        if target.step.status.is_satisfied() {
            let word = target.step.status.word();
            return Err(refuse(format!("`{}` is {word} already", target.id)).possible(self.answers(target)));
        }
        Ok(())
    }

    fn refuse_live_downstream(&self, target: &Target<'_>) -> Result<(), Rejection> {
        let state = self.state;
        if state.index.live.iter().all(|position| *position == target.position) {
            return Ok(());
        }
        let is_live = |position: &usize| state.steps[*position].status.is_live();
        let own: Vec<usize> = state.instances(target.position).into_iter().flatten().filter(is_live).collect();
        if !own.is_empty() {
            return Err(refuse(format!("instances of `{}` are running ({})", target.id, some_ids(state, &own)))
                .possible("pause, and wait until they have ended"));
        }
        let downstream = state.order().downstream(target.position);
        let live: Vec<usize> = downstream.into_iter().filter(is_live).collect();
        if live.is_empty() {
            return Ok(());
        }
        let ids = some_ids(state, &live);
        Err(refuse(format!("steps after `{}` are running ({ids})", target.id))
            .possible("pause, and wait until they have ended"))
    }

    pub(super) fn reopened(&self) -> Vec<Event> {
        if self.state.status.is_ended() { vec![Event::RunReopened] } else { Vec::new() }
    }

    /// What was decided to follow when an attempt has stopped stays decided.
    fn refuse_stopping(&self, target: &Target<'_>) -> Result<(), Rejection> {
        match &target.step.stop {
            Some(stop) if stop.why != StopReason::Timeout => {
                Err(refuse(format!("`{}` is being stopped already", target.id)).possible("wait until it has stopped"))
            }
            _ => Ok(()),
        }
    }

    /// The attempt has to stop first; the intervention is pending until it has.
    fn stop_first(&self, target: &Target<'_>, why: StopReason) -> (InterventionStatus, Vec<Event>) {
        (InterventionStatus::Pending, self.stop(target.position, why, false, Some(self.request.id)))
    }

    /// Asks an attempt to stop. An intervention that waited for it is overtaken.
    pub(super) fn stop(
        &self,
        position: usize,
        why: StopReason,
        kill: bool,
        intervention: Option<uuid::Uuid>,
    ) -> Vec<Event> {
        let step = &self.state.steps[position];
        let Some(attempt) = step.attempt() else { return Vec::new() };
        let record = |id: uuid::Uuid| self.state.interventions.iter().rev().find(|one| one.intervention_id == id);
        let overtaken = step.stop.as_ref().and_then(|stop| record(stop.intervention?));
        let mut events = Vec::new();
        if let Some(record) = overtaken.filter(|record| record.status == InterventionStatus::Pending) {
            let by = || format!("overtaken by {} of {}", self.request.command.intervention_type(), self.request.user);
            // The skip of a `foreach` step has had its effect on what did not run.
            let (status, error) = match record.inverse {
                Some(_) => (InterventionStatus::Applied, None),
                None => (InterventionStatus::Failed, Some(by())),
            };
            let intervention_id = record.intervention_id;
            events.push(Event::InterventionSettled { intervention_id, status, error, inverse: None });
        }
        events.push(Event::StopRequested {
            step: self.state.plan.steps[position].step_id.clone(),
            attempt: attempt.number,
            why,
            kill,
            intervention,
        });
        events
    }
}

/// The ids of steps, a few of them by name.
fn some_ids(state: &RunState, positions: &[usize]) -> String {
    let mut named = state.step_ids(positions.iter().take(QUESTIONS_TOLD)).join(", ");
    if positions.len() > QUESTIONS_TOLD {
        named.push_str(&format!(" and {} more", positions.len() - QUESTIONS_TOLD));
    }
    named
}

/// Whether a run can go back to a checkpoint, before the state there is read.
///
/// # Errors
/// The refusal that the command would get.
pub fn restorable(state: &RunState, checkpoint: u64) -> Result<(), Rejection> {
    let request = Request::new(uuid::Uuid::nil(), Command::Restore { checkpoint }, "");
    Asker { state, request: &request }.refuse_unless_at_rest()?;
    if state.has_checkpoint(checkpoint) { Ok(()) } else { Err(no_checkpoint(checkpoint)) }
}

/// There is no checkpoint at this place of a run.
pub fn no_checkpoint(checkpoint: u64) -> Rejection {
    Rejection::new(RejectionCode::NotFound, format!("there is no checkpoint {}", super::checkpoint_id(checkpoint)))
        .possible("the list of checkpoints has their ids")
}
