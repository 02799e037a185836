//! Where a run stands: on one screen, as the older system's snapshot, and as the summary at the end of a run.

use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::console::listing::{instances_in_words, shown, shown_status};
use crate::console::log::asked;
use crate::console::output::{QUOTED_LINES, TAIL_LINES, tail};
use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::engine::{EngineHandle, output_path, past};
use crate::journal::{Loaded, Store};
use crate::run::{
    Forecast, Grounds, Metrics, Outlook, PauseReason, RunState, RunStatus, STEP_STATUSES, Standstill, StepStatus,
    checkpoint_id, leave_alone, open_questions, short_id, signed_by, snapshot,
};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Cell, Page, cell};
use super::say::Ink;
use super::{ctl, trouble};

/// So many steps are shown one by one.
const STEPS_SHOWN: usize = 30;
/// So many interventions are shown.
const LOG_SHOWN: usize = 5;

/// `holdpoint show`
pub fn show(context: &Context, name: &str, format: Format) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let loaded = store.load_checked(&dir)?;
    let now = Utc::now();
    let mut out = Page::stdout(context.no_color);
    match format {
        Format::Json => {
            let mut shown = snapshot(&loaded.state, now);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("owner_pid".into(), loaded.owner.as_ref().and_then(|owner| owner.pid).into());
                let trouble = trouble::storage(&store, &loaded.owner).remove(&loaded.state.run_id);
                fields.insert("storage_trouble".into(), serde_json::to_value(trouble).unwrap_or_default());
                fields.insert("owned".into(), loaded.owner.is_some().into());
                fields.insert("head".into(), loaded.place.hash.to_string().into());
                fields.insert("folder".into(), loaded.dir.to_string_lossy().into());
                fields.insert(
                    "estimate".into(),
                    forecast(&loaded, &store, now).map_or(Value::Null, |it| as_json(&it, &loaded.state)),
                );
                fields.insert("health".into(), health(&loaded.state, now));
                let times = loaded.state.times(now, loaded.owner.is_some());
                fields.insert("ran_seconds".into(), times.map(|times| times.ran).into());
                fields.insert("damage".into(), loaded.damage.as_ref().map(ToString::to_string).into());
            }
            serde_json::to_writer_pretty(&mut out, &shown).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => {
            let mut loaded = loaded;
            let halted = loaded.owner.is_none() && leave_alone(&mut loaded.state);
            text(&mut out, context, &loaded, halted, &store, now)?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// How the run's agents do, and how long it has stood still.
fn health(state: &RunState, now: DateTime<Utc>) -> Value {
    let agents = Metrics::of(state).agents;
    let agents: serde_json::Map<String, Value> =
        agents.iter().map(|(name, one)| (name.clone(), one.to_json())).collect();
    let standstill = Standstill::of(state, now);
    let reasons: serde_json::Map<String, Value> =
        standstill.reasons.iter().map(|(reason, seconds)| (reason.word().to_owned(), json!(seconds))).collect();
    json!({"agents": agents, "paused_seconds": standstill.seconds, "paused_by_reason": reasons})
}

fn text(
    out: &mut Page<impl Write>,
    context: &Context,
    loaded: &Loaded,
    halted: bool,
    store: &Store,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let state = &loaded.state;
    let paint = out.paint();
    let plan = &state.plan;
    let headline =
        if plan.headline() == plan.plan_id { String::new() } else { format!("  {}", clean(plan.headline())) };
    out.prose(&format!("{}{headline}", paint.ink(Ink::Strong, &clean(&plan.plan_id))))?;
    out.parts(Ink::of_run(state.status), &headline_of_state(state, halted))?;
    if let Some(trouble) = trouble::storage(store, &loaded.owner).get(&state.run_id) {
        let since = Zone::Local.moment(trouble.since, now);
        let line = format!("{} (since {since}); nothing starts until it does", trouble::in_words(trouble));
        out.prose(&paint.ink(Ink::Bad, &clean(&line)))?;
    }
    let mut marks = vec![
        format!("run {}", state.run_id),
        format!("opened by {} {}", clean(&state.user), moment(state.created_at, now)),
    ];
    // The word and the time of the list of runs; programs find it in the snapshot.
    let started = state.started_at.filter(|_| out.is_terminal());
    marks.extend(started.map(|time| format!("started {}", moment(time, now))));
    marks.extend(state.times(now, loaded.owner.is_some()).map(|times| words::times(&times)));
    marks.push(format!("plan v{}", state.plan_version));
    marks.extend(words::forked_from(state));
    if state.options.simulate {
        marks.push("simulated".into());
    }
    if state.options.durability == crate::run::Durability::Relaxed {
        marks.push("relaxed durability".into());
    }
    out.parts(Ink::Dim, &marks)?;
    out.parts(Ink::Dim, &owner_parts(loaded, halted))?;
    if let Some(forecast) = forecast(loaded, store, now) {
        out.prose(&clean(&estimate_line(&forecast, state)))?;
    }
    writeln!(out)?;
    out.table("  ", &step_rows(state, now))?;
    let mut questions = open_questions(state);
    // A thousand failures are not a thousand lines.
    let more = questions.len().saturating_sub(8);
    questions.truncate(8);
    if state.cancelling {
        writeln!(out)?;
        out.prose("It is being cancelled: cancelling it again kills what still runs.")?;
    }
    if state.rolling_back && !state.cancelling {
        let why = state.rollback.as_ref().map(|rollback| format!(" ({})", clean(&rollback.why))).unwrap_or_default();
        writeln!(out)?;
        out.prose(&format!("What was completed is being undone{why}: cancelling it ends that where it is."))?;
    }
    if let Some(error) = state.error.as_deref().filter(|_| state.rollback.is_some() && state.status.is_ended()) {
        writeln!(out)?;
        out.prose(&clean(error))?;
    }
    if !questions.is_empty() {
        let ended = state.status.is_ended();
        writeln!(out, "\n{}", if ended { "What opens it again:" } else { "It waits for a person:" })?;
        for question in questions {
            out.prose(&format!("  {}", paint.ink(Ink::Attention, &clean(&question))))?;
        }
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
    }
    for position in state.failed().take(2) {
        last_lines(out, store, state, position)?;
    }
    if !state.interventions.is_empty() {
        writeln!(out, "\nLast interventions:")?;
        let from = state.interventions.len().saturating_sub(LOG_SHOWN);
        let rows: Vec<Vec<Cell>> = state
            .interventions
            .iter()
            .skip(from)
            .map(|one| {
                let note = match (&one.error, &one.reason) {
                    (Some(error), _) => format!("refused: {error}"),
                    (None, Some(reason)) => format!("\"{reason}\""),
                    (None, None) => String::new(),
                };
                vec![
                    cell(moment(one.timestamp, now)).ink(Ink::Dim),
                    cell(signed_by(&one.user, one.uid)),
                    cell(asked(one, state)).gives(1),
                    cell(note).ink(Ink::Dim).gives(0),
                ]
            })
            .collect();
        out.table("  ", &rows)?;
    }
    let ways = if loaded.owner.is_some() { Vec::new() } else { ways_on(context, state) };
    if let Some(damage) = &loaded.damage {
        writeln!(out)?;
        out.prose(&paint.ink(Ink::Bad, &clean(&damage.to_string())))?;
    } else if !ways.is_empty() {
        writeln!(out, "\nTo go on:")?;
        for way in ways {
            out.prose(&format!("  {way}"))?;
        }
    }
    Ok(())
}

/// What is to come of a run that somebody runs.
fn forecast(loaded: &Loaded, store: &Store, now: DateTime<Utc>) -> Option<Forecast> {
    let state = &loaded.state;
    let goes_on = loaded.owner.is_some() && state.status == RunStatus::Running && loaded.damage.is_none();
    goes_on.then(|| {
        let past = Arc::new(past(store, &state.summary()));
        let grounds = Grounds::new(&state.plan, state.plan_version, past);
        Outlook::of(state, Arc::new(grounds), now).forecast()
    })
}

/// How much longer it takes and what that goes by; or why that is not known.
fn estimate_line(forecast: &Forecast, state: &RunState) -> String {
    let lacking = forecast.lacking.as_ref().map(|lacking| words::lacking(lacking, state));
    let said = forecast.left.as_ref().and_then(|left| Some((left, words::estimate(left)?)));
    let Some((left, said)) = said else {
        return format!("no estimate: {}", lacking.unwrap_or_else(|| "nothing of it goes on by itself".into()));
    };
    let mut parts = vec![format!("{said} left"), words::basis(left)];
    parts.extend(lacking);
    parts.extend(left.people.then(|| "plus your answers".into()));
    parts.join(" · ")
}

fn as_json(forecast: &Forecast, state: &RunState) -> Value {
    let critical: Vec<usize> = forecast.critical.iter().map(|step| *step as usize).collect();
    let left = forecast.left;
    json!({
        "low_seconds": left.map(|left| left.low),
        "likely_seconds": left.map(|left| left.likely),
        "high_seconds": left.map(|left| left.high),
        "at_least": left.map(|left| left.at_least),
        "earlier_runs": left.map(|left| left.runs),
        "waits_for_people": left.map(|left| left.people),
        "lacking": forecast.lacking.as_ref().map(|lacking| words::lacking(lacking, state)),
        "critical_path": state.step_ids(&critical),
    })
}

/// The state, and why it is so.
fn headline_of_state(state: &RunState, halted: bool) -> Vec<String> {
    let counts = state.counts();
    let own = state.own_counts();
    let mut said = vec![if halted { "NOT RUNNING" } else { words::run_word(state) }.to_owned()];
    said.push(clean(&words::run_reason(state)).into_owned());
    said.push(format!(
        "{} of {} steps done",
        words::thousands(own.done() as usize),
        words::thousands(own.total() as usize)
    ));
    let statuses = [
        StepStatus::Stopping,
        StepStatus::Waiting,
        StepStatus::Failed,
        StepStatus::Interrupted,
        StepStatus::Held,
        StepStatus::InReview,
        StepStatus::Cancelled,
        StepStatus::Skipped,
    ];
    // One that asks runs, but nobody waits for it to end.
    let asking = u32::try_from(state.asking().count()).unwrap_or(u32::MAX);
    let part = |number: u32, word: &str| (number > 0).then(|| format!("{} {word}", words::thousands(number as usize)));
    said.extend(part(counts.of(StepStatus::Running).saturating_sub(asking), StepStatus::Running.word()));
    said.extend(part(asking, "asking you"));
    said.extend(words::counted(&counts, &statuses, StepStatus::word));
    said.retain(|part| !part.is_empty());
    said
}

/// Who has it open, and where it lies.
fn owner_parts(loaded: &Loaded, halted: bool) -> Vec<String> {
    let owner = loaded.owner.as_ref().map(|owner| match owner.pid {
        Some(pid) => format!("open in process {pid}"),
        None => "open in another process".into(),
    });
    let nobody = || halted.then(|| "nobody has it open: its engine ended while it was running".into());
    let dir = clean(&loaded.dir.to_string_lossy()).into_owned();
    owner.or_else(nobody).into_iter().chain([dir]).collect()
}

fn step_rows(state: &RunState, now: DateTime<Utc>) -> Vec<Vec<Cell>> {
    let all = state.plan.written();
    let quiet = |status| matches!(status, StepStatus::Completed | StepStatus::Pending | StepStatus::Skipped);
    let mut rows = Vec::new();
    let mut left_out = 0;
    for position in state.reading_order() {
        let status = shown_status(state, position);
        let many = rows.len() >= STEPS_SHOWN || (all > STEPS_SHOWN && quiet(status));
        // Their step says how many of them there are.
        if state.parent(position).is_some() && (quiet(status) || many) {
            continue;
        }
        if many {
            left_out += 1;
            continue;
        }
        rows.push(step_row(state, position, now));
    }
    if left_out > 0 {
        let counts = state.counts();
        let quiet = [StepStatus::Completed, StepStatus::Skipped, StepStatus::Pending];
        let said = words::counted(&counts, &quiet, StepStatus::word);
        rows.push(vec![cell(format!("… {}", said.join(", "))).ink(Ink::Dim)]);
    }
    rows
}

fn step_row(state: &RunState, position: usize, now: DateTime<Utc>) -> Vec<Cell> {
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let (status, word) = match step.question() {
        Some(_) => shown(state, position),
        None => {
            let status = shown_status(state, position);
            (status, status.word())
        }
    };
    let attempts = step.tried_again().map(|number| format!("attempt {number}")).unwrap_or_default();
    let took = step.seconds(now).map(words::duration).unwrap_or_default();
    vec![
        cell(word).ink(Ink::of_step(status)),
        cell(match state.parent(position) {
            Some(_) => format!("  {}", definition.step_id),
            None => definition.step_id.clone(),
        }),
        cell(definition.agent_label()).ink(Ink::Dim).gives(0),
        cell(attempts),
        cell(took).right(),
        cell(remark(state, position, now)).gives(1),
    ]
}

/// What there is to say of a step beside its state.
fn remark(state: &RunState, position: usize, now: DateTime<Utc>) -> String {
    let step = &state.steps[position];
    if let Some(counts) = state.instance_counts(position).filter(|_| step.status == StepStatus::Pending) {
        return instances_in_words(counts);
    }
    let outcome = || step.why_failed().unwrap_or_default();
    match step.status {
        StepStatus::InReview => step.reviews.last().map(|review| review.judgement.reason.clone()).unwrap_or_default(),
        StepStatus::Failed | StepStatus::Interrupted => outcome(),
        StepStatus::Held => {
            let reason = state.hold_reason(position).map(str::to_owned);
            reason.into_iter().chain(state.signatures_in_words(position)).collect::<Vec<_>>().join("; ")
        }
        StepStatus::Waiting => match step.due {
            Some(due) => format!("{} · tries again in {}", outcome(), words::span((due - now).as_seconds_f64())),
            None => outcome(),
        },
        StepStatus::Skipped => step
            .skip
            .as_ref()
            .map(|skip| {
                let who = skip.user.as_deref().map(|user| format!("by {user}")).unwrap_or_default();
                let why = skip.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{who}{why}")
            })
            .unwrap_or_default(),
        StepStatus::Completed => match (&step.by_hand, state.instance_counts(position)) {
            (Some(by), _) => format!("by hand, {}", by.user),
            (None, Some(counts)) => instances_in_words(counts),
            (None, None) => String::new(),
        },
        StepStatus::Running => match (step.question(), step.attempt().and_then(|attempt| attempt.due)) {
            (Some((_, asked)), _) => format!("asks: {}", asked.question.title),
            (None, Some(due)) => format!("waits until {}", Zone::Local.moment(due, now)),
            (None, None) => String::new(),
        },
        StepStatus::Pending if step.rolled_back => "was rolled back".into(),
        StepStatus::Pending if state.is_hold_point(position) => {
            format!("hold point{}", state.hold_reason(position).map(|reason| format!(": {reason}")).unwrap_or_default())
        }
        _ => String::new(),
    }
}

fn last_lines(out: &mut Page<impl Write>, store: &Store, state: &RunState, position: usize) -> Result<(), Failure> {
    let Some(attempt) = state.steps[position].attempt() else { return Ok(()) };
    let id = &state.plan.steps[position].step_id;
    let lines = tail(&output_path(store.root(), state.home_of(attempt), id, attempt.number), TAIL_LINES);
    if !lines.is_empty() {
        writeln!(out)?;
        out.prose(&format!("Last output of {} (attempt {}):", clean(id), attempt.number))?;
        for line in lines {
            out.quoted("  ", &line)?;
        }
    }
    Ok(())
}

fn moment(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    Zone::Local.moment(time, now)
}

/// The commands that would let a run go on, the likeliest first; none when nothing is left to do.
pub fn ways_on(context: &Context, state: &RunState) -> Vec<String> {
    const NAMED: usize = 20;
    let base = context.command(&format!("resume {}", short_id(state.run_id)));
    let of = |wanted: &[StepStatus]| -> Vec<&str> {
        let found = (0..state.steps.len())
            .filter(|place| state.takes_part(*place) && wanted.contains(&state.steps[*place].status));
        found.map(|place| state.plan.steps[place].step_id.as_str()).take(NAMED).collect()
    };
    if state.cancelling {
        return Vec::new();
    }
    let broken = of(&[StepStatus::Failed, StepStatus::Interrupted, StepStatus::Cancelled]);
    let held = of(&[StepStatus::Held]);
    let mut ways = Vec::new();
    if !broken.is_empty() {
        ways.push(format!("{base} --retry {}", broken.join(" ")));
        ways.push(format!("{base} --skip {}", broken.join(" ")));
    }
    if !held.is_empty() {
        ways.push(format!("{base} --release {}", held.join(" ")));
    }
    let reviewed = of(&[StepStatus::InReview]);
    if !reviewed.is_empty() {
        ways.push(format!("{base} --approve {}", reviewed.join(" ")));
        ways.push(format!("{base} --reject {}", reviewed.join(" ")));
    }
    let asking: Vec<usize> = state.asking().take(NAMED).collect();
    for step in state.step_ids(&asking) {
        ways.push(format!("{base} --{}", ctl::answer_words(state, step)));
    }
    let asks = |reason| state.paused.contains(&reason);
    let by_word = asks(PauseReason::Operator) || asks(PauseReason::Recovered);
    match state.status {
        RunStatus::Completed => Vec::new(),
        RunStatus::Idle | RunStatus::Running => vec![base],
        RunStatus::Paused if ways.is_empty() && by_word => vec![base],
        RunStatus::Failed | RunStatus::Cancelled if ways.is_empty() && state.rollback.is_some() => {
            // What was undone last is what runs first.
            let undone = (0..state.steps.len()).find(|place| state.steps[*place].rolled_back);
            let retry = |place: usize| format!("{base} --retry {}", state.plan.steps[place].step_id);
            undone.map(retry).into_iter().collect()
        }
        RunStatus::Failed | RunStatus::Cancelled if ways.is_empty() => {
            // Nothing of it asks for an answer: it goes on from where it was.
            let newest = state.checkpoints.last().map(|mark| checkpoint_id(mark.seq));
            let back = |id| context.command(&format!("restore {} {id}", short_id(state.run_id)));
            newest.map(back).into_iter().collect()
        }
        _ => ways,
    }
}

/// What there is to say when a run without a console stops: what ran, what failed and why, where things lie, how to go on.
pub fn summary(
    out: &mut Page<impl Write>,
    context: &Context,
    engine: &EngineHandle,
    state: &RunState,
) -> std::io::Result<()> {
    /// What stands behind a name stays behind it.
    const BELOW: &str = "          ";
    let paint = out.paint();
    let counts = state.counts();
    writeln!(out)?;
    let ran = state.times(state.updated_at, false);
    out.prose(&format!(
        "{}  {} · run {} · {}",
        paint.ink(Ink::of_run(state.status), words::run_word(state)),
        clean(&state.plan.plan_id),
        short_id(state.run_id),
        ran.map(|times| words::times(&times)).unwrap_or_default()
    ))?;
    let ran = words::counted(&counts, &STEP_STATUSES, StepStatus::word);
    out.hanging(&format!("steps     {}", ran.join(", ")), BELOW)?;
    for position in state.failed().take(5) {
        let step = &state.steps[position];
        let why = step.why_failed().map(|why| format!(": {}", clean(&why))).unwrap_or_default();
        let id = &state.plan.steps[position].step_id;
        let Some(attempt) = step.attempt() else {
            out.hanging(&format!("failed    {}{why}", paint.ink(Ink::Bad, &clean(id))), BELOW)?;
            continue;
        };
        let failed = format!("failed    {} (attempt {}){why}", paint.ink(Ink::Bad, &clean(id)), attempt.number);
        out.hanging(&failed, BELOW)?;
        for line in tail(&engine.output_path(state.home_of(attempt), id, attempt.number), QUOTED_LINES) {
            out.quoted("            ", &line)?;
        }
    }
    if let Some(error) = state.error.as_deref().filter(|_| state.rollback.is_some()) {
        out.hanging(&format!("because   {}", clean(error)), BELOW)?;
    }
    if state.status == RunStatus::Paused {
        let reasons: Vec<&str> = state.paused.iter().map(|reason| reason.word()).collect();
        out.hanging(&format!("paused    {}", reasons.join(", ")), BELOW)?;
        for question in open_questions(state).iter().take(8) {
            out.hanging(&format!("waits     {}", clean(question)), BELOW)?;
        }
    }
    let dir = engine.store().dir(state.run_id);
    let shown = context.shown(&dir);
    let folder = format!("folder    {} (output/, checkpoints, journal.jsonl)", clean(&shown.to_string_lossy()));
    out.hanging(&folder, BELOW)?;
    // The journal's last word; whoever keeps it elsewhere can tell later whether the journal was rewritten or cut.
    if let Ok(loaded) = engine.store().load(&dir) {
        out.prose(&format!("head      {}", loaded.place.hash))?;
    }
    for (number, way) in ways_on(context, state).iter().enumerate() {
        out.hanging(&format!("{}{way}", if number == 0 { "go on     " } else { "       or " }), BELOW)?;
    }
    out.flush()
}
