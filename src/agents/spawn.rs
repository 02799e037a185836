//! Starting processes where the system has little room: the limit on open files, and what to do when something has run out.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::live::LiveSink;

/// What the journal, the terminal, sockets and the like need besides the attempts.
const RESERVED: u64 = 64;
/// An attempt's pipes, its process, the note of it, its output and index, and what starting it takes for a moment.
const EACH: u64 = 7;
/// What has run out for so long is not coming back.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The limits on open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFiles {
    /// What commands get: the limit that this program was started with.
    inherited: Option<Rlimit>,
    /// How many attempts have room.
    pub attempts: usize,
}

/// Raises this process's limit on open files as far as it may; says what it was before.
///
/// The low limit that shells set is for programs that use `select`, and this one does not; commands may, so they get back what was set.
fn raise() -> Option<Rlimit> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // Refused, it stays as it is.
    (before.current != before.maximum && setrlimit(Resource::Nofile, raised).is_ok()).then_some(before)
}

impl OpenFiles {
    /// Raises the limit, once in the life of this program.
    pub fn raised() -> Self {
        static INHERITED: std::sync::OnceLock<Option<Rlimit>> = std::sync::OnceLock::new();
        let inherited = *INHERITED.get_or_init(raise);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = (limit.saturating_sub(RESERVED) / EACH).max(1);
        let attempts = usize::try_from(room).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS);
        Self { inherited, attempts }
    }

    /// Starts a process. When the system has no room for it right now, it is tried again for a while.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn spawn(self, command: &mut Command, live: &LiveSink) -> io::Result<Child> {
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(10);
        loop {
            match command.spawn() {
                Ok(child) => {
                    self.give_back(&child);
                    return Ok(child);
                }
                Err(error) if is_want_of_room(&error) && Instant::now() < until => {
                    live.progress(None, Some(&format!("not started yet: {error}")));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The command's own limit is what it would have been without us.
    fn give_back(self, child: &Child) {
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let (Some(inherited), Some(pid)) = (self.inherited, pid) {
            // One that has ended already needs no limit.
            let _ = prlimit(Some(pid), Resource::Nofile, inherited);
        }
    }
}

/// Whether something has run out that others may give back: open files, processes, memory.
fn is_want_of_room(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
}
