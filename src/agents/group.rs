//! The processes of one attempt: stopping them, and leaving none behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, test_kill_process_group, waitpgid};
use tokio::time::Instant;

use super::AttemptContext;
use super::notes::Note;
use super::procfs::{self, Process};
use super::stop::{Stop, StopSignal};
use super::warden::{self, Warden, Watched};

/// What KILL has not ended after this time waits in the kernel and cannot be ended by anybody.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// An attempt's process group. Dropped before [`Group::clear`] is through, it is killed; after that, dropping it puts away what was kept to
/// find it by.
pub(super) struct Group {
    watched: Watched,
    warden: Arc<Warden>,
    key: String,
    /// Tells a later engine of the group.
    note: Option<Note>,
    cleared: bool,
}

/// What was left when an attempt's first process had ended.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// By process id: its name.
    pub strays: BTreeMap<i32, String>,
    /// Those that even KILL did not end.
    pub unkillable: Vec<i32>,
}

impl Leftovers {
    /// What was found, for the output.
    pub fn in_words(&self) -> String {
        let names: Vec<String> = self.strays.iter().map(|(pid, name)| format!("{name} (process {pid})")).collect();
        format!("still there when the command had ended, and stopped: {}", names.join(", "))
    }
}

impl Group {
    /// The group led by the process `leader`.
    pub fn new(warden: &Arc<Warden>, leader: i32, key: &str) -> Self {
        Self {
            watched: warden.watch(leader),
            warden: Arc::clone(warden),
            key: key.to_string(),
            note: None,
            cleared: false,
        }
    }

    /// The same, with a note on disk by which a later engine finds it, should this one and its warden be killed together.
    pub fn noted(mut self, context: &AttemptContext) -> Self {
        self.note = Note::write(context, self.id());
        self
    }

    fn id(&self) -> i32 {
        self.watched.group
    }

    /// Asks the group to end. Processes that are suspended are waked, or they would not see it.
    pub fn term(&self) {
        procfs::signal_group(self.id(), Signal::TERM);
        procfs::signal_group(self.id(), Signal::CONT);
    }

    /// Ends the group.
    pub fn kill(&self) {
        procfs::signal_group(self.id(), Signal::KILL);
    }

    /// The leader has ended and was waited for: stops what is left of the group, then what has left it, and says what that was.
    ///
    /// `kill_at`: the attempt was asked to stop, and KILL is due then.
    pub async fn clear(&mut self, kill_at: Option<Instant>, grace: Duration, stop: &mut StopSignal) -> Leftovers {
        let mut found = Leftovers::default();
        let asked = kill_at.is_some();
        let mut stopping = Stopping::new(kill_at, grace);
        while self.is_populated() {
            let group = self.id();
            let members = tokio::task::spawn_blocking(move || members(group)).await.unwrap_or_default();
            if members.is_empty() {
                // Only ended processes, whose parents live elsewhere and do not wait for them.
                break;
            }
            // After TERM it is not strange that some take longer than the leader.
            if !asked {
                found.strays.extend(members.iter().map(|process| (process.pid, process.name.clone())));
            }
            if stopping.has_failed() {
                found.unkillable.extend(members.iter().map(|process| process.pid));
                break;
            }
            match stopping.due(stop) {
                Some(Stop::Kill) => self.kill(),
                Some(_) => self.term(),
                None => {}
            }
            stopping.pause(stop).await;
        }
        // An ended leader's id stays taken as long as its group has members, so only now could the id mean somebody else.
        let mut stopping = Stopping::new(None, grace);
        loop {
            let escaped = self.warden.escaped(&self.key, self.id()).await;
            if escaped.is_empty() {
                break;
            }
            if stopping.has_failed() {
                found.unkillable.extend(escaped.iter().map(|process| process.pid));
                break;
            }
            let due = stopping.due(stop);
            for process in &escaped {
                let new = found.strays.insert(process.pid, process.name.clone()).is_none();
                signal_escaped(process, if new { due.or(Some(Stop::Term)) } else { due });
            }
            stopping.pause(stop).await;
            escaped.iter().for_each(|process| warden::reap(process.pid));
        }
        self.cleared = true;
        if !found.unkillable.is_empty() {
            // It stays on disk.
            self.note = None;
        }
        found
    }

    /// Whether the group has members; our own ended children among them are waited for.
    fn is_populated(&self) -> bool {
        let Some(group) = Pid::from_raw(self.id()) else { return false };
        if test_kill_process_group(group) == Err(Errno::SRCH) {
            return false;
        }
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
        test_kill_process_group(group) != Err(Errno::SRCH)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.cleared {
            self.kill();
        } else if let Some(note) = self.note.take() {
            note.remove();
        }
    }
}

fn members(group: i32) -> Vec<Process> {
    procfs::processes().into_iter().filter(|process| process.group == group && !process.has_ended()).collect()
}

/// One that leads a group of its own has most likely its children in it.
fn signal_escaped(process: &Process, level: Option<Stop>) {
    let send = |signal| {
        if process.group == process.pid {
            procfs::signal_group(process.pid, signal);
        } else {
            procfs::signal(process.pid, signal);
        }
    };
    match level {
        Some(Stop::Kill) => send(Signal::KILL),
        Some(Stop::Term) => {
            send(Signal::TERM);
            send(Signal::CONT);
        }
        Some(Stop::None) | None => {}
    }
}

/// Which signal is due: TERM first, after the grace period KILL, at once when that is asked.
struct Stopping {
    grace: Duration,
    kill_at: Option<Instant>,
    killed_at: Option<Instant>,
    pause: Duration,
}

impl Stopping {
    fn new(kill_at: Option<Instant>, grace: Duration) -> Self {
        Self { grace, kill_at, killed_at: None, pause: Duration::from_millis(1) }
    }

    fn due(&mut self, stop: &StopSignal) -> Option<Stop> {
        let now = Instant::now();
        if self.killed_at.is_some() || stop.level() == Stop::Kill || self.kill_at.is_some_and(|at| at <= now) {
            self.killed_at.get_or_insert(now);
            return Some(Stop::Kill);
        }
        if self.kill_at.is_none() {
            self.kill_at = Some(now + self.grace);
            return Some(Stop::Term);
        }
        None
    }

    fn has_failed(&self) -> bool {
        self.killed_at.is_some_and(|at| at.elapsed() > GIVE_UP)
    }

    async fn pause(&mut self, stop: &mut StopSignal) {
        let pause = tokio::time::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.killed_at.is_some() {
            return pause.await;
        }
        tokio::select! {
            () = pause => {}
            _ = stop.above(Stop::Term) => {}
        }
    }
}
