//! What is counted of usage, and where each figure stands in the store's counters.

use weir_plan::rollout::Sums;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::frame::{Entry, StatusClass};
use weir_schema::telemetry::record::Outcome;

/// Series of counters by the length of their times.
pub const SERIES: [(&str, u64); 3] = [
    ("usage.minute", 60_000),
    ("usage.hour", 3_600_000),
    ("usage.day", 86_400_000),
];
/// Refusals by code, per hour; keys are `<tenant>/<code>`.
pub const REFUSALS: (&str, u64) = ("refusals.hour", 3_600_000);
/// Frames and requests that were lost, per day; keys are nodes.
pub const LOST: (&str, u64) = ("lost.day", 86_400_000);

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was used.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Usage {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Usage {
            /// As the store's counters have it, place by place.
            #[must_use]
            pub fn values(&self) -> Vec<i64> {
                [$(self.$name),*].map(|value| i64::try_from(value).unwrap_or(i64::MAX)).to_vec()
            }

            /// From counters; places that lack are zero.
            #[must_use]
            pub fn from_values(values: &[i64]) -> Self {
                let mut values = values.iter().map(|value| u64::try_from(*value).unwrap_or(0));
                $(let $name = values.next().unwrap_or(0);)*
                Self { $($name),* }
            }

            /// Adds.
            pub fn add(&mut self, more: &Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }
        }
    };
}

// The order is that of the store: new figures come last.
figures! {
    /// Requests that ended.
    requests,
    /// Of them, those that failed: answered with 5xx, cut by an upstream, or refused because no upstream could answer.
    errors,
    /// Of them, those that were refused.
    refused,
    /// Of them, those that the WAF refused.
    blocked,
    /// Of them, those that a limit refused.
    limited,
    /// Bytes read from clients.
    bytes_in,
    /// Bytes written to clients.
    bytes_out,
    /// CPU time, nanoseconds.
    cpu_ns,
    /// Of it the rule engine's, nanoseconds.
    waf_ns,
    /// Waiting for upstreams, nanoseconds.
    upstream_ns,
    /// Time of open client connections, milliseconds.
    connection_ms,
    /// Sum of the latencies of answered requests, microseconds.
    latency_us,
    /// Requests that were answered.
    answered,
    /// Of the errors, those that were refused because no upstream could answer.
    faults_refused,
}

/// Whether a refusal is a failure of the service, not of the client or of what its tenant may have.
const fn is_fault(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::InspectionBuffer
            | RefusalCode::InternalError
            | RefusalCode::NoHealthyUpstream
            | RefusalCode::RouteTimeout
            | RefusalCode::TenantQuarantined
            | RefusalCode::UpstreamConnect
            | RefusalCode::UpstreamProtocol
            | RefusalCode::UpstreamReset
            | RefusalCode::UpstreamTimeout
    )
}

impl Usage {
    /// Of an entry of a frame.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let requests = |wanted: fn(StatusClass, Outcome) -> bool| {
            let those = entry
                .requests
                .iter()
                .filter(|((class, outcome), _)| wanted(*class, *outcome));
            those.fold(0_u64, |sum, (_, count)| sum.saturating_add(count))
        };
        let refusals = |wanted: fn(RefusalCode) -> bool| {
            let those = entry.refusals.iter().filter(|(code, _)| wanted(*code));
            those.fold(0_u64, |sum, (_, count)| sum.saturating_add(count))
        };
        Self {
            requests: entry.requests.total(),
            errors: requests(|class, outcome| {
                outcome == Outcome::UpstreamCut
                    || (outcome == Outcome::Answered && class == StatusClass::ServerError)
            }) + refusals(is_fault),
            refused: entry.ended(Outcome::Refused),
            blocked: refusals(|code| code.as_str().starts_with("waf_")),
            limited: refusals(|code| code.status() == 429),
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            cpu_ns: entry.cpu_ns,
            waf_ns: entry.waf_ns,
            upstream_ns: entry.upstream_ns,
            connection_ms: entry.connection_ms,
            latency_us: entry.latency.sum_us,
            answered: entry.ended(Outcome::Answered),
            faults_refused: refusals(is_fault),
        }
    }

    /// What rollouts look at.
    #[must_use]
    pub const fn sums(&self) -> Sums {
        Sums {
            requests: self.requests,
            errors: self.errors,
            blocked: self.blocked,
            cpu_ns: self.cpu_ns,
        }
    }
}
