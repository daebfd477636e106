//! The only list of metric names: prefix `weir_`, base units, `_total` for counters.

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Label names, in order.
    pub labels: &'static [&'static str],
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

macro_rules! metrics {
    ($($ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $ident: Metric = Metric { name: $name, help: $help, kind: Kind::$kind, labels: &[$($label),*] };)*

        /// All metrics, by name.
        pub const ALL: &[Metric] = &[$($ident),*];
    };
}

metrics! {
    ACCESS_LOG_DROPPED = Counter "weir_access_log_dropped_total" [] "Access log lines that were lost because the log could not keep up or be written.";
    AUDIT_EVENTS = Counter "weir_audit_events_total" ["result"] "Audit events by what became of them: written, sampled_out, over_rate, dropped (the log could not keep up), failed (the file could not be written).";
    BUILD_INFO = Gauge "weir_build_info" ["version"] "Always 1; the label is the version that runs.";
    CONFIG_DEGRADED = Gauge "weir_config_degraded" [] "1 while the last known good version is served because the document cannot be, else 0.";
    CONFIG_GENERATION = Gauge "weir_config_generation" [] "Generation of the configuration that is served.";
    CONFIG_LAST_RELOAD = Gauge "weir_config_last_reload_timestamp_seconds" [] "Time of the last reload that succeeded, in seconds since the Unix epoch.";
    CONFIG_RELOADS = Counter "weir_config_reloads_total" ["result"] "Reloads of the configuration by result.";
    CONNECTION_CUTS = Counter "weir_connection_cuts_total" ["reason"] "Client connections that were cut, by reason.";
    CONNECTIONS = Gauge "weir_connections" ["listener"] "Open client connections.";
    CONNECTIONS_ACCEPTED = Counter "weir_connections_total" ["listener"] "Client connections that were accepted.";
    CONNECTIONS_REFUSED = Counter "weir_connections_refused_total" ["listener", "reason"] "Client connections that were closed at accept, by reason.";
    CONTROL_CONNECTED = Gauge "weir_control_connected" [] "1 while a session with control is open, else 0; always 0 of a proxy that runs alone.";
    CONTROL_REFUSED = Counter "weir_control_versions_refused_total" [] "Versions from control that were not served; the one before went on.";
    CONTROL_REVISION = Gauge "weir_control_revision" [] "Revision of control that is served; 0 before the first.";
    INSPECTION_BUFFER_BYTES = Gauge "weir_inspection_buffer_bytes" [] "Bytes of request bodies that are held for inspection.";
    REFUSALS = Counter "weir_refusals_total" ["tenant", "code"] "Refused requests by refusal code.";
    REQUEST_BYTES = Counter "weir_request_bytes_total" ["tenant", "direction"] "Bytes of requests (in) and responses (out) towards clients, heads and bodies.";
    REQUEST_CPU_SECONDS = Counter "weir_request_cpu_seconds_total" ["tenant"] "CPU time of requests.";
    REQUEST_DURATION_SECONDS = Histogram "weir_request_duration_seconds" ["tenant"] "Time from the first byte of a request to the last byte of its response.";
    REQUEST_STAGE_SECONDS = Histogram "weir_request_stage_seconds" ["stage"] "Time in the stages of a request: head, decide, connect, upstream, body.";
    REQUESTS = Counter "weir_requests_total" ["tenant", "protocol", "status_class", "outcome"] "Finished requests.";
    REQUESTS_IN_FLIGHT = Gauge "weir_requests_in_flight" [] "Requests in progress.";
    SLO_BUDGET = Gauge "weir_slo_error_budget_ratio" ["objective", "region", "tenant", "upstream", "tier"] "Share of events that may be bad, by objective; an empty label is all.";
    SLO_EVENTS = Counter "weir_slo_events_total" ["objective", "region", "tenant", "upstream", "outcome"] "Events that count for an objective, by outcome: good, bad.";
    SLO_STARTED = Gauge "weir_slo_started_timestamp_seconds" ["objective", "region", "tenant", "upstream"] "When the events of an objective began to be counted, in seconds since the Unix epoch.";
    TENANTS_QUARANTINED = Gauge "weir_tenants_quarantined" [] "Tenants that are set aside because their part of the configuration cannot be used.";
    TLS_HANDSHAKES = Counter "weir_tls_handshakes_total" ["listener", "result"] "TLS handshakes by result.";
    UPSTREAM_CONNECTIONS = Gauge "weir_upstream_connections" ["pool"] "Open connections to upstreams.";
    UPSTREAM_EJECTIONS = Counter "weir_upstream_ejections_total" ["pool", "cause"] "Endpoints taken out of the choice by failed requests, by cause.";
    UPSTREAM_HEALTHY = Gauge "weir_upstream_healthy" ["pool", "endpoint"] "1 when the endpoint takes requests, else 0.";
    UPSTREAM_REQUESTS = Counter "weir_upstream_requests_total" ["pool", "result"] "Tries at upstreams by result.";
    UPSTREAM_RETRIES = Counter "weir_upstream_retries_total" ["pool"] "Tries after the first.";
    WAF_BODY_FAULTS = Counter "weir_waf_body_faults_total" ["tenant"] "Request bodies that could not be read by their type for the rules.";
    WAF_BUDGET_EXCEEDED = Counter "weir_waf_budget_exceeded_total" ["tenant"] "Requests whose inspection ended because the work budget was used up.";
    WAF_COLLECTION_BYTES = Gauge "weir_waf_collection_bytes" [] "Bytes of what rules of all tenants remember between requests.";
    WAF_COLLECTION_EVICTED = Counter "weir_waf_collection_evicted_total" [] "Records of persistent collections that were dropped for room before their time.";
    WAF_COLLECTION_RECORDS = Gauge "weir_waf_collection_records" [] "Records of persistent collections, of all tenants.";
    WAF_MATCHES = Counter "weir_waf_matches_total" ["rule"] "Rules that matched, by rule id; ids beyond the bound count as other.";
    WAF_SECONDS = Counter "weir_waf_seconds_total" ["tenant"] "CPU time of requests in the rule engine.";
    WAF_SWITCHES = Gauge "weir_waf_switches" ["kind"] "Kill switches of the WAF that are set, at the admin endpoint or in the document, by what they are about: all, tenant, rule (in all tenants), tenant_rule.";
    WAF_VERDICTS = Counter "weir_waf_verdicts_total" ["tenant", "verdict"] "Requests on which rules matched, by what came of it: blocked, would_block (only recorded), passed.";
}

/// Reasons of `CONNECTION_CUTS`.
pub const CUT_REASONS: &[&str] = &[
    "body_rate",
    "first_byte_timeout",
    "h2_abuse",
    "h2_control_flood",
    "h2_preface",
    "h2_protocol",
    "h2_reset_flood",
    "handshake_timeout",
    "header_timeout",
    "idle_timeout",
    "proxy_protocol",
    "write_stall",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = HashSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} twice", metric.name);
            assert!(
                metric.name.starts_with("weir_")
                    && metric
                        .name
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            );
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(
                !["_ms", "_milliseconds", "_kb", "_count", "_sum", "_bucket"]
                    .iter()
                    .any(|unit| metric.name.ends_with(unit)),
                "{}",
                metric.name
            );
            assert!(
                metric.help.ends_with('.') && !metric.help.contains('\n'),
                "{}",
                metric.name
            );
            assert!(
                metric
                    .labels
                    .iter()
                    .all(|label| *label != "le" && *label != "quantile")
            );
        }
    }
}
