//! How the places look in each theme: every cell's colours and modifiers, beside its text, and the contrast of what is drawn.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::screens::full_list;
use super::*;
use crate::console::theme::tests::{contrast, rgb};

const SIZE: (u16, u16) = (80, 24);
const PLACES: [(&str, &str); 9] = [
    ("run", ""),
    ("log", "Tab Tab"),
    ("question", "c"),
    ("timeline", "T"),
    ("graph", "D"),
    ("checkpoints", "C"),
    ("metrics", "M"),
    ("palette", ":"),
    ("help", "?"),
];

/// Every place in a theme: the list of runs, and those of a run that has failed.
fn places(theme: Theme) -> Vec<(&'static str, Buffer)> {
    let mut list = full_list(SIZE);
    list.theme = theme;
    let mut drawn = vec![("runs", buffer(&mut list))];
    let sim = failed();
    for (place, keys) in PLACES {
        let mut app = open(&sim, SIZE);
        app.theme = theme;
        output(&mut app, &["checking dump.sql", "\u{1b}[31mchecksum mismatch\u{1b}[0m", "exit status 1"]);
        if !keys.is_empty() {
            press(&mut app, keys);
        }
        drawn.push((place, buffer(&mut app)));
    }
    drawn
}

fn buffer(app: &mut App) -> Buffer {
    screen(app);
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// A colour as one writes it.
fn name(color: Color) -> String {
    match color {
        Color::Reset => "default".into(),
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn style(cell: &Cell) -> String {
    let mut said = name(cell.fg);
    if cell.bg != Color::Reset {
        said.push_str(&format!(" on {}", name(cell.bg)));
    }
    for (modifier, _) in cell.modifier.iter_names() {
        said.push_str(&format!(" {}", modifier.to_lowercase()));
    }
    said
}

/// Each line of text, below it a letter for the style of each cell, and at the end what the letters mean. A blank is drawn without a letter where
/// only its foreground could tell.
fn styled(buffer: &Buffer) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut styles: Vec<String> = Vec::new();
    let mut said = String::new();
    for y in 0..buffer.area.height {
        let (mut text, mut letters) = (String::new(), String::new());
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            text.push_str(cell.symbol());
            let unseen = cell.symbol() == " "
                && cell.bg == Color::Reset
                && !cell.modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED);
            if unseen {
                letters.push(' ');
                continue;
            }
            let style = style(cell);
            let place = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            letters.push(char::from(LETTERS[place]));
        }
        said.push_str(&format!("│{}\n", text.trim_end()));
        if !letters.trim().is_empty() {
            said.push_str(&format!(":{}\n", letters.trim_end()));
        }
    }
    for (style, letter) in styles.iter().zip(LETTERS) {
        said.push_str(&format!("{} {style}\n", char::from(*letter)));
    }
    said
}

#[test]
fn every_place_in_every_theme() {
    let themes = [
        ("dark", ThemeName::Dark, Depth::True),
        ("light", ThemeName::Light, Depth::True),
        ("high_contrast", ThemeName::HighContrast, Depth::True),
        ("16_colours", ThemeName::Dark, Depth::Ansi16),
        ("no_color", ThemeName::Dark, Depth::None),
    ];
    for (name, theme, depth) in themes {
        let drawn = places(Theme::new(theme, depth));
        let said: Vec<String> =
            drawn.iter().map(|(place, buffer)| format!("==== {place}\n{}", styled(buffer))).collect();
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "../snapshots"}, {
            insta::assert_snapshot!(format!("styles_{name}"), said.join("\n"));
        });
    }
}

/// Text needs 4.5 to 1; what is only there to be found, and lines and bars, 3 to 1. The colours of an output are its own.
#[test]
fn every_cell_that_is_drawn_can_be_read() {
    let mut poor: Vec<String> = Vec::new();
    for theme in ThemeName::ALL {
        let made = Theme::new(theme, Depth::True);
        let (faint, rule) = (made.style(Role::Faint).fg, made.style(Role::Rule).fg);
        for (place, buffer) in places(made) {
            for cell in buffer.content().iter().filter(|cell| !cell.symbol().trim().is_empty()) {
                let (Some(mut fg), Some(mut bg)) = (rgb(theme, cell.fg, true), rgb(theme, cell.bg, false)) else {
                    continue;
                };
                if cell.modifier.contains(Modifier::REVERSED) {
                    (fg, bg) = (bg, fg);
                }
                let drawn = cell.symbol().chars().all(|sign| matches!(sign, '─'..='▟'));
                let least = match () {
                    // What is left of a gauge, and rules: nothing is told by them alone.
                    () if drawn && Some(cell.fg) == rule => 2.0,
                    () if drawn || (Some(cell.fg) == faint && theme != ThemeName::HighContrast) => 3.0,
                    () => 4.5,
                };
                let got = contrast(fg, bg);
                if got < least {
                    poor.push(format!("{theme}, {place}: {got:.2} of {least}: {} in {}", cell.symbol(), style(cell)));
                }
            }
        }
    }
    poor.sort();
    poor.dedup();
    assert!(poor.is_empty(), "{}", poor.join("\n"));
}

/// Without colours nothing has any, and what is selected, focused or loud is told by modifiers.
#[test]
fn without_colours_there_are_none() {
    for (place, buffer) in places(Theme::new(ThemeName::Dark, Depth::None)) {
        let coloured = |cell: &&Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
        assert!(!buffer.content().iter().any(|cell| coloured(&cell)), "{place}");
        let modifiers = buffer.content().iter().filter(|cell| !cell.modifier.is_empty()).count();
        assert!(modifiers > 0, "{place}");
    }
}

/// With sixteen colours only the terminal's own are used: what the operator has made of them is theirs.
#[test]
fn with_sixteen_colours_there_are_only_those() {
    for (place, buffer) in places(Theme::new(ThemeName::Dark, Depth::Ansi16)) {
        let strange = |color: Color| matches!(color, Color::Rgb(..) | Color::Indexed(16..));
        assert!(!buffer.content().iter().any(|cell| strange(cell.fg) || strange(cell.bg)), "{place}");
    }
}
