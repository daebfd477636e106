//! The stages of a request in their order: resolve, locate, admit, screen, route. Decisions are made in weir-decide and
//! weir-rules; here they are fed and their answers kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use smallvec::SmallVec;
use weir_decide::limit::{Admission, Check, rate_limit_fields};
use weir_decide::{client_address, geo, path, resolve};
use weir_geoip::Place;
use weir_rules::{Connection, Options, RequestLine, Transaction, Verdict};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{BodyOverLimit, Route, TenantState, WafMode};

use super::request::{ConnectionInfo, FieldList, Request};
use super::respond::Refusal;
use super::serve::Stop;
use crate::live::{HostEntry, Live, RouteLive, TenantLive};
use crate::telemetry::Tally;
use crate::upstream::ResponseMessage;
use crate::upstream::pool::PoolState;

/// What all stages together decided.
pub(crate) struct Decided {
    pub(crate) tenant: Arc<TenantLive>,
    pub(crate) peer_trusted: bool,
    pub(crate) place: Place,
    route: usize,
    screening: Option<Box<Transaction>>,
    _in_flight: Option<TenantInFlight>,
}

/// Counts a tenant's request in flight.
pub(crate) struct TenantInFlight(Arc<TenantLive>);

impl Drop for TenantInFlight {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Decided {
    fn route_live(&self) -> &RouteLive {
        &self.tenant.routes[self.route]
    }

    pub(crate) fn route(&self) -> &Route {
        &self.tenant.tenant.routes[self.route]
    }

    pub(crate) fn pool(&self) -> &PoolState {
        &self.route_live().pool
    }

    /// Bytes of the body to judge; `None` when nothing looks at bodies.
    pub(crate) fn inspect_bytes_max(&self) -> Option<u64> {
        self.screening
            .as_ref()
            .map(|_| self.tenant.tenant.waf.body_bytes_max)
    }

    pub(crate) fn refuse_over_inspection(&self) -> bool {
        self.screening.is_some() && self.tenant.tenant.waf.body_over_limit == BodyOverLimit::Refuse
    }
}

/// Runs every stage that needs no body.
///
/// # Errors
/// The refusal of the first stage that refuses.
pub(crate) fn decide(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    tally: &mut Tally,
) -> Result<Decided, Stop> {
    let mut host: SmallVec<[u8; 64]> = SmallVec::new();
    let tenant = resolve_tenant(info, live, request, &mut host, tally)?;
    let fields = request.fields();
    let peer = weir_geoip::canonical(info.peer.ip());
    let peer_trusted = live.config.trust.proxies.iter().any(|net| net.contains(&peer));
    let client = client_address::client_address(peer, &live.config.trust, &fields);
    tally.client = client;
    let place = live.locate(client);
    tally.country = place.country;
    tally.asn = place.asn;
    if let Some(code) = geo::decide(&tenant.tenant.geo, &place) {
        return Err(Stop::refuse(code));
    }
    let normalised = path::normalise(request.raw_path());
    let route = tenant
        .route_table
        .matches(&host, &normalised, request.method(), &fields);
    admit(info, live, request, &tenant, route, client, &fields, tally)?;
    let in_flight = enter(&tenant)?;
    let screening = screen_head(info, &tenant, request, client, &fields, tally)?;
    let Some(route) = route else {
        return Err(Stop::refuse(RefusalCode::NoRoute));
    };
    let decided = Decided {
        peer_trusted,
        place,
        route,
        screening,
        _in_flight: in_flight,
        tenant,
    };
    if request.upgrade && !decided.route().upgrade {
        return Err(Stop::refuse(RefusalCode::UpgradeRefused));
    }
    tally.route = Some(decided.route().id.clone());
    tally.pool = Some(decided.pool().pool.id.clone());
    Ok(decided)
}

fn resolve_tenant(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    host: &mut SmallVec<[u8; 64]>,
    tally: &mut Tally,
) -> Result<Arc<TenantLive>, Stop> {
    // A request of HTTP/1.0 may come without a host: only a tenant that takes any host can have it.
    if !resolve::normalise_host(request.host(), host) && !request.host().is_empty() {
        return Err(Stop::refuse(RefusalCode::InvalidHost));
    }
    let unknown = || {
        let mut refusal = Refusal::new(RefusalCode::UnknownHost);
        if info.tls.is_some() {
            refusal.status = 421;
        }
        Stop::Refuse(Box::new(refusal))
    };
    let entry = live.hosts.lookup(host).ok_or_else(unknown)?;
    let tenant = match entry {
        HostEntry::Tenant(tenant) => tenant,
        HostEntry::Quarantined => return Err(Stop::refuse(RefusalCode::TenantQuarantined)),
    };
    tally.set_tenant(tenant);
    if info
        .tls
        .as_ref()
        .is_some_and(|by_sni| *by_sni != tenant.tenant.id)
    {
        return Err(Stop::refuse(RefusalCode::HostMismatch));
    }
    if let Some(code) = resolve::state_refusal(&tenant.tenant.state) {
        let mut refusal = Refusal::new(code);
        if let TenantState::Migrating { region } = &tenant.tenant.state {
            refusal.location = live.ingress_of(region).map(|ingress| {
                let path = request.path.of(&request.buffer);
                format!(
                    "{}{}",
                    ingress.trim_end_matches('/'),
                    String::from_utf8_lossy(path)
                )
            });
        }
        if code == RefusalCode::TenantPending {
            refusal.retry_after_s = Some(30);
        }
        return Err(Stop::Refuse(Box::new(refusal)));
    }
    Ok(Arc::clone(tenant))
}

#[allow(clippy::too_many_arguments)]
fn admit(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    tenant: &TenantLive,
    route: Option<usize>,
    client: IpAddr,
    fields: &FieldList<'_>,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let mut checks: SmallVec<[Check<'_>; 6]> = SmallVec::new();
    let query = request.query();
    tenant
        .limits
        .collect(&mut checks, client, fields, query, &info.shared.claims, route);
    if let Some(global) = &live.global_limit {
        checks.push(global.check());
    }
    if checks.is_empty() {
        return Ok(());
    }
    let admission = info.shared.limits.admit(&checks, crate::clock::now_ns());
    let refused = admission.refused();
    if live.config.limits.headers_always || refused.is_some() {
        tally.limit_fields = limit_fields(&checks, &admission);
    }
    let Some(refused) = refused else { return Ok(()) };
    let mut refusal = Refusal::new(refused.code);
    refusal.retry_after_s = Some(refused.retry_after_s);
    refusal.violated = checks.get(refused.index).map(|check| check.name.to_owned());
    Err(Stop::Refuse(Box::new(refusal)))
}

fn limit_fields(checks: &[Check<'_>], admission: &Admission) -> Vec<(&'static [u8], Vec<u8>)> {
    let (policy, state) = rate_limit_fields(checks, admission);
    vec![(b"ratelimit-policy", policy), (b"ratelimit", state)]
}

fn enter(tenant: &Arc<TenantLive>) -> Result<Option<TenantInFlight>, Stop> {
    let in_flight: &AtomicU32 = &tenant.counters.in_flight;
    let now = in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    let guard = TenantInFlight(Arc::clone(tenant));
    match tenant.tenant.limits.in_flight_max {
        Some(max) if now > max.get() => {
            let mut refusal = Refusal::new(RefusalCode::InFlightLimit);
            refusal.retry_after_s = Some(1);
            Err(Stop::Refuse(Box::new(refusal)))
        }
        _ => Ok(Some(guard)),
    }
}

fn screen_head(
    info: &ConnectionInfo,
    tenant: &TenantLive,
    request: &Request,
    client: IpAddr,
    fields: &FieldList<'_>,
    tally: &mut Tally,
) -> Result<Option<Box<Transaction>>, Stop> {
    let Some(rules) = &tenant.rules else {
        return Ok(None);
    };
    let start = Instant::now();
    let connection = Connection {
        client,
        client_port: info.peer.port(),
        server: info.local.ip(),
        server_port: info.local.port(),
    };
    let options = Options {
        mode: match tenant.tenant.waf.mode {
            WafMode::Block => weir_rules::Mode::Enforce,
            WafMode::Detect | WafMode::Off => weir_rules::Mode::DetectOnly,
        },
        unique_id: tally.request_id,
        now_unix_ms: tally.started_unix_ms,
        ..Options::default()
    };
    let mut transaction = Box::new(Transaction::new(Arc::clone(rules), &options, &connection));
    let line = RequestLine {
        method: request.method(),
        target: request.target.of(&request.buffer),
        protocol: match request.protocol {
            weir_schema::telemetry::record::Protocol::Http10 => b"HTTP/1.0",
            weir_schema::telemetry::record::Protocol::Http11 => b"HTTP/1.1",
            weir_schema::telemetry::record::Protocol::Http2 => b"HTTP/2.0",
        },
    };
    let verdict = if request.protocol == weir_schema::telemetry::record::Protocol::Http2 {
        // HTTP/2 carries the host beside the fields; rules look for it among them.
        let mut with_host: FieldList<'_> = fields.iter().copied().collect();
        if !fields.iter().any(|(name, _)| weir_h1::header_eq(name, b"host")) {
            with_host.push((b"host", request.host()));
        }
        transaction.request_headers(&line, &with_host)
    } else {
        transaction.request_headers(&line, fields)
    };
    tally.screened(start);
    blocked(verdict, &transaction, tally, RefusalCode::WafBlocked)?;
    Ok(Some(transaction))
}

fn blocked(
    verdict: Verdict,
    transaction: &Transaction,
    tally: &mut Tally,
    code: RefusalCode,
) -> Result<(), Stop> {
    match verdict {
        Verdict::Continue => Ok(()),
        Verdict::Deny { .. } => {
            tally.matched(transaction.matches());
            Err(Stop::refuse(code))
        }
    }
}

/// Judges the body; must run before any upstream is contacted, also without a body.
///
/// # Errors
/// The refusal of a rule.
pub(crate) fn judge_body(decided: &mut Decided, body: &[u8], tally: &mut Tally) -> Result<(), Stop> {
    let Some(transaction) = &mut decided.screening else {
        return Ok(());
    };
    let start = Instant::now();
    let verdict = transaction.request_body(body);
    tally.screened(start);
    tally.matched(transaction.matches());
    blocked(verdict, transaction, tally, RefusalCode::WafBlocked)
}

/// Judges the head of the response.
///
/// # Errors
/// The refusal of a rule.
pub(crate) fn judge_response(
    decided: &mut Decided,
    response: &ResponseMessage,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let Some(transaction) = &mut decided.screening else {
        return Ok(());
    };
    if !decided
        .tenant
        .rules
        .as_ref()
        .is_some_and(|rules| rules.inspects_response())
    {
        return Ok(());
    }
    let start = Instant::now();
    let fields: FieldList<'_> = response
        .fields
        .iter()
        .map(|field| (field.name.of(&response.buffer), field.value.of(&response.buffer)))
        .collect();
    let verdict = transaction.response_headers(response.status, b"HTTP/1.1", &fields);
    tally.screened(start);
    blocked(verdict, transaction, tally, RefusalCode::WafResponseBlocked)
}
