//! How a journal looks on disk: one JSON object a line, chained by hashes.
//!
//! ```text
//! {"holdpoint_journal":1,"run_id":"…","created":"…","hash":"<64 hex digits>"}
//! {"seq":1,"time":"…","event":{…},"end":true,"hash":"<64 hex digits>"}
//! ```
//!
//! A line is a *body* and its hash: SHA-256 over the hash of the line before (as hex digits; nothing for the first line) and the body's
//! bytes. So a journal is verified byte by byte, without parsing, and what a later version of the program would print differently still
//! fits. `"end":true` marks the last line of a batch: after a tear all of a batch counts or none of it.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::run::{Event, Recorded};

use super::disk::DiskFile;

/// The version of the format this program writes; it refuses newer ones.
pub const FORMAT_VERSION: u64 = 1;
/// No line is longer, in bytes; a plan of the largest size fits in. A line is the unit of memory when a journal is read.
pub const MAX_LINE: usize = 256 << 20;
/// No event is nested deeper: the parser stops at 128 levels, and an event must also be readable where it is embedded in a checkpoint.
/// Values that come from outside (results, parameters) should be limited to [`MAX_VALUE_DEPTH`].
pub const MAX_DEPTH: usize = 120;
/// How deep a value from outside (an agent's result, a parameter) may be nested so that every event with it can be written.
pub const MAX_VALUE_DEPTH: usize = 100;

const HASH_KEY: &[u8] = b",\"hash\":\"";
/// `,"hash":"` + 64 digits + `"}`
pub(super) const SUFFIX: usize = HASH_KEY.len() + 64 + 2;
const END_MARK: &[u8] = b",\"end\":true";

/// The hash of a line, as 64 lower-case hex digits. The newest line's is the journal's *head hash*.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; 64]);

impl LineHash {
    /// The hash of a body that follows a line with the hash `previous`.
    pub fn of(previous: Option<&LineHash>, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        if let Some(previous) = previous {
            hasher.update(previous.0);
        }
        hasher.update(body);
        Self::finished(hasher)
    }

    fn finished(hasher: Sha256) -> Self {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hasher.finalize()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        // Only hex digits get in, by `of` and by `from_digits`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn from_digits(digits: &[u8]) -> Option<Self> {
        let digits: [u8; 64] = digits.try_into().ok()?;
        digits.iter().all(|digit| HEX.contains(digit)).then_some(Self(digits))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head hash is 64 hex digits (0-9, a-f)")]
pub struct NoHash;

impl FromStr for LineHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        Self::from_digits(text.trim().to_ascii_lowercase().as_bytes()).ok_or(NoHash)
    }
}

impl Serialize for LineHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_digits(text.as_bytes()).ok_or_else(|| serde::de::Error::custom(NoHash))
    }
}

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// Version of the format.
    #[serde(rename = "holdpoint_journal")]
    pub version: u64,
    /// The run's id.
    pub run_id: Uuid,
    /// When the journal was made.
    pub created: DateTime<Utc>,
}

/// An event that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than [`MAX_LINE`].
    #[error("event {seq} is {bytes} bytes long; a journal line may have {MAX_LINE}")]
    TooLong {
        /// Which event.
        seq: u64,
        /// How long it would be.
        bytes: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("event {seq} is nested {depth} levels deep; a journal line may have {MAX_DEPTH}")]
    TooDeep {
        /// Which event.
        seq: u64,
        /// How deep it is.
        depth: usize,
    },
    /// It has no JSON form.
    #[error("event {seq} cannot be written as JSON: {error}")]
    NoJson {
        /// Which event.
        seq: u64,
        /// Why.
        error: String,
    },
}

impl EncodeError {
    /// Which event.
    pub fn seq(&self) -> u64 {
        match self {
            Self::TooLong { seq, .. } | Self::TooDeep { seq, .. } | Self::NoJson { seq, .. } => *seq,
        }
    }
}

/// Appends the first line to `out` and returns its hash.
pub fn encode_header(out: &mut Vec<u8>, run_id: Uuid, created: DateTime<Utc>) -> LineHash {
    let created = created.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let start = out.len();
    out.extend_from_slice(
        format!("{{\"holdpoint_journal\":{FORMAT_VERSION},\"run_id\":\"{run_id}\",\"created\":\"{created}\"")
            .as_bytes(),
    );
    close_line(out, start, None)
}

/// Appends an event's line to `out` and returns its hash. `end` marks the last line of a batch.
///
/// # Errors
/// The event has no JSON form, or is too long or too deep; `out` may then hold a part of it.
pub fn encode_event(
    out: &mut Vec<u8>,
    previous: &LineHash,
    recorded: &Recorded,
    end: bool,
) -> Result<LineHash, EncodeError> {
    let seq = recorded.seq;
    let start = out.len();
    serde_json::to_writer(&mut *out, recorded)
        .map_err(|error| EncodeError::NoJson { seq, error: error.to_string() })?;
    let depth = depth(&out[start..]);
    if depth > MAX_DEPTH {
        return Err(EncodeError::TooDeep { seq, depth });
    }
    // The closing brace comes back after the hash.
    out.pop();
    if end {
        out.extend_from_slice(END_MARK);
    }
    let hash = close_line(out, start, Some(previous));
    let bytes = out.len() - start;
    if bytes > MAX_LINE {
        return Err(EncodeError::TooLong { seq, bytes });
    }
    debug_assert!(
        decode_event(&out[start..out.len() - 1]).is_ok(),
        "an event that cannot be read back: {}",
        String::from_utf8_lossy(&out[start..])
    );
    Ok(hash)
}

/// Closes a line that starts at `start`: hash, brace, line feed.
pub(super) fn close_line(out: &mut Vec<u8>, start: usize, previous: Option<&LineHash>) -> LineHash {
    let hash = LineHash::of(previous, &out[start..]);
    out.extend_from_slice(HASH_KEY);
    out.extend_from_slice(&hash.0);
    out.extend_from_slice(b"\"}\n");
    hash
}

/// So much of a long line is handed on at once.
const PIECE: usize = 256 << 10;

/// A line on its way to a file, hashed as it is written and handed on piece by piece: one with the whole state of a large run is never in memory
/// as a whole.
pub(super) struct LineWriter<'a> {
    file: &'a dyn DiskFile,
    piece: &'a mut Vec<u8>,
    hasher: Sha256,
    bytes: u64,
}

impl<'a> LineWriter<'a> {
    /// Begins a line; `piece` is what its pieces are put together in.
    pub fn new(file: &'a dyn DiskFile, piece: &'a mut Vec<u8>) -> Self {
        piece.clear();
        Self { file, piece, hasher: Sha256::new(), bytes: 0 }
    }

    /// Closes the line: hash, brace, line feed. Gives the bytes of all of it.
    pub fn close(mut self) -> io::Result<u64> {
        self.hasher.update(&self.piece);
        let hash = LineHash::finished(self.hasher.clone());
        for part in [HASH_KEY, &hash.0, b"\"}\n"] {
            self.piece.extend_from_slice(part);
        }
        self.hand_on()?;
        Ok(self.bytes)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.file.append(self.piece)?;
        self.bytes += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.hasher.update(&self.piece);
            self.hand_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How deep a JSON text is nested. Nearly every event has few braces altogether, which is quicker to see than where they close.
fn depth(json: &[u8]) -> usize {
    let opening = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if opening <= MAX_DEPTH {
        return opening;
    }
    let (mut deepest, mut now, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A line taken apart without parsing it.
#[derive(Debug, Clone, Copy)]
pub struct RawLine<'a> {
    /// What the hash covers.
    pub body: &'a [u8],
    /// The hash the line carries.
    pub hash: LineHash,
    /// Whether it ends a batch.
    pub end: bool,
}

/// Takes a line (without its line feed) apart; `None` when it has not the form of a journal line.
pub fn split_line(line: &[u8]) -> Option<RawLine<'_>> {
    let at = line.len().checked_sub(SUFFIX)?;
    let (body, suffix) = line.split_at(at);
    let hash = suffix.strip_prefix(HASH_KEY)?.strip_suffix(b"\"}")?;
    if !body.starts_with(b"{") {
        return None;
    }
    // The body's last member is the event, an object, unless the mark follows it: nothing inside the event can look like the mark.
    Some(RawLine { body, hash: LineHash::from_digits(hash)?, end: body.ends_with(END_MARK) })
}

/// Reads a file that is one such line and its line feed, so many bytes long, a part at a time: whether its hash fits, or `None` when it has not the form.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_whole(input: &mut impl io::Read, length: u64) -> io::Result<Option<bool>> {
    let Some(body) = length.checked_sub(SUFFIX as u64 + 1) else { return Ok(None) };
    let mut hasher = HashWriter(Sha256::new());
    io::copy(&mut io::Read::take(&mut *input, body), &mut hasher)?;
    let mut suffix = Vec::new();
    input.read_to_end(&mut suffix)?;
    let digits = suffix.strip_prefix(HASH_KEY).and_then(|rest| rest.strip_suffix(b"\"}\n"));
    let hash = digits.and_then(LineHash::from_digits);
    Ok(hash.map(|hash| hash == LineHash::finished(hasher.0)))
}

/// Hashes what is written to it.
struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sequence number of an event line's body, without parsing the rest.
pub fn raw_seq(body: &[u8]) -> Option<u64> {
    let digits = body.strip_prefix(b"{\"seq\":")?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

/// Parses an event's line (without its line feed). The hash is not looked at.
///
/// # Errors
/// It is not the JSON of an event this program knows.
pub fn decode_event(line: &[u8]) -> Result<Recorded, serde_json::Error> {
    #[derive(Deserialize)]
    struct Line {
        seq: u64,
        time: DateTime<Utc>,
        event: Event,
    }
    let line: Line = serde_json::from_slice(line)?;
    Ok(Recorded { seq: line.seq, time: line.time, event: line.event })
}

/// Parses the first line (without its line feed). The hash is not looked at, so that a newer version is recognised whatever else it changed.
///
/// # Errors
/// It is not a header.
pub fn decode_header(line: &[u8]) -> Result<Header, serde_json::Error> {
    serde_json::from_slice(line)
}

/// The version a first line claims, if it claims one: all that is asked of a newer format.
pub fn claimed_version(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claim {
        holdpoint_journal: u64,
    }
    serde_json::from_slice::<Claim>(line).ok().map(|claim| claim.holdpoint_journal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Event;

    fn recorded(event: Event) -> Recorded {
        Recorded { seq: 7, time: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), event }
    }

    #[test]
    fn an_event_line_reads_back_and_its_hash_covers_every_byte_of_the_body() {
        let mut out = Vec::new();
        let head = encode_header(&mut out, Uuid::nil(), DateTime::UNIX_EPOCH);
        let start = out.len();
        let event = recorded(Event::HoldCleared { step: "a".into() });
        let hash = encode_event(&mut out, &head, &event, true).unwrap();
        let line = &out[start..out.len() - 1];
        let raw = split_line(line).unwrap();
        assert_eq!(
            std::str::from_utf8(raw.body).unwrap(),
            r#"{"seq":7,"time":"2023-11-14T22:13:20.123456Z","event":{"type":"hold_cleared","step":"a"},"end":true"#
        );
        assert!(raw.end);
        assert_eq!(raw.hash, hash);
        assert_eq!(raw_seq(raw.body), Some(7));
        assert_eq!(LineHash::of(Some(&head), raw.body), hash);
        assert_eq!(decode_event(line).unwrap(), event);
    }

    #[test]
    fn a_mark_inside_an_event_is_not_taken_for_the_end_of_a_batch() {
        let mut out = Vec::new();
        let head = encode_header(&mut out, Uuid::nil(), DateTime::UNIX_EPOCH);
        let start = out.len();
        encode_event(&mut out, &head, &recorded(Event::RunFailed { error: r#"","end":true"#.into() }), false).unwrap();
        assert!(!split_line(&out[start..out.len() - 1]).unwrap().end);
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let mut value = serde_json::Value::Null;
        for _ in 0..MAX_VALUE_DEPTH {
            value = serde_json::json!([value]);
        }
        let event = |value: &serde_json::Value| {
            recorded(Event::StepCompletedByHand {
                step: "a".into(),
                user: "u".into(),
                result: Some(std::sync::Arc::new(value.clone())),
            })
        };
        let head = encode_header(&mut Vec::new(), Uuid::nil(), DateTime::UNIX_EPOCH);
        encode_event(&mut Vec::new(), &head, &event(&value), true).unwrap();
        for _ in 0..20 {
            value = serde_json::json!([value]);
        }
        let refused = encode_event(&mut Vec::new(), &head, &event(&value), true).unwrap_err();
        assert_eq!(refused, EncodeError::TooDeep { seq: 7, depth: MAX_VALUE_DEPTH + 22 });
        // Braces in strings do not count.
        let text = serde_json::json!("{[\\\"".repeat(200));
        encode_event(&mut Vec::new(), &head, &event(&text), true).unwrap();
    }
}
