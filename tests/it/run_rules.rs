//! The contract's rules, said a second time: from the plan and the steps' states alone, without the core's own index.

use std::collections::HashSet;
use std::sync::Arc;

use holdpoint::plan::{FailurePolicy, Generated, Plan};
use holdpoint::run::{RunState, RunStatus, StepStatus};

/// The rules, said again without the core's index.
pub struct Rules {
    pub plan: Arc<Plan>,
    pub graph: bool,
    /// By position: the steps that must be satisfied first.
    pub before: Vec<Vec<usize>>,
}

impl Rules {
    pub fn new(plan: &Arc<Plan>) -> Self {
        // The steps of a rollback are a chain of their own behind the others.
        let own = plan.steps.iter().filter(|step| step.undoes().is_none()).count();
        assert!(plan.steps[own..].iter().all(|step| step.undoes().is_some()), "they stand behind the others");
        let all = &plan.steps;
        let steps = &all[..all.iter().filter(|step| step.generated.is_none()).count()];
        let graph = steps.iter().any(|step| step.depends_on.is_some());
        let mut before = vec![Vec::new(); all.len()];
        for (place, waits) in before.iter_mut().enumerate().skip(own + 1) {
            *waits = vec![place - 1];
        }
        if graph {
            for (place, step) in steps.iter().enumerate() {
                before[place] = step.depends_on.iter().flatten().filter_map(|id| plan.position(id)).collect();
            }
        } else {
            let mut stage_of = vec![0];
            for pair in steps.windows(2) {
                let same = pair[0].parallel_group.is_some() && pair[0].parallel_group == pair[1].parallel_group;
                stage_of.push(stage_of[stage_of.len() - 1] + usize::from(!same));
            }
            for place in 0..steps.len() {
                before[place] = (0..place).filter(|other| stage_of[*other] + 1 == stage_of[place]).collect();
            }
        }
        // Instances stand between what their step waits for, and the step.
        for (place, step) in all.iter().enumerate().skip(steps.len()) {
            let Some(Generated::Instance { of, .. }) = step.generated.as_deref() else { continue };
            let parent = plan.position(of).expect("an instance has its step");
            before[place] = before[parent].iter().copied().filter(|other| *other < steps.len()).collect();
        }
        for (place, step) in all.iter().enumerate().skip(steps.len()) {
            let Some(Generated::Instance { of, index }) = step.generated.as_deref() else { continue };
            let parent = plan.position(of).expect("an instance has its step");
            if *index == 0 {
                before[parent].clear();
            }
            before[parent].push(place);
        }
        Self { plan: Arc::clone(plan), graph, before }
    }

    /// Whether what waits for this step may go on: it is passed, and so is everything it waits for itself.
    pub fn satisfied(&self, state: &RunState, place: usize) -> bool {
        let step = &state.steps[place];
        let passed = match step.status {
            StepStatus::Completed | StepStatus::Skipped => true,
            StepStatus::Failed => {
                (!self.graph || place >= self.plan.written()) && step.failed_with == Some(FailurePolicy::Continue)
            }
            _ => false,
        };
        passed && self.unblocked(state, place)
    }

    pub fn unblocked(&self, state: &RunState, place: usize) -> bool {
        self.before[place].iter().all(|other| self.satisfied(state, *other))
    }

    /// Whether an attempt of a step takes a slot of `max_parallel`: not where it waits for a person or for a time.
    pub fn takes_slot(&self, place: usize) -> bool {
        !matches!(self.plan.steps[place].agent(), Some("person" | "manual" | "wait"))
    }

    /// How many slots are taken.
    pub fn slots(&self, state: &RunState) -> usize {
        let live = |place: &usize| state.steps[*place].status.is_live() && self.takes_slot(*place);
        (0..state.steps.len()).filter(live).count()
    }

    /// Whether a hold point still stands before a step.
    pub fn held_back(&self, state: &RunState, place: usize) -> bool {
        let planned = self.plan.steps[place].hold.as_deref();
        let needed = planned.map_or(1, holdpoint::plan::Hold::approvals) as usize;
        match &state.steps[place].hold {
            _ if state.steps[place].expansion.is_some() => false,
            None => planned.is_some(),
            Some(hold) => hold.set.unwrap_or(planned.is_some()) && hold.signed.len() < needed,
        }
    }
}

/// The transitions of a step that the contract knows (a restore aside).
pub fn legal_step(from: StepStatus, to: StepStatus) -> bool {
    use StepStatus::*;
    match from {
        // A `foreach` step fails without an attempt.
        Pending => matches!(to, Held | Running | Skipped | Completed | Failed),
        Held => matches!(to, Pending | Skipped | Completed),
        Running => matches!(to, Stopping | Completed | Failed | Waiting | InReview | Interrupted | Pending),
        Stopping => matches!(to, Completed | Failed | Waiting | InReview | Interrupted | Pending | Cancelled),
        Waiting => matches!(to, Running | Pending | Skipped | Completed | Cancelled),
        InReview => matches!(to, Pending | Completed | Skipped | Failed),
        Interrupted | Failed | Cancelled => matches!(to, Pending | Skipped | Completed),
        Completed | Skipped => matches!(to, Pending),
    }
}

/// The transitions of a run.
pub fn legal_run(from: RunStatus, to: RunStatus, cancelling: bool) -> bool {
    use RunStatus::*;
    match (from, to) {
        (Idle, Cancelled) => true,
        // Once it is being cancelled there is one way only.
        (Running | Paused, Cancelled) => cancelling,
        (Running | Paused, _) if cancelling => false,
        (Idle, Running) | (Running, Paused) | (Paused, Running) => true,
        (Running | Paused, Completed | Failed) => true,
        (Completed | Failed | Cancelled, Paused) => true,
        _ => false,
    }
}

/// What no step is in while its run is in these states, and why.
pub const UNREACHABLE: &[(&[RunStatus], &[StepStatus], &str)] = {
    use RunStatus as Run;
    use StepStatus as Step;
    &[
        (&[Run::Idle], &[Step::Running, Step::Stopping], "nothing runs before the start"),
        (
            &[Run::Failed, Run::Cancelled],
            &[Step::Running, Step::Stopping],
            "a run ends when the last attempt has ended",
        ),
        (
            &[Run::Failed, Run::Cancelled],
            &[Step::Held, Step::Waiting],
            "the end sends a step away from its hold point, and gives up one that waits to be tried again",
        ),
        (
            &[Run::Completed],
            &[
                Step::Pending,
                Step::Held,
                Step::Running,
                Step::Stopping,
                Step::Waiting,
                Step::InReview,
                Step::Interrupted,
                Step::Failed,
                Step::Cancelled,
            ],
            "a run is completed when every step is completed or skipped",
        ),
    ]
};

/// Why no step is in a state while its run is in one; `None`: it can be.
pub fn unreachable(run: RunStatus, step: StepStatus) -> Option<&'static str> {
    UNREACHABLE.iter().find(|(runs, steps, _)| runs.contains(&run) && steps.contains(&step)).map(|(.., why)| *why)
}

/// Asserts that two states are the same, and shows only the lines that differ.
pub fn same(one: &RunState, other: &RunState, what: &str) {
    if one == other {
        return;
    }
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let only = |text: &str, without: &str| {
        let without: HashSet<&str> = without.lines().collect();
        text.lines().filter(|line| !without.contains(line)).map(str::trim).collect::<Vec<_>>().join(" ")
    };
    panic!("{what}: one has {}, the other {}", only(&one, &other), only(&other, &one));
}
