//! The estimate of an open run: when it is made anew, and what is learned from earlier runs. Made by a task beside the loop: reading files and
//! walking plans costs what no frame may wait for. How the steps stand is followed event by event.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::EngineHandle;
use crate::plan::Plan;
use crate::run::{
    AgentHealth, Expected, Forecast, Grounds, Left, Outlook, Past, Recorded, RunState, RunSummary, Survey,
};

/// An estimate is not made more often than this.
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// Nor does making it take more than one part in so many of the time.
const SHARE: i32 = 20;

/// What the task is asked.
#[derive(Debug)]
pub enum Question {
    /// What the steps of a run's plan took in earlier runs.
    Past(Box<RunSummary>),
    /// Where the steps of a plan find their times.
    Grounds {
        /// Of which run.
        run: Uuid,
        /// Its plan as it stands.
        plan: Arc<Plan>,
        /// Which version that is.
        version: u64,
        /// What is known of earlier runs.
        past: Arc<Past>,
    },
    /// What is to come of a run, by its state as it is.
    Forecast {
        /// Which run.
        run: Uuid,
        /// Its state, as far as it matters.
        outlook: Outlook,
    },
}

/// What the task answers.
#[derive(Debug)]
pub enum Answer {
    /// What the steps took.
    Past {
        /// Of which run's plan.
        run: Uuid,
        /// In earlier runs.
        past: Past,
    },
    /// Where the steps of a plan find their times.
    Grounds {
        /// Of which run.
        run: Uuid,
        /// For a version of its plan.
        grounds: Grounds,
    },
    /// What is to come.
    Forecast {
        /// Of which run.
        run: Uuid,
        /// Made of the state that was asked about.
        foretold: Foretold,
    },
}

/// A forecast, and what of it is looked up for single steps.
#[derive(Debug, Default)]
pub struct Foretold {
    forecast: Option<Forecast>,
    /// The steps that decide, by position.
    critical: Vec<u32>,
    /// By position: the place among what is expected, from 1.
    places: Vec<u32>,
}

impl Foretold {
    fn of(forecast: Forecast) -> Self {
        let mut critical = forecast.critical.clone();
        critical.sort_unstable();
        let mut places = Vec::new();
        for (expected, place) in forecast.expected.iter().zip(1..) {
            let step = expected.step as usize;
            places.resize(places.len().max(step + 1), 0);
            places[step] = place;
        }
        Self { forecast: Some(forecast), critical, places }
    }
}

impl Answer {
    /// The run it is about.
    pub fn run(&self) -> Uuid {
        match self {
            Answer::Past { run, .. } | Answer::Grounds { run, .. } | Answer::Forecast { run, .. } => *run,
        }
    }
}

/// Answers a question; nothing when computing it failed. Reads files and computes: not for a thread that others wait for.
pub async fn answer(handle: &EngineHandle, question: Question) -> Option<Answer> {
    match question {
        Question::Past(summary) => {
            let run = summary.run_id;
            Some(Answer::Past { run, past: handle.past(*summary).await })
        }
        other => tokio::task::spawn_blocking(move || other.compute()).await.ok().flatten(),
    }
}

impl Question {
    /// The answer, where no file has to be read for it.
    pub(super) fn compute(self) -> Option<Answer> {
        match self {
            Question::Past(_) => None,
            Question::Grounds { run, plan, version, past } => {
                Some(Answer::Grounds { run, grounds: Grounds::new(&plan, version, past) })
            }
            Question::Forecast { run, outlook } => {
                Some(Answer::Forecast { run, foretold: Foretold::of(outlook.forecast()) })
            }
        }
    }
}

/// How far the estimate of a run has come.
#[derive(Debug, Default)]
pub struct Estimate {
    past: Option<Arc<Past>>,
    grounds: Option<Arc<Grounds>>,
    /// How the steps stand; nothing when they have to be looked at anew.
    survey: Option<Survey>,
    foretold: Foretold,
    /// When what has not come yet was asked for.
    asked: Option<DateTime<Utc>>,
    not_before: Option<DateTime<Utc>>,
    /// A plan that is changed again and again does not have its grounds made for every version.
    grounds_not_before: Option<DateTime<Utc>>,
}

impl Estimate {
    /// What is to come of the run, as it was known last.
    pub fn forecast(&self) -> Option<&Forecast> {
        self.foretold.forecast.as_ref()
    }

    /// How much longer the run takes; `live`: its clock moves. While it does not, nothing of that passes.
    pub fn left(&self, live: bool, now: DateTime<Utc>) -> Option<Left> {
        let forecast = self.foretold.forecast.as_ref()?;
        let since = if live { (now - forecast.at).as_seconds_f64() } else { 0.0 };
        forecast.left.map(|left| left.later(since))
    }

    /// What is known of an agent from earlier runs of the plan.
    pub fn earlier(&self, agent: &str) -> Option<&AgentHealth> {
        self.past.as_ref()?.agents().get(agent)
    }

    /// Whether a step is one of those that decide how long the run takes.
    pub fn is_critical(&self, position: usize) -> bool {
        self.foretold.critical.binary_search(&(position as u32)).is_ok()
    }

    /// What is expected of a step that runs or is to run.
    pub fn expected(&self, position: usize) -> Option<Expected> {
        let place = *self.foretold.places.get(position)? as usize;
        self.foretold.forecast.as_ref()?.expected.get(place.checked_sub(1)?).copied()
    }

    /// What has to be asked now, before a frame; `live`: the clock of the run moves.
    pub fn refresh(&mut self, state: &RunState, live: bool, now: DateTime<Utc>) -> Option<Question> {
        if self.grounds.as_ref().is_some_and(|grounds| !grounds.fit(state)) {
            // Positions of another plan would name other steps.
            (self.grounds, self.foretold) = (None, Foretold::default());
        }
        if self.asked.is_some() {
            return None;
        }
        let Some(past) = &self.past else {
            self.asked = Some(now);
            return Some(Question::Past(Box::new(state.summary())));
        };
        let Some(grounds) = &self.grounds else {
            if self.grounds_not_before.is_some_and(|time| now < time) {
                return None;
            }
            self.asked = Some(now);
            let (run, plan, past) = (state.run_id, Arc::clone(&state.plan), Arc::clone(past));
            return Some(Question::Grounds { run, plan, version: state.plan_version, past });
        };
        if !self.is_due(state, live, now) {
            return None;
        }
        let grounds = Arc::clone(grounds);
        self.asked = Some(now);
        let known = self.survey.take().filter(|survey| survey.is_of(state, &grounds));
        let survey = self.survey.insert(known.unwrap_or_else(|| Survey::of(state, grounds)));
        Some(Question::Forecast { run: state.run_id, outlook: survey.outlook(state, now) })
    }

    fn is_due(&self, state: &RunState, live: bool, now: DateTime<Utc>) -> bool {
        self.is_old(state, live, now) && self.not_before.is_none_or(|time| now >= time)
    }

    /// Whether it is to be made anew, now or as soon as it may: then the console has to look again by itself.
    pub fn is_old(&self, state: &RunState, live: bool, now: DateTime<Utc>) -> bool {
        let known = self.foretold.forecast.as_ref();
        known.is_none_or(|known| known.seq != state.seq || (live && now - known.at >= PAUSE))
    }

    /// An event was folded into the state.
    pub fn follow(&mut self, recorded: &Recorded, state: &RunState) {
        if self.survey.as_mut().is_some_and(|survey| !survey.take(recorded, state)) {
            self.survey = None;
        }
    }

    /// The task has answered.
    pub fn take(&mut self, answer: Answer, now: DateTime<Utc>) {
        let Some(asked) = self.asked.take() else { return };
        match answer {
            Answer::Past { past, .. } => self.past = Some(Arc::new(past)),
            Answer::Grounds { grounds, .. } => {
                self.grounds_not_before = Some(asked + PAUSE.max((now - asked) * SHARE));
                self.grounds = Some(Arc::new(grounds));
            }
            // Of a plan that was changed meanwhile.
            Answer::Forecast { .. } if self.grounds.is_none() => {}
            Answer::Forecast { foretold, .. } => {
                self.not_before = Some(asked + PAUSE.max((now - asked) * SHARE));
                self.foretold = foretold;
            }
        }
    }
}
