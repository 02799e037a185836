//! What a sieve finds in a file: how much there is of it, and the next of it from any place, in steps of a few milliseconds.

use std::io;

use super::file::OutputFile;
use super::query::Pattern;
use super::sift::{Candidate, PIECE, Sieve, Sifter};

/// Finds are counted in blocks of this size; eight bytes of memory each.
const BLOCK: u64 = 1024 * 1024;

/// A place from which a search goes on: rows behind this one, and of itself what is behind a byte of its text, or all of it. Backwards what is before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The start of a row.
    pub row: u64,
    /// A byte of its text.
    pub at: Option<usize>,
}

/// A place where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The start of the row.
    pub row: u64,
    /// The byte of its text.
    pub at: usize,
}

/// How much is found, and where there is nothing.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What is found in the rows that start before each full block.
    blocks: Vec<u64>,
    /// The row that is looked at next.
    at: u64,
    count: u64,
    /// What is found in the last row, which has no end yet and is looked at again.
    open: u64,
    done: bool,
}

impl Tally {
    /// How much was found so far.
    pub(super) fn count(&self) -> u64 {
        self.count + self.open
    }

    /// The file has grown, or is another one.
    pub(super) fn grown(&mut self, truncated: bool) {
        (self.done, self.open) = (false, 0);
        if truncated {
            *self = Tally::default();
        }
    }

    /// Counts in one more piece.
    pub(super) fn step(
        &mut self,
        file: &mut OutputFile,
        sifter: &mut Sifter,
        lead: &Pattern,
        count: &dyn Fn(&Candidate<'_>) -> u64,
    ) -> io::Result<()> {
        let len = file.len();
        let (blocks, total, mut last) = (&mut self.blocks, &mut self.count, (0, 0));
        let next = sifter.sift(file, lead, self.at, len, &mut |row| {
            fill(blocks, row.start, *total);
            last = (row.start, count(row));
            *total += last.1;
            true
        })?;
        let stuck = next <= self.at;
        self.at = next;
        if next >= len || stuck {
            self.done = true;
            if len > 0 && file.continues(len)? {
                self.at = file.row_at(len)?;
                if last.0 == self.at {
                    self.count -= last.1;
                    self.open = last.1;
                }
            }
        }
        fill(&mut self.blocks, self.at, self.count);
        Ok(())
    }

    /// How much there is in the rows before one, once so much is counted.
    pub(super) fn before(
        &self,
        row: u64,
        file: &mut OutputFile,
        sifter: &mut Sifter,
        lead: &Pattern,
        count: &dyn Fn(&Candidate<'_>) -> u64,
    ) -> io::Result<Option<u64>> {
        if row > self.at || (row == self.at && !self.done) {
            return Ok(None);
        }
        let block = (row / BLOCK).min(self.blocks.len().saturating_sub(1) as u64);
        let mut before = self.blocks.get(block as usize).copied().unwrap_or(0);
        let mut at = first_row(file, block * BLOCK)?;
        while at < row {
            let next = sifter.sift(file, lead, at, row, &mut |row| {
                before += count(row);
                true
            })?;
            if next <= at {
                break;
            }
            at = next;
        }
        Ok(Some(before))
    }

    /// A row at or behind `at`, before which there is nothing to find from there on.
    pub(super) fn skip(&self, at: u64, file: &mut OutputFile) -> io::Result<u64> {
        let mut block = (at / BLOCK) as usize;
        while self.is_empty(block) {
            block += 1;
        }
        let to = block as u64 * BLOCK;
        if to > at { file.row_at(to).map(|row| row.max(at)) } else { Ok(at) }
    }

    /// A place at or before `end`, behind which there is nothing to find in the rows that start before `end`.
    pub(super) fn skip_back(&self, end: u64) -> u64 {
        let mut end = end;
        while end > 0 && self.is_empty(((end - 1) / BLOCK) as usize) {
            end = (end - 1) / BLOCK * BLOCK;
        }
        end
    }

    fn is_empty(&self, block: usize) -> bool {
        matches!(self.blocks.get(block..block + 2), Some([before, behind]) if before == behind)
    }
}

fn fill(blocks: &mut Vec<u64>, row: u64, count: u64) {
    while blocks.len() as u64 * BLOCK <= row {
        blocks.push(count);
    }
}

/// The first row that starts at a place or behind it.
fn first_row(file: &mut OutputFile, at: u64) -> io::Result<u64> {
    let row = file.row_at(at)?;
    if row >= at || at == 0 { Ok(row) } else { file.next_start(row).map(|(next, _)| next) }
}

/// The way to the next find.
#[derive(Debug)]
pub(super) struct Find {
    from: Spot,
    at: u64,
    forward: bool,
    /// It goes on from the other end when there is nothing up to this one.
    wrap: bool,
    wrapped: bool,
}

/// What became of a find: nothing yet, or where it is and whether the search went round for it.
type Found = Option<(Option<Hit>, bool)>;

impl Find {
    pub(super) fn new(from: Spot, forward: bool, wrap: bool) -> Find {
        let at = if forward || from.at.is_none() { from.row } else { from.row.saturating_add(1) };
        Find { from, at, forward, wrap, wrapped: false }
    }

    /// Looks through one more piece.
    pub(super) fn step(
        &mut self,
        file: &mut OutputFile,
        sifter: &mut Sifter,
        sieve: &Sieve,
        tally: &Tally,
    ) -> io::Result<Found> {
        let Some(lead) = &sieve.search else { return Ok(Some((None, false))) };
        if self.forward {
            self.step_forward(file, sifter, sieve, lead, tally)
        } else {
            self.step_back(file, sifter, sieve, lead, tally)
        }
    }

    fn step_forward(
        &mut self,
        file: &mut OutputFile,
        sifter: &mut Sifter,
        sieve: &Sieve,
        lead: &Pattern,
        tally: &Tally,
    ) -> io::Result<Found> {
        let limit = if self.wrapped { file.len().min(self.from.row.saturating_add(1)) } else { file.len() };
        let (from, wrapped, mut found) = (self.from, self.wrapped, None);
        let at = tally.skip(self.at, file)?;
        let next = if at >= limit {
            at
        } else {
            sifter.sift(file, lead, at, limit, &mut |row| {
                let behind = |hit: &usize| wrapped || row.start != from.row || from.at.is_none_or(|at| *hit > at);
                found = sieve.hits(row).find(behind).map(|at| Hit { row: row.start, at });
                found.is_none()
            })?
        };
        if found.is_some() {
            return Ok(Some((found, self.wrapped)));
        }
        let over = next >= limit || next <= self.at;
        self.at = next;
        Ok(if over { self.turn(0) } else { None })
    }

    fn step_back(
        &mut self,
        file: &mut OutputFile,
        sifter: &mut Sifter,
        sieve: &Sieve,
        lead: &Pattern,
        tally: &Tally,
    ) -> io::Result<Found> {
        let end = tally.skip_back(self.at.min(file.len()));
        let limit = if self.wrapped { self.from.row } else { 0 };
        let start = if end > PIECE / 2 { file.row_at(end - PIECE / 2)? } else { 0 };
        let (from, wrapped, mut found) = (self.from, self.wrapped, None);
        if end > limit {
            sifter.sift(file, lead, start, end, &mut |row| {
                let before = |hit: &usize| wrapped || row.start != from.row || from.at.is_some_and(|at| *hit < at);
                let last = sieve.hits(row).filter(before).last().map(|at| Hit { row: row.start, at });
                found = last.filter(|hit| hit.row >= limit).or(found);
                true
            })?;
        }
        if found.is_some() {
            return Ok(Some((found, self.wrapped)));
        }
        self.at = start;
        Ok(if start <= limit || end <= limit { self.turn(file.len()) } else { None })
    }

    /// At the end of the file: the search is over, or goes on from the other end.
    fn turn(&mut self, other: u64) -> Found {
        if self.wrapped || !self.wrap {
            return Some((None, self.wrapped));
        }
        self.wrapped = true;
        self.at = other;
        None
    }
}

/// A search through a file: what is counted, and what is to be found next.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) sieve: Sieve,
    /// What is searched for.
    pub(super) hits: Tally,
    /// The lines that are shown.
    pub(super) lines: Tally,
    find: Option<Find>,
    /// What was found last, and which of all it is, from 1, once that is known.
    current: Option<(Hit, Option<u64>)>,
    /// What is counted by now has not been said to whoever searches.
    unsaid: bool,
}

/// What a step of a search has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The next find.
    Found(Option<Hit>, bool),
    /// How much there is: which of it was found last, how much was counted, whether that is all.
    Hits(Option<u64>, u64, bool),
    /// How many lines are shown.
    Lines(u64, bool),
}

impl Search {
    /// Searches for something else; what was counted for the same holds.
    pub(super) fn look_for(&mut self, search: Option<Pattern>) {
        if self.sieve.search != search {
            self.sieve.search = search;
            self.hits = Tally::default();
            self.current = None;
        }
        (self.find, self.unsaid) = (None, true);
    }

    /// Shows other lines.
    pub(super) fn show(&mut self, filter: Option<Pattern>) {
        if self.sieve.filter != filter {
            self.sieve.filter = filter;
            (self.hits, self.lines) = (Tally::default(), Tally::default());
            (self.current, self.find) = (None, None);
        }
    }

    pub(super) fn find(&mut self, find: Find) {
        self.find = Some(find);
    }

    /// The file has changed.
    pub(super) fn grown(&mut self, truncated: bool) {
        self.hits.grown(truncated);
        self.lines.grown(truncated);
    }

    /// The file cannot be read: nothing more is counted or found until it has changed. What is looked for, and what is shown, stays the same.
    pub(super) fn give_up(&mut self) {
        (self.hits.done, self.lines.done) = (true, true);
        (self.current, self.find, self.unsaid) = (None, None, false);
    }

    pub(super) fn busy(&self) -> bool {
        self.find.is_some() || self.counts_hits() || self.counts_lines()
    }

    /// Whether a find is waited for.
    pub(super) fn is_waited_for(&self) -> bool {
        self.find.is_some()
    }

    fn counts_hits(&self) -> bool {
        let counted = |hit: &Hit| self.hits.at > hit.row || (self.hits.done && self.hits.at == hit.row);
        let place = self.current.as_ref().is_some_and(|(hit, place)| place.is_none() && counted(hit));
        self.sieve.search.is_some() && (!self.hits.done || place || self.unsaid)
    }

    fn counts_lines(&self) -> bool {
        self.sieve.filter.is_some() && !self.lines.done
    }

    /// One piece more of what is most wanted.
    pub(super) fn step(&mut self, file: &mut OutputFile, sifter: &mut Sifter) -> io::Result<Option<Said>> {
        let sieve = &self.sieve;
        if let Some(find) = &mut self.find {
            let Some((hit, wrapped)) = find.step(file, sifter, sieve, &self.hits)? else { return Ok(None) };
            self.find = None;
            self.current = hit.map(|hit| (hit, None)).or(self.current);
            return Ok(Some(Said::Found(hit, wrapped)));
        }
        let hits = |row: &Candidate<'_>| sieve.hits(row).count() as u64;
        if let Some(lead) = sieve.search.as_ref().filter(|_| self.counts_hits()) {
            if !self.hits.done {
                self.hits.step(file, sifter, lead, &hits)?;
            }
            if let Some((hit, place)) = &mut self.current
                && place.is_none()
                && let Some(before) = self.hits.before(hit.row, file, sifter, lead, &hits)?
            {
                let mut own = 0;
                sifter.sift(file, lead, hit.row, hit.row + 1, &mut |row| {
                    own = sieve.hits(row).take_while(|at| *at <= hit.at).count() as u64;
                    false
                })?;
                *place = Some(before + own.max(1));
            }
            let place = self.current.and_then(|(_, place)| place);
            self.unsaid = false;
            return Ok(Some(Said::Hits(place, self.hits.count(), self.hits.done)));
        }
        if let Some(lead) = sieve.filter.as_ref().filter(|_| !self.lines.done) {
            self.lines.step(file, sifter, lead, &|row| u64::from(sieve.shows(row)))?;
            return Ok(Some(Said::Lines(self.lines.count(), self.lines.done)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::file::tests::file;
    use super::super::query::Query;
    use super::*;

    fn pattern(text: &str) -> Option<Pattern> {
        Pattern::new(&Query { text: text.into(), regex: false }).unwrap()
    }

    fn find(search: &mut Search, file: &mut OutputFile, find: Find) -> (Option<Hit>, bool) {
        search.find(find);
        loop {
            if let Some(Said::Found(hit, wrapped)) = search.step(file, &mut Sifter::default()).unwrap() {
                return (hit, wrapped);
            }
        }
    }

    fn count(search: &mut Search, file: &mut OutputFile) {
        while search.busy() {
            search.step(file, &mut Sifter::default()).unwrap();
        }
    }

    /// Some megabytes with a needle at the beginning, two on one line in the middle, and one at the end.
    fn haystack() -> Vec<u8> {
        let mut bytes = b"needle 1\n".to_vec();
        bytes.extend(b"hay hay hay hay\n".repeat(200_000));
        bytes.extend_from_slice(b"a needle and a needle\n");
        bytes.extend(b"hay hay hay hay\n".repeat(200_000));
        bytes.extend_from_slice(b"the last needle");
        bytes
    }

    #[test]
    fn every_find_is_come_to_in_both_directions_counted_or_not() {
        let bytes = haystack();
        let mut file = file(&bytes);
        let middle = 9 + 16 * 200_000;
        let last = bytes.len() as u64 - 15;
        let all = [(0, 0), (middle, 2), (middle, 15), (last, 9)].map(|(row, at)| Hit { row, at });
        let mut search = Search::default();
        search.look_for(pattern("needle"));
        for counted in [false, true] {
            let mut spot = Spot { row: 0, at: None };
            for hit in all {
                assert_eq!(find(&mut search, &mut file, Find::new(spot, true, false)), (Some(hit), false), "{counted}");
                spot = Spot { row: hit.row, at: Some(hit.at) };
            }
            assert_eq!(find(&mut search, &mut file, Find::new(spot, true, false)), (None, false));
            assert_eq!(find(&mut search, &mut file, Find::new(spot, true, true)), (Some(all[0]), true));
            let mut spot = Spot { row: u64::MAX, at: None };
            for hit in all.iter().rev() {
                assert_eq!(
                    find(&mut search, &mut file, Find::new(spot, false, false)),
                    (Some(*hit), false),
                    "{counted}"
                );
                spot = Spot { row: hit.row, at: Some(hit.at) };
            }
            assert_eq!(find(&mut search, &mut file, Find::new(spot, false, false)), (None, false));
            assert_eq!(find(&mut search, &mut file, Find::new(spot, false, true)), (Some(all[3]), true));
            count(&mut search, &mut file);
            assert_eq!(search.hits.count(), 4);
            assert_eq!(search.current, Some((all[3], Some(4))), "which one it is");
        }
        find(&mut search, &mut file, Find::new(Spot { row: middle, at: Some(2) }, true, false));
        count(&mut search, &mut file);
        assert_eq!(search.current, Some((all[2], Some(3))));
        assert!(search.hits.blocks.len() < 8, "memory follows the size of the file, a millionth of it");
    }

    #[test]
    fn the_only_one_is_found_again_when_the_search_goes_round() {
        let mut file = file(b"one needle\nhay\n");
        let mut search = Search::default();
        search.look_for(pattern("needle"));
        let hit = Hit { row: 0, at: 4 };
        for forward in [true, false] {
            let again = Find::new(Spot { row: 0, at: Some(4) }, forward, true);
            assert_eq!(find(&mut search, &mut file, again), (Some(hit), true));
        }
        search.look_for(pattern("nowhere"));
        assert_eq!(find(&mut search, &mut file, Find::new(Spot { row: 11, at: None }, true, true)), (None, true));
        assert_eq!(find(&mut search, &mut file, Find::new(Spot { row: 11, at: None }, false, true)), (None, true));
    }

    #[test]
    fn a_last_line_that_goes_on_is_counted_once() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut writer = path.reopen().unwrap();
        writer.write_all(b"needle\nneed").unwrap();
        let mut file = OutputFile::new(path.reopen().unwrap()).unwrap();
        let mut search = Search::default();
        search.look_for(pattern("need"));
        for (more, wanted) in [("", 2), ("le needl", 3), ("e\n", 3), ("need\n", 4), ("hay", 4)] {
            writer.write_all(more.as_bytes()).unwrap();
            search.grown(file.refresh().unwrap());
            count(&mut search, &mut file);
            assert_eq!(search.hits.count(), wanted, "{more:?}");
        }
        writer.set_len(7).unwrap();
        search.grown(file.refresh().unwrap());
        count(&mut search, &mut file);
        assert_eq!(search.hits.count(), 1);
    }

    #[test]
    fn what_is_not_shown_is_not_found() {
        let mut file = file(b"a needle\na needle in hay\nhay\n");
        let mut search = Search::default();
        search.show(pattern("hay"));
        search.look_for(pattern("needle"));
        count(&mut search, &mut file);
        assert_eq!((search.hits.count(), search.lines.count()), (1, 2));
    }
}
