//! What attempts say while they run: progress and the growth of their output.
//!
//! Each attempt has one slot that holds its newest values, so a flood of reports costs no memory and nobody waits: a reader that is slow
//! sees fewer of them, and always the last one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// The reader is given news at most once in this time (20 times a second).
const EVERY: Duration = Duration::from_millis(50);

/// What an attempt said since the reader last looked. What has not changed is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveUpdate {
    /// The run.
    pub run_id: Uuid,
    /// The step.
    pub step: Arc<str>,
    /// The attempt.
    pub attempt: u32,
    /// How far it is, 0..1.
    pub progress: Option<f64>,
    /// What it is doing.
    pub message: Option<String>,
    /// Bytes in its output file.
    pub output_bytes: Option<u64>,
}

/// Where the attempts of an engine put their news; one reader takes it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LiveBoard(Arc<Board>);

#[derive(Debug, Default)]
struct Board {
    changed: Mutex<Vec<Arc<Slot>>>,
    news: Notify,
    last: Mutex<Option<Instant>>,
}

/// One attempt's end of the board. Cheap to clone; never waits.
#[derive(Debug, Clone, Default)]
pub struct LiveSink(Option<(Arc<Board>, Arc<Slot>)>);

#[derive(Debug)]
struct Slot {
    run_id: Uuid,
    step: Arc<str>,
    attempt: u32,
    values: Mutex<Values>,
}

#[derive(Debug, Default)]
struct Values {
    /// Whether the slot is on the board's list.
    listed: bool,
    progress: Option<f64>,
    message: Option<String>,
    output_bytes: Option<u64>,
}

impl LiveBoard {
    /// A sink for one attempt.
    pub fn sink(&self, run_id: Uuid, step: impl Into<Arc<str>>, attempt: u32) -> LiveSink {
        let slot = Slot { run_id, step: step.into(), attempt, values: Mutex::default() };
        LiveSink(Some((Arc::clone(&self.0), Arc::new(slot))))
    }

    /// Waits for news and takes it: one entry for each attempt that has some. Returns at most 20 times a second, and loses nothing that an
    /// attempt said last. Meant for one reader; safe to cancel.
    pub async fn next(&self) -> Vec<LiveUpdate> {
        loop {
            let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = last {
                tokio::time::sleep_until(last + EVERY).await;
            }
            let news = self.take();
            if !news.is_empty() {
                *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                return news;
            }
            self.0.news.notified().await;
        }
    }

    /// Takes what is there now, without waiting: for the last look when the reader ends.
    pub fn take(&self) -> Vec<LiveUpdate> {
        let changed = std::mem::take(&mut *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner));
        changed.iter().map(|slot| slot.take()).collect()
    }
}

impl Slot {
    fn take(&self) -> LiveUpdate {
        let values = std::mem::take(&mut *self.values.lock().unwrap_or_else(PoisonError::into_inner));
        LiveUpdate {
            run_id: self.run_id,
            step: Arc::clone(&self.step),
            attempt: self.attempt,
            progress: values.progress,
            message: values.message,
            output_bytes: values.output_bytes,
        }
    }
}

impl LiveSink {
    /// A sink that nobody reads.
    pub fn none() -> Self {
        Self(None)
    }

    /// Says how far the attempt is (0..1; what lies outside is brought inside) and what it is doing.
    pub fn progress(&self, value: Option<f64>, message: Option<&str>) {
        self.update(|values| {
            if let Some(value) = value.filter(|value| !value.is_nan()) {
                values.progress = Some(value.clamp(0.0, 1.0));
            }
            if let Some(message) = message {
                values.message = Some(message.to_string());
            }
        });
    }

    /// Says how many bytes the output file has now.
    pub fn output(&self, bytes: u64) {
        self.update(|values| values.output_bytes = Some(bytes));
    }

    fn update(&self, change: impl FnOnce(&mut Values)) {
        let Some((board, slot)) = &self.0 else { return };
        let newly = {
            let mut values = slot.values.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut values);
            !std::mem::replace(&mut values.listed, true)
        };
        if newly {
            board.changed.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(slot));
            board.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_thinned_out_and_the_last_value_arrives() {
        let board = LiveBoard::default();
        let sink = board.sink(Uuid::nil(), "a", 1);
        let writer = tokio::spawn(async move {
            for n in 0..=1000_u32 {
                sink.progress(Some(f64::from(n) / 1000.0), Some(&format!("{n}")));
                sink.output(u64::from(n));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut looks = 0;
        loop {
            let news = board.next().await;
            looks += 1;
            assert_eq!(news.len(), 1);
            if news[0].output_bytes == Some(1000) {
                assert_eq!(news[0].message.as_deref(), Some("1000"));
                assert_eq!(news[0].progress, Some(1.0));
                break;
            }
        }
        assert!((15..=23).contains(&looks), "{looks} looks in a second");
        writer.await.unwrap();
    }

    #[test]
    fn values_outside_the_scale_are_brought_inside() {
        let board = LiveBoard::default();
        let sink = board.sink(Uuid::nil(), "a", 1);
        sink.progress(Some(7.0), None);
        sink.progress(Some(f64::NAN), None);
        assert_eq!(board.take()[0].progress, Some(1.0));
        assert!(board.take().is_empty());
    }
}
