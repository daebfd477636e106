//! A process that is killed loses nothing that it acknowledged. The child is this binary again.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use weir_control::store::{
    Batch, IfMatch, Kind, NewEvent, RollupQuery, SqliteOptions, SqliteStore, Store, Write,
};

const FOLDER: &str = "WEIR_STORE_CRASH_FOLDER";

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&SqliteOptions::new(folder)).unwrap()
}

/// Commits until it is killed, and prints what is acknowledged. Does nothing unless the other test starts it.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_commits() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(open(Path::new(&folder)));
    let round = store.count(Kind::Meta).unwrap();
    let tasks = (0..8_u64).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..u64::MAX {
                let id = format!("{round}/{writer}/{n}");
                let batch = Batch::at(n)
                    .put(Kind::Meta, &id, &n, IfMatch::Absent)
                    .unwrap()
                    .event(NewEvent {
                        subject: id.clone(),
                        ..NewEvent::default()
                    })
                    .and(Write::Add {
                        series: "s".to_owned(),
                        key: "k".to_owned(),
                        bucket_ms: 0,
                        values: vec![1],
                    });
                store.commit(batch).await.unwrap();
                // One write, so that no line is cut.
                std::io::stderr()
                    .write_all(format!("acked {id}\n").as_bytes())
                    .unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = Vec::new();
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_commits", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // From the first acknowledgement on, a while that differs from round to round.
        acked.extend(lines.next().map(|line| line.unwrap()));
        std::thread::sleep(Duration::from_millis(40 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        acked.extend(lines.map(|line| line.unwrap()));
    }
    let acked: Vec<&str> = acked
        .iter()
        .filter_map(|line| line.strip_prefix("acked "))
        .collect();
    assert!(acked.len() > 100, "{acked:?}");
    let store = open(folder.path());
    for id in &acked {
        assert!(
            store.get(Kind::Meta, id).unwrap().is_some(),
            "{id} was acknowledged and is lost"
        );
    }
    // Batches were written whole: as many events and counts as records.
    let records = store.count(Kind::Meta).unwrap();
    let query = RollupQuery {
        series: "s".to_owned(),
        key: None,
        since_ms: 0,
        until_ms: 1,
        after: None,
        limit: 1,
    };
    assert_eq!(
        store.rollups(&query).unwrap()[0].values,
        [i64::try_from(records).unwrap()]
    );
    assert_eq!(*store.newest_event().borrow(), records);
    assert!(records >= acked.len() as u64);
    println!("{} acknowledged, {records} found", acked.len());
}
