//! The plan as a drawn graph: what is folded, where everything is, what is selected and which part of it is seen.
//!
//! Folding and layout follow the plan alone. They are done before a frame when the plan, the open groups or the room has changed, never while
//! drawing and never because the run goes on; what a run changes are colours and the counts of groups.
//!
//! The layout is our own: crates for it (`rust-sugiyama`, `ascii-dag`) place nodes well, but in a terminal it is the lines that decide what can be
//! read. Theirs share cells, do not know what is part of which edge, and leave no say in lanes.

pub mod fold;
mod keys;
pub mod layers;
pub mod layout;
pub mod wires;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::plan::order::Order;
use crate::run::{Counts, RunState, StepStatus};

use super::text;
pub use fold::{Folded, Group, Key, Kind, Node};
pub use layout::{Direction, Layout, Manner, Placed};
pub use wires::{Cell, Wire};

/// The most groups that are open at once: the oldest is folded again, so that what is drawn stays bounded.
const OPEN: usize = 8;
/// The longest name of a node, in cells.
const NAME: usize = 22;
/// The same where there is little room.
const SHORT_NAME: usize = 14;
/// Room for a duration beside a name.
pub const DURATION: i32 = 6;

/// A drawing, and what it is of.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The nodes and edges.
    pub folded: Folded,
    /// Their places.
    pub layout: Layout,
    /// Every cell of every line; of two lines that cross, the one that is seen.
    pub cells: HashMap<(i32, i32), (u8, usize)>,
    /// Whether there is room for durations beside the names.
    pub durations: bool,
    /// Of which steps; `None`: what is open has changed since.
    made: Option<Arc<Order>>,
    room: (u16, u16),
}

/// The state of the place.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The drawing, once it was looked at.
    pub drawing: Option<Drawing>,
    /// The selected group; `None`: the node of the run's selected step.
    pub group: Option<Key>,
    /// The first column and row that are seen.
    pub offset: (i32, i32),
    /// By node: the states of its steps.
    pub counts: Vec<Counts>,
    open: Vec<Key>,
    counted: Option<u64>,
}

impl Graph {
    /// Brings the drawing up to date, before a frame. `statuses`: of the steps, by position; `room`: columns and rows there are.
    pub fn refresh(&mut self, state: &RunState, statuses: &[StepStatus], position: Option<usize>, room: (u16, u16)) {
        let known = self.drawing.as_ref();
        let is_of = |drawing: &Drawing| drawing.made.as_ref().is_some_and(|made| Arc::ptr_eq(made, state.structure()));
        if !known.is_some_and(is_of) {
            let open: HashSet<Key> = self.open.iter().cloned().collect();
            let folded = fold::fold(&state.plan, state.order(), &open);
            self.drawing = Some(draw(folded, state, room));
            self.counted = None;
        } else if known.is_some_and(|drawing| drawing.room != room)
            && let Some(drawing) = self.drawing.take()
        {
            self.drawing = Some(draw(drawing.folded, state, room));
        }
        if self.counted != Some(state.seq) {
            self.count(statuses);
            self.counted = Some(state.seq);
        }
        self.show(position, room);
    }

    fn count(&mut self, statuses: &[StepStatus]) {
        let Some(drawing) = &self.drawing else { return };
        let nodes = drawing.folded.nodes.iter();
        self.counts = nodes
            .map(|node| {
                let mut counts = Counts::default();
                let of = node.steps().iter().filter_map(|step| statuses.get(*step as usize));
                of.for_each(|status| counts.add(*status));
                counts
            })
            .collect();
    }

    /// The selected node.
    pub fn selected(&self, position: Option<usize>) -> Option<usize> {
        let folded = &self.drawing.as_ref()?.folded;
        let group = self.group.as_ref().and_then(|key| folded.nodes.iter().position(|node| is_named(node, key)));
        group.or_else(|| folded.of.get(position?).map(|node| *node as usize))
    }

    /// Brings the selected node into sight, moving what is seen as little as it takes.
    fn show(&mut self, position: Option<usize>, room: (u16, u16)) {
        let (Some(drawing), Some(selected)) = (&self.drawing, self.selected(position)) else { return };
        let node = drawing.layout.nodes[selected];
        let axis = |offset: i32, from: i32, to: i32, room: u16, all: i32| {
            let room = i32::from(room).max(1);
            if all <= room {
                return 0;
            }
            // Something of what is beside it is to be seen as well.
            let (from, to) = ((from - 4).max(0), (to + 4).min(all));
            let offset = if from < offset {
                from
            } else if to > offset + room {
                (to - room).min(from)
            } else {
                offset
            };
            offset.clamp(0, all - room)
        };
        let (width, height) = drawing.layout.size;
        self.offset.0 = axis(self.offset.0, node.x, node.x + node.width, room.0, width);
        self.offset.1 = axis(self.offset.1, node.y, node.y + 1, room.1, height);
    }

    /// Opens a group; what was opened first is folded again when there are too many.
    pub fn open(&mut self, node: usize) {
        let Some(drawing) = &self.drawing else { return };
        let Node::Group(group) = &drawing.folded.nodes[node] else { return };
        let around = drawing.folded.inside[node].clone();
        self.open.push(group.key.clone());
        while self.open.len() > OPEN.max(around.len() + 1) {
            let oldest = self.open.iter().position(|key| !around.contains(key)).unwrap_or(0);
            self.open.remove(oldest);
        }
        self.changed();
    }

    /// Folds the group that a node was opened from; says which.
    pub fn fold(&mut self, node: usize) -> Option<Key> {
        let around = self.drawing.as_ref()?.folded.inside[node].last().cloned()?;
        self.open.retain(|key| *key != around);
        self.changed();
        Some(around)
    }

    /// Whether a node is a group.
    pub fn is_group(&self, node: usize) -> bool {
        let drawing = self.drawing.as_ref();
        drawing.is_some_and(|drawing| matches!(drawing.folded.nodes.get(node), Some(Node::Group(_))))
    }

    /// Whether a node was opened from a group.
    pub fn is_inside(&self, node: usize) -> bool {
        self.drawing
            .as_ref()
            .is_some_and(|drawing| drawing.folded.inside.get(node).is_some_and(|keys| !keys.is_empty()))
    }

    fn changed(&mut self) {
        if let Some(drawing) = &mut self.drawing {
            drawing.made = None;
        }
    }
}

/// Whether a node is the group with this name.
fn is_named(node: &Node, key: &Key) -> bool {
    matches!(node, Node::Group(group) if group.key == *key)
}

/// Lays out what was folded, in the manner that fits the room best.
fn draw(folded: Folded, state: &RunState, room: (u16, u16)) -> Drawing {
    let widths = |name: usize, more: i32| -> Vec<i32> {
        let nodes = folded.nodes.iter();
        nodes
            .map(|node| {
                let name = text::width(&text::clean(&label(node, state))).min(name) as i32;
                // Glyph, name, and beside it a duration or the counts of a group.
                2 + name + if matches!(node, Node::Group(_)) { counts_width(node) } else { more }
            })
            .collect()
    };
    let (columns, rows) = (i32::from(room.0), i32::from(room.1));
    let right = |gap| Manner { direction: Direction::Right, gap };
    let down = Manner { direction: Direction::Down, gap: 3 };
    let manners = [
        (right(2), NAME, true),
        (right(2), NAME, false),
        (down, NAME, true),
        (right(2), SHORT_NAME, false),
        (right(1), SHORT_NAME, false),
        (down, SHORT_NAME, false),
    ];
    let mut best: Option<(i64, Layout, bool)> = None;
    for (manner, name, durations) in manners {
        let layout = Layout::new(&widths(name, if durations { 1 + DURATION } else { 0 }), &folded.edges, manner);
        let (width, height) = layout.size;
        // A line of steps is read down a page; to the right it would leave the page empty.
        if manner.direction == Direction::Right && layout.is_line() && layout.nodes.len() > 1 {
            continue;
        }
        let over = |size: i32, room: i32| i64::from((size - room).max(0)) * 100 / i64::from(room.max(1));
        let cost = over(width, columns) + over(height, rows);
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            best = Some((cost, layout, durations));
        }
        if cost == 0 {
            break;
        }
    }
    let (_, layout, durations) = best.unwrap_or_else(|| (0, Layout::new(&widths(NAME, 0), &folded.edges, down), false));
    let cells = cells(&layout);
    Drawing { folded, layout, cells, durations, made: Some(Arc::clone(state.structure())), room }
}

/// What stands in a node beside its glyph.
pub fn label(node: &Node, state: &RunState) -> String {
    let id = |step: u32| state.plan.steps[step as usize].step_id.as_str();
    match node {
        Node::Step(step) => id(*step).to_owned(),
        Node::Group(group) => match &group.kind {
            Kind::Named(name) => name.clone(),
            Kind::Chain | Kind::Part | Kind::Layers(_) => {
                let last = group.steps.last().copied().unwrap_or_default();
                format!("{} … {}", id(group.steps[0]), id(last))
            }
            Kind::Layer => common(group.steps.iter().map(|step| id(*step))),
        },
    }
}

/// What names have in common at their beginning, with a mark for the rest.
fn common<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let first = names.next().unwrap_or_default();
    let mut shared = first.len();
    for name in names {
        let same = first.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
        shared = shared.min(same);
    }
    while !first.is_char_boundary(shared) {
        shared -= 1;
    }
    if shared < 2 { format!("{first} …") } else { format!("{}…", &first[..shared]) }
}

/// Room for the counts of a group: what is done of how many, and two states that matter.
fn counts_width(node: &Node) -> i32 {
    let digits = node.steps().len().to_string().len() as i32;
    // " 12/300" and " ✘1 ●2", the way they are drawn.
    (2 * digits + 2) + (digits.min(3) + 2) * 2
}

/// The states of a group that are to be seen from far, most urgent first.
pub const LOUD: [StepStatus; 7] = [
    StepStatus::Failed,
    StepStatus::InReview,
    StepStatus::Held,
    StepStatus::Interrupted,
    StepStatus::Running,
    StepStatus::Stopping,
    StepStatus::Waiting,
];

/// The state that stands for a whole group.
pub fn worst(counts: &Counts) -> StepStatus {
    let loud = LOUD.into_iter().find(|status| counts.of(*status) > 0);
    loud.unwrap_or(match () {
        () if counts.of(StepStatus::Pending) > 0 => StepStatus::Pending,
        () if counts.of(StepStatus::Cancelled) > 0 => StepStatus::Cancelled,
        () if counts.of(StepStatus::Completed) > 0 => StepStatus::Completed,
        () => StepStatus::Skipped,
    })
}

/// Every cell of the lines. Where one crosses another's lane, the lane is seen and the other goes under it; where both end in the same node,
/// they join.
fn cells(layout: &Layout) -> HashMap<(i32, i32), (u8, usize)> {
    let right = layout.manner.direction == Direction::Right;
    let across = if right { wires::UP | wires::DOWN } else { wires::LEFT | wires::RIGHT };
    let mut found: HashMap<(i32, i32), (u8, usize)> = HashMap::new();
    for (number, wire) in layout.wires.iter().enumerate() {
        for (x, y, sides) in wire.cells(|_| true, |_| true) {
            let Some((known, owner)) = found.get_mut(&(x, y)) else {
                found.insert((x, y), (sides, number));
                continue;
            };
            let through = |sides: u8| sides & across == across;
            let ends = |sides: u8| sides & across != 0 && !through(sides);
            match (ends(*known), ends(sides)) {
                // It comes into the other's way to the same node.
                (true, false) if sides & across == 0 && layout.wires[*owner].targets.len() == 1 => *known |= sides,
                (false, true) if *known & across == 0 && wire.targets.len() == 1 => *known |= sides,
                _ if sides & across != 0 && *known & across == 0 => (*known, *owner) = (sides, number),
                _ if sides & across == 0 => {}
                _ => *known |= sides,
            }
        }
    }
    found
}

/// The cells of the lines to and from a node.
pub fn touching(layout: &Layout, node: usize) -> HashMap<(i32, i32), (u8, usize)> {
    let layer_of = |node: usize| layout.nodes[node].layer;
    // Of a line's end: which edges it stands for.
    let begins = |end: &wires::End| end.element.owner;
    let leads = |end: &wires::End, from: usize, to: usize, layer: usize| match end.element {
        layers::Element { owner, passes: false } => owner == to,
        layers::Element { owner, passes: true } => owner == from && layer_of(to) > layer + 1,
    };
    let into = layout.before[node].iter().map(|from| (*from, node));
    let pairs: Vec<(usize, usize)> = into.chain(layout.after[node].iter().map(|to| (node, *to))).collect();
    let mut found: HashMap<(i32, i32), (u8, usize)> = HashMap::new();
    for (number, wire) in layout.wires.iter().enumerate() {
        for (from, to) in &pairs {
            if !(layer_of(*from)..layer_of(*to)).contains(&wire.layer) {
                continue;
            }
            for (x, y, sides) in wire.cells(|end| begins(end) == *from, |end| leads(end, *from, *to, wire.layer)) {
                found.entry((x, y)).or_insert((0, number)).0 |= sides;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
