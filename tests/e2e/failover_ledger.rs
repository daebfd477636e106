//! What clients were told against what origins did, while one of two origins fails in every way at any moment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use weir_tests::h1::H1;
use weir_tests::origin_process::{Entry, OriginProcess, serve_if_asked};
use weir_tests::weir::Weir;

use crate::failover::over;

const CHILD: &str = "failover_ledger::origin_process";
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const CLIENTS: u32 = 4;
const REQUESTS: u32 = 1500;

#[test]
#[ignore = "the body of an origin process, started by the other test"]
fn origin_process() {
    serve_if_asked();
}

/// What a client was told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Success,
    /// A success that broke off.
    Cut,
    Status(u16),
}

fn ask(address: SocketAddr, method: &str, id: &str) -> Told {
    let mut client = H1::connect(address);
    let request = format!(
        "{method} / HTTP/1.1\r\nHost: acme.test\r\nx-id: {id}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    );
    client.send(request).unwrap();
    let bytes = client.drain();
    let text = String::from_utf8_lossy(&bytes);
    let status: u16 = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    match status {
        200 if text.ends_with("\r\n\r\nok") => Told::Success,
        200 => Told::Cut,
        other => Told::Status(other),
    }
}

/// One client's requests: id, method and what it was told.
fn client(address: SocketAddr, number: u32) -> Vec<(String, &'static str, Told)> {
    let requests = (0..REQUESTS).map(|at| {
        let (id, method) = (format!("{number}-{at}"), METHODS[(at % 4) as usize]);
        let told = ask(address, method, &id);
        (id, method, told)
    });
    requests.collect()
}

#[test]
fn every_success_is_in_a_ledger_and_no_post_was_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let sound = OriginProcess::start(folder.path(), "sound", CHILD, false);
    let faulty = OriginProcess::start(folder.path(), "faulty", CHILD, true);
    // Short ejections: the faulty one is to get many requests.
    let outlier = json!({ "ejection_base_ms": 10, "ejection_max_ms": 20 });
    let weir = Weir::start(&over(&[sound.address(), faulty.address()]).set("/pools/0/outlier", outlier));
    let (address, done) = (weir.address("web"), AtomicBool::new(false));
    let told = std::thread::scope(|scope| {
        let nurse = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if faulty.is_down() {
                    std::thread::sleep(Duration::from_millis(50));
                    faulty.revive();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(address, number)))
            .collect();
        let told: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        done.store(true, Ordering::Release);
        nurse.join().unwrap();
        told
    });
    let mut done: HashMap<String, Vec<Entry>> = HashMap::new();
    for entry in sound.ledger().into_iter().chain(faulty.ledger()) {
        done.entry(entry.id.clone()).or_default().push(entry);
    }
    check(&told, &done);
    assert!(
        faulty.ledger().len() > 50,
        "{} reached the faulty one",
        faulty.ledger().len()
    );
}

fn check(told: &[(String, &'static str, Told)], done: &HashMap<String, Vec<Entry>>) {
    let mut violations = Vec::new();
    for (id, method, told) in told {
        let entries = done.get(id).map(Vec::as_slice).unwrap_or_default();
        let wrong = match (*method, *told) {
            ("POST", _) if entries.len() > 1 => Some("done twice"),
            (_, Told::Success) if !entries.iter().any(|entry| !entry.cut) => {
                Some("a success that nobody did")
            }
            (_, Told::Cut) if !entries.iter().any(|entry| entry.cut) => Some("cut by us"),
            ("POST", _) | (_, Told::Success | Told::Cut) => None,
            (_, Told::Status(_)) => Some("an idempotent request failed"),
        };
        violations.extend(wrong.map(|wrong| format!("{wrong}: {method} {id} {told:?} {entries:?}")));
    }
    assert!(
        violations.is_empty(),
        "{} of {}: {violations:#?}",
        violations.len(),
        told.len()
    );
    let failed_posts = told
        .iter()
        .filter(|(_, method, told)| *method == "POST" && *told != Told::Success);
    assert!(
        failed_posts.count() > 0,
        "no fault met a POST: the test shows nothing"
    );
}
