//! A run's state: the fold of its events.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use imbl::{HashSet, OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::plan::order::Order;
use crate::plan::{Edit, Plan, Step};

use super::instances::Families;
use super::places::Places;
use super::queue::Queue;
use super::table::Table;
use super::{
    Attempt, CheckpointMark, Counts, Durations, Event, Intervention, PauseReason, PlanChange, Recorded, RunOptions,
    RunStatus, Signature, StepState, StepStatus, Steps,
};

/// A rollback of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// How the run ends by it.
    pub ends: RollbackEnd,
    /// What it was started for, in words.
    pub why: String,
    /// Who asked for it; `None`: the plan did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// It is over, whether or not all of it was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

/// How a run ends that was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackEnd {
    /// As failed.
    Failed,
    /// As cancelled.
    Cancelled,
}

impl RollbackEnd {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            RollbackEnd::Failed => "failed",
            RollbackEnd::Cancelled => "cancelled",
        }
    }
}

/// A time in which a run was paused, for the same reasons all along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when; `None`: it still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reasons: BTreeSet<PauseReason>,
}

/// A version of the plan after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanVersion {
    /// Since when.
    pub time: DateTime<Utc>,
    /// What made it out of the one before.
    pub change: PlanChange,
}

/// A step that was taken out of the plan. What it did stays readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemovedStep {
    /// Its definition.
    pub definition: Arc<Step>,
    /// Its state when it was taken out.
    pub state: Arc<StepState>,
    /// The version of the plan without it.
    pub version: u64,
}

/// A run's whole state. Made by [`RunState::from_registration`], changed by [`RunState::apply`] and by nothing else.
///
/// A *persistent* value: a copy costs a few dozen pointers, whatever the size of the plan, and shares with the one it is made of all that neither
/// of them changes. So the engine, which runs ahead of the disk, the recorder, subscribers, previews and full checkpoints each have a state of their
/// own, and the steps are in memory once. Whatever grows with the plan or with the run is a tree of shared parts, or stands behind one pointer when
/// it changes only together with the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The run's id.
    pub run_id: Uuid,
    /// The plan as it stands.
    pub plan: Arc<Plan>,
    /// Version of the plan, from 1; only grows.
    pub plan_version: u64,
    /// How it is run.
    pub options: Arc<RunOptions>,
    /// Who opened it.
    pub user: Arc<str>,
    /// Its status.
    pub status: RunStatus,
    /// Attempts are being stopped; the run ends as cancelled.
    #[serde(default)]
    pub cancelling: bool,
    /// Rollback actions run: only the steps of the rollback have their turn.
    #[serde(default)]
    pub rolling_back: bool,
    /// The rollback whose steps stand behind the plan's own: the one that is under way, or the last one until the run is opened again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// The time limit of the whole run is over; its attempts are being stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Microseconds that it was running, before it came to its present status, less what has passed in this status without an engine (so it
    /// may be negative); begins anew when a run is reopened.
    #[serde(default, skip_serializing_if = "is_zero_i64")]
    pub ran_micros: i64,
    /// Microseconds that it was running, before it came to its present status, less what has passed in this status without an engine; over its whole
    /// life. `None` while it has left no status in which it runs (see [`RunState::times`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worked_micros: Option<i64>,
    /// Why it is paused; empty in every other status.
    pub paused: BTreeSet<PauseReason>,
    /// The steps' states, in the plan's order.
    pub steps: Steps,
    /// Number of the newest event.
    pub seq: u64,
    /// How often an engine has taken ownership.
    pub epoch: u64,
    /// When the plan was opened.
    pub created_at: DateTime<Utc>,
    /// When it was started first.
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// When the newest event was decided.
    pub updated_at: DateTime<Utc>,
    /// Since when it has its status.
    pub since: DateTime<Utc>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Who intervened, when and why; oldest first.
    pub interventions: Vector<Arc<Intervention>>,
    /// The checkpoints, oldest first.
    pub checkpoints: Vector<CheckpointMark>,
    /// When it was paused, and why; oldest first. What was before this was noted, in an older version's checkpoint, is missing.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub pauses: Vector<Pause>,
    /// The versions of the plan after the first, oldest first.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub versions: Vector<Arc<PlanVersion>>,
    /// Steps that were taken out of the plan, as they were then.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub removed: OrdMap<String, Arc<RemovedStep>>,
    /// The run it was forked from, and the checkpoint there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<(Uuid, u64)>,
    /// Why it was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_reason: Option<String>,
    /// The runs it was forked from, nearest first, with when each was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<(Uuid, DateTime<Utc>)>,
    /// What earlier runs of the plan told, when it was opened, of how long its steps take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Arc<Durations>>,
    /// The name of every step that the run has ever had, by its number. Empty while the plan's steps are the first version's, in its order:
    /// then a step's number is its place.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub(super) step_names: Vector<Arc<str>>,
    /// What follows from the rest; kept up to date by `apply`, made anew by [`RunState::reindex`] after loading.
    #[serde(skip)]
    pub(super) index: Index,
}

fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}

/// A step, or a barrier between stages, in the order of work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Node {
    /// How many predecessors are not satisfied yet.
    pub unmet: u32,
    /// Whether what waits for it may go on.
    pub released: bool,
}

/// What follows from plan and step states, kept so that no decision walks all steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    pub order: Arc<Order>,
    pub places: Arc<Places>,
    pub families: Families,
    pub counts: Counts,
    /// Those of them that undo others, in a rollback.
    pub undoing: Counts,
    /// What is known of each node: a step, or a barrier between stages.
    pub nodes: Table<Node>,
    /// What waits for its turn, or for the time.
    pub queue: Queue,
    /// Steps that are pending, wait for nothing, and have a condition that is to be evaluated.
    pub at_condition: OrdSet<usize>,
    /// Steps that are pending and wait for nothing but to be signed off.
    pub at_hold: OrdSet<usize>,
    /// `foreach` steps that are pending and wait for nothing but to be expanded.
    pub at_foreach: OrdSet<usize>,
    /// `foreach` steps of which every instance has come to its end.
    pub at_end: OrdSet<usize>,
    pub live: OrdSet<usize>,
    /// Live, and waiting for a person's answer.
    pub asking: OrdSet<usize>,
    pub held: OrdSet<usize>,
    pub in_review: OrdSet<usize>,
    pub interrupted: OrdSet<usize>,
    pub failed: OrdSet<usize>,
    /// Failed, and to be answered before the run goes on by itself.
    pub unanswered: OrdSet<usize>,
    pub cancelled: OrdSet<usize>,
    /// Failed, and to end the run, or to have it rolled back.
    pub fatal: OrdSet<usize>,
    /// In back-off while something they need was taken up again, or while others have their turn.
    pub waiting_blocked: OrdSet<usize>,
    pub command_ids: HashSet<Arc<str>>,
}

impl RunState {
    /// Where a step stands in the plan.
    pub fn position(&self, step_id: &str) -> Option<usize> {
        self.index.places.position(step_id)
    }

    /// A step's definition and state.
    pub fn step(&self, step_id: &str) -> Option<(&Arc<Step>, &StepState)> {
        let position = self.position(step_id)?;
        Some((self.plan.steps.get(position)?, self.steps.get(position)?))
    }

    /// Whether there is a checkpoint at this place.
    pub fn has_checkpoint(&self, seq: u64) -> bool {
        self.checkpoints.binary_search_by_key(&seq, |mark| mark.seq).is_ok()
    }

    /// The name of the step with a number, also of one that is no longer in the plan.
    pub fn step_name(&self, number: u32) -> Option<&str> {
        match self.step_names.get(number as usize) {
            Some(name) => Some(name),
            None => self.plan.steps.get(number as usize).map(|step| step.step_id.as_str()),
        }
    }

    /// The plan as it was in a version, if there was one: the steps that were written.
    pub fn plan_at(&self, version: u64) -> Option<Plan> {
        let mut plan = self.whole_plan_at(version)?;
        plan.steps.truncate(plan.written());
        Some(plan)
    }

    /// The same, with the instances that there are now as they were defined then.
    pub(super) fn whole_plan_at(&self, version: u64) -> Option<Plan> {
        if !(1..=self.plan_version).contains(&version) {
            return None;
        }
        let mut plan = self.plan.as_ref().clone();
        let later = self.versions.iter().rev().take_while(|one| one.change.version > version);
        for one in later {
            for edit in &one.change.inverse {
                // An instance that was changed may be gone.
                let gone = matches!(edit, Edit::Replace { step } if step.generated.is_some() && plan.position(&step.step_id).is_none());
                if !gone {
                    plan.edit(edit).ok()?;
                }
            }
        }
        Some(plan)
    }

    /// How many steps are in each state.
    pub fn counts(&self) -> Counts {
        self.index.counts
    }

    /// The same of the plan's own steps, without those of a rollback: what progress is told by.
    pub fn own_counts(&self) -> Counts {
        self.index.counts.without(&self.index.undoing)
    }

    /// The order of work.
    pub fn order(&self) -> &Order {
        &self.index.order
    }

    /// The order itself: another one as soon as a step comes, goes, or is defined otherwise. Whoever keeps it knows what they made of which steps.
    pub fn structure(&self) -> &Arc<Order> {
        &self.index.order
    }

    /// Positions of the steps with a live attempt.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        self.index.live.iter().copied()
    }

    /// Positions of the steps that ask a person something and wait for the answer, in plan order.
    pub fn asking(&self) -> impl Iterator<Item = usize> + '_ {
        self.index.asking.iter().copied()
    }

    /// Whether the attempt of a live step outlives its engine: nobody has to wait for its end, and it is taken up again.
    pub fn outlives_engine(&self, position: usize) -> bool {
        self.steps[position].status == StepStatus::Running
            && self.plan.ability(&self.plan.steps[position]).outlives_engine
    }

    /// Positions of the steps whose live attempt has to end before its engine may.
    pub fn bound_to_engine(&self) -> impl Iterator<Item = usize> + '_ {
        self.live().filter(|position| !self.outlives_engine(*position))
    }

    /// Whether something goes on in a live attempt that is not just an open question.
    pub(super) fn works(&self) -> bool {
        self.index.live.len() > self.index.asking.len()
    }

    /// Whether something may start by itself, now or when its time has come, as long as no live attempt ends.
    pub(super) fn queue_moves(&self) -> bool {
        self.index.queue.moves(self.has_slot())
    }

    /// Whether something moves or could, were the run to go on: more than an open question.
    pub(super) fn moves(&self) -> bool {
        let index = &self.index;
        let sets = [&index.at_condition, &index.at_hold, &index.at_foreach];
        self.queue_moves() || self.works() || sets.iter().any(|set| !set.is_empty())
    }

    /// Whether a slot of `max_parallel` is free. An attempt that only waits takes none.
    pub fn has_slot(&self) -> bool {
        self.index.queue.working() < self.options.max_parallel
    }

    /// How many live attempts take a slot of `max_parallel`.
    pub fn working(&self) -> u32 {
        self.index.queue.working()
    }

    /// Whether a step can have its turn in what the run does now: the steps of a rollback while it is rolled back, all others otherwise.
    pub fn takes_part(&self, position: usize) -> bool {
        self.plan.steps[position].undoes().is_some() == self.rolling_back
    }

    /// Positions of steps that wait for a person: failed, held, in review, interrupted, asking; in plan order, an instance where
    /// its step stands. While the run is rolled back nobody is asked about the others.
    pub fn needs_person(&self) -> Vec<usize> {
        let index = &self.index;
        let all = [&index.failed, &index.held, &index.in_review, &index.interrupted, &index.asking];
        let mut found: Vec<usize> =
            all.into_iter().flatten().copied().filter(|position| self.takes_part(*position)).collect();
        found.sort_unstable_by_key(|position| (index.order.home(*position), *position));
        found
    }

    /// `step_index`: how many steps are completed or skipped. Information; never used to resume.
    pub fn step_index(&self) -> u32 {
        self.index.counts.done()
    }

    /// Positions of steps that have failed.
    pub fn failed(&self) -> impl Iterator<Item = usize> + '_ {
        self.index.failed.iter().copied()
    }

    /// Whether a command with this id was accepted before. One that was refused or overtaken had no effect and may be sent again.
    pub fn has_command(&self, command_id: &str) -> bool {
        self.index.command_ids.contains(command_id)
    }

    /// Whether a step waits for nothing but its turn.
    pub fn is_ready(&self, position: usize) -> bool {
        self.steps[position].status == StepStatus::Pending
            && self.index.nodes.get(position).is_some_and(|node| node.unmet == 0)
            && self.takes_part(position)
    }

    /// Positions of the steps that a step still waits for, in plan order; seen through those that were skipped or completed ahead of their turn.
    pub fn unmet(&self, position: usize) -> Vec<usize> {
        let released = |step: usize| self.index.nodes.get(step).is_some_and(|node| node.released);
        let mut waits = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut look = vec![position];
        while let Some(step) = look.pop() {
            for before in self.index.order.waits_for(step) {
                if released(before) || !seen.insert(before) {
                    continue;
                }
                if self.steps[before].status.is_satisfied() {
                    look.push(before);
                } else {
                    waits.insert(before);
                }
            }
        }
        waits.into_iter().collect()
    }

    /// Whether attempts may start.
    pub fn may_start(&self) -> bool {
        self.status == RunStatus::Running && !self.cancelling && self.index.fatal.is_empty()
    }

    /// The pool that keeps a step from starting though it is ready, with its limit.
    pub fn full_pool(&self, position: usize) -> Option<(&str, u32)> {
        self.index.queue.full_pool(&self.plan.steps[position])
    }

    /// When the time limit of the whole run is over, if it has one and is running. The time in which it is paused or rolled back does not
    /// count, nor that between the last event of an engine that died and the next engine.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        // What was begun to be undone is undone to the end.
        if self.status != RunStatus::Running || self.timed_out || self.cancelling || self.rolling_back {
            return None;
        }
        let limit = (self.plan.max_execution_time_seconds? * 1e6) as i64;
        self.since.checked_add_signed(TimeDelta::microseconds(limit.saturating_sub(self.ran_micros).max(0)))
    }

    /// When something is due by itself: the end of a back-off, if the run may go on, or of the run's time limit.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.next_due().into_iter().chain(self.deadline()).min()
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        if !self.may_start() {
            return None;
        }
        self.index.queue.next_due(self.has_slot()).map(|(due, _)| due)
    }

    /// The steps whose ids are given by position.
    pub fn step_ids<'a>(&'a self, positions: impl IntoIterator<Item = &'a usize>) -> Vec<&'a str> {
        positions
            .into_iter()
            .filter_map(|position| self.plan.steps.get(*position))
            .map(|step| step.step_id.as_str())
            .collect()
    }

    /// Whether a step has a hold point that is not released yet.
    pub fn is_hold_point(&self, position: usize) -> bool {
        // Once it is expanded it has begun.
        if self.steps[position].expansion.is_some() {
            return false;
        }
        let planned = self.plan.steps[position].hold.as_deref().is_some_and(crate::plan::Hold::is_set);
        match &self.steps[position].hold {
            Some(hold) => hold.set.unwrap_or(planned) && !hold.released,
            None => planned,
        }
    }

    /// Who has signed a step's hold point off so far, and how many have to.
    pub fn signatures(&self, position: usize) -> (&[Signature], u32) {
        let needed = self.plan.steps[position].hold.as_deref().map_or(1, crate::plan::Hold::approvals);
        (self.steps[position].hold.as_ref().map_or(&[], |hold| &hold.signed), needed)
    }

    /// The same in words, where more than one has to sign: `1 of 2 people have signed: ann (uid 1000)`.
    pub fn signatures_in_words(&self, position: usize) -> Option<String> {
        let (signed, needed) = self.signatures(position);
        let names: Vec<String> = signed.iter().map(ToString::to_string).collect();
        let by = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        (needed > 1).then(|| format!("{} of {needed} people have signed{by}", signed.len()))
    }

    /// The reason of a step's hold point.
    pub fn hold_reason(&self, position: usize) -> Option<&str> {
        let live = self.steps[position].hold.as_ref().and_then(|hold| hold.reason.as_deref());
        live.or_else(|| self.plan.steps[position].hold.as_deref().and_then(crate::plan::Hold::reason))
    }

    /// The key of an attempt: `<run_id>.<step_id>.<attempt>.<digest of the masked input>`. An agent that remembers keys gives exactly-once.
    pub fn attempt_key(&self, step_id: &str, attempt: &Attempt) -> String {
        format!("{}.{}.{}.{}", self.run_id, step_id, attempt.number, attempt.digest)
    }
}

impl RunState {
    /// Whether nothing was ever done in the run: it was opened, and neither started nor changed by anybody. One that was forked was made on purpose.
    pub fn is_untouched(&self) -> bool {
        self.status == RunStatus::Idle
            && self.started_at.is_none()
            && self.interventions.is_empty()
            && self.plan_version == 1
            && self.parent.is_none()
    }

    /// The state after the first event of a journal, which must be [`Event::RunRegistered`].
    pub fn from_registration(first: &Recorded) -> Option<Self> {
        let Event::RunRegistered(registration) = &first.event else { return None };
        let fork = registration.fork.as_deref();
        let mut state = Self {
            run_id: registration.run_id,
            plan: Arc::clone(&registration.plan),
            plan_version: 1,
            options: Arc::new(registration.options.clone()),
            user: registration.user.as_str().into(),
            status: RunStatus::Idle,
            cancelling: false,
            rolling_back: false,
            rollback: None,
            timed_out: false,
            ran_micros: 0,
            worked_micros: None,
            paused: BTreeSet::new(),
            steps: Steps::all_untouched(registration.plan.steps.len()),
            seq: first.seq,
            epoch: 0,
            created_at: first.time,
            started_at: None,
            ended_at: None,
            updated_at: first.time,
            since: first.time,
            error: None,
            interventions: Vector::new(),
            checkpoints: Vector::new(),
            pauses: Vector::new(),
            versions: Vector::new(),
            removed: OrdMap::new(),
            parent: fork.map(|fork| (fork.parent, fork.checkpoint)),
            fork_reason: fork.and_then(|fork| fork.reason.clone()),
            lineage: fork.map(|fork| fork.lineage.clone()).unwrap_or_default(),
            durations: registration.durations.clone(),
            step_names: Vector::new(),
            index: Index::default(),
        };
        if let Some(fork) = fork {
            let places: HashMap<&str, usize> = registration
                .plan
                .steps
                .iter()
                .enumerate()
                .map(|(place, step)| (step.step_id.as_str(), place))
                .collect();
            for (id, step) in &fork.steps {
                if let Some(place) = places.get(id.as_str()) {
                    let there = state.steps.change(*place);
                    there.clone_from(step);
                    if let Some(made) = &mut there.expansion {
                        Arc::make_mut(made).seq = first.seq;
                    }
                }
            }
        }
        state.reindex();
        Some(state)
    }
}
