//! Rate limits: who is refused, with which fields, and who is not.

use serde_json::json;
use weir_tests::h1::Response;

use crate::Site;

fn limited() -> Site {
    Site::with(|config| {
        config.set(
            "/tenants/0/limits/address",
            json!({ "requests": 5, "window_ms": 60000, "burst": 5 }),
        )
    })
}

#[test]
fn the_sixth_request_is_refused_with_the_fields_of_the_standard() {
    let site = limited();
    let mut client = site.weir.client();
    let answers: Vec<Response> = (0..6).map(|_| client.get("/")).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses,
        [200, 200, 200, 200, 200, 429],
        "the connection lives on after a refusal"
    );
    let refused = &answers[5];
    assert_eq!(refused.code(), "limit_address");
    let wait: u64 = refused
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&wait), "Retry-After: {wait}");
    for answer in &answers {
        let policy = answer.header("ratelimit-policy").expect("RateLimit-Policy");
        assert!(policy.contains("q=5") && policy.contains("w=60"), "{policy}");
        assert!(
            answer.header("ratelimit").expect("RateLimit").contains("r="),
            "{answer:?}"
        );
    }
    assert!(
        refused
            .header("ratelimit")
            .is_some_and(|field| field.contains("r=0")),
        "{refused:?}"
    );
    assert_eq!(site.origin.seen().len(), 5);
}

#[test]
fn a_refusal_at_one_level_charges_no_other() {
    let site = Site::with(|config| {
        config
            .set(
                "/tenants/0/limits/address",
                json!({ "requests": 2, "window_ms": 60000 }),
            )
            .set(
                "/tenants/0/limits/tenant",
                json!({ "requests": 4, "window_ms": 60000 }),
            )
            .set("/trust/proxies", json!(["127.0.0.0/8"]))
    });
    let mut client = site.weir.client();
    let mut ask = |address: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: acme.test\r\nX-Forwarded-For: {address}\r\n\r\n");
        client.roundtrip(request).status
    };
    let first: Vec<u16> = (0..6).map(|_| ask("192.0.2.1")).collect();
    assert_eq!(first, [200, 200, 429, 429, 429, 429]);
    // Four refusals of the first address took nothing from the tenant's four.
    let second: Vec<u16> = (0..3).map(|_| ask("192.0.2.2")).collect();
    assert_eq!(second, [200, 200, 429]);
}

#[test]
fn each_key_has_its_own_bucket() {
    let keys =
        json!([{ "name": "api-key", "header": "x-api-key", "rate": { "requests": 1, "window_ms": 60000 } }]);
    let site = Site::with(|config| config.set("/tenants/0/limits/keys", keys));
    let mut client = site.weir.client();
    let mut ask = |key: &str| {
        client.roundtrip(format!(
            "GET / HTTP/1.1\r\nHost: acme.test\r\nX-API-Key: {key}\r\n\r\n"
        ))
    };
    assert_eq!(ask("a").status, 200);
    let refused = ask("a");
    assert_eq!((refused.status, refused.code().as_str()), (429, "limit_key"));
    assert_eq!(ask("b").status, 200);
}

#[test]
fn a_route_has_its_own_limit() {
    let routes = json!([
        { "id": "api", "path_prefix": "/api", "pool": "app", "limit": { "requests": 1, "window_ms": 60000 } },
        { "id": "all", "pool": "app" },
    ]);
    let site = Site::with(|config| config.set("/tenants/0/routes", routes));
    let mut client = site.weir.client();
    assert_eq!(client.get("/api/x").status, 200);
    let refused = client.get("/api/y");
    assert_eq!((refused.status, refused.code().as_str()), (429, "limit_route"));
    assert_eq!(client.get("/apix").status, 200, "/apix is not below /api");
}

#[test]
fn fields_can_be_kept_for_refusals() {
    let site = Site::with(|config| {
        config.set("/limits/headers_always", false).set(
            "/tenants/0/limits/address",
            json!({ "requests": 1, "window_ms": 60000 }),
        )
    });
    let mut client = site.weir.client();
    assert_eq!(client.get("/").header("ratelimit"), None);
    assert!(client.get("/").header("ratelimit").is_some());
}

#[test]
fn requests_in_flight_above_the_tenants_limit_are_refused_at_once() {
    let slow = weir_tests::origin::Origin::answering(|_| {
        weir_tests::origin::Answer::text("late").delayed(std::time::Duration::from_secs(2))
    });
    let site = Site::over(slow, |config| config.set("/tenants/0/limits/in_flight_max", 1));
    let mut first = site.weir.client();
    first.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    weir_tests::wait::wait_for("the first request at the origin", || {
        (site.origin.bytes_in() > 0).then_some(())
    });
    let refused = site.weir.client().get("/");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "in_flight_limit")
    );
    assert_eq!(first.response().unwrap().status, 200);
}
