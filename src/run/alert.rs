//! Alerts: more failures or interventions in a while than there should be, and agents that have become unhealthy.
//!
//! An alert is no event of the run: it follows from the events and from what an operator wants to be told, so it is derived by whoever tells it.
//! Each crossing of a threshold is told once; the next one counts when there were fewer than half as many in between.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::health::execution;
use super::{AgentHealth, Event, Execution, Health, Metrics, Recorded, RunState};

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertRules {
    /// How far back is looked.
    pub window: TimeDelta,
    /// So many failures in that time are told; 0: never.
    pub failures: u32,
    /// So many interventions in that time are told; 0: never.
    pub interventions: u32,
    /// An agent that becomes unhealthy is told.
    pub agents: bool,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { window: TimeDelta::minutes(10), failures: 5, interventions: 10, agents: true }
    }
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertKind {
    /// Failed attempts.
    Failures,
    /// Interventions.
    Interventions,
    /// An agent.
    Agent(String),
}

impl AlertKind {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            AlertKind::Failures => "failures",
            AlertKind::Interventions => "interventions",
            AlertKind::Agent(_) => "agent",
        }
    }
}

/// Something that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The event it follows from.
    pub seq: u64,
    /// When.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub kind: AlertKind,
    /// What it says, in words.
    pub message: String,
}

/// The newest of something that happens now and then: no more of them than matter.
#[derive(Debug, Clone, Default, PartialEq)]
struct Window {
    times: VecDeque<DateTime<Utc>>,
    over: bool,
}

impl Window {
    /// Whether this one makes them too many.
    fn take(&mut self, time: DateTime<Utc>, window: TimeDelta, most: u32) -> bool {
        let most = most as usize;
        if most == 0 {
            return false;
        }
        while self.times.front().is_some_and(|first| time - *first >= window) {
            self.times.pop_front();
        }
        self.over &= self.times.len() * 2 >= most;
        self.times.push_back(time);
        let is_over = self.times.len() >= most;
        if self.times.len() > most {
            self.times.pop_front();
        }
        is_over && !std::mem::replace(&mut self.over, is_over)
    }
}

/// Watches a run for what is to be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watch {
    rules: AlertRules,
    failures: Window,
    interventions: Window,
    agents: BTreeMap<String, AgentHealth>,
}

impl Watch {
    /// Watches a run from its beginning.
    pub fn new(rules: AlertRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Watches a run that has come this far; what lies behind it is not told any more. Walks over all attempts.
    pub fn from(rules: AlertRules, state: &RunState) -> Self {
        let mut watch = Self { agents: Metrics::of(state).agents, ..Self::new(rules) };
        let attempts = state.steps.iter().flat_map(|step| &step.attempts);
        let failed = attempts.filter_map(|attempt| Execution::of(attempt)).filter(|one| !one.succeeded);
        let mut failed: Vec<DateTime<Utc>> =
            failed.map(|one| one.ended).filter(|ended| state.updated_at - *ended < rules.window).collect();
        failed.sort_unstable();
        for time in failed {
            watch.failures.take(time, rules.window, rules.failures);
        }
        let recent = state.interventions.len().saturating_sub(rules.interventions as usize);
        for record in state.interventions.iter().skip(recent) {
            watch.interventions.take(record.timestamp, rules.window, rules.interventions);
        }
        watch
    }

    /// Takes in an event; `state` is the state after it, or a later one. Gives what is to be told.
    pub fn take(&mut self, recorded: &Recorded, state: &RunState) -> Vec<Alert> {
        let (seq, time, window) = (recorded.seq, recorded.time, self.rules.window);
        let alert = |kind: AlertKind, message: String| Alert { seq, time, kind, message };
        let mut told = Vec::new();
        match &recorded.event {
            Event::AttemptEnded { step, attempt, .. } => {
                let Some((label, one)) = execution(state, step, *attempt) else { return told };
                if !one.succeeded && self.failures.take(time, window, self.rules.failures) {
                    let message = format!("{} failures in {}", self.rules.failures, minutes(window));
                    told.push(alert(AlertKind::Failures, message));
                }
                if !self.agents.contains_key(label) {
                    self.agents.insert(label.to_owned(), AgentHealth::default());
                }
                if let Some(agent) = self.agents.get_mut(label) {
                    let before = agent.health();
                    agent.take(&one);
                    let new = agent.health() == Health::Unhealthy && before != Health::Unhealthy;
                    if let Some(why) = agent.why().filter(|_| new && self.rules.agents) {
                        told.push(alert(AlertKind::Agent(label.to_owned()), format!("{label} is unhealthy: {why}")));
                    }
                }
            }
            Event::Intervention(_) if self.interventions.take(time, window, self.rules.interventions) => {
                let message = format!("{} interventions in {}", self.rules.interventions, minutes(window));
                told.push(alert(AlertKind::Interventions, message));
            }
            _ => {}
        }
        told
    }
}

fn minutes(window: TimeDelta) -> String {
    let seconds = window.num_seconds();
    if seconds % 60 == 0 { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crossing_counts_once() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        // When something happens, and whether that makes three in ten seconds.
        let table: [(i64, bool); 11] = [
            (0, false),
            (1, false),
            (2, true),
            (3, false),
            (4, false),
            // The other two are those at 3 and 4: it has not become quiet.
            (12, false),
            (30, false),
            (31, false),
            (32, true),
            (100, false),
            (110, false),
        ];
        let mut window = Window::default();
        for (second, expected) in table {
            let told = window.take(at(second), TimeDelta::seconds(10), 3);
            assert_eq!(told, expected, "at {second} s");
            assert!(window.times.len() <= 3);
        }
        let mut never = Window::default();
        assert!((0..100).all(|second| !never.take(at(second), TimeDelta::seconds(10), 0)));
    }
}
