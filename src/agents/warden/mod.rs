//! Sees to it that no process survives the engine, not even when the engine is killed by SIGKILL.
//!
//! The warden is a small process of its own: this very program, started again as `holdpoint __warden`. It waits at a pipe whose other end
//! only the engine holds. When that end closes, the engine is gone, and the warden kills every process group in a table that it shares with
//! the engine, and every process that carries the engine's id in its environment, until none is found any more.
//!
//! The table is a file in memory that both have open: the engine writes a group's id into a free place when an attempt starts and a zero
//! when it has ended. That wakes nobody up, and a warden that had to be started again finds everything in it.
//!
//! A process that leaves its group *and* clears its environment is outside the promise, and so is a `kill -9` that meets engine and warden
//! in the same moment; recovery then finds what has survived ([`super::survivors`]).

mod orphans;
mod watch;

use std::collections::HashSet;
use std::fs::File;
use std::io::{PipeWriter, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::set_child_subreaper;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::live::LiveSink;
use super::moments::Moments;
use super::notes::Notes;
use super::pipes::SparePipes;
use super::spawn::OpenFiles;

pub(super) use orphans::reap;
pub use watch::main;

/// The word by which the program knows that it is to be a warden.
pub const ARGUMENT: &str = "__warden";

/// The size of a place in the shared table: a process group's id as an `i32`, in the machine's byte order; zero when the place is free.
const PLACE: u64 = 4;

/// How often ended orphans are cleared away. One timer for all attempts: one each would wake the runtime's timer thread with each.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The engine's side: starts the warden process with the first attempt that needs it, and tells it what to watch.
#[derive(Debug)]
pub struct Warden {
    program: PathBuf,
    engine: Uuid,
    state: Mutex<State>,
    starting: tokio::sync::Mutex<()>,
    /// How many processes may be started at the same time. Starting one blocks its thread for a moment, and some thread must stay free for
    /// the engine.
    spawns: Semaphore,
    /// How many attempts there is room for at the same time.
    room: Arc<Semaphore>,
    open_files: OpenFiles,
    orphans: orphans::Orphans,
    notes: Notes,
    spare_pipes: SparePipes,
    processes: Moments,
    starts: Moments,
    sweeps: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Link>,
    table: Option<Arc<File>>,
    free: Vec<u64>,
    /// How many places the table has.
    places: u64,
    /// The groups in the table.
    groups: HashSet<i32>,
}

#[derive(Debug)]
struct Link {
    /// Nothing is written here but a farewell; what matters is that it closes with the engine.
    life: PipeWriter,
    pid: i32,
}

/// A process group that the warden watches; until this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    warden: Arc<Warden>,
    place: u64,
    pub group: i32,
}

impl Warden {
    /// A warden that will run as `program __warden`.
    pub fn new(program: PathBuf) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let open_files = OpenFiles::raised();
        Self {
            program,
            engine: Uuid::now_v7(),
            state: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
            spawns: Semaphore::new((threads / 2).max(1)),
            room: Arc::new(Semaphore::new(open_files.attempts)),
            open_files,
            orphans: orphans::Orphans::default(),
            notes: Notes::default(),
            spare_pipes: SparePipes::default(),
            processes: Moments::new(),
            starts: Moments::new(),
            sweeps: AtomicBool::new(false),
        }
    }

    /// A warden that runs the program that is running now, also when its file has been replaced meanwhile.
    pub fn of_this_program() -> Self {
        Self::new("/proc/self/exe".into())
    }

    /// Identifies this engine: its attempts' processes carry it in their environment as `HOLDPOINT_ENGINE`.
    pub fn engine(&self) -> Uuid {
        self.engine
    }

    /// The warden's process id, once it runs.
    pub fn pid(&self) -> Option<i32> {
        self.state().link.as_ref().map(|link| link.pid)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the warden process started, if it does not run, without waiting for it: starting it takes some milliseconds, and processes are to
    /// follow. What goes wrong, the first of them is told.
    pub fn call(self: &Arc<Self>) {
        let warden = Arc::clone(self);
        tokio::spawn(async move { warden.ready().await });
    }

    /// Makes sure that the warden process runs.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<(), String> {
        if self.is_alive() {
            return Ok(());
        }
        let _one_at_a_time = self.starting.lock().await;
        if self.is_alive() {
            return Ok(());
        }
        self.keep_sweeping();
        let warden = Arc::clone(self);
        let started = tokio::task::spawn_blocking(move || warden.start()).await;
        started.map_err(|error| error.to_string()).and_then(|started| started.map_err(|error| error.to_string())).map_err(
            |error| {
                let program = self.program.display();
                format!("the warden ({program} {ARGUMENT}) could not be started: {error}; without it processes could survive holdpoint")
            },
        )
    }

    /// Has ended orphans cleared away now and then for as long as the engine lives: long attempts may leave many.
    fn keep_sweeping(self: &Arc<Self>) {
        if self.sweeps.swap(true, Ordering::Relaxed) {
            return;
        }
        let engine = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let Some(warden) = engine.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || warden.sweep()).await;
            }
        });
    }

    fn is_alive(&self) -> bool {
        let state = self.state();
        let Some(link) = &state.link else { return false };
        // The pipe reports an error as soon as nobody can read it any more.
        let mut ends = [PollFd::new(&link.life, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut ends, Some(&now)).is_ok() && !ends[0].revents().contains(PollFlags::ERR)
    }

    fn start(&self) -> std::io::Result<()> {
        let table = {
            let mut state = self.state();
            state.link = None;
            match &state.table {
                Some(table) => Arc::clone(table),
                None => {
                    let table =
                        Arc::new(File::from(rustix::fs::memfd_create("holdpoint-groups", MemfdFlags::CLOEXEC)?));
                    state.table = Some(Arc::clone(&table));
                    table
                }
            }
        };
        let (life, heir) = std::io::pipe().map(|(reader, writer)| (writer, reader))?;
        // The program started here starts the warden and ends, so that the warden is not a child of ours. While it does we must not be the
        // one who inherits orphans.
        let _ = set_child_subreaper(None);
        let output = Command::new(&self.program)
            .arg0("holdpoint")
            .args([ARGUMENT, "start", &self.engine.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(heir)
            .stdout(Stdio::piped())
            .stderr(table.try_clone()?)
            .output();
        // Orphans of attempts come to us from now on: it is how they are found and waited for.
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
        let output = output?;
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success());
        let pid = pid.ok_or_else(|| std::io::Error::other(format!("it ended with {}", output.status)))?;
        self.state().link = Some(Link { life, pid });
        Ok(())
    }

    /// Waits for the turn to start a process.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.spawns.acquire().await.ok()
    }

    /// Waits until there is room for an attempt's files; it lasts as long as what is returned.
    pub(super) async fn room(&self, live: &LiveSink) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(room);
        }
        let most = self.open_files.attempts;
        live.progress(None, Some(&format!("waits: the limit on open files (ulimit -n) has room for {most} attempts")));
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// The limits on open files.
    pub(super) fn open_files(&self) -> OpenFiles {
        self.open_files
    }

    /// The blank notes on disk.
    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Pipes for the next attempt.
    pub(super) fn spare_pipes(&self) -> &SparePipes {
        &self.spare_pipes
    }

    /// The lives of the attempts' processes.
    pub(super) fn processes(&self) -> &Moments {
        &self.processes
    }

    /// What passes between an attempt's being ready and its start's being durable.
    pub(super) fn starts(&self) -> &Moments {
        &self.starts
    }

    /// No attempt of the run whose output lies in this folder will follow: what is kept there for one is removed.
    pub fn clear_notes(&self, folder: &Path) {
        self.notes.clear(folder);
    }

    /// Has a process group watched.
    pub(super) fn watch(self: &Arc<Self>, group: i32) -> Watched {
        let mut state = self.state();
        let place = state.free.pop().unwrap_or_else(|| {
            state.places += 1;
            state.places - 1
        });
        state.write(place, group);
        state.groups.insert(group);
        Watched { warden: Arc::clone(self), place, group }
    }
}

impl State {
    fn write(&self, place: u64, group: i32) {
        if let Some(table) = &self.table {
            // A file in memory takes four bytes unless memory is out; the environment still tells the warden of the processes then.
            let _ = table.write_all_at(&group.to_ne_bytes(), place * PLACE);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = self.warden.state();
        state.write(self.place, 0);
        state.free.push(self.place);
        state.groups.remove(&self.group);
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &mut state.link
            && state.groups.is_empty()
        {
            // A farewell: everything has ended, there is nothing to look for.
            let _ = link.life.write_all(b"q");
        }
    }
}
