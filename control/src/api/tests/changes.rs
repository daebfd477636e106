//! Changes: preconditions, keys, dry runs, events, problems.

use serde_json::{Value, json};

use super::{Bed, proxy, scope};
use crate::auth::Role;
use crate::store::Kind;

fn token(role: &str) -> Option<Value> {
    Some(json!({"role": role, "tenants": ["acme"], "regions": []}))
}

#[tokio::test]
async fn a_token_is_made_used_and_revoked() {
    let bed = Bed::new().await;
    let made = bed.admin("POST /v1/tokens", &[], token("read")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["token"]["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/v1/tokens/{id}"));
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = made.body["secret"].as_str().unwrap();
    let who = bed.ask(secret, "GET /v1/whoami", &[], None).await;
    assert_eq!(
        (who.status, &who.body["tenants"], &who.body["role"]),
        (200, &json!(["acme"]), &json!("read"))
    );
    let revoke = format!("POST /v1/tokens/{id}/revoke");
    assert_eq!(
        bed.admin(&revoke, &[], None).await.problem(),
        (428, "precondition_required")
    );
    assert_eq!(
        bed.admin(&revoke, &[("if-match", "\"1\"")], None).await.problem(),
        (412, "precondition_failed")
    );
    let etag = bed
        .admin(&format!("GET /v1/tokens/{id}"), &[], None)
        .await
        .header("etag")
        .to_owned();
    assert_eq!(etag, made.header("etag"));
    let revoked = bed.admin(&revoke, &[("if-match", &etag)], None).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_ne!(revoked.header("etag"), etag);
    assert_eq!(bed.ask(secret, "GET /v1/whoami", &[], None).await.status, 401);
    let event = &bed.events("token.revoke").await[0];
    assert_eq!(
        (
            event["subject"].as_str().unwrap(),
            event["from"].as_str().unwrap()
        ),
        (&*format!("token/{id}"), "127.0.0.1")
    );
    assert_eq!(event["result"], "done");
    // Nowhere is the secret kept.
    let record = bed.api.parts.store.get(Kind::Token, id).unwrap().unwrap();
    let text = String::from_utf8(record.body).unwrap();
    assert!(
        !text.contains(secret.rsplit('_').next().unwrap()) && text.contains("$argon2id$"),
        "{text}"
    );
}

#[tokio::test]
async fn a_token_does_not_revoke_itself() {
    let bed = Bed::new().await;
    let own = bed.admin("GET /v1/whoami", &[], None).await.body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let got = bed
        .admin(
            &format!("POST /v1/tokens/{own}/revoke"),
            &[("if-match", "*")],
            None,
        )
        .await;
    assert_eq!(got.problem(), (409, "conflict"));
}

#[tokio::test]
async fn a_join_token_is_what_a_proxy_reads() {
    let bed = Bed::new().await;
    let made = bed.admin("POST /v1/proxies", &[], proxy("p1", "eu")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let join = weir_schema::push::JoinToken::decode(made.body["join_token"].as_str().unwrap()).unwrap();
    assert_eq!((join.node.as_str(), join.region.as_str()), ("p1", "eu"));
    assert_eq!(join.deployment, bed.api.parts.versions.deployment());
    assert_eq!(join.keys, bed.api.parts.versions.public_keys().await);
    assert_eq!(
        bed.admin("POST /v1/proxies", &[], proxy("p1", "us"))
            .await
            .problem(),
        (409, "already_exists")
    );
    let revoked = bed
        .admin(
            "POST /v1/proxies/p1/revoke",
            &[("if-match", made.header("etag"))],
            None,
        )
        .await;
    assert_eq!((revoked.status, &revoked.body["revoked"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_post_with_a_key_is_done_once() {
    let bed = Bed::new().await;
    let key = [("idempotency-key", "k-1")];
    let first = bed.admin("POST /v1/tokens", &key, token("read")).await;
    let again = bed.admin("POST /v1/tokens", &key, token("read")).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(bed.events("token.create").await.len(), 1);
    let other = bed.admin("POST /v1/tokens", &key, token("operate")).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch"));
    // The same key of somebody else is another key.
    let somebody = bed.token(Role::Admin, crate::auth::Scope::ALL).await;
    assert_eq!(
        bed.ask(&somebody, "POST /v1/tokens", &key, token("operate"))
            .await
            .status,
        201
    );
    for wrong in ["", "two words", &"x".repeat(129)] {
        let got = bed
            .admin("POST /v1/tokens", &[("idempotency-key", wrong)], token("read"))
            .await;
        assert_eq!(got.problem(), (400, "bad_request"), "{wrong}");
    }
    // A refusal is not kept: it changed nothing.
    let key = [("idempotency-key", "k-2")];
    assert_eq!(
        bed.admin("POST /v1/proxies", &key, Some(json!({"id": "", "region": "eu"})))
            .await
            .status,
        422
    );
    assert_eq!(
        bed.admin("POST /v1/proxies", &key, proxy("p1", "eu"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn of_many_who_send_one_key_at_once_one_changes_something() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let bed = std::sync::Arc::clone(&bed);
            tokio::spawn(async move {
                bed.admin(
                    "POST /v1/proxies",
                    &[("idempotency-key", "race")],
                    proxy("p1", "eu"),
                )
                .await
                .status
            })
        })
        .collect();
    for task in tasks {
        let status = task.await.unwrap();
        assert!(matches!(status, 201 | 409), "{status}");
    }
    assert_eq!(bed.events("proxy.create").await.len(), 1);
}

#[tokio::test]
async fn a_dry_run_answers_and_changes_nothing() {
    let bed = Bed::new().await;
    let got = bed
        .admin("POST /v1/proxies?dry_run=true", &[], proxy("p1", "eu"))
        .await;
    assert_eq!((got.status, &got.body["join_token"]), (201, &json!("")));
    assert_eq!(
        bed.admin("GET /v1/proxies/p1", &[], None).await.problem(),
        (404, "not_found")
    );
    bed.admin("POST /v1/proxies", &[], proxy("p1", "eu")).await;
    let got = bed
        .admin("POST /v1/proxies?dry_run=true", &[], proxy("p1", "eu"))
        .await;
    assert_eq!(got.problem(), (409, "already_exists"));
    let got = bed
        .admin("PUT /v1/config/edge?dry_run=true", &[], Some(json!({"a": 1})))
        .await;
    assert_eq!((got.status, &got.body["revision"]), (200, &json!(1)));
    assert_eq!(bed.admin("GET /v1/config/edge", &[], None).await.status, 404);
    assert_eq!(bed.events("version.publish").await.len(), 0);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let bed = Bed::new().await;
    for (line, body, problem, place) in [
        ("POST /v1/tokens", json!("{"), (400, "bad_request"), ""),
        ("POST /v1/tokens", json!("{} {}"), (422, "invalid"), ""),
        (
            "POST /v1/tokens",
            json!({"role": "owner", "tenants": [], "regions": []}),
            (422, "invalid"),
            "/role",
        ),
        (
            "POST /v1/tokens",
            json!({"role": "read", "tenants": ["a", 5], "regions": []}),
            (422, "invalid"),
            "/tenants/1",
        ),
        (
            "POST /v1/tokens",
            json!({"role": "read", "tenants": ["a", "/"], "regions": []}),
            (422, "invalid"),
            "/tenants/1",
        ),
        (
            "POST /v1/tokens",
            json!({"role": "read", "tenants": [], "regions": [], "x~/": 1}),
            (422, "invalid"),
            "/x~0~1",
        ),
        (
            "POST /v1/proxies",
            json!({"id": "-", "region": "eu"}),
            (422, "invalid"),
            "/id",
        ),
        (
            "PUT /v1/config/edge",
            json!({"a": "refused"}),
            (422, "invalid"),
            "/tenants/0",
        ),
        ("PUT /v1/config/other", json!({"a": 1}), (422, "invalid"), ""),
        (
            "POST /v1/config/changes",
            json!({"files": {"files/a": "?"}}),
            (422, "invalid"),
            "/files/files~1a",
        ),
    ] {
        let got = bed.admin(line, &[], Some(body.clone())).await;
        assert_eq!(got.problem(), problem, "{line} {body}: {got:?}");
        assert_eq!(
            got.body["errors"][0]["pointer"].as_str().unwrap_or_default(),
            place,
            "{line} {body}: {got:?}"
        );
    }
    for target in [
        "/v1/tokens?limit=0",
        "/v1/tokens?limit=x",
        "/v1/tokens?limit=1&limit=1",
        "/v1/tokens?color=red",
        "/v1/proxies/-",
    ] {
        assert_eq!(
            bed.admin(&format!("GET {target}"), &[], None).await.problem(),
            (400, "bad_request"),
            "{target}"
        );
    }
    let xml = [("content-type", "text/xml")];
    assert_eq!(
        bed.admin("POST /v1/tokens", &xml, token("read")).await.problem(),
        (415, "unsupported_media_type")
    );
    let large = json!({"role": "read", "tenants": [], "regions": [], "note": "x".repeat(300_000)});
    assert_eq!(
        bed.admin("POST /v1/tokens", &[], Some(large)).await.problem(),
        (413, "too_large")
    );
    assert_eq!(
        bed.admin("GET /v1/nothing", &[], None).await.problem(),
        (404, "not_found")
    );
    let got = bed.admin("DELETE /v1/tokens", &[], None).await;
    assert_eq!(got.problem(), (405, "method_not_allowed"));
    assert!(got.header("allow").contains("GET"), "{got:?}");
}

#[tokio::test]
async fn the_configuration_is_changed_only_as_it_was_read() {
    let bed = Bed::new().await;
    let first = bed
        .admin("PUT /v1/config/edge?note=begin", &[], Some(json!({"a": 1})))
        .await;
    assert_eq!((first.status, first.header("etag")), (200, "\"1\""), "{first:?}");
    let second = Some(json!({"a": 2}));
    assert_eq!(
        bed.admin("PUT /v1/config/edge", &[], second.clone())
            .await
            .problem(),
        (428, "precondition_required")
    );
    assert_eq!(
        bed.admin("PUT /v1/config/edge", &[("if-match", "\"7\"")], second.clone())
            .await
            .problem(),
        (412, "precondition_failed")
    );
    assert_eq!(
        bed.admin("PUT /v1/config/edge", &[("if-match", "x")], second.clone())
            .await
            .problem(),
        (412, "precondition_failed")
    );
    assert_eq!(
        bed.admin("PUT /v1/config/edge", &[("if-match", "\"1\"")], second.clone())
            .await
            .header("etag"),
        "\"2\""
    );
    // The same again is no new version.
    let same = bed
        .admin("PUT /v1/config/edge", &[("if-match", "*")], second)
        .await;
    assert_eq!(
        (same.status, &same.body["revision"], &same.body["changed_count"]),
        (200, &json!(2), &json!(0))
    );
    let got = bed.admin("GET /v1/config/edge", &[], None).await;
    assert_eq!(
        (&got.body["document"], got.header("etag")),
        (&json!({"a": 2}), "\"2\"")
    );
    let back = bed
        .admin(
            "POST /v1/versions/1/rollback",
            &[("if-match", "\"2\"")],
            Some(json!({"note": "back"})),
        )
        .await;
    assert_eq!(
        (back.status, &back.body["revision"]),
        (200, &json!(3)),
        "{back:?}"
    );
    assert_eq!(
        bed.admin("GET /v1/config/edge", &[], None).await.body["document"],
        json!({"a": 1})
    );
    let versions = bed.admin("GET /v1/versions", &[], None).await;
    assert_eq!(versions.body["items"][0]["rollback_to"], 1);
    assert_eq!(versions.body["items"][2]["note"], "begin");
    let gone = bed
        .admin("DELETE /v1/config/edge", &[("if-match", "\"3\"")], None)
        .await;
    assert_eq!((gone.status, &gone.body["changed"]), (200, &json!(["edge"])));
    assert_eq!(
        bed.admin("DELETE /v1/config/edge", &[("if-match", "*")], None)
            .await
            .status,
        404
    );
    assert_eq!(
        bed.admin(
            "POST /v1/versions/99/rollback",
            &[("if-match", "*")],
            Some(json!({}))
        )
        .await
        .status,
        404
    );
}

#[tokio::test]
async fn files_are_written_and_never_given_out() {
    let bed = Bed::new().await;
    let bytes = [("content-type", "application/octet-stream"), ("if-match", "*")];
    let got = bed
        .admin("PUT /v1/config/files/site.key", &bytes, Some(json!("-----BEGIN")))
        .await;
    assert_eq!(got.status, 200, "{got:?}");
    let got = bed.admin("PUT /v1/config/edge", &bytes, Some(json!("{}"))).await;
    assert_eq!(got.problem(), (415, "unsupported_media_type"));
    let change = json!({"put": {"edge": {}}, "files": {"files/b": "aGk="}, "remove": ["files/site.key"], "note": "all at once"});
    let got = bed
        .admin(
            "POST /v1/config/changes",
            &[("if-match", "*"), ("idempotency-key", "x")],
            Some(change),
        )
        .await;
    assert_eq!(
        (got.status, &got.body["changed_count"]),
        (200, &json!(3)),
        "{got:?}"
    );
    let got = bed.admin("GET /v1/config/files/b", &[], None).await;
    assert_eq!(
        (got.status, &got.body["bytes"], got.body.get("document")),
        (200, &json!(2), None)
    );
    let diff = bed.admin("GET /v1/versions/2/diff?limit=2", &[], None).await;
    assert_eq!(diff.body["items"].as_array().unwrap().len(), 2, "{diff:?}");
    let next = diff.body["next"].as_str().unwrap().to_owned();
    let rest = bed.admin(&format!("GET {next}"), &[], None).await;
    assert_eq!(
        (&rest.body["items"][0]["path"], &rest.body["next"]),
        (&json!("files/site.key"), &Value::Null)
    );
}

#[tokio::test]
async fn the_rollout_policy_is_read_and_changed() {
    let bed = Bed::new().await;
    let got = bed.admin("GET /v1/rollout-policy", &[], None).await;
    assert_eq!((got.status, got.header("etag")), (200, "\"0\""));
    let mut policy = got.body;
    policy["bake_ms"] = json!(1234);
    let put = bed
        .admin(
            "PUT /v1/rollout-policy",
            &[("if-match", "\"0\"")],
            Some(policy.clone()),
        )
        .await;
    assert_eq!((put.status, &put.body["bake_ms"]), (200, &json!(1234)), "{put:?}");
    let late = bed
        .admin("PUT /v1/rollout-policy", &[("if-match", "\"0\"")], Some(policy))
        .await;
    assert_eq!(late.problem(), (412, "precondition_failed"));
    assert_eq!(
        bed.admin("POST /v1/rollouts/halt", &[], None).await.problem(),
        (409, "conflict")
    );
    assert_eq!(bed.admin("GET /v1/rollouts/current", &[], None).await.status, 404);
}

#[tokio::test]
async fn who_tries_to_change_what_is_not_theirs_is_in_the_log() {
    let bed = Bed::new().await;
    let reader = bed.token(Role::Read, scope(&["*"], &["*"])).await;
    assert_eq!(
        bed.ask(&reader, "POST /v1/proxies", &[], proxy("p", "eu"))
            .await
            .status,
        403
    );
    let other = bed.token(Role::Operate, scope(&[], &["us"])).await;
    assert_eq!(
        bed.ask(&other, "POST /v1/proxies", &[], proxy("p", "eu"))
            .await
            .status,
        403
    );
    let events = bed.events("proxy.create").await;
    assert_eq!(events.len(), 2);
    assert!(
        events.iter().all(|event| event["result"] == "forbidden"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits() {
    let bed = Bed::new().await;
    let mut limited = None;
    for _ in 0..1000 {
        let got = bed.admin("GET /v1/whoami", &[], None).await;
        if got.status == 429 {
            limited = Some(got);
            break;
        }
    }
    let got = limited.unwrap();
    assert_eq!(got.problem(), (429, "too_many"));
    assert_eq!(got.header("retry-after"), "1");
    let other = bed.token(Role::Read, scope(&[], &[])).await;
    assert_eq!(bed.ask(&other, "GET /v1/whoami", &[], None).await.status, 200);
}
