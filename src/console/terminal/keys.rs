//! What comes from the terminal, read by one thread.
//!
//! The thread reads at once, whatever the loop is doing, so that every event carries the time it came: the loop can tell what was typed before a
//! question was on the screen. There is one reader for the console's whole life, put to rest while the terminal belongs to somebody else: two
//! readers steal each other's keys.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::Event;
use tokio::sync::mpsc;

/// The thread waits no longer than this at a time. The library counts the last millisecond of a wait in a busy loop, so short waits cost what an idle
/// console must not; whoever wants the thread to look up wakes it.
const LOOK_UP: Duration = Duration::from_secs(60);
/// Events that wait for the loop; what comes then waits in the kernel.
const QUEUE: usize = 1024;

/// An event of the terminal and when it came.
#[derive(Debug)]
pub struct Typed {
    /// When it was read.
    pub at: Instant,
    /// What it is.
    pub event: Event,
}

enum Message {
    Event(io::Result<Typed>),
    /// Nothing is read from here on, until it is asked for again.
    Resting,
}

/// The events of the terminal.
pub struct Keys {
    messages: mpsc::Receiver<Message>,
    rest: Arc<AtomicBool>,
    wake: std::sync::mpsc::Sender<()>,
}

impl Keys {
    /// Starts reading. From here on a change of size is noticed: whoever reads the size to draw the first frame calls this before.
    ///
    /// # Errors
    /// The terminal cannot be read, or the thread cannot be started.
    pub fn read() -> io::Result<Self> {
        // The library listens for changes of size from its first look on. Left to the thread, one that comes just before is lost, and the first
        // frame keeps its wrong size until something else is drawn.
        crossterm::event::poll(Duration::ZERO)?;
        let (sender, messages) = mpsc::channel(QUEUE);
        let (wake, woken) = std::sync::mpsc::channel();
        let rest = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&rest);
        std::thread::Builder::new().name("keys".into()).spawn(move || reader(&sender, &asked, &woken))?;
        Ok(Self { messages, rest, wake })
    }

    /// The next event; `None` once the terminal is gone. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<io::Result<Typed>> {
        loop {
            match self.messages.recv().await? {
                Message::Event(event) => return Some(event),
                Message::Resting => {}
            }
        }
    }

    /// Stops reading, and returns when nothing is read any more. What was typed and not taken yet is forgotten.
    pub async fn rest(&mut self) {
        if self.rest.swap(true, Ordering::SeqCst) {
            return;
        }
        wake();
        while let Some(message) = self.messages.recv().await {
            if matches!(message, Message::Resting) {
                return;
            }
        }
    }

    /// Reads again.
    pub fn go_on(&mut self) {
        if self.rest.swap(false, Ordering::SeqCst) {
            // A thread that has ended has said why; `next` returns `None`.
            let _ = self.wake.send(());
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // The thread finds nobody left, and takes no more keys from whoever comes next.
        self.messages.close();
        wake();
    }
}

/// Lets the thread's wait end: a change of size is the one thing besides a key for which the library looks up, and one to the size that the terminal has
/// already changes nothing.
fn wake() {
    // It can only fail where there is no such signal; the wait ends by itself then.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH);
}

fn reader(sender: &mpsc::Sender<Message>, rest: &AtomicBool, woken: &std::sync::mpsc::Receiver<()>) {
    while !sender.is_closed() {
        if rest.load(Ordering::SeqCst) {
            if sender.blocking_send(Message::Resting).is_err() || woken.recv().is_err() {
                return;
            }
            continue;
        }
        let event = match crossterm::event::poll(LOOK_UP) {
            Ok(false) => continue,
            Ok(true) => crossterm::event::read().map(|event| Typed { at: Instant::now(), event }),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if sender.blocking_send(Message::Event(event)).is_err() || failed {
            return;
        }
    }
}
