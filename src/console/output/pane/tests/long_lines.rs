//! Lines that are longer than a row: as they are seen, copied and found, and what they cost.

use ratatui::style::Color;

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
