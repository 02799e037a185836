//! `holdpoint agents`, and what `check --connect` adds: asking a plan's agents whether they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::agents::{Ground, Masker, Probe, Tools, Warden, probe};
use crate::console::text::clean;
use crate::plan::{self, AgentSpec, At, Finding, KINDS_WITHOUT_ENTRY, Plan, Scope, Step, Terms};

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Page, cell};
use super::say::{Ink, Paint};
use super::start::{self, Read};

/// So many agents are asked at the same time.
const AT_ONCE: usize = 8;
/// How much of a tool's description is shown, in characters.
const DESCRIPTION: usize = 80;

/// An agent that was asked.
pub struct Asked {
    name: String,
    kind: &'static str,
    /// How many steps it is for.
    steps: usize,
    probe: Probe,
}

/// Asks all agents of a plan.
///
/// # Errors
/// A variable has no value, or a wrong one.
pub async fn ask(plan: &Plan, path: &Path, set: &BTreeMap<String, String>) -> Result<Vec<Asked>, Failure> {
    let bound = plan::bind(plan, set, &|key| std::env::var(key).ok());
    let bound = bound.map_err(|problems| Failure::usage(problems.join("\n")))?;
    let secrets = Masker::new(bound.secrets.values()).map_err(Failure::usage)?;
    let mut scope = Scope::default();
    let mut variables: Map<String, Value> = bound.variables;
    variables.extend(bound.secrets.into_iter().map(|(name, value)| (name, value.into())));
    scope.set("vars", Value::Object(variables));
    scope.set("env", json!(bound.environment));
    let here =
        std::env::current_dir().map_err(|error| Failure::failed(format!("there is no working directory: {error}")))?;
    let plan_dir = std::path::absolute(path).ok().and_then(|path| Some(path.parent()?.to_owned()));
    let warden = Arc::new(Warden::of_this_program());
    let ground = Ground { warden, plan_dir: plan_dir.unwrap_or_else(|| here.clone()), working_dir: here, secrets };
    let (ground, scope) = (&ground, &scope);
    let asked = stream::iter(names(plan)).map(|name| async move {
        let steps = plan.steps.iter().filter(|step| agents_of(step).any(|agent| agent == name)).count();
        let spec = plan.agents.get(name).map(|spec| rendered(spec, scope));
        let without = KINDS_WITHOUT_ENTRY.into_iter().find(|kind| *kind == name);
        let kind = plan.agents.get(name).map(AgentSpec::kind).or(without);
        let plain = |answer| Probe { answer, took: Default::default(), tools: None };
        let probe = match (spec, without) {
            (Some(Ok(spec)), _) => probe(name, &spec, ground).await,
            (Some(Err(why)), _) => plain(Err(why)),
            (None, Some(_)) => plain(Ok("needs no entry".into())),
            (None, None) => plain(Err("it is not bound: the plan's `agents` has no such entry".into())),
        };
        Asked { name: name.to_owned(), kind: kind.unwrap_or("unbound"), steps, probe }
    });
    Ok(asked.buffered(AT_ONCE).collect().await)
}

/// The names of all agents: those with an entry, and those that steps want.
fn names(plan: &Plan) -> BTreeSet<&str> {
    let wanted = plan.steps.iter().flat_map(|step| agents_of(step));
    plan.agents.keys().map(String::as_str).chain(wanted).collect()
}

/// The agents of a step: who does it, and who undoes it.
fn agents_of(step: &Step) -> impl Iterator<Item = &str> {
    let undo = step.rollback.as_deref().filter(|undo| undo.run.is_none());
    let undo = undo.and_then(|undo| undo.agent_type.as_deref());
    step.agent().filter(|_| step.run.is_none()).into_iter().chain(undo)
}

/// An entry as far as it is known before there is a step.
fn rendered(spec: &AgentSpec, scope: &Scope) -> Result<AgentSpec, String> {
    if !plan::has_expression(spec) {
        return Ok(spec.clone());
    }
    let mut value = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    // Where a service is can often be told without what the step adds to its address.
    if let (AgentSpec::Http(_), Some(url)) = (spec, value["url"].as_str()) {
        let origin = url.split("{{").next().unwrap_or_default();
        let url = match origin.splitn(4, '/').nth(3) {
            Some(_) if origin.contains("://") => origin.to_owned(),
            _ => url.to_owned(),
        };
        let keep = ["kind", "headers", "auth"];
        value.as_object_mut().into_iter().for_each(|entry| entry.retain(|name, _| keep.contains(&name.as_str())));
        value["url"] = url.into();
    }
    let value = plan::render_value(&value, scope)
        .map_err(|error| format!("it cannot be asked before a step fills in its entry: {error}"))?;
    serde_json::from_value(value)
        .map_err(|error| format!("its entry with its expressions filled in is no entry: {error}"))
}

/// What is wrong with a plan as far as its agents tell: those that do not answer, and calls that their tools would not take.
pub fn findings(plan: &Plan, asked: &[Asked]) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in asked {
        if let (Err(why), true) = (&one.probe.answer, plan.agents.contains_key(&one.name)) {
            let message = format!("the agent `{}` does not answer: {why}", one.name);
            found.push(Finding { at: At::Agent(one.name.clone()), message, label: "does not answer".into() });
        }
    }
    let tools = |agent: Option<&str>| asked.iter().find(|one| Some(one.name.as_str()) == agent)?.probe.tools.as_ref();
    for (position, step) in plan.steps.iter().enumerate() {
        let id = &step.step_id;
        if let Some(tools) = tools(step.agent().filter(|_| step.run.is_none())) {
            found.extend(calls(tools, step.action.as_deref(), &step.parameters).into_iter().map(|(place, message)| {
                let (at, label) = match place {
                    None => (At::Action(position), "no such tool"),
                    Some(place) => (At::Parameter(position, place), "not taken by the tool"),
                };
                Finding { at, message: format!("step `{id}`: {message}"), label: label.into() }
            }));
        }
        let undo = step.rollback.as_deref().filter(|undo| undo.run.is_none());
        if let Some((undo, tools)) = undo.and_then(|undo| Some((undo, tools(undo.agent_type.as_deref())?))) {
            found.extend(calls(tools, undo.action.as_deref(), &undo.parameters).into_iter().map(|(_, message)| {
                let message = format!("what undoes step `{id}`: {message}");
                Finding { at: At::Rollback(position), message, label: "the call would fail".into() }
            }));
        }
    }
    found
}

/// What is wrong with a call, as far as it is known before its expressions are filled in.
fn calls(tools: &Tools, action: Option<&str>, parameters: &Map<String, Value>) -> Vec<(Option<Vec<String>>, String)> {
    match action.filter(|action| !action.is_empty()) {
        None => vec![(None, "it does not say which tool is to be called: give it an `action`".into())],
        Some(action) if plan::has_template(&Value::from(action)) => Vec::new(),
        Some(action) => tools.check(action, parameters),
    }
}

/// `holdpoint agents`: the agents of a plan, whether they answer, how fast, and their tools; 0 when all answer, 1 when one does not.
pub async fn list(
    context: &Context,
    given: &Path,
    set: &BTreeMap<String, String>,
    format: Format,
) -> Result<Exit, Failure> {
    let path = start::find(&context.plans, given)?;
    // What is not bound is listed as such.
    let terms = Terms::simulate(true);
    let read = Read::file(&path, &terms)?;
    let Some(plan) = &read.loaded.plan else {
        let _ = write!(std::io::stderr().lock(), "{}", read.render(&terms, Paint::stderr(context.no_color)));
        return Err(Failure::usage(format!("{} is wrong, so its agents were not asked", clean(&read.name))));
    };
    let asked = ask(plan, &path, set).await?;
    let all = asked.iter().all(|one| one.probe.answer.is_ok());
    let mut out = Page::stdout(context.no_color);
    match format {
        Format::Json => {
            let shown: Vec<Value> = asked.iter().map(Asked::json).collect();
            serde_json::to_writer_pretty(&mut out, &shown).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text if asked.is_empty() => {
            writeln!(out, "the plan has no agents: its steps are commands of their own")?
        }
        Format::Text => text(&mut out, &asked)?,
    }
    out.flush()?;
    Ok(if all { Exit::Fine } else { Exit::Failed })
}

impl Asked {
    fn json(&self) -> Value {
        let mut shown = json!({
            "name": self.name, "kind": self.kind, "answers": self.probe.answer.is_ok(),
            "seconds": self.probe.took.as_secs_f64(), "steps": self.steps,
        });
        match &self.probe.answer {
            Ok(what) => shown["detail"] = what.clone().into(),
            Err(why) => shown["error"] = why.clone().into(),
        }
        if let Some(tools) = &self.probe.tools {
            let tools = tools.named().map(|(name, description)| json!({"name": name, "description": description}));
            shown["tools"] = tools.collect();
        }
        shown
    }

    /// How long it took, where anything had to be asked.
    fn took(&self) -> String {
        match self.probe.took.as_millis() {
            0 => String::new(),
            took @ ..10_000 => format!("{took} ms"),
            took => format!("{} s", took / 1000),
        }
    }
}

fn text(out: &mut Page<impl Write>, asked: &[Asked]) -> std::io::Result<()> {
    let rows: Vec<_> = asked
        .iter()
        .map(|one| {
            let (state, ink, what) = match &one.probe.answer {
                Ok(what) => ("answers", Ink::Good, what),
                Err(why) => ("does not answer", Ink::Bad, why),
            };
            let steps = format!("{} step{}", one.steps, if one.steps == 1 { "" } else { "s" });
            vec![
                cell(&one.name).ink(Ink::Strong),
                cell(one.kind),
                cell(steps).right().ink(Ink::Dim),
                cell(state).ink(ink),
                cell(one.took()).right().ink(Ink::Dim),
                cell(what),
            ]
        })
        .collect();
    for (line, one) in out.rows("", &rows).iter().zip(asked) {
        writeln!(out, "{line}")?;
        let tools = one.probe.tools.iter().flat_map(|tools| tools.named());
        let rows: Vec<_> = tools
            .map(|(name, description)| {
                let line = description.unwrap_or_default().trim().lines().next().unwrap_or_default();
                let shown = match line.char_indices().nth(DESCRIPTION) {
                    Some((end, _)) => format!("{}…", &line[..end]),
                    None => line.to_owned(),
                };
                vec![cell(name), cell(shown).ink(Ink::Dim).gives(0)]
            })
            .collect();
        out.table("    ", &rows)?;
    }
    Ok(())
}
