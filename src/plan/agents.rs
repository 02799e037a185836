//! What a plan's `agents` may bind a name to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::asking::Fields;
use super::types::{null_as_default, present};
use super::{ENV_PATTERN, MAX_SECONDS};

/// The most an HTTP agent takes of an answer, in bytes; the most a result may have.
pub const MAX_HTTP_BODY: u64 = 8 * 1024 * 1024;

/// A command: argv, or a line for `sh -c`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// Program and arguments; no shell in between.
    Argv(#[schemars(length(min = 1))] Vec<String>),
    /// A line handed to `sh -c`.
    Shell(#[schemars(length(min = 1))] String),
}

/// How a command speaks on stdin and stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandProtocol {
    /// stdin is empty; stdout and stderr are output.
    Plain,
    /// stdin is one JSON line; stdout lines are messages (`progress`, `log`, `result`).
    Jsonl,
}

/// Something that can do work, by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AgentSpec {
    /// A process.
    Command {
        /// argv or a shell line.
        command: CommandLine,
        /// How it speaks; default `plain`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<CommandProtocol>,
        /// Its output goes to a pseudo-terminal, for programs that only colour, or show how far they are, on one.
        #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
        tty: bool,
        /// Added to the environment.
        #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("propertyNames" = {"pattern": ENV_PATTERN}))]
        env: BTreeMap<String, String>,
        /// Where it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1))]
        working_dir: Option<String>,
    },
    /// An HTTP request.
    Http(Box<HttpSpec>),
    /// A tool of a Model Context Protocol server: `command` (stdio) or `url` (streamable HTTP).
    Mcp(Box<McpSpec>),
    /// A person does it.
    Manual(ManualSpec),
    /// A duration, or until a time.
    Wait(WaitSpec),
    /// For demos and dry runs.
    Simulated(SimulatedSpec),
}

/// What a person is asked to do. A step's `parameters` of the same names go before these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualSpec {
    /// What to do, in a subset of Markdown: headings, lists, bold, code. Without it the step's `action` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// What to fill in; the values are the result's data.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields,
    /// The console reminds, and goes on to remind, each time so many seconds have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub remind_seconds: Option<f64>,
}

/// How long an attempt waits: `seconds` or `until`. A step's `parameters` of the same names go before these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitSpec {
    /// How long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>", range(min = 0, max = MAX_SECONDS))]
    pub seconds: Option<Value>,
    /// Until when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "until")]
    pub until: Option<Value>,
}

/// A time, or an expression that gives one.
fn until(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "pattern": r"\{\{"}, {"type": "null"}],
    })
}

/// Parameters of the simulated agent. A step's `parameters` of the same names go before these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedSpec {
    /// How long an attempt takes, in seconds; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub duration_seconds: Option<f64>,
    /// 0..1: the duration varies by this share either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub jitter: Option<f64>,
    /// 0..1: share of attempts that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub failure_rate: Option<f64>,
    /// The first N attempts fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_attempts: Option<u32>,
    /// Lines of output an attempt writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub output_lines: Option<u64>,
    /// `quality_score` of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub quality_score: Option<f64>,
    /// `quality_details` of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("additionalProperties" = {"type": "number", "minimum": 0, "maximum": 1}))]
    pub quality_details: Option<BTreeMap<String, f64>>,
    /// `data` of the result.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Same seed, same behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// A request, and what is made of its answer. `url` alone is enough: the step's parameters are sent as JSON with `POST`, a status of 2xx is
/// success, and the answer is the result. Every text may hold expressions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Where to, with `http://` or `https://`.
    #[serde(deserialize_with = "text")]
    #[schemars(length(min = 1))]
    pub url: String,
    /// Default `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub method: Option<String>,
    /// Request headers, before those that are set without being asked for.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Added to the URL: texts, numbers, `true` or `false`, or lists of them; what is `null` is left out.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Map::is_empty")]
    pub query: Map<String, Value>,
    /// The body, as JSON. Without it and `body`, `POST`, `PUT` and `PATCH` send the step's parameters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The body, as text.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Who asks; one of `bearer` and `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// How long one request may take, from connecting to the end of the answer; default 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// How long connecting may take; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub connect_timeout_seconds: Option<f64>,
    /// How often a request is sent again within an attempt, when no connection was made or the answer is 429 or 503; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub retries: Option<u32>,
    /// Where in the answer the result is: a JSON pointer, such as `/data/report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The statuses that are success; default 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), inner(range(min = 200, max = 599)))]
    pub success: Option<Vec<u32>>,
    /// How many redirects are followed; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20))]
    pub max_redirects: Option<u32>,
    /// The largest answer that is taken, in bytes; default and limit 8 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_HTTP_BODY))]
    pub max_body_bytes: Option<u64>,
    /// The answer is that a job has begun: it is asked for until it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<HttpPoll>,
}

/// A Model Context Protocol server. A step's `action` is the tool, its `parameters` are the arguments. Every text may hold expressions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpSpec {
    /// Starts a server that speaks on stdin and stdout: argv or a shell line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// Address of a streamable HTTP server, with `http://` or `https://`.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub url: Option<String>,
    /// Added to the environment of a server that is started here.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": ENV_PATTERN}))]
    pub env: BTreeMap<String, String>,
    /// Where a server that is started here runs.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub working_dir: Option<String>,
    /// Headers of every request to `url`.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Who asks at `url`; one of `bearer` and `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// How long one call may take, without the time that people take to answer; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// How long it may take until the server is ready and has listed its tools; default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub connect_timeout_seconds: Option<f64>,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpAuth {
    /// A token.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub bearer: Option<String>,
    /// A user with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<HttpBasic>,
}

/// A user with a password.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpBasic {
    /// The user's name.
    #[serde(deserialize_with = "text")]
    pub user: String,
    /// The password; default none.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// How a job that takes long is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpPoll {
    /// Where the job is asked for; default what the first answer's `Location` says. With `{{ attempt_key }}` in it, a job can be asked for
    /// after a crash.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub url: Option<String>,
    /// Where in the first answer that URL is: a JSON pointer, such as `/links/self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_at: Option<String>,
    /// Where the job of an attempt is asked for after a crash; holds `{{ attempt_key }}`.
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub by_key: Option<String>,
    /// Time between two questions, in seconds; default 5. A longer `Retry-After` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub every_seconds: Option<f64>,
    /// What says that it is done, or has failed. Without it 202 says that it goes on, and any other success that it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<HttpUntil>,
    /// How long the job may take, in seconds; default as long as the step may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// Where in the answers the progress is, a number: a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The progress of a job that is done; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub progress_of: Option<f64>,
}

/// What says how a job stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpUntil {
    /// Where in the answer to look: a JSON pointer, such as `/status`.
    pub pointer: String,
    /// Values that say that it is done.
    #[schemars(length(min = 1))]
    pub done: Vec<Value>,
    /// Values that say that it has failed.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Value>,
}

/// A text. An expression that stands alone may have become a number, or `true` or `false`: then as it is written. What it was else is not
/// said, for it may be a secret.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        plain @ (Value::Number(_) | Value::Bool(_)) => Ok(plain.to_string()),
        _ => Err(serde::de::Error::custom("a text is expected where an expression gives a list, an object or nothing")),
    }
}

/// A [`text`] as a value.
#[derive(Deserialize)]
struct Text(#[serde(deserialize_with = "text")] String);

fn maybe_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = Option::<BTreeMap<String, Text>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(texts.into_iter().map(|(name, text)| (name, text.0)).collect())
}
