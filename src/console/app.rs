//! The state of the console and its update: events in, effects out. No I/O, no clock, no locks.

mod news;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::Space;
use crate::run::{AlertRules, RunStatus, StepStatus};

pub use super::event::{Effect, Event};

use super::across::Across;
use super::actions::{Action, Scope};
use super::answering::AnswerForm;
use super::away::Away;
use super::estimate::Question;
use super::filter::Looking;
use super::form::Form;
use super::glimpse::Glimpses;
use super::history::{History, Subject};
use super::input::Input;
use super::keymap::Keymap;
use super::keys::Key;
use super::left_behind::Missing;
use super::marks::Marks;
use super::message::Message;
use super::metrics::Agents;
use super::mouse::Drag;
use super::moving::Move;
use super::output::{Pane as OutputPane, Request as OutputRequest, Source};
use super::popups::{Layer, Leaving, Popup};
use super::run_model::{OpenRun, Ownership, Pane, Tab};
use super::runs_model::RunsList;
use super::stray::Stray;
use super::theme::{Glyphs, Theme};
use super::timeline::Timeline;
use super::why::Explained;
use super::words::Zone;
use super::{document, text, views};

/// Where an attempt's output lies: known by the engine, asked by the viewer.
pub type OutputPath = Arc<dyn Fn(Uuid, &str, u32) -> PathBuf + Send + Sync>;

/// Says a command line that does something with the same runs as this console: given `attach 9c41`, with everything that has to stand before it.
pub type CommandLine = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What does not change while the console runs.
#[derive(Clone)]
pub struct Settings {
    /// Who acts.
    pub user: String,
    /// Where plans are looked for.
    pub plans_dir: PathBuf,
    /// Where runs lie.
    pub checkpoints_dir: PathBuf,
    /// Unbound agents of plans that are opened are simulated.
    pub simulate: bool,
    /// Bell and desktop notification when a run fails or waits for a person.
    pub alerts: bool,
    /// Which alerts there are.
    pub alert_rules: AlertRules,
    /// In which zone times are shown.
    pub zone: Zone,
    /// The process of the engine, where that is another one: leaving the console leaves it alone.
    pub attached: Option<u32>,
    /// Where outputs lie.
    pub output_path: OutputPath,
    /// Command lines that the operator is told to type.
    pub command_line: CommandLine,
    /// Another console can be attached to the runs of this process.
    pub reachable: bool,
    /// Whoever has started this process takes the terminal back when it is left.
    pub has_shell: bool,
}

/// The places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Runs and plans.
    Runs,
    /// An open run.
    Run,
    /// What was: the open run's checkpoints, the versions of its plan, its interventions.
    History,
    /// The open run's attempts against time.
    Timeline,
    /// The open run's plan as a graph.
    Graph,
    /// The open run's numbers, and how its agents do.
    Metrics,
}

/// What was on the screen when the operator pressed a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Status of the open run.
    pub status: Option<RunStatus>,
    /// Whether an engine owned it, this one or another process's.
    pub live: bool,
    /// The selected step and its status.
    pub step: Option<(String, StepStatus)>,
    /// Whether that step asked something.
    pub asks: bool,
}

/// Which list a filter is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterOf {
    /// Runs and plans.
    Runs,
    /// Steps.
    Steps,
    /// A search in the output.
    Output,
    /// Which lines of the output are shown.
    Lines,
    /// What was.
    History,
}

/// The whole state of the console.
pub struct App {
    /// What does not change.
    pub settings: Settings,
    /// Which key does what.
    pub keys: Keymap,
    /// The keys that a newcomer needs are shown below the runs.
    pub tour: bool,
    /// Colours.
    pub theme: Theme,
    /// Glyphs.
    pub glyphs: Glyphs,
    /// The time.
    pub now: DateTime<Utc>,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Where the operator is.
    pub place: Place,
    /// Runs and plans.
    pub runs: RunsList,
    /// The open run.
    pub run: Option<OpenRun>,
    /// What of the open run's past is looked at.
    pub history: Option<History>,
    /// The list of what was from which the operator has gone to a step: back leads there again.
    pub came_from: Option<History>,
    /// The timeline of the open run, once it was looked at.
    pub timeline: Option<Timeline>,
    /// Where the operator is among the agents of the open run.
    pub agents: Agents,
    /// The run that is being opened.
    pub opening: Option<Uuid>,
    /// The run for which the console was started is being made, and is opened next.
    pub making: bool,
    /// What lies over the place.
    pub layers: Vec<Layer>,
    /// The filter while it is being typed.
    pub typing: Option<(FilterOf, Input)>,
    /// News.
    pub message: Option<Message>,
    /// The room on the disk of the runs, while there is little.
    pub low: Option<Space>,
    /// How far leaving has come.
    pub leaving: Option<Leaving>,
    /// The viewer of the output of the attempt that is looked at.
    pub output: OutputPane,
    /// How it is looked through.
    pub looking: Looking,
    /// What is searched besides it.
    pub(super) across: Across,
    /// The mouse is ours; else it is the terminal's.
    pub mouse: bool,
    /// Runs that were open in this console, for the summary at the end.
    pub visited: Vec<Uuid>,
    /// Runs of other processes that this console acts on there whenever they are looked at.
    pub(super) steered: HashSet<Uuid>,
    /// Runs that were made to look at a plan, each with the plan's file: they go again, unless something is done in them.
    pub(super) passing: HashMap<Uuid, PathBuf>,
    /// Forms that were closed with something typed in them.
    pub drafts: Vec<Form>,
    /// Forms for answers that were closed with something typed in them, while their questions were open: one for each.
    pub answer_drafts: Vec<AnswerForm>,
    /// Of what the answer is that was opened last to why a step does not run.
    pub(super) explained: Option<Explained>,
    /// Why the run of the plan that was named on the command line is opened and not started.
    pub(super) beside: Option<String>,
    /// What has happened while nobody looked.
    pub away: Away,
    /// When people were reminded last of what a run asks.
    reminded: HashMap<Uuid, DateTime<Utc>>,
    /// The step under the mouse's pressed button.
    pub drag: Option<Drag>,
    /// A move of a step that is on its way.
    pub moving: Option<Move>,
    /// What of the past has to be read.
    pub wanted: Option<Subject>,
    /// Attempts that have to be read from the journal.
    pub wanted_attempts: Option<Missing>,
    /// Steps that are marked in runs which were looked at before.
    step_marks: HashMap<Uuid, Marks<String>>,
    /// What is seen of the selected row of the list.
    pub glimpses: Glimpses,
    /// What has to be found out for the estimate.
    pub question: Option<Question>,
    drawn: Drawn,
    /// The key that was pressed last, and when.
    pub(super) pressed: Option<(Key, DateTime<Utc>)>,
    /// What is typed, or may be, that no field is there for.
    pub(super) typed_on: Option<Stray>,
}

impl App {
    /// A console with nothing read yet.
    pub fn new(settings: Settings, theme: Theme, glyphs: Glyphs, now: DateTime<Utc>, size: (u16, u16)) -> Self {
        Self {
            settings,
            keys: Keymap::default(),
            tour: false,
            theme,
            glyphs,
            now,
            size,
            place: Place::Runs,
            runs: RunsList::default(),
            run: None,
            history: None,
            came_from: None,
            timeline: None,
            agents: Agents::default(),
            opening: None,
            making: false,
            pressed: None,
            typed_on: None,
            layers: Vec::new(),
            typing: None,
            message: None,
            low: None,
            leaving: None,
            output: OutputPane::new(super::output_colors(&theme)),
            looking: Looking::default(),
            across: Across::default(),
            mouse: true,
            visited: Vec::new(),
            steered: HashSet::new(),
            passing: HashMap::new(),
            drafts: Vec::new(),
            answer_drafts: Vec::new(),
            explained: None,
            beside: None,
            away: Away::new(now),
            reminded: HashMap::new(),
            drag: None,
            moving: None,
            wanted: None,
            wanted_attempts: None,
            step_marks: HashMap::new(),
            glimpses: Glimpses::default(),
            question: None,
            drawn: Drawn::default(),
        }
    }

    /// The place as a scope of actions.
    pub fn scope(&self) -> Scope {
        match self.place {
            Place::Runs => Scope::Runs,
            Place::Run => Scope::Run,
            Place::History => Scope::History,
            Place::Timeline => Scope::Timeline,
            Place::Graph => Scope::Graph,
            Place::Metrics => Scope::Metrics,
        }
    }

    /// The key that is shown for an action.
    pub fn key_of(&self, action: Action) -> &str {
        self.keys.shown(action)
    }

    /// What was on the screen.
    pub fn drawn(&self) -> &Drawn {
        &self.drawn
    }

    /// Whether the list, or the output, that has the keys is filtered or searched.
    pub fn has_filter(&self) -> bool {
        match (self.place, &self.run) {
            _ if self.in_output() => self.output.searched().is_some(),
            (Place::Run | Place::Timeline, Some(run)) => !run.list.filter.is_empty(),
            (Place::History, _) => self.history.as_ref().is_some_and(|history| !history.filter.is_empty()),
            (Place::Graph | Place::Metrics, _) => false,
            _ => !self.runs.filter.is_empty(),
        }
    }

    /// Whether the keys are those of the output.
    pub fn in_output(&self) -> bool {
        let has = |run: &OpenRun| run.focus == Pane::Detail && run.tab == Tab::Output;
        self.place == Place::Run && self.run.as_ref().is_some_and(has)
    }

    /// Puts a popup over everything.
    pub fn push(&mut self, popup: Popup) {
        self.layers.push(Layer { popup, drawn: false });
    }

    /// Whether a popup has not been on the screen yet: what is typed now is not meant for it.
    pub fn has_new_layer(&self) -> bool {
        self.layers.last().is_some_and(|layer| !layer.drawn)
    }

    /// Whether a clock on the screen moves: then, and only then, a tick a second is needed.
    pub fn ticks(&self) -> bool {
        let old = |history: &History| self.run.as_ref().is_some_and(|run| history.is_old(&run.state));
        if self.foretold_is_old() || self.answer_is_old() || self.history.as_ref().is_some_and(old) {
            return true;
        }
        if self.settings.alerts && self.runs.remind() {
            return true;
        }
        match (self.place, &self.run) {
            (Place::Metrics, Some(run)) if run.numbers.is_old() => true,
            (Place::Run | Place::History | Place::Timeline | Place::Graph | Place::Metrics, Some(run)) => {
                run.ticks() || run.estimate.is_old(&run.state, false, self.now)
            }
            _ => self.runs.active().next().is_some(),
        }
    }

    /// When another minute of a pause that is seen is over: how long it lasts is then said anew, though nothing happens.
    pub fn next_minute(&self) -> Option<DateTime<Utc>> {
        let run = self.run.as_ref().filter(|_| self.place != Place::Runs)?;
        let paused = run.times(self.now)?.paused?;
        run.state.since.checked_add_signed(TimeDelta::try_minutes((paused / 60.0) as i64 + 1)?)
    }

    /// Opens the output of the attempt that is looked at; closes it where there is no run.
    pub(super) fn show_output(&mut self) {
        let Some(run) = &self.run else { return self.output.open(None) };
        let source = run.shown_attempt().and_then(|attempt| {
            let step = run.list.selected.as_deref()?;
            let live = attempt.ended_at.is_none() && run.ownership != Ownership::Nobody;
            Some((self.settings.output_path)(run.state.home_of(attempt), step, attempt.number)).zip(Some(live))
        });
        self.output.open(source.map(|(path, live)| Source { path, live }));
    }

    /// Brings what is seen up to date. Called once before a frame, however many events came before it.
    pub fn prepare(&mut self) {
        if let Some(run) = self.looked_at() {
            self.runs.seen(run);
        }
        self.runs.prepare();
        self.refresh_glimpse();
        self.refresh_message();
        self.refresh_marks();
        self.refresh_question();
        self.refresh_form();
        self.refresh_answer();
        self.refresh_drag();
        self.refresh_palette();
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let lines = self.runs.lines().len();
        let height = views::runs::list_area(area, self.tour, lines).height as usize;
        if let Some(line) = self.runs.selected_line() {
            // The heading above the first row of a group is to be seen with it.
            let top = line - usize::from(self.runs.is_first_of_group(line));
            self.runs.offset = scrolled(self.runs.offset, top, line, height, lines);
        }
        if let Some(run) = &mut self.run {
            run.follow_selection();
            run.refresh_rows();
            run.list.rows.count(run.state.seq, run.statuses.all());
            let layout = views::layout::run(area, run);
            let rows = run.row_count();
            let height = layout.steps.height as usize;
            let dragged = self.drag.as_ref().map(|drag| drag.to);
            if let Some(row) = dragged.or_else(|| run.selected_row()) {
                run.list.offset = scrolled(run.list.offset, row, row, height, rows);
            }
            document::refresh(run, views::detail::body(layout.detail).width);
            if run.tab == Tab::Attempts {
                let missing = run.missing_attempts();
                self.wanted_attempts = run.left.ask(missing).or(self.wanted_attempts.take());
            }
        }
        self.show_output();
        if let Some(run) = &mut self.run {
            let layout = views::layout::run(area, run);
            let body = views::detail::body(layout.detail);
            self.output.set_size(body.width, body.height);
            let asked = run.estimate.refresh(&run.state, run.ticks(), self.now);
            self.question = asked.or(self.question.take());
            if let Some(timeline) = self.timeline.as_mut().filter(|_| self.place == Place::Timeline) {
                timeline.refresh(run, self.now);
                let height = views::timeline::areas(area).rows.height as usize;
                let row = timeline.row_of(run.position());
                timeline.offset = scrolled(timeline.offset, row, row, height, timeline.rows().len());
            }
            run.log_back = run.log_back.min(run.log.lines().len().saturating_sub(layout.log.height.max(1) as usize));
            if self.place == Place::Graph {
                let room = views::graph::areas(area).drawing;
                let position = run.position();
                run.graph.refresh(&run.state, run.statuses.all(), position, (room.width, room.height));
            }
            if self.place == Place::Metrics {
                run.numbers.refresh(&run.state, self.now);
                let rows = run.numbers.metrics().map(super::metrics::rows).unwrap_or_default();
                let (row, height) = (self.agents.row(&rows), views::metrics::areas(area).rows.height as usize);
                self.agents.offset = scrolled(self.agents.offset, row, row, height, rows.len());
            }
            if let Some(history) = &mut self.history {
                self.wanted = history.refresh(&run.state, self.settings.zone, self.now).or(self.wanted.take());
                let height = views::history::areas(area).list.height as usize;
                let row = history.selected_row(&run.state);
                history.offset = scrolled(history.offset, row, row, height, history.rows(&run.state));
                history.scroll = history.scroll.min(views::history::longest_scroll(history, area));
            }
        }
    }

    /// What the reader of the output is to be asked.
    pub fn output_requests(&mut self) -> Vec<OutputRequest> {
        self.output.take_requests()
    }

    /// The frame is on the screen: from now on keys mean what it shows.
    pub fn mark_drawn(&mut self) {
        for layer in &mut self.layers {
            layer.drawn = true;
        }
        self.drawn = self.to_be_drawn();
    }

    /// A key is about the selected step before a frame has shown it: what it asks names it.
    pub(super) fn mean_selected(&mut self) {
        self.drawn = self.to_be_drawn();
    }

    /// What the next frame says of the run and the selected step.
    pub fn to_be_drawn(&self) -> Drawn {
        let run = self.run.as_ref().filter(|_| self.place != Place::Runs);
        let steps = self.place == Place::Run;
        run.map_or_else(Drawn::default, |run| Drawn {
            status: Some(run.state.status),
            live: run.ownership.is_live(),
            step: run.list.selected.clone().filter(|_| steps).zip(run.step().map(|step| step.status)),
            asks: steps && run.step().is_some_and(|step| step.question().is_some()),
        })
    }

    /// The title of the terminal's window.
    pub fn title(&self) -> String {
        let waiting = self.runs.waiting_count();
        match (self.place, &self.run) {
            (Place::Run | Place::History | Place::Timeline | Place::Graph | Place::Metrics, Some(run)) => {
                let counts = run.state.own_counts();
                let asks = run.state.asking().next().is_some() && run.ownership.is_reached();
                let state = if asks { "ASKS YOU" } else { views::header::word(run) };
                format!(
                    "{state} {}/{} {} · holdpoint",
                    counts.done(),
                    counts.total(),
                    text::clean(&run.state.plan.plan_id)
                )
            }
            _ if waiting > 0 => format!(
                "{} for you · holdpoint",
                if waiting == 1 { "1 waits".into() } else { format!("{waiting} wait") }
            ),
            _ => "holdpoint".into(),
        }
    }

    /// Takes an event in.
    pub fn update(&mut self, event: Event, now: DateTime<Utc>) -> Vec<Effect> {
        self.now = now;
        let effects = self.take_in(event, now);
        self.keep_what_is_acted_on(&effects);
        effects
    }
}

/// The first row to show so that `top..=row` is seen, changing as little as possible.
pub(super) fn scrolled(offset: usize, top: usize, row: usize, height: usize, rows: usize) -> usize {
    let height = height.max(1);
    let offset = offset.min(rows.saturating_sub(height));
    if top < offset {
        top
    } else if row >= offset + height {
        row + 1 - height
    } else {
        offset
    }
}
