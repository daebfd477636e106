//! One version at a time: a good document swaps in, a bad one changes nothing and says why.

use rustix::process::Signal;
use serde_json::json;
use weir_tests::config::Config;
use weir_tests::load::{Load, Plan};
use weir_tests::origin::{Answer, Origin};
use weir_tests::pki::{Authority, Identity};
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
fn a_listener_that_changes_on_its_address_refuses_nobody() {
    let authority = Authority::new("test authority");
    let versions = Versions::new(&authority);
    let files = versions.files();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let weir = Weir::start_with_files(&versions.document(0), &files);
    let plan = Plan {
        web: weir.address("web"),
        websecure: weir.address("websecure"),
        targets: &["/"],
        judge: agrees,
    };
    let load = Load::start(&plan, &authority);
    for number in 1..=20 {
        // The same socket, another listener: its TLS changes, and with it its accept loop.
        let changed = versions
            .document(0)
            .set("/listeners/1/tls/tickets", number % 8)
            .set(
                "/listeners/0/protocols",
                if number % 2 == 0 {
                    json!(["h1", "h2"])
                } else {
                    json!(["h2", "h1"])
                },
            )
            .set("/listeners/0/id", format!("web-{}", number % 2))
            .set("/listeners/0/address", plan.web.to_string());
        weir.reload(&changed);
        load.wait_answers(50);
    }
    println!("answers over twenty changes: {:?}", load.finish());
}

/// Version `number` sends to the origin of its parity, has a quota of its own and refuses a probe for its parity by a rule
/// of its own: an answer must agree with itself.
struct Versions {
    origins: [Origin; 2],
    certificates: [Identity; 2],
}

impl Versions {
    fn new(authority: &Authority) -> Self {
        Self {
            origins: ["even", "odd"].map(|name| Origin::answering(move |_| Answer::text(name))),
            certificates: [0, 1].map(|_| authority.issue(&["acme.test"])),
        }
    }

    fn files(&self) -> Vec<(String, String)> {
        let rule = |parity: usize| {
            format!(
                "SecRule ARGS:probe \"@streq {parity}\" \"id:{},phase:1,deny,status:403\"\n",
                900 + parity
            )
        };
        let parts = self
            .certificates
            .iter()
            .enumerate()
            .flat_map(|(parity, identity)| {
                [
                    (format!("{parity}.pem"), identity.cert_pem.clone()),
                    (format!("{parity}.key"), identity.key_pem.clone()),
                    (format!("{parity}.conf"), rule(parity)),
                ]
            });
        parts.collect()
    }

    fn document(&self, number: usize) -> Config {
        let parity = number % 2;
        Config::with_origin(self.origins[parity].address())
            .with_tls(&format!("{parity}.pem"), &format!("{parity}.key"))
            .set(
                "/tenants/0/limits/tenant",
                json!({ "requests": 1_000_000 + number, "window_ms": 1000 }),
            )
            .set(
                "/rule_sets",
                json!([ { "id": "own", "files": [format!("{parity}.conf")] } ]),
            )
            .set("/tenants/0/waf/rule_set", "own")
            .set("/tenants/0/routes/0/id", format!("route-{number}"))
    }

    /// Documents that must be refused.
    fn faulty(&self, number: usize) -> String {
        let sound = self.document(number);
        match number % 5 {
            0 => "{".to_owned(),
            1 => sound.set("/tenants/0/routes/0/pool", "nowhere").text(),
            2 => sound.set("/tenants/0/waf/rules", json!(["missing.conf"])).text(),
            3 => sound
                .set("/tenants/0/tls/certificates/0/cert_file", "missing.pem")
                .text(),
            _ => {
                let taken = self.origins[0].address().to_string();
                sound
                    .set("/listeners/-", json!({ "id": "taken", "address": taken }))
                    .text()
            }
        }
    }
}

fn agrees(target: &str, answer: &weir_tests::load::Answer) -> Result<(), String> {
    let number = answer.policy.split_once("q=").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()
    });
    let parity = number.ok_or_else(|| format!("no quota: {answer:?}"))? % 2;
    let refused = target.ends_with(&format!("probe={parity}"));
    let expected = if refused { 403 } else { 200 };
    let sound = answer.status == expected && (refused || answer.body == ["even", "odd"][parity]);
    sound
        .then_some(())
        .ok_or_else(|| format!("two versions in one answer to {target}: {answer:?}"))
}

#[test]
fn no_request_fails_or_sees_two_versions_while_documents_change() {
    let authority = Authority::new("test authority");
    let versions = Versions::new(&authority);
    let files = versions.files();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let weir = Weir::start_with_files(&versions.document(0), &files);
    let plan = Plan {
        web: weir.address("web"),
        websecure: weir.address("websecure"),
        targets: &["/", "/?probe=0", "/?probe=1"],
        judge: agrees,
    };
    let load = Load::start(&plan, &authority);
    let client = weir_tests::tls::Client::trusting(&authority, &["http/1.1"]);
    for number in 1..=20 {
        let generation = weir.reload(&versions.document(number))["generation"].clone();
        let served = client.connect(plan.websecure, "acme.test").unwrap();
        assert_eq!(
            served.conn.peer_certificates().unwrap()[0],
            versions.certificates[number % 2].cert
        );
        let refused = weir.admin_post("/reload", &versions.faulty(number));
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains("message"), "{}", refused.text());
        assert_eq!(weir.admin_get("/config").json()["generation"], generation);
        load.wait_answers(100);
    }
    println!("answers over twenty reloads: {:?}", load.finish());
}

#[test]
fn a_bad_document_does_not_start_and_says_why() {
    let origin = Origin::start();
    let (status, log) =
        Weir::refused(&Config::with_origin(origin.address()).set("/tenants/0/tier", "no-such-tier"));
    assert!(!status.success());
    assert!(log.contains("no-such-tier"), "{log}");
}
