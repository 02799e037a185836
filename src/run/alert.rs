//! Alerts: more failures or interventions in a while than there should be, and agents that have become unhealthy.
//!
//! An alert is no event of the run: it follows from the events and from what an operator wants to be told, so it is derived by whoever tells it.
//! Each crossing of a threshold is told once; the next one counts when there were fewer than half as many in between.
//!
//! Interventions of one kind that one person made together count once: a skip of ten marked steps is one thing that somebody did.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::health::execution;
use super::{AgentHealth, Event, Execution, Health, Intervention, Metrics, Recorded, RunState};

/// What one person does in this time, in one way, is one thing done to several steps. Whoever goes on for longer does the next.
const TOGETHER: TimeDelta = TimeDelta::seconds(2);

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

/// What somebody does at once.
#[derive(Debug, Clone, PartialEq)]
struct Deed {
    user: String,
    kind: String,
    since: DateTime<Utc>,
}

impl Deed {
    /// Whether an intervention is a part of it.
    fn has(&self, record: &Intervention) -> bool {
        let after = record.timestamp - self.since;
        self.user == record.user
            && self.kind == record.intervention_type
            && after >= TimeDelta::zero()
            && after < TOGETHER
    }
}

/// Watches a run for what is to be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watch {
    rules: AlertRules,
    failures: Window,
    interventions: Window,
    deed: Option<Deed>,
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
        // Backwards as far as they count, which is no further than they matter.
        let counts = |record: &&Intervention| state.updated_at - record.timestamp < rules.window;
        let records = state.interventions.iter().rev().map(|record| &**record);
        let recent: Vec<&Intervention> = records.take_while(counts).collect();
        for record in recent.into_iter().rev() {
            watch.intervened(record);
        }
        watch
    }

    /// Whether this intervention makes them too many.
    fn intervened(&mut self, record: &Intervention) -> bool {
        if self.deed.as_ref().is_some_and(|deed| deed.has(record)) {
            return false;
        }
        let (user, kind) = (record.user.clone(), record.intervention_type.clone());
        self.deed = Some(Deed { user, kind, since: record.timestamp });
        self.interventions.take(record.timestamp, self.rules.window, self.rules.interventions)
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
            Event::Intervention(record) if self.intervened(record) => {
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

    fn intervention(user: &str, kind: &str, milliseconds: i64) -> Intervention {
        let time = DateTime::from_timestamp_millis(1_800_000_000_000 + milliseconds).unwrap();
        serde_json::from_value(serde_json::json!({
            "intervention_id": uuid::Uuid::nil(), "intervention_type": kind, "user": user, "timestamp": time,
            "status": "applied",
        }))
        .unwrap()
    }

    #[test]
    fn what_one_person_does_to_many_at_once_counts_once() {
        let rules = AlertRules { interventions: 3, ..AlertRules::default() };
        let told = |records: &[(&str, &str, i64)]| {
            let mut watch = Watch::new(rules);
            let mut taken = |(user, kind, at): &(&str, &str, i64)| watch.intervened(&intervention(user, kind, *at));
            records.iter().filter(|record| taken(record)).count()
        };
        // Twenty marked steps, skipped with one key.
        let together: Vec<(&str, &str, i64)> = (0..20).map(|place| ("ann", "skip_step", place * 90)).collect();
        assert_eq!(told(&together), 0);
        // Three of them, each with its own key; three people, or three ways, at the same moment.
        assert_eq!(told(&[("ann", "skip_step", 0), ("ann", "skip_step", 3000), ("ann", "skip_step", 6000)]), 1);
        assert_eq!(told(&[("ann", "skip_step", 0), ("bob", "skip_step", 1), ("eve", "skip_step", 2)]), 1);
        assert_eq!(told(&[("ann", "skip_step", 0), ("ann", "retry_step", 1), ("ann", "pause", 2)]), 1);
        // A script that does it again and again is told, however quick it is.
        let script: Vec<(&str, &str, i64)> = (0..100).map(|place| ("bot", "retry_step", place * 100)).collect();
        assert_eq!(told(&script), 1);
    }

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
