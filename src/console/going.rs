//! Moving about: among the rows of a place, into what is selected and back out of it, and to what waits for a person.

use crate::run::{StepStatus, short_id};

use super::actions::Action;
use super::app::{App, Effect, Place};
use super::output::Query;
use super::popups::Popup;
use super::run_model::{OpenRun, Pane, TABS, Tab};
use super::runs_model::RowId;
use super::timeline::Timeline;
use super::values::Given;
use super::{text, views, words};

impl App {
    pub(super) fn move_in_runs(&mut self, action: Action) {
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let page = isize::from(views::runs::list_area(area, self.tour, self.runs.lines().len()).height as i16).max(2);
        if let Some(by) = distance(action, page) {
            self.runs.step(by);
        }
    }

    pub(super) fn move_in_run(&mut self, action: Action) {
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

    pub(super) fn open_selected(&mut self) -> Vec<Effect> {
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

    pub(super) fn back(&mut self) -> Vec<Effect> {
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
    pub(super) fn leave_output(&mut self) -> bool {
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
    pub(super) fn next_needing_me(&mut self) -> Vec<Effect> {
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
        run.zoom = false;
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
    pub(super) fn next_view(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.next_view();
        run.focus = Pane::Steps;
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
