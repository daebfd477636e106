//! When failed requests take an endpoint out of the choice, and when it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::config::Config;
use weir_tests::origin::{Answer, Origin};
use weir_tests::socket::Dead;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// Two endpoints in turn, and what of the ejection differs from the default.
fn over_two(first: std::net::SocketAddr, second: std::net::SocketAddr, outlier: Value) -> Config {
    Config::with_origin(first)
        .set(
            "/pools/0/endpoints",
            json!([first.to_string(), second.to_string()]),
        )
        .set("/pools/0/balance", "round_robin")
        .set("/pools/0/outlier", outlier)
}

/// An origin whose status can be set.
fn switchable(status: u16) -> (Origin, Arc<AtomicU16>) {
    let switch = Arc::new(AtomicU16::new(status));
    let state = Arc::clone(&switch);
    let origin = Origin::answering(move |_| Answer::full(state.load(Ordering::Acquire), &[], b"ok"));
    (origin, switch)
}

fn endpoint(weir: &Weir, at: usize) -> Value {
    let answer = weir.admin_post("/explain", &json!({"url": "http://acme.test/"}).to_string());
    answer.json()["upstream"]["endpoints"][at].clone()
}

#[test]
fn a_dead_endpoint_costs_one_connection_and_is_shown_as_out() {
    let (dead, origin) = (Dead::start(), Origin::start());
    let weir = Weir::start(&over_two(dead.address(), origin.address(), json!({})));
    let mut client = weir.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    let refused = weir.metric("weir_upstream_requests_total{pool=\"app\",result=\"connect\"}");
    assert_eq!(refused, 1.0, "one try found it dead");
    assert_eq!(
        weir.metric("weir_upstream_ejections_total{cause=\"connect\",pool=\"app\"}"),
        1.0
    );
    let shown = endpoint(&weir, 0);
    assert_eq!(
        (&shown["healthy"], &shown["ejected"], &shown["check"]),
        (&json!(false), &json!("connect"), &json!(true))
    );
    let series = format!(
        "weir_upstream_healthy{{endpoint=\"{}\",pool=\"app\"}}",
        dead.address()
    );
    let text = wait_for("the gauge", || {
        let text = weir.admin_get("/metrics").text();
        text.contains(&series).then_some(text)
    });
    assert!(text.contains(&format!("{series} 0")), "{text}");
}

#[test]
fn bad_answers_in_a_row_eject_at_their_number() {
    for (after, bad) in [(2, 2), (7, 7), (0, 50)] {
        let (good, (sick, _)) = (Origin::start(), switchable(503));
        let outlier = json!({ "eject_after": after, "ejection_base_ms": 60_000, "ejection_max_ms": 60_000 });
        let weir = Weir::start(&over_two(good.address(), sick.address(), outlier));
        let mut client = weir.client();
        let failed = (0..100).filter(|_| client.get("/").status == 503).count();
        assert_eq!(failed, bad, "eject_after: {after}");
    }
}

#[test]
fn an_ejection_lasts_its_time_and_doubles_up_to_its_bound() {
    // Back after base, twice base, then max: how long the sick endpoint gets nothing between two failures.
    let gaps = |base: u32, max: u32| -> Vec<Duration> {
        let (good, (sick, _)) = (Origin::start(), switchable(502));
        let outlier = json!({ "eject_after": 1, "ejection_base_ms": base, "ejection_max_ms": max });
        let weir = Weir::start(&over_two(good.address(), sick.address(), outlier));
        let mut client = weir.client();
        let mut failures = Vec::new();
        while failures.len() < 4 {
            if client.get("/").status == 502 {
                failures.push(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        failures.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let doubling = gaps(200, 60_000);
    for (gap, least) in doubling.iter().zip([150, 300, 600]) {
        assert!(*gap >= Duration::from_millis(least), "{doubling:?}");
    }
    let capped = gaps(200, 200);
    assert!(
        capped.iter().all(|gap| *gap < doubling[2]),
        "{capped:?} {doubling:?}"
    );
}

#[test]
fn bad_answers_take_out_no_more_than_a_share_of_the_pool() {
    for (percent, expected) in [(100, 1), (50, 1), (49, 100)] {
        let (good, (sick, _)) = (Origin::start(), switchable(504));
        let outlier = json!({ "eject_after": 1, "ejected_percent_max": percent,
            "ejection_base_ms": 60_000, "ejection_max_ms": 60_000 });
        let weir = Weir::start(&over_two(good.address(), sick.address(), outlier));
        let mut client = weir.client();
        let failed = (0..200).filter(|_| client.get("/").status == 504).count();
        assert_eq!(failed, expected, "ejected_percent_max: {percent}");
    }
}

#[test]
fn the_last_endpoint_is_never_taken_out() {
    let (sick, status) = switchable(503);
    let weir = Weir::start(&Config::with_origin(sick.address()));
    let mut client = weir.client();
    assert!((0..50).all(|_| client.get("/").status == 503));
    assert_eq!(sick.seen().len(), 50);
    status.store(200, Ordering::Release);
    assert_eq!(
        client.get("/").status,
        200,
        "it is back with its first good answer"
    );
}

#[test]
fn an_ejection_outlives_a_new_configuration() {
    let (good, (sick, status)) = (Origin::start(), switchable(503));
    let outlier = json!({ "eject_after": 1, "ejection_base_ms": 3000 });
    let config = over_two(good.address(), sick.address(), outlier);
    let weir = Weir::start(&config);
    let mut client = weir.client();
    wait_for("a bad answer", || (client.get("/").status == 503).then_some(()));
    let seen = sick.seen().len();
    status.store(200, Ordering::Release);
    let changed = config.set("/pools/0/read_timeout_ms", 5000).set(
        "/pools/0/endpoints/1",
        json!({ "address": sick.address().to_string(), "weight": 3 }),
    );
    weir.reload(&changed);
    assert_eq!(endpoint(&weir, 1)["ejected"], "answers");
    assert!((0..50).all(|_| client.get("/").status == 200));
    assert_eq!(sick.seen().len(), seen, "still out");
    wait_for("its return", || {
        client.get("/");
        (sick.seen().len() > seen + 5).then_some(())
    });
}
