//! What operators need of a value once its common marks (quotes, brackets, backslashes) are deleted from it.
//!
//! Safety argument. Only values without any of the other marks (`evasion`) are asked. A match of one of them is a match of
//! the pattern with those marks taken out of it ([`evasion::without`]). Deleting the common marks from the value deletes
//! them from the part of it that is matched, and what is left of that part is a string of the pattern with them deleted
//! ([`evasion::erased`]). So every clause that this last pattern needs holds for what is left of the value, and a value for
//! which it does not is not matched. Values without marks are not asked either: the clauses in the filter's slots ask them
//! the same.

use std::sync::Arc;

use smallvec::SmallVec;

use super::need::{Clause, Need};
use super::scan::{ByteMap, Strings};
use super::{Effect, LONG, add_rows, evasion};

/// One clause of every operator that has one.
#[derive(Debug, Default)]
pub(super) struct Stripped {
    common_marks: ByteMap,
    other_marks: ByteMap,
    /// The operators without a clause.
    free: Vec<u64>,
    /// Bytes that satisfy clauses, and per byte value: the operators.
    bytes: ByteMap,
    by_byte: Vec<u64>,
    strings: Strings,
}

impl Stripped {
    /// The operator's number is its place in `needs`; masks have so many words.
    pub(super) fn new(needs: &[Arc<Need>], words: usize, pause: &dyn Fn()) -> Self {
        let (common_marks, other_marks) = evasion::common_and_other_marks();
        let mut all = Self {
            common_marks,
            other_marks,
            free: vec![!0; words],
            by_byte: vec![0; 256 * words],
            ..Self::default()
        };
        let mut atoms: Vec<(&[u8], Effect)> = Vec::new();
        let clauses = needs.iter().map(|need| need.stripped()).enumerate();
        for (number, clause) in clauses.filter_map(|(number, clause)| Some((number, clause?))) {
            all.operator(number, clause, words, &mut atoms);
        }
        all.strings = Strings::new(atoms, pause);
        all
    }

    fn operator<'a>(
        &mut self,
        number: usize,
        clause: &'a Clause,
        words: usize,
        atoms: &mut Vec<(&'a [u8], Effect)>,
    ) {
        let (word, operators) = (number / 64, 1_u64 << (number % 64));
        let Ok(place) = u16::try_from(word) else { return };
        if let Some(free) = self.free.get_mut(word) {
            *free &= !operators;
        }
        for byte in clause.bytes.with_both_cases().iter() {
            self.bytes.insert(byte);
            if let Some(row) = self.by_byte.get_mut(usize::from(byte) * words + word) {
                *row |= operators;
            }
        }
        let effect = Effect {
            word: place,
            operators,
        };
        atoms.extend(clause.strings.iter().map(|text| (text.as_slice(), effect)));
    }

    /// Takes operators out of `found` whose clause does not hold for the value without its common marks.
    pub(super) fn keep(&self, value: &[u8], map: &ByteMap, found: &mut [u64]) {
        let is_asked = found
            .iter()
            .zip(&self.free)
            .any(|(found, free)| found & !free != 0);
        if !is_asked || !map.meets(&self.common_marks) || map.meets(&self.other_marks) {
            return;
        }
        let left: SmallVec<[u8; 256]> = value
            .iter()
            .copied()
            .filter(|byte| !self.common_marks.contains(*byte))
            .collect();
        let mut holds: SmallVec<[u64; 16]> = SmallVec::from_slice(&self.free);
        let bytes = map.intersection(&self.common_marks.complement());
        add_rows(&mut holds, &self.by_byte, &bytes.intersection(&self.bytes));
        let mut seen: SmallVec<[u64; 16]> = SmallVec::new();
        if left.len() > LONG {
            seen.resize(self.strings.len().div_ceil(64), 0);
        }
        let mut satisfy = |effect: &Effect| {
            if let Some(word) = holds.get_mut(usize::from(effect.word)) {
                *word |= effect.operators;
            }
        };
        self.strings.find(&left, &mut seen, &mut satisfy);
        found
            .iter_mut()
            .zip(&holds)
            .for_each(|(found, holds)| *found &= holds);
    }
}
