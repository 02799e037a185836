//! Waiting for what is over in a moment.
//!
//! Whoever sleeps has to be waked. Where the processor has gone to sleep as well, and is a virtual one, that takes 50 to 100 µs: a good part of
//! what a small process takes from its start to its end. So what has lately been over in less than a millisecond is not slept for: it is looked at
//! again and again, for a while, and everybody else has a turn between two looks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What usually takes longer is slept for.
const SHORT: Duration = Duration::from_millis(1);
/// Longer is as good as for ever; also what is taken for usual as long as nothing is known.
const LONG: Duration = Duration::from_millis(8);

/// Things of one kind that are waited for, and how long they take.
#[derive(Debug)]
pub(super) struct Moments {
    /// How long they took lately, in microseconds.
    usual: AtomicU64,
    /// How many are waited for now.
    open: AtomicUsize,
    /// Whether a processor is left over for looking.
    spare_processor: bool,
}

/// One that is waited for.
pub(super) struct Moment<'a> {
    of: &'a Moments,
    since: Instant,
}

impl Moments {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            usual: AtomicU64::new(LONG.as_micros() as u64),
            open: AtomicUsize::new(0),
            spare_processor: std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1),
        }
    }

    /// One begins now.
    pub fn begin(&self) -> Moment<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Moment { of: self, since: Instant::now() }
    }

    fn usual(&self) -> Duration {
        Duration::from_micros(self.usual.load(Ordering::Relaxed))
    }
}

impl Moment<'_> {
    /// Looks again and again whether it is over. Returns when it is, or when that is not worth it any more: it takes longer than usual, or others
    /// are waited for at the same time, who need the processor.
    pub async fn watch(&self, mut over: impl FnMut() -> bool) {
        let usual = self.of.usual();
        if usual > SHORT || !self.of.spare_processor {
            return;
        }
        while self.of.open.load(Ordering::Relaxed) == 1 && self.since.elapsed() < usual * 2 && !over() {
            // What is waited for may need this very processor.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }

    /// It is over.
    pub fn end(self) {
        let took = self.since.elapsed().min(LONG).as_micros() as u64;
        // Two waits that end at the same time may lose one of the two: it is a guess anyway.
        let usual = (self.of.usual().as_micros() as u64).midpoint(took);
        self.of.usual.store(usual, Ordering::Relaxed);
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        self.of.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn known(usual: Duration) -> Moments {
        Moments { usual: AtomicU64::new(usual.as_micros() as u64), open: AtomicUsize::new(0), spare_processor: true }
    }

    /// How often one that is over at the third look is looked at.
    async fn looks(moments: &Moments) -> u32 {
        let looks = AtomicU32::new(0);
        let moment = moments.begin();
        moment.watch(|| looks.fetch_add(1, Ordering::Relaxed) == 2).await;
        moment.end();
        looks.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_usually_short_is_watched_and_nothing_else() {
        assert_eq!(looks(&known(SHORT)).await, 3);
        assert_eq!(looks(&known(SHORT * 2)).await, 0);
        assert_eq!(looks(&Moments::new()).await, 0, "nothing is known yet");
        let alone = Moments { spare_processor: false, ..known(SHORT) };
        assert_eq!(looks(&alone).await, 0, "the processor is needed by what is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_several_is_not_watched() {
        let moments = known(SHORT);
        let other = moments.begin();
        assert_eq!(looks(&moments).await, 0);
        drop(other);
        assert_eq!(looks(&moments).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_longer_than_usual_is_let_be() {
        let moments = known(Duration::from_micros(200));
        let moment = moments.begin();
        tokio::join!(moment.watch(|| false), tokio::time::advance(Duration::from_micros(400)));
    }

    #[tokio::test(start_paused = true)]
    async fn short_ones_are_known_after_a_few_and_a_long_one_is_remembered() {
        let moments = Moments::new();
        let mut count = 0;
        while moments.usual() > SHORT {
            moments.begin().end();
            count += 1;
        }
        assert!(count <= 4, "{count}");
        let long = moments.begin();
        tokio::time::advance(LONG * 2).await;
        long.end();
        assert!(moments.usual() > SHORT);
        assert_eq!(moments.open.load(Ordering::Relaxed), 0);
    }
}
