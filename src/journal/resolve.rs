//! Which run is meant: an id, a unique part of one, a plan's id, or `latest`.

use std::path::PathBuf;

use uuid::Uuid;

use crate::run::short_id;

use super::error::JournalError;
use super::store::Store;

/// No run, or no single run, is meant.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is none.
    #[error("no run in {} is called `{name}`: give a run id, the beginning of one or of the short one that is shown, a plan id, or `latest`{}", root.display(), hint(*known))]
    NotFound {
        /// What was given.
        name: String,
        /// Where it was looked for.
        root: PathBuf,
        /// How many runs there are.
        known: usize,
    },
    /// There are several.
    #[error("`{name}` fits {} runs: {}", found.len(), list(found))]
    Ambiguous {
        /// What was given.
        name: String,
        /// The runs it fits, newest first.
        found: Vec<Uuid>,
    },
    /// The folder cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn hint(known: usize) -> String {
    match known {
        0 => " (there are no runs there yet)".into(),
        known => format!(" (`holdpoint runs` lists the {known} that are there)"),
    }
}

fn list(found: &[Uuid]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = found.iter().take(SHOWN).map(Uuid::to_string).collect();
    if found.len() > SHOWN {
        text.push("…".into());
    }
    text.join(", ")
}

impl Store {
    /// The folder of the run that is meant: a run id, `latest`, a plan id (its newest run), or what only one run has: the beginning
    /// or end of its id, or the beginning of its short id.
    ///
    /// # Errors
    /// None or several are meant, or the folder cannot be read.
    pub fn resolve(&self, name: &str) -> Result<(Uuid, PathBuf), ResolveError> {
        let run_ids = self.run_ids()?;
        let found = |run_id: Uuid| Ok((run_id, self.dir(run_id)));
        if let Some(run_id) = Uuid::parse_str(name).ok().filter(|run_id| run_ids.contains(run_id)) {
            return found(run_id);
        }
        let not_found = || ResolveError::NotFound { name: name.into(), root: self.root().into(), known: run_ids.len() };
        if name == "latest" {
            // Ids are made from the time, so the newest comes first; a folder whose making was interrupted is no run.
            let begun = run_ids.iter().find(|run_id| self.list_run(&self.dir(**run_id)).is_ok());
            return found(begun.or(run_ids.first()).copied().ok_or_else(not_found)?);
        }
        let digits: String = name.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let is_part = !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = |run_id: &&Uuid| {
            let own = run_id.simple().to_string();
            // The short one that is shown is its end: whoever types its first letters means it as well.
            own.starts_with(&digits) || own.ends_with(&digits) || short_id(**run_id).starts_with(&digits)
        };
        let fitting: Vec<Uuid> = if is_part { run_ids.iter().filter(fits).copied().collect() } else { Vec::new() };
        // A plan's id is a name somebody chose, so it goes before a part of an id. Newest first: the first that has it is the one.
        let of_plan = run_ids
            .iter()
            .find(|run_id| self.list_run(&self.dir(**run_id)).is_ok_and(|run| run.summary.plan_id == name));
        match (of_plan, fitting.as_slice()) {
            (Some(run_id), _) | (None, [run_id]) => found(*run_id),
            (None, []) => Err(not_found()),
            (None, several) => Err(ResolveError::Ambiguous { name: name.into(), found: several.to_vec() }),
        }
    }
}
