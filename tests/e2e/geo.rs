//! Where a client is, by which address, and what a forged header changes: nothing.

use serde_json::json;
use weir_geoip::fixture::{Entry, Schema, write};
use weir_tests::h1::Response;

use crate::Site;

fn ask(site: &Site, fields: &str) -> Response {
    site.weir
        .client()
        .roundtrip(format!("GET / HTTP/1.1\r\nHost: acme.test\r\n{fields}\r\n"))
}

#[test]
fn an_untrusted_peer_cannot_say_who_it_is() {
    let site = Site::start();
    assert_eq!(
        ask(
            &site,
            "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.8\r\n"
        )
        .status,
        200
    );
    let seen = &site.origin.wait_seen(1)[0];
    assert_eq!(
        seen.header("x-forwarded-for"),
        Some("127.0.0.1"),
        "{:?}",
        seen.headers
    );
}

#[test]
fn a_trusted_hop_is_believed_from_the_right() {
    let site = Site::with(|config| {
        config
            .set("/trust/proxies", json!(["127.0.0.0/8", "10.0.0.0/8"]))
            .set(
                "/tenants/0/limits/address",
                json!({ "requests": 1, "window_ms": 60000 }),
            )
    });
    // The client is the right-most address that is no trusted hop, over all lines.
    assert_eq!(
        ask(
            &site,
            "X-Forwarded-For: 203.0.113.1, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.1\r\n"
        )
        .status,
        200
    );
    assert_eq!(
        ask(&site, "X-Forwarded-For: 203.0.113.2, 192.0.2.7, 10.0.0.2\r\n").status,
        429,
        "same client"
    );
    assert_eq!(
        ask(&site, "X-Forwarded-For: 203.0.113.1, 192.0.2.8\r\n").status,
        200,
        "another client"
    );
}

#[test]
fn geo_fields_of_the_client_are_not_passed_on() {
    let site = Site::start();
    assert_eq!(
        ask(
            &site,
            "X-Geo-Country: KP\r\nX-Weir-Country: KP\r\nX-Geo-ASN: 1\r\n"
        )
        .status,
        200
    );
    let seen = &site.origin.wait_seen(1)[0];
    assert!(
        seen.headers
            .iter()
            .all(|(name, value)| name != "x-geo-country" || value != "KP"),
        "{:?}",
        seen.headers
    );
}

#[test]
fn an_unknown_place_is_refused_where_the_tenant_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = folder.path().join("place.mmdb");
    let entries = [Entry::new("5.1.80.0/20", "DE", 64_500)];
    std::fs::write(&database, write(&entries, Schema::Flat).unwrap()).unwrap();
    let site = Site::with(|config| {
        config
            .set("/geo", json!({ "country_database": database.to_str().unwrap() }))
            .set(
                "/tenants/0/geo",
                json!({ "countries_allow": ["DE"], "unknown": "deny" }),
            )
    });
    let response = ask(&site, "");
    assert_eq!((response.status, response.code().as_str()), (403, "geo_unknown"));
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn a_country_is_found_in_both_forms_of_database_and_refused_by_the_tenant() {
    // Public addresses: reserved ranges are never looked up.
    let entries = [
        Entry::new("5.1.80.0/20", "DE", 64_500),
        Entry::new("175.45.176.0/22", "KP", 131_279),
    ];
    for schema in [Schema::Flat, Schema::Nested] {
        let folder = tempfile::TempDir::new().unwrap();
        let database = folder.path().join("place.mmdb");
        std::fs::write(&database, write(&entries, schema).unwrap()).unwrap();
        let path = database.to_str().unwrap().to_owned();
        let site = Site::with(|config| {
            config
                .set("/geo", json!({ "country_database": path, "asn_database": path }))
                .set("/trust/proxies", json!(["127.0.0.0/8"]))
                .set("/tenants/0/geo/countries_deny", json!(["KP"]))
        });
        let refused = ask(&site, "X-Forwarded-For: 175.45.177.9\r\n");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "geo_blocked"),
            "{schema:?}"
        );
        assert_eq!(site.origin.bytes_in(), 0);
        assert_eq!(
            ask(&site, "X-Forwarded-For: 5.1.81.1\r\nX-Geo-Country: KP\r\n").status,
            200,
            "{schema:?}"
        );
        let seen = &site.origin.wait_seen(1)[0];
        assert_eq!(
            (seen.header("x-geo-country"), seen.header("x-geo-asn")),
            (Some("DE"), Some("64500"))
        );
    }
}

#[test]
fn an_allow_list_and_a_network_deny_list_hold_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = folder.path().join("place.mmdb");
    let entries = [
        Entry::new("5.1.80.0/20", "DE", 64_500),
        Entry::new("5.2.80.0/20", "FR", 64_501),
    ];
    std::fs::write(&database, write(&entries, Schema::Flat).unwrap()).unwrap();
    let path = database.to_str().unwrap().to_owned();
    let site = |policy: serde_json::Value| {
        Site::with(|config| {
            config
                .set("/geo", json!({ "country_database": path, "asn_database": path }))
                .set("/trust/proxies", json!(["127.0.0.0/8"]))
                .set("/tenants/0/geo", policy)
        })
    };
    let statuses = |site: &Site| {
        ["5.1.81.1", "5.2.81.1"].map(|address| ask(site, &format!("X-Forwarded-For: {address}\r\n")).status)
    };
    assert_eq!(statuses(&site(json!({ "countries_allow": ["DE"] }))), [200, 403]);
    assert_eq!(statuses(&site(json!({ "asns_deny": [64_500] }))), [403, 200]);
    assert_eq!(statuses(&site(json!({ "continents_deny": ["EU"] }))), [403, 403]);
}

#[test]
fn allow_lists_of_continents_and_networks_let_only_theirs_in() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = folder.path().join("place.mmdb");
    let entries = [
        Entry::new("5.1.80.0/20", "DE", 64_500),
        Entry::new("175.45.176.0/22", "KP", 131_279),
    ];
    std::fs::write(&database, write(&entries, Schema::Flat).unwrap()).unwrap();
    let path = database.to_str().unwrap().to_owned();
    let statuses = |policy: serde_json::Value| {
        let site = Site::with(|config| {
            config
                .set("/geo", json!({ "country_database": path, "asn_database": path }))
                .set("/trust/proxies", json!(["127.0.0.0/8"]))
                .set("/tenants/0/geo", policy)
        });
        ["5.1.81.1", "175.45.177.9"]
            .map(|address| ask(&site, &format!("X-Forwarded-For: {address}\r\n")).status)
    };
    assert_eq!(statuses(json!({})), [200, 200]);
    assert_eq!(statuses(json!({ "continents_allow": ["EU"] })), [200, 403]);
    assert_eq!(statuses(json!({ "continents_allow": ["EU", "AS"] })), [200, 200]);
    assert_eq!(statuses(json!({ "asns_allow": [131_279] })), [403, 200]);
}

#[test]
fn hops_are_walked_up_to_their_number() {
    let same_client = |hops: u8| {
        let site = Site::with(|config| {
            config
                .set("/trust/proxies", json!(["127.0.0.0/8", "10.0.0.0/8"]))
                .set("/trust/hops_max", hops)
                .set(
                    "/tenants/0/limits/address",
                    json!({ "requests": 1, "window_ms": 60000 }),
                )
        });
        ["192.0.2.7", "192.0.2.8"].map(|client| {
            ask(
                &site,
                &format!("X-Forwarded-For: {client}, 10.0.0.3, 10.0.0.2\r\n"),
            )
            .status
        })
    };
    assert_eq!(same_client(5), [200, 200], "two clients behind two trusted hops");
    assert_eq!(
        same_client(1),
        [200, 429],
        "no further than one hop: both come from it"
    );
}
