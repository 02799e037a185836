//! What most steps do not have, in the room of a pointer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Older;

/// A list or a map that is most often empty: it reads as what it holds, and takes a pointer until there is something in it. A plan may have a
/// hundred thousand steps.
#[derive(Clone)]
pub struct Rare<T>(Option<Box<T>>);

/// What is there when nothing is.
pub trait Empty: Default + 'static {
    /// One for all.
    fn empty() -> &'static Self;
    /// Whether it is as good as that.
    fn is_empty(&self) -> bool;
}

impl<T: 'static> Empty for Vec<T> {
    fn empty() -> &'static Self {
        const { &Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    fn empty() -> &'static Self {
        const { &BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for Map<String, Value> {
    fn empty() -> &'static Self {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for Older {
    fn empty() -> &'static Self {
        static EMPTY: LazyLock<Older> = LazyLock::new(Older::default);
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        self == Self::empty()
    }
}

impl<T: Empty> Rare<T> {
    /// Takes what it holds out of it.
    pub fn into_inner(self) -> T {
        self.0.map_or_else(T::default, |value| *value)
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((!value.is_empty()).then(|| Box::new(value)))
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::empty())
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Empty + PartialEq> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Empty + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: Empty + Serialize> Serialize for Rare<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Empty + Deserialize<'de>> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Rare<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_what_it_holds_and_takes_a_pointer() {
        assert_eq!(size_of::<Rare<Map<String, Value>>>(), size_of::<usize>());
        let mut rare: Rare<Vec<u32>> = Rare::default();
        assert!(rare.is_empty() && rare.iter().next().is_none());
        rare.push(7);
        assert_eq!(*rare, [7]);
        assert_eq!(serde_json::to_string(&rare).unwrap(), "[7]");
        rare.clear();
        assert_eq!(rare, Rare::default(), "empty is empty, whether or not there was something");
        assert_eq!(serde_json::from_str::<Rare<Vec<u32>>>("[]").unwrap().0, None);
        assert_eq!(Rare::from(vec![1]).into_inner(), [1]);
    }
}
