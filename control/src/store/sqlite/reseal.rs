//! Rotation of the master key: everything sealed is sealed again under the first key of the file.

use rusqlite::{Connection, OptionalExtension as _, params};
use weir_schema::push::ObjectHash;

use super::apply::Sealed;
use super::fault::fault;
use super::{SqliteStore, StoreError};
use crate::store::seal::Stored;

/// A row that is sealed with another key: where it is, and the name that its seal is bound to.
struct Row {
    table: &'static str,
    rowid: i64,
    name: Vec<u8>,
    stored: Stored,
}

/// Ids of the keys that something is sealed with.
pub(super) fn keys_used(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT key_id FROM record WHERE key_id IS NOT NULL
        UNION SELECT DISTINCT key_id FROM object WHERE key_id IS NOT NULL";
    let mut statement = connection.prepare(sql).map_err(fault)?;
    let ids = statement.query_map([], |row| row.get(0)).map_err(fault)?;
    ids.collect::<Result<_, _>>().map_err(fault)
}

impl SqliteStore {
    /// Seals again what is not sealed with the first key of the key file; the other keys can be removed from it afterwards.
    /// Returns how many records and objects that were. Records keep their etags.
    ///
    /// # Errors
    /// When the store fails or a seal cannot be opened; what was done stays done.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let mut done = 0;
        while let Some(row) = self.next_sealed_with_another()? {
            let shown = format!("{} {}", row.table, row.rowid);
            let old_key = row.stored.key_id.clone().unwrap_or_default();
            let bytes = self.keys.open(&row.name, &shown, row.stored)?;
            let stored = self.keys.seal(&row.name, bytes)?;
            let answer = self
                .writer
                .send(Sealed::resealed(row.table, row.rowid, old_key, stored))?;
            answer.await.unwrap_or(Err(StoreError::Closed))?;
            done += 1;
        }
        Ok(done)
    }

    fn next_sealed_with_another(&self) -> Result<Option<Row>, StoreError> {
        let reader = self.reader()?;
        let current = self.keys.current();
        let record = "SELECT rowid, key_id, body, 'record/' || kind || '/' || id FROM record
            WHERE key_id IS NOT NULL AND key_id != ?1 LIMIT 1";
        let found = reader
            .query_row(record, params![current], |row| {
                let stored = Stored {
                    key_id: row.get(1)?,
                    bytes: row.get(2)?,
                };
                let name: String = row.get(3)?;
                Ok(Row {
                    table: "record",
                    rowid: row.get(0)?,
                    name: name.into_bytes(),
                    stored,
                })
            })
            .optional()
            .map_err(fault)?;
        if found.is_some() {
            return Ok(found);
        }
        let object =
            "SELECT rowid, key_id, bytes, hash FROM object WHERE key_id IS NOT NULL AND key_id != ?1 LIMIT 1";
        let found = reader.query_row(object, params![current], |row| {
            let hash = ObjectHash::from_bytes(row.get(3)?);
            let stored = Stored {
                key_id: row.get(1)?,
                bytes: row.get(2)?,
            };
            Ok(Row {
                table: "object",
                rowid: row.get(0)?,
                name: hash.as_bytes().to_vec(),
                stored,
            })
        });
        found.optional().map_err(fault)
    }
}
