//! The audit log: what rules found, without what is secret, and never more than the disk can take.

use serde_json::{Value, json};
use weir_tests::config::Config;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

use crate::Site;

const ATTACK: &str = "1%27%20UNION%20SELECT%20password%20FROM%20users--%20-";

/// A site with an audit log of these keys beside `file`.
fn audited(mode: &str, keys: Value) -> Site {
    Site::with(|config| audit(config, keys).set("/tenants/0/waf/mode", mode))
}

fn audit(config: Config, mut keys: Value) -> Config {
    keys["file"] = "audit.log".into();
    config.set("/observability/audit_log", keys)
}

/// A proxy with own rules behind the baseline, and an audit log.
fn ruled(rules: &str, mode: &str) -> (Origin, Weir) {
    let origin = Origin::start();
    let config = audit(Config::with_origin(origin.address()), json!({}))
        .set("/tenants/0/waf/rules", json!(["own.conf"]))
        .set("/tenants/0/waf/mode", mode);
    let weir = Weir::start_with_files(&config, &[("own.conf", rules)]);
    (origin, weir)
}

fn ask(weir: &Weir, target: &str, fields: &str) -> u16 {
    let head =
        format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n{fields}\r\n");
    weir.client().roundtrip(head).status
}

fn post(weir: &Weir, kind: &str, body: &str) -> u16 {
    let length = body.len();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    weir.client().roundtrip(head).status
}

fn read(weir: &Weir) -> Vec<Value> {
    let text = std::fs::read_to_string(weir.folder().join("audit.log")).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn events(weir: &Weir, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} audit events"), || {
        let events = read(weir);
        (events.len() >= count).then_some(events)
    })
}

fn counted(weir: &Weir, result: &str) -> f64 {
    weir.metric(&format!("weir_audit_events_total{{result=\"{result}\"}}"))
}

#[test]
fn an_event_says_which_rules_matched_on_what_and_what_came_of_it() {
    for (mode, status, verdict) in [("block", 403, "blocked"), ("detect", 200, "would_block")] {
        let site = audited(mode, json!({}));
        assert_eq!(ask(&site.weir, "/ordinary?q=1", ""), 200);
        assert_eq!(ask(&site.weir, &format!("/list?q={ATTACK}&page=2"), ""), status);
        let events = events(&site.weir, 1);
        let event = &events[0];
        assert_eq!(events.len(), 1, "only where rules matched: {events:?}");
        for (key, expected) in [
            ("tenant", json!("acme")),
            ("client", json!("127.0.0.1")),
            ("country", json!("XX")),
            ("method", json!("GET")),
            ("host", json!("acme.test")),
            ("path", json!("/list")),
            ("status", json!(status)),
            ("mode", json!(mode)),
            ("verdict", json!(verdict)),
            ("rule_set", json!("baseline")),
            ("generation", json!(1)),
            ("matched_dropped", json!(0)),
            ("budget_exceeded", json!(false)),
        ] {
            assert_eq!(event[key], expected, "{key}: {event}");
        }
        assert!(
            event["time"]
                .as_str()
                .is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
            "{event}"
        );
        assert_eq!(event["request_id"].as_str().map(str::len), Some(32));
        assert_eq!(event["rule_set_digest"].as_str().map(str::len), Some(16));
        assert!(event["inbound_score"].as_u64() >= Some(5), "{event}");
        assert!(event["blocked_by"].is_u64() && event["blocked_in_phase"].is_u64());
        let matched = event["matched"].as_array().unwrap();
        let on_q = matched
            .iter()
            .find(|found| found["targets"][0]["name"] == "ARGS:q");
        let found = on_q.unwrap_or_else(|| panic!("no match on ARGS:q: {event}"));
        assert!(found["id"].is_u64() && found["line"].is_u64() && found["phase"].is_u64());
        assert!(
            found["file"].as_str().unwrap().ends_with("baseline.conf"),
            "{found}"
        );
        assert!(!found["msg"].as_str().unwrap().is_empty() && found["severity"].is_string());
        assert!(!found["tags"].as_array().unwrap().is_empty());
        let labels = format!("weir_waf_verdicts_total{{tenant=\"acme\",verdict=\"{verdict}\"}}");
        assert!(site.weir.metric(&labels) > 0.5 && counted(&site.weir, "written") > 0.5);
    }
}

#[test]
fn secrets_do_not_reach_the_event() {
    let site = audited("detect", json!({ "redact": ["patient"], "value_bytes_max": 256 }));
    let secret = "hunter2";
    let query = format!(
        "/?q={ATTACK}&password={secret}{ATTACK}&patient_name={secret}{ATTACK}&note=4111111111111111%20{ATTACK}"
    );
    let fields = format!("Cookie: sid={secret}{ATTACK}\r\nAuthorization: Basic {secret}\r\n");
    assert_eq!(ask(&site.weir, &query, &fields), 200);
    let body = format!("{{\"password\": \"{secret}\", \"x\": \"<script>alert(1)</script>\"");
    assert_eq!(post(&site.weir, "application/json", &body), 200);
    let text = events(&site.weir, 2)
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        !text.contains(secret) && !text.contains("4111111111111111"),
        "{text}"
    );
    assert!(
        text.contains("[redacted]") && text.contains("[card]") && text.contains("ARGS:patient_name"),
        "{text}"
    );
}

#[test]
fn values_are_excerpts_hashes_or_left_out() {
    let values = |keys: Value| {
        let site = audited("detect", keys);
        assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}&a={ATTACK}"), ""), 200);
        let event = events(&site.weir, 1).remove(0);
        let target = event["matched"][0]["targets"][0].clone();
        assert!(target["name"].is_string(), "{event}");
        (target["value"].clone(), event)
    };
    let (value, event) = values(json!({ "values": "excerpt", "value_bytes_max": 7 }));
    assert_eq!(value.as_str().map(str::len), Some(7));
    assert!(event["query"].as_str().unwrap().contains("UNION"), "{event}");
    let (value, event) = values(json!({ "values": "hash" }));
    assert!(
        value.as_str().is_some_and(|value| value.starts_with("hash:")),
        "{event}"
    );
    assert!(
        !event.to_string().to_lowercase().contains("union%20select"),
        "{event}"
    );
    let (value, event) = values(json!({ "values": "omit" }));
    assert_eq!((&value, &event["query"]), (&Value::Null, &json!("q=&a=")));
}

#[test]
fn an_event_has_so_many_rules_and_counts_the_rest() {
    let own: String = (1..=40)
        .map(|id| format!("SecRule ARGS:q \"@streq x\" \"id:{id},phase:1,pass,log,msg:'m'\"\n"))
        .collect();
    let origin = Origin::start();
    let config = audit(Config::with_origin(origin.address()), json!({ "matched_max": 3 }))
        .set("/tenants/0/waf/rules", json!(["own.conf"]));
    let weir = Weir::start_with_files(&config, &[("own.conf", &own)]);
    assert_eq!(ask(&weir, "/?q=x", ""), 200);
    let event = events(&weir, 1).remove(0);
    assert_eq!(event["matched"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&event["matched_dropped"], &event["verdict"]),
        (&json!(37), &json!("passed"))
    );
}

#[test]
fn a_flood_of_one_rule_is_bounded_per_second_and_refusals_never_are() {
    let site = audited("detect", json!({ "rule_events_per_s_max": 2 }));
    let mut client = site.weir.client();
    let request =
        format!("GET /?q={ATTACK} HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n\r\n");
    let began = std::time::Instant::now();
    for _ in 0..60 {
        assert_eq!(client.roundtrip(&request).status, 200);
    }
    let seconds = began.elapsed().as_secs_f64() + 2.0;
    wait_for("all events to be counted", || {
        let all = counted(&site.weir, "written") + counted(&site.weir, "over_rate");
        (all > 59.5).then_some(())
    });
    let written = counted(&site.weir, "written");
    assert!(
        written >= 2.0 && written <= 2.0 * seconds,
        "{written} in {seconds} s"
    );

    let site = audited(
        "block",
        json!({ "rule_events_per_s_max": 1, "sample": 1_000_000 }),
    );
    let mut client = site.weir.client();
    for _ in 0..20 {
        assert_eq!(client.roundtrip(&request).status, 403);
    }
    assert_eq!(events(&site.weir, 20).len(), 20);
}

#[test]
fn sampling_leaves_out_what_passed() {
    let site = audited(
        "detect",
        json!({ "sample": 1_000_000, "rule_events_per_s_max": 0 }),
    );
    for _ in 0..10 {
        assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}"), ""), 200);
    }
    wait_for("ten events that were left out", || {
        (counted(&site.weir, "sampled_out") > 9.5).then_some(())
    });
    assert!(read(&site.weir).is_empty());
}

#[test]
fn rules_say_whether_they_are_audited() {
    let rules = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,pass,nolog\"\n\
        SecRule ARGS:a \"@streq 2\" \"id:2,phase:1,pass,log,noauditlog\"\n\
        SecRule ARGS:a \"@streq 3\" \"id:3,phase:1,pass,nolog,auditlog\"\n\
        SecRule ARGS:a \"@streq 4\" \"id:4,phase:1,pass,log\"\n\
        SecRule ARGS:off \"@streq 1\" \"id:5,phase:1,pass,nolog,ctl:auditEngine=Off\"\n\
        SecRule ARGS:on \"@streq 1\" \"id:6,phase:1,pass,nolog,ctl:auditEngine=On\"\n";
    let (_origin, weir) = ruled(rules, "block");
    for target in ["/?a=1", "/?a=2", "/?a=3", "/?a=4&off=1", "/?on=1", "/?a=4"] {
        assert_eq!(ask(&weir, target, ""), 200);
    }
    let seen: Vec<(String, Vec<u64>)> = events(&weir, 3)
        .iter()
        .map(|event| {
            let ids = event["matched"].as_array().unwrap().iter();
            let ids = ids.filter_map(|found| found["id"].as_u64()).collect();
            (event["query"].as_str().unwrap().to_owned(), ids)
        })
        .collect();
    let expected = [("a=3", vec![3]), ("on=1", vec![]), ("a=4", vec![4])];
    assert_eq!(seen, expected.map(|(query, ids)| (query.to_owned(), ids)));
    let counted = |rule: u64| weir.metric(&format!("weir_waf_matches_total{{rule=\"{rule}\"}}"));
    assert!(
        counted(2) > 0.5 && counted(4) > 1.5,
        "noauditlog is about the event only"
    );
    assert!(
        counted(1) < 0.5 && counted(3) < 0.5,
        "nolog keeps it out of the counters"
    );
}

#[test]
fn a_broken_body_and_a_used_up_budget_are_told_and_counted() {
    // Each rule is charged the whole body and ends at its last bytes: 300 MB of work in no time.
    let rules: String = (1..=300)
        .map(|id| format!("SecRule REQUEST_BODY \"!@endsWith zz9\" \"id:{id},phase:2,pass,nolog\"\n"))
        .collect();
    let (_origin, weir) = ruled(&rules, "detect");
    assert_eq!(post(&weir, "text/plain", &"x".repeat(1_000_000)), 200);
    let event = events(&weir, 1).remove(0);
    assert_eq!(
        (&event["budget_exceeded"], &event["verdict"], &event["blocked_by"]),
        (&json!(true), &json!("would_block"), &json!(0)),
        "{event}"
    );
    assert!(event["work_bytes"].as_u64() > Some(200_000_000), "{event}");
    assert!(weir.metric("weir_waf_budget_exceeded_total{tenant=\"acme\"}") > 0.5);
    assert_eq!(post(&weir, "application/json", "{\"a\":"), 200);
    let event = events(&weir, 2).remove(1);
    assert!(event["body_fault"].is_string(), "{event}");
    assert!(weir.metric("weir_waf_body_faults_total{tenant=\"acme\"}") > 0.5);
}

#[test]
fn the_file_is_opened_again_on_sighup_and_is_not_readable_by_all() {
    use std::os::unix::fs::PermissionsExt;
    let site = audited("block", json!({}));
    let path = site.weir.folder().join("audit.log");
    assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}"), ""), 403);
    events(&site.weir, 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    std::fs::rename(&path, site.weir.folder().join("audit.log.1")).unwrap();
    site.weir.signal(rustix::process::Signal::HUP);
    wait_for("an event in a new file", || {
        assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}"), ""), 403);
        (!read(&site.weir).is_empty()).then_some(())
    });
}

#[test]
fn a_file_that_cannot_be_written_costs_events_and_no_request() {
    let site = Site::with(|config| {
        config.set(
            "/observability/audit_log",
            json!({ "file": "missing/folder/audit.log" }),
        )
    });
    assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}"), ""), 403);
    wait_for("the failure to be counted", || {
        (counted(&site.weir, "failed") > 0.5).then_some(())
    });
}

#[test]
fn events_go_to_standard_output_where_the_document_says_so() {
    let site = Site::with(|config| config.set("/observability/audit_log", json!({ "stdout": true })));
    assert_eq!(ask(&site.weir, &format!("/marked?q={ATTACK}"), ""), 403);
    wait_for("the event on standard output", || {
        let log = site.weir.log();
        log.lines()
            .any(|line| line.contains("/marked") && line.contains("\"verdict\":\"blocked\""))
            .then_some(())
    });
}

#[test]
fn a_refused_response_is_told_with_its_phase() {
    let rules = "SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
        SecRule RESPONSE_BODY \"@contains leaked\" \"id:1000002,phase:4,deny,status:403,log,msg:'leak'\"\n";
    let origin = Origin::answering(|_| weir_tests::origin::Answer::text("a leaked line"));
    let config = audit(Config::with_origin(origin.address()), json!({}))
        .set("/tenants/0/waf/rules", json!(["own.conf"]));
    let weir = Weir::start_with_files(&config, &[("own.conf", rules)]);
    assert_eq!(ask(&weir, "/", ""), 502);
    let event = events(&weir, 1).remove(0);
    assert_eq!(
        (
            &event["verdict"],
            &event["blocked_by"],
            &event["blocked_in_phase"],
            &event["status"]
        ),
        (&json!("blocked"), &json!(1_000_002), &json!(4), &json!(502)),
        "{event}"
    );
    assert_eq!(event["route"], "all");
}

#[test]
fn events_are_in_the_file_when_the_process_has_ended() {
    let mut site = audited("block", json!({}));
    for _ in 0..50 {
        assert_eq!(ask(&site.weir, &format!("/?q={ATTACK}"), ""), 403);
    }
    site.weir.signal(rustix::process::Signal::TERM);
    assert!(site.weir.wait_exit().success());
    assert_eq!(read(&site.weir).len(), 50);
}
