//! A tenant whose part of the document cannot be used is set aside alone: on its last good version, or with a clear answer.

use serde_json::json;
use weir_tests::config::Config;
use weir_tests::h1::Response;
use weir_tests::origin::Origin;
use weir_tests::pki::Authority;
use weir_tests::tls::Client;
use weir_tests::weir::Weir;

/// Tenants `acme` and `other`, each with a certificate.
struct Pair {
    _origin: Origin,
    weir: Weir,
    authority: Authority,
    config: Config,
}

fn pair(errors: &str) -> Pair {
    let (origin, authority) = (Origin::start(), Authority::new("test authority"));
    let [acme, other] = ["acme.test", "other.test"].map(|host| authority.issue(&[host]));
    let certificate = json!([{ "cert_file": "other.pem", "key_file": "other.key" }]);
    let config = Config::with_origin(origin.address())
        .with_tls("acme.pem", "acme.key")
        .with_tenant("other", "other.test")
        .set("/tenants/1/tls/certificates", certificate)
        .set("/tenant_errors", errors);
    let files = [
        ("acme.pem", acme.cert_pem.as_str()),
        ("acme.key", acme.key_pem.as_str()),
        ("other.pem", other.cert_pem.as_str()),
        ("other.key", other.key_pem.as_str()),
        ("broken.conf", "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n"),
        ("broken.key", "no key"),
    ];
    let weir = Weir::start_with_files(&config, &files);
    Pair {
        _origin: origin,
        weir,
        authority,
        config,
    }
}

fn get(weir: &Weir, host: &str) -> Response {
    weir.client()
        .roundtrip(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// Changes of tenant `other` that its files or the document do not bear, each with what must be said.
fn faulty(config: &Config) -> [(Config, &'static str); 5] {
    let jwt = json!([{ "name": "user", "jwt": { "claim": "sub", "key_file": "broken.key", "algorithm": "ES256" },
        "rate": { "requests": 1 } }]);
    [
        (
            config
                .clone()
                .set("/tenants/1/tls/certificates/0/cert_file", "missing.pem"),
            "missing.pem",
        ),
        (
            config
                .clone()
                .set("/tenants/1/tls/certificates/0/key_file", "acme.key"),
            "other.pem",
        ),
        (
            config.clone().set("/tenants/1/waf/rules", json!(["broken.conf"])),
            "broken.conf",
        ),
        (config.clone().set("/tenants/1/limits/keys", jwt), "broken.key"),
        (
            config.clone().set("/tenants/1/tier", "no-such-tier"),
            "no-such-tier",
        ),
    ]
}

#[test]
fn a_tenant_that_served_before_stays_on_its_last_good_version_while_the_others_go_on() {
    let pair = pair("quarantine");
    let client = Client::trusting(&pair.authority, &["http/1.1"]);
    for (document, reason) in faulty(&pair.config) {
        let document = document.set("/tenants/0/state", "suspended");
        let answer = pair.weir.reload(&document);
        assert_eq!(answer["quarantined"][0]["id"], "other", "{answer}");
        assert!(
            answer["quarantined"][0]["reasons"].to_string().contains(reason),
            "{answer}"
        );
        assert_eq!(get(&pair.weir, "acme.test").status, 403, "the new version");
        assert_eq!(
            get(&pair.weir, "other.test").status,
            200,
            "the last good one: {reason}"
        );
        let secure = pair.weir.address("websecure");
        assert!(
            client.connect(secure, "other.test").is_ok(),
            "its certificate: {reason}"
        );
        assert!(pair.weir.metric("weir_tenants_quarantined") > 0.5);
        // A second version changes nothing about that, and a sound one ends it.
        pair.weir.reload(&document.set("/tenants/0/state", "active"));
        assert_eq!(get(&pair.weir, "other.test").status, 200);
        let sound = pair.weir.reload(&pair.config);
        assert_eq!(sound["quarantined"], json!([]), "{sound}");
        assert!(pair.weir.metric("weir_tenants_quarantined") < 0.5);
    }
}

#[test]
fn without_quarantine_the_document_is_refused_and_names_the_tenant() {
    let pair = pair("refuse");
    for (document, reason) in faulty(&pair.config) {
        let refused = pair.weir.admin_post("/reload", &document.text());
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains(reason), "{}", refused.text());
        assert_eq!(get(&pair.weir, "other.test").status, 200);
    }
}

#[test]
fn what_tenants_share_is_never_set_aside() {
    let pair = pair("quarantine");
    let set = pair
        .config
        .clone()
        .set("/rule_sets", json!([{ "id": "own", "files": ["broken.conf"] }]))
        .set("/tenants/1/waf/rule_set", "own");
    let refused = pair.weir.admin_post("/reload", &set.text());
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("broken.conf"), "{}", refused.text());
}

#[test]
fn a_tenant_that_never_served_answers_that_it_is_set_aside() {
    let origin = Origin::start();
    let config = Config::with_origin(origin.address())
        .with_tenant("other", "other.test")
        .set("/tenants/1/waf/rules", json!(["missing.conf"]))
        .set("/tenant_errors", "quarantine");
    let weir = Weir::start(&config);
    assert_eq!(get(&weir, "acme.test").status, 200);
    let answer = get(&weir, "other.test");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "tenant_quarantined")
    );
    assert!(
        weir.log().contains("\"event\":\"quarantined\"") && weir.log().contains("missing.conf"),
        "{}",
        weir.log()
    );
}

#[test]
fn a_host_that_moved_to_a_sound_tenant_is_its() {
    let pair = pair("quarantine");
    let moved = pair
        .config
        .clone()
        .set("/tenants/1/waf/rules", json!(["missing.conf"]))
        .set("/tenants/1/hosts", json!(["third.test"]))
        .set("/tenants/0/hosts", json!(["acme.test", "other.test"]))
        .set("/tenants/0/state", "suspended");
    pair.weir.reload(&moved);
    assert_eq!(get(&pair.weir, "other.test").status, 403, "acme has it now");
    let answer = get(&pair.weir, "third.test");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "tenant_quarantined")
    );
}

#[test]
fn an_upgrade_keeps_who_is_set_aside_on_the_last_good_version_or_does_not_happen() {
    let mut pair = pair("quarantine");
    pair.weir
        .reload(&pair.config.clone().set("/tenants/1/tier", "no-such-tier"));
    let (code, said) = pair.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    assert!(pair.weir.wait_exit().success());
    assert_eq!(get(&pair.weir, "other.test").status, 200);
    std::fs::remove_file(pair.weir.folder().join("other.pem")).unwrap();
    pair.weir.reload(&pair.config);
    assert_eq!(get(&pair.weir, "other.test").status, 200);
    let (code, said) = pair.weir.upgrade();
    assert_eq!(code, Some(1), "a new process has no certificate to serve it with");
    assert!(said.contains("other"), "{said}");
    assert_eq!(get(&pair.weir, "other.test").status, 200);
}

#[test]
fn at_the_start_the_last_good_version_comes_from_the_state_folder() {
    let (origin, state) = (Origin::start(), tempfile::TempDir::new().unwrap());
    let good = Config::with_origin(origin.address())
        .with_tenant("other", "other.test")
        .set("/tenant_errors", "quarantine")
        .set("/node/state_dir", state.path().to_str().unwrap());
    let weir = Weir::start(&good);
    weir_tests::wait::wait_for("the version to be kept", || {
        state.path().join("current.json").exists().then_some(())
    });
    drop(weir);
    let weir = Weir::start(
        &good
            .set("/tenants/1/tier", "no-such-tier")
            .set("/tenants/0/state", "suspended"),
    );
    assert_eq!(get(&weir, "acme.test").status, 403);
    assert_eq!(get(&weir, "other.test").status, 200);
}
