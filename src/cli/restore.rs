//! Going back to a checkpoint: what would change is shown first, and asked for.

use std::io::Write;

use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::run::{Command, Request, RunState, StepStatus, checkpoint_id, short_id};

use super::failure::{Exit, Failure};
use super::say::{Ink, Paint, confirmed};
use super::{Context, read, start};

/// `holdpoint restore`
pub async fn restore(
    context: &Context,
    name: &str,
    checkpoint: &str,
    yes: bool,
    reason: Option<&str>,
) -> Result<Exit, Failure> {
    let (store, run_id, dir) = context.run(name)?;
    let state = store.load(&dir)?.state;
    let seq = read::place_of(context, &state, checkpoint)?;
    let target = store.state_at(&dir, seq)?;
    preview(context, &state, &target)?;
    if !yes && !confirmed("Go back?", "nothing was changed")? {
        return Err(Failure::Said { message: "nothing was changed".into(), exit: Exit::Failed });
    }
    let (engine, _server) = start::engine(context)?;
    // A run that was going when its engine ended is not let go on: it is to go back first.
    let opened = start::open(context, &engine, run_id, false).await?;
    for note in &opened.notes {
        let _ = writeln!(std::io::stderr().lock(), "holdpoint: {}", clean(note));
    }
    let request = Request::new(Command::Restore { checkpoint: seq }, &context.user).because(reason.unwrap_or_default());
    let sent = engine.send(run_id, request).await;
    engine.shutdown().await;
    sent?;
    let short = short_id(run_id);
    writeln!(
        std::io::stdout().lock(),
        "run {short} is back at {} and paused; what came after stays in its journal. To go on: {}",
        checkpoint_id(seq),
        context.command(&format!("resume {short}"))
    )?;
    Ok(Exit::Fine)
}

/// What the restore would change, and what would run a second time.
fn preview(context: &Context, now: &RunState, then: &RunState) -> Result<(), Failure> {
    let paint = Paint::stdout(context.no_color);
    let mut out = std::io::stdout().lock();
    let moment = Zone::Local.moment(then.updated_at, chrono::Utc::now());
    writeln!(
        out,
        "{} of {} was made {moment}, with {} of {} steps done (now {}).",
        checkpoint_id(then.seq),
        clean(&now.plan.plan_id),
        then.step_index(),
        now.steps.len(),
        now.step_index()
    )?;
    let mut again = Vec::new();
    let mut back = Vec::new();
    for ((definition, now), then) in now.plan.steps.iter().zip(&now.steps).zip(&then.steps) {
        let id = definition.step_id.as_str();
        let ran = now.attempts.len() > then.attempts.len() || now.last_attempt > then.last_attempt;
        if !then.status.is_satisfied() && ran {
            again.push(id);
        }
        // What was running then is pending after the restore.
        let becomes = if then.status.is_live() { StepStatus::Pending } else { then.status };
        if becomes != now.status {
            back.push(format!("{id}: {} → {}", now.status.word(), becomes.word()));
        }
    }
    if back.is_empty() {
        writeln!(out, "No step's state would change.")?;
    } else {
        writeln!(out, "It would change {}:", words::count(back.len(), "step"))?;
        for line in back.iter().take(20) {
            writeln!(out, "  {}", clean(line))?;
        }
        if back.len() > 20 {
            writeln!(out, "  and {} more", back.len() - 20)?;
        }
    }
    if !again.is_empty() {
        let text =
            format!("Run since then, and would run again when the run goes on: {}.", clean(&words::list(&again, 12)));
        writeln!(out, "{}", paint.ink(Ink::Attention, &text))?;
    }
    Ok(())
}
