//! The baseline set, both ways: attacks are refused, ordinary traffic is not.

#![allow(clippy::unwrap_used, reason = "a broken case file must fail the test")]

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use weir_rules::{
    Connection, Disk, Options, RequestLine, RuleSet, Source, Transaction, Verdict, baseline, compile,
};

struct Case {
    note: String,
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
}

fn cases(text: &str) -> Vec<Case> {
    let all: Value = serde_json::from_str(text).unwrap();
    let string = |v: &Value, key: &str, default: &str| v[key].as_str().unwrap_or(default).to_owned();
    all.as_array()
        .unwrap()
        .iter()
        .map(|v| {
            let body = string(v, "body", "");
            let mut fields = vec![("Host".to_owned(), "shop.test".to_owned())];
            let agent = string(
                v,
                "agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            );
            fields.push(("User-Agent".to_owned(), agent));
            if !body.is_empty() {
                fields.push((
                    "Content-Type".to_owned(),
                    string(v, "type", "application/x-www-form-urlencoded"),
                ));
            }
            if let Some(headers) = v["headers"].as_object() {
                fields.extend(
                    headers
                        .iter()
                        .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())),
                );
            }
            let method = if body.is_empty() { "GET" } else { "POST" }.to_owned();
            Case {
                note: v.to_string(),
                method,
                target: string(v, "target", "/"),
                fields,
                body,
            }
        })
        .collect()
}

fn judge(case: &Case) -> (bool, Vec<u64>) {
    static RULES: OnceLock<Arc<RuleSet>> = OnceLock::new();
    judge_by(
        RULES.get_or_init(|| compile(&baseline(), &Disk).unwrap().rules),
        case,
    )
}

fn judge_by(rules: &Arc<RuleSet>, case: &Case) -> (bool, Vec<u64>) {
    let mut tx = Transaction::new(rules.clone(), &Options::default(), &Connection::LOOPBACK);
    let line = RequestLine {
        method: case.method.as_bytes(),
        target: case.target.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let fields: Vec<_> = case
        .fields
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    let mut verdict = tx.request_headers(&line, &fields);
    if verdict == Verdict::Continue {
        verdict = tx.request_body(case.body.as_bytes());
    }
    let ids = tx.matches().iter().map(|m| m.id).collect();
    (verdict != Verdict::Continue, ids)
}

fn check(text: &str, refused: bool, at_least: usize) {
    let all = cases(text);
    assert!(all.len() >= at_least, "only {} cases", all.len());
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|case| {
            let (denied, ids) = judge(case);
            (denied != refused).then(|| format!("{ids:?} {}", case.note))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
}

#[test]
fn attacks_are_refused() {
    check(include_str!("../testdata/baseline/attacks.json"), true, 1300);
}

#[test]
fn ordinary_requests_pass() {
    check(include_str!("../testdata/baseline/benign.json"), false, 1200);
}

/// The exclusions that docs/waf.md shows.
#[test]
fn exclusions_of_a_tenant_hold_for_their_field_and_path_only() {
    let mut sources = baseline();
    sources.push(Source {
        path: "shop.conf".into(),
        text: "SecRuleUpdateTargetById 9000170-9000179 \"!ARGS:q\"\n\
            SecRule REQUEST_FILENAME \"@beginsWith /admin/pages\" \
            \"id:1000010,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=attack-xss;ARGS:html\"\n\
            SecRuleRemoveById 9000121\n"
            .into(),
    });
    let rules = compile(&sources, &Disk).unwrap().rules;
    let text = r#"[{"target": "/?q=1%20union%20select%201,2"}, {"target": "/?z=1%20union%20select%201,2"},
        {"target": "/admin/pages", "body": "html=%3Cscript%3E1%3C/script%3E"},
        {"target": "/comment", "body": "html=%3Cscript%3E1%3C/script%3E"}, {"target": "/web.config"}]"#;
    let refused: Vec<bool> = cases(text).iter().map(|case| judge_by(&rules, case).0).collect();
    assert_eq!(refused, [false, true, false, true, false]);
}
