//! The output viewer with a real reader on real files: what is looked for in them, in which steps, what is selected, copied and saved.

use std::fs;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::keys::catch_up;
use super::*;
use crate::console::output::{Answer as Said, NotSaved, Reader, Request, Save, Saved};
use crate::console::popups::Popup;
use crate::console::run_model::Tab;

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 45)];

/// A console, and the outputs of its run.
struct Desk {
    dir: tempfile::TempDir,
    app: App,
    reader: Reader,
    answers: Receiver<Said>,
}

/// What the steps of the backup have printed.
fn outputs() -> Vec<(&'static str, String)> {
    let checks = (1..=400).map(|n| match n % 40 {
        0 => format!("\u{1b}[31merror\u{1b}[0m: row {n} of orders differs\n"),
        7 => format!("warning: row {n} took 1.{n} s\n"),
        _ => format!("row {n} is as it was\n"),
    });
    vec![
        ("dump.1", "dumping orders\n1 Error was mended\n".into()),
        ("compress.1", "nothing to say\n".into()),
        ("verify.1", "error: an attempt that is over\n".into()),
        ("verify.2", checks.collect()),
        ("report.1", "two errors\nand one error more\n".into()),
    ]
}

impl Desk {
    fn new(size: (u16, u16)) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in outputs() {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (send, answers) = sync_channel(64);
        let reader = Reader::spawn(|_| None, move |answer| send.send(answer).is_ok()).unwrap();
        let mut app = open(&failed(), size);
        let root = dir.path().to_owned();
        app.settings.output_path = Arc::new(move |_, step, attempt| root.join(format!("{step}.{attempt}")));
        let mut desk = Desk { dir, app, reader, answers };
        desk.select("verify");
        desk.press("Tab");
        desk
    }

    fn select(&mut self, step: &str) {
        let run = self.app.run.as_mut().unwrap();
        let position = run.state.position(step).unwrap();
        run.select(position);
        self.quiet();
    }

    /// Lets console and reader talk until nothing is to be said any more.
    fn quiet(&mut self) -> Vec<Effect> {
        self.until(|_| false)
    }

    /// The same until the console is as wanted.
    fn until(&mut self, wanted: impl Fn(&App) -> bool) -> Vec<Effect> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut effects = Vec::new();
        let mut silent = 0;
        while Instant::now() < deadline {
            screen(&mut self.app);
            let mut asked = false;
            for request in self.app.output_requests() {
                asked = true;
                assert!(self.reader.request(request));
            }
            if wanted(&self.app) {
                return effects;
            }
            // Whatever is on its way says so within a turn of the reader; one that has nothing to do is silent.
            match self.answers.recv_timeout(Duration::from_millis(150)) {
                Ok(answer) => {
                    let now = self.app.now;
                    effects.extend(self.app.update(Event::Output(answer), now));
                    silent = 0;
                }
                Err(_) if asked => {}
                Err(_) => silent += 1,
            }
            if silent == 2 {
                return effects;
            }
        }
        panic!("waited in vain:\n{}", screen(&mut self.app));
    }

    fn press(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = press(&mut self.app, keys);
        effects.extend(self.quiet());
        effects
    }

    fn type_in(&mut self, text: &str) {
        for letter in text.chars() {
            press(&mut self.app, if letter == ' ' { "Space".into() } else { letter.to_string() }.as_str());
        }
        self.quiet();
    }

    fn screen(&mut self) -> String {
        screen(&mut self.app)
    }

    fn selected(&self) -> &str {
        self.app.run.as_ref().unwrap().list.selected.as_deref().unwrap()
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let now = self.app.now;
        self.app.update(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }), now);
        screen(&mut self.app);
    }
}

fn shown(name: &str, keys: impl Fn(&mut Desk)) {
    for size in SIZES {
        let mut desk = Desk::new(size);
        keys(&mut desk);
        let text = desk.screen();
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "../snapshots"}, {
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text);
        });
    }
}

#[test]
fn what_it_looks_like() {
    shown("output_searching", |desk| {
        desk.press("/");
        desk.type_in("error");
    });
    shown("output_search_wrong", |desk| {
        desk.press("/ Ctrl-r");
        desk.type_in("row (1|2");
    });
    shown("output_found", |desk| {
        desk.press("g / Ctrl-r");
        desk.type_in("row [0-9]*7 ");
        desk.press("Enter n");
        desk.press("n");
    });
    shown("output_only_lines", |desk| {
        desk.press("&");
        desk.type_in("error");
        desk.press("Enter");
    });
    shown("output_selecting", |desk| {
        desk.press("v k v k k");
    });
}

#[test]
fn what_saving_looks_like() {
    shown("output_save", |desk| {
        desk.press("S");
    });
    shown("output_save_is_there", |desk| {
        desk.press("v v k S Enter");
        let now = desk.app.now;
        desk.app.update(Event::Saved(Err(NotSaved::IsThere)), now);
        desk.press("Enter");
    });
    shown("output_save_refused", |desk| {
        desk.press("S Enter");
        let why = NotSaved::Failed("there is no folder /mnt/usb/kept".into());
        let now = desk.app.now;
        desk.app.update(Event::Saved(Err(why)), now);
    });
}

#[test]
fn a_search_goes_on_in_the_next_step_that_has_it_and_comes_round() {
    let mut desk = Desk::new((120, 36));
    desk.press("/");
    desk.type_in("error");
    desk.press("Enter");
    let status = |desk: &Desk| desk.app.output.status();
    assert!(status(&desk).starts_with("\"error\" 10 of 10, 13 in 3 steps"), "{}", status(&desk));
    desk.press("n");
    assert_eq!((desk.selected(), said(&desk.app)), ("report", "the next match is in step report"));
    assert!(status(&desk).starts_with("\"error\" 1 of 2, 13 in 3 steps"), "{}", status(&desk));
    desk.press("n");
    assert_eq!(desk.selected(), "report");
    desk.press("n");
    let round = "the next match is in step dump, from the first step on again";
    assert_eq!((desk.selected(), said(&desk.app)), ("dump", round));
    desk.press("N");
    let round = "the match before is in step report, from the last step on again";
    assert_eq!((desk.selected(), said(&desk.app)), ("report", round));
    assert!(status(&desk).starts_with("\"error\" 2 of 2"), "{}", status(&desk));
    desk.press("N");
    desk.press("N");
    assert_eq!(desk.selected(), "verify");
    assert!(status(&desk).starts_with("\"error\" 10 of 10"), "the last one of it: {}", status(&desk));
    assert!(desk.screen().contains("row 400 of orders differs"));
    // In one step alone it goes round there.
    desk.press("/");
    desk.type_in("took 1.7 s");
    desk.press("Enter");
    desk.press("n");
    assert_eq!((desk.selected(), said(&desk.app)), ("verify", "no other step has \"took 1.7 s\" in its newest output"));
    assert!(status(&desk).contains("1 of 1, from the other end"), "{}", status(&desk));
    // Somebody who has gone on is not taken back.
    desk.press("/");
    desk.type_in("error");
    desk.press("Enter G");
    press(&mut desk.app, "n");
    desk.select("compress");
    desk.quiet();
    assert_eq!(desk.selected(), "compress");
}

/// Another run of the same plan, whose outputs lie in a folder of their own; the desk's run is still on the screen.
fn another_run(desk: &mut Desk) -> Sim {
    let mut other = failed();
    other.state.run_id = Uuid::from_u128(0xb0b);
    let (run, root) = (other.state.run_id, desk.dir.path().to_owned());
    fs::create_dir(root.join("other")).unwrap();
    fs::write(root.join("other/dump.1"), "an error\n").unwrap();
    fs::write(root.join("other/report.1"), "an error, and one error more\n").unwrap();
    desk.app.settings.output_path = Arc::new(move |of, step, attempt| {
        let folder = if of == run { root.join("other") } else { root.clone() };
        folder.join(format!("{step}.{attempt}"))
    });
    other
}

fn open_other(desk: &mut Desk, other: &Sim) {
    let now = desk.app.now;
    desk.app.open(other.state.run_id, true);
    let state = Arc::new(other.state.clone());
    desk.app.update(Event::Subscribed { state, recent: Vec::new(), storage: None, through: None }, now);
}

#[test]
fn another_run_is_counted_by_itself_and_a_search_in_the_one_before_moves_nothing_there() {
    let mut desk = Desk::new((160, 45));
    let other = another_run(&mut desk);
    desk.press("/");
    desk.type_in("error");
    desk.press("Enter");
    assert!(desk.app.output.status().starts_with("\"error\" 10 of 10, 13 in 3 steps"), "{}", desk.app.output.status());
    open_other(&mut desk, &other);
    assert!(!desk.app.output.status().contains("13 in"), "{}", desk.app.output.status());
    desk.select("dump");
    assert!(desk.app.output.status().starts_with("\"error\" 1 match, 3 in 2 steps"), "{}", desk.app.output.status());
    // Left while the count goes on, and the next match is looked for from a step of the same name.
    let mut desk = Desk::new((160, 45));
    let other = another_run(&mut desk);
    desk.press("/");
    desk.type_in("error");
    desk.press("Enter G n");
    desk.select("verify");
    desk.app.count_everywhere();
    desk.app.search_elsewhere(true);
    open_other(&mut desk, &other);
    let position = other.state.position("verify").unwrap();
    desk.app.run.as_mut().unwrap().select(position);
    desk.quiet();
    assert_eq!(desk.selected(), "verify");
    assert!(desk.app.output.status().contains(", 3 in 2 steps"), "{}", desk.app.output.status());
}

#[test]
fn a_count_goes_on_where_it_was_though_a_step_before_it_goes() {
    let mut desk = Desk::new((160, 45));
    let after = |id: &str, before: &[&str]| {
        let before = before.iter().map(|id| (*id).into());
        Step { depends_on: Some(before.collect()), ..step(id) }
    };
    let steps =
        vec![after("tell", &["report"]), after("dump", &[]), after("compress", &[]), after("report", &["dump"])];
    let sim = Sim::new(plan("fan", "A report, of which somebody is told", steps)).ask(Command::Start).done("dump");
    open_other(&mut desk, &sim);
    desk.select("dump");
    desk.press("/");
    desk.type_in("error");
    desk.press("Enter");
    let counted = ", 3 in 2 steps";
    assert!(desk.app.output.status().contains(counted), "{}", desk.app.output.status());
    desk.app.output.set_everywhere(None);
    desk.app.count_everywhere();
    // While the first two are searched, the report comes to stand a place further up.
    catch_up(&mut desk.app, &sim.ask(Command::Remove { step: "tell".into() }));
    desk.quiet();
    assert!(desk.app.output.status().contains(counted), "{}", desk.app.output.status());
}

#[test]
fn the_output_is_closed_with_its_run() {
    let mut desk = Desk::new((120, 36));
    assert!(desk.app.output.source().is_some());
    press(&mut desk.app, "Esc Esc");
    assert!(desk.app.run.is_none());
    assert_eq!(desk.app.output_requests(), [Request::Close]);
    assert!(desk.app.output.source().is_none() && desk.app.output_requests().is_empty());
}

#[test]
fn what_is_no_expression_stays_to_be_mended() {
    let mut desk = Desk::new((120, 36));
    desk.press("/ Ctrl-r");
    desk.type_in("ro[w");
    assert!(desk.screen().contains("unclosed character class"), "{}", desk.screen());
    desk.press("Enter");
    assert!(desk.app.typing.is_some(), "nothing that was typed is lost");
    assert_eq!(desk.app.output.searched().unwrap().query().text, "ro", "what was looked for still is");
    desk.type_in("] 1..");
    desk.press("Enter");
    assert!(desk.app.output.status().starts_with("/ro[w] 1../"), "{}", desk.app.output.status());
    // As a text it is looked for in vain; the next search is for an expression again.
    desk.press("/ Ctrl-r");
    desk.type_in("ro[w]");
    desk.press("Enter");
    assert!(desk.screen().contains("\"ro[w]\" not there"), "{}", desk.screen());
    desk.press("/ Up");
    assert!(desk.screen().contains("/ro[w]"), "what was looked for last comes back");
}

#[test]
fn esc_takes_back_one_thing_after_the_other() {
    let mut desk = Desk::new((120, 36));
    desk.press("&");
    desk.type_in("orders");
    desk.press("Enter /");
    desk.type_in("row");
    desk.press("Enter v");
    assert!(desk.app.output.status().contains("only \"orders\": 10 of 400 lines"), "{}", desk.app.output.status());
    assert!(desk.app.output.status().contains("\"row\" "), "{}", desk.app.output.status());
    desk.press("Esc");
    assert!(!desk.app.output.is_selecting() && desk.app.output.shown_only().is_some());
    desk.press("Esc");
    assert!(desk.app.output.shown_only().is_none() && desk.app.output.searched().is_some());
    desk.press("Esc");
    assert!(desk.app.output.searched().is_none() && desk.app.in_output());
    desk.press("Esc");
    assert!(!desk.app.in_output());
    // Among the steps, v is what it was.
    press(&mut desk.app, "v");
    assert!(!desk.app.output.is_selecting());
    assert_ne!(desk.app.run.as_ref().unwrap().list.rows.view, crate::console::rows::View::List);
}

#[test]
fn lines_that_are_cut_are_read_to_their_ends_with_the_arrows() {
    let mut desk = Desk::new((120, 36));
    press(&mut desk.app, "Right");
    assert_eq!(desk.app.run.as_ref().unwrap().tab, Tab::Result, "where nothing is cut, the arrows change the tab");
    press(&mut desk.app, "Left");
    let long = format!("begins {}ends\n", "- ".repeat(100));
    fs::write(desk.dir.path().join("stats.1"), long).unwrap();
    desk.select("stats");
    assert!(desk.screen().contains("begins") && !desk.screen().contains("ends\n"));
    for _ in 0..12 {
        press(&mut desk.app, "Right");
    }
    assert!(desk.screen().contains("- ends"), "{}", desk.screen());
    assert!(desk.app.output.status().contains("column "), "{}", desk.app.output.status());
    for _ in 0..12 {
        press(&mut desk.app, "Left");
    }
    assert!(desk.screen().contains("begins"), "{}", desk.screen());
    assert_eq!(desk.app.run.as_ref().unwrap().tab, Tab::Output);
    // [ and ] are for the tabs everywhere.
    press(&mut desk.app, "]");
    assert_eq!(desk.app.run.as_ref().unwrap().tab, Tab::Result);
}

#[test]
fn selected_lines_are_copied_without_what_is_drawn_around_them() {
    let mut desk = Desk::new((120, 36));
    desk.press("v k v k");
    let effects = desk.press("y");
    let [Effect::Copy { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(text, "row 398 is as it was\nrow 399 is as it was");
    assert!(!desk.app.output.is_selecting(), "it is done with");
    let effects = desk.press("y");
    let [Effect::Copy { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.ends_with("error: row 400 of orders differs") && text.lines().count() > 2, "what is seen");
}

#[test]
fn lines_are_selected_by_dragging_over_them() {
    let mut desk = Desk::new((160, 45));
    let text = desk.screen();
    let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains("row 399 is")).unwrap();
    let column = line.chars().count() as u16 - 4;
    let row = row as u16;
    desk.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
    desk.mouse(MouseEventKind::Drag(MouseButton::Left), column, row - 2);
    desk.mouse(MouseEventKind::Up(MouseButton::Left), column, row - 2);
    assert!(desk.screen().contains("3 lines selected"), "{}", desk.screen());
    let effects = desk.press("y");
    let [Effect::Copy { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(text.lines().count(), 3);
    assert!(text.ends_with("row 399 is as it was"), "{text}");
}

fn saves(effects: &[Effect]) -> Save {
    match effects {
        [Effect::Save(save)] => (**save).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_output_is_saved_under_a_name_and_replaces_nothing_unasked() {
    let mut desk = Desk::new((120, 36));
    assert!(desk.press("S").is_empty());
    assert!(desk.screen().contains("nightly-backup-verify.2.log"), "{}", desk.screen());
    let to = desk.dir.path().join("kept.log");
    desk.press("Ctrl-u");
    desk.type_in(to.to_str().unwrap());
    let save = saves(&desk.press("Enter"));
    assert_eq!((&save.to, save.part, save.replace), (&to, None, false));
    fs::write(&to, "there before").unwrap();
    let tell = |desk: &mut Desk, save: &Save| {
        let now = desk.app.now;
        desk.app.update(Event::Saved(save.carry_out()), now);
        desk.quiet();
    };
    tell(&mut desk, &save);
    assert!(desk.screen().contains("There is a file with this name."), "{}", desk.screen());
    // What is pressed without a thought replaces nothing.
    assert!(desk.press("Enter").is_empty());
    assert!(desk.screen().contains("Enter does nothing"), "{}", desk.screen());
    desk.press("Esc");
    let save = saves(&desk.press("Enter"));
    tell(&mut desk, &save);
    let save = saves(&desk.press("y"));
    tell(&mut desk, &save);
    assert!(desk.app.layers.is_empty());
    assert!(said(&desk.app).starts_with("saved 400 lines, "), "{}", said(&desk.app));
    assert!(said(&desk.app).ends_with(to.to_str().unwrap()), "{}", said(&desk.app));
    assert_eq!(fs::read(&to).unwrap(), fs::read(desk.dir.path().join("verify.2")).unwrap());
}

#[test]
fn only_what_is_selected_or_shown_is_saved_and_a_refusal_loses_nothing() {
    let mut desk = Desk::new((120, 36));
    desk.press("&");
    desk.type_in("error");
    desk.press("Enter v v k S Ctrl-u");
    desk.type_in("/nonexistent/kept");
    let save = saves(&desk.press("Enter"));
    assert!(save.part.is_some() && save.filter.is_some());
    let now = desk.app.now;
    desk.app.update(Event::Saved(save.carry_out()), now);
    assert!(desk.screen().contains("there is no folder /nonexistent"), "{}", desk.screen());
    assert!(desk.screen().contains("/nonexistent/kept"), "the name is still there");
    let to = desk.dir.path().join("kept.log");
    let Saved { lines, .. } = Save { to: to.clone(), ..save }.carry_out().unwrap();
    assert_eq!(lines, 2);
    assert!(fs::read_to_string(&to).unwrap().ends_with("row 400 of orders differs\n"));
    // Left while it is written, it is told in the line for news.
    desk.press("Enter Esc");
    let now = desk.app.now;
    desk.app.update(Event::Saved(Err(NotSaved::IsThere)), now);
    assert_eq!(said(&desk.app), "not saved: there is a file with this name");
    desk.press("Esc Esc S");
    assert!(matches!(desk.app.layers.last().unwrap().popup, Popup::Save(_)));
}

#[test]
fn the_mouse_is_left_to_the_terminal_and_taken_back() {
    let mut app = open(&running(), (100, 30));
    assert!(!screen(&mut app).contains("Ctrl-t"), "while it is the console's, it needs no word");
    assert!(matches!(press(&mut app, "Ctrl-t").as_slice(), [Effect::Mouse(false)]));
    assert!(said(&app).contains("Ctrl-t takes it back"), "{}", said(&app));
    let text = screen(&mut app);
    assert!(text.contains("mouse: terminal") && text.lines().last().unwrap().contains("Ctrl-t mouse"), "{text}");
    press(&mut app, "Esc");
    assert!(screen(&mut app).lines().last().unwrap().contains("Ctrl-t mouse"), "in every place");
    assert!(matches!(press(&mut app, "Ctrl-t").as_slice(), [Effect::Mouse(true)]));
    assert!(!screen(&mut app).contains("Ctrl-t"));
}

#[test]
fn a_search_in_some_of_the_lines_says_where_else_it_is_found() {
    for size in SIZES {
        let mut desk = Desk::new(size);
        desk.press("/");
        desk.type_in("warning: row 47 ");
        desk.press("Enter");
        assert!(desk.app.output.status().starts_with("\"warning: row 47 \" 1 of 1"), "{}", desk.app.output.status());
        desk.press("&");
        desk.type_in("differs");
        desk.press("Enter");
        let status = desk.app.output.status();
        assert!(status.contains("not in these lines, 1 in those not shown"), "{status}");
        assert!(!status.contains("another step") && status.contains("10 of 400 lines"), "{status}");
        assert!(desk.screen().contains("not in these lines, 1 in those not shown"), "{}", desk.screen());
        // Looked for while only some lines are shown, it is not known in which step it is.
        desk.press("/");
        desk.type_in("row 80 ");
        desk.press("Enter");
        assert!(desk.app.output.status().starts_with("\"row 80 \" 1 of 1"), "{}", desk.app.output.status());
        assert!(desk.screen().contains("10 of 400 lines"), "{}", desk.screen());
        desk.press("/");
        desk.type_in("row 81 ");
        desk.press("Enter");
        let status = desk.app.output.status();
        assert!(status.contains("not in these lines, 1 in all lines of one step"), "{status}");
        // With all lines again it is simply there.
        desk.press("& Ctrl-u Enter");
        assert!(desk.app.output.status().contains("\"row 81 \" 1"), "{}", desk.app.output.status());
    }
    shown("output_search_in_some_lines", |desk| {
        desk.press("/");
        desk.type_in("warning: row 47 ");
        desk.press("Enter &");
        desk.type_in("differs");
        desk.press("Enter");
    });
}
