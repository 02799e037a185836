//! What a frame costs, and when there is one. Compared by processor time of this thread, which other work on the machine does not add to.

use super::*;
use crate::console::rows::View;
use crate::engine::Batch;

/// Nanoseconds that this thread has been on a processor.
fn processor() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().and_then(|first| first.parse().ok()).unwrap()
}

/// A run of many steps in sixteen chains, of which some are done.
fn chains(number: usize) -> Sim {
    let mut plan = many(number);
    for place in 0..number {
        let before = place.checked_sub(16).map(|before| plan.steps[before].step_id.clone());
        Arc::make_mut(&mut plan.steps[place]).depends_on = Some(before.into_iter().collect());
    }
    plan.max_parallel = Some(16);
    Sim::new(plan).ask(Command::Start).wait(2)
}

/// The least that ten frames took, each after some steps have ended, others have started, and time for another estimate has passed.
fn cost(number: usize, keys: &str) -> u64 {
    cost_of(chains(number), |app| {
        if !keys.is_empty() {
            press(app, keys);
        }
    })
}

fn cost_of(mut sim: Sim, before: impl Fn(&mut App)) -> u64 {
    let mut app = open(&sim, (160, 45));
    before(&mut app);
    let mut best = u64::MAX;
    for _ in 0..6 {
        let mut spent = 0;
        for _ in 0..10 {
            let live: Vec<String> =
                sim.state.live().take(2).map(|place| sim.state.plan.steps[place].step_id.clone()).collect();
            let from = sim.events.len();
            for step in live {
                sim = sim.wait(1).done(&step);
            }
            let events = Arc::new(sim.events[from..].to_vec());
            let began = processor();
            app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now);
            app.update(Event::Tick, sim.now);
            app.prepare();
            // What the estimate costs is its task's.
            let question = app.question.take();
            let mut terminal = Terminal::new(TestBackend::new(160, 45)).unwrap();
            terminal.draw(|frame| views::draw(&app, frame)).unwrap();
            app.mark_drawn();
            spent += processor() - began;
            if let Some(answer) = question.and_then(Question::compute) {
                app.update(Event::Estimated(answer), sim.now);
            }
        }
        best = best.min(spent);
    }
    best
}

#[test]
fn a_frame_under_load_costs_the_same_however_many_steps_there_are() {
    let (few, lots) = (cost(200, ""), cost(10_000, ""));
    assert!(lots < few * 3, "10 frames of 200 steps took {few} ns, of 10,000 {lots} ns");
}

/// Whether a skipped step may run after all, or a step with many instances be skipped, is said without what that would lead to.
#[test]
fn what_could_be_done_with_much_behind_it_costs_a_frame_nothing() {
    // One after the other: all the rest is behind it.
    let ids: Vec<String> = (1..9).map(|place| format!("host-{place:06}")).collect();
    let skipped = |number| {
        let sim = Sim::new(many(number)).ask(Command::Start).wait(2);
        ids.iter().fold(sim, |sim, id| sim.ask(skip(id)))
    };
    let select_skipped = |app: &mut App| super::keys::select(app, "host-000001");
    let mark_skipped = |app: &mut App| {
        super::marks::mark(app, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        super::keys::select(app, "host-000009");
    };
    let each = |number: usize| {
        let mut each = step("each");
        each.foreach = Some(Box::new((0..number).map(|n| format!("part-{n}")).collect()));
        let mut plan = plan("parts", "Part by part", vec![each, step("report")]);
        plan.max_parallel = Some(16);
        Sim::new(plan).ask(Command::Start).wait(2)
    };
    let select_each = |app: &mut App| super::keys::select(app, "each");
    for (what, few, lots) in [
        ("selected", cost_of(skipped(200), select_skipped), cost_of(skipped(10_000), select_skipped)),
        ("marked", cost_of(skipped(200), mark_skipped), cost_of(skipped(10_000), mark_skipped)),
        ("foreach", cost_of(each(200), select_each), cost_of(each(8000), select_each)),
    ] {
        assert!(lots < few * 3, "{what}: 10 frames of few steps took {few} ns, of many {lots} ns");
    }
}

/// What has to look at all steps looks at a byte of each.
#[test]
fn a_filter_and_stages_cost_little_however_many_steps_there_are() {
    for keys in ["/ 0 0 1 Enter", "v v"] {
        let (few, lots) = (cost(200, keys), cost(10_000, keys));
        assert!(lots < few * 12, "{keys}: 10 frames of 200 steps took {few} ns, of 10,000 {lots} ns");
    }
}

#[test]
fn a_filter_shows_what_passes_as_the_run_goes_on() {
    let mut sim = chains(60);
    let mut app = open(&sim, (160, 45));
    press(&mut app, "/ d o n e Enter");
    let rows = |app: &mut App| {
        screen(app);
        app.run.as_ref().unwrap().row_count()
    };
    assert_eq!(rows(&mut app), 0);
    let from = sim.events.len();
    sim = sim.wait(1).done("host-000000").wait(1).done("host-000005");
    let events = Arc::new(sim.events[from..].to_vec());
    app.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now);
    assert_eq!(rows(&mut app), 2);
    // A state that was read anew is looked at anew.
    let state = Arc::new(sim.wait(1).done("host-000007").state);
    app.update(Event::Subscribed { state, recent: Vec::new(), storage: None, through: None }, app.now);
    assert_eq!(rows(&mut app), 3);
}

#[test]
fn the_open_run_takes_over_the_state_that_is_told_and_shares_its_steps() {
    let mut sim = chains(60);
    let (mut shares, mut folds) = (open(&sim, (160, 45)), open(&sim, (160, 45)));
    let from = sim.events.len();
    sim = sim.wait(1).done("host-000000").failed("host-000005", 1).ask(Command::Skip { step: "host-000040".into() });
    let events = Arc::new(sim.events[from..].to_vec());
    let batch = Batch { events: Arc::clone(&events), state: Some(Arc::new(sim.state.clone())) };
    shares.update(Event::Batch { run: sim.state.run_id, batch }, sim.now);
    folds.update(Event::Batch { run: sim.state.run_id, batch: events.into() }, sim.now);
    let (shared, folded) = (&shares.run.as_ref().unwrap().state, &folds.run.as_ref().unwrap().state);
    assert_eq!(shared, folded);
    for place in 0..sim.state.steps.len() {
        let (own, told) = (shared.steps.shared(place).unwrap(), sim.state.steps.shared(place).unwrap());
        assert!(Arc::ptr_eq(own, told), "step {place} is in memory twice");
    }
}

#[test]
fn stages_count_as_the_run_goes_on() {
    let mut sim = running();
    let mut app = open(&sim, (160, 45));
    press(&mut app, "v");
    assert_eq!(app.run.as_ref().unwrap().list.rows.view, View::Stages);
    let before = screen(&mut app);
    assert!(before.contains("check, side by side") && before.contains("0 of 3 done"), "{before}");
    let from = sim.events.len();
    sim = sim.wait(1).done("verify");
    app.update(Event::Batch { run: sim.state.run_id, batch: Arc::new(sim.events[from..].to_vec()).into() }, sim.now);
    let after = screen(&mut app);
    assert!(after.contains("1 of 3 done"), "{after}");
}
