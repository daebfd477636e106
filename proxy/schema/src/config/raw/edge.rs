//! Keys of the process and of the side towards clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{List, RawRate, RawWafMode};

/// A socket to accept on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// Name in logs and metrics.
    pub id: String,
    /// IP address and port to listen on; port 0 lets the kernel choose.
    pub address: String,
    /// Protocols to serve; without this key `h1` and `h2`.
    #[schemars(length(min = 1, max = 2))]
    pub protocols: Option<List<RawClientProtocol>>,
    /// Terminate TLS; without this key the listener is cleartext.
    pub tls: Option<RawListenerTls>,
    /// A PROXY protocol header must come first, from an address in `trust.proxies`.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// A protocol towards clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawClientProtocol {
    /// HTTP/1.0 and 1.1.
    H1,
    /// HTTP/2.
    H2,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
pub enum RawTlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// Header that carries the forwarding hops.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawForwardedHeader {
    /// RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// A region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRegion {
    /// Its name.
    pub id: String,
    /// Origin of its ingress, `https://host` or `https://host:port`; needed where tenants migrate to it.
    #[schemars(length(min = 1, max = 300))]
    pub ingress: Option<String>,
}

/// Country and network databases.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGeo {
    /// MMDB file with countries.
    #[schemars(length(min = 1, max = 4096))]
    pub country_database: Option<String>,
    /// MMDB file with autonomous system numbers.
    #[schemars(length(min = 1, max = 4096))]
    pub asn_database: Option<String>,
}

/// TLS of a listener; certificates belong to tenants.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawListenerTls {
    /// Lowest TLS version.
    pub version_min: RawTlsVersion,
    /// Session tickets of a TLS 1.3 handshake; 0 switches resumption off.
    #[schemars(range(min = 0, max = 8))]
    pub tickets: u8,
    /// Life of a ticket key, milliseconds.
    #[schemars(range(min = 60_000, max = 604_800_000))]
    pub ticket_rotation_ms: u32,
}

impl Default for RawListenerTls {
    fn default() -> Self {
        Self {
            version_min: RawTlsVersion::V12,
            tickets: 2,
            ticket_rotation_ms: 43_200_000,
        }
    }
}

/// Who this process is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNode {
    /// Region that this process stands in; one of `regions`. Tenants that migrate to it are served, not sent on.
    pub region: String,
    /// Worker threads; without this key one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u32>,
    /// Folder for last-known-good versions; without this key none are kept.
    #[schemars(length(min = 1, max = 4096))]
    pub state_dir: Option<String>,
}

impl Default for RawNode {
    fn default() -> Self {
        Self {
            region: "local".to_owned(),
            workers: None,
            state_dir: None,
        }
    }
}

/// The admin endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAdmin {
    /// IP address and port to listen on.
    pub address: String,
    /// Permit an address that is not loopback.
    pub allow_remote: bool,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:9901".to_owned(),
            allow_remote: false,
        }
    }
}

/// What a client may do to a connection.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawClient {
    /// From accept to the end of the TLS handshake and PROXY header, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub handshake_timeout_ms: u32,
    /// From the handshake to the first byte of the first request, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub first_byte_timeout_ms: u32,
    /// From the first byte of a request head to its last, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub header_timeout_ms: u32,
    /// Without a request on an HTTP/1.1 connection, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub idle_timeout_ms: u32,
    /// Requests on one HTTP/1.1 connection.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub keepalive_requests_max: u32,
    /// Bytes of request line and header fields.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub header_bytes_max: u32,
    /// Header fields of a request.
    #[schemars(range(min = 8, max = 10_000))]
    pub header_fields_max: u32,
    /// Bytes of a request target.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub target_bytes_max: u32,
    /// Least rate of a request body after the grace time, and of what a slow client takes of a response once it has used up
    /// the write timeout, bytes per second; 0 switches both checks off.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub body_rate_min_bytes_per_s: u32,
    /// Time before the least rate counts, milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub body_rate_grace_ms: u32,
    /// A write to a client that makes no progress, or less than the least rate, for this long in all ends the connection,
    /// milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub write_timeout_ms: u32,
    /// Bytes of an unread request body that are read and dropped to keep the connection.
    #[schemars(range(min = 0, max = 16_777_216))]
    pub drain_bytes_max: u32,
    /// Open connections, all clients.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_max: u32,
    /// Open connections of one address (IPv6: one /64).
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_per_address_max: u32,
    /// Open connections of one prefix (IPv4 /24, IPv6 /48).
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_per_prefix_max: u32,
    /// Bytes of request bodies held for inspection, all tenants.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub inspection_bytes_max: u64,
    /// HTTP/2 towards clients.
    pub h2: RawClientH2,
}

impl Default for RawClient {
    fn default() -> Self {
        Self {
            handshake_timeout_ms: 5000,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            keepalive_requests_max: 1000,
            header_bytes_max: 32_768,
            header_fields_max: 100,
            target_bytes_max: 8192,
            body_rate_min_bytes_per_s: 240,
            body_rate_grace_ms: 5000,
            write_timeout_ms: 30_000,
            drain_bytes_max: 65_536,
            connections_max: 50_000,
            connections_per_address_max: 1000,
            connections_per_prefix_max: 4000,
            inspection_bytes_max: 268_435_456,
            h2: RawClientH2::default(),
        }
    }
}

/// HTTP/2 limits towards a client.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawClientH2 {
    /// Open streams of one connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams_max: u32,
    /// Bytes of a decoded header list.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub header_list_bytes_max: u32,
    /// Streams reset by the client, or by us for its faults, before the connection is closed.
    #[schemars(range(min = 1, max = 100_000))]
    pub resets_max: u32,
    /// Resets by the client that are forgiven, per second.
    #[schemars(range(min = 0, max = 100_000))]
    pub resets_per_s: u32,
    /// Frames without a request or a body (SETTINGS, PING, PRIORITY, WINDOW_UPDATE and the like) before the connection is
    /// closed.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub control_frames_max: u32,
    /// Such frames that are forgiven, per second.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub control_frames_per_s: u32,
    /// Without an open stream, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub idle_timeout_ms: u32,
    /// A stream whose response makes no progress for this long is reset, milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub stall_timeout_ms: u32,
}

impl Default for RawClientH2 {
    fn default() -> Self {
        Self {
            streams_max: 100,
            header_list_bytes_max: 65_536,
            resets_max: 100,
            resets_per_s: 10,
            control_frames_max: 500,
            control_frames_per_s: 100,
            idle_timeout_ms: 120_000,
            stall_timeout_ms: 30_000,
        }
    }
}

/// How the process ends.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDrain {
    /// Between readiness going false and the listeners closing, milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub readiness_delay_ms: u32,
    /// An idle HTTP/1.1 connection may send one more request for this long before it is closed, milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub idle_grace_ms: u32,
    /// Longest wait for requests in flight, milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub timeout_ms: u32,
}

impl Default for RawDrain {
    fn default() -> Self {
        Self {
            readiness_delay_ms: 0,
            idle_grace_ms: 2000,
            timeout_ms: 30_000,
        }
    }
}

/// Whom to believe about client addresses.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTrust {
    /// Networks (CIDR) or addresses of peers whose forwarding headers count.
    #[schemars(length(max = 10_000))]
    pub proxies: List<String>,
    /// Most hops to walk, from the right.
    #[schemars(range(min = 1, max = 100))]
    pub hops_max: u8,
    /// Header that carries the hops.
    pub header: RawForwardedHeader,
}

impl Default for RawTrust {
    fn default() -> Self {
        Self {
            proxies: List::default(),
            hops_max: 5,
            header: RawForwardedHeader::XForwardedFor,
        }
    }
}

/// Limits over all tenants.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGlobalLimits {
    /// All requests of this process; without this key no limit.
    pub requests: Option<RawRate>,
    /// Keys that the limit table holds, 8 bytes each. Read at boot only.
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub table_keys: u32,
    /// Send `RateLimit` fields with every answer, not only with 429.
    pub headers_always: bool,
}

impl Default for RawGlobalLimits {
    fn default() -> Self {
        Self {
            requests: None,
            table_keys: 1_048_576,
            headers_always: true,
        }
    }
}

/// What is taken from the WAF of all tenants. The same can be switched while the proxy runs: `weir waf`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWafSwitches {
    /// The most that a verdict does in any tenant: `detect` lets nothing be refused, `off` looks at nothing. Without this key
    /// each tenant's own `waf.mode` counts alone.
    pub mode_max: Option<RawWafMode>,
    /// Ids of rules that do not run, in no tenant's rules.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(range(min = 1, max = 9_007_199_254_740_991_u64)))]
    pub rules_off: List<u64>,
}

/// Logs and metrics.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawObservability {
    /// One JSON line per request; without this key none.
    pub access_log: Option<RawAccessLog>,
    /// One JSON line per request on which rules matched; without this key none.
    pub audit_log: Option<RawAuditLog>,
    /// Tenants with own metric series; the rest share `other`.
    #[schemars(range(min = 0, max = 100_000))]
    pub metric_tenants_max: u32,
}

impl Default for RawObservability {
    fn default() -> Self {
        Self {
            access_log: None,
            audit_log: None,
            metric_tenants_max: 1000,
        }
    }
}

/// The access log.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAccessLog {
    /// File to append to; either this or `stdout: true`.
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
    /// Write to standard output.
    pub stdout: bool,
    /// Query parameters whose values are replaced.
    #[schemars(length(max = 100))]
    pub redact_query: List<String>,
    /// Request headers to log.
    #[schemars(length(max = 100))]
    pub headers: List<String>,
    /// Log one of this many answers below 400.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: u32,
}

impl Default for RawAccessLog {
    fn default() -> Self {
        Self {
            file: None,
            stdout: false,
            redact_query: List::default(),
            headers: List::default(),
            sample: 1,
        }
    }
}

/// The audit log: what rules found.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAuditLog {
    /// File to append to; either this or `stdout: true`.
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
    /// Write to standard output.
    pub stdout: bool,
    /// Write one of this many events of requests that the rules let through; refusals are always written.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: u32,
    /// Such events per second, rule and tenant; an event above that is written only for another rule's sake. 0: no bound.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub rule_events_per_s_max: u32,
    /// Parts of names whose values are replaced, beside the built-in ones (`password`, `token`, cookies and the like).
    #[schemars(length(max = 100), inner(length(min = 1, max = 100)))]
    pub redact: List<String>,
    /// What is written of a value on which a rule matched.
    pub values: RawAuditValues,
    /// Bytes of such a value with `values: excerpt`.
    #[schemars(range(min = 0, max = 256))]
    pub value_bytes_max: u16,
    /// Rules in one event; what is left out is counted in it.
    #[schemars(range(min = 1, max = 256))]
    pub matched_max: u16,
}

impl Default for RawAuditLog {
    fn default() -> Self {
        Self {
            file: None,
            stdout: false,
            sample: 1,
            rule_events_per_s_max: 10,
            redact: List::default(),
            values: RawAuditValues::Excerpt,
            value_bytes_max: 64,
            matched_max: 32,
        }
    }
}

/// What is written of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAuditValues {
    /// Its beginning, without what looks secret.
    Excerpt,
    /// A hash whose key is new with every process: equal values look equal.
    Hash,
    /// Nothing.
    Omit,
}
