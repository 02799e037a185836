//! Children that came to the engine because their parents have ended.
//!
//! The engine is a "child subreaper": a process that left its attempt's group, and whose parent has ended, becomes a child of the engine. So
//! after an attempt it is enough to look at the engine's own children. Where the kernel lists them (`/proc/<pid>/task/<pid>/children`) that
//! is one small file; where it does not, "no child at all" is one system call, and otherwise only the processes made since the attempt
//! began are looked at.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};

use crate::agents::env;
use crate::agents::procfs::{self, Process};

use super::Warden;

/// An ended child that nobody waits for is waited for by us after this time. One that somebody does wait for is gone long before.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many processes are looked at on the spot; for more, a thread that may wait is asked.
const FEW: i32 = 64;

#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Ended children that are not ours to wait for, as far as we know, by process id and start time: since when.
    ended: Mutex<HashMap<(i32, u64), Instant>>,
}

impl Warden {
    /// Living processes of an attempt that have left its group; to be asked when the group is empty. `leader` is the attempt's first process.
    pub(in crate::agents) async fn escaped(self: &std::sync::Arc<Self>, key: &str, leader: i32) -> Vec<Process> {
        match self.candidates(leader) {
            ControlFlow::Break(found) => found.into_iter().filter(|process| belongs(process, key)).collect(),
            ControlFlow::Continue(()) => {
                let (warden, key) = (std::sync::Arc::clone(self), key.to_string());
                let look = move || {
                    let found = procfs::pids().unwrap_or_default().into_iter().filter_map(|pid| warden.orphan(pid));
                    found.filter(|process| belongs(process, &key)).collect()
                };
                tokio::task::spawn_blocking(look).await.unwrap_or_default()
            }
        }
    }

    /// The orphans that may belong to an attempt, or `Continue` when only a look at all processes can tell.
    fn candidates(&self, leader: i32) -> ControlFlow<Vec<Process>> {
        let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        if matches!(any, Err(Errno::CHILD)) {
            return ControlFlow::Break(Vec::new());
        }
        if let Some(children) = listed_children() {
            return ControlFlow::Break(children.into_iter().filter_map(|pid| self.orphan(pid)).collect());
        }
        match procfs::newest_pid() {
            Some(newest) if (0..=FEW).contains(&(newest - leader)) => {
                ControlFlow::Break((leader + 1..=newest).filter_map(|pid| self.orphan(pid)).collect())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// The process, if it is a living child of ours that no attempt has started.
    fn orphan(&self, pid: i32) -> Option<Process> {
        if self.state().groups.contains(&pid) {
            return None;
        }
        let process = Process::read(pid)?;
        if u32::try_from(process.parent) != Ok(std::process::id()) {
            return None;
        }
        if process.has_ended() {
            self.wait_for(&process);
            return None;
        }
        Some(process)
    }

    /// Waits for an ended child, if nobody else has done so for a while.
    fn wait_for(&self, process: &Process) {
        let mut ended = self.orphans.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, id) = (Instant::now(), (process.pid, process.start_time));
        if now - *ended.entry(id).or_insert(now) >= PATIENCE {
            ended.remove(&id);
            reap(process.pid);
        }
    }

    /// Waits for ended orphans, so that they do not pile up while long attempts run. Looks at all processes where the kernel does not list
    /// children: call it seldom, where one may wait.
    pub(in crate::agents) fn sweep(&self) {
        let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        // Nobody has ended: the usual case.
        if !matches!(any, Ok(Some(_))) {
            return;
        }
        for pid in listed_children().unwrap_or_else(|| procfs::pids().unwrap_or_default()) {
            self.orphan(pid);
        }
        let mut ended = self.orphans.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, since| since.elapsed() < PATIENCE * 30);
    }
}

/// The children of this process, where the kernel lists them. Orphans are given to the first thread.
fn listed_children() -> Option<Vec<i32>> {
    let me = std::process::id();
    let list = fs::read_to_string(format!("/proc/self/task/{me}/children")).ok()?;
    Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

fn belongs(process: &Process, key: &str) -> bool {
    procfs::variable(&procfs::environment(process.pid), env::ATTEMPT_KEY) == Some(key.as_bytes())
}

/// Waits for a child that has ended, without blocking.
pub(in crate::agents) fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
