//! The numbers of a run: what became of its time as small charts, and how its agents do.

use chrono::TimeDelta;
use ratatui::layout::Rect;

use crate::run::{AgentHealth, Health, Metrics, RunStatus, Standstill, StepStatus};

use super::super::app::App;
use super::super::metrics;
use super::super::run_model::OpenRun;
use super::super::theme::Role;
use super::super::{text, timeline, words};
use super::paint::Brush;
use super::{footer, header};

/// Where things are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Areas {
    /// The heading.
    pub title: Rect,
    /// The charts, names and numbers beside them.
    pub charts: Rect,
    /// Rows of one chart.
    pub tall: u16,
    /// The heading of the agents.
    pub headings: Rect,
    /// The agents.
    pub rows: Rect,
    /// What is said of the selected one.
    pub facts: Rect,
}

/// Before a chart: what it shows, and how often that was.
const NAME: u16 = 15;
const TOTAL: u16 = 9;
/// Behind it: the most in one column.
const MOST: u16 = 16;
/// A full column is no less than this.
const SCALE: u64 = 4;
/// Charts above the strip of the run's time.
const CHARTS: u16 = 3;

/// The layout of the place.
pub fn areas(area: Rect) -> Areas {
    if area.height < 16 || area.width < 50 {
        return Areas::default();
    }
    let roomy = area.height >= 36;
    let (head, tall, gap) = if roomy { (4, 3, 1) } else { (3, 1, 0) };
    let line = |y: u16| Rect { y, height: 1, ..area };
    let top = area.y + head + 1 + gap;
    // The strip, the marks of the time, and what is said of both.
    let charts = Rect { y: top, height: CHARTS * (tall + gap) + 3, ..area };
    let headings = line(charts.bottom() + 1);
    let facts = line(area.bottom() - 3);
    let rows = Rect { y: headings.y + 1, height: facts.y.saturating_sub(headings.y + 1 + gap), ..area };
    Areas { title: line(area.y + head), charts, tall, headings, rows, facts }
}

/// Draws the place.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    header::draw(app, run, brush, area);
    let areas = areas(area);
    if let Some(numbers) = run.numbers.metrics() {
        if run.state.status == RunStatus::Idle && numbers.agents.is_empty() {
            nothing(brush, areas);
        } else {
            charts(app, run, numbers, brush, areas);
            agents(app, run, numbers, brush, areas);
        }
    }
    footer::draw(
        app,
        brush,
        Rect { y: area.bottom() - 2, height: 1, ..area },
        Rect { y: area.bottom() - 1, height: 1, ..area },
    );
}

fn nothing(brush: &mut Brush<'_>, areas: Areas) {
    title(brush, areas.title, "");
    let lines = [
        "Nothing has run yet: p starts the run.",
        "Here is then what succeeds and fails, and how long the run stands still;",
        "for each agent how often it does its work, how long that takes, and how well.",
    ];
    for (row, line) in (1..).zip(lines) {
        let role = if row == 1 { Role::Text } else { Role::Muted };
        let area = areas.charts;
        brush.text(area.x + 2, area.y + row, area.width.saturating_sub(4), line, role);
    }
}

fn title(brush: &mut Brush<'_>, area: Rect, said: &str) {
    let at = brush.text(area.x + 1, area.y, area.width, "Metrics", Role::Accent);
    brush.text(at + 2, area.y, area.right().saturating_sub(at + 3), said, Role::Muted);
}

/// Something that is counted, against time.
struct Chart<'a> {
    name: &'a str,
    total: u64,
    columns: Vec<u64>,
    role: Role,
}

fn charts(app: &App, run: &OpenRun, numbers: &Metrics, brush: &mut Brush<'_>, areas: Areas) {
    let area = areas.charts;
    let left = area.x + 1 + NAME + TOTAL;
    let columns = area.width.saturating_sub(1 + NAME + TOTAL + MOST);
    let seconds = metrics::seconds(run, app.now);
    let column = metrics::column(seconds, columns);
    let whole = column * f64::from(columns);
    let seen = ((seconds / column).ceil() as usize).min(usize::from(columns));
    let executions: u64 = numbers.agents.values().map(|one| one.executions).sum();
    let without = if run.state.has_gone_back() { ", without those left behind by going back" } else { "" };
    let said = format!(
        "{} · {}{without} · a column is {}",
        words::count(numbers.agents.len(), "agent"),
        words::count(executions as usize, "attempt"),
        words::span(column)
    );
    title(brush, areas.title, &said);
    let charts = [
        ("succeeded", &numbers.succeeded, Role::Done),
        ("failed", &numbers.failed, Role::Failed),
        ("interventions", &numbers.interventions, Role::Accent),
    ];
    let gap = u16::from(areas.tall > 1);
    let mut y = area.y;
    for (name, series, role) in charts {
        let mut counts = series.columns(whole, usize::from(columns));
        counts.truncate(seen);
        let chart = Chart { name, total: series.total(), columns: counts, role };
        let place = Rect { x: left, y, width: columns, height: areas.tall };
        one_chart(&chart, column, brush, area, place);
        y += areas.tall + gap;
    }
    strip(app, run, numbers, brush, area, Rect { x: left, y, width: columns, height: 1 }, column);
}

fn one_chart(chart: &Chart<'_>, column: f64, brush: &mut Brush<'_>, area: Rect, place: Rect) {
    let y = place.bottom() - 1;
    brush.text(area.x + 1, y, NAME, chart.name, Role::Text);
    let total = words::thousands(chart.total as usize);
    let role = if chart.total == 0 { Role::Muted } else { Role::Strong };
    brush.text_right(area.x + 1 + NAME, place.x - 2, y, &total, role);
    let most = chart.columns.iter().copied().max().unwrap_or(0);
    // One or two are no mountains.
    let scale = most.max(SCALE);
    let glyphs = brush.glyphs;
    let parts = glyphs.eighths.len() as u64;
    let levels = parts * u64::from(place.height);
    for (x, count) in (place.x..).zip(&chart.columns) {
        // What was there is to be seen, however little of the most it is.
        let level = (count * levels / scale).max(u64::from(*count > 0));
        for row in 0..place.height {
            let filled = level.saturating_sub(u64::from(row) * parts).min(parts) as usize;
            let glyph = match filled.checked_sub(1) {
                Some(part) => glyphs.eighths[part],
                None if row == 0 => glyphs.dot,
                None => continue,
            };
            let role = if filled == 0 { Role::Faint } else { chart.role };
            brush.text(x, y - row, 1, glyph, role);
        }
    }
    if most > 0 {
        let said = format!("most {} in {}", words::thousands(most as usize), words::span(column));
        brush.text(place.right() + 1, y, area.right().saturating_sub(place.right() + 2), &said, Role::Muted);
    }
}

/// When the run went on and when it was paused, the marks of the time below, and what that comes to.
fn strip(app: &App, run: &OpenRun, numbers: &Metrics, brush: &mut Brush<'_>, area: Rect, place: Rect, column: f64) {
    let state = &run.state;
    let seconds = metrics::seconds(run, app.now);
    // A run that nobody has open stands where it stood: no time passes for it.
    let until = numbers.origin() + TimeDelta::milliseconds((seconds * 1e3) as i64);
    let standstill = Standstill::of(state, until);
    let parts = metrics::standing(&state.pauses, numbers.origin(), until, column, place.width);
    let seen = ((seconds / column).ceil() as usize).min(parts.len());
    brush.text(area.x + 1, place.y, NAME, "running", Role::Text);
    let ran = run.times(app.now).map_or(0.0, |times| times.ran);
    brush.text_right(area.x + 1 + NAME, place.x - 2, place.y, &words::duration(ran), Role::Strong);
    for (x, (part, number)) in (place.x..).zip(parts.iter().zip(1_usize..).take(seen)) {
        // The last column has only begun.
        let whole = if number == seen { (seconds / column - (seen - 1) as f64).clamp(1e-6, 1.0) } else { 1.0 };
        let (glyph, role) =
            if *part * 2.0 >= whole { (brush.glyphs.standing, Role::Held) } else { (brush.glyphs.span, Role::Running) };
        brush.text(x, place.y, 1, glyph, role);
    }
    let legend = format!("{} paused", brush.glyphs.standing);
    if standstill.seconds > 0.0 {
        brush.text(place.right() + 1, place.y, area.right().saturating_sub(place.right() + 2), &legend, Role::Held);
    }
    let y = place.y + 1;
    let whole = column * f64::from(place.width);
    let tick = timeline::tick(whole, place.width);
    let mut number = 0.0;
    while number * tick < whole {
        let x = place.x + (number * tick / column) as u16;
        let label = words::duration(number * tick);
        if x + label.len() as u16 <= place.right() {
            brush.text(x, y, area.right().saturating_sub(x), &label, Role::Faint);
        }
        number += 1.0;
    }
    brush.text(area.x + 1, y + 1, NAME, "paused", Role::Text);
    let role = if standstill.seconds > 0.0 { Role::Strong } else { Role::Muted };
    brush.text_right(area.x + 1 + NAME, place.x - 2, y + 1, &words::duration(standstill.seconds), role);
    let why: Vec<String> = standstill
        .reasons
        .iter()
        .map(|(reason, seconds)| format!("{} {}", reason.word().replace('_', " "), words::duration(*seconds)))
        .collect();
    let said = why.join(" · ");
    brush.text(place.x, y + 1, area.right().saturating_sub(place.x + 1), &said, Role::Muted);
}

/// The headings of the table, and of what is copied.
pub const HEADINGS: [&str; 9] = ["agent", "state", "attempts", "failed", "ok", "mean", "p95", "quality", "in a row"];
/// The columns behind the state, from there to the right.
const WIDTHS: [u16; 7] = [9, 7, 6, 8, 8, 8, 9];
const STATE: u16 = 10;
/// The name of an agent has no less room.
const AGENT: u16 = 12;

/// What the columns behind the state say.
pub fn cells(one: &AgentHealth) -> [String; 7] {
    let rate = one.success_rate().map_or("-".into(), |rate| {
        // Full only when it is.
        let whole = (rate * 100.0).round();
        format!("{} %", if rate < 1.0 { whole.min(99.0) } else { whole })
    });
    [
        words::thousands(one.executions as usize),
        words::thousands(one.failed() as usize),
        rate,
        metrics::took(one.mean_seconds()),
        metrics::took(one.p95_seconds()),
        one.quality().map_or("-".into(), |quality| format!("{quality:.2}")),
        if one.consecutive_failures == 0 { "-".into() } else { one.consecutive_failures.to_string() },
    ]
}

fn agents(app: &App, run: &OpenRun, numbers: &Metrics, brush: &mut Brush<'_>, areas: Areas) {
    let (heads, area) = (areas.headings, areas.rows);
    let rows = metrics::rows(numbers);
    if rows.is_empty() {
        let said = "No attempt has ended yet: each agent has a row here from its first one on.";
        brush.text(heads.x + 1, heads.y, heads.width.saturating_sub(2), said, Role::Muted);
        return;
    }
    let wider = if area.width >= 110 { 2 } else { 0 };
    let widths = WIDTHS.map(|width| width + wider);
    let all: u16 = widths.iter().sum();
    // Behind the columns there is room for what is known of earlier runs.
    let spare = area.width.saturating_sub(3 + AGENT + STATE + all);
    let name = AGENT + (spare / 2).min(18);
    let is_known = rows.iter().any(|(agent, _)| run.estimate.earlier(agent).is_some());
    let earlier = is_known && area.width >= 3 + name + STATE + all + 34;
    let draw = |brush: &mut Brush<'_>, y: u16, cells: &[String], role: &dyn Fn(usize) -> Role| {
        let mut right = area.x + 3 + name + STATE;
        for (place, (cell, width)) in cells.iter().zip(widths).enumerate() {
            brush.text_right(right, right + width, y, cell, role(place));
            right += width;
        }
        right
    };
    brush.text(heads.x + 3, heads.y, name, HEADINGS[0], Role::Muted);
    brush.text(heads.x + 3 + name, heads.y, STATE, HEADINGS[1], Role::Muted);
    let words: Vec<String> = HEADINGS[2..].iter().map(|word| (*word).to_owned()).collect();
    let right = draw(brush, heads.y, &words, &|_| Role::Muted);
    if earlier {
        brush.text(right + 3, heads.y, area.right().saturating_sub(right + 4), "in earlier runs", Role::Muted);
    }
    let selected = app.agents.row(&rows);
    let seen = rows.iter().enumerate().skip(app.agents.offset).take(usize::from(area.height));
    for (y, (row, (agent, one))) in (area.y..).zip(seen) {
        let place = Rect { y, height: 1, ..area };
        if row == selected {
            brush.over(place, Role::Selection);
            brush.text(place.x, y, 1, brush.glyphs.selected, Role::Accent);
        }
        let (glyph, role) = match one.health() {
            Health::Healthy => (brush.glyphs.step(StepStatus::Completed), Role::Done),
            Health::Degraded => (brush.glyphs.degraded, Role::Warning),
            Health::Unhealthy => (brush.glyphs.step(StepStatus::Failed), Role::Failed),
        };
        brush.text(place.x + 1, y, 1, glyph, role);
        brush.text(place.x + 3, y, name - 1, agent, if row == selected { Role::Strong } else { Role::Text });
        brush.text(place.x + 3 + name, y, STATE, one.health().word(), role);
        let cells = cells(one);
        let quiet = |place: usize| match (place, cells[place].as_str()) {
            (_, "-" | "0") => Role::Faint,
            (1 | 6, _) => Role::Failed,
            _ => Role::Text,
        };
        let right = draw(brush, y, &cells, &quiet);
        if let Some(before) = run.estimate.earlier(agent).filter(|before| earlier && before.executions > 0) {
            let rate = self::cells(before)[2].clone();
            let attempts = words::count(before.executions as usize, "attempt");
            let said = format!("{attempts} · {rate} ok · {}", metrics::took(before.mean_seconds()));
            brush.text(right + 3, y, area.right().saturating_sub(right + 4), &said, Role::Muted);
        }
    }
    if let Some((agent, one)) = rows.get(selected) {
        let said = match one.why() {
            Some(why) => format!("{} is {}: {why}", text::clean(agent), one.health().word()),
            None => format!("{} is healthy", text::clean(agent)),
        };
        let place = areas.facts;
        let at = brush.text(place.x + 1, place.y, place.width.saturating_sub(2), &said, Role::Muted);
        let (hint, right) = ("Enter shows its steps", place.right().saturating_sub(1));
        if usize::from(right.saturating_sub(at)) > hint.len() + 2 {
            brush.text_right(at, right, place.y, hint, Role::Faint);
        }
    }
}
