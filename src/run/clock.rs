//! The clock of a run: how long it has worked, and in a pause how long that lasts. Every screen and every command says these times.
//!
//! A run works while its status is `running`: what it is paused for, what comes after its end, and what no engine was there for do not count, as they
//! do not count for its time limit. So the time worked stands still in a pause and goes on from there.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{RunState, RunStatus, RunSummary};

/// What a run's times are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Microseconds that it worked before it came to its present status, less what has passed in that without an engine.
    worked_micros: i64,
    /// Since when it has that status.
    since: DateTime<Utc>,
}

/// How long a run has worked, and how long it has been paused; in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// In which it worked, since it was started first.
    pub ran: f64,
    /// Whether it works now, so that the time goes on.
    pub works: bool,
    /// How long the pause lasts in which it is; `None` for one that is not paused, or that nobody has open.
    pub paused: Option<f64>,
}

fn micros(span: TimeDelta) -> i64 {
    // A clock that was set back takes no time away.
    span.num_microseconds().unwrap_or(i64::MAX).max(0)
}

impl Clock {
    /// The times at a moment; `known`: when the newest event was decided, which is all that is known of a run that no engine has open.
    fn times(self, status: RunStatus, now: DateTime<Utc>, known: DateTime<Utc>, live: bool) -> Times {
        let here = micros(if live { now } else { known } - self.since);
        let (running, paused) = (status == RunStatus::Running, status == RunStatus::Paused);
        let worked = self.worked_micros.saturating_add(if running { here } else { 0 });
        Times {
            ran: worked.max(0) as f64 / 1e6,
            works: running && live,
            paused: (paused && live).then_some(here as f64 / 1e6),
        }
    }
}

impl RunSummary {
    /// The run's times; `live`: some engine has it open. `None` before it is started.
    pub fn times(&self, now: DateTime<Utc>, live: bool) -> Option<Times> {
        let started = self.started_at?;
        let clock = self.clock.unwrap_or_else(|| {
            // As an older version has written it: pauses are in it.
            let running = self.status == RunStatus::Running;
            let since = if running { started } else { self.ended_at.unwrap_or(self.updated_at) };
            Clock { worked_micros: micros(since - started), since }
        });
        Some(clock.times(self.status, now, self.updated_at, live))
    }
}

impl RunState {
    /// The run's times; `live`: some engine has it open. `None` before it is started.
    pub fn times(&self, now: DateTime<Utc>, live: bool) -> Option<Times> {
        self.started_at.map(|_| self.clock().times(self.status, now, self.updated_at, live))
    }

    /// What its times are made of.
    pub(super) fn clock(&self) -> Clock {
        Clock { worked_micros: self.worked_before(), since: self.since }
    }

    /// Microseconds that it worked before it came to its present status.
    fn worked_before(&self) -> i64 {
        self.worked_micros.unwrap_or_else(|| {
            // It has been in one status since its start; or its checkpoint is an older version's, which has noted its pauses only.
            let before = self.pauses.iter().filter(|pause| pause.since < self.since);
            let pauses: i64 = before.filter_map(|pause| Some(micros(pause.until? - pause.since))).sum();
            let all = self.started_at.map_or(0, |started| micros(self.since - started));
            all.saturating_sub(pauses).max(0)
        })
    }

    /// It is about to leave its status.
    pub(super) fn note_work(&mut self, time: DateTime<Utc>) {
        if self.status == RunStatus::Running {
            self.worked_micros = Some(self.worked_before().saturating_add(micros(time - self.since)));
        }
    }

    /// No engine was there between the last event and one that takes it over.
    pub(super) fn forget_work(&mut self, before: DateTime<Utc>, time: DateTime<Utc>) {
        let nobody = micros(time - before);
        if self.status == RunStatus::Running && nobody > 0 {
            self.worked_micros = Some(self.worked_before().saturating_sub(nobody));
        }
    }
}
