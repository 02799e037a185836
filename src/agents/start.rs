//! How an attempt learns that it may start: its start is durable.

use tokio::sync::watch;

/// The engine's end: lets one attempt start.
#[derive(Debug)]
pub struct StartHandle(watch::Sender<bool>);

/// The attempt's end.
#[derive(Debug, Clone)]
pub struct StartSignal(watch::Receiver<bool>);

/// A pair of ends for one attempt.
pub fn start_channel() -> (StartHandle, StartSignal) {
    let (sender, receiver) = watch::channel(false);
    (StartHandle(sender), StartSignal(receiver))
}

impl StartHandle {
    /// It may start.
    pub fn give(&self) {
        self.0.send_replace(true);
    }

    /// Whether it may.
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }
}

impl StartSignal {
    /// For an attempt of which nothing has to be durable.
    pub fn at_once() -> Self {
        Self(watch::channel(true).1)
    }

    /// Whether the attempt may start.
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the attempt may start; forever, when its start has turned out void.
    pub async fn given(&mut self) {
        if self.0.wait_for(|given| *given).await.is_err() {
            std::future::pending().await
        }
    }
}
