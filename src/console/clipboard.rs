//! Copying: through the terminal (OSC 52), which works over ssh, or into a file where the terminal is known to refuse.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crossterm::Command;
use crossterm::clipboard::CopyToClipboard;

use super::words;

/// What terminals take at the least (xterm's limit on such a sequence is near 100,000 bytes, and base64 makes four of three).
pub const MAX_TERMINAL_BYTES: usize = 74_000;

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clipboard {
    directory: PathBuf,
    /// Who is sent what is copied; nobody where it would be lost.
    keeper: Option<Keeper>,
}

/// Who keeps a clipboard that can be written to by an escape sequence. None of them says whether it did, so that no more is claimed than that it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// The terminal.
    Terminal,
    /// tmux, which has a buffer of its own, and passes it on to the terminal or does not (its option `set-clipboard`).
    Tmux,
}

/// Where a copy went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It was sent to a clipboard.
    Clipboard(Keeper),
    /// It was written to a file.
    File(PathBuf),
}

/// What was copied; says it as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// How many lines.
    pub lines: usize,
    /// Where they went.
    pub to: Place,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = words::count(self.lines, "line");
        match &self.to {
            Place::Clipboard(Keeper::Terminal) => write!(f, "{lines} sent to the terminal's clipboard"),
            Place::Clipboard(Keeper::Tmux) => write!(f, "{lines} sent to the clipboard of tmux"),
            Place::File(path) => write!(f, "{lines} copied to {}", path.display()),
        }
    }
}

impl Clipboard {
    /// With the directory for the file (made when it is needed, for the user alone). What the environment says about the terminal decides whether the
    /// terminal is asked at all: it does not answer, so that a refusal cannot be seen.
    pub fn from_env(directory: PathBuf) -> Clipboard {
        Clipboard::from_lookup(directory, |name| std::env::var(name).ok())
    }

    /// The same, with the environment given by a function.
    pub fn from_lookup(directory: PathBuf, lookup: impl Fn(&str) -> Option<String>) -> Clipboard {
        let term = lookup("TERM").unwrap_or_default();
        let refuses = term.is_empty()
            || term == "linux"
            || term == "dumb"
            || lookup("TERM_PROGRAM").is_some_and(|p| p == "Apple_Terminal")
            || lookup("VTE_VERSION").is_some_and(|v| !v.is_empty());
        let is_set = |name: &str| lookup(name).is_some_and(|value| !value.is_empty());
        // A multiplexer comes between, whatever it runs in: tmux keeps a clipboard of its own, and screen knows nothing of clipboards.
        let keeper = if is_set("TMUX") || term.starts_with("tmux") {
            Some(Keeper::Tmux)
        } else {
            (!refuses && !is_set("STY")).then_some(Keeper::Terminal)
        };
        Clipboard { directory, keeper }
    }

    /// Copies the text. `send` writes to the terminal ([`Guard::send_bytes`](super::terminal::Guard::send_bytes)). Control characters other than line ends and tabs are
    /// left out: what is pasted into a shell must not press keys.
    pub fn copy(&self, text: &str, send: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<Copied> {
        let text: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
        // As they were selected: behind a line end there is another line, be it empty.
        let lines = text.matches('\n').count() + 1;
        if let Some(keeper) = self.keeper.filter(|_| text.len() <= MAX_TERMINAL_BYTES) {
            let mut sequence = String::new();
            CopyToClipboard::to_clipboard_from(&text).write_ansi(&mut sequence).map_err(io::Error::other)?;
            send(sequence.as_bytes())?;
            return Ok(Copied { lines, to: Place::Clipboard(keeper) });
        }
        let path = self.directory.join("clipboard.txt");
        write_private(&self.directory, &path, text.as_bytes())?;
        Ok(Copied { lines, to: Place::File(path) })
    }
}

/// Writes a file that only the user can read, whole or not at all.
pub(super) fn write_private(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !directory.is_dir() {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        DirBuilder::new().mode(0o700).create(directory)?;
    }
    // Made with mode 0600 under a name nobody can guess.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn clipboard(dir: &Path, env: &[(&str, &str)]) -> Clipboard {
        Clipboard::from_lookup(dir.join("state"), |name| {
            env.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
        })
    }

    fn copy(clipboard: &Clipboard, text: &str) -> (Copied, Vec<u8>) {
        let mut sent = Vec::new();
        let copied = clipboard
            .copy(text, |bytes| {
                sent.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        (copied, sent)
    }

    #[test]
    fn goes_through_the_terminal_without_keys_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (copied, sent) = copy(&clipboard(dir.path(), &[("TERM", "xterm-256color")]), "a\nb\x1b[201~\x03");
        assert_eq!(copied.to_string(), "2 lines sent to the terminal's clipboard");
        // "a\nb[201~"
        assert_eq!(String::from_utf8(sent).unwrap(), "\x1b]52;c;YQpiWzIwMX4=\x1b\\");
        assert!(!dir.path().join("state").exists());
    }

    #[test]
    fn empty_lines_are_counted_as_they_are_selected() {
        let dir = tempfile::tempdir().unwrap();
        let clipboard = clipboard(dir.path(), &[("TERM", "xterm")]);
        for (text, lines) in [("a\nb\n", 3), ("\n\n", 3), ("\nb", 2), ("", 1), ("a", 1)] {
            assert_eq!(copy(&clipboard, text).0.lines, lines, "{text:?}");
        }
    }

    #[test]
    fn too_much_for_the_terminal_goes_to_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = "x".repeat(MAX_TERMINAL_BYTES + 1);
        let (copied, sent) = copy(&clipboard(dir.path(), &[("TERM", "xterm")]), &text);
        assert!(sent.is_empty());
        let Place::File(path) = copied.to.clone() else { panic!("{copied}") };
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("state")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(copied.to_string(), format!("1 line copied to {}", path.display()));
    }

    #[test]
    fn terminals_that_refuse_are_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let screen = [("TERM", "screen-256color"), ("STY", "1.pts-0.host")];
        let vte = [("TERM", "xterm-256color"), ("VTE_VERSION", "7600")];
        for env in [&[("TERM", "linux")][..], &vte, &screen, &[]] {
            assert!(matches!(copy(&clipboard(dir.path(), env), "x").0.to, Place::File(_)), "{env:?}");
        }
        let tmux = [("TERM", "tmux-256color"), ("VTE_VERSION", "7600"), ("TMUX", "/tmp/t,1,0")];
        let copied = copy(&clipboard(dir.path(), &tmux), "x").0;
        assert_eq!(copied.to_string(), "1 line sent to the clipboard of tmux");
    }
}
