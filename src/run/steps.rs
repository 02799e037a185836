//! The states of a run's steps: one list, of which every copy of a run's state shares what it has not changed.

use std::ops::Index;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StepState;
use super::table::{self, Table};

/// What every step is at first: one value for all of them, in all runs.
static UNTOUCHED: LazyLock<Arc<StepState>> = LazyLock::new(Arc::default);

/// The steps' states, in the plan's order.
///
/// A value like any other list, but a copy of it costs nothing: who changes a step in one copy changes that step's state there, and the few hundred
/// pointers that lead to it. A step that nothing has happened to takes no more than its pointer.
#[derive(Clone, Default)]
pub struct Steps(Table<Arc<StepState>>);

impl Steps {
    /// The state of a step to which nothing has happened.
    pub(super) fn untouched() -> Arc<StepState> {
        Arc::clone(&UNTOUCHED)
    }

    /// So many of them.
    pub(super) fn all_untouched(count: usize) -> Self {
        std::iter::repeat_with(Self::untouched).take(count).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of the step at a position.
    pub fn get(&self, position: usize) -> Option<&StepState> {
        self.shared(position).map(Arc::as_ref)
    }

    /// The same, to be kept: it is shared, not copied.
    pub fn shared(&self, position: usize) -> Option<&Arc<StepState>> {
        self.0.get(position)
    }

    /// All of them, in the plan's order. Much faster than one position after the other.
    pub fn iter(&self) -> Iter<'_> {
        self.into_iter()
    }

    /// The one way to change a step's state: copied first if another copy of the list has it too.
    ///
    /// # Panics
    /// There is no such step.
    pub fn change(&mut self, position: usize) -> &mut StepState {
        Arc::make_mut(&mut self.0[position])
    }

    /// A step stands as it stood elsewhere.
    pub(super) fn set(&mut self, position: usize, state: Arc<StepState>) {
        self.0[position] = state;
    }

    /// To be put together anew when steps come, go, or change places, which is as much work as the plan is large anyhow: in one go, so that no
    /// holes are left that would make every later look slower.
    pub(super) fn to_vec(&self) -> Vec<Arc<StepState>> {
        self.0.iter().cloned().collect()
    }

    /// As many as the plan has: nothing has happened to those that were missing.
    pub(super) fn fit(&mut self, count: usize) {
        if self.len() != count {
            let missing = std::iter::repeat_with(Self::untouched);
            *self = self.0.iter().cloned().chain(missing).take(count).collect();
        }
    }
}

impl FromIterator<Arc<StepState>> for Steps {
    fn from_iter<T: IntoIterator<Item = Arc<StepState>>>(states: T) -> Self {
        Self(states.into_iter().collect())
    }
}

/// The states of steps in the plan's order.
#[derive(Clone)]
pub struct Iter<'a>(table::Iter<'a, Arc<StepState>>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a StepState;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Arc::as_ref)
    }

    fn nth(&mut self, skipped: usize) -> Option<Self::Item> {
        self.0.nth(skipped).map(Arc::as_ref)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(Arc::as_ref)
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Steps {
    type Item = &'a StepState;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        Iter(self.0.iter())
    }
}

impl Index<usize> for Steps {
    type Output = StepState;

    fn index(&self, position: usize) -> &StepState {
        &self.0[position]
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0, |one, other| Arc::ptr_eq(one, other) || one == other)
    }
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> serde::de::Visitor<'de> for Read {
            type Value = Steps;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the states of steps")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Steps, A::Error> {
                let mut steps = Vec::with_capacity(list.size_hint().unwrap_or(0));
                while let Some(step) = list.next_element::<StepState>()? {
                    steps.push(if step == **UNTOUCHED { Steps::untouched() } else { Arc::new(step) });
                }
                Ok(steps.into_iter().collect())
            }
        }
        reader.deserialize_seq(Read)
    }
}
