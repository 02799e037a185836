//! The filter of a list and the search in the output, while they are typed and after.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Effect, FilterOf, Place};
use super::input::Input;
use super::keys::Key;
use super::run_model::{Pane, Tab};

impl App {
    pub(super) fn start_filter(&mut self) {
        let (of, text) = match (self.place, &self.run) {
            (Place::Run, Some(run)) if run.focus == Pane::Detail && run.tab == Tab::Output => {
                (FilterOf::Output, String::new())
            }
            (Place::Run | Place::Timeline, Some(run)) => (FilterOf::Steps, run.list.filter.clone()),
            (Place::History, _) => {
                let filter = self.history.as_ref().map_or_else(String::new, |history| history.filter.clone());
                (FilterOf::History, filter)
            }
            _ => (FilterOf::Runs, self.runs.filter.clone()),
        };
        let mut input = Input::default();
        input.insert(&text);
        self.typing = Some((of, input));
    }

    pub(super) fn filter_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let Some((_, input)) = &mut self.typing else { return Vec::new() };
        let control_c = Key::from(event) == Key::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Enter => self.typing = None,
            _ if event.code == KeyCode::Esc || control_c => {
                *input = Input::default();
                self.filter_typed();
                self.typing = None;
            }
            KeyCode::Down | KeyCode::Up => {
                let by = if event.code == KeyCode::Down { 1 } else { -1 };
                match (self.place, &mut self.run) {
                    (Place::Run, Some(run)) => {
                        let row = run.selected_row().unwrap_or(0).saturating_add_signed(by);
                        run.select_row(row);
                    }
                    (Place::History, Some(run)) => {
                        if let Some(history) = &mut self.history {
                            let row = history.selected_row(&run.state).saturating_add_signed(by);
                            history.select_row(&run.state, row);
                        }
                    }
                    (Place::Timeline, _) => self.step_in_timeline(by),
                    _ => self.runs.step(by),
                }
            }
            _ => {
                if input.key(event) {
                    self.filter_typed();
                }
            }
        }
        Vec::new()
    }

    pub(super) fn filter_typed(&mut self) {
        let Some((of, input)) = &self.typing else { return };
        let typed = input.text();
        match (of, &mut self.run) {
            (FilterOf::Runs, _) => {
                self.runs.filter = typed.to_lowercase();
                self.runs.touch();
            }
            (FilterOf::Steps, Some(run)) => {
                run.list.filter = typed.to_lowercase();
                run.list.chosen = true;
                run.refresh_rows();
            }
            (FilterOf::Output, _) => self.output.search(&typed),
            (FilterOf::History, _) => {
                if let Some(history) = &mut self.history {
                    history.set_filter(&typed);
                }
            }
            _ => {}
        }
    }

    pub(super) fn next_match(&mut self, forward: bool) {
        match (self.place, &mut self.run) {
            (Place::Run, Some(run)) if run.focus == Pane::Detail && run.tab == Tab::Output => {
                if forward {
                    self.output.search_next();
                } else {
                    self.output.search_previous();
                }
            }
            (Place::Run, Some(run)) => {
                let rows = run.row_count();
                if rows > 0 {
                    let row = run.selected_row().unwrap_or(0);
                    let next = |row: usize| if forward { (row + 1) % rows } else { (row + rows - 1) % rows };
                    // A heading is no match.
                    let mut after = std::iter::successors(Some(next(row)), |row| Some(next(*row))).take(rows);
                    run.select_row(after.find(|row| run.row(*row).is_some()).unwrap_or(row));
                }
            }
            (Place::History, Some(run)) => {
                if let Some(history) = &mut self.history {
                    let (rows, row) = (history.rows(&run.state).max(1), history.selected_row(&run.state));
                    history.select_row(&run.state, if forward { (row + 1) % rows } else { (row + rows - 1) % rows });
                }
            }
            (Place::Timeline, _) => self.step_in_timeline(if forward { 1 } else { -1 }),
            _ => self.runs.step(if forward { 1 } else { -1 }),
        }
    }
}
