//! `POST /explain`: the decision and its reasons, without sending or charging anything.

use serde_json::{Value, json};

use crate::Site;

fn explained(site: &Site, question: &Value) -> Value {
    let response = site.weir.admin_post("/explain", &question.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[test]
fn a_request_that_passes_names_every_stage_and_its_pool() {
    let site = Site::with(|config| config.set("/tenants/0/limits/address", json!({ "requests": 5 })));
    let answer = explained(&site, &json!({"url": "http://acme.test/a?b=1"}));
    assert_eq!(answer["verdict"]["decision"], "forward", "{answer}");
    let stages: Vec<&str> = answer["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    assert_eq!(stages, ["resolve", "locate", "admit", "route"], "{answer}");
    assert_eq!(answer["upstream"]["pool"], "app", "{answer}");
    assert_eq!(answer["upstream"]["endpoints"][0]["healthy"], true, "{answer}");
    assert!(site.origin.seen().is_empty(), "nothing was sent");
}

#[test]
fn explaining_charges_no_limit() {
    let limit = json!({ "requests": 1, "window_ms": 60_000 });
    let site = Site::with(|config| config.set("/tenants/0/limits/tenant", limit));
    for _ in 0..5 {
        let answer = explained(&site, &json!({"url": "http://acme.test/"}));
        assert_eq!(answer["verdict"]["decision"], "forward", "{answer}");
    }
    assert_eq!(site.weir.client().get("/").status, 200);
    let answer = explained(&site, &json!({"url": "http://acme.test/"}));
    assert_eq!(answer["verdict"]["code"], "limit_tenant", "{answer}");
    assert_eq!(answer["verdict"]["status"], 429, "{answer}");
}

#[test]
fn a_refusal_says_which_rule_matched_on_what() {
    let site = Site::with(|config| config.set("/tenants/0/waf/mode", "block"));
    let attack = "http://acme.test/?id=1%27%20OR%20%271%27=%271";
    let answer = explained(&site, &json!({"url": attack}));
    assert_eq!(answer["verdict"]["code"], "waf_blocked", "{answer}");
    let rule = &answer["rules"][0];
    assert!(rule["id"].is_u64() && rule["message"].is_string(), "{answer}");
    assert!(answer["rules"].to_string().contains("ARGS:id"), "{answer}");
    let body = json!({"url": "http://acme.test/", "method": "POST", "body": "id=1' OR '1'='1",
        "headers": [["content-type", "application/x-www-form-urlencoded"]]});
    assert_eq!(explained(&site, &body)["verdict"]["code"], "waf_blocked");
}

#[test]
fn what_never_reaches_a_stage_is_explained_too() {
    let site = Site::start();
    let code = |question: Value| explained(&site, &question)["verdict"]["code"].clone();
    assert_eq!(code(json!({"url": "http://nobody.test/"})), "unknown_host");
    assert_eq!(code(json!({"url": "https://acme.test/"})), "tls_unknown_name");
    let both = json!([["content-length", "1"], ["transfer-encoding", "chunked"]]);
    assert_eq!(
        code(json!({"url": "http://acme.test/", "method": "POST", "headers": both})),
        "ambiguous_framing"
    );
    let refused = site.weir.admin_post("/explain", "{\"url\": 7}");
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("send JSON like"), "{}", refused.text());
}
