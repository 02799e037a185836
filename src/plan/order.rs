//! In which order the steps of a plan may run.
//!
//! A plan in which no step names `depends_on` is a sequence of stages: neighbouring steps with the same `parallel_group` form one stage, and
//! the next stage waits for all of it. Any `depends_on` makes the plan a graph. The steps of a rollback, which stand behind the plan's own, are a
//! chain beside that. All become the same structure: nodes, each with a
//! number of predecessors that must be satisfied first. Between two wide stages stands a *barrier* node, so that a stage of a thousand after
//! a stage of a thousand costs two thousand edges, not a million.
//!
//! The instances of a `foreach` step take its place: they wait for what it waits for, and it waits for them.

use std::collections::HashMap;
use std::ops::Range;

use super::{Generated, Plan, Step};

/// The order of work of one plan. Nodes `0..step_count` are the plan's steps by position; later nodes are barriers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    step_count: usize,
    successors: Adjacency,
    predecessors: Adjacency,
    /// By node: how long the longest chain of work is that begins with it, itself included.
    chains: Vec<u64>,
    /// By position behind the steps that were written: where the step stands that it was made for.
    homes: Vec<u32>,
    is_graph: bool,
}

/// Why a plan has no order of work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A step depends on one that is not there.
    #[error("step `{step}` depends on `{dependency}`, which is not a step of this plan")]
    UnknownDependency {
        /// The step that names it.
        step: String,
        /// What it names.
        dependency: String,
    },
    /// Steps wait for each other in a circle; each member depends on the next, the last on the first.
    #[error("these steps wait for each other: {}", describe_cycle(.0))]
    Cycle(Vec<String>),
    /// The same id twice.
    #[error("step id `{0}` stands twice")]
    DuplicateStep(String),
}

/// Edges in compressed form: the targets of node `n` are `targets[offsets[n]..offsets[n + 1]]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Adjacency {
    offsets: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut offsets = vec![0u32; nodes + 1];
        for (from, _) in edges {
            offsets[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut fill = offsets.clone();
        let mut targets = vec![0u32; edges.len()];
        for (from, to) in edges {
            targets[fill[*from as usize] as usize] = *to;
            fill[*from as usize] += 1;
        }
        Self { offsets, targets }
    }

    fn of(&self, node: usize) -> &[u32] {
        &self.targets[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }
}

impl Order {
    /// Computes the order of a plan's steps. Cost: steps plus edges.
    ///
    /// # Errors
    /// An unknown dependency, a duplicate id or a cycle.
    pub fn new(plan: &Plan) -> Result<Self, OrderError> {
        let places = places(plan)?;
        Self::with_places(plan, |id| places.get(id).map(|place| *place as usize))
    }

    /// The order of a plan in which every id stands once, and `place` says where.
    ///
    /// # Errors
    /// An unknown dependency or a cycle.
    pub fn with_places(plan: &Plan, place: impl Fn(&str) -> Option<usize>) -> Result<Self, OrderError> {
        let is_graph = is_graph(plan);
        let families = families(plan, &place);
        let (mut nodes, mut edges) = if is_graph { graph_edges(plan, place)? } else { stage_edges(plan) };
        let homes = stand_instances_before(&families, plan, &mut nodes, &mut edges);
        edges.extend((plan.own_steps() as u32 + 1..plan.steps.len() as u32).map(|step| (step - 1, step)));
        let reversed: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (*to, *from)).collect();
        let (successors, predecessors) = (Adjacency::new(nodes, &edges), Adjacency::new(nodes, &reversed));
        let chains = chains(nodes, &successors, &predecessors, |node| u64::from(node < plan.steps.len()));
        let order = Self { step_count: plan.steps.len(), successors, predecessors, chains, homes, is_graph };
        match order.cycle() {
            Some(members) => {
                Err(OrderError::Cycle(members.into_iter().map(|index| plan.steps[index].step_id.clone()).collect()))
            }
            None => Ok(order),
        }
    }

    /// Counts every step for what it weighs, given by position, and no longer for one. An instance weighs what the step does that it is an instance
    /// of; that one only waits for its instances then, and weighs next to nothing itself.
    pub fn weigh(&mut self, weight: impl Fn(usize) -> u64) {
        let mut weights: Vec<u64> = (0..self.step_count).map(|step| weight(self.home(step))).collect();
        for step in self.step_count - self.homes.len()..self.step_count {
            let home = self.home(step);
            if home != step {
                weights[home] = 1;
            }
        }
        let weight = |node: usize| weights.get(node).copied().unwrap_or(0);
        self.chains = chains(self.node_count(), &self.successors, &self.predecessors, weight);
    }

    /// For steps that have no order: each waits for itself, so none is ever ready. A checked plan always has one; what a damaged journal says
    /// may not, and is then shown and not run.
    pub fn none(step_count: usize) -> Self {
        let edges: Vec<(u32, u32)> = (0..step_count as u32).map(|node| (node, node)).collect();
        let circles = Adjacency::new(step_count, &edges);
        Self {
            step_count,
            successors: circles.clone(),
            predecessors: circles,
            chains: vec![0; step_count],
            homes: Vec::new(),
            is_graph: true,
        }
    }

    /// Whether the plan is a graph (`depends_on`) and not a sequence of stages.
    pub fn is_graph(&self) -> bool {
        self.is_graph
    }

    /// How many nodes there are: steps first, then barriers.
    pub fn node_count(&self) -> usize {
        self.step_count + (self.successors.offsets.len().saturating_sub(1)).saturating_sub(self.step_count)
    }

    /// Whether a node is a barrier and not a step.
    pub fn is_barrier(&self, node: usize) -> bool {
        node >= self.step_count
    }

    /// The nodes that wait for this one.
    pub fn successors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.successors.of(node).iter().map(|node| *node as usize)
    }

    /// The nodes that this one waits for.
    pub fn predecessors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.predecessors.of(node).iter().map(|node| *node as usize)
    }

    /// How long the longest chain of work is that begins with this step, itself included: in steps, or in what [`Order::weigh`] counts them by.
    /// Who starts the longest first ends soonest.
    pub fn chain(&self, step: usize) -> u64 {
        self.chains.get(step).copied().unwrap_or(0)
    }

    /// Where a step stands among those that were written: an instance where the step stands that it is an instance of.
    pub fn home(&self, step: usize) -> usize {
        let written = self.step_count - self.homes.len().min(self.step_count);
        let made = step.checked_sub(written).and_then(|place| self.homes.get(place));
        made.map_or(step, |home| *home as usize)
    }

    /// How many nodes must be satisfied before this one.
    pub fn predecessor_count(&self, node: usize) -> u32 {
        self.predecessors.of(node).len() as u32
    }

    /// The steps a step waits for directly, seen through barriers, in plan order.
    pub fn waits_for(&self, step: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for node in self.predecessors.of(step) {
            let node = *node as usize;
            if self.is_barrier(node) {
                found.extend(self.predecessors.of(node).iter().map(|node| *node as usize));
            } else {
                found.push(node);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every step that waits for this one directly or through others, in plan order, without itself.
    pub fn downstream(&self, step: usize) -> Vec<usize> {
        let mut seen = vec![false; self.node_count()];
        let mut stack = vec![step];
        let mut found = Vec::new();
        while let Some(node) = stack.pop() {
            for next in self.successors(node) {
                if !std::mem::replace(&mut seen[next], true) {
                    stack.push(next);
                    if !self.is_barrier(next) {
                        found.push(next);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// One cycle, if there is any, each member depending on the next.
    fn cycle(&self) -> Option<Vec<usize>> {
        if !self.is_graph {
            return None;
        }
        let mut found = find_cycles(self.node_count(), &self.successors, &self.predecessors).into_iter().next()?;
        found.retain(|node| !self.is_barrier(*node));
        Some(found)
    }
}

/// The longest chain of work from each node on, from the ends backwards; a barrier is no work. A node of a circle, which has none, gets zero.
fn chains(nodes: usize, successors: &Adjacency, predecessors: &Adjacency, weight: impl Fn(usize) -> u64) -> Vec<u64> {
    let mut chains = vec![0u64; nodes];
    let mut open: Vec<u32> = (0..nodes).map(|node| successors.of(node).len() as u32).collect();
    let mut ends: Vec<usize> = (0..nodes).filter(|node| open[*node] == 0).collect();
    while let Some(node) = ends.pop() {
        chains[node] += weight(node);
        for before in predecessors.of(node) {
            let before = *before as usize;
            chains[before] = chains[before].max(chains[node]);
            open[before] -= 1;
            if open[before] == 0 {
                ends.push(before);
            }
        }
    }
    chains
}

/// At most this many cycles are looked for.
const MAX_CYCLES: usize = 20;

/// Cycles among `nodes` nodes and `edges` (from, to): each member depends on the next, the last on the first. No node is in two of them, so
/// mending one may show another.
pub(super) fn cycles(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<usize>> {
    let reversed: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (*to, *from)).collect();
    find_cycles(nodes, &Adjacency::new(nodes, edges), &Adjacency::new(nodes, &reversed))
}

fn find_cycles(nodes: usize, successors: &Adjacency, predecessors: &Adjacency) -> Vec<Vec<usize>> {
    let mut unmet: Vec<u32> = (0..nodes).map(|node| predecessors.of(node).len() as u32).collect();
    let mut ready: Vec<usize> = (0..nodes).filter(|node| unmet[*node] == 0).collect();
    let mut left: Vec<bool> = vec![true; nodes];
    let mut found = Vec::new();
    let mut next_start = 0;
    loop {
        while let Some(node) = ready.pop() {
            left[node] = false;
            for next in successors.of(node) {
                let next = *next as usize;
                unmet[next] = unmet[next].saturating_sub(1);
                if unmet[next] == 0 && left[next] {
                    ready.push(next);
                }
            }
        }
        while next_start < nodes && !left[next_start] {
            next_start += 1;
        }
        if next_start == nodes || found.len() == MAX_CYCLES {
            return found;
        }
        // Every node left has a predecessor that is also left: walking backwards must come round.
        let mut place: HashMap<usize, usize> = HashMap::new();
        let mut path = Vec::new();
        let mut node = next_start;
        let members = loop {
            if let Some(start) = place.get(&node) {
                break path.split_off(*start);
            }
            place.insert(node, path.len());
            path.push(node);
            match predecessors.of(node).iter().map(|node| *node as usize).find(|node| left[*node]) {
                Some(before) => node = before,
                None => return found,
            }
        };
        // As if this cycle were mended: what else waits in a circle?
        for member in &members {
            unmet[*member] = 0;
            ready.push(*member);
            left[*member] = false;
        }
        found.push(members);
    }
}

/// A cycle on one line: `a → b → a`. A long one is shortened in the middle.
pub(super) fn describe_cycle<S: AsRef<str>>(members: &[S]) -> String {
    let name = |member: &S| member.as_ref().to_owned();
    let mut shown: Vec<String> = if members.len() > 12 {
        let left_out = format!("… {} more …", members.len() - 10);
        members[..8].iter().map(name).chain([left_out]).chain(members[members.len() - 2..].iter().map(name)).collect()
    } else {
        members.iter().map(name).collect()
    };
    shown.extend(members.first().map(name));
    shown.join(" → ")
}

/// The position of each step id.
fn places(plan: &Plan) -> Result<HashMap<&str, u32>, OrderError> {
    let mut places: HashMap<&str, u32> = HashMap::with_capacity(plan.steps.len());
    for (index, step) in plan.steps.iter().enumerate() {
        if places.insert(&step.step_id, index as u32).is_some() {
            return Err(OrderError::DuplicateStep(step.step_id.clone()));
        }
    }
    Ok(places)
}

fn is_graph(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.depends_on.is_some())
}

fn graph_edges(plan: &Plan, place: impl Fn(&str) -> Option<usize>) -> Result<(usize, Vec<(u32, u32)>), OrderError> {
    let mut edges = Vec::with_capacity(plan.steps.len());
    let mut named: Vec<&String> = Vec::new();
    for (index, step) in plan.steps[..plan.written()].iter().enumerate() {
        named.clear();
        named.extend(step.depends_on.iter().flatten());
        named.sort_unstable();
        named.dedup();
        for dependency in &named {
            // Most often it is the one before, and then no id has to be looked up.
            let before = index.checked_sub(1).filter(|before| plan.steps[*before].step_id == **dependency);
            let from = before.or_else(|| place(dependency)).ok_or_else(|| OrderError::UnknownDependency {
                step: step.step_id.clone(),
                dependency: (*dependency).clone(),
            })?;
            edges.push((from as u32, index as u32));
        }
    }
    Ok((plan.steps.len(), edges))
}

fn stage_edges(plan: &Plan) -> (usize, Vec<(u32, u32)>) {
    let mut nodes = plan.steps.len();
    let mut edges = Vec::new();
    let mut previous: Option<std::ops::Range<usize>> = None;
    for stage in stages(&plan.steps[..plan.written()]) {
        if let Some(before) = previous.replace(stage.clone()) {
            if before.len() == 1 || stage.len() == 1 {
                edges.extend(before.flat_map(|from| stage.clone().map(move |to| (from as u32, to as u32))));
            } else {
                let barrier = nodes as u32;
                nodes += 1;
                edges.extend(before.map(|from| (from as u32, barrier)));
                edges.extend(stage.map(|to| (barrier, to as u32)));
            }
        }
    }
    (nodes, edges)
}

/// The `foreach` steps that have instances, by position, and where those stand.
pub fn families(plan: &Plan, place: impl Fn(&str) -> Option<usize>) -> Vec<(usize, Range<usize>)> {
    let mut found: Vec<(usize, Range<usize>)> = Vec::new();
    let mut last: Option<&str> = None;
    for (position, step) in plan.steps.iter().enumerate().skip(plan.written()) {
        let Some(Generated::Instance { of, .. }) = step.generated.as_deref() else {
            last = None;
            continue;
        };
        match found.last_mut() {
            Some((_, instances)) if last == Some(of) && instances.end == position => instances.end += 1,
            _ => found.extend(place(of).map(|parent| (parent, position..position + 1))),
        }
        last = Some(of);
    }
    found
}

/// Lets what leads to a `foreach` step lead to its instances, and those to the step. Gives the positions for which the steps behind those that
/// were written have been made.
fn stand_instances_before(
    families: &[(usize, Range<usize>)],
    plan: &Plan,
    nodes: &mut usize,
    edges: &mut Vec<(u32, u32)>,
) -> Vec<u32> {
    let written = plan.written();
    let mut homes: Vec<u32> = (written..plan.steps.len()).map(|position| position as u32).collect();
    if families.is_empty() {
        return homes;
    }
    let mut family_of = vec![usize::MAX; *nodes];
    for (family, (parent, instances)) in families.iter().enumerate() {
        family_of[*parent] = family;
        homes[instances.start - written..instances.end - written].fill(*parent as u32);
    }
    let mut leads: Vec<Vec<u32>> = vec![Vec::new(); families.len()];
    edges.retain(|(from, to)| match family_of[*to as usize] {
        usize::MAX => true,
        family => {
            leads[family].push(*from);
            false
        }
    });
    for ((parent, instances), mut leads) in families.iter().zip(leads) {
        if leads.len() > 1 && instances.len() > 1 {
            let barrier = *nodes as u32;
            *nodes += 1;
            edges.extend(leads.iter().map(|from| (*from, barrier)));
            leads = vec![barrier];
        }
        for instance in instances.clone() {
            edges.extend(leads.iter().map(|from| (*from, instance as u32)));
            edges.push((instance as u32, *parent as u32));
        }
    }
    homes
}

/// The stages of a sequence, as ranges of positions.
pub fn stages(steps: &[std::sync::Arc<Step>]) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match found.last_mut() {
            Some(stage)
                if step.parallel_group.is_some() && steps[stage.start].parallel_group == step.parallel_group =>
            {
                stage.end = index + 1;
            }
            _ => found.push(index..index + 1),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn plan(steps: Vec<Step>) -> Plan {
        let mut plan: Plan = serde_json::from_str(r#"{"plan_id": "p", "steps": []}"#).unwrap();
        plan.steps = steps.into_iter().map(Arc::new).collect();
        plan
    }

    fn step(id: &str) -> Step {
        Step { step_id: id.into(), ..Step::default() }
    }

    fn in_group(id: &str, group: &str) -> Step {
        Step { parallel_group: Some(group.into()), ..step(id) }
    }

    fn after(id: &str, names: &[&str]) -> Step {
        Step { depends_on: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..step(id) }
    }

    fn edges(order: &Order) -> usize {
        (0..order.node_count()).map(|node| order.successors(node).count()).sum()
    }

    #[test]
    fn neighbours_of_one_group_are_a_stage() {
        let plan = plan(vec![
            step("a"),
            in_group("b", "g"),
            in_group("c", "g"),
            in_group("d", "h"),
            step("e"),
            step("f"),
            in_group("g", "g"),
        ]);
        assert_eq!(stages(&plan.steps), [0..1, 1..3, 3..4, 4..5, 5..6, 6..7]);
    }

    #[test]
    fn a_sequence_waits_stage_by_stage() {
        let order = Order::new(&plan(vec![step("a"), in_group("b", "g"), in_group("c", "g"), step("d")])).unwrap();
        assert!(!order.is_graph());
        assert_eq!(order.waits_for(0), [] as [usize; 0]);
        assert_eq!(order.waits_for(1), [0]);
        assert_eq!(order.waits_for(2), [0]);
        assert_eq!(order.waits_for(3), [1, 2]);
        assert_eq!(order.downstream(0), [1, 2, 3]);
        assert_eq!(order.downstream(1), [3]);
        assert_eq!(order.node_count(), 4);
    }

    #[test]
    fn a_thousand_after_a_thousand_is_two_thousand_edges() {
        let wide = |group: &'static str| (0..1000).map(move |number| in_group(&format!("{group}{number}"), group));
        let plan = plan(wide("a").chain(wide("b")).collect());
        let order = Order::new(&plan).unwrap();
        assert_eq!(order.node_count(), 2001);
        assert_eq!(edges(&order), 2000);
        assert!(order.is_barrier(2000));
        assert!(!order.is_barrier(1999));
        assert_eq!(order.predecessor_count(2000), 1000);
        assert_eq!(order.waits_for(1500), (0..1000).collect::<Vec<_>>());
        assert_eq!(order.downstream(7), (1000..2000).collect::<Vec<_>>());
        assert_eq!(order.downstream(1500), [] as [usize; 0]);
    }

    #[test]
    fn instances_stand_between_what_their_step_waits_for_and_the_step() {
        let with_instances = |mut steps: Vec<Step>, of: &str, count: u32| {
            let each = steps.iter().find(|step| step.step_id == of).unwrap().clone();
            steps.extend((0..count).map(|index| crate::plan::instance_of(&each, index)));
            plan(steps)
        };
        // A list: two, then `t` beside another, then the last.
        let list = vec![in_group("a", "g"), in_group("b", "g"), in_group("t", "h"), in_group("u", "h"), step("z")];
        let order = Order::new(&with_instances(list, "t", 3)).unwrap();
        assert_eq!(order.waits_for(2), [5, 6, 7]);
        assert_eq!(order.waits_for(6), [0, 1]);
        assert_eq!(order.waits_for(3), [0, 1], "what runs beside it waits for what it did");
        assert_eq!(order.waits_for(4), [2, 3]);
        assert_eq!(order.downstream(0), [2, 3, 4, 5, 6, 7]);
        assert_eq!(order.downstream(6), [2, 4]);
        assert_eq!((order.home(6), order.home(3)), (2, 3));
        assert_eq!(order.chain(6), 3, "the instance, its step and the last");

        // A graph with many before it and many of it: a barrier, and a circle through it is still told by its steps.
        let wide: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
        let names: Vec<&str> = wide.iter().map(String::as_str).collect();
        let mut graph: Vec<Step> = wide.iter().map(|id| step(id)).collect();
        graph.push(after("t", &names));
        let order = Order::new(&with_instances(graph.clone(), "t", 100)).unwrap();
        assert_eq!(edges(&order), 300);
        assert_eq!(order.waits_for(150).len(), 100);
        graph[0] = after("s0", &["t"]);
        let Err(OrderError::Cycle(members)) = Order::new(&with_instances(graph, "t", 100)) else { panic!("no cycle") };
        assert!(members.iter().all(|id| id.starts_with(['s', 't'])), "{members:?}");
    }

    #[test]
    fn a_chain_is_as_long_as_its_steps_are_heavy() {
        let each = after("t", &["a"]);
        let steps = vec![step("a"), after("b", &["a"]), after("c", &["b"]), each.clone(), after("z", &["c", "t"])];
        let weights = [1, 10, 10, 500, 2];
        let weight = |position: usize| weights.get(position).copied().unwrap_or(7);
        let mut order = Order::new(&plan(steps.clone())).unwrap();
        assert_eq!((order.chain(0), order.chain(3)), (4, 2), "in steps");
        order.weigh(weight);
        assert_eq!([0, 1, 3, 4].map(|step| order.chain(step)), [503, 22, 502, 2]);

        let instances = (0..2).map(|index| crate::plan::instance_of(&each, index));
        let mut order = Order::new(&plan(steps.into_iter().chain(instances).collect())).unwrap();
        order.weigh(weight);
        assert_eq!([5, 3].map(|step| order.chain(step)), [503, 3], "the work is the instances'");

        let wide = |group: &'static str| (0..3).map(move |number| in_group(&format!("{group}{number}"), group));
        let mut order = Order::new(&plan(wide("a").chain(wide("b")).collect())).unwrap();
        order.weigh(|position| position as u64);
        assert_eq!([0, 2, 4].map(|step| order.chain(step)), [5, 7, 4], "through a barrier, which weighs nothing");
    }

    #[test]
    fn any_dependency_makes_a_graph_and_groups_labels() {
        let order = Order::new(&plan(vec![
            in_group("a", "g"),
            in_group("b", "g"),
            after("c", &["b", "b"]),
            after("d", &["c", "a"]),
        ]))
        .unwrap();
        assert!(order.is_graph());
        assert_eq!(order.waits_for(1), [] as [usize; 0]);
        assert_eq!(order.waits_for(2), [1], "a dependency named twice counts once");
        assert_eq!(order.predecessor_count(2), 1);
        assert_eq!(order.waits_for(3), [0, 2]);
        assert_eq!(order.downstream(1), [2, 3]);
    }

    #[test]
    fn an_order_is_refused_with_the_reason() {
        let unknown = Order::new(&plan(vec![step("a"), after("b", &["x"])])).unwrap_err();
        assert_eq!(unknown.to_string(), "step `b` depends on `x`, which is not a step of this plan");
        let twice = Order::new(&plan(vec![step("a"), after("a", &[])])).unwrap_err();
        assert_eq!(twice, OrderError::DuplicateStep("a".into()));
        let twice = Order::new(&plan(vec![step("a"), step("a")])).unwrap_err();
        assert_eq!(twice, OrderError::DuplicateStep("a".into()), "also where no step names `depends_on`");
        let itself = Order::new(&plan(vec![after("a", &["a"])])).unwrap_err();
        assert_eq!(itself, OrderError::Cycle(vec!["a".into()]));
        assert_eq!(itself.to_string(), "these steps wait for each other: a → a");
    }

    #[test]
    fn each_member_of_a_cycle_depends_on_the_next() {
        // e hangs on the cycle and d feeds it; neither is a member.
        let steps =
            vec![step("d"), after("a", &["d", "c"]), after("b", &["a"]), after("c", &["b"]), after("e", &["c"])];
        let plan = plan(steps);
        let Err(OrderError::Cycle(members)) = Order::new(&plan) else { panic!("no cycle found") };
        assert_eq!(members.len(), 3);
        for (place, member) in members.iter().enumerate() {
            let next = &members[(place + 1) % members.len()];
            let step = &plan.steps[plan.position(member).unwrap()];
            assert!(step.depends_on.as_ref().unwrap().contains(next), "{member} → {next}");
        }
    }

    #[test]
    fn separate_cycles_are_found_together() {
        let mut found = cycles(7, &[(0, 1), (1, 0), (1, 2), (3, 4), (4, 5), (5, 3), (6, 6)]);
        found.iter_mut().for_each(|cycle| cycle.sort_unstable());
        assert_eq!(found, [vec![0, 1], vec![3, 4, 5], vec![6]]);
    }

    #[test]
    fn a_cycle_of_a_hundred_thousand_is_found_and_told_briefly() {
        let count = 100_000;
        let edges: Vec<(u32, u32)> = (0..count).map(|node| (node, (node + 1) % count)).collect();
        let found = cycles(count as usize, &edges);
        assert_eq!(found[0].len(), count as usize);
        let names: Vec<String> = found[0].iter().map(ToString::to_string).collect();
        assert!(describe_cycle(&names).len() < 200);
    }

    #[test]
    fn a_long_chain_does_not_recurse() {
        let steps: Vec<Step> =
            (0..50_000)
                .map(|number| {
                    if number == 0 { step("s0") } else { after(&format!("s{number}"), &[&format!("s{}", number - 1)]) }
                })
                .collect();
        let order = Order::new(&plan(steps)).unwrap();
        assert_eq!(order.downstream(0).len(), 49_999);
    }

    #[test]
    fn the_steps_of_a_rollback_are_a_chain_beside_the_others() {
        for own in
            [vec![step("a"), in_group("b", "g"), in_group("c", "g")], vec![after("a", &["b"]), step("b"), step("c")]]
        {
            let alone = Order::new(&plan(own.clone())).unwrap();
            let undo = |step: &Step| {
                Step { rollback: Some(Box::default()), ..step.clone() }.undoing(crate::plan::FailurePolicy::Fail)
            };
            let undoing: Vec<Step> = own.iter().rev().filter_map(undo).collect();
            let order = Order::new(&plan(own.into_iter().chain(undoing).collect())).unwrap();
            assert_eq!(order.is_graph(), alone.is_graph(), "they make no graph of a list");
            assert!((0..3).all(|place| order.waits_for(place) == alone.waits_for(place)));
            assert!((0..3).all(|place| order.downstream(place) == alone.downstream(place)), "and wait for nobody else");
            assert_eq!([3, 4, 5].map(|place| order.waits_for(place)), [vec![], vec![3], vec![4]]);
        }
    }

    #[test]
    fn an_empty_plan_has_an_order() {
        let order = Order::new(&plan(Vec::new())).unwrap();
        assert_eq!(order.node_count(), 0);
        assert_eq!(Order::default().node_count(), 0);
    }
}
