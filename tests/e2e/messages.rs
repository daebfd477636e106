//! Facts about what single messages look like on either side: dates, hops, interim answers, announced closes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_tests::config::Config;
use weir_tests::h1::Response;
use weir_tests::h2c::H2;
use weir_tests::origin::{Answer, Origin};

use crate::Site;

const SOON: Duration = Duration::from_secs(3);

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: acme.test\r\n{fields}\r\n{body}")
}

fn closes(response: &Response) -> bool {
    response.header("connection") == Some("close")
}

#[test]
fn every_answer_has_one_date_and_that_of_the_origin_stays() {
    let dated = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let site = Site::answering(move |seen| match seen.target.as_str() {
        "/dated" => Answer::raw(dated),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    });
    let kept = site.weir.client().get("/dated");
    assert_eq!(kept.header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let mut h2 = H2::prior_knowledge(site.weir.address("web")).unwrap();
    for url in ["http://acme.test/", "http://unknown.test/"] {
        assert!(h2.get(url).unwrap().header("date").is_some(), "{url}");
    }
    assert_eq!(
        h2.get("http://acme.test/dated").unwrap().header("date"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    let refusal = "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n";
    for response in [
        site.weir.client().get("/"),
        site.weir.client().roundtrip(refusal),
        site.weir.client().roundtrip("junk\r\n\r\n"),
    ] {
        let dates = response
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("date"));
        let dates: Vec<_> = dates.collect();
        assert_eq!(dates.len(), 1, "{response:?}");
        assert!(
            dates[0].1.ends_with(" GMT") && dates[0].1.len() == 29,
            "{dates:?}"
        );
    }
}

#[test]
fn options_is_answered_here_when_no_hop_is_left() {
    let site = Site::start();
    let options = |hops: &str| {
        let text = format!("OPTIONS * HTTP/1.1\r\nHost: acme.test\r\nMax-Forwards: {hops}\r\n\r\n");
        site.weir.client().roundtrip(text)
    };
    let response = options("0");
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("allow")
            .is_some_and(|allow| allow.contains("OPTIONS"))
    );
    assert_eq!(site.origin.bytes_in(), 0);
    assert_eq!(options("5").status, 200);
    assert_eq!(site.origin.wait_seen(1)[0].header("max-forwards"), Some("4"));
}

#[test]
fn an_interim_answer_does_not_wait_for_the_final_one() {
    let site = Site::answering(|_| {
        Answer::raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 9\r\n\r\n").then(
            Duration::from_secs(2),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        )
    });
    let mut client = site.weir.client();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    let hints = client.any_response(true).unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a.css>")));
    assert_eq!(hints.header("content-length"), None);
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn no_content_comes_without_a_length() {
    let site = Site::answering(|_| Answer::raw("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"));
    let response = site.weir.client().get("/");
    assert_eq!((response.status, response.header("content-length")), (204, None));
}

#[test]
fn a_fault_in_the_body_announces_the_close() {
    let site = Site::start();
    let mut client = site.weir.client();
    let response = client.roundtrip(post("Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\n"));
    assert_eq!((response.status, closes(&response)), (400, true));
    assert!(client.closes_within(SOON));
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn an_early_answer_to_a_body_too_large_to_drain_announces_the_close() {
    let site = Site::with(|config| config.set("/tenants/0/routes/0/body_bytes_max", 1000));
    for (length, close) in [(2_000, false), (10_000_000, true)] {
        let response = site
            .weir
            .client()
            .roundtrip(post(&format!("Content-Length: {length}\r\n"), ""));
        assert_eq!((response.status, closes(&response)), (413, close), "{length}");
    }
}

#[test]
fn an_https_target_over_cleartext_is_misdirected_unless_a_gateway_sends_it() {
    let request = "GET https://acme.test/ HTTP/1.1\r\nHost: acme.test\r\n\r\n";
    let site = Site::start();
    let mut client = site.weir.client();
    let response = client.roundtrip(request);
    assert_eq!(
        (response.status, response.code().as_str()),
        (421, "host_mismatch")
    );
    assert!(closes(&response) && client.closes_within(SOON));
    assert_eq!(site.origin.bytes_in(), 0);
    let trusting = Site::with(|config| config.set("/trust/proxies", serde_json::json!(["127.0.0.0/8"])));
    assert_eq!(trusting.weir.client().roundtrip(request).status, 200);
}

#[test]
fn trailers_and_names_that_mislead_an_origin_stay_outside() {
    let site = Site::start();
    let response = site.weir.client().roundtrip(post(
        "Transfer-Encoding: chunked\r\nContent_Length: 9\r\nHTTP2-Settings: AAA\r\n",
        "3\r\nabc\r\n0\r\nX-Geo-Country: XX\r\nX-Real-IP: 192.0.2.1\r\nX-Request-ID: mine\r\nX-Sum: 1\r\n\r\n",
    ));
    assert_eq!(response.status, 200);
    let seen = &site.origin.wait_seen(1)[0];
    assert_eq!(seen.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    for name in ["content_length", "http2-settings"] {
        assert_eq!(seen.header(name), None, "{name} reached the origin");
    }
}

fn switching(protocol: &'static str) -> Site {
    let answer =
        format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
    Site::over(
        Origin::answering(move |_| Answer::raw(answer.clone())),
        |config: Config| config.set("/tenants/0/routes/0/upgrade", true),
    )
}

#[test]
fn an_upgrade_to_http_is_not_passed_on() {
    for protocol in ["h2c", "H2C/1", "HTTP/2.0", "TLS/1.0", "websocket, h2c"] {
        let site = Site::with(|config| config.set("/tenants/0/routes/0/upgrade", true));
        let request = format!(
            "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        assert_eq!(site.weir.client().roundtrip(request).status, 200, "{protocol}");
        let seen = &site.origin.wait_seen(1)[0];
        assert_eq!(
            (seen.header("upgrade"), seen.header("connection")),
            (None, None),
            "{protocol}"
        );
    }
}

#[test]
fn a_switch_to_what_nobody_offered_is_an_invalid_answer() {
    let request = "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (protocol, status) in [
        ("WebSocket", 101),
        ("h2c", 502),
        ("websocket, h2c", 502),
        ("", 502),
    ] {
        let response = switching(protocol).weir.client().roundtrip(request);
        assert_eq!(response.status, status, "{protocol}");
    }
}

#[test]
fn a_client_that_reads_in_drips_is_cut() {
    let site = Site::over(
        Origin::answering(|_| Answer::full(200, &[], &vec![b'x'; 64 << 20])),
        |config| {
            config
                .set("/client/write_timeout_ms", 500)
                .set("/client/body_rate_min_bytes_per_s", 100_000_000)
        },
    );
    let mut client = TcpStream::connect(site.weir.address("web")).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        .unwrap();
    let mut got = 0;
    let mut some = vec![0; 500_000];
    // Progress all the time, but at 5 MB/s instead of 100.
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        got += client.read(&mut some).unwrap_or(0);
    }
    while let Ok(count @ 1..) = client.read(&mut some) {
        got += count;
    }
    assert!(got < 64 << 20, "all {got} bytes came: nothing was cut");
}

#[test]
fn a_silent_origin_is_waited_for_once() {
    let silent = Origin::answering(|_| Answer::text("late").delayed(Duration::from_secs(5)));
    let site = Site::over(silent, |config| config.set("/pools/0/read_timeout_ms", 700));
    let start = Instant::now();
    assert_eq!(site.weir.client().get("/").status, 504);
    assert!(
        start.elapsed() < Duration::from_millis(1400),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_absolute_target_without_a_path_means_the_root_and_the_server_for_options() {
    let site = Site::start();
    for (line, forwarded) in [
        ("GET http://acme.test?a=b", "/?a=b"),
        ("OPTIONS http://acme.test", "*"),
        ("OPTIONS http://acme.test?a=b", "/?a=b"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: acme.test\r\n\r\n");
        assert_eq!(site.weir.client().roundtrip(request).status, 200, "{line}");
        assert_eq!(site.origin.seen().last().unwrap().target, forwarded, "{line}");
    }
}

#[test]
fn bytes_left_over_from_another_answer_fail_no_get() {
    let site = Site::answering(|seen| match seen.target.as_str() {
        // The body that a 304 must not have comes when the connection is in use again.
        "/304" => Answer::raw("HTTP/1.1 304 Not Modified\r\n\r\n")
            .then(Duration::from_millis(300), "<html>surplus</html>\r\n\r\n"),
        _ => Answer::text("good").delayed(Duration::from_millis(600)),
    });
    assert_eq!(site.weir.client().get("/304").status, 304);
    assert_eq!(site.weir.client().get("/good").text(), "good");
    let site = Site::answering(|_| Answer::raw("<html></html>\r\n\r\n"));
    assert_eq!(site.weir.client().get("/").status, 502);
    assert_eq!(
        site.origin.seen().len(),
        1,
        "an invalid answer is not asked for again"
    );
}

#[test]
fn a_refused_head_gets_no_body_either() {
    let site = Site::start();
    for request in [
        "HEAD / HTTP/1.1\r\nHost: unknown.test\r\nConnection: close\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "HEAD https://acme.test/ HTTP/1.1\r\nHost: acme.test\r\n\r\n",
    ] {
        let mut client = site.weir.client();
        client.send(request).unwrap();
        let bytes = String::from_utf8(client.drain()).unwrap();
        assert!(
            bytes.starts_with("HTTP/1.1 4") && bytes.ends_with("\r\n\r\n"),
            "{bytes}"
        );
    }
}

/// How reading ends: with the end of the stream, or with an error.
fn ending(client: &mut TcpStream) -> Result<(), ErrorKind> {
    client.set_read_timeout(Some(SOON)).unwrap();
    let mut some = vec![0; 500_000];
    loop {
        match client.read(&mut some) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.kind()),
        }
    }
}

#[test]
fn what_waits_for_a_client_that_does_not_read_is_thrown_away_with_it() {
    let site = Site::over(
        Origin::answering(|_| Answer::full(200, &[], &vec![b'x'; 64 << 20])),
        |config| config.set("/client/write_timeout_ms", 300),
    );
    let mut client = TcpStream::connect(site.weir.address("web")).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        .unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.read_exact(&mut [0; 1]).expect("the answer begins");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ending(&mut client), Err(ErrorKind::ConnectionReset));
    assert_eq!(
        site.weir
            .metric("weir_connection_cuts_total{reason=\"write_timeout\"}"),
        1.0
    );
}

#[test]
fn a_cut_answer_that_ends_with_the_connection_does_not_look_whole() {
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let site = Site::answering(move |_| Answer::raw(cut).then_close());
    let mut client = TcpStream::connect(site.weir.address("web")).unwrap();
    client
        .write_all(b"GET / HTTP/1.0\r\nHost: acme.test\r\n\r\n")
        .unwrap();
    assert_eq!(ending(&mut client), Err(ErrorKind::ConnectionReset));
}
