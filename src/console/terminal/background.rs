//! Asks the terminal for the colour of its background, so that the theme fits it.
//!
//! The question (OSC 11) is followed by another that every terminal answers (its attributes, DA1): so a terminal that does not know the first one
//! costs no wait. What is typed meanwhile is kept. An answer that comes after the wait would look like keys; [`Late`] takes it out.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Guard, Typed};

/// The question, and the one that is answered by all.
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";
/// So long an answer is waited for: a far terminal has time, and nobody notices.
const WAIT: Duration = Duration::from_millis(200);
/// So long an answer may still come that was not waited for.
const LATE: Duration = Duration::from_secs(10);
/// No answer has more keys than this.
const LONGEST: usize = 64;

/// What came of the question.
#[derive(Debug, Default)]
pub struct Background {
    /// Whether it is a light one; `None` where the terminal does not say.
    pub is_light: Option<bool>,
    /// What was typed meanwhile.
    pub typed: Vec<Event>,
    /// For what may still come.
    pub late: Late,
}

impl Background {
    /// Asks. Nobody else may read the terminal meanwhile.
    ///
    /// # Errors
    /// The terminal takes nothing.
    pub async fn ask(guard: &mut Guard) -> io::Result<Self> {
        // The kernel's console answers nothing, and prints what it does not know.
        let dumb = matches!(std::env::var("TERM").as_deref(), Ok("linux" | "dumb"));
        if dumb || !io::stdin().is_terminal() {
            return Ok(Self::default());
        }
        guard.send_bytes(QUESTION)?;
        let read = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        let heard = Heard::of(&read);
        let late = Late { until: (!heard.answered).then(|| Instant::now() + LATE), inside: 0 };
        Ok(Self { is_light: heard.color.map(is_light), typed: heard.typed, late })
    }
}

/// What comes until the second question is answered, or the wait is over.
fn read() -> Vec<u8> {
    let (stdin, until) = (io::stdin(), Instant::now() + WAIT);
    let mut read = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ends, Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(1..) => {}
            Ok(0) | Err(_) => return read,
        }
        let mut buffer = [0; 1024];
        match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) | Err(_) => return read,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
        if Heard::of(&read).answered {
            return read;
        }
    }
}

fn is_light([red, green, blue]: [f64; 3]) -> bool {
    0.299 * red + 0.587 * green + 0.114 * blue > 0.5
}

/// What was read, taken apart.
#[derive(Debug, Default)]
struct Heard {
    color: Option<[f64; 3]>,
    answered: bool,
    typed: Vec<Event>,
}

impl Heard {
    fn of(read: &[u8]) -> Self {
        let mut heard = Self::default();
        let mut rest = read;
        while let Some((first, tail)) = rest.split_first() {
            let taken = match (first, tail) {
                (0x1b, [b']', body @ ..]) => 2 + heard.command(body),
                (0x1b, [b'[', body @ ..]) => 2 + heard.control(body),
                (0x1b, [b'O', code, ..]) => {
                    heard.named(*code, KeyModifiers::NONE);
                    3
                }
                _ => heard.character(rest),
            };
            rest = &rest[taken.min(rest.len())..];
        }
        heard
    }

    /// The body of an OSC, up to its end.
    fn command(&mut self, body: &[u8]) -> usize {
        let end = body.iter().position(|byte| matches!(byte, 0x07 | 0x1b)).unwrap_or(body.len());
        if let Some(color) = body[..end].strip_prefix(b"11;").and_then(color) {
            self.color = Some(color);
        }
        // ESC \ has two bytes.
        end + if body.get(end) == Some(&0x1b) { 2 } else { 1 }
    }

    /// What follows CSI.
    fn control(&mut self, body: &[u8]) -> usize {
        let Some(end) = body.iter().position(|byte| (0x40..=0x7e).contains(byte)) else { return body.len() };
        match (body[end], &body[..end]) {
            (b'c', [b'?', ..]) => self.answered = true,
            (b'~', number) => {
                let code = match number {
                    b"3" => KeyCode::Delete,
                    b"5" => KeyCode::PageUp,
                    b"6" => KeyCode::PageDown,
                    b"15" => KeyCode::F(5),
                    _ => return end + 1,
                };
                self.key(code, KeyModifiers::NONE);
            }
            (code, []) => self.named(code, KeyModifiers::NONE),
            // Reports of the mouse and the like.
            _ => {}
        }
        end + 1
    }

    fn named(&mut self, code: u8, modifiers: KeyModifiers) {
        let code = match code {
            b'A' => KeyCode::Up,
            b'B' => KeyCode::Down,
            b'C' => KeyCode::Right,
            b'D' => KeyCode::Left,
            b'F' => KeyCode::End,
            b'H' => KeyCode::Home,
            b'P' => KeyCode::F(1),
            b'Z' => KeyCode::BackTab,
            _ => return,
        };
        self.key(code, modifiers);
    }

    fn character(&mut self, rest: &[u8]) -> usize {
        let control = |byte: u8| KeyCode::Char(char::from(byte | 0x60));
        match rest[0] {
            b'\r' => self.key(KeyCode::Enter, KeyModifiers::NONE),
            b'\t' => self.key(KeyCode::Tab, KeyModifiers::NONE),
            0x7f => self.key(KeyCode::Backspace, KeyModifiers::NONE),
            0x1b => self.key(KeyCode::Esc, KeyModifiers::NONE),
            byte @ 1..0x1b => self.key(control(byte), KeyModifiers::CONTROL),
            _ => {
                let text = String::from_utf8_lossy(&rest[..rest.len().min(4)]);
                let Some(character) = text.chars().next() else { return 1 };
                if character == char::REPLACEMENT_CHARACTER {
                    return 1;
                }
                self.key(KeyCode::Char(character), KeyModifiers::NONE);
                return character.len_utf8();
            }
        }
        1
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.typed.push(Event::Key(KeyEvent::new(code, modifiers)));
    }
}

/// A colour as X writes it, each part from 0 to 1: `rgb:1e1e/2222/2828`, with one to four digits, and perhaps a fourth part.
fn color(written: &[u8]) -> Option<[f64; 3]> {
    let written = std::str::from_utf8(written).ok()?;
    let parts = written.strip_prefix("rgb:").or_else(|| written.strip_prefix("rgba:"))?;
    let mut parts = parts.split('/').map(|part| {
        let most = f64::from(16_u32.checked_pow(u32::try_from(part.len()).ok()?)? - 1);
        (1..=4).contains(&part.len()).then(|| Some(f64::from(u32::from_str_radix(part, 16).ok()?) / most))?
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Takes an answer that came too late out of what is typed: read as keys, it would do something.
#[derive(Debug, Default)]
pub struct Late {
    /// Until when one may come.
    until: Option<Instant>,
    /// How many of its keys have come.
    inside: usize,
}

impl Late {
    /// Whether an event is a part of such an answer.
    pub fn takes(&mut self, typed: &Typed) -> bool {
        let Some(until) = self.until else { return false };
        let Event::Key(KeyEvent { code, modifiers, .. }) = typed.event else { return false };
        if self.inside == 0 {
            if typed.at > until {
                self.until = None;
                return false;
            }
            // ESC ] is what Alt-] sends.
            let begins = code == KeyCode::Char(']') && modifiers.contains(KeyModifiers::ALT);
            self.inside = usize::from(begins);
            return begins;
        }
        self.inside += 1;
        let ends = match code {
            KeyCode::Char('g') => modifiers.contains(KeyModifiers::CONTROL),
            KeyCode::Char('\\') => modifiers.contains(KeyModifiers::ALT),
            _ => self.inside > LONGEST,
        };
        if ends {
            *self = Self::default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(heard: &Heard) -> Vec<(KeyCode, KeyModifiers)> {
        let key = |event: &Event| event.as_key_event().map(|key| (key.code, key.modifiers));
        heard.typed.iter().filter_map(key).collect()
    }

    #[test]
    fn the_answer_is_told_from_what_is_typed() {
        let heard = Heard::of(b"j\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\\x1b[B\r\x1b[?62;22cq\x03");
        assert!(heard.answered && heard.color.is_some_and(is_light));
        let none = KeyModifiers::NONE;
        let expected = [
            (KeyCode::Char('j'), none),
            (KeyCode::Down, none),
            (KeyCode::Enter, none),
            (KeyCode::Char('q'), none),
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
        ];
        assert_eq!(keys(&heard), expected);
        let heard = Heard::of("ü\x1b]11;rgb:1e/22/28\x07".as_bytes());
        assert!(!heard.answered && !heard.color.is_some_and(is_light));
        assert_eq!(keys(&heard), [(KeyCode::Char('ü'), none)]);
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        for read in [
            &b"\x1b]11;?\x07"[..],
            b"\x1b]10;rgb:ff/ff/ff\x07",
            b"\x1b]11;rgb:12345/0/0\x07",
            b"\x1b]11;rgb:f",
            b"\x1b[",
        ] {
            let heard = Heard::of(read);
            assert!(heard.color.is_none() && keys(&heard).is_empty(), "{read:?}");
        }
    }

    #[test]
    fn an_answer_that_comes_late_is_not_taken_for_keys() {
        let typed = |code, modifiers| Typed { at: Instant::now(), event: Event::Key(KeyEvent::new(code, modifiers)) };
        let plain = |letter| typed(KeyCode::Char(letter), KeyModifiers::NONE);
        let mut late = Late { until: Some(Instant::now() + LATE), inside: 0 };
        assert!(!late.takes(&plain('j')));
        assert!(late.takes(&typed(KeyCode::Char(']'), KeyModifiers::ALT)));
        for letter in "11;rgb:1e1e/2222/2828".chars() {
            assert!(late.takes(&plain(letter)), "{letter}");
        }
        assert!(late.takes(&typed(KeyCode::Char('\\'), KeyModifiers::ALT)));
        assert!(!late.takes(&plain('r')) && !late.takes(&typed(KeyCode::Char(']'), KeyModifiers::ALT)));
    }
}
