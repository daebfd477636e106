//! The stages in their order, without a socket.

use std::num::NonZeroU32;
use std::path::PathBuf;

use weir_rules::{Disk, Source};
use weir_schema::config::checked::{CheckedConfig, WafMode};
use weir_schema::config::{Document, check};
use weir_schema::ids::TenantId;

use super::*;
use crate::limit::{InFlight, TenantLimits};
use crate::policy::TenantPolicy;
use crate::route::RouteTable;

/// Two tenants: `shop` with one limit and one path, `closed` that moved away.
const DOCUMENT: &str = r#"
version: 1
regions: [{ id: local }, { id: west, ingress: "https://west.example.net" }]
trust: { proxies: ["10.0.0.0/8"] }
pools: [{ id: app, endpoints: ["127.0.0.1:9"] }]
tenants:
  - id: shop
    hosts: [shop.test]
    limits: { tenant: { requests: 2, window_ms: 60000 }, in_flight_max: 1 }
    routes: [{ id: api, path_prefix: /api, pool: app }]
  - id: moved
    hosts: [moved.test]
    state: migrating
    migrate_to: west
"#;

/// Refuses what names `attack`, wherever it is.
const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS "@contains attack" "id:1,phase:2,deny,status:403,log,msg:'named'"
SecRule REQUEST_URI "@contains evil" "id:2,phase:1,deny,status:403,log,msg:'uri'"
"#;

struct NoClaims;

impl ClaimVerifier for NoClaims {
    fn claim(&self, _: &weir_schema::config::checked::KeySource, _: &[u8]) -> Option<String> {
        None
    }
}

#[derive(Default)]
struct Seen(Vec<&'static str>);

impl Observer<Arc<TenantPolicy>> for Seen {
    fn resolved(&mut self, _: &Arc<TenantPolicy>) {
        self.0.push("resolved");
    }

    fn located(&mut self, _: IpAddr, _: &Place) {
        self.0.push("located");
    }

    fn limited(&mut self, _: &[Check<'_>], _: &Admission, _: &Arc<[u8]>) {
        self.0.push("limited");
    }

    fn screened(&mut self) {
        self.0.push("screened");
    }

    fn routed(&mut self, _: &Arc<TenantPolicy>, _: usize, _: &Route) {
        self.0.push("routed");
    }
}

impl HasPolicy for TenantPolicy {
    fn policy(&self) -> &TenantPolicy {
        self
    }
}

struct World {
    config: CheckedConfig,
    hosts: HostTable<Owner<Arc<TenantPolicy>>>,
    table: Table,
}

impl World {
    fn new(waf: WafMode) -> Self {
        let document = Document {
            name: "test".to_owned(),
            base: PathBuf::from("."),
            text: DOCUMENT.to_owned(),
        };
        let config = check(&document).unwrap();
        let source = Source {
            path: PathBuf::from("rules.conf"),
            text: RULES.to_owned(),
        };
        let rules = weir_rules::compile(&[source], &Disk).unwrap().rules;
        let policies = config.tenants.iter().map(|tenant| {
            let mut tenant = (**tenant).clone();
            tenant.waf.mode = waf;
            let policy = TenantPolicy {
                rules: (waf != WafMode::Off).then(|| Arc::clone(&rules)),
                collections: Arc::default(),
                routes: RouteTable::build(&tenant.routes),
                limits: TenantLimits::new(&tenant, None),
                in_flight: Arc::new(InFlight::default()),
                tenant: Arc::new(tenant),
            };
            (policy.tenant.hosts[0].clone(), Owner::Tenant(Arc::new(policy)))
        });
        let hosts = policies.chain([("broken.test".to_owned(), Owner::Quarantined)]);
        Self {
            hosts: HostTable::build(hosts.collect::<Vec<_>>()),
            config,
            table: Table::new(64),
        }
    }

    /// Runs all stages; gives the refusal's code, or `forward`, and what was seen on the way.
    fn ask(&self, host: &str, target: &str, body: &str, sni: Option<&str>) -> (String, Vec<&'static str>) {
        let (result, seen) = self.cleared(host, target, body, sni);
        let told = match result {
            Ok(_) => "forward".to_owned(),
            Err(refusal) => refusal.code.as_str().to_owned(),
        };
        (told, seen)
    }

    fn cleared(
        &self,
        host: &str,
        target: &str,
        body: &str,
        sni: Option<&str>,
    ) -> (Result<Cleared<Arc<TenantPolicy>>, Stop>, Vec<&'static str>) {
        let sni = sni.map(|id| TenantId::new(id).unwrap());
        let connection = ConnectionView {
            peer: "192.0.2.1:5000".parse().unwrap(),
            local: "192.0.2.9:443".parse().unwrap(),
            sni_tenant: sni.as_ref(),
        };
        let fields: [crate::Field<'_>; 2] = [
            (b"host", host.as_bytes()),
            (b"content-type", b"application/x-www-form-urlencoded"),
        ];
        let request = RequestView {
            protocol: weir_schema::telemetry::record::Protocol::Http11,
            method: b"POST",
            target: target.as_bytes(),
            path_and_query: target.as_bytes(),
            host: host.as_bytes(),
            fields: &fields,
            upgrade: false,
        };
        let moment = Moment {
            now_ns: 1 << 40,
            unix_ms: 1,
            clock_unix_ms: || 1,
            request_id: 7,
        };
        let edge = Edge {
            client: &self.config.client,
            hosts: &self.hosts,
            regions: &self.config.regions,
            trust: &self.config.trust,
            geo: None,
            limits: &self.table,
            claims: &NoClaims,
            switches: None,
            charge: true,
        };
        let (mut seen, mut screening) = (Seen::default(), Screening::default());
        let routed = decide(&edge, &connection, &request, &moment, &mut screening, &mut seen);
        let cleared =
            routed.and_then(|routed| routed.judge_body(body.as_bytes(), true, &mut screening, &mut seen));
        (cleared, seen.0)
    }
}

#[test]
fn a_good_request_passes_every_stage_in_order() {
    let world = World::new(WafMode::Block);
    let (told, seen) = world.ask("shop.test", "/api/x", "a=b", None);
    assert_eq!(told, "forward");
    assert_eq!(
        seen,
        ["resolved", "located", "limited", "screened", "routed", "screened"]
    );
}

#[test]
fn each_stage_refuses_before_the_next_one_looks() {
    let world = World::new(WafMode::Block);
    let (told, seen) = world.ask("nobody.test", "/api", "", None);
    assert_eq!((told.as_str(), seen.len()), ("unknown_host", 0));
    let (told, seen) = world.ask("broken.test", "/api", "", None);
    assert_eq!((told.as_str(), seen.len()), ("tenant_quarantined", 0));
    let (told, seen) = world.ask("shop.test", "/api", "", Some("moved"));
    assert_eq!(
        (told.as_str(), seen.as_slice()),
        ("host_mismatch", &["resolved"][..])
    );
    let (told, seen) = world.ask("shop.test", "/api/evil", "", None);
    assert_eq!((told.as_str(), seen.last()), ("waf_blocked", Some(&"screened")));
    let (told, seen) = world.ask("shop.test", "/elsewhere", "", None);
    assert_eq!((told.as_str(), seen.last()), ("no_route", Some(&"screened")));
    // Both were admitted, and charged: the third is over the limit, and no rule looks at it.
    let (told, seen) = world.ask("shop.test", "/api/evil", "", None);
    assert_eq!((told.as_str(), seen.last()), ("limit_tenant", Some(&"limited")));
}

#[test]
fn a_body_is_judged_after_the_route_and_only_while_the_rules_are_on() {
    let (told, seen) = World::new(WafMode::Block).ask("shop.test", "/api", "q=attack", None);
    assert_eq!((told.as_str(), seen.last()), ("waf_blocked", Some(&"screened")));
    let (told, _) = World::new(WafMode::Detect).ask("shop.test", "/api", "q=attack", None);
    assert_eq!(told, "forward");
    let (told, seen) = World::new(WafMode::Off).ask("shop.test", "/api", "q=attack", None);
    assert_eq!((told.as_str(), seen.last()), ("forward", Some(&"routed")));
}

#[test]
fn a_place_in_flight_is_held_until_the_request_ends() {
    let world = World::new(WafMode::Off);
    let (first, _) = world.cleared("shop.test", "/api", "", None);
    assert!(first.is_ok());
    assert_eq!(world.ask("shop.test", "/api", "", None).0, "in_flight_limit");
    drop(first);
    let limit = first_policy(&world).tenant.limits.in_flight_max;
    assert_eq!(limit, NonZeroU32::new(1));
    assert_eq!(first_policy(&world).in_flight.now(), 0);
}

fn first_policy(world: &World) -> &TenantPolicy {
    match world.hosts.lookup(b"shop.test") {
        Some(Owner::Tenant(tenant)) => tenant,
        _ => panic!("shop.test has a tenant"),
    }
}

#[test]
fn a_tenant_that_moved_says_where() {
    let world = World::new(WafMode::Off);
    let (refused, _) = world.cleared("moved.test", "/a?b=c", "", None);
    let refusal = refused.err().unwrap();
    assert_eq!(refusal.status, 307);
    assert_eq!(
        refusal.location.as_deref(),
        Some("https://west.example.net/a?b=c")
    );
}
