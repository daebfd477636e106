//! HTTP/2 in front of an HTTP/1.1 origin.

use http::{HeaderMap, HeaderValue, Request};
use weir_tests::config::Config;
use weir_tests::h2c::H2;
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
