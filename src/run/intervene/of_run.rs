//! Commands on a run as a whole: start, pause, resume, cancel, interrupt, how much at once, and back to a checkpoint.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::{FailurePolicy, Plan, difference};

use super::super::{
    ChangeCause, Event, PauseReason, Rejection, RejectionCode, RunState, RunStatus, StepState, StepStatus, StopReason,
};
use super::{
    Asker, Decision, MAX_PARALLEL_LIMIT, QUESTIONS_TOLD, applied, could_go_on, no_checkpoint, open_questions, refuse,
};

impl Asker<'_> {
    pub(super) fn start(&self) -> Decision {
        match self.state.status {
            RunStatus::Idle => applied(vec![Event::RunStarted]),
            _ => Err(self.refuse_run("only an idle run can be started")),
        }
    }

    pub(super) fn pause(&self) -> Decision {
        self.refuse_while_cancelling()?;
        match self.state.status {
            RunStatus::Running => applied(vec![paused(PauseReason::Operator)]),
            RunStatus::Paused => Err(refuse(format!("the run is already paused ({})", self.reasons()))
                .possible("resume it when it may go on, or cancel it")),
            _ => Err(self.refuse_run("only a running run can be paused")),
        }
    }

    pub(super) fn resume(&self) -> Decision {
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

    pub(super) fn cancel(&self) -> Decision {
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

    pub(super) fn interrupt(&self) -> Decision {
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

    pub(super) fn set_parallel(&self, value: u32) -> Decision {
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
    pub(in super::super) fn refuse_unless_at_rest(&self) -> Result<(), Rejection> {
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

    pub(super) fn restore(&self, checkpoint: u64, target: Option<&Arc<RunState>>) -> Decision {
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
        let instances = super::super::instances::redefined(target);
        events.push(Event::Restored { to: checkpoint, steps, rollback, instances });
        applied(events)
    }
}

pub(super) fn paused(reason: PauseReason) -> Event {
    Event::RunPaused { reasons: [reason].into() }
}

/// A step as it was at a checkpoint, brought into the present: nothing of it can be running, and its counter is not undone.
pub(in super::super) fn restored(then: &StepState, now: &StepState) -> StepState {
    let mut step = then.clone();
    if step.status.is_live() {
        step.status = StepStatus::Pending;
    }
    step.stop = None;
    step.last_attempt = now.last_attempt.max(then.last_attempt);
    for attempt in &mut step.attempts {
        // An attempt that was running at the checkpoint has ended since.
        if let Some(ended) = now.numbered(attempt.number) {
            *attempt = Arc::clone(ended);
        }
    }
    // Where the end was on a branch that has been left, only the journal knows it: an attempt that seems to go on for ever would be a lie.
    step.attempts.retain(|attempt| attempt.ended_at.is_some());
    step
}
