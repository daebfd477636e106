//! The life of a tenant.

use serde_json::{Value, json};

use super::{Bed, Got};

fn acme() -> Option<Value> {
    let tenant =
        json!({"tier": "starter", "hosts": ["acme.example"], "routes": [{"id": "r", "pool": "own"}]});
    Some(json!({"id": "acme", "tenant": tenant, "pools": [{"id": "own", "endpoints": ["127.0.0.1:1"]}]}))
}

pub(super) fn tier(month: u64) -> Value {
    let terms = json!({"title": "Gold", "month_nanos": month, "availability_ppm": 999_000, "latency_ppm": 990_000, "latency_ms": 500});
    json!({"terms": terms, "defaults": {"limits": {"tenant": {"requests": 5}}}})
}

const ANY: [(&str, &str); 1] = [("if-match", "*")];
const MERGE: [(&str, &str); 2] = [
    ("if-match", "*"),
    ("content-type", "application/merge-patch+json"),
];

async fn step(bed: &Bed, verb: &str, body: Option<Value>) -> Got {
    bed.admin(&format!("POST /v1/tenants/acme/{verb}"), &ANY, body)
        .await
}

async fn state(bed: &Bed) -> String {
    let got = bed.admin("GET /v1/tenants/acme", &[], None).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.body["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tenant_is_made_served_stopped_moved_removed_and_brought_back() {
    let bed = Bed::new().await;
    let made = bed
        .admin("POST /v1/tenants", &[("idempotency-key", "k")], acme())
        .await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, "/v1/tenants/acme"),
        "{made:?}"
    );
    assert_eq!(
        bed.admin("POST /v1/tenants", &[("idempotency-key", "k")], acme())
            .await
            .status,
        201
    );
    assert_eq!(
        bed.admin("POST /v1/tenants", &[], acme()).await.problem(),
        (409, "already_exists")
    );
    assert_eq!(state(&bed).await, "pending");
    assert_eq!(step(&bed, "resume", None).await.problem(), (409, "conflict"));
    for (verb, to) in [
        ("activate", "active"),
        ("suspend", "suspended"),
        ("resume", "active"),
    ] {
        let got = step(&bed, verb, None).await;
        assert_eq!(
            (got.status, got.body["state"].as_str().unwrap()),
            (200, to),
            "{verb}"
        );
        assert_eq!(state(&bed).await, to);
    }
    let got = step(&bed, "migrate", Some(json!({"region": "us"}))).await;
    assert_eq!(
        (&got.body["state"], &got.body["tenant"]["migrate_to"]),
        (&json!("migrating"), &json!("us"))
    );
    let got = step(&bed, "activate", None).await;
    assert_eq!(
        (&got.body["state"], &got.body["migrate_to"]),
        (&json!("active"), &Value::Null)
    );
    let gone = bed
        .admin("POST /v1/tenants/acme/delete?grace_ms=1000000", &ANY, None)
        .await;
    assert_eq!(
        (gone.status, &gone.body["state"]),
        (200, &json!("deleted")),
        "{gone:?}"
    );
    assert!(gone.body["deletes_ms"].as_u64().unwrap() > crate::clock::unix_ms());
    assert_eq!(step(&bed, "activate", None).await.problem(), (409, "conflict"));
    bed.api.prune(crate::clock::unix_ms()).await.unwrap();
    assert_eq!(step(&bed, "restore", None).await.body["state"], "active");
    let actions: Vec<Value> = bed
        .events("tenant.")
        .await
        .into_iter()
        .rev()
        .map(|event| event["action"].clone())
        .collect();
    let wanted = [
        "create", "activate", "suspend", "resume", "migrate", "activate", "delete", "restore",
    ];
    assert_eq!(actions, wanted.map(|verb| json!(format!("tenant.{verb}"))));
    // What the proxies get is what the API shows.
    let entry = bed.admin("GET /v1/config/tenants/acme", &[], None).await;
    assert_eq!(entry.body["document"]["tenant"]["state"], "active");
    assert_eq!(entry.body["document"]["pools"][0]["id"], "own");
}

#[tokio::test]
async fn a_deleted_tenant_leaves_when_its_grace_is_over_unless_it_was_rolled_back() {
    let bed = Bed::new().await;
    bed.admin("POST /v1/tenants", &[], acme()).await;
    bed.admin("POST /v1/tenants/acme/delete?grace_ms=0", &ANY, None)
        .await;
    // The version before the deletion, again.
    let back = bed
        .admin("POST /v1/versions/1/rollback", &ANY, Some(json!({})))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    let later = crate::clock::unix_ms() + 1;
    bed.api.prune(later).await.unwrap();
    assert_eq!(state(&bed).await, "pending");
    bed.admin("POST /v1/tenants/acme/delete?grace_ms=0", &ANY, None)
        .await;
    bed.api.prune(crate::clock::unix_ms() + 1).await.unwrap();
    assert_eq!(
        bed.admin("GET /v1/tenants/acme", &[], None).await.problem(),
        (404, "not_found")
    );
    assert_eq!(bed.events("tenant.purge").await.len(), 1);
    assert_eq!(bed.api.parts.store.count(crate::store::Kind::Tenant).unwrap(), 0);
}

#[tokio::test]
async fn a_tenant_is_changed_as_it_was_read_whatever_happens_to_others() {
    let bed = Bed::new().await;
    let etag = bed
        .admin("POST /v1/tenants", &[], acme())
        .await
        .header("etag")
        .to_owned();
    let read = bed.admin("GET /v1/tenants/acme", &[], None).await;
    assert_eq!(read.header("etag"), etag);
    bed.admin(
        "POST /v1/tenants",
        &[],
        Some(json!({"id": "other", "tenant": {}})),
    )
    .await;
    let headers = [("if-match", etag.as_str()), MERGE[1]];
    let patch = json!({"tenant": {"tier": "enterprise", "limits": {"tenant": {"requests": 5}}}});
    let got = bed
        .admin("PATCH /v1/tenants/acme", &headers, Some(patch.clone()))
        .await;
    assert_eq!(
        (got.status, &got.body["tier"]),
        (200, &json!("enterprise")),
        "{got:?}"
    );
    assert_eq!(
        bed.events("tenant.change").await[0]["detail"],
        json!({"tier": "enterprise", "tier_before": "starter"})
    );
    assert_eq!(
        bed.admin("PATCH /v1/tenants/acme", &headers, Some(patch.clone()))
            .await
            .problem(),
        (412, "precondition_failed")
    );
    assert_eq!(
        bed.admin("PATCH /v1/tenants/acme", &MERGE[1..], Some(patch))
            .await
            .problem(),
        (428, "precondition_required")
    );
    let got = bed
        .admin(
            "PATCH /v1/tenants/acme",
            &MERGE,
            Some(json!({"tenant": {"state": "active"}})),
        )
        .await;
    assert_eq!(
        (got.problem(), &got.body["errors"][0]["pointer"]),
        ((422, "invalid"), &json!("/tenant/state"))
    );
    // What it is in its life stays when it is written anew.
    step(&bed, "activate", None).await;
    let put = bed.admin("PUT /v1/tenants/acme", &ANY, acme()).await;
    assert_eq!(
        (&put.body["state"], &put.body["tier"]),
        (&json!("active"), &json!("starter")),
        "{put:?}"
    );
    let exported = bed.admin("GET /v1/tenants/acme/export", &[], None).await.body;
    assert_eq!(exported["events"].as_array().unwrap().len(), 4);
    let list = bed.admin("GET /v1/tenants?limit=1", &[], None).await.body;
    assert_eq!(
        (&list["items"][0]["id"], &list["next"]),
        (&json!("acme"), &json!("/v1/tenants?limit=1&after=acme"))
    );
}

#[tokio::test]
async fn many_tenants_are_made_at_once() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let bed = std::sync::Arc::clone(&bed);
            tokio::spawn(async move {
                bed.admin(
                    "POST /v1/tenants",
                    &[],
                    Some(json!({"id": format!("t{n}"), "tenant": {}})),
                )
                .await
                .status
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 201);
    }
    assert_eq!(
        bed.admin("GET /v1/tenants", &[], None).await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        12
    );
}

#[tokio::test]
async fn a_tenant_that_proxies_would_refuse_is_not_kept() {
    let bed = Bed::new().await;
    let refused = Some(json!({"id": "acme", "tenant": {"hosts": ["refused"]}}));
    assert_eq!(
        bed.admin("POST /v1/tenants?dry_run=true", &[], refused.clone())
            .await
            .problem(),
        (422, "invalid")
    );
    assert_eq!(
        bed.admin("POST /v1/tenants", &[], refused).await.problem(),
        (422, "invalid")
    );
    assert_eq!(bed.events("tenant.create").await.len(), 0);
    assert_eq!(bed.events("version.publish").await[0]["result"], "invalid");
}

#[tokio::test]
async fn tiers_are_made_changed_and_reach_the_configuration() {
    let bed = Bed::new().await;
    assert_eq!(
        bed.admin("POST /v1/tiers/standard", &[], None).await.problem(),
        (409, "conflict")
    );
    assert_eq!(
        bed.admin("PUT /v1/config/edge", &[], Some(json!({"version": 1})))
            .await
            .status,
        200
    );
    let made = bed.admin("POST /v1/tiers/standard", &[], None).await;
    assert_eq!(
        made.body["items"][2]["terms"]["month_nanos"], 2_999_000_000_000_u64,
        "{made:?}"
    );
    let again = bed.admin("POST /v1/tiers/standard", &[], None).await;
    assert_eq!((again.status, &again.body["items"]), (200, &json!([])));
    let list = bed.admin("GET /v1/tiers?limit=1", &[], None).await.body;
    assert_eq!(
        (&list["items"][0]["id"], &list["next"]),
        (&json!("enterprise"), &json!("/v1/tiers?limit=1&after=enterprise"))
    );
    let gold = bed.admin("PUT /v1/tiers/gold", &[], Some(tier(5))).await;
    assert_eq!(
        (gold.status, &gold.body["terms"]["month_nanos"]),
        (200, &json!(5)),
        "{gold:?}"
    );
    let etag = gold.header("etag").to_owned();
    assert_eq!(
        bed.admin("PUT /v1/tiers/gold", &[], Some(tier(6)))
            .await
            .problem(),
        (428, "precondition_required")
    );
    let revision = bed.admin("GET /v1/config/edge", &[], None).await.body["revision"].clone();
    // The price alone is no new version.
    let changed = bed
        .admin("PUT /v1/tiers/gold", &[("if-match", &etag)], Some(tier(6)))
        .await;
    assert_eq!(
        (changed.status, &changed.body["terms"]["month_nanos"]),
        (200, &json!(6))
    );
    let edge = bed.admin("GET /v1/config/edge", &[], None).await.body;
    assert_eq!(edge["revision"], revision);
    assert_eq!(edge["document"]["tiers"].as_array().unwrap().len(), 4);
    assert_eq!(
        edge["document"]["tiers"][3],
        json!({"id": "gold", "limits": {"tenant": {"requests": 5}}})
    );
    assert_eq!(
        bed.admin("PUT /v1/tiers/gold", &[("if-match", &etag)], Some(tier(7)))
            .await
            .problem(),
        (412, "precondition_failed")
    );
    let mut wrong = tier(1);
    wrong["terms"]["availability_ppm"] = json!(1_000_000);
    let got = bed.admin("PUT /v1/tiers/gold", &ANY, Some(wrong)).await;
    assert_eq!(got.body["errors"][0]["pointer"], "/terms/availability_ppm");
    assert_eq!(bed.events("tier.change").await.len(), 5);
}
