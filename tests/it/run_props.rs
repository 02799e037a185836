//! Random plans driven by random inputs and crashes: what must hold for every run, whatever happens to it.
//!
//! The rules are written down a second time in `run_rules`, straight from the contract, so that a mistake has to be made twice to go unseen.
//! `PROPTEST_CASES` makes more cases, `PROPTEST_RNG_SEED` other ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::TimeDelta;
use holdpoint::plan::{FailurePolicy, Plan};
use holdpoint::run::{
    self, Attempt, ChangeCause, Command, Event, Input, Intervention, InterventionStatus, Metrics, Outcome,
    OutcomeStatus, PauseReason, Place, Recorded, Request, RunState, RunStatus, STEP_STATUSES, StepState, StepStatus,
    StopReason, Touched,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::json;

use crate::run_random::{Ask, Op, Pick, PlanShape, built, op, plan_shape};
use crate::run_rules::{Rules, legal_run, legal_step, same, unreachable};
use crate::run_support::{Driver, fold, options, reloaded};

/// A run that random inputs happen to.
pub struct Case {
    pub driver: Driver,
    first: Arc<Plan>,
}

impl Case {
    pub fn new(shape: &PlanShape) -> Self {
        let plan = built(shape);
        let durations = shape.durations.as_ref().map(|millis| json!({"millis": millis, "usual": 3}));
        let durations = durations.map(|durations| serde_json::from_value(durations).expect("durations"));
        let driver = Driver::knowing(Arc::clone(&plan), options(shape.on_failure, shape.max_parallel), durations);
        Self { driver, first: plan }
    }

    fn step_id(&self, n: u8) -> String {
        let plan = &self.driver.state.plan;
        match plan.steps.get(usize::from(n) % (plan.steps.len() + 1)) {
            Some(step) => step.step_id.clone(),
            None => format!("n{}", n % 4),
        }
    }

    fn pick(&self, pick: Pick) -> String {
        let state = &self.driver.state;
        let among = match pick.0 % 4 {
            0 => state.needs_person(),
            1 => (0..state.steps.len()).filter(|place| state.steps[*place].status.is_satisfied()).collect(),
            _ => Vec::new(),
        };
        match among.len() {
            0 => self.step_id(pick.0 / 4),
            len => state.plan.steps[among[usize::from(pick.0 / 4) % len]].step_id.clone(),
        }
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Ask { ask, user, command_id, seen } => self.ask(ask, *user, *command_id, *seen),
            Op::End { which, status } => {
                let live: Vec<usize> = self.driver.state.live().collect();
                if live.is_empty() {
                    return;
                }
                let place = live[usize::from(*which) % live.len()];
                let attempt = self.driver.state.steps[place].last_attempt;
                let step = self.driver.state.plan.steps[place].step_id.clone();
                self.ended(step, attempt, *status);
            }
            Op::Stray { step, attempt, status } => self.ended(self.step_id(*step), u32::from(*attempt), *status),
            Op::Asks { which, again } => {
                let state = &self.driver.state;
                let live: Vec<usize> = state.live().collect();
                if live.is_empty() {
                    return;
                }
                let place = live[usize::from(*which) % live.len()];
                let found = &state.steps[place];
                let asked = found.attempt().map_or(0, |attempt| attempt.questions.len() as u32);
                let number = if *again { asked.max(1) } else { asked + 1 };
                let open = found.question().is_some() || found.status != StepStatus::Running;
                let (step, attempt) = (state.plan.steps[place].step_id.clone(), found.last_attempt);
                let fields = state.plan.agents["person"].clone();
                let holdpoint::plan::AgentSpec::Manual(spec) = fields else { panic!("a person") };
                let question = run::Question { title: "well?".into(), fields: spec.fields, ..Default::default() };
                self.input(&Input::Asked { step: step.clone(), attempt, number, question: Arc::new(question) });
                let (_, now) = self.driver.state.step(&step).expect("it is there");
                let newly = now.attempt().map_or(0, |attempt| attempt.questions.len() as u32) > asked;
                assert_eq!(newly, !open && number == asked + 1, "one question at a time, and none twice");
            }
            Op::TimeOut { step, attempts_ago } => {
                let step = self.step_id(*step);
                let newest = self.driver.state.step(&step).map_or(1, |(_, step)| step.last_attempt);
                let attempt = newest.saturating_sub(u32::from(*attempts_ago));
                self.input(&Input::TimedOut { step, attempt });
            }
            Op::Wait { seconds } => {
                self.driver.now += TimeDelta::milliseconds(i64::from(*seconds) * 700);
                self.input(&Input::Wake);
            }
            Op::Restore { pick, exists } => {
                let marks = &self.driver.state.checkpoints;
                let seq = match marks.len() {
                    0 => 1,
                    len => marks[usize::from(*pick) % len].seq + u64::from(!exists),
                };
                let target = Arc::new(self.driver.at(seq));
                let request = self.driver.request(Command::Restore { checkpoint: seq }, "bob");
                let known = marks_have(&self.driver.state, seq);
                let before = self.driver.state.clone();
                let accepted = self.input(&Input::Restore { request, target: Arc::clone(&target) });
                assert!(known || !accepted, "went back to a place that is no checkpoint");
                if accepted {
                    self.went_back(&before, &target);
                }
            }
            Op::Crash { lost, go_on, from_file } => {
                let before = self.driver.clone();
                let keep = before.batches.len().saturating_sub(usize::from(*lost)).max(1);
                self.driver.batches.truncate(keep);
                self.driver.journal.truncate(self.driver.batches[keep - 1]);
                self.driver.state = fold(&self.driver.journal);
                if *from_file {
                    self.driver.state = reloaded(&self.driver.state);
                }
                let found = self.driver.state.clone();
                self.input(&Input::Opened { version: "test".into(), pid: 2, go_on: *go_on });
                self.recovered(&found, *go_on);
            }
        }
    }

    fn ended(&mut self, step: String, attempt: u32, status: OutcomeStatus) {
        // Good, middling, bad, or nothing said.
        let score = [Some(0.9), Some(0.7), Some(0.1), None][(self.driver.journal.len() + step.len()) % 4];
        let result = score.map(|score| Box::new(run::AgentResult { quality_score: Some(score), ..Default::default() }));
        let outcome = Arc::new(Outcome { status, result, ..Outcome::default() });
        let before = self.driver.state.clone();
        let newest = before.step(&step).is_some_and(|(_, step)| step.status.is_live() && step.last_attempt == attempt);
        let events = self.driver.journal.len();
        self.input(&Input::AttemptEnded { step, attempt, outcome });
        if !newest {
            let started = self.driver.journal[events..].iter().all(|one| follows_time(&one.event));
            assert!(started, "an outcome of an older attempt had an effect");
        }
    }

    fn ask(&mut self, ask: &Ask, user: u8, command_id: Option<u8>, seen: Option<StepStatus>) {
        let command = match ask {
            Ask::Start => Command::Start,
            Ask::Pause => Command::Pause,
            Ask::Resume => Command::Resume,
            Ask::Cancel => Command::Cancel,
            Ask::Rollback => Command::Rollback,
            Ask::Interrupt => Command::Interrupt,
            Ask::Retry(pick, downstream) => Command::Retry { step: self.pick(*pick), downstream: *downstream },
            Ask::Skip(pick) => Command::Skip { step: self.pick(*pick) },
            Ask::Complete(pick, result) => {
                Command::Complete { step: self.pick(*pick), result: result.then(|| json!({"by": "hand"})) }
            }
            Ask::Hold(pick) => Command::Hold { step: self.pick(*pick) },
            Ask::Unhold(pick) => Command::Unhold { step: self.pick(*pick) },
            Ask::Release(pick) => Command::Release { step: self.pick(*pick) },
            Ask::Approve(pick) => Command::Approve { step: self.pick(*pick) },
            Ask::Reject(pick) => Command::Reject { step: self.pick(*pick) },
            Ask::Escalate(pick) => Command::Escalate { step: self.pick(*pick) },
            Ask::Answer { pick, declined, stale } => {
                let asking: Vec<usize> = self.driver.state.asking().collect();
                let place = asking.get(usize::from(pick.0) % asking.len().max(1)).copied();
                let step = match place {
                    Some(place) => self.driver.state.plan.steps[place].step_id.clone(),
                    None => self.pick(*pick),
                };
                let open = self.driver.state.step(&step).and_then(|(_, step)| step.question());
                let question = open.map(|(number, _)| number + u32::from(*stale));
                let answer = match declined {
                    true => run::Answer::Declined,
                    false => run::Answer::Accepted([("ok".to_owned(), json!(true))].into_iter().collect()),
                };
                Command::Answer { step, question, answer }
            }
            Ask::SetParallel(value) => Command::SetParallel { value: u32::from(*value) },
            Ask::Modify(pick, what) => {
                let step = self.pick(*pick);
                Command::Modify { patch: self.patch(&step, *what), step }
            }
            Ask::Add { name, beside, place, rewire } => {
                let beside = self.pick(*beside);
                let place =
                    [Place::After(beside.clone()), Place::Before(beside), Place::End][usize::from(*place)].clone();
                let mut step = json!({"step_id": format!("n{name}"), "run": "true"});
                if *rewire && *name == 3 {
                    step["parallel_group"] = json!("g1");
                }
                Command::Add { step, place, rewire: *rewire && self.is_graph() }
            }
            Ask::Remove(pick) => Command::Remove { step: self.pick(*pick) },
            Ask::Reorder(picks) => {
                let mut steps: Vec<String> = picks.iter().map(|pick| self.step_id(*pick)).collect();
                let mut seen = std::collections::HashSet::new();
                steps.retain(|step| seen.insert(step.clone()));
                Command::Reorder { steps }
            }
            Ask::Undo(version) => Command::Undo { version: version.map(u64::from) },
            Ask::UndoIntervention(place) => {
                let log = &self.driver.state.interventions;
                let newest_first = log.iter().rev().nth(usize::from(*place) % log.len().max(1));
                Command::UndoIntervention {
                    intervention: newest_first.map_or_else(uuid::Uuid::nil, |one| one.intervention_id),
                }
            }
            Ask::UseVersion(version) => Command::UseVersion { version: u64::from(*version) },
        };
        let undoable = !matches!(
            command,
            Command::Start
                | Command::Pause
                | Command::Resume
                | Command::Cancel
                | Command::Rollback
                | Command::Interrupt
                | Command::Answer { .. }
                | Command::Undo { .. }
                | Command::UndoIntervention { .. }
                | Command::UseVersion { .. }
        );
        // Time passes between two things that people do.
        self.driver.now += TimeDelta::milliseconds(1);
        let before = self.driver.state.clone();
        let mut request = self.driver.request(command, ["ann", "bob", "cid"][usize::from(user) % 3]);
        request.command_id = command_id.map(|id| format!("c{id}"));
        request.seen = seen;
        let applied_before = request.command_id.as_ref().is_some_and(|id| {
            let same = |one: &&Arc<Intervention>| one.command_id.as_ref() == Some(id);
            self.driver.state.interventions.iter().filter(same).any(|one| one.status != InterventionStatus::Failed)
        });
        let records = self.driver.state.interventions.len();
        let accepted = self.input(&Input::Request(request.clone()));
        if applied_before {
            assert!(accepted && self.driver.state.interventions.len() == records, "the same id was applied twice");
        } else if accepted {
            assert_eq!(self.driver.state.interventions.len(), records + 1, "an accepted command is in the log once");
            if undoable {
                self.undone_at_once(&before);
            }
        }
    }

    fn is_graph(&self) -> bool {
        self.driver.state.plan.steps.iter().any(|step| step.depends_on.is_some())
    }

    /// A merge patch for a step: what it waits for, or how it runs.
    fn patch(&self, step: &str, what: u8) -> serde_json::Value {
        let other = self.step_id(what / 8);
        match what % 8 {
            0 => json!({"priority": what / 8}),
            1 => json!({"max_retries": null}),
            2 => json!({"hold": "look again"}),
            3 => json!({"hold": null}),
            4 => json!({"on_failure": "continue"}),
            5 if self.is_graph() => json!({"depends_on": [other]}),
            6 if self.is_graph() => json!({"depends_on": []}),
            5 => json!({"parallel_group": "g1"}),
            6 => json!({"parallel_group": null}),
            _ => json!({"step_id": format!("{step}x")}),
        }
    }

    /// Undo, with nothing in between, gives the plan and the steps as they were; undoing the undo gives them as they were made.
    fn undone_at_once(&self, before: &RunState) {
        let mut driver = self.driver.clone();
        driver.now += TimeDelta::milliseconds(1);
        let made = driver.state.clone();
        let batch = &self.driver.journal[self.driver.batches[self.driver.batches.len() - 2]..];
        let starts =
            |batch: &[Arc<Recorded>]| batch.iter().any(|one| matches!(one.event, Event::AttemptStarted { .. }));
        // What was found of a condition, and whom that left out, is not taken back.
        let judged = batch.iter().any(|one| match &one.event {
            Event::StepSkipped { why, .. } => *why != run::SkipReason::Operator,
            event => matches!(
                event,
                Event::ConditionMet { .. }
                    | Event::RollbackStarted { .. }
                    | Event::RollbackEnded { .. }
                    | Event::StepExpanded { .. }
                    | Event::StepConcluded { .. }
            ),
        });
        let nothing_started = !starts(batch) && !judged;
        let newest = made.interventions.last().expect("it was accepted");
        if newest.status == InterventionStatus::Pending {
            let refusal = driver.try_as("ann", Command::Undo { version: None }).expect_err("it has had no effect yet");
            assert!(refusal.message.contains("still waits for an attempt to stop"), "{refusal}");
            return;
        }
        // Where a step ran before what it waits for now (that was taken up again), an order once left does not come back.
        let in_order = before.steps.iter().enumerate().all(|(place, step)| {
            !(step.status.is_live() || step.status == StepStatus::Completed) || before.unmet(place).is_empty()
        });
        let undone = match driver.try_as("ann", Command::Undo { version: None }) {
            Ok(batch) => batch,
            Err(refusal) => {
                assert!(!nothing_started || !in_order, "an undo with nothing in between was refused: {refusal}");
                return;
            }
        };
        assert_eq!(written(&driver.state), written(before), "undo gives another plan");
        if !judged && !undone.iter().any(|one| matches!(one.event, Event::StepExpanded { .. })) {
            assert_eq!(driver.state.own_plan(), before.own_plan(), "undo gives other instances");
        }
        assert_eq!(driver.state.options, before.options, "undo gives another limit");
        let plan_changed = batch.iter().any(|one| matches!(one.event, Event::PlanChanged(_)));
        let versions = driver.state.versions.iter().skip(made.versions.len());
        let versions = versions.filter(|one| one.change.cause != ChangeCause::Rollback).count();
        assert_eq!(versions, usize::from(plan_changed), "only a change of the plan is undone by one");
        // What had all come to its end in a run that had ended says so once it is open again.
        let concluded = undone.iter().any(|one| matches!(one.event, Event::StepConcluded { .. }));
        if !nothing_started || starts(&undone) || concluded {
            return;
        }
        // Whether the run goes on past its failures is asked again when it has stopped meanwhile.
        let asks_as_before = [&made, &driver.state].iter().all(|state| state.status == before.status);
        for (place, (now, was)) in driver.state.steps.iter().zip(&before.steps).enumerate() {
            // A step that is put in again is let past its failure, and one whose hold point was changed is to be signed again.
            let own = newest.target_step_id.as_deref() == Some(before.plan.steps[place].step_id.as_str());
            // An end of the run sends others away from their hold points.
            if plan_changed || (!own && made.status.is_ended()) {
                continue;
            }
            let fields = |step: &run::StepState| {
                let step = step.clone();
                let unanswered = step.unanswered && asks_as_before;
                run::StepState { since: None, unanswered, ..step }
            };
            assert_eq!(fields(now), fields(was), "step {place} after undo");
        }
        if !plan_changed {
            let undo = driver.state.interventions.last().expect("the undo").intervention_id;
            driver.ask(Command::UndoIntervention { intervention: undo });
            let own = |state: &RunState| -> Vec<StepStatus> {
                state.steps.iter().take(state.own_plan().steps.len()).map(|step| step.status).collect()
            };
            assert_eq!(own(&driver.state), own(&self.driver.state), "undo undone");
        }
    }

    /// One input: refused without a trace, or applied; then everything that must hold. Says whether it was accepted.
    /// What only asks whether a request is taken says what decides it, and what it says of attempts that stop is what happens.
    fn permitted(&self, request: &Request) {
        let state = &self.driver.state;
        let decided = run::decide(state, &Input::Request(request.clone()), &self.driver.moment());
        assert_eq!(run::permits(state, request), decided.as_ref().map(|_| ()).map_err(Clone::clone), "{request:?}");
        let of_step =
            matches!(request.command, Command::Retry { .. } | Command::Skip { .. } | Command::Complete { .. });
        let (Ok(events), Some(step), true) = (decided, request.command.target(), of_step) else { return };
        // A request that was taken before decides nothing any more.
        if events.is_empty() {
            return;
        }
        let position = state.position(step).expect("it was taken");
        let stops = |event: &Event| match event {
            Event::StopRequested { step, .. } => state.position(step),
            _ => None,
        };
        let stopped: Vec<usize> = events.iter().filter_map(stops).collect();
        assert_eq!(state.stops(position, &request.command), stopped, "{request:?}");
    }

    /// The same for each step, whatever is asked just now.
    fn permitted_of_steps(&self) {
        for step in self.driver.state.plan.steps.iter().map(|step| &step.step_id) {
            for command in [
                Command::Retry { step: step.clone(), downstream: false },
                Command::Retry { step: step.clone(), downstream: true },
                Command::Skip { step: step.clone() },
                Command::Complete { step: step.clone(), result: None },
            ] {
                self.permitted(&Request::new(uuid::Uuid::nil(), command, "ann"));
            }
        }
    }

    fn input(&mut self, input: &Input) -> bool {
        if let Input::Request(request) = input {
            self.permitted(request);
            self.permitted_of_steps();
        }
        let before = self.driver.state.clone();
        let moment = self.driver.moment();
        let decided = run::decide(&before, input, &moment);
        same(&before, &self.driver.state, "decide changed the state");
        let mut batch = match decided {
            Err(refusal) => {
                let again = run::advance(&mut self.driver.state, input, &moment).expect_err("refused just now");
                assert_eq!(refusal, again);
                same(&before, &self.driver.state, "a refused input changed the state");
                if let Input::Request(request) | Input::Restore { request, .. } = input {
                    assert!(!refusal.message.is_empty());
                    let logged = run::log_refusal(&mut self.driver.state, request, &refusal, &moment);
                    self.record(&before, logged);
                    assert_eq!(before.steps, self.driver.state.steps);
                    assert_eq!(before.status, self.driver.state.status);
                }
                self.check();
                return false;
            }
            Ok(events) => recorded(&before, events, &moment),
        };
        // The same loop as `advance`, with a bound: what follows by itself must come to an end.
        let mut state = fold_on(&before, &batch);
        let before_settling = batch.len();
        while let Some(event) = run::settle(&state, &moment) {
            let next = recorded(&state, vec![event], &moment);
            state = fold_on(&state, &next);
            batch.extend(next);
            let bound = before_settling + 4 * state.steps.len() + 8;
            assert!(batch.len() <= bound, "settling does not end: {batch:#?}");
        }
        let advanced = run::advance(&mut self.driver.state, input, &moment).expect("accepted just now");
        assert_eq!(batch, advanced);
        same(&state, &self.driver.state, "advance is decide, apply and settle");
        self.record(&before, advanced);
        self.check();
        true
    }

    fn record(&mut self, before: &RunState, batch: Vec<Arc<Recorded>>) {
        if batch.is_empty() {
            return;
        }
        self.each_event(before, &batch);
        self.driver.journal.extend(batch);
        self.driver.batches.push(self.driver.journal.len());
    }

    /// What must hold for every event of a batch, from the state before it.
    fn each_event(&self, before: &RunState, batch: &[Arc<Recorded>]) {
        let asked = batch.iter().any(|one| match &one.event {
            Event::Intervention(record) => record.status == InterventionStatus::Applied,
            Event::InterventionSettled { status, .. } => *status == InterventionStatus::Applied,
            _ => false,
        });
        let mut attempts: HashMap<&str, u32> = HashMap::new();
        for one in &self.driver.journal {
            if let Event::AttemptStarted { step, attempt, .. } = &one.event {
                attempts.insert(step, *attempt);
            }
        }
        let mut old = before.clone();
        for one in batch {
            assert_eq!(one.seq, old.seq + 1, "numbers grow by one");
            assert!(one.time >= old.updated_at, "time runs backwards");
            if let Event::AttemptStarted { step, attempt, .. } = &one.event {
                self.may_start(&old, step, one);
                assert!(
                    *attempt > attempts.get(step.as_str()).copied().unwrap_or(0),
                    "attempt {attempt} of {step} again"
                );
                attempts.insert(step, *attempt);
            }
            let undone = matches!(one.event, Event::InterventionUndone { .. });
            let again = undone
                || matches!(
                    one.event,
                    Event::StepQueued { .. }
                        | Event::StepsReset { .. }
                        | Event::Restored { .. }
                        | Event::InstancesRemoved { .. }
                );
            if let Event::StepConcluded { step, then, .. } = &one.event {
                concludes(&old, step, then);
            }
            assert!(!again || asked, "{:?} without anybody asking", one.event);
            let new = fold_on(&old, std::slice::from_ref(one));
            assert_eq!(one.seq, new.seq);
            assert!(new.plan_version >= old.plan_version, "versions shrink");
            let restored = undone || matches!(one.event, Event::Restored { .. });
            for (definition, now) in new.plan.steps.iter().zip(&new.steps) {
                let id = &definition.step_id;
                let Some((_, then)) = old.step(id) else {
                    let was = old.removed.get(id).map_or(0, |removed| removed.state.last_attempt);
                    assert!(now.last_attempt >= was, "attempt numbers of {id}, which was removed, begin anew");
                    assert!(!now.status.is_live(), "{id} is put in and runs");
                    continue;
                };
                let (from, to) = (then.status, now.status);
                let unheld =
                    matches!(one.event, Event::PlanChanged(_)) && from == StepStatus::Held && to == StepStatus::Pending;
                let fits = if restored { !from.is_live() && !to.is_live() } else { legal_step(from, to) || unheld };
                assert!(from == to || fits, "step {id}: {from:?} → {to:?} by {:?}", one.event);
                let done = from == StepStatus::Completed && to != from;
                let again = again || matches!(one.event, Event::RollbackEnded { .. });
                assert!(!done || again, "a completed step was taken up again by {:?}", one.event);
                assert!(now.last_attempt >= then.last_attempt, "attempt numbers shrink");
                let touched = match one.event.touches() {
                    Touched::Nothing => false,
                    Touched::Steps(steps) => steps.contains(id),
                    Touched::Any => true,
                };
                let unanswered = now.unanswered;
                assert!(
                    touched || *now == StepState { unanswered, ..then.clone() },
                    "{id} is changed by {:?}, which does not say so",
                    one.event
                );
            }
            for (definition, then) in old.plan.steps.iter().zip(&old.steps) {
                let id = &definition.step_id;
                if new.position(id).is_none() {
                    assert!(!then.status.is_live(), "{id} is taken out while it runs");
                    let back = matches!(&one.event, Event::PlanChanged(change) if matches!(change.cause, ChangeCause::Restore { .. }));
                    let over = definition.undoes().is_some() && one.event == Event::RunReopened;
                    let back = back || again || over;
                    assert!(back || then.status != StepStatus::Completed, "{id} is taken out although it is completed");
                    assert_eq!(*new.removed[id].state, *then, "what a removed step did stays readable");
                }
            }
            if new.status != old.status {
                let rolled_back = old.rollback.as_ref().is_some_and(|rollback| rollback.over) && old.rolling_back;
                let fits = match new.status {
                    RunStatus::Completed => legal_run(old.status, new.status, old.cancelling) && !old.rolling_back,
                    RunStatus::Failed | RunStatus::Cancelled if old.rolling_back => rolled_back,
                    _ => legal_run(old.status, new.status, old.cancelling),
                };
                assert!(fits, "run: {:?} → {:?} by {:?}", old.status, new.status, one.event);
            }
            if new.status == RunStatus::Completed && old.status != RunStatus::Completed {
                assert!(new.steps.iter().all(|step| step.status.is_satisfied()), "completed with {:?}", new.counts());
            }
            match &one.event {
                Event::RollbackStarted { steps, .. } => newest_first(&old, steps),
                Event::RollbackEnded { undone, .. } => {
                    let done = |id: &String| old.step(&format!("rollback.{id}")).map(|(_, step)| step.status);
                    // With its instances a `foreach` step is undone as well.
                    let with_instances = |id: &&String| {
                        let parent = old.position(id).filter(|place| old.plan.steps[*place].foreach.is_some());
                        parent.is_some_and(|place| {
                            let mut instances = old.instances(place).into_iter().flatten();
                            instances.any(|one| undone.contains(&old.plan.steps[one].step_id))
                        })
                    };
                    let (wholes, own): (Vec<&String>, Vec<&String>) = undone.iter().partition(|id| done(id).is_none());
                    assert!(own.iter().all(|id| done(id) == Some(StepStatus::Completed)), "undone by nothing");
                    assert!(wholes.iter().all(with_instances), "undone by nothing");
                    let completed = old.plan.steps.iter().zip(&old.steps).filter(|(definition, step)| {
                        definition.undoes().is_some() && step.status == StepStatus::Completed
                    });
                    assert_eq!(own.len(), completed.count(), "undone, and it is not said");
                    let again = |id: &String| {
                        new.step(id).is_some_and(|(_, step)| step.rolled_back && step.status == StepStatus::Pending)
                    };
                    assert!(undone.iter().all(again), "what was undone still counts as completed");
                }
                _ => {}
            }
            old = new;
        }
    }

    fn may_start(&self, state: &RunState, step: &str, one: &Recorded) {
        let place = state.position(step).expect("a known step");
        let found = &state.steps[place];
        assert_eq!(state.status, RunStatus::Running, "{step} starts while the run is not running");
        assert!(!state.cancelling, "{step} starts while the run is being cancelled");
        let slots = rules(state).slots(state);
        let free = slots < state.options.max_parallel as usize || !rules(state).takes_slot(place);
        assert!(free, "{step} is one too many");
        assert!(rules(state).unblocked(state, place), "{step} starts before what it waits for");
        let to_end = |step: &run::StepState| {
            matches!(step.failed_with, Some(FailurePolicy::Fail | FailurePolicy::Rollback)) && step.unanswered
        };
        let undoes = state.plan.steps[place].undoes().is_some();
        assert_eq!(undoes, state.rolling_back, "{step} starts out of its turn");
        assert!(!state.steps.iter().any(to_end), "{step} starts although a failure ends the run");
        let definition = &state.plan.steps[place];
        if let Some(pool) = &definition.pool {
            let same = |(other, step): &(&Arc<holdpoint::plan::Step>, &run::StepState)| {
                other.pool.as_ref() == Some(pool) && step.status.is_live()
            };
            let live = state.plan.steps.iter().zip(&state.steps).filter(same).count();
            assert!(live < state.plan.pools[&**pool] as usize, "{step} is one too many in its pool");
        }
        let judged = definition.when.is_none() || found.condition_met || found.status == StepStatus::Waiting;
        assert!(judged, "{step} starts and nobody has looked at its condition");
        match found.status {
            StepStatus::Pending => assert!(!rules(state).held_back(state, place), "{step} starts past its hold point"),
            StepStatus::Waiting => assert!(found.due.is_some_and(|due| due <= one.time), "{step} starts too early"),
            other => panic!("{step} starts from {other:?}"),
        }
    }

    /// What must hold whenever nothing more follows by itself.
    fn check(&self) {
        let state = &self.driver.state;
        let of = |status: StepStatus| state.steps.iter().filter(|step| step.status == status).count() as u32;
        for status in STEP_STATUSES {
            assert_eq!(state.counts().of(status), of(status), "count of {status:?}");
        }
        assert_eq!(state.counts().total() as usize, state.steps.len());
        let mut indexed = state.clone();
        indexed.reindex();
        same(state, &indexed, "the index, made anew, is another one");
        // Through a file is dear; often enough is enough.
        if state.seq.is_multiple_of(4) {
            same(state, &reloaded(state), "a state that was written and loaded is another one");
        }
        for (place, step) in state.steps.iter().enumerate() {
            self.check_step(place, step);
        }
        assert_eq!(state.paused.is_empty(), state.status != RunStatus::Paused, "reasons belong to a paused run");
        let asking = state.steps.iter().filter(|step| step.question().is_some()).count();
        assert_eq!(state.asking().count(), asking);
        for (reason, open) in [
            (PauseReason::Hold, state.counts().of(StepStatus::Held)),
            (PauseReason::Review, state.counts().of(StepStatus::InReview)),
            (PauseReason::Question, asking as u32),
        ] {
            let stale = state.paused.contains(&reason) && open == 0;
            assert!(!stale || state.paused.len() == 1, "paused for a {} that has been answered", reason.word());
        }
        let pending = state.interventions.iter().filter(|one| one.status == InterventionStatus::Pending).count();
        // The skip of a `foreach` step waits for all its instances that run.
        let waited_for: HashSet<_> =
            state.steps.iter().filter_map(|step| step.stop.as_ref().and_then(|stop| stop.intervention)).collect();
        assert_eq!(pending, waited_for.len(), "an intervention waits for nothing, or nothing is known of one");
        assert!(state.checkpoints.iter().is_sorted_by(|one, next| one.seq < next.seq));
        assert!(state.checkpoints.iter().filter_map(|mark| mark.step).all(|step| state.step_name(step).is_some()));
        assert_eq!(state.plan_at(1).as_ref(), Some(self.first.as_ref()), "the first version, made out again");
        let versions: Vec<u64> = state.versions.iter().map(|one| one.change.version).collect();
        assert_eq!(versions, (2..=state.plan_version).collect::<Vec<_>>(), "versions only grow, one by one");
        let undoing = state.plan.steps.iter().any(|step| step.undoes().is_some());
        assert_eq!(undoing, state.rollback.is_some(), "steps of no rollback, or a rollback without steps");
        assert!(!state.rolling_back || (undoing && !state.status.is_ended() && state.status != RunStatus::Idle));
        let rolled_back = state.steps.iter().any(|step| step.rolled_back);
        assert!(!rolled_back || state.status != RunStatus::Completed, "completed, and something of it was undone");
        self.families();
        self.not_stuck();
    }

    /// Every `foreach` step has the instances of its items and no others, in their order, and its result is the list of theirs.
    fn families(&self) {
        let state = &self.driver.state;
        let mut known = 0;
        for (place, step) in state.steps.iter().enumerate() {
            let id = &state.plan.steps[place].step_id;
            let items = step.expansion.as_ref().map_or(0, |expansion| expansion.items.len());
            let instances = state.instances(place).unwrap_or_default();
            assert_eq!(instances.len(), items, "the instances of {id}");
            known += items;
            for (index, instance) in instances.clone().enumerate() {
                assert_eq!(state.plan.steps[instance].step_id, format!("{id}.{index}"));
                assert_eq!(state.parent(instance), Some(place));
            }
            let counts = state.instance_counts(place).copied().unwrap_or_default();
            for status in STEP_STATUSES {
                let there = instances.clone().filter(|instance| state.steps[*instance].status == status).count();
                assert_eq!(counts.of(status) as usize, there, "instances of {id} that are {}", status.word());
            }
            if step.status == StepStatus::Completed && step.by_hand.is_none() && step.expansion.is_some() {
                let theirs: Vec<_> =
                    instances.map(|instance| state.steps[instance].result_data().unwrap_or_default()).collect();
                assert_eq!(state.result_data(place), Some(theirs.into()), "the result of {id}");
            }
        }
        let instance = |step: &&Arc<holdpoint::plan::Step>| step.generated.is_some() && step.undoes().is_none();
        let made = state.plan.steps.iter().filter(instance).count();
        assert_eq!(made, known, "an instance without its step");
    }

    fn check_step(&self, place: usize, step: &run::StepState) {
        let state = &self.driver.state;
        assert_eq!(unreachable(state.status, step.status), None, "run {:?}, step {place}: {step:?}", state.status);
        assert_eq!(step.status == StepStatus::Stopping, step.stop.is_some(), "step {place}: {step:?}");
        assert_eq!(step.status == StepStatus::Waiting, step.due.is_some(), "step {place}: {step:?}");
        assert_eq!(step.status == StepStatus::Failed, step.failed_with.is_some(), "step {place}: {step:?}");
        assert_eq!(step.status == StepStatus::Skipped, step.skip.is_some(), "step {place}: {step:?}");
        assert!(step.by_hand.is_none() || step.status == StepStatus::Completed, "step {place}: {step:?}");
        assert!(!step.unanswered || step.status == StepStatus::Failed, "step {place}: {step:?}");
        let open = step.attempts.iter().filter(|attempt| attempt.ended_at.is_none()).count();
        assert_eq!(open, usize::from(step.status.is_live()), "step {place} has attempts without an end: {step:?}");
        assert!(step.attempts.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(step.attempts.last().is_none_or(|attempt| attempt.number <= step.last_attempt));
        let waits = !rules(state).unblocked(state, place);
        assert_eq!(state.unmet(place).is_empty(), !waits, "what step {place} waits for");
        let turn = state.plan.steps[place].undoes().is_some() == state.rolling_back;
        assert_eq!(state.is_ready(place), step.status == StepStatus::Pending && !waits && turn);
        assert!(!step.rolled_back || step.status == StepStatus::Pending, "step {place}: {step:?}");
    }

    fn not_stuck(&self) {
        let state = &self.driver.state;
        let live = state.steps.iter().any(|step| step.status.is_live());
        let waiting =
            |place: usize| state.steps[place].status == StepStatus::Waiting && rules(state).unblocked(state, place);
        let timers = (0..state.steps.len()).any(waiting);
        for (place, step) in state.steps.iter().enumerate() {
            let open = step.reviews.last().and_then(|review| review.status);
            let asks = matches!(open, Some(run::ReviewStatus::Pending | run::ReviewStatus::Escalated));
            assert!(step.status != StepStatus::InReview || asks, "step {place} waits for a review that is closed");
            assert!(step.status == StepStatus::InReview || !asks, "step {place} went on without a verdict");
        }
        match state.status {
            RunStatus::Idle => assert!(!live),
            RunStatus::Running | RunStatus::Paused if state.cancelling => {
                assert!(live, "cancelling, nothing runs, and it does not end");
                let stopped =
                    |step: &&run::StepState| step.stop.as_ref().is_some_and(|stop| stop.why == StopReason::Cancel);
                let mut alive = state.steps.iter().filter(|step| step.status.is_live());
                assert!(alive.all(|step| stopped(&step)), "an attempt goes on while the run is being cancelled");
            }
            RunStatus::Running => {
                assert!(live || timers, "the run is running and nothing will ever happen: {:?}", state.steps);
                if !live {
                    let at = state.wake_at().expect("a time to wake at");
                    assert!(at > self.driver.now, "it is due and does not start");
                }
                let free = rules(state).slots(state) < state.options.max_parallel as usize;
                let idle = |place| {
                    let fits = free || !rules(state).takes_slot(place);
                    fits && state.is_ready(place) && state.full_pool(place).is_none()
                };
                assert!(!state.may_start() || !(0..state.steps.len()).any(idle), "a slot is left empty");
                // Where only people can go on, the run says so.
                let moves =
                    |place: usize| state.full_pool(place).is_none() && (free || !rules(state).takes_slot(place));
                let due = (0..state.steps.len()).any(|place| waiting(place) && moves(place));
                let works = state.steps.iter().any(|step| step.status.is_live() && step.question().is_none());
                assert!(works || due || !state.may_start(), "only people can go on, and the run is not paused");
            }
            RunStatus::Paused => {
                let questions = run::open_questions(state);
                self.offers_hold(&questions);
                let ready = (0..state.steps.len()).any(|place| state.is_ready(place));
                let person =
                    [PauseReason::Operator, PauseReason::Recovered].iter().any(|why| state.paused.contains(why));
                assert!(live || timers || ready || person || !questions.is_empty(), "paused, and nobody knows why");
                let resume = run::Request::new(uuid::Uuid::nil(), Command::Resume, "ann");
                if let Err(refusal) = run::decide(state, &Input::Request(resume), &self.driver.moment()) {
                    let helps = refusal.possible.is_some_and(|text| !text.is_empty());
                    assert!(helps, "resume is refused without a word of what would help: {:?}", state.steps);
                }
            }
            RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => {
                assert!(!live, "the run has ended and something runs");
                self.offers_hold(&run::open_questions(state));
                assert!(!state.cancelling);
                assert!(state.ended_at.is_some());
                if state.status == RunStatus::Failed {
                    assert!(state.error.as_ref().is_some_and(|error| !error.is_empty()));
                    // What had failed may be a rollback, which was asked for again and is done.
                    let rolled_back = state.rollback.as_ref().is_some_and(|rollback| rollback.over);
                    assert!(rolled_back || of_status(state, StepStatus::Failed) > 0, "failed without a failed step");
                    let stopped = state.steps.iter().filter_map(|step| step.stop.as_ref());
                    assert_eq!(stopped.count(), 0, "a stop is still waited for");
                }
            }
        }
    }

    /// What an operator is told would answer a step is accepted.
    fn offers_hold(&self, questions: &[String]) {
        let state = &self.driver.state;
        for question in questions {
            let step = || question.split('`').nth(1).expect("a step is named").to_owned();
            let offers = [
                ("retry it", Command::Retry { step: step(), downstream: false }),
                ("skip it", Command::Skip { step: step() }),
                ("complete it by hand", Command::Complete { step: step(), result: None }),
                ("release it", Command::Release { step: step() }),
                ("approve", Command::Approve { step: step() }),
                ("answer it", Command::Answer { step: step(), question: None, answer: run::Answer::Declined }),
                ("reject it", Command::Reject { step: step() }),
            ];
            for (words, command) in offers.into_iter().filter(|(words, _)| question.contains(words)) {
                let request = run::Request::new(uuid::Uuid::nil(), command, "somebody else");
                let decided = run::decide(state, &Input::Request(request), &self.driver.moment());
                assert!(decided.is_ok(), "{question}: {words} is refused: {decided:?}");
            }
        }
    }

    /// After a restore the steps are those of the checkpoint; counters and the log are not undone.
    fn went_back(&self, before: &RunState, target: &RunState) {
        let state = &self.driver.state;
        if target.rolling_back && state.status.is_ended() {
            // Where all of a rollback was done, or its failure ended it, it ends there again.
            return;
        }
        let target = &concluded(target, state);
        assert!(matches!(state.status, RunStatus::Paused | RunStatus::Completed));
        let target = &stripped(target);
        assert_eq!(state.plan, target.plan, "the plan after the restore");
        assert_eq!((state.rolling_back, &state.rollback), (target.rolling_back, &target.rollback));
        for (place, (now, then)) in state.steps.iter().zip(&target.steps).enumerate() {
            let id = &state.plan.steps[place].step_id;
            let expected = if then.status.is_live() { StepStatus::Pending } else { then.status };
            assert_eq!(now.status, expected, "step {id} after the restore");
            let known = before.step(id).map(|(_, step)| step.last_attempt);
            let known = known.or_else(|| before.removed.get(id).map(|removed| removed.state.last_attempt));
            assert_eq!(now.last_attempt, known.unwrap_or(0).max(then.last_attempt));
            assert_eq!(now.result(), then.result(), "the result of step {id}");
            let verdict = |step: &run::StepState| {
                let run::StepState { retries, due, skip, by_hand, hold, failed_with, .. } = step.clone();
                (retries, due, skip, by_hand, hold, failed_with)
            };
            assert_eq!(verdict(now), verdict(then), "step {id} after the restore");
            let mut ended = then.attempts.iter().filter(|attempt| attempt.ended_at.is_some());
            assert!(ended.all(|attempt| now.attempts.contains(attempt)), "an attempt of step {id} is another one");
            // What was running then has an end now, or is left out where only a branch that was left knows it.
            let numbers = |step: &run::StepState| step.attempts.iter().map(|one| one.number).collect::<Vec<_>>();
            assert!(numbers(now).iter().all(|number| numbers(then).contains(number)), "step {id} has later attempts");
            // One that ran while something before it had been taken up again waits for that now.
            let ran = then.status.is_live() && rules(target).unblocked(target, place);
            let would_run = ran || target.is_ready(place);
            assert_eq!(state.is_ready(place), would_run, "what runs next: step {id}");
        }
        assert_eq!(state.interventions.len(), before.interventions.len() + 1);
        assert!(state.checkpoints.iter().take(before.checkpoints.len()).eq(&before.checkpoints));
        if state.status == RunStatus::Paused {
            assert_eq!(self.runs_on(state), self.runs_on(&stood_still(target, state)), "what it runs, resumed");
        }
    }

    /// The steps that start, in their order, when a paused run is resumed and everything succeeds; or why it cannot be resumed.
    fn runs_on(&self, state: &RunState) -> Result<Vec<String>, String> {
        let mut state = state.clone();
        let mut now = self.driver.now;
        let mut started = Vec::new();
        let mut input = Input::Request(run::Request::new(uuid::Uuid::nil(), Command::Resume, "ann"));
        for _ in 0..200 {
            let batch = run::advance(&mut state, &input, &run::Moment { now, entropy: 0 });
            for one in batch.map_err(|refusal| refusal.to_string())? {
                if let Event::AttemptStarted { step, .. } = &one.event {
                    started.push(step.clone());
                }
            }
            let next = state.live().next().map(|place| (place, state.steps[place].last_attempt));
            input = match (next, state.wake_at()) {
                (Some((place, attempt)), _) => {
                    let step = state.plan.steps[place].step_id.clone();
                    Input::AttemptEnded { step, attempt, outcome: Arc::new(Outcome::succeeded()) }
                }
                (None, Some(due)) => {
                    now = now.max(due);
                    Input::Wake
                }
                (None, None) => return Ok(started),
            };
        }
        panic!("it does not come to an end: {started:?}");
    }

    /// After a crash nothing is reported as running that did not start again, and what was completed stays so.
    fn recovered(&self, found: &RunState, go_on: bool) {
        let state = &self.driver.state;
        // A retry with everything after it, which waited for its attempt to stop, takes effect now that the attempt is lost.
        let pending = |one: &Arc<Intervention>| one.status == InterventionStatus::Pending;
        let retried = found.interventions.iter().any(|one| pending(one) && one.parameters["downstream"] == true);
        let mut pauses = !go_on && found.status == RunStatus::Running && !found.cancelling;
        for (place, then) in found.steps.iter().enumerate() {
            let Some((_, now)) = state.step(&found.plan.steps[place].step_id) else {
                assert!(retried, "step {place} is gone after a crash");
                continue;
            };
            // A rollback that was being cancelled ends with the engine's attempts.
            if then.status.is_satisfied() && !retried && !now.rolled_back {
                assert_eq!(now.status, then.status, "step {place}");
                assert_eq!(now.last_attempt, then.last_attempt, "step {place} ran again after a crash");
            }
            pauses |= then.status.is_live() && now.status == StepStatus::Interrupted;
            if then.status == StepStatus::Running && !rules(found).takes_slot(place) && !found.cancelling {
                assert!(matches!(now.status, StepStatus::Running | StepStatus::Stopping), "step {place} was lost");
                assert_eq!(now.attempts, then.attempts, "step {place} goes on as the same attempt");
            }
        }
        let ended = state.status.is_ended();
        if pauses && !ended {
            assert!(state.paused.contains(&PauseReason::Recovered), "it goes on without anybody looking");
        }
        if found.status == RunStatus::Running && !pauses && !found.cancelling {
            let other = state.paused.iter().all(|why| *why != PauseReason::Recovered && *why != PauseReason::Operator);
            assert!(other || of_status(found, StepStatus::Interrupted) + of_status(found, StepStatus::Cancelled) > 0);
        }
    }

    /// An operator who answers whatever is asked brings every run to an end.
    fn answer_everything(&mut self) {
        for round in 0..600 {
            let state = &self.driver.state;
            if state.status.is_ended() {
                return;
            }
            let live: Vec<String> = state.live().map(|place| state.plan.steps[place].step_id.clone()).collect();
            let users = ["dan", "eve", "fay"];
            let ask = |case: &mut Self, user: &str, command: Command| {
                let request = case.driver.request(command, user);
                case.input(&Input::Request(request))
            };
            if let Some(step) =
                live.iter().find(|step| state.step(step).is_some_and(|(_, step)| step.question().is_none()))
            {
                let attempt = state.step(step).map_or(0, |(_, step)| step.last_attempt);
                self.ended(step.clone(), attempt, OutcomeStatus::Succeeded);
            } else if state.status == RunStatus::Idle {
                assert!(ask(self, "dan", Command::Start));
            } else if state.status == RunStatus::Running {
                self.driver.now = state.wake_at().expect("running without a live attempt: a time to wake at");
                self.input(&Input::Wake);
            } else if !ask(self, "dan", Command::Resume) {
                let state = &self.driver.state;
                let place = state
                    .needs_person()
                    .into_iter()
                    .next()
                    .or_else(|| {
                        let stopped = |place: &usize| state.steps[*place].status == StepStatus::Cancelled;
                        (0..state.steps.len()).filter(|place| state.takes_part(*place)).find(stopped)
                    })
                    .expect("resume is refused: somebody must be asked something");
                let step = state.plan.steps[place].step_id.clone();
                let command = match state.steps[place].status {
                    StepStatus::Held => Command::Release { step },
                    StepStatus::Running => {
                        let values = [("ok".to_owned(), json!(false))].into_iter().collect();
                        Command::Answer { step, question: None, answer: run::Answer::Accepted(values) }
                    }
                    StepStatus::InReview => Command::Approve { step },
                    // What has no list has none the next time either.
                    StepStatus::Failed if round % 2 == 0 || no_list(&state.steps[place]) => Command::Skip { step },
                    _ => Command::Retry { step, downstream: false },
                };
                assert!(ask(self, users[round % 3], command.clone()) || matches!(command, Command::Release { .. }));
            }
        }
        panic!("the run never ends: {:?}", self.driver.state);
    }
}

fn written(state: &RunState) -> Plan {
    let mut plan = Plan::clone(&state.plan);
    plan.steps.retain(|step| step.generated.is_none());
    plan
}

fn no_list(step: &run::StepState) -> bool {
    step.error.is_some() && step.expansion.is_none()
}

/// A `foreach` step ends when every instance has come to its end, and well only when none of them has failed.
fn concludes(state: &RunState, step: &str, then: &run::Then) {
    let place = state.position(step).expect("a known step");
    let found = &state.steps[place];
    assert_eq!(found.status, StepStatus::Pending);
    let Some(expansion) = &found.expansion else {
        assert!(matches!(then, run::Then::Fail { .. }), "{step} is completed and was never expanded");
        return;
    };
    let named = |(index, _): (usize, _)| state.step(&format!("{step}.{index}")).expect("an instance for each item").1;
    let instances: Vec<&run::StepState> = expansion.items.iter().enumerate().map(named).collect();
    let failed = instances.iter().filter(|one| one.status == StepStatus::Failed).count();
    let done = instances.iter().filter(|one| one.status.is_satisfied()).count();
    assert_eq!(done + failed, instances.len(), "{step} comes to its end before its instances");
    assert_eq!(failed == 0, matches!(then, run::Then::Complete), "{failed} instances of {step} have failed");
}

/// A state in which every `foreach` step of which all instances have come to their end has done so as well: that follows by itself, also while
/// a run is paused.
fn concluded(target: &RunState, today: &RunState) -> RunState {
    let mut still = stood_still(target, today);
    let mut target = target.clone();
    let moment = run::Moment { now: target.updated_at, entropy: 0 };
    while let Some(event @ Event::StepConcluded { .. }) = run::settle(&still, &moment) {
        let next = recorded(&still, vec![event], &moment);
        still = fold_on(&still, &next);
        target = fold_on(&target, &next);
    }
    target
}

/// A run as if it had been paused at a checkpoint and its attempts had never started; with the limit of today.
fn stood_still(target: &RunState, today: &RunState) -> RunState {
    let mut state = target.clone();
    for place in 0..state.steps.len() {
        let step = state.steps.change(place);
        if step.status.is_live() {
            step.status = StepStatus::Pending;
            step.stop = None;
            step.attempts.retain(|attempt| attempt.ended_at.is_some());
        }
        // Going on has let it past its failures.
        step.unanswered = false;
    }
    state.options = today.options.clone();
    state.status = RunStatus::Paused;
    state.paused = [PauseReason::Operator].into();
    state.cancelling = false;
    (state.ended_at, state.error) = (None, None);
    state.reindex();
    state
}

/// Without the steps of a rollback that is over.
fn stripped(target: &RunState) -> RunState {
    let mut state = target.clone();
    if !state.rolling_back {
        state.plan = state.own_plan();
        state.rollback = None;
        state.reindex();
    }
    state
}

/// A rollback undoes all that is completed and can be undone, what was completed last first.
fn newest_first(before: &RunState, steps: &[Arc<holdpoint::plan::Step>]) {
    let all = before.plan.steps.iter().zip(&before.steps);
    // Of a `foreach` step each instance is undone by itself.
    let undoable = |definition: &holdpoint::plan::Step| definition.rollback.is_some() && definition.foreach.is_none();
    let all = all.filter(|(definition, step)| undoable(definition) && step.status == StepStatus::Completed);
    assert_eq!(steps.len(), all.count(), "something is left out");
    let ends: Vec<_> = steps
        .iter()
        .map(|step| before.step(step.undoes().expect("a step of a rollback")).expect("it undoes a step").1)
        // When a person said that it is done, nobody else knows.
        .filter(|step| step.by_hand.is_none() && step.reviews.iter().all(|review| review.answers.is_empty()))
        .map(|step| step.attempt().and_then(|attempt| attempt.ended_at))
        .collect();
    assert!(ends.is_sorted_by(|first, then| first >= then), "not in reverse order of completion: {ends:?}");
}

fn rules(state: &RunState) -> Rules {
    Rules::new(&state.plan)
}

fn marks_have(state: &RunState, seq: u64) -> bool {
    state.checkpoints.iter().any(|mark| mark.seq == seq)
}

fn of_status(state: &RunState, status: StepStatus) -> usize {
    state.steps.iter().filter(|step| step.status == status).count()
}

/// What may follow from time alone.
fn follows_time(event: &Event) -> bool {
    matches!(event, Event::AttemptStarted { .. })
}

fn recorded(state: &RunState, events: Vec<Event>, moment: &run::Moment) -> Vec<Arc<Recorded>> {
    let time = moment.now.max(state.updated_at);
    let number = |(place, event)| Arc::new(Recorded { seq: state.seq + 1 + place as u64, time, event });
    events.into_iter().enumerate().map(number).collect()
}

/// The numbers of a run: those that follow it event by event are those of its state, and every attempt that ended by itself is in them.
fn numbers_follow(journal: &[Arc<Recorded>]) {
    let mut state = fold(&journal[..1]);
    let mut followed = Metrics::of(&state);
    for one in &journal[1..] {
        state.apply(one);
        if !followed.take(one, &state) {
            followed = Metrics::of(&state);
        }
        let fresh = Metrics::of(&state);
        let counted = |metrics: &Metrics| metrics.agents.values().map(|agent| agent.executions).sum::<u64>();
        assert_eq!(counted(&followed), counted(&fresh), "after {one:?}");
        let steps = state.steps.iter().chain(state.removed.values().map(|removed| removed.state.as_ref()));
        let own = steps.flat_map(|step| &step.attempts).filter(|attempt| state.home_of(attempt) == state.run_id);
        let by_itself = |attempt: &&Arc<Attempt>| match attempt.outcome.as_ref().map(|outcome| outcome.status) {
            Some(OutcomeStatus::Succeeded | OutcomeStatus::Failed) => true,
            Some(OutcomeStatus::Stopped) => attempt.timed_out,
            Some(OutcomeStatus::Lost) | None => false,
        };
        assert_eq!(counted(&fresh), own.filter(by_itself).count() as u64, "after {one:?}");
        let pauses = state.pauses.iter().filter(|pause| pause.until.is_none()).count();
        assert_eq!(pauses, usize::from(state.status == RunStatus::Paused), "after {one:?}");
        assert!(state.pauses.last().is_none_or(|pause| pause.until.is_some() || pause.reasons == state.paused));
    }
}

fn fold_on(state: &RunState, batch: &[Arc<Recorded>]) -> RunState {
    let mut state = state.clone();
    for one in batch {
        state.apply(one);
    }
    state
}

pub fn config() -> ProptestConfig {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    ProptestConfig {
        cases: number("PROPTEST_CASES").map_or(128, |cases| cases as u32),
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1)),
        failure_persistence: None,
        max_shrink_iters: 1500,
        ..ProptestConfig::default()
    }
}

/// A copy of a state stays what it was while another one goes on, though they share what neither has changed.
fn copies_are_values(journal: &[Arc<Recorded>]) {
    let mut state = fold(&journal[..1]);
    let mut kept = Vec::new();
    for one in &journal[1..] {
        if one.seq % 5 == 0 {
            kept.push((state.clone(), serde_json::to_string(&state).expect("a state can be written")));
        }
        state.apply(one);
    }
    for (copy, written) in kept {
        let mut then: RunState = serde_json::from_str(&written).expect("a state can be read");
        then.reindex();
        same(&copy, &then, "a copy has changed with the state that it was made of");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_a_run_keeps_its_promises(
        shape in plan_shape(),
        started in prop::bool::weighted(0.9),
        ops in prop::collection::vec(op(), 0..40),
    ) {
        let mut case = Case::new(&shape);
        case.check();
        if started {
            let start = case.driver.request(Command::Start, "ann");
            case.input(&Input::Request(start));
        }
        for op in &ops {
            case.run(op);
        }
        let folded = fold(&case.driver.journal);
        same(&folded, &case.driver.state, "the fold of the journal is the live state");
        same(&folded, &reloaded(&folded), "loaded from a file it is another one");
        let mut in_batches = fold(&case.driver.journal[..1]);
        for pair in case.driver.batches.windows(2) {
            in_batches = fold_on(&in_batches, &case.driver.journal[pair[0]..pair[1]]);
            in_batches.reindex();
        }
        same(&in_batches, &folded, "folding batch by batch gives the same");
        numbers_follow(&case.driver.journal);
        copies_are_values(&case.driver.journal);
        case.answer_everything();
    }
}
