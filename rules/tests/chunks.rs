//! A request body in parts is judged as the whole is.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

use std::sync::Arc;

use weir_rules::{Connection, Disk, Options, RequestLine, RuleSet, Source, Transaction, Verdict, compile};

fn rules(text: &str) -> Arc<RuleSet> {
    let source = Source {
        path: "chunks.conf".into(),
        text: text.to_owned(),
    };
    compile(&[source], &Disk).unwrap().rules
}

fn begin(rules: &Arc<RuleSet>, kind: &str) -> Transaction {
    let mut tx = Transaction::new(Arc::clone(rules), &Options::default(), &Connection::LOOPBACK);
    let line = RequestLine {
        method: b"POST",
        target: b"/",
        protocol: b"HTTP/1.1",
    };
    let _ = tx.request_headers(&line, &[(b"Content-Type", kind.as_bytes())]);
    tx
}

const RULES: &str = "SecRule ARGS_POST \"@rx ^evil$\" \"id:1,phase:2,pass\"\n\
    SecRule REQUEST_BODY \"@contains evil\" \"id:2,phase:2,pass\"\n\
    SecRule REQUEST_BODY_LENGTH \"@gt 10\" \"id:3,phase:2,pass\"\n\
    SecRule REQBODY_ERROR \"@eq 1\" \"id:4,phase:2,deny\"\n";

const BODIES: [(&str, &str, &[u64]); 5] = [
    (
        "application/x-www-form-urlencoded",
        "a=1&b=evil&c=%65vil",
        &[1, 2, 3],
    ),
    ("application/json", r#"{"a":["evil","\u0065vil"]}"#, &[1, 3]),
    ("application/json", r#"{"a":["evil"}"#, &[1, 2, 3, 4]),
    ("text/plain", "something evil", &[2, 3]),
    (
        "multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nevil\r\n--b--\r\n",
        &[1, 3],
    ),
];

#[test]
fn parts_are_judged_as_the_whole_wherever_they_end() {
    let rules = rules(RULES);
    for (kind, body, wanted) in BODIES {
        let mut whole = begin(&rules, kind);
        let verdict = whole.request_body(body.as_bytes());
        let ids: Vec<u64> = whole.finish().matches.iter().map(|m| m.id).collect();
        assert_eq!(ids, wanted, "{kind}");
        for at in 0..=body.len() {
            let mut parts = begin(&rules, kind);
            let (first, second) = body.as_bytes().split_at(at);
            parts.request_body_chunk(first);
            // What was not given as a part is read at the end.
            if at % 2 == 0 {
                parts.request_body_chunk(second);
            }
            assert_eq!(parts.request_body_end(body.as_bytes()), verdict, "{kind} at {at}");
            let ids: Vec<u64> = parts.finish().matches.iter().map(|m| m.id).collect();
            assert_eq!(ids, wanted, "{kind} at {at}");
        }
    }
}

#[test]
fn no_rule_runs_before_the_end() {
    let rules = rules("SecRule ARGS:a \"@streq evil\" \"id:1,phase:2,deny\"\n");
    let mut tx = begin(&rules, "application/x-www-form-urlencoded");
    tx.request_body_chunk(b"a=evil&");
    assert!(tx.matches().is_empty());
    assert_ne!(tx.request_body_end(b"a=evil&"), Verdict::Continue);
}

#[test]
fn a_body_that_rules_do_not_look_at_is_not_read() {
    let rules = rules("SecRequestBodyAccess Off\nSecRule ARGS:a \"@streq evil\" \"id:1,phase:2,deny\"\n");
    let mut tx = begin(&rules, "application/x-www-form-urlencoded");
    tx.request_body_chunk(b"a=evil");
    assert_eq!(tx.request_body_end(b"a=evil"), Verdict::Continue);
}

#[test]
fn a_cut_body_has_no_fault_and_what_no_parser_gave_is_judged_as_it_was_sent() {
    let rules = rules(RULES);
    for (kind, body, wanted) in [
        ("application/json", r#"{"a":["x","evi"#, &[3_u64][..]),
        ("application/json", r#"{"a":["x","evil x"#, &[2, 3]),
        ("text/xml", "<a><b>evil text", &[2, 3]),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nevil",
            &[2, 3],
        ),
        ("application/json", r#"{"a":}evil"#, &[2, 4]),
    ] {
        let mut tx = begin(&rules, kind);
        tx.request_body_is_cut();
        let _ = tx.request_body(body.as_bytes());
        let ids: Vec<u64> = tx.finish().matches.iter().map(|m| m.id).collect();
        assert_eq!(ids, wanted, "{kind}: {body}");
    }
}
