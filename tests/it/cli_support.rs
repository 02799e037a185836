//! A folder of its own for each test of the real binary, and an environment in which only that folder counts.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes long; whoever waits this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Sandbox {
    dir: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("plans")).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a plan with these steps and gives its name.
    pub fn plan(&self, name: &str, steps: Value) -> String {
        let plan = serde_json::json!({"plan_id": name, "steps": steps});
        self.plan_text(name, &serde_json::to_string_pretty(&plan).unwrap())
    }

    pub fn plan_text(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path().join("plans").join(format!("{name}.json")), text).unwrap();
        name.to_owned()
    }

    /// The binary with these arguments, blind to the world outside.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_holdpoint"), arguments)
    }

    /// Another program with the same environment.
    pub fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("HOLDPOINT_USER", "ann")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let ended = Ended {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("panicked"), "{arguments:?}: {}", ended.stderr);
        ended
    }

    /// Runs a command that must end with this code, and gives what it printed.
    pub fn ok(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}\nstdout: {}\nstderr: {}", ended.text(), ended.stderr);
        ended.text()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(0, arguments)).unwrap()
    }

    /// The newest run's snapshot.
    pub fn snapshot(&self) -> Value {
        self.json(&["show", "latest", "--format", "json"])
    }

    /// The folder of the newest run.
    pub fn run_dir(&self) -> PathBuf {
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.path().join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("journal.jsonl").exists())
            .collect();
        found.sort();
        found.pop().expect("no run")
    }

    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("journal.jsonl")).unwrap()
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap_or_default()
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child: Some(child), stdout }
    }
}

impl Ended {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A command that is still running; killed when the test ends before it does.
pub struct Running {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Waits for a line on stdout that contains this.
    pub fn wait_for(&mut self, wanted: &str) {
        let mut seen = String::new();
        loop {
            let before = seen.len();
            let length = self.stdout.read_line(&mut seen).unwrap();
            assert!(length > 0, "it ended without saying {wanted:?}:\n{seen}");
            if seen[before..].contains(wanted) {
                return;
            }
        }
    }

    /// Waits for a line on stderr that contains this; what was read of it is not in [`Ended`] any more.
    pub fn wait_for_error(&mut self, wanted: &str) {
        use std::io::Read;
        let stderr = self.child.as_mut().unwrap().stderr.as_mut().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0];
        loop {
            assert!(
                stderr.read(&mut byte).unwrap() > 0,
                "it ended without {wanted:?}: {}",
                String::from_utf8_lossy(&seen)
            );
            seen.push(byte[0]);
            if byte[0] == b'\n' && String::from_utf8_lossy(&seen).contains(wanted) {
                return;
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Nobody reads its stdout any more.
    pub fn close_stdout(mut self) -> Child {
        self.child.take().unwrap()
    }

    pub fn wait(mut self) -> Ended {
        use std::io::Read;
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        let mut stderr = String::new();
        let child = self.child.as_mut().unwrap();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = wait_for_end(child).code();
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something is so, but not for ever.
pub fn wait_until(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a process, but not for ever.
pub fn wait_for_end(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every file in a folder and below it, with what it says.
pub fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
