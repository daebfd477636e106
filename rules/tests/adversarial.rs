//! Hostile input costs bounded time and memory, and never a crash.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a broken rule set must fail the test"
)]

#[path = "../../tests/src/crs.rs"]
mod crs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_rules::ftw::crs_sources;
use weir_rules::{
    Connection, Disk, Mode, Options, Report, RequestLine, RuleSet, Transaction, baseline, compile,
};

/// The CRS at paranoia 4, or the baseline where it is not.
fn rules() -> Arc<RuleSet> {
    let Some(crs) = crs::checkout("rules") else {
        return compile(&baseline(), &Disk).unwrap().rules;
    };
    let extra = "SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4\"\n";
    compile(&crs_sources(&crs, extra, false).unwrap(), &Disk)
        .unwrap()
        .rules
}

fn judge(rules: &Arc<RuleSet>, kind: &str, body: &[u8], budget: u64) -> (Report, Duration) {
    let options = Options {
        mode: Mode::DetectOnly,
        budget,
        ..Options::default()
    };
    let start = Instant::now();
    let mut tx = Transaction::new(Arc::clone(rules), &options, &Connection::LOOPBACK);
    let line = RequestLine {
        method: b"POST",
        target: b"/",
        protocol: b"HTTP/1.1",
    };
    let fields: [(&[u8], &[u8]); 2] = [(b"Host", b"localhost"), (b"Content-Type", kind.as_bytes())];
    tx.request_headers(&line, &fields);
    tx.request_body(body);
    (tx.finish(), start.elapsed())
}

const FORM: &str = "application/x-www-form-urlencoded";
const SIZE: usize = 64 << 10;

fn repeated(text: &str) -> Vec<u8> {
    let mut body = b"a=".to_vec();
    while body.len() < SIZE {
        body.extend_from_slice(text.as_bytes());
    }
    body
}

#[test]
fn hostile_input_is_judged_in_bounded_time() {
    let rules = rules();
    let mut cases: Vec<(String, &str, Vec<u8>)> = Vec::new();
    for text in [
        "%25%32%35",
        "%u0027%u003c",
        "\\u0061\\x41\\101",
        "&#x26;#x26;lt;",
        "'",
        "\"'`",
        "/*",
        "/*/*!",
        "--",
        "a.b.c.",
        "a`b`",
        "a$.",
        "\u{e9}.",
        "a~.",
        "[a.",
        "((((",
        "1 or ",
        "in (",
        "select ",
        "<",
        "<a ",
        "<!--",
        "<![",
        "x=",
        "on",
        "=",
        "{{",
        "${",
        "../",
        "..\\",
        "\\",
        ";",
        "|",
        "aaaaaaaaaa",
        "aA1 ",
        "%00",
        "\u{e9}",
        "ls ",
        "c'a't ",
        "$IFS",
        "@@",
        "0x",
        "#\n",
        ",,",
        ". ",
        "1e",
        "union all ",
    ] {
        let mut body = repeated(text);
        body.iter_mut()
            .skip(2)
            .filter(|b| **b == b'&')
            .for_each(|b| *b = b'.');
        cases.push((format!("64 KB of {text:?}"), FORM, body));
    }
    let many = (0..100_000).map(|n| format!("a{n}={n}'or&")).collect::<String>();
    cases.push(("100,000 arguments".to_owned(), FORM, many.into_bytes()));
    cases.push(("deep JSON".to_owned(), "application/json", b"[".repeat(1_000_000)));
    let wide = format!("[{}1]", "1,".repeat(200_000));
    cases.push(("wide JSON".to_owned(), "application/json", wide.into_bytes()));
    cases.push(("deep XML".to_owned(), "text/xml", b"<a>".repeat(300_000)));
    cases.push((
        "many attributes".to_owned(),
        "text/xml",
        [b"<a ".as_slice(), &b"b=\"c\" ".repeat(100_000), b"/>"].concat(),
    ));
    cases.push((
        "entities".to_owned(),
        "text/xml",
        [b"<a>".as_slice(), &b"&amp;".repeat(100_000), b"</a>"].concat(),
    ));
    let part =
        b"--q\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nx\r\n".repeat(10_000);
    cases.push((
        "10,000 parts".to_owned(),
        "multipart/form-data; boundary=q",
        [part.as_slice(), b"--q--\r\n"].concat(),
    ));
    for (name, kind, body) in &cases {
        let (report, took) = judge(&rules, kind, body, Options::default().budget);
        println!(
            "{name}: {took:?}, {} matches, exceeded {}",
            report.matches.len(),
            report.budget_exceeded
        );
        // Generous: a debug build on a busy machine. A quadratic step would take minutes.
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    }
}

#[test]
fn an_exceeded_budget_is_reported() {
    let rules = rules();
    let (report, _) = judge(&rules, FORM, &repeated("' or 1=1 "), 100_000);
    assert!(report.budget_exceeded);
}
