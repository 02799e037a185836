//! The thread that writes full checkpoint files, so that the recorder never waits for one.
//!
//! A run has at most one file waiting: a newer state takes the place of one that was not written yet. What queued up while the disk was
//! busy is written and synced together.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::run::RunState;

use super::checkpoint::{self, file_name, full_files, superfluous};
use super::disk::{Disk, DiskFile, Lock};
use super::replay::Place;
use super::sync::Syncer;

/// How many files are written before they are synced together.
const AT_ONCE: usize = 1024;
/// Ending of a file that is not complete yet.
pub(super) const UNFINISHED: &str = ".new";

/// A full file to write.
#[derive(Debug)]
pub(super) struct Job {
    pub run_id: Uuid,
    pub dir: PathBuf,
    pub state: Arc<RunState>,
    pub place: Place,
    /// The run stays locked until its files are written.
    pub _lock: Arc<dyn Lock>,
    /// Told the size of the file.
    pub size: Arc<AtomicU64>,
}

/// What is told when a file could not be written.
pub(super) type Trouble = Box<dyn Fn(Uuid, String) + Send + Sync>;

/// The waiting room and the thread.
pub(super) struct CheckpointWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    syncer: Arc<Syncer>,
    trouble: Trouble,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: HashMap<Uuid, Job>,
    busy: HashSet<Uuid>,
    closing: Vec<(Uuid, oneshot::Sender<()>)>,
    ended: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointWriter {
    /// Starts the thread; without one (`in_background` false, or the machine gives none) files are written at once by whoever asks.
    pub fn start(disk: Arc<dyn Disk>, syncer: Arc<Syncer>, in_background: bool, trouble: Trouble) -> Self {
        let shared =
            Arc::new(Shared { disk, syncer, trouble, queue: Mutex::new(Queue::default()), wake: Condvar::new() });
        let thread = in_background.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("journal-checkpoints".into()).spawn(move || shared.work())
        });
        Self { shared, thread: thread.and_then(Result::ok) }
    }

    /// Has a full file written; it takes the place of one of the same run that still waits.
    pub fn submit(&self, job: Job) {
        if self.thread.is_none() {
            self.shared.write(vec![job]);
            return;
        }
        self.shared.queue().jobs.insert(job.run_id, job);
        self.shared.wake.notify_one();
    }

    /// Answers when no file of the run waits or is being written.
    pub fn when_idle(&self, run_id: Uuid, reply: oneshot::Sender<()>) {
        let mut queue = self.shared.queue();
        if queue.jobs.contains_key(&run_id) || queue.busy.contains(&run_id) {
            queue.closing.push((run_id, reply));
        } else {
            // Whoever asked may be gone.
            let _ = reply.send(());
        }
    }
}

impl Drop for CheckpointWriter {
    /// Waits until what was asked for is written.
    fn drop(&mut self) {
        self.shared.queue().ended = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut queue = self.queue();
        loop {
            if queue.jobs.is_empty() {
                if queue.ended {
                    return;
                }
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let chosen: Vec<Uuid> = queue.jobs.keys().copied().take(AT_ONCE).collect();
            let jobs: Vec<Job> = chosen.iter().filter_map(|run_id| queue.jobs.remove(run_id)).collect();
            queue.busy.extend(&chosen);
            drop(queue);
            self.write(jobs);
            queue = self.queue();
            queue.busy.clear();
            let Queue { jobs, closing, .. } = &mut *queue;
            for (_, reply) in closing.extract_if(.., |(run_id, _)| !jobs.contains_key(run_id)) {
                let _ = reply.send(());
            }
        }
    }

    /// Written beside, synced, renamed, the folders synced; then older files are thinned out.
    fn write(&self, jobs: Vec<Job>) {
        let mut buffer = Vec::new();
        let mut written: Vec<(&Job, Arc<dyn DiskFile>, u64)> = Vec::new();
        for job in &jobs {
            match self.write_beside(job, &mut buffer) {
                Ok((file, size)) => written.push((job, file, size)),
                Err(error) => self.give_up(job, "written", &error),
            }
        }
        let files: Vec<Arc<dyn DiskFile>> = written.iter().map(|(_, file, _)| Arc::clone(file)).collect();
        let whole = self.syncer.takes_whole(files.len());
        let verdicts = self.syncer.sync(&files, whole);
        let mut renamed = Vec::new();
        for ((job, _, size), verdict) in written.into_iter().zip(verdicts) {
            let (from, to) = names(job);
            match verdict.and_then(|()| self.disk.rename(&from, &to)) {
                Ok(()) => renamed.push((job, size)),
                Err(error) => self.give_up(job, "made durable", &error),
            }
        }
        let all = whole.then(|| self.syncer.sync_whole()).flatten();
        for (job, size) in renamed {
            let verdict = match &all {
                Some(verdict) => super::sync::copy(verdict),
                None => self.disk.sync_dir(&job.dir),
            };
            match verdict.and_then(|()| self.thin_out(&job.dir)) {
                Ok(()) => job.size.store(size, Ordering::Relaxed),
                Err(error) => self.give_up(job, "made durable", &error),
            }
        }
    }

    fn write_beside(&self, job: &Job, buffer: &mut Vec<u8>) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let (path, _) = names(job);
        // A rest of an earlier try.
        let _ = self.disk.remove_file(&path);
        let file = self.disk.create_file(&path)?;
        let size = checkpoint::write(&*file, buffer, &job.state, job.place)?;
        Ok((file, size))
    }

    fn give_up(&self, job: &Job, verb: &str, error: &io::Error) {
        let (path, name) = names(job);
        let _ = self.disk.remove_file(&path);
        let text = format!("{} could not be {verb}: {error}. The journal is whole without it", name.display());
        (self.trouble)(job.run_id, text);
    }

    fn thin_out(&self, dir: &Path) -> io::Result<()> {
        for seq in superfluous(&full_files(&*self.disk, dir)?) {
            match self.disk.remove_file(&dir.join(file_name(seq))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Where a job's file is written, and what it is called when it is complete.
fn names(job: &Job) -> (PathBuf, PathBuf) {
    let name = file_name(job.place.seq);
    (job.dir.join(format!("{name}{UNFINISHED}")), job.dir.join(name))
}
