//! The themes: contrast, colour-blind safety, fallbacks.

use super::color::{nearest_256, palette, rgb_of_256};
use super::*;
use crate::console::text::{Charset, width};
use crate::run::STEP_STATUSES;

const RUN_STATUSES: [RunStatus; 6] = [
    RunStatus::Idle,
    RunStatus::Running,
    RunStatus::Paused,
    RunStatus::Completed,
    RunStatus::Failed,
    RunStatus::Cancelled,
];

type Rgb = [f64; 3];

fn linear(c: (u8, u8, u8)) -> Rgb {
    [c.0, c.1, c.2].map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

fn split(c: u32) -> (u8, u8, u8) {
    ((c >> 16) as u8, (c >> 8) as u8, c as u8)
}

fn luminance(c: (u8, u8, u8)) -> f64 {
    let [r, g, b] = linear(c);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// WCAG 2's contrast ratio.
pub(in crate::console) fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// A colour that is drawn; of the terminal's own text and background, what such terminals have at the least. Nothing for the colours that a program
/// has chosen for its output.
pub(in crate::console) fn rgb(theme: ThemeName, color: Color, is_text: bool) -> Option<(u8, u8, u8)> {
    match color {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Reset if is_text => Some(own_text(theme)),
        // The least plain of its backgrounds.
        Color::Reset => backgrounds(theme).last().copied(),
        _ => None,
    }
}

/// The terminal's own text: what such themes have at the least.
fn own_text(theme: ThemeName) -> (u8, u8, u8) {
    match theme {
        ThemeName::Dark => (0xd0, 0xd0, 0xd0),
        ThemeName::Light => (0x38, 0x3a, 0x42),
        ThemeName::HighContrast => (255, 255, 255),
    }
}

/// The backgrounds a theme is made for: from the plainest to the least plain of common terminal themes.
fn backgrounds(theme: ThemeName) -> &'static [(u8, u8, u8)] {
    match theme {
        ThemeName::Dark => &[(0, 0, 0), (0x1e, 0x1e, 0x1e), (0x28, 0x2c, 0x34)],
        ThemeName::Light => &[(255, 255, 255), (0xfa, 0xfa, 0xfa), (0xfd, 0xf6, 0xe3)],
        ThemeName::HighContrast => &[(0, 0, 0)],
    }
}

fn needed(theme: ThemeName, role: Role) -> f64 {
    match (theme, role) {
        // Lines, and what is not needed to operate: 3 to 1.
        (ThemeName::Dark | ThemeName::Light, Role::Rule | Role::Faint) => 3.0,
        (ThemeName::HighContrast, _) => 7.0,
        _ => 4.5,
    }
}

#[test]
fn contrast_is_wcag_aa_in_truecolour_and_256() {
    for theme in ThemeName::ALL {
        for role in Role::ALL {
            let (fg, bg) = palette(theme, role);
            let grounds = bg.map_or_else(|| backgrounds(theme).to_vec(), |bg| vec![split(bg)]);
            for depth in [Depth::True, Depth::Ansi256] {
                let mapped = |c| {
                    if depth == Depth::True {
                        c
                    } else {
                        let (r, g, b) = c;
                        rgb_of_256(nearest_256(r, g, b))
                    }
                };
                for ground in &grounds {
                    let ground = if bg.is_some() { mapped(*ground) } else { *ground };
                    let got = contrast(fg.map_or_else(|| own_text(theme), |fg| mapped(split(fg))), ground);
                    assert!(got >= needed(theme, role), "{theme} {role:?} {depth:?} on {ground:?}: {got:.2}");
                }
            }
        }
    }
}

#[test]
fn states_stay_readable_on_the_selection() {
    for theme in ThemeName::ALL {
        for selection in [Role::Selection, Role::SelectionIdle] {
            let ground = split(palette(theme, selection).1.unwrap());
            for status in STEP_STATUSES {
                let (fg, _) = palette(theme, step_role(status));
                let got = contrast(split(fg.unwrap()), ground);
                assert!(got >= 4.5, "{theme} {status:?} on {selection:?}: {got:.2}");
            }
        }
    }
}

/// Machado, Oliveira and Fernandes (2009), full severity, in linear RGB.
const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
    ("normal", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    (
        "deuteranopia",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
];

fn lab(c: Rgb) -> [f64; 3] {
    let [r, g, b] = c.map(|v| v.clamp(0.0, 1.0));
    let xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    ];
    let [x, y, z] = xyz.map(|t| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn states_differ_for_every_kind_of_vision() {
    let states = [Role::Running, Role::Done, Role::Failed, Role::Held];
    for theme in ThemeName::ALL {
        for (vision, matrix) in VISIONS {
            let seen = |role| {
                let c = linear(split(palette(theme, role).0.unwrap()));
                lab(matrix.map(|row| row[0] * c[0] + row[1] * c[1] + row[2] * c[2]))
            };
            for (i, a) in states.iter().enumerate() {
                for b in &states[i + 1..] {
                    let (p, q) = (seen(*a), seen(*b));
                    let distance = (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f64>().sqrt();
                    assert!(distance >= 15.0, "{theme} {vision}: {a:?} and {b:?} are {distance:.1} apart");
                }
            }
        }
    }
}

#[test]
fn every_glyph_fills_one_cell_and_tells_states_apart() {
    for glyphs in [Glyphs::UNICODE, Glyphs::ASCII] {
        let steps: Vec<&str> = STEP_STATUSES.iter().map(|s| glyphs.step(*s)).collect();
        let runs: Vec<&str> = RUN_STATUSES.iter().map(|s| glyphs.run(*s)).collect();
        for all in [&steps, &runs] {
            let different: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(different.len(), all.len(), "{all:?}");
        }
        let lines = [
            glyphs.rule,
            glyphs.bar,
            glyphs.gauge_full,
            glyphs.gauge_empty,
            glyphs.selected,
            glyphs.stderr,
            glyphs.wrapped,
            glyphs.more_right,
            glyphs.more_left,
            glyphs.up,
            glyphs.down,
            glyphs.arrow,
            glyphs.dot,
            glyphs.times,
            glyphs.ellipsis,
            glyphs.track,
            glyphs.thumb,
        ];
        for glyph in steps.iter().chain(&runs).chain(&lines) {
            assert_eq!(width(glyph), 1, "{glyph}");
            assert_eq!(crate::console::text::clean(glyph), *glyph);
            assert!(glyphs.charset() == Charset::Unicode || glyph.is_ascii(), "{glyph}");
        }
    }
}

#[test]
fn words_fit_their_column() {
    for status in STEP_STATUSES {
        assert!((4..=11).contains(&step_word(status).len()), "{status:?}");
    }
}

#[test]
fn a_gauge_says_full_and_empty_only_when_it_is_true() {
    let gauge = |done, total| {
        let (full, rest) = Glyphs::ASCII.gauge(done, total, 10);
        full + &rest
    };
    assert_eq!(gauge(0, 1000), "----------");
    assert_eq!(gauge(1, 1000), "#---------");
    assert_eq!(gauge(500, 1000), "#####-----");
    assert_eq!(gauge(999, 1000), "#########-");
    assert_eq!(gauge(1000, 1000), "##########");
    assert_eq!(gauge(0, 0), "----------");
    assert_eq!(Glyphs::ASCII.gauge(1, 2, 0), (String::new(), String::new()));
}

#[test]
fn the_environment_decides_the_depth() {
    let depth = |env: &'static [(&str, &str)]| {
        Depth::from_lookup(move |name| env.iter().find(|(k, _)| *k == name).map(|(_, v)| *v))
    };
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
    assert_eq!(depth(&[("TERM", "xterm-256color")]), Depth::Ansi256);
    assert_eq!(depth(&[("TERM", "xterm-kitty")]), Depth::True);
    assert_eq!(depth(&[("TERM", "linux")]), Depth::Ansi16);
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::None);
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Ansi256);
    assert_eq!(depth(&[("TERM", "dumb")]), Depth::None);
}

#[test]
fn a_terminal_without_colours_gets_none() {
    for theme in ThemeName::ALL {
        let theme = Theme::new(theme, Depth::None);
        for role in Role::ALL {
            assert_eq!((theme.style(role).fg, theme.style(role).bg), (None, None));
        }
        assert_eq!(theme.base(), Style::new());
        assert_ne!(theme.style(Role::Selection), theme.style(Role::Text));
        assert_ne!(theme.style(Role::MatchCurrent), theme.style(Role::Match));
    }
}

#[test]
fn colours_are_brought_down_to_what_there_is() {
    assert_eq!(rgb_of_256(nearest_256(255, 0, 0)), (255, 0, 0));
    assert_eq!(rgb_of_256(nearest_256(128, 128, 128)), (128, 128, 128));
    let style = Style::new().fg(Color::Rgb(250, 10, 10)).bg(Color::Indexed(21));
    assert_eq!(Depth::Ansi16.adapt(style), Style::new().fg(Color::LightRed).bg(Color::Blue));
    assert_eq!(Depth::None.adapt(style), Style::new());
    assert_eq!(Depth::True.adapt(style), style);
}

#[test]
fn names_of_themes_are_read_and_written() {
    for theme in ThemeName::ALL {
        assert_eq!(theme.to_string().parse(), Ok(theme));
    }
    let error = "solar\x1b".parse::<ThemeName>().unwrap_err();
    assert_eq!(error, "there is no theme \"solar␛\"; there are dark, light and high-contrast");
    let from = |v: &'static str| ThemeName::from_lookup(move |_| Some(v));
    assert_eq!(
        (from("0;15"), from("15;0"), from("15;default;0")),
        (ThemeName::Light, ThemeName::Dark, ThemeName::Dark)
    );
}
