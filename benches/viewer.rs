//! What looking at an output of a gigabyte costs: opening it, going anywhere in it, searching, showing only some of its lines.
//!
//! A time is from the key to the rows being there to be drawn, through the pane and the reader's thread as the console uses them. `cargo bench --bench
//! viewer` prints the table; an argument picks rows by name.

// Each benchmark uses its part.
#[allow(dead_code)]
mod common;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use holdpoint::console::output::{Answer, Pane, Query, Reader, Save, Source};
use holdpoint::console::text::Colors;

use common::{folder, load_average, median, picked};

/// Bytes of the output.
const SIZE: u64 = 1 << 30;

/// Measurements of each row, and the fewest of one that takes long.
const TIMES: usize = 7;
const FEWEST: usize = 3;

/// A row that has taken so long, in milliseconds, is measured no more often than it has to be.
const LONG: f64 = 60_000.0;

/// The lines and columns of the pane.
const AREA: (u16, u16) = (120, 40);

fn main() {
    let dir = folder();
    println!("load average {}", load_average());
    println!("{:<58} {:>10} {:>10}", "row", "median ms", "worst ms");
    for (kind, colour) in [("plain", false), ("coloured", true)] {
        if !["open", "end", "begin", "page", "middle", "search", "count", "lines", "save"]
            .iter()
            .any(|name| picked(&format!("{kind}-{name}")))
        {
            continue;
        }
        let path = dir.path().join("out.log");
        let lines = write(&path, colour);
        rows(kind, &path, lines);
    }
}

/// Lines as programs print them, and how many.
fn write(path: &Path, colour: bool) -> u64 {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let (mut bytes, mut lines) = (0, 0);
    while bytes < SIZE {
        lines += 1;
        let level = if lines % 1_000_000 == 0 { "FATAL" } else { "info" };
        let line = match colour {
            true => {
                format!("\x1b[2m12:00:00\x1b[0m \x1b[32m{level}\x1b[0m request {lines} served from the cache in 3 ms\n")
            }
            false => format!("12:00:00 {level} request {lines} served from the cache in 3 ms\n"),
        };
        file.write_all(line.as_bytes()).expect("written");
        bytes += line.len() as u64;
    }
    file.flush().expect("written");
    lines
}

fn rows(kind: &str, path: &Path, lines: u64) {
    let has = |line: u64| move |pane: &Pane| pane.visible_text().contains(&format!(" request {line} "));
    let row = |name: &str, what: &str, times: &mut dyn FnMut() -> f64| {
        let name = format!("{kind}-{name}");
        if picked(&name) {
            let mut found: Vec<f64> = Vec::new();
            while found.len() < FEWEST || (found.len() < TIMES && found.iter().sum::<f64>() < LONG) {
                found.push(times());
            }
            let worst = found.iter().copied().fold(0.0, f64::max);
            println!("{:<58} {:>10.2} {:>10.2}", format!("{name}: {what}"), median(found), worst);
        }
    };
    row("open", "its end is there", &mut || {
        let began = Instant::now();
        Desk::open(path).until(has(lines));
        ms(began)
    });
    let mut desk = Desk::open(path);
    desk.until(has(lines));
    let mut going = |name: &str, what: &str, go: &dyn Fn(&mut Pane), there: &dyn Fn(&Pane) -> bool| {
        row(name, what, &mut || {
            // What the row before has left shown or searched would keep the line out of sight.
            drop(desk.pane.show_only(&Query::default()));
            desk.pane.go_to_line(lines / 3);
            desk.until(has(lines / 3));
            let began = Instant::now();
            go(&mut desk.pane);
            desk.until(there);
            ms(began)
        });
    };
    going("begin", "to the beginning", &|pane| pane.home(), &has(1));
    going("end", "to the end", &|pane| pane.end(), &has(lines));
    let next = lines / 3 + u64::from(AREA.1);
    going("page", "a page down", &|pane| pane.page(1), &has(next));
    going("middle", "to a line in the middle, by its number", &|pane| pane.go_to_line(lines / 2), &has(lines / 2));
    let query = |text: &str, regex: bool| Query { text: text.into(), regex };
    let found = |pane: &Pane| pane.status().contains(" of ") && pane.visible_text().contains("FATAL");
    going("search", "a text that is up to 80 MB away", &|pane| drop(pane.search(&query("FATAL", false))), &found);
    going(
        "lines",
        "the first screen of lines that match",
        &|pane| drop(pane.show_only(&query("77 served", false))),
        &|pane| pane.visible_text().lines().count() == usize::from(AREA.1) && pane.visible_text().contains("77 served"),
    );
    let whole = |name: &str, what: &str, text: &str, regex: bool| {
        row(name, what, &mut || {
            let mut desk = Desk::open(path);
            desk.until(has(lines));
            let began = Instant::now();
            drop(desk.pane.search(&query(text, regex)));
            desk.until(|pane| pane.search_place().is_some());
            ms(began)
        });
    };
    whole("count-text", "all matches of a text counted", "FATAL", false);
    whole("count-regex", "all matches of an expression counted", r"FATAL\s+request \d*0\b", true);
    let to = path.with_extension("saved");
    row("save", "all of it written to a file, and synced", &mut || {
        let save = Save { source: path.to_owned(), part: None, filter: None, to: to.clone(), replace: true };
        let began = Instant::now();
        save.carry_out().expect("saved");
        ms(began)
    });
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// A pane and its reader.
struct Desk {
    pane: Pane,
    reader: Reader,
    answers: Receiver<Answer>,
}

impl Desk {
    fn open(path: &Path) -> Desk {
        let (send, answers) = sync_channel(256);
        let reader = Reader::spawn(|_| None, move |answer| send.send(answer).is_ok()).expect("a reader");
        let mut pane = Pane::new(Colors::Keep);
        pane.set_size(AREA.0, AREA.1);
        pane.open(Some(Source { path: PathBuf::from(path), live: false }));
        Desk { pane, reader, answers }
    }

    /// Lets pane and reader talk until the pane is as wanted.
    fn until(&mut self, wanted: impl Fn(&Pane) -> bool) {
        loop {
            for request in self.pane.take_requests() {
                if !self.reader.request(request.clone()) {
                    self.pane.refused(request);
                }
            }
            if wanted(&self.pane) {
                return;
            }
            self.pane.apply(self.answers.recv().expect("the reader lives"));
            while let Ok(answer) = self.answers.try_recv() {
                self.pane.apply(answer);
            }
        }
    }
}
