//! Runs that another process has open: they are looked at as they lie on the disk, or this console acts on them in the engine of that process, as one
//! does that was started by `attach`. What this console runs itself goes on beside that.

use uuid::Uuid;

use crate::engine::Owner;
use crate::run::RunStatus;

use super::app::{App, Effect, Place};
use super::run_model::Ownership;
use super::runs_model::RowId;

/// A process, as it is spoken of.
pub(super) fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// Why a run that a process has open can only be looked at; `None`: it can be attached to.
pub(super) fn unreached(owner: &Owner) -> Option<String> {
    let who = process(owner.pid);
    owner.address.is_none().then(|| format!("{who} has this run open and listens to nobody: it can only be looked at"))
}

impl App {
    /// Whether the run that is selected, or looked at, can be attached to.
    ///
    /// # Errors
    /// Why it cannot, in a sentence for the operator.
    pub(super) fn attachable(&self) -> Result<(), String> {
        let reach = |owner: &Owner| unreached(owner).map_or(Ok(()), Err);
        if self.place == Place::Runs {
            return match &self.runs.selected {
                Some(RowId::Run(id)) => match self.runs.run(*id) {
                    Some(run) if run.ours => Err(self.keys.fill("it is this console's own: {open} opens it")),
                    Some(run) => match run.elsewhere() {
                        Some(owner) => reach(owner),
                        None => Err(self.keys.fill("no process has it open: {open} shows it")),
                    },
                    None => Err("nothing is selected".into()),
                },
                Some(RowId::Plan(_)) => Err(self.keys.fill("a plan is no run yet: {open} opens it")),
                None => Err("nothing is selected".into()),
            };
        }
        let run = self.run.as_ref().ok_or("no run is open")?;
        match &run.ownership {
            Ownership::Ours => Err("it is this console's own".into()),
            Ownership::Attached(pid) => Err(format!("this console is attached to process {pid} already")),
            Ownership::Elsewhere(owner) => reach(owner),
            Ownership::Nobody if run.state.status.is_ended() || run.state.status == RunStatus::Idle => {
                Err("no process has it open".into())
            }
            Ownership::Nobody => Err(self.keys.fill("no process has it open: {resume} goes on with it here")),
            Ownership::Damaged(_) => Err("its journal is damaged, and no process has it open".into()),
        }
    }

    /// Whether the run that is selected, or looked at, is one of another process.
    pub(super) fn is_elsewhere(&self) -> bool {
        match (self.place, &self.runs.selected) {
            (Place::Runs, Some(RowId::Run(id))) => self.runs.run(*id).is_some_and(|run| run.elsewhere().is_some()),
            (Place::Runs, _) => false,
            _ => self.run.as_ref().is_some_and(|run| matches!(run.ownership, Ownership::Elsewhere(_))),
        }
    }

    /// From now on this console acts on the run wherever it is open.
    pub(super) fn attach(&mut self) -> Vec<Effect> {
        let run = match (self.place, &self.runs.selected) {
            (Place::Runs, Some(RowId::Run(id))) => *id,
            (Place::Runs, _) => return Vec::new(),
            _ => match &self.run {
                Some(run) => run.id(),
                None => return Vec::new(),
            },
        };
        self.steered.insert(run);
        self.say("attaching to the process that has it open");
        if self.place == Place::Runs { self.open(run, false) } else { vec![Effect::Attach(run)] }
    }

    /// The run is followed in the engine of this process.
    pub(super) fn told_of_attaching(&mut self, run: Uuid, through: Option<u32>) {
        let known = self.run.as_ref().is_some_and(|open| open.id() == run && open.ownership.is_reached());
        if let Some(pid) = through.filter(|_| !known && self.steered.contains(&run)) {
            let said = format!("attached to process {pid}: keys act on it there; {{back}} leaves it running");
            self.say(self.keys.fill(&said));
        }
    }

    /// The engine of a run's process is not reached any more, or never was: what lies on the disk is looked at.
    pub(super) fn detached(&mut self, run: Uuid, error: Option<String>) -> Vec<Effect> {
        self.steered.remove(&run);
        let open = self.run.as_ref().filter(|open| open.id() == run);
        let looked_at = self.opening == Some(run) || open.is_some_and(|open| open.ownership != Ownership::Ours);
        if !looked_at {
            return Vec::new();
        }
        let pid = match open.map(|open| &open.ownership) {
            Some(Ownership::Attached(pid)) => Some(*pid),
            _ => None,
        };
        self.complain(match error {
            Some(why) => format!("attach: not done, {why}"),
            None => format!("{} has let the run go; what you see is what is on the disk", process(pid)),
        });
        vec![Effect::Load(run), Effect::ListRuns]
    }

    /// Whether the open run is followed in the engine of another process than the one that this console was opened on.
    pub(super) fn is_attached_beside(&self) -> bool {
        let attached = self.run.as_ref().map(|run| &run.ownership);
        matches!(attached, Some(Ownership::Attached(pid)) if self.settings.attached != Some(*pid))
    }
}
