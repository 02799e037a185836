//! What a report of the shell leads to, and what follows by itself. What operators ask is decided in [`super::intervene`].

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use imbl::OrdSet;
use serde_json::Value;

use crate::plan::{FailurePolicy, RetryPolicy, Step};

use super::inputs::{Secrets, condition, items, rendered_step, rendered_value};
use super::intervene;
use super::rollback;
use super::undo::inverse_of;
use super::{
    Event, GateDecision, Input, InputDigest, InterventionStatus, Moment, Outcome, OutcomeStatus, PauseReason, Question,
    Recorded, Registration, Rejection, Request, RunState, RunStatus, SkipReason, StepStatus, StopReason, Then,
    input_of, judge,
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
    let event = intervene::record(request, InterventionStatus::Failed, Some(rejection.to_string()), None, moment);
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
        Input::AttemptEnded { step, attempt, outcome } => {
            let mut events = ended(state, step, *attempt, outcome, &[], moment);
            if outcome.status == OutcomeStatus::Lost {
                events.extend(asks_for_lost(state, &events));
            }
            Ok(events)
        }
        Input::TimedOut { step, attempt } => Ok(timed_out(state, step, *attempt)),
        Input::Asked { step, attempt, number, question } => Ok(asked(state, step, *attempt, *number, question)),
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
    if let Some(event) = rollback::ends(state) {
        return Some(event);
    }
    if state.cancelling {
        return (live == 0).then_some(Event::RunCancelled);
    }
    // It takes no attempt, so it happens whether or not any may start.
    if let Some(position) = index.at_end.get_min() {
        return Some(concluded(state, *position));
    }
    if live == 0 && index.counts.done() as usize == state.steps.len() {
        return Some(Event::RunCompleted);
    }
    if state.timed_out {
        return out_of_time(state);
    }
    if state.deadline().is_some_and(|deadline| deadline <= moment.now) {
        return Some(Event::RunTimedOut);
    }
    if !index.fatal.is_empty() {
        return fails(state);
    }
    if state.status == RunStatus::Paused {
        return goes_on(state).then_some(Event::RunResumed);
    }
    // A step that failed without an attempt has asked for nothing yet.
    if !index.unanswered.is_empty() {
        return Some(Event::RunPaused { reasons: [PauseReason::StepFailed].into() });
    }
    // Nobody's slot is needed to leave a step out, to ask for a signature, or to see for what there is to be an instance.
    if let Some(position) = index.at_condition.get_min() {
        return Some(judged(state, *position));
    }
    if let Some(position) = index.at_hold.get_min() {
        let reason = state.hold_reason(*position).map(str::to_owned);
        return Some(Event::StepHeld { step: state.plan.steps[*position].step_id.clone(), reason });
    }
    if let Some(position) = index.at_foreach.get_min() {
        return Some(expanded(state, *position));
    }
    if let Some(event) = next_start(state, moment) {
        return Some(event);
    }
    if state.works() || state.queue_moves() {
        return None;
    }
    Some(stalled(state))
}

/// What becomes of a run that has nothing to go on with but these failures.
fn over_failures(state: &RunState, failed: &OrdSet<usize>) -> Event {
    let rolls_back = |position: &usize| state.steps[*position].failed_with == Some(FailurePolicy::Rollback);
    if failed.iter().any(rolls_back) { rollback::begins(state) } else { Event::RunFailed { error: failures(state) } }
}

fn next_start(state: &RunState, moment: &Moment) -> Option<Event> {
    let position = state.index.queue.next(moment.now, state.has_slot())?;
    let step = &state.plan.steps[position];
    let started = |digest: InputDigest, input: Option<Arc<Value>>, due| Event::AttemptStarted {
        step: step.step_id.clone(),
        attempt: state.steps[position].last_attempt + 1,
        digest,
        input,
        due,
    };
    Some(match rendered_step(state, position, &Secrets::default()) {
        Ok(None) => started(InputDigest::of(&input_of(step)), None, wait_end(state, step, moment.now)),
        Ok(Some(rendered)) => {
            let input = input_of(&rendered);
            started(InputDigest::of(&input), Some(Arc::new(input)), wait_end(state, &rendered, moment.now))
        }
        Err(error) if error.left_out => left_out(step, SkipReason::Upstream, error.message),
        // The attempt finds the same, and fails with it: so it stands where every other failure stands.
        Err(_) => started(InputDigest::of(&input_of(step)), None, None),
    })
}

/// When a wait that starts now is over. One that does not say it as it should has none: its attempt finds the same, and fails with it.
fn wait_end(state: &RunState, step: &Step, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut spec = state.plan.wait_of(step)?;
    for said in [&mut spec.seconds, &mut spec.until].into_iter().flatten() {
        *said = rendered_value(state, step, said, &Secrets::default()).ok()?;
    }
    spec.with_parameters(&step.parameters).end(now).ok()
}

/// The run fails when the last attempt has ended. What only waits, for people or for a time, could hold that up for ever: when nothing else is
/// left, it is stopped; what has done nothing else starts anew should the run be taken up again.
fn fails(state: &RunState) -> Option<Event> {
    let index = &state.index;
    if index.live.is_empty() {
        return Some(over_failures(state, &index.fatal));
    }
    let only_waits = |position: &usize| {
        index.asking.contains(position) || !state.plan.ability(&state.plan.steps[*position]).takes_slot
    };
    if !index.live.iter().all(only_waits) {
        return None;
    }
    let waits = index.live.iter().find(|position| state.steps[**position].status == StepStatus::Running)?;
    Some(Event::StopRequested {
        step: state.plan.steps[*waits].step_id.clone(),
        attempt: state.steps[*waits].last_attempt,
        why: StopReason::RunFails,
        kill: false,
        intervention: None,
    })
}

/// An attempt asks something. It has one question open at a time, and asks none twice.
fn asked(state: &RunState, step_id: &str, number: u32, which: u32, question: &Arc<Question>) -> Vec<Event> {
    let Some((_, step)) = state.step(step_id) else { return Vec::new() };
    let attempt = step.attempt().filter(|attempt| attempt.number == number && step.status == StepStatus::Running);
    if attempt.is_none_or(|attempt| attempt.questions.len() as u32 + 1 != which) || step.question().is_some() {
        return Vec::new();
    }
    vec![Event::QuestionAsked { step: step_id.to_owned(), attempt: number, question: Arc::clone(question) }]
}

/// What the items of a `foreach` step lead to.
fn expanded(state: &RunState, position: usize) -> Event {
    let definition = &state.plan.steps[position];
    let step = definition.step_id.clone();
    match items(state, position) {
        Ok(items) => Event::StepExpanded { step, items: Arc::new(items) },
        Err(error) if error.left_out => left_out(definition, SkipReason::Upstream, error.message),
        Err(error) => {
            let policy = definition.on_failure.unwrap_or(state.options.on_failure);
            Event::StepConcluded { step, then: Then::Fail { policy }, error: Some(error.message) }
        }
    }
}

/// Every instance of a `foreach` step has come to its end. Those that have failed are let past by their policy: the step then fails with it, so
/// that what comes after goes on, or does not, as after any step.
fn concluded(state: &RunState, position: usize) -> Event {
    let step = state.plan.steps[position].step_id.clone();
    match state.failed_instances(position) {
        None => Event::StepConcluded { step, then: Then::Complete, error: None },
        error => Event::StepConcluded { step, then: Then::Fail { policy: FailurePolicy::Continue }, error },
    }
}

/// The run's time is over: one attempt after the other is asked to stop, and when the last has ended the run fails.
fn out_of_time(state: &RunState) -> Option<Event> {
    let running = state.index.live.iter().find(|position| state.steps[**position].status == StepStatus::Running);
    match running {
        Some(position) => Some(Event::StopRequested {
            step: state.plan.steps[*position].step_id.clone(),
            attempt: state.steps[*position].last_attempt,
            why: StopReason::RunTimeout,
            kill: false,
            intervention: None,
        }),
        None if state.index.live.is_empty() => {
            let limit = state.plan.max_execution_time_seconds.unwrap_or_default();
            Some(Event::RunFailed { error: format!("the time limit of the whole run ({limit} s) is over") })
        }
        None => None,
    }
}

/// What a step's condition says.
fn judged(state: &RunState, position: usize) -> Event {
    let step = &state.plan.steps[position];
    match condition(state, position) {
        Ok(false) => left_out(step, SkipReason::Condition, None),
        Err(error) if error.left_out => left_out(step, SkipReason::Upstream, error.message),
        // A condition that cannot be evaluated is found again by the attempt, which fails with it.
        Ok(true) | Err(_) => Event::ConditionMet { step: step.step_id.clone() },
    }
}

fn left_out(step: &Step, why: SkipReason, reason: impl Into<Option<String>>) -> Event {
    Event::StepSkipped { step: step.step_id.clone(), why, user: None, reason: reason.into() }
}

/// What a run waits for from people when nothing of it can go on by itself.
pub(super) fn waits_for(state: &RunState) -> BTreeSet<PauseReason> {
    let index = &state.index;
    let any = |steps: &OrdSet<usize>| steps.iter().any(|position| state.takes_part(*position));
    let asks = |position: &usize| state.takes_part(*position) && state.steps[*position].asks_when_failed();
    let open = [
        (any(&index.held), PauseReason::Hold),
        (any(&index.in_review), PauseReason::Review),
        (any(&index.asking), PauseReason::Question),
        (any(&index.interrupted), PauseReason::Recovered),
        (any(&index.cancelled), PauseReason::Operator),
        (index.failed.iter().any(asks), PauseReason::StepFailed),
    ];
    open.into_iter().filter(|(open, _)| *open).map(|(_, reason)| reason).collect()
}

/// Nothing runs but what waits for an answer, nothing waits for a time, nothing can start, and not every step is done: people must act, or the run
/// has failed.
fn stalled(state: &RunState) -> Event {
    let index = &state.index;
    let reasons = waits_for(state);
    if !reasons.is_empty() {
        return Event::RunPaused { reasons };
    }
    if state.rolling_back {
        return rollback::failed(state);
    }
    if !index.failed.is_empty() {
        return over_failures(state, &index.failed);
    }
    // Cannot happen for a plan that has an order; said plainly instead of waiting for ever if it ever does.
    Event::RunFailed { error: "no step can run and none waits for anybody: the plan has no way on".into() }
}

/// Whether everything a run is paused for has been answered without a word of `resume`.
fn goes_on(state: &RunState) -> bool {
    let index = &state.index;
    let moves = state.moves();
    !state.paused.is_empty()
        && state.paused.iter().all(|reason| match reason {
            PauseReason::Operator | PauseReason::Recovered => false,
            PauseReason::StepFailed => index.unanswered.is_empty(),
            PauseReason::Hold => index.held.is_empty() || moves,
            PauseReason::Review => index.in_review.is_empty() || moves,
            PauseReason::Question => index.asking.is_empty() || moves,
        })
}

/// Some ids on one line.
pub(super) fn some_ids(ids: &[&str]) -> String {
    const SHOWN: usize = 8;
    let mut said: Vec<String> = ids.iter().take(SHOWN).map(|id| (*id).to_owned()).collect();
    if ids.len() > SHOWN {
        said.push(format!("and {} more", ids.len() - SHOWN));
    }
    said.join(", ")
}

/// What has failed and why, on one line.
pub(super) fn failures(state: &RunState) -> String {
    const SHOWN: usize = 5;
    let failed = &state.index.failed;
    let mut said: Vec<String> = failed
        .iter()
        .take(SHOWN)
        .map(|position| {
            let why = state.steps[*position].why_failed();
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
    let mut gone = Vec::new();
    for position in &state.index.live {
        // What outlives its engine goes on as the same attempt.
        let lost_one = state.steps[*position].attempt().filter(|_| !state.outlives_engine(*position));
        let Some(attempt) = lost_one else { continue };
        events.extend(ended(state, &state.plan.steps[*position].step_id, attempt.number, &lost, &gone, moment));
        gone.push(*position);
    }
    let asked = asks_for_lost(state, &events).or_else(|| {
        let stays = state.status == RunStatus::Running && !state.cancelling && !go_on;
        stays.then(|| Event::RunPaused { reasons: [PauseReason::Recovered].into() })
    });
    events.extend(asked);
    events
}

/// The pause that a lost attempt asks for, if by these events there is one that only people may have made again.
fn asks_for_lost(state: &RunState, events: &[Event]) -> Option<Event> {
    let may_pause = matches!(state.status, RunStatus::Running | RunStatus::Paused) && !state.cancelling;
    let interrupts = |event: &Event| matches!(event, Event::AttemptEnded { then: Then::Interrupt, .. });
    (may_pause && !state.paused.contains(&PauseReason::Recovered) && events.iter().any(interrupts))
        .then(|| Event::RunPaused { reasons: [PauseReason::Recovered].into() })
}

fn timed_out(state: &RunState, step: &str, attempt: u32) -> Vec<Event> {
    let Some((_, found)) = state.step(step) else { return Vec::new() };
    if found.status != StepStatus::Running || found.attempt().is_none_or(|newest| newest.number != attempt) {
        return Vec::new();
    }
    let step = step.to_owned();
    vec![Event::StopRequested { step, attempt, why: StopReason::Timeout, kill: false, intervention: None }]
}

/// An attempt has ended: the step's next state, and what an intervention that waited for it asked for. `gone`: the positions of those that have
/// ended in the same batch.
fn ended(
    state: &RunState,
    step_id: &str,
    number: u32,
    outcome: &Arc<Outcome>,
    gone: &[usize],
    moment: &Moment,
) -> Vec<Event> {
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
    let record = asked.and_then(|id| state.interventions.iter().rev().find(|one| one.intervention_id == id));
    // The skip of a `foreach` step may wait for many attempts. What undoes it was noted at once, and nothing keeps it from its effect.
    let of_many = record.is_some_and(|record| record.inverse.is_some());
    let waits = record.filter(|record| record.status == InterventionStatus::Pending).and(asked).filter(|id| {
        let same =
            |position: &&usize| state.steps[**position].stop.as_ref().and_then(|stop| stop.intervention) == Some(*id);
        !of_many || state.index.live.iter().filter(|one| !gone.contains(one)).filter(same).count() == 1
    });
    let settled = |status, error: Option<&str>, inverse| {
        waits.map(|intervention_id| Event::InterventionSettled {
            intervention_id,
            status,
            error: error.map(str::to_owned),
            inverse,
        })
    };
    if outcome.status == OutcomeStatus::Succeeded {
        let mut events = match definition.quality_gate.as_deref() {
            None => vec![event(Then::Complete)],
            Some(gate) => {
                let judgement = judge(gate, outcome.result.as_deref(), step.gate_retries);
                let judged =
                    Event::ResultJudged { step: step_id.to_owned(), attempt: number, judgement: judgement.clone() };
                let mut events = match judgement.decision {
                    GateDecision::Approved => vec![event(Then::Complete)],
                    GateDecision::ReviewRequired => vec![event(Then::Review)],
                    GateDecision::RetrySuggested if !state.cancelling => {
                        let delay = backoff(definition.retry.as_deref(), step.gate_retries, moment.entropy);
                        vec![event(Then::Improve { due: after(moment.now, delay) })]
                    }
                    GateDecision::Rejected | GateDecision::RetrySuggested => failed(state, definition, event),
                };
                events.insert(0, judged);
                events
            }
        };
        let (status, error) = match of_many {
            true => (InterventionStatus::Applied, None),
            false => (InterventionStatus::Failed, Some("the step completed before it could be stopped")),
        };
        events.extend(settled(status, error, None));
        return events;
    }
    match step.stop.as_ref().map(|stop| stop.why) {
        Some(StopReason::Cancel | StopReason::RunTimeout) if outcome.status != OutcomeStatus::Failed => {
            vec![event(Then::Stop)]
        }
        Some(why @ (StopReason::Skip | StopReason::Complete | StopReason::Retry)) => {
            let mut events = vec![event(Then::Stop)];
            let user = record.map_or_else(|| state.user.to_string(), |record| record.user.clone());
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
                        let asked = record.map(|record| record.timestamp);
                        events.extend(intervene::reset_downstream(state, position, asked));
                    }
                }
            }
            let inverse = if of_many { None } else { inverse_of(state, &events) };
            events.extend(settled(InterventionStatus::Applied, None, inverse));
            events
        }
        Some(StopReason::RunFails) if outcome.status != OutcomeStatus::Failed => {
            // What worked and asked has done a part of its work: whether it is done again is for an operator to say.
            let again = definition.idempotent || !state.plan.ability(definition).takes_slot;
            vec![event(if again { Then::Requeue } else { Then::Stop })]
        }
        Some(StopReason::Interrupt) if outcome.status != OutcomeStatus::Failed => {
            vec![event(if definition.idempotent { Then::Requeue } else { Then::Interrupt })]
        }
        None if outcome.status == OutcomeStatus::Lost && definition.idempotent => vec![event(Then::Requeue)],
        None if outcome.status != OutcomeStatus::Failed => vec![event(Then::Interrupt)],
        // Failed by itself, or stopped because its time was over.
        _ if step.retries < definition.max_retries.unwrap_or(0) && !state.cancelling => {
            let delay = backoff(definition.retry.as_deref(), step.retries, moment.entropy);
            vec![event(Then::Retry { due: after(moment.now, delay) })]
        }
        _ => failed(state, definition, event),
    }
}

/// A step's attempt was its last: the step fails, with the policy that holds for it.
fn failed(state: &RunState, definition: &Step, ended: impl Fn(Then) -> Event) -> Vec<Event> {
    let policy = definition.on_failure.unwrap_or(state.options.on_failure);
    let mut events = vec![ended(Then::Fail { policy })];
    events.extend(asks_for_failure(state, policy));
    events
}

/// The pause that a failure with this policy asks for.
pub(super) fn asks_for_failure(state: &RunState, policy: FailurePolicy) -> Option<Event> {
    let asks = policy == FailurePolicy::Pause && !state.cancelling;
    asks.then(|| Event::RunPaused { reasons: [PauseReason::StepFailed].into() })
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
