//! The list of steps. Only the rows that are seen are looked at.

use ratatui::layout::Rect;

use crate::run::{OutcomeStatus, RunState, SkipReason, StepStatus};

use super::super::actions::Action;
use super::super::app::{App, FilterOf};
use super::super::graph::{LOUD, wires};
use super::super::listing::{Widths, instances_in_words, item_in_words, shown};
use super::super::mouse::Drag;
use super::super::rows::{Row, StepRow, View};
use super::super::run_model::{OpenRun, Pane};
use super::super::theme::{Role, step_role, step_word};
use super::super::{text, words};
use super::filter;
use super::paint::Brush;

/// Columns of the list, by the width it has: they stay where they are whatever the rows say.
struct Columns {
    name: u16,
    agent: u16,
    note: u16,
}

const WORD: u16 = 11;
const MARK: u16 = 7;
const DURATION: u16 = 8;

/// A note that has its column has no fewer than these.
const NOTE: u16 = 18;
/// Where names, agents and notes have so many between them, notes have a column whatever the names want.
const ROOMY: u16 = 52;

impl Columns {
    /// The room is given by weight: names and titles as much as they need, then notes, then agents. Where names are cut, an agent that all steps
    /// have is not said with each of them, and in a narrow list none is.
    fn new(width: u16, widths: &Widths, view: View) -> Self {
        // marker, glyph, word, group
        let fixed = 1 + 2 + WORD + 1 + 2 + MARK + DURATION + 1;
        let most = if width >= 72 { 11 } else { 9 };
        let said = (widths.agent + 1).clamp(6, most);
        // In the tree, for the lines before a name and the numbers behind it as well.
        let wanted = widths.name + if view == View::Tree { 16 } else { 1 };
        let rest = |agent: u16| width.saturating_sub(fixed + agent);
        let for_names = |rest: u16| if rest < ROOMY { rest } else { rest - NOTE };
        let spared = widths.same_agent || width < 72;
        let agent = if spared && wanted > for_names(rest(said)) { 0 } else { said };
        let rest = rest(agent);
        let left = rest.saturating_sub(wanted);
        let note = if rest < ROOMY && left < NOTE { 0 } else { left.max(NOTE) };
        Self { name: rest - note, agent, note }
    }
}

/// Draws the heading and the rows.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, title: Rect, area: Rect, cursor: &mut Option<(u16, u16)>) {
    heading(app, run, brush, title, area.height as usize, cursor);
    let columns = Columns::new(area.width, &run.list.widths, run.list.rows.view);
    let (offset, selected) = (run.list.offset, run.selected_row());
    let shown = |row: usize| app.drag.as_ref().map_or(row, |drag| drag.shown(row));
    for row in offset..(offset + area.height as usize).min(run.row_count()) {
        let place = Rect { y: area.y + (row - offset) as u16, height: 1, ..area };
        if let Some(Row::Heading(section)) = run.list.rows.get(row) {
            section_line(run, brush, place, section, selected == Some(row));
        }
        let Some(position) = run.row(shown(row)) else { continue };
        line(app, run, brush, place, &columns, position);
    }
    if run.row_count() == 0 {
        let said = if run.list.filter.is_empty() {
            "this plan has no steps"
        } else {
            &app.keys.fill("no step matches; {back} clears the filter")
        };
        brush.text(area.x + 2, area.y, area.width.saturating_sub(2), said, Role::Muted);
    }
}

fn heading(
    app: &App,
    run: &OpenRun,
    brush: &mut Brush<'_>,
    title: Rect,
    height: usize,
    cursor: &mut Option<(u16, u16)>,
) {
    let role = if run.focus == Pane::Steps { Role::Accent } else { Role::Strong };
    let at = brush.text(title.x + 1, title.y, title.width, "Steps", role);
    let plan = &run.state.plan;
    let (total, own, written) = (run.state.steps.len(), plan.own_steps(), plan.written());
    let rows = run.row_count();
    let mut count = if run.list.is_filtered() {
        format!("{} of {}", words::thousands(rows), words::thousands(total))
    } else {
        let mut count = words::thousands(written);
        if own > written {
            count.push_str(&format!(" · {}", words::count(own - written, "instance")));
        }
        if total > own {
            count.push_str(&format!(" · {} of a rollback", words::thousands(total - own)));
        }
        count
    };
    if height > 0 && rows > height {
        let last = (run.list.offset + height).min(rows);
        count.push_str(&format!(" · {}–{last}", run.list.offset + 1));
    }
    let view = run.list.rows.view;
    if view != View::List {
        count.push_str(&format!(" · {}", view.word()));
    }
    let x = brush.text(at + 2, title.y, title.right().saturating_sub(at + 2), &count, Role::Muted);
    let x = marked(app, brush, title, x);
    let x = following(app, run, brush, title, x) + 3;
    let x = unseen(run, brush, title, x, height);
    let room = title.right().saturating_sub(x + 1);
    if let Some((FilterOf::Steps, input)) = &app.typing {
        let (_, column) = filter::typed(input, brush, x, title.y, room);
        *cursor = Some((column, title.y));
    } else if !run.list.filter.is_empty() {
        filter::kept(app, &run.list.filter, brush, x, title.y, room);
    }
}

/// Whether the selection goes along with the run, and the key that lets it; gives back the column after it.
fn following(app: &App, run: &OpenRun, brush: &mut Brush<'_>, title: Rect, x: u16) -> u16 {
    let right = title.right().saturating_sub(1);
    let (said, role) = match (run.follows(), app.key_of(Action::FollowRun)) {
        (true, _) => ("following".to_owned(), Role::Accent),
        (false, key) if run.moves_on() && !key.is_empty() => (format!("{key} to follow"), Role::Muted),
        _ => return x,
    };
    if usize::from(right.saturating_sub(x)) < text::width(&said) + 3 {
        return x;
    }
    let x = brush.text(x, title.y, right.saturating_sub(x), " · ", Role::Faint);
    brush.text(x, title.y, right.saturating_sub(x), &said, role)
}

/// How many marks there are, and what takes them off; gives back the column after it.
pub(super) fn marked(app: &App, brush: &mut Brush<'_>, title: Rect, x: u16) -> u16 {
    let marks = app.marks();
    if marks == 0 {
        return x;
    }
    let right = title.right().saturating_sub(1);
    let said = format!("{} marked", words::thousands(marks));
    let x = brush.text(x, title.y, right.saturating_sub(x), " · ", Role::Faint);
    let x = brush.text(x, title.y, right.saturating_sub(x), &said, Role::Accent);
    let how = app.keys.fill(" · {back} unmarks");
    if (right.saturating_sub(x) as usize) < text::width(&how) {
        return x;
    }
    brush.text(x, title.y, right.saturating_sub(x), &how, Role::Muted)
}

/// What runs above and below the rows that are seen, so that nothing runs unseen; gives back the column after it.
fn unseen(run: &OpenRun, brush: &mut Brush<'_>, title: Rect, x: u16, height: usize) -> u16 {
    let seen = run.list.offset..run.list.offset + height;
    let (mut above, mut below) = (0, 0);
    for row in run.state.live().filter_map(|position| run.row_of(position)) {
        above += usize::from(row < seen.start);
        below += usize::from(row >= seen.end);
    }
    let mut x = x;
    for (number, glyph) in [(above, brush.glyphs.up), (below, brush.glyphs.down)] {
        let said = format!("{glyph}{} running", words::thousands(number));
        if number > 0 && x + (text::width(&said) as u16) < title.right() {
            x = brush.text(x, title.y, title.right() - x, &said, Role::Running) + 2;
        }
    }
    x
}

fn line(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect, columns: &Columns, position: usize) {
    let state = &run.state;
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let selected = run.position() == Some(position);
    let y = area.y;
    let (status, word) = shown(state, position);
    let role = step_role(status);
    let quiet = matches!(status, StepStatus::Pending | StepStatus::Skipped | StepStatus::Cancelled);
    if selected {
        brush.over(area, if run.focus == Pane::Steps { Role::Selection } else { Role::SelectionIdle });
        let dragged = app.drag.as_ref().filter(|drag| drag.is_moving());
        let (mark, role) = match dragged {
            Some(Drag { refused: Some(_), .. }) => (brush.glyphs.moved, Role::Error),
            Some(_) => (brush.glyphs.moved, Role::Accent),
            None => (brush.glyphs.selected, Role::Accent),
        };
        brush.text(area.x, y, 1, mark, role);
    }
    let mut x = area.x + 1;
    brush.text(x, y, 2, brush.glyphs.step(status), role);
    if run.list.marked.has(&definition.step_id) {
        brush.text(x + 1, y, 1, brush.glyphs.marked, Role::Accent);
    }
    x += 2;
    brush.text(x, y, WORD, word, role);
    x += WORD + 1;
    let ascii = brush.glyphs.charset() == text::Charset::Ascii;
    match state.instance_counts(position) {
        Some(_) => brush.text(x, y, 1, opener(run, position, ascii), Role::Accent),
        None => brush.text(x, y, 1, group(run, position, ascii), Role::Faint),
    };
    x += 2;
    let name_role = match () {
        () if selected => Role::Strong,
        () if quiet => Role::Muted,
        () => Role::Text,
    };
    let hangs = run.row_of(position).and_then(|row| run.list.rows.get(row));
    let hangs = hangs.and_then(|row| if let Row::Step(hangs) = row { Some(hangs) } else { None });
    let mut at = hangs.map_or(x, |hangs| branch(brush, (x, y), columns.name, &hangs));
    if step.status == StepStatus::Pending && state.is_hold_point(position) {
        at = brush.text(at, y, 1, brush.glyphs.step(StepStatus::Held), Role::Held) + 1;
    }
    if state.parent(position).is_some() && run.list.rows.view != View::Tree {
        // An instance stands below its step.
        at += 2;
    }
    let end = (x + columns.name).saturating_sub(1);
    let marks = hangs.map(|hangs| marks(&hangs)).unwrap_or_default();
    let kept = marks.iter().map(|(short, _)| text::width(short) as u16).sum::<u16>();
    let mut at_name = brush.text(at, y, end.saturating_sub(at + kept), &definition.step_id, name_role);
    for (short, long) in &marks {
        let left = end.saturating_sub(at_name);
        let said = if text::width(long) <= left as usize { long } else { short };
        at_name = brush.text(at_name, y, left, said, Role::Faint);
    }
    if let Some(counts) = state.instance_counts(position) {
        // It has no agent and no attempt of its own: there is room for how its instances stand.
        let notes = x + columns.name + columns.agent + MARK + DURATION + 1;
        let said = instances_in_words(counts);
        brush.text(at_name + 2, y, notes.min(area.right()).saturating_sub(at_name + 3), &said, Role::Muted);
        if columns.note > 0 {
            let (note, role) = note(app, run, position);
            brush.text(notes, y, columns.note.saturating_sub(1), &note, role);
        }
        return;
    }
    if let Some((_, item)) = state.item(position) {
        let left = (x + columns.name).saturating_sub(at_name + 3);
        brush.text(at_name + 2, y, left, &item_in_words(item), Role::Faint);
    } else if let Some(name) = definition.name.as_deref().filter(|name| *name != definition.step_id) {
        let left = (x + columns.name).saturating_sub(at_name + 3);
        // A name that is cut to a syllable says nothing.
        if left >= 14 || text::width(name) <= left as usize {
            brush.text(at_name + 2, y, left, name, Role::Faint);
        }
    }
    x += columns.name;
    brush.text(x, y, columns.agent.saturating_sub(1), definition.agent_label(), Role::Faint);
    x += columns.agent;
    let progress = run.progress.get(&definition.step_id).filter(|_| step.status == StepStatus::Running);
    let wait = step.attempt().filter(|_| step.status == StepStatus::Running).and_then(|attempt| {
        let whole = (attempt.due? - attempt.started_at).as_seconds_f64();
        Some(if whole > 0.0 { (attempt.seconds(app.now) / whole).min(1.0) } else { 1.0 })
    });
    match progress.and_then(|progress| progress.value).or(wait) {
        Some(value) => bar(brush, x, y, MARK - 1, value),
        None => {
            let mark = step.tried_again().map(|number| format!("{}{number}", brush.glyphs.times)).unwrap_or_default();
            brush.text(x, y, MARK - 1, &mark, Role::Muted);
        }
    }
    if columns.note == 0 && step.attempts.is_empty() {
        // A step that has not run leaves its times to the word about why.
        let (note, role) = note(app, run, position);
        brush.text(x, y, area.right().saturating_sub(x + 1), &note, role);
    }
    x += MARK;
    // How long a lost attempt ran is not known.
    let lost = step
        .attempt()
        .and_then(|attempt| attempt.outcome.as_ref())
        .is_some_and(|outcome| outcome.status == OutcomeStatus::Lost);
    if let Some(seconds) = step.seconds(app.now).filter(|_| !lost) {
        let shown = words::duration(seconds);
        brush.text_right(x, x + DURATION - 1, y, &shown, if step.status.is_live() { Role::Text } else { Role::Muted });
    }
    x += DURATION + 1;
    if columns.note > 0 {
        let (note, role) = note(app, run, position);
        brush.text(x, y, columns.note.saturating_sub(1), &note, role);
    }
}

/// The heading of a section: what it is, and how far.
fn section_line(run: &OpenRun, brush: &mut Brush<'_>, area: Rect, section: usize, selected: bool) {
    let section = &run.list.rows.sections[section];
    if selected {
        brush.over(area, if run.focus == Pane::Steps { Role::Selection } else { Role::SelectionIdle });
        brush.text(area.x, area.y, 1, brush.glyphs.selected, Role::Accent);
    }
    let right = area.right();
    let glyph = if section.folded { brush.glyphs.folded } else { brush.glyphs.unfolded };
    let at = brush.text(area.x + 1, area.y, 1, glyph, Role::Muted) + 1;
    let mut at = brush.text(at, area.y, right.saturating_sub(at), &section.title, Role::Strong);
    let all = section.steps.len();
    let done = words::thousands(section.counts.done() as usize);
    let mut facts = vec![(format!("{done} of {} done", words::thousands(all)), Role::Muted)];
    if section.shown < all {
        facts.insert(0, (format!("{} shown", words::thousands(section.shown)), Role::Accent));
    }
    for status in LOUD {
        let number = section.counts.of(status) as usize;
        if number > 0 {
            facts.push((format!("{} {}", words::thousands(number), step_word(status)), step_role(status)));
        }
    }
    for (said, role) in facts {
        // What does not fit is left out whole.
        if usize::from(right.saturating_sub(at)) < text::width(&said) + 3 {
            break;
        }
        at = brush.text(at, area.y, right - at, " · ", Role::Faint);
        at = brush.text(at, area.y, right - at, &said, role);
    }
}

/// Columns of one level of the tree.
const LEVEL: u16 = 2;

/// The lines before a step in the tree; gives back the column after them.
fn branch(brush: &mut Brush<'_>, (x, y): (u16, u16), room: u16, hangs: &StepRow) -> u16 {
    let levels = u32::from(room / 2 / LEVEL).max(1);
    if hangs.depth > levels {
        // Too deep to be drawn: the depth as a number in the room of the lines.
        let depth = format!("{}{}", brush.glyphs.ellipsis, hangs.depth);
        brush.text(x, y, levels as u16 * LEVEL, &depth, Role::Faint);
        return x + levels as u16 * LEVEL;
    }
    let mut at = x;
    for level in 1..hangs.depth {
        if hangs.branches >> (level - 1) & 1 == 1 {
            brush.text(at, y, 1, brush.glyphs.line(wires::UP | wires::DOWN, 0), Role::Rule);
        }
        at += LEVEL;
    }
    if hangs.depth > 0 {
        let below = if hangs.last { 0 } else { wires::DOWN };
        brush.text(at, y, 1, brush.glyphs.line(wires::UP | wires::RIGHT | below, 0), Role::Rule);
        at += LEVEL;
        brush.text(at - 1, y, 1, if hangs.folded { brush.glyphs.folded } else { brush.glyphs.rule }, Role::Rule);
    }
    at
}

/// What is to be known of where a step hangs, short and in words: how many more steps it needs, and how many are folded away below it.
fn marks(hangs: &StepRow) -> Vec<(String, String)> {
    let mut marks = Vec::new();
    if hangs.folded {
        let below = words::thousands(hangs.below as usize);
        marks.push((format!(" ({below})"), format!(" ({below} below)")));
    }
    if hangs.more > 0 {
        marks.push((format!(" +{}", hangs.more), format!(" +{} it needs", hangs.more)));
    }
    marks
}

/// Whether the instances of a step are seen below it.
fn opener(run: &OpenRun, position: usize, ascii: bool) -> &'static str {
    let opened = run.list.opened.contains(&run.state.plan.steps[position].step_id) && !run.list.is_filtered();
    match (opened, ascii) {
        (true, false) => "▾",
        (false, false) => "▸",
        (true, true) => "-",
        (false, true) => "+",
    }
}

/// The bracket beside steps that run side by side; the sign of those that undo others.
fn group(run: &OpenRun, position: usize, ascii: bool) -> &'static str {
    if run.state.plan.steps[position].undoes().is_some() {
        return if ascii { "<" } else { "↶" };
    }
    if run.state.order().is_graph() || run.list.is_filtered() || run.list.rows.view != View::List {
        return " ";
    }
    let steps = &run.state.plan.steps;
    let Some(group) = &steps[position].parallel_group else { return " " };
    let same = |other: Option<usize>| {
        other.and_then(|other| steps.get(other)).is_some_and(|step| step.parallel_group.as_ref() == Some(group))
    };
    match (same(position.checked_sub(1)), same(Some(position + 1)), ascii) {
        (false, false, _) => " ",
        (_, _, true) => "|",
        (false, true, _) => "┌",
        (true, true, _) => "│",
        (true, false, _) => "└",
    }
}

fn bar(brush: &mut Brush<'_>, x: u16, y: u16, cells: u16, value: f64) {
    // Full only when the agent says so: rounding down.
    let full = ((value * f64::from(cells)) as u16).min(cells);
    let glyphs = brush.glyphs;
    let at = brush.text(x, y, full, &glyphs.gauge_full.repeat(full as usize), Role::Running);
    brush.text(at, y, cells - full, &glyphs.gauge_empty.repeat((cells - full) as usize), Role::Rule);
}

/// A word on the row: why it failed, who skipped it, when it tries again.
pub fn note(app: &App, run: &OpenRun, position: usize) -> (String, Role) {
    let progress = run.progress.get(&run.state.plan.steps[position].step_id);
    note_of(app, &run.state, position, progress.and_then(|progress| progress.message.as_deref()))
}

/// The same of a run that may not be open; `message`: what the attempt says it is doing.
pub fn note_of(app: &App, state: &RunState, position: usize, message: Option<&str>) -> (String, Role) {
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    match step.status {
        StepStatus::Failed => (step.why_failed().unwrap_or_default(), Role::Failed),
        StepStatus::InReview => {
            let reason = step.reviews.last().map(|review| review.judgement.reason.clone());
            (reason.unwrap_or_else(|| "waits for a verdict".into()), Role::Review)
        }
        StepStatus::Interrupted if step.was_stopped() => ("stopped half-way".into(), Role::Held),
        StepStatus::Interrupted => ("its engine ended".into(), Role::Held),
        StepStatus::Held => (state.hold_reason(position).unwrap_or("waits to be released").into(), Role::Held),
        StepStatus::Pending if state.is_hold_point(position) => {
            (state.hold_reason(position).unwrap_or("hold point").into(), Role::Muted)
        }
        StepStatus::Pending if step.rolled_back => ("was rolled back".into(), Role::Muted),
        StepStatus::Waiting => {
            let wait = step.due.map(|due| (due - app.now).as_seconds_f64()).unwrap_or_default();
            (format!("again in {}", words::span(wait.ceil())), Role::Waiting)
        }
        StepStatus::Running if step.question().is_some() => {
            let title = step.question().map(|(_, asked)| asked.question.title.clone());
            (title.filter(|title| *title != definition.step_id).unwrap_or_default(), Role::Held)
        }
        StepStatus::Running if step.attempt().is_some_and(|attempt| attempt.due.is_some()) => {
            let due = step.attempt().and_then(|attempt| attempt.due).unwrap_or(app.now);
            (format!("until {}", app.settings.zone.clock(due)), Role::Waiting)
        }
        StepStatus::Running => (message.unwrap_or_default().to_owned(), Role::Muted),
        StepStatus::Skipped => match &step.skip {
            Some(skip) if skip.why == SkipReason::Condition => ("its condition is false".into(), Role::Muted),
            Some(skip) if skip.why == SkipReason::Upstream => ("what it needs was skipped".into(), Role::Muted),
            Some(skip) => {
                let who = skip.user.as_deref().map(|user| format!("by {user}")).unwrap_or_default();
                (skip.reason.as_deref().map_or(who.clone(), |reason| format!("{who}: {reason}")), Role::Muted)
            }
            None => (String::new(), Role::Muted),
        },
        StepStatus::Completed => match &step.by_hand {
            Some(by_hand) => (format!("by hand by {}", by_hand.user), Role::Muted),
            None => (String::new(), Role::Muted),
        },
        _ => (String::new(), Role::Muted),
    }
}
