//! No body of any type panics; the first byte says which type.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use weir_rules::{Connection, Disk, Options, RequestLine, RuleSet, Transaction, baseline, compile};

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| compile(&baseline(), &Disk).expect("the baseline").rules);

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else { return };
    let kind: &[u8] = match kind % 4 {
        0 => b"application/x-www-form-urlencoded",
        1 => b"application/json",
        2 => b"text/xml",
        _ => b"multipart/form-data; boundary=b",
    };
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection { client: local, client_port: 1, server: local, server_port: 2 };
    let mut tx = Transaction::new(Arc::clone(&RULES), &Options::default(), &connection);
    let line = RequestLine { method: b"POST", target: b"/", protocol: b"HTTP/1.1" };
    tx.request_headers(&line, &[(b"Content-Type", kind)]);
    tx.request_body(body);
    let report = tx.finish();
    assert!(!report.budget_exceeded);
});
