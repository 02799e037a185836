//! Folding and layout alone: what a drawing promises, on graphs that are known and on many that are not.

use std::collections::HashSet;
use std::sync::Arc;

use super::layers::{Layers, depths, reduced};
use super::*;
use crate::plan::order::Order;
use crate::plan::{Plan, Step};

const RIGHT: Manner = Manner { direction: Direction::Right, gap: 2 };
const DOWN: Manner = Manner { direction: Direction::Down, gap: 3 };

/// A drawing as text, with the names of its nodes.
fn text_of(layout: &Layout, names: &[&str]) -> String {
    let (width, height) = (layout.size.0 as usize, layout.size.1 as usize);
    let mut rows = vec![vec![' '; width]; height];
    for ((x, y), (sides, _)) in cells(layout) {
        let glyph = crate::console::theme::Glyphs::UNICODE.line(sides, 0);
        rows[y as usize][x as usize] = glyph.chars().next().unwrap();
    }
    for (node, name) in layout.nodes.iter().zip(names) {
        for (at, symbol) in format!("○ {name}").chars().enumerate() {
            rows[node.y as usize][node.x as usize + at] = symbol;
        }
    }
    let lines = rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn widths(names: &[&str]) -> Vec<i32> {
    names.iter().map(|name| name.len() as i32 + 2).collect()
}

const RELEASE: [&str; 12] = [
    "checkout",
    "deps",
    "lint",
    "compile",
    "unit",
    "integration",
    "docs",
    "package",
    "sign",
    "stage",
    "smoke",
    "release",
];

#[rustfmt::skip]
const RELEASE_EDGES: [(u32, u32); 15] = [
    (0, 1), (0, 2), (1, 3), (3, 4), (3, 5), (0, 6), (4, 7), (5, 7), (2, 7), (7, 8), (7, 9), (9, 10), (8, 11), (10, 11), (6, 11),
];

#[test]
fn a_release_is_drawn_without_a_crossing() {
    let layout = Layout::new(&widths(&RELEASE), &RELEASE_EDGES, RIGHT);
    let drawn = "
             ╭─ ○ deps ─── ○ compile ─┬─ ○ unit ────────╮
             │                        │                 │
             │                        ╰─ ○ integration ─┤
             │                                          ├─ ○ package ─┬─ ○ sign ──────────────╮
 ○ checkout ─┼─ ○ lint ─────────────────────────────────╯             │                       │
             │                                                        ╰─ ○ stage ─── ○ smoke ─┼─ ○ release
             │                                                                                │
             ╰─ ○ docs ───────────────────────────────────────────────────────────────────────╯";
    assert_eq!(format!("\n{}", text_of(&layout, &RELEASE)), drawn);
    let layout = Layout::new(&widths(&RELEASE), &RELEASE_EDGES, DOWN);
    assert_eq!(Layers::new(RELEASE.len(), &RELEASE_EDGES).crossings(), 0, "\n{}", text_of(&layout, &RELEASE));
}

#[test]
fn trees_and_diamonds_have_no_crossings_and_two_that_must_cross_have_one() {
    let tree: Vec<(u32, u32)> = (1..63).map(|node| ((node - 1) / 2, node)).collect();
    assert_eq!(Layers::new(63, &tree).crossings(), 0);
    // The same with its nodes in another order.
    let mixed = |node: u32| (node * 29) % 63;
    let mixed: Vec<(u32, u32)> = tree.iter().map(|(from, to)| (mixed(*from), mixed(*to))).collect();
    assert_eq!(Layers::new(63, &mixed).crossings(), 0);
    assert_eq!(Layers::new(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]).crossings(), 0);
    // Each of two is needed by both of two.
    assert_eq!(Layers::new(4, &[(0, 2), (0, 3), (1, 2), (1, 3)]).crossings(), 1);
}

#[test]
fn a_stage_after_a_stage_is_one_line() {
    let all: Vec<(u32, u32)> = (0..5).flat_map(|from| (5..10).map(move |to| (from, to))).collect();
    let layout = Layout::new(&[6; 10], &all, RIGHT);
    assert_eq!(layout.wires.len(), 1);
    assert_eq!(layout.layers, [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]]);
}

#[test]
fn what_follows_from_others_is_not_drawn() {
    assert_eq!(reduced(4, &[(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 3)]), [(0, 1), (1, 2), (2, 3)]);
}

/// Numbers that look thrown and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A graph of layers in which every node needs some of those before it, sometimes from far away.
fn thrown(seed: u64) -> (Vec<i32>, Vec<(u32, u32)>) {
    let mut dice = Dice(seed);
    let nodes = 4 + dice.below(46);
    let span = 2 + dice.below(12);
    let mut edges = Vec::new();
    for node in 1..nodes {
        for _ in 0..dice.below(4) {
            let far = if dice.below(5) == 0 { nodes } else { span };
            edges.push(((node - 1 - dice.below(node.min(far))) as u32, node as u32));
        }
    }
    edges.sort_unstable();
    edges.dedup();
    ((0..nodes).map(|_| 4 + dice.below(12) as i32).collect(), edges)
}

/// Whether the lines of one edge lead from its one node to the other, from side to side of every cell.
fn is_joined(layout: &Layout, from: usize, to: usize) -> bool {
    let mut only = layout.clone();
    only.after.iter_mut().for_each(Vec::clear);
    only.before.iter_mut().for_each(Vec::clear);
    only.after[from].push(to);
    let cells = touching(&only, from);
    let (first, last) = (layout.nodes[from], layout.nodes[to]);
    let right = layout.manner.direction == Direction::Right;
    let begin = if right { (first.x + first.width + 1, first.y) } else { (first.x, first.y + 1) };
    let end = if right { (last.x - 2, last.y) } else { (last.x, last.y - 1) };
    let ways = [(wires::UP, 0, -1, wires::DOWN), (wires::RIGHT, 1, 0, wires::LEFT)];
    let ways = ways.into_iter().flat_map(|(side, x, y, back)| [(side, x, y, back), (back, -x, -y, side)]);
    let ways: Vec<(u8, i32, i32, u8)> = ways.collect();
    let mut seen = HashSet::from([begin]);
    let mut stack = vec![begin];
    while let Some((x, y)) = stack.pop() {
        let Some((sides, _)) = cells.get(&(x, y)) else { continue };
        for (side, dx, dy, back) in &ways {
            let next = (x + dx, y + dy);
            let there = cells.get(&next).is_some_and(|(sides, _)| sides & back != 0);
            if sides & side != 0 && there && seen.insert(next) {
                stack.push(next);
            }
        }
    }
    cells.contains_key(&end) && seen.contains(&end) && seen.len() == cells.len()
}

fn check(widths: &[i32], edges: &[(u32, u32)], manner: Manner) {
    let layout = Layout::new(widths, edges, manner);
    assert_eq!(layout, Layout::new(widths, edges, manner), "equal graphs are drawn equally");
    let mut taken: HashMap<(i32, i32), usize> = HashMap::new();
    for (node, placed) in layout.nodes.iter().enumerate() {
        for x in placed.x..placed.x + placed.width {
            assert_eq!(taken.insert((x, placed.y), node), None, "two nodes lie upon each other");
            assert!((0..layout.size.0).contains(&x) && (0..layout.size.1).contains(&placed.y));
        }
    }
    for (from, to) in edges {
        let (from, to) = (layout.nodes[*from as usize], layout.nodes[*to as usize]);
        assert!(from.layer < to.layer && if manner == DOWN { from.y < to.y } else { from.x < to.x });
    }
    for (x, y) in cells(&layout).keys() {
        assert!(!taken.contains_key(&(*x, *y)), "a line runs through a node");
        assert!((0..layout.size.0).contains(x) && (0..layout.size.1).contains(y), "a line leaves the drawing");
    }
    for (from, to) in reduced(widths.len(), edges) {
        assert!(is_joined(&layout, from as usize, to as usize), "{from} and {to} are not joined");
    }
    // Lines that lie upon each other end in the same node.
    let across = if manner == DOWN { wires::LEFT | wires::RIGHT } else { wires::UP | wires::DOWN };
    let mut owners: HashMap<(i32, i32), (u8, usize)> = HashMap::new();
    for (number, wire) in layout.wires.iter().enumerate() {
        for (x, y, sides) in wire.cells(|_| true, |_| true) {
            let Some((known, other)) = owners.insert((x, y), (sides, number)) else { continue };
            let crosses = (known & across == 0) != (sides & across == 0);
            let meets = |wire: usize| -> HashSet<usize> {
                layout.wires[wire].targets.iter().map(|end| end.element.owner).collect()
            };
            let apart = meets(number).is_disjoint(&meets(other));
            assert!(crosses || !apart, "two lines lie upon each other at {x}, {y}");
        }
    }
}

#[test]
fn nothing_overlaps_and_every_line_joins_its_nodes() {
    for seed in 0..40 {
        let (widths, edges) = thrown(seed);
        for manner in [RIGHT, DOWN] {
            check(&widths, &edges, manner);
        }
    }
    check(&[8; 12], &RELEASE_EDGES, RIGHT);
}

#[test]
fn a_drawing_without_steps_or_with_circles_does_no_harm() {
    let empty = Layout::new(&[], &[], RIGHT);
    assert_eq!((empty.size.0, empty.nodes.len()), (0, 0));
    let circle = Layout::new(&[3; 3], &[(0, 1), (1, 2), (2, 0)], DOWN);
    assert_eq!(circle.nodes.len(), 3);
}

fn plan(steps: Vec<Step>) -> Plan {
    let mut plan: Plan = serde_json::from_value(serde_json::json!({"plan_id": "p", "steps": []})).unwrap();
    plan.steps = steps.into_iter().map(Arc::new).collect();
    plan
}

fn step(id: String, needs: &[String]) -> Step {
    Step { step_id: id, run: Some("true".into()), depends_on: Some(needs.to_vec()), ..Step::default() }
}

/// Layers of so many steps that each need three of the layer before.
fn layered(layers: usize, wide: usize) -> Plan {
    let id = |layer: usize, place: usize| format!("l{layer}-{place:03}");
    plan(
        (0..layers * wide)
            .map(|at| {
                let (layer, place) = (at / wide, at % wide);
                let needs = |layer: usize| (0..3.min(wide)).map(|near| id(layer, (place + near) % wide)).collect();
                let needs: Vec<String> = layer.checked_sub(1).map(needs).unwrap_or_default();
                step(id(layer, place), &needs)
            })
            .collect(),
    )
}

fn folded(plan: &Plan, open: &[Key]) -> Folded {
    let folded = fold::fold(plan, &Order::new(plan).unwrap(), &open.iter().cloned().collect());
    let mut seen = vec![false; plan.steps.len()];
    for (number, node) in folded.nodes.iter().enumerate() {
        for step in node.steps() {
            assert_eq!(folded.of[*step as usize], number as u32);
            assert!(!std::mem::replace(&mut seen[*step as usize], true), "a step is in two nodes");
        }
    }
    assert!(seen.iter().all(|seen| *seen), "a step is in no node");
    let depth = depths(folded.nodes.len(), &folded.edges);
    let rises = |(from, to): &(u32, u32)| depth[*from as usize] < depth[*to as usize];
    assert!(folded.edges.iter().all(rises), "groups wait for each other in a circle");
    folded
}

fn groups(folded: &Folded) -> Vec<&Group> {
    folded.nodes.iter().filter_map(|node| if let Node::Group(group) = node { Some(group) } else { None }).collect()
}

#[test]
fn fifty_steps_are_not_folded() {
    let folded = folded(&layered(5, 10), &[]);
    assert_eq!((folded.nodes.len(), groups(&folded).len()), (50, 0));
}

#[test]
fn of_a_wide_layer_in_a_small_plan_only_that_is_folded() {
    let fan: Vec<String> = (0..60).map(|place| format!("part-{place}")).collect();
    let mut steps = vec![step("first".into(), &[])];
    steps.extend(fan.iter().map(|id| step(id.clone(), &["first".into()])));
    steps.push(step("last".into(), &fan));
    let plan = plan(steps);
    let closed = folded(&plan, &[]);
    assert_eq!(closed.nodes.len(), 3);
    assert_eq!(groups(&closed)[0].steps.len(), 60);
    assert_eq!(closed.edges, [(0, 1), (1, 2)]);
    // It has more than can be read at once, and opens into parts; these open into steps.
    let open = folded(&plan, &[groups(&closed)[0].key.clone()]);
    let parts = groups(&open);
    assert!((10..=20).contains(&parts.len()) && parts.iter().all(|part| part.kind == Kind::Part), "{parts:?}");
    let opened = folded(&plan, &[groups(&closed)[0].key.clone(), parts[0].key.clone()]);
    assert_eq!(opened.nodes.len(), open.nodes.len() - 1 + parts[0].steps.len());
    assert_eq!(opened.inside[opened.of[1] as usize].len(), 2);
}

#[test]
fn named_groups_and_chains_are_folded_as_such() {
    let mut steps = vec![step("begin".into(), &[])];
    for place in 0..30 {
        for name in ["hosts", "disks"] {
            let id = format!("{name}-{place}");
            steps.push(Step { parallel_group: Some(name.into()), ..step(id, &["begin".into()]) });
        }
    }
    steps.push(step("c0".into(), &["begin".into()]));
    steps.extend((1..9).map(|at| step(format!("c{at}"), &[format!("c{}", at - 1)])));
    let folded = folded(&plan(steps), &[]);
    let found: Vec<(&Kind, usize)> = groups(&folded).iter().map(|group| (&group.kind, group.steps.len())).collect();
    let (hosts, disks) = (Kind::Named("hosts".into()), Kind::Named("disks".into()));
    assert_eq!(found, [(&hosts, 30), (&disks, 30), (&Kind::Chain, 9)]);
}

#[test]
fn a_hundred_thousand_steps_fold_into_what_can_be_read() {
    let chain = |number: usize| {
        let id = |at: usize| format!("s{at}");
        plan((0..number).map(|at| step(id(at), &at.checked_sub(1).map(id).into_iter().collect::<Vec<_>>())).collect())
    };
    let fan = plan((0..5_000).map(|at| step(format!("f{at}"), if at == 0 { &[] } else { FIRST.as_slice() })).collect());
    for plan in [layered(334, 300), chain(5_000), fan] {
        let mut open = Vec::new();
        // Opened again and again at the same place until a step is seen.
        for _ in 0..8 {
            let folded = folded(&plan, &open);
            let most = fold::LIMIT * (open.len() + 1);
            assert!((2..=most).contains(&folded.nodes.len()), "{} nodes", folded.nodes.len());
            match &folded.nodes[folded.of[plan.steps.len() / 2] as usize] {
                Node::Group(group) => open.push(group.key.clone()),
                Node::Step(_) => break,
            }
        }
        let last = folded(&plan, &open);
        assert!(matches!(last.nodes[last.of[plan.steps.len() / 2] as usize], Node::Step(_)), "no step is ever seen");
    }
}

static FIRST: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec!["f0".into()]);
