//! A session with a server: made, asked for its tools, closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, FormElicitationCapability, Implementation, PaginatedRequestParams, PingRequest,
    ProtocolVersion, Tool, UrlElicitationCapability,
};
use rmcp::service::{
    ClientInitializeError, InboundStreamOrigin, Peer, RequestContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
use rmcp::{ClientHandler, ServiceExt};

use crate::plan::McpSpec;

use super::super::AttemptContext;
use super::super::http::{client, request, words};
use super::super::masking::Masker;
use super::elicitation::Asked;
use super::router::Router;
use super::server::{Server, Voice};
use super::tap::Tap;

/// How long it may take until a server is ready, where the entry does not say. Programs that fetch a server first are slow at it.
const CONNECT: Duration = Duration::from_secs(60);
/// How long connecting to an address may take.
const REACH: Duration = Duration::from_secs(10);
/// The longest pause before an answer that broke off is asked for again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a server elsewhere is asked whether it is still there while it works on a call, and how long it may take to say so.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the goodbye to a server may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long a server that has closed its end has to say why by ending.
const DYING: Duration = Duration::from_secs(1);
/// So many pages of tools are asked for, and so many tools are known.
const PAGES: usize = 100;
const TOOLS: usize = 10_000;
/// The longest message that is taken, in bytes: a result has at most half of it.
const MESSAGE: usize = 16 << 20;

/// A session.
pub(super) struct Session {
    pub peer: Peer<RoleClient>,
    pub router: Arc<Router>,
    /// What the server calls itself.
    pub name: String,
    service: Mutex<Option<RunningService<RoleClient, Handler>>>,
    server: Option<Server>,
    tools: tokio::sync::Mutex<Arc<[Tool]>>,
    /// No further call is to use it.
    given_up: AtomicBool,
    connect: Duration,
    grace: Duration,
}

/// How long the server may take to be ready.
pub(super) fn connect_timeout(spec: &McpSpec) -> Duration {
    spec.connect_timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(CONNECT)
}

impl Session {
    /// Makes a session for the call that needs it first.
    ///
    /// # Errors
    /// There is none; why, in words.
    pub async fn begin(spec: &McpSpec, context: &AttemptContext, router: Arc<Router>) -> Result<Self, String> {
        let connect = connect_timeout(spec);
        let handler = Handler { router: Arc::clone(&router) };
        let begun = tokio::time::Instant::now();
        let (service, server) = match (&spec.command, &spec.url) {
            (Some(command), None) => {
                let (server, Voice { stdin, stdout }) =
                    Server::start(command, spec, context, Arc::clone(&router)).await?;
                let wire = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE);
                let ended = || server.ended();
                match handshake(handler, Tap::new(wire, Arc::clone(&router)), connect, ended).await {
                    Ok(service) => (service, Some(server)),
                    Err(error) => {
                        let ended = if error.closed { server.wait(DYING).await } else { error.ended };
                        server.kill();
                        server.wait(GOODBYE).await;
                        return Err(match ended {
                            Some(how) => format!("the server ended before it was ready: {how}"),
                            None => error.words,
                        });
                    }
                }
            }
            (None, Some(url)) => {
                let url = request::checked_url(url)?;
                let reach = REACH.min(connect);
                let connector = client::connector(&url, reach).await?;
                let mut headers = HeaderMap::new();
                request::set_headers(&mut headers, &spec.headers)?;
                request::authorize(&mut headers, spec.auth.as_ref())?;
                let headers: HashMap<_, _> =
                    headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    // A new session knows nothing of the calls of the old one, which would be waited for in vain.
                    .reinit_on_expired_session(false)
                    .max_sse_event_size(MESSAGE)
                    .max_json_response_size(MESSAGE);
                let mut again = ExponentialBackoff::default();
                again.max_delay = Some(LONGEST_PAUSE);
                config.retry_config = Arc::new(again);
                let wire = StreamableHttpClientTransport::with_client(connector.client, config);
                let service = handshake(handler, Tap::new(wire, Arc::clone(&router)), connect, || None).await;
                let place = words::url(&url, &context.secrets);
                (service.map_err(|error| format!("{place}: {}", error.words))?, None)
            }
            _ => return Err("the MCP server must have one of `command` and `url`".into()),
        };
        let peer = service.peer().clone();
        let info = peer.peer_info();
        let name = info.as_ref().and_then(|info| info.server_info.as_ref()).map(|server| server.name.clone());
        let session = Self {
            name: name.unwrap_or_else(|| "the server".into()),
            peer,
            router,
            service: Mutex::new(Some(service)),
            server,
            tools: tokio::sync::Mutex::new(Arc::from([])),
            given_up: AtomicBool::new(false),
            connect,
            grace: context.grace,
        };
        let capabilities = info.map(|info| info.capabilities.clone()).unwrap_or_default();
        let listed = async {
            if capabilities.logging.is_some() {
                session.listen_to_log().await;
            }
            match capabilities.tools {
                Some(_) => session.list_tools().await,
                None => Ok(Arc::from([])),
            }
        };
        let listed = tokio::time::timeout(connect.saturating_sub(begun.elapsed()), listed).await;
        match listed {
            Ok(Ok(tools)) => {
                *session.tools.lock().await = tools;
                Ok(session)
            }
            Ok(Err(error)) => {
                let why = format!("the server did not list its tools: {}", session.trouble(&error).await);
                session.close().await;
                Err(why)
            }
            Err(_) => {
                session.kill().await;
                Err(format!(
                    "the server did not list its tools within {} (`connect_timeout_seconds`)",
                    words::seconds(connect)
                ))
            }
        }
    }

    /// Whether calls can still use it.
    pub fn is_usable(&self) -> bool {
        let ended = self.server.as_ref().is_some_and(|server| server.ended().is_some());
        !ended && !self.peer.is_transport_closed() && !self.given_up.load(Ordering::Relaxed)
    }

    /// No further call is to use it.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// The tools, as the server has listed them last. A server may have got one of this name meanwhile, so it is asked again where there is
    /// none.
    pub async fn tools(&self, wanted: Option<&str>) -> Result<Arc<[Tool]>, String> {
        let mut tools = self.tools.lock().await;
        let unknown = wanted.is_some_and(|name| !tools.iter().any(|tool| tool.name == name));
        if self.router.take_tools_changed() || (unknown && !tools.is_empty()) {
            let listed = tokio::time::timeout(self.connect, self.list_tools()).await;
            match listed {
                Ok(Ok(listed)) => *tools = listed,
                Ok(Err(error)) => {
                    return Err(format!("the server did not list its tools again: {}", self.trouble(&error).await));
                }
                Err(_) => return Err("the server did not list its tools again".into()),
            }
        }
        Ok(Arc::clone(&tools))
    }

    async fn list_tools(&self) -> Result<Arc<[Tool]>, ServiceError> {
        let (mut tools, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self.peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > TOOLS {
                break;
            }
        }
        tools.truncate(TOOLS);
        Ok(tools.into())
    }

    /// Lines of the log are output of the calls. A server that keeps them to itself harms nobody.
    #[expect(deprecated, reason = "servers of the protocol's versions that are spoken here still log")]
    async fn listen_to_log(&self) {
        use rmcp::model::{LoggingLevel, SetLevelRequestParams};
        let _ = self.peer.set_level(SetLevelRequestParams::new(LoggingLevel::Info)).await;
    }

    /// Whether the server still reacts.
    pub async fn answers(&self, patience: Duration) -> bool {
        matches!(tokio::time::timeout(patience, self.ping()).await, Ok(Ok(()) | Err(ServiceError::McpError(_))))
    }

    async fn ping(&self) -> Result<(), ServiceError> {
        self.peer.send_request(ClientRequest::PingRequest(PingRequest::default())).await.map(drop)
    }

    /// Whether the next call can use it. One elsewhere is asked, for nobody sees it go.
    pub async fn is_there(&self) -> bool {
        self.is_usable() && (self.server.is_some() || self.answers(HEARTBEAT).await)
    }

    /// Waits until a server elsewhere cannot be reached any more, or does not know the session: the answer to a call would be waited for in
    /// vain. One that is only slow is there.
    pub async fn lost(&self) -> ServiceError {
        if self.server.is_some() {
            return std::future::pending().await;
        }
        let mut missed = 0;
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            match tokio::time::timeout(HEARTBEAT, self.ping()).await {
                Ok(Err(error @ (ServiceError::TransportSend(_) | ServiceError::TransportClosed))) => {
                    missed += 1;
                    if missed > 1 {
                        return error;
                    }
                }
                _ => missed = 0,
            }
        }
    }

    /// How the server's process ended, if it is about to; waits a moment for it.
    pub async fn ended(&self) -> Option<String> {
        self.server.as_ref()?.wait(DYING).await
    }

    /// What went wrong with a request, in words.
    pub async fn trouble(&self, error: &ServiceError) -> String {
        match error {
            ServiceError::McpError(error) => refusal(error),
            ServiceError::TransportClosed => match self.ended().await {
                Some(how) => format!("the server ended: {how}"),
                None => "the server has closed the connection".into(),
            },
            ServiceError::UnexpectedResponse => "the server's answer is not what the protocol asks for".into(),
            ServiceError::TransportSend(error) => unreachable_server(&*error.error),
            other => words::deepest(other),
        }
    }

    /// Says goodbye and sees the server's process out.
    pub async fn close(&self) {
        self.give_up();
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut service) = service {
            let _ = service.close_with_timeout(GOODBYE).await;
        }
        if let Some(server) = &self.server {
            server.close(self.grace).await;
        }
    }

    /// Ends the server at once.
    pub async fn kill(&self) {
        self.give_up();
        if let Some(server) = &self.server {
            server.kill();
            server.wait(GOODBYE).await;
        }
        drop(self.service.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Why there is no session.
struct NoHandshake {
    words: String,
    /// The server has closed its end.
    closed: bool,
    /// How it had ended by itself, while its connection was still open.
    ended: Option<String>,
}

/// `ended` says how the server has ended, if it has.
async fn handshake<T>(
    handler: Handler,
    wire: T,
    patience: Duration,
    ended: impl Fn() -> Option<String>,
) -> Result<RunningService<RoleClient, Handler>, NoHandshake>
where
    T: Transport<RoleClient> + 'static,
{
    let failed = |words: String, closed| Err(NoHandshake { words, closed, ended: None });
    let mut serving = std::pin::pin!(handler.serve(wire));
    match tokio::time::timeout(patience, serving.as_mut()).await {
        Ok(Ok(service)) => Ok(service),
        Err(_) => {
            let limit = words::seconds(patience);
            let words = format!("the server was not ready within {limit} (`connect_timeout_seconds`)");
            // Asked before the connection is closed, at which a server may well end.
            Err(NoHandshake { words, closed: false, ended: ended() })
        }
        Ok(Err(ClientInitializeError::JsonRpcError(error))) => {
            failed(format!("the server refused the session: {}", refusal(&error)), false)
        }
        Ok(Err(ClientInitializeError::ConnectionClosed(_))) => {
            failed("the server closed the connection before it was ready".into(), true)
        }
        Ok(Err(ClientInitializeError::TransportError { error, .. })) => failed(unreachable_server(&*error.error), true),
        Ok(Err(_)) => failed("the server does not begin a session as the protocol asks for".into(), false),
    }
}

/// What a server says that refuses something.
pub(super) fn refusal(error: &ErrorData) -> String {
    let said = words::excerpt(error.message.as_bytes(), &Masker::default());
    format!("{} (code {})", said.unwrap_or_else(|| "no reason".into()), error.code.0)
}

/// Why a server at an address could not be asked: its status, or the last cause. Without addresses, which may hold secrets.
fn unreachable_server(error: &(dyn std::error::Error + 'static)) -> String {
    let deepest = match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => words::deepest(error),
        Some(StreamableHttpError::SessionExpired) => "it does not know the session any more".into(),
        Some(StreamableHttpError::AuthRequired(_)) => "it answered 401 Unauthorized".into(),
        Some(StreamableHttpError::InsufficientScope(_)) => "it answered 403 Forbidden".into(),
        _ => words::deepest(error),
    };
    let said = words::excerpt(deepest.as_bytes(), &Masker::default()).unwrap_or_default();
    format!("the server could not be asked: {said}")
}

/// Our side of the protocol.
#[derive(Clone)]
pub(super) struct Handler {
    router: Arc<Router>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let elicitation = ElicitationCapability::new()
            .with_form(FormElicitationCapability::new())
            .with_url(UrlElicitationCapability::new());
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(elicitation);
        let me = Implementation::new("holdpoint", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, me).with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let cancelled = || Ok(ElicitResult::new(ElicitationAction::Cancel));
        let origin = match context.extensions.get::<InboundStreamOrigin>() {
            Some(InboundStreamOrigin::OutboundRequest(id)) => Some(id),
            _ => None,
        };
        let Some(line) = self.router.asker(origin) else { return cancelled() };
        let info = context.peer.peer_info();
        let name = info.as_ref().and_then(|info| info.server_info.as_ref()).map(|server| server.name.as_str());
        let Some(asked) = Asked::of(&request, name.unwrap_or("the server")) else { return cancelled() };
        let _asking = line.asking();
        let mut question = asked.question.clone();
        loop {
            let answered = tokio::select! {
                answered = line.desk.ask(question.clone()) => answered,
                // The server wants no answer any more, or the call has ended.
                () = context.ct.cancelled() => return cancelled(),
                () = line.over() => return cancelled(),
            };
            match asked.answer(&answered) {
                Ok(result) => return Ok(result),
                Err(wrong) => {
                    let message = asked.question.message.clone().unwrap_or_default();
                    question.message = Some(format!("{message}\n\n{wrong}"));
                }
            }
        }
    }
}
