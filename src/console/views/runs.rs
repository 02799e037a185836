//! The list of runs and plans.

use ratatui::layout::Rect;

use crate::engine::ListedRun;
use crate::run::{Counts, RunStatus, StepStatus};

use super::super::app::{App, FilterOf};
use super::super::attaching::process;
use super::super::runs_model::{Line, PlanEntry, RowId, Section, state_word};
use super::super::theme::{Role, run_role};
use super::super::{text, tour, words};
use super::paint::Brush;
use super::{filter, footer, glimpse, steps};

/// Rows of the tour: a heading, its keys and a blank above.
const TOUR: u16 = 3 + tour::KEYS.len() as u16;

/// Where the lines of the list are; with the tour below them there are fewer, and one is left for what lies outside when not all have room.
pub fn list_area(area: Rect, tour: bool, lines: usize) -> Rect {
    let top = if area.height >= 30 { 3 } else { 2 };
    let below = if tour { 2 + TOUR } else { 2 };
    let height = area.height.saturating_sub(top + below);
    let outside = u16::from(lines > usize::from(height) && height > 1);
    Rect { y: area.y + top.min(area.height), height: height - outside, ..area }
}

/// Fewer rows than this below the list tell nothing of a run.
const GLIMPSE: u16 = 6;

/// Where something is seen of the selected row: below a list that leaves room for it, on a screen that has some.
pub fn glimpse_area(area: Rect, tour: bool, lines: usize) -> Option<Rect> {
    let list = list_area(area, tour, lines);
    let taken = u16::try_from(lines).ok()?.checked_add(1)?;
    let height = list.height.checked_sub(taken)?;
    let roomy = area.height >= 30 && lines > 0 && height >= GLIMPSE;
    roomy.then_some(Rect { y: list.y + taken, height, ..list })
}

/// The keys that a newcomer needs.
fn draw_tour(app: &App, brush: &mut Brush<'_>, area: Rect) {
    brush.rule(Rect { height: 1, ..area });
    let heading = " New here? Four keys are enough to begin ";
    brush.text(area.x + 1, area.y, area.width.saturating_sub(2), heading, Role::Accent);
    for (row, (action, does)) in (1..).zip(tour::KEYS) {
        let y = area.y + row;
        brush.text_right(area.x, area.x + 10, y, app.key_of(action), Role::Key);
        brush.text(area.x + 12, y, area.width.saturating_sub(13), does, Role::Text);
    }
    let said = app.keys.fill("{back} puts this away for good; every key works meanwhile");
    brush.text(area.x + 12, area.bottom() - 1, area.width.saturating_sub(13), &said, Role::Muted);
}

struct Columns {
    plan: u16,
    id: u16,
    text: u16,
    gauge: u16,
    progress: u16,
    took: u16,
    when: u16,
    user: u16,
}

const WORD: u16 = 11;

impl Columns {
    /// What tells two runs of a plan apart, id and time, is there at every width.
    fn new(width: u16) -> Self {
        let (id, gauge, progress, took, when, user) = match width {
            140.. => (10, 14, 18, 9, 14, 12),
            110.. => (10, 12, 14, 9, 8, 10),
            96.. => (10, 8, 11, 9, 8, 0),
            _ => (9, 6, 9, 0, 7, 0),
        };
        let fixed = 1 + 2 + WORD + id + gauge + 1 + progress + took + when + user;
        let rest = width.saturating_sub(fixed);
        let plan = (rest / 3).clamp(16, 34).min(rest);
        Self { plan, id, text: rest - plan, gauge, progress, took, when, user }
    }
}

/// Draws the place.
pub fn draw(app: &App, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    heading(app, brush, area, cursor);
    let lines = app.runs.lines();
    let list = list_area(area, app.tour, lines.len());
    let columns = Columns::new(list.width);
    let end = last_seen(lines, app.runs.offset, list.height as usize);
    for (row, line) in lines.iter().take(end).skip(app.runs.offset).enumerate() {
        let place = Rect { y: list.y + row as u16, height: 1, ..list };
        match line {
            Line::Gap => {}
            Line::Heading(section, number) => {
                let role = if *section == Section::Waiting { Role::Held } else { Role::Strong };
                let at = brush.text(place.x + 1, place.y, place.width, section.title(), role);
                let number = words::thousands(*number);
                brush.text(at + 2, place.y, place.right().saturating_sub(at + 2), &number, Role::Muted);
            }
            Line::Row(id) => {
                let selected = app.runs.selected.as_ref() == Some(id);
                if selected {
                    brush.over(place, Role::Selection);
                    brush.text(place.x, place.y, 1, brush.glyphs.selected, Role::Accent);
                }
                match id {
                    RowId::Run(id) => {
                        if let Some(listed) = app.runs.run(*id) {
                            run(app, brush, place, &columns, listed, selected);
                        }
                    }
                    RowId::Plan(path) => {
                        if let Some(entry) = app.runs.plan(path) {
                            plan(app, brush, place, &columns, entry, selected);
                        }
                    }
                }
            }
        }
    }
    if lines.is_empty() {
        empty(app, brush, list);
    }
    if let Some(below) = glimpse_area(area, app.tour, lines.len()) {
        glimpse::draw(app, brush, below);
    }
    if lines.len() > list.height as usize {
        draw_outside(app, brush, Rect { y: list.bottom(), height: 1, ..list }, end);
    }
    if app.tour {
        draw_tour(app, brush, Rect { y: area.bottom().saturating_sub(1 + TOUR), height: TOUR - 1, ..area });
    }
    let rule = Rect { y: area.bottom() - 2, height: 1, ..area };
    let keys = Rect { y: area.bottom() - 1, height: 1, ..area };
    footer::draw(app, brush, rule, keys);
}

/// The line after the last one that is shown: a heading with nothing below it says nothing.
fn last_seen(lines: &[Line], offset: usize, height: usize) -> usize {
    let end = lines.len().min(offset + height);
    if end == lines.len() {
        return end;
    }
    let shown = lines[offset.min(end)..end].iter().rev();
    end - shown.take_while(|line| !matches!(line, Line::Row(_))).count()
}

/// How many rows lie above and below those that are seen, and of which groups.
fn draw_outside(app: &App, brush: &mut Brush<'_>, area: Rect, end: usize) {
    let lines = app.runs.lines();
    let rows = |lines: &[Line]| lines.iter().filter(|line| matches!(line, Line::Row(_))).count();
    let mut x = area.x + 1;
    let above = rows(&lines[..app.runs.offset.min(end)]);
    if above > 0 {
        let said = format!("{} {} above", brush.glyphs.up, words::thousands(above));
        x = brush.text(x, area.y, area.right().saturating_sub(x), &said, Role::Muted) + 3;
    }
    let below = &lines[end..];
    if rows(below) > 0 {
        let groups = below.iter().filter_map(|line| match line {
            Line::Heading(section, number) => Some(format!(" · {} {}", section.title(), words::thousands(*number))),
            _ => None,
        });
        let said =
            format!("{} {} below{}", brush.glyphs.down, words::thousands(rows(below)), groups.collect::<String>());
        brush.text(x, area.y, area.right().saturating_sub(x + 1), &said, Role::Muted);
    }
}

fn heading(app: &App, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let right = area.right().saturating_sub(1);
    let at = brush.text(area.x + 1, area.y, area.width, "Holdpoint", Role::Strong);
    let waiting = app.runs.waiting_count();
    let active = app.runs.active_count();
    let mut said = Vec::new();
    if active > 0 {
        said.push(format!("{} active", words::thousands(active)));
    }
    if app.settings.simulate {
        said.push("unbound agents are simulated".into());
    }
    let mut end = right;
    if waiting > 0 {
        let text = if waiting == 1 {
            "1 waits for you".to_string()
        } else {
            format!("{} wait for you", words::thousands(waiting))
        };
        end = brush.text_right(at, end, area.y, &text, Role::Held);
        if !said.is_empty() {
            end = brush.text_right(at, end, area.y, " · ", Role::Faint);
        }
    }
    end = brush.text_right(at, end, area.y, &said.join(" · "), Role::Muted);
    if let Some(space) = app.low {
        let text = format!("the disk is nearly full: {} left", space.left());
        end = brush.text_right(at, end, area.y, &text, Role::Warning).saturating_sub(3);
    }
    let title = Rect { width: end.saturating_sub(area.x), height: 1, ..area };
    let x = steps::marked(app, brush, title, at) + 3;
    let width = end.saturating_sub(x + 2);
    if let Some((FilterOf::Runs, input)) = &app.typing {
        let (_, column) = filter::typed(input, brush, x, area.y, width.min(62));
        *cursor = Some((column, area.y));
    } else if !app.runs.filter.is_empty() {
        filter::kept(app, &app.runs.filter, brush, x, area.y, width);
    } else {
        let from = format!("{} · {}", app.settings.plans_dir.display(), app.settings.checkpoints_dir.display());
        brush.text(x, area.y, width, &from, Role::Faint);
    }
    if let Some(error) = &app.runs.error {
        brush.text(
            area.x + 1,
            area.y + 1,
            area.width.saturating_sub(2),
            &format!("the runs cannot be read: {error}"),
            Role::Error,
        );
    }
}

fn empty(app: &App, brush: &mut Brush<'_>, list: Rect) {
    let plans = app.settings.plans_dir.display().to_string();
    let lines: Vec<(String, Role)> = if app.runs.loaded != (true, true) {
        vec![("reading plans and runs".into(), Role::Muted)]
    } else if !app.runs.filter.is_empty() {
        vec![(app.keys.fill("nothing matches; {back} clears the filter"), Role::Muted)]
    } else {
        vec![
            ("There is no plan and no run here yet.".into(), Role::Strong),
            (String::new(), Role::Text),
            (format!("A plan is a JSON file in {plans}. The smallest one:"), Role::Muted),
            (String::new(), Role::Text),
            (
                "  {\"plan_id\": \"hello\", \"steps\": [{\"step_id\": \"greet\", \"run\": \"echo hello\"}]}".into(),
                Role::Text,
            ),
            (String::new(), Role::Text),
            (app.keys.fill("{refresh} looks again."), Role::Muted),
        ]
    };
    for (row, (line, role)) in lines.iter().enumerate().take(list.height as usize) {
        brush.text(list.x + 1, list.y + row as u16, list.width.saturating_sub(2), line, *role);
    }
}

fn run(app: &App, brush: &mut Brush<'_>, area: Rect, columns: &Columns, listed: &ListedRun, selected: bool) {
    let summary = &listed.summary;
    let y = area.y;
    let (word, role) = state(listed);
    let mut x = area.x + 1;
    let stopped = summary.status == RunStatus::Running && !listed.owned;
    let glyph = if stopped { brush.glyphs.step(StepStatus::Interrupted) } else { brush.glyphs.run(summary.status) };
    brush.text(x, y, 2, glyph, role);
    if app.runs.marked.has(&summary.run_id) {
        brush.text(x + 1, y, 1, brush.glyphs.marked, Role::Accent);
    }
    x += 2;
    brush.text(x, y, WORD - 1, word, role);
    x += WORD;
    brush.text(
        x,
        y,
        columns.plan.saturating_sub(2),
        &summary.plan_id,
        if selected { Role::Strong } else { Role::Text },
    );
    x += columns.plan;
    brush.text(x, y, columns.id - 1, &summary.short_id(), Role::Muted);
    x += columns.id;
    let reason = words::standing(listed);
    let room = columns.text.saturating_sub(2) as usize;
    let place = listed.elsewhere().map(|owner| process(owner.pid));
    let fork = words::fork_of(summary);
    let (said, said_role) = match (reason, fork) {
        (Some(reason), Some(fork)) => {
            let whole = format!("{reason} · {fork}");
            let fits = text::width(&whole) <= room;
            (if fits { whole } else { format!("fork · {reason}") }, role)
        }
        (Some(reason), None) => (reason, role),
        (None, Some(fork)) => (format!("{fork} · {}", summary.headline), Role::Muted),
        (None, None) => (summary.headline.clone(), Role::Muted),
    };
    // Why it stands still goes before where that is.
    let said = match words::finishing(listed) {
        Some(more) if text::width(&said) + 3 + text::width(&more) <= room => format!("{said} · {more}"),
        _ => said,
    };
    let said = match place {
        Some(place) if said_role == Role::Muted => format!("{place} · {said}"),
        Some(place) if text::width(&said) + 3 + text::width(&place) <= room => format!("{said} · {place}"),
        _ => said,
    };
    brush.text(x, y, columns.text.saturating_sub(2), &said, said_role);
    x += columns.text;
    let counts = summary.own_counts();
    brush.gauge(x, y, columns.gauge, &counts);
    x += columns.gauge + 1;
    brush.text_right(x, x + columns.progress - 2, y, &progress(&counts, columns.progress - 2), Role::Muted);
    x += columns.progress;
    if let Some(times) = summary.times(app.now, listed.owned).filter(|_| columns.took > 0) {
        brush.text_right(x, x + columns.took - 1, y, &words::duration(times.ran), Role::Muted);
    }
    x += columns.took;
    let (began, zone) = (summary.started_at.unwrap_or(summary.created_at), app.settings.zone);
    let when = if columns.when < 14 { zone.day_or_time(began, app.now) } else { zone.moment(began, app.now) };
    // Two columns apart from what follows, as columns are.
    let apart = if columns.user > 0 { 2 } else { 1 };
    brush.text_right(x, x + columns.when - apart, y, &when, Role::Muted);
    x += columns.when;
    if columns.user > 0 {
        brush.text(x, y, columns.user - 1, &summary.user, Role::Faint);
    }
}

fn plan(app: &App, brush: &mut Brush<'_>, area: Rect, columns: &Columns, entry: &PlanEntry, selected: bool) {
    let y = area.y;
    let mut x = area.x + 1;
    let fine = entry.plan.is_some();
    let (glyph, word, role) = if fine {
        (brush.glyphs.arrow, "plan", Role::Muted)
    } else {
        (brush.glyphs.step(StepStatus::Failed), "invalid", Role::Failed)
    };
    brush.text(x, y, 2, glyph, role);
    x += 2;
    brush.text(x, y, WORD - 1, word, role);
    x += WORD;
    brush.text(x, y, columns.plan.saturating_sub(2), &entry.plan_id, if selected { Role::Strong } else { Role::Text });
    x += columns.plan;
    let said = match &entry.plan {
        Some(plan) if plan.headline != plan.plan_id => text::clean(&plan.headline).into_owned(),
        Some(_) => String::new(),
        None => {
            format!("{} · {}", words::count(entry.problems, "problem"), app.keys.fill("{open} shows them"))
        }
    };
    // A plan has neither id nor gauge: its headline has the room.
    let room = columns.id + columns.text + columns.gauge;
    brush.text(x, y, room.saturating_sub(2), &said, if fine { Role::Muted } else { Role::Failed });
    x += room + 1;
    if let Some(plan) = &entry.plan {
        brush.text_right(
            x.saturating_sub(columns.gauge),
            x + columns.progress - 2,
            y,
            &words::count(plan.steps, "step"),
            Role::Muted,
        );
    }
}

/// How far a run is, as it has room: `3 of 8`, `3/8`, `37 %`.
fn progress(counts: &Counts, room: u16) -> String {
    let (done, total) = (counts.done(), counts.total());
    let [some, all] = [done, total].map(|number| words::thousands(number as usize));
    let forms = [format!("{some} of {all}"), format!("{some}/{all}")];
    let fits = |form: &String| text::width(form) <= usize::from(room);
    let percent = || format!("{} %", u64::from(done) * 100 / u64::from(total.max(1)));
    forms.into_iter().find(fits).unwrap_or_else(percent)
}

/// A run's state in a word, and its role.
fn state(listed: &ListedRun) -> (&'static str, Role) {
    let summary = &listed.summary;
    let role = match summary.status {
        _ if summary.cancelling && listed.owned => Role::Warning,
        _ if summary.is_halted(listed.owned) => Role::Held,
        RunStatus::Running if summary.rolling_back => Role::Warning,
        status => run_role(status),
    };
    (state_word(listed), role)
}
