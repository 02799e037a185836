//! Why is a step not running? What it waits for, since when, and who can change that.
//!
//! The commands that are offered are tried with the same [`decide`] that would answer them: none is named that would be refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::plan::{FailurePolicy, StopKind};

use super::{
    Answer, Attempt, Command, Input, Moment, PauseReason, Request, RunState, RunStatus, SkipReason, StepStatus,
    advance, decide,
};

/// So many steps are named one by one.
const NAMED: usize = 6;

/// What the state of a run does not say of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outside<'a> {
    /// Whether some engine has the run open.
    pub owned: bool,
    /// Why the disk does not take its journal, and since when.
    pub storage: Option<(&'a str, Option<DateTime<Utc>>)>,
    /// What is wrong with its journal.
    pub damage: Option<&'a str>,
}

/// Who can change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whoever operates the run, with the commands that are named.
    Operator,
    /// Nobody needs to: time does.
    Time,
    /// Nobody needs to: the engine does when its turn comes, or the step's own work.
    Engine,
    /// Whoever looks after the machine and its disk.
    Machine,
    /// It is as it is to be.
    Nobody,
}

/// One thing that keeps a step from running, or what has become of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What, as a sentence without its full stop.
    pub what: String,
    /// The attempt that did not do, and whose output may say more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The step it is about; `None` for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// When it ends by itself at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Who can change it.
    pub who: Who,
    /// What they can ask for; none of it would be refused.
    pub commands: Vec<Command>,
    /// Whether an engine has to take the run over for that; without commands, that alone helps.
    pub take_over: bool,
}

impl Reason {
    /// The attempt that did not do, as the state has it.
    pub fn failed_attempt<'a>(&self, state: &'a RunState) -> Option<&'a Arc<Attempt>> {
        let (_, step) = state.step(self.step.as_deref()?)?;
        step.attempts.iter().find(|attempt| Some(attempt.number) == self.attempt)
    }
}

/// The answer for the step at a position: first what is to be said of the step itself, then what lies behind that, then the run.
///
/// For a run that no engine has open, the commands are those that are possible once one has taken it over.
pub fn why(state: &RunState, position: usize, outside: Outside<'_>) -> Vec<Reason> {
    let asked = Asked { state, then: &taken_over(state, outside), outside };
    let mut reasons = vec![asked.step(position)];
    let status = state.steps[position].status;
    if matches!(status, StepStatus::Pending | StepStatus::Waiting) {
        reasons.extend(asked.roots(position).into_iter().map(|root| asked.step(root)));
    }
    asked.run(position, &mut reasons);
    reasons
}

/// The state on which a command would act: what was running in an engine that is gone is found interrupted.
fn taken_over(state: &RunState, outside: Outside<'_>) -> RunState {
    let mut then = state.clone();
    if !outside.owned
        && outside.damage.is_none()
        && (state.status == RunStatus::Running || state.live().next().is_some())
    {
        let opened = Input::Opened { version: String::new(), pid: 0, go_on: true };
        // Opening is never refused.
        let _ = advance(&mut then, &opened, &Moment { now: state.updated_at, entropy: 0 });
    }
    then
}

struct Asked<'a> {
    state: &'a RunState,
    /// The state on which a command would act.
    then: &'a RunState,
    outside: Outside<'a>,
}

impl Asked<'_> {
    /// Those of the commands that would not be refused. A journal that takes nothing takes no command.
    fn possible(&self, commands: impl IntoIterator<Item = Command>) -> Vec<Command> {
        if self.outside.damage.is_some() || self.outside.storage.is_some() {
            return Vec::new();
        }
        let moment = Moment { now: self.then.updated_at, entropy: 0 };
        let accepted = |command: &Command| {
            let request = Request::new(Uuid::nil(), command.clone(), "");
            decide(self.then, &Input::Request(request), &moment).is_ok()
        };
        commands.into_iter().filter(accepted).collect()
    }

    /// The answer to what a step asks, before anything is filled in.
    fn answer(&self, step: &str) -> Command {
        let answer = Answer::Accepted(serde_json::Map::new());
        Command::Answer { step: step.to_owned(), question: None, answer }
    }

    fn answers(&self, step: &str) -> Vec<Command> {
        let step = step.to_owned();
        self.possible([
            Command::Retry { step: step.clone(), downstream: false },
            Command::Skip { step: step.clone() },
            Command::Complete { step, result: None },
        ])
    }

    /// What is to be said of a step by itself.
    fn step(&self, position: usize) -> Reason {
        let state = self.state;
        let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
        let id = definition.step_id.as_str();
        let retry = |downstream| Command::Retry { step: id.to_owned(), downstream };
        let mut reason = Reason {
            what: String::new(),
            attempt: None,
            step: Some(id.to_owned()),
            since: step.since,
            until: None,
            who: Who::Operator,
            commands: Vec::new(),
            take_over: false,
        };
        let outcome = step.why_failed().map(|words| format!(": {words}")).unwrap_or_default();
        match step.status {
            // The engine is gone, and nobody has looked since.
            StepStatus::Running | StepStatus::Stopping if !self.outside.owned && !state.outlives_engine(position) => {
                let found = self.then.steps[position].status;
                reason.what = if found == StepStatus::Interrupted {
                    format!(
                        "{id} was running when its engine ended; it is not marked idempotent, so it does not run again by itself"
                    )
                } else {
                    format!("{id} was running when its engine ended")
                };
                reason.commands = if found == StepStatus::Interrupted { self.answers(id) } else { Vec::new() };
            }
            StepStatus::Running if step.question().is_some() => {
                let asked = step.question().map(|(_, asked)| asked);
                let title = asked.map(|asked| asked.question.title.as_str()).unwrap_or_default();
                reason.what = format!("{id} asks a person, and waits for the answer: {title}");
                reason.since = asked.map(|asked| asked.time);
                // Whether an answer is taken depends on what is filled in.
                let answer = Command::Answer { step: id.to_owned(), question: None, answer: Answer::Declined };
                let answer = self.possible([answer]).into_iter().map(|_| self.answer(id));
                reason.commands = answer.collect();
                reason.commands.extend(self.possible([
                    Command::Skip { step: id.to_owned() },
                    Command::Complete { step: id.to_owned(), result: None },
                ]));
            }
            StepStatus::Running if step.attempt().is_some_and(|attempt| attempt.due.is_some()) => {
                reason.what = format!("{id} waits for a time; completing it by hand ends that");
                reason.until = step.attempt().and_then(|attempt| attempt.due);
                reason.who = Who::Time;
                reason.commands = self.possible([Command::Complete { step: id.to_owned(), result: None }]);
            }
            StepStatus::Running if !self.outside.owned => {
                reason.what = format!(
                    "{id} was running when its engine ended; its service is asked how it stands when the run is opened again"
                );
            }
            StepStatus::Running => {
                reason.what = match definition.timeout_seconds {
                    Some(_) => format!("{id} is running, and has a time limit"),
                    None => format!("{id} is running, without a time limit"),
                };
                let started = step.attempt().map(|attempt| attempt.started_at);
                reason.until = started.and_then(|started| after(started, definition.timeout_seconds?));
                reason.who = Who::Engine;
            }
            StepStatus::Stopping => {
                reason.what = match state.plan.ability(definition).stop {
                    StopKind::Signals => {
                        format!("{id} is being stopped: its processes got TERM, and get KILL when the time is over")
                    }
                    StopKind::AtOnce => format!("{id} is being stopped"),
                };
                reason.since = step.stop.as_ref().map(|stop| stop.since).or(step.since);
                reason.until = reason.since.and_then(|since| after(since, state.options.grace_seconds));
                reason.who = Who::Time;
            }
            StepStatus::Completed => {
                reason.what = match &step.by_hand {
                    Some(by_hand) => format!("{id} was completed by hand by {}", by_hand.user),
                    None => format!("{id} is completed"),
                };
                let undoing = format!("rollback.{id}");
                if state.rolling_back && state.position(&undoing).is_some() {
                    let done = if state.is_undone(position) { "has undone it" } else { "is to undo it" };
                    reason.what.push_str(&format!(", and {undoing} {done}"));
                }
                reason.who = Who::Nobody;
                reason.commands = self.possible([retry(true)]);
            }
            StepStatus::Skipped => {
                let skip = step.skip.as_ref();
                let because = skip.and_then(|skip| skip.reason.as_deref());
                let because = because.map(|reason| format!(": {reason}")).unwrap_or_default();
                reason.what = match skip.map(|skip| skip.why) {
                    Some(SkipReason::Condition) => format!("{id} was skipped: its condition is false"),
                    Some(SkipReason::Upstream) => format!("{id} was skipped: what it needs was skipped"),
                    _ => {
                        let who = skip.and_then(|skip| skip.user.as_deref()).unwrap_or("an operator");
                        format!("{id} was skipped by {who}{because}")
                    }
                };
                reason.who = Who::Nobody;
                reason.commands = self.possible([retry(false)]);
            }
            StepStatus::Failed => {
                let retries = match definition.max_retries.unwrap_or(0) {
                    0 => String::new(),
                    1 => " (its one retry is used up)".to_owned(),
                    used => format!(" (its {used} retries are used up)"),
                };
                reason.what = format!("{id} failed{outcome}{retries}");
                reason.attempt = step.attempt().map(|attempt| attempt.number);
                reason.commands = self.answers(id);
            }
            StepStatus::Interrupted => {
                let how = if step.was_stopped() {
                    "was stopped before it was through"
                } else {
                    "was running when its engine ended"
                };
                reason.what = format!("{id} {how}; it is not marked idempotent, so it does not run again by itself");
                reason.commands = self.answers(id);
            }
            StepStatus::Cancelled => {
                reason.what = format!("{id} was stopped by an operator");
                reason.commands = self.answers(id);
            }
            StepStatus::Held => {
                let because = state.hold_reason(position).map(|reason| format!(": {reason}")).unwrap_or_default();
                reason.what = format!("{id} is at its hold point{because}");
                if let Some(signed) = state.signatures_in_words(position) {
                    reason.what.push_str(&format!("; {signed}"));
                }
                let step = id.to_owned();
                reason.commands = self.possible([Command::Release { step: step.clone() }, Command::Skip { step }]);
            }
            StepStatus::InReview => {
                let said =
                    step.reviews.last().map(|review| format!(" ({})", review.judgement.reason)).unwrap_or_default();
                reason.what = format!("the result of {id} waits for a person's verdict{said}");
                let verdicts = [Command::Approve { step: id.to_owned() }, Command::Reject { step: id.to_owned() }];
                reason.commands = self.possible(verdicts);
                reason.commands.extend(self.answers(id));
            }
            StepStatus::Waiting => self.waiting(position, &outcome, &mut reason),
            StepStatus::Pending => self.pending(position, &mut reason),
        }
        reason
    }

    fn waiting(&self, position: usize, outcome: &str, reason: &mut Reason) {
        let state = self.state;
        let id = &state.plan.steps[position].step_id;
        let unmet = state.unmet(position);
        reason.attempt = state.steps[position].attempt().map(|attempt| attempt.number);
        if !unmet.is_empty() {
            reason.what = format!("{id} failed{outcome}; before it is tried again it waits for {}", self.names(&unmet));
            reason.who = Who::Engine;
        } else if state.may_start() {
            reason.what = format!("{id} failed{outcome}, and is tried again by itself");
            reason.until = state.steps[position].due;
            reason.who = Who::Time;
        } else {
            reason.what = format!("{id} failed{outcome}, and is tried again by itself once the run goes on");
            reason.until = state.steps[position].due;
        }
        reason.commands = self.possible([Command::Retry { step: id.clone(), downstream: false }]);
    }

    fn pending(&self, position: usize, reason: &mut Reason) {
        let state = self.state;
        let id = &state.plan.steps[position].step_id;
        let unmet = state.unmet(position);
        let hold = if state.is_hold_point(position) { "; then its hold point stops it" } else { "" };
        if !state.takes_part(position) {
            let over = state.plan.steps[position].undoes().is_some();
            reason.what = match over {
                true => format!("{id} did not run: the rollback it belongs to is over"),
                false => format!("{id} does not run while the run is being rolled back"),
            };
            reason.who = if over { Who::Nobody } else { Who::Engine };
            return;
        }
        if !unmet.is_empty() {
            let own = |step: &usize| state.parent(*step) == Some(position);
            reason.what = match state.instance_counts(position) {
                Some(counts) if unmet.iter().all(own) => {
                    format!("{id} waits for {} of its {} instances", unmet.len(), counts.total())
                }
                _ => format!("{id} waits for {}{hold}", self.names(&unmet)),
            };
            reason.who = Who::Engine;
            reason.since = reason.since.or(state.started_at);
            return;
        }
        let before = state.index.order.waits_for(position).into_iter();
        let before = before.filter_map(|before| state.steps.get(before)?.since).max();
        reason.since = reason.since.max(before).or(state.started_at);
        let again = if state.steps[position].rolled_back { " again, after it was rolled back" } else { "" };
        if !state.may_start() {
            reason.what = format!("{id} is ready{again}, and waits for the run to go on{hold}");
            return;
        }
        reason.who = Who::Engine;
        let live = state.working();
        if !state.has_slot() && state.plan.ability(&state.plan.steps[position]).takes_slot {
            let most = state.options.max_parallel;
            reason.what =
                format!("{id} is ready and waits for its turn: {live} run, and no more than {most} may{hold}");
            reason.commands = self.possible([Command::SetParallel { value: most.saturating_add(1) }]);
        } else if let Some((pool, most)) = state.full_pool(position) {
            reason.what =
                format!("{id} is ready and waits for its pool: no more than {most} of `{pool}` may run{hold}");
        } else {
            reason.what = format!("{id} is ready and waits for nothing but its turn{hold}");
        }
    }

    fn names(&self, positions: &[usize]) -> String {
        let mut named = self.state.step_ids(positions.iter().take(NAMED)).join(", ");
        if positions.len() > NAMED {
            named.push_str(&format!(" and {} more", positions.len() - NAMED));
        }
        named
    }

    /// The steps that a step waits for in the end, in plan order: those behind which nothing else stands.
    fn roots(&self, position: usize) -> Vec<usize> {
        let mut roots = BTreeSet::new();
        let mut seen = BTreeSet::from([position]);
        let mut look = self.state.unmet(position);
        while let Some(step) = look.pop() {
            if !seen.insert(step) {
                continue;
            }
            let waits = match self.state.steps[step].status {
                StepStatus::Pending | StepStatus::Waiting => self.state.unmet(step),
                _ => Vec::new(),
            };
            if waits.is_empty() {
                roots.insert(step);
            }
            look.extend(waits);
        }
        roots.into_iter().take(NAMED).collect()
    }

    /// What holds every step back.
    fn run(&self, position: usize, reasons: &mut Vec<Reason>) {
        let state = self.state;
        let status = state.steps[position].status;
        let mut say = |what: String, since, who, commands| {
            reasons.push(Reason {
                what,
                attempt: None,
                step: None,
                since,
                until: None,
                who,
                commands,
                take_over: false,
            });
        };
        let mut closed = false;
        if let Some(damage) = self.outside.damage {
            say(format!("the run's journal is damaged: {damage}"), None, Who::Machine, Vec::new());
        }
        if let Some((error, since)) = self.outside.storage {
            say(
                format!("the disk does not take the run's journal, and nothing starts until it does: {error}"),
                since,
                Who::Machine,
                Vec::new(),
            );
        }
        if status.is_satisfied() || (status.is_live() && self.outside.owned) {
            return;
        }
        let since = Some(state.since);
        if let Some(rollback) = state.rollback.as_ref().filter(|_| state.rolling_back && !state.cancelling) {
            let commands = if self.outside.owned { self.possible([Command::Cancel]) } else { Vec::new() };
            let what = format!("the run is being rolled back: only what undoes its steps runs ({})", rollback.why);
            say(what, None, Who::Engine, commands);
        }
        match state.status {
            _ if state.cancelling => {
                let commands = self.possible([Command::Cancel]);
                say("the run is being cancelled: nothing starts any more".into(), since, Who::Time, commands);
            }
            RunStatus::Idle => {
                say("the run has not started".into(), since, Who::Operator, self.possible([Command::Start]));
            }
            RunStatus::Paused => {
                let reasons: Vec<&str> = state.paused.iter().map(in_words).collect();
                let resume = self.possible([Command::Resume]);
                let after = if resume.is_empty() && self.outside.storage.is_none() {
                    "; it can be resumed once that has been answered"
                } else {
                    ""
                };
                say(format!("the run is paused: {}{after}", reasons.join(", ")), since, Who::Operator, resume);
            }
            RunStatus::Running if !self.outside.owned && self.outside.damage.is_none() => {
                let since = Some(state.updated_at);
                say("no engine has the run open: it is not going on".into(), since, Who::Operator, Vec::new());
                closed = true;
            }
            RunStatus::Running if !state.may_start() => {
                let failed: Vec<usize> = state.index.fatal.iter().copied().collect();
                let failed = self.names(&failed);
                let rolls_back = |place: &usize| state.steps[*place].failed_with == Some(FailurePolicy::Rollback);
                let then = if state.index.fatal.iter().any(rolls_back) { "is rolled back" } else { "fails" };
                say(
                    format!("{failed} failed: nothing starts any more, and the run {then} when what runs has ended"),
                    None,
                    Who::Engine,
                    Vec::new(),
                );
            }
            RunStatus::Running => {}
            RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => {
                let error = state.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                let commands = self.reopening(position);
                say(
                    format!("the run is {}{error}", state.status.word()),
                    state.ended_at.or(since),
                    Who::Operator,
                    commands,
                );
            }
        }
        // Whatever is asked of a run that nobody has open, somebody has to open it for that.
        if !self.outside.owned {
            reasons.iter_mut().for_each(|reason| reason.take_over = !reason.commands.is_empty());
            if let Some(last) = reasons.last_mut().filter(|_| closed) {
                last.take_over = true;
            }
        }
    }

    /// What would open a run that has ended, so that the step comes to its turn.
    fn reopening(&self, position: usize) -> Vec<Command> {
        let state = self.state;
        if state.steps[position].status != StepStatus::Pending {
            return Vec::new();
        }
        let broken = state.index.failed.iter().chain(&state.index.cancelled).chain(&state.index.interrupted);
        let broken: BTreeSet<usize> = broken.copied().filter(|place| state.takes_part(*place)).collect();
        let mut found = Vec::new();
        for step in state.step_ids(broken.iter().take(NAMED)) {
            found.extend(self.possible([Command::Retry { step: step.to_owned(), downstream: false }]));
        }
        if found.is_empty() {
            let step = state.plan.steps[position].step_id.clone();
            found = self.possible([Command::Retry { step: step.clone(), downstream: false }, Command::Skip { step }]);
        }
        found
    }
}

fn after(time: DateTime<Utc>, seconds: f64) -> Option<DateTime<Utc>> {
    time.checked_add_signed(TimeDelta::try_milliseconds((seconds * 1000.0) as i64)?)
}

fn in_words(reason: &PauseReason) -> &'static str {
    match reason {
        PauseReason::Operator => "an operator paused it",
        PauseReason::StepFailed => "a step failed",
        PauseReason::Hold => "a step is held",
        PauseReason::Review => "a result is in review",
        PauseReason::Question => "a step asks a person",
        PauseReason::Recovered => "its engine had ended, and somebody should look first",
    }
}
