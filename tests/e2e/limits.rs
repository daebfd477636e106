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

/// A site whose tenant limits a claim to one request, with a file that holds the key.
fn limited_by_claim(claim: &str, algorithm: &str, key: &str) -> Site {
    let origin = weir_tests::origin::Origin::start();
    let limit = json!([{ "name": "user", "jwt": { "claim": claim, "key_file": "token.key", "algorithm": algorithm },
        "rate": { "requests": 1, "window_ms": 60000 } }]);
    let config =
        weir_tests::config::Config::with_origin(origin.address()).set("/tenants/0/limits/keys", limit);
    let weir = weir_tests::weir::Weir::start_with_files(&config, &[("token.key", key)]);
    Site { origin, weir }
}

fn ask_with(site: &Site, token: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: acme.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    site.weir.client().roundtrip(request).status
}

#[test]
fn a_claim_of_a_token_has_its_own_bucket_once_its_signature_holds() {
    use weir_tests::token::hs256;
    let secret = "a secret of thirty-two bytes, no less";
    let site = limited_by_claim("sub", "HS256", secret);
    let alice = hs256(secret, &[("sub", "alice"), ("org", "one")]);
    let bob = hs256(secret, &[("sub", "bob"), ("org", "one")]);
    assert_eq!(
        [
            ask_with(&site, &alice),
            ask_with(&site, &alice),
            ask_with(&site, &bob)
        ],
        [200, 429, 200]
    );
    let forged = hs256("another secret", &[("sub", "alice")]);
    let others = [ask_with(&site, &forged), ask_with(&site, &forged)];
    assert_eq!(
        others,
        [200, 429],
        "who cannot prove to be alice counts by address"
    );
    let by_org = limited_by_claim("org", "HS256", secret);
    assert_eq!(
        [ask_with(&by_org, &alice), ask_with(&by_org, &bob)],
        [200, 429],
        "another claim"
    );
}

#[test]
fn a_token_counts_only_in_the_algorithm_of_the_document() {
    let key = weir_tests::token::Ed25519::generate();
    let public = key.public_pem();
    let site = limited_by_claim("sub", "EdDSA", &public);
    let alice = key.token(&[("sub", "alice")]);
    assert_eq!([ask_with(&site, &alice), ask_with(&site, &alice)], [200, 429]);
    // The classic confusion: the public key as a shared secret.
    let confused = weir_tests::token::hs256(&public, &[("sub", "alice")]);
    assert_eq!(
        ask_with(&site, &confused),
        200,
        "not alice, whose bucket is empty"
    );
}

#[test]
fn a_flood_of_keys_takes_the_places_of_a_table_that_is_too_small() {
    let status_after_flood = |table: u32| {
        let keys = json!([{ "name": "api-key", "header": "x-api-key", "rate": { "requests": 2, "window_ms": 3_600_000 } }]);
        let site = Site::with(|config| {
            config
                .set("/limits/table_keys", table)
                .set("/client/keepalive_requests_max", 1_000_000)
                .set("/tenants/0/limits/keys", keys)
                .set("/tenants/0/waf/mode", "off")
        });
        let request = |key: &str| format!("GET / HTTP/1.1\r\nHost: acme.test\r\nX-API-Key: {key}\r\n\r\n");
        let mut client = site.weir.client();
        assert_eq!(client.roundtrip(request("first")).status, 200);
        for batch in 0..60 {
            let flood: String = (0..50)
                .map(|number| request(&format!("{batch}-{number}")))
                .collect();
            client.send(flood).unwrap();
            assert!((0..50).all(|_| client.response().is_some_and(|response| response.status == 200)));
        }
        [0, 1].map(|_| client.roundtrip(request("first")).status)
    };
    assert_eq!(status_after_flood(1_048_576), [200, 429], "one of two was left");
    assert_eq!(
        status_after_flood(1024),
        [200, 200],
        "its bucket gave way to 3000 others"
    );
}
