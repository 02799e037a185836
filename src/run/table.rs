//! A list whose copies share what none of them has changed.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// A part holds so many items, and a block so many parts.
const PART: usize = 1 << BITS;
const BITS: usize = 6;

/// A list of a fixed length. To copy it is to copy a pointer; to change an item of a copy copies the part that it stands in and the pointers that
/// lead there, about as many for a hundred thousand items as for a few hundred. To look at an item takes three steps, always.
#[derive(Debug)]
pub(super) struct Table<T> {
    len: usize,
    /// All but the last block and its last part are full.
    blocks: Arc<[Block<T>]>,
}

type Block<T> = Arc<[Part<T>]>;
type Part<T> = Arc<[T]>;

impl<T> Table<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, place: usize) -> Option<&T> {
        self.blocks.get(place >> (2 * BITS))?.get((place >> BITS) % PART)?.get(place % PART)
    }

    /// All items. Faster than one place after the other.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { table: self, part: &[], front: 0, back: self.len }
    }

    /// Whether two lists are the same, by how items are compared that they do not share.
    pub fn is_same(&self, other: &Self, same: impl Fn(&T, &T) -> bool) -> bool {
        let same_parts = |(one, other): (&Part<T>, &Part<T>)| {
            Arc::ptr_eq(one, other) || one.iter().zip(other.iter()).all(|(one, other)| same(one, other))
        };
        let same_blocks = |(one, other): (&Block<T>, &Block<T>)| {
            Arc::ptr_eq(one, other) || one.iter().zip(other.iter()).all(same_parts)
        };
        self.len == other.len && self.blocks.iter().zip(other.blocks.iter()).all(same_blocks)
    }
}

impl<T> Index<usize> for Table<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        &self.blocks[place >> (2 * BITS)][(place >> BITS) % PART][place % PART]
    }
}

impl<T: Clone> IndexMut<usize> for Table<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        let block = &mut Arc::make_mut(&mut self.blocks)[place >> (2 * BITS)];
        &mut Arc::make_mut(&mut Arc::make_mut(block)[(place >> BITS) % PART])[place % PART]
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { len: self.len, blocks: Arc::clone(&self.blocks) }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { len: 0, blocks: Arc::from([]) }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other, T::eq)
    }
}

impl<T> FromIterator<T> for Table<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let (mut len, mut blocks) = (0, Vec::new());
        let mut parts = Vec::new();
        loop {
            let part: Part<T> = items.by_ref().take(PART).collect();
            let is_last = part.len() < PART;
            if !part.is_empty() {
                len += part.len();
                parts.push(part);
            }
            if parts.len() == PART || (is_last && !parts.is_empty()) {
                blocks.push(Arc::from(std::mem::take(&mut parts)));
            }
            if is_last {
                return Self { len, blocks: blocks.into() };
            }
        }
    }
}

/// The items of a [`Table`].
#[derive(Debug)]
pub(super) struct Iter<'a, T> {
    table: &'a Table<T>,
    /// The part that the next item stands in, once it was looked up.
    part: &'a [T],
    front: usize,
    back: usize,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if self.front >= self.back {
            return None;
        }
        let place = self.front;
        if self.part.is_empty() || place.is_multiple_of(PART) {
            self.part = self.table.blocks.get(place >> (2 * BITS))?.get((place >> BITS) % PART)?;
        }
        self.front += 1;
        self.part.get(place % PART)
    }

    fn nth(&mut self, skipped: usize) -> Option<&'a T> {
        self.front = self.front.saturating_add(skipped).min(self.back);
        self.part = &[];
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.back - self.front;
        (left, Some(left))
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back -= 1;
        self.table.get(self.back)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_list_whatever_its_length() {
        for len in [0, 1, PART - 1, PART, PART + 1, PART * PART - 1, PART * PART, PART * PART + 1, 3 * PART * PART + 7]
        {
            let table: Table<usize> = (0..len).collect();
            assert_eq!((table.len(), table.iter().len()), (len, len));
            assert!(table.iter().copied().eq(0..len) && table.iter().rev().copied().eq((0..len).rev()), "{len}");
            assert!((0..len).all(|place| table.get(place) == Some(&place)) && table.get(len).is_none(), "{len}");
            assert!(table.iter().skip(len / 3).copied().eq(len / 3..len), "{len}");
        }
    }

    #[test]
    fn what_is_changed_in_a_copy_is_changed_there_alone_and_copies_only_what_leads_there() {
        let before: Table<usize> = (0..3 * PART * PART).collect();
        let mut after = before.clone();
        assert!(Arc::ptr_eq(&before.blocks, &after.blocks));
        let place = PART * PART + 5 * PART + 3;
        after[place] = 0;
        assert_eq!((before.get(place), after.get(place)), (Some(&place), Some(&0)));
        assert!(before != after && before.iter().zip(after.iter()).filter(|(one, other)| one != other).count() == 1);
        let shared = (0..3).filter(|block| Arc::ptr_eq(&before.blocks[*block], &after.blocks[*block])).count();
        let parts = (0..PART).filter(|part| Arc::ptr_eq(&before.blocks[1][*part], &after.blocks[1][*part])).count();
        assert_eq!((shared, parts), (2, PART - 1));
        after[place] = place;
        assert!(before == after);
    }
}
