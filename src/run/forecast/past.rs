//! What earlier runs of a plan tell of its steps.
//!
//! An earlier run is read one step after the other, and of each only what is told stays ([`EarlierRun`]): it may be as large as the run that is
//! being watched, and a few numbers a step are all that is wanted of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::plan::Step;
use crate::run::history::home;
use crate::run::{AgentHealth, Asked, Attempt, Execution, RunState, SkipReason, StepState};

use super::median;

/// What steps took in earlier runs of a plan. Flat: a number a step and run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// A step and its work, as one number: where it stands in each run.
    pub(super) rows: HashMap<u64, u32>,
    /// By run and row: seconds; 0 where the step was skipped by the plan itself, not a number where nothing is known.
    pub(super) runs: Vec<Vec<f32>>,
    /// How the agents did in them.
    agents: BTreeMap<String, AgentHealth>,
}

impl Past {
    /// Adds what a run's steps took; whether there was anything to add.
    pub fn add(&mut self, run: impl Into<EarlierRun>) -> bool {
        let run = run.into();
        let mut seconds: Vec<f32> = Vec::new();
        let mut worked = false;
        for (job, course) in run.plan.steps.0.iter().zip(&run.steps.0) {
            let own = course.told.iter().filter(|told| run.is_own(told)).copied();
            let Some(took) = took(course.skip, own) else { continue };
            worked |= took > 0.0;
            let next = self.rows.len() as u32;
            let row = *self.rows.entry(job.identity).or_insert(next) as usize;
            if seconds.len() <= row {
                seconds.resize(row + 1, f32::NAN);
            }
            seconds[row] = took;
        }
        if worked {
            self.runs.push(seconds);
            for (name, one) in run.agents() {
                self.agents.entry(name.to_owned()).or_default().add_earlier(&one);
            }
        }
        worked
    }

    /// How many runs it knows.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How the agents did in those runs; how often they failed in a row at their ends is not known of them.
    pub fn agents(&self) -> &BTreeMap<String, AgentHealth> {
        &self.agents
    }

    /// What a step took in the middle of those runs, in seconds, under an id that may be that of one of its instances.
    pub(in crate::run) fn usual(&self, id: &str, step: &Step) -> Option<f64> {
        let row = *self.rows.get(&identity(id, step))?;
        let mut known: Vec<f64> = (0..self.runs()).filter_map(|run| self.seconds(run, row)).map(f64::from).collect();
        median(&mut known)
    }

    pub(super) fn seconds(&self, run: usize, row: u32) -> Option<f32> {
        self.runs[run].get(row as usize).copied().filter(|seconds| !seconds.is_nan())
    }
}

/// A run as far as it tells of its steps. Made of its state, or read from where that is written.
#[derive(Debug, Deserialize)]
pub struct EarlierRun {
    run_id: Uuid,
    seq: u64,
    created_at: DateTime<Utc>,
    #[serde(default)]
    lineage: Vec<(Uuid, DateTime<Utc>)>,
    plan: Jobs,
    steps: Each<StepState, Course>,
}

impl EarlierRun {
    /// Its id.
    pub fn run_id(&self) -> Uuid {
        self.run_id
    }

    /// Number of its newest event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether an attempt is its own, not one that it has from the run it was forked from.
    fn is_own(&self, told: &Told) -> bool {
        home(told.started_at, self.run_id, self.created_at, &self.lineage) == self.run_id
    }

    /// What its agents did in all, in no order: nothing of failures in a row.
    fn agents(&self) -> BTreeMap<&str, AgentHealth> {
        let mut found: BTreeMap<&str, AgentHealth> = BTreeMap::new();
        for (job, course) in self.plan.steps.0.iter().zip(&self.steps.0) {
            for told in course.told.iter().filter(|told| self.is_own(told)) {
                found.entry(&job.agent).or_default().count(&told.execution);
            }
        }
        found
    }
}

impl From<&RunState> for EarlierRun {
    fn from(run: &RunState) -> Self {
        Self {
            run_id: run.run_id,
            seq: run.seq,
            created_at: run.created_at,
            lineage: run.lineage.clone(),
            plan: Jobs { steps: Each::of(run.plan.steps.iter().map(AsRef::as_ref)) },
            steps: Each::of(&run.steps),
        }
    }
}

/// A plan, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Jobs {
    steps: Each<Step, Job>,
}

/// What a step has to do.
#[derive(Debug)]
struct Job {
    identity: u64,
    /// Its name in lists.
    agent: Box<str>,
}

impl From<&Step> for Job {
    fn from(step: &Step) -> Self {
        Self { identity: identity(&step.step_id, step), agent: step.agent_label().into() }
    }
}

/// How a step went.
#[derive(Debug)]
struct Course {
    skip: Option<SkipReason>,
    told: Box<[Told]>,
}

impl From<&StepState> for Course {
    fn from(step: &StepState) -> Self {
        let told = step.attempts.iter().filter_map(|attempt| Told::of(attempt)).collect();
        Self { skip: step.skip.as_ref().map(|skip| skip.why), told }
    }
}

/// What an attempt tells that ended by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    started_at: DateTime<Utc>,
    execution: Execution,
    /// For how many seconds it waited for people's answers, as far as it has them.
    waited: f64,
}

impl Told {
    pub(super) fn of(attempt: &Attempt) -> Option<Self> {
        let execution = Execution::of(attempt)?;
        Some(Self { started_at: attempt.started_at, execution, waited: waited(attempt) })
    }
}

/// A list of which each element is made into something smaller as soon as it is read.
#[derive(Debug)]
struct Each<From, To>(Vec<To>, PhantomData<From>);

impl<From, To> Each<From, To> {
    fn of<'a>(all: impl IntoIterator<Item = &'a From>) -> Self
    where
        From: 'a,
        To: std::convert::From<&'a From>,
    {
        Self(all.into_iter().map(To::from).collect(), PhantomData)
    }
}

impl<'de, From, To> Deserialize<'de> for Each<From, To>
where
    From: DeserializeOwned,
    To: for<'a> std::convert::From<&'a From>,
{
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read<From, To>(Each<From, To>);
        impl<'de, From, To> Visitor<'de> for Read<From, To>
        where
            From: DeserializeOwned,
            To: for<'a> std::convert::From<&'a From>,
        {
            type Value = Each<From, To>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
                while let Some(one) = list.next_element::<From>()? {
                    self.0.0.push(To::from(&one));
                }
                Ok(self.0)
            }
        }
        reader.deserialize_seq(Read(Self(Vec::new(), PhantomData)))
    }
}

/// Which work under which id: another agent, action or command under the same id is another work. How it is tried and named makes no difference.
pub(super) fn identity(id: &str, step: &Step) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, step.agent(), &step.action, &step.run).hash(&mut hasher);
    hasher.finish()
}

/// How long a step's work took: its newest successful attempt; nothing when its condition was false or what it needs was skipped.
pub(super) fn took(skip: Option<SkipReason>, told: impl DoubleEndedIterator<Item = Told>) -> Option<f32> {
    if let Some(why) = skip {
        return matches!(why, SkipReason::Condition | SkipReason::Upstream).then_some(0.0);
    }
    let done = told.rev().find(|told| told.execution.succeeded)?;
    Some((done.execution.seconds - done.waited).max(0.0) as f32)
}

/// For how many seconds an attempt waited for people's answers, as far as it has them.
pub(super) fn waited(attempt: &Attempt) -> f64 {
    let answered = |asked: &Asked| Some((asked.answered.as_ref()?.time - asked.time).as_seconds_f64().max(0.0));
    attempt.questions.iter().filter_map(answered).sum()
}
