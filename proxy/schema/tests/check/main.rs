//! Documents in, configurations or all their faults out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod faults;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use faults::FAULTS;
use weir_schema::config::checked::{CheckedConfig, PathMatch, WafMode};
use weir_schema::config::{self, ConfigError, Document};

fn check(text: &str) -> Result<CheckedConfig, Vec<ConfigError>> {
    let document = Document {
        name: "weir.yaml".to_owned(),
        base: PathBuf::from("/etc/weir"),
        text: text.to_owned(),
    };
    config::check(&document)
}

#[track_caller]
fn sound(text: &str) -> CheckedConfig {
    check(text).unwrap_or_else(|errors| {
        panic!(
            "{}",
            errors
                .iter()
                .map(|e| e.display("weir.yaml"))
                .collect::<Vec<_>>()
                .join("\n")
        )
    })
}

const POOL: &str = "version: 1\npools: [{ id: app, endpoints: ['127.0.0.1:9000'] }]\n";

#[test]
fn each_fault_tells_its_place_and_what_would_be_valid() {
    let mut wrong = Vec::new();
    for (tail, code, pointer, line, column, hint) in FAULTS {
        let errors = check(&format!("{POOL}{tail}\n")).err().unwrap_or_default();
        let place = (Some(*line), Some(*column));
        let right = match errors.as_slice() {
            [error] => {
                (error.code, error.pointer.as_str(), (error.line, error.column)) == (*code, *pointer, place)
                    && error.hint.as_ref().is_some_and(|text| text.contains(hint))
            }
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{tail}\n  want {line}:{column}: {pointer}: {code} ({hint})\n  have {errors:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_fault_of_a_pool_tells_its_place() {
    let table = [
        ("endpoints: []", "out_of_range", "/pools/0/endpoints", "1 to 1000"),
        (
            "endpoints: ['a:0']",
            "invalid_value",
            "/pools/0/endpoints/0",
            "1 to 65535",
        ),
        (
            "endpoints: ['a:1', { address: 'a:1' }]",
            "duplicate_address",
            "/pools/0/endpoints/1/address",
            "weight",
        ),
        (
            "endpoints: [{ address: 'a:1', weight: 0 }]",
            "out_of_range",
            "/pools/0/endpoints/0/weight",
            "1 to 1000",
        ),
        (
            "endpoints: ['a:1'], tls: { server_name: '' }",
            "invalid_value",
            "/pools/0/tls/server_name",
            "certificate",
        ),
        (
            "endpoints: ['a:1'], tls: {}",
            "missing_key",
            "/pools/0/tls",
            "server_name",
        ),
        (
            "endpoints: ['a:1'], protocol: h3",
            "unknown_value",
            "/pools/0/protocol",
            "`h1`",
        ),
        (
            "endpoints: ['a:1'], connect_timeout_ms: 5000",
            "conflict",
            "/pools/0/connect_timeout_ms",
            "connect_total_timeout_ms",
        ),
        (
            "endpoints: ['a:1'], retry: { backoff_base_ms: 900 }",
            "conflict",
            "/pools/0/retry/backoff_base_ms",
            "backoff_max_ms",
        ),
        (
            "endpoints: ['a:1'], outlier: { ejection_base_ms: 11000 }",
            "conflict",
            "/pools/0/outlier/ejection_base_ms",
            "ejection_max_ms",
        ),
        (
            "endpoints: ['a:1'], health: { path: x }",
            "invalid_value",
            "/pools/0/health/path",
            "absolute",
        ),
        (
            "endpoints: ['a:1'], health: { path: /, timeout_ms: 9000 }",
            "conflict",
            "/pools/0/health/timeout_ms",
            "interval_ms",
        ),
        (
            "endpoints: ['a:1'], health: { path: /, status: [399, 200] }",
            "invalid_value",
            "/pools/0/health/status",
            "lowest",
        ),
        (
            "endpoints: ['a:1'], health: { path: /, status: [99, 200] }",
            "out_of_range",
            "/pools/0/health/status/0",
            "100 to 599",
        ),
    ];
    for (tail, code, pointer, hint) in table {
        let errors = check(&format!("version: 1\npools: [{{ id: app, {tail} }}]\n")).expect_err(tail);
        let [error] = errors.as_slice() else {
            panic!("{tail}: {errors:?}")
        };
        assert_eq!(
            (error.code, error.pointer.as_str(), error.line),
            (code, pointer, Some(2)),
            "{tail}: {error}"
        );
        assert!(
            error.hint.as_ref().is_some_and(|text| text.contains(hint)),
            "{tail}: {error}"
        );
    }
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_document() {
    let text = "version: 1\nclient: { idle_timeout_ms: x, zzz: 1 }\npools:\n  - { id: app, endpoints: 5 }\n  - { id: other, endpoints: ['a'] }\n\
                tenants:\n  - { id: a, hosts: [a.test], tier: no, routes: [{ id: r, pool: app, path: x }, { id: s, pool: gone }] }\n  - { hosts: [b.test] }\n";
    let errors = check(text).unwrap_err();
    let found: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    let want = [
        "/client/idle_timeout_ms",
        "/client/zzz",
        "/pools/0/endpoints",
        "/pools/1/endpoints/0",
        "/tenants/0/tier",
        "/tenants/0/routes/0/path",
        "/tenants/0/routes/1/pool",
        "/tenants/1",
    ];
    assert_eq!(found, want);
    assert!(
        errors[0]
            .display("weir.yaml")
            .starts_with("weir.yaml:2:28: /client/idle_timeout_ms: this is text (a whole number"),
        "{}",
        errors[0].display("weir.yaml")
    );
}

#[test]
fn yaml_and_json_give_the_same_configuration() {
    let yaml = "version: 1\nnode:\n  workers: 2\npools:\n- id: app\n  endpoints: [a:80]\ntenants:\n- {id: t, hosts: [\"\\U0001F600x\"]}\n".replace("\\U0001F600x", "t.test");
    let json = "{\n\t\"tenants\": [{\"hosts\": [\"t.test\"], \"id\": \"t\"}], \"version\": 1,\n\t\"pools\": [{\"id\": \"app\", \"endpoints\": [\"a:80\"]}], \"node\": {\"workers\": 2}}";
    assert_eq!(sound(&yaml), sound(json));
    assert_eq!(sound(json).digest.len(), 64);
    assert_ne!(sound(json).digest, sound("version: 1").digest);
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = sound(&format!(
        "{POOL}tenants: [{{ id: t, hosts: [T.test], routes: [{{ id: r, pool: app }}] }}]"
    ));
    let (pool, tenant) = (&config.pools[0], &config.tenants[0]);
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9901");
    assert_eq!(
        (config.client.header_timeout, config.client.header_bytes_max),
        (Duration::from_secs(10), 32_768)
    );
    assert_eq!(
        (config.client.inspection_bytes_max, config.client.h2.resets_max),
        (268_435_456, 100)
    );
    assert_eq!(
        (config.limits.table_keys, config.limits.headers_always),
        (1_048_576, true)
    );
    assert_eq!(
        (
            pool.connect_timeout,
            pool.retry.retries_max,
            pool.idle_connections_max
        ),
        (Duration::from_secs(1), 2, 256)
    );
    assert_eq!(
        (
            tenant.waf.mode,
            tenant.waf.body_bytes_max,
            tenant.waf.rule_set.as_str()
        ),
        (WafMode::Block, 1 << 20, "baseline")
    );
    assert_eq!(
        (tenant.hosts.as_slice(), &tenant.routes[0].path),
        (&["t.test".to_owned()][..], &PathMatch::Prefix("/".to_owned()))
    );
    assert_eq!(
        (config.regions[0].id.as_str(), config.rule_sets[0].id.as_str()),
        ("local", "baseline")
    );
}

#[test]
fn tenant_keys_override_their_tier_one_by_one() {
    let config = sound(
        "version: 1\ntiers: [{ id: s, limits: { address: { requests: 50 }, tenant: { requests: 500 } }, waf: { mode: detect, rules: [t.conf] } }]\n\
         tenants: [{ id: t, tier: s, hosts: [t.test], limits: { address: { requests: 5, burst: 9 } }, waf: { rules: [] } }]\n",
    );
    let tenant = &config.tenants[0];
    let address = tenant.limits.address.unwrap();
    assert_eq!((address.requests.get(), address.burst.get()), (5, 9));
    assert_eq!(tenant.limits.tenant.unwrap().burst.get(), 500);
    assert_eq!((tenant.waf.mode, tenant.waf.rules.len()), (WafMode::Detect, 0));
}

#[test]
fn tx_variables_of_a_tier_stay_unless_the_tenant_names_them() {
    let config = sound(
        "version: 1\ntiers: [{ id: s, waf: { paranoia: 2, inbound_threshold: 9, exclusions: [{ id: 7 }] } }]\n\
         tenants: [{ id: t, tier: s, hosts: [t.test], waf: { paranoia: 1, tx: [{ name: detection_paranoia_level, value: \"3\" }] } }]\n",
    );
    let waf = &config.tenants[0].waf;
    let mut tx: Vec<_> = waf
        .tx
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    tx.sort_unstable();
    assert_eq!(
        tx,
        [
            ("blocking_paranoia_level", "1"),
            ("detection_paranoia_level", "3"),
            ("inbound_anomaly_score_threshold", "9")
        ]
    );
    assert_eq!(waf.exclusions.len(), 1);
}

#[test]
fn quarantine_sets_only_the_faulty_tenant_aside() {
    let tail = "tenants:\n  - { id: bad, hosts: [bad.test], routes: [{ id: r, pool: gone }] }\n  - { id: good, hosts: [good.test] }\n";
    assert!(check(&format!("{POOL}{tail}")).is_err());
    let config = sound(&format!("{POOL}tenant_errors: quarantine\n{tail}"));
    assert_eq!(
        config
            .tenants
            .iter()
            .map(|tenant| tenant.id.as_str())
            .collect::<Vec<_>>(),
        ["good"]
    );
    let aside = &config.quarantined[0];
    assert_eq!(
        (aside.id.as_ref().unwrap().as_str(), aside.hosts.as_slice()),
        ("bad", &["bad.test".to_owned()][..])
    );
    assert!(
        aside.reasons[0].contains("there is no pool `gone`"),
        "{:?}",
        aside.reasons
    );
    assert!(
        check(&format!("{POOL}tenant_errors: quarantine\nzzz: 1\n{tail}")).is_err(),
        "a shared fault refuses"
    );
    let twice = "tenants: [{ id: a, hosts: [a.test] }, { id: b, hosts: [a.test] }]\n";
    assert!(
        check(&format!("{POOL}tenant_errors: quarantine\n{twice}")).is_err(),
        "a host of two tenants is nobody's alone"
    );
}

#[test]
fn hostile_documents_are_refused_early() {
    let bomb = format!(
        "version: 1\na: &a [{}]\nb: &b [{}]\nc: [{}]\n",
        "x,".repeat(100),
        "*a,".repeat(100),
        "*b,".repeat(100)
    );
    let wide: String = (0..2000).map(|key| format!("k{key}: 1\n")).collect();
    let deep = format!("version: {}", "[".repeat(5000));
    for (text, code) in [
        (bomb.as_str(), "alias_limit"),
        (&deep, "syntax"),
        (&wide, "too_large"),
        ("", "syntax"),
        ("---\na: 1\n---\nb: 1\n", "syntax"),
        ("a: !!str 1", "syntax"),
        ("[a: b: c", "syntax"),
    ] {
        let errors = check(text).unwrap_err();
        assert_eq!(errors[0].code, code, "{:?}", errors[0]);
    }
}

#[test]
fn relative_paths_are_the_documents() {
    let config = sound("version: 1\ngeo: { country_database: c.mmdb, asn_database: /a.mmdb }");
    let geo = config.geo.unwrap();
    assert_eq!(
        (geo.country_database, geo.asn_database),
        (Some("/etc/weir/c.mmdb".into()), Some("/a.mmdb".into()))
    );
}

#[test]
fn the_diff_names_items_fields_and_what_needs_a_restart() {
    let old = sound(&format!(
        "{POOL}tenants: [{{ id: a, hosts: [a.test] }}, {{ id: b, hosts: [b.test] }}]"
    ));
    let new = sound(&format!(
        "{POOL}node: {{ workers: 3 }}\nlimits: {{ table_keys: 2048, headers_always: false }}\ntenants: [{{ id: a, hosts: [a.test], state: suspended }}, {{ id: c, hosts: [c.test] }}]"
    ));
    let diff = config::diff(&old, &new);
    assert_eq!(diff.restart_keys, ["node.workers", "limits.table_keys"]);
    let text = diff.to_string();
    for line in [
        "~ tenant a\n    /state: \"active\" -> \"suspended\"",
        "- tenant b",
        "+ tenant c",
        "! node.workers changes only after a restart",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(config::diff(&old, &old).is_empty());
}

#[test]
fn the_example_is_sound() {
    let config = sound(config::example());
    assert_eq!(
        (
            config.listeners.len(),
            config.tenants.len(),
            config.quarantined.len()
        ),
        (1, 2, 0)
    );
}

#[test]
fn the_published_schema_takes_no_null_and_describes_each_key() {
    fn walk(schema: &serde_json::Value, path: &str) {
        if let Some(properties) = schema.get("properties").and_then(|p| p.as_object()) {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            for (name, property) in properties {
                assert!(property.get("description").is_some(), "{path}/{name}: {property}");
            }
        }
        assert_ne!(schema.get("type"), Some(&serde_json::json!("null")), "{path}");
        match schema {
            serde_json::Value::Object(map) => map
                .iter()
                .for_each(|(name, value)| walk(value, &format!("{path}/{name}"))),
            serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, path)),
            _ => {}
        }
    }
    let schema = config::json_schema();
    walk(&schema, "");
    assert_eq!(
        schema["$defs"]["RawClient"]["properties"]["idle_timeout_ms"]["maximum"],
        86_400_000
    );
    assert_eq!(
        schema["$defs"]["RawClient"]["properties"]["idle_timeout_ms"]["default"],
        60_000
    );
}

#[test]
fn ten_thousand_tenants_are_checked_in_time() {
    let mut text = POOL.to_owned() + "tenants:\n";
    for i in 0..10_000 {
        text += &format!(
            "  - id: t{i}\n    hosts: [t{i}.test, \"*.t{i}.test\"]\n    limits: {{ address: {{ requests: 5 }} }}\n    routes:\n      - {{ id: r, pool: app }}\n"
        );
    }
    let start = Instant::now();
    assert_eq!(sound(&text).tenants.len(), 10_000);
    let took = start.elapsed();
    println!("10,000 tenants, {} bytes: {took:?}", text.len());
    // Far above what an unoptimised build needs; it catches only a check that is not linear.
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_flood_of_faults_is_cut_and_counted() {
    let tenant = format!(
        "- {{ id: 'x y', hosts: [a.test], {} }}\n",
        (0..200)
            .map(|k| format!("k{k}: 1"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let errors = check(&format!(
        "{POOL}tenant_errors: quarantine\ntenants:\n{}",
        tenant.repeat(100)
    ))
    .unwrap_err();
    assert_eq!((errors.len(), errors[10_000].code), (10_001, "too_many_errors"));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}", cut in 0usize..3000, drop in 0usize..40) {
        let _answer = check(&text);
        let example = config::example().replace("# ", "");
        let mut bytes: Vec<char> = example.chars().collect();
        let from = cut.min(bytes.len());
        let to = (from + drop).min(bytes.len());
        bytes.splice(from..to, text.chars());
        if let Err(errors) = check(&bytes.into_iter().collect::<String>()) {
            proptest::prop_assert!(!errors.is_empty());
            proptest::prop_assert!(errors.iter().all(|error| !error.display("x").is_empty()));
        }
    }
}
