//! HTTP/1 as every client knows it.

use std::time::Duration;

use weir_tests::origin::Answer;

use crate::Site;

#[test]
fn a_get_passes_and_carries_who_asked() {
    let site = Site::start();
    let response = site.weir.client().get("/a/b?c=d");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let seen = site.origin.wait_seen(1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("GET", "/a/b?c=d")
    );
    assert_eq!(
        (seen[0].version.as_str(), seen[0].header("host")),
        ("HTTP/1.1", Some("acme.test"))
    );
    assert_eq!(seen[0].header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(seen[0].header("x-request-id").is_some(), "{:?}", seen[0].headers);
}

#[test]
fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let site = Site::answering(|seen| match seen.target.as_str() {
        "/204" => Answer::raw("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"),
        "/head" if seen.method == "HEAD" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        _ => Answer::text("ok"),
    });
    let mut client = site.weir.client();
    client
        .send("HEAD /head HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        .unwrap();
    let head = client.head_response().unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(client.get("/204").status, 204);
    let not_modified = client.get("/304");
    assert_eq!(
        (not_modified.status, not_modified.header("etag")),
        (304, Some("\"1\""))
    );
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(
        site.origin.connections(),
        1,
        "the upstream connection is used again"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::answering(|seen| match seen.target.as_str() {
        "/0" => Answer::text("/0").delayed(Duration::from_millis(100)),
        other => Answer::text(other),
    });
    let mut client = site.weir.client();
    let requests: String = (0..5)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: acme.test\r\n\r\n"))
        .collect();
    client.send(requests).unwrap();
    let answers: Vec<String> = (0..5).map(|_| client.response().unwrap().text()).collect();
    assert_eq!(answers, ["/0", "/1", "/2", "/3", "/4"]);
}

#[test]
fn http_1_0_is_answered_without_chunks_and_closed() {
    let site = Site::answering(|_| Answer::chunked(&[b"ab", b"cd"], &[]));
    let mut client = site.weir.client();
    let response = client.roundtrip("GET / HTTP/1.0\r\nHost: acme.test\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (200, "abcd"));
    assert_eq!(response.header("transfer-encoding"), None);
    assert!(client.closes_within(Duration::from_secs(2)));
}

#[test]
fn connection_close_is_honoured() {
    let site = Site::start();
    let mut client = site.weir.client();
    let response = client.roundtrip("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (response.status, response.header("connection")),
        (200, Some("close"))
    );
    assert!(client.closes_within(Duration::from_secs(2)));
}

#[test]
fn chunked_bodies_and_trailers_pass_both_ways() {
    let site = Site::answering(|_| Answer::chunked(&[b"ab", b"c"], &[("x-end", "1")]));
    let mut client = site.weir.client();
    let response = client.roundtrip(
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nxyz\r\n1;ext=1\r\nw\r\n0\r\nx-sum: 9\r\n\r\n",
    );
    assert_eq!(
        (response.text().as_str(), response.trailer("x-end")),
        ("abc", Some("1"))
    );
    let seen = site.origin.wait_seen(1);
    assert_eq!(seen[0].body, b"xyzw");
    assert_eq!(seen[0].trailers, [("x-sum".to_owned(), "9".to_owned())]);
}

#[test]
fn a_client_that_expects_continue_gets_it_before_its_body() {
    let site = Site::start();
    let mut client = site.weir.client();
    client
        .send("POST / HTTP/1.1\r\nHost: acme.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .unwrap();
    assert_eq!(client.any_response(false).unwrap().status, 100);
    client.send("abc").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    assert_eq!(site.origin.wait_seen(1)[0].body, b"abc");
}

#[test]
fn another_expectation_is_refused() {
    let site = Site::start();
    let response = site
        .weir
        .client()
        .roundtrip("GET / HTTP/1.1\r\nHost: acme.test\r\nExpect: tea\r\n\r\n");
    assert_eq!(
        (response.status, response.code().as_str()),
        (417, "expectation_failed")
    );
}

#[test]
fn hop_by_hop_fields_stop_at_the_proxy_in_both_directions() {
    let site = Site::answering(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nConnection: x-gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nX-Stays: 1\r\n\
             Content-Length: 0\r\n\r\n",
        )
    });
    let response = site.weir.client().roundtrip(
        "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: keep-alive, x-secret\r\nX-Secret: 1\r\nKeep-Alive: 3\r\n\
         Proxy-Connection: x\r\nX-Kept: 1\r\n\r\n",
    );
    assert_eq!(
        (response.header("x-gone"), response.header("keep-alive")),
        (None, None)
    );
    assert_eq!(response.header("x-stays"), Some("1"));
    let seen = &site.origin.wait_seen(1)[0];
    for name in ["x-secret", "keep-alive", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{name} reached the origin");
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn a_websocket_passes_where_the_route_lets_it() {
    let site = Site::over(
        weir_tests::origin::Origin::answering(|_| Answer::websocket_echo()),
        |config| config.set("/tenants/0/routes/0/upgrade", true),
    );
    let mut client = site.weir.client();
    let response = client.roundtrip(HANDSHAKE);
    assert_eq!(
        (response.status, response.header("upgrade")),
        (101, Some("websocket"))
    );
    for message in ["first", "second"] {
        client.send(message).unwrap();
        assert_eq!(client.take_bytes(message.len()), message.as_bytes());
    }
}

#[test]
fn an_upgrade_is_refused_where_the_route_does_not_let_it() {
    let site = Site::answering(|_| Answer::websocket_echo());
    let response = site.weir.client().roundtrip(HANDSHAKE);
    assert_eq!(
        (response.status, response.code().as_str()),
        (403, "upgrade_refused")
    );
    assert_eq!(site.origin.bytes_in(), 0);
}

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
