//! The rows at a place of an output: all of them, or those that pass a filter; as they are shown, and as text.

use std::io;
use std::ops::Range;
use std::time::Instant;

use memchr::memchr_iter;

use super::file::{BREAK, OutputFile, row_len};
use super::query::text_of;
use super::reader::{Place, Row, Stamps, TURN};
use super::search::Search;
use super::sift::{PIECE, Sifter};
use crate::console::text::{Ansi, Colors, width};

/// The most bytes one answer's rows are made from.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// How far before the first row asked for styles are looked for: colours switched on earlier than that are not seen.
const STYLE_LOOKBACK: u64 = 64 * 1024;

/// The same before a row that stands by itself among those that are not shown.
const SHORT_LOOKBACK: u64 = 8 * 1024;

/// The most text that is given at once.
pub const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Where rows start and end.
pub(super) type Spans = Vec<(u64, u64)>;

/// All rows at a place, and the part of the file that they are.
pub(super) fn all(file: &mut OutputFile, place: Place, count: usize) -> io::Result<(Spans, Range<u64>)> {
    let (start, end) = match place {
        Place::End => (back(file, file.len(), count)?, file.len()),
        Place::Around(offset) => {
            let row = file.row_at(offset)?;
            (back(file, row, count)?, file.len())
        }
        Place::From(offset) => (offset, file.len()),
        Place::Before(offset) => (back(file, offset, count)?, offset),
    };
    let count = if matches!(place, Place::Around(_)) { count.saturating_mul(2) } else { count };
    let starts_at = match place {
        Place::Around(offset) => offset,
        _ => start,
    };
    let mut spans = Vec::new();
    let mut at = start;
    while at < end && spans.len() < count && (at - start <= MAX_ANSWER_BYTES || at <= starts_at) {
        let (next, _) = file.next_start(at)?;
        if next <= at {
            break;
        }
        spans.push((at, next));
        at = next;
    }
    Ok((spans, start..at))
}

/// The rows at a place that pass the filter, and the part of the file that was looked through for them: no more than a turn's worth.
pub(super) fn passing(
    file: &mut OutputFile,
    search: &Search,
    sifter: &mut Sifter,
    place: Place,
    count: usize,
) -> io::Result<(Spans, Range<u64>)> {
    let Some(lead) = &search.sieve.filter else { return Ok((Vec::new(), 0..0)) };
    let until = Instant::now() + TURN;
    let mut spans: Spans = Vec::new();
    let len = file.len();
    if let Place::From(offset) | Place::Around(offset) = place {
        let start = if matches!(place, Place::Around(_)) { file.row_at(offset)? } else { offset };
        let (mut at, mut bytes) = (start, 0);
        while at < len && spans.len() < count && bytes < MAX_ANSWER_BYTES {
            let from = search.lines.skip(at, file)?;
            let next = sifter.sift(file, lead, from, len, &mut |row| {
                if search.sieve.shows(row) {
                    spans.push((row.start, row.end));
                    bytes += row.end - row.start;
                }
                spans.len() < count && bytes < MAX_ANSWER_BYTES
            })?;
            let stuck = next <= at;
            at = next.max(at);
            if stuck || Instant::now() >= until {
                break;
            }
        }
        return Ok((spans, start..at));
    }
    let end = if let Place::Before(offset) = place { offset } else { len };
    let mut start = end;
    while start > 0 && spans.len() < count {
        let stop = search.lines.skip_back(start);
        let from = if stop > PIECE / 2 { file.row_at(stop - PIECE / 2)? } else { 0 };
        let mut found: Spans = Vec::new();
        sifter.sift(file, lead, from, stop, &mut |row| {
            if search.sieve.shows(row) {
                found.push((row.start, row.end));
            }
            true
        })?;
        start = from;
        found.append(&mut spans);
        spans = found;
        if Instant::now() >= until {
            break;
        }
    }
    // What is too much is asked for again.
    let mut bytes = 0;
    let few = |(from, to): &&(u64, u64)| {
        bytes += to - from;
        bytes <= MAX_ANSWER_BYTES
    };
    let kept = spans.iter().rev().take(count).take_while(few).count().max(1);
    if spans.len() > kept {
        spans.drain(..spans.len() - kept);
        start = spans[0].0;
    }
    Ok((spans, start..end))
}

/// Rows as they are shown, with the colours that were switched on before them.
pub(super) fn render(
    file: &mut OutputFile,
    spans: &[(u64, u64)],
    colors: Colors,
    mut stamps: Option<&mut (dyn Stamps + 'static)>,
) -> io::Result<Vec<Row>> {
    let mut ansi = Ansi::new(colors);
    let mut rows: Vec<Row> = Vec::with_capacity(spans.len());
    for &(start, end) in spans {
        let above = rows.last().map(|row| (row.start, row.end, row.number));
        if above.is_none_or(|(_, behind, _)| behind != start) {
            let look_back = if above.is_none() { STYLE_LOOKBACK } else { SHORT_LOOKBACK };
            let mut at = match above {
                Some((_, behind, _)) if start - behind <= look_back => behind,
                _ => {
                    ansi = Ansi::new(colors);
                    if start == 0 { 0 } else { file.row_at(start.saturating_sub(look_back))? }
                }
            };
            while at < start {
                let (next, _) = file.next_start(at)?;
                ansi.skip(file.bytes(at..next)?);
                if next <= at {
                    break;
                }
                at = next;
            }
        }
        let number = match above {
            Some((above, _, Some(number))) if start - above <= 2 * STYLE_LOOKBACK => {
                Some(number + memchr_iter(b'\n', file.bytes(above..start)?).count() as u64)
            }
            Some((_, _, None)) => None,
            _ => file.line_of(start)?.map(|number| number + 1),
        };
        let continued = file.continues(start)?;
        let last = end >= file.len();
        let bytes = file.bytes(start..end)?;
        let whole = !last || row_len(start, bytes).1;
        let line = ansi.line(bytes);
        let width = line.spans.iter().map(|s| width(&s.content)).sum();
        let stamp = stamps.as_mut().and_then(|stamps| stamps.at(start));
        rows.push(Row { start, end, line, width, continued, whole, number, stamp });
    }
    Ok(rows)
}

/// The text of the rows that are shown of a part of the file: lines without their marks, colours and times. `None` when it is too long.
pub(super) fn text(
    file: &mut OutputFile,
    search: &Search,
    from: u64,
    to: u64,
    sifter: &mut Sifter,
) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let mut behind = None;
    let mut add = |row: &[u8], start: u64, end: u64, continued: bool| {
        if behind.is_some_and(|behind| behind != start || !continued) {
            text.push(b'\n');
        }
        text.extend_from_slice(&text_of(row));
        behind = Some(end);
        text.len() <= MAX_TEXT
    };
    let to = to.min(file.len());
    let mut at = from;
    match &search.sieve.filter {
        None => {
            while at < to {
                let (next, _) = file.next_start(at)?;
                let continued = file.continues(at)?;
                if next <= at || !add(file.bytes(at..next)?, at, next, continued) {
                    break;
                }
                at = next;
            }
        }
        Some(lead) => {
            let mut room = true;
            while at < to && room {
                let begin = search.lines.skip(at, file)?;
                let mut found = Vec::new();
                let next = sifter.sift(file, lead, begin, to, &mut |row| {
                    found.extend(search.sieve.shows(row).then_some((row.start, row.end)));
                    true
                })?;
                for (start, end) in found {
                    let continued = file.continues(start)?;
                    room = room && add(file.bytes(start..end)?, start, end, continued);
                }
                if next <= at {
                    break;
                }
                at = next;
            }
        }
    }
    Ok((text.len() <= MAX_TEXT).then(|| String::from_utf8_lossy(&text).into_owned()))
}

/// The start of the row that is `count` rows before `offset`, or as many as an answer may hold.
fn back(file: &mut OutputFile, offset: u64, count: usize) -> io::Result<u64> {
    let mut start = offset;
    for _ in 0..count {
        if start == 0 || offset - start >= MAX_ANSWER_BYTES - 2 * BREAK {
            break;
        }
        start = file.prev_start(start)?;
    }
    Ok(start)
}
