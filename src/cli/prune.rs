//! Removing old runs: what would go is shown first, then what goes. A run that is open, or could be gone on with, never goes.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::console::words::{self, Zone};
use crate::journal::{JournalError, ListedRun, Store, size};

use super::Context;
use super::args::{Format, PruneArgs};
use super::failure::{Exit, Failure};
use super::page::{Cell, Page, cell, complain};
use super::say::{Ink, confirmed};

/// `holdpoint prune`
pub fn prune(context: &Context, args: &PruneArgs) -> Result<Exit, Failure> {
    if args.older_than.is_none() && args.keep.is_none() && args.max_size.is_none() {
        return Err(Failure::usage(
            "say which runs may go: --older-than 30d, --keep 20 (the newest), --max-size 2G (of all runs together), or several of them",
        ));
    }
    let store = context.store();
    let found = Found::look(&store)?;
    let chosen = choose(&found.runs, args, Utc::now());
    let goes: Vec<&Sized> = found.runs.iter().filter(|run| chosen.contains(&run.id())).collect();
    let bytes = goes.iter().map(|run| run.bytes).sum();
    if args.format == Format::Text {
        show(context, &found, &goes, bytes)?;
    }
    let asks = args.format == Format::Text && !args.yes;
    let means_it = args.yes || (!goes.is_empty() && asks && confirmed("Remove them for good?", "nothing was removed")?);
    let mut removed: Vec<&Sized> = Vec::new();
    let mut failed = Vec::new();
    if means_it {
        store.finish_removals()?;
        for run in &goes {
            match store.remove(run.id(), run.seq) {
                Ok(()) => removed.push(run),
                Err(error) => failed.push((run.id(), error.to_string())),
            }
        }
    }
    let mut out = std::io::stdout().lock();
    if args.format == Format::Json {
        let list = |runs: &[&Sized]| runs.iter().map(|run| run.as_json()).collect::<Vec<_>>();
        let answer = json!({
            "would_remove": list(&goes),
            "bytes": bytes,
            "removed": list(&removed),
            "failed": failed.iter().map(|(id, error)| json!({"run_id": id, "error": error})).collect::<Vec<_>>(),
            "kept_for_forks": found.needed.iter().map(|(parent, fork)| json!({"run_id": parent, "fork": fork})).collect::<Vec<_>>(),
            "unreadable": found.unreadable.iter().map(|(dir, error)| json!({"folder": dir.to_string_lossy(), "error": error.to_string()})).collect::<Vec<_>>(),
            "all_bytes": found.bytes(),
        });
        serde_json::to_writer_pretty(&mut out, &answer).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if means_it {
        let bytes = removed.iter().map(|run| run.bytes).sum();
        writeln!(out, "removed {}, {}", words::count(removed.len(), "run"), size(bytes))?;
    } else if !goes.is_empty() {
        writeln!(out, "nothing was removed")?;
    }
    out.flush()?;
    for (dir, error) in &found.unreadable {
        let line = format!("{}: {error}", dir.display());
        complain(&format!("kept, it cannot be read: {line}"));
    }
    for (_, error) in &failed {
        complain(error);
    }
    Ok(if failed.is_empty() { Exit::Fine } else { Exit::Failed })
}

/// A run and what it takes of the disk.
struct Sized {
    listed: ListedRun,
    bytes: u64,
    /// Its newest event.
    seq: u64,
    /// Why it stays whatever the rules say.
    stays: Option<&'static str>,
}

impl Sized {
    fn id(&self) -> Uuid {
        self.listed.summary.run_id
    }

    /// When it came to rest.
    fn rests_since(&self) -> DateTime<Utc> {
        self.listed.summary.ended_at.unwrap_or(self.listed.summary.updated_at)
    }

    fn as_json(&self) -> Value {
        let summary = &self.listed.summary;
        json!({"run_id": summary.run_id, "plan_id": summary.plan_id, "status": summary.status.word(), "bytes": self.bytes, "ended_at": summary.ended_at})
    }
}

/// All runs, newest first.
struct Found {
    runs: Vec<Sized>,
    /// Runs that a fork which stays still reads from, and that fork.
    needed: Vec<(Uuid, Uuid)>,
    /// Folders that look like runs and cannot be read, and why. They stay.
    unreadable: Vec<(PathBuf, JournalError)>,
}

impl Found {
    fn look(store: &Store) -> Result<Self, Failure> {
        let list = store.list_runs()?;
        let mut runs = Vec::with_capacity(list.runs.len());
        let mut forks = Vec::new();
        let mut unreadable = list.unreadable;
        for mut listed in list.runs {
            // What is removed for good is not judged by the line of a list.
            let loaded = match store.load_checked(&listed.dir) {
                Ok(loaded) => loaded,
                Err(error) => {
                    unreadable.push((listed.dir, error));
                    continue;
                }
            };
            let bytes = store.size_of(&listed.dir)?;
            forks.extend(loaded.state.parent.map(|(parent, _)| (parent, loaded.state.run_id)));
            listed.summary = loaded.state.summary();
            let stays = if loaded.owner.is_some() {
                Some("it is open")
            } else if loaded.damage.is_some() {
                Some("it is damaged: `holdpoint verify` says where")
            } else if !listed.summary.status.is_ended() {
                Some("it has not ended: it can be gone on with, or cancelled")
            } else {
                None
            };
            runs.push(Sized { listed, bytes, seq: loaded.state.seq, stays });
        }
        let mut found = Self { runs, needed: Vec::new(), unreadable };
        found.keep_parents(forks);
        Ok(found)
    }

    /// A fork has the steps it inherited in its own journal, but their output lies in its parent's folder.
    fn keep_parents(&mut self, forks: Vec<(Uuid, Uuid)>) {
        for (parent, fork) in forks {
            if let Some(run) = self.runs.iter_mut().find(|run| run.id() == parent)
                && run.stays.is_none()
            {
                run.stays = Some("a fork shows output of it: it can go when the fork is gone");
                self.needed.push((parent, fork));
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }
}

/// The runs that the rules let go, of those that may go at all.
fn choose(runs: &[Sized], args: &PruneArgs, now: DateTime<Utc>) -> HashSet<Uuid> {
    let mut newest_first: Vec<&Sized> = runs.iter().filter(|run| run.stays.is_none()).collect();
    newest_first.sort_by_key(|run| std::cmp::Reverse((run.rests_since(), run.id())));
    let mut goes = HashSet::new();
    if let Some(age) = args.older_than {
        goes.extend(newest_first.iter().filter(|run| now - run.rests_since() > age).map(|run| run.id()));
    }
    if let Some(keep) = args.keep {
        goes.extend(newest_first.iter().skip(keep).map(|run| run.id()));
    }
    if let Some(limit) = args.max_size {
        let mut left: u64 = runs.iter().filter(|run| !goes.contains(&run.id())).map(|run| run.bytes).sum();
        for run in newest_first.iter().rev().filter(|run| !goes.contains(&run.id())).collect::<Vec<_>>() {
            if left <= limit {
                break;
            }
            left -= run.bytes;
            goes.insert(run.id());
        }
    }
    goes
}

fn show(context: &Context, found: &Found, goes: &[&Sized], bytes: u64) -> Result<(), Failure> {
    let mut out = Page::stdout(context.no_color);
    let rows: Vec<Vec<Cell>> = goes
        .iter()
        .map(|run| {
            let summary = &run.listed.summary;
            vec![
                cell(summary.short_id()).ink(Ink::Dim),
                cell(summary.status.word()).ink(Ink::of_run(summary.status)),
                cell(Zone::Local.moment(run.rests_since(), Utc::now())).ink(Ink::Dim),
                cell(size(run.bytes)).right(),
                cell(&summary.plan_id).ink(Ink::Strong),
            ]
        })
        .collect();
    out.table("", &rows)?;
    let all = format!("{}, {}", words::count(found.runs.len(), "run"), size(found.bytes()));
    if goes.is_empty() {
        out.prose(&format!("no run would go, of {all}"))?;
    } else {
        out.prose(&format!("{}, {}, would go, of {all}", words::count(goes.len(), "run"), size(bytes)))?;
    }
    let mut kept: Vec<(&str, usize)> = Vec::new();
    for why in found.runs.iter().filter_map(|run| run.stays) {
        match kept.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => kept.push((why, 1)),
        }
    }
    for (why, count) in kept {
        let line = format!("{} kept in any case: {why}", words::count(count, "run"));
        out.prose(&out.paint().ink(Ink::Dim, &line))?;
    }
    out.flush()?;
    Ok(())
}

/// An age as it is typed: `90m`, `12h`, `30d`, `8w`.
pub fn parse_age(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "an age is a number and a unit: 90m, 12h, 30d or 8w".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let age = match unit {
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        _ => return Err(wrong()),
    };
    age.filter(|age| *age >= TimeDelta::zero()).ok_or_else(wrong)
}

/// A size as it is typed: `500M`, `2G`; powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a number and a unit: 800K, 500M or 2G".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let shift = match unit {
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}
