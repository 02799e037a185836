//! Marks: runs in the list and steps of the open run that one action is to be about together. They stay with what was marked, not with its row.

use std::collections::HashSet;
use std::hash::Hash;

use super::app::{App, Place};
use super::rows::{Row, View};
use super::run_model::{OpenRun, Pane};
use super::runs_model::{Line, RowId};

/// What is marked, by its identity.
#[derive(Debug, Clone)]
pub struct Marks<T>(HashSet<T>);

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Marks<T> {
    /// Marks something, or takes its mark off.
    pub fn toggle(&mut self, one: T) {
        if !self.0.remove(&one) {
            self.0.insert(one);
        }
    }

    /// Whether something is marked.
    pub fn has<Q: Eq + Hash + ?Sized>(&self, one: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0.contains(one)
    }

    /// How many marks there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Takes every mark off; whether there was one.
    pub fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    /// Takes the marks off what is no longer there.
    pub fn keep(&mut self, is_there: impl Fn(&T) -> bool) {
        self.0.retain(is_there);
    }
}

impl OpenRun {
    /// The positions of the marked steps, as one reads them.
    pub fn marked(&self) -> Vec<usize> {
        let mut found: Vec<usize> = self.list.marked.iter().filter_map(|id| self.state.position(id)).collect();
        found.sort_by_key(|position| (self.state.order().home(*position), *position));
        found
    }

    /// How many of the marked steps have no row: filtered out, folded away, instances of a step that is closed.
    pub fn marked_unseen(&self) -> usize {
        let seen = |position: &usize| self.row_of(*position).and_then(|row| self.row(row)) == Some(*position);
        self.marked().iter().filter(|position| !seen(position)).count()
    }

    /// Whether the selected row is one that folds: a heading, or in the tree a step that others hang below.
    pub fn folds(&self) -> bool {
        self.selected_row().is_some_and(|row| self.folds_at(row))
    }

    fn folds_at(&self, row: usize) -> bool {
        match self.list.rows.get(row) {
            Some(Row::Heading(_)) => true,
            Some(Row::Step(step)) => self.list.rows.view == View::Tree && step.below > 0,
            None => false,
        }
    }
}

impl App {
    /// Whether what is selected can be marked.
    ///
    /// # Errors
    /// Why it cannot, in a sentence for the operator.
    pub(super) fn markable(&self) -> Result<(), String> {
        match (self.place, &self.run) {
            (Place::Runs, _) => match self.runs.selected {
                Some(RowId::Run(_)) => Ok(()),
                Some(RowId::Plan(_)) => Err("a plan is no run yet: only runs are marked".into()),
                None => Err("nothing is selected".into()),
            },
            (_, Some(run)) => run.position().map(|_| ()).ok_or_else(|| run.no_step().into()),
            (_, None) => Err("no run is open".into()),
        }
    }

    /// Marks what was selected on the screen, and goes on to the next row.
    pub(super) fn mark(&mut self) {
        if self.place == Place::Runs {
            if let Some(RowId::Run(run)) = self.runs.selected {
                self.runs.marked.toggle(run);
                self.runs.step(1);
            }
            return;
        }
        let drawn = self.drawn().step.clone().map(|(step, _)| step);
        let Some(run) = &mut self.run else { return };
        let Some(id) = drawn.or_else(|| run.list.selected.clone()) else { return };
        let Some(position) = run.state.position(&id) else { return };
        run.list.marked.toggle(id);
        run.focus = Pane::Steps;
        run.select(position);
        let Some(row) = run.selected_row() else { return };
        // Not onto a row that the same key would fold.
        let next = (row + 1..run.row_count()).find(|row| run.row(*row).is_some());
        if let Some(next) = next.filter(|next| !run.folds_at(*next)) {
            run.select_row(next);
        }
    }

    /// Takes the marks off what has gone since. Done once before a frame.
    pub(super) fn refresh_marks(&mut self) {
        let known = &self.runs;
        if known.marked.iter().any(|run| known.run(*run).is_none()) {
            let here: HashSet<_> = known.runs().map(|run| run.summary.run_id).collect();
            self.runs.marked.keep(|run| here.contains(run));
        }
        if let Some(run) = self.run.as_mut().filter(|run| !run.list.marked.is_empty()) {
            let state = &run.state;
            run.list.marked.keep(|id| state.position(id).is_some());
        }
    }

    /// How many marks the list that is seen has.
    pub fn marks(&self) -> usize {
        match (self.place, &self.run) {
            (Place::Runs, _) => self.runs.marked.len(),
            // What fills the screen is about one step, whatever is marked behind it.
            (Place::Run, Some(run)) if !run.zoom || run.focus == Pane::Steps => run.list.marked.len(),
            _ => 0,
        }
    }

    /// How many of them cannot be seen, whichever rows are scrolled to.
    pub(super) fn marks_unseen(&self) -> usize {
        if self.place != Place::Runs {
            return self.run.as_ref().map_or(0, OpenRun::marked_unseen);
        }
        let lines = self.runs.lines().iter();
        let seen = lines.filter(|line| matches!(line, Line::Row(RowId::Run(run)) if self.runs.marked.has(run)));
        self.runs.marked.len() - seen.count()
    }

    /// Takes every mark off the list that is seen; whether there was one.
    pub(super) fn unmark(&mut self) -> bool {
        match (self.place, &mut self.run) {
            (Place::Runs, _) => self.runs.marked.clear(),
            (Place::Run, Some(run)) => run.list.marked.clear(),
            _ => false,
        }
    }
}
