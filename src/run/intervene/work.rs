//! Commands on the work of a step: again, not at all, or done by hand.

use std::sync::Arc;

use super::super::{Event, InterventionStatus, Rejection, RunStatus, SkipReason, StepStatus, StopReason};
use super::{Asker, Decision, Target, applied, refuse, reset_downstream, reset_sign_offs};

/// What a retry comes to.
pub(super) enum Retried {
    /// A `foreach` step is expanded anew.
    Anew,
    /// The instances of a `foreach` step that have come to nothing run again.
    Instances,
    /// Its attempt is stopped first.
    WhenStopped,
    /// It gets a new attempt.
    Queued,
}

impl Asker<'_> {
    /// Whether a step may be retried, and what that comes to. The cost does not follow the number of steps, unless everything after it is to run again.
    pub(super) fn may_retry<'b>(&'b self, step: &'b str, downstream: bool) -> Result<(Target<'b>, Retried), Rejection> {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        let run = self.state.status;
        if run == RunStatus::Completed && !downstream {
            return Err(
                refuse("the run is completed").possible("retry with everything after it, or restore a checkpoint")
            );
        }
        if downstream {
            self.refuse_live_downstream(&target)?;
        }
        if target.step.expansion.is_some() && (downstream || target.step.status != StepStatus::Completed) {
            if downstream {
                return Ok((target, Retried::Anew));
            }
            self.refuse_without_failed_instance(&target)?;
            return Ok((target, Retried::Instances));
        }
        match target.step.status {
            StepStatus::Running | StepStatus::Stopping => {
                self.refuse_stopping(&target)?;
                return Ok((target, Retried::WhenStopped));
            }
            StepStatus::Completed if !downstream => {
                return Err(refuse(format!("`{step}` is completed")).possible("retry it with everything after it"));
            }
            // What a run has undone and ended with is what takes it up again.
            StepStatus::Pending if target.step.rolled_back && run.is_ended() => {}
            StepStatus::Pending if !target.step.attempts.is_empty() => {
                return Err(refuse(format!("`{step}` is queued already")).possible("it runs when its turn comes"));
            }
            StepStatus::Pending => {
                let possible = match run {
                    RunStatus::Idle => "start the run",
                    _ if run.is_ended() => self.answers(&target),
                    _ => "it runs when its turn comes",
                };
                return Err(refuse(format!("`{step}` has not run yet")).possible(possible));
            }
            StepStatus::Held => {
                return Err(refuse(format!("`{step}` is held and has not run yet")).possible(self.answers(&target)));
            }
            _ => {}
        }
        Ok((target, Retried::Queued))
    }

    pub(super) fn retry(&self, step: &str, downstream: bool) -> Decision {
        let (target, retried) = self.may_retry(step, downstream)?;
        match retried {
            Retried::Anew => return applied(self.expand_anew(&target)),
            Retried::Instances => return applied(self.retry_instances(&target)),
            Retried::WhenStopped => return Ok(self.stop_first(&target, StopReason::Retry)),
            Retried::Queued => {}
        }
        let mut events = self.reopened();
        events.push(Event::StepQueued { step: step.to_owned() });
        events.extend(self.parent_again(target.position));
        if downstream {
            events.extend(reset_downstream(self.state, target.position, None));
        } else if target.step.status == StepStatus::Skipped {
            events.extend(reset_sign_offs(self.state, target.position));
        }
        applied(events)
    }

    /// Whether a step may be skipped, or counted as done by hand.
    pub(super) fn may_settle<'b>(&'b self, step: &'b str) -> Result<Target<'b>, Rejection> {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        self.refuse_done(&target)?;
        if target.step.status.is_live() {
            self.refuse_stopping(&target)?;
        }
        Ok(target)
    }

    pub(super) fn skip(&self, step: &str) -> Decision {
        let target = self.may_settle(step)?;
        if target.step.status.is_live() {
            return Ok(self.stop_first(&target, StopReason::Skip));
        }
        let mut events = self.reopened();
        events.extend(self.skip_instances(target.position));
        events.push(Event::StepSkipped {
            step: step.to_owned(),
            why: SkipReason::Operator,
            user: Some(self.request.user.clone()),
            reason: self.request.reason.clone(),
        });
        events.extend(self.parent_again(target.position));
        Ok((self.when_stopped(&events), events))
    }

    /// What stops attempts is done when they have ended.
    pub(super) fn when_stopped(&self, events: &[Event]) -> InterventionStatus {
        let own = Some(self.request.id);
        let waits = |event: &Event| matches!(event, Event::StopRequested { intervention, .. } if *intervention == own);
        if events.iter().any(waits) { InterventionStatus::Pending } else { InterventionStatus::Applied }
    }

    pub(super) fn complete(&self, step: &str, result: Option<&serde_json::Value>) -> Decision {
        let target = self.may_settle(step)?;
        if target.step.status.is_live() {
            return Ok(self.stop_first(&target, StopReason::Complete));
        }
        let mut events = self.reopened();
        events.extend(self.skip_instances(target.position));
        events.push(Event::StepCompletedByHand {
            step: step.to_owned(),
            user: self.request.user.clone(),
            result: result.cloned().map(Arc::new),
        });
        events.extend(self.parent_again(target.position));
        Ok((self.when_stopped(&events), events))
    }
}
