//! From a plan's file to a run: finding it, checking it, and the options the run gets.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use crate::console::plans::{self, Shelf};
use crate::console::text::clean;
use crate::console::words;
use crate::engine::hooks::{Hook, Hooks};
use crate::engine::remote::{Listener, Server};
use crate::engine::{EngineConfig, EngineHandle, NewRun, Opened, Stamp};
use crate::plan::{self, AgentsFile, DEFAULT_MAX_PARALLEL, Diagnostic, FailurePolicy, Plan, Terms};
use crate::run::{DEFAULT_GRACE_SECONDS, Durability, RunOptions, RunStatus, Secrets, short_id};

use super::Context;
use super::args::RunArgs;
use super::failure::{Exit, Failure};
use super::page::complain;
use super::say::Paint;

/// Among so many of the newest runs other ones of a plan are looked for.
const AMONG: usize = 500;

/// How long the lock of a process that is gone is waited for.
const LINGERS: Duration = Duration::from_secs(2);

/// The generated schema lies beside the plans and is none.
pub const SCHEMA_FILE: &str = "plan.schema.json";

/// The file of a plan: a path, or the name of a plan in the folder of plans.
///
/// # Errors
/// There is no such file; the message names what comes near.
pub fn find(plans: &Path, given: &Path) -> Result<PathBuf, Failure> {
    if given.is_file() {
        return Ok(given.to_owned());
    }
    let is_name = given.components().count() == 1 && given.extension().is_none_or(|extension| extension == "json");
    if is_name {
        let named = plans.join(given).with_extension("json");
        if named.is_file() {
            return Ok(named);
        }
    }
    let shown = clean(&given.to_string_lossy()).into_owned();
    if given.is_dir() {
        return Err(Failure::usage(format!(
            "{shown} is a folder; a plan is a JSON file (`holdpoint plans` lists them)"
        )));
    }
    let known = names(plans);
    let stem = given.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let near = plan::suggest(&stem, known.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean `{}`?", clean(near)),
        None => format!("`holdpoint plans` lists what is in {}", clean(&plans.to_string_lossy())),
    };
    Err(Failure::usage(format!("there is no plan `{shown}`: {hint}")))
}

/// The plans in a folder by file name without `.json`, sorted; none when the folder cannot be read.
pub fn names(plans: &Path) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(plans)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != SCHEMA_FILE && !name.starts_with('.'))
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .collect();
    found.sort_unstable();
    found
}

/// A plan's file as read.
pub struct Read {
    /// How the file is called in messages.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Which file it is, as it was when it was read.
    stamp: Stamp,
    /// What the loader says of it.
    pub loaded: plan::Loaded,
}

/// A plan that is to run.
#[derive(Debug)]
pub struct Chosen {
    /// Its file.
    pub path: PathBuf,
    /// The plan.
    pub plan: Arc<Plan>,
    /// What was found in the file, for a list of plans: it need not be read again.
    pub shelf: Shelf,
}

impl Read {
    /// Reads and checks a plan's file.
    ///
    /// # Errors
    /// The file cannot be read. A plan that is wrong is no error here.
    pub fn file(path: &Path, terms: &Terms) -> Result<Self, Failure> {
        let name = path.to_string_lossy().into_owned();
        let (bytes, stamp) = plans::bytes(path)
            .map_err(|error| Failure::usage(format!("the plan {} cannot be read: {error}", clean(&name))))?;
        let loaded = plan::check_bytes(&name, &bytes, terms);
        // Most often it is text, and then it is not copied.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
        Ok(Self { name, text, stamp, loaded })
    }

    /// All that is wrong or doubtful, as a picture of the places.
    pub fn render(&self, terms: &Terms, paint: Paint) -> String {
        let of_plan = plan::render_text(&self.name, &self.text, &self.loaded.diagnostics, paint.is_on());
        let of_agents = terms.agents.as_ref().map(|agents| agents.render(&self.loaded.of_agents_file, paint.is_on()));
        of_plan + &of_agents.unwrap_or_default()
    }
}

/// What the command line says that plans are held to.
///
/// # Errors
/// The file with agents cannot be read. What is wrong in it is told with the plan.
pub fn terms(simulate: bool, agents: Option<&Path>) -> Result<Terms, Failure> {
    let read = |path: &Path| {
        let name = path.to_string_lossy().into_owned();
        let (bytes, _) = plans::bytes(path)
            .map_err(|error| Failure::usage(format!("the agents in {} cannot be read: {error}", clean(&name))))?;
        Ok::<_, Failure>(Arc::new(AgentsFile::new(name, &bytes)))
    };
    Ok(Terms { simulate, agents: agents.map(read).transpose()? })
}

/// Loads a plan that is to run; what is wrong with it goes to stderr.
///
/// # Errors
/// It cannot be read, is wrong, or asks for what this version cannot do. Nothing was written.
pub fn load_to_run(context: &Context, given: &Path, terms: &Terms) -> Result<Chosen, Failure> {
    let path = find(&context.plans, given)?;
    let read = Read::file(&path, terms)?;
    if plan::is_schema(&read.text) {
        return Err(Failure::usage(format!("{} is the schema, not a plan; nothing was started", clean(&read.name))));
    }
    let mut stderr = std::io::stderr().lock();
    let paint = Paint::stderr(context.no_color);
    let _ = write!(stderr, "{}", read.render(terms, paint));
    let shelf = Shelf::default();
    shelf.put(read.stamp.clone(), plans::entry(&path, &read.text, &read.loaded, terms));
    let name = clean(&read.name);
    let count = read.loaded.problems();
    let Some(plan) = read.loaded.plan else {
        let beside = terms.agents.as_ref().filter(|_| read.loaded.of_agents_file.iter().any(Diagnostic::is_error));
        let name = beside.map_or(name.to_string(), |agents| format!("{name} with {}", clean(agents.name())));
        let what = if count == 1 { "an error".to_owned() } else { format!("{count} errors") };
        return Err(Failure::Said { message: format!("{name} has {what}; nothing was started"), exit: Exit::Usage });
    };
    // In a simulated run unbound agents are simulated; all else must be possible.
    let refused = plan::unsupported(&plan);
    if !refused.is_empty() {
        return Err(Failure::usage(format!(
            "{name} asks for what this version of holdpoint cannot do (the warnings above say what); nothing was started"
        )));
    }
    Ok(Chosen { path, plan: Arc::new(plan), shelf })
}

/// What the command line says about how plans are run.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// `--on-failure`
    pub on_failure: Option<FailurePolicy>,
    /// `--max-parallel`
    pub max_parallel: Option<u32>,
    /// `--simulate` and `--agents`
    pub terms: Terms,
    /// `--durability`
    pub durability: Option<Durability>,
    /// What the configuration says where the command line says nothing, and for `max_parallel` the plan neither.
    pub preferred: (Option<Durability>, Option<u32>),
    /// What happens when a step fails for good and neither the command line nor the plan says.
    pub default_policy: FailurePolicy,
    /// `--set`
    pub set: BTreeMap<String, String>,
    /// `--output-limit`
    pub output_limit: Option<u64>,
    working_dir: String,
}

impl Wishes {
    /// Nothing but `--simulate` and `--agents` was said.
    ///
    /// # Errors
    /// The working directory cannot be used.
    pub fn new(context: &Context, terms: Terms, default_policy: FailurePolicy) -> Result<Self, Failure> {
        let working_dir = std::env::current_dir()
            .map_err(|error| Failure::failed(format!("the working directory cannot be used: {error}")))?;
        Ok(Self {
            on_failure: None,
            max_parallel: None,
            terms,
            durability: None,
            preferred: (context.config.durability, context.config.max_parallel),
            default_policy,
            set: BTreeMap::new(),
            output_limit: None,
            working_dir: utf8(&working_dir)?,
        })
    }

    /// What `run` was told.
    ///
    /// # Errors
    /// The working directory cannot be used.
    pub fn of_run(
        context: &Context,
        args: &RunArgs,
        terms: Terms,
        default_policy: FailurePolicy,
    ) -> Result<Self, Failure> {
        Ok(Self {
            on_failure: args.on_failure.map(FailurePolicy::from),
            max_parallel: args.max_parallel,
            durability: args.durability.map(Durability::from),
            set: args.set.iter().cloned().collect(),
            output_limit: args.output_limit,
            ..Self::new(context, terms, default_policy)?
        })
    }

    /// A new run of a plan: what the command line says, else the plan, else the defaults; variables with their values.
    ///
    /// # Errors
    /// The plan asks for what this version cannot do, or a variable has no value or a wrong one; all of it, a line each.
    pub fn new_run(&self, user: &str, plan: Arc<Plan>, path: &Path) -> Result<NewRun, Failure> {
        // A plan that was chosen from a list is held to the same as one that was named.
        if let Some(refused) = plan::unsupported(&plan).first() {
            return Err(Failure::usage(refused.message.clone()));
        }
        let bound = plan::bind(&plan, &self.set, &|key| std::env::var(key).ok())
            .map_err(|wrong| Failure::usage(wrong.join("\n")))?;
        let options =
            RunOptions { variables: bound.variables, environment: bound.environment, ..self.options(&plan, path) };
        Ok(NewRun { plan, options, user: user.to_owned(), fork: None, secrets: Secrets(bound.secrets) })
    }

    fn options(&self, plan: &Plan, path: &Path) -> RunOptions {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (durability, parallel) = self.preferred;
        RunOptions {
            on_failure: self.on_failure.or(plan.on_failure).unwrap_or(self.default_policy),
            max_parallel: self.max_parallel.or(plan.max_parallel).or(parallel).unwrap_or(DEFAULT_MAX_PARALLEL),
            simulate: self.terms.simulate,
            durability: self.durability.or(durability).unwrap_or_default(),
            grace_seconds: DEFAULT_GRACE_SECONDS,
            working_dir: self.working_dir.clone(),
            output_limit: self.output_limit,
            plan_path: absolute.into_os_string().into_string().ok(),
            variables: serde_json::Map::new(),
            environment: BTreeMap::new(),
        }
    }
}

fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let shown = path.to_string_lossy();
        Failure::usage(format!("holdpoint cannot run in {}: the folder's name is not UTF-8", clean(&shown)))
    })
}

/// Says that a run of a plan is under way in another process, if one is: nothing is wrong with a second one, but whoever starts it may not know.
pub fn under_way(context: &Context, plan_id: &str) -> Option<String> {
    let open = context.store().open_runs(AMONG).into_iter();
    let of_plan = open.filter(|run| {
        let summary = &run.summary;
        summary.plan_id == plan_id && matches!(summary.status, RunStatus::Running | RunStatus::Paused)
    });
    let others: Vec<_> = of_plan.collect();
    let newest = others.first()?;
    let owner = newest.owner.as_ref().and_then(|owner| owner.pid);
    let place = owner.map_or("in another process".to_owned(), |pid| format!("in process {pid}"));
    let told = words::under_way(&newest.summary, &place, Utc::now());
    let more = if others.len() > 1 { format!(" (and {} more)", others.len() - 1) } else { String::new() };
    let attach = context.command(&format!("attach {}", newest.summary.short_id()));
    Some(format!("a run of {} is active already: {told}{more}; `{attach}` shows it", clean(plan_id)))
}

/// Starts an engine on the folder of runs, and listens for those who want to attach or to act on its runs.
///
/// # Errors
/// The folder cannot be made or used.
pub fn engine(context: &Context) -> Result<(EngineHandle, Option<Server>), Failure> {
    // Absolute: a run's files must not move when something changes the working directory.
    let root = std::path::absolute(&context.checkpoints).unwrap_or_else(|_| context.checkpoints.clone());
    // A run is worth more than that others can reach it.
    let unreachable = |error: std::io::Error| tracing::warn!("other processes cannot reach this one: {error}");
    let listener = Listener::bind().map_err(unreachable).ok();
    let address = listener.as_ref().map(|listener| listener.path().to_owned());
    let engine = crate::engine::start(EngineConfig { address, ..EngineConfig::new(root) })?;
    let server = listener.and_then(|listener| listener.serve(engine.clone()).map_err(unreachable).ok());
    Ok((engine, server))
}

/// Lets the configured hooks follow an engine; `always`: also when there are none, for the alerts.
pub async fn hooks(engine: &EngineHandle, hooks: Vec<Hook>, context: &Context, always: bool) -> Option<Hooks> {
    if hooks.is_empty() && !always {
        return None;
    }
    Some(Hooks::start(engine, hooks, context.config.alerts).await)
}

/// Ends an engine and its hooks, and says on stderr what was not delivered.
pub async fn end(engine: &EngineHandle, hooks: Option<Hooks>) {
    let Some(hooks) = hooks else { return engine.shutdown().await };
    for line in hooks.end(engine).await {
        complain(&line);
    }
}

/// Gives a run that is to be taken over the secrets that the command line has for it.
///
/// # Errors
/// One of them is no secret variable of the plan: the others have had their values since the run was opened.
pub async fn give_secrets(
    engine: &EngineHandle,
    run_id: Uuid,
    plan: &Plan,
    set: &[(String, String)],
) -> Result<(), Failure> {
    if let Some((name, _)) = set.iter().find(|(name, _)| !plan.variables.get(name).is_some_and(|found| found.secret)) {
        let name = clean(name);
        return Err(Failure::usage(format!(
            "`{name}` is no secret variable of the plan; only those can be given again"
        )));
    }
    if !set.is_empty() {
        engine.give_secrets(run_id, Secrets(set.iter().cloned().collect())).await?;
    }
    Ok(())
}

/// Takes a run over; see [`EngineHandle::open`].
///
/// # Errors
/// Another process has it open, or it cannot be opened.
pub async fn open(context: &Context, engine: &EngineHandle, run_id: Uuid, go_on: bool) -> Result<Opened, Failure> {
    unowned(context, engine, run_id).await?;
    Ok(engine.open(run_id, go_on).await?)
}

/// Makes sure that no other process has a run open.
///
/// # Errors
/// One has; says which, and how to reach it.
pub async fn unowned(context: &Context, engine: &EngineHandle, run_id: Uuid) -> Result<(), Failure> {
    let dir = engine.store().dir(run_id);
    let until = tokio::time::Instant::now() + LINGERS;
    while let Some(owner) = engine.store().owner(&dir) {
        let alive = owner.pid.is_none_or(is_alive);
        // A process that the owner was about to start when it was killed holds the lock until it has started.
        if !alive && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let who = owner.pid.map_or("another process".to_owned(), |pid| format!("another process ({pid})"));
        return Err(Failure::failed(format!(
            "run {run} is open in {who}: `{attach}` shows it and lets you act on it",
            run = short_id(run_id),
            attach = context.command(&format!("attach {}", short_id(run_id)))
        )));
    }
    Ok(())
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Refused for want of rights means that it is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
