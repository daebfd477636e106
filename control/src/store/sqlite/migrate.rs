//! From any older schema to this program's, one step at a time, each in a transaction of its own.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::fault;
use crate::store::StoreError;

/// Step `n` leads from schema `n` to `n + 1`; 0 is an empty file. Steps are never changed once they were shipped.
pub(super) const STEPS: &[&str] = &[include_str!("schema_1.sql")];

/// Marks files of ours: "weir".
const APPLICATION_ID: i64 = 0x7765_6972;

/// Brings a file to the newest schema.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_to(connection, STEPS.len())
}

fn migrate_to(connection: &mut Connection, target: usize) -> Result<(), StoreError> {
    let pragma = |connection: &Connection, name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(fault)
    };
    let found = u32::try_from(pragma(connection, "user_version")?).unwrap_or(u32::MAX);
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found > 0 && pragma(connection, "application_id")? != APPLICATION_ID {
        return Err(StoreError::Corrupt(
            "the file is a database of another program".to_owned(),
        ));
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for (number, step) in (1_u32..).zip(STEPS).take(target).skip(done) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fault)?;
        transaction.execute_batch(step).map_err(fault)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(fault)?;
        transaction
            .pragma_update(None, "user_version", number)
            .map_err(fault)?;
        transaction.commit().map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_older_schema_becomes_the_newest() {
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh).unwrap();
        for from in 0..=STEPS.len() {
            let mut older = Connection::open_in_memory().unwrap();
            migrate_to(&mut older, from).unwrap();
            migrate(&mut older).unwrap();
            assert_eq!(shape(&older), shape(&fresh), "from {from}");
            migrate(&mut older).unwrap();
        }
    }

    #[test]
    fn a_newer_schema_and_a_foreign_file_are_refused() {
        let mut newer = Connection::open_in_memory().unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        let known = u32::try_from(STEPS.len()).unwrap();
        assert_eq!(
            migrate(&mut newer),
            Err(StoreError::NewerSchema { found: 99, known })
        );
        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(migrate(&mut foreign), Err(StoreError::Corrupt(_))));
    }
}
