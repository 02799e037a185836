//! What `/proc` says of processes. Only where something is left over: nothing here is on the way of an attempt that ends as it should.

use std::fs;
use std::io::{self, Read};

use rustix::process::{Pid, Signal};

/// More than there is in a `/proc/<pid>/stat`: some fifty numbers and a name.
const LINE: usize = 2048;

/// A process as `/proc/<pid>/stat` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: i32,
    pub name: String,
    /// `Z` for one that has ended and was not waited for.
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// In ticks since the machine started; with the pid it identifies a process.
    pub start_time: u64,
}

impl Process {
    pub fn read(pid: i32) -> Option<Self> {
        // At once: `fs::read` starts with small pieces, because such a file has no length.
        let mut stat = Vec::with_capacity(LINE);
        fs::File::open(format!("/proc/{pid}/stat")).ok()?.take(LINE as u64).read_to_end(&mut stat).ok()?;
        Self::parse(pid, &stat)
    }

    /// The name may hold anything, also brackets and line ends: the fields come after the last bracket.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let stat = String::from_utf8_lossy(stat);
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_string();
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Self {
            pid,
            name,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it has ended and only waits to be waited for.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The ids of all processes.
pub(super) fn pids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// All processes.
pub(super) fn processes() -> Vec<Process> {
    pids().unwrap_or_default().into_iter().filter_map(Process::read).collect()
}

/// A process's environment; empty when it has ended or may not be read.
pub(super) fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The value of a variable in an environment.
pub(super) fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let of = |entry: &'a [u8]| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    environment.split(|byte| *byte == 0).find_map(of)
}

/// A process's command line, for people.
pub(super) fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_string()
}

/// The id of the process that was made last on this machine (in this container).
pub(super) fn newest_pid() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// Tells this start of the machine from others; empty where the kernel does not say.
pub(super) fn boot_id() -> &'static str {
    static ID: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ID.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_string()).unwrap_or_default()
    })
}

/// Sends a signal to a process; one that is gone needs none.
pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Sends a signal to a process group; one that is empty needs none.
pub(super) fn signal_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_mislead() {
        let stat = b"12 (a) R 9 (b)) S 1 12 11 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let process = Process::parse(12, stat).unwrap();
        assert_eq!((process.name.as_str(), process.state, process.parent), ("a) R 9 (b)", 'S', 1));
        assert_eq!((process.group, process.start_time), (12, 4711));
    }

    #[test]
    fn this_process_is_among_all() {
        let me = std::process::id() as i32;
        assert!(processes().iter().any(|process| process.pid == me && !process.has_ended()));
        assert!(newest_pid().is_some());
        assert!(variable(b"A=1\0PATH=x=y\0", "PATH") == Some(b"x=y"));
        assert!(variable(b"XPATH=1\0", "PATH").is_none());
        assert!(!command_line(me).is_empty());
    }
}
