//! One request before rules of a text.

use weir_rules::{Connection, Disk, Options, Report, RequestLine, Source, Transaction, Verdict, compile};

pub(crate) fn source(text: &str) -> [Source; 1] {
    [Source {
        path: "test.conf".into(),
        text: text.to_owned(),
    }]
}

/// A POST with a body of a type; what the rules decided and what they report.
pub(crate) fn exchange(
    text: &str,
    target: &str,
    kind: &str,
    body: &str,
    options: &Options,
) -> (Verdict, Report) {
    let rules = compile(&source(text), &Disk).unwrap().rules;
    let mut tx = Transaction::new(rules, options, &Connection::LOOPBACK);
    let line = RequestLine {
        method: b"POST",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let mut verdict = tx.request_headers(&line, &[(b"Content-Type", kind.as_bytes())]);
    if verdict == Verdict::Continue {
        verdict = tx.request_body(body.as_bytes());
    }
    (verdict, tx.finish())
}
