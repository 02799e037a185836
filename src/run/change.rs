//! Changes of the plan while it runs: folding them, and the rules they must keep.
//!
//! Whatever changes the plan (a modification, an undo, an older version, a restore) is a list of [`Edit`]s, made in one place, checked by the same
//! rules and folded by the same function.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::plan::order::{Order, OrderError, stages};
use crate::plan::{
    Diagnostic, Edit, FieldChange, Generated, Plan, Step, check_step, difference, field_changes, moved,
    number_in_words, patched,
};

use super::instances::Definitions;
use super::intervene::{Asker, Decision, refuse};
use super::lines::{Difference, are_long, difference as difference_of_lines};
use super::{
    ChangeCause, Command, Event, Fork, InterventionStatus, Place, PlanChange, PlanVersion, Rejection, RejectionCode,
    RemovedStep, Request, RunState, RunStatus, StepState, StepStatus, Steps,
};

impl RunState {
    /// Folds a change of the plan. Total: an edit that does not fit changes nothing. Cost: the plan's size, unless only definitions change
    /// that say nothing about the order.
    pub(super) fn change_plan(&mut self, change: &PlanChange, time: DateTime<Utc>) {
        if change.edits.iter().all(|edit| self.keeps_order(edit)) {
            for edit in &change.edits {
                if let Edit::Replace { step } = edit
                    && let Some(position) = self.position(&step.step_id)
                {
                    let before = self.leave(position);
                    let old = std::mem::replace(&mut Arc::make_mut(&mut self.plan).steps[position], Arc::clone(step));
                    let mut state = self.steps.shared(position).map_or_else(Steps::untouched, Arc::clone);
                    renew(&mut state, &old, step);
                    self.steps.set(position, state);
                    self.leave_lost_hold(position, time);
                    self.enter(position, before);
                }
            }
        } else {
            self.restructure(change, time);
        }
        self.plan_version = self.plan_version.max(change.version);
        self.versions.push_back(Arc::new(PlanVersion { time, change: change.clone() }));
    }

    fn keeps_order(&self, edit: &Edit) -> bool {
        let Edit::Replace { step } = edit else { return false };
        self.step(&step.step_id).is_none_or(|(before, _)| {
            before.depends_on == step.depends_on && before.parallel_group == step.parallel_group
        })
    }

    fn restructure(&mut self, change: &PlanChange, time: DateTime<Utc>) {
        // A step that goes takes its instances with it.
        let gone = change.edits.iter().filter_map(|edit| match edit {
            Edit::Remove { step_id } => {
                let position = self.position(step_id)?;
                self.steps[position].expansion.is_some().then_some((position, None))
            }
            _ => None,
        });
        self.expand(gone.collect(), &Definitions::Fresh);
        self.name_steps();
        let mut shared_places = std::mem::take(&mut self.index.places);
        let places = Arc::make_mut(&mut shared_places);
        let mut states = self.steps.to_vec();
        for edit in &change.edits {
            let place = match edit {
                Edit::Add { position, step } => self.plan.place_for(step, *position),
                _ => 0,
            };
            let Ok(inverse) = Arc::make_mut(&mut self.plan).edit(edit) else { continue };
            match (edit, inverse) {
                (Edit::Add { step, .. }, _) => {
                    let given = change.states.iter().find(|(id, _)| *id == step.step_id);
                    states.insert(
                        place,
                        given.map(|(_, state)| Arc::new(state.clone())).unwrap_or_else(Steps::untouched),
                    );
                    self.removed.remove(&step.step_id);
                    if places.insert(place, &step.step_id) {
                        self.step_names.push_back(step.step_id.as_str().into());
                    }
                }
                (Edit::Remove { step_id }, Edit::Add { position, step }) => {
                    let state = states.remove(position);
                    let removed = RemovedStep { definition: step, state, version: change.version };
                    self.removed.insert(step_id.clone(), Arc::new(removed));
                    places.remove(position);
                }
                (Edit::Reorder { position, steps }, _) => {
                    let stretch = *position..position + steps.len();
                    let before = stretch.clone().map(|place| (places.number_at(place), Arc::clone(&states[place])));
                    let mut before: HashMap<Option<u32>, Arc<StepState>> = before.collect();
                    places.reorder(*position, steps);
                    for place in stretch {
                        states[place] = before.remove(&places.number_at(place)).unwrap_or_else(Steps::untouched);
                    }
                }
                (Edit::Replace { step }, Edit::Replace { step: old }) => {
                    if let Some(position) = self.plan.position(&step.step_id) {
                        renew(&mut states[position], &old, step);
                    }
                }
                _ => {}
            }
        }
        places.settle();
        self.steps = states.into_iter().collect();
        self.index.places = shared_places;
        self.reorder();
        let held: Vec<usize> = self.index.held.iter().copied().collect();
        for position in held {
            let before = self.leave(position);
            self.leave_lost_hold(position, time);
            self.enter(position, before);
        }
    }

    /// From now on a step's number is not its place any more.
    pub(super) fn name_steps(&mut self) {
        if self.step_names.is_empty() {
            self.step_names = self.plan.steps.iter().map(|step| Arc::from(step.step_id.as_str())).collect();
        }
    }

    /// A step at a hold point that the plan no longer has waits for nobody.
    fn leave_lost_hold(&mut self, position: usize, time: DateTime<Utc>) {
        if self.steps[position].status == StepStatus::Held && !self.is_hold_point(position) {
            let step = self.steps.change(position);
            step.status = StepStatus::Pending;
            step.since = Some(time);
        }
    }
}

/// A hold point or a condition that was changed is another one: what was signed or found of the old one does not hold for it.
fn renew(state: &mut Arc<StepState>, old: &Step, new: &Step) {
    if old.hold != new.hold {
        Arc::make_mut(state).hold = None;
    }
    if old.when != new.when {
        Arc::make_mut(state).condition_met = false;
    }
}

impl Asker<'_> {
    pub(super) fn modify(&self, id: &str, patch: &Value) -> Decision {
        let target = self.target(id)?;
        if !patch.is_object() {
            return Err(invalid("a merge patch is a JSON object")
                .possible("for example {\"timeout_seconds\": 60}; a field is removed by null"));
        }
        let after = patched(target.definition, patch);
        if after["step_id"] != *id {
            return Err(invalid("the `step_id` of a step cannot change").possible("add a step, and remove this one"));
        }
        let step = self.checked(&after, false)?;
        if step == *target.definition.as_ref() {
            return Err(refuse(format!("that changes nothing about `{id}`")).possible("give a field another value"));
        }
        self.change(ChangeCause::Modify, vec![Edit::Replace { step: Arc::new(step) }])
    }

    pub(super) fn add(&self, step: &Value, place: &Place, rewire: bool) -> Decision {
        let state = self.state;
        let plan = &state.plan;
        let mut step = self.checked(step, true)?;
        let id = step.step_id.clone();
        if state.position(&id).is_some() {
            return Err(invalid(format!("the plan has a step `{id}` already")).possible("choose another `step_id`"));
        }
        let is_graph = state.order().is_graph();
        if step.depends_on.is_some() && !is_graph {
            return Err(invalid(
                "this plan is a list, in which no step has `depends_on`: its order is the order of its steps",
            )
            .possible("put it after, or before, a step"));
        }
        if rewire && !is_graph {
            return Err(invalid("only in a plan with `depends_on` can what follows be made to depend on the new step")
                .possible("in a list it does so by itself"));
        }
        let (neighbour, after) = match place {
            Place::After(neighbour) => (Some(self.target_of(neighbour)?), true),
            Place::Before(neighbour) => (Some(self.target_of(neighbour)?), false),
            Place::End => (None, true),
        };
        if let Some(neighbour) = neighbour {
            self.refuse_instance(
                neighbour,
                "and what stands beside it is an instance too",
                "put it beside `{parent}`",
            )?;
        }
        let mut position = neighbour.map_or(plan.written(), |place| place + usize::from(after));
        let mut edits = Vec::new();
        if let Some(neighbour) = neighbour {
            if is_graph {
                edits = wired(plan, &mut step, neighbour, after, rewire);
            } else if step.parallel_group.is_none() || step.parallel_group != plan.steps[neighbour].parallel_group {
                // After a step that runs beside others is after all of them: put between them it would tear their stage apart.
                let stage = stages(&plan.steps[..plan.written()]).into_iter().find(|stage| stage.contains(&neighbour));
                position = stage.map_or(position, |stage| if after { stage.end } else { stage.start });
            }
        }
        edits.insert(0, Edit::Add { position, step: Arc::new(step) });
        self.change(ChangeCause::Add, edits)
    }

    pub(super) fn remove(&self, id: &str) -> Decision {
        let target = self.target(id)?;
        let plan = &self.state.plan;
        self.refuse_instance(target.position, "which has one for each of its items", "skip it")?;
        if plan.written() == 1 {
            return Err(refuse(format!("`{id}` is the plan's only step")).possible("skip it, or cancel the run"));
        }
        let mut edits = Vec::new();
        if self.state.order().is_graph() {
            let inherited: &[String] = target.definition.depends_on.as_deref().unwrap_or_default();
            for step in plan.steps.iter().filter(|step| step.depends_on.iter().flatten().any(|name| name == id)) {
                let mut step = step.as_ref().clone();
                let mut names: Vec<String> = step.depends_on.take().unwrap_or_default();
                names.retain(|name| name != id);
                for name in inherited {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                step.depends_on = Some(names);
                edits.push(Edit::Replace { step: Arc::new(step) });
            }
            edits.extend(still_a_graph(plan, id, &edits));
        }
        edits.push(Edit::Remove { step_id: id.to_owned() });
        self.change(ChangeCause::Remove, edits)
    }

    pub(super) fn reorder(&self, ids: &[String]) -> Decision {
        let plan = &self.state.plan;
        let mut places = Vec::with_capacity(ids.len());
        let mut seen = HashSet::new();
        for id in ids {
            if !seen.insert(id) {
                return Err(invalid(format!("`{id}` is named twice")).possible("name each step once"));
            }
            let place = self.target_of(id)?;
            self.refuse_instance(place, "which has them in the order of its items", "move `{parent}`")?;
            places.push(place);
        }
        if places.len() < 2 {
            return Err(
                invalid("an order needs at least two steps").possible("name the steps in the order they are to have")
            );
        }
        places.sort_unstable();
        let before: Vec<&str> = plan.steps[..plan.written()].iter().map(|step| step.step_id.as_str()).collect();
        let mut after = before.clone();
        for (place, id) in places.iter().zip(ids) {
            after[*place] = id;
        }
        let Some((position, steps)) = moved(&before, &after) else {
            return Err(refuse("the steps are in this order already").possible("name them in another order"));
        };
        self.keeps_dependencies(position, steps)?;
        let steps = steps.iter().map(|id| (*id).to_owned()).collect();
        self.change(ChangeCause::Reorder, vec![Edit::Reorder { position, steps }])
    }

    pub(super) fn use_version(&self, version: u64) -> Decision {
        let state = self.state;
        let Some(plan) = state.whole_plan_at(version) else {
            return Err(Rejection::new(RejectionCode::NotFound, format!("the plan has no version {version}"))
                .possible(format!("it has the versions 1 to {}", state.plan_version)));
        };
        // The steps of a rollback come and go by themselves.
        let plan = Plan { steps: plan.steps[..plan.own_steps()].to_vec(), ..plan };
        let edits = difference(&state.own_plan(), &plan);
        if edits.is_empty() {
            return Err(
                refuse(format!("the plan is as it was in version {version}")).possible("choose another version")
            );
        }
        self.change(ChangeCause::UseVersion { version }, edits)
    }

    /// Makes a change of the plan, if the whole plan that it gives keeps the rules and nothing of it was overtaken by what ran.
    pub(super) fn change(&self, cause: ChangeCause, edits: Vec<Edit>) -> Decision {
        self.refuse_while_cancelling()?;
        self.refuse_while_rolling_back("its plan is not changed now")?;
        let state = self.state;
        // Taking the last open step out completes a run at once; that must not be the end of undoing it.
        let takes_back = matches!(cause, ChangeCause::Undo { .. } | ChangeCause::UseVersion { .. });
        if state.status == RunStatus::Completed && !takes_back {
            return Err(self.refuse_run("the plan of a completed run is not changed"));
        }
        for edit in &edits {
            self.untouched(edit)?;
        }
        let (plan, change) = self.changed(cause, edits)?;
        self.keeps_rules(&plan, &change)?;
        let mut events = self.reopened();
        events.push(Event::PlanChanged(Box::new(change)));
        Ok((InterventionStatus::Applied, events))
    }

    /// The plan with a change, and what is recorded of it. Whether it is allowed is not asked.
    pub(super) fn changed(&self, cause: ChangeCause, edits: Vec<Edit>) -> Result<(Plan, PlanChange), Rejection> {
        let mut plan = self.state.plan.as_ref().clone();
        let inverse = plan.edit_all(&edits).map_err(|error| overtaken(&error))?;
        let states = self.states_of_added(&edits, cause);
        // Whoever changes the plan of a run that has ended opens it again, and that takes the steps of a rollback out.
        let reopens = self.state.status.is_ended() && !matches!(cause, ChangeCause::Restore { .. });
        let taken_out = reopens && self.state.rollback.is_some();
        let change = PlanChange {
            version: self.state.plan_version + 1 + u64::from(taken_out),
            cause,
            user: self.request.user.clone(),
            reason: self.request.reason.clone(),
            edits,
            inverse,
            states,
        };
        Ok((plan, change))
    }

    /// What ran, or runs, is not changed behind its back.
    fn untouched(&self, edit: &Edit) -> Result<(), Rejection> {
        let state = self.state;
        let found = |id: &str| state.position(id).map(|position| &state.steps[position]);
        match edit {
            Edit::Add { .. } => Ok(()),
            Edit::Replace { step } => {
                let id = &step.step_id;
                // What it waits for says nothing about work that is done: only a dependency that was removed from under it.
                match found(id) {
                    Some(there) if is_settled(there) => {
                        let inherits = state.step(id).is_some_and(|(before, _)| {
                            Step { depends_on: step.depends_on.clone(), ..before.as_ref().clone() } == *step.as_ref()
                        });
                        if inherits { Ok(()) } else { Err(too_late(id, "changed", there)) }
                    }
                    _ => Ok(()),
                }
            }
            Edit::Remove { step_id } => match found(step_id) {
                Some(there) if is_settled(there) => Err(too_late(step_id, "removed", there)),
                _ => Ok(()),
            },
            Edit::Reorder { position, steps } => {
                let old: Vec<&str> =
                    state.plan.steps.iter().skip(*position).map(|step| step.step_id.as_str()).collect();
                for (place, id) in steps.iter().enumerate() {
                    let started = found(id).filter(|step| match step.status {
                        _ if step.expansion.is_some() => true,
                        StepStatus::Pending | StepStatus::Held => false,
                        StepStatus::Skipped => !step.attempts.is_empty(),
                        _ => true,
                    });
                    // A step that keeps its place is not moved, whatever moves around it.
                    if let Some(step) = started
                        && old.get(place) != Some(&id.as_str())
                    {
                        return Err(too_late(id, "moved", step));
                    }
                }
                Ok(())
            }
        }
    }

    fn keeps_rules(&self, plan: &Plan, change: &PlanChange) -> Result<(), Rejection> {
        let state = self.state;
        let shape_changed = change.edits.iter().any(|edit| !state.keeps_order(edit));
        if !shape_changed {
            return Ok(());
        }
        if plan.steps.is_empty() {
            return Err(invalid("a plan needs at least one step"));
        }
        let places = self.places_before(plan);
        let order = Order::with_places(plan, self.places_in(plan, &places)).map_err(|error| {
            let possible = match &error {
                OrderError::UnknownDependency { .. } => "name a step of the plan",
                OrderError::Cycle(_) => "leave one of these dependencies out",
                OrderError::DuplicateStep(_) => "choose another `step_id`",
            };
            invalid(error.to_string()).possible(possible)
        })?;
        if order.is_graph() != state.order().is_graph() && plan.steps.len() > 1 {
            let (now, then) = if order.is_graph() { ("a list", "a graph") } else { ("a graph", "a list") };
            return Err(invalid(format!(
                "that would make {then} of the plan, which is {now}: every step would get another place in the order"
            ))
            .possible("keep `depends_on` as the other steps have it"));
        }
        self.nothing_before_what_ran(plan, &places, &order, &change.states)
    }

    /// In a graph the order of the list says which of several ready steps goes first; it must not contradict the dependencies.
    /// Only steps of the stretch that gets another order can come to stand before each other.
    fn keeps_dependencies(&self, position: usize, stretch: &[&str]) -> Result<(), Rejection> {
        let places: HashMap<&str, usize> = stretch.iter().zip(position..).map(|(id, place)| (*id, place)).collect();
        let place = |id: &str| places.get(id).copied();
        for (before, step) in self.state.plan.steps.iter().enumerate().skip(position).take(stretch.len()) {
            for dependency in step.depends_on.iter().flatten() {
                let in_order = self.state.position(dependency) < Some(before);
                if in_order && place(dependency) > place(&step.step_id) {
                    let id = &step.step_id;
                    return Err(refuse(format!("`{id}` depends on `{dependency}` and cannot stand before it"))
                        .possible(format!("move both, or change `depends_on` of `{id}`")));
                }
            }
        }
        Ok(())
    }

    /// A step that runs or has run cannot be made to wait for one that has not.
    fn nothing_before_what_ran(
        &self,
        plan: &Plan,
        places: &[Option<usize>],
        order: &Order,
        states: &[(String, StepState)],
    ) -> Result<(), Rejection> {
        let state = self.state;
        let found = |position: usize| {
            let id = &plan.steps[position].step_id;
            let added = || states.iter().find(|(added, _)| added == id).map(|(_, state)| state);
            places[position].map(|place| &state.steps[place]).or_else(added)
        };
        let open = |position: usize| !found(position).is_some_and(|step| step.lets_pass(&plan.steps[position], order));
        let mut waits = vec![false; order.node_count()];
        for position in 0..plan.steps.len() {
            if open(position) {
                order.successors(position).for_each(|next| {
                    waits[next] = true;
                    if order.is_barrier(next) {
                        order.successors(next).for_each(|next| waits[next] = true);
                    }
                });
            }
        }
        for (position, step) in plan.steps.iter().enumerate().filter(|(position, _)| waits[*position]) {
            let Some(before) = places[position] else { continue };
            let there = &state.steps[before];
            let ran = there.status.is_live() || (there.status == StepStatus::Completed && !there.attempts.is_empty());
            if !ran {
                continue;
            }
            let waited: HashSet<&str> =
                state.unmet(before).into_iter().map(|place| state.plan.steps[place].step_id.as_str()).collect();
            let new = order
                .waits_for(position)
                .into_iter()
                .find(|place| open(*place) && !waited.contains(plan.steps[*place].step_id.as_str()));
            if let Some(new) = new {
                let (id, word) = (&step.step_id, there.status.word());
                return Err(refuse(format!("`{}` would lie before `{id}`, which is {word}", plan.steps[new].step_id))
                    .possible(format!("put it after `{id}`, or where everything that follows has not started")));
            }
        }
        Ok(())
    }

    /// Where the steps of a changed plan stand in the plan as it is. Most follow each other as before, so few are looked up by name.
    pub(super) fn places_before(&self, plan: &Plan) -> Vec<Option<usize>> {
        let state = self.state;
        let mut next = 0;
        let place_of = |step: &Arc<Step>| {
            let follows = state.plan.steps.get(next).is_some_and(|old| old.step_id == step.step_id);
            let place = if follows { Some(next) } else { state.position(&step.step_id) };
            next = place.map_or(next, |place| place + 1);
            place
        };
        plan.steps.iter().map(place_of).collect()
    }

    /// Says where a step stands in a changed plan; edits keep ids apart. `before` is what [`Self::places_before`] says of that plan.
    fn places_in<'a>(&'a self, plan: &'a Plan, before: &[Option<usize>]) -> impl Fn(&str) -> Option<usize> + 'a {
        let mut now = vec![None; self.state.plan.steps.len()];
        let mut added = HashMap::new();
        for (place, before) in before.iter().enumerate() {
            match before {
                Some(before) => now[*before] = Some(place),
                None => drop(added.insert(plan.steps[place].step_id.as_str(), place)),
            }
        }
        move |id| self.state.position(id).map_or_else(|| added.get(id).copied(), |before| now[before])
    }

    /// The states of steps that are put in: a new one under an old name goes on counting its attempts; one that comes back is as it was.
    fn states_of_added(&self, edits: &[Edit], cause: ChangeCause) -> Vec<(String, StepState)> {
        let state_of = |edit: &Edit| {
            let Edit::Add { step, .. } = edit else { return None };
            let removed = self.state.removed.get(&step.step_id)?;
            // A `foreach` step had its result from its instances, which do not come back with it.
            let state = if cause == ChangeCause::Add || step.foreach.is_some() {
                StepState { last_attempt: removed.state.last_attempt, ..StepState::default() }
            } else {
                // The run was let past its failure when it was removed.
                StepState { unanswered: false, ..removed.state.as_ref().clone() }
            };
            (state != StepState::default()).then(|| (step.step_id.clone(), state))
        };
        edits.iter().filter_map(state_of).collect()
    }

    fn target_of(&self, id: &str) -> Result<usize, Rejection> {
        let position = self.state.position(id).ok_or_else(|| no_step(self.state, id))?;
        self.refuse_other_turn(position).map(|()| position)
    }

    /// A step from outside, checked as a step of this plan.
    fn checked(&self, value: &Value, defaults: bool) -> Result<Step, Rejection> {
        let text = serde_json::to_string(value).unwrap_or_default();
        check_step(&self.state.plan, &text, defaults, self.state.options.simulate).map_err(|found| {
            let told: Vec<String> = found.iter().take(5).map(told).collect();
            invalid(format!("the step is not right: {}", told.join("; ")))
        })
    }
}

/// Whether a step's definition belongs to what it does or did.
fn is_settled(step: &StepState) -> bool {
    step.status.is_live() || step.status == StepStatus::Completed || step.expansion.is_some()
}

fn too_late(id: &str, what: &str, step: &StepState) -> Rejection {
    let status = step.status;
    let word = status.word();
    if step.expansion.is_some() && status != StepStatus::Completed {
        let possible = match what {
            "changed" => "change its instances, or retry it with everything after it first, while the run is paused",
            "moved" => "only steps that have not started are moved",
            _ => "skip it, or restore a checkpoint from before it was expanded",
        };
        return refuse(format!("`{id}` has its instances already; it can no longer be {what}")).possible(possible);
    }
    let possible = match status {
        _ if what == "moved" => "only steps that have not started are moved",
        StepStatus::Running | StepStatus::Stopping => "wait until it has ended, or skip it",
        StepStatus::Completed if what == "changed" => {
            "retry it with everything after it first, while the run is paused"
        }
        _ => "restore a checkpoint from before it ran",
    };
    refuse(format!("`{id}` is {word}; it can no longer be {what}")).possible(possible)
}

/// Whether a step may still be changed or removed, as far as states say: the part of the rule that costs nothing, for a screen that asks at
/// every frame.
///
/// # Errors
/// The refusal that the command would get.
pub fn still_open(state: &RunState, id: &str, removed: bool) -> Result<(), Rejection> {
    let request = Request::new(uuid::Uuid::nil(), Command::Undo { version: None }, "");
    let asker = Asker { state, request: &request };
    asker.refuse_while_cancelling()?;
    asker.refuse_while_rolling_back("its plan is not changed now")?;
    if state.status == RunStatus::Completed {
        return Err(asker.refuse_run("the plan of a completed run is not changed"));
    }
    let position = asker.target_of(id)?;
    if removed {
        asker.refuse_instance(position, "which has one for each of its items", "skip it")?;
    }
    let step = &state.steps[position];
    if is_settled(step) {
        return Err(too_late(id, if removed { "removed" } else { "changed" }, step));
    }
    Ok(())
}

/// Makes a new step of a graph depend on what it is put after, or what follows depend on it.
fn wired(plan: &Plan, step: &mut Step, neighbour: usize, after: bool, rewire: bool) -> Vec<Edit> {
    let beside = &plan.steps[neighbour];
    let given = step.depends_on.is_some();
    if !given {
        step.depends_on =
            Some(if after { vec![beside.step_id.clone()] } else { beside.depends_on.clone().unwrap_or_default() });
    }
    if !after {
        let mut beside = beside.as_ref().clone();
        let kept = if given { beside.depends_on.take().unwrap_or_default() } else { Vec::new() };
        beside.depends_on = Some(kept.into_iter().chain([step.step_id.clone()]).collect());
        return vec![Edit::Replace { step: Arc::new(beside) }];
    }
    if !rewire {
        return Vec::new();
    }
    let follows = plan.steps.iter().filter(|step| step.depends_on.iter().flatten().any(|name| *name == beside.step_id));
    follows
        .map(|next| {
            let mut next = next.as_ref().clone();
            for name in next.depends_on.iter_mut().flatten().filter(|name| **name == beside.step_id) {
                name.clone_from(&step.step_id);
            }
            Edit::Replace { step: Arc::new(next) }
        })
        .collect()
}

/// A graph without its last `depends_on` would become a list: then one step says plainly that it depends on nothing.
fn still_a_graph(plan: &Plan, removed: &str, edits: &[Edit]) -> Option<Edit> {
    let stays = plan.steps.iter().any(|step| step.step_id != removed && step.depends_on.is_some());
    if stays || !edits.is_empty() {
        return None;
    }
    let first = plan.steps.iter().find(|step| step.step_id != removed)?;
    Some(Edit::Replace { step: Arc::new(Step { depends_on: Some(Vec::new()), ..first.as_ref().clone() }) })
}

/// What edits change, a line each; what undoes them says what was there before. Of long texts only how many lines differ.
pub(super) fn in_words(edits: &[Edit], inverse: &[Edit]) -> Vec<String> {
    told_edits(edits, inverse).map(|(line, _)| line).collect()
}

/// The same, and under each edit the lines of long texts that it removes and adds.
pub(super) fn in_full(edits: &[Edit], inverse: &[Edit]) -> Vec<String> {
    told_edits(edits, inverse).flat_map(|(line, texts)| std::iter::once(line).chain(texts)).collect()
}

fn told_edits<'a>(edits: &'a [Edit], inverse: &'a [Edit]) -> impl Iterator<Item = (String, Vec<String>)> + 'a {
    let before = move |id: &str| {
        inverse.iter().find_map(|edit| match edit {
            Edit::Replace { step } if step.step_id == id => Some(step),
            _ => None,
        })
    };
    edits.iter().map(move |edit| match edit {
        Edit::Replace { step } => {
            let changes = before(&step.step_id).map(|before| field_changes(before, step)).unwrap_or_default();
            let told: Vec<(String, Vec<String>)> = changes.iter().map(told_field).collect();
            let names: Vec<&str> = told.iter().map(|(line, _)| line.as_str()).collect();
            let line = format!("~ {}: {}", step.step_id, names.join(", "));
            let several = told.iter().filter(|(_, lines)| !lines.is_empty()).count() > 1;
            let texts = told.iter().zip(&changes).filter(|((_, lines), _)| !lines.is_empty());
            let texts = texts.flat_map(|((_, lines), change)| {
                let heading = several.then(|| format!("  {}:", change.field));
                heading.into_iter().chain(lines.iter().map(|line| format!("  {line}")))
            });
            (line, texts.collect())
        }
        _ => (edit.in_words(), Vec::new()),
    })
}

/// A field that has changed, in a line; of a long text, the lines that differ.
fn told_field(change: &FieldChange) -> (String, Vec<String>) {
    let text = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    if let (Some(before), Some(after)) = (text(&change.before), text(&change.after))
        && are_long(&before, &after)
    {
        let Difference { summary, lines } = difference_of_lines(&before, &after);
        return (format!("{}: {summary}", change.field), lines);
    }
    let word = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::Number(number) => number_in_words(number),
        // A text is in quotes: one that says `none` is not taken for nothing.
        other => other.to_string(),
    };
    (format!("{} {} → {}", change.field, word(&change.before), word(&change.after)), Vec::new())
}

/// Where a new run begins that is forked from a checkpoint of another: `then` is the other's state there, `now` its state today.
pub fn fork_at(then: &RunState, now: &RunState) -> Fork {
    let none = StepState::default();
    let own = then.plan.own_steps();
    let steps =
        then.plan.steps[..own].iter().zip(&then.steps).enumerate().filter_map(|(position, (definition, step))| {
            let id = &definition.step_id;
            let today = now
                .step(id)
                .map(|(_, step)| step)
                .or_else(|| now.removed.get(id).map(|removed| removed.state.as_ref()));
            let mut step = super::intervene::restored(step, today.unwrap_or(&none));
            // In the middle of a rollback it still counted as completed.
            if then.is_undone(position) && step.status == StepStatus::Completed {
                step.undo();
            }
            (step != none).then(|| (id.clone(), step))
        });
    let lineage = std::iter::once((then.run_id, then.created_at)).chain(then.lineage.iter().copied()).collect();
    Fork { parent: then.run_id, checkpoint: then.seq, steps: steps.collect(), lineage, reason: None }
}

pub(super) fn no_step(state: &RunState, id: &str) -> Rejection {
    let possible = match state.removed.get(id) {
        Some(removed) => Some(match removed.definition.generated.as_deref() {
            Some(Generated::Instance { of, .. }) => {
                format!("it was an instance of `{of}`, which has been expanded anew since")
            }
            _ => format!("it was removed in version {}", removed.version),
        }),
        None => crate::plan::suggest(id, state.plan.steps.iter().map(|step| step.step_id.as_str()))
            .map(|near| format!("did you mean `{near}`?")),
    };
    let rejection = Rejection::new(RejectionCode::NotFound, format!("the plan has no step `{id}`"));
    match possible {
        Some(possible) => rejection.possible(possible),
        None => rejection,
    }
}

fn told(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{} ({help})", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

fn invalid(message: impl Into<String>) -> Rejection {
    Rejection::new(RejectionCode::Invalid, message)
}

pub(super) fn overtaken(error: &crate::plan::EditError) -> Rejection {
    refuse(format!("the plan has changed too much for that: {error}")).possible("look at the list of versions")
}
