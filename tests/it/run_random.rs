//! Random plans and what may be done to their runs.

use std::sync::Arc;

use holdpoint::plan::{FailurePolicy, Plan};
use holdpoint::run::{OutcomeStatus, STEP_STATUSES, StepStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a random step may say.
#[derive(Debug, Clone)]
pub struct StepShape {
    pub group: Option<u8>,
    /// Bit n: depends on the nth step before it.
    pub depends_on: u8,
    pub approvals: u8,
    pub max_retries: u8,
    pub on_failure: Option<FailurePolicy>,
    pub idempotent: bool,
    pub priority: i8,
    /// 0: none, 1: one that judges, 2: one that always asks.
    pub gate: u8,
    /// 0: none, 1: true, 2: false, 3: whether the step before it was not skipped, 4: of each instance, for all but one.
    pub when: u8,
    pub pool: bool,
    /// 0: a command, 1: a person does it, 2: it waits for a time.
    pub waits: u8,
    pub rollback: bool,
    /// 0: none, 1: no items, 2: some items, 3: as many as ever found, 4: the results of the step before it, 5: no list.
    pub foreach: u8,
}

#[derive(Debug, Clone)]
pub struct PlanShape {
    pub graph: bool,
    /// The list stands in reverse: dependencies come after what depends on them.
    pub reversed: bool,
    pub steps: Vec<StepShape>,
    pub on_failure: FailurePolicy,
    pub max_parallel: u32,
    /// How long earlier runs tell that the steps take, as far as they do.
    pub durations: Option<Vec<u32>>,
}

#[derive(Debug, Clone)]
pub enum Ask {
    Start,
    Pause,
    Resume,
    Cancel,
    Rollback,
    Interrupt,
    Retry(Pick, bool),
    Skip(Pick),
    Complete(Pick, bool),
    Hold(Pick),
    Unhold(Pick),
    Release(Pick),
    Approve(Pick),
    Reject(Pick),
    Escalate(Pick),
    /// An answer, or the other one; to the question that is open, or to one that is not.
    Answer {
        pick: Pick,
        declined: bool,
        stale: bool,
    },
    SetParallel(u8),
    Modify(Pick, u8),
    /// A step with one of a few names, beside another or at the end.
    Add {
        name: u8,
        beside: Pick,
        place: u8,
        rewire: bool,
    },
    Remove(Pick),
    Reorder(Vec<u8>),
    Undo(Option<u8>),
    /// An intervention, by its place in the log.
    UndoIntervention(u8),
    UseVersion(u8),
}

/// A step: one of those that need a person, one that is done, or any, also one that is not there.
#[derive(Debug, Clone, Copy)]
pub struct Pick(pub u8);

#[derive(Debug, Clone)]
pub enum Op {
    Ask {
        ask: Ask,
        user: u8,
        command_id: Option<u8>,
        seen: Option<StepStatus>,
    },
    /// A live attempt ends.
    End {
        which: u8,
        status: OutcomeStatus,
    },
    /// An outcome of whatever step and attempt.
    Stray {
        step: u8,
        attempt: u8,
        status: OutcomeStatus,
    },
    /// A live attempt asks something: what is next, or what it has asked before.
    Asks {
        which: u8,
        again: bool,
    },
    TimeOut {
        step: u8,
        attempts_ago: u8,
    },
    Wait {
        seconds: u16,
    },
    Restore {
        pick: u8,
        exists: bool,
    },
    Crash {
        lost: u8,
        go_on: bool,
        from_file: bool,
    },
}

fn policy() -> impl Strategy<Value = FailurePolicy> {
    use FailurePolicy::{Continue, Fail, Pause, Rollback};
    prop_oneof![Just(Pause), Just(Continue), Just(Fail), Just(Rollback)]
}

fn step_shape() -> impl Strategy<Value = StepShape> {
    (
        prop_oneof![1 => Just(None), 2 => (0..2u8).prop_map(Some)],
        0..8u8,
        prop_oneof![5 => Just(0u8), 2 => Just(1), 1 => Just(2)],
        prop_oneof![1 => Just(0u8), 1 => 1..3u8],
        prop_oneof![2 => Just(None), 1 => policy().prop_map(Some)],
        any::<bool>(),
        0..3i8,
        (
            prop_oneof![3 => Just(0u8), 1 => Just(1), 1 => Just(2)],
            prop_oneof![4 => Just(0u8), 1 => 1..5u8],
            prop::bool::weighted(0.3),
            prop_oneof![3 => Just(0u8), 1 => Just(1), 1 => Just(2)],
            prop::bool::weighted(0.6),
            prop_oneof![5 => Just(0u8), 3 => 1..6u8],
        ),
    )
        .prop_map(|(group, depends_on, approvals, max_retries, on_failure, idempotent, priority, more)| {
            StepShape {
                gate: more.0,
                when: more.1,
                pool: more.2,
                waits: more.3,
                rollback: more.4,
                foreach: more.5,
                group,
                depends_on,
                approvals,
                max_retries,
                on_failure,
                idempotent,
                priority,
            }
        })
}

pub fn plan_shape() -> impl Strategy<Value = PlanShape> {
    let steps = prop::collection::vec(step_shape(), 1..7);
    let durations = prop::option::of(prop::collection::vec(prop_oneof![0..5u32, any::<u32>()], 0..8));
    (any::<bool>(), any::<bool>(), steps, policy(), 1..5u32, durations).prop_map(
        |(graph, reversed, steps, on_failure, max_parallel, durations)| PlanShape {
            graph,
            reversed,
            steps,
            on_failure,
            max_parallel,
            durations,
        },
    )
}

fn outcome_status() -> impl Strategy<Value = OutcomeStatus> {
    prop_oneof![
        5 => Just(OutcomeStatus::Succeeded),
        4 => Just(OutcomeStatus::Failed),
        2 => Just(OutcomeStatus::Stopped),
        1 => Just(OutcomeStatus::Lost),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let pick = || any::<u8>().prop_map(Pick);
    prop_oneof![
        2 => Just(Ask::Start),
        2 => Just(Ask::Pause),
        5 => Just(Ask::Resume),
        1 => Just(Ask::Cancel),
        2 => Just(Ask::Rollback),
        1 => Just(Ask::Interrupt),
        5 => (pick(), any::<bool>()).prop_map(|(pick, downstream)| Ask::Retry(pick, downstream)),
        3 => pick().prop_map(Ask::Skip),
        2 => (pick(), any::<bool>()).prop_map(|(pick, result)| Ask::Complete(pick, result)),
        1 => pick().prop_map(Ask::Hold),
        1 => pick().prop_map(Ask::Unhold),
        4 => pick().prop_map(Ask::Release),
        3 => pick().prop_map(Ask::Approve),
        2 => pick().prop_map(Ask::Reject),
        1 => pick().prop_map(Ask::Escalate),
        4 => (pick(), prop::bool::weighted(0.3), prop::bool::weighted(0.1))
            .prop_map(|(pick, declined, stale)| Ask::Answer { pick, declined, stale }),
        1 => (0..6u8).prop_map(Ask::SetParallel),
        2 => (pick(), any::<u8>()).prop_map(|(pick, what)| Ask::Modify(pick, what)),
        3 => (0..4u8, pick(), 0..3u8, any::<bool>())
            .prop_map(|(name, beside, place, rewire)| Ask::Add { name, beside, place, rewire }),
        2 => pick().prop_map(Ask::Remove),
        2 => prop::collection::vec(0..8u8, 1..5).prop_map(Ask::Reorder),
        3 => prop_oneof![2 => Just(None), 1 => (0..9u8).prop_map(Some)].prop_map(Ask::Undo),
        2 => any::<u8>().prop_map(Ask::UndoIntervention),
        1 => (0..9u8).prop_map(Ask::UseVersion),
    ]
}

pub fn op() -> impl Strategy<Value = Op> {
    let rarely = |n: u8| prop_oneof![9 => Just(None), 1 => (0..n).prop_map(Some)];
    prop_oneof![
        8 => (ask(), 0..3u8, rarely(3), rarely(STEP_STATUSES.len() as u8)).prop_map(|(ask, user, command_id, seen)| {
            Op::Ask { ask, user, command_id, seen: seen.map(|n| STEP_STATUSES[usize::from(n)]) }
        }),
        8 => (any::<u8>(), outcome_status()).prop_map(|(which, status)| Op::End { which, status }),
        1 => (any::<u8>(), 0..4u8, outcome_status()).prop_map(|(step, attempt, status)| Op::Stray { step, attempt, status }),
        4 => (any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(which, again)| Op::Asks { which, again }),
        1 => (any::<u8>(), 0..2u8).prop_map(|(step, attempts_ago)| Op::TimeOut { step, attempts_ago }),
        2 => (0..5u16).prop_map(|seconds| Op::Wait { seconds }),
        1 => (any::<u8>(), prop::bool::weighted(0.9)).prop_map(|(pick, exists)| Op::Restore { pick, exists }),
        1 => (0..4u8, any::<bool>(), any::<bool>()).prop_map(|(lost, go_on, from_file)| Op::Crash { lost, go_on, from_file }),
    ]
}

pub fn built(shape: &PlanShape) -> Arc<Plan> {
    let count = shape.steps.len();
    let mut steps: Vec<Value> = shape
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| {
            let mut value = json!({"step_id": format!("s{place}"), "max_retries": step.max_retries,
                "idempotent": step.idempotent, "priority": step.priority,
                "retry": {"delay_seconds": 2, "jitter": 0.5}});
            if let Some(group) = step.group {
                value["parallel_group"] = json!(format!("g{group}"));
            }
            if shape.graph {
                let named = (0..3).filter(|bit| step.depends_on & (1 << bit) != 0 && place > *bit);
                value["depends_on"] = named.map(|bit| format!("s{}", place - 1 - bit)).collect();
            }
            match step.approvals {
                0 => {}
                1 => value["hold"] = json!("look first"),
                more => value["hold"] = json!({"approvals": more}),
            }
            match step.gate {
                0 => {}
                1 => value["quality_gate"] = json!({"max_retries": 1}),
                _ => value["quality_gate"] = json!({"require_review": true}),
            }
            match step.when {
                1 => value["when"] = json!("1 < 2"),
                2 => value["when"] = json!("1 > 2"),
                4 if step.foreach > 0 => value["when"] = json!("index != 1"),
                3 if place > 0 => value["when"] = json!(format!("steps.s{}.status != 'skipped'", place - 1)),
                _ => {}
            }
            match step.waits {
                0 => {}
                1 => value["agent_type"] = json!("person"),
                _ => {
                    value["agent_type"] = json!("wait");
                    value["parameters"] = json!({"seconds": 3});
                }
            }
            if step.waits > 0 {
                value["run"] = Value::Null;
            }
            if step.rollback {
                value["rollback"] =
                    json!({"run": "true", "max_retries": step.max_retries / 2, "idempotent": step.idempotent});
            }
            match step.foreach {
                1 => value["foreach"] = json!([]),
                2 => value["foreach"] = json!(["x", {"name": "y"}, null]),
                // Each time it is looked at there may be more or fewer.
                3 => value["foreach"] = json!("[1] if steps.s0.status == 'completed' else [1, 2]"),
                4 if place > 0 => value["foreach"] = json!(format!("{{{{ steps.s{}.result }}}}", place - 1)),
                5 => value["foreach"] = json!("3"),
                _ => {}
            }
            if step.foreach > 0 {
                value["env"] = json!({"ITEM": "{{ index }}: {{ item }}"});
            }
            if step.pool {
                value["pool"] = json!("one");
            }
            if let Some(policy) = step.on_failure {
                value["on_failure"] = json!(policy);
            }
            value
        })
        .collect();
    if shape.reversed && shape.graph {
        steps.reverse();
    }
    assert_eq!(count, steps.len());
    let mut plan = Plan::clone(&crate::run_support::plan(Value::Array(steps)));
    plan.pools.insert("one".into(), 1);
    let person =
        json!({"kind": "manual", "instructions": "look", "fields": {"ok": {"type": "boolean", "required": true}}});
    plan.agents.insert("person".into(), serde_json::from_value(person).expect("an agent"));
    Arc::new(plan)
}
