//! Which tenant answers, and what each state answers.

use serde_json::json;

use crate::Site;

#[test]
fn an_unknown_host_is_404_and_reaches_nobody() {
    let site = Site::start();
    let response = site
        .weir
        .client()
        .roundtrip("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    assert_eq!((response.status, response.code().as_str()), (404, "unknown_host"));
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn exact_and_wildcard_hosts_match_in_any_case_and_with_a_port() {
    let site = Site::start();
    let mut client = site.weir.client();
    for host in [
        "acme.test",
        "ACME.test",
        "acme.test:8080",
        "www.acme.test",
        "acme.test.",
    ] {
        assert_eq!(
            client
                .roundtrip(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .status,
            200,
            "{host}"
        );
    }
    for host in ["xacme.test", "acme.test.evil"] {
        assert_eq!(
            client
                .roundtrip(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .status,
            404,
            "{host}"
        );
    }
}

#[test]
fn each_state_has_its_answer() {
    let states = [
        ("pending", 503, "tenant_pending"),
        ("suspended", 403, "tenant_suspended"),
        ("deleted", 410, "tenant_deleted"),
    ];
    for (state, status, code) in states {
        let site = Site::with(|config| config.set("/tenants/0/state", state));
        let response = site.weir.client().get("/");
        assert_eq!((response.status, response.code().as_str()), (status, code));
        assert_eq!(
            response.header("retry-after").is_some(),
            status == 503,
            "{state}: {response:?}"
        );
        assert_eq!(site.origin.bytes_in(), 0, "{state}");
    }
}

#[test]
fn a_migrating_tenant_is_sent_to_its_new_region() {
    let regions = json!([{ "id": "local" }, { "id": "eu", "ingress": "https://eu.example.test" }]);
    let site = Site::with(|config| {
        config
            .set("/regions", regions)
            .set("/tenants/0/state", "migrating")
            .set("/tenants/0/migrate_to", "eu")
    });
    let response = site.weir.client().get("/a?b=c");
    assert_eq!(
        (response.status, response.header("location")),
        (307, Some("https://eu.example.test/a?b=c"))
    );
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn a_route_that_does_not_match_is_404() {
    let routes = json!([{ "id": "api", "path": "/api", "methods": ["GET"], "headers": [{ "name": "x-beta", "value": "1" }], "pool": "app" }]);
    let site = Site::with(|config| config.set("/tenants/0/routes", routes));
    let mut client = site.weir.client();
    let mut ask = |line: &str, beta: &str| {
        client
            .roundtrip(format!(
                "{line} HTTP/1.1\r\nHost: acme.test\r\nX-Beta: {beta}\r\nContent-Length: 0\r\n\r\n"
            ))
            .status
    };
    assert_eq!(ask("GET /api", "1"), 200);
    assert_eq!(ask("GET /api/", "1"), 404);
    assert_eq!(ask("GET /api", "2"), 404);
    assert_eq!(ask("POST /api", "1"), 404);
}

#[test]
fn a_failing_tenant_is_quarantined_alone() {
    let site = Site::with(|config| {
        config
            .with_tenant("bad", "bad.test")
            .set("/tenants/1/tier", "no-such-tier")
            .set("/tenant_errors", "quarantine")
    });
    let mut client = site.weir.client();
    assert_eq!(client.get("/").status, 200);
    let response = client.roundtrip("GET / HTTP/1.1\r\nHost: bad.test\r\n\r\n");
    assert_eq!(
        (response.status, response.code().as_str()),
        (503, "tenant_quarantined")
    );
}

#[test]
fn a_tier_gives_defaults_that_the_tenant_overrides() {
    let tiers = json!([{
        "id": "starter",
        "limits": { "address": { "requests": 1, "window_ms": 60000 } },
        "waf": { "mode": "off" },
    }]);
    let site = Site::with(|config| {
        config
            .set("/tiers", tiers)
            .set("/tenants/0/tier", "starter")
            .with_tenant("big", "big.test")
            .set("/tenants/1/tier", "starter")
            .set(
                "/tenants/1/limits/address",
                json!({ "requests": 3, "window_ms": 60000 }),
            )
    });
    let mut client = site.weir.client();
    let mut ask = |host: &str| {
        client
            .roundtrip(format!(
                "GET /?q=1%27%20OR%201=1-- HTTP/1.1\r\nHost: {host}\r\n\r\n"
            ))
            .status
    };
    assert_eq!([ask("acme.test"), ask("acme.test")], [200, 429]);
    assert_eq!(
        [ask("big.test"), ask("big.test"), ask("big.test"), ask("big.test")],
        [200, 200, 200, 429]
    );
}

#[test]
fn a_tenant_that_migrates_here_is_served() {
    let regions = json!([{ "id": "us", "ingress": "https://us.example.test" }, { "id": "eu", "ingress": "https://eu.example.test" }]);
    for (region, status) in [("us", 307), ("eu", 200)] {
        let site = Site::with(|config| {
            config
                .set("/regions", regions.clone())
                .set("/node/region", region)
                .set("/tenants/0/state", "migrating")
                .set("/tenants/0/migrate_to", "eu")
        });
        assert_eq!(
            site.weir.client().get("/").status,
            status,
            "node.region: {region}"
        );
    }
}
