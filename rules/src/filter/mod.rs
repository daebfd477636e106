//! The prefilter: which operators may match a value, found in one pass over its bytes.
//!
//! Safety argument. Every operator that is filtered has a *need*: a conjunction of clauses, each a set of atoms (single
//! bytes, or strings of two and more without regard to ASCII case), and a minimum length. The need is implied by a match
//! (see `need`): a value that lacks every atom of a clause, or is too short, cannot match. The pass here finds every atom
//! that the value holds (bytes from its byte map; strings by testing, at every position, the class of the last three
//! bytes against a table, and comparing where the table says yes), so a candidate bit is cleared only when a clause has
//! no atom in the value. False candidates cost time; a candidate that is missing would be a bug, and the tests look for
//! one: the suites and random values run with and without the filter.

mod evasion;
mod narrow;
mod need;
mod recall;
mod scan;
mod stripped;

#[cfg(test)]
pub(crate) use need::of_regex;
pub(crate) use need::{Clause, Need, of_bytes_outside, of_hir, of_phrases, of_text};
pub(crate) use recall::{BYTES_MAX as RECALL_BYTES_MAX, recall, remember, rule_out};
pub(crate) use scan::ByteMap;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bits::Bits;
use narrow::Narrow;
use scan::Strings;
use stripped::Stripped;

/// Filters made by this process.
static FILTERS_MADE: AtomicU64 = AtomicU64::new(1);
/// Clauses that are asked last, per operator.
const FURTHER_MAX: usize = 4;

/// Clauses per operator that are kept as masks: one of bytes alone, two with strings. Further ones are asked last, of the
/// operators that are left, and of those with strings the bytes alone (`narrow`).
const BYTE_SLOTS: usize = 1;
const STRING_SLOTS: usize = 2;
const SLOTS: usize = BYTE_SLOTS + STRING_SLOTS;
/// In a longer value each string is taken note of once only.
const LONG: usize = 128;
/// Words of a row are padded to blocks of this many, which loops of known length go through in registers.
const BLOCK: usize = 8;
/// Lengths that the table of minimum lengths tells apart; longer minima count as this one.
const LENGTHS: usize = 64;

/// A filter over operators numbered from 0.
#[derive(Debug)]
pub(crate) struct Filter {
    /// 64-bit words of a mask, a multiple of [`BLOCK`].
    words: usize,
    /// Per slot: the operators without a clause in it.
    free: Vec<u64>,
    /// Per byte value and byte slot: the operators whose clause the byte satisfies.
    bytes: Vec<u64>,
    /// Bytes that satisfy clauses with strings, and per byte value and string slot: the operators.
    mixed_bytes: ByteMap,
    mixed: Vec<u64>,
    /// Per length: the operators whose minimum is met.
    lengths: Vec<u64>,
    strings: Strings,
    /// Per operator: what is asked of bytes alone for the clauses without a slot.
    further: Vec<Narrow>,
    /// Operators that have such clauses.
    has_further: Vec<u64>,
    /// What is asked of values without their common marks.
    stripped: Stripped,
    /// Per operator: what is asked of bytes and length alone.
    narrow: Vec<Narrow>,
    /// Tells the filter from all others of this process.
    number: u64,
}

/// Clauses that an atom satisfies: those of one word of the rows of the string slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    word: u16,
    operators: u64,
}

impl Filter {
    /// Builds a filter; the operator's number is its place in `needs`. `pause` is called between pieces of the work.
    pub(crate) fn new(needs: &[Arc<Need>], pause: &dyn Fn()) -> Self {
        let words = needs.len().div_ceil(64).next_multiple_of(BLOCK);
        let mut filter = Self {
            words,
            free: vec![0; SLOTS * words],
            bytes: vec![0; 256 * BYTE_SLOTS * words],
            mixed_bytes: ByteMap::default(),
            mixed: vec![0; 256 * STRING_SLOTS * words],
            lengths: vec![0; LENGTHS * words],
            strings: Strings::default(),
            further: Vec::with_capacity(needs.len()),
            has_further: vec![0; words],
            stripped: Stripped::new(needs, words, pause),
            narrow: Vec::with_capacity(needs.len()),
            number: FILTERS_MADE.fetch_add(1, Ordering::Relaxed),
        };
        let strings = |need: &Arc<Need>| need.clauses().iter().map(|c| c.strings.len()).sum::<usize>();
        let mut atoms: Vec<(&[u8], Effect)> = Vec::with_capacity(needs.iter().map(strings).sum());
        for (number, need) in needs.iter().enumerate() {
            pause();
            filter.narrow.push(Narrow::new(need));
            filter.operator(number, need, &mut atoms);
        }
        filter.strings = Strings::new(atoms, pause);
        filter
    }

    fn operator<'a>(&mut self, number: usize, need: &'a Need, atoms: &mut Vec<(&'a [u8], Effect)>) {
        let (word, bit) = (number / 64, 1_u64 << (number % 64));
        for length in need.length_min().min(LENGTHS - 1)..LENGTHS {
            if let Some(w) = self.lengths.get_mut(length * self.words + word) {
                *w |= bit;
            }
        }
        let (bytes_only, with_strings): (Vec<&Clause>, Vec<&Clause>) = need
            .clauses()
            .iter()
            .partition(|clause| clause.strings.is_empty());
        for slot in 0..BYTE_SLOTS {
            let Some(clause) = bytes_only.get(slot) else {
                self.set_free(slot, word, bit);
                continue;
            };
            for byte in clause.bytes.with_both_cases().iter() {
                let at = (usize::from(byte) * BYTE_SLOTS + slot) * self.words + word;
                if let Some(w) = self.bytes.get_mut(at) {
                    *w |= bit;
                }
            }
        }
        let beyond = bytes_only
            .iter()
            .skip(BYTE_SLOTS)
            .chain(with_strings.iter().skip(STRING_SLOTS));
        let further = Narrow::of_clauses(beyond.copied().take(FURTHER_MAX));
        if let Some(w) = self.has_further.get_mut(word).filter(|_| !further.is_empty()) {
            *w |= bit;
        }
        self.further.push(further);
        for slot in BYTE_SLOTS..SLOTS {
            let Some(clause) = with_strings.get(slot - BYTE_SLOTS) else {
                self.set_free(slot, word, bit);
                continue;
            };
            let effect = Effect {
                word: u16::try_from((slot - BYTE_SLOTS) * self.words + word).unwrap_or(u16::MAX),
                operators: bit,
            };
            for byte in clause.bytes.with_both_cases().iter() {
                let row = usize::from(byte) * STRING_SLOTS + slot - BYTE_SLOTS;
                self.mixed_bytes.insert(byte);
                if let Some(w) = self.mixed.get_mut(row * self.words + word) {
                    *w |= bit;
                }
            }
            atoms.extend(clause.strings.iter().map(|text| (text.as_slice(), effect)));
        }
    }

    fn set_free(&mut self, slot: usize, word: usize, bit: u64) {
        if let Some(w) = self.free.get_mut(slot * self.words + word) {
            *w |= bit;
        }
    }

    /// Words of a mask.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Tells the filter from all others of this process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether one operator may match a value of these bytes and this length: weaker than the mask, and much cheaper for
    /// a few operators. See `narrow`.
    pub(crate) fn may_match(&self, operator: usize, bytes: &ByteMap, length: usize) -> bool {
        self.narrow
            .get(operator)
            .is_none_or(|own| own.may_match(&bytes.folded(), length))
    }

    /// Whether a value of this length is long enough for one of the operators that two sets have in common.
    pub(crate) fn is_long_enough(&self, length: usize, operators: &Bits, live: &Bits) -> bool {
        operators.meets_both(live, self.lengths_of(length))
    }

    /// The operators whose minimum a length meets.
    fn lengths_of(&self, length: usize) -> &[u64] {
        let row = length.min(LENGTHS - 1);
        let words = row * self.words..(row + 1) * self.words;
        self.lengths.get(words).unwrap_or_default()
    }

    /// Appends the mask of a value's candidates to `out`. Values that differ in the case of ASCII letters alone have the
    /// same.
    pub(crate) fn candidates(&self, value: &[u8], map: &ByteMap, scratch: &mut Vec<u64>, out: &mut Vec<u64>) {
        let words = self.words;
        scratch.clear();
        scratch.extend_from_slice(&self.free);
        if value.len() > LONG {
            scratch.resize(self.free.len() + self.strings.len().div_ceil(64), 0);
        }
        let (in_bytes, rest) = scratch.split_at_mut(words);
        let (in_strings, seen) = rest.split_at_mut(STRING_SLOTS * words);
        add_rows(in_bytes, &self.bytes, map);
        // What bytes and length leave; when nothing is left, strings need not be looked for.
        let mut left = 0;
        for (a, b) in in_bytes.iter_mut().zip(self.lengths_of(value.len())) {
            *a &= b;
            left |= *a;
        }
        if left != 0 {
            add_rows(in_strings, &self.mixed, &map.intersection(&self.mixed_bytes));
            let mut satisfy = |effect: &Effect| {
                if let Some(word) = in_strings.get_mut(usize::from(effect.word)) {
                    *word |= effect.operators;
                }
            };
            self.strings.find(value, seen, &mut satisfy);
        }
        let (second, third) = in_strings.split_at(words);
        let from = out.len();
        out.extend(
            in_bytes
                .iter()
                .zip(second)
                .zip(third)
                .map(|((a, b), c)| a & b & c),
        );
        if let Some(found) = out.get_mut(from..) {
            self.ask_further(map, value.len(), found);
            self.stripped.keep(value, map, found);
        }
    }

    fn ask_further(&self, map: &ByteMap, length: usize, found: &mut [u64]) {
        let folded = map.folded();
        for (at, (word, ask)) in found.iter_mut().zip(&self.has_further).enumerate() {
            let mut left = *word & ask;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                let further = self.further.get(at * 64 + bit);
                if further.is_some_and(|own| !own.may_match(&folded, length)) {
                    *word &= !(1 << bit);
                }
            }
        }
    }
}

/// Adds to `to` the rows of the bytes in a map; a table has a row as long as `to` for each byte value.
fn add_rows(to: &mut [u64], table: &[u64], map: &ByteMap) {
    let length = to.len();
    for (block, to) in to.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let mut sum = *to;
        for byte in map.iter() {
            let from = usize::from(byte) * length + block * BLOCK;
            if let Some(row) = table.get(from..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
                sum.iter_mut().zip(row).for_each(|(a, b)| *a |= b);
            }
        }
        *to = sum;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use regex_automata::meta::Regex;

    use super::*;

    fn mask(filter: &Filter, value: &[u8]) -> u64 {
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        filter.candidates(value, &ByteMap::of(value), &mut scratch, &mut out);
        out[0]
    }

    #[test]
    fn only_operators_whose_clauses_hold_are_left() {
        let needs: Vec<Arc<Need>> = ["(?i)union\\s+select", "<[a-z]+>", "^$", "(?:ab|<x)[0-9]{4}"]
            .iter()
            .map(|p| Arc::new(of_regex(p).unwrap()))
            .collect();
        let filter = Filter::new(&needs, &|| {});
        assert_eq!(mask(&filter, b"plain text"), 0b0100);
        assert_eq!(mask(&filter, b"1 UNION  SeleCT"), 0b0101);
        assert_eq!(mask(&filter, b"unionselect"), 0b0100);
        assert_eq!(mask(&filter, b"<b>"), 0b0110);
        assert_eq!(mask(&filter, b"aab 1234"), 0b1100);
        assert_eq!(mask(&filter, b""), 0b0100);
    }

    /// Patterns that allow marks between letters, beside some that need them.
    const MARKED: &[&str] = &[
        r#"(?i)c["'\)\[\x5c]*a["'\)\[\x5c]*\x5c?t"#,
        r#"(?:^|x)["'(]*c\$?["']*a+t\b"#,
        r#"['"]\s*(?:ca|tx)[\])]"#,
        r#"\bca(?:\(t\)|[^c]t|'')"#,
        r#"[(\[]c*[)\]]|\\x"#,
        r#"(?:c'a|[a-c]\[)+(?:t|\))?x"#,
        r#"^[^'a]*ca't$"#,
    ];

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]
        #[test]
        fn what_a_pattern_matches_is_always_its_candidate(value in "[cCaAtx'\"\\\\)(\\[\\]$ ]{0,12}") {
            static KNOWN: LazyLock<(Filter, Vec<Arc<Regex>>)> = LazyLock::new(|| {
                let needs: Vec<Arc<Need>> = MARKED.iter().map(|p| Arc::new(of_regex(p).unwrap())).collect();
                let regex = |p: &&str| crate::operators::regex(p, &crate::operators::Patterns::default());
                (Filter::new(&needs, &|| ()), MARKED.iter().map(|p| regex(p).unwrap()).collect())
            });
            let candidates = mask(&KNOWN.0, value.as_bytes());
            for (at, regex) in KNOWN.1.iter().enumerate() {
                let refused = candidates >> at & 1 == 0;
                proptest::prop_assert!(!refused || !regex.is_match(value.as_bytes()), "{at} {value:?}");
            }
        }
    }

    #[test]
    fn marks_between_letters_do_not_make_a_candidate_of_another_word() {
        let needs = [Arc::new(of_regex(MARKED[0]).unwrap())];
        let filter = Filter::new(&needs, &|| ());
        for (value, is_candidate) in [
            ("cat", true),
            ("c'A\\t", true),
            ("t a c", false),
            ("t 'a' c", false),
            ("c-'a't", false),
        ] {
            assert_eq!(mask(&filter, value.as_bytes()) == 1, is_candidate, "{value}");
        }
    }
}
