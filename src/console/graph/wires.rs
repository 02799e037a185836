//! The lines between two layers. Edges with the same ends are one line; each has a lane of its own wherever it runs across, and lines never lie
//! upon each other: where a line would begin in the row in which another ends, it goes first, and where that goes round in a circle, one of
//! them takes a bend through the free row beside.

use super::layers::Element;
use super::layout::Direction;

/// An end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// What it is at.
    pub element: Element,
    /// Where that is, across the edges.
    pub across: i32,
    /// For ends that are reached by a bend: the free row, and the second lane.
    bend: Option<(i32, i32)>,
    /// Where the line begins or ends, along the edges.
    along: i32,
}

/// A line between two layers, with all its branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    direction: Direction,
    /// The layer it begins at.
    pub layer: usize,
    /// Where it begins.
    pub sources: Vec<End>,
    /// Where it ends.
    pub targets: Vec<End>,
    lane: i32,
}

/// A cell of a line, with the sides of it that the line touches: [`UP`], [`RIGHT`], [`DOWN`], [`LEFT`].
pub type Cell = (i32, i32, u8);

/// The upper side of a cell.
pub const UP: u8 = 1;
/// The right side.
pub const RIGHT: u8 = 2;
/// The lower side.
pub const DOWN: u8 = 4;
/// The left side.
pub const LEFT: u8 = 8;

impl Wire {
    /// Sets the places along the edges: `start` is where the lanes begin, `end` where the next layer does.
    pub fn place(&mut self, direction: Direction, start: i32, end: i32, begins: impl Fn(Element) -> i32) {
        self.direction = direction;
        self.lane += start;
        for source in &mut self.sources {
            source.along = begins(source.element);
        }
        for target in &mut self.targets {
            target.along = end - 1;
            if let Some((_, lane)) = &mut target.bend {
                *lane += start;
            }
        }
    }

    /// The cells of the branches from some of its sources to some of its targets.
    pub fn cells(&self, from: impl Fn(&End) -> bool, to: impl Fn(&End) -> bool) -> Vec<Cell> {
        let mut strokes = Strokes { right: self.direction == Direction::Right, cells: Vec::new() };
        let sources: Vec<&End> = self.sources.iter().filter(|end| from(end)).collect();
        let targets: Vec<&End> = self.targets.iter().filter(|end| to(end)).collect();
        if sources.is_empty() || targets.is_empty() {
            return Vec::new();
        }
        let turns = targets.iter().map(|end| end.bend.map_or(end.across, |(row, _)| row));
        let all: Vec<i32> = turns.chain(sources.iter().map(|end| end.across)).collect();
        let (low, high) = (all.iter().min().copied().unwrap_or(0), all.iter().max().copied().unwrap_or(0));
        strokes.across(self.lane, low, high);
        for source in sources {
            strokes.along(source.across, source.along, self.lane, true);
        }
        for target in targets {
            match target.bend {
                None => strokes.along(target.across, self.lane, target.along, false),
                Some((row, lane)) => {
                    strokes.along_between(row, self.lane, lane);
                    strokes.across(lane, row.min(target.across), row.max(target.across));
                    strokes.along(target.across, lane, target.along, false);
                }
            }
        }
        strokes.cells
    }

    /// The furthest it goes across.
    pub fn furthest(wire: &Wire) -> i32 {
        let ends = wire.sources.iter().chain(&wire.targets);
        ends.map(|end| end.across.max(end.bend.map_or(0, |(row, _)| row))).max().unwrap_or(0)
    }
}

struct Strokes {
    right: bool,
    cells: Vec<Cell>,
}

impl Strokes {
    fn put(&mut self, along: i32, across: i32, towards: u8) {
        // As if to the right; downwards the axes change places.
        let (x, y, sides) = if self.right {
            (along, across, towards)
        } else {
            let swap = |from: u8, to: u8| if towards & from != 0 { to } else { 0 };
            (across, along, swap(UP, LEFT) | swap(LEFT, UP) | swap(RIGHT, DOWN) | swap(DOWN, RIGHT))
        };
        match self.cells.iter_mut().find(|(cx, cy, _)| (*cx, *cy) == (x, y)) {
            Some(cell) => cell.2 |= sides,
            None => self.cells.push((x, y, sides)),
        }
    }

    /// From a lane's upper to its lower end.
    fn across(&mut self, along: i32, low: i32, high: i32) {
        for at in low..high {
            self.put(along, at, DOWN);
            self.put(along, at + 1, UP);
        }
    }

    fn along_between(&mut self, across: i32, from: i32, to: i32) {
        for at in from.min(to)..from.max(to) {
            self.put(at, across, RIGHT);
            self.put(at + 1, across, LEFT);
        }
    }

    /// Between a lane and an end, whose far side touches the node.
    fn along(&mut self, across: i32, from: i32, to: i32, begins: bool) {
        self.along_between(across, from, to);
        let (at, side) = if begins { (from, LEFT) } else { (to, RIGHT) };
        self.put(at, across, side);
    }
}

/// The lines between two layers, and how much room their lanes take.
pub struct Channel {
    /// The lines; lanes count from the channel's beginning.
    pub wires: Vec<Wire>,
    /// Cells along the edges.
    pub length: i32,
}

/// What runs across in one lane: a line, or the second part of a bent one.
#[derive(Debug, Clone)]
struct Run {
    /// Rows in which it comes from the left, and those in which it goes on to the right.
    comes: Vec<i32>,
    goes: Vec<i32>,
    /// The run it must be right of, for the second part of a bend.
    after: Option<usize>,
    /// Where its targets are: the line, and the place among that line's targets.
    ends: Vec<(usize, usize)>,
    lane: usize,
}

impl Run {
    fn reach(&self) -> (i32, i32) {
        let rows = || self.comes.iter().chain(&self.goes).copied();
        (rows().min().unwrap_or(0), rows().max().unwrap_or(0))
    }

    fn is_straight(&self) -> bool {
        let (low, high) = self.reach();
        low == high
    }

    /// Lines that cross each other when this one's lane is left of the other's.
    fn crossings_left_of(&self, other: &Run) -> i64 {
        let inside = |rows: &[i32], (low, high): (i32, i32)| {
            if low == high { 0 } else { rows.iter().filter(|row| (low..=high).contains(row)).count() as i64 }
        };
        inside(&other.comes, self.reach()) + inside(&self.goes, other.reach())
    }
}

/// Finds lanes for the edges between two layers.
pub fn wires(
    layer: usize,
    (sources, targets): (&[Element], &[Element]),
    (from, to): (&[i32], &[i32]),
    edges: &[(usize, usize)],
    right: bool,
) -> Channel {
    let end = |element: Element, across: i32| End { element, across, bend: None, along: 0 };
    // Sources whose edges lead to the same targets are one line.
    let mut lines: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for source in 0..sources.len() {
        let leads: Vec<usize> = edges.iter().filter(|(from, _)| *from == source).map(|(_, to)| *to).collect();
        if leads.is_empty() {
            continue;
        }
        match lines.iter_mut().find(|(_, same)| *same == leads) {
            Some((sources, _)) => sources.push(source),
            None => lines.push((vec![source], leads)),
        }
    }
    let mut found: Vec<Wire> = lines
        .iter()
        .map(|(begins, leads)| Wire {
            direction: Direction::Right,
            layer,
            sources: begins.iter().map(|at| end(sources[*at], from[*at])).collect(),
            targets: leads.iter().map(|at| end(targets[*at], to[*at])).collect(),
            lane: 0,
        })
        .collect();
    let mut runs: Vec<Run> = found
        .iter()
        .enumerate()
        .map(|(line, wire)| Run {
            comes: wire.sources.iter().map(|end| end.across).collect(),
            goes: wire.targets.iter().map(|end| end.across).collect(),
            after: None,
            ends: (0..wire.targets.len()).map(|target| (line, target)).collect(),
            lane: 0,
        })
        .collect();
    let lines = runs.len();
    let taken: Vec<i32> = from.iter().chain(to).copied().collect();
    let lanes = assign(&mut runs, &taken);
    // To the right there is a free column between two lanes while there are few.
    let (pitch, first) = if right { (if lanes > 6 { 1 } else { 2 }, 1) } else { (1, 0) };
    let place = |lane: usize| first + lane as i32 * pitch;
    for (number, run) in runs.iter().enumerate() {
        if number < lines {
            found[number].lane = place(run.lane);
            continue;
        }
        let row = run.comes.first().copied().unwrap_or(0);
        for (line, target) in &run.ends {
            found[*line].targets[*target].bend = Some((row, place(run.lane)));
        }
    }
    let length = place(lanes.max(1) - 1) + 1 + first;
    Channel { wires: found, length }
}

/// Gives every run a lane, from left to right; says how many there are.
fn assign(runs: &mut Vec<Run>, taken: &[i32]) -> usize {
    let mut used: Vec<i32> = taken.to_vec();
    let mut placed = vec![false; runs.len()];
    // What does not run across needs no lane.
    for (run, placed) in runs.iter().zip(&mut placed) {
        *placed = run.is_straight();
    }
    let mut lanes: Vec<Vec<(i32, i32)>> = Vec::new();
    loop {
        let open: Vec<usize> = (0..runs.len()).filter(|run| !placed[*run]).collect();
        if open.is_empty() {
            return lanes.len();
        }
        // In a row in which one ends and another begins, the one that begins goes first.
        let blocks = |first: usize, second: usize| {
            first != second
                && runs[first].after != Some(second)
                && (runs[second].after == Some(first)
                    || runs[first].comes.iter().any(|row| runs[second].goes.contains(row)))
        };
        let free = open.iter().copied().filter(|run| !open.iter().any(|first| blocks(*first, *run)));
        let cost = |run: usize| -> i64 {
            let others = open.iter().filter(|other| **other != run);
            others
                .map(|other| runs[run].crossings_left_of(&runs[*other]) - runs[*other].crossings_left_of(&runs[run]))
                .sum()
        };
        let Some(next) = free.min_by_key(|run| (cost(*run), *run)) else {
            let is_first = |run: &usize| runs[*run].after.is_none_or(|before| placed[before]);
            let least = open.iter().copied().filter(is_first).min_by_key(|run| (cost(*run), *run)).unwrap_or(open[0]);
            if !bend(runs, &open, &mut used) {
                // No free row anywhere: two lines lie upon each other for a piece.
                put(runs, least, &mut lanes, 0);
                placed[least] = true;
            }
            placed.resize(runs.len(), false);
            continue;
        };
        let before = (0..runs.len()).filter(|run| placed[*run] && !runs[*run].is_straight() && blocks(*run, next));
        let earliest = before.map(|run| runs[run].lane + 1).max().unwrap_or(0);
        put(runs, next, &mut lanes, earliest);
        placed[next] = true;
    }
}

fn put(runs: &mut [Run], run: usize, lanes: &mut Vec<Vec<(i32, i32)>>, earliest: usize) {
    let (low, high) = runs[run].reach();
    let fits = |lane: &Vec<(i32, i32)>| lane.iter().all(|(from, to)| *to < low || high < *from);
    let lane = (earliest..lanes.len()).find(|lane| fits(&lanes[*lane])).unwrap_or(lanes.len().max(earliest));
    while lanes.len() <= lane {
        lanes.push(Vec::new());
    }
    lanes[lane].push((low, high));
    runs[run].lane = lane;
}

/// Breaks a circle of lines that would each have to go before another: one of them reaches an end by a bend through a free row beside it.
fn bend(runs: &mut Vec<Run>, open: &[usize], used: &mut Vec<i32>) -> bool {
    for run in open.iter().copied() {
        for at in 0..runs[run].goes.len() {
            let row = runs[run].goes[at];
            let blocked = open.iter().any(|other| *other != run && runs[*other].comes.contains(&row));
            let beside = [row - 1, row + 1].into_iter().find(|beside| *beside >= 0 && !used.contains(beside));
            let Some(beside) = beside.filter(|_| blocked && runs[run].after.is_none()) else { continue };
            used.push(beside);
            let end = runs[run].ends[at];
            runs[run].goes[at] = beside;
            runs.push(Run { comes: vec![beside], goes: vec![row], after: Some(run), ends: vec![end], lane: 0 });
            return true;
        }
    }
    false
}
