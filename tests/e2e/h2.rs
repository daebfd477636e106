//! HTTP/2 in front of an HTTP/1.1 origin.

use http::{HeaderMap, HeaderValue, Request};
use weir_tests::config::Config;
use weir_tests::h2c::H2;
use weir_tests::h2raw::*;
use weir_tests::origin::{Answer, Origin};
use weir_tests::pki::Authority;
use weir_tests::tls::Client;
use weir_tests::weir::Weir;

use crate::Site;

#[test]
fn prior_knowledge_and_alpn_both_reach_the_origin() {
    let origin = Origin::start();
    let authority = Authority::new("test authority");
    let acme = authority.issue(&["acme.test"]);
    let config = Config::with_origin(origin.address()).with_tls("acme.pem", "acme.key");
    let files = [
        ("acme.pem", acme.cert_pem.as_str()),
        ("acme.key", acme.key_pem.as_str()),
    ];
    let weir = Weir::start_with_files(&config, &files);
    let mut clear = H2::prior_knowledge(weir.address("web")).unwrap();
    assert_eq!(clear.get("http://acme.test/clear").unwrap().body, b"ok");
    let client = Client::trusting(&authority, &["h2", "http/1.1"]);
    let mut secure = H2::over_tls(weir.address("websecure"), &client, "acme.test").unwrap();
    assert_eq!(secure.get("https://acme.test/secure").unwrap().body, b"ok");
    let seen = origin.wait_seen(2);
    assert_eq!(
        (seen[0].target.as_str(), seen[1].target.as_str()),
        ("/clear", "/secure")
    );
    assert_eq!(
        (seen[0].header("host"), seen[0].version.as_str()),
        (Some("acme.test"), "HTTP/1.1")
    );
}

#[test]
fn trailers_pass_both_ways() {
    let site = Site::answering(|_| Answer::chunked(&[b"data"], &[("x-end", "1")]));
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        HeaderValue::from_static("9"),
    )]);
    let request = Request::post("http://acme.test/")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let response = client.request(request, b"abc", Some(trailers)).unwrap();
    assert_eq!(response.body, b"data");
    assert_eq!(
        response.trailers.get("x-end"),
        Some(&HeaderValue::from_static("1"))
    );
    let seen = &site.origin.wait_seen(1)[0];
    assert_eq!(
        (seen.body.as_slice(), seen.trailers.as_slice()),
        (&b"abc"[..], &[("x-sum".to_owned(), "9".to_owned())][..])
    );
}

#[test]
fn cookie_crumbs_reach_the_origin_as_one_line() {
    let site = Site::start();
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    let request = Request::get("http://acme.test/")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(())
        .unwrap();
    assert_eq!(client.request(request, b"", None).unwrap().status, 200);
    let seen = &site.origin.wait_seen(1)[0];
    let cookies: Vec<_> = seen
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        .collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(cookies[0].1, "a=1; b=2");
}

#[test]
fn a_content_length_that_lies_is_refused() {
    let site = Site::start();
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    for (length, body) in [("0", &b"abc"[..]), ("5", b"abc"), ("2", b"abc")] {
        let request = Request::post("http://acme.test/")
            .header("content-length", length)
            .body(())
            .unwrap();
        let refused = client
            .request(request, body, None)
            .map_or(true, |response| response.status == 400);
        assert!(refused, "content-length {length} with {} bytes", body.len());
    }
    assert_eq!(site.origin.seen().len(), 0, "{:?}", site.origin.seen());
}

#[test]
fn connection_fields_are_a_stream_error_or_refused() {
    let site = Site::start();
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    let request = Request::get("http://acme.test/")
        .header("te", "gzip")
        .body(())
        .unwrap();
    let refused = client
        .request(request, b"", None)
        .map_or(true, |response| response.status == 400);
    assert!(refused || site.origin.wait_seen(1)[0].header("te").is_none());
}

#[test]
fn a_refusal_leaves_the_connection_to_the_other_streams() {
    let site = Site::start();
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    assert_eq!(client.get("http://nobody.test/").unwrap().status, 404);
    let refused = client
        .get("http://acme.test/?q=1%27%20UNION%20SELECT%20password%20FROM%20users--")
        .unwrap();
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (403, Some("application/problem+json"))
    );
    assert_eq!(client.get("http://acme.test/").unwrap().status, 200);
    assert_eq!(site.origin.seen().len(), 1);
}

/// Heads that RFC 9113 sections 8.1 to 8.3 call malformed, and targets and hosts that HTTP/1.1 does not have.
#[test]
fn malformed_heads_never_reach_the_origin() {
    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];
    let [method, scheme, path, authority]: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"acme.test"),
    ];
    let heads: &[Fields<'_>] = &[
        &[scheme, path, authority],
        &[method, path, authority],
        &[method, scheme, authority],
        &[method, method, scheme, path, authority],
        &[method, scheme, path, authority, (b":status", b"200")],
        &[method, scheme, path, (b"x", b"y"), authority],
        &[method, scheme, (b":path", b""), authority],
        &[method, scheme, (b":path", b"/a b"), authority],
        &[method, scheme, (b":path", b"/a\r\nx: y"), authority],
        &[method, scheme, (b":path", b"/\"<>"), authority],
        &[method, scheme, (b":path", b"/{x}"), authority],
        &[method, scheme, (b":path", b"/\xc3\xa9"), authority],
        &[method, scheme, (b":path", b"*"), authority],
        &[method, scheme, (b":path", b"x"), authority],
        &[(b":method", b"G T"), scheme, path, authority],
        &[(b":method", b"GET / HTTP/1.1\r\nx: y"), scheme, path, authority],
        &[(b":method", b"PRI"), scheme, path, authority],
        &[(b":method", b"CONNECT"), authority],
        &[method, (b":scheme", b"ftp"), path, authority],
        &[method, (b":scheme", b""), path, authority],
        &[method, scheme, path, (b":authority", b"user@acme.test")],
        &[method, scheme, path, (b":authority", b"acme.test:0")],
        &[method, scheme, path, authority, (b"host", b"other.test")],
        &[
            method,
            scheme,
            path,
            (b"host", b"acme.test"),
            (b"host", b"acme.test"),
        ],
        &[method, scheme, path, authority, (b"X-Upper", b"1")],
        &[method, scheme, path, authority, (b"x y", b"1")],
        &[method, scheme, path, authority, (b"x\"", b"1")],
        &[method, scheme, path, authority, (b"", b"1")],
        &[method, scheme, path, authority, (b"x", b"a\r\nb: c")],
        &[method, scheme, path, authority, (b"x", b"a\0")],
        &[method, scheme, path, authority, (b"x", b" a")],
        &[method, scheme, path, authority, (b"x", b"a\t")],
        &[method, scheme, path, authority, (b"connection", b"close")],
        &[
            method,
            scheme,
            path,
            authority,
            (b"transfer-encoding", b"chunked"),
        ],
        &[method, scheme, path, authority, (b"upgrade", b"h2c")],
        &[method, scheme, path, authority, (b"te", b"trailers, gzip")],
        &[method, scheme, path, authority, (b"content-length", b"+0")],
        &[method, scheme, path, authority, (b"content-length", b"1")],
        &[method, scheme, path, authority, (b"content-length", b"0, 0")],
        &[method, scheme, path, authority, (b"expect", b"200-ok")],
    ];
    let site = Site::start();
    for head in heads {
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(head)));
        let outcome = client.outcome(1);
        assert!(outcome.is_refusal(), "{outcome:?} to {head:?}");
    }
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn malformed_trailers_are_refused() {
    let site = Site::start();
    let trailers: [(u8, Vec<u8>); 6] = [
        // ":path: /x", its name taken from the static table.
        (5, b"\x04\x02/x".to_vec()),
        (5, block(&[(b":foo", b"x")])),
        (5, block(&[(b"x", b" 1")])),
        (5, block(&[(b"X", b"1")])),
        (5, block(&[(b"host", b"acme.test")])),
        // Trailers end the stream.
        (END_HEADERS, block(&[(b"x", b"1")])),
    ];
    for (flags, block) in trailers {
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        let head = request("POST", "/", &[(b"content-length", b"3")]);
        client.send(frame(HEADERS, END_HEADERS, 1, &head));
        client.send(frame(DATA, 0, 1, b"abc"));
        client.send(frame(HEADERS, flags, 1, &block));
        let outcome = client.outcome(1);
        assert!(outcome.is_refusal(), "{outcome:?} to {block:x?}");
    }
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn an_expectation_is_met() {
    let site = Site::start();
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    let head = request(
        "POST",
        "/",
        &[(b"expect", b"100-continue"), (b"content-length", b"3")],
    );
    client.send(frame(HEADERS, END_HEADERS, 1, &head));
    let interim = client.wait(|frame| frame.kind == HEADERS).unwrap();
    assert_eq!((interim.status(), interim.flags & END_STREAM), (100, 0));
    client.send(frame(DATA, END_STREAM, 1, b"abc"));
    assert_eq!(client.outcome(1), Outcome::Status(200));
    assert_eq!(site.origin.wait_seen(1)[0].body, b"abc");
}

#[test]
fn a_refusal_before_the_end_of_the_upload_is_whole() {
    let site = Site::with(|config| config.set("/tenants/0/routes/0/body_bytes_max", 10));
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    let head = request("POST", "/", &[(b"content-length", b"100000")]);
    client.send(frame(HEADERS, END_HEADERS, 1, &head));
    assert_eq!(client.outcome(1), Outcome::Status(413));
    let end = client.wait(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
    assert!(end.is_some_and(|frame| frame.kind == DATA));
    let reset = client.wait(|frame| frame.kind == RST_STREAM).unwrap();
    assert_eq!(reset.code(), NO_ERROR);
}
