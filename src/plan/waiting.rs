//! What a schema cannot say of agents that wait, for a time or for a person: which of two fields they have, and what a step's parameters say.

use super::diagnostic::{Diagnostic, Report};
use super::expression::is_template;
use super::fields::{Fields, node};
use super::json::{Document, Kind, NodeId};
use super::{FieldSpec, KINDS_WITHOUT_ENTRY, MAX_SECONDS};

struct Waiting<'a, 'd, 'r> {
    document: &'a Document<'d>,
    report: &'r mut Report,
}

/// Reports what is wrong with entries of kind `wait` and `manual`, and with the parameters of the steps (by their effective fields) that use
/// such an agent.
pub(super) fn check(document: &Document, steps: &[Fields], report: &mut Report) {
    let mut check = Waiting { document, report };
    let agents = document.get(0, "agents").filter(|node| document.kind(*node) == Kind::Object);
    let entries: Vec<(NodeId, NodeId)> = agents.into_iter().flat_map(|node| document.members(node)).collect();
    for (_, entry) in &entries {
        match check.kind(*entry) {
            "manual" => check.fields(check.find(*entry, "fields"), true),
            "wait" => check.both(*entry),
            _ => {}
        }
    }
    let mut used = vec![false; entries.len()];
    for fields in steps {
        let Some(agent) = node(fields.agent_name.or(fields.agent_type)).filter(|_| fields.run.is_none()) else {
            continue;
        };
        let name = document.string(agent);
        let place = entries.iter().position(|(key, _)| document.string(*key) == name);
        let entry = place.map(|place| entries[place].1);
        let kind = match entry {
            Some(entry) => check.kind(entry),
            None => KINDS_WITHOUT_ENTRY.into_iter().find(|kind| *kind == name).unwrap_or(""),
        };
        if let Some(place) = place {
            used[place] = true;
        }
        let parameters = node(fields.parameters).filter(|node| document.kind(*node) == Kind::Object);
        match kind {
            "wait" => check.wait(agent, entry, parameters),
            "manual" => {
                check.fields(parameters.and_then(|parameters| check.find(parameters, "fields")), false);
                check.task(agent, entry, parameters, fields);
            }
            _ => {}
        }
    }
    for ((_, entry), used) in entries.iter().zip(used) {
        if !used && check.kind(*entry) == "wait" && !check.says_when(*entry) {
            check.never_ends(*entry);
        }
    }
}

impl<'a> Waiting<'a, '_, '_> {
    fn find(&self, owner: NodeId, name: &str) -> Option<NodeId> {
        self.document.get(owner, name).filter(|node| self.document.kind(*node) != Kind::Null)
    }

    fn kind(&self, entry: NodeId) -> &'a str {
        self.find(entry, "kind").map_or("", |kind| self.document.string(kind))
    }

    fn says_when(&self, owner: NodeId) -> bool {
        self.find(owner, "seconds").or(self.find(owner, "until")).is_some()
    }

    fn error(&mut self, node: NodeId, message: String, label: &str) {
        self.report.push(Diagnostic::error(self.document.span(node), message).label(label.to_owned()));
    }

    fn both(&mut self, owner: NodeId) {
        if let (Some(_), Some(until)) = (self.find(owner, "seconds"), self.find(owner, "until")) {
            self.error(until, "a wait has `seconds` or `until`, not both".to_owned(), "keep one of them");
        }
    }

    fn never_ends(&mut self, place: NodeId) {
        let start = self.document.span(place).start;
        self.report.push(
            Diagnostic::error(start..start + 1, "the wait does not say how long: it needs `seconds` or `until`")
                .label("until when?")
                .help("add \"seconds\": 60, or \"until\": \"2031-05-04T22:30:00Z\""),
        );
    }

    fn wait(&mut self, agent: NodeId, entry: Option<NodeId>, parameters: Option<NodeId>) {
        let document = self.document;
        if let Some(parameters) = parameters {
            self.both(parameters);
            for name in ["seconds", "until"] {
                let Some(given) = self.find(parameters, name) else { continue };
                let text = document.as_string(given);
                let fits = match name {
                    _ if text.is_some_and(is_template) => true,
                    "until" => text.is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
                    _ => {
                        let number = (document.kind(given) == Kind::Number).then(|| document.raw(given));
                        let number = number.and_then(|raw| raw.parse::<f64>().ok());
                        number.is_some_and(|number| (0.0..=MAX_SECONDS).contains(&number))
                    }
                };
                if !fits {
                    let wanted = match name {
                        "until" => "a time like 2031-05-04T22:30:00Z (RFC 3339)".to_owned(),
                        _ => format!("a number from 0 to {MAX_SECONDS}"),
                    };
                    let message = format!("`{name}` of a wait must be {wanted}, not {}", document.raw(given));
                    self.error(given, message, &format!("expected {wanted}"));
                }
            }
            if self.says_when(parameters) {
                return;
            }
        }
        if entry.is_none_or(|entry| !self.says_when(entry)) {
            self.never_ends(agent);
        }
    }

    /// Fields to fill in: each of them as the format has it, which in an entry is looked at elsewhere, and without a contradiction.
    fn fields(&mut self, fields: Option<NodeId>, in_entry: bool) {
        let document = self.document;
        let Some(fields) = fields else { return };
        if document.kind(fields) != Kind::Object {
            if !in_entry && document.as_string(fields).is_none_or(|text| !is_template(text)) {
                let message = "`fields` must be an object with a field under each name".to_owned();
                self.error(fields, message, "expected an object");
            }
            return;
        }
        for (key, field) in document.members(fields).collect::<Vec<_>>() {
            let name = document.string(key);
            let wrong = match serde_json::from_str::<FieldSpec>(document.raw(field)) {
                Ok(field) => field.contradiction(),
                Err(_) if in_entry => None,
                Err(error) => {
                    let said = error.to_string();
                    Some(said.split(" at line ").next().unwrap_or_default().to_owned())
                }
            };
            let template = (field..document.after(field)).any(|node| document.as_string(node).is_some_and(is_template));
            if let Some(wrong) = wrong.filter(|_| !template) {
                self.error(field, format!("the field `{name}` cannot be asked for: {wrong}"), "not a field");
            }
        }
    }

    /// A person has to be told what to do.
    fn task(&mut self, agent: NodeId, entry: Option<NodeId>, parameters: Option<NodeId>, fields: &Fields) {
        let told = |owner: Option<NodeId>| owner.and_then(|owner| self.find(owner, "instructions")).is_some();
        if fields.action.is_none() && !told(entry) && !told(parameters) {
            self.report.push(
                Diagnostic::warning(self.document.span(agent), "nobody is told what to do in this manual step")
                    .label("without instructions")
                    .help(
                        "add \"instructions\" to the step's `parameters` or the agent's entry, or say it in `action`",
                    ),
            );
        }
    }
}
