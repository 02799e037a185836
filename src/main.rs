//! The program: hands over to the library and turns what comes back into an exit code.

use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use holdpoint::agents::warden;
use holdpoint::cli;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// An attempt takes and gives back some hundred pieces of memory, half of them in another thread: the C library's allocator needs twice as long.
/// It does not ask the system for huge pages: they are no quicker here, and what is given back of them stays in memory until all of a page is free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's `mi_option_purge_delay`, for which its crate has no name: after how many milliseconds what was given back goes to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // A large plan takes several times its size while it is read; the usual second is long enough for all of that to pile up.
    // SAFETY: it sets a number in the allocator's table of options, and no other thread is there yet.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 10);
    }
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    // Before anything else: the warden must be up in no time and touch nothing that the console or the engine sets up.
    if arguments.first().is_some_and(|first| first == warden::ARGUMENT) {
        return ExitCode::from(warden::main(&arguments));
    }
    if arguments.first().is_some_and(|first| first == cli::background::ARGUMENT) {
        return ExitCode::from(cli::background::main(&arguments));
    }
    if let Err(error) = install_reports() {
        eprintln!("holdpoint: {error}");
    }
    let _log = match log_to_file() {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("holdpoint: {error}");
            return cli::Exit::Usage.into();
        }
    };
    cli::main().into()
}

/// Panics are reported with where and why; a backtrace comes only when somebody asks for one with `RUST_BACKTRACE`.
fn install_reports() -> color_eyre::Result<()> {
    let (panics, errors) = color_eyre::config::HookBuilder::default()
        .capture_span_trace_by_default(false)
        .display_env_section(false)
        .display_location_section(true)
        .into_hooks();
    errors.install()?;
    // While the console is on the screen, a report waits until the terminal has been given back.
    holdpoint::console::terminal::install_panic_hook(move |info| panics.panic_report(info).to_string());
    Ok(())
}

/// Diagnostics of the program itself go to the file that `HOLDPOINT_LOG` names, never to the terminal; without it, nowhere.
/// What is logged can be narrowed with `HOLDPOINT_LOG_LEVEL` (default `info`).
fn log_to_file() -> Result<Option<tracing_appender::non_blocking::WorkerGuard>, String> {
    let Some(path) = std::env::var_os("HOLDPOINT_LOG").filter(|path| !path.is_empty()) else { return Ok(None) };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        // It quotes what runs do, so it is for its owner only; and where it lies may be a folder that others write to.
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(|error| format!("HOLDPOINT_LOG: cannot write {}: {error}", path.to_string_lossy()))?;
    let level = match std::env::var("HOLDPOINT_LOG_LEVEL") {
        Ok(level) => level
            .parse()
            .map_err(|_| format!("HOLDPOINT_LOG_LEVEL is `{level}`; it can be error, warn, info, debug or trace"))?,
        Err(_) => tracing::Level::INFO,
    };
    let (writer, guard) = tracing_appender::non_blocking(file);
    // The MCP library logs whole messages, and with them what must not be written anywhere.
    let targets = Targets::new().with_default(level).with_target("rmcp", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
    Ok(Some(guard))
}
