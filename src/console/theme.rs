//! Colours and glyphs by what they mean.
//!
//! Colour is for states and one accent; it never carries a meaning alone: every state has a glyph and a word too. The palettes can be told
//! apart with the common forms of colour blindness and have WCAG AA contrast against the backgrounds they are made for; the tests compute both.

mod color;
mod glyphs;

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

use crate::run::{RunStatus, StepStatus};

pub use color::nearest_256;
pub use glyphs::{Glyphs, run_word, step_word};

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: only bold, dim, underline and reverse.
    None,
    /// The sixteen of the terminal's own palette.
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    #[default]
    True,
}

impl Depth {
    /// From `NO_COLOR`, `COLORTERM` and `TERM`.
    pub fn from_env() -> Depth {
        Depth::from_lookup(|name| std::env::var_os(name))
    }

    /// The same, with the environment given by a function.
    pub fn from_lookup<S: AsRef<OsStr>>(lookup: impl Fn(&str) -> Option<S>) -> Depth {
        let get = |name| lookup(name).map(|v| v.as_ref().to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let term = get("TERM");
        if !get("NO_COLOR").is_empty() || term == "dumb" {
            return Depth::None;
        }
        let known = ["kitty", "alacritty", "ghostty", "wezterm", "foot", "contour", "direct"];
        if matches!(get("COLORTERM").as_str(), "truecolor" | "24bit") || known.iter().any(|name| term.contains(name)) {
            Depth::True
        } else if term.contains("256") {
            Depth::Ansi256
        } else {
            Depth::Ansi16
        }
    }

    /// The nearest style that the terminal can show; for styles that come from elsewhere (output).
    pub fn adapt(self, mut style: Style) -> Style {
        style.fg = style.fg.and_then(|c| self.color(c));
        style.bg = style.bg.and_then(|c| self.color(c));
        style
    }

    fn color(self, color: Color) -> Option<Color> {
        match (self, color) {
            (Depth::None, _) => None,
            (Depth::Ansi256, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_256(r, g, b))),
            (Depth::Ansi16, Color::Rgb(r, g, b)) => Some(color::nearest_16(r, g, b)),
            (Depth::Ansi16, Color::Indexed(n)) => Some(color::indexed_to_16(n)),
            _ => Some(color),
        }
    }
}

/// The themes there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ThemeName {
    /// For dark backgrounds.
    #[default]
    Dark,
    /// For light backgrounds.
    Light,
    /// White on black, with strong colours.
    HighContrast,
}

impl ThemeName {
    /// Every theme, in the order they are offered.
    pub const ALL: [ThemeName; 3] = [ThemeName::Dark, ThemeName::Light, ThemeName::HighContrast];

    /// The name that is written in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            ThemeName::Dark => "dark",
            ThemeName::Light => "light",
            ThemeName::HighContrast => "high-contrast",
        }
    }

    /// The background the terminal says it has (`COLORFGBG`); dark when it says nothing.
    pub fn from_lookup<S: AsRef<OsStr>>(lookup: impl Fn(&str) -> Option<S>) -> ThemeName {
        let background = lookup("COLORFGBG")
            .and_then(|v| v.as_ref().to_str().and_then(|v| v.rsplit(';').next().and_then(|n| n.parse::<u8>().ok())));
        if matches!(background, Some(7 | 9..=15)) { ThemeName::Light } else { ThemeName::Dark }
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ThemeName {
    type Err = String;

    fn from_str(name: &str) -> Result<ThemeName, String> {
        ThemeName::ALL.into_iter().find(|t| t.as_str() == name).ok_or_else(|| {
            format!("there is no theme \"{}\"; there are dark, light and high-contrast", super::text::clean(name))
        })
    }
}

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// What stands out without a colour: names, headings.
    Strong,
    /// What is read second: labels, times, units.
    Muted,
    /// What is only there to be found: line ends, actions that cannot be taken now.
    Faint,
    /// The one accent: what has the focus.
    Accent,
    /// A key in the footer and in help.
    Key,
    /// Lines between things.
    Rule,
    /// The selected row.
    Selection,
    /// The selected row of a pane that has not the focus.
    SelectionIdle,
    /// A match of a search.
    Match,
    /// The match the search stands on.
    MatchCurrent,
    /// Something to look out for; simulated and relaxed marks.
    Warning,
    /// An error the operator should read.
    Error,
    /// The mark of a line that came from standard error.
    Stderr,
    /// Not started.
    Pending,
    /// An attempt is alive.
    Running,
    /// Waits by itself: back-off, stopping.
    Waiting,
    /// Waits for a person: held, paused, interrupted.
    Held,
    /// Waits for a person's verdict.
    Review,
    /// Completed.
    Done,
    /// Failed.
    Failed,
    /// Skipped or cancelled.
    Skipped,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 22] = [
        Role::Text,
        Role::Strong,
        Role::Muted,
        Role::Faint,
        Role::Accent,
        Role::Key,
        Role::Rule,
        Role::Selection,
        Role::SelectionIdle,
        Role::Match,
        Role::MatchCurrent,
        Role::Warning,
        Role::Error,
        Role::Stderr,
        Role::Pending,
        Role::Running,
        Role::Waiting,
        Role::Held,
        Role::Review,
        Role::Done,
        Role::Failed,
        Role::Skipped,
    ];
}

/// The role of a step's state.
pub fn step_role(status: StepStatus) -> Role {
    match status {
        StepStatus::Pending => Role::Pending,
        StepStatus::Held | StepStatus::Interrupted => Role::Held,
        StepStatus::Running => Role::Running,
        StepStatus::Stopping | StepStatus::Waiting => Role::Waiting,
        StepStatus::InReview => Role::Review,
        StepStatus::Completed => Role::Done,
        StepStatus::Failed => Role::Failed,
        StepStatus::Skipped | StepStatus::Cancelled => Role::Skipped,
    }
}

/// The role of a run's state.
pub fn run_role(status: RunStatus) -> Role {
    match status {
        RunStatus::Idle => Role::Pending,
        RunStatus::Running => Role::Running,
        RunStatus::Paused => Role::Held,
        RunStatus::Completed => Role::Done,
        RunStatus::Failed => Role::Failed,
        RunStatus::Cancelled => Role::Skipped,
    }
}

/// A theme for a terminal with so many colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Theme {
    name: ThemeName,
    depth: Depth,
}

impl Theme {
    /// This theme in this many colours.
    pub fn new(name: ThemeName, depth: Depth) -> Theme {
        Theme { name, depth }
    }

    /// What the environment asks for.
    pub fn from_env() -> Theme {
        Theme::new(ThemeName::from_lookup(|name| std::env::var_os(name)), Depth::from_env())
    }

    /// Which one it is.
    pub fn name(&self) -> ThemeName {
        self.name
    }

    /// How many colours it uses.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The style of the whole screen; everything else is laid over it. Only the high-contrast theme paints the background.
    pub fn base(&self) -> Style {
        match (self.name, self.depth) {
            (ThemeName::HighContrast, Depth::True | Depth::Ansi256) => {
                self.depth.adapt(Style::new().fg(Color::Rgb(255, 255, 255)).bg(Color::Rgb(0, 0, 0)))
            }
            (ThemeName::HighContrast, Depth::Ansi16) => Style::new().fg(Color::White).bg(Color::Black),
            _ => Style::new(),
        }
    }

    /// The style of what has this meaning.
    pub fn style(&self, role: Role) -> Style {
        let style = Style::new().add_modifier(modifiers(role, self.depth));
        match self.depth {
            Depth::None => style,
            Depth::Ansi16 => {
                let (fg, bg) = color::palette_16(self.name, role);
                with(style, fg, bg)
            }
            Depth::Ansi256 | Depth::True => {
                let (fg, bg) = color::palette(self.name, role);
                let rgb = |c: u32| Color::Rgb((c >> 16) as u8, (c >> 8) as u8, c as u8);
                self.depth.adapt(with(style, fg.map(rgb), bg.map(rgb)))
            }
        }
    }

    /// The style of a step's state.
    pub fn step(&self, status: StepStatus) -> Style {
        self.style(step_role(status))
    }

    /// The style of a run's state.
    pub fn run(&self, status: RunStatus) -> Style {
        self.style(run_role(status))
    }
}

fn with(mut style: Style, fg: Option<Color>, bg: Option<Color>) -> Style {
    style.fg = fg;
    style.bg = bg;
    style
}

/// What sets a role apart besides its colour; more of it where there is none.
fn modifiers(role: Role, depth: Depth) -> Modifier {
    let few = depth <= Depth::Ansi16;
    match role {
        Role::Strong | Role::Key | Role::Failed | Role::Error | Role::Held | Role::Review => Modifier::BOLD,
        Role::MatchCurrent if few => Modifier::REVERSED.union(Modifier::BOLD),
        Role::MatchCurrent => Modifier::BOLD,
        Role::Selection if few => Modifier::REVERSED,
        Role::SelectionIdle | Role::Match if few => Modifier::UNDERLINED,
        Role::Faint | Role::Rule if depth == Depth::None => Modifier::DIM,
        Role::Accent | Role::Warning if depth == Depth::None => Modifier::BOLD,
        _ => Modifier::empty(),
    }
}

#[cfg(test)]
pub(super) mod tests;
