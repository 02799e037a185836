//! Nothing survives the engine: the warden, and what recovery finds when even the warden was killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdpoint::agents::{Stop, Warden, run_attempt, stop_survivors, survivors};
use holdpoint::run::OutcomeStatus;
use uuid::Uuid;

use crate::agents::{Bench, eventually, is_alive, sh};

const HELPER: &str = "HOLDPOINT_TEST_HELPER_ENGINE";

/// Not a test: an engine for [`nothing_survives_the_engine`] to kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test"]
async fn helper_engine() {
    let Some(folder) = std::env::var_os(HELPER) else { return };
    let folder = Path::new(&folder);
    let mut bench = Bench::new();
    std::fs::write(
        folder.join("stubborn"),
        "trap '' TERM HUP INT; echo $$ > $1.new; mv $1.new $1; while :; do sleep 0.05; done",
    )
    .unwrap();
    let mut attempts = Vec::new();
    for (name, line) in [
        ("plain", "exec sh ./stubborn plain"),
        ("bare", "exec env -i sh ./stubborn bare"),
        ("escaped", "setsid sh ./stubborn escaped & exec sleep 1000"),
    ] {
        bench.step.step_id = name.into();
        let (mut context, handle) = bench.context(sh(line));
        context.working_dir = folder.to_path_buf();
        context.output_path = folder.join(format!("{name}.log"));
        context.key = name.into();
        attempts.push((tokio::spawn(run_attempt(context)), handle));
    }
    eventually("the warden runs", || bench.warden.pid()).await;
    std::fs::write(folder.join("ids.new"), format!("{} {}", bench.warden.pid().unwrap(), bench.run_id)).unwrap();
    std::fs::rename(folder.join("ids.new"), folder.join("ids")).unwrap();
    for (attempt, _) in attempts {
        attempt.await.unwrap();
    }
}

struct Helper {
    folder: tempfile::TempDir,
    engine: std::process::Child,
    warden: i32,
    run_id: Uuid,
    pids: Vec<i32>,
}

async fn helper() -> Helper {
    let folder = tempfile::tempdir().unwrap();
    let engine = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["agents_warden::helper_engine", "--exact", "--ignored", "--nocapture"])
        .env(HELPER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok().filter(|text| !text.is_empty());
    let ids = eventually("the helper engine is up", || read("ids")).await;
    let (warden, run_id) = ids.split_once(' ').unwrap();
    let mut pids = Vec::new();
    for name in ["plain", "bare", "escaped"] {
        pids.push(eventually(name, || read(name)?.trim().parse::<i32>().ok()).await);
    }
    Helper { warden: warden.parse().unwrap(), run_id: run_id.parse().unwrap(), engine, pids, folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_the_engine() {
    let mut helper = helper().await;
    assert!(helper.pids.iter().all(|pid| is_alive(*pid)));
    // What a terminal sends when it goes away does not reach the warden.
    for signal in ["-TERM", "-INT", "-HUP"] {
        std::process::Command::new("kill").args([signal, &helper.warden.to_string()]).status().unwrap();
    }
    helper.engine.kill().unwrap();
    helper.engine.wait().unwrap();
    eventually("all are gone", || helper.pids.iter().all(|pid| !is_alive(*pid)).then_some(())).await;
    eventually("the warden goes too", || (!is_alive(helper.warden)).then_some(())).await;
    drop(helper.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survivors_are_found_and_stopped() {
    let mut helper = helper().await;
    // Engine and warden at one blow: nobody is left to clear up.
    std::process::Command::new("kill")
        .args(["-9", &helper.warden.to_string(), &helper.engine.id().to_string()])
        .status()
        .unwrap();
    helper.engine.wait().unwrap();
    let found = survivors(helper.run_id, Uuid::nil(), helper.folder.path());
    let steps: std::collections::BTreeSet<&str> = found.iter().map(|survivor| survivor.step.as_str()).collect();
    assert!(["plain", "bare", "escaped"].iter().all(|step| steps.contains(step)), "{found:?}");
    assert!(found.iter().all(|survivor| survivor.attempt == 1 && !survivor.command.is_empty()));
    let left = stop_survivors(found, Duration::from_millis(100)).await;
    assert!(left.is_empty(), "{left:?}");
    assert!(helper.pids.iter().all(|pid| !is_alive(*pid)));
    // A shell that was killed has left its `sleep`, which ends by itself.
    let found = || survivors(helper.run_id, Uuid::nil(), helper.folder.path());
    eventually("nobody is found any more", || found().is_empty().then_some(())).await;
    let notes = std::fs::read_dir(helper.folder.path()).unwrap();
    let left = notes.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "proc"));
    assert_eq!(left.count(), 0, "a note whose group is gone goes too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_warden_holds_nothing_open_comes_back_and_goes_in_peace() {
    let bench = Bench::new();
    let _lock = std::fs::File::create(bench.path("lock")).unwrap();
    let (context, handle) = bench.context(sh("echo $$ > pid; exec sleep 1000"));
    let attempt = tokio::spawn(run_attempt(context));
    let pid = eventually("it runs", || bench.pid_in("pid")).await;
    let first = bench.warden.pid().unwrap();
    let own = |path: &&PathBuf| {
        let name = path.to_string_lossy();
        ["pipe:", "/memfd:", "/dev/null", "anon_inode:", "socket:"].iter().any(|kind| name.starts_with(kind))
    };
    // At its start it reads a file or two of its own.
    eventually("it holds nothing open but its own", || {
        let fds = std::fs::read_dir(format!("/proc/{first}/fd")).unwrap();
        let held: Vec<PathBuf> = fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok()).collect();
        held.iter().all(|path| own(&path)).then_some(())
    })
    .await;
    let session = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(3).unwrap().to_string()
    };
    assert_ne!(session(first), session(std::process::id() as i32));

    std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    eventually("the warden is gone", || (!is_alive(first)).then_some(())).await;
    assert_eq!(bench.sh("true").await.status, OutcomeStatus::Succeeded);
    let second = bench.warden.pid().unwrap();
    assert!(second != first && is_alive(second) && is_alive(pid));
    handle.stop(Stop::Term);
    attempt.await.unwrap();
    drop(bench);
    eventually("the warden goes", || (!is_alive(second)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_warden_nothing_runs() {
    let mut bench = Bench::new();
    bench.warden = Arc::new(Warden::new("/nowhere/holdpoint".into()));
    let outcome = bench.sh("touch ran").await;
    assert!(
        outcome.in_words().contains("the warden (/nowhere/holdpoint __warden) could not be started"),
        "{}",
        outcome.in_words()
    );
    assert!(!bench.path("ran").exists());
}
