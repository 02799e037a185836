//! What is said when the console ends: what ran, what failed and why, where everything is, and how to go on.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::engine::EngineHandle;
use crate::run::{RunState, RunStatus, StepStatus, leave_alone, short_id};

use super::app::CommandLine;
use super::{text, words};

/// What is said when the console ends.
#[derive(Debug, Clone, Default)]
pub struct ExitSummary {
    /// Lines to print after the terminal was given back; empty when nothing was open.
    pub text: String,
    /// The last states of the runs that were open here.
    pub runs: Vec<Arc<RunState>>,
}

/// Reads the last states of the runs that were open and puts them in words; `goes_on`: this process stays and has them open.
pub async fn collect(
    handle: &EngineHandle,
    visited: &[Uuid],
    goes_on: bool,
    command_line: &CommandLine,
) -> ExitSummary {
    let (mut runs, mut texts) = (Vec::new(), Vec::new());
    for run in visited {
        // A run that another process has open goes on there.
        let found = match handle.subscribe(*run).await {
            Ok(subscription) => Some((subscription.state, handle.is_remote() || goes_on)),
            Err(_) => handle.load(*run).await.ok().map(|mut stored| {
                if stored.owner.is_none() {
                    leave_alone(Arc::make_mut(&mut stored.state));
                }
                (stored.state, stored.owner.is_some())
            }),
        };
        if let Some((state, elsewhere)) = found {
            texts.push(describe(&state, handle.root(), elsewhere, command_line));
            runs.push(state);
        }
    }
    ExitSummary { text: texts.join("\n"), runs }
}

/// A run's end, in a few lines; `elsewhere`: another process has it open.
pub fn describe(state: &RunState, root: &Path, elsewhere: bool, command_line: &CommandLine) -> String {
    const NAMED: usize = 5;
    let counts = state.own_counts();
    let id = short_id(state.run_id);
    let reason = words::run_reason(state);
    let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
    let mut lines = vec![format!(
        "{}  run {id}  {}{reason}: {} of {}{}",
        state.plan.plan_id,
        words::run_word(state).to_lowercase(),
        words::thousands(counts.done() as usize),
        words::count(counts.total() as usize, "step"),
        match counts.of(StepStatus::Skipped) {
            0 => String::new(),
            skipped => format!(", {} skipped", words::thousands(skipped as usize)),
        }
    )];
    let folder = root.join(state.run_id.to_string());
    let trouble: Vec<usize> = state
        .needs_person()
        .into_iter()
        .filter(|place| matches!(state.steps[*place].status, StepStatus::Failed | StepStatus::Interrupted))
        .collect();
    for place in trouble.iter().take(NAMED) {
        let (definition, step) = (&state.plan.steps[*place], &state.steps[*place]);
        let Some(attempt) = step.attempt() else { continue };
        let why = step.why_failed().map(|why| format!(": {why}")).unwrap_or_default();
        let word = step.status.word();
        lines.push(format!("  {} {word}{why}", definition.step_id));
        let output = folder.join("output").join(format!("{}.{}.log", definition.step_id, attempt.number));
        lines.push(format!("    output       {}", output.display()));
    }
    if trouble.len() > NAMED {
        lines.push(format!("  and {} more failed or were interrupted", words::thousands(trouble.len() - NAMED)));
    }
    lines.push(format!("  checkpoints  {}", folder.display()));
    let command = |name: &str| command_line(&format!("{name} {id}"));
    match state.status {
        RunStatus::Completed | RunStatus::Cancelled => {}
        _ if elsewhere => lines.push(format!("  look again   {}", command("attach"))),
        RunStatus::Idle => lines.push(format!("  start it     {}", command("resume"))),
        // What waits for an answer does not go on without one.
        _ if !trouble.is_empty() => {
            let steps: Vec<&str> =
                trouble.iter().take(NAMED).map(|place| state.plan.steps[*place].step_id.as_str()).collect();
            let steps = steps.join(" ");
            lines.push(format!("  go on        {}", command_line(&format!("resume {id} --retry {steps}"))));
            lines.push(format!("  or           {}", command_line(&format!("resume {id} --skip {steps}"))));
        }
        RunStatus::Failed => lines.push(format!("  what to do   {}", command("show"))),
        _ => lines.push(format!("  go on        {}", command("resume"))),
    }
    let mut out = String::new();
    for line in lines {
        out.push_str(&text::clean(&line));
        out.push('\n');
    }
    out
}
