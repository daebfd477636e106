//! What a listener speaks, and whom it lets in.

use std::time::Duration;

use serde_json::json;
use weir_tests::h2c::H2;

use crate::Site;

#[test]
fn a_listener_speaks_only_its_protocols() {
    let h1 = Site::with(|config| config.set("/listeners/0/protocols", json!(["h1"])));
    assert_eq!(h1.weir.client().get("/").status, 200);
    let refused =
        H2::prior_knowledge(h1.weir.address("web")).and_then(|mut client| client.get("http://acme.test/"));
    assert!(refused.is_err(), "{refused:?}");
    let h2 = Site::with(|config| config.set("/listeners/0/protocols", json!(["h2"])));
    let mut client = H2::prior_knowledge(h2.weir.address("web")).unwrap();
    assert_eq!(client.get("http://acme.test/").unwrap().status, 200);
}

#[test]
fn a_proxy_header_from_a_trusted_peer_names_the_client() {
    let site = Site::with(|config| {
        config
            .set("/listeners/0/proxy_protocol", true)
            .set("/trust/proxies", json!(["127.0.0.0/8"]))
            .set(
                "/tenants/0/limits/address",
                json!({ "requests": 1, "window_ms": 60000 }),
            )
    });
    let ask = |header: &[u8]| {
        let mut client = site.weir.client();
        client.send(header).unwrap();
        client.get("/").status
    };
    let v1 = |last: u8| format!("PROXY TCP4 192.0.2.{last} 127.0.0.1 4711 80\r\n").into_bytes();
    assert_eq!([ask(&v1(1)), ask(&v1(1)), ask(&v1(2))], [200, 429, 200]);
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    v2.extend_from_slice(&[192, 0, 2, 2, 127, 0, 0, 1, 0x12, 0x67, 0, 80]);
    assert_eq!(ask(&v2), 429, "the same client by version 2");
    let mut without = site.weir.client();
    without.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    assert!(
        without.closes_within(Duration::from_secs(8)),
        "a connection without the header is cut"
    );
}

#[test]
fn an_admin_endpoint_that_others_can_reach_must_be_allowed() {
    let origin = weir_tests::origin::Origin::start();
    let config = weir_tests::config::Config::with_origin(origin.address()).set("/admin/address", "0.0.0.0:0");
    let (status, log) = weir_tests::weir::Weir::refused(&config);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("allow_remote"), "{log}");
    let weir = weir_tests::weir::Weir::start(&config.set("/admin/allow_remote", true));
    assert!(weir.address("admin").ip().is_unspecified());
    assert_eq!(weir.admin_get("/readyz").status, 200);
}
