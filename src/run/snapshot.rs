//! A run's state as one JSON document for people and programs: the older system's snapshot fields, and more.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    Branches, CheckpointMark, Counts, Ending, Intervention, PlanSizes, RunState, STEP_STATUSES, StepStatus,
    checkpoint_id, open_questions,
};

/// The snapshot of a run at a moment. Cost: steps plus checkpoints plus interventions.
pub fn snapshot(state: &RunState, now: DateTime<Utc>) -> Value {
    let counts = state.counts();
    let live: Vec<usize> = state.live().collect();
    json!({
        // A place in the journal determines the state, so it also names its snapshot.
        "snapshot_id": format!("{}@{}", state.run_id, state.seq),
        "plan_id": state.plan.plan_id,
        "run_id": state.run_id,
        "plan": state.plan,
        "plan_version": state.plan_version,
        "versions": versions(state),
        "removed_steps": state.removed.keys().collect::<Vec<_>>(),
        "parent": state.parent.map(|(run, checkpoint)| json!({"run_id": run, "checkpoint_id": checkpoint_id(checkpoint)})),
        "orchestration_state": state.status.word(),
        "cancelling": state.cancelling,
        "rolling_back": state.rolling_back,
        "rollback": state.rollback,
        "paused": state.paused,
        "waits_for": open_questions(state),
        "error": state.error,
        "current_step_index": state.step_index(),
        "counts": by_status(&counts),
        "current_steps": state.step_ids(&live),
        "completed_steps": ids(state, StepStatus::Completed),
        "failed_steps": ids(state, StepStatus::Failed),
        "skipped_steps": ids(state, StepStatus::Skipped),
        "steps": steps(state, now),
        "checkpoints": checkpoints(state),
        "interventions": state.interventions.iter().map(|one| intervention(state, one)).collect::<Vec<_>>(),
        "options": state.options,
        "user": state.user,
        "seq": state.seq,
        "epoch": state.epoch,
        "created_at": state.created_at,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "updated_at": state.updated_at,
        "since": state.since,
        "timestamp": now,
    })
}

fn by_status(counts: &Counts) -> Map<String, Value> {
    let there = STEP_STATUSES.into_iter().filter(|status| counts.of(*status) > 0);
    there.map(|status| (status.word().to_owned(), counts.of(status).into())).collect()
}

/// The versions of the plan, oldest first, each as an object.
pub fn versions(state: &RunState) -> Vec<Value> {
    let opened = json!({
        "version": 1,
        "timestamp": state.created_at,
        "user": state.user,
        "reason": null,
        "cause": {"by": "open"},
        "changes": [],
    });
    let later = state.versions.iter().map(|one| {
        json!({
            "version": one.change.version,
            "timestamp": one.time,
            "user": one.change.user,
            "reason": one.change.reason,
            "cause": one.change.cause,
            "changes": one.change.in_words(),
            "patch": one.change.edits,
            "inverse": one.change.inverse,
        })
    });
    std::iter::once(opened).chain(later).collect()
}

/// The run's checkpoints, oldest first, each as an object.
pub fn checkpoints(state: &RunState) -> Vec<Value> {
    let (branches, sizes) = (Branches::of(state), PlanSizes::of(state));
    let full = |mark| {
        let mut shown = checkpoint(state, mark);
        shown["steps"] = sizes.at(mark).into();
        shown["left_behind_at"] = branches.left_at(mark.seq).map_or(Value::Null, |left| json!(left));
        shown
    };
    state.checkpoints.iter().map(full).collect()
}

fn checkpoint(state: &RunState, mark: &CheckpointMark) -> Value {
    json!({
        "checkpoint_id": checkpoint_id(mark.seq),
        "plan_id": state.plan.plan_id,
        "step_index": mark.step_index,
        "timestamp": mark.time,
        "cause": mark.cause,
        "step_id": mark.step.and_then(|number| state.step_name(number)),
        "ending": mark.ending.map(Ending::word),
        "paused": state.pause_reasons_at(mark),
    })
}

fn intervention(state: &RunState, record: &Intervention) -> Value {
    // Written out, absent values as null: whoever reads the log finds every field in every record.
    json!({
        "intervention_id": record.intervention_id,
        "plan_id": state.plan.plan_id,
        "run_id": state.run_id,
        "intervention_type": record.intervention_type,
        "target_step_id": record.target_step_id,
        "parameters": record.parameters,
        "user": record.user,
        "uid": record.uid,
        "timestamp": record.timestamp,
        "status": record.status,
        "reason": record.reason,
        "error": record.error,
        "undone_by": record.undone_by,
    })
}

fn ids(state: &RunState, status: StepStatus) -> Vec<&str> {
    let found = state.plan.steps.iter().zip(&state.steps).filter(|(_, step)| step.status == status);
    found.map(|(definition, _)| definition.step_id.as_str()).collect()
}

fn steps(state: &RunState, now: DateTime<Utc>) -> Vec<Value> {
    let all = state.plan.steps.iter().zip(&state.steps).enumerate();
    all.map(|(position, (definition, step))| {
        let mut shown = match serde_json::to_value(step) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        shown.insert("step_id".into(), definition.step_id.clone().into());
        shown.insert("status".into(), step.status.word().into());
        if let Some(seconds) = step.seconds(now) {
            shown.insert("duration_seconds".into(), json!(seconds));
        }
        if let Some(result) = state.result(position) {
            shown.insert("result".into(), result);
        }
        if let Some(parent) = state.parent(position) {
            shown.insert("instance_of".into(), state.plan.steps[parent].step_id.clone().into());
        }
        if let Some(counts) = state.instance_counts(position) {
            shown.insert("instances".into(), by_status(counts).into());
        }
        Value::Object(shown)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::plan::{FailurePolicy, Plan};
    use crate::run::{
        Command, Durability, Input, Moment, Outcome, Registration, Request, RunOptions, advance, log_refusal, register,
    };

    fn moment(second: i64) -> Moment {
        Moment { now: DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap(), entropy: 0 }
    }

    fn run() -> RunState {
        let plan: Plan = serde_json::from_value(json!({
            "plan_id": "p",
            "steps": [{"step_id": "a", "run": "true"}, {"step_id": "b", "run": "true"}, {"step_id": "c", "run": "true"}],
        }))
        .unwrap();
        let registration = Registration {
            run_id: uuid::Uuid::from_u128(7),
            plan: Arc::new(plan),
            options: RunOptions {
                on_failure: FailurePolicy::Pause,
                max_parallel: 1,
                simulate: false,
                durability: Durability::Full,
                grace_seconds: 1.0,
                working_dir: "/".into(),
                output_limit: None,
                plan_path: None,
                variables: Default::default(),
                environment: Default::default(),
            },
            user: "ann".into(),
            fork: None,
            durations: None,
        };
        let first = register(registration, &moment(0));
        let mut state = RunState::from_registration(&first[0]).unwrap();
        let ask = |state: &mut RunState, command, second| {
            let request = Request::new(uuid::Uuid::from_u128(second as u128), command, "bob").because("because");
            if let Err(rejection) = advance(state, &Input::Request(request.clone()), &moment(second)) {
                log_refusal(state, &request, &rejection, &moment(second));
            }
        };
        let end = |state: &mut RunState, step: &str, outcome, second| {
            let input = Input::AttemptEnded { step: step.into(), attempt: 1, outcome: Arc::new(outcome) };
            advance(state, &input, &moment(second)).unwrap();
        };
        ask(&mut state, Command::Start, 1);
        end(&mut state, "a", Outcome::succeeded(), 3);
        end(&mut state, "b", Outcome::failed("no luck"), 4);
        ask(&mut state, Command::Release { step: "c".into() }, 5);
        ask(&mut state, Command::Skip { step: "b".into() }, 6);
        state
    }

    #[test]
    fn it_has_the_fields_of_the_older_system() {
        let shown = snapshot(&run(), moment(10).now);
        assert_eq!(shown["plan_id"], "p");
        assert_eq!(shown["orchestration_state"], "running");
        assert_eq!(shown["current_step_index"], 2);
        assert_eq!(shown["completed_steps"], json!(["a"]));
        assert_eq!(shown["skipped_steps"], json!(["b"]));
        assert_eq!(shown["failed_steps"], json!([]));
        assert_eq!(shown["current_steps"], json!(["c"]));
        assert_eq!(shown["plan"]["steps"][0]["step_id"], "a");
        assert!(shown["snapshot_id"].is_string() && shown["timestamp"].is_string());
        let checkpoint = &shown["checkpoints"][1];
        assert_eq!((&checkpoint["plan_id"], &checkpoint["step_index"]), (&json!("p"), &json!(1)));
        assert!(checkpoint["checkpoint_id"].as_str().unwrap().starts_with("cp-"));
    }

    #[test]
    fn interventions_are_written_out_refused_ones_as_well() {
        let shown = snapshot(&run(), moment(10).now);
        let log = shown["interventions"].as_array().unwrap();
        let fields = [
            "intervention_id",
            "plan_id",
            "run_id",
            "intervention_type",
            "target_step_id",
            "parameters",
            "user",
            "timestamp",
            "status",
            "reason",
            "error",
        ];
        for record in log {
            for field in fields {
                assert!(record.get(field).is_some(), "{field} is missing in {record}");
            }
        }
        let refused = &log[1];
        assert_eq!((&refused["intervention_type"], &refused["status"]), (&json!("release"), &json!("failed")));
        assert!(refused["error"].as_str().unwrap().contains("not held"));
        assert_eq!(log[2]["intervention_type"], "skip_step");
        assert_eq!((&log[2]["user"], &log[2]["reason"]), (&json!("bob"), &json!("because")));
    }

    #[test]
    fn steps_tell_their_attempts() {
        let shown = snapshot(&run(), moment(10).now);
        let failed = &shown["steps"][1];
        assert_eq!(failed["status"], "skipped");
        assert_eq!(failed["attempts"][0]["outcome"]["error"], "no luck");
        assert_eq!(shown["steps"][0]["duration_seconds"], 2.0);
    }
}
