//! Plan files: found and checked, in a task that may wait.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use crate::engine::Stamp;
use crate::plan::{self, Loaded, Plan, Terms};

use super::runs_model::{PlanEntry, PlanFacts};

/// Lines of a plan in the picture of a mistake, in characters: what is longer would be broken in a box at 80 columns, and the sign below it would stand
/// under something else.
const LONGEST_LINE: usize = 58;

/// What was found in plan files: one that has not changed since is not read again. To read a plan of many thousand steps takes more memory, for a
/// moment, than to keep it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<Mutex<HashMap<PathBuf, (Stamp, PlanEntry)>>>);

impl Shelf {
    fn entries(&self) -> MutexGuard<'_, HashMap<PathBuf, (Stamp, PlanEntry)>> {
        // Whoever panicked has left whole entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was found in a file that had this stamp before it was read.
    pub fn put(&self, stamp: Stamp, entry: PlanEntry) {
        if stamp.is_settled() {
            self.entries().insert(entry.path.clone(), (stamp, entry));
        } else {
            self.entries().remove(&entry.path);
        }
    }

    fn get(&self, path: &Path) -> Option<PlanEntry> {
        let now = Stamp::at(path)?;
        self.entries().get(path).filter(|(stamp, _)| *stamp == now).map(|(_, entry)| entry.clone())
    }
}

/// Reads a plan file and checks it: what the list shows of it, and the plan if it may be run.
pub async fn read(path: PathBuf, terms: Terms, shelf: Shelf) -> (PlanEntry, Option<Arc<Plan>>) {
    let name = path.clone();
    let read = tokio::task::spawn_blocking(move || load(&path, &terms, &shelf)).await;
    read.unwrap_or_else(|error| (unreadable(&name, &error.to_string()), None))
}

/// Every plan of a folder, by name; those that are not on the shelf are read. A folder that is not there holds none.
pub async fn list(folder: PathBuf, terms: Terms, shelf: Shelf) -> Vec<PlanEntry> {
    let read = tokio::task::spawn_blocking(move || {
        let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            // The schema lies beside the plans.
            .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".schema.json")))
            .collect();
        paths.sort();
        paths.iter().map(|path| shelf.get(path).unwrap_or_else(|| load(path, &terms, &shelf).0)).collect()
    });
    // A panic in a check is a plan that is not listed, not a console that is gone.
    read.await.unwrap_or_default()
}

/// Reads a plan's file, and not more of it than a plan may be. Pipes and devices are refused: whoever reads one may wait for ever, or get no end.
///
/// # Errors
/// It cannot be read, is no file, or is too large.
pub fn bytes(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // Without waiting for a writer, should it be a pipe.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(plan::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > plan::MAX_BYTES {
        let what = format!("it is larger than a plan may be ({} MiB)", plan::MAX_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok((bytes, Stamp::of(&found)))
}

fn load(path: &Path, terms: &Terms, shelf: &Shelf) -> (PlanEntry, Option<Arc<Plan>>) {
    let (bytes, stamp) = match bytes(path) {
        Ok(read) => read,
        Err(error) => return (unreadable(path, &error.to_string()), None),
    };
    let loaded = plan::check_bytes(&path.display().to_string(), &bytes, terms);
    let entry = entry(path, &String::from_utf8_lossy(&bytes), &loaded, terms);
    shelf.put(stamp, entry.clone());
    let plan = loaded.plan.filter(|_| entry.problems == 0).map(Arc::new);
    (entry, plan)
}

/// What the list shows of a plan file with this text, in which this was found.
pub fn entry(path: &Path, text: &str, found: &Loaded, terms: &Terms) -> PlanEntry {
    let mut report = plan::render_within(&path.display().to_string(), text, &found.diagnostics, false, LONGEST_LINE);
    if let Some(agents) = &terms.agents {
        report.push_str(&agents.render_within(&found.of_agents_file, false, LONGEST_LINE));
    }
    // What changes the run and cannot be honoured is a reason not to run it, though the plan is right.
    let refused = found.plan.as_ref().map_or(0, |plan| plan::unsupported(plan).len());
    let problems = found.problems() + refused;
    let plan = found.plan.as_ref().filter(|_| problems == 0);
    let plan_id = plan.map_or_else(|| stem(path), |plan| plan.plan_id.clone());
    PlanEntry { path: path.to_path_buf(), plan: plan.map(PlanFacts::from), plan_id, problems, report }
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
        let found = list(folder.path().to_path_buf(), Terms::default(), Shelf::default()).await;
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
        let found = list(folder.path().to_path_buf(), Terms::default(), Shelf::default()).await;
        let names: Vec<&str> = found.iter().map(|entry| entry.plan_id.as_str()).collect();
        assert_eq!(names, ["a", "good"]);
        assert!(found[0].plan.is_none() && found[0].problems > 0 && found[0].report.contains("stpes"));
        assert!(found[1].plan.is_some());
        assert!(list(folder.path().join("nowhere"), Terms::default(), Shelf::default()).await.is_empty());
        let nowhere = folder.path().join("nowhere.json");
        assert!(read(nowhere, Terms::default(), Shelf::default()).await.0.report.contains("cannot be read"));
    }

    #[test]
    fn a_mistake_in_a_long_line_is_pointed_at_where_no_line_is_broken() {
        let before = format!(r#"{{"plan_id": "long", "description": "{}", "steps": "#, "words ".repeat(20));
        let text = format!("{before}3, \"metadata\": {{\"x\": \"{}\"}}}}", "more ".repeat(30));
        let found = plan::check_bytes("long.json", text.as_bytes(), &Terms::default());
        let report = entry(Path::new("long.json"), &text, &found, &Terms::default()).report;
        let lines: Vec<&str> = report.lines().collect();
        let at = lines.iter().position(|line| line.contains("\"steps\": 3")).unwrap_or_else(|| panic!("{report}"));
        assert!(lines[at].chars().count() <= 70 - 4, "{report}");
        let column = |line: &str, sign: &str| line.find(sign).map(|place| line[..place].chars().count());
        assert_eq!(column(lines[at + 1], "^"), column(lines[at], "3, \""), "{report}");
    }

    #[tokio::test]
    async fn a_plan_is_read_again_only_when_its_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        let text = |id: &str| format!(r#"{{"plan_id": "{id}", "steps": [{{"step_id": "one", "run": "true"}}]}}"#);
        let shelf = Shelf::default();
        let listed = async |shelf: &Shelf| {
            let found = list(folder.path().to_path_buf(), Terms::default(), shelf.clone()).await;
            found[0].plan_id.clone()
        };
        std::fs::write(&path, text("first")).unwrap();
        while !Stamp::at(&path).unwrap().is_settled() {
            tokio::task::yield_now().await;
        }
        assert_eq!(listed(&shelf).await, "first");
        let length = || std::fs::metadata(&path).unwrap().len();
        let before = length();
        // What is on the shelf is taken: the file is not looked into.
        shelf.entries().get_mut(&path).unwrap().1.plan_id = "from the shelf".into();
        assert_eq!(listed(&shelf).await, "from the shelf");
        // As long as before, and it claims to be as old: it was written to all the same.
        std::fs::write(&path, text("later")).unwrap();
        std::fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(listed(&shelf).await, "later");
        assert_eq!(length(), before);
    }
}
