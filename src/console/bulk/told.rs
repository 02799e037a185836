//! How an action on many is spoken of: before it is done, and what became of it.

use crate::run::{Command, InterventionStatus, PauseReason, RunState, StepStatus};

use super::super::keymap::Keymap;
use super::super::{text, words};
use super::{Answered, NAMED, Order};

/// How an action on many is spoken of.
pub(super) struct Wording {
    /// The question, about what is named.
    pub title: fn(&str) -> String,
    /// What it does.
    pub effect: &'static str,
    /// The answer that does it.
    pub yes: &'static str,
    /// What they are then.
    done: &'static str,
}

/// How a command to many is spoken of.
pub(super) fn wording(command: &Command) -> Wording {
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

/// What they are in the title of a question: the one by its name, several by their number.
pub(super) fn of_these(orders: &[Order]) -> String {
    let one = if orders.first().is_some_and(|order| order.command.target().is_some()) { "step" } else { "run" };
    match orders {
        [only] => only.name.clone(),
        _ => words::count(orders.len(), one),
    }
}

/// A few of them by name.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    words::list(&names.into_iter().collect::<Vec<_>>(), NAMED)
}

/// Refusals by their reason, in the order in which they came, a line each: what it is, and of which. A reason names its step, which is left to the list.
pub(super) fn reason_lines(refused: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, reason) in refused {
        let reason = text::clean(reason).replace(&format!("`{name}`"), "it");
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => found.push((reason, vec![name])),
        }
    }
    found.into_iter().map(|(reason, of)| format!("{reason} ({})", names(of))).collect()
}

/// That none of the marked takes a command, and why.
pub(super) fn none_can(marks: usize, cannot: &[(String, String)]) -> String {
    let none = if marks == 1 {
        "what is marked does not take it".into()
    } else {
        format!("none of the {marks} marked takes it")
    };
    format!("{none}: {}", reason_lines(cannot).join("; "))
}

/// Whether a state is what the commands have led to, as far as they are about its run.
pub fn is_there(answers: &[Answered], state: &RunState) -> bool {
    let there = |(order, answer): &Answered| {
        answer.as_ref().map_or(true, |ack| order.run != state.run_id || ack.seq <= state.seq)
    };
    answers.iter().all(there)
}

/// What became of all of them, in a line, and whether some were refused; `state`: the one of the open run that it has led to, as soon as it is there.
pub fn told(answers: &[Answered], state: Option<&RunState>, keys: &Keymap) -> (String, bool) {
    let Some((first, _)) = answers.first() else { return (String::new(), false) };
    let about_runs = first.command.target().is_none();
    let state = state.filter(|state| state.run_id == first.run);
    // What needs more than one person's word still stands where it stood.
    let still = match first.command {
        Command::Release { .. } => Some((StepStatus::Held, "release")),
        Command::Approve { .. } => Some((StepStatus::InReview, "approval")),
        _ => None,
    };
    let waits = |order: &Order| {
        let now = order.command.target().zip(state).and_then(|(step, state)| state.step(step));
        still.zip(now).is_some_and(|((held, _), (_, step))| step.status == held)
    };
    let (mut applied, mut waiting, mut pending, mut refused) = (Vec::new(), Vec::new(), 0, Vec::new());
    for (order, answer) in answers {
        match answer {
            Err(rejection) => refused.push((order.name.clone(), rejection.message.clone())),
            Ok(ack) if ack.status == InterventionStatus::Pending => pending += 1,
            Ok(_) if waits(order) => waiting.push(&*order.name),
            Ok(_) => applied.push(&*order.name),
        }
    }
    let mut said = Vec::new();
    if !applied.is_empty() {
        // A pause by a person is not over with the retry of a step, or its release.
        let by_person = state.is_some_and(|state| state.paused.contains(&PauseReason::Operator));
        let later = by_person && matches!(first.command, Command::Retry { .. } | Command::Release { .. });
        let when = if later { keys.fill("; they run when the run is resumed: {resume}") } else { String::new() };
        // Among the steps it is seen which they are.
        let which = if about_runs { format!(" ({})", names(applied.iter().copied())) } else { String::new() };
        let done = wording(&first.command).done;
        said.push(format!("{} {done}{which}{when}", words::thousands(applied.len())));
    }
    if let Some((_, word)) = still.filter(|_| !waiting.is_empty()) {
        let (has, waits) = if waiting.len() == 1 { ("has", "waits") } else { ("have", "wait") };
        let number = words::thousands(waiting.len());
        said.push(format!("{number} {has} this {word}, and {waits} for another ({})", names(waiting)));
    }
    if pending > 0 {
        said.push(format!("{} accepted, as soon as the attempts have stopped", words::thousands(pending)));
    }
    if !refused.is_empty() {
        said.push(format!("{} refused: {}", words::thousands(refused.len()), reason_lines(&refused).join("; ")));
    }
    (said.join(", "), !refused.is_empty())
}

/// What became of a command to one run of the list.
pub(super) fn told_of_run(order: &Order) -> String {
    format!("{} is {}", order.name, wording(&order.command).done)
}
