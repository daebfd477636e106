//! The first few of many, without sorting all.

use std::collections::BTreeSet;

/// Keeps the first `max` of what is put in, in ascending order of the keys; keys differ.
pub(super) struct Top<T: Ord> {
    kept: BTreeSet<T>,
    max: usize,
}

impl<T: Ord> Top<T> {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            kept: BTreeSet::new(),
            max,
        }
    }

    pub(super) fn put(&mut self, item: T) {
        if self.kept.len() >= self.max && self.kept.last().is_none_or(|last| *last <= item) {
            return;
        }
        self.kept.insert(item);
        if self.kept.len() > self.max {
            self.kept.pop_last();
        }
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = T> {
        self.kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_kept_in_order() {
        let mut top = Top::new(3);
        [5, 1, 9, 3, 7, 2].into_iter().for_each(|item| top.put(item));
        assert_eq!(top.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
        let mut none = Top::new(0);
        none.put(1);
        assert_eq!(none.into_iter().count(), 0);
    }
}
