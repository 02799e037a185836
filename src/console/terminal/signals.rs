//! The signals that concern the console, as a stream.

use std::io;

use rustix::process::Signal as Sig;
use tokio::signal::unix::{self, SignalKind};

/// What came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in good order.
    Terminate,
    /// SIGHUP: the terminal is gone; end in good order without it.
    Hangup,
    /// SIGINT, from outside: in raw mode Ctrl-C is a key.
    Interrupt,
    /// SIGTSTP, from outside: call [`Guard::stop`](super::Guard::stop).
    Stop,
    /// SIGCONT: call [`Guard::continued`](super::Guard::continued) and draw.
    Continued,
}

/// The signals as they come. From its creation on the process no longer dies of them.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    hangup: unix::Signal,
    interrupt: unix::Signal,
    stop: unix::Signal,
    cont: unix::Signal,
}

impl Signals {
    /// Starts to listen. Must be called inside a tokio runtime.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: stream(Sig::TERM)?,
            hangup: stream(Sig::HUP)?,
            interrupt: stream(Sig::INT)?,
            stop: stream(Sig::TSTP)?,
            cont: stream(Sig::CONT)?,
        })
    }

    /// Forgets the signals that a terminal sends for keys (Ctrl-C, Ctrl-Z, and to go on): another program had it.
    pub async fn forget_keys(&mut self) {
        // What was sent may not have come through yet. A signal that this process sends itself comes behind it; twice, as those that have come are told
        // in an order of their own.
        for _ in 0..2 {
            if rustix::process::kill_process(rustix::process::getpid(), Sig::CONT).is_ok() {
                self.cont.recv().await;
            }
        }
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for signal in [&mut self.interrupt, &mut self.stop, &mut self.cont] {
            while signal.poll_recv(&mut context).is_ready() {}
        }
    }

    /// The next one. Safe to drop and call again (in `select!`).
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hangup.recv() => Signal::Hangup,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.stop.recv() => Signal::Stop,
            _ = self.cont.recv() => Signal::Continued,
        }
    }
}

pub(super) fn stream(signal: Sig) -> io::Result<unix::Signal> {
    unix::signal(SignalKind::from_raw(signal.as_raw()))
}
