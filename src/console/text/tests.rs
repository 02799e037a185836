//! Text hygiene by example and by property.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use ratatui::{TerminalOptions, Viewport};

use super::*;

/// Text of the kinds that break screens: controls, sequences, bidi, joiners, marks, wide, emoji, blanks, other planes.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,8}",
        2 => any::<String>(),
        1 => any::<char>().prop_map(String::from),
        1 => prop::collection::vec(prop_oneof![
            Just('\u{301}'), Just('\u{489}'), Just('\u{200d}'), Just('\u{fe0f}'), Just('\u{202e}'), Just('\u{2066}'),
            Just('\u{ff9e}'), Just('\u{1160}'), Just('\u{11a8}'), Just('\u{1100}'), Just('\u{94d}'), Just('\u{915}'),
            Just('\u{93f}'), Just('\u{1f1e9}'), Just('\u{1f468}'), Just('\u{1f3fd}'), Just('\u{e0041}'), Just('\u{600}'),
            Just('\u{d4e}'), Just('\u{644}'), Just('\u{627}'), Just('漢'), Just('\u{3000}'), Just('\u{ad}'), Just('\u{2028}'),
            Just('\u{1b}'), Just('\u{9b}'), Just('\u{7f}'), Just('\t'), Just('\r'), Just('\n'), Just('a'), Just('\u{fdfd}'),
        ], 0..12).prop_map(String::from_iter),
        1 => prop::sample::select(vec![
            "\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;QUJD\x1b\\", "\x1bP1$q\x1b\\", "\x1b[?1049l", "👩‍👩‍👧‍👦", "❤️", "🇩🇪", "क्ष्म्य",
            "e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}", "각", "ﾊﾟ", "\r\n",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|v| v.concat())
}

/// The bytes that ratatui's crossterm backend writes for this line.
fn drawn(line: &Line<'_>, width: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let area = Rect::new(0, 0, width, 1);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(&mut bytes), options).unwrap();
    terminal.draw(|frame| frame.render_widget(line, area)).unwrap();
    drop(terminal);
    bytes
}

/// The text in what a backend wrote; fails on any sequence that is not a style, a cursor position or the cursor's visibility.
fn printed(bytes: &[u8]) -> Result<String, String> {
    struct Seen(String, Vec<String>);
    impl vte::Perform for Seen {
        fn print(&mut self, c: char) {
            self.0.push(c);
        }
        fn execute(&mut self, byte: u8) {
            self.1.push(format!("control {byte:#x}"));
        }
        fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, action: char) {
            let visibility = matches!(action, 'h' | 'l') && params.iter().eq([[25u16].as_slice()]);
            if !matches!(action, 'm' | 'H') && !visibility {
                self.1.push(format!("sequence {intermediates:?} {params:?} {action}"));
            }
        }
        fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
            self.1.push(format!("escape {byte:#x}"));
        }
        fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
            self.1.push("osc".to_owned());
        }
        fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, _: char) {
            self.1.push("dcs".to_owned());
        }
    }
    let mut seen = Seen(String::new(), Vec::new());
    vte::Parser::new().advance(&mut seen, bytes);
    if seen.1.is_empty() { Ok(seen.0) } else { Err(seen.1.join(", ")) }
}

/// The cells of a buffer's only row that hold something, counted as a terminal would.
fn used_cells(line: &Line<'_>) -> usize {
    let mut buffer = Buffer::filled(Rect::new(0, 0, 4000, 1), ratatui::buffer::Cell::new("\u{1}"));
    line.render(buffer.area, &mut buffer);
    buffer.content.iter().position(|cell| cell.symbol() == "\u{1}").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn clean_text_fills_exactly_the_cells_it_says(text in hostile()) {
        let clean = clean(&text);
        prop_assert_eq!(used_cells(&Line::raw(clean.as_ref())), width(&clean), "{:?} -> {:?}", text, clean);
    }

    #[test]
    fn nothing_but_text_reaches_the_terminal(text in hostile()) {
        let text = clean(&text);
        let bytes = drawn(&Line::raw(text.as_ref()), width(&text).max(1) as u16);
        let seen = printed(&bytes).map_err(TestCaseError::fail)?;
        // Blank cells are not painted on a blank screen.
        prop_assert_eq!(seen.replace(' ', ""), text.replace(' ', ""));
        for c in seen.chars() {
            prop_assert!(!c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'), "{c:?}");
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing(text in hostile()) {
        let once = clean(&text).into_owned();
        prop_assert_eq!(clean(&once), once.as_str());
    }

    #[test]
    fn a_grapheme_is_bounded(text in hostile()) {
        for g in clean(&text).graphemes(true) {
            prop_assert!((1..=2 * MAX_CLUSTER).contains(&width(g)), "{g:?}");
            prop_assert!(g.chars().count() <= MAX_CLUSTER + 1, "{g:?}");
            prop_assert!(g.chars().filter(|c| is_mark(*c)).count() <= MAX_MARKS, "{g:?}");
        }
    }

    #[test]
    fn fitted_text_fits(text in hostile(), cells in 0usize..20) {
        let fitted = fit(&text, cells);
        prop_assert!(width(&fitted) <= cells);
        prop_assert_eq!(clean(&fitted), fitted.as_ref());
        prop_assert_eq!(width(&pad(&text, cells)), cells);
        prop_assert_eq!(width(&pad_left(&text, cells)), cells);
        prop_assert!(width(&fit_end(&text, cells)) <= cells);
        if width(&clean(&text)) <= cells {
            prop_assert_eq!(fitted, clean(&text));
        }
    }

    #[test]
    fn ascii_is_ascii_in_the_same_cells(text in hostile()) {
        let ascii = to_ascii(&text);
        prop_assert!(ascii.bytes().all(|b| matches!(b, b' '..=b'~')));
        prop_assert_eq!(ascii.len(), width(&clean(&text)));
    }

    #[test]
    fn no_output_does_more_than_colour(bytes in prop_oneof![
        any::<Vec<u8>>(),
        hostile().prop_map(String::into_bytes),
        prop::collection::vec(prop_oneof!["\x1b\\[[0-9;:]{0,12}[a-zA-Z]", "[ -~]{0,6}", "\x1b[\\]PX^_][ -~]{0,9}", "[\r\t\x08]"], 0..9)
            .prop_map(|v| v.concat().into_bytes()),
    ]) {
        let line = ansi(&bytes);
        let text: String = line.spans.iter().map(|s| s.content.as_ref()).collect();
        prop_assert_eq!(used_cells(&line), line.spans.iter().map(|s| width(&s.content)).sum::<usize>());
        let seen = printed(&drawn(&line, used_cells(&line).max(1) as u16)).map_err(TestCaseError::fail)?;
        // Blank cells are not painted on a blank screen.
        prop_assert_eq!(seen.replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn whatever_was_drawn_is_guarded(text in hostile(), ascii: bool) {
        let charset = if ascii { Charset::Ascii } else { Charset::Unicode };
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 1));
        // The careless way, past every check of ratatui.
        for (i, g) in text.graphemes(true).take(40).enumerate() {
            buffer.content[i].set_symbol(g);
        }
        guard_buffer(&mut buffer, charset);
        for cell in &buffer.content {
            prop_assert_eq!(clean(cell.symbol()), cell.symbol());
            prop_assert!(!ascii || cell.symbol().is_ascii());
        }
    }
}

#[test]
fn what_is_dangerous_is_shown() {
    for (text, expected) in [
        ("plain", "plain"),
        ("a\x1b[31mred", "a␛[31mred"),
        ("bell\x07", "bell␇"),
        ("one\ntwo\r\nthree", "one⏎two⏎three"),
        ("ends\n", "ends"),
        ("del\x7f c1 \u{9b}31m", "del␡ c1 �31m"),
        ("tab\there", "tab here"),
        ("abc\u{202e}cba", "abc�cba"),
        ("zero\u{200b}width", "zero�width"),
        ("\u{feff}mark", "mark"),
        ("nbsp\u{a0}here", "nbsp here"),
        ("tag \u{e0041}", "tag �"),
        ("new \u{e0fff}", "new �"),
        ("\u{301}first", "�first"),
        ("flag 🇩🇪", "flag DE"),
        ("👩‍👧", "👩👧"),
        ("Ünïcödé 漢字", "Ünïcödé 漢字"),
    ] {
        assert_eq!(clean(text), expected, "{text:?}");
    }
    assert!(matches!(clean("plain"), Cow::Borrowed(_)));
    assert_eq!(clean_bytes(b"a\xff\xfeb"), "a��b");
}

#[test]
fn towers_of_marks_are_cut() {
    let zalgo = format!("z{}", "\u{301}".repeat(50));
    assert_eq!(clean(&zalgo), "z\u{301}\u{301}\u{301}");
}

#[test]
fn wide_characters_are_never_split() {
    assert_eq!(fit("漢字漢字", 8), "漢字漢字");
    assert_eq!(fit("漢字漢字", 7), "漢字漢…");
    assert_eq!(fit("漢字漢字", 6), "漢字…");
    assert_eq!(pad("漢字漢字", 6), "漢字… ");
    assert_eq!(fit("abc", 0), "");
    assert_eq!(fit("abc", 1), "…");
    assert_eq!(fit_end("/a/long/path", 6), "…/path");
    assert_eq!(pad_left("7", 3), "  7");
}

#[test]
fn a_long_text_costs_what_is_shown() {
    let long = "\u{202e}漢".repeat(5_000_000);
    let start = std::time::Instant::now();
    assert_eq!(width(&fit(&long, 200)), 200);
    assert!(start.elapsed().as_millis() < 200, "{:?}", start.elapsed());
}

#[test]
fn lines_keep_their_tab_stops() {
    let lines: Vec<_> = clean_lines("a\tb\n\x07\n漢\tc\n").collect();
    assert_eq!(lines, ["a       b", "␇", "漢      c"]);
}

#[test]
fn ascii_terminals_get_a_likeness() {
    assert_eq!(to_ascii("━━── ✔ 漢字 … ␛ é"), "----".to_owned() + " + ???? ~ ^ ?");
}

#[test]
fn the_locale_decides_the_charset() {
    let charset = |env: &[(&str, &str)]| {
        let env: Vec<(String, String)> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Charset::from_lookup(move |name| env.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    };
    assert_eq!(charset(&[("LANG", "en_US.UTF-8")]), Charset::Unicode);
    assert_eq!(charset(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]), Charset::Ascii);
    assert_eq!(charset(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]), Charset::Unicode);
    assert_eq!(charset(&[]), Charset::Ascii);
}

#[test]
fn colours_of_output_are_kept() {
    let line = ansi(b"\x1b[1;31mbad\x1b[0m \x1b[38;5;208mor\x1b[48;2;1;2;3mange\x1b[m \x1b[38:2::9:8:7mx\x1b[92;4my");
    let orange = Style::new().fg(Color::Indexed(208));
    let under = Style { fg: Some(Color::LightGreen), ..Style::new() }.underlined();
    assert_eq!(
        line.spans,
        [
            Span::styled("bad", Style { fg: Some(Color::Red), add_modifier: Modifier::BOLD, ..Style::new() }),
            Span::raw(" "),
            Span::styled("or", orange),
            Span::styled("ange", orange.bg(Color::Rgb(1, 2, 3))),
            Span::raw(" "),
            Span::styled("x", Style::new().fg(Color::Rgb(9, 8, 7))),
            Span::styled("y", under),
        ]
    );
}

#[test]
fn everything_else_in_output_is_dropped() {
    for (bytes, expected) in [
        (&b"a\x1b[2J\x1b[10;10Hb"[..], "ab"),
        (b"\x1b]0;title\x07x\x1b]52;c;QUJD\x1b\\y", "xy"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bP1;1|dcs\x1b\\z \x1b_apc\x1b\\q", "z q"),
        (b"ring\x07\x07", "ring"),
        (b"10%\r50%\r100%", "100%"),
        (b"crlf\r\n", "crlf"),
        (b"50%\r\x1b[K", ""),
        (b"old\x1b[2Knew", "new"),
        (b"m\x08man", "man"),
        (b"\tx\ty", "        x       y"),
        (b"unfinished \x1b]0;rest of line", "unfinished "),
        (b"\x1b(Bok\x1bc", "ok"),
        (b"nul\0", "nul␀"),
        (b"bro\xc3ken \xff", "bro�ken �"),
        (b"\x1b[8mhidden\x1b[5mblink", "hiddenblink"),
    ] {
        let text: String = ansi(bytes).spans.iter().map(|s| s.content.as_ref()).collect();
        assert_eq!(text, expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn styles_go_on_from_line_to_line_and_unfinished_sequences_do_not() {
    let mut ansi = Ansi::new(Colors::Keep);
    ansi.skip(b"\x1b[31m\n");
    ansi.skip(b"\x1b]0;swallow\n");
    assert_eq!(ansi.line(b"red\n").spans, [Span::styled("red", Style::new().fg(Color::Red))]);
    let mut plain = Ansi::new(Colors::Strip);
    assert_eq!(plain.line(b"\x1b[1;31mx").spans, [Span::styled("x", Style::new().bold())]);
}

/// What spares characters the long way has to come to the same.
#[test]
fn characters_that_stand_alone_are_shown_as_they_are_in_one_cell_each() {
    let alone: Vec<char> = ('\0'..=char::MAX).filter(|c| stands_alone(*c)).collect();
    assert!(alone.len() > 500, "{}", alone.len());
    for c in &alone {
        let text = format!("a{c}{c}b{c}─{c}é{c}");
        let found: Vec<&str> = text.graphemes(true).collect();
        assert_eq!(found.len(), text.chars().count(), "{c:?}");
        assert_eq!(cleaned(&text), text, "{c:?}");
        assert!(text.graphemes(true).all(|g| grapheme_width(g) == 1), "{c:?}");
    }
}

proptest! {
    #[test]
    fn graphemes_are_those_of_unicode(text in hostile()) {
        prop_assert_eq!(graphemes(&text).collect::<Vec<_>>(), text.graphemes(true).collect::<Vec<_>>());
    }

    /// Drawn as ratatui draws it, in every place.
    #[test]
    fn text_is_put_where_ratatui_puts_it(
        text in "[ -~é─✔…漢]{0,12}", x in 0u16..12, cells in 0u16..14, bold in any::<bool>(),
    ) {
        let area = Rect::new(0, 0, 10, 2);
        let (mut ours, mut theirs) = (Buffer::filled(area, ratatui::buffer::Cell::new("x")), Buffer::empty(area));
        theirs.clone_from(&ours);
        let style = if bold { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
        let at = put(&mut ours, (x, 1), &text, cells, style);
        let expected = theirs.set_stringn(x, 1, &text, usize::from(cells), style).0;
        prop_assert_eq!(at, expected);
        prop_assert_eq!(ours, theirs);
    }
}
