//! Subcommands and the headless run. Everything a key can do here a command can do, through the same engine and the same validation.
//!
//! - `args`: what may be typed; `failure`: exit codes and errors; `page`: printing, to a terminal and to a pipe; `say`: colours, and questions.
//! - `start`: from a plan's file to a run; `headless`: a run without a console; `narrate`: its events as lines.
//! - `config`: what is configured for every run, for the console and for the command line;
//!   `settings`: the same, shown with where it comes from.
//! - `screen`: the console and what it needs to know.
//! - `ctl`: acting on a run in another process; `detach`: runs without a terminal; `background`: how a console that is left gives its terminal back.
//! - `agents`, `plans`, `runs`, `show`, `read`, `versions`, `restore`, `prune`, `why`: one subcommand each, or a few that belong together.

mod agents;
pub mod args;
pub mod background;
mod config;
pub mod ctl;
mod detach;
mod failure;
mod headless;
mod narrate;
mod page;
mod plans;
mod prune;
mod read;
mod restore;
mod runs;
mod say;
mod screen;
mod settings;
mod show;
mod signals;
mod start;
mod trouble;
mod versions;
mod why;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use uuid::Uuid;

use crate::engine::NewRun;
use crate::journal::Store;
use crate::plan::{FailurePolicy, Terms};
use crate::run::Request;

use args::{
    CheckpointCommand, Cli, Command, ConsoleArgs, DEFAULT_CHECKPOINTS, Global, HeadlessArgs, RunArgs, RunFormat,
};
use config::{Config, Source};
pub use failure::{Exit, Failure};
use start::Wishes;

/// The variables of the environment that say what else a flag would.
const USER: &str = "HOLDPOINT_USER";
const PLANS: &str = "HOLDPOINT_PLANS";
const CHECKPOINTS: &str = "HOLDPOINT_CHECKPOINTS";
const CONFIG: &str = "HOLDPOINT_CONFIG";

/// A variable of the environment; one that is set to nothing is as good as none.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What every subcommand knows.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where plans are looked for.
    pub plans: PathBuf,
    /// Where runs lie.
    pub checkpoints: PathBuf,
    /// Who acts.
    pub user: String,
    /// The file of the configuration, if one was given.
    pub config_file: Option<PathBuf>,
    /// No colours are wanted.
    pub no_color: bool,
    /// What it says.
    pub config: Arc<Config>,
    /// Where the first three come from.
    pub sources: Sources,
}

/// Where what every subcommand knows comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Who acts; by default who has logged in.
    pub user: Source,
    /// Where plans are looked for.
    pub plans: Source,
    /// Where runs lie.
    pub checkpoints: Source,
}

impl Context {
    fn new(global: Global, matches: &ArgMatches, config: Config) -> Self {
        let typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let configured = |name: &str| config.source(&format!("defaults.{name}"));
        let of_user = |user: &String| !user.trim().is_empty();
        let of_environment = || variable(USER).map(|user| user.to_string_lossy().into_owned()).filter(of_user);
        let (user, user_from) = match (global.user.filter(of_user), of_environment(), &config.user) {
            (Some(user), ..) => (user, Source::Flag("--user")),
            (None, Some(user), _) => (user, Source::Environment(USER)),
            (None, None, Some(user)) => (user.clone(), configured("user")),
            (None, None, None) => (login_name(), configured("user")),
        };
        let folder =
            |name: &str, flag: &'static str, set: &'static str, given: PathBuf, of_file: &Option<PathBuf>| match (
                typed(name),
                variable(set),
                of_file,
            ) {
                (true, ..) => (given, Source::Flag(flag)),
                (false, Some(path), _) => (path.into(), Source::Environment(set)),
                (false, None, Some(path)) => (path.clone(), configured(name)),
                (false, None, None) => (given, configured(name)),
            };
        let (plans, plans_from) = folder("plans", "--plans", PLANS, global.plans, &config.plans);
        let (checkpoints, checkpoints_from) =
            folder("checkpoints", "--checkpoints", CHECKPOINTS, global.checkpoints, &config.checkpoints);
        Self {
            plans,
            checkpoints,
            user,
            config_file: global.config,
            no_color: global.no_color,
            config: Arc::new(config),
            sources: Sources { user: user_from, plans: plans_from, checkpoints: checkpoints_from },
        }
    }

    /// A command line that does something with the same runs as this one.
    fn command(&self, rest: &str) -> String {
        let is_set = |name: &str, path: &Path| std::env::var_os(name).is_some_and(|set| set == path.as_os_str());
        let mut line = "holdpoint ".to_owned();
        let usual = self.config.checkpoints.as_deref().unwrap_or(Path::new(DEFAULT_CHECKPOINTS));
        if self.checkpoints != usual && !is_set(CHECKPOINTS, &self.checkpoints) {
            line.push_str(&format!("--checkpoints {} ", shell_word(&self.checkpoints.to_string_lossy())));
        }
        if let Some(config) = self.config_file.as_deref().filter(|config| !is_set(CONFIG, config)) {
            line.push_str(&format!("--config {} ", shell_word(&config.to_string_lossy())));
        }
        line + rest
    }

    /// A path as people would type it from here.
    fn shown(&self, path: &Path) -> PathBuf {
        let here = std::env::current_dir().ok();
        here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
    }

    /// A request of who acts, with an id of its own.
    fn request(&self, command: crate::run::Command) -> Request {
        crate::engine::request(command, &self.user)
    }

    fn store(&self) -> Store {
        Store::at(&self.checkpoints)
    }

    /// The run that is meant.
    fn run(&self, name: &str) -> Result<(Store, Uuid, PathBuf), Failure> {
        let store = self.store();
        let (run_id, dir) = store.resolve(name).map_err(|error| runs::with_candidates(&store, error))?;
        Ok((store, run_id, dir))
    }
}

/// Reads the command line, does what it says and gives the exit code. Problems are said on stderr.
pub fn main() -> Exit {
    let parsed =
        args::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // `--help` and `--version` come this way too, and are fine.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            match args::without_run(&error) {
                Some(message) => page::complain_in_lines(&message),
                None => drop(error.print()),
            }
            return exit;
        }
    };
    match dispatch(cli, &matches) {
        Ok(exit) => exit,
        Err(Failure::ClosedPipe) => Exit::Fine,
        Err(Failure::Silent(exit)) => exit,
        Err(Failure::Said { message, exit }) => {
            page::complain_in_lines(&message);
            exit
        }
    }
}

fn dispatch(mut cli: Cli, matches: &ArgMatches) -> Result<Exit, Failure> {
    cli.global.config = cli.global.config.or_else(|| variable(CONFIG).map(PathBuf::from));
    // What only prints something of the program itself is not held up by a mistake in a file.
    let itself = matches!(cli.command, Some(Command::Schema | Command::Completions { .. } | Command::Man));
    let config = if itself { Config::default() } else { Config::read(cli.global.config.as_deref())? };
    let context = Context::new(cli.global, matches, config);
    let ConsoleArgs { plan, simulate, agents, set } = cli.console;
    if let (Some(plan), Some(_)) = (&plan, &cli.command) {
        let shown = plan.to_string_lossy();
        return Err(Failure::usage(format!("`{shown}` stands before a subcommand: give a plan after it, or alone")));
    }
    if simulate && cli.command.is_some() {
        return Err(Failure::usage("--simulate belongs behind the subcommand: `holdpoint run PLAN --simulate`"));
    }
    if agents.is_some() && cli.command.is_some() {
        return Err(Failure::usage("--agents belongs behind the subcommand: `holdpoint run PLAN --agents FILE`"));
    }
    if !set.is_empty() && cli.command.is_some() {
        return Err(Failure::usage("--set belongs behind the subcommand: `holdpoint run PLAN --set NAME=VALUE`"));
    }
    match cli.command {
        None => console(&context, plan, start::terms(simulate, agents.as_deref())?, set),
        Some(Command::Run(args)) if args.detach => detach::detach(&context),
        Some(Command::Run(args)) if args.detached => {
            let (chosen, wishes) = to_run(&context, &args, FailurePolicy::Pause)?;
            let new = new_run(&context, chosen, &wishes)?;
            block_on(detach::detached(&context, new))
        }
        Some(Command::Run(args)) if is_headless(args.how) => {
            let (chosen, wishes) = to_run(&context, &args, FailurePolicy::Fail)?;
            let new = new_run(&context, chosen, &wishes)?;
            block_on(headless::run(&context, new, args.how.format.unwrap_or(RunFormat::Text)))
        }
        Some(Command::Run(args)) => {
            let (chosen, wishes) = to_run(&context, &args, FailurePolicy::Pause)?;
            block_on(screen::open(&context, wishes, screen::First::Plan(chosen)))
        }
        Some(Command::Check { files, simulate, agents, connect, format, set }) => {
            let terms = start::terms(simulate, agents.as_deref())?;
            let set = connect.then(|| set.into_iter().collect());
            block_on(plans::check(&context, &files, &terms, set.as_ref(), format))
        }
        Some(Command::Agents { plan, set, format }) => {
            block_on(agents::list(&context, &plan, &set.into_iter().collect(), format))
        }
        Some(Command::Plans { format }) => plans::list(&context, format),
        Some(Command::Runs { format }) => runs::list(&context, format),
        Some(Command::Show { run, format }) => show::show(&context, &run, format),
        Some(Command::Events { run, follow }) => read::events(&context, &run, follow),
        Some(Command::Output { run, step, attempt, follow }) => read::output(&context, &run, &step, attempt, follow),
        Some(Command::Checkpoints { run, format }) => read::checkpoints(&context, &run, format),
        Some(Command::Versions { run, from, to, format }) => versions::versions(&context, &run, from, to, format),
        Some(Command::Checkpoint(CheckpointCommand::Show { run, id })) => read::checkpoint(&context, &run, &id),
        Some(Command::Resume(args)) if is_headless(args.how) => block_on(headless::resume(&context, &args)),
        Some(Command::Resume(args)) => {
            let wishes = Wishes::new(&context, Terms::default(), FailurePolicy::Pause)?;
            block_on(screen::open(&context, wishes, screen::First::Run(Box::new(args))))
        }
        Some(Command::Ctl(args)) => block_on(ctl::ctl(&context, args)),
        Some(Command::Attach { run }) => {
            if !std::io::stdout().is_terminal() {
                return Err(Failure::usage(
                    "a console needs a terminal: `holdpoint ctl RUN ACTION` acts without one, `holdpoint events RUN --follow` watches",
                ));
            }
            block_on(screen::attach(&context, &run))
        }
        Some(Command::Restore(args)) => block_on(restore::restore(&context, &args)),
        Some(Command::Why { run, step, format }) => why::why(&context, &run, &step, format),
        Some(Command::Verify { run, head }) => read::verify(&context, &run, head.as_deref()),
        Some(Command::Prune(args)) => prune::prune(&context, &args),
        Some(Command::Config { format }) => settings::config(&context, format),
        Some(Command::Schema) => plans::schema(),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "holdpoint", &mut script);
            Ok(std::io::stdout().lock().write_all(&script).map(|()| Exit::Fine)?)
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut page)?;
            Ok(std::io::stdout().lock().write_all(&page).map(|()| Exit::Fine)?)
        }
    }
}

/// No console: it was asked for, or there is no terminal to show one on.
fn is_headless(how: HeadlessArgs) -> bool {
    how.headless || how.format.is_some() || !std::io::stdout().is_terminal()
}

fn console(
    context: &Context,
    plan: Option<PathBuf>,
    terms: Terms,
    set: Vec<(String, String)>,
) -> Result<Exit, Failure> {
    let terminal = std::io::stdout().is_terminal();
    let Some(given) = plan else {
        if !terminal {
            return Err(Failure::usage(
                "the console needs a terminal: `holdpoint run PLAN --headless` runs a plan without one, `holdpoint runs` lists what \
                 has run, `holdpoint --help` says what else there is",
            ));
        }
        return block_on(screen::open(
            context,
            Wishes::new(context, terms, FailurePolicy::Pause)?,
            screen::First::Nothing,
        ));
    };
    let chosen = start::load_to_run(context, &given, &terms).map_err(|failure| not_a_command(&given, failure))?;
    let policy = if terminal { FailurePolicy::Pause } else { FailurePolicy::Fail };
    let mut wishes = Wishes::new(context, terms, policy)?;
    wishes.set = set.into_iter().collect();
    if terminal {
        return block_on(screen::open(context, wishes, screen::First::Plan(chosen)));
    }
    let new = new_run(context, chosen, &wishes)?;
    block_on(headless::run(context, new, RunFormat::Text))
}

/// A run that is started without a console; on stderr it is said when another one of its plan is under way.
fn new_run(context: &Context, chosen: start::Chosen, wishes: &Wishes) -> Result<NewRun, Failure> {
    let new = wishes.new_run(&context.user, chosen.plan, &chosen.path)?;
    if let Some(said) = start::under_way(context, &new.plan.plan_id) {
        page::complain(&said);
    }
    Ok(new)
}

/// A word that is neither a plan nor a command was probably meant as one of them.
fn not_a_command(given: &Path, failure: Failure) -> Failure {
    let Failure::Said { message, exit } = failure else { return failure };
    let word = given.to_string_lossy();
    let commands: Vec<String> = args::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    match crate::plan::suggest(&word, commands.iter().map(String::as_str)) {
        Some(near) if !given.exists() => Failure::Said {
            message: format!("there is neither a command nor a plan `{word}`: did you mean `{near}`?"),
            exit,
        },
        _ => Failure::Said { message, exit },
    }
}

/// The plan that `run` names, and how it is to be run; `otherwise` is what happens when a step fails for good and nobody says what then.
fn to_run(context: &Context, args: &RunArgs, otherwise: FailurePolicy) -> Result<(start::Chosen, Wishes), Failure> {
    let terms = start::terms(args.simulate, args.agents.as_deref())?;
    let chosen = start::load_to_run(context, &args.plan, &terms)?;
    Ok((chosen, Wishes::of_run(context, args, terms, otherwise)?))
}

fn block_on(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = crate::engine::runtime().map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(async {
        signals::survive_file_size_limit();
        work.await
    });
    // A thread that is stuck in a read of a dead file system must not keep the program.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ended
}

/// The login name: of this process's user, not of whoever happened to set `$USER`.
fn login_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let of_uid = |passwd: String| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        })
    };
    std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(of_uid)
        .or_else(|| std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid-{uid}"))
}

/// A word as a shell takes it for one.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(shell_word("a/b-c.json"), "a/b-c.json");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
