//! What waits for its turn: steps that may start now, and steps in back-off that wait for nothing but the time, under the limit that counts
//! them. Steps of the same pool share a lane; those without one are in the first.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::plan::order::Order;
use crate::plan::{Plan, Step};

/// In which order ready steps start: higher priority, then the longer chain of work behind it, then the plan's order.
/// An instance stands where the step stands that it is an instance of.
type Turn = (std::cmp::Reverse<i32>, std::cmp::Reverse<u32>, usize, usize);

/// The lanes of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Queue {
    lanes: Vec<Lane>,
    pools: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Lane {
    limit: Option<u32>,
    live: u32,
    ready: BTreeSet<Turn>,
    waiting: BTreeSet<(DateTime<Utc>, usize)>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { lanes: vec![Lane::default()], pools: BTreeMap::new() }
    }
}

impl Queue {
    /// Empty lanes for a plan's pools.
    pub fn new(plan: &Plan) -> Self {
        let mut queue = Self::default();
        for (name, limit) in &plan.pools {
            queue.pools.insert(name.clone(), queue.lanes.len());
            queue.lanes.push(Lane { limit: Some(*limit), ..Lane::default() });
        }
        queue
    }

    fn lane(&mut self, step: &Step) -> &mut Lane {
        // A checked plan names no pool that it does not have.
        let lane = step.pool.as_deref().and_then(|pool| self.pools.get(pool)).copied().unwrap_or(0);
        &mut self.lanes[lane]
    }

    fn turn(step: &Step, order: &Order, position: usize) -> Turn {
        use std::cmp::Reverse;
        (Reverse(step.priority.unwrap_or(0)), Reverse(order.chain(position)), order.home(position), position)
    }

    pub fn add_ready(&mut self, step: &Step, order: &Order, position: usize) {
        self.lane(step).ready.insert(Self::turn(step, order, position));
    }

    pub fn remove_ready(&mut self, step: &Step, order: &Order, position: usize) {
        self.lane(step).ready.remove(&Self::turn(step, order, position));
    }

    pub fn add_waiting(&mut self, step: &Step, due: DateTime<Utc>, position: usize) {
        self.lane(step).waiting.insert((due, position));
    }

    pub fn remove_waiting(&mut self, step: &Step, due: DateTime<Utc>, position: usize) {
        self.lane(step).waiting.remove(&(due, position));
    }

    /// An attempt of a step began.
    pub fn began(&mut self, step: &Step) {
        self.lane(step).live += 1;
    }

    /// An attempt of a step ended.
    pub fn ended(&mut self, step: &Step) {
        let lane = self.lane(step);
        lane.live = lane.live.saturating_sub(1);
    }

    fn open(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(|lane| lane.limit.is_none_or(|limit| lane.live < limit))
    }

    /// The step whose turn it is, within the limits of the pools: what is due after a back-off first.
    pub fn next(&self, now: DateTime<Utc>) -> Option<usize> {
        let due = self.next_due().filter(|(due, _)| *due <= now).map(|(_, position)| position);
        due.or_else(|| self.open().filter_map(|lane| lane.ready.first()).min().map(|turn| turn.3))
    }

    /// When the next back-off ends of a step that could start then, and whose it is.
    pub fn next_due(&self) -> Option<(DateTime<Utc>, usize)> {
        self.open().filter_map(|lane| lane.waiting.first()).min().copied()
    }

    /// Steps in back-off.
    pub fn waiting(&self) -> impl Iterator<Item = usize> + '_ {
        self.lanes.iter().flat_map(|lane| lane.waiting.iter().map(|(_, position)| *position))
    }

    /// Whether nothing waits for its turn or for a time.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ready.is_empty() && lane.waiting.is_empty())
    }

    /// The pool that keeps a ready step from starting, with its limit.
    pub fn full_pool<'a>(&self, step: &'a Step) -> Option<(&'a str, u32)> {
        let pool = step.pool.as_deref()?;
        let lane = &self.lanes[*self.pools.get(pool)?];
        lane.limit.filter(|limit| lane.live >= *limit).map(|limit| (pool, limit))
    }
}
