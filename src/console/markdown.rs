//! A subset of Markdown as lines for the screen: headings, lists, paragraphs, code, bold, links as text. What is not of it stands as it was
//! written. The text is foreign, so each line is neutralised.

use super::text;
use super::theme::Role;

/// A line: pieces of text and how each is drawn.
pub type Line = Vec<(String, Role)>;

/// How often a list within a list is set in.
const DEEPEST: usize = 4;

/// The text as lines of at most `width` columns; `bullet` stands before the items of a list.
pub fn lines(source: &str, width: usize, bullet: &str) -> Vec<Line> {
    let mut made = Page { lines: Vec::new(), paragraph: String::new(), width: width.max(10) };
    let mut code = false;
    for line in text::clean_lines(source) {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            made.end_paragraph();
            code = !code;
        } else if code {
            let fit = text::fit(&line, made.width - 2).into_owned();
            made.lines.push(vec![("  ".into(), Role::Text), (fit, Role::Accent)]);
        } else if trimmed.is_empty() {
            made.end_paragraph();
            made.gap();
        } else if let Some(heading) = heading(trimmed) {
            made.end_paragraph();
            made.gap();
            let bold = pieces(heading).into_iter().map(|(said, _)| (said, Role::Strong)).collect();
            made.wrap(bold, 0, 0);
        } else if let Some((mark, item)) = item(trimmed) {
            made.end_paragraph();
            let depth = ((line.len() - line.trim_start().len()) / 2).min(DEEPEST) * 2;
            let mark = format!("{} ", if mark.is_empty() { bullet } else { mark });
            let hanging = depth + text::width(&mark);
            let mut said = vec![(mark, Role::Muted)];
            said.extend(pieces(item));
            made.wrap(said, depth, hanging);
        } else {
            if !made.paragraph.is_empty() {
                made.paragraph.push(' ');
            }
            made.paragraph.push_str(trimmed);
        }
    }
    made.end_paragraph();
    while made.lines.last().is_some_and(Vec::is_empty) {
        made.lines.pop();
    }
    made.lines
}

/// The same without anything but its words, a line each: for copying, and for logs.
pub fn plain(lines: &[Line]) -> String {
    let said = |line: &Line| line.iter().map(|(said, _)| said.as_str()).collect::<String>();
    lines.iter().map(said).collect::<Vec<_>>().join("\n")
}

fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    (1..=6).contains(&level).then(|| rest.strip_prefix(' ')).flatten().map(str::trim)
}

/// An item of a list: its number where it has one, and its text.
fn item(line: &str) -> Option<(&str, &str)> {
    for mark in ["- ", "* ", "+ "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return Some(("", rest.trim()));
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?;
    let rest = rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") "))?;
    (1..=3).contains(&digits).then_some((&line[..digits + 1], rest.trim()))
}

/// Bold, code and links within a line.
fn pieces(line: &str) -> Line {
    let mut found: Line = Vec::new();
    let mut rest = line;
    let mut plain = String::new();
    while !rest.is_empty() {
        let special = |open: &str, close: &str| {
            let inner = rest.strip_prefix(open)?;
            let end = inner.find(close).filter(|end| *end > 0)?;
            Some((&inner[..end], &inner[end + close.len()..]))
        };
        let bold = special("**", "**").or_else(|| special("__", "__")).map(|(said, rest)| (said, Role::Strong, rest));
        let code = special("`", "`").map(|(said, rest)| (said, Role::Accent, rest));
        if let Some((said, role, after)) = bold.or(code) {
            found.push((std::mem::take(&mut plain), Role::Text));
            found.push((said.to_owned(), role));
            rest = after;
        } else if let Some((label, url, after)) =
            special("[", "](").and_then(|(label, rest)| rest.split_once(')').map(|(url, rest)| (label, url, rest)))
        {
            plain.push_str(label);
            if url != label {
                plain.push_str(&format!(" ({url})"));
            }
            rest = after;
        } else {
            let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
            plain.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    found.push((plain, Role::Text));
    found.retain(|(said, _)| !said.is_empty());
    found
}

struct Page {
    lines: Vec<Line>,
    paragraph: String,
    width: usize,
}

impl Page {
    fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        if !paragraph.is_empty() {
            self.wrap(pieces(&paragraph), 0, 0);
        }
    }

    /// Breaks pieces at spaces; the first line is set in by `first` columns, the others by `others`.
    fn wrap(&mut self, said: Line, first: usize, others: usize) {
        let mut line: Line = vec![(" ".repeat(first), Role::Text)];
        let (mut used, mut start) = (first, first);
        let mut spaced = false;
        for (said, role) in said {
            for (place, word) in said.split(' ').enumerate() {
                spaced |= place > 0;
                let mut word = word;
                while !word.is_empty() {
                    let space = usize::from(spaced && used > start);
                    let room = self.width.saturating_sub(used + space);
                    let fits = text::width(word) <= room;
                    if !fits && used > start {
                        self.lines.push(std::mem::replace(&mut line, vec![(" ".repeat(others), Role::Text)]));
                        (used, start, spaced) = (others, others, false);
                        continue;
                    }
                    // A word that no line holds, such as a path, is broken where the line ends.
                    let end = if fits { word.len() } else { longest(word, room.max(1)) };
                    let piece = format!("{}{}", " ".repeat(space), &word[..end]);
                    used += text::width(&piece);
                    line.push((piece, role));
                    spaced = false;
                    word = &word[end..];
                }
            }
        }
        line.retain(|(said, _)| !said.is_empty());
        self.lines.push(line);
    }
}

/// How many bytes of a word fit into columns; at least one character.
fn longest(word: &str, columns: usize) -> usize {
    let mut end = 0;
    for (place, character) in word.char_indices() {
        let next = place + character.len_utf8();
        if end > 0 && text::width(&word[..next]) > columns {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, width: usize) -> String {
        plain(&lines(source, width, "•"))
    }

    #[test]
    fn headings_lists_and_paragraphs_keep_their_shape() {
        let source = "# Before you sign\nLook at the\nreport.\n\n- one item that is long\n  - within\n2. two\n```\nmake  ship\n```\nend";
        let expected =
            "Before you sign\nLook at the report.\n\n• one item that is\n  long\n  • within\n2. two\n  make  ship\nend";
        assert_eq!(told(source, 20), expected);
    }

    #[test]
    fn bold_code_and_links_are_told_apart() {
        let line = &lines("use **both** `keys`, [docs](http://x)!", 60, "•")[0];
        let loud: Vec<&(String, Role)> = line.iter().filter(|(_, role)| *role != Role::Text).collect();
        assert_eq!(loud, [&(" both".to_owned(), Role::Strong), &(" keys".to_owned(), Role::Accent)]);
        assert_eq!(plain(std::slice::from_ref(line)), "use both keys, docs (http://x)!");
    }

    #[test]
    fn what_is_no_markdown_stands_as_it_was_written_and_is_harmless() {
        assert_eq!(told("2 * 3 ** 4, a_b_c, [x", 40), "2 * 3 ** 4, a_b_c, [x");
        assert_eq!(told("#hash and 12.5 %", 40), "#hash and 12.5 %");
        assert!(!told("a\u{1b}[31mred\u{1b}]0;t\u{7}", 40).contains('\u{1b}'));
        assert_eq!(told("abcdefghijklmnop", 10), "abcdefghij\nklmnop", "a word that no line holds is broken");
    }
}
