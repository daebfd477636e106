//! A set of small numbers.

use smallvec::SmallVec;

/// Which of the numbers below a bound are in the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(SmallVec<[u64; 8]>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(crate) fn empty(bound: usize) -> Self {
        Self(SmallVec::from_elem(0, bound.div_ceil(64)))
    }

    /// All numbers below `bound`.
    pub(crate) fn all(bound: usize) -> Self {
        let mut all = Self::empty(bound);
        (0..bound).for_each(|n| all.insert(n));
        all
    }

    /// Adds a number below the bound; another is ignored.
    pub(crate) fn insert(&mut self, n: usize) {
        if let Some(word) = self.0.get_mut(n / 64) {
            *word |= 1 << (n % 64);
        }
    }

    pub(crate) fn contains(&self, n: usize) -> bool {
        self.0.get(n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The first member from `from` on.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.0.get(at)? & (!0 << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let found = self.next(at)?;
            at = found + 1;
            Some(found)
        })
    }

    /// Adds every member of another set, whose bound may be larger.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }

    /// Takes out what is not in the other set.
    pub(crate) fn keep(&mut self, other: &Self) {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter_mut().zip(others).for_each(|(a, b)| *a &= b);
    }

    /// Whether the two sets have a member in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Adds what is both in `words` and in `filter`.
    pub(crate) fn or_and(&mut self, words: &[u64], filter: &Self) {
        for ((a, b), c) in self.0.iter_mut().zip(words).zip(&filter.0) {
            *a |= b & c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn members_are_found_in_order() {
        let mut bits = Bits::empty(200);
        for n in [0, 63, 64, 199, 500] {
            bits.insert(n);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!((bits.next(65), bits.next(200)), (Some(199), None));
        let mut other = Bits::all(65);
        other.subtract(&bits);
        assert!(other.contains(1) && !other.contains(64) && !other.is_empty());
    }
}
