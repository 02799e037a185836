//! Output lines with their colours kept and every other control sequence taken out.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use vte::{Params, ParamsIter, Parser, Perform};

use super::{TAB, clean, width};

/// A line is looked at up to here; what reads files hands lines over in pieces that are no longer.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Whether the colours of output are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colors {
    /// As they are.
    #[default]
    Keep,
    /// Taken out (`NO_COLOR`); bold and the like stay.
    Strip,
}

/// One line of output, by itself. See [`Ansi`] for lines that follow each other.
pub fn ansi(line: &[u8]) -> Line<'static> {
    Ansi::new(Colors::Keep).line(line)
}

/// Turns lines of output into styled, clean text. Bold, dim, italic, underline, strike-through, reverse and all colours are kept, and go on from
/// line to line as in a terminal; cursor movement, titles, clipboard, hyperlinks, bells and every other sequence are dropped, blinking and hidden text are shown
/// plainly. A sequence that is not finished ends with its line: it cannot swallow what follows. Of a line that was overwritten by `\r` the text after
/// the last one is shown; a backspace takes a character back; tabs go to stops of eight columns.
#[derive(Debug, Clone, Default)]
pub struct Ansi {
    style: Style,
    colors: Colors,
}

impl Ansi {
    /// Starts with no style.
    pub fn new(colors: Colors) -> Ansi {
        Ansi { style: Style::new(), colors }
    }

    /// The next line, with or without its line end. At most [`MAX_LINE_BYTES`] of it are looked at.
    pub fn line(&mut self, bytes: &[u8]) -> Line<'static> {
        let mut builder = Builder::new(self.style, self.colors);
        Parser::new().advance(&mut builder, cut(bytes));
        self.style = builder.style;
        builder.finish()
    }

    /// Takes the style changes of a line that is not shown.
    pub fn skip(&mut self, bytes: &[u8]) {
        let bytes = cut(bytes);
        if memchr::memchr(0x1b, bytes).is_some() {
            let mut only = StyleOnly { style: self.style, colors: self.colors };
            Parser::new().advance(&mut only, bytes);
            self.style = only.style;
        }
    }
}

fn cut(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    &bytes[..bytes.len().min(MAX_LINE_BYTES)]
}

/// Where that begins which is not finished at the end of these bytes: a character, or a control sequence that begins in them. Their length when nothing is.
pub fn unfinished(bytes: &[u8]) -> usize {
    if let Some(at) = memchr::memrchr(0x1b, bytes) {
        let (mut parser, mut printed) = (Parser::new(), Printed(false));
        parser.advance(&mut printed, &bytes[at..]);
        // A letter is printed unless a sequence takes it.
        printed.0 = false;
        parser.advance(&mut printed, b"m");
        if !printed.0 {
            return at;
        }
    }
    let Some(back) = bytes.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80) else { return bytes.len() };
    let start = bytes.len() - 1 - back;
    let length = match bytes[start] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if length > back + 1 { start } else { bytes.len() }
}

/// Whether something was printed.
struct Printed(bool);

impl Perform for Printed {
    fn print(&mut self, _: char) {
        self.0 = true;
    }
}

struct StyleOnly {
    style: Style,
    colors: Colors,
}

impl Perform for StyleOnly {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() && !ignore {
            sgr(&mut self.style, params, self.colors);
        }
    }
}

struct Builder {
    style: Style,
    colors: Colors,
    spans: Vec<Span<'static>>,
    /// Cleaned text of the span that is being built.
    done: String,
    /// Text of the same span that is not cleaned yet.
    raw: String,
    column: usize,
    /// A `\r` was seen; the next character starts the line over.
    returned: bool,
}

impl Builder {
    fn new(style: Style, colors: Colors) -> Builder {
        Builder {
            style,
            colors,
            spans: Vec::new(),
            done: String::new(),
            raw: String::new(),
            column: 0,
            returned: false,
        }
    }

    fn push(&mut self, c: char) {
        if self.returned {
            self.erase();
        }
        self.raw.push(c);
    }

    fn erase(&mut self) {
        self.returned = false;
        self.spans.clear();
        self.done.clear();
        self.raw.clear();
        self.column = 0;
    }

    fn settle(&mut self) {
        if !self.raw.is_empty() {
            let text = clean(&self.raw);
            self.column += width(&text);
            self.done.push_str(&text);
            self.raw.clear();
        }
    }

    fn close_span(&mut self) {
        self.settle();
        if !self.done.is_empty() {
            self.spans.push(Span::styled(std::mem::take(&mut self.done), self.style));
        }
    }

    fn finish(mut self) -> Line<'static> {
        self.close_span();
        Line::from(self.spans)
    }
}

impl Perform for Builder {
    fn print(&mut self, c: char) {
        self.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.returned = true,
            b'\t' => {
                if self.returned {
                    self.erase();
                }
                self.settle();
                let spaces = TAB - self.column % TAB;
                self.done.extend(std::iter::repeat_n(' ', spaces));
                self.column += spaces;
            }
            0x08 => {
                self.raw.pop();
            }
            // Bell, shift in and out, vertical tab and form feed: nothing to see.
            0x07 | 0x0b | 0x0c | 0x0e | 0x0f => {}
            0x80.. => self.push(super::REPLACEMENT),
            _ => self.push(char::from(byte)),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if !intermediates.is_empty() || ignore {
            return;
        }
        match action {
            'm' => {
                let mut style = self.style;
                sgr(&mut style, params, self.colors);
                if style != self.style {
                    self.close_span();
                    self.style = style;
                }
            }
            'K' => {
                let whole = params.iter().next().is_some_and(|p| p.first() == Some(&2));
                if whole || self.returned {
                    let returned = self.returned;
                    self.erase();
                    self.returned = returned;
                }
            }
            _ => {}
        }
    }
}

/// Applies "select graphic rendition".
fn sgr(style: &mut Style, params: &Params, colors: Colors) {
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let on = |style: &mut Style, m: Modifier| style.add_modifier |= m;
        let off = |style: &mut Style, m: Modifier| style.add_modifier -= m;
        match param.first().copied().unwrap_or(0) {
            0 => *style = Style::new(),
            1 => on(style, Modifier::BOLD),
            2 => on(style, Modifier::DIM),
            3 => on(style, Modifier::ITALIC),
            4 if param.get(1) == Some(&0) => off(style, Modifier::UNDERLINED),
            4 | 21 => on(style, Modifier::UNDERLINED),
            7 => on(style, Modifier::REVERSED),
            9 => on(style, Modifier::CROSSED_OUT),
            22 => off(style, Modifier::BOLD | Modifier::DIM),
            23 => off(style, Modifier::ITALIC),
            24 => off(style, Modifier::UNDERLINED),
            27 => off(style, Modifier::REVERSED),
            29 => off(style, Modifier::CROSSED_OUT),
            n @ 30..=37 => style.fg = Some(basic(n - 30)),
            38 => style.fg = extended(param, &mut params).or(style.fg),
            39 => style.fg = None,
            n @ 40..=47 => style.bg = Some(basic(n - 40)),
            48 => style.bg = extended(param, &mut params).or(style.bg),
            49 => style.bg = None,
            // The colour of an underline takes arguments that are no codes of their own.
            58 => drop(extended(param, &mut params)),
            n @ 90..=97 => style.fg = Some(basic(n - 90 + 8)),
            n @ 100..=107 => style.bg = Some(basic(n - 100 + 8)),
            _ => {}
        }
    }
    if colors == Colors::Strip {
        style.fg = None;
        style.bg = None;
    }
}

fn basic(n: u16) -> Color {
    match n {
        0 => Color::Black,
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        6 => Color::Cyan,
        7 => Color::Gray,
        8 => Color::DarkGray,
        9 => Color::LightRed,
        10 => Color::LightGreen,
        11 => Color::LightYellow,
        12 => Color::LightBlue,
        13 => Color::LightMagenta,
        14 => Color::LightCyan,
        _ => Color::White,
    }
}

/// `38;5;n`, `38;2;r;g;b`, and the forms with colons.
fn extended(param: &[u16], rest: &mut ParamsIter<'_>) -> Option<Color> {
    let byte = |n: Option<u16>| n.and_then(|n| u8::try_from(n).ok());
    if let Some((kind, args)) = param.get(1..).and_then(<[u16]>::split_first) {
        return match (kind, args) {
            (5, [n, ..]) => byte(Some(*n)).map(Color::Indexed),
            // With four or more arguments the first one names a colour space.
            (2, [_, r, g, b, ..]) | (2, [r, g, b]) => {
                Some(Color::Rgb(byte(Some(*r))?, byte(Some(*g))?, byte(Some(*b))?))
            }
            _ => None,
        };
    }
    let mut next = || rest.next().and_then(|p| p.first().copied());
    match next()? {
        5 => byte(next()).map(Color::Indexed),
        2 => {
            let (r, g, b) = (next(), next(), next());
            Some(Color::Rgb(byte(r)?, byte(g)?, byte(b)?))
        }
        _ => None,
    }
}
