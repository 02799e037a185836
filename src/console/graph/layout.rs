//! Where the nodes and lines of a graph are drawn: every node on a row of its own layer, lines between the layers in lanes that no two of them
//! share. Pure: equal graphs and sizes give equal drawings.
//!
//! One axis goes along the edges (`along`), the other across them. To the right, a layer is a column and its nodes are rows; downwards, a layer
//! is a row and its nodes stand side by side, each with its line at its glyph. Edges with the same beginnings and the same ends are one line
//! that branches, so a stage after a stage is a comb and not a net.

use super::layers::{Element, Layers, joined_after, joined_before, neighbours, reduced};
use super::wires::{Wire, wires};

/// Which way the edges lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the right: a row a node.
    Right,
    /// Downwards: a row a layer.
    Down,
}

/// How the graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Which way.
    pub direction: Direction,
    /// Cells from one node of a layer to the next: rows to the right, empty columns downwards.
    pub gap: i32,
}

/// Where a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    /// Column of its glyph.
    pub x: i32,
    /// Its row.
    pub y: i32,
    /// Columns it may fill.
    pub width: i32,
    /// Its layer.
    pub layer: usize,
}

/// A graph with places. The beginning is at 0, 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How it is drawn.
    pub manner: Manner,
    /// The nodes.
    pub nodes: Vec<Placed>,
    /// The nodes of each layer, in their order.
    pub layers: Vec<Vec<usize>>,
    /// Columns and rows of the whole.
    pub size: (i32, i32),
    /// The lines.
    pub wires: Vec<Wire>,
    /// By node: where its edges lead, and where they come from. Those that follow from others are not among them: they are not drawn.
    pub after: Vec<Vec<usize>>,
    /// See `after`.
    pub before: Vec<Vec<usize>>,
}

/// Free cells beside a node, along the edges.
const MARGIN: i32 = 1;

impl Layout {
    /// Lays out a graph without circles: a width for each node, and its edges.
    pub fn new(widths: &[i32], edges: &[(u32, u32)], manner: Manner) -> Self {
        let edges = reduced(widths.len(), edges);
        let (after, before) = neighbours(widths.len(), &edges);
        Self::of_layers(&Layers::new(widths.len(), &edges), widths, manner, after, before)
    }

    fn of_layers(
        layered: &Layers,
        widths: &[i32],
        manner: Manner,
        after: Vec<Vec<usize>>,
        before: Vec<Vec<usize>>,
    ) -> Self {
        let across = across(layered, widths, manner);
        let right = manner.direction == Direction::Right;
        let mut nodes = vec![Placed::default(); widths.len()];
        let mut found = Vec::new();
        let mut at = 0;
        for (layer, elements) in layered.layers.iter().enumerate() {
            let real = |element: &&Element| !element.passes;
            let broadest = elements.iter().filter(real).map(|element| widths[element.owner]).max().unwrap_or(0);
            let (margin, length) = if right { (MARGIN, broadest + 2 * MARGIN) } else { (0, 1) };
            for (place, element) in elements.iter().enumerate().filter(|(_, element)| !element.passes) {
                let (x, y) = if right { (at + margin, across[layer][place]) } else { (across[layer][place], at) };
                nodes[element.owner] = Placed { x, y, width: widths[element.owner], layer };
            }
            let end = at + length;
            let Some(edges) = layered.edges.get(layer) else {
                at = end;
                break;
            };
            let sides = (&elements[..], &layered.layers[layer + 1][..]);
            let channel = wires(layer, sides, (&across[layer], &across[layer + 1]), edges, right);
            let next = end + channel.length;
            for mut wire in channel.wires {
                wire.place(manner.direction, end, next, |element| {
                    let node = nodes[element.owner];
                    if element.passes || !right {
                        at + i32::from(!element.passes)
                    } else {
                        node.x + node.width + MARGIN
                    }
                });
                found.push(wire);
            }
            at = next;
        }
        let far = nodes.iter().map(|node| if right { node.y + 1 } else { node.x + node.width }).max().unwrap_or(0);
        let lines = found.iter().map(Wire::furthest).max().unwrap_or(0);
        let far = far.max(lines + 1);
        let layers = layered.layers.iter();
        let layers =
            layers.map(|layer| layer.iter().filter(|one| !one.passes).map(|one| one.owner).collect()).collect();
        let size = if right { (at, far) } else { (far, at) };
        Self { manner, nodes, layers, size, wires: found, after, before }
    }

    /// Whether every step has at most one before and one after it.
    pub fn is_line(&self) -> bool {
        self.layers.iter().all(|layer| layer.len() == 1)
    }

    /// The node at a cell.
    pub fn node_at(&self, x: i32, y: i32) -> Option<usize> {
        self.nodes.iter().position(|node| node.y == y && (node.x..node.x + node.width).contains(&x))
    }
}

/// The places across the edges, by layer and place in it. Each element is drawn to the middle one of its neighbours, with room between it and the
/// next; layer by layer, forwards and backwards.
fn across(layered: &Layers, widths: &[i32], manner: Manner) -> Vec<Vec<i32>> {
    let right = manner.direction == Direction::Right;
    let room = |element: &Element| match (right, element.passes) {
        (true, _) => manner.gap,
        (false, true) => 1 + manner.gap.min(2),
        (false, false) => widths[element.owner] + manner.gap,
    };
    let starts: Vec<Vec<i32>> = layered
        .layers
        .iter()
        .map(|layer| {
            let mut at = 0;
            let mut starts = Vec::with_capacity(layer.len());
            for element in layer {
                starts.push(at);
                at += room(element);
            }
            starts
        })
        .collect();
    let mut across = starts.clone();
    let count = layered.layers.len();
    for sweep in 0..8 {
        let forwards = sweep % 2 == 0;
        for step in 0..count {
            let layer = if forwards { step } else { count - 1 - step };
            let elements = &layered.layers[layer];
            let mut wanted = Vec::with_capacity(elements.len());
            for (place, element) in elements.iter().enumerate() {
                let joined = if forwards {
                    joined_before(&layered.edges, layer, place).into_iter().map(|at| across[layer - 1][at]).collect()
                } else {
                    joined_after(&layered.edges, layer, place).into_iter().map(|at| across[layer + 1][at]).collect()
                };
                let joined: Vec<i32> = joined;
                // A long line is to be straight more than a node is to be in the middle.
                let weight = if element.passes { 4 } else { 1 };
                wanted.push((middle(joined).unwrap_or(across[layer][place]), weight));
            }
            across[layer] = spread(&wanted, &starts[layer]);
        }
    }
    let filled = |element: &Element| if right || element.passes { 1 } else { widths[element.owner] };
    close_up(&mut across, layered, filled, if right { 1 } else { manner.gap });
    across
}

/// Begins at 0, and closes stretches that are empty in every layer up to `free` cells.
fn close_up(across: &mut [Vec<i32>], layered: &Layers, filled: impl Fn(&Element) -> i32, free: i32) {
    let elements = layered.layers.iter().flatten();
    let mut taken: Vec<(i32, i32)> =
        across.iter().flatten().zip(elements).map(|(at, element)| (*at, at + filled(element))).collect();
    taken.sort_unstable();
    // From a place on, everything moves back by so much.
    let mut moves: Vec<(i32, i32)> = Vec::new();
    let first = taken.first().map_or(0, |(from, _)| *from);
    let (mut back, mut end) = (first, first);
    for (from, to) in taken {
        if from > end {
            back += (from - end - free).max(0);
        }
        moves.push((from, back));
        end = end.max(to);
    }
    for at in across.iter_mut().flatten() {
        let place = moves.partition_point(|(from, _)| from <= at);
        *at -= moves[place.saturating_sub(1)].1;
    }
}

/// The middle one of some places; of two, the first.
fn middle(mut places: Vec<i32>) -> Option<i32> {
    places.sort_unstable();
    places.get(places.len().saturating_sub(1) / 2).copied()
}

/// Places as near to the wanted ones as the room allows that each needs: `starts` are the places when all are packed. Neighbours that want the same
/// room share the way (isotonic regression by pooling).
fn spread(wanted: &[(i32, i32)], starts: &[i32]) -> Vec<i32> {
    struct Pool {
        sum: i64,
        weight: i64,
        members: usize,
    }
    let mut pools: Vec<Pool> = Vec::with_capacity(wanted.len());
    for ((wanted, weight), start) in wanted.iter().zip(starts) {
        let weight = i64::from(*weight);
        pools.push(Pool { sum: i64::from(wanted - start) * weight, weight, members: 1 });
        while let [.., before, last] = &pools[..] {
            // In their order already: means that rise.
            if before.sum * last.weight <= last.sum * before.weight {
                break;
            }
            let Some(last) = pools.pop() else { break };
            if let Some(before) = pools.last_mut() {
                before.sum += last.sum;
                before.weight += last.weight;
                before.members += last.members;
            }
        }
    }
    let shifts = pools.iter().flat_map(|pool| {
        let mean = (pool.sum as f64 / pool.weight as f64).round() as i32;
        std::iter::repeat_n(mean, pool.members)
    });
    shifts.zip(starts).map(|(shift, start)| shift + start).collect()
}
