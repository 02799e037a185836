//! The pane on a made-up reader: what is asked for, and what is drawn.

mod following;
mod long_lines;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use chrono::DateTime;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{MAX_TEXT, Query, Reader, Stamps, Stream};
use super::window::{MAX_BYTES, MAX_ROWS};
use super::*;
use crate::console::text;
use crate::console::theme::{Depth, Glyphs, Theme, ThemeName};

/// A pane with a real reader on a real file.
struct Desk {
    _dir: tempfile::TempDir,
    path: PathBuf,
    pane: Pane,
    reader: Reader,
    answers: Receiver<Answer>,
    /// How often rows were asked for.
    asked: usize,
}

/// Stamps for tests: everything from the 20th byte on is standard error, a second a byte.
struct Every;

impl Stamps for Every {
    fn at(&mut self, offset: u64) -> Option<(DateTime<chrono::Utc>, Stream)> {
        let time = DateTime::from_timestamp(i64::try_from(offset).unwrap(), 0)?;
        Some((time, if offset >= 20 { Stream::Stderr } else { Stream::Stdout }))
    }
}

impl Desk {
    fn new(bytes: &[u8], live: bool) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.1.log");
        fs::write(&path, bytes).unwrap();
        Desk::at(dir, path, live)
    }

    fn at(dir: tempfile::TempDir, path: PathBuf, live: bool) -> Desk {
        let (send, answers) = sync_channel(16);
        let reader = Reader::spawn(|_| Some(Box::new(Every)), move |answer| send.send(answer).is_ok()).unwrap();
        let mut pane = Pane::new(Colors::Keep);
        pane.set_size(21, 4);
        pane.open(Some(Source { path: path.clone(), live }));
        Desk { _dir: dir, path, pane, reader, answers, asked: 0 }
    }

    /// Lets pane and reader talk until the condition holds and nothing is missing.
    #[track_caller]
    fn until(&mut self, condition: impl Fn(&Pane) -> bool) -> &mut Desk {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            for request in self.pane.take_requests() {
                self.asked += usize::from(matches!(request, Request::Rows { .. }));
                if !self.reader.request(request.clone()) {
                    self.pane.refused(request);
                }
            }
            if self.pane.waiting.is_none() && condition(&self.pane) {
                return self;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left) {
                Ok(answer) => self.pane.apply(answer),
                Err(_) => panic!("waited in vain; the pane shows:\n{}\n{:?}", self.screen(), self.pane),
            };
        }
    }

    /// Asks what the pane asks until this answer comes, which the pane does not get.
    fn ask_until(&mut self, wanted: impl Fn(&Answer) -> bool) -> Option<Answer> {
        loop {
            for request in self.pane.take_requests() {
                assert!(self.reader.request(request));
            }
            let answer = self.answers.recv_timeout(Duration::from_secs(30)).ok()?;
            if wanted(&answer) {
                return Some(answer);
            }
            self.pane.apply(answer);
        }
    }

    fn ready(&mut self) -> &mut Desk {
        self.until(|pane| pane.known && (pane.len.unwrap_or(0) == 0 || pane.counted))
    }

    fn search(&mut self, text: &str) {
        self.pane.search(&Query { text: text.into(), regex: false }).unwrap();
    }

    fn regex(&mut self, text: &str) -> Result<(), super::super::Wrong> {
        self.pane.search(&Query { text: text.into(), regex: true })
    }

    fn only(&mut self, text: &str) {
        self.pane.show_only(&Query { text: text.into(), regex: false }).unwrap();
    }

    fn screen(&self) -> String {
        let area = Rect::new(0, 0, self.pane.width, self.pane.height);
        let mut buffer = Buffer::empty(area);
        self.pane.draw(&mut buffer, area, &Theme::new(ThemeName::Dark, Depth::True), &Glyphs::UNICODE);
        let rows = buffer.content.chunks(usize::from(area.width)).map(|row| {
            let mut skip = 0;
            let mut text = String::new();
            for cell in row {
                if skip == 0 {
                    text.push_str(cell.symbol());
                    skip = text::width(cell.symbol());
                }
                skip = skip.saturating_sub(1);
            }
            text.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    }
}

/// Nothing of a search is still to come, and the lines that its words speak of are counted too.
fn searched(pane: &Pane) -> bool {
    let over = |search: &Searching| {
        let placed = search.current.is_none() || search.place.is_some();
        search.counted && search.waiting.is_none() && placed
    };
    pane.counted && pane.search.as_ref().is_some_and(over) && pane.message().is_none()
}

fn numbered(n: usize) -> Vec<u8> {
    (1..=n).map(|i| format!("line {i}\n")).collect::<String>().into_bytes()
}

#[test]
fn nothing_is_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.log");
    let mut desk = Desk::at(dir, path, false);
    assert_eq!(desk.ready().screen().trim(), "no output");
    let mut desk = Desk::new(b"", true);
    assert_eq!(desk.ready().screen().trim(), "no output yet");
    assert_eq!(Pane::new(Colors::Keep).take_requests(), []);
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let mut desk = Desk::at(dir, path, false);
    desk.until(|pane| pane.message().is_some_and(|m| m.starts_with("the output cannot be read")));
}

#[test]
fn it_opens_at_the_end_and_scrolls() {
    let mut desk = Desk::new(&numbered(100_000), false);
    desk.ready();
    assert_eq!(desk.screen(), "▎line 99997\n▎line 99998\n▎line 99999\n▎line 100000");
    assert_eq!(desk.pane.status(), "lines 99,997–100,000 of 100,000");
    desk.pane.scroll(-2);
    desk.ready();
    assert_eq!(desk.screen(), "▎line 99995\n▎line 99996\n▎line 99997\n▎line 99998");
    desk.pane.scroll(50);
    assert_eq!(desk.ready().screen(), "▎line 99997\n▎line 99998\n▎line 99999\n▎line 100000");
    for _ in 0..10 {
        desk.pane.page(-1);
        desk.ready();
    }
    assert_eq!(desk.screen().lines().next(), Some("▎line 99977"));
    desk.pane.home();
    assert_eq!(desk.ready().screen(), " line 1\n line 2\n line 3\n▎line 4");
    desk.pane.go_to_line(77_777);
    desk.until(|pane| pane.shown().next().is_some_and(|(row, _)| row.number == Some(77_777)));
    assert_eq!(desk.screen().lines().next(), Some("▎line 77777"));
    desk.pane.end();
    assert_eq!(desk.ready().screen().lines().last(), Some("▎line 100000"));
}

#[test]
fn what_grows_is_followed_until_someone_scrolls_up() {
    let mut desk = Desk::new(&numbered(10), true);
    desk.ready();
    assert_eq!(desk.pane.status(), "lines 7–10 of 10 · follow");
    let mut file = OpenOptions::new().append(true).open(&desk.path).unwrap();
    // Nobody tells; the reader looks by itself.
    file.write_all(b"more\nand a pro").unwrap();
    desk.until(|pane| pane.visible_text().ends_with("and a pro"));
    file.write_all(b"mpt").unwrap();
    desk.pane.grown(desk.pane.len.unwrap() + 3);
    desk.until(|pane| pane.visible_text().ends_with("and a prompt"));
    desk.pane.scroll(-1);
    let shown = desk.ready().screen();
    file.write_all(b"\nunseen\n").unwrap();
    let len = fs::metadata(&desk.path).unwrap().len();
    desk.until(|pane| pane.len == Some(len));
    assert_eq!(desk.screen(), shown);
    assert!(!desk.pane.is_following() && desk.pane.has_stopped());
    assert!(desk.pane.status().ends_with(" · not following"), "{}", desk.pane.status());
    desk.pane.toggle_follow();
    desk.until(|pane| pane.visible_text().ends_with("unseen"));
    assert!(desk.pane.visible_text().contains("and a prompt"));
}

#[test]
fn a_notice_ahead_of_the_file_does_not_make_it_ask_for_ever() {
    let mut desk = Desk::new(&numbered(10), true);
    desk.ready();
    desk.pane.grown(1_000_000);
    desk.ready();
    assert_eq!(desk.pane.take_requests(), []);
}

#[test]
fn a_file_that_became_shorter_is_shown_as_it_is() {
    let mut desk = Desk::new(&numbered(1000), true);
    desk.ready();
    File::create(&desk.path).unwrap().write_all(b"new\n").unwrap();
    desk.until(|pane| pane.visible_text() == "new");
}

#[test]
fn a_file_that_comes_later_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.log");
    let mut desk = Desk::at(dir, path.clone(), true);
    desk.ready();
    fs::write(path, "there\n").unwrap();
    desk.until(|pane| pane.visible_text() == "there");
}

#[test]
fn long_lines_are_scrolled_or_wrapped() {
    let mut desk = Desk::new("0123456789abcdefghijklmnopqrstuvwxyz\n漢字漢字漢字漢字漢字漢字\n".as_bytes(), false);
    desk.ready();
    assert_eq!(desk.screen(), " 0123456789abcdefghi›\n▎漢字漢字漢字漢字漢 ›\n\n");
    desk.pane.scroll_columns(5);
    assert_eq!(desk.screen(), " ‹6789abcdefghijklmn›\n▎‹字漢字漢字漢字漢字\n\n");
    desk.pane.scroll_columns(500);
    assert!(desk.screen().starts_with(" ‹"));
    assert!(desk.screen().lines().next().unwrap().ends_with('z'));
    desk.pane.toggle_wrap();
    assert_eq!(desk.screen(), " 0123456789abcdefghij\n↳klmnopqrstuvwxyz\n▎漢字漢字漢字漢字漢字\n↳漢字");
    desk.pane.set_size(21, 2);
    assert_eq!(desk.screen(), "▎漢字漢字漢字漢字漢字\n↳漢字");
    desk.pane.scroll(-1);
    assert_eq!(desk.screen(), "↳klmnopqrstuvwxyz\n▎漢字漢字漢字漢字漢字");
    assert_eq!(desk.pane.visible_text(), "0123456789abcdefghijklmnopqrstuvwxyz\n漢字漢字漢字漢字漢字漢字");
}

#[test]
fn times_are_shown_on_demand() {
    let mut desk = Desk::new(&numbered(4), false);
    desk.ready();
    desk.pane.toggle_times();
    let time = |offset| DateTime::from_timestamp(offset, 0).unwrap().with_timezone(&chrono::Local).format("%H:%M:%S");
    assert_eq!(
        desk.screen(),
        format!(" {} line 1\n {} line 2\n {} line 3\n▎{} line 4", time(0), time(7), time(14), time(21))
    );
}

#[test]
fn a_line_of_ten_megabytes_costs_little_and_can_be_read_to_its_end() {
    let mut bytes = numbered(5);
    bytes.extend(std::iter::repeat_n(b'x', 10_000_000));
    bytes.extend_from_slice(b"END\nlast\n");
    let mut desk = Desk::new(&bytes, false);
    let start = Instant::now();
    desk.until(|pane| !pane.rows.is_empty());
    for _ in 0..100 {
        desk.screen();
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let kept: u64 = desk.pane.rows.iter().map(|row| row.end - row.start).sum();
    assert!(kept <= MAX_BYTES, "{kept}");
    desk.ready();
    assert_eq!(desk.pane.status(), "lines 6–7 of 7");
    desk.search("END");
    desk.until(searched);
    let hit = desk.pane.search.as_ref().unwrap().current.unwrap();
    assert_eq!(hit.row + hit.at as u64, bytes.len() as u64 - 9);
    assert!(desk.screen().contains("END"), "it is scrolled to:\n{}", desk.screen());
    desk.pane.home();
    assert!(desk.ready().screen().starts_with(" line 1\n"));
}

#[test]
fn a_gigabyte_opens_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.log");
    let mut file = File::create(&path).unwrap();
    // A hole: one line of zeros, the worst of lines.
    file.set_len(1 << 30).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"\nthe end\n").unwrap();
    let mut desk = Desk::at(dir, path, true);
    // The first answer has what is seen; no more than it may hold was read for it.
    let Some(Answer::Rows { rows, .. }) = desk.ask_until(|answer| matches!(answer, Answer::Rows { .. })) else {
        panic!("no rows");
    };
    assert_eq!(rows.last().unwrap().line.to_string(), "the end");
    assert!(rows.iter().map(|row| row.end - row.start).sum::<u64>() <= 5 * 32 * 1024);
    let len = (1 << 30) + 9;
    let covered = rows[0].start..len;
    desk.pane.apply(Answer::Rows { view: 1, place: Place::End, rows, covered, resume: len, len });
    desk.pane.jump(1 << 29);
    desk.until(|pane| pane.shown().next().is_some_and(|(row, _)| row.start == 1 << 29));
    let kept: u64 = desk.pane.rows.iter().map(|row| row.end - row.start).sum();
    assert!(kept <= MAX_BYTES, "{kept}");
}

#[test]
fn memory_is_bounded_while_scrolling_through_everything() {
    let mut desk = Desk::new(&numbered(50_000), false);
    desk.ready();
    desk.pane.home();
    desk.ready();
    for _ in 0..3_000 {
        desk.pane.scroll(3);
        desk.ready();
        assert!(desk.pane.rows.len() <= MAX_ROWS + 200, "{}", desk.pane.rows.len());
    }
    assert_eq!(desk.screen().lines().next(), Some("▎line 9001"));
}

#[test]
fn matches_are_found_counted_and_come_to_an_end() {
    let mut bytes = numbered(30_000);
    bytes.extend_from_slice(b"a Needle here\n");
    bytes.extend(numbered(30_000));
    bytes.extend_from_slice(b"a needle there\n");
    let mut desk = Desk::new(&bytes, false);
    desk.ready();
    desk.pane.home();
    desk.ready();
    desk.search("needle");
    desk.until(|pane| searched(pane) && pane.visible_text().contains("Needle here"));
    assert!(desk.pane.status().starts_with("\"needle\" 1 of 2 · line "), "{}", desk.pane.status());
    desk.pane.search_next(true);
    desk.until(|pane| searched(pane) && pane.visible_text().contains("needle there"));
    assert!(desk.pane.status().starts_with("\"needle\" 2 of 2 · "), "{}", desk.pane.status());
    // The end is told, and nothing is lost; only who asks for it goes round.
    desk.pane.search_next(true);
    desk.until(|pane| pane.exhausted.is_some());
    assert_eq!((desk.pane.take_exhausted(), desk.pane.take_exhausted()), (Some(true), None));
    assert!(desk.pane.visible_text().contains("needle there"));
    desk.pane.search_round(true);
    desk.until(|pane| searched(pane) && pane.visible_text().contains("Needle here"));
    assert!(desk.pane.status().contains("from the other end"));
    desk.pane.search_next(false);
    desk.until(|pane| pane.exhausted == Some(false));
    desk.pane.search_from_end(false);
    desk.until(|pane| searched(pane) && pane.visible_text().contains("needle there"));
    desk.pane.search_next(false);
    desk.until(|pane| searched(pane) && pane.visible_text().contains("Needle here"));
    desk.search("Needle");
    desk.until(|pane| searched(pane) && pane.search.as_ref().unwrap().count == 1);
    desk.search("nowhere");
    desk.until(searched);
    assert!(desk.pane.status().starts_with("\"nowhere\" not there"), "{}", desk.pane.status());
    desk.search("");
    assert_eq!(desk.pane.searched(), None);
}

/// The cells of a line of the screen, as they are without colours and with plain characters.
fn plainly(pane: &Pane, line: u16) -> Vec<ratatui::buffer::Cell> {
    let area = Rect::new(0, 0, pane.width, pane.height);
    let mut buffer = Buffer::empty(area);
    pane.draw(&mut buffer, area, &Theme::new(ThemeName::Dark, Depth::None), &Glyphs::ASCII);
    (0..area.width).map(|x| buffer[(x, line)].clone()).collect()
}

#[test]
fn the_match_that_is_counted_is_told_from_the_others() {
    let mut desk = Desk::new(b"a needle\nhay\na needle needle\nhay\nhay\nhay\nhay\nhay\n", false);
    desk.ready();
    desk.pane.home();
    desk.ready();
    desk.search("needle");
    desk.until(searched);
    assert_eq!(desk.pane.status(), "\"needle\" 1 of 3 · line 1 of 8");
    assert_eq!(desk.screen().lines().next(), Some("▌a needle"));
    for (place, [this, other]) in [("2 of 3", [3, 10]), ("3 of 3", [10, 3])] {
        desk.pane.search_next(true);
        desk.until(|pane| searched(pane) && pane.status().contains(place));
        assert_eq!(desk.pane.status(), format!("\"needle\" {place} · line 3 of 8"));
        assert!(desk.screen().lines().nth(2).unwrap().starts_with("▌a needle"), "{}", desk.screen());
        let cells = plainly(&desk.pane, 2);
        assert_eq!((cells[0].symbol(), cells[this].symbol(), cells[other].symbol()), (">", "n", "n"));
        assert_ne!(cells[this].style(), cells[other].style());
        assert_ne!(cells[other].style(), cells[1].style());
        assert_ne!(plainly(&desk.pane, 0)[0].symbol(), ">");
    }
    // Where it is not seen any more, the place is that of what is.
    desk.pane.scroll(10);
    desk.ready();
    assert_eq!(desk.pane.status(), "\"needle\" 3 of 3 · lines 5–8 of 8");
    assert_eq!(desk.pane.status_in(31), "\"needle\" 3 of 3 · lines 5–8");
    assert_eq!(desk.pane.status_in(20), "\"needle\" 3 of 3");
}

#[test]
fn a_match_stays_in_sight_when_its_room_changes_and_no_room_is_wasted() {
    let mut bytes = b"long ".repeat(20);
    bytes.push(b'\n');
    let mut bytes = bytes.repeat(30);
    bytes.extend_from_slice(b"needle\n");
    bytes.extend(numbered(30));
    let mut desk = Desk::new(&bytes, false);
    desk.pane.set_size(21, 30);
    desk.ready();
    desk.pane.home();
    desk.ready();
    desk.search("needle");
    desk.until(searched);
    let changes: [fn(&mut Pane); 4] =
        [|pane| pane.set_size(21, 4), Pane::toggle_wrap, Pane::toggle_wrap, |pane| pane.set_size(21, 9)];
    for change in changes {
        change(&mut desk.pane);
        desk.ready();
        assert!(desk.screen().contains("needle"), "{}", desk.screen());
    }
    // At its end, with more room than before.
    desk.pane.end();
    desk.pane.scroll(-1);
    desk.pane.scroll(1);
    desk.pane.set_size(21, 20);
    assert_eq!(desk.ready().pane.shown().count(), 20);
}

#[test]
fn an_expression_that_is_none_changes_nothing() {
    let mut desk = Desk::new(b"one 1\ntwo 22\nthree 333\n", false);
    desk.ready();
    desk.regex(r"\d{2}").unwrap();
    desk.until(searched);
    assert_eq!(desk.pane.status(), "/\\d{2}/ 1 of 2 · line 2 of 3");
    assert_eq!(desk.regex(r"\d{2").unwrap_err().said, "unclosed counted repetition");
    assert_eq!(desk.pane.searched().unwrap().query().text, r"\d{2}");
}

#[test]
fn a_match_far_to_the_right_is_brought_onto_the_screen() {
    let mut bytes = numbered(100);
    bytes.extend(b"hay ".repeat(100));
    bytes.extend_from_slice(b"needle\n");
    bytes.extend(numbered(100));
    let mut desk = Desk::new(&bytes, false);
    desk.ready();
    desk.pane.home();
    desk.ready();
    desk.search("needle");
    desk.until(|pane| searched(pane) && pane.search.as_ref().is_some_and(|search| !search.hidden));
    assert!(desk.screen().contains("needle"), "{}", desk.screen());
    assert_ne!(desk.screen().lines().next().unwrap().trim(), "", "lines before it are seen");
    desk.pane.toggle_wrap();
    desk.pane.home();
    desk.ready();
    desk.search("needle");
    desk.until(|pane| searched(pane) && pane.search.as_ref().is_some_and(|search| !search.hidden));
    assert!(desk.screen().contains("needle"), "{}", desk.screen());
}

#[test]
fn a_search_holds_for_the_next_output_and_moves_nothing_there() {
    let mut desk = Desk::new(b"a needle\n", false);
    desk.ready();
    desk.search("needle");
    desk.until(searched);
    let other = desk._dir.path().join("other.log");
    let mut text = b"needle\nneedle\n".to_vec();
    text.extend(numbered(100));
    fs::write(&other, text).unwrap();
    desk.pane.open(Some(Source { path: other, live: false }));
    desk.until(searched);
    assert!(desk.screen().contains("line 100"), "it is opened at its end:\n{}", desk.screen());
    assert_eq!(desk.pane.status(), "\"needle\" 2 matches · lines 99–102 of 102");
    desk.pane.search_from_end(true);
    desk.until(|pane| searched(pane) && pane.status().starts_with("\"needle\" 1 of 2"));
}

#[test]
fn only_some_lines_are_shown_wherever_they_are() {
    let mut bytes = Vec::new();
    for n in 1..=60_000 {
        bytes.extend_from_slice(format!("line {n}\n").as_bytes());
        if n % 10_000 == 0 {
            bytes.extend_from_slice(format!("\x1b[31mERROR\x1b[0m at {n}\n").as_bytes());
        }
    }
    let mut desk = Desk::new(&bytes, true);
    desk.ready();
    desk.only("error at");
    desk.until(|pane| pane.showing == (6, true));
    desk.ready();
    assert_eq!(desk.screen(), "▎ERROR at 30000\n▎ERROR at 40000\n▎ERROR at 50000\n▎ERROR at 60000");
    assert_eq!(desk.pane.status(), "only \"error at\": 6 of 60,006 lines · lines 30,003–60,006 of 60,006 · follow");
    desk.pane.home();
    desk.ready();
    assert_eq!(desk.screen(), "▎ERROR at 10000\n▎ERROR at 20000\n▎ERROR at 30000\n▎ERROR at 40000");
    desk.pane.scroll(1);
    desk.pane.scroll(100);
    assert_eq!(desk.ready().screen().lines().next(), Some("▎ERROR at 30000"));
    assert_eq!(desk.pane.visible_text(), "ERROR at 30000\nERROR at 40000\nERROR at 50000\nERROR at 60000");
    // What is searched for is searched for in what is shown.
    desk.search("0");
    desk.until(searched);
    assert_eq!(desk.pane.search.as_ref().unwrap().count, 6 * 4);
    // New lines come, and those that have it are shown.
    desk.pane.end();
    let mut file = OpenOptions::new().append(true).open(&desk.path).unwrap();
    file.write_all(b"line\nan er").unwrap();
    desk.until(|pane| pane.len == Some(bytes.len() as u64 + 10));
    file.write_all(b"ror at last\n").unwrap();
    desk.until(|pane| pane.visible_text().ends_with("an error at last"));
    // All of them again, where one was.
    desk.pane.home();
    desk.ready();
    desk.pane.show_only(&Query::default()).unwrap();
    desk.ready();
    assert!(desk.screen().contains("line 10001"), "{}", desk.screen());
    desk.only("nowhere");
    desk.until(|pane| pane.message() == Some("no line has \"nowhere\"".to_owned()));
}

#[test]
fn lines_are_selected_and_their_text_is_given() {
    let mut desk = Desk::new(&numbered(50_000), false);
    desk.ready();
    desk.pane.select();
    assert_eq!(desk.pane.status(), "choose the first line · line 50,000 of 50,000");
    desk.pane.scroll(-1);
    desk.pane.select();
    desk.pane.scroll(-3);
    assert_eq!(desk.screen(), "▌line 49996\n│line 49997\n│line 49998\n│line 49999");
    assert!(desk.pane.status().starts_with("4 lines selected · "), "{}", desk.pane.status());
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text(), Some(Ok("line 49996\nline 49997\nline 49998\nline 49999".to_owned())));
    // As far as the beginning, of which nothing is kept.
    desk.pane.home();
    desk.until(|pane| pane.status().starts_with("49,999 lines selected"));
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text().unwrap().unwrap().lines().count(), 49_999);
    assert!(desk.pane.leave_selection() && !desk.pane.leave_selection());
}

#[test]
fn a_selection_is_of_lines_however_they_are_wrapped_and_not_of_what_is_drawn_around_them() {
    let mut bytes = b"\x1b[31m".to_vec();
    bytes.extend(b"0123456789".repeat(6_000));
    bytes.extend_from_slice(b"\x1b[0m end\nlast\n");
    let mut desk = Desk::new(&bytes, false);
    desk.ready();
    desk.pane.toggle_wrap();
    desk.pane.toggle_times();
    desk.pane.home();
    desk.ready();
    desk.pane.select();
    desk.pane.select();
    desk.pane.end();
    desk.ready();
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text(), Some(Ok("0123456789".repeat(6_000) + " end\nlast")));
}

#[test]
fn more_than_can_be_copied_is_said() {
    let mut desk = Desk::new(&b"x".repeat(MAX_TEXT + 10_000), false);
    desk.ready();
    desk.pane.select();
    desk.pane.select();
    desk.pane.home();
    desk.until(|pane| pane.selected().is_some_and(|(from, _)| from == 0));
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text(), Some(Err(Untold::TooLong(MAX_TEXT))));
}

#[test]
fn lines_are_selected_with_the_mouse() {
    let mut desk = Desk::new(&numbered(100), true);
    desk.ready();
    desk.pane.press(3);
    assert!(!desk.pane.is_selecting(), "a click selects nothing");
    desk.pane.drag(1);
    assert_eq!(desk.screen(), " line 97\n▌line 98\n│line 99\n│line 100".replace(" line 97", "▎line 97"));
    desk.pane.drag(-1);
    desk.pane.drag(-1);
    desk.pane.release();
    assert_eq!(desk.pane.selected_in_words().as_deref(), Some("6 lines selected"));
    desk.pane.press(0);
    assert!(!desk.pane.is_selecting());
}

#[test]
fn colours_come_from_before_the_window() {
    let mut bytes = b"\x1b[31mred from here\n".to_vec();
    bytes.extend(numbered(1000));
    let mut desk = Desk::new(&bytes, false);
    desk.ready();
    let (row, _) = desk.pane.shown().last().unwrap();
    assert_eq!(row.line.spans[0].style.fg, Some(ratatui::style::Color::Red));
}

#[test]
fn answers_for_another_output_are_ignored() {
    let mut desk = Desk::new(&numbered(10), false);
    let requests = desk.pane.take_requests();
    desk.pane.open(Some(Source { path: "/nonexistent/b.log".into(), live: false }));
    for request in requests {
        desk.reader.request(request);
    }
    let answer = desk.answers.recv().unwrap();
    assert!(!desk.pane.apply(answer));
    assert_eq!(desk.ready().screen().trim(), "no output");
}
