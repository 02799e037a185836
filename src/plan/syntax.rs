//! Builds the tree of a JSON text and goes on after mistakes.
//!
//! Tokens come from a kept scanner; the tree is built here because three things are needed at once that no parser at hand gives together: spans
//! of everything, going on after a mistake, and a depth limit that cannot be a stack overflow.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

use super::diagnostic::{Diagnostic, Report};
use super::json::{Document, Kind, Node, NodeId};
use super::{MAX_DEPTH, MAX_VALUES};

/// After so many mistakes in the JSON itself the rest would be guesswork.
const MAX_SYNTAX_ERRORS: usize = 20;

/// Reads a text; mistakes are reported, the tree is as much as could be made of the text.
pub(super) fn parse<'a>(text: &'a str, report: &mut Report) -> Document<'a> {
    let mut parser = Parser::new(text, report);
    parser.run();
    parser.document
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// The one value of the text, the value after a colon, or the one after a comma in an array.
    Value,
    /// After `[`.
    ValueOrClose,
    /// After a comma in an object.
    Key,
    /// After `{`.
    KeyOrClose,
    Colon,
    CommaOrClose,
    /// Nothing: the outermost value has ended.
    End,
}

struct Parser<'a, 'r> {
    document: Document<'a>,
    report: &'r mut Report,
    scanner: Scanner<'a>,
    /// Where the scanner's text begins in the whole.
    base: usize,
    /// The objects and arrays that are open, outermost first.
    open: Vec<NodeId>,
    expect: Expect,
    /// The last token that was part of the tree.
    last: Range<usize>,
    errors: usize,
    stopped: bool,
}

fn options() -> ScannerOptions {
    ScannerOptions {
        // Read, and reported, so that the rest of the text can be read too.
        allow_single_quoted_strings: true,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

impl<'a, 'r> Parser<'a, 'r> {
    fn new(text: &'a str, report: &'r mut Report) -> Self {
        let base = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            document: Document { text, nodes: Vec::with_capacity(text.len() / 16), decoded: Vec::new(), sound: true },
            report,
            scanner: Scanner::new(&text[base..], &options()),
            base,
            open: Vec::new(),
            expect: Expect::Value,
            last: base..base,
            errors: 0,
            stopped: false,
        }
    }

    fn run(&mut self) {
        while !self.stopped {
            let token = self.scanner.scan();
            let span = self.base + self.scanner.token_start()..self.base + self.scanner.token_end();
            match token {
                Ok(Some(token)) => self.token(token, span),
                Ok(None) => {
                    self.end_of_text();
                    break;
                }
                Err(error) => {
                    let range = error.range();
                    let (start, end) = (self.base + range.start, self.base + range.end);
                    self.unreadable(error.kind(), start..end.max(start + 1));
                }
            }
        }
        // What is still open ends where the text ends, so that every node's extent is known.
        let end = self.document.nodes.len() as u32;
        for node in std::mem::take(&mut self.open) {
            self.document.nodes[node].next = end;
            self.document.nodes[node].end = self.document.text.len() as u32;
        }
        // A key without its value would shift everything after it.
        if matches!(self.expect, Expect::Colon) || (self.expect == Expect::Value && self.after_colon()) {
            self.document.sound = false;
        }
    }

    fn after_colon(&self) -> bool {
        self.document.text.get(self.last.clone()) == Some(":")
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
        self.errors += 1;
        if self.errors >= MAX_SYNTAX_ERRORS {
            self.stop();
        }
    }

    /// Nothing more can be learned from this text.
    fn stop(&mut self) {
        self.stopped = true;
        self.document.sound = false;
    }

    /// Goes on reading behind something the scanner could not read.
    fn go_on_at(&mut self, place: usize) {
        let place = self.document.text.ceil_char_boundary(place.min(self.document.text.len()));
        self.base = place;
        self.scanner = Scanner::new(&self.document.text[place..], &options());
    }

    fn unreadable(&mut self, kind: &ParseErrorKind, span: Range<usize>) {
        let rest = &self.document.text[span.start..];
        let word = rest.find(|sign: char| !(sign.is_alphanumeric() || "+-_.$".contains(sign))).unwrap_or(rest.len());
        match kind {
            ParseErrorKind::String(_) => {
                let start = self.base + self.scanner.token_start();
                let line_end =
                    self.document.text[start..].find('\n').map_or(self.document.text.len(), |end| start + end);
                let what = kind.to_string();
                let closed = !what.starts_with("Unterminated") && !what.starts_with("unterminated");
                let diagnostic = if closed {
                    Diagnostic::error(span.start..span.end.min(line_end.max(span.start + 1)), "broken JSON: a string has an invalid escape")
                        .label("not an escape that JSON knows")
                        .help("JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four digits; a backslash itself is written \\\\")
                } else {
                    Diagnostic::error(start..line_end, "broken JSON: a string is not closed")
                        .label("a string begins here and does not end")
                };
                self.error(diagnostic);
                self.stop();
            }
            _ if word > 0 && rest.starts_with(|sign: char| sign.is_ascii_digit() || "+-.".contains(sign)) => {
                let span = span.start..span.start + word;
                self.error(
                    Diagnostic::error(span.clone(), format!("broken JSON: `{}` is not a number", &rest[..word]))
                        .label("not a number")
                        .help("a number is written like 10, -3, 0.5 or 1e6"),
                );
                self.go_on_at(span.end);
                self.value(Kind::Broken, span, None);
            }
            _ if word > 0 => {
                let span = span.start..span.start + word;
                self.go_on_at(span.end);
                self.word(span);
            }
            _ => {
                let sign = rest.chars().next().unwrap_or(' ');
                let comment = matches!(kind, ParseErrorKind::UnterminatedCommentBlock);
                let span = span.start..span.start + sign.len_utf8();
                self.error(if comment {
                    Diagnostic::error(span.clone(), "broken JSON: a comment is not closed, and JSON has no comments")
                } else {
                    Diagnostic::error(span.clone(), format!("broken JSON: unexpected `{sign}`"))
                        .label("not part of JSON")
                });
                self.document.sound = false;
                if comment {
                    self.stop();
                }
                self.go_on_at(span.end);
            }
        }
    }

    fn token(&mut self, token: Token<'a>, span: Range<usize>) {
        match token {
            Token::CommentLine(_) | Token::CommentBlock(_) => self.error(
                Diagnostic::error(span, "broken JSON: a comment")
                    .label("JSON has no comments")
                    .help("put remarks into `metadata`, or remove them"),
            ),
            Token::OpenBrace => self.open(Kind::Object, span),
            Token::OpenBracket => self.open(Kind::Array, span),
            Token::CloseBrace => self.close(Kind::Object, span),
            Token::CloseBracket => self.close(Kind::Array, span),
            Token::Comma => self.comma(span),
            Token::Colon => self.colon(span),
            Token::String(value) => self.string(value, span),
            Token::Boolean(value) => self.value(Kind::Bool(value), span, None),
            Token::Null => self.value(Kind::Null, span, None),
            Token::Number(_) => self.number(span),
            Token::Word(_) => self.word(span),
        }
    }

    fn number(&mut self, span: Range<usize>) {
        let written = &self.document.text[span.clone()];
        let digits = written.trim_start_matches('-');
        let continues = self.document.text[span.end..].starts_with(|sign: char| sign.is_ascii_digit());
        if digits == "0" && continues {
            let rest = &self.document.text[span.start + 1..];
            let length = rest.find(|sign: char| !(sign.is_ascii_digit() || sign == '.')).unwrap_or(rest.len()) + 1;
            let whole = span.start..span.start + length;
            self.error(
                Diagnostic::error(whole.clone(), "broken JSON: a number begins with 0")
                    .label("not a number")
                    .help("write it without the leading zeros"),
            );
            self.go_on_at(whole.end);
            self.value(Kind::Broken, whole, None);
        } else if written.parse::<f64>().is_ok_and(f64::is_finite) {
            self.value(Kind::Number, span, None);
        } else {
            self.error(
                Diagnostic::error(span.clone(), "a number is too large to be represented")
                    .label("at most about 1.8e308"),
            );
            self.value(Kind::Broken, span, None);
        }
    }

    fn string(&mut self, value: Cow<'a, str>, span: Range<usize>) {
        let written = &self.document.text[span.clone()];
        if written.starts_with('\'') {
            self.error(
                Diagnostic::error(span.clone(), "broken JSON: a string in single quotes")
                    .label("strings stand in double quotes")
                    .maybe_help((!written.contains(['"', '\\'])).then(|| format!("write \"{value}\""))),
            );
        } else if let Some(place) = written.bytes().position(|byte| byte < 0x20) {
            let place = span.start + place;
            if written.as_bytes()[place - span.start] == b'\n' {
                // The quote that seemed to close it most likely opens the next string. A comma at the end was most likely meant as one.
                let line = written[..place - span.start].trim_end();
                let end = span.start + line.strip_suffix(',').filter(|line| line.len() > 1).unwrap_or(line).len();
                self.error(
                    Diagnostic::error(span.start..end, "broken JSON: a string is not closed on its line")
                        .label("the string begins here")
                        .help("close it with \", or write the line break as \\n"),
                );
                if matches!(self.expect, Expect::Key | Expect::KeyOrClose) {
                    self.document.sound = false;
                }
                self.go_on_at(end);
                self.value(Kind::Broken, span.start..end, None);
                return;
            }
            self.error(
                Diagnostic::error(place..place + 1, "broken JSON: a control character in a string")
                    .label("must be escaped")
                    .help(if written.as_bytes()[place - span.start] == b'\t' {
                        "write the tab as \\t"
                    } else {
                        "write it as \\u and four digits"
                    }),
            );
        }
        let decoded = match value {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => Some(value.into_boxed_str()),
        };
        self.value(Kind::String, span, decoded);
    }

    fn word(&mut self, span: Range<usize>) {
        let word = &self.document.text[span.clone()];
        let key = matches!(self.expect, Expect::Key | Expect::KeyOrClose);
        let meant = match word.to_ascii_lowercase().as_str() {
            "true" => Some("true"),
            "false" => Some("false"),
            "none" | "nil" | "undefined" | "null" => Some("null"),
            _ => None,
        };
        let help = match meant {
            Some(meant) if !key => format!("did you mean `{meant}`?"),
            _ => format!("write \"{word}\""),
        };
        let what = if key { "a name without quotes" } else { "a word without quotes" };
        self.error(
            Diagnostic::error(span.clone(), format!("broken JSON: {what}: `{word}`"))
                .label("needs double quotes")
                .help(help),
        );
        if key {
            let text: Box<str> = word.into();
            self.value(Kind::String, span, Some(text));
        } else {
            self.value(Kind::Broken, span, None);
        }
    }

    /// The innermost open object or array.
    fn inside(&self) -> Option<Kind> {
        self.open.last().map(|node| self.document.nodes[*node].kind)
    }

    fn missing_comma(&mut self) {
        let end = self.last.end;
        self.error(Diagnostic::error(end..end, "broken JSON: a comma is missing").label("expected `,` here"));
        self.expect = if self.inside() == Some(Kind::Object) { Expect::Key } else { Expect::Value };
    }

    /// Makes room for a value or a key; false when there is nothing it could be.
    fn prepare(&mut self, is_string: bool, span: &Range<usize>) -> bool {
        if self.expect == Expect::CommaOrClose {
            self.missing_comma();
        }
        match self.expect {
            Expect::Colon => {
                let end = self.last.end;
                self.error(
                    Diagnostic::error(end..end, "broken JSON: a colon is missing after a name")
                        .label("expected `:` here"),
                );
                self.expect = Expect::Value;
                !self.stopped
            }
            Expect::Key | Expect::KeyOrClose if !is_string => {
                self.error(
                    Diagnostic::error(span.clone(), "broken JSON: an object's member needs a name")
                        .label("expected a name in double quotes"),
                );
                self.document.sound = false;
                self.push(Kind::Broken, span.clone(), None);
                self.expect = Expect::Value;
                !self.stopped
            }
            Expect::End => {
                self.error(
                    Diagnostic::error(
                        span.start..self.document.text.trim_end().len(),
                        "broken JSON: text after the end of the plan",
                    )
                    .label("the plan ended before this"),
                );
                self.stop();
                false
            }
            _ => !self.stopped,
        }
    }

    fn push(&mut self, kind: Kind, span: Range<usize>, decoded: Option<Box<str>>) -> NodeId {
        let place = self.document.nodes.len();
        if place >= MAX_VALUES {
            self.error(Diagnostic::error(
                span.clone(),
                format!("the plan is too large: more than {MAX_VALUES} values"),
            ));
            self.stop();
        }
        let decoded = decoded.map_or(0, |value| {
            self.document.decoded.push(value);
            self.document.decoded.len() as u32
        });
        self.document.nodes.push(Node {
            start: span.start as u32,
            end: span.end as u32,
            next: place as u32 + 1,
            decoded,
            kind,
        });
        self.last = span;
        place
    }

    fn value(&mut self, kind: Kind, span: Range<usize>, decoded: Option<Box<str>>) {
        let name = matches!(self.expect, Expect::Key | Expect::KeyOrClose)
            || (self.expect == Expect::CommaOrClose && self.inside() == Some(Kind::Object));
        // A broken name still takes a name's place.
        if self.prepare(kind == Kind::String || (name && kind == Kind::Broken), &span) {
            self.push(kind, span, decoded);
            self.expect = match self.expect {
                Expect::Key | Expect::KeyOrClose => Expect::Colon,
                _ => self.after_value(),
            };
        }
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() { Expect::End } else { Expect::CommaOrClose }
    }

    fn open(&mut self, kind: Kind, span: Range<usize>) {
        if !self.prepare(false, &span) {
            return;
        }
        if self.open.len() >= MAX_DEPTH {
            self.error(
                Diagnostic::error(span, format!("the plan is nested too deeply: at most {MAX_DEPTH} levels"))
                    .label(format!("this would be level {}", MAX_DEPTH + 1)),
            );
            return self.stop();
        }
        let node = self.push(kind, span, None);
        self.open.push(node);
        self.expect = if kind == Kind::Object { Expect::KeyOrClose } else { Expect::ValueOrClose };
    }

    fn close(&mut self, kind: Kind, span: Range<usize>) {
        let (opener, closer) = if kind == Kind::Object { ('{', '}') } else { ('[', ']') };
        match self.inside() {
            None => {
                self.error(
                    Diagnostic::error(span, format!("broken JSON: a `{closer}` without its `{opener}`"))
                        .label("nothing is open that this could close"),
                );
                self.stop();
                return;
            }
            Some(open) if open != kind => {
                let node = self.open[self.open.len() - 1];
                let begin = self.document.nodes[node].start as usize;
                let wanted = if open == Kind::Object { '}' } else { ']' };
                self.error(
                    Diagnostic::error(span.clone(), format!("broken JSON: `{closer}` where `{wanted}` is needed"))
                        .label(format!("expected `{wanted}` or a comma"))
                        .related(begin..begin + 1, "this is still open"),
                );
                self.document.sound = false;
                // If something further out fits, what lies between was left open; otherwise the closer is a slip for the right one.
                if self.open.iter().any(|node| self.document.nodes[*node].kind == kind) {
                    while self.inside().is_some_and(|open| open != kind) {
                        self.finish_innermost(span.start);
                    }
                }
            }
            Some(_) => {}
        }
        match self.expect {
            Expect::Key | Expect::Value if self.document.text.get(self.last.clone()) == Some(",") => {
                let last = self.last.clone();
                self.error(
                    Diagnostic::error(last, format!("broken JSON: a comma before `{closer}`"))
                        .label("remove this comma"),
                );
            }
            Expect::Colon | Expect::Value => {
                self.error(
                    Diagnostic::error(span.clone(), "broken JSON: a value is missing")
                        .label("expected a value before this"),
                );
                self.push(Kind::Broken, span.start..span.start, None);
            }
            _ => {}
        }
        self.finish_innermost(span.end);
        self.last = span;
    }

    fn finish_innermost(&mut self, end: usize) {
        if let Some(node) = self.open.pop() {
            self.document.nodes[node].end = end as u32;
            self.document.nodes[node].next = self.document.nodes.len() as u32;
            self.expect = self.after_value();
        }
    }

    fn comma(&mut self, span: Range<usize>) {
        match (self.expect, self.inside()) {
            (Expect::CommaOrClose, Some(Kind::Object)) => self.expect = Expect::Key,
            (Expect::CommaOrClose, _) => self.expect = Expect::Value,
            (Expect::End, _) => {
                self.prepare(true, &span);
            }
            (Expect::Colon, _) => {
                self.error(
                    Diagnostic::error(span.clone(), "broken JSON: a name without a value")
                        .label("expected `:` and a value"),
                );
                self.push(Kind::Broken, span.start..span.start, None);
                self.expect = Expect::Key;
            }
            _ => {
                self.error(Diagnostic::error(span.clone(), "broken JSON: a comma too many").label("remove this comma"));
                if self.expect == Expect::Value && self.after_colon() {
                    self.push(Kind::Broken, span.start..span.start, None);
                    self.expect = Expect::Key;
                }
            }
        }
        self.last = span;
    }

    fn colon(&mut self, span: Range<usize>) {
        if self.expect == Expect::Colon {
            self.expect = Expect::Value;
        } else if self.expect == Expect::End {
            self.prepare(true, &span);
        } else {
            self.error(
                Diagnostic::error(span.clone(), "broken JSON: unexpected `:`")
                    .label("a colon stands only after a name"),
            );
            self.document.sound = false;
        }
        self.last = span;
    }

    fn end_of_text(&mut self) {
        let end = self.document.text.trim_end().len();
        if let Some(node) = self.open.last() {
            let begin = self.document.nodes[*node].start as usize;
            let (opener, closer) =
                if self.document.nodes[*node].kind == Kind::Object { ('{', '}') } else { ('[', ']') };
            self.error(
                Diagnostic::error(end..end, format!("broken JSON: the text ends before a `{opener}` is closed"))
                    .label(format!("expected `{closer}`"))
                    .related(begin..begin + 1, "opened here"),
            );
            self.document.sound = false;
        } else if self.expect == Expect::Value {
            self.error(Diagnostic::error(end..end, "the file is empty").label("expected a plan").help(
                "the smallest plan is {\"plan_id\": \"x\", \"steps\": [{\"step_id\": \"a\", \"run\": \"true\"}]}",
            ));
            self.document.sound = false;
        }
    }
}
