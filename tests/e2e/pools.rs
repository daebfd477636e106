//! Which endpoint answers.

use serde_json::json;
use weir_tests::origin::{Answer, Origin};
use weir_tests::wait::wait_for;

use crate::Site;

#[test]
fn weights_count_in_round_robin() {
    let origins = [Origin::start(), Origin::start()];
    let endpoints = json!([
        { "address": origins[0].address().to_string(), "weight": 3 },
        { "address": origins[1].address().to_string(), "weight": 1 },
    ]);
    let site = Site::with(|config| {
        config
            .set("/pools/0/endpoints", endpoints)
            .set("/pools/0/balance", "round_robin")
    });
    let mut client = site.weir.client();
    assert!((0..40).all(|_| client.get("/").status == 200));
    assert_eq!(origins.map(|origin| origin.seen().len()), [30, 10]);
}

#[test]
fn a_sick_endpoint_gets_no_requests_until_it_is_well() {
    let sick = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let state = std::sync::Arc::clone(&sick);
    let origin = Origin::answering(move |seen| {
        let status = if seen.target == "/healthz" && state.load(std::sync::atomic::Ordering::Acquire) {
            500
        } else {
            200
        };
        Answer::full(status, &[], b"ok")
    });
    let health = json!({ "path": "/healthz", "host": "app", "interval_ms": 100, "timeout_ms": 100,
        "unhealthy_after": 1, "healthy_after": 1, "status": [200, 399] });
    let site = Site::over(origin, |config| config.set("/pools/0/health", health));
    let status = || site.weir.client().get("/").status;
    wait_for("the endpoint to be found sick", || {
        (status() == 503).then_some(())
    });
    assert_eq!(site.weir.client().get("/").code(), "no_healthy_upstream");
    assert!(
        site.origin
            .seen()
            .iter()
            .any(|seen| seen.target == "/healthz" && seen.header("host") == Some("app"))
    );
    sick.store(false, std::sync::atomic::Ordering::Release);
    wait_for("the endpoint to be found well", || {
        (status() == 200).then_some(())
    });
}
