//! What of a plan is drawn as a node of its own. Up to [`LIMIT`] steps all are; beyond, steps are folded into groups until what is left can be
//! read: chains without branches first, then whole layers, the widest first, by their `parallel_group` where they have one, and stretches of
//! layers where there are too many of those. Each group opens into its parts, which are folded by the same rule.
//!
//! Everything in a group lies in one layer, in one chain, or between two layers, so groups depend on each other without circles as steps do.

use std::collections::HashSet;

use crate::plan::Plan;
use crate::plan::order::Order;

/// So many nodes can be read at once.
pub const LIMIT: usize = 50;
/// Into about so many parts a group opens that has more than [`LIMIT`] members.
const PARTS: usize = 16;
/// A chain is folded from so many steps on.
const CHAIN: usize = 3;
/// A layer is not cut into more named groups than this.
const NAMES: usize = 12;

/// What names a group, also when the plan changes beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    kind: u8,
    /// Its first step.
    first: String,
    /// How many steps it has.
    steps: usize,
}

/// What makes steps a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One after the other, without branches.
    Chain,
    /// What may run side by side.
    Layer,
    /// The same, with its `parallel_group`.
    Named(String),
    /// A part of one of these, in plan order.
    Part,
    /// Several layers, one after the other: so many.
    Layers(usize),
}

/// Steps that are drawn as one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What names it.
    pub key: Key,
    /// What it is.
    pub kind: Kind,
    /// Positions of its steps, in plan order; of a chain, in the order of work.
    pub steps: Vec<u32>,
}

/// A node of the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A step, by its position.
    Step(u32),
    /// A group.
    Group(Group),
}

impl Node {
    /// The positions of its steps.
    pub fn steps(&self) -> &[u32] {
        match self {
            Node::Step(step) => std::slice::from_ref(step),
            Node::Group(group) => &group.steps,
        }
    }
}

/// A plan as nodes and edges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// From, to; each once.
    pub edges: Vec<(u32, u32)>,
    /// By position of a step: its node.
    pub of: Vec<u32>,
    /// By node: the groups that were opened to show it, the outermost first.
    pub inside: Vec<Vec<Key>>,
}

/// Folds a plan, with these groups open. Cost: steps plus edges.
pub fn fold(plan: &Plan, order: &Order, open: &HashSet<Key>) -> Folded {
    let steps = plan.steps.len();
    let mut folding = Folding { plan, open, units: Vec::new(), found: Folded::default(), inside: Vec::new() };
    folding.found.of = vec![0; steps];
    if steps <= LIMIT {
        (0..steps).for_each(|step| folding.node(Node::Step(step as u32)));
    } else {
        folding.units = units(order, steps);
        match &folding.units[..] {
            // All of it is one chain: a single node would say nothing.
            [all] => folding.parts(&all.clone()),
            units => {
                let layers = layers(order, units, steps);
                folding.layers(&layers);
            }
        }
    }
    let mut found = folding.found;
    found.edges = edges(order, &found.of, found.nodes.len());
    found
}

/// Chains, and the steps that are in none, by their first step.
fn units(order: &Order, steps: usize) -> Vec<Vec<u32>> {
    // The only step after, where this is the only one before it.
    let next = |step: usize| {
        let mut after = order.successors(step);
        let next = after.next().filter(|_| after.next().is_none())?;
        (!order.is_barrier(next) && order.predecessor_count(next) == 1 && next != step).then_some(next)
    };
    let mut has_before = vec![false; steps];
    for next in (0..steps).filter_map(next) {
        has_before[next] = true;
    }
    let mut found: Vec<Vec<u32>> = Vec::new();
    let mut seen = vec![false; steps];
    for first in (0..steps).filter(|step| !has_before[*step]) {
        let chain: Vec<u32> = std::iter::successors(Some(first), |step| next(*step)).map(|step| step as u32).collect();
        chain.iter().for_each(|step| seen[*step as usize] = true);
        if chain.len() >= CHAIN {
            found.push(chain);
        } else {
            found.extend(chain.into_iter().map(|step| vec![step]));
        }
    }
    // A circle, in a plan that a damaged journal tells of.
    found.extend((0..steps as u32).filter(|step| !seen[*step as usize]).map(|step| vec![step]));
    found.sort_unstable_by_key(|unit| unit[0]);
    found
}

/// The units of each layer.
fn layers(order: &Order, units: &[Vec<u32>], steps: usize) -> Vec<Vec<u32>> {
    let mut unit_of = vec![0u32; steps];
    for (unit, members) in units.iter().enumerate() {
        members.iter().for_each(|step| unit_of[*step as usize] = unit as u32);
    }
    let depth = depths(order, steps, |step| unit_of[step] as usize, units.len());
    let count = depth.iter().max().map_or(0, |last| last + 1);
    let mut layers = vec![Vec::new(); count];
    for (unit, depth) in depth.iter().enumerate() {
        layers[*depth].push(unit as u32);
    }
    layers
}

/// The layers of steps: the longest path that leads to each.
pub fn step_depths(order: &Order, steps: usize) -> Vec<usize> {
    depths(order, steps, |step| step, steps)
}

/// The longest path to each unit, over the plan's own edges; barriers are no layer.
fn depths(order: &Order, steps: usize, unit_of: impl Fn(usize) -> usize, units: usize) -> Vec<usize> {
    // Units first, then barriers.
    let node = |node: usize| if node < steps { unit_of(node) } else { units + node - steps };
    let count = units + order.node_count() - steps;
    let mut unmet = vec![0u32; count];
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); units];
    let all = order.node_count();
    for from in 0..all {
        for to in order.successors(from) {
            unmet[node(to)] += u32::from(node(from) != node(to));
        }
        if from < steps {
            members[unit_of(from)].push(from as u32);
        }
    }
    let mut ready: Vec<usize> = (0..count).filter(|node| unmet[*node] == 0).collect();
    let mut depth = vec![0usize; count];
    while let Some(from) = ready.pop() {
        let own = [(from + steps).saturating_sub(units) as u32];
        let sources: &[u32] = if from < units { &members[from] } else { &own };
        for to in sources.iter().flat_map(|source| order.successors(*source as usize)).map(node) {
            if to == from {
                continue;
            }
            depth[to] = depth[to].max(depth[from] + usize::from(from < units));
            unmet[to] -= 1;
            if unmet[to] == 0 {
                ready.push(to);
            }
        }
    }
    depth.truncate(units);
    depth
}

/// The edges between nodes, each once.
fn edges(order: &Order, of: &[u32], nodes: usize) -> Vec<(u32, u32)> {
    let mut seen = vec![false; nodes * nodes];
    let mut found = Vec::new();
    let mut add = |from: u32, to: u32| {
        if from != to && !std::mem::replace(&mut seen[from as usize * nodes + to as usize], true) {
            found.push((from, to));
        }
    };
    for step in 0..of.len() {
        for next in order.successors(step).filter(|next| !order.is_barrier(*next)) {
            add(of[step], of[next]);
        }
    }
    for barrier in of.len()..order.node_count() {
        let distinct = |nodes: &mut dyn Iterator<Item = usize>| -> Vec<u32> {
            let mut found: Vec<u32> = nodes.filter_map(|step| of.get(step).copied()).collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let before = distinct(&mut order.predecessors(barrier));
        let after = distinct(&mut order.successors(barrier));
        before.iter().for_each(|from| after.iter().for_each(|to| add(*from, *to)));
    }
    found.sort_unstable();
    found
}

struct Folding<'a> {
    plan: &'a Plan,
    open: &'a HashSet<Key>,
    units: Vec<Vec<u32>>,
    found: Folded,
    /// The open groups around what is being folded.
    inside: Vec<Key>,
}

impl Folding<'_> {
    fn node(&mut self, node: Node) {
        let number = self.found.nodes.len() as u32;
        node.steps().iter().for_each(|step| self.found.of[*step as usize] = number);
        self.found.nodes.push(node);
        self.found.inside.push(self.inside.clone());
    }

    /// A group of units: one node, or, when it is open, what `parts` makes of it.
    fn group(&mut self, kind: Kind, units: &[u32], parts: impl FnOnce(&mut Self)) {
        if let [unit] = units {
            return self.unit(*unit);
        }
        let mut steps: Vec<u32> = units.iter().flat_map(|unit| self.units[*unit as usize].iter().copied()).collect();
        steps.sort_unstable();
        self.of_steps(kind, steps, parts);
    }

    fn of_steps(&mut self, kind: Kind, steps: Vec<u32>, parts: impl FnOnce(&mut Self)) {
        let number = match kind {
            Kind::Chain => 0,
            Kind::Layer => 1,
            Kind::Named(_) => 2,
            Kind::Part => 3,
            Kind::Layers(_) => 4,
        };
        let first = self.plan.steps[steps[0] as usize].step_id.clone();
        let key = Key { kind: number, first, steps: steps.len() };
        if self.open.contains(&key) {
            self.inside.push(key);
            parts(self);
            self.inside.pop();
        } else {
            self.node(Node::Group(Group { key, kind, steps }));
        }
    }

    fn unit(&mut self, unit: u32) {
        let steps = self.units[unit as usize].clone();
        match steps[..] {
            [step] => self.node(Node::Step(step)),
            _ => self.chain(Kind::Chain, steps),
        }
    }

    fn chain(&mut self, kind: Kind, steps: Vec<u32>) {
        let parts = steps.clone();
        self.of_steps(kind, steps, |folding| folding.parts(&parts));
    }

    /// The steps of a chain, or parts of it.
    fn parts(&mut self, steps: &[u32]) {
        if steps.len() <= LIMIT {
            return steps.iter().for_each(|step| self.node(Node::Step(*step)));
        }
        for part in steps.chunks(steps.len().div_ceil(PARTS)) {
            match part {
                [step] => self.node(Node::Step(*step)),
                part => self.chain(Kind::Chain, part.to_vec()),
            }
        }
    }

    /// Layers one after the other.
    fn layers(&mut self, layers: &[Vec<u32>]) {
        let all: usize = layers.iter().map(Vec::len).sum();
        if all > LIMIT && layers.len() > LIMIT / 2 {
            for part in layers.chunks(layers.len().div_ceil(PARTS)) {
                let units: Vec<u32> = part.iter().flatten().copied().collect();
                match part {
                    [layer] => self.layer(layer),
                    part => self.group(Kind::Layers(part.len()), &units, |folding| folding.layers(part)),
                }
            }
            return;
        }
        // The widest are folded first, and no more than it takes.
        let mut widest: Vec<usize> = (0..layers.len()).collect();
        widest.sort_by_key(|layer| std::cmp::Reverse(layers[*layer].len()));
        let mut left = all;
        let mut folded = vec![false; layers.len()];
        for layer in widest {
            if left <= LIMIT || layers[layer].len() < 2 {
                break;
            }
            folded[layer] = true;
            left -= layers[layer].len() - 1;
        }
        for (layer, folded) in layers.iter().zip(folded) {
            if folded {
                self.layer(layer);
            } else {
                layer.iter().for_each(|unit| self.unit(*unit));
            }
        }
    }

    /// A layer as one group, or as one for each `parallel_group` in it.
    fn layer(&mut self, units: &[u32]) {
        let mut named: Vec<(Option<&str>, Vec<u32>)> = Vec::new();
        for unit in units {
            let name = self.plan.steps[self.units[*unit as usize][0] as usize].parallel_group.as_deref();
            match named.iter().position(|(known, _)| *known == name) {
                Some(known) => named[known].1.push(*unit),
                None if named.len() <= NAMES => named.push((name, vec![*unit])),
                None => return self.members(Kind::Layer, units),
            }
        }
        for (name, members) in &named {
            let kind = name.map_or(Kind::Layer, |name| Kind::Named(name.to_owned()));
            self.members(kind, members);
        }
    }

    fn members(&mut self, kind: Kind, units: &[u32]) {
        self.group(kind, units, |folding| {
            if units.len() <= LIMIT {
                return units.iter().for_each(|unit| folding.unit(*unit));
            }
            for part in units.chunks(units.len().div_ceil(PARTS)) {
                folding.members(Kind::Part, part);
            }
        });
    }
}
