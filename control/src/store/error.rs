//! Why a store did not do what it was asked.

use weir_schema::push::ObjectHash;

use super::{Kind, SealError};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More is waiting to be written than is allowed.
    #[error("the store has too much to write; try again in a moment")]
    Busy,
    /// It is being closed.
    #[error("the store is closed")]
    Closed,
    /// What was read is not what was written.
    #[error("the store is damaged ({0}): stop control and restore the data directory from a backup")]
    Corrupt(String),
    /// No room.
    #[error("the disk of the data directory is full: free some space; nothing was written")]
    DiskFull,
    /// The engine failed in another way.
    #[error("the store failed: {0}")]
    Failed(String),
    /// An object is not what its name says.
    #[error("the bytes do not hash to {0}")]
    HashMismatch(ObjectHash),
    /// Another process has it.
    #[error("{0} is used by another process: one control process per data directory")]
    Locked(String),
    /// Written by a newer program.
    #[error("the store has schema {found}, and this program knows {known}: use the newer program")]
    NewerSchema {
        /// Of the file.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// A body that has no JSON form.
    #[error("the record cannot be written as JSON: {0}")]
    NotJson(String),
    /// A number beyond 63 bits.
    #[error("a number does not fit into 63 bits")]
    Overflow,
    /// A record is not as it should be.
    #[error("{} {id} is not as expected: {}", kind.as_str(), found_text(*found))]
    Precondition {
        /// Kind of the record.
        kind: Kind,
        /// Its name.
        id: String,
        /// Its etag now; none when it is not there.
        found: Option<u64>,
    },
    /// The key or the seal is wrong.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Over a bound.
    #[error("the {what} has a size of {size}; {max} are allowed")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        size: usize,
        /// What is allowed.
        max: usize,
    },
}

impl StoreError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy => "store_busy",
            Self::Closed => "store_closed",
            Self::Corrupt(_) => "store_corrupt",
            Self::DiskFull => "store_disk_full",
            Self::Failed(_) => "store_failed",
            Self::HashMismatch(_) => "store_hash_mismatch",
            Self::Locked(_) => "store_locked",
            Self::NewerSchema { .. } => "store_newer_schema",
            Self::NotJson(_) => "store_not_json",
            Self::Overflow => "store_overflow",
            Self::Precondition { .. } => "store_precondition",
            Self::Seal(_) => "store_seal",
            Self::TooLarge { .. } => "store_too_large",
        }
    }
}

fn found_text(found: Option<u64>) -> String {
    found.map_or_else(
        || "it is not there".to_owned(),
        |etag| format!("its etag is {etag}"),
    )
}
