//! Panics and the screen: told at once while drawing, kept for later on any other thread.

use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::{DRAWING, ENTERED, leave};

/// More reports than this say nothing new.
const MAX_KEPT: usize = 16;

static KEPT: Mutex<Kept> = Mutex::new(Kept { reports: Vec::new(), more: 0 });

struct Kept {
    reports: Vec<String>,
    more: usize,
}

/// Installs the process's panic hook. `report` says how a panic is told; for color-eyre that is
/// `|info| panic_hook.panic_report(info).to_string()` with the `panic_hook` of `HookBuilder::into_hooks`.
///
/// While the terminal is ours, a panic in drawing gives the terminal back and is then printed; one anywhere else touches no screen, goes to the log, and is
/// printed when the terminal was left. Otherwise it is printed at once.
pub fn install_panic_hook(report: impl Fn(&PanicHookInfo<'_>) -> String + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let text = report(info);
        if DRAWING.get() {
            leave();
        }
        if ENTERED.load(Ordering::SeqCst) {
            tracing::error!(target: "panic", "{text}");
            keep(text);
        } else {
            print(&text);
        }
    }));
}

/// Prints what was kept; the terminal must have been left.
pub(super) fn print_kept() {
    let (reports, more) = {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.reports), std::mem::take(&mut kept.more))
    };
    for report in reports {
        print(&report);
    }
    if more > 0 {
        print(&format!("{more} more panics, see the log"));
    }
}

fn keep(report: String) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.reports.len() < MAX_KEPT {
        kept.reports.push(report);
    } else {
        kept.more += 1;
    }
}

fn print(report: &str) {
    // Not `eprintln!`: it panics when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{report}");
}
