//! Keys: what each does to the console, and which command it sends. What is asked first is in `questions`, leaving in `leaving`, the filter in
//! `filter`, the places for looking back in `looking_back`.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use uuid::Uuid;

use crate::engine::request;
use crate::run::{Command, Request, RunStatus, StepState, StepStatus, short_id};

use super::actions::{Action, Entry, Group, Kind, Target};
use super::app::{App, Effect, Place};
use super::availability::{self, availability, leads_to, meant_by_key};
use super::foretold::Told;
use super::history::{History, Kind as HistoryKind};
use super::input::Input;
use super::keys::Key;
use super::markdown;
use super::output::Query;
use super::popups::{Ask, Care, Deed, Focus, Layer, Popup};
use super::run_model::{OpenRun, Ownership, Pane, TABS, Tab};
use super::runs_model::RowId;
use super::timeline::Timeline;
use super::values::Given;
use super::{document, text, views, words};

/// A key that comes again within this time is held down, or bounced: keyboards repeat ten times a second and more, and nobody has read a question by then.
const HELD: TimeDelta = TimeDelta::milliseconds(150);

impl App {
    /// A key was pressed.
    pub(super) fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        if event.kind == KeyEventKind::Release {
            return Vec::new();
        }
        if self.leave_drag() {
            return Vec::new();
        }
        if views::is_too_small(self.size) {
            let pressed: Vec<Action> = self.keys.actions(Key::from(event)).map(|entry| entry.action).collect();
            let action = pressed.into_iter().find(|action| self.works_unseen(*action));
            return action.map(|action| self.take(action)).unwrap_or_default();
        }
        let held = self.is_held(Key::from(event));
        self.runs.stay();
        if let Some(layer) = self.layers.last() {
            if held && event.code == KeyCode::Enter && matches!(layer.popup, Popup::Ask(_)) {
                return Vec::new();
            }
            if layer.drawn {
                return self.popup_key(event);
            }
            self.typed_too_early();
            return Vec::new();
        }
        if self.typing.is_some() {
            return self.filter_key(event);
        }
        if self.is_stray(event) {
            return Vec::new();
        }
        self.message = None;
        let key = Key::from(event);
        let scope = self.scope();
        let (here, elsewhere): (Vec<&Entry>, Vec<&Entry>) =
            self.keys.actions(key).partition(|entry| entry.scope.covers(scope));
        let candidates: Vec<Action> = here.iter().map(|entry| entry.action).collect();
        // A key of another place says which.
        let elsewhere = || elsewhere.first().map(|entry| entry.action);
        match meant_by_key(self, self.drawn(), &candidates).or_else(elsewhere) {
            Some(action) => self.take(action),
            None => Vec::new(),
        }
    }

    /// Something was typed before what it would have been for was on the screen.
    pub(super) fn typed_too_early(&mut self) {
        self.say("what was typed before this was on the screen does not count");
    }

    /// Whether a key is only held down: Enter opens a run, and asks whether to start it; held, it must not say yes as well. Terminals do not tell a key
    /// that is held from one that is pressed again, but in how soon it comes.
    fn is_held(&mut self, key: Key) -> bool {
        let before = self.pressed.replace((key, self.now));
        before.is_some_and(|(pressed, at)| pressed == key && self.now - at < HELD)
    }

    /// Whether the key of an action works in a terminal too small to show what it does: what can be taken back and loses nothing.
    pub fn works_unseen(&self, action: Action) -> bool {
        // A letter of what is typed somewhere is none of a command.
        let is_free = self.layers.is_empty() && self.typing.is_none();
        let run = self.run.as_ref().filter(|_| self.place == Place::Run && is_free);
        match action {
            Action::Pause => {
                run.is_some_and(|run| run.state.status == RunStatus::Running) && availability(self, action).is_ok()
            }
            // It would ask.
            Action::Quit => is_free && (self.settings.attached.is_some() || self.still_active().is_empty()),
            _ => false,
        }
    }

    /// Text was pasted: into a field, or nowhere. It is never taken for keys.
    pub(super) fn paste(&mut self, pasted: &str) -> Vec<Effect> {
        if views::is_too_small(self.size) {
            return Vec::new();
        }
        if matches!(self.layers.last(), Some(Layer { popup: Popup::Form(_), drawn: true })) {
            self.form_paste(pasted);
        } else if matches!(self.layers.last(), Some(Layer { popup: Popup::Values(_), drawn: true })) {
            self.values_paste(pasted);
        } else if matches!(self.layers.last(), Some(Layer { popup: Popup::Palette(_), drawn: true })) {
            self.palette_paste(pasted);
        } else if matches!(self.layers.last(), Some(Layer { popup: Popup::Answer(_), drawn: true })) {
            self.answer_paste(pasted);
        } else if matches!(self.layers.last(), Some(Layer { popup: Popup::Save(_), drawn: true })) {
            self.save_paste(pasted);
        } else if let Some(layer) = self.layers.last_mut() {
            if let Popup::Ask(ask) = &mut layer.popup
                && layer.drawn
            {
                let field = if ask.is_in_field() { ask.field() } else { ask.begin_reason() };
                if let Some(Err(why)) = field.map(|field| field.paste(pasted)) {
                    self.complain(why);
                }
            }
        } else if let Some((_, input)) = &mut self.typing {
            match input.paste(pasted) {
                Ok(()) => self.filter_typed(),
                Err(why) => self.complain(why),
            }
        }
        Vec::new()
    }

    /// Does what an action's key does.
    pub(super) fn take(&mut self, action: Action) -> Vec<Effect> {
        self.keep_drawn_selection(action);
        self.go_to_the_only(action);
        if let Err(why) = availability(self, action) {
            self.refuse(action, &why);
            self.expect_text_for(action);
            return Vec::new();
        }
        if let Some(list) = leads_to(self, action) {
            self.look_back(list);
            let said = format!("{}: choose it here, {} then asks", action.entry().label, self.key_of(action));
            self.say(said);
            return Vec::new();
        }
        if let Kind::Command(build) = action.entry().kind {
            return self.command(action, build);
        }
        match action {
            Action::Quit => return self.quit(),
            Action::Palette => self.open_palette(),
            Action::Help => self.push(Popup::Help { offset: 0 }),
            Action::Refresh => {
                let mut effects = vec![Effect::Repaint, Effect::ListRuns, Effect::ListPlans];
                let elsewhere = |run: &&OpenRun| self.place == Place::Run && !run.ownership.is_reached();
                effects.extend(self.run.as_ref().filter(elsewhere).map(|run| Effect::Load(run.id())));
                return effects;
            }
            Action::Filter => self.start_filter(),
            Action::NextNeedingMe => return self.next_needing_me(),
            Action::NextRun => return self.next_run(true),
            Action::PreviousRun => return self.next_run(false),
            Action::Open => return self.open_selected(),
            Action::Attach => return self.attach(),
            Action::Back => return self.back(),
            Action::Why => return self.explain(),
            Action::Copy => return self.copy(),
            Action::Search => self.start_search(),
            Action::OnlyLines => self.start_only_lines(),
            Action::Select => self.output.select(),
            Action::SaveOutput => self.open_saving(),
            Action::Mouse => {
                self.mouse = !self.mouse;
                let told = match self.mouse {
                    true => "the mouse is the console's again",
                    false => "the mouse is the terminal's: select and copy as usual; {mouse} takes it back",
                };
                self.say(self.keys.fill(told));
                return vec![Effect::Mouse(self.mouse)];
            }
            Action::FollowRun => {
                let Some(run) = &mut self.run else { return Vec::new() };
                let follows = run.follows();
                if follows {
                    run.stay()
                } else {
                    run.follow()
                }
                self.say(match follows {
                    true => "the selection stays on this step",
                    false => "the selection follows the run: what waits for you, else what runs",
                });
            }
            Action::Answer => self.open_answer(),
            Action::Modify => return self.open_modify(),
            Action::Add => return self.open_add(),
            Action::MoveUp => return self.move_step(-1),
            Action::MoveDown => return self.move_step(1),
            Action::NextMatch | Action::PreviousMatch => self.next_match(action == Action::NextMatch),
            Action::Checkpoints => self.look_back(HistoryKind::Checkpoints),
            Action::Versions => self.look_back(HistoryKind::Versions),
            Action::Interventions => self.look_back(HistoryKind::Interventions),
            Action::Timeline => self.look_at_time(),
            Action::Metrics => self.look_at_numbers(),
            Action::Compare => self.in_history(History::mark),
            Action::Mark => self.mark(),
            Action::Graph => self.show_graph(),
            Action::Visit => self.visit(),
            Action::Fold => self.fold(),
            Action::StepView => self.next_view(),
            Action::FoldHeading => {
                let folded = self.run.as_mut().is_some_and(OpenRun::toggle_fold);
                if !folded {
                    self.complain("fold: nothing hangs below this step");
                }
            }
            Action::Fork => return self.fork(),
            Action::Export => return self.export(),
            _ => match self.place {
                Place::Runs => self.move_in_runs(action),
                Place::Run => self.move_in_run(action),
                Place::History => self.move_in_history(action),
                Place::Timeline => self.move_in_time(action),
                Place::Graph => self.move_in_graph(action),
                Place::Metrics => self.move_in_metrics(action),
            },
        }
        Vec::new()
    }

    // ---- commands

    /// A command is about the step that was on the screen, also when the selection has gone along with events since; and it stays there.
    fn keep_drawn_selection(&mut self, action: Action) {
        let Some((step, _)) = self.drawn().step.clone().filter(|_| action.entry().group == Group::Step) else { return };
        let Some(run) = self.run.as_mut().filter(|_| self.place == Place::Run) else { return };
        if let Some(position) = run.state.position(&step) {
            run.select(position);
        }
    }

    /// Sends a command, or asks first.
    fn command(&mut self, action: Action, build: fn(Target<'_>) -> Option<Command>) -> Vec<Effect> {
        if self.is_about_marks(action) {
            return self.ask_for_marks(action);
        }
        let Some(run) = &self.run else { return Vec::new() };
        let (step, seen) = match self.drawn().step.clone() {
            Some((step, status)) => (Some(step), Some(status)),
            None => (None, None),
        };
        let target = self.target(run, step.as_deref());
        let Some(command) = build(target) else { return Vec::new() };
        let seen = seen.filter(|_| command.target().is_some());
        let id = run.id();
        if let Err(why) = availability::allowed(self, run, &command) {
            self.complain_of(command.target(), format!("{}: {why}", action.entry().label));
            self.expect_text_for(action);
            return Vec::new();
        }
        if action == Action::Resume && run.ownership == Ownership::Nobody {
            let request = request(Command::Resume, &self.settings.user);
            self.say("taking the run over");
            return vec![Effect::TakeOver { run: id, go_on: true, then: Box::new(request) }];
        }
        match self.question(&command, seen) {
            Some(ask) => self.ask(ask),
            None => vec![self.request(id, command, seen, None)],
        }
    }

    /// The effect that sends a command; a run that nobody owns is taken over first, without letting it go on by itself.
    pub(super) fn request(
        &self,
        run: Uuid,
        command: Command,
        seen: Option<StepStatus>,
        reason: Option<&Input>,
    ) -> Effect {
        let request = Box::new(self.request_of(command, seen, reason));
        let nobody = self.run.as_ref().is_some_and(|open| open.id() == run && open.ownership == Ownership::Nobody);
        if nobody { Effect::TakeOver { run, go_on: false, then: request } } else { Effect::Send { run, request } }
    }

    /// A command as it is sent, with the status its step had on the screen and the reason that was typed.
    pub(super) fn request_of(&self, command: Command, seen: Option<StepStatus>, reason: Option<&Input>) -> Request {
        let mut request = request(command, &self.settings.user);
        if let Some(reason) = reason {
            request = request.because(reason_of(reason).unwrap_or_default());
        }
        request.seen = seen;
        // Whoever was asked whether to cancel did not say yes to a kill.
        request.no_kill = request.command == Command::Cancel;
        request
    }

    // ---- popups

    fn popup_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let key = Key::from(event);
        let pressed = |name: &str| name.parse() == Ok(key);
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let page = views::popups::text_height(area) as isize;
        let furthest = views::popups::longest_offset(self, area);
        if let Some(effects) = self.take_offer(key) {
            return effects;
        }
        let Some(layer) = self.layers.last_mut() else { return Vec::new() };
        match &mut layer.popup {
            Popup::Help { offset } | Popup::Text { offset, .. } => {
                let by = match event.code {
                    KeyCode::Char('j') | KeyCode::Down => 1,
                    KeyCode::Char('k') | KeyCode::Up => -1,
                    KeyCode::PageDown | KeyCode::Char(' ') => page,
                    KeyCode::PageUp => -page,
                    KeyCode::Home | KeyCode::Char('g') => isize::MIN / 2,
                    KeyCode::End | KeyCode::Char('G') => isize::MAX / 2,
                    _ if pressed("Ctrl-d") => page / 2,
                    _ if pressed("Ctrl-u") => -page / 2,
                    KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'W') | KeyCode::F(1) => {
                        self.layers.pop();
                        return Vec::new();
                    }
                    _ if pressed("Ctrl-c") => {
                        self.layers.pop();
                        return Vec::new();
                    }
                    _ => 0,
                };
                *offset = offset.saturating_add_signed(by).min(furthest);
                Vec::new()
            }
            Popup::Ask(ask) => {
                let letter = key.is_letter();
                match event.code {
                    KeyCode::Esc => return self.decline(),
                    _ if pressed("Ctrl-c") => return self.decline(),
                    // No further than the text goes: drawing knows how long it is.
                    KeyCode::PageDown => ask.foretold.offset = ask.foretold.offset.saturating_add(5).min(furthest),
                    KeyCode::PageUp => ask.foretold.offset = ask.foretold.offset.saturating_sub(5),
                    KeyCode::Tab | KeyCode::Down => ask.turn(false),
                    KeyCode::BackTab | KeyCode::Up => ask.turn(true),
                    // Whoever types a plain no means it.
                    KeyCode::Enter if ask.says_no() => return self.decline(),
                    KeyCode::Enter if ask.care() == Care::Plain => return self.answer(),
                    // Behind what was typed come the answers.
                    KeyCode::Enter => ask.focus = Focus::Answers,
                    _ if ask.is_in_field() => {
                        if let Some(field) = ask.field() {
                            field.key(event);
                        }
                    }
                    KeyCode::Char('o') if letter && ask.instead.is_some() => return self.open_instead(),
                    KeyCode::Char('y') if letter => return self.answer(),
                    // A reason need not be gone to: whatever else is typed begins it, so that no letter of it is taken for a key.
                    _ if letter => {
                        if let Some(reason) = ask.begin_reason() {
                            reason.key(event);
                        }
                    }
                    _ => {}
                }
                Vec::new()
            }
            Popup::Form(_) => self.form_key(event),
            Popup::Values(_) => self.values_key(event),
            Popup::Answer(_) => self.answer_key(event),
            // Whatever it is, it was only to be read.
            Popup::Recap(_) => {
                self.layers.pop();
                Vec::new()
            }
            Popup::Save(_) => self.save_key(event),
            Popup::Quit(_) => self.quit_key(event),
            Popup::Palette(_) => self.palette_key(event),
        }
    }

    /// The run that a question names is opened, and what it asks is not done.
    fn open_instead(&mut self) -> Vec<Effect> {
        let Some(Layer { popup: Popup::Ask(ask), .. }) = self.layers.pop() else { return Vec::new() };
        ask.instead.map(|(run, _)| self.switch_to(run)).unwrap_or_default()
    }

    /// A question is answered with no: nothing is done.
    fn decline(&mut self) -> Vec<Effect> {
        let Some(layer) = self.layers.pop() else { return Vec::new() };
        let Popup::Ask(ask) = layer.popup else { return Vec::new() };
        if !self.back_to_form(&ask) {
            self.say(left_alone(&ask));
        }
        Vec::new()
    }

    /// A question is answered with yes.
    fn answer(&mut self) -> Vec<Effect> {
        self.refresh_question();
        let Some(Layer { popup: Popup::Ask(ask), drawn: true }) = self.layers.last_mut() else { return Vec::new() };
        if !ask.take_result() {
            return Vec::new();
        }
        let Some(layer) = self.layers.pop() else { return Vec::new() };
        let Popup::Ask(ask) = layer.popup else { return Vec::new() };
        let refused = match &ask.foretold.told {
            Told::Refused(why) => Some(why.clone()),
            _ => None,
        };
        let Ok(version) = self.form_answer(&ask, refused.as_deref()) else { return Vec::new() };
        if let Some(why) = refused {
            self.complain(format!("{}: not done, {why}", ask.asked()));
            return Vec::new();
        }
        let kills = ask.kills;
        let mut effect = match ask.deed {
            Deed::Send(command) => self.request(ask.run, command, ask.seen, ask.reason.as_ref()),
            Deed::Fork { checkpoint } => {
                let reason = ask.reason.as_ref().and_then(reason_of);
                Effect::Fork { run: ask.run, checkpoint, reason }
            }
            Deed::Many(marked) => return self.send_to_marks(marked.orders, ask.reason.as_ref()),
        };
        if let Effect::Send { request, .. } | Effect::TakeOver { then: request, .. } = &mut effect {
            request.expected_plan_version = version;
            request.no_kill &= !kills;
        }
        vec![effect]
    }

    // ---- moving about

    fn move_in_runs(&mut self, action: Action) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let page = isize::from(views::runs::list_area(area, self.tour, self.runs.lines().len()).height as i16).max(2);
        if let Some(by) = distance(action, page) {
            self.runs.step(by);
        }
    }

    fn move_in_run(&mut self, action: Action) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let Some(run) = &self.run else { return };
        let body = views::detail::body(views::layout::run(area, run).detail);
        let asked = views::detail::asked(self, run, body.width).map(|page| page.len());
        let Some(run) = &mut self.run else { return };
        let layout = views::layout::run(area, run);
        match action {
            Action::Zoom => {
                run.zoom = !run.zoom;
                // What is looked at with the whole screen is not to become another step.
                run.stay();
            }
            Action::NextPane | Action::PreviousPane => {
                let ring: &[Pane] = if layout.has_log || run.zoom {
                    &[Pane::Steps, Pane::Detail, Pane::Log]
                } else {
                    &[Pane::Steps, Pane::Detail]
                };
                let place = ring.iter().position(|pane| *pane == run.focus).unwrap_or(0);
                let step = if action == Action::NextPane { 1 } else { ring.len() - 1 };
                run.focus = ring[(place + step) % ring.len()];
            }
            Action::NextTab | Action::PreviousTab => {
                let place = TABS.iter().position(|(tab, _)| *tab == run.tab).unwrap_or(0);
                let step = if action == Action::NextTab { 1 } else { TABS.len() - 1 };
                run.from_attempts = None;
                run.tab = TABS[(place + step) % TABS.len()].0;
            }
            Action::Follow => self.output.toggle_follow(),
            Action::Wrap => self.output.toggle_wrap(),
            Action::Times => self.output.toggle_times(),
            Action::ScrollLeft => self.output.scroll_sideways(-1),
            Action::ScrollRight => self.output.scroll_sideways(1),
            _ => {
                let height = match run.focus {
                    Pane::Steps => layout.steps.height,
                    Pane::Detail => layout.detail.height,
                    Pane::Log => layout.log.height,
                };
                let Some(by) = distance(action, isize::from(height as i16).max(2)) else { return };
                match (run.focus, run.tab) {
                    (Pane::Steps, _) => {
                        let row = run.selected_row().unwrap_or(0).saturating_add_signed(by);
                        run.select_row(row);
                    }
                    (Pane::Log, _) => run.log_back = run.log_back.saturating_add_signed(-by),
                    (Pane::Detail, Tab::Output) if asked.is_some() => {
                        let furthest = asked.unwrap_or_default().saturating_sub(body.height as usize);
                        run.document.offset = run.document.offset.saturating_add_signed(by).min(furthest);
                    }
                    (Pane::Detail, Tab::Output) => match action {
                        Action::First => self.output.home(),
                        Action::Last => self.output.end(),
                        Action::PageDown => self.output.page(1),
                        Action::PageUp => self.output.page(-1),
                        _ => self.output.scroll(by),
                    },
                    (Pane::Detail, Tab::Attempts) => run.move_to_attempt(by),
                    (Pane::Detail, Tab::Result | Tab::Definition) => {
                        run.document.scroll(by, layout.detail.height as usize);
                    }
                }
            }
        }
    }

    fn open_selected(&mut self) -> Vec<Effect> {
        if self.place == Place::History {
            self.go_to_intervention();
            return Vec::new();
        }
        if self.place == Place::Timeline {
            self.go_to_step_of_timeline();
            return Vec::new();
        }
        if self.place == Place::Metrics {
            self.go_to_steps_of_agent();
            return Vec::new();
        }
        if self.place == Place::Run {
            if let Some(run) = &mut self.run {
                match run.focus {
                    // An attempt is opened by looking at what it printed.
                    Pane::Detail if run.tab == Tab::Attempts => run.open_attempt(),
                    Pane::Steps => {
                        if !run.toggle() {
                            run.stay();
                            run.focus = Pane::Detail;
                            run.zoom = views::layout::is_narrow(self.size);
                        }
                    }
                    Pane::Detail | Pane::Log => run.zoom = !run.zoom,
                }
            }
            return Vec::new();
        }
        match self.runs.selected.clone() {
            Some(RowId::Run(id)) => {
                let ours = self.runs.is_ours(id);
                self.open(id, ours)
            }
            Some(RowId::Plan(path)) => {
                let Some(entry) = self.runs.plan(&path) else { return Vec::new() };
                let Some(plan) = &entry.plan else {
                    let title = format!("{} in {}", words::count(entry.problems, "problem"), entry.plan_id);
                    let lines = text::clean_lines(&entry.report).map(|line| line.into_owned()).collect();
                    self.push(Popup::Text { title, lines, offset: 0 });
                    return Vec::new();
                };
                let idle = self.runs.idle_run_of(&plan.plan_id);
                vec![Effect::OpenPlan { path, idle, given: Given::default() }]
            }
            None => Vec::new(),
        }
    }

    /// What an action is about, as it was drawn.
    pub(super) fn target<'a>(&self, run: &OpenRun, step: Option<&'a str>) -> Target<'a> {
        let history = self.history.as_ref().filter(|_| self.place == Place::History);
        Target {
            step,
            max_parallel: run.state.options.max_parallel,
            checkpoint: history.and_then(|history| history.checkpoint(&run.state)),
            version: history.and_then(|history| history.version(&run.state)),
            intervention: history.and_then(|history| history.intervention(&run.state)),
        }
    }

    fn back(&mut self) -> Vec<Effect> {
        if self.place == Place::Timeline {
            self.leave_timeline();
            return Vec::new();
        }
        if self.place == Place::History {
            match &mut self.history {
                Some(history) if !history.filter.is_empty() => history.set_filter(""),
                _ => {
                    self.history = None;
                    self.place = Place::Run;
                }
            }
            return Vec::new();
        }
        if matches!(self.place, Place::Graph | Place::Metrics) {
            self.place = Place::Run;
            return Vec::new();
        }
        if self.in_output() && self.leave_output() {
            return Vec::new();
        }
        let Some(run) = self.run.as_mut().filter(|_| self.place == Place::Run) else {
            if !self.runs.filter.is_empty() {
                self.runs.filter.clear();
                self.runs.touch();
                return Vec::new();
            }
            if self.unmark() {
                return Vec::new();
            }
            return if std::mem::take(&mut self.tour) { vec![Effect::EndTour] } else { Vec::new() };
        };
        if run.back_to_attempts() {
            // One step back, out of what was opened.
        } else if run.focus == Pane::Steps && !run.list.filter.is_empty() {
            run.list.filter.clear();
            run.refresh_rows();
        } else if run.zoom {
            run.zoom = false;
            run.focus = Pane::Steps;
        } else if run.focus != Pane::Steps {
            run.focus = Pane::Steps;
        } else if run.list.marked.clear() {
            // Only the marks are gone: the next one goes back.
        } else if let Some(history) = self.came_from.take() {
            self.history = Some(history);
            self.place = Place::History;
        } else if self.timeline.as_mut().is_some_and(Timeline::came_back) {
            self.place = Place::Timeline;
        } else {
            self.place = Place::Runs;
            let mut effects = vec![Effect::Unsubscribe, Effect::ListRuns, Effect::ListPlans];
            effects.extend(self.let_go());
            return effects;
        }
        Vec::new()
    }

    /// The step of the open run to which the key goes that looks for what waits for a person; `None` when all of them were passed, and another
    /// run comes next.
    pub(super) fn next_here(&self, run: &OpenRun) -> Option<usize> {
        let needing = run.state.needs_person();
        let selected = run.position().filter(|place| needing.contains(place));
        // Away from the steps, the selected one is not to be seen.
        if !matches!(self.place, Place::Run | Place::Graph) && selected.is_some() {
            return selected;
        }
        // As one reads them: an instance where its step stands.
        let place_of = |position: usize| (run.state.order().home(position), position);
        let after = run.position().and_then(|now| needing.iter().find(|one| place_of(**one) > place_of(now)).copied());
        if selected.is_some() { after } else { after.or(needing.first().copied()) }
    }

    /// One thing less of what was made of the output: the selection, the filter of its lines, the search. Says whether there was one.
    fn leave_output(&mut self) -> bool {
        if self.output.leave_selection() {
            return true;
        }
        let nothing = Query::default();
        if self.output.shown_only().is_some() {
            return self.output.show_only(&nothing).is_ok();
        }
        self.leave_elsewhere();
        self.output.searched().is_some() && self.output.search(&nothing).is_ok()
    }

    /// The next step that waits for a person, in this run or else in the next run that waits.
    /// Signing off, and answering, is about the one step that waits for it, wherever the selection stands: what is asked names it. Never where the
    /// selected one was on the screen as one that waits for it: then that one was meant, and it is said what has become of it.
    fn go_to_the_only(&mut self, action: Action) {
        let (status, asks) = match action {
            Action::Release => (StepStatus::Held, false),
            Action::Approve | Action::Reject => (StepStatus::InReview, false),
            Action::Answer => (StepStatus::Running, true),
            _ => return,
        };
        if self.place != Place::Run || self.is_about_marks(action) || availability(self, action).is_ok() {
            return;
        }
        if self.drawn().step.as_ref().is_some_and(|(_, seen)| *seen == status) {
            return;
        }
        let Some(run) = &mut self.run else { return };
        let mut waiting = run.state.needs_person();
        let waits = |step: &StepState| step.status == status && (!asks || step.question().is_some());
        waiting.retain(|position| waits(&run.state.steps[*position]));
        let [only] = waiting[..] else { return };
        run.show_step(only);
        self.mean_selected();
    }

    fn next_needing_me(&mut self) -> Vec<Effect> {
        let here = self.run.as_ref().filter(|_| self.place != Place::Runs);
        let next = here.and_then(|run| self.next_here(run));
        let current = self.looked_at();
        if next.is_none()
            && let Some(other) = self.runs.next_waiting(current)
        {
            let ours = self.runs.is_ours(other);
            if let Some(plan) = self.runs.run(other).map(|run| text::clean(&run.summary.plan_id).into_owned()) {
                self.say_of(other, format!("now in run {} of {plan}: it waits for a person", short_id(other)));
            }
            return self.open(other, ours);
        }
        let first = || here.and_then(|run| run.state.needs_person().first().copied());
        let selected = here.and_then(OpenRun::position);
        let Some(position) = next.or_else(first).filter(|place| next.is_some() || Some(*place) != selected) else {
            self.say("this is the only thing that waits for you");
            return Vec::new();
        };
        self.history = None;
        if self.place != Place::Graph {
            self.place = Place::Run;
        }
        let Some(run) = &mut self.run else { return Vec::new() };
        run.show_step(position);
        // With what it asks, or why it has failed.
        run.tab = Tab::Output;
        run.focus = Pane::Steps;
        let step = &run.state.steps[position];
        let why = match step.status {
            StepStatus::Failed => "it has failed",
            StepStatus::Interrupted => "it was interrupted",
            StepStatus::Held => "it is held",
            StepStatus::InReview => "its result is in review",
            _ => "it asks you something",
        };
        let said = format!("{} waits for you: {why}", run.state.plan.steps[position].step_id);
        self.say(said);
        Vec::new()
    }

    /// The steps in another order, at the same step.
    fn next_view(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.next_view();
        run.focus = Pane::Steps;
    }

    fn copy(&mut self) -> Vec<Effect> {
        if self.place == Place::Timeline {
            return self.copy_timeline();
        }
        if self.place == Place::Metrics {
            return self.copy_metrics();
        }
        if self.in_output() && self.output.is_selecting() {
            self.output.ask_for_text();
            return Vec::new();
        }
        let asked = self
            .run
            .as_ref()
            .filter(|run| self.place == Place::Run && run.tab == Tab::Output && run.focus != Pane::Log);
        if let Some(page) = asked.and_then(|run| views::detail::asked(self, run, u16::MAX)) {
            return vec![Effect::Copy { text: markdown::plain(&page), what: "what is asked".into() }];
        }
        let Some(run) = &mut self.run else { return Vec::new() };
        if let Some(history) = self.history.as_ref().filter(|_| self.place == Place::History) {
            let lines = history.text().unwrap_or_default().iter().map(|line| line.text.as_str());
            let what = match history.kind {
                HistoryKind::Checkpoints => "the checkpoint",
                HistoryKind::Versions => "the version",
                HistoryKind::Interventions => "the intervention",
            };
            return vec![Effect::Copy { text: lines.collect::<Vec<_>>().join("\n"), what: what.into() }];
        }
        let (text, what) = match (run.focus, run.tab) {
            (Pane::Log, _) => {
                let zone = self.settings.zone;
                let lines: Vec<String> =
                    run.log.lines().iter().map(|line| format!("{}  {}", zone.clock(line.time), line.text)).collect();
                (lines.join("\n"), "the log")
            }
            (_, Tab::Output) => (self.output.visible_text(), "the output that is seen"),
            (_, Tab::Result) => (document::plain(run), "the result"),
            (_, Tab::Definition) => (document::plain(run), "the definition"),
            (_, Tab::Attempts) => (views::detail::attempts_text(run, self.settings.zone, self.now), "the attempts"),
        };
        if text.is_empty() {
            self.complain("there is nothing to copy");
            return Vec::new();
        }
        vec![Effect::Copy { text, what: what.into() }]
    }
}

/// By how many rows an action moves.
pub(super) fn distance(action: Action, page: isize) -> Option<isize> {
    Some(match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page - 1,
        Action::PageUp => 1 - page,
        Action::HalfPageDown => page / 2,
        Action::HalfPageUp => -(page / 2),
        Action::First => isize::MIN / 2,
        Action::Last => isize::MAX / 2,
        _ => return None,
    })
}

/// What is said when a question was answered with no, so that nobody believes that something was done.
fn left_alone(ask: &Ask) -> String {
    format!("{}: not done", ask.asked())
}

/// The reason that was typed; an answer to the question is none, though it was typed there.
fn reason_of(typed: &Input) -> Option<String> {
    let typed = typed.text().trim().to_owned();
    (!typed.is_empty() && !["y", "yes"].contains(&&*typed.to_lowercase())).then_some(typed)
}
