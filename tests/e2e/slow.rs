//! Clients that take their time are cut at the documented limits, and the cut is theirs alone.

use std::time::{Duration, Instant};

use weir_tests::config::Config;
use weir_tests::h1::H1;
use weir_tests::origin::{Answer, Origin};

use crate::Site;

/// Long enough to tell a limit of 300 ms from a default of 10 s, on a loaded machine.
const SOON: Duration = Duration::from_secs(4);

fn site(key: &str, value: u64) -> Site {
    Site::with(|config| config.set(&format!("/client/{key}"), value))
}

/// Asserts that the peer ends the connection, after a refusal or none, at least `earliest` after `start` and soon.
fn assert_cut(client: &mut H1, start: Instant, earliest: u64) -> String {
    let said = client.drain_for(SOON);
    let took = start.elapsed();
    assert!(took < SOON, "still open after {took:?}");
    assert!(
        took >= Duration::from_millis(earliest),
        "cut after {took:?} already"
    );
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_client_that_says_nothing_is_cut() {
    let site = site("first_byte_timeout_ms", 300);
    let start = Instant::now();
    assert_cut(&mut site.weir.client(), start, 250);
}

#[test]
fn a_head_that_dribbles_is_cut_at_the_total_deadline() {
    let site = site("header_timeout_ms", 500);
    let mut client = site.weir.client();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n").unwrap();
    // Each byte is well within the deadline; all of them together are not.
    for _ in 0..100 {
        if client.send("x").is_err() || !client.drain_for(Duration::from_millis(50)).is_empty() {
            break;
        }
    }
    assert_cut(&mut client, start, 450);
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn an_idle_connection_is_closed() {
    let site = site("idle_timeout_ms", 300);
    let mut client = site.weir.client();
    assert_eq!(client.get("/").status, 200);
    let start = Instant::now();
    assert_eq!(assert_cut(&mut client, start, 250), "", "an idle close is silent");
}

#[test]
fn a_body_below_the_least_rate_is_cut() {
    let site = Site::with(|config| {
        config
            .set("/client/body_rate_grace_ms", 300)
            .set("/client/body_rate_min_bytes_per_s", 1_000)
    });
    let mut client = site.weir.client();
    let start = Instant::now();
    client
        .send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1000\r\n\r\nabc")
        .unwrap();
    let said = assert_cut(&mut client, start, 250);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert_eq!(site.origin.seen().len(), 0);
}

#[test]
fn a_handshake_that_stops_is_cut() {
    let origin = Origin::start();
    let authority = weir_tests::pki::Authority::new("test authority");
    let acme = authority.issue(&["acme.test"]);
    let config = Config::with_origin(origin.address())
        .with_tls("acme.pem", "acme.key")
        .set("/client/handshake_timeout_ms", 300);
    let files = [
        ("acme.pem", acme.cert_pem.as_str()),
        ("acme.key", acme.key_pem.as_str()),
    ];
    let weir = weir_tests::weir::Weir::start_with_files(&config, &files);
    let mut client = H1::connect(weir.address("websecure"));
    let start = Instant::now();
    client.send([0x16, 0x03, 0x01]).unwrap();
    assert_cut(&mut client, start, 250);
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let site = Site::over(
        Origin::answering(|_| Answer::full(200, &[], &vec![b'x'; 64 << 20])),
        |config| config.set("/client/write_timeout_ms", 400),
    );
    let mut client = site.weir.client();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    // Nothing is read for longer than the limit: what is in the socket buffers is all that comes.
    std::thread::sleep(Duration::from_secs(2));
    let got = client.drain_for(SOON).len();
    assert!(got < 64 << 20, "all {got} bytes came: nothing was cut");
}

#[test]
fn the_last_request_of_a_connection_is_announced() {
    let site = site("keepalive_requests_max", 3);
    let mut client = site.weir.client();
    let closes = [0, 1, 2].map(|_| client.get("/").header("connection").map(str::to_owned));
    assert_eq!(closes, [None, None, Some("close".to_owned())]);
    assert!(client.closes_within(SOON));
}

#[test]
fn heads_above_their_limits_are_refused() {
    let cases = [
        (
            "header_bytes_max",
            1024,
            format!(
                "GET / HTTP/1.1\r\nHost: acme.test\r\nX: {}\r\n\r\n",
                "a".repeat(2000)
            ),
            431,
        ),
        (
            "header_fields_max",
            10,
            format!(
                "GET / HTTP/1.1\r\nHost: acme.test\r\n{}\r\n",
                "X: 1\r\n".repeat(11)
            ),
            431,
        ),
        (
            "target_bytes_max",
            256,
            format!("GET /{} HTTP/1.1\r\nHost: acme.test\r\n\r\n", "a".repeat(300)),
            414,
        ),
    ];
    for (key, value, request, status) in cases {
        let site = site(key, value);
        assert_eq!(site.weir.client().get("/").status, 200, "{key}");
        assert_eq!(site.weir.client().roundtrip(&request).status, status, "{key}");
        assert_eq!(site.origin.seen().len(), 1, "{key}");
    }
}

#[test]
fn connections_above_the_limit_of_an_address_are_closed() {
    let site = site("connections_per_address_max", 2);
    let mut open = [site.weir.client(), site.weir.client()];
    assert!(open.iter_mut().all(|client| client.get("/").status == 200));
    assert!(
        site.weir.client().closes_within(SOON),
        "the third connection must be closed"
    );
    drop(open);
    weir_tests::wait::wait_for("room for a connection again", || {
        let mut client = site.weir.client();
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").ok()?;
        client.response().filter(|response| response.status == 200)
    });
}
