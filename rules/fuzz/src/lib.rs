//! What the targets share: a request before compiled rules.

use std::sync::{Arc, LazyLock};

use weir_rules::{Connection, Disk, Mode, Options, Report, RequestLine, RuleSet, Source, Transaction, baseline, compile};

/// The shipped rules.
pub static BASELINE: LazyLock<Arc<RuleSet>> = LazyLock::new(|| compile(&baseline(), &Disk).expect("the baseline").rules);

/// Compiles a text that is right.
pub fn compiled(text: String) -> Arc<RuleSet> {
    let source = Source { path: "made.conf".into(), text };
    compile(&[source], &Disk).expect("rules").rules
}

/// Judges a POST with these fields and this body; `plain` without any optimisation.
pub fn judged(rules: &Arc<RuleSet>, fields: &[(&[u8], &[u8])], body: &[u8], plain: bool) -> Report {
    let options = Options { mode: Mode::DetectOnly, plain, budget: u64::MAX, ..Options::default() };
    let mut tx = Transaction::new(Arc::clone(rules), &options, &Connection::LOOPBACK);
    let line = RequestLine { method: b"POST", target: b"/a/b.php?x=1&y=%27<script>two", protocol: b"HTTP/1.1" };
    tx.request_headers(&line, fields);
    if plain {
        // The body comes in parts: where they end makes no difference.
        body.chunks(body.len() % 7 + 1).for_each(|part| tx.request_body_chunk(part));
    }
    tx.request_body_end(body);
    tx.finish()
}

/// What matched on what, in order.
pub fn seen(report: &Report) -> Vec<String> {
    report.matches.iter().map(|m| format!("{} {} {}", m.id, m.variable, m.value)).collect()
}

/// A body of one type before the shipped rules: nothing panics, and both evaluations see the same.
pub fn body(content_type: &[u8], body: &[u8]) {
    let fields = [(b"Content-Type".as_slice(), content_type)];
    let [fast, plain] = [false, true].map(|plain| judged(&BASELINE, &fields, body, plain));
    assert_eq!(seen(&fast), seen(&plain));
}
