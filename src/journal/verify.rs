//! Whether a run's files are whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::run::{RunState, checkpoint_id};

use super::JOURNAL;
use super::checkpoint;
use super::error::{Cut, JournalError};
use super::first_line::{FirstLine, first_line, without_events};
use super::format::LineHash;
use super::replay::{Place, Tail, Wanted, fold, replay};
use super::store::{Owner, Store};

/// What [`Store::verify`] found.
#[derive(Debug)]
pub struct Verified {
    /// The run's folder.
    pub dir: PathBuf,
    /// How many events were read, in whole batches.
    pub events: u64,
    /// The newest whole place; its hash is the head hash.
    pub head: Option<Place>,
    /// How many full checkpoint files were compared.
    pub checkpoints: usize,
    /// The rest of a batch nobody is writing any more. Not damage: it was never acknowledged and will be cut off.
    pub cut: Option<Cut>,
    /// Who owns the run at this moment.
    pub owner: Option<Owner>,
    /// What is wrong; empty when all is whole.
    pub problems: Vec<Problem>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub path: PathBuf,
    /// Which line, from 1, where that can be said.
    pub line: Option<u64>,
    /// What is wrong, and what it means.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path.display(), self.what),
            None => write!(f, "{}: {}", self.path.display(), self.what),
        }
    }
}

impl Store {
    /// Reads all of a run's journal and checks every line, hash and batch; compares every full checkpoint file with the state replayed to
    /// its place. With `head`, also whether the journal still has the line with this hash: one that was rewritten or cut has not.
    ///
    /// # Errors
    /// The files cannot be read, are in a newer format, or hold no run. Damage is not an error here but a [`Problem`].
    pub fn verify(&self, dir: &Path, head: Option<LineHash>) -> Result<Verified, JournalError> {
        let disk = &**self.disk();
        let path = dir.join(JOURNAL);
        let owner = self.owner(dir);
        let mut verified = Verified {
            dir: dir.to_path_buf(),
            events: 0,
            head: None,
            checkpoints: 0,
            cut: None,
            owner: owner.clone(),
            problems: vec![],
        };
        let problem = |line: Option<u64>, what: String| Problem { path: path.clone(), line, what };
        let full = self.full_checkpoints(dir)?;
        let FirstLine { mut input, start, run_id } = match first_line(disk, dir) {
            Ok(opened) => opened,
            Err(JournalError::Damaged(damage)) => {
                verified.problems.push(problem(Some(damage.line), damage.what));
                return Ok(verified);
            }
            Err(error) => return Err(error),
        };
        let mut left: BTreeSet<u64> = full.into_iter().collect();
        let mut state: Option<RunState> = None;
        let mut head_seen = None;
        let mut wrong: Vec<Problem> = Vec::new();
        let mut compared = 0;
        let read = replay(&mut input, start, Wanted::default(), |batch, place| {
            fold(&mut state, &batch.events, run_id)?;
            if head == Some(place.hash) {
                head_seen = Some(*place);
            }
            if let (true, Some(state)) = (left.remove(&place.seq), &state) {
                compared += 1;
                let full = checkpoint::read(disk, dir, place.seq).map_err(checkpoint::Unusable::words);
                let found = full.and_then(|full| compare(&full.state, state));
                // The owner may have thinned it out meanwhile.
                let path = dir.join(checkpoint::file_name(place.seq));
                if let Err(what) = found
                    && disk.kind(&path).is_ok()
                {
                    wrong.push(Problem { path, line: None, what });
                }
            }
            Ok(())
        })
        .map_err(JournalError::io("read", &path))?;
        (verified.checkpoints, verified.problems, verified.events) = (compared, wrong, read.place.seq);
        verified.head = (read.place.seq > 0).then_some(read.place);
        match read.tail {
            Tail::Broken { line, what } => verified.problems.insert(0, problem(Some(line), what)),
            Tail::NoLineFeed if owner.is_none() => {
                let line = Some(Place::line_of(read.place.seq));
                verified.problems.push(problem(
                    line,
                    "its line feed is missing: it was changed, or the machine lost power at that very byte".into(),
                ));
            }
            Tail::Torn(cut) => verified.cut = Some(cut),
            Tail::Whole | Tail::NoLineFeed => {}
        }
        if verified.cut.is_some() && owner.is_some() {
            // A batch is being written at this moment.
            verified.cut = None;
        }
        if verified.events == 0 && verified.is_whole() {
            match without_events(disk, dir) {
                JournalError::Damaged(damage) => verified.problems.push(problem(Some(damage.line), damage.what)),
                never_begun => return Err(never_begun),
            }
        }
        if verified.is_whole() && verified.owner.is_none() {
            verified.problems.extend(left.into_iter().map(|seq| {
                let id = checkpoint_id(seq);
                let what =
                    format!("the journal has no batch that ends at {id}: it was cut, or this file is of another run");
                Problem { path: dir.join(checkpoint::file_name(seq)), line: None, what }
            }));
        }
        if let (Some(head), None) = (head, head_seen) {
            let what =
                format!("no batch ends with the hash {head}: the journal was rewritten or cut since that was printed");
            verified.problems.push(problem(None, what));
        }
        Ok(verified)
    }
}

/// Both as they are written: a state that was read back has lost what JSON does not keep.
fn compare(full: &RunState, replayed: &RunState) -> Result<(), String> {
    let text = |state: &RunState| {
        let mut written = serde_json::to_value(state).map_err(|error| error.to_string())?;
        // Nothing is decided from them, and a run that an older version has begun has not noted all of them.
        for noted in ["pauses", "worked_micros"] {
            written.as_object_mut().map(|fields| fields.remove(noted));
        }
        // The same holds of how what ends at a checkpoint has ended.
        for mark in written["checkpoints"].as_array_mut().into_iter().flatten() {
            mark.as_array_mut().into_iter().for_each(|mark| mark.truncate(5));
        }
        Ok::<_, String>(written)
    };
    let (full, replayed) = (text(full)?, text(replayed)?);
    if full == replayed {
        return Ok(());
    }
    let differs = |(name, value): (&String, &serde_json::Value)| (full.get(name) != Some(value)).then(|| name.clone());
    let fields: Vec<String> = replayed.as_object().into_iter().flatten().filter_map(differs).collect();
    Err(format!("it differs from the state the journal gives, in {}", fields.join(", ")))
}
