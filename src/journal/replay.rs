//! Reading a journal from a place on: checking the chain line by line, handing out whole batches, and telling a torn end from damage.

use std::io::{self, BufRead, Read};

use uuid::Uuid;

use crate::run::{Recorded, RunState};

use super::error::Cut;
use super::format::{self, LineHash, MAX_LINE};

/// A place in a journal: after a whole batch. Every event is one line and numbers have no gaps, so the number also gives the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The newest event's number; 0 after the first line.
    pub seq: u64,
    /// Length of the journal up to here.
    pub bytes: u64,
    /// Hash of the last line.
    pub hash: LineHash,
}

impl Place {
    /// The number of the line with this event, from 1.
    pub(super) fn line_of(seq: u64) -> u64 {
        seq + 1
    }
}

/// How reading came to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// After a whole batch.
    Whole,
    /// After a whole batch whose line feed is missing.
    NoLineFeed,
    /// Within a batch that was being written.
    Torn(Cut),
    /// At a line that does not fit.
    Broken {
        /// Which line, from 1.
        line: u64,
        /// Why.
        what: String,
    },
}

/// What a read came to.
#[derive(Debug)]
pub struct Replayed {
    /// After the last whole batch that was handed out.
    pub place: Place,
    /// Before that batch.
    pub before: Place,
    /// How it ended.
    pub tail: Tail,
}

/// What to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Lines up to this event are checked against the chain, but not parsed and not handed out.
    pub after: u64,
    /// Stop, with [`Tail::Whole`], after the batch that holds this event.
    pub until: Option<u64>,
    /// Hand out the lines as well.
    pub lines: bool,
}

/// A whole batch that was read.
#[derive(Debug, Default)]
pub struct ReadBatch {
    /// Its events.
    pub events: Vec<Recorded>,
    /// Their lines, without the line feed, where they were wanted.
    pub lines: Vec<Vec<u8>>,
}

/// Reads batches that follow `from`, where `input` stands. A batch that is refused counts as broken at its last line.
pub fn replay(
    input: &mut dyn BufRead,
    from: Place,
    wanted: Wanted,
    mut batch_read: impl FnMut(&mut ReadBatch, &Place) -> Result<(), String>,
) -> io::Result<Replayed> {
    let (mut before, mut place) = (from, from);
    let mut next = from;
    let mut batch = ReadBatch::default();
    let mut line = Vec::new();
    loop {
        if next == place && wanted.until.is_some_and(|until| place.seq >= until) {
            return Ok(Replayed { place, before, tail: Tail::Whole });
        }
        let fed = read_line(input, &mut line)?;
        let number = Place::line_of(next.seq + 1);
        if line.is_empty() && !fed {
            let tail = if next == place { Tail::Whole } else { torn(&place, number - 1, next.bytes) };
            return Ok(Replayed { place, before, tail });
        }
        let raw = match check(&line, &next) {
            Ok(raw) => raw,
            Err(what) => {
                let tail = judge(input, &place, number, next.bytes, &line, fed, what)?;
                return Ok(Replayed { place, before, tail });
            }
        };
        next = Place { seq: next.seq + 1, bytes: next.bytes + line.len() as u64 + u64::from(fed), hash: raw.hash };
        let end = raw.end;
        if next.seq > wanted.after {
            match format::decode_event(&line) {
                Ok(recorded) => {
                    batch.events.push(recorded);
                    batch.lines.extend(wanted.lines.then(|| line.clone()));
                }
                Err(error) => {
                    let what = format!("it is not an event this program knows ({error})");
                    return Ok(Replayed { place, before, tail: Tail::Broken { line: number, what } });
                }
            }
        }
        if end {
            if let Err(what) = batch_read(&mut batch, &next) {
                return Ok(Replayed { place, before, tail: Tail::Broken { line: number, what } });
            }
            batch.events.clear();
            batch.lines.clear();
            before = std::mem::replace(&mut place, next);
        }
        if !fed {
            let tail = if end { Tail::NoLineFeed } else { torn(&place, number, next.bytes) };
            return Ok(Replayed { place, before, tail });
        }
    }
}

/// Reads one line without its line feed; whether there was one. Stops reading one byte over the limit.
pub(super) fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.take(MAX_LINE as u64 + 1).read_until(b'\n', line)?;
    Ok(line.pop_if(|last| *last == b'\n').is_some())
}

fn check<'a>(line: &'a [u8], after: &Place) -> Result<format::RawLine<'a>, String> {
    if line.len() > MAX_LINE {
        return Err(format!("it is longer than {MAX_LINE} bytes"));
    }
    let raw = format::split_line(line).ok_or("it has not the form of a journal line")?;
    if LineHash::of(Some(&after.hash), raw.body) != raw.hash {
        return Err("its hash does not fit: this line or the one before it was changed".into());
    }
    match format::raw_seq(raw.body) {
        Some(seq) if seq == after.seq + 1 => Ok(raw),
        Some(seq) => Err(format!("it has number {seq} where {} should follow", after.seq + 1)),
        None => Err("it has no sequence number".into()),
    }
}

fn torn(place: &Place, last_line: u64, end: u64) -> Tail {
    let first_line = Place::line_of(place.seq + 1);
    Tail::Torn(Cut { first_line, lines: (last_line + 1).saturating_sub(first_line), bytes: end - place.bytes })
}

/// A line does not fit. It belongs to a batch that was being written only if it has no end, or holds bytes that never reached the disk
/// (zeros), and no other batch has its end after it. One write holds one batch, so nothing acknowledged can come later than a torn one.
fn judge(
    input: &mut dyn BufRead,
    place: &Place,
    number: u64,
    offset: u64,
    line: &[u8],
    fed: bool,
    what: String,
) -> io::Result<Tail> {
    let broken = Tail::Broken { line: number, what };
    let mut end = offset + line.len() as u64 + u64::from(fed);
    if !fed {
        let whole_and_more = (1..line.len()).rev().take(8).any(|length| format::split_line(&line[..length]).is_some());
        let whole = format::split_line(line).is_some() || whole_and_more || line.len() > MAX_LINE;
        return Ok(if whole { broken } else { torn(place, number, end) });
    }
    if !line.contains(&0) {
        return Ok(broken);
    }
    let mut ended = format::split_line(line).is_some_and(|raw| raw.end);
    let (mut last, mut rest) = (number, Vec::new());
    loop {
        let fed = read_line(input, &mut rest)?;
        if rest.is_empty() && !fed {
            return Ok(torn(place, last, end));
        }
        if ended || rest.len() > MAX_LINE {
            return Ok(broken);
        }
        last += 1;
        end += rest.len() as u64 + u64::from(fed);
        ended = format::split_line(&rest).is_some_and(|raw| raw.end);
    }
}

/// Folds a whole batch into a run's state, which the first event makes.
pub(super) fn fold(state: &mut Option<RunState>, batch: &[Recorded], run_id: Uuid) -> Result<(), String> {
    for recorded in batch {
        match state {
            Some(state) => state.apply(recorded),
            None => {
                let first = RunState::from_registration(recorded);
                let first = first.ok_or("the first event does not say which plan was opened")?;
                if first.run_id != run_id {
                    return Err(format!("it opens run {}, in the journal of run {run_id}", first.run_id));
                }
                *state = Some(first);
            }
        }
    }
    Ok(())
}
