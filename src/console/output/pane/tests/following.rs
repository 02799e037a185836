//! The end of an output: jumping there, following what comes, and what holds while it does.

use super::*;

/// Requests for rows until the condition holds and nothing is missing.
fn asked_until(desk: &mut Desk, condition: impl Fn(&Pane) -> bool) -> usize {
    let before = desk.asked;
    desk.until(condition);
    desk.asked - before
}

fn append(desk: &Desk, bytes: &[u8]) {
    OpenOptions::new().append(true).open(&desk.path).unwrap().write_all(bytes).unwrap();
}

/// As many lines as a terminal has, and more, of which every one passes the filter.
fn filtered(live: bool) -> Desk {
    let mut desk = Desk::new(&numbered(50_000), live);
    desk.ready();
    desk.only("line");
    desk.until(|pane| pane.showing == (50_000, true));
    desk.pane.home();
    desk.ready();
    assert!(desk.screen().starts_with(" line 1\n"), "{}", desk.screen());
    desk
}

#[test]
fn the_end_of_the_lines_that_are_shown_is_jumped_to_and_not_walked_to() {
    let at_end = |pane: &Pane| pane.visible_text().ends_with("line 50000");
    for follow in [Pane::end, Pane::toggle_follow] {
        let mut desk = filtered(true);
        follow(&mut desk.pane);
        assert!(asked_until(&mut desk, at_end) <= 4);
    }
    // So is a selection sent there.
    let mut desk = filtered(false);
    desk.pane.select();
    desk.pane.select();
    desk.pane.end();
    assert!(asked_until(&mut desk, at_end) <= 4);
    assert!(!desk.pane.follow, "its end is where it stays");
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text().unwrap().unwrap().lines().count(), 50_000);
}

#[test]
fn more_lines_than_are_read_at_once_do_not_leave_following_behind() {
    let mut desk = filtered(true);
    desk.pane.end();
    desk.until(|pane| pane.visible_text().ends_with("line 50000"));
    let more: String = (0..50_000).map(|n| format!("another line {n}\n")).collect();
    append(&desk, more.as_bytes());
    desk.pane.grown(fs::metadata(&desk.path).unwrap().len());
    assert!(asked_until(&mut desk, |pane| pane.visible_text().ends_with("another line 49999")) <= 4);
    // What is rare is read on for, and what was shown stays.
    desk.only("needle");
    append(&desk, b"needle 1\n");
    desk.until(|pane| pane.visible_text() == "needle 1");
    for n in 2..5 {
        append(&desk, &numbered(100_000));
        append(&desk, format!("needle {n}\n").as_bytes());
        desk.until(|pane| {
            let shown = pane.visible_text();
            assert!(shown.starts_with("needle 1"), "{shown}");
            shown.ends_with(&format!("needle {n}"))
        });
    }
}

#[test]
fn an_output_that_becomes_live_again_shows_only_what_it_was_said_to() {
    let mut desk = Desk::new(b"an error\nhay\n", false);
    desk.ready();
    desk.only("error");
    desk.search("error");
    desk.until(|pane| searched(pane) && pane.showing == (1, true));
    desk.pane.open(Some(Source { path: desk.path.clone(), live: true }));
    append(&desk, b"more hay\nerror two\n");
    desk.until(|pane| searched(pane) && pane.showing == (2, true));
    desk.until(|pane| pane.visible_text().contains("two"));
    assert_eq!(desk.pane.visible_text(), "an error\nerror two");
    assert!(
        desk.pane.status().starts_with("\"error\" 1 of 2 · only \"error\": 2 of 4 lines · "),
        "{}",
        desk.pane.status()
    );
    desk.pane.select();
    desk.pane.select();
    desk.pane.end();
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text(), Some(Ok("an error\nerror two".to_owned())));
}

#[test]
fn what_could_not_be_read_is_read_when_it_becomes_live_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.1.log");
    fs::create_dir(&path).unwrap();
    let mut desk = Desk::at(dir, path.clone(), false);
    desk.until(|pane| pane.message().is_some_and(|m| m.starts_with("the output cannot be read")));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "there\n").unwrap();
    desk.pane.open(Some(Source { path, live: true }));
    desk.until(|pane| pane.visible_text() == "there");
}

#[test]
fn scrolling_before_anything_is_read_leaves_the_end() {
    let moves: [fn(&mut Pane); 3] = [|pane| pane.scroll(-3), |pane| pane.page(-1), Pane::toggle_follow];
    for scroll in moves {
        let mut desk = Desk::new(&numbered(1000), true);
        // Before anything is known, and when it is known that there is something.
        scroll(&mut desk.pane);
        let rows = desk.ask_until(|answer| matches!(answer, Answer::Rows { .. })).unwrap();
        assert!(desk.pane.known && desk.pane.rows.is_empty());
        scroll(&mut desk.pane);
        desk.pane.apply(rows);
        desk.ready();
        assert!(desk.pane.is_following(), "{}", desk.screen());
        assert!(desk.screen().ends_with("▎line 1000"), "{}", desk.screen());
        scroll(&mut desk.pane);
        assert!(!desk.pane.is_following());
    }
    // Where there is nothing to scroll, what comes is followed all the same.
    let mut desk = Desk::new(b"", true);
    desk.ready();
    desk.pane.scroll(-1);
    append(&desk, &numbered(100));
    desk.until(|pane| pane.visible_text().ends_with("line 100"));
}

#[test]
fn a_search_in_vain_says_so_as_often_as_it_is_made() {
    let mut desk = Desk::new(&numbered(10), false);
    desk.ready();
    for _ in 0..3 {
        desk.search("nowhere");
        desk.until(searched);
        assert_eq!(desk.pane.status(), "\"nowhere\" not there · lines 7–10 of 10");
    }
    for _ in 0..3 {
        desk.search("line 9");
        desk.until(searched);
        assert_eq!(desk.pane.found_in_words(), "1 of 1");
    }
}
