//! One action on everything that is marked: one question that counts, a command for each, one summary of what became of them.
//!
//! Nothing is decided here that is not decided for one: whether a step takes a command says the same rule as for a single one, each command
//! carries the status its step had when it was asked about, and the engine answers each by itself.

use uuid::Uuid;

use crate::engine::ListedRun;
use crate::run::{Command, InterventionStatus, PauseReason, Rejection, Request, RunStatus, StepStatus};

use super::actions::{Action, Group, Kind};
use super::app::{App, Effect, Place};
use super::availability::{allowed, possible, steerable};
use super::foretold::{Foretold, Line};
use super::input::Input;
use super::popups::{Ask, Care, Deed, Focus};
use super::run_model::{OpenRun, Ownership};
use super::{text, words};

/// No more marked steps than this are asked for a frame whether an action is possible.
const ASKED: usize = 32;
/// Whether a change of the plan is possible costs a walk over it: no more steps than this are walked over for a question.
const WALKED: usize = 200_000;
/// So many are named.
const NAMED: usize = 6;

/// A command to one of those that are marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// To which run.
    pub run: Uuid,
    /// Nobody owns the run: it is taken over first.
    pub take_over: bool,
    /// What it is called: the step, or the run's plan.
    pub name: String,
    /// The command.
    pub command: Command,
    /// The step's status when it was asked about.
    pub seen: Option<StepStatus>,
}

/// A command that is sent along with others.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What is asked, of whom.
    pub order: Order,
    /// The request.
    pub request: Request,
}

/// What became of one of them.
pub type Answered = (Order, Result<InterventionStatus, Rejection>);

/// How an action on many is spoken of.
struct Wording {
    /// The question, about what is named.
    title: fn(&str) -> String,
    /// What it does.
    effect: &'static str,
    /// The answer that does it.
    yes: &'static str,
    /// What they are then.
    done: &'static str,
}

fn wording(command: &Command) -> Wording {
    let is = |title, effect, yes, done| Wording { title, effect, yes, done };
    match command {
        Command::Start => {
            is(|what| format!("Start {what}?"), "What is not simulated is carried out for real.", "start", "started")
        }
        Command::Pause => {
            is(|what| format!("Pause {what}?"), "Nothing new starts; what runs may finish.", "pause", "paused")
        }
        Command::Resume => is(|what| format!("Resume {what}?"), "Work goes on where it stands.", "resume", "resumed"),
        Command::Cancel => is(
            |what| format!("Cancel {what}?"),
            "A run ends as cancelled; a retry or a skip opens it again.",
            "cancel them",
            "being cancelled",
        ),
        Command::Retry { downstream: true, .. } => is(
            |what| format!("Run {what} again, with everything after?"),
            "What has completed of it is done a second time.",
            "run again",
            "retried",
        ),
        Command::Retry { .. } => {
            is(|what| format!("Run {what} again?"), "Each gets a new attempt.", "run again", "retried")
        }
        Command::Skip { .. } => is(
            |what| format!("Skip {what}?"),
            "They are not run. What depends on them goes on without them.",
            "skip",
            "skipped",
        ),
        Command::Complete { .. } => is(
            |what| format!("Done by hand: {what}?"),
            "You did their work: they count as completed and are not run again.",
            "it is done",
            "completed by hand",
        ),
        Command::Release { .. } => {
            is(|what| format!("Release {what}?"), "They start as soon as the run lets them.", "release", "released")
        }
        Command::Approve { .. } => is(
            |what| format!("Approve the results of {what}?"),
            "They count as completed, and what depends on them goes on.",
            "approve",
            "approved",
        ),
        Command::Reject { .. } => is(
            |what| format!("Reject the results of {what}?"),
            "They fail; what depends on them does not go on.",
            "reject",
            "rejected",
        ),
        Command::Hold { .. } => is(
            |what| format!("Set a hold point on {what}?"),
            "The run stops before each, until somebody releases it.",
            "set it",
            "given a hold point",
        ),
        Command::Unhold { .. } => is(
            |what| format!("Take the hold point off {what}?"),
            "The run stops there no more.",
            "take it off",
            "freed of their hold point",
        ),
        _ => is(
            |what| format!("Remove {what} from the plan?"),
            "Each is a change of its own: u brings them back one by one.",
            "remove",
            "removed",
        ),
    }
}

/// What is said of an action on many, before what became of it.
pub fn asked(orders: &[Order]) -> String {
    match orders {
        [] => String::new(),
        [one] if one.command.target().is_some() => words::asked(&one.command),
        [first, ..] => {
            let verb = wording(&first.command).yes;
            format!("{verb}, {}", of_these(orders))
        }
    }
}

fn of_these(orders: &[Order]) -> String {
    let one = if orders.first().is_some_and(|order| order.command.target().is_some()) { "step" } else { "run" };
    match orders {
        [only] => only.name.clone(),
        _ => words::count(orders.len(), one),
    }
}

fn names(orders: &[Order]) -> String {
    words::list(&orders.iter().map(|order| order.name.as_str()).collect::<Vec<_>>(), NAMED)
}

/// Refusals by their reason, in the order in which they came: what it is, and of which. A reason names its step, which is left to the list.
fn by_reason(refused: Vec<(String, String)>) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (name, reason) in refused {
        let reason = text::clean(&reason).replace(&format!("`{name}`"), "it");
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => found.push((reason, vec![name])),
        }
    }
    found
}

fn reason_line((reason, names): &(String, Vec<String>)) -> String {
    let of: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{reason} ({})", words::list(&of, NAMED))
}

/// What a run's line in the list tells of a command: the engine has the last word.
fn possible_for(listed: &ListedRun, command: &Command) -> Result<(), String> {
    let run = &listed.summary;
    match (command, run.status) {
        _ if listed.owned && !listed.ours => Err("another process runs it".into()),
        _ if run.cancelling => Err("it is being cancelled already".into()),
        (Command::Start, RunStatus::Idle) | (Command::Resume, RunStatus::Paused) => Ok(()),
        (Command::Pause, RunStatus::Running) if listed.owned => Ok(()),
        (Command::Resume, RunStatus::Running) if !listed.owned => Ok(()),
        (Command::Cancel, RunStatus::Idle | RunStatus::Running | RunStatus::Paused) => Ok(()),
        (Command::Pause, RunStatus::Paused) => Err("it is paused already".into()),
        (_, RunStatus::Running) if !listed.owned => Err("nobody runs it now: resume takes it over".into()),
        (_, status) => Err(format!("it is {}", status.word())),
    }
}

/// Those of the marked that take a command, and of the others why they do not.
#[derive(Debug, Default)]
struct Sorted {
    orders: Vec<Order>,
    cannot: Vec<(String, String)>,
}

impl App {
    /// Whether an action is about what is marked in the list that is seen.
    pub(super) fn is_about_marks(&self, action: Action) -> bool {
        let entry = action.entry();
        let about = match self.place {
            Place::Runs => entry.scope.covers(self.scope()),
            Place::Run => entry.group == Group::Step,
            _ => false,
        };
        about && matches!(entry.kind, Kind::Command(_)) && self.marks() > 0
    }

    /// Of the actions that share a key the one that some of the marked take; `None` when they are not about marks.
    pub(super) fn meant_for_marks(&self, candidates: &[Action]) -> Option<Action> {
        // Enter opens what is selected, whatever is marked.
        if candidates.contains(&Action::Open) {
            return None;
        }
        let about = || candidates.iter().copied().filter(|action| self.is_about_marks(*action));
        // What stops something goes before what starts something.
        let pause = about().find(|action| *action == Action::Pause);
        let mut order = pause.into_iter().chain(about());
        order.find(|action| self.availability_of_marks(*action).is_ok()).or_else(|| about().next())
    }

    /// Whether any of the marked takes an action; of many steps it is said when the key is pressed.
    ///
    /// # Errors
    /// Why none does.
    pub(super) fn availability_of_marks(&self, action: Action) -> Result<(), String> {
        let marks = self.marks();
        if self.place == Place::Run && marks > ASKED {
            return self.run.as_ref().map_or(Ok(()), |run| steerable(self, run));
        }
        let sorted = self.sorted(action, false)?;
        if sorted.orders.is_empty() { Err(none_can(marks, sorted.cannot)) } else { Ok(()) }
    }

    /// Opens the question whether to do something to all that are marked, or says why none takes it.
    pub(super) fn ask_for_marks(&mut self, action: Action) -> Vec<Effect> {
        let sorted = match self.sorted(action, true) {
            Ok(sorted) => sorted,
            Err(why) => {
                self.complain(format!("{}: {why}", action.entry().label));
                return Vec::new();
            }
        };
        match self.question_for(sorted) {
            Ok(ask) => self.ask(ask),
            Err(why) => {
                self.complain(format!("{}: {why}", action.entry().label));
                Vec::new()
            }
        }
    }

    /// Asks each of the marked; `thoroughly`: also what costs a walk over the plan, where that is not too long.
    fn sorted(&self, action: Action, thoroughly: bool) -> Result<Sorted, String> {
        let Kind::Command(build) = action.entry().kind else { return Err("this is about one at a time".into()) };
        let mut sorted = Sorted::default();
        if self.place == Place::Runs {
            let mut marked: Vec<&ListedRun> = self.runs.marked.iter().filter_map(|run| self.runs.run(*run)).collect();
            marked.sort_by_key(|run| (run.summary.created_at, run.summary.run_id));
            for listed in marked {
                let target = super::actions::Target {
                    step: None,
                    max_parallel: 0,
                    checkpoint: None,
                    version: None,
                    intervention: None,
                };
                let Some(command) = build(target) else { continue };
                let name = text::clean(&listed.summary.plan_id).into_owned();
                match possible_for(listed, &command) {
                    Err(why) => sorted.cannot.push((name, why)),
                    Ok(()) => {
                        let run = listed.summary.run_id;
                        sorted.orders.push(Order { run, take_over: !listed.ours, name, command, seen: None });
                    }
                }
            }
            return Ok(sorted);
        }
        let run = self.run.as_ref().ok_or("no run is open")?;
        steerable(self, run)?;
        let take_over = run.ownership == Ownership::Nobody;
        let marked = run.marked();
        let walks = thoroughly && marked.len() * run.state.steps.len() <= WALKED;
        for position in marked {
            let name = run.state.plan.steps[position].step_id.clone();
            let Some(command) = build(self.target(run, Some(&name))) else { continue };
            let found = possible(self, &run.state, command.clone()).map_err(|rejection| rejection.message);
            let found = found.and_then(|()| if walks { allowed(self, run, &command) } else { Ok(()) });
            match found {
                Err(why) => sorted.cannot.push((name, why)),
                Ok(()) => {
                    let seen = Some(run.state.steps[position].status);
                    sorted.orders.push(Order { run: run.id(), take_over, name, command, seen });
                }
            }
        }
        Ok(sorted)
    }

    fn question_for(&self, sorted: Sorted) -> Result<Ask, String> {
        let Sorted { orders, cannot } = sorted;
        let Some(first) = orders.first() else { return Err(none_can(self.marks(), cannot)) };
        let about_runs = first.command.target().is_none();
        let Wording { title, effect, yes, .. } = wording(&first.command);
        // Of one alone it is said as of one alone.
        let single = (orders.len() == 1).then(|| self.question(&first.command, first.seen)).flatten();
        let single = single.filter(|_| !about_runs);
        let mut lines = Vec::new();
        if orders.len() > 1 {
            lines.push(format!("{}.", names(&orders)));
        }
        let stopped = self.stopped_by(&orders);
        if stopped > 0 {
            let are = if stopped == 1 { "attempt is" } else { "attempts are" };
            let grace = self.run.as_ref().filter(|_| !about_runs).map(|run| run.state.options.grace_seconds);
            let after = grace.map_or_else(|| "their grace period".into(), words::span);
            lines.push(format!("{} {are} stopped first: TERM, and KILL after {after}.", words::thousands(stopped)));
        }
        lines.push(effect.into());
        let others = match first.command {
            Command::Start => self.others_of(&orders),
            _ => Vec::new(),
        };
        lines.extend(others.iter().cloned());
        let careful = match about_runs {
            true => matches!(first.command, Command::Cancel) || !others.is_empty(),
            false => {
                let is_careful = |order: &Order| {
                    self.question(&order.command, order.seen).is_some_and(|ask| ask.care == Care::Careful)
                };
                stopped > 0 || orders.iter().any(is_careful)
            }
        };
        let care = if careful { Care::Careful } else { Care::Plain };
        let mut told = Vec::new();
        let mut tell = |text: String, loud: bool| told.push(Line { text, loud });
        if !cannot.is_empty() {
            let marked = orders.len() + cannot.len();
            let number = words::thousands(cannot.len());
            tell(format!("Of the {} marked {number} cannot:", words::thousands(marked)), true);
            for group in by_reason(cannot) {
                tell(format!("  {}", reason_line(&group)), true);
            }
        }
        let unseen = self.marks_unseen();
        if unseen > 0 {
            let (number, are) = (words::thousands(unseen), if unseen == 1 { "is" } else { "are" });
            tell(format!("{number} of the marked {are} not to be seen now: filtered out or folded away."), true);
        }
        if told.is_empty() {
            let text = "Each by itself: one that has changed meanwhile is left alone.".into();
            told.push(Line { text, loud: false });
        }
        let ask = Ask {
            title: title(&of_these(&orders)),
            effect: lines,
            yes: yes.into(),
            no: "let them be".into(),
            care,
            focus: Focus::Answers,
            reason: Some(Input::default()),
            run: first.run,
            result: None,
            instead: None,
            foretold: Foretold::known(told),
            seen: None,
            deed: Deed::Many(orders),
        };
        Ok(match single {
            Some(Ask { title, effect, yes, no, care, focus, .. }) => Ask { title, effect, yes, no, care, focus, ..ask },
            None => ask,
        })
    }

    /// For each plan of runs that are to be started, which other runs of it are under way.
    fn others_of(&self, orders: &[Order]) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for order in orders {
            let Some(run) = self.runs.run(order.run) else { continue };
            let others = self.runs.under_way(&run.summary.plan_id, order.run, run.summary.parent);
            if !others.is_empty() {
                let line = format!("{}: {}", order.name, self.others_of_plan(&others));
                if !told.contains(&line) {
                    told.push(line);
                }
            }
        }
        told
    }

    /// How many attempts some commands stop.
    fn stopped_by(&self, orders: &[Order]) -> usize {
        let stops = |order: &Order| match &order.command {
            Command::Cancel => self.runs.run(order.run).map_or(0, |run| run.summary.counts.live() as usize),
            Command::Retry { step, .. } | Command::Skip { step } | Command::Complete { step, .. } => {
                let instances = self.run.as_ref().and_then(|run| {
                    run.state.instance_counts(run.state.position(step)?).map(|counts| counts.live() as usize)
                });
                instances.unwrap_or_default() + usize::from(order.seen.is_some_and(StepStatus::is_live))
            }
            _ => 0,
        };
        orders.iter().map(stops).sum()
    }

    /// The question was answered with yes.
    pub(super) fn send_to_marks(&mut self, orders: Vec<Order>, reason: Option<&Input>) -> Vec<Effect> {
        let sent = orders.into_iter().map(|order| {
            let request = self.request_of(order.command.clone(), order.seen, reason);
            Sent { order, request }
        });
        let sent = sent.collect();
        self.unmark();
        vec![Effect::SendAll(sent)]
    }

    /// What became of all of them, in a line.
    pub(super) fn told_by_all(&mut self, answers: Vec<Answered>) {
        let Some((first, _)) = answers.first() else { return };
        let done = wording(&first.command).done;
        let of =
            |wanted| answers.iter().filter(|(_, answer)| answer.as_ref().is_ok_and(|status| *status == wanted)).count();
        let pending = of(InterventionStatus::Pending);
        let refused: Vec<(String, String)> = answers
            .iter()
            .filter_map(|(order, answer)| Some((order.name.clone(), answer.as_ref().err()?.message.clone())))
            .collect();
        let applied = answers.len() - pending - refused.len();
        let mut said = Vec::new();
        if applied > 0 {
            // A pause by a person is not over with the retry of a step, or its release.
            let waits = matches!(first.command, Command::Retry { .. } | Command::Release { .. });
            let by_person = |run: &OpenRun| run.id() == first.run && run.state.paused.contains(&PauseReason::Operator);
            let waits = waits && self.run.as_ref().is_some_and(by_person);
            let when =
                if waits { self.keys.fill("; they run when the run is resumed: {resume}") } else { String::new() };
            said.push(format!("{} {done}{when}", words::thousands(applied)));
        }
        if pending > 0 {
            said.push(format!("{} accepted, as soon as the attempts have stopped", words::thousands(pending)));
        }
        if refused.is_empty() {
            self.say(said.join(", "));
            return;
        }
        let number = words::thousands(refused.len());
        let reasons: Vec<String> = by_reason(refused).iter().map(reason_line).collect();
        said.push(format!("{number} refused: {}", reasons.join("; ")));
        self.complain(said.join(", "));
    }
}

fn none_can(marks: usize, cannot: Vec<(String, String)>) -> String {
    let reasons: Vec<String> = by_reason(cannot).iter().map(reason_line).collect();
    let none = if marks == 1 {
        "what is marked does not take it".into()
    } else {
        format!("none of the {marks} marked takes it")
    };
    format!("{none}: {}", reasons.join("; "))
}
