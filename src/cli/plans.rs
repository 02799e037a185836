//! Plans: the list, what is wrong with them, and the schema of their format.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::plan::{Severity, Terms};

use super::Context;
use super::agents;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::page::{Cell, Page, cell, complain};
use super::say::{Ink, Paint};
use super::start::{self, Read};

/// What lies beside the plans and is none.
const SCHEMA: &str = "this is the schema, not a plan";

/// `holdpoint check`: every problem of every plan; 2 if any is an error. With `connect`, which holds values of variables, also what the agents
/// say that are asked.
pub async fn check(
    context: &Context,
    given: &[PathBuf],
    terms: &Terms,
    connect: Option<&BTreeMap<String, String>>,
    format: Format,
) -> Result<Exit, Failure> {
    let mut wrong = false;
    let mut shown = Vec::new();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for one in given {
        let read = match read(context, one, terms, connect).await {
            Ok(read) => read,
            Err(Failure::Said { message, .. }) => {
                wrong = true;
                shown.push(json!({"plan": one.to_string_lossy(), "ok": false, "error": message, "diagnostics": []}));
                if format == Format::Text {
                    out.flush()?;
                    complain(&message);
                }
                continue;
            }
            Err(other) => return Err(other),
        };
        if crate::plan::is_schema(&read.text) {
            match format {
                Format::Json => {
                    shown.push(json!({"plan": read.name, "ok": true, "skipped": SCHEMA, "diagnostics": []}))
                }
                Format::Text => writeln!(out, "{}: {SCHEMA}; skipped", crate::console::text::clean(&read.name))?,
            }
            continue;
        }
        let diagnostics = &read.loaded.diagnostics;
        wrong |= read.loaded.has_errors();
        match format {
            Format::Json => {
                let mut one = json!({"plan": read.name, "ok": !read.loaded.has_errors(), "diagnostics": diagnostics});
                if let Some(agents) = &terms.agents {
                    one["agents"] = json!({"file": agents.name(), "diagnostics": read.loaded.of_agents_file});
                }
                shown.push(one);
            }
            Format::Text => {
                // The problems go where problems go; the verdict is the answer.
                out.flush()?;
                let _ = write!(std::io::stderr().lock(), "{}", read.render(terms, Paint::stderr(context.no_color)));
                writeln!(out, "{}", verdict(&read, Paint::stdout(context.no_color)))?;
            }
        }
    }
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut out, &shown).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(if wrong { Exit::Usage } else { Exit::Fine })
}

async fn read(
    context: &Context,
    given: &Path,
    terms: &Terms,
    connect: Option<&BTreeMap<String, String>>,
) -> Result<Read, Failure> {
    let path = start::find(&context.plans, given)?;
    let mut read = Read::file(&path, terms)?;
    if let (Some(set), Some(plan)) = (connect, &read.loaded.plan) {
        let found = agents::findings(plan, &agents::ask(plan, &path, set).await?);
        read.loaded.diagnostics.extend(crate::plan::diagnose(&read.text, found));
    }
    Ok(read)
}

fn verdict(read: &Read, paint: Paint) -> String {
    let all = || read.loaded.diagnostics.iter().chain(&read.loaded.of_agents_file);
    let count = |severity| all().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let name = crate::console::text::clean(&read.name);
    let warned = if warnings == 0 { String::new() } else { format!(", {}", plural(warnings, "warning")) };
    if errors > 0 {
        return format!("{name}: {}{warned}", paint.ink(Ink::Bad, &plural(errors, "error")));
    }
    let steps = read.loaded.plan.as_ref().map_or(0, |plan| plan.steps.len());
    format!("{name}: {}, {}{warned}", paint.ink(Ink::Good, "fine"), plural(steps, "step"))
}

/// `holdpoint plans`
pub fn list(context: &Context, format: Format) -> Result<Exit, Failure> {
    if !context.plans.is_dir() {
        return Err(Failure::usage(format!(
            "there is no folder of plans at {}: go to where it is, or name it with --plans",
            context.plans.display()
        )));
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut shown = Vec::new();
    for name in start::names(&context.plans) {
        let path = context.plans.join(&name).with_extension("json");
        let file = format!("{name}.json");
        let read = match Read::file(&path, &Terms::default()) {
            Ok(read) => read,
            Err(failure) => {
                shown.push(json!({"file": file, "ok": false, "error": failure.to_string()}));
                rows.push(vec![cell(&name), cell(""), cell(failure.to_string()).ink(Ink::Bad)]);
                continue;
            }
        };
        let errors = read.loaded.diagnostics.iter().filter(|one| one.is_error()).count();
        match &read.loaded.plan {
            Some(plan) => {
                shown.push(json!({
                    "file": file, "path": path.to_string_lossy(), "ok": true, "plan_id": plan.plan_id, "title": plan.title,
                    "query": plan.query, "steps": plan.steps.len(),
                }));
                let steps = format!("{} steps", plan.steps.len());
                rows.push(vec![
                    cell(&name).ink(Ink::Strong),
                    cell(steps).right().ink(Ink::Dim),
                    cell(plan.headline()).gives(0),
                ]);
            }
            None => {
                shown.push(json!({"file": file, "path": path.to_string_lossy(), "ok": false, "errors": errors}));
                let what = format!("cannot run: `holdpoint check {name}` says why ({errors} wrong)");
                rows.push(vec![cell(&name), cell(""), cell(what).ink(Ink::Bad)]);
            }
        }
    }
    let mut out = Page::stdout(context.no_color);
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &shown).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text if rows.is_empty() => writeln!(out, "no plans in {}", context.plans.display())?,
        Format::Text => out.table("", &rows)?,
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// `holdpoint schema`
pub fn schema() -> Result<Exit, Failure> {
    let mut text = serde_json::to_string_pretty(&crate::plan::schema()).map_err(std::io::Error::from)?;
    text.push('\n');
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Fine)
}
