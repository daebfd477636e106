//! What rules do to responses: what is judged before the client sees it, and what is never held.

use std::time::Duration;

use serde_json::json;
use weir_tests::config::Config;
use weir_tests::origin::{Answer, Origin};
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// Bodies of `text/plain` are judged, and so are all that no rule can name.
const RULES: &str = "SecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/event-stream application/grpc multipart/x-mixed-replace\n\
    SecRule RESPONSE_BODY \"@contains leaked-secret\" \"id:1000002,phase:4,deny,status:403\"\n";

fn with_rules(origin: std::net::SocketAddr, rules: &str, change: impl FnOnce(Config) -> Config) -> Weir {
    let config = Config::with_origin(origin).set("/tenants/0/waf/rules", json!(["own.conf"]));
    Weir::start_with_files(&change(config), &[("own.conf", rules)])
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n\r\n")
}

/// Longer than a client needs to see what is not held, also on a busy machine.
const PAUSE: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(2);

/// The type comes from the target; the end of the body comes long after its beginning.
fn slow_origin() -> Origin {
    Origin::answering(|seen| {
        let kind = seen.target.trim_start_matches("/?type=");
        let begin = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n"
        );
        Answer::raw(begin).then(PAUSE, "14\r\ndata: leaked-secret\n\r\n0\r\n\r\n")
    })
}

#[test]
fn streams_and_types_that_rules_do_not_name_reach_the_client_before_they_end() {
    let origin = slow_origin();
    let weir = with_rules(origin.address(), RULES, |config| config);
    let streamed = [
        "text/event-stream",
        "text/event-stream;charset=utf-8",
        "application/grpc",
        "application/grpc+proto",
        "multipart/x-mixed-replace;boundary=x",
        "application/octet-stream",
        "text/css",
    ];
    std::thread::scope(|scope| {
        for kind in streamed {
            let mut client = weir.client();
            scope.spawn(move || {
                client.send(get(&format!("/?type={kind}"))).unwrap();
                let early = client.drain_for(PATIENCE);
                let early = String::from_utf8_lossy(&early).into_owned();
                assert!(early.starts_with("HTTP/1.1 200"), "{kind}: {early}");
                assert!(early.contains("data: first"), "{kind}: {early}");
                assert!(!early.contains("leaked-secret"), "{kind}: {early}");
                let late = client.drain_for(PAUSE + PATIENCE);
                assert!(String::from_utf8_lossy(&late).contains("leaked-secret"), "{kind}");
            });
        }
        // What is judged: nothing of it is seen before its end, and then it is refused.
        let mut client = weir.client();
        scope.spawn(move || {
            client.send(get("/?type=text/plain")).unwrap();
            assert_eq!(client.drain_for(PATIENCE), b"");
            let response = client.deadline(PAUSE + PATIENCE).response().unwrap();
            assert_eq!(
                (response.status, response.code().as_str()),
                (502, "waf_response_blocked")
            );
        });
    });
}

#[test]
fn an_upgrade_is_not_held() {
    let origin = Origin::answering(|_| Answer::websocket_echo());
    let weir = with_rules(origin.address(), RULES, |config| {
        config.set("/tenants/0/routes/0/upgrade", true)
    });
    let mut client = weir.client();
    let response = client.roundtrip(
        "GET /chat HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUser-Agent: e2e\r\n\
         Accept: */*\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(response.status, 101);
    for message in ["first", "leaked-secret"] {
        client.send(message).unwrap();
        assert_eq!(client.take_bytes(message.len()), message.as_bytes());
    }
}

#[test]
fn of_a_long_body_the_start_is_judged_and_the_rest_passes() {
    let origin = Origin::answering(|seen| {
        let padding = "x".repeat(10_000);
        match seen.target.as_str() {
            "/start" => Answer::text(&format!("leaked-secret {padding}")),
            _ => Answer::text(&format!("{padding} leaked-secret")),
        }
    });
    let weir = with_rules(origin.address(), RULES, |config| {
        config.set("/tenants/0/waf/response_bytes_max", 1000)
    });
    let response = weir.client().roundtrip(get("/start"));
    assert_eq!(
        (response.status, response.code().as_str()),
        (502, "waf_response_blocked")
    );
    let response = weir.client().roundtrip(get("/end"));
    assert_eq!((response.status, response.body.len()), (200, 10_014));
}

#[test]
fn rules_see_that_they_judge_a_part_only() {
    let rules = "SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
        SecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:1000003,phase:2,deny,status:403\"\n\
        SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:1000004,phase:4,deny,status:403\"\n";
    let origin =
        Origin::answering(|seen| Answer::text(&"x".repeat(if seen.target == "/long" { 2000 } else { 500 })));
    let weir = with_rules(origin.address(), rules, |config| {
        config
            .set("/tenants/0/waf/body_bytes_max", 1000)
            .set("/tenants/0/waf/body_over_limit", "stream")
            .set("/tenants/0/waf/response_bytes_max", 1000)
    });
    let post = |length: usize| {
        let body = "x".repeat(length);
        weir.client().roundtrip(format!(
            "POST / HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    };
    assert_eq!((post(900).status, post(2000).status), (200, 403));
    assert_eq!(weir.client().roundtrip(get("/short")).status, 200);
    assert_eq!(weir.client().roundtrip(get("/long")).status, 502);
}

#[test]
fn rules_see_how_long_an_answer_takes() {
    let rules = "SecRule DURATION \"@ge 500\" \"id:1000005,phase:3,deny,status:403\"\n";
    let origin = Origin::answering(|seen| match seen.target.as_str() {
        "/slow" => Answer::text("late").delayed(Duration::from_millis(900)),
        _ => Answer::text("ok"),
    });
    let weir = with_rules(origin.address(), rules, |config| config);
    assert_eq!(weir.client().roundtrip(get("/slow")).status, 502);
    // A busy machine may take its time for any one of them.
    wait_for("a quick answer", || {
        (weir.client().roundtrip(get("/quick")).status == 200).then_some(())
    });
}

#[test]
fn what_rules_remember_is_on_the_metrics() {
    let rules = "SecAction \"id:1000006,phase:1,nolog,pass,initcol:resource=%{REQUEST_FILENAME},setvar:resource.n=+1\"\n";
    let origin = Origin::start();
    let weir = with_rules(origin.address(), rules, |config| config);
    assert_eq!(weir.metric("weir_waf_collection_records"), 0.0);
    for target in ["/a", "/b", "/a", "/c"] {
        assert_eq!(weir.client().roundtrip(get(target)).status, 200);
    }
    assert_eq!(weir.metric("weir_waf_collection_records"), 3.0);
    let bytes = weir.metric("weir_waf_collection_bytes");
    assert!((300.0..3000.0).contains(&bytes), "{bytes}");
    assert_eq!(weir.metric("weir_waf_collection_evicted_total"), 0.0);
    let text = weir.admin_get("/metrics").text();
    assert!(
        text.contains("# TYPE weir_waf_collection_evicted_total counter"),
        "{text}"
    );
}
