//! The instances of `foreach` steps: what they do a step's work for, how they stand, and how they come and go.
//!
//! An expansion is a part of the step's state. The steps that follow from it stand behind all that were written, in the order of the
//! expansions; so the places of those that were written, and the versions of the plan, do not depend on what was found in a list.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::order::families;
use crate::plan::{Generated, Plan, Step, instance_id, instance_of};

use super::intervene::{Asker, Target, refuse, reset_downstream, reset_sign_offs};
use super::places::Places;
use super::{
    Command, Counts, Event, Rejection, RemovedStep, RunState, SkipReason, StepState, StepStatus, Steps, StopReason,
};

/// So many instances are named one by one.
const NAMED: usize = 4;

/// The items of a `foreach` step, frozen when it was expanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expansion {
    /// The event that made it, or the first one of a run that was forked with it: a step has no two that are the same.
    pub seq: u64,
    /// One for each instance.
    pub items: Vec<Value>,
}

/// What becomes of an instance with a command on the `foreach` step that it is an instance of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// It runs again.
    RunsAgain,
    /// It is skipped.
    IsSkipped,
    /// Its attempt is stopped, and then it is skipped.
    IsStopped,
    /// It is taken out: the step is expanded anew.
    Goes,
}

/// Which steps are instances of which, and how those stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Families {
    relations: Arc<Relations>,
    /// By position of a step that has instances: how many of those are in each state.
    counts: OrdMap<usize, Counts>,
}

/// What changes only when instances come or go.
#[derive(Debug, Default, PartialEq)]
struct Relations {
    /// How many steps were written.
    written: usize,
    /// By position behind those: the step it is an instance of.
    parents: Vec<Option<u32>>,
    /// By position of a step that has instances.
    instances: BTreeMap<usize, Range<usize>>,
}

impl Families {
    /// Nothing is counted yet.
    pub fn of(plan: &Plan, places: &Places) -> Self {
        let written = plan.written();
        let mut parents = vec![None; plan.steps.len() - written];
        let mut of = BTreeMap::new();
        for (parent, instances) in families(plan, |id| places.position(id)) {
            parents[instances.start - written..instances.end - written].fill(Some(parent as u32));
            of.insert(parent, instances);
        }
        let counts = of.keys().map(|parent| (*parent, Counts::default())).collect();
        Self { relations: Arc::new(Relations { written, parents, instances: of }), counts }
    }

    /// The step that one is an instance of.
    pub fn parent(&self, position: usize) -> Option<usize> {
        let behind = position.checked_sub(self.relations.written)?;
        self.relations.parents.get(behind)?.map(|parent| parent as usize)
    }

    fn counts_of(&mut self, position: usize) -> Option<&mut Counts> {
        let parent = self.parent(position)?;
        self.counts.get_mut(&parent)
    }

    /// A step has this status when counting begins.
    pub fn count(&mut self, position: usize, status: StepStatus) {
        if let Some(counts) = self.counts_of(position) {
            counts.add(status);
        }
    }

    /// A step's status changes.
    pub fn moved(&mut self, position: usize, from: StepStatus, to: StepStatus) {
        if let Some(counts) = self.counts_of(position) {
            counts.moved(from, to);
        }
    }
}

/// Which definitions instances get that come into the plan.
pub(super) enum Definitions<'a> {
    /// Those that follow from the step; the instances begin anew, with their earlier attempts behind them.
    Fresh,
    /// Those given here, else those that follow from the step.
    Given(&'a [Arc<Step>]),
    /// Those with which they were taken out.
    AsRemoved,
}

impl RunState {
    /// Where the instances of a `foreach` step stand, in the order of its items; `None` before it is expanded, and when it has no items.
    pub fn instances(&self, position: usize) -> Option<Range<usize>> {
        self.index.families.relations.instances.get(&position).cloned()
    }

    /// How many of a step's instances are in each state.
    pub fn instance_counts(&self, position: usize) -> Option<&Counts> {
        self.index.families.counts.get(&position)
    }

    /// The position of the `foreach` step that a step is an instance of.
    pub fn parent(&self, position: usize) -> Option<usize> {
        self.index.families.parent(position)
    }

    /// What a command on a `foreach` step does with one of its instances; `None`: nothing, it stays as it is. For a command that is taken.
    pub fn along(&self, instance: usize, command: &Command) -> Option<Along> {
        let of = self.steps.get(self.parent(instance)?)?;
        let step = self.steps.get(instance)?;
        match command {
            Command::Retry { downstream: true, .. } => Some(Along::Goes),
            Command::Retry { .. } => match step.status {
                StepStatus::Failed | StepStatus::Interrupted | StepStatus::Cancelled => Some(Along::RunsAgain),
                // What somebody skipped as well, when the whole was skipped.
                StepStatus::Skipped if of.status == StepStatus::Skipped => {
                    let why = step.skip.as_ref().map(|skip| skip.why);
                    (why == Some(SkipReason::Operator)).then_some(Along::RunsAgain)
                }
                _ => None,
            },
            Command::Skip { .. } | Command::Complete { .. } => {
                let why = step.stop.as_ref().map(|stop| stop.why);
                let goes_anyway = matches!(why, Some(StopReason::Skip | StopReason::Complete));
                let along = if step.status.is_live() { Along::IsStopped } else { Along::IsSkipped };
                (!step.status.is_satisfied() && !goes_anyway).then_some(along)
            }
            _ => None,
        }
    }

    /// Of which steps a retry, a skip or a completion by hand of the step at a place stops the attempt: its own, or that of instances. For a command
    /// that is taken.
    pub fn stops(&self, position: usize, command: &Command) -> Vec<usize> {
        if self.steps.get(position).is_none_or(|step| step.status.is_live()) {
            let stops = matches!(command, Command::Retry { .. } | Command::Skip { .. } | Command::Complete { .. });
            return if stops { vec![position] } else { Vec::new() };
        }
        if self.instance_counts(position).is_none_or(|counts| counts.live() == 0) {
            return Vec::new();
        }
        let stopped = |instance: &usize| self.along(*instance, command) == Some(Along::IsStopped);
        self.instances(position).into_iter().flatten().filter(stopped).collect()
    }

    /// The positions of all steps in the order in which people read them: instances behind the step they are instances of.
    pub fn reading_order(&self) -> Vec<usize> {
        let families = &self.index.families.relations;
        let mut order = Vec::with_capacity(self.steps.len());
        for position in 0..families.written.min(self.steps.len()) {
            order.push(position);
            order.extend(self.instances(position).into_iter().flatten());
        }
        order.extend((families.written..self.steps.len()).filter(|position| self.parent(*position).is_none()));
        order
    }

    /// The item of an instance, and its number from 0.
    pub fn item(&self, position: usize) -> Option<(u32, &Value)> {
        let Some(Generated::Instance { index, .. }) = self.plan.steps.get(position)?.generated.as_deref() else {
            return None;
        };
        let expansion = self.steps.get(self.parent(position)?)?.expansion.as_ref()?;
        Some((*index, expansion.items.get(*index as usize)?))
    }

    /// What expressions see as a step's result: of a `foreach` step the results of its instances in the order of its items, `null` for one that
    /// was skipped.
    pub fn result_data(&self, position: usize) -> Option<Value> {
        self.gathered(position, StepState::result_data).or_else(|| self.steps.get(position)?.result_data())
    }

    /// The result dependents see, in full.
    pub fn result(&self, position: usize) -> Option<Value> {
        self.gathered(position, StepState::result).or_else(|| self.steps.get(position)?.result())
    }

    fn gathered(&self, position: usize, result: impl Fn(&StepState) -> Option<Value>) -> Option<Value> {
        let step = self.steps.get(position)?;
        if step.status != StepStatus::Completed || step.by_hand.is_some() || step.expansion.is_none() {
            return None;
        }
        let instances = self.instances(position).unwrap_or_default();
        Some(instances.map(|instance| result(&self.steps[instance]).unwrap_or(Value::Null)).collect())
    }

    /// Why a `foreach` step whose instances have all come to an end has failed; `None`: it has not.
    pub(super) fn failed_instances(&self, position: usize) -> Option<String> {
        let counts = self.instance_counts(position)?;
        let (failed, total) = (counts.of(StepStatus::Failed), counts.total());
        if failed == 0 {
            return None;
        }
        let found = self.instances(position)?.filter(|instance| self.steps[*instance].status == StepStatus::Failed);
        let mut named = self.step_ids(&found.take(NAMED).collect::<Vec<_>>()).join(", ");
        if failed as usize > NAMED {
            named.push_str(&format!(" and {} more", failed as usize - NAMED));
        }
        Some(format!("{failed} of its {total} instances failed: {named}"))
    }

    /// Gives `foreach` steps another expansion, or none: their instances of before are taken out, the new ones come in. Cost: the plan's size.
    pub(super) fn expand(&mut self, changes: Vec<(usize, Option<Arc<Expansion>>)>, definitions: &Definitions<'_>) {
        let none_there = |(position, expansion): &(usize, Option<Arc<Expansion>>)| {
            self.instances(*position).is_none() && expansion.as_ref().is_none_or(|expansion| expansion.items.is_empty())
        };
        if changes.iter().all(none_there) {
            for (position, expansion) in changes {
                let before = self.leave(position);
                self.steps.change(position).expansion = expansion;
                self.enter(position, before);
            }
            return;
        }
        self.name_steps();
        let mut shared_places = std::mem::take(&mut self.index.places);
        let places = Arc::make_mut(&mut shared_places);
        let mut plan = self.plan.as_ref().clone();
        let changed: HashMap<usize, &Option<Arc<Expansion>>> =
            changes.iter().map(|(position, expansion)| (*position, expansion)).collect();
        // What stays and what comes, with the event that made it.
        let mut made: Vec<(u64, Arc<Step>, Arc<StepState>)> = Vec::new();
        let written = plan.written().min(self.steps.len());
        let definitions_there = plan.steps.split_off(written);
        let mut states = self.steps.to_vec();
        let states_there = states.split_off(written);
        for ((definition, state), position) in definitions_there.into_iter().zip(states_there).zip(written..) {
            let parent = self.index.families.parent(position);
            if parent.is_some_and(|parent| changed.contains_key(&parent)) {
                let removed = RemovedStep { definition, state, version: self.plan_version };
                self.removed.insert(removed.definition.step_id.clone(), Arc::new(removed));
            } else {
                let expansion = parent.and_then(|parent| states.get(parent)?.expansion.as_ref());
                made.push((expansion.map_or(u64::MAX, |expansion| expansion.seq), definition, state));
            }
        }
        let given: HashMap<&str, &Arc<Step>> = match definitions {
            Definitions::Given(given) => given.iter().map(|step| (step.step_id.as_str(), step)).collect(),
            _ => HashMap::new(),
        };
        for (position, expansion) in &changes {
            let Some(of) = plan.steps.get(*position) else { continue };
            Arc::make_mut(&mut states[*position]).expansion.clone_from(expansion);
            let Some(expansion) = expansion else { continue };
            for index in 0..expansion.items.len() as u32 {
                let id = instance_id(&of.step_id, index);
                let removed = self.removed.remove(&id).map(Arc::unwrap_or_clone);
                let (was, state) = removed.map(|removed| (removed.definition, removed.state)).unzip();
                let known = match definitions {
                    Definitions::Fresh => None,
                    Definitions::Given(_) => given.get(id.as_str()).map(|step| Arc::clone(step)),
                    Definitions::AsRemoved => was,
                };
                let state = match (definitions, state) {
                    (Definitions::Fresh, Some(state)) => Arc::new(Arc::unwrap_or_clone(state).begun_anew()),
                    (_, state) => state.unwrap_or_else(Steps::untouched),
                };
                let definition = known.unwrap_or_else(|| Arc::new(instance_of(of, index)));
                made.push((expansion.seq, definition, state));
            }
        }
        made.sort_by_key(|(seq, ..)| *seq);
        places.truncate(written);
        for (_, definition, state) in made {
            if places.insert(plan.steps.len(), &definition.step_id) {
                self.step_names.push_back(definition.step_id.as_str().into());
            }
            plan.steps.push(definition);
            states.push(state);
        }
        self.plan = Arc::new(plan);
        self.steps = states.into_iter().collect();
        places.settle();
        self.index.places = shared_places;
        self.reorder();
    }

    /// The expansions that differ in steps that are to stand otherwise.
    pub(super) fn other_expansions(&self, steps: &[(String, StepState)]) -> Vec<(usize, Option<Arc<Expansion>>)> {
        let differs = |(id, then): &(String, StepState)| {
            let position = self.position(id)?;
            let seq = |step: &StepState| step.expansion.as_ref().map(|expansion| expansion.seq);
            (seq(&self.steps[position]) != seq(then)).then(|| (position, then.expansion.clone()))
        };
        steps.iter().filter_map(differs).collect()
    }
}

impl StepState {
    /// The state of a step of the same name that has not run: its attempts are known, and go on being counted.
    fn begun_anew(mut self) -> Self {
        self.clear_verdict();
        Self { attempts: self.attempts, last_attempt: self.last_attempt, reviews: self.reviews, ..Self::default() }
    }
}

/// The instances that are not defined as the steps are that they are instances of: somebody has changed them.
pub(super) fn redefined(state: &RunState) -> Vec<Arc<Step>> {
    let changed = |(position, step): &(usize, &Arc<Step>)| {
        let Some(Generated::Instance { index, .. }) = step.generated.as_deref() else { return false };
        state.parent(*position).is_none_or(|parent| instance_of(&state.plan.steps[parent], *index) != ***step)
    };
    let made = state.plan.steps.iter().enumerate().skip(state.plan.written());
    made.filter(changed).map(|(_, step)| Arc::clone(step)).collect()
}

impl Asker<'_> {
    /// What was found of a `foreach` step is forgotten: it is expanded anew when its turn comes, and everything after it runs again.
    pub(super) fn expand_anew(&self, target: &Target<'_>) -> Vec<Event> {
        let mut events = self.reopened();
        let step = target.id.to_owned();
        events.push(Event::InstancesRemoved { steps: vec![step.clone()] });
        events.push(Event::StepQueued { step });
        events.extend(reset_downstream(self.state, target.position, None));
        events
    }

    /// Of a `foreach` step that still goes on, something has to have come to nothing to be run again.
    pub(super) fn refuse_without_failed_instance(&self, target: &Target<'_>) -> Result<(), Rejection> {
        let nothing = [StepStatus::Failed, StepStatus::Interrupted, StepStatus::Cancelled];
        let counts = self.state.instance_counts(target.position);
        let any = counts.is_some_and(|counts| nothing.iter().any(|status| counts.of(*status) > 0));
        if any || target.step.status != StepStatus::Pending {
            return Ok(());
        }
        Err(refuse(format!("no instance of `{}` has failed", target.id))
            .possible("retry it with everything after it, which expands it anew"))
    }

    /// The instances of a `foreach` step that have come to nothing run again, those that somebody skipped as well when the whole was skipped.
    pub(super) fn retry_instances(&self, target: &Target<'_>) -> Vec<Event> {
        let state = self.state;
        let skipped = target.step.status == StepStatus::Skipped;
        let again = |instance: &usize| state.along(*instance, &self.request.command) == Some(Along::RunsAgain);
        let again = state.instances(target.position).into_iter().flatten().filter(again);
        let mut events = self.reopened();
        events.extend(again.map(|instance| Event::StepQueued { step: self.id(instance).to_owned() }));
        if target.step.status != StepStatus::Pending {
            events.push(Event::StepsReset { steps: vec![target.id.to_owned()] });
        }
        if skipped {
            events.extend(reset_sign_offs(state, target.position));
        }
        events
    }

    /// What is not done of a `foreach` step that is skipped, or that a person has done, is skipped with it; what runs is stopped for that.
    pub(super) fn skip_instances(&self, position: usize) -> Vec<Event> {
        let state = self.state;
        let mut events = Vec::new();
        for instance in state.instances(position).into_iter().flatten() {
            match state.along(instance, &self.request.command) {
                Some(Along::IsStopped) => {
                    events.extend(self.stop(instance, StopReason::Skip, false, Some(self.request.id)));
                }
                Some(_) => events.push(Event::StepSkipped {
                    step: self.id(instance).to_owned(),
                    why: SkipReason::Operator,
                    user: Some(self.request.user.clone()),
                    reason: self.request.reason.clone(),
                }),
                None => {}
            }
        }
        events
    }

    /// A `foreach` step that has come to its end comes to it once more when one of its instances is taken up again.
    pub(super) fn parent_again(&self, position: usize) -> Option<Event> {
        let parent = self.state.parent(position)?;
        let step = &self.state.steps[parent];
        let ended =
            step.status == StepStatus::Failed || (step.status == StepStatus::Completed && step.by_hand.is_none());
        ended.then(|| Event::StepsReset { steps: vec![self.id(parent).to_owned()] })
    }

    /// An instance has its place and its order from its step.
    pub(super) fn refuse_instance(&self, position: usize, rule: &str, possible: &str) -> Result<(), Rejection> {
        match self.state.parent(position) {
            Some(parent) => {
                let (id, parent) = (self.id(position), self.id(parent));
                Err(refuse(format!("`{id}` is an instance of `{parent}`, {rule}"))
                    .possible(possible.replace("{parent}", parent)))
            }
            None => Ok(()),
        }
    }
}
