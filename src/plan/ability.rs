//! What the kinds of agents can do, as far as whoever decides about their attempts has to know it. Who does the work is in `agents`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{AgentSpec, Plan, Step, WaitSpec};

/// How an attempt is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// Its processes get TERM, and KILL when the grace period is over.
    Signals,
    /// It ends as soon as it is asked to.
    AtOnce,
}

/// What can be done with the attempts of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ability {
    /// How one is stopped.
    pub stop: StopKind,
    /// Whether one outlives the engine that started it: by its attempt key, its start and what it was answered another engine takes it up
    /// again, and nothing is done twice. It goes on as the same attempt, and no engine has to wait for its end before it may end itself. One
    /// of which it then turns out that nobody knows it is lost, as any other would be.
    pub outlives_engine: bool,
    /// Whether one takes a slot of `max_parallel`: what only waits, for a person or for a time, keeps nothing of the machine busy.
    pub takes_slot: bool,
    /// Whether one gets ready before its start is durable, which saves time; nobody outside can tell that it has, and one whose start turns
    /// out void is let go.
    pub gets_ready: bool,
}

/// An attempt that works, in processes or in tasks of its engine.
const WORKS: Ability = Ability { stop: StopKind::AtOnce, outlives_engine: false, takes_slot: true, gets_ready: false };
/// An attempt of which there is nothing but what the journal says.
const WAITS: Ability = Ability { stop: StopKind::AtOnce, outlives_engine: true, takes_slot: false, gets_ready: false };
/// An attempt that is a process.
const RUNS: Ability = Ability { stop: StopKind::Signals, gets_ready: true, ..WORKS };

impl AgentSpec {
    /// What can be done with its attempts. Told from the entry as the plan has it, before anything in it is rendered.
    pub fn ability(&self) -> Ability {
        match self {
            AgentSpec::Command { .. } => RUNS,
            AgentSpec::Http(_) if self.can_be_asked() => Ability { outlives_engine: true, ..WORKS },
            AgentSpec::Http(_) | AgentSpec::Mcp(_) | AgentSpec::Simulated(_) => WORKS,
            AgentSpec::Manual(_) | AgentSpec::Wait(_) => WAITS,
        }
    }
}

impl Plan {
    /// What can be done with the attempts of a step.
    pub fn ability(&self, step: &Step) -> Ability {
        if step.run.is_some() {
            return RUNS;
        }
        match step.agent() {
            Some(name) => match self.agents.get(name) {
                Some(spec) => spec.ability(),
                None if matches!(name, "manual" | "wait") => WAITS,
                None => WORKS,
            },
            None => WORKS,
        }
    }

    /// What a step waits for, if its agent is a wait: what the agent's entry says. The step's parameters may say otherwise.
    pub fn wait_of(&self, step: &Step) -> Option<WaitSpec> {
        match (self.agent_kind(step)?, step.agent().and_then(|name| self.agents.get(name))) {
            ("wait", Some(AgentSpec::Wait(spec))) => Some(spec.clone()),
            ("wait", None) => Some(WaitSpec::default()),
            _ => None,
        }
    }
}

impl WaitSpec {
    /// What the step's parameters say goes before what the entry says.
    #[must_use]
    pub fn with_parameters(&self, parameters: &Map<String, Value>) -> Self {
        let said = |name: &str| parameters.get(name).filter(|value| !value.is_null()).cloned();
        match (said("seconds"), said("until")) {
            (None, None) => self.clone(),
            (seconds, until) => Self { seconds, until },
        }
    }

    /// When a wait that begins at a time is over. One until a time that has passed is over when it begins.
    ///
    /// # Errors
    /// What it has to say instead.
    pub fn end(&self, start: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
        let given = |value: &Option<Value>| value.clone().filter(|value| !value.is_null());
        match (given(&self.seconds), given(&self.until)) {
            (Some(seconds), None) => {
                // In `parameters` an expression among other text makes a text of its number.
                let number = seconds.as_f64().or_else(|| seconds.as_str()?.trim().parse().ok());
                let number = number.filter(|number| (0.0..=super::MAX_SECONDS).contains(number));
                let number = number.ok_or_else(|| {
                    format!("`seconds` must be a number from 0 to {}, not {seconds}", super::MAX_SECONDS)
                })?;
                let span = TimeDelta::microseconds((number * 1e6) as i64);
                Ok(start.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC))
            }
            (None, Some(until)) => {
                let time = until.as_str().and_then(|text| DateTime::parse_from_rfc3339(text.trim()).ok());
                let time = time.ok_or_else(|| {
                    format!("`until` must be a time like 2031-05-04T22:30:00Z (RFC 3339), not {until}")
                })?;
                Ok(time.to_utc().max(start))
            }
            (Some(_), Some(_)) => Err("a wait has `seconds` or `until`, not both".into()),
            (None, None) => {
                Err("a wait needs `seconds` or `until`, in the agent's entry or the step's parameters".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start() -> DateTime<Utc> {
        "2026-03-14T14:00:00Z".parse().unwrap()
    }

    fn end(spec: Value, parameters: Value) -> Result<String, String> {
        let spec: WaitSpec = serde_json::from_value(spec).unwrap();
        let end = spec.with_parameters(parameters.as_object().unwrap()).end(start())?;
        Ok(end.format("%H:%M:%S%.f").to_string())
    }

    #[test]
    fn a_wait_ends_after_a_span_or_at_a_time() {
        assert_eq!(end(json!({"seconds": 90.5}), json!({})).unwrap(), "14:01:30.500");
        assert_eq!(end(json!({"until": "2026-03-14T16:00:00+01:00"}), json!({})).unwrap(), "15:00:00");
        assert_eq!(end(json!({"until": "2020-01-01T00:00:00Z"}), json!({})).unwrap(), "14:00:00", "that is over");
        assert_eq!(end(json!({"seconds": 5}), json!({"until": "2026-03-14T14:10:00Z"})).unwrap(), "14:10:00");
        assert_eq!(end(json!({}), json!({"seconds": "20"})).unwrap(), "14:00:20", "as an expression may give it");
    }

    #[test]
    fn a_wait_that_says_nothing_of_use_is_told_what_to_say() {
        for (spec, parameters, expected) in [
            (json!({}), json!({}), "needs `seconds` or `until`"),
            (json!({"seconds": 1}), json!({"seconds": 1, "until": "2031-05-04T22:30:00Z"}), "not both"),
            (json!({}), json!({"seconds": -1}), "must be a number from 0"),
            (json!({}), json!({"until": "tomorrow"}), "RFC 3339), not \"tomorrow\""),
            (json!({}), json!({"until": 14}), "RFC 3339), not 14"),
        ] {
            let said = end(spec, parameters).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
