//! The panes of an open run on a small screen: the one that has the keys has the room.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::screens::shown;
use super::*;
use crate::console::run_model::Pane;
use crate::console::views::layout;

const SMALL: (u16, u16) = (80, 24);

/// How many rows the list, the detail and the log have.
fn rows(app: &App) -> (u16, u16, u16) {
    let area = ratatui::layout::Rect::new(0, 0, app.size.0, app.size.1);
    let layout = layout::run(area, app.run.as_ref().unwrap());
    (layout.steps.height, layout.detail.height, layout.log.height)
}

#[test]
fn each_pane_with_the_keys() {
    let sim = Sim::new(many(60)).ask(Command::Start).wait(2).done("host-000000").wait(1);
    for (name, keys) in [("panes_steps", "j"), ("panes_detail", "j Tab"), ("panes_log", "j Tab Tab")] {
        shown(name, |size| {
            let mut app = open(&sim, size);
            output(&mut app, &["looking at host-000001", "it answers", "3 packages are old"]);
            press(&mut app, keys);
            app
        });
    }
}

#[test]
fn the_pane_that_has_the_keys_has_the_room() {
    let mut app = open(&Sim::new(many(60)).ask(Command::Start), SMALL);
    let (list, detail, log) = rows(&app);
    assert!(list >= 10 && detail >= 3 && log >= 1, "{list} {detail} {log}");
    press(&mut app, "Tab");
    let (list, detail, log) = rows(&app);
    assert!(list >= 3 && detail >= 9 && log >= 1, "{list} {detail} {log}");
    press(&mut app, "Tab");
    let (list, detail, log) = rows(&app);
    assert!(list >= 3 && detail >= 2 && log >= 6, "{list} {detail} {log}");
    // The selected step stays in sight, however few rows there are.
    press(&mut app, "Tab G Tab");
    assert!(screen(&mut app).contains("▌○ pending       host-000059"));
    // Side by side, nothing moves.
    let mut app = open(&Sim::new(many(60)).ask(Command::Start), (160, 45));
    let before = rows(&app);
    press(&mut app, "Tab");
    assert_eq!(rows(&app), before);
}

#[test]
fn a_click_that_gives_the_list_the_room_drags_nothing() {
    let mut app = open(&Sim::new(many(60)).ask(Command::Start), SMALL);
    press(&mut app, "G Tab");
    let mouse = |app: &mut App, kind, row| {
        let now = app.now;
        let effects =
            app.update(Event::Mouse(MouseEvent { kind, column: 20, row, modifiers: KeyModifiers::NONE }), now);
        screen(app);
        effects
    };
    let text = screen(&mut app);
    let row = text.lines().position(|line| line.contains("host-000058")).unwrap() as u16;
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), row);
    let run = app.run.as_ref().unwrap();
    assert_eq!((run.focus, run.list.selected.as_deref()), (Pane::Steps, Some("host-000058")));
    // The hand trembles; under it is another row now.
    mouse(&mut app, MouseEventKind::Drag(MouseButton::Left), row);
    assert!(mouse(&mut app, MouseEventKind::Up(MouseButton::Left), row).is_empty(), "no step is moved");
}
