//! What a step waits for, since when, and who can change that.

use std::io::Write;

use chrono::Utc;

use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::plan::Hold;
use crate::run::{PauseReason, RunState, RunStatus, SkipReason, StepStatus, short_id};

use super::Context;
use super::failure::{Exit, Failure};

/// `holdpoint why`
pub fn why(context: &Context, name: &str, step: &str) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let loaded = store.load(&dir)?;
    let state = &loaded.state;
    let Some(position) = state.position(step) else {
        let near = crate::plan::suggest(step, state.plan.steps.iter().map(|step| step.step_id.as_str()));
        let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        return Err(Failure::usage(format!("the plan of this run has no step `{step}`{hint}")));
    };
    let resume = context.command(&format!("resume {}", short_id(state.run_id)));
    let mut said = of_step(state, position, &resume);
    said.extend(of_run(state, loaded.owner.is_some(), position, &resume));
    let mut out = std::io::stdout().lock();
    for line in said {
        writeln!(out, "{}", clean(&line))?;
    }
    Ok(Exit::Fine)
}

fn of_step(state: &RunState, position: usize, resume: &str) -> Vec<String> {
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let id = &definition.step_id;
    let now = Utc::now();
    let since = step
        .since
        .map(|since| {
            let span = words::roughly((now - since).as_seconds_f64());
            format!(" since {} ({span})", Zone::Local.clock(since))
        })
        .unwrap_or_default();
    let outcome = step
        .attempt()
        .and_then(|attempt| attempt.outcome.as_ref())
        .map(|outcome| outcome.in_words())
        .unwrap_or_default();
    let answers =
        format!("Whoever operates the run can answer: `{resume} --retry {id}`, `--skip {id}` or `--complete {id}`.");
    let mut said = Vec::new();
    match step.status {
        StepStatus::Running => {
            said.push(format!("{id} is running{since}."));
            said.push(match definition.timeout_seconds {
                Some(limit) => format!("Its time limit is {}.", words::span(limit)),
                None => "It has no time limit.".into(),
            });
        }
        StepStatus::Stopping => {
            said.push(format!(
                "{id} is being stopped{since}; what has not ended {} after TERM is killed.",
                words::span(state.options.grace_seconds)
            ));
        }
        StepStatus::Completed => said.push(match &step.by_hand {
            Some(by_hand) => format!("{id} was completed by hand by {}{since}.", by_hand.user),
            None => format!("{id} is completed{since}."),
        }),
        StepStatus::Skipped => {
            let skip = step.skip.as_ref();
            let because =
                skip.and_then(|skip| skip.reason.as_deref()).map(|reason| format!(": {reason}")).unwrap_or_default();
            said.push(match skip.map(|skip| skip.why) {
                Some(SkipReason::Condition) => format!("{id} was skipped: its condition was false."),
                Some(SkipReason::Upstream) => format!("{id} was skipped: what it needs was skipped."),
                _ => format!(
                    "{id} was skipped by {}{because}.",
                    skip.and_then(|skip| skip.user.as_deref()).unwrap_or("an operator")
                ),
            });
            said.push(format!("`{resume} --retry {id}` runs it after all."));
        }
        StepStatus::Failed => {
            said.push(format!("{id} failed{since}: {outcome}."));
            said.push(answers);
        }
        StepStatus::Interrupted => {
            said.push(format!("{id} was running when its engine ended{since}; it is not marked idempotent, so it does not run again by itself."));
            said.push(answers);
        }
        StepStatus::Cancelled => {
            said.push(format!("{id} was stopped by an operator{since}."));
            said.push(answers);
        }
        StepStatus::Held => {
            let reason = state.hold_reason(position).map(|reason| format!(": {reason}")).unwrap_or_default();
            said.push(format!("{id} is at its hold point{since}{reason}."));
            let needed = definition.hold.as_ref().map_or(1, Hold::approvals);
            let signed = step.hold.as_ref().map_or(&[][..], |hold| &hold.signed[..]);
            if needed > 1 {
                said.push(format!("{} of {needed} people have signed it off ({}).", signed.len(), signed.join(", ")));
            }
            said.push(format!("Whoever operates the run can release it: `{resume} --release {id}`."));
        }
        StepStatus::InReview => said.push(format!("The result of {id} waits for a person's verdict{since}.")),
        StepStatus::Waiting => {
            let due = step.due.map(|due| {
                format!(" at {} (in {})", Zone::Local.clock(due), words::span((due - now).as_seconds_f64()))
            });
            said.push(format!("{id} failed ({outcome}) and tries again by itself{}.", due.unwrap_or_default()));
        }
        StepStatus::Pending => {
            let waits = state.unmet(position);
            if waits.is_empty() {
                said.push(format!("{id} waits for nothing but its turn."));
                if state.is_hold_point(position) {
                    said.push("Then its hold point stops it until somebody releases it.".into());
                }
            } else {
                said.push(format!("{id} waits for {}:", words::count(waits.len(), "other step")));
                for other in waits.iter().take(10) {
                    let (other, status) = (&state.plan.steps[*other].step_id, state.steps[*other].status);
                    let answer = match status {
                        StepStatus::Failed | StepStatus::Interrupted | StepStatus::Cancelled => {
                            format!(": `{resume} --retry {other}`, or --skip")
                        }
                        StepStatus::Held => format!(": `{resume} --release {other}`"),
                        _ => String::new(),
                    };
                    said.push(format!("  {other} is {}{answer}", status.word()));
                }
                if waits.len() > 10 {
                    said.push(format!("  and {} more", waits.len() - 10));
                }
            }
        }
    }
    said
}

/// What holds every step back.
fn of_run(state: &RunState, owned: bool, position: usize, resume: &str) -> Option<String> {
    let status = state.steps[position].status;
    if status.is_satisfied() {
        return None;
    }
    let since = Zone::Local.clock(state.since);
    match state.status {
        RunStatus::Running if !owned => Some(format!("No engine has the run open: `{resume}` goes on with it.")),
        RunStatus::Running => {
            let live = state.counts().live();
            let full = status == StepStatus::Pending && live >= state.options.max_parallel && state.is_ready(position);
            full.then(|| format!("{live} attempts run, and no more than that may run at the same time."))
        }
        RunStatus::Paused => {
            let reasons: Vec<&str> = state.paused.iter().map(|reason| reason.word()).collect();
            let by_word =
                state.paused.iter().any(|reason| matches!(reason, PauseReason::Operator | PauseReason::Recovered));
            let answer = if by_word { format!(": `{resume}` goes on") } else { String::new() };
            Some(format!("The run is paused since {since} ({}){answer}.", reasons.join(", ")))
        }
        RunStatus::Idle => Some(format!("The run has not started: `{resume}` starts it.")),
        RunStatus::Failed => {
            Some(format!("The run failed at {since}: {}.", state.error.as_deref().unwrap_or("a step failed")))
        }
        RunStatus::Cancelled => {
            Some(format!("The run was cancelled at {since}; retrying or skipping a step reopens it."))
        }
        RunStatus::Completed => None,
    }
}
