//! Which fields a step has in the text, and which of the plan's `defaults` hold for it.

use super::ALIASES;
use super::json::{Document, Kind, NodeId};

/// Where the fields of one step, or of the defaults, stand that are looked at here: found in one pass over its members.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    pub(super) step_id: Option<Place>,
    pub(super) run: Option<Place>,
    pub(super) agent_type: Option<Place>,
    pub(super) agent_name: Option<Place>,
    pub(super) action: Option<Place>,
    pub(super) parameters: Option<Place>,
    pub(super) depends_on: Option<Place>,
    pub(super) foreach: Option<Place>,
    pub(super) when: Option<Place>,
    pub(super) pool: Option<Place>,
    pub(super) quality_gate: Option<Place>,
    pub(super) retry: Option<Place>,
    pub(super) rollback: Option<Place>,
}

/// A node's number plus one, so that `Option` costs nothing: there are as many of these as steps times fields.
pub(super) type Place = std::num::NonZeroU32;

pub(super) fn node(place: Option<Place>) -> Option<NodeId> {
    place.map(|place| place.get() as NodeId - 1)
}

impl Fields {
    pub(super) fn of(document: &Document, owner: NodeId) -> Self {
        let mut fields = Self::default();
        for (key, value) in document.members(owner) {
            let slot = match document.string(key) {
                "step_id" => &mut fields.step_id,
                "run" => &mut fields.run,
                "agent_type" => &mut fields.agent_type,
                "agent_name" => &mut fields.agent_name,
                "action" | "tool_name" => &mut fields.action,
                "parameters" | "tool_input" => &mut fields.parameters,
                "depends_on" | "dependencies" => &mut fields.depends_on,
                "foreach" => &mut fields.foreach,
                "when" => &mut fields.when,
                "pool" => &mut fields.pool,
                "quality_gate" => &mut fields.quality_gate,
                "retry" => &mut fields.retry,
                "rollback" => &mut fields.rollback,
                _ => continue,
            };
            *slot = slot.or(Place::new(value as u32 + 1));
        }
        fields
    }

    /// Whether the field is there, even as `null`; only the fields that [`default_holds`] asks for.
    fn has(&self, name: &str) -> bool {
        match name {
            "run" => self.run.is_some(),
            "agent_type" => self.agent_type.is_some(),
            "agent_name" => self.agent_name.is_some(),
            _ => false,
        }
    }

    /// The step's fields as they take effect: its own, or the defaults'.
    pub(super) fn over(&self, document: &Document, defaults: &Fields) -> Fields {
        let given = |place: &Place| node(Some(*place)).is_some_and(|node| document.kind(node) != Kind::Null);
        let pick = |name: &str, own: Option<Place>, default: Option<Place>| {
            let default = default.filter(|_| default_holds(name, |name| self.has(name)));
            own.or(default).filter(given)
        };
        Fields {
            step_id: self.step_id,
            run: pick("run", self.run, defaults.run),
            agent_type: pick("agent_type", self.agent_type, defaults.agent_type),
            agent_name: pick("agent_name", self.agent_name, defaults.agent_name),
            action: pick("action", self.action, defaults.action),
            parameters: self.parameters.filter(given),
            depends_on: pick("depends_on", self.depends_on, defaults.depends_on),
            foreach: pick("foreach", self.foreach, defaults.foreach),
            ..*self
        }
    }
}

/// The value of a step field under either of its names.
pub(super) fn field(document: &Document, owner: NodeId, name: &str) -> Option<NodeId> {
    document.get(owner, name).or_else(|| {
        let alias = ALIASES.iter().find(|(kind, _, field)| *kind == "Step" && *field == name)?.1;
        document.get(owner, alias)
    })
}

/// Whether a default for `name` holds for a step that does not give it itself. What a step says about who does its work replaces all
/// that the defaults say about it.
pub(super) fn default_holds(name: &str, given: impl Fn(&str) -> bool) -> bool {
    !(given(name)
        || match name {
            "run" => given("agent_type") || given("agent_name"),
            "agent_type" => given("run"),
            "agent_name" => given("run") || given("agent_type"),
            _ => false,
        })
}
