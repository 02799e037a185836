//! Forecasts against the real core: runs are driven with known durations, and what was foretold is compared with what came.

use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::plan::FailurePolicy;
use crate::run::{
    Attempt, Command, Durability, Durations, Input, Moment, Outcome, Registration, Request, RunOptions, RunStatus,
    StepStatus, advance, register,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn micros(seconds: f64) -> TimeDelta {
    TimeDelta::microseconds((seconds * 1e6).round() as i64)
}

fn grounds(state: &RunState) -> Arc<Grounds> {
    Arc::new(Grounds::new(&state.plan, state.plan_version, Arc::new(Past::default())))
}

/// A run whose steps take as long as it is told.
#[derive(Clone)]
struct Sim {
    state: RunState,
    now: DateTime<Utc>,
    times: HashMap<String, f64>,
    /// Follows the run, from when it is set on.
    followed: Option<Survey>,
    /// How often it had to be made anew.
    anew: u32,
}

impl Sim {
    fn new(plan: Value, times: &[f64]) -> Self {
        Self::knowing(plan, times, None)
    }

    fn knowing(plan: Value, times: &[f64], past: Option<&Past>) -> Self {
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let options = RunOptions {
            on_failure: plan.on_failure.unwrap_or(FailurePolicy::Continue),
            max_parallel: plan.max_parallel.unwrap_or(4),
            simulate: false,
            durability: Durability::Full,
            grace_seconds: 10.0,
            working_dir: "/".into(),
            output_limit: None,
            plan_path: None,
            variables: Default::default(),
            environment: Default::default(),
        };
        let times = plan.steps.iter().map(|step| step.step_id.clone()).zip(times.iter().copied()).collect();
        let durations = past.map(|past| Arc::new(Durations::of(&plan, past).unwrap()));
        let registration = Registration {
            run_id: Uuid::from_u128(7),
            plan: Arc::new(plan),
            options,
            user: "ann".into(),
            fork: None,
            durations,
        };
        let first = register(registration, &Moment { now: start(), entropy: 0 });
        let mut sim = Self {
            state: RunState::from_registration(&first[0]).unwrap(),
            now: start(),
            times,
            followed: None,
            anew: 0,
        };
        sim.input(&Input::Opened { version: "0".into(), pid: 1, go_on: true });
        sim
    }

    fn input(&mut self, input: &Input) {
        let mut state = self.state.clone();
        let events = advance(&mut self.state, input, &Moment { now: self.now, entropy: 0 }).unwrap();
        let Some(survey) = &mut self.followed else { return };
        for recorded in events {
            state.apply(&recorded);
            if !survey.take(&recorded, &state) {
                self.anew += 1;
                *survey = Survey::of(&state, grounds(&state));
            }
        }
    }

    fn ask(&mut self, command: Command) {
        let id = Uuid::from_u128(u128::from(self.state.seq));
        self.input(&Input::Request(Request::new(id, command, "ann")));
    }

    fn started(plan: Value, times: &[f64]) -> Self {
        let mut sim = Self::new(plan, times);
        sim.ask(Command::Start);
        sim
    }

    fn end(&mut self, step: &str, outcome: Outcome) {
        let attempt = self.state.step(step).unwrap().1.last_attempt;
        self.input(&Input::AttemptEnded { step: step.into(), attempt, outcome: Arc::new(outcome) });
    }

    /// The attempt that ends next, and when.
    fn next(&self) -> Option<(DateTime<Utc>, String)> {
        let ends = self.state.live().map(|position| {
            let id = &self.state.plan.steps[position].step_id;
            (self.state.steps[position].attempt().unwrap().started_at + micros(self.times[id]), id.clone())
        });
        ends.min()
    }

    /// Goes on for so long, or to the end.
    fn run_for(&mut self, seconds: f64) {
        let until = self.now.checked_add_signed(micros(seconds)).unwrap();
        while let Some((time, step)) = self.next().filter(|(time, _)| *time <= until) {
            self.now = time;
            self.end(&step, Outcome::succeeded());
        }
        if self.state.live().next().is_some() {
            self.now = until;
        }
    }

    fn finished(mut self) -> Self {
        self.run_for(1e6);
        self
    }

    fn forecast(&self, past: &Past) -> Forecast {
        let grounds = Arc::new(Grounds::new(&self.state.plan, self.state.plan_version, Arc::new(past.clone())));
        Outlook::of(&self.state, grounds, self.now).forecast()
    }

    fn left(&self, past: &Past) -> Left {
        self.forecast(past).left.expect("an estimate")
    }

    /// Its steps by their start.
    fn starts(&self) -> Vec<&str> {
        let started = |position: &usize| self.state.steps[*position].attempts.first().map(|one| one.started_at);
        let mut all: Vec<usize> = (0..self.state.steps.len()).collect();
        all.sort_by_key(started);
        all.into_iter().map(|position| self.state.plan.steps[position].step_id.as_str()).collect()
    }

    fn names(&self, forecast: &Forecast) -> Vec<&str> {
        forecast.critical.iter().map(|step| self.state.plan.steps[*step as usize].step_id.as_str()).collect()
    }
}

/// What runs tell, from their states and as they are read from where those are written.
fn past(runs: &[&Sim]) -> Past {
    let (mut past, mut read) = (Past::default(), Past::default());
    for run in runs {
        assert!(past.add(&run.state));
        let written = serde_json::to_vec(&run.state).unwrap();
        assert!(read.add(serde_json::from_slice::<EarlierRun>(&written).unwrap()));
    }
    assert_eq!((&past.rows, past.agents()), (&read.rows, read.agents()));
    // What is not known is not a number, and equal to nothing.
    assert_eq!(format!("{:?}", past.runs), format!("{:?}", read.runs));
    past
}

fn step(id: &str, after: &[&str]) -> Value {
    json!({"step_id": id, "run": format!("./{id}"), "depends_on": after})
}

fn plan(steps: &[Value]) -> Value {
    json!({"plan_id": "p", "steps": steps})
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.01
}

#[test]
fn a_chain_takes_the_sum_and_all_of_it_is_critical() {
    let chain = plan(&[step("a", &[]), step("b", &["a"]), step("c", &["b"])]);
    let before = past(&[&Sim::started(chain.clone(), &[10.0, 20.0, 30.0]).finished()]);
    let mut sim = Sim::started(chain, &[10.0, 20.0, 30.0]);
    assert!(near(sim.left(&before).likely, 60.0));
    sim.run_for(15.0);
    let forecast = sim.forecast(&before);
    let left = forecast.left.unwrap();
    assert!(near(left.likely, 45.0) && near(left.low, 45.0) && near(left.high, 45.0), "{left:?}");
    assert_eq!(sim.names(&forecast), ["a", "b", "c"]);
    assert_eq!(
        forecast.expected.iter().map(|one| (one.step, one.end.round())).collect::<Vec<_>>(),
        [(1, 30.0), (2, 60.0)]
    );
    assert_eq!(sim.finished().forecast(&before).left, None, "nothing is left");
}

#[test]
fn what_decides_goes_through_the_longest_branch_and_through_full_lanes() {
    let steps =
        [step("first", &[]), step("short", &["first"]), step("long", &["first"]), step("last", &["short", "long"])];
    let times = [5.0, 10.0, 40.0, 5.0];
    let before = past(&[&Sim::started(plan(&steps), &times).finished()]);
    let sim = Sim::started(plan(&steps), &times);
    assert_eq!(sim.names(&sim.forecast(&before)), ["first", "long", "last"]);
    assert!(near(sim.left(&before).likely, 50.0));
    let ended = sim.finished();
    assert_eq!(ended.names(&ended.forecast(&before)), ["first", "long", "last"], "also of what was");

    let mut narrow = plan(&[step("a", &[]), step("b", &[]), step("c", &[])]);
    narrow["max_parallel"] = json!(1);
    let before = past(&[&Sim::started(narrow.clone(), &[10.0, 20.0, 30.0]).finished()]);
    let mut sim = Sim::started(narrow, &[10.0, 20.0, 30.0]);
    sim.run_for(12.0);
    assert!(near(sim.left(&before).likely, 48.0));
    assert_eq!(sim.names(&sim.forecast(&before)), ["a", "b", "c"]);

    let pooled = |id: &str| json!({"step_id": id, "run": "x", "pool": "disk"});
    let group = |mut step: Value| {
        step["parallel_group"] = json!("all");
        step
    };
    let mut pools = plan(&["a", "b", "c", "d"].map(|id| group(pooled(id))));
    pools["pools"] = json!({"disk": 2});
    let before = past(&[&Sim::started(pools.clone(), &[10.0; 4]).finished()]);
    assert!(near(Sim::started(pools, &[10.0; 4]).left(&before).likely, 20.0), "two at a time");
}

/// Two chains and one lane: `a` has more steps, `b` more work.
fn long_or_heavy() -> Value {
    let steps =
        [step("a", &[]), step("a2", &["a"]), step("a3", &["a2"]), step("b", &[]), step("b2", &["b"]), step("c", &[])];
    let mut plan = plan(&steps);
    plan["max_parallel"] = json!(1);
    plan
}

#[test]
fn what_earlier_runs_took_says_whose_turn_it_is() {
    let times = [1.0, 1.0, 1.0, 2.0, 20.0, 2.0];
    let first = Sim::started(long_or_heavy(), &times).finished();
    assert_eq!(first.starts(), ["a", "a2", "b", "a3", "b2", "c"], "without them, the more steps follow");
    let before = past(&[&first]);
    let mut second = Sim::knowing(long_or_heavy(), &times, Some(&before));
    let foretold = second.forecast(&before);
    second.ask(Command::Start);
    let second = second.finished();
    assert_eq!(second.starts(), ["b", "b2", "a", "a2", "c", "a3"]);
    let in_turn: Vec<&str> =
        foretold.expected.iter().map(|one| second.state.plan.steps[one.step as usize].step_id.as_str()).collect();
    assert_eq!(in_turn, second.starts(), "the estimate follows the same turns");

    // What is written takes the same turns when it is read.
    let mut read: RunState = serde_json::from_value(serde_json::to_value(&second.state).unwrap()).unwrap();
    read.reindex();
    assert_eq!(read, second.state);
    assert!(Durations::of(&second.state.plan, &Past::default()).is_none(), "nothing is known");
}

#[test]
fn what_no_earlier_run_knows_counts_as_the_middle_of_what_they_know() {
    let first = Sim::started(long_or_heavy(), &[1.0, 1.0, 1.0, 4.0, 4.0, 3.0]).finished();
    let mut changed = long_or_heavy();
    changed["steps"][2]["run"] = json!("./another");
    changed["steps"].as_array_mut().unwrap().push(json!({"step_id": "t", "run": "x", "foreach": [1, 2, 3]}));
    changed["steps"].as_array_mut().unwrap().push(step("u", &["t"]));
    let each = json!({"plan_id": "p", "steps": [{"step_id": "t", "run": "x", "foreach": [1, 2, 3]}]});
    let mut instances = Sim::new(each, &[]);
    instances.times.extend([("t.0", 5.0), ("t.1", 9.0), ("t.2", 7.0)].map(|(id, time)| (id.to_owned(), time)));
    instances.ask(Command::Start);
    let before = past(&[&first, &instances.finished()]);
    let plan: Plan = serde_json::from_value(changed).unwrap();
    let told = serde_json::to_value(Durations::of(&plan, &before).unwrap()).unwrap();
    assert_eq!(told, json!({"millis": [1000, 1000, 4000, 4000, 4000, 3000, 7000, 4000], "usual": 4000}));
}

#[test]
fn the_range_is_what_earlier_runs_make_of_it() {
    let chain = plan(&[step("a", &[]), step("b", &["a"])]);
    let run = |times: [f64; 2]| Sim::started(chain.clone(), &times).finished();
    let runs = [run([10.0, 30.0]), run([12.0, 30.0]), run([14.0, 60.0])];
    let before = past(&[&runs[0], &runs[1], &runs[2]]);
    let left = Sim::started(chain.clone(), &[0.0; 2]).left(&before);
    assert!(near(left.low, 40.0) && near(left.likely, 42.0) && near(left.high, 74.0), "{left:?}");
    assert_eq!((left.runs, left.at_least, left.people), (3, false, false));
    // One that went wrong in every way does not widen it for ever.
    let slow = run([100.0, 900.0]);
    let many: Vec<&Sim> = runs.iter().chain([&slow]).chain(&runs).collect();
    assert!(Sim::started(chain, &[0.0; 2]).left(&past(&many)).high < 100.0);
}

/// Those that do not know what takes most of the time would say that it takes what it most likely does.
#[test]
fn the_range_comes_from_the_runs_that_know_what_is_left() {
    let mut old = plan(&[step("a", &[]), step("b", &["a"])]);
    let before: Vec<Sim> = (0..8).map(|_| Sim::started(old.clone(), &[10.0, 10.0]).finished()).collect();
    old["steps"][1]["run"] = json!("./other");
    let now = old;
    let since = [60.0, 600.0].map(|time| Sim::started(now.clone(), &[10.0, time]).finished());
    let runs: Vec<&Sim> = since.iter().chain(&before).collect();
    let left = Sim::started(now.clone(), &[0.0; 2]).left(&past(&runs));
    assert!(near(left.low, 70.0) && near(left.likely, 340.0) && near(left.high, 610.0) && left.runs == 2, "{left:?}");
    // Of what all of them know, all of them tell.
    assert_eq!(Sim::started(plan(&[step("a", &[])]), &[0.0]).left(&past(&runs)).runs, 10);
}

#[test]
fn steps_that_the_plan_skips_are_expected_to_be_skipped_as_often() {
    let mut steps = [step("a", &[]), step("maybe", &["a"]), step("b", &["maybe"])];
    steps[1]["when"] = json!("vars.deep");
    let with = |deep: bool| {
        let mut plan = plan(&steps);
        plan["variables"] = json!({"deep": {"default": deep}});
        let mut sim = Sim::new(plan, &[10.0, 100.0, 10.0]);
        Arc::make_mut(&mut sim.state.options).variables.insert("deep".into(), json!(deep));
        sim.ask(Command::Start);
        sim
    };
    let (deep, shallow) = (with(true).finished(), with(false).finished());
    assert_eq!(shallow.state.steps[1].status, StepStatus::Skipped);
    let before = past(&[&shallow, &deep, &shallow]);
    let left = with(true).left(&before);
    assert!(near(left.low, 20.0) && near(left.likely, 20.0) && near(left.high, 120.0), "{left:?}");
    // When it runs, it is not told by runs in which it did not.
    let mut runs = with(true);
    runs.run_for(11.0);
    assert!(near(runs.left(&before).likely, 109.0));
}

#[test]
fn without_a_ground_nothing_is_invented() {
    let chain = plan(&[step("a", &[]), step("b", &["a"]), step("c", &["b"]), step("d", &["c"])]);
    let nothing = Past::default();
    let forecast = Sim::started(chain.clone(), &[1.0; 4]).forecast(&nothing);
    assert_eq!((forecast.left, forecast.lacking), (None, Some(Lacking::Times { steps: 4, first: 0 })));
    assert!(forecast.expected.is_empty());
    // Three commands that have nothing but their agent in common are no ground, however alike their times are.
    let mut others = Sim::started(chain.clone(), &[10.0, 12.0, 14.0, 9.0]);
    others.run_for(36.0);
    assert_eq!(others.forecast(&nothing).left, None);
    // Three that are alike are a ground for the fourth, three that are not are none.
    let same = |id: &str, after: &[&str]| json!({"step_id": id, "run": "./same", "depends_on": after});
    let same = plan(&[same("a", &[]), same("b", &["a"]), same("c", &["b"]), same("d", &["c"])]);
    let mut alike = Sim::started(same.clone(), &[10.0, 12.0, 14.0, 9.0]);
    alike.run_for(36.0);
    let left = alike.left(&nothing);
    assert!(near(left.likely, 12.0) && left.low < 12.0 && left.high > 12.0 && left.runs == 0, "{left:?}");
    let mut different = Sim::started(same, &[1.0, 1.0, 100.0, 9.0]);
    different.run_for(102.0);
    assert_eq!(different.forecast(&nothing).left, None);
    // Another command under the same name is another step: the rest is known, and that it is more.
    let before = past(&[&Sim::started(chain.clone(), &[10.0; 4]).finished()]);
    let mut changed = chain;
    changed["steps"][2]["run"] = json!("./other");
    let forecast = Sim::started(changed, &[10.0; 4]).forecast(&before);
    assert_eq!(forecast.lacking, Some(Lacking::Times { steps: 1, first: 2 }));
    let left = forecast.left.unwrap();
    assert!(left.at_least && near(left.likely, 30.0), "{left:?}");
}

#[test]
fn a_step_that_runs_longer_than_ever_is_named() {
    let chain = plan(&[step("a", &[]), step("b", &["a"])]);
    let before = past(&[&Sim::started(chain.clone(), &[10.0, 30.0]).finished()]);
    let mut slow = Sim::started(chain, &[500.0, 30.0]);
    slow.run_for(11.0);
    let forecast = slow.forecast(&before);
    assert_eq!(forecast.lacking, Some(Lacking::Overdue { step: 0 }));
    let left = forecast.left.unwrap();
    assert!(left.at_least && near(left.likely, 30.0), "{left:?}");
}

/// What failed, was stopped or interrupted, was done by hand or skipped by a person has not shown how long its work takes.
#[test]
fn only_what_came_to_its_end_by_itself_is_a_ground() {
    let steps = [step("a", &[]), step("b", &[]), step("c", &[]), step("d", &[]), step("e", &[])];
    let mut earlier = Sim::started(plan(&steps), &[10.0, 100.0, 100.0, 100.0, 100.0]);
    earlier.run_for(3.0);
    earlier.end("b", Outcome::failed("broken"));
    for command in [
        Command::Skip { step: "c".into() },
        Command::Complete { step: "d".into(), result: None },
        Command::Retry { step: "e".into(), downstream: false },
    ] {
        earlier.ask(command);
    }
    for step in ["c", "d"] {
        earlier.end(step, Outcome::stopped());
    }
    earlier.run_for(8.0);
    earlier.ask(Command::Cancel);
    let live: Vec<String> =
        earlier.state.live().map(|position| earlier.state.plan.steps[position].step_id.clone()).collect();
    for step in live {
        earlier.end(&step, Outcome::stopped());
    }
    let before = past(&[&earlier]);
    let forecast = Sim::started(plan(&steps), &[10.0; 5]).forecast(&before);
    assert_eq!(forecast.lacking, Some(Lacking::Times { steps: 4, first: 1 }));
    assert_eq!((forecast.left, forecast.expected), (None, Vec::new()), "most of it is unknown: nothing is said");
}

/// An attempt that waits for a time is over then, whatever it took before.
#[test]
fn a_wait_takes_what_is_left_of_it() {
    let until = |seconds: i64| (start() + TimeDelta::seconds(seconds)).to_rfc3339();
    let with =
        |seconds: i64| plan(&[json!({"step_id": "w", "agent_type": "wait", "parameters": {"until": until(seconds)}})]);
    let before = past(&[&Sim::started(with(500), &[500.0]).finished()]);
    let mut sim = Sim::started(with(60), &[60.0]);
    sim.run_for(20.0);
    assert!(near(sim.left(&before).likely, 40.0), "{:?}", sim.forecast(&before));
}

/// How long people take for their answers is not how long the work takes.
/// As in the engine: whoever only waits for the time keeps nobody from working.
#[test]
fn a_wait_takes_no_slot_of_the_run() {
    let mut plan = plan(&[step("work", &[])]);
    plan["max_parallel"] = json!(1);
    let wait = json!({"step_id": "wait", "agent_type": "wait", "parameters": {"seconds": 100}, "depends_on": []});
    plan["steps"].as_array_mut().unwrap().insert(0, wait);
    let before = past(&[&Sim::started(plan.clone(), &[100.0, 90.0]).finished()]);
    let sim = Sim::new(plan, &[100.0, 90.0]);
    let left = sim.left(&before);
    assert!(near(left.likely, 100.0) && near(left.low, 100.0) && near(left.high, 100.0), "{left:?}");
}

/// What a `foreach` step does is what its instances do.
#[test]
fn an_expanded_step_takes_the_time_of_its_instances_and_none_of_its_own() {
    let each = json!({"plan_id": "p", "max_parallel": 4, "steps": [
        {"step_id": "t", "run": "x", "foreach": [1, 2, 3, 4]},
        {"step_id": "last", "run": "y", "depends_on": ["t"]},
    ]});
    let started = || {
        let mut sim = Sim::new(each.clone(), &[0.0, 5.0]);
        sim.times.extend((0..4).map(|index| (format!("t.{index}"), 600.0)));
        sim.times.insert("t.3".into(), 610.0);
        sim.ask(Command::Start);
        sim
    };
    let before = past(&[&started().finished()]);
    let mut sim = started();
    let forecast = sim.forecast(&before);
    assert_eq!(forecast.lacking, None, "every instance is known");
    assert!(near(forecast.left.unwrap().likely, 615.0), "{forecast:?}");
    assert_eq!(sim.names(&forecast), ["t.3", "last"]);
    sim.run_for(600.0);
    assert!(near(sim.left(&before).likely, 15.0), "{:?}", sim.left(&before));
}

#[test]
fn the_time_in_which_people_are_asked_is_left_out() {
    let ask =
        json!({"step_id": "ask", "agent_type": "manual", "parameters": {"instructions": "look"}, "depends_on": []});
    let steps = plan(&[ask, step("b", &["ask"]), step("c", &[])]);
    let asks = |sim: &mut Sim| {
        let question = serde_json::from_value(json!({"title": "look"})).unwrap();
        let attempt = sim.state.step("ask").unwrap().1.last_attempt;
        sim.input(&Input::Asked { step: "ask".into(), attempt, number: 1, question: Arc::new(question) });
    };
    let mut earlier = Sim::started(steps.clone(), &[1e6, 30.0, 100.0]);
    asks(&mut earlier);
    earlier.run_for(3600.0);
    let answer = crate::run::Answer::Accepted(serde_json::Map::new());
    earlier.ask(Command::Answer { step: "ask".into(), question: None, answer });
    earlier.end("ask", Outcome::succeeded());
    if earlier.state.status == RunStatus::Paused {
        earlier.ask(Command::Resume);
    }
    let before = past(&[&earlier.finished()]);
    let mut sim = Sim::started(steps, &[1e6, 30.0, 100.0]);
    let left = sim.left(&before);
    assert!(left.people && near(left.likely, 100.0), "{left:?}");
    asks(&mut sim);
    sim.run_for(50.0);
    let left = sim.left(&before);
    assert!(left.people && !left.at_least && near(left.likely, 50.0), "what follows the answer takes less: {left:?}");
}

#[test]
fn people_are_not_in_it_and_nothing_is_said_while_nothing_goes_on() {
    let mut steps = [step("a", &[]), step("b", &["a"])];
    let before = past(&[&Sim::started(plan(&steps), &[10.0, 30.0]).finished()]);
    steps[1]["hold"] = json!("look first");
    let mut sim = Sim::started(plan(&steps), &[10.0, 30.0]);
    let left = sim.left(&before);
    assert!(left.people && near(left.likely, 40.0), "{left:?}");
    sim.ask(Command::Pause);
    assert_eq!(sim.forecast(&before).left, None, "paused");
    sim.ask(Command::Resume);
    assert!(sim.forecast(&before).left.is_some());
    sim.ask(Command::Cancel);
    assert_eq!(sim.forecast(&before).left, None, "cancelled");
}

#[test]
fn what_waits_for_a_failed_step_is_not_counted_and_a_back_off_is() {
    let mut steps = [step("a", &[]), step("b", &["a"]), step("c", &[])];
    let times = [10.0, 30.0, 25.0];
    let before = past(&[&Sim::started(plan(&steps), &times).finished()]);
    let mut sim = Sim::started(plan(&steps), &times);
    sim.run_for(5.0);
    sim.end("a", Outcome::failed("no"));
    assert!(near(sim.left(&before).likely, 20.0), "c alone");

    steps[0]["max_retries"] = json!(3);
    steps[0]["retry"] = json!({"delay_seconds": 60.0, "jitter": 0.0});
    let mut sim = Sim::started(plan(&steps), &times);
    sim.run_for(5.0);
    sim.end("a", Outcome::failed("no"));
    let due = (sim.state.steps[0].due.expect("a back-off") - sim.now).as_seconds_f64();
    assert!(near(sim.left(&before).likely, due + 40.0), "{:?}", sim.left(&before));
}

/// A plan with random edges, pools, priorities and limits, and times of its steps.
fn plans() -> impl Strategy<Value = (Value, Vec<f64>)> {
    let step = (prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..3i32, 0..3usize, 1..90_000u32);
    (prop::collection::vec(step, 1..14), 1..5u32, 1..3u32, 0..2u32).prop_map(|(steps, lanes, limit, graph)| {
        let times = steps.iter().zip(1..).map(|(step, odd)| f64::from(step.3) / 1e3 + f64::from(odd) / 1e5).collect();
        let steps: Vec<Value> = steps
            .iter()
            .enumerate()
            .map(|(place, (after, priority, pool, _))| {
                let mut made =
                    json!({"step_id": format!("s{place}"), "run": format!("./{place}"), "priority": priority});
                if graph == 1 {
                    let after: Vec<String> = after
                        .iter()
                        .filter(|_| place > 0)
                        .map(|index| format!("s{}", index.index(place.max(1))))
                        .collect();
                    made["depends_on"] = json!(after);
                } else {
                    made["parallel_group"] = json!(format!("g{}", place / 4));
                }
                if *pool > 0 {
                    made["pool"] = json!(format!("p{pool}"));
                }
                made
            })
            .collect();
        let plan = json!({"plan_id": "p", "max_parallel": lanes, "pools": {"p1": limit, "p2": 1}, "steps": steps});
        (plan, times)
    })
}

/// What it knows is compared, and what it has counted; not the sums, which depend on the order in which they were made.
#[test]
fn a_survey_that_follows_a_run_is_the_one_that_is_made_anew() {
    let step = |id: &str, needs: &[&str]| json!({"step_id": id, "run": "true", "depends_on": needs});
    let mut retried = step("c", &["a"]);
    retried["max_retries"] = json!(2);
    let mut held = step("e", &["c"]);
    held["hold"] = json!("wait");
    let steps = json!([step("a", &[]), step("b", &[]), retried, step("d", &["b"]), held, step("f", &["e"])]);
    let mut sim = Sim::new(json!({"plan_id": "p", "on_failure": "pause", "steps": steps}), &[1.0; 6]);
    sim.followed = Some(Survey::of(&sim.state, grounds(&sim.state)));
    let same = |sim: &Sim, after: &str| {
        let (followed, anew) = (sim.followed.as_ref().unwrap(), Survey::of(&sim.state, grounds(&sim.state)));
        let of = |survey: &Survey| {
            let outlook = survey.outlook(&sim.state, sim.now);
            let spent: Vec<u32> = outlook.spent.iter().map(|spent| spent.number).collect();
            format!("{:?} {spent:?} {} {}", outlook.noted, outlook.people, outlook.seq)
        };
        assert_eq!(of(followed), of(&anew), "after {after}");
    };
    let of = |step: &str| step.to_owned();
    sim.ask(Command::Start);
    same(&sim, "the start");
    sim.run_for(1.0);
    same(&sim, "the first steps");
    sim.ask(Command::Hold { step: of("f") });
    sim.end("c", Outcome::failed("no"));
    same(&sim, "a hold and a failure that is retried");
    sim.now += TimeDelta::seconds(30);
    sim.input(&Input::Wake);
    sim.run_for(5.0);
    same(&sim, "the retry");
    sim.ask(Command::Release { step: of("e") });
    sim.run_for(5.0);
    sim.ask(Command::Release { step: of("f") });
    sim.run_for(0.5);
    same(&sim, "a release");
    assert_eq!(sim.anew, 0, "nothing of this needs another look at all steps");
    sim.run_for(5.0);
    sim.ask(Command::Retry { step: of("a"), downstream: true });
    same(&sim, "a retry of what was completed");
    sim.ask(Command::Remove { step: of("f") });
    same(&sim, "another plan");
    sim.ask(Command::Resume);
    sim.run_for(20.0);
    same(&sim, "what ran again");
    assert!(sim.anew > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// A run that repeats an earlier one ends when it was foretold, whenever that is asked.
    #[test]
    fn a_run_that_repeats_itself_ends_when_it_was_foretold((plan, times) in plans(), asked in 0.0..1.0f64) {
        let whole = Sim::started(plan.clone(), &times).finished();
        prop_assert_eq!(whole.state.status, RunStatus::Completed);
        let length = (whole.now - start()).as_seconds_f64();
        let before = past(&[&whole]);
        let mut sim = Sim::started(plan, &times);
        sim.run_for(asked * length);
        let forecast = sim.forecast(&before);
        let Some(left) = forecast.left else {
            prop_assert!(sim.state.status.is_ended());
            return Ok(());
        };
        let real = (whole.now - sim.now).as_seconds_f64();
        prop_assert!((left.likely - real).abs() < 0.02, "{} foretold, {} real", left.likely, real);
        prop_assert!(near(left.low, left.likely) && near(left.high, left.likely));
        // Each step on the way ended before the next could start, and the last one ends it.
        let span = |step: u32| forecast.expected.iter().find(|one| one.step == step).map(|one| one.end);
        let last = forecast.critical.last().copied().expect("a last step");
        prop_assert!((span(last).expect("it is to run") - length).abs() < 0.02);
    }

    /// What takes longer makes the bounds no smaller, and no estimate is ever negative or upside down.
    #[test]
    fn a_range_is_in_order_and_never_negative(
        (plan, times) in plans(), factors in prop::collection::vec(0.1..4.0f64, 14), asked in 0.0..2.0f64
    ) {
        let runs: Vec<Sim> = factors.chunks(2).map(|pair| {
            let times: Vec<f64> = times.iter().enumerate().map(|(place, time)| time * pair[place % 2]).collect();
            Sim::started(plan.clone(), &times).finished()
        }).collect();
        let before = past(&runs.iter().collect::<Vec<_>>());
        let length = (runs[0].now - start()).as_seconds_f64();
        let mut sim = Sim::started(plan.clone(), &times);
        sim.run_for(asked * length);
        let grounds = Arc::new(Grounds::new(&sim.state.plan, sim.state.plan_version, Arc::new(before.clone())));
        let outlook = Outlook::of(&sim.state, grounds, sim.now);
        let standing = outlook.standing();
        let walk = schedule::Walk::of(&standing);
        let short = walk.bound(&standing, |step| times[step]);
        prop_assert!(walk.bound(&standing, |step| times[step] + factors[step]) >= short);
        let forecast = outlook.forecast();
        if let Some(left) = forecast.left {
            prop_assert!(0.0 <= left.low && left.low <= left.likely && left.likely <= left.high, "{:?}", left);
            let later = left.later(1e9);
            prop_assert_eq!((later.low, later.likely, later.high), (0.0, 0.0, 0.0));
        }
        let mut once = forecast.critical.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), forecast.critical.len(), "no step is twice on the way");
        prop_assert!(forecast.expected.iter().all(|one| one.start <= one.end));
    }
}

#[test]
fn many_steps_are_foretold_with_a_number_a_step_and_run() {
    let count = 20_000;
    let steps: Vec<Value> = (0..count)
        .map(|place| {
            let after: Vec<String> = if place < 100 { vec![] } else { vec![format!("s{}", place - 100)] };
            json!({"step_id": format!("s{place}"), "run": "x", "depends_on": after})
        })
        .collect();
    let mut plan = plan(&steps);
    plan["max_parallel"] = json!(50);
    let sim = Sim::new(plan, &vec![1.0; count]);
    let mut ran = sim.clone();
    for place in 0..count {
        let step = ran.state.steps.change(place);
        step.status = StepStatus::Completed;
        step.attempts = vec![Arc::new(Attempt {
            number: 1,
            digest: Default::default(),
            input: None,
            started_at: start(),
            ended_at: Some(start() + TimeDelta::seconds(1)),
            outcome: Some(Arc::new(Outcome::succeeded())),
            timed_out: false,
            due: None,
            questions: Default::default(),
        })];
    }
    let before = past(&[&ran]);
    let left = sim.left(&before);
    assert!(near(left.likely, count as f64 / 50.0), "{left:?}");
    // What it holds: a number a step and run, and a key and a row a step.
    assert_eq!((before.rows.len(), before.runs[0].len()), (count, count));
}

#[test]
fn what_made_room_is_on_the_way_also_of_what_was() {
    let steps: Vec<Value> =
        (0..9).map(|place| json!({"step_id": format!("s{place}"), "run": "x", "parallel_group": "all"})).collect();
    let mut plan = plan(&steps);
    plan["max_parallel"] = json!(3);
    let times: Vec<f64> = (0..9).map(|place| 10.0 + f64::from(place) / 10.0).collect();
    let before = past(&[&Sim::started(plan.clone(), &times).finished()]);
    let mut sim = Sim::started(plan, &times);
    sim.run_for(15.0);
    assert_eq!(sim.names(&sim.forecast(&before)), ["s2", "s5", "s8"]);
    let ended = sim.finished();
    assert_eq!(ended.names(&ended.forecast(&before)), ["s2", "s5", "s8"]);
}
