//! Tests of the console as an operator meets it: states are driven through the real core, keys go in, screens come out. Clock and ids are fixed.

mod answering;
mod away;
mod elsewhere;
mod form;
mod frames;
mod glimpse;
mod graph;
mod history;
mod keys;
mod marks;
mod marks_meant;
mod messages;
mod metrics;
mod palette;
mod panes;
mod questions;
mod remapped;
mod rollback;
mod saying;
mod screens;
mod steer;
mod stray;
mod strip;
mod styles;
mod timeline;
mod values;
mod viewer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::TestBackend;
use ratatui::{Frame, Terminal};
use serde_json::json;
use uuid::Uuid;

use crate::engine::{ListedRun, Owner, RunUpdate};
use crate::plan::{FailurePolicy, Hold, Plan, Step};
use crate::run::{
    AgentResult, AlertRules, Command, Durability, Input, Moment, Outcome, Past, Recorded, Registration, Request,
    RunOptions, RunState, StepStatus, advance, preview, register,
};

use super::app::{App, Effect, Event, Settings};
use super::estimate::{Answer, Question};
use super::keys::Key;
use super::run_model::Ownership;
use super::runs_model::PlanEntry;
use super::text::{self, Charset};
use super::theme::{Depth, Glyphs, Role, Theme, ThemeName};
use super::views;
use super::words::Zone;

/// 14:00:00 of the day on which every test happens.
fn start() -> DateTime<Utc> {
    "2026-03-14T14:00:00Z".parse().unwrap()
}

/// A run that is driven through the real core.
#[derive(Clone)]
struct Sim {
    state: RunState,
    events: Vec<Arc<Recorded>>,
    now: DateTime<Utc>,
}

impl Sim {
    fn new(plan: Plan) -> Self {
        Self::numbered(plan, 0x9c41)
    }

    fn numbered(plan: Plan, number: u128) -> Self {
        let now = start();
        let options = RunOptions {
            on_failure: plan.on_failure.unwrap_or(FailurePolicy::Pause),
            max_parallel: plan.max_parallel.unwrap_or(4),
            simulate: false,
            durability: Durability::Full,
            grace_seconds: 10.0,
            working_dir: "/srv/backup".into(),
            output_limit: None,
            plan_path: None,
            variables: Default::default(),
            environment: Default::default(),
        };
        let run_id = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 | number);
        let registration =
            Registration { run_id, plan: Arc::new(plan), options, user: "ann".into(), fork: None, durations: None };
        let events = register(registration, &Moment { now, entropy: 0 });
        let mut sim = Self { state: RunState::from_registration(&events[0]).unwrap(), events, now };
        sim.input(&Input::Opened { version: "0".into(), pid: 1, go_on: true });
        sim
    }

    fn input(&mut self, input: &Input) {
        let moment = Moment { now: self.now, entropy: 0 };
        self.events.extend(advance(&mut self.state, input, &moment).unwrap());
    }

    fn wait(mut self, seconds: i64) -> Self {
        self.now += TimeDelta::seconds(seconds);
        self.input(&Input::Wake);
        self
    }

    fn ask(self, command: Command) -> Self {
        self.because(command, "")
    }

    fn because(mut self, command: Command, reason: &str) -> Self {
        let request = self.request(command, "ann").because(reason);
        self.input(&Input::Request(request));
        self
    }

    /// A request with an id that is the same in every run of the tests.
    fn request(&self, command: Command, user: &str) -> Request {
        Request::new(Uuid::from_u128(u128::from(self.state.seq)), command, user)
    }

    fn end(mut self, step: &str, outcome: Outcome) -> Self {
        let attempt = self.state.step(step).unwrap().1.last_attempt;
        self.input(&Input::AttemptEnded { step: step.into(), attempt, outcome: Arc::new(outcome) });
        self
    }

    fn done(self, step: &str) -> Self {
        self.end(step, Outcome::succeeded())
    }

    fn failed(self, step: &str, exit_code: i32) -> Self {
        let outcome = Outcome { exit_code: Some(exit_code), error: None, ..Outcome::failed("") };
        self.end(step, outcome)
    }

    fn listed(&self) -> ListedRun {
        ListedRun { summary: self.state.summary(), owned: true, ours: true, owner: Owner::default() }
    }
}

fn step(id: &str) -> Step {
    Step { step_id: id.into(), run: Some(format!("./{id}").into()), ..Step::default() }
}

fn skip(id: &str) -> Command {
    Command::Skip { step: id.into() }
}

fn plan(id: &str, title: &str, steps: Vec<Step>) -> Plan {
    let agent = json!({"kind": "command", "command": ["./agent"]});
    let agents = json!({"registry": agent, "shipper": agent});
    let value = json!({"plan_id": id, "title": title, "agents": agents, "steps": []});
    let mut plan: Plan = serde_json::from_value(value).unwrap();
    plan.steps = steps.into_iter().map(Arc::new).collect();
    plan
}

/// The backup of the design's sketch.
fn backup() -> Plan {
    let group = |step: Step, group: &str| Step { parallel_group: Some(group.into()), ..step };
    plan(
        "nightly-backup",
        "Dump, check and ship the database",
        vec![
            Step { timeout_seconds: Some(600.0), name: Some("Dump the orders".into()), ..step("dump") },
            step("compress"),
            group(Step { max_retries: Some(1), ..step("verify") }, "check"),
            group(step("stats"), "check"),
            group(Step { run: None, agent_type: Some("registry".into()), ..step("report") }, "check"),
            Step {
                run: None,
                agent_type: Some("shipper".into()),
                hold: Some(Box::new(Hold::Reason("second pair of eyes".into()))),
                ..step("ship")
            },
            step("notify"),
            step("prune"),
        ],
    )
}

/// Running: two steps done, three side by side.
fn running() -> Sim {
    let result =
        AgentResult { data: Some(json!({"rows": 182_331, "tables": ["orders", "items"]})), ..AgentResult::default() };
    Sim::new(backup())
        .wait(5)
        .ask(Command::Start)
        .wait(42)
        .end("dump", Outcome { result: Some(Box::new(result)), output_bytes: 4096, ..Outcome::default() })
        .wait(8)
        .done("compress")
        .wait(3)
}

/// Paused because a step failed for good; a sibling still runs.
fn failed() -> Sim {
    running().failed("verify", 1).wait(1).wait(3).failed("verify", 1).wait(2).done("report").wait(55)
}

/// At its hold point.
fn held() -> Sim {
    running().because(skip("notify"), "channel is down").done("verify").wait(2).done("stats").done("report").wait(20)
}

fn completed() -> Sim {
    held()
        .because(Command::Release { step: "ship".into() }, "looks right")
        .wait(65)
        .done("ship")
        .wait(4)
        .done("prune")
        .wait(30)
}

fn cancelled() -> Sim {
    let mut sim = running().because(Command::Cancel, "wrong host").wait(2);
    for step in ["verify", "stats", "report"] {
        sim = sim.end(step, Outcome::stopped());
    }
    sim.wait(10)
}

fn settings() -> Settings {
    Settings {
        user: "ann".into(),
        plans_dir: PathBuf::from("plans"),
        checkpoints_dir: PathBuf::from("checkpoints"),
        simulate: false,
        alerts: true,
        alert_rules: AlertRules::default(),
        zone: Zone::Fixed(FixedOffset::east_opt(0).unwrap()),
        attached: None,
        output_path: Arc::new(|run, step, attempt| PathBuf::from(format!("/r/{run}/output/{step}.{attempt}.log"))),
        command_line: Arc::new(|rest| format!("holdpoint {rest}")),
        reachable: true,
        has_shell: true,
    }
}

/// A console with a size, not yet told anything.
fn console(size: (u16, u16)) -> App {
    App::new(settings(), Theme::new(ThemeName::Dark, Depth::True), Glyphs::new(Charset::Unicode), start(), size)
}

/// A console with a run of its own open.
fn open(sim: &Sim, size: (u16, u16)) -> App {
    open_as(sim, size, Ownership::Ours)
}

fn open_as(sim: &Sim, size: (u16, u16), ownership: Ownership) -> App {
    let mut app = console(size);
    app.now = sim.now;
    let mut listed = sim.listed();
    listed.ours = ownership == Ownership::Ours;
    listed.owned = ownership.is_live();
    if let Ownership::Elsewhere(owner) = &ownership {
        listed.owner = owner.clone();
    }
    app.update(Event::RunsListed(Ok((vec![listed], vec![]))), sim.now);
    app.open(sim.state.run_id, ownership == Ownership::Ours);
    let state = Arc::new(sim.state.clone());
    let recent = sim.events.clone();
    let event = match ownership {
        Ownership::Ours => Event::Subscribed { state, recent, storage: None, through: None },
        Ownership::Attached(pid) => Event::Subscribed { state, recent, storage: None, through: Some(pid) },
        Ownership::Elsewhere(owner) => Event::Loaded { state, recent, owner: Some(owner), damage: None },
        Ownership::Nobody => Event::Loaded { state, recent, owner: None, damage: None },
        Ownership::Damaged(damage) => Event::Loaded { state, recent, owner: None, damage: Some(damage) },
    };
    app.update(event, sim.now);
    screen(&mut app);
    app
}

/// What is known of another process that can be spoken to.
fn elsewhere() -> Ownership {
    Ownership::Elsewhere(Owner { pid: Some(4711), address: Some("/run/holdpoint/4711.sock".into()) })
}

fn plan_entry(plan: Plan) -> PlanEntry {
    PlanEntry {
        path: PathBuf::from(format!("plans/{}.json", plan.plan_id)),
        plan_id: plan.plan_id.clone(),
        plan: Some((&plan).into()),
        problems: 0,
        report: String::new(),
    }
}

fn update_of(sim: &Sim) -> Event {
    Event::Summary(Arc::new(RunUpdate { summary: sim.state.summary(), storage: None, open: true }))
}

/// Draws what goes to the terminal, which guards it.
fn draw(app: &App, frame: &mut Frame<'_>) {
    views::draw(app, frame);
    text::guard_buffer(frame.buffer_mut(), app.glyphs.charset());
}

/// Draws the next frame as the runtime does and gives it as text.
fn screen(app: &mut App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    app.prepare();
    find_out(app, &Past::default());
    terminal.draw(|frame| draw(app, frame)).unwrap();
    app.mark_drawn();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..app.size.1 {
        let mut line = String::new();
        let mut covered = 0;
        for x in 0..app.size.0 {
            let symbol = buffer[(x, y)].symbol();
            if covered == 0 {
                line.push_str(symbol);
                covered = super::text::width(symbol).max(1);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Answers what the console asks for its estimate as its task does, with what is known of earlier runs.
fn find_out(app: &mut App, past: &Past) {
    while let Some(question) = app.question.take() {
        let answer = match question {
            Question::Past(summary) => Answer::Past { run: summary.run_id, past: past.clone() },
            other => other.compute().expect("an answer"),
        };
        let now = app.now;
        app.update(Event::Estimated(answer), now);
        app.prepare();
    }
}

/// Presses keys, with a frame after each, as the runtime draws them.
fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for name in keys.split(' ') {
        // The clock stands still, but no key is held.
        app.pressed = None;
        app.typed_on = None;
        effects.extend(press_unseen(app, name));
        screen(app);
        // A yes is one when nothing is typed behind it.
        if let Some(due) = app.agrees_at() {
            effects.extend(app.update(Event::Tick, due));
            screen(app);
        }
    }
    effects
}

/// Types text as whoever does not look at the screen: key by key, a quarter of a second apart, with a frame after each.
fn type_on(app: &mut App, text: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for letter in text.chars() {
        app.now += TimeDelta::milliseconds(250);
        effects.extend(press_unseen(app, if letter == '\n' { "Enter".into() } else { letter.to_string() }.as_str()));
        screen(app);
    }
    effects
}

/// Presses a key without a frame after it.
fn press_unseen(app: &mut App, name: &str) -> Vec<Effect> {
    let (code, modifiers) = match name {
        "Enter" => (KeyCode::Enter, KeyModifiers::NONE),
        "Esc" => (KeyCode::Esc, KeyModifiers::NONE),
        "Tab" => (KeyCode::Tab, KeyModifiers::NONE),
        "Down" => (KeyCode::Down, KeyModifiers::NONE),
        "Up" => (KeyCode::Up, KeyModifiers::NONE),
        "Left" => (KeyCode::Left, KeyModifiers::NONE),
        "Right" => (KeyCode::Right, KeyModifiers::NONE),
        "End" => (KeyCode::End, KeyModifiers::NONE),
        "Backspace" => (KeyCode::Backspace, KeyModifiers::NONE),
        "F2" => (KeyCode::F(2), KeyModifiers::NONE),
        "F4" => (KeyCode::F(4), KeyModifiers::NONE),
        "F8" => (KeyCode::F(8), KeyModifiers::NONE),
        "Home" => (KeyCode::Home, KeyModifiers::NONE),
        "Ctrl-d" => (KeyCode::Char('d'), KeyModifiers::CONTROL),
        "Ctrl-n" => (KeyCode::Char('n'), KeyModifiers::CONTROL),
        "Ctrl-s" => (KeyCode::Char('s'), KeyModifiers::CONTROL),
        "Alt-Enter" => (KeyCode::Enter, KeyModifiers::ALT),
        "Ctrl-r" => (KeyCode::Char('r'), KeyModifiers::CONTROL),
        "Ctrl-t" => (KeyCode::Char('t'), KeyModifiers::CONTROL),
        "Ctrl-u" => (KeyCode::Char('u'), KeyModifiers::CONTROL),
        "PgDn" => (KeyCode::PageDown, KeyModifiers::NONE),
        "Space" => (KeyCode::Char(' '), KeyModifiers::NONE),
        "Ctrl-c" => (KeyCode::Char('c'), KeyModifiers::CONTROL),
        one if one.chars().count() == 1 => (KeyCode::Char(one.chars().next().unwrap()), KeyModifiers::NONE),
        other => panic!("the tests know no key {other}"),
    };
    assert!(name.parse::<Key>().is_ok());
    let now = app.now;
    let effects = app.update(Event::Key(KeyEvent::new(code, modifiers)), now);
    foretell(app, effects)
}

/// Answers what the console asks about effects of commands as the engine does; gives back the other effects.
fn foretell(app: &mut App, effects: Vec<Effect>) -> Vec<Effect> {
    let mut others = Vec::new();
    for effect in effects {
        let Effect::Preview { request, .. } = effect else {
            others.push(effect);
            continue;
        };
        let (id, now) = (request.id, app.now);
        let state = &app.run.as_ref().unwrap().state;
        let result = preview(state, &Input::Request(*request), &Moment { now, entropy: 0 }).map(Box::new);
        app.update(Event::Previewed { request: id, result }, now);
    }
    others
}

/// The one command in some effects, with the step and status it was asked for.
fn sent(effects: &[Effect]) -> (&Command, Option<StepStatus>, Option<&str>) {
    let requests: Vec<&Request> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { request, .. } | Effect::TakeOver { then: request, .. } => Some(request.as_ref()),
            _ => None,
        })
        .collect();
    assert_eq!(requests.len(), 1, "{effects:?}");
    (&requests[0].command, requests[0].seen, requests[0].reason.as_deref())
}

/// The message line.
fn said(app: &App) -> &str {
    app.message.as_ref().map_or("", |message| &message.text)
}

fn progress(app: &mut App, run: Uuid, step: &str, value: f64, message: &str) {
    let notice = crate::engine::Notice::Progress {
        run_id: run,
        step: step.into(),
        attempt: 1,
        value: Some(value),
        message: Some(message.into()),
    };
    let now = app.now;
    app.update(Event::Notice(notice), now);
}

/// Shows lines in the output viewer as its reader would.
fn output(app: &mut App, lines: &[&str]) {
    use super::output::{Answer, Request, Row};
    app.prepare();
    let len: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    let requests = app.output_requests();
    let view =
        requests.iter().find_map(|request| if let Request::Open { view, .. } = request { Some(*view) } else { None });
    let Some(view) = view else { return };
    let now = app.now;
    let state = Answer::State { view, len: Some(len), lines: lines.len() as u64, counted: true, truncated: false };
    app.update(Event::Output(state), now);
    for request in requests.into_iter().chain(app.output_requests()) {
        let Request::Rows { view, place, .. } = request else { continue };
        let mut at = 0;
        let rows = lines
            .iter()
            .enumerate()
            .map(|(place, line)| {
                let start = at;
                at += line.len() as u64 + 1;
                Row {
                    start,
                    end: at,
                    line: super::text::ansi(line.as_bytes()),
                    width: super::text::width(line),
                    continued: false,
                    whole: true,
                    number: Some(place as u64 + 1),
                    stamp: None,
                }
            })
            .collect();
        app.update(Event::Output(Answer::Rows { view, place, rows, covered: 0..len, resume: len, len }), now);
    }
}

/// A plan of many steps.
fn many(number: usize) -> Plan {
    plan("sweep", "Look at every host", (0..number).map(|place| step(&format!("host-{place:06}"))).collect())
}

fn hostile() -> Plan {
    let mut steps = vec![
        Step { name: Some("\u{1b}[2J\u{1b}]0;owned\u{7}gone".into()), ..step("clear") },
        Step { name: Some("\u{202e}gpj.exe".into()), ..step("turn") },
        Step { name: Some("漢字かな交じりの長い長い長い長い長い名前".into()), ..step("wide") },
        Step { name: Some("new\nline\ttab".into()), ..step("lines") },
    ];
    steps[0].metadata.insert("note".into(), json!("\u{9b}31m\u{1b}]52;c;aGk=\u{7}"));
    plan("hostile", "\u{1b}]8;;http://x\u{7}title\u{1b}[31m", steps)
}

fn statuses() -> BTreeMap<&'static str, Sim> {
    BTreeMap::from([
        ("running", running()),
        ("failed", failed()),
        ("held", held()),
        ("completed", completed()),
        ("cancelled", cancelled()),
    ])
}
