//! A search that goes on in the outputs of the other steps: on to the next step that has it, and how much there is in all of them.
//!
//! Of each step the newest attempt counts. Outputs are searched by the reader, a bounded number at a time: here is only which come next.

use std::path::PathBuf;
use std::sync::Arc;

use super::app::{App, OutputPath};
use super::output::{Elsewhere, Pattern, Told};
use super::run_model::{OpenRun, Tab};
use crate::plan::Step;

/// So many outputs are searched before it is looked again which come next.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 2_000 };

/// What is searched besides the output that is shown.
#[derive(Debug, Default)]
pub struct Across {
    /// The search that is going on; answers to others come too late.
    id: u64,
    /// On the way to the next step that has it.
    finding: Option<Way>,
    /// Counting in every step.
    counting: Option<Way>,
    /// What was counted so far: matches, and steps.
    counted: (u64, u64),
}

/// The steps that are still to be searched.
#[derive(Debug)]
struct Way {
    forward: bool,
    /// By name, since their places change with the plan; the next one last.
    left: Vec<Arc<Step>>,
    /// So many of them are beyond the end of the list, at its other end.
    round: usize,
    /// The step it began at: one that is not selected any more is not left for another.
    from: Option<String>,
    /// The steps that are being searched, in the order in which their outputs are.
    asked: Vec<Arc<Step>>,
}

impl Way {
    /// The outputs that come next.
    fn next(&mut self, run: &OpenRun, output_path: &OutputPath) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.asked.clear();
        while files.len() < AT_ONCE
            && let Some(step) = self.left.pop()
        {
            let attempt = run.state.step(&step.step_id).and_then(|(_, state)| state.attempts.last());
            let Some(attempt) = attempt else { continue };
            files.push(output_path(run.state.home_of(attempt), &step.step_id, attempt.number));
            self.asked.push(step);
        }
        files
    }
}

/// The steps as they are read from top to bottom; with a filter, those it lets through.
fn order(run: &OpenRun) -> Vec<Arc<Step>> {
    let named = |position: usize| Arc::clone(&run.state.plan.steps[position]);
    if run.list.filter.is_empty() {
        return run.state.reading_order().into_iter().map(named).collect();
    }
    run.rows(0..run.row_count()).map(|(_, position)| named(position)).collect()
}

impl App {
    /// The search has come to the end of the output that is shown: it goes on in the next step's.
    pub(super) fn search_elsewhere(&mut self, forward: bool) {
        let Some(run) = &self.run else { return };
        let mut order = order(run);
        let here = run.list.selected.as_deref();
        let here = here.and_then(|selected| order.iter().position(|step| step.step_id == selected));
        if !forward {
            order.reverse();
        }
        // The ring behind this step, the next one last.
        let here = here.map_or(order.len(), |place| if forward { place } else { order.len() - 1 - place });
        let round = here.min(order.len());
        let mut left = order.split_off((here + 1).min(order.len()));
        left.extend(order.into_iter().take(round));
        left.reverse();
        let from = run.list.selected.clone();
        self.across.finding = Some(Way { forward, left, round, from, asked: Vec::new() });
        self.go_on_elsewhere();
    }

    /// A search is to be counted in every step.
    pub(super) fn count_everywhere(&mut self) {
        let Some(run) = self.run.as_ref().filter(|_| self.output.searched().is_some()) else { return };
        let mut left = order(run);
        left.reverse();
        self.across.counted = (0, 0);
        self.across.counting = Some(Way { forward: true, left, round: 0, from: None, asked: Vec::new() });
        self.go_on_elsewhere();
    }

    /// Nothing is searched elsewhere any more.
    pub(super) fn leave_elsewhere(&mut self) {
        self.across = Across { id: self.across.id + 1, ..Across::default() };
    }

    /// The open run is left: what was found and counted in its steps is nothing in another.
    pub(super) fn leave_its_steps(&mut self) {
        self.leave_elsewhere();
        self.output.set_everywhere(None);
    }

    /// Asks for what comes next: what is waited for before what is counted.
    fn go_on_elsewhere(&mut self) {
        let Some((run, pattern)) = self.run.as_ref().zip(self.output.searched().cloned()) else {
            return self.leave_elsewhere();
        };
        self.across.id += 1;
        let first = self.across.finding.is_some();
        let Some(way) = self.across.finding.as_mut().or(self.across.counting.as_mut()) else { return };
        // What was asked for and not answered is asked for again.
        way.left.extend(way.asked.drain(..).rev());
        let files = way.next(run, &Arc::clone(&self.settings.output_path));
        if files.is_empty() {
            return if first { self.nowhere_else(&pattern) } else { self.counted_everywhere() };
        }
        self.output.search_others(Elsewhere { id: self.across.id, pattern, files, first });
    }

    /// The reader has searched what it was asked to.
    pub(super) fn told_elsewhere(&mut self, told: &Told) {
        if told.id != self.across.id {
            return;
        }
        let here = self.run.as_ref().and_then(|run| run.list.selected.clone());
        if let Some(mut way) = self.across.finding.take_if(|way| way.from == here) {
            let Some(step) = told.first.and_then(|place| way.asked.get(place)).cloned() else {
                way.asked.clear();
                self.across.finding = Some(way);
                return self.go_on_elsewhere();
            };
            self.go_to_match(&step.step_id, &way);
        } else if self.across.finding.take().is_some() {
            // The operator has gone on to something else meanwhile.
        } else if let Some(way) = &mut self.across.counting {
            way.asked.clear();
            self.across.counted.0 += told.matches;
            self.across.counted.1 += told.outputs;
        }
        if self.across.counting.is_some() {
            self.go_on_elsewhere();
        }
    }

    fn go_to_match(&mut self, step: &str, way: &Way) {
        let Some(run) = &mut self.run else { return };
        let Some(position) = run.state.position(step) else { return };
        run.select(position);
        run.attempt = None;
        run.tab = Tab::Output;
        // Those beyond the end are the last ones of the way.
        let passed =
            way.asked.iter().position(|one| one.step_id == step).map_or(0, |place| way.asked.len() - 1 - place);
        let round = way.left.len() + passed < way.round;
        let from = match (round, way.forward) {
            (false, _) => "",
            (true, true) => ", from the first step on again",
            (true, false) => ", from the last step on again",
        };
        let which = if way.forward { "the next match is" } else { "the match before is" };
        self.say(format!("{which} in step {step}{from}"));
        self.show_output();
        self.output.search_from_end(way.forward);
    }

    fn nowhere_else(&mut self, pattern: &Pattern) {
        let Some(way) = self.across.finding.take() else { return };
        if self.run.as_ref().is_some_and(|run| run.state.steps.len() > 1) {
            self.say(format!("no other step has {pattern} in its newest output"));
        }
        self.output.search_round(way.forward);
        if self.across.counting.is_some() {
            self.go_on_elsewhere();
        }
    }

    fn counted_everywhere(&mut self) {
        self.across.counting = None;
        self.output.set_everywhere(Some(self.across.counted));
    }
}
