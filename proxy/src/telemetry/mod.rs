//! What a request leaves behind: a tally while it runs, a record at its end, metrics, a log line
//! and an audit event made from it.

pub(crate) mod access_log;
pub(crate) mod audit;
pub(crate) mod frames;
mod line_writer;
pub(crate) mod registry;
pub(crate) mod unread;
mod waf;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use audit::Audited;
use smallvec::SmallVec;
use weir_decide::limit::{Admission, Check, limit_field};
use weir_decide::pipeline::{Moment, Observer};
use weir_decide::refuse::Refusal;
use weir_decide::switch::Switched;
use weir_geoip::Place;
use weir_rules::Report;
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{Route, WafMode};
use weir_schema::telemetry::record::{Outcome, RequestRecord, Timings};

use crate::clock;
use crate::engine::request::{ConnectionInfo, Request};
use crate::live::{Live, TenantLive};
use crate::random;
use crate::upstream::UpstreamFault;
use crate::upstream::pool::PoolState;

/// Rules kept in a record.
const RULES_MAX: usize = 32;

/// What is known of a request so far.
pub(crate) struct Tally<'a> {
    info: &'a ConnectionInfo,
    live: &'a Live,
    request: &'a Request,
    request_id: RequestId,
    started: Instant,
    cpu_started_ns: u64,
    client: IpAddr,
    place: Place,
    tenant: Option<Arc<TenantLive>>,
    route: Option<usize>,
    upstream: Option<SocketAddr>,
    tries: u8,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    refusal: Option<RefusalCode>,
    limits: Option<LimitFields>,
    timings: Timings,
    waf_ns: u64,
    screening_since: Option<Instant>,
    rules: SmallVec<[u64; 8]>,
    score: u32,
    /// The mode that counted, where a switch changes what the document says.
    switched: Option<(WafMode, Switched)>,
    /// Of a request on which rules found something.
    report: Option<Box<Report>>,
}

/// `RateLimit-Policy` and `RateLimit`, as they go to the client.
struct LimitFields {
    policy: Arc<[u8]>,
    state: Vec<u8>,
}

/// Random, 128 bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    number: u128,
    text: [u8; 32],
}

impl RequestId {
    pub(crate) fn new() -> Self {
        let number = (u128::from(random::next()) << 64) | u128::from(random::next());
        let mut text = [0_u8; 32];
        for (at, digit) in text.iter_mut().enumerate() {
            let nibble = u8::try_from((number >> (124 - 4 * at)) & 0xf).unwrap_or_default();
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
        Self { number, text }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl<'a> Tally<'a> {
    /// Begins with the head.
    pub(crate) fn begin(info: &'a ConnectionInfo, live: &'a Live, request: &'a Request) -> Self {
        info.shared.metrics.in_flight.inc();
        let started = clock::recent();
        Self {
            request_id: RequestId::new(),
            started,
            cpu_started_ns: crate::meter::task_ns(started),
            client: info.peer.ip(),
            place: Place::default(),
            tenant: None,
            route: None,
            upstream: None,
            tries: 0,
            status: 0,
            outcome: Outcome::Answered,
            refusal: None,
            limits: None,
            timings: Timings::default(),
            waf_ns: 0,
            screening_since: None,
            rules: SmallVec::new(),
            score: 0,
            switched: None,
            report: None,
            info,
            live,
            request,
        }
    }

    /// What the stages get of this request's time and randomness.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now_ns: clock::recent_ns(),
            unix_ms: clock::unix_ms(),
            clock_unix_ms: clock::unix_ms,
            request_id: self.request_id.number,
        }
    }

    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// When the head was there.
    pub(crate) fn started(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started)
    }

    /// Calls `add` with each header field that tells the client about its limits.
    pub(crate) fn each_limit_field<'b>(&'b self, mut add: impl FnMut(&'b [u8], &'b [u8])) {
        let always = self.live.config.limits.headers_always;
        if let Some(limits) = self.limits.as_ref().filter(|_| always || self.refusal.is_some()) {
            add(b"ratelimit-policy", &limits.policy);
            add(b"ratelimit", &limits.state);
        }
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.outcome = Outcome::Refused;
        self.refusal = Some(refusal.code);
        self.status = refusal.status;
    }

    pub(crate) fn decided(&mut self) {
        self.timings.decided_us = clock::micros(self.started, clock::now());
    }

    pub(crate) fn connected(&mut self) {
        self.timings.connected_us = clock::micros(self.started, clock::recent());
    }

    pub(crate) fn first_byte(&mut self) {
        self.timings.first_byte_us = clock::micros(self.started, clock::recent());
    }

    pub(crate) fn tried(&mut self, upstream: SocketAddr) {
        self.tries = self.tries.saturating_add(1);
        self.upstream = Some(upstream);
    }

    pub(crate) fn upstream_failed(&mut self, pool: &PoolState, fault: UpstreamFault) {
        pool.metrics.failed(fault);
    }

    pub(crate) fn retried(&mut self, pool: &PoolState) {
        pool.metrics.retries.inc();
    }

    /// Takes what the rules say at the end.
    pub(crate) fn reported(&mut self, report: Report) {
        let logged = report.matches.iter().filter(|found| found.logged);
        self.rules.extend(logged.map(|found| found.id).take(RULES_MAX));
        self.score = report.score;
        if report.has_findings() {
            self.report = Some(Box::new(report));
        }
    }

    /// Ends: makes the record and hands it on.
    pub(crate) fn finish(mut self, bytes: (u64, u64)) {
        let now = clock::now();
        self.timings.total_us = clock::micros(self.started, now);
        let shared = &self.info.shared;
        let tenant = self.tenant.as_deref();
        let route = tenant
            .zip(self.route)
            .and_then(|(tenant, at)| tenant.policy.route(at));
        let record = RequestRecord {
            request_id: self.request_id.as_str(),
            generation: self.live.generation,
            listener: &self.info.listener,
            peer: self.info.peer,
            client: self.client,
            protocol: self.request.protocol,
            tls: self.info.tls.is_some(),
            method: self.request.method(),
            host: self.request.host(),
            target: self.request.target.of(&self.request.buffer),
            tenant: tenant.map(|tenant| &tenant.policy.tenant.id),
            route: route.map(|route| &route.id),
            pool: route.map(|route| &route.pool),
            upstream: self.upstream,
            tries: self.tries,
            country: self.place.country,
            asn: self.place.asn,
            status: self.status,
            code: self.refusal,
            outcome: self.outcome,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            timings: self.timings,
            cpu_ns: crate::meter::task_ns(now).saturating_sub(self.cpu_started_ns),
            waf_ns: self.waf_ns,
            rules: &self.rules,
            score: self.score,
        };
        let account = tenant.map(|tenant| tenant.accounts.route(self.route));
        shared.frames.observe(account, &record, now);
        tenant
            .map_or(&shared.metrics.unknown_tenant, |tenant| &tenant.metrics)
            .observe(&record);
        shared.metrics.in_flight.dec();
        shared.metrics.observe(&record);
        if let Some(log) = &self.live.access_log {
            shared.access_log.write(log, &record, Some(self.request));
        }
        if let (Some(report), Some(tenant)) = (&self.report, tenant) {
            shared.metrics.rules.observe(&tenant.metrics.label, report);
            if let Some(log) = &self.live.audit_log {
                let tenant = &tenant.policy;
                let audited = Audited {
                    record: &record,
                    report,
                    tenant,
                    switched: self.switched.as_ref(),
                };
                shared.audit.write(log, &audited);
            }
        }
    }
}

impl Observer<Arc<TenantLive>> for Tally<'_> {
    fn resolved(&mut self, tenant: &Arc<TenantLive>) {
        self.tenant = Some(Arc::clone(tenant));
        self.info.open.serves(tenant.accounts.tenant());
    }

    fn located(&mut self, client: IpAddr, place: &Place) {
        self.client = client;
        self.place = *place;
    }

    fn limited(&mut self, checks: &[Check<'_>], admission: &Admission, policy: &Arc<[u8]>) {
        if !self.live.config.limits.headers_always && admission.refused().is_none() {
            return;
        }
        let mut state = Vec::with_capacity(96);
        limit_field(checks, admission, &mut state);
        self.limits = Some(LimitFields {
            policy: Arc::clone(policy),
            state,
        });
    }

    fn switched(&mut self, mode: WafMode, switched: &Switched) {
        self.switched = Some((mode, switched.clone()));
    }

    fn screening(&mut self) {
        self.screening_since = Some(clock::now());
    }

    fn screened(&mut self) {
        if let Some(since) = self.screening_since.take() {
            let spent = clock::now().saturating_duration_since(since).as_nanos();
            let spent_ns = u64::try_from(spent).unwrap_or(u64::MAX);
            self.waf_ns += spent_ns;
            crate::meter::screened(spent_ns);
        }
    }

    fn routed(&mut self, tenant: &Arc<TenantLive>, at: usize, _route: &Route) {
        self.route = Some(at);
        crate::meter::works_for(Some(tenant.accounts.route(self.route)));
    }
}
