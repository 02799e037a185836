//! Printing: colours where they are wanted, and questions.

use std::io::{BufRead, IsTerminal, Write};

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

use crate::run::{RunStatus, StepStatus};

use super::failure::Failure;

/// The colours of the command line; states only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// No colour.
    Plain,
    /// Beside the point.
    Dim,
    /// Done.
    Good,
    /// Wrong.
    Bad,
    /// Waits for a person.
    Attention,
    /// At work.
    Active,
    /// What the line is about.
    Strong,
}

impl Ink {
    /// A step's.
    pub fn of_step(status: StepStatus) -> Self {
        match status {
            StepStatus::Completed => Ink::Good,
            StepStatus::Failed => Ink::Bad,
            StepStatus::Held | StepStatus::InReview | StepStatus::Interrupted | StepStatus::Cancelled => Ink::Attention,
            StepStatus::Running | StepStatus::Stopping | StepStatus::Waiting => Ink::Active,
            StepStatus::Pending | StepStatus::Skipped => Ink::Dim,
        }
    }

    /// A run's.
    pub fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Completed => Ink::Good,
            RunStatus::Failed => Ink::Bad,
            RunStatus::Paused | RunStatus::Cancelled => Ink::Attention,
            RunStatus::Running => Ink::Active,
            RunStatus::Idle => Ink::Plain,
        }
    }

    fn code(self) -> Option<&'static str> {
        Some(match self {
            Ink::Plain => return None,
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Attention => "33",
            Ink::Active => "36",
            Ink::Strong => "1",
        })
    }
}

/// Whether colours are wanted on a stream.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For a stream that is, or is not, a terminal.
    pub fn new(no_color: bool, terminal: bool) -> Self {
        // https://no-color.org: set and not empty.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: terminal && !no_color && !refused && !dumb }
    }

    /// For stdout.
    pub fn stdout(no_color: bool) -> Self {
        Self::new(no_color, std::io::stdout().is_terminal())
    }

    /// For stderr.
    pub fn stderr(no_color: bool) -> Self {
        Self::new(no_color, std::io::stderr().is_terminal())
    }

    /// Whether there are colours.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// Text in a colour. The text must be clean.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        match ink.code().filter(|_| self.on && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

/// A drawn line as text for a terminal: its colours, and nothing else that a terminal would act on.
pub fn sgr(line: &Line<'_>) -> String {
    let mut text = String::new();
    for span in &line.spans {
        let codes = codes(line.style.patch(span.style));
        if codes.is_empty() {
            text.push_str(&span.content);
        } else {
            text.push_str(&format!("\x1b[{}m{}\x1b[0m", codes.join(";"), span.content));
        }
    }
    text
}

fn codes(style: Style) -> Vec<String> {
    const MODIFIERS: [(Modifier, &str); 8] = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::SLOW_BLINK, "5"),
        (Modifier::REVERSED, "7"),
        (Modifier::HIDDEN, "8"),
        (Modifier::CROSSED_OUT, "9"),
    ];
    let mut codes: Vec<String> = MODIFIERS
        .iter()
        .filter(|(modifier, _)| style.add_modifier.contains(*modifier))
        .map(|(_, code)| (*code).to_owned())
        .collect();
    codes.extend(style.fg.and_then(|color| color_code(color, 30)));
    codes.extend(style.bg.and_then(|color| color_code(color, 40)));
    codes
}

fn color_code(color: Color, base: u8) -> Option<String> {
    let named = |number: u8| if number < 8 { base + number } else { base + 60 + number - 8 }.to_string();
    Some(match color {
        Color::Reset => return None,
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => format!("{};2;{red};{green};{blue}", base + 8),
    })
}

/// Asks a yes-or-no question; no answer is no.
///
/// # Errors
/// There is nobody to ask; says so, that `nothing` was done, and that `--yes` would be the answer.
pub fn confirmed(question: &str, nothing: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    if !std::io::stdin().is_terminal() || !out.is_terminal() {
        return Err(Failure::usage(format!("{nothing}: there is nobody to ask here; --yes says that it is meant")));
    }
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_output_are_kept_and_nothing_else() {
        let mut ansi = crate::console::text::Ansi::new(crate::console::text::Colors::Keep);
        let line = ansi.line(b"\x1b[1;31mred\x1b[0m plain \x1b[38;5;94mbrown\x1b[0m\x1b[2J\x1b]0;title\x07");
        let text = sgr(&line);
        assert!(text.contains("\x1b[1;31mred\x1b[0m plain \x1b[38;5;94mbrown\x1b[0m"), "{text:?}");
        assert!(!text.contains("[2J") && !text.contains("]0;"), "{text:?}");
    }
}
