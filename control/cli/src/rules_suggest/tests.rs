#![allow(clippy::unwrap_used, reason = "a test")]

use clap::Parser;
use serde_json::{Value, json};

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    thresholds: Thresholds,
}

fn found(rule: u64, target: &str, class: &str) -> Value {
    json!({
        "id": rule, "phase": 2, "file": "rules.conf", "line": 1, "msg": "m\nSecRuleEngine Off", "severity": "critical",
        "tags": [class], "targets": [{"name": target, "value": "x"}], "targets_dropped": 0,
    })
}

fn event(client: &str, verdict: &str, matched: &[Value]) -> String {
    let event = json!({
        "time": "2026-11-25T00:00:00.000Z", "request_id": "0", "generation": 1, "listener": "web", "tenant": "shop",
        "client": client, "country": "XX", "asn": 0, "protocol": "h2", "method": "POST", "host": "shop.test",
        "path": "/reviews", "status": 200, "mode": "detect", "verdict": verdict, "inbound_score": 5,
        "outbound_score": 0, "rule_set": "crs", "rule_set_digest": "0", "matched": matched, "matched_dropped": 0,
        "budget_exceeded": false, "bytes_in": 1, "work_bytes": 1, "waf_us": 1, "sample": 1,
    });
    format!("{event}\n")
}

/// What is proposed, and the reasons why not, of these events.
fn suggested(events: &str, flags: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut evidence = Evidence::default();
    evidence.read(events.as_bytes(), None, 1000).unwrap();
    let flags = ["weir"].iter().chain(flags);
    let thresholds = Command::try_parse_from(flags).unwrap().thresholds;
    let found = suggestions(&evidence, &thresholds);
    let proposed = found.proposed.iter().map(|(pair, _)| directive(pair)).collect();
    let reasons = found
        .doubted
        .iter()
        .map(|(pair, _, doubts)| format!("{} {}: {}", pair.rule, pair.target, doubts.join("; ")))
        .collect();
    (proposed, reasons)
}

/// So many requests of so many clients, each with these matches.
fn many(requests: usize, clients: usize, matched: &[Value]) -> String {
    (0..requests)
        .map(|at| event(&format!("192.0.2.{}", at % clients), "would_block", matched))
        .collect()
}

#[test]
fn a_rule_that_matches_one_field_of_many_clients_is_proposed_for_that_field() {
    let events = many(
        20,
        5,
        &[
            found(941_100, "ARGS:comment", "attack-xss"),
            found(949_110, "TX:score", "x"),
        ],
    );
    let (proposed, reasons) = suggested(&events, &[]);
    assert_eq!(proposed, ["SecRuleUpdateTargetById 941100 \"!ARGS:comment\""]);
    assert!(reasons.is_empty(), "scores are nobody's field: {reasons:?}");
}

#[test]
fn what_looks_like_an_attack_is_not_proposed() {
    let xss = || found(941_100, "ARGS:q", "attack-xss");
    for (events, reason) in [
        (many(9, 5, &[xss()]), "9 requests; 10 are needed"),
        (many(20, 1, &[xss()]), "1 clients; 3 are needed"),
        (
            many(20, 4, &[xss()]) + &many(40, 1, &[xss()]),
            "45 of 60 requests are of one client",
        ),
        (
            many(20, 5, &[xss(), found(942_100, "ARGS_GET:q", "attack-sqli")]),
            "another attack class match the same value (942100)",
        ),
        (
            many(20, 5, &[found(941_100, "REQUEST_URI", "attack-xss")]),
            "REQUEST_URI has no fields",
        ),
        (
            many(20, 5, &[found(941_100, "ARGS:a\" \"id:1", "attack-xss")]),
            "cannot be written",
        ),
    ] {
        let (proposed, reasons) = suggested(&events, &[]);
        assert!(proposed.is_empty(), "{reason}: {proposed:?}");
        assert!(
            reasons.iter().any(|one| one.contains(reason)),
            "{reason}: {reasons:?}"
        );
    }
}

#[test]
fn rules_of_one_class_on_the_same_value_are_proposed_together() {
    let matched = ["941100", "941160"].map(|id| found(id.parse().unwrap(), "ARGS:comment", "attack-xss"));
    assert_eq!(suggested(&many(20, 5, &matched), &[]).0.len(), 2);
}

#[test]
fn requests_of_a_client_that_tries_everything_are_no_evidence() {
    let tried = [
        found(941_100, "ARGS:comment", "attack-xss"),
        found(942_100, "ARGS:id", "attack-sqli"),
        found(930_100, "ARGS:file", "attack-lfi"),
    ];
    let scanner: String = (0..200)
        .map(|_| event("198.51.100.1", "would_block", &tried))
        .collect();
    let (proposed, reasons) = suggested(&scanner, &["--clients-min", "2"]);
    assert!(
        proposed.is_empty() && reasons[0].contains("0 requests"),
        "{reasons:?}"
    );
    // Beside those of ordinary clients they change nothing.
    let ordinary = many(250, 5, &tried[..1]);
    let (proposed, _) = suggested(&(ordinary + &scanner), &[]);
    assert_eq!(proposed, ["SecRuleUpdateTargetById 941100 \"!ARGS:comment\""]);
}

#[test]
fn thresholds_are_the_operators() {
    let events = many(4, 2, &[found(941_100, "ARGS:comment", "attack-xss")]);
    assert!(suggested(&events, &[]).0.is_empty());
    let flags = [
        "--requests-min",
        "4",
        "--clients-min",
        "2",
        "--client-share-max",
        "50",
    ];
    assert_eq!(suggested(&events, &flags).0.len(), 1);
}

#[test]
fn a_text_from_an_event_cannot_add_a_line_to_a_rule_file() {
    let mut evidence = Evidence::default();
    let events = many(20, 5, &[found(941_100, "ARGS:comment", "attack-xss")]);
    evidence.read(events.as_bytes(), None, 1000).unwrap();
    let thresholds = Command::try_parse_from(["weir"]).unwrap().thresholds;
    let found = suggestions(&evidence, &thresholds);
    assert_eq!((found.refused, found.cleared), (20, 20));
    let text = as_text(&evidence, &found, &lines(&found.proposed).join("\n"), 0);
    let active: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        active,
        ["SecRuleUpdateTargetById 941100 \"!ARGS:comment\""],
        "{text}"
    );
    assert!(
        text.contains("20 hits of 20 requests by 5 clients, 20 of them would have been blocked"),
        "{text}"
    );
}

#[test]
fn networks_of_ipv6_are_one_client() {
    let events: String = (0..20)
        .map(|at| {
            event(
                &format!("2001:db8::{at:x}"),
                "passed",
                &[found(941_100, "ARGS:c", "attack-xss")],
            )
        })
        .collect();
    let (proposed, reasons) = suggested(&events, &[]);
    assert!(
        proposed.is_empty() && reasons[0].contains("1 clients"),
        "{reasons:?}"
    );
}

#[test]
fn lines_that_are_no_events_are_counted() {
    let mut evidence = Evidence::default();
    let text = format!(
        "{}{{\"time\": 1}}\n\nnothing\n",
        event("192.0.2.1", "passed", &[])
    );
    evidence.read(text.as_bytes(), None, 1000).unwrap();
    assert_eq!((evidence.events(), evidence.strange), (1, 2));
}

#[test]
fn the_form_for_the_document_is_a_part_of_one() {
    let matched = [
        found(941_100, "ARGS:comment", "attack-xss"),
        found(941_100, "ARGS:body[text]", "attack-xss"),
        found(941_160, "ARGS:comment", "attack-xss"),
    ];
    let mut evidence = Evidence::default();
    let events = many(20, 5, &matched);
    evidence.read(events.as_bytes(), None, 1000).unwrap();
    let thresholds = Command::try_parse_from(["weir"]).unwrap().thresholds;
    let found = suggestions(&evidence, &thresholds);
    let part = document::lines(&found.proposed).join("\n");
    let text = format!(
        "version: 1\npools: [{{id: app, endpoints: [\"127.0.0.1:9\"]}}]\n{}\n",
        part.replace(
            "  - id: \"shop\"\n",
            "  - id: shop\n    hosts: [shop.test]\n    routes: [{id: all, pool: app}]\n"
        )
    );
    let document = weir_schema::config::Document {
        name: "part".to_owned(),
        base: PathBuf::from("."),
        text,
    };
    let config = weir_schema::config::check(&document).unwrap();
    let exclusions = &config.tenants[0].waf.exclusions;
    let targets: Vec<&[String]> = exclusions.iter().map(|one| one.targets.as_slice()).collect();
    assert_eq!(
        targets,
        [&["ARGS:body[text]", "ARGS:comment"][..], &["ARGS:comment"][..]]
    );
    assert!(
        exclusions[0]
            .note
            .as_deref()
            .unwrap()
            .contains("20 requests by 5 clients")
    );
    let listed = document::exclusions(&found.proposed);
    assert_eq!(listed[0]["exclusions"][1]["id"], 941_160);
    assert!(
        part.contains("# 941160 on ARGS:comment: m?SecRuleEngine Off"),
        "{part}"
    );
}
