//! What is tried again, and what never is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use weir_tests::origin::{Answer, Origin};
use weir_tests::socket::Dead;

use crate::Site;

/// Reads the first `faults` requests and closes without a word, then answers.
fn flaky(faults: usize) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |_| {
        if count.fetch_add(1, Ordering::AcqRel) < faults {
            Answer::raw("").then_close()
        } else {
            Answer::text("ok")
        }
    })
}

#[test]
fn a_get_whose_connection_broke_is_tried_again() {
    let site = Site::over(flaky(1), |config| config);
    assert_eq!(site.weir.client().get("/").text(), "ok");
    assert_eq!(site.origin.seen().len(), 2);
}

#[test]
fn a_post_that_reached_the_origin_is_never_sent_again() {
    let site = Site::over(flaky(1), |config| config);
    let response = site
        .weir
        .client()
        .roundtrip("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(
        (response.status, response.code().as_str()),
        (502, "upstream_reset")
    );
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(site.origin.seen().len(), 1);
}

#[test]
fn a_put_with_a_body_is_replayed_whole() {
    let site = Site::over(flaky(1), |config| config);
    let body = "x".repeat(100_000);
    let request = format!(
        "PUT / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(site.weir.client().roundtrip(request).status, 200);
    let seen = site.origin.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body_sha256, seen[1].body_sha256);
}

#[test]
fn retries_end_at_their_number() {
    let site = Site::over(flaky(100), |config| config.set("/pools/0/retry/retries_max", 2));
    assert_eq!(site.weir.client().get("/").status, 502);
    assert_eq!(site.origin.seen().len(), 3);
    let none = Site::over(flaky(100), |config| config.set("/pools/0/retry/retries_max", 0));
    assert_eq!(none.weir.client().get("/").status, 502);
    assert_eq!(none.origin.seen().len(), 1);
}

#[test]
fn an_idempotency_key_counts_only_where_the_route_says_so() {
    for (allowed, tries) in [(true, 2), (false, 1)] {
        let site = Site::over(flaky(1), |config| {
            config.set("/tenants/0/routes/0/retry_idempotency_key", allowed)
        });
        site.weir.client().roundtrip(
            "POST / HTTP/1.1\r\nHost: acme.test\r\nIdempotency-Key: k1\r\nContent-Length: 3\r\n\r\nabc",
        );
        assert_eq!(
            site.origin.seen().len(),
            tries,
            "retry_idempotency_key: {allowed}"
        );
    }
}

#[test]
fn a_dead_endpoint_is_passed_over_even_for_a_post() {
    // It refuses; nothing was sent, so any method may go elsewhere.
    let dead = Dead::start();
    let origin = Origin::start();
    let endpoints = json!([dead.address().to_string(), origin.address().to_string()]);
    let site = Site::over(origin, |config| {
        config
            .set("/pools/0/endpoints", endpoints)
            .set("/pools/0/balance", "round_robin")
    });
    let mut client = site.weir.client();
    for _ in 0..4 {
        let response = client.roundtrip("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(response.status, 200);
    }
    assert_eq!(site.origin.seen().len(), 4);
}

#[test]
fn no_endpoint_is_502_and_a_silent_one_504() {
    let dead = Dead::start();
    let endpoints = json!([dead.address().to_string()]);
    let site = Site::with(|config| config.set("/pools/0/endpoints", endpoints));
    let response = site.weir.client().get("/");
    assert_eq!(
        (response.status, response.code().as_str()),
        (502, "upstream_connect")
    );
    let silent = Origin::answering(|_| Answer::text("late").delayed(Duration::from_secs(3)));
    let site = Site::over(silent, |config| config.set("/pools/0/read_timeout_ms", 300));
    let response = site
        .weir
        .client()
        .roundtrip("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (response.status, response.code().as_str()),
        (504, "upstream_timeout")
    );
}

#[test]
fn the_deadline_of_a_route_covers_everything() {
    let silent = Origin::answering(|_| Answer::text("late").delayed(Duration::from_secs(3)));
    let site = Site::over(silent, |config| config.set("/tenants/0/routes/0/timeout_ms", 300));
    let response = site.weir.client().get("/");
    assert_eq!(
        (response.status, response.code().as_str()),
        (504, "route_timeout")
    );
}

/// The longest of eight requests at once that each need all their retries.
fn longest_with_backoff(retries: u8, base: u32, max: u32) -> Duration {
    let origin = Origin::answering(|_| Answer::raw("").then_close());
    let retry = json!({ "retries_max": retries, "budget_min_per_s": 1000, "backoff_base_ms": base, "backoff_max_ms": max });
    let site = Site::over(origin, |config| config.set("/pools/0/retry", retry));
    let took = std::thread::scope(|scope| {
        let clients = [0; 8].map(|_| {
            scope.spawn(|| {
                let start = std::time::Instant::now();
                assert_eq!(site.weir.client().get("/").status, 502);
                start.elapsed()
            })
        });
        clients.map(|client| client.join().unwrap())
    });
    took.into_iter().max().unwrap()
}

#[test]
fn retries_wait_within_the_bounds_of_their_backoff() {
    // Two waits of up to 2 s each: that all eight requests stay below a second has odds of one in ten million.
    let (base, small_base) = (
        longest_with_backoff(2, 2000, 2000),
        longest_with_backoff(2, 1, 2000),
    );
    assert!(base >= Duration::from_secs(1), "{base:?}");
    assert!(small_base < Duration::from_secs(1), "{small_base:?}");
    // Six waits: of up to 50 ms each, or doubling to 1600 ms.
    let (capped, doubling) = (
        longest_with_backoff(6, 50, 50),
        longest_with_backoff(6, 50, 60_000),
    );
    assert!(capped < doubling, "{capped:?} {doubling:?}");
    assert!(doubling >= Duration::from_millis(800), "{doubling:?}");
}

#[test]
fn retries_come_out_of_a_budget() {
    for (percent, min_per_s, tries) in [(0, 0, 1), (0, 2, 3), (100, 0, 2)] {
        let retry = json!({ "retries_max": 5, "budget_percent": percent, "budget_min_per_s": min_per_s, "backoff_base_ms": 0 });
        let site = Site::over(flaky(100), |config| config.set("/pools/0/retry", retry));
        assert_eq!(site.weir.client().get("/").status, 502);
        assert_eq!(
            site.origin.seen().len(),
            tries,
            "{percent} percent, {min_per_s} per second"
        );
    }
}
