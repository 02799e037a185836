//! What is said of the output: beside its heading, and where no row of it is to be seen.

use std::collections::VecDeque;

use super::{Kept, Pane};
use crate::console::text;

/// What matters no less than this is left out only when it is as short as it gets, and everything else is.
const KEPT: u8 = 3;

impl Pane {
    /// A few words about where the pane stands, for the line below it: what is selected, search, filter, follow, place.
    pub fn status(&self) -> String {
        self.status_in(usize::MAX)
    }

    /// The same in so many cells: what matters least is said shorter, and then left out.
    pub fn status_in(&self, cells: usize) -> String {
        let has_place = self.len.unwrap_or(0) > 0 && !self.rows.is_empty();
        let live = self.source.as_ref().is_some_and(|source| source.live);
        let follows = live.then(|| if self.has_stopped() { "not following" } else { "follow" });
        let column = (has_place && self.column > 0).then(|| format!("column {}", self.column + 1));
        // Each with how much it matters: in full, and shorter.
        let parts: [(u8, VecDeque<String>); 6] = [
            (5, self.selected_in_words().into_iter().collect()),
            (4, self.search_in_words().into_iter().flatten().collect()),
            (3, self.filter_in_words().into_iter().flatten().collect()),
            (1, has_place.then(|| self.place_in_words()).into_iter().flatten().collect()),
            (0, column.into_iter().collect()),
            (2, follows.into_iter().map(str::to_owned).collect()),
        ];
        let mut parts: Vec<(u8, VecDeque<String>)> = parts.into_iter().filter(|(_, said)| !said.is_empty()).collect();
        let width = |parts: &[(u8, VecDeque<String>)]| {
            let said = parts.iter().filter_map(|(_, said)| said.front());
            said.map(|said| text::width(said) + 3).sum::<usize>()
        };
        while width(&parts) > cells.saturating_add(3) {
            let several = parts.len() > 1;
            // That not all is shown, and what is looked for in it, is said as long as it can be.
            let gives_way = |place: &usize| parts[*place].0 < KEPT || parts[*place].1.len() > 1;
            let least = (0..parts.len()).filter(gives_way).min_by_key(|place| parts[*place].0);
            let least = least.or_else(|| (0..parts.len()).min_by_key(|place| parts[*place].0));
            let Some(least) = least else { break };
            if parts[least].1.len() > 1 {
                parts[least].1.pop_front();
            } else if several {
                parts.remove(least);
            } else {
                break;
            }
        }
        parts.into_iter().filter_map(|(_, said)| said.into_iter().next()).collect::<Vec<_>>().join(" · ")
    }

    /// Where the pane stands: the line with the cursor of the selection, or with the match the search stands on, as long as it is seen; else the lines
    /// that are seen. In full, and shorter.
    fn place_in_words(&self) -> Vec<String> {
        let number = |row: Option<&Kept>| row.and_then(|row| row.number).map(|number| number.min(self.lines.max(1)));
        let rows = || self.shown().map(|(row, _)| row);
        let pointed = rows().find(|row| self.has_cursor(row)).or_else(|| rows().find(|row| self.has_match(row)));
        let lines = match (number(pointed), number(rows().next()), number(rows().last())) {
            (Some(line), ..) => format!("line {}", grouped(line)),
            (None, Some(1), Some(last)) if self.counted && last == self.lines && self.filter.is_none() => {
                let s = if last == 1 { "" } else { "s" };
                return vec![format!("{} line{s}", grouped(last))];
            }
            (None, Some(first), Some(last)) if first == last => format!("line {}", grouped(last)),
            (None, Some(first), Some(last)) => format!("lines {}–{}", grouped(first), grouped(last)),
            _ => {
                let end = rows().last().map_or(0, |row| row.end);
                let percent = (u128::from(end) * 100 / u128::from(self.len.unwrap_or(1).max(1))).min(100);
                return vec![format!("{percent}%")];
            }
        };
        let of = self.counted.then(|| format!("{lines} of {}", grouped(self.lines)));
        of.into_iter().chain([lines]).collect()
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
