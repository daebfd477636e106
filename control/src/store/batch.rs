//! What is written, all of it or nothing.

use serde::Serialize;
use serde_json::Value;
use weir_schema::push::ObjectHash;

use super::{
    BODY_BYTES_MAX, DETAIL_BYTES_MAX, Kind, NAME_BYTES_MAX, OBJECT_BYTES_MAX, StoreError, VALUES_MAX,
    WRITES_MAX,
};

/// Rows that one prune removes at most, so that it does not hold up others; repeat it until it removes fewer.
pub const PRUNE_ROWS_MAX: u64 = 10_000;

/// What a record must be for a batch to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Not there.
    Absent,
    /// Anything.
    Any,
    /// There, and unchanged since this was its etag.
    Etag(u64),
}

/// An event to be written; its number and time are the commit's.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
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
    pub detail: Value,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// Adds to counters.
    Add {
        /// Which counters.
        series: String,
        /// Whose.
        key: String,
        /// Start of the time, Unix time in milliseconds.
        bucket_ms: u64,
        /// What is added, place by place.
        values: Vec<i64>,
    },
    /// Removes a record.
    Delete {
        /// Of this kind.
        kind: Kind,
        /// Its name.
        id: String,
        /// What it must be.
        if_match: IfMatch,
    },
    /// Appends an event.
    Event(NewEvent),
    /// Removes the memory of frames of epochs that had none since.
    PruneFrames {
        /// Unix time in milliseconds.
        before_ms: u64,
    },
    /// Removes records of a kind that were not written since.
    PruneRecords {
        /// Of this kind.
        kind: Kind,
        /// Unix time in milliseconds.
        before_ms: u64,
    },
    /// Removes old counters.
    PruneRollups {
        /// Of this series.
        series: String,
        /// Buckets before this one, Unix time in milliseconds.
        before_ms: u64,
    },
    /// Writes a record.
    Put {
        /// Of this kind.
        kind: Kind,
        /// Its name.
        id: String,
        /// JSON.
        body: Vec<u8>,
        /// What it must be.
        if_match: IfMatch,
    },
    /// Keeps an object; nothing when it is kept already, but one that was not sealed becomes sealed.
    PutObject {
        /// The hash of `bytes`.
        hash: ObjectHash,
        /// The object.
        bytes: Vec<u8>,
        /// Encrypted at rest.
        sealed: bool,
    },
    /// Forgets an object.
    RemoveObject {
        /// Its name.
        hash: ObjectHash,
    },
    /// A frame is counted by this batch. If it was counted before, nothing of the batch is written.
    SeenFrame {
        /// Who sent it.
        node: String,
        /// Of which life of its sender.
        epoch: u64,
        /// Its number.
        seq: u64,
    },
}

/// Changes that belong together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When, Unix time in milliseconds.
    pub now_ms: u64,
    /// What, in this order.
    pub writes: Vec<Write>,
}

impl Batch {
    /// None yet, at a time (Unix, milliseconds).
    #[must_use]
    pub const fn at(now_ms: u64) -> Self {
        Self {
            now_ms,
            writes: Vec::new(),
        }
    }

    /// Appends a change.
    #[must_use]
    pub fn and(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Appends the writing of a record.
    ///
    /// # Errors
    /// When `body` has no JSON form.
    pub fn put(
        self,
        kind: Kind,
        id: &str,
        body: &impl Serialize,
        if_match: IfMatch,
    ) -> Result<Self, StoreError> {
        let body = serde_json::to_vec(body).map_err(|error| StoreError::NotJson(error.to_string()))?;
        Ok(self.and(Write::Put {
            kind,
            id: id.to_owned(),
            body,
            if_match,
        }))
    }

    /// Appends the keeping of an object.
    #[must_use]
    pub fn put_object(self, bytes: Vec<u8>, sealed: bool) -> Self {
        let hash = ObjectHash::of(&bytes);
        self.and(Write::PutObject { hash, bytes, sealed })
    }

    /// Appends an event.
    #[must_use]
    pub fn event(self, event: NewEvent) -> Self {
        self.and(Write::Event(event))
    }

    /// Whether everything is within its bounds. Engines ask this before they write.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] and [`StoreError::HashMismatch`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        within("batch", self.writes.len(), WRITES_MAX)?;
        self.writes.iter().try_for_each(check)
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Written or not.
    pub outcome: Outcome,
    /// The new etags of the records that were put, in order.
    pub etags: Vec<u64>,
    /// The numbers of the events, in order.
    pub events: Vec<u64>,
    /// Rows that prunes removed.
    pub pruned: u64,
}

/// Whether a batch was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It was.
    #[default]
    Applied,
    /// One of its frames was counted before, so nothing was written.
    Duplicate,
}

fn within(what: &'static str, size: usize, max: usize) -> Result<(), StoreError> {
    if size > max {
        return Err(StoreError::TooLarge { what, size, max });
    }
    Ok(())
}

fn name(what: &'static str, text: &str) -> Result<(), StoreError> {
    within(what, text.len(), NAME_BYTES_MAX)
}

fn check(write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Add {
            series, key, values, ..
        } => {
            name("series", series)?;
            name("key", key)?;
            within("values", values.len(), VALUES_MAX)
        }
        Write::Delete { id, .. } => name("id", id),
        Write::Event(event) => {
            for text in [
                &event.actor,
                &event.action,
                &event.subject,
                &event.from,
                &event.result,
            ] {
                name("field of an event", text)?;
            }
            within(
                "detail of an event",
                event.detail.to_string().len(),
                DETAIL_BYTES_MAX,
            )
        }
        Write::PruneFrames { .. } | Write::PruneRecords { .. } | Write::RemoveObject { .. } => Ok(()),
        Write::PruneRollups { series, .. } => name("series", series),
        Write::Put { id, body, .. } => {
            name("id", id)?;
            within("body", body.len(), BODY_BYTES_MAX)
        }
        Write::PutObject { hash, bytes, .. } => {
            within("object", bytes.len(), OBJECT_BYTES_MAX)?;
            if ObjectHash::of(bytes) == *hash {
                Ok(())
            } else {
                Err(StoreError::HashMismatch(*hash))
            }
        }
        Write::SeenFrame { node, .. } => name("node", node),
    }
}
