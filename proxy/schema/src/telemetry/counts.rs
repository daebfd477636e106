//! Sparse counters: a sorted list of keys and counts. On the wire a list of pairs, `[[key, count], ...]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often each key was seen. A key that was not seen takes no room. Counts saturate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts<K>(Vec<(K, u64)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord> Counts<K> {
    /// Adds `count` to a key.
    #[inline]
    pub fn add(&mut self, key: K, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = known.saturating_add(count);
                }
            }
            Err(at) => self.0.insert(at, (key, count)),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (key, count) in other.iter() {
            self.add(key, count);
        }
    }

    /// Count of a key.
    pub fn get(&self, key: K) -> u64 {
        let found = self.0.binary_search_by(|(known, _)| known.cmp(&key)).ok();
        found.and_then(|at| self.0.get(at)).map_or(0, |(_, count)| *count)
    }

    /// Keys and counts by ascending key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Number of keys that were seen.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sum of all counts.
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }
}

impl<K: Copy + Ord> FromIterator<(K, u64)> for Counts<K> {
    fn from_iter<I: IntoIterator<Item = (K, u64)>>(pairs: I) -> Self {
        let mut counts = Self::default();
        for (key, count) in pairs {
            counts.add(key, count);
        }
        counts
    }
}

impl<K: Serialize> Serialize for Counts<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Takes pairs in any order; keys that are given twice add up.
impl<'de, K: Copy + Ord + Deserialize<'de>> Deserialize<'de> for Counts<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pairs = Vec::<(K, u64)>::deserialize(deserializer)?;
        pairs.sort_unstable();
        Ok(pairs.into_iter().collect())
    }
}
