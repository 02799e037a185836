//! Quality gates: what becomes of a result, and the reviews by people that a gate asks for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::QualityGate;

use super::AgentResult;

/// What a gate says of a result (the older system's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateDecision {
    /// Good enough: the step is completed.
    Approved,
    /// Not good enough, and nothing is left to try: the step fails.
    Rejected,
    /// A person decides.
    ReviewRequired,
    /// Not good enough: the step runs again.
    RetrySuggested,
}

/// Where a review stands (the older system's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// It waits for a person.
    Pending,
    /// Somebody found the result good enough.
    Approved,
    /// Somebody did not, or took the step into their hands in another way.
    Rejected,
    /// Somebody passed it on to somebody else, for whom it waits.
    Escalated,
}

/// What a gate said of an attempt's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What follows.
    pub decision: GateDecision,
    /// The result's score; `None` when it has none, which is not a score of zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why, in words.
    pub reason: String,
}

/// A judgement and what people made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Number of the attempt.
    pub attempt: u32,
    /// When the gate judged.
    pub time: DateTime<Utc>,
    /// What it said.
    pub judgement: Judgement,
    /// Where the review stands; `None` when the gate asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ReviewStatus>,
    /// What people said, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<ReviewAnswer>,
}

/// What a person said in a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewAnswer {
    /// Who.
    pub user: String,
    /// The system's user id beside the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// When.
    pub time: DateTime<Utc>,
    /// What.
    pub status: ReviewStatus,
    /// Their notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// Every named dimension must reach this unless the gate says otherwise.
pub const MIN_QUALITY: f64 = 0.7;
/// Below this a result is tried again or rejected unless the gate says otherwise.
pub const REVIEW_THRESHOLD_LOW: f64 = 0.6;
/// From this on a result is approved unless the gate says otherwise.
pub const REVIEW_THRESHOLD_HIGH: f64 = 0.85;
/// Retries for quality unless the gate says otherwise.
pub const GATE_RETRIES: u32 = 3;

/// Judges a result; `retried` is how often the step has run again for its quality already.
pub fn judge(gate: &QualityGate, result: Option<&AgentResult>, retried: u32) -> Judgement {
    let score = result.and_then(|result| result.quality_score);
    let say = |decision, reason: String| Judgement { decision, score, reason };
    let least = gate.min_quality.unwrap_or(MIN_QUALITY);
    for name in &gate.quality_dimensions {
        let found = result.and_then(|result| result.quality_details.as_ref()?.get(name).copied());
        match found {
            None => return say(GateDecision::Rejected, format!("the dimension `{name}` is missing in the result")),
            Some(value) if value < least => {
                return say(GateDecision::Rejected, format!("`{name}` is {value}, below {least}"));
            }
            Some(_) => {}
        }
    }
    if gate.require_review {
        return say(GateDecision::ReviewRequired, "the plan wants a person to decide".into());
    }
    let Some(score) = score else {
        return say(GateDecision::ReviewRequired, "the result has no quality score".into());
    };
    let low = gate.review_threshold_low.unwrap_or(REVIEW_THRESHOLD_LOW);
    let high = gate.review_threshold_high.unwrap_or(REVIEW_THRESHOLD_HIGH);
    if score >= high {
        return say(GateDecision::Approved, format!("quality {score}, from {high} on it is approved"));
    }
    if score >= low {
        return say(GateDecision::ReviewRequired, format!("quality {score}, between {low} and {high}"));
    }
    let most = gate.max_retries.unwrap_or(GATE_RETRIES);
    if retried < most {
        return say(
            GateDecision::RetrySuggested,
            format!("quality {score}, below {low}; retry {} of {most}", retried + 1),
        );
    }
    say(GateDecision::Rejected, format!("quality {score}, below {low}, and no retry is left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(score: Option<f64>, details: &[(&str, f64)]) -> AgentResult {
        let details = details.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        AgentResult { quality_score: score, quality_details: Some(details), ..AgentResult::default() }
    }

    #[test]
    fn scores_lead_to_the_decisions_of_the_policy() {
        use GateDecision::{Approved, Rejected, RetrySuggested, ReviewRequired};
        let gate = QualityGate::default();
        for (score, retried, decision) in [
            (Some(0.9), 0, Approved),
            (Some(0.85), 0, Approved),
            (Some(0.849), 0, ReviewRequired),
            (Some(0.6), 3, ReviewRequired),
            (Some(0.59), 0, RetrySuggested),
            (Some(0.59), 2, RetrySuggested),
            (Some(0.59), 3, Rejected),
            (Some(0.0), 3, Rejected),
            (None, 0, ReviewRequired),
        ] {
            assert_eq!(judge(&gate, Some(&result(score, &[])), retried).decision, decision, "{score:?} {retried}");
        }
        assert_eq!(judge(&gate, None, 0).decision, ReviewRequired, "no result is no score of zero");
        let asking = QualityGate { require_review: true, ..QualityGate::default() };
        assert_eq!(judge(&asking, Some(&result(Some(1.0), &[])), 0).decision, ReviewRequired);
    }

    #[test]
    fn a_named_dimension_must_be_there_and_reach_the_least() {
        let gate = QualityGate { quality_dimensions: vec!["depth".into()], ..QualityGate::default() };
        let said = |details: &[(&str, f64)]| judge(&gate, Some(&result(Some(0.9), details)), 0);
        assert_eq!(said(&[("depth", 0.7)]).decision, GateDecision::Approved);
        assert_eq!(said(&[("depth", 0.69)]).reason, "`depth` is 0.69, below 0.7");
        assert_eq!(said(&[("width", 1.0)]).reason, "the dimension `depth` is missing in the result");
        assert_eq!(said(&[]).decision, GateDecision::Rejected);
    }
}
