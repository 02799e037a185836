//! Folding events into a run's state.
//!
//! This is the only place where a run's state changes. It is total: an event that does not fit (an older attempt's, an unknown step's) changes
//! nothing but the sequence number. Its cost follows what the event touches, never the plan's size.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use imbl::Vector;
use uuid::Uuid;

use crate::plan::order::Order;
use crate::plan::{FailurePolicy, Generated, Rare, Step, asks_before_expanding};

use super::instances::{Definitions, Families};
use super::places::Places;
use super::{
    Answered, Asked, Attempt, ByHand, CheckpointCause, CheckpointMark, Ending, Event, Expansion, GateDecision,
    HoldState, Intervention, InterventionStatus, PauseReason, PendingStop, Recorded, Review, ReviewAnswer,
    ReviewStatus, RunState, RunStatus, Signature, Skip, StepState, StepStatus, StopReason, Then,
    queue::Queue,
    state::{Index, Node},
};

impl RunState {
    /// Folds one event.
    pub fn apply(&mut self, recorded: &Recorded) {
        let (seq, time, before) = (recorded.seq, recorded.time, self.updated_at);
        self.seq = self.seq.max(seq);
        self.updated_at = time;
        match &recorded.event {
            Event::RunRegistered(_) => {}
            Event::EngineOpened { epoch, .. } => {
                self.epoch = self.epoch.max(*epoch);
                // Nobody ran it since the last thing that is known of it.
                self.forget_time_without_engine(before, time);
                self.forget_work(before, time);
            }
            Event::RunStarted => {
                self.started_at.get_or_insert(time);
                self.enter_status(RunStatus::Running, time);
                self.mark(seq, time, CheckpointCause::Started, None);
            }
            Event::RunPaused { reasons } => {
                if reasons.contains(&PauseReason::StepFailed) {
                    self.flag_failures();
                }
                if self.status != RunStatus::Paused {
                    self.enter_status(RunStatus::Paused, time);
                    self.mark(seq, time, CheckpointCause::Paused, None);
                }
                self.paused.extend(reasons);
            }
            Event::RunResumed => {
                self.answer_failures();
                self.enter_status(RunStatus::Running, time);
            }
            Event::RunReopened => {
                if self.rollback.take().is_some() {
                    self.drop_rollback(time);
                }
                self.reopen(time);
            }
            Event::CancelRequested { .. } => self.cancelling = true,
            Event::RunTimedOut => self.timed_out = true,
            Event::RunCompleted => self.end(RunStatus::Completed, seq, time),
            Event::RunFailed { error } => {
                self.error = Some(error.clone());
                self.stand_down(time);
                self.end(RunStatus::Failed, seq, time);
            }
            Event::RunCancelled => {
                self.cancelling = false;
                self.stand_down(time);
                self.end(RunStatus::Cancelled, seq, time);
            }
            Event::RollbackStarted { steps, rollback } => self.start_rollback(steps, rollback, time),
            Event::RollbackEnded { undone, ends, error } => {
                for step in undone {
                    self.with(step, time, StepState::undo);
                }
                if let Some(rollback) = &mut self.rollback {
                    rollback.ends = *ends;
                    rollback.over = true;
                }
                self.error = Some(error.clone());
            }
            Event::StepHeld { step, .. } => self.with(step, time, |step| step.status = StepStatus::Held),
            Event::HoldReleased { step, user, uid, released } => self.with(step, time, |step| {
                let hold = step.hold.get_or_insert_default();
                hold.signed.push(Signature { user: user.clone(), uid: *uid });
                if *released {
                    hold.released = true;
                    if step.status == StepStatus::Held {
                        step.status = StepStatus::Pending;
                    }
                }
            }),
            Event::HoldSet { step, reason } => self.with(step, time, |step| {
                step.hold =
                    Some(Box::new(HoldState { set: Some(true), reason: reason.clone(), ..HoldState::default() }));
            }),
            Event::HoldCleared { step } => self.with(step, time, |step| {
                step.hold = Some(Box::new(HoldState { set: Some(false), ..HoldState::default() }));
            }),
            Event::ConditionMet { step } => self.with(step, time, |step| step.condition_met = true),
            Event::StepExpanded { step, items } => {
                if let Some(position) = self.position(step) {
                    let expansion = Expansion { seq, items: items.as_ref().clone() };
                    self.expand(vec![(position, Some(Arc::new(expansion)))], &Definitions::Fresh);
                }
            }
            Event::StepConcluded { step, then, error } => {
                self.with(step, time, |step| {
                    step.follow(then);
                    step.rolled_back = false;
                    step.error = error.as_deref().map(Box::from);
                });
                self.mark(seq, time, CheckpointCause::Step, self.position(step));
            }
            Event::InstancesRemoved { steps } => {
                let of = steps.iter().filter_map(|step| Some((self.position(step)?, None)));
                self.expand(of.collect(), &Definitions::Fresh);
            }
            Event::AttemptStarted { step, attempt, digest, input, due } => self.with(step, time, |step| {
                step.status = StepStatus::Running;
                step.due = None;
                step.rolled_back = false;
                step.last_attempt = step.last_attempt.max(*attempt);
                if step.attempts.is_empty() {
                    // Most steps have one.
                    step.attempts.reserve_exact(1);
                }
                step.attempts.push(Arc::new(Attempt {
                    number: *attempt,
                    digest: *digest,
                    input: input.clone(),
                    started_at: time,
                    due: *due,
                    questions: Rare::default(),
                    ended_at: None,
                    outcome: None,
                    timed_out: false,
                }));
            }),
            Event::QuestionAsked { step, attempt, question } => self.with(step, time, |step| {
                if step.is_live_attempt(*attempt)
                    && let Some(attempt) = step.attempts.last_mut()
                {
                    let asked = Asked { question: Arc::clone(question), time, answered: None };
                    Arc::make_mut(attempt).questions.push(asked);
                }
            }),
            Event::QuestionAnswered { step, attempt, user, answer, notes } => self.with(step, time, |step| {
                if step.is_live_attempt(*attempt)
                    && let Some(attempt) = step.attempts.last_mut()
                    && let Some(asked) = Arc::make_mut(attempt).questions.last_mut()
                {
                    let (user, answer, notes) = (user.clone(), answer.clone(), notes.clone());
                    asked.answered.get_or_insert_with(|| Arc::new(Answered { user, time, answer, notes }));
                }
            }),
            Event::StopRequested { step, attempt, why, kill, intervention } => self.with(step, time, |step| {
                if step.is_live_attempt(*attempt) {
                    step.status = StepStatus::Stopping;
                    let stop = PendingStop { why: *why, kill: *kill, since: time, intervention: *intervention };
                    step.stop = Some(Box::new(stop));
                }
            }),
            Event::AttemptEnded { step, attempt, outcome, then } => {
                let Some(position) = self.position(step) else { return };
                if !self.steps[position].is_live_attempt(*attempt) {
                    return;
                }
                self.change(position, time, |step| {
                    let stop = step.stop.take();
                    if let Some(attempt) = step.attempts.last_mut() {
                        let attempt = Arc::make_mut(attempt);
                        attempt.ended_at = Some(time);
                        attempt.outcome = Some(Arc::clone(outcome));
                        attempt.timed_out =
                            stop.is_some_and(|stop| stop.why == StopReason::Timeout) && !matches!(then, Then::Complete);
                    }
                    step.follow(then);
                });
                if matches!(then, Then::Complete | Then::Fail { .. }) {
                    self.mark(seq, time, CheckpointCause::Step, Some(position));
                }
            }
            Event::ResultJudged { step, attempt, judgement } => self.with(step, time, |step| {
                let asks = judgement.decision == GateDecision::ReviewRequired;
                step.reviews.push(Review {
                    attempt: *attempt,
                    time,
                    judgement: judgement.clone(),
                    status: asks.then_some(ReviewStatus::Pending),
                    answers: Vec::new(),
                });
            }),
            Event::ReviewAnswered { step, user, uid, status, notes, policy } => {
                let Some(position) = self.position(step).filter(|at| self.steps[*at].status == StepStatus::InReview)
                else {
                    return;
                };
                self.change(position, time, |step| {
                    if let Some(review) = step.reviews.last_mut() {
                        review.status = Some(*status);
                        review.answers.push(ReviewAnswer {
                            user: user.clone(),
                            uid: *uid,
                            time,
                            status: *status,
                            notes: notes.clone(),
                        });
                    }
                    match (status, policy) {
                        (ReviewStatus::Approved, _) => step.follow(&Then::Complete),
                        (ReviewStatus::Rejected, Some(policy)) => step.follow(&Then::Fail { policy: *policy }),
                        _ => {}
                    }
                });
                if matches!(status, ReviewStatus::Approved | ReviewStatus::Rejected) {
                    self.mark(seq, time, CheckpointCause::Step, Some(position));
                }
            }
            Event::StepQueued { step } => {
                // It was asked for by name: that is worth more than its condition.
                let conditional = self.step(step).is_some_and(|(definition, _)| asks_before_expanding(definition));
                self.with(step, time, |step| {
                    step.queue();
                    step.condition_met = conditional;
                });
            }
            Event::StepsReset { steps } => {
                for step in steps {
                    self.with(step, time, StepState::begin_anew);
                }
            }
            Event::StepSkipped { step, why, user, reason } => {
                self.with(step, time, |step| {
                    step.clear_verdict();
                    step.status = StepStatus::Skipped;
                    step.rolled_back = false;
                    step.skip = Some(Box::new(Skip { why: *why, user: user.clone(), reason: reason.clone() }));
                });
                self.mark(seq, time, CheckpointCause::Step, self.position(step));
            }
            Event::StepCompletedByHand { step, user, result } => {
                self.with(step, time, |step| {
                    step.clear_verdict();
                    step.status = StepStatus::Completed;
                    step.rolled_back = false;
                    step.by_hand = Some(Box::new(ByHand { user: user.clone(), result: result.clone() }));
                });
                self.mark(seq, time, CheckpointCause::Step, self.position(step));
            }
            Event::MaxParallelSet { value } => self.set_max_parallel(*value),
            Event::PlanChanged(change) => self.change_plan(change, time),
            Event::Restored { steps, rollback, instances, .. } => {
                self.rollback.clone_from(rollback);
                if self.rolling_back != rollback.is_some() {
                    self.rolling_back = rollback.is_some();
                    self.reorder();
                }
                let expansions = self.other_expansions(steps);
                self.expand(expansions, &Definitions::Given(instances));
                for (id, state) in steps {
                    if let Some(position) = self.position(id) {
                        let before = self.leave(position);
                        self.steps.set(position, Arc::new(state.clone()));
                        self.enter(position, before);
                    }
                }
                self.reopen(time);
                self.mark(seq, time, CheckpointCause::Restored, None);
            }
            Event::Intervention(intervention) => {
                if let Some(id) = spent_id(intervention) {
                    self.index.command_ids.insert(id.as_str().into());
                }
                self.interventions.push_back(Arc::new(intervention.as_ref().clone()));
            }
            Event::InterventionUndone { intervention_id, by, again, steps, max_parallel } => {
                let expansions = self.other_expansions(steps);
                self.expand(expansions, &Definitions::AsRemoved);
                for (id, was) in steps {
                    self.with(id, time, |step| step.put_back(was));
                }
                if let Some(value) = max_parallel {
                    self.set_max_parallel(*value);
                }
                if let Some(found) = intervention_mut(&mut self.interventions, *intervention_id) {
                    found.undone_by = Some(*by);
                }
                if let Some(found) = again.and_then(|again| intervention_mut(&mut self.interventions, again)) {
                    found.undone_by = None;
                }
            }
            Event::InterventionSettled { intervention_id, status, error, inverse } => {
                if let Some(found) = intervention_mut(&mut self.interventions, *intervention_id) {
                    found.status = *status;
                    found.error.clone_from(error);
                    if inverse.is_some() {
                        found.inverse.clone_from(inverse);
                    }
                    if spent_id(found).is_none()
                        && let Some(id) = &found.command_id
                    {
                        self.index.command_ids.remove(id.as_str());
                    }
                }
            }
        }
        self.drop_answered_reasons();
        self.note_pause(time);
    }

    /// A hold, a review or a question is no reason any more when the last one is answered, as long as the run is paused for another: one that is paused for
    /// this alone goes on.
    fn drop_answered_reasons(&mut self) {
        let index = &self.index;
        for (reason, open) in [
            (PauseReason::Hold, &index.held),
            (PauseReason::Review, &index.in_review),
            (PauseReason::Question, &index.asking),
        ] {
            if self.paused.len() > 1 && open.is_empty() {
                self.paused.remove(&reason);
            }
        }
    }

    /// Makes what follows from plan and step states anew: after a state was loaded from a file. Cost: the plan's size.
    pub fn reindex(&mut self) {
        self.index.command_ids = self
            .interventions
            .iter()
            .filter_map(|intervention| spent_id(intervention).map(|id| Arc::from(id.as_str())))
            .collect();
        self.index.places = Arc::new(Places::of(&self.plan, &self.step_names));
        self.reorder();
    }

    /// Makes what follows from the plan's order and the step states anew, but for the places of the steps. Cost: the plan's size.
    pub(super) fn reorder(&mut self) {
        let places = std::mem::take(&mut self.index.places);
        let order = places.are_distinct().then(|| Order::with_places(&self.plan, |id| places.position(id)));
        // A plan is checked before it is registered and before it is changed, so it has an order.
        let mut order = order.and_then(Result::ok).unwrap_or_else(|| Order::none(self.plan.steps.len()));
        if let Some(durations) = &self.durations {
            order.weigh(|position| durations.weight(places.number_at(position)));
        }
        let nodes = order.node_count();
        let missing = self.plan.steps.len().saturating_sub(nodes);
        let waits_for = (0..nodes).map(|node| order.predecessor_count(node)).chain(std::iter::repeat_n(0, missing));
        let nodes = waits_for.map(|unmet| Node { unmet, released: false }).collect();
        self.steps.fit(self.plan.steps.len());
        let command_ids = std::mem::take(&mut self.index.command_ids);
        let queue = Queue::new(&self.plan);
        let families = Families::of(&self.plan, &places);
        let order = Arc::new(order);
        self.index = Index { order, places, families, nodes, command_ids, queue, ..Index::default() };
        for position in 0..self.steps.len() {
            self.index.counts.add(self.steps[position].status);
            if self.plan.steps[position].undoes().is_some() {
                self.index.undoing.add(self.steps[position].status);
            }
            self.index.families.count(position, self.steps[position].status);
            self.join(position);
        }
        for position in 0..self.steps.len() {
            self.sync_release(position);
        }
    }

    /// The run ends: a step that waited for its back-off will not be tried again; one at its hold point has not started.
    pub(super) fn stand_down(&mut self, time: DateTime<Utc>) {
        let mut waiting: Vec<usize> = self.index.queue.waiting().collect();
        waiting.extend(&self.index.waiting_blocked);
        let held: Vec<usize> = self.index.held.iter().copied().collect();
        for position in waiting {
            self.change(position, time, |step| {
                step.status = StepStatus::Cancelled;
                step.due = None;
            });
        }
        for position in held {
            self.change(position, time, |step| step.status = StepStatus::Pending);
        }
    }

    /// What no engine has run does not count towards the run's time limit.
    fn forget_time_without_engine(&mut self, before: DateTime<Utc>, time: DateTime<Utc>) {
        if self.status == RunStatus::Running && self.plan.max_execution_time_seconds.is_some() {
            let unowned = (time - before).num_microseconds().unwrap_or(0).max(0);
            self.ran_micros = self.ran_micros.saturating_sub(unowned);
        }
    }

    fn enter_status(&mut self, status: RunStatus, time: DateTime<Utc>) {
        self.note_work(time);
        // Only where it matters: a run without a time limit has one thing less to write down.
        if self.status == RunStatus::Running && self.plan.max_execution_time_seconds.is_some() {
            let ran = (time - self.since).num_microseconds().unwrap_or(0).max(0);
            self.ran_micros = self.ran_micros.saturating_add(ran);
        }
        self.status = status;
        self.since = time;
        if status != RunStatus::Paused {
            self.paused.clear();
        }
    }

    fn end(&mut self, status: RunStatus, seq: u64, time: DateTime<Utc>) {
        self.enter_status(status, time);
        self.ended_at = Some(time);
        if std::mem::take(&mut self.rolling_back) {
            self.reorder();
        }
        self.mark(seq, time, CheckpointCause::Ended, None);
    }

    fn reopen(&mut self, time: DateTime<Utc>) {
        self.answer_failures();
        self.enter_status(RunStatus::Paused, time);
        self.paused = [PauseReason::Operator].into();
        self.cancelling = false;
        self.timed_out = false;
        // Whoever opens it again gives it its time again.
        self.ran_micros = 0;
        self.ended_at = None;
        self.error = None;
    }

    fn mark(&mut self, seq: u64, time: DateTime<Utc>, cause: CheckpointCause, step: Option<usize>) {
        let ending = match (cause, step) {
            (CheckpointCause::Step, Some(position)) => Ending::of_step(self.steps[position].status),
            (CheckpointCause::Ended, _) => Ending::of_run(self.status),
            _ => None,
        };
        let step = step.map(|position| self.index.places.number_at(position).unwrap_or(position as u32));
        // A mark keeps microseconds in a file; it must not be another one after loading.
        let time = time.trunc_subsecs(6);
        self.checkpoints.push_back(CheckpointMark { seq, time, step_index: self.step_index(), cause, step, ending });
    }

    /// The run pauses over its failures: they wait for an answer. A failure that the run has been let past stays let past while a new one
    /// asks; when nothing else can run, all of them ask again.
    fn flag_failures(&mut self) {
        if !self.index.unanswered.is_empty() {
            return;
        }
        let failed: Vec<usize> = self.index.failed.iter().copied().filter(|one| self.takes_part(*one)).collect();
        for position in failed {
            if self.steps[position].asks_when_failed() {
                self.steps.change(position).unanswered = true;
                self.index.unanswered.insert(position);
            }
        }
    }

    /// An operator lets the run go on past its failures.
    pub(super) fn answer_failures(&mut self) {
        let flagged = [std::mem::take(&mut self.index.unanswered), std::mem::take(&mut self.index.fatal)];
        for position in flagged.into_iter().flatten() {
            self.steps.change(position).unanswered = false;
        }
    }

    fn set_max_parallel(&mut self, value: u32) {
        Arc::make_mut(&mut self.options).max_parallel = value;
    }

    fn with(&mut self, step_id: &str, time: DateTime<Utc>, change: impl FnOnce(&mut StepState)) {
        if let Some(position) = self.position(step_id) {
            self.change(position, time, change);
        }
    }

    /// The one door through which a step's state changes: keeps everything that follows from it.
    fn change(&mut self, position: usize, time: DateTime<Utc>, change: impl FnOnce(&mut StepState)) {
        let before = self.leave(position);
        let step = self.steps.change(position);
        change(step);
        if step.status != before {
            step.since = Some(time);
        }
        self.enter(position, before);
    }

    pub(super) fn leave(&mut self, position: usize) -> StepStatus {
        let (definition, step) = (&self.plan.steps[position], &self.steps[position]);
        let index = &mut self.index;
        match step.status {
            StepStatus::Pending => {
                index.queue.remove_ready(definition, &index.order, position);
                index.delist(position);
            }
            StepStatus::Held => {
                index.held.remove(&position);
            }
            StepStatus::Running | StepStatus::Stopping => {
                index.live.remove(&position);
                index.asking.remove(&position);
                index.queue.ended(definition);
            }
            StepStatus::Waiting => {
                index.queue.remove_waiting(definition, step.due.unwrap_or_default(), position);
                index.waiting_blocked.remove(&position);
            }
            StepStatus::InReview => {
                index.in_review.remove(&position);
            }
            StepStatus::Interrupted => {
                index.interrupted.remove(&position);
            }
            StepStatus::Failed => {
                index.failed.remove(&position);
                index.fatal.remove(&position);
                index.unanswered.remove(&position);
            }
            StepStatus::Cancelled => {
                index.cancelled.remove(&position);
            }
            StepStatus::Completed | StepStatus::Skipped => {}
        }
        step.status
    }

    pub(super) fn enter(&mut self, position: usize, before: StepStatus) {
        let status = self.steps[position].status;
        self.index.counts.moved(before, status);
        if self.plan.steps[position].undoes().is_some() {
            self.index.undoing.moved(before, status);
        }
        self.index.families.moved(position, before, status);
        self.join(position);
        self.sync_release(position);
    }

    fn join(&mut self, position: usize) {
        let has_turn = self.index.nodes[position].unmet == 0 && self.takes_part(position);
        let (definition, step) = (&self.plan.steps[position], &self.steps[position]);
        let index = &mut self.index;
        match step.status {
            StepStatus::Pending => {
                if has_turn {
                    self.enlist(position);
                }
            }
            StepStatus::Held => {
                index.held.insert(position);
            }
            StepStatus::Running | StepStatus::Stopping => {
                index.live.insert(position);
                if step.question().is_some() {
                    index.asking.insert(position);
                }
                index.queue.began(definition);
            }
            StepStatus::Waiting if has_turn => {
                index.queue.add_waiting(definition, step.due.unwrap_or_default(), position);
            }
            StepStatus::Waiting => {
                index.waiting_blocked.insert(position);
            }
            StepStatus::InReview => {
                index.in_review.insert(position);
            }
            StepStatus::Interrupted => {
                index.interrupted.insert(position);
            }
            StepStatus::Failed => {
                index.failed.insert(position);
                if step.unanswered {
                    match step.failed_with {
                        Some(FailurePolicy::Fail | FailurePolicy::Rollback) => index.fatal.insert(position),
                        _ => index.unanswered.insert(position),
                    };
                }
            }
            StepStatus::Cancelled => {
                index.cancelled.insert(position);
            }
            StepStatus::Completed | StepStatus::Skipped => {}
        }
    }

    /// Lets go, or holds back again, what waits for a step.
    fn sync_release(&mut self, position: usize) {
        // A step that was skipped ahead of its turn does not let its dependents overtake what it waits for itself.
        let node = self.index.nodes[position];
        let released = self.is_passed(position) && node.unmet == 0;
        if released != node.released {
            self.set_released(position, released);
        }
    }

    /// Whether the step itself no longer holds up what waits for it.
    fn is_passed(&self, position: usize) -> bool {
        self.steps[position].lets_pass(&self.plan.steps[position], &self.index.order)
    }

    /// Carries a node's release, or its end, on to what waits for it. Not recursive: a chain of skipped steps may be as long as the plan.
    fn set_released(&mut self, node: usize, released: bool) {
        let order = Arc::clone(&self.index.order);
        let mut changed = vec![node];
        while let Some(node) = changed.pop() {
            self.index.nodes[node].released = released;
            for next in order.successors(node) {
                let unmet = &mut self.index.nodes[next].unmet;
                let before = *unmet;
                *unmet = if released { before.saturating_sub(1) } else { before + 1 };
                if (before == 0) == (*unmet == 0) {
                    continue;
                }
                if order.is_barrier(next) || self.is_passed(next) {
                    changed.push(next);
                } else {
                    self.move_ready(next, released);
                }
            }
        }
    }

    /// A pending step waits for nothing any more: it may start, or is to be signed off first.
    fn enlist(&mut self, position: usize) {
        let (definition, step) = (&self.plan.steps[position], &self.steps[position]);
        if step.expansion.is_some() {
            self.index.at_end.insert(position);
        } else if !step.condition_met && asks_before_expanding(definition) {
            self.index.at_condition.insert(position);
        } else if self.is_hold_point(position) {
            self.index.at_hold.insert(position);
        } else if definition.foreach.is_some() {
            self.index.at_foreach.insert(position);
        } else {
            let index = &mut self.index;
            index.queue.add_ready(definition, &index.order, position);
        }
    }

    fn move_ready(&mut self, position: usize, released: bool) {
        let released = released && self.takes_part(position);
        let (index, definition, step) = (&mut self.index, &self.plan.steps[position], &self.steps[position]);
        match (step.status, released) {
            (StepStatus::Pending, true) => self.enlist(position),
            (StepStatus::Pending, false) => {
                index.queue.remove_ready(definition, &index.order, position);
                index.delist(position);
            }
            (StepStatus::Waiting, true) => {
                index.waiting_blocked.remove(&position);
                index.queue.add_waiting(definition, step.due.unwrap_or_default(), position);
            }
            (StepStatus::Waiting, false) => {
                index.queue.remove_waiting(definition, step.due.unwrap_or_default(), position);
                index.waiting_blocked.insert(position);
            }
            _ => {}
        }
    }
}

impl Index {
    /// A pending step waits again for something, or is not pending any more.
    fn delist(&mut self, position: usize) {
        for set in [&mut self.at_hold, &mut self.at_condition, &mut self.at_foreach, &mut self.at_end] {
            set.remove(&position);
        }
    }
}

/// The newest ones are asked for most.
fn intervention_mut(all: &mut Vector<Arc<Intervention>>, id: Uuid) -> Option<&mut Intervention> {
    let behind = all.iter().rev().position(|one| one.intervention_id == id)?;
    let place = all.len() - 1 - behind;
    all.get_mut(place).map(Arc::make_mut)
}

/// The caller's id of a command that had, or will have, its effect. One that was refused or overtaken had none: it may be sent again.
fn spent_id(intervention: &Intervention) -> Option<&String> {
    intervention.command_id.as_ref().filter(|_| intervention.status != InterventionStatus::Failed)
}

impl StepState {
    fn is_live_attempt(&self, number: u32) -> bool {
        self.status.is_live() && self.attempts.last().is_some_and(|attempt| attempt.number == number)
    }

    /// Whether the step no longer holds up what waits for it.
    pub(super) fn lets_pass(&self, definition: &Step, order: &Order) -> bool {
        // In a list the steps follow each other but do not need each other: with `continue` the next stage goes on past a failure. In a
        // graph, what depends on the failed step stays blocked. A `foreach` step looks at what has become of its instances itself.
        let is_instance = matches!(definition.generated.as_deref(), Some(Generated::Instance { .. }));
        let passed_over = self.status == StepStatus::Failed
            && self.failed_with == Some(FailurePolicy::Continue)
            && (is_instance || !order.is_graph());
        self.status.is_satisfied() || passed_over
    }

    fn follow(&mut self, then: &Then) {
        match then {
            Then::Complete => {
                self.status = StepStatus::Completed;
                self.clear_verdict();
            }
            Then::Fail { policy } => {
                self.status = StepStatus::Failed;
                self.failed_with = Some(*policy);
                self.unanswered = *policy != FailurePolicy::Continue;
            }
            Then::Retry { due } => {
                self.status = StepStatus::Waiting;
                self.retries += 1;
                self.due = Some(*due);
            }
            Then::Review => self.status = StepStatus::InReview,
            Then::Improve { due } => {
                self.status = StepStatus::Waiting;
                self.gate_retries += 1;
                self.due = Some(*due);
            }
            Then::Stop => self.status = StepStatus::Cancelled,
            Then::Interrupt => self.status = StepStatus::Interrupted,
            Then::Requeue => self.status = StepStatus::Pending,
        }
    }

    /// Stands as it stood, but for its attempts: those are not undone. One that runs is left alone.
    fn put_back(&mut self, was: &StepState) {
        if self.status.is_live() || was.status.is_live() {
            return;
        }
        *self = StepState {
            since: self.since,
            attempts: std::mem::take(&mut self.attempts),
            last_attempt: self.last_attempt.max(was.last_attempt),
            stop: None,
            ..was.clone()
        };
    }

    /// Runs again as if it never had, but for its attempts: what was signed off before is to be signed off again.
    fn begin_anew(&mut self) {
        self.queue();
        if let Some(hold) = &mut self.hold {
            hold.released = false;
            hold.signed.clear();
        }
    }

    /// What it did is undone.
    pub(super) fn undo(&mut self) {
        self.begin_anew();
        self.rolled_back = true;
    }

    fn queue(&mut self) {
        self.clear_verdict();
        self.retries = 0;
        self.gate_retries = 0;
        self.condition_met = false;
        self.status = StepStatus::Pending;
    }

    pub(super) fn clear_verdict(&mut self) {
        // Whoever took the step into their hands did not take the result as it was.
        if self.status == StepStatus::InReview
            && let Some(review) = self.reviews.last_mut()
        {
            review.status = Some(ReviewStatus::Rejected);
        }
        self.due = None;
        self.error = None;
        self.skip = None;
        self.by_hand = None;
        self.failed_with = None;
        self.unanswered = false;
    }
}
