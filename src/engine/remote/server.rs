//! The engine's end of the socket.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_util::codec::{FramedRead, LinesCodec};
use uuid::Uuid;

use crate::engine::{EngineHandle, Published};
use crate::run::{Rejection, RejectionCode};

use super::address;
use super::protocol::{Answer, Ask, Call, Hello, MAX_LINE, PROTOCOL, Say};

/// More consoles than this at the same time are a mistake, not operators.
const MAX_CLIENTS: usize = 64;
/// Lines on their way to a client. When it reads slowly they fill, and its subscriptions fall behind; nobody else notices.
const QUEUE: usize = 64;
/// A client that takes nothing for so long is gone, or as good as that.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket that is listened on, before there is an engine to speak for: its path has to be known when the engine takes its first lock.
#[derive(Debug)]
pub struct Listener {
    socket: std::os::unix::net::UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens on a new socket for this user only.
    ///
    /// # Errors
    /// There is no place for one; see the message.
    pub fn bind() -> io::Result<Self> {
        let (socket, path) = address::bind()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Speaks for an engine from now on. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub fn serve(self, engine: EngineHandle) -> io::Result<Server> {
        let socket = UnixListener::from_std(self.socket)?;
        let (count, clients) = watch::channel(0);
        let task = tokio::spawn(accept(socket, engine, count));
        Ok(Server { path: self.path, task, clients })
    }
}

/// A socket on which an engine is spoken for. Dropping it closes it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    task: JoinHandle<()>,
    clients: watch::Receiver<usize>,
}

impl Server {
    /// How many clients are connected, and its changes.
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.clients.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Who comes later finds nothing, instead of a socket that refuses.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(socket: UnixListener, engine: EngineHandle, count: watch::Sender<usize>) {
    // Dropped with this task, and every conversation with it.
    let mut conversations = JoinSet::new();
    let uid = rustix::process::getuid().as_raw();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    // The folder keeps others out; this keeps them out where a file system does not.
                    let peer = stream.peer_cred().map(|peer| peer.uid()).ok().filter(|peer| *peer == uid);
                    if let Some(peer) = peer.filter(|_| conversations.len() < MAX_CLIENTS) {
                        conversations.spawn(converse(stream, peer, engine.clone()));
                    }
                }
                // No descriptors left, most likely; whoever knocked stays in the queue.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(ended) = conversations.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a conversation with a client panicked");
                }
            }
        }
        count.send_replace(conversations.len());
    }
}

/// Lines to one client.
#[derive(Clone)]
struct Out(mpsc::Sender<String>);

impl Out {
    /// Says something to the client; `Err` when it is gone.
    async fn say(&self, call: u64, say: Say) -> Result<(), Gone> {
        self.line(&Answer { call, say }).await
    }

    async fn line(&self, value: &impl Serialize) -> Result<(), Gone> {
        let mut line = serde_json::to_string(value).map_err(|_| Gone)?;
        line.push('\n');
        self.0.send(line).await.map_err(|_| Gone)
    }
}

struct Gone;

async fn converse(stream: UnixStream, peer: u32, engine: EngineHandle) {
    let (input, output) = stream.into_split();
    let (out, lines) = mpsc::channel(QUEUE);
    let mut writer = tokio::spawn(write(output, lines));
    let input = FramedRead::new(input, LinesCodec::new_with_max_length(MAX_LINE));
    let mut client = Client { engine, peer, out: Out(out), streams: HashMap::new(), tasks: JoinSet::new() };
    tokio::select! {
        // Where it ends does not matter: the client is gone, or was told why it is left.
        _ = client.listen(input) => {}
        _ = &mut writer => return,
    }
    drop(client);
    // What was said last still goes out.
    let _ = writer.await;
}

async fn write(mut output: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        match tokio::time::timeout(PATIENCE, output.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

struct Client {
    engine: EngineHandle,
    /// Whose process it is, as the system says.
    peer: u32,
    out: Out,
    /// What runs for each call that asked for more than one answer.
    streams: HashMap<u64, AbortHandle>,
    tasks: JoinSet<Result<(), Gone>>,
}

type Lines = FramedRead<tokio::net::unix::OwnedReadHalf, LinesCodec>;

impl Client {
    async fn listen(&mut self, mut lines: Lines) -> Result<(), Gone> {
        self.out.line(&Hello::this()).await?;
        let hello: Option<Hello> = match lines.next().await {
            Some(Ok(line)) => serde_json::from_str(&line).ok(),
            _ => return Err(Gone),
        };
        let refusal = match hello {
            Some(hello) if hello.protocol == PROTOCOL => None,
            Some(hello) => Some(format!(
                "this holdpoint ({}) speaks protocol {PROTOCOL}, yours ({}) speaks {}: use the same version",
                env!("CARGO_PKG_VERSION"),
                hello.version,
                hello.protocol
            )),
            None => Some("the first line has to say hello: {\"protocol\":1,\"version\":\"…\",\"pid\":1}".into()),
        };
        if let Some(refusal) = refusal {
            return self.out.say(0, Say::Refused(Rejection::new(RejectionCode::Invalid, refusal))).await;
        }
        loop {
            let line = match lines.next().await {
                Some(Ok(line)) => line,
                Some(Err(error)) => {
                    let refusal = Rejection::new(RejectionCode::Invalid, format!("the line was not read: {error}"));
                    return self.out.say(0, Say::Refused(refusal)).await;
                }
                None => return Err(Gone),
            };
            match serde_json::from_str::<Call>(&line) {
                Ok(Call { call, ask }) => self.answer(call, ask).await?,
                Err(error) => {
                    let refusal = Rejection::new(RejectionCode::Invalid, format!("that is no call: {error}"));
                    self.out.say(0, Say::Refused(refusal)).await?;
                }
            }
            // What has ended by itself needs no room any more.
            while self.tasks.try_join_next().is_some() {}
            self.streams.retain(|_, stream| !stream.is_finished());
        }
    }

    async fn answer(&mut self, call: u64, ask: Ask) -> Result<(), Gone> {
        let engine = self.engine.clone();
        let answer = match ask {
            Ask::Send { run_id, request } => engine.send_from(self.peer, run_id, *request).await.map(Say::Ack),
            Ask::Register { new } => engine.register(*new).await.map(Say::Registered),
            Ask::Open { run_id, go_on } => engine.open(run_id, go_on).await.map(Say::Opened),
            Ask::Close { run_id } => engine.close(run_id).await.map(|()| Say::Done),
            Ask::Subscribe { run_id } => {
                self.stream(call, follow(engine, run_id, call, self.out.clone()));
                return Ok(());
            }
            Ask::Overview => {
                self.stream(call, overview(engine, call, self.out.clone()));
                return Ok(());
            }
            Ask::Notices => {
                self.stream(call, notices(engine, call, self.out.clone()));
                return Ok(());
            }
            Ask::Drop { call } => {
                if let Some(stream) = self.streams.remove(&call) {
                    stream.abort();
                }
                return Ok(());
            }
        };
        self.out.say(call, answer.unwrap_or_else(Say::Refused)).await
    }

    fn stream(&mut self, call: u64, work: impl Future<Output = Result<(), Gone>> + Send + 'static) {
        let task = self.tasks.spawn(work);
        if let Some(before) = self.streams.insert(call, task) {
            before.abort();
        }
    }
}

async fn follow(engine: EngineHandle, run_id: Uuid, call: u64, out: Out) -> Result<(), Gone> {
    let subscription = match engine.subscribe(run_id).await {
        Ok(subscription) => subscription,
        Err(rejection) => return out.say(call, Say::Refused(rejection)).await,
    };
    let mut events = subscription.events;
    let (state, recent, storage) = (subscription.state, subscription.recent, subscription.storage);
    out.say(call, Say::Subscribed { state, recent, storage }).await?;
    loop {
        match events.recv().await {
            Ok(Published::Batch(batch)) => out.say(call, Say::Batch(batch.events)).await?,
            Ok(Published::Storage(trouble)) => out.say(call, Say::Storage(trouble)).await?,
            Ok(Published::Missed(missed)) | Err(RecvError::Lagged(missed)) => {
                return out.say(call, Say::Missed(missed)).await;
            }
            Err(RecvError::Closed) => return out.say(call, Say::Over).await,
        }
    }
}

async fn overview(engine: EngineHandle, call: u64, out: Out) -> Result<(), Gone> {
    loop {
        let overview = match engine.overview().await {
            Ok(overview) => overview,
            Err(rejection) => return out.say(call, Say::Refused(rejection)).await,
        };
        let mut updates = overview.updates;
        out.say(call, Say::Overview(overview.runs)).await?;
        loop {
            match updates.recv().await {
                Ok(update) => out.say(call, Say::Update(update)).await?,
                // Each line says all of its run: the whole list anew makes up for what was missed.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return out.say(call, Say::Over).await,
            }
        }
    }
}

async fn notices(engine: EngineHandle, call: u64, out: Out) -> Result<(), Gone> {
    let mut notices = engine.notices();
    out.say(call, Say::Done).await?;
    loop {
        match notices.recv().await {
            Ok(notice) => out.say(call, Say::Notice(notice)).await?,
            // The next notice says where things stand.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return out.say(call, Say::Over).await,
        }
    }
}
