//! What a store answers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_schema::push::ObjectHash;

use super::StoreError;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name among those of its kind.
    pub id: String,
    /// Changes at each write, and never comes again.
    pub etag: u64,
    /// JSON.
    pub body: Vec<u8>,
    /// First written, Unix time in milliseconds.
    pub created_ms: u64,
    /// Last written, Unix time in milliseconds.
    pub changed_ms: u64,
}

impl Record {
    /// The body as a value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| StoreError::Corrupt(format!("record {}: {error}", self.id)))
    }
}

/// Something that was done, or refused. Never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its number: one more than the one before; numbers of commits that were rolled back come again.
    pub seq: u64,
    /// When, Unix time in milliseconds.
    pub time_ms: u64,
    /// Who: the id of a token, of a proxy, or `system`.
    pub actor: String,
    /// What: `noun.verb`.
    pub action: String,
    /// To what: `noun/id`.
    pub subject: String,
    /// From where: an address, or empty for control itself.
    pub from: String,
    /// `done`, or the code of the refusal.
    pub result: String,
    /// More, as JSON.
    pub detail: serde_json::Value,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Those after this number, upwards; with `newest_first`, those before it, downwards.
    pub from_seq: Option<u64>,
    /// Downwards.
    pub newest_first: bool,
    /// Of this action; all that begin with it when it ends in a dot.
    pub action: Option<String>,
    /// Of this actor.
    pub actor: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// Not before this time.
    pub since_ms: Option<u64>,
    /// Before this time.
    pub until_ms: Option<u64>,
    /// At most this many.
    pub limit: usize,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub hash: ObjectHash,
    /// Its bytes, unsealed.
    pub bytes: u64,
    /// Whether it is encrypted at rest.
    pub sealed: bool,
    /// First written, Unix time in milliseconds.
    pub created_ms: u64,
}

/// Sums of one series, key and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Start of the time, Unix time in milliseconds.
    pub bucket_ms: u64,
    /// Whose.
    pub key: String,
    /// The sums; values after the last one are zero.
    pub values: Vec<i64>,
}

/// Which counters.
#[derive(Clone, Debug)]
pub struct RollupQuery {
    /// Of this series.
    pub series: String,
    /// Of this key; of all.
    pub key: Option<String>,
    /// Buckets from this one on.
    pub since_ms: u64,
    /// Buckets before this one.
    pub until_ms: u64,
    /// The bucket and key of the last answer's last row.
    pub after: Option<(u64, String)>,
    /// At most this many.
    pub limit: usize,
}
