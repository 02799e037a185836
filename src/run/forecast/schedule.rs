//! When the steps that are left would start and end: a bound that is cheap, and a schedule in the order in which the engine starts them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::plan::order::Order;

use super::{Expected, Stand, Standing};

/// A step that has waited for no more than this, in seconds, has waited for what ended just before it.
const AT_ONCE: f64 = 0.5;

impl Standing<'_> {
    /// Nothing of it is left, or nothing that takes its time.
    fn is_free(&self, node: usize) -> bool {
        self.order.is_barrier(node) || matches!(self.steps[node].stand, Stand::Satisfied | Stand::InReview)
    }

    fn is_stuck(&self, node: usize) -> bool {
        !self.order.is_barrier(node) && self.steps[node].stand == Stand::Stuck
    }
}

/// The nodes that come to run, each after what it waits for.
pub(super) struct Walk {
    nodes: Vec<u32>,
}

impl Walk {
    /// Leaves out what has ended without being done, and all that waits for it.
    pub(super) fn of(outlook: &Standing<'_>) -> Self {
        let order: &Order = &outlook.order;
        let count = order.node_count();
        let mut unmet: Vec<u32> = (0..count).map(|node| order.predecessor_count(node)).collect();
        let mut nodes: Vec<u32> = Vec::with_capacity(count);
        nodes.extend((0..count as u32).filter(|node| unmet[*node as usize] == 0 && !outlook.is_stuck(*node as usize)));
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            next += 1;
            for after in order.successors(node as usize) {
                unmet[after] = unmet[after].saturating_sub(1);
                if unmet[after] == 0 && !outlook.is_stuck(after) {
                    nodes.push(after as u32);
                }
            }
        }
        Self { nodes }
    }

    /// The steps of which something is left.
    pub(super) fn to_run<'a>(&'a self, outlook: &'a Standing<'a>) -> impl Iterator<Item = usize> + 'a {
        self.nodes.iter().map(|node| *node as usize).filter(|node| !outlook.is_free(*node))
    }

    /// No schedule is shorter than this, in seconds: the longest chain, and the work over the lanes of the run and of each pool.
    pub(super) fn bound(&self, outlook: &Standing<'_>, seconds: impl Fn(usize) -> f64) -> f64 {
        let order: &Order = &outlook.order;
        let mut ready = vec![0.0f64; order.node_count()];
        let mut work = vec![0.0f64; outlook.pools.len() + 1];
        let (mut longest, mut all) = (0.0f64, 0.0);
        for node in self.nodes.iter().map(|node| *node as usize) {
            let mut end = ready[node];
            if !outlook.is_free(node) {
                let outset = &outlook.steps[node];
                if let Stand::Todo(due) = outset.stand {
                    end = end.max(due);
                }
                let seconds = seconds(node).max(0.0);
                end += seconds;
                all += if outset.takes_slot { seconds } else { 0.0 };
                work[outset.pool as usize] += seconds;
            }
            longest = longest.max(end);
            for after in order.successors(node) {
                ready[after] = ready[after].max(end);
            }
        }
        let pools = work[1..].iter().zip(&outlook.pools).map(|(work, limit)| work / f64::from((*limit).max(1)));
        pools.fold(longest.max(all / f64::from(outlook.lanes)), f64::max)
    }
}

/// A schedule of what is left.
pub(super) struct Planned {
    /// Seconds from now to its end.
    pub(super) length: f64,
    /// By position: start and end, in microseconds from now.
    spans: Vec<Option<(u64, u64)>>,
    /// By position: the step whose end it waited for last.
    after: Vec<Option<u32>>,
    last: Option<u32>,
}

/// As the engine: higher priority, then the longer chain of work behind it, then the plan's order.
type Turn = (Reverse<i32>, Reverse<u64>, u32);

/// The engine of a schedule: the same turns and limits, with times that are known beforehand.
struct Run<'a> {
    outlook: &'a Standing<'a>,
    /// By position, in microseconds.
    times: Vec<u64>,
    unmet: Vec<u32>,
    /// By node: the step that ended last of those it waits for.
    via: Vec<Option<u32>>,
    /// By pool (0: none): ready steps, those that need no slot of the run and those that do.
    ready: Vec<[BTreeSet<Turn>; 2]>,
    /// By pool: how many run.
    live: Vec<u32>,
    /// How many have a slot.
    working: u32,
    /// By position: since when it is ready.
    since: Vec<u64>,
    /// What happens when: a step ends, or a back-off.
    events: BinaryHeap<Reverse<(u64, bool, u32)>>,
    planned: Planned,
}

/// The schedule with these times, by position, in seconds. Cost: steps and what they wait for, and the logarithm of what is ready at once.
pub(super) fn list(outlook: &Standing<'_>, times: &[f64]) -> Planned {
    let order: &Order = &outlook.order;
    let (steps, nodes) = (outlook.steps.len(), order.node_count());
    let mut run = Run {
        outlook,
        times: times.iter().map(|seconds| micros(*seconds)).collect(),
        unmet: (0..nodes).map(|node| order.predecessor_count(node)).collect(),
        via: vec![None; nodes],
        ready: vec![<[BTreeSet<Turn>; 2]>::default(); outlook.pools.len() + 1],
        live: vec![0; outlook.pools.len() + 1],
        working: 0,
        since: vec![0; steps],
        events: BinaryHeap::new(),
        planned: Planned { length: 0.0, spans: vec![None; steps], after: vec![None; steps], last: None },
    };
    // What runs has its lane whatever it would wait for.
    for step in 0..steps {
        if matches!(outlook.steps[step].stand, Stand::Live(_) | Stand::Waits(_) | Stand::Stopping) {
            run.start(step, 0, None);
        }
    }
    let roots: Vec<usize> = (0..nodes).filter(|node| run.unmet[*node] == 0).collect();
    for node in roots {
        run.arrive(node, 0);
    }
    run.start_ready(0, None);
    while let Some(Reverse((now, is_due, step))) = run.events.pop() {
        if is_due {
            run.queue(step as usize, now);
            run.start_ready(now, None);
            continue;
        }
        run.end(step as usize, now);
        // All that ends at one moment makes room before anything starts.
        while let Some(Reverse((time, false, step))) = run.events.peek().copied()
            && time == now
        {
            run.events.pop();
            run.end(step as usize, now);
        }
        run.start_ready(now, Some(step));
    }
    run.planned
}

impl Run<'_> {
    fn start(&mut self, step: usize, now: u64, after: Option<u32>) {
        let end = now + self.times[step];
        self.planned.spans[step] = Some((now, end));
        self.planned.after[step] = after;
        let outset = &self.outlook.steps[step];
        self.working += u32::from(outset.takes_slot);
        self.live[outset.pool as usize] += 1;
        self.events.push(Reverse((end, false, step as u32)));
    }

    fn end(&mut self, step: usize, now: u64) {
        let outset = &self.outlook.steps[step];
        self.working -= u32::from(outset.takes_slot);
        self.live[outset.pool as usize] -= 1;
        if self.planned.last.is_none() || now as f64 / 1e6 >= self.planned.length {
            self.planned.length = now as f64 / 1e6;
            self.planned.last = Some(step as u32);
        }
        self.pass(step, Some(step as u32), now);
    }

    /// A node is done: what waits for it has one thing less to wait for.
    fn pass(&mut self, node: usize, via: Option<u32>, now: u64) {
        let outlook = self.outlook;
        let mut done = VecDeque::from([(node, via)]);
        while let Some((node, via)) = done.pop_front() {
            for after in outlook.order.successors(node) {
                self.unmet[after] = self.unmet[after].saturating_sub(1);
                self.via[after] = via.or(self.via[after]);
                if self.unmet[after] > 0 {
                    continue;
                }
                if outlook.is_free(after) {
                    done.push_back((after, self.via[after]));
                } else {
                    self.wait(after, now);
                }
            }
        }
    }

    fn arrive(&mut self, node: usize, now: u64) {
        if self.outlook.is_free(node) { self.pass(node, None, now) } else { self.wait(node, now) }
    }

    /// A step waits for nothing but its turn, or its time.
    fn wait(&mut self, step: usize, now: u64) {
        match self.outlook.steps[step].stand {
            Stand::Todo(due) if micros(due) > now => self.events.push(Reverse((micros(due), true, step as u32))),
            Stand::Todo(_) => self.queue(step, now),
            _ => {}
        }
    }

    fn queue(&mut self, step: usize, now: u64) {
        let outset = &self.outlook.steps[step];
        self.since[step] = now;
        let turn = (Reverse(outset.priority), Reverse(self.outlook.order.chain(step)), step as u32);
        self.ready[outset.pool as usize][usize::from(outset.takes_slot)].insert(turn);
    }

    /// Starts what has a turn; `freed`: the step that has just made room.
    fn start_ready(&mut self, now: u64, freed: Option<u32>) {
        loop {
            let tracks = if self.working < self.outlook.lanes { 2 } else { 1 };
            let open = |pool: &usize| *pool == 0 || self.live[*pool] < self.outlook.pools[*pool - 1];
            let open = (0..self.ready.len()).filter(open).flat_map(|pool| (0..tracks).map(move |track| (pool, track)));
            let best = open.filter_map(|(pool, track)| Some((*self.ready[pool][track].first()?, pool, track))).min();
            let Some((turn, pool, track)) = best else { return };
            self.ready[pool][track].remove(&turn);
            let step = turn.2 as usize;
            let waited = if self.since[step] == now { self.via[step].or(freed) } else { freed };
            self.start(step, now, waited);
        }
    }
}

impl Planned {
    /// The steps that decide when it ends: back from the last one to whatever each waited for, into the past.
    pub(super) fn critical(&self, outlook: &Standing<'_>) -> Vec<u32> {
        let mut ahead = Vec::new();
        let mut at = self.last;
        while let Some(step) = at {
            ahead.push(step);
            at = self.after[step as usize];
        }
        let first = ahead.pop();
        let mut critical = chain_to(outlook, first);
        critical.extend(ahead.iter().rev());
        critical
    }

    /// What is expected of these steps, by their start.
    pub(super) fn expected(&self, outlook: &Standing<'_>, steps: &[usize]) -> Vec<Expected> {
        let seconds = |micros: u64| outlook.elapsed + micros as f64 / 1e6;
        let mut expected: Vec<Expected> = steps
            .iter()
            .filter_map(|step| {
                let (start, end) = self.spans[*step]?;
                Some(Expected { step: *step as u32, start: seconds(start), end: seconds(end) })
            })
            .collect();
        expected.sort_by(|one, other| one.start.total_cmp(&other.start).then(one.step.cmp(&other.step)));
        expected
    }
}

/// The step that ended last.
pub(super) fn last_to_end(outlook: &Standing<'_>) -> Option<u32> {
    let ends = outlook.steps.iter().enumerate().filter_map(|(step, outset)| Some((outset.ran?.1, step as u32)));
    ends.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, step)| step)
}

/// The steps that were waited for one after the other until this one, which is the last. Each waited for the step it depends on that ended last,
/// or, when that had ended before, for the one that made room.
pub(super) fn chain_to(outlook: &Standing<'_>, last: Option<u32>) -> Vec<u32> {
    let mut ends: Vec<(f64, u32)> = Vec::with_capacity(outlook.steps.len());
    ends.extend(outlook.steps.iter().zip(0..).filter_map(|(outset, step)| Some((outset.ran?.1, step))));
    ends.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let mut chain = Vec::new();
    let mut seen = vec![false; outlook.steps.len()];
    let mut at = last;
    while let Some(step) = at {
        chain.push(step);
        seen[step as usize] = true;
        // What has not run yet waits for what ends now.
        let start = outlook.steps[step as usize].ran.map_or(outlook.elapsed, |(start, _)| start);
        let ended = |step: u32| outlook.steps[step as usize].ran.map(|(_, end)| end).filter(|end| *end <= start);
        let needed = outlook.order.waits_for(step as usize).into_iter().map(|step| step as u32);
        let needed =
            needed.filter_map(|step| Some((ended(step)?, step))).max_by(|one, other| one.0.total_cmp(&other.0));
        let room = ends[..ends.partition_point(|(end, _)| *end <= start)].last().copied();
        let made_room = room.filter(|(end, _)| start - end <= AT_ONCE);
        at = match (needed, made_room) {
            (Some((end, step)), _) if start - end <= AT_ONCE => Some(step),
            (_, Some((_, step))) => Some(step),
            (needed, None) => needed.map(|(_, step)| step),
        };
        // What took no time could otherwise wait for itself.
        at = at.filter(|next| !seen[*next as usize]);
    }
    chain.reverse();
    chain
}

fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}
