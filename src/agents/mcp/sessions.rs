//! The sessions of a run: one for each server as an agent's entry describes it, shared by the steps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use rmcp::model::Tool;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex as AsyncMutex;

use crate::plan::{McpSpec, has_template};

use super::super::AttemptContext;
use super::arguments::{self, Problem};
use super::router::{Line, Registered, Router};
use super::session::Session;

/// The sessions of a run. Cheap to clone; when the last clone is dropped, the servers are asked to end.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, Arc<Place>>>>);

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Where the session with one server is; locked while it is being made.
type Place = AsyncMutex<Option<Arc<Session>>>;

/// A call's part in a session.
pub(super) struct Joined {
    pub session: Arc<Session>,
    pub registered: Registered,
    /// What the server said before.
    pub kept: Vec<u8>,
}

impl Sessions {
    /// The session with the server of an entry, made if there is none that lives.
    ///
    /// # Errors
    /// It cannot be made; in words.
    pub(super) async fn join(&self, spec: &McpSpec, context: &AttemptContext, line: Line) -> Result<Joined, String> {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(key(spec, context)).or_default())
        };
        let mut found = place.lock().await;
        if let Some(session) = found.as_ref()
            && session.is_there().await
        {
            let (registered, kept) = session.router.enter(line);
            return Ok(Joined { session: Arc::clone(session), registered, kept });
        }
        if let Some(old) = found.take() {
            // Calls that still wait for something there end by themselves.
            tokio::spawn(async move { old.close().await });
        }
        let router = Arc::new(Router::default());
        let (registered, kept) = router.enter(line);
        let session = Arc::new(Session::begin(spec, context, router).await?);
        *found = Some(Arc::clone(&session));
        Ok(Joined { session, registered, kept })
    }

    /// Whether there has been no call.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Closes all of them and waits until their servers have ended.
    pub async fn close(&self) {
        let places: Vec<Arc<Place>> = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            places.drain().map(|(_, place)| place).collect()
        };
        join_all(places.iter().map(|place| async {
            if let Some(session) = place.lock().await.take() {
                session.close().await;
            }
        }))
        .await;
    }
}

/// What tells one server from another: the entry, and what of the step has a part in starting it.
fn key(spec: &McpSpec, context: &AttemptContext) -> String {
    let of_step = spec.command.is_some().then(|| json!([context.step.env, context.step.working_dir]));
    let mut server = spec.clone();
    // It is about the calls.
    server.timeout_seconds = None;
    json!([server, of_step]).to_string()
}

/// The tools of a server that was asked for them.
#[derive(Debug, Clone)]
pub struct Tools(Arc<[Tool]>);

impl Tools {
    /// Names and descriptions, in the server's order.
    pub fn named(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|tool| (&*tool.name, tool.description.as_deref()))
    }

    /// Whether a step's call would be taken, as far as its parameters are known before their expressions are filled in: where in the parameters
    /// it would not, and why. Without a place it is about the tool's name.
    pub fn check(&self, name: &str, parameters: &Map<String, Value>) -> Vec<(Option<Vec<String>>, String)> {
        let tool = match arguments::find(&self.0, name) {
            Ok(tool) => tool,
            Err(words) => return vec![(None, words)],
        };
        // A schema that cannot be used forbids nothing.
        let problems = arguments::problems(tool, parameters).unwrap_or_default();
        let whole = Value::Object(parameters.clone());
        let follows = |problem: &Problem| {
            let value = problem.place.iter().try_fold(&whole, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                other => other.get(part),
            });
            !problem.of_names && value.is_some_and(has_template)
        };
        let told = |Problem { place, message, .. }: Problem| {
            (Some(place), format!("the tool `{name}` does not take this: {message}"))
        };
        problems.into_iter().filter(|problem| !follows(problem)).map(told).collect()
    }
}

/// Begins a session, asks for the tools and ends it.
///
/// # Errors
/// The server does not answer; why, in words.
pub(in crate::agents) async fn probe(spec: &McpSpec, context: &AttemptContext) -> Result<Tools, String> {
    let (line, _ear) =
        Line::new(context.key.clone(), context.live.clone(), context.secrets.clone(), context.desk.clone());
    let router = Arc::new(Router::default());
    // Nobody listens: what the server says on stderr is only kept for the words on its end.
    drop(router.enter(line));
    let session = Session::begin(spec, context, router).await?;
    // Some servers have all of them only when the session has begun.
    session.router.tools_have_changed();
    let tools = session.tools(None).await;
    session.close().await;
    tools.map(Tools)
}
