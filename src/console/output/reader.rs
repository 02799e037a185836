//! The thread that owns the output files.
//!
//! It reads what is asked for, counts lines and searches in the background in small steps between requests, and looks at the length of a live file a few
//! times a second in case nobody told of its growth.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::text::Line;

use super::file::{BREAK, OutputFile};
use super::search::Search;
use crate::console::text::{Ansi, Colors, width};
use crate::engine::open_output;

/// How often the length of a live file is looked at.
const POLL: Duration = Duration::from_millis(250);

/// The most bytes one answer's rows are made from.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// How far before the first row asked for styles are looked for: colours switched on earlier than that are not seen.
const STYLE_LOOKBACK: u64 = 64 * 1024;

/// Blocks counted between two looks at the requests.
const COUNT_STEP: usize = 4;

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A remark of holdpoint itself.
    Remark,
}

/// Says when and from where a byte of output came: the index beside the output file, behind a trait so that the viewer works without.
pub trait Stamps: Send {
    /// The stamp of the byte at `offset`, if it is known.
    fn at(&mut self, offset: u64) -> Option<(DateTime<Utc>, Stream)>;
}

/// Opens the index that belongs to an output file, if there is one.
pub type OpenStamps = fn(&Path) -> Option<Box<dyn Stamps>>;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The output file.
    pub path: PathBuf,
    /// Whether it may still grow.
    pub live: bool,
}

/// Where rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The last ones.
    End,
    /// From the row that holds this byte on, and as many before it.
    Around(u64),
    /// From this row start on.
    From(u64),
    /// Those that end before this row start.
    Before(u64),
}

/// What the reader is asked to do. `view` says for whom: answers for a view that shows something else by now are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Read this file from now on.
    Open {
        /// For whom.
        view: u64,
        /// What to read.
        source: Source,
        /// Whether colours are kept.
        colors: Colors,
    },
    /// Give rows.
    Rows {
        /// For whom.
        view: u64,
        /// Where.
        place: Place,
        /// How many at the most.
        count: usize,
    },
    /// The file does not grow any more.
    Ended {
        /// For whom.
        view: u64,
    },
    /// Give the place of a line, numbered from 1.
    Line {
        /// For whom.
        view: u64,
        /// Which.
        number: u64,
    },
    /// Find the next match and count all of them. An empty pattern ends the search.
    Search {
        /// For whom.
        view: u64,
        /// Plain text; upper and lower case are the same unless it has upper case.
        pattern: String,
        /// From which byte on.
        from: u64,
        /// Towards the end.
        forward: bool,
    },
    /// Close the file.
    Close,
}

/// One row of output: a line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it starts in the file.
    pub start: u64,
    /// Where the next one starts.
    pub end: u64,
    /// Its text: clean, with its colours.
    pub line: Line<'static>,
    /// The cells of the text.
    pub width: usize,
    /// It goes on the line of the row above.
    pub continued: bool,
    /// Its end is there; otherwise it may still grow.
    pub whole: bool,
    /// Number of its line, from 1, once so much is counted.
    pub number: Option<u64>,
    /// When it came and from where.
    pub stamp: Option<(DateTime<Utc>, Stream)>,
}

/// What the reader has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The file as it is now. Said after opening, and when something has changed.
    State {
        /// For whom.
        view: u64,
        /// Bytes; `None` when there is no file.
        len: Option<u64>,
        /// Lines counted so far.
        lines: u64,
        /// Whether all are counted.
        counted: bool,
        /// It has become shorter: everything read before is void.
        truncated: bool,
    },
    /// Rows that were asked for.
    Rows {
        /// For whom.
        view: u64,
        /// Where they were wanted.
        place: Place,
        /// The rows, in order; each starts where the one before ends.
        rows: Vec<Row>,
        /// Bytes of the file when they were read.
        len: u64,
    },
    /// Where the line is that was asked for.
    Line {
        /// For whom.
        view: u64,
        /// Its first byte.
        offset: u64,
    },
    /// The next match, or none.
    Found {
        /// For whom.
        view: u64,
        /// Its first byte; `None` when there is none in the whole file.
        offset: Option<u64>,
        /// The search went past an end of the file to find it.
        wrapped: bool,
    },
    /// Matches counted so far.
    Matches {
        /// For whom.
        view: u64,
        /// How many.
        count: u64,
        /// Whether the whole file is searched.
        done: bool,
    },
    /// The file cannot be read.
    Failed {
        /// For whom.
        view: u64,
        /// Why.
        error: String,
    },
}

/// The other end of the reader's thread, which ends when this is dropped.
#[derive(Debug, Clone)]
pub struct Reader {
    requests: SyncSender<Request>,
}

impl Reader {
    /// Starts the thread. `send` hands an answer to the console and may wait for room; `false` ends the thread.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn spawn(stamps: OpenStamps, send: impl FnMut(Answer) -> bool + Send + 'static) -> io::Result<Reader> {
        let (requests, receiver) = sync_channel(64);
        let worker = Worker { send: Box::new(send), stamps, open: None };
        thread::Builder::new().name("output-reader".to_owned()).spawn(move || worker.run(&receiver))?;
        Ok(Reader { requests })
    }

    /// Hands a request over without waiting. `false` when there was no room: ask again later.
    pub fn request(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }
}

struct Worker {
    send: Box<dyn FnMut(Answer) -> bool + Send>,
    stamps: OpenStamps,
    open: Option<Open>,
}

struct Open {
    view: u64,
    source: Source,
    colors: Colors,
    file: Option<OutputFile>,
    stamps: Option<Box<dyn Stamps>>,
    counting: bool,
    search: Option<Search>,
    said: Option<Answer>,
}

/// The console is gone.
struct Gone;

impl Worker {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let request = match &self.open {
                Some(open) if open.busy() => match requests.try_recv() {
                    Ok(request) => Some(request),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                },
                Some(open) if open.source.live => match requests.recv_timeout(POLL) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                _ => match requests.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                },
            };
            let done = match request {
                Some(request) => self.answer(request),
                None => self.background(),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn say(&mut self, answer: Answer) -> Result<(), Gone> {
        if (self.send)(answer) { Ok(()) } else { Err(Gone) }
    }

    fn answer(&mut self, request: Request) -> Result<(), Gone> {
        let view = match request {
            Request::Close => {
                self.open = None;
                return Ok(());
            }
            Request::Open { view, source, colors } => {
                self.open = Some(Open {
                    view,
                    source,
                    colors,
                    file: None,
                    stamps: None,
                    counting: true,
                    search: None,
                    said: None,
                });
                return self.refresh();
            }
            Request::Rows { view, .. }
            | Request::Ended { view }
            | Request::Line { view, .. }
            | Request::Search { view, .. } => view,
        };
        if self.open.as_ref().is_none_or(|open| open.view != view) {
            return Ok(());
        }
        self.refresh()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let result = match request {
            Request::Rows { place, count, .. } => open.rows(place, count, self.stamps).map(Some),
            Request::Line { number, .. } => open.line(number).map(Some),
            Request::Ended { .. } => {
                open.source.live = false;
                Ok(None)
            }
            Request::Search { pattern, from, forward, .. } => {
                open.search = Search::new(open.search.take(), &pattern, from, forward);
                Ok(None)
            }
            Request::Open { .. } | Request::Close => Ok(None),
        };
        match result {
            Ok(Some(answer)) => self.say(answer),
            Ok(None) => Ok(()),
            Err(error) => self.say(Answer::Failed { view, error: error.to_string() }),
        }
    }

    /// Looks at the file again and tells what has changed.
    fn refresh(&mut self) -> Result<(), Gone> {
        let Some(open) = &mut self.open else { return Ok(()) };
        match open.refresh() {
            Ok(Some(state)) => self.say(state),
            Ok(None) => Ok(()),
            Err(error) => {
                let view = open.view;
                // Once; a file that cannot be read is not tried again until it is opened again.
                open.source.live = false;
                self.say(Answer::Failed { view, error: error.to_string() })
            }
        }
    }

    fn background(&mut self) -> Result<(), Gone> {
        let busy = match &mut self.open {
            Some(open) if open.busy() => Some(open.step()),
            _ => None,
        };
        match busy {
            None => self.refresh(),
            Some(Ok(answers)) => {
                for answer in answers {
                    self.say(answer)?;
                }
                Ok(())
            }
            Some(Err(error)) => {
                let Some(open) = &mut self.open else { return Ok(()) };
                open.counting = false;
                open.search = None;
                let view = open.view;
                self.say(Answer::Failed { view, error: error.to_string() })
            }
        }
    }
}

impl Open {
    /// Whether there is work to do without being asked.
    fn busy(&self) -> bool {
        self.file.is_some() && (self.counting || self.search.as_ref().is_some_and(Search::busy))
    }

    fn refresh(&mut self) -> io::Result<Option<Answer>> {
        let mut truncated = false;
        match &mut self.file {
            None => match open_output(&self.source.path) {
                Ok(file) => self.file = Some(OutputFile::new(file)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
            Some(file) => {
                let before = file.len();
                truncated = file.refresh()?;
                if file.len() != before {
                    self.counting = true;
                    if let Some(search) = &mut self.search {
                        search.grown(truncated);
                    }
                }
            }
        }
        let state = self.state(truncated)?;
        if self.said.as_ref() == Some(&state) {
            return Ok(None);
        }
        self.said = Some(state.clone());
        Ok(Some(state))
    }

    fn state(&mut self, truncated: bool) -> io::Result<Answer> {
        let (len, (lines, counted)) = match &mut self.file {
            None => (None, (0, true)),
            Some(file) => (Some(file.len()), file.lines()?),
        };
        Ok(Answer::State { view: self.view, len, lines, counted, truncated })
    }

    /// A piece of the background work, a few milliseconds.
    fn step(&mut self) -> io::Result<Vec<Answer>> {
        let view = self.view;
        let mut answers = Vec::new();
        let Some(file) = &mut self.file else { return Ok(answers) };
        if let Some(search) = self.search.as_mut().filter(|s| s.busy()) {
            // A search is waited for; counting is not.
            answers.extend(search.step(file, view)?);
            return Ok(answers);
        }
        for _ in 0..COUNT_STEP {
            self.counting = file.count_more()?;
            if !self.counting {
                let state = self.state(false)?;
                if self.said.as_ref() != Some(&state) {
                    self.said = Some(state.clone());
                    answers.push(state);
                }
                break;
            }
        }
        Ok(answers)
    }

    fn line(&mut self, number: u64) -> io::Result<Answer> {
        let offset = match &mut self.file {
            Some(file) => {
                // Asked for by a person: worth the wait of a count to there.
                while file.lines()?.0 < number && file.count_more()? {}
                file.offset_of_line(number.saturating_sub(1))?
            }
            None => 0,
        };
        Ok(Answer::Line { view: self.view, offset })
    }

    fn rows(&mut self, place: Place, count: usize, open_stamps: OpenStamps) -> io::Result<Answer> {
        let view = self.view;
        let Some(file) = &mut self.file else { return Ok(Answer::Rows { view, place, rows: Vec::new(), len: 0 }) };
        if self.stamps.is_none() {
            self.stamps = open_stamps(&self.source.path);
        }
        let (start, end) = match place {
            Place::End => (back(file, file.len(), count)?, file.len()),
            Place::Around(offset) => {
                let row = file.row_at(offset)?;
                (back(file, row, count)?, file.len())
            }
            Place::From(offset) => (offset, file.len()),
            Place::Before(offset) => (back(file, offset, count)?, offset),
        };
        let count = if matches!(place, Place::Around(_)) { count.saturating_mul(2) } else { count };
        let starts_at = match place {
            Place::Around(offset) => offset,
            _ => start,
        };

        let mut ansi = Ansi::new(self.colors);
        let mut at = if start == 0 { 0 } else { file.row_at(start.saturating_sub(STYLE_LOOKBACK))? };
        while at < start {
            let (next, _) = file.next_start(at)?;
            ansi.skip(file.bytes(at..next)?);
            if next <= at {
                break;
            }
            at = next;
        }

        // What came since the last look is counted at once, a large file in the background.
        for _ in 0..COUNT_STEP {
            if !file.count_more()? {
                break;
            }
        }
        let mut number = file.line_of(start)?.map(|n| n + 1);
        let mut rows = Vec::new();
        let mut at = start;
        while at < end && rows.len() < count && (at - start <= MAX_ANSWER_BYTES || at <= starts_at) {
            let (next, whole) = file.next_start(at)?;
            if next <= at {
                break;
            }
            let continued = file.continues(at)?;
            if !rows.is_empty() && !continued {
                number = number.map(|n| n + 1);
            }
            let line = ansi.line(file.bytes(at..next)?);
            let width = line.spans.iter().map(|s| width(&s.content)).sum();
            let stamp = self.stamps.as_mut().and_then(|s| s.at(at));
            rows.push(Row { start: at, end: next, line, width, continued, whole, number, stamp });
            at = next;
        }
        Ok(Answer::Rows { view, place, rows, len: file.len() })
    }
}

/// The start of the row that is `count` rows before `offset`, or as many as an answer may hold.
fn back(file: &mut OutputFile, offset: u64, count: usize) -> io::Result<u64> {
    let mut start = offset;
    for _ in 0..count {
        if start == 0 || offset - start >= MAX_ANSWER_BYTES - 2 * BREAK {
            break;
        }
        start = file.prev_start(start)?;
    }
    Ok(start)
}
