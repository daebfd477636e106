//! What every engine keeps, as facts: an engine's tests call [`holds`] with an empty store.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use weir_schema::push::ObjectHash;

use super::*;

/// Every fact, each with names of its own, so that one store serves all.
pub(super) async fn holds(store: Arc<dyn Store>) {
    let store_ref = store.as_ref();
    a_record_reads_back_and_changes_its_etag(store_ref).await;
    a_precondition_that_fails_undoes_the_whole_batch(store_ref).await;
    records_are_listed_by_id_in_pages_both_ways(store_ref).await;
    secret_kinds_and_sealed_objects_read_back(store_ref).await;
    an_object_under_a_wrong_name_is_refused(store_ref).await;
    events_are_found_by_what_they_say(store_ref).await;
    counters_add_up_and_are_read_in_pages(store_ref).await;
    a_frame_counts_once_in_any_order(store_ref).await;
    prunes_remove_what_is_old(store_ref).await;
    what_is_too_large_is_refused(store_ref).await;
    one_of_many_who_change_the_same_record_wins(&store).await;
    sums_of_many_threads_are_exact(&store).await;
}

fn put(kind: Kind, id: &str, text: &str, if_match: IfMatch) -> Write {
    Write::Put {
        kind,
        id: id.to_owned(),
        body: text.as_bytes().to_vec(),
        if_match,
    }
}

fn delete(kind: Kind, id: &str, if_match: IfMatch) -> Write {
    Write::Delete {
        kind,
        id: id.to_owned(),
        if_match,
    }
}

async fn one(store: &dyn Store, write: Write) -> Result<Committed, StoreError> {
    store.commit(Batch::at(1000).and(write)).await
}

async fn a_record_reads_back_and_changes_its_etag(store: &dyn Store) {
    let first = store
        .commit(
            Batch::at(5)
                .put(Kind::Meta, "a", &json!({"n": 1}), IfMatch::Absent)
                .unwrap(),
        )
        .await
        .unwrap();
    let record = store.get(Kind::Meta, "a").unwrap().unwrap();
    assert_eq!(
        (record.etag, record.created_ms, record.changed_ms),
        (first.etags[0], 5, 5)
    );
    assert_eq!(record.json::<serde_json::Value>().unwrap(), json!({"n": 1}));
    let second = store
        .commit(Batch::at(9).and(put(Kind::Meta, "a", "2", IfMatch::Etag(record.etag))))
        .await
        .unwrap();
    let record = store.get(Kind::Meta, "a").unwrap().unwrap();
    assert_eq!(
        (record.etag, record.created_ms, record.changed_ms),
        (second.etags[0], 5, 9)
    );
    assert!(record.etag > first.etags[0]);
    one(store, delete(Kind::Meta, "a", IfMatch::Etag(record.etag)))
        .await
        .unwrap();
    assert_eq!(store.get(Kind::Meta, "a").unwrap(), None);
    // A record that comes again has an etag that none before it had.
    let third = one(store, put(Kind::Meta, "a", "3", IfMatch::Absent))
        .await
        .unwrap();
    assert!(third.etags[0] > record.etag);
    // The same id of another kind is another record.
    assert_eq!(store.get(Kind::Tier, "a").unwrap(), None);
}

async fn a_precondition_that_fails_undoes_the_whole_batch(store: &dyn Store) {
    let etag = one(store, put(Kind::Tenant, "p", "1", IfMatch::Any))
        .await
        .unwrap()
        .etags[0];
    let refused = StoreError::Precondition {
        kind: Kind::Tenant,
        id: "p".to_owned(),
        found: Some(etag),
    };
    let before = *store.newest_event().borrow();
    for wrong in [IfMatch::Absent, IfMatch::Etag(etag + 1)] {
        let batch = Batch::at(1)
            .and(put(Kind::Tenant, "beside", "1", IfMatch::Any))
            .event(NewEvent {
                action: "never.seen".to_owned(),
                ..NewEvent::default()
            })
            .and(put(Kind::Tenant, "p", "2", wrong));
        assert_eq!(store.commit(batch).await, Err(refused.clone()));
        assert_eq!(
            one(store, delete(Kind::Tenant, "p", wrong)).await,
            Err(refused.clone())
        );
    }
    assert_eq!(store.get(Kind::Tenant, "beside").unwrap(), None);
    assert_eq!(store.get(Kind::Tenant, "p").unwrap().unwrap().body, b"1");
    assert_eq!(*store.newest_event().borrow(), before);
    let absent = StoreError::Precondition {
        kind: Kind::Tenant,
        id: "none".to_owned(),
        found: None,
    };
    assert_eq!(
        one(store, put(Kind::Tenant, "none", "1", IfMatch::Etag(1))).await,
        Err(absent)
    );
}

async fn records_are_listed_by_id_in_pages_both_ways(store: &dyn Store) {
    let ids = ["", "a", "a/1", "a/2", "b", "é"];
    for id in ids.iter().rev() {
        one(store, put(Kind::ConfigEntry, id, "1", IfMatch::Absent))
            .await
            .unwrap();
    }
    let names = |records: Vec<Record>| records.into_iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!(names(store.list(Kind::ConfigEntry, None, 10).unwrap()), ids);
    assert_eq!(
        names(store.list(Kind::ConfigEntry, Some("a"), 2).unwrap()),
        ["a/1", "a/2"]
    );
    assert_eq!(
        names(store.list_back(Kind::ConfigEntry, None, 2).unwrap()),
        ["é", "b"]
    );
    assert_eq!(
        names(store.list_back(Kind::ConfigEntry, Some("a/1"), 10).unwrap()),
        ["a", ""]
    );
    assert_eq!(store.count(Kind::ConfigEntry).unwrap(), 6);
}

async fn secret_kinds_and_sealed_objects_read_back(store: &dyn Store) {
    one(store, put(Kind::SigningKey, "k", "\"seed\"", IfMatch::Any))
        .await
        .unwrap();
    assert_eq!(
        store.get(Kind::SigningKey, "k").unwrap().unwrap().body,
        b"\"seed\""
    );
    assert_eq!(
        store.list(Kind::SigningKey, None, 9).unwrap()[0].body,
        b"\"seed\""
    );
    let (secret, open) = (b"secret".to_vec(), b"open".to_vec());
    let batch = Batch::at(7)
        .put_object(secret.clone(), true)
        .put_object(open.clone(), false);
    store.commit(batch.clone()).await.unwrap();
    store.commit(batch).await.unwrap();
    let (secret_hash, open_hash) = (ObjectHash::of(&secret), ObjectHash::of(&open));
    assert_eq!(store.object(&secret_hash).unwrap(), Some(secret.clone()));
    assert_eq!(store.object(&open_hash).unwrap(), Some(open.clone()));
    let sealed = |store: &dyn Store| {
        let all = store.objects(None, 100).unwrap();
        all.into_iter()
            .map(|info| (info.hash, info.sealed))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        sealed(store),
        BTreeSet::from([(secret_hash, true), (open_hash, false)])
    );
    // What was open becomes sealed, never the other way.
    store
        .commit(
            Batch::at(8)
                .put_object(open.clone(), true)
                .put_object(secret, false),
        )
        .await
        .unwrap();
    assert_eq!(
        sealed(store),
        BTreeSet::from([(secret_hash, true), (open_hash, true)])
    );
    assert_eq!(store.object(&open_hash).unwrap(), Some(open));
    let first = store.objects(None, 1).unwrap();
    assert_eq!(store.objects(Some(&first[0].hash), 9).unwrap().len(), 1);
    for hash in [open_hash, secret_hash] {
        one(store, Write::RemoveObject { hash }).await.unwrap();
        assert_eq!(store.object(&hash).unwrap(), None);
    }
}

async fn an_object_under_a_wrong_name_is_refused(store: &dyn Store) {
    let hash = ObjectHash::of(b"right");
    let write = Write::PutObject {
        hash,
        bytes: b"wrong".to_vec(),
        sealed: false,
    };
    assert_eq!(one(store, write).await, Err(StoreError::HashMismatch(hash)));
}

async fn events_are_found_by_what_they_say(store: &dyn Store) {
    let newest = store.newest_event();
    let before = *newest.borrow();
    for (time_ms, actor, action, subject) in [
        (10, "ann", "tenant.create", "tenant/x"),
        (20, "bob", "tenant.suspend", "tenant/x"),
        (30, "ann", "tenant.create", "tenant/y"),
        (40, "ann", "tenants.other", "tenant/x"),
    ] {
        let event = NewEvent {
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            from: "127.0.0.1".to_owned(),
            result: "done".to_owned(),
            detail: json!({"t": time_ms}),
        };
        let committed = store.commit(Batch::at(time_ms).event(event)).await.unwrap();
        assert_eq!(committed.events, [*newest.borrow()]);
    }
    let ask = |query: EventQuery| {
        let query = EventQuery {
            from_seq: query.from_seq.or(Some(before)),
            limit: 9,
            ..query
        };
        store
            .events(&query)
            .unwrap()
            .iter()
            .map(|event| event.time_ms)
            .collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(ask(EventQuery::default()), [10, 20, 30, 40]);
    assert_eq!(
        ask(EventQuery {
            actor: text("ann"),
            ..EventQuery::default()
        }),
        [10, 30, 40]
    );
    assert_eq!(
        ask(EventQuery {
            subject: text("tenant/x"),
            ..EventQuery::default()
        }),
        [10, 20, 40]
    );
    assert_eq!(
        ask(EventQuery {
            action: text("tenant.create"),
            ..EventQuery::default()
        }),
        [10, 30]
    );
    assert_eq!(
        ask(EventQuery {
            action: text("tenant."),
            ..EventQuery::default()
        }),
        [10, 20, 30]
    );
    assert_eq!(
        ask(EventQuery {
            since_ms: Some(20),
            until_ms: Some(40),
            ..EventQuery::default()
        }),
        [20, 30]
    );
    let down = EventQuery {
        newest_first: true,
        from_seq: Some(before + 4),
        ..EventQuery::default()
    };
    assert_eq!(ask(down.clone())[..3], [30, 20, 10]);
    let event = &store.events(&EventQuery { limit: 1, ..down }).unwrap()[0];
    assert_eq!(
        (event.from.as_str(), event.result.as_str(), &event.detail),
        ("127.0.0.1", "done", &json!({"t": 30}))
    );
}

fn add(series: &str, key: &str, bucket_ms: u64, values: &[i64]) -> Write {
    Write::Add {
        series: series.to_owned(),
        key: key.to_owned(),
        bucket_ms,
        values: values.to_vec(),
    }
}

async fn counters_add_up_and_are_read_in_pages(store: &dyn Store) {
    for bucket_ms in [0, 60, 120] {
        let batch = Batch::at(1)
            .and(add("s", "a", bucket_ms, &[1, 0, -3]))
            .and(add("s", "a", bucket_ms, &[1]))
            .and(add("s", "b", bucket_ms, &[0, 5]))
            .and(add("other", "a", bucket_ms, &[9]));
        store.commit(batch).await.unwrap();
    }
    let query = |key: Option<&str>, since_ms, until_ms, after: Option<(u64, &str)>, limit| {
        let query = RollupQuery {
            series: "s".to_owned(),
            key: key.map(str::to_owned),
            since_ms,
            until_ms,
            after: after.map(|(bucket, key)| (bucket, key.to_owned())),
            limit,
        };
        let rows = store.rollups(&query).unwrap();
        rows.into_iter()
            .map(|row| (row.bucket_ms, row.key, row.values))
            .collect::<Vec<_>>()
    };
    let a = |bucket: u64| (bucket, "a".to_owned(), vec![2, 0, -3]);
    let b = |bucket: u64| (bucket, "b".to_owned(), vec![0, 5]);
    assert_eq!(
        query(None, 0, u64::MAX, None, 99),
        [a(0), b(0), a(60), b(60), a(120), b(120)]
    );
    assert_eq!(query(None, 60, 120, None, 99), [a(60), b(60)]);
    assert_eq!(query(None, 0, 121, Some((0, "a")), 2), [b(0), a(60)]);
    assert_eq!(query(Some("b"), 0, 120, None, 99), [b(0), b(60)]);
    assert_eq!(query(Some("b"), 0, u64::MAX, Some((0, "b")), 1), [b(60)]);
    assert_eq!(query(Some("b"), 61, u64::MAX, Some((0, "b")), 9), [b(120)]);
    assert_eq!(query(Some("none"), 0, u64::MAX, None, 9), []);
    assert_eq!(
        one(store, add("s", "c", 0, &[i64::MAX])).await.unwrap().outcome,
        Outcome::Applied
    );
    assert_eq!(
        one(store, add("s", "c", 0, &[1])).await,
        Err(StoreError::Overflow)
    );
}

async fn a_frame_counts_once_in_any_order(store: &dyn Store) {
    let frame = |node: &str, epoch, seq| {
        Batch::at(1)
            .and(add("frames", node, 0, &[1]))
            .and(Write::SeenFrame {
                node: node.to_owned(),
                epoch,
                seq,
            })
    };
    let mut expected = BTreeSet::new();
    for seq in [1, 2, 3, 2, 7, 5, 6, 6, 4, 1, 9, 8, 3, 0, 0] {
        let outcome = store.commit(frame("n", 1, seq)).await.unwrap().outcome;
        let fresh = expected.insert(seq);
        assert_eq!(
            outcome,
            if fresh {
                Outcome::Applied
            } else {
                Outcome::Duplicate
            },
            "{seq}"
        );
    }
    assert_eq!(
        store.commit(frame("n", 2, 1)).await.unwrap().outcome,
        Outcome::Applied
    );
    assert_eq!(
        store.commit(frame("m", 1, 1)).await.unwrap().outcome,
        Outcome::Applied
    );
    let query = RollupQuery {
        series: "frames".to_owned(),
        key: Some("n".to_owned()),
        since_ms: 0,
        until_ms: 1,
        after: None,
        limit: 1,
    };
    assert_eq!(store.rollups(&query).unwrap()[0].values, [11]);
}

async fn prunes_remove_what_is_old(store: &dyn Store) {
    for (at, id) in [(10, "old"), (20, "new")] {
        let batch = Batch::at(at)
            .and(put(Kind::Idempotency, id, "1", IfMatch::Any))
            .and(add("pruned", "k", at, &[1]))
            .and(Write::SeenFrame {
                node: format!("pruned {id}"),
                epoch: 1,
                seq: 1,
            });
        store.commit(batch).await.unwrap();
    }
    let records = Write::PruneRecords {
        kind: Kind::Idempotency,
        before_ms: 20,
    };
    assert_eq!(one(store, records.clone()).await.unwrap().pruned, 1);
    assert_eq!(one(store, records).await.unwrap().pruned, 0);
    assert_eq!(store.list(Kind::Idempotency, None, 9).unwrap()[0].id, "new");
    let rollups = Write::PruneRollups {
        series: "pruned".to_owned(),
        before_ms: 20,
    };
    assert_eq!(one(store, rollups).await.unwrap().pruned, 1);
    // Of the frames, all of the fact before are older, too.
    assert!(
        one(store, Write::PruneFrames { before_ms: 20 })
            .await
            .unwrap()
            .pruned
            > 1
    );
    let seen = |id: &str| Write::SeenFrame {
        node: format!("pruned {id}"),
        epoch: 1,
        seq: 1,
    };
    assert_eq!(one(store, seen("new")).await.unwrap().outcome, Outcome::Duplicate);
    assert_eq!(one(store, seen("old")).await.unwrap().outcome, Outcome::Applied);
}

async fn what_is_too_large_is_refused(store: &dyn Store) {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let body = "x".repeat(BODY_BYTES_MAX + 1);
    for write in [
        put(Kind::Meta, &long, "1", IfMatch::Any),
        put(Kind::Meta, "x", &body, IfMatch::Any),
        add("s", "k", 0, &vec![1; VALUES_MAX + 1]),
        Write::Event(NewEvent {
            actor: long.clone(),
            ..NewEvent::default()
        }),
        Write::Event(NewEvent {
            detail: json!("x".repeat(DETAIL_BYTES_MAX)),
            ..NewEvent::default()
        }),
    ] {
        assert!(matches!(
            one(store, write).await,
            Err(StoreError::TooLarge { .. })
        ));
    }
    assert_eq!(
        one(store, add("s", "k", u64::MAX, &[1])).await,
        Err(StoreError::Overflow)
    );
}

async fn one_of_many_who_change_the_same_record_wins(store: &Arc<dyn Store>) {
    let etag = one(store.as_ref(), put(Kind::Budget, "race", "0", IfMatch::Any))
        .await
        .unwrap()
        .etags[0];
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let write = put(Kind::Budget, "race", &number.to_string(), IfMatch::Etag(etag));
            tokio::spawn(store.commit(Batch::at(1).and(write)))
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::Precondition { .. }), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

async fn sums_of_many_threads_are_exact(store: &Arc<dyn Store>) {
    let threads: Vec<_> = (0..16_u64)
        .map(|thread| {
            let store = Arc::clone(store);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for seq in 0..50 {
                    // Each frame is sent twice; readers look on.
                    for _ in 0..2 {
                        let batch = Batch::at(1)
                            .and(Write::SeenFrame {
                                node: format!("thread {thread}"),
                                epoch: 1,
                                seq,
                            })
                            .and(add("threads", "all", 0, &[1, 7]));
                        runtime.block_on(store.commit(batch)).unwrap();
                    }
                    let _ = store.list(Kind::Meta, None, 10).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let query = RollupQuery {
        series: "threads".to_owned(),
        key: None,
        since_ms: 0,
        until_ms: 1,
        after: None,
        limit: 9,
    };
    assert_eq!(store.rollups(&query).unwrap()[0].values, [16 * 50, 16 * 50 * 7]);
}
