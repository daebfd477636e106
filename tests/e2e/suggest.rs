//! From detect mode to fitting exclusions: the audit log of a real proxy, `weir rules suggest`, `patch`, a reload.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use weir_tests::config::Config;
use weir_tests::crs;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::{Weir, run};

/// What customers of the application write: HTML of its editor.
const COMMENTS: [&str; 4] = [
    "<p>Great <strong>kettle</strong></p><!-- draft --><ul><li>boils</li></ul>",
    "<img src=\"https://shop.example/kettle.png\" alt=\"kettle\"> looks nice",
    "<p style=\"color: red\">Broken after <em>two</em> weeks</p>",
    "<p>See <a href=\"https://shop.example/manual\">the manual</a></p><!-- end -->",
];
const INJECTION: &str = "1' UNION SELECT username, password FROM users-- -";

/// Rules that need no other files: they find markup and SQL in any argument.
const OWN_SET: &str = "\
SecRule ARGS \"@rx <[a-z]\" \"id:200001,phase:2,deny,log,msg:'Markup',severity:CRITICAL,tag:attack-xss\"\n\
SecRule ARGS \"@contains <!--\" \"id:200002,phase:2,deny,log,msg:'A comment of HTML',severity:CRITICAL,tag:attack-xss\"\n\
SecRule ARGS \"@detectSQLi\" \"id:200003,phase:2,deny,log,msg:'SQL',severity:CRITICAL,tag:attack-sqli\"\n";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Posts a review as one of six customers behind a trusted proxy.
fn review(weir: &Weir, customer: usize, title: &str, comment: &str) {
    let body = format!("title={}&comment={}", encoded(title), encoded(comment));
    let length = body.len();
    let response = weir.client().roundtrip(format!(
        "POST /reviews HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n\
         X-Forwarded-For: 192.0.2.{customer}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(response.status, 200, "detect mode lets all pass");
}

fn day_of_reviews(weir: &Weir) {
    for at in 0..48 {
        let comment = COMMENTS[at / 6 % COMMENTS.len()];
        review(weir, at % 6 + 1, "A kettle", comment);
    }
}

/// Events that are in the file as whole lines; the last may still be on its way.
fn events(weir: &Weir) -> Vec<Value> {
    let text = std::fs::read_to_string(weir.folder().join("audit.log")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The whole way with the rules of these files.
fn detect_suggest_patch_reload(files: &[PathBuf], own_set: &str) {
    let origin = Origin::start();
    let config = Config::with_origin(origin.address())
        .set("/trust/proxies", json!(["127.0.0.0/8"]))
        .set(
            "/observability/audit_log",
            json!({ "file": "audit.log", "rule_events_per_s_max": 0 }),
        )
        .set("/rule_sets", json!([{ "id": "set", "files": files }]))
        .set(
            "/tenants/0/waf",
            json!({ "mode": "detect", "rule_set": "set", "rules": ["shop.conf"] }),
        );
    let weir = Weir::start_with_files(&config, &[("shop.conf", "# The shop.\n"), ("set.conf", own_set)]);
    day_of_reviews(&weir);
    // A single visitor who looks for a hole is no reason to open one.
    for _ in 0..30 {
        review(&weir, 99, INJECTION, "nothing");
    }
    let before = wait_for("the events of the day", || {
        let events = events(&weir);
        let last = events.last()?;
        let is_last = last["client"] == "192.0.2.99" && events.len() >= 30;
        let attacks = events.iter().filter(|event| event["client"] == "192.0.2.99");
        (is_last && attacks.count() == 30).then_some(events)
    });
    assert!(before.len() > 40, "{} events", before.len());

    let path = |name: &str| weir.folder().join(name).display().to_string();
    let (log, rules) = (path("audit.log"), path("shop.conf"));
    let (code, said) = run(&["rules", "suggest", &log, "--against", &rules, "--output", "json"]);
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(code, Some(0), "{said}");
    let of = |key: &str| -> Vec<String> {
        let list = report[key].as_array().unwrap().iter();
        list.map(|one| one["target"].as_str().unwrap().to_owned())
            .collect()
    };
    let (proposed, doubted) = (of("proposed"), of("not_proposed"));
    assert!(
        !proposed.is_empty() && proposed.iter().all(|target| target == "ARGS:comment"),
        "{report}"
    );
    assert!(doubted.iter().any(|target| target == "ARGS:title"), "{report}");
    assert_eq!(report["would_have_been_blocked"], json!(before.len()));
    assert_eq!(report["without_a_match_then"], json!(before.len() - 30));

    let (code, diff) = run(&["rules", "suggest", &log, "--against", &rules]);
    assert_eq!(code, Some(0));
    patch(&weir, &rules, &diff);
    weir.reload(&config);
    let (_, again) = run(&["rules", "suggest", &log, "--against", &rules]);
    assert!(
        !again.contains("+SecRule"),
        "what is in the file is not proposed again: {again}"
    );

    day_of_reviews(&weir);
    review(&weir, 3, INJECTION, COMMENTS[0]);
    let after = wait_for("the event of the injection", || {
        let events = events(&weir).split_off(before.len());
        (!events.is_empty()).then_some(events)
    });
    assert_eq!(after.len(), 1, "the reviews match nothing any more: {after:?}");
    assert_eq!(after[0]["verdict"], "would_block");
    let matched = after[0]["matched"].as_array().unwrap().iter();
    let targets: Vec<&str> = matched
        .flat_map(|found| found["targets"].as_array().unwrap())
        .filter_map(|target| target["name"].as_str())
        .filter(|name| !name.starts_with("TX:"))
        .collect();
    assert!(
        !targets.is_empty()
            && targets
                .iter()
                .all(|name| name.starts_with("ARGS") && name.ends_with(":title")),
        "{targets:?}"
    );
}

fn patch(weir: &Weir, file: &str, diff: &str) {
    weir.write("shop.diff", diff);
    let patched = Command::new("patch")
        .arg(file)
        .arg(weir.folder().join("shop.diff"))
        .output()
        .expect("run patch");
    let said = String::from_utf8_lossy(&patched.stdout);
    assert!(patched.status.success(), "{said}{diff}");
    let text = std::fs::read_to_string(Path::new(file)).unwrap();
    assert!(
        text.starts_with("# The shop.\n") && text.contains("\"!ARGS:comment\""),
        "{text}"
    );
}

#[test]
fn suggested_exclusions_end_false_positives_and_nothing_else() {
    detect_suggest_patch_reload(&[PathBuf::from("set.conf")], OWN_SET);
}

#[test]
fn suggested_exclusions_fit_the_crs() {
    let Some(crs) = crs::checkout("rules") else {
        return;
    };
    let files = [crs.join("crs-setup.conf.example"), crs.join("rules/*.conf")];
    detect_suggest_patch_reload(&files, "");
}

#[test]
fn events_come_from_standard_input_too_and_other_lines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    std::fs::write(&file, "{\"ts_ms\": 1}\n").unwrap();
    let path = file.to_str().unwrap();
    let (code, said) = run(&["rules", "suggest", path]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("audit_log"), "{said}");
    let (code, said) = run(&["rules", "suggest"]);
    assert_eq!(
        (code, said.contains("# 0 events, 0 proposals")),
        (Some(0), true),
        "{said}"
    );
}

#[test]
fn exclusions_for_the_document_end_the_same_false_positives() {
    let origin = Origin::start();
    let config = Config::with_origin(origin.address())
        .set("/trust/proxies", json!(["127.0.0.0/8"]))
        .set(
            "/observability/audit_log",
            json!({ "file": "audit.log", "rule_events_per_s_max": 0 }),
        )
        .set("/rule_sets", json!([{ "id": "set", "files": ["set.conf"] }]))
        .set("/tenants/0/waf", json!({ "mode": "detect", "rule_set": "set" }));
    let weir = Weir::start_with_files(&config, &[("set.conf", OWN_SET)]);
    day_of_reviews(&weir);
    let before = wait_for("the events of the day", || {
        let count = events(&weir).len();
        (count >= 48).then_some(count)
    });
    let log = weir.folder().join("audit.log").display().to_string();
    let (code, said) = run(&["rules", "suggest", &log, "--format", "document"]);
    assert!(
        code == Some(0) && said.contains("- id: \"acme\"") && said.contains("\"targets\":[\"ARGS:comment\"]"),
        "{said}"
    );
    let (_, said) = run(&["rules", "suggest", &log, "--output", "json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let of_acme = &report["document"][0];
    assert_eq!(of_acme["tenant"], "acme");
    let reloaded = weir.reload(&config.set("/tenants/0/waf/exclusions", of_acme["exclusions"].clone()));
    assert_eq!(reloaded["warnings"], json!([]));
    day_of_reviews(&weir);
    review(&weir, 3, INJECTION, COMMENTS[0]);
    let after = wait_for("the event of the injection", || {
        let events = events(&weir).split_off(before);
        (!events.is_empty()).then_some(events)
    });
    assert_eq!(after.len(), 1, "the reviews match nothing any more: {after:?}");
    let (code, said) = run(&[
        "rules",
        "suggest",
        &log,
        "--format",
        "document",
        "--against",
        "x.conf",
    ]);
    assert!(code == Some(2) && said.contains("--format seclang"), "{said}");
}
