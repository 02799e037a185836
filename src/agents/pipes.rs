//! The pipes through which an attempt's output comes.

use std::future::poll_fn;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;

use super::output::Stream;
use super::pty::Pty;

/// The smallest and the largest buffer for reading.
const READ: (usize, usize) = (8 * 1024, 64 * 1024);

/// stdout and stderr, read in turns.
pub(super) struct Pipes {
    sources: Sources,
    buffer: Vec<u8>,
    stderr_first: bool,
}

enum Sources {
    /// One terminal for both.
    Terminal(Source<Pty>),
    Two {
        stdout: Source<Receiver>,
        stderr: Source<Receiver>,
    },
}

/// One that has ended stays open: closing it is put off until the attempt's end has been told.
struct Source<P> {
    pipe: P,
    ended: bool,
}

/// What the attempt's process gets.
pub(super) struct Ends {
    /// Nothing to read.
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
}

/// Pipes that nobody has written to yet.
///
/// They are made, and the runtime is told of them, before the process is there: a pipe that is told of when it has ended already wakes
/// another thread for nothing.
#[derive(Debug)]
struct Fresh {
    ours: (Receiver, Receiver),
    theirs: (PipeWriter, PipeWriter),
    null: std::fs::File,
}

/// Pipes for the next attempt, made while nobody waits for them.
#[derive(Debug, Default)]
pub(super) struct SparePipes(Mutex<Option<Fresh>>);

impl SparePipes {
    fn spare(&self) -> MutexGuard<'_, Option<Fresh>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pipes for an attempt.
    ///
    /// # Errors
    /// None are left over and the system gives none.
    pub fn take(&self) -> io::Result<(Pipes, Ends)> {
        let spare = self.spare().take();
        let Fresh { ours: (stdout, stderr), theirs, null } = spare.map_or_else(Fresh::open, Ok)?;
        let pipes = Pipes::of(Sources::Two { stdout: Source::new(stdout), stderr: Source::new(stderr) });
        Ok((pipes, Ends { stdin: null.into(), stdout: theirs.0.into(), stderr: theirs.1.into() }))
    }

    /// Makes some for the attempt after this one. Where the system gives none, that one will see.
    pub fn refill(&self) {
        let mut spare = self.spare();
        if spare.is_none() {
            *spare = Fresh::open().ok();
        }
    }
}

impl Fresh {
    fn open() -> io::Result<Self> {
        let receiver = |reader: PipeReader| Receiver::from_owned_fd(OwnedFd::from(reader));
        let ((stdout, out), (stderr, err)) = (io::pipe()?, io::pipe()?);
        let null = std::fs::File::open("/dev/null")?;
        Ok(Self { ours: (receiver(stdout)?, receiver(stderr)?), theirs: (out, err), null })
    }
}

impl Pipes {
    fn of(sources: Sources) -> Self {
        Self { sources, buffer: vec![0; READ.0], stderr_first: false }
    }

    /// One pseudo-terminal for both.
    ///
    /// # Errors
    /// The system gives none.
    pub fn terminal() -> io::Result<(Self, Ends)> {
        let (terminal, stdout, stderr) = Pty::open()?;
        let pipes = Self::of(Sources::Terminal(Source::new(terminal)));
        Ok((pipes, Ends { stdin: Stdio::null(), stdout, stderr }))
    }

    /// The next piece that comes; `None` when both have ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<(Stream, &[u8])> {
        let (stream, count) = poll_fn(|context| self.poll(context)).await?;
        Some((stream, &self.buffer[..count]))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<(Stream, usize)>> {
        let Self { sources, buffer, stderr_first } = self;
        match sources {
            Sources::Terminal(terminal) => match terminal.poll(buffer, context) {
                Poll::Ready(count) => Poll::Ready(count.map(|count| (Stream::Stdout, count))),
                Poll::Pending => Poll::Pending,
            },
            Sources::Two { stdout, stderr } => {
                *stderr_first = !*stderr_first;
                let mut ended = 0;
                for turn in [*stderr_first, !*stderr_first] {
                    let (stream, source) =
                        if turn { (Stream::Stderr, &mut *stderr) } else { (Stream::Stdout, &mut *stdout) };
                    match source.poll(buffer, context) {
                        Poll::Ready(Some(count)) => return Poll::Ready(Some((stream, count))),
                        Poll::Ready(None) => ended += 1,
                        Poll::Pending => {}
                    }
                }
                if ended == 2 { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    }
}

impl<P: AsyncRead + Unpin> Source<P> {
    fn new(pipe: P) -> Self {
        Self { pipe, ended: false }
    }

    /// Reads what is there; `None` when it has ended, or cannot be read, and has nothing more.
    fn poll(&mut self, buffer: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let size = buffer.len();
        let mut into = ReadBuf::new(buffer);
        match Pin::new(&mut self.pipe).poll_read(context, &mut into) {
            Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                let count = into.filled().len();
                if count == size && size < READ.1 {
                    buffer.resize(READ.1, 0);
                }
                Poll::Ready(Some(count))
            }
            Poll::Ready(_) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
