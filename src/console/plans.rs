//! Plan files: found and checked, in a task that may wait.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::plan::{self, Plan, Terms};

use super::runs_model::{PlanEntry, PlanFacts};

/// Reads a plan file and checks it: what the list shows of it, and the plan if it may be run.
pub async fn read(path: PathBuf, terms: Terms) -> (PlanEntry, Option<Arc<Plan>>) {
    let name = path.clone();
    let read = tokio::task::spawn_blocking(move || load(&path, &terms)).await;
    read.unwrap_or_else(|error| (unreadable(&name, &error.to_string()), None))
}

/// Reads every plan of a folder, by name. A folder that is not there holds none.
pub async fn list(folder: PathBuf, terms: Terms) -> Vec<PlanEntry> {
    let read = tokio::task::spawn_blocking(move || {
        let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            // The schema lies beside the plans.
            .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".schema.json")))
            .collect();
        paths.sort();
        paths.iter().map(|path| load(path, &terms).0).collect()
    });
    // A panic in a check is a plan that is not listed, not a console that is gone.
    read.await.unwrap_or_default()
}

/// Reads a plan's file, and not more of it than a plan may be. Pipes and devices are refused: whoever reads one may wait for ever, or get no end.
///
/// # Errors
/// It cannot be read, is no file, or is too large.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Without waiting for a writer, should it be a pipe.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(plan::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > plan::MAX_BYTES {
        let what = format!("it is larger than a plan may be ({} MiB)", plan::MAX_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

fn load(path: &Path, terms: &Terms) -> (PlanEntry, Option<Arc<Plan>>) {
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) => return (unreadable(path, &error.to_string()), None),
    };
    let name = path.display().to_string();
    let loaded = plan::check_bytes(&name, &bytes, terms);
    let problems = loaded.problems();
    let mut report = plan::render_text(&name, &String::from_utf8_lossy(&bytes), &loaded.diagnostics, false);
    if let Some(agents) = &terms.agents {
        report.push_str(&agents.render(&loaded.of_agents_file, false));
    }
    // What changes the run and cannot be honoured is a reason not to run it, though the plan is right.
    let refused = loaded.plan.as_ref().map_or(0, |plan| plan::unsupported(plan).len());
    let problems = problems + refused;
    let plan = loaded.plan.filter(|_| problems == 0).map(Arc::new);
    let plan_id = plan.as_ref().map_or_else(|| stem(path), |plan| plan.plan_id.clone());
    let facts = plan.as_deref().map(PlanFacts::from);
    (PlanEntry { path: path.to_path_buf(), plan: facts, plan_id, problems, report }, plan)
}

fn unreadable(path: &Path, error: &str) -> PlanEntry {
    let report = format!("{} cannot be read: {error}", path.display());
    PlanEntry { path: path.to_path_buf(), plan: None, plan_id: stem(path), problems: 1, report }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_file_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.json")).unwrap();
        let real = folder.path().join("real");
        std::fs::write(&real, r#"{"plan_id": "linked", "steps": [{"step_id": "one", "run": "true"}]}"#).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("link.json")).unwrap();
        let found = list(folder.path().to_path_buf(), Terms::default()).await;
        assert_eq!(found.len(), 3);
        assert!(found[0].plan.is_some(), "a link to a plan is one");
        for entry in &found[1..] {
            assert!(entry.report.contains("not a regular file"), "{}", entry.report);
        }
    }

    #[tokio::test]
    async fn plans_are_listed_by_name_and_bad_ones_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("b.json", r#"{"plan_id": "good", "steps": [{"step_id": "one", "run": "true"}]}"#);
        write("a.json", r#"{"plan_id": "bad", "stpes": []}"#);
        write("plan.schema.json", "{}");
        write("notes.txt", "no plan");
        let found = list(folder.path().to_path_buf(), Terms::default()).await;
        let names: Vec<&str> = found.iter().map(|entry| entry.plan_id.as_str()).collect();
        assert_eq!(names, ["a", "good"]);
        assert!(found[0].plan.is_none() && found[0].problems > 0 && found[0].report.contains("stpes"));
        assert!(found[1].plan.is_some());
        assert!(list(folder.path().join("nowhere"), Terms::default()).await.is_empty());
        assert!(read(folder.path().join("nowhere.json"), Terms::default()).await.0.report.contains("cannot be read"));
    }
}
