//! An attempt's output on disk: the bytes, and an index that tells when and from where they came.
//!
//! `<step>.<attempt>.log` holds what the attempt printed, byte by byte, stdout and stderr in the order in which they arrived, with secrets
//! masked. Lines of holdpoint itself (a remark about a line that is no message, a gap left by a full disk) stand between them and are marked
//! in the index.
//!
//! `<step>.<attempt>.idx` is the index, format version 1, all numbers little-endian:
//!
//! ```text
//! header   8 bytes   "HPIDX", 0, 0, version (1)
//! record  16 bytes   u64: offset in the output file · 4 + stream (0 stdout, 1 stderr, 2 holdpoint)
//!                    u64: microseconds since 1970, UTC
//! record  …          offsets never decrease
//! ```
//!
//! A record tells of the bytes from its offset up to the next record's. A new one is written when the stream changes, and for the same stream
//! when 10 ms have passed. An incomplete record at the end is one that is being written; readers leave it out.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

/// Version of the index format, the last byte of the header.
pub const INDEX_VERSION: u8 = 1;

pub(super) const HEADER: [u8; 8] = [b'H', b'P', b'I', b'D', b'X', 0, 0, INDEX_VERSION];
pub(super) const RECORD: usize = 16;

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The attempt's standard output.
    Stdout,
    /// The attempt's standard error.
    Stderr,
    /// A remark of holdpoint itself.
    Remark,
}

/// The index file that belongs to an output file.
pub fn index_path(output: &Path) -> PathBuf {
    output.with_extension("idx")
}

/// Opens an output file, or its index, to read. A link, which may lead anywhere, and a pipe, which may make the reader wait, are refused.
///
/// # Errors
/// It is not there, cannot be read, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "something else is in the place of the output file"));
    }
    Ok(file)
}

/// A piece of output of one stream that came at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the output file.
    pub offset: u64,
    /// When it came.
    pub time: DateTime<Utc>,
    /// Where from.
    pub stream: Stream,
}

pub(super) fn encode(offset: u64, micros: u64, stream: Stream) -> [u8; RECORD] {
    let code = match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Remark => 2,
    };
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&(offset << 2 | code).to_le_bytes());
    record[8..].copy_from_slice(&micros.to_le_bytes());
    record
}

fn decode(record: [u8; RECORD]) -> Chunk {
    let [first, second] = [0, 8].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&record[at..at + 8]);
        u64::from_le_bytes(word)
    });
    let stream = match first & 3 {
        0 => Stream::Stdout,
        1 => Stream::Stderr,
        _ => Stream::Remark,
    };
    let micros = i64::try_from(second).unwrap_or_default();
    Chunk { offset: first >> 2, time: DateTime::from_timestamp_micros(micros).unwrap_or_default(), stream }
}

/// Reads an index, also one that is still being written. Holds no more than the file open; every call reads from disk.
#[derive(Debug)]
pub struct OutputIndex {
    file: File,
}

impl OutputIndex {
    /// Opens the index that belongs to an output file.
    ///
    /// # Errors
    /// It is not there (an attempt without output has none), cannot be read, or has another format; `InvalidData` says which.
    pub fn of(output: &Path) -> io::Result<Self> {
        let file = open(&index_path(output))?;
        let mut header = [0; HEADER.len()];
        file.read_exact_at(&mut header, 0)?;
        if header[..7] != HEADER[..7] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not an index of output"));
        }
        if header[7] != INDEX_VERSION {
            let version = header[7];
            let words = format!("the index has format version {version}; this holdpoint reads version {INDEX_VERSION}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(Self { file })
    }

    /// How many chunks there are by now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(HEADER.len() as u64) / RECORD as u64)
    }

    /// Whether there is none yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The chunk at a place in the index, from 0.
    ///
    /// # Errors
    /// There is none, or the file cannot be read.
    pub fn chunk(&self, place: u64) -> io::Result<Chunk> {
        let mut record = [0; RECORD];
        self.file.read_exact_at(&mut record, HEADER.len() as u64 + place * RECORD as u64)?;
        Ok(decode(record))
    }

    /// The place in the index of the chunk that holds the byte at `offset`; `None` before the first chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn place_of(&self, offset: u64) -> io::Result<Option<u64>> {
        let (mut low, mut high) = (0, self.len()?);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.chunk(middle)?.offset <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }

    /// When the byte at `offset` came, and from where.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn time_and_stream_at(&self, offset: u64) -> io::Result<Option<(DateTime<Utc>, Stream)>> {
        let Some(place) = self.place_of(offset)? else { return Ok(None) };
        let chunk = self.chunk(place)?;
        Ok(Some((chunk.time, chunk.stream)))
    }

    /// The chunks that a range of the output file touches, oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn chunks_in(&self, range: std::ops::Range<u64>, limit: usize) -> io::Result<Vec<Chunk>> {
        let mut found = Vec::new();
        let places = self.place_of(range.start)?.unwrap_or(0)..self.len()?;
        for place in places.take(limit) {
            let chunk = self.chunk(place)?;
            if chunk.offset >= range.end {
                break;
            }
            found.push(chunk);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunk_of_every_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.1.log");
        let mut bytes = HEADER.to_vec();
        let chunks = [(0, 1_000, Stream::Stdout), (10, 2_000, Stream::Stderr), (15, 3_000, Stream::Remark)];
        for (offset, micros, stream) in chunks {
            bytes.extend(encode(offset, micros, stream));
        }
        bytes.extend([7; 9]);
        std::fs::write(index_path(&output), &bytes).unwrap();
        let index = OutputIndex::of(&output).unwrap();
        assert_eq!(index.len().unwrap(), 3);
        for (offset, micros, stream) in [
            (0, 1_000, Stream::Stdout),
            (9, 1_000, Stream::Stdout),
            (10, 2_000, Stream::Stderr),
            (99, 3_000, Stream::Remark),
        ] {
            let (time, found) = index.time_and_stream_at(offset).unwrap().unwrap();
            assert_eq!((time.timestamp_micros(), found), (micros, stream), "at {offset}");
        }
        assert_eq!(index.chunks_in(12..15, 10).unwrap().len(), 1);
        assert_eq!(index.chunks_in(0..16, 2).unwrap().len(), 2);
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.1.log");
        std::fs::write(index_path(&output), b"HPIDX\0\0\x02").unwrap();
        assert!(OutputIndex::of(&output).unwrap_err().to_string().contains("version 2"));
    }
}
