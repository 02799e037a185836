//! Full checkpoint files: `checkpoint-<seq>.json`, the whole state at a place in the journal.
//!
//! They are a cache of the journal, there to be read by people and to make opening, listing and restoring quick. One that is damaged is
//! ignored, and replay starts earlier. One that is whole and whose place the journal does not have is a witness: it was made of durable
//! events, so the journal has lost them. The first line of the file is an object's beginning with all that a
//! list needs, so that a thousand runs are listed without parsing a thousand states, and a hash of it; the file ends with a hash of what is
//! before it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::run::{Durability, EarlierRun, RunState, RunSummary, StepStatus, checkpoint_id};

use super::disk::{Disk, DiskFile, Kind};
use super::format::{self, SUFFIX};
use super::replay::Place;
use super::{JOURNAL, JournalError};

/// The version of the checkpoint files this program writes. A newer one is ignored: the journal is the truth.
pub const CHECKPOINT_VERSION: u64 = 1;
/// What stands in the first line before the hash of what is before it.
const HEAD_HASH: &str = ",\"head_hash\":\"";
/// The first line of a checkpoint file is not longer, in bytes.
const MAX_HEAD: u64 = 64 << 10;
/// A file of no more bytes is in memory as a whole while it is parsed, which takes a fifth less time.
const AT_ONCE: u64 = 16 << 20;
/// So much of a file is read at once, in bytes.
const PART: usize = 256 << 10;
/// A full file is superfluous when without it no stretch between two others is longer than this share of the journal, in percent.
const STRETCH_PERCENT: u64 = 36;

/// What the first line of a checkpoint file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointHead {
    /// Version of the format of the file.
    pub holdpoint_checkpoint: u64,
    /// Made from the sequence number.
    pub checkpoint_id: String,
    /// The plan's id.
    pub plan_id: String,
    /// How many steps were completed or skipped.
    pub step_index: u32,
    /// When the newest event was decided.
    pub timestamp: DateTime<Utc>,
    /// The run's id.
    pub run_id: Uuid,
    /// The place in the journal; absent where it is not after a whole batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Place>,
    /// The run's line in lists.
    pub summary: RunSummary,
}

/// The checkpoint of a state as a JSON object, with the older system's fields (`checkpoint_id`, `plan_id`, `step_index`,
/// `completed_steps`, `plan_state`, `context`, `timestamp`) and more.
pub fn checkpoint_document(state: &RunState, place: Option<Place>) -> Value {
    let mut document = serde_json::to_value(head(state, place)).unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        fields.insert("completed_steps".into(), json!(completed(state)));
        fields.insert("context".into(), context(state));
        fields.insert("plan_state".into(), serde_json::to_value(state).unwrap_or_default());
    }
    document
}

fn head(state: &RunState, journal: Option<Place>) -> CheckpointHead {
    CheckpointHead {
        holdpoint_checkpoint: CHECKPOINT_VERSION,
        checkpoint_id: checkpoint_id(state.seq),
        plan_id: state.plan.plan_id.clone(),
        step_index: state.step_index(),
        timestamp: state.updated_at,
        run_id: state.run_id,
        journal,
        summary: state.summary(),
    }
}

fn completed(state: &RunState) -> Vec<&str> {
    let done = state.steps.iter().zip(&state.plan.steps).filter(|(step, _)| step.status == StepStatus::Completed);
    done.map(|(_, step)| step.step_id.as_str()).collect()
}

fn context(state: &RunState) -> Value {
    json!({
        "status": state.status,
        "paused": state.paused,
        "plan_version": state.plan_version,
        "user": state.user,
        "options": state.options,
    })
}

/// Writes a checkpoint file's content, put together in `buffer`. Gives its size.
pub(super) fn write(file: &dyn DiskFile, buffer: &mut Vec<u8>, state: &RunState, place: Place) -> io::Result<u64> {
    let mut head = serde_json::to_vec(&head(state, Some(place)))?;
    head.pop();
    let hash = format::LineHash::of(None, &head);
    let mut out = format::LineWriter::new(file, buffer);
    out.write_all(&head)?;
    out.write_all(HEAD_HASH.as_bytes())?;
    out.write_all(hash.as_str().as_bytes())?;
    out.write_all(b"\",\n\"completed_steps\":")?;
    serde_json::to_writer(&mut out, &completed(state))?;
    out.write_all(b",\n\"context\":")?;
    serde_json::to_writer(&mut out, &context(state))?;
    out.write_all(b",\n\"plan_state\":")?;
    serde_json::to_writer(&mut out, state)?;
    out.close()
}

/// The name of the full file at a place.
pub(super) fn file_name(seq: u64) -> String {
    format!("checkpoint-{seq}.json")
}

fn seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("checkpoint-")?.strip_suffix(".json")?;
    let seq = digits.parse().ok()?;
    (file_name(seq) == name).then_some(seq)
}

/// The places that have a full file, oldest first.
pub(super) fn full_files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut found: Vec<u64> = disk
        .list(dir)?
        .iter()
        .filter(|entry| entry.kind == Kind::File)
        .filter_map(|entry| seq_of(&entry.name))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Which full files may go: all but the first, the newest, and so many between them that no stretch is longer than a share of the whole.
/// So there are a handful at the most, and restoring from any place replays about a third of the journal at the most.
pub(super) fn superfluous(seqs: &[u64]) -> Vec<u64> {
    let [first, .., newest] = seqs else { return Vec::new() };
    let stretch = u128::from(*newest) * u128::from(STRETCH_PERCENT) / 100;
    let mut kept = *first;
    let mut gone = Vec::new();
    for pair in seqs[1..].windows(2) {
        if u128::from(pair[1] - kept) <= stretch {
            gone.push(pair[0]);
        } else {
            kept = pair[0];
        }
    }
    gone
}

/// A full checkpoint that was read back.
#[derive(Debug)]
pub(super) struct Full {
    pub state: RunState,
    pub place: Place,
    pub size: u64,
}

/// Why a full file is not what reading starts from.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is not whole, in a newer format, or of another run; in words.
    Corrupt(String),
    /// It is whole and of this run, and the journal does not have its line at its place.
    NotInJournal(Box<Full>),
}

impl Unusable {
    /// Why, in words.
    pub(super) fn words(self) -> String {
        match self {
            Unusable::Corrupt(what) => what,
            Unusable::NotInJournal(_) => NOT_IN_JOURNAL.into(),
        }
    }
}

const NOT_IN_JOURNAL: &str = "the journal does not have this checkpoint's line at its place";

/// Reads a full file and checks it against itself and against the journal.
pub(super) fn read(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<Full, Unusable> {
    let full = read_alone(disk, dir, seq).map_err(Unusable::Corrupt)?;
    match fits(disk, dir, full.place) {
        Ok(true) => Ok(full),
        Ok(false) => Err(Unusable::NotInJournal(Box::new(full))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unusable::NotInJournal(Box::new(full))),
        Err(error) => Err(Unusable::Corrupt(format!("the journal cannot be read: {error}"))),
    }
}

/// What an earlier run tells, from a full file that is whole and whose place the journal has. In memory there is a part of the file at a time.
pub(super) fn read_earlier(disk: &dyn Disk, dir: &Path, seq: u64) -> Option<EarlierRun> {
    let (document, _) = read_document(disk, dir, seq, |run: &EarlierRun| (run.run_id(), run.seq())).ok()?;
    fits(disk, dir, document.journal).ok()?.then_some(document.plan_state)
}

/// Reads a full file and checks it against itself. The error says in words what is wrong.
fn read_alone(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<Full, String> {
    let (document, size) = read_document(disk, dir, seq, |state: &RunState| (state.run_id, state.seq))?;
    let (mut state, place) = (document.plan_state, document.journal);
    state.reindex();
    Ok(Full { state, place, size })
}

/// A full file, as far as it is read.
#[derive(Deserialize)]
struct Document<State> {
    holdpoint_checkpoint: u64,
    run_id: Uuid,
    journal: Place,
    plan_state: State,
}

/// The same for whatever is wanted of the state, of which `whose` says the run's id and the newest event's number; and the file's size in bytes.
fn read_document<State: DeserializeOwned>(
    disk: &dyn Disk,
    dir: &Path,
    seq: u64,
    whose: impl Fn(&State) -> (Uuid, u64),
) -> Result<(Document<State>, u64), String> {
    let unread = |error: io::Error| format!("it cannot be read: {error}");
    let file = disk.open_read(&dir.join(file_name(seq))).map_err(unread)?;
    let size = file.length().map_err(unread)?;
    // Read twice, and a part at a time where it is large: it may be as large as all that this program otherwise needs.
    let mut input = io::BufReader::with_capacity(PART, file);
    match format::read_whole(&mut input, size).map_err(unread)? {
        None => return Err("it is not complete".into()),
        Some(false) => return Err("its hash does not fit: it was changed".into()),
        Some(true) => {}
    }
    input.rewind().map_err(unread)?;
    let parsed = if size > AT_ONCE {
        serde_json::from_reader(input)
    } else {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(unread)?;
        serde_json::from_slice(&bytes)
    };
    let document: Document<State> = parsed.map_err(|error| format!("it cannot be read: {error}"))?;
    if document.holdpoint_checkpoint > CHECKPOINT_VERSION {
        return Err(format!("it is in the newer format version {}", document.holdpoint_checkpoint));
    }
    let ours = document.run_id;
    if whose(&document.plan_state) != (ours, seq) || document.journal.seq != seq || !is_folder_of(dir, ours) {
        return Err("it is the checkpoint of another place or run".into());
    }
    Ok((document, size))
}

/// Whether the journal has the line a place names, at that place.
pub(super) fn fits(disk: &dyn Disk, dir: &Path, place: Place) -> io::Result<bool> {
    let mut file = disk.open_read(&dir.join(JOURNAL))?;
    // The line feed may be missing after the last line.
    let length = file.length()?;
    let end = length.min(place.bytes);
    let Some(start) = place.bytes.checked_sub(SUFFIX as u64 + 1) else { return Ok(false) };
    if end + 1 < place.bytes {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    let ending = format!(",\"hash\":\"{}\"}}\n", place.hash);
    let ending = &ending.as_bytes()[..ending.len() - usize::try_from(place.bytes - end).unwrap_or_default()];
    Ok(bytes == ending)
}

/// Whether a run's folder is called as the run is: one that is not is a copy.
pub(super) fn is_folder_of(dir: &Path, run_id: Uuid) -> bool {
    dir.file_name().is_some_and(|name| name.to_str() == Some(&run_id.to_string()))
}

/// What a run's full files come to.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The newest that fits the journal.
    pub full: Option<Full>,
    /// A newer one that shows that the journal has lost what was acknowledged.
    pub witness: Option<Box<Full>>,
    /// What is wrong with the newer ones.
    pub ignored: Vec<IgnoredCheckpoint>,
}

/// The newest full file at or before a place that can be used, and what the newer ones say.
pub(super) fn newest(disk: &dyn Disk, dir: &Path, at_most: u64) -> Result<Newest, JournalError> {
    let mut newest = Newest::default();
    let found = full_files(disk, dir).map_err(JournalError::io("list", dir))?;
    for seq in found.into_iter().rev().filter(|seq| *seq <= at_most) {
        let path = dir.join(file_name(seq));
        match read(disk, dir, seq) {
            Ok(full) => {
                newest.full = Some(full);
                break;
            }
            // Thinned out by its owner since it was listed.
            Err(_) if disk.kind(&path).is_err() => {}
            Err(Unusable::NotInJournal(full)) if full.state.options.durability == Durability::Full => {
                newest.witness.get_or_insert(full);
            }
            Err(Unusable::NotInJournal(_)) => {
                let what = format!("{NOT_IN_JOURNAL}; with relaxed durability a power cut may take the newest events");
                newest.ignored.push(IgnoredCheckpoint { path, what });
            }
            Err(Unusable::Corrupt(what)) => newest.ignored.push(IgnoredCheckpoint { path, what }),
        }
    }
    Ok(newest)
}

/// The newest full file that is whole, whatever the journal says, or does not say any more.
pub(super) fn newest_whole(disk: &dyn Disk, dir: &Path, at_most: u64) -> Option<Full> {
    let found = full_files(disk, dir).ok()?;
    found.into_iter().rev().filter(|seq| *seq <= at_most).find_map(|seq| read_alone(disk, dir, seq).ok())
}

impl Full {
    /// How the journal, which is whole up to `end`, is damaged when this file's place is not in it.
    pub(super) fn testify(&self, end: &Place) -> (u64, String) {
        let file = file_name(self.place.seq);
        if end.seq < self.place.seq {
            let what = format!(
                "the journal ends before it, though {file} shows that events up to {} were acknowledged: it was cut",
                self.place.seq
            );
            (Place::line_of(end.seq + 1), what)
        } else {
            (
                Place::line_of(self.place.seq),
                format!("it is not the line of which {file} was made: the journal was rewritten"),
            )
        }
    }
}

/// A full checkpoint file that was not used. Nothing is lost by that: the journal is the truth.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is ignored: {what}. Nothing is lost: the state was made from the journal", path.display())]
pub struct IgnoredCheckpoint {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub what: String,
}

/// Only the first line of the newest full file, checked against its hash and the journal: for lists.
pub(super) fn newest_head(disk: &dyn Disk, dir: &Path, seqs: &[u64]) -> Option<CheckpointHead> {
    let file = disk.open_read(&dir.join(file_name(*seqs.last()?))).ok()?;
    let mut line = Vec::new();
    let mut input = io::BufReader::new(file.take(MAX_HEAD));
    io::BufRead::read_until(&mut input, b'\n', &mut line).ok()?;
    let end = line.strip_suffix(b"\",\n")?.len().checked_sub(64)?;
    let hash = std::str::from_utf8(&line[end..end + 64]).ok()?.parse().ok()?;
    // Files that were written before there was one have none, and are read as a whole by whoever wants to know.
    let end = line[..end].strip_suffix(HEAD_HASH.as_bytes())?.len();
    line.truncate(end);
    if format::LineHash::of(None, &line) != hash {
        return None;
    }
    line.push(b'}');
    let head: CheckpointHead = serde_json::from_slice(&line).ok()?;
    let place = head.journal?;
    let ours = is_folder_of(dir, head.run_id) && head.run_id == head.summary.run_id;
    let usable = ours && head.holdpoint_checkpoint <= CHECKPOINT_VERSION && fits(disk, dir, place).ok()?;
    usable.then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_first_the_newest_and_no_long_stretch_between() {
        let mut kept: Vec<u64> = Vec::new();
        let mut most = 0;
        for seq in (1..=10_000).step_by(7) {
            kept.push(seq);
            let gone = superfluous(&kept);
            kept.retain(|seq| !gone.contains(seq));
            most = most.max(kept.len());
            assert_eq!((kept[0], *kept.last().unwrap()), (1, seq));
            assert!(kept.windows(2).all(|pair| pair[1] - pair[0] <= (seq * 36 / 100).max(7)), "{kept:?}");
        }
        assert!(most <= 7, "{most} files");
        assert!(superfluous(&[]).is_empty());
        assert!(superfluous(&[3]).is_empty());
        assert!(superfluous(&[3, 4]).is_empty());
    }

    #[test]
    fn only_names_of_full_files_are_taken_for_one() {
        assert_eq!(seq_of("checkpoint-42.json"), Some(42));
        for name in
            ["checkpoint-042.json", "checkpoint-42.json.new", "checkpoint-.json", "checkpoint-x.json", "42.json"]
        {
            assert_eq!(seq_of(name), None, "{name}");
        }
    }
}
