//! Looking back: what differs between two places of a run, and which stretches of its journal a restore has left behind.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::plan::{Plan, difference};

use super::{Attempt, CheckpointCause, InterventionStatus, RunState, StepState};

/// What changes from one state of a run to another, a line each: the plan first, then the steps in the order of the later plan, removed ones last.
/// Cost: both plans' sizes.
pub fn changes_between(before: &RunState, after: &RunState) -> Vec<String> {
    let mut lines = plan_changes(&before.plan, &after.plan);
    for (definition, step) in after.plan.steps.iter().zip(&after.steps) {
        let id = &definition.step_id;
        match before.step(id) {
            Some((_, was)) => lines.extend(step_change(id, was, step)),
            None => lines.push(format!("{id}: not in the plan → {}", step.status.word())),
        }
    }
    let gone = before.plan.steps.iter().zip(&before.steps).filter(|(step, _)| after.position(&step.step_id).is_none());
    lines.extend(gone.map(|(step, was)| format!("{}: {} → not in the plan", step.step_id, was.status.word())));
    lines
}

/// What changes from one plan to another, a line each.
pub fn plan_changes(before: &Plan, after: &Plan) -> Vec<String> {
    let edits = difference(before, after);
    let mut plan = before.clone();
    // What is made of the two plans fits the first of them.
    let inverse = plan.edit_all(&edits).unwrap_or_default();
    super::change::in_words(&edits, &inverse)
}

fn step_change(id: &str, was: &StepState, is: &StepState) -> Option<String> {
    let newer = is.last_attempt > was.last_attempt;
    let status = was.status != is.status;
    if !status && !newer {
        return (was.result() != is.result()).then(|| format!("{id}: another result"));
    }
    let mut line = if status {
        format!("{id}: {} → {}", was.status.word(), is.status.word())
    } else {
        format!("{id}: {} again", is.status.word())
    };
    let attempt = is.attempt().filter(|_| newer || was.attempt().is_some_and(|old| old.ended_at.is_none()));
    if let Some(attempt) = attempt {
        let why = attempt.outcome.as_ref().map(|outcome| outcome.in_words()).filter(|why| !why.is_empty());
        match (attempt.number, why) {
            (1, None) => {}
            (number, None) => line.push_str(&format!(" (attempt {number})")),
            (1, Some(why)) => line.push_str(&format!(" ({why})")),
            (number, Some(why)) => line.push_str(&format!(" (attempt {number}: {why})")),
        }
    }
    if let Some(by_hand) = &is.by_hand {
        line.push_str(&format!(" (by hand, {})", by_hand.user));
    }
    if let Some(user) = is.skip.as_ref().and_then(|skip| skip.user.as_ref()) {
        line.push_str(&format!(" (by {user})"));
    }
    Some(line)
}

/// Which places of a run lie on the line that leads to where it is now, and which were left behind by going back.
#[derive(Debug, Clone, Default)]
pub struct Branches {
    /// Each restore: where it went back to, its own place, when.
    restores: Vec<(u64, u64, DateTime<Utc>)>,
    /// The stretches that lead to now, newest first, both ends included.
    current: Vec<(u64, u64)>,
}

impl Branches {
    /// Cost: the checkpoints and the interventions.
    pub fn of(state: &RunState) -> Self {
        let targets = state
            .interventions
            .iter()
            .filter(|one| one.intervention_type == "restore" && one.status == InterventionStatus::Applied)
            .filter_map(|one| one.parameters.get("checkpoint").and_then(serde_json::Value::as_u64));
        let marks = state.checkpoints.iter().filter(|mark| mark.cause == CheckpointCause::Restored);
        let restores: Vec<_> = targets.zip(marks).map(|(to, mark)| (to, mark.seq, mark.time)).collect();
        let mut current = Vec::new();
        let mut end = u64::MAX;
        while let Some((to, at, _)) = restores.iter().rev().find(|(_, at, _)| *at <= end) {
            current.push((*at, end));
            end = *to;
        }
        current.push((0, end));
        Self { restores, current }
    }

    /// When a place was left behind; `None`: it leads to where the run is now.
    pub fn left_at(&self, seq: u64) -> Option<DateTime<Utc>> {
        if self.current.iter().any(|(from, to)| (*from..=*to).contains(&seq)) {
            return None;
        }
        self.restores.iter().find(|(to, at, _)| *to < seq && seq < *at).map(|(_, _, time)| *time)
    }
}

impl RunState {
    /// The run in whose folder an attempt's output lies: this one, or, for an attempt that a fork brought along, the one that made it.
    pub fn home_of(&self, attempt: &Attempt) -> Uuid {
        if attempt.started_at >= self.created_at || self.lineage.is_empty() {
            return self.run_id;
        }
        let made = self.lineage.iter().find(|(_, created)| attempt.started_at >= *created);
        made.or(self.lineage.last()).map_or(self.run_id, |(run, _)| *run)
    }
}
