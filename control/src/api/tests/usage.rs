//! What tenants used.

use serde_json::json;
use weir_schema::telemetry::frame::{Entry, Frame, StatusClass};
use weir_schema::telemetry::record::Outcome;

use super::Bed;
use crate::collect::Collector;
use crate::push::{Fleet, FrameSink};

fn frame(seq: u64, to_ms: u64, tenant: &str, count: u64) -> serde_json::Value {
    let mut entry = Entry::new(tenant, "all");
    entry
        .requests
        .add((StatusClass::Successful, Outcome::Answered), count);
    (0..count).for_each(|place| entry.latency.record(u32::try_from(place).unwrap()));
    entry.bytes_out = 100 * count;
    let frame = Frame {
        node: "eu-1".to_owned(),
        region: "eu".to_owned(),
        epoch: 1,
        seq,
        from_ms: to_ms - 1000,
        to_ms,
        entries: vec![entry],
        ..Frame::default()
    };
    json!(frame)
}

#[tokio::test]
async fn a_tenant_sees_what_it_used_to_the_unit_and_nobody_elses() {
    let bed = Bed::new().await;
    let store = std::sync::Arc::clone(&bed.api.parts.store);
    let collector = Collector::new(store, std::sync::Arc::new(Fleet::default()), Vec::new());
    let hour = 3_600_000;
    let frames = vec![
        frame(1, 10 * hour + 1000, "acme", 7),
        frame(2, 10 * hour + 2000, "other", 50),
        frame(3, 11 * hour + 5000, "acme", 5),
    ];
    // Sent twice, as after a lost acknowledgement.
    for _ in 0..2 {
        let kept = collector.keep("eu-1", "eu", frames.clone()).await.unwrap();
        assert_eq!(kept, [(1, 3)]);
    }
    let asked = format!(
        "GET /v1/tenants/acme/usage?since_ms={}&until_ms={}",
        10 * hour,
        12 * hour
    );
    let got = bed.admin(&asked, &[], None).await;
    assert_eq!(
        (got.status, &got.body["total"]["requests"]),
        (200, &json!(12)),
        "{got:?}"
    );
    assert_eq!(got.body["total"]["bytes_out"], 1200);
    let rows: Vec<_> = got.body["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["requests"].clone())
        .collect();
    assert_eq!(rows, [json!(7), json!(5)]);
    let wrong = bed.admin("GET /v1/tenants/acme/usage?step=year", &[], None).await;
    assert_eq!(wrong.status, 400);
}
