//! A frame: from what has happened since the last one to the bytes for the terminal. Frames come sixty a second, as under load, and between them
//! happens what happens in a sixtieth of a second.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use holdpoint::console::app::{App, Event, Settings};
use holdpoint::console::output::Reader;
use holdpoint::console::text::{self, Charset};
use holdpoint::console::theme::{Depth, Glyphs, Theme, ThemeName};
use holdpoint::console::words::Zone;
use holdpoint::console::{estimate, views};
use holdpoint::engine::{self, EngineHandle, ListedRun, Notice, Owner, RunUpdate};
use holdpoint::plan::Plan;
use holdpoint::run::{
    self, AlertRules, Command, Durability, Input, Moment, Outcome, Recorded, Registration, RunState, RunSummary,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use uuid::Uuid;

use crate::common::{empty, engine_in, folder, options, picked, runtime};
use crate::percentile;

const STEPS: usize = 100_000;
const RUNS: usize = 1_000;
/// Lines a second.
const LINES: usize = 10_000;
/// Steps that end, and runs that change, a second.
const CHANGES: usize = 1_000;
const FRAME: Duration = Duration::from_millis(16);
/// Frames of each row.
const FRAMES: usize = 1_000;
const SIZES: [(u16, u16); 3] = [(80, 24), (160, 45), (300, 90)];

/// What happens while frames are measured.
#[derive(Clone, Copy, Default)]
struct Load {
    steps: bool,
    runs: bool,
    output: bool,
}

pub fn measure() {
    const ALL: Load = Load { steps: true, runs: true, output: true };
    let rows: [(&str, Load, &str); 10] = [
        ("steps", Load { steps: true, ..Load::default() }, ""),
        ("runs", Load { runs: true, ..Load::default() }, ""),
        ("output", Load { output: true, ..Load::default() }, ""),
        ("all", ALL, ""),
        ("all-by-stage", ALL, "vv"),
        ("all-filtered", ALL, "/s0\n"),
        ("all-timeline", ALL, "T"),
        ("all-graph", ALL, "D"),
        ("all-metrics", ALL, "M"),
        ("all-palette", ALL, ":"),
    ];
    let named = |name: &str| format!("frames-{name}");
    if !rows.iter().any(|(name, ..)| picked(&named(name))) {
        return;
    }
    println!("{STEPS} steps, {RUNS} runs, {LINES} lines a second, {CHANGES} changes a second of each; aim: p99 ≤ 4 ms");
    println!(
        "{:<24} {:>8} {:>9} {:>9} {:>9} {:>11} {:>12} {:>12}",
        "row", "size", "median", "p99", "worst", "p99 of CPU", "bytes median", "bytes p99"
    );
    for (name, load, keys) in rows.into_iter().filter(|(name, ..)| picked(&named(name))) {
        for size in SIZES {
            row(&named(name), load, keys, size);
        }
    }
}

fn row(name: &str, load: Load, keys: &str, size: (u16, u16)) {
    let mut field = Field::new(load, size);
    field.settle();
    for key in keys.chars() {
        field.press(key);
    }
    let mut found = Vec::new();
    for frame in 0..FRAMES {
        let due = Instant::now() + FRAME;
        found.push(field.frame(frame));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let of =
        |figure: fn(&Cost) -> f64, of_hundred| percentile(&found.iter().map(figure).collect::<Vec<_>>(), of_hundred);
    println!(
        "{name:<24} {:>8} {:>6.2} ms {:>6.2} ms {:>6.2} ms {:>8.2} ms {:>12.0} {:>12.0}",
        format!("{}x{}", size.0, size.1),
        of(|cost| cost.time, 50.0),
        of(|cost| cost.time, 99.0),
        of(|cost| cost.time, 100.0),
        of(|cost| cost.processor, 99.0),
        of(|cost| cost.bytes, 50.0),
        of(|cost| cost.bytes, 99.0),
    );
}

/// What a frame cost: milliseconds that passed, milliseconds on a processor, bytes.
struct Cost {
    time: f64,
    processor: f64,
    bytes: f64,
}

struct Field {
    app: App,
    load: Load,
    terminal: Terminal<CrosstermBackend<Sink>>,
    bytes: Rc<Cell<u64>>,
    core: Core,
    runs: Vec<RunSummary>,
    output: File,
    written: u64,
    reader: Reader,
    sender: Sender<Event>,
    events: Receiver<Event>,
    runtime: tokio::runtime::Runtime,
    handle: EngineHandle,
    // Removed at the end.
    _dir: tempfile::TempDir,
}

impl Field {
    fn new(load: Load, size: (u16, u16)) -> Self {
        let dir = folder();
        let path = dir.path().join("output.log");
        let output = File::create(&path).expect("a file");
        let (sender, events) = channel();
        let answers = sender.clone();
        let reader = Reader::spawn(|_| None, move |answer| answers.send(Event::Output(answer)).is_ok());
        let runtime = runtime();
        let handle = runtime.block_on(async { engine_in(dir.path()) });
        let bytes = Rc::new(Cell::new(0));
        let backend = CrosstermBackend::new(Sink(Rc::clone(&bytes)));
        let area = Rect::new(0, 0, size.0, size.1);
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport: Viewport::Fixed(area) });
        let theme = Theme::new(ThemeName::Dark, Depth::True);
        let app = App::new(settings(dir.path(), path), theme, Glyphs::new(Charset::Unicode), Utc::now(), size);
        let core = Core::new(if load.steps { STEPS } else { 20 });
        let other = Core::new(20).state.summary();
        let runs = (0..RUNS as u128).map(|n| RunSummary { run_id: Uuid::from_u128(n + 1), ..other.clone() });
        let runs: Vec<RunSummary> = if load.runs { runs.collect() } else { Vec::new() };
        let reader = reader.expect("the reader starts");
        let terminal = terminal.expect("a terminal");
        Self {
            app,
            load,
            terminal,
            bytes,
            core,
            runs,
            output,
            written: 0,
            reader,
            sender,
            events,
            runtime,
            handle,
            _dir: dir,
        }
    }

    /// Opens what is looked at, and lets the first estimate be made.
    fn settle(&mut self) {
        let now = Utc::now();
        let listed = |summary: &RunSummary| ListedRun {
            summary: summary.clone(),
            owned: true,
            ours: true,
            owner: Owner::default(),
        };
        let open = self.core.state.summary();
        let runs = self.runs.iter().chain([&open]).map(listed).collect();
        self.app.update(Event::RunsListed(Ok((runs, Vec::new()))), now);
        self.app.update(Event::PlansListed(Vec::new()), now);
        if self.load.steps || self.load.output {
            self.app.open(open.run_id, true);
            let state = Arc::new(self.core.state.clone());
            self.app.update(Event::Subscribed { state, recent: Vec::new(), storage: None, through: None }, now);
            // The step that goes on to the end, and prints.
            self.press('g');
        }
        for _ in 0..40 {
            self.draw();
            self.ask();
            std::thread::sleep(Duration::from_millis(5));
            self.take_in();
        }
    }

    fn press(&mut self, key: char) {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        self.app.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), Utc::now());
        self.draw();
        self.ask();
    }

    fn take_in(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.app.update(event, Utc::now());
        }
    }

    /// One frame, and what it cost.
    fn frame(&mut self, frame: usize) -> Cost {
        let happened = self.happens(frame);
        self.bytes.set(0);
        let (started, on_processor) = (Instant::now(), processor_ms());
        for event in happened {
            self.app.update(event, Utc::now());
        }
        self.take_in();
        self.draw();
        let (time, processor) = (started.elapsed().as_secs_f64() * 1e3, processor_ms() - on_processor);
        self.ask();
        Cost { time, processor, bytes: self.bytes.get() as f64 }
    }

    /// As the runtime draws a frame.
    fn draw(&mut self) {
        self.app.prepare();
        let app = &self.app;
        let drawn = self.terminal.draw(|frame| {
            views::draw(app, frame);
            text::guard_buffer(frame.buffer_mut(), Charset::Unicode);
        });
        drawn.expect("a sink takes everything");
        self.app.mark_drawn();
        self.app.title();
    }

    /// As the runtime asks for what the frame is without.
    fn ask(&mut self) {
        for request in self.app.output_requests() {
            if !self.reader.request(request.clone()) {
                self.app.output.refused(request);
            }
        }
        if let Some(question) = self.app.question.take() {
            let (handle, sender) = (self.handle.clone(), self.sender.clone());
            self.runtime.spawn(async move {
                if let Some(answer) = estimate::answer(&handle, question).await {
                    // The row may be over.
                    let _ = sender.send(Event::Estimated(answer));
                }
            });
        }
    }

    /// What happens between two frames.
    fn happens(&mut self, frame: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let changes = CHANGES * FRAME.as_millis() as usize / 1000;
        if self.load.steps {
            for _ in 0..changes {
                events.push(Event::Batch { run: self.core.state.run_id, batch: Arc::new(self.core.step()).into() });
            }
        }
        if self.load.runs {
            for place in 0..changes {
                let place = (frame * changes + place) % self.runs.len();
                let summary = &mut self.runs[place];
                summary.seq += 1;
                summary.updated_at = Utc::now();
                let update = RunUpdate { summary: summary.clone(), storage: None, open: true };
                events.push(Event::Summary(Arc::new(update)));
            }
        }
        if self.load.output {
            for line in 0..LINES * FRAME.as_millis() as usize / 1000 {
                let line = format!("frame {frame}, line {line}: \x1b[32mok\x1b[0m, and what it was about\n");
                self.output.write_all(line.as_bytes()).expect("the output is written");
                self.written += line.len() as u64;
            }
            let (run_id, step) = (self.core.state.run_id, self.core.printing.clone());
            events.push(Event::Notice(Notice::Output { run_id, step, attempt: 1, bytes: self.written }));
        }
        if frame.is_multiple_of(60) {
            events.push(Event::Tick);
        }
        events
    }
}

/// The clock of this thread on a processor.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the system says how long a thread ran");
    let nanos: u64 = stat.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    nanos as f64 / 1e6
}

fn settings(root: &Path, output: PathBuf) -> Settings {
    Settings {
        user: "bench".into(),
        plans_dir: root.join("plans"),
        checkpoints_dir: root.to_path_buf(),
        simulate: false,
        alerts: true,
        alert_rules: AlertRules::default(),
        zone: Zone::Local,
        attached: None,
        output_path: Arc::new(move |_, _, _| output.clone()),
        command_line: Arc::new(|rest| format!("holdpoint {rest}")),
        reachable: true,
        has_shell: true,
    }
}

/// A run that goes on through the real core: sixteen chains side by side, of which the first one's first step prints and never ends.
struct Core {
    state: RunState,
    live: VecDeque<(String, u32)>,
    printing: String,
}

impl Core {
    fn new(steps: usize) -> Self {
        let registration = Registration {
            run_id: Uuid::from_u128(u128::MAX),
            plan: Arc::new(chains(steps)),
            options: options(Durability::Relaxed),
            user: "bench".into(),
            fork: None,
            durations: None,
        };
        let moment = Moment { now: Utc::now(), entropy: 0 };
        let first = run::register(registration, &moment);
        let state = RunState::from_registration(&first[0]).expect("a run begins with its registration");
        let mut core = Self { state, live: VecDeque::new(), printing: String::new() };
        core.advance(&Input::Opened { version: "0".into(), pid: 1, go_on: true });
        core.advance(&Input::Request(engine::request(Command::Start, "bench")));
        core.printing = core.live.pop_front().expect("steps run").0;
        core
    }

    fn advance(&mut self, input: &Input) -> Vec<Arc<Recorded>> {
        let moment = Moment { now: Utc::now(), entropy: 0 };
        let batch: Vec<Arc<Recorded>> = run::advance(&mut self.state, input, &moment).expect("nothing is refused");
        for recorded in &batch {
            if let run::Event::AttemptStarted { step, attempt, .. } = &recorded.event {
                self.live.push_back((step.clone(), *attempt));
            }
        }
        batch
    }

    /// A step ends, and the next one starts.
    fn step(&mut self) -> Vec<Arc<Recorded>> {
        let Some((step, attempt)) = self.live.pop_front() else { return Vec::new() };
        self.advance(&Input::AttemptEnded { step, attempt, outcome: Arc::new(Outcome::succeeded()) })
    }
}

fn chains(steps: usize) -> Plan {
    let mut plan = empty(steps);
    for place in 0..steps {
        let before = place.checked_sub(16).map(|before| plan.steps[before].step_id.clone());
        Arc::make_mut(&mut plan.steps[place]).depends_on = Some(before.into_iter().collect());
    }
    plan
}

/// Takes everything and counts it.
struct Sink(Rc<Cell<u64>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
