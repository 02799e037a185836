//! Every place, in the states that matter, as text at 80×24 and 160×45.

use super::*;
use crate::engine::StorageTrouble;

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 45)];

/// Shows a console made by `make` at both sizes.
pub(super) fn shown(name: &str, make: impl Fn((u16, u16)) -> App) {
    for size in SIZES {
        let mut app = make(size);
        let text = screen(&mut app);
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "../snapshots"}, {
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text);
        });
    }
}

const LINES: [&str; 5] = [
    "checking dump.sql",
    "182,331 rows",
    "\u{1b}[31mchecksum mismatch\u{1b}[0m in table orders",
    "\u{1b}]0;not a title\u{7}expected 9f2c, found 11d0",
    "exit status 1",
];

#[test]
fn run_in_every_state() {
    for (name, sim) in statuses() {
        shown(&format!("run_{name}"), |size| {
            let mut app = open(&sim, size);
            progress(&mut app, sim.state.run_id, "stats", 0.62, "table 5 of 8");
            output(&mut app, &LINES);
            app
        });
    }
}

#[test]
fn the_gauge_says_without_colour_what_is_done_what_has_failed_and_what_runs() {
    for (charset, gauge) in
        [(Charset::Unicode, "━━━━━━━━━━━━××××╍╍╍╍────────────"), (Charset::Ascii, "############xxxx>>>>------------")]
    {
        let mut app = open(&failed(), (80, 24));
        (app.theme, app.glyphs) = (Theme::new(ThemeName::Dark, Depth::None), Glyphs::new(charset));
        let text = screen(&mut app);
        assert!(text.lines().any(|line| line.starts_with(&format!(" {gauge}  3 of 8"))), "{text}");
    }
}

#[test]
fn a_hold_point_and_its_reason_leave_a_step_its_name() {
    let one = Step { name: Some("Stage one".into()), ..step("a-first") };
    for steps in [vec![step("a"), step("b")], vec![step("flaky"), step("after"), step("b")], vec![one, step("b")]] {
        let ids: Vec<String> = steps.iter().map(|step| step.step_id.clone()).collect();
        let mut sim = Sim::new(plan("short", "Short names", steps));
        for id in &ids {
            sim = sim.because(Command::Hold { step: id.clone() }, "wait for the night");
        }
        for width in [60, 80, 100, 160] {
            let text = screen(&mut open(&sim, (width, 24)));
            for id in &ids {
                assert!(text.contains(&format!("◆ {id} ")), "{id} in {width} columns:\n{text}");
            }
        }
    }
    let sim = Sim::new(plan("short", "Short names", vec![step("a"), step("b")]));
    let sim = sim.because(Command::Hold { step: "b".into() }, "wait for the night");
    shown("steps_short_held", |size| open(&sim, size));
}

#[test]
fn titles_have_room_before_agents() {
    let titled = |id: &str, name: &str| Step { name: Some(name.into()), ..step(id) };
    let steps = vec![titled("welcome", "Read this first"), titled("hopeless", "Never works: s skips it"), step("end")];
    let sim = Sim::new(plan("titles", "Titles", steps));
    for width in [80, 100, 160] {
        let text = screen(&mut open(&sim, (width, 40)));
        assert!(text.contains("hopeless  Never works: s skips it"), "{width} columns:\n{text}");
    }
}

#[test]
fn run_idle() {
    let sim = Sim::new(backup());
    shown("run_idle", |size| open(&sim, size));
    shown("run_start_question", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "Enter");
        app
    });
}

#[test]
fn run_paused_by_operator_with_one_finishing() {
    let sim = running().done("verify").done("report").because(Command::Pause, "lunch").wait(3);
    shown("run_paused_finishing", |size| {
        let mut app = open(&sim, size);
        output(&mut app, &LINES);
        app
    });
}

#[test]
fn run_cancelling() {
    let sim = running().ask(Command::Cancel).wait(2);
    shown("run_cancelling", |size| open(&sim, size));
}

#[test]
fn run_of_nobody_and_of_others() {
    let sim = running();
    shown("run_of_nobody", |size| open_as(&sim, size, Ownership::Nobody));
    shown("run_elsewhere", |size| open_as(&sim, size, elsewhere()));
    shown("run_damaged", |size| open_as(&sim, size, Ownership::Damaged("line 41: the hash does not fit".into())));
}

/// A run in which a step has an instance for each of forty files: some done, some running, one failed.
pub(super) fn foreach() -> Sim {
    let mut each = step("checksum");
    each.foreach = Some(Box::new((0..40).map(|n| format!("orders-{n:02}.dump")).collect()));
    each.run = Some("cksum {{ item }}".into());
    let mut sim = Sim::new(plan("nightly", "Nightly checksums", vec![step("dump"), each, step("report")]));
    sim = sim.ask(Command::Start).wait(5).done("dump");
    for n in 0..12 {
        sim = sim.wait(1).done(&format!("checksum.{n}"));
    }
    sim.wait(2).failed("checksum.12", 3).ask(Command::Resume).wait(1)
}

#[test]
fn a_foreach_step_is_one_row_and_opens() {
    let sim = foreach();
    shown("run_foreach", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "g j");
        press(&mut app, "Enter");
        app
    });
    shown("run_foreach_open", |size| {
        let mut app = open(&sim, size);
        output(&mut app, &LINES);
        app
    });
}

#[test]
fn detail_tabs() {
    for (tab, keys) in [("result", "k k ]"), ("definition", "k k ] ]"), ("attempts", "] ] ]")] {
        let sim = failed();
        shown(&format!("tab_{tab}"), |size| {
            let mut app = open(&sim, size);
            press(&mut app, keys);
            app
        });
    }
}

#[test]
fn a_definition_says_what_is_not_as_it_was() {
    let script = "set -e\nfor table in orders items; do\n  psql -c \"vacuum analyze $table\" --set=maintenance_work_mem=256MB --quiet\ndone\n";
    let mut plan = backup();
    plan.defaults.insert("timeout_seconds".into(), json!(300));
    let ship = Step {
        timeout_seconds: Some(300.0),
        run: Some(script.into()),
        agent_type: None,
        env: BTreeMap::from([("LEVEL".into(), "debug".into()), ("TARGET_HOST".into(), "db2.example.org".into())])
            .into(),
        ..plan.steps[5].as_ref().clone()
    };
    plan.steps[5] = Arc::new(ship);
    let change = json!({"hold": null, "priority": 3, "env": {"LEVEL": "info"}});
    let sim = Sim::new(plan).ask(Command::Modify { step: "ship".into(), patch: change });
    shown("tab_definition_changed", |size| {
        let mut app = open(&sim, size);
        super::keys::select(&mut app, "ship");
        press(&mut app, "] ] Tab z");
        app
    });
    let mut app = open(&sim, (100, 30));
    super::keys::select(&mut app, "ship");
    press(&mut app, "] ]");
    // What is copied is what a plan would say.
    let effects = press(&mut app, "Tab y");
    let [Effect::Copy { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let copied: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!((&copied["run"], &copied["env"]["LEVEL"]), (&json!(script), &json!("info")));
}

#[test]
fn filter_active() {
    let sim = failed();
    shown("filter_typing", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "/ p r");
        app
    });
    shown("filter_nothing", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "/ x x x Enter");
        app
    });
}

#[test]
fn popups() {
    let sim = failed();
    for (name, keys) in
        [("help", "?"), ("cancel_question", "c"), ("skip_question", "s"), ("why", "j j j W"), ("stop_question", "j s")]
    {
        shown(name, |size| {
            let mut app = open(&sim, size);
            press(&mut app, keys);
            app
        });
    }
    let sim = running();
    shown("quit_asking", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "q");
        app
    });
    shown("quit_draining", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "q p");
        app
    });
    shown("quit_stopping_asks", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "q p k");
        app
    });
    shown("quit_killing_asks", |size| {
        let cancelling = running().ask(Command::Cancel);
        let mut app = open(&sim, size);
        press(&mut app, "q c y");
        app.update(update_of(&cancelling), cancelling.now);
        press(&mut app, "c");
        app
    });
    shown("quit_full_disk", |size| {
        let mut app = open(&sim, size);
        let trouble = StorageTrouble { error: "No space left on device".into(), since: sim.now };
        app.update(Event::Storage { run: sim.state.run_id, trouble: Some(Arc::new(trouble)) }, sim.now);
        press(&mut app, "q p k y");
        let effects = press(&mut app, "e");
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Quit)), "the console can be left");
        app
    });
}

#[test]
fn every_size_can_be_drawn() {
    let sim = failed();
    for columns in [1, 19, 20, 40, 80, 116, 200] {
        for rows in 1..34 {
            let mut list = full_list((columns, rows));
            screen(&mut list);
            for keys in ["j", "z", "?", "W", "q", "] ] ]", "I"] {
                let mut app = open(&sim, (columns, rows));
                press(&mut app, keys);
            }
        }
    }
}

#[test]
fn a_refusal_stands_in_the_rule() {
    let sim = running();
    shown("refusal", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "k k k k s");
        app
    });
}

pub(super) fn full_list(size: (u16, u16)) -> App {
    let mut app = console(size);
    let mut runs = Vec::new();
    for (number, (_, sim)) in statuses().into_iter().enumerate() {
        let mut listed = sim.listed();
        listed.summary.run_id = Uuid::from_u128(number as u128 + 1);
        listed.summary.plan_id = ["nightly-backup", "host-checkup", "reindex", "release", "rotate-keys"][number].into();
        app.now = app.now.max(sim.now);
        runs.push(listed);
    }
    let mut stopped = running().listed();
    stopped.summary.run_id = Uuid::from_u128(99);
    stopped.summary.plan_id = "sweep".into();
    (stopped.owned, stopped.ours) = (false, false);
    runs.push(stopped);
    let mut idle = Sim::new(backup()).listed();
    idle.summary.run_id = Uuid::from_u128(98);
    runs.push(idle);
    let now = app.now;
    app.update(Event::RunsListed(Ok((runs, vec![]))), now);
    let broken =
        PlanEntry { plan: None, problems: 2, report: "error: unknown field `stpes`".into(), ..plan_entry(many(2)) };
    let broken = PlanEntry { plan_id: "broken".into(), path: "plans/broken.json".into(), ..broken };
    app.update(Event::PlansListed(vec![plan_entry(backup()), plan_entry(many(3)), broken]), now);
    app
}

#[test]
fn runs() {
    shown("runs", full_list);
    shown("runs_filter", |size| {
        let mut app = full_list(size);
        screen(&mut app);
        press(&mut app, "/ s w e");
        app
    });
    shown("runs_empty", |size| {
        let mut app = console(size);
        app.update(Event::RunsListed(Ok((vec![], vec![]))), start());
        app.update(Event::PlansListed(vec![]), start());
        app
    });
    shown("runs_problems", |size| {
        let mut app = full_list(size);
        screen(&mut app);
        press(&mut app, "/ b r o k Enter Enter");
        app
    });
}

/// A list that is longer than the screen, with five runs of one plan, two of them of the same minute and one of another day.
fn long_list(size: (u16, u16)) -> App {
    let mut app = full_list(size);
    let runs = (0..5).map(|number| {
        let mut listed = completed().listed();
        let summary = &mut listed.summary;
        summary.run_id = Uuid::from_u128(0x1000_0000 * (number + 1) + 0x9c41);
        let minutes = [0, 0, 7, 61, 3000][number as usize];
        let ago = TimeDelta::minutes(minutes);
        summary.started_at = summary.started_at.map(|at| at - ago);
        listed
    });
    let mut runs: Vec<ListedRun> = runs.collect();
    runs.extend(app.runs.runs().cloned());
    let now = app.now;
    app.update(Event::RunsListed(Ok((runs, vec![]))), now);
    let plans = (0..12).map(|number| plan_entry(plan(&format!("plan-{number:02}"), "Once more", vec![step("a")])));
    app.update(Event::PlansListed(plans.collect()), now);
    app
}

#[test]
fn runs_of_one_plan_are_told_apart_at_every_width() {
    shown("runs_long", long_list);
    for width in [60, 80, 100, 110, 140, 200] {
        let mut app = long_list((width, 60));
        let text = screen(&mut app);
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("completed")).collect();
        for row in &rows {
            assert_eq!(rows.iter().filter(|other| *other == row).count(), 1, "{width} columns:\n{text}");
        }
        assert_eq!(rows.len(), 6, "{text}");
        for when in ["14:00", "13:53", "12:59", "12 Mar"] {
            assert!(rows.iter().any(|row| row.contains(when)), "{width} columns do not say {when}:\n{text}");
        }
    }
}

#[test]
fn what_lies_outside_the_list_is_said_and_no_heading_stands_alone() {
    let headings = ["Waiting for you", "Active", "Opened, not started", "Plans", "Ended"];
    for height in 16..40 {
        let mut app = long_list((80, height));
        screen(&mut app);
        for _ in 0..30 {
            let text = screen(&mut app);
            let lines: Vec<&str> = text.lines().collect();
            for (row, line) in lines.iter().enumerate() {
                let heads = headings.iter().any(|heading| line.starts_with(&format!(" {heading}  ")));
                let below = lines.get(row + 1).is_some_and(|below| below.chars().nth(3).is_some_and(|c| c != ' '));
                assert!(!heads || below, "a heading of nothing at {height} rows:\n{text}");
            }
            let seen = lines.iter().filter(|line| line.contains(" completed ") || line.contains(" plan ")).count();
            assert!(seen == 18 || text.contains(" above") || text.contains(" below"), "{text}");
            assert!(lines.iter().any(|line| line.starts_with('▌')), "the selected row is seen:\n{text}");
            press(&mut app, "j");
        }
    }
}

#[test]
fn hostile_text_is_harmless() {
    let sim = Sim::new(hostile()).ask(Command::Start).wait(1).failed("clear", 1).wait(1);
    shown("hostile", |size| {
        let mut app = open(&sim, size);
        press(&mut app, "] ]");
        app
    });
    let mut app = open(&sim, (160, 45));
    let text = screen(&mut app);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!app.title().chars().any(char::is_control));
}

#[test]
fn a_hundred_thousand_steps_scroll_as_ten_do() {
    let large = Sim::new(many(100_000)).ask(Command::Start).wait(2);
    shown("many_steps", |size| {
        let mut app = open(&large, size);
        press(&mut app, "G");
        app
    });
    // Cost of a frame, by counting what is looked at: time is compared over many frames, with a wide margin for a busy machine.
    let small = Sim::new(many(50)).ask(Command::Start).wait(2);
    let cost = |sim: &Sim| {
        let mut app = open(sim, (160, 45));
        press(&mut app, "j j j");
        (0..5)
            .map(|_| {
                let began = std::time::Instant::now();
                for _ in 0..10 {
                    screen(&mut app);
                }
                began.elapsed()
            })
            .min()
            .unwrap()
    };
    let (few, lots) = (cost(&small), cost(&large));
    assert!(lots < few * 4, "10 frames of 50 steps took {few:?}, of 100,000 {lots:?}");
}

#[test]
fn other_sizes_and_terminals() {
    let sim = failed();
    for size in [(59, 24), (80, 15), (1, 1), (0, 0), (12, 60), (250, 70), (60, 16)] {
        let mut app = open(&sim, size);
        for keys in ["?", "Esc", "c", "Esc", "z", "Tab", "z", "W"] {
            press(&mut app, keys);
        }
        let text = screen(&mut app);
        assert_eq!(text.lines().count(), size.1 as usize);
    }
    let mut app = open(&sim, (59, 24));
    assert!(screen(&mut app).contains("59 × 24 is too small"));
    let mut app = open(&sim, (100, 30));
    app.glyphs = Glyphs::new(Charset::Ascii);
    app.theme = Theme::new(ThemeName::Dark, Depth::None);
    assert!(screen(&mut app).is_ascii(), "{}", screen(&mut app));
}

#[test]
fn that_unbound_agents_are_simulated_is_said_as_long_as_it_lasts() {
    for (name, mut sim) in statuses() {
        Arc::make_mut(&mut sim.state.options).simulate = true;
        for size in [(80, 24), (160, 45)] {
            let shown = screen(&mut open(&sim, size));
            assert!(shown.contains("simulated"), "{name}:\n{shown}");
        }
    }
}

#[test]
fn runs_with_the_tour() {
    let with_tour = |size| {
        let mut app = console(size);
        app.tour = true;
        app.update(Event::RunsListed(Ok((vec![held().listed()], vec![]))), start());
        app.update(Event::PlansListed(vec![plan_entry(backup())]), start());
        app
    };
    shown("runs_tour", with_tour);
    let mut app = with_tour((80, 24));
    screen(&mut app);
    press(&mut app, "j");
    assert!(app.tour, "keys work as always");
    let effects = press(&mut app, "Esc");
    assert!(matches!(effects.as_slice(), [Effect::EndTour]), "{effects:?}");
    assert!(!screen(&mut app).contains("New here?") && press(&mut app, "Esc").is_empty());
}

#[test]
fn what_is_on_top_is_selected_when_the_list_is_whole_unless_somebody_has_chosen() {
    let ended = completed();
    let mut app = console((120, 36));
    app.update(Event::RunsListed(Ok((vec![ended.listed()], vec![]))), ended.now);
    screen(&mut app);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), ended.now);
    assert!(screen(&mut app).contains("▌→ plan"), "{}", screen(&mut app));
    let other = Sim::numbered(many(3), 7).ask(Command::Start);
    let mut app = console((120, 36));
    app.update(Event::RunsListed(Ok((vec![ended.listed(), other.listed()], vec![]))), ended.now);
    screen(&mut app);
    app.runs.selected = Some(crate::console::runs_model::RowId::Run(ended.state.run_id));
    app.update(Event::PlansListed(vec![plan_entry(backup())]), ended.now);
    assert!(screen(&mut app).contains("▌✔ completed"), "{}", screen(&mut app));
}
