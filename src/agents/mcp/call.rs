//! One attempt: a call of a tool, and what of it is told in its output.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, RequestMetaObject, ServerResult, Tool,
};
use rmcp::service::{PeerRequestOptions, RequestHandle, RoleClient, ServiceError};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::plan::McpSpec;
use crate::run::AgentResult;

use super::super::AttemptContext;
use super::super::ending::End;
use super::super::http::words;
use super::super::masking::{MaskStream, Masker};
use super::super::output::Stream;
use super::super::sink::{OutputReport, OutputSink};
use super::super::stop::Stop;
use super::router::{Ear, Line, Said};
use super::session::Session;
use super::sessions::Joined;
use super::{answer, arguments, tap};

/// How long a call may take, where the entry does not say.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long what a server still says is waited for when a call has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long a server that was told to cancel may take to show that it is not stuck.
const REACTION: Duration = Duration::from_secs(2);
/// How much of the arguments and of the answer stands in the output, in bytes.
const SHOWN_ARGUMENTS: usize = 2 * 1024;
const SHOWN: usize = 64 * 1024;

/// Why waiting ended before what was waited for.
enum Cut {
    Stopped,
    Late,
}

pub(super) struct Call<'a> {
    spec: &'a McpSpec,
    context: AttemptContext,
    /// What must not be shown, in all the ways in which it may be written here.
    pub secrets: Masker,
    sink: OutputSink,
    stderr: MaskStream,
    line: Option<Line>,
    said: mpsc::Receiver<Said>,
    asking: watch::Receiver<u32>,
}

impl<'a> Call<'a> {
    pub fn new(spec: &'a McpSpec, context: AttemptContext) -> Result<Self, String> {
        let secrets = context.secrets.with(words::written, Vec::new())?;
        let sink = OutputSink::new(context.output_path.clone(), context.live.clone()).keeping(context.output_limit);
        let (line, Ear { said, asking }) =
            Line::new(context.key.clone(), context.live.clone(), secrets.clone(), context.desk.clone());
        let stderr = secrets.stream();
        Ok(Self { spec, context, secrets, sink, stderr, line: Some(line), said, asking })
    }

    /// Makes the whole attempt.
    pub async fn perform(&mut self) -> Result<Option<AgentResult>, End> {
        let Some(name) = self.context.step.action.clone().filter(|name| !name.is_empty()) else {
            return Err(End::Failed("the step does not say which tool is to be called: give it an `action`".into()));
        };
        let Joined { session, registered, kept } = self.join().await?;
        if !kept.is_empty() {
            self.remark("the server said before this call:");
            self.hear(Said::Stderr(kept.into()));
        }
        let tool = self.tool(&session, &name).await?;
        let began = Instant::now();
        let answer = self.send(&session, tool).await;
        let alone = registered.is_alone();
        let answer = match answer {
            Ok(answer) => answer,
            Err(Broken::Stopped(handle)) => return Err(self.stop(&session, handle, alone).await),
            Err(Broken::Late(handle)) => return Err(self.late(&session, handle, alone).await),
            Err(Broken::Trouble(error)) => return Err(self.trouble(&session, &name, &error).await),
        };
        self.listen(LAST_WORDS).await;
        self.tell(&answer, began.elapsed());
        answer::result(&answer).map_err(|error| End::Failed(format!("the tool `{name}` answered, but {error}")))
    }

    /// Writes what is left of the output.
    pub async fn finish(mut self) -> OutputReport {
        self.said.close();
        while let Ok(said) = self.said.try_recv() {
            self.hear(said);
        }
        let sink = &mut self.sink;
        self.stderr.finish(|shown| sink.push(Stream::Stderr, shown));
        self.sink.finish().await
    }

    async fn join(&mut self) -> Result<Joined, End> {
        let Some(line) = self.line.take() else { return Err(End::Failed("a call is made only once".into())) };
        self.doing("connecting to the server");
        let (spec, context) = (self.spec, self.context.clone());
        let joined = self.wait(None, context.sessions.join(spec, &context, line)).await;
        match joined {
            Ok(Ok(joined)) => Ok(joined),
            Ok(Err(error)) => {
                self.listen(LAST_WORDS).await;
                Err(End::Failed(error))
            }
            Err(_) => Err(End::Stopped("stopped; the tool was not called".into())),
        }
    }

    /// The tool, if it takes the step's parameters.
    async fn tool(&mut self, session: &Session, name: &str) -> Result<Tool, End> {
        let tools = match self.wait(None, session.tools(Some(name))).await {
            Ok(tools) => tools.map_err(End::Failed)?,
            Err(_) => return Err(End::Stopped("stopped; the tool was not called".into())),
        };
        let tool = arguments::find(&tools, name).map_err(End::Failed)?;
        match arguments::problems(tool, &self.context.step.parameters) {
            Ok(problems) if problems.is_empty() => {}
            Ok(problems) => return Err(End::Failed(arguments::in_words(tool, &problems, &self.secrets))),
            Err(error) => self
                .remark(&format!("the schema of `{name}` cannot be used, so the parameters were not checked: {error}")),
        }
        Ok(tool.clone())
    }

    async fn send(&mut self, session: &Session, tool: Tool) -> Result<CallToolResult, Broken> {
        let arguments = self.context.step.parameters.clone().into_inner();
        let shown = self.secrets.value(Value::Object(arguments.clone())).to_string();
        let (shown, more) = cut(&shown, SHOWN_ARGUMENTS);
        self.say(&format!("> {} {shown}{more}\n", tool.name));
        self.doing(&format!("{}: {}", session.name, tool.name));
        let mut meta = RequestMetaObject::new();
        meta.insert(tap::KEY.into(), self.context.key.clone().into());
        let params = CallToolRequestParams::new(tool.name).with_arguments(arguments);
        let request = CallToolRequest::new(params);
        let options = PeerRequestOptions::no_options().with_meta(meta);
        let sent = session.peer.send_cancellable_request(ClientRequest::CallToolRequest(request), options).await;
        let mut handle = sent.map_err(Broken::Trouble)?;
        let limit = self.spec.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let answered = {
            let answer = &mut handle.rx;
            let answered = async {
                tokio::select! {
                    answer = answer => answer,
                    error = session.lost() => Ok(Err(error)),
                }
            };
            self.wait(Some(limit.unwrap_or(TIMEOUT)), answered).await
        };
        match answered {
            Ok(Ok(Ok(ServerResult::CallToolResult(answer)))) => Ok(answer),
            Ok(Ok(Ok(ServerResult::EmptyResult(_)))) => Ok(CallToolResult::default()),
            Ok(Ok(Ok(_))) => Err(Broken::Trouble(ServiceError::UnexpectedResponse)),
            Ok(Ok(Err(error))) => Err(Broken::Trouble(error)),
            // Whoever would have brought the answer is gone.
            Ok(Err(_)) => Err(Broken::Trouble(ServiceError::TransportClosed)),
            Err(Cut::Stopped) => Err(Broken::Stopped(Box::new(handle))),
            Err(Cut::Late) => Err(Broken::Late(Box::new(handle))),
        }
    }

    /// The attempt is to stop: the server is told, and one that does not react any more is ended, unless other calls use it.
    async fn stop(&mut self, session: &Arc<Session>, handle: Box<RequestHandle<RoleClient>>, alone: bool) -> End {
        let told = self.cancel(session, handle, "stopped by the operator").await;
        let words = match (told, self.context.stop.level()) {
            (true, _) => "stopped in the middle of the call; the server was told, and may have acted on it before",
            (false, Stop::Kill) if alone => {
                "killed in the middle of the call, and the server with it; it may have acted on the call"
            }
            (false, _) if alone => {
                "stopped in the middle of the call; the server did not react and was ended; it may have acted on the call"
            }
            (false, _) => {
                "stopped in the middle of the call; the server did not react, and goes on for other calls; it may act on this one"
            }
        };
        if !told && alone {
            session.kill().await;
        }
        End::Stopped(words.into())
    }

    async fn late(&mut self, session: &Arc<Session>, handle: Box<RequestHandle<RoleClient>>, alone: bool) -> End {
        let limit = self.spec.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let limit = words::seconds(limit.unwrap_or(TIMEOUT));
        let told = self.cancel(session, handle, "it took too long").await;
        let what = match (told, alone) {
            (true, _) => "the server was told to cancel the call",
            (false, true) => "the server did not react any more and was ended",
            (false, false) => "the server did not react any more, and goes on for other calls",
        };
        if !told && alone {
            session.kill().await;
        }
        End::Failed(format!("no answer within {limit} (`timeout_seconds`); {what}; it may have acted on it"))
    }

    /// Tells the server that nobody waits for the call any more, and says whether it still reacts to anything. KILL waits for nothing.
    async fn cancel(&mut self, session: &Arc<Session>, handle: Box<RequestHandle<RoleClient>>, why: &str) -> bool {
        self.doing("cancelling the call");
        let patience = REACTION.min(self.context.grace);
        let (session, why) = (Arc::clone(session), why.to_owned());
        let told = async move {
            let told = tokio::time::timeout(patience, handle.cancel(Some(why))).await;
            matches!(told, Ok(Ok(()))) && session.answers(patience).await
        };
        tokio::pin!(told);
        loop {
            tokio::select! {
                biased;
                told = &mut told => return told,
                _ = self.context.stop.above(Stop::Term) => return false,
                Some(said) = self.said.recv(), if !self.sink.is_full() => self.hear(said),
                () = self.sink.work() => {}
            }
        }
    }

    async fn trouble(&mut self, session: &Session, name: &str, error: &ServiceError) -> End {
        if let ServiceError::McpError(error) = error {
            return End::Failed(format!("the server refused the call of `{name}`: {}", super::session::refusal(error)));
        }
        if !matches!(error, ServiceError::UnexpectedResponse) {
            // Whatever it was, the next call begins anew.
            session.give_up();
        }
        let ended = if matches!(error, ServiceError::TransportClosed) { session.ended().await } else { None };
        self.listen(LAST_WORDS).await;
        let words = match ended {
            Some(how) => format!("the server ended while it worked on the call ({how})"),
            None => session.trouble(error).await,
        };
        End::Failed(format!("{words}; it may have acted on the call of `{name}`"))
    }

    /// Waits for something outside, and writes meanwhile what the server says. The time in which people are asked does not count.
    async fn wait<T>(&mut self, limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Cut> {
        tokio::pin!(work);
        let mut left = limit;
        loop {
            let (now, asks) = (Instant::now(), *self.asking.borrow_and_update() > 0);
            let due = left.filter(|_| !asks);
            let over = async {
                match due {
                    Some(due) => tokio::time::sleep(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(over);
            // Until it changes whether somebody is asked.
            loop {
                tokio::select! {
                    biased;
                    _ = self.context.stop.above(Stop::None) => return Err(Cut::Stopped),
                    done = &mut work => return Ok(done),
                    () = &mut over => return Err(Cut::Late),
                    Ok(()) = self.asking.changed() => break,
                    Some(said) = self.said.recv(), if !self.sink.is_full() => self.hear(said),
                    () = self.sink.work() => {}
                }
            }
            if !asks {
                left = left.map(|left| left.saturating_sub(now.elapsed()));
            }
        }
    }

    /// Takes what the server says for a moment longer.
    async fn listen(&mut self, time: Duration) {
        let _ = self.wait(Some(time), std::future::pending::<()>()).await;
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Log(text) => {
                let text = self.secrets.text(&text).into_owned();
                self.say(&text);
            }
            Said::Stderr(bytes) => {
                let sink = &mut self.sink;
                self.stderr.push(&bytes, |shown| sink.push(Stream::Stderr, shown));
            }
        }
    }

    /// The answer, in the output.
    fn tell(&mut self, answer: &CallToolResult, took: Duration) {
        let failed = if answer.is_error == Some(true) { "failed" } else { "done" };
        // Masked before it is cut, which might leave the beginning of a secret.
        let text = answer::text(answer);
        let text = self.secrets.text(&text).into_owned();
        let (shown, more) = cut(text.trim_end(), SHOWN);
        self.say(&format!("< {failed} ({})\n", words::took(took)));
        if !shown.is_empty() {
            self.say(&format!("{shown}\n"));
        }
        if !more.is_empty() {
            self.remark(&format!("the answer goes on; {SHOWN} bytes of one are shown"));
        }
    }

    fn say(&mut self, lines: &str) {
        self.sink.push(Stream::Stdout, lines.as_bytes());
    }

    fn remark(&mut self, words: &str) {
        let words = self.secrets.text(words).into_owned();
        self.sink.remark(&words);
    }

    fn doing(&self, words: &str) {
        self.context.live.progress(None, Some(&self.secrets.text(words)));
    }
}

/// Why there is no answer.
enum Broken {
    Stopped(Box<RequestHandle<RoleClient>>),
    Late(Box<RequestHandle<RoleClient>>),
    Trouble(ServiceError),
}

/// The beginning of a text, and what stands in the place of the rest.
fn cut(text: &str, most: usize) -> (&str, &'static str) {
    let end = text.floor_char_boundary(most);
    (&text[..end], if end < text.len() { "…" } else { "" })
}
