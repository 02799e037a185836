//! Waiting for a job that a server has begun: asking until it is done.

use std::time::Duration;

use chrono::Utc;
use reqwest::header::LOCATION;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

use crate::plan::{HttpPoll, HttpUntil};
use crate::run::AgentResult;

use super::super::ending::End;
use super::answer::Answer;
use super::call::{Call, Cut};
use super::request::{self, Request};
use super::{retry, words};

const EVERY: Duration = Duration::from_secs(5);

/// How a job stands.
#[derive(Debug, PartialEq)]
enum Job {
    GoesOn(String),
    Done,
    Failed(String),
}

impl Call<'_> {
    /// Waits for the job that the first answer tells of.
    pub(super) async fn see_through(&mut self, poll: &HttpPoll, first: Answer) -> Result<Option<AgentResult>, End> {
        self.job_has_begun();
        self.set_due(poll, Duration::ZERO);
        // One that was done at once need not be asked for.
        match self.stands(poll, &first, true)? {
            Job::GoesOn(_) => {}
            job => return self.ended(job, &first),
        }
        let question = self.question(poll, &first).map_err(|error| {
            End::Failed(format!("{} began a job that cannot be asked for: {error}", self.told(&self.request)))
        })?;
        let pause = self.pause(poll, &first);
        self.ask_until_done(poll, question, pause).await
    }

    /// Asks for the job of an attempt that was lost sight of, by its key, and waits for it.
    pub(super) async fn ask_by_key(&mut self) -> Result<Option<AgentResult>, End> {
        let spec = self.spec;
        let Some((poll, url)) =
            spec.poll.as_ref().and_then(|poll| Some((poll, poll.by_key.as_ref().or(poll.url.as_ref())?)))
        else {
            return Err(End::Lost("how it ended is not known, and nobody can be asked for it".into()));
        };
        self.job_has_begun();
        self.set_due(poll, self.age);
        let lost = |words: &str| End::Lost(format!("how it ended is not known: {words}"));
        let url = request::beside(&self.request.url, url).map_err(|error| lost(&error))?;
        let question = self.request.question(url, true, &self.secrets);
        self.remark(&format!(
            "the engine had ended; asking how the job of this attempt stands: {}",
            self.told(&question)
        ));
        let answer = match self.follow(question.clone(), false).await {
            Ok(answer) if self.is_success(answer.status) => answer,
            Ok(answer) if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                let words =
                    format!("{} knows no job of this attempt ({})", self.told(&question), words::status(answer.status));
                return Err(lost(&words));
            }
            Ok(answer) => {
                return Err(lost(&format!("{} answered {}", self.told(&question), answer.in_words(&self.secrets))));
            }
            Err(End::Failed(words)) => return Err(lost(&words)),
            Err(end) => return Err(end),
        };
        match self.stands(poll, &answer, false)? {
            Job::GoesOn(_) => {
                let pause = self.pause(poll, &answer);
                self.ask_until_done(poll, question, pause).await
            }
            job => {
                self.tell_body(&answer);
                self.ended(job, &answer)
            }
        }
    }

    /// `ran`: how long the job has had already.
    fn set_due(&mut self, poll: &HttpPoll, ran: Duration) {
        let limit = poll.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.job_due = limit.map(|limit| Instant::now() + limit.saturating_sub(ran));
    }

    /// The request that asks how the job stands. Where the server says whom to ask, only itself is told who asks.
    fn question(&self, poll: &HttpPoll, first: &Answer) -> Result<Request, String> {
        if let Some(url) = &poll.url {
            let url = request::beside(&self.request.url, url)?;
            return Ok(self.request.question(url, true, &self.secrets));
        }
        let told = if let Some(pointer) = &poll.url_at {
            let json =
                first.json().map_err(|error| format!("its answer has no `{pointer}` (`poll.url_at`): {error}"))?;
            let url = json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            url.ok_or_else(|| format!("its answer has no URL at `{pointer}` (`poll.url_at`)"))?
        } else if let Some(location) = first.headers.get(LOCATION) {
            String::from_utf8_lossy(location.as_bytes()).into_owned()
        } else if first.url != self.request.url {
            // It has sent us to the job already.
            first.url.to_string()
        } else {
            return Err("its answer has no `Location`; say in `poll` where to ask (`url` or `url_at`)".into());
        };
        let url: Url = first.url.join(&told).map_err(|error| format!("what it names is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("it names a URL that cannot be asked: {}", words::url(&url, &self.secrets)));
        }
        Ok(self.request.question(url, false, &self.secrets))
    }

    async fn ask_until_done(
        &mut self,
        poll: &HttpPoll,
        question: Request,
        first_pause: Duration,
    ) -> Result<Option<AgentResult>, End> {
        self.remark(&format!("waiting for the job: {}", self.told(&question)));
        let mut pause = first_pause;
        let mut last = String::new();
        for round in 1_u64.. {
            match self.wait(self.job_due, tokio::time::sleep(pause)).await {
                Ok(()) => {}
                Err(Cut::Stopped) => return Err(self.stopped()),
                Err(Cut::Late) => return Err(self.job_is_late()),
            }
            let answer = self.follow(question.clone(), false).await?;
            if !self.is_success(answer.status) {
                return Err(self.refused(&question, &answer));
            }
            let job = self.stands(poll, &answer, false)?;
            let Job::GoesOn(words) = job else {
                self.remark(&format!("asked {round} times; {}", words::status(answer.status)));
                self.tell_body(&answer);
                return self.ended(job, &answer);
            };
            // Thousands of rounds that say the same need no line each.
            if words != last {
                self.remark(&format!("asked {round} times: {words}"));
                last.clone_from(&words);
            }
            self.doing(progress(poll, &answer), &words);
            pause = self.pause(poll, &answer);
        }
        Err(End::Lost("nobody asks for ever".into()))
    }

    /// How long to wait before the next question.
    fn pause(&self, poll: &HttpPoll, answer: &Answer) -> Duration {
        let every = poll.every_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(EVERY);
        let asked = retry::retry_after(&answer.headers, Utc::now()).unwrap_or_default();
        every.max(asked.min(retry::LONGEST_ASKED))
    }

    fn stands(&self, poll: &HttpPoll, answer: &Answer, first: bool) -> Result<Job, End> {
        let Some(until) = &poll.until else {
            return Ok(match answer.status {
                StatusCode::ACCEPTED => Job::GoesOn(words::status(answer.status)),
                _ => Job::Done,
            });
        };
        let read = answer.json().map_err(|error| format!("it cannot be read: {error}"));
        let found = read.and_then(|json| {
            let found = json.pointer(&until.pointer).cloned();
            found.ok_or_else(|| format!("it has nothing at `{}` (`poll.until`)", until.pointer))
        });
        match found {
            Ok(value) => Ok(judge(until, &value)),
            // The answer that begins a job, and 202, say enough without.
            Err(_) if first || answer.status == StatusCode::ACCEPTED => Ok(Job::GoesOn(words::status(answer.status))),
            Err(error) => {
                let words = format!(
                    "how the job stands cannot be told from the answer of {}",
                    words::url(&answer.url, &self.secrets)
                );
                Err(End::Failed(format!("{words}: {error}")))
            }
        }
    }

    fn ended(&mut self, job: Job, answer: &Answer) -> Result<Option<AgentResult>, End> {
        match job {
            Job::Failed(value) => {
                let from = words::url(&answer.url, &self.secrets);
                let words = match words::excerpt(&answer.body, &self.secrets) {
                    Some(excerpt) => format!("the job has failed ({value}); {from} answered {excerpt}"),
                    None => format!("the job has failed ({value}), says {from}"),
                };
                Err(End::Failed(words))
            }
            Job::Done | Job::GoesOn(_) => self.result_of(answer),
        }
    }
}

fn judge(until: &HttpUntil, value: &Value) -> Job {
    let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words: String = words.chars().take(80).collect();
    if until.done.contains(value) {
        Job::Done
    } else if until.failed.contains(value) {
        Job::Failed(words)
    } else {
        Job::GoesOn(words)
    }
}

fn progress(poll: &HttpPoll, answer: &Answer) -> Option<f64> {
    let pointer = poll.progress.as_ref()?;
    let found = answer.json().ok()?.pointer(pointer)?.as_f64()?;
    Some(found / poll.progress_of.unwrap_or(1.0))
}
