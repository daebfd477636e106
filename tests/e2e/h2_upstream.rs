//! HTTP/2 towards the origin: what gRPC needs, what hostile and leaving origins do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use weir_tests::config::Config;
use weir_tests::h2_origin::{Answer, H2Origin, Seen};
use weir_tests::h2c::H2;
use weir_tests::h2raw::*;
use weir_tests::weir::Weir;

struct H2Site {
    origin: H2Origin,
    weir: Weir,
}

impl H2Site {
    fn answering(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(H2Origin::answering(handler), |config| config)
    }

    fn over(origin: H2Origin, change: impl FnOnce(Config) -> Config) -> Self {
        let config = Config::with_origin(origin.address())
            .set("/pools/0/protocol", "h2")
            .set("/tenants/0/waf/mode", "off");
        let weir = Weir::start(&change(config));
        Self { origin, weir }
    }

    fn client(&self) -> H2 {
        H2::prior_knowledge(self.weir.address("web")).unwrap()
    }
}

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://acme.test{path}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

#[test]
fn a_call_keeps_te_and_gets_its_trailers() {
    let site = H2Site::answering(|_| Answer::Echo(fields(&[("grpc-status", "0"), ("grpc-message", "fine")])));
    let response = site.client().request(post("/echo"), b"message", None).unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, &b"message"[..])
    );
    assert_eq!(response.trailers["grpc-status"], "0");
    assert_eq!(response.trailers["grpc-message"], "fine");
    assert_eq!(site.origin.seen()[0].headers["te"], "trailers");
}

#[test]
fn a_head_that_ends_the_stream_stays_one_frame() {
    let site = H2Site::answering(|_| Answer::HeadOnly(fields(&[("grpc-status", "7")])));
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, 5, 1, &request("POST", "/", &[])));
    let head = client
        .wait(|frame| frame.stream == 1 && frame.kind != WINDOW_UPDATE)
        .unwrap();
    assert_eq!((head.kind, head.flags & END_STREAM), (HEADERS, END_STREAM));
    // Towards HTTP/1.1 it must be said that there is no body.
    let response = site.weir.client().get("/");
    assert_eq!(
        (response.status, response.header("content-length")),
        (200, Some("0"))
    );
}

/// A call whose client and origin take turns, with silences that are longer than a slow body may have.
#[test]
fn both_ways_stream_in_turns_and_may_be_silent() {
    let site = H2Site::over(
        H2Origin::answering(|_| Answer::Echo(fields(&[("grpc-status", "0")]))),
        |config| config.set("/client/body_rate_grace_ms", 200),
    );
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[])));
    for turn in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        client.send(frame(DATA, 0, 1, &[turn; 5]));
        let echo = client
            .wait(|frame| frame.kind == DATA || frame.kind == RST_STREAM)
            .unwrap();
        assert_eq!((echo.kind, echo.payload), (DATA, vec![turn; 5]));
    }
    client.send(frame(DATA, END_STREAM, 1, b""));
    let end = client
        .wait(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0)
        .unwrap();
    assert_eq!(end.kind, HEADERS, "trailers end the call");
}

#[test]
fn refused_streams_are_tried_again_also_with_a_body_of_unknown_length() {
    let site = H2Site::answering(|seen| match seen.before {
        0 => Answer::Reset(Reason::REFUSED_STREAM),
        _ => Answer::Echo(HeaderMap::new()),
    });
    let response = site.client().request(post("/a"), &[b'x'; 20_000], None).unwrap();
    assert_eq!((response.status, response.body.len()), (200, 20_000));
    let request = Request::post("http://acme.test/b")
        .header("content-length", "3")
        .body(())
        .unwrap();
    let response = site.client().request(request, b"abc", None).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"abc"[..]));
    assert_eq!(site.origin.seen().len(), 4);
}

#[test]
fn a_goaway_before_the_request_was_looked_at_is_survived() {
    let site = H2Site::over(
        H2Origin::answering(|seen| match seen.before {
            0 => Answer::Goaway,
            _ => Answer::Echo(HeaderMap::new()),
        }),
        |config| {
            // It does not count against the budget: the origin is well.
            config
                .set("/pools/0/retry/budget_percent", 0)
                .set("/pools/0/retry/budget_min_per_s", 0)
        },
    );
    let mut client = site.client();
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.request(post(path), b"body", None).unwrap().body, b"body");
    }
    assert_eq!(site.origin.connections(), 4);
}

#[test]
fn a_stream_that_may_have_been_processed_is_not_repeated() {
    let site = H2Site::answering(|seen| match seen.path.as_str() {
        "/reset" => Answer::Reset(Reason::INTERNAL_ERROR),
        _ => Answer::Hangup,
    });
    for path in ["/reset", "/hangup"] {
        assert_eq!(
            site.client().request(post(path), b"once", None).unwrap().status,
            502
        );
    }
    assert_eq!(site.origin.seen().len(), 2);
}

#[test]
fn a_connection_that_died_is_replaced() {
    let site = H2Site::answering(|seen| match (seen.path.as_str(), seen.before) {
        ("/die", 0) => Answer::Hangup,
        _ => Answer::Echo(HeaderMap::new()),
    });
    let mut client = site.client();
    assert_eq!(client.get("http://acme.test/").unwrap().status, 200);
    assert_eq!(client.get("http://acme.test/die").unwrap().status, 200);
    assert_eq!(client.get("http://acme.test/").unwrap().status, 200);
    assert_eq!(site.origin.connections(), 2);
}

#[test]
fn a_small_limit_of_streams_opens_more_connections() {
    let origin = H2Origin::with_streams(2, |_| Answer::Late(Duration::from_millis(500)));
    let site = H2Site::over(origin, |config| config);
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    let started = std::time::Instant::now();
    for stream in (1..21).step_by(2) {
        client.send(frame(HEADERS, 5, stream, &request("GET", "/", &[])));
    }
    for _ in 0..10 {
        let head = client
            .wait(|frame| matches!(frame.kind, HEADERS | RST_STREAM))
            .unwrap();
        assert_eq!(head.kind, HEADERS);
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(site.origin.connections(), 5);
}

#[test]
fn more_connections_than_the_pool_may_have_are_not_opened() {
    let origin = H2Origin::with_streams(1, |_| Answer::Late(Duration::from_millis(200)));
    let site = H2Site::over(origin, |config| config.set("/pools/0/idle_connections_max", 2));
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    for stream in (1..13).step_by(2) {
        client.send(frame(HEADERS, 5, stream, &request("GET", "/", &[])));
    }
    for _ in 0..6 {
        let head = client
            .wait(|frame| matches!(frame.kind, HEADERS | RST_STREAM))
            .unwrap();
        assert_eq!(head.kind, HEADERS, "the rest waits");
    }
    assert_eq!(site.origin.connections(), 2);
}

#[test]
fn an_answer_nobody_reads_holds_up_no_other() {
    let big = Bytes::from(vec![b'x'; 8_000_000]);
    let site = H2Site::answering(move |seen| match seen.path.as_str() {
        "/big" => Answer::Early(big.clone()),
        _ => Answer::Echo(HeaderMap::new()),
    });
    let mut idler = H2Raw::connect(site.weir.address("web"), &setting(4, 0));
    for stream in (1..101).step_by(2) {
        idler.send(frame(HEADERS, 5, stream, &request("GET", "/big", &[])));
    }
    for _ in 0..50 {
        assert!(idler.wait(|frame| frame.kind == HEADERS).is_some());
    }
    let response = site
        .client()
        .request(post("/echo"), &[b'y'; 100_000], None)
        .unwrap();
    assert_eq!(response.body.len(), 100_000);
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_upload_is_whole() {
    let text = Bytes::from(vec![b'e'; 60_000]);
    let site = H2Site::answering(move |_| Answer::Early(text.clone()));
    let mut client = H2Raw::connect(site.weir.address("web"), &setting(4, 100_000));
    client.send(frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[])));
    client.send(frame(DATA, 0, 1, &[b'u'; 16_000]));
    let mut bytes = 0;
    while let Some(frame) = client.wait(|frame| matches!(frame.kind, DATA | RST_STREAM)) {
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), NO_ERROR);
            break;
        }
        bytes += frame.payload.len();
    }
    assert_eq!(bytes, 60_000);
}

#[test]
fn interim_answers_pass() {
    let site = H2Site::answering(|_| Answer::Interim(fields(&[("link", "</a.css>")])));
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, 5, 1, &request("GET", "/", &[])));
    let interim = client.wait(|frame| frame.kind == HEADERS).unwrap();
    assert_eq!((interim.status(), interim.flags & END_STREAM), (103, 0));
    assert_eq!(client.outcome(1), Outcome::Status(200));
}

#[test]
fn a_client_that_leaves_cancels_at_the_origin() {
    let site = H2Site::answering(|_| Answer::Late(Duration::from_secs(20)));
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, 5, 1, &request("GET", "/", &[])));
    weir_tests::wait::wait_for("the request", || (!site.origin.seen().is_empty()).then_some(()));
    client.send(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    site.origin.wait_cancelled();
}

#[test]
fn an_answer_that_breaks_the_protocol_is_a_502_or_cut() {
    let wrong = Arc::new([fields(&[("content-length", "10")]), fields(&[("x-space", " 1")])]);
    let site = H2Site::answering(move |seen| {
        let which: usize = seen.path.trim_start_matches('/').parse().unwrap();
        Answer::HeadOnly(wrong[which].clone())
    });
    for which in 0..2 {
        let url = format!("http://acme.test/{which}");
        assert_eq!(site.client().get(&url).unwrap().status, 502, "{which}");
    }
}
