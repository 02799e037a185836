//! A console that is left while its runs go on: the process lets go of the terminal and stays.
//!
//! A shell waits for the program that it has started in the foreground until that ends or is stopped. So the program stops as by Ctrl-Z, the shell
//! takes its terminal back, and a helper (this program once more) lets it go on, in the background: what `bg` does. The attempts are process groups of
//! their own and notice nothing.

use std::io::{PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getpgrp, getsid, kill_current_process_group, kill_process_group};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{Signal as Stream, SignalKind};
use tokio::time::MissedTickBehavior;

/// The word by which the program knows that it is to let a process group go on.
pub const ARGUMENT: &str = "__continue";

/// The terminal of the session, whatever stdin is.
const TERMINAL: &str = "/dev/tty";
/// Between two looks at who has the terminal.
const BETWEEN: Duration = Duration::from_millis(20);
/// A shell that has not taken its terminal back by then does not do so at all.
const TAKEN_BACK: Duration = Duration::from_secs(2);
/// Between two looks at whether the shell has fetched the process.
const LOOK: Duration = Duration::from_millis(500);
/// The helper's exit code where nobody had taken the terminal back by then.
const UNTAKEN: u8 = 3;
/// By then whoever was to go on does, or never will.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Whether something waits for this program that takes the terminal back when it is stopped: a shell with job control. Where the program is all that the
/// terminal was opened for, there is none.
pub fn has_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Gives the terminal back to the shell, if there is one, and lets go of it. What was to be said there was said; `fetched` is said to whoever fetches the
/// process into the foreground again, where it has nothing to show. Gives back whether somebody has the terminal now; otherwise it is still this
/// process's, and all that can be done with it is to close it: `stuck` says so where a shell was to take it.
///
/// # Errors
/// The system refuses; the process is then still in the foreground.
pub async fn let_go(fetched: String, stuck: String) -> std::io::Result<bool> {
    let mut taken = false;
    if has_shell() {
        let signals = (stream(Signal::TSTP)?, stream(Signal::CONT)?);
        taken = give_back().await?;
        tokio::spawn(when_fetched(signals, if taken { fetched } else { stuck }));
    }
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(taken)
}

/// Says something at the terminal, if it is this process's; whoever was there may have gone.
pub fn say(said: &str) {
    if is_in_foreground()
        && let Ok(mut terminal) = std::fs::OpenOptions::new().write(true).open(TERMINAL)
    {
        let _ = writeln!(terminal, "{said}");
    }
}

/// Whether what is typed at the terminal is typed for this process.
pub fn is_in_foreground() -> bool {
    let terminal = std::fs::File::open(TERMINAL);
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|has| has == getpgrp()))
}

fn stream(signal: Signal) -> std::io::Result<Stream> {
    tokio::signal::unix::signal(SignalKind::from_raw(signal.as_raw()))
}

/// Gives the terminal back to the shell, and goes on; whether somebody took it.
async fn give_back() -> std::io::Result<bool> {
    let mut going_on = stream(Signal::CONT)?;
    let (mut helper, told) = start_helper()?;
    kill_current_process_group(Signal::STOP)?;
    // Other threads may run on for a moment before the stop reaches all of them.
    going_on.recv().await;
    drop(told);
    // A child of its own, which ends by itself.
    let ended = tokio::task::spawn_blocking(move || helper.wait()).await;
    let untaken = ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.code() == Some(UNTAKEN.into())));
    Ok(!(untaken && is_in_foreground()))
}

/// `fg` gives the terminal to a process that has nothing to show there: says so, and gives it back with Ctrl-Z, which is not to stop the engine. Some
/// shells let the process go on then, which it hears; others, bash among them, know that it does already, and it has to look.
async fn when_fetched((mut stop, mut going_on): (Stream, Stream), said: String) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = is_in_foreground();
    loop {
        tokio::select! {
            Some(()) = stop.recv() => {
                if let Err(error) = give_back().await.map(drop) {
                    tracing::warn!("the terminal cannot be given back: {error}");
                }
            }
            Some(()) = going_on.recv() => told = false,
            _ = look.tick() => {}
        }
        let here = is_in_foreground();
        if here && !told {
            say(&said);
        }
        told = here;
    }
}

/// The helper has a pipe whose other end closes when this process has gone on.
fn start_helper() -> std::io::Result<(std::process::Child, PipeReader)> {
    let (told, end) = std::io::pipe()?;
    let helper = Command::new(std::env::current_exe()?)
        .args([ARGUMENT, &getpgrp().as_raw_nonzero().to_string()])
        .stdin(Stdio::null())
        .stdout(end)
        .stderr(Stdio::null())
        // Not stopped with those whom it lets go on.
        .process_group(0)
        .spawn()?;
    Ok((helper, told))
}

/// The helper: waits until the shell has its terminal back, and lets the group go on until it says that it does; `arguments` are those that follow the
/// program's name. Gives back an exit code.
pub fn main(arguments: &[String]) -> u8 {
    let group = match arguments {
        [_, group] => group.parse().ok().and_then(Pid::from_raw),
        _ => None,
    };
    let Some(group) = group else {
        eprintln!("holdpoint calls this itself; there is nothing to call here");
        return 2;
    };
    let terminal = std::fs::File::open(TERMINAL).ok();
    let begun = Instant::now();
    let between = Timespec { tv_sec: 0, tv_nsec: BETWEEN.as_nanos() as i64 };
    let mut code = 0;
    while begun.elapsed() < GIVE_UP {
        let out = std::io::stdout();
        let mut pipe = [PollFd::new(&out, PollFlags::empty())];
        // Nobody reads the pipe any more: the group goes on.
        if poll(&mut pipe, Some(&between)).is_ok_and(|ready| ready > 0) {
            return code;
        }
        let taken_back = terminal.as_ref().is_some_and(|terminal| tcgetpgrp(terminal).is_ok_and(|has| has != group));
        if taken_back || begun.elapsed() >= TAKEN_BACK {
            code = if taken_back { 0 } else { UNTAKEN };
            // Nobody is left where that fails.
            if kill_process_group(group, Signal::CONT).is_err() {
                return 1;
            }
        }
    }
    1
}
