//! One output file: rows found from any place in bounded work, however large the file or its lines are.
//!
//! A *row* is a line, or a piece of one that is too long. Where long lines are broken depends on the bytes before the break only, never on where reading
//! began: at a multiple of [`BREAK`] that has no line end in the [`BREAK`] bytes before it, or a little before it where a character or a control sequence would be cut
//! in two. So rows are the same read forwards and backwards, each is what it says by itself, no row is longer than twice that, and nothing of a long line is out of reach.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::{memchr, memchr_iter, memrchr};

use crate::console::text::unfinished;

/// The grid on which lines without an end are broken.
pub(super) const BREAK: u64 = 16 * 1024;

/// A control sequence that begins no further before a break is not cut in two.
const LOOK_BACK: u64 = 4 * 1024;

/// Line ends are counted in blocks of this size; eight bytes of memory each.
const COUNT_BLOCK: u64 = 1024 * 1024;

/// No row is longer.
pub(super) const LONGEST: u64 = 2 * BREAK;

/// What is read at once.
const CHUNK: u64 = 16 * BREAK;

#[derive(Debug)]
pub(super) struct OutputFile {
    file: File,
    len: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    /// Line ends before each full block.
    blocks: Vec<u64>,
    counted: u64,
    newlines: u64,
}

impl OutputFile {
    pub(super) fn new(file: File) -> io::Result<OutputFile> {
        let len = file.metadata()?.len();
        Ok(OutputFile { file, len, buffer: Vec::new(), buffer_start: 0, blocks: vec![0], counted: 0, newlines: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Looks at the file's length again. `true` when it is shorter than it was: then everything known is void.
    pub(super) fn refresh(&mut self) -> io::Result<bool> {
        let len = self.file.metadata()?.len();
        let truncated = len < self.len;
        if truncated {
            self.buffer.clear();
            self.blocks = vec![0];
            self.counted = 0;
            self.newlines = 0;
        }
        self.len = len;
        Ok(truncated)
    }

    /// The bytes of a range (at most [`CHUNK`] of them), fewer when the file has become shorter meanwhile.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        let have = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        if start < have.start || end > have.end {
            // Going backwards the bytes before are wanted next, going forwards those after.
            let backwards = start < have.start && start + CHUNK > have.start;
            let from = if backwards { end.saturating_sub(CHUNK).min(start) } else { start };
            let to = (from + CHUNK).max(end).min(self.len);
            self.buffer.resize((to - from) as usize, 0);
            self.buffer_start = from;
            let got = read_full(&self.file, &mut self.buffer, from)?;
            self.buffer.truncate(got);
        }
        let at = |offset: u64| ((offset - self.buffer_start) as usize).min(self.buffer.len());
        Ok(&self.buffer[at(start)..at(end)])
    }

    /// Where the row after the one that starts at `start` starts; the end of the file when there is none. The second is whether the row is whole: ended, or broken.
    pub(super) fn next_start(&mut self, start: u64) -> io::Result<(u64, bool)> {
        let (len, whole) = row_len(start, self.bytes(start..start + LONGEST)?);
        Ok((start + len as u64, whole))
    }

    /// Reads a range past the buffer, which holds what is being looked at; fewer bytes than asked for at the end of the file.
    pub(super) fn read(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        let end = range.end.min(self.len);
        bytes.resize(end.saturating_sub(range.start) as usize, 0);
        let got = read_full(&self.file, bytes, range.start)?;
        bytes.truncate(got);
        Ok(())
    }

    /// The start of the last row that starts before `offset`; 0 at the beginning.
    pub(super) fn prev_start(&mut self, offset: u64) -> io::Result<u64> {
        let offset = offset.min(self.len);
        if offset <= 1 {
            return Ok(0);
        }
        let grid = (offset - 1) / BREAK * BREAK;
        if let Some(at) = memrchr(b'\n', self.bytes(grid..offset - 1)?) {
            return Ok(grid + at as u64 + 1);
        }
        // The break at the next place of the grid may lie before it, and before `offset`.
        let next = grid + BREAK;
        if next <= self.len && next < offset + LOOK_BACK && memchr(b'\n', self.bytes(offset - 1..next)?).is_none() {
            let at = self.break_before(next)?;
            if at < offset {
                return Ok(at);
            }
        }
        if grid == 0 {
            return Ok(0);
        }
        let before = grid - BREAK;
        match memrchr(b'\n', self.bytes(before..grid)?) {
            Some(at) => Ok(before + at as u64 + 1),
            None => self.break_before(grid),
        }
    }

    /// Where a line is broken for a place of the grid.
    fn break_before(&mut self, grid: u64) -> io::Result<u64> {
        let start = grid - LOOK_BACK;
        Ok(start + unfinished(self.bytes(start..grid)?) as u64)
    }

    /// The start of the row that holds the byte at `offset`.
    pub(super) fn row_at(&mut self, offset: u64) -> io::Result<u64> {
        if offset >= self.len { self.prev_start(self.len) } else { self.prev_start(offset + 1) }
    }

    /// Whether a row goes on a line that started above it.
    pub(super) fn continues(&mut self, start: u64) -> io::Result<bool> {
        Ok(start > 0 && self.bytes(start - 1..start)?.first() != Some(&b'\n'))
    }

    /// Counts line ends in one more block. `false` when all are counted.
    pub(super) fn count_more(&mut self) -> io::Result<bool> {
        if self.counted >= self.len {
            return Ok(false);
        }
        let block_end = (self.counted / COUNT_BLOCK + 1) * COUNT_BLOCK;
        let end = block_end.min(self.len);
        // Not through the buffer, which holds what is being looked at.
        let mut bytes = vec![0; (end - self.counted) as usize];
        let got = read_full(&self.file, &mut bytes, self.counted)?;
        if got == 0 {
            return Ok(false);
        }
        self.newlines += memchr_iter(b'\n', &bytes[..got]).count() as u64;
        self.counted += got as u64;
        if self.counted == block_end {
            self.blocks.push(self.newlines);
        }
        Ok(self.counted < self.len)
    }

    /// Lines in the part that is counted by now, and whether that is everything. A last line without an end counts.
    pub(super) fn lines(&mut self) -> io::Result<(u64, bool)> {
        let whole = self.counted >= self.len;
        let open_line = whole && self.len > 0 && self.continues(self.len)?;
        Ok((self.newlines + u64::from(open_line), whole))
    }

    /// The number, from 0, of the line that holds the byte at `offset`, once so much is counted.
    pub(super) fn line_of(&mut self, offset: u64) -> io::Result<Option<u64>> {
        if offset > self.counted {
            return Ok(None);
        }
        let block = (offset / COUNT_BLOCK).min(self.blocks.len() as u64 - 1);
        let before = self.blocks[block as usize];
        let start = block * COUNT_BLOCK;
        let mut bytes = vec![0; (offset - start) as usize];
        let got = read_full(&self.file, &mut bytes, start)?;
        Ok(Some(before + memchr_iter(b'\n', &bytes[..got]).count() as u64))
    }

    /// Where a line starts, numbered from 0; the last counted one when there are not so many.
    pub(super) fn offset_of_line(&mut self, line: u64) -> io::Result<u64> {
        let block = self.blocks.partition_point(|before| *before < line).saturating_sub(1);
        let start = block as u64 * COUNT_BLOCK;
        let mut left = line - self.blocks[block].min(line);
        if left == 0 {
            return if line == 0 { Ok(0) } else { self.row_at(start) };
        }
        let end = (start + COUNT_BLOCK).min(self.counted);
        let mut bytes = vec![0; (end - start) as usize];
        let got = read_full(&self.file, &mut bytes, start)?;
        let mut last = start;
        for at in memchr_iter(b'\n', &bytes[..got]) {
            last = start + at as u64 + 1;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        Ok(last)
    }
}

/// How long the row is that starts at `start`, of which (and of what follows) these are the bytes; and whether it is whole: ended, or broken.
pub(super) fn row_len(start: u64, bytes: &[u8]) -> (usize, bool) {
    let limit = (start.next_multiple_of(BREAK) + BREAK - start) as usize;
    let bytes = &bytes[..bytes.len().min(limit)];
    match memchr(b'\n', bytes) {
        Some(at) => (at + 1, true),
        None if bytes.len() < limit => (bytes.len(), false),
        None => {
            let start = limit - LOOK_BACK as usize;
            (start + unfinished(&bytes[start..]), true)
        }
    }
}

fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// An output that says this.
    pub(in crate::console::output) fn file(bytes: &[u8]) -> OutputFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        OutputFile::new(file).unwrap()
    }

    fn forwards(file: &mut OutputFile) -> Vec<u64> {
        let mut starts = Vec::new();
        let mut at = 0;
        while at < file.len() {
            starts.push(at);
            at = file.next_start(at).unwrap().0;
        }
        starts
    }

    fn backwards(file: &mut OutputFile) -> Vec<u64> {
        let mut starts = Vec::new();
        let mut at = file.len();
        while at > 0 {
            at = file.prev_start(at).unwrap();
            starts.push(at);
        }
        starts.reverse();
        starts
    }

    /// What is printed: some of it takes several bytes that belong together.
    fn printed() -> impl Strategy<Value = Vec<u8>> {
        let one = prop_oneof![
            Just("ü"),
            Just("漢"),
            Just("😀"),
            Just("\u{1b}[38;5;200m"),
            Just("\u{1b}[0m"),
            Just("\u{1b}]8;;http://example.org/a\u{1b}\\"),
            Just("\u{1b}(B"),
            Just("\u{1b}"),
            Just("plain"),
        ];
        // Many of it in front of a break, wherever that is then.
        let run = (prop::collection::vec(one, 1..40), 0usize..800).prop_map(|(some, most)| {
            let some = some.concat();
            some.repeat(1 + most * 20 / some.len())
        });
        let part = prop_oneof![
            4 => run.prop_map(String::into_bytes),
            2 => (BREAK as usize - 100..BREAK as usize).prop_map(|n| vec![b'x'; n]),
            1 => prop::collection::vec(any::<u8>(), 0..40),
            1 => Just(b"\n".to_vec()),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    fn lines_of(lengths: &[usize], end: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for length in lengths {
            bytes.extend(std::iter::repeat_n(b'x', *length));
            bytes.push(b'\n');
        }
        if !end {
            bytes.pop();
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn rows_are_the_same_read_forwards_and_backwards(
            lengths in prop::collection::vec(prop_oneof![0usize..200, 15_000usize..18_000, 30_000usize..100_000], 0..8),
            end: bool,
            probe in any::<prop::sample::Index>(),
        ) {
            let bytes = lines_of(&lengths, end);
            let mut file = file(&bytes);
            let starts = forwards(&mut file);
            prop_assert_eq!(&backwards(&mut file), &starts);
            for pair in starts.windows(2) {
                prop_assert!(pair[1] - pair[0] <= 2 * BREAK);
            }
            if !bytes.is_empty() {
                let at = probe.index(bytes.len()) as u64;
                let expected = *starts.iter().rfind(|s| **s <= at).unwrap();
                prop_assert_eq!(file.row_at(at).unwrap(), expected);
            }
        }

        #[test]
        fn rows_are_the_same_whatever_they_are_broken_before(bytes in printed(), probe in any::<prop::sample::Index>()) {
            let mut file = file(&bytes);
            let starts = forwards(&mut file);
            prop_assert_eq!(&backwards(&mut file), &starts);
            for pair in starts.windows(2) {
                prop_assert!(pair[1] - pair[0] <= LONGEST);
            }
            if !bytes.is_empty() {
                let at = probe.index(bytes.len()) as u64;
                let expected = *starts.iter().rfind(|s| **s <= at).unwrap();
                prop_assert_eq!(file.row_at(at).unwrap(), expected);
                // What is read so far of a file that grows stays as it is, but for its last row.
                let mut shorter = super::tests::file(&bytes[..at as usize]);
                let known = forwards(&mut shorter);
                prop_assert_eq!(&known[..], &starts[..known.len()]);
            }
        }

        #[test]
        fn lines_are_counted_and_found(lengths in prop::collection::vec(0usize..300_000, 0..20), end: bool) {
            let bytes = lines_of(&lengths, end);
            let mut file = file(&bytes);
            while file.count_more().unwrap() {}
            let mut start = 0u64;
            let real = bytes.split_inclusive(|b| *b == b'\n').collect::<Vec<_>>();
            prop_assert_eq!(file.lines().unwrap(), (real.len() as u64, true));
            for (number, line) in real.iter().enumerate() {
                prop_assert_eq!(file.offset_of_line(number as u64).unwrap(), start);
                prop_assert_eq!(file.line_of(start).unwrap(), Some(number as u64));
                start += line.len() as u64;
            }
        }
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut_into_rows_of_bounded_size() {
        let mut bytes = b"head\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 10_000_000));
        let mut file = file(&bytes);
        let last = file.prev_start(file.len()).unwrap();
        assert!(file.len() - last <= 2 * BREAK);
        assert!(file.continues(last).unwrap());
        assert!(!file.continues(5).unwrap());
    }

    #[test]
    fn no_character_and_no_sequence_is_cut_in_two() {
        let grid = BREAK as usize;
        for whole in ["ü", "漢", "😀", "\u{1b}[38;5;200m", "\u{1b}]0;title\u{7}", "\u{1b}Pq#1\u{1b}\\", "\u{1b}(B"]
        {
            for part in 1..whole.len() {
                let mut bytes = vec![b'x'; grid - part];
                bytes.extend_from_slice(whole.as_bytes());
                bytes.extend(vec![b'x'; grid]);
                let start = file(&bytes).next_start(0).unwrap();
                // The end of a string that ends with two bytes is one of its own.
                let cut = if whole.ends_with('\\') && part == whole.len() - 1 { grid - 1 } else { grid - part };
                assert_eq!(start, (cut as u64, true), "{whole:?} {part}");
            }
            let mut bytes = vec![b'x'; grid - whole.len()];
            bytes.extend_from_slice(whole.as_bytes());
            bytes.extend(vec![b'x'; grid]);
            assert_eq!(file(&bytes).next_start(0).unwrap(), (BREAK, true), "{whole:?}");
        }
    }

    #[test]
    fn a_file_that_grows_and_shrinks_is_followed() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut writer = path.reopen().unwrap();
        writer.write_all(b"one\ntw").unwrap();
        let mut file = OutputFile::new(path.reopen().unwrap()).unwrap();
        assert_eq!(file.next_start(4).unwrap(), (6, false));
        while file.count_more().unwrap() {}
        assert_eq!(file.lines().unwrap(), (2, true));
        writer.write_all(b"o\n").unwrap();
        assert!(!file.refresh().unwrap());
        assert_eq!(file.next_start(4).unwrap(), (8, true));
        while file.count_more().unwrap() {}
        assert_eq!(file.lines().unwrap(), (2, true));
        writer.set_len(3).unwrap();
        assert!(file.refresh().unwrap());
        assert_eq!(file.bytes(0..10).unwrap(), b"one");
    }
}
