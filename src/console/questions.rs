//! What is asked before a command is sent: what stops an attempt, runs a completed step again or is hard to undo.

use crate::engine::ListedRun;
use crate::plan::Edit;
use crate::run::{
    Command, Intervention, Inverse, PlanVersion, RunState, StepStatus, Undoable, checkpoint_id, newest_undoable,
};

use super::app::App;
use super::attaching::process;
use super::foretold::Foretold;
use super::input::Input;
use super::log::asked;
use super::popups::{Ask, Care, Deed, Focus, Popup, ResultField};
use super::run_model::Ownership;
use super::{text, words};

/// So many other runs of a plan are named in the question whether to start one.
const NAMED: usize = 3;

/// So many lines of a change are told in the question whether to undo it.
const UNDONE: usize = 12;

/// What the gate said of the result that is asked about.
fn verdict_on(state: &RunState, step: &str) -> Vec<String> {
    let review = state.step(step).and_then(|(_, found)| found.reviews.last());
    review.map(|review| format!("The gate: {}.", review.judgement.reason)).into_iter().collect()
}

/// A step that would stand before a hold point which it has waited for so far, and that hold point. Where steps say themselves what they wait
/// for, their order lets nothing past.
fn let_past<'a>(state: &RunState, steps: &'a [String]) -> Option<(&'a str, &'a str)> {
    if state.order().is_graph() {
        return None;
    }
    let place = |step: &String| state.position(step);
    let holds = steps.iter().enumerate().filter(|(_, step)| place(step).is_some_and(|at| state.is_hold_point(at)));
    holds.into_iter().find_map(|(at, hold)| {
        let freed = steps[..at].iter().find(|step| place(step) > place(hold))?;
        Some((freed.as_str(), hold.as_str()))
    })
}

impl App {
    /// The question to ask before a command, if it is one that asks.
    pub(super) fn question(&self, command: &Command, seen: Option<StepStatus>) -> Option<Ask> {
        let run = self.run.as_ref()?;
        let state = &run.state;
        let ask = |title: String, effect: Vec<String>, yes: &str, no: &str, care: Care| Ask {
            title,
            effect,
            yes: yes.into(),
            no: no.into(),
            care,
            focus: Focus::Answers,
            reason: Some(Input::default()),
            run: state.run_id,
            deed: Deed::Send(command.clone()),
            result: None,
            instead: None,
            foretold: Foretold::default(),
            seen,
            kills: false,
            agreed: None,
        };
        let live = seen.is_some_and(StepStatus::is_live);
        let grace = words::span(state.options.grace_seconds);
        let stops = || format!("Its attempt is stopped first: TERM, and KILL after {grace}.");
        let instances = |step: &str| state.instance_counts(state.position(step)?);
        let plan = &state.plan.plan_id;
        match command {
            Command::Start => {
                let mut effect = vec![format!(
                    "{}, at most {} at the same time.",
                    words::count(state.steps.len(), "step"),
                    state.options.max_parallel
                )];
                effect.push(match state.options.simulate {
                    true => "Unbound agents are simulated; everything else is real.".into(),
                    false => "The steps are carried out for real.".into(),
                });
                if let Ownership::Attached(pid) = run.ownership {
                    effect.push(format!(
                        "They run in process {pid}, not in this console: leaving it leaves them running."
                    ));
                }
                let others = self.runs.under_way(plan, state.run_id, state.parent.map(|(parent, _)| parent));
                let Some(newest) = others.first() else {
                    let question = ask(format!("Start {plan}?"), effect, "start", "not yet", Care::Plain);
                    return Some(Ask { reason: None, ..question });
                };
                effect.insert(0, self.others_of_plan(&others));
                let instead = Some((newest.summary.run_id, format!("open {}", newest.summary.short_id())));
                let question = ask(format!("Start another run of {plan}?"), effect, "start", "not yet", Care::Careful);
                Some(Ask { reason: None, instead, ..question })
            }
            Command::Cancel => {
                let counts = state.counts();
                let (running, pending) = (counts.live() as usize, counts.total() - counts.done() - counts.live());
                let pending = pending.saturating_sub(counts.of(StepStatus::Failed)) as usize;
                let mut effect = Vec::new();
                if state.cancelling {
                    effect.push(format!("{} killed at once (KILL).", is_are(running, "attempt")));
                    let title = format!("Kill what still runs of {plan}?");
                    let question = ask(title, effect, "kill now", "wait", Care::Careful);
                    return Some(Ask { kills: true, ..question });
                }
                if running > 0 {
                    effect.push(format!("{} stopped: TERM, and KILL after {grace}.", is_are(running, "attempt")));
                }
                if pending > 0 {
                    effect.push(format!("{} not run.", is_are(pending, "step")));
                }
                effect.push("The run ends as cancelled. A retry or a skip opens it again.".into());
                Some(ask(format!("Cancel {plan}?"), effect, "cancel the run", "let it be", Care::Careful))
            }
            Command::Rollback => {
                let effect = vec![
                    "What is completed is undone, the newest first, and the run ends.".to_owned(),
                    "u does not take it back: a retry or a restore runs the steps again.".to_owned(),
                ];
                Some(ask(format!("Roll {plan} back?"), effect, "roll back", "let it be", Care::Careful))
            }
            Command::Retry { step, downstream } => {
                let mut effect = Vec::new();
                if live {
                    effect.push(stops());
                }
                if *downstream {
                    let again =
                        state.position(step).map(|position| state.order().downstream(position)).unwrap_or_default();
                    let done =
                        again.iter().filter(|place| state.steps[**place].status == StepStatus::Completed).count();
                    let completed = seen == Some(StepStatus::Completed);
                    let own = instances(step).map_or(0, |counts| counts.of(StepStatus::Completed) as usize);
                    if !live && done + own == 0 && !completed {
                        return None;
                    }
                    if own > 0 {
                        let have = if own == 1 { "has" } else { "have" };
                        effect.push(format!(
                            "{} {have} completed; it is expanded anew, and all of it runs again.",
                            words::count(own, "instance")
                        ));
                    }
                    if completed {
                        effect.push(format!("{step} is completed; what it did outside is done a second time."));
                    }
                    if done > 0 {
                        let (have, again) = if done == 1 { ("has", "it runs") } else { ("have", "they run") };
                        effect
                            .push(format!("{} after it {have} completed; {again} again.", words::count(done, "step")));
                    }
                    return Some(ask(
                        format!("Run {step} and everything after it again?"),
                        effect,
                        "run again",
                        "let it be",
                        Care::Careful,
                    ));
                }
                live.then(|| {
                    ask(format!("Stop {step} and run it again?"), effect, "stop and retry", "let it run", Care::Careful)
                })
            }
            Command::Skip { step } if live => {
                let effect = vec![stops(), "What depends on it goes on without it.".into()];
                Some(ask(format!("Stop {step} and skip it?"), effect, "stop and skip", "let it run", Care::Careful))
            }
            Command::Skip { step } if instances(step).is_some_and(|counts| counts.live() > 0) => {
                let running = state.position(step).map_or(0, |position| state.stops(position, command).len());
                let effect = vec![
                    format!("{} stopped: TERM, and KILL after {grace}.", is_are(running, "running instance")),
                    "What is not done of it is skipped. What depends on it goes on.".into(),
                ];
                Some(ask(format!("Skip the rest of {step}?"), effect, "skip", "let it run", Care::Careful))
            }
            Command::Skip { step } => {
                let effect = vec!["It is not run. What depends on it goes on without it.".into()];
                Some(ask(format!("Skip {step}?"), effect, "skip", "let it be", Care::Plain))
            }
            Command::Approve { step } => {
                let mut effect = verdict_on(state, step);
                effect.push("It counts as completed, and what depends on it goes on.".into());
                Some(ask(format!("Approve the result of {step}?"), effect, "approve", "not yet", Care::Plain))
            }
            Command::Reject { step } => {
                let mut effect = verdict_on(state, step);
                effect.push("The step fails; what depends on it does not go on.".into());
                Some(ask(format!("Reject the result of {step}?"), effect, "reject", "not yet", Care::Careful))
            }
            Command::Complete { step, .. } => {
                let mut effect = vec!["You did its work: it counts as completed and is not run again.".into()];
                let question = if live {
                    effect.insert(0, stops());
                    ask(format!("Stop {step}: done by hand?"), effect, "stop, it is done", "let it run", Care::Careful)
                } else {
                    ask(format!("Is {step} done by hand?"), effect, "it is done", "no", Care::Plain)
                };
                Some(Ask { result: Some(ResultField::default()), ..question })
            }
            Command::Hold { step } => {
                let effect = vec!["The run stops before it, until somebody releases it.".into()];
                Some(ask(format!("Set a hold point on {step}?"), effect, "set it", "let it be", Care::Plain))
            }
            Command::Release { step } => {
                let why = state.position(step).and_then(|position| state.hold_reason(position));
                let mut effect: Vec<String> =
                    why.map(|why| format!("Held for: {}", text::clean(why))).into_iter().collect();
                effect.push(match signatures_to_come(state, step) {
                    0 => "It starts as soon as the run lets it.".into(),
                    more => format!("It stays held: {} to come.", words::count(more as usize, "more signature")),
                });
                Some(ask(format!("Release {step}?"), effect, "release", "keep it held", Care::Plain))
            }
            Command::Remove { step } => {
                let mut effect = vec![
                    "It is taken out of the plan; u brings it back, until what follows it has started.".to_owned(),
                ];
                let attempts = state.step(step).map_or(0, |(_, step)| step.attempts.len());
                if attempts > 0 {
                    effect.push(format!("It has had {}; what they printed stays.", words::count(attempts, "attempt")));
                }
                // One that has run is gone from the screen with all that it printed.
                let care = if attempts > 0 { Care::Careful } else { Care::Plain };
                Some(ask(format!("Remove {step} from the plan?"), effect, "remove", "let it be", care))
            }
            Command::Reorder { steps } => {
                let (step, hold) = let_past(state, steps)?;
                let effect = vec![
                    format!("{step} then no longer waits until {hold} is released."),
                    "u brings the order back, until what follows it has started.".to_owned(),
                ];
                Some(ask(
                    format!("Move {step} before the hold point {hold}?"),
                    effect,
                    "move",
                    "let it be",
                    Care::Plain,
                ))
            }
            Command::Restore { checkpoint } => {
                let entry = state.checkpoints.iter().position(|mark| mark.seq == *checkpoint)?;
                let mark = state.checkpoints.get(entry)?;
                let when = self.settings.zone.moment(mark.time, self.now);
                let effect = vec![
                    format!("Plan, steps and results are as they were {when} ({}).", state.what_made(entry)),
                    "What came after stays readable; the run is paused if work is left.".into(),
                ];
                let id = checkpoint_id(*checkpoint);
                Some(ask(format!("Go back to {id}?"), effect, "go back", "stay", Care::Careful))
            }
            Command::UseVersion { version } => {
                let effect = vec!["The plan becomes what it was then, as a new version.".to_owned()];
                Some(ask(
                    format!("Bring version {version} of the plan back?"),
                    effect,
                    "bring it back",
                    "let it be",
                    Care::Plain,
                ))
            }
            Command::Undo { .. } | Command::UndoIntervention { .. } => {
                let found = self.undoes(command)?;
                let (title, effect) = match found {
                    Undoable::Change(version) => {
                        (format!("Undo version {} of the plan?", version.change.version), self.undone(version))
                    }
                    Undoable::Intervention(record) => {
                        let did = asked(record, state);
                        (
                            format!("Undo: {} {}?", text::clean(&record.user), text::clean(&did)),
                            vec![self.acted(record)],
                        )
                    }
                };
                let question = ask(title, effect, "undo", "let it be", Care::Plain);
                // What is undone is what was shown, whatever else is done meanwhile.
                Some(Ask { deed: Deed::Send(found.command()), ..question })
            }
            _ => None,
        }
    }

    /// Which other runs of a plan are under way, and where.
    pub(super) fn others_of_plan(&self, others: &[&ListedRun]) -> String {
        let told = others.iter().take(NAMED).map(|run| {
            let place = match run.elsewhere() {
                Some(owner) => format!("in {}", process(owner.pid)),
                None => self.settings.attached.map_or("in this console".into(), |pid| format!("in process {pid}")),
            };
            words::under_way(&run.summary, &place, self.now)
        });
        let told = told.collect::<Vec<_>>().join("; ");
        match others.len() {
            1 => format!("A run of it is active already: {told}."),
            more if more <= NAMED => format!("{more} runs of it are active already: {told}."),
            more => format!("{} runs of it are active already: {told}; and more.", words::thousands(more)),
        }
    }

    /// The question whether to make a new run that begins at a checkpoint.
    pub(super) fn fork_question(&self, checkpoint: u64) -> Option<Ask> {
        let state = &self.run.as_ref()?.state;
        let entry = state.checkpoints.iter().position(|mark| mark.seq == checkpoint)?;
        let mark = state.checkpoints.get(entry)?;
        let id = checkpoint_id(checkpoint);
        let when = self.settings.zone.moment(mark.time, self.now);
        let plan = text::clean(&state.plan.plan_id);
        let effect = vec![
            format!(
                "A new run, idle, with plan, steps and results as they were {when} ({}).",
                text::clean(&state.what_made(entry))
            ),
            format!("This run stays as it is. `{plan}` then means the new one, as the newest run of its plan."),
        ];
        Some(Ask {
            title: format!("Fork {plan} at {id}?"),
            effect,
            yes: "fork".into(),
            no: "let it be".into(),
            care: Care::Plain,
            focus: Focus::Answers,
            reason: Some(Input::default()),
            run: state.run_id,
            deed: Deed::Fork { checkpoint },
            result: None,
            instead: None,
            foretold: Foretold::default(),
            seen: None,
            kills: false,
            agreed: None,
        })
    }

    /// What an undo would take back.
    fn undoes(&self, command: &Command) -> Option<Undoable<'_>> {
        let state = &self.run.as_ref()?.state;
        let change = |version| state.versions.iter().find(|one| one.change.version == version).map(Undoable::Change);
        match command {
            Command::Undo { version: Some(version) } => change(*version),
            Command::Undo { version: None } => newest_undoable(state).ok(),
            Command::UndoIntervention { intervention } => {
                let record = state.interventions.iter().rev().find(|one| one.intervention_id == *intervention)?;
                match record.inverse.as_deref() {
                    Some(Inverse::Plan { version }) => change(*version),
                    _ => Some(Undoable::Intervention(record)),
                }
            }
            _ => None,
        }
    }

    /// Selects the step that an undo has brought back, as soon as it is there.
    pub(super) fn select_what_came_back(&mut self, command: &Command) {
        let Some(Undoable::Change(version)) = self.undoes(command) else { return };
        let back = version.change.edits.iter().find_map(|edit| match edit {
            Edit::Remove { step_id } => Some(step_id.clone()),
            _ => None,
        });
        if let Some((run, step)) = self.run.as_mut().zip(back) {
            run.select_when_there(&step);
        }
    }

    /// Who made a version of the plan, when, why, and what it changed.
    fn undone(&self, version: &PlanVersion) -> Vec<String> {
        let change = &version.change;
        let when = self.settings.zone.moment(version.time, self.now);
        let why = change.reason.as_deref().map(|reason| format!(": \"{}\"", text::clean(reason))).unwrap_or_default();
        let mut told = vec![format!("{} changed the plan at {when}{why}", text::clean(&change.user))];
        let lines = change.in_full();
        told.extend(lines.iter().take(UNDONE).map(|line| format!("  {}", text::clean(line))));
        if lines.len() > UNDONE {
            told.push(format!("  and {} more", lines.len() - UNDONE));
        }
        told
    }

    /// Who intervened, when and why.
    fn acted(&self, record: &Intervention) -> String {
        let when = self.settings.zone.moment(record.timestamp, self.now);
        let why = record.reason.as_deref().map(|reason| format!(": \"{}\"", text::clean(reason))).unwrap_or_default();
        format!("{} did it at {when}{why}", text::clean(&record.user))
    }

    /// Attempts start and end while the question whether to cancel is open, other runs of a plan become known while that whether to start one is, and what
    /// is marked changes: it says what would be done now. Done before
    /// each frame, and before it is answered; one that has become another question takes no answer before it was drawn.
    pub(super) fn refresh_question(&mut self) {
        let Some(Popup::Ask(ask)) = self.layers.last().map(|layer| &layer.popup) else { return };
        if matches!(&ask.deed, Deed::Many(marked) if self.is_as_asked(marked)) {
            return;
        }
        let Some(Popup::Ask(ask)) = self.layers.last_mut().map(|layer| &mut layer.popup) else { return };
        let (about, title) = (ask.about(), ask.title.clone());
        let marked = match &mut ask.deed {
            Deed::Send(Command::Cancel | Command::Start) => None,
            Deed::Many(marked) => Some(std::mem::take(&mut **marked)),
            _ => return,
        };
        let fresh = match marked {
            Some(marked) => self.asked_again(marked),
            None if matches!(ask.deed, Deed::Send(Command::Start)) => self.question(&Command::Start, None),
            None => self.question(&Command::Cancel, None).filter(|fresh| fresh.title == title),
        };
        let Some(layer) = self.layers.last_mut() else { return };
        match (fresh, &mut layer.popup) {
            (Some(fresh), Popup::Ask(ask)) => layer.drawn &= !ask.renew(fresh, about),
            // Somebody else has cancelled it, or it is gone: the same answer would now do something else.
            _ => {
                self.layers.pop();
                self.expect_text();
                self.complain("what was asked is overtaken: look again");
            }
        }
    }
}

/// How many more signatures a step wants that is released once more.
pub(super) fn signatures_to_come(state: &RunState, step: &str) -> u32 {
    state.position(step).map_or(0, |position| {
        let (signed, needed) = state.signatures(position);
        needed.saturating_sub(u32::try_from(signed.len()).unwrap_or(u32::MAX).saturating_add(1))
    })
}

fn is_are(number: usize, one: &str) -> String {
    format!("{} {}", words::count(number, one), if number == 1 { "is" } else { "are" })
}
