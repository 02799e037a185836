//! Layers of a graph without circles, and the order of the nodes within them: the longest path, then sweeps that put every node near those it
//! is joined with. Pure and deterministic: equal graphs are laid out equally, and nothing of a run's state comes in.

/// Sweeps over the layers, down and up.
const SWEEPS: usize = 12;

/// A node of a layer, or the place where a longer edge passes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// The node; the one where the edge begins for a passage.
    pub owner: usize,
    /// Whether an edge only passes here. All edges of a node pass a layer together.
    pub passes: bool,
}

/// A graph in layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// By node: its layer.
    pub of: Vec<usize>,
    /// The elements of each layer in their order.
    pub layers: Vec<Vec<Element>>,
    /// Between each layer and the next: pairs of places in them.
    pub edges: Vec<Vec<(usize, usize)>>,
}

/// The layer of each node: the longest path that leads to it. A node of a circle, which a checked plan has none of, stays in the first.
pub fn depths(nodes: usize, edges: &[(u32, u32)]) -> Vec<usize> {
    let (after, before) = neighbours(nodes, edges);
    let mut unmet: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..nodes).filter(|node| unmet[*node] == 0).collect();
    let mut depth = vec![0; nodes];
    while let Some(node) = ready.pop() {
        for next in &after[node] {
            depth[*next] = depth[*next].max(depth[node] + 1);
            unmet[*next] -= 1;
            if unmet[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    depth
}

/// The edges without those that follow from others: what says nothing about the order is not drawn.
pub fn reduced(nodes: usize, edges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let depth = depths(nodes, edges);
    let (mut after, _) = neighbours(nodes, edges);
    let mut from_last: Vec<usize> = (0..nodes).collect();
    from_last.sort_by_key(|node| std::cmp::Reverse(depth[*node]));
    let words = nodes.div_ceil(64);
    let mut reach = vec![0u64; nodes * words];
    let mut kept = Vec::new();
    for node in from_last {
        after[node].sort_by_key(|next| (depth[*next], *next));
        after[node].dedup();
        for next in &after[node] {
            if depth[*next] <= depth[node] || reach[node * words + next / 64] >> (next % 64) & 1 == 1 {
                continue;
            }
            kept.push((node as u32, *next as u32));
            for word in 0..words {
                reach[node * words + word] |= reach[next * words + word];
            }
            reach[node * words + next / 64] |= 1 << (next % 64);
        }
    }
    kept.sort_unstable();
    kept
}

/// By node: where its edges lead, and where they come from.
pub fn neighbours(nodes: usize, edges: &[(u32, u32)]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let (mut after, mut before) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        after[*from as usize].push(*to as usize);
        before[*to as usize].push(*from as usize);
    }
    (after, before)
}

impl Layers {
    /// Puts a graph into layers. Of the edges, those that lead from a layer to a later one count.
    pub fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut of = depths(nodes, edges);
        let (after, before) = neighbours(nodes, edges);
        // What begins by itself stands beside what first needs it, not at the far end of a long line.
        for node in 0..nodes {
            let next = after[node].iter().map(|next| of[*next]).min();
            if let Some(next) = next.filter(|next| before[node].is_empty() && *next > 0) {
                of[node] = next - 1;
            }
        }
        let count = of.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        for (node, layer) in of.iter().enumerate() {
            layers[*layer].push(Element { owner: node, passes: false });
        }
        for (node, targets) in after.iter().enumerate() {
            let last = targets.iter().map(|next| of[*next]).max().unwrap_or(0);
            for layer in layers.iter_mut().take(last).skip(of[node] + 1) {
                layer.push(Element { owner: node, passes: true });
            }
        }
        let mut layered = Self { of, layers, edges: Vec::new() };
        layered.join(&after);
        layered.untangle();
        layered
    }

    /// Finds the edges between neighbouring layers anew.
    fn join(&mut self, after: &[Vec<usize>]) {
        self.edges = (0..self.layers.len().saturating_sub(1)).map(|at| self.edges_after(at, after)).collect();
    }

    fn edges_after(&self, at: usize, after: &[Vec<usize>]) -> Vec<(usize, usize)> {
        let next = &self.layers[at + 1];
        let mut places = vec![usize::MAX; self.of.len()];
        let mut passages = vec![usize::MAX; self.of.len()];
        for (place, element) in next.iter().enumerate() {
            if element.passes { passages[element.owner] = place } else { places[element.owner] = place }
        }
        let mut found = Vec::new();
        for (from, element) in self.layers[at].iter().enumerate() {
            let here = after[element.owner].iter().filter(|next| self.of[**next] == at + 1);
            found.extend(here.map(|next| (from, places[*next])));
            if passages[element.owner] != usize::MAX {
                found.push((from, passages[element.owner]));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How many pairs of edges cross each other.
    pub fn crossings(&self) -> usize {
        self.edges.iter().map(|edges| crossings(edges)).sum()
    }

    fn untangle(&mut self) {
        let mut best = (self.crossings(), self.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let count = self.layers.len();
            for step in 1..count {
                let layer = if sweep % 2 == 0 { step } else { count - 1 - step };
                self.sort_layer(layer, sweep % 2 == 0);
            }
            self.swap_neighbours();
            let now = self.crossings();
            if now < best.0 {
                best = (now, self.clone());
            }
        }
        *self = best.1;
    }

    /// Orders a layer by the mean place of what its elements are joined with in the one before, or after.
    fn sort_layer(&mut self, layer: usize, by_before: bool) {
        let size = self.layers[layer].len();
        let (mut sum, mut number) = (vec![0usize; size], vec![0usize; size]);
        let pairs = if by_before { self.edges.get(layer.wrapping_sub(1)) } else { self.edges.get(layer) };
        for (from, to) in pairs.into_iter().flatten() {
            let (here, there) = if by_before { (*to, *from) } else { (*from, *to) };
            sum[here] += there;
            number[here] += 1;
        }
        let mean = |place: usize| match number[place] {
            0 => place as f64,
            joined => sum[place] as f64 / joined as f64,
        };
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|one, other| mean(*one).total_cmp(&mean(*other)));
        self.reorder(layer, &order);
    }

    fn reorder(&mut self, layer: usize, order: &[usize]) {
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        self.layers[layer] = order.iter().map(|old| self.layers[layer][*old]).collect();
        if let Some(edges) = layer.checked_sub(1).and_then(|before| self.edges.get_mut(before)) {
            edges.iter_mut().for_each(|(_, to)| *to = place[*to]);
        }
        if let Some(edges) = self.edges.get_mut(layer) {
            edges.iter_mut().for_each(|(from, _)| *from = place[*from]);
        }
    }

    /// Swaps neighbours wherever that leaves fewer crossings.
    fn swap_neighbours(&mut self) {
        for layer in 0..self.layers.len() {
            let size = self.layers[layer].len();
            for place in 1..size {
                let side = |joined: &dyn Fn(usize) -> Vec<usize>| {
                    let (upper, lower) = (joined(place - 1), joined(place));
                    let over = |first: &[usize], second: &[usize]| -> usize {
                        first.iter().map(|one| second.iter().filter(|other| *other < one).count()).sum()
                    };
                    (over(&upper, &lower), over(&lower, &upper))
                };
                let before = |at: usize| joined_before(&self.edges, layer, at);
                let after = |at: usize| joined_after(&self.edges, layer, at);
                let ((left, left_swapped), (right, right_swapped)) = (side(&before), side(&after));
                if left_swapped + right_swapped < left + right {
                    let mut order: Vec<usize> = (0..size).collect();
                    order.swap(place - 1, place);
                    self.reorder(layer, &order);
                }
            }
        }
    }
}

/// Places in the layer before that an element is joined with.
pub fn joined_before(edges: &[Vec<(usize, usize)>], layer: usize, place: usize) -> Vec<usize> {
    let pairs = layer.checked_sub(1).and_then(|before| edges.get(before));
    pairs.into_iter().flatten().filter(|(_, to)| *to == place).map(|(from, _)| *from).collect()
}

/// Places in the layer after that an element is joined with.
pub fn joined_after(edges: &[Vec<(usize, usize)>], layer: usize, place: usize) -> Vec<usize> {
    edges.get(layer).into_iter().flatten().filter(|(from, _)| *from == place).map(|(_, to)| *to).collect()
}

/// How many pairs of edges between two layers cross: the inversions, counted with a Fenwick tree.
fn crossings(edges: &[(usize, usize)]) -> usize {
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    let size = sorted.iter().map(|(_, to)| to + 1).max().unwrap_or(0);
    let mut tree = vec![0usize; size + 1];
    let mut found = 0;
    for (seen, (_, to)) in sorted.iter().enumerate() {
        let mut at = to + 1;
        let mut not_after = 0;
        while at > 0 {
            not_after += tree[at];
            at &= at - 1;
        }
        found += seen - not_after;
        let mut at = to + 1;
        while at <= size {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    found
}
