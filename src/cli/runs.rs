//! The list of runs, and which of them is meant.

use std::io::Write;

use chrono::Utc;
use serde_json::{Value, json};

use crate::console::text::clean;
use crate::console::words::{self, Zone};
use crate::engine::StorageTrouble;
use crate::journal::{ListedRun, ResolveError, Space, Store, size};
use crate::run::{RunStatus, RunSummary, StepStatus, short_id};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Cell, Page, cell, complain};
use super::say::Ink;
use super::trouble;

/// `holdpoint runs`
pub fn list(context: &Context, format: Format) -> Result<Exit, Failure> {
    let store = context.store();
    let list = store.list_runs()?;
    let troubled = trouble::storage(&store, list.runs.iter().filter_map(|run| run.owner.as_ref()));
    let mut out = Page::stdout(context.no_color);
    match format {
        Format::Json => {
            let mut shown: Vec<Value> =
                list.runs.iter().map(|run| as_json(run, troubled.get(&run.summary.run_id))).collect();
            shown.extend(
                list.unreadable
                    .iter()
                    .map(|(dir, error)| json!({"folder": dir.to_string_lossy(), "error": error.to_string()})),
            );
            serde_json::to_writer_pretty(&mut out, &shown).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => {
            if list.runs.is_empty() && list.unreadable.is_empty() {
                out.prose(&format!("no runs in {}", clean(&context.checkpoints.to_string_lossy())))?;
            }
            let terminal = out.is_terminal();
            let rows = list.runs.iter().map(|run| row(run, troubled.get(&run.summary.run_id), terminal)).collect();
            out.headed_table(&HEADING, rows)?;
            if terminal && list.runs.iter().any(|run| run.damaged) {
                out.prose(&format!("damaged: `{}` says where", context.command("verify RUN")))?;
            }
            let bytes: u64 = list.runs.iter().filter_map(|run| store.size_of(&run.dir).ok()).sum();
            if !list.runs.is_empty() {
                let free = Space::of(&context.checkpoints).map(|space| format!(", {} free", space.left()));
                let runs = words::count(list.runs.len(), "run");
                let line = format!("{runs}, {} on disk{}", size(bytes), free.unwrap_or_default());
                out.prose(&out.paint().ink(Ink::Dim, &line))?;
            }
            out.flush()?;
            if let Some(warning) = trouble::nearly_full(&context.checkpoints) {
                complain(&warning);
            }
            for (dir, error) in &list.unreadable {
                let line = format!("{}: {error}", dir.display());
                complain(&format!("cannot be read: {line}"));
            }
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn as_json(run: &ListedRun, trouble: Option<&StorageTrouble>) -> Value {
    let mut shown = serde_json::to_value(&run.summary).unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        let counts = run.summary.counts;
        let named = crate::run::STEP_STATUSES.into_iter().filter(|status| counts.of(*status) > 0);
        let named: serde_json::Map<String, Value> =
            named.map(|status| (status.word().to_owned(), counts.of(status).into())).collect();
        fields.insert("counts".into(), named.into());
        let times = run.summary.times(Utc::now(), run.owner.is_some());
        fields.remove("clock");
        fields.insert("ran_seconds".into(), times.map(|times| times.ran).into());
        fields.insert("short_id".into(), run.summary.short_id().into());
        fields.insert("steps".into(), counts.total().into());
        fields.insert("done".into(), counts.done().into());
        fields.insert("owned".into(), run.owner.is_some().into());
        fields.insert("owner_pid".into(), run.owner.as_ref().and_then(|owner| owner.pid).into());
        fields.insert("storage_trouble".into(), serde_json::to_value(trouble).unwrap_or_default());
        // What a list reads of a journal can show damage, but never that there is none.
        if run.damaged {
            fields.insert("damaged".into(), true.into());
        }
        fields.insert("folder".into(), run.dir.to_string_lossy().into());
    }
    shown
}

/// What the columns of the list are called.
const HEADING: [&str; 8] = ["run", "state", "steps", "started", "ran", "plan", "user", ""];

/// A line of the list. A program is told when the run was opened, as it always was; a person when it began, as everywhere on the screen.
fn row(run: &ListedRun, trouble: Option<&StorageTrouble>, terminal: bool) -> Vec<Cell> {
    let summary = &run.summary;
    let counts = summary.own_counts();
    let mut marks: Vec<String> = summary.paused.iter().map(|reason| reason.word().replace('_', " ")).collect();
    let interrupted = summary.counts.of(StepStatus::Interrupted);
    marks.extend((interrupted > 0).then(|| format!("{interrupted} interrupted")));
    marks.extend(summary.parent.map(|parent| format!("fork of {}", short_id(parent))));
    match run.damaged {
        // Said once, below the list.
        true if terminal => marks.insert(0, "damaged".into()),
        true => marks.push("damaged: `holdpoint verify` says where".into()),
        false => {}
    }
    marks.extend(trouble.map(trouble::in_words));
    match &run.owner {
        Some(owner) => marks.push(match owner.pid {
            Some(pid) if terminal => format!("process {pid}"),
            Some(pid) => format!("open in process {pid}"),
            None => "open elsewhere".into(),
        }),
        // What is at the end may be cut on a terminal.
        None if summary.is_halted(false) && terminal => marks.push("resume it: its engine ended".into()),
        None if summary.is_halted(false) => marks.push("its engine ended: resume it".into()),
        None => {}
    }
    if summary.simulate {
        marks.push("simulated".into());
    }
    let moment = |time| Zone::Local.moment(time, Utc::now());
    let when = match summary.started_at {
        Some(started) if terminal => moment(started),
        None if terminal => "not yet".into(),
        _ => moment(summary.created_at),
    };
    vec![
        cell(summary.short_id()).ink(Ink::Dim),
        cell(word(summary, run.owner.is_some())).ink(Ink::of_run(summary.status)),
        cell(format!("{}/{}", counts.done(), counts.total())).right(),
        cell(when).ink(Ink::Dim),
        cell(ran(summary, run.owner.is_some())).right(),
        cell(&summary.plan_id).ink(Ink::Strong),
        cell(&summary.user).gives(0),
        cell(marks.join(" · ")).ink(Ink::Dim).gives(1),
    ]
}

fn word(summary: &RunSummary, owned: bool) -> &'static str {
    match summary.status {
        _ if summary.is_halted(owned) => "halted",
        _ if summary.cancelling => "cancelling",
        RunStatus::Running if summary.rolling_back => "rolling back",
        status => status.word(),
    }
}

fn ran(summary: &RunSummary, live: bool) -> String {
    summary.times(Utc::now(), live).map(|times| words::duration(times.ran)).unwrap_or_default()
}

/// Turns "several are meant" into a list to choose from.
pub fn with_candidates(store: &Store, error: ResolveError) -> Failure {
    let ResolveError::Ambiguous { name, found } = &error else { return error.into() };
    const SHOWN: usize = 10;
    let mut message = format!("`{name}` fits {} runs; give more of the id:", found.len());
    for run_id in found.iter().take(SHOWN) {
        let line = match store.list_run(&store.dir(*run_id)) {
            Ok(run) => format!(
                "{}  {}  {}",
                run.summary.plan_id,
                word(&run.summary, run.owner.is_some()),
                Zone::Local.moment(run.summary.created_at, Utc::now())
            ),
            Err(_) => "cannot be read".into(),
        };
        message.push_str(&format!("\n  {run_id}  {line}"));
    }
    if found.len() > SHOWN {
        message.push_str(&format!("\n  and {} more (`holdpoint runs` lists them)", found.len() - SHOWN));
    }
    Failure::usage(message)
}
