//! What of a valid plan this version does not honour, and which steps nobody would do.
//!
//! A field without effect is never ignored in silence: what would change the run makes `run` refuse the plan, the rest is a warning. When a
//! field starts to have its effect, its row in [`TABLE`] goes.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Report, visible};
use super::expression::is_template;
use super::json::{Document, NodeId};
use super::{AgentSpec, CARRIED, Plan, Step, fields};

/// Something in a plan that this version cannot honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The step that has it; `None` for the plan itself.
    pub step: Option<String>,
    /// The field.
    pub field: &'static str,
    /// What is not done, in a sentence.
    pub message: String,
    /// Whether the run would do something else than the plan says, so that `run` refuses it.
    pub changes_run: bool,
    /// Where it stands in the text.
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Plan,
    Step(usize),
}

/// Where a row looks.
enum Looks {
    Plan(fn(&Plan) -> bool),
    Step(fn(&Step) -> bool),
}

struct Row {
    field: &'static str,
    /// Continues "this version …".
    why: &'static str,
    changes_run: bool,
    looks: Looks,
}

/// Everything this version reads and does not honour.
const TABLE: &[Row] = &[
    row("{{ }}", "does not render expressions in this field", true, Looks::Step(has_unrendered)),
    row("priority", "does not order runs by priority", false, Looks::Plan(|plan| plan.priority.is_some())),
];

const fn row(field: &'static str, why: &'static str, changes_run: bool, looks: Looks) -> Row {
    Row { field, why, changes_run, looks }
}

/// Kinds of agents that need no entry in `agents`: what they do stands in the step. A `command` is no such kind, because without an entry
/// there is no program; nor are `http` and `mcp`, which need an address.
pub const KINDS_WITHOUT_ENTRY: [&str; 3] = ["simulated", "manual", "wait"];

impl AgentSpec {
    /// The kind, as plans write it.
    pub fn kind(&self) -> &'static str {
        match self {
            AgentSpec::Command { .. } => "command",
            AgentSpec::Http(_) => "http",
            AgentSpec::Mcp(_) => "mcp",
            AgentSpec::Manual(_) => "manual",
            AgentSpec::Wait(_) => "wait",
            AgentSpec::Simulated(_) => "simulated",
        }
    }
}

impl Plan {
    /// The kind of agent that does a step; `None` when no agent is bound to the name it gives.
    pub fn agent_kind(&self, step: &Step) -> Option<&'static str> {
        if step.run.is_some() {
            return Some("command");
        }
        self.kind_named(step.agent()?)
    }

    pub(super) fn kind_named(&self, name: &str) -> Option<&'static str> {
        match self.agents.get(name) {
            Some(spec) => Some(spec.kind()),
            None => KINDS_WITHOUT_ENTRY.into_iter().find(|kind| *kind == name),
        }
    }
}

/// A step that nobody would do, or undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbound {
    /// The step.
    pub step: String,
    /// Its position in the plan.
    pub position: usize,
    /// The agent it names, if it names one.
    pub agent: Option<String>,
    /// Whether its rollback names it.
    pub in_rollback: bool,
}

impl Unbound {
    /// What is wrong and how to mend it, in one line.
    pub fn message(&self) -> String {
        let step = visible(&self.step);
        match &self.agent {
            Some(agent) => {
                let agent = visible(agent);
                let who = if self.in_rollback { "the rollback of" } else { "step" };
                format!("{who} `{step}` wants the agent `{agent}`, which is not bound: {}", how_to_bind(&agent))
            }
            None => format!("step `{step}` names no agent: add \"run\", or \"agent_type\" with an agent from `agents`"),
        }
    }
}

fn how_to_bind(agent: &str) -> String {
    format!(
        "add \"agents\": {{\"{agent}\": {{\"kind\": \"command\", \"command\": [\"./{agent}\"]}}}} to the plan or to a file of agents (--agents FILE), or run it with --simulate"
    )
}

/// The steps whose agent is neither bound in `agents` nor of a kind that needs no entry. `run` refuses a plan that has any, unless it is
/// told to simulate them.
pub fn unbound_agents(plan: &Plan) -> Vec<Unbound> {
    let mut found = Vec::new();
    for (position, step) in plan.steps.iter().enumerate() {
        let unbound = |agent: Option<&str>, in_rollback| Unbound {
            step: step.step_id.clone(),
            position,
            agent: agent.map(str::to_owned),
            in_rollback,
        };
        if plan.agent_kind(step).is_none() {
            found.push(unbound(step.agent(), false));
        }
        let undoes = step.rollback.as_deref().and_then(|action| action.agent_type.as_deref());
        found.extend(undoes.filter(|name| plan.kind_named(name).is_none()).map(|name| unbound(Some(name), true)));
    }
    found
}

/// One line for each agent that is not bound, with the steps that want it; empty when all are bound.
pub fn unbound_summary(unbound: &[Unbound]) -> Vec<String> {
    by_agent(unbound)
        .into_iter()
        .map(|steps| {
            let [first, others @ ..] = steps.as_slice() else { return String::new() };
            if others.is_empty() {
                return first.message();
            }
            let mut named: Vec<String> = steps.iter().take(5).map(|one| format!("`{}`", visible(&one.step))).collect();
            if steps.len() > named.len() {
                named.push(format!("{} more", steps.len() - named.len()));
            }
            let named = named.join(", ");
            match &first.agent {
                Some(agent) => {
                    let agent = visible(agent);
                    format!("the agent `{agent}` is not bound; wanted by {named}: {}", how_to_bind(&agent))
                }
                None => {
                    format!("no agent is named by {named}: add \"run\", or \"agent_type\" with an agent from `agents`")
                }
            }
        })
        .collect()
}

/// Grouped by agent, in the order of the first step of each.
fn by_agent(unbound: &[Unbound]) -> Vec<Vec<&Unbound>> {
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    let mut groups: Vec<Vec<&Unbound>> = Vec::new();
    for one in unbound {
        let place = *places.entry(one.agent.as_deref()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(one);
    }
    groups
}

/// Everything in a plan that this version does not honour, also what only has no effect. `check` warns of it.
pub fn not_yet(plan: &Plan) -> Vec<Unsupported> {
    let mut found = Vec::new();
    for row in TABLE {
        match row.looks {
            Looks::Plan(has) => {
                if has(plan) {
                    found.push(row.found(plan, Place::Plan, row.changes_run));
                }
            }
            Looks::Step(has) => {
                let steps = plan.steps.iter().enumerate().filter(|(_, step)| has(step));
                found.extend(steps.map(|(place, _)| row.found(plan, Place::Step(place), row.changes_run)));
            }
        }
    }
    found
}

/// What `run` refuses a plan for: fields that change what happens and that this version cannot honour.
pub fn unsupported(plan: &Plan) -> Vec<Unsupported> {
    not_yet(plan).into_iter().filter(|one| one.changes_run).collect()
}

impl Row {
    fn found(&self, plan: &Plan, place: Place, changes_run: bool) -> Unsupported {
        let (step, owner) = match &place {
            Place::Plan => (None, "the plan".to_owned()),
            Place::Step(place) => {
                let id = plan.steps[*place].step_id.clone();
                let owner = format!("step `{}`", visible(&id));
                (Some(id), owner)
            }
        };
        let field = self.field;
        let message = if changes_run {
            format!("this version {}: `{field}` of {owner} cannot be honoured, and `run` refuses the plan", self.why)
        } else {
            format!("this version {}: `{field}` of {owner} has no effect yet", self.why)
        };
        Unsupported { step, field, message, changes_run, place }
    }
}

/// Expressions where nothing renders them: a step is found by its name and its agent before it has values.
fn has_unrendered(step: &Step) -> bool {
    let undoes = step.rollback.as_deref().map_or(&None, |action| &action.agent_type);
    [&step.name, &step.agent_type, &step.agent_name, undoes]
        .into_iter()
        .any(|field| field.as_deref().is_some_and(is_template))
        || step.hold.as_deref().and_then(super::Hold::reason).is_some_and(is_template)
}

/// Whether an agent's entry has an expression anywhere.
pub fn has_expression(spec: &AgentSpec) -> bool {
    serde_json::to_value(spec).is_ok_and(|value| has_template(&value))
}

/// Whether any text within a value has an expression.
pub fn has_template(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => is_template(text),
        serde_json::Value::Array(items) => items.iter().any(has_template),
        serde_json::Value::Object(members) => members.values().any(has_template),
        _ => false,
    }
}

/// Adds what [`unbound_agents`] and [`not_yet`] find to the report, with its places.
pub(super) fn report(document: &Document, plan: &Plan, simulate: bool, report: &mut Report) {
    let steps: Vec<NodeId> = document.get(0, "steps").into_iter().flat_map(|steps| document.items(steps)).collect();
    let defaults = document.get(0, "defaults");
    let locate = |place: usize, name: &str| {
        let own = steps.get(place).and_then(|step| fields::field(document, *step, name));
        own.or_else(|| fields::field(document, defaults?, name))
    };
    if !simulate {
        report_unbound(document, plan, &locate, &steps, report);
    }
    for one in not_yet(plan) {
        if report.is_full() {
            return;
        }
        // What is simulated needs no agent of its own kind.
        let node = match &one.place {
            Place::Plan => document.get(0, one.field),
            Place::Step(place) if one.field == "{{ }}" => steps.get(*place).map(|step| template_in(document, *step)),
            Place::Step(place) => locate(*place, one.field).or_else(|| steps.get(*place).copied()),
        };
        let span = document.span(node.unwrap_or(0));
        let label = if one.changes_run { "cannot be honoured yet" } else { "no effect yet" };
        report.push(Diagnostic::warning(span, one.message).label(label));
    }
}

fn report_unbound(
    document: &Document,
    plan: &Plan,
    locate: &dyn Fn(usize, &str) -> Option<NodeId>,
    steps: &[NodeId],
    report: &mut Report,
) {
    let mut unbound = unbound_agents(plan);
    // That a step does not say at all what is to be done is among the rules.
    unbound.retain(|one| one.agent.is_some() || plan.steps[one.position].action.is_some());
    for group in by_agent(&unbound) {
        let [first, others @ ..] = group.as_slice() else { continue };
        let place = |one: &Unbound| {
            if one.in_rollback {
                let rollback = locate(one.position, "rollback");
                let name = rollback.and_then(|rollback| document.get(rollback, "agent_type"));
                return document.span(name.or(rollback).unwrap_or(0));
            }
            let name = locate(one.position, "agent_name").or_else(|| locate(one.position, "agent_type"));
            let node = name.or_else(|| locate(one.position, "action"));
            document.span(node.or_else(|| steps.get(one.position).copied()).unwrap_or(0))
        };
        let mut diagnostic = match &first.agent {
            Some(agent) => {
                let nearest = report.did_you_mean(agent, plan.agents.keys().map(String::as_str));
                Diagnostic::error(place(first), format!("the agent `{agent}` is not bound"))
                    .label("not in the plan's `agents`")
                    .help(nearest.unwrap_or_else(|| how_to_bind(agent)))
            }
            None => Diagnostic::error(place(first), format!("step `{}` names no agent", first.step))
                .label("who is to do it?")
                .help("add \"run\", or \"agent_type\" with an agent from `agents`"),
        };
        for other in others.iter().take(3) {
            diagnostic = diagnostic.related(place(other), "wanted here too");
        }
        if others.len() > 3 {
            diagnostic.message.push_str(&format!("; {} steps want it", group.len()));
        }
        report.push(diagnostic);
    }
}

/// The first string in a node that holds an expression.
fn template_in(document: &Document, owner: NodeId) -> NodeId {
    let found = document
        .members(owner)
        .filter(|(key, _)| !CARRIED.contains(&document.string(*key)) && document.string(*key) != "metadata")
        .flat_map(|(_, value)| value..document.after(value))
        .find(|node| document.as_string(*node).is_some_and(is_template));
    found.unwrap_or(owner)
}
