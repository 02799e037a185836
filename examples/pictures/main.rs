//! Makes the README's pictures: drives the real console in a pseudo-terminal through a small story, and writes what is on its screen in each place
//! to `docs/pictures/` as SVG.
//!
//! `cargo run --example pictures`; `cargo run --example pictures FOLDER` writes them elsewhere. Ids and times differ from one round to the next.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use holdpoint::agents::warden;
use holdpoint::cli;
use serde_json::{Value, json};

// The tests' terminal; its other parts are theirs.
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
#[path = "../../tests/it/pty.rs"]
mod pty;
mod svg;

use pty::Session;

/// Tells this program to be the console that it makes pictures of.
const CONSOLE: &str = "HOLDPOINT_PICTURES_CONSOLE";
const SIZE: (u16, u16) = (120, 30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // An engine starts the program it is in once more to look after its steps' processes.
    if arguments.first().is_some_and(|first| first == warden::ARGUMENT) {
        return ExitCode::from(warden::main(&arguments));
    }
    if std::env::var_os(CONSOLE).is_some() {
        return cli::main().into();
    }
    let folder =
        arguments.first().map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures"), PathBuf::from);
    match story(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pictures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn story(folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let dir = tempfile::Builder::new().prefix("holdpoint-demo-").rand_bytes(2).tempdir()?;
    let root = dir.path();
    std::fs::create_dir(root.join("plans"))?;
    let plan = |plan: &Value| {
        std::fs::write(
            root.join(format!("plans/{}.json", plan["plan_id"].as_str().unwrap_or("plan"))),
            plan.to_string(),
        )
    };
    // What was before: runs that went well, from which the console knows how long steps take, and one that did not.
    std::fs::write(root.join("mended"), "")?;
    plan(&nightly(false))?;
    for _ in 0..2 {
        headless(root, "nightly-backup")?;
    }
    plan(&checkup())?;
    headless(root, "host-checkup")?;
    plan(&rotate())?;
    headless(root, "rotate-keys")?;
    std::fs::remove_file(root.join("mended"))?;
    plan(&nightly(true))?;
    plan(&release())?;

    let mut console = open(root, &["plans/nightly-backup.json"]);
    let mut made = Pictures { folder, written: Vec::new() };
    console.wait_for_text("verify failed: exit status 1");
    console.wait_for_text("1 failed");
    console.wait_for("what else runs is done", |screen| !screen.contents().contains("● running"));
    console.press("!");
    console.wait_for_text("checksum mismatch");
    made.take(&console, "run")?;
    console.press("T");
    console.wait_for_text("critical path");
    made.take(&console, "timeline")?;
    console.keys("<Esc>");
    console.wait_for_text("Definition");
    console.press("D");
    console.wait_for("the graph", |screen| !screen.contents().contains("Definition"));
    made.take(&console, "graph")?;
    console.keys("<Esc>");
    console.wait_for_text("Definition");
    console.press("M");
    console.wait_for("the metrics", |screen| !screen.contents().contains("Definition"));
    made.take(&console, "metrics")?;
    console.keys("<Esc>");
    console.wait_for_text("Definition");

    // Somebody mends the cause, tries again, skips what does not matter tonight, and takes a step out.
    std::fs::write(root.join("mended"), "")?;
    console.press("r");
    console.wait_for_text("ship is held");
    // The selected step is the first of the two.
    console.press("G");
    console.wait_for("the last step is selected", |screen| selected(screen, "notify"));
    console.press("s");
    console.wait_for_text("Skip notify?");
    console.press("the channel is down");
    console.wait_for_text("the channel is down");
    made.take(&console, "question")?;
    console.keys("<Enter>");
    console.wait_for_text("↷ skipped");
    console.press("k");
    console.wait_for("prune is selected", |screen| selected(screen, "prune"));
    console.press("d");
    console.wait_for_text("Remove prune from the plan?");
    console.press("not before the next audit");
    console.wait_for_text("not before the next audit");
    console.keys("<Enter>");
    console.wait_for_text("plan v2");
    for (key, place, shown) in
        [("C", "checkpoints", "Checkpoints"), ("V", "versions", "Versions"), ("I", "interventions", "Interventions")]
    {
        console.press(key);
        console.wait_for_text(shown);
        made.take(&console, place)?;
        console.keys("<Esc>");
        console.wait_for_text("Definition");
    }
    console.press(":");
    console.wait_for_text("All actions");
    settle(&console);
    console.press("re");
    console.wait_for_text(": re");
    made.take(&console, "palette")?;
    console.keys("<Esc>");
    console.wait_for("the palette is closed", |screen| screen.contents().contains("Definition"));
    console.press("?");
    console.wait_for_text("The run");
    made.take(&console, "help")?;
    for _ in 0..4 {
        console.keys("<Esc>");
        if console.is_soon(|screen| screen.contents().contains("Waiting for you")) {
            break;
        }
    }
    console.wait_for_text("Waiting for you");
    made.take(&console, "runs")?;
    println!("{}", made.written.join("\n"));
    Ok(())
}

fn selected(screen: &vt100::Screen, step: &str) -> bool {
    screen.contents().lines().any(|line| line.starts_with('▌') && line.contains(step))
}

struct Pictures<'a> {
    folder: &'a Path,
    written: Vec<String>,
}

impl Pictures<'_> {
    fn take(&mut self, console: &Session, name: &str) -> std::io::Result<()> {
        settle(console);
        let picture = console.screen(|screen| svg::picture(screen, SIZE));
        let path = self.folder.join(format!("{name}.svg"));
        self.written.push(format!("{} ({} KB)", path.display(), picture.len() / 1024));
        std::fs::write(path, picture)
    }
}

/// Waits until nothing more is written: what is read from the disk is shown, and no frame is half drawn.
fn settle(console: &Session) {
    for _ in 0..20 {
        let before = console.bytes().len();
        std::thread::sleep(Duration::from_millis(700));
        if console.bytes().len() == before {
            return;
        }
    }
}

fn environment(root: &Path) -> [(&'static str, String); 6] {
    [
        (CONSOLE, "1".into()),
        ("HOLDPOINT_USER", "ann".into()),
        ("HOME", root.display().to_string()),
        ("COLORTERM", "truecolor".into()),
        // Without asking the terminal, which here answers nothing.
        ("COLORFGBG", "15;0".into()),
        ("TZ", "UTC".into()),
    ]
}

fn open(root: &Path, arguments: &[&str]) -> Session {
    let environment = environment(root);
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let me = std::env::current_exe().expect("a program knows where it lies");
    Session::start_in(root, me, arguments, SIZE.0, SIZE.1, &environment)
}

fn headless(root: &Path, plan: &str) -> std::io::Result<()> {
    let me = std::env::current_exe()?;
    let plan = format!("plans/{plan}.json");
    // Some are meant to fail.
    Command::new(me).args(["run", "--headless", &plan]).current_dir(root).envs(environment(root)).output().map(|_| ())
}

/// The plan of the story; `held`: with the hold point that earlier runs did not have.
fn nightly(held: bool) -> Value {
    let step = |id: &str, needs: &[&str], run: &str| json!({"step_id": id, "depends_on": needs, "run": run});
    let mut verify = step(
        "verify",
        &["dump"],
        "echo 'checking dump.sql'; echo '182,331 rows in 41 tables'; sleep 1.4; [ -e mended ] || { echo 'checksum mismatch in table orders' >&2; echo 'expected 9f2c41, found 11d07e' >&2; exit 1; }; echo 'every checksum fits'",
    );
    verify["max_retries"] = json!(1);
    verify["retry"] = json!({"delay_seconds": 1.0});
    let mut ship = step("ship", &["compress", "verify", "report"], "echo 'sent 1.2 GB to the vault'; sleep 1.6");
    if held {
        ship["hold"] = json!("second pair of eyes");
    }
    json!({
        "plan_id": "nightly-backup",
        "title": "Dump, check and ship the database",
        "on_failure": "pause",
        "steps": [
            step("dump", &[], "for t in orders items users; do echo \"dumping $t\"; sleep 0.8; done"),
            step("compress", &["dump"], "echo 'dump.sql: 4.1 GB to 1.2 GB'; sleep 2.2"),
            verify,
            step("stats", &["dump"], "echo 'counting rows'; sleep 3.1; echo 'orders +4 %, items +6 %'"),
            step("report", &["stats"], "echo 'report.html written'; sleep 1.1"),
            ship,
            step("prune", &["ship"], "echo '3 old backups removed'; sleep 0.2"),
            step("notify", &["ship"], "echo 'told the channel'; sleep 0.2"),
        ],
    })
}

fn checkup() -> Value {
    let step = |id: &str| json!({"step_id": id, "run": format!("echo {id} is fine")});
    json!({"plan_id": "host-checkup", "title": "Facts about this machine", "steps": [step("disks"), step("memory"), step("clock"), step("updates")]})
}

fn rotate() -> Value {
    json!({"plan_id": "rotate-keys", "title": "New keys for every host", "steps": [
        {"step_id": "make", "run": "echo made"},
        {"step_id": "spread", "run": "echo 'host-07 does not answer' >&2; exit 2"},
        {"step_id": "revoke", "run": "true"},
    ]})
}

fn release() -> Value {
    json!({"plan_id": "release", "title": "Build, test and publish", "steps": [
        {"step_id": "build", "run": "make"}, {"step_id": "test", "run": "make test"}, {"step_id": "publish", "run": "make publish", "hold": true},
    ]})
}
