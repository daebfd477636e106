//! SQLite's errors as ours.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

/// What an error of SQLite means.
pub(super) fn fault(error: Error) -> StoreError {
    let text = error.to_string();
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(text),
            ErrorCode::DiskFull => StoreError::DiskFull,
            ErrorCode::TooBig => StoreError::Failed(format!("{text}: a value is over SQLite's bound")),
            _ => StoreError::Failed(text),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..) => StoreError::Corrupt(text),
        _ => StoreError::Failed(text),
    }
}

/// A number as SQLite keeps it.
pub(super) fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Overflow)
}

/// A number as it was kept; what is negative was not written by us and reads as zero.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
