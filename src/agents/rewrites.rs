//! Lines that a program writes again and again, as progress bars do: of what was written over one another the last state is kept.
//!
//! A program that has a terminal before it goes back to the beginning of its line (`\r`) and writes it anew, many times a second. In a file that
//! is read from its beginning only the last state says anything, and all of them may be many megabytes. Bars that move the cursor over several
//! lines are not recognised.

use std::borrow::Cow;

/// A line that is longer than this is passed on as it comes.
const LONGEST: usize = 64 * 1024;
/// The longest state that is told while it lasts, in characters.
const TOLD: usize = 200;

/// Takes output and gives it on line by line.
#[derive(Debug, Default)]
pub(super) struct Rewrites {
    /// What stands in the line and was not given on yet.
    line: Vec<u8>,
    /// The line begins anew with what comes next, unless that is its end.
    back: bool,
    /// What stands in the line replaces an earlier state.
    rewritten: bool,
    /// Something of the line was given on already.
    begun: bool,
}

impl Rewrites {
    /// Takes a piece of output.
    pub fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let end = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
            let (text, rest) = bytes.split_at(end);
            if !text.is_empty() {
                if std::mem::take(&mut self.back) {
                    self.line.clear();
                    self.rewritten = true;
                }
                self.line.extend_from_slice(text);
                if self.line.len() > LONGEST {
                    self.give(&mut out);
                }
            }
            let Some((sign, rest)) = rest.split_first() else { return };
            bytes = rest;
            self.back = *sign == b'\r';
            if *sign == b'\n' {
                self.line.push(b'\n');
                self.give(&mut out);
                self.begun = false;
            }
        }
    }

    /// Nothing has come for a while: what was not written over is given on, so that a question without an end of line is seen.
    pub fn quiet(&mut self, mut out: impl FnMut(&[u8])) {
        if self.is_held() {
            self.give(&mut out);
        }
    }

    /// Whether [`Rewrites::quiet`] would give something.
    pub fn is_held(&self) -> bool {
        !self.rewritten && !self.line.is_empty()
    }

    /// Nothing more comes.
    pub fn finish(&mut self, mut out: impl FnMut(&[u8])) {
        self.give(&mut out);
    }

    /// How the line stands that is being written over, without what controls a terminal.
    pub fn state(&self) -> Option<String> {
        let text = self.rewritten.then(|| plain(&String::from_utf8_lossy(&self.line)).into_owned())?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.chars().take(TOLD).collect())
    }

    fn give(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.line.is_empty() {
            return;
        }
        if self.begun && self.rewritten {
            out(b"\n");
        }
        out(&self.line);
        self.line.clear();
        self.begun = true;
        self.rewritten = false;
    }
}

/// A text without control characters and without the sequences that an escape begins.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        if sign == '\u{1b}' {
            // `ESC [ … final` is a sequence; any other escape takes one more character.
            if signs.next() == Some('[') {
                let _ = signs.find(|sign| ('@'..='~').contains(sign));
            }
        } else if !sign.is_control() {
            shown.push(sign);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: &[&str]) -> String {
        let (mut rewrites, mut kept) = (Rewrites::default(), Vec::new());
        for piece in pieces {
            match *piece {
                "…" => rewrites.quiet(|bytes| kept.extend_from_slice(bytes)),
                piece => rewrites.push(piece.as_bytes(), |bytes| kept.extend_from_slice(bytes)),
            }
        }
        rewrites.finish(|bytes| kept.extend_from_slice(bytes));
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn of_a_line_that_is_written_over_the_last_state_is_kept() {
        assert_eq!(kept(&["a\n", " 0%\r 5", "0%\r", "100%\nb"]), "a\n100%\nb");
        assert_eq!(kept(&["\r10%\r20%"]), "20%", "also where it has no end");
        assert_eq!(kept(&["a\r\nb\r", "\nc\r\r\n\r\n"]), "a\nb\nc\n\n", "an end of line is one, however it is written");
        assert_eq!(kept(&["loading", "…", " x", "\r1%\r2%\n", "next\n"]), "loading\n2%\nnext\n");
        assert_eq!(kept(&["Go on? ", "…", "yes\n"]), "Go on? yes\n");
    }

    #[test]
    fn a_bar_takes_no_room_and_a_long_line_is_not_held() {
        let bar: String = (0..100_000).map(|n| format!("\r{n:>6} of 100000")).collect();
        assert_eq!(kept(&[&bar, "\n"]), " 99999 of 100000\n");
        let mut rewrites = Rewrites::default();
        let mut given = 0;
        rewrites.push(&vec![b'x'; 10 * LONGEST], |bytes| given += bytes.len());
        assert_eq!(given, 10 * LONGEST);
    }

    #[test]
    fn the_state_is_told_without_what_controls_a_terminal() {
        let mut rewrites = Rewrites::default();
        rewrites.push(b"plain", |_| {});
        assert_eq!((rewrites.state(), rewrites.is_held()), (None, true));
        rewrites.push(b"\r\x1b[2K\x1b[32m 40%\x1b[0m\x07 ", |_| {});
        assert_eq!((rewrites.state().as_deref(), rewrites.is_held()), (Some("40%"), false));
    }
}
