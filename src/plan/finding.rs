//! Places in a plan's text for what others find out about the plan.

use super::diagnostic::{Diagnostic, Report, visible};
use super::fields;
use super::json::{Document, NodeId};

/// What of a plan a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// An agent's entry, by name.
    Agent(String),
    /// A step's action, by the step's position.
    Action(usize),
    /// What undoes a step, by the step's position.
    Rollback(usize),
    /// Something in a step's parameters: the step's position, and the names and places that lead there.
    Parameter(usize, Vec<String>),
}

/// Something that was found out about a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub at: At,
    /// What is wrong.
    pub message: String,
    /// The same in a few words, for the place.
    pub label: String,
}

/// The findings as errors with their places in the text, in its order. The text is one that loads.
pub fn diagnose(text: &str, findings: Vec<Finding>) -> Vec<Diagnostic> {
    let mut report = Report::new();
    let document = Document::parse(text, &mut Report::new());
    for finding in findings {
        let node = document.place_of(&finding.at).unwrap_or(0);
        let message = visible(&finding.message);
        report.push(Diagnostic::error(document.span(node), message).label(visible(&finding.label)));
    }
    report.finish(text)
}

impl Document<'_> {
    /// The nearest place there is.
    fn place_of(&self, at: &At) -> Option<NodeId> {
        match at {
            At::Agent(name) => self.get(self.get(0, "agents")?, name),
            At::Action(position) => self.of_step(*position, "action"),
            At::Rollback(position) => self.of_step(*position, "rollback"),
            At::Parameter(position, path) => {
                let mut node = self.of_step(*position, "parameters")?;
                for part in path {
                    let next = match part.parse::<usize>() {
                        Ok(number) => self.items(node).nth(number).or_else(|| self.get(node, part)),
                        Err(_) => self.get(node, part),
                    };
                    match next {
                        Some(next) => node = next,
                        None => break,
                    }
                }
                Some(node)
            }
        }
    }

    /// A step's own field, else that of the defaults, else the step.
    fn of_step(&self, position: usize, name: &str) -> Option<NodeId> {
        let step = self.items(self.get(0, "steps")?).nth(position)?;
        let field = |owner| fields::field(self, owner, name);
        field(step).or_else(|| field(self.get(0, "defaults")?)).or(Some(step))
    }
}
