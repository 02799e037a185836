//! What may be typed: the subcommands and their options.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

use crate::plan::FailurePolicy;
use crate::run::Durability;

/// Marks the process in the background that `--detach` starts.
pub const DETACHED: &str = "--detached";

/// Where runs lie unless it is said otherwise.
pub const DEFAULT_CHECKPOINTS: &str = "checkpoints";

const EXIT_CODES: &str = "\
Exit codes: 0 completed or fine · 1 failed or refused · 2 wrong usage or invalid plan · 3 cancelled · 4 paused and waiting for a person ·
5 no such live run (ctl, attach)

RUN is a run id, the beginning of one or of the short one that is shown (where only one run has it), a plan id (its newest run),
or `latest`.
PLAN is a file, or the name of one in the folder of plans.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "holdpoint",
    version,
    about = "Run plans, watch them live, stop and steer them, trust what they say",
    long_about = "Holdpoint runs plans (JSON) and lets an operator watch, stop and steer them.\n\
                  Without a subcommand it opens the console; with a PLAN, that plan is opened and started.",
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub struct Cli {
    /// Options of every subcommand.
    #[command(flatten)]
    pub global: Global,
    /// Options of the console.
    #[command(flatten)]
    pub console: ConsoleArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every subcommand. What they are without is for [`super::Context`] to find: clap would take a variable of the environment for something
/// that was typed, and name it in the usage as if it had to be.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where plans are looked for [env: HOLDPOINT_PLANS]
    #[arg(long, global = true, value_name = "DIR", default_value = "plans", value_hint = ValueHint::DirPath)]
    pub plans: PathBuf,
    /// Where runs lie, one folder each [env: HOLDPOINT_CHECKPOINTS]
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_CHECKPOINTS, value_hint = ValueHint::DirPath)]
    pub checkpoints: PathBuf,
    /// Who acts; without it the login name [env: HOLDPOINT_USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The configuration; without it `holdpoint/config.toml` in the user's folder for configuration, if that is there [env: HOLDPOINT_CONFIG]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// No colours (also NO_COLOR)
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// Options of the console.
#[derive(Debug, Clone, Args)]
pub struct ConsoleArgs {
    /// Opens this plan and starts it; one that another process is running is only opened
    #[arg(value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
    /// Steps whose agent is not bound are simulated; the console says so for as long as it lasts
    #[arg(long)]
    pub simulate: bool,
    /// Binds agents that the plan does not bind, or binds otherwise: a JSON file, {"agents": {"name": {"kind": …}}}
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub agents: Option<PathBuf>,
    /// The value of a variable of the plan; may be given again for another. A secret is better given in the environment: what stands on a
    /// command line others can see
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, requires = "plan")]
    pub set: Vec<(String, String)>,
}

/// The definition of the whole command line, with the words of the console's table of actions.
pub fn command() -> clap::Command {
    Cli::command().mut_subcommand("ctl", super::ctl::described)
}

/// What is said instead of clap's own words where a subcommand was given no RUN; `None` where something else is wrong.
pub fn without_run(error: &clap::Error) -> Option<String> {
    let of = |kind| error.get(kind);
    let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), of(ContextKind::InvalidArg))
    else {
        return None;
    };
    missing.iter().find(|name| *name == "<RUN>")?;
    let names: Vec<&str> = missing.iter().map(|name| name.trim_matches(['<', '>'])).collect();
    let (last, others) = names.split_last()?;
    let (names, verb) = match others {
        [] => ((*last).to_owned(), "is"),
        others => (format!("{} and {last}", others.join(", ")), "are"),
    };
    let usage = of(ContextKind::Usage).map(|usage| format!("\n{usage}")).unwrap_or_default();
    Some(format!("{names} {verb} missing: `holdpoint runs` lists the runs; `latest` is the newest one{usage}"))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a plan: in the console on a terminal, else as lines of text
    Run(RunArgs),
    /// Says all that is wrong with plans; 0 fine, 2 not
    Check {
        /// The plans
        #[arg(required = true, value_name = "PLAN", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// Take steps whose agent is not bound for simulated
        #[arg(long)]
        simulate: bool,
        /// Check them with the agents of this file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        agents: Option<PathBuf>,
        /// Ask the agents as well: programs, services and MCP servers that do not answer, calls that their tools would not take
        #[arg(long)]
        connect: bool,
        /// A variable's value, for --connect; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, requires = "connect")]
        set: Vec<(String, String)>,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Lists a plan's agents, whether they answer, how fast, and their tools; 0 all answer, 1 not
    Agents {
        /// The plan
        #[arg(value_name = "PLAN", value_hint = ValueHint::FilePath)]
        plan: PathBuf,
        /// A variable's value; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
        set: Vec<(String, String)>,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Lists the plans
    Plans {
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Lists the runs, newest first
    ///
    /// Only the end of each journal is read: `verify` checks a whole one.
    Runs {
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Shows where a run stands and what it waits for
    Show {
        /// The run
        run: String,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Prints a run's journal as JSON Lines, byte for byte
    Events {
        /// The run
        run: String,
        /// Go on printing while an engine has the run open
        #[arg(long, short)]
        follow: bool,
    },
    /// Prints the output of a step's attempt
    Output {
        /// The run
        run: String,
        /// The step
        step: String,
        /// Which attempt; without it the newest
        #[arg(long, value_name = "N")]
        attempt: Option<u32>,
        /// Go on printing while the attempt runs
        #[arg(long, short)]
        follow: bool,
    },
    /// Lists a run's checkpoints
    Checkpoints {
        /// The run
        run: String,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Lists the versions of a run's plan, or compares two of them
    Versions {
        /// The run
        run: String,
        /// Compare this version …
        #[arg(value_name = "FROM")]
        from: Option<u64>,
        /// … with this one; without it the newest
        #[arg(value_name = "TO")]
        to: Option<u64>,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Looks at one checkpoint
    #[command(subcommand, arg_required_else_help = true)]
    Checkpoint(CheckpointCommand),
    /// Goes on with a run after a stop or a crash
    Resume(ResumeArgs),
    /// Opens a console on a run that is live in another process
    Attach {
        /// The run
        run: String,
    },
    /// Acts on a run that is live in another process
    Ctl(super::ctl::CtlArgs),
    /// Goes back to a checkpoint, or begins a new run there; shows first what would run again
    Restore(RestoreArgs),
    /// Says what a step waits for, since when, and who can change that
    Why {
        /// The run
        run: String,
        /// The step
        step: String,
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Checks a run's journal, hashes and checkpoints; 0 whole, 1 not
    Verify {
        /// The run
        run: String,
        /// The head hash that was printed when the run stopped
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Removes old runs; shows first what would go. Runs that are open or have not ended stay
    Prune(PruneArgs),
    /// Shows the configuration that is in effect, and where each value of it comes from
    Config {
        /// How it is said
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Prints the JSON Schema of plans, for editors
    Schema,
    /// Prints completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
}

/// What to do with one checkpoint.
#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// Prints a checkpoint in full, as JSON
    Show {
        /// The run
        run: String,
        /// The checkpoint, for example cp-42
        id: String,
    },
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan
    #[arg(value_hint = ValueHint::FilePath)]
    pub plan: PathBuf,
    /// How it is run and told
    #[command(flatten)]
    pub how: HeadlessArgs,
    /// What happens when a step fails for good and does not say itself; without it the plan's, else pause in the console and fail headless
    #[arg(long, value_enum, value_name = "POLICY")]
    pub on_failure: Option<OnFailure>,
    /// How many steps may run at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::run::MAX_PARALLEL_LIMIT)))]
    pub max_parallel: Option<u32>,
    /// Steps whose agent is not bound are simulated
    #[arg(long)]
    pub simulate: bool,
    /// Binds agents that the plan does not bind, or binds otherwise: a JSON file, {"agents": {"name": {"kind": …}}}
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub agents: Option<PathBuf>,
    /// The value of a variable of the plan; may be given again for another. A secret is better given in the environment: what stands on a
    /// command line others can see
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
    /// relaxed: a power cut may lose the newest events; without it what the configuration says, else full
    #[arg(long, value_enum, value_name = "HOW")]
    pub durability: Option<DurabilityArg>,
    /// How much of an attempt's output is kept: 500M, 2G; without it 256M
    #[arg(long, value_name = "SIZE", value_parser = super::prune::parse_size)]
    pub output_limit: Option<u64>,
    /// In the background, without a terminal; says how to attach to it
    #[arg(long, conflicts_with_all = ["headless", "format"])]
    pub detach: bool,
    /// The process in the background that --detach starts
    #[arg(long, hide = true, conflicts_with_all = ["headless", "format", "detach"])]
    pub detached: bool,
}

/// How a run without a console is told.
#[derive(Debug, Clone, Copy, Args)]
pub struct HeadlessArgs {
    /// No console, also on a terminal
    #[arg(long)]
    pub headless: bool,
    /// jsonl: the journal's lines on stdout and nothing else (implies --headless)
    #[arg(long, value_enum, value_name = "HOW")]
    pub format: Option<RunFormat>,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run
    pub run: String,
    /// How it is run and told
    #[command(flatten)]
    pub how: HeadlessArgs,
    /// Run these steps again
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub retry: Vec<String>,
    /// Do not run these steps; what depends on them goes on
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub skip: Vec<String>,
    /// You have done the work of these steps by hand
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub complete: Vec<String>,
    /// Release these steps from their hold points
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub release: Vec<String>,
    /// Approve the results of these steps, which are in review
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub approve: Vec<String>,
    /// Reject the results of these steps, which are in review
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub reject: Vec<String>,
    /// Answer what these steps ask: it is done; --field gives what one asks for
    #[arg(long, value_name = "STEP", num_args = 1..)]
    pub answer: Vec<String>,
    /// The value of a field of the one step that is answered; again for each
    #[arg(long, value_name = "NAME=VALUE", requires = "answer", value_parser = super::ctl::name_and_value)]
    pub field: Vec<(String, String)>,
    /// Undo what is completed by the steps' rollback actions, then end the run
    #[arg(long, conflicts_with_all = ["retry", "skip", "complete", "release", "approve", "reject"])]
    pub rollback: bool,
    /// The value of a secret variable that the environment does not have
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

impl ResumeArgs {
    /// Whether anything is said about steps.
    pub fn says_something(&self) -> bool {
        let Self { retry, skip, complete, release, approve, reject, answer, .. } = self;
        [retry, skip, complete, release, approve, reject, answer].iter().any(|steps| !steps.is_empty())
    }
}

/// Options of `restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "The run is paused afterwards, and what came after the checkpoint stays in its journal. With --fork nothing of it is touched, and it \
may still run or be damaged behind the checkpoint: the new run is left idle, `holdpoint resume` starts it."
)]
pub struct RestoreArgs {
    /// The run
    pub run: String,
    /// The checkpoint, for example cp-42
    pub checkpoint: String,
    /// Leave the run as it is, and open a new one that begins at the checkpoint
    #[arg(long, conflicts_with = "reason")]
    pub fork: bool,
    /// Do not ask (a fork never asks)
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `prune`: a run goes when one of the rules lets it go.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holdpoint prune --older-than 30d\n  holdpoint prune --keep 50 --max-size 2G --yes"
)]
pub struct PruneArgs {
    /// Runs that ended longer ago than this: 90m, 12h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = super::prune::parse_age)]
    pub older_than: Option<chrono::TimeDelta>,
    /// All but so many of the newest that have ended
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// The oldest, until all runs together take no more than this: 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = super::prune::parse_size)]
    pub max_size: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// How it is said; json removes nothing without --yes
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How a list is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// Lines for people
    Text,
    /// The journal's lines
    Jsonl,
}

/// The failure policies of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// The run pauses and waits for an operator
    Pause,
    /// The run fails when the steps that are running have ended
    Fail,
    /// What does not depend on the failed step goes on; then the run fails
    Continue,
    /// When the steps that are running have ended, what is completed is undone by the steps' rollback actions; then the run fails
    Rollback,
}

impl From<OnFailure> for FailurePolicy {
    fn from(given: OnFailure) -> Self {
        match given {
            OnFailure::Pause => FailurePolicy::Pause,
            OnFailure::Fail => FailurePolicy::Fail,
            OnFailure::Continue => FailurePolicy::Continue,
            OnFailure::Rollback => FailurePolicy::Rollback,
        }
    }
}

/// How durable the journal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// Nobody sees an event before it is on the disk
    #[default]
    Full,
    /// Events are written, the disk gets them when the system likes
    Relaxed,
}

impl From<DurabilityArg> for Durability {
    fn from(given: DurabilityArg) -> Self {
        match given {
            DurabilityArg::Full => Durability::Full,
            DurabilityArg::Relaxed => Durability::Relaxed,
        }
    }
}

/// `NAME=VALUE` as given to `--set`.
fn name_and_value(given: &str) -> Result<(String, String), String> {
    match given.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable is set as NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn a_plan_alone_is_for_the_console() {
        let cli = Cli::try_parse_from(["holdpoint", "plans/x.json"]).unwrap();
        assert_eq!(cli.console.plan.unwrap(), PathBuf::from("plans/x.json"));
        assert!(cli.command.is_none());
    }

    #[test]
    fn a_command_goes_before_a_plan_of_that_name() {
        let cli = Cli::try_parse_from(["holdpoint", "--plans", "x", "plans"]).unwrap();
        assert!(cli.console.plan.is_none() && matches!(cli.command, Some(Command::Plans { .. })));
    }

    #[test]
    fn global_options_may_stand_anywhere() {
        for line in [["holdpoint", "--checkpoints", "x", "runs"], ["holdpoint", "runs", "--checkpoints", "x"]] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.global.checkpoints, PathBuf::from("x"));
            assert!(matches!(cli.command, Some(Command::Runs { .. })));
        }
    }
}
