//! What is looked for in an output: a text, or a regular expression.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr;
use regex::bytes::{Regex, RegexBuilder};

use crate::console::text::{self, Ansi, Colors};

/// The most memory that a compiled expression may take, and again what it keeps while it is used.
const SIZE: usize = 2 * 1024 * 1024;

/// What an operator looks for, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The text, or the expression.
    pub text: String,
    /// It is a regular expression.
    pub regex: bool,
}

/// What is wrong with a regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where, in characters from 0; behind the last one where something is missing.
    pub at: usize,
    /// What, in a few words.
    pub said: String,
}

/// A query, ready to be looked for. Case counts only if it has an upper-case letter. Equal patterns look for the same.
#[derive(Clone)]
pub struct Pattern {
    query: Query,
    /// For the text of one row.
    row: Regex,
    /// For many rows at once, with line ends between them: where it finds nothing, `row` does not either.
    rows: Option<Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.query == other.query
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, text) = (if self.query.regex { "/" } else { "\"" }, text::fit(&self.query.text, 20));
        write!(f, "{sign}{text}{sign}")
    }
}

impl Pattern {
    /// The pattern of a query; `None` for an empty one.
    ///
    /// # Errors
    /// The expression is none, or takes too much memory.
    pub fn new(query: &Query) -> Result<Option<Pattern>, Wrong> {
        if query.text.is_empty() {
            return Ok(None);
        }
        let text = if query.regex { query.text.clone() } else { regex::escape(&query.text) };
        if query.regex {
            check(&text)?;
        }
        let case = if query.regex { has_upper_case(&text) } else { query.text.chars().any(char::is_uppercase) };
        let build = |lines| {
            let mut builder = RegexBuilder::new(&text);
            builder.case_insensitive(!case).multi_line(lines).size_limit(SIZE).dfa_size_limit(SIZE).build()
        };
        let too_large = |_| Wrong { at: query.text.chars().count(), said: "it takes too much memory".into() };
        // Where a text begins or ends is in a row another place than among many.
        let of_text = ["\\A", "\\z"].iter().any(|anchor| text.contains(anchor));
        let rows = if of_text { None } else { Some(build(true).map_err(too_large)?) };
        Ok(Some(Pattern { query: query.clone(), row: build(false).map_err(too_large)?, rows }))
    }

    /// What was asked for.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Where it stands in a row's text, without overlaps. A place that is only a place, as in `^` or `x*`, counts where there is nothing else.
    pub(super) fn matches<'t>(&'t self, row: &'t [u8]) -> impl Iterator<Item = Range<usize>> + 't {
        let mut found = self.row.find_iter(row).map(|found| found.range());
        let first = found.next();
        let empty = first.clone().filter(Range::is_empty);
        let mut filled = first.into_iter().chain(found).filter(|range| !range.is_empty()).peekable();
        let empty = empty.filter(|_| filled.peek().is_none());
        empty.into_iter().chain(filled)
    }

    /// Whether it stands in a row's text, and begins before a byte of it.
    pub(super) fn is_in(&self, row: &[u8], before: usize) -> bool {
        self.row.find(row).is_some_and(|found| found.start() < before.max(1))
    }

    /// Where among rows of plain text the first row begins, or goes on, in which it may stand; `None` when it stands in none.
    pub(super) fn may_be_at(&self, rows: &[u8]) -> Option<usize> {
        match &self.rows {
            Some(regex) => regex.find(rows).map(|found| found.start()),
            None => Some(0),
        }
    }
}

/// The text of a row as it is on the screen, without its colours.
pub(super) fn text_of(row: &[u8]) -> Cow<'_, [u8]> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    if text::is_plain(row) {
        return Cow::Borrowed(row);
    }
    if let Some(text) = uncoloured(row) {
        return Cow::Owned(text);
    }
    let line = Ansi::new(Colors::Strip).line(row);
    let length = line.spans.iter().map(|span| span.content.len()).sum();
    let mut text = Vec::with_capacity(length);
    line.spans.iter().for_each(|span| text.extend_from_slice(span.content.as_bytes()));
    Cow::Owned(text)
}

/// The text of a row that has nothing but printable ASCII and changes of colour, as most that are coloured have; `None` for every other one. A search
/// looks at each coloured row by itself: this is much quicker than all that a row may have.
fn uncoloured(row: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(row.len());
    let mut rest = row;
    while let Some(at) = memchr(0x1b, rest) {
        let (before, sequence) = rest.split_at(at);
        let end = sequence.iter().skip(2).position(|byte| !matches!(byte, b'0'..=b'9' | b';'))? + 2;
        if !text::is_plain(before) || sequence[1] != b'[' || sequence[end] != b'm' {
            return None;
        }
        text.extend_from_slice(before);
        rest = &sequence[end + 1..];
    }
    text.extend_from_slice(rest);
    text::is_plain(rest).then_some(text)
}

fn check(text: &str) -> Result<(), Wrong> {
    let (at, said) = match regex_syntax::parse(text) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => (error.span().start.offset, error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (error.span().start.offset, error.kind().to_string()),
        Err(_) => (text.len(), "it is no regular expression".to_owned()),
    };
    Err(Wrong { at: text[..at.min(text.len())].chars().count(), said })
}

/// Whether an expression has an upper-case letter that stands for itself: `\S` and `\p{Lu}` have none.
fn has_upper_case(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // With what it means, as in `\S`, and what that is about, as in `\p{Lu}`.
            '\\' => match chars.next() {
                Some('p' | 'P' | 'x' | 'u' | 'U') if chars.as_str().starts_with('{') => {
                    chars.by_ref().find(|c| *c == '}');
                }
                _ => {}
            },
            _ if c.is_uppercase() => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str, regex: bool) -> Pattern {
        Pattern::new(&Query { text: text.into(), regex }).unwrap().unwrap()
    }

    fn found(pattern: &Pattern, row: &str) -> Vec<(usize, usize)> {
        pattern.matches(row.as_bytes()).map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn case_counts_only_where_somebody_wrote_it() {
        assert_eq!(found(&pattern("error", false), "an Error, an error"), [(3, 8), (13, 18)]);
        assert_eq!(found(&pattern("Error", false), "an Error, an error"), [(3, 8)]);
        assert_eq!(found(&pattern("größe", false), "GRÖSSE GRÖßE"), [(8, 15)]);
        assert_eq!(found(&pattern(r"\Serror", true), "xERROR"), [(0, 6)]);
        assert_eq!(found(&pattern(r"\p{Lu}+x", true), "abX").len(), 1, "a class has no case of its own");
        assert_eq!(found(&pattern(r"E\w+", true), "error Else"), [(6, 10)]);
    }

    #[test]
    fn a_text_is_taken_as_it_is_and_an_expression_is_not() {
        assert_eq!(found(&pattern("a.b(", false), "axb( a.b("), [(5, 9)]);
        assert_eq!(found(&pattern("a.b", true), "axb a.b"), [(0, 3), (4, 7)]);
        assert_eq!(found(&pattern("x*", true), "yxxy"), [(1, 3)]);
        assert_eq!(found(&pattern("^", true), "abc"), [(0, 0)]);
        assert_eq!(found(&pattern("^$", true), ""), [(0, 0)]);
        assert!(Pattern::new(&Query::default()).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |text: &str| Pattern::new(&Query { text: text.into(), regex: true }).unwrap_err();
        assert_eq!(wrong("größe (oder"), Wrong { at: 6, said: "unclosed group".into() });
        assert_eq!(wrong("a**[b").at, 3);
        assert_eq!(wrong(r"\w{1000}{1000}").said, "it takes too much memory");
    }

    #[test]
    fn what_is_in_no_row_is_not_among_many() {
        let rows = "one two\nthree\n\nfour\n";
        for text in ["three", "^four$", r"o\b", "^$", "e$", r"\Ath", "zzz", "^one$", r"e\z"] {
            let pattern = pattern(text, true);
            let row = rows.lines().any(|row| pattern.is_in(row.as_bytes(), row.len()));
            assert!(!row || pattern.may_be_at(rows.as_bytes()).is_some(), "{text}");
        }
        assert_eq!(pattern("zzz", true).may_be_at(rows.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn the_quick_way_to_a_text_leads_to_the_same(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("\u{1b}[31m"), Just("\u{1b}[0m"), Just("\u{1b}[m"), Just("\u{1b}[38;5;200m"), Just("plain text"), Just(" "),
                    Just("\u{1b}"), Just("\u{1b}["), Just("\u{1b}[1"), Just("\u{1b}[2K"), Just("\u{1b}]0;title\u{7}"), Just("m"), Just("größer"),
                    Just("\t"), Just("\r"), Just("\u{1b}[38:2:1m"), Just("\u{1b}[1;;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6m"),
                ],
                0..8,
            ),
        ) {
            let row = pieces.concat();
            if let Some(text) = uncoloured(row.as_bytes()) {
                prop_assert_eq!(String::from_utf8(text).unwrap(), Ansi::new(Colors::Strip).line(row.as_bytes()).to_string());
            }
        }
    }

    #[test]
    fn text_is_what_the_screen_shows() {
        assert_eq!(uncoloured(b"a \x1b[31mred\x1b[0m word").as_deref(), Some(&b"a red word"[..]), "the quick way");
        assert_eq!(*text_of(b"plain\n"), *b"plain");
        assert_eq!(*text_of(b"a \x1b[31mred\x1b[0m word\n"), *b"a red word");
        assert_eq!(*text_of(b"10%\r20%\rdone\n"), *b"done");
    }
}
