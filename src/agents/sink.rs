//! Writes an attempt's output to its file and index as it comes, without ever making the runtime wait for the disk.
//!
//! What arrives is collected for a moment and written on the runtime's threads for blocking work. At most two batches are in memory: one
//! being written, one being filled; while both are full nothing more is taken from the attempt, so memory stays bounded whatever it prints.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use rustix::fs::OFlags;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::live::LiveSink;
use super::output::{HEADER, Stream, encode, index_path};

/// How long output may stay in memory before it is written.
const SOON: Duration = Duration::from_millis(20);
/// A batch of this size is written at once, and is as large as one gets (but for the last piece).
const FULL: usize = 256 * 1024;
/// A new record of the same stream is written after this time, in microseconds.
const SAME_CHUNK: u64 = 10_000;

/// Takes an attempt's output.
pub(super) struct OutputSink {
    path: PathBuf,
    live: LiveSink,
    writer: Writer,
    batch: Batch,
    due: Option<Instant>,
    last: Option<(Stream, u64)>,
    bytes: u64,
    lost: u64,
    /// How much of the output is kept, how much of that is left, and what came beyond it.
    limit: u64,
    room: u64,
    dropped: u64,
    /// Something is missing behind what is in the file.
    gap: bool,
    trouble: Option<String>,
    at_line_start: bool,
}

enum Writer {
    /// No file yet: there was no output.
    Unopened,
    Idle(Files),
    Busy(JoinHandle<Written>),
}

struct Files {
    output: File,
    index: Option<File>,
    length: u64,
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where chunks begin within the batch, when, and from where.
    chunks: Vec<(usize, u64, Stream)>,
}

struct Written {
    files: Option<Files>,
    batch: Batch,
    /// How many bytes of the batch are in the file.
    count: usize,
    trouble: Option<io::Error>,
}

/// What became of the output.
#[derive(Debug, Default)]
pub(super) struct OutputReport {
    /// Bytes in the file.
    pub bytes: u64,
    /// Why some of it is missing.
    pub trouble: Option<String>,
}

impl OutputSink {
    pub fn new(path: PathBuf, live: LiveSink) -> Self {
        Self {
            path,
            live,
            writer: Writer::Unopened,
            batch: Batch::default(),
            due: None,
            last: None,
            bytes: 0,
            lost: 0,
            limit: u64::MAX,
            room: u64::MAX,
            dropped: 0,
            gap: false,
            trouble: None,
            at_line_start: true,
        }
    }

    /// The same, keeping so many bytes. What comes beyond that is taken and dropped, so that whoever prints it goes on.
    pub fn keeping(self, limit: u64) -> Self {
        Self { limit, room: limit, ..self }
    }

    /// Takes a piece of output.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let kept = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        self.room -= kept as u64;
        self.put(stream, &bytes[..kept]);
        if kept < bytes.len() {
            let first = self.dropped == 0;
            self.dropped += (bytes.len() - kept) as u64;
            if first {
                self.remark(&format!("the output is cut here: {} of an attempt are kept", in_words(self.limit)));
            }
        }
    }

    fn put(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(last_byte) = bytes.last() else { return };
        let micros = u64::try_from(Utc::now().timestamp_micros()).unwrap_or_default();
        // A batch stands for itself, should the one before it be lost. A clock that was set back gives a new record as well.
        if self.batch.bytes.is_empty()
            || self.last.is_none_or(|(of, since)| of != stream || micros.abs_diff(since) >= SAME_CHUNK)
        {
            self.batch.chunks.push((self.batch.bytes.len(), micros, stream));
            self.last = Some((stream, micros));
        }
        self.batch.bytes.extend_from_slice(bytes);
        self.at_line_start = *last_byte == b'\n';
        self.due.get_or_insert_with(|| Instant::now() + SOON);
        if self.is_full() {
            self.start();
        }
    }

    /// Puts a remark of holdpoint on a line of its own.
    pub fn remark(&mut self, words: &str) {
        let start = if self.at_line_start { "" } else { "\n" };
        self.put(Stream::Remark, format!("{start}holdpoint: {words}\n").as_bytes());
    }

    /// Whether nothing more should be pushed for now.
    pub fn is_full(&self) -> bool {
        self.batch.bytes.len() >= FULL
    }

    /// Does the next thing there is to do, and waits for it: the end of a write, or the time for one. Waits forever when there is nothing.
    /// Safe to cancel.
    pub async fn work(&mut self) {
        if let Writer::Busy(write) = &mut self.writer {
            let written = write.await;
            self.settle(written);
            if self.is_full() {
                self.start();
            }
        } else if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
            self.start();
        } else {
            std::future::pending().await
        }
    }

    /// Writes what is left.
    pub async fn finish(mut self) -> OutputReport {
        while matches!(self.writer, Writer::Busy(_)) || !self.batch.bytes.is_empty() {
            self.start();
            if let Writer::Busy(write) = &mut self.writer {
                let written = write.await;
                self.settle(written);
            }
        }
        let lost = self.trouble.map(|trouble| format!("output is incomplete ({} bytes lost): {trouble}", self.lost));
        let cut = (self.dropped > 0)
            .then(|| format!("output was cut after {} ({} bytes dropped)", in_words(self.limit), self.dropped));
        let troubles: Vec<String> = cut.into_iter().chain(lost).collect();
        OutputReport { bytes: self.bytes, trouble: (!troubles.is_empty()).then(|| troubles.join("; ")) }
    }

    /// Hands the batch to a thread that may wait, unless one is at work.
    fn start(&mut self) {
        if matches!(self.writer, Writer::Busy(_)) || self.batch.bytes.is_empty() {
            return;
        }
        let files = match std::mem::replace(&mut self.writer, Writer::Unopened) {
            Writer::Idle(files) => Some(files),
            Writer::Unopened | Writer::Busy(_) => None,
        };
        let (batch, path, gap) = (std::mem::take(&mut self.batch), self.path.clone(), self.gap);
        self.due = None;
        self.writer = Writer::Busy(tokio::task::spawn_blocking(move || write(files, &path, batch, gap)));
    }

    fn settle(&mut self, written: Result<Written, tokio::task::JoinError>) {
        self.writer = Writer::Unopened;
        match written {
            Ok(Written { files, mut batch, count, trouble }) => {
                if let Some(files) = files {
                    self.bytes = files.length;
                    self.live.output(self.bytes);
                    self.writer = Writer::Idle(files);
                }
                self.gap = trouble.is_some();
                if let Some(error) = trouble {
                    self.lost += (batch.bytes.len() - count) as u64;
                    self.trouble.get_or_insert_with(|| error.to_string());
                }
                // The allocation is used again, unless the batch is being filled already.
                if self.batch.bytes.capacity() == 0 {
                    batch.bytes.clear();
                    batch.chunks.clear();
                    self.batch = batch;
                }
            }
            Err(error) => {
                self.trouble.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

fn in_words(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes > 0 && bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{bytes} bytes") }
}

fn write(files: Option<Files>, path: &Path, batch: Batch, gap: bool) -> Written {
    let mut files = match files.map_or_else(|| open(path), Ok) {
        Ok(files) => files,
        Err(error) => return Written { files: None, batch, count: 0, trouble: Some(error) },
    };
    if gap && let Err(error) = files.mark_gap(batch.chunks.first().map_or(0, |(_, micros, _)| *micros)) {
        return Written { files: Some(files), batch, count: 0, trouble: Some(error) };
    }
    let start = files.length;
    let mut count = 0;
    let mut trouble = None;
    while count < batch.bytes.len() && trouble.is_none() {
        match files.output.write(&batch.bytes[count..]) {
            Ok(0) => trouble = Some(io::ErrorKind::WriteZero.into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => trouble = Some(error),
        }
    }
    files.length += count as u64;
    // The index follows the output: it never tells of bytes that are not there. Without it the output is only less well labelled.
    let written = batch.chunks.iter().filter(|(offset, ..)| *offset < count);
    let records: Vec<u8> =
        written.flat_map(|(offset, micros, stream)| encode(start + *offset as u64, *micros, *stream)).collect();
    if files.index.as_mut().is_some_and(|index| index.write_all(&records).is_err()) {
        files.index = None;
    }
    Written { files: Some(files), batch, count, trouble }
}

impl Files {
    /// Says in the file that something is missing there.
    fn mark_gap(&mut self, micros: u64) -> io::Result<()> {
        let words = b"\nholdpoint: output is missing here, the disk did not take it\n";
        self.output.write_all(words)?;
        if let Some(index) = &mut self.index {
            index.write_all(&encode(self.length, micros, Stream::Remark))?;
        }
        self.length += words.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Files> {
    let create = |path: &Path| {
        // Neither what a link leads to nor a pipe that nobody reads: a step may have put one here.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file =
            OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits() as i32).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "something else is in the place of the output file",
            ));
        }
        Ok(file)
    };
    let output = match create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder_of(path)?;
            create(path)?
        }
        other => other?,
    };
    let length = output.metadata()?.len();
    let index = create(&index_path(path)).and_then(|mut index| {
        if index.metadata()?.len() == 0 {
            index.write_all(&HEADER)?;
        }
        Ok(index)
    });
    Ok(Files { output, index: index.ok(), length })
}

/// Makes the folder of a file, for its owner only; not what that folder stands in: a run's folder that was moved away must not come back
/// as a run that holds nothing but output.
pub(super) fn make_folder_of(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::output::OutputIndex;

    #[tokio::test]
    async fn output_and_index_agree_and_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output/a.1.log");
        let mut sink = OutputSink::new(path.clone(), LiveSink::none());
        sink.push(Stream::Stdout, b"out\n");
        sink.push(Stream::Stderr, b"err");
        sink.remark("said");
        sink.push(Stream::Stdout, &[b'x'; 3 * FULL]);
        let report = sink.finish().await;
        assert!(report.trouble.is_none());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(report.bytes, bytes.len() as u64);
        assert!(bytes.starts_with(b"out\nerr\nholdpoint: said\nxxx"));
        let index = OutputIndex::of(&path).unwrap();
        for (offset, stream) in [(3, Stream::Stdout), (4, Stream::Stderr), (8, Stream::Remark), (30, Stream::Stdout)] {
            assert_eq!(index.time_and_stream_at(offset).unwrap().unwrap().1, stream, "at {offset}");
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(index_path(&path).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn without_output_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output/a.1.log");
        let report = OutputSink::new(path.clone(), LiveSink::none()).finish().await;
        assert_eq!(report.bytes, 0);
        assert!(!path.parent().unwrap().exists());
    }

    /// A writer on something that is no file.
    fn onto(output: File) -> Writer {
        Writer::Idle(Files { output, index: None, length: 0 })
    }

    #[tokio::test]
    async fn a_slow_disk_takes_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = OutputSink::new(folder.path().join("a.1.log"), LiveSink::none());
        sink.writer = onto(std::os::fd::OwnedFd::from(writer).into());
        let piece = [b'x'; 64 * 1024];
        let mut taken = 0;
        // Nobody reads yet: what is being written fills the pipe, what follows the batch, and then nothing more is taken.
        while !sink.is_full() {
            sink.push(Stream::Stdout, &piece);
            taken += piece.len();
            assert!(taken <= 3 * FULL, "{taken} bytes are in memory");
        }
        let read = std::thread::spawn(move || {
            let mut all = Vec::new();
            io::Read::read_to_end(&mut reader, &mut all).unwrap();
            all.len()
        });
        for _ in 0..100 {
            while sink.is_full() {
                sink.work().await;
            }
            sink.push(Stream::Stdout, &piece);
            taken += piece.len();
        }
        assert_eq!(sink.finish().await.bytes, taken as u64);
        assert_eq!(read.join().unwrap(), taken);
    }

    #[tokio::test]
    async fn a_link_or_a_pipe_in_the_place_of_the_output_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let link = folder.path().join("a.1.log");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let pipe = folder.path().join("b.1.log");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [link, pipe] {
            let mut sink = OutputSink::new(path.clone(), LiveSink::none());
            sink.push(Stream::Stdout, b"lost\n");
            let trouble = sink.finish().await.trouble.unwrap();
            assert!(trouble.contains("5 bytes lost"), "{trouble}");
            assert!(crate::agents::output::open(&path).is_err(), "nor is it read");
        }
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_is_told_and_does_not_stop_anything() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = OutputSink::new(folder.path().join("a.1.log"), LiveSink::none());
        sink.writer = onto(OpenOptions::new().write(true).open("/dev/full").unwrap());
        for _ in 0..3 {
            sink.push(Stream::Stdout, b"lost\n");
            sink.work().await;
        }
        let report = sink.finish().await;
        let trouble = report.trouble.unwrap();
        assert!(trouble.contains("15 bytes lost") && trouble.contains("No space left"), "{trouble}");
    }
}
