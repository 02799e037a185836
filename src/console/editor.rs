//! The operator's own editor, on a text in a file of its own.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use chrono::{DateTime, Utc};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use super::clipboard::write_private;

/// Opens a text in `$VISUAL`, `$EDITOR` or `vi`, in a file whose name begins and ends like `name`, and gives back what was saved when the editor has
/// ended. The terminal must be free; the calling thread waits.
///
/// # Errors
/// The editor cannot be started, ended with an error, or left something that is not text; in words, with the file where the text is kept.
pub fn edit(text: &str, name: &str) -> Result<String, String> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".into());
    let shown = editor.to_string_lossy().into_owned();
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, "txt"));
    let file = tempfile::Builder::new().prefix(&format!("{stem}-")).suffix(&format!(".{kind}")).tempfile();
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        Ok(file)
    });
    let file = written.map_err(|error| format!("there is no file for the editor: {error}"))?;
    let kept = |file: tempfile::NamedTempFile, why: String| match file.keep() {
        Ok((_, path)) => format!("{why}; the text is in {}", path.display()),
        Err(error) => format!("{why}; the text could not be kept: {error}"),
    };
    match wait_for(&editor, file.path().as_os_str()) {
        Ok(status) if status.success() => match std::fs::read_to_string(file.path()) {
            Ok(edited) => Ok(edited),
            Err(error) => Err(kept(file, format!("what {shown} left cannot be read: {error}"))),
        },
        Ok(status) if status.code() == Some(127) => {
            Err(format!("there is no editor {shown}: set $VISUAL or $EDITOR; nothing was changed"))
        }
        Ok(status) => Err(kept(file, format!("{shown} ended with {status}; nothing was taken from it"))),
        Err(error) => Err(kept(file, format!("{shown} could not be started: {error}"))),
    }
}

/// Writes what was typed and not sent into files of its own; says where, a line each.
pub fn keep(directory: &Path, unsent: &[(String, String)], now: DateTime<Utc>) -> Vec<String> {
    let directory = directory.join("unsent");
    let mut said = Vec::new();
    for (place, (name, text)) in unsent.iter().enumerate() {
        let file = format!("{name}-{}-{}.json", now.format("%Y%m%dT%H%M%S"), place + 1);
        let path = directory.join(file);
        said.push(match write_private(&directory, &path, format!("{text}\n").as_bytes()) {
            Ok(()) => format!("what you typed for {name} and did not send is in {}", path.display()),
            Err(error) => format!("what you typed for {name} could not be kept: {error}"),
        });
    }
    said
}

/// Runs the editor, which may be a command with arguments, as a shell reads it.
fn wait_for(editor: &OsString, path: &std::ffi::OsStr) -> io::Result<ExitStatus> {
    let mut line = editor.clone();
    line.push(" \"$@\"");
    let child = Command::new("/bin/sh").arg("-c").arg(line).arg("sh").arg(path).spawn()?;
    let pid = Pid::from_child(&child);
    loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => stop_along()?,
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ctrl-Z in the editor stops it; the shell that gets the terminal then must find this process stopped as well. What goes on, goes on together.
fn stop_along() -> io::Result<()> {
    rustix::process::kill_current_process_group(Signal::STOP).map_err(io::Error::from)
}
