//! What is said of the output: beside its heading, and where no row of it is to be seen.

use super::Pane;
use crate::console::text;

/// How much a search matters among what is said of the output.
const SEARCH: u8 = 4;

impl Pane {
    /// A few words about where the pane stands, for the line below it: what is selected, search, filter, follow, place.
    pub fn status(&self) -> String {
        self.status_in(usize::MAX)
    }

    /// The same in so many cells: what matters least is left out.
    pub fn status_in(&self, cells: usize) -> String {
        let has_place = self.len.unwrap_or(0) > 0;
        let follows = self.follow && self.source.as_ref().is_some_and(|s| s.live);
        let column = (has_place && self.column > 0).then(|| format!("column {}", self.column + 1));
        let searched = self.search_in_words();
        // Each with how much it matters.
        let parts = [
            (5, self.selected_in_words()),
            (SEARCH, searched.as_ref().map(|[full, ..]| full.clone())),
            (3, self.filter_in_words()),
            (1, has_place.then(|| self.place_in_words())),
            (0, column),
            (2, follows.then(|| "follow".to_owned())),
        ];
        let mut parts: Vec<(u8, String)> = parts.into_iter().filter_map(|(rank, part)| Some((rank, part?))).collect();
        let too_wide = |parts: &[(u8, String)]| {
            parts.iter().map(|(_, part)| text::width(part) + 3).sum::<usize>() > cells.saturating_add(3)
        };
        while parts.len() > 1 && too_wide(&parts) {
            let least = parts.iter().map(|(rank, _)| *rank).min();
            parts.retain(|(rank, _)| Some(*rank) != least);
        }
        for shorter in searched.iter().flat_map(|[_, shorter @ ..]| shorter) {
            if too_wide(&parts) {
                parts.iter_mut().filter(|(rank, _)| *rank == SEARCH).for_each(|(_, part)| part.clone_from(shorter));
            }
        }
        parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(" · ")
    }

    fn place_in_words(&self) -> String {
        let last = self.shown().last().and_then(|(row, _)| row.number);
        match (last, self.counted) {
            (Some(last), true) => format!("line {} of {}", grouped(last.min(self.lines)), grouped(self.lines)),
            (Some(last), false) => format!("line {}", grouped(last)),
            (None, _) => {
                let end = self.shown().last().map_or(0, |(row, _)| row.end);
                let percent = (u128::from(end) * 100 / u128::from(self.len.unwrap_or(1).max(1))).min(100);
                format!("{percent}%")
            }
        }
    }

    /// What to say instead of rows.
    pub(in super::super) fn message(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        if let Some(error) = &self.error {
            return Some(format!("the output cannot be read: {}", text::clean(error)));
        }
        match self.len {
            _ if !self.known => Some(String::new()),
            None | Some(0) => Some(if source.live { "no output yet" } else { "no output" }.to_owned()),
            Some(len) => {
                let filter = self.filter.as_ref().filter(|_| self.rows.is_empty())?;
                let all = self.window == Some(0..len);
                Some(if all { format!("no line has {filter}") } else { format!("looking for lines with {filter}…") })
            }
        }
    }
}

/// A number with a comma every three digits.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
