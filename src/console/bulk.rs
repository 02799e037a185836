//! One action on everything that is marked: one question that counts, a command for each, one summary of what became of them.
//!
//! Nothing is decided here that is not decided for one: whether a step takes a command says the same rule as for a single one, each command
//! carries the status its step had when it was asked about, and the engine answers each by itself. While the question is open, what stands
//! otherwise than it did leaves it.

mod told;

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use crate::engine::{Ack, ListedRun};
use crate::run::{Command, Rejection, Request, RunState, RunStatus, StepStatus};

use super::actions::{Action, Group, Kind, Target};
use super::app::{App, Effect, Place};
use super::availability::{allowed, possible, steerable};
use super::foretold::{Foretold, Line};
use super::input::Input;
use super::popups::{Ask, Care, Deed, Focus};
use super::questions::signatures_to_come;
use super::run_model::Ownership;
use super::{text, words};

use told::{Wording, names, none_can, of_these, reason_lines, told_of_run, wording};
pub use told::{asked, is_there, told};

/// No more marked steps than this are asked for a frame whether an action is possible.
const ASKED: usize = 32;
/// Whether a change of the plan is possible costs a walk over it: no more steps than this are walked over for a question.
const WALKED: usize = 200_000;
/// So many are named.
const NAMED: usize = 6;

/// How one of those that are marked stood when it was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stood {
    /// A step of the open run.
    Step(StepStatus),
    /// A run of the list.
    Run(RunStatus),
}

/// A command to one of those that are marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// To which run.
    pub run: Uuid,
    /// Nobody owns the run: it is taken over first.
    pub take_over: bool,
    /// What it is called: the step, or the run.
    pub name: String,
    /// The command.
    pub command: Command,
    /// How it stood when it was asked about: one that stands otherwise is left alone.
    pub stood: Stood,
}

impl Order {
    /// The step's status when it was asked about.
    pub fn seen(&self) -> Option<StepStatus> {
        match self.stood {
            Stood::Step(status) => Some(status),
            Stood::Run(_) => None,
        }
    }
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
pub type Answered = (Order, Result<Ack, Rejection>);

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marked {
    /// A command to each that takes it.
    pub orders: Vec<Order>,
    /// The others by name, and why they do not.
    pub cannot: Vec<(String, String)>,
    /// Instances that go with their steps, which are marked too.
    along: Vec<String>,
    /// How many are marked that cannot be seen.
    unseen: usize,
    /// It is as careful a question as one that stops something.
    careful: bool,
    /// What one step's command would do is asked of the engine: it has a question of its own.
    is_foreseen: bool,
    /// The state of the open run that they were asked of.
    seq: Option<u64>,
}

impl Marked {
    /// The one step it is about, if it is no more.
    fn only_step(&self) -> Option<&Order> {
        match self.orders.as_slice() {
            [only] if only.command.target().is_some() => Some(only),
            _ => None,
        }
    }

    /// The one step of which the engine is to say what the command would do, as it does where only that is asked about.
    pub fn foreseen(&self) -> Option<&Order> {
        self.only_step().filter(|_| self.is_foreseen)
    }

    /// The one run it is about, if it is about no other: the steps are those of one.
    pub fn only_run(&self) -> Option<Uuid> {
        let first = self.orders.first()?;
        (first.command.target().is_some() || self.orders.len() == 1).then_some(first.run)
    }
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
        if sorted.orders.is_empty() { Err(none_can(marks, &sorted.cannot)) } else { Ok(()) }
    }

    /// Opens the question whether to do something to all that are marked, or says why none takes it.
    pub(super) fn ask_for_marks(&mut self, action: Action) -> Vec<Effect> {
        let marked = match self.sorted(action, true) {
            Ok(marked) => marked,
            Err(why) => {
                self.complain(format!("{}: {why}", action.entry().label));
                return Vec::new();
            }
        };
        let marked = self.weighed(marked);
        match self.question_for(marked) {
            Ok(ask) => self.ask(ask),
            Err(why) => {
                self.complain(format!("{}: {why}", action.entry().label));
                Vec::new()
            }
        }
    }

    /// Asks each of the marked; `thoroughly`: also what costs a walk over the plan, where that is not too long.
    fn sorted(&self, action: Action, thoroughly: bool) -> Result<Marked, String> {
        let Kind::Command(build) = action.entry().kind else { return Err("this is about one at a time".into()) };
        let mut marked = Marked::default();
        if self.place == Place::Runs {
            let target = Target { step: None, max_parallel: 0, checkpoint: None, version: None, intervention: None };
            let Some(command) = build(target) else { return Ok(marked) };
            let mut runs: Vec<&ListedRun> = self.runs.marked.iter().filter_map(|run| self.runs.run(*run)).collect();
            runs.sort_by_key(|run| (run.summary.created_at, run.summary.run_id));
            for listed in runs {
                let name = words::run_name(&listed.summary);
                match possible_for(listed, &command) {
                    Err(why) => marked.cannot.push((name, why)),
                    Ok(()) => marked.orders.push(Order {
                        run: listed.summary.run_id,
                        take_over: !listed.ours,
                        name,
                        command: command.clone(),
                        stood: Stood::Run(listed.summary.status),
                    }),
                }
            }
            return Ok(marked);
        }
        let run = self.run.as_ref().ok_or("no run is open")?;
        steerable(self, run)?;
        marked.seq = Some(run.state.seq);
        let take_over = run.ownership == Ownership::Nobody;
        let positions = run.marked();
        let walks = thoroughly && positions.len() * run.state.steps.len() <= WALKED;
        for position in positions {
            let name = run.state.plan.steps[position].step_id.clone();
            let Some(command) = build(self.target(run, Some(&name))) else { continue };
            let found = possible(self, &run.state, command.clone()).map_err(|rejection| rejection.message);
            let found = found.and_then(|()| if walks { allowed(self, run, &command) } else { Ok(()) });
            match found {
                Err(why) => marked.cannot.push((name, why)),
                Ok(()) => {
                    let stood = Stood::Step(run.state.steps[position].status);
                    marked.orders.push(Order { run: run.id(), take_over, name, command, stood });
                }
            }
        }
        marked.leave_to_their_steps(&run.state);
        Ok(marked)
    }

    /// With what is found out once, when it is asked: how careful the question has to be, going by the one about each alone (what a retry with
    /// everything after it runs again costs a walk), and how many are not to be seen.
    fn weighed(&self, marked: Marked) -> Marked {
        let is_careful = |order: &Order| match order.stood {
            Stood::Run(_) => order.command == Command::Cancel,
            Stood::Step(_) => self.question(&order.command, order.seen()).is_some_and(|ask| ask.care == Care::Careful),
        };
        Marked { careful: marked.orders.iter().any(is_careful), unseen: self.marks_unseen(), ..marked }
    }

    /// Whether nothing has happened since that could change what a question about these says.
    pub(super) fn is_as_asked(&self, marked: &Marked) -> bool {
        marked.seq.is_some() && marked.seq == self.run.as_ref().map(|run| run.state.seq)
    }

    /// The question about these as it would be asked now: without those that stand otherwise than they did. `None`: there is none left.
    pub(super) fn asked_again(&self, mut marked: Marked) -> Option<Ask> {
        if !self.is_as_asked(&marked) {
            marked.seq = marked.seq.and(self.run.as_ref().map(|run| run.state.seq));
            let mut left = Vec::with_capacity(marked.orders.len());
            for mut order in marked.orders {
                match self.changed(&order) {
                    Some(why) => marked.cannot.push((order.name, why)),
                    None => {
                        order.take_over = self.is_nobodys(&order);
                        left.push(order);
                    }
                }
            }
            marked.orders = left;
        }
        self.question_for(marked).ok()
    }

    /// Why one of the marked is left alone that was asked about: it stands otherwise by now.
    fn changed(&self, order: &Order) -> Option<String> {
        match order.stood {
            Stood::Run(stood) => {
                let Some(listed) = self.runs.run(order.run) else { return Some("it is gone".into()) };
                let now = listed.summary.status;
                let other = (now != stood).then(|| format!("it is {} by now", now.word()));
                possible_for(listed, &order.command).err().or(other)
            }
            Stood::Step(stood) => {
                let open = self.run.as_ref().filter(|run| run.id() == order.run);
                let Some((_, step)) = open.and_then(|run| run.state.step(&order.name)) else {
                    return Some("it is not in the plan any more".into());
                };
                (step.status != stood).then(|| format!("it is {} by now", step.status.word()))
            }
        }
    }

    /// Whether nobody owns the run of one of the marked.
    fn is_nobodys(&self, order: &Order) -> bool {
        match order.stood {
            Stood::Run(_) => !self.runs.is_ours(order.run),
            Stood::Step(_) => self.run.as_ref().is_some_and(|run| run.ownership == Ownership::Nobody),
        }
    }

    fn question_for(&self, mut marked: Marked) -> Result<Ask, String> {
        let orders = &marked.orders;
        let Some(first) = orders.first() else { return Err(none_can(self.marks(), &marked.cannot)) };
        let (about_runs, run) = (first.command.target().is_none(), first.run);
        let Wording { title, effect, yes, .. } = wording(&first.command);
        // Of one alone it is said as of one alone.
        let single = marked.only_step().and_then(|only| self.question(&only.command, only.seen()));
        let mut lines = Vec::new();
        match orders.len() {
            1 => {}
            _ if about_runs => lines.extend(orders.iter().take(NAMED).filter_map(|order| self.run_line(order))),
            _ => lines.push(format!("{}.", names(orders.iter().map(|order| &*order.name)))),
        }
        if about_runs && orders.len() > NAMED {
            lines.push(format!("  and {} more, named below", words::thousands(orders.len() - NAMED)));
        }
        let stopped = self.stopped_by(orders);
        if stopped > 0 {
            let are = if stopped == 1 { "attempt is" } else { "attempts are" };
            let grace = self.run.as_ref().filter(|_| !about_runs).map(|run| run.state.options.grace_seconds);
            let whose = if orders.len() == 1 { "its" } else { "their" };
            let after = grace.map_or_else(|| format!("{whose} grace period"), words::span);
            lines.push(format!("{} {are} stopped first: TERM, and KILL after {after}.", words::thousands(stopped)));
        }
        match first.command {
            Command::Release { .. } => lines.extend(self.released(orders, effect)),
            _ => lines.push(effect.into()),
        }
        let others = match first.command {
            Command::Start => self.others_of(orders),
            _ => Vec::new(),
        };
        let careful = marked.careful || stopped > 0 || !others.is_empty();
        lines.extend(others);
        let mut notes = marked.notes();
        if about_runs {
            let rest = orders.iter().skip(NAMED).filter_map(|order| self.run_line(order));
            notes.extend(rest.map(|text| Line { text, loud: false }));
        }
        if notes.is_empty() && single.is_none() {
            notes.push(Line { text: "What changes before you answer is left alone.".into(), loud: false });
        }
        let title = title(&of_these(orders));
        let (yes, no) = match orders.len() {
            1 => (yes.replace("them", "it"), "let it be"),
            _ => (yes.to_owned(), "let them be"),
        };
        marked.is_foreseen = single.is_some();
        let ask = Ask {
            title,
            effect: lines,
            yes,
            no: no.into(),
            care: if careful { Care::Careful } else { Care::Plain },
            focus: Focus::Answers,
            reason: Some(Input::default()),
            run,
            result: None,
            instead: None,
            foretold: Foretold::beside(notes, single.is_some()),
            seen: None,
            kills: false,
            agreed: None,
            deed: Deed::Many(Box::new(marked)),
        };
        Ok(match single {
            Some(Ask { title, effect, yes, no, .. }) => Ask { title, effect, yes, no, ..ask },
            None => ask,
        })
    }

    /// A run of the list, how it stands, and how many attempts it has.
    fn run_line(&self, order: &Order) -> Option<String> {
        let summary = &self.runs.run(order.run)?.summary;
        let live = summary.counts.live() as usize;
        let attempts = if live == 0 { String::new() } else { format!(", {}", words::count(live, "attempt")) };
        Some(format!("  {}: {}{attempts}", order.name, summary.status.word()))
    }

    /// What a release leads to: some of the steps may want another person's word as well.
    fn released(&self, orders: &[Order], effect: &str) -> Vec<String> {
        let state = self.run.as_ref().map(|run| &run.state);
        let to_come = |order: &Order| state.map_or(0, |state| signatures_to_come(state, &order.name));
        let all = orders.iter().map(|order| (to_come(order), &*order.name));
        let mut held: Vec<(u32, &str)> = all.filter(|(more, _)| *more > 0).collect();
        held.sort_by_key(|(more, _)| *more);
        let start = (held.len() < orders.len()).then(|| match held.len() {
            0 => effect.to_owned(),
            _ => effect.replacen("They start", "The others start", 1),
        });
        let stay = held.chunk_by(|one, other| one.0 == other.0).map(|of| {
            let stay = if of.len() == 1 { "stays" } else { "stay" };
            let more = words::count(of[0].0 as usize, "more signature");
            format!("{} {stay} held: {more} to come.", names(of.iter().map(|(_, name)| *name)))
        });
        stay.chain(start).collect()
    }

    /// For each plan of runs that are to be started, which other runs of it are under way, and how many of it start together.
    fn others_of(&self, orders: &[Order]) -> Vec<String> {
        let mut plans: Vec<(&str, Vec<&ListedRun>)> = Vec::new();
        for run in orders.iter().filter_map(|order| self.runs.run(order.run)) {
            match plans.iter_mut().find(|(plan, _)| *plan == run.summary.plan_id) {
                Some((_, runs)) => runs.push(run),
                None => plans.push((&run.summary.plan_id, vec![run])),
            }
        }
        let mut told = Vec::new();
        for (plan, runs) in plans {
            if runs.len() > 1 {
                let runs = words::thousands(runs.len());
                told.push(format!("{runs} runs of {} work side by side then.", text::clean(plan)));
            }
            let others = runs.iter().flat_map(|run| self.runs.under_way(plan, run.summary.run_id, run.summary.parent));
            let mut seen = HashSet::new();
            let others: Vec<&ListedRun> = others.filter(|other| seen.insert(other.summary.run_id)).collect();
            if !others.is_empty() {
                told.push(format!("{}: {}", text::clean(plan), self.others_of_plan(&others)));
            }
        }
        told
    }

    /// How many attempts some commands stop, each counted once.
    fn stopped_by(&self, orders: &[Order]) -> usize {
        let of_runs = orders.iter().filter(|order| order.command == Command::Cancel);
        let of_runs = of_runs.filter_map(|order| self.runs.run(order.run));
        let of_runs: usize = of_runs.map(|run| run.summary.counts.live() as usize).sum();
        let stops = |order: &Order| {
            let state = &self.run.as_ref().filter(|run| run.id() == order.run)?.state;
            Some(state.stops(state.position(order.command.target()?)?, &order.command))
        };
        of_runs + orders.iter().filter_map(stops).flatten().collect::<BTreeSet<usize>>().len()
    }

    /// The question was answered with yes.
    pub(super) fn send_to_marks(&mut self, orders: Vec<Order>, reason: Option<&Input>) -> Vec<Effect> {
        let sent = orders.into_iter().map(|order| {
            let request = self.request_of(order.command.clone(), order.seen(), reason);
            Sent { order, request }
        });
        let sent = sent.collect();
        self.unmark();
        vec![Effect::SendAll(sent)]
    }

    /// What became of all of them, in a line; of one alone it is said as of one alone.
    pub(super) fn told_by_all(&mut self, answers: Vec<Answered>) {
        match answers.as_slice() {
            [(order, Ok(ack))] if order.command.target().is_some() => self.done(&order.command, ack),
            [(order, Err(rejection))] if order.command.target().is_some() => {
                self.refused(&order.command, &rejection.to_string());
            }
            [(order, Ok(_))] => self.say(told_of_run(order)),
            [(order, Err(rejection))] => {
                self.complain(format!("{}: not done, {rejection}", asked(std::slice::from_ref(order))));
            }
            _ => self.say_of_all(answers),
        }
    }
}

impl Marked {
    /// An instance that its step's command deals with is left to that: it would be found as it does not stand any more.
    fn leave_to_their_steps(&mut self, state: &RunState) {
        let ordered: HashSet<usize> = self.orders.iter().filter_map(|order| state.position(&order.name)).collect();
        let goes_along = |order: &Order| {
            let position = state.position(&order.name)?;
            state.parent(position).filter(|parent| ordered.contains(parent))?;
            state.along(position, &order.command)
        };
        let (along, own): (Vec<Order>, Vec<Order>) =
            std::mem::take(&mut self.orders).into_iter().partition(|order| goes_along(order).is_some());
        self.orders = own;
        self.along = along.into_iter().map(|order| order.name).collect();
    }

    /// What of the marked the question is not about, or not by itself, and why.
    fn notes(&self) -> Vec<Line> {
        let mut notes = Vec::new();
        let mut tell = |text: String, loud: bool| notes.push(Line { text, loud });
        if !self.cannot.is_empty() {
            let marked = self.orders.len() + self.cannot.len() + self.along.len();
            let number = words::thousands(self.cannot.len());
            tell(format!("Of the {} marked {number} cannot:", words::thousands(marked)), true);
            for line in reason_lines(&self.cannot) {
                tell(format!("  {line}"), true);
            }
        }
        if !self.along.is_empty() {
            let (go, steps) = if self.along.len() == 1 { ("goes", "its step") } else { ("go", "their step") };
            let along = names(self.along.iter().map(String::as_str));
            tell(format!("{along} {go} with {steps}, marked as well."), false);
        }
        if self.unseen > 0 {
            let (number, are) = (words::thousands(self.unseen), if self.unseen == 1 { "is" } else { "are" });
            tell(format!("{number} of the marked {are} not to be seen now: filtered out or folded away."), true);
        }
        notes
    }
}
