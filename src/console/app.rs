//! The state of the console and its update: events in, effects out. No I/O, no clock, no locks.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use crossterm::event::KeyEventKind;
use uuid::Uuid;

use crate::engine::hooks::Report;
use crate::engine::{Notice, RunUpdate, Space};
use crate::run::{
    Alert, AlertRules, Command, InterventionStatus, Recorded, RunState, RunStatus, RunSummary, StepStatus,
};

pub use super::event::{Effect, Event};

use super::across::Across;
use super::actions::{Action, Scope};
use super::answering::AnswerForm;
use super::away::Away;
use super::estimate::Question;
use super::filter::Looking;
use super::foretold::Foresight;
use super::form::Form;
use super::glimpse::Glimpses;
use super::history::{History, Line, Subject};
use super::input::Input;
use super::keymap::Keymap;
use super::left_behind::Missing;
use super::marks::Marks;
use super::message::Message;
use super::metrics::Agents;
use super::mouse::Drag;
use super::moving::Move;
use super::output::{Answer, MAX_TEXT, Pane as OutputPane, Request as OutputRequest, Source, Untold};
use super::popups::{Layer, Leaving, Popup};
use super::run_model::{OpenRun, Ownership, Pane, Progress, Tab};
use super::runs_model::{RowId, RunsList};
use super::theme::{Glyphs, Role, Theme};
use super::timeline::Timeline;
use super::words::{self, Zone};
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
    /// What is to be said when the run has started that was named on the command line.
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
        if self.foretold_is_old() || self.history.as_ref().is_some_and(old) {
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

    /// What the next frame says of the run and the selected step.
    pub fn to_be_drawn(&self) -> Drawn {
        let run = self.run.as_ref().filter(|_| self.place != Place::Runs);
        let steps = self.place == Place::Run;
        run.map_or_else(Drawn::default, |run| Drawn {
            status: Some(run.state.status),
            live: run.ownership.is_live(),
            step: run.list.selected.clone().filter(|_| steps).zip(run.step().map(|step| step.status)),
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

    fn take_in(&mut self, event: Event, now: DateTime<Utc>) -> Vec<Effect> {
        match event {
            // What is pressed to see whether anything has happened is answered with what has.
            Event::Key(key) if key.kind != KeyEventKind::Release && self.came_back() => Vec::new(),
            Event::Mouse(_) | Event::Paste(_) if self.came_back() => Vec::new(),
            Event::Key(key) => self.key(key),
            Event::Mouse(event) => self.mouse(event),
            Event::Paste(pasted) => self.paste(&pasted),
            Event::Focus(has_focus) => {
                self.focus(has_focus);
                Vec::new()
            }
            Event::Resize(columns, rows) => {
                self.size = (columns, rows);
                Vec::new()
            }
            Event::Tick => {
                let mut effects = self.followed();
                effects.extend(self.remind());
                effects
            }
            Event::Output(answer) => self.output_answered(answer),
            Event::Saved(result) => {
                self.output_saved(result);
                Vec::new()
            }
            Event::Storage { run, trouble } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == run) {
                    open.storage = trouble.map(|trouble| text::clean(&trouble.error).into_owned());
                }
                Vec::new()
            }
            Event::Terminate => vec![Effect::Quit],
            Event::EngineEnded => self.engine_ended(),
            Event::Space(low) => {
                self.low = low;
                Vec::new()
            }
            Event::RunsListed(Ok((listed, unreadable))) => {
                self.runs.error = match unreadable.as_slice() {
                    [] => None,
                    [one] => Some(text::clean(one).into_owned()),
                    [one, rest @ ..] => Some(format!("{} (and {} more)", text::clean(one), rest.len())),
                };
                self.note_runs(&listed);
                self.runs.set_runs(listed);
                Vec::new()
            }
            Event::RunsListed(Err(error)) => {
                self.runs.error = Some(text::clean(&error).into_owned());
                self.runs.loaded.0 = true;
                Vec::new()
            }
            Event::PlansChanged => vec![Effect::ListPlans],
            Event::Glimpsed { row, glimpse } => {
                self.glimpsed(row, glimpse.map(|glimpse| *glimpse));
                Vec::new()
            }
            Event::PlansListed(plans) => {
                self.glimpses.forget_plan();
                self.runs.set_plans(plans);
                Vec::new()
            }
            Event::Summary(summary) => self.summary(&summary),
            Event::Unbound(unbound) => {
                self.ask_for_values(&unbound);
                Vec::new()
            }
            Event::Registered { result: Ok(run), name, looked_at, start } => {
                self.making = false;
                self.values_answered(None);
                self.passing.extend(looked_at.map(|plan| (run, plan)));
                let mut effects = self.open(run, true);
                if start {
                    effects.push(self.request(run, Command::Start, None, None));
                } else {
                    let place = self.settings.attached.map(|pid| format!(" in process {pid}")).unwrap_or_default();
                    self.say_of(run, format!("{name} is open{place} and has not started"));
                }
                effects
            }
            Event::Registered { result: Err(rejection), name, .. } => {
                self.making = false;
                if !self.values_answered(Some(&rejection.to_string())) {
                    self.complain(format!("{name} could not be opened: {rejection}"));
                }
                Vec::new()
            }
            Event::Subscribed { state, recent, storage, through } => {
                let run = state.run_id;
                let ownership = through.map_or(Ownership::Ours, Ownership::Attached);
                self.told_of_attaching(run, through);
                let mut effects = self.opened(Arc::unwrap_or_clone(state), &recent, ownership);
                effects.extend(self.update(Event::Storage { run, trouble: storage }, now));
                effects
            }
            Event::Loaded { state, recent, owner, damage } => {
                let ownership = match (damage, owner) {
                    (Some(damage), _) => Ownership::Damaged(text::clean(&damage).into_owned()),
                    (None, Some(owner)) => Ownership::Elsewhere(owner),
                    (None, None) => Ownership::Nobody,
                };
                self.opened(Arc::unwrap_or_clone(state), &recent, ownership)
            }
            Event::Detached { run, error } => self.detached(run, error),
            Event::Discarded { run, result } => self.discarded(run, result),
            Event::NotOpened { run, error } => {
                self.complain(error);
                if self.opening != Some(run) {
                    return Vec::new();
                }
                self.opening = None;
                // What is on the screen is followed again.
                match self.looked_at() {
                    Some(here) if here != run => self.open(here, self.runs.is_ours(here)),
                    _ => Vec::new(),
                }
            }
            Event::TakenOver { run, notes } => {
                if !notes.is_empty() {
                    self.say(notes.join("; "));
                }
                let here = self.run.as_ref().is_some_and(|open| open.id() == run);
                if here { vec![Effect::Subscribe(run), Effect::ListRuns] } else { vec![Effect::ListRuns] }
            }
            Event::Batch { run, batch } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == run) {
                    open.apply(&batch);
                    self.note_others(&batch.events);
                }
                let mut effects = self.tell_alerts();
                effects.extend(self.followed());
                effects.extend(self.leave_when_nothing_runs());
                effects
            }
            Event::FellBehind { missed } => {
                self.say(format!(
                    "the screen fell behind by {}; it shows the newest state again",
                    words::count(missed as usize, "change")
                ));
                Vec::new()
            }
            Event::Notice(notice) => {
                self.notice(notice);
                Vec::new()
            }
            Event::Previewed { request, result } => {
                self.foretell(request, result.map(Foresight::Command));
                Vec::new()
            }
            Event::PreviewedFork { request, result } => {
                self.foretell(request, result.map(Foresight::Fork));
                Vec::new()
            }
            Event::Answered { command, result } => {
                self.moved(&command, &result);
                self.form_answered(&command, &result);
                self.answer_answered(&command, &result);
                match result {
                    Ok(ack) => {
                        if ack.status != InterventionStatus::Pending {
                            self.select_what_came_back(&command);
                        }
                        self.done(&command, &ack);
                        if command == Command::Start
                            && let Some(beside) = self.beside.take()
                        {
                            self.complain(beside);
                        }
                    }
                    Err(rejection) => self.refused(&command, &rejection.to_string()),
                }
                self.followed()
            }
            Event::AnsweredAll(answers) => {
                self.told_by_all(answers);
                self.followed()
            }
            Event::Told { run, subject, result } => {
                let open = self.run.as_ref().is_some_and(|open| open.id() == run);
                if let Some(history) = self.history.as_mut().filter(|_| open) {
                    history.answer(subject, result.unwrap_or_else(|error| vec![Line::new(error, Role::Error)]), now);
                }
                Vec::new()
            }
            Event::Quoted { title, lines } => {
                self.take_quoted(&title, lines);
                Vec::new()
            }
            Event::LeftBehind { missing, result } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == missing.run) {
                    let result = result.map_err(|error| text::clean(&error).into_owned());
                    open.left.answer(&missing, result);
                }
                Vec::new()
            }
            Event::Estimated(answer) => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == answer.run()) {
                    open.estimate.take(answer, now);
                }
                Vec::new()
            }
            Event::Forked { result: Ok(run), parent, checkpoint } => self.forked(run, parent, checkpoint),
            Event::Forked { result: Err(rejection), .. } => {
                self.complain(format!("fork: not done, {rejection}"));
                Vec::new()
            }
            Event::Reported(report) => self.reported(report),
            Event::Complain(said) => {
                self.complain(said);
                Vec::new()
            }
            Event::Edited(result) => {
                self.edited(result);
                Vec::new()
            }
            Event::Say(said) => {
                self.say(said);
                Vec::new()
            }
        }
    }

    /// Alerts of the open run: where its news are, and to whoever does not look.
    fn tell_alerts(&mut self) -> Vec<Effect> {
        let Some(run) = self.run.as_mut() else { return Vec::new() };
        let (alerts, name) = (run.take_alerts(), run.state.plan.plan_id.clone());
        alerts.iter().flat_map(|alert| self.alert(&name, alert)).collect()
    }

    fn alert(&mut self, plan: &str, alert: &Alert) -> Option<Effect> {
        let said = format!("{}: {}", text::clean(plan), text::clean(&alert.message));
        let hint = match self.place {
            Place::Metrics => String::new(),
            _ => self.keys.fill("; {metrics} shows how its agents do"),
        };
        self.complain(format!("alert: {said}{hint}"));
        self.settings.alerts.then_some(Effect::Alert(said))
    }

    /// What the hooks of this process have to say, and the alerts of the runs that are not open here.
    fn reported(&mut self, report: Report) -> Vec<Effect> {
        match report {
            Report::Hook { message, bad: true } => self.complain(message),
            Report::Hook { message, bad: false } => self.say(message),
            Report::Alert { run_id, .. } if self.run.as_ref().is_some_and(|open| open.id() == run_id) => {}
            Report::Alert { plan_id, alert, .. } => return self.alert(&plan_id, &alert).into_iter().collect(),
        }
        Vec::new()
    }

    /// What follows when the run, or the time, has gone on.
    fn followed(&mut self) -> Vec<Effect> {
        let mut effects = self.move_on();
        effects.extend(self.foresee_again());
        effects.extend(self.form_follow());
        effects
    }

    fn opened(&mut self, state: RunState, recent: &[Arc<Recorded>], ownership: Ownership) -> Vec<Effect> {
        let id = state.run_id;
        let mut effects = Vec::new();
        match &mut self.run {
            Some(run) if run.id() == id => run.replace(state, recent, ownership),
            _ if self.opening == Some(id) => {
                effects.extend(self.let_go());
                let mut run = OpenRun::new(state, recent, ownership, self.settings.alert_rules);
                run.list.marked = self.step_marks.remove(&id).unwrap_or_default();
                self.run = Some(run);
                // A search holds for the next run as well, and counts in its steps.
                self.count_everywhere();
                self.timeline = None;
                self.drag = None;
                self.moving = None;
                // What was asked about the run before is not asked any more.
                self.layers.retain(|layer| !matches!(&layer.popup, Popup::Ask(ask) if ask.run != id));
            }
            // Left again before it was there.
            _ => return effects,
        }
        if self.opening == Some(id) {
            self.opening = None;
            self.place = Place::Run;
            self.history = None;
            self.typing = None;
        }
        if !self.visited.contains(&id) {
            self.visited.push(id);
        }
        effects
    }

    /// Nothing of the open run is looked at any more. What is marked in it stays marked until it is looked at again.
    pub(super) fn let_go(&mut self) -> Option<Effect> {
        let run = self.run.take()?;
        self.leave_its_steps();
        let id = run.id();
        let discard = self.pass_by(&run);
        if discard.is_none() && !run.list.marked.is_empty() {
            self.step_marks.insert(id, run.list.marked);
        }
        discard
    }

    /// Opens a run; `ours`: this engine owns it.
    pub fn open(&mut self, run: Uuid, ours: bool) -> Vec<Effect> {
        self.opening = Some(run);
        self.came_from = None;
        self.runs.selected = Some(RowId::Run(run));
        let mut effects = vec![match ours {
            true => Effect::Subscribe(run),
            false if self.steered.contains(&run) => Effect::Attach(run),
            false => Effect::Load(run),
        }];
        // The one that is looked at stays on the screen until the other is there.
        if self.place == Place::Runs && self.run.as_ref().is_some_and(|open| open.id() != run) {
            effects.extend(self.let_go());
        }
        effects
    }

    /// Nothing more comes of the runs: what is shown is read from the disk once more.
    fn engine_ended(&mut self) -> Vec<Effect> {
        let what =
            self.settings.attached.map_or("the engine has ended".to_owned(), |pid| format!("process {pid} has ended"));
        self.complain(format!("{what}; what you see is what is on the disk"));
        if self.is_attached_beside() {
            return vec![Effect::ListRuns];
        }
        let mut effects = vec![Effect::Unsubscribe, Effect::ListRuns];
        effects.extend(self.run.as_ref().map(|run| Effect::Load(run.id())));
        effects
    }

    fn summary(&mut self, update: &RunUpdate) -> Vec<Effect> {
        let summary = &update.summary;
        let before = self.runs.run(summary.run_id).map(|run| run.summary.clone());
        if before.as_ref().is_some_and(|before| before.seq > summary.seq && self.runs.is_ours(summary.run_id)) {
            return Vec::new();
        }
        self.note_run(summary.run_id);
        self.runs.summary(update);
        let mut effects = Vec::new();
        if self.settings.alerts
            && let Some(alert) = alert(before.as_ref(), summary)
        {
            effects.push(Effect::Alert(alert));
        }
        effects.extend(self.leave_when_nothing_runs());
        effects
    }

    /// Rings the bell again for what is still not answered, each time as much time has passed as the question says.
    fn remind(&mut self) -> Vec<Effect> {
        if !self.settings.alerts {
            return Vec::new();
        }
        let now = self.now;
        let mut due = Vec::new();
        for summary in self.runs.runs().filter(|run| run.owned).map(|run| &run.summary) {
            let Some((since, seconds)) = summary.reminds else { continue };
            let last = self.reminded.get(&summary.run_id).copied().filter(|last| *last >= since).unwrap_or(since);
            if (now - last).as_seconds_f64() >= seconds {
                due.push((summary.run_id, format!("{} still waits for your answer", text::clean(&summary.plan_id))));
            }
        }
        due.into_iter()
            .map(|(run, said)| {
                self.reminded.insert(run, now);
                Effect::Alert(said)
            })
            .collect()
    }

    /// The reader of the output has something.
    fn output_answered(&mut self, answer: Answer) -> Vec<Effect> {
        if let Answer::Elsewhere(told) = &answer {
            self.told_elsewhere(told);
        }
        self.output.apply(answer);
        if let Some(forward) = self.output.take_exhausted() {
            self.search_elsewhere(forward);
        }
        match self.output.take_text() {
            Some(Ok(text)) => {
                self.output.leave_selection();
                vec![Effect::Copy { text, what: "what was selected".into() }]
            }
            Some(Err(Untold::TooLong(_))) => {
                let most = MAX_TEXT >> 20;
                self.complain(
                    self.keys
                        .fill(&format!("more than {most} MiB are not copied: {{save-output}} writes them to a file")),
                );
                Vec::new()
            }
            Some(Err(Untold::Failed(error))) => {
                self.complain(format!("not copied: {error}"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn notice(&mut self, notice: Notice) {
        let Some(open) = &mut self.run else { return };
        match notice {
            Notice::Progress { run_id, step, attempt, value, message } if open.id() == run_id => {
                let known = open.progress.get(&step).filter(|known| known.attempt == attempt);
                let value = value.or(known.and_then(|known| known.value)).map(|value| value.clamp(0.0, 1.0));
                let message = message.map(|message| text::clean(&message).into_owned());
                open.progress.insert(step, Progress { attempt, value, message });
            }
            Notice::Output { run_id, step, attempt, bytes } if open.id() == run_id => {
                let shown = open.shown_attempt().map(|shown| shown.number);
                if open.list.selected.as_deref() == Some(&step) && shown == Some(attempt) {
                    self.output.grown(bytes);
                }
            }
            _ => {}
        }
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

/// What to ring the bell for: a run that has come to fail or to wait for a person, and was not paused by one.
fn alert(before: Option<&RunSummary>, now: &RunSummary) -> Option<String> {
    let before = before?;
    let name = text::clean(&now.plan_id);
    let of = |status| now.counts.of(status) > before.counts.of(status);
    if now.status == RunStatus::Failed && before.status != RunStatus::Failed {
        return Some(format!("{name} failed"));
    }
    if now.asking > before.asking {
        return Some(format!("{name} asks you something"));
    }
    let told = now.paused == [crate::run::PauseReason::Question].into() && before.asking > 0;
    let own = [crate::run::PauseReason::Operator].into();
    if now.status == RunStatus::Paused && before.status != RunStatus::Paused && now.paused != own && !told {
        let reasons: Vec<&str> = now.paused.iter().map(|reason| reason.word()).collect();
        return Some(format!("{name} is paused and waits for you ({})", reasons.join(", ").replace('_', " ")));
    }
    if of(StepStatus::Held) {
        return Some(format!("{name} is held and waits for you"));
    }
    None
}
