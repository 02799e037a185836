//! The header of an open run: what it is, how far, in which state and why, and which keys answer it.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::run::{Durability, RunStatus, StepStatus, short_id};

use super::super::actions::Action;
use super::super::app::{App, Place};
use super::super::attaching::{process, unreached};
use super::super::availability::availability;
use super::super::run_model::{OpenRun, Ownership};
use super::super::theme::{Role, run_role};
use super::super::{text, words};
use super::paint::Brush;

/// What the run waits for, and the keys that answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it is about, in a few words.
    pub what: String,
    /// The keys, with what they do.
    pub keys: Vec<(String, &'static str)>,
    /// How loud.
    pub role: Role,
}

/// What the operator is asked for; `None` when there is nothing to do.
pub fn call(app: &App, run: &OpenRun) -> Option<Call> {
    let state = &run.state;
    let among_steps = app.place == Place::Run;
    let does = |action: Action, what: &'static str| (app.key_of(action).to_owned(), what);
    let key = |action: Action| does(action, action.entry().label);
    match &run.ownership {
        Ownership::Damaged(damage) => {
            return Some(Call {
                what: format!("the journal is damaged: {damage}"),
                keys: Vec::new(),
                role: Role::Error,
            });
        }
        Ownership::Elsewhere(owner) => {
            let (what, keys) = match unreached(owner) {
                Some(why) => (why, Vec::new()),
                None => {
                    let steers = does(Action::Attach, "steers it from here");
                    (format!("{} has this run open", process(owner.pid)), vec![steers])
                }
            };
            return Some(Call { what, keys, role: Role::Muted });
        }
        Ownership::Nobody if !state.status.is_ended() && state.status != RunStatus::Idle => {
            // What was stopped with its engine is a person's to decide about first.
            let (what, goes_on) = match run.halted {
                true => ("its engine ended; nothing of it runs now".to_owned(), "takes it over"),
                false => ("nobody runs it now".to_owned(), "goes on with it"),
            };
            return Some(Call { what, keys: vec![does(Action::Resume, goes_on)], role: Role::Warning });
        }
        _ => {}
    }
    if let Some(error) = &run.storage {
        let what = format!("stopped by the disk: {error}. Nothing starts until it takes the journal again");
        return Some(Call { what, keys: Vec::new(), role: Role::Error });
    }
    if state.cancelling {
        return Some(Call {
            what: "attempts are being stopped".into(),
            keys: vec![does(Action::Cancel, "kills them now")],
            role: Role::Warning,
        });
    }
    // The selected step if it needs a person, else the first that does: the keys are about the selected one.
    let needing = state.needs_person();
    let selected = run.position().filter(|_| among_steps);
    let place = selected.filter(|place| needing.contains(place)).or_else(|| needing.first().copied());
    if let Some(place) = place.filter(|_| state.status != RunStatus::Idle) {
        let (definition, step) = (&state.plan.steps[place], &state.steps[place]);
        let id = &definition.step_id;
        let (what, mut keys, role) = match step.status {
            StepStatus::Held => {
                let why = state.hold_reason(place).map(|why| format!(": {why}")).unwrap_or_default();
                let (signed, needed) = state.signatures(place);
                let signed = match signed.len() {
                    0 => String::new(),
                    some => format!(", {some} of {needed} have signed"),
                };
                // Who has signed it cannot sign it again.
                let releases = selected != Some(place) || availability(app, Action::Release).is_ok();
                let keys = releases.then(|| key(Action::Release)).into_iter().chain([key(Action::Skip)]);
                (format!("{id} is held{signed}{why}"), keys.collect(), Role::Held)
            }
            StepStatus::InReview => {
                let why =
                    step.reviews.last().map(|review| format!(": {}", review.judgement.reason)).unwrap_or_default();
                let keys = vec![key(Action::Approve), key(Action::Reject), key(Action::Retry)];
                (format!("{id} waits for a verdict{why}"), keys, Role::Review)
            }
            StepStatus::Running => {
                let title = step.question().map(|(_, asked)| asked.question.title.as_str()).unwrap_or_default();
                let title = if title == id { String::new() } else { format!(": {title}") };
                (format!("{id} asks you{title}"), vec![key(Action::Answer)], Role::Held)
            }
            StepStatus::Interrupted => (
                match step.was_stopped() {
                    true => format!("{id} was stopped before it was through"),
                    false => format!("{id} was running when its engine ended"),
                },
                vec![key(Action::Retry), key(Action::Skip), key(Action::Complete)],
                Role::Held,
            ),
            _ => {
                let why = step.why_failed().map(|why| format!(": {why}")).unwrap_or_default();
                (
                    format!("{id} failed{why}"),
                    vec![key(Action::Retry), key(Action::Skip), key(Action::Complete)],
                    Role::Failed,
                )
            }
        };
        if selected != Some(place) {
            let drawn = app.place == Place::Graph && run.position() == Some(place);
            keys =
                vec![if drawn { does(Action::Visit, "goes to it") } else { does(Action::NextNeedingMe, "goes there") }];
        }
        let by_word = state.status == RunStatus::Paused && state.paused.contains(&crate::run::PauseReason::Operator);
        if by_word && crate::run::can_resume(state) {
            keys.push(key(Action::Resume));
        }
        return Some(Call { what, keys, role });
    }
    let waits = selected.filter(|place| state.steps[*place].status == StepStatus::Running);
    if let Some((place, due)) = waits.and_then(|place| Some((place, state.steps[place].attempt()?.due?))) {
        let left = words::span((due - app.now).as_seconds_f64().ceil());
        let clock = app.settings.zone.clock(due);
        let what = format!("{} waits until {clock}: {left} left", state.plan.steps[place].step_id);
        let mut keys = vec![does(Action::Complete, "ends it now")];
        if state.status == RunStatus::Paused {
            keys.push(key(Action::Resume));
        }
        return Some(Call { what, keys, role: Role::Waiting });
    }
    match state.status {
        RunStatus::Running if state.rolling_back => {
            let why = state.rollback.as_ref().map(|rollback| rollback.why.clone()).unwrap_or_default();
            Some(Call {
                what: format!("what was completed is being undone: {why}"),
                keys: vec![does(Action::Cancel, "ends that here")],
                role: Role::Warning,
            })
        }
        RunStatus::Idle => {
            let what = match words::forked_from(state) {
                Some(from) => format!("{from}; nothing of it has run yet"),
                None => "nothing has run yet".into(),
            };
            // Its second key is that of opening, which is what one presses among the steps.
            let names = app.keys.names(Action::Start);
            let name = names.get(usize::from(among_steps)).or(names.first()).copied().unwrap_or_default();
            Some(Call { what, keys: vec![(name.to_owned(), "starts it")], role: Role::Muted })
        }
        RunStatus::Paused => Some(Call {
            what: "nothing new starts".into(),
            keys: vec![key(Action::Resume), key(Action::Cancel)],
            role: Role::Held,
        }),
        _ => None,
    }
}

/// The state in capitals, as it is to be read from across the room.
pub fn word(run: &OpenRun) -> &'static str {
    match &run.ownership {
        Ownership::Damaged(_) => "DAMAGED",
        Ownership::Nobody if run.halted => "NOT RUNNING",
        _ => words::run_word(&run.state),
    }
}

/// Draws the three lines.
pub fn draw(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    if area.height < 3 {
        return;
    }
    title(app, run, brush, area);
    progress(app, run, brush, area);
    if let Some(call) = call(app, run) {
        let y = area.y + 2;
        let keys: usize = call.keys.iter().map(|(key, label)| text::width(key) + text::width(label) + 4).sum();
        let room = (area.width as usize).saturating_sub(keys + 3);
        let mut x = brush.text(area.x + 1, y, room as u16, &call.what, call.role);
        for (key, label) in &call.keys {
            x = brush.text(x + 3, y, area.right().saturating_sub(x + 3), key, Role::Key);
            x = brush.text(x + 1, y, area.right().saturating_sub(x + 1), label, Role::Text);
        }
    }
}

fn title(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let state = &run.state;
    let (y, left, right) = (area.y, area.x + 1, area.right().saturating_sub(1));
    let narrow = area.width < 110;
    let damaged = matches!(run.ownership, Ownership::Damaged(_));
    let waits = matches!(state.status, RunStatus::Paused | RunStatus::Failed) || state.cancelling || damaged;
    let role = match () {
        () if damaged => Role::Error,
        () if state.cancelling || (state.rolling_back && state.status == RunStatus::Running) => Role::Warning,
        () => run_role(state.status),
    };
    let mut word_style = brush.theme.style(role).add_modifier(Modifier::BOLD);
    let word = word(run);
    // A block only where a person is needed: it is the one thing to be seen from across the room.
    let word = if waits { format!(" {word} ") } else { word.to_string() };
    if waits {
        word_style = word_style.add_modifier(Modifier::REVERSED);
    }
    let reason = words::run_reason(state);
    let room = right.saturating_sub(left);
    let word_width = text::width(&word) as u16;
    // The headline gives way before the reason does.
    let taken = word_width + 2 + 3 + text::width(&state.plan.plan_id).min(24) as u16 + if narrow { 0 } else { 40 };
    let reason_room = room.saturating_sub(taken).max(room / 4).min(text::width(&reason) as u16);
    let reason_width = if reason.is_empty() { 0 } else { reason_room + 2 };
    let state_at = right.saturating_sub(word_width + reason_width);
    brush.text(state_at, y, word_width, &word, word_style);
    if reason_width > 0 {
        brush.text(state_at + word_width + 2, y, reason_room, &reason, if waits { role } else { Role::Muted });
    }
    let mut end = state_at.saturating_sub(3);
    let marks = marks(app, run, narrow);
    if !marks.is_empty() {
        end = brush.text_right(left, end, y, &marks, Role::Warning).saturating_sub(3);
    }
    let fork = state.parent.map(|(parent, _)| format!("fork of {}", short_id(parent)));
    let id = format!("run {}", short_id(state.run_id));
    let id = fork.as_ref().map_or(id.clone(), |fork| format!("{id}, {fork}"));
    // Which run it is goes before what its plan is about; the plan's id before both.
    let taken = left + text::width(&state.plan.plan_id) as u16 + 3;
    let fits = |facts: &String| taken + text::width(facts) as u16 <= end;
    let facts = if narrow { id } else { format!("{id} · plan v{} · {}", state.plan_version, state.user) };
    let facts = Some(facts).filter(|facts| !narrow || fits(facts)).or(fork.filter(fits)).unwrap_or_default();
    if !facts.is_empty() {
        end = brush.text_right(left, end, y, &facts, Role::Muted).saturating_sub(3);
    }
    let at = brush.text(left, y, end.saturating_sub(left), &state.plan.plan_id, Role::Strong);
    if state.plan.headline() != state.plan.plan_id && end > at + 8 {
        brush.text(at + 3, y, end.saturating_sub(at + 3), state.plan.headline(), Role::Muted);
    }
}

fn marks(app: &App, run: &OpenRun, narrow: bool) -> String {
    let place = match &run.ownership {
        Ownership::Attached(_) if narrow => Some("attached".to_owned()),
        Ownership::Attached(pid) => Some(format!("attached to process {pid}")),
        Ownership::Elsewhere(_) => Some("elsewhere".to_owned()),
        Ownership::Ours | Ownership::Nobody | Ownership::Damaged(_) => None,
    };
    let mut marks = Vec::new();
    let low = app.low.map(|space| format!("disk: {} left", space.left()));
    marks.extend(low.as_deref());
    marks.extend(place.as_deref());
    if !app.mouse {
        marks.push("mouse: terminal");
    }
    if run.state.options.simulate {
        marks.push("simulated");
    }
    if run.state.options.durability == Durability::Relaxed {
        marks.push("relaxed");
    }
    marks.join(" · ")
}

fn progress(app: &App, run: &OpenRun, brush: &mut Brush<'_>, area: Rect) {
    let counts = run.state.counts();
    let y = area.y + 1;
    let (left, right) = (area.x + 1, area.right().saturating_sub(1));
    let gauge = (area.width * 2 / 5).clamp(16, 90);
    // How far it is, is told of the plan's own steps; what is in which state, of those that undo them as well.
    let own = run.state.own_counts();
    brush.gauge(left, y, gauge, &own);
    let mut at = left + gauge + 2;
    let total = words::thousands(own.total() as usize);
    let done = format!("{:>width$} of {total}", words::thousands(own.done() as usize), width = total.len());
    at = brush.text(at, y, right.saturating_sub(at), &done, Role::Strong);
    let asking = run.state.asking().count() as u32;
    let parts = [
        (counts.of(StepStatus::Running).saturating_sub(asking), "running", Role::Running),
        (asking, "asking you", Role::Held),
        (counts.of(StepStatus::Stopping), "stopping", Role::Waiting),
        (counts.of(StepStatus::Waiting), "waiting", Role::Waiting),
        (counts.of(StepStatus::Failed), "failed", Role::Failed),
        (counts.of(StepStatus::Interrupted), "interrupted", Role::Held),
        (counts.of(StepStatus::Held), "held", Role::Held),
        (counts.of(StepStatus::InReview), "in review", Role::Review),
        // What nothing is done about any more, where there is room for it beside the clock.
        (counts.of(StepStatus::Cancelled), "cancelled", Role::Muted),
        (counts.of(StepStatus::Skipped), "skipped", Role::Muted),
    ];
    let part = |number: u32, word: &str| format!("{} {word}", words::thousands(number as usize));
    let told: usize = parts
        .iter()
        .filter(|(number, _, role)| *number > 0 && *role != Role::Muted)
        .map(|(number, word, _)| text::width(&part(*number, word)) + 3)
        .sum();
    // What is in which state has its room before the estimate has.
    let room = usize::from(right.saturating_sub(at)).saturating_sub(told + 2);
    let clock = clocks(app, run).into_iter().find(|clock| text::width(clock) <= room).unwrap_or_default();
    let end = brush.text_right(at, right, y, &clock, Role::Muted).saturating_sub(1);
    // Where there is no room for all of them, what waits for a person is said.
    let mut room = usize::from(end.saturating_sub(at + 1));
    let mut by_weight: Vec<usize> = (0..parts.len()).filter(|place| parts[*place].0 > 0).collect();
    by_weight.sort_by_key(|place| weight(parts[*place].2));
    by_weight.retain(|place| {
        let width = text::width(&part(parts[*place].0, parts[*place].1)) + 3;
        let fits = width <= room;
        room -= if fits { width } else { 0 };
        fits
    });
    by_weight.sort_unstable();
    for (number, word, role) in by_weight.into_iter().map(|place| parts[place]) {
        at = brush.text(at, y, end - at, " · ", Role::Faint);
        at = brush.text(at, y, end - at, &part(number, word), role);
    }
}

/// How late a count is said where there is no room for all of them: what has failed and what waits for a person first, what is over last.
fn weight(role: Role) -> u8 {
    match role {
        Role::Failed => 0,
        Role::Held | Role::Review => 1,
        Role::Muted => 3,
        _ => 2,
    }
}

/// How long it has taken and is going to take, the longest form first.
fn clocks(app: &App, run: &OpenRun) -> Vec<String> {
    let left = run.estimate.left(run.ticks(), app.now).filter(|_| run.is_live());
    let left = left.and_then(|left| Some((left, words::estimate(&left)?)));
    let Some(times) = run.times(app.now) else {
        return left.map(|(_, takes)| vec![format!("takes {takes}")]).unwrap_or_default();
    };
    let (said, bare) = (words::times(&times), words::duration(times.ran));
    let mut clocks = Vec::new();
    if let Some((left, takes)) = left {
        let short = takes.strip_prefix("about ").unwrap_or(&takes);
        clocks.extend(left.people.then(|| format!("{said} · {takes} left, plus your answers")));
        clocks.extend([format!("{said} · {takes} left"), format!("{bare} · {short} left")]);
    }
    clocks.extend([said, words::ran(&times), bare]);
    clocks
}
