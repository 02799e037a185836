//! Starting processes where the system has little room: the limit on open files, and what to do when something has run out.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{Access, access};
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

/// Where the search path has a program: what the C library finds by trying to execute one place after another, which it does when the attempt
/// could already run. `None` leaves it to the library, which also knows why nothing was found.
pub(super) fn located(program: &str, path: &OsStr) -> Option<PathBuf> {
    // A relative place counts from the folder in which the process is to run.
    if program.is_empty() || program.contains('/') || std::env::split_paths(path).any(|folder| !folder.is_absolute()) {
        return None;
    }
    let is_program = |place: &PathBuf| access(place, Access::EXEC_OK).is_ok() && place.is_file();
    std::env::split_paths(path).map(|folder| folder.join(program)).find(is_program)
}

/// Whether something has run out that others may give back: open files, processes, memory.
fn is_want_of_room(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_where_the_first_folder_has_one_that_can_be_executed() {
        let folder = tempfile::tempdir().unwrap();
        let [none, text, directory, first, second] = ["none", "text", "directory", "first", "second"].map(|name| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            place
        });
        for (place, mode) in [(&text, 0o644), (&first, 0o755), (&second, 0o755)] {
            fs::write(place.join("tool"), "#!/bin/sh").unwrap();
            fs::set_permissions(place.join("tool"), Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(directory.join("tool")).unwrap();
        let path = |folders: &[&PathBuf]| std::env::join_paths(folders).unwrap();
        let all = path(&[&none, &text, &directory, &first, &second]);
        assert_eq!(located("tool", &all), Some(first.join("tool")));
        assert_eq!(located("tool", &path(&[&none, &text])), None);
        assert_eq!(located("./tool", &all), None, "this names a place");
        assert_eq!(located("tool", &path(&[&PathBuf::from("bin"), &first])), None, "where that is, its folder decides");
        assert_eq!(located("tool", OsStr::new("")), None);
    }
}
