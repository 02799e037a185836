//! What comes into the console and what it asks to be done outside.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};
use uuid::Uuid;

use crate::engine::hooks::Report;
use crate::engine::{Ack, Batch, ListedRun, Notice, Owner, RunUpdate, Space, StorageTrouble};
use crate::run::{Command, ForkPreview, Preview, Recorded, Rejection, Request, RunState};

use super::bulk;
use super::estimate;
use super::glimpse::Glimpse;
use super::history::{Line, Subject};
use super::left_behind::{LeftAttempt, Missing};
use super::output::{Answer, NotSaved, Save, Saved};
use super::runs_model::{PlanEntry, RowId};
use super::values::{Given, Unbound};
use super::why::Said;

/// What comes in.
#[derive(Debug)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Pasted text.
    Paste(String),
    /// The terminal has the focus, or has lost it.
    Focus(bool),
    /// The terminal has another size.
    Resize(u16, u16),
    /// A second has passed.
    Tick,
    /// A signal asks the console to end.
    Terminate,
    /// Something in the folder of plans has changed.
    PlansChanged,
    /// What was asked for of the past has been read.
    Told {
        /// Of which run.
        run: Uuid,
        /// What it is about.
        subject: Subject,
        /// The text, or why there is none.
        result: Result<Vec<Line>, String>,
    },
    /// Attempts that going back has left behind have been read.
    LeftBehind {
        /// Which ones.
        missing: Missing,
        /// Those that were found, or why none could be read.
        result: Result<Vec<LeftAttempt>, String>,
    },
    /// A text to read, with what it quotes of outputs.
    Quoted {
        /// Its heading.
        title: String,
        /// All of it.
        lines: Vec<String>,
    },
    /// What was asked for the estimate has been found out.
    Estimated(estimate::Answer),
    /// A run was forked at a checkpoint: the new run, or why there is none.
    Forked {
        /// The run it was forked from.
        parent: Uuid,
        /// The checkpoint's place.
        checkpoint: u64,
        /// The new run.
        result: Result<Uuid, Rejection>,
    },
    /// A hook of this process has something to say, or there is an alert.
    Reported(Report),
    /// Something did not work.
    Complain(String),
    /// The engine has ended, by itself or with the process it is in.
    EngineEnded,
    /// The disk of the runs is nearly full, or is not any more.
    Space(Option<Space>),
    /// The runs were read.
    RunsListed(Result<(Vec<ListedRun>, Vec<String>), String>),
    /// The plans were read.
    PlansListed(Vec<PlanEntry>),
    /// Something of a row of the list has been read, to be seen below it.
    Glimpsed {
        /// Which row.
        row: RowId,
        /// What is seen, if it could be read.
        glimpse: Option<Box<Glimpse>>,
    },
    /// A run of this engine has changed.
    Summary(Arc<RunUpdate>),
    /// The disk does not take a run's journal, or takes it again.
    Storage {
        /// Which run.
        run: Uuid,
        /// What is wrong.
        trouble: Option<Arc<StorageTrouble>>,
    },
    /// A plan was opened as a run, which is started at once if asked.
    Registered {
        /// The run, or why not.
        result: Result<Uuid, Rejection>,
        /// What was opened.
        name: String,
        /// The plan's file, if the run was made of nothing but it, to look at the plan.
        looked_at: Option<PathBuf>,
        /// Start it.
        start: bool,
    },
    /// A plan that was to be opened needs values for its variables.
    Unbound(Unbound),
    /// A run is subscribed to, of this engine or of the one that it is attached to.
    Subscribed {
        /// Its state.
        state: Arc<RunState>,
        /// Its newest events.
        recent: Vec<Arc<Recorded>>,
        /// Whether the disk takes its journal.
        storage: Option<Arc<StorageTrouble>>,
        /// The process in whose engine it is, where that is another one.
        through: Option<u32>,
    },
    /// The engine of another process in which this console acted on a run is not reached any more, or never was.
    Detached {
        /// Which run.
        run: Uuid,
        /// Why it was never reached; `None`: it has let the run go, or has ended.
        error: Option<String>,
    },
    /// A run that was only looked at has been removed, or has not.
    Discarded {
        /// Which.
        run: Uuid,
        /// Why not.
        result: Result<(), Rejection>,
    },
    /// A run was read from disk.
    Loaded {
        /// Its state.
        state: Arc<RunState>,
        /// Its newest events.
        recent: Vec<Arc<Recorded>>,
        /// The other process that owns it, if one does.
        owner: Option<Owner>,
        /// What is wrong with its journal.
        damage: Option<String>,
    },
    /// A run could not be opened, read or subscribed to.
    NotOpened {
        /// Which.
        run: Uuid,
        /// Why.
        error: String,
    },
    /// A run was taken over by this engine.
    TakenOver {
        /// Which.
        run: Uuid,
        /// What was found and mended.
        notes: Vec<String>,
    },
    /// Something durable happened to the open run.
    Batch {
        /// Which.
        run: Uuid,
        /// The events, and the state after them.
        batch: Batch,
    },
    /// The console fell behind and missed events; it has subscribed again.
    FellBehind {
        /// How many batches it missed.
        missed: u64,
    },
    /// Progress, output, trouble with the disk.
    Notice(Notice),
    /// A command was answered.
    Answered {
        /// What was asked.
        command: Command,
        /// The answer.
        result: Result<Ack, Rejection>,
    },
    /// The commands to all that were marked were answered.
    AnsweredAll(Vec<bulk::Answered>),
    /// What a command would do.
    Previewed {
        /// The request that was asked about.
        request: Uuid,
        /// The answer.
        result: Result<Box<Preview>, Rejection>,
    },
    /// What a fork would be.
    PreviewedFork {
        /// The question that was asked.
        request: Uuid,
        /// The answer.
        result: Result<ForkPreview, Rejection>,
    },
    /// The operator's editor has ended: the text, or why there is none.
    Edited(Result<String, String>),
    /// Something to say in the message line.
    Say(String),
    /// The reader of the output has something.
    Output(Answer),
    /// An output was written to a file, or why it was not.
    Saved(Result<Saved, NotSaved>),
}

/// What of a run is written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// Its snapshot.
    Snapshot,
    /// Its interventions: those at these places of the log, or all.
    Interventions(Option<Vec<usize>>),
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Read the runs.
    ListRuns,
    /// Read the plans.
    ListPlans,
    /// Open a plan as a new run, as its file is now.
    OpenPlan {
        /// Its file.
        path: PathBuf,
        /// A run that has not started: opened instead, if it is of exactly this plan.
        idle: Option<Uuid>,
        /// Values for its variables.
        given: Given,
    },
    /// Subscribe to a run of this engine; the subscription before it ends.
    Subscribe(Uuid),
    /// Read a run that this engine does not own.
    Load(Uuid),
    /// Act on a run in the engine of the process that has it open, until another run is followed or read.
    Attach(Uuid),
    /// Remove a run in which nothing was done.
    Discard(Uuid),
    /// The open run was left.
    Unsubscribe,
    /// Take a run over; with `go_on`, let it run if it may.
    TakeOver {
        /// Which.
        run: Uuid,
        /// Let it go on.
        go_on: bool,
        /// Sent when it is ours; a resume only if the run does not go on by itself and could.
        then: Box<Request>,
    },
    /// Send a command.
    Send {
        /// To which run.
        run: Uuid,
        /// The command.
        request: Box<Request>,
    },
    /// Send a command to each of those that were marked.
    SendAll(Vec<bulk::Sent>),
    /// Ask what a command would do, without doing it.
    Preview {
        /// On which run.
        run: Uuid,
        /// The command.
        request: Box<Request>,
    },
    /// Open a text in the operator's editor.
    Edit {
        /// The text.
        text: String,
        /// What it is, for the file's name.
        name: String,
    },
    /// Put text on the clipboard.
    Copy {
        /// The text.
        text: String,
        /// What it is.
        what: String,
    },
    /// Write an output to a file.
    Save(Box<Save>),
    /// Read what a text quotes of outputs.
    Quote {
        /// Its heading.
        title: String,
        /// The text, and where which output is quoted.
        said: Said,
    },
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Make a new run that begins at a checkpoint.
    Fork {
        /// Of which run.
        run: Uuid,
        /// Its place.
        checkpoint: u64,
        /// Why.
        reason: Option<String>,
    },
    /// Ask what a fork would be, without making it.
    PreviewFork {
        /// Of which run.
        run: Uuid,
        /// The checkpoint's place.
        checkpoint: u64,
        /// By what the answer is known.
        request: Uuid,
    },
    /// Write what is known of a run to a file.
    Export {
        /// Of which run.
        run: Uuid,
        /// What of it.
        what: Exported,
    },
    /// Bell and desktop notification.
    Alert(String),
    /// The tour is not to come again.
    EndTour,
    /// Draw the whole screen anew.
    Repaint,
    /// Leave the console.
    Quit,
}
