//! What a report of the shell leads to, and what follows by itself. What operators ask is decided in [`super::intervene`].

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::plan::{FailurePolicy, RetryPolicy};

use super::intervene;
use super::{
    Event, Input, InterventionStatus, Moment, Outcome, OutcomeStatus, PauseReason, Recorded, Registration, Rejection,
    Request, RunState, RunStatus, SkipReason, StepStatus, StopReason, Then, input_digest, input_of,
};

/// Before the first retry, in seconds, unless the step says otherwise.
pub const DEFAULT_RETRY_DELAY: f64 = 1.0;
/// Each further delay is this many times longer, unless the step says otherwise.
pub const DEFAULT_BACKOFF_FACTOR: f64 = 2.0;
/// No delay is longer, in seconds, unless the step says otherwise.
pub const DEFAULT_MAX_DELAY: f64 = 300.0;

/// The first batch of a run: a plan was opened.
pub fn register(registration: Registration, moment: &Moment) -> Vec<Arc<Recorded>> {
    let event = Event::RunRegistered(Box::new(registration));
    vec![Arc::new(Recorded { seq: 1, time: moment.now, event })]
}

/// Decides an input, folds the decision and everything that follows by itself. The events returned form one batch: on disk all of it counts or
/// none of it.
///
/// # Errors
/// The input was refused; the state is unchanged.
pub fn advance(state: &mut RunState, input: &Input, moment: &Moment) -> Result<Vec<Arc<Recorded>>, Rejection> {
    // A run's time does not go back when a clock is set back: what waits for a time would wait that much longer.
    let moment = &Moment { now: moment.now.max(state.updated_at), ..*moment };
    let mut batch = Vec::new();
    for event in decide(state, input, moment)? {
        fold(state, event, moment, &mut batch);
    }
    while let Some(event) = settle(state, moment) {
        fold(state, event, moment, &mut batch);
    }
    Ok(batch)
}

/// Puts a refused request into the intervention log.
pub fn log_refusal(
    state: &mut RunState,
    request: &Request,
    rejection: &Rejection,
    moment: &Moment,
) -> Vec<Arc<Recorded>> {
    let mut batch = Vec::new();
    let event = intervene::record(request, InterventionStatus::Failed, Some(rejection.to_string()), moment);
    fold(state, event, moment, &mut batch);
    batch
}

fn fold(state: &mut RunState, event: Event, moment: &Moment, batch: &mut Vec<Arc<Recorded>>) {
    // Time in a journal never runs backwards, whatever the clock does.
    let recorded = Recorded { seq: state.seq + 1, time: moment.now.max(state.updated_at), event };
    state.apply(&recorded);
    batch.push(Arc::new(recorded));
}

/// Turns an input into events, or refuses it. Pure.
///
/// # Errors
/// The rule that refuses it and what would have been possible.
pub fn decide(state: &RunState, input: &Input, moment: &Moment) -> Result<Vec<Event>, Rejection> {
    match input {
        Input::Request(request) => intervene::request(state, request, None, moment),
        Input::Restore { request, target } => intervene::request(state, request, Some(target), moment),
        Input::Opened { version, pid, go_on } => Ok(opened(state, version, *pid, *go_on, moment)),
        Input::AttemptEnded { step, attempt, outcome } => Ok(ended(state, step, *attempt, outcome, moment)),
        Input::TimedOut { step, attempt } => Ok(timed_out(state, step, *attempt)),
        Input::Wake => Ok(Vec::new()),
    }
}

/// What follows from a state by itself: the next attempt to start, a hold, a pause, an end. `None` when nothing does.
pub fn settle(state: &RunState, moment: &Moment) -> Option<Event> {
    let index = &state.index;
    if matches!(state.status, RunStatus::Idle) || state.status.is_ended() {
        return None;
    }
    let live = index.live.len();
    if state.cancelling {
        return (live == 0).then_some(Event::RunCancelled);
    }
    if live == 0 && index.counts.done() as usize == state.steps.len() {
        return Some(Event::RunCompleted);
    }
    if !index.fatal.is_empty() {
        return (live == 0).then(|| Event::RunFailed { error: failures(state) });
    }
    if state.status == RunStatus::Paused {
        return goes_on(state).then_some(Event::RunResumed);
    }
    // Nobody's slot is needed to ask for a signature.
    if let Some(position) = index.at_hold.first() {
        let reason = state.hold_reason(*position).map(str::to_owned);
        return Some(Event::StepHeld { step: state.plan.steps[*position].step_id.clone(), reason });
    }
    if live < state.options.max_parallel as usize
        && let Some(event) = next_start(state, moment)
    {
        return Some(event);
    }
    if live > 0 || !index.waiting.is_empty() || !index.ready.is_empty() {
        return None;
    }
    Some(stalled(state))
}

fn next_start(state: &RunState, moment: &Moment) -> Option<Event> {
    let index = &state.index;
    let due = index.waiting.first().filter(|(due, _)| *due <= moment.now).map(|(_, position)| *position);
    let position = due.or_else(|| index.ready.first().map(|(_, position)| *position))?;
    let step = &state.plan.steps[position];
    Some(Event::AttemptStarted {
        step: step.step_id.clone(),
        attempt: state.steps[position].last_attempt + 1,
        digest: input_digest(&input_of(step)),
        input: None,
    })
}

/// Nothing runs, nothing waits for a time, nothing can start, and not every step is done: people must act, or the run has failed.
fn stalled(state: &RunState) -> Event {
    let index = &state.index;
    let mut reasons = BTreeSet::new();
    if !index.held.is_empty() {
        reasons.insert(PauseReason::Hold);
    }
    if !index.in_review.is_empty() {
        reasons.insert(PauseReason::Review);
    }
    if !index.interrupted.is_empty() {
        reasons.insert(PauseReason::Recovered);
    }
    if !index.cancelled.is_empty() {
        reasons.insert(PauseReason::Operator);
    }
    if index.failed.iter().any(|position| state.steps[*position].asks_when_failed()) {
        reasons.insert(PauseReason::StepFailed);
    }
    if !reasons.is_empty() {
        return Event::RunPaused { reasons };
    }
    if !index.failed.is_empty() {
        return Event::RunFailed { error: failures(state) };
    }
    // Cannot happen for a plan that has an order; said plainly instead of waiting for ever if it ever does.
    Event::RunFailed { error: "no step can run and none waits for anybody: the plan has no way on".into() }
}

/// Whether everything a run is paused for has been answered without a word of `resume`.
fn goes_on(state: &RunState) -> bool {
    let index = &state.index;
    let moves =
        !index.ready.is_empty() || !index.at_hold.is_empty() || !index.live.is_empty() || !index.waiting.is_empty();
    !state.paused.is_empty()
        && state.paused.iter().all(|reason| match reason {
            PauseReason::Operator | PauseReason::Recovered => false,
            PauseReason::StepFailed => index.unanswered.is_empty(),
            PauseReason::Hold => index.held.is_empty() || moves,
            PauseReason::Review => index.in_review.is_empty() || moves,
        })
}

fn failures(state: &RunState) -> String {
    const SHOWN: usize = 5;
    let failed = &state.index.failed;
    let mut said: Vec<String> = failed
        .iter()
        .take(SHOWN)
        .map(|position| {
            let outcome = state.steps[*position].attempt().and_then(|attempt| attempt.outcome.as_ref());
            let why = outcome.map(|outcome| outcome.in_words()).filter(|why| !why.is_empty());
            let id = &state.plan.steps[*position].step_id;
            why.map_or_else(|| format!("{id} failed"), |why| format!("{id} failed: {why}"))
        })
        .collect();
    if failed.len() > SHOWN {
        said.push(format!("and {} more", failed.len() - SHOWN));
    }
    said.join("; ")
}

fn opened(state: &RunState, version: &str, pid: u32, go_on: bool, moment: &Moment) -> Vec<Event> {
    let mut events = vec![Event::EngineOpened { epoch: state.epoch + 1, version: version.to_owned(), pid }];
    let lost = Arc::new(Outcome::lost());
    let mut interrupted = false;
    for position in &state.index.live {
        let Some(attempt) = state.steps[*position].attempt() else { continue };
        let follow = ended(state, &state.plan.steps[*position].step_id, attempt.number, &lost, moment);
        interrupted |= follow.iter().any(|event| matches!(event, Event::AttemptEnded { then: Then::Interrupt, .. }));
        events.extend(follow);
    }
    let running = state.status == RunStatus::Running;
    let may_pause = (running || state.status == RunStatus::Paused) && !state.cancelling;
    if may_pause && (interrupted || (running && !go_on)) && !state.paused.contains(&PauseReason::Recovered) {
        events.push(Event::RunPaused { reasons: [PauseReason::Recovered].into() });
    }
    events
}

fn timed_out(state: &RunState, step: &str, attempt: u32) -> Vec<Event> {
    let Some((_, found)) = state.step(step) else { return Vec::new() };
    if found.status != StepStatus::Running || found.attempt().is_none_or(|newest| newest.number != attempt) {
        return Vec::new();
    }
    let step = step.to_owned();
    vec![Event::StopRequested { step, attempt, why: StopReason::Timeout, kill: false, intervention: None }]
}

/// An attempt has ended: the step's next state, and what an intervention that waited for it asked for.
fn ended(state: &RunState, step_id: &str, number: u32, outcome: &Arc<Outcome>, moment: &Moment) -> Vec<Event> {
    let Some((definition, step)) = state.step(step_id) else { return Vec::new() };
    if !step.status.is_live() || step.attempt().is_none_or(|attempt| attempt.number != number) {
        return Vec::new();
    }
    let event = |then: Then| Event::AttemptEnded {
        step: step_id.to_owned(),
        attempt: number,
        outcome: Arc::clone(outcome),
        then,
    };
    let asked = step.stop.as_ref().and_then(|stop| stop.intervention);
    let settled = |status, error: Option<&str>| {
        asked.map(|intervention_id| Event::InterventionSettled {
            intervention_id,
            status,
            error: error.map(str::to_owned),
        })
    };
    if outcome.status == OutcomeStatus::Succeeded {
        let mut events = vec![event(Then::Complete)];
        events.extend(settled(InterventionStatus::Failed, Some("the step completed before it could be stopped")));
        return events;
    }
    match step.stop.as_ref().map(|stop| stop.why) {
        Some(StopReason::Cancel) if outcome.status != OutcomeStatus::Failed => vec![event(Then::Stop)],
        Some(why @ (StopReason::Skip | StopReason::Complete | StopReason::Retry)) => {
            let mut events = vec![event(Then::Stop)];
            let record = asked.and_then(|id| state.interventions.iter().rev().find(|one| one.intervention_id == id));
            let user = record.map_or_else(|| state.user.clone(), |record| record.user.clone());
            match why {
                StopReason::Skip => events.push(Event::StepSkipped {
                    step: step_id.to_owned(),
                    why: SkipReason::Operator,
                    user: Some(user),
                    reason: record.and_then(|record| record.reason.clone()),
                }),
                StopReason::Complete => events.push(Event::StepCompletedByHand {
                    step: step_id.to_owned(),
                    user,
                    result: record
                        .and_then(|record| record.parameters.get("result"))
                        .map(|result| Arc::new(result.clone())),
                }),
                _ => {
                    events.push(Event::StepQueued { step: step_id.to_owned() });
                    let downstream = record.is_some_and(|record| record.parameters["downstream"] == true);
                    if downstream && let Some(position) = state.position(step_id) {
                        events.extend(intervene::reset_downstream(
                            state,
                            position,
                            record.map(|record| record.timestamp),
                        ));
                    }
                }
            }
            events.extend(settled(InterventionStatus::Applied, None));
            events
        }
        Some(StopReason::Interrupt) if outcome.status != OutcomeStatus::Failed => {
            vec![event(if definition.idempotent { Then::Requeue } else { Then::Interrupt })]
        }
        None if outcome.status == OutcomeStatus::Lost && definition.idempotent => vec![event(Then::Requeue)],
        None if outcome.status != OutcomeStatus::Failed => vec![event(Then::Interrupt)],
        // Failed by itself, or stopped because its time was over.
        _ if step.retries < definition.max_retries.unwrap_or(0) && !state.cancelling => {
            let delay = backoff(definition.retry.as_ref(), step.retries, moment.entropy);
            vec![event(Then::Retry { due: after(moment.now, delay) })]
        }
        _ => {
            let policy = definition.on_failure.unwrap_or(state.options.on_failure);
            let mut events = vec![event(Then::Fail { policy })];
            // Rollback actions are not run yet: until they are, an operator decides.
            if matches!(policy, FailurePolicy::Pause | FailurePolicy::Rollback) && !state.cancelling {
                events.push(Event::RunPaused { reasons: [PauseReason::StepFailed].into() });
            }
            events
        }
    }
}

fn after(now: DateTime<Utc>, seconds: f64) -> DateTime<Utc> {
    let delta = TimeDelta::try_milliseconds((seconds * 1000.0) as i64).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Seconds to wait before the next attempt, after `retries` retries: `delay · factor^retries`, at most `max_delay`, varied by `jitter`.
pub fn backoff(policy: Option<&RetryPolicy>, retries: u32, entropy: u64) -> f64 {
    let none = RetryPolicy::default();
    let policy = policy.unwrap_or(&none);
    let delay = policy.delay_seconds.unwrap_or(DEFAULT_RETRY_DELAY).max(0.0);
    if delay == 0.0 {
        // Not left to the formula: nothing times infinity is no number.
        return 0.0;
    }
    let factor = policy.backoff_factor.unwrap_or(DEFAULT_BACKOFF_FACTOR).max(0.0);
    let longest = policy.max_delay_seconds.unwrap_or(DEFAULT_MAX_DELAY).max(0.0);
    let plain = (delay * factor.powi(retries.min(i32::MAX as u32) as i32)).min(longest);
    let share = policy.jitter.unwrap_or(0.0).clamp(0.0, 1.0);
    // 53 random bits: the mantissa of an f64 in 0..1.
    let random = (entropy >> 11) as f64 / (1u64 << 53) as f64;
    (plain * (1.0 + share * (2.0 * random - 1.0))).clamp(0.0, longest)
}
