//! A pseudo-terminal for the output of a command that only colours, or shows how far it is, where it sees one.
//!
//! Only output goes through it: the command can write to its side and not read from it, and it is nobody's controlling terminal. So its
//! process group and its session are what they are without, and what would ask for a password on it finds out at once that it cannot.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;

/// What the terminal measures.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Our side of a pseudo-terminal.
pub(super) struct Pty(Receiver);

impl Pty {
    /// A pseudo-terminal, and the end that the command is to write to, twice.
    pub fn open() -> io::Result<(Self, Stdio, Stdio)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        fcntl_setfl(&ours, fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
        let name = ptsname(&ours, Vec::new())?.into_string().map_err(io::Error::other)?;
        let theirs = Self::write_end(&PathBuf::from(name))?;
        // A line ends with `\n`, as in every other output.
        let mut modes = tcgetattr(&theirs)?;
        modes.output_modes.remove(OutputModes::OPOST);
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        tcsetwinsize(&theirs, SIZE)?;
        let again = theirs.try_clone()?;
        Ok((Self(Receiver::from_owned_fd_unchecked(ours)?), theirs.into(), again.into()))
    }

    fn write_end(name: &std::path::Path) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(name)
    }
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            // Not as a pipe is read, which has nothing more when it gives less than it could: a terminal may have.
            match self.0.try_read(into.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|count| into.advance(count))),
            }
        }
    }
}
