//! The palette: every action of the table, found by typing a part of its name, its label or what it does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::actions::{Action, Entry, TABLE};
use super::app::{App, Effect};
use super::availability::availability;
use super::input::Input;
use super::keys::Key;
use super::popups::{Layer, Popup};
use super::views;

/// How well a row answers what was typed; the better ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is the name or the label.
    Whole,
    /// It begins a word of the name or of the label.
    Named,
    /// Its letters stand in the name or in the label, in this order.
    Like,
    /// It stands in what the action does.
    Told,
}

/// An action in the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which one.
    pub action: Action,
    /// Its name in words, or its label where that is what was typed.
    pub title: String,
    /// The characters of the title that were typed.
    pub in_title: Vec<usize>,
    /// The characters of what it does that were typed.
    pub in_doc: Vec<usize>,
    /// Why it is not possible now.
    pub why_not: Option<String>,
}

/// The open palette.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    /// What is typed.
    pub input: Input,
    /// What is found, best first.
    pub rows: Vec<Row>,
    /// The row that Enter takes.
    pub selected: usize,
    /// First row that is seen.
    pub offset: usize,
    /// Enter was pressed on an action that is not possible now: the reason stands out.
    pub refused: bool,
}

impl Palette {
    /// The selected row.
    pub fn row(&self) -> Option<&Row> {
        self.rows.get(self.selected)
    }

    fn step(&mut self, by: isize) {
        self.selected = self.selected.saturating_add_signed(by).min(self.rows.len().saturating_sub(1));
        self.refused = false;
    }
}

impl App {
    pub(super) fn open_palette(&mut self) {
        let palette = Palette { rows: rows(self, ""), ..Palette::default() };
        self.push(Popup::Palette(Box::new(palette)));
    }

    /// Brings the open palette up to date before a frame: what is possible may have changed. The selection stays with its action.
    pub(super) fn refresh_palette(&mut self) {
        let Some(Popup::Palette(palette)) = self.layers.last().map(|layer| &layer.popup) else { return };
        let found = rows(self, &palette.input.text());
        let height = views::palette::height(self.size) as usize;
        let Some(Popup::Palette(palette)) = self.layers.last_mut().map(|layer| &mut layer.popup) else { return };
        let action = palette.row().map(|row| row.action);
        palette.rows = found;
        let place = palette.rows.iter().position(|row| Some(row.action) == action);
        palette.selected = place.unwrap_or(palette.selected).min(palette.rows.len().saturating_sub(1));
        let row = palette.selected;
        palette.offset = super::app::scrolled(palette.offset, row, row, height, palette.rows.len());
    }

    pub(super) fn palette_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let page = views::palette::height(self.size) as isize;
        let Some(Popup::Palette(palette)) = self.layers.last_mut().map(|layer| &mut layer.popup) else {
            return Vec::new();
        };
        let control = |letter| Key::from(event) == Key::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Esc => drop(self.layers.pop()),
            _ if control('c') => drop(self.layers.pop()),
            KeyCode::Enter => return self.take_from_palette(),
            KeyCode::Down | KeyCode::Tab => palette.step(1),
            KeyCode::Up | KeyCode::BackTab => palette.step(-1),
            _ if control('n') => palette.step(1),
            _ if control('p') => palette.step(-1),
            KeyCode::PageDown => palette.step(page),
            KeyCode::PageUp => palette.step(-page),
            _ => {
                let before = palette.input.text();
                if palette.input.key(event) && palette.input.text() != before {
                    self.palette_typed();
                }
            }
        }
        Vec::new()
    }

    pub(super) fn palette_paste(&mut self, pasted: &str) {
        if let Some(Layer { popup: Popup::Palette(palette), .. }) = self.layers.last_mut() {
            match palette.input.paste(pasted) {
                Ok(()) => self.palette_typed(),
                Err(why) => self.complain(why),
            }
        }
    }

    /// Something else is typed: the best row is selected.
    fn palette_typed(&mut self) {
        let Some(Popup::Palette(palette)) = self.layers.last().map(|layer| &layer.popup) else { return };
        let found = rows(self, &palette.input.text());
        if let Some(Popup::Palette(palette)) = self.layers.last_mut().map(|layer| &mut layer.popup) {
            palette.rows = found;
            (palette.selected, palette.offset, palette.refused) = (0, 0, false);
        }
    }

    /// Enter: what the key of the selected action does. One that is not possible leaves the palette open, which says why.
    fn take_from_palette(&mut self) -> Vec<Effect> {
        let Some(Popup::Palette(palette)) = self.layers.last_mut().map(|layer| &mut layer.popup) else {
            return Vec::new();
        };
        let Some(row) = palette.rows.get(palette.selected) else { return Vec::new() };
        if row.why_not.is_some() {
            palette.refused = true;
            return Vec::new();
        }
        let action = row.action;
        self.layers.pop();
        self.message = None;
        self.take(action)
    }
}

/// The actions that answer what was typed. How well they do goes before whether they are possible, so that Enter after a whole name never does
/// something of another name; among those that answer equally well the possible ones come first.
fn rows(app: &App, typed: &str) -> Vec<Row> {
    // A name may be typed as a file of keys writes it, with hyphens.
    let typed = typed.trim().to_lowercase().replace('-', " ");
    let mut finder = Finder::new(&typed);
    let mut found: Vec<((Fit, bool, u32), Row)> = TABLE
        .iter()
        .filter(|entry| entry.action != Action::Palette)
        .filter_map(|entry| {
            let (fit, score, mut row) = finder.look(entry)?;
            row.why_not = availability(app, entry.action).err();
            Some(((fit, row.why_not.is_some(), u32::MAX - score), row))
        })
        .collect();
    // Stable: what answers equally well stays in the order of the table.
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().map(|(_, row)| row).collect()
}

/// Looks for what was typed.
struct Finder<'a> {
    typed: &'a str,
    pattern: Pattern,
    matcher: Matcher,
}

impl<'a> Finder<'a> {
    fn new(typed: &'a str) -> Self {
        let pattern = Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
        Self { typed, pattern, matcher: Matcher::new(Config::DEFAULT) }
    }

    fn look(&mut self, entry: &Entry) -> Option<(Fit, u32, Row)> {
        let name = entry.name.replace('-', " ");
        let row = |title: String| Row {
            action: entry.action,
            title,
            in_title: Vec::new(),
            in_doc: Vec::new(),
            why_not: None,
        };
        if self.typed.is_empty() {
            return Some((Fit::Whole, 0, row(name)));
        }
        let titles = [name.clone(), entry.label.to_owned()];
        let mut best: Option<(Fit, u32, Row)> = None;
        for title in titles {
            let Some((fit, score, in_title)) = self.in_title(&title) else { continue };
            let better =
                best.as_ref().is_none_or(|(other, most, _)| (fit, u32::MAX - score) < (*other, u32::MAX - most));
            if better {
                best = Some((fit, score, Row { in_title, ..row(title) }));
            }
        }
        if best.is_some() {
            return best;
        }
        let in_doc = self.in_doc(entry.doc)?;
        Some((Fit::Told, 0, Row { in_doc, ..row(name) }))
    }

    fn in_title(&mut self, title: &str) -> Option<(Fit, u32, Vec<usize>)> {
        let mut buffer = Vec::new();
        let mut indices = Vec::new();
        let score = self.pattern.indices(Utf32Str::new(title, &mut buffer), &mut self.matcher, &mut indices)?;
        let start =
            title.match_indices(self.typed).map(|(at, _)| at).find(|at| *at == 0 || title[..*at].ends_with(' '));
        if let Some(start) = start {
            let first = title[..start].chars().count();
            let fit = if title == self.typed { Fit::Whole } else { Fit::Named };
            return Some((fit, score, (first..first + self.typed.chars().count()).collect()));
        }
        indices.sort_unstable();
        indices.dedup();
        Some((Fit::Like, score, indices.into_iter().map(|place| place as usize).collect()))
    }

    /// Every typed word has to stand in it.
    fn in_doc(&self, doc: &str) -> Option<Vec<usize>> {
        let lower = doc.to_ascii_lowercase();
        let mut places = Vec::new();
        for word in self.typed.split_whitespace() {
            let at = lower.find(word)?;
            let first = lower[..at].chars().count();
            places.extend(first..first + word.chars().count());
        }
        places.sort_unstable();
        places.dedup();
        Some(places)
    }
}
