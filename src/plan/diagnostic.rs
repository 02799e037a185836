//! What is wrong with a plan's text, and where.

use std::fmt::Write as _;
use std::ops::Range;

use serde::Serialize;

use super::suggest::suggest_within;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The plan is refused.
    Error,
    /// The plan loads; something in it is not what its author may think.
    Warning,
}

/// One problem of a plan's text.
///
/// Its texts are safe to print: what they quote from the plan has passed through [`visible`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The offending text, in bytes of the source.
    pub span: Range<usize>,
    /// Line of its beginning, from 1.
    pub line: usize,
    /// Column of its beginning, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What would have been right, or the nearest valid name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Other places that belong to it, such as the first of two equal ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that belongs to a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The text meant, in bytes of the source.
    pub span: Range<usize>,
    /// Line of its beginning, from 1.
    pub line: usize,
    /// Column of its beginning, from 1, in characters.
    pub column: usize,
    /// What it has to do with the problem.
    pub label: String,
}

impl Diagnostic {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            line: 0,
            column: 0,
            message: message.into(),
            label: None,
            help: None,
            related: Vec::new(),
        }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Help that may not be there.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(super) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push(Related { span, line: 0, column: 0, label: label.into() });
        self
    }

    /// Whether it makes the plan unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// At most this many problems are listed; a last one says how many there were besides.
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// Collects problems while a text is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<Diagnostic>,
    errors: usize,
    dropped: usize,
    /// How many more names may be compared for "did you mean"; a huge plan full of mistakes must not take minutes.
    comparisons: usize,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { comparisons: 1_000_000, ..Self::default() }
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        if self.found.len() < MAX_DIAGNOSTICS {
            self.found.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Whether nothing more will be listed, so that looking for details is wasted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_DIAGNOSTICS
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// "did you mean `x`?" for the nearest candidate.
    pub(super) fn did_you_mean<'a>(
        &mut self,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        if self.is_full() {
            return None;
        }
        let nearest = suggest_within(name, candidates, &mut self.comparisons);
        nearest.map(|nearest| format!("did you mean `{nearest}`?"))
    }

    /// The problems in the order of the text, with their lines and columns.
    pub(super) fn finish(mut self, text: &str) -> Vec<Diagnostic> {
        if self.found.is_empty() {
            return self.found;
        }
        self.found.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        if self.dropped > 0 {
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Warning };
            let end = text.len();
            let message = format!("{} more problems are not listed; mend these first", self.dropped);
            self.found.push(Diagnostic { severity, ..Diagnostic::error(end..end, message) });
        }
        let lines = Lines::new(text);
        for diagnostic in &mut self.found {
            diagnostic.span = char_span(text, &diagnostic.span);
            (diagnostic.line, diagnostic.column) = lines.position(text, diagnostic.span.start);
            make_visible(&mut diagnostic.message);
            diagnostic.label.iter_mut().chain(&mut diagnostic.help).for_each(make_visible);
            for related in &mut diagnostic.related {
                related.span = char_span(text, &related.span);
                (related.line, related.column) = lines.position(text, related.span.start);
                make_visible(&mut related.label);
            }
        }
        self.found
    }
}

/// A span that lies in the text and begins and ends between characters.
fn char_span(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    start..text.ceil_char_boundary(span.end.clamp(start, text.len()))
}

/// Where the lines of a text begin, and how many characters stand before each block of it: a plan may be one line of many megabytes.
pub(super) struct Lines {
    starts: Vec<usize>,
    characters: Vec<usize>,
}

/// How many bytes make a block.
const BLOCK: usize = 4096;

/// Characters that begin in these bytes.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place + 1);
        let mut before = 0;
        let count = |block: &[u8]| {
            let here = before;
            before += characters(block);
            here
        };
        let characters = text.as_bytes().chunks(BLOCK).map(count).collect();
        Self { starts: std::iter::once(0).chain(breaks).collect(), characters }
    }

    /// Line and column of a byte, both from 1; the column counts characters, a byte order mark is not one.
    fn position(&self, text: &str, place: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= place);
        let start = self.starts[line - 1];
        let mark = usize::from(start == 0 && place > 0 && text.starts_with('\u{feff}'));
        (line, self.characters_before(text, place) - self.characters_before(text, start) - mark + 1)
    }

    fn characters_before(&self, text: &str, place: usize) -> usize {
        let block = (place / BLOCK).min(self.characters.len().saturating_sub(1));
        self.characters.get(block).map_or(0, |before| before + characters(&text.as_bytes()[block * BLOCK..place]))
    }

    /// The bytes of a line (from 1), without its line break.
    pub(super) fn range(&self, text: &str, line: usize) -> Range<usize> {
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(text.len(), |next| next - 1);
        let end = if text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, place: usize) -> usize {
        self.starts.partition_point(|start| *start <= place)
    }

    /// How many lines there are.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }
}

fn make_visible(text: &mut String) {
    if text.chars().any(hidden) {
        *text = visible(text);
    }
}

/// A text in which everything that would act on a terminal, or would hide, is written out: `\u{1b}`, `\n`, `\u{202e}`.
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        push_visible(&mut safe, character);
    }
    safe
}

pub(super) fn push_visible(safe: &mut String, character: char) {
    match character {
        '\n' => safe.push_str("\\n"),
        '\r' => safe.push_str("\\r"),
        '\t' => safe.push_str("\\t"),
        _ if hidden(character) => {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", character as u32);
        }
        _ => safe.push(character),
    }
}

/// Control characters, and characters that change the direction of text, join or have no width.
fn hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
