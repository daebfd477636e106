//! Questions.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use weir_schema::push::ObjectHash;

use super::apply::record_name;
use super::fault::{fault, int, uint};
use super::values;
use crate::store::seal::Stored;
use crate::store::{
    Event, EventQuery, Kind, MasterKeys, ObjectInfo, ROWS_MAX, Record, Rollup, RollupQuery, StoreError,
};

const RECORD: &str = "SELECT id, etag, key_id, body, created_ms, changed_ms FROM record WHERE kind = ?1";

/// A limit as SQLite takes it.
fn limit(asked: usize) -> i64 {
    i64::try_from(asked.min(ROWS_MAX)).unwrap_or(0)
}

/// A record and the key that its body is sealed with.
fn record_row(row: &Row<'_>) -> rusqlite::Result<(Record, Option<String>)> {
    let record = Record {
        id: row.get(0)?,
        etag: uint(row.get(1)?),
        body: row.get(3)?,
        created_ms: uint(row.get(4)?),
        changed_ms: uint(row.get(5)?),
    };
    Ok((record, row.get(2)?))
}

fn opened(keys: &MasterKeys, kind: Kind, row: (Record, Option<String>)) -> Result<Record, StoreError> {
    let (mut record, key_id) = row;
    if key_id.is_some() {
        let name = record_name(kind, &record.id);
        record.body = keys.open(
            name.as_bytes(),
            &name,
            Stored {
                key_id,
                bytes: record.body,
            },
        )?;
    }
    Ok(record)
}

pub(super) fn get(
    connection: &Connection,
    keys: &MasterKeys,
    kind: Kind,
    id: &str,
) -> Result<Option<Record>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("{RECORD} AND id = ?2"))
        .map_err(fault)?;
    let row = statement
        .query_row(params![kind.as_str(), id], record_row)
        .optional()
        .map_err(fault)?;
    row.map(|row| opened(keys, kind, row)).transpose()
}

pub(super) fn list(
    connection: &Connection,
    keys: &MasterKeys,
    kind: Kind,
    from: Option<&str>,
    backwards: bool,
    rows: usize,
) -> Result<Vec<Record>, StoreError> {
    let sql = match (backwards, from) {
        (false, None) => format!("{RECORD} AND ?2 IS NULL ORDER BY id LIMIT ?3"),
        (false, Some(_)) => format!("{RECORD} AND id > ?2 ORDER BY id LIMIT ?3"),
        (true, None) => format!("{RECORD} AND ?2 IS NULL ORDER BY id DESC LIMIT ?3"),
        (true, Some(_)) => format!("{RECORD} AND id < ?2 ORDER BY id DESC LIMIT ?3"),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
    let found = statement
        .query_map(params![kind.as_str(), from, limit(rows)], record_row)
        .map_err(fault)?;
    found.map(|row| opened(keys, kind, row.map_err(fault)?)).collect()
}

pub(super) fn count(connection: &Connection, kind: Kind) -> Result<u64, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM record WHERE kind = ?1")
        .map_err(fault)?;
    statement
        .query_row([kind.as_str()], |row| row.get(0))
        .map(uint)
        .map_err(fault)
}

pub(super) fn object(
    connection: &Connection,
    keys: &MasterKeys,
    hash: &ObjectHash,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT key_id, bytes FROM object WHERE hash = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let stored = statement
        .query_row([hash.as_bytes()], |row| {
            Ok(Stored {
                key_id: row.get(0)?,
                bytes: row.get(1)?,
            })
        })
        .optional()
        .map_err(fault)?;
    stored
        .map(|stored| Ok(keys.open(hash.as_bytes(), &hash.to_string(), stored)?))
        .transpose()
}

pub(super) fn objects(
    connection: &Connection,
    after: Option<&ObjectHash>,
    rows: usize,
) -> Result<Vec<ObjectInfo>, StoreError> {
    let sql = "SELECT hash, plain_bytes, key_id IS NOT NULL, created_ms FROM object WHERE hash > ?1 ORDER BY hash LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let after = after.map_or(&[][..], |hash| hash.as_bytes());
    let found = statement.query_map(params![after, limit(rows)], |row| {
        Ok(ObjectInfo {
            hash: ObjectHash::from_bytes(row.get(0)?),
            bytes: uint(row.get(1)?),
            sealed: row.get(2)?,
            created_ms: uint(row.get(3)?),
        })
    });
    found.and_then(Iterator::collect).map_err(fault)
}

pub(super) fn newest_event(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
        .map(uint)
        .map_err(fault)
}

pub(super) fn events(connection: &Connection, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
    let mut sql =
        "SELECT seq, time_ms, actor, action, subject, from_address, result, detail FROM event WHERE true"
            .to_owned();
    let mut bound = Vec::new();
    let mut only = |condition: &str, value: Sql| {
        sql.push_str(condition);
        bound.push(value);
    };
    if let Some(seq) = query.from_seq {
        let condition = if query.newest_first {
            " AND seq < ?"
        } else {
            " AND seq > ?"
        };
        only(condition, Sql::Integer(int(seq)?));
    }
    if let Some(action) = &query.action {
        if let Some(noun) = action.strip_suffix('.') {
            // All that begins with "noun.": the byte after the dot is the slash.
            only(" AND action > ?", Sql::Text(action.clone()));
            only(" AND action < ?", Sql::Text(format!("{noun}/")));
        } else {
            only(" AND action = ?", Sql::Text(action.clone()));
        }
    }
    if let Some(actor) = &query.actor {
        only(" AND actor = ?", Sql::Text(actor.clone()));
    }
    if let Some(subject) = &query.subject {
        only(" AND subject = ?", Sql::Text(subject.clone()));
    }
    if let Some(since_ms) = query.since_ms {
        only(" AND time_ms >= ?", Sql::Integer(int(since_ms)?));
    }
    if let Some(until_ms) = query.until_ms {
        only(" AND time_ms < ?", Sql::Integer(int(until_ms)?));
    }
    let order = if query.newest_first { "DESC" } else { "ASC" };
    sql.push_str(&format!(" ORDER BY seq {order} LIMIT {}", limit(query.limit)));
    let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
    let found = statement
        .query_map(params_from_iter(bound), event_row)
        .map_err(fault)?;
    found.collect::<Result<_, _>>().map_err(fault)
}

fn event_row(row: &Row<'_>) -> rusqlite::Result<Event> {
    let detail: String = row.get(7)?;
    Ok(Event {
        seq: uint(row.get(0)?),
        time_ms: uint(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        from: row.get(5)?,
        result: row.get(6)?,
        // We wrote it; what is no JSON any more is shown as it is.
        detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
    })
}

fn rollup_row(row: &Row<'_>) -> rusqlite::Result<(u64, String, Vec<u8>)> {
    Ok((uint(row.get(0)?), row.get(1)?, row.get(2)?))
}

fn rollup((bucket_ms, key, sums): (u64, String, Vec<u8>)) -> Result<Rollup, StoreError> {
    Ok(Rollup {
        bucket_ms,
        key,
        values: values::decode(&sums)?,
    })
}

pub(super) fn rollups(connection: &Connection, query: &RollupQuery) -> Result<Vec<Rollup>, StoreError> {
    match &query.key {
        Some(key) => rollups_of_key(connection, query, key),
        None => rollups_of_all(connection, query),
    }
}

fn rollups_of_all(connection: &Connection, query: &RollupQuery) -> Result<Vec<Rollup>, StoreError> {
    // A bucket before the first one and no key: nothing is after.
    let (bucket, key) = query.after.as_ref().map_or((-1, ""), |(bucket, key)| {
        (i64::try_from(*bucket).unwrap_or(i64::MAX), key.as_str())
    });
    let sql =
        "SELECT bucket_ms, key, sums FROM rollup WHERE series = ?1 AND bucket_ms >= ?2 AND bucket_ms < ?3
        AND (bucket_ms, key) > (?4, ?5) ORDER BY bucket_ms, key LIMIT ?6";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let values = params![
        query.series,
        int(query.since_ms)?,
        until(query),
        bucket,
        key,
        limit(query.limit)
    ];
    let found = statement.query_map(values, rollup_row).map_err(fault)?;
    found.map(|row| rollup(row.map_err(fault)?)).collect()
}

/// The end of a time; one that is far is as good as none.
fn until(query: &RollupQuery) -> i64 {
    i64::try_from(query.until_ms).unwrap_or(i64::MAX)
}

/// Steps from bucket to bucket and looks the key up in each: the rows of the other keys are not read.
fn rollups_of_key(
    connection: &Connection,
    query: &RollupQuery,
    key: &str,
) -> Result<Vec<Rollup>, StoreError> {
    let first = match &query.after {
        Some((bucket, _)) => bucket.saturating_add(1).max(query.since_ms),
        None => query.since_ms,
    };
    let sql = "WITH RECURSIVE bucket (at) AS (
            SELECT (SELECT min(bucket_ms) FROM rollup WHERE series = ?1 AND bucket_ms >= ?2)
            UNION ALL
            SELECT (SELECT min(bucket_ms) FROM rollup WHERE series = ?1 AND bucket_ms > at) FROM bucket WHERE at < ?3)
        SELECT bucket_ms, key, sums FROM bucket CROSS JOIN rollup ON series = ?1 AND bucket_ms = at AND key = ?4
            WHERE at < ?3 ORDER BY at LIMIT ?5";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let values = params![query.series, int(first)?, until(query), key, limit(query.limit)];
    let found = statement.query_map(values, rollup_row).map_err(fault)?;
    found.map(|row| rollup(row.map_err(fault)?)).collect()
}
