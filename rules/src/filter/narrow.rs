//! A cheap answer for few operators: from the set of a value's bytes and its length alone.
//!
//! Safety argument. It asks for less than the need does: every clause of bytes as it is, and of a clause of strings only
//! that all bytes of one of its strings are somewhere in the value (in either case of letters), which every value that
//! holds the string satisfies. A value that is refused here lacks a clause of the need, so the operator cannot match it.

use super::need::{Clause, Need};
use super::scan::ByteMap;

/// Clauses of more strings say nothing here: asking each would take longer than looking for them.
const STRINGS_MAX: usize = 48;

/// What is asked for one operator.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    length_min: usize,
    clauses: Vec<Choice>,
}

/// A byte of a set, or all bytes of one of some strings, in lower case.
#[derive(Debug)]
struct Choice {
    any: ByteMap,
    all: Vec<ByteMap>,
}

impl Narrow {
    pub(super) fn new(need: &Need) -> Self {
        Self {
            length_min: need.length_min(),
            ..Self::of_clauses(need.clauses())
        }
    }

    /// What some clauses ask for.
    pub(super) fn of_clauses<'a>(clauses: impl IntoIterator<Item = &'a Clause>) -> Self {
        let asked = clauses.into_iter().filter(|c| c.strings.len() <= STRINGS_MAX);
        Self {
            length_min: 0,
            clauses: asked.map(Choice::new).collect(),
        }
    }

    /// Whether nothing is asked for but a length.
    pub(super) fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// False only where the operator cannot match a value of these bytes, with those of its capital letters in lower
    /// case added, and of this length.
    pub(super) fn may_match(&self, folded: &ByteMap, length: usize) -> bool {
        length >= self.length_min && self.clauses.iter().all(|clause| clause.holds(folded))
    }
}

impl Choice {
    fn new(clause: &Clause) -> Self {
        let mut all: Vec<ByteMap> = Vec::new();
        for text in &clause.strings {
            let own = ByteMap::of(&text.to_ascii_lowercase());
            // A string that needs more than another adds nothing.
            if !all.iter().any(|other| own.holds_all(other)) {
                all.retain(|other| !other.holds_all(&own));
                all.push(own);
            }
        }
        Self {
            any: clause.bytes.with_both_cases(),
            all,
        }
    }

    fn holds(&self, folded: &ByteMap) -> bool {
        self.any.meets(folded) || self.all.iter().any(|own| folded.holds_all(own))
    }
}

#[cfg(test)]
mod tests {
    use super::Narrow;
    use crate::filter::{ByteMap, of_regex};

    fn may_match(pattern: &str, value: &[u8]) -> bool {
        let need = of_regex(pattern).unwrap();
        Narrow::new(&need).may_match(&ByteMap::of(value).folded(), value.len())
    }

    #[test]
    fn bytes_of_one_string_and_the_length_are_asked_for() {
        assert!(may_match("(?i)union|select", b"xx SELECT"));
        assert!(may_match("(?i)union|select", b"tcelesnoinu"));
        assert!(!may_match("(?i)union|select", b"selet uniin"));
        assert!(!may_match("[0-9]{4}", b"123"));
        assert!(!may_match("(?:ab|<x)[0-9]{4}", b"ba-----"));
        assert!(may_match("(?:AB|<x)[0-9]{4}", b"Ba-----1"));
    }
}
