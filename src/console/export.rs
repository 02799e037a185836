//! Writing what is known of a run to a file in the working directory.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::Utc;
use serde_json::Value;
use uuid::Uuid;

use crate::engine::EngineHandle;
use crate::run::{short_id, snapshot};

use super::event::Exported;
use super::words;

/// So many files of one second get names of their own.
const NAMES: u32 = 100;

/// Writes a run's snapshot, or only its interventions, as JSON: the whole file or none, never over another one, for its owner only. Gives what was
/// written, in words, and where.
///
/// # Errors
/// The run cannot be read or the file cannot be written; says which.
pub async fn write(handle: &EngineHandle, run: Uuid, what: Exported) -> Result<(String, PathBuf), String> {
    let state = handle.state(run).await.map_err(|rejection| rejection.to_string())?;
    let now = Utc::now();
    let written = tokio::task::spawn_blocking(move || {
        let mut document = snapshot(&state, now);
        let (name, said) = match what {
            Exported::Snapshot => ("snapshot", "the snapshot".to_owned()),
            Exported::Interventions(only) => {
                document = document["interventions"].take();
                let all = document.as_array().map_or(0, Vec::len);
                if let (Some(only), Some(list)) = (&only, document.as_array_mut()) {
                    *list = only.iter().filter_map(|place| list.get_mut(*place).map(Value::take)).collect();
                }
                ("interventions", how_many(only.map(|only| only.len()), all))
            }
        };
        let stem = format!("{}-{}-{name}-{}", state.plan.plan_id, short_id(run), now.format("%Y%m%dT%H%M%SZ"));
        let folder = std::env::current_dir().map_err(|error| format!("the working directory: {error}"))?;
        let text = serde_json::to_vec_pretty(&document).map_err(|error| error.to_string())?;
        let path =
            put(&folder, &stem, &text).map_err(|error| format!("{} cannot be written: {error}", folder.display()))?;
        Ok((said, path))
    });
    written.await.map_err(|error| error.to_string())?
}

fn how_many(only: Option<usize>, all: usize) -> String {
    match only {
        Some(only) => format!("{only} of {}", words::count(all, "intervention")),
        None => words::count(all, "intervention"),
    }
}

fn put(folder: &Path, stem: &str, text: &[u8]) -> std::io::Result<PathBuf> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    for number in 1..NAMES {
        let name = if number == 1 { format!("{stem}.json") } else { format!("{stem}-{number}.json") };
        let path = folder.join(name);
        match file.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(error.error),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_for_its_owner_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let one = put(dir.path(), "run", b"{}").unwrap();
        let other = put(dir.path(), "run", b"[]").unwrap();
        assert_eq!(
            (one.file_name().unwrap(), other.file_name().unwrap()),
            ("run.json".as_ref(), "run-2.json".as_ref())
        );
        assert_eq!(std::fs::read(&one).unwrap(), b"{}\n");
        assert_eq!(std::fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }
}
