//! The palettes, and colours for terminals that have fewer.

use ratatui::style::Color;

use super::{Role, ThemeName};

/// Foreground and background of a role as `0xRRGGBB`; `None` is the terminal's own.
pub(super) fn palette(theme: ThemeName, role: Role) -> (Option<u32>, Option<u32>) {
    let (dark, light, high) = match role {
        Role::Text | Role::Strong => {
            return (if theme == ThemeName::HighContrast { Some(0xff_ffff) } else { None }, None);
        }
        Role::Selection => return (None, Some(pick(theme, 0x2c_3a58, 0xd9_e4f8, 0x00_3f8a))),
        Role::SelectionIdle => return (None, Some(pick(theme, 0x31_3640, 0xe4_e2da, 0x30_3030))),
        Role::Match => {
            let fg = pick(theme, 0xff_ecb0, 0x10_1010, 0);
            return (Some(fg), Some(pick(theme, 0x5c_4a10, 0xfa_efc4, 0xd8_d8d8)));
        }
        Role::MatchCurrent => {
            return (Some(pick(theme, 0x10_1010, 0x10_1010, 0)), Some(pick(theme, 0xff_c857, 0xff_b52e, 0xff_ff60)));
        }
        Role::Muted | Role::Pending | Role::Skipped => (0xa6_afb9, 0x59_626c, 0xd0_d0d0),
        Role::Faint => (0x85_8d98, 0x74_7c86, 0xb4_b4b4),
        Role::Rule => (0x74_7d89, 0x80_8890, 0xa0_a0a0),
        Role::Accent | Role::Key => (0xb7_c0ff, 0x6d_28d9, 0xff_ffff),
        Role::Running => (0x62_acff, 0x00_40c8, 0x74_b9ff),
        Role::Done => (0x7e_e2a8, 0x00_5545, 0x80_f5b4),
        Role::Failed | Role::Error | Role::Stderr => (0xff_8560, 0xb8_1700, 0xff_9b7d),
        Role::Held | Role::Warning => (0xf7_c948, 0x42_2e00, 0xff_e04d),
        Role::Waiting => (0xd9_c48a, 0x6e_5f2a, 0xf5_e6b0),
        Role::Review => (0xe8_9bdc, 0x93_2f86, 0xff_b3f5),
    };
    (Some(pick(theme, dark, light, high)), None)
}

fn pick(theme: ThemeName, dark: u32, light: u32, high: u32) -> u32 {
    match theme {
        ThemeName::Dark => dark,
        ThemeName::Light => light,
        ThemeName::HighContrast => high,
    }
}

/// The same with the sixteen colours, whose look is the terminal's: so only those that are readable in common palettes.
pub(super) fn palette_16(theme: ThemeName, role: Role) -> (Option<Color>, Option<Color>) {
    let light = theme == ThemeName::Light;
    let fg = match role {
        Role::Muted | Role::Pending | Role::Skipped | Role::Text | Role::Strong => None,
        Role::Faint | Role::Rule => Some(if theme == ThemeName::HighContrast { Color::Gray } else { Color::DarkGray }),
        Role::Selection | Role::SelectionIdle | Role::Match | Role::MatchCurrent => None,
        Role::Accent | Role::Key => None,
        Role::Running => Some(if light { Color::Blue } else { Color::LightBlue }),
        Role::Done => (!light).then_some(Color::Cyan),
        Role::Failed | Role::Error | Role::Stderr => Some(if light { Color::Red } else { Color::LightRed }),
        Role::Held | Role::Warning | Role::Waiting => Some(if light { Color::Magenta } else { Color::LightYellow }),
        Role::Review => Some(if light { Color::Magenta } else { Color::LightMagenta }),
    };
    (fg, None)
}

const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of xterm's 256 colours (never one of the first sixteen, which look different everywhere).
pub fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    let level = |v: u8| (0..6u8).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let (ri, gi, bi) = (level(r), level(g), level(b));
    let cube = 16 + 36 * ri + 6 * gi + bi;
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let step = (mean.saturating_sub(3) / 10).min(23) as u8;
    let gray = 232 + step;
    if distance((r, g, b), rgb_of_256(gray)) < distance((r, g, b), rgb_of_256(cube)) { gray } else { cube }
}

/// The colour that one of xterm's 256 is by default.
pub(super) fn rgb_of_256(n: u8) -> (u8, u8, u8) {
    match n {
        0..=15 => ANSI16[usize::from(n)],
        16..=231 => {
            let n = n - 16;
            let level = |i: u8| LEVELS[usize::from(i)];
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232..=255 => {
            let v = 8 + 10 * (n - 232);
            (v, v, v)
        }
    }
}

/// Xterm's defaults.
const ANSI16: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

const NAMED16: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// The nearest of the sixteen colours.
pub(super) fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    let best = (0..16).min_by_key(|i| distance((r, g, b), ANSI16[*i])).unwrap_or(7);
    NAMED16[best]
}

/// The nearest of the sixteen to one of the 256.
pub(super) fn indexed_to_16(n: u8) -> Color {
    if n < 16 {
        return NAMED16[usize::from(n)];
    }
    let (r, g, b) = rgb_of_256(n);
    nearest_16(r, g, b)
}

/// Squared distance with the weights of the "redmean" approximation.
fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let mean = (u32::from(a.0) + u32::from(b.0)) / 2;
    let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    (((512 + mean) * d(a.0, b.0)) >> 8) + 4 * d(a.1, b.1) + (((767 - mean) * d(a.2, b.2)) >> 8)
}
