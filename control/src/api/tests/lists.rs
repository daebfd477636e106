//! Lists: pages, scopes, filters.

use serde_json::{Value, json};

use super::{Bed, proxy, scope};
use crate::auth::Role;

fn ids(page: &Value) -> Vec<&str> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_follow_one_another_and_show_what_is_in_scope() {
    let bed = Bed::new().await;
    for (id, region) in [("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "us"), ("e", "eu")] {
        assert_eq!(
            bed.admin("POST /v1/proxies", &[], proxy(id, region)).await.status,
            201
        );
    }
    let first = bed.admin("GET /v1/proxies?limit=3", &[], None).await.body;
    assert_eq!(
        (ids(&first), first["next"].as_str()),
        (vec!["a", "b", "c"], Some("/v1/proxies?limit=3&after=c"))
    );
    let second = bed
        .admin(&format!("GET {}", first["next"].as_str().unwrap()), &[], None)
        .await
        .body;
    assert_eq!((ids(&second), &second["next"]), (vec!["d", "e"], &Value::Null));
    let eu = bed.token(Role::Read, scope(&[], &["eu"])).await;
    let first = bed.ask(&eu, "GET /v1/proxies?limit=2", &[], None).await.body;
    assert_eq!(ids(&first), ["a", "c"]);
    let second = bed
        .ask(
            &eu,
            &format!("GET {}", first["next"].as_str().unwrap()),
            &[],
            None,
        )
        .await
        .body;
    assert_eq!((ids(&second), &second["next"]), (vec!["e"], &Value::Null));
    assert_eq!(bed.ask(&eu, "GET /v1/proxies/b", &[], None).await.status, 403);
}

#[tokio::test]
async fn the_listing_shows_the_paths_of_the_scope() {
    let bed = Bed::new().await;
    let change = json!({"put": {"edge": {}, "edge/eu": {}, "tenants/acme": {}, "tenants/other": {}}});
    assert_eq!(
        bed.admin("POST /v1/config/changes", &[], Some(change))
            .await
            .status,
        200
    );
    let paths = |page: Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = bed.admin("GET /v1/config", &[], None).await;
    assert_eq!(
        paths(all.body),
        ["edge", "edge/eu", "tenants/acme", "tenants/other"]
    );
    let tenants = bed
        .admin("GET /v1/config?prefix=tenants/&limit=1", &[], None)
        .await
        .body;
    assert_eq!(
        tenants["next"],
        "/v1/config?prefix=tenants%2F&limit=1&after=tenants%2Facme"
    );
    let acme = bed.token(Role::Operate, scope(&["acme"], &[])).await;
    assert_eq!(
        paths(bed.ask(&acme, "GET /v1/config", &[], None).await.body),
        ["tenants/acme"]
    );
    let change = |path: &str| Some(json!({"put": {path: {"x": 1}}}));
    let own = bed
        .ask(
            &acme,
            "POST /v1/config/changes",
            &[("if-match", "*")],
            change("tenants/acme"),
        )
        .await;
    assert_eq!(own.status, 200, "{own:?}");
    let foreign = bed
        .ask(
            &acme,
            "POST /v1/config/changes",
            &[("if-match", "*")],
            change("tenants/other"),
        )
        .await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test]
async fn events_are_paged_and_filtered() {
    let bed = Bed::new().await;
    for id in ["a", "b", "c"] {
        bed.admin("POST /v1/proxies", &[], proxy(id, "eu")).await;
    }
    let page = bed
        .admin("GET /v1/events?action=proxy.&limit=2", &[], None)
        .await
        .body;
    assert_eq!(page["items"][1]["subject"], "proxy/b");
    let next = bed
        .admin(&format!("GET {}", page["next"].as_str().unwrap()), &[], None)
        .await
        .body;
    assert_eq!(
        (&next["items"][0]["subject"], &next["next"]),
        (&json!("proxy/c"), &Value::Null)
    );
    let one = bed.admin("GET /v1/events?subject=proxy/b", &[], None).await.body;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(one["items"][0]["detail"], json!({"region": "eu"}));
}
