//! One version at a time: a good document swaps in, a bad one changes nothing and says why.

use rustix::process::Signal;
use serde_json::json;
use weir_tests::config::Config;
use weir_tests::origin::{Answer, Origin};
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

use crate::Site;

fn document(site: &Site) -> Config {
    Config::with_origin(site.origin.address())
}

#[test]
fn a_good_document_swaps_in_and_says_what_changed() {
    let site = Site::start();
    let mut client = site.weir.client();
    assert_eq!(client.get("/").status, 200);
    let answer = site
        .weir
        .reload(&document(&site).set("/tenants/0/state", "suspended"));
    assert!(
        answer["generation"]
            .as_u64()
            .is_some_and(|generation| generation >= 2),
        "{answer}"
    );
    assert!(answer["diff"].to_string().contains("acme"), "{answer}");
    assert_eq!(
        client.get("/").status,
        403,
        "the open connection sees the new version"
    );
}

#[test]
fn a_bad_document_is_refused_with_every_reason_and_changes_nothing() {
    let site = Site::start();
    let bad = document(&site)
        .set("/tenants/0/routes/0/pool", "no-such-pool")
        .set("/tenants/0/tier", "no-such-tier")
        .set("/client/idle_timeout_ms", "soon");
    let response = site.weir.admin_post("/reload", &bad.text());
    assert_eq!(response.status, 422, "{}", response.text());
    let errors = response.json()["errors"].as_array().cloned().unwrap_or_default();
    assert!(!errors.is_empty());
    let bad = document(&site)
        .set("/tenants/0/routes/0/pool", "no-such-pool")
        .set("/tenants/0/tier", "no-such-tier");
    let errors = site.weir.admin_post("/reload", &bad.text()).json()["errors"].to_string();
    assert!(
        errors.contains("no-such-pool") && errors.contains("no-such-tier"),
        "all at once: {errors}"
    );
    for text in ["", "{", "version: 1\nunknown_key: 1\n", "version: 2\n"]
        .into_iter()
        .skip(1)
    {
        assert_eq!(site.weir.admin_post("/reload", text).status, 422, "{text}");
    }
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn a_dry_run_reports_and_changes_nothing() {
    let site = Site::start();
    let suspended = document(&site).set("/tenants/0/state", "suspended");
    let response = site.weir.admin_post("/reload?dry_run=1", &suspended.text());
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        response.json()["diff"].to_string().contains("acme"),
        "{}",
        response.text()
    );
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn sighup_and_an_empty_reload_read_the_file_again() {
    let site = Site::start();
    site.weir.write(
        "weir.json",
        &document(&site).set("/tenants/0/state", "suspended").text(),
    );
    site.weir.signal(Signal::HUP);
    wait_for("SIGHUP to take effect", || {
        (site.weir.client().get("/").status == 403).then_some(())
    });
    site.weir.write("weir.json", &document(&site).text());
    assert_eq!(site.weir.admin_post("/reload", "").status, 200);
    assert_eq!(site.weir.client().get("/").status, 200);
    site.weir.write("weir.json", "no document");
    assert_eq!(site.weir.admin_post("/reload", "").status, 422);
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn broken_rules_and_certificates_are_refused_and_harmless() {
    let site = Site::start();
    site.weir
        .write("bad.conf", "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n");
    let rules = document(&site).set("/tenants/0/waf/rules", json!(["bad.conf"]));
    let response = site.weir.admin_post("/reload", &rules.text());
    assert_eq!(response.status, 422, "{}", response.text());
    assert!(response.text().contains("bad.conf"), "{}", response.text());
    let certificate = document(&site).with_tls("missing.pem", "missing.key");
    let response = site.weir.admin_post("/reload", &certificate.text());
    assert_eq!(response.status, 422, "{}", response.text());
    assert!(response.text().contains("missing.pem"), "{}", response.text());
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn a_listener_comes_and_goes_with_the_document() {
    let site = Site::start();
    site.weir
        .reload(&document(&site).set("/listeners/-", json!({ "id": "extra", "address": "127.0.0.1:0" })));
    let config = site.weir.admin_get("/config").json();
    let listening = config["listening"].as_array().cloned().unwrap_or_default();
    let extra = listening
        .iter()
        .find(|entry| entry["listener"] == "extra")
        .expect("the new listener");
    let extra: std::net::SocketAddr = extra["address"]
        .as_str()
        .expect("an address")
        .parse()
        .expect("an address");
    assert_eq!(weir_tests::h1::H1::connect(extra).get("/").status, 200);
    site.weir.reload(&document(&site));
    wait_for("the listener to close", || {
        std::net::TcpStream::connect(extra).err()
    });
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn no_request_fails_or_sees_two_versions_while_documents_change() {
    // Each version sends to an origin of its own and sets a limit of its own: an answer must agree with itself.
    let origins = [
        Origin::answering(|_| Answer::text("a")),
        Origin::answering(|_| Answer::text("b")),
    ];
    let version = |index: usize| {
        let quota = [1_000_000, 2_000_000][index];
        Config::with_origin(origins[index].address()).set(
            "/tenants/0/limits/tenant",
            json!({ "requests": quota, "window_ms": 1000 }),
        )
    };
    let weir = Weir::start(&version(0));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = [0; 4].map(|_| {
            scope.spawn(|| {
                let mut client = weir.client();
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Acquire) {
                    let answer = client.get("/");
                    let policy = answer.header("ratelimit-policy").unwrap_or_default().to_owned();
                    let quota = if answer.text() == "a" {
                        "1000000"
                    } else {
                        "2000000"
                    };
                    assert_eq!(answer.status, 200);
                    assert!(policy.contains(quota), "{} with {policy}", answer.text());
                    count += 1;
                }
                count
            })
        });
        for round in 1..=20 {
            weir.reload(&version(round % 2));
            assert_eq!(weir.admin_post("/reload", "{").status, 422);
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
        let counts = load.map(|thread| thread.join().expect("a client saw a fault"));
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    });
}

#[test]
fn a_bad_document_does_not_start_and_says_why() {
    let origin = Origin::start();
    let (status, log) =
        Weir::refused(&Config::with_origin(origin.address()).set("/tenants/0/tier", "no-such-tier"));
    assert!(!status.success());
    assert!(log.contains("no-such-tier"), "{log}");
}
