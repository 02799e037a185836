//! One line about a run, for lists.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::step_state::is_zero;
use super::{Clock, Counts, PauseReason, RunState, RunStatus};

/// One line about a run, for lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's id.
    pub run_id: Uuid,
    /// The plan's id.
    pub plan_id: String,
    /// The plan's headline.
    pub headline: String,
    /// Its status.
    pub status: RunStatus,
    /// Being cancelled.
    pub cancelling: bool,
    /// Being rolled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolling_back: bool,
    /// Why it is paused.
    pub paused: BTreeSet<PauseReason>,
    /// Steps by state.
    pub counts: Counts,
    /// Those of them that undo others, in a rollback.
    #[serde(default, skip_serializing_if = "Counts::is_none")]
    pub undoing: Counts,
    /// Who opened it.
    pub user: String,
    /// Simulated agents.
    pub simulate: bool,
    /// When the plan was opened.
    pub created_at: DateTime<Utc>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What its times are made of; not known of one that an older version has written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// When the newest event was decided.
    pub updated_at: DateTime<Utc>,
    /// Number of the newest event.
    pub seq: u64,
    /// The run it was forked from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// How many of its attempts ask a person something.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asking: u32,
    /// How many of its live attempts outlive their engine, which nobody has to wait for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outliving: u32,
    /// The open question about which people are reminded next: since when it is open, and after how many seconds each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminds: Option<(DateTime<Utc>, f64)>,
}

impl RunSummary {
    /// As [`RunState::own_counts`].
    pub fn own_counts(&self) -> Counts {
        self.counts.without(&self.undoing)
    }

    /// Whether a person must do something before the run goes on.
    pub fn needs_person(&self) -> bool {
        self.status == RunStatus::Paused
    }

    /// How many attempts are alive that have to end before the engine may.
    pub fn bound_to_engine(&self) -> u32 {
        self.counts.live().saturating_sub(self.outliving)
    }

    /// Whether nothing of it runs though it looks so: its engine has ended before it did, as [`super::leave_alone`] has it.
    pub fn is_halted(&self, owned: bool) -> bool {
        !owned && (self.status == RunStatus::Running || self.bound_to_engine() > 0)
    }

    /// The random tail of the run id, by which runs are shown.
    pub fn short_id(&self) -> String {
        short_id(self.run_id)
    }
}

impl RunState {
    /// One line about the run.
    pub fn summary(&self) -> RunSummary {
        RunSummary {
            run_id: self.run_id,
            plan_id: self.plan.plan_id.clone(),
            headline: self.plan.headline().to_string(),
            status: self.status,
            cancelling: self.cancelling,
            rolling_back: self.rolling_back,
            paused: self.paused.clone(),
            counts: self.index.counts,
            undoing: self.index.undoing,
            user: self.user.to_string(),
            simulate: self.options.simulate,
            created_at: self.created_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            clock: Some(self.clock()),
            updated_at: self.updated_at,
            seq: self.seq,
            parent: self.parent.map(|(run, _)| run),
            asking: self.index.asking.len() as u32,
            outliving: self.live().filter(|position| self.outlives_engine(*position)).count() as u32,
            reminds: self.reminds(),
        }
    }

    /// The open question with the shortest time between its reminders.
    fn reminds(&self) -> Option<(DateTime<Utc>, f64)> {
        let asked = self.asking().filter_map(|position| self.steps[position].question());
        let reminds = asked.filter_map(|(_, asked)| Some((asked.time, asked.question.remind_seconds?)));
        reminds.filter(|(_, seconds)| *seconds > 0.0).min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// The random tail of a run id, by which runs are shown (8 hex digits).
pub fn short_id(run_id: Uuid) -> String {
    let text = run_id.simple().to_string();
    text[text.len() - 8..].to_string()
}
