//! What is delivered: one JSON object for each thing that happened.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::run::{
    Alert, AlertKind, CheckpointMark, Event, Intervention, Outcome, Recorded, ReviewStatus, RunState, StepStatus, Then,
    checkpoint_id,
};

use super::Kind;

/// The name of the form in which events are delivered.
const SCHEMA: &str = "holdpoint.event";
/// Its version: grows when a field is taken away or means something else, not when one is added.
const VERSION: u32 = 1;

type Fields = Map<String, Value>;

/// An event on its way to hooks.
#[derive(Debug)]
pub(super) struct Item {
    pub kind: Kind,
    pub run_id: Uuid,
    /// The same each time it is delivered.
    pub id: String,
    fields: Fields,
}

impl Item {
    pub fn new(state: &RunState, recorded: &Recorded, kind: Kind, suffix: &str, fields: Fields) -> Self {
        let dot = if suffix.is_empty() { "" } else { "." };
        let id = format!("{}:{}:{}{dot}{suffix}", state.run_id, recorded.seq, kind.word());
        let mut all = object(json!({
            "schema": SCHEMA,
            "version": VERSION,
            "id": id,
            "kind": kind.word(),
            "run_id": state.run_id,
            "plan_id": state.plan.plan_id,
            "title": state.plan.headline(),
            "seq": recorded.seq,
            "time": recorded.time,
        }));
        all.extend(fields);
        Self { kind, run_id: state.run_id, id, fields: all }
    }

    /// One for a test, with a number for its id.
    #[cfg(test)]
    pub fn numbered(number: usize) -> Self {
        let fields = object(json!({"id": number.to_string()}));
        Self { kind: Kind::RunState, run_id: Uuid::nil(), id: number.to_string(), fields }
    }

    /// As JSON on one line; `missed`: so many events before it were not delivered, because the hook had fallen behind.
    pub fn to_json(&self, missed: u64) -> String {
        if missed == 0 {
            return Value::Object(self.fields.clone()).to_string();
        }
        let mut fields = self.fields.clone();
        fields.insert("missed".into(), missed.into());
        Value::Object(fields).to_string()
    }
}

fn object(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// What hooks are told of an event but alerts; `state` is the state after it.
pub(super) fn told(recorded: &Recorded, state: &RunState) -> Vec<(Kind, Fields)> {
    let mut told = Vec::new();
    told.extend(run_state(&recorded.event, state).map(|fields| (Kind::RunState, fields)));
    told.extend(step_state(&recorded.event, state).map(|fields| (Kind::StepState, fields)));
    let mark = state.checkpoints.binary_search_by_key(&recorded.seq, |mark| mark.seq);
    told.extend(mark.ok().map(|place| (Kind::Checkpoint, checkpoint(&state.checkpoints[place], state))));
    told.extend(about_people(&recorded.event, state));
    told
}

fn run_state(event: &Event, state: &RunState) -> Option<Fields> {
    let mut fields = Fields::new();
    let status = match event {
        Event::RunRegistered(_) => "idle",
        Event::RunStarted | Event::RunResumed => "running",
        Event::RunPaused { reasons } => {
            let reasons: Vec<&str> = reasons.iter().map(|reason| reason.word()).collect();
            fields.insert("reasons".into(), json!(reasons));
            "paused"
        }
        Event::RunReopened | Event::Restored { .. } => "paused",
        Event::RunCompleted => "completed",
        Event::RunCancelled => "cancelled",
        Event::RunFailed { error } => {
            fields.insert("error".into(), error.clone().into());
            "failed"
        }
        Event::CancelRequested { .. } => {
            fields.insert("cancelling".into(), true.into());
            state.status.word()
        }
        Event::RollbackStarted { rollback, .. } => {
            fields.insert("rolling_back".into(), true.into());
            fields.insert("why".into(), rollback.why.clone().into());
            state.status.word()
        }
        _ => return None,
    };
    fields.insert("status".into(), status.into());
    let counts = state.counts();
    let failed = counts.of(StepStatus::Failed);
    fields.insert("steps".into(), json!({"total": counts.total(), "done": counts.done(), "failed": failed}));
    Some(fields)
}

fn step_state(event: &Event, state: &RunState) -> Option<Fields> {
    let status = |step: &str| state.step(step).map(|(_, found)| found.status.word());
    let fields = match event {
        Event::AttemptStarted { step, attempt, .. } => json!({"step": step, "status": "running", "attempt": attempt}),
        Event::AttemptEnded { step, attempt, outcome, .. } => {
            let known = state.step(step).and_then(|(_, found)| found.numbered(*attempt));
            let why = known.map_or_else(|| outcome.in_words(), |attempt| attempt.in_words());
            let mut fields = outcome_fields(outcome, why);
            let seconds = known.and_then(|attempt| Some(attempt.seconds(attempt.ended_at?)));
            fields.insert("step".into(), step.clone().into());
            fields.insert("status".into(), status(step).into());
            fields.insert("attempt".into(), (*attempt).into());
            fields.insert("seconds".into(), json!(seconds));
            return Some(with_agent(fields, step, state));
        }
        Event::StopRequested { step, attempt, .. } => json!({"step": step, "status": "stopping", "attempt": attempt}),
        Event::StepHeld { step, reason } => json!({"step": step, "status": "held", "reason": reason}),
        Event::StepSkipped { step, why, user, reason } => {
            json!({"step": step, "status": "skipped", "why": why, "user": user, "reason": reason})
        }
        Event::StepCompletedByHand { step, user, .. } => json!({"step": step, "status": "completed", "user": user}),
        Event::StepQueued { step } => json!({"step": step, "status": "pending"}),
        _ => return None,
    };
    let step = fields["step"].as_str().unwrap_or_default().to_owned();
    Some(with_agent(object(fields), &step, state))
}

fn with_agent(mut fields: Fields, step: &str, state: &RunState) -> Fields {
    if let Some((definition, _)) = state.step(step) {
        fields.insert("agent".into(), definition.agent_label().into());
    }
    fields
}

fn outcome_fields(outcome: &Outcome, why: String) -> Fields {
    let mut fields = Fields::new();
    fields.insert("outcome".into(), serde_json::to_value(outcome.status).unwrap_or_default());
    fields.extend(outcome.exit_code.map(|code| ("exit_code".into(), code.into())));
    if !why.is_empty() {
        fields.insert("error".into(), why.into());
    }
    let quality = outcome.result.as_ref().and_then(|result| result.quality_score);
    fields.extend(quality.map(|quality| ("quality_score".into(), json!(quality))));
    fields
}

fn checkpoint(mark: &CheckpointMark, state: &RunState) -> Fields {
    object(json!({
        "checkpoint_id": checkpoint_id(mark.seq),
        "cause": mark.cause,
        "step_index": mark.step_index,
        "step": mark.step.and_then(|number| state.step_name(number)),
    }))
}

/// Interventions, reviews and questions.
fn about_people(event: &Event, state: &RunState) -> Option<(Kind, Fields)> {
    Some(match event {
        Event::Intervention(record) => (Kind::Intervention, intervention(record)),
        Event::InterventionSettled { intervention_id, .. } => {
            let record = state.interventions.iter().rev().find(|one| one.intervention_id == *intervention_id)?;
            (Kind::Intervention, intervention(record))
        }
        Event::AttemptEnded { step, attempt, outcome, then: Then::Review } => {
            let quality = outcome.result.as_ref().and_then(|result| result.quality_score);
            let status = ReviewStatus::Pending;
            let fields = json!({"step": step, "attempt": attempt, "status": status, "quality_score": quality});
            (Kind::Review, object(fields))
        }
        Event::ReviewAnswered { step, user, status, notes, .. } => {
            (Kind::Review, object(json!({"step": step, "status": status, "user": user, "notes": notes})))
        }
        Event::QuestionAsked { step, attempt, question } => {
            let fields = json!({"step": step, "attempt": attempt, "status": "asked", "title": question.title});
            (Kind::Question, object(fields))
        }
        // What was answered may be for nobody's eyes.
        Event::QuestionAnswered { step, attempt, user, .. } => {
            let fields = json!({"step": step, "attempt": attempt, "status": "answered", "user": user});
            (Kind::Question, object(fields))
        }
        _ => return None,
    })
}

fn intervention(record: &Intervention) -> Fields {
    object(json!({
        "intervention_id": record.intervention_id,
        "intervention_type": record.intervention_type,
        "target_step_id": record.target_step_id,
        "parameters": record.parameters,
        "user": record.user,
        "uid": record.uid,
        "timestamp": record.timestamp,
        "status": record.status,
        "reason": record.reason,
        "error": record.error,
    }))
}

/// What hooks are told of an alert.
pub(super) fn alert(alert: &Alert) -> Fields {
    let agent = match &alert.kind {
        AlertKind::Agent(agent) => Some(agent),
        AlertKind::Failures | AlertKind::Interventions => None,
    };
    object(json!({"alert": alert.kind.word(), "agent": agent, "message": alert.message}))
}
