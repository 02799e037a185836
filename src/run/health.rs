//! How the agents of a run do, and what became of its time: executions, failures and interventions, as numbers and over time.
//!
//! What counts as an execution is an attempt that ended by itself, well or badly, or by its time limit. One that an operator stopped, or that was
//! lost or interrupted with its engine, says nothing of its agent. Nor does one that a forked run has from its parent: it is counted there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Attempt, Event, OutcomeStatus, PauseReason, Recorded, RunState, RunStatus};

/// So many failures in a row make an agent degraded.
pub const DEGRADED_AFTER: u32 = 3;
/// So many make it unhealthy.
pub const UNHEALTHY_AFTER: u32 = 5;
/// A mean quality below this makes an agent degraded.
pub const QUALITY_NEEDED: f64 = 0.6;

/// How an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Nothing speaks against it.
    Healthy,
    /// It fails again and again, or what it gives is not good.
    Degraded,
    /// It fails and fails.
    Unhealthy,
}

impl Health {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// One execution, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Execution {
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether it did what it was to do.
    pub succeeded: bool,
    /// What it says its result is worth, 0..1.
    pub quality: Option<f64>,
}

impl Execution {
    /// What an attempt says of its agent; `None` when it has not ended, or was ended from outside.
    pub fn of(attempt: &Attempt) -> Option<Self> {
        let (ended, outcome) = (attempt.ended_at?, attempt.outcome.as_ref()?);
        let succeeded = match attempt.ending()? {
            OutcomeStatus::Succeeded => true,
            OutcomeStatus::Failed => false,
            OutcomeStatus::Stopped | OutcomeStatus::Lost => return None,
        };
        let quality = outcome.result.as_ref().and_then(|result| result.quality_score);
        Some(Self { ended, seconds: attempt.seconds(ended), succeeded, quality })
    }
}

/// Durations in little room: how many there were of about the same length. A percentile is off by 1 % at the most.
#[derive(Debug, Clone, Default, PartialEq)]
struct Durations {
    classes: BTreeMap<i16, u64>,
    number: u64,
    sum: f64,
    longest: f64,
}

impl Durations {
    /// One class is so much longer than the one before.
    const STEP: f64 = 1.02;
    /// What is shorter is one class, in seconds.
    const SHORTEST: f64 = 1e-3;

    fn add(&mut self, seconds: f64) {
        let class = (seconds.max(Self::SHORTEST) / Self::SHORTEST).ln() / Self::STEP.ln();
        // Three thousand years are class 1200: it fits.
        *self.classes.entry(class.floor() as i16).or_default() += 1;
        self.number += 1;
        self.sum += seconds;
        self.longest = self.longest.max(seconds);
    }

    fn merge(&mut self, other: &Self) {
        for (class, number) in &other.classes {
            *self.classes.entry(*class).or_default() += number;
        }
        self.number += other.number;
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
    }

    fn mean(&self) -> Option<f64> {
        (self.number > 0).then(|| self.sum / self.number as f64)
    }

    /// The duration that so large a part of all does not exceed.
    fn percentile(&self, part: f64) -> Option<f64> {
        let rank = (part * self.number as f64).ceil() as u64;
        let mut seen = 0;
        for (class, number) in &self.classes {
            seen += number;
            if seen >= rank.max(1) {
                let last = seen == self.number;
                let middle = Self::SHORTEST * Self::STEP.powf(f64::from(*class) + 0.5);
                return Some(if last { self.longest } else { middle.min(self.longest) });
            }
        }
        None
    }
}

/// What is known of an agent from its executions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentHealth {
    /// How many there were.
    pub executions: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
    /// How many have failed since the last success.
    pub consecutive_failures: u32,
    durations: Durations,
    scores: (f64, u64),
}

impl AgentHealth {
    /// Takes in an execution that ended after all before.
    pub fn take(&mut self, one: &Execution) {
        self.consecutive_failures = if one.succeeded { 0 } else { self.consecutive_failures.saturating_add(1) };
        self.count(one);
    }

    /// Takes in an execution, wherever it has its place among the others: of failures in a row it says nothing.
    pub(super) fn count(&mut self, one: &Execution) {
        self.executions += 1;
        self.succeeded += u64::from(one.succeeded);
        self.durations.add(one.seconds);
        if let Some(score) = one.quality {
            self.scores = (self.scores.0 + score, self.scores.1 + 1);
        }
    }

    /// Adds what is known from an earlier run: the failures in a row are those of this one, and of both when this one has had no success.
    pub fn add_earlier(&mut self, earlier: &Self) {
        if self.succeeded == 0 {
            self.consecutive_failures = self.consecutive_failures.saturating_add(earlier.consecutive_failures);
        }
        self.executions += earlier.executions;
        self.succeeded += earlier.succeeded;
        self.durations.merge(&earlier.durations);
        self.scores = (self.scores.0 + earlier.scores.0, self.scores.1 + earlier.scores.1);
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.executions - self.succeeded
    }

    /// Which part succeeded, 0..1; `None` when there was none.
    pub fn success_rate(&self) -> Option<f64> {
        (self.executions > 0).then(|| self.succeeded as f64 / self.executions as f64)
    }

    /// How long they took on average, in seconds.
    pub fn mean_seconds(&self) -> Option<f64> {
        self.durations.mean()
    }

    /// How long 95 of a hundred took at the most, in seconds.
    pub fn p95_seconds(&self) -> Option<f64> {
        self.durations.percentile(0.95)
    }

    /// The mean of the scores; `None` when no result had one, which is not a score of zero.
    pub fn quality(&self) -> Option<f64> {
        (self.scores.1 > 0).then(|| self.scores.0 / self.scores.1 as f64)
    }

    /// How it does.
    pub fn health(&self) -> Health {
        match self.consecutive_failures {
            UNHEALTHY_AFTER.. => Health::Unhealthy,
            DEGRADED_AFTER.. => Health::Degraded,
            _ if self.quality().is_some_and(|quality| quality < QUALITY_NEEDED) => Health::Degraded,
            _ => Health::Healthy,
        }
    }

    /// Why it is not healthy.
    pub fn why(&self) -> Option<String> {
        match (self.health(), self.quality()) {
            (Health::Healthy, _) => None,
            (Health::Degraded, Some(quality)) if self.consecutive_failures < DEGRADED_AFTER => {
                Some(format!("mean quality {quality:.2}, needed is {QUALITY_NEEDED}"))
            }
            _ => Some(format!("{} failures in a row", self.consecutive_failures)),
        }
    }

    /// As JSON, with the units in the names.
    pub fn to_json(&self) -> Value {
        json!({
            "state": self.health().word(),
            "why": self.why(),
            "executions": self.executions,
            "failures": self.failed(),
            "success_rate": self.success_rate(),
            "mean_seconds": self.mean_seconds(),
            "p95_seconds": self.p95_seconds(),
            "quality": self.quality(),
            "consecutive_failures": self.consecutive_failures,
        })
    }
}

/// How often something happened, against time: so many equal stretches at the most, which become longer as the run does.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Seconds in a stretch.
    width: u64,
    counts: Vec<u32>,
}

impl Default for Series {
    fn default() -> Self {
        Self { width: 1, counts: Vec::new() }
    }
}

impl Series {
    /// No more stretches than this.
    const MOST: usize = 4096;

    fn add(&mut self, second: f64) {
        let second = second.max(0.0) as u64;
        while second / self.width >= Self::MOST as u64 {
            self.width *= 2;
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let place = (second / self.width) as usize;
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    /// How often it happened in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// How often it happened in each of so many columns, over so many seconds from the start.
    pub fn columns(&self, seconds: f64, columns: usize) -> Vec<u64> {
        let mut found = vec![0; columns];
        let Some(last) = columns.checked_sub(1) else { return found };
        for (count, place) in self.counts.iter().zip(0..) {
            let begins = (place * self.width) as f64;
            let column = (begins / seconds.max(1.0) * columns as f64) as usize;
            found[column.min(last)] += u64::from(*count);
        }
        found
    }
}

/// The numbers of a run. Made of its state, and then kept up to date event by event; its size does not grow with the run's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Its agents by the name that the console shows.
    pub agents: BTreeMap<String, AgentHealth>,
    /// Executions that succeeded.
    pub succeeded: Series,
    /// Executions that failed.
    pub failed: Series,
    /// What operators did; refused commands as well.
    pub interventions: Series,
    origin: DateTime<Utc>,
    seq: u64,
}

impl Metrics {
    /// Those of a state. Walks over all attempts.
    pub fn of(state: &RunState) -> Self {
        let mut metrics = Self {
            agents: BTreeMap::new(),
            succeeded: Series::default(),
            failed: Series::default(),
            interventions: Series::default(),
            origin: state.started_at.unwrap_or(state.created_at),
            seq: state.seq,
        };
        let present = state.plan.steps.iter().zip(&state.steps);
        let removed = state.removed.values().map(|removed| (&removed.definition, removed.state.as_ref()));
        let attempts = present.chain(removed).flat_map(|(definition, step)| {
            let label = definition.agent_label();
            step.attempts.iter().filter_map(move |attempt| Some((label, attempt, Execution::of(attempt)?)))
        });
        let mut found: Vec<(&str, Execution)> = attempts
            .filter(|(_, attempt, _)| state.home_of(attempt) == state.run_id)
            .map(|(label, _, execution)| (label, execution))
            .collect();
        // Failures in a row are those that nothing succeeded after.
        found.sort_by_key(|(_, execution)| execution.ended);
        for (label, execution) in found {
            metrics.execution(label, &execution);
        }
        for record in &state.interventions {
            metrics.interventions.add((record.timestamp - metrics.origin).as_seconds_f64());
        }
        metrics
    }

    fn execution(&mut self, label: &str, one: &Execution) {
        match self.agents.get_mut(label) {
            Some(agent) => agent.take(one),
            None => self.agents.entry(label.to_owned()).or_default().take(one),
        }
        let series = if one.succeeded { &mut self.succeeded } else { &mut self.failed };
        series.add((one.ended - self.origin).as_seconds_f64());
    }

    /// Takes in an event; `state` is the state after it. Says whether that sufficed: if not, they are to be made anew of the state.
    pub fn take(&mut self, recorded: &Recorded, state: &RunState) -> bool {
        if recorded.seq <= self.seq {
            return true;
        }
        self.seq = recorded.seq;
        match &recorded.event {
            Event::AttemptEnded { step, attempt, .. } => {
                if let Some((label, one)) = execution(state, step, *attempt) {
                    self.execution(label, &one);
                }
                true
            }
            Event::Intervention(record) => {
                self.interventions.add((record.timestamp - self.origin).as_seconds_f64());
                true
            }
            // Attempts are there again or not any more, are those of other agents, or are counted from another moment on.
            Event::Restored { .. }
            | Event::InterventionUndone { .. }
            | Event::PlanChanged(_)
            | Event::RollbackStarted { .. }
            | Event::RollbackEnded { .. }
            | Event::RunReopened
            | Event::RunStarted => false,
            _ => true,
        }
    }

    /// Number of the newest event in them.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Since when time is counted: since the run's start.
    pub fn origin(&self) -> DateTime<Utc> {
        self.origin
    }
}

/// What an attempt that has just ended says of its agent, and which that is.
pub fn execution<'a>(state: &'a RunState, step: &str, attempt: u32) -> Option<(&'a str, Execution)> {
    let (definition, step) = state.step(step)?;
    let attempt = step.numbered(attempt)?;
    Some((definition.agent_label(), Execution::of(attempt)?))
}

/// How long a run has stood still, in all and for each reason; a pause with two reasons counts for both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standstill {
    /// In seconds.
    pub seconds: f64,
    /// By reason, in seconds.
    pub reasons: BTreeMap<PauseReason, f64>,
}

impl Standstill {
    /// That of a run; a pause that lasts goes on until `now`.
    pub fn of(state: &RunState, now: DateTime<Utc>) -> Self {
        let mut found = Self::default();
        for pause in &state.pauses {
            let seconds = (pause.until.unwrap_or(now) - pause.since).as_seconds_f64().max(0.0);
            found.seconds += seconds;
            for reason in &pause.reasons {
                *found.reasons.entry(*reason).or_default() += seconds;
            }
        }
        found
    }
}

impl RunState {
    /// Keeps the list of pauses in step with the state; after every event.
    pub(super) fn note_pause(&mut self, time: DateTime<Utc>) {
        let is_paused = self.status == RunStatus::Paused;
        let open = self.pauses.last().is_some_and(|pause| pause.until.is_none());
        match if open { self.pauses.back_mut() } else { None } {
            Some(open) if is_paused && open.reasons == self.paused => return,
            // What is decided together is one pause.
            Some(open) if is_paused && open.since == time => {
                open.reasons.clone_from(&self.paused);
                return;
            }
            Some(open) => open.until = Some(time),
            None => {}
        }
        if is_paused {
            self.pauses.push_back(super::Pause { since: time, until: None, reasons: self.paused.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executions(told: &str, quality: Option<f64>) -> AgentHealth {
        let mut agent = AgentHealth::default();
        for (second, sign) in (1..).zip(told.chars()) {
            let ended = DateTime::from_timestamp(second, 0).unwrap();
            agent.take(&Execution { ended, seconds: 2.0, succeeded: sign == '+', quality });
        }
        agent
    }

    #[test]
    fn the_rules_of_health() {
        use Health::{Degraded, Healthy, Unhealthy};
        for (told, quality, health, in_a_row) in [
            ("", None, Healthy, 0),
            ("+", None, Healthy, 0),
            ("--", None, Healthy, 2),
            ("---", None, Degraded, 3),
            ("----", None, Degraded, 4),
            ("-----", None, Unhealthy, 5),
            ("------", Some(0.9), Unhealthy, 6),
            ("-----+", None, Healthy, 0),
            ("+--+--", None, Healthy, 2),
            ("+", Some(0.6), Healthy, 0),
            ("+", Some(0.59), Degraded, 0),
            ("-----", Some(0.1), Unhealthy, 5),
        ] {
            let agent = executions(told, quality);
            assert_eq!((agent.health(), agent.consecutive_failures), (health, in_a_row), "{told} {quality:?}");
            assert_eq!(agent.why().is_some(), health != Healthy, "{told} {quality:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let none = AgentHealth::default();
        assert_eq!(
            (none.success_rate(), none.mean_seconds(), none.p95_seconds(), none.quality()),
            (None, None, None, None)
        );
        let some = executions("++-+", None);
        assert_eq!((some.success_rate(), some.quality()), (Some(0.75), None));
    }

    #[test]
    fn percentiles_are_nearly_exact_in_little_room() {
        let mut durations = Durations::default();
        for number in 1..=100_000_u32 {
            durations.add(f64::from(number) / 100.0);
        }
        let p95 = durations.percentile(0.95).unwrap();
        assert!((p95 / 950.0 - 1.0).abs() < 0.011, "{p95}");
        assert!((durations.mean().unwrap() - 500.005).abs() < 1e-6);
        assert!(durations.classes.len() < 600);
        // A few are not rounded.
        let mut few = Durations::default();
        [1.0, 2.5, 40.0].into_iter().for_each(|seconds| few.add(seconds));
        assert_eq!(few.percentile(0.95), Some(40.0));
    }

    #[test]
    fn a_series_keeps_all_in_little_room() {
        let mut series = Series::default();
        for second in 0..100_000 {
            series.add(f64::from(second));
        }
        assert_eq!(series.total(), 100_000);
        assert!(series.counts.len() <= Series::MOST);
        let columns = series.columns(100_000.0, 10);
        assert_eq!(columns.iter().sum::<u64>(), 100_000);
        assert!(columns.iter().all(|number| (9_000..=11_000).contains(number)), "{columns:?}");
    }
}
