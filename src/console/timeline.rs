//! The timeline of an open run: which steps have a row, which stretch of time is seen, and what the keys do there.
//!
//! The rows are those of steps with attempts, by their first start, and after them those that are expected. Times are seconds from the run's start.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::layout::{Position, Rect};

use crate::plan::FailurePolicy;
use crate::run::{
    Attempt, GateDecision, Intervention, InterventionStatus, OutcomeStatus, Review, RunState, StepState, StepStatus,
};

use super::actions::Action;
use super::app::{App, Effect, Place};
use super::going::distance;
use super::run_model::{OpenRun, Pane};
use super::{views, words};

/// No less time is seen, in seconds.
const CLOSEST: f64 = 0.2;
/// Where the time is while the window goes along with it, as a part of its width.
const NOW_AT: f64 = 0.8;
/// Runs with more steps do not have their rows made anew for every event.
const MANY: usize = 5000;
/// But after this.
const PAUSE: TimeDelta = TimeDelta::milliseconds(500);
/// A copy has no more rows.
const COPIED: usize = 10_000;

/// What is seen of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Stretch {
    /// The whole run, with what is expected of it.
    #[default]
    Whole,
    /// A part that stays where it is.
    Part {
        /// Its first second.
        from: f64,
        /// Its length.
        span: f64,
    },
    /// The newest part, going along with the time.
    Now {
        /// Its length.
        span: f64,
    },
}

/// The timeline and where the operator is in it.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// What is seen of the time.
    pub stretch: Stretch,
    /// First row that is seen.
    pub offset: usize,
    rows: Vec<u32>,
    /// Of which state and forecast the rows were made, and when.
    made: Option<(u64, Option<DateTime<Utc>>, DateTime<Utc>)>,
    /// The operator has gone to a step from here: back leads here again.
    left: bool,
}

impl Timeline {
    /// Positions of the steps in the rows.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The row of a step; the first when it has none.
    pub fn row_of(&self, position: Option<usize>) -> usize {
        let place = |position: usize| self.rows.iter().position(|row| *row as usize == position);
        position.and_then(place).unwrap_or(0)
    }

    /// Whether back leads here, after the operator has gone to a step; it does so once.
    pub fn came_back(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }

    /// Makes the rows anew when the run has gone on. Called before a frame.
    pub fn refresh(&mut self, run: &OpenRun, now: DateTime<Utc>) {
        let (seq, forecast) = (run.state.seq, run.estimate.forecast().map(|forecast| forecast.at));
        let fresh = self.made.is_some_and(|(made, of, at)| {
            let same = made == seq && of == forecast;
            same || (run.state.steps.len() > MANY && now - at < PAUSE)
        });
        let filtered = run.list.is_filtered();
        if fresh && !filtered {
            return;
        }
        // A filter is looked at anew each time, as the list of steps does.
        self.made = (!filtered).then_some((seq, forecast, now));
        let mut rows: Vec<(DateTime<Utc>, u32)> = Vec::new();
        for (step, position) in run.state.steps.iter().zip(0..) {
            let held = step.since.filter(|_| step.status == StepStatus::Held);
            let began = step.attempts.first().map(|attempt| attempt.started_at).or(held);
            rows.extend(began.map(|began| (began, position)));
        }
        rows.sort_unstable();
        self.rows.clear();
        self.rows.extend(rows.iter().map(|(_, position)| position));
        let expected = run.estimate.forecast().map_or(&[][..], |forecast| &forecast.expected);
        let new = |step: &u32| {
            let step = run.state.steps.get(*step as usize);
            step.is_some_and(|step| step.attempts.is_empty() && is_to_come(step.status))
        };
        self.rows.extend(expected.iter().map(|one| one.step).filter(new));
        if let Some(listing) = run.list.listing.as_ref().filter(|_| filtered) {
            self.rows.retain(|row| listing.row(*row as usize).is_some());
        }
    }

    /// The stretch that is seen: its first second and its length, for so many columns.
    pub fn seen(&self, run: &OpenRun, now: DateTime<Utc>, columns: u16) -> (f64, f64) {
        match self.stretch {
            Stretch::Whole => (0.0, whole(run, now, columns)),
            Stretch::Part { from, span } => (from, span),
            Stretch::Now { span } => ((elapsed(run, now) - NOW_AT * span).max(0.0), span),
        }
    }
}

fn is_to_come(status: StepStatus) -> bool {
    matches!(status, StepStatus::Pending | StepStatus::Waiting | StepStatus::Interrupted)
}

/// Seconds from the run's start to now, also while it is paused: what waits for a person waits on. Of one that has ended, or that nobody runs, to
/// where it stands.
pub fn elapsed(run: &OpenRun, now: DateTime<Utc>) -> f64 {
    let goes_on = run.is_live() && !run.state.status.is_ended();
    match run.state.started_at.filter(|_| goes_on) {
        Some(started) => (now - started).as_seconds_f64().max(0.0),
        None => {
            let stands = run.state.ended_at.unwrap_or(run.state.updated_at);
            run.state.started_at.map_or(0.0, |started| (stands - started).as_seconds_f64().max(0.0))
        }
    }
}

/// When the run began, as seconds are counted: of one that has not started, now.
pub fn origin(state: &RunState, now: DateTime<Utc>) -> DateTime<Utc> {
    state.started_at.unwrap_or(now)
}

/// All of the run and of what is expected, up to a whole tick: so that the picture stays where it is while the time goes on.
fn whole(run: &OpenRun, now: DateTime<Utc>, columns: u16) -> f64 {
    let forecast = run.estimate.forecast();
    let expected = forecast.and_then(|forecast| {
        let made = (forecast.at - origin(&run.state, forecast.at)).as_seconds_f64();
        Some(made + forecast.left?.likely)
    });
    let total = elapsed(run, now).max(expected.unwrap_or(0.0)).max(1.0);
    let step = tick(total, columns);
    (total / step).ceil() * step
}

/// The lengths between two marks of the axis, in seconds.
const TICKS: [f64; 27] = [
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
    31_536_000.0,
];
/// Columns between two marks at the least: the longest label, and a gap.
const APART: f64 = 10.0;

/// The length between two marks of the axis when so many seconds are seen in so many columns.
pub fn tick(span: f64, columns: u16) -> f64 {
    let fits = |tick: &f64| tick / span * f64::from(columns.max(1)) >= APART;
    TICKS.into_iter().find(fits).unwrap_or(span)
}

/// Whether an action is possible in the timeline; nothing about those of all places.
pub(super) fn availability(app: &App, action: Action) -> Option<Result<(), String>> {
    let timeline = app.timeline.as_ref()?;
    let empty = timeline.rows.is_empty();
    Some(match action {
        Action::WholeRun if timeline.stretch == Stretch::Whole => Err("all of it is on the screen".into()),
        Action::ZoomOut | Action::Earlier | Action::Later if timeline.stretch == Stretch::Whole => {
            Err(app.keys.fill("all of the run is on the screen: {zoom-in} goes closer"))
        }
        Action::FollowNow if !app.run.as_ref().is_some_and(OpenRun::ticks) => {
            Err("nothing runs: the time stands still here".into())
        }
        Action::ZoomIn | Action::Open | Action::Copy if empty => Err("nothing has run yet".into()),
        Action::Copy => Ok(()),
        _ => return None,
    })
}

impl App {
    pub(super) fn look_at_time(&mut self) {
        self.history = None;
        self.came_from = None;
        self.timeline.get_or_insert_default().left = false;
        self.place = Place::Timeline;
    }

    pub(super) fn leave_timeline(&mut self) {
        match &mut self.run {
            Some(run) if !run.list.filter.is_empty() => {
                run.list.filter.clear();
                run.refresh_rows();
            }
            _ => self.place = Place::Run,
        }
    }

    /// Enter: to the step among the others, with its output.
    pub(super) fn go_to_step_of_timeline(&mut self) {
        let Some((timeline, run)) = self.timeline.as_mut().zip(self.run.as_mut()) else { return };
        let Some(position) = timeline.rows.get(timeline.row_of(run.position())) else { return };
        run.select(*position as usize);
        run.focus = Pane::Steps;
        run.zoom = false;
        timeline.left = true;
        self.place = Place::Run;
    }

    pub(super) fn step_in_timeline(&mut self, by: isize) {
        let columns = self.timeline_areas().chart.width;
        let now = self.now;
        let Some((timeline, run)) = self.timeline.as_mut().zip(self.run.as_mut()) else { return };
        let last = timeline.rows.len().saturating_sub(1);
        let row = timeline.row_of(run.position()).saturating_add_signed(by).min(last);
        let Some(position) = timeline.rows.get(row) else { return };
        run.select(*position as usize);
        // What is selected is to be seen, whatever stretch of time is.
        let (from, span) = timeline.seen(run, now, columns);
        if let Stretch::Part { .. } = timeline.stretch
            && let Some((start, end)) = spread(run, *position as usize, now)
            && (end < from || start > from + span)
        {
            let from = (start.midpoint(end) - span / 2.0).max(0.0);
            timeline.stretch = Stretch::Part { from, span };
        }
    }

    pub(super) fn click_in_timeline(&mut self, at: Position) {
        let rows = self.timeline_areas().rows;
        let Some((timeline, run)) = self.timeline.as_ref().zip(self.run.as_mut()) else { return };
        if let Some(position) = timeline.rows.get(timeline.offset + usize::from(at.y.saturating_sub(rows.y)))
            && rows.contains(at)
        {
            run.select(*position as usize);
        }
    }

    fn timeline_areas(&self) -> views::timeline::Areas {
        views::timeline::areas(Rect::new(0, 0, self.size.0, self.size.1))
    }

    pub(super) fn move_in_time(&mut self, action: Action) {
        let areas = self.timeline_areas();
        let now = self.now;
        if let Some(by) = distance(action, isize::from(areas.rows.height as i16).max(2)) {
            self.step_in_timeline(by);
            return;
        }
        let Some((timeline, run)) = self.timeline.as_mut().zip(self.run.as_ref()) else { return };
        let whole = whole(run, now, areas.chart.width);
        let (from, span) = timeline.seen(run, now, areas.chart.width);
        timeline.stretch = match (action, timeline.stretch) {
            (Action::WholeRun, _) => Stretch::Whole,
            (Action::FollowNow, Stretch::Now { .. }) => Stretch::Part { from, span },
            (Action::FollowNow, Stretch::Part { .. }) => Stretch::Now { span },
            (Action::FollowNow, Stretch::Whole) => Stretch::Now { span: span / 2.0 },
            (Action::ZoomIn, Stretch::Now { span }) => Stretch::Now { span: (span / 2.0).max(CLOSEST) },
            (Action::ZoomIn, _) => {
                let (closer, middle) = ((span / 2.0).max(CLOSEST), from + span / 2.0);
                // Around what is selected, where that is seen; else around the middle.
                let selected = run.position().and_then(|position| spread(run, position, now));
                let seen = selected.map(|(start, end)| (start.max(from), end.min(from + span)));
                let centre =
                    seen.filter(|(start, end)| start <= end).map_or(middle, |(one, other)| one.midpoint(other));
                Stretch::Part {
                    from: (centre - closer / 2.0).clamp(0.0, (from + span - closer).max(0.0)),
                    span: closer,
                }
            }
            (Action::ZoomOut, _) if span * 2.0 >= whole => Stretch::Whole,
            (Action::ZoomOut, Stretch::Now { span }) => Stretch::Now { span: span * 2.0 },
            (Action::ZoomOut, _) => Stretch::Part { from: (from - span / 2.0).max(0.0), span: span * 2.0 },
            (Action::Earlier, _) => Stretch::Part { from: (from - span / 4.0).max(0.0), span },
            (Action::Later, _) => Stretch::Part { from: (from + span / 4.0).min((whole - span / 2.0).max(0.0)), span },
            (_, stretch) => stretch,
        };
    }

    /// The rows as text: what ran when, for how long, and how it ended.
    pub(super) fn copy_timeline(&self) -> Vec<Effect> {
        let Some((timeline, run)) = self.timeline.as_ref().zip(self.run.as_ref()) else { return Vec::new() };
        let mut lines = Vec::new();
        for position in timeline.rows.iter().take(COPIED) {
            let position = *position as usize;
            let (Some(definition), Some(step)) = (run.state.plan.steps.get(position), run.state.steps.get(position))
            else {
                continue;
            };
            for attempt in &step.attempts {
                let told = told(attempt, self.settings.zone, self.now);
                lines.push(format!("{}  attempt {}  {told}", definition.step_id, attempt.number));
            }
        }
        vec![Effect::Copy { text: lines.join("\n"), what: "the timeline".into() }]
    }
}

/// From the first to the last moment that a step's row shows.
fn spread(run: &OpenRun, position: usize, now: DateTime<Utc>) -> Option<(f64, f64)> {
    let step = run.state.steps.get(position)?;
    let origin = origin(&run.state, now);
    let seconds = |time: DateTime<Utc>| (time - origin).as_seconds_f64();
    match (step.attempts.first(), step.attempts.last()) {
        (Some(first), Some(last)) => Some((seconds(first.started_at), seconds(last.ended_at.unwrap_or(now)))),
        _ => run.estimate.expected(position).map(|expected| (expected.start, expected.end)),
    }
}

/// What a step waited for from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// The time that its plan's retries let pass.
    BackOff,
    /// A person's decision.
    Person,
    /// Its turn, or nothing that is known.
    Nothing,
}

/// So many interventions are looked at for what came between two attempts.
const LOOKED_AT: usize = 64;

/// What a step waited for between two attempts of it that follow each other.
pub fn between(state: &RunState, position: usize, before: &Attempt, after: &Attempt) -> Between {
    let (Some(ended), Some(ending)) = (before.ended_at, before.ending()) else { return Between::Nothing };
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let failed = ending == OutcomeStatus::Failed;
    let first = state.interventions.binary_search_by_key(&ended, |record| record.timestamp);
    let records = state.interventions.iter().skip(first.unwrap_or_else(|place| place)).take(LOOKED_AT);
    let retried = |record: &Intervention| {
        let own = record.target_step_id.as_deref() == Some(&definition.step_id);
        record.intervention_type == "retry_step"
            && record.status == InterventionStatus::Applied
            && (own || failed && record.parameters["downstream"] == true)
    };
    let asked = records.take_while(|record| record.timestamp <= after.started_at).any(|record| retried(record));
    let suggested =
        |review: &Review| review.attempt == before.number && review.judgement.decision == GateDecision::RetrySuggested;
    match ending {
        OutcomeStatus::Stopped => Between::Nothing,
        _ if asked => Between::Person,
        OutcomeStatus::Failed if definition.max_retries.unwrap_or(0) > 0 => Between::BackOff,
        OutcomeStatus::Succeeded if step.reviews.iter().any(suggested) => Between::BackOff,
        _ => Between::Nothing,
    }
}

/// Whether a step stands until a person has said something.
pub fn waits_for_a_person(state: &RunState, step: &StepState) -> bool {
    match step.status {
        StepStatus::Held | StepStatus::InReview => true,
        StepStatus::Failed => {
            step.unanswered && step.failed_with == Some(FailurePolicy::Pause) && !state.status.is_ended()
        }
        StepStatus::Interrupted => !state.status.is_ended(),
        _ => false,
    }
}

/// When an attempt ran, for how long, and how it ended.
pub fn told(attempt: &Attempt, zone: words::Zone, now: DateTime<Utc>) -> String {
    let (from, took) = (zone.clock(attempt.started_at), words::duration(attempt.seconds(now)));
    let Some(ended) = attempt.ended_at else { return format!("since {from} · {took} so far") };
    let how = attempt.in_words();
    let how = if how.is_empty() { String::new() } else { format!(" · {how}") };
    format!("{from} to {} · {took}{how}", zone.clock(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_apart_and_lie_on_round_times() {
        for (span, columns, expected) in [
            (1.0, 45, 0.5),
            (60.0, 45, 15.0),
            (84.0, 120, 10.0),
            (3600.0, 60, 600.0),
            (86_400.0, 45, 21_600.0),
            (1e12, 45, 1e12),
        ] {
            assert_eq!(tick(span, columns), expected, "{span} s in {columns} columns");
        }
    }
}
