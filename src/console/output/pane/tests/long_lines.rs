//! Lines that are longer than a row: as they are seen, copied and found, and what they cost.

use ratatui::style::Color;

use super::super::folds::LOOKED_AT;
use super::*;

/// Where the first row of a line is broken.
const BREAK: usize = 16 * 1024;

#[test]
fn a_long_line_is_read_and_copied_as_it_was_printed() {
    let mut line = "x".repeat(BREAK - 1) + "ü and ";
    line += &"y".repeat(2 * BREAK - 5 - line.len());
    let said = line.clone() + "red ";
    line += "\u{1b}[38;5;200mred ";
    let rest = "z".repeat(40) + "漢字 end";
    let mut desk = Desk::new(format!("{line}{rest}\nlast\n").as_bytes(), false);
    let said = said + &rest + "\nlast";
    desk.ready();
    desk.pane.home();
    desk.ready();
    assert_eq!(desk.pane.visible_text(), said);
    let coloured = desk.pane.rows.iter().find(|row| row.line.to_string().starts_with("red ")).unwrap();
    assert_eq!(coloured.line.spans[0].style.fg, Some(Color::Indexed(200)));
    assert_eq!(coloured.start, 2 * BREAK as u64 - 5);
    desk.pane.select();
    desk.pane.select();
    desk.pane.end();
    desk.ready();
    desk.pane.ask_for_text();
    desk.until(|pane| pane.text.is_some());
    assert_eq!(desk.pane.take_text(), Some(Ok(said)));
    // What is found is what is seen.
    for (wanted, row) in [("ü and", BREAK as u64 - 1), ("red z", 2 * BREAK as u64 - 5)] {
        desk.search(wanted);
        desk.until(searched);
        let search = desk.pane.search.as_ref().unwrap();
        assert_eq!((search.count, search.current.map(|hit| (hit.row, hit.at))), (1, Some((row, 0))), "{wanted}");
    }
}

/// How many graphemes are looked at for a frame, and for what is said below it.
fn looked_at(desk: &Desk) -> usize {
    LOOKED_AT.set(0);
    desk.screen();
    desk.pane.status_in(80);
    LOOKED_AT.get()
}

#[test]
fn a_frame_of_wrapped_lines_costs_what_it_shows_however_long_they_are() {
    let line = "{\"größe\": \"\u{1b}[1m12\u{1b}[0m\"}, ".repeat(1_000) + "\n";
    let mut desk = Desk::new(line.repeat(20).as_bytes(), false);
    desk.pane.set_size(81, 40);
    desk.ready();
    desk.pane.toggle_wrap();
    desk.search("größe");
    desk.until(searched);
    desk.pane.home();
    desk.ready();
    let cells = 80 * 40;
    let mut most = |change: fn(&mut Pane)| {
        // Once for what was not shown before.
        change(&mut desk.pane);
        desk.screen();
        looked_at(&desk)
    };
    let moves: [fn(&mut Pane); 4] = [|_| {}, |pane| pane.scroll(100), |pane| pane.page(-1), Pane::end];
    for scroll in moves {
        let looked_at = most(scroll);
        assert!(looked_at <= cells + 40, "{looked_at} for {cells} cells");
        assert!(looked_at >= cells / 2, "a screenful is shown");
    }
    // Of what is scrolled to, no more than is new.
    desk.pane.home();
    desk.ready();
    desk.screen();
    LOOKED_AT.set(0);
    for _ in 0..100 {
        desk.pane.scroll(1);
        desk.screen();
    }
    assert!(LOOKED_AT.get() <= 100 * (cells + 40) + 32 * 1024 * 2, "{}", LOOKED_AT.get());
}
