//! What has happened while nobody looked: told when the operator comes back, if anything of weight has.
//!
//! Away is who has not pressed a key or used the mouse for a while, or whose terminal has not had the focus, where it says so. What is told is
//! the difference between the runs as they were then and as they are now, and what others did meanwhile: so it takes no more memory than the
//! list of runs does, however long it was.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::ListedRun;
use crate::run::{Event as RunEvent, InterventionStatus, Recorded, RunStatus, RunSummary};

use super::app::App;
use super::log::asked;
use super::popups::Popup;
use super::strip::calls;
use super::{text, words};

/// After so long without a key it is taken that nobody looks, unless the configuration says otherwise.
const USUAL: TimeDelta = TimeDelta::minutes(5);
/// A terminal that had no focus for less than this was not left, but looked past.
const UNFOCUSED: TimeDelta = TimeDelta::minutes(1);
/// So many of what others did are told one by one.
const TOLD: usize = 5;
/// So many runs are told one by one.
const RUNS: usize = 8;

/// What is known of how long nobody has looked, and of what has happened since.
#[derive(Debug)]
pub struct Away {
    /// Without a key for so long, nobody looks; zero: it is never told.
    pub after: TimeDelta,
    /// When a key or the mouse was used last.
    last: DateTime<Utc>,
    /// Since when the terminal has no focus.
    unfocused: Option<DateTime<Utc>>,
    /// The runs that have changed since, as they were; `None` for one that was not there.
    before: HashMap<Uuid, Option<Before>>,
    /// What others did, the oldest first.
    others: Vec<String>,
    /// How much more they did.
    more: usize,
}

/// What a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    status: RunStatus,
    calls: bool,
    done: u32,
}

impl Before {
    fn of(listed: &ListedRun) -> Self {
        Self { status: listed.summary.status, calls: calls(listed), done: listed.summary.counts.done() }
    }
}

/// What is told, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recap {
    /// How long nobody looked.
    pub away: TimeDelta,
    /// What has happened.
    pub lines: Vec<(Sign, String)>,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A run that has come to this state.
    Run(RunStatus),
    /// A run that waits for a person.
    Calls,
    /// What somebody did, or a number.
    Plain,
}

impl Away {
    /// Somebody is there.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { after: USUAL, last: now, unfocused: None, before: HashMap::new(), others: Vec::new(), more: 0 }
    }

    /// From now on it counts what happens.
    fn anew(&mut self, now: DateTime<Utc>, unfocused: Option<DateTime<Utc>>) {
        *self = Self { after: self.after, unfocused, ..Self::new(now) };
    }

    /// Since when nobody has looked, if that is long enough to tell of it.
    fn since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.after <= TimeDelta::zero() {
            return None;
        }
        let unfocused = self.unfocused.filter(|since| now - *since >= UNFOCUSED);
        unfocused.or_else(|| (now - self.last >= self.after).then_some(self.last))
    }
}

impl App {
    /// The terminal has the focus again, or has lost it.
    pub(super) fn focus(&mut self, has_focus: bool) {
        if !has_focus {
            let now = self.now;
            self.away.anew(now, Some(now));
        } else {
            self.came_back();
        }
    }

    /// Somebody is there: tells what has happened if nobody was for a while. Whether it was told: what was pressed is then not meant for
    /// what is on the screen.
    pub(super) fn came_back(&mut self) -> bool {
        let now = self.now;
        let recap = self.away.since(now).and_then(|since| self.recap(since));
        self.away.anew(now, None);
        match recap {
            Some(recap) => {
                self.push(Popup::Recap(Box::new(recap)));
                true
            }
            None => false,
        }
    }

    /// A run is about to change, or to come to be known.
    pub(super) fn note_run(&mut self, run: Uuid) {
        let before = self.runs.run(run).map(Before::of);
        self.away.before.entry(run).or_insert(before);
    }

    /// The runs are about to be what was listed.
    pub(super) fn note_runs(&mut self, listed: &[ListedRun]) {
        // What is there at the start has not happened meanwhile.
        if !self.runs.loaded.0 {
            return;
        }
        for now in listed {
            let id = now.summary.run_id;
            if self.runs.run(id).is_none_or(|known| known.summary.seq != now.summary.seq || known.owned != now.owned) {
                self.note_run(id);
            }
        }
    }

    /// What others did to the open run.
    pub(super) fn note_others(&mut self, events: &[std::sync::Arc<Recorded>]) {
        let Some(run) = &self.run else { return };
        for recorded in events {
            let RunEvent::Intervention(record) = &recorded.event else { continue };
            if record.user == self.settings.user || record.status == InterventionStatus::Failed {
                continue;
            }
            if self.away.others.len() >= TOLD {
                self.away.more += 1;
                continue;
            }
            let (user, did) = (text::clean(&record.user), asked(record, &run.state));
            let why = record.reason.as_deref().map(|why| format!(": \"{}\"", text::clean(why))).unwrap_or_default();
            let plan = text::clean(&run.state.plan.plan_id);
            self.away.others.push(format!("{user} {}, in {plan}{why}", text::clean(&did)));
        }
    }

    /// What has happened, if it is of weight: a run that has ended, has been paused or waits for a person, or something that somebody else did.
    fn recap(&self, since: DateTime<Utc>) -> Option<Recap> {
        let mut runs: Vec<(u8, Sign, String)> = Vec::new();
        let (mut steps, mut runs_with_steps) = (0, 0);
        for (id, before) in &self.away.before {
            // One that was not known, and has not gone on since, has only been found.
            let Some(now) = self.runs.run(*id).filter(|run| before.is_some() || run.summary.updated_at >= since) else {
                continue;
            };
            let then = before.unwrap_or(Before { status: RunStatus::Idle, calls: false, done: 0 });
            let done = now.summary.counts.done().saturating_sub(then.done);
            if (before.is_some() || now.summary.created_at >= since) && done > 0 {
                steps += done;
                runs_with_steps += 1;
            }
            if let Some((rank, sign, what)) = news(&then, now) {
                runs.push((rank, sign, format!("{} {what}", text::clean(&now.summary.plan_id))));
            }
        }
        if runs.is_empty() && self.away.others.is_empty() {
            return None;
        }
        runs.sort_by(|one, other| (one.0, &one.2).cmp(&(other.0, &other.2)));
        let left_out = runs.len().saturating_sub(RUNS);
        let mut lines: Vec<(Sign, String)> = runs.into_iter().take(RUNS).map(|(_, sign, said)| (sign, said)).collect();
        if left_out > 0 {
            lines.push((Sign::Plain, format!("and {} more", words::count(left_out, "run"))));
        }
        if steps > 0 {
            let (have, of) = (if steps == 1 { "was" } else { "were" }, words::count(runs_with_steps, "run"));
            lines.push((
                Sign::Plain,
                format!("{} {have} completed or skipped, in {of}", words::count(steps as usize, "step")),
            ));
        }
        lines.extend(self.away.others.iter().map(|said| (Sign::Plain, said.clone())));
        if self.away.more > 0 {
            lines.push((Sign::Plain, format!("and {} more by others", words::count(self.away.more, "intervention"))));
        }
        Some(Recap { away: self.now - since, lines })
    }
}

/// What has become of a run that is worth telling, the most urgent first.
fn news(then: &Before, now: &ListedRun) -> Option<(u8, Sign, String)> {
    let run: &RunSummary = &now.summary;
    let why = words::standing(now).map(|why| format!(": {why}")).unwrap_or_default();
    let sign = Sign::Run(run.status);
    if run.status == RunStatus::Failed && then.status != RunStatus::Failed {
        return Some((0, sign, format!("failed{why}")));
    }
    if calls(now) && !then.calls {
        return Some((1, Sign::Calls, format!("waits for you{why}")));
    }
    let is_new = run.status != then.status;
    match run.status {
        RunStatus::Paused if is_new => Some((2, sign, format!("was paused{why}"))),
        RunStatus::Cancelled if is_new => Some((3, sign, "was cancelled".into())),
        RunStatus::Completed if is_new => Some((4, sign, "completed".into())),
        _ => None,
    }
}
