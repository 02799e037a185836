//! Opens the console: the engine it works on, and what it has to know of this machine and of the command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use etcetera::BaseStrategy;
use tokio::signal::unix::{SignalKind, signal};

use crate::agents::output::{self, OutputIndex};
use crate::console::output::{Stamps, Stream};
use crate::console::plans::Shelf;
use crate::console::terminal::mouse_from_env;
use crate::console::text::Charset;
use crate::console::theme::{Depth, Theme};
use crate::console::tour;
use crate::console::values::Given;
use crate::console::{ConsoleError, ConsoleOptions, ExitSummary, Initial, Left, Unmade};
use crate::engine::hooks::Hooks;
use crate::engine::{EngineHandle, NewRun};
use crate::plan::{FailurePolicy, Plan, Terms};
use crate::run::short_id;

use super::args::ResumeArgs;
use super::failure::{Exit, Failure};
use super::signals::Signals;
use super::start::{self, Chosen, Wishes};
use super::{Context, background, ctl, detach, headless};

/// How long a console has to end after SIGTERM.
const UNHEARD: Duration = Duration::from_secs(5);

/// What the console shows first.
#[derive(Debug)]
pub enum First {
    /// The list of runs and plans.
    Nothing,
    /// A plan that was loaded from a file, opened as a new run and started: by itself, unless another run of it is under way.
    Plan(Chosen),
    /// A run on disk, which goes on once what was said about its steps is done.
    Run(Box<ResumeArgs>),
}

/// Opens a console on a run that another process owns. Leaving it leaves that process alone.
pub async fn attach(context: &Context, name: &str) -> Result<Exit, Failure> {
    let (engine, run_id) = ctl::live(context, name).await?;
    let wishes = Wishes::new(context, Terms::default(), FailurePolicy::Pause)?;
    // The hooks are those of the process that has the run.
    let options = options(context, None, wishes, Some(Initial::Attach(run_id)), true);
    let left = crate::console::run(engine.clone(), options).await;
    let Left { summary, .. } = left.map_err(|error: ConsoleError| Failure::failed(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{}", summary.text);
    // Another one may have it by now.
    if let Some(owner) = context.store().owner(&engine.store().dir(run_id)) {
        let again = context.command(&format!("attach {}", short_id(run_id)));
        let place = owner.pid.map_or("in another process".to_owned(), |pid| format!("in process {pid}"));
        let _ = writeln!(out, "it stays {place}; to come back: {again}");
    }
    Ok(Exit::Fine)
}

/// Opens the console and gives back how it ended: with a plan or a run, as that run stands then.
pub async fn open(context: &Context, wishes: Wishes, first: First) -> Result<Exit, Failure> {
    let asked_for_a_run = !matches!(first, First::Nothing);
    let hooks = context.config.hooks()?;
    let (engine, server) = start::engine(context)?;
    let hooks = start::hooks(&engine, hooks, context, true).await;
    let mut shelf = Shelf::default();
    let initial = match first {
        First::Nothing => None,
        First::Plan(Chosen { path, plan, shelf: found }) => {
            let new = wishes.new_run(&context.user, plan, &path)?;
            shelf = found;
            let beside = start::under_way(context, &new.plan.plan_id);
            Some(Initial::New { new: Box::new(new), path, beside })
        }
        First::Run(args) => {
            let (store, run_id, dir) = context.run(&args.run)?;
            let found = if args.says_something() { store.load(&dir).ok() } else { None };
            let answers = headless::answers(context, &args, found.as_ref().map(|found| &found.state))?;
            // One that is open elsewhere, or damaged, the console shows as that.
            if store.owner(&dir).is_none()
                && let Some(found) = found.filter(|found| found.damage.is_none())
            {
                headless::before_opening(context, &found.state, &answers)?;
            }
            Some(Initial::GoOn(run_id, answers))
        }
    };
    let unheard = tokio::spawn(end_unheard(engine.clone()));
    let options = ConsoleOptions { shelf, ..options(context, hooks.as_ref(), wishes, initial, server.is_some()) };
    let left = crate::console::run(engine.clone(), options).await;
    unheard.abort();
    let left = match left {
        Ok(left) => left,
        Err(error) => {
            start::end(&engine, hooks).await;
            return Err(Failure::failed(error.to_string()));
        }
    };
    let ExitSummary { text, runs } = left.summary;
    if left.hung_up || left.goes_on {
        let mut signals = Signals::listen()?;
        if left.goes_on {
            let attach = runs.first().map(|run| context.command(&format!("attach {}", short_id(run.run_id))));
            leave_running(&text, &attach.unwrap_or_else(|| context.command("runs")), &mut signals).await;
        }
        // The terminal is gone, the runs are not: a console can be attached to them from another one.
        detach::stay(&engine, server.as_ref(), signals).await;
    }
    start::end(&engine, hooks).await;
    if !left.goes_on {
        let _ = write!(std::io::stdout().lock(), "{text}");
    }
    let Some(run) = runs.first().filter(|_| asked_for_a_run) else { return Ok(Exit::Fine) };
    // It has gone on since the console was left.
    let ended = if left.goes_on { engine.load(run.run_id).await.ok() } else { None };
    Ok(Exit::of(ended.map_or(run.status, |ended| ended.state.status)))
}

/// Says what goes on and how it is seen again, which is by `attach`, and gives the terminal back. What is typed there later, where
/// nobody has taken it or the shell has fetched the process, stops nothing.
async fn leave_running(summary: &str, attach: &str, signals: &mut Signals) {
    let process = std::process::id();
    let told = match background::has_shell() {
        true => format!("left running in the background, in process {process}; what the shell calls stopped goes on"),
        false => format!("left running in process {process}; this terminal can be closed"),
    };
    // The terminal may have gone; what is said there is not worth a run.
    let _ = writeln!(std::io::stdout().lock(), "{summary}{told}");
    let fetched = format!(
        "left running, with nothing to show here: Ctrl-Z gives the terminal back;\n{attach} shows and steers it"
    );
    let stuck = format!(
        "the run goes on in process {process}, and no key stops it here: close this terminal;\n{attach} shows it"
    );
    // Before the terminal is given back: a key may be pressed meanwhile.
    let listen = |signals: &mut Signals, said: String| {
        if let Err(error) = signals.leave_terminal(said) {
            tracing::warn!("a key at the terminal may stop the run: {error}");
        }
    };
    listen(signals, stuck.clone());
    let answer = match background::let_go(fetched.clone(), stuck.clone()).await {
        Ok(true) => fetched,
        Ok(false) => stuck,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "the terminal cannot be given back ({error}): it can be closed");
            stuck
        }
    };
    listen(signals, answer);
}

/// A terminal that is not read holds up whoever writes to it, and with it the console and its answer to SIGTERM. The engine has tasks of its own:
/// when the console has not ended a while after the signal, the runs are paused and the process ends without it.
async fn end_unheard(engine: EngineHandle) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    terminate.recv().await;
    tokio::time::sleep(UNHEARD).await;
    engine.shutdown().await;
    std::process::exit(Exit::Failed as i32);
}

/// `reachable`: another console can be attached to the engine.
fn options(
    context: &Context,
    hooks: Option<&Hooks>,
    wishes: Wishes,
    initial: Option<Initial>,
    reachable: bool,
) -> ConsoleOptions {
    let config = &context.config;
    let name = config.theme.unwrap_or_else(|| Theme::from_env().name());
    let depth = if context.no_color { Depth::None } else { Depth::from_env() };
    let charset = match config.ascii {
        Some(true) => Charset::Ascii,
        Some(false) => Charset::Unicode,
        None => Charset::from_env(),
    };
    let user = context.user.clone();
    let terms = wishes.terms.clone();
    let named = context.clone();
    ConsoleOptions {
        plans_dir: context.plans.clone(),
        user: context.user.clone(),
        initial,
        new_run: Arc::new(move |plan, path, given| new_run(&wishes, &user, plan, path, given)),
        terms,
        shelf: Shelf::default(),
        keys: config.keys.clone(),
        theme: Theme::new(name, depth),
        tour: tour::is_new(&state_dir()),
        mouse: mouse_from_env().or(config.mouse).unwrap_or(true),
        ask_background: config.theme.is_none() && depth != Depth::None,
        charset,
        alerts: true,
        alert_rules: config.alerts,
        reports: hooks.map(Hooks::reports),
        notifications: config.notifications.clone(),
        state_dir: state_dir(),
        stamps: stamps_of,
        command_line: Arc::new(move |rest| named.command(rest)),
        reachable,
        has_shell: background::has_shell(),
    }
}

/// A run of a plan that was chosen in the console.
fn new_run(wishes: &Wishes, user: &str, plan: Arc<Plan>, path: &Path, given: &Given) -> Result<NewRun, Unmade> {
    let mut wishes = wishes.clone();
    // What was set on the command line was meant for another plan, where this one has no such variable.
    wishes.set.retain(|name, _| plan.variables.contains_key(name));
    let set = |name: &String, env: Option<&String>| {
        wishes.set.contains_key(name) || env.is_some_and(|env| std::env::var_os(env).is_some())
    };
    let of_plan = plan.variables.iter();
    let known = of_plan.filter(|(name, one)| set(name, one.env.as_ref())).map(|(name, _)| name.clone()).collect();
    wishes.set.extend(given.0.clone());
    wishes.new_run(user, plan, path).map_err(|failure| Unmade { wrong: failure.to_string(), known })
}

/// Where the console may keep files of its own.
fn state_dir() -> PathBuf {
    let base = etcetera::choose_base_strategy().ok();
    let base = base.and_then(|strategy| strategy.state_dir().or_else(|| Some(strategy.cache_dir())));
    base.unwrap_or_else(std::env::temp_dir).join("holdpoint")
}

/// The console knows outputs only as files with stamps; the index that agents write beside them has the stamps.
struct IndexStamps(OutputIndex);

impl Stamps for IndexStamps {
    fn at(&mut self, offset: u64) -> Option<(DateTime<Utc>, Stream)> {
        let (time, stream) = self.0.time_and_stream_at(offset).ok()??;
        let stream = match stream {
            output::Stream::Stdout => Stream::Stdout,
            output::Stream::Stderr => Stream::Stderr,
            output::Stream::Remark => Stream::Remark,
        };
        Some((time, stream))
    }
}

fn stamps_of(path: &Path) -> Option<Box<dyn Stamps>> {
    Some(Box::new(IndexStamps(OutputIndex::of(path).ok()?)))
}
