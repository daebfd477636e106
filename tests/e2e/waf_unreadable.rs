//! What rules cannot read hides attacks from them: the tenant says what becomes of it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;
use weir_tests::config::Config;
use weir_tests::origin::Origin;
use weir_tests::weir::Weir;

use crate::Site;
use crate::waf::post;

/// Rules of an operator that do not look at REQBODY_ERROR, as the CRS does not.
fn site_that_cannot_read(unreadable: &'static str) -> Site {
    let rules = "SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny\"\n";
    let origin = Origin::start();
    let config = Config::with_origin(origin.address())
        .set("/rule_sets", json!([{ "id": "own", "files": ["own.conf"] }]))
        .set(
            "/tenants/0/waf",
            json!({ "rule_set": "own", "unreadable": unreadable }),
        );
    let weir = Weir::start_with_files(&config, &[("own.conf", rules)]);
    Site { origin, weir }
}

fn unreadable() -> Vec<(&'static str, String)> {
    let many = |last: &str| {
        (0..1000)
            .map(|at| format!("a{at}=1"))
            .collect::<Vec<_>>()
            .join("&")
            + last
    };
    let parts =
        (0..1001).map(|at| format!("--b\r\nContent-Disposition: form-data; name=\"f{at}\"\r\n\r\nv\r\n"));
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    vec![
        (
            "arguments",
            post("application/x-www-form-urlencoded", &many("&q=evil")),
        ),
        (
            "query",
            format!("GET /?{}", many("&q=evil HTTP/1.1\r\nHost: acme.test\r\n\r\n")),
        ),
        ("JSON", post("application/json", "{\"a\": \"evil\"")),
        ("cut JSON", post("application/json", "{\"a\": 1")),
        ("cut XML", post("text/xml", "<a><b>text</b>")),
        ("deep JSON", post("application/json", &deep)),
        ("XML", post("text/xml", "<a><b>evil</a>")),
        (
            "parts",
            post(
                "multipart/form-data; boundary=b",
                &(parts.collect::<String>() + "--b--\r\n"),
            ),
        ),
        ("no boundary", post("multipart/form-data", "--b\r\n")),
    ]
}

#[test]
fn what_rules_cannot_read_is_refused_unless_the_tenant_lets_it_pass() {
    let site = site_that_cannot_read("refuse");
    for (what, request) in unreadable() {
        let response = site.weir.client().roundtrip(&request);
        let refused = (response.status, response.code());
        // What was read before the fault may be enough for a rule.
        assert!(
            refused == (400, "waf_unreadable".to_owned()) || refused == (403, "waf_blocked".to_owned()),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(site.origin.bytes_in(), 0);
    let open = site_that_cannot_read("pass");
    for (what, request) in unreadable() {
        // What stands before the fault is judged all the same; what stands behind it is not, which is why it is refused else.
        let wanted = if what == "JSON" { 403 } else { 200 };
        assert_eq!(open.weir.client().roundtrip(&request).status, wanted, "{what}");
    }
}

#[test]
fn ordinary_bodies_can_be_read() {
    let site = site_that_cannot_read("refuse");
    let long_form = (0..900)
        .map(|at| format!("a{at}=100%+sure"))
        .collect::<Vec<_>>()
        .join("&");
    let part = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b--\r\n";
    for (kind, body) in [
        ("application/json", ""),
        (
            "application/json",
            "  \r\n[1, -2.5e3, null, true, \"\\u00e9\", {}]\n",
        ),
        ("application/json; charset=utf-8", "\"text\""),
        ("application/vnd.api+json", "{\"data\": []}"),
        ("application/x-www-form-urlencoded", "a=%zz&b&=c&&d=%u0041"),
        ("application/x-www-form-urlencoded", &long_form),
        (
            "text/xml",
            "<?xml version=\"1.0\"?><!-- c --><a x='1'>t<![CDATA[<b>]]>&amp;</a>",
        ),
        (
            "application/soap+xml",
            "<e:Envelope xmlns:e=\"urn:e\"><e:Body/></e:Envelope>",
        ),
        ("multipart/form-data; boundary=b", part),
        ("multipart/form-data; boundary=\"b\"", part),
        ("application/octet-stream", "\u{0}\u{1}{"),
        ("text/plain", "{ not JSON"),
        ("image/svg+xml", "<svg/>"),
    ] {
        let response = site.weir.client().roundtrip(post(kind, body));
        assert_eq!(response.status, 200, "{kind}: {body}: {}", response.text());
    }
}

/// Compressed by the program of that name, which is on every Debian.
fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .args(["-c", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start gzip");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(text)
        .expect("write to gzip");
    child.wait_with_output().expect("gzip ends").stdout
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: acme.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Encoding: {coding}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn compressed_bodies_are_judged_as_the_origin_reads_them() {
    let site = site_that_cannot_read("refuse");
    let answer = |request: Vec<u8>| {
        let response = site.weir.client().roundtrip(request);
        (
            response.status,
            if response.status == 200 {
                String::new()
            } else {
                response.code()
            },
        )
    };
    let good = gzipped(b"a=1");
    assert_eq!(answer(coded("gzip", &good)), (200, String::new()));
    assert_eq!(
        site.origin.wait_seen(1)[0].body,
        good,
        "the origin gets what was sent"
    );
    assert_eq!(
        answer(coded("gzip", &gzipped(b"q=evil"))),
        (403, "waf_blocked".to_owned())
    );
    assert_eq!(answer(coded("gzip", b"a=1")), (400, "waf_unreadable".to_owned()));
    assert_eq!(answer(coded("br", b"a=1")), (400, "waf_unreadable".to_owned()));
    let bomb = gzipped(&vec![b'a'; 50_000_000]);
    assert_eq!(answer(coded("gzip", &bomb)), (413, "body_too_large".to_owned()));
}
