//! The filter of a list, the search in the output and the filter of its lines, while they are typed and after.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Effect, FilterOf, Place};
use super::input::Input;
use super::keys::Key;
use super::output::{Query, Wrong};
use super::run_model::Pane;

/// How an output is looked through.
#[derive(Debug, Clone, Default)]
pub struct Looking {
    /// What is typed is a regular expression.
    pub regex: bool,
    /// What is wrong with it; what was looked for before still is.
    pub wrong: Option<Wrong>,
    /// What was looked for last, to be looked for again.
    last: String,
}

/// A field with what holds by now: typing replaces it, and who wants to change it moves in it first.
fn stands(text: &str) -> Input {
    let mut input = Input::default();
    input.insert(text);
    input.selected()
}

impl App {
    pub(super) fn start_filter(&mut self) {
        let (of, text) = match (self.place, &self.run) {
            (Place::Run | Place::Timeline, Some(run)) => (FilterOf::Steps, run.list.filter.clone()),
            (Place::History, _) => {
                let filter = self.history.as_ref().map_or_else(String::new, |history| history.filter.clone());
                (FilterOf::History, filter)
            }
            _ => (FilterOf::Runs, self.runs.filter.clone()),
        };
        self.typing = Some((of, stands(&text)));
    }

    /// What is to be searched for in the output.
    pub(super) fn start_search(&mut self) {
        if let Some(run) = &mut self.run {
            run.focus = Pane::Detail;
        }
        self.output.begin_typing();
        self.typing = Some((FilterOf::Output, Input::default()));
    }

    /// Which lines of the output are to be shown.
    pub(super) fn start_only_lines(&mut self) {
        if let Some(run) = &mut self.run {
            run.focus = Pane::Detail;
        }
        self.output.begin_typing();
        let shown = self.output.shown_only().map(|pattern| pattern.query().clone()).unwrap_or_default();
        if !shown.text.is_empty() {
            self.looking.regex = shown.regex;
        }
        self.typing = Some((FilterOf::Lines, stands(&shown.text)));
    }

    pub(super) fn filter_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let Some((of, input)) = &mut self.typing else { return Vec::new() };
        let in_output = matches!(of, FilterOf::Output | FilterOf::Lines);
        let control = |letter| Key::from(event) == Key::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        let control_c = control('c');
        match event.code {
            KeyCode::Enter => self.typed(),
            _ if in_output && control('r') => {
                self.looking.regex = !self.looking.regex;
                self.filter_typed();
            }
            KeyCode::Up if in_output => {
                if input.is_empty() {
                    input.insert(&self.looking.last);
                    self.filter_typed();
                }
            }
            KeyCode::Down if in_output => {}
            _ if event.code == KeyCode::Esc || control_c => {
                *input = Input::default();
                self.filter_typed();
                self.typing = None;
                self.looking.wrong = None;
                self.output.end_typing();
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

    /// What was typed holds. What is no expression does not: it stays to be mended.
    fn typed(&mut self) {
        let Some((of, input)) = &self.typing else { return };
        if matches!(of, FilterOf::Output | FilterOf::Lines) {
            if self.looking.wrong.is_some() {
                return;
            }
            if !input.is_empty() {
                self.looking.last = input.text();
            }
            self.output.end_typing();
            if *of == FilterOf::Output {
                self.count_everywhere();
            }
        }
        self.typing = None;
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
            (FilterOf::Output, _) => {
                let query = Query { text: typed, regex: self.looking.regex };
                self.looking.wrong = self.output.search(&query).err();
                self.leave_elsewhere();
            }
            (FilterOf::Lines, _) => {
                let query = Query { text: typed, regex: self.looking.regex };
                self.looking.wrong = self.output.show_only(&query).err();
            }
            (FilterOf::History, _) => {
                if let Some(history) = &mut self.history {
                    history.set_filter(&typed);
                }
            }
            _ => {}
        }
    }

    pub(super) fn next_match(&mut self, forward: bool) {
        let in_output = self.in_output();
        match (self.place, &mut self.run) {
            _ if in_output => self.output.search_next(forward),
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
