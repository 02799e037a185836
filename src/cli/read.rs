//! Reading a run's files: events, output, checkpoints, and whether they are whole. Nothing here takes a run over or changes a byte.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::console::text::{Ansi, Colors, clean};
use crate::console::words::{self, Zone};
use crate::engine::{open_output, output_path};
use crate::journal::{JOURNAL, LineHash, Store};
use crate::run::{Branches, PlanSizes, checkpoint_id, checkpoint_list, parse_checkpoint_id, short_id};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::narrate::first_line;
use super::page::{Cell, Page, cell, complain};
use super::say::{Ink, Paint, sgr};

/// How often a file that another process writes is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Lines of a journal, or KiB of an output, taken at once.
const AT_ONCE: usize = 1000;

/// `holdpoint events`: the journal's lines as they are on disk.
pub fn events(context: &Context, name: &str, follow: bool) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let mut events = store.read_events(&dir, 1)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    out.write_all(&first_line(&dir)?)?;
    loop {
        // Asked before reading: what its last owner wrote is then still read.
        let owned = store.owner(&dir).is_some();
        loop {
            let batches = match events.read(AT_ONCE) {
                Ok(batches) => batches,
                Err(error) => {
                    out.flush()?;
                    return Err(error.into());
                }
            };
            if batches.is_empty() {
                break;
            }
            for line in batches.into_iter().flatten() {
                out.write_all(line.text.as_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        out.flush()?;
        if !follow || !owned {
            return Ok(Exit::Fine);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// `holdpoint output`: as it is, to a file or a pipe; made harmless, to a terminal.
pub fn output(context: &Context, name: &str, step: &str, attempt: Option<u32>, follow: bool) -> Result<Exit, Failure> {
    let (store, run_id, dir) = context.run(name)?;
    let state = store.load(&dir)?.state;
    let Some((definition, found)) = state.step(step) else {
        let near = crate::plan::suggest(step, state.plan.steps.iter().map(|step| step.step_id.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("`{}` lists them", context.command(&format!("show {}", short_id(run_id)))),
        };
        return Err(Failure::usage(format!("the plan of this run has no step `{step}`: {hint}")));
    };
    let known: Vec<u32> = found.attempts.iter().map(|attempt| attempt.number).collect();
    // An attempt that a restore has left behind is still on disk.
    let number = match attempt.or(known.last().copied()) {
        Some(number) => number,
        None => {
            return Err(Failure::failed(format!(
                "`{step}` has not run yet: it is {}; `{}` says what it waits for",
                found.status.word(),
                context.command(&format!("why {} {step}", short_id(run_id)))
            )));
        }
    };
    if number == 0 || number > found.last_attempt {
        return Err(Failure::usage(format!(
            "`{step}` has no attempt {number}; there {}",
            match found.last_attempt {
                0 => "is none yet".to_owned(),
                1 => "is one".to_owned(),
                last => format!("are 1 to {last}"),
            }
        )));
    }
    // What a fork brought along lies where it was printed.
    let made = found.numbered(number);
    let home = made.map_or(run_id, |attempt| state.home_of(attempt));
    if home != run_id && !store.dir(home).is_dir() {
        return Err(Failure::failed(format!(
            "attempt {number} of `{step}` ran in run {home}, from which this one was forked; that run's folder is gone, and its output with it"
        )));
    }
    let path = output_path(store.root(), home, &definition.step_id, number);
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut screen = Screen::new(terminal, Paint::stdout(context.no_color));
    let mut file = None;
    let mut buffer = vec![0; AT_ONCE << 10];
    loop {
        let live = follow && is_live(&store, &dir, step, number)?;
        if file.is_none() {
            file = open(&path)?;
        }
        let mut any = false;
        while let Some(file) = &mut file {
            let length = file.read(&mut buffer).map_err(|error| cannot_read(&path, &error))?;
            if length == 0 {
                break;
            }
            any = true;
            screen.write(&mut stdout, &buffer[..length])?;
        }
        stdout.flush()?;
        if !live {
            screen.finish(&mut stdout)?;
            if file.is_none() && !any {
                complain(&format!("attempt {number} of {step} has no output"));
            }
            return Ok(Exit::Fine);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// An attempt that had no output has no file.
fn open(path: &Path) -> Result<Option<File>, Failure> {
    match open_output(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot read {}: {error}", path.display()))
}

fn is_live(store: &Store, dir: &Path, step: &str, number: u32) -> Result<bool, Failure> {
    if store.owner(dir).is_none() {
        return Ok(false);
    }
    let state = store.load(dir)?.state;
    let found = state.step(step).and_then(|(_, step)| step.numbered(number));
    Ok(found.is_some_and(|attempt| attempt.ended_at.is_none()))
}

/// Output on its way to a terminal, or to a file.
struct Screen {
    /// Colours are kept, everything else that would act on the terminal is not; `None` when it goes elsewhere, byte for byte.
    ansi: Option<Ansi>,
    line: Vec<u8>,
}

impl Screen {
    /// A line is shown at the latest when it has grown to this.
    const LONGEST: usize = 64 << 10;

    fn new(terminal: bool, paint: Paint) -> Self {
        let colors = if paint.is_on() { Colors::Keep } else { Colors::Strip };
        Self { ansi: terminal.then(|| Ansi::new(colors)), line: Vec::new() }
    }

    fn write(&mut self, out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
        if self.ansi.is_none() {
            return out.write_all(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= Self::LONGEST {
                self.show(out)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        let Some(ansi) = &mut self.ansi else { return Ok(()) };
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        writeln!(out, "{}", sgr(&ansi.line(line)))
    }

    fn finish(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        if !self.line.is_empty() {
            self.show(out)?;
        }
        out.flush()
    }
}

/// `holdpoint checkpoints`
pub fn checkpoints(context: &Context, name: &str, format: Format) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let loaded = store.load_checked(&dir)?;
    if let Some(damage) = &loaded.damage {
        complain(&damage.to_string());
    }
    let full = store.full_checkpoints(&dir)?;
    let state = &loaded.state;
    let mut out = Page::stdout(context.no_color);
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut out, &checkpoint_list(state)).map_err(std::io::Error::from)?;
        writeln!(out)?;
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let (branches, sizes) = (Branches::of(state), PlanSizes::of(state));
    let now = chrono::Utc::now();
    // To the second, and with the day where that is another one. Programs, which count the columns, get the minute as well.
    let twice = !out.is_terminal();
    let when = |time| {
        let (moment, clock) = (Zone::Local.moment(time, now), Zone::Local.clock(time));
        match moment.strip_suffix(&Zone::Local.show(time, "%H:%M")) {
            _ if twice => vec![moment, clock],
            Some(day) => vec![format!("{day}{clock}")],
            None => vec![format!("{moment} {clock}")],
        }
    };
    let rows: Vec<Vec<Cell>> = state
        .checkpoints
        .iter()
        .enumerate()
        .map(|(entry, mark)| {
            let left = branches.left_at(mark.seq);
            let mut notes: Vec<String> =
                left.iter().map(|left| format!("left behind {}", Zone::Local.moment(*left, now))).collect();
            if full.binary_search(&mark.seq).is_ok() {
                notes.push("full file".to_owned());
            }
            let mut row = vec![
                cell(checkpoint_id(mark.seq)).ink(if left.is_some() { Ink::Dim } else { Ink::Strong }),
                cell(format!("{}/{}", mark.step_index, sizes.at(mark))).right(),
            ];
            row.extend(when(mark.time).into_iter().map(|time| cell(time).ink(Ink::Dim)));
            row.push(cell(state.what_made(entry)).gives(0));
            row.push(cell(notes.join(" · ")).ink(Ink::Dim).gives(1));
            row
        })
        .collect();
    if rows.is_empty() {
        out.prose("no checkpoints: the run has not started")?;
    }
    out.table("", &rows)?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// The place in the journal that a checkpoint's name means.
///
/// # Errors
/// It is no name of a checkpoint, or there is no such checkpoint.
pub fn place_of(context: &Context, state: &crate::run::RunState, id: &str) -> Result<u64, Failure> {
    let list = context.command(&format!("checkpoints {}", short_id(state.run_id)));
    let Some(seq) = parse_checkpoint_id(id) else {
        return Err(Failure::usage(format!(
            "`{id}` is no checkpoint: they are called like cp-42; `{list}` lists them"
        )));
    };
    if state.checkpoints.binary_search_by_key(&seq, |mark| mark.seq).is_err() {
        return Err(Failure::usage(format!(
            "there is no checkpoint {}: `{list}` lists those that are there",
            checkpoint_id(seq)
        )));
    }
    Ok(seq)
}

/// `holdpoint checkpoint show`
pub fn checkpoint(context: &Context, name: &str, id: &str) -> Result<Exit, Failure> {
    let (store, _, dir) = context.run(name)?;
    let state = store.load(&dir)?.state;
    let seq = place_of(context, &state, id)?;
    let document = store.checkpoint(&dir, seq)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, &document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// `holdpoint verify`: 0 whole, 1 not.
pub fn verify(context: &Context, name: &str, head: Option<&str>) -> Result<Exit, Failure> {
    let (store, run_id, dir) = context.run(name)?;
    let head = head
        .map(|text| text.parse::<LineHash>())
        .transpose()
        .map_err(|error| Failure::usage(format!("--head: {error}; it is printed when a run stops")))?;
    let verified = store.verify(&dir, head)?;
    let mut out = Page::stdout(context.no_color);
    let paint = out.paint();
    for problem in &verified.problems {
        out.prose(&paint.ink(Ink::Bad, &clean(&problem.to_string())))?;
    }
    if let Some(cut) = &verified.cut {
        let line = format!("{}: {cut}; it will be cut off when the run is opened", dir.join(JOURNAL).display());
        out.prose(&clean(&line))?;
    }
    if !verified.is_whole() {
        out.prose(&format!("run {run_id} is {}", paint.ink(Ink::Bad, "not whole")))?;
        // Damage of the journal itself; a checkpoint file that differs stops nobody.
        let good = store.load(&dir).ok().filter(|loaded| loaded.damage.is_some());
        if let Some(mark) = good.as_ref().and_then(|loaded| loaded.state.checkpoints.last()) {
            let id = checkpoint_id(mark.seq);
            let fork = context.command(&format!("restore {} {id} --fork", short_id(run_id)));
            out.prose(&format!("the last good checkpoint is {id}; to begin a new run there: {fork}"))?;
        }
        out.flush()?;
        return Ok(Exit::Failed);
    }
    let compared = if head.is_some() { ", and the journal has the head you gave" } else { "" };
    out.prose(&format!(
        "run {run_id} is {}: {}, {}{compared}",
        paint.ink(Ink::Good, "whole"),
        words::count(verified.events as usize, "event"),
        words::count(verified.checkpoints, "full checkpoint")
    ))?;
    if let Some(place) = verified.head {
        writeln!(out, "head {}", place.hash)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
