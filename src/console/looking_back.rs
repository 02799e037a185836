//! Keys in the places for looking back: moving in their lists, and what is done about the selected entry.

use uuid::Uuid;

use crate::run::{RunState, checkpoint_id, parse_checkpoint_id, short_id};

use super::actions::Action;
use super::app::{App, Effect, Place};
use super::event::Exported;
use super::going::distance;
use super::history::{History, Kind as HistoryKind};
use super::run_model::{OpenRun, Pane};
use super::views;

impl App {
    pub(super) fn look_back(&mut self, kind: HistoryKind) {
        let same = self.place == Place::History && self.history.as_ref().is_some_and(|history| history.kind == kind);
        if !same {
            self.came_from = None;
            self.history = Some(History::new(kind));
            self.place = Place::History;
        }
    }

    pub(super) fn in_history(&mut self, change: impl FnOnce(&mut History, &RunState)) {
        if let (Some(history), Some(run)) = (&mut self.history, &self.run) {
            change(history, &run.state);
        }
    }

    pub(super) fn fork(&mut self) -> Vec<Effect> {
        let Some((history, run)) = self.history.as_ref().zip(self.run.as_ref()) else { return Vec::new() };
        let question = history.checkpoint(&run.state).and_then(|checkpoint| self.fork_question(checkpoint));
        question.map_or_else(Vec::new, |ask| self.ask(ask))
    }

    /// Enter on an intervention: to what it was about.
    pub(super) fn go_to_intervention(&mut self) {
        let Some((history, run)) = self.history.as_ref().zip(self.run.as_mut()) else { return };
        let Some(record) = history.selected_entry(&run.state).and_then(|entry| run.state.interventions.get(entry))
        else {
            self.complain("open: nothing is selected");
            return;
        };
        if let Some(step) = record.target_step_id.clone() {
            let Some(position) = run.state.position(&step) else {
                let told = self.keys.fill("{versions} shows what took it out");
                self.complain(format!("open: `{step}` is not in the plan; {told}"));
                return;
            };
            if !run.list.filter.is_empty() {
                run.list.filter.clear();
                run.refresh_rows();
            }
            run.select(position);
            run.focus = Pane::Steps;
            run.zoom = false;
            self.came_from = self.history.take();
            self.place = Place::Run;
            return;
        }
        let restored = record.parameters["checkpoint"].as_str().and_then(parse_checkpoint_id);
        if let Some(checkpoint) = restored.filter(|checkpoint| run.state.has_checkpoint(*checkpoint)) {
            self.look_back(HistoryKind::Checkpoints);
            self.in_history(|history, _| history.select(checkpoint));
            return;
        }
        self.complain("open: this is about the whole run, and all of it is beside the list");
    }

    pub(super) fn export(&mut self) -> Vec<Effect> {
        let Some(run) = &self.run else { return Vec::new() };
        let history = self.history.as_ref().filter(|_| self.place == Place::History);
        let what = match history.filter(|history| history.kind == HistoryKind::Interventions) {
            Some(history) => {
                let rows = 0..history.rows(&run.state);
                let mut shown: Vec<usize> = rows.filter_map(|row| history.entry(&run.state, row)).collect();
                shown.sort_unstable();
                Exported::Interventions((!history.filter.is_empty()).then_some(shown))
            }
            None => Exported::Snapshot,
        };
        vec![Effect::Export { run: run.id(), what }]
    }

    pub(super) fn move_in_history(&mut self, action: Action) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let areas = views::history::areas(area);
        let page = isize::from(areas.list.height as i16).max(2);
        let half = isize::from(areas.text.height as i16) / 2;
        self.in_history(|history, state| match action {
            // The list has the keys that move; the text has these two.
            Action::HalfPageDown => {
                let furthest = views::history::longest_scroll(history, area);
                history.scroll = history.scroll.saturating_add_signed(half).min(furthest);
            }
            Action::HalfPageUp => history.scroll = history.scroll.saturating_add_signed(-half),
            _ => {
                if let Some(by) = distance(action, page) {
                    history.select_row(state, history.selected_row(state).saturating_add_signed(by));
                }
            }
        });
    }

    /// A new run was made of the one that is open, or was.
    pub(super) fn forked(&mut self, run: Uuid, parent: Uuid, checkpoint: u64) -> Vec<Effect> {
        let (id, at) = (short_id(run), checkpoint_id(checkpoint));
        let here = |open: &&OpenRun| open.id() == parent && self.place == Place::History && self.layers.is_empty();
        let Some(name) = self.run.as_ref().filter(here).map(|open| open.state.plan.plan_id.clone()) else {
            // Whoever has gone on to something else is not taken from it.
            self.say(format!("forked at {at}: run {id} is in the list"));
            return vec![Effect::ListRuns];
        };
        self.history = None;
        self.place = Place::Runs;
        self.say(format!("forked at {at}: this is run {id}, and `{name}` means it from now on"));
        let mut effects = vec![Effect::Unsubscribe, Effect::ListRuns];
        effects.extend(self.open(run, true));
        effects
    }
}
