//! Why is it not running? A question the console answers from the state, in sentences, with the keys that help.

use chrono::{DateTime, Utc};

use crate::run::{Command, Input, Moment, PauseReason, Request, RunState, RunStatus, SkipReason, StepStatus, decide};

use super::run_model::{OpenRun, Ownership};
use super::words::{self, Zone};

/// The answer for the step at a position, line by line.
pub fn why(run: &OpenRun, position: usize, zone: Zone, now: DateTime<Utc>) -> Vec<String> {
    let state = &run.state;
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let id = definition.step_id.as_str();
    let mut said = Vec::new();
    let since = step.since.map(|since| format!(" since {}", zone.clock(since))).unwrap_or_default();
    match step.status {
        StepStatus::Running => {
            said.push(format!("{id} is running{since}."));
            if let Some(limit) = definition.timeout_seconds {
                said.push(format!("Its time limit is {}.", words::span(limit)));
            }
            return said;
        }
        StepStatus::Stopping => {
            said.push(format!("{id} is being stopped{since}: its processes got TERM."));
            said.push(format!("KILL follows {} after that.", words::span(state.options.grace_seconds)));
            return said;
        }
        StepStatus::Completed => {
            said.push(match &step.by_hand {
                Some(by_hand) => format!("{id} was completed by hand by {}.", by_hand.user),
                None => format!("{id} is completed."),
            });
            said.push("R runs it again, with everything after it.".into());
            return said;
        }
        StepStatus::Skipped => {
            let skip = step.skip.as_ref();
            said.push(match skip.map(|skip| skip.why) {
                Some(SkipReason::Condition) => format!("{id} was skipped: its condition is false."),
                Some(SkipReason::Upstream) => format!("{id} was skipped: what it needs was skipped."),
                _ => {
                    let who = skip.and_then(|skip| skip.user.as_deref()).unwrap_or("an operator");
                    format!("{id} was skipped by {who}.")
                }
            });
            if let Some(reason) = skip.and_then(|skip| skip.reason.as_deref()) {
                said.push(format!("Their reason: {reason}"));
            }
            said.push("r runs it after all.".into());
            return said;
        }
        StepStatus::Failed => {
            let outcome = step.attempt().and_then(|attempt| attempt.outcome.as_ref());
            let words = outcome.map(|outcome| outcome.in_words()).unwrap_or_default();
            said.push(format!("{id} failed{since}: {words}"));
            let used = definition.max_retries.unwrap_or(0);
            said.push(if used == 0 {
                "It has no retries of its own (max_retries).".into()
            } else {
                format!("Its own retries are used up ({used}).")
            });
            said.push("r tries again, s skips it, m counts it as done by hand.".into());
        }
        StepStatus::Interrupted => {
            said.push(format!("{id} was running when its engine ended; how it ended is not known."));
            said.push("It is not marked idempotent, so it does not run again by itself.".into());
            said.push("r tries again, s skips it, m counts it as done by hand.".into());
        }
        StepStatus::Cancelled => {
            said.push(format!("{id} was stopped by an operator{since}."));
            said.push("r tries again, s skips it, m counts it as done by hand.".into());
        }
        StepStatus::Held => {
            said.push(match state.hold_reason(position) {
                Some(reason) => format!("{id} is at its hold point{since}: {reason}"),
                None => format!("{id} is at its hold point{since}."),
            });
            let needed = definition.hold.as_ref().map_or(1, crate::plan::Hold::approvals);
            let signed = step.hold.as_ref().map_or(&[][..], |hold| &hold.signed[..]);
            if needed > 1 {
                let names: Vec<&str> = signed.iter().map(String::as_str).collect();
                let by = if names.is_empty() { String::new() } else { format!(" ({})", words::list(&names, 4)) };
                said.push(format!("{} of {needed} people have signed{by}.", signed.len()));
            }
            said.push("o releases it.".into());
        }
        StepStatus::InReview => said.push(format!("{id} waits{since} for a person's verdict on its result.")),
        StepStatus::Waiting => {
            if let Some(due) = step.due {
                let wait = words::span((due - now).as_seconds_f64());
                said.push(format!("{id} failed and tries again by itself in {wait}, at {}.", zone.clock(due)));
            }
            said.push("r tries again now.".into());
        }
        StepStatus::Pending => pending(state, position, &mut said),
    }
    run_reasons(run, zone, &mut said);
    said
}

fn pending(state: &RunState, position: usize, said: &mut Vec<String>) {
    const NAMED: usize = 6;
    let id = state.plan.steps[position].step_id.as_str();
    let waits = state.unmet(position);
    if waits.is_empty() {
        let live = state.counts().live();
        if state.may_start() && live >= state.options.max_parallel {
            said.push(format!("{id} is ready and waits for its turn: {live} of at most {live} run at the same time."));
            said.push("+ lets one more run.".into());
        } else {
            said.push(format!("{id} is ready; it waits for nothing but its turn."));
        }
    } else {
        said.push(format!("{id} waits for {}:", words::count(waits.len(), "other step")));
        for other in waits.iter().take(NAMED) {
            let (definition, step) = (&state.plan.steps[*other], &state.steps[*other]);
            let needs = match step.status {
                StepStatus::Failed | StepStatus::Interrupted | StepStatus::Cancelled => ", which needs r, s or m",
                StepStatus::Held => ", which needs o",
                StepStatus::InReview => ", which needs a verdict",
                _ => "",
            };
            said.push(format!("  {}  {}{needs}", definition.step_id, super::theme::step_word(step.status)));
        }
        if waits.len() > NAMED {
            said.push(format!("  and {}", words::count(waits.len() - NAMED, "more step")));
        }
    }
    if state.is_hold_point(position) {
        said.push("It has a hold point: the run will hold before it.".into());
    }
}

fn run_reasons(run: &OpenRun, zone: Zone, said: &mut Vec<String>) {
    let state = &run.state;
    match &run.ownership {
        Ownership::Nobody if !state.status.is_ended() => said.push("Nobody runs this now: p goes on with it.".into()),
        Ownership::Elsewhere => said.push("Another process runs this; what you see may be a second old.".into()),
        Ownership::Damaged(damage) => said.push(format!("Its journal is damaged: {damage}")),
        _ => {}
    }
    if let Some(error) = &run.storage {
        said.push(format!("The disk does not take the journal ({error}): nothing starts until it does."));
    }
    let since = zone.clock(state.since);
    match state.status {
        _ if state.cancelling => said.push("The run is being cancelled: nothing starts any more.".into()),
        RunStatus::Idle => said.push("The run has not started: p starts it.".into()),
        RunStatus::Paused => {
            let reasons: Vec<&str> = state.paused.iter().map(reason).collect();
            said.push(format!("The run is paused since {since}: {}.", reasons.join(", ")));
            // The same rule that would answer the key.
            let resume = Input::Request(Request::new(uuid::Uuid::nil(), Command::Resume, ""));
            let moment = Moment { now: state.updated_at, entropy: 0 };
            said.push(match decide(state, &resume, &moment) {
                Ok(_) => "p resumes it.".into(),
                Err(_) => "Nothing could run now: it can be resumed when that has been answered.".into(),
            });
        }
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => {
            said.push(format!("The run is over: {} at {since}.", state.status.word()));
        }
        RunStatus::Running => {}
    }
}

fn reason(reason: &PauseReason) -> &'static str {
    match reason {
        PauseReason::Operator => "an operator paused it",
        PauseReason::StepFailed => "a step failed",
        PauseReason::Hold => "a step is held",
        PauseReason::Review => "a result is in review",
        PauseReason::Recovered => "its engine had ended, and somebody should look first",
    }
}
