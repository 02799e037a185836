//! The plan as a drawn graph: nodes with glyph and name, lines between them, and what the selected one says in full.

use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use super::super::actions::Action;
use super::super::app::App;
use super::super::graph::{self, Cell, DURATION, Direction, Drawing, Graph, Group, Kind, LOUD, Node, wires};
use super::super::run_model::{OpenRun, step_title};
use super::super::theme::{Role, step_role, step_word};
use super::super::{text, words};
use super::paint::Brush;
use super::{footer, header};
use crate::run::{Counts, StepStatus};

/// Where things are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Areas {
    /// The heading.
    pub title: Rect,
    /// The graph.
    pub drawing: Rect,
    /// What the selected node says.
    pub about: Rect,
}

/// Lines about the selected node.
const ABOUT: u16 = 2;

/// The layout of the place.
pub fn areas(area: Rect) -> Areas {
    if area.height < 12 {
        return Areas::default();
    }
    let roomy = area.height >= 30;
    let head = if roomy { 4 } else { 3 };
    let body = Rect { y: area.y + head, height: area.height - head - 2, ..area };
    let title = Rect { height: 1, ..body };
    let about = Rect { y: body.bottom() - ABOUT, height: ABOUT, ..body };
    let gap = u16::from(roomy);
    let top = title.bottom() + gap;
    let drawing = Rect { x: body.x + 1, y: top, width: body.width.saturating_sub(2), height: about.y - gap - top };
    Areas { title, drawing, about }
}

/// The first cell of the screen where the graph's own first cell is, which may be outside: a graph that is smaller than its room begins at its left,
/// in the middle of its height.
fn origin(graph: &Graph, area: Rect) -> (i32, i32) {
    let height = graph.drawing.as_ref().map_or(0, |drawing| drawing.layout.size.1);
    let free = (i32::from(area.height) - height).max(0);
    let x = i32::from(area.x) - graph.offset.0;
    (x, i32::from(area.y) - graph.offset.1 + (free / 3).min(2))
}

/// The cell of the graph that is at a place of the screen.
pub fn cell_at(graph: &Graph, area: Rect, at: Position) -> (i32, i32) {
    let (x, y) = origin(graph, area);
    (i32::from(at.x) - x, i32::from(at.y) - y)
}

/// Draws the place.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    header::draw(app, run, brush, Rect { height: 3, ..area });
    let areas = areas(area);
    if let Some(drawing) = &run.graph.drawing {
        heading(app, run, drawing, brush, areas);
        if drawing.folded.nodes.is_empty() {
            let said = app.keys.fill("this plan has no steps: {back} goes back, and {add} adds one there");
            brush.text(areas.drawing.x + 1, areas.drawing.y, areas.drawing.width, &said, Role::Muted);
        } else {
            picture(app, run, drawing, brush, areas.drawing);
            about(app, run, drawing, brush, areas.about);
        }
    }
    let rule = Rect { y: area.bottom() - 2, height: 1, ..area };
    footer::draw(app, brush, rule, Rect { y: area.bottom() - 1, height: 1, ..area });
}

fn heading(app: &App, run: &OpenRun, drawing: &Drawing, brush: &mut Brush<'_>, areas: Areas) {
    let area = areas.title;
    let steps = run.state.steps.len();
    let at = brush.text(area.x + 1, area.y, area.width, "Graph", Role::Accent);
    let layout = &drawing.layout;
    let groups = drawing.folded.nodes.iter().filter(|node| matches!(node, Node::Group(_))).count();
    let mut said = words::count(steps, "step");
    if layout.is_line() && groups == 0 && steps > 1 {
        said.push_str(", one after the other: no branches");
    } else if groups > 0 {
        said.push_str(&format!(" · {} folded: {} opens one", words::count(groups, "group"), app.key_of(Action::Visit)));
    } else if !run.state.order().is_graph() && steps > 1 {
        said.push_str(&format!(" in {}", words::count(layout.layers.len(), "stage")));
    } else if steps > 1 {
        said.push_str(&format!(" in {}", words::count(layout.layers.len(), "layer")));
    }
    let at = brush.text(at + 2, area.y, area.right().saturating_sub(at + 2), &said, Role::Muted);
    // Which way there is more than is seen.
    let (width, height) = layout.size;
    let (x, y) = run.graph.offset;
    let more = [
        (x > 0, brush.glyphs.more_left),
        (y > 0, brush.glyphs.up),
        (y + i32::from(areas.drawing.height) < height, brush.glyphs.down),
        (x + i32::from(areas.drawing.width) < width, brush.glyphs.more_right),
    ];
    let ways: Vec<&str> = more.iter().filter(|(there, _)| *there).map(|(_, glyph)| *glyph).collect();
    if !ways.is_empty() {
        let said = format!("more {}", ways.join(" "));
        brush.text_right(at + 2, area.right().saturating_sub(1), area.y, &said, Role::Accent);
    }
}

/// What is drawn on, and where.
struct Canvas {
    area: Rect,
    origin: (i32, i32),
}

impl Canvas {
    /// The place of a cell on the screen, if it is seen.
    fn place(&self, x: i32, y: i32) -> Option<(u16, u16)> {
        let (x, y) = (x + self.origin.0, y + self.origin.1);
        let seen = |at: i32, from: u16, to: u16| (i32::from(from)..i32::from(to)).contains(&at);
        let seen = seen(x, self.area.x, self.area.right()) && seen(y, self.area.y, self.area.bottom());
        seen.then_some((x as u16, y as u16))
    }

    /// Draws a text of which any part may be outside.
    fn text(&self, brush: &mut Brush<'_>, x: i32, y: i32, width: i32, line: &str, style: Style) {
        let left = i32::from(self.area.x) - (x + self.origin.0);
        let row = y + self.origin.1;
        if width <= 0 || !(i32::from(self.area.y)..i32::from(self.area.bottom())).contains(&row) {
            return;
        }
        let fitted = text::fit(line, width as usize);
        let mut at = x;
        // What hangs over the left edge goes away cell by cell.
        for symbol in text::graphemes(&fitted) {
            let cells = text::width(symbol) as i32;
            if at - x >= left
                && let Some((column, row)) = self.place(at, y)
            {
                brush.text(column, row, self.area.right() - column, symbol, style);
            }
            at += cells;
        }
    }
}

fn picture(app: &App, run: &OpenRun, drawing: &Drawing, brush: &mut Brush<'_>, area: Rect) {
    let canvas = Canvas { area, origin: origin(&run.graph, area) };
    let layout = &drawing.layout;
    let selected = run.graph.selected(run.position());
    for ((x, y), (sides, _)) in &drawing.cells {
        line(brush, &canvas, (*x, *y, *sides), 0);
    }
    let mut near = Vec::new();
    if let Some(selected) = selected {
        let right = layout.manner.direction == Direction::Right;
        let across = if right { wires::UP | wires::DOWN } else { wires::LEFT | wires::RIGHT };
        for ((x, y), (sides, wire)) in graph::touching(layout, selected) {
            // Where it goes under another line it comes out on top; where it is part of a line that branches, the branches stay.
            let seen = match drawing.cells.get(&(x, y)) {
                Some((all, owner)) if *owner == wire || sides & across != 0 => *all,
                _ => sides,
            };
            line(brush, &canvas, (x, y, seen), sides);
        }
        near.extend(layout.after[selected].iter().chain(&layout.before[selected]).copied());
        near.extend(directly(drawing, selected));
    }
    for node in 0..layout.nodes.len() {
        let leads = selected.is_some_and(|selected| layout.after[node].contains(&selected));
        let place = Place { number: node, selected: selected == Some(node), near: near.contains(&node), leads };
        draw_node(app, run, drawing, brush, &canvas, place);
    }
}

/// The nodes with a step that the selected one needs, or that needs it, also where no line says so because it follows from others.
fn directly(drawing: &Drawing, selected: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (from, to) in &drawing.folded.edges {
        match (*from as usize == selected, *to as usize == selected) {
            (true, false) => found.push(*to as usize),
            (false, true) => found.push(*from as usize),
            _ => {}
        }
    }
    found
}

/// A cell of a line; the sides in `near` belong to the selected node.
fn line(brush: &mut Brush<'_>, canvas: &Canvas, (x, y, sides): Cell, near: u8) {
    if let Some((column, row)) = canvas.place(x, y) {
        let glyph = brush.glyphs.line(sides, near);
        brush.text(column, row, 1, glyph, if near != 0 { Role::Accent } else { Role::Rule });
    }
}

/// A node to be drawn.
#[derive(Clone, Copy)]
struct Place {
    number: usize,
    selected: bool,
    /// The selected one needs it, or it needs the selected one.
    near: bool,
    /// Its line leads to the selected one.
    leads: bool,
}

fn draw_node(app: &App, run: &OpenRun, drawing: &Drawing, brush: &mut Brush<'_>, canvas: &Canvas, place: Place) {
    let state = &run.state;
    let (node, placed) = (&drawing.folded.nodes[place.number], drawing.layout.nodes[place.number]);
    let counts = run.graph.counts.get(place.number).copied().unwrap_or_default();
    let status = match node {
        Node::Step(step) => state.steps[*step as usize].status,
        Node::Group(_) => graph::worst(&counts),
    };
    let role = step_role(status);
    let theme = brush.theme;
    let needs =
        matches!(status, StepStatus::Failed | StepStatus::Held | StepStatus::InReview | StepStatus::Interrupted);
    let name_role = match () {
        () if needs || status.is_live() => role,
        () if place.near => Role::Accent,
        () if place.selected => Role::Strong,
        () if status == StepStatus::Pending => Role::Text,
        () => Role::Muted,
    };
    let mut name_style = theme.style(name_role);
    if needs {
        name_style = name_style.add_modifier(Modifier::BOLD);
    }
    if place.near {
        name_style = name_style.add_modifier(Modifier::UNDERLINED);
    }
    let name = graph::label(node, state);
    let name = text::clean(&name);
    let (more, more_role) = beside(app, run, drawing, node, &counts, status);
    let more_width = if more.is_empty() { 0 } else { text::width(&more) as i32 + 1 };
    let room = match node {
        Node::Step(_) => placed.width - 2 - if drawing.durations { DURATION + 1 } else { 0 },
        Node::Group(_) => (placed.width - 2 - more_width).max(4),
    };
    let shown = text::fit(&name, room.max(0) as usize).into_owned();
    let used = 2 + text::width(&shown) as i32 + more_width;
    // The glyph of what needs a person stands in a block: it is what the eye falls on.
    let block = if needs { theme.style(role).add_modifier(Modifier::REVERSED) } else { theme.style(role) };
    canvas.text(brush, placed.x, placed.y, 1, brush.glyphs.step(status), block);
    canvas.text(
        brush,
        placed.x + 1,
        placed.y,
        1,
        if matches!(node, Node::Group(_)) { brush.glyphs.folded } else { " " },
        theme.style(Role::Muted),
    );
    canvas.text(brush, placed.x + 2, placed.y, room, &shown, name_style);
    canvas.text(
        brush,
        placed.x + 2 + text::width(&shown) as i32 + 1,
        placed.y,
        more_width,
        &more,
        theme.style(more_role),
    );
    let right = drawing.layout.manner.direction == Direction::Right;
    if right && !drawing.layout.after[place.number].is_empty() {
        // Between what it says and where its line begins.
        let near = place.selected || place.leads;
        for x in placed.x + used + 1..=placed.x + placed.width {
            let sides = wires::LEFT | wires::RIGHT;
            line(brush, canvas, (x, placed.y, sides), if near { sides } else { 0 });
        }
    }
    if place.selected {
        for x in placed.x - 1..=placed.x + used {
            if let Some((column, row)) = canvas.place(x, placed.y).filter(|_| x >= placed.x || right || x >= 0) {
                brush.over(Rect { x: column, y: row, width: 1, height: 1 }, Role::Selection);
            }
        }
        if let Some((column, row)) = canvas.place(placed.x - 1, placed.y) {
            brush.text(column, row, 1, brush.glyphs.selected, Role::Accent);
        }
    }
}

/// What stands beside a name: how long a step has taken, how far a group is.
fn beside(
    app: &App,
    run: &OpenRun,
    drawing: &Drawing,
    node: &Node,
    counts: &Counts,
    status: StepStatus,
) -> (String, Role) {
    match node {
        Node::Step(step) => {
            let seconds = run.state.steps[*step as usize].seconds(app.now).filter(|_| drawing.durations);
            let said = seconds.map(words::duration).filter(|said| text::width(said) as i32 <= DURATION);
            (said.unwrap_or_default(), if status.is_live() { Role::Text } else { Role::Muted })
        }
        Node::Group(_) => {
            let mut said = format!("{}/{}", counts.done(), counts.total());
            let loud = LOUD.into_iter().filter(|status| counts.of(*status) > 0);
            for status in loud.take(2) {
                let number = counts.of(status);
                let number = if number > 999 { "999+".to_owned() } else { number.to_string() };
                said.push_str(&format!(" {}{number}", app.glyphs.step(status)));
            }
            (said, if LOUD.contains(&status) { step_role(status) } else { Role::Muted })
        }
    }
}

/// Two lines: what the selected node is, and what it is joined with.
fn about(app: &App, run: &OpenRun, drawing: &Drawing, brush: &mut Brush<'_>, area: Rect) {
    let Some(selected) = run.graph.selected(run.position()) else { return };
    let node = &drawing.folded.nodes[selected];
    let (x, y, right) = (area.x + 1, area.y, area.right().saturating_sub(1));
    let counts = run.graph.counts.get(selected).copied().unwrap_or_default();
    match node {
        Node::Step(step) => {
            let position = *step as usize;
            let (definition, step) = (&run.state.plan.steps[position], &run.state.steps[position]);
            let role = step_role(step.status);
            let at = brush.text(x, y, right - x, brush.glyphs.step(step.status), role) + 1;
            let at = brush.text(at, y, right.saturating_sub(at), &step_title(definition), Role::Strong);
            let mut facts = vec![(step_word(step.status).to_owned(), role)];
            if step.attempts.len() > 1 {
                facts.push((format!("attempt {}", step.last_attempt), Role::Muted));
            }
            facts.extend(step.seconds(app.now).map(|seconds| (words::duration(seconds), Role::Muted)));
            let (note, note_role) = super::steps::note(app, run, position);
            facts.extend((!note.is_empty()).then_some((note, note_role)));
            sayings(brush, at, y, right, &facts);
        }
        Node::Group(group) => {
            let at = brush.text(x, y, right - x, &what(group), Role::Strong);
            let mut facts = vec![(format!("{} done", words::thousands(counts.done() as usize)), Role::Muted)];
            for status in LOUD.into_iter().chain([StepStatus::Pending, StepStatus::Cancelled]) {
                let number = counts.of(status) as usize;
                if number > 0 {
                    facts.push((format!("{} {}", words::thousands(number), step_word(status)), step_role(status)));
                }
            }
            sayings(brush, at, y, right, &facts);
        }
    }
    let name = |nodes: &mut dyn Iterator<Item = u32>| -> String {
        let names: Vec<String> =
            nodes.map(|node| graph::label(&drawing.folded.nodes[node as usize], &run.state)).collect();
        words::list(&names.iter().map(String::as_str).collect::<Vec<_>>(), 4)
    };
    let edges = &drawing.folded.edges;
    let selected = selected as u32;
    let needs = name(&mut edges.iter().filter(|(_, to)| *to == selected).map(|(from, _)| *from));
    let needed = name(&mut edges.iter().filter(|(from, _)| *from == selected).map(|(_, to)| *to));
    let needs = if needs.is_empty() { "needs nothing".into() } else { format!("needs {needs}") };
    let needed = if needed.is_empty() { "nothing needs it".into() } else { format!("needed by {needed}") };
    brush.text(x + 2, y + 1, right.saturating_sub(x + 2), &format!("{needs} · {needed}"), Role::Muted);
}

fn sayings(brush: &mut Brush<'_>, mut at: u16, y: u16, right: u16, facts: &[(String, Role)]) {
    for (said, role) in facts {
        at = brush.text(at, y, right.saturating_sub(at), " · ", Role::Faint);
        at = brush.text(at, y, right.saturating_sub(at), said, *role);
    }
}

/// What a group is, in words.
fn what(group: &Group) -> String {
    let steps = words::count(group.steps.len(), "step");
    match &group.kind {
        Kind::Chain => format!("{steps}, one after the other"),
        Kind::Layer => format!("layer of {}", words::thousands(group.steps.len())),
        Kind::Named(name) => format!("{} · {steps} side by side", text::clean(name)),
        Kind::Part => format!("part of a layer, {steps}"),
        Kind::Layers(layers) => format!("{layers} layers, {steps}"),
    }
}
