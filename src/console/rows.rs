//! The rows of the steps in an open run: as a list, as a tree by what needs what, or by stage. Made from the plan, what is folded and what the
//! filter lets through, when one of these changes; a frame looks only at the rows that are seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::plan::order::{Order, stages};
use crate::run::{Counts, RunState, StepStatus};

use super::graph::fold::step_depths;
use super::listing::Listing;
use super::run_model::OpenRun;
use super::words;

/// How the steps are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// In the order of the plan.
    #[default]
    List,
    /// Each below the last of the steps it needs.
    Tree,
    /// Under the stage or layer they are in.
    Stages,
}

impl View {
    /// The one after it. A sequence is no tree.
    pub fn next(self, is_graph: bool) -> View {
        match self {
            View::List if is_graph => View::Tree,
            View::List | View::Tree => View::Stages,
            View::Stages => View::List,
        }
    }

    /// Its name, beside the heading.
    pub fn word(self) -> &'static str {
        match self {
            View::List => "list",
            View::Tree => "tree",
            View::Stages => "by stage",
        }
    }
}

/// What stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A step.
    Step(StepRow),
    /// The heading of a section, by its number.
    Heading(usize),
}

/// A step, and where it hangs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepRow {
    /// Its position in the plan.
    pub position: usize,
    /// How deep in the tree.
    pub depth: u32,
    /// Whether nothing comes after it on its branch.
    pub last: bool,
    /// By bit: the branches further out that go on below, the outermost first. Of the first 64.
    pub branches: u64,
    /// How many more steps it needs than the one it hangs below.
    pub more: u32,
    /// How many steps hang below it, directly and further down.
    pub below: u32,
    /// Whether these are folded away.
    pub folded: bool,
}

/// Steps under one heading.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// What it says.
    pub title: String,
    /// The positions of its steps.
    pub steps: Vec<usize>,
    /// Their states.
    pub counts: Counts,
    /// Whether they are folded away.
    pub folded: bool,
    /// How many pass the filter.
    pub shown: usize,
    key: String,
    row: Option<usize>,
}

impl Section {
    /// Whether it is the one with a key.
    pub fn is(&self, key: &str) -> bool {
        self.key == key
    }
}

/// No row.
const NONE: u32 = u32::MAX;

/// The rows of a view that is not the list, and what is folded in it.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// How the steps are shown.
    pub view: View,
    /// The sections, by stage.
    pub sections: Vec<Section>,
    rows: Vec<Row>,
    /// By position: its row, or the one it is folded into.
    places: Vec<u32>,
    /// Everything, before folding and filtering.
    steps: Vec<StepRow>,
    /// Keys of sections, and ids of steps, that are folded.
    folded: HashSet<String>,
    /// The steps, how many of them are seen, and the view it was arranged for.
    arranged: Option<(Arc<Order>, usize, View)>,
    counted: Option<u64>,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What stands in a row.
    pub fn get(&self, row: usize) -> Option<Row> {
        self.rows.get(row).copied()
    }

    /// The row of a step, or the one it is folded into; `None` when the filter hides it.
    pub fn row_of(&self, position: usize) -> Option<usize> {
        self.places.get(position).filter(|row| **row != NONE).map(|row| *row as usize)
    }

    /// Whether a step has no row of its own because something around it is folded.
    pub fn hides(&self, position: usize) -> bool {
        self.row_of(position).is_some_and(|row| match self.rows[row] {
            Row::Step(step) => step.position != position,
            Row::Heading(_) => true,
        })
    }

    /// The row of the section with a key.
    pub fn heading_row(&self, key: &str) -> Option<usize> {
        self.sections.iter().find(|section| section.key == key)?.row
    }

    /// The key of a section.
    pub fn key(&self, section: usize) -> Option<&str> {
        self.sections.get(section).map(|section| section.key.as_str())
    }

    /// Makes the rows anew where something has changed. `listing`: what is seen of the steps, if not all; `filtered`: because they pass the filter,
    /// and then nothing is folded.
    pub fn refresh(&mut self, state: &RunState, listing: Option<&Listing>, filtered: bool) {
        if self.view == View::List {
            *self = Self { folded: std::mem::take(&mut self.folded), ..Self::default() };
            return;
        }
        let seen = listing.map_or(state.steps.len(), Listing::len);
        let is_of = |(order, shown, view): &(Arc<Order>, usize, View)| {
            Arc::ptr_eq(order, state.structure()) && *shown == seen && *view == self.view
        };
        if !self.arranged.as_ref().is_some_and(is_of) {
            self.arrange(state, listing.filter(|_| !filtered));
            self.arranged = Some((Arc::clone(state.structure()), seen, self.view));
            self.counted = None;
        }
        self.fill(state, listing.filter(|_| filtered).map(Listing::positions));
    }

    /// Counts the states anew if the run has gone on. Cost: a byte a step, so it is done once before a frame.
    pub fn count(&mut self, seq: u64, statuses: &[StepStatus]) {
        if self.view != View::Stages || self.counted == Some(seq) {
            return;
        }
        self.counted = Some(seq);
        for section in &mut self.sections {
            section.counts = Counts::default();
            for status in section.steps.iter().filter_map(|step| statuses.get(*step)) {
                section.counts.add(*status);
            }
        }
    }

    /// Folds what a key or an id names, or opens it.
    pub fn toggle(&mut self, key: &str) {
        if !self.folded.remove(key) {
            self.folded.insert(key.to_owned());
        }
    }

    /// Opens whatever hides a step.
    pub fn reveal(&mut self, state: &RunState, position: usize) {
        if let Some(section) = self.sections.iter().find(|section| section.steps.contains(&position)) {
            self.folded.remove(&section.key);
        }
        // Everything that is folded around it has it among what hangs below.
        for (at, step) in self.steps.iter().enumerate() {
            let below = &self.steps[at + 1..=at + step.below as usize];
            let id = &state.plan.steps[step.position].step_id;
            if self.folded.contains(id) && below.iter().any(|below| below.position == position) {
                self.folded.remove(id);
            }
        }
    }

    fn arrange(&mut self, state: &RunState, listing: Option<&Listing>) {
        let seen = |position: usize| listing.is_none_or(|listing| listing.row(position).is_some());
        (self.steps, self.sections) = match self.view {
            View::Tree => (tree(state, &seen), Vec::new()),
            _ => (Vec::new(), sections(state, &seen)),
        };
    }

    fn fill(&mut self, state: &RunState, matches: Option<&[usize]>) {
        self.rows.clear();
        self.places.clear();
        self.places.resize(state.steps.len(), NONE);
        let shown: Option<Vec<bool>> = matches.map(|matches| {
            let mut shown = vec![false; state.steps.len()];
            for step in matches {
                if let Some(shown) = shown.get_mut(*step) {
                    *shown = true;
                }
            }
            shown
        });
        let shows = |step: usize| shown.as_ref().is_none_or(|shown| shown[step]);
        let mut at = 0;
        while let Some(step) = self.steps.get(at).copied() {
            at += 1;
            if !shows(step.position) {
                continue;
            }
            let folded = shown.is_none()
                && step.below > 0
                && !self.folded.is_empty()
                && self.folded.contains(&state.plan.steps[step.position].step_id);
            let row = self.rows.len() as u32;
            self.places[step.position] = row;
            // What is filtered out would be missing among the branches.
            let flat = StepRow { position: step.position, more: step.more, ..StepRow::default() };
            self.rows.push(Row::Step(if shown.is_none() { StepRow { folded, ..step } } else { flat }));
            if folded {
                let below = at..at + step.below as usize;
                self.steps[below.clone()].iter().for_each(|below| self.places[below.position] = row);
                at = below.end;
            }
        }
        for (number, section) in self.sections.iter_mut().enumerate() {
            section.folded = shown.is_none() && self.folded.contains(&section.key);
            section.shown = section.steps.iter().filter(|step| shows(**step)).count();
            section.row = (section.shown > 0).then_some(self.rows.len());
            if section.shown == 0 {
                continue;
            }
            let heading = self.rows.len() as u32;
            self.rows.push(Row::Heading(number));
            for step in section.steps.iter().copied().filter(|step| shows(*step)) {
                self.places[step] = if section.folded { heading } else { self.rows.len() as u32 };
                if !section.folded {
                    self.rows.push(Row::Step(StepRow { position: step, ..StepRow::default() }));
                }
            }
        }
    }
}

impl OpenRun {
    /// Makes the rows anew after the plan, the view, the filter or what is folded has changed.
    pub(super) fn arrange(&mut self) {
        self.list.rows.refresh(&self.state, self.list.listing.as_ref(), self.list.is_filtered());
        let gone = |key: &String| self.list.rows.heading_row(key).is_none();
        if self.list.heading.as_ref().is_some_and(gone) {
            self.list.heading = None;
            self.list.selected = self.first_step();
        }
    }

    /// The first step that has a row.
    pub(super) fn first_step(&self) -> Option<String> {
        let first = (0..self.row_count()).find_map(|row| self.row(row))?;
        self.state.plan.steps.get(first).map(|step| step.step_id.clone())
    }

    /// Shows the steps in the next view, at the same step.
    pub fn next_view(&mut self) {
        if let Some(heading) = self.list.heading.take() {
            let section = self.list.rows.sections.iter().position(|section| section.is(&heading));
            let first = section.and_then(|section| self.list.rows.sections[section].steps.first().copied());
            self.list.selected = first.map(|first| self.state.plan.steps[first].step_id.clone());
        }
        self.list.rows.view = self.list.rows.view.next(self.state.order().is_graph());
        self.arrange();
        if let Some(position) = self.position() {
            self.reveal(position);
        }
    }

    /// Folds the selected heading, or what hangs below the selected step, or opens it again. Of a step that nothing hangs below, what is around it.
    pub fn toggle_fold(&mut self) -> bool {
        let rows = &self.list.rows;
        let Some(row) = self.selected_row().and_then(|row| rows.get(row)) else { return false };
        let key = match (row, rows.view) {
            (Row::Heading(section), _) => rows.key(section).map(str::to_owned),
            (Row::Step(step), View::Tree) if step.below > 0 => {
                self.state.plan.steps.get(step.position).map(|step| step.step_id.clone())
            }
            (Row::Step(step), View::Stages) => {
                let around = rows.sections.iter().position(|section| section.steps.contains(&step.position));
                let key = around.and_then(|section| rows.key(section)).map(str::to_owned);
                self.list.heading = key.clone();
                key
            }
            _ => None,
        };
        let Some(key) = key else { return false };
        if self.list.heading.is_some() {
            self.list.selected = None;
        }
        self.list.chosen = true;
        self.list.rows.toggle(&key);
        self.arrange();
        true
    }

    /// Opens what hides a step.
    pub(super) fn reveal(&mut self, position: usize) {
        if self.list.rows.hides(position) {
            self.list.rows.reveal(&self.state, position);
            self.arrange();
        }
    }

    /// Why there is no step that a key could be about.
    pub fn no_step(&self) -> &'static str {
        match self.list.heading {
            Some(_) => "a heading is selected, and this is about one step: j and k go to its steps",
            None => "no step is selected",
        }
    }

    /// Whether the selected node of the graph is a group, or out of one.
    pub fn can_fold(&self) -> bool {
        let node = self.graph.selected(self.position());
        node.is_some_and(|node| self.graph.is_group(node) || self.graph.is_inside(node))
    }

    /// Makes sure that the selected step has a row: a filter that hides it is cleared.
    pub fn show_selected(&mut self) {
        if self.selected_row().is_none() && !self.list.filter.is_empty() {
            self.list.filter.clear();
            self.refresh_rows();
        }
    }
}

/// Every step below the last of those it needs: the one in the deepest layer, which ends last if all take equally long. Instances that are seen
/// hang below the step they are instances of, which needs what they need.
fn tree(state: &RunState, seen: &dyn Fn(usize) -> bool) -> Vec<StepRow> {
    let (order, count) = (state.order(), state.steps.len());
    let depths = step_depths(order, count);
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); count];
    let mut more = vec![0u32; count];
    let mut roots = Vec::new();
    for step in (0..count).filter(|step| seen(*step)) {
        if let Some(parent) = state.parent(step) {
            children[parent].push(step as u32);
            continue;
        }
        let first = state.instances(step).map_or(step, |instances| instances.start);
        let needs = || order.waits_for(first).into_iter().filter(|before| depths[*before] < depths[step]);
        match needs().max_by_key(|before| (depths[*before], *before)) {
            Some(parent) => children[parent].push(step as u32),
            None => roots.push(step as u32),
        }
        more[step] = needs().count().saturating_sub(1) as u32;
    }
    let mut found: Vec<StepRow> = Vec::with_capacity(count);
    // The rows that are still open, by depth: what is below them counts for them.
    let mut open: Vec<usize> = Vec::new();
    let mut next: Vec<StepRow> = Vec::new();
    let push = |next: &mut Vec<StepRow>, steps: &[u32], depth: u32, branches: u64| {
        for (place, step) in steps.iter().enumerate().rev() {
            let position = *step as usize;
            let last = place + 1 == steps.len();
            next.push(StepRow { position, depth, last, branches, more: more[position], ..StepRow::default() });
        }
    };
    push(&mut next, &roots, 0, 0);
    while let Some(step) = next.pop() {
        while open.len() > step.depth as usize {
            close(&mut open, &mut found);
        }
        open.push(found.len());
        found.push(step);
        // Roots have no line before them, so the lines begin one level further in.
        let goes_on = step.depth > 0 && step.depth <= 64 && !step.last;
        let branches = step.branches | if goes_on { 1 << (step.depth - 1) } else { 0 };
        push(&mut next, &children[step.position], step.depth + 1, branches);
    }
    while !open.is_empty() {
        close(&mut open, &mut found);
    }
    found
}

fn close(open: &mut Vec<usize>, found: &mut [StepRow]) {
    if let Some(at) = open.pop() {
        found[at].below = (found.len() - at - 1) as u32;
    }
}

/// The sections of a plan: in a sequence its stages, those of a single step together; in a graph the groups that it names, and the layers of what is
/// in none.
fn sections(state: &RunState, seen: &dyn Fn(usize) -> bool) -> Vec<Section> {
    let steps = &state.plan.steps;
    let written = state.plan.written();
    // Instances stand behind the step they are instances of.
    let with_instances = |members: Vec<usize>| -> Vec<usize> {
        let all = members
            .into_iter()
            .flat_map(|step| std::iter::once(step).chain(state.instances(step).into_iter().flatten()));
        all.filter(|step| seen(*step)).collect()
    };
    let undoing = || (state.plan.own_steps()..steps.len()).collect::<Vec<usize>>();
    let mut found: Vec<Section> = Vec::new();
    let section = |title: String, members: Vec<usize>| {
        let first = members.first().map_or("", |first| steps[*first].step_id.as_str());
        Section { key: format!("{title}\n{first}"), title, steps: with_instances(members), ..Section::default() }
    };
    let rollback = (state.plan.own_steps() < steps.len()).then(|| section("Rollback".into(), undoing()));
    if !state.order().is_graph() {
        let mut singles: Vec<usize> = Vec::new();
        for stage in stages(&steps[..written]) {
            if stage.len() == 1 {
                singles.push(stage.start);
                continue;
            }
            found.extend(one_after_the_other(&mut singles).map(|(title, members)| section(title, members)));
            let name = steps[stage.start].parallel_group.clone().unwrap_or_default();
            found.push(section(format!("{name}, side by side"), stage.collect()));
        }
        found.extend(one_after_the_other(&mut singles).map(|(title, members)| section(title, members)));
        found.extend(rollback);
        return found;
    }
    let depths = step_depths(state.order(), steps.len());
    let mut named: HashMap<&str, usize> = HashMap::new();
    let mut layers: HashMap<usize, usize> = HashMap::new();
    // Sorted by the first layer they have a step in, then by the first step.
    let mut sorted: Vec<(usize, String, Vec<usize>)> = Vec::new();
    for (position, step) in steps[..written].iter().enumerate() {
        let depth = depths[position];
        let place = match step.parallel_group.as_deref() {
            Some(name) => *named.entry(name).or_insert_with(|| {
                sorted.push((depth, name.to_owned(), Vec::new()));
                sorted.len() - 1
            }),
            None => *layers.entry(depth).or_insert_with(|| {
                sorted.push((depth, format!("Layer {}", depth + 1), Vec::new()));
                sorted.len() - 1
            }),
        };
        sorted[place].0 = sorted[place].0.min(depth);
        sorted[place].2.push(position);
    }
    sorted.sort_by_key(|(depth, _, members)| (*depth, members[0]));
    sorted.into_iter().map(|(_, title, members)| section(title, members)).chain(rollback).collect()
}

fn one_after_the_other(singles: &mut Vec<usize>) -> Option<(String, Vec<usize>)> {
    let members = std::mem::take(singles);
    match members.len() {
        0 => None,
        1 => Some(("One step".into(), members)),
        many => Some((format!("{}, one after the other", words::count(many, "step")), members)),
    }
}
