//! Going back to a checkpoint: what would change is shown first, and asked for. With `--fork`, a new run that begins there.

use std::io::Write;

use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::engine::EngineHandle;
use crate::run::{Command, Preview, RunState, checkpoint_id, ran_before, short_id};

use super::args::RestoreArgs;
use super::failure::{Exit, Failure};
use super::page::{Page, complain};
use super::say::{Ink, confirmed};
use super::{Context, read, start};

/// So many steps are told by name.
const NAMED: usize = 12;

/// `holdpoint restore`
pub async fn restore(context: &Context, args: &RestoreArgs) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(&args.run)?;
    let state = store.load(&dir)?.state;
    let checkpoint = read::place_of(context, &state, &args.checkpoint)?;
    let hooks = context.config.hooks()?;
    let (engine, _server) = start::engine(context)?;
    let hooks = start::hooks(&engine, hooks, context, false).await;
    let done = match args.fork {
        true => fork(context, &engine, &state, checkpoint, args.reason.clone()).await,
        false => go_back(context, &engine, &state, checkpoint, args).await,
    };
    start::end(&engine, hooks).await;
    let mut out = Page::stdout(context.no_color);
    for line in done?.lines() {
        out.prose(line)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Shows what the restore would do, asks, and does it. Says what has become of the run.
async fn go_back(
    context: &Context,
    engine: &EngineHandle,
    state: &RunState,
    checkpoint: u64,
    args: &RestoreArgs,
) -> Result<String, Failure> {
    let run_id = state.run_id;
    // Before anything is asked: neither a run of another process nor a damaged one is gone back with from here.
    start::unowned(context, engine, run_id).await?;
    if let Some(damage) = engine.load(run_id).await?.damage {
        let fork = context.command(&format!("restore {} {} --fork", short_id(run_id), checkpoint_id(checkpoint)));
        return Err(Failure::failed(format!("{damage}\nTo begin a new run at that checkpoint: {fork}")));
    }
    let command = Command::Restore { checkpoint };
    let request = || context.request(command.clone()).because(args.reason.as_deref().unwrap_or_default());
    let preview = engine.preview(run_id, request()).await?;
    show(context, engine, state, checkpoint, &preview).await?;
    if !args.yes && !confirmed("Go back?", "nothing was changed")? {
        return Err(Failure::Said { message: "nothing was changed".into(), exit: Exit::Failed });
    }
    // A run that was going when its engine ended is not let go on: it is to go back first.
    let opened = start::open(context, engine, run_id, false).await?;
    for note in &opened.notes {
        complain(note);
    }
    engine.send(run_id, request()).await?;
    let status = engine.state(run_id).await?.status;
    let short = short_id(run_id);
    let go_on = context.command(&format!("resume {short}"));
    // At a checkpoint where nothing is left to run, it has ended again.
    let go_on = if status.is_ended() { String::new() } else { format!(" To go on: {go_on}") };
    Ok(format!(
        "run {short} is back at {} and {}; what came after stays in its journal.{go_on}",
        checkpoint_id(checkpoint),
        status.word()
    ))
}

/// Where the checkpoint lies, and what going back to it would do: as the engine itself decides it.
async fn show(
    context: &Context,
    engine: &EngineHandle,
    now: &RunState,
    checkpoint: u64,
    preview: &Preview,
) -> Result<(), Failure> {
    let then = engine.state_at(now.run_id, checkpoint).await?;
    let mut out = Page::stdout(context.no_color);
    let paint = out.paint();
    out.prose(&format!(
        "{} of {} was made {}, with {} of {} done (now {} of {}). Going back to it:",
        checkpoint_id(checkpoint),
        clean(&now.plan.plan_id),
        Zone::Local.moment(then.updated_at, chrono::Utc::now()),
        then.step_index(),
        words::count(then.steps.len(), "step"),
        now.step_index(),
        now.steps.len()
    ))?;
    let loud = usize::from(!preview.stops.is_empty()) + usize::from(!preview.runs_again.is_empty());
    for (number, line) in preview.in_words().iter().enumerate() {
        // What cannot be taken back stands first.
        let ink = if number < loud { Ink::Attention } else { Ink::Plain };
        out.prose(&format!("  {}", paint.ink(ink, &clean(line))))?;
    }
    out.flush()?;
    Ok(())
}

/// Opens a new run that begins where another was at a checkpoint. The other one is only read: it may run, be in another process, or be damaged
/// behind that place.
async fn fork(
    context: &Context,
    engine: &EngineHandle,
    state: &RunState,
    checkpoint: u64,
    reason: Option<String>,
) -> Result<String, Failure> {
    let new = engine.fork(state.run_id, checkpoint, &context.user, reason).await?;
    let forked = engine.state(new).await?;
    let short = short_id(new);
    let mut said = format!(
        "run {short} ({new}) begins where run {} was at {}: {} of {} done. It is idle; to start it: {}",
        short_id(state.run_id),
        checkpoint_id(checkpoint),
        forked.step_index(),
        words::count(forked.steps.len(), "step"),
        context.command(&format!("resume {short}"))
    );
    let again = ran_before(&forked);
    if !again.is_empty() {
        let names = clean(&words::list(&again, NAMED)).into_owned();
        said.push_str(&format!("\nHave run in the other one, and would run again: {names}."));
    }
    Ok(said)
}
