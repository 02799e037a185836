//! Looking back: what differs between two places of a run, and which stretches of its journal a restore has left behind.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::plan::{Edit, Plan, difference};

use super::intervene::restored;
use super::{
    Attempt, CheckpointCause, CheckpointMark, Ending, Intervention, InterventionStatus, Pause, PauseReason, RunState,
    StepState, parse_checkpoint_id,
};

/// What changes from one state of a run to another, a line each: the plan first, then the steps in the order of the later plan, removed ones last.
/// Cost: both plans' sizes.
pub fn changes_between(before: &RunState, after: &RunState) -> Vec<String> {
    changes(before, after, step_change)
}

/// What has changed in a run since one of its checkpoints, a line each: what going back there would take back, so a step of which nothing would
/// be taken back has not changed. Nothing of what was running there is running after going back.
/// Cost: both plans' sizes.
pub fn changes_since(checkpoint: &RunState, now: &RunState) -> Vec<String> {
    changes(checkpoint, now, |then, is| {
        let then = restored(then, is);
        if then == *is { None } else { step_change(&then, is) }
    })
}

fn changes(
    before: &RunState,
    after: &RunState,
    of_step: impl Fn(&StepState, &StepState) -> Option<String>,
) -> Vec<String> {
    let mut lines = plan_changes(&before.plan, &after.plan);
    for (definition, step) in after.plan.steps.iter().zip(&after.steps) {
        let id = &definition.step_id;
        match before.step(id) {
            Some((_, was)) => lines.extend(of_step(was, step).map(|change| format!("{id}: {change}"))),
            None => lines.push(format!("{id}: not in the plan → {}", step.status.word())),
        }
    }
    let gone = before.plan.steps.iter().zip(&before.steps).filter(|(step, _)| after.position(&step.step_id).is_none());
    lines.extend(gone.map(|(step, was)| format!("{}: {} → not in the plan", step.step_id, was.status.word())));
    lines
}

/// What changes from one plan to another, a line each; under a step whose long texts differ, the lines that do, indented.
pub fn plan_changes(before: &Plan, after: &Plan) -> Vec<String> {
    let edits = difference(before, after);
    let mut plan = before.clone();
    // What is made of the two plans fits the first of them.
    let inverse = plan.edit_all(&edits).unwrap_or_default();
    super::change::in_full(&edits, &inverse)
}

fn step_change(was: &StepState, is: &StepState) -> Option<String> {
    // The counter goes on over a restore, which makes no attempt.
    let number = |step: &StepState| step.attempt().map_or(0, |attempt| attempt.number);
    let newer = number(is) > number(was);
    let status = was.status != is.status;
    if !status && !newer {
        return (was.result() != is.result()).then(|| "another result".into());
    }
    let mut line = if status {
        format!("{} → {}", was.status.word(), is.status.word())
    } else {
        format!("{} again", is.status.word())
    };
    let attempt = is.attempt().filter(|_| newer || was.attempt().is_some_and(|old| old.ended_at.is_none()));
    if let Some(attempt) = attempt {
        let why = Some(attempt.in_words()).filter(|why| !why.is_empty());
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
#[derive(Debug, Clone)]
pub struct Branches {
    /// The line as it was opened, and as it became with each restore; oldest first.
    lines: Vec<Line>,
}

/// The line that leads to the present, from one restore to the next.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Its stretches of the journal, newest first, both ends included.
    stretches: Vec<(u64, u64)>,
    /// When it became so.
    since: DateTime<Utc>,
}

impl Line {
    fn has(&self, seq: u64) -> bool {
        self.stretches.iter().any(|(from, to)| (*from..=*to).contains(&seq))
    }
}

impl Default for Branches {
    fn default() -> Self {
        Self { lines: vec![Line { stretches: vec![(0, u64::MAX)], since: DateTime::default() }] }
    }
}

impl Branches {
    /// Cost: the checkpoints and the interventions.
    pub fn of(state: &RunState) -> Self {
        let mut branches = Self::default();
        for (mark, to) in state.restores() {
            branches.restore(to, mark.seq, mark.time);
        }
        branches
    }

    /// The run went back `to` a place; the restore itself stands at `at`.
    fn restore(&mut self, to: u64, at: u64, time: DateTime<Utc>) {
        let then = self.lines.iter().rev().find(|line| line.stretches.first().is_some_and(|(from, _)| *from <= to));
        let mut stretches = vec![(at, u64::MAX)];
        stretches.extend(then.iter().flat_map(|line| &line.stretches).map(|(from, end)| (*from, *end.min(&to))));
        self.lines.push(Line { stretches, since: time });
    }

    /// When a place was left behind for the last time; `None`: it leads to where the run is now.
    pub fn left_at(&self, seq: u64) -> Option<DateTime<Utc>> {
        if self.lines.last().is_none_or(|line| line.has(seq)) {
            return None;
        }
        let left = self.lines.windows(2).rev().find(|pair| pair[0].has(seq));
        left.map(|pair| pair[1].since)
    }
}

impl RunState {
    /// Why the run was paused at a checkpoint that a pause made; `None` for any other, and where that was not noted.
    pub fn pause_reasons_at(&self, mark: &CheckpointMark) -> Option<&BTreeSet<PauseReason>> {
        if mark.cause != CheckpointCause::Paused {
            return None;
        }
        // A checkpoint's time has microseconds.
        let since = |pause: &Pause| pause.since.trunc_subsecs(6);
        let place = self.pauses.binary_search_by_key(&mark.time, since).ok()?;
        self.pauses.get(place).map(|pause| &pause.reasons)
    }

    /// The intervention of a kind that was decided together with a checkpoint.
    fn intervention_at(&self, mark: &CheckpointMark, kind: &str) -> Option<&Intervention> {
        let time = |one: &Intervention| one.timestamp.trunc_subsecs(6);
        let order = |one: &Arc<Intervention>| if time(one) <= mark.time { Ordering::Less } else { Ordering::Greater };
        let after = self.interventions.binary_search_by(order).unwrap_or_else(|after| after);
        let together = (0..after).rev().map_while(|place| self.interventions.get(place));
        let mut together = together.take_while(|one| time(one) == mark.time);
        together
            .find(|one| one.intervention_type == kind && one.status == InterventionStatus::Applied)
            .map(AsRef::as_ref)
    }

    /// What made a checkpoint, by its place in the list: `verify failed`, `paused: verify failed`, `ann went back to cp-8`.
    pub fn what_made(&self, entry: usize) -> String {
        let Some(mark) = self.checkpoints.get(entry) else { return String::new() };
        let step = mark.step.and_then(|number| self.step_name(number)).unwrap_or("a step");
        match (mark.cause, mark.ending) {
            (CheckpointCause::Started, _) => "the run started".into(),
            (CheckpointCause::Step, Some(ending)) => format!("{step} {}", ending.word()),
            (CheckpointCause::Step, None) => format!("{step} came to its end"),
            (CheckpointCause::Ended, Some(ending)) => format!("the run {}", ending.as_run_ended()),
            (CheckpointCause::Ended, None) => "the run ended".into(),
            (CheckpointCause::Restored, _) => match self.intervention_at(mark, "restore") {
                Some(record) => {
                    let to = record.parameters["checkpoint"].as_str().unwrap_or("an earlier checkpoint");
                    format!("{} went back to {to}", record.user)
                }
                None => "went back".into(),
            },
            (CheckpointCause::Paused, _) => {
                let reasons = self.pause_reasons_at(mark).into_iter().flatten();
                let reasons: Vec<String> = reasons.map(|reason| self.pause_at(entry, mark, *reason)).collect();
                match reasons.as_slice() {
                    [] => "paused".into(),
                    [one] if one.starts_with("by ") => format!("paused {one}"),
                    all => format!("paused: {}", all.join(", ")),
                }
            }
        }
    }

    fn pause_at(&self, entry: usize, mark: &CheckpointMark, reason: PauseReason) -> String {
        match reason {
            PauseReason::Operator => match self.intervention_at(mark, "pause") {
                Some(record) => format!("by {}", record.user),
                None => "by an operator".into(),
            },
            PauseReason::StepFailed => {
                // What the run was paused over is what ended last before it.
                let before = entry.checked_sub(1).and_then(|before| self.checkpoints.get(before));
                let failed = before.filter(|mark| mark.ending == Some(Ending::Failed)).and_then(|mark| mark.step);
                format!("{} failed", failed.and_then(|step| self.step_name(step)).unwrap_or("a step"))
            }
            PauseReason::Hold => "at a hold point".into(),
            PauseReason::Review => "for a review".into(),
            PauseReason::Question => "a step asks".into(),
            PauseReason::Recovered => "its engine had ended".into(),
        }
    }
}

/// How many steps the plan had at any time.
#[derive(Debug, Clone, Default)]
pub struct PlanSizes {
    /// Since when as many steps were written.
    written: Vec<(DateTime<Utc>, usize)>,
    /// The events that gave the steps of today their instances, and how many there were after them.
    instances: Vec<(u64, usize)>,
}

impl PlanSizes {
    /// Cost: the changes of the plan.
    pub fn of(state: &RunState) -> Self {
        let mut size = state.plan.written();
        let mut sizes = Vec::with_capacity(state.versions.len() + 1);
        for version in state.versions.iter().rev() {
            // A checkpoint's time has microseconds.
            sizes.push((version.time.trunc_subsecs(6), size));
            for edit in &version.change.edits {
                match edit {
                    Edit::Add { .. } => size = size.saturating_sub(1),
                    Edit::Remove { .. } => size += 1,
                    Edit::Replace { .. } | Edit::Reorder { .. } => {}
                }
            }
        }
        sizes.push((DateTime::<Utc>::MIN_UTC, size));
        sizes.reverse();
        let expansions = state.steps.iter().filter_map(|step| step.expansion.as_ref());
        let mut instances: Vec<(u64, usize)> = expansions.map(|made| (made.seq, made.items.len())).collect();
        instances.sort_unstable();
        let mut sum = 0;
        for (_, number) in &mut instances {
            sum += *number;
            *number = sum;
        }
        Self { written: sizes, instances }
    }

    /// The number of steps at a checkpoint.
    pub fn at(&self, mark: &CheckpointMark) -> usize {
        let before = |later: usize| later.checked_sub(1);
        let written = self.written.partition_point(|(since, _)| *since <= mark.time);
        let written = before(written).and_then(|place| self.written.get(place)).map_or(0, |(_, size)| *size);
        let instances = self.instances.partition_point(|(seq, _)| *seq <= mark.seq);
        written + before(instances).and_then(|place| self.instances.get(place)).map_or(0, |(_, number)| *number)
    }
}

impl RunState {
    /// The restores that were carried out, oldest first: the mark at which the run went back, and the place it went back to. Cost: the checkpoints and
    /// the interventions.
    pub fn restores(&self) -> impl Iterator<Item = (&CheckpointMark, u64)> {
        // Each has one record and one mark, both in the order of the journal.
        let marks = self.checkpoints.iter().filter(|mark| mark.cause == CheckpointCause::Restored);
        let place = |record: &Intervention| record.parameters["checkpoint"].as_str().and_then(parse_checkpoint_id);
        self.went_back().zip(marks).filter_map(move |(record, mark)| Some((mark, place(record)?)))
    }

    /// Whether the run has gone back to a checkpoint, and with that left behind what had come after it. Cost: its interventions.
    pub fn has_gone_back(&self) -> bool {
        self.went_back().next().is_some()
    }

    fn went_back(&self) -> impl Iterator<Item = &Intervention> {
        let is_restore = |one: &&Intervention| one.intervention_type == "restore";
        let all = self.interventions.iter().map(AsRef::as_ref);
        all.filter(is_restore).filter(|one| one.status == InterventionStatus::Applied)
    }

    /// The run in whose folder an attempt's output lies: this one, or, for an attempt that a fork brought along, the one that made it.
    pub fn home_of(&self, attempt: &Attempt) -> Uuid {
        home(attempt.started_at, self.run_id, self.created_at, &self.lineage)
    }
}

/// The run that made an attempt which another has: by when it began, when that one was made, and those it was forked from, nearest first.
pub(super) fn home(
    began: DateTime<Utc>,
    run: Uuid,
    created_at: DateTime<Utc>,
    lineage: &[(Uuid, DateTime<Utc>)],
) -> Uuid {
    if began >= created_at || lineage.is_empty() {
        return run;
    }
    let made = lineage.iter().find(|(_, created)| began >= *created);
    made.or(lineage.last()).map_or(run, |(run, _)| *run)
}
