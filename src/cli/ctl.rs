//! Acting on a live run from another terminal: the same commands as the console's keys, decided by the same engine.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::console::actions::TABLE;
use crate::console::text::clean;
use crate::console::words;
use crate::engine::EngineHandle;
use crate::engine::hooks::Hooks;
use crate::engine::remote::Server;
use crate::journal::Store;
use crate::run::{
    Answer, Command, InterventionStatus, Place, Rejection, RejectionCode, Request, RunState, RunStatus, leave_alone,
    parse_checkpoint_id, permits, restorable, short_id,
};

use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Page, complain};
use super::{Context, start};

/// Options of `ctl`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        holdpoint ctl latest pause --reason \"disk is filling up\"\n  \
        holdpoint ctl latest retry verify\n  \
        holdpoint ctl latest answer sign-off --field ticket=OPS-12 --notes \"looks right\"\n  \
        holdpoint ctl nightly modify ship '{\"timeout_seconds\": 600}' --preview\n  \
        holdpoint ctl nightly add '{\"step_id\": \"check\", \"run\": \"./check\"}' --after dump\n\n\
        Exit codes: 0 applied · 1 refused · 2 wrong usage · 5 the run is not live"
)]
pub struct CtlArgs {
    /// The run
    pub run: String,
    /// What to do
    #[command(subcommand)]
    pub action: CtlAction,
    /// How it is asked
    #[command(flatten)]
    pub how: How,
}

/// How a command is asked and answered.
#[derive(Debug, Args)]
pub struct How {
    /// Why, for the log
    #[arg(long, global = true, value_name = "TEXT")]
    pub reason: Option<String>,
    /// When no process has the run open, open it for this command alone: nothing is started, and the run stays paused
    #[arg(long, global = true)]
    pub open: bool,
    /// Say what it would do, and do nothing
    #[arg(long, global = true)]
    pub preview: bool,
    /// Refuse it if the plan has changed since this version
    #[arg(long, global = true, value_name = "N")]
    pub expected_version: Option<u64>,
    /// An id of your own: the same id twice applies once
    #[arg(long, global = true, value_name = "ID")]
    pub command_id: Option<String>,
    /// How it is answered
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
}

/// The actions. What one does is said once, in the console's table of actions; only what has no key has its words here.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is described where it is named, and by the table of actions")]
pub enum CtlAction {
    Start,
    Pause,
    Resume,
    Cancel,
    Rollback,
    Retry {
        /// The step
        step: String,
        /// And everything after it
        #[arg(long)]
        downstream: bool,
    },
    Skip {
        /// The step
        step: String,
    },
    Complete {
        /// The step
        step: String,
        /// Its result, as JSON; @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        result: Option<String>,
    },
    /// change the step's definition
    Modify {
        /// The step
        step: String,
        /// A JSON merge patch (RFC 7396), a field is removed by null; @FILE or - for stdin
        patch: String,
    },
    /// put a step in
    Add {
        /// The step, as a plan would say it; @FILE or - for stdin
        definition: String,
        /// Behind this step; without it at the end
        #[arg(long, value_name = "STEP", conflicts_with = "before")]
        after: Option<String>,
        /// In front of this step
        #[arg(long, value_name = "STEP")]
        before: Option<String>,
        /// What depends on the step it is put behind then depends on the new one instead
        #[arg(long, requires = "after")]
        rewire: bool,
    },
    /// take the step out of the plan; what depends on it inherits what it depends on
    Remove {
        /// The step
        step: String,
    },
    /// put steps into this order, in the places they have among themselves
    Reorder {
        /// The steps
        #[arg(required = true, num_args = 2.., value_name = "STEP")]
        steps: Vec<String>,
    },
    Hold {
        /// The step
        step: String,
    },
    Unhold {
        /// The step
        step: String,
    },
    Release {
        /// The step
        step: String,
    },
    Approve {
        /// The step
        step: String,
    },
    Reject {
        /// The step
        step: String,
    },
    /// pass the review of a result on to somebody else
    Escalate {
        /// The step
        step: String,
    },
    /// answer what the step asks: that it is done, with the values of its fields
    Answer {
        /// The step
        step: String,
        /// The value of a field; again for each
        #[arg(long = "field", value_name = "NAME=VALUE", value_parser = name_and_value)]
        fields: Vec<(String, String)>,
        /// The other answer: no, or that it has failed
        #[arg(long, conflicts_with = "fields")]
        decline: bool,
        /// Your words to it
        #[arg(long, value_name = "TEXT")]
        notes: Option<String>,
    },
    /// how many attempts may run at the same time
    SetParallel {
        /// How many
        value: u32,
    },
    Undo {
        /// A version of the plan, or the id of an intervention; without it the newest intervention
        #[arg(value_name = "VERSION|ID", value_parser = what_to_undo)]
        what: Option<Command>,
    },
    /// bring an older version of the plan back
    UseVersion {
        /// The version
        version: u64,
    },
    /// go back to a checkpoint; the run has to be paused or ended
    Restore {
        /// The checkpoint, for example cp-42
        checkpoint: String,
    },
}

/// Puts the words of the console's table of actions to the actions that stand there.
pub fn described(ctl: clap::Command) -> clap::Command {
    let names: Vec<String> = ctl.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    names.iter().fold(ctl, |ctl, name| match TABLE.iter().find(|entry| entry.name == *name) {
        Some(entry) => ctl.mut_subcommand(name, |one| one.about(words_of(entry.doc))),
        None => ctl,
    })
}

/// What an action does, without what only the console does about it: nothing here asks first.
fn words_of(doc: &'static str) -> &'static str {
    doc.split(" (asks").next().unwrap_or(doc)
}

/// What a command that was applied has done, or is going to do, with command lines where the console names keys; `live`: the run is open in another
/// process.
async fn done(context: &Context, engine: &EngineHandle, run: Uuid, command: &Command, live: bool) -> String {
    // What comes of the others follows from nothing else.
    let waits = matches!(
        command,
        Command::Retry { .. } | Command::Release { .. } | Command::Modify { .. } | Command::Restore { .. }
    );
    let state = if waits { engine.state(run).await.ok() } else { None };
    let run = short_id(run);
    let mut said = words::done(command, state.as_deref());
    for name in ["resume", "release", "retry"] {
        let of_step = command.target().filter(|_| name != "resume").map(|step| format!(" {step}")).unwrap_or_default();
        let line = match (name, live) {
            ("resume", false) => format!("resume {run}"),
            (_, live) => format!("ctl {run} {name}{of_step}{}", if live { "" } else { " --open" }),
        };
        let line = format!("`{}`", context.command(&line));
        said = said.replace(&format!("{{{name}}}"), &line);
    }
    said
}

/// `holdpoint ctl`
pub async fn ctl(context: &Context, args: CtlArgs) -> Result<Exit, Failure> {
    let mut how = args.how;
    let (fields, notes) = args.action.answer();
    how.reason = how.reason.or(notes);
    let mut command = args.action.command()?;
    if how.open && matches!(command, Command::Start | Command::Resume) {
        let resume = context.command(&format!("resume {}", args.run));
        return Err(Failure::usage(format!("--open lets nothing go on; to go on with the run: {resume}")));
    }
    let mut reached = match reach(context, &args.run, &how).await? {
        Ok(reached) => reached,
        Err(nobody) => return Err(not_live(nobody.in_words(context, &how, &command, &fields))),
    };
    let run_id = reached.run_id;
    if let Command::Answer { step, answer: Answer::Accepted(values), .. } = &mut command
        && let Ok(state) = reached.engine.state(run_id).await
    {
        match read_fields(&state, step, &fields) {
            Ok(read) => *values = read,
            Err(wrong) => {
                reached.let_go().await;
                return Err(Failure::failed(format!("refused: {wrong}")));
            }
        }
    }
    let request = how.request(context, command.clone(), reached.here.is_some());
    let answer = if how.preview {
        reached.engine.preview(run_id, request).await.map(|preview| {
            let lines = preview.in_words();
            (json!({"would_apply": true, "preview": preview, "in_words": lines}), lines)
        })
    } else {
        let live = reached.here.is_none();
        let sent = reached.engine.send(run_id, request).await;
        let done =
            if sent.is_ok() { done(context, &reached.engine, run_id, &command, live).await } else { String::new() };
        sent.map(|ack| {
            let mut line = match ack.status {
                InterventionStatus::Pending => {
                    format!("accepted: {}, when its attempt has stopped", words::asked(&command))
                }
                _ => format!("applied: {done}"),
            };
            if ack.duplicate {
                line = "nothing was done: this command id was applied before".into();
            }
            (json!({"applied": true, "answer": ack}), vec![line])
        })
    };
    let opened_here = reached.let_go().await.filter(|_| !how.preview);
    let (mut document, mut lines, exit) = match answer {
        Ok((document, lines)) => (document, lines, Exit::Fine),
        Err(rejection) if rejection.code == RejectionCode::Gone => return Err(not_live(rejection.to_string())),
        Err(rejection) => (refusal(&rejection, run_id), vec![format!("refused: {rejection}")], Exit::Failed),
    };
    if let Some(status) = opened_here {
        document["opened_here"] = true.into();
        let go_on = context.command(&format!("resume {}", short_id(run_id)));
        let go_on = if status.is_ended() { String::new() } else { format!(" To go on: {go_on}") };
        let word = status.word();
        lines.push(format!("the run was opened for this alone and is {word}; nothing was started.{go_on}"));
    }
    match how.format {
        Format::Json => {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, &document).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text if exit == Exit::Fine => {
            let mut out = Page::stdout(context.no_color);
            for line in &lines {
                out.prose(&clean(line))?;
            }
            out.flush()?;
        }
        Format::Text => return Err(Failure::Said { message: lines.join("\n"), exit }),
    }
    Ok(exit)
}

impl How {
    /// What the engine is asked; `here`: it was opened for this alone.
    fn request(&self, context: &Context, command: Command, here: bool) -> Request {
        Request {
            command_id: self.command_id.clone(),
            expected_plan_version: self.expected_version,
            stay_paused: here,
            ..context.request(command).because(self.reason.clone().unwrap_or_default())
        }
    }
}

/// The engine that a run is acted on through.
struct Reached {
    engine: EngineHandle,
    run_id: Uuid,
    /// It is in this process, for this command alone; whoever looks for the run's engine meanwhile finds it.
    here: Option<(Option<Server>, Option<Hooks>)>,
}

impl Reached {
    /// Gives a run back that was opened here, and says how it stands.
    async fn let_go(&mut self) -> Option<RunStatus> {
        let (_server, hooks) = self.here.take()?;
        let status = self.engine.state(self.run_id).await.ok().map(|state| state.status);
        start::end(&self.engine, hooks).await;
        status
    }
}

/// A run that no process has open, and that is not opened for the command either.
struct Nobody {
    message: String,
    /// As whoever opened it would find it; `None` where it cannot be read, or not be opened.
    state: Option<RunState>,
}

impl Nobody {
    /// That nobody has it open, and what `--open` would come to: by the rules that the engine itself decides by.
    fn in_words(&self, context: &Context, how: &How, command: &Command, fields: &[(String, String)]) -> String {
        let Self { message, state } = self;
        // Nothing is let go on by --open.
        let (Some(state), false) = (state, matches!(command, Command::Start | Command::Resume)) else {
            return message.clone();
        };
        let command = match command {
            Command::Answer { step, question, answer: Answer::Accepted(_) } => {
                let values = read_fields(state, step, fields).unwrap_or_default();
                Command::Answer { step: step.clone(), question: *question, answer: Answer::Accepted(values) }
            }
            other => other.clone(),
        };
        let permitted = match command {
            // Where it leads is read when it is asked for.
            Command::Restore { checkpoint } => restorable(state, checkpoint),
            command => permits(state, &how.request(context, command, true)),
        };
        match permitted {
            Ok(()) => {
                format!("{message}\nWith --open the command is carried out all the same, and nothing is started.")
            }
            Err(rejection) => format!("{message}\nWith --open it would be refused as well: {rejection}"),
        }
    }
}

/// The engine of the run, in whichever process it is; with `--open`, one in this process when it has none.
async fn reach(context: &Context, name: &str, how: &How) -> Result<Result<Reached, Nobody>, Failure> {
    let (store, run_id, dir) = context.run(name)?;
    if !how.open || store.owner(&dir).is_some() {
        let (engine, run_id) = match live(context, name).await {
            Err(Failure::Said { message, exit: Exit::NotLive }) if store.owner(&dir).is_none() => {
                let loaded = store.load(&dir).ok().filter(|loaded| loaded.damage.is_none());
                let state = loaded.map(|mut loaded| {
                    leave_alone(&mut loaded.state);
                    loaded.state
                });
                return Ok(Err(Nobody { message, state }));
            }
            reached => reached?,
        };
        return Ok(Ok(Reached { engine, run_id, here: None }));
    }
    let hooks = context.config.hooks()?;
    let (engine, server) = start::engine(context)?;
    let hooks = start::hooks(&engine, hooks, context, false).await;
    if !how.preview {
        // Whatever was running is not let go on: this process ends as soon as the command is done.
        match start::open(context, &engine, run_id, false).await {
            Ok(opened) => {
                for note in &opened.notes {
                    complain(note);
                }
            }
            Err(failure) => {
                start::end(&engine, hooks).await;
                return Err(failure);
            }
        }
    }
    Ok(Ok(Reached { engine, run_id, here: Some((server, hooks)) }))
}

fn refusal(rejection: &Rejection, run_id: Uuid) -> Value {
    json!({"applied": false, "run_id": run_id, "error": rejection})
}

/// The engine of a run that is open in another process.
///
/// # Errors
/// There is no such run, or nobody has it open; said with what would help.
pub async fn live(context: &Context, name: &str) -> Result<(EngineHandle, Uuid), Failure> {
    let (store, run_id, dir) = context.run(name)?;
    let short = short_id(run_id);
    let resume = context.command(&format!("resume {short}"));
    let Some(owner) = store.owner(&dir) else {
        let status = store.list_run(&dir)?.summary.status;
        return Err(not_live(if status.is_ended() {
            let show = context.command(&format!("show {short}"));
            let console = context.command("");
            let console = console.trim_end();
            format!(
                "run {short} is not live: it is {}. To look at it: {show}\nor in the console: {console}",
                status.word()
            )
        } else {
            format!("run {short} is not live: no process has it open. To go on with it: {resume}")
        }));
    };
    let pid = owner.pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
    let Some(address) = owner.address else {
        return Err(not_live(format!("run {short} is open in {pid}, which listens to nobody")));
    };
    // Absolute, as the engine's own is: what is said of a run's files holds wherever it is read.
    let root = std::path::absolute(store.root()).unwrap_or_else(|_| store.root().to_owned());
    let engine = EngineHandle::connect(&address, Store::at(root)).await.map_err(|error| {
        not_live(format!("run {short} is open in {pid}: {error}. When that process has ended: {resume}"))
    })?;
    Ok((engine, run_id))
}

fn not_live(message: String) -> Failure {
    Failure::Said { message, exit: Exit::NotLive }
}

impl CtlAction {
    fn command(self) -> Result<Command, Failure> {
        Ok(match self {
            CtlAction::Start => Command::Start,
            CtlAction::Pause => Command::Pause,
            CtlAction::Resume => Command::Resume,
            CtlAction::Cancel => Command::Cancel,
            CtlAction::Rollback => Command::Rollback,
            CtlAction::Retry { step, downstream } => Command::Retry { step, downstream },
            CtlAction::Skip { step } => Command::Skip { step },
            CtlAction::Complete { step, result } => {
                Command::Complete { step, result: result.map(|text| read_json("the result", &text)).transpose()? }
            }
            CtlAction::Modify { step, patch } => Command::Modify { step, patch: read_json("the patch", &patch)? },
            CtlAction::Add { definition, after, before, rewire } => {
                let place = match (after, before) {
                    (Some(step), _) => Place::After(step),
                    (None, Some(step)) => Place::Before(step),
                    (None, None) => Place::End,
                };
                Command::Add { step: read_json("the step", &definition)?, place, rewire }
            }
            CtlAction::Remove { step } => Command::Remove { step },
            CtlAction::Reorder { steps } => Command::Reorder { steps },
            CtlAction::Hold { step } => Command::Hold { step },
            CtlAction::Unhold { step } => Command::Unhold { step },
            CtlAction::Release { step } => Command::Release { step },
            CtlAction::Approve { step } => Command::Approve { step },
            CtlAction::Reject { step } => Command::Reject { step },
            CtlAction::Escalate { step } => Command::Escalate { step },
            CtlAction::Answer { step, decline: true, .. } => {
                Command::Answer { step, question: None, answer: Answer::Declined }
            }
            CtlAction::Answer { step, .. } => {
                Command::Answer { step, question: None, answer: Answer::Accepted(Map::new()) }
            }
            CtlAction::SetParallel { value } => Command::SetParallel { value },
            CtlAction::Undo { what } => what.unwrap_or(Command::Undo { version: None }),
            CtlAction::UseVersion { version } => Command::UseVersion { version },
            CtlAction::Restore { checkpoint } => {
                let place = parse_checkpoint_id(&checkpoint).ok_or_else(|| {
                    Failure::usage(format!("`{checkpoint}` is no checkpoint; they are called like cp-42"))
                })?;
                Command::Restore { checkpoint: place }
            }
        })
    }
}

impl CtlAction {
    /// The fields of an answer as they were typed, and the words to it.
    fn answer(&self) -> (Vec<(String, String)>, Option<String>) {
        match self {
            CtlAction::Answer { fields, notes, .. } => (fields.clone(), notes.clone()),
            _ => (Vec::new(), None),
        }
    }
}

/// A name and a value with a `=` between them.
pub fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What was typed for the fields of the question that a step asks, as values of the fields' types.
///
/// # Errors
/// What a field must be instead. Of a field that is not there the engine says so.
pub fn read_fields(state: &RunState, step: &str, typed: &[(String, String)]) -> Result<Map<String, Value>, String> {
    let asked = state.step(step).and_then(|(_, step)| step.question()).map(|(_, asked)| &asked.question);
    let mut values = Map::new();
    for (name, text) in typed {
        let value = match asked.and_then(|question| question.fields.get(name)) {
            Some(field) => field.read(text).map_err(|wrong| format!("the field `{name}` {wrong}"))?,
            None => Value::from(text.as_str()),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// How the question that a step asks is answered on a command line, with what has to be filled in.
pub fn answer_words(state: &RunState, step: &str) -> String {
    let asked = state.step(step).and_then(|(_, step)| step.question()).map(|(_, asked)| &asked.question);
    let fields = asked.iter().flat_map(|question| &question.fields.0);
    let required = fields.filter(|(_, field)| field.required && field.default.is_none());
    let shown = required.map(|(name, _)| format!(" --field {}=…", super::shell_word(name)));
    format!("answer {}{}", super::shell_word(step), shown.collect::<String>())
}

/// What is named to be undone.
fn what_to_undo(text: &str) -> Result<Command, String> {
    if let Ok(version) = text.strip_prefix('v').unwrap_or(text).parse() {
        return Ok(Command::Undo { version: Some(version) });
    }
    let id = |error| format!("it is neither a version of the plan, like 3, nor the id of an intervention: {error}");
    text.parse().map(|intervention| Command::UndoIntervention { intervention }).map_err(id)
}

/// JSON from the command line, from a file (`@FILE`) or from stdin (`-`).
fn read_json(what: &str, given: &str) -> Result<Value, Failure> {
    let cannot = |from: &str, error: &dyn std::fmt::Display| {
        Failure::usage(format!("{what} cannot be read from {from}: {error}"))
    };
    let text = if given == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| cannot("stdin", &error))?;
        text
    } else if let Some(path) = given.strip_prefix('@').map(PathBuf::from) {
        std::fs::read_to_string(&path).map_err(|error| cannot(&path.to_string_lossy(), &error))?
    } else {
        given.to_owned()
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{what} is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::actions::Kind;

    /// Everything a key can do to a run, a command can do.
    #[test]
    fn every_command_of_the_table_is_an_action_here() {
        let ctl = super::super::args::command();
        let ctl = ctl.find_subcommand("ctl").unwrap();
        let alias = |name: &'static str| match name {
            "retry-downstream" => "retry",
            "more" | "fewer" => "set-parallel",
            "move-up" | "move-down" => "reorder",
            other => other,
        };
        for entry in TABLE.iter().filter(|entry| matches!(entry.kind, Kind::Command(_))) {
            let name = alias(entry.name);
            let action = ctl.find_subcommand(name).unwrap_or_else(|| panic!("ctl has no `{name}`"));
            let about = action.get_about().map(ToString::to_string);
            assert!(name != entry.name || about.as_deref() == Some(words_of(entry.doc)), "{name}: {about:?}");
        }
        for action in ctl.get_subcommands() {
            assert!(action.get_about().is_some(), "`ctl {}` is not described", action.get_name());
        }
    }
}
