//! The other end: an engine of another process, as its handle's methods.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::codec::{FramedRead, LinesCodec};
use uuid::Uuid;

use crate::engine::{Ack, NewRun, Notice, Opened, Overview, Published, RunUpdate, Subscription};
use crate::journal::{BATCHES_BEHIND, UPDATES_BEHIND};
use crate::run::{Rejection, RejectionCode, Request};

use super::protocol::{Answer, Ask, Call, Hello, PROTOCOL, Say};

/// A process that does not say hello within this time is not going to.
const PATIENCE: Duration = Duration::from_secs(5);
/// Calls on their way; whoever has more to ask waits.
const QUEUE: usize = 64;

/// The engine of another process.
#[derive(Debug, Clone)]
pub struct Remote {
    calls: mpsc::Sender<Asked>,
    notices: broadcast::Sender<Notice>,
    /// The notices have been asked for.
    listening: Arc<AtomicBool>,
    ended: watch::Receiver<bool>,
    process: u32,
}

/// A call and where what comes of it goes.
#[derive(Debug)]
struct Asked {
    ask: Ask,
    answer: oneshot::Sender<Say>,
    sink: Option<Sink>,
}

/// Where the further answers of a call go.
#[derive(Debug)]
enum Sink {
    Run(broadcast::Sender<Published>),
    Overview(broadcast::Sender<Arc<RunUpdate>>),
    Notices(broadcast::Sender<Notice>),
}

impl Remote {
    /// # Errors
    /// Nobody listens there, or who does speaks another protocol.
    pub(in crate::engine) async fn connect(address: &Path) -> Result<Self, Rejection> {
        let failed = |what: String| {
            Rejection::new(
                RejectionCode::Gone,
                format!("the engine at {} cannot be reached: {what}", address.display()),
            )
        };
        let greeted = tokio::time::timeout(PATIENCE, greet(address)).await;
        let greeted = greeted
            .unwrap_or_else(|_| Err("it does not answer; where Ctrl-Z has stopped it, `fg` lets it go on".into()));
        let (lines, output, hello) = greeted.map_err(failed)?;
        let (calls, asked) = mpsc::channel(QUEUE);
        let (notices, _) = broadcast::channel(UPDATES_BEHIND);
        let (over, ended) = watch::channel(false);
        let (queue, to_write) = mpsc::channel(QUEUE);
        tokio::spawn(write(output, to_write));
        tokio::spawn(async move {
            Conversation { next: 1, answers: HashMap::new(), sinks: HashMap::new(), lines: VecDeque::new() }
                .go(lines, asked, queue)
                .await;
            over.send_replace(true);
        });
        Ok(Self { calls, notices, listening: Arc::default(), ended, process: hello.pid })
    }

    async fn ask(&self, ask: Ask, sink: Option<Sink>) -> Result<Say, Rejection> {
        let (answer, said) = oneshot::channel();
        self.calls.send(Asked { ask, answer, sink }).await.map_err(|_| self.gone())?;
        match said.await {
            Ok(Say::Refused(rejection)) => Err(rejection),
            Ok(said) => Ok(said),
            Err(_) => Err(self.gone()),
        }
    }

    fn gone(&self) -> Rejection {
        Rejection::new(RejectionCode::Gone, format!("the process that ran it ({}) has ended", self.process))
            .possible("look at the run on the disk: `holdpoint resume` goes on with it")
    }

    pub(in crate::engine) async fn send(&self, run_id: Uuid, request: Box<Request>) -> Result<Ack, Rejection> {
        match self.ask(Ask::Send { run_id, request }, None).await? {
            Say::Ack(ack) => Ok(ack),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) async fn register(&self, new: Box<NewRun>) -> Result<Uuid, Rejection> {
        match self.ask(Ask::Register { new }, None).await? {
            Say::Registered(run_id) => Ok(run_id),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) async fn open(&self, run_id: Uuid, go_on: bool) -> Result<Opened, Rejection> {
        match self.ask(Ask::Open { run_id, go_on }, None).await? {
            Say::Opened(opened) => Ok(opened),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) async fn close(&self, run_id: Uuid) -> Result<(), Rejection> {
        match self.ask(Ask::Close { run_id }, None).await? {
            Say::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) async fn subscribe(&self, run_id: Uuid) -> Result<Subscription, Rejection> {
        let (sink, events) = broadcast::channel(BATCHES_BEHIND);
        match self.ask(Ask::Subscribe { run_id }, Some(Sink::Run(sink))).await? {
            Say::Subscribed { mut state, recent, storage } => {
                // What follows from a state is not sent with it.
                Arc::make_mut(&mut state).reindex();
                Ok(Subscription { state, recent, storage, events })
            }
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) async fn overview(&self) -> Result<Overview, Rejection> {
        let (sink, updates) = broadcast::channel(UPDATES_BEHIND);
        match self.ask(Ask::Overview, Some(Sink::Overview(sink))).await? {
            Say::Overview(runs) => Ok(Overview { runs, updates }),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::engine) fn notices(&self) -> broadcast::Receiver<Notice> {
        let receiver = self.notices.subscribe();
        if !self.listening.swap(true, Ordering::SeqCst) {
            let (remote, sink) = (self.clone(), Sink::Notices(self.notices.clone()));
            tokio::spawn(async move { remote.ask(Ask::Notices, Some(sink)).await });
        }
        receiver
    }

    pub(in crate::engine) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the conversation is over as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    pub(in crate::engine) fn process(&self) -> u32 {
        self.process
    }
}

fn unexpected(said: &Say) -> Rejection {
    let said = format!("{said:?}");
    let shown: String = said.chars().take(80).collect();
    Rejection::new(RejectionCode::Invalid, format!("the engine's process answered something else: {shown}"))
}

type Lines = FramedRead<OwnedReadHalf, LinesCodec>;

async fn greet(address: &Path) -> Result<(Lines, OwnedWriteHalf, Hello), String> {
    let stream = UnixStream::connect(address).await.map_err(|error| error.to_string())?;
    // The address stands in a lock, which anybody may have put there.
    let peer = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    if peer != rustix::process::getuid().as_raw() {
        return Err(format!("it belongs to another user (uid {peer}), and nothing was said to it"));
    }
    let (input, mut output) = stream.into_split();
    let mut hello = serde_json::to_string(&Hello::this()).map_err(|error| error.to_string())?;
    hello.push('\n');
    output.write_all(hello.as_bytes()).await.map_err(|error| error.to_string())?;
    // An engine is trusted: it is this user's, and its states are as long as they are.
    let mut lines = FramedRead::new(input, LinesCodec::new());
    let first = match lines.next().await {
        Some(Ok(line)) => line,
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("it hung up".into()),
    };
    let hello: Hello = serde_json::from_str(&first).map_err(|_| "it is no holdpoint".to_owned())?;
    if hello.protocol != PROTOCOL {
        return Err(format!(
            "it is holdpoint {} and speaks protocol {}; this one ({}) speaks {PROTOCOL}: use the same version",
            hello.version,
            hello.protocol,
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok((lines, output, hello))
}

async fn write(mut output: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if output.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Numbers the calls and brings their answers to who asked.
struct Conversation {
    next: u64,
    answers: HashMap<u64, oneshot::Sender<Say>>,
    sinks: HashMap<u64, Sink>,
    /// Lines to be written; no call is taken while there are any.
    lines: VecDeque<String>,
}

impl Conversation {
    async fn go(mut self, mut input: Lines, mut asked: mpsc::Receiver<Asked>, queue: mpsc::Sender<String>) {
        loop {
            tokio::select! {
                line = input.next() => {
                    let Some(Ok(line)) = line else { return };
                    match serde_json::from_str::<Answer>(&line) {
                        Ok(Answer { call, say }) => self.hear(call, say),
                        Err(error) => {
                            tracing::error!("the engine's process said what cannot be read: {error}");
                            return;
                        }
                    }
                }
                asked = asked.recv(), if self.lines.is_empty() => {
                    // Nobody holds the engine any more.
                    let Some(asked) = asked else { return };
                    self.call(asked);
                }
                room = queue.reserve(), if !self.lines.is_empty() => {
                    let (Ok(room), Some(line)) = (room, self.lines.pop_front()) else { return };
                    room.send(line);
                }
            }
        }
    }

    fn call(&mut self, Asked { ask, answer, sink }: Asked) {
        let call = self.next;
        self.next += 1;
        self.answers.insert(call, answer);
        if let Some(sink) = sink {
            self.sinks.insert(call, sink);
        }
        self.line(&Call { call, ask });
    }

    fn line(&mut self, call: &Call) {
        match serde_json::to_string(call) {
            Ok(line) => self.lines.push_back(line + "\n"),
            // Whoever asked learns that there is no answer.
            Err(error) => {
                tracing::error!("a call cannot be written: {error}");
                self.answers.remove(&call.call);
                self.sinks.remove(&call.call);
            }
        }
    }

    fn hear(&mut self, call: u64, say: Say) {
        if let Some(answer) = self.answers.remove(&call) {
            let refused = matches!(say, Say::Refused(_));
            // Whoever asked and left before the answer wants nothing more of it.
            if answer.send(say).is_err() || refused {
                self.drop_sink(call, !refused);
            }
            return;
        }
        let heard = match (self.sinks.get(&call), say) {
            (Some(Sink::Run(sink)), Say::Batch(batch)) => sink.send(Published::Batch(batch.into())).is_ok(),
            (Some(Sink::Run(sink)), Say::Storage(trouble)) => sink.send(Published::Storage(trouble)).is_ok(),
            (Some(Sink::Run(sink)), Say::Missed(missed)) => {
                // Whoever follows asks anew; this subscription is over on both sides.
                let _ = sink.send(Published::Missed(missed));
                self.drop_sink(call, false);
                return;
            }
            (Some(Sink::Overview(sink)), Say::Update(update)) => sink.send(update).is_ok(),
            (Some(Sink::Overview(sink)), Say::Overview(runs)) => {
                runs.into_iter().all(|run| sink.send(Arc::new(run)).is_ok())
            }
            (Some(Sink::Notices(sink)), Say::Notice(notice)) => {
                // Between two listeners nobody hears it; the next one may come any time.
                let _ = sink.send(notice);
                true
            }
            (Some(_), _) => {
                self.drop_sink(call, false);
                return;
            }
            (None, _) => return,
        };
        if !heard {
            self.drop_sink(call, true);
        }
    }

    /// A subscription is over; the engine is told when it does not know.
    fn drop_sink(&mut self, call: u64, tell: bool) {
        if self.sinks.remove(&call).is_some() && tell {
            let over = self.next;
            self.next += 1;
            self.line(&Call { call: over, ask: Ask::Drop { call } });
        }
    }
}
