//! Brings what a server says beside its answers to the calls that are running.
//!
//! Progress names its call. A log line, a line on stderr and, over stdio, a question do not: lines go to every running call, a question to the
//! one that began last.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{ProgressNotificationParam, ProgressToken, RequestId};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::plan::typed;

use super::super::desk::Desk;
use super::super::live::LiveSink;
use super::super::masking::Masker;

/// How much is kept of what a server says while no call is running, in bytes.
const KEPT: usize = 8 * 1024;
/// So many lines of stderr, and so many characters of them, are told when a server has ended.
const LAST_LINES: usize = 3;
const LAST_WORDS: usize = 400;
/// How many pieces may be on their way to a call; the server waits with the next.
const PIECES: usize = 64;

/// Something for a call's output.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// A line of the server's log.
    Log(String),
    /// A piece of its stderr.
    Stderr(Arc<[u8]>),
}

/// What a call is reached by.
#[derive(Clone)]
pub(super) struct Line {
    /// The attempt's key.
    pub key: String,
    pub live: LiveSink,
    pub secrets: Masker,
    pub desk: Desk,
    said: mpsc::Sender<Said>,
    /// How many questions are open.
    asking: Arc<watch::Sender<u32>>,
    token: Option<ProgressToken>,
    request: Option<RequestId>,
}

/// A call's end of its [`Line`].
pub(super) struct Ear {
    pub said: mpsc::Receiver<Said>,
    pub asking: watch::Receiver<u32>,
}

impl Line {
    pub fn new(key: String, live: LiveSink, secrets: Masker, desk: Desk) -> (Self, Ear) {
        let (said, heard) = mpsc::channel(PIECES);
        let (asking, asked) = watch::channel(0);
        let line = Self { key, live, secrets, desk, said, asking: Arc::new(asking), token: None, request: None };
        (line, Ear { said: heard, asking: asked })
    }

    /// While what is returned lives, the call waits for a person.
    pub fn asking(&self) -> Asking {
        self.asking.send_modify(|open| *open += 1);
        Asking(Arc::clone(&self.asking))
    }

    /// Waits until the call has ended, or asks for nothing more.
    pub async fn over(&self) {
        self.said.closed().await;
    }
}

/// An open question; see [`Line::asking`].
pub(super) struct Asking(Arc<watch::Sender<u32>>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[derive(Default)]
pub(super) struct Router {
    lines: Mutex<Lines>,
    tools_changed: AtomicBool,
}

#[derive(Default)]
struct Lines {
    running: Vec<Line>,
    /// What was said while no call was running: the last of it.
    kept: VecDeque<u8>,
    /// The last of stderr, whoever heard it: for words on why a server has ended.
    last: VecDeque<u8>,
}

/// A call that is running, until this is dropped.
pub(super) struct Registered {
    router: Arc<Router>,
    key: String,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.router.lines().running.retain(|line| line.key != self.key);
    }
}

impl Registered {
    /// Whether no other call is running.
    pub fn is_alone(&self) -> bool {
        self.router.lines().running.iter().all(|line| line.key == self.key)
    }
}

impl Router {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call that is running, and gives what was said before it.
    pub fn enter(self: &Arc<Self>, line: Line) -> (Registered, Vec<u8>) {
        let mut lines = self.lines();
        let registered = Registered { router: Arc::clone(self), key: line.key.clone() };
        lines.running.push(line);
        (registered, lines.kept.drain(..).collect())
    }

    /// A call is about to be sent.
    pub fn sent(&self, key: &str, token: Option<ProgressToken>, request: RequestId) {
        if let Some(line) = self.lines().running.iter_mut().find(|line| line.key == key) {
            (line.token, line.request) = (token, Some(request));
        }
    }

    pub fn progress(&self, progress: &ProgressNotificationParam) {
        let line =
            self.lines().running.iter().find(|line| line.token.as_ref() == Some(&progress.progress_token)).cloned();
        let Some(line) = line else { return };
        let share = progress.total.filter(|total| *total > 0.0).map(|total| progress.progress / total);
        let counted = match progress.total {
            Some(_) => None,
            None => Some(progress.progress.to_string()),
        };
        let words = progress.message.clone().or(counted);
        line.live.progress(share, words.map(|words| line.secrets.text(&words).into_owned()).as_deref());
    }

    /// A line of the log: an object with `level`, `logger` and `data`.
    pub fn log(&self, log: &Value) -> Vec<(mpsc::Sender<Said>, Said)> {
        let data = typed(&log["data"]);
        let logger = log["logger"].as_str().map(|logger| format!(" {logger}:")).unwrap_or_default();
        let text = format!("[{}]{logger} {data}\n", log["level"].as_str().unwrap_or("log"));
        let mut lines = self.lines();
        if lines.running.is_empty() {
            keep(&mut lines.kept, text.as_bytes());
        }
        lines.running.iter().map(|line| (line.said.clone(), Said::Log(text.clone()))).collect()
    }

    pub fn stderr(&self, bytes: &[u8]) -> Vec<(mpsc::Sender<Said>, Said)> {
        let mut lines = self.lines();
        keep(&mut lines.last, bytes);
        if lines.running.is_empty() {
            keep(&mut lines.kept, bytes);
        }
        let piece: Arc<[u8]> = bytes.into();
        lines.running.iter().map(|line| (line.said.clone(), Said::Stderr(Arc::clone(&piece)))).collect()
    }

    /// The last lines that the server wrote on stderr and that say something, in one.
    pub fn last_words(&self) -> Option<String> {
        let bytes: Vec<u8> = self.lines().last.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ");
        let skipped = last.chars().count().saturating_sub(LAST_WORDS);
        let cut = if skipped > 0 { "…" } else { "" };
        (!last.is_empty()).then(|| cut.chars().chain(last.chars().skip(skipped)).collect())
    }

    /// The call that a question of the server belongs to, as far as one can tell: the request it came with, else the call that began last.
    pub fn asker(&self, request: Option<&RequestId>) -> Option<Line> {
        let lines = self.lines();
        let named =
            request.and_then(|request| lines.running.iter().find(|line| line.request.as_ref() == Some(request)));
        named.or_else(|| lines.running.iter().rfind(|line| line.request.is_some())).cloned()
    }

    pub fn tools_have_changed(&self) {
        self.tools_changed.store(true, Ordering::Relaxed);
    }

    pub fn take_tools_changed(&self) -> bool {
        self.tools_changed.swap(false, Ordering::Relaxed)
    }
}

fn keep(kept: &mut VecDeque<u8>, bytes: &[u8]) {
    kept.extend(&bytes[bytes.len().saturating_sub(KEPT)..]);
    let over = kept.len().saturating_sub(KEPT);
    kept.drain(..over);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(key: &str) -> (Line, Ear) {
        Line::new(key.into(), LiveSink::none(), Masker::default(), Desk::empty())
    }

    #[test]
    fn lines_go_to_whoever_runs_and_are_kept_while_nobody_does() {
        let router = Arc::new(Router::default());
        assert!(router.stderr(b"starting\n").is_empty());
        router.stderr(&vec![b'x'; 3 * KEPT]);
        router.stderr(b"\nlast\n\n");
        let (one, _one) = line("one");
        let (two, _two) = line("two");
        let (entered, kept) = router.enter(one);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.ends_with(b"xx\nlast\n\n"));
        assert!(entered.is_alone());
        let (second, kept) = router.enter(two);
        assert!(kept.is_empty() && !entered.is_alone());
        assert_eq!(router.stderr(b"both").len(), 2);
        drop(second);
        let said = router.log(&json!({"level": "info", "logger": "db", "data": {"n": 1}}));
        assert!(matches!(&said[..], [(_, Said::Log(text))] if text == "[info] db: {\"n\":1}\n"), "{said:?}");
        assert!(router.last_words().unwrap().ends_with("xx / last / both"), "{:?}", router.last_words());
    }

    #[test]
    fn a_question_comes_to_the_call_it_came_with_or_to_the_newest_that_was_sent() {
        let router = Arc::new(Router::default());
        assert!(router.asker(None).is_none());
        let entered: Vec<_> = ["one", "two", "three"].map(|key| router.enter(line(key).0)).into_iter().collect();
        router.sent("one", None, RequestId::Number(1));
        router.sent("two", None, RequestId::Number(2));
        let asker = |request: Option<i64>| router.asker(request.map(RequestId::Number).as_ref()).unwrap().key;
        assert_eq!((asker(Some(1)), asker(Some(9)), asker(None)), ("one".into(), "two".into(), "two".into()));
        drop(entered);
        assert!(router.asker(Some(&RequestId::Number(1))).is_none());
    }
}
