//! A terminal's screen as SVG: real text, each piece as wide as its cells whatever font there is, and rectangles for backgrounds.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// A cell, in units of the picture.
const CELL: (f64, f64) = (8.4, 17.0);
const FONT: f64 = 14.0;
/// Around the screen.
const MARGIN: f64 = 14.0;
const TEXT: &str = "#d4d7dd";
const BACKGROUND: &str = "#16181d";
/// xterm's.
const SIXTEEN: [u32; 16] = [
    0x000000, 0xcd3131, 0x0dbc79, 0xe5e510, 0x2472c8, 0xbc3fbc, 0x11a8cd, 0xe5e5e5, 0x666666, 0xf14c4c, 0x23d18b,
    0xf5f543, 0x3b8eea, 0xd670d6, 0x29b8db, 0xffffff,
];

/// How a piece of text looks.
#[derive(Clone, PartialEq)]
struct Look {
    text: String,
    ground: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (mut text, mut ground) = (color(cell.fgcolor()), color(cell.bgcolor()));
        if cell.inverse() {
            (text, ground) =
                (Some(ground.unwrap_or_else(|| BACKGROUND.into())), Some(text.unwrap_or_else(|| TEXT.into())));
        }
        Self {
            text: text.unwrap_or_else(|| TEXT.into()),
            ground,
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underlined: cell.underline(),
        }
    }

    fn css(&self) -> String {
        let mut css = format!("fill:{}", self.text);
        for (wanted, rule) in [
            (self.bold, ";font-weight:bold"),
            (self.dim, ";opacity:.65"),
            (self.italic, ";font-style:italic"),
            (self.underlined, ";text-decoration:underline"),
        ] {
            if wanted {
                css.push_str(rule);
            }
        }
        css
    }
}

/// The picture of a screen of so many columns and rows.
pub fn picture(screen: &Screen, (columns, rows): (u16, u16)) -> String {
    let mut classes: Vec<String> = Vec::new();
    let (mut grounds, mut texts) = (String::new(), String::new());
    for row in 0..rows {
        let y = MARGIN + f64::from(row) * CELL.1;
        for (column, cells, color) in stretches(screen, row, columns, |cell| Look::of(cell).ground) {
            let Some(color) = color else { continue };
            let (x, width) = (at(column), f64::from(cells) * CELL.0);
            // A hair higher than its line, so that none shows between two.
            let _ = writeln!(
                grounds,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="{color}"/>"#,
                CELL.1 + 0.2
            );
        }
        for (column, cells, look) in stretches(screen, row, columns, Look::of) {
            for (column, cells, text) in pieces(screen, row, column, cells) {
                let css = look.css();
                let class = classes.iter().position(|known| *known == css).unwrap_or_else(|| {
                    classes.push(css);
                    classes.len() - 1
                });
                let (x, base, length) = (at(column), y + CELL.1 * 0.76, f64::from(cells) * CELL.0);
                let _ = writeln!(
                    texts,
                    r#"<text class="c{class}" x="{x:.1}" y="{base:.1}" textLength="{length:.1}">{}</text>"#,
                    escaped(&text)
                );
            }
        }
    }
    let (width, height) = (at(columns) + MARGIN, MARGIN * 2.0 + f64::from(rows) * CELL.1);
    let rules: String = classes.iter().enumerate().map(|(place, css)| format!(".c{place}{{{css}}}")).collect();
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}">
<style>text{{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:{FONT}px;white-space:pre}}{rules}</style>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
{grounds}{texts}</svg>
"#
    )
}

fn at(column: u16) -> f64 {
    MARGIN + f64::from(column) * CELL.0
}

/// The stretches of a row whose cells are alike: first column, cells, and in what.
fn stretches<T: PartialEq>(screen: &Screen, row: u16, columns: u16, of: impl Fn(&Cell) -> T) -> Vec<(u16, u16, T)> {
    let mut found: Vec<(u16, u16, T)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else { break };
        let like = of(cell);
        match found.last_mut() {
            Some((_, cells, last)) if *last == like => *cells += 1,
            _ => found.push((column, 1, like)),
        }
    }
    found
}

/// The pieces of a stretch that are text: without the blanks around them, and apart where more than one blank is between.
fn pieces(screen: &Screen, row: u16, from: u16, cells: u16) -> Vec<(u16, u16, String)> {
    let mut found: Vec<(u16, u16, String)> = Vec::new();
    let mut blanks = 2;
    for column in from..from + cells {
        let Some(cell) = screen.cell(row, column) else { break };
        if cell.is_wide_continuation() {
            continue;
        }
        let text = cell.contents();
        if text.trim().is_empty() {
            blanks += 1;
            continue;
        }
        let width = if cell.is_wide() { 2 } else { 1 };
        match found.last_mut() {
            Some((_, cells, piece)) if blanks < 2 => {
                piece.push_str(if blanks == 1 { " " } else { "" });
                piece.push_str(text);
                *cells += blanks + width;
            }
            _ => found.push((column, width, text.to_owned())),
        }
        blanks = 0;
    }
    found
}

fn color(color: Color) -> Option<String> {
    let (r, g, b) = match color {
        Color::Default => return None,
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Idx(index @ 0..16) => {
            let [_, r, g, b] = SIXTEEN[usize::from(index)].to_be_bytes();
            (r, g, b)
        }
        Color::Idx(index @ 16..232) => {
            let part = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let index = index - 16;
            (part(index / 36), part(index / 6 % 6), part(index % 6))
        }
        Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
