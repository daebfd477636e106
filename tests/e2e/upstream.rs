//! Connections to upstreams: how long they may take, how many are kept, what is spoken on them, whom they trust.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::config::Config;
use weir_tests::origin::Origin;
use weir_tests::pki::Authority;
use weir_tests::socket::Silent;
use weir_tests::weir::Weir;

use crate::Site;

/// How long a GET takes against an endpoint that neither accepts nor refuses, and what it gets.
fn silent(change: impl FnOnce(Config) -> Config) -> (Duration, u16, String) {
    let silent = Silent::start();
    let weir = Weir::start(&change(Config::with_origin(silent.address())));
    let start = Instant::now();
    let response = weir.client().get("/");
    (start.elapsed(), response.status, response.code())
}

#[test]
fn one_attempt_to_connect_has_its_time() {
    let once = |timeout: u32| {
        silent(|config| {
            config
                .set("/pools/0/connect_timeout_ms", timeout)
                .set("/pools/0/retry/retries_max", 0)
        })
    };
    let (short, status, code) = once(200);
    assert_eq!((status, code.as_str()), (504, "upstream_timeout"));
    let (long, ..) = once(1200);
    assert!(short >= Duration::from_millis(200), "{short:?}");
    assert!(
        long >= Duration::from_millis(1200) && short < Duration::from_millis(1200),
        "{short:?} {long:?}"
    );
}

#[test]
fn all_attempts_of_a_request_have_a_time_together() {
    let many = |total: u32| {
        silent(|config| {
            config
                .set("/pools/0/connect_timeout_ms", 400)
                .set("/pools/0/connect_total_timeout_ms", total)
                .set(
                    "/pools/0/retry",
                    json!({ "retries_max": 3, "budget_min_per_s": 100, "backoff_base_ms": 0 }),
                )
        })
    };
    let (short, ..) = many(500);
    let (long, ..) = many(60_000);
    assert!(short < Duration::from_millis(1500), "{short:?}");
    assert!(long >= Duration::from_millis(1600), "four attempts: {long:?}");
}

#[test]
fn idle_connections_are_kept_up_to_their_number() {
    for (kept, connections) in [(256, 1), (0, 5)] {
        let site = Site::with(|config| config.set("/pools/0/idle_connections_max", kept));
        let mut client = site.weir.client();
        for _ in 0..5 {
            assert_eq!(client.get("/").status, 200);
        }
        assert_eq!(
            site.origin.connections(),
            connections,
            "idle_connections_max: {kept}"
        );
    }
}

#[test]
fn an_endpoint_that_speaks_only_http2_needs_a_pool_that_does() {
    let inner = Site::with(|config| config.set("/listeners/0/protocols", json!(["h2"])));
    for (protocol, status) in [("h2", 200), ("h1", 502)] {
        let config = Config::with_origin(inner.weir.address("web")).set("/pools/0/protocol", protocol);
        let weir = Weir::start(&config);
        assert_eq!(weir.client().get("/").status, status, "protocol: {protocol}");
    }
}

#[test]
fn the_name_and_the_authority_of_an_upstream_are_verified() {
    let (authority, foreign) = (Authority::new("inner"), Authority::new("foreign"));
    // The tenant takes www.acme.test as well, but its certificate is for acme.test alone.
    let identity = authority.issue(&["acme.test"]);
    let origin = Origin::start();
    let inner = Weir::start_with_files(
        &Config::with_origin(origin.address()).with_tls("a.pem", "a.key"),
        &[("a.pem", &identity.cert_pem), ("a.key", &identity.key_pem)],
    );
    let (ca, other) = (authority.cert_pem(), foreign.cert_pem());
    let cases = [
        ("acme.test", "ca.pem", 200),
        ("www.acme.test", "ca.pem", 502),
        ("acme.test", "other.pem", 502),
    ];
    for (server_name, ca_file, status) in cases {
        let config = Config::with_origin(inner.address("websecure")).set(
            "/pools/0/tls",
            json!({ "server_name": server_name, "ca_file": ca_file }),
        );
        let weir = Weir::start_with_files(&config, &[("ca.pem", &ca), ("other.pem", &other)]);
        assert_eq!(
            weir.client().get("/").status,
            status,
            "{server_name} by {ca_file}"
        );
    }
}
