//! One batch inside a savepoint.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use weir_schema::push::ObjectHash;

use super::fault::{fault, int, uint};
use super::values;
use crate::store::seal::Stored;
use crate::store::{
    Batch, Committed, IfMatch, Kind, MasterKeys, NewEvent, Outcome, PRUNE_ROWS_MAX, StoreError, Write,
};

/// A batch whose secrets are sealed: what the writer is given, so that sealing is done elsewhere.
pub(super) struct Sealed {
    now_ms: i64,
    ops: Vec<Op>,
}

enum Op {
    Put {
        kind: Kind,
        id: String,
        stored: Stored,
        if_match: IfMatch,
    },
    PutObject {
        hash: ObjectHash,
        plain_bytes: usize,
        stored: Stored,
    },
    Resealed {
        table: &'static str,
        rowid: i64,
        old_key: String,
        stored: Stored,
    },
    Write(Write),
}

/// What stops a batch.
enum Stop {
    Duplicate,
    Error(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Error(fault(error))
    }
}

/// The name that a record's seal is bound to.
pub(super) fn record_name(kind: Kind, id: &str) -> String {
    format!("record/{}/{id}", kind.as_str())
}

impl Sealed {
    /// Checks a batch and seals what is secret.
    pub(super) fn new(batch: Batch, keys: &MasterKeys) -> Result<Self, StoreError> {
        batch.check()?;
        let now_ms = int(batch.now_ms)?;
        let seal = |write| {
            Ok(match write {
                Write::Put {
                    kind,
                    id,
                    body,
                    if_match,
                } => {
                    let stored = if kind.is_secret() {
                        keys.seal(record_name(kind, &id).as_bytes(), body)?
                    } else {
                        Stored::plain(body)
                    };
                    Op::Put {
                        kind,
                        id,
                        stored,
                        if_match,
                    }
                }
                Write::PutObject { hash, bytes, sealed } => {
                    let plain_bytes = bytes.len();
                    let stored = if sealed {
                        keys.seal(hash.as_bytes(), bytes)?
                    } else {
                        Stored::plain(bytes)
                    };
                    Op::PutObject {
                        hash,
                        plain_bytes,
                        stored,
                    }
                }
                other => Op::Write(other),
            })
        };
        let ops: Result<Vec<Op>, StoreError> = batch.writes.into_iter().map(seal).collect();
        Ok(Self { now_ms, ops: ops? })
    }

    /// The replacement of a seal by one under another key.
    pub(super) fn resealed(table: &'static str, rowid: i64, old_key: String, stored: Stored) -> Self {
        Self {
            now_ms: 0,
            ops: vec![Op::Resealed {
                table,
                rowid,
                old_key,
                stored,
            }],
        }
    }

    /// About how much memory it takes while it waits.
    pub(super) fn bytes(&self) -> usize {
        let sizes = self.ops.iter().map(|op| match op {
            Op::Put { stored, .. } | Op::PutObject { stored, .. } | Op::Resealed { stored, .. } => {
                stored.bytes.len()
            }
            Op::Write(Write::Add { values, .. }) => values.len() * 8,
            Op::Write(_) => 0,
        });
        sizes.sum::<usize>() + self.ops.len() * size_of::<Op>()
    }
}

/// Writes a batch inside a savepoint, or nothing of it.
pub(super) fn apply(connection: &Connection, batch: &Sealed) -> Result<Committed, StoreError> {
    let run = |sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
    };
    run("SAVEPOINT batch").map_err(fault)?;
    let mut committed = Committed::default();
    let done = batch
        .ops
        .iter()
        .try_for_each(|op| one(connection, batch.now_ms, op, &mut committed));
    let undo = || {
        run("ROLLBACK TO batch")
            .and_then(|_| run("RELEASE batch"))
            .map_err(fault)
    };
    match done {
        Ok(()) => {
            run("RELEASE batch").map_err(fault)?;
            Ok(committed)
        }
        Err(Stop::Duplicate) => {
            undo()?;
            Ok(Committed {
                outcome: Outcome::Duplicate,
                ..Committed::default()
            })
        }
        Err(Stop::Error(error)) => {
            // After some faults SQLite has rolled back all by itself; then the savepoint is gone, and the writer sees that.
            let _ = undo();
            Err(error)
        }
    }
}

fn one(connection: &Connection, now_ms: i64, op: &Op, committed: &mut Committed) -> Result<(), Stop> {
    match op {
        Op::Put {
            kind,
            id,
            stored,
            if_match,
        } => {
            expect(connection, *kind, id, *if_match)?;
            committed.etags.push(put(connection, now_ms, *kind, id, stored)?);
        }
        Op::PutObject {
            hash,
            plain_bytes,
            stored,
        } => put_object(connection, now_ms, hash, *plain_bytes, stored)?,
        Op::Resealed {
            table,
            rowid,
            old_key,
            stored,
        } => reseal(connection, table, *rowid, old_key, stored)?,
        Op::Write(Write::Add {
            series,
            key,
            bucket_ms,
            values,
        }) => add(connection, series, key, *bucket_ms, values)?,
        Op::Write(Write::Delete { kind, id, if_match }) => {
            expect(connection, *kind, id, *if_match)?;
            let mut statement =
                connection.prepare_cached("DELETE FROM record WHERE kind = ?1 AND id = ?2")?;
            statement.execute(params![kind.as_str(), id])?;
        }
        Op::Write(Write::Event(event)) => committed.events.push(append(connection, now_ms, event)?),
        Op::Write(
            prune @ (Write::PruneFrames { .. } | Write::PruneRecords { .. } | Write::PruneRollups { .. }),
        ) => committed.pruned += pruned(connection, prune)?,
        Op::Write(Write::RemoveObject { hash }) => {
            connection
                .prepare_cached("DELETE FROM object WHERE hash = ?1")?
                .execute([hash.as_bytes()])?;
        }
        Op::Write(Write::SeenFrame { node, epoch, seq }) => {
            seen(connection, now_ms, node, int(*epoch)?, int(*seq)?)?
        }
        // Made into the first two by `Sealed::new`.
        Op::Write(Write::Put { .. } | Write::PutObject { .. }) => {}
    }
    Ok(())
}

/// Removes what is old, at most [`PRUNE_ROWS_MAX`] rows of it.
fn pruned(connection: &Connection, prune: &Write) -> Result<u64, Stop> {
    let rows = int(PRUNE_ROWS_MAX)?;
    let removed = match prune {
        Write::PruneFrames { before_ms } => {
            let sql = "DELETE FROM frame WHERE (node, epoch, first) IN
                (SELECT node, epoch, first FROM frame f WHERE changed_ms < ?1 AND NOT EXISTS
                    (SELECT 1 FROM frame g WHERE g.node = f.node AND g.epoch = f.epoch AND g.changed_ms >= ?1) LIMIT ?2)";
            connection
                .prepare_cached(sql)?
                .execute(params![int(*before_ms)?, rows])?
        }
        Write::PruneRecords { kind, before_ms } => {
            let sql = "DELETE FROM record WHERE rowid IN
                (SELECT rowid FROM record WHERE kind = ?1 AND changed_ms < ?2 LIMIT ?3)";
            connection
                .prepare_cached(sql)?
                .execute(params![kind.as_str(), int(*before_ms)?, rows])?
        }
        Write::PruneRollups { series, before_ms } => {
            let sql = "DELETE FROM rollup WHERE (series, bucket_ms, key) IN
                (SELECT series, bucket_ms, key FROM rollup WHERE series = ?1 AND bucket_ms < ?2 LIMIT ?3)";
            connection
                .prepare_cached(sql)?
                .execute(params![series, int(*before_ms)?, rows])?
        }
        _ => 0,
    };
    Ok(removed as u64)
}

fn expect(connection: &Connection, kind: Kind, id: &str, if_match: IfMatch) -> Result<(), Stop> {
    if if_match == IfMatch::Any {
        return Ok(());
    }
    let mut statement = connection.prepare_cached("SELECT etag FROM record WHERE kind = ?1 AND id = ?2")?;
    let found = statement
        .query_row(params![kind.as_str(), id], |row| row.get(0))
        .optional()?
        .map(uint);
    let wanted = if let IfMatch::Etag(etag) = if_match {
        Some(etag)
    } else {
        None
    };
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::Precondition {
        kind,
        id: id.to_owned(),
        found,
    }
    .into())
}

fn put(connection: &Connection, now_ms: i64, kind: Kind, id: &str, stored: &Stored) -> Result<u64, Stop> {
    let mut next = connection
        .prepare_cached("UPDATE counter SET value = value + 1 WHERE name = 'etag' RETURNING value")?;
    let etag: i64 = next.query_row([], |row| row.get(0))?;
    let sql = "INSERT INTO record (kind, id, etag, key_id, body, created_ms, changed_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT DO UPDATE SET etag = ?3, key_id = ?4, body = ?5, changed_ms = ?6";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![
        kind.as_str(),
        id,
        etag,
        stored.key_id,
        stored.bytes,
        now_ms
    ])?;
    Ok(uint(etag))
}

fn put_object(
    connection: &Connection,
    now_ms: i64,
    hash: &ObjectHash,
    plain_bytes: usize,
    stored: &Stored,
) -> Result<(), Stop> {
    let sql = "INSERT INTO object (hash, key_id, plain_bytes, created_ms, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET key_id = ?2, bytes = ?5 WHERE object.key_id IS NULL AND ?2 IS NOT NULL";
    let plain_bytes = int(plain_bytes as u64)?;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![
        hash.as_bytes(),
        stored.key_id,
        plain_bytes,
        now_ms,
        stored.bytes
    ])?;
    Ok(())
}

fn reseal(
    connection: &Connection,
    table: &str,
    rowid: i64,
    old_key: &str,
    stored: &Stored,
) -> Result<(), Stop> {
    let column = if table == "object" { "bytes" } else { "body" };
    let sql = format!("UPDATE {table} SET key_id = ?1, {column} = ?2 WHERE rowid = ?3 AND key_id = ?4");
    connection
        .prepare_cached(&sql)?
        .execute(params![stored.key_id, stored.bytes, rowid, old_key])?;
    Ok(())
}

fn add(connection: &Connection, series: &str, key: &str, bucket_ms: u64, added: &[i64]) -> Result<(), Stop> {
    let bucket_ms = int(bucket_ms)?;
    let sql = "SELECT sums FROM rollup WHERE series = ?1 AND bucket_ms = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let old: Option<Vec<u8>> = statement
        .query_row(params![series, bucket_ms, key], |row| row.get(0))
        .optional()?;
    let mut sums = old
        .as_deref()
        .map(values::decode)
        .transpose()?
        .unwrap_or_default();
    values::add(&mut sums, added)?;
    let sql = "INSERT INTO rollup (series, bucket_ms, key, sums) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET sums = ?4";
    connection
        .prepare_cached(sql)?
        .execute(params![series, bucket_ms, key, values::encode(&sums)])?;
    Ok(())
}

fn append(connection: &Connection, now_ms: i64, event: &NewEvent) -> Result<u64, Stop> {
    let sql = "INSERT INTO event (time_ms, actor, action, subject, from_address, result, detail)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let NewEvent {
        actor,
        action,
        subject,
        from,
        result,
        detail,
    } = event;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![
        now_ms,
        actor,
        action,
        subject,
        from,
        result,
        detail.to_string()
    ])?;
    Ok(uint(connection.last_insert_rowid()))
}

/// Marks a frame, and joins it with its neighbours.
fn seen(connection: &Connection, now_ms: i64, node: &str, epoch: i64, seq: i64) -> Result<(), Stop> {
    let range = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let sql = "SELECT first, last FROM frame WHERE node = ?1 AND epoch = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1";
    let below = connection
        .prepare_cached(sql)?
        .query_row(params![node, epoch, seq], range)
        .optional()?;
    if below.is_some_and(|(_, last)| last >= seq) {
        return Err(Stop::Duplicate);
    }
    let after = seq.checked_add(1).ok_or(StoreError::Overflow)?;
    let sql = "DELETE FROM frame WHERE node = ?1 AND epoch = ?2 AND first = ?3 RETURNING first, last";
    let above = connection
        .prepare_cached(sql)?
        .query_row(params![node, epoch, after], range)
        .optional()?;
    let first = below
        .filter(|(_, last)| *last == seq - 1)
        .map_or(seq, |(first, _)| first);
    let last = above.map_or(seq, |(_, last)| last);
    let sql = "INSERT INTO frame (node, epoch, first, last, changed_ms) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET last = ?4, changed_ms = ?5";
    connection
        .prepare_cached(sql)?
        .execute(params![node, epoch, first, last, now_ms])?;
    Ok(())
}
