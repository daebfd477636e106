//! Configuration by push: what proxies take from control, what they refuse, and that they serve without it.

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::control::Control;
use weir_tests::h1::H1;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

struct Fleet {
    origin: Origin,
    control: Control,
}

impl Fleet {
    fn start() -> Self {
        Self {
            origin: Origin::start(),
            control: Control::start(),
        }
    }

    fn edge(&self) -> Value {
        json!({
            "version": 1,
            "node": { "workers": 1 },
            "regions": [ { "id": "eu" }, { "id": "us" } ],
            "listeners": [ { "id": "web", "address": "127.0.0.1:0" } ],
            "pools": [ { "id": "app", "endpoints": [ self.origin.address().to_string() ] } ],
        })
    }
}

fn tenant(id: &str, host: &str, state: &str) -> Value {
    json!({ "tenant": { "id": id, "hosts": [host], "state": state, "routes": [ { "id": "all", "pool": "app" } ] } })
}

fn status(weir: &Weir, host: &str, target: &str) -> u16 {
    let mut client = H1::connect(weir.address("web"));
    client
        .roundtrip(format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .status
}

#[test]
fn a_proxy_joins_serves_what_is_pushed_and_goes_on_without_control() {
    let fleet = Fleet::start();
    let control = fleet.control;
    let state = TempDir::new().unwrap();
    let token = control.join("eu-1", "eu");
    let mut weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    assert_eq!(weir.admin_get("/readyz").status, 503, "nothing to serve yet");
    let edge = json!({
        "version": 1,
        "node": { "workers": 1 },
        "regions": [ { "id": "eu" }, { "id": "us" } ],
        "listeners": [ { "id": "web", "address": "127.0.0.1:0" } ],
        "pools": [ { "id": "app", "endpoints": [ fleet.origin.address().to_string() ] } ],
    });
    let first = control.apply(&[("edge", edge), ("tenants/a", tenant("a", "a.test", "active"))]);
    control.wait_served("eu-1", first);
    assert_eq!(status(&weir, "a.test", "/"), 200);
    assert_eq!(weir.admin_get("/readyz").status, 200);
    let second = control.apply(&[
        ("tenants/b", tenant("b", "b.test", "active")),
        ("tenants/a", Value::Null),
    ]);
    control.wait_served("eu-1", second);
    assert_eq!(
        (status(&weir, "a.test", "/"), status(&weir, "b.test", "/")),
        (404, 200)
    );
    assert_eq!(
        control.proxy("eu-1").fetched_bytes,
        0,
        "small objects travel with their version"
    );
    assert!((weir.metric("weir_control_revision") - second as f64).abs() < 0.5);

    let folder = control.end();
    assert_eq!(status(&weir, "b.test", "/"), 200, "without control");
    weir.kill();
    let weir = Weir::start_controlled("https://127.0.0.1:1", &token, state.path(), &[]);
    assert_eq!(status(&weir, "b.test", "/"), 200, "started again without control");
    drop(weir);

    let control = Control::start_in(folder, true, 0);
    let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    control.wait_served("eu-1", second);
    let report = weir.admin_get("/control").json();
    assert_eq!(report["connected"], true, "{report}");
    let third = control.apply(&[("tenants/c", tenant("c", "c.test", "suspended"))]);
    control.wait_served("eu-1", third);
    assert_eq!(status(&weir, "c.test", "/"), 403);
}

#[test]
fn files_of_a_version_are_rules_and_certificates_and_change_with_it() {
    let fleet = Fleet::start();
    let control = &fleet.control;
    let state = TempDir::new().unwrap();
    let token = control.join("eu-1", "eu");
    let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    let rule = |word: &str| {
        json!(format!(
            "SecRule ARGS \"@streq {word}\" \"id:1,phase:2,deny,status:403\"\n"
        ))
    };
    let mut edge = fleet.edge();
    edge["rule_sets"] = json!([ { "id": "own", "files": ["rules/own.conf"] } ]);
    let mut a = tenant("a", "a.test", "active");
    a["tenant"]["waf"] = json!({ "rule_set": "own", "mode": "block" });
    let one = control.apply(&[
        ("edge", edge),
        ("tenants/a", a),
        ("files/rules/own.conf", rule("bad")),
    ]);
    control.wait_served("eu-1", one);
    assert_eq!(
        (
            status(&weir, "a.test", "/?x=bad"),
            status(&weir, "a.test", "/?x=evil")
        ),
        (403, 200)
    );
    let two = control.apply(&[("files/rules/own.conf", rule("evil"))]);
    control.wait_served("eu-1", two);
    assert_eq!(
        (
            status(&weir, "a.test", "/?x=bad"),
            status(&weir, "a.test", "/?x=evil")
        ),
        (200, 403)
    );
    let refused = control.try_apply(&[(
        "files/rules/own.conf",
        json!("SecRule NOTHING \"@streq x\" \"id:1\""),
    )]);
    assert!(refused.is_err());
    assert_eq!(status(&weir, "a.test", "/?x=evil"), 403, "nothing was published");
    let kept = std::fs::metadata(state.path().join("pushed"))
        .unwrap()
        .permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&kept) & 0o777, 0o700);
}

#[test]
fn what_a_proxy_cannot_serve_it_refuses_with_reasons_and_serves_on() {
    let origin = Origin::start();
    let control = Control::start_blind();
    let fleet = Fleet { origin, control };
    let control = &fleet.control;
    let state = TempDir::new().unwrap();
    let token = control.join("eu-1", "eu");
    let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    let good = control.apply(&[
        ("edge", fleet.edge()),
        ("tenants/a", tenant("a", "a.test", "active")),
    ]);
    control.wait_served("eu-1", good);
    let mut bad = tenant("b", "b.test", "active");
    bad["tenant"]["routes"][0]["pool"] = json!("no-such-pool");
    let revision = control.apply(&[("tenants/b", bad)]);
    let refused = wait_for("a refusal", || control.proxy("eu-1").refused);
    assert_eq!(refused.revision, revision);
    let reasons = control.proxy("eu-1").reasons;
    assert!(json!(reasons).to_string().contains("no-such-pool"), "{reasons:?}");
    assert!(json!(reasons).to_string().contains("/tenants/b/"), "{reasons:?}");
    assert_eq!(status(&weir, "a.test", "/"), 200);
    assert!((weir.metric("weir_control_versions_refused_total") - 1.0).abs() < 0.5);
    let mended = control.apply(&[("tenants/b", tenant("b", "b.test", "active"))]);
    control.wait_served("eu-1", mended);
    assert_eq!(status(&weir, "b.test", "/"), 200);
    assert_eq!(control.proxy("eu-1").refused, None);
}

#[test]
fn a_proxy_believes_only_its_own_control() {
    let fleet = Fleet::start();
    let foreign = Fleet::start();
    let control = &fleet.control;
    let revision = control.apply(&[
        ("edge", fleet.edge()),
        ("tenants/a", tenant("a", "a.test", "active")),
    ]);
    foreign.control.apply(&[
        ("edge", foreign.edge()),
        ("tenants/a", tenant("a", "a.test", "suspended")),
    ]);
    let state = TempDir::new().unwrap();
    let token = control.join("eu-1", "eu");
    let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    control.wait_served("eu-1", revision);
    drop(weir);
    // Another control has another certificate, another deployment and other keys.
    let weir = Weir::start_controlled(&foreign.control.url(), &token, state.path(), &[]);
    let error = wait_for("a refusal", || {
        let report = weir.admin_get("/control").json();
        report["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(status(&weir, "a.test", "/"), 200);
    // A token that was never given, or has a wrong secret, opens nothing.
    let mut forged = weir_schema::push::JoinToken::decode(&token).unwrap();
    forged.secret.push('x');
    let other = TempDir::new().unwrap();
    let weir = Weir::start_controlled(&control.url(), &forged.encode(), other.path(), &[]);
    let error = wait_for("a refusal", || {
        let report = weir.admin_get("/control").json();
        report["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("401"), "{error}");
}

/// Requests per tenant that control has counted.
fn counted(control: &Control, tenant: &str) -> u64 {
    let query = weir_control::store::RollupQuery {
        series: "usage.day".to_owned(),
        key: None,
        since_ms: 0,
        until_ms: u64::from(u32::MAX) * 1000,
        after: None,
        limit: 1000,
    };
    let rows = control.store.rollups(&query).unwrap();
    let own = rows
        .iter()
        .filter(|row| row.key.split('/').next() == Some(tenant));
    own.map(|row| weir_control::collect::Usage::from_values(&row.values).requests)
        .sum()
}

#[test]
fn usage_is_counted_once_whatever_crashes() {
    let fleet = Fleet::start();
    let mut edge = fleet.edge();
    edge["observability"] = json!({ "access_log": { "file": "access.log" } });
    let Fleet {
        control,
        origin: _origin,
    } = fleet;
    let state = TempDir::new().unwrap();
    let token = control.join("eu-1", "eu");
    let first = control.apply(&[
        ("edge", edge),
        ("tenants/a", tenant("a", "a.test", "active")),
        ("tenants/b", tenant("b", "b.test", "active")),
    ]);
    let mut weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    control.wait_served("eu-1", first);
    let send = |weir: &Weir, count: usize| {
        let mut client = H1::connect(weir.address("web"));
        for place in 0..count {
            let host = if place % 3 == 0 { "b.test" } else { "a.test" };
            client.roundtrip(format!("GET /?n={place} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
    };
    send(&weir, 300);
    wait_for("the first requests to be counted", || {
        (counted(&control, "a") == 200).then_some(())
    });
    // Control is away for a while: frames wait on the proxy's disk, and outlive the proxy.
    let folder = control.end();
    send(&weir, 90);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    weir.kill();
    let control = Control::start_in(folder, true, 0);
    let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
    send(&weir, 30);
    let all = || (counted(&control, "a"), counted(&control, "b"));
    wait_for("all requests to be counted", || {
        (all() == (280, 140)).then_some(())
    });
    // Nothing comes twice.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(all(), (280, 140));
    let log = std::fs::read_to_string(state.path().join("access.log")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("\"tenant\":\"a\""))
        .count();
    assert!(lines >= 280, "the access log has {lines} lines of a");
}
