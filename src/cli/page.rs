//! Text for people on its way to a stream. On a terminal, prose is broken between words, a row of a table is cut to one line where that leaves what
//! matters, and what is to be copied stays whole. To a pipe or a file every line goes as it is, however long: programs read it.

use std::io::{BufWriter, IsTerminal, StderrLock, StdoutLock, Write};
use std::os::fd::AsFd;

use crate::console::text::{clean, fit, width};

use super::say::{Ink, Paint};

/// Stands for a space at which no line is broken. Clean text has none.
const GLUE: char = '\u{a0}';
/// A cell is not cut shorter than this: less of it says nothing.
const LEAST: usize = 8;
/// A terminal that says it is narrower is written to as if it had so many columns: it breaks lines by itself.
const NARROWEST: usize = 20;
/// How every command line that is printed begins.
const COMMAND: &str = "holdpoint ";

/// Where text for people goes.
pub struct Page<W> {
    out: W,
    paint: Paint,
    terminal: bool,
    /// How many a line may have; where that is not known, or not to be kept to, as many as it likes.
    columns: usize,
}

impl Page<BufWriter<StdoutLock<'static>>> {
    /// Stdout.
    pub fn stdout(no_color: bool) -> Self {
        Self::on(std::io::stdout().lock(), Paint::stdout(no_color))
    }
}

impl Page<BufWriter<StderrLock<'static>>> {
    /// Stderr.
    pub fn stderr(no_color: bool) -> Self {
        Self::on(std::io::stderr().lock(), Paint::stderr(no_color))
    }
}

impl<S: Write + IsTerminal + AsFd> Page<BufWriter<S>> {
    /// Any stream. What is written is held back until [`Write::flush`].
    pub fn on(stream: S, paint: Paint) -> Self {
        let (terminal, columns) = (stream.is_terminal(), columns(&stream));
        Self { out: BufWriter::new(stream), paint, terminal, columns }
    }
}

impl<W: Write> Page<W> {
    /// The colours.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether a person looks at it right away.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line of clean text, coloured or not; what does not fit goes on below it, two columns further in than it began.
    pub fn prose(&mut self, text: &str) -> std::io::Result<()> {
        let indent = text.len() - text.trim_start_matches(' ').len();
        self.hanging(text, &" ".repeat(indent + 2))
    }

    /// The same with what the lines below the first begin with.
    pub fn hanging(&mut self, text: &str, hang: &str) -> std::io::Result<()> {
        for line in folded(text, self.columns, hang) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// A line of what a step has printed, so far in.
    pub fn quoted(&mut self, indent: &str, line: &str) -> std::io::Result<()> {
        let lead = format!("{indent}│ ");
        self.hanging(&self.paint.ink(Ink::Dim, &format!("{lead}{line}")), &lead)
    }

    /// Things that are said of one matter, on one line if they fit; if not, it is broken between two of them.
    pub fn parts(&mut self, ink: Ink, parts: &[String]) -> std::io::Result<()> {
        let room = self.columns.saturating_sub(4);
        let whole =
            |part: &String| if width(part) <= room { part.replace(' ', &GLUE.to_string()) } else { part.clone() };
        let parts: Vec<String> = parts.iter().map(whole).collect();
        self.prose(&self.paint.ink(ink, &parts.join(&format!("{GLUE}· "))))
    }

    /// Rows in columns, two spaces between them and nothing after the last.
    pub fn table(&mut self, indent: &str, rows: &[Vec<Cell>]) -> std::io::Result<()> {
        for line in self.rows(indent, rows) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// The same with the names of the columns above it, on a terminal: programs count the lines.
    pub fn headed_table(&mut self, names: &[&str], mut rows: Vec<Vec<Cell>>) -> std::io::Result<()> {
        if self.terminal
            && let Some(first) = rows.first()
        {
            let name = |(name, below): (&&str, &Cell)| Cell {
                right: below.right,
                gives: below.gives,
                ..cell(name).ink(Ink::Dim)
            };
            let heading = names.iter().zip(first).map(name).collect();
            rows.insert(0, heading);
        }
        self.table("", &rows)
    }

    /// The lines of a table.
    pub fn rows(&self, indent: &str, rows: &[Vec<Cell>]) -> Vec<String> {
        let widths = self.widths(width(indent), rows);
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let mut line = indent.to_owned();
            let shown: Vec<(&Cell, usize)> =
                row.iter().zip(&widths).filter_map(|(cell, width)| Some((cell, (*width)?))).collect();
            for (column, (cell, cells)) in shown.iter().enumerate() {
                let text = if cell.gives.is_some() { fit(&cell.text, *cells) } else { (&*cell.text).into() };
                let blank = " ".repeat(cells.saturating_sub(width(&text)));
                let text = self.paint.ink(cell.ink, &text);
                let last = shown[column + 1..].iter().all(|(cell, _)| cell.text.is_empty());
                match (cell.right, last) {
                    (true, _) => line.extend([blank.as_str(), &text]),
                    (false, true) => line.push_str(&text),
                    (false, false) => line.extend([text.as_str(), &blank]),
                }
                if last {
                    break;
                }
                line.push_str("  ");
            }
            lines.push(line);
        }
        lines
    }

    /// How wide each column is: as its widest cell, unless a row would be wider than a line. Then those columns are cut that may be, and where that is
    /// not enough left out; they stay where not even that would be.
    fn widths(&self, indent: usize, rows: &[Vec<Cell>]) -> Vec<Option<usize>> {
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let of_column = |column: usize| rows.iter().filter_map(move |row| row.get(column));
        let widest = |column| of_column(column).map(|cell| width(&cell.text)).max().unwrap_or(0);
        let whole: Vec<Option<usize>> = (0..count).map(|column| Some(widest(column))).collect();
        let mut giving: Vec<(u8, usize)> = (0..count)
            .filter_map(|column| Some((of_column(column).filter_map(|cell| cell.gives).max()?, column)))
            .collect();
        giving.sort_unstable();
        let over = |widths: &[Option<usize>]| {
            let shown: Vec<usize> = widths.iter().copied().flatten().collect();
            let filled = shown.iter().rposition(|width| *width > 0).map_or(0, |last| last + 1);
            let used = indent + shown[..filled].iter().sum::<usize>() + 2 * filled.saturating_sub(1);
            used.saturating_sub(self.columns)
        };
        let without = |left_out: usize| {
            let mut widths = whole.clone();
            for (place, (_, column)) in giving.iter().enumerate() {
                let over = over(&widths);
                widths[*column] = match widths[*column] {
                    _ if place < left_out => None,
                    Some(width) if over > 0 => Some(width.saturating_sub(over).max(LEAST.min(width))),
                    width => width,
                };
            }
            widths
        };
        let fits = (0..=giving.len()).map(without).find(|widths| over(widths) == 0);
        fits.unwrap_or_else(|| without(0))
    }
}

/// What is no text for people goes as it is.
impl<W: Write> Write for Page<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Says something on stderr, on one line but for those of a terminal.
pub fn complain(text: &str) {
    complain_in_lines(&clean(text));
}

/// The same for what has several lines, such as a list. A stderr that nobody reads is no reason to stop.
pub fn complain_in_lines(text: &str) {
    let mut stderr = Page::stderr(true);
    for (number, line) in crate::console::text::clean_lines(text).enumerate() {
        let lead = if number == 0 { "holdpoint: " } else { "" };
        let _ = stderr.prose(&format!("{lead}{line}"));
    }
    let _ = stderr.flush();
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    ink: Ink,
    right: bool,
    gives: Option<u8>,
}

/// A cell with foreign text; it is neutralised.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell { text: clean(text.as_ref()).into_owned(), ink: Ink::Plain, right: false, gives: None }
}

impl Cell {
    /// In a colour.
    #[must_use]
    pub fn ink(mut self, ink: Ink) -> Self {
        self.ink = ink;
        self
    }

    /// At the right edge of its column.
    #[must_use]
    pub fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Is cut, or left out, where the row does not fit into a line: of several such columns first those with the lowest number. All others stay whole: ids,
    /// states and what is to be copied.
    #[must_use]
    pub fn gives(mut self, order: u8) -> Self {
        self.gives = Some(order);
        self
    }
}

/// How many columns a stream's lines have: those of its terminal; without one, or where it does not say, no end of them.
fn columns(stream: &(impl IsTerminal + AsFd)) -> usize {
    if !stream.is_terminal() {
        return usize::MAX;
    }
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).max(NARROWEST),
        _ => usize::MAX,
    }
}

/// A line in lines of so many columns, all but the first behind `hang`. A word is never broken, nor what stands between backquotes, nor a command line,
/// which then has a line of its own: a terminal that breaks it by itself lets it be copied whole.
fn folded(text: &str, columns: usize, hang: &str) -> Vec<String> {
    let said = |line: &str| line.trim_end().replace(GLUE, " ");
    if cells(text) <= columns {
        return vec![text.replace(GLUE, " ")];
    }
    let mut lines = Vec::new();
    let (mut line, mut used, mut begun) = (String::new(), 0, false);
    for word in words(text) {
        let room = cells(word.text);
        if begun && (word.is_command || used + word.gap + room > columns) {
            lines.push(said(&line));
            hang.clone_into(&mut line);
            used = width(hang);
        } else {
            line.extend(std::iter::repeat_n(' ', word.gap));
            used += word.gap;
        }
        line.push_str(word.text);
        used += room;
        begun = true;
    }
    lines.push(said(&line));
    lines
}

/// A part of a line that is not broken, and the spaces before it.
struct Word<'a> {
    gap: usize,
    text: &'a str,
    is_command: bool,
}

fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let text = rest.trim_start_matches(' ');
        let gap = rest.len() - text.len();
        let is_command = text.starts_with(COMMAND);
        let end = if is_command { text.len() } else { word_end(text) };
        let (text, behind) = text.split_at(end);
        rest = behind;
        (!text.is_empty()).then_some(Word { gap, text, is_command })
    })
}

/// Where the first word ends; one may hold what stands between backquotes, spaces and all.
fn word_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(found) = text[at..].find([' ', '`']) {
        at += found;
        let closing = text[at + 1..].find('`');
        match (text.as_bytes()[at], closing) {
            (b' ', _) => return at,
            (_, Some(closing)) => at += closing + 2,
            (_, None) => at += 1,
        }
    }
    text.len()
}

/// The cells of a text that may be coloured.
fn cells(text: &str) -> usize {
    let mut pieces = text.split('\x1b');
    let first = pieces.next().map_or(0, width);
    first + pieces.map(|piece| piece.split_once('m').map_or(0, |(_, text)| width(text))).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(columns: usize) -> Page<Vec<u8>> {
        Page { out: Vec::new(), paint: Paint::new(true, false), terminal: columns < usize::MAX, columns }
    }

    fn printed(columns: usize, print: impl FnOnce(&mut Page<Vec<u8>>) -> std::io::Result<()>) -> String {
        let mut page = page(columns);
        print(&mut page).unwrap();
        String::from_utf8(page.out).unwrap()
    }

    #[test]
    fn prose_is_broken_between_words_and_hangs() {
        let said = |columns, text| printed(columns, |page| page.prose(text));
        assert_eq!(said(24, "  one two three four five six"), "  one two three four\n    five six\n");
        assert_eq!(said(24, "label     one two three four"), "label     one two three\n  four\n");
        // Colours take no room.
        assert_eq!(said(20, "\x1b[31mone two three four\x1b[0m!"), "\x1b[31mone two three four\x1b[0m!\n");
        assert_eq!(said(usize::MAX, "  one two three four five six"), "  one two three four five six\n");
        assert_eq!(
            printed(20, |page| page.hanging("  │ one two three four five", "  │ ")),
            "  │ one two three\n  │ four five\n"
        );
    }

    #[test]
    fn what_is_to_be_copied_stays_whole() {
        let said = |text| printed(30, |page| page.prose(text));
        assert_eq!(
            said("It is paused. To go on: holdpoint resume 1234abcd --retry one two three"),
            "It is paused. To go on:\n  holdpoint resume 1234abcd --retry one two three\n"
        );
        assert_eq!(said("  holdpoint resume 1234abcd --retry one"), "  holdpoint resume 1234abcd --retry one\n");
        assert_eq!(
            said("say what is wrong: `holdpoint check a b` does"),
            "say what is wrong:\n  `holdpoint check a b` does\n"
        );
        assert_eq!(said("a lonely ` in a line that is too long"), "a lonely ` in a line that is\n  too long\n");
    }

    #[test]
    fn what_is_said_of_one_matter_is_broken_between_two_things() {
        let parts = ["run 1234".to_owned(), "opened by ann".into(), "plan v1".into()];
        let said = |columns| printed(columns, |page| page.parts(Ink::Plain, &parts));
        assert_eq!(said(28), "run 1234 · opened by ann ·\n  plan v1\n");
        assert_eq!(said(usize::MAX), "run 1234 · opened by ann · plan v1\n");
    }

    #[test]
    fn a_table_keeps_its_columns_and_ends_no_line_with_blanks() {
        let rows = [
            vec![cell("a"), cell("12").right(), cell("x")],
            vec![cell("long"), cell("3").right(), cell("")],
            vec![cell("\u{1b}[2Jb"), cell(""), cell("日本")],
        ];
        let said = printed(usize::MAX, |page| page.table(" ", &rows));
        assert_eq!(said, " a      12  x\n long    3\n ␛[2Jb      日本\n");
    }

    #[test]
    fn a_row_that_is_too_wide_is_cut_where_it_may_be() {
        let rows = vec![
            vec![cell("1234abcd"), cell("somebody-else").gives(1), cell("a long remark about it").gives(0)],
            vec![cell("12"), cell("ann").gives(1), cell("short").gives(0)],
        ];
        let said = |columns| printed(columns, |page| page.headed_table(&["run", "by", ""], rows.clone()));
        assert_eq!(said(39), "run       by\n1234abcd  somebody-else  a long remark…\n12        ann            short\n");
        assert_eq!(said(28), "run       by\n1234abcd  somebod…  a long …\n12        ann       short\n");
        assert_eq!(said(23), "run       by\n1234abcd  somebody-else\n12        ann\n");
        assert_eq!(said(20), "run       by\n1234abcd  somebody-…\n12        ann\n");
        assert_eq!(said(8), "run\n1234abcd\n12\n");
        // Nothing helps: the terminal breaks it.
        assert_eq!(said(7), said(28));
        assert_eq!(
            said(usize::MAX),
            "1234abcd  somebody-else  a long remark about it\n12        ann            short\n",
            "programs get no heading"
        );
    }
}
