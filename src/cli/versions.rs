//! The versions of a run's plan: the list, and what differs between two of them.

use std::io::Write;

use serde_json::json;

use crate::console::text::clean;
use crate::console::words::Zone;
use crate::plan::{Plan, difference};
use crate::run::{RunState, plan_changes, short_id, version_list};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Cell, Page, cell};
use super::say::Ink;

/// `holdpoint versions`
pub fn versions(
    context: &Context,
    name: &str,
    from: Option<u64>,
    to: Option<u64>,
    format: Format,
) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let state = store.load(&dir)?.state;
    match from {
        Some(from) => compare(context, &state, from, to.unwrap_or(state.plan_version), format),
        None => list(context, &state, format),
    }
}

/// Every version, oldest first: when it was made, by whom, how and why.
fn list(context: &Context, state: &RunState, format: Format) -> Result<Exit, Failure> {
    let mut out = Page::stdout(context.no_color);
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut out, &version_list(state)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let now = chrono::Utc::now();
        let row = |version: u64, time, user: &str, what: String, reason: &str| -> Vec<Cell> {
            vec![
                cell(format!("v{version}")).ink(Ink::Strong),
                cell(Zone::Local.moment(time, now)).ink(Ink::Dim),
                cell(user),
                cell(what).gives(1),
                cell(reason).ink(Ink::Dim).gives(0),
            ]
        };
        let opened = row(1, state.created_at, &state.user, "opened".into(), "");
        let later = state.versions.iter().map(|one| {
            let change = &one.change;
            let reason = change.reason.as_deref().unwrap_or_default();
            row(change.version, one.time, &change.user, change.headline(), reason)
        });
        let rows: Vec<_> = std::iter::once(opened).chain(later).collect();
        out.table("", &rows)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// What changes from one version to another, a line for each step.
fn compare(context: &Context, state: &RunState, from: u64, to: u64, format: Format) -> Result<Exit, Failure> {
    let (one, other) = (plan_at(context, state, from)?, plan_at(context, state, to)?);
    let changes = plan_changes(&one, &other);
    let mut out = Page::stdout(context.no_color);
    if format == Format::Json {
        let document = json!({"from": from, "to": to, "changes": changes, "patch": difference(&one, &other)});
        serde_json::to_writer_pretty(&mut out, &document).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if changes.is_empty() {
        writeln!(out, "versions {from} and {to} are the same plan")?;
    } else {
        let paint = out.paint();
        for change in &changes {
            let ink = match change.chars().next() {
                Some('+') => Ink::Good,
                Some('-') => Ink::Bad,
                _ => Ink::Plain,
            };
            out.prose(&paint.ink(ink, &clean(change)))?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn plan_at(context: &Context, state: &RunState, version: u64) -> Result<Plan, Failure> {
    state.plan_at(version).ok_or_else(|| {
        let list = context.command(&format!("versions {}", short_id(state.run_id)));
        let newest = state.plan_version;
        Failure::usage(format!("the plan has no version {version}: it is at version {newest}; `{list}` lists them"))
    })
}
