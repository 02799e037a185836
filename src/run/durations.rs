//! How long the steps of a run are expected to take: whose turn it is goes by the work that still follows a step.

use serde::{Deserialize, Serialize};

use crate::plan::{MAX_INSTANCES, Plan, Step, instance_id};

use super::Past;

/// What is known of a plan's steps when a run of it is opened. It stays as it is from then on, so that whoever folds the run's journal gives
/// the same steps their turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// By the number that a step has in the run, in milliseconds.
    millis: Vec<u32>,
    /// The middle of those that are known, in milliseconds: it stands for all others.
    usual: u32,
}

impl Durations {
    /// What earlier runs tell of a plan's steps; `None` when that is nothing. Cost: the plan, for each earlier run.
    pub fn of(plan: &Plan, past: &Past) -> Option<Self> {
        let millis = |seconds: f64| (seconds * 1000.0).round() as u32;
        let told: Vec<Option<u32>> = plan.steps.iter().map(|step| seconds(step, past).map(millis)).collect();
        let mut known: Vec<u32> = told.iter().flatten().copied().collect();
        known.sort_unstable();
        let usual = *known.get(known.len() / 2)?;
        Some(Self { millis: told.into_iter().map(|millis| millis.unwrap_or(usual)).collect(), usual })
    }

    /// What a step weighs when chains of work are compared, by its number in the run. One that takes no time is still a step.
    pub(super) fn weight(&self, number: Option<u32>) -> u64 {
        let known = number.and_then(|number| self.millis.get(number as usize));
        u64::from(*known.unwrap_or(&self.usual)).max(1)
    }
}

/// What a step took; a `foreach` step, what one of its instances did.
fn seconds(step: &Step, past: &Past) -> Option<f64> {
    if step.foreach.is_none() {
        return past.usual(&step.step_id, step);
    }
    let instances = (0..MAX_INSTANCES as u32).map_while(|index| past.usual(&instance_id(&step.step_id, index), step));
    let mut instances: Vec<f64> = instances.collect();
    super::forecast::median(&mut instances)
}
