//! Kill switches of the WAF: a rule, a tenant's WAF or the whole WAF is taken out while the proxy serves.

use serde_json::{Value, json};
use weir_tests::config::Config;
use weir_tests::h1::{H1, Response};
use weir_tests::load::{Load, Plan};
use weir_tests::origin::Origin;
use weir_tests::pki::Authority;
use weir_tests::wait::wait_for;
use weir_tests::weir::{Weir, run};

use crate::Site;

const EVIL: u64 = 200_001;
const WICKED: u64 = 200_002;
/// Two rules that refuse, and one that only tells.
const SET: &str = "\
SecRule ARGS \"@contains evil\" \"id:200001,phase:1,deny,status:403,log,msg:'Evil'\"\n\
SecRule ARGS \"@contains wicked\" \"id:200002,phase:2,deny,status:403,log,msg:'Wicked'\"\n\
SecRule ARGS \"@contains odd\" \"id:200003,phase:1,pass,log,msg:'Odd'\"\n";

/// Tenants `acme` and `shop`, whose rules refuse.
fn config(origin: &Origin) -> Config {
    Config::with_origin(origin.address())
        .with_tenant("shop", "shop.test")
        .set("/rule_sets", json!([{"id": "set", "files": ["set.conf"]}]))
        .set("/tenants/0/waf/rule_set", "set")
        .set("/tenants/1/waf/rule_set", "set")
        .set("/observability/audit_log/file", "audit.log")
}

fn start(change: impl FnOnce(Config) -> Config) -> Site {
    let origin = Origin::start();
    let weir = Weir::start_with_files(&change(config(&origin)), &[("set.conf", SET)]);
    Site { origin, weir }
}

fn ask(weir: &Weir, host: &str, word: &str) -> u16 {
    let mut client = weir.client();
    get(&mut client, host, word).status
}

fn get(client: &mut H1, host: &str, word: &str) -> Response {
    client.roundtrip(format!("GET /?q={word} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// Statuses of `acme` and `shop` for the same word.
fn both(weir: &Weir, word: &str) -> (u16, u16) {
    (ask(weir, "acme.test", word), ask(weir, "shop.test", word))
}

fn switch(weir: &Weir, change: &Value) -> Value {
    let answer = weir.admin_post("/waf", &change.to_string());
    assert_eq!(answer.status, 200, "{change}: {}", answer.text());
    answer.json()
}

fn switches(weir: &Weir) -> Vec<Value> {
    let status = weir.admin_get("/waf").json();
    status["switches"].as_array().expect("a list").clone()
}

/// Audit events of `acme` on the path's word, once there are so many.
fn events(weir: &Weir, count: usize) -> Vec<Value> {
    wait_for("audit events", || {
        let text = std::fs::read_to_string(weir.folder().join("audit.log")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let events: Vec<Value> = whole.map(|line| serde_json::from_str(line).unwrap()).collect();
        (events.len() >= count).then_some(events)
    })
}

#[test]
fn a_rule_is_switched_off_for_one_tenant_and_for_all() {
    let site = start(|config| config);
    let weir = &site.weir;
    assert_eq!(both(weir, "evil"), (403, 403));
    switch(
        weir,
        &json!({"scope": {"tenant": "acme"}, "rule": EVIL, "mode": "off"}),
    );
    assert_eq!(both(weir, "evil"), (200, 403), "only for acme");
    assert_eq!(both(weir, "wicked"), (403, 403), "only this rule");
    assert_eq!(weir.metric("weir_waf_switches{kind=\"tenant_rule\"}"), 1.0);
    switch(weir, &json!({"scope": "all", "rule": WICKED, "mode": "off"}));
    assert_eq!(both(weir, "wicked"), (200, 200));
    assert_eq!(both(weir, "evil"), (200, 403));
    assert_eq!(weir.metric("weir_waf_switches{kind=\"rule\"}"), 1.0);
    let set = switches(weir);
    assert_eq!(set.len(), 2, "{set:?}");
    assert_eq!(
        (
            &set[1]["scope"],
            &set[1]["rule"],
            &set[1]["set_by"],
            &set[1]["applies"]
        ),
        (&json!("all"), &json!(WICKED), &json!("admin"), &json!(true))
    );
    let cleared = switch(
        weir,
        &json!({"scope": {"tenant": "acme"}, "rule": EVIL, "mode": "on"}),
    );
    assert_eq!(
        (&cleared["event"], &cleared["changed"]),
        (&json!("waf_switch_cleared"), &json!(true))
    );
    switch(weir, &json!({"scope": "all", "rule": WICKED, "mode": "on"}));
    assert_eq!(
        (both(weir, "evil"), both(weir, "wicked")),
        ((403, 403), (403, 403))
    );
    assert_eq!(weir.metric("weir_waf_switches{kind=\"rule\"}"), 0.0);
    let log = weir.log();
    assert!(log.contains("\"event\":\"waf_switched\"") && log.contains("\"event\":\"waf_switch_cleared\""));
}

#[test]
fn a_tenant_is_switched_to_detect_and_the_audit_event_says_so() {
    let site = start(|config| config);
    let weir = &site.weir;
    assert_eq!(ask(weir, "acme.test", "evil"), 403);
    switch(weir, &json!({"scope": {"tenant": "acme"}, "mode": "detect"}));
    switch(weir, &json!({"scope": "all", "rule": WICKED, "mode": "off"}));
    assert_eq!(both(weir, "evil"), (200, 403));
    let events = events(weir, 3);
    assert_eq!(
        (&events[0]["mode"], &events[0]["verdict"]),
        (&json!("block"), &json!("blocked"))
    );
    assert!(events[0].get("switched").is_none(), "{}", events[0]);
    assert_eq!(
        (&events[1]["mode"], &events[1]["verdict"], &events[1]["switched"]),
        (
            &json!("detect"),
            &json!("would_block"),
            &json!({"mode": true, "rules_off": [WICKED], "rules_off_dropped": 0})
        )
    );
    assert_eq!(
        (&events[2]["tenant"], &events[2]["switched"]["mode"]),
        (&json!("shop"), &json!(false))
    );
    let question = json!({"url": "http://acme.test/?q=evil"}).to_string();
    let explained = weir.admin_post("/explain", &question).json();
    let stages = explained["stages"].as_array().expect("stages");
    let stage = stages
        .iter()
        .find(|stage| stage["stage"] == "switch")
        .expect("a stage");
    assert_eq!(
        (&stage["mode"], &stage["rules_off"]),
        (&json!("detect"), &json!([WICKED]))
    );
    assert_eq!(explained["verdict"]["decision"], "forward");
}

#[test]
fn a_tenant_in_detect_by_a_switch_takes_bodies_above_the_inspection_limit() {
    let site = start(|config| config.set("/tenants/0/waf/body_bytes_max", 16));
    let post = || {
        let body = "a=0123456789012345678901234567890123456789";
        let request = format!(
            "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        site.weir.client().roundtrip(request).status
    };
    assert_eq!(post(), 413);
    switch(
        &site.weir,
        &json!({"scope": {"tenant": "acme"}, "mode": "detect"}),
    );
    assert_eq!(post(), 200);
}

#[test]
fn the_whole_waf_is_switched_off_and_back() {
    let site = start(|config| config);
    let weir = &site.weir;
    switch(weir, &json!({"scope": "all", "mode": "off"}));
    assert_eq!(both(weir, "evil"), (200, 200));
    assert_eq!(weir.metric("weir_waf_switches{kind=\"all\"}"), 1.0);
    switch(weir, &json!({"scope": "all", "mode": "detect"}));
    assert_eq!(switches(weir).len(), 1, "the same switch in another position");
    assert_eq!(both(weir, "evil"), (200, 200));
    let told = events(weir, 2);
    assert_eq!(
        told[0]["verdict"], "would_block",
        "off leaves no event, detect does: {told:?}"
    );
    let cleared = switch(weir, &json!({"scope": "all", "mode": "on"}));
    assert_eq!(cleared["in_effect"], json!([]));
    assert_eq!(both(weir, "evil"), (403, 403));
}

#[test]
fn switches_survive_a_reload_an_upgrade_and_a_new_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let with_state = |config: Config| config.set("/node/state_dir", state.to_str().expect("UTF-8"));
    let mut site = start(with_state);
    let answer = switch(
        &site.weir,
        &json!({"scope": {"tenant": "acme"}, "rule": EVIL, "mode": "off"}),
    );
    assert_eq!(answer["kept"], true, "{answer}");
    let document = with_state(config(&site.origin)).set("/tenants/1/waf/mode", "detect");
    site.weir.reload(&document);
    assert_eq!(both(&site.weir, "evil"), (200, 200), "a reload");
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    site.weir.wait_exit();
    assert_eq!(ask(&site.weir, "acme.test", "evil"), 200, "an upgrade");
    assert_eq!(ask(&site.weir, "acme.test", "wicked"), 403);
    assert_eq!(switches(&site.weir).len(), 1);
    switch(
        &site.weir,
        &json!({"scope": {"tenant": "acme"}, "rule": WICKED, "mode": "off"}),
    );
    let origin = Origin::start();
    drop(site);
    let again = Weir::start_with_files(&with_state(config(&origin)), &[("set.conf", SET)]);
    assert_eq!(
        (both(&again, "evil"), both(&again, "wicked")),
        ((200, 403), (200, 403)),
        "a new start"
    );
}

#[test]
fn an_upgrade_hands_switches_over_without_a_folder_for_state() {
    let mut site = start(|config| config);
    let answer = switch(&site.weir, &json!({"scope": "all", "rule": EVIL, "mode": "off"}));
    assert_eq!(answer["kept"], false, "there is no folder: {answer}");
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    site.weir.wait_exit();
    assert_eq!(
        (both(&site.weir, "evil"), both(&site.weir, "wicked")),
        ((200, 200), (403, 403))
    );
}

#[test]
fn a_broken_file_of_switches_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("waf_switches.json"), "{").expect("write");
    let state = folder.path().to_str().expect("UTF-8").to_owned();
    let site = start(|config| config.set("/node/state_dir", state));
    assert_eq!(ask(&site.weir, "acme.test", "evil"), 403);
    assert!(site.weir.log().contains("waf_switches_not_read"));
}

#[test]
fn a_switch_with_a_time_ends_by_itself() {
    let site = start(|config| config);
    let weir = &site.weir;
    let answer = switch(
        weir,
        &json!({"scope": "all", "rule": EVIL, "mode": "off", "for_s": 2}),
    );
    assert_eq!(answer["switch"]["ends_in_s"], 2);
    assert_eq!(both(weir, "evil"), (200, 200));
    wait_for("the end of the switch", || {
        (ask(weir, "acme.test", "evil") == 403).then_some(())
    });
    wait_for("the event", || {
        weir.log().contains("waf_switch_ended").then_some(())
    });
    assert!(switches(weir).is_empty());
    assert_eq!(weir.metric("weir_waf_switches{kind=\"rule\"}"), 0.0);
}

#[test]
fn what_makes_no_switch_is_refused_with_what_would() {
    let site = start(|config| config);
    let cases = [
        (
            json!({"scope": {"tenant": "shopp"}, "mode": "off"}),
            "waf_switch_unknown_tenant",
            "tenants are shop, acme",
        ),
        (
            json!({"scope": "all", "rule": 200_009, "mode": "off"}),
            "waf_switch_unknown_rule",
            "the nearest ids are 200003, 200002, 200001",
        ),
        (
            json!({"scope": {"tenant": "acme"}, "rule": 1, "mode": "off"}),
            "waf_switch_unknown_rule",
            "rule 1 is in no rules of tenant acme",
        ),
        (
            json!({"scope": "all", "mode": "off", "for_s": 0}),
            "waf_switch_bad_duration",
            "1 to 2592000 seconds",
        ),
        (
            json!({"scope": "all", "mode": "on", "for_s": 60}),
            "waf_switch_timed_on",
            "clears the switch at once",
        ),
        (
            json!({"scope": "all", "rule": EVIL, "mode": "detect"}),
            "waf_switch_rule_mode",
            "leave `rule` out",
        ),
        (json!({"mode": "off"}), "waf_switch_bad_body", "scope"),
        (
            json!({"scope": "all", "mode": "off", "rules": [1]}),
            "waf_switch_bad_body",
            "unknown field `rules`",
        ),
    ];
    for (change, code, detail) in cases {
        let answer = site.weir.admin_post("/waf", &change.to_string());
        let problem = answer.json();
        assert_eq!(answer.status, 422, "{change}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["code"], code, "{change}");
        let said = problem["detail"].as_str().expect("a sentence");
        assert!(said.contains(detail), "{change}: {said}");
    }
    assert!(switches(&site.weir).is_empty());
    assert_eq!(both(&site.weir, "evil"), (403, 403));
}

#[test]
fn more_than_a_thousand_switches_are_refused() {
    use std::fmt::Write as _;
    let mut rules = String::new();
    for id in 0..1001 {
        writeln!(
            rules,
            "SecRule ARGS \"@contains never{id}\" \"id:{},phase:1,deny\"",
            300_000 + id
        )
        .expect("write");
    }
    let origin = Origin::start();
    let weir = Weir::start_with_files(&config(&origin), &[("set.conf", &rules)]);
    let mut admin = H1::connect(weir.address("admin"));
    for id in 0..1000 {
        let body = json!({"scope": "all", "rule": 300_000 + id, "mode": "off"}).to_string();
        let length = body.len();
        let answer = admin.roundtrip(format!(
            "POST /waf HTTP/1.1\r\nHost: admin\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let one_more = json!({"scope": "all", "rule": 301_000, "mode": "off"});
    let answer = weir.admin_post("/waf", &one_more.to_string());
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (409, Some("waf_switch_too_many"))
    );
    assert_eq!(ask(&weir, "acme.test", "never999"), 200);
    assert_eq!(ask(&weir, "acme.test", "never1000"), 403);
    switch(&weir, &json!({"scope": "all", "rule": 300_000, "mode": "on"}));
    switch(&weir, &one_more);
}

#[test]
fn a_switch_changes_the_next_request_under_load_and_fails_none() {
    let authority = Authority::new("test authority");
    let identity = authority.issue(&["acme.test"]);
    let origin = Origin::start();
    let files = [
        ("acme.pem", identity.cert_pem.as_str()),
        ("acme.key", identity.key_pem.as_str()),
        ("set.conf", SET),
    ];
    let weir = Weir::start_with_files(&config(&origin).with_tls("acme.pem", "acme.key"), &files);
    let plan = Plan {
        web: weir.address("web"),
        websecure: weir.address("websecure"),
        targets: &["/", "/?q=evil", "/?q=wicked"],
        judge: |target, answer| {
            let fits = match target {
                "/" => answer.status == 200,
                "/?q=evil" => matches!(answer.status, 200 | 403),
                _ => answer.status == 403,
            };
            fits.then_some(()).ok_or_else(|| format!("{target}: {answer:?}"))
        },
    };
    let load = Load::start(&plan, &authority);
    for round in 0..50 {
        let mut client = weir.client();
        for (mode, status) in [("off", 200), ("on", 403)] {
            switch(
                &weir,
                &json!({"scope": {"tenant": "acme"}, "rule": EVIL, "mode": mode}),
            );
            assert_eq!(
                get(&mut client, "acme.test", "evil").status,
                status,
                "round {round}"
            );
        }
    }
    load.wait_answers(50);
    let counts = load.finish();
    println!("answers over 100 changes: {counts:?}");
}

#[test]
fn the_document_keeps_switches_too_and_the_endpoint_cannot_take_them_back() {
    let site = start(|config| config.set("/waf/mode_max", "detect"));
    let weir = &site.weir;
    assert_eq!(both(weir, "evil"), (200, 200));
    assert_eq!(weir.metric("weir_waf_switches{kind=\"all\"}"), 1.0);
    let answer = switch(weir, &json!({"scope": "all", "mode": "on"}));
    assert_eq!(answer["changed"], false);
    assert_eq!(answer["in_effect"][0]["set_by"], "document");
    assert_eq!(both(weir, "evil"), (200, 200));
    let off = config(&site.origin).set("/waf/rules_off", json!([EVIL, 4711]));
    let reloaded = weir.reload(&off);
    let warnings = reloaded["warnings"].to_string();
    assert!(warnings.contains("no tenant has a rule 4711"), "{warnings}");
    assert_eq!(
        (both(weir, "evil"), both(weir, "wicked")),
        ((200, 200), (403, 403))
    );
    let applies: Vec<Value> = switches(weir).iter().map(|one| one["applies"].clone()).collect();
    assert_eq!(applies, [true, false]);
    weir.reload(&config(&site.origin).set("/waf/mode_max", "off"));
    assert_eq!(both(weir, "wicked"), (200, 200));
    weir.reload(&config(&site.origin));
    assert_eq!(both(weir, "evil"), (403, 403));
}

#[test]
fn the_command_shows_and_changes_switches() {
    let site = start(|config| config);
    let weir = &site.weir;
    let admin = weir.address("admin").to_string();
    let waf = |arguments: &[&str]| {
        let mut all = vec!["waf"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["--admin", &admin]);
        run(&all)
    };
    let (code, said) = waf(&["status"]);
    assert!(code == Some(0) && said.contains("nothing is switched"), "{said}");
    let (code, said) = waf(&["off", "--tenant", "acme", "--rule", "200001", "--for", "1h"]);
    assert!(
        code == Some(0) && said.contains("rule 200001 of tenant acme is off") && said.contains("(3600 s)"),
        "{said}"
    );
    assert!(said.contains("not kept over a restart"), "{said}");
    assert_eq!(both(weir, "evil"), (200, 403));
    let (code, said) = waf(&["detect", "--tenant", "shop"]);
    assert!(
        code == Some(0) && said.contains("the WAF of tenant shop is detect"),
        "{said}"
    );
    assert_eq!(both(weir, "wicked"), (403, 200));
    let (code, said) = waf(&["status", "--output", "json"]);
    let status: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (code, status["switches"].as_array().map(Vec::len)),
        (Some(0), Some(2))
    );
    let (code, said) = waf(&["off"]);
    assert!(
        code == Some(0) && said.contains("the WAF of all tenants is off"),
        "{said}"
    );
    assert_eq!(both(weir, "wicked"), (200, 200));
    waf(&["on"]);
    let (code, said) = waf(&["on", "--tenant", "acme", "--rule", "200001"]);
    assert!(code == Some(0) && said.contains("is on again"), "{said}");
    assert_eq!(both(weir, "evil"), (403, 200));
    let (code, said) = waf(&["off", "--rule", "7"]);
    assert!(code == Some(1) && said.contains("the nearest ids are"), "{said}");
    assert_eq!(waf(&["off", "--for", "soon"]).0, Some(2));
}

#[test]
fn the_time_of_a_switch_is_kept_over_an_upgrade() {
    let mut site = start(|config| config);
    switch(&site.weir, &json!({"scope": "all", "mode": "off", "for_s": 5}));
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    site.weir.wait_exit();
    wait_for("the end of the switch", || {
        (ask(&site.weir, "acme.test", "evil") == 403).then_some(())
    });
}
