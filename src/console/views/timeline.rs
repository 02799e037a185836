//! The timeline: a row a step, its attempts as bars against time. Only the rows that are seen are looked at.

use chrono::{DateTime, Utc};
use ratatui::layout::Rect;

use crate::run::{Attempt, Expected, OutcomeStatus, RunStatus, StepState, StepStatus};

use super::super::app::{App, FilterOf};
use super::super::run_model::OpenRun;
use super::super::theme::{Role, step_role};
use super::super::timeline::{self, Between, Stretch, Timeline};
use super::super::{text, words};
use super::paint::Brush;
use super::{filter, footer, header, layout};

/// Where things are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Areas {
    /// The heading.
    pub title: Rect,
    /// The marks of the time, over the bars.
    pub axis: Rect,
    /// The rows, names and bars.
    pub rows: Rect,
    /// The bars.
    pub chart: Rect,
    /// What is said of the selected step.
    pub facts: Rect,
    /// What the bars mean; empty where there is no room.
    pub legend: Rect,
}

const MULTIPLE: u16 = 4;
const DURATION: u16 = 8;

/// The layout of the place.
pub fn areas(area: Rect) -> Areas {
    if area.height < 10 || area.width < 50 {
        return Areas::default();
    }
    let roomy = area.height >= 30;
    let head = if roomy { 4 } else { 3 };
    let line = |y: u16| Rect { y, height: 1, ..area };
    let facts = line(area.bottom() - 3);
    let legend = if roomy { line(area.bottom() - 4) } else { Rect::default() };
    // An empty line over what is said of the rows, where there is room.
    let bottom = if roomy { area.bottom() - 5 } else { area.bottom() - 3 };
    let top = area.y + head + 2;
    let rows = Rect { y: top, height: bottom.saturating_sub(top), ..area };
    let left = 1 + 2 + 2 + name_width(area.width) + MULTIPLE + DURATION + 1;
    let chart = Rect { x: area.x + left, width: area.width.saturating_sub(left + 1), ..rows };
    Areas { title: line(area.y + head), axis: Rect { y: top - 1, height: 1, ..chart }, rows, chart, facts, legend }
}

fn name_width(width: u16) -> u16 {
    if layout::is_narrow((width, 0)) { 16 } else { (width / 6).clamp(20, 40) }
}

/// The time on the chart's columns.
#[derive(Clone, Copy)]
struct Scale {
    from: f64,
    span: f64,
    columns: u16,
}

impl Scale {
    /// The column in which a second lies, as it is: before the first one, or behind the last one, as well.
    fn place(&self, second: f64) -> f64 {
        ((second - self.from) / self.span * f64::from(self.columns)).floor()
    }

    fn column(&self, second: f64) -> Option<u16> {
        let place = self.place(second);
        (place >= 0.0 && place < f64::from(self.columns)).then_some(place as u16)
    }

    /// The columns of a stretch that are seen: at least one of a stretch that is.
    fn columns(&self, start: f64, end: f64) -> Option<(u16, u16)> {
        let first = self.place(start);
        // What ends where a column begins does not lie in it.
        let last = ((end - self.from) / self.span * f64::from(self.columns)).ceil() - 1.0;
        let (first, last) = (first, last.max(first));
        let edge = f64::from(self.columns) - 1.0;
        (last >= 0.0 && first <= edge).then(|| (first.max(0.0) as u16, last.min(edge) as u16))
    }
}

/// Draws the place; `cursor` is set where text is being typed.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let Some(timeline) = &app.timeline else { return };
    header::draw(app, run, brush, area);
    let areas = areas(area);
    let (from, span) = timeline.seen(run, app.now, areas.chart.width);
    let scale = Scale { from, span, columns: areas.chart.width };
    heading(app, run, timeline, brush, areas.title, cursor);
    if timeline.rows().is_empty() {
        nothing(app, run, brush, areas.rows);
    } else {
        axis(app, run, brush, areas.axis, &scale);
        let selected = timeline.row_of(run.position());
        let seen = timeline.rows().iter().enumerate().skip(timeline.offset).take(areas.rows.height as usize);
        for (y, (row, position)) in (areas.rows.y..).zip(seen) {
            let place = Rect { y, height: 1, ..areas.rows };
            let chart = Rect { y, height: 1, ..areas.chart };
            if let Some(step) = run.state.steps.get(*position as usize) {
                label(app, run, brush, place, *position as usize, step, row == selected);
                bars(app, run, brush, chart, *position as usize, step, &scale);
            }
        }
        facts(app, run, timeline, brush, areas.facts, selected);
        // Where the legend has no line of its own, it has one of those that are free.
        let spare = Rect { y: areas.rows.bottom().saturating_sub(1), height: 1, ..areas.rows };
        let is_free = timeline.rows().len() < usize::from(areas.rows.height);
        let seen = timeline.rows().iter().skip(timeline.offset).take(areas.rows.height as usize);
        let seen = seen.filter_map(|position| run.state.steps.get(*position as usize));
        legend(brush, if areas.legend.height == 0 && is_free { spare } else { areas.legend }, seen);
    }
    footer::draw(
        app,
        brush,
        Rect { y: area.bottom() - 2, height: 1, ..area },
        Rect { y: area.bottom() - 1, height: 1, ..area },
    );
}

fn heading(
    app: &App,
    run: &OpenRun,
    timeline: &Timeline,
    brush: &mut Brush<'_>,
    area: Rect,
    cursor: &mut Option<(u16, u16)>,
) {
    let mut at = brush.text(area.x + 1, area.y, area.width, "Timeline", Role::Accent);
    let stretch = match timeline.stretch {
        Stretch::Whole => String::new(),
        Stretch::Part { span, .. } => format!(" · {} seen", words::span(span)),
        Stretch::Now { span } => format!(" · the newest {}, following", words::span(span)),
    };
    let total = run.state.steps.len();
    let rows = timeline.rows().len();
    let of = if rows == total { String::new() } else { format!(" of {}", words::thousands(total)) };
    let left = if run.state.has_gone_back() { " · without attempts left behind" } else { "" };
    let said = format!("{}{of}{stretch}{left}", words::count(rows, "step").replace(" steps", "").replace(" step", ""));
    at = brush.text(at + 2, area.y, area.right().saturating_sub(at + 2), &said, Role::Muted);
    let typed = run.list.filter.as_str();
    if let Some((FilterOf::Steps, input)) = &app.typing {
        let room = area.right().saturating_sub(at + 3).min(22);
        let (end, column) = filter::typed(input, brush, at + 3, area.y, room);
        at = end;
        *cursor = Some((column, area.y));
    } else if !typed.is_empty() {
        at = brush.text(at + 3, area.y, area.right().saturating_sub(at + 3), &format!("/{typed}"), Role::Accent);
    }
    let (said, role) = estimates(app, run);
    let (left, right) = (at + 3, area.right().saturating_sub(1));
    if let Some(said) = said.iter().find(|said| text::width(said) <= usize::from(right.saturating_sub(left))) {
        brush.text_right(left, right, area.y, said, role);
    }
}

/// What is expected, by what, and what is not in it: the longest form first.
fn estimates(app: &App, run: &OpenRun) -> (Vec<String>, Role) {
    let state = &run.state;
    let idle = state.status == RunStatus::Idle;
    let Some(forecast) = run.estimate.forecast().filter(|_| idle || run.ticks()) else {
        return (Vec::new(), Role::Muted);
    };
    let lacking = forecast.lacking.as_ref().map(|lacking| words::lacking(lacking, state));
    let left = run.estimate.left(run.ticks(), app.now);
    match (left.as_ref().and_then(|left| Some((left, words::estimate(left)?))), lacking) {
        (Some((left, said)), lacking) => {
            let said = if idle { format!("takes {said}") } else { format!("{said} left") };
            let people = if left.people { " · plus your answers" } else { "" };
            let lacking = lacking.map(|lacking| format!(" · {lacking}")).unwrap_or_default();
            let all = format!("{said} · {}{lacking}{people}", words::basis(left));
            (vec![all, format!("{said}{lacking}{people}"), format!("{said}{people}"), said], Role::Text)
        }
        (None, Some(lacking)) => (vec![format!("no estimate: {lacking}"), "no estimate".into()], Role::Muted),
        (None, None) => (Vec::new(), Role::Muted),
    }
}

fn nothing(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let lines = match run.state.status {
        _ if !run.list.filter.is_empty() => ["no step here matches; {back} clears the filter", ""],
        RunStatus::Idle => [
            "Nothing has run yet: {start} starts the run.",
            "Each attempt then gets a bar here, against the time it takes.",
        ],
        _ => ["No step has started.", "{back} goes to the steps; {why} says there why one is not running."],
    };
    for (row, line) in (1..).zip(lines) {
        let role = if row == 1 { Role::Text } else { Role::Muted };
        brush.text(area.x + 2, area.y + row, area.width.saturating_sub(4), &app.keys.fill(line), role);
    }
}

/// A time on the axis; tenths where the marks are closer than a second.
fn mark(second: f64, tick: f64) -> String {
    if tick < 1.0 { format!("{second:.1} s") } else { words::duration(second) }
}

fn axis(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, scale: &Scale) {
    let tick = timeline::tick(scale.span, scale.columns);
    let now = now_column(app, run, scale);
    let said = words::duration(timeline::elapsed(run, app.now));
    let now = now.map(|column| (column.min(scale.columns.saturating_sub(said.len() as u16)), said));
    let mut number = (scale.from / tick).ceil();
    while let Some(column) = scale.column(number * tick) {
        let label = mark(number * tick, tick);
        let end = column + label.len() as u16;
        // The time of now stands where it is, and is more than a mark.
        let free = now.as_ref().is_none_or(|(at, said)| end < *at || column > at + said.len() as u16);
        if free && end <= scale.columns {
            brush.text(area.x + column, area.y, area.width, &label, Role::Faint);
        }
        number += 1.0;
    }
    if let Some((column, said)) = now {
        brush.text(area.x + column, area.y, area.width, &said, Role::Accent);
    }
}

/// Where now is, while the time goes on.
fn now_column(app: &App, run: &OpenRun, scale: &Scale) -> Option<u16> {
    run.ticks().then(|| scale.column(timeline::elapsed(run, app.now)))?
}

fn label(
    app: &App,
    run: &OpenRun,
    brush: &mut Brush<'_>,
    area: Rect,
    position: usize,
    step: &StepState,
    selected: bool,
) {
    let Some(definition) = run.state.plan.steps.get(position) else { return };
    let y = area.y;
    if selected {
        brush.over(area, Role::Selection);
        brush.text(area.x, y, 1, brush.glyphs.selected, Role::Accent);
    }
    let mut x = area.x + 1;
    brush.text(x, y, 1, brush.glyphs.step(step.status), step_role(step.status));
    x += 2;
    if run.estimate.is_critical(position) {
        brush.text(x, y, 1, brush.glyphs.critical, Role::Accent);
    }
    x += 2;
    let name = name_width(area.width);
    let role = match () {
        () if selected => Role::Strong,
        () if step.attempts.is_empty() => Role::Muted,
        () => Role::Text,
    };
    brush.text(x, y, name - 1, &definition.step_id, role);
    x += name;
    if let Some(number) = step.tried_again() {
        let said = format!("{}{number}", brush.glyphs.times);
        brush.text(x, y, MULTIPLE - 1, &said, Role::Muted);
    }
    x += MULTIPLE;
    let end = x + DURATION - 1;
    match (step.seconds(app.now), run.estimate.expected(position)) {
        (Some(seconds), _) => {
            let role = if step.status.is_live() { Role::Text } else { Role::Muted };
            brush.text_right(x, end, y, &words::duration(seconds), role);
        }
        (None, Some(expected)) if expected.end > expected.start => {
            let said = format!("~{}", words::duration(expected.end - expected.start));
            brush.text_right(x, end, y, &said, Role::Faint);
        }
        _ => {}
    }
}

/// What is drawn of a row, from what lies behind to what lies in front.
struct Row<'a, 'b> {
    brush: &'a mut Brush<'b>,
    area: Rect,
    scale: &'a Scale,
}

impl Row<'_, '_> {
    fn span(&mut self, start: f64, end: f64, glyph: &str, role: Role) {
        if let Some((first, last)) = self.scale.columns(start, end) {
            let length = last - first + 1;
            let bar = glyph.repeat(length as usize);
            self.brush.text(self.area.x + first, self.area.y, length, &bar, role);
        }
    }

    /// A single sign in the last column of a stretch.
    fn sign_at_end(&mut self, start: f64, end: f64, glyph: &str, role: Role) {
        let seen = self.scale.columns(start, end).filter(|(_, last)| f64::from(*last) >= self.scale.place(end) - 1.0);
        if let Some((_, last)) = seen {
            self.brush.text(self.area.x + last, self.area.y, 1, glyph, role);
        }
    }

    fn sign_at(&mut self, second: f64, glyph: &str, role: Role) {
        if let Some(column) = self.scale.column(second) {
            self.brush.text(self.area.x + column, self.area.y, 1, glyph, role);
        }
    }
}

fn bars(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, position: usize, step: &StepState, scale: &Scale) {
    let glyphs = brush.glyphs;
    let critical = run.estimate.is_critical(position);
    let origin = timeline::origin(&run.state, app.now);
    let seconds = |time: DateTime<Utc>| (time - origin).as_seconds_f64();
    let now = timeline::elapsed(run, app.now);
    if let Some(column) = now_column(app, run, scale) {
        brush.text(area.x + column, area.y, 1, glyphs.bar, Role::Rule);
    }
    let mut row = Row { brush, area, scale };
    let expected = run.estimate.expected(position);
    if let Some(Expected { start, end, .. }) = expected.filter(|_| run.ticks() || run.state.status == RunStatus::Idle) {
        let (glyph, role) = if critical { (glyphs.ahead_critical, Role::Muted) } else { (glyphs.ahead, Role::Faint) };
        if end > start { row.span(start, end, glyph, role) } else { row.sign_at(start, "?", Role::Faint) }
    }
    // Signed off since: it stood from when it could have started.
    if let (Some(first), true) = (step.attempts.first(), had_hold(run, position)) {
        let ready = ready(run, position).map_or(0.0, seconds);
        if seconds(first.started_at) > ready {
            row.span(ready, seconds(first.started_at), glyphs.standing, Role::Held);
            row.sign_at(ready, glyphs.step(StepStatus::Held), Role::Held);
        }
    }
    for pair in step.attempts.windows(2) {
        let (glyph, role) = match timeline::between(&run.state, position, &pair[0], &pair[1]) {
            Between::BackOff => (glyphs.backoff, Role::Waiting),
            Between::Person => (glyphs.standing, Role::Held),
            Between::Nothing => continue,
        };
        row.span(pair[0].ended_at.map_or(now, seconds), seconds(pair[1].started_at), glyph, role);
    }
    let since = step.since.map(seconds);
    let ended = step.attempts.last().and_then(|attempt| attempt.ended_at).map(seconds);
    match (step.status, since) {
        (StepStatus::Waiting, _) => {
            let from = ended.unwrap_or(now);
            row.span(from, step.due.map_or(now, seconds).max(from), glyphs.backoff, Role::Waiting);
        }
        (StepStatus::Held | StepStatus::InReview, Some(since)) => {
            let role = step_role(step.status);
            row.span(since, now.max(since), glyphs.standing, role);
            row.sign_at(since, glyphs.step(step.status), role);
        }
        (_, Some(since)) if timeline::waits_for_a_person(&run.state, step) => {
            row.span(since, now.max(since), glyphs.standing, Role::Held);
        }
        _ => {}
    }
    let glyph = if critical { glyphs.span_critical } else { glyphs.span };
    let ran = |attempt: &Attempt| {
        let start = seconds(attempt.started_at);
        (start, attempt.ended_at.map_or(now, seconds).max(start))
    };
    for attempt in &step.attempts {
        let (start, end) = ran(attempt);
        row.span(start, end, glyph, look(step, attempt).0);
    }
    // Over all bars: the next attempt may begin in the column in which one ended.
    for attempt in &step.attempts {
        if let (role, Some(status)) = look(step, attempt) {
            let (start, end) = ran(attempt);
            row.sign_at_end(start, end, glyphs.step(status), role);
        }
    }
    beyond(&mut row, step, expected, &seconds, now);
}

/// The role of an attempt's bar, and the sign at its end: what did not go well has one, so that it is not told by its colour alone.
fn look(step: &StepState, attempt: &Attempt) -> (Role, Option<StepStatus>) {
    let status = match attempt.ending() {
        None if step.status == StepStatus::Stopping => StepStatus::Stopping,
        None => StepStatus::Running,
        Some(OutcomeStatus::Succeeded) => StepStatus::Completed,
        Some(OutcomeStatus::Failed) => StepStatus::Failed,
        Some(OutcomeStatus::Stopped) => StepStatus::Cancelled,
        Some(OutcomeStatus::Lost) => StepStatus::Interrupted,
    };
    (step_role(status), Some(status).filter(|status| *status != StepStatus::Completed))
}

/// Says at the edges that what a row has lies outside the stretch that is seen.
fn beyond(
    row: &mut Row<'_, '_>,
    step: &StepState,
    expected: Option<Expected>,
    seconds: &dyn Fn(DateTime<Utc>) -> f64,
    now: f64,
) {
    let (first, last) = (step.attempts.first(), step.attempts.last());
    let start = first.map(|attempt| seconds(attempt.started_at)).or(expected.map(|expected| expected.start));
    let end = last.map(|attempt| attempt.ended_at.map_or(now, seconds)).or(expected.map(|expected| expected.end));
    let (glyphs, scale) = (row.brush.glyphs, row.scale);
    if start.is_some_and(|start| scale.place(start) < 0.0) {
        row.brush.text(row.area.x, row.area.y, 1, glyphs.more_left, Role::Muted);
    }
    if end.is_some_and(|end| scale.columns > 0 && scale.place(end) > f64::from(scale.columns)) {
        row.brush.text(row.area.right() - 1, row.area.y, 1, glyphs.more_right, Role::Muted);
    }
}

/// Whether a step was held and has been released.
fn had_hold(run: &OpenRun, position: usize) -> bool {
    run.state.steps[position].hold.as_ref().is_some_and(|hold| hold.released)
}

/// Steps that wait for more are not asked how long they stood: it would be a walk for every row.
const ASKED: u32 = 64;

/// When the last of what a step waits for had ended.
fn ready(run: &OpenRun, position: usize) -> Option<DateTime<Utc>> {
    let order = run.state.order();
    if order.predecessor_count(position) > ASKED {
        return None;
    }
    let before = order.waits_for(position).into_iter().take(ASKED as usize);
    before.filter_map(|step| run.state.steps.get(step)?.attempts.last()?.ended_at).max()
}

/// What the selected row says in words.
fn facts(app: &App, run: &OpenRun, timeline: &Timeline, brush: &mut Brush<'_>, area: Rect, selected: usize) {
    let Some(position) = timeline.rows().get(selected).map(|position| *position as usize) else { return };
    let (Some(definition), Some(step)) = (run.state.plan.steps.get(position), run.state.steps.get(position)) else {
        return;
    };
    let zone = app.settings.zone;
    let mut said = Vec::new();
    if let Some(attempt) = step.attempts.last() {
        if step.attempts.len() > 1 {
            said.push(format!("attempt {} of {}", attempt.number, step.last_attempt));
        }
        said.push(timeline::told(attempt, zone, app.now));
    }
    let origin = timeline::origin(&run.state, app.now);
    let clock = |second: f64| zone.clock(origin + chrono::TimeDelta::milliseconds((second * 1e3) as i64));
    match run.estimate.expected(position) {
        Some(expected) if expected.end <= expected.start => said.push("no earlier time of it is known".into()),
        Some(expected) if run.state.status == RunStatus::Idle => {
            said.push(format!("expected to take {}", words::span(expected.end - expected.start)));
        }
        Some(expected) if step.status == StepStatus::Running => {
            said.push(format!("expected to end at {}", clock(expected.end)));
        }
        Some(expected) => {
            said.push(format!("expected {} to {}", clock(expected.start), clock(expected.end)));
        }
        None => {}
    }
    if let Some(due) = step.due.filter(|_| step.status == StepStatus::Waiting) {
        said.push(format!("again at {}", zone.clock(due)));
    }
    if timeline::waits_for_a_person(&run.state, step) {
        said.push("waits for you".into());
    }
    let mut x = brush.text(area.x + 1, area.y, area.width / 3, &definition.step_id, Role::Strong) + 2;
    if run.estimate.is_critical(position) {
        said.push("on the critical path".into());
    }
    x = x.min(area.right());
    brush.text(x, area.y, area.right().saturating_sub(x + 1), &said.join(" · "), Role::Muted);
}

/// What the bars mean; `seen`: the steps whose rows are drawn. What is rare is explained where it is seen.
fn legend<'a>(brush: &mut Brush<'_>, area: Rect, seen: impl Iterator<Item = &'a StepState>) {
    if area.height == 0 {
        return;
    }
    let glyphs = brush.glyphs;
    let mut parts = vec![
        (glyphs.span.repeat(2), "ran", Role::Done),
        (glyphs.span_critical.repeat(2), "critical path", Role::Done),
        (glyphs.step(StepStatus::Failed).to_owned(), "failed", Role::Failed),
    ];
    let (mut stopped, mut lost) = (false, false);
    for ending in seen.flat_map(|step| step.attempts.iter().filter_map(|attempt| attempt.ending())) {
        stopped |= ending == OutcomeStatus::Stopped;
        lost |= ending == OutcomeStatus::Lost;
    }
    let rare = [(stopped, StepStatus::Cancelled, "stopped"), (lost, StepStatus::Interrupted, "interrupted")];
    for (_, status, said) in rare.into_iter().filter(|(is_seen, ..)| *is_seen) {
        parts.push((glyphs.step(status).to_owned(), said, step_role(status)));
    }
    parts.extend([
        (glyphs.backoff.repeat(2), "back-off", Role::Waiting),
        (glyphs.standing.repeat(2), "waits for you", Role::Held),
        (glyphs.ahead.repeat(2), "expected", Role::Faint),
    ]);
    let room = usize::from(area.width.saturating_sub(1));
    let wants = |part: &(String, &str, Role)| text::width(&part.0) + 1 + text::width(part.1);
    let all: usize = parts.iter().map(wants).sum();
    let apart = if all + 3 * (parts.len() - 1) <= room { 3 } else { 2 };
    let mut x = area.x + 1;
    for part in &parts {
        // What does not fit is left out whole.
        if usize::from(area.right().saturating_sub(x)) < wants(part) {
            break;
        }
        x = brush.text(x, area.y, area.width, &part.0, part.2);
        x = brush.text(x + 1, area.y, area.width, part.1, Role::Faint) + apart;
    }
}
