//! Requests that can be read in two ways never reach the origin; answers that can be are never passed on.

use std::time::Duration;

use weir_tests::origin::Answer;
use weir_tests::wait::wait_for;

use crate::Site;

/// (what, request, statuses that are right). Each is the first on its connection.
const REFUSED: &[(&str, &str, &[u16])] = &[
    (
        "length and chunked",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        &[400],
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3, 4\r\n\r\nabcd",
        &[400],
    ),
    (
        "a signed length",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: +3\r\n\r\nabc",
        &[400],
    ),
    (
        "a length beyond u64",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        &[400, 413],
    ),
    (
        "chunked twice in a list",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "chunked on two lines",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "identity and chunked",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "gzip and chunked",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "chunked on HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "an empty chunk size",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a chunk size with 0x",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a chunk size that overflows",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        &[400, 413],
    ),
    (
        "bare LF after a chunk size",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "bare LF after chunk data",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
        &[400],
    ),
    (
        "bare LF in a chunk extension",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "NUL in a chunk extension",
        "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\0\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "space before the colon",
        "GET / HTTP/1.1\r\nHost: acme.test\r\nX-A : 1\r\n\r\n",
        &[400],
    ),
    (
        "a folded line",
        "GET / HTTP/1.1\r\nHost: acme.test\r\nX-A: 1\r\n 2\r\n\r\n",
        &[400],
    ),
    (
        "NUL in a value",
        "GET / HTTP/1.1\r\nHost: acme.test\r\nX-A: 1\x002\r\n\r\n",
        &[400],
    ),
    (
        "bare CR in a value",
        "GET / HTTP/1.1\r\nHost: acme.test\r\nX-A: 1\r2\r\n\r\n",
        &[400],
    ),
    (
        "bare LF between fields",
        "GET / HTTP/1.1\r\nHost: acme.test\nX-A: 1\r\n\r\n",
        &[400],
    ),
    (
        "an empty field name",
        "GET / HTTP/1.1\r\nHost: acme.test\r\n: 1\r\n\r\n",
        &[400],
    ),
    ("no Host on 1.1", "GET / HTTP/1.1\r\n\r\n", &[400]),
    (
        "two Hosts",
        "GET / HTTP/1.1\r\nHost: acme.test\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "a Host with a space",
        "GET / HTTP/1.1\r\nHost: acme.test evil\r\n\r\n",
        &[400],
    ),
    (
        "a Host with a path",
        "GET / HTTP/1.1\r\nHost: acme.test/x\r\n\r\n",
        &[400],
    ),
    (
        "a Host with user information",
        "GET / HTTP/1.1\r\nHost: a@acme.test\r\n\r\n",
        &[400],
    ),
    (
        "a Host with a bad port",
        "GET / HTTP/1.1\r\nHost: acme.test:99999\r\n\r\n",
        &[400],
    ),
    (
        "an absolute target for another host",
        "GET http://other.test/ HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400, 404, 421],
    ),
    (
        "a relative target",
        "GET a/b HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "an authority target of GET",
        "GET acme.test:80 HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "an asterisk of GET",
        "GET * HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "a control byte in the target",
        "GET /\x01 HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "a space in the target",
        "GET /a b HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        &[400],
    ),
    (
        "an unknown version",
        "GET / HTTP/3.0\r\nHost: acme.test\r\n\r\n",
        &[400, 505],
    ),
    ("HTTP/0.9", "GET /\r\n\r\n", &[400, 505]),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: acme.test\r\n\r\n", &[405]),
    (
        "CONNECT",
        "CONNECT acme.test:443 HTTP/1.1\r\nHost: acme.test:443\r\n\r\n",
        &[400, 405],
    ),
];

#[test]
fn ambiguous_requests_are_refused_before_the_origin_sees_a_byte() {
    let site = Site::start();
    for (what, request, statuses) in REFUSED {
        let mut client = site.weir.client();
        let response = client.roundtrip(request);
        assert!(
            statuses.contains(&response.status),
            "{what}: {} {}",
            response.status_line,
            response.text()
        );
        assert!(
            client.closes_within(Duration::from_secs(3)),
            "{what}: a connection in doubt stays open"
        );
    }
    assert_eq!(site.origin.bytes_in(), 0, "{:?}", site.origin.seen());
}

#[test]
fn equal_lengths_are_refused_or_become_one() {
    let site = Site::start();
    let response = site
        .weir
        .client()
        .roundtrip("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc");
    if response.status == 200 {
        let seen = &site.origin.wait_seen(1)[0];
        let lengths = seen
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        assert_eq!(
            lengths.collect::<Vec<_>>(),
            [&("content-length".to_owned(), "3".to_owned())]
        );
    } else {
        assert_eq!((response.status, site.origin.bytes_in()), (400, 0));
    }
}

#[test]
fn a_request_smuggled_behind_an_upgrade_is_its_own_request() {
    let site = Site::start();
    let mut client = site.weir.client();
    client
        .send(
            "GET /first HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n\
             GET /admin HTTP/1.1\r\nHost: unknown.test\r\n\r\n",
        )
        .unwrap();
    client.response().unwrap();
    client.drain_for(Duration::from_millis(500));
    assert!(
        site.origin.seen().iter().all(|seen| seen.target != "/admin"),
        "{:?}",
        site.origin.seen()
    );
}

/// (what, bytes the origin answers with). None of them may reach the client.
const BAD_ANSWERS: &[(&str, &str)] = &[
    ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("HTTP/3.0", "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    (
        "a four-digit status",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "length and chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    ("a signed length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    (
        "an unknown coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    ),
    (
        "a folded line",
        "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "space before the colon",
        "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "NUL in a value",
        "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "101 without being asked",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    ),
];

#[test]
fn an_invalid_answer_becomes_502_and_its_connection_is_not_used_again() {
    for (what, bytes) in BAD_ANSWERS {
        let site = Site::answering(|seen| match seen.target.as_str() {
            "/good" => Answer::text("ok"),
            _ => Answer::raw(*bytes),
        });
        let mut client = site.weir.client();
        // POST is never tried again, so one connection is one try.
        let response = client.roundtrip("POST /bad HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            (response.status, response.code().as_str()),
            (502, "upstream_protocol"),
            "{what}"
        );
        assert_eq!(site.weir.client().get("/good").text(), "ok", "{what}");
        let connections: Vec<u64> = site
            .origin
            .wait_seen(2)
            .iter()
            .map(|seen| seen.connection)
            .collect();
        assert_eq!(connections, [1, 2], "{what}");
    }
}

#[test]
fn surplus_bytes_of_an_answer_reach_nobody() {
    for surplus in [
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ] {
        let site = Site::answering(move |seen| match seen.target.as_str() {
            "/good" => Answer::text("good"),
            _ => Answer::raw(surplus),
        });
        let mut client = site.weir.client();
        let first = client.get("/surplus");
        assert!(matches!(first.status, 200 | 204 | 502), "{first:?}");
        assert_eq!(site.weir.client().get("/good").text(), "good");
    }
}

#[test]
fn an_answer_cut_within_its_body_cuts_the_client_too() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let site = Site::answering(move |_| Answer::raw(cut).then_close());
        let mut client = site.weir.client();
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
        let bytes = String::from_utf8_lossy(&client.drain()).into_owned();
        assert!(
            bytes.starts_with("HTTP/1.1 200") || bytes.starts_with("HTTP/1.1 502"),
            "{bytes}"
        );
        assert!(
            !bytes.ends_with("0\r\n\r\n"),
            "a cut body was ended as if it were whole: {bytes}"
        );
    }
    let site = Site::start();
    wait_for("the proxy to live on", || {
        (site.weir.client().get("/").status == 200).then_some(())
    });
}
