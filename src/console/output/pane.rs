//! What is shown of an attempt's output, and where: pure state.

mod finding;
mod folds;
mod moving;
mod selecting;
mod window;
mod words;

use std::collections::VecDeque;
use std::ops::Range;

use super::query::Pattern;
use super::reader::{Answer, Place, Request, Source, Untold};
use finding::Searching;
pub(super) use folds::{Kept, graphemes};
use selecting::Selection;

use crate::console::text::Colors;

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
    pub(super) rows: VecDeque<Kept>,
    /// The part of the file of which these are all the rows that are shown.
    window: Option<Range<u64>>,
    /// Where to read on behind it.
    resume: u64,
    /// Following, what lies between it and the end is passed over: that is more than goes onto the screen.
    passes: bool,
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
            passes: false,
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
            // Everything else that was asked for holds on.
            if old.live != new.live {
                old.live = new.live;
                self.asks.push(Request::Live { view: self.view, live: new.live });
            }
            return;
        }
        if self.source.is_none() && source.is_none() {
            return;
        }
        let (colors, wrap, times) = (self.colors, self.wrap, self.times);
        let (view, width, height) = (self.view + 1, self.width, self.height);
        let search = self.search.take();
        // What is searched elsewhere is not about what is shown.
        let mut asks = std::mem::take(&mut self.asks);
        asks.retain(|ask| matches!(ask, Request::Elsewhere(_)));
        *self = Pane { view, wrap, times, width, height, source, asks, opened: false, ..Pane::new(colors) };
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
            self.with_match_in_sight(|pane| {
                if pane.width != width {
                    pane.top.part = 0;
                }
                (pane.width, pane.height) = (width, height);
                pane.clamp();
            });
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

    /// The text that is shown, without what is drawn around it: for copying. Whole lines, also where the pane shows a part of them.
    pub fn visible_text(&self) -> String {
        let mut out = String::new();
        let mut above: Option<&Kept> = None;
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

    /// The rows that are on the screen with the part of each, in order.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Kept, usize)> {
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
    fn parts(&self, row: &Kept) -> usize {
        if self.wrap { row.parts(usize::from(self.text_width())) } else { 1 }
    }
}

#[cfg(test)]
mod tests;
