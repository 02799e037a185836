//! Glyphs and words for states, and the characters that lines and gauges are made of.

use crate::console::text::Charset;
use crate::run::{RunStatus, StepStatus};

/// The characters the console draws with. Every one fills one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// A horizontal line between things.
    pub rule: &'static str,
    /// A vertical line between things.
    pub bar: &'static str,
    /// The part of a gauge that is done.
    pub gauge_full: &'static str,
    /// The part of a gauge that has failed.
    pub gauge_failed: &'static str,
    /// The part of a gauge that runs.
    pub gauge_running: &'static str,
    /// The part of a gauge that is left.
    pub gauge_empty: &'static str,
    /// At the left of the selected row.
    pub selected: &'static str,
    /// Beside the state of what is marked.
    pub marked: &'static str,
    /// At the left of a row that is being moved.
    pub moved: &'static str,
    /// At the left of a line from standard error.
    pub stderr: &'static str,
    /// At the left of a row that goes on from the one above.
    pub wrapped: &'static str,
    /// At the right of a line that goes on beyond the pane.
    pub more_right: &'static str,
    /// At the left of a line that is scrolled.
    pub more_left: &'static str,
    /// There is more above.
    pub up: &'static str,
    /// There is more below.
    pub down: &'static str,
    /// The run went back.
    pub back: &'static str,
    /// Between two values: from, to.
    pub arrow: &'static str,
    /// Between parts of a line.
    pub dot: &'static str,
    /// Before the number of a step's newest attempt, where it is not the first: "×2".
    pub times: &'static str,
    /// For what was cut off.
    pub ellipsis: &'static str,
    /// The track of a scroll bar.
    pub track: &'static str,
    /// The thumb of a scroll bar.
    pub thumb: &'static str,
    /// A span of time in which something ran.
    pub span: &'static str,
    /// The same, of a step that decides how long the run takes.
    pub span_critical: &'static str,
    /// A span that is expected.
    pub ahead: &'static str,
    /// The same, of a step that decides.
    pub ahead_critical: &'static str,
    /// A span of waiting for the next attempt.
    pub backoff: &'static str,
    /// A span of waiting for a person.
    pub standing: &'static str,
    /// Before the name of a step that decides how long the run takes.
    pub critical: &'static str,
    /// The parts of a column of a chart, from an eighth to all of it.
    pub eighths: [&'static str; 8],
    /// Before what is not as it should be.
    pub degraded: &'static str,
    /// Beside what is folded.
    pub folded: &'static str,
    /// Beside what can be folded.
    pub unfolded: &'static str,
    charset: Charset,
}

impl Glyphs {
    /// For terminals with Unicode.
    pub const UNICODE: Glyphs = Glyphs {
        rule: "─",
        bar: "│",
        gauge_full: "━",
        gauge_failed: "×",
        gauge_running: "╍",
        gauge_empty: "─",
        selected: "▌",
        marked: "✚",
        moved: "↕",
        stderr: "▎",
        wrapped: "↳",
        more_right: "›",
        more_left: "‹",
        up: "↑",
        down: "↓",
        back: "↶",
        arrow: "→",
        dot: "·",
        times: "×",
        ellipsis: "…",
        track: "│",
        thumb: "┃",
        span: "━",
        span_critical: "▆",
        ahead: "╌",
        ahead_critical: "╍",
        backoff: "·",
        standing: "░",
        critical: "»",
        eighths: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        degraded: "▲",
        folded: "▸",
        unfolded: "▾",
        charset: Charset::Unicode,
    };

    /// For terminals that have only ASCII.
    pub const ASCII: Glyphs = Glyphs {
        rule: "-",
        bar: "|",
        gauge_full: "#",
        gauge_failed: "x",
        gauge_running: ">",
        gauge_empty: "-",
        selected: ">",
        marked: "#",
        moved: "=",
        stderr: "!",
        wrapped: "\\",
        more_right: ">",
        more_left: "<",
        up: "^",
        down: "v",
        back: "<",
        arrow: ">",
        dot: ".",
        times: "x",
        ellipsis: "~",
        track: "|",
        thumb: "#",
        span: "=",
        span_critical: "#",
        ahead: "-",
        ahead_critical: "+",
        backoff: ".",
        standing: ":",
        critical: ">",
        eighths: ["_", ":", "-", "=", "+", "*", "%", "#"],
        degraded: "!",
        folded: "+",
        unfolded: "-",
        charset: Charset::Ascii,
    };

    /// Those that the terminal can show.
    pub const fn new(charset: Charset) -> Glyphs {
        match charset {
            Charset::Unicode => Glyphs::UNICODE,
            Charset::Ascii => Glyphs::ASCII,
        }
    }

    /// Which ones they are.
    pub const fn charset(&self) -> Charset {
        self.charset
    }

    /// The glyph of a step's state.
    pub const fn step(&self, status: StepStatus) -> &'static str {
        let (unicode, ascii) = match status {
            StepStatus::Pending => ("○", "."),
            StepStatus::Held => ("◆", "H"),
            StepStatus::Running => ("●", "*"),
            StepStatus::Stopping => ("◐", "%"),
            StepStatus::Waiting => ("↻", "~"),
            StepStatus::InReview => ("◇", "?"),
            StepStatus::Interrupted => ("!", "!"),
            StepStatus::Completed => ("✔", "+"),
            StepStatus::Failed => ("✘", "x"),
            StepStatus::Skipped => ("↷", ">"),
            StepStatus::Cancelled => ("⊘", "-"),
        };
        self.choose(unicode, ascii)
    }

    /// The glyph of a run's state.
    pub const fn run(&self, status: RunStatus) -> &'static str {
        let (unicode, ascii) = match status {
            RunStatus::Idle => ("○", "."),
            RunStatus::Running => ("●", "*"),
            RunStatus::Paused => ("‖", "="),
            RunStatus::Completed => ("✔", "+"),
            RunStatus::Failed => ("✘", "x"),
            RunStatus::Cancelled => ("⊘", "-"),
        };
        self.choose(unicode, ascii)
    }

    /// A piece of a line that touches these sides of its cell: 1 the upper, 2 the right, 4 the lower, 8 the left one; those in `heavy` stand out.
    pub const fn line(&self, sides: u8, heavy: u8) -> &'static str {
        // By the weights of the four sides, none, light or heavy, as digits to the base three.
        #[rustfmt::skip]
        const LINES: [&str; 81] = [
            " ", "╴", "╸", "╷", "╮", "┑", "╻", "┒", "┓", "╶", "─", "╾", "╭", "┬", "┭", "┎", "┰", "┱", "╺", "╼", "━", "┍", "┮", "┯", "┏", "┲", "┳",
            "╵", "╯", "┙", "│", "┤", "┥", "╽", "┧", "┪", "╰", "┴", "┵", "├", "┼", "┽", "┟", "╁", "╅", "┕", "┶", "┷", "┝", "┾", "┿", "┢", "╆", "╈",
            "╹", "┚", "┛", "╿", "┦", "┩", "┃", "┨", "┫", "┖", "┸", "┹", "┞", "╀", "╃", "┠", "╂", "╉", "┗", "┺", "┻", "┡", "╄", "╇", "┣", "╊", "╋",
        ];
        if let Charset::Ascii = self.charset {
            let straight = match sides | heavy {
                1 | 4 | 5 => Some(("|", "#")),
                2 | 8 | 10 => Some(("-", "=")),
                _ => None,
            };
            return match straight {
                Some((_, glyph)) if heavy != 0 => glyph,
                Some((glyph, _)) => glyph,
                None if heavy != 0 => "#",
                None => "+",
            };
        }
        let (mut at, mut side) = (0, 1);
        while side <= 8 {
            at = at * 3
                + if heavy & side != 0 {
                    2
                } else if sides & side != 0 {
                    1
                } else {
                    0
                };
            side <<= 1;
        }
        LINES[at as usize]
    }

    const fn choose(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.charset {
            Charset::Unicode => unicode,
            Charset::Ascii => ascii,
        }
    }

    /// The two parts of a gauge of so many cells. Full only when everything is done, empty only when nothing is: a gauge must not
    /// say "ready" before it is true.
    pub fn gauge(&self, done: u64, total: u64, cells: usize) -> (String, String) {
        let full = if total == 0 || cells == 0 {
            0
        } else if done >= total {
            cells
        } else {
            let exact = (u128::from(done) * cells as u128 / u128::from(total)) as usize;
            exact.clamp(usize::from(done > 0 && cells > 1), cells - 1)
        };
        (self.gauge_full.repeat(full), self.gauge_empty.repeat(cells - full))
    }
}

/// The word for a step's state in the console's columns (eleven cells at the most).
pub const fn step_word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "pending",
        StepStatus::Held => "hold",
        StepStatus::Running => "running",
        StepStatus::Stopping => "stopping",
        StepStatus::Waiting => "waiting",
        StepStatus::InReview => "review",
        StepStatus::Interrupted => "interrupted",
        StepStatus::Completed => "done",
        StepStatus::Failed => "failed",
        StepStatus::Skipped => "skipped",
        StepStatus::Cancelled => "cancelled",
    }
}

/// The word for a run's state in the console.
pub fn run_word(status: RunStatus) -> &'static str {
    status.word()
}
