//! What a request leaves behind.

use serde_json::{Value, json};
use weir_tests::h2raw::{self, END_HEADERS, END_STREAM, H2Raw, HEADERS};
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
fn a_request_that_the_front_parser_refuses_has_a_line_too() {
    let log = json!({ "file": "access.log", "headers": ["user-agent"] });
    let site = Site::with(|config| config.set("/observability/access_log", log));
    let long = format!("GET /{} HTTP/1.1\r\nHost: acme.test\r\n\r\n", "a".repeat(20_000));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: acme.test\r\nX: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    let requests = [
        ("GET / HTTP/1.1\r\n\r\n", 400, "invalid_host"),
        (
            "G@T / HTTP/1.1\r\nHost: acme.test\r\n\r\n",
            400,
            "malformed_request",
        ),
        (long.as_str(), 414, "target_too_long"),
        (wide.as_str(), 431, "header_too_large"),
        (
            "GET / HTTP/3.0\r\nHost: acme.test\r\n\r\n",
            505,
            "unsupported_version",
        ),
    ];
    for (request, status, code) in requests {
        let mut client = site.weir.client();
        // A client that is refused early need not be read to its end.
        let _ = client.send(request);
        let response = client.response().expect("a refusal");
        assert_eq!((response.status, response.code().as_str()), (status, code));
    }
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    let head = h2raw::request("TRACE", "/traced", &[]);
    client.send(h2raw::frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
    client.outcome(1);
    let path = site.weir.folder().join("access.log");
    let lines: Vec<Value> = wait_for("a line of each in the access log", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines: Vec<_> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines.len() == requests.len() + 1).then_some(lines)
    });
    for ((request, status, code), line) in requests.iter().zip(&lines) {
        assert_eq!(
            (&line["status"], &line["code"]),
            (&json!(status), &json!(code)),
            "{line}"
        );
        assert_eq!(
            (&line["client"], &line["tenant"]),
            (&json!("127.0.0.1"), &Value::Null),
            "{line}"
        );
        assert_eq!(
            (&line["protocol"], &line["outcome"]),
            (&json!("http/1.1"), &json!("refused")),
            "{line}"
        );
        let read = line["bytes_in"].as_u64().unwrap_or(0);
        assert!(read > 0 && read <= request.len() as u64, "{line}");
        assert!(
            line["bytes_out"].as_u64().is_some_and(|sent| sent > 100),
            "{line}"
        );
        assert_eq!(line["request_id"].as_str().map(str::len), Some(32), "{line}");
    }
    let h2 = lines.last().expect("the last line");
    assert_eq!(
        (&h2["protocol"], &h2["code"]),
        (&json!("h2"), &json!("method_not_allowed")),
        "{h2}"
    );
    assert_eq!(
        (&h2["method"], &h2["target"]),
        (&json!("TRACE"), &json!("/traced")),
        "{h2}"
    );
}

#[test]
fn bytes_belong_to_the_request_that_they_were_sent_for() {
    let log = json!({ "file": "access.log" });
    let site = Site::with(|config| config.set("/observability/access_log", log));
    let requests = [
        "GET /first HTTP/1.1\r\nHost: acme.test\r\n\r\n",
        "POST /second HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /third HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\n\r\n",
        "GET /last HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n",
    ];
    let mut client = site.weir.client();
    client.send(requests.concat()).unwrap();
    let answered = client.drain().len() as u64;
    let path = site.weir.folder().join("access.log");
    let lines: Vec<Value> = wait_for("four lines in the access log", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines: Vec<_> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines.len() == requests.len()).then_some(lines)
    });
    for (request, line) in requests.iter().zip(&lines) {
        assert_eq!(line["bytes_in"], json!(request.len()), "{request}: {line}");
    }
    let out: u64 = lines.iter().filter_map(|line| line["bytes_out"].as_u64()).sum();
    assert_eq!(out, answered);
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

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let Ok(mut promtool) = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
    else {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "promtool is missing: .ci/setup installs it"
        );
        eprintln!("not checked: promtool is not installed (.ci/setup installs it)");
        return;
    };
    // Every kind of series: answered, refused, by a rule, on HTTP/2, at an upstream that fails.
    let site = Site::with(|config| {
        config
            .set(
                "/tenants/0/routes/-",
                json!({ "id": "down", "path_prefix": "/down", "pool": "down" }),
            )
            .set("/tenants/0/routes/0/path_prefix", "/up")
            .set(
                "/pools/-",
                json!({ "id": "down", "endpoints": ["127.0.0.1:9"], "retry": { "retries_max": 1 } }),
            )
            .set("/pools/0/health", json!({ "path": "/" }))
    });
    let mut client = site.weir.client();
    assert_eq!(client.get("/up").status, 200);
    assert_eq!(client.get("/up?id=1%27%20OR%20%271%27=%271").status, 403);
    assert_eq!(client.get("/down").status, 502);
    let mut h2 = weir_tests::h2c::H2::prior_knowledge(site.weir.address("web")).unwrap();
    assert_eq!(h2.get("http://acme.test/up").unwrap().status, 200);
    drop(site.weir.admin_post("/reload", "{"));
    let metrics = wait_for("the requests in the metrics", || {
        let metrics = site.weir.admin_get("/metrics").text();
        (metrics.contains("protocol=\"h2\"") && metrics.contains("weir_waf_matches_total{"))
            .then_some(metrics)
    });
    let input = promtool.stdin.take().expect("a piped input");
    std::io::Write::write_all(&mut &input, metrics.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}\n{metrics}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn the_access_log_goes_to_standard_output_where_the_document_says_so() {
    for stdout in [true, false] {
        let log = if stdout {
            json!({ "stdout": true })
        } else {
            Value::Null
        };
        let site = Site::with(|config| {
            if stdout {
                config.set("/observability/access_log", log)
            } else {
                config
            }
        });
        assert_eq!(site.weir.client().get("/marked").status, 200);
        let logged = |site: &Site| {
            site.weir
                .log()
                .lines()
                .any(|line| line.contains("/marked") && line.contains("\"status\":200"))
        };
        if stdout {
            wait_for("the line on standard output", || logged(&site).then_some(()));
        } else {
            assert!(!logged(&site));
        }
    }
}

#[test]
fn sampling_leaves_out_good_answers_and_never_a_refusal() {
    for (sample, good) in [(1, 20), (1_000_000, 0)] {
        let log = json!({ "file": "access.log", "sample": sample });
        let site = Site::with(|config| config.set("/observability/access_log", log));
        let mut client = site.weir.client();
        for _ in 0..20 {
            assert_eq!(client.get("/").status, 200);
        }
        assert_eq!(
            client
                .roundtrip("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
                .status,
            404
        );
        let path = site.weir.folder().join("access.log");
        let text = wait_for("the refusal in the access log", || {
            let text = std::fs::read_to_string(&path).ok()?;
            text.contains("\"status\":404").then_some(text)
        });
        let count = text
            .lines()
            .filter(|line| line.contains("\"status\":200"))
            .count();
        assert_eq!(count, good, "sample: {sample}");
    }
}

#[test]
fn tenants_above_the_bound_share_one_series() {
    let labels = |bound: u32| {
        let site = Site::with(|config| {
            config
                .set("/observability/metric_tenants_max", bound)
                .with_tenant("other-one", "one.test")
                .with_tenant("other-two", "two.test")
        });
        let mut client = site.weir.client();
        for host in ["acme.test", "one.test", "two.test"] {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(client.roundtrip(request).status, 200);
        }
        wait_for("three requests in the metrics", || {
            let text = site.weir.admin_get("/metrics").text();
            let series = text
                .lines()
                .filter(|line| line.starts_with("weir_requests_total{"));
            let counts: Vec<(String, f64)> = series
                .filter_map(|line| {
                    let tenant = line.split("tenant=\"").nth(1)?.split('"').next()?;
                    Some((tenant.to_owned(), line.rsplit(' ').next()?.parse().ok()?))
                })
                .collect();
            let total: f64 = counts.iter().map(|(_, count)| count).sum();
            (total > 2.5).then_some(counts)
        })
    };
    let own = labels(1000);
    assert_eq!(own.len(), 3, "{own:?}");
    let shared = labels(1);
    assert_eq!(shared.len(), 2, "{shared:?}");
    assert!(
        shared
            .iter()
            .any(|(tenant, count)| tenant == "other" && *count > 1.5),
        "{shared:?}"
    );
}
