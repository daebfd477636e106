//! Keys of pools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::List;
use crate::config::checked::{Balance, UpstreamProtocol};

/// A group of upstream servers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPool {
    /// Its name.
    pub id: String,
    /// The servers.
    #[schemars(length(min = 1, max = 1000))]
    pub endpoints: List<RawEndpoint>,
    /// Protocol spoken to the endpoints.
    #[serde(default = "RawPool::protocol")]
    pub protocol: RawUpstreamProtocol,
    /// How an endpoint is chosen among the healthy ones.
    #[serde(default = "RawPool::balance")]
    pub balance: RawBalance,
    /// Encrypt and verify; without this key cleartext.
    pub tls: Option<RawUpstreamTls>,
    /// Active checks; without this key none.
    pub health: Option<RawHealth>,
    /// One connection attempt, milliseconds.
    #[serde(default = "RawPool::connect_timeout_ms")]
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u32,
    /// All connection attempts of a request, milliseconds.
    #[serde(default = "RawPool::connect_total_timeout_ms")]
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_total_timeout_ms: u32,
    /// Without a byte from the upstream while a response is due, milliseconds.
    #[serde(default = "RawPool::minute_ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub read_timeout_ms: u32,
    /// A pooled connection unused for this long is closed, milliseconds.
    #[serde(default = "RawPool::minute_ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub idle_timeout_ms: u32,
    /// Idle connections kept per endpoint.
    #[serde(default = "RawPool::idle_connections_max")]
    #[schemars(range(min = 0, max = 100_000))]
    pub idle_connections_max: u32,
    /// Retries.
    #[serde(default)]
    pub retry: RawRetry,
    /// Passive ejection: when failed requests take an endpoint out of the choice.
    #[serde(default)]
    pub outlier: RawOutlier,
}

impl RawPool {
    const fn protocol() -> RawUpstreamProtocol {
        RawUpstreamProtocol::H1
    }

    const fn balance() -> RawBalance {
        RawBalance::LeastRequest
    }

    const fn connect_timeout_ms() -> u32 {
        1000
    }

    const fn connect_total_timeout_ms() -> u32 {
        3000
    }

    const fn minute_ms() -> u32 {
        60_000
    }

    const fn idle_connections_max() -> u32 {
        256
    }
}

/// Protocol spoken to an upstream.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawUpstreamProtocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

impl From<RawUpstreamProtocol> for UpstreamProtocol {
    fn from(raw: RawUpstreamProtocol) -> Self {
        match raw {
            RawUpstreamProtocol::H1 => Self::H1,
            RawUpstreamProtocol::H2 => Self::H2,
        }
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawBalance {
    /// The one with fewest requests in flight for its weight, of two picked at random.
    LeastRequest,
    /// One after the other; weights count.
    RoundRobin,
    /// At random by weight.
    WeightedRandom,
}

impl From<RawBalance> for Balance {
    fn from(raw: RawBalance) -> Self {
        match raw {
            RawBalance::LeastRequest => Self::LeastRequest,
            RawBalance::RoundRobin => Self::RoundRobin,
            RawBalance::WeightedRandom => Self::WeightedRandom,
        }
    }
}

/// One upstream server: `host:port`, or with a weight.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawEndpoint {
    /// `host:port`.
    Short(String),
    /// With a weight.
    Full(RawFullEndpoint),
}

/// One upstream server with its weight.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFullEndpoint {
    /// `host:port`.
    pub address: String,
    /// Share of requests beside the others'.
    #[serde(default = "RawFullEndpoint::weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u16,
}

impl RawFullEndpoint {
    const fn weight() -> u16 {
        1
    }
}

/// TLS towards an upstream; verification cannot be switched off.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUpstreamTls {
    /// Name sent as SNI and checked against the certificate.
    pub server_name: String,
    /// PEM file with the authorities to trust; without this key the system's.
    #[schemars(length(min = 1, max = 4096))]
    pub ca_file: Option<String>,
}

/// Active checks of an endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHealth {
    /// Target of the GET.
    #[schemars(length(min = 1, max = 2048))]
    pub path: String,
    /// Host header of the GET; without this key the pool's TLS name, or its id.
    pub host: Option<String>,
    /// Between two checks, milliseconds.
    #[serde(default = "RawHealth::interval_ms")]
    #[schemars(range(min = 100, max = 3_600_000))]
    pub interval_ms: u32,
    /// For one check, milliseconds.
    #[serde(default = "RawHealth::timeout_ms")]
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
    /// Failures in a row that make an endpoint unhealthy.
    #[serde(default = "RawHealth::unhealthy_after")]
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy.
    #[serde(default = "RawHealth::healthy_after")]
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
    /// Lowest and highest status that is a success.
    #[serde(default = "RawHealth::status")]
    #[schemars(length(min = 2, max = 2), inner(range(min = 100, max = 599)))]
    pub status: List<u16>,
}

impl RawHealth {
    const fn interval_ms() -> u32 {
        2000
    }

    const fn timeout_ms() -> u32 {
        1000
    }

    const fn unhealthy_after() -> u32 {
        3
    }

    const fn healthy_after() -> u32 {
        2
    }

    fn status() -> List<u16> {
        List::from(vec![200, 399])
    }
}

/// Retries of a pool.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRetry {
    /// Tries after the first.
    #[schemars(range(min = 0, max = 10))]
    pub retries_max: u8,
    /// Retries as a share of requests, percent.
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: u8,
    /// Retries per second that are allowed whatever the share.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub budget_min_per_s: u32,
    /// Upper bound of the first wait, milliseconds; it doubles per retry.
    #[schemars(range(min = 0, max = 60_000))]
    pub backoff_base_ms: u32,
    /// Upper bound of any wait, milliseconds.
    #[schemars(range(min = 0, max = 60_000))]
    pub backoff_max_ms: u32,
}

impl Default for RawRetry {
    fn default() -> Self {
        Self {
            retries_max: 2,
            budget_percent: 20,
            budget_min_per_s: 3,
            backoff_base_ms: 25,
            backoff_max_ms: 250,
        }
    }
}

/// Passive ejection of endpoints. One that cannot be connected to is out with its first failure, whatever these say.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOutlier {
    /// Resets, invalid answers, timeouts and answers of 502, 503 or 504 in a row that eject an endpoint; 0: never.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub eject_after: u32,
    /// How long the first ejection lasts, milliseconds; it doubles when an endpoint fails again soon after it came back.
    #[schemars(range(min = 10, max = 600_000))]
    pub ejection_base_ms: u32,
    /// Longest ejection, milliseconds; an endpoint that was well for this long starts with the first again.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub ejection_max_ms: u32,
    /// Endpoints that bad answers may eject, percent of the pool.
    #[schemars(range(min = 0, max = 100))]
    pub ejected_percent_max: u8,
}

impl Default for RawOutlier {
    fn default() -> Self {
        Self {
            eject_after: 5,
            ejection_base_ms: 1000,
            ejection_max_ms: 10_000,
            ejected_percent_max: 50,
        }
    }
}
