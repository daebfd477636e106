//! What control keeps: documents with preconditions, objects named by their hashes, an append-only log of events, additive
//! counters, and the frames that were counted.
//!
//! [`Store`] has few primitives, so that another engine can follow: everything that changes goes through [`Store::commit`],
//! one [`Batch`] at a time, and a batch is durable when its commit returns. [`SqliteStore`] is the engine of one machine.
//! `suite` holds the facts that every engine keeps.

mod batch;
mod error;
mod kind;
mod record;
mod seal;
mod sqlite;
#[cfg(test)]
mod suite;

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;
use weir_schema::push::ObjectHash;

pub use batch::{Batch, Committed, IfMatch, NewEvent, Outcome, PRUNE_ROWS_MAX, Write};
pub use error::StoreError;
pub use kind::Kind;
pub use record::{Event, EventQuery, ObjectInfo, Record, Rollup, RollupQuery};
pub use seal::{MasterKeys, SealError};
pub use sqlite::{SqliteOptions, SqliteStore};

/// Bytes of a record's body.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Bytes of an id, a node, a series, a key, an actor, a subject or an address.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes of an event's detail.
pub const DETAIL_BYTES_MAX: usize = 64 << 10;
/// Bytes of an object.
pub const OBJECT_BYTES_MAX: usize = 256 << 20;
/// Writes of a batch.
pub const WRITES_MAX: usize = 200_000;
/// Values of a counter.
pub const VALUES_MAX: usize = 4096;
/// Rows that one question answers at most.
pub const ROWS_MAX: usize = 100_000;

/// A commit under way. It goes on when this is dropped.
pub type Committing = Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send>>;

/// Where control keeps what must not be lost. Questions block for a short time and see only what is committed.
pub trait Store: Send + Sync {
    /// Writes all of a batch or nothing of it; it is durable when this returns. Batches take effect in the order of the calls.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] when a record is not as the batch expects, and when the engine fails.
    fn commit(&self, batch: Batch) -> Committing;

    /// A record.
    ///
    /// # Errors
    /// When the engine fails.
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError>;

    /// Records of a kind by id (bytewise), from the one after `after`; at most `limit` and [`ROWS_MAX`]. One answer is of one moment.
    ///
    /// # Errors
    /// When the engine fails.
    fn list(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Like [`Store::list`], backwards from the one before `before`.
    ///
    /// # Errors
    /// When the engine fails.
    fn list_back(&self, kind: Kind, before: Option<&str>, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// How many records of a kind there are.
    ///
    /// # Errors
    /// When the engine fails.
    fn count(&self, kind: Kind) -> Result<u64, StoreError>;

    /// The bytes of an object, unsealed.
    ///
    /// # Errors
    /// When the engine fails, or the object cannot be unsealed.
    fn object(&self, hash: &ObjectHash) -> Result<Option<Vec<u8>>, StoreError>;

    /// What is known of the objects, by hash, from the one after `after`; for finding those that nothing names any more.
    ///
    /// # Errors
    /// When the engine fails.
    fn objects(&self, after: Option<&ObjectHash>, limit: usize) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Events, by number.
    ///
    /// # Errors
    /// When the engine fails.
    fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError>;

    /// The number of the newest event, as it changes.
    fn newest_event(&self) -> watch::Receiver<u64>;

    /// Counters, by time and key.
    ///
    /// # Errors
    /// When the engine fails.
    fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, StoreError>;
}
