//! Tenants, with their tiers merged in, and rule sets.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use super::super::checked::*;
use super::super::error::At;
use super::super::raw::*;
use super::edge::{ms, rate};
use super::{Kind, Scope, overlay, text};
use crate::config::rule::shown;
use crate::ids::{PoolId, RegionId, RouteId, RuleSetId, TenantId, TierId};

/// Body bytes that are judged when neither tenant nor tier says.
const BODY_BYTES_DEFAULT: u64 = 1 << 20;
/// Bytes of a response body that are held and judged (the engines' recommended `SecResponseBodyLimit`).
const RESPONSE_BYTES_DEFAULT: u64 = 512 << 10;
/// Most hosts of a document.
const HOSTS_MAX: usize = 1_000_000;

pub(super) fn rule_sets(raw: &List<RawRuleSet>, scope: &mut Scope<'_>) -> Vec<RuleSet> {
    let (mut ids, mut sets) = (HashMap::new(), Vec::new());
    let list = At::Root.key("rule_sets");
    for (place, one) in raw.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &one.id, place, &at);
        let files = one.files.iter().map(|(_, file)| scope.path(file)).collect();
        if let Some(id) = scope.id(&one.id, &at.key("id"), RuleSetId::new) {
            sets.push(RuleSet {
                id,
                source: RuleSetSource::Files(files),
            });
        }
    }
    if !ids.contains_key("baseline") {
        sets.extend(RuleSetId::new("baseline").map(|id| RuleSet {
            id,
            source: RuleSetSource::Baseline,
        }));
    }
    sets
}

/// What tenants and tiers both can say; `None` is not said.
#[derive(Clone, Default)]
struct Policies {
    countries_allow: Option<Vec<[u8; 2]>>,
    countries_deny: Option<Vec<[u8; 2]>>,
    continents_allow: Option<Vec<[u8; 2]>>,
    continents_deny: Option<Vec<[u8; 2]>>,
    asns_allow: Option<Vec<u32>>,
    asns_deny: Option<Vec<u32>>,
    unknown: Option<RawUnknown>,
    address: Option<Rate>,
    keys: Option<Vec<KeyLimit>>,
    tenant: Option<Rate>,
    in_flight_max: Option<NonZeroU32>,
    mode: Option<RawWafMode>,
    rule_set: Option<RuleSetId>,
    rules: Option<Vec<std::path::PathBuf>>,
    rules_before: Option<Vec<std::path::PathBuf>>,
    tx: Vec<(String, String)>,
    exclusions: Option<Vec<Exclusion>>,
    body_bytes_max: Option<u64>,
    body_over_limit: Option<RawOverLimit>,
    unreadable: Option<RawUnreadable>,
    response_bytes_max: Option<u64>,
}

impl Policies {
    /// Own keys, checked; `base` answers where there are none.
    fn read(
        raw: (&RawGeoPolicy, &RawLimits, &RawWaf),
        base: &Self,
        document: &RawConfig,
        at: &At<'_>,
        scope: &mut Scope<'_>,
    ) -> Self {
        let (geo, limits, waf) = raw;
        let place = at.key("geo");
        geo_needs_databases(geo, document, &place, scope);
        let countries =
            |list: &Option<List<String>>, name: &str, base: &Option<Vec<[u8; 2]>>, scope: &mut Scope<'_>| {
                list.as_ref()
                    .map(|list| countries(list, &place.key(name), scope))
                    .or_else(|| base.clone())
            };
        let continents = |list: &Option<List<RawContinent>>, base: &Option<Vec<[u8; 2]>>| {
            list.as_ref()
                .map(|list| list.iter().map(|(_, one)| one.code()).collect())
                .or_else(|| base.clone())
        };
        let asns = |list: &Option<List<u32>>, base: &Option<Vec<u32>>| {
            list.as_ref()
                .map(|list| list.iter().map(|(_, one)| *one).collect())
                .or_else(|| base.clone())
        };
        let attacks = at.key("waf");
        if let Some(bytes) = waf
            .body_bytes_max
            .filter(|bytes| *bytes > document.client.inspection_bytes_max)
        {
            let message = format!(
                "{bytes} bytes are more than all of `client.inspection_bytes_max`, {}",
                document.client.inspection_bytes_max
            );
            scope.faults.add(
                &attacks.key("body_bytes_max"),
                "conflict",
                message,
                "a smaller body, or more bytes for inspection".to_owned(),
            );
        }
        let files =
            |list: &Option<List<String>>, base: &Option<Vec<std::path::PathBuf>>, scope: &Scope<'_>| {
                list.as_ref()
                    .map(|list| list.iter().map(|(_, file)| scope.path(file)).collect())
                    .or_else(|| base.clone())
            };
        let rule_set = waf
            .rule_set
            .as_deref()
            .and_then(|id| scope.refer(Kind::RuleSet, id, &attacks.key("rule_set"), RuleSetId::new));
        Self {
            countries_allow: countries(
                &geo.countries_allow,
                "countries_allow",
                &base.countries_allow,
                scope,
            ),
            countries_deny: countries(&geo.countries_deny, "countries_deny", &base.countries_deny, scope),
            continents_allow: continents(&geo.continents_allow, &base.continents_allow),
            continents_deny: continents(&geo.continents_deny, &base.continents_deny),
            asns_allow: asns(&geo.asns_allow, &base.asns_allow),
            asns_deny: asns(&geo.asns_deny, &base.asns_deny),
            unknown: geo.unknown.or(base.unknown),
            address: limits.address.map(rate).or(base.address),
            keys: limits
                .keys
                .as_ref()
                .map(|keys| key_limits(keys, &at.key("limits").key("keys"), scope))
                .or_else(|| base.keys.clone()),
            tenant: limits.tenant.map(rate).or(base.tenant),
            in_flight_max: limits
                .in_flight_max
                .and_then(NonZeroU32::new)
                .or(base.in_flight_max),
            mode: waf.mode.or(base.mode),
            rule_set: rule_set.or_else(|| base.rule_set.clone()),
            rules: files(&waf.rules, &base.rules, scope),
            rules_before: files(&waf.rules_before, &base.rules_before, scope),
            tx: overlay::variables(waf, &base.tx, &attacks, scope),
            exclusions: waf
                .exclusions
                .as_ref()
                .map(|list| overlay::exclusions(list, &attacks.key("exclusions"), scope))
                .or_else(|| base.exclusions.clone()),
            body_bytes_max: waf.body_bytes_max.or(base.body_bytes_max),
            body_over_limit: waf.body_over_limit.or(base.body_over_limit),
            unreadable: waf.unreadable.or(base.unreadable),
            response_bytes_max: waf.response_bytes_max.or(base.response_bytes_max),
        }
    }

    fn waf(&self) -> Option<WafPolicy> {
        Some(WafPolicy {
            mode: self.mode.map_or(WafMode::Block, waf_mode),
            rule_set: self.rule_set.clone().or_else(|| RuleSetId::new("baseline"))?,
            rules: self.rules.clone().unwrap_or_default(),
            rules_before: self.rules_before.clone().unwrap_or_default(),
            tx: self.tx.clone(),
            exclusions: self.exclusions.clone().unwrap_or_default(),
            body_bytes_max: self.body_bytes_max.unwrap_or(BODY_BYTES_DEFAULT),
            body_over_limit: match self.body_over_limit {
                None | Some(RawOverLimit::Refuse) => BodyOverLimit::Refuse,
                Some(RawOverLimit::Stream) => BodyOverLimit::Stream,
            },
            refuse_unreadable: !matches!(self.unreadable, Some(RawUnreadable::Pass)),
            response_bytes_max: self.response_bytes_max.unwrap_or(RESPONSE_BYTES_DEFAULT),
        })
    }

    fn split(self) -> Option<(GeoPolicy, TenantLimits, WafPolicy)> {
        let waf = self.waf()?;
        let geo = GeoPolicy {
            countries_allow: self.countries_allow.unwrap_or_default(),
            countries_deny: self.countries_deny.unwrap_or_default(),
            continents_allow: self.continents_allow.unwrap_or_default(),
            continents_deny: self.continents_deny.unwrap_or_default(),
            asns_allow: self.asns_allow.unwrap_or_default(),
            asns_deny: self.asns_deny.unwrap_or_default(),
            unknown_deny: self.unknown == Some(RawUnknown::Deny),
        };
        let limits = TenantLimits {
            address: self.address,
            keys: self.keys.unwrap_or_default(),
            tenant: self.tenant,
            in_flight_max: self.in_flight_max,
        };
        Some((geo, limits, waf))
    }
}

/// Without its database a list would match nobody and still look like protection.
fn geo_needs_databases(raw: &RawGeoPolicy, document: &RawConfig, at: &At<'_>, scope: &mut Scope<'_>) {
    let some = |list: Option<bool>| list == Some(false);
    let countries = raw.countries_allow.as_ref().map(List::is_empty);
    let denied = raw.countries_deny.as_ref().map(List::is_empty);
    let continents = raw.continents_allow.as_ref().map(List::is_empty);
    let continents_denied = raw.continents_deny.as_ref().map(List::is_empty);
    let places = [
        ("countries_allow", countries),
        ("countries_deny", denied),
        ("continents_allow", continents),
        ("continents_deny", continents_denied),
    ];
    let asns = [
        ("asns_allow", raw.asns_allow.as_ref().map(List::is_empty)),
        ("asns_deny", raw.asns_deny.as_ref().map(List::is_empty)),
    ];
    let geo = document.geo.as_ref();
    let missing =
        |lists: &[(&'static str, Option<bool>)], has: bool, database: &str, scope: &mut Scope<'_>| {
            for (name, _) in lists.iter().filter(|(_, list)| !has && some(*list)) {
                let message = format!("`{name}` has no effect without `geo.{database}`");
                scope.faults.add(
                    &at.key(name),
                    "missing_database",
                    message,
                    format!("set `geo.{database}` at the top of the document"),
                );
            }
        };
    missing(
        &places,
        geo.is_some_and(|geo| geo.country_database.is_some()),
        "country_database",
        scope,
    );
    missing(
        &asns,
        geo.is_some_and(|geo| geo.asn_database.is_some()),
        "asn_database",
        scope,
    );
}

fn countries(raw: &List<String>, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<[u8; 2]> {
    let mut codes = Vec::new();
    for (place, code) in raw.iter() {
        match code.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => codes.push([*a, *b]),
            _ => scope.invalid(
                &at.item(place),
                format!("`{}` is not a country code", shown(code)),
                "two upper-case letters of ISO 3166-1, like `DE`",
            ),
        }
    }
    codes
}

fn key_limits(raw: &List<RawKeyLimit>, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<KeyLimit> {
    let (mut names, mut limits) = (HashSet::new(), Vec::new());
    for (place, one) in raw.iter() {
        let at = at.item(place);
        scope.id(&one.name, &at.key("name"), TierId::new);
        if !names.insert(one.name.as_str()) {
            scope.faults.add(
                &at.key("name"),
                "duplicate_id",
                format!("another key is named `{}`", shown(&one.name)),
                "names are unique in their list".to_owned(),
            );
        }
        if let Some(source) = key_source(one, &at, scope) {
            limits.push(KeyLimit {
                name: one.name.clone(),
                source,
                rate: rate(one.rate),
            });
        }
    }
    limits
}

fn key_source(raw: &RawKeyLimit, at: &At<'_>, scope: &mut Scope<'_>) -> Option<KeySource> {
    for (key, name) in [("header", &raw.header), ("cookie", &raw.cookie)] {
        if let Some(name) = name.as_ref().filter(|name| !text::token(name, 256)) {
            scope.invalid(
                &at.key(key),
                format!("`{}` is not a {key} name", shown(name)),
                "a token: letters, digits and some of !#$%&'*+-.^_`|~",
            );
            return None;
        }
    }
    match (&raw.header, &raw.cookie, &raw.query, &raw.jwt) {
        (Some(name), None, None, None) => Some(KeySource::Header(name.to_ascii_lowercase())),
        (None, Some(name), None, None) => Some(KeySource::Cookie(name.clone())),
        (None, None, Some(name), None) => Some(KeySource::Query(name.clone())),
        (None, None, None, Some(jwt)) => Some(KeySource::JwtClaim {
            claim: jwt.claim.clone(),
            key_file: scope.path(&jwt.key_file),
            algorithm: jwt.algorithm.as_str().to_owned(),
        }),
        _ => {
            scope.faults.add(
                at,
                "conflict",
                "the key's place is not named once",
                "exactly one of `header`, `cookie`, `query` and `jwt`".to_owned(),
            );
            None
        }
    }
}

pub(super) fn tenants(raw: &RawConfig, regions: &[Region], scope: &mut Scope<'_>) -> Vec<Tenant> {
    let none = Policies::default();
    let (mut ids, mut tiers) = (HashMap::new(), HashMap::new());
    let list = At::Root.key("tiers");
    for (place, tier) in raw.tiers.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &tier.id, place, &at);
        scope.id(&tier.id, &at.key("id"), TierId::new);
        let policies = Policies::read((&tier.geo, &tier.limits, &tier.waf), &none, raw, &at, scope);
        tiers.insert(tier.id.as_str(), policies);
    }
    let list = At::Root.key("tenants");
    let mut all = Tenants {
        document: raw,
        regions,
        here: &raw.node.region,
        tiers,
        none,
        hosts: HashMap::new(),
    };
    let (mut ids, mut tenants) = (HashMap::new(), Vec::new());
    for (place, one) in raw.tenants.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &one.id, place, &at);
        tenants.extend(all.tenant(one, &at, scope));
    }
    tenants
}

/// What the checks of tenants share.
struct Tenants<'a> {
    document: &'a RawConfig,
    regions: &'a [Region],
    /// Region of this process.
    here: &'a str,
    tiers: HashMap<&'a str, Policies>,
    none: Policies,
    /// Owner of each host.
    hosts: HashMap<String, String>,
}

impl Tenants<'_> {
    fn tenant(&mut self, raw: &RawTenant, at: &At<'_>, scope: &mut Scope<'_>) -> Option<Tenant> {
        let id = scope.id(&raw.id, &at.key("id"), TenantId::new);
        let tier = raw
            .tier
            .as_deref()
            .and_then(|tier| scope.refer(Kind::Tier, tier, &at.key("tier"), TierId::new));
        let base = tier
            .as_ref()
            .and_then(|tier| self.tiers.get(tier.as_str()))
            .unwrap_or(&self.none);
        let policies = Policies::read((&raw.geo, &raw.limits, &raw.waf), base, self.document, at, scope);
        let state = self.state(raw, at, scope);
        let hosts = self.hosts(raw, &at.key("hosts"), scope);
        let tls = tenant_tls(&raw.tls, &at.key("tls"), scope);
        let routes = routes(&raw.routes, &hosts, &at.key("routes"), scope);
        let (geo, limits, waf) = policies.split()?;
        Some(Tenant {
            id: id?,
            tier,
            state: state?,
            hosts,
            tls,
            geo,
            limits,
            waf,
            routes,
        })
    }

    fn state(&self, raw: &RawTenant, at: &At<'_>, scope: &mut Scope<'_>) -> Option<TenantState> {
        let place = at.key("migrate_to");
        match (raw.state, raw.migrate_to.as_deref()) {
            (RawState::Migrating, None) => {
                scope.faults.add(
                    at,
                    "missing_key",
                    "a migrating tenant needs `migrate_to`",
                    "the id of a region with an `ingress`".to_owned(),
                );
                None
            }
            (RawState::Migrating, Some(region)) => {
                let region = scope.refer(Kind::Region, region, &place, RegionId::new)?;
                if self
                    .regions
                    .iter()
                    .any(|one| one.id == region && one.ingress.is_none())
                {
                    scope.faults.add(
                        &place,
                        "conflict",
                        format!("region `{region}` has no `ingress`"),
                        "a region whose `ingress` is set".to_owned(),
                    );
                }
                // Here it has arrived; only the others send its clients on.
                let here = region.as_str() == self.here;
                Some(if here {
                    TenantState::Active
                } else {
                    TenantState::Migrating { region }
                })
            }
            (_, Some(_)) => {
                scope.faults.add(
                    &place,
                    "conflict",
                    "`migrate_to` has no effect in this state",
                    "`state: migrating`, or leave the key out".to_owned(),
                );
                None
            }
            (RawState::Active, None) => Some(TenantState::Active),
            (RawState::Deleted, None) => Some(TenantState::Deleted),
            (RawState::Pending, None) => Some(TenantState::Pending),
            (RawState::Suspended, None) => Some(TenantState::Suspended),
        }
    }

    fn hosts(&mut self, raw: &RawTenant, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
        let mut hosts = Vec::new();
        for (place, one) in raw.hosts.iter() {
            match text::host(one) {
                Ok(host) => {
                    if self.hosts.len() >= HOSTS_MAX {
                        scope.faults.add_shared(
                            &at.item(place),
                            "out_of_range",
                            "the document has too many hosts",
                            format!("at most {HOSTS_MAX}"),
                        );
                        return hosts;
                    }
                    if let Some(owner) = self.hosts.insert(host.clone(), raw.id.clone()) {
                        let message =
                            format!("the host `{host}` belongs to tenant `{}` already", shown(&owner));
                        scope.faults.add_shared(
                            &at.item(place),
                            "duplicate_host",
                            message,
                            "a host belongs to one tenant, once".to_owned(),
                        );
                    }
                    hosts.push(host);
                }
                Err((message, hint)) => scope.invalid(&at.item(place), message, hint),
            }
        }
        hosts
    }
}

fn tenant_tls(raw: &RawTenantTls, at: &At<'_>, scope: &mut Scope<'_>) -> TenantTls {
    let mut certificates = Vec::new();
    for (_, one) in raw.certificates.iter() {
        certificates.push(CertificateFiles {
            cert_file: scope.path(&one.cert_file),
            key_file: scope.path(&one.key_file),
        });
    }
    let client_auth = raw.client_auth.as_ref().map(|auth| ClientAuth {
        ca_file: scope.path(&auth.ca_file),
        required: auth.required,
    });
    if client_auth.is_some() && raw.certificates.is_empty() {
        scope.faults.add(
            &at.key("client_auth"),
            "conflict",
            "`client_auth` has no effect without `certificates`",
            "a certificate for the tenant's hosts".to_owned(),
        );
    }
    TenantTls {
        certificates,
        client_auth,
    }
}

fn routes(raw: &List<RawRoute>, hosts: &[String], at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Route> {
    let (mut ids, mut routes) = (HashSet::new(), Vec::new());
    let own: HashSet<&str> = hosts.iter().map(String::as_str).collect();
    for (place, one) in raw.iter() {
        let at = at.item(place);
        if !ids.insert(one.id.as_str()) {
            scope.faults.add(
                &at.key("id"),
                "duplicate_id",
                format!("another route of this tenant is `{}`", shown(&one.id)),
                "ids are unique in their tenant".to_owned(),
            );
        }
        routes.extend(route(one, &own, &at, scope));
    }
    routes
}

fn route(raw: &RawRoute, own: &HashSet<&str>, at: &At<'_>, scope: &mut Scope<'_>) -> Option<Route> {
    let id = scope.id(&raw.id, &at.key("id"), RouteId::new);
    let pool = scope.refer(Kind::Pool, &raw.pool, &at.key("pool"), PoolId::new);
    let hosts = route_hosts(raw, own, &at.key("hosts"), scope);
    let path = route_path(raw, at, scope);
    let (mut methods, mut headers) = (Vec::new(), Vec::new());
    for (place, method) in raw.methods.iter().flat_map(List::iter) {
        if text::token(method, 32) && !method.bytes().any(|b| b.is_ascii_lowercase()) {
            methods.push(method.clone());
        } else {
            scope.invalid(
                &at.key("methods").item(place),
                format!("`{}` is not a method", shown(method)),
                "upper case, like `GET`",
            );
        }
    }
    for (place, header) in raw.headers.iter() {
        let at = at.key("headers");
        let at = at.item(place);
        if !text::token(&header.name, 256) {
            scope.invalid(
                &at.key("name"),
                format!("`{}` is not a header name", shown(&header.name)),
                "letters, digits and `-`",
            );
        }
        if header
            .value
            .as_ref()
            .is_some_and(|value| value.trim() != value || value.contains(['\r', '\n', '\0']))
        {
            scope.invalid(
                &at.key("value"),
                "no header line has this value".to_owned(),
                "without space at its ends and without line breaks",
            );
        }
        headers.push(HeaderMatch {
            name: header.name.to_ascii_lowercase(),
            value: header.value.clone(),
        });
    }
    Some(Route {
        id: id?,
        hosts,
        path: path?,
        methods,
        headers,
        pool: pool?,
        limit: raw.limit.map(rate),
        timeout: raw.timeout_ms.map(ms),
        upgrade: raw.upgrade,
        retry_idempotency_key: raw.retry_idempotency_key,
        body_bytes_max: raw.body_bytes_max,
    })
}

fn route_hosts(raw: &RawRoute, own: &HashSet<&str>, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for (place, one) in raw.hosts.iter().flat_map(List::iter) {
        match text::host(one) {
            Ok(host) => {
                let above = |host: &str| {
                    host.match_indices('.')
                        .any(|(dot, _)| own.contains(format!("*{}", host.get(dot..).unwrap_or("")).as_str()))
                };
                if !own.contains(host.as_str()) && !own.contains("*") && !above(&host) {
                    scope.faults.add(
                        &at.item(place),
                        "unknown_reference",
                        format!("the tenant does not have the host `{host}`"),
                        "one of the tenant's `hosts`".to_owned(),
                    );
                }
                hosts.push(host);
            }
            Err((message, hint)) => scope.invalid(&at.item(place), message, hint),
        }
    }
    hosts
}

fn route_path(raw: &RawRoute, at: &At<'_>, scope: &mut Scope<'_>) -> Option<PathMatch> {
    let (key, checked) = match (&raw.path, &raw.path_prefix) {
        (Some(path), None) => ("path", text::path(path).map(PathMatch::Exact)),
        (None, prefix) => (
            "path_prefix",
            text::path(prefix.as_deref().unwrap_or("/")).map(PathMatch::Prefix),
        ),
        (Some(_), Some(_)) => {
            scope.faults.add(
                &at.key("path_prefix"),
                "conflict",
                "the route has `path` and `path_prefix`",
                "one of them".to_owned(),
            );
            return None;
        }
    };
    checked
        .map_err(|(message, hint)| scope.invalid(&at.key(key), message, hint))
        .ok()
}

pub(super) fn waf_mode(raw: RawWafMode) -> WafMode {
    match raw {
        RawWafMode::Block => WafMode::Block,
        RawWafMode::Detect => WafMode::Detect,
        RawWafMode::Off => WafMode::Off,
    }
}
