//! JSON text as a tree that knows where everything stands.
//!
//! The tree is one flat list of nodes in the order of the text: nothing here recurses, whatever the text's depth.

use std::collections::HashMap;
use std::ops::Range;

use super::diagnostic::{Diagnostic, Report};
use super::syntax;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool(bool),
    Null,
    /// Stands where a value is missing or cannot be read; the mistake is already reported.
    Broken,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The first node after this one and everything in it.
    pub(super) next: u32,
    /// For a string with escapes: its place in `decoded` plus one.
    pub(super) decoded: u32,
    pub(super) kind: Kind,
}

/// A node of a [`Document`], by its place in the list.
pub(super) type NodeId = usize;

/// A parsed text. Node 0 is the outermost value.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: Vec<Node>,
    pub(super) decoded: Vec<Box<str>>,
    /// Whether the tree can be trusted enough to look for further mistakes in it.
    pub(super) sound: bool,
}

impl<'a> Document<'a> {
    /// Reads a text. Mistakes in the JSON itself are reported; the tree is as much as could be made of the text.
    pub(super) fn parse(text: &'a str, report: &mut Report) -> Self {
        let document = syntax::parse(text, report);
        if document.sound {
            document.report_duplicate_keys(report);
        }
        document
    }

    pub(super) fn kind(&self, node: NodeId) -> Kind {
        self.nodes.get(node).map_or(Kind::Broken, |node| node.kind)
    }

    pub(super) fn span(&self, node: NodeId) -> Range<usize> {
        self.nodes.get(node).map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    /// The text of a node as it is written.
    pub(super) fn raw(&self, node: NodeId) -> &'a str {
        self.text.get(self.span(node)).unwrap_or_default()
    }

    /// The value of a string node, escapes resolved; empty for anything else.
    pub(super) fn string(&self, id: NodeId) -> &str {
        match self.nodes.get(id) {
            Some(node) if node.kind == Kind::String => match node.decoded.checked_sub(1) {
                Some(place) => &self.decoded[place as usize],
                None => &self.text[node.start as usize + 1..node.end as usize - 1],
            },
            _ => "",
        }
    }

    /// The value, if the node is a string.
    pub(super) fn as_string(&self, node: NodeId) -> Option<&str> {
        (self.kind(node) == Kind::String).then(|| self.string(node))
    }

    /// Whether a string is written without escapes, so that a place in its value is a place in the text.
    pub(super) fn is_verbatim(&self, node: NodeId) -> bool {
        self.nodes.get(node).is_some_and(|node| node.kind == Kind::String && node.decoded == 0)
    }

    /// Key and value of each member of an object; nothing for anything else.
    pub(super) fn members(&self, node: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        let end = if self.kind(node) == Kind::Object { self.after(node) } else { node + 1 };
        let mut place = node + 1;
        std::iter::from_fn(move || {
            (place < end).then(|| {
                let member = (place, place + 1);
                place = self.after(place + 1);
                member
            })
        })
    }

    /// The items of an array; nothing for anything else.
    pub(super) fn items(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = if self.kind(node) == Kind::Array { self.after(node) } else { node + 1 };
        let mut place = node + 1;
        std::iter::from_fn(move || {
            (place < end).then(|| {
                let item = place;
                place = self.after(place);
                item
            })
        })
    }

    /// The value of an object's first member of that name.
    pub(super) fn get(&self, node: NodeId, name: &str) -> Option<NodeId> {
        self.members(node).find(|(key, _)| self.string(*key) == name).map(|(_, value)| value)
    }

    /// The first node that is not inside this one.
    pub(super) fn after(&self, node: NodeId) -> NodeId {
        self.nodes.get(node).map_or(node + 1, |node| node.next as usize)
    }

    /// Whether a piece of text stands anywhere in the document, also written with escapes.
    pub(super) fn contains(&self, piece: &str) -> bool {
        self.text.contains(piece) || self.decoded.iter().any(|text| text.contains(piece))
    }

    /// Whether it says anything: not `null`, not an empty object or list.
    pub(super) fn has_content(&self, node: NodeId) -> bool {
        match self.kind(node) {
            Kind::Null | Kind::Broken => false,
            Kind::Object | Kind::Array => self.after(node) > node + 1,
            _ => true,
        }
    }

    fn report_duplicate_keys(&self, report: &mut Report) {
        let mut keys: Vec<NodeId> = Vec::new();
        for node in (0..self.nodes.len()).filter(|node| self.nodes[*node].kind == Kind::Object) {
            keys.clear();
            keys.extend(self.members(node).map(|(key, _)| key));
            if keys.len() <= 24 {
                for (place, key) in keys.iter().enumerate() {
                    if let Some(first) = keys[..place].iter().find(|first| self.string(**first) == self.string(*key)) {
                        self.report_duplicate(*first, *key, report);
                    }
                }
            } else {
                let mut seen: HashMap<&str, NodeId> = HashMap::with_capacity(keys.len());
                for &key in &keys {
                    let first = *seen.entry(self.string(key)).or_insert(key);
                    if first != key {
                        self.report_duplicate(first, key, report);
                    }
                }
            }
        }
    }

    fn report_duplicate(&self, first: NodeId, key: NodeId, report: &mut Report) {
        let name = self.string(key);
        if !name.is_empty() || self.kind(key) == Kind::String {
            report.push(
                Diagnostic::error(self.span(key), format!("the key `{name}` stands twice in the same object"))
                    .label("second of the same name")
                    .related(self.span(first), "the first is here")
                    .help("remove one of them, or give it another name"),
            );
        }
    }
}
