//! `config`: what holds for this command line, and where each of it comes from.

use std::io::Write;

use serde_json::{Value, json};

use crate::console::terminal::mouse_from_env;
use crate::console::text::{clean, width};
use crate::plan::DEFAULT_MAX_PARALLEL;
use crate::run::Durability;

use super::Context;
use super::args::Format;
use super::config::Source;
use super::failure::{Exit, Failure};

/// The sources stand behind this column, unless a value is longer.
const VALUES: usize = 34;

/// Prints the configuration as it is in effect: as a file of configuration would say it, with where each value comes from behind it.
pub fn config(context: &Context, format: Format) -> Result<Exit, Failure> {
    let configured = &context.config;
    let durability = match configured.durability.unwrap_or_default() {
        Durability::Full => "full",
        Durability::Relaxed => "relaxed",
    };
    let parallel = configured.max_parallel.unwrap_or(DEFAULT_MAX_PARALLEL);
    let of_file = |name: &str| configured.source(&format!("defaults.{name}"));
    let (mouse, mouse_from) = match mouse_from_env() {
        Some(said) => (said, Source::Environment("HOLDPOINT_MOUSE")),
        None => (configured.mouse.unwrap_or(true), of_file("mouse")),
    };
    let own = [
        ("user", context.user.clone().into(), context.sources.user.clone()),
        ("plans", context.plans.to_string_lossy().into(), context.sources.plans.clone()),
        ("checkpoints", context.checkpoints.to_string_lossy().into(), context.sources.checkpoints.clone()),
        ("durability", durability.into(), of_file("durability")),
        ("max_parallel", parallel.into(), of_file("max_parallel")),
        ("mouse", mouse.into(), mouse_from),
    ];
    let own = own.map(|(name, value, source): (&str, Value, Source)| (format!("defaults.{name}"), value, source));
    let alone = configured.settings().into_iter().map(|(name, value)| {
        let source = configured.source(&name);
        (name, value, source)
    });
    let settings: Vec<(String, Value, Source)> = own.into_iter().chain(alone).collect();
    let mut out = std::io::stdout().lock();
    let file = configured.file.as_deref().map(|file| file.to_string_lossy().into_owned());
    if format == Format::Json {
        let settings: Vec<Value> = settings
            .iter()
            .map(|(name, value, source)| {
                let from = match source {
                    Source::Default => "default",
                    Source::File(_) => "file",
                    Source::Environment(_) => "environment",
                    Source::Flag(_) => "flag",
                };
                json!({"name": name, "value": value, "from": from, "place": source.to_string()})
            })
            .collect();
        let all = json!({"file": file, "is_there": configured.is_there, "settings": settings});
        writeln!(out, "{all:#}")?;
        return Ok(Exit::Fine);
    }
    match (file, configured.is_there) {
        (Some(file), true) => writeln!(out, "# {}", clean(&file))?,
        (Some(file), false) => writeln!(out, "# {} is not there; this is what holds without it", clean(&file))?,
        (None, _) => writeln!(out, "# there is no folder for a file of configuration")?,
    }
    let mut last = String::new();
    for (name, value, source) in settings {
        let (table, name) = name.rsplit_once('.').unwrap_or(("", &name));
        if table != last {
            // Those that there may be many of are numbered.
            match table.split_once('.') {
                Some((list, _)) => writeln!(out, "\n[[{list}]]")?,
                None => writeln!(out, "\n[{table}]")?,
            }
            table.clone_into(&mut last);
        }
        // Texts, numbers and lists are written in TOML as in JSON.
        let line = format!("{name} = {value}").replace("\",\"", "\", \"");
        let line = clean(&line);
        let gap = " ".repeat(VALUES.saturating_sub(width(&line)));
        writeln!(out, "{line}{gap}  # {}", clean(&source.to_string()))?;
    }
    Ok(Exit::Fine)
}
