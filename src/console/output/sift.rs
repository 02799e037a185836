//! The rows of an output file that a pattern may stand in: read in pieces of bounded size, past everything else, whatever the rows hold.

use std::borrow::Cow;
use std::io;

use memchr::{memchr, memrchr};

use super::file::{BREAK, LONGEST, OutputFile, row_len};
use super::query::{Pattern, text_of};
use crate::console::text::is_plain;

/// What is looked through at once.
pub(super) const PIECE: u64 = 256 * 1024;

/// What stands over the place where a line is broken is found if it is no longer than this.
const OVERLAP: usize = 256;

/// A row in which a pattern may stand.
#[derive(Debug)]
pub(super) struct Candidate<'b> {
    /// Where it starts.
    pub(super) start: u64,
    /// Where the next one starts.
    pub(super) end: u64,
    /// Its text; of a line that goes on in the next row with the beginning of that.
    text: Cow<'b, [u8]>,
    /// What begins here or behind it belongs to the next row.
    own: usize,
}

/// What is looked for: the lines that are shown, and what is searched for in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sieve {
    /// Only lines with this are shown.
    pub(super) filter: Option<Pattern>,
    /// This is searched for.
    pub(super) search: Option<Pattern>,
}

impl Sieve {
    /// Whether the row is shown.
    pub(super) fn shows(&self, row: &Candidate<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_in(&row.text, row.own))
    }

    /// Where in the row's text there is what is searched for; nowhere in a row that is not shown.
    pub(super) fn hits<'r>(&'r self, row: &'r Candidate<'_>) -> impl Iterator<Item = usize> + 'r {
        let search = self.search.as_ref().filter(|_| self.shows(row));
        let found = search.into_iter().flat_map(|search| search.matches(&row.text));
        found.map(|range| range.start).take_while(|at| *at < row.own)
    }
}

/// Looks through a file. Keeps nothing but room for one piece.
#[derive(Debug)]
pub(super) struct Sifter {
    bytes: Vec<u8>,
    /// Rows that start in so many bytes are looked at in one go.
    piece: u64,
}

impl Default for Sifter {
    fn default() -> Sifter {
        Sifter { bytes: Vec::new(), piece: PIECE }
    }
}

impl Sifter {
    /// Shows `visit` the rows in which a pattern may stand, in order: those that start in `at..end`, as far as one piece goes. `at` is the start of a row. Ends
    /// early when `visit` says `false`. Gives the start of the row that is next, or the end of the file.
    pub(super) fn sift(
        &mut self,
        file: &OutputFile,
        pattern: &Pattern,
        at: u64,
        end: u64,
        visit: &mut dyn FnMut(&Candidate<'_>) -> bool,
    ) -> io::Result<u64> {
        file.read(at..at + self.piece + LONGEST + OVERLAP as u64, &mut self.bytes)?;
        let bytes = self.bytes.as_slice();
        let own = bytes.len().min(self.piece as usize).min(end.saturating_sub(at) as usize);
        // Plain lines are looked at together, as they are; every other one by itself, as it is shown, and row by row where it is broken: what stands over
        // a break, or is anchored to a row's beginning, is not to be seen among many.
        let mut plain = 0;
        let mut place = 0;
        while place < own {
            let goes_on = place == 0 || bytes[place - 1] != b'\n';
            if place >= plain && !goes_on {
                let odd = |byte: &u8| !matches!(byte, b' '..=b'~' | b'\n');
                let odd = bytes[place..].iter().position(odd).map_or(bytes.len(), |odd| place + odd);
                plain = broken_line(bytes, at, place, odd).unwrap_or(odd);
            }
            let found =
                if goes_on { Some(place) } else { pattern.may_be_at(&bytes[place..plain]).map(|found| place + found) };
            let next = found.unwrap_or(plain);
            if found.is_none() && plain == bytes.len() {
                break;
            }
            place = row_with(bytes, at, place, next);
            if place >= own {
                break;
            }
            let (len, _) = row_len(at + place as u64, &bytes[place..]);
            if !visit(&candidate(bytes, at, place, len)) {
                return Ok(at + (place + len) as u64);
            }
            place += len;
        }
        if place < own {
            // The next row is the first one that does not start in the piece.
            place = row_with(bytes, at, place, own);
            if place < own {
                place += row_len(at + place as u64, &bytes[place..]).0;
            }
        }
        Ok(at + place as u64)
    }
}

/// The start of the first line that is broken before `to`; `from` is the start of a line. All count in `bytes`, which start at `base` of the file.
fn broken_line(bytes: &[u8], base: u64, from: usize, to: usize) -> Option<usize> {
    let first = ((base + from as u64).next_multiple_of(BREAK) - base) as usize;
    // A line is broken at the end of a cell of the grid in which no line ends.
    let cells = bytes.get(first..)?.chunks_exact(BREAK as usize).zip((first..to).step_by(BREAK as usize));
    let whole = cells.map(|(cell, start)| (memrchr(b'\n', cell), start)).find(|(end, _)| end.is_none());
    whole.map(|(_, start)| memrchr(b'\n', &bytes[from..start]).map_or(from, |end| from + end + 1))
}

/// The start of the row that holds a byte; `from` is the start of a row before it. All count in `bytes`, which start at `base` of the file.
fn row_with(bytes: &[u8], base: u64, from: usize, byte: usize) -> usize {
    let byte = byte.min(bytes.len());
    let mut row = memrchr(b'\n', &bytes[from..byte]).map_or(from, |end| from + end + 1);
    while row < byte {
        let (len, _) = row_len(base + row as u64, &bytes[row..]);
        if len == 0 || row + len > byte {
            break;
        }
        row += len;
    }
    row
}

fn candidate(bytes: &[u8], base: u64, place: usize, len: usize) -> Candidate<'_> {
    let (row, more) = bytes[place..].split_at(len);
    let (start, end) = (base + place as u64, base + (place + len) as u64);
    let more = if row.ends_with(b"\n") { &[] } else { &more[..more.len().min(OVERLAP)] };
    let more = &more[..memchr(b'\n', more).unwrap_or(more.len())];
    if more.is_empty() {
        return Candidate { start, end, text: text_of(row), own: usize::MAX };
    }
    let text = text_of(&bytes[place..place + len + more.len()]);
    let own = if is_plain(row) { len } else { text_of(row).len() };
    Candidate { start, end, text, own }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::file::tests::file;
    use super::super::query::Query;
    use super::*;

    fn sieve(text: &str, regex: bool) -> Sieve {
        let search = Pattern::new(&Query { text: text.into(), regex }).unwrap();
        Sieve { filter: None, search }
    }

    /// Every hit in the rows that start in a range, as (row, byte of its text).
    fn hits(bytes: &[u8], sieve: &Sieve, range: std::ops::Range<u64>) -> Vec<(u64, usize)> {
        let sifter = Sifter { piece: 20_000, ..Sifter::default() };
        let (file, mut sifter, mut found) = (file(bytes), sifter, Vec::new());
        let mut at = range.start;
        while at < range.end.min(file.len()) {
            let next = sifter
                .sift(&file, sieve.search.as_ref().unwrap(), at, range.end, &mut |row| {
                    found.extend(sieve.hits(row).map(|hit| (row.start, hit)));
                    true
                })
                .unwrap();
            assert!(next > at, "it goes on");
            at = next;
        }
        found
    }

    /// The same, row by row, each with what of its line is behind it.
    fn slowly(bytes: &[u8], pattern: &Pattern) -> Vec<(u64, usize)> {
        let mut file = file(bytes);
        let (mut at, mut found) = (0, Vec::new());
        while at < file.len() {
            let (next, _) = file.next_start(at).unwrap();
            let (row, rest) = bytes[at as usize..].split_at((next - at) as usize);
            let goes_on = !row.ends_with(b"\n");
            let more = rest.iter().take(OVERLAP).take_while(|byte| goes_on && **byte != b'\n').count();
            let own = if more == 0 { usize::MAX } else { text_of(row).len() };
            let text = text_of(&bytes[at as usize..next as usize + more]).into_owned();
            let own = pattern.matches(&text).map(|range| range.start).take_while(|start| *start < own);
            found.extend(own.map(|start| (at, start)));
            at = next;
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn nothing_is_passed_over(
            lines in prop::collection::vec(
                prop_oneof![
                    Just("plain text".to_owned()),
                    Just(String::new()),
                    Just("the \u{1b}[31mneed\u{1b}[0mle".to_owned()),
                    Just("größer als needle".to_owned()),
                    Just("a needle and a Needle".to_owned()),
                    Just("tab\tneedle".to_owned()),
                    (1_000usize..3_000).prop_map(|n| "plain words ".repeat(n)),
                ],
                0..40,
            ),
            many in 1usize..200,
            ended: bool,
        ) {
            let mut text = lines.join("\n").repeat(many.min(1 + 100_000 / (lines.iter().map(String::len).sum::<usize>() + 1)));
            if ended {
                text.push('\n');
            }
            for (wanted, regex) in [("needle", false), ("needle$", true), (r"^\w+ needle", true), ("^$", true), (r"\Athe", true)] {
                let sieve = sieve(wanted, regex);
                let all = hits(text.as_bytes(), &sieve, 0..u64::MAX);
                prop_assert_eq!(&all, &slowly(text.as_bytes(), sieve.search.as_ref().unwrap()), "{}", wanted);
            }
        }
    }

    #[test]
    fn what_goes_on_behind_a_control_sequence_at_a_break_is_found_once() {
        for before in ["", "plain\n", "a needle\nplain words\n"] {
            let grid = if before.is_empty() { 16 * 1024 } else { 2 * 16 * 1024 };
            let row = before.len();
            let text = format!("{before}{}need\u{1b}[0mle and on", "x".repeat(grid - 5 - row));
            let found = hits(text.as_bytes(), &sieve("needle", false), row as u64..u64::MAX);
            assert_eq!(found, [(row as u64, grid - 5 - row)], "{before}");
        }
    }

    #[test]
    fn every_row_of_a_broken_line_has_a_beginning_of_its_own() {
        let text = format!("plain\n{}yes{}\nplain\nyes\n", "x".repeat(2 * 16 * 1024 - 6), "x".repeat(20_000));
        let last = text.len() as u64 - 4;
        assert_eq!(hits(text.as_bytes(), &sieve("^yes", true), 0..u64::MAX), [(2 * 16 * 1024, 0), (last, 0)]);
    }

    #[test]
    fn what_stands_where_a_line_is_broken_is_found_once() {
        let mut bytes = vec![b'x'; 100_000];
        bytes[2 * 16 * 1024 - 3..][..6].copy_from_slice(b"needle");
        let found = hits(&bytes, &sieve("needle", false), 0..u64::MAX);
        assert_eq!(found, [(16 * 1024, 16 * 1024 - 3)]);
        bytes[50_000] = 0x1b;
        assert_eq!(hits(&bytes, &sieve("needle", false), 0..u64::MAX), found);
    }

    #[test]
    fn only_rows_of_the_range_are_looked_at() {
        let text = "needle\n".repeat(100_000);
        assert_eq!(hits(text.as_bytes(), &sieve("needle", false), 7..21), [(7, 0), (14, 0)]);
        assert_eq!(hits(text.as_bytes(), &sieve("needle", false), 699_986..u64::MAX), [(699_986, 0), (699_993, 0)]);
    }
}
