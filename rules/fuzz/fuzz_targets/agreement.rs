//! The optimised evaluation and the plain one see the same, with every transformation and with the baseline set.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use weir_rules::{Connection, Disk, Mode, Options, RequestLine, RuleSet, Source, Transaction, baseline, compile};

const TRANSFORMATIONS: &[&str] = &[
    "base64Decode", "base64DecodeExt", "cmdLine", "compressWhitespace", "cssDecode", "escapeSeqDecode", "hexDecode",
    "htmlEntityDecode", "jsDecode", "lowercase", "normalizePath", "normalizePathWin", "removeComments",
    "removeCommentsChar", "removeNulls", "removeWhitespace", "replaceComments", "replaceNulls", "sqlHexDecode", "trim",
    "uppercase", "urlDecode", "urlDecodeUni", "utf8toUnicode",
];

static SETS: LazyLock<Vec<Arc<RuleSet>>> = LazyLock::new(|| {
    let mut text = String::new();
    for (at, first) in TRANSFORMATIONS.iter().enumerate() {
        let second = TRANSFORMATIONS[(at * 7 + 3) % TRANSFORMATIONS.len()];
        for (place, operator) in ["@rx (?i)sel[e3]ct|<[a-z]+\\s", "@pm union ../ \\u00", "@detectSQLi", "@validateByteRange 32-126"]
            .iter()
            .enumerate()
        {
            let id = at * 10 + place + 1;
            text.push_str(&format!(
                "SecRule ARGS|REQUEST_HEADERS|REQUEST_BODY \"{operator}\" \"id:{id},phase:2,pass,multiMatch,t:{first},t:{second}\"\n"
            ));
        }
    }
    let made = Source { path: "made.conf".into(), text };
    [vec![made], baseline()].iter().map(|s| compile(s, &Disk).expect("rules").rules).collect()
});

fn observe(rules: &Arc<RuleSet>, input: &[u8], plain: bool) -> Vec<String> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection { client: local, client_port: 1, server: local, server_port: 2 };
    let options = Options { mode: Mode::DetectOnly, plain, budget: u64::MAX, ..Options::default() };
    let mut tx = Transaction::new(Arc::clone(rules), &options, &connection);
    let line = RequestLine { method: b"POST", target: b"/", protocol: b"HTTP/1.1" };
    tx.request_headers(&line, &[(b"Content-Type", b"application/x-www-form-urlencoded"), (b"X-In", input)]);
    tx.request_body(input);
    let report = tx.finish();
    report.matches.iter().map(|m| format!("{} {} {}", m.id, m.variable, m.value)).collect()
}

fuzz_target!(|input: &[u8]| {
    for rules in SETS.iter() {
        assert_eq!(observe(rules, input, false), observe(rules, input, true));
    }
});
