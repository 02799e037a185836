//! A program in a pseudo-terminal, as a person would use it: press keys, wait for what is on the screen, look at what is left behind.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system};

/// How long a condition is waited for; generous, for busy machines.
pub const PATIENCE: Duration = Duration::from_secs(30);

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    closed: bool,
}

/// A program that runs in a pseudo-terminal. Killed when dropped.
pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    // Kept open: what the program left behind is looked at after its end.
    _slave: Box<dyn SlavePty + Send>,
    writer: Box<dyn Write + Send>,
    shared: Arc<Shared>,
    modes: String,
    exit: Option<ExitStatus>,
    _reader: JoinHandle<()>,
}

impl Session {
    /// Starts a program in a terminal of this size, in an environment that holds only `PATH`, `TERM=xterm-256color`, `LANG=C.UTF-8`, `HOLDPOINT_TOUR=off`, a `HOME` that is not there, and `env`.
    pub fn start(program: impl AsRef<Path>, args: &[&str], cols: u16, rows: u16, env: &[(&str, &str)]) -> Session {
        Session::start_in(Path::new("."), program, args, cols, rows, env)
    }

    /// The same in a directory.
    pub fn start_in(
        directory: &Path,
        program: impl AsRef<Path>,
        args: &[&str],
        cols: u16,
        rows: u16,
        env: &[(&str, &str)],
    ) -> Session {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let modes = modes(&*pair.master);
        let mut command = CommandBuilder::new(program.as_ref());
        command.args(args);
        command.env_clear();
        command.cwd(std::path::absolute(directory).unwrap());
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        // What a newcomer is shown would be in the way of every other test.
        command.env("HOLDPOINT_TOUR", "off");
        command.env("HOME", "/nonexistent");
        for (key, value) in env {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let writer = pair.master.take_writer().unwrap();
        let mut output = pair.master.try_clone_reader().unwrap();
        let seen = Seen { parser: new_parser(rows, cols), bytes: Vec::new(), closed: false };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: Condvar::new() });
        let reader = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut buffer = [0; 16 * 1024];
                loop {
                    let n = output.read(&mut buffer).unwrap_or(0);
                    let mut seen = shared.seen.lock().unwrap();
                    seen.parser.process(&buffer[..n]);
                    seen.bytes.extend_from_slice(&buffer[..n]);
                    seen.closed = n == 0;
                    shared.changed.notify_all();
                    if n == 0 {
                        return;
                    }
                }
            }
        });
        Session { child, master: pair.master, _slave: pair.slave, writer, shared, modes, exit: None, _reader: reader }
    }

    /// Waits until the screen is as wanted; shows the screen when it never is.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, condition: impl Fn(&vt100::Screen) -> bool) {
        let seen = self.wait(|seen| condition(seen.parser.screen()));
        if !seen {
            let exit = self.child.try_wait().ok().flatten();
            panic!("waited for {what} in vain (program: {exit:?}); the screen:\n{}", self.framed());
        }
    }

    /// Whether the screen is as wanted within a second.
    pub fn is_soon(&self, condition: impl Fn(&vt100::Screen) -> bool) -> bool {
        self.wait_at_most(Duration::from_secs(1), |seen| condition(seen.parser.screen()))
    }

    /// Waits until this text is on the screen.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits until the program has written these bytes since its start.
    #[track_caller]
    pub fn wait_for_bytes(&mut self, bytes: &[u8]) {
        let wanted = bytes.to_vec();
        if !self.wait(|seen| seen.bytes.windows(wanted.len()).any(|w| w == wanted)) {
            panic!("waited for {:?} in vain; the screen:\n{}", String::from_utf8_lossy(bytes), self.framed());
        }
    }

    fn wait(&self, condition: impl Fn(&Seen) -> bool) -> bool {
        self.wait_at_most(PATIENCE, condition)
    }

    fn wait_at_most(&self, time: Duration, condition: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut seen = self.shared.seen.lock().unwrap();
        loop {
            if condition(&seen) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.closed {
                return false;
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Types text as it is.
    pub fn press(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Presses keys: text as it is, and names in angle brackets: `<Enter>`, `<Esc>`, `<Tab>`, `<S-Tab>`, `<BS>`, `<Space>`, `<Up>`, `<Down>`, `<Left>`,
    /// `<Right>`, `<Home>`, `<End>`, `<PageUp>`, `<PageDown>`, `<Del>`, `<F1>`, `<C-c>`, `<lt>`.
    pub fn keys(&mut self, keys: &str) {
        let mut bytes = String::new();
        let mut rest = keys;
        while let Some(start) = rest.find('<') {
            let end = start + rest[start..].find('>').unwrap_or_else(|| panic!("no > after < in {keys:?}"));
            bytes.push_str(&rest[..start]);
            bytes.push_str(&key(&rest[start + 1..end]));
            rest = &rest[end + 1..];
        }
        bytes.push_str(rest);
        self.press(&bytes);
    }

    /// Changes the terminal's size.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        // The parser first: what the program draws for the new size must find it.
        set_parser_size(&mut self.shared.seen.lock().unwrap().parser, rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// What is on the screen, line by line, without blanks at the ends.
    pub fn screen_text(&self) -> String {
        let seen = self.shared.seen.lock().unwrap();
        let contents = seen.parser.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Looks at the screen.
    pub fn screen<R>(&self, look: impl FnOnce(&vt100::Screen) -> R) -> R {
        look(self.shared.seen.lock().unwrap().parser.screen())
    }

    /// Everything the program has written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.seen.lock().unwrap().bytes.clone()
    }

    /// The program's process.
    pub fn pid(&self) -> rustix::process::Pid {
        let pid = self.child.process_id().unwrap();
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap()
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the program is stopped (as by Ctrl-Z).
    #[track_caller]
    pub fn wait_until_stopped(&mut self) {
        let path = PathBuf::from(format!("/proc/{}/stat", self.pid().as_raw_nonzero()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
                return;
            }
            assert!(Instant::now() < deadline, "the program does not stop: {stat}\n{}", self.framed());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the program's end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.exit.clone().or_else(|| self.child.try_wait().unwrap()) {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end; the screen:\n{}", self.framed());
            thread::sleep(Duration::from_millis(5));
        };
        self.exit = Some(status.clone());
        // Everything was written to the terminal before the end, but perhaps not read yet: a mark of our own comes after it.
        let mark = b"\x1b[999m";
        let before = self.bytes().len();
        let mut tty = std::fs::OpenOptions::new().write(true).open(self.master.tty_name().unwrap()).unwrap();
        tty.write_all(mark).unwrap();
        self.wait(|seen| seen.bytes[before.min(seen.bytes.len())..].windows(mark.len()).any(|w| w == mark));
        status
    }

    /// How many bytes of what was typed nobody has read: the shell would.
    pub fn unread_input(&self) -> u64 {
        let tty = std::fs::File::open(self.master.tty_name().unwrap()).unwrap();
        rustix::io::ioctl_fionread(tty).unwrap()
    }

    /// Fails unless the terminal is as it was found: modes, screen, cursor, mouse, paste.
    #[track_caller]
    pub fn assert_given_back(&self) {
        assert_eq!(modes(&*self.master), self.modes, "the terminal's modes are not as they were");
        let seen = self.shared.seen.lock().unwrap();
        let screen = seen.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was not left");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is on");
        let (focus_on, focus_off) = (last(&seen.bytes, b"\x1b[?1004h"), last(&seen.bytes, b"\x1b[?1004l"));
        assert!(focus_on <= focus_off, "the focus is still reported");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is captured");
        let count = |sequence: &[u8]| seen.bytes.windows(sequence.len()).filter(|w| *w == sequence).count();
        assert_eq!(count(b"\x1b[?1049h"), count(b"\x1b[?1049l"), "entered and left are not the same number");
        assert_eq!(count(b"\x1b[22;2t"), count(b"\x1b[23;2t"), "the title was not given back");
        let (last_begin, last_end) = (last(&seen.bytes, b"\x1b[?2026h"), last(&seen.bytes, b"\x1b[?2026l"));
        assert!(last_begin <= last_end, "a synchronised update was not ended");
    }

    fn framed(&self) -> String {
        let text = self.screen_text();
        format!("┌────\n{}\n└────", text.lines().map(|l| format!("│ {l}")).collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub fn new_parser(rows: u16, cols: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0)
}

fn set_parser_size(parser: &mut vt100::Parser, rows: u16, cols: u16) {
    parser.set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
}

fn modes(master: &dyn MasterPty) -> String {
    let modes = master.get_termios().expect("the terminal has modes");
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        modes.input_flags, modes.output_flags, modes.control_flags, modes.local_flags, modes.control_chars
    )
}

fn last(bytes: &[u8], sequence: &[u8]) -> Option<usize> {
    bytes.windows(sequence.len()).rposition(|w| w == sequence)
}

fn key(name: &str) -> String {
    match name {
        "Enter" | "CR" => "\r",
        "Esc" => "\x1b",
        "Tab" => "\t",
        "S-Tab" => "\x1b[Z",
        "BS" => "\x7f",
        "Space" => " ",
        "lt" => "<",
        "Up" => "\x1b[A",
        "Down" => "\x1b[B",
        "Right" => "\x1b[C",
        "Left" => "\x1b[D",
        "Home" => "\x1b[H",
        "End" => "\x1b[F",
        "PageUp" => "\x1b[5~",
        "PageDown" => "\x1b[6~",
        "Del" => "\x1b[3~",
        "F1" => "\x1bOP",
        _ => {
            let control = name.strip_prefix("C-").and_then(|c| c.bytes().next()).filter(u8::is_ascii_alphabetic);
            let control = control.unwrap_or_else(|| panic!("there is no key <{name}>"));
            return char::from(control & 0x1f).to_string();
        }
    }
    .to_owned()
}

/// An example of this crate, built along with the tests.
pub fn example(name: &str) -> PathBuf {
    // target/<profile>/deps/it-… → target/<profile>/examples/…
    let me = std::env::current_exe().unwrap();
    let path = me.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built: cargo build --example {name}", path.display());
    path
}
