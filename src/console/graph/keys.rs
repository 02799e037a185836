//! Keys in the graph: along the edges, within a layer, opening and folding groups, and to the selected step.

use super::super::actions::Action;
use super::super::app::{App, Place};
use super::super::going::distance;
use super::super::run_model::{OpenRun, Pane};
use super::super::views;
use super::{Direction, Drawing, Node, Placed};

/// Where a key leads from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Against the edges.
    Back,
    /// Along them.
    On,
    /// Within the layer, by so many nodes.
    Beside(isize),
    /// To the first layer.
    First,
    /// To the last.
    Last,
}

impl App {
    /// `D`: the plan as a graph, at the step that is selected.
    pub(in super::super) fn show_graph(&mut self) {
        let Some(run) = &mut self.run else { return };
        if self.place != Place::Graph {
            run.graph.group = None;
            self.history = None;
            self.came_from = None;
            self.place = Place::Graph;
        }
    }

    pub(in super::super) fn move_in_graph(&mut self, action: Action) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let page = isize::from(views::graph::areas(area).drawing.height as i16).max(4) / 2;
        let Some(run) = &mut self.run else { return };
        let Some(drawing) = &run.graph.drawing else { return };
        let right = drawing.layout.manner.direction == Direction::Right;
        let way = match (action, right) {
            (Action::First, _) => Way::First,
            (Action::Last, _) => Way::Last,
            (Action::Left, true) | (Action::Up, false) => Way::Back,
            (Action::Right, true) | (Action::Down, false) => Way::On,
            (Action::Left, false) => Way::Beside(-1),
            (Action::Right, false) => Way::Beside(1),
            _ => match distance(action, page) {
                Some(by) => Way::Beside(by),
                None => return,
            },
        };
        let from = run.graph.selected(run.position());
        if let Some(node) = from.and_then(|from| there(drawing, from, way)) {
            select(run, node);
        }
    }

    /// Enter: to the selected step among the steps; a group opens.
    pub(in super::super) fn visit(&mut self) {
        let Some(run) = &mut self.run else { return };
        let Some(node) = run.graph.selected(run.position()) else { return };
        if run.graph.is_group(node) {
            open_group(run, node);
            return;
        }
        run.show_selected();
        run.focus = Pane::Steps;
        run.zoom = false;
        self.place = Place::Run;
    }

    /// Space: folds the group that the selected node is out of; a group that is out of none opens.
    pub(in super::super) fn fold(&mut self) {
        let Some(run) = &mut self.run else { return };
        let Some(node) = run.graph.selected(run.position()) else { return };
        match run.graph.fold(node) {
            Some(around) => run.graph.group = Some(around),
            None if run.graph.is_group(node) => open_group(run, node),
            None => self.complain("fold: this is not out of a group"),
        }
    }

    /// A click in the graph.
    pub(in super::super) fn click_in_graph(&mut self, at: ratatui::layout::Position) {
        let drawn = views::graph::areas(ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1)).drawing;
        let Some(run) = self.run.as_mut().filter(|_| drawn.contains(at)) else { return };
        let (x, y) = views::graph::cell_at(&run.graph, drawn, at);
        if let Some(node) = run.graph.drawing.as_ref().and_then(|drawing| drawing.layout.node_at(x, y)) {
            select(run, node);
        }
    }
}

/// Opens a group, and goes to what waits for a person in it, or else to its first step.
fn open_group(run: &mut OpenRun, node: usize) {
    let Some(drawing) = &run.graph.drawing else { return };
    let steps = drawing.folded.nodes[node].steps();
    let has = |position: &usize| steps.contains(&(*position as u32));
    let selected = run.position().filter(has);
    let needing = run.state.needs_person().into_iter().find(has);
    let inside = selected.or(needing).or_else(|| steps.first().map(|step| *step as usize));
    run.graph.open(node);
    run.graph.group = None;
    if let Some(position) = inside {
        run.select(position);
    }
}

/// Selects a node, as the operator's choice.
fn select(run: &mut OpenRun, node: usize) {
    match run.graph.drawing.as_ref().and_then(|drawing| drawing.folded.nodes.get(node)) {
        Some(Node::Step(step)) => {
            let step = *step as usize;
            run.graph.group = None;
            run.select(step);
        }
        Some(Node::Group(group)) => run.graph.group = Some(group.key.clone()),
        None => {}
    }
}

/// The node to which a way leads.
fn there(drawing: &Drawing, from: usize, way: Way) -> Option<usize> {
    let layout = &drawing.layout;
    let node = layout.nodes[from];
    let right = layout.manner.direction == Direction::Right;
    let across = |node: &Placed| if right { node.y } else { node.x };
    let nearest = |nodes: &[usize]| {
        let far = |other: usize| {
            let other = &layout.nodes[other];
            ((across(other) - across(&node)).abs(), other.layer.abs_diff(node.layer))
        };
        nodes.iter().copied().min_by_key(|other| (far(*other), *other))
    };
    match way {
        Way::On => nearest(&layout.after[from]),
        Way::Back => nearest(&layout.before[from]),
        Way::First => nearest(layout.layers.first()?),
        Way::Last => nearest(layout.layers.last()?),
        Way::Beside(by) => {
            let layer = &layout.layers[node.layer];
            let place = layer.iter().position(|other| *other == from)?;
            let last = layer.len() - 1;
            layer.get(place.saturating_add_signed(by).min(last)).copied()
        }
    }
}
