//! The terminal, borrowed and always given back.
//!
//! [`Guard`] is the only thing that writes to the terminal while the console is up. Whatever happens (a normal end, an error, a panic while drawing,
//! a signal, Ctrl-Z), the terminal is left exactly once: input flushed, raw mode off, the first screen back, cursor shown. A panic on a
//! background task does not touch the screen: its report is kept and printed after the terminal was left.
//!
//! A frame reaches the terminal as one write, inside a synchronised update; one in which nothing has changed does not reach it at all. Nothing is ever
//! cleared but by ratatui's resize.

mod background;
mod keys;
mod panics;
mod signals;
mod sparing;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::style::{Print, ResetColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle,
};
use crossterm::{cursor, queue};
use ratatui::Frame;
use ratatui::layout::{Rect, Size};
use rustix::process::Signal as Sig;
use rustix::termios::QueueSelector;

use super::text::{self, Charset};
use sparing::Sparing;

pub use background::{Background, Late};
pub use keys::{Keys, Typed};
pub use panics::install_panic_hook;
pub use signals::{Signal, Signals};

/// Asks for the mouse's buttons, and for its movement only while one is pressed: a report of every movement is a load on a slow line.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1006h";

/// Makes the whole screen scroll again, as it does unless somebody has said otherwise.
const ALL_ROWS_SCROLL: &str = "\x1b[r";

/// Whether the terminal is ours now; whoever turns it off has to give it back.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Whether the terminal's title was put aside.
static TITLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is drawing: a panic then comes from the screen itself.
    static DRAWING: Cell<bool> = const { Cell::new(false) };
}

/// How the terminal is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Reports of the mouse; the terminal's own selection needs a modifier key then.
    pub mouse: bool,
    /// The window's title may be set.
    pub title: bool,
    /// Notifications of the desktop may be asked for.
    pub notices: bool,
    /// What the terminal can show; in ASCII everything else is replaced, whoever drew it.
    pub charset: Charset,
}

impl Default for Options {
    fn default() -> Options {
        Options { mouse: true, title: true, notices: true, charset: Charset::Unicode }
    }
}

impl Options {
    /// What the environment asks for.
    pub fn from_env() -> Options {
        // The kernel's console prints titles as text.
        let title = !matches!(std::env::var("TERM").as_deref(), Ok("linux" | "dumb"));
        Options { mouse: mouse_from_env().unwrap_or(true), title, notices: title, charset: Charset::from_env() }
    }
}

/// What the environment says about the mouse, if it says anything.
pub fn mouse_from_env() -> Option<bool> {
    let said = std::env::var("HOLDPOINT_MOUSE").ok().filter(|said| !said.is_empty())?;
    Some(!matches!(said.as_str(), "off" | "no" | "0"))
}

/// Why the terminal could not be had.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Standard output goes to a file or a pipe.
    #[error("standard output is not a terminal; the console needs one (run with --headless for plain lines)")]
    NotATerminal,
    /// It is ours already.
    #[error("the terminal is in use by this process already")]
    InUse,
    /// It refused.
    #[error("the terminal could not be set up: {0}")]
    Io(#[from] io::Error),
}

/// The terminal while the console is up. Dropping it gives the terminal back.
#[derive(Debug)]
pub struct Guard {
    terminal: ratatui::Terminal<Sparing<Screen>>,
    /// The other end of what the backend writes to.
    screen: Screen,
    options: Options,
    /// The next SIGCONT was awaited by [`Guard::stop`] itself.
    continued: bool,
}

impl Guard {
    /// Takes the terminal: raw mode, the alternate screen, bracketed paste, reports of the focus, and what the options ask for.
    pub fn enter(options: Options) -> Result<Guard, EnterError> {
        if !io::stdout().is_terminal() {
            return Err(EnterError::NotATerminal);
        }
        if ENTERED.load(Ordering::SeqCst) {
            return Err(EnterError::InUse);
        }
        enter(options)?;
        let screen = Screen::default();
        match ratatui::Terminal::new(Sparing::new(screen.clone())) {
            Ok(terminal) => Ok(Guard { terminal, screen, options, continued: false }),
            Err(error) => {
                leave();
                Err(error.into())
            }
        }
    }

    /// Draws a frame. What the callback drew is checked cell by cell before what has changed of it goes out as one synchronised update.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let charset = self.options.charset;
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let begun = self.screen.bytes().len();
        {
            let _drawing = Drawing::start();
            self.terminal.draw(|frame| {
                render(frame);
                text::guard_buffer(frame.buffer_mut(), charset);
            })?;
        }
        if self.screen.bytes().len() == begun {
            // Nothing has changed: the terminal is not told.
            self.screen.bytes().clear();
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.send()
    }

    /// The terminal's size.
    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Forgets what is on the screen: the next frame paints everything. (A change of size needs no call.)
    pub fn repaint(&mut self) -> io::Result<()> {
        // Nothing is sent before the next frame, so that the blank screen is never seen.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Sets the window's title. The one it had comes back in the end.
    pub fn set_title(&mut self, title: &str) -> io::Result<()> {
        if !self.options.title {
            return Ok(());
        }
        if !TITLED.swap(true, Ordering::SeqCst) {
            self.terminal.backend_mut().write_all(b"\x1b[22;2t")?;
        }
        let title = text::for_charset(title, self.options.charset);
        queue!(self.terminal.backend_mut(), SetTitle(text::fit(&title, 200)))?;
        self.send()
    }

    /// Rings the bell.
    pub fn bell(&mut self) -> io::Result<()> {
        self.terminal.backend_mut().write_all(b"\x07")?;
        self.send()
    }

    /// Asks the terminal for a desktop notification (OSC 9); terminals that have none ignore it.
    pub fn notify(&mut self, message: &str) -> io::Result<()> {
        if !self.options.notices {
            return Ok(());
        }
        self.terminal.backend_mut().write_all(notification(message).as_bytes())?;
        self.send()
    }

    /// Whether the mouse is ours.
    pub fn has_mouse(&self) -> bool {
        self.options.mouse
    }

    /// Takes the mouse, or leaves it to the terminal and its own selection.
    pub fn set_mouse(&mut self, ours: bool) -> io::Result<()> {
        self.options.mouse = ours;
        let backend = self.terminal.backend_mut();
        if ours {
            backend.write_all(MOUSE)?
        } else {
            queue!(backend, DisableMouseCapture)?
        }
        self.send()
    }

    /// Sends bytes that are ours (the clipboard's sequence).
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.terminal.backend_mut().write_all(bytes)?;
        self.send()
    }

    /// Ctrl-Z: gives the terminal back, with a word about what stands still now, stops the whole process group, and takes the terminal again when it
    /// goes on. The caller draws the next frame, which paints everything.
    pub async fn stop(&mut self, said: Option<&str>) -> io::Result<()> {
        // Registered before the stop: the signal to go on may come before this task does.
        let mut cont = signals::stream(Sig::CONT)?;
        leave();
        if let Some(said) = said {
            // Who has the terminal now may have closed it; that is no reason not to stop.
            let _ = writeln!(io::stdout(), "{said}");
        }
        rustix::process::kill_current_process_group(Sig::STOP)?;
        // Other threads may run on for a moment before the stop reaches all of them; the terminal must not be taken in that moment.
        cont.recv().await;
        self.continued = true;
        self.take_again()
    }

    /// To be called at [`Signal::Continued`]: somebody stopped the process from outside, and the shell may have changed the terminal's mode meanwhile.
    pub fn continued(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.continued) {
            return Ok(());
        }
        leave();
        self.take_again()
    }

    /// Hands the terminal over (to `$EDITOR`) and takes it back when the closure returns. [`Keys`] must rest meanwhile.
    pub fn suspend_with<R>(&mut self, body: impl FnOnce() -> R) -> io::Result<R> {
        leave();
        let result = body();
        self.take_again()?;
        Ok(result)
    }

    fn take_again(&mut self) -> io::Result<()> {
        self.screen.bytes().clear();
        enter(self.options)?;
        self.terminal.backend_mut().taken_again();
        self.repaint()
    }

    fn send(&mut self) -> io::Result<()> {
        self.screen.send()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
        panics::print_kept();
    }
}

/// Gives the terminal back if it is ours; does nothing otherwise. For ways out that drop nothing (`process::exit`).
pub fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // Errors have nobody to go to: a terminal that is gone (hangup) needs nothing back.
    let mut bytes = Vec::new();
    let _ = queue!(
        bytes,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        DisableFocusChange,
        ResetColor,
        LeaveAlternateScreen,
        cursor::Show
    );
    if TITLED.swap(false, Ordering::SeqCst) {
        bytes.extend_from_slice(b"\x1b[23;2t");
    }
    let _ = write_out(&bytes);
    // What was typed or reported for the console must not reach the shell.
    if io::stdin().is_terminal() {
        let _ = rustix::termios::tcflush(io::stdin(), QueueSelector::IFlush);
    }
    let _ = crossterm::terminal::disable_raw_mode();
}

fn enter(options: Options) -> io::Result<()> {
    crossterm::terminal::enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let mut bytes = Vec::new();
    // A console that was killed left the terminal on the alternate screen, where entering it once more clears nothing.
    let clean = Clear(ClearType::All);
    let done = queue!(bytes, EnterAlternateScreen, Print(ALL_ROWS_SCROLL), ResetColor, clean)
        .and_then(|()| queue!(bytes, EnableBracketedPaste, EnableFocusChange, cursor::Hide))
        .and_then(|()| if options.mouse { bytes.write_all(MOUSE) } else { Ok(()) })
        .and_then(|()| write_out(&bytes));
    if done.is_err() {
        leave();
    }
    done
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn notification(message: &str) -> String {
    // The name in front keeps a message that starts with a digit from being read as another of the sequence's commands.
    format!("\x1b]9;holdpoint: {}\x07", text::fit(message, 200))
}

/// What is written is kept until [`Screen::send`]: ratatui's flushes are not ours, a frame is one write, and what was half drawn at a panic
/// never reaches the terminal. Shared with ratatui's backend, which does not give its writer out again.
#[derive(Debug, Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes cannot be left in a bad state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self) -> io::Result<()> {
        let mut bytes = self.bytes();
        let result = write_out(&bytes);
        bytes.clear();
        result
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Marks the thread as drawing, also while it unwinds.
struct Drawing;

impl Drawing {
    fn start() -> Drawing {
        DRAWING.set(true);
        Drawing
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        DRAWING.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_holds_no_control_but_its_own() {
        let bytes = notification("4;1\x07\x1b]52;c;AAAA\x07 \u{9c} done");
        assert_eq!(bytes, "\x1b]9;holdpoint: 4;1␇␛]52;c;AAAA␇ � done\x07");
    }

    #[test]
    fn what_is_written_waits_for_send() {
        let mut screen = Screen::default();
        screen.write_all(b"half a frame").unwrap();
        screen.flush().unwrap();
        assert_eq!(*screen.bytes(), b"half a frame");
    }

    #[test]
    fn leaving_what_was_not_entered_does_nothing() {
        leave();
        leave();
        assert!(!ENTERED.load(Ordering::SeqCst));
    }
}
