//! Processes of an earlier engine that are still alive: found for recovery, stopped before anything is retried.

use std::collections::HashSet;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::Instant;
use uuid::Uuid;

use super::env;
use super::notes::{NOTE, Noted};
use super::procfs::{self, Process};

/// A note is not larger than this, in bytes.
const LONGEST_NOTE: u64 = 64 << 10;

/// A process that an earlier engine's attempt has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its id.
    pub pid: i32,
    /// When it started, in ticks since the machine did; with the id it identifies the process.
    pub start_time: u64,
    /// The step it belonged to.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
    /// Its command line.
    pub command: String,
}

/// Processes that belong to a run and not to the engine that asks. Looks at every process of the machine: call it where one may wait.
///
/// They are known by their environment, and by the notes that lie beside the run's output (in the folder `output`). One that has cleared its
/// environment *and* left its group, or that belongs to another user, is not found.
pub fn survivors(run_id: Uuid, engine: Uuid, output: &Path) -> Vec<Survivor> {
    let mut found = by_environment(run_id, engine);
    let known: HashSet<i32> = found.iter().map(|one| one.pid).collect();
    found.extend(by_note(engine, output).into_iter().filter(|one| !known.contains(&one.pid)));
    found
}

/// Members of process groups of which there is a note. A note whose group is gone is removed.
fn by_note(engine: Uuid, output: &Path) -> Vec<Survivor> {
    let Ok(entries) = std::fs::read_dir(output) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let notes: Vec<(PathBuf, Noted)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == NOTE))
        .filter_map(|path| {
            let mut text = Vec::new();
            super::output::open(&path).ok()?.take(LONGEST_NOTE).read_to_end(&mut text).ok()?;
            if text.trim_ascii().is_empty() {
                // Kept for the next attempt by an engine that is no more: this one owns the run now, and has made none in it yet.
                let _ = std::fs::remove_file(&path);
            }
            Some((path, serde_json::from_slice::<Noted>(&text).ok()?))
        })
        .filter(|(_, noted)| noted.engine != engine)
        .collect();
    if notes.is_empty() {
        return Vec::new();
    }
    let all = procfs::processes();
    let mut found = Vec::new();
    for (path, noted) in notes {
        let before = found.len();
        if noted.boot_id == procfs::boot_id() {
            let members = noted.members(&all).into_iter();
            found.extend(members.map(|process| Survivor {
                pid: process.pid,
                start_time: process.start_time,
                step: noted.step.clone(),
                attempt: noted.attempt,
                command: procfs::command_line(process.pid),
            }));
        }
        if found.len() == before {
            // One that stays is looked at again the next time.
            let _ = std::fs::remove_file(path);
        }
    }
    found
}

impl Noted {
    /// The group's members that are alive.
    ///
    /// A number can come to mean another group once all of this one have ended. Then its leader has another start time; where the leader has
    /// ended, the members must at least be younger than it was, and of the same session, which other programs do not share.
    fn members<'a>(&self, all: &'a [Process]) -> Vec<&'a Process> {
        let leader = all.iter().find(|process| process.pid == self.group);
        if leader.is_some_and(|leader| leader.start_time != self.start_time) {
            return Vec::new();
        }
        let mine = |process: &&Process| {
            process.group == self.group
                && process.session == self.session
                && process.start_time >= self.start_time
                && !process.has_ended()
        };
        all.iter().filter(mine).collect()
    }
}

fn by_environment(run_id: Uuid, engine: Uuid) -> Vec<Survivor> {
    let (run_id, engine) = (run_id.to_string(), engine.to_string());
    let me = std::process::id();
    let pids = procfs::pids().unwrap_or_default().into_iter().filter(|pid| u32::try_from(*pid) != Ok(me));
    pids.filter_map(|pid| {
        let environment = procfs::environment(pid);
        let text = |name| procfs::variable(&environment, name).map(String::from_utf8_lossy);
        if text(env::RUN_ID)? != run_id || text(env::ENGINE).is_some_and(|other| other == engine) {
            return None;
        }
        let process = Process::read(pid).filter(|process| !process.has_ended())?;
        Some(Survivor {
            pid,
            start_time: process.start_time,
            step: text(env::STEP_ID)?.into_owned(),
            attempt: text(env::ATTEMPT)?.parse().ok()?,
            command: procfs::command_line(pid),
        })
    })
    .collect()
}

/// Stops survivors: TERM, after `grace` KILL. Gives back those that are still there a moment after that.
pub async fn stop_survivors(survivors: Vec<Survivor>, grace: Duration) -> Vec<Survivor> {
    let mut left: Vec<(Survivor, OwnedFd)> =
        survivors.into_iter().filter_map(|one| Some((hold(&one)?, one))).map(|(fd, one)| (one, fd)).collect();
    for (_, process) in &left {
        // What is gone meanwhile needs no signal. CONT, because a process that was suspended does not see TERM.
        let _ = pidfd_send_signal(process, Signal::TERM);
        let _ = pidfd_send_signal(process, Signal::CONT);
    }
    let deadline = Instant::now() + grace;
    let mut killed = false;
    let mut pause = Duration::from_millis(1);
    loop {
        left.retain(|(survivor, _)| is_alive(survivor));
        if left.is_empty() || killed && Instant::now() > deadline + Duration::from_secs(5) {
            return left.into_iter().map(|(survivor, _)| survivor).collect();
        }
        if !killed && Instant::now() >= deadline {
            killed = true;
            for (_, process) in &left {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A handle on the very process, should its id be used again; `None` when it is gone.
fn hold(survivor: &Survivor) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(survivor.pid)?, PidfdFlags::empty()).ok()?;
    is_alive(survivor).then_some(handle)
}

fn is_alive(survivor: &Survivor) -> bool {
    Process::read(survivor.pid).is_some_and(|process| process.start_time == survivor.start_time && !process.has_ended())
}
