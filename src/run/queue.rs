//! What waits for its turn: steps that may start now, and steps in back-off that wait for nothing but the time, under the limit that counts
//! them. Steps of the same pool share a lane; those without one are in the first. Whoever needs no slot of `max_parallel` is in a track of its own
//! within the lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use imbl::OrdSet;

use crate::plan::order::Order;
use crate::plan::{Ability, KINDS_WITHOUT_ENTRY, Plan, Step};

/// In which order ready steps start: higher priority, then the longer chain of work behind it, then the plan's order.
/// An instance stands where the step stands that it is an instance of.
type Turn = (std::cmp::Reverse<i32>, std::cmp::Reverse<u64>, usize, usize);

/// The lanes of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Queue {
    lanes: Vec<Lane>,
    /// Which lane a pool's steps are in.
    pools: Arc<BTreeMap<String, usize>>,
    /// By the agent's name, where its attempts take no slot; a plan's agents do not change.
    slotless: Arc<BTreeSet<String>>,
    /// Live attempts that take a slot.
    working: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Lane {
    limit: Option<u32>,
    live: u32,
    /// Those that need no slot, and those that do.
    tracks: [Track; 2],
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Track {
    ready: OrdSet<Turn>,
    waiting: OrdSet<(DateTime<Utc>, usize)>,
}

impl Track {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { lanes: vec![Lane::default()], pools: Arc::default(), slotless: Arc::default(), working: 0 }
    }
}

impl Queue {
    /// Empty lanes for a plan's pools.
    pub fn new(plan: &Plan) -> Self {
        let pools = Arc::new(plan.pools.keys().cloned().zip(1..).collect());
        let mut queue = Self { pools, ..Self::default() };
        for limit in plan.pools.values() {
            queue.lanes.push(Lane { limit: Some(*limit), ..Lane::default() });
        }
        let slotless = |ability: Ability| !ability.takes_slot;
        let entries = plan.agents.iter().filter(|(_, spec)| slotless(spec.ability())).map(|(name, _)| name.as_str());
        let free = KINDS_WITHOUT_ENTRY.into_iter().filter(|kind| {
            let step = Step { agent_type: Some((*kind).into()), ..Step::default() };
            slotless(plan.ability(&step))
        });
        queue.slotless = Arc::new(entries.chain(free).map(str::to_owned).collect());
        queue
    }

    fn takes_slot(&self, step: &Step) -> bool {
        step.run.is_some() || step.agent().is_none_or(|agent| !self.slotless.contains(agent))
    }

    /// How many live attempts take a slot.
    pub fn working(&self) -> u32 {
        self.working
    }

    fn track(&mut self, step: &Step) -> &mut Track {
        let track = usize::from(self.takes_slot(step));
        &mut self.lane(step).tracks[track]
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
        self.track(step).ready.insert(Self::turn(step, order, position));
    }

    pub fn remove_ready(&mut self, step: &Step, order: &Order, position: usize) {
        self.track(step).ready.remove(&Self::turn(step, order, position));
    }

    pub fn add_waiting(&mut self, step: &Step, due: DateTime<Utc>, position: usize) {
        self.track(step).waiting.insert((due, position));
    }

    pub fn remove_waiting(&mut self, step: &Step, due: DateTime<Utc>, position: usize) {
        self.track(step).waiting.remove(&(due, position));
    }

    /// An attempt of a step began.
    pub fn began(&mut self, step: &Step) {
        self.working += u32::from(self.takes_slot(step));
        self.lane(step).live += 1;
    }

    /// An attempt of a step ended.
    pub fn ended(&mut self, step: &Step) {
        self.working = self.working.saturating_sub(u32::from(self.takes_slot(step)));
        let lane = self.lane(step);
        lane.live = lane.live.saturating_sub(1);
    }

    /// The tracks of pools that are not full: all of them while a slot is free, else those that need none.
    fn open(&self, has_slot: bool) -> impl Iterator<Item = &Track> {
        let open = self.lanes.iter().filter(|lane| lane.limit.is_none_or(|limit| lane.live < limit));
        open.flat_map(move |lane| lane.tracks.iter().take(if has_slot { 2 } else { 1 }))
    }

    /// The step whose turn it is, within the limits of slots and pools: what is due after a back-off first.
    pub fn next(&self, now: DateTime<Utc>, has_slot: bool) -> Option<usize> {
        let due = self.next_due(has_slot).filter(|(due, _)| *due <= now).map(|(_, position)| position);
        due.or_else(|| self.open(has_slot).filter_map(|track| track.ready.get_min()).min().map(|turn| turn.3))
    }

    /// When the next back-off ends of a step that could start then, and whose it is.
    pub fn next_due(&self, has_slot: bool) -> Option<(DateTime<Utc>, usize)> {
        self.open(has_slot).filter_map(|track| track.waiting.get_min()).min().copied()
    }

    /// Steps in back-off.
    pub fn waiting(&self) -> impl Iterator<Item = usize> + '_ {
        let tracks = self.lanes.iter().flat_map(|lane| &lane.tracks);
        tracks.flat_map(|track| track.waiting.iter().map(|(_, position)| *position))
    }

    /// Whether something waits for its turn, or for a time, that neither a full pool nor the lack of a slot keeps from starting.
    pub fn moves(&self, has_slot: bool) -> bool {
        self.open(has_slot).any(|track| !track.is_empty())
    }

    /// The pool that keeps a ready step from starting, with its limit.
    pub fn full_pool<'a>(&self, step: &'a Step) -> Option<(&'a str, u32)> {
        let pool = step.pool.as_deref()?;
        let lane = &self.lanes[*self.pools.get(pool)?];
        lane.limit.filter(|limit| lane.live >= *limit).map(|limit| (pool, limit))
    }
}
