//! Writing what is known of a run to a file in the working directory.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::Utc;
use uuid::Uuid;

use crate::engine::EngineHandle;
use crate::run::{short_id, snapshot};

/// So many files of one second get names of their own.
const NAMES: u32 = 100;

/// Writes a run's snapshot, or only its interventions, as JSON: the whole file or none, never over another one, for its owner only.
///
/// # Errors
/// The run cannot be read or the file cannot be written; says which.
pub async fn write(handle: &EngineHandle, run: Uuid, interventions: bool) -> Result<PathBuf, String> {
    let state = handle.state(run).await.map_err(|rejection| rejection.to_string())?;
    let now = Utc::now();
    let written = tokio::task::spawn_blocking(move || {
        let mut document = snapshot(&state, now);
        let what = if interventions { "interventions" } else { "snapshot" };
        if interventions {
            document = document["interventions"].take();
        }
        let stem = format!("{}-{}-{what}-{}", state.plan.plan_id, short_id(run), now.format("%Y%m%dT%H%M%SZ"));
        let folder = std::env::current_dir().map_err(|error| format!("the working directory: {error}"))?;
        let text = serde_json::to_vec_pretty(&document).map_err(|error| error.to_string())?;
        put(&folder, &stem, &text).map_err(|error| format!("{} cannot be written: {error}", folder.display()))
    });
    written.await.map_err(|error| error.to_string())?
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
