//! How an attempt is asked to stop.

use tokio::sync::watch;

/// How urgently an attempt is to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It may go on.
    #[default]
    None,
    /// TERM, and KILL after the grace period.
    Term,
    /// KILL at once.
    Kill,
}

/// The engine's end: asks one attempt to stop.
#[derive(Debug, Clone)]
pub struct StopHandle(watch::Sender<Stop>);

/// The attempt's end.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Stop>);

/// A pair of ends for one attempt. Dropping the handle asks for nothing.
pub fn stop_channel() -> (StopHandle, StopSignal) {
    let (sender, receiver) = watch::channel(Stop::None);
    (StopHandle(sender), StopSignal(receiver))
}

impl StopHandle {
    /// Asks the attempt to stop; a request that is less urgent than an earlier one changes nothing.
    pub fn stop(&self, level: Stop) {
        self.0.send_if_modified(|current| {
            let rises = level > *current;
            *current = (*current).max(level);
            rises
        });
    }
}

impl StopSignal {
    /// What is asked now.
    pub fn level(&self) -> Stop {
        *self.0.borrow()
    }

    /// Waits until more is asked than `level`, and says what. Waits forever when nobody can ask any more.
    pub async fn above(&mut self, level: Stop) -> Stop {
        let asked = self.0.wait_for(|current| *current > level).await.ok().map(|current| *current);
        match asked {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}
