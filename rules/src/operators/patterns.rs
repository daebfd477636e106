//! Compiled patterns that rule sets have in common: each is compiled once, for as long as a set uses it.
//!
//! Safety argument. An automaton and its need follow from the pattern (or the list of phrases) alone, and that, whole, is the
//! key: what is taken from here is what compiling again would make. Matching changes nothing but caches, which engines keep
//! apart per thread. Nothing here keeps a pattern alive: with the last set that uses it, it goes.
//!
//! Compiling the CRS (2026-11-25, one core of a busy machine): 260 ms alone, of which patterns are nearly all.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;

use crate::filter::Need;

/// Entries are looked through for dead ones when their number has doubled, and not below this.
const SWEEP_MIN: usize = 256;

/// An automaton, and what values that it matches must hold.
#[derive(Debug)]
pub(crate) struct Pattern<A> {
    pub(crate) automaton: A,
    pub(crate) need: Arc<Need>,
}

/// The compiled patterns of rule sets that are compiled after one another, or beside one another.
#[derive(Debug, Default)]
pub struct Patterns {
    /// Of operators, by their text.
    pub(super) regexes: Known<String, Pattern<Regex>>,
    /// By their words, one a line.
    pub(super) phrases: Known<Vec<u8>, Pattern<AhoCorasick>>,
    /// Of names, tags and messages: what they need is not asked.
    pub(super) names: Known<String, Regex>,
}

impl Patterns {
    /// How many patterns are in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.regexes.in_use() + self.phrases.in_use() + self.names.in_use()
    }
}

/// Values by what they were made of, while somebody has them.
#[derive(Debug)]
pub(super) struct Known<K, V>(Mutex<Table<K, V>>);

#[derive(Debug)]
struct Table<K, V> {
    values: HashMap<K, Weak<V>>,
    sweep_at: usize,
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            values: HashMap::new(),
            sweep_at: SWEEP_MIN,
        }))
    }
}

impl<K: Eq + Hash, V> Known<K, V> {
    /// The value of a key, made if nobody has it.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn get<Q, E>(&self, key: &Q, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = table.values.get(key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        if table.values.len() >= table.sweep_at {
            table.values.retain(|_, value| value.strong_count() > 0);
            table.sweep_at = SWEEP_MIN.max(2 * table.values.len());
        }
        table.values.insert(key.to_owned(), Arc::downgrade(&value));
        Ok(value)
    }

    fn in_use(&self) -> usize {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = |value: &&Weak<V>| value.strong_count() > 0;
        table.values.values().filter(used).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_while_it_is_used_and_dead_ones_are_swept() {
        let known: Known<String, usize> = Known::default();
        let get = |key: &str, value| known.get(key, || Ok::<_, ()>(value)).unwrap();
        let first = get("a", 1);
        assert_eq!((*first, *get("a", 2)), (1, 1));
        drop(first);
        assert_eq!(*get("a", 3), 3, "nobody had it");
        let kept: Vec<Arc<usize>> = (0..10).map(|n| get(&format!("kept{n}"), n)).collect();
        (0..10 * SWEEP_MIN).for_each(|n| drop(get(&format!("gone{n}"), n)));
        assert_eq!(known.in_use(), kept.len());
        assert!(known.0.lock().unwrap().values.len() <= SWEEP_MIN);
        assert_eq!(known.get("b", || Err::<usize, _>("bad")), Err("bad"));
    }
}
