//! Writing an output, or a part of it, to a file: byte for byte as it was printed, whatever its size.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use memchr::memchr_iter;

use super::file::OutputFile;
use super::query::Pattern;
use super::sift::{Sieve, Sifter};
use crate::engine::open_output;

/// What is read and written at once.
const PIECE: u64 = 1024 * 1024;

/// What is to be written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// The output.
    pub source: PathBuf,
    /// From the start of which row up to the end of which; else all of it.
    pub part: Option<(u64, u64)>,
    /// Only lines with this.
    pub filter: Option<Pattern>,
    /// The file.
    pub to: PathBuf,
    /// A file that is there may be replaced.
    pub replace: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The file, from the root on.
    pub path: PathBuf,
    /// Its lines.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSaved {
    /// The file is there already.
    IsThere,
    /// In words.
    Failed(String),
}

impl Save {
    /// Writes the file, for its owner only: all of it or nothing, and never over another one that nobody said may go. What is appended meanwhile is not in it.
    ///
    /// # Errors
    /// Why nothing was written; says which file is the reason.
    pub fn carry_out(&self) -> Result<Saved, NotSaved> {
        let path = std::path::absolute(&self.to).map_err(|error| failed(&self.to, &error))?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                return Err(NotSaved::Failed(format!(
                    "{} is a folder: a name for the file is missing",
                    path.display()
                )));
            }
            Ok(_) if !self.replace => return Err(NotSaved::IsThere),
            _ => {}
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NotSaved::Failed(format!("there is no folder {}", folder.display())),
            _ => failed(folder, &error),
        })?;
        let source = open_output(&self.source).and_then(OutputFile::new);
        let mut source = source.map_err(|error| NotSaved::Failed(format!("the output cannot be read: {error}")))?;
        let mut out = Counter { out: BufWriter::new(file.as_file_mut()), lines: 0, bytes: 0, open: false };
        self.copy(&mut source, &mut out).map_err(|error| failed(&path, &error))?;
        let (lines, bytes) = (out.lines + u64::from(out.open), out.bytes);
        drop(out);
        file.as_file().sync_all().map_err(|error| failed(&path, &error))?;
        let kept = if self.replace { file.persist(&path) } else { file.persist_noclobber(&path) };
        match kept {
            Ok(_) => Ok(Saved { path, lines, bytes }),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(NotSaved::IsThere),
            Err(error) => Err(failed(&path, &error.error)),
        }
    }

    fn copy<W: Write>(&self, source: &mut OutputFile, out: &mut Counter<W>) -> io::Result<()> {
        let (mut at, end) = self.part.unwrap_or((0, u64::MAX));
        let end = end.min(source.len());
        let mut bytes = Vec::new();
        let Some(lead) = &self.filter else {
            while at < end {
                source.read(at..end.min(at + PIECE), &mut bytes)?;
                if bytes.is_empty() {
                    break;
                }
                out.write(&bytes)?;
                at += bytes.len() as u64;
            }
            return out.out.flush();
        };
        let (sieve, mut sifter) = (Sieve { filter: Some(lead.clone()), search: None }, Sifter::default());
        while at < end {
            let mut rows = Vec::new();
            let next = sifter.sift(source, lead, at, end, &mut |row| {
                rows.extend(sieve.shows(row).then_some(row.start..row.end));
                true
            })?;
            for row in rows {
                source.read(row, &mut bytes)?;
                out.write(&bytes)?;
            }
            if next <= at {
                break;
            }
            at = next;
        }
        out.out.flush()
    }
}

fn failed(path: &Path, error: &io::Error) -> NotSaved {
    NotSaved::Failed(format!("{} cannot be written: {error}", path.display()))
}

/// Counts what goes through.
struct Counter<W: Write> {
    out: W,
    lines: u64,
    bytes: u64,
    /// The last line has no end yet.
    open: bool,
}

impl<W: Write> Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.lines += memchr_iter(b'\n', bytes).count() as u64;
        self.bytes += bytes.len() as u64;
        self.open = bytes.last().map_or(self.open, |last| *last != b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::Query;
    use super::*;

    fn desk(text: &str) -> (tempfile::TempDir, Save) {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a.1.log");
        fs::write(&source, text).unwrap();
        let to = dir.path().join("kept.log");
        (dir, Save { source, part: None, filter: None, to, replace: false })
    }

    #[test]
    fn it_is_written_as_it_was_printed() {
        let text = "one\n\x1b[31mtwo\x1b[0m\tand\n".repeat(100_000) + "three";
        let (_dir, save) = desk(&text);
        let saved = save.carry_out().unwrap();
        assert_eq!((saved.lines, saved.bytes), (200_001, text.len() as u64));
        assert_eq!(fs::read_to_string(saved.path).unwrap(), text);
    }

    #[test]
    fn a_part_or_some_lines_are_written_alone() {
        let (_dir, save) = desk("one\ntwo\nthree\ntwenty\n");
        let part = Save { part: Some((4, 14)), ..save.clone() };
        assert_eq!(part.carry_out().unwrap().lines, 2);
        assert_eq!(fs::read_to_string(&save.to).unwrap(), "two\nthree\n");
        let filter = Pattern::new(&Query { text: "^tw".into(), regex: true }).unwrap();
        Save { filter, replace: true, ..save.clone() }.carry_out().unwrap();
        assert_eq!(fs::read_to_string(&save.to).unwrap(), "two\ntwenty\n");
    }

    #[test]
    fn nothing_is_written_over_unless_somebody_says_so() {
        let (dir, save) = desk("new\n");
        fs::write(&save.to, "old").unwrap();
        assert_eq!(save.carry_out(), Err(NotSaved::IsThere));
        assert_eq!(fs::read_to_string(&save.to).unwrap(), "old");
        Save { replace: true, ..save.clone() }.carry_out().unwrap();
        assert_eq!(fs::read_to_string(&save.to).unwrap(), "new\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        let (dir, save) = desk("new\n");
        let why = |to: PathBuf, source: Option<PathBuf>| {
            let source = source.unwrap_or_else(|| save.source.clone());
            let NotSaved::Failed(why) = (Save { to, source, ..save.clone() }).carry_out().unwrap_err() else {
                panic!()
            };
            why
        };
        assert!(why(dir.path().join("none/x"), None).starts_with("there is no folder "));
        assert!(why(dir.path().to_owned(), None).contains("is a folder"));
        assert!(why(dir.path().join("y"), Some("/nonexistent".into())).contains("the output cannot be read"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left of what was begun");
    }
}
