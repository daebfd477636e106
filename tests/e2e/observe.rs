//! What a request leaves behind.

use serde_json::{Value, json};
use weir_tests::wait::wait_for;

use crate::Site;

#[test]
fn the_access_log_has_one_line_per_request_and_no_secret() {
    let log = json!({ "file": "access.log", "redact_query": ["token"], "headers": ["user-agent", "authorization"] });
    let site = Site::with(|config| config.set("/observability/access_log", log));
    let response = site.weir.client().roundtrip(
        "GET /a?token=s3cret&x=1 HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAuthorization: Bearer s3cret\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let path = site.weir.folder().join("access.log");
    let text = wait_for("a line in the access log", || {
        std::fs::read_to_string(&path)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&line["status"], &line["tenant"]),
        (&json!(200), &json!("acme")),
        "{line}"
    );
    assert!(text.contains("e2e") && text.contains("x=1"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn metrics_count_what_passed_and_what_was_refused() {
    let site = Site::start();
    assert_eq!(site.weir.client().get("/").status, 200);
    assert_eq!(
        site.weir
            .client()
            .roundtrip("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
            .status,
        404
    );
    wait_for("both requests in the metrics", || {
        let text = site.weir.admin_get("/metrics").text();
        let requests = text
            .lines()
            .any(|line| line.starts_with("weir_requests_total{") && line.contains("acme"));
        (requests && text.contains("unknown_host")).then_some(())
    });
    let text = site.weir.admin_get("/metrics").text();
    let series = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    assert!(
        series.clone().count() > 0 && series.clone().all(|line| line.starts_with("weir_")),
        "{text}"
    );
}
