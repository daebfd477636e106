//! So much per second and key, with a burst: GCRA (the virtual scheduling of ITU-T I.371) on a bounded map.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Keys that are remembered.
const KEYS_MAX: usize = 10_000;

/// A limit per key.
pub struct Throttle {
    interval_ms: u64,
    burst: u64,
    /// When each key's next request is due.
    due_ms: Mutex<HashMap<String, u64>>,
}

impl Throttle {
    /// One each `interval_ms` in the long run, `burst` at once.
    #[must_use]
    pub fn new(interval_ms: u64, burst: u64) -> Self {
        Self {
            interval_ms,
            burst,
            due_ms: Mutex::default(),
        }
    }

    /// Takes one; else says after how many milliseconds there is one.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&self, key: &str, now_ms: u64) -> Result<(), u64> {
        let mut due = self.due_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.slot(&mut due, key, now_ms);
        let at = due.get(key).copied().unwrap_or(0).max(now_ms);
        let slack = self.interval_ms * self.burst.saturating_sub(1);
        if at > now_ms + slack {
            return Err(at - now_ms - slack);
        }
        due.insert(key.to_owned(), at + self.interval_ms);
        Ok(())
    }

    /// Whether there is one, without taking it.
    ///
    /// # Errors
    /// The wait.
    pub fn look(&self, key: &str, now_ms: u64) -> Result<(), u64> {
        let mut due = self.due_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.slot(&mut due, key, now_ms);
        let at = due.get(key).copied().unwrap_or(0);
        let slack = self.interval_ms * self.burst.saturating_sub(1);
        if at > now_ms + slack {
            Err(at - now_ms - slack)
        } else {
            Ok(())
        }
    }

    /// The key under which it is counted. Once the map is full of keys that are still owed for, new ones share one.
    fn slot<'a>(&self, due: &mut HashMap<String, u64>, key: &'a str, now_ms: u64) -> &'a str {
        if due.len() < KEYS_MAX || due.contains_key(key) {
            return key;
        }
        due.retain(|_, at| *at > now_ms);
        if due.len() < KEYS_MAX { key } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let throttle = Throttle::new(100, 3);
        for _ in 0..3 {
            throttle.take("a", 1000).unwrap();
        }
        assert_eq!(throttle.take("a", 1000), Err(100));
        assert_eq!(throttle.look("a", 1050), Err(50));
        throttle.take("b", 1000).unwrap();
        throttle.take("a", 1100).unwrap();
        assert_eq!(throttle.take("a", 1100), Err(100));
    }

    #[test]
    fn a_flood_of_keys_shares_one_and_those_known_keep_theirs() {
        let throttle = Throttle::new(1000, 1);
        for n in 0..KEYS_MAX {
            throttle.take(&n.to_string(), 5).unwrap();
        }
        throttle.take("one more", 5).unwrap();
        assert!(throttle.take("another", 5).is_err());
        throttle.take("another", 1_000_000).unwrap();
        assert!(throttle.due_ms.lock().unwrap().len() <= KEYS_MAX + 1);
    }
}
