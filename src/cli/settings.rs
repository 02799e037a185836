//! `config`: what holds for this command line, and where each of it comes from.

use std::io::Write;

use serde_json::{Value, json};

use crate::console::terminal::mouse_from_env;
use crate::console::text::{clean, width};
use crate::plan::DEFAULT_MAX_PARALLEL;
use crate::run::Durability;

use super::Context;
use super::args::Format;
use super::failure::{Exit, Failure};
use super::preferences::Source;

/// The sources stand behind this column, unless a value is longer.
const VALUES: usize = 34;

/// Prints the configuration as it is in effect: as a file of configuration would say it, with where each value comes from behind it.
pub fn config(context: &Context, format: Format) -> Result<Exit, Failure> {
    let preferences = &context.preferences;
    let durability = match preferences.durability.unwrap_or_default() {
        Durability::Full => "full",
        Durability::Relaxed => "relaxed",
    };
    let parallel = preferences.max_parallel.unwrap_or(DEFAULT_MAX_PARALLEL);
    let of_file = |name| preferences.source("defaults", name);
    let (mouse, mouse_from) = match mouse_from_env() {
        Some(said) => (said, Source::Environment("HOLDPOINT_MOUSE")),
        None => (preferences.mouse.unwrap_or(true), of_file("mouse")),
    };
    let mut settings: Vec<(&str, &str, Value, Source)> = vec![
        ("defaults", "user", context.user.clone().into(), context.sources.user.clone()),
        ("defaults", "plans", context.plans.to_string_lossy().into(), context.sources.plans.clone()),
        ("defaults", "checkpoints", context.checkpoints.to_string_lossy().into(), context.sources.checkpoints.clone()),
        ("defaults", "durability", durability.into(), of_file("durability")),
        ("defaults", "max_parallel", parallel.into(), of_file("max_parallel")),
        ("defaults", "mouse", mouse.into(), mouse_from),
    ];
    let alone = preferences.settings().into_iter();
    settings.extend(alone.map(|(table, name, value)| (table, name, value, preferences.source(table, name))));
    let mut out = std::io::stdout().lock();
    let file = preferences.file.as_deref().map(|file| file.to_string_lossy().into_owned());
    if format == Format::Json {
        let settings: Vec<Value> = settings
            .iter()
            .map(|(table, name, value, source)| {
                let from = match source {
                    Source::Default => "default",
                    Source::File(_) => "file",
                    Source::Environment(_) => "environment",
                    Source::Flag(_) => "flag",
                };
                json!({"name": format!("{table}.{name}"), "value": value, "from": from, "place": source.to_string()})
            })
            .collect();
        let all = json!({"file": file, "is_there": preferences.is_there, "settings": settings});
        writeln!(out, "{all:#}")?;
        return Ok(Exit::Fine);
    }
    match (file, preferences.is_there) {
        (Some(file), true) => writeln!(out, "# {}", clean(&file))?,
        (Some(file), false) => writeln!(out, "# {} is not there; this is what holds without it", clean(&file))?,
        (None, _) => writeln!(out, "# there is no folder for a file of configuration")?,
    }
    let mut last = "";
    for (table, name, value, source) in settings {
        if table != last {
            writeln!(out, "\n[{table}]")?;
            last = table;
        }
        // Texts, numbers and lists are written in TOML as in JSON.
        let line = format!("{name} = {value}").replace("\",\"", "\", \"");
        let line = clean(&line);
        let gap = " ".repeat(VALUES.saturating_sub(width(&line)));
        writeln!(out, "{line}{gap}  # {}", clean(&source.to_string()))?;
    }
    Ok(Exit::Fine)
}
