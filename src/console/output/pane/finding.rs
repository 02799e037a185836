//! Searching in the pane, and showing only some of its lines.

use std::ops::Range;

use super::super::elsewhere::Elsewhere;
use super::super::query::{Pattern, Query, Wrong};
use super::super::reader::{Request, Row, Wanted};
use super::super::search::{Hit, Spot};
use super::words::grouped;
use super::{Kept, Pane, Top};
use crate::console::text;

/// A search, and how far it has come in the output that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Searching {
    pub(super) pattern: Pattern,
    /// The match the search stands on.
    pub(super) current: Option<Hit>,
    /// Which of all it is, from 1.
    pub(super) place: Option<u64>,
    /// What is waited for: a match, forward or not, and whether it may go round.
    pub(super) waiting: Option<(bool, bool)>,
    pub(super) count: u64,
    pub(super) counted: bool,
    /// It went past an end of the output.
    pub(super) wrapped: bool,
    /// The match is still to be brought onto the screen.
    pub(super) hidden: bool,
    /// What there is in all steps, once it is counted: matches, and steps that have some.
    pub(super) everywhere: Option<(u64, u64)>,
    /// Where only some lines are shown: how many matches all lines of this output have, if they were counted before.
    pub(super) unfiltered: Option<u64>,
}

impl Searching {
    fn new(pattern: Pattern) -> Searching {
        Searching {
            pattern,
            current: None,
            place: None,
            waiting: None,
            count: 0,
            counted: false,
            wrapped: false,
            hidden: false,
            everywhere: None,
            unfiltered: None,
        }
    }
}

impl Pane {
    /// A search or a filter begins to be typed: while it is, it looks from what is on top now.
    pub fn begin_typing(&mut self) {
        self.origin = Some(self.first_shown().offset);
    }

    /// It was typed.
    pub fn end_typing(&mut self) {
        self.origin = None;
    }

    /// Searches from what is shown on; for an empty query, for nothing any more. A query that is none leaves everything as it is.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub fn search(&mut self, query: &Query) -> Result<(), Wrong> {
        let Some(pattern) = Pattern::new(query)? else {
            if self.search.take().is_some() {
                self.asks.push(Request::Search { view: self.view, pattern: None, find: None });
            }
            return Ok(());
        };
        self.search = Some(Searching::new(pattern));
        let row = self.origin.unwrap_or_else(|| self.first_shown().offset);
        self.find(Spot { row, at: None }, true, true);
        Ok(())
    }

    /// To the next match, or to the one before. At the end of the output it stops, and [`Pane::take_exhausted`] says so.
    pub fn search_next(&mut self, forward: bool) {
        let from = self.spot();
        self.find(from, forward, false);
    }

    /// The same from the other end of the output on.
    pub fn search_round(&mut self, forward: bool) {
        let from = self.spot();
        self.find(from, forward, true);
    }

    /// The search goes on in this output from its beginning, or from its end.
    pub fn search_from_end(&mut self, forward: bool) {
        self.find(Spot { row: if forward { 0 } else { u64::MAX }, at: None }, forward, false);
    }

    /// Whether a search has come to the end of the output: forward, or to its beginning.
    pub fn take_exhausted(&mut self) -> Option<bool> {
        self.exhausted.take()
    }

    /// What is searched for.
    pub fn searched(&self) -> Option<&Pattern> {
        self.search.as_ref().map(|search| &search.pattern)
    }

    /// Where a search that is over stands: which match of how many.
    pub fn search_place(&self) -> Option<(u64, u64)> {
        let search = self.search.as_ref().filter(|search| search.counted)?;
        Some((search.place?, search.count))
    }

    /// What was counted in the newest outputs of all steps: matches, and in how many steps.
    pub fn set_everywhere(&mut self, counted: Option<(u64, u64)>) {
        if let Some(search) = &mut self.search {
            search.everywhere = counted;
        }
    }

    /// Asks the reader to search other outputs.
    pub fn search_others(&mut self, wanted: Elsewhere) {
        self.asks.retain(|ask| !matches!(ask, Request::Elsewhere(_)));
        self.asks.push(Request::Elsewhere(wanted));
    }

    /// Shows only lines with something; for an empty query, all of them. A query that is none leaves everything as it is.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub fn show_only(&mut self, query: &Query) -> Result<(), Wrong> {
        let filter = Pattern::new(query)?;
        if filter == self.filter {
            return Ok(());
        }
        let top = self.origin.filter(|_| !self.follow).unwrap_or_else(|| self.first_shown().offset);
        let had_filter = std::mem::replace(&mut self.filter, filter.clone()).is_some();
        self.view += 1;
        self.showing = (0, false);
        self.selection = None;
        self.forget_rows();
        self.top = Top { offset: top, part: 0 };
        self.asks.push(Request::Show { view: self.view, filter });
        if let Some(search) = &mut self.search {
            let unfiltered = if had_filter { search.unfiltered } else { Some(search.count).filter(|_| search.counted) };
            let everywhere = search.everywhere;
            *search = Searching { everywhere, unfiltered, ..Searching::new(search.pattern.clone()) };
            let pattern = Some(search.pattern.clone());
            self.asks.push(Request::Search { view: self.view, pattern, find: None });
        }
        Ok(())
    }

    /// Whether something was made of the output: a search, a filter, a selection.
    pub fn is_looked_through(&self) -> bool {
        self.search.is_some() || self.filter.is_some() || self.selection.is_some()
    }

    /// What the lines have that are shown.
    pub fn shown_only(&self) -> Option<&Pattern> {
        self.filter.as_ref()
    }

    /// The search of the output that was shown before goes on in this one, from where it is.
    pub(super) fn search_on(&mut self, search: Option<Searching>) {
        let Some(search) = search else { return };
        let pattern = Some(search.pattern.clone());
        self.search = Some(Searching { everywhere: search.everywhere, ..Searching::new(search.pattern) });
        if self.source.is_some() {
            self.asks.push(Request::Search { view: self.view, pattern, find: None });
        }
    }

    fn find(&mut self, from: Spot, forward: bool, wrap: bool) {
        let Some(search) = &mut self.search else { return };
        search.waiting = Some((forward, wrap));
        let pattern = Some(search.pattern.clone());
        let find = Some(Wanted { from, forward, wrap });
        // One that is overtaken before it was asked for is not asked for.
        self.asks.retain(|ask| !matches!(ask, Request::Search { .. }));
        self.asks.push(Request::Search { view: self.view, pattern, find });
    }

    /// From where a search goes on: from its match while that is to be seen, else from what is on the screen.
    fn spot(&self) -> Spot {
        let top = self.first_shown();
        let current = self.search.as_ref().and_then(|search| search.current);
        let seen = |hit: &Hit| self.shown().any(|(row, _)| row.start == hit.row) || self.index_of(top.offset).is_none();
        match current.filter(seen) {
            Some(hit) => Spot { row: hit.row, at: Some(hit.at) },
            None => Spot { row: top.offset, at: None },
        }
    }

    /// A search has come to a match, or to its end.
    pub(super) fn found(&mut self, hit: Option<Hit>, wrapped: bool) -> bool {
        let Some(search) = &mut self.search else { return false };
        let (forward, wrap) = search.waiting.take().unwrap_or((true, true));
        match hit {
            None if !wrap => self.exhausted = Some(forward),
            _ => {
                search.wrapped = wrapped && hit.is_some();
                search.current = hit;
                search.place = None;
                search.hidden = hit.is_some();
                self.reveal();
            }
        }
        true
    }

    /// Brings the match that was found onto the screen, as soon as its row is there.
    pub(super) fn reveal(&mut self) {
        let Some(hit) = self.search.as_ref().filter(|search| search.hidden).and_then(|search| search.current) else {
            return;
        };
        let Some(row) = self.index_of(hit.row).map(|index| &self.rows[index]) else {
            self.jump(hit.row);
            return;
        };
        let before = text_before(row, hit.at);
        let cells = usize::from(self.text_width());
        let part = self.part_of(row, hit.at);
        if !self.wrap && !(self.column..self.column + cells.saturating_sub(2)).contains(&before) {
            self.column = if before + 2 < cells { 0 } else { before.saturating_sub(cells / 3) };
        }
        // Where it was just jumped to, it is on top.
        let on_screen = self.shown().any(|(row, shown)| row.start == hit.row && shown == part)
            && (self.follow || self.top.offset != hit.row);
        if self.follow {
            self.stop_following();
        }
        if !on_screen {
            self.top = Top { offset: hit.row, part };
            self.roll(-(isize::from(self.height as i16) / 3));
        }
        if let Some(search) = &mut self.search {
            search.hidden = false;
        }
    }

    /// Whether the match the search stands on is in a row.
    pub(super) fn has_match(&self, row: &Row) -> bool {
        self.search.as_ref().and_then(|search| search.current).is_some_and(|hit| hit.row == row.start)
    }

    /// Whether that match is in this line of the screen, of those into which a row goes.
    pub(in super::super) fn is_at_match(&self, row: &Kept, part: usize) -> bool {
        let hit = self.search.as_ref().and_then(|search| search.current).filter(|hit| hit.row == row.start);
        hit.is_some_and(|hit| self.part_of(row, hit.at) == part)
    }

    /// In which of the lines into which a row goes a byte of its text is.
    fn part_of(&self, row: &Kept, byte: usize) -> usize {
        if self.wrap { row.part_of(byte, usize::from(self.text_width())) } else { 0 }
    }

    /// Does what may move the text on the screen; the match the search stands on is still seen then, if it was.
    pub(super) fn with_match_in_sight(&mut self, change: impl FnOnce(&mut Pane)) {
        let seen = self.shown().any(|(row, part)| self.is_at_match(row, part));
        change(self);
        if let Some(search) = self.search.as_mut().filter(|_| seen && !self.follow) {
            search.hidden = true;
            self.reveal();
        }
    }

    /// What stands out in a row's text, in order, and whether it is the match the search stands on.
    pub(in super::super) fn highlights(&self, row: &Row) -> Vec<(Range<usize>, bool)> {
        let current = self.search.as_ref().and_then(|search| search.current);
        let Some(pattern) = self.searched().or(self.filter.as_ref()) else { return Vec::new() };
        let text: String = row.line.spans.iter().map(|span| span.content.as_ref()).collect();
        let is_current = |range: &Range<usize>| current == Some(Hit { row: row.start, at: range.start });
        pattern.matches(text.as_bytes()).map(|range| (range.clone(), is_current(&range))).collect()
    }

    /// How far the search is, in a few words, without what is searched for; nothing when there is none.
    pub fn found_in_words(&self) -> String {
        let Some(search) = &self.search else { return String::new() };
        let more = if search.counted { "" } else { "+" };
        let count = grouped(search.count);
        let one = search.counted && search.count == 1;
        match (search.place, search.current) {
            _ if search.waiting.is_some() && search.current.is_none() => "searching".to_owned(),
            (Some(place), Some(_)) => format!("{} of {count}{more}", grouped(place)),
            (_, None) if search.count == 0 && search.counted && self.filter.is_some() => {
                "not in these lines".to_owned()
            }
            (_, None) if search.count == 0 && search.counted => "not there".to_owned(),
            _ => format!("{count}{more} {}", if one { "match" } else { "matches" }),
        }
    }

    /// What is searched for, and how far that is: in full, and shorter where that finds no room.
    pub(super) fn search_in_words(&self) -> Option<[String; 3]> {
        let search = self.search.as_ref()?;
        let round = if search.wrapped { ", from the other end" } else { "" };
        // What was counted in all steps was counted in all lines of theirs.
        let all_lines = if self.filter.is_some() { "all lines of " } else { "" };
        let not_shown = search.unfiltered.filter(|all| self.filter.is_some() && search.count == 0 && *all > 0);
        let not_shown = not_shown.map(|all| format!(", {} in those not shown", grouped(all)));
        let everywhere = match search.everywhere {
            Some((matches, steps)) if steps > 1 => {
                format!(", {} in {all_lines}{} steps", grouped(matches), grouped(steps))
            }
            Some(_) if not_shown.is_some() || search.count > 0 => String::new(),
            // That it has none is known of this one.
            Some((matches, 1)) if self.filter.is_none() || search.unfiltered == Some(0) => {
                format!(", {} in another step", grouped(matches))
            }
            Some((matches, 1)) => format!(", {} in {all_lines}one step", grouped(matches)),
            _ => String::new(),
        };
        let here = format!("{} {}{}", search.pattern, self.found_in_words(), not_shown.unwrap_or_default());
        Some([format!("{here}{round}{everywhere}"), format!("{here}{everywhere}"), here])
    }

    /// How many lines are shown, where not all of them are.
    pub fn lines_in_words(&self) -> String {
        let (count, counted) = self.showing;
        match (&self.filter, count, counted) {
            (None, ..) => String::new(),
            (_, 0, true) => "no line".to_owned(),
            (_, 1, true) => "1 line".to_owned(),
            _ => format!("{}{} lines", grouped(count), if counted { "" } else { "+" }),
        }
    }

    /// Which lines are shown, and how many of how many: in full, and shorter.
    pub(super) fn filter_in_words(&self) -> Option<[String; 2]> {
        let filter = self.filter.as_ref()?;
        Some(match self.showing {
            (count, true) if count > 0 && self.counted => {
                let said = format!("{} of {} lines", grouped(count), grouped(self.lines));
                [format!("only {filter}: {said}"), said]
            }
            _ => {
                let said = self.lines_in_words();
                [format!("only {filter}: {said}"), format!("only {said}")]
            }
        })
    }
}

/// The cells of a row's text before a byte of it.
fn text_before(row: &Row, byte: usize) -> usize {
    let text: String = row.line.spans.iter().map(|span| span.content.as_ref()).collect();
    let byte = (0..=byte.min(text.len())).rev().find(|byte| text.is_char_boundary(*byte)).unwrap_or(0);
    text::width(&text[..byte])
}
