//! What is shown of an attempt's output, and where: pure state.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation;

use super::reader::{Answer, Place, Request, Row, Source};
use super::search::Pattern;
use crate::console::text::{self, Colors};

/// The most rows that are kept, around those that are shown.
const MAX_ROWS: usize = 2_000;

/// The most bytes of output the kept rows may be made from, unless those that are shown need more.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A place in the output: a row, and a line of it where it is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Top {
    pub(super) offset: u64,
    pub(super) part: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Searching {
    text: String,
    pattern: Pattern,
    /// The match the search stands on.
    current: Option<u64>,
    waiting: bool,
    count: u64,
    counted: bool,
    wrapped: bool,
}

/// The output of one attempt as it is looked at. Holds a bounded window of rows; what is missing is asked for.
#[derive(Debug)]
pub struct Pane {
    view: u64,
    colors: Colors,
    source: Option<Source>,
    opened: bool,
    /// Things to ask that are not about rows.
    asks: Vec<Request>,
    /// The rows that are on their way.
    waiting: Option<Place>,
    pub(super) rows: VecDeque<Row>,
    /// The file's length: `None` while it is not there.
    len: Option<u64>,
    known: bool,
    lines: u64,
    counted: bool,
    /// Lines are counted by now that were not when the rows on the screen were read.
    renumber: bool,
    error: Option<String>,
    pub(super) follow: bool,
    pub(super) wrap: bool,
    pub(super) times: bool,
    pub(super) column: usize,
    top: Top,
    pub(super) width: u16,
    pub(super) height: u16,
    search: Option<Searching>,
}

impl Pane {
    /// A pane that shows nothing yet.
    pub fn new(colors: Colors) -> Pane {
        Pane {
            view: 0,
            colors,
            source: None,
            opened: true,
            asks: Vec::new(),
            waiting: None,
            rows: VecDeque::new(),
            len: None,
            known: false,
            lines: 0,
            counted: false,
            renumber: false,
            error: None,
            follow: true,
            wrap: false,
            times: false,
            column: 0,
            top: Top::default(),
            width: 80,
            height: 24,
            search: None,
        }
    }

    /// Shows another output (or none), from its end: that is where the reason of a failure is. Showing what is shown already changes nothing but whether it is live.
    pub fn open(&mut self, source: Option<Source>) {
        if let (Some(old), Some(new)) = (&mut self.source, &source)
            && old.path == new.path
        {
            if old.live && !new.live {
                self.asks.push(Request::Ended { view: self.view });
                old.live = false;
            } else if !old.live && new.live {
                old.live = true;
                self.opened = false;
            }
            return;
        }
        if self.source.is_none() && source.is_none() {
            return;
        }
        let (colors, wrap, times) = (self.colors, self.wrap, self.times);
        let (view, width, height) = (self.view + 1, self.width, self.height);
        *self = Pane { view, wrap, times, width, height, source, opened: false, ..Pane::new(colors) };
    }

    /// What is shown.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The notice that the file has so many bytes by now.
    pub fn grown(&mut self, bytes: u64) {
        if self.len.is_none_or(|len| len < bytes) {
            self.len = Some(bytes);
            self.known = true;
        }
    }

    /// The size of the area the pane is drawn in. Must be told before drawing; scrolling by pages and following depend on it.
    pub fn set_size(&mut self, width: u16, height: u16) {
        if (self.width, self.height) != (width, height) {
            if self.width != width {
                self.top.part = 0;
            }
            (self.width, self.height) = (width, height);
        }
    }

    /// What the reader should be asked now. To be called after whatever changed the pane (also after [`Pane::apply`]); what is returned counts as asked.
    pub fn take_requests(&mut self) -> Vec<Request> {
        let view = self.view;
        let mut requests = Vec::new();
        if !self.opened {
            self.opened = true;
            requests.push(match self.source.clone() {
                Some(source) => Request::Open { view, source, colors: self.colors },
                None => Request::Close,
            });
        }
        requests.append(&mut self.asks);
        if self.source.is_some()
            && self.waiting.is_none()
            && let Some(place) = self.missing()
        {
            self.waiting = Some(place);
            self.renumber = false;
            // First what is seen, then what may be scrolled to.
            let count = if self.rows.is_empty() { usize::from(self.height).max(1) } else { self.ahead().max(50) * 2 };
            requests.push(Request::Rows { view, place, count });
        }
        requests
    }

    /// A request found no room: it is asked again with the next ones.
    pub fn refused(&mut self, request: Request) {
        match request {
            Request::Rows { .. } => self.waiting = None,
            Request::Open { .. } | Request::Close => self.opened = false,
            other => self.asks.push(other),
        }
    }

    /// Takes an answer. `true` when something to see has changed.
    pub fn apply(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::State { view, len, lines, counted, truncated } if view == self.view => {
                if truncated {
                    self.rows.clear();
                    self.waiting = None;
                    self.top = Top::default();
                }
                self.len = len;
                self.known = true;
                self.error = None;
                self.lines = lines;
                self.counted = counted;
                self.renumber = counted && self.shown().any(|(row, _)| row.number.is_none());
                true
            }
            Answer::Rows { view, place, rows, len } if view == self.view => {
                if self.waiting == Some(place) {
                    self.waiting = None;
                }
                // The file itself is right; a notice that ran ahead of it must not make us ask for ever.
                self.len = Some(len);
                self.take_rows(place, rows);
                true
            }
            Answer::Line { view, offset } if view == self.view => {
                self.jump(offset);
                true
            }
            Answer::Found { view, offset, wrapped } if view == self.view => {
                let Some(search) = &mut self.search else { return false };
                search.waiting = false;
                search.wrapped = wrapped;
                search.current = offset;
                if let Some(offset) = offset {
                    self.show_match(offset);
                }
                true
            }
            Answer::Matches { view, count, done } if view == self.view => {
                let Some(search) = &mut self.search else { return false };
                search.count = count;
                search.counted = done;
                true
            }
            Answer::Failed { view, error } if view == self.view => {
                self.error = Some(error);
                self.known = true;
                self.waiting = None;
                true
            }
            _ => false,
        }
    }

    /// Scrolls by lines of the screen: up when negative. Up stops following.
    pub fn scroll(&mut self, lines: isize) {
        if lines < 0 && self.follow {
            self.stop_following();
        }
        if self.follow {
            return;
        }
        let Some(mut index) = self.index_of(self.top.offset) else { return };
        let mut part = self.top.part;
        for _ in 0..lines.unsigned_abs() {
            if lines < 0 {
                if part > 0 {
                    part -= 1;
                } else if index > 0 {
                    index -= 1;
                    part = self.parts(&self.rows[index]) - 1;
                } else {
                    break;
                }
            } else if part + 1 < self.parts(&self.rows[index]) {
                part += 1;
            } else if index + 1 < self.rows.len() {
                index += 1;
                part = 0;
            } else {
                break;
            }
        }
        self.top = Top { offset: self.rows[index].start, part };
        self.clamp();
    }

    /// Scrolls by pages, with two lines in common.
    pub fn page(&mut self, pages: isize) {
        self.scroll(pages * isize::from(self.height as i16).saturating_sub(2).max(1));
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.jump(0);
    }

    /// To the end, and follows.
    pub fn end(&mut self) {
        self.follow = true;
    }

    /// Follows, or stops where it is.
    pub fn toggle_follow(&mut self) {
        if self.follow { self.stop_following() } else { self.follow = true }
    }

    /// Whether new output is shown as it comes.
    pub fn is_following(&self) -> bool {
        self.follow
    }

    /// Wraps long lines, or not.
    pub fn toggle_wrap(&mut self) {
        self.wrap = !self.wrap;
        self.column = 0;
        self.top.part = 0;
    }

    /// Shows when each line came, or not.
    pub fn toggle_times(&mut self) {
        self.times = !self.times;
    }

    /// Scrolls sideways, when lines are not wrapped.
    pub fn scroll_sideways(&mut self, columns: isize) {
        if !self.wrap {
            let widest = self.shown().map(|(row, _)| row.width).max().unwrap_or(0);
            let room = usize::from(self.text_width());
            self.column = self.column.saturating_add_signed(columns).min((widest + 1).saturating_sub(room));
        }
    }

    /// To a line, numbered from 1.
    pub fn go_to_line(&mut self, number: u64) {
        self.asks.push(Request::Line { view: self.view, number });
    }

    /// Searches for plain text (case counts only if it has upper case) from what is shown on; an empty one ends the search.
    pub fn search(&mut self, text: &str) {
        self.search = Pattern::new(text).map(|pattern| Searching {
            text: text.to_owned(),
            pattern,
            current: None,
            waiting: false,
            count: 0,
            counted: false,
            wrapped: false,
        });
        let from = self.first_shown().offset;
        match self.search {
            Some(_) => self.find(from, true),
            None => self.asks.push(Request::Search { view: self.view, pattern: String::new(), from, forward: true }),
        }
    }

    /// To the next match.
    pub fn search_next(&mut self) {
        let from = self.search.as_ref().and_then(|s| s.current).map(|at| at + 1);
        self.find(from.unwrap_or_else(|| self.first_shown().offset), true);
    }

    /// To the match before.
    pub fn search_previous(&mut self) {
        let from = self.search.as_ref().and_then(|s| s.current);
        self.find(from.unwrap_or_else(|| self.first_shown().offset), false);
    }

    /// What is searched for.
    pub fn searched(&self) -> Option<&str> {
        self.search.as_ref().map(|s| s.text.as_str())
    }

    /// A few words about where the pane stands, for the line below it: search, place, follow.
    pub fn status(&self) -> String {
        let mut parts = Vec::new();
        if let Some(search) = &self.search {
            let text = text::fit(&search.text, 20).into_owned();
            parts.push(match (search.current, search.waiting) {
                (_, true) => format!("searching for \"{text}\""),
                (None, _) => format!("\"{text}\" is not there"),
                _ => {
                    let more = if search.counted { "" } else { "+" };
                    let again = if search.wrapped { ", from the other end" } else { "" };
                    format!("\"{text}\" {}{more} matches{again}", grouped(search.count))
                }
            });
        }
        if self.len.unwrap_or(0) > 0 {
            let last = self.shown().last().and_then(|(row, _)| row.number);
            match (last, self.counted) {
                (Some(last), true) => {
                    parts.push(format!("line {} of {}", grouped(last.min(self.lines)), grouped(self.lines)))
                }
                (Some(last), false) => parts.push(format!("line {}", grouped(last))),
                (None, _) => {
                    let end = self.shown().last().map_or(0, |(row, _)| row.end);
                    let percent = (u128::from(end) * 100 / u128::from(self.len.unwrap_or(1).max(1))).min(100);
                    parts.push(format!("{percent}%"));
                }
            }
            if self.column > 0 {
                parts.push(format!("column {}", self.column + 1));
            }
        }
        if self.follow && self.source.as_ref().is_some_and(|s| s.live) {
            parts.push("follow".to_owned());
        }
        parts.join(" · ")
    }

    /// The text that is shown, without what is drawn around it: for copying. Whole lines, also where the pane shows a part of them.
    pub fn visible_text(&self) -> String {
        let mut out = String::new();
        let mut last = None;
        for (row, _) in self.shown() {
            if last == Some(row.start) {
                continue;
            }
            if last.is_some() && !row.continued {
                out.push('\n');
            }
            last = Some(row.start);
            for span in &row.line.spans {
                out.push_str(&span.content);
            }
        }
        out
    }

    /// What to say instead of rows.
    pub(super) fn message(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        if let Some(error) = &self.error {
            return Some(format!("the output cannot be read: {}", text::clean(error)));
        }
        match self.len {
            _ if !self.known => Some(String::new()),
            None | Some(0) => Some(if source.live { "no output yet" } else { "no output" }.to_owned()),
            Some(_) => None,
        }
    }

    /// The rows that are on the screen with the part of each, in order.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Row, usize)> {
        let top = self.first_shown();
        let first = self.index_of(top.offset).unwrap_or(self.rows.len());
        self.rows
            .range(first..)
            .enumerate()
            .flat_map(move |(i, row)| {
                let skip = if i == 0 { top.part } else { 0 };
                (skip..self.parts(row).max(skip + 1)).map(move |part| (row, part))
            })
            .take(usize::from(self.height))
    }

    /// The cells that are left for text.
    pub(super) fn text_width(&self) -> u16 {
        self.width.saturating_sub(1 + if self.times { 9 } else { 0 }).max(1)
    }

    /// Into how many lines of the screen a row goes.
    fn parts(&self, row: &Row) -> usize {
        if !self.wrap || row.width <= usize::from(self.text_width()) {
            return 1;
        }
        breaks(row, usize::from(self.text_width())).count() + 1
    }

    pub(super) fn matches_in(&self, text: &str) -> Vec<(usize, usize)> {
        let Some(search) = &self.search else { return Vec::new() };
        search.pattern.matches(text.as_bytes()).into_iter().map(|at| (at, at + search.text.len())).collect()
    }

    pub(super) fn holds_current_match(&self, row: &Row) -> bool {
        let at = self.search.as_ref().and_then(|s| s.current);
        at.is_some_and(|at| (row.start..row.end).contains(&at))
    }

    fn find(&mut self, from: u64, forward: bool) {
        let Some(search) = &mut self.search else { return };
        search.waiting = true;
        let pattern = search.text.clone();
        self.asks.push(Request::Search { view: self.view, pattern, from, forward });
    }

    fn show_match(&mut self, offset: u64) {
        let on_screen = self.shown().any(|(row, _)| (row.start..row.end).contains(&offset));
        if !on_screen {
            self.jump(offset);
            self.scroll(-(isize::from(self.height as i16) / 3));
        } else if self.follow {
            self.stop_following();
        }
    }

    fn jump(&mut self, offset: u64) {
        self.follow = false;
        let row = self.rows.iter().find(|row| (row.start..row.end).contains(&offset));
        match row {
            Some(row) => {
                self.top = Top { offset: row.start, part: 0 };
                self.clamp();
            }
            None => {
                self.rows.clear();
                self.waiting = None;
                self.top = Top { offset, part: 0 };
            }
        }
    }

    fn stop_following(&mut self) {
        self.top = self.first_shown();
        self.follow = false;
    }

    /// The first line on the screen.
    pub(super) fn first_shown(&self) -> Top {
        if self.follow { self.last_page() } else { self.top }
    }

    /// The top of the last screen of the rows there are.
    fn last_page(&self) -> Top {
        let mut left = usize::from(self.height);
        let mut top = Top::default();
        for row in self.rows.iter().rev() {
            let parts = self.parts(row);
            top = Top { offset: row.start, part: parts.saturating_sub(left) };
            left = left.saturating_sub(parts);
            if left == 0 {
                break;
            }
        }
        top
    }

    /// The screen is filled to its bottom where there is enough.
    fn clamp(&mut self) {
        let at_end = self.rows.back().is_some_and(|row| Some(row.end) >= self.len);
        if at_end && !self.follow {
            self.top = self.top.min(self.last_page());
        }
    }

    fn index_of(&self, offset: u64) -> Option<usize> {
        self.rows.binary_search_by(|row| row.start.cmp(&offset)).ok()
    }

    /// How many rows there should be before and after what is shown.
    fn ahead(&self) -> usize {
        usize::from(self.height) * 2
    }

    /// The rows that are needed next.
    fn missing(&self) -> Option<Place> {
        if self.error.is_some() {
            return None;
        }
        let len = self.len.filter(|len| *len > 0)?;
        let (Some(front), Some(back)) = (self.rows.front(), self.rows.back()) else {
            return Some(if self.follow { Place::End } else { Place::Around(self.top.offset) });
        };
        if self.follow {
            if back.end < len {
                return Some(Place::End);
            }
        } else if self.index_of(self.top.offset).is_none() {
            return Some(Place::Around(self.top.offset));
        }
        let top = self.first_shown().offset;
        let index = self.index_of(top)?;
        if self.renumber {
            return Some(if self.follow { Place::End } else { Place::From(top) });
        }
        if self.rows.len() - index < usize::from(self.height) + self.ahead() / 2 && back.end < len {
            return Some(Place::From(if back.whole { back.end } else { back.start }));
        }
        if index < self.ahead() / 2 && front.start > 0 {
            return Some(Place::Before(front.start));
        }
        None
    }

    fn take_rows(&mut self, place: Place, rows: Vec<Row>) {
        match place {
            Place::End if self.follow => self.rows = rows.into(),
            Place::Around(offset) if !self.follow && offset == self.top.offset => {
                self.rows = rows.into();
                // What was asked for may be inside a row.
                if let Some(row) = self.rows.iter().find(|row| (row.start..row.end).contains(&offset)) {
                    self.top = Top { offset: row.start, part: 0 };
                } else if let Some(row) = self.rows.back() {
                    self.top = Top { offset: row.start, part: 0 };
                }
            }
            Place::From(offset) => {
                while self.rows.back().is_some_and(|row| row.start >= offset) {
                    self.rows.pop_back();
                }
                if self.rows.back().is_none_or(|row| row.end == offset) {
                    self.rows.extend(rows);
                }
            }
            Place::Before(offset)
                if self.rows.front().is_some_and(|row| row.start == offset)
                    && rows.last().is_some_and(|row| row.end == offset) =>
            {
                for row in rows.into_iter().rev() {
                    self.rows.push_front(row);
                }
            }
            _ => {}
        }
        self.trim();
        self.clamp();
    }

    /// Lets go of rows far from the screen.
    fn trim(&mut self) {
        let Some(index) = self.index_of(self.first_shown().offset) else { return };
        let keep = usize::from(self.height) + self.ahead();
        let mut before = index;
        let too_much = |rows: &VecDeque<Row>| {
            let bytes = rows.back().map_or(0, |r| r.end) - rows.front().map_or(0, |r| r.start);
            rows.len() > MAX_ROWS || bytes > MAX_BYTES
        };
        while too_much(&self.rows) {
            let after = self.rows.len() - before;
            if before > self.ahead() && before + keep >= after {
                self.rows.pop_front();
                before -= 1;
            } else if after > keep {
                self.rows.pop_back();
            } else {
                break;
            }
        }
    }
}

/// Where the lines of the screen begin that a wrapped row goes into, but for the first: byte offsets into its text. A grapheme is never split.
pub(super) fn breaks(row: &Row, cells: usize) -> impl Iterator<Item = usize> {
    let mut used = 0;
    let mut at = 0;
    row.line.spans.iter().flat_map(|span| span.content.graphemes(true)).filter_map(move |g| {
        let w = text::width(g);
        let here = at;
        at += g.len();
        if used + w > cells && used > 0 {
            used = w;
            return Some(here);
        }
        used += w;
        None
    })
}

/// A number with a comma every three digits.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
