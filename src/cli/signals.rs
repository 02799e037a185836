//! The signals that reach a run without a console.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::background;
use super::failure::Failure;

/// A file that would grow beyond the limit on file sizes (`ulimit -f`) ends a program, unless it handles the signal: then the write fails like
/// on a full disk. Handled and not ignored, because commands would inherit that. Called within a runtime.
pub fn survive_file_size_limit() {
    // The handler stays when the listener is gone. Where it cannot be set, things are as they were.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGINT or SIGTERM, or SIGQUIT where that is listened for: stop.
    Stop(&'static str),
    /// SIGHUP: the terminal is gone. The run goes on without it.
    HangUp,
}

/// Listens from the moment it is made.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// The terminal is left: what its keys ask for is answered there with this, and nothing stops.
    left: Option<(Signal, String)>,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            left: None,
        })
    }

    /// From now on only SIGTERM stops: this process was left at its terminal to go on, and SIGINT and SIGQUIT are keys there (Ctrl-C and Ctrl-\\). They
    /// are answered there with `said`. Where they come from cannot be asked: the terminal may have gone before they are heard.
    ///
    /// # Errors
    /// The system refuses.
    pub fn leave_terminal(&mut self, said: String) -> std::io::Result<()> {
        self.left = Some((signal(SignalKind::quit())?, said));
        Ok(())
    }

    /// The next one that asks for something.
    pub async fn next(&mut self) -> Asked {
        loop {
            let Self { interrupt, terminate, hang_up, left } = self;
            let quit = async {
                match left {
                    Some((quit, _)) => quit.recv().await,
                    None => std::future::pending().await,
                }
            };
            let signal = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = quit => "SIGQUIT",
                _ = terminate.recv() => return Asked::Stop("SIGTERM"),
                _ = hang_up.recv() => return Asked::HangUp,
            };
            match &self.left {
                Some((_, said)) => background::say(said),
                None => return Asked::Stop(signal),
            }
        }
    }
}
