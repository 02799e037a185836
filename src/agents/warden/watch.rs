//! The warden's side: what `holdpoint __warden` does.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::agents::{env, procfs};

use super::PLACE;

/// Nothing was found this many times in a row: nothing is left. More than once, because a process that is just being started has
/// its environment only a moment later.
const QUIET_LOOKS: u32 = 5;
/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What cannot be killed by then never will be.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Runs the warden; `arguments` are those that follow the program's name. Gives back an exit code.
pub fn main(arguments: &[String]) -> u8 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        [_, "start", engine] => start(engine),
        [_, "watch", engine] => watch(engine),
        _ => {
            eprintln!("holdpoint starts its warden itself; there is nothing to call here");
            return 2;
        }
    };
    u8::from(ended.is_err())
}

/// Starts the warden proper in a session of its own, says its process id and ends.
fn start(engine: &str) -> io::Result<()> {
    // No terminal's hang-up or interrupt reaches another session.
    rustix::process::setsid()?;
    let table = io::stderr().as_fd().try_clone_to_owned()?;
    let warden = Command::new("/proc/self/exe")
        .arg0("holdpoint")
        .args([super::ARGUMENT, "watch", engine])
        .stdout(table)
        .stderr(Stdio::null())
        .spawn()?;
    writeln!(io::stdout(), "{}", warden.id())
}

fn watch(engine: &str) -> io::Result<()> {
    // A name that `pkill holdpoint` does not match: who kills the engine so means its attempts to end, not to be forgotten.
    let _ = rustix::thread::set_name(c"hp-warden");
    ignore_signals()?;
    let table = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if is_dismissed() {
        return Ok(());
    }
    let started = Instant::now();
    let mut quiet = 0;
    while quiet < QUIET_LOOKS && started.elapsed() < GIVE_UP {
        quiet = if kill_what_is_left(&table, engine) { 0 } else { quiet + 1 };
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// Has these signals do nothing, for as long as the process lives.
fn ignore_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::terminate(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ] {
        // What was received does not matter, and a handler once set stays.
        drop(signal(kind)?);
    }
    Ok(())
}

/// Waits for the engine's end; says whether it ended in peace.
fn is_dismissed() -> bool {
    let mut byte = [0];
    loop {
        match io::stdin().read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return matches!(other, Ok(1)),
        }
    }
}

/// Kills what is found; says whether something was.
fn kill_what_is_left(table: &File, engine: &str) -> bool {
    let groups = groups(table);
    for group in &groups {
        procfs::signal_group(*group, Signal::KILL);
    }
    let me = std::process::id();
    let mut found = false;
    for pid in procfs::pids().unwrap_or_default().into_iter().filter(|pid| u32::try_from(*pid) != Ok(me)) {
        let Some(process) = procfs::Process::read(pid).filter(|process| !process.has_ended()) else { continue };
        let ours = || procfs::variable(&procfs::environment(pid), env::ENGINE) == Some(engine.as_bytes());
        if groups.contains(&process.group) || ours() {
            procfs::signal(pid, Signal::KILL);
            found = true;
        }
    }
    found
}

fn groups(table: &File) -> HashSet<i32> {
    let places = table.metadata().map_or(0, |metadata| metadata.len() / PLACE);
    let read = |place: u64| {
        let mut bytes = [0; PLACE as usize];
        table.read_exact_at(&mut bytes, place * PLACE).ok()?;
        Some(i32::from_ne_bytes(bytes)).filter(|group| *group > 1)
    };
    (0..places).filter_map(read).collect()
}
