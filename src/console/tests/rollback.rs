//! Rolling a run back: asked first, with what undoes what; shown while it goes on and when it is over.

use super::screens::shown;
use super::*;
use crate::plan::RollbackAction;

/// The backup, of which two steps can be undone; `verify` has failed, and an operator is asked.
fn failed_backup() -> Sim {
    let mut plan = backup();
    for (place, run) in [(0, "rm -f dump.sql"), (1, "rm -f dump.sql.zst && touch recompress")] {
        let step = Arc::make_mut(&mut plan.steps[place]);
        step.rollback = Some(Box::new(RollbackAction { run: Some(run.into()), ..RollbackAction::default() }));
    }
    Sim::new(plan)
        .wait(5)
        .ask(Command::Start)
        .wait(42)
        .done("dump")
        .wait(8)
        .done("compress")
        .wait(3)
        .failed("verify", 1)
        .done("stats")
        .done("report")
        .wait(60)
        .failed("verify", 1)
        .wait(5)
}

fn rolling_back() -> Sim {
    failed_backup().because(Command::Rollback, "wrong database").wait(4)
}

/// A console that asks whether to roll back, and has the engine's answer.
fn asked(size: (u16, u16)) -> App {
    let mut app = open(&failed_backup(), size);
    press(&mut app, "U");
    app
}

#[test]
fn it_asks_first_and_says_what_undoes_what() {
    shown("rollback_question", asked);
    let mut app = asked((80, 24));
    assert!(press(&mut app, "Enter").is_empty(), "Enter leaves it as it is");
    let mut app = asked((80, 24));
    assert_eq!(sent(&press(&mut app, "y")).0, &Command::Rollback);
}

#[test]
fn it_is_shown_while_it_goes_on_and_when_it_is_over() {
    shown("rolling_back", |size| open(&rolling_back(), size));
    shown("rollback_failed", |size| open(&rolling_back().failed("rollback.compress", 2).wait(9), size));
    let over = rolling_back().done("rollback.compress").wait(2).done("rollback.dump").wait(9);
    shown("rolled_back", |size| open(&over, size));
    // Of the plan's own eight, whatever was added to undo them.
    for sim in [rolling_back(), over] {
        let mut app = open(&sim, (100, 30));
        let text = screen(&mut app);
        let done = sim.state.own_counts().done();
        assert!(text.contains(&format!("{done} of 8")), "{text}");
        press(&mut app, "Esc");
        let text = screen(&mut app);
        assert!(text.contains(&format!("{done} of 8")), "{text}");
    }
}

#[test]
fn meanwhile_no_key_acts_on_the_plans_own_steps() {
    let mut app = open(&rolling_back(), (160, 45));
    // From the first of the rollback's steps up to `verify`.
    press(&mut app, "g j j");
    assert_eq!(app.run.as_ref().unwrap().list.selected.as_deref(), Some("verify"));
    for key in ["r", "s", "m", "e", "a", "d", "U"] {
        assert!(press(&mut app, key).is_empty(), "{key} acts");
        assert!(app.layers.is_empty(), "{key} asks about what is refused");
        assert!(said(&app).contains("rolled back"), "{key}: {}", said(&app));
    }
}
