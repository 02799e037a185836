//! The mouse: a click selects, the wheel scrolls, and a step that is dragged lands where it is dropped.
//!
//! Only what a key can do as well. Nothing is answered with the mouse: a click that went astray does not stop a run.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::actions::Action;
use super::app::{App, Effect, Place};
use super::moving::movable;
use super::popups::Popup;
use super::rows::View;
use super::run_model::{OpenRun, Pane, Tab};
use super::runs_model::Line;
use super::views;

/// What it does, for the help.
pub const HELP: [(&str, &str); 5] = [
    ("click", "select a run, a step, a tab, a pane; in the line of runs: go there"),
    ("wheel", "scroll what is under it"),
    ("drag", "move a step; Esc, or its own place, leaves it where it is"),
    ("drag", "in the output: select lines"),
    ("Shift", "select text as without the console (on a Mac: Option)"),
];

/// Lines a turn of the wheel goes.
const WHEEL: isize = 3;

/// The step under the pressed button.
#[derive(Debug, Clone)]
pub struct Drag {
    /// Which step.
    pub step: String,
    /// Its row.
    pub from: usize,
    /// The row it would land in.
    pub to: usize,
    /// Why it cannot land there.
    pub refused: Option<String>,
    /// The row for which that was asked: once before a frame, it costs a walk over the plan.
    asked: usize,
}

impl Drag {
    /// The row that is shown in a row: the list as it would be.
    pub fn shown(&self, row: usize) -> usize {
        match row {
            _ if row == self.to => self.from,
            _ if (self.from..self.to).contains(&row) => row + 1,
            _ if self.to < row && row <= self.from => row - 1,
            _ => row,
        }
    }

    /// Whether it would land somewhere else.
    pub fn is_moving(&self) -> bool {
        self.from != self.to
    }
}

impl App {
    /// Something was done with the mouse.
    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        if views::is_too_small(self.size) {
            return Vec::new();
        }
        let at = Position::new(event.column, event.row);
        match event.kind {
            MouseEventKind::ScrollDown => return self.wheel(at, WHEEL),
            MouseEventKind::ScrollUp => return self.wheel(at, -WHEEL),
            MouseEventKind::Down(MouseButton::Left) if self.layers.is_empty() => {
                let other = self.strip_at(at);
                self.message = None;
                if let Some(run) = other {
                    return self.switch_to(run);
                }
                self.click(at);
            }
            MouseEventKind::Drag(MouseButton::Left) if self.output.is_pressed() => self.drag_in_output(at),
            MouseEventKind::Drag(MouseButton::Left) => self.drag_to(at),
            MouseEventKind::Up(MouseButton::Left) => {
                self.output.release();
                return self.drop_here();
            }
            _ => {}
        }
        Vec::new()
    }

    fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    fn click(&mut self, at: Position) {
        let area = self.area();
        if self.place == Place::Runs {
            let list = views::runs::list_area(area, self.tour, self.runs.lines().len());
            if list.contains(at)
                && let Some(Line::Row(row)) = self.runs.lines().get(self.runs.offset + usize::from(at.y - list.y))
            {
                self.runs.selected = Some(row.clone());
            }
            return;
        }
        if self.place == Place::Timeline {
            return self.click_in_timeline(at);
        }
        if self.place == Place::Metrics {
            return self.click_in_metrics(at);
        }
        if self.place == Place::Graph {
            return self.click_in_graph(at);
        }
        let Some(run) = &mut self.run else { return };
        let layout = views::layout::run(area, run);
        if layout.steps.contains(at) {
            // Where the pane that has the keys has the room, the rows move under the mouse: nothing is dragged then.
            let stays = run.focus == Pane::Steps || !views::layout::is_narrow(self.size);
            run.focus = Pane::Steps;
            let row = run.list.offset + usize::from(at.y - layout.steps.y);
            if run.list.rows.view != View::List {
                if row < run.row_count() {
                    run.select_row(row);
                }
            } else if let Some(position) = run.row(row) {
                run.select(position);
                let step = run.state.plan.steps[position].step_id.clone();
                self.drag = stays.then_some(Drag { step, from: row, to: row, refused: None, asked: row });
            }
        } else if let Some(tab) = views::detail::tab_at(layout.detail_title, at) {
            run.tab = tab;
            run.focus = Pane::Detail;
        } else if layout.detail.contains(at) {
            run.focus = Pane::Detail;
            if run.tab == Tab::Output {
                self.output.press(usize::from(at.y - layout.detail.y));
            }
        } else if layout.log.contains(at) {
            run.focus = Pane::Log;
        }
    }

    fn wheel(&mut self, at: Position, by: isize) -> Vec<Effect> {
        let area = self.area();
        if let Some(layer) = self.layers.last() {
            // As the keys do it, in what has the keys.
            let (code, times) = match (&layer.popup, by > 0) {
                (Popup::Ask(_), true) => (KeyCode::PageDown, 1),
                (Popup::Ask(_), false) => (KeyCode::PageUp, 1),
                (Popup::Quit(_) | Popup::Recap(_), _) => return Vec::new(),
                (_, true) => (KeyCode::Down, WHEEL),
                (_, false) => (KeyCode::Up, WHEEL),
            };
            return (0..times).flat_map(|_| self.key(KeyEvent::new(code, KeyModifiers::NONE))).collect();
        }
        if self.place == Place::Runs {
            self.runs.step(by);
            return Vec::new();
        }
        if self.place == Place::Timeline {
            self.step_in_timeline(by);
            return Vec::new();
        }
        if self.place == Place::Metrics {
            self.step_in_metrics(by);
            return Vec::new();
        }
        if self.place == Place::Graph {
            self.move_in_graph(if by > 0 { Action::Down } else { Action::Up });
            return Vec::new();
        }
        let Some(run) = &mut self.run else { return Vec::new() };
        let layout = views::layout::run(area, run);
        if layout.steps.contains(at) && self.drag.is_none() {
            let row = run.selected_row().unwrap_or(0).saturating_add_signed(by);
            run.select_row(row);
        } else if layout.log.contains(at) {
            run.log_back = run.log_back.saturating_add_signed(-by);
        } else if layout.detail.contains(at) {
            match run.tab {
                Tab::Output => self.output.scroll(by),
                Tab::Result | Tab::Definition => run.document.scroll(by, layout.detail.height as usize),
                Tab::Attempts => run.move_to_attempt(by.signum()),
            }
        }
        Vec::new()
    }

    /// Lines of the output are selected with the mouse.
    fn drag_in_output(&mut self, at: Position) {
        let Some(run) = &self.run else { return };
        let detail = views::layout::run(self.area(), run).detail;
        self.output.drag(isize::from(at.y as i16) - isize::from(detail.y as i16));
    }

    fn drag_to(&mut self, at: Position) {
        let area = self.area();
        let Some((run, mut drag)) = self.run.as_ref().zip(self.drag.clone()) else { return };
        let steps = views::layout::run(area, run).steps;
        let last = run.row_count().saturating_sub(1);
        // Beyond the list's edge it goes on by a row with every movement.
        let row = match at.y {
            y if y < steps.y => run.list.offset.saturating_sub(1),
            y => run.list.offset + usize::from((y - steps.y).min(steps.height)),
        };
        drag.to = row.min(last);
        self.drag = Some(drag);
    }

    /// Finds out whether the dragged step can land where it is. Done once before a frame.
    pub(super) fn refresh_drag(&mut self) {
        let Some((run, mut drag)) = self.run.as_ref().zip(self.drag.clone()) else {
            self.drag = None;
            return;
        };
        if drag.asked != drag.to {
            drag.refused = match landing(run, &drag) {
                (_, 0) => None,
                (from, by) => movable(self, run, from, by).err(),
            };
            drag.asked = drag.to;
            self.drag = Some(drag);
        }
    }

    fn drop_here(&mut self) -> Vec<Effect> {
        let Some(drag) = self.drag.take().filter(Drag::is_moving) else { return Vec::new() };
        let from = self.run.as_ref().and_then(|run| run.row_of(run.state.position(&drag.step)?));
        // The list has changed under it: where it would land is not where it was shown.
        if from != Some(drag.from) && self.run.as_ref().is_some_and(|run| run.list.filter.is_empty()) {
            self.complain("the steps have changed while it was dragged: nothing is moved");
            return Vec::new();
        }
        if self.moving.is_some() {
            self.complain("the move before it is still on its way: nothing is moved");
            return Vec::new();
        }
        let Some((from, by)) = self.run.as_ref().map(|run| landing(run, &drag)) else { return Vec::new() };
        self.move_from(drag.step, from, by)
    }

    /// A key while a step is dragged leaves it where it is.
    pub(super) fn leave_drag(&mut self) -> bool {
        self.drag.take().is_some_and(|drag| drag.is_moving())
    }
}

/// From which place of the plan a dragged step goes how far: rows of instances are the place of their step.
fn landing(run: &OpenRun, drag: &Drag) -> (usize, isize) {
    let place = |row: usize| run.row(row).map_or(row, |position| run.state.order().home(position));
    let own = run.state.position(&drag.step).unwrap_or(drag.from);
    (own, place(drag.to) as isize - own as isize)
}
