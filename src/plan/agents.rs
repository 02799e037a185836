//! What a plan's `agents` may bind a name to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asking::Fields;
use super::types::{null_as_default, present};
use super::{ENV_PATTERN, MAX_SECONDS};

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
    Http {
        /// Where to; may hold expressions.
        #[schemars(length(min = 1))]
        url: String,
        /// Default `POST`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(regex(pattern = "^[A-Za-z]+$"))]
        method: Option<String>,
        /// Request headers.
        #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
    /// A Model Context Protocol server: `command` (stdio) or `url` (streamable HTTP).
    Mcp {
        /// Starts a stdio server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandLine>,
        /// Address of a streamable HTTP server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1))]
        url: Option<String>,
        /// Added to the server's environment.
        #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("propertyNames" = {"pattern": ENV_PATTERN}))]
        env: BTreeMap<String, String>,
    },
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
