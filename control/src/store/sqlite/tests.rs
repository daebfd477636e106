//! What is SQLite's own.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::store::{IfMatch, NewEvent, Write, suite};

fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&SqliteOptions::new(folder.path())).unwrap()
}

fn meta(id: &str, bytes: usize) -> Batch {
    Batch::at(1)
        .put(Kind::Meta, id, &"x".repeat(bytes), IfMatch::Any)
        .unwrap()
}

#[tokio::test]
async fn sqlite_keeps_what_every_engine_keeps() {
    let folder = tempfile::tempdir().unwrap();
    suite::holds(Arc::new(open(&folder))).await;
}

#[tokio::test]
async fn what_was_written_is_there_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let etag = store.commit(meta("a", 1)).await.unwrap().etags[0];
    let event = store
        .commit(Batch::at(1).event(NewEvent::default()))
        .await
        .unwrap()
        .events[0];
    drop(store);
    let store = open(&folder);
    assert_eq!(store.get(Kind::Meta, "a").unwrap().unwrap().etag, etag);
    assert_eq!(*store.newest_event().borrow(), event);
    assert!(store.commit(meta("b", 1)).await.unwrap().etags[0] > etag);
}

#[tokio::test]
async fn batches_that_wait_are_written_before_the_store_closes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let waiting: Vec<_> = (0..100).map(|n| store.commit(meta(&n.to_string(), 1))).collect();
    drop(store);
    for commit in waiting {
        commit.await.unwrap();
    }
    assert_eq!(open(&folder).count(Kind::Meta).unwrap(), 100);
}

#[tokio::test]
async fn events_cannot_be_changed_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store
        .commit(Batch::at(1).event(NewEvent::default()))
        .await
        .unwrap();
    let other = Connection::open(folder.path().join("control.db")).unwrap();
    for sql in ["UPDATE event SET actor = 'me'", "DELETE FROM event"] {
        let error = other.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("events are never"), "{error}");
    }
}

#[test]
fn one_process_has_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let second = SqliteStore::open(&SqliteOptions::new(folder.path()))
        .err()
        .unwrap();
    assert_eq!(second.code(), "store_locked");
    drop(store);
    open(&folder);
}

#[test]
fn files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let _store = SqliteStore::open(&SqliteOptions::new(&data_dir)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("master.key")), 0o600);
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("control.db"), vec![b'x'; 8192]).unwrap();
    let error = SqliteStore::open(&SqliteOptions::new(folder.path()))
        .err()
        .unwrap();
    assert_eq!(error.code(), "store_corrupt");
    assert!(error.to_string().contains("restore"), "{error}");
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_not_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for n in 0..200 {
        store.commit(meta(&format!("{n:03}"), 2000)).await.unwrap();
    }
    drop(store);
    let path = folder.path().join("control.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first pages, which hold the schema.
    let start = bytes.len() / 2;
    bytes[start..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let store = SqliteStore::open(&SqliteOptions::new(folder.path()));
    let read = store.and_then(|store| store.list(Kind::Meta, None, 1000));
    assert_eq!(read.unwrap_err().code(), "store_corrupt");
}

#[tokio::test]
async fn a_full_disk_refuses_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        bytes_max: Some(1 << 20),
        ..SqliteOptions::new(folder.path())
    };
    let store = SqliteStore::open(&options).unwrap();
    store.commit(meta("kept", 10)).await.unwrap();
    let refused = store.commit(meta("large", 2 << 20)).await.unwrap_err();
    assert_eq!(refused, StoreError::DiskFull);
    store.commit(meta("after", 10)).await.unwrap();
    assert_eq!(store.count(Kind::Meta).unwrap(), 2);
}

#[tokio::test]
async fn another_program_that_locks_the_file_makes_it_busy() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let other = Connection::open(folder.path().join("control.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    assert_eq!(store.commit(meta("a", 1)).await, Err(StoreError::Busy));
    assert!(started.elapsed() >= BUSY_TIMEOUT);
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(meta("a", 1)).await.unwrap();
}

#[tokio::test]
async fn nothing_secret_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let batch = Batch::at(1)
        .put(Kind::SigningKey, "k", &json!("needle in a record"), IfMatch::Any)
        .unwrap()
        .put_object(b"needle in an object".to_vec(), true);
    store.commit(batch).await.unwrap();
    drop(store);
    let bytes = std::fs::read(folder.path().join("control.db")).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"needle"));
}

#[tokio::test]
async fn the_master_key_is_rotated_by_resealing() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("master.key");
    let object = b"certificate key".to_vec();
    let hash = ObjectHash::of(&object);
    let store = open(&folder);
    let batch = Batch::at(1)
        .put(Kind::SigningKey, "k", &json!("seed"), IfMatch::Any)
        .unwrap()
        .put_object(object.clone(), true);
    let etag = store.commit(batch).await.unwrap().etags[0];
    drop(store);
    let old = std::fs::read_to_string(&key_file).unwrap();
    let new = format!("{}\n", "5".repeat(64));
    // The old key gone: nothing opens, and no fresh key takes its place.
    std::fs::write(&key_file, &new).unwrap();
    let lost = SqliteStore::open(&SqliteOptions::new(folder.path()))
        .err()
        .unwrap();
    assert_eq!(lost.code(), "store_seal");
    std::fs::remove_file(&key_file).unwrap();
    assert_eq!(
        SqliteStore::open(&SqliteOptions::new(folder.path()))
            .err()
            .unwrap()
            .code(),
        "store_seal"
    );
    assert!(!key_file.exists());
    let write = |text: &str| {
        std::fs::write(&key_file, text).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&format!("{new}{old}"));
    let store = open(&folder);
    assert_eq!(store.reseal().await.unwrap(), 2);
    assert_eq!(store.reseal().await.unwrap(), 0);
    drop(store);
    write(&new);
    let store = open(&folder);
    assert_eq!(store.object(&hash).unwrap(), Some(object));
    let record = store.get(Kind::SigningKey, "k").unwrap().unwrap();
    assert_eq!((record.body.as_slice(), record.etag), (&b"\"seed\""[..], etag));
}

/// Prints acknowledged commits per second of 64 writers and of one: `cargo test --release -p weir-control group_commit -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn group_commit_throughput() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder));
    for (writers, commits) in [(1_u64, 200_u64), (64, 100)] {
        let started = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in 0..commits {
                        let batch = meta(&format!("{writer}/{n}"), 300)
                            .event(NewEvent::default())
                            .and(Write::Add {
                                series: "minute".to_owned(),
                                key: writer.to_string(),
                                bucket_ms: 0,
                                values: vec![1; 8],
                            });
                        store.commit(batch).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = (writers * commits) as f64 / started.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} durable commits/s");
    }
    // The first hundred records of the first writer were written twice.
    assert_eq!(store.count(Kind::Meta).unwrap(), 100 + 6400);
}
