//! The thread that owns the output files.
//!
//! It reads what is asked for, counts lines and searches in the background in small steps between requests, and looks at the length of a live file a few
//! times a second in case nobody told of its growth.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ratatui::text::Line;

use super::elsewhere::{Elsewhere, Job, Told};
use super::file::OutputFile;
use super::query::Pattern;
use super::rows::{MAX_TEXT, all, passing, render, text};
use super::search::{Find, Hit, Said, Search, Spot};
use super::sift::Sifter;
use crate::console::text::Colors;
use crate::engine::open_output;

/// How often the length of a live file is looked at.
const POLL: Duration = Duration::from_millis(250);

/// Blocks counted between two looks at the requests.
const COUNT_STEP: usize = 4;

/// How long a look through the file takes between two looks at the requests, about.
pub(super) const TURN: Duration = Duration::from_millis(8);

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

/// What is to be found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// From where.
    pub from: Spot,
    /// Towards the end.
    pub forward: bool,
    /// When there is nothing up to the end, from the other end on.
    pub wrap: bool,
}

/// Why a text is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untold {
    /// It is longer than this.
    TooLong(usize),
    /// The file cannot be read.
    Failed(String),
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
    /// The file may grow again, or does not grow any more.
    Live {
        /// For whom.
        view: u64,
        /// Whether it may.
        live: bool,
    },
    /// Give the place of a line, numbered from 1.
    Line {
        /// For whom.
        view: u64,
        /// Which.
        number: u64,
    },
    /// Search for something else, or for nothing; count all of it, and find the next.
    Search {
        /// For whom.
        view: u64,
        /// What.
        pattern: Option<Pattern>,
        /// Where from, if one is to be found.
        find: Option<Wanted>,
    },
    /// Give only lines with this from now on, or all of them.
    Show {
        /// For whom from now on: what is on its way of the lines before is for nobody.
        view: u64,
        /// What they have.
        filter: Option<Pattern>,
    },
    /// Give the text of the lines that are shown, from the row that starts here up to the one that starts there.
    Text {
        /// For whom.
        view: u64,
        /// The start of the first row.
        from: u64,
        /// The end of the last row.
        to: u64,
    },
    /// Search through other outputs.
    Elsewhere(Elsewhere),
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
        /// The rows, in order; where all lines are shown, each starts where the one before ends.
        rows: Vec<Row>,
        /// The part of the file of which these are all the rows. More may be wanted of what is behind it or before.
        covered: Range<u64>,
        /// Where to read on when the file has grown: the start of a last row that has no end yet, else the end of what is covered.
        resume: u64,
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
        /// Where; `None` when there is none up to the end that was searched to.
        hit: Option<Hit>,
        /// The search went past an end of the file to find it.
        wrapped: bool,
    },
    /// Matches counted so far.
    Matches {
        /// For whom.
        view: u64,
        /// Which of them was found last, from 1, once that is known.
        current: Option<u64>,
        /// How many.
        count: u64,
        /// Whether the whole file is searched.
        done: bool,
    },
    /// Lines counted so far that are shown.
    Showing {
        /// For whom.
        view: u64,
        /// How many.
        count: u64,
        /// Whether the whole file is looked through.
        done: bool,
    },
    /// The text that was asked for.
    Text {
        /// For whom.
        view: u64,
        /// The text and its lines, or why there is none.
        result: Result<String, Untold>,
    },
    /// What there is in other outputs.
    Elsewhere(Told),
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
        let worker = Worker { send: Box::new(send), stamps, open: None, elsewhere: None, sifter: Sifter::default() };
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
    elsewhere: Option<Job>,
    sifter: Sifter,
}

struct Open {
    view: u64,
    source: Source,
    colors: Colors,
    file: Option<OutputFile>,
    stamps: Option<Box<dyn Stamps>>,
    counting: bool,
    search: Search,
    said: Option<Answer>,
}

/// The console is gone.
struct Gone;

impl Worker {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let busy = self.elsewhere.is_some() || self.open.as_ref().is_some_and(Open::busy);
            let live = self.open.as_ref().is_some_and(|open| open.source.live);
            let request = if busy {
                match requests.try_recv() {
                    Ok(request) => Some(request),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else if live {
                match requests.recv_timeout(POLL) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match requests.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                }
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
                    search: Search::default(),
                    said: None,
                });
                return self.refresh();
            }
            Request::Elsewhere(wanted) => {
                self.elsewhere = Some(Job::new(wanted));
                return Ok(());
            }
            Request::Show { view, filter } => {
                if let Some(open) = &mut self.open {
                    open.view = view;
                    open.search.show(filter);
                }
                return Ok(());
            }
            Request::Rows { view, .. }
            | Request::Live { view, .. }
            | Request::Line { view, .. }
            | Request::Text { view, .. }
            | Request::Search { view, .. } => view,
        };
        if self.open.as_ref().is_none_or(|open| open.view != view) {
            return Ok(());
        }
        self.refresh()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let result = match request {
            Request::Rows { place, count, .. } => open.rows(place, count, self.stamps, &mut self.sifter).map(Some),
            Request::Line { number, .. } => open.line(number).map(Some),
            Request::Text { from, to, .. } => Ok(Some(open.text(from, to, &mut self.sifter))),
            Request::Live { live, .. } => {
                open.source.live = live;
                // Whoever was told that it cannot be read is told when it can.
                open.said = None;
                Ok(None)
            }
            Request::Search { pattern, find, .. } => {
                open.search.look_for(pattern);
                if let Some(Wanted { from, forward, wrap }) = find {
                    open.search.find(Find::new(from, forward, wrap));
                }
                Ok(None)
            }
            Request::Open { .. } | Request::Show { .. } | Request::Elsewhere(_) | Request::Close => Ok(None),
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
                // Once; a file that cannot be read is not tried again until it is said to be live once more.
                open.source.live = false;
                self.say(Answer::Failed { view, error: error.to_string() })
            }
        }
    }

    /// What is waited for first: the next match here, then elsewhere; what is only counted comes last.
    fn background(&mut self) -> Result<(), Gone> {
        let waited_for = self.open.as_ref().is_some_and(|open| open.busy() && open.search.is_waited_for());
        if let Some(job) = self.elsewhere.as_mut().filter(|_| !waited_for) {
            let here = self.open.as_ref().is_some_and(Open::busy);
            if job.is_waited_for() || !here {
                let Some(told) = job.step(&mut self.sifter, Instant::now() + TURN) else { return Ok(()) };
                self.elsewhere = None;
                return self.say(Answer::Elsewhere(told));
            }
        }
        let busy = match &mut self.open {
            Some(open) if open.busy() => Some(open.step(&mut self.sifter)),
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
                open.search.give_up();
                let view = open.view;
                self.say(Answer::Failed { view, error: error.to_string() })
            }
        }
    }
}

impl Open {
    /// Whether there is work to do without being asked.
    fn busy(&self) -> bool {
        self.file.is_some() && (self.counting || self.search.busy())
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
                    self.search.grown(truncated);
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
    fn step(&mut self, sifter: &mut Sifter) -> io::Result<Vec<Answer>> {
        let view = self.view;
        let mut answers = Vec::new();
        let Some(file) = &mut self.file else { return Ok(answers) };
        if self.search.busy() {
            // A search is waited for; counting is not.
            let until = Instant::now() + TURN;
            let (mut matches, mut showing) = (None, None);
            while self.search.busy() && Instant::now() < until {
                match self.search.step(file, sifter)? {
                    Some(Said::Found(hit, wrapped)) => {
                        answers.push(Answer::Found { view, hit, wrapped });
                        break;
                    }
                    Some(Said::Hits(current, count, done)) => {
                        matches = Some(Answer::Matches { view, current, count, done });
                    }
                    Some(Said::Lines(count, done)) => showing = Some(Answer::Showing { view, count, done }),
                    None => {}
                }
            }
            answers.extend(matches.into_iter().chain(showing));
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

    /// The text of the rows that are shown of a part of the file.
    fn text(&mut self, from: u64, to: u64, sifter: &mut Sifter) -> Answer {
        let view = self.view;
        let result = match &mut self.file {
            None => Ok(String::new()),
            Some(file) => text(file, &self.search, from, to, sifter)
                .map_err(|error| Untold::Failed(error.to_string()))
                .and_then(|text| text.ok_or(Untold::TooLong(MAX_TEXT))),
        };
        Answer::Text { view, result }
    }

    fn rows(&mut self, place: Place, count: usize, open_stamps: OpenStamps, sifter: &mut Sifter) -> io::Result<Answer> {
        let view = self.view;
        let Some(file) = &mut self.file else {
            return Ok(Answer::Rows { view, place, rows: Vec::new(), covered: 0..0, resume: 0, len: 0 });
        };
        if self.stamps.is_none() {
            self.stamps = open_stamps(&self.source.path);
        }
        // What came since the last look is counted at once, a large file in the background.
        for _ in 0..COUNT_STEP {
            if !file.count_more()? {
                break;
            }
        }
        let (spans, covered) = match self.search.sieve.filter {
            None => all(file, place, count)?,
            Some(_) => passing(file, &self.search, sifter, place, count)?,
        };
        let resume = if covered.end >= file.len() && file.len() > 0 && file.continues(file.len())? {
            file.row_at(file.len())?
        } else {
            covered.end
        };
        let rows = render(file, &spans, self.colors, self.stamps.as_deref_mut())?;
        Ok(Answer::Rows { view, place, rows, covered, resume, len: file.len() })
    }
}
