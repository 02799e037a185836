//! The selected step: its state in one line, and its tabs.

use chrono::{DateTime, Utc};
use ratatui::layout::{Position, Rect};

use crate::plan;
use crate::run::{Answer, Answered, Asked, Attempt, OutcomeStatus, Question, RunStatus, StepStatus, checkpoint_id};

use super::super::actions::Action;
use super::super::app::{App, FilterOf};
use super::super::input::Input;
use super::super::left_behind::Known;
use super::super::listing::{instances_in_words, shown};
use super::super::markdown;
use super::super::run_model::{OpenRun, Pane, TABS, Tab};
use super::super::text;
use super::super::theme::{Role, step_role};
use super::super::words::{self, Zone};
use super::answer::draw_line;
use super::paint::Brush;

/// So much room have the facts of the step before what is said of its output.
const FACTS: usize = 38;
/// The same while the output is looked through.
const FEW_FACTS: usize = 12;

/// Draws heading, facts and tab.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, title: Rect, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let Some(position) = run.position() else {
        let said = match run.list.heading {
            Some(_) => "a heading: Space folds it or opens it again, j and k go to its steps",
            None => "no step is selected",
        };
        brush.text(title.x + 1, title.y, title.width.saturating_sub(2), said, Role::Muted);
        return;
    };
    heading(run, brush, title, position);
    facts(app, run, brush, title, position, cursor);
    let body = body(area);
    match run.tab {
        Tab::Output if asked(app, run, body.width).is_some() => {
            let page = asked(app, run, body.width).unwrap_or_default();
            let offset = run.document.offset.min(page.len().saturating_sub(body.height as usize));
            for (row, line) in page.iter().skip(offset).take(body.height as usize).enumerate() {
                draw_line(brush, Rect { y: body.y + row as u16, height: 1, ..body }, line);
            }
            let below = page.len().saturating_sub(offset + body.height as usize);
            if below > 0 {
                let said = format!(" {} more below ", words::thousands(below));
                brush.text_right(body.x, body.right(), body.bottom().saturating_sub(1), &said, Role::Muted);
            }
        }
        Tab::Output if run.shown_attempt().is_some_and(|attempt| attempt.due.is_some()) => waits(app, run, brush, body),
        Tab::Output => match run.shown_attempt() {
            Some(_) => app.output.draw(brush.buffer, body, &brush.theme, &brush.glyphs),
            None if run.state.instance_counts(position).is_some() => {
                empty(brush, body, &app.keys.fill("its instances do the work: {open} shows them"));
            }
            None => empty(brush, body, &not_run(app, run, ", so there is no output")),
        },
        Tab::Result if run.document.lines.is_empty() => {
            let ended = run.shown_attempt().is_some_and(|attempt| attempt.ended_at.is_some());
            empty(brush, body, if ended { "it gave no result" } else { "there is no result yet" });
        }
        Tab::Result | Tab::Definition => document(run, brush, body),
        Tab::Attempts => attempts(app, run, brush, body),
    }
}

/// Why there is no attempt of the selected step to be seen. What a restore has left behind is on disk still; what only the run had that this one
/// was forked from is no part of it.
fn not_run(app: &App, run: &OpenRun, so: &str) -> String {
    match run.missing_attempts() {
        None => format!("it has not run yet{so}"),
        Some(_) if run.tab == Tab::Attempts => "it has not run since the run went back".into(),
        Some(_) => app.keys.fill("not run since going back; what ran before: {next-tab} to Attempts"),
    }
}

/// An attempt that waits for a time has no output: how far it is stands in its place.
fn waits(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let Some((attempt, due)) = run.shown_attempt().and_then(|attempt| Some((attempt, attempt.due?))) else { return };
    let zone = app.settings.zone;
    let clock = |time| match zone.moment(time, app.now) {
        today if today.len() == 5 => zone.clock(time),
        other => other,
    };
    if let Some(ended) = attempt.ended_at {
        let said = match ended < due {
            true => format!("it was to wait until {}, and was ended at {}", clock(due), clock(ended)),
            false => format!("it has waited until {}", clock(due)),
        };
        empty(brush, area, &said);
        return;
    }
    let whole = (due - attempt.started_at).as_seconds_f64();
    let share = if whole > 0.0 { (attempt.seconds(app.now) / whole).min(1.0) } else { 1.0 };
    let left = words::duration((due - app.now).as_seconds_f64().ceil());
    let said = format!("it waits until {}: {left} left of {}", clock(due), words::duration(whole));
    brush.text(area.x, area.y, area.width, &said, Role::Text);
    let cells = area.width.min(60);
    let full = (share * f64::from(cells)) as u16;
    if area.height > 2 {
        let glyphs = brush.glyphs;
        let at = brush.text(area.x, area.y + 1, full, &glyphs.gauge_full.repeat(full as usize), Role::Running);
        brush.text(at, area.y + 1, cells - full, &glyphs.gauge_empty.repeat((cells - full) as usize), Role::Rule);
    }
    if area.height > 3 {
        let key = app.key_of(Action::Complete);
        let x = brush.text(area.x, area.y + 3, area.width, key, Role::Key);
        brush.text(x + 1, area.y + 3, area.width, "ends it now; the run goes on behind it", Role::Muted);
    }
}

/// What the shown attempt asks, or has asked a person to do, and the answers: it stands in the place of the output, of which such an attempt has
/// none. `None` for every other attempt.
pub fn asked(app: &App, run: &OpenRun, width: u16) -> Option<Vec<markdown::Line>> {
    let attempt = run.shown_attempt()?;
    let open = |asked: &Asked| asked.answered.is_none() && attempt.ended_at.is_none();
    let shown: Vec<&Asked> = attempt.questions.iter().filter(|one| one.question.is_task || open(one)).collect();
    if shown.is_empty() {
        return None;
    }
    let bullet = if app.glyphs.charset() == text::Charset::Ascii { "-" } else { "•" };
    let mut page: Vec<markdown::Line> = Vec::new();
    for asked in shown {
        let question = &asked.question;
        if !page.is_empty() {
            page.push(Vec::new());
        }
        if let Some(answered) = &asked.answered {
            page.extend(answer(question, answered, app.settings.zone));
            page.push(Vec::new());
        }
        match question.message.as_deref() {
            Some(message) => page.extend(markdown::lines(message, width as usize, bullet)),
            None => page.push(vec![(text::clean(&question.title).into_owned(), Role::Strong)]),
        }
        if open(asked) {
            page.push(Vec::new());
            let names: Vec<&str> = question.fields.0.iter().map(|(name, _)| name.as_str()).collect();
            let fills = match names.is_empty() {
                true => String::new(),
                false => format!(", and asks for {}", text::clean(&words::list(&names, 6))),
            };
            let key = app.key_of(Action::Answer).to_owned();
            page.push(vec![(key, Role::Key), (format!(" answers it{fills}"), Role::Muted)]);
        }
    }
    Some(page)
}

/// Who said what, and what they filled in.
fn answer(question: &Question, answered: &Answered, zone: Zone) -> Vec<markdown::Line> {
    let (yes, no) = match question.is_task {
        true => ("done", "failed"),
        false => ("answered", "declined"),
    };
    let (word, role) = match answered.answer {
        Answer::Accepted(_) => (yes, Role::Done),
        Answer::Declined => (no, Role::Failed),
    };
    let by = format!(" by {} at {}", text::clean(&answered.user), zone.clock(answered.time));
    let mut lines = vec![vec![(word.to_owned(), role), (by, Role::Muted)]];
    if let Answer::Accepted(values) = &answered.answer {
        lines.extend(values.iter().map(|(name, value)| {
            let (name, value) = (format!("  {}  ", text::clean(name)), text::clean(&plan::typed(value)).into_owned());
            vec![(name, Role::Muted), (value, Role::Text)]
        }));
    }
    lines.extend(answered.notes.iter().map(|notes| vec![(format!("  {}", text::clean(notes)), Role::Text)]));
    lines
}

/// The inside of the tab.
pub fn body(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

fn empty(brush: &mut Brush<'_>, area: Rect, said: &str) {
    brush.text(area.x, area.y, area.width, said, Role::Muted);
}

/// The tabs and their places.
fn tabs(title: Rect) -> impl Iterator<Item = (Tab, &'static str, Rect)> {
    let width = |name: &str| text::width(name) as u16;
    let all: u16 = TABS.iter().map(|(_, name)| width(name) + 2).sum::<u16>() - 2;
    let mut x = title.right().saturating_sub(1).saturating_sub(all);
    TABS.into_iter().map(move |(tab, name)| {
        let place = Rect { x, y: title.y, width: width(name), height: 1 };
        x += place.width + 2;
        (tab, name, place)
    })
}

/// The tab at a place of the screen.
pub fn tab_at(title: Rect, at: Position) -> Option<Tab> {
    tabs(title).find(|(_, _, place)| place.contains(at) && !title.is_empty()).map(|(tab, ..)| tab)
}

fn heading(run: &OpenRun, brush: &mut Brush<'_>, title: Rect, position: usize) {
    let tabs_at = tabs(title).next().map_or(title.right(), |(_, _, place)| place.x);
    for (tab, name, Rect { x, width, .. }) in tabs(title) {
        if tab == run.tab {
            let role = if run.focus == Pane::Detail { Role::Accent } else { Role::Strong };
            let style = brush.theme.style(role).add_modifier(ratatui::style::Modifier::UNDERLINED);
            brush.text(x, title.y, width, name, style);
        } else {
            brush.text(x, title.y, width, name, Role::Muted);
        }
    }
    let (definition, step) = (&run.state.plan.steps[position], &run.state.steps[position]);
    let focus = if run.focus == Pane::Detail { Role::Accent } else { Role::Strong };
    let shown_attempt = run.shown_attempt();
    let newest = step.attempt().map(|attempt| attempt.number);
    let older = shown_attempt.filter(|attempt| Some(attempt.number) != newest);
    let attempt = shown_attempt.map(|attempt| {
        // Of one that was left behind the line below says where it lies.
        let here = step.attempts.iter().any(|one| one.number == attempt.number);
        let of = older.filter(|_| here).map(|_| format!(" of {}", step.last_attempt)).unwrap_or_default();
        format!("attempt {}{of}", attempt.number)
    });
    // How often it is tried again by itself, while that is still to be seen.
    let retries = definition.max_retries.filter(|most| *most > 0 && step.status == StepStatus::Running);
    let retries =
        retries.filter(|_| run.attempt.is_none()).map(|most| words::retries(most.saturating_sub(step.retries)));
    // Whoever looks at an older attempt reads what became of that one, and not of the step.
    let (status, word) = match older {
        Some(attempt) => (verdict(attempt).0, ended_as(attempt)),
        None => shown(&run.state, position),
    };
    let role = step_role(status);
    let limit = tabs_at.saturating_sub(2);
    let left = |at: u16| limit.saturating_sub(at);
    let at = brush.text(title.x + 1, title.y, left(title.x + 1), brush.glyphs.step(status), role) + 1;
    let mut at = brush.text(at, title.y, left(at), &definition.step_id, focus);
    // What does not fit is left out whole: a word that is cut is no word.
    let (word, attempt) = (Some((word.to_string(), role)), attempt.map(|attempt| (attempt, Role::Muted)));
    let (first, second) = if older.is_some() { (attempt, word) } else { (word, attempt) };
    let more = [first, second, retries.map(|left| (left, Role::Muted))];
    for (word, role) in more.into_iter().flatten() {
        if (left(at) as usize) < text::width(&word) + 3 {
            break;
        }
        at = brush.text(at, title.y, left(at), " · ", Role::Faint);
        at = brush.text(at, title.y, left(at), &word, role);
    }
}

/// One line under the heading: how it ended, since when it runs, what it waits for.
fn facts(
    app: &App,
    run: &OpenRun,
    brush: &mut Brush<'_>,
    title: Rect,
    position: usize,
    cursor: &mut Option<(u16, u16)>,
) {
    let y = title.y + 1;
    let (x, width) = (title.x + 1, title.width.saturating_sub(2));
    if let Some((of @ (FilterOf::Output | FilterOf::Lines), input)) = &app.typing {
        let field = Rect { x, y, width, height: 1 };
        looking(app, *of == FilterOf::Lines, input, brush, field, cursor);
        return;
    }
    let ((loud_text, role), quiet) = facts_text(app, run, position);
    let mut width = width;
    let prints = |attempt: &Attempt| attempt.questions.is_empty() && attempt.due.is_none();
    if run.tab == Tab::Output && run.shown_attempt().is_some_and(prints) {
        // What was made of the output goes before the facts, and they before its place.
        let facts = text::width(&loud_text) + text::width(&quiet) + if loud_text.is_empty() { 0 } else { 3 };
        let room = |facts: usize| (width as usize).saturating_sub(facts + 2);
        let mut room_left = room(facts.min(FACTS));
        let mut status = app.output.status_in(room_left);
        if app.output.is_looked_through() && text::width(&status) > room_left {
            room_left = room(facts.min(FEW_FACTS));
            status = app.output.status_in(room_left);
        }
        if !status.is_empty() && text::width(&status) <= room_left {
            brush.text_right(x, x + width, y, &status, Role::Faint);
            width -= text::width(&status) as u16 + 2;
        }
    }
    let mut at = brush.text(x, y, width, &loud_text, role);
    if !quiet.is_empty() {
        if !loud_text.is_empty() {
            at = brush.text(at, y, (x + width).saturating_sub(at), " · ", Role::Faint);
        }
        brush.text(at, y, (x + width).saturating_sub(at), &quiet, Role::Muted);
    }
}

/// What is looked for in the output, while it is typed: how far that is, or what is wrong with it, and where.
fn looking(app: &App, lines: bool, input: &Input, brush: &mut Brush<'_>, area: Rect, cursor: &mut Option<(u16, u16)>) {
    let (y, right) = (area.y, area.right());
    let regex = app.looking.regex;
    let label = match (lines, regex) {
        (false, false) => "/",
        (false, true) => "regex /",
        (true, false) => "only lines with ",
        (true, true) => "only lines with regex ",
    };
    let at = brush.text(area.x, y, area.width, label, Role::Accent);
    let wrong = app.looking.wrong.as_ref();
    let (said, role) = match (wrong, lines) {
        _ if input.is_empty() => (String::new(), Role::Muted),
        (Some(wrong), _) => (wrong.said.clone(), Role::Error),
        (None, false) => (app.output.found_in_words(), Role::Muted),
        (None, true) => (app.output.lines_in_words(), Role::Muted),
    };
    // What is typed has its room before how far it is, and what is wrong with it before both. The keys are in the footer.
    let left = (right.saturating_sub(at) as usize).saturating_sub(text::width(&input.text()) + 3);
    let told = text::width(&said);
    let mut limit = right;
    if !said.is_empty() && (told <= left || wrong.is_some()) {
        let typed = (text::width(&input.text()) as u16 + 2).min((limit - at) / 3);
        let from = limit.saturating_sub(told as u16).max(at + typed);
        limit = brush.text_right(from, limit, y, &said, role).saturating_sub(2);
    }
    let room = limit.saturating_sub(at);
    let (shown, column) = input.visible(room as usize);
    let end = brush.text(at, y, room, &shown, Role::Text);
    if input.is_selected() {
        brush.over(Rect { x: at, y, width: end.saturating_sub(at), height: 1 }, Role::Selection);
    }
    let column = at + column as u16;
    if let Some(wrong) = wrong {
        // Counted from the cursor, which is always to be seen.
        let mut place = input.clone();
        place.go_to(wrong.at.min(input.text().chars().count().saturating_sub(1)));
        let (same, there) = place.visible(room as usize);
        if same == shown {
            let style = brush.theme.style(Role::Error).add_modifier(ratatui::style::Modifier::UNDERLINED);
            brush.over(Rect { x: at + there as u16, y, width: 1, height: 1 }, style);
        }
    }
    *cursor = Some((column, y));
}

fn facts_text(app: &App, run: &OpenRun, position: usize) -> ((String, Role), String) {
    let state = &run.state;
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let none = (String::new(), Role::Muted);
    let zone = app.settings.zone;
    if step.status == StepStatus::Held && run.attempt.is_none() {
        let why = state.hold_reason(position).unwrap_or("waits to be released");
        let signed = state.signatures_in_words(position).map(|signed| format!("{signed} · ")).unwrap_or_default();
        // Who has signed it cannot sign it again.
        let mine = state.signatures(position).0.iter().any(|one| one.user == app.settings.user);
        let next = if mine { "another person has to sign".into() } else { app.keys.fill("{release} releases it") };
        return ((why.to_string(), Role::Held), format!("{signed}{next}"));
    }
    if let Some(skip) = step.skip.as_ref().filter(|_| step.status == StepStatus::Skipped && run.attempt.is_none()) {
        let who = skip.user.as_deref().map(|user| format!("skipped by {user}")).unwrap_or_default();
        return (none, skip.reason.as_deref().map_or(who.clone(), |reason| format!("{who}: {reason}")));
    }
    if let Some(by_hand) = step.by_hand.as_ref().filter(|_| run.attempt.is_none()) {
        return (none, format!("completed by hand by {}", by_hand.user));
    }
    if let Some(why) = step.why_failed().filter(|_| step.attempts.is_empty()) {
        return ((why, Role::Failed), String::new());
    }
    if let Some(counts) = state.instance_counts(position) {
        return (none, instances_in_words(counts));
    }
    let Some(attempt) = run.shown_attempt() else {
        let waits = state.unmet(position);
        let names = state.step_ids(waits.iter().take(20));
        let mut said = match (names.is_empty(), state.may_start()) {
            (true, true) => "ready: waits for its turn".to_string(),
            (true, false) if state.status == RunStatus::Idle => "starts with the run".to_string(),
            (true, false) if state.status.is_ended() => "never started".to_string(),
            (true, false) => "ready when the run goes on".to_string(),
            (false, _) if waits.len() > names.len() => format!("waits for {}", words::count(waits.len(), "step")),
            (false, _) => format!("waits for {}", words::list(&names, 3)),
        };
        if state.is_hold_point(position) {
            said.push_str(" · hold point");
            if let Some(reason) = state.hold_reason(position) {
                said.push_str(&format!(": {reason}"));
            }
        }
        return (none, said);
    };
    let started = zone.clock(attempt.started_at);
    match (&attempt.outcome, attempt.ended_at) {
        (Some(outcome), Some(ended)) => {
            let words = attempt.in_words();
            let role = match attempt.ending().unwrap_or(outcome.status) {
                OutcomeStatus::Failed => Role::Failed,
                OutcomeStatus::Succeeded => Role::Muted,
                OutcomeStatus::Stopped | OutcomeStatus::Lost => Role::Held,
            };
            let mut quiet = match outcome.status {
                // How long it ran is not known.
                OutcomeStatus::Lost => format!("started {started}"),
                _ => format!("{} · ended {}", words::duration(attempt.seconds(app.now)), zone.clock(ended)),
            };
            if step.status == StepStatus::Pending && run.attempt.is_none() {
                let when = if state.may_start() { "when its turn comes" } else { "when the run goes on" };
                return (
                    none,
                    format!("runs again {when} · last time: {}", if words.is_empty() { "succeeded" } else { &words }),
                );
            }
            if outcome.strays > 0 {
                quiet.push_str(&format!(
                    " · {} left over and stopped",
                    words::count(outcome.strays as usize, "process")
                ));
            }
            if step.status == StepStatus::Waiting
                && let Some(due) = step.due
            {
                quiet.push_str(&format!(" · tries again at {}", zone.clock(due)));
            }
            if step.attempts.iter().all(|one| one.number != attempt.number) {
                let what = format!("attempt {}, left behind by going back", attempt.number);
                let quiet = if words.is_empty() { quiet } else { format!("{words} · {quiet}") };
                return ((what, Role::Held), quiet);
            }
            ((words, role), quiet)
        }
        _ => {
            if step.question().is_some() && run.attempt.is_none() {
                let ago = words::duration(attempt.seconds(app.now));
                return (none, format!("asked {ago} ago · {} answers it", app.key_of(Action::Answer)));
            }
            let mut quiet = format!("started {started} · {}", words::duration(attempt.seconds(app.now)));
            if let Some(limit) = definition.timeout_seconds {
                quiet.push_str(&format!(" of {}", words::duration(limit)));
            }
            if let Some(due) = attempt.due {
                quiet.push_str(&format!(" of {}", words::duration((due - attempt.started_at).as_seconds_f64())));
            }
            if let Some(progress) = run.progress.get(&definition.step_id).filter(|one| one.attempt == attempt.number) {
                if let Some(value) = progress.value {
                    quiet.push_str(&format!(" · {} %", (value * 100.0) as u32));
                }
                if let Some(message) = &progress.message {
                    quiet.push_str(&format!(" · {message}"));
                }
            }
            (none, quiet)
        }
    }
}

/// What of the document is seen.
fn document(run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let lines = &run.document.lines;
    for (row, line) in lines.iter().skip(run.document.offset).take(area.height as usize).enumerate() {
        draw_line(brush, Rect { y: area.y + row as u16, height: 1, ..area }, line);
    }
    let below = lines.len().saturating_sub(run.document.offset + area.height as usize);
    if below > 0 {
        let said = format!(" {} more below ", words::thousands(below));
        brush.text_right(area.x, area.right(), area.bottom().saturating_sub(1), &said, Role::Muted);
    }
}

/// Every attempt, the newest on top, with a cursor; below them the keys that open one.
fn attempts(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let all = run.attempts();
    let mut area = area;
    let trouble = run.left.trouble(run.list.selected.as_deref().unwrap_or_default());
    if let Some(said) = trouble.filter(|_| area.height > 1) {
        brush.text(area.x, area.bottom() - 1, area.width, said, Role::Muted);
        area.height -= 1;
    }
    if all.is_empty() {
        empty(brush, area, &not_run(app, run, ""));
        return;
    }
    if area.height > 2 {
        let keys = match run.focus {
            Pane::Detail => "{open} opens what it printed; {down} and {up} choose another",
            _ => "{next-pane} comes here, {open} then opens what an attempt printed",
        };
        // Below the last one, with a line between where there is room for it.
        let below = (all.len() + 1).min(area.height as usize - 1) as u16;
        brush.text(area.x, area.y + below, area.width, &app.keys.fill(keys), Role::Muted);
        area.height -= 1;
    }
    let pointed = run.pointed_attempt();
    let row = all.iter().rev().position(|one| Some(one.attempt.number) == pointed).unwrap_or(0);
    let height = area.height.max(1) as usize;
    let offset = (row + 1).saturating_sub(height);
    for (place, Known { attempt, left }) in all.iter().rev().enumerate().skip(offset).take(height) {
        let y = area.y + (place - offset) as u16;
        let loud = |role: Role| if left.is_some() { Role::Muted } else { role };
        let selected = Some(attempt.number) == pointed;
        if selected {
            let role = if run.focus == Pane::Detail { Role::Selection } else { Role::SelectionIdle };
            brush.over(Rect { x: area.x, y, width: area.width, height: 1 }, role);
            brush.text(area.x.saturating_sub(1), y, 1, brush.glyphs.selected, Role::Accent);
        }
        let (status, words) = verdict(attempt);
        let mut x = area.x;
        brush.text(x, y, 2, brush.glyphs.step(status), loud(step_role(status)));
        x += 2;
        let role = if selected { Role::Strong } else { loud(Role::Text) };
        brush.text_right(x, x + 4, y, &attempt.number.to_string(), role);
        x += 6;
        brush.text(x, y, 8, &app.settings.zone.clock(attempt.started_at), Role::Muted);
        x += 10;
        brush.text_right(x, x + 8, y, &words::duration(attempt.seconds(app.now)), Role::Muted);
        x += 10;
        let role = loud(if status == StepStatus::Failed { Role::Failed } else { Role::Text });
        brush.text(x, y, area.right().saturating_sub(x), &in_its_line(&words, *left), role);
    }
}

/// How an attempt ended, and that going back has left it behind.
fn in_its_line(words: &str, left: Option<u64>) -> String {
    match left {
        Some(to) => format!("left behind, back to {} · {words}", checkpoint_id(to)),
        None => words.to_owned(),
    }
}

/// An attempt's state as if it were a step's, and in words.
fn verdict(attempt: &Attempt) -> (StepStatus, String) {
    let Some(ending) = attempt.ending() else { return (StepStatus::Running, "running".into()) };
    let words = attempt.in_words();
    match ending {
        OutcomeStatus::Succeeded => (StepStatus::Completed, if words.is_empty() { "succeeded".into() } else { words }),
        OutcomeStatus::Failed => (StepStatus::Failed, words),
        OutcomeStatus::Stopped => (StepStatus::Cancelled, words),
        OutcomeStatus::Lost => (StepStatus::Interrupted, words),
    }
}

/// How an attempt ended, in a word.
fn ended_as(attempt: &Attempt) -> &'static str {
    match attempt.ending() {
        None => "running",
        Some(OutcomeStatus::Failed) if attempt.timed_out => "timed out",
        Some(OutcomeStatus::Succeeded) => "succeeded",
        Some(OutcomeStatus::Failed) => "failed",
        Some(OutcomeStatus::Stopped) => "stopped",
        Some(OutcomeStatus::Lost) => "lost",
    }
}

/// The attempts as text, for copying.
pub fn attempts_text(run: &OpenRun, zone: Zone, now: DateTime<Utc>) -> String {
    let line = |Known { attempt, left }: &Known<'_>| {
        let words = in_its_line(&verdict(attempt).1, *left);
        let took = words::duration(attempt.seconds(now));
        format!("attempt {}  {}  {took}  {words}", attempt.number, zone.clock(attempt.started_at))
    };
    run.attempts().iter().rev().map(line).collect::<Vec<_>>().join("\n")
}
