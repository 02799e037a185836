//! How long a run has worked, and how long it has been paused: the one clock that every screen and every command says.

use chrono::TimeDelta;
use holdpoint::run::{Command, RunState, RunSummary};
use serde_json::json;

use crate::run_support::{Driver, reloaded, restore, retry};

/// Seconds worked, and in this pause, as they stand now.
fn times(driver: &Driver) -> (f64, Option<f64>) {
    let times = driver.state.times(driver.now, true).expect("it was started");
    let listed = driver.state.summary().times(driver.now, true);
    assert_eq!(listed, Some(times), "the list says the same as the run");
    (times.ran, times.paused)
}

#[test]
fn a_pause_stops_the_time_worked_and_is_counted_by_itself() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.wait(10);
    assert_eq!(times(&driver), (10.0, None));
    driver.ask(Command::Pause);
    driver.wait(5);
    // An attempt that finishes in a pause, and what is done to the run meanwhile, moves neither.
    driver.succeeds("a");
    driver.ask(Command::SetParallel { value: 2 });
    driver.wait(295);
    assert_eq!(times(&driver), (10.0, Some(300.0)));
    driver.ask(Command::Resume);
    assert_eq!(times(&driver), (10.0, None), "nothing of the pause is in it");
    driver.wait(7);
    assert_eq!(times(&driver), (17.0, None));
    driver.ask(Command::Pause);
    driver.wait(2);
    assert_eq!(times(&driver), (17.0, Some(2.0)), "each pause begins at nothing");
}

#[test]
fn it_goes_on_where_it_stood_over_an_end_and_a_restore_and_never_back() {
    let mut driver = Driver::started(json!(["a", "b"]));
    driver.wait(4);
    driver.succeeds("a");
    let after_a = driver.checkpoint_after("a");
    driver.wait(6);
    driver.succeeds("b");
    driver.wait(1000);
    assert_eq!((driver.run().as_str(), times(&driver)), ("completed", (10.0, None)));
    driver.ask(restore(after_a));
    driver.wait(20);
    assert_eq!(times(&driver), (10.0, Some(20.0)), "what was worked was worked, though its steps are taken back");
    driver.ask(Command::Resume);
    driver.wait(3);
    driver.fails("b");
    driver.wait(50);
    assert_eq!(times(&driver), (13.0, Some(50.0)));
    driver.ask(retry("b"));
    assert_eq!(times(&driver), (13.0, None));
    // A clock that was set back.
    driver.now -= TimeDelta::seconds(600);
    assert_eq!(times(&driver), (13.0, None));
    driver.ask(Command::Pause);
    assert_eq!(times(&driver), (13.0, Some(0.0)));
}

#[test]
fn what_no_engine_was_there_for_is_not_worked() {
    for go_on in [true, false] {
        let mut driver = Driver::started(json!([{"step_id": "a", "idempotent": true}, "b"]));
        driver.wait(5);
        driver.ask(Command::SetParallel { value: 3 });
        let closed = driver.state.times(driver.now + TimeDelta::seconds(60), false).expect("it was started");
        assert_eq!((closed.ran, closed.works, closed.paused), (5.0, false, None), "only what is known of it");
        driver.now += TimeDelta::seconds(3600);
        driver.crash(0, go_on);
        assert_eq!(times(&driver).0, 5.0, "{}", driver.run());
        if driver.run().starts_with("paused") {
            driver.wait(30);
            driver.ask(Command::Resume);
        }
        driver.wait(2);
        assert_eq!(times(&driver), (7.0, None));
    }
}

/// Of a file that an older version has written, what it noted is taken: the pauses, and in a list not even these.
#[test]
fn what_older_versions_have_written_gives_the_times_as_far_as_they_are_known() {
    let mut driver = Driver::started(json!(["a", "b", "c"]));
    driver.wait(10);
    driver.ask(Command::Pause);
    driver.wait(30);
    driver.ask(Command::Resume);
    driver.wait(4);
    driver.ask(Command::Pause);
    driver.wait(1);
    driver.fails("a");
    driver.wait(6);
    let mut old = serde_json::to_value(&driver.state).expect("a state can be written");
    assert!(old.as_object_mut().and_then(|fields| fields.remove("worked_micros")).is_some());
    let mut old: RunState = serde_json::from_value(old).expect("a state can be read");
    old.reindex();
    assert_eq!(old.times(driver.now, true), driver.state.times(driver.now, true));
    driver.ask(retry("a"));
    driver.ask(Command::Resume);
    driver.wait(5);
    assert_eq!(reloaded(&driver.state).times(driver.now, true), driver.state.times(driver.now, true));

    let mut listed = serde_json::to_value(driver.state.summary()).expect("a line can be written");
    assert!(listed.as_object_mut().and_then(|fields| fields.remove("clock")).is_some());
    let listed: RunSummary = serde_json::from_value(listed).expect("a line can be read");
    let times = listed.times(driver.now, true).expect("it was started");
    assert_eq!((times.ran, times.works), (56.0, true), "since its start, as that version said");
}
