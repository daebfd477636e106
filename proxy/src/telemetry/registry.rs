//! Prometheus metrics, made from records. Handles are resolved once per tenant and pool, never per request.

use std::sync::{Arc, OnceLock};

use prometheus::{
    Counter, CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use weir_decide::outlier::Cause;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::names::{self, Metric};
use weir_schema::telemetry::record::{Outcome, Protocol, RequestRecord};

use super::waf::WafMetrics;
use crate::upstream::UpstreamFault;

/// Seconds; one decade in three steps.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

const PROTOCOLS: [Protocol; 3] = [Protocol::Http10, Protocol::Http11, Protocol::Http2];
const OUTCOMES: [Outcome; 4] = [
    Outcome::Answered,
    Outcome::ClientGone,
    Outcome::Refused,
    Outcome::UpstreamCut,
];
/// Label of `weir_request_stage_seconds`: until decided, connected, first byte.
const STAGES: [&str; 3] = ["decide", "connect", "upstream"];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of this process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    duration: HistogramVec,
    bytes: IntCounterVec,
    cpu: CounterVec,
    waf: CounterVec,
    connections: IntGaugeVec,
    connections_total: IntCounterVec,
    pub(crate) connections_refused: IntCounterVec,
    pub(crate) cuts: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) rules: WafMetrics,
    upstream_connections: IntGaugeVec,
    stages: [Histogram; 3],
    pub(crate) handshakes: IntCounterVec,
    upstream_requests: IntCounterVec,
    upstream_ejections: IntCounterVec,
    upstream_retries: IntCounterVec,
    pub(crate) upstream_healthy: IntGaugeVec,
    pub(crate) control_connected: IntGauge,
    pub(crate) control_refused: IntCounter,
    pub(crate) control_revision: IntGauge,
    pub(crate) quarantined: IntGauge,
    pub(crate) degraded: IntGauge,
    pub(crate) generation: IntGauge,
    pub(crate) reloads: IntCounterVec,
    pub(crate) last_reload: Gauge,
    pub(crate) held_bytes: IntGauge,
    pub(crate) log_dropped: IntCounter,
    pub(crate) waf_switches: IntGaugeVec,
    /// Requests that no tenant owns.
    pub(crate) unknown_tenant: TenantMetrics,
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// A name that is not valid or not unique, which a test excludes.
    pub(crate) fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        macro_rules! register {
            ($metric:expr) => {{
                let metric = $metric;
                registry.register(Box::new(metric.clone()))?;
                metric
            }};
        }
        let counter = |metric: &Metric| IntCounterVec::new(opts(metric), metric.labels);
        let requests = register!(counter(&names::REQUESTS)?);
        let refusals = register!(counter(&names::REFUSALS)?);
        let duration = register!(HistogramVec::new(
            HistogramOpts::from(opts(&names::REQUEST_DURATION_SECONDS)).buckets(BUCKETS.to_vec()),
            names::REQUEST_DURATION_SECONDS.labels,
        )?);
        let bytes = register!(counter(&names::REQUEST_BYTES)?);
        let cpu = register!(CounterVec::new(
            opts(&names::REQUEST_CPU_SECONDS),
            names::REQUEST_CPU_SECONDS.labels
        )?);
        let waf = register!(CounterVec::new(
            opts(&names::WAF_SECONDS),
            names::WAF_SECONDS.labels
        )?);
        let stages = register!(HistogramVec::new(
            HistogramOpts::from(opts(&names::REQUEST_STAGE_SECONDS)).buckets(BUCKETS.to_vec()),
            names::REQUEST_STAGE_SECONDS.labels,
        )?);
        let build = register!(GaugeVec::new(opts(&names::BUILD_INFO), names::BUILD_INFO.labels)?);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let unknown_tenant = TenantMetrics::new("", &requests, &refusals, &duration, &bytes, &cpu, &waf);
        Ok(Arc::new(Self {
            connections: register!(IntGaugeVec::new(
                opts(&names::CONNECTIONS),
                names::CONNECTIONS.labels
            )?),
            connections_total: register!(counter(&names::CONNECTIONS_ACCEPTED)?),
            connections_refused: register!(counter(&names::CONNECTIONS_REFUSED)?),
            cuts: register!(counter(&names::CONNECTION_CUTS)?),
            in_flight: register!(IntGauge::with_opts(opts(&names::REQUESTS_IN_FLIGHT))?),
            rules: WafMetrics::new(&registry)?,
            upstream_connections: register!(IntGaugeVec::new(
                opts(&names::UPSTREAM_CONNECTIONS),
                names::UPSTREAM_CONNECTIONS.labels
            )?),
            stages: STAGES.map(|stage| stages.with_label_values(&[stage])),
            handshakes: register!(counter(&names::TLS_HANDSHAKES)?),
            upstream_requests: register!(counter(&names::UPSTREAM_REQUESTS)?),
            upstream_ejections: register!(counter(&names::UPSTREAM_EJECTIONS)?),
            upstream_retries: register!(counter(&names::UPSTREAM_RETRIES)?),
            upstream_healthy: register!(IntGaugeVec::new(
                opts(&names::UPSTREAM_HEALTHY),
                names::UPSTREAM_HEALTHY.labels
            )?),
            control_connected: register!(IntGauge::with_opts(opts(&names::CONTROL_CONNECTED))?),
            control_refused: register!(IntCounter::with_opts(opts(&names::CONTROL_REFUSED))?),
            control_revision: register!(IntGauge::with_opts(opts(&names::CONTROL_REVISION))?),
            quarantined: register!(IntGauge::with_opts(opts(&names::TENANTS_QUARANTINED))?),
            degraded: register!(IntGauge::with_opts(opts(&names::CONFIG_DEGRADED))?),
            generation: register!(IntGauge::with_opts(opts(&names::CONFIG_GENERATION))?),
            reloads: register!(counter(&names::CONFIG_RELOADS)?),
            last_reload: register!(Gauge::with_opts(opts(&names::CONFIG_LAST_RELOAD))?),
            held_bytes: register!(IntGauge::with_opts(opts(&names::INSPECTION_BUFFER_BYTES))?),
            waf_switches: register!(IntGaugeVec::new(
                opts(&names::WAF_SWITCHES),
                names::WAF_SWITCHES.labels
            )?),
            log_dropped: register!(IntCounter::with_opts(opts(&names::ACCESS_LOG_DROPPED))?),
            registry,
            requests,
            refusals,
            duration,
            bytes,
            cpu,
            waf,
            unknown_tenant,
        }))
    }

    /// Handles of a tenant; `label` is its id, or `other` above the bound of tenants with own series.
    pub(crate) fn tenant(&self, label: &str) -> TenantMetrics {
        TenantMetrics::new(
            label,
            &self.requests,
            &self.refusals,
            &self.duration,
            &self.bytes,
            &self.cpu,
            &self.waf,
        )
    }

    /// Counts what a finished request tells beside its tenant: its stages.
    pub(crate) fn observe(&self, record: &RequestRecord<'_>) {
        let t = &record.timings;
        let parts = [
            (0, t.decided_us),
            (t.decided_us, t.connected_us),
            (t.connected_us, t.first_byte_us),
        ];
        for (stage, (from, to)) in self.stages.iter().zip(parts).filter(|(_, (_, to))| *to > 0) {
            stage.observe(f64::from(to.saturating_sub(from)) / 1e6);
        }
    }

    /// Counts a request whose head could not be read.
    pub(crate) fn unread(&self, code: RefusalCode) {
        self.refusals.with_label_values(&["", code.as_str()]).inc();
    }

    /// Idle connections of a pool.
    pub(crate) fn idle_connections(&self, pool: &str, count: usize) {
        self.upstream_connections
            .with_label_values(&[pool])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Handles of a pool.
    pub(crate) fn pool(&self, id: &str) -> PoolMetrics {
        PoolMetrics {
            id: id.to_owned(),
            requests: self.upstream_requests.clone(),
            ejections: Cause::ALL
                .map(|cause| self.upstream_ejections.with_label_values(&[id, cause.as_str()])),
            retries: self.upstream_retries.with_label_values(&[id]),
        }
    }

    /// Handles of a listener: open connections, and all so far.
    pub(crate) fn listener(&self, id: &str) -> (IntGauge, IntCounter) {
        (
            self.connections.with_label_values(&[id]),
            self.connections_total.with_label_values(&[id]),
        )
    }

    /// The text exposition format.
    pub(crate) fn expose(&self) -> Vec<u8> {
        self.rules.refresh();
        let mut text = Vec::new();
        // Writing to a vector fails only on a metric family without a name, which registering excludes.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// Handles of one tenant.
pub(crate) struct TenantMetrics {
    pub(crate) label: String,
    requests: IntCounterVec,
    resolved: [[[OnceLock<IntCounter>; 4]; 6]; 3],
    refusals: IntCounterVec,
    duration: Histogram,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    cpu: Counter,
    waf: Counter,
}

impl TenantMetrics {
    fn new(
        label: &str,
        requests: &IntCounterVec,
        refusals: &IntCounterVec,
        duration: &HistogramVec,
        bytes: &IntCounterVec,
        cpu: &CounterVec,
        waf: &CounterVec,
    ) -> Self {
        Self {
            label: label.to_owned(),
            requests: requests.clone(),
            resolved: Default::default(),
            refusals: refusals.clone(),
            duration: duration.with_label_values(&[label]),
            bytes_in: bytes.with_label_values(&[label, "in"]),
            bytes_out: bytes.with_label_values(&[label, "out"]),
            cpu: cpu.with_label_values(&[label]),
            waf: waf.with_label_values(&[label]),
        }
    }

    /// Counts a finished request.
    pub(crate) fn observe(&self, record: &RequestRecord<'_>) {
        let protocol = PROTOCOLS
            .iter()
            .position(|protocol| *protocol == record.protocol)
            .unwrap_or(0);
        let class = usize::from(record.status / 100).min(5);
        let outcome = OUTCOMES
            .iter()
            .position(|outcome| *outcome == record.outcome)
            .unwrap_or(0);
        let cell = &self.resolved[protocol][class][outcome];
        let resolve = || {
            let labels = [
                self.label.as_str(),
                record.protocol.as_str(),
                CLASSES[class],
                record.outcome.as_str(),
            ];
            self.requests.with_label_values(&labels)
        };
        cell.get_or_init(resolve).inc();
        if let Some(code) = record.code {
            self.refusals
                .with_label_values(&[self.label.as_str(), code.as_str()])
                .inc();
        }
        self.duration.observe(f64::from(record.timings.total_us) / 1e6);
        self.bytes_in.inc_by(record.bytes_in);
        self.bytes_out.inc_by(record.bytes_out);
        self.cpu.inc_by(record.cpu_ns as f64 / 1e9);
        if record.waf_ns > 0 {
            self.waf.inc_by(record.waf_ns as f64 / 1e9);
        }
    }
}

/// Handles of one pool.
pub(crate) struct PoolMetrics {
    id: String,
    requests: IntCounterVec,
    ejections: [IntCounter; Cause::ALL.len()],
    pub(crate) retries: IntCounter,
}

impl PoolMetrics {
    /// Counts an endpoint that was taken out of the choice.
    pub(crate) fn ejected(&self, cause: Cause) {
        let own = Cause::ALL.iter().zip(&self.ejections);
        for (_, counter) in own.filter(|(known, _)| **known == cause) {
            counter.inc();
        }
    }

    /// Counts a failed try.
    pub(crate) fn failed(&self, fault: UpstreamFault) {
        self.requests
            .with_label_values(&[self.id.as_str(), fault.as_str()])
            .inc();
    }
}
