//! What operators may ask, and when: the rules of every command.
//!
//! Each function answers for one command: the events that carry it out, or the rule that refuses it and what would be possible instead.
//! Every request leaves a record in the intervention log, refused ones as well (see [`super::log_refusal`]).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::{FailurePolicy, Plan, Step, difference};

use super::decide::{asks_for_failure, waits_for};
use super::undo::{inverse_of, newest_undoable};
use super::{
    Answer, ChangeCause, Command, Event, Intervention, InterventionStatus, Inverse, Moment, PauseReason, Rejection,
    RejectionCode, Request, ReviewStatus, RunState, RunStatus, SkipReason, StepState, StepStatus, StopReason,
};

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

/// What a retry comes to.
enum Retried {
    /// A `foreach` step is expanded anew.
    Anew,
    /// The instances of a `foreach` step that have come to nothing run again.
    Instances,
    /// Its attempt is stopped first.
    WhenStopped,
    /// It gets a new attempt.
    Queued,
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

    fn start(&self) -> Decision {
        match self.state.status {
            RunStatus::Idle => applied(vec![Event::RunStarted]),
            _ => Err(self.refuse_run("only an idle run can be started")),
        }
    }

    fn pause(&self) -> Decision {
        self.refuse_while_cancelling()?;
        match self.state.status {
            RunStatus::Running => applied(vec![paused(PauseReason::Operator)]),
            RunStatus::Paused => Err(refuse(format!("the run is already paused ({})", self.reasons()))
                .possible("resume it when it may go on, or cancel it")),
            _ => Err(self.refuse_run("only a running run can be paused")),
        }
    }

    fn resume(&self) -> Decision {
        self.refuse_while_cancelling()?;
        let state = self.state;
        let index = &state.index;
        match state.status {
            RunStatus::Paused => {}
            _ => return Err(self.refuse_run("only a paused run can be resumed")),
        }
        if !index.fatal.is_empty() {
            let ids = state.step_ids(&index.fatal).join(", ");
            let rolls_back = |place: &usize| state.steps[*place].failed_with == Some(FailurePolicy::Rollback);
            let what = if index.fatal.iter().any(rolls_back) { "is rolled back" } else { "ends" };
            return Err(refuse(format!("the run {what} because of {ids} when what still runs has ended"))
                .possible("retry or skip the failed step to let it go on"));
        }
        if !could_go_on(state) {
            let mut questions = open_questions(state);
            let more = questions.len().saturating_sub(QUESTIONS_TOLD);
            questions.truncate(QUESTIONS_TOLD);
            questions.extend((more > 0).then(|| format!("and {more} more")));
            return Err(refuse("nothing could run").possible(questions.join("; ")));
        }
        applied(vec![Event::RunResumed])
    }

    fn cancel(&self) -> Decision {
        let state = self.state;
        match state.status {
            RunStatus::Idle => return applied(vec![Event::RunCancelled]),
            RunStatus::Running | RunStatus::Paused => {}
            _ => return Err(self.refuse_run("only a run that has not ended can be cancelled")),
        }
        let kill = state.cancelling;
        if kill && self.request.no_kill {
            return Err(Rejection::new(
                RejectionCode::Stale,
                "the run has been cancelled meanwhile, and is being cancelled now",
            )
            .possible("cancel again to kill what still runs"));
        }
        let stops: Vec<usize> = state
            .index
            .live
            .iter()
            .copied()
            .filter(|position| !kill || state.steps[*position].stop.as_ref().is_none_or(|stop| !stop.kill))
            .collect();
        if kill && stops.is_empty() {
            return Err(refuse("the run is being cancelled and its attempts are being killed already")
                .possible("wait until they have ended"));
        }
        let mut events = vec![Event::CancelRequested { kill }];
        let mut settled = BTreeSet::new();
        for position in stops {
            let stops = self.stop(position, StopReason::Cancel, kill, None);
            events.extend(stops.into_iter().filter(|event| match event {
                Event::InterventionSettled { intervention_id, .. } => settled.insert(*intervention_id),
                _ => true,
            }));
        }
        applied(events)
    }

    fn interrupt(&self) -> Decision {
        let state = self.state;
        match state.status {
            RunStatus::Running | RunStatus::Paused => {}
            _ => return Err(self.refuse_run("only a run that is running or paused can be interrupted")),
        }
        let mut events = Vec::new();
        if !state.cancelling && !state.paused.contains(&PauseReason::Operator) {
            events.push(paused(PauseReason::Operator));
        }
        // What is being stopped already, by whomever and for whatever, keeps what was decided to follow, and its grace period. What outlives
        // the engine is left alone: whoever opens the run next takes it up again.
        let running = |position: &&usize| {
            state.steps[**position].status == StepStatus::Running && !state.outlives_engine(**position)
        };
        for position in state.index.live.iter().filter(running) {
            events.extend(self.stop(*position, StopReason::Interrupt, false, None));
        }
        applied(events)
    }

    /// Whether a step may be retried, and what that comes to. The cost does not follow the number of steps, unless everything after it is to run again.
    fn may_retry<'b>(&'b self, step: &'b str, downstream: bool) -> Result<(Target<'b>, Retried), Rejection> {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        let run = self.state.status;
        if run == RunStatus::Completed && !downstream {
            return Err(
                refuse("the run is completed").possible("retry with everything after it, or restore a checkpoint")
            );
        }
        if downstream {
            self.refuse_live_downstream(&target)?;
        }
        if target.step.expansion.is_some() && (downstream || target.step.status != StepStatus::Completed) {
            if downstream {
                return Ok((target, Retried::Anew));
            }
            self.refuse_without_failed_instance(&target)?;
            return Ok((target, Retried::Instances));
        }
        match target.step.status {
            StepStatus::Running | StepStatus::Stopping => {
                self.refuse_stopping(&target)?;
                return Ok((target, Retried::WhenStopped));
            }
            StepStatus::Completed if !downstream => {
                return Err(refuse(format!("`{step}` is completed")).possible("retry it with everything after it"));
            }
            // What a run has undone and ended with is what takes it up again.
            StepStatus::Pending if target.step.rolled_back && run.is_ended() => {}
            StepStatus::Pending if !target.step.attempts.is_empty() => {
                return Err(refuse(format!("`{step}` is queued already")).possible("it runs when its turn comes"));
            }
            StepStatus::Pending => {
                let possible = match run {
                    RunStatus::Idle => "start the run",
                    _ if run.is_ended() => self.answers(&target),
                    _ => "it runs when its turn comes",
                };
                return Err(refuse(format!("`{step}` has not run yet")).possible(possible));
            }
            StepStatus::Held => {
                return Err(refuse(format!("`{step}` is held and has not run yet")).possible(self.answers(&target)));
            }
            _ => {}
        }
        Ok((target, Retried::Queued))
    }

    fn retry(&self, step: &str, downstream: bool) -> Decision {
        let (target, retried) = self.may_retry(step, downstream)?;
        match retried {
            Retried::Anew => return applied(self.expand_anew(&target)),
            Retried::Instances => return applied(self.retry_instances(&target)),
            Retried::WhenStopped => return Ok(self.stop_first(&target, StopReason::Retry)),
            Retried::Queued => {}
        }
        let mut events = self.reopened();
        events.push(Event::StepQueued { step: step.to_owned() });
        events.extend(self.parent_again(target.position));
        if downstream {
            events.extend(reset_downstream(self.state, target.position, None));
        } else if target.step.status == StepStatus::Skipped {
            events.extend(reset_sign_offs(self.state, target.position));
        }
        applied(events)
    }

    /// Whether a step may be skipped, or counted as done by hand.
    fn may_settle<'b>(&'b self, step: &'b str) -> Result<Target<'b>, Rejection> {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        self.refuse_done(&target)?;
        if target.step.status.is_live() {
            self.refuse_stopping(&target)?;
        }
        Ok(target)
    }

    fn skip(&self, step: &str) -> Decision {
        let target = self.may_settle(step)?;
        if target.step.status.is_live() {
            return Ok(self.stop_first(&target, StopReason::Skip));
        }
        let mut events = self.reopened();
        events.extend(self.skip_instances(target.position));
        events.push(Event::StepSkipped {
            step: step.to_owned(),
            why: SkipReason::Operator,
            user: Some(self.request.user.clone()),
            reason: self.request.reason.clone(),
        });
        events.extend(self.parent_again(target.position));
        Ok((self.when_stopped(&events), events))
    }

    /// What stops attempts is done when they have ended.
    fn when_stopped(&self, events: &[Event]) -> InterventionStatus {
        let own = Some(self.request.id);
        let waits = |event: &Event| matches!(event, Event::StopRequested { intervention, .. } if *intervention == own);
        if events.iter().any(waits) { InterventionStatus::Pending } else { InterventionStatus::Applied }
    }

    fn complete(&self, step: &str, result: Option<&serde_json::Value>) -> Decision {
        let target = self.may_settle(step)?;
        if target.step.status.is_live() {
            return Ok(self.stop_first(&target, StopReason::Complete));
        }
        let mut events = self.reopened();
        events.extend(self.skip_instances(target.position));
        events.push(Event::StepCompletedByHand {
            step: step.to_owned(),
            user: self.request.user.clone(),
            result: result.cloned().map(Arc::new),
        });
        events.extend(self.parent_again(target.position));
        Ok((self.when_stopped(&events), events))
    }

    fn hold(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status == StepStatus::Held {
            return Err(refuse(format!("`{step}` is at its hold point now")).possible(self.answers(&target)));
        }
        let begun = !target.step.attempts.is_empty() || target.step.expansion.is_some();
        if target.step.status != StepStatus::Pending || begun {
            let word = target.step.status.word();
            let now = match target.step.status {
                StepStatus::Pending if target.step.expansion.is_some() => "has its instances already",
                StepStatus::Pending => "has run before",
                _ => &format!("is {word}"),
            };
            return Err(refuse(format!("`{step}` {now}; a hold point can be set only on a step that has not started"))
                .possible(self.answers(&target)));
        }
        if self.state.is_hold_point(target.position) {
            return Err(refuse(format!("`{step}` already has a hold point")).possible("clear it"));
        }
        applied(vec![Event::HoldSet { step: step.to_owned(), reason: self.request.reason.clone() }])
    }

    fn unhold(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status == StepStatus::Held {
            return Err(refuse(format!("`{step}` is held now")).possible("release it, which signs it off"));
        }
        if target.step.status != StepStatus::Pending || !self.state.is_hold_point(target.position) {
            return Err(
                refuse(format!("`{step}` has no hold point that could be cleared")).possible(self.answers(&target))
            );
        }
        applied(vec![Event::HoldCleared { step: step.to_owned() }])
    }

    fn release(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status != StepStatus::Held {
            let word = target.step.status.word();
            let ahead = self.state.is_hold_point(target.position) && target.step.status == StepStatus::Pending;
            let possible =
                if ahead { "wait until the run gets there, or clear the hold point" } else { self.answers(&target) };
            return Err(refuse(format!("`{step}` is {word}, not held")).possible(possible));
        }
        let user = &self.request.user;
        let (signed, needed) = self.state.signatures(target.position);
        if signed.iter().any(|signature| signature.user == *user) {
            return Err(
                refuse(format!("{user} has signed `{step}` off already")).possible("another person must sign as well")
            );
        }
        let released = signed.len() + 1 >= needed as usize;
        let (user, uid) = (user.clone(), self.request.uid);
        applied(vec![Event::HoldReleased { step: step.to_owned(), user, uid, released }])
    }

    fn review(&self, step: &str, status: ReviewStatus) -> Decision {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        if target.step.status != StepStatus::InReview {
            let word = target.step.status.word();
            return Err(refuse(format!("`{step}` is {word}, not in review")).possible(self.answers(&target)));
        }
        let policy = target.definition.on_failure.unwrap_or(self.state.options.on_failure);
        let rejected = status == ReviewStatus::Rejected;
        // Passed on, it still waits: that takes up no run that has ended.
        let mut events = if status == ReviewStatus::Escalated { Vec::new() } else { self.reopened() };
        events.push(Event::ReviewAnswered {
            step: step.to_owned(),
            user: self.request.user.clone(),
            uid: self.request.uid,
            status,
            notes: self.request.reason.clone(),
            policy: rejected.then_some(policy),
        });
        events.extend(asks_for_failure(self.state, policy).filter(|_| rejected));
        applied(events)
    }

    fn answer(&self, step: &str, question: Option<u32>, answer: &Answer) -> Decision {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        let Some((number, asked)) = target.step.question() else {
            let now = match target.step.status {
                StepStatus::Running => "is running",
                status => &format!("is {}", status.word()),
            };
            return Err(refuse(format!("`{step}` {now} and asks nothing")).possible(self.answers(&target)));
        };
        if question.is_some_and(|seen| seen != number) {
            return Err(Rejection::new(RejectionCode::Stale, format!("`{step}` asks something else by now"))
                .possible("look at what it asks and answer that"));
        }
        let answer = match answer {
            Answer::Declined => Answer::Declined,
            Answer::Accepted(given) => {
                let values = asked.question.fields.complete(given);
                Answer::Accepted(values.map_err(|wrong| Rejection::new(RejectionCode::Invalid, wrong))?)
            }
        };
        applied(vec![Event::QuestionAnswered {
            step: step.to_owned(),
            attempt: target.step.last_attempt,
            user: self.request.user.clone(),
            answer,
            notes: self.request.reason.clone(),
        }])
    }

    fn set_parallel(&self, value: u32) -> Decision {
        self.refuse_ended()?;
        if !(1..=MAX_PARALLEL_LIMIT).contains(&value) {
            return Err(Rejection::new(
                RejectionCode::Invalid,
                format!("{value} attempts at the same time cannot be set; 1 to {MAX_PARALLEL_LIMIT} can"),
            ));
        }
        applied(vec![Event::MaxParallelSet { value }])
    }

    /// What a restore needs, wherever it goes, and a rollback: a run that has begun and of which nothing works or waits.
    pub(super) fn refuse_unless_at_rest(&self) -> Result<(), Rejection> {
        let state = self.state;
        self.refuse_while_cancelling()?;
        match state.status {
            RunStatus::Running => return Err(refuse("the run is running").possible("pause it first")),
            RunStatus::Idle => return Err(refuse("nothing has run yet").possible("start the run")),
            _ => {}
        }
        if !state.index.live.is_empty() {
            let ids = state.step_ids(&state.index.live).join(", ");
            let possible = match state.bound_to_engine().next() {
                Some(_) => "wait until they have ended",
                None => "they only wait, for a person or for a time: skip them, or complete them by hand",
            };
            return Err(refuse(format!("attempts are still running ({ids})")).possible(possible));
        }
        Ok(())
    }

    fn restore(&self, checkpoint: u64, target: Option<&Arc<RunState>>) -> Decision {
        let state = self.state;
        self.refuse_unless_at_rest()?;
        let Some(target) = target.filter(|target| state.has_checkpoint(checkpoint) && target.seq == checkpoint) else {
            return Err(no_checkpoint(checkpoint));
        };
        let mut events = Vec::new();
        // A rollback that was over there is not taken up again: its steps only told of it.
        let plan = if target.rolling_back { Arc::clone(&target.plan) } else { target.own_plan() };
        // A version's number is never used again: the same number is the same plan, but for what a run makes itself.
        let made = |plan: &Plan| plan.written() < plan.steps.len();
        let same = target.plan_version == state.plan_version && !made(&plan) && !made(&state.plan);
        let edits = if same { Vec::new() } else { difference(&state.plan, &plan) };
        if !edits.is_empty() {
            let (_, change) = self.changed(ChangeCause::Restore { checkpoint }, edits)?;
            events.push(Event::PlanChanged(Box::new(change)));
        }
        let none = StepState::default();
        let steps = (plan.steps.iter().zip(&target.steps))
            .zip(self.places_before(&plan))
            .filter_map(|((definition, then), place)| {
                let id = &definition.step_id;
                let here = place.map(|place| &state.steps[place]);
                let now = here.or_else(|| state.removed.get(id).map(|removed| removed.state.as_ref())).unwrap_or(&none);
                let restored = restored(then, now);
                let differs = here.is_none_or(|here| restored != *here);
                differs.then(|| (id.clone(), restored))
            })
            .collect();
        let rollback = target.rollback.clone().filter(|_| target.rolling_back);
        let instances = super::instances::redefined(target);
        events.push(Event::Restored { to: checkpoint, steps, rollback, instances });
        applied(events)
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

fn paused(reason: PauseReason) -> Event {
    Event::RunPaused { reasons: [reason].into() }
}

/// A step as it was at a checkpoint, brought into the present: nothing of it can be running, and its counter is not undone.
pub(super) fn restored(then: &StepState, now: &StepState) -> StepState {
    let mut step = then.clone();
    if step.status.is_live() {
        step.status = StepStatus::Pending;
    }
    step.stop = None;
    step.last_attempt = now.last_attempt.max(then.last_attempt);
    for attempt in &mut step.attempts {
        // An attempt that was running at the checkpoint has ended since.
        if let Some(ended) = now.attempts.iter().find(|known| known.number == attempt.number) {
            *attempt = Arc::clone(ended);
        }
    }
    // Where the end was on a branch that has been left, only the journal knows it: an attempt that seems to go on for ever would be a lie.
    step.attempts.retain(|attempt| attempt.ended_at.is_some());
    step
}
