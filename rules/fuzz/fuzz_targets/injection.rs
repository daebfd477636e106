//! The injection detectors return for any value within a time that is linear in its length, and a rule sees the same
//! with its prefilter and without.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use weir_rules::{Connection, Disk, Mode, Options, RequestLine, RuleSet, Source, Transaction, compile};

/// Bytes that a repeated value is grown to, and the time for it: some hundred times what it takes.
const LONG: usize = 65_536;
const LONG_SECS_MAX: u64 = 2;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let text = "SecRule REQUEST_HEADERS:X-In \"@detectSQLi\" \"id:1,phase:1,pass\"\n\
                SecRule REQUEST_HEADERS:X-In \"@detectXSS\" \"id:2,phase:1,pass\"\n";
    compile(vec![Source { path: "made.conf".into(), text: text.into() }], &Disk).expect("rules").rules
});

fn observe(input: &[u8], plain: bool) -> Vec<String> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection { client: local, client_port: 1, server: local, server_port: 2 };
    let options = Options { mode: Mode::DetectOnly, plain, budget: u64::MAX, ..Options::default() };
    let mut tx = Transaction::new(Arc::clone(&RULES), &options, &connection);
    let line = RequestLine { method: b"GET", target: b"/", protocol: b"HTTP/1.1" };
    tx.request_headers(&line, &[(b"X-In", input)]);
    tx.finish().matches.iter().map(|m| format!("{} {} {}", m.id, m.variable, m.value)).collect()
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(observe(input, false), observe(input, true));
    if (1..256).contains(&input.len()) {
        let long = input.repeat(LONG / input.len());
        let started = Instant::now();
        observe(&long, true);
        assert!(started.elapsed().as_secs() < LONG_SECS_MAX);
    }
});
