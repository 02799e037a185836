//! How much longer a run takes, and which steps decide it.
//!
//! The ground is what the same steps took in earlier runs of the plan ([`Past`]), and where there is none, what similar steps took in this run.
//! A step without a ground is not given an invented time: it is named. Only an attempt that came to its end by itself is a ground: one that failed,
//! was stopped or was interrupted says nothing of how long the work takes. Time in which a person is waited for is left out, and that is said.
//!
//! A [`Survey`] follows a run event by event. An [`Outlook`] is taken of it in no time; what that leads to ([`Outlook::forecast`]) costs walks over
//! the steps and needs the run no longer, so that it can be made beside whatever must not wait.

mod past;
mod schedule;
mod survey;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::Plan;
use crate::plan::order::Order;

use super::RunState;
use past::identity;
pub use past::{EarlierRun, Past};
pub use survey::Survey;

/// Similar steps of this run are a ground when so many of them are completed.
const GROUND: u32 = 3;
/// And when none took so many times as long as they did on average, nor do they differ from it by more than it is itself: steps that differ much
/// say nothing of those to come.
const ALIKE: f64 = 3.0;
/// Of so many earlier runs, the quickest and the slowest are left out of the range.
const TRIMMED: usize = 5;
/// An earlier run tells how long the rest takes if it knows so much of what the one that knows most does.
const MOST: f64 = 0.9;
/// Within so many standard deviations lie four fifths of what is spread as most things are.
const SPREAD: f64 = 1.28;
/// No row.
const NONE: u32 = u32::MAX;

/// Where the steps of a plan find their times. Made once for a version of the plan.
#[derive(Debug, Clone)]
pub struct Grounds {
    past: Arc<Past>,
    version: u64,
    /// By position: the row in the past.
    rows: Vec<u32>,
    /// By position: steps of one agent and action are of one kind; of commands, those that are the same command.
    kinds: Vec<u32>,
}

impl Grounds {
    /// The grounds of a version of a run's plan. Cost: the plan.
    pub fn new(plan: &Plan, version: u64, past: Arc<Past>) -> Self {
        let mut known: HashMap<_, u32> = HashMap::new();
        let mut kinds = Vec::with_capacity(plan.steps.len());
        let mut rows = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let next = known.len() as u32;
            kinds.push(*known.entry((step.agent(), step.action.as_deref(), step.run.as_deref())).or_insert(next));
            rows.push(past.rows.get(&identity(&step.step_id, step)).copied().unwrap_or(NONE));
        }
        Self { past, version, rows, kinds }
    }

    /// Whether they are those of this run's plan as it stands.
    pub fn fit(&self, state: &RunState) -> bool {
        self.version == state.plan_version && self.rows.len() == state.steps.len()
    }
}

/// What has to be known of a step for a forecast.
#[derive(Debug, Clone, Copy)]
struct Outset {
    stand: Stand,
    /// Whether it may turn out that it is not to run.
    may_skip: bool,
    priority: i32,
    /// Whether it takes a slot of the run.
    takes_slot: bool,
    /// The pool that counts it, from 1; 0 for none.
    pool: u32,
    /// Seconds from the run's start to its first attempt's start and its newest one's end (never, while it runs).
    ran: Option<(f64, f64)>,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stand {
    /// Nothing of it is left, but for what its instances do.
    Satisfied,
    /// An attempt has run for so many seconds.
    Live(f64),
    /// An attempt is over by itself in so many seconds.
    Waits(f64),
    /// It is being stopped.
    Stopping,
    /// It is to run, not before so many seconds from now.
    Todo(f64),
    /// It waits for a person's verdict or answer, and what depends on it with it.
    InReview,
    /// It has ended without being done: what depends on it does not run.
    Stuck,
}

/// A run at a moment, as far as a forecast needs it.
#[derive(Debug, Clone)]
pub struct Outlook {
    noted: survey::Shared,
    grounds: Arc<Grounds>,
    order: Arc<Order>,
    at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    seq: u64,
    /// Whether it goes on by itself, or could be started.
    goes_on: bool,
    lanes: u32,
    /// By pool, from 1.
    pools: Vec<u32>,
    /// By kind: what completed steps of this run took.
    spent: Vec<Spent>,
    /// Steps at which a person is waited for.
    people: u32,
}

impl Outlook {
    /// A run at a moment. Cost: one walk over the steps; a [`Survey`] that follows the run takes one at no cost that matters.
    pub fn of(state: &RunState, grounds: Arc<Grounds>, now: DateTime<Utc>) -> Self {
        Survey::of(state, grounds).outlook(state, now)
    }

    /// What is to come of the run. Cost: the steps and what they wait for, for each earlier run.
    pub fn forecast(&self) -> Forecast {
        self.standing().forecast()
    }

    fn standing(&self) -> Standing<'_> {
        let since = self.started_at.unwrap_or(self.at);
        let steps = self.noted.at(self.at, since);
        Standing { outlook: self, elapsed: (self.at - since).as_seconds_f64(), steps }
    }
}

/// How far the steps have come at the moment of an outlook.
struct Standing<'a> {
    outlook: &'a Outlook,
    /// Seconds from the run's start.
    elapsed: f64,
    steps: Vec<Outset>,
}

impl Deref for Standing<'_> {
    type Target = Outlook;

    fn deref(&self) -> &Outlook {
        self.outlook
    }
}

/// What completed steps of a kind took, in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    number: u32,
    sum: f64,
    squares: f64,
    longest: f64,
}

impl Spent {
    fn add(&mut self, seconds: f64) {
        self.number += 1;
        self.sum += seconds;
        self.squares += seconds * seconds;
        self.longest = self.longest.max(seconds);
    }

    /// Their mean and standard deviation, where they are a ground.
    fn ground(&self) -> Option<(f64, f64)> {
        let number = f64::from(self.number);
        let mean = self.sum / number.max(1.0);
        let deviation = (self.squares / number.max(1.0) - mean * mean).max(0.0).sqrt();
        let alike = self.longest <= ALIKE * mean && deviation <= mean;
        (self.number >= GROUND && alike).then_some((mean, deviation))
    }
}

/// What is to come of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Of which state.
    pub seq: u64,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// How much longer it takes; `None` when there is no ground, nothing left, or the run does not go on by itself.
    pub left: Option<Left>,
    /// What is missing for a better answer.
    pub lacking: Option<Lacking>,
    /// The steps that decide how long it takes, by position, in the order in which they run: of the past what was waited for, and of the future
    /// what will be.
    pub critical: Vec<u32>,
    /// What is expected of the steps that run or are to run, by their start. Empty when `left` is `None`.
    pub expected: Vec<Expected>,
}

/// How much longer a run takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// Seconds, if it goes as well as in the better of the earlier runs.
    pub low: f64,
    /// Seconds, as it went most often.
    pub likely: f64,
    /// Seconds, if it goes as badly as in the worse ones.
    pub high: f64,
    /// Something has no known time, or takes longer than ever: it is more than this.
    pub at_least: bool,
    /// Earlier runs that it goes by; 0: by similar steps of this run.
    pub runs: usize,
    /// People are waited for as well, and that is not in it.
    pub people: bool,
}

impl Left {
    /// The same, so many seconds later.
    #[must_use]
    pub fn later(self, seconds: f64) -> Self {
        let less = |left: f64| (left - seconds.max(0.0)).max(0.0);
        Self { low: less(self.low), likely: less(self.likely), high: less(self.high), ..self }
    }
}

/// What an estimate would need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Steps that have run in no earlier run, and that nothing in this run is like.
    Times {
        /// How many.
        steps: u32,
        /// The first of them.
        first: u32,
    },
    /// A step runs longer than it ever did.
    Overdue {
        /// Which.
        step: u32,
    },
}

/// What is expected of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Which step, by position.
    pub step: u32,
    /// Seconds from the run's start.
    pub start: f64,
    /// Seconds from the run's start; the same as `start` when its time is not known.
    pub end: f64,
}

/// How long one step is still going to take.
#[derive(Debug, Clone, Copy, Default)]
struct Guess {
    /// Seconds; 0 when it is not known.
    likely: f64,
    /// How far off it may be, where it is what similar steps took.
    deviation: f64,
    known: bool,
    /// By earlier runs, and not by similar steps.
    past: bool,
    overdue: bool,
}

impl Standing<'_> {
    fn forecast(&self) -> Forecast {
        let mut made = Forecast {
            seq: self.seq,
            at: self.at,
            left: None,
            lacking: None,
            critical: Vec::new(),
            expected: Vec::new(),
        };
        let walk = schedule::Walk::of(self);
        let todo: Vec<usize> = walk.to_run(self).collect();
        if !self.goes_on || todo.is_empty() {
            made.critical = schedule::chain_to(self, schedule::last_to_end(self));
            return made;
        }
        let mut guesses = vec![Guess::default(); self.steps.len()];
        for step in &todo {
            guesses[*step] = self.guess(*step);
        }
        let unknown = |step: &&usize| !guesses[**step].known;
        let missing = todo.iter().filter(unknown).count();
        let first = todo.iter().find(unknown);
        let overdue = todo.iter().find(|step| guesses[**step].overdue);
        made.lacking = match (overdue, first) {
            (Some(step), _) => Some(Lacking::Overdue { step: *step as u32 }),
            (None, Some(first)) => Some(Lacking::Times { steps: missing as u32, first: *first as u32 }),
            (None, None) => None,
        };
        let times: Vec<f64> = guesses.iter().map(|guess| guess.likely).collect();
        let planned = schedule::list(self, &times);
        made.critical = planned.critical(self);
        // What is known must be more than what is not, or the answer would be a guess about the smaller part.
        if missing * 2 > todo.len() {
            return made;
        }
        let telling = self.telling(&todo, &guesses);
        let (low, high) = self.range(&walk, &guesses, &telling, planned.length);
        made.left = Some(Left {
            low,
            likely: planned.length,
            high,
            at_least: made.lacking.is_some(),
            runs: telling.len(),
            people: self.people > 0,
        });
        made.expected = planned.expected(self, &todo);
        made
    }

    /// How long a step is still going to take.
    fn guess(&self, step: usize) -> Guess {
        let outset = &self.steps[step];
        let elapsed = match outset.stand {
            Stand::Live(elapsed) => elapsed,
            Stand::Todo(_) => 0.0,
            // It is known, whatever it took in earlier runs.
            Stand::Waits(left) => return Guess { likely: left, known: true, ..Guess::default() },
            _ => return Guess { known: true, ..Guess::default() },
        };
        let (mut taken, mut before) = (Vec::new(), false);
        for run in 0..self.grounds.past.runs() {
            before |= self.taken(run, step).is_some();
            taken.extend(self.taken(run, step).filter(|seconds| *seconds > elapsed || elapsed == 0.0));
        }
        if before {
            let Some(likely) = median(&mut taken) else {
                return Guess { known: true, past: true, overdue: true, ..Guess::default() };
            };
            return Guess { likely: likely - elapsed, known: true, past: true, ..Guess::default() };
        }
        let spent = &self.spent[self.grounds.kinds[step] as usize];
        let Some((mean, deviation)) = spent.ground() else { return Guess::default() };
        Guess {
            likely: (mean - elapsed).max(0.0),
            // What the mean itself is worth, and what a single step may differ from it.
            deviation: deviation / f64::from(spent.number).sqrt(),
            known: true,
            past: false,
            overdue: elapsed > ALIKE * mean,
        }
    }

    /// What a step took in an earlier run; one that is going to run for sure is not told by runs in which it was skipped.
    fn taken(&self, run: usize, step: usize) -> Option<f64> {
        let row = self.grounds.rows[step];
        let seconds = self.grounds.past.seconds(run, row)?;
        (self.steps[step].may_skip || seconds > 0.0).then_some(f64::from(seconds))
    }

    /// The earlier runs that know most of what is guessed by them: one that knows little would say that all goes as it most likely does.
    fn telling(&self, todo: &[usize], guesses: &[Guess]) -> Vec<usize> {
        let guessed: Vec<usize> = todo.iter().copied().filter(|step| guesses[*step].past).collect();
        let known = |run: usize| {
            let steps = guessed.iter().filter(|step| self.taken(run, **step).is_some());
            // A step that takes no time is known as well.
            steps.map(|step| guesses[*step].likely + f64::EPSILON).sum::<f64>()
        };
        let known: Vec<f64> = (0..self.grounds.past.runs()).map(known).collect();
        let most = known.iter().copied().fold(0.0, f64::max);
        (0..known.len()).filter(|run| known[*run] > 0.0 && known[*run] >= MOST * most).collect()
    }

    /// The least and the most: how the bounds of earlier runs, each as a whole, lie to the likely one.
    fn range(&self, walk: &schedule::Walk, guesses: &[Guess], telling: &[usize], likely: f64) -> (f64, f64) {
        let typical = walk.bound(self, |step| guesses[step].likely);
        if typical <= 0.0 {
            return (likely, likely);
        }
        let mut found: Vec<f64> = telling
            .iter()
            .map(|run| {
                walk.bound(self, |step| {
                    let guess = guesses[step];
                    let elapsed = if let Stand::Live(elapsed) = self.steps[step].stand { elapsed } else { 0.0 };
                    let taken = self.taken(*run, step).filter(|_| guess.past && !guess.overdue);
                    taken.filter(|seconds| *seconds > elapsed || elapsed == 0.0).map_or(guess.likely, |s| s - elapsed)
                })
            })
            .collect();
        found.sort_unstable_by(f64::total_cmp);
        if found.len() >= TRIMMED {
            found.pop();
            found.remove(0);
        }
        if guesses.iter().any(|guess| guess.deviation > 0.0) {
            for sign in [-SPREAD, SPREAD] {
                let of = |step: usize| (guesses[step].likely + sign * guesses[step].deviation).max(0.0);
                found.push(walk.bound(self, of));
            }
        }
        let scaled = found.iter().map(|bound| likely * bound / typical);
        scaled.fold((likely, likely), |(low, high), bound| (low.min(bound), high.max(bound)))
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

#[cfg(test)]
mod tests;
