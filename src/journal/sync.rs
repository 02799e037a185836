//! Making many files durable at once.
//!
//! Two ways, measured on ext4 (virtio disk, 2 cores), one batch of about 400 bytes in each of so many runs, median of 20 groups, with the
//! threshold below set to everything or nothing:
//! `cargo test --release --test it journal_speed::many_runs -- --ignored --nocapture`
//!
//! | files | fdatasync in 8 threads | one syncfs |
//! |------:|-----------------------:|-----------:|
//! |     1 |                 0.2 ms |     0.2 ms |
//! |     8 |                 1.0 ms |     0.6 ms |
//! |    16 |                 1.5 ms |     1.4 ms |
//! |    32 |                 3.2 ms |     1.5 ms |
//! |    64 |                 6.6 ms |     2.9 ms |
//! |   256 |                  25 ms |      12 ms |
//! |  1000 |                 106 ms |      44 ms |
//!
//! But syncfs also writes what *others* have left dirty on the file system: the first call of the same measurement took 247 ms for one file,
//! and beside a job that dumps gigabytes it takes seconds. So a handful of files are synced in threads, where the file system joins them
//! into few commits; many are synced with one syncfs; and when that turns out slow, threads are used for a while.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::disk::{DiskFile, DiskFileSystem};

/// From this many files on, the whole file system is synced.
const WHOLE_FROM: usize = 24;
/// How many files are synced at the same time.
const THREADS: usize = 8;
/// A syncfs slower than this was held up by other people's data.
const SLOW: Duration = Duration::from_millis(250);
/// How long it is then left alone.
const LEAVE_ALONE: Duration = Duration::from_secs(10);

type Job = (usize, Arc<dyn DiskFile>, Sender<(usize, io::Result<()>)>);

/// Syncs files. Shared by the recorder and the writer of checkpoints.
#[derive(Debug)]
pub(super) struct Syncer {
    file_system: Arc<dyn DiskFileSystem>,
    pool: Mutex<Option<Pool>>,
    whole_again: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
struct Pool {
    jobs: Sender<Job>,
}

impl Syncer {
    pub(super) fn new(file_system: Arc<dyn DiskFileSystem>) -> Self {
        Self { file_system, pool: Mutex::new(None), whole_again: Mutex::new(None) }
    }

    /// Whether so many files are synced with one call.
    pub(super) fn takes_whole(&self, files: usize) -> bool {
        let mut whole_again = self.whole_again.lock().unwrap_or_else(PoisonError::into_inner);
        if whole_again.is_some_and(|time| time <= Instant::now()) {
            *whole_again = None;
        }
        files >= WHOLE_FROM && whole_again.is_none()
    }

    /// Makes the content of the files durable; one verdict each. With `whole`, everything on the file system, names included.
    pub(super) fn sync(&self, files: &[Arc<dyn DiskFile>], whole: bool) -> Vec<io::Result<()>> {
        if whole && let Some(verdict) = self.sync_whole() {
            return files.iter().map(|_| copy(&verdict)).collect();
        }
        match files {
            [] => Vec::new(),
            [file] => vec![file.sync_data()],
            files => self.sync_in_threads(files),
        }
    }

    /// Everything on the file system; `None` where there is no such call.
    pub(super) fn sync_whole(&self) -> Option<io::Result<()>> {
        let start = Instant::now();
        let verdict = self.file_system.sync();
        if matches!(&verdict, Err(error) if error.kind() == io::ErrorKind::Unsupported) {
            return None;
        }
        if start.elapsed() > SLOW {
            *self.whole_again.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + LEAVE_ALONE);
        }
        Some(verdict)
    }

    fn sync_in_threads(&self, files: &[Arc<dyn DiskFile>]) -> Vec<io::Result<()>> {
        let pool = {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            pool.get_or_insert_with(Pool::start).clone()
        };
        let (report, verdicts) = mpsc::channel();
        let mut results: Vec<Option<io::Result<()>>> = Vec::new();
        results.resize_with(files.len(), || None);
        // The last one is synced here: with two files, one thread is woken instead of two.
        let (last, others) = (files.len() - 1, &files[..files.len() - 1]);
        for (index, file) in others.iter().enumerate() {
            if pool.jobs.send((index, Arc::clone(file), report.clone())).is_err() {
                results[index] = Some(file.sync_data());
            }
        }
        drop(report);
        results[last] = Some(files[last].sync_data());
        for (index, verdict) in verdicts {
            results[index] = Some(verdict);
        }
        let lost = || io::Error::other("the thread that synced it ended");
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }
}

/// An error for each of many files.
pub(super) fn copy(verdict: &io::Result<()>) -> io::Result<()> {
    match verdict {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}

impl Pool {
    /// The threads end when the pool is dropped.
    fn start() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..THREADS {
            let queue = Arc::clone(&queue);
            // A machine that gives no more threads leaves the work to the others; with none at all, `sync` finds the queue closed.
            let _ = std::thread::Builder::new().name(format!("journal-sync-{number}")).spawn(move || work(&queue));
        }
        Self { jobs }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, file, report)) = job else { return };
        // Nobody waits any more: nothing to say.
        let _ = report.send((index, file.sync_data()));
    }
}
