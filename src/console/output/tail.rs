//! The end of an output, as it is quoted where something is said of an attempt.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::console::text::{Ansi, Colors};
use crate::engine::open_output;

/// Lines that are shown of a failure by itself.
pub const TAIL_LINES: usize = 10;
/// Lines that are quoted where other things are said as well.
pub const QUOTED_LINES: usize = 3;
/// How much of the end of an output is looked at for them, in bytes.
const TAIL_BYTES: u64 = 16 << 10;

/// The last lines of an output, so many at most, neutralised and without colours; none when there is no output. Reads a bounded part of the file: not for a thread
/// that others wait for.
pub fn tail(path: &Path, most: usize) -> Vec<String> {
    let read = || -> std::io::Result<(bool, Vec<u8>)> {
        let mut file = open_output(path)?;
        let length = file.metadata()?.len();
        let start = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok((start > 0, bytes))
    };
    let Ok((cut, bytes)) = read() else { return Vec::new() };
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    // The first may be the end of a longer one.
    let from = lines.len().saturating_sub(most).max(usize::from(cut && lines.len() > 1));
    lines[from..].iter().map(|line| plain(line)).collect()
}

/// The last words of an attempt, as they stand under what is said of it. As [`tail`].
pub fn quoted(path: &Path) -> Vec<String> {
    tail(path, QUOTED_LINES).iter().map(|line| format!("  │ {line}")).collect()
}

/// A line of output as plain text: control sequences are gone, what is left is harmless.
fn plain(line: &[u8]) -> String {
    const LONGEST: usize = 400;
    let mut text: String = Ansi::new(Colors::Strip).line(line).to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_short_and_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut text = String::new();
        for number in 0..5000 {
            text.push_str(&format!("line {number}\n"));
        }
        text.push_str("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}and \u{1b}[2Jgone");
        std::fs::write(&path, text).unwrap();
        let lines = tail(&path, TAIL_LINES);
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines[0], "line 4991");
        let last = lines.last().unwrap();
        assert!(last.contains("red") && last.contains("gone") && !last.contains('\u{1b}'), "{last:?}");
        assert_eq!(quoted(&path), ["  │ line 4998".to_owned(), "  │ line 4999".to_owned(), format!("  │ {last}")]);
        assert!(tail(&dir.path().join("none"), TAIL_LINES).is_empty());
    }
}
