//! Objects, with the small ones that are asked for often kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use weir_schema::push::ObjectHash;

use super::Objects;
use crate::store::{Store, StoreError};

/// Bytes of an object that is kept in memory.
const OBJECT_BYTES_MAX: usize = 1 << 20;
/// Bytes of all of them; when it is full it begins anew, and what is used comes back.
const BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Kept {
    objects: HashMap<ObjectHash, Bytes>,
    bytes: usize,
}

/// Objects of the store.
pub struct ObjectCache {
    store: Arc<dyn Store>,
    kept: Mutex<Kept>,
}

impl ObjectCache {
    /// Of a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, hash: ObjectHash, bytes: Bytes) {
        if bytes.len() > OBJECT_BYTES_MAX {
            return;
        }
        let mut kept = self.kept();
        if kept.bytes + bytes.len() > BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += bytes.len();
        if let Some(old) = kept.objects.insert(hash, bytes) {
            kept.bytes -= old.len();
        }
    }

    /// Objects that were written just now.
    pub(super) fn remember(&self, objects: Objects) {
        for (hash, bytes) in objects {
            self.keep(hash, Bytes::from(bytes));
        }
    }

    /// An object.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&self, hash: &ObjectHash) -> Result<Option<Bytes>, StoreError> {
        if let Some(bytes) = self.kept().objects.get(hash) {
            return Ok(Some(bytes.clone()));
        }
        let bytes = self.store.object(hash)?.map(Bytes::from);
        if let Some(bytes) = &bytes {
            self.keep(*hash, bytes.clone());
        }
        Ok(bytes)
    }
}
