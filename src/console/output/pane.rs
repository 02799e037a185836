//! What is shown of an attempt's output, and where: pure state.

mod finding;
mod selecting;

use std::collections::VecDeque;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::query::Pattern;
use super::reader::{Answer, Place, Request, Row, Source, Untold};
use finding::Searching;
use selecting::Selection;

use crate::console::text::{self, Colors};

/// The most rows that are kept, around those that are shown.
const MAX_ROWS: usize = 2_000;

/// The most bytes of output the kept rows may be made from, unless those that are shown need more.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How much a search matters among what is said of the output.
const SEARCH: u8 = 4;

/// A place in the output: a row, and a line of it where it is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Top {
    pub(super) offset: u64,
    pub(super) part: usize,
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
    /// The part of the file of which these are all the rows that are shown.
    window: Option<Range<u64>>,
    /// Where to read on behind it.
    resume: u64,
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
    /// Only lines with this are shown.
    filter: Option<Pattern>,
    /// How many those are, and whether all were counted.
    showing: (u64, bool),
    /// What was on top when a search or a filter was begun to be typed.
    origin: Option<u64>,
    /// A search has come to the end of the output, forward or not.
    exhausted: Option<bool>,
    selection: Option<Selection>,
    /// Lines are to be selected as soon as there are some.
    selects_soon: bool,
    /// The row under the pressed button of the mouse.
    pressed: Option<u64>,
    /// Text that was asked for.
    text: Option<Result<String, Untold>>,
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
            window: None,
            resume: 0,
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
            filter: None,
            showing: (0, false),
            origin: None,
            exhausted: None,
            selection: None,
            selects_soon: false,
            pressed: None,
            text: None,
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
        let search = self.search.take();
        *self = Pane { view, wrap, times, width, height, source, opened: false, ..Pane::new(colors) };
        self.search_on(search);
    }

    /// What is shown.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The bytes of the output, as far as they are known.
    pub fn bytes(&self) -> u64 {
        self.len.unwrap_or(0)
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
            self.keep_cursor();
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
                    self.forget_rows();
                    self.selection = None;
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
            Answer::Rows { view, place, rows, covered, resume, len } if view == self.view => {
                // The file itself is right; a notice that ran ahead of it must not make us ask for ever.
                self.len = Some(len);
                // What was asked for before something else was is not wanted any more.
                if self.waiting == Some(place) {
                    self.waiting = None;
                    self.take_rows(place, rows, covered, resume);
                }
                true
            }
            Answer::Line { view, offset } if view == self.view => {
                self.jump(offset);
                true
            }
            Answer::Found { view, hit, wrapped } if view == self.view => self.found(hit, wrapped),
            Answer::Matches { view, current, count, done } if view == self.view => {
                let Some(search) = &mut self.search else { return false };
                search.place = current;
                search.count = count;
                search.counted = done;
                true
            }
            Answer::Showing { view, count, done } if view == self.view => {
                self.showing = (count, done);
                true
            }
            Answer::Text { view, result } if view == self.view => {
                self.text = Some(result);
                true
            }
            // That is the console's.
            Answer::Elsewhere(_) => false,
            Answer::Failed { view, error } if view == self.view => {
                self.error = Some(error);
                self.known = true;
                self.waiting = None;
                true
            }
            _ => false,
        }
    }

    /// Scrolls by lines of the screen: up when negative. Up stops following. While lines are being selected, what is selected goes along.
    pub fn scroll(&mut self, lines: isize) {
        if self.selection.is_some() { self.move_cursor(lines) } else { self.roll(lines) }
    }

    fn roll(&mut self, lines: isize) {
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
        self.column = 0;
        self.jump(0);
        self.send_cursor(false);
    }

    /// To the end, and follows.
    pub fn end(&mut self) {
        self.follow = true;
        self.send_cursor(true);
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

    /// A few words about where the pane stands, for the line below it: what is selected, search, filter, follow, place.
    pub fn status(&self) -> String {
        self.status_in(usize::MAX)
    }

    /// The same in so many cells: what matters least is left out.
    pub fn status_in(&self, cells: usize) -> String {
        let has_place = self.len.unwrap_or(0) > 0;
        let follows = self.follow && self.source.as_ref().is_some_and(|s| s.live);
        let column = (has_place && self.column > 0).then(|| format!("column {}", self.column + 1));
        let searched = self.search_in_words();
        // Each with how much it matters.
        let parts = [
            (5, self.selected_in_words()),
            (SEARCH, searched.as_ref().map(|[full, ..]| full.clone())),
            (3, self.filter_in_words()),
            (1, has_place.then(|| self.place_in_words())),
            (0, column),
            (2, follows.then(|| "follow".to_owned())),
        ];
        let mut parts: Vec<(u8, String)> = parts.into_iter().filter_map(|(rank, part)| Some((rank, part?))).collect();
        let too_wide = |parts: &[(u8, String)]| {
            parts.iter().map(|(_, part)| text::width(part) + 3).sum::<usize>() > cells.saturating_add(3)
        };
        while parts.len() > 1 && too_wide(&parts) {
            let least = parts.iter().map(|(rank, _)| *rank).min();
            parts.retain(|(rank, _)| Some(*rank) != least);
        }
        for shorter in searched.iter().flat_map(|[_, shorter @ ..]| shorter) {
            if too_wide(&parts) {
                parts.iter_mut().filter(|(rank, _)| *rank == SEARCH).for_each(|(_, part)| part.clone_from(shorter));
            }
        }
        parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(" · ")
    }

    fn place_in_words(&self) -> String {
        let last = self.shown().last().and_then(|(row, _)| row.number);
        match (last, self.counted) {
            (Some(last), true) => format!("line {} of {}", grouped(last.min(self.lines)), grouped(self.lines)),
            (Some(last), false) => format!("line {}", grouped(last)),
            (None, _) => {
                let end = self.shown().last().map_or(0, |(row, _)| row.end);
                let percent = (u128::from(end) * 100 / u128::from(self.len.unwrap_or(1).max(1))).min(100);
                format!("{percent}%")
            }
        }
    }

    /// The text that is shown, without what is drawn around it: for copying. Whole lines, also where the pane shows a part of them.
    pub fn visible_text(&self) -> String {
        let mut out = String::new();
        let mut above: Option<&Row> = None;
        for (row, _) in self.shown() {
            if above.is_some_and(|above| above.start == row.start) {
                continue;
            }
            if above.is_some_and(|above| !row.continued || above.end != row.start) {
                out.push('\n');
            }
            above = Some(row);
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
            Some(len) => {
                let filter = self.filter.as_ref().filter(|_| self.rows.is_empty())?;
                let all = self.window == Some(0..len);
                Some(if all { format!("no line has {filter}") } else { format!("looking for lines with {filter}…") })
            }
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

    fn jump(&mut self, offset: u64) {
        self.follow = false;
        let known = self.filter.is_some() && self.window.as_ref().is_some_and(|window| window.contains(&offset));
        let row = self.rows.iter().find(|row| (row.start..row.end).contains(&offset) || (known && row.start > offset));
        match row {
            Some(row) => {
                self.top = Top { offset: row.start, part: 0 };
                self.clamp();
            }
            None => {
                self.forget_rows();
                self.top = Top { offset, part: 0 };
            }
        }
    }

    /// The rows are to be read anew.
    fn forget_rows(&mut self) {
        self.rows.clear();
        self.window = None;
        self.waiting = None;
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
        let at_end = self.window.as_ref().is_some_and(|window| Some(window.end) >= self.len);
        if at_end && !self.follow && !self.rows.is_empty() {
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
        let Some(window) = &self.window else {
            return Some(if self.follow { Place::End } else { Place::Around(self.top.offset) });
        };
        let (behind, before) = (window.end < len, window.start > 0);
        if self.follow && behind {
            return Some(if self.filter.is_none() { Place::End } else { Place::From(self.resume) });
        }
        if self.rows.is_empty() {
            // Nothing that is shown yet: on both sides.
            let below = behind.then_some(Place::From(self.resume));
            return below.or(before.then_some(Place::Before(window.start)));
        }
        if !self.follow && self.index_of(self.top.offset).is_none() {
            return Some(Place::Around(self.top.offset));
        }
        let top = self.first_shown().offset;
        let index = self.index_of(top)?;
        if self.renumber {
            return Some(if self.follow && self.filter.is_none() { Place::End } else { Place::From(top) });
        }
        if self.rows.len() - index < usize::from(self.height) + self.ahead() / 2 && behind {
            return Some(Place::From(self.resume));
        }
        if index < self.ahead() / 2 && before {
            return Some(Place::Before(window.start));
        }
        None
    }

    fn take_rows(&mut self, place: Place, rows: Vec<Row>, covered: Range<u64>, resume: u64) {
        match (place, &mut self.window) {
            (Place::End, _) if self.follow => {
                (self.rows, self.window, self.resume) = (rows.into(), Some(covered), resume);
            }
            (Place::Around(offset), _) if !self.follow && offset == self.top.offset => {
                (self.rows, self.window, self.resume) = (rows.into(), Some(covered), resume);
                // What was asked for may be inside a row, or in one that is not shown.
                let row = self.rows.iter().find(|row| row.end > offset).or(self.rows.back());
                if let Some(start) = row.map(|row| row.start) {
                    self.top = Top { offset: start, part: 0 };
                }
            }
            (Place::From(offset), Some(window)) if (window.start..=window.end).contains(&offset) => {
                window.end = covered.end;
                self.resume = resume;
                while self.rows.back().is_some_and(|row| row.start >= offset) {
                    self.rows.pop_back();
                }
                self.rows.extend(rows);
            }
            (Place::Before(offset), Some(window)) if window.start == offset => {
                window.start = covered.start;
                for row in rows.into_iter().rev() {
                    self.rows.push_front(row);
                }
            }
            _ => {}
        }
        // A line that is not shown gives its place to the next one that is.
        if self.filter.is_some() && !self.follow && self.index_of(self.top.offset).is_none() {
            let next = self.rows.iter().find(|row| row.start >= self.top.offset).or(self.rows.back());
            if let Some(start) = next.map(|row| row.start) {
                self.top = Top { offset: start, part: 0 };
            }
        }
        self.trim();
        self.clamp();
        self.reveal();
        self.settle_cursor();
    }

    /// Lets go of rows far from the screen.
    fn trim(&mut self) {
        let Some(index) = self.index_of(self.first_shown().offset) else { return };
        let keep = usize::from(self.height) + self.ahead();
        let mut before = index;
        let mut bytes: u64 = self.rows.iter().map(|row| row.end - row.start).sum();
        let Some(window) = &mut self.window else { return };
        while self.rows.len() > MAX_ROWS || bytes > MAX_BYTES {
            let after = self.rows.len() - before;
            let gone = if before > usize::from(self.height) * 2 && before + keep >= after {
                before -= 1;
                let gone = self.rows.pop_front();
                window.start = self.rows.front().map_or(window.end, |row| row.start);
                gone
            } else if after > keep {
                let gone = self.rows.pop_back();
                window.end = gone.as_ref().map_or(window.end, |row| row.start);
                self.resume = window.end;
                gone
            } else {
                break;
            };
            bytes -= gone.map_or(0, |row| row.end - row.start);
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
