//! An HTTP server for tests, in this process: it does what the test says, well or badly, and remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends a byte now and then, for ever.
    Trickle,
    /// Sends without end, as fast as it is taken.
    Flood,
    /// Says nothing more and keeps the connection.
    Hang,
    Close,
}

type Handler = dyn Fn(usize, &Asked) -> Vec<Do> + Send + Sync;

pub(crate) struct Server {
    pub address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers as the handler says, which is given the number of the request, from 0.
    pub async fn new(handler: impl Fn(usize, &Asked) -> Vec<Do> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, handler): (_, Arc<Handler>) = (Arc::clone(&asked), Arc::new(handler));
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, connection, Arc::clone(&seen), Arc::clone(&handler)));
            }
        });
        Self { address, asked, task }
    }

    /// The same answers one after the other; the last one again and again.
    pub async fn answering(answers: Vec<Vec<Do>>) -> Self {
        Self::new(move |number, _| answers[number.min(answers.len() - 1)].clone()).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Methods and targets of what was asked.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
    }
}

async fn serve(mut stream: TcpStream, connection: usize, seen: Arc<Mutex<Vec<Asked>>>, handler: Arc<Handler>) {
    let mut rest = Vec::new();
    while let Some(mut asked) = read(&mut stream, &mut rest).await {
        asked.connection = connection;
        let number = {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(asked.clone());
            seen.len() - 1
        };
        for part in handler(number, &asked) {
            match part {
                Do::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Do::Pause(time) => tokio::time::sleep(time).await,
                Do::Trickle => {
                    while stream.write_all(b".").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    return;
                }
                Do::Flood => {
                    while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
                    return;
                }
                Do::Hang => {
                    // Until the other side has had enough.
                    let _ = stream.read(&mut [0; 1]).await;
                    return;
                }
                Do::Close => return,
            }
        }
    }
}

/// Reads one request with its body; `None` at the end of the connection.
async fn read(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Asked> {
    let head = loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(rest.drain(..end + 4).collect()).unwrap();
            break head;
        }
        if stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let mut line = lines.next()?.split(' ');
    let (method, target) = (line.next()?.to_owned(), line.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let asked = Asked { method, target, headers, ..Asked::default() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    while rest.len() < length {
        if stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(rest.drain(..length).collect()).unwrap();
    Some(Asked { body, ..asked })
}

/// A whole answer. `headers` are lines, each with its end.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<Do> {
    let length = body.len();
    vec![Do::Send(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes())]
}

pub(crate) fn json(status: &str, headers: &str, body: Value) -> Vec<Do> {
    answer(status, &format!("content-type: application/json\r\n{headers}"), &body.to_string())
}

pub(crate) fn ok(body: Value) -> Vec<Do> {
    json("200 OK", "", body)
}
