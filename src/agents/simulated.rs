//! The `simulated` agent: for demos and dry runs. It takes its time, prints lines, fails now and then, all from a seed: the same step and
//! attempt behave the same in every run.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::plan::{AgentSpec, SimulatedSpec};
use crate::run::{AgentResult, Outcome, OutcomeStatus, ResultStatus};

use super::output::Stream;
use super::sink::OutputSink;
use super::stop::Stop;
use super::{Agent, AttemptContext};

/// Progress is told this often.
const TICK: Duration = Duration::from_millis(100);
/// Lines are not spread finer than this.
const FINEST: Duration = Duration::from_millis(10);
/// So many lines are written before somebody else gets a turn.
const LINES_AT_ONCE: u64 = 1000;

struct Simulated(SimulatedSpec);

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    match spec {
        AgentSpec::Simulated(spec) => Some(Box::new(Simulated(spec.clone()))),
        _ => None,
    }
}

impl Agent for Simulated {
    fn attempt(&self, context: AttemptContext) -> BoxFuture<'_, Outcome> {
        let (spec, remarks) = with_parameters(self.0.clone(), &context.step.parameters);
        simulate(spec, remarks, context).boxed()
    }
}

/// The step's parameters of the same names go before the agent's. One of another type is ignored with a remark: where the simulated agent
/// stands in for a real one, a parameter may have such a name by chance.
fn with_parameters(mut spec: SimulatedSpec, parameters: &Map<String, Value>) -> (SimulatedSpec, Vec<String>) {
    fn put<T: serde::de::DeserializeOwned>(
        parameters: &Map<String, Value>,
        name: &str,
        into: &mut Option<T>,
        remarks: &mut Vec<String>,
    ) {
        let Some(value) = parameters.get(name) else { return };
        match serde_json::from_value(value.clone()) {
            Ok(value) => *into = Some(value),
            Err(error) => remarks.push(format!("parameter `{name}` is ignored by the simulated agent: {error}")),
        }
    }
    let mut remarks = Vec::new();
    if parameters.is_empty() {
        return (spec, remarks);
    }
    put(parameters, "duration_seconds", &mut spec.duration_seconds, &mut remarks);
    put(parameters, "jitter", &mut spec.jitter, &mut remarks);
    put(parameters, "failure_rate", &mut spec.failure_rate, &mut remarks);
    put(parameters, "fail_attempts", &mut spec.fail_attempts, &mut remarks);
    put(parameters, "output_lines", &mut spec.output_lines, &mut remarks);
    put(parameters, "quality_score", &mut spec.quality_score, &mut remarks);
    put(parameters, "quality_details", &mut spec.quality_details, &mut remarks);
    put(parameters, "data", &mut spec.data, &mut remarks);
    put(parameters, "seed", &mut spec.seed, &mut remarks);
    (spec, remarks)
}

async fn simulate(spec: SimulatedSpec, remarks: Vec<String>, mut context: AttemptContext) -> Outcome {
    let mut random = Random::new(spec.seed.unwrap_or_default(), &context.step.step_id, context.attempt);
    let sway = 1.0 + spec.jitter.unwrap_or_default().clamp(0.0, 1.0) * (2.0 * random.fraction() - 1.0);
    let seconds = spec.duration_seconds.unwrap_or(1.0) * sway;
    // What is negative or no number takes no time; a year is as good as for ever.
    let duration = Duration::from_secs_f64(if seconds > 0.0 { seconds.min(3.2e7) } else { 0.0 });
    let by_chance = random.fraction() < spec.failure_rate.unwrap_or_default();
    let by_number = spec.fail_attempts.is_some_and(|count| context.attempt <= count);
    let lines = spec.output_lines.unwrap_or_default();

    let mut output = None;
    if lines > 0 || !remarks.is_empty() {
        let mut sink = OutputSink::new(context.output_path.clone(), context.live.clone());
        remarks.iter().for_each(|remark| sink.remark(remark));
        output = Some(sink);
    }
    let stopped = if duration.is_zero() && output.is_none() {
        context.stop.level() > Stop::None
    } else {
        play(&mut context, duration, lines, output.as_mut(), &mut random).await
    };
    let report = match output {
        Some(sink) => sink.finish().await,
        None => Default::default(),
    };

    let mut outcome = Outcome { output_bytes: report.bytes, error: report.trouble, ..Outcome::default() };
    if stopped {
        outcome.status = OutcomeStatus::Stopped;
        return outcome;
    }
    let failed = by_number || by_chance;
    let says_something = spec.data.is_some() || spec.quality_score.is_some() || spec.quality_details.is_some();
    if failed {
        outcome.status = OutcomeStatus::Failed;
        let why = if by_number { "as it was told to (`fail_attempts`)" } else { "by chance (`failure_rate`)" };
        outcome.error.get_or_insert_with(|| format!("the simulated agent failed {why}"));
    } else if says_something {
        outcome.result = Some(Box::new(AgentResult {
            status: Some(ResultStatus::Success),
            data: spec.data,
            quality_score: spec.quality_score,
            quality_details: spec.quality_details,
            ..AgentResult::default()
        }));
    }
    outcome
}

/// Lets the time pass, tells progress and prints the lines; says whether it was stopped.
async fn play(
    context: &mut AttemptContext,
    duration: Duration,
    lines: u64,
    mut sink: Option<&mut OutputSink>,
    random: &mut Random,
) -> bool {
    let started = Instant::now();
    let step =
        if lines == 0 { TICK } else { (duration / u32::try_from(lines).unwrap_or(u32::MAX)).clamp(FINEST, TICK) };
    let mut printed = 0;
    loop {
        let passed = started.elapsed().min(duration);
        let share = if duration.is_zero() { 1.0 } else { passed.as_secs_f64() / duration.as_secs_f64() };
        // Exact for every number of lines anybody waits for.
        let due = if share >= 1.0 { lines } else { (lines as f64 * share) as u64 };
        if let Some(sink) = sink.as_deref_mut() {
            let until = due.min(printed + LINES_AT_ONCE);
            while printed < until && !sink.is_full() {
                printed += 1;
                sink.push(Stream::Stdout, line(&context.step.step_id, printed, lines, random).as_bytes());
            }
        }
        if share >= 1.0 && printed >= lines {
            return context.stop.level() > Stop::None;
        }
        if !duration.is_zero() {
            context.live.progress(Some(share), None);
        }
        let next = if printed < due { Instant::now() } else { (started + passed + step).min(started + duration) };
        let full = sink.as_ref().is_some_and(|sink| sink.is_full());
        let work = async {
            match sink.as_deref_mut() {
                Some(sink) => sink.work().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = context.stop.above(Stop::None) => return true,
            () = work => {}
            () = tokio::time::sleep_until(next), if !full => {}
        }
    }
}

/// A line as a program might print it, coloured now and then.
fn line(step: &str, number: u64, of: u64, random: &mut Random) -> String {
    let amount = random.next() % 1000;
    match random.next() % 12 {
        0 => format!("\u{1b}[33mwarning:\u{1b}[0m {step}: item {number} of {of} took {amount} ms\n"),
        1 => format!("\u{1b}[32mok\u{1b}[0m {step}: item {number} of {of} checked\n"),
        2 => format!("\u{1b}[1m{step}\u{1b}[0m: item {number} of {of}, {amount} rows\n"),
        _ => format!("{step}: item {number} of {of}, {amount} rows\n"),
    }
}

/// splitmix64, begun from seed, step and attempt.
struct Random(u64);

impl Random {
    fn new(seed: u64, step: &str, attempt: u32) -> Self {
        // FNV-1a
        let mut state = 0xcbf2_9ce4_8422_2325_u64;
        for byte in seed.to_le_bytes().iter().chain(step.as_bytes()).chain(&attempt.to_le_bytes()) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(state)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 up to, not including, 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
