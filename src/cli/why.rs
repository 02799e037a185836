//! What a step waits for, since when, and who can change that.

use std::io::Write;

use chrono::Utc;
use serde_json::{Value, json};

use crate::console::output::{QUOTED_LINES, tail};
use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::engine::output_path;
use crate::run::{self, Command, Outside, Reason, RunState, short_id};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::Page;
use super::{ctl, shell_word, trouble};

/// `holdpoint why`
pub fn why(context: &Context, name: &str, step: &str, format: Format) -> Result<Exit, Failure> {
    let (store, run_id, dir) = context.run(name)?;
    let loaded = store.load_checked(&dir)?;
    let state = &loaded.state;
    let Some(position) = state.position(step) else {
        let near = crate::plan::suggest(step, state.plan.steps.iter().map(|step| step.step_id.as_str()));
        let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        return Err(Failure::usage(format!("the plan of this run has no step `{step}`{hint}")));
    };
    // Only the engine knows whether the disk takes what it decides.
    let storage = trouble::storage(&store, &loaded.owner).remove(&run_id);
    let damage = loaded.damage.as_ref().map(ToString::to_string);
    let outside = Outside {
        owned: loaded.owner.is_some(),
        storage: storage.as_ref().map(|trouble| (trouble.error.as_str(), Some(trouble.since))),
        damage: damage.as_deref(),
    };
    let reasons = run::why(state, position, outside);
    let line = |command: &Command| line_of(context, state, outside.owned, command);
    let output = |reason: &Reason| {
        let attempt = reason.failed_attempt(state)?;
        Some(output_path(store.root(), state.home_of(attempt), reason.step.as_deref()?, attempt.number))
    };
    let mut out = Page::stdout(context.no_color);
    match format {
        Format::Text => {
            for reason in &reasons {
                out.prose(&clean(&words::reason(reason, Zone::Local, Utc::now())))?;
                for line in output(reason).iter().flat_map(|path| tail(path, QUOTED_LINES)) {
                    out.quoted("  ", &line)?;
                }
                for command in ways(context, run_id, reason, &line) {
                    out.prose(&format!("  {}", clean(&command)))?;
                }
            }
        }
        Format::Json => {
            let reasons: Vec<Value> = reasons
                .iter()
                .map(|reason| {
                    let mut shown = serde_json::to_value(reason).unwrap_or_default();
                    shown["command_lines"] = ways(context, run_id, reason, &line).into();
                    if let Some(path) = output(reason) {
                        shown["last_output"] = tail(&path, QUOTED_LINES).into();
                    }
                    shown
                })
                .collect();
            let answer = json!({
                "run_id": run_id,
                "orchestration_state": state.status.word(),
                "step_id": step,
                "status": state.steps[position].status.word(),
                "owned": outside.owned,
                "reasons": reasons,
            });
            serde_json::to_writer_pretty(&mut out, &answer).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The command lines that would help.
fn ways(
    context: &Context,
    run_id: uuid::Uuid,
    reason: &Reason,
    line: &impl Fn(&Command) -> Option<String>,
) -> Vec<String> {
    let mut ways: Vec<String> = reason.commands.iter().filter_map(line).collect();
    if ways.is_empty() && reason.take_over {
        ways.push(context.command(&format!("resume {}", short_id(run_id))));
    }
    ways
}

/// How a command is asked for: of the engine that has the run open, or by going on with it. `None` where the second has no way to say it.
fn line_of(context: &Context, state: &RunState, owned: bool, command: &Command) -> Option<String> {
    let run = short_id(state.run_id);
    let step = command.target().map(shell_word).unwrap_or_default();
    let rest = match (owned, command) {
        (true, Command::Start) => format!("ctl {run} start"),
        (true, Command::Resume) => format!("ctl {run} resume"),
        (true, Command::Cancel) => format!("ctl {run} cancel"),
        (true, Command::Rollback) => format!("ctl {run} rollback"),
        (true, Command::Retry { downstream, .. }) => {
            format!("ctl {run} retry {step}{}", if *downstream { " --downstream" } else { "" })
        }
        (true, Command::Skip { .. }) => format!("ctl {run} skip {step}"),
        (true, Command::Complete { .. }) => format!("ctl {run} complete {step}"),
        (true, Command::Release { .. }) => format!("ctl {run} release {step}"),
        (true, Command::Answer { step, .. }) => format!("ctl {run} {}", ctl::answer_words(state, step)),
        (false, Command::Answer { step, .. }) => format!("resume {run} --{}", ctl::answer_words(state, step)),
        (true, Command::SetParallel { value }) => format!("ctl {run} set-parallel {value}"),
        (false, Command::Start | Command::Resume) => format!("resume {run}"),
        (false, Command::Retry { downstream: false, .. }) => format!("resume {run} --retry {step}"),
        (false, Command::Rollback) => format!("resume {run} --rollback"),
        (false, Command::Skip { .. }) => format!("resume {run} --skip {step}"),
        (false, Command::Complete { .. }) => format!("resume {run} --complete {step}"),
        (false, Command::Release { .. }) => format!("resume {run} --release {step}"),
        _ => return None,
    };
    Some(context.command(&rest))
}
