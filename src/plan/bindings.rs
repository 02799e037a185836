//! Agents that are bound in a file of their own, beside the plan: the same plan runs with other agents elsewhere.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Report, visible};
use super::json::{Document, Kind, NodeId};
use super::load::{not_text, too_large};
use super::{AgentSpec, MAX_BYTES, Plan, SimulatedSpec, render_text, render_within, rules, shape};

/// What a file with agents may hold besides them.
const BESIDE: [&str; 2] = ["agents", "$schema"];

/// A file that binds agents: `{"agents": {name: entry}}`, or the inner object alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentsFile {
    name: String,
    text: String,
    /// What is wrong with its bytes.
    broken: Vec<Diagnostic>,
}

/// What a file binds, as far as it can be read.
pub(super) struct Bound {
    /// Problems, with their places in the file.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether it can be told which names the file binds.
    pub(super) readable: bool,
}

impl AgentsFile {
    /// The file of that name with these bytes. What is wrong with them is told with the first plan that is checked with it.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        let broken = if bytes.len() > MAX_BYTES { vec![too_large("file", bytes.len())] } else { not_text(bytes) };
        let text = if bytes.len() > MAX_BYTES { String::new() } else { String::from_utf8_lossy(bytes).into_owned() };
        Self { name: name.into(), text, broken }
    }

    /// The name of the file, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Problems as a picture of their places in the file.
    pub fn render(&self, diagnostics: &[Diagnostic], color: bool) -> String {
        render_text(&self.name, &self.text, diagnostics, color)
    }

    /// The same where lines of more than `longest` characters have no room.
    pub fn render_within(&self, diagnostics: &[Diagnostic], color: bool, longest: usize) -> String {
        render_within(&self.name, &self.text, diagnostics, color, longest)
    }

    /// Binds the file's agents in a plan. An entry that is wrong is an error, so that the plan is refused; its name counts as bound, so that
    /// nothing is said twice.
    pub(super) fn bind(&self, plan: &mut Plan) -> Bound {
        let mut report = Report::new();
        self.broken.iter().cloned().for_each(|diagnostic| report.push(diagnostic));
        let document = Document::parse(&self.text, &mut report);
        let entries = (document.sound && !report.has_errors()).then(|| entries(&document, &mut report)).flatten();
        if let Some(entries) = entries {
            shape::check_agents(&document, entries, &mut report);
            rules::check_agents(&document, entries, plan, &mut report);
            let wrong = report.has_errors();
            for (key, value) in document.members(entries) {
                self.entry(&document, (key, value), plan, wrong, &mut report);
            }
            unused(&document, entries, plan, &mut report);
        }
        Bound { diagnostics: report.finish(&self.text), readable: entries.is_some() }
    }

    fn entry(
        &self,
        document: &Document,
        (key, value): (NodeId, NodeId),
        plan: &mut Plan,
        wrong: bool,
        report: &mut Report,
    ) {
        let name = document.string(key);
        let spec = serde_json::from_str::<AgentSpec>(document.raw(value)).unwrap_or_else(|error| {
            // What is wrong has been said already, with its place.
            if !wrong {
                let what = error.to_string();
                let what = what.split(" at line ").next().unwrap_or_default();
                report.push(Diagnostic::error(
                    document.span(value),
                    format!("the entry of `{name}` cannot be read: {what}"),
                ));
            }
            AgentSpec::Simulated(SimulatedSpec::default())
        });
        if plan.agents.insert(name.to_owned(), spec).is_some() {
            report.push(
                Diagnostic::warning(document.span(key), format!("the plan binds the agent `{name}` too"))
                    .label("this entry holds, the plan's does not"),
            );
        }
    }
}

/// The object that holds the entries.
fn entries(document: &Document, report: &mut Report) -> Option<NodeId> {
    if document.kind(0) != Kind::Object {
        let help = "{\"agents\": {\"name\": {\"kind\": …}}}, or the inner object alone";
        report.push(
            Diagnostic::error(document.span(0), "a file with agents must be an object")
                .label("expected an object")
                .help(help),
        );
        return None;
    }
    // An agent may be called `agents`: then there is a kind.
    let inner = document.get(0, "agents").filter(|inner| document.get(*inner, "kind").is_none());
    let Some(inner) = inner else { return Some(0) };
    for (key, _) in document.members(0) {
        let name = document.string(key);
        if !BESIDE.contains(&name) {
            report.push(
                Diagnostic::error(document.span(key), format!("unknown field `{name}` beside `agents`"))
                    .label("not known here")
                    .help("entries of agents stand within `agents`"),
            );
        }
    }
    Some(inner)
}

/// Names that no step uses are more likely misspelt than meant for another plan.
fn unused(document: &Document, entries: NodeId, plan: &Plan, report: &mut Report) {
    let used: BTreeSet<&str> = plan
        .steps
        .iter()
        .flat_map(|step| [step.agent(), step.rollback.as_deref().and_then(|action| action.agent_type.as_deref())])
        .flatten()
        .collect();
    for (key, _) in document.members(entries) {
        let name = document.string(key);
        if used.contains(name) {
            continue;
        }
        let unbound = used.iter().copied().filter(|used| plan.kind_named(used).is_none());
        let nearest = report.did_you_mean(name, unbound);
        let plan_id = visible(&plan.plan_id);
        report.push(
            Diagnostic::warning(document.span(key), format!("no step of the plan `{plan_id}` uses the agent `{name}`"))
                .label("not used")
                .maybe_help(nearest),
        );
    }
}
