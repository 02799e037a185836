//! The event loop: reads keys and what the engine says, carries effects out in tasks that report back, and draws when something has changed.
//!
//! What is pending is taken in first, then one frame is drawn, at most sixty a second; after a key at once. While nothing happens nothing is
//! drawn, and there is no clock unless one on the screen moves.

mod effects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use crossterm::event::Event as TerminalEvent;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::engine::hooks::Report;
use crate::engine::{EngineHandle, NewRun};
use crate::plan::{Plan, Terms};
use crate::run::{AlertRules, Command, Request};

use super::app::{App, CommandLine, Effect, Event, Settings};
use super::clipboard::Clipboard;
use super::editor;
use super::feed::{self, Links};
use super::keymap::Keymap;
use super::notify::Notifications;
use super::output::{OpenStamps, Reader};
use super::plans::Shelf;
use super::summary::{self, ExitSummary};
use super::terminal::{Background, EnterError, Guard, Keys, Late, Options as TerminalOptions, Signal, Signals, Typed};
use super::text::Charset;
use super::theme::{Glyphs, Theme, ThemeName};
use super::values::Given;
use super::words::Zone;

/// No more frames than this.
const FRAME: Duration = Duration::from_millis(16);
/// Events on their way to the loop: whoever has more to say waits.
const QUEUE: usize = 256;
/// So many are taken in before a frame, so that a flood cannot keep the screen from being drawn.
const BATCH: usize = 256;

/// Makes a new run of a checked plan and its file, with values for its variables, or says what is wrong with the values.
pub type MakeRun = Arc<dyn Fn(Arc<Plan>, &Path, &Given) -> Result<NewRun, Unmade> + Send + Sync>;

/// Why there is no run of a plan.
#[derive(Debug, Clone)]
pub struct Unmade {
    /// What is wrong, a line each.
    pub wrong: String,
    /// The variables of the plan that have a value without one being given.
    pub known: BTreeSet<String>,
}

/// How the console is to be.
#[derive(Clone)]
pub struct ConsoleOptions {
    /// Where plans are looked for.
    pub plans_dir: PathBuf,
    /// Who acts.
    pub user: String,
    /// What is opened at the start.
    pub initial: Option<Initial>,
    /// Makes a new run of a checked plan and its file.
    pub new_run: MakeRun,
    /// What plans that are opened are held to: whether unbound agents are simulated, and who is bound beside them.
    pub terms: Terms,
    /// What is known of plan files already.
    pub shelf: Shelf,
    /// Which key does what.
    pub keys: Keymap,
    /// Colours.
    pub theme: Theme,
    /// The keys that a newcomer needs are shown until they are put away.
    pub tour: bool,
    /// The mouse is taken at the start; else it is left to the terminal.
    pub mouse: bool,
    /// The terminal is asked for its background, and the theme is made for that.
    pub ask_background: bool,
    /// What the terminal can show.
    pub charset: Charset,
    /// Bell and desktop notification when a run fails or waits for a person.
    pub alerts: bool,
    /// Which alerts there are.
    pub alert_rules: AlertRules,
    /// What the hooks of this process report.
    pub reports: Option<broadcast::Sender<Report>>,
    /// In which ways.
    pub notifications: Notifications,
    /// Where a copy goes that the terminal does not take.
    pub state_dir: PathBuf,
    /// Finds the times and streams of an output's lines.
    pub stamps: OpenStamps,
    /// Command lines that the operator is told to type.
    pub command_line: CommandLine,
    /// Another console can be attached to the runs of this process.
    pub reachable: bool,
    /// Whoever has started this process takes the terminal back when it is left.
    pub has_shell: bool,
}

/// How a console was left.
#[derive(Debug)]
pub struct Left {
    /// What is said when the console ends.
    pub summary: ExitSummary,
    /// The terminal went away (the line dropped, its window was closed, or it failed): nobody has said that anything should end.
    pub hung_up: bool,
    /// The operator has left, and the runs go on.
    pub goes_on: bool,
}

/// What is opened at the start.
#[derive(Debug, Clone)]
pub enum Initial {
    /// A new run, started; not by itself where another one of its plan is under way.
    New {
        /// The run.
        new: Box<NewRun>,
        /// The plan's file.
        path: PathBuf,
        /// What is said of the other run.
        beside: Option<String>,
    },
    /// A run on disk, only looked at until the first command.
    Look(Uuid),
    /// A run that the engine has open.
    Attach(Uuid),
    /// A run on disk that goes on, after these answers to what it waits for.
    GoOn(Uuid, Vec<Request>),
}

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The terminal cannot be had.
    #[error(transparent)]
    Terminal(#[from] EnterError),
    /// Reading keys or writing the screen failed.
    #[error("the terminal failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Runs the console until the operator leaves it or the terminal goes away. The terminal is given back in every case.
///
/// # Errors
/// There is no terminal.
pub async fn run(handle: EngineHandle, options: ConsoleOptions) -> Result<Left, ConsoleError> {
    let signals = Signals::listen()?;
    let usual = TerminalOptions::from_env();
    let wanted = &options.notifications;
    let terminal = TerminalOptions {
        mouse: options.mouse,
        title: wanted.title && usual.title,
        notices: wanted.osc9 && usual.notices,
        charset: options.charset,
    };
    let mut guard = Guard::enter(terminal)?;
    let background = if options.ask_background { Background::ask(&mut guard).await? } else { Background::default() };
    let theme = match background.is_light {
        Some(true) => Theme::new(ThemeName::Light, options.theme.depth()),
        Some(false) => Theme::new(ThemeName::Dark, options.theme.depth()),
        None => options.theme,
    };
    let options = ConsoleOptions { theme, ..options };
    let state_dir = options.state_dir.clone();
    let (mut app, hung_up) = Loop::new(handle.clone(), options, guard, background)?.go(signals).await;
    for run in app.looked_at_only() {
        // One in which something was done stays.
        if handle.discard(run).await.is_ok() {
            app.visited.retain(|visited| *visited != run);
        }
    }
    let goes_on = app.goes_on();
    let mut runs = app.visited.clone();
    if goes_on {
        runs.extend(app.still_active().iter().map(|run| run.run_id).filter(|run| !app.visited.contains(run)));
    }
    let mut ended = summary::collect(&handle, &runs, goes_on, &app.settings.command_line).await;
    for line in editor::keep(&state_dir, &app.unsent(), Utc::now()) {
        ended.text.push_str(&format!("{}\n", super::text::clean(&line)));
    }
    Ok(Left { summary: ended, hung_up, goes_on })
}

/// Everything the loop holds. Dropping it gives the terminal back.
struct Loop {
    handle: EngineHandle,
    options: ConsoleOptions,
    app: App,
    guard: Guard,
    reader: Reader,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    /// Forwards what happens to the open run.
    feed: Option<JoinHandle<()>>,
    /// Reads what is seen of the selected row.
    glimpse: Option<JoinHandle<()>>,
    /// The engines of other processes that it speaks to.
    links: Links,
    title: String,
    clipboard: Clipboard,
    /// Keys from before answer nothing: what they would answer was not on the screen.
    answers_from: std::time::Instant,
    /// What the operator's editor is to be opened on, at the next turn of the loop.
    editing: Option<(String, String)>,
    /// What was typed while the terminal was asked for its background.
    typed_before: Vec<TerminalEvent>,
    /// Takes an answer of the terminal that came too late out of what is typed.
    late: Late,
    quit: bool,
    hung_up: bool,
}

impl Loop {
    fn new(
        handle: EngineHandle,
        options: ConsoleOptions,
        guard: Guard,
        background: Background,
    ) -> Result<Self, ConsoleError> {
        let (sender, events) = mpsc::channel(QUEUE);
        let answers = sender.clone();
        let reader = Reader::spawn(options.stamps, move |answer| answers.blocking_send(Event::Output(answer)).is_ok())?;
        let outputs = handle.clone();
        let settings = Settings {
            user: options.user.clone(),
            plans_dir: options.plans_dir.clone(),
            checkpoints_dir: handle.root().to_path_buf(),
            simulate: options.terms.simulate,
            alerts: options.alerts,
            alert_rules: options.alert_rules,
            zone: Zone::Local,
            attached: handle.is_remote().then(|| handle.process()),
            output_path: Arc::new(move |run, step, attempt| outputs.output_path(run, step, attempt)),
            command_line: Arc::clone(&options.command_line),
            reachable: options.reachable,
            has_shell: options.has_shell,
        };
        let size = guard.size()?;
        let size = (size.width, size.height);
        let mut app = App::new(settings, options.theme, Glyphs::new(options.charset), Utc::now(), size);
        app.keys = options.keys.clone();
        app.tour = options.tour;
        app.away.after = options.notifications.away;
        app.mouse = guard.has_mouse();
        let clipboard = Clipboard::from_env(options.state_dir.clone());
        Ok(Self {
            handle,
            options,
            app,
            guard,
            reader,
            sender,
            events,
            feed: None,
            glimpse: None,
            links: Links::default(),
            title: String::new(),
            clipboard,
            answers_from: std::time::Instant::now(),
            editing: None,
            typed_before: background.typed,
            late: background.late,
            quit: false,
            hung_up: false,
        })
    }

    /// What the operator left behind, and whether it was the terminal that left.
    async fn go(mut self, signals: Signals) -> (App, bool) {
        let watch = feed::watch(self.handle.clone(), self.sender.clone());
        let space = feed::watch_space(self.handle.clone(), self.sender.clone());
        let reports =
            self.options.reports.take().map(|reports| feed::reports(reports.subscribe(), self.sender.clone()));
        let around = feed::look_around(self.handle.clone(), self.sender.clone());
        let plans = feed::watch_plans(self.options.plans_dir.clone(), self.sender.clone());
        let (engine, sender) = (self.handle.clone(), self.sender.clone());
        let ended = tokio::spawn(async move {
            engine.ended().await;
            // The console may have ended as well.
            let _ = sender.send(Event::EngineEnded).await;
        });
        if let Err(error) = self.turns(signals).await {
            // A terminal that takes nothing any more is as good as one that was closed: no run ends for it.
            tracing::warn!("the terminal failed: {error}");
            self.hung_up = true;
        }
        watch.abort();
        around.abort();
        plans.abort();
        space.abort();
        if let Some(reports) = reports {
            reports.abort();
        }
        ended.abort();
        if let Some(feed) = self.feed.take() {
            feed.abort();
        }
        (self.app, self.hung_up)
    }

    async fn turns(&mut self, mut signals: Signals) -> Result<(), ConsoleError> {
        let mut keys = Keys::read()?;
        self.carry_out(vec![Effect::ListPlans]);
        self.open_initial();
        let mut drawn_at = Instant::now();
        let mut dirty = true;
        let mut urgent = true;
        for event in std::mem::take(&mut self.typed_before) {
            self.terminal_event(Typed { at: std::time::Instant::now(), event }, &mut keys).await?;
        }
        while !self.quit && !self.hung_up {
            if let Some((text, name)) = self.editing.take() {
                self.edit(&text, &name, &mut keys, &mut signals).await?;
                (dirty, urgent) = (true, true);
            }
            if dirty && (urgent || drawn_at.elapsed() >= FRAME) {
                let new_layer = self.app.has_new_layer();
                self.draw()?;
                self.ask();
                (dirty, urgent, drawn_at) = (false, false, Instant::now());
                if new_layer {
                    self.answers_from = std::time::Instant::now();
                }
                continue;
            }
            let tick = self.app.ticks();
            let now = Utc::now();
            let second = Duration::from_millis(1000 - u64::from(now.timestamp_subsec_millis().min(999)));
            // Without a clock on the screen nothing wakes this up but the end of a message, once, and a minute more of a pause.
            let moments = self.app.fades().into_iter().chain(self.app.next_minute()).chain(self.app.agrees_at());
            let moment = moments.min().map(|end| (end - now).to_std().unwrap_or_default());
            let wake = moment.into_iter().chain(tick.then_some(second)).min();
            tokio::select! {
                biased;
                signal = signals.next() => {
                    self.signal(signal, &mut keys).await?;
                    (dirty, urgent) = (true, true);
                }
                event = keys.next() => {
                    match event {
                        Some(Ok(event)) => {
                            if self.terminal_event(event, &mut keys).await? {
                                (dirty, urgent) = (true, true);
                            }
                        }
                        // The terminal is gone: the runs are not, and whoever called us decides about them.
                        Some(Err(_)) | None => self.hung_up = true,
                    }
                }
                () = tokio::time::sleep_until(drawn_at + FRAME), if dirty => {}
                event = self.events.recv() => {
                    let Some(event) = event else { break };
                    self.take(event);
                    for _ in 0..BATCH {
                        match self.events.try_recv() {
                            Ok(event) => self.take(event),
                            Err(_) => break,
                        }
                    }
                    dirty = true;
                }
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {
                    self.take(Event::Tick);
                    dirty = true;
                }
            }
        }
        Ok(())
    }

    fn open_initial(&mut self) {
        let (handle, sender) = (self.handle.clone(), self.sender.clone());
        match self.options.initial.take() {
            None => {}
            Some(Initial::New { new, path, beside }) => {
                let looked_at = beside.is_some().then_some(path);
                self.app.beside = beside;
                self.app.making = true;
                self.register(*new, looked_at);
            }
            Some(Initial::Look(run)) => {
                // A run that this engine does not own yet is read from disk.
                let effects = self.app.open(run, false);
                self.carry_out(effects);
            }
            Some(Initial::Attach(run)) => {
                let told = self.app.keys.fill("{quit} leaves it running");
                self.app.say(format!("attached to process {}; {told}", self.handle.process()));
                let effects = self.app.open(run, true);
                self.carry_out(effects);
            }
            Some(Initial::GoOn(run, answers)) => {
                let user = self.options.user.clone();
                // It is shown as it lies on disk until it is ours.
                let effects = self.app.open(run, false);
                self.carry_out(effects);
                tokio::spawn(async move {
                    let event = match effects::go_on(&handle, run, &user, answers, &sender).await {
                        Ok(status) if status.is_ended() => Event::Say(format!("the run is {} already", status.word())),
                        Ok(_) => Event::Say("the run goes on".into()),
                        Err(rejection) => Event::Answered { command: Command::Resume, result: Err(rejection) },
                    };
                    // The console may have ended meanwhile.
                    let _ = sender.send(event).await;
                });
            }
        }
    }

    /// Makes a run, and starts it if it is not made to be looked at.
    fn register(&self, new: NewRun, looked_at: Option<PathBuf>) {
        let handle = self.handle.clone();
        self.report(async move {
            let name = new.plan.plan_id.clone();
            let result = handle.register(new).await;
            let start = looked_at.is_none();
            Event::Registered { result, name, looked_at, start }
        });
    }

    fn take(&mut self, event: Event) {
        let effects = self.app.update(event, Utc::now());
        self.carry_out(effects);
    }

    fn draw(&mut self) -> Result<(), ConsoleError> {
        self.app.prepare();
        let app = &self.app;
        self.guard.draw(|frame| super::views::draw(app, frame))?;
        self.app.mark_drawn();
        let title = self.app.title();
        if title != self.title {
            self.guard.set_title(&title)?;
            self.title = title;
        }
        Ok(())
    }

    /// Asks for what the frame is still without. Once it is on the screen: who answers would take the processor from who draws.
    fn ask(&mut self) {
        let mut room = true;
        for request in self.app.output_requests() {
            // What is behind one that found no room waits with it: their order says what they are about.
            room = room && self.reader.request(request.clone());
            if !room {
                self.app.output.refused(request);
            }
        }
        if let (Some(subject), Some(run)) = (self.app.wanted.take(), self.app.run.as_ref().map(|run| run.id())) {
            let handle = self.handle.clone();
            self.report(async move {
                Event::Told { run, subject, result: super::history::tell(&handle, run, subject).await }
            });
        }
        if let Some(missing) = self.app.wanted_attempts.take() {
            let handle = self.handle.clone();
            self.report(async move {
                let result = super::left_behind::read(&handle, &missing).await;
                Event::LeftBehind { missing, result }
            });
        }
        if let Some(wanted) = self.app.glimpses.wanted.take() {
            let (handle, sender) = (self.handle.clone(), self.sender.clone());
            let of_plans = (self.options.terms.clone(), self.options.shelf.clone());
            let before = self.glimpse.replace(tokio::spawn(async move {
                let glimpse = super::glimpse::read(&handle, &wanted, of_plans).await.map(Box::new);
                // The console may have ended meanwhile.
                let _ = sender.send(Event::Glimpsed { row: wanted.row, glimpse }).await;
            }));
            // Nobody looks at the row before any more.
            if let Some(before) = before {
                before.abort();
            }
        }
        if let Some(question) = self.app.question.take() {
            let (handle, sender) = (self.handle.clone(), self.sender.clone());
            tokio::spawn(async move {
                if let Some(answer) = super::estimate::answer(&handle, question).await {
                    // The console may have ended meanwhile.
                    let _ = sender.send(Event::Estimated(answer)).await;
                }
            });
        }
    }

    /// Says whether something may have changed.
    async fn terminal_event(&mut self, typed: Typed, keys: &mut Keys) -> Result<bool, ConsoleError> {
        if self.late.takes(&typed) {
            return Ok(false);
        }
        match typed.event {
            // What was typed before the question was on the screen is no answer to it.
            TerminalEvent::Key(_) | TerminalEvent::Paste(_) if typed.at < self.answers_from => {
                self.app.typed_too_early();
            }
            TerminalEvent::Key(key) => {
                let stop = crossterm::event::KeyEvent::new(
                    crossterm::event::KeyCode::Char('z'),
                    crossterm::event::KeyModifiers::CONTROL,
                );
                if key == stop {
                    self.suspend(keys).await?;
                } else {
                    self.take(Event::Key(key));
                }
            }
            TerminalEvent::Paste(text) => self.take(Event::Paste(text)),
            TerminalEvent::Resize(columns, rows) => self.take(Event::Resize(columns, rows)),
            TerminalEvent::Mouse(event) => self.take(Event::Mouse(event)),
            TerminalEvent::FocusGained => self.take(Event::Focus(true)),
            TerminalEvent::FocusLost => {
                self.take(Event::Focus(false));
                // Nothing of it is to be seen.
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ctrl-Z: the terminal goes back to the shell, and comes again.
    async fn suspend(&mut self, keys: &mut Keys) -> Result<(), ConsoleError> {
        keys.rest().await;
        let (said, since) = (self.app.stands_still(), Utc::now());
        let stopped = self.guard.stop(said.as_deref()).await;
        keys.go_on();
        stopped?;
        if said.is_some() {
            self.app.stood_still(Utc::now() - since);
        }
        self.resized()
    }

    /// The operator's editor has the terminal; the runs go on.
    async fn edit(
        &mut self,
        text: &str,
        name: &str,
        keys: &mut Keys,
        signals: &mut Signals,
    ) -> Result<(), ConsoleError> {
        keys.rest().await;
        let edited = self.guard.suspend_with(|| editor::edit(text, name));
        keys.go_on();
        let edited = edited?;
        // What the terminal sent to the editor's process group was not meant for the console.
        signals.forget_keys().await;
        self.resized()?;
        self.take(Event::Edited(edited));
        Ok(())
    }

    fn resized(&mut self) -> Result<(), ConsoleError> {
        let size = self.guard.size()?;
        self.take(Event::Resize(size.width, size.height));
        Ok(())
    }

    async fn signal(&mut self, signal: Signal, keys: &mut Keys) -> Result<(), ConsoleError> {
        match signal {
            Signal::Hangup => self.hung_up = true,
            Signal::Terminate | Signal::Interrupt => self.take(Event::Terminate),
            Signal::Stop => self.suspend(keys).await?,
            Signal::Continued => {
                self.guard.continued()?;
                self.resized()?;
            }
        }
        Ok(())
    }

    /// Runs something that may wait, in a task of its own; what it finds comes back as an event.
    fn report(&self, work: impl Future<Output = Event> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let event = work.await;
            // The console may have ended meanwhile.
            let _ = sender.send(event).await;
        });
    }

    /// The engine that commands to a run go to.
    fn engine_of(&self, run: Uuid) -> EngineHandle {
        self.links.engine_of(run).unwrap_or_else(|| self.handle.clone())
    }

    fn end_feed(&mut self) {
        if let Some(feed) = self.feed.take() {
            feed.abort();
        }
    }
}
