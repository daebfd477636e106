//! What a request leaves behind: a tally while it runs, a record at its end, metrics and a log line made from it.

pub(crate) mod access_log;
pub(crate) mod registry;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use weir_rules::RuleMatch;
use weir_schema::ids::{PoolId, RouteId};
use weir_schema::telemetry::record::{Outcome, RequestRecord, Timings};

use crate::clock;
use crate::engine::request::{ConnectionInfo, Request};
use crate::engine::respond::Refusal;
use crate::live::{Live, Shared, TenantLive};
use crate::random;
use crate::upstream::UpstreamFault;
use crate::upstream::pool::PoolState;

/// Rules kept in a record.
const RULES_MAX: usize = 32;

/// What is known of a request so far.
pub(crate) struct Tally {
    pub(crate) request_id: u128,
    pub(crate) request_id_text: [u8; 32],
    pub(crate) started_unix_ms: u64,
    pub(crate) started_tokio: tokio::time::Instant,
    started: Instant,
    cpu_started_ns: u64,
    pub(crate) client: IpAddr,
    pub(crate) country: [u8; 2],
    pub(crate) asn: u32,
    tenant: Option<Arc<TenantLive>>,
    pub(crate) route: Option<RouteId>,
    pub(crate) pool: Option<PoolId>,
    upstream: Option<SocketAddr>,
    tries: u8,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    refusal: Option<weir_schema::codes::RefusalCode>,
    /// `RateLimit` and `RateLimit-Policy`, as they go to the client.
    pub(crate) limit_fields: Vec<(&'static [u8], Vec<u8>)>,
    timings: Timings,
    waf_ns: u64,
    rules: Vec<u64>,
    score: u32,
    method: Box<str>,
    host: Box<str>,
    target: Box<[u8]>,
    protocol: weir_schema::telemetry::record::Protocol,
    peer: SocketAddr,
    tls: bool,
    listener: weir_schema::ids::ListenerId,
    logged_headers: Vec<(Arc<str>, Box<str>)>,
}

fn text(bytes: &[u8], max: usize) -> Box<str> {
    String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)).into()
}

impl Tally {
    /// Begins with the head.
    pub(crate) fn begin(info: &ConnectionInfo, live: &Live, request: &Request) -> Self {
        info.shared.metrics.in_flight.inc();
        let request_id = (u128::from(random::next()) << 64) | u128::from(random::next());
        let mut request_id_text = [0_u8; 32];
        // Exactly 32 digits into 32 bytes.
        let _ = write!(request_id_text.as_mut_slice(), "{request_id:032x}");
        let logged = live.logged_headers();
        let logged_headers = logged
            .iter()
            .filter_map(|name| {
                Some((
                    Arc::clone(name),
                    access_log::redacted(name, request.field(name.as_bytes())?),
                ))
            })
            .collect();
        let target = request.target.of(&request.buffer);
        Self {
            request_id,
            request_id_text,
            started_unix_ms: clock::unix_ms(),
            started_tokio: tokio::time::Instant::now(),
            started: Instant::now(),
            cpu_started_ns: crate::meter::task_ns(),
            client: info.peer.ip(),
            country: *b"XX",
            asn: 0,
            tenant: None,
            route: None,
            pool: None,
            upstream: None,
            tries: 0,
            status: 0,
            outcome: Outcome::Answered,
            refusal: None,
            limit_fields: Vec::new(),
            timings: Timings::default(),
            waf_ns: 0,
            rules: Vec::new(),
            score: 0,
            method: text(request.method(), 32),
            host: text(request.host(), 255),
            target: target.get(..8192).unwrap_or(target).into(),
            protocol: request.protocol,
            peer: info.peer,
            tls: info.tls.is_some(),
            listener: info.listener.clone(),
            logged_headers,
        }
    }

    pub(crate) fn set_tenant(&mut self, tenant: &Arc<TenantLive>) {
        self.tenant = Some(Arc::clone(tenant));
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.outcome = Outcome::Refused;
        self.refusal = Some(refusal.code);
        self.status = refusal.status;
    }

    /// Adds the time since `start` to the rule engine's.
    pub(crate) fn screened(&mut self, start: Instant) {
        self.waf_ns += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    }

    pub(crate) fn matched(&mut self, matches: &[RuleMatch]) {
        self.rules.clear();
        self.rules
            .extend(matches.iter().map(|found| found.id).take(RULES_MAX));
    }

    pub(crate) fn decided(&mut self) {
        self.timings.decided_us = clock::micros_since(self.started);
    }

    pub(crate) fn connected(&mut self) {
        self.timings.connected_us = clock::micros_since(self.started);
    }

    pub(crate) fn first_byte(&mut self) {
        self.timings.first_byte_us = clock::micros_since(self.started);
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

    /// Ends: makes the record and hands it on.
    pub(crate) fn finish(mut self, shared: &Shared, live: &Live, bytes: (u64, u64)) {
        self.timings.total_us = clock::micros_since(self.started);
        let record = RequestRecord {
            request_id: self.request_id,
            generation: live.generation,
            started_unix_ms: self.started_unix_ms,
            listener: self.listener,
            peer: self.peer,
            client: self.client,
            protocol: self.protocol,
            tls: self.tls,
            method: self.method,
            host: self.host,
            target: self.target,
            tenant: self.tenant.as_ref().map(|tenant| tenant.tenant.id.clone()),
            route: self.route,
            pool: self.pool,
            upstream: self.upstream,
            tries: self.tries,
            country: self.country,
            asn: self.asn,
            status: self.status,
            code: self.refusal,
            outcome: self.outcome,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            timings: self.timings,
            cpu_ns: crate::meter::task_ns().saturating_sub(self.cpu_started_ns),
            waf_ns: self.waf_ns,
            rules: self.rules.into(),
            score: self.score,
            logged_headers: self.logged_headers.into(),
        };
        match &self.tenant {
            Some(tenant) => tenant.counters.metrics.observe(&record),
            None => shared.metrics.unknown_tenant.observe(&record),
        }
        shared.metrics.in_flight.dec();
        shared.metrics.observe(&record);
        shared.access_log.write(live, record);
    }
}
