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

    /// Takes everything out, for numbers below `bound`.
    pub(crate) fn become_empty(&mut self, bound: usize) {
        self.0.clear();
        self.0.resize(bound.div_ceil(64), 0);
    }

    /// Holds from now on what another set holds.
    pub(crate) fn become_copy_of(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
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

    /// Whether the two sets have a member in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// The members that two sets have in common, if there are at most `N`.
    pub(crate) fn few_of<const N: usize>(&self, other: &Self) -> Option<[Option<usize>; N]> {
        let mut few = [None; N];
        let mut places = few.iter_mut();
        for (at, (a, b)) in self.0.iter().zip(&other.0).enumerate() {
            let mut left = a & b;
            while left != 0 {
                *places.next()? = Some(at * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
        Some(few)
    }

    /// Whether the sets and the words have a number in common.
    pub(crate) fn meets_both(&self, other: &Self, words: &[u64]) -> bool {
        let all = self.0.iter().zip(&other.0).zip(words);
        all.map(|((a, b), c)| a & b & c).fold(0, |any, word| any | word) != 0
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
        assert_eq!(bits.few_of(&Bits::all(64)), Some([Some(0), Some(63), None]));
        assert_eq!(bits.few_of::<3>(&Bits::all(200)), None);
        assert!(bits.meets_both(&Bits::all(200), &[0, 1]));
        assert!(!bits.meets_both(&Bits::all(64), &[2, 1]));
        let mut other = Bits::all(65);
        other.subtract(&bits);
        assert!(other.contains(1) && !other.contains(64) && !other.is_empty());
    }
}
