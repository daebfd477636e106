//! A tenant's own view of a shared rule set.

use std::path::Path;

use serde_json::{Value, json};
use weir_tests::config::Config;
use weir_tests::crs;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// A set that scores as the CRS does.
const SET: &str = "SecAction \"id:900001,phase:1,pass,nolog\"\n\
    SecRule &TX:blocking_paranoia_level \"@eq 0\" \"id:901001,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=1\"\n\
    SecRule &TX:detection_paranoia_level \"@eq 0\" \"id:901002,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=1\"\n\
    SecRule &TX:inbound_anomaly_score_threshold \"@eq 0\" \"id:901003,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
    SecRule &TX:outbound_anomaly_score_threshold \"@eq 0\" \"id:901004,phase:1,pass,nolog,setvar:tx.outbound_anomaly_score_threshold=4\"\n\
    SecRule ARGS \"@contains bad\" \"id:901010,phase:1,pass,nolog,tag:attack-bad,msg:'Bad word',setvar:tx.score=+5\"\n\
    SecRule TX:detection_paranoia_level \"@lt 2\" \"id:901011,phase:1,pass,nolog,skipAfter:END\"\n\
    SecRule ARGS \"@contains odd\" \"id:901012,phase:1,pass,log,tag:attack-odd,msg:'Odd word',setvar:tx.score2=+5\"\n\
    SecMarker END\n\
    SecRule TX:blocking_paranoia_level \"@ge 2\" \"id:901013,phase:1,pass,nolog,setvar:tx.score=+%{tx.score2}\"\n\
    SecRule TX:score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:901020,phase:1,deny,status:403\"\n\
    SecRule RESPONSE_HEADERS:X-Leak \"@streq yes\" \"id:901030,phase:3,pass,nolog,setvar:tx.out=+4\"\n\
    SecRule TX:out \"@ge %{tx.outbound_anomaly_score_threshold}\" \"id:901031,phase:3,deny,status:403\"\n";

const BEFORE: &str = "SecRule ARGS:early \"@streq yes\" \"id:1000001,phase:1,deny,status:403\"\n";

fn with_waf(origin: &Origin, waf: &Value) -> Config {
    let mut config = Config::with_origin(origin.address())
        .set("/rule_sets", json!([{"id": "scored", "files": ["set.conf"]}]))
        .set("/tenants/0/waf/rule_set", "scored");
    for (key, value) in waf.as_object().into_iter().flatten() {
        config = config.set(&format!("/tenants/0/waf/{key}"), value.clone());
    }
    config
}

fn start(origin: &Origin, waf: &Value) -> Weir {
    Weir::start_with_files(
        &with_waf(origin, waf),
        &[("set.conf", SET), ("before.conf", BEFORE)],
    )
}

/// Statuses of requests with these queries.
fn ask<const N: usize>(weir: &Weir, queries: [&str; N]) -> [u16; N] {
    let mut client = weir.client();
    queries.map(|query| client.get(&format!("/?{query}")).status)
}

#[test]
fn the_set_alone_judges_as_it_says() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({}));
    assert_eq!(ask(&weir, ["q=bad", "q=odd", "early=yes"]), [403, 200, 200]);
}

#[test]
fn paranoia_turns_the_stricter_rules_on() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({"paranoia": 2}));
    assert_eq!(ask(&weir, ["q=bad", "q=odd", "q=good"]), [403, 403, 200]);
}

#[test]
fn tx_sets_more_in_detection_than_paranoia_blocks() {
    let origin = Origin::start();
    let higher = json!({"paranoia": 1, "tx": [{"name": "detection_paranoia_level", "value": "2"}]});
    let weir = start(&origin, &higher);
    assert_eq!(ask(&weir, ["q=bad", "q=odd"]), [403, 200]);
    let matched = |rule: u32| weir.metric(&format!("weir_waf_matches_total{{rule=\"{rule}\"}}"));
    // A request is counted once its answer is on the wire.
    wait_for("a match of rule 901012", || {
        (matched(901_012) >= 1.0).then_some(())
    });
}

#[test]
fn the_inbound_threshold_is_the_tenants() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({"inbound_threshold": 6}));
    assert_eq!(ask(&weir, ["q=bad", "q=bad&r=bad"]), [200, 403]);
}

#[test]
fn the_outbound_threshold_is_the_tenants() {
    for (waf, status) in [(json!({}), 502), (json!({"outbound_threshold": 5}), 200)] {
        let origin =
            Origin::answering(|_| weir_tests::origin::Answer::full(200, &[("X-Leak", "yes")], b"leak"));
        let weir = start(&origin, &waf);
        assert_eq!(weir.client().get("/").status, status, "{waf}");
    }
}

#[test]
fn exclusions_take_rules_or_single_values_away() {
    let origin = Origin::start();
    let cases = [
        (json!([{"id": 901_010}]), [200, 200]),
        (json!([{"id": 901_005, "id_last": 901_010}]), [200, 200]),
        (json!([{"tag": "^attack-bad$"}]), [200, 200]),
        (json!([{"message": "Bad"}]), [200, 200]),
        (
            json!([{"tag": "attack-bad", "targets": ["ARGS:free"]}]),
            [403, 200],
        ),
        (json!([{"id": 901_012}]), [403, 403]),
    ];
    for (exclusions, expected) in cases {
        let weir = start(&origin, &json!({"exclusions": exclusions}));
        assert_eq!(ask(&weir, ["q=bad", "free=bad"]), expected, "{exclusions}");
    }
}

#[test]
fn rules_before_run_before_the_set() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({"rules_before": ["before.conf"]}));
    assert_eq!(ask(&weir, ["early=yes", "early=no"]), [403, 200]);
}

#[test]
fn a_reload_takes_an_exclusion_and_tells_which_one_removes_nothing() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({}));
    assert_eq!(ask(&weir, ["q=bad"]), [403]);
    let exclusions = json!([{"id": 901_010}, {"id": 942_100, "note": "ticket 17"}]);
    let answer = weir.reload(&with_waf(&origin, &json!({"exclusions": exclusions})));
    let warnings = answer["warnings"].to_string();
    for part in ["acme", "942100", "ticket 17"] {
        assert!(warnings.contains(part), "{part}: {answer}");
    }
    assert!(!warnings.contains("901010"), "{warnings}");
    assert_eq!(ask(&weir, ["q=bad"]), [200]);
}

#[test]
fn paranoia_over_a_set_without_levels_is_a_warning() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({}));
    let answer = weir.reload(&with_waf(
        &origin,
        &json!({"rule_set": "baseline", "paranoia": 3}),
    ));
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("tx.blocking_paranoia_level"), "{answer}");
}

#[test]
fn an_exclusion_that_does_not_say_which_rules_is_refused_at_its_place() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({}));
    for bad in [
        json!([{"note": "which?"}]),
        json!([{"id": 1, "tag": "x"}]),
        json!([{"id": 9, "id_last": 3}]),
        json!([{"tag": "("}]),
        json!([{"id": 901_010, "targets": ["NO_SUCH_THING"]}]),
    ] {
        let document = with_waf(&origin, &json!({"exclusions": bad})).text();
        let response = weir.admin_post("/reload", &document);
        assert_eq!(response.status, 422, "{bad}: {}", response.text());
    }
}

/// Resident bytes of a process, from `/proc`.
fn resident_bytes(weir: &Weir) -> u64 {
    let path = format!("/proc/{}/status", weir.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A document of so many tenants with the CRS, an exclusion and an own rule each, and their files.
fn crs_tenants(origin: &Origin, crs: &Path, count: usize) -> (Config, Vec<(String, String)>) {
    let tenants: Vec<Value> = (0..count)
        .map(|at| {
            let excluded = [json!({"id": 942_100, "targets": [format!("ARGS:own{at}")]})];
            json!({"id": format!("t{at}"), "hosts": [format!("t{at}.test")],
                "waf": {"rule_set": "crs", "rules": [format!("t{at}.conf")], "exclusions": excluded},
                "routes": [{"id": "all", "pool": "app"}]})
        })
        .collect();
    let files = (0..count)
        .map(|at| {
            let rule = format!("SecRule ARGS \"@rx ^bad{at}x+$\" \"id:1000001,phase:2,deny,status:403\"\n");
            (format!("t{at}.conf"), rule)
        })
        .collect();
    let set = [crs.join("crs-setup.conf.example"), crs.join("rules/*.conf")];
    let config = Config::with_origin(origin.address())
        .set("/rule_sets", json!([{"id": "crs", "files": set}]))
        .set("/tenants", tenants);
    (config, files)
}

fn start_with_crs(origin: &Origin, crs: &Path, count: usize) -> Weir {
    let (config, files) = crs_tenants(origin, crs, count);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Weir::start_with_files(&config, &files)
}

#[test]
fn a_thousand_tenants_with_the_crs_stay_below_200_megabytes_and_each_below_50_kilobytes() {
    let Some(crs) = crs::checkout("rules") else {
        return;
    };
    let origin = Origin::start();
    let alone = resident_bytes(&start_with_crs(&origin, &crs, 1));
    let weir = start_with_crs(&origin, &crs, 1000);
    let resident = resident_bytes(&weir);
    assert!(resident < 200 << 20, "{resident} bytes");
    let each = resident.saturating_sub(alone) / 999;
    assert!(each < 50_000, "{each} bytes for each tenant beside the first");
    let ask = |query: &str| {
        let request =
            format!("GET /?a={query} HTTP/1.1\r\nHost: t7.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n\r\n");
        weir.client().roundtrip(request).status
    };
    assert_eq!((ask("bad7x"), ask("bad8x")), (403, 200), "its own rule alone");
}

#[test]
fn a_reload_judges_by_the_one_rule_that_changed() {
    let origin = Origin::start();
    let weir = start(&origin, &json!({}));
    assert_eq!(ask(&weir, ["q=bad", "q=odd"]), [403, 200]);
    weir.write("set.conf", &SET.replace("@contains bad", "@contains odd"));
    let answer = weir.reload(&with_waf(&origin, &json!({"inbound_threshold": 5})));
    assert_eq!(answer["event"], "reloaded", "{answer}");
    assert_eq!(ask(&weir, ["q=bad", "q=odd"]), [200, 403]);
}

#[test]
fn the_first_version_tells_its_warnings_too() {
    let origin = Origin::start();
    let weir = start(
        &origin,
        &json!({"exclusions": [{"id": 942_100, "note": "ticket 17"}]}),
    );
    let log = weir.log();
    let warning = log.lines().find(|line| line.contains(r#""event":"warning""#));
    assert!(warning.is_some_and(|line| line.contains("ticket 17")), "{log}");
}
