//! What is seen of the selected run or plan below the list.

use super::screens::shown;
use super::*;
use crate::console::glimpse::{Glimpse, Wanted};
use crate::console::runs_model::RowId;

const SIZE: (u16, u16) = (120, 36);

fn list(size: (u16, u16), sims: &[Sim]) -> App {
    let mut app = console(size);
    app.now = sims.iter().map(|sim| sim.now).max().unwrap_or_else(start);
    let now = app.now;
    app.update(Event::RunsListed(Ok((sims.iter().map(Sim::listed).collect(), vec![]))), now);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), now);
    screen(&mut app);
    app
}

/// Reads what is asked for as its task does.
fn look(app: &mut App, sims: &[Sim]) -> Option<Wanted> {
    let wanted = app.glimpses.wanted.take()?;
    let glimpse = match &wanted.row {
        RowId::Run(run) => {
            let sim = sims.iter().find(|sim| sim.state.run_id == *run).unwrap();
            Glimpse::of_run(Arc::new(sim.state.clone()))
        }
        RowId::Plan(_) => Glimpse::Plan(Arc::new(backup())),
    };
    let now = app.now;
    app.update(Event::Glimpsed { row: wanted.row.clone(), glimpse: Some(Box::new(glimpse)) }, now);
    Some(wanted)
}

#[test]
fn the_selected_row_is_seen_below_the_list_where_there_is_room() {
    let sims = [failed(), Sim::numbered(many(40), 3).ask(Command::Start).wait(2)];
    shown("runs_glimpse", |size| {
        let mut app = list(size, &sims);
        assert_eq!(look(&mut app, &sims).is_some(), size.1 >= 30, "nothing is read that has no room");
        app
    });
    shown("runs_glimpse_plan", |size| {
        let mut app = list(size, &sims);
        press(&mut app, "G");
        look(&mut app, &sims);
        app
    });
    let mut app = list(SIZE, &sims);
    press(&mut app, "G");
    app.glimpses.wanted.take();
    let row = app.runs.selected.clone().unwrap();
    let problems = Glimpse::Problems(vec!["error: unknown field `stpes`".into()]);
    let now = app.now;
    app.update(Event::Glimpsed { row, glimpse: Some(Box::new(problems)) }, now);
    assert!(screen(&mut app).contains("error: unknown field"), "{}", screen(&mut app));
}

#[test]
fn only_the_selected_row_is_read_and_again_only_when_it_has_gone_on() {
    let sims = [failed(), Sim::numbered(many(40), 3).ask(Command::Start).wait(2)];
    let mut app = list(SIZE, &sims);
    assert!(!look(&mut app, &sims).unwrap().again);
    assert!(screen(&mut app).contains("exit status 1"), "{}", screen(&mut app));
    assert!(look(&mut app, &sims).is_none(), "nothing has changed");
    // Somebody goes past it: what comes of it is not shown for another.
    press(&mut app, "j");
    let passed = app.glimpses.wanted.take().unwrap();
    press(&mut app, "k");
    let state = Arc::new(sims[1].state.clone());
    let now = app.now;
    app.update(Event::Glimpsed { row: passed.row, glimpse: Some(Box::new(Glimpse::of_run(state))) }, now);
    assert!(!screen(&mut app).contains("host-000000"), "{}", screen(&mut app));
    look(&mut app, &sims);
    // It goes on: read again, though not with every event.
    let further = failed().because(skip("verify"), "known");
    app.update(update_of(&further), now);
    screen(&mut app);
    assert!(app.glimpses.wanted.is_none(), "it was read just now");
    let later = now + TimeDelta::seconds(2);
    app.update(Event::Tick, later);
    screen(&mut app);
    assert!(look(&mut app, &[further]).unwrap().again);
    assert!(screen(&mut app).contains("by ann: known"), "{}", screen(&mut app));
    // In a run nothing is read for the list.
    app.open(sims[0].state.run_id, true);
    let (state, recent) = (Arc::new(sims[0].state.clone()), sims[0].events.clone());
    app.update(Event::Subscribed { state, recent, storage: None, through: None }, later);
    screen(&mut app);
    assert!(app.glimpses.wanted.is_none());
}

/// The plan may be as large as the one that is being opened, and nobody looks at it.
#[test]
fn nothing_is_read_for_the_list_while_a_run_is_on_its_way() {
    let sims = [failed()];
    let mut app = console(SIZE);
    app.making = true;
    let now = sims[0].now;
    app.update(Event::RunsListed(Ok((vec![sims[0].listed()], vec![]))), now);
    app.update(Event::PlansListed(vec![plan_entry(backup())]), now);
    screen(&mut app);
    assert!(app.glimpses.wanted.is_none());
    let run = sims[0].state.run_id;
    let made = Event::Registered { result: Ok(run), name: "backup".into(), looked_at: None, start: true };
    app.update(made, now);
    screen(&mut app);
    assert!(app.glimpses.wanted.is_none(), "it is being opened");
    app.update(Event::NotOpened { run, error: "gone".into() }, now);
    screen(&mut app);
    assert!(app.glimpses.wanted.is_some(), "the list is what is looked at");
}

#[test]
fn of_many_steps_those_are_seen_that_matter() {
    let sim = Sim::numbered(many(1000), 3).ask(Command::Start).wait(2);
    let step = |number: usize| format!("host-{number:06}");
    let sim = sim.done(&step(0)).done(&step(1)).failed(&step(2), 7).wait(1);
    let mut app = list(SIZE, std::slice::from_ref(&sim));
    look(&mut app, std::slice::from_ref(&sim));
    let text = screen(&mut app);
    assert!(text.contains("exit status 7") && text.contains(&step(3)), "{text}");
    assert!(!text.contains(&step(0)) && text.contains(" more"), "{text}");
}
