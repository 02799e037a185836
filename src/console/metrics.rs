//! The numbers of an open run: when they are made anew, which agent is selected, and what the keys do there.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::layout::{Position, Rect};

use crate::run::{AgentHealth, Metrics, Pause, Recorded, RunState};

use super::actions::Action;
use super::app::{App, Effect, Place};
use super::going::distance;
use super::run_model::{OpenRun, Pane};
use super::{timeline, views, words};

/// Numbers that have to be made of the whole state are not made more often than this.
const REST: TimeDelta = TimeDelta::seconds(1);

/// The numbers of an open run. They are made of its state when they are looked at for the first time, and then follow its events.
#[derive(Debug, Default)]
pub struct Numbers {
    metrics: Option<Metrics>,
    made: Option<DateTime<Utc>>,
    /// Something has happened that they do not follow: they are of before, and soon made anew.
    old: bool,
}

impl Numbers {
    /// What is known; nothing before it was looked at.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// An event was folded into the state.
    pub fn take(&mut self, recorded: &Recorded, state: &RunState) {
        if let Some(metrics) = &mut self.metrics {
            self.old |= !metrics.take(recorded, state);
        }
    }

    /// Makes them anew where that is due. Called before a frame in which they are seen.
    pub fn refresh(&mut self, state: &RunState, now: DateTime<Utc>) {
        let rested = self.made.is_none_or(|made| now - made >= REST || now < made);
        if self.metrics.is_none() || (self.old && rested) {
            self.metrics = Some(Metrics::of(state));
            self.made = Some(now);
            self.old = false;
        }
    }

    /// Whether they are to be made anew as soon as they may: then the console has to look again by itself.
    pub fn is_old(&self) -> bool {
        self.old
    }
}

/// Where the operator is among the agents.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    /// The selected one, by name: a place would mean another one when the order changes.
    selected: Option<String>,
    /// First row that is seen.
    pub offset: usize,
}

impl Agents {
    /// The row of the selected one; the first when there is none.
    pub fn row(&self, rows: &[(&str, &AgentHealth)]) -> usize {
        rows.iter().position(|(name, _)| self.selected.as_deref() == Some(name)).unwrap_or(0)
    }
}

/// The agents in the order in which they are shown: those that are worst first.
pub fn rows(metrics: &Metrics) -> Vec<(&str, &AgentHealth)> {
    let mut rows: Vec<(&str, &AgentHealth)> = metrics.agents.iter().map(|(name, one)| (name.as_str(), one)).collect();
    rows.sort_by_key(|(name, one)| (std::cmp::Reverse((one.health(), one.consecutive_failures)), *name));
    rows
}

/// What can be a column of the charts, in seconds.
const COLUMNS: [u32; 21] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    2_592_000,
];

/// How many seconds a column stands for when so many are to fit: a round time, so that the charts stay as they are while time goes on.
pub fn column(seconds: f64, columns: u16) -> f64 {
    let least = seconds / f64::from(columns.max(1));
    COLUMNS.into_iter().map(f64::from).find(|column| *column > least).unwrap_or(least * 2.0)
}

/// For how much of each column the run was paused, 0..1; `from`: when the first one begins.
pub fn standing<'a>(
    pauses: impl IntoIterator<Item = &'a Pause>,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
    column: f64,
    columns: u16,
) -> Vec<f64> {
    let mut found = vec![0.0; usize::from(columns)];
    for pause in pauses {
        let place = |time: DateTime<Utc>| ((time - from).as_seconds_f64() / column).clamp(0.0, f64::from(columns));
        let (first, last) = (place(pause.since), place(pause.until.unwrap_or(now)));
        let mut at = first;
        while at < last {
            let end = (at.floor() + 1.0).min(last);
            if let Some(part) = found.get_mut(at as usize) {
                *part += end - at;
            }
            at = end;
        }
    }
    found
}

/// Whether an action is possible among the numbers; nothing about those of all places.
pub(super) fn availability(app: &App, action: Action) -> Option<Result<(), String>> {
    let run = app.run.as_ref()?;
    let empty = run.numbers.metrics().is_none_or(|metrics| metrics.agents.is_empty());
    Some(match action {
        Action::Filter => Err("agents have no filter: Enter shows the steps of the selected one".into()),
        Action::Open | Action::Copy if empty => Err("no attempt has ended yet".into()),
        Action::Copy => Ok(()),
        _ => return None,
    })
}

impl App {
    pub(super) fn look_at_numbers(&mut self) {
        self.history = None;
        self.came_from = None;
        self.agents = Agents::default();
        self.place = Place::Metrics;
    }

    /// Enter: the steps of the selected agent.
    pub(super) fn go_to_steps_of_agent(&mut self) {
        let Some(run) = self.run.as_mut() else { return };
        let Some(metrics) = run.numbers.metrics() else { return };
        let rows = rows(metrics);
        let Some((name, _)) = rows.get(self.agents.row(&rows)) else { return };
        run.list.filter = name.to_lowercase();
        run.refresh_rows();
        run.focus = Pane::Steps;
        run.zoom = false;
        self.place = Place::Run;
        self.say(self.keys.fill("the steps of this agent; {back} shows all again"));
    }

    pub(super) fn move_in_metrics(&mut self, action: Action) {
        let height = isize::from(self.metrics_areas().rows.height as i16).max(2);
        if let Some(by) = distance(action, height) {
            self.step_in_metrics(by);
        }
    }

    pub(super) fn step_in_metrics(&mut self, by: isize) {
        let Some(metrics) = self.run.as_ref().and_then(|run| run.numbers.metrics()) else { return };
        let rows = rows(metrics);
        let row = self.agents.row(&rows).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.agents.selected = rows.get(row).map(|(name, _)| (*name).to_owned());
    }

    pub(super) fn click_in_metrics(&mut self, at: Position) {
        let area = self.metrics_areas().rows;
        let Some(metrics) = self.run.as_ref().and_then(|run| run.numbers.metrics()) else { return };
        let row = self.agents.offset + usize::from(at.y.saturating_sub(area.y));
        if let Some((name, _)) = rows(metrics).get(row)
            && area.contains(at)
        {
            self.agents.selected = Some((*name).to_owned());
        }
    }

    fn metrics_areas(&self) -> views::metrics::Areas {
        views::metrics::areas(Rect::new(0, 0, self.size.0, self.size.1))
    }

    /// The table as text, with tabs between the columns.
    pub(super) fn copy_metrics(&self) -> Vec<Effect> {
        let Some(metrics) = self.run.as_ref().and_then(|run| run.numbers.metrics()) else { return Vec::new() };
        let mut lines = vec![views::metrics::HEADINGS.join("\t")];
        lines.extend(rows(metrics).iter().map(|(name, one)| {
            let mut cells = vec![(*name).to_owned(), one.health().word().to_owned()];
            cells.extend(views::metrics::cells(one));
            cells.join("\t")
        }));
        vec![Effect::Copy { text: lines.join("\n"), what: "the agents".into() }]
    }
}

/// Seconds from the run's start that its charts show.
pub fn seconds(run: &OpenRun, now: DateTime<Utc>) -> f64 {
    timeline::elapsed(run, now).max(1.0)
}

/// A time that something took: `0.4 s`, `8.2 s`, `0:42`.
pub fn took(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 10.0 => format!("{seconds:.1} s"),
        Some(seconds) => words::duration(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::PauseReason;

    #[test]
    fn columns_are_round_and_hold_the_whole_run() {
        for (seconds, columns, expected) in [
            (1.0, 50, 1.0),
            (49.0, 50, 1.0),
            (50.0, 50, 2.0),
            (761.0, 50, 30.0),
            (86_400.0, 120, 900.0),
            (1e12, 50, 4e10),
        ] {
            assert_eq!(column(seconds, columns), expected, "{seconds} s in {columns} columns");
        }
    }

    #[test]
    fn a_pause_fills_the_columns_it_lasts_through() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let pause = |since, until: Option<i64>| Pause {
            since: at(since),
            until: until.map(at),
            reasons: [PauseReason::Operator].into(),
        };
        let pauses = [pause(5, Some(20)), pause(38, None)];
        let parts = standing(&pauses, at(0), at(45), 10.0, 6);
        let expected = [0.5, 1.0, 0.0, 0.2, 0.5, 0.0];
        assert!(parts.iter().zip(expected).all(|(part, expected)| (part - expected).abs() < 1e-9), "{parts:?}");
    }
}
