//! Time of open connections, each counted for the tenant that it served last.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use super::account::{Account, Hashed};

/// Open connections of an account.
#[derive(Debug, Default)]
struct Open {
    count: u64,
    /// Time of all up to `settled_ms` that is in no frame yet.
    sum_ms: u64,
    settled_ms: u64,
}

impl Open {
    fn settle(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.settled_ms);
        self.sum_ms = self.sum_ms.saturating_add(passed.saturating_mul(self.count));
        self.settled_ms = self.settled_ms.max(now_ms);
    }
}

/// Open connections by tenant. As many accounts as tenants that have one, so no more than connections.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<Arc<Account>, Open, BuildHasherDefault<Hashed>>>);

impl Connections {
    /// A connection goes from an account to another at `now_ms`; `None` is before it was opened or after it was closed.
    pub(super) fn pass(&self, from: Option<&Arc<Account>>, to: Option<&Arc<Account>>, now_ms: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = from.and_then(|from| all.get_mut(from)) {
            open.settle(now_ms);
            open.count = open.count.saturating_sub(1);
        }
        if let Some(to) = to {
            let open = match all.entry(Arc::clone(to)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(Open {
                    settled_ms: now_ms,
                    ..Open::default()
                }),
            };
            open.settle(now_ms);
            open.count += 1;
        }
    }

    /// Takes the time of each account up to `now_ms`.
    pub(super) fn take(&self, now_ms: u64) -> Vec<(Arc<Account>, u64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = Vec::with_capacity(all.len());
        all.retain(|account, open| {
            open.settle(now_ms);
            times.push((Arc::clone(account), std::mem::take(&mut open.sum_ms)));
            open.count > 0
        });
        times.retain(|(_, ms)| *ms > 0);
        times
    }
}

#[cfg(test)]
mod tests {
    use weir_schema::telemetry::frame::FOLDED;

    use super::*;

    #[test]
    fn a_connection_counts_for_whom_it_served_last() {
        let (nobody, other) = (Account::nobody(), Account::folded());
        let connections = Connections::default();
        let take = |now_ms| {
            let times = connections.take(now_ms).into_iter();
            let mut times: Vec<_> = times
                .map(|(account, ms)| (account.tenant.to_string(), ms))
                .collect();
            times.sort();
            times
        };
        connections.pass(None, Some(&nobody), 100);
        connections.pass(None, Some(&other), 150);
        connections.pass(Some(&nobody), Some(&other), 400);
        assert_eq!(
            take(1_000),
            [(String::new(), 300), (FOLDED.to_owned(), 850 + 600)]
        );
        assert_eq!(take(2_000), [(FOLDED.to_owned(), 2_000)]);
        connections.pass(Some(&other), None, 2_500);
        connections.pass(Some(&other), None, 2_500);
        assert_eq!(take(3_000), [(FOLDED.to_owned(), 1_000)]);
        assert_eq!(take(4_000), []);
    }
}
