//! The other runs, while one of them is looked at: the line with all that are active, who of them waits for a person, and the keys that go there.
//!
//! The line has a place of its own, so that nothing moves when it comes or goes: under the header where there is room for an empty line, else
//! in the rule over the keys. Its runs stand in the order in which they were started, those that wait for a person first.

use std::collections::HashMap;

use ratatui::layout::Position;
use uuid::Uuid;

use crate::engine::ListedRun;
use crate::run::{PauseReason, RunStatus, StepStatus};

use super::app::{App, Effect, Place};
use super::runs_model::{RunsList, Section, is_active, section};
use super::views;

/// Whether a run asks a person for something now: not one that a person has paused, and not one that lies on the disk with nobody at it.
pub fn calls(listed: &ListedRun) -> bool {
    let run = &listed.summary;
    let asks = run.asking + run.counts.of(StepStatus::Held) + run.counts.of(StepStatus::InReview) > 0;
    let by_a_person = run.status == RunStatus::Paused && run.paused == [PauseReason::Operator].into();
    section(listed) == Section::Waiting && listed.owned && (asks || !by_a_person)
}

impl RunsList {
    /// Makes the order of the runs in the strip anew. Done once before a frame, when something has changed.
    pub(super) fn line_up(&mut self) {
        let unseen = |run: &ListedRun| self.has_failed_unseen(run.summary.run_id);
        let in_line = |run: &&ListedRun| {
            run.owned && (is_active(&run.summary) || section(run) == Section::Waiting) || unseen(run)
        };
        let calls = |run: &ListedRun| calls(run) || unseen(run);
        let mut found: Vec<&ListedRun> = self.runs().filter(in_line).collect();
        found.sort_by_key(|run| {
            let summary = &run.summary;
            (!calls(run), summary.started_at.unwrap_or(summary.created_at), summary.run_id)
        });
        let mut by_plan: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for run in &found {
            by_plan.entry(&run.summary.plan_id).or_default().push(run.summary.run_id);
        }
        let namesakes = by_plan.into_values().filter(|same| same.len() > 1).flatten().collect();
        let mut calling: Vec<&ListedRun> = found.iter().copied().filter(|run| calls(run)).collect();
        calling.sort_by_key(|run| std::cmp::Reverse((run.summary.updated_at, run.summary.run_id)));
        let calling = calling.into_iter().map(|run| run.summary.run_id).collect();
        let strip = found.into_iter().map(|run| run.summary.run_id).collect();
        (self.strip, self.namesakes, self.calling) = (strip, namesakes, calling);
    }

    /// The next run that waits for a person, after this one: first those that call, then those that somebody has left.
    pub fn next_waiting(&self, current: Option<Uuid>) -> Option<Uuid> {
        next_in(&self.calling, current, true).or_else(|| next_in(&self.waiting(), current, true))
    }
}

/// The one after (or before) another in a line that goes round; the first (or last) if that is not among them.
fn next_in(line: &[Uuid], current: Option<Uuid>, forward: bool) -> Option<Uuid> {
    let found = match line.iter().position(|id| Some(*id) == current) {
        Some(place) if forward => line.get((place + 1) % line.len()),
        Some(place) => line.get((place + line.len() - 1) % line.len()),
        None if forward => line.first(),
        None => line.last(),
    };
    found.copied().filter(|id| Some(*id) != current)
}

impl App {
    /// The run that is looked at.
    pub(super) fn looked_at(&self) -> Option<Uuid> {
        self.run.as_ref().filter(|_| self.place != Place::Runs).map(|run| run.id())
    }

    /// Whether there is any run to go to but the one that is looked at.
    pub(super) fn has_other_runs(&self) -> bool {
        let here = self.looked_at();
        self.runs.strip.iter().any(|id| Some(*id) != here)
    }

    /// The run that waits for a person while another one is looked at, if that is so.
    pub(super) fn calling(&self) -> Option<&ListedRun> {
        let here = self.looked_at()?;
        next_in(&self.runs.calling, Some(here), true).and_then(|id| self.runs.run(id))
    }

    /// Goes to the next run of the strip, or the one before.
    pub(super) fn next_run(&mut self, forward: bool) -> Vec<Effect> {
        match next_in(&self.runs.strip, self.looked_at(), forward) {
            Some(run) => self.switch_to(run),
            None => Vec::new(),
        }
    }

    /// Opens another run in place of the one that is looked at.
    pub(super) fn switch_to(&mut self, run: Uuid) -> Vec<Effect> {
        if self.looked_at() == Some(run) {
            return Vec::new();
        }
        let ours = self.runs.is_ours(run);
        self.open(run, ours)
    }

    /// The run in the strip at a place of the screen, as it was drawn.
    pub(super) fn strip_at(&self, at: Position) -> Option<Uuid> {
        let (line, pieces) = views::strip::pieces(self);
        let piece = pieces.iter().find(|piece| (piece.x..piece.x + piece.width).contains(&at.x));
        piece.filter(|_| at.y == line.y)?.run
    }
}
