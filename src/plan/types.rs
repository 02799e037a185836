//! The plan format as types: what a plan file may say.
//!
//! These types are the single source of the format: the loader deserialises into them and the published JSON Schema is generated from
//! them. Names of the older research-plan schema are accepted as aliases of the same fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr;
use schemars::JsonSchema;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{AgentSpec, Rare};

/// What a `plan_id`, a `step_id` and a variable's name look like.
pub const ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,128}$";
/// What the name of an environment variable looks like.
pub const ENV_PATTERN: &str = "^[^=\\u0000]+$";
/// The highest `max_parallel`, and the largest pool.
pub const MAX_PARALLEL: u32 = 4096;
/// The longest duration a plan may name, in seconds: 365 days.
pub const MAX_SECONDS: f64 = 31_536_000.0;
/// The highest `max_retries`.
pub const MAX_RETRIES: u32 = 10_000;
/// The most steps a plan may have.
pub const MAX_STEPS: usize = 1_000_000;
/// The most instances a `foreach` may have.
pub const MAX_INSTANCES: usize = 10_000;

/// Names of the older research-plan schema: the type, the older spelling, the field. Held by a test against what serde accepts.
pub const ALIASES: [(&str, &str, &str); 6] = [
    ("Plan", "research_question", "query"),
    ("Step", "step_name", "name"),
    ("Step", "tool_name", "action"),
    ("Step", "tool_input", "parameters"),
    ("Step", "dependencies", "depends_on"),
    ("Step", "step_config", "metadata"),
];

/// A plan: what should happen. Steps are shared (`Arc`), so cloning a plan is cheap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Plan {
    /// Reference to the JSON Schema of this format, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Identifies the plan; becomes part of file names. `[A-Za-z0-9_-]`, 1 to 128 characters.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub plan_id: String,
    /// A short human title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the plan is to find out or to do, in a sentence.
    #[serde(default, alias = "research_question", skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Values that may differ from run to run.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": ID_PATTERN}))]
    pub variables: BTreeMap<String, Variable>,
    /// Names bound to something that can do work.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, AgentSpec>,
    /// Any step field; applies to every step that does not give it.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Map::is_empty")]
    pub defaults: Map<String, Value>,
    /// How many attempts may run at the same time (1 to 4096; default 16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_PARALLEL))]
    pub max_parallel: Option<u32>,
    /// Named limits: at most this many attempts of the steps in a pool at once.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "integer", "format": "uint32", "minimum": 1, "maximum": MAX_PARALLEL}))]
    pub pools: BTreeMap<String, u32>,
    /// What happens to the run when a step fails for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailurePolicy>,
    /// Priority of the plan's runs among others; higher goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The steps, in order.
    #[schemars(length(min = 1, max = MAX_STEPS))]
    pub steps: Vec<Arc<Step>>,
    /// Free for the author.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Time limit of the whole run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub max_execution_time_seconds: Option<f64>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub query_complexity: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub source_domains: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub security_level: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub uds3_databases: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub phase5_hybrid_search: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub final_result: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_index: Option<u64>,
}

/// Fields of the older schema that are carried from load to save and have no effect, of plans and of steps.
pub const CARRIED: [&str; 18] = [
    "schema_name",
    "schema_version",
    "created_at",
    "status",
    "query_complexity",
    "source_domains",
    "security_level",
    "uds3_databases",
    "phase5_hybrid_search",
    "final_result",
    "step_index",
    "step_type",
    "assigned_capability",
    "retry_count",
    "result",
    "expected_output",
    "tools",
    "$schema",
];

/// `null` is accepted wherever a field may be left out. In a step it also says that the plan's `defaults` do not apply to the field.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Keeps an explicit `null` as a value of its own, so that saving a loaded plan loses nothing.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Serialize for Plan {
    /// As the fields stand, with one addition: a step that has nothing where the plan's `defaults` have something says `null` there, or the
    /// default would come back when the text is read again.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.defaults.is_empty() {
            return Plan::serialize(self, serializer);
        }
        let mut value = Plan::serialize(self, serde_json::value::Serializer).map_err(S::Error::custom)?;
        for step in value["steps"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            for name in self.defaults.keys() {
                let field = ALIASES.iter().find(|(kind, alias, _)| *kind == "Step" && alias == name);
                let name = field.map_or(name.as_str(), |(_, _, field)| field);
                if !step.contains_key(name) {
                    step.insert(name.to_owned(), Value::Null);
                }
            }
        }
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Plan::deserialize(deserializer)
    }
}

/// A variable: how it gets its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Used when nothing else gives a value.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A run is refused when no value is given.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The only values allowed.
    #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub choices: Option<Vec<Value>>,
    /// Name of the environment variable that gives the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ENV_PATTERN))]
    pub env: Option<String>,
    /// Never written to a journal, a log, a checkpoint or the screen.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// What the variable is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What happens to the run when a step fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// The run pauses and waits for an operator.
    Pause,
    /// The run fails when the steps that are running have ended.
    Fail,
    /// What does not depend on the failed step goes on; the run fails when nothing more can run.
    Continue,
    /// When the steps that are running have ended, the completed steps' `rollback` actions run in reverse order; then the run fails.
    Rollback,
}

/// One step of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Identifies the step within the plan. `[A-Za-z0-9_-]`, 1 to 128 characters.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub step_id: String,
    /// A human name.
    #[serde(default, alias = "step_name", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub name: Option<ArcStr>,
    /// Which agent does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub agent_type: Option<ArcStr>,
    /// Older schema: picks the agent where it stands beside `agent_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub agent_name: Option<ArcStr>,
    /// What the agent is to do.
    #[serde(default, alias = "tool_name", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub action: Option<ArcStr>,
    /// Input of the action.
    #[serde(
        default,
        alias = "tool_input",
        deserialize_with = "null_as_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub parameters: Rare<Map<String, Value>>,
    /// A shell command; the short form of an unnamed `command` agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub run: Option<ArcStr>,
    /// Added to the command's environment.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": ENV_PATTERN}))]
    pub env: Rare<BTreeMap<String, String>>,
    /// Where the command runs; default: where `holdpoint` was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub working_dir: Option<ArcStr>,
    /// Steps that must be completed or skipped before this one starts. One step that names it makes the plan a graph.
    #[serde(default, alias = "dependencies", deserialize_with = "exact", skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// Neighbouring steps with the same group run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub parallel_group: Option<ArcStr>,
    /// An expression; the step is skipped when it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub when: Option<ArcStr>,
    /// A list, or an expression that gives one: one instance of the step for each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = ["array", "string", "null"], "maxItems" = MAX_INSTANCES))]
    pub foreach: Option<Box<Value>>,
    /// A hold point: the step waits until an operator releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,
    /// Time limit of one attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// How many more attempts follow a failed one by themselves; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_RETRIES))]
    pub max_retries: Option<u32>,
    /// How long to wait between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<RetryPolicy>>,
    /// Running it twice does no harm: after a crash it is run again by itself.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Higher goes first among the steps that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The pool whose limit counts this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub pool: Option<ArcStr>,
    /// Overrides the plan's `on_failure` for this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailurePolicy>,
    /// Judges the result's quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_gate: Option<Box<QualityGate>>,
    /// Undoes the step's effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<RollbackAction>>,
    /// Free for the author.
    #[serde(
        default,
        alias = "step_config",
        deserialize_with = "null_as_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub metadata: Rare<Map<String, Value>>,
    /// What only the older schema has.
    #[serde(flatten)]
    pub older: Rare<Older>,
    /// Set on a step that a run has made itself; no plan file may say it. Such steps stand behind all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub generated: Option<Box<Generated>>,
}

/// What the older schema gives a step beside the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Older {
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub step_type: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_index: Option<u64>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub assigned_capability: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Older schema; carried, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u64>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expected_output: Option<Value>,
    /// Older schema; carried, without effect.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
}

/// What a step was made for that no plan has written. Its id contains a `.`, which the ids in plans cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Generated {
    /// It undoes what a step has done.
    Rollback {
        /// Which step.
        of: String,
    },
    /// It does the work of a `foreach` step for one of its items.
    Instance {
        /// Which step.
        of: String,
        /// Which item, from 0.
        index: u32,
    },
}

/// Reads a list into just the memory it needs: a plan may hold a hundred thousand of them, most with one or two names.
fn exact<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Vec<String>>, D::Error> {
    let mut list: Option<Vec<String>> = Option::deserialize(reader)?;
    if let Some(list) = &mut list {
        list.shrink_to_fit();
    }
    Ok(list)
}

/// A hold point as a plan writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Hold {
    /// `true`: hold without a reason.
    Flag(bool),
    /// The reason.
    Reason(String),
    /// The reason and how many people must sign off.
    Signed {
        /// Why the run holds here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How many different users must release it; default 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 64))]
        approvals: Option<u32>,
    },
}

/// How long to wait before the next attempt: `delay · factor^(n-1)`, at most `max_delay`, varied by `jitter`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Before the first retry, in seconds; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub delay_seconds: Option<f64>,
    /// Each further delay is this many times longer; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub backoff_factor: Option<f64>,
    /// No delay is longer, in seconds; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub max_delay_seconds: Option<f64>,
    /// 0..1: the delay varies by this share either way; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub jitter: Option<f64>,
}

/// When a result is good enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityGate {
    /// Every named dimension must reach this; default 0.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub min_quality: Option<f64>,
    /// What one hopes for; default 0.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub target_quality: Option<f64>,
    /// Below this the step is retried, then rejected; default 0.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub review_threshold_low: Option<f64>,
    /// From this on it is approved; default 0.85.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub review_threshold_high: Option<f64>,
    /// A person decides in any case.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub require_review: bool,
    /// Retries for quality; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_RETRIES))]
    pub max_retries: Option<u32>,
    /// Dimensions of `quality_details` that must be there.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub quality_dimensions: Vec<String>,
}

/// What undoes a step: a shell line, or an agent's action. A command runs where the step's did, and also gets what the step's `env` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackAction {
    /// A shell command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub run: Option<ArcStr>,
    /// Which agent does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(with = "Option<String>")]
    pub agent_type: Option<ArcStr>,
    /// What the agent is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub action: Option<ArcStr>,
    /// Input of the action.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Added to the command's environment.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": ENV_PATTERN}))]
    pub env: BTreeMap<String, String>,
    /// Time limit of one attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_SECONDS), extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// How many more attempts follow a failed one by themselves; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_RETRIES))]
    pub max_retries: Option<u32>,
    /// How long to wait between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<RetryPolicy>>,
    /// Running it twice does no harm: after a crash it is run again by itself.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
}

/// How many attempts run at once when the plan does not say.
pub const DEFAULT_MAX_PARALLEL: u32 = 16;

impl Step {
    /// Takes one field's value from another step. Unknown names change nothing.
    pub(super) fn take_field(&mut self, from: &Step, name: &str) {
        macro_rules! take {
            ($($field:ident)*; $($older:ident)*) => {
                match name {
                    $(stringify!($field) => self.$field = from.$field.clone(),)*
                    $(stringify!($older) => self.older.$older = from.older.$older.clone(),)*
                    _ => {}
                }
            };
        }
        take! {
            name agent_type agent_name action parameters run env working_dir depends_on parallel_group when foreach
            hold timeout_seconds max_retries retry idempotent priority pool on_failure quality_gate rollback metadata;
            step_type step_index assigned_capability status retry_count result expected_output tools
        }
    }

    /// The step that undoes this one, if the plan says how: `on_failure` is what holds for it.
    pub fn undoing(&self, on_failure: FailurePolicy) -> Option<Step> {
        let action = self.rollback.as_deref()?;
        let env = self.env.iter().chain(&action.env).map(|(name, value)| (name.clone(), value.clone()));
        Some(Step {
            step_id: format!("rollback.{}", self.step_id),
            agent_type: action.agent_type.clone(),
            action: action.action.clone(),
            parameters: action.parameters.clone().into(),
            run: action.run.clone(),
            env: env.collect::<BTreeMap<_, _>>().into(),
            working_dir: self.working_dir.clone(),
            timeout_seconds: action.timeout_seconds,
            max_retries: action.max_retries,
            retry: action.retry.clone(),
            idempotent: action.idempotent,
            on_failure: Some(on_failure),
            generated: Some(Box::new(Generated::Rollback { of: self.step_id.clone() })),
            ..Step::default()
        })
    }

    /// The step that this one undoes; `None` for every step but those of a rollback.
    pub fn undoes(&self) -> Option<&str> {
        match self.generated.as_deref() {
            Some(Generated::Rollback { of }) => Some(of),
            Some(Generated::Instance { .. }) | None => None,
        }
    }

    /// The name under which the step's agent is looked up in `agents`; `None` for the short form `run` or when none is named.
    pub fn agent(&self) -> Option<&str> {
        self.agent_name.as_deref().or(self.agent_type.as_deref())
    }

    /// The name to show for the agent column: the agent's name, or `command` for the short form.
    pub fn agent_label(&self) -> &str {
        if self.run.is_some() { "command" } else { self.agent().unwrap_or("-") }
    }
}

impl Hold {
    /// The reason to show, if the plan gives one; `None` also when the hold is switched off by `false`.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Hold::Flag(_) => None,
            Hold::Reason(reason) => Some(reason),
            Hold::Signed { reason, .. } => reason.as_deref(),
        }
    }

    /// Whether this is a hold point at all (`"hold": false` is none).
    pub fn is_set(&self) -> bool {
        !matches!(self, Hold::Flag(false))
    }

    /// How many different users must release it.
    pub fn approvals(&self) -> u32 {
        match self {
            Hold::Signed { approvals, .. } => approvals.unwrap_or(1).max(1),
            _ => 1,
        }
    }
}

impl RollbackAction {
    /// What is done, on one line: the command, or what its agent is to do.
    pub fn in_words(&self) -> String {
        match (&self.run, &self.agent_type, &self.action) {
            (Some(run), ..) => run.to_string(),
            (None, Some(agent), Some(action)) => format!("{agent}: {action}"),
            (None, agent, action) => agent.as_deref().or(action.as_deref()).unwrap_or_default().to_owned(),
        }
    }
}

impl Plan {
    /// How many steps somebody has written. They stand before those that a run has made itself.
    pub fn written(&self) -> usize {
        self.steps.partition_point(|step| step.generated.is_none())
    }

    /// How many of the steps are not those of a rollback, which stand behind all others.
    pub fn own_steps(&self) -> usize {
        self.steps.len() - self.steps.iter().rev().take_while(|step| step.undoes().is_some()).count()
    }

    /// The position of a step in the list.
    pub fn position(&self, step_id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.step_id == step_id)
    }

    /// What to call the plan on one line: its title, else its query, else its id.
    pub fn headline(&self) -> &str {
        self.title.as_deref().or(self.query.as_deref()).unwrap_or(&self.plan_id)
    }
}
