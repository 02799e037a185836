//! The plan as a graph, and the steps as a tree and by stage.

use super::screens::shown;
use super::*;
use crate::console::app::Place;
use crate::console::rows::View;

const SIZE: (u16, u16) = (160, 45);

fn needs(id: &str, before: &[&str]) -> Step {
    Step { depends_on: Some(before.iter().map(|before| (*before).into()).collect()), ..step(id) }
}

/// Twelve steps, with a branch that goes past the rest.
fn release() -> Plan {
    let mut steps = vec![
        needs("checkout", &[]),
        needs("deps", &["checkout"]),
        needs("lint", &["checkout"]),
        needs("docs", &["checkout"]),
        needs("compile", &["deps"]),
        needs("unit", &["compile"]),
        needs("integration", &["compile"]),
        needs("package", &["unit", "integration", "lint"]),
        needs("sign", &["package"]),
        needs("stage", &["package"]),
        needs("smoke", &["stage"]),
        needs("release", &["sign", "smoke", "docs"]),
    ];
    steps[8].hold = Some(Box::new(Hold::Reason("the key is on the desk".into())));
    Plan { on_failure: Some(FailurePolicy::Continue), ..plan("release", "Build, check and ship a release", steps) }
}

/// Two tests run, one has failed.
fn half_released() -> Sim {
    let sim = Sim::new(release()).wait(5).ask(Command::Start).wait(4).done("checkout").wait(9);
    sim.failed("lint", 1).wait(22).done("deps").wait(31).done("docs").wait(2).done("compile").wait(75)
}

fn diamond() -> Plan {
    let steps = vec![needs("fetch", &[]), needs("left", &["fetch"]), needs("right", &["fetch"])];
    let steps = steps.into_iter().chain([needs("join", &["left", "right"])]).collect();
    plan("diamond", "Apart and together", steps)
}

/// Layers of so many steps, each of which needs one or two of the layer before.
fn layered(layers: &[usize]) -> Plan {
    let mut steps: Vec<Step> = Vec::new();
    let mut before: Vec<String> = Vec::new();
    for (layer, wide) in layers.iter().enumerate() {
        let ids: Vec<String> = (1..=*wide).map(|place| format!("{}-{place}", NAMES[layer])).collect();
        for (place, id) in ids.iter().enumerate() {
            let near = place * before.len() / wide;
            let second = (place % 3 == 1).then_some(near + 1);
            let needed = [Some(near), second].into_iter().flatten().filter_map(|at| before.get(at));
            let needed: Vec<&str> = needed.map(String::as_str).collect();
            steps.push(needs(id, &needed));
        }
        before = ids;
    }
    Plan { on_failure: Some(FailurePolicy::Continue), ..plan("survey", "Survey every host", steps) }
}

const NAMES: [&str; 8] = ["fetch", "scan", "parse", "index", "merge", "train", "score", "ship"];

fn fifty() -> Sim {
    let mut sim = Sim::new(layered(&[4, 7, 9, 9, 8, 7, 4, 2])).ask(Command::Start).wait(3);
    for _ in 0..22 {
        let next = sim.state.live().next().unwrap();
        let next = sim.state.plan.steps[next].step_id.clone();
        sim = if next == "index-2" { sim.failed(&next, 3) } else { sim.done(&next) }.wait(2);
    }
    sim
}

fn thousand() -> Sim {
    let mut sim = Sim::new(layered(&[10, 400, 400, 180, 10])).ask(Command::Start).wait(3);
    for _ in 0..70 {
        let next = sim.state.live().next().unwrap();
        let next = sim.state.plan.steps[next].step_id.clone();
        sim = if next == "scan-30" { sim.failed(&next, 3) } else { sim.done(&next) };
    }
    sim
}

fn graph_of(sim: &Sim, size: (u16, u16), keys: &str) -> App {
    let mut app = open(sim, size);
    press(&mut app, "D");
    if !keys.is_empty() {
        press(&mut app, keys);
    }
    app
}

fn selected(app: &App) -> &str {
    app.run.as_ref().unwrap().list.selected.as_deref().unwrap_or("-")
}

#[test]
fn graphs() {
    let sim = Sim::new(diamond()).ask(Command::Start).wait(2).done("fetch").wait(4);
    shown("graph_diamond", |size| graph_of(&sim, size, "l"));
    let sim = half_released();
    shown("graph_release", |size| graph_of(&sim, size, "!"));
    shown("graph_ascii", |size| {
        let mut app = graph_of(&sim, size, "!");
        app.glyphs = Glyphs::new(Charset::Ascii);
        app
    });
    let sim = fifty();
    shown("graph_fifty", |size| graph_of(&sim, size, "!"));
    let sim = thousand();
    shown("graph_thousand", |size| graph_of(&sim, size, "!"));
    shown("graph_thousand_open", |size| graph_of(&sim, size, "! Space"));
    let sim = running();
    shown("graph_stages", |size| graph_of(&sim, size, ""));
    let sim = Sim::new(many(7)).ask(Command::Start).wait(2).done("host-000000").wait(1);
    shown("graph_line", |size| graph_of(&sim, size, ""));
    let sim = Sim::new(plan("empty", "Nothing yet", vec![]));
    shown("graph_empty", |size| graph_of(&sim, size, ""));
}

#[test]
fn steps_as_a_tree_and_by_stage() {
    let sim = half_released();
    shown("steps_tree", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "v");
        app
    });
    shown("steps_layers", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "v v k k Space");
        app
    });
    let sim = running();
    shown("steps_stages", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "v");
        app
    });
}

#[test]
fn keys_go_along_the_edges_and_enter_goes_to_the_step() {
    let mut app = graph_of(&half_released(), SIZE, "g");
    for (key, step) in [
        ("l", "deps"),
        ("l", "compile"),
        ("l", "unit"),
        ("j", "integration"),
        ("Right", "package"),
        ("h", "integration"),
        ("Left", "compile"),
        ("h", "deps"),
        ("j", "lint"),
        ("Down", "docs"),
        ("l", "release"),
        ("l", "release"),
        ("g", "checkout"),
        ("G", "release"),
    ] {
        // From the middle of the first layer its middle one would be nearest.
        if (key, step) == ("l", "deps") {
            press(&mut app, "l k");
        } else {
            press(&mut app, key);
        }
        assert_eq!(selected(&app), step, "after {key}");
    }
    press(&mut app, "h Enter");
    assert_eq!((app.place, selected(&app)), (Place::Run, "smoke"));
    press(&mut app, "D");
    assert_eq!((app.place, selected(&app)), (Place::Graph, "smoke"));
    press(&mut app, "Esc");
    assert_eq!(app.place, Place::Run);
}

#[test]
fn what_the_selected_step_needs_is_said_and_a_step_is_not_touched_from_here() {
    let mut app = graph_of(&half_released(), SIZE, "G");
    let text = screen(&mut app);
    assert!(text.contains("needs docs, sign and smoke · nothing needs it"), "{text}");
    assert!(press(&mut app, "s").is_empty());
    assert_eq!(said(&app), "skip (s): this works among the steps: Enter goes to the selected one");
    assert!(press(&mut app, "/").is_empty());
    assert!(said(&app).contains("the graph has no filter"), "{}", said(&app));
}

#[test]
fn the_drawing_stays_while_the_run_goes_on() {
    let sim = half_released();
    let mut app = graph_of(&sim, SIZE, "");
    let before = app.run.as_ref().unwrap().graph.drawing.as_ref().unwrap().layout.clone();
    let from = sim.events.len();
    let sim = sim.done("unit").wait(3).done("integration").wait(9);
    let events = sim.events[from..].to_vec();
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(events).into() }, sim.now);
    let text = screen(&mut app);
    assert!(text.contains("✔ integration"), "{text}");
    assert_eq!(app.run.as_ref().unwrap().graph.drawing.as_ref().unwrap().layout, before);
}

#[test]
fn a_group_opens_to_its_steps_and_folds_again() {
    let mut app = graph_of(&thousand(), SIZE, "!");
    assert_eq!(selected(&app), "scan-30");
    let groups = |app: &mut App| screen(app).matches('▸').count();
    let closed = groups(&mut app);
    assert!(closed >= 3);
    press(&mut app, "Space");
    assert!(groups(&mut app) > closed, "{}", screen(&mut app));
    press(&mut app, "Enter");
    // What had failed is seen as a step of its own, and is the selected one.
    let text = screen(&mut app);
    assert!(text.contains("✘ scan-30 · failed"), "{text}");
    press(&mut app, "Space");
    let text = screen(&mut app);
    assert!(text.contains("part of a layer"), "{text}");
    press(&mut app, "Space");
    let text = screen(&mut app);
    assert!(text.contains("layer of 484"), "{text}");
}

#[test]
fn the_view_changes_and_the_step_stays() {
    let mut app = open(&half_released(), SIZE);
    press(&mut app, "g j j j j j");
    let step = selected(&app).to_owned();
    for view in [View::Tree, View::Stages, View::List] {
        press(&mut app, "v");
        let run = app.run.as_ref().unwrap();
        assert_eq!((run.list.rows.view, selected(&app)), (view, step.as_str()));
        let row = run.selected_row().unwrap();
        assert_eq!(run.row(row), run.position());
    }
    // A sequence is no tree.
    let mut app = open(&running(), SIZE);
    press(&mut app, "v");
    assert_eq!(app.run.as_ref().unwrap().list.rows.view, View::Stages);
}

#[test]
fn a_heading_folds_its_steps_and_no_step_is_meant_by_it() {
    let mut app = open(&half_released(), SIZE);
    press(&mut app, "v v g");
    assert_eq!(selected(&app), "-");
    assert!(press(&mut app, "s").is_empty());
    assert!(said(&app).contains("a heading is selected"), "{}", said(&app));
    let rows = |app: &App| app.run.as_ref().unwrap().row_count();
    let all = rows(&app);
    press(&mut app, "Space");
    assert_eq!(rows(&app), all - 1);
    press(&mut app, "j");
    assert_eq!(selected(&app), "-", "the next heading");
    // What waits for a person is shown, whatever is folded.
    press(&mut app, "j Space !");
    assert_eq!(selected(&app), "lint");
    let run = app.run.as_ref().unwrap();
    assert_eq!(run.row(run.selected_row().unwrap()), run.position());
}

#[test]
fn below_a_step_of_the_tree_is_folded_and_opened_again() {
    let mut app = open(&half_released(), SIZE);
    press(&mut app, "g v");
    let rows = |app: &App| app.run.as_ref().unwrap().row_count();
    assert_eq!(rows(&app), 12);
    press(&mut app, "j Space");
    assert_eq!(selected(&app), "deps");
    assert!(rows(&app) < 12);
    let text = screen(&mut app);
    assert!(text.contains("below)"), "{text}");
    press(&mut app, "Space");
    assert_eq!(rows(&app), 12);
    press(&mut app, "G Space");
    assert_eq!(app.run.as_ref().unwrap().list.marked.len(), 1, "nothing hangs below it: it is marked");
    assert!(press(&mut app, "k k k K").is_empty());
    assert_eq!(selected(&app), "smoke");
    assert!(said(&app).contains("v shows it"), "{}", said(&app));
}

#[test]
fn the_filter_works_in_every_view() {
    for (keys, rows) in [("", 1), ("v", 1), ("v v", 2)] {
        let mut app = open(&half_released(), SIZE);
        if !keys.is_empty() {
            press(&mut app, keys);
        }
        press(&mut app, "/ s m o k e Enter");
        assert_eq!((selected(&app), app.run.as_ref().unwrap().row_count()), ("smoke", rows));
        press(&mut app, "Esc");
        assert!(app.run.as_ref().unwrap().row_count() >= 12);
    }
}

#[test]
fn a_step_that_is_removed_leaves_every_view() {
    let sim = half_released();
    for keys in ["v", "v v"] {
        let mut app = open(&sim, SIZE);
        press(&mut app, keys);
        let from = sim.events.len();
        let mut after = Sim { state: sim.state.clone(), events: sim.events.clone(), now: sim.now };
        after = after.ask(Command::Remove { step: "smoke".into() });
        let events = after.events[from..].to_vec();
        app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(events).into() }, sim.now);
        // Before the next frame as after it.
        let run = app.run.as_ref().unwrap();
        assert!((0..run.row_count()).filter_map(|row| run.row(row)).all(|at| at < run.state.steps.len()));
        let text = screen(&mut app);
        assert!(!text.contains(" smoke "), "{text}");
        press(&mut app, "D");
        assert!(!screen(&mut app).contains(" smoke "));
    }
}

#[test]
fn every_view_of_many_steps_is_drawn_in_a_moment() {
    let sim = Sim::new(layered(&[100, 20_000, 20_000, 10_000])).ask(Command::Start);
    let mut app = open(&sim, SIZE);
    for keys in ["v", "G", "Space", "v", "G", "g Space", "v", "D", "l", "Space", "Esc"] {
        press(&mut app, keys);
        let text = screen(&mut app);
        assert!(text.lines().count() == 45);
    }
}

#[test]
fn every_size_shows_the_graph_and_the_tree() {
    let sim = half_released();
    for size in [(0, 0), (1, 1), (1, 40), (12, 60), (59, 24), (60, 16), (61, 30), (80, 15), (250, 70)] {
        let mut app = open(&sim, size);
        press(&mut app, "v v v v D");
        for key in ["l", "j", "h", "k", "G", "g", "PgDn", "Space", "Enter", "D", "?", "Esc", "Esc"] {
            press(&mut app, key);
        }
        assert_eq!(screen(&mut app).lines().count(), size.1 as usize);
    }
}
