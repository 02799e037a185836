//! The `wait` agent: a duration, or until a time. When it is over was decided, and journaled, when the attempt started; so it is the same time
//! after a crash, and one that has passed meanwhile is over at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::plan::{AgentSpec, WaitSpec};
use crate::run::Outcome;

use super::stop::Stop;
use super::{Agent, AttemptContext, Clock};

/// How soon a clock that was set, or a machine that has slept, is noticed.
const CLOCK_JUMPS: Duration = Duration::from_secs(1);
/// So far away that it does not matter when.
const AGES: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

struct Wait(WaitSpec);

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    match spec {
        AgentSpec::Wait(spec) => Some(Box::new(Wait(spec.clone()))),
        _ => None,
    }
}

impl Agent for Wait {
    fn attempt(&self, mut context: AttemptContext) -> BoxFuture<'_, Outcome> {
        async move {
            let said = self.0.with_parameters(&context.step.parameters);
            let due = match (context.due, said.end(context.started_at)) {
                (Some(due), _) | (None, Ok(due)) => due,
                (None, Err(wrong)) => return Outcome::failed(wrong),
            };
            tokio::select! {
                biased;
                _ = context.stop.above(Stop::None) => Outcome::stopped(),
                () = over(due, said.until.is_some(), &context.clock) => Outcome::succeeded(),
            }
        }
        .boxed()
    }
}

/// Returns when a wait is over. A time is reached when the clock says so, whoever set it. A span is over when the clock says so or when it has
/// lasted as long as it was to last, whichever comes first: no clock that is set back makes it longer.
async fn over(due: DateTime<Utc>, by_clock_alone: bool, clock: &Clock) {
    let left = |now: DateTime<Utc>| (due - now).to_std().unwrap_or_default().min(AGES);
    let lasted = Instant::now() + left(clock());
    loop {
        let left = left(clock());
        if left.is_zero() || (!by_clock_alone && lasted <= Instant::now()) {
            return;
        }
        let mut next = Instant::now() + left.min(CLOCK_JUMPS);
        if !by_clock_alone {
            next = next.min(lasted);
        }
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::TimeDelta;

    use super::*;

    /// A clock that goes with tokio's, and can be set.
    fn clock(set: Arc<AtomicI64>) -> Clock {
        let (start, began) = (DateTime::from_timestamp(1_800_000_000, 0).unwrap(), Instant::now());
        Arc::new(move || {
            let passed = TimeDelta::from_std(began.elapsed()).unwrap();
            start + passed + TimeDelta::seconds(set.load(Ordering::Relaxed))
        })
    }

    async fn lasts(seconds: i64, by_clock_alone: bool, set_to: i64) -> u64 {
        let set = Arc::new(AtomicI64::new(0));
        let clock = clock(Arc::clone(&set));
        let (due, began) = (clock() + TimeDelta::seconds(seconds), Instant::now());
        let jump = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            set.store(set_to, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        tokio::select! { () = over(due, by_clock_alone, &clock) => {}, () = jump => {} }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_is_no_longer_for_a_clock_that_is_set_back() {
        assert_eq!(lasts(60, false, 0).await, 60);
        assert_eq!(lasts(60, false, -3600).await, 60);
        assert!((10..=12).contains(&lasts(60, false, 3600).await), "the clock says that it is over");
        assert_eq!(lasts(-5, false, 0).await, 0, "it was over while nobody looked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_is_reached_when_the_clock_says_so() {
        assert_eq!(lasts(60, true, 0).await, 60);
        assert!((90..=91).contains(&lasts(60, true, -30).await), "it was set back by half a minute");
        assert!((10..=12).contains(&lasts(60, true, 3600).await));
    }
}
