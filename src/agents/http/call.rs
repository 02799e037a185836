//! One attempt: its requests, their tries and redirects, and what of them is told in its output.

use std::future::Future;
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;

use crate::plan::{HttpSpec, MAX_HTTP_BODY};
use crate::run::AgentResult;

use super::super::AttemptContext;
use super::super::ending::End;
use super::super::masking::Masker;
use super::super::output::Stream;
use super::super::sink::{OutputReport, OutputSink};
use super::super::stop::Stop;
use super::answer::Answer;
use super::client::connector;
use super::request::{self, Request};
use super::retry::{self, Trouble};
use super::words;

const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 2;
const REDIRECTS: u32 = 5;
/// How much of an answer stands in the output, and how much is read of one that is no success, in bytes.
const SHOWN: usize = 64 * 1024;

/// How long the body of an answer is waited for that is no success.
const EXPLANATION: Duration = Duration::from_secs(5);

/// Why waiting ended before what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Stopped,
    Late,
}

/// What an attempt is about, for the words when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has been sent that anybody acts on.
    Before,
    /// A request is on its way.
    Sent,
    /// A job has begun.
    Job,
}

pub(super) struct Call<'a> {
    pub spec: &'a HttpSpec,
    pub context: AttemptContext,
    /// What must not be shown, in all the ways in which it is written here.
    pub secrets: Masker,
    pub request: Request,
    sink: OutputSink,
    stage: Stage,
    /// When the job has to be done.
    pub job_due: Option<Instant>,
    /// How long ago the attempt began: in another engine, where it has been taken up.
    pub age: Duration,
}

impl<'a> Call<'a> {
    pub fn new(spec: &'a HttpSpec, context: AttemptContext) -> Result<Self, String> {
        let request = Request::of(spec, &context).map_err(|error| context.secrets.text(&error).into_owned())?;
        let secrets = context.secrets.with(words::written, request.credentials())?;
        let sink = OutputSink::new(context.output_path.clone(), context.live.clone()).keeping(context.output_limit);
        let age = ((context.clock)() - context.started_at).to_std().unwrap_or_default();
        Ok(Self { spec, context, secrets, request, sink, stage: Stage::Before, job_due: None, age })
    }

    /// Makes the whole attempt.
    pub async fn perform(&mut self) -> Result<Option<AgentResult>, End> {
        let request = self.request.clone();
        let answer = self.follow(request.clone(), true).await?;
        if !self.is_success(answer.status) {
            return Err(self.refused(&request, &answer));
        }
        let spec = self.spec;
        match &spec.poll {
            Some(poll) => self.see_through(poll, answer).await,
            None => self.result_of(&answer),
        }
    }

    /// Writes what is left of the output.
    pub async fn finish(self) -> OutputReport {
        self.sink.finish().await
    }

    pub fn is_success(&self, status: StatusCode) -> bool {
        match &self.spec.success {
            Some(statuses) => statuses.contains(&u32::from(status.as_u16())),
            None => status.is_success(),
        }
    }

    /// The result of an answer that is a success.
    pub fn result_of(&mut self, answer: &Answer) -> Result<Option<AgentResult>, End> {
        answer.result(self.spec.result.as_deref()).map_err(|error| {
            End::Failed(format!("{} answered {}, but {error}", self.told(&self.request), words::status(answer.status)))
        })
    }

    pub fn refused(&self, request: &Request, answer: &Answer) -> End {
        let mut words = format!("{} answered {}", self.told(request), answer.in_words(&self.secrets));
        if answer.url != request.url {
            words = format!("{words} (after redirects, from {})", words::url(&answer.url, &self.secrets));
        }
        End::Failed(words)
    }

    /// Method and URL of a request.
    pub fn told(&self, request: &Request) -> String {
        format!("{} {}", request.method, words::url(&request.url, &self.secrets))
    }

    /// From now on a job runs elsewhere, whatever becomes of this attempt.
    pub fn job_has_begun(&mut self) {
        self.stage = Stage::Job;
    }

    /// A line of holdpoint itself in the output.
    pub fn remark(&mut self, words: &str) {
        let words = self.secrets.text(words).into_owned();
        self.sink.remark(&words);
    }

    /// Lines in the output.
    fn say(&mut self, lines: &str) {
        self.sink.push(Stream::Stdout, lines.as_bytes());
    }

    /// Tells what is being done, where the step is seen.
    pub fn doing(&self, share: Option<f64>, words: &str) {
        self.context.live.progress(share, Some(&self.secrets.text(words)));
    }

    /// Waits for something outside, and writes output meanwhile. What is waited for is dropped when there is no more time, or the attempt is
    /// to stop.
    pub async fn wait<T>(&mut self, due: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Cut> {
        tokio::pin!(work);
        let over = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                _ = self.context.stop.above(Stop::None) => return Err(Cut::Stopped),
                done = &mut work => return Ok(done),
                () = &mut over => return Err(Cut::Late),
                () = self.sink.work() => {}
            }
        }
    }

    /// How the attempt ends when it is stopped.
    pub fn stopped(&self) -> End {
        let harmless = self.request.method.is_safe();
        End::Stopped(match self.stage {
            Stage::Before => "stopped; the server has not acted on the request".into(),
            Stage::Sent if harmless => "stopped while waiting for the answer".into(),
            Stage::Sent => "stopped while waiting for the answer; the server may have acted on the request".into(),
            Stage::Job => "stopped while waiting for the job; the server may go on with it".into(),
        })
    }

    /// Sends a request and those that its redirects ask for.
    pub async fn follow(&mut self, request: Request, tells: bool) -> Result<Answer, End> {
        let most = self.spec.max_redirects.unwrap_or(REDIRECTS);
        let first = self.told(&request);
        let mut asked = vec![(request.method.clone(), request.url.clone())];
        let mut request = request;
        loop {
            let answer = self.send(&request, tells).await?;
            let location = answer.headers.get(LOCATION).filter(|_| self.leads_on(&answer.status, &answer.headers));
            let Some(location) = location else { return Ok(answer) };
            let next = request.redirected(answer.status, location, &self.secrets);
            let next = next.map_err(|error| End::Failed(format!("{first}: {error}")))?;
            let place = (next.method.clone(), next.url.clone());
            if asked.contains(&place) {
                let to = words::url(&next.url, &self.secrets);
                return Err(End::Failed(format!("{first} redirects in a circle: to {to} again")));
            }
            if asked.len() > most as usize {
                let words = format!("{first} redirects more than {most} times (`max_redirects`)");
                return Err(End::Failed(words));
            }
            asked.push(place);
            self.remark(&format!("redirected to {}", self.told(&next)));
            request = next;
        }
    }

    /// Sends one request, more than once where that does no harm.
    async fn send(&mut self, request: &Request, tells: bool) -> Result<Answer, End> {
        let retries = self.spec.retries.unwrap_or(RETRIES);
        let repeatable = request.is_repeatable(self.context.step.idempotent);
        let before = self.stage;
        let asks_for_job = before == Stage::Job;
        let mut tried = 0;
        loop {
            tried += 1;
            if tells {
                self.doing(None, &self.told(request));
                self.tell_request(request);
            }
            let trouble = match self.once(request, tells).await {
                Ok(answer) => {
                    let later = retry::is_busy(answer.status) || (asks_for_job && answer.status.is_server_error());
                    if self.is_success(answer.status) || !later {
                        return Ok(answer);
                    }
                    self.stage = before;
                    if tried > retries {
                        return Ok(answer);
                    }
                    let asked = retry::retry_after(&answer.headers, Utc::now());
                    if let Some(asked) = asked.filter(|asked| *asked > retry::LONGEST_ASKED) {
                        let words = format!(
                            "{} answered {} and asks to come back in {}, which is longer than an attempt waits ({})",
                            self.told(request),
                            words::status(answer.status),
                            words::seconds(asked),
                            words::seconds(retry::LONGEST_ASKED)
                        );
                        return Err(End::Failed(words));
                    }
                    (format!("answered {}", words::status(answer.status)), asked)
                }
                Err(SendError::Stopped) => return Err(self.stopped()),
                Err(SendError::JobLate) => return Err(self.job_is_late()),
                Err(SendError::Trouble(trouble)) => {
                    if matches!(trouble, Trouble::NotSent(_)) {
                        self.stage = before;
                    }
                    if tried > retries || !trouble.may_be_tried_again(repeatable) {
                        return Err(self.given_up(request, &trouble, repeatable, tried));
                    }
                    (trouble.words().to_owned(), None)
                }
            };
            let (why, asked) = trouble;
            let pause = asked.unwrap_or_else(|| retry::backoff(tried, &self.context.key));
            self.remark(&format!(
                "{why}; try {} of {} in {}",
                tried + 1,
                retries.saturating_add(1),
                words::seconds(pause)
            ));
            self.doing(None, &format!("{why}; waiting to try again"));
            match self.wait(self.job_due, tokio::time::sleep(pause)).await {
                Ok(()) => {}
                Err(Cut::Stopped) => return Err(self.stopped()),
                Err(Cut::Late) => return Err(self.job_is_late()),
            }
        }
    }

    fn given_up(&self, request: &Request, trouble: &Trouble, repeatable: bool, tried: u32) -> End {
        let mut words = format!("{}: {}", self.told(request), trouble.words());
        if tried > 1 {
            words.push_str(&format!(" ({tried} tries)"));
        }
        if matches!(trouble, Trouble::Broken(_)) && !repeatable {
            words.push_str("; the server may have acted on the request, so it was not sent again");
        }
        End::Failed(words)
    }

    pub fn job_is_late(&self) -> End {
        let seconds = self.spec.poll.as_ref().and_then(|poll| poll.timeout_seconds).unwrap_or_default();
        End::Failed(format!(
            "the job was not done within {seconds} s (`poll.timeout_seconds`); the server may go on with it"
        ))
    }

    /// Sends a request once and reads the answer.
    async fn once(&mut self, request: &Request, tells: bool) -> Result<Answer, SendError> {
        let began = Instant::now();
        let seconds = |seconds: Option<f64>, otherwise| {
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(otherwise)
        };
        let timeout = seconds(self.spec.timeout_seconds, TIMEOUT);
        let connect_timeout = seconds(self.spec.connect_timeout_seconds, CONNECT_TIMEOUT).min(timeout);
        let job_due = self.job_due;
        let due = Some(job_due.map_or(began + timeout, |job| job.min(began + timeout)));
        let late = |cut: Cut, words: &str| match cut {
            Cut::Stopped => SendError::Stopped,
            Cut::Late if job_due.is_some_and(|job| job < began + timeout) => SendError::JobLate,
            Cut::Late => SendError::Trouble(Trouble::Final(format!(
                "{words} within {} (`timeout_seconds`)",
                words::seconds(timeout)
            ))),
        };
        let connector = self.wait(due, connector(&request.url, connect_timeout)).await;
        let connector = connector.map_err(|cut| late(cut, "nothing was sent"))?;
        let connector = connector.map_err(|error| SendError::Trouble(Trouble::Final(error)))?;
        if self.stage == Stage::Before {
            self.stage = Stage::Sent;
        }
        let sent = self.wait(due, request.for_client(&connector.client).send()).await;
        let sent = sent.map_err(|cut| late(cut, "no answer"))?;
        let response = sent.map_err(|error| {
            SendError::Trouble(Trouble::of(&error, &request.url, connect_timeout, connector.no_roots))
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        if tells {
            let took = words::took(began.elapsed());
            let lines = words::headers("<", &headers, &self.secrets);
            self.say(&format!("< {} ({took})\n{lines}", words::status(status)));
        }
        let (body, cut) = match self.leads_on(&status, &headers) {
            true => Default::default(),
            false => self.body(request, response, due, &late).await?,
        };
        let answer = Answer { status, url: request.url.clone(), headers, body, cut };
        if tells {
            self.tell_body(&answer);
        }
        Ok(answer)
    }

    /// Whether an answer is a redirect that is followed.
    fn leads_on(&self, status: &StatusCode, headers: &HeaderMap) -> bool {
        let follows = self.spec.max_redirects != Some(0) && !self.is_success(*status);
        follows && request::is_redirect(*status) && headers.contains_key(LOCATION)
    }

    /// Reads a body as far as it is wanted, and says whether it goes on.
    async fn body(
        &mut self,
        request: &Request,
        mut response: Response,
        due: Option<Instant>,
        late: &(dyn Fn(Cut, &str) -> SendError + Sync),
    ) -> Result<(Vec<u8>, bool), SendError> {
        let mut body = Vec::new();
        if request.method == Method::HEAD {
            return Ok((body, false));
        }
        let wanted = self.is_success(response.status());
        // What only explains why it is no success is not waited for long.
        let due = match wanted {
            true => due,
            false => due.map(|due| due.min(Instant::now() + EXPLANATION)),
        };
        let most = match wanted {
            true => self.spec.max_body_bytes.unwrap_or(MAX_HTTP_BODY).min(MAX_HTTP_BODY),
            false => SHOWN as u64,
        };
        let too_large = |found: &str| {
            SendError::Trouble(Trouble::Final(format!(
                "answered {}, but the answer is larger than the {most} bytes that are taken (`max_body_bytes`){found}",
                words::status(response.status())
            )))
        };
        if let Some(length) = response.content_length().filter(|length| wanted && *length > most) {
            return Err(too_large(&format!(": it has {length}")));
        }
        let failed = too_large("");
        loop {
            let piece = match self.wait(due, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok((body, false)),
                // Of an answer that is no success, what there is has to do.
                Ok(Err(_)) | Err(Cut::Late) if !wanted => return Ok((body, true)),
                Ok(Err(error)) => {
                    let words = format!(
                        "the connection ended in the middle of the answer, after {} bytes: {}",
                        body.len(),
                        words::deepest(&error)
                    );
                    return Err(SendError::Trouble(Trouble::Broken(words)));
                }
                Err(cut) => return Err(late(cut, &format!("only {} bytes of the answer came", body.len()))),
            };
            body.extend_from_slice(&piece);
            if body.len() as u64 > most {
                if wanted {
                    return Err(failed);
                }
                body.truncate(SHOWN);
                return Ok((body, true));
            }
        }
    }

    fn tell_request(&mut self, request: &Request) {
        let headers = words::headers(">", &request.headers, &self.secrets);
        let body = match &request.body {
            Some(body) => format!("> ({} bytes)\n", body.len()),
            None => String::new(),
        };
        let line = self.told(request);
        self.say(&format!("> {line}\n{headers}{body}"));
    }

    pub fn tell_body(&mut self, answer: &Answer) {
        if answer.body.is_empty() {
            return;
        }
        match words::text(&answer.body) {
            Some(text) => {
                // Masked before it is cut, which might leave the beginning of a secret.
                let text = self.secrets.text(text);
                let end = text.floor_char_boundary(SHOWN);
                let (shown, rest) = text.split_at(end);
                let (shown, rest) = (format!("{}\n", shown.trim_end_matches('\n')), rest.len());
                self.say(&shown);
                if rest > 0 || answer.cut {
                    self.remark(&format!("the answer goes on; {SHOWN} bytes of one are shown"));
                }
            }
            None => self.remark(&format!("the answer is no text: {} bytes", answer.body.len())),
        }
    }
}

/// Why a single try gave no answer.
pub(super) enum SendError {
    Stopped,
    /// The job has no more time.
    JobLate,
    Trouble(Trouble),
}
