//! What the stores of all tenants of a process take together.

use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use super::{Collections, CollectionsUse, Counts, Size};

/// Bytes of all stores together, unless said otherwise: that of 32 full ones.
const BYTES_MAX: usize = 256 << 20;

/// Bounds stores together. Where their bytes run out, the store that takes most gives way, record by record from its
/// oldest on: a tenant that writes much pays for it, and not its neighbours.
#[derive(Debug)]
pub struct CollectionsPool {
    bytes_max: usize,
    counts: Counts,
    stores: Mutex<Vec<Weak<Collections>>>,
}

impl Default for CollectionsPool {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl CollectionsPool {
    /// A pool of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            counts: Counts::default(),
            stores: Mutex::default(),
        }
    }

    /// How full all stores are; refused writes are counted by the stores only.
    #[must_use]
    pub fn usage(&self) -> CollectionsUse {
        self.counts.usage(0)
    }

    pub(super) fn join(&self, store: &Arc<Collections>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|store| store.strong_count() > 0);
        stores.push(Arc::downgrade(store));
    }

    pub(super) fn changed(&self, more: Size, less: Size) {
        self.counts.changed(more, less);
    }

    pub(super) fn evicted(&self, count: u64) {
        self.counts.evicted(count);
    }

    /// Makes room while there is too much; called without a lock of any shard. One thread at a time does, and the others
    /// go on.
    pub(super) fn relieve(&self, now_ms: u64) {
        while self.counts.size().bytes > self.bytes_max {
            let stores = match self.stores.try_lock() {
                Ok(stores) => stores,
                Err(TryLockError::Poisoned(stores)) => stores.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let size = |store: &Arc<Collections>| store.counts.size().bytes;
            let largest = stores.iter().filter_map(Weak::upgrade).max_by_key(size);
            drop(stores);
            match largest.filter(|store| size(store) > 0) {
                Some(largest) => largest.give_way(now_ms),
                None => return,
            }
        }
    }
}
