//! What waits for a person: hold points, reviews, questions.

use super::super::decide::asks_for_failure;
use super::super::{Answer, Event, Rejection, RejectionCode, ReviewStatus, StepStatus};
use super::{Asker, Decision, applied, refuse};

impl Asker<'_> {
    pub(super) fn hold(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status == StepStatus::Held {
            return Err(refuse(format!("`{step}` is at its hold point now")).possible(self.answers(&target)));
        }
        let begun = !target.step.attempts.is_empty() || target.step.expansion.is_some();
        if target.step.status != StepStatus::Pending || begun {
            let word = target.step.status.word();
            let now = match target.step.status {
                StepStatus::Pending if target.step.expansion.is_some() => "has its instances already",
                StepStatus::Pending => "has run before",
                _ => &format!("is {word}"),
            };
            return Err(refuse(format!("`{step}` {now}; a hold point can be set only on a step that has not started"))
                .possible(self.answers(&target)));
        }
        if self.state.is_hold_point(target.position) {
            return Err(refuse(format!("`{step}` already has a hold point")).possible("clear it"));
        }
        applied(vec![Event::HoldSet { step: step.to_owned(), reason: self.request.reason.clone() }])
    }

    pub(super) fn unhold(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status == StepStatus::Held {
            return Err(refuse(format!("`{step}` is held now")).possible("release it, which signs it off"));
        }
        if target.step.status != StepStatus::Pending || !self.state.is_hold_point(target.position) {
            return Err(
                refuse(format!("`{step}` has no hold point that could be cleared")).possible(self.answers(&target))
            );
        }
        applied(vec![Event::HoldCleared { step: step.to_owned() }])
    }

    pub(super) fn release(&self, step: &str) -> Decision {
        let target = self.target(step)?;
        self.refuse_ended()?;
        if target.step.status != StepStatus::Held {
            let word = target.step.status.word();
            let ahead = self.state.is_hold_point(target.position) && target.step.status == StepStatus::Pending;
            let possible =
                if ahead { "wait until the run gets there, or clear the hold point" } else { self.answers(&target) };
            return Err(refuse(format!("`{step}` is {word}, not held")).possible(possible));
        }
        let user = &self.request.user;
        let (signed, needed) = self.state.signatures(target.position);
        if signed.iter().any(|signature| signature.user == *user) {
            return Err(
                refuse(format!("{user} has signed `{step}` off already")).possible("another person must sign as well")
            );
        }
        let released = signed.len() + 1 >= needed as usize;
        let (user, uid) = (user.clone(), self.request.uid);
        applied(vec![Event::HoldReleased { step: step.to_owned(), user, uid, released }])
    }

    pub(super) fn review(&self, step: &str, status: ReviewStatus) -> Decision {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        if target.step.status != StepStatus::InReview {
            let word = target.step.status.word();
            return Err(refuse(format!("`{step}` is {word}, not in review")).possible(self.answers(&target)));
        }
        let policy = target.definition.on_failure.unwrap_or(self.state.options.on_failure);
        let rejected = status == ReviewStatus::Rejected;
        // Passed on, it still waits: that takes up no run that has ended.
        let mut events = if status == ReviewStatus::Escalated { Vec::new() } else { self.reopened() };
        events.push(Event::ReviewAnswered {
            step: step.to_owned(),
            user: self.request.user.clone(),
            uid: self.request.uid,
            status,
            notes: self.request.reason.clone(),
            policy: rejected.then_some(policy),
        });
        events.extend(asks_for_failure(self.state, policy).filter(|_| rejected));
        applied(events)
    }

    pub(super) fn answer(&self, step: &str, question: Option<u32>, answer: &Answer) -> Decision {
        let target = self.target(step)?;
        self.refuse_while_cancelling()?;
        let Some((number, asked)) = target.step.question() else {
            let now = match target.step.status {
                StepStatus::Running => "is running",
                status => &format!("is {}", status.word()),
            };
            return Err(refuse(format!("`{step}` {now} and asks nothing")).possible(self.answers(&target)));
        };
        if question.is_some_and(|seen| seen != number) {
            return Err(Rejection::new(RejectionCode::Stale, format!("`{step}` asks something else by now"))
                .possible("look at what it asks and answer that"));
        }
        let answer = match answer {
            Answer::Declined => Answer::Declined,
            Answer::Accepted(given) => {
                let values = asked.question.fields.complete(given);
                Answer::Accepted(values.map_err(|wrong| Rejection::new(RejectionCode::Invalid, wrong))?)
            }
        };
        applied(vec![Event::QuestionAnswered {
            step: step.to_owned(),
            attempt: target.step.last_attempt,
            user: self.request.user.clone(),
            answer,
            notes: self.request.reason.clone(),
        }])
    }
}
