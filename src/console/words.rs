//! Numbers, times and states in words: the same everywhere on the screen.

use chrono::{DateTime, FixedOffset, Local, Utc};

use crate::engine::ListedRun;
use crate::run::{
    Command, Counts, Intervention, InterventionStatus, Lacking, Left, PauseReason, Reason, RunState, RunStatus,
    RunSummary, StepStatus, Times, can_resume, checkpoint_id, short_id,
};

use super::text;

/// In which zone times are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zone {
    /// The machine's.
    #[default]
    Local,
    /// A fixed one.
    Fixed(FixedOffset),
}

impl Zone {
    /// A time in a format of `strftime`.
    pub fn show(self, time: DateTime<Utc>, format: &str) -> String {
        match self {
            Zone::Local => time.with_timezone(&Local).format(format).to_string(),
            Zone::Fixed(offset) => time.with_timezone(&offset).format(format).to_string(),
        }
    }

    /// `14:02:13`
    pub fn clock(self, time: DateTime<Utc>) -> String {
        self.show(time, "%H:%M:%S")
    }

    /// `14:02` for a time of today, else `21 Nov`, and of another year `2025`: where there are no more than six columns.
    pub fn day_or_time(self, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
        self.by_distance(time, now, "%-d %b", "%Y")
    }

    /// `14:02` for a time of today, else `21 Nov 14:02`, and the year where it is another.
    pub fn moment(self, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
        self.by_distance(time, now, "%-d %b %H:%M", "%-d %b %Y")
    }

    /// The time of day for today, else in one form for this year and in another for every other.
    fn by_distance(self, time: DateTime<Utc>, now: DateTime<Utc>, this_year: &str, other_year: &str) -> String {
        let same = |unit: &str| self.show(time, unit) == self.show(now, unit);
        match (same("%Y-%m-%d"), same("%Y")) {
            (true, _) => self.show(time, "%H:%M"),
            (false, true) => self.show(time, this_year),
            (false, false) => self.show(time, other_year),
        }
    }
}

/// `0:42`, `12:41`, `1:02:41`, `3d 04h`: at most seven columns for anything below a year.
pub fn duration(seconds: f64) -> String {
    // A clock that was set back gives a negative span: that is no time, not a lie in the other direction.
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// How long a run has worked, and in a pause how long that lasts: `running 12:31`, `paused 3 min · ran 12:31`, `ran 12:31`.
pub fn times(times: &Times) -> String {
    match times.paused {
        // In minutes: nothing is drawn each second while nothing goes on.
        Some(paused) if paused < 60.0 => format!("just paused · {}", ran(times)),
        Some(paused) => format!("paused {} · {}", minutes(paused), ran(times)),
        None => ran(times),
    }
}

/// A span in whole minutes that have passed: `3 min`, `2 h 10 min`, `3 d 4 h`.
fn minutes(seconds: f64) -> String {
    let whole = (seconds / 60.0) as u64;
    let two = |large: u64, unit: &str, small: u64, other: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {other}"),
    };
    match whole {
        0..60 => format!("{whole} min"),
        60..1440 => two(whole / 60, "h", whole % 60, "min"),
        _ => two(whole / 1440, "d", whole / 60 % 24, "h"),
    }
}

/// How long a run has worked: `running 12:31`, `ran 12:31`.
pub fn ran(times: &Times) -> String {
    format!("{} {}", if times.works { "running" } else { "ran" }, duration(times.ran))
}

/// A rough span, for estimates: `20 s`, `4 min`, `2 h 10 min`.
pub fn roughly(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{} s", ((s / 10.0).ceil() * 10.0).max(10.0)),
        s if s < 5400.0 => format!("{} min", (s / 60.0).round()),
        s if s < 172_800.0 => {
            let minutes = (s / 600.0).round() as u64 * 10;
            if minutes.is_multiple_of(60) {
                format!("{} h", minutes / 60)
            } else {
                format!("{} h {} min", minutes / 60, minutes % 60)
            }
        }
        s => format!("{} days", (s / 86_400.0).round()),
    }
}

/// How much longer a run takes: `about 4 min`, `about 4 to 6 min`, `over 4 min`; nothing where that would say nothing.
pub fn estimate(left: &Left) -> Option<String> {
    if left.at_least {
        let known = if left.likely < 60.0 { (left.likely / 10.0).floor() * 10.0 } else { left.likely };
        return (known >= 10.0).then(|| format!("over {}", roughly(known)));
    }
    if left.high < 10.0 {
        return Some("under 10 s".into());
    }
    let (low, high) = (roughly(left.low), roughly(left.high));
    if low == high {
        return Some(format!("about {high}"));
    }
    // Of `4 min` and `6 min` the unit is said once.
    Some(match (low.split_once(' '), high.split_once(' ')) {
        (Some((low, unit)), Some((high, other))) if unit == other => format!("about {low} to {high} {unit}"),
        _ => format!("about {low} to {high}"),
    })
}

/// What an estimate goes by.
pub fn basis(left: &Left) -> String {
    match left.runs {
        0 => "from similar steps of this run".into(),
        runs => format!("from {}", count(runs, "earlier run")),
    }
}

/// What an estimate would need to be better.
pub fn lacking(lacking: &Lacking, state: &RunState) -> String {
    let name = |step: u32| state.plan.steps.get(step as usize).map_or("a step", |step| step.step_id.as_str());
    match lacking {
        Lacking::Times { steps: 1, first } => format!("no earlier time of {}", name(*first)),
        Lacking::Times { steps, first } => {
            format!("no earlier times of {} and {} more", name(*first), thousands(*steps as usize - 1))
        }
        Lacking::Overdue { step } => format!("{} takes longer than it ever did", name(*step)),
    }
}

/// A short span, exact where it matters: `0.5 s`, `8 s`, `2 min`.
pub fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 10.0 => format!("{} s", (s * 10.0).round() / 10.0),
        s if s < 120.0 => format!("{} s", s.round()),
        s => roughly(s),
    }
}

/// `1 step`, `2 steps`, `100,000 steps`
pub fn count(number: usize, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// How often a step is still tried again by itself: `2 retries left`, `no retry left`.
pub fn retries(left: u32) -> String {
    match left {
        0 => "no retry left".into(),
        1 => "1 retry left".into(),
        left => format!("{} retries left", thousands(left as usize)),
    }
}

/// How many steps are in each of some states, in their order, without those in which none is: `3 running`, `1 failed`.
pub fn counted(counts: &Counts, statuses: &[StepStatus], word: fn(StepStatus) -> &'static str) -> Vec<String> {
    let some = statuses.iter().copied().filter(|status| counts.of(*status) > 0);
    some.map(|status| format!("{} {}", thousands(counts.of(status) as usize), word(status))).collect()
}

/// `100,000`
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `a`, `a and b`, `a, b and 3 more`: names on one line, at most `limit` of them.
pub fn list(names: &[&str], limit: usize) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_string(),
        _ if names.len() <= limit => {
            let (last, first) = (names[names.len() - 1], &names[..names.len() - 1]);
            format!("{} and {last}", first.join(", "))
        }
        _ => format!("{} and {} more", names[..limit].join(", "), thousands(names.len() - limit)),
    }
}

/// What a run is called in a sentence: `nightly 9c41aa07`. There may be another one of its plan, whatever is known now.
pub fn run_name(run: &RunSummary) -> String {
    format!("{} {}", text::clean(&run.plan_id), run.short_id())
}

/// A run that is under way, in a few words: `9c41aa07, paused, started 12 min ago, in process 4711`.
pub fn under_way(run: &RunSummary, place: &str, now: DateTime<Utc>) -> String {
    let state = if run.cancelling { "being cancelled" } else { run.status.word() };
    let began = run.started_at.unwrap_or(run.created_at);
    format!("{}, {state}, started {} ago, {place}", run.short_id(), span((now - began).as_seconds_f64()))
}

/// A reason of [`why`](crate::run::why) as a sentence: what, since when, and until when.
pub fn reason(reason: &Reason, zone: Zone, now: DateTime<Utc>) -> String {
    let mut said = reason.what.clone();
    if let Some(first) = said.chars().next().filter(|_| reason.step.is_none()) {
        said.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    if let Some(until) = reason.until {
        said.push_str(&format!(", in {} at {}", span((until - now).as_seconds_f64()), zone.clock(until)));
    }
    match reason.since {
        Some(since) => format!("{said} (since {}, {}).", zone.moment(since, now), span((now - since).as_seconds_f64())),
        None => format!("{said}."),
    }
}

/// A run's state as the screen says it, in capitals: it is to be read from two metres away.
pub fn run_word(state: &RunState) -> &'static str {
    match state.status {
        RunStatus::Running | RunStatus::Paused if state.cancelling => "CANCELLING",
        RunStatus::Running if state.rolling_back => "ROLLING BACK",
        RunStatus::Idle => "IDLE",
        RunStatus::Running => "RUNNING",
        RunStatus::Paused => "PAUSED",
        RunStatus::Completed => "COMPLETED",
        RunStatus::Failed => "FAILED",
        RunStatus::Cancelled => "CANCELLED",
    }
}

/// Who asked for the newest intervention of a kind that was carried out.
/// What an operator has done by which a run is paused.
fn paused_by(state: &RunState) -> Option<&Intervention> {
    let pauses = |one: &&Intervention| {
        one.status == InterventionStatus::Applied
            && ["pause", "interrupt", "restore"].contains(&one.intervention_type.as_str())
    };
    state.interventions.iter().rev().take(200).map(|one| &**one).find(pauses)
}

fn who(state: &RunState, kind: &str) -> Option<String> {
    let record = state.interventions.iter().rev().take(200).find(|one| one.intervention_type == kind)?;
    Some(record.user.clone())
}

/// Which steps ask a person.
fn asks(state: &RunState) -> String {
    let asking: Vec<usize> = state.asking().collect();
    match state.step_ids(&asking).as_slice() {
        [] => "a step asks".into(),
        [one] => format!("{one} asks you"),
        [first, more @ ..] => format!("{first} and {} more ask you", thousands(more.len())),
    }
}

/// Why a run is in its state, on one line; empty when there is nothing to say.
pub fn run_reason(state: &RunState) -> String {
    let counts = state.counts();
    let live = state.bound_to_engine().count();
    let finishing = || format!("{} finishing", thousands(live));
    let named = |status: StepStatus, what: &str| {
        let found: Vec<usize> = match status {
            StepStatus::Failed => state.failed().filter(|place| state.takes_part(*place)).collect(),
            _ => state.needs_person().into_iter().filter(|place| state.steps[*place].status == status).collect(),
        };
        let first = state.step_ids(found.first()).first().copied().unwrap_or("a step").to_string();
        match found.len() {
            0 | 1 => format!("{first} {what}"),
            many => format!("{first} and {} more {what}", thousands(many - 1)),
        }
    };
    match state.status {
        RunStatus::Running | RunStatus::Paused if state.cancelling => {
            format!("{} stopping", thousands(counts.live() as usize))
        }
        RunStatus::Idle => "not started".into(),
        RunStatus::Running if state.rolling_back => undone(state),
        RunStatus::Running => {
            let mut said = Vec::new();
            if counts.of(StepStatus::Failed) > 0 {
                said.push(named(StepStatus::Failed, "failed"));
            }
            if counts.of(StepStatus::Held) > 0 {
                said.push(named(StepStatus::Held, "held"));
            }
            if state.asking().next().is_some() {
                said.push(asks(state));
            }
            said.join(" · ")
        }
        RunStatus::Paused => {
            let mut said: Vec<String> = state
                .paused
                .iter()
                .map(|reason| match reason {
                    PauseReason::Operator => match paused_by(state) {
                        Some(record) if record.intervention_type == "restore" => format!("{} went back", record.user),
                        Some(record) => format!("by {}", record.user),
                        None => "by an operator".into(),
                    },
                    PauseReason::StepFailed if counts.of(StepStatus::Failed) > 0 => named(StepStatus::Failed, "failed"),
                    PauseReason::StepFailed => "had a failure".into(),
                    PauseReason::Hold if counts.of(StepStatus::Held) > 0 => named(StepStatus::Held, "held"),
                    PauseReason::Hold => "at a hold point".into(),
                    PauseReason::Review => named(StepStatus::InReview, "in review"),
                    PauseReason::Question => asks(state),
                    PauseReason::Recovered if counts.of(StepStatus::Interrupted) > 0 => {
                        named(StepStatus::Interrupted, "interrupted")
                    }
                    PauseReason::Recovered => "its engine had ended".into(),
                })
                .collect();
            // Also what the run was not paused for: what has failed is read first.
            let unsaid = !state.paused.contains(&PauseReason::StepFailed) && !state.rolling_back;
            if unsaid && state.failed().any(|place| state.takes_part(place)) {
                said.insert(0, named(StepStatus::Failed, "failed"));
            }
            if state.rolling_back {
                said.push(undone(state));
            }
            if live > 0 {
                said.push(finishing());
            }
            said.join(" · ")
        }
        RunStatus::Completed => match counts.of(StepStatus::Skipped) {
            0 => String::new(),
            skipped => format!("{} skipped", thousands(skipped as usize)),
        },
        RunStatus::Failed => match counts.of(StepStatus::Failed) {
            0 => state.error.clone().unwrap_or_default(),
            _ => [Some(named(StepStatus::Failed, "failed")), rolled_back(state)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · "),
        },
        RunStatus::Cancelled if state.rollback.is_some() => rolled_back(state).unwrap_or_default(),
        RunStatus::Cancelled => who(state, "cancel").map_or_else(String::new, |user| format!("by {user}")),
    }
}

/// How far a rollback has come.
fn undone(state: &RunState) -> String {
    let (undone, left) = state.undone();
    format!("{} of {} undone", thousands(undone.len()), thousands(undone.len() + left.len()))
}

/// That a run that has ended was rolled back, and whether all of it was.
fn rolled_back(state: &RunState) -> Option<String> {
    let rollback = state.rollback.as_ref()?;
    let (done, left) = state.undone();
    let by = rollback.user.as_deref().map(|user| format!(" by {user}")).unwrap_or_default();
    Some(match (done.is_empty(), left.is_empty()) {
        (false, true) => format!("rolled back{by}"),
        _ => format!("rolled back{by} only in part: {}", undone(state)),
    })
}

/// Which run a fork comes from, and why it was made; `None` for a run that is no fork.
pub fn forked_from(state: &RunState) -> Option<String> {
    let (run, checkpoint) = state.parent?;
    let why = state.fork_reason.as_deref().map(|why| format!(": {}", text::clean(why))).unwrap_or_default();
    Some(format!("forked from {} at {}{why}", short_id(run), checkpoint_id(checkpoint)))
}

/// Which run a listed one was forked from.
pub fn fork_of(summary: &RunSummary) -> Option<String> {
    summary.parent.map(|parent| format!("fork of {}", short_id(parent)))
}

/// How many steps ask a person.
fn ask_a_person(summary: &RunSummary) -> String {
    match summary.asking {
        0 | 1 => "1 step asks you".into(),
        many => format!("{} ask you", count(many as usize, "step")),
    }
}

/// Why a run is in its state, where the word does not say it.
pub fn standing(listed: &ListedRun) -> Option<String> {
    let summary: &RunSummary = &listed.summary;
    let of = |status| summary.counts.of(status) as usize;
    match summary.status {
        _ if summary.is_halted(listed.owned) => Some("its engine ended".into()),
        RunStatus::Paused => {
            let mut reasons: Vec<String> = summary
                .paused
                .iter()
                .map(|reason| match reason {
                    PauseReason::Operator => "by an operator".into(),
                    PauseReason::StepFailed => {
                        format!("{} failed", count(of(StepStatus::Failed).max(1), "step"))
                    }
                    PauseReason::Hold => format!("{} held", count(of(StepStatus::Held).max(1), "step")),
                    PauseReason::Review => {
                        format!("{} in review", count(of(StepStatus::InReview).max(1), "step"))
                    }
                    PauseReason::Question => ask_a_person(summary),
                    PauseReason::Recovered => "its engine had ended".into(),
                })
                .collect();
            // As in the run itself.
            let unsaid = !summary.paused.contains(&PauseReason::StepFailed) && !summary.rolling_back;
            if unsaid && of(StepStatus::Failed) > 0 {
                reasons.insert(0, format!("{} failed", count(of(StepStatus::Failed), "step")));
            }
            Some(reasons.join(" · "))
        }
        RunStatus::Running if summary.asking > 0 => Some(ask_a_person(summary)),
        RunStatus::Running if of(StepStatus::Held) > 0 => Some(format!("{} held", count(of(StepStatus::Held), "step"))),
        RunStatus::Failed => Some(format!("{} failed", count(of(StepStatus::Failed).max(1), "step"))),
        _ => None,
    }
}

/// That something runs in a paused run still.
pub fn finishing(listed: &ListedRun) -> Option<String> {
    let (summary, runs) = (&listed.summary, listed.summary.bound_to_engine());
    // Without an engine nothing finishes.
    let finishes = listed.owned && summary.status == RunStatus::Paused && runs > 0;
    finishes.then(|| format!("{} finishing", thousands(runs as usize)))
}

/// What a command has done, as the message line says it; `state`: the one that it has led to, as soon as it is there. What waits for something else says
/// for what. Keys stand in braces by the names of their actions.
pub fn done(command: &Command, state: Option<&RunState>) -> String {
    let status = state.map(|state| state.status);
    let is_paused = status == Some(RunStatus::Paused);
    let step_is = |step: &str, wanted: StepStatus| {
        state.and_then(|state| state.step(step)).is_some_and(|(_, found)| found.status == wanted)
    };
    let live = state.map_or(0, |state| state.bound_to_engine().count());
    match command {
        Command::Start => "the run is started".into(),
        Command::Pause if is_paused && live > 0 => {
            format!("the run is paused; what runs may finish: {}", count(live, "attempt"))
        }
        Command::Pause => "the run is paused".into(),
        Command::Resume if is_paused => "the run was resumed, and is paused again".into(),
        Command::Resume => "the run is resumed".into(),
        Command::Cancel if status == Some(RunStatus::Cancelled) => "the run is cancelled".into(),
        Command::Cancel => "the run is being cancelled".into(),
        Command::Rollback if is_paused => "the rollback goes on when the run is resumed: {resume}".into(),
        Command::Rollback if status.is_some_and(RunStatus::is_ended) => "the run is rolled back".into(),
        Command::Rollback => "the run is being rolled back".into(),
        Command::Interrupt if state.is_some() && live == 0 => "the attempts are stopped".into(),
        Command::Interrupt => "the attempts are being stopped".into(),
        Command::Retry { step, downstream } => {
            let rest = if *downstream { ", with everything after it" } else { "" };
            match () {
                () if step_is(step, StepStatus::Held) => {
                    format!("{step} is at its hold point again: {{release}}{rest}")
                }
                () if is_paused && step_is(step, StepStatus::Pending) => {
                    format!("{step} runs again{rest} when the run is resumed: {{resume}}")
                }
                () if step_is(step, StepStatus::Pending) => format!("{step} runs again{rest} when its turn comes"),
                () => format!("{step} is retried{rest}"),
            }
        }
        Command::Skip { step } => format!("{step} is skipped"),
        Command::Complete { step, .. } => format!("{step} is completed by hand"),
        Command::Hold { step } => format!("{step} has a hold point"),
        Command::Unhold { step } => format!("{step} has no hold point any more"),
        Command::Release { step } if is_paused && step_is(step, StepStatus::Pending) => {
            format!("{step} is released; it runs when the run is resumed: {{resume}}")
        }
        Command::Release { step } if step_is(step, StepStatus::Held) => {
            format!("{step} has this release, and waits for another")
        }
        Command::Release { step } => format!("{step} is released"),
        Command::Approve { step } if step_is(step, StepStatus::InReview) => {
            format!("the result of {step} has this approval, and waits for another")
        }
        Command::Approve { step } => format!("the result of {step} is approved"),
        Command::Reject { step } => format!("the result of {step} is rejected"),
        Command::Escalate { step } => format!("the review of {step} is passed on"),
        Command::Answer { step, .. } => format!("{step} has its answer"),
        Command::SetParallel { value } => format!("at most {value} at the same time"),
        Command::Modify { step, .. } if step_is(step, StepStatus::Failed) => {
            format!("{step} is changed; it runs so when it is retried: {{retry}}")
        }
        Command::Modify { step, .. } => format!("{step} is changed"),
        Command::Add { step, .. } => format!("{} is added", step["step_id"].as_str().unwrap_or("the step")),
        Command::Remove { step } => format!("{step} is removed"),
        Command::Reorder { .. } => "the order is changed".into(),
        Command::Undo { version: Some(_) } => "the change of the plan is undone".into(),
        Command::Undo { version: None } | Command::UndoIntervention { .. } => "the intervention is undone".into(),
        Command::UseVersion { version } => format!("version {version} of the plan is back"),
        Command::Restore { checkpoint } if is_paused => {
            let on = if state.is_some_and(can_resume) { ": {resume} goes on" } else { "" };
            format!("the run is back at {}, and paused{on}", checkpoint_id(*checkpoint))
        }
        Command::Restore { checkpoint } => format!("the run is back at {}", checkpoint_id(*checkpoint)),
    }
}

/// What was asked by a command, before what became of it.
pub fn asked(command: &Command) -> String {
    match command {
        Command::Start => "start".into(),
        Command::Pause => "pause".into(),
        Command::Resume => "resume".into(),
        Command::Cancel => "cancel".into(),
        Command::Rollback => "roll back".into(),
        Command::Interrupt => "stop the attempts".into(),
        Command::Retry { step, .. } => format!("retry {step}"),
        Command::Skip { step } => format!("skip {step}"),
        Command::Complete { step, .. } => format!("complete {step} by hand"),
        Command::Hold { step } => format!("hold point on {step}"),
        Command::Unhold { step } => format!("no hold point on {step}"),
        Command::Release { step } => format!("release {step}"),
        Command::Approve { step } => format!("approve {step}"),
        Command::Reject { step } => format!("reject {step}"),
        Command::Escalate { step } => format!("pass the review of {step} on"),
        Command::Answer { step, .. } => format!("answer {step}"),
        Command::SetParallel { value } => format!("{value} at the same time"),
        Command::Modify { step, .. } => format!("change {step}"),
        Command::Add { step, .. } => format!("add {}", step["step_id"].as_str().unwrap_or("a step")),
        Command::Remove { step } => format!("remove {step}"),
        Command::Reorder { .. } => "change the order".into(),
        Command::Undo { .. } | Command::UndoIntervention { .. } => "undo".into(),
        Command::UseVersion { version } => format!("bring version {version} back"),
        Command::Restore { checkpoint } => format!("back to {}", checkpoint_id(*checkpoint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_to_their_columns() {
        for (seconds, shown) in [
            (-3.0, "0:00"),
            (0.4, "0:00"),
            (42.0, "0:42"),
            (761.0, "12:41"),
            (3761.0, "1:02:41"),
            (273_600.0, "3d 04h"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
        assert!(duration(364.0 * 86_400.0).len() <= 8);
    }

    #[test]
    fn a_run_says_how_long_it_worked_and_a_pause_its_minutes() {
        let of = |works, paused| times(&Times { ran: 751.0, works, paused });
        assert_eq!((of(true, None).as_str(), of(false, None).as_str()), ("running 12:31", "ran 12:31"));
        for (paused, shown) in [
            (0.0, "just paused · ran 12:31"),
            (59.9, "just paused · ran 12:31"),
            (60.0, "paused 1 min · ran 12:31"),
            (7800.0, "paused 2 h 10 min · ran 12:31"),
            (86_400.0, "paused 1 d · ran 12:31"),
        ] {
            assert_eq!(of(false, Some(paused)), shown);
        }
    }

    #[test]
    fn estimates_are_coarse() {
        for (seconds, shown) in
            [(1.0, "10 s"), (42.0, "50 s"), (250.0, "4 min"), (7800.0, "2 h 10 min"), (7190.0, "2 h")]
        {
            assert_eq!(roughly(seconds), shown);
        }
    }

    #[test]
    fn an_estimate_says_its_range_once() {
        let left = |low, likely, high| Left { low, likely, high, at_least: false, runs: 3, people: false };
        for (left, shown) in [
            (left(1.0, 2.0, 4.0), "under 10 s"),
            (left(240.0, 250.0, 260.0), "about 4 min"),
            (left(240.0, 300.0, 360.0), "about 4 to 6 min"),
            (left(22.0, 30.0, 38.0), "about 30 to 40 s"),
            (left(42.0, 100.0, 130.0), "about 50 s to 2 min"),
            (left(6000.0, 7800.0, 7900.0), "about 1 h 40 min to 2 h 10 min"),
            (Left { at_least: true, ..left(240.0, 250.0, 260.0) }, "over 4 min"),
            (Left { at_least: true, ..left(19.0, 19.0, 19.0) }, "over 10 s"),
        ] {
            assert_eq!(estimate(&left).as_deref(), Some(shown));
        }
        assert_eq!(estimate(&Left { at_least: true, ..left(0.0, 3.0, 9.0) }), None, "that would say nothing");
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(list(&["a", "b", "c"], 3), "a, b and c");
        assert_eq!(list(&["a", "b", "c", "d", "e"], 2), "a, b and 3 more");
    }
}
