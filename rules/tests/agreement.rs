//! The optimised evaluation against the plain one, on random requests made of what attacks are made of.

#![allow(clippy::unwrap_used, reason = "a broken rule set must fail the test")]

#[path = "../../tests/src/crs.rs"]
mod crs;

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use weir_rules::ftw::crs_sources;
use weir_rules::{Connection, Disk, Mode, Options, RequestLine, RuleSet, Transaction, baseline, compile};

/// The baseline, and the CRS at paranoia 1 and 4 where it is.
fn sets() -> &'static [Arc<RuleSet>] {
    static SETS: OnceLock<Vec<Arc<RuleSet>>> = OnceLock::new();
    SETS.get_or_init(|| {
        let mut sets = vec![compile(&baseline(), &Disk).unwrap().rules];
        let Some(crs) = crs::checkout("rules") else {
            return sets;
        };
        for level in [1, 4] {
            let extra = format!(
                "SecResponseBodyAccess On\nSecAction \"id:900000,phase:1,pass,nolog,\
                setvar:tx.blocking_paranoia_level={level}\"\n"
            );
            sets.push(
                compile(&crs_sources(&crs, &extra, false).unwrap(), &Disk)
                    .unwrap()
                    .rules,
            );
        }
        sets
    })
}

/// Pieces of ordinary values and of attacks; random text alone reaches few rules.
const PIECES: &[&str] = &[
    "select",
    "union",
    "from",
    "users",
    "' or ",
    "1=1",
    "--",
    "/*",
    "*/",
    "#",
    ";",
    "|",
    "&",
    "`",
    "$(",
    ")",
    "${",
    "}",
    "<script>",
    "</script>",
    "<img src=x ",
    "onerror=",
    "javascript:",
    "alert(1)",
    "../",
    "..\\",
    "/etc/passwd",
    "cmd.exe",
    "wget ",
    "curl http://",
    "php://input",
    "<?php ",
    "eval(",
    "system(",
    "java.lang.Runtime",
    "jndi:ldap://",
    "{{7*7}}",
    "__proto__",
    "constructor",
    "%27",
    "%3C",
    "%00",
    "%u0027",
    "\\u0061",
    "\\x41",
    "&lt;",
    "&#x3c;",
    "\0",
    "\r\n",
    "Set-Cookie:",
    "admin",
    "hello",
    "world",
    "John",
    "42",
    "3.14",
    "a@b.example",
    " ",
    "+",
    "=",
    "\"",
    "'",
    "[",
    "]",
    "_",
    "sleep(5)",
    "c'a't ",
    "w\\get ",
    "c\"u\"r[l -s",
    "n$@c ",
    "/b\\in/b''ash",
    "un'ion sel\\ect",
    "e(v)al",
    "waitfor delay ",
    "0x41",
    "char(65)",
    "ls -la",
    "nc -e",
    "base64,",
    "data:text/html",
    "file:///",
    ".git/",
    "SELECT",
    "UnIoN",
    "é",
    "日本",
    "\u{7f}",
    "\t",
    ",",
    ".",
    "-",
    "~",
    "^",
    "!",
    "@@version",
    "/bin/sh",
    "a",
    "b",
    "x",
];

fn text() -> impl Strategy<Value = Vec<u8>> + Clone {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|p| p.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    // Long values take ways of their own.
    let count = prop_oneof![9 => 0..8_usize, 1 => 40..120_usize];
    count
        .prop_flat_map(move |count| proptest::collection::vec(piece.clone(), count))
        .prop_map(|pieces| pieces.concat())
}

#[derive(Debug, Clone)]
struct Request {
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    response: Vec<u8>,
}

fn request() -> impl Strategy<Value = Request> {
    let kind = proptest::sample::select(vec![
        "",
        "application/x-www-form-urlencoded",
        "application/json",
        "text/xml",
        "multipart/form-data; boundary=b",
        "text/plain",
    ]);
    let pairs = || proptest::collection::vec((text(), text()), 0..4);
    (text(), pairs(), pairs(), kind, text(), text(), text()).prop_map(
        |(path, query, form, kind, cookie, referer, response)| {
            let join = |pairs: &[(Vec<u8>, Vec<u8>)]| {
                let all: Vec<Vec<u8>> = pairs
                    .iter()
                    .map(|(n, v)| [n, b"=".as_slice(), v].concat())
                    .collect();
                all.join(&b'&')
            };
            let quoted = |text: &[u8]| serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
            let body = match kind {
                "application/json" => {
                    let all: Vec<String> = form
                        .iter()
                        .map(|(n, v)| format!("{}: [{}]", quoted(n), quoted(v)))
                        .collect();
                    format!("{{{}}}", all.join(",")).into_bytes()
                }
                "text/xml" => {
                    let text: Vec<u8> = form
                        .iter()
                        .flat_map(|(n, v)| [n.as_slice(), v].concat())
                        .collect();
                    let text = String::from_utf8_lossy(&text).replace(['<', '&'], "");
                    format!("<a b=\"{}\">{text}</a>", text.replace('"', "")).into_bytes()
                }
                "multipart/form-data; boundary=b" => {
                    let mut body = Vec::new();
                    for (name, value) in &form {
                        let name = String::from_utf8_lossy(name).replace(['"', '\r', '\n'], "");
                        body.extend(
                            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes(),
                        );
                        body.extend_from_slice(value);
                        body.extend_from_slice(b"\r\n");
                    }
                    body.extend_from_slice(b"--b--\r\n");
                    body
                }
                _ => join(&form),
            };
            let header = |n: &str, v: &[u8]| (n.as_bytes().to_vec(), v.to_vec());
            Request {
                target: [b"/", path.as_slice(), b"?", &join(&query)].concat(),
                headers: vec![
                    header("Host", b"localhost"),
                    header("User-Agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
                    header("Accept", b"*/*"),
                    header("Content-Type", kind.as_bytes()),
                    header("Cookie", &[b"a=", cookie.as_slice(), b"; c=", &cookie].concat()),
                    header("Referer", &referer),
                    header("X-Made-Up", &referer),
                ],
                body,
                response,
            }
        },
    )
}

/// Everything that the two evaluations must agree on.
fn observe(rules: &Arc<RuleSet>, request: &Request, plain: bool) -> (Vec<String>, u32) {
    let options = Options {
        mode: Mode::DetectOnly,
        budget: u64::MAX,
        plain,
        ..Options::default()
    };
    let mut tx = Transaction::new(Arc::clone(rules), &options, &Connection::LOOPBACK);
    let fields: Vec<_> = request
        .headers
        .iter()
        .map(|(n, v)| (n.as_slice(), v.as_slice()))
        .collect();
    let line = RequestLine {
        method: b"POST",
        target: &request.target,
        protocol: b"HTTP/1.1",
    };
    tx.request_headers(&line, &fields);
    tx.request_body(&request.body);
    tx.response_headers(200, b"HTTP/1.1", &[(b"Content-Type", b"text/html")]);
    if tx.wants_response_body() {
        tx.response_body(&request.response);
    }
    let report = tx.finish();
    let lines = report
        .matches
        .iter()
        .map(|m| format!("{} {} {} {} {}", m.id, m.message, m.data, m.variable, m.value))
        .collect();
    (lines, report.score)
}

proptest! {
    #![proptest_config(ProptestConfig {
        // More with PROPTEST_CASES=N.
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_evaluations_see_the_same(request in request()) {
        for rules in sets() {
            prop_assert_eq!(observe(rules, &request, false), observe(rules, &request, true));
        }
    }
}
