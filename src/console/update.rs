//! Keys and pasted text: what each does to the console. How a command is sent is in `commanding`, what is asked first in `questions`, keys in a popup in
//! `popup_keys`, moving about in `going`, leaving in `leaving`, the filter in `filter`, the places for looking back in `looking_back`.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use crate::run::RunStatus;

use super::actions::{Action, Entry, Kind};
use super::app::{App, Effect, Place};
use super::availability::{availability, leads_to, meant_by_key};
use super::history::{History, Kind as HistoryKind};
use super::keys::Key;
use super::markdown;
use super::popups::{Layer, Popup};
use super::run_model::{OpenRun, Pane, Tab};
use super::{document, views};

/// A key that comes again within this time is held down, or bounced: keyboards repeat ten times a second and more, and nobody has read a question by then.
const HELD: TimeDelta = TimeDelta::milliseconds(150);

impl App {
    /// A key was pressed.
    pub(super) fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        if event.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let mut effects = self.agree_when_due();
        effects.extend(self.pressed_key(event));
        effects
    }

    fn pressed_key(&mut self, event: KeyEvent) -> Vec<Effect> {
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
        let Some(action) = self.go_to_the_only(action) else { return Vec::new() };
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
