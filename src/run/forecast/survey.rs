//! How each step of a run stands, kept up event by event: so that whoever shows a run need not walk over its steps again and again.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::past::{Told, took, waited};
use super::{Grounds, Outlook, Outset, Spent, Stand};
use crate::run::{Recorded, RunState, RunStatus, StepStatus, Touched};

/// Steps in a part.
const PART: usize = 1024;

/// What has to be known of a step for a forecast, whenever that is made.
#[derive(Debug, Clone, Copy)]
struct Noted {
    status: StepStatus,
    may_skip: bool,
    /// A person is waited for.
    asks: bool,
    /// What it took is among what was spent.
    counted: bool,
    priority: i32,
    /// Whether it takes a slot of the run.
    takes_slot: bool,
    /// What is left of it is what its instances do.
    expanded: bool,
    /// The pool that counts it, from 1; 0 for none.
    pool: u32,
    due: Option<DateTime<Utc>>,
    /// When the newest attempt is over by itself.
    over: Option<DateTime<Utc>>,
    /// The starts of its first and its newest attempt, and the newest one's end.
    started: Option<(DateTime<Utc>, DateTime<Utc>)>,
    ended: Option<DateTime<Utc>>,
    /// For how many seconds the newest one waited for people.
    asked: f32,
    /// It waits for one now.
    asking: bool,
}

/// How the steps of a run stand. In parts that are shared with the [`Outlook`]s taken of it: taking one costs next to nothing, and an event after that
/// copies the part it touches.
#[derive(Debug, Clone)]
pub struct Survey {
    grounds: Arc<Grounds>,
    /// Of which state.
    seq: u64,
    parts: Vec<Arc<Vec<Noted>>>,
    /// By kind: what completed steps of this run took.
    spent: Vec<Spent>,
    /// Steps at which a person is waited for.
    people: u32,
}

impl Survey {
    /// Of a run as it stands. Cost: one walk over the steps.
    pub fn of(state: &RunState, grounds: Arc<Grounds>) -> Self {
        let kinds = grounds.kinds.iter().max().map_or(0, |most| *most as usize + 1);
        let (mut spent, mut people) = (vec![Spent::default(); kinds], 0);
        let mut parts = Vec::with_capacity(state.steps.len().div_ceil(PART));
        for first in (0..state.steps.len()).step_by(PART) {
            let part = (first..state.steps.len().min(first + PART)).map(|position| {
                let (noted, took) = Noted::of(state, position);
                if let Some(took) = took {
                    spent[grounds.kinds[position] as usize].add(took);
                }
                people += u32::from(noted.asks);
                noted
            });
            parts.push(Arc::new(part.collect()));
        }
        Self { grounds, seq: state.seq, parts, spent, people }
    }

    /// Whether it is of this state, and with these grounds.
    pub fn is_of(&self, state: &RunState, grounds: &Arc<Grounds>) -> bool {
        self.seq == state.seq && Arc::ptr_eq(&self.grounds, grounds)
    }

    /// Takes in an event; `state` is the state after it. Says whether that sufficed: if not, it is to be made anew of the state. Cost: the steps that the
    /// event names.
    pub fn take(&mut self, recorded: &Recorded, state: &RunState) -> bool {
        self.seq = self.seq.max(recorded.seq);
        match recorded.event.touches() {
            Touched::Nothing => true,
            Touched::Steps(steps) => steps.iter().all(|step| self.note(step, state)),
            Touched::Any => false,
        }
    }

    fn note(&mut self, step: &str, state: &RunState) -> bool {
        let Some(position) = state.position(step) else { return true };
        let Some(part) = self.parts.get_mut(position / PART) else { return false };
        let Some(before) = part.get(position % PART).copied() else { return false };
        let (now, took) = Noted::of(state, position);
        match (before.counted, took) {
            (false, Some(took)) => self.spent[self.grounds.kinds[position] as usize].add(took),
            (false, None) => {}
            // What was spent can be added to, and not taken from.
            (true, _) => return false,
        }
        self.people = self.people + u32::from(now.asks) - u32::from(before.asks);
        Arc::make_mut(part)[position % PART] = now;
        true
    }

    /// The run at a moment. `state` is the state this is of.
    pub fn outlook(&self, state: &RunState, now: DateTime<Utc>) -> Outlook {
        let goes_on = state.status == RunStatus::Idle || state.may_start();
        Outlook {
            noted: Shared(self.parts.clone()),
            grounds: Arc::clone(&self.grounds),
            order: Arc::clone(state.structure()),
            at: now,
            started_at: state.started_at,
            seq: state.seq,
            goes_on: goes_on && !state.cancelling,
            lanes: state.options.max_parallel.max(1),
            pools: state.plan.pools.values().copied().collect(),
            spent: self.spent.clone(),
            people: self.people,
        }
    }
}

impl Noted {
    /// A step, and the seconds it took if it is completed by its own work.
    fn of(state: &RunState, position: usize) -> (Self, Option<f64>) {
        let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
        let worked = step.status == StepStatus::Completed && step.by_hand.is_none();
        let took = if worked {
            took(None, step.attempts.iter().filter_map(|attempt| Told::of(attempt))).map(f64::from)
        } else {
            None
        };
        // Of what a person does, nothing else takes time.
        let by_person = state.plan.agent_kind(definition) == Some("manual");
        let asking = step.status == StepStatus::Running && (by_person || step.question().is_some());
        let asks = match step.status {
            StepStatus::Held | StepStatus::Interrupted | StepStatus::InReview => true,
            StepStatus::Pending => state.is_hold_point(position) || by_person,
            StepStatus::Running => asking,
            _ => false,
        };
        let pool = |name: &str| state.plan.pools.keys().position(|pool| *pool == name).map_or(0, |place| place + 1);
        let attempts = step.attempts.first().zip(step.attempts.last());
        let noted = Self {
            status: step.status,
            may_skip: !step.condition_met && !step.status.is_live(),
            asks,
            counted: took.is_some(),
            priority: definition.priority.unwrap_or(0),
            takes_slot: state.plan.ability(definition).takes_slot,
            expanded: step.expansion.is_some(),
            pool: definition.pool.as_deref().map_or(0, pool) as u32,
            due: step.due,
            over: step.attempt().and_then(|attempt| attempt.due),
            started: attempts.map(|(first, last)| (first.started_at, last.started_at)),
            ended: attempts.and_then(|(_, last)| last.ended_at),
            asked: step.attempt().map_or(0.0, |attempt| waited(attempt) as f32),
            asking,
        };
        (noted, took)
    }

    /// The step as it stands at a moment; `since`: when the run began.
    fn at(&self, now: DateTime<Utc>, since: DateTime<Utc>) -> Outset {
        let seconds = |time: DateTime<Utc>| (time - since).as_seconds_f64();
        let stand = match self.status {
            StepStatus::Completed | StepStatus::Skipped => Stand::Satisfied,
            StepStatus::Pending if self.expanded => Stand::Satisfied,
            StepStatus::Running if self.over.is_some() => {
                Stand::Waits(self.over.map_or(0.0, |over| (over - now).as_seconds_f64().max(0.0)))
            }
            // The work that is left of it begins with the answer.
            StepStatus::Running if self.asking => Stand::InReview,
            StepStatus::Running => {
                let ran = self.started.map(|(_, last)| (self.ended.unwrap_or(now) - last).as_seconds_f64());
                Stand::Live((ran.unwrap_or_default() - f64::from(self.asked)).max(0.0))
            }
            StepStatus::Stopping => Stand::Stopping,
            StepStatus::Waiting => Stand::Todo(self.due.map_or(0.0, |due| (due - now).as_seconds_f64().max(0.0))),
            StepStatus::Pending | StepStatus::Held | StepStatus::Interrupted => Stand::Todo(0.0),
            StepStatus::InReview => Stand::InReview,
            StepStatus::Failed | StepStatus::Cancelled => Stand::Stuck,
        };
        Outset {
            stand,
            may_skip: self.may_skip,
            priority: self.priority,
            takes_slot: self.takes_slot,
            pool: self.pool,
            ran: self.started.map(|(first, _)| (seconds(first), self.ended.map_or(f64::INFINITY, seconds))),
        }
    }
}

/// What a survey knew of the steps when an outlook was taken.
#[derive(Debug, Clone)]
pub(super) struct Shared(Vec<Arc<Vec<Noted>>>);

impl Shared {
    /// The steps as they stand at a moment.
    pub(super) fn at(&self, now: DateTime<Utc>, since: DateTime<Utc>) -> Vec<Outset> {
        self.0.iter().flat_map(|part| part.iter()).map(|noted| noted.at(now, since)).collect()
    }
}
