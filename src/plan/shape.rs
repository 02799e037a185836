//! Holds a text against the format: names, types and ranges.
//!
//! The shape is compiled from the same JSON Schema that is published, which is generated from the types: one source says what a plan may be, and
//! loader and schema cannot drift apart. What a schema cannot say stands in the `rules` module.

use std::collections::HashMap;

use super::CARRIED;
use super::diagnostic::{Diagnostic, Report};
use super::format::{FORMAT, Object, Shape, Text, What};
use super::json::{Document, Kind, NodeId};

/// Reports everything in the text that is not as the format wants it.
pub(super) fn check(document: &Document, report: &mut Report) {
    Walk { document, report }.value(0, &FORMAT.plan, "the plan");
}

/// The same for the object that holds the entries of agents.
pub(super) fn check_agents(document: &Document, entries: NodeId, report: &mut Report) {
    if let What::Object(plan) = &FORMAT.plan.what
        && let Some(shape) = plan.fields.get("agents")
    {
        Walk { document, report }.value(entries, shape, "agents");
    }
}

struct Walk<'a, 'd, 'r> {
    document: &'a Document<'d>,
    report: &'r mut Report,
}

impl Walk<'_, '_, '_> {
    fn value(&mut self, node: NodeId, shape: &Shape, name: &str) {
        let kind = self.document.kind(node);
        if kind == Kind::Broken || (shape.nullable && kind == Kind::Null) {
            return;
        }
        if !shape.takes(kind) {
            return self.wrong_type(node, shape, name);
        }
        match &shape.what {
            What::Any | What::Bool => {}
            What::Text(text) => self.text(node, *text, name),
            What::Number { .. } => self.number(node, shape, name),
            What::OneOf(names) => {
                let given = self.document.string(node);
                if !names.iter().any(|name| name == given) {
                    let help = self.report.did_you_mean(given, names.iter().map(String::as_str));
                    self.report.push(
                        Diagnostic::error(self.document.span(node), format!("`{name}` cannot be `{given}`"))
                            .label(format!("expected {}", shape.describe()))
                            .maybe_help(help),
                    );
                }
            }
            What::List { items, least, most } => self.list(node, items, (*least, *most), name),
            What::Object(object) => self.object(node, shape, object, name),
            What::Union(several) => {
                if let Some(shape) = several.iter().find(|shape| shape.takes(kind)) {
                    self.value(node, shape, name);
                }
            }
            What::Tagged(kinds) => self.tagged(node, kinds, name),
            What::Reference(target) => {
                if let Some(shape) = FORMAT.definitions.get(target) {
                    self.value(node, shape, name);
                }
            }
        }
    }

    fn wrong_type(&mut self, node: NodeId, shape: &Shape, name: &str) {
        let document = self.document;
        let given = match document.kind(node) {
            Kind::Object => "an object",
            Kind::Array => "a list",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool(_) => "`true` or `false`",
            Kind::Null | Kind::Broken => "`null`",
        };
        let wanted = shape.describe();
        let text = document.string(node);
        let help = match (document.kind(node), &shape.what) {
            (Kind::String, What::Number { .. }) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                Some(format!("write it without quotes: {}", text.trim()))
            }
            (Kind::String, What::Bool) if matches!(text, "true" | "false") => {
                Some(format!("write it without quotes: {text}"))
            }
            (Kind::String, What::List { .. }) => Some(format!("write a list: [{}]", document.raw(node))),
            (Kind::Number | Kind::Bool(_), What::Text(_)) => {
                Some(format!("write it in quotes: \"{}\"", document.raw(node)))
            }
            _ => None,
        };
        let name = if name.starts_with("the ") { name.to_owned() } else { format!("`{name}`") };
        self.report.push(
            Diagnostic::error(document.span(node), format!("{name} must be {wanted}, not {given}"))
                .label(format!("expected {wanted}"))
                .maybe_help(help),
        );
    }

    fn text(&mut self, node: NodeId, text: Text, name: &str) {
        let given = self.document.string(node);
        if text.fits(given) {
            return;
        }
        let message = match text {
            Text::NotEmpty => format!("`{name}` is empty"),
            Text::Id if given.is_empty() => format!("`{name}` is empty"),
            Text::Id if super::is_id_alphabet(given) => {
                format!("`{name}` is {} characters long; at most 128 are allowed", given.len())
            }
            Text::Id => format!("`{name}` has characters that are not allowed: {}", foreign(given)),
            Text::Time => format!("`{name}` is not a point in time"),
            _ => format!("`{name}` is not valid"),
        };
        let help = (text == Text::Id && !given.is_empty()).then(|| slug(given)).filter(|slug| super::is_id(slug));
        self.report.push(
            Diagnostic::error(self.document.span(node), message)
                .label(format!("expected {}", text.describe()))
                .maybe_help(help.map(|slug| format!("for example \"{slug}\""))),
        );
    }

    fn number(&mut self, node: NodeId, shape: &Shape, name: &str) {
        let What::Number { whole, least, above, most } = &shape.what else { return };
        let raw = self.document.raw(node);
        let Ok(number) = raw.parse::<f64>() else { return };
        let fraction = *whole && raw.contains(['.', 'e', 'E']);
        // The largest whole numbers do not fit a float exactly, so they are compared as what they are.
        let huge = *whole && raw.parse::<i64>().is_err() && raw.parse::<u64>().is_err();
        let out = least.is_some_and(|least| number < least)
            || above.is_some_and(|above| number <= above)
            || most.is_some_and(|most| number > most);
        if fraction || huge || out {
            self.report.push(
                Diagnostic::error(
                    self.document.span(node),
                    format!("`{name}` must be {}, not {raw}", shape.describe()),
                )
                .label(if fraction { "expected a whole number" } else { "out of range" })
                .maybe_help(
                    (fraction && number.fract() == 0.0 && number.abs() < 1e15).then(|| format!("write {number}")),
                ),
            );
        }
    }

    fn list(&mut self, node: NodeId, items: &Shape, (least, most): (usize, usize), name: &str) {
        let mut count = 0;
        for item in self.document.items(node) {
            count += 1;
            if self.report.is_full() && self.report.has_errors() && count > most {
                break;
            }
            if !matches!(items.what, What::Any) {
                self.value(item, items, item_name(name));
            }
        }
        if count < least {
            let message = if name == "steps" {
                "the plan has no steps; at least one is needed".to_owned()
            } else {
                format!("`{name}` is empty")
            };
            self.report.push(Diagnostic::error(self.document.span(node), message).label("expected at least one"));
        } else if count > most {
            let start = self.document.span(node).start;
            self.report.push(
                Diagnostic::error(
                    start..start + 1,
                    format!("`{name}` has {count} entries; at most {most} are allowed"),
                )
                .label("this list is too long"),
            );
        }
    }

    fn object(&mut self, node: NodeId, shape: &Shape, object: &Object, name: &str) {
        let document = self.document;
        let mut given: Vec<(&str, NodeId)> = Vec::with_capacity(8);
        for (key, value) in document.members(node) {
            let field = document.string(key);
            if let Some((name, shape)) = object.fields.get_key_value(field) {
                self.value(value, shape, name);
                given.push((name, key));
            } else if let Some(shape) = &object.others {
                if let Some(text) = object.other_names.filter(|text| !text.fits(field)) {
                    self.report.push(
                        Diagnostic::error(document.span(key), format!("a name in `{name}` is not valid: `{field}`"))
                            .label(format!("expected {}", text.describe())),
                    );
                }
                self.value(value, shape, field);
            } else {
                self.unknown_field(key, object, name);
            }
        }
        for required in &object.required {
            if !given.iter().any(|(name, _)| name == required) {
                self.missing_field(node, required, name);
            }
        }
        for (field, alias) in &shape.alternatives {
            let find = |wanted: &String| given.iter().find(|(name, _)| name == wanted).map(|(_, key)| *key);
            if let (Some(field_key), Some(alias_key)) = (find(field), find(alias)) {
                self.report.push(
                    Diagnostic::error(
                        document.span(alias_key),
                        format!("`{alias}` and `{field}` are two spellings of the same field"),
                    )
                    .label("the older spelling")
                    .related(document.span(field_key), "the same field")
                    .help("keep one of them"),
                );
            }
        }
    }

    fn missing_field(&mut self, node: NodeId, required: &str, name: &str) {
        // The whole object would be underlined over many lines; its opening brace says enough.
        let start = self.document.span(node).start;
        let help = match required {
            "plan_id" => Some("add \"plan_id\": a short name of letters, digits, `_` and `-`".to_owned()),
            "steps" => Some("add \"steps\": a list of what is to be done".to_owned()),
            "step_id" => Some("add \"step_id\": a name that no other step has".to_owned()),
            _ => None,
        };
        let owner = if name.starts_with("the ") { name.to_owned() } else { format!("`{name}`") };
        self.report.push(
            Diagnostic::error(start..start + 1, format!("{owner} has no `{required}`"))
                .label(format!("`{required}` is missing here"))
                .maybe_help(help),
        );
    }

    fn unknown_field(&mut self, key: NodeId, object: &Object, name: &str) {
        let field = self.document.string(key);
        let names = object.names.iter().map(String::as_str);
        let help = if name == "defaults" && field == "step_id" {
            Some("every step has an id of its own".to_owned())
        } else {
            self.report.did_you_mean(field, names.clone())
        };
        // What is only carried helps nobody who writes a plan.
        let help = help.or_else(|| {
            let known: Vec<&str> = names.filter(|name| !CARRIED.contains(name)).collect();
            (!known.is_empty()).then(|| format!("known here: {}", known.join(", ")))
        });
        let owner = if name.starts_with("the ") { name.to_owned() } else { format!("`{name}`") };
        self.report.push(
            Diagnostic::error(self.document.span(key), format!("unknown field `{field}` in {owner}"))
                .label("not a field of the format")
                .maybe_help(help),
        );
    }

    fn tagged(&mut self, node: NodeId, kinds: &HashMap<String, Shape>, name: &str) {
        let mut names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        names.sort_unstable();
        let listed = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let Some(tag) = self.document.get(node, "kind") else {
            let start = self.document.span(node).start;
            self.report.push(
                Diagnostic::error(start..start + 1, format!("`{name}` has no `kind`"))
                    .label("`kind` is missing here")
                    .help(format!("add \"kind\": one of {listed}")),
            );
            return;
        };
        let given = self.document.as_string(tag);
        match given.and_then(|given| kinds.get(given)) {
            Some(shape) => self.value(node, shape, name),
            None => {
                let help = given.and_then(|given| self.report.did_you_mean(given, names));
                let raw = given.unwrap_or_else(|| self.document.raw(tag));
                self.report.push(
                    Diagnostic::error(self.document.span(tag), format!("there is no kind `{raw}` of agent"))
                        .label(format!("expected one of {listed}"))
                        .maybe_help(help),
                );
            }
        }
    }
}

fn item_name(list: &str) -> &str {
    match list {
        "steps" => "the step",
        other => other,
    }
}

/// The characters that do not belong into an id, each once, the first few.
fn foreign(id: &str) -> String {
    let mut signs: Vec<char> = Vec::new();
    for sign in id.chars().filter(|sign| !(sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-'))) {
        if !signs.contains(&sign) && signs.len() < 6 {
            signs.push(sign);
        }
    }
    signs
        .iter()
        .map(|sign| if *sign == ' ' { "a space".to_owned() } else { format!("`{sign}`") })
        .collect::<Vec<_>>()
        .join(", ")
}

/// An id made from a text that is none.
fn slug(text: &str) -> String {
    let signs = text.chars().take(128).map(|sign| if sign.is_ascii_alphanumeric() || sign == '-' { sign } else { '_' });
    signs.collect::<String>().trim_matches('_').to_owned()
}
