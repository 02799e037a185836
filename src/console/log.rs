//! The log of a run: its events as sentences. Bounded; the journal has them all.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::run::{
    Alert, AlertRules, Event, GateDecision, Intervention, InterventionStatus, PauseReason, Recorded, RollbackEnd,
    RunState, SkipReason, Then, Watch, signed_by,
};

use super::{text, words};

/// How many lines are kept.
const KEPT: usize = 2000;

/// How much a line is to catch the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The ordinary course of things.
    Quiet,
    /// Somebody did something.
    Person,
    /// Something good ended.
    Good,
    /// Something waits for a person.
    Attention,
    /// Something went wrong.
    Bad,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub time: DateTime<Utc>,
    /// What, in one sentence, neutralised.
    pub text: String,
    /// How loud.
    pub weight: Weight,
}

/// The newest lines, oldest first; alerts are among them.
#[derive(Debug, Clone, Default)]
pub struct Log {
    lines: VecDeque<Line>,
    watch: Watch,
}

impl Log {
    /// The lines, oldest first.
    pub fn lines(&self) -> &VecDeque<Line> {
        &self.lines
    }

    /// An empty one, of a run that has come this far.
    pub fn watching(rules: AlertRules, state: Option<&RunState>) -> Self {
        let watch = state.map_or_else(|| Watch::new(rules), |state| Watch::from(rules, state));
        Self { lines: VecDeque::new(), watch }
    }

    /// The newest events of a run, oldest first, and its state after them. Alerts before them are not known any more.
    pub fn of(rules: AlertRules, recent: &[Arc<Recorded>], state: &RunState) -> Self {
        let mut log = Self::watching(rules, None);
        for recorded in recent {
            log.push(recorded, state);
        }
        log.watch = Watch::from(rules, state);
        log
    }

    /// Forgets the lines.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Takes an event in; `state` is the state after it. Gives the alerts that follow from it.
    pub fn push(&mut self, recorded: &Recorded, state: &RunState) -> Vec<Alert> {
        if let Some((text, weight)) = sentence(recorded, state) {
            self.line(recorded.time, &text, weight);
        }
        let alerts = self.watch.take(recorded, state);
        for alert in &alerts {
            self.line(alert.time, &format!("alert: {}", alert.message), Weight::Bad);
        }
        alerts
    }

    fn line(&mut self, time: DateTime<Utc>, text: &str, weight: Weight) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { time, text: text::clean(text).into_owned(), weight });
    }
}

/// An event in words; `None` for what another event of the same batch says better.
fn sentence(recorded: &Recorded, state: &RunState) -> Option<(String, Weight)> {
    let quiet = |text: String| Some((text, Weight::Quiet));
    match &recorded.event {
        Event::RunRegistered(registration) if registration.fork.is_some() => {
            let from = words::forked_from(state).unwrap_or_default();
            quiet(format!("{} opened the plan, {from}", registration.user))
        }
        Event::RunRegistered(registration) => quiet(format!("{} opened the plan", registration.user)),
        Event::EngineOpened { epoch: 1, .. } => None,
        Event::EngineOpened { .. } => quiet("the run was taken over".into()),
        Event::RunPaused { reasons } => {
            let said = reasons.iter().find_map(|reason| match reason {
                // The intervention says who; the failure, the hold say it themselves.
                PauseReason::Operator | PauseReason::StepFailed => None,
                PauseReason::Hold => Some("nothing more can run until the hold is released: paused"),
                PauseReason::Review => Some("nothing more can run until the review: paused"),
                PauseReason::Question => Some("nothing more can run until somebody answers: paused"),
                PauseReason::Recovered => Some("the engine had ended while the run was going: paused"),
            })?;
            Some((said.into(), Weight::Attention))
        }
        Event::RunTimedOut => {
            Some(("the time limit of the whole run is over: what runs is stopped".into(), Weight::Bad))
        }
        Event::RunCompleted => Some(("the run is completed".into(), Weight::Good)),
        Event::RunFailed { error } => Some((format!("the run failed: {error}"), Weight::Bad)),
        Event::RunCancelled => Some(("the run is cancelled".into(), Weight::Attention)),
        Event::RollbackStarted { steps, rollback } => {
            let names: Vec<&str> = steps.iter().take(50).filter_map(|step| step.undoes()).collect();
            let shown =
                if steps.len() > names.len() { words::count(steps.len(), "step") } else { words::list(&names, 5) };
            // Who asked says it as well, and why.
            let why = if rollback.user.is_none() { format!(", because {}", rollback.why) } else { String::new() };
            Some((format!("rolling back {shown}{why}"), Weight::Attention))
        }
        Event::RollbackEnded { ends: RollbackEnd::Cancelled, error, .. } => {
            Some((format!("the rollback is over: {error}"), Weight::Attention))
        }
        // The failure says the same.
        Event::RollbackEnded { .. } => None,
        Event::StepHeld { step, reason } => Some((
            match reason {
                Some(reason) => format!("{step} is held: {reason}"),
                None => format!("{step} is held"),
            },
            Weight::Attention,
        )),
        Event::ConditionMet { .. } => None,
        Event::StepExpanded { step, items } => quiet(format!("{step} has {}", words::count(items.len(), "instance"))),
        Event::StepConcluded { step, error: Some(error), .. } => Some((format!("{step} failed: {error}"), Weight::Bad)),
        Event::StepConcluded { step, .. } => quiet(format!("{step} completed: every instance of it is done")),
        Event::InstancesRemoved { steps } => {
            let names: Vec<&str> = steps.iter().map(String::as_str).collect();
            quiet(format!("{} to be expanded anew", words::list(&names, 3)))
        }
        Event::AttemptStarted { step, attempt: 1, .. } => quiet(format!("{step} started")),
        Event::AttemptStarted { step, attempt, .. } => quiet(format!("{step} started (attempt {attempt})")),
        Event::QuestionAsked { step, question, .. } => {
            let title = if question.title == *step { String::new() } else { format!(": {}", question.title) };
            Some((format!("{step} asks a person{title}"), Weight::Attention))
        }
        Event::AttemptEnded { step, attempt, outcome, then } => {
            // On a branch that was left, nobody but the journal knows of it.
            let known = state.step(step).and_then(|(_, step)| step.numbered(*attempt));
            let why = known.filter(|known| known.outcome.is_some());
            let why = why.map_or_else(|| outcome.in_words(), |known| known.in_words());
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let number = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            let took = known
                .map(|attempt| format!(" in {}", words::duration(attempt.seconds(attempt.started_at))))
                .unwrap_or_default();
            match then {
                // What went wrong beside the work, such as output that is incomplete.
                Then::Complete => match &outcome.error {
                    Some(error) => Some((format!("{step} completed{number}{took}, but {error}"), Weight::Attention)),
                    None => quiet(format!("{step} completed{number}{took}")),
                },
                Then::Fail { .. } => Some((format!("{step} failed{number}{why}"), Weight::Bad)),
                Then::Retry { due } => {
                    let wait = words::span((*due - recorded.time).as_seconds_f64());
                    Some((format!("{step} failed{number}{why} · tries again in {wait}"), Weight::Attention))
                }
                Then::Review => {
                    Some((format!("{step} ended{number}{took}: its result waits for a verdict"), Weight::Attention))
                }
                Then::Improve { due } => {
                    let wait = words::span((*due - recorded.time).as_seconds_f64());
                    Some((format!("{step} ended{number}{took} · tries for more quality in {wait}"), Weight::Attention))
                }
                Then::Stop => quiet(format!("{step} stopped{number}")),
                Then::Interrupt => Some((format!("{step} was interrupted{number}{why}"), Weight::Attention)),
                Then::Requeue if state.step(step).is_some_and(|(definition, _)| !definition.idempotent) => {
                    quiet(format!("{step} only waited, and was stopped{number}"))
                }
                Then::Requeue => quiet(format!("{step} was interrupted{number}; it is idempotent and runs again")),
            }
        }
        Event::StepSkipped { step, why: SkipReason::Condition, .. } => {
            quiet(format!("{step} skipped: its condition is false"))
        }
        Event::StepSkipped { step, why: SkipReason::Upstream, .. } => {
            quiet(format!("{step} skipped: what it needs was skipped"))
        }
        Event::StepsReset { steps } => {
            let names: Vec<&str> = steps.iter().take(50).map(String::as_str).collect();
            let verb = if steps.len() == 1 { "runs" } else { "run" };
            let shown =
                if steps.len() > names.len() { words::count(steps.len(), "step") } else { words::list(&names, 3) };
            quiet(format!("{shown} {verb} again as well"))
        }
        Event::Intervention(record) => Some(intervention(record, state)),
        Event::InterventionSettled { intervention_id, status, error, .. } => {
            let record = state.interventions.iter().rev().find(|one| one.intervention_id == *intervention_id)?;
            let asked = asked(record, state);
            match status {
                InterventionStatus::Failed => {
                    let why = error.as_deref().unwrap_or("it was overtaken");
                    Some((format!("{} {asked}: not done, {why}", record.user), Weight::Attention))
                }
                _ => Some((format!("{} {asked}: done", record.user), Weight::Person)),
            }
        }
        Event::InterventionUndone { intervention_id, .. } => {
            let record = state.interventions.iter().rev().find(|one| one.intervention_id == *intervention_id)?;
            quiet(format!("undone: {} {}", record.user, asked(record, state)))
        }
        Event::PlanChanged(change) => {
            let what = change.in_words();
            let shown = what.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(" · ");
            let more = if what.len() > 3 { format!(" · and {} more", what.len() - 3) } else { String::new() };
            quiet(format!("plan v{}: {shown}{more}", change.version))
        }
        Event::ResultJudged { step, judgement, .. } => {
            let said = match judgement.decision {
                GateDecision::Approved => "good enough",
                GateDecision::Rejected => "not good enough",
                GateDecision::ReviewRequired => "to be reviewed",
                GateDecision::RetrySuggested => "not good enough yet",
            };
            quiet(format!("{step}: its result is {said} ({})", judgement.reason))
        }
        // Each is said by the intervention it comes from, with who and why.
        Event::RunStarted
        | Event::RunResumed
        | Event::RunReopened
        | Event::CancelRequested { .. }
        | Event::HoldReleased { .. }
        | Event::ReviewAnswered { .. }
        | Event::QuestionAnswered { .. }
        | Event::HoldSet { .. }
        | Event::HoldCleared { .. }
        | Event::StopRequested { .. }
        | Event::StepQueued { .. }
        | Event::StepSkipped { .. }
        | Event::StepCompletedByHand { .. }
        | Event::MaxParallelSet { .. }
        | Event::Restored { .. } => None,
    }
}

fn intervention(record: &Intervention, state: &RunState) -> (String, Weight) {
    let asked = asked(record, state);
    let reason = record.reason.as_deref().map(|reason| format!(" · \"{reason}\"")).unwrap_or_default();
    let user = signed_by(&record.user, record.uid);
    match record.status {
        InterventionStatus::Failed => {
            let why = record.error.as_deref().unwrap_or("not possible");
            (format!("{user} {asked}: refused, {why}"), Weight::Attention)
        }
        InterventionStatus::Pending => {
            (format!("{user} {asked}{reason} · when the attempt has stopped"), Weight::Person)
        }
        InterventionStatus::Applied => (format!("{user} {asked}{reason}"), Weight::Person),
    }
}

/// What was asked, as a verb: the words for an intervention wherever it is spoken of.
pub fn asked(record: &Intervention, state: &RunState) -> String {
    let step = record.target_step_id.as_deref().unwrap_or("the run");
    let parameters = &record.parameters;
    match record.intervention_type.as_str() {
        "start" => "started the run".into(),
        "pause" => "paused the run".into(),
        "resume" => "resumed the run".into(),
        "cancel" => "cancelled the run".into(),
        "rollback" => "had the run rolled back".into(),
        "interrupt" => "stopped the attempts and paused the run".into(),
        "retry_step" if parameters["downstream"] == true => format!("retried {step} with everything after it"),
        "retry_step" => format!("retried {step}"),
        "skip_step" if parameters["completed_by_hand"] == true => format!("completed {step} by hand"),
        "skip_step" => format!("skipped {step}"),
        "hold" => format!("set a hold point on {step}"),
        "unhold" => format!("took the hold point off {step}"),
        "release" if state.position(step).is_some_and(|place| state.signatures(place).1 > 1) => {
            format!("signed {step} off")
        }
        "release" => format!("released {step}"),
        "approve" => format!("approved the result of {step}"),
        "reject" => format!("rejected the result of {step}"),
        "escalate" => format!("passed the review of {step} on"),
        "answer" if parameters["declined"] == true => format!("declined what {step} asked"),
        "answer" => format!("answered what {step} asked"),
        "set_parallel" => format!("set {} at the same time", parameters["value"].as_u64().unwrap_or_default()),
        "modify_step" => format!("changed {step}"),
        "add_step" => format!("added {step}"),
        "remove_step" => format!("removed {step}"),
        "reorder_steps" => "changed the order".into(),
        "undo" => match parameters["version"].as_u64() {
            Some(version) => format!("undid the change to version {version} of the plan"),
            None => undid(record, state),
        },
        "use_version" => {
            format!("brought version {} of the plan back", parameters["version"].as_u64().unwrap_or_default())
        }
        "restore" => match parameters["checkpoint"].as_str() {
            Some(id) => format!("went back to {id}"),
            None => "went back to an earlier checkpoint".into(),
        },
        other => format!("asked for {other} on {step}"),
    }
}

/// What an undo of a named intervention has done: undone what that did, or, where that was an undo itself, brought it again.
fn undid(record: &Intervention, state: &RunState) -> String {
    let named = |record: &Intervention| record.parameters["intervention_id"].as_str()?.parse::<Uuid>().ok();
    let Some(mut wanted) = named(record) else { return "undid the newest intervention".into() };
    let mut again = false;
    // What is undone came before it, so the search ends.
    let mut earlier = state.interventions.iter().rev();
    while let Some(found) = earlier.find(|one| one.intervention_id == wanted) {
        match named(found).filter(|_| found.intervention_type == "undo") {
            Some(of) => (wanted, again) = (of, !again),
            None if again => return format!("brought again: {}", asked(found, state)),
            None => return format!("undid: {}", asked(found, state)),
        }
    }
    "undid an intervention".into()
}
