//! Text hygiene: what other people wrote, made safe and measurable before it meets the terminal.
//!
//! Plan text, step names, output, results, user names and reasons are hostile until they went through here. Clean text is one
//! line, holds no control, format or unassigned character, and every grapheme in it fills exactly the cells that [`width`]
//! says, which are the cells that ratatui gives it. What is dangerous is shown as a visible stand-in, so that nothing hides;
//! only what is part of ordinary writing and has no cell of its own (joiners, variation selectors) is dropped.
//!
//! Knows no files and no state of the console. [`guard_buffer`] is the last line of defence, over everything drawn.

mod ansi;

use std::borrow::Cow;
use std::ffi::OsStr;

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::style::Style;
use unicode_general_category::{GeneralCategory as Cat, get_general_category};
use unicode_segmentation::UnicodeSegmentation;

pub use ansi::{Ansi, Colors, MAX_LINE_BYTES, ansi, unfinished};

/// Stands for a character that cannot be shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// Stands for the end of a line inside one-line text.
const NEWLINE: char = '⏎';

/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// The columns between two tab stops.
const TAB: usize = 8;

/// How many combining marks a base character may carry; ordinary writing needs no more.
const MAX_MARKS: usize = 3;

/// How many characters one grapheme may be made of.
const MAX_CLUSTER: usize = 8;

/// The characters a terminal can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Everything in Unicode that has a cell.
    #[default]
    Unicode,
    /// Printable ASCII only.
    Ascii,
}

impl Charset {
    /// The charset that the locale asks for: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty decides.
    pub fn from_env() -> Charset {
        Charset::from_lookup(|name| std::env::var_os(name))
    }

    /// The same, with the environment given by a function.
    pub fn from_lookup<S: AsRef<OsStr>>(lookup: impl Fn(&str) -> Option<S>) -> Charset {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| lookup(name).filter(|v| !v.as_ref().is_empty()));
        let utf8 = locale.is_some_and(|value| {
            let value = value.as_ref().to_string_lossy().to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        });
        if utf8 { Charset::Unicode } else { Charset::Ascii }
    }
}

/// One line of text that is safe to draw: no controls, no invisible or unassigned characters, no towers of combining marks.
/// Line ends become `⏎`, tabs a space, control characters their pictures (`␛`, `␇`), everything else without a cell `�`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_simple(text) { Cow::Borrowed(text) } else { Cow::Owned(cleaned(text)) }
}

/// [`clean`], the long way.
fn cleaned(text: &str) -> String {
    let text = text.strip_suffix('\n').map_or(text, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    let mut mapped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\t' => mapped.push(' '),
            _ => push_mapped(&mut mapped, c),
        }
    }
    clamp_clusters(&mapped)
}

/// Like [`clean`], for bytes that may not be UTF-8; every broken sequence becomes `�`.
pub fn clean_bytes(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(bytes)).into_owned()
}

/// Clean lines of a text that has several; tabs go to the next stop of eight columns. A line end at the very end opens no line.
pub fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(|line| {
        if !line.contains('\t') {
            return clean(line);
        }
        let mut out = String::with_capacity(line.len() + TAB);
        let mut column = 0;
        for (i, part) in line.split('\t').enumerate() {
            if i > 0 {
                let spaces = TAB - column % TAB;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            let part = clean(part);
            column += width(&part);
            out.push_str(&part);
        }
        // A mark at the start of a part would join the spaces before it.
        Cow::Owned(clamp_clusters(&out))
    })
}

/// The cells that ratatui gives to this text; exact for clean text.
pub fn width(text: &str) -> usize {
    if is_plain(text.as_bytes()) {
        return text.len();
    }
    graphemes(text).map(grapheme_width).sum()
}

/// The text, clean and cut to at most `cells` cells, with `…` where something was cut. A grapheme is never split, so that the result
/// may be one cell short before a wide one; [`pad`] fills it up. The cost is bounded by `cells`, however long the text is.
pub fn fit(text: &str, cells: usize) -> Cow<'_, str> {
    let (head, cut) = head(text, cells);
    let head = clean(head);
    if !cut && width(&head) <= cells {
        return head;
    }
    let Some(room) = cells.checked_sub(1) else { return Cow::Borrowed("") };
    let mut out = String::with_capacity(head.len().min(cells * 4) + 4);
    let mut used = 0;
    for g in graphemes(&head) {
        let w = grapheme_width(g);
        if used + w > room {
            break;
        }
        used += w;
        out.push_str(g);
    }
    out.push(ELLIPSIS);
    Cow::Owned(out)
}

/// The text, clean, in exactly `cells` cells: cut with `…` or filled with spaces on the right.
pub fn pad(text: &str, cells: usize) -> String {
    let mut out = fit(text, cells).into_owned();
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', cells.saturating_sub(used)));
    out
}

/// Like [`pad`], filled on the left: for numbers and times.
pub fn pad_left(text: &str, cells: usize) -> String {
    let out = fit(text, cells);
    let mut padded = " ".repeat(cells.saturating_sub(width(&out)));
    padded.push_str(&out);
    padded
}

/// Like [`fit`], but the end stays and the start is cut: for paths.
pub fn fit_end(text: &str, cells: usize) -> Cow<'_, str> {
    let text = clean(text);
    let total = width(&text);
    if total <= cells {
        return text;
    }
    let Some(room) = cells.checked_sub(1) else { return Cow::Borrowed("") };
    let mut left = total;
    let mut start = text.len();
    for (i, g) in text.grapheme_indices(true) {
        if left <= room {
            start = i;
            break;
        }
        left -= grapheme_width(g);
    }
    Cow::Owned(format!("{ELLIPSIS}{}", &text[start..]))
}

/// The graphemes of a text: where a character and the one after it stand alone, it is one, and nothing is looked up.
pub fn graphemes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.chars();
        let first = chars.next()?;
        let alone = stands_alone(first) && chars.next().is_none_or(stands_alone);
        let len = if alone { first.len_utf8() } else { rest.graphemes(true).next()?.len() };
        let (grapheme, behind) = rest.split_at(len);
        rest = behind;
        Some(grapheme)
    })
}

/// Draws clean text from a cell on to the right, into at most `cells` cells of its line, and gives back the column after it. As ratatui's own
/// `set_stringn` does it, with [`graphemes`].
///
/// # Panics
/// Where the cell is not in the buffer.
pub fn put(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, cells: u16, style: impl Into<Style>) -> u16 {
    let style = style.into();
    let right = buffer.area.right().min(x.saturating_add(cells));
    let mut at = x;
    for g in graphemes(text) {
        let width = grapheme_width(g) as u16;
        if width > right.saturating_sub(at) {
            break;
        }
        if width == 0 {
            continue;
        }
        buffer[(at, y)].set_symbol(g).set_style(style);
        // What the second half of a wide character would hide.
        (at + 1..at + width).for_each(|hidden| buffer[(hidden, y)].reset());
        at += width;
    }
    at
}

/// The text in printable ASCII, in the same number of cells: known glyphs by a likeness, everything else by `?`.
pub fn to_ascii(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let text = clean(text);
    let mut out = String::with_capacity(text.len());
    for g in graphemes(&text) {
        let c = ascii_of(g);
        out.push(c);
        out.extend(std::iter::repeat_n(if c == '?' { '?' } else { ' ' }, grapheme_width(g).saturating_sub(1)));
    }
    Cow::Owned(out)
}

/// The text for this charset: [`clean`], and [`to_ascii`] where that is all the terminal can show.
pub fn for_charset(text: &str, charset: Charset) -> Cow<'_, str> {
    match charset {
        Charset::Unicode => clean(text),
        Charset::Ascii => to_ascii(text),
    }
}

/// The last line of defence, after everything is drawn: a cell that holds anything but one clean grapheme shows `�`, and in an ASCII
/// terminal every other character its likeness. Widgets that forgot to clean their text are harmless then (if ugly).
pub fn guard_buffer(buffer: &mut Buffer, charset: Charset) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.len() == 1 && is_plain(symbol.as_bytes()) {
            continue;
        }
        let mut chars = symbol.chars();
        let single = matches!((chars.next(), chars.next()), (Some(c), None) if stands_alone(c));
        let fine = single || clean(symbol) == symbol;
        match charset {
            Charset::Unicode if fine => {}
            Charset::Unicode => {
                cell.set_char(REPLACEMENT);
            }
            Charset::Ascii => {
                let c = if fine { ascii_of(symbol) } else { '?' };
                cell.set_char(c);
            }
        }
    }
}

/// Printable ASCII and nothing else.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b' '..=b'~'))
}

/// Nothing but characters that stand alone: as clean as it is, and a character for each cell.
fn is_simple(text: &str) -> bool {
    is_plain(text.as_bytes()) || text.chars().all(stands_alone)
}

/// Whether a character is shown as it is, fills one cell and is a grapheme by itself beside others of which this holds: ASCII, Latin letters, and the
/// marks, boxes and blocks that the console itself draws with. They are nearly everything there is on a screen, and need not be looked up.
fn stands_alone(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{17f}' | '–' | '—' | '‘'..='”' | '•' | '…' | '←'..='↓')
        || matches!(c, '─'..='◼' | '✓'..='✘' | '⏎')
}

/// What a character becomes, before graphemes are looked at.
fn push_mapped(out: &mut String, c: char) {
    match c {
        ' '..='~' => out.push(c),
        '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(NEWLINE),
        '\0'..='\x1f' => out.push(control_picture(c)),
        '\x7f' => out.push('␡'),
        // Part of ordinary writing, without a cell of their own, and of different effect in every terminal.
        '\u{ad}' | '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200c}' | '\u{200d}' => {}
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{feff}' => {}
        // Blank letters, made to be invisible.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => out.push(REPLACEMENT),
        // Flags are pairs of letters; terminals do not agree on their cells.
        '\u{1f1e6}'..='\u{1f1ff}' => {
            out.push(char::from_u32(u32::from(c) - 0x1f1e6 + u32::from('A')).unwrap_or(REPLACEMENT));
        }
        '\u{3000}' => out.push(c),
        _ => match get_general_category(c) {
            Cat::SpaceSeparator => out.push(' '),
            Cat::Control | Cat::Format | Cat::Unassigned | Cat::Surrogate => out.push(REPLACEMENT),
            Cat::LineSeparator | Cat::ParagraphSeparator => out.push(NEWLINE),
            _ => out.push(c),
        },
    }
}

fn control_picture(c: char) -> char {
    char::from_u32(0x2400 + u32::from(c)).unwrap_or(REPLACEMENT)
}

fn is_mark(c: char) -> bool {
    matches!(get_general_category(c), Cat::NonspacingMark | Cat::EnclosingMark | Cat::SpacingMark)
}

/// Bounds every grapheme: a base, few marks, few characters, at least one cell.
fn clamp_clusters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for g in graphemes(text) {
        if g.len() == 1 {
            out.push_str(g);
            continue;
        }
        let mut chars = g.chars();
        if let (Some(only), None) = (chars.next(), chars.next()) {
            let fine = grapheme_width(g) > 0 && !is_mark(only);
            out.push(if fine { only } else { REPLACEMENT });
            continue;
        }
        let start = out.len();
        let mut marks = 0;
        for (i, c) in g.chars().enumerate() {
            let mark = is_mark(c);
            if i == 0 && mark {
                // A mark without a base would join whatever cell is to its left.
                out.push(REPLACEMENT);
                break;
            }
            if i > 0 && matches!(c, '\u{1f3fb}'..='\u{1f3ff}') {
                continue;
            }
            marks += usize::from(mark);
            if mark && marks > MAX_MARKS {
                continue;
            }
            if i >= MAX_CLUSTER {
                out.push(REPLACEMENT);
                break;
            }
            out.push(c);
        }
        if width(&out[start..]) == 0 {
            out.truncate(start);
            out.push(REPLACEMENT);
        }
    }
    out
}

fn grapheme_width(g: &str) -> usize {
    // ratatui skips these, and its width for them is a debug assertion.
    if g.contains(char::is_control) { 0 } else { usize::from(g.cell_width()) }
}

/// The part of a text that can matter for this many cells, and whether something was left off.
fn head(text: &str, cells: usize) -> (&str, bool) {
    let limit = cells.saturating_mul(4 * MAX_CLUSTER).saturating_add(256);
    if text.len() <= limit {
        return (text, false);
    }
    (&text[..text.floor_char_boundary(limit)], true)
}

/// A likeness in ASCII for the glyphs the console draws with and those that output is full of.
fn ascii_of(grapheme: &str) -> char {
    let Some(c) = grapheme.chars().next() else { return ' ' };
    match c {
        ' '..='~' if grapheme.len() == 1 => c,
        '─' | '━' | '┄' | '┅' | '┈' | '┉' | '╌' | '╍' | '╴' | '╶' | '╸' | '╺' | '‐'..='―' | '−' => {
            '-'
        }
        '═' => '=',
        '│' | '┃' | '┆' | '┇' | '┊' | '┋' | '║' | '╵' | '╷' | '╹' | '╻' | '▌' | '▍' | '▎' | '▏' | '▐' => {
            '|'
        }
        '┌'..='╋' | '╒'..='╰' => '+',
        '█' | '▉' | '▊' | '▋' | '▇' | '▆' | '▅' | '▄' | '▃' | '▂' | '▁' | '▓' | '■' => '#',
        '░' | '▒' => ':',
        '…' | '⋯' => '~',
        '·' | '∙' | '⋅' => '.',
        '•' | '●' | '◆' | '★' | '⬤' => '*',
        '○' | '◇' | '◌' => 'o',
        '→' | '▶' | '▸' | '›' | '»' | '❯' => '>',
        '←' | '◀' | '◂' | '‹' | '«' => '<',
        '↑' | '▲' | '▴' | '\u{2400}'..='\u{2421}' => '^',
        '↓' | '▼' | '▾' => 'v',
        '⏎' => '|',
        '✔' | '✓' => '+',
        '✘' | '✗' | '✖' | '×' => 'x',
        '‘' | '’' | '′' => '\'',
        '“' | '”' | '″' => '"',
        _ => '?',
    }
}

#[cfg(test)]
mod tests;
