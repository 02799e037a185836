//! What differs between two texts, line by line: how a change of a script or of a long value is read.

use similar::{ChangeTag, TextDiff};

/// A value that is longer than this, in characters, is told as lines: side by side nobody sees what differs.
const LONG: usize = 60;
/// Lines that did not change are told this far around those that did.
const AROUND: usize = 1;
/// Longer texts are told by their number of lines: what is compared costs the product of what differs.
const COMPARED: usize = 4000;
/// So many lines of a difference are told.
const TOLD: usize = 200;

/// Two versions of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// How much was removed and added, in words.
    pub summary: String,
    /// Lines removed (`- `), added (`+ `) and around them (`  `); `…` where some are left out.
    pub lines: Vec<String>,
}

/// Whether two versions of a value are read better line by line than beside each other.
pub(super) fn are_long(before: &str, after: &str) -> bool {
    let long = |text: &str| text.contains('\n') || text.chars().nth(LONG).is_some();
    long(before) || long(after)
}

/// What differs between two texts.
pub(super) fn difference(before: &str, after: &str) -> Difference {
    let (old, new) = (before.lines().count(), after.lines().count());
    if old.max(new) > COMPARED {
        return Difference { summary: format!("{} → {}", lines(old), lines(new)), lines: Vec::new() };
    }
    let diff = TextDiff::from_lines(before, after);
    let (mut told, mut removed, mut added) = (Vec::new(), 0, 0);
    for group in diff.grouped_ops(AROUND) {
        if !told.is_empty() {
            told.push("…".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            removed += usize::from(mark == '-');
            added += usize::from(mark == '+');
            let line = change.value();
            told.push(format!("{mark} {}", line.strip_suffix('\n').unwrap_or(line)));
        }
    }
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    Difference { summary: summary(removed, added), lines: told }
}

fn summary(removed: usize, added: usize) -> String {
    match (removed, added) {
        (0, added) => format!("{} added", lines(added)),
        (removed, 0) => format!("{} removed", lines(removed)),
        (removed, added) if removed == added => format!("{} changed", lines(removed)),
        (removed, added) => format!("{} removed, {added} added", lines(removed)),
    }
}

fn lines(number: usize) -> String {
    format!("{number} line{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_by_the_lines_that_were_removed_and_added() {
        let before =
            "set -e\npg_dump orders > dump\ngzip dump\nsha256sum dump.gz > sum\ncp dump.gz /mnt\nsync\nls /mnt\n";
        let after = before.replace("gzip dump\n", "gzip -9 dump\n").replace("sync\n", "sync\nfsck /mnt\n");
        let Difference { summary, lines } = difference(before, &after);
        assert_eq!(summary, "1 line removed, 2 added");
        let wanted = [
            "  pg_dump orders > dump",
            "- gzip dump",
            "+ gzip -9 dump",
            "  sha256sum dump.gz > sum",
            "…",
            "  sync",
            "+ fsck /mnt",
            "  ls /mnt",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_text_that_comes_or_goes_is_all_added_or_removed() {
        assert_eq!(difference("", "a\nb").summary, "2 lines added");
        assert_eq!(difference("a\n", "").lines, ["- a"]);
        assert_eq!(difference("a", "b").summary, "1 line changed");
    }

    #[test]
    fn a_long_difference_is_cut_and_a_very_long_text_only_counted() {
        let text = |lines: usize, say: &str| (0..lines).map(|line| format!("{say} {line}\n")).collect::<String>();
        let told = difference(&text(300, "a"), &text(300, "b"));
        assert_eq!((told.lines.len(), told.summary.as_str()), (TOLD + 1, "300 lines changed"));
        assert_eq!(told.lines.last().unwrap(), "and 400 more");
        let told = difference(&text(COMPARED + 1, "a"), &text(3, "b"));
        assert_eq!((told.lines, told.summary.as_str()), (vec![], "4001 lines → 3 lines"));
    }

    #[test]
    fn short_values_stand_beside_each_other() {
        assert!(!are_long("gzip dump", "gzip -9 dump"));
        assert!(are_long("a\nb", "") && are_long("", &"x".repeat(61)));
    }
}
