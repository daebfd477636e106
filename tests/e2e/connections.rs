//! What the process allows all clients together, and how it counts them.

use std::net::IpAddr;
use std::time::Duration;

use http::Request;
use weir_tests::h1::H1;
use weir_tests::h2c::H2;
use weir_tests::socket::connect_from;
use weir_tests::wait::wait_for;

use crate::Site;

/// Whether a fresh connection from this address is served.
fn served(site: &Site, from: &str) -> (bool, H1) {
    let from: IpAddr = from.parse().unwrap();
    let mut client = H1::over(connect_from(from, site.weir.address("web")));
    let sent = client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    let served = sent.is_ok() && client.response().is_some_and(|response| response.status == 200);
    (served, client)
}

#[test]
fn connections_above_the_limit_of_the_process_are_closed() {
    let site = Site::with(|config| config.set("/client/connections_max", 2));
    let held = ["127.0.0.2", "127.0.1.2", "127.0.2.2"].map(|from| served(&site, from));
    assert_eq!(held.each_ref().map(|(served, _)| *served), [true, true, false]);
    drop(held);
    wait_for("places to come free", || {
        served(&site, "127.0.2.2").0.then_some(())
    });
    let refused = "weir_connections_refused_total{listener=\"web\",reason=\"total\"}";
    assert!(site.weir.metric(refused) >= 1.0);
}

#[test]
fn connections_above_the_limit_of_a_prefix_are_closed() {
    let site = Site::with(|config| config.set("/client/connections_per_prefix_max", 2));
    let from = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.2"];
    let held = from.map(|from| served(&site, from));
    assert_eq!(
        held.each_ref().map(|(served, _)| *served),
        [true, true, false, true],
        "another /24 is another prefix"
    );
    let refused = "weir_connections_refused_total{listener=\"web\",reason=\"prefix\"}";
    assert!((site.weir.metric(refused) - 1.0).abs() < 0.1);
}

#[test]
fn an_unread_body_is_dropped_up_to_its_limit_to_keep_the_connection() {
    let body = "x".repeat(50_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (limit, kept) in [(65_536, true), (1000, false)] {
        let site = Site::with(|config| config.set("/client/drain_bytes_max", limit));
        let mut client = site.weir.client();
        assert_eq!(client.roundtrip(&request).status, 404);
        if kept {
            assert_eq!(client.get("/").status, 200, "drain_bytes_max: {limit}");
        } else {
            assert!(
                client.closes_within(Duration::from_secs(5)),
                "drain_bytes_max: {limit}"
            );
        }
    }
}

#[test]
fn bodies_of_all_tenants_together_are_held_up_to_a_limit() {
    let body = "x".repeat(60_000);
    let part = format!(
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len() + 1
    );
    for (limit, status) in [(65_536, 503), (268_435_456_u64, 200)] {
        let site = Site::with(|config| config.set("/client/inspection_bytes_max", limit));
        let mut first = site.weir.client();
        first.send(&part).unwrap();
        wait_for("the first body to be held", || {
            (site.weir.metric("weir_inspection_buffer_bytes") > 50_000.0).then_some(())
        });
        let mut second = site.weir.client();
        let answer = second.roundtrip(format!("{part}y"));
        assert_eq!(answer.status, status, "inspection_bytes_max: {limit}");
        assert_eq!(first.roundtrip("y").status, 200, "the first is not touched");
    }
}

#[test]
fn a_header_list_above_its_limit_is_refused_on_http2() {
    let value = "v".repeat(3000);
    for (limit, passes) in [(65_536, true), (4096, false)] {
        let site = Site::with(|config| config.set("/client/h2/header_list_bytes_max", limit));
        let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
        let request = Request::get("http://acme.test/")
            .header("x-one", &value)
            .header("x-two", &value)
            .body(())
            .unwrap();
        let answer = client.request(request, &[], None);
        let status = answer.map(|answer| answer.status).unwrap_or_default();
        assert_eq!(status == 200, passes, "header_list_bytes_max: {limit}: {status}");
        assert_eq!(site.origin.seen().len(), usize::from(passes));
    }
}
