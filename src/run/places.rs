//! Which step of a run a name means, and where it stands in the plan now.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use imbl::Vector;

use crate::plan::Plan;

/// By number: the step is not in the plan any more.
const GONE: u32 = u32::MAX;

/// Names lead to numbers, numbers to positions.
///
/// Every step that a run has ever had keeps its number: its position in the first version of the plan, or the next free number when it was put
/// in later. So a change of the plan moves numbers about, and no name is hashed again: that is what makes it cheap in a plan of ten thousand steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// Shared with every copy of the state.
    names: Arc<Names>,
    /// The names that have come since.
    added: HashMap<String, u32>,
    /// By number.
    positions: Vec<u32>,
    /// By position.
    numbers: Vec<u32>,
}

/// Names, one behind the other so that neighbours lie beside each other in memory, and the number of each.
#[derive(Debug, Default)]
struct Names {
    text: String,
    /// By number: where its name ends in the text.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    fn of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut made = Self { numbers: HashTable::with_capacity(names.len()), ..Self::default() };
        made.ends.reserve_exact(names.len());
        for (name, number) in names.zip(0..) {
            made.text.push_str(name);
            made.ends.push(made.text.len());
            let Self { text, ends, numbers, hasher } = &mut made;
            let name_of = |number: &u32| name_at(text, ends, *number);
            // One that stands twice is told by there being fewer of them than numbers.
            let entry = numbers.entry(
                hasher.hash_one(name),
                |other| name_of(other) == name,
                |other| hasher.hash_one(name_of(other)),
            );
            if let Entry::Vacant(free) = entry {
                free.insert(number);
            }
        }
        made.text.shrink_to_fit();
        made
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(name), |number| self.name(*number) == name).copied()
    }

    fn name(&self, number: u32) -> &str {
        name_at(&self.text, &self.ends, number)
    }

    fn len(&self) -> usize {
        self.numbers.len()
    }
}

fn name_at<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start..ends[number]]
}

impl Places {
    /// The places in a plan whose run has had steps with these names, by number; none are given while those are the plan's own, in its order.
    pub fn of(plan: &Plan, names: &Vector<Arc<str>>) -> Self {
        if names.is_empty() {
            let names = Arc::new(Names::of(plan.steps.iter().map(|step| step.step_id.as_str())));
            let numbers: Vec<u32> = (0..plan.steps.len() as u32).collect();
            return Self { names, added: HashMap::new(), positions: numbers.clone(), numbers };
        }
        let positions = vec![GONE; names.len()];
        let names = Arc::new(Names::of(names.iter().map(Arc::as_ref)));
        let mut places = Self { names, positions, ..Self::default() };
        for (position, step) in plan.steps.iter().enumerate() {
            places.insert(position, &step.step_id);
        }
        places.settle();
        places
    }

    /// The number of a step that the run has or has had.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.names.number(name).or_else(|| self.added.get(name).copied())
    }

    /// The number of the step at a position.
    pub fn number_at(&self, position: usize) -> Option<u32> {
        self.numbers.get(position).copied()
    }

    /// Where a step stands in the plan.
    pub fn position(&self, name: &str) -> Option<usize> {
        let position = *self.positions.get(self.number(name)? as usize)?;
        (position != GONE).then_some(position as usize)
    }

    /// A step was put in; whether the run has never had one of that name. [`Places::settle`] must follow, as after all that changes the order.
    pub fn insert(&mut self, position: usize, name: &str) -> bool {
        let known = self.number(name);
        let number = known.unwrap_or_else(|| {
            let number = self.positions.len() as u32;
            self.positions.push(GONE);
            self.added.insert(name.to_owned(), number);
            number
        });
        self.numbers.insert(position, number);
        known.is_none()
    }

    /// A step was taken out.
    pub fn remove(&mut self, position: usize) {
        self.numbers.remove(position);
    }

    /// The steps from a position on are taken out.
    pub fn truncate(&mut self, position: usize) {
        self.numbers.truncate(position);
    }

    /// The steps from a position on have another order.
    pub fn reorder(&mut self, position: usize, names: &[String]) {
        for (offset, name) in names.iter().enumerate() {
            if let (Some(number), Some(place)) = (self.number(name), self.numbers.get_mut(position + offset)) {
                *place = number;
            }
        }
    }

    /// Notes where every step stands now.
    pub fn settle(&mut self) {
        self.positions.fill(GONE);
        for (number, position) in self.numbers.iter().zip(0..) {
            self.positions[*number as usize] = position;
        }
    }

    /// Whether no two steps of the plan have the same name.
    pub fn are_distinct(&self) -> bool {
        self.numbers.iter().zip(0..).all(|(number, position)| self.positions[*number as usize] == position)
            && self.names.len() + self.added.len() == self.positions.len()
    }
}

/// However the names came in: a state that was loaded has them all together.
impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        let known = |name: &str, number: u32| other.number(name) == Some(number);
        self.numbers == other.numbers
            && self.positions == other.positions
            && (Arc::ptr_eq(&self.names, &other.names)
                || self.names.numbers.iter().all(|number| known(self.names.name(*number), *number)))
            && self.added.iter().all(|(name, number)| known(name, *number))
    }
}
